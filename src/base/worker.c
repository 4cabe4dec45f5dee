// SPDX-License-Identifier: BSD-3-Clause
/*
 * Theory. The thread's life is: offline; epoll_wait; lock; online; callbacks and batches; offline;
 * unlock. Guarantees, which the tests cite:
 *
 *  (1) The thread is an online RCU reader only while it holds the lock, and never waits for the
 *	lock online. So a control thread may wait for a grace period while it holds the lock.
 *  (2) Handover. A control thread counts itself in `nr_asked` before it waits for the mutex and in
 *	`nr_served` once it has it. Between batches the worker compares the two; if somebody waits,
 *	it unlocks and sleeps until as many were served as had asked. A bare unlock and lock would
 *	not do: the mutex is not fair, and a busy worker would win it back nearly always.
 *  (3) An event collected by epoll_wait names a slot and the slot's generation, never a pointer.
 *	worker_unwatch() moves the generation on, so an event collected before is dropped, and the
 *	memory is free to go at once.
 *  (4) A wake-up is never lost: `wake_pending` is cleared before the poll function runs, so a
 *	worker_wake() after the poll function's last look writes the eventfd again.
 *  (5) A lingering worker asks epoll again and again instead of sleeping in it, offline and without
 *	the lock, so it delays neither control threads nor grace periods.
 *  (6) A time for worker_wake_in() is stored before the eventfd is written, so a thread that sleeps
 *	without knowing of it wakes, and has it for its next sleep.
 *  (7) The process around may close our descriptors. The thread sleeps on then, or ends when it
 *	next wants to sleep. worker_destroy() does not wait for a sleep that nothing can end.
 *  (8) worker_settle() moves `nr_settled` on at its end. A wait for events that began before
 *	may have collected older ones, so what it has collected is dispatched as old. The thread is
 *	woken, so that its next wait begins behind the settling.
 *
 * Eventfds that are watched edge-triggered need no read: each write makes epoll report them anew.
 *
 * This file has the lock, the thread's loop and what wakes it. worker_life.c starts and ends the
 * thread, worker_watch.c has the slots of the watched fds.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "base/worker_internal.h"

enum {
	NR_EVENTS = 64,         /* collected at once */
	NR_BATCHES_A_LOOK = 16, /* batches between two looks at the fds of a busy worker */
	NR_SPINS = 200,         /* pauses, some microseconds, before a wait for the lock sleeps */
	MS_MAX = 1000,          /* one sleep with an end */
};

static __thread struct worker *current_worker; /* its address is also the thread's token */

