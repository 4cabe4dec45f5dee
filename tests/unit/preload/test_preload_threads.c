// SPDX-License-Identifier: BSD-3-Clause
/*
 * Threads that race calls against closes. Every result is checked: a call either works, or says
 * that the descriptor is closed or something else by now.
 */
#include "client.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "base/compiler.h"

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

/* A worker thread, and an eventfd, that the end of the session lets go. */
static void start_queue(int fd)
{
	struct vhost_vring_file file = {.index = 0, .fd = eventfd(0, EFD_CLOEXEC)};

	assert_int_equal(ioctl(fd, VHOST_SET_OWNER), 0);
	assert_int_equal(ioctl(fd, VHOST_SET_VRING_KICK, &file), 0);
	assert_int_equal(ioctl(fd, VHOST_SET_VRING_CALL, &file), 0);
	close(file.fd);
}

struct ending {
	void (*call)(int fd);
	int fd;
};

static void *call_and_end(void *arg)
{
	const struct ending *ending = arg;

	pthread_cancel(pthread_self());
	ending->call(ending->fd);
	return NULL;
}

static void call_dup(int fd)
{
	(void)dup(fd);
}

static void call_close(int fd)
{
	(void)close(fd);
}

static void call_write(int fd)
{
	(void)!write(fd, "x", 1);
}

static void call_status(int fd)
{
	(void)get_status(fd);
}

/* A call finds that the device was closed behind the library's back, and ends the session, in a
 * thread that is to end at its next cancellation point. */
static void preload_cancelled_thread_ends_a_session_to_its_end(void **state)
{
	static void (*const calls[])(int fd) = {call_dup, call_close, call_write, call_status};

	if (HF_ASAN) /* takes the frames of a cancelled thread for live ones */
		skip();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct ending ending = {calls[i], open_node()};
		pthread_t thread;

		start_queue(ending.fd);
		assert_int_equal(close_behind(ending.fd), 0);
		assert_int_equal(pthread_create(&thread, NULL, call_and_end, &ending), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_closed();
	}
}

#define FIRST_CLOSED 500
#define NR_OPENS     20000

static void *close_numbers(void *arg)
{
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		close_range(FIRST_CLOSED, FIRST_CLOSED + 100, 0);
	return NULL;
}

/* Only the numbers that the other thread closes are free. A descriptor that is open after a call on
 * it said ENOTTY was open during the call, for nobody else opens any: its device was lost. */
static void preload_open_racing_close_range_keeps_its_device(void **state)
{
	pthread_t closer;
	int nr_lost = 0;

	close(open_node());
	for (int fd = open("/dev/null", O_RDONLY); fd >= 0 && fd < FIRST_CLOSED - 1;)
		fd = dup(fd);
	done = false;
	assert_int_equal(pthread_create(&closer, NULL, close_numbers, NULL), 0);
	for (int i = 0; i < NR_OPENS; i++) {
		int fd = open(NODE, O_RDWR);

		if (fd < 0)
			continue;
		nr_lost += get_status(fd) == -ENOTTY && fcntl(fd, F_GETFD) >= 0;
		close(fd);
	}
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	pthread_join(closer, NULL);
	assert_int_equal(nr_lost, 0);
}

#define COPY_AT   400
#define NR_COPIES 100000

/* Behind the library's back; then a call finds the entry stale. */
static void *close_copies(void *arg)
{
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		(void)close_behind(COPY_AT);
		(void)get_status(COPY_AT);
	}
	return NULL;
}

static void *look_at_copy(void *arg)
{
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		(void)get_status(COPY_AT);
	return NULL;
}

/* The entry of the last copy is of the same file. To drop that one must not drop this one: ENOTTY
 * says that the number is open and its entry gone. */
static void preload_copy_racing_the_end_of_an_elder_copy_keeps_its_device(void **state)
{
	pthread_t closer, looker;
	int fd = open_node(), nr_lost = 0, nr_worked_before = 0;

	done = false;
	assert_int_equal(pthread_create(&closer, NULL, close_copies, NULL), 0);
	assert_int_equal(pthread_create(&looker, NULL, look_at_copy, NULL), 0);
	for (int i = 0; i < NR_COPIES; i++) {
		int rc;

		assert_int_equal(dup2(fd, COPY_AT), COPY_AT);
		rc = get_status(COPY_AT);
		nr_lost += rc == -ENOTTY;
		nr_worked_before += rc == 0;
	}
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	pthread_join(closer, NULL);
	pthread_join(looker, NULL);
	assert_int_equal(nr_lost, 0);
	assert_true(nr_worked_before > 0);
	close(COPY_AT);
	close(fd);
	assert_closed();
}

/* Copies, ends and copies onto each other, by all threads at once: at the end the last number that
 * is closed ends the session. */
static void *juggle(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	int fd = open(NODE, O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 5000; i++) {
		int a = COPY_AT + (int)(rand_r(&seed) % 8), b = COPY_AT + (int)(rand_r(&seed) % 8);

		switch (rand_r(&seed) % 6) {
		case 0:
			if (fd >= 0)
				dup2(fd, a);
			break;
		case 1:
			dup2(a, b);
			break;
		case 2:
			close(a);
			break;
		case 3:
			close_range((unsigned int)a, (unsigned int)a + 2, 0);
			break;
		case 4:
			fcntl(a, F_DUPFD_CLOEXEC, COPY_AT + 8);
			close_range(COPY_AT + 8, COPY_AT + 40, 0);
			break;
		default:
			(void)get_status(a);
		}
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void preload_copies_and_closes_of_all_threads_end_in_a_closed_device(void **state)
{
	pthread_t threads[NR_CALLERS];

	for (uintptr_t i = 0; i < NR_CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, juggle, (void *)i), 0);
	for (int i = 0; i < NR_CALLERS; i++)
		pthread_join(threads[i], NULL);
	close_range(COPY_AT, COPY_AT + 100, 0);
	assert_closed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_calls_racing_close_work_or_are_refused),
		cmocka_unit_test(preload_racing_opens_have_one_winner_at_a_time),
		cmocka_unit_test(preload_cancelled_thread_leaves_no_lock_behind),
		cmocka_unit_test(preload_cancelled_thread_ends_a_session_to_its_end),
		cmocka_unit_test(preload_copy_racing_the_end_of_an_elder_copy_keeps_its_device),
		cmocka_unit_test(preload_copies_and_closes_of_all_threads_end_in_a_closed_device),
		/* last: it uses up the low numbers */
		cmocka_unit_test(preload_open_racing_close_range_keeps_its_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
