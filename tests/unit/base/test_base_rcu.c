// SPDX-License-Identifier: BSD-3-Clause
/* Grace periods: what they wait for, what they do not wait for, and that nothing is freed under a
 * reader. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rcu.h"
#include "wait.h"

#define NR_READERS 3
#define NR_WRITERS 2
#define NR_SWAPS   4000
#define ALIVE      0x600dU
#define DEAD       0xdeadU

struct object {
	unsigned int canary; /* plain: the sanitizer is to see that order comes from RCU */
};

struct world {
	struct object *published[NR_WRITERS]; /* RCU; one a writer */
	bool stop;                            /* atomic */
	unsigned int nr_wrong;                /* atomic */
	unsigned long nr_read;                /* atomic */
};

static struct object *new_object(void)
{
	struct object *object = malloc(sizeof(*object));

	assert_non_null(object);
	object->canary = ALIVE;
	return object;
}

static void look(struct world *w)
{
	for (int i = 0; i < NR_WRITERS; i++) {
		const struct object *object = rcu_load(&w->published[i]);

		for (int n = 0; n < 10; n++)
			if (object->canary != ALIVE)
				__atomic_fetch_add(&w->nr_wrong, 1, __ATOMIC_RELAXED);
	}
	__atomic_fetch_add(&w->nr_read, 1, __ATOMIC_RELAXED);
}

/* Readers leave in every way there is. */
static void *read_on(void *arg)
{
	struct world *w = arg;

	rcu_reader_register();
	for (unsigned int i = 0; !__atomic_load_n(&w->stop, __ATOMIC_RELAXED); i++) {
		look(w);
		if (i % 7 == 0) {
			rcu_reader_offline();
			rcu_reader_online();
		} else if (i % 101 == 0) {
			rcu_reader_unregister();
			rcu_reader_register();
		} else {
			rcu_reader_quiescent();
		}
	}
	rcu_reader_unregister();
	return NULL;
}

struct writer {
	struct world *w;
	int idx;
	pthread_t thread;
};

static void *swap_on(void *arg)
{
	struct writer *writer = arg;
	struct object **place = &writer->w->published[writer->idx];

	for (int i = 0; i < NR_SWAPS; i++) {
		struct object *old = *place;

		rcu_publish(place, new_object());
		rcu_synchronize_readers();
		old->canary = DEAD;
		free(old);
	}
	return NULL;
}

/* On a loaded machine writers could be done before a reader begins, and would have met nobody. */
static void wait_for_readers(const struct world *w)
{
	int64_t until = clock_now_ns() + WAIT_DEADLINE_MS * NS_PER_MS;

	while (__atomic_load_n(&w->nr_read, __ATOMIC_RELAXED) == 0) {
		assert_true(clock_now_ns() < until);
		(void)sched_yield();
	}
}

static void rcu_readers_and_writers_never_meet_a_freed_object(void **state)
{
	struct world w = {.stop = false};
	struct writer writers[NR_WRITERS];
	pthread_t readers[NR_READERS];

	for (int i = 0; i < NR_WRITERS; i++)
		w.published[i] = new_object();
	for (int i = 0; i < NR_READERS; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_on, &w), 0);
	wait_for_readers(&w);
	for (int i = 0; i < NR_WRITERS; i++) {
		writers[i] = (struct writer){.w = &w, .idx = i};
		assert_int_equal(pthread_create(&writers[i].thread, NULL, swap_on, &writers[i]), 0);
	}
	for (int i = 0; i < NR_WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < NR_READERS; i++)
		pthread_join(readers[i], NULL);
	for (int i = 0; i < NR_WRITERS; i++)
		free(w.published[i]);
	assert_int_equal(w.nr_wrong, 0);
}

/* A reader that says when it is in, and leaves when it is told to. */
struct guest {
	pthread_t thread;
	int in, leave;    /* eventfds */
	bool has_left;    /* atomic */
	bool by_offline;  /* or by a quiescent state */
	bool starts_away; /* offline until it leaves */
};