static void futex_wait(uint32_t *word, uint32_t value)
{
	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake_all(uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void raw_lock(struct worker *w)
{
	int err = pthread_mutex_lock(&w->lock);

	assert(err == 0);
	(void)err;
	__atomic_store_n(&w->owner, &current_worker, __ATOMIC_RELAXED);
}

static void raw_unlock(struct worker *w)
{
	int err;

	__atomic_store_n(&w->owner, NULL, __ATOMIC_RELAXED);
	err = pthread_mutex_unlock(&w->lock);
	assert(err == 0);
	(void)err;
}

bool worker_lock_is_mine(struct worker *w)
{
	return __atomic_load_n(&w->owner, __ATOMIC_RELAXED) == &current_worker;
}

/* A batch is shorter than the wake-up of a thread that slept for its end. Return: is the lock held
 * now? */
static bool spin_for_lock(struct worker *w)
{
	for (int i = 0; i < NR_SPINS; i++) {
		if (pthread_mutex_trylock(&w->lock) == 0) {
			__atomic_store_n(&w->owner, &current_worker, __ATOMIC_RELAXED);
			return true;
		}
		cpu_relax();
	}
	return false;
}

void worker_lock(struct worker *w) NO_TSA
{
	int saved = errno;

	__atomic_fetch_add(&w->nr_asked, 1, __ATOMIC_SEQ_CST);
	if (!spin_for_lock(w))
		raw_lock(w);
	__atomic_fetch_add(&w->nr_served, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&w->handing_over, __ATOMIC_SEQ_CST))
		futex_wake_all(&w->nr_served);
	errno = saved;
}

void worker_unlock(struct worker *w) NO_TSA
{
	raw_unlock(w);
}

bool worker_is_asked(const struct worker *w)
{
	return __atomic_load_n(&w->nr_asked, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&w->nr_served, __ATOMIC_RELAXED);
}

/* Guarantee (2). Called by the thread with the lock held, online; returns in the same state. */
static void hand_over(struct worker *w)
{
	uint32_t asked = __atomic_load_n(&w->nr_asked, __ATOMIC_SEQ_CST);
	uint32_t served = __atomic_load_n(&w->nr_served, __ATOMIC_SEQ_CST);

	if (likely(asked == served))
		return;
	rcu_reader_offline();
	__atomic_store_n(&w->handing_over, true, __ATOMIC_SEQ_CST);
	raw_unlock(w);
	for (int i = 0;; i++) {
		served = __atomic_load_n(&w->nr_served, __ATOMIC_SEQ_CST);
		if ((int32_t)(served - asked) >= 0)
			break;
		if (i < NR_SPINS)
			cpu_relax();
		else
			futex_wait(&w->nr_served, served);
	}
	__atomic_store_n(&w->handing_over, false, __ATOMIC_SEQ_CST);
	raw_lock(w);
	rcu_reader_online();
}

void worker_relax(struct worker *w, void (*fn)(void *arg), void *arg) NO_TSA
{
	rcu_reader_offline();
	raw_unlock(w);
	fn(arg);
	raw_lock(w);
	rcu_reader_online();
}

static void dispatch(struct worker *w, const struct epoll_event *events, int nr)
{
	for (int i = 0; i < nr; i++) {
		uint32_t slot = (uint32_t)events[i].data.u64;
		uint32_t generation = (uint32_t)(events[i].data.u64 >> 32);
		struct worker_fd *wfd;

		if (slot == WORKER_WAKE_SLOT) {
			/* Acquire: what was written before worker_wake() is seen by the poll
			 * function. */
			(void)__atomic_exchange_n(&w->wake_pending, false, __ATOMIC_SEQ_CST);
			continue;
		}
		if (slot >= w->nr_slots || w->slots[slot].generation != generation)
			continue;
		wfd = w->slots[slot].wfd;
		if (wfd)
			wfd->fn(wfd->arg, events[i].events); /* may unwatch itself: @wfd is gone */
	}
}

void worker_settle(struct worker *w)
{
	struct epoll_event events[NR_EVENTS];
	/* epoll reports each fd once, the one that has waited longest first. More rounds would be
	 * for new events, of which there may be no end. */
	uint32_t rounds = w->nr_slots / NR_EVENTS + 1;
	int nr = NR_EVENTS;

	for (uint32_t i = 0; i < rounds && nr == NR_EVENTS; i++) {
		nr = epoll_wait(w->epoll_fd, events, NR_EVENTS, 0);
		dispatch(w, events, nr);
	}
	/* [8] At last: a wait that has begun meanwhile may have taken an old event first. */
	__atomic_fetch_add(&w->nr_settled, 1, __ATOMIC_RELEASE);
	worker_wake(w);
}

bool worker_event_is_old(const struct worker *w)
{
	return w->is_old;
}

static void run_batches(struct worker *w, struct epoll_event *events)
{
	unsigned int nr_batches = 0;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE) && w->poll(w->poll_arg)) {
		rcu_reader_quiescent();
		hand_over(w);
		if (++nr_batches % NR_BATCHES_A_LOOK == 0)
			dispatch(w, events, epoll_wait(w->epoll_fd, events, NR_EVENTS, 0));
	}
}

