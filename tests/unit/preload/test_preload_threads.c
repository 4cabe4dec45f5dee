// SPDX-License-Identifier: BSD-3-Clause
/*
 * Threads that race calls against closes. Every result is checked: a call either works, or says
 * that the descriptor is closed or something else by now.
 */
#include "client.h"

#include <pthread.h>

#define NR_ROUNDS  300
#define NR_CALLERS 3

static int shared_fd; /* atomic */
static bool done;     /* atomic */
static int nr_wrong;  /* atomic */
static int nr_worked; /* atomic */

static bool is_expected(int rc)
{
	/* ENOTTY: between the table entry and the number, or another file */
	return rc == 0 || rc == 1 || rc == -EBADF || rc == -ENOTTY;
}

static int worked(void)
{
	return __atomic_load_n(&nr_worked, __ATOMIC_RELAXED);
}

static void *call(void *arg)
{
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		int rc = get_status(__atomic_load_n(&shared_fd, __ATOMIC_RELAXED));

		__atomic_add_fetch(rc >= 0 ? &nr_worked : &nr_wrong, rc >= 0 || !is_expected(rc),
				   __ATOMIC_RELAXED);
	}
	return NULL;
}

static void preload_calls_racing_close_work_or_are_refused(void **state)
{
	pthread_t threads[NR_CALLERS];

	shared_fd = open_node();
	for (int i = 0; i < NR_CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call, NULL), 0);
	/* at least so many rounds, and as many calls that worked */
	for (int i = 0; i < NR_ROUNDS || worked() < NR_ROUNDS; i++) {
		int fd;

		set_status(shared_fd, 1);
		close(shared_fd);
		/* a call in progress holds the device a little longer */
		while ((fd = open(NODE, O_RDWR)) < 0)
			assert_int_equal(errno, EBUSY);
		assert_int_equal(get_status(fd), 0);
		__atomic_store_n(&shared_fd, fd, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	for (int i = 0; i < NR_CALLERS; i++)
		pthread_join(threads[i], NULL);
	close(shared_fd);
	assert_int_equal(nr_wrong, 0);
	assert_closed();
}

static void *open_close(void *arg)
{
	int *nr_opened = arg;

	for (int i = 0; i < NR_ROUNDS; i++) {
		int fd = open(NODE, O_RDWR | O_CLOEXEC);

		if (fd < 0) {
			__atomic_add_fetch(&nr_wrong, errno != EBUSY, __ATOMIC_RELAXED);
			continue;
		}
		__atomic_add_fetch(&nr_wrong, get_status(fd) != 0, __ATOMIC_RELAXED);
		__atomic_add_fetch(nr_opened, 1, __ATOMIC_RELAXED);
		close(fd);
	}
	return NULL;
}

static void preload_racing_opens_have_one_winner_at_a_time(void **state)
{
	pthread_t threads[NR_CALLERS];
	int nr_opened = 0;

	for (int i = 0; i < NR_CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, open_close, &nr_opened), 0);
	for (int i = 0; i < NR_CALLERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(nr_wrong, 0);
	assert_true(nr_opened > 0);
	assert_closed();
}

static void *cancelled(void *arg)
{
	int fd = *(int *)arg;

	for (;;) {
		(void)get_status(fd);
		pthread_testcancel();
	}
	return NULL;
}

static void preload_cancelled_thread_leaves_no_lock_behind(void **state)
{
	int fd = open_node();

	for (int i = 0; i < 50; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, cancelled, &fd), 0);
		pthread_cancel(thread);
		pthread_join(thread, NULL);
		set_status(fd, 1);
	}
	close(fd);
	assert_closed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_calls_racing_close_work_or_are_refused),
		cmocka_unit_test(preload_racing_opens_have_one_winner_at_a_time),
		cmocka_unit_test(preload_cancelled_thread_leaves_no_lock_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
