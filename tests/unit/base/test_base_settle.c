// SPDX-License-Identifier: BSD-3-Clause
/*
 * An event from before worker_settle() that the worker's thread collects in its midst, in a wait
 * that has only just begun (ld's --wrap puts the two in this order). It comes as an old one.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include <cmocka.h>

#include "base/worker.h"
#include "wait.h"

enum stage { FREE, HOLD, HELD, SETTLES, COLLECTED };

static enum stage stage; /* atomic */
static struct worker *w; /* const while its thread runs */

static enum stage stage_now(void)
{
	return __atomic_load_n(&stage, __ATOMIC_ACQUIRE);
}

static void stage_is(enum stage now)
{
	__atomic_store_n(&stage, now, __ATOMIC_RELEASE);
}

static void stage_wait(enum stage until)
{
	while (stage_now() != until)
		(void)sched_yield();
}

int __real_epoll_wait(int fd, struct epoll_event *events, int max, int ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int ms)
{
	int nr;

	if (stage_now() == FREE || stage_now() == COLLECTED)
		return __real_epoll_wait(fd, events, max, ms);
	if (!worker_is_current(w)) { /* in worker_settle() */
		stage_is(SETTLES);
		stage_wait(COLLECTED);
		return __real_epoll_wait(fd, events, max, ms);
	}
	if (stage_now() == HOLD) {
		stage_is(HELD);
		stage_wait(SETTLES);
		errno = EINTR; /* it waits again */
		return -1;
	}
	nr = __real_epoll_wait(fd, events, max, ms);
	stage_is(COLLECTED);
	return nr;
}

static unsigned int nr_old, nr_new; /* lock */
static int done;

static void kicked(void *arg, uint32_t events)
{
	if (worker_event_is_old(w))
		nr_old++;
	else
		nr_new++;
	event_give(done);
}

static void event_that_is_collected_in_the_midst_of_settling_is_old(void **state) NO_TSA
{
	struct worker_fd *wfd;
	int kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(worker_create("settle", NULL, NULL, &w), 0);
	assert_int_equal(worker_watch(w, kick, EPOLLIN | EPOLLET, kicked, NULL, &wfd), 0);
	stage_is(HOLD);
	worker_wake(w);
	stage_wait(HELD);
	worker_lock(w);
	event_give(kick);
	worker_settle(w);
	worker_unlock(w);
	wait_event(done);
	worker_lock(w);
	assert_int_equal(nr_old, 1);
	assert_int_equal(nr_new, 0);
	worker_unlock(w);
	worker_destroy(w);
	close(kick);
	close(done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_that_is_collected_in_the_midst_of_settling_is_old),
	};

	return cmocka_run_group_tests_name("base-settle", tests, NULL, NULL);
}