/* Sleep for events, but not beyond wake_at. Return: number of events, 0 at that time, -1 with
 * errno */
static int sleep_for_events(struct worker *w, struct epoll_event *events)
{
	int64_t at = __atomic_load_n(&w->wake_at, __ATOMIC_ACQUIRE), left_ms;
	int nr;

	if (at == INT64_MAX)
		return epoll_wait(w->epoll_fd, events, NR_EVENTS, -1);
	left_ms = (at - clock_now_ns()) / NS_PER_MS + 1; /* not early */
	left_ms = left_ms < 0 ? 0 : left_ms < MS_MAX ? left_ms : MS_MAX;
	nr = epoll_wait(w->epoll_fd, events, NR_EVENTS, (int)left_ms);
	/* Interrupted, it sleeps again without a batch, so the time stays. If the exchange fails,
	 * an earlier one was set meanwhile, and the eventfd is written. */
	if (nr >= 0 && at <= clock_now_ns())
		(void)__atomic_compare_exchange_n(&w->wake_at, &at, INT64_MAX, false,
						  __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	return nr;
}

/* Offline, without the lock. Return: number of events, -1 with errno */
static int wait_for_events(struct worker *w, struct epoll_event *events)
{
	int64_t until = __atomic_load_n(&w->linger_until, __ATOMIC_RELAXED);
	int nr;

	while (until != 0 && clock_now_ns() < until) {
		nr = epoll_wait(w->epoll_fd, events, NR_EVENTS, 0);
		if (nr != 0)
			return nr;
		(void)sched_yield(); /* whoever shares the processor may be whom we wait for */
		until = __atomic_load_n(&w->linger_until, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&w->asleep, true, __ATOMIC_RELAXED);
	nr = sleep_for_events(w, events);
	/* Who stops the thread and finds it asleep knows that it touches nothing more: whenever it
	 * wakes, it sees @stop first. */
	__atomic_store_n(&w->asleep, false, __ATOMIC_RELAXED);
	return nr;
}

void *worker_main(void *arg) NO_TSA
{
	struct worker *w = arg;
	struct epoll_event events[NR_EVENTS];

	current_worker = w;
	thread_settle(w->name);
	rcu_reader_register();
	rcu_reader_offline();
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		uint32_t settled = __atomic_load_n(&w->nr_settled, __ATOMIC_ACQUIRE);
		int nr = wait_for_events(w, events);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0) {
			hf_err(w->name, "worker stopped: epoll_wait: %s", strerror(errno));
			break;
		}
		if (__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
			break;
		raw_lock(w);
		rcu_reader_online();
		w->is_old = settled != __atomic_load_n(&w->nr_settled, __ATOMIC_RELAXED);
		dispatch(w, events, nr);
		w->is_old = false;
		hand_over(w);
		if (w->poll)
			run_batches(w, events);
		rcu_reader_offline();
		raw_unlock(w);
	}
	rcu_reader_unregister();
	return NULL;
}

void worker_wake(struct worker *w)
{
	if (!__atomic_exchange_n(&w->wake_pending, true, __ATOMIC_SEQ_CST))
		fd_signal(w->wake_fd, false);
}

void worker_linger(struct worker *w, int64_t ns)
{
	__atomic_store_n(&w->linger_until, clock_now_ns() + ns, __ATOMIC_RELAXED);
	worker_wake(w);
}

void worker_wake_in(struct worker *w, int64_t ns)
{
	int64_t at = clock_now_ns() + ns, held = __atomic_load_n(&w->wake_at, __ATOMIC_RELAXED);

	while (at < held)
		if (__atomic_compare_exchange_n(&w->wake_at, &held, at, false, __ATOMIC_RELEASE,
						__ATOMIC_RELAXED))
			break;
	/* Asleep, it does not know of the new time. */
	if (at < held && !worker_is_current(w))
		worker_wake(w);
}

bool worker_is_current(const struct worker *w)
{
	return current_worker == w;
}
