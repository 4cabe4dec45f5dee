// SPDX-License-Identifier: BSD-3-Clause
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rcu.h"
#include "base/worker.h"
#include "../between.h"
#include "wait.h"

/* cmocka's macros and the thread-safety analysis do not go together, so the tests lock through
 * these. */
static void lock(struct worker *w) NO_TSA
{
	worker_lock(w);
}

static void unlock(struct worker *w) NO_TSA
{
	worker_unlock(w);
}

static void unwatch(struct worker *w, struct worker_fd *wfd) NO_TSA
{
	worker_unwatch(w, wfd);
}

static int event_new(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool poll_gives_event(void *arg)
{
	event_give(*(int *)arg);
	return false;
}

static void fd_gives_event(void *arg, uint32_t events)
{
	event_give(*(int *)arg);
}

static void worker_wake_idle_runs_poll(void **state)
{
	int done = event_new();
	struct worker *w;

	assert_int_equal(worker_create("wake", poll_gives_event, &done, &w), 0);
	for (int i = 0; i < 1000; i++) {
		worker_wake(w);
		assert_int_not_equal(wait_event(done), 0);
	}
	worker_destroy(w);
	close(done);
}

static void worker_watch_edge_event_unread_calls_each_write(void **state)
{
	int done = event_new(), kick = event_new();
	struct worker_fd *wfd;
	struct worker *w;

	event_give(kick); /* ready already when it is watched */
	assert_int_equal(worker_create("edge", NULL, NULL, &w), 0);
	assert_int_equal(worker_watch(w, kick, EPOLLIN | EPOLLET, fd_gives_event, &done, &wfd), 0);
	assert_int_equal(wait_event(done), 1);
	for (int i = 0; i < 100; i++) {
		event_give(kick);
		assert_int_equal(wait_event(done), 1);
	}
	lock(w);
	unwatch(w, wfd);
	unlock(w);
	worker_destroy(w);
	close(kick);
	close(done);
}

struct settled {
	struct worker *w;
	int done;
	bool inside; /* worker_settle() is running */
	unsigned int nr_inside, nr_old, nr_new;
};

static void settled_call(void *arg, uint32_t events)
{
	struct settled *s = arg;

	if (s->inside)
		s->nr_inside++;
	else if (worker_event_is_old(s->w))
		s->nr_old++;
	else
		s->nr_new++;
	event_give(s->done);
}

/* Guarantee (8): what came before is dispatched inside, or as old; what comes later soon is new. */
static void worker_settle_tells_old_events_from_new(void **state) NO_TSA
{
	struct settled s = {.done = event_new()};
	struct worker_fd *wfd;
	int kick = event_new();

	assert_int_equal(worker_create("settle", NULL, NULL, &s.w), 0);
	assert_int_equal(worker_watch(s.w, kick, EPOLLIN | EPOLLET, settled_call, &s, &wfd), 0);
	for (unsigned int i = 1; i <= 1000; i++) {
		lock(s.w);
		event_give(kick);
		if (i % 2)
			sched_yield(); /* the thread may collect it, and wait for the lock */
		s.inside = true;
		worker_settle(s.w);
		s.inside = false;
		unlock(s.w);
		wait_event(s.done);
		lock(s.w);
		assert_int_equal(s.nr_inside + s.nr_old, i);
		unlock(s.w);
	}
	for (int i = 0; i < 1000 && s.nr_new == 0; i++) {
		event_give(kick);
		wait_event(s.done);
	}
	lock(s.w);
	assert_int_equal(s.nr_new, 1);
	unlock(s.w);
	worker_destroy(s.w);
	close(kick);
	close(s.done);
}

/* Each call is the next event of the same fd: a settling that waits for silence never ends. The
 * thread may have collected some of the first events, which come when it has the lock. */
enum { NR_RESTLESS = 130, NR_CALLS_MAX = 50000, NR_COLLECTED_MAX = 64 };

struct restless {
	unsigned int nr, *nr_all;
	int fd;
};

static void restless_call(void *arg, uint32_t events)
{
	struct restless *r = arg;

	r->nr++;
	if (++*r->nr_all < NR_CALLS_MAX)
		event_give(r->fd);
}

static void worker_settle_ends_though_new_events_never_do(void **state) NO_TSA
{
	struct restless r[NR_RESTLESS];
	struct worker_fd *wfd[NR_RESTLESS];
	unsigned int nr_all = 0, nr_later = 0;
	struct worker *w;

	assert_int_equal(worker_create("restless", NULL, NULL, &w), 0);
	lock(w);
	for (int i = 0; i < NR_RESTLESS; i++) {
		r[i] = (struct restless){.nr_all = &nr_all, .fd = event_new()};
		assert_int_equal(
			worker_watch(w, r[i].fd, EPOLLIN | EPOLLET, restless_call, &r[i], &wfd[i]),
			0);
		event_give(r[i].fd);
	}
	worker_settle(w);
	assert_true(nr_all < 10 * NR_RESTLESS);
	for (int i = 0; i < NR_RESTLESS; i++)
		nr_later += r[i].nr == 0;
	assert_true(nr_later <= NR_COLLECTED_MAX);
	nr_all = NR_CALLS_MAX;
	for (int i = 0; i < NR_RESTLESS; i++)
		unwatch(w, wfd[i]);
	unlock(w);
	worker_destroy(w);
	for (int i = 0; i < NR_RESTLESS; i++)
		close(r[i].fd);
}

static void worker_watch_bad_fd_reports_errno(void **state)
{
	int done = event_new(), file = open("/proc/self/exe", O_RDONLY);
	struct worker_fd *wfd, *none = NULL;
	struct worker *w;

	assert_int_equal(worker_create("bad", NULL, NULL, &w), 0);
	assert_int_equal(worker_watch(w, -1, EPOLLIN, fd_gives_event, &done, &none), -EBADF);
	assert_int_equal(worker_watch(w, file, EPOLLIN, fd_gives_event, &done, &none), -EPERM);
	assert_int_equal(worker_watch(w, done, EPOLLIN, fd_gives_event, &done, &wfd), 0);
	assert_int_equal(worker_watch(w, done, EPOLLIN, fd_gives_event, &done, &none), -EEXIST);
	assert_null(none);
	worker_destroy(w); /* with a watched fd */
	close(file);
	close(done);
}

/* Two fds are collected by one look; whichever callback runs first unwatches the other one. */
struct pair {
	struct worker *w;
	struct worker_fd *wfds[2], *fresh[2];
	int fds[2], fresh_fds[2];
	int entered, gate, done;
	int nr_calls, nr_fresh_calls;
};

static void pair_gate(void *arg, uint32_t events)
{
	struct pair *p = arg;

	event_give(p->entered);
	wait_event(p->gate);
}

static void pair_fresh(void *arg, uint32_t events)
{
	((struct pair *)arg)->nr_fresh_calls++;
}

static void pair_call(void *arg, uint32_t events) NO_TSA
{
	struct pair *p = arg;

	p->nr_calls++;
	for (int i = 0; i < 2; i++) {
		worker_unwatch(p->w, p->wfds[i]); /* one of them is the caller itself */
		p->wfds[i] = NULL;
	}
	/* These take the slots that an event collected before still names; they are not ready. */
	for (int i = 0; i < 2; i++) {
		if (worker_watch(p->w, p->fresh_fds[i], EPOLLIN, pair_fresh, p, &p->fresh[i]) != 0)
			abort();
	}
}

static bool pair_poll(void *arg)
{
	struct pair *p = arg;

	if (p->nr_calls > 0)
		event_give(p->done);
	return false;
}

static void worker_unwatch_collected_event_is_dropped(void **state)
{
	struct pair p = {.entered = event_new(),
			 .gate = event_new(),
			 .done = event_new(),
			 .fresh_fds = {event_new(), event_new()},
			 .fds = {event_new(), event_new()}};
	int gate_kick = event_new();
	struct worker_fd *gate;

	assert_int_equal(worker_create("pair", pair_poll, &p, &p.w), 0);
	assert_int_equal(worker_watch(p.w, gate_kick, EPOLLIN | EPOLLET, pair_gate, &p, &gate), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(worker_watch(p.w, p.fds[i], EPOLLIN, pair_call, &p, &p.wfds[i]),
				 0);
	event_give(gate_kick);
	assert_int_equal(wait_event(p.entered), 1); /* the worker is inside the gate's callback */
	event_give(p.fds[0]);
	event_give(p.fds[1]);
	event_give(p.gate);
	assert_int_not_equal(wait_event(p.done), 0);
	lock(p.w);
	assert_int_equal(p.nr_calls, 1);
	assert_int_equal(p.nr_fresh_calls, 0);
	unlock(p.w);
	worker_destroy(p.w);
	for (int i = 0; i < 2; i++) {
		close(p.fds[i]);
		close(p.fresh_fds[i]);
	}
	close(gate_kick);
	close(p.entered);
	close(p.gate);
	close(p.done);
}

struct busy {
	uint64_t nr_batches; /* atomic */
	int started;
};

/* 20 us of work, always more to do. */
static bool poll_busy(void *arg)
{
	struct busy *busy = arg;
	int64_t end = clock_now_ns() + 20 * NS_PER_US;

	while (clock_now_ns() < end)
		;
	if (__atomic_fetch_add(&busy->nr_batches, 1, __ATOMIC_RELAXED) == 0)
		event_give(busy->started);
	return true;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

enum { NR_ROUNDS = 200 };

struct locker {
	pthread_t thread;
	struct worker *w;
	struct busy *busy;
	uint64_t waited[NR_ROUNDS]; /* batches between the wish and the lock */
};

static void *locker_main(void *arg)
{
	struct locker *l = arg;

	for (int i = 0; i < NR_ROUNDS; i++) {
		uint64_t before = __atomic_load_n(&l->busy->nr_batches, __ATOMIC_RELAXED);

		lock(l->w);
		l->waited[i] = __atomic_load_n(&l->busy->nr_batches, __ATOMIC_RELAXED) - before;
		unlock(l->w);
	}
	return NULL;
}

static void worker_lock_busy_is_handed_over(void **state)
{
	struct locker lockers[2];
	struct busy busy = {.started = event_new()};
	struct worker *w;

	assert_int_equal(worker_create("busy", poll_busy, &busy, &w), 0);
	worker_wake(w);
	assert_int_not_equal(wait_event(busy.started), 0);
	for (int i = 0; i < 2; i++) {
		lockers[i].w = w;
		lockers[i].busy = &busy;
		assert_int_equal(pthread_create(&lockers[i].thread, NULL, locker_main, &lockers[i]),
				 0);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(lockers[i].thread, NULL);
		qsort(lockers[i].waited, NR_ROUNDS, sizeof(uint64_t), compare);
		/* The median, since a thread may lose its CPU between the wish and the asking. */
		assert_between(lockers[i].waited[NR_ROUNDS / 2], 0, 3);
	}
	/* The busy worker goes on after that. */
	assert_int_equal(read(busy.started, &(uint64_t){0}, 8), -1);
	__atomic_store_n(&busy.nr_batches, 0, __ATOMIC_RELAXED);
	assert_int_equal(wait_event(busy.started), 1);
	worker_destroy(w); /* while busy */
	close(busy.started);
}

static void worker_poll_busy_does_not_starve_fds(void **state)
{
	int kick = event_new(), done = event_new();
	struct busy busy = {.started = event_new()};
	struct worker_fd *wfd;
	struct worker *w;

	assert_int_equal(worker_create("starve", poll_busy, &busy, &w), 0);
	worker_wake(w);
	assert_int_not_equal(wait_event(busy.started), 0);
	assert_int_equal(worker_watch(w, kick, EPOLLIN | EPOLLET, fd_gives_event, &done, &wfd), 0);
	for (int i = 0; i < 10; i++) {
		event_give(kick);
		assert_int_equal(wait_event(done), 1);
	}
	worker_destroy(w);
	close(kick);
	close(done);
	close(busy.started);
}

/* Guarantee (1): with the reverse order these two threads would wait for each other for ever. */
static void worker_lock_held_grace_period_ends(void **state)
{
	struct busy busy = {.started = event_new()};
	struct worker *w;

	assert_int_equal(worker_create("grace", poll_busy, &busy, &w), 0);
	worker_wake(w);
	assert_int_not_equal(wait_event(busy.started), 0);
	for (int i = 0; i < 100; i++) {
		lock(w);
		rcu_synchronize_readers();
		unlock(w);
		rcu_synchronize_readers();
	}
	worker_destroy(w);
	close(busy.started);
}

static void worker_idle_does_not_hold_up_grace_periods(void **state)
{
	int done = event_new();
	struct worker *w;

	assert_int_equal(worker_create("idle", poll_gives_event, &done, &w), 0);
	rcu_synchronize_readers(); /* before its first wake-up, and after each */
	for (int i = 0; i < 20; i++) {
		worker_wake(w);
		assert_int_not_equal(wait_event(done), 0);
		rcu_synchronize_readers();
	}
	worker_destroy(w);
	close(done);
}

/* (6): the earliest of several times counts, set while the thread sleeps; never early, and no other
 * comes after it. */
static void worker_wake_in_polls_once_at_the_earliest_time(void **state)
{
	int done = event_new();
	int64_t began = clock_now_ns();
	struct worker *w;

	(void)state;
	assert_int_equal(worker_create("t", poll_gives_event, &done, &w), 0);
	worker_wake_in(w, 3600 * NS_PER_SEC);
	assert_true(wait_event(done) > 0); /* it looks at the time */
	worker_wake_in(w, 20 * NS_PER_MS);
	worker_wake_in(w, 7200 * NS_PER_SEC); /* later than what is set: nothing */
	while (clock_now_ns() - began < 20 * NS_PER_MS)
		assert_true(wait_event(done) > 0);
	worker_destroy(w);
	close(done);
}

/* A process that is stopped over the time, and goes on, as with a debugger: the sleep ends early,
 * the time still counts. */
static void worker_wake_in_survives_a_stopped_process(void **state)
{
	int done = event_new();
	struct worker *w;
	pid_t helper;

	(void)state;
	assert_int_equal(worker_create("t", poll_gives_event, &done, &w), 0);
	for (int i = 0; i < 5; i++) {
		int64_t at = clock_now_ns() + 200 * NS_PER_MS;
		struct pollfd nothing = {.fd = -1};
		pid_t self = getpid();
		bool is_over;
		int status;

		worker_wake_in(w, 200 * NS_PER_MS);
		assert_int_not_equal(wait_event(done), 0); /* it looks at the time */
		is_over = clock_now_ns() >= at;            /* that may have been the one poll */
		helper = fork();
		assert_true(helper >= 0);
		if (helper == 0) {
			kill(self, SIGSTOP);
			(void)poll(&nothing, 1, 300);
			kill(self, SIGCONT);
			_exit(0);
		}
		assert_int_equal(waitpid(helper, &status, 0), helper);
		assert_true(is_over || wait_event(done) > 0);
	}
	worker_destroy(w);
	close(done);
}

/* (5): one that would not sleep for an hour still serves events, gives its lock away and ends. */
static void worker_lingering_serves_locks_readers_and_end(void **state)
{
	int done = event_new(), kick = event_new();
	struct worker_fd *wfd;
	struct worker *w;

	assert_int_equal(worker_create("linger", NULL, NULL, &w), 0);
	assert_int_equal(worker_watch(w, kick, EPOLLIN | EPOLLET, fd_gives_event, &done, &wfd), 0);
	worker_linger(w, INT64_C(3600000000000));
	for (int i = 0; i < 100; i++) {
		event_give(kick);
		assert_int_equal(wait_event(done), 1);
		lock(w);
		rcu_synchronize_readers();
		unlock(w);
	}
	worker_destroy(w);
	close(kick);
	close(done);
}

struct facts {
	struct worker *w;
	sigset_t blocked;
	cpu_set_t cpus;
	char name[16];
	bool current;
	int done;
};

static bool poll_looks_around(void *arg)
{
	struct facts *facts = arg;

	pthread_sigmask(SIG_SETMASK, NULL, &facts->blocked);
	sched_getaffinity(0, sizeof(facts->cpus), &facts->cpus);
	pthread_getname_np(pthread_self(), facts->name, sizeof(facts->name));
	facts->current = worker_is_current(facts->w);
	event_give(facts->done);
	return false;
}

static void worker_create_pinned_creator_gets_all_cpus(void **state)
{
	struct facts facts = {.done = event_new()};
	sigset_t before, after;
	cpu_set_t all, one;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++) {
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(
		worker_create("a name too long for a thread", poll_looks_around, &facts, &facts.w),
		0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	assert_memory_equal(&before, &after, 8);
	worker_wake(facts.w);
	assert_int_equal(wait_event(facts.done), 1);
	lock(facts.w);
	assert_true(CPU_EQUAL(&facts.cpus, &all));
	assert_string_equal(facts.name, "a name too long");
	assert_true(facts.current);
	assert_false(worker_is_current(facts.w));
	assert_int_equal(sigismember(&facts.blocked, SIGSEGV), 0);
	assert_int_equal(sigismember(&facts.blocked, SIGBUS), 0);
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		bool special = sig == SIGSEGV || sig == SIGBUS || sig == SIGKILL ||
			       sig == SIGSTOP || (sig >= 32 && sig < SIGRTMIN);

		if (!special)
			assert_int_equal(sigismember(&facts.blocked, sig), 1);
	}
	unlock(facts.w);
	worker_destroy(facts.w);
	close(facts.done);
}

static int nr_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	assert_non_null(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static void worker_create_destroy_1000_leaves_no_fd(void **state)
{
	int before = nr_open_fds();

	for (int i = 0; i < 1000; i++) {
		struct worker *w;

		assert_int_equal(worker_create("many", NULL, NULL, &w), 0);
		if (i % 2)
			worker_wake(w);
		worker_destroy(w);
	}
	assert_int_equal(nr_open_fds(), before);
	worker_destroy(NULL);
}

static void worker_destroy_in_forked_child_returns(void **state)
{
	struct busy busy = {.started = event_new()};
	struct worker *w;
	pid_t pid;

	assert_int_equal(worker_create("fork", poll_busy, &busy, &w), 0);
	worker_wake(w);
	assert_int_not_equal(wait_event(busy.started), 0);
	pid = fork(); /* the thread most likely holds the lock now */
	assert_true(pid >= 0);
	if (pid == 0) {
		worker_destroy(w);
		_exit(7);
	}
	assert_int_equal(wait_child(pid), 7 << 8);
	__atomic_store_n(&busy.nr_batches, 0, __ATOMIC_RELAXED);
	assert_int_equal(wait_event(busy.started), 1); /* the parent's worker did not notice */
	worker_destroy(w);
	close(busy.started);
}

static int rewatch(struct worker *w, struct worker_fd *wfd, uint32_t events) NO_TSA
{
	return worker_rewatch(w, wfd, events);
}

static void worker_rewatch_changes_events(void **state)
{
	int done = event_new(), fd = event_new();
	struct worker_fd *wfd;
	struct worker *w;

	assert_int_equal(worker_create("rewatch", NULL, NULL, &w), 0);
	assert_int_equal(worker_watch(w, fd, EPOLLIN | EPOLLET, fd_gives_event, &done, &wfd), 0);
	lock(w);
	assert_int_equal(rewatch(w, wfd, EPOLLOUT | EPOLLET), 0);
	unlock(w);
	assert_int_not_equal(wait_event(done), 0); /* an empty eventfd is writable, not readable */
	worker_destroy(w);
	close(fd);
	close(done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_wake_idle_runs_poll),
		cmocka_unit_test(worker_watch_edge_event_unread_calls_each_write),
		cmocka_unit_test(worker_settle_tells_old_events_from_new),
		cmocka_unit_test(worker_settle_ends_though_new_events_never_do),
		cmocka_unit_test(worker_watch_bad_fd_reports_errno),
		cmocka_unit_test(worker_unwatch_collected_event_is_dropped),
		cmocka_unit_test(worker_lock_busy_is_handed_over),
		cmocka_unit_test(worker_poll_busy_does_not_starve_fds),
		cmocka_unit_test(worker_lock_held_grace_period_ends),
		cmocka_unit_test(worker_idle_does_not_hold_up_grace_periods),
		cmocka_unit_test(worker_lingering_serves_locks_readers_and_end),
		cmocka_unit_test(worker_wake_in_polls_once_at_the_earliest_time),
		cmocka_unit_test(worker_wake_in_survives_a_stopped_process),
		cmocka_unit_test(worker_create_pinned_creator_gets_all_cpus),
		cmocka_unit_test(worker_create_destroy_1000_leaves_no_fd),
		cmocka_unit_test(worker_destroy_in_forked_child_returns),
		cmocka_unit_test(worker_rewatch_changes_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