static void *stay(void *arg)
{
	struct guest *guest = arg;

	rcu_reader_register();
	if (guest->starts_away)
		rcu_reader_offline();
	event_give(guest->in);
	(void)wait_event(guest->leave);
	__atomic_store_n(&guest->has_left, true, __ATOMIC_RELAXED);
	if (guest->by_offline)
		rcu_reader_offline();
	else
		rcu_reader_quiescent();
	rcu_reader_unregister();
	return NULL;
}

static void start(struct guest *guest)
{
	guest->in = eventfd(0, EFD_CLOEXEC);
	guest->leave = eventfd(0, EFD_CLOEXEC);
	assert_true(guest->in >= 0 && guest->leave >= 0);
	assert_int_equal(pthread_create(&guest->thread, NULL, stay, guest), 0);
	assert_int_equal(wait_event(guest->in), 1);
}

static void end(struct guest *guest)
{
	pthread_join(guest->thread, NULL);
	close(guest->in);
	close(guest->leave);
}

struct waiter {
	pthread_t thread;
	struct guest *guest;
	bool guest_had_left;
	int done; /* eventfd */
};

static void *synchronize(void *arg)
{
	struct waiter *waiter = arg;

	rcu_synchronize_readers();
	waiter->guest_had_left = __atomic_load_n(&waiter->guest->has_left, __ATOMIC_RELAXED);
	event_give(waiter->done);
	return NULL;
}

/* The writer is asleep for sure only if it had time; the reader's leave is then what ends it, each
 * time. */
static void writer_waits_for(bool by_offline)
{
	for (int i = 0; i < 200; i++) {
		struct guest guest = {.by_offline = by_offline};
		struct waiter waiter = {.guest = &guest, .done = eventfd(0, EFD_CLOEXEC)};
		struct pollfd done = {.fd = waiter.done, .events = POLLIN};

		start(&guest);
		assert_int_equal(pthread_create(&waiter.thread, NULL, synchronize, &waiter), 0);
		/* a few rounds long enough that the writer has gone to sleep */
		assert_int_equal(poll(&done, 1, i < 4 ? 20 : 0), 0);
		event_give(guest.leave);
		assert_int_equal(wait_event(waiter.done), 1);
		assert_true(waiter.guest_had_left);
		pthread_join(waiter.thread, NULL);
		end(&guest);
		close(waiter.done);
	}
}

static void rcu_writer_waits_for_a_quiescent_state(void **state)
{
	writer_waits_for(false);
}

static void rcu_writer_waits_for_a_reader_to_go_offline(void **state)
{
	writer_waits_for(true);
}

static void rcu_writer_does_not_wait_for_an_offline_reader(void **state)
{
	struct guest guest = {.starts_away = true, .by_offline = true};

	start(&guest);
	rcu_synchronize_readers();
	assert_false(__atomic_load_n(&guest.has_left, __ATOMIC_RELAXED));
	event_give(guest.leave);
	end(&guest);
	rcu_synchronize_readers();
}

static void rcu_readers_are_offline_only_without_an_online_reader(void **state)
{
	struct guest away = {.starts_away = true, .by_offline = true}, here = {.by_offline = true};

	assert_true(rcu_readers_are_offline());
	start(&away);
	assert_true(rcu_readers_are_offline());
	start(&here);
	assert_false(rcu_readers_are_offline());
	event_give(here.leave);
	end(&here);
	assert_true(rcu_readers_are_offline());
	event_give(away.leave);
	end(&away);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rcu_writer_does_not_wait_for_an_offline_reader),
		cmocka_unit_test(rcu_readers_are_offline_only_without_an_online_reader),
		cmocka_unit_test(rcu_writer_waits_for_a_quiescent_state),
		cmocka_unit_test(rcu_writer_waits_for_a_reader_to_go_offline),
		cmocka_unit_test(rcu_readers_and_writers_never_meet_a_freed_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
