// SPDX-License-Identifier: BSD-3-Clause
/* fd, log, refuse, size and overflow. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/iov.h"
#include "base/log.h"
#include "base/compiler.h"
#include "base/overflow.h"
#include "base/profile.h"
#include "base/refuse.h"
#include "base/size.h"
#include "../between.h"
#include "wait.h"

static void fd_close_keeps_errno_and_marks(void **state)
{
	int fd = eventfd(0, 0), copy = fd;

	errno = ENOTTY;
	fd_close(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	errno = ENOTTY;
	fd_close(&fd);
	fd_close(&(int){copy}); /* fails inside; still no errno */
	assert_int_equal(errno, ENOTTY);
}

static void fd_dup_sets_close_on_exec(void **state)
{
	int fd = eventfd(0, 0), copy = fd_dup(fd);

	assert_true(copy >= 0 && copy != fd);
	assert_int_equal(fcntl(copy, F_GETFD), FD_CLOEXEC);
	fd_close(&copy);
	fd_close(&fd);
	assert_int_equal(fd_dup(-1), -EBADF);
}

static void fd_is_eventfd_tells_kinds(void **state)
{
	int event = eventfd(0, EFD_NONBLOCK), file = open("/dev/null", O_RDONLY), pipes[2], closed;

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fd_is_eventfd(event), 1);
	assert_int_equal(fd_is_eventfd(file), 0);
	assert_int_equal(fd_is_eventfd(pipes[0]), 0);
	closed = event;
	fd_close(&event);
	assert_int_equal(fd_is_eventfd(closed), -EBADF);
	assert_int_equal(fd_is_eventfd(-1), -EBADF);
	fd_close(&file);
	fd_close(&pipes[0]);
	fd_close(&pipes[1]);
}

static void fd_signal_full_counter_does_not_block(void **state)
{
	uint64_t most = UINT64_MAX - 1, count;
	int blocking = eventfd(0, 0), fd = eventfd(0, 0);

	assert_int_equal(write(blocking, &most, sizeof(most)), 8);
	fd_signal(blocking, true);
	assert_int_equal(wait_event(blocking), most);
	fd_signal(blocking, true);
	assert_int_equal(wait_event(blocking), 1);
	assert_int_equal(fd_set_nonblock(fd), 0);
	assert_int_equal(fd_set_nonblock(fd), 0);
	assert_int_equal(fd_set_nonblock(-1), -EBADF);
	assert_int_equal(write(fd, &most, sizeof(most)), 8);
	errno = ENOTTY;
	fd_signal(fd, false);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(wait_event(fd), most);
	assert_int_equal(read(fd, &count, sizeof(count)), -1);
	fd_close(&blocking);
	fd_close(&fd);
}

/* Standard error, caught. */
static int log_pipe, log_saved;

static int log_catch(void **state)
{
	int pipes[2];

	if (pipe2(pipes, O_NONBLOCK) < 0)
		return -1;
	log_pipe = pipes[0];
	fflush(stderr);
	log_saved = dup(STDERR_FILENO);
	dup2(pipes[1], STDERR_FILENO);
	close(pipes[1]);
	return 0;
}

static int log_release(void **state)
{
	dup2(log_saved, STDERR_FILENO);
	close(log_saved);
	close(log_pipe);
	return 0;
}

static const char *log_taken(void)
{
	static char text[65536];
	ssize_t n = read(log_pipe, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void log_message_level_chooses(void **state)
{
	log_set_level(LOG_LEVEL_WARN);
	hf_info("dev0", "not shown");
	assert_string_equal(log_taken(), "");
	errno = ENOTTY;
	hf_warn("dev0", "value %d", 5);
	assert_int_equal(errno, ENOTTY);
	assert_string_equal(log_taken(), "holdfast: dev0: value 5\n");
	log_set_level(LOG_LEVEL_DEBUG);
	hf_dbg("dev1", "%s", "shown");
	assert_string_equal(log_taken(), "holdfast: dev1: shown\n");
}

static void log_message_long_is_cut_to_a_line(void **state)
{
	char text[2000];
	const char *got;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_set_level(LOG_LEVEL_WARN);
	hf_err("dev0", "%s", text);
	got = log_taken();
	assert_between(strlen(got), 400, 512);
	assert_int_equal(got[strlen(got) - 1], '\n');
	hf_err(text, "%s", "an object's name that fills the line");
	got = log_taken();
	assert_between(strlen(got), 400, 512);
	assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
}

static void log_message_flood_is_limited_and_counted(void **state)
{
	struct log_site site = {0};
	const char *got;
	int nr = 0;

	log_set_level(LOG_LEVEL_WARN);
	for (int i = 0; i < 1000; i++)
		log_message(&site, LOG_LEVEL_WARN, "dev0", "flood");
	got = log_taken();
	for (const char *p = got; (p = strchr(p, '\n')); p++)
		nr++;
	assert_between(nr, 10, 40); /* more than 10 only where the loop takes over a second */
	/* A second later, seen from the site. */
	site.window_ns -= INT64_C(1000000000);
	nr = (int)site.nr_left_out;
	assert_between(nr, 1, 990);
	log_message(&site, LOG_LEVEL_WARN, "dev0", "after");
	got = log_taken();
	assert_int_equal(atoi(got + strlen("holdfast: dev0: ")), nr);
	assert_non_null(strstr(got, "left out\nholdfast: dev0: after\n"));
}

static void log_level_comes_from_environment(void **state)
{
	static const struct {
		const char *env;
		const char *expected;
	} cases[] = {{"err", "e"},      {"warn", "ew"},     {"info", "ewi"},
		     {"debug", "ewid"}, {"nonsense", "ew"}, {NULL, "ew"}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char self[256], *argv[] = {self, (char *)"--log", NULL};
		pid_t pid;

		memset(self, 0, sizeof(self));
		assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
		if (cases[i].env)
			setenv("HOLDFAST_LOG_LEVEL", cases[i].env, 1);
		else
			unsetenv("HOLDFAST_LOG_LEVEL");
		pid = fork();
		if (pid == 0) {
			execv(self, argv);
			_exit(127);
		}
		assert_int_equal(wait_child(pid), 0);
		{
			char seen[8] = "", *out = seen;

			for (const char *p = log_taken(); (p = strstr(p, "holdfast: o: ")); p++)
				*out++ = p[13];
			*out = '\0';
			assert_string_equal(seen, cases[i].expected);
		}
	}
}

static int log_child(void)
{
	hf_err("o", "e");
	hf_warn("o", "w");
	hf_info("o", "i");
	hf_dbg("o", "d");
	return 0;
}

/* A pipe whose reader has gone, in the place of stderr: who has a message to write must not end by
 * it. */
static void log_message_that_nobody_reads_ends_nobody(void **state)
{
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGPIPE, SIG_DFL);
		close(fds[0]);
		(void)dup2(fds[1], STDERR_FILENO);
		hf_err("test", "nobody reads this");
		_exit(errno == EPIPE ? 1 : 0);
	}
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void log_escape_keeps_one_printed_line(void **state)
{
	char dst[32];

	log_escape(dst, sizeof(dst), "ab\n\x80\\", 5);
	assert_string_equal(dst, "ab\\x0a\\x80\\x5c");
	log_escape(dst, 6, "a\n\n", 3);
	assert_string_equal(dst, "a\\x0a");
	log_escape(dst, 5, "a\n\n", 3);
	assert_string_equal(dst, "a");
	log_escape(dst, 1, "abc", 3);
	assert_string_equal(dst, "");
	log_escape(dst, 4, "abcdef", 6);
	assert_string_equal(dst, "abc");
}

static void *refuse_elsewhere(void *arg)
{
	const char *reason = refuse_reason();

	if (*reason != '\0' || refuse(-EINVAL, "other") != -EINVAL)
		return NULL;
	return arg;
}

static void refuse_reason_is_the_threads_own(void **state)
{
	char text[600];
	pthread_t thread;
	void *ret;

	refuse_clear();
	assert_string_equal(refuse_reason(), "");
	assert_int_equal(refuse(-EFAULT, "size %d", 3), -EFAULT);
	assert_int_equal(pthread_create(&thread, NULL, refuse_elsewhere, text), 0);
	pthread_join(thread, &ret);
	assert_ptr_equal(ret, text);
	assert_string_equal(refuse_reason(), "size 3");
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(refuse(-1, "%s", text), -1);
	assert_int_equal(strlen(refuse_reason()), 511);
	refuse_clear();
	assert_string_equal(refuse_reason(), "");
}

static void refuse_with_the_last_reason_extends_it(void **state)
{
	assert_int_equal(refuse(-EINVAL, "queue %d", 7), -EINVAL);
	assert_int_equal(refuse(-ENODEV, "device dev0: %s of %s", refuse_reason(), refuse_reason()),
			 -ENODEV);
	assert_string_equal(refuse_reason(), "device dev0: queue 7 of queue 7");
	refuse_clear();
}

static void refuse_long_reason_is_cut(void **state)
{
	assert_int_equal(refuse(-EINVAL, "%0600d", 1), -EINVAL);
	for (int i = 0; i < 3; i++) /* grows over its end */
		refuse(-EINVAL, "%s%s", refuse_reason(), refuse_reason());
	assert_int_equal(strlen(refuse_reason()), 511);
	refuse_clear();
}

static void range_last_checks_bounds(void **state)
{
	uint64_t last = 42;

	assert_false(range_last(5, 0, &last));
	assert_false(range_last(UINT64_MAX, 2, &last));
	assert_false(range_last(2, UINT64_MAX, &last));
	assert_int_equal(last, 42);
	assert_true(range_last(UINT64_MAX, 1, &last));
	assert_int_equal(last, UINT64_MAX);
	assert_true(range_last(1, UINT64_MAX, &last));
	assert_int_equal(last, UINT64_MAX);
	assert_true(range_overlaps(0, 5, 5, 9));
	assert_false(range_overlaps(0, 4, 5, 9));
	assert_true(range_contains(0, UINT64_MAX, UINT64_MAX, UINT64_MAX));
	assert_false(range_contains(1, 5, 0, 2));
	assert_false(range_contains(1, 5, 4, 6));
	assert_false(range_contains(1, 5, 4, 3));
}

static void iov_walk_skips_visits_and_ends(void **state)
{
	char a[] = {'a', 'b', 'c'}, c[] = {'d', 'e'}, got[8] = "";
	const struct iovec iov[] = {{a, 3}, {NULL, 0}, {c, 2}};
	struct iov_walk w = iov_walk_from(iov, 3, 2, 2);

	(void)state;
	assert_true(iov_walk_next(&w));
	assert_int_equal(w.idx, 0);
	assert_ptr_equal(iov_walk_base(&w), a + 2);
	assert_int_equal(w.len, 1);
	assert_true(iov_walk_next(&w));
	assert_int_equal(w.idx, 2); /* an empty piece is no part */
	assert_int_equal(w.off, 0);
	assert_int_equal(w.len, 1);
	assert_false(iov_walk_next(&w));
	assert_int_equal(w.left, 0);

	assert_int_equal(iov_read(iov, 3, 1, got, sizeof(got)), 4);
	assert_memory_equal(got, "bcde", 5);
	assert_int_equal(iov_read(iov, 3, 5, got, 1), 0);
	assert_int_equal(iov_read(iov, 3, 9, got, 1), 0);
	assert_int_equal(iov_write(iov, 3, 2, "XYZ", 3), 3);
	assert_memory_equal(a, "abX", 3);
	assert_memory_equal(c, "YZ", 2);
	assert_int_equal(iov_write(iov, 3, 4, "12", 2), 1);
	assert_memory_equal(c, "Y1", 2);
}

static void profile_of_a_release_is_the_newest_that_is_not_newer(void **state)
{
	static const struct {
		const char *release;
		enum profile profile;
	} rows[] = {
		{"6.12.117+deb12-amd64", PROFILE_LINUX_6_12},
		{"7.2.13+deb14-amd64", PROFILE_LINUX_7_2},
		{"6.18.0", PROFILE_LINUX_6_12}, /* between two: as far as was measured */
		{"7.1.9", PROFILE_LINUX_6_12},
		{"7.10.0", PROFILE_LINUX_7_2},
		{"6.1.0", PROFILE_LINUX_6_12}, /* older than all */
		{"", PROFILE_LINUX_6_12},
		{"next", PROFILE_LINUX_6_12},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(profile_by_release(rows[i].release), rows[i].profile);
	for (unsigned int i = PROFILE_DEFAULT + 1; i < PROFILE_NR; i++) {
		assert_int_equal(profile_by_name(profile_name((enum profile)i)), i);
		assert_int_equal(profile_by_release(profile_release((enum profile)i)), i);
	}
	assert_int_equal(profile_by_name("linux-6.1"), PROFILE_DEFAULT);
	assert_int_equal(profile_by_name("default"), PROFILE_DEFAULT);
}

static void size_parse_takes_suffixes_and_tells_the_end(void **state)
{
	static const struct {
		const char *text;
		int err, bare_err;
		uint64_t value, bare_value;
		const char *rest, *bare_rest;
	} rows[] = {
		{"0", 0, 0, 0, 0, "", ""},
		{"4096", 0, 0, 4096, 4096, "", ""},
		{"0x200", 0, 0, 512, 512, "", ""},
		{"64K", 0, 0, 65536, 64, "", "K"},
		{"64k,1", 0, 0, 65536, 64, ",1", "k,1"},
		{"2M", 0, 0, UINT64_C(2) << 20, 2, "", "M"},
		{"3gB", 0, 0, UINT64_C(3) << 30, 3, "B", "gB"},
		{"1T", 0, 0, UINT64_C(1) << 40, 1, "", "T"},
		{"16777215T", 0, 0, UINT64_C(16777215) << 40, 16777215, "", "T"},
		{"16777216T", -ERANGE, 0, 0, 16777216, "", "T"},
		{"18446744073709551615", 0, 0, UINT64_MAX, UINT64_MAX, "", ""},
		{"18446744073709551616", -ERANGE, -ERANGE, 0, 0, "", ""},
		{"", -EINVAL, -EINVAL, 0, 0, "", ""},
		{"K", -EINVAL, -EINVAL, 0, 0, "", ""},
		{"-1", -EINVAL, -EINVAL, 0, 0, "", ""},
		{" 1", -EINVAL, -EINVAL, 0, 0, "", ""},
		{"+1", -EINVAL, -EINVAL, 0, 0, "", ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = 0, bare_value = 0;
		const char *end;

		assert_int_equal(size_parse(rows[i].text, &end, &value), rows[i].err);
		assert_int_equal(value, rows[i].value);
		if (!rows[i].err)
			assert_string_equal(end, rows[i].rest);
		assert_int_equal(size_parse_bare(rows[i].text, &end, &bare_value),
				 rows[i].bare_err);
		assert_int_equal(bare_value, rows[i].bare_value);
		if (!rows[i].bare_err)
			assert_string_equal(end, rows[i].bare_rest);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iov_walk_skips_visits_and_ends),
		cmocka_unit_test(fd_close_keeps_errno_and_marks),
		cmocka_unit_test(fd_dup_sets_close_on_exec),
		cmocka_unit_test(fd_is_eventfd_tells_kinds),
		cmocka_unit_test(fd_signal_full_counter_does_not_block),
		cmocka_unit_test_setup_teardown(log_message_level_chooses, log_catch, log_release),
		cmocka_unit_test_setup_teardown(log_message_long_is_cut_to_a_line, log_catch,
						log_release),
		cmocka_unit_test_setup_teardown(log_message_flood_is_limited_and_counted, log_catch,
						log_release),
		cmocka_unit_test_setup_teardown(log_level_comes_from_environment, log_catch,
						log_release),
		cmocka_unit_test(log_message_that_nobody_reads_ends_nobody),
		cmocka_unit_test(log_escape_keeps_one_printed_line),
		cmocka_unit_test(refuse_reason_is_the_threads_own),
		cmocka_unit_test(refuse_with_the_last_reason_extends_it),
		cmocka_unit_test(refuse_long_reason_is_cut),
		cmocka_unit_test(range_last_checks_bounds),
		cmocka_unit_test(size_parse_takes_suffixes_and_tells_the_end),
		cmocka_unit_test(profile_of_a_release_is_the_newest_that_is_not_newer),
	};

	if (argc > 1 && strcmp(argv[1], "--log") == 0)
		return log_child();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
