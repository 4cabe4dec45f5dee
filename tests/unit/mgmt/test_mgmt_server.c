// SPDX-License-Identifier: BSD-3-Clause
/* The server of lines and its sockets, against clients that mean harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "mgmt/server.h"
#include "mgmt/socket.h"

#define LINE_MAX_LEN 100
#define LINE_MS      300 /* where a test waits for its end */
#define IDLE_MS      60000
#define DEADLINE_MS  20000
#define BIG          (8u << 20)

static char folder[] = "/tmp/holdfast-test-XXXXXX";
static char path[64];
static struct socket_name name;
static struct mgmt_server *server;

/* "big" is answered with a lot, everything else with its length. */
static char *handle(void *arg, const char *line, size_t len)
{
	char *reply = malloc(BIG);

	(void)arg;
	if (!reply)
		return NULL;
	if (len == 3 && memcmp(line, "big", 3) == 0) {
		memset(reply, 'x', BIG - 1);
		reply[BIG - 1] = '\0';
	} else {
		snprintf(reply, BIG, "%zu", len);
	}
	return reply;
}

static int start(unsigned int line_ms)
{
	struct mgmt_server_options options = {
		.handle = handle, .line_max = LINE_MAX_LEN, .line_ms = line_ms, .idle_ms = IDLE_MS};
	int fd = mgmt_socket_listen(&name, path);

	return fd < 0 ? fd : mgmt_server_start(&options, fd, &server);
}

static int setup(void **state)
{
	(void)state;
	return start(IDLE_MS);
}

static int setup_hasty(void **state)
{
	(void)state;
	return start(LINE_MS);
}

static int teardown(void **state)
{
	(void)state;
	mgmt_server_stop(server);
	server = NULL;
	(void)unlink(path);
	return 0;
}

/* A blocking connection; retried while the server is busy with others. */
static int client(void)
{
	struct pollfd none = {.fd = -1};
	pid_t pid;
	int fd = -EAGAIN;

	for (int i = 0; i < DEADLINE_MS && fd == -EAGAIN; i++) {
		fd = mgmt_socket_connect(path, &pid);
		if (fd == -EAGAIN)
			poll(&none, 1, 1);
	}
	assert_true(fd >= 0);
	assert_int_equal(pid, getpid());
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What comes up to a line end, or to the end of the stream. */
static void expect(int fd, const char *text)
{
	char got[64] = "";
	size_t len = 0;

	while (len < sizeof(got) - 1 && !strchr(got, '\n')) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		n = recv(fd, got + len, 1, 0);
		if (n <= 0)
			break;
		len++;
	}
	assert_string_equal(got, text);
}

/* The server hangs up by itself; what it still says does not count. */
static void expect_end(int fd)
{
	char buf[4096];
	ssize_t n = 1;

	while (n > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		n = recv(fd, buf, sizeof(buf), 0);
	}
	close(fd);
}

static void lines_are_answered_one_by_one(void **state)
{
	int a = client(), b = client();

	(void)state;
	say(a, "abc\n");
	expect(a, "3\n");
	say(a, "a\n\nabcd\nab");
	expect(a, "1\n");
	expect(a, "0\n");
	expect(a, "4\n");
	say(b, "hello\n");
	expect(b, "5\n");
	say(a, "cd\n");
	expect(a, "4\n");
	close(a);
	close(b);
}

static void half_a_line_and_silence_is_hung_up_on(void **state)
{
	int quiet = client(), half = client(), other = client();

	(void)state;
	say(half, "abc");
	say(other, "ab\n");
	expect(other, "2\n");
	expect_end(half);
	say(quiet, "a\n"); /* saying nothing is allowed for longer */
	expect(quiet, "1\n");
	close(quiet);
	close(other);
}

static void too_long_a_line_is_answered_and_hung_up_on(void **state)
{
	char line[2 * LINE_MAX_LEN];
	int fd = client();

	(void)state;
	memset(line, 'x', sizeof(line));
	assert_int_equal(send(fd, line, LINE_MAX_LEN, MSG_NOSIGNAL), LINE_MAX_LEN);
	assert_int_equal(send(fd, "\n", 1, MSG_NOSIGNAL), 1);
	expect(fd, "100\n");
	assert_int_equal(send(fd, line, LINE_MAX_LEN + 1, MSG_NOSIGNAL), LINE_MAX_LEN + 1);
	expect(fd, "101\n");
	expect_end(fd);
}

static void who_does_not_read_delays_nobody(void **state)
{
	int deaf = client(), other = client();
	struct pollfd gone = {.fd = deaf, .events = POLLRDHUP};

	(void)state;
	say(deaf, "big\nbig\nbig\nbig\n");
	for (int i = 0; i < 100; i++) {
		say(other, "abc\n");
		expect(other, "3\n");
	}
	assert_int_equal(poll(&gone, 1, DEADLINE_MS), 1); /* nothing was read of all that */
	close(deaf);
	close(other);
}

static void many_connections_leave_room_for_one_more(void **state)
{
	int fds[200];

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		fds[i] = client();
		say(fds[i], i % 2 ? "a" : "a\n");
	}
	say(fds[199], "b\n");
	expect(fds[199], "2\n");
	for (size_t i = 0; i < 200; i++)
		close(fds[i]);
	fds[0] = client();
	say(fds[0], "abc\n");
	expect(fds[0], "3\n");
	close(fds[0]);
}

static void forked_child_holds_nothing_of_the_servers(void **state)
{
	int fd = client(), tube[2];
	pid_t child, pid;
	int status;

	(void)state;
	say(fd, "abc\n");
	expect(fd, "3\n");
	assert_int_equal(pipe(tube), 0);
	child = fork();
	if (child == 0) {
		char c;

		close(fd);
		close(tube[1]);
		mgmt_server_after_fork(server);
		_exit(read(tube[0], &c, 1) == 1 ? 0 : 1);
	}
	assert_true(child > 0);
	close(tube[0]);
	say(fd, "abcd\n"); /* the parent goes on */
	expect(fd, "4\n");
	mgmt_server_stop(server);
	server = NULL;
	expect_end(fd);
	assert_int_equal(mgmt_socket_connect(path, &pid), -ECONNREFUSED);
	assert_int_equal(write(tube[1], "x", 1), 1);
	close(tube[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#if !HF_TSAN /* takes numbers that are used again behind its back for races */
/* poll(2) keeps what it looks at, the listener too, until it returns. Return: the error that
 * connecting comes to */
static int connect_at_last(void)
{
	struct pollfd none = {.fd = -1};
	int fd = 0;

	for (int i = 0; i < DEADLINE_MS && (fd >= 0 || fd == -EAGAIN); i++) {
		fd = mgmt_socket_connect(path, &(pid_t){0});
		if (fd >= 0)
			close(fd);
		poll(&none, 1, 1);
	}
	return fd;
}

/* A client process that closes descriptors it does not know. */
static void lost_descriptors_end_the_server_quietly(void **state)
{
	int fd = client(), other = client();

	(void)state;
	say(fd, "a\n");
	expect(fd, "1\n");
	/* not by libc, whose closing of a descriptor in use a sanitizer reports */
	assert_int_equal(syscall(SYS_close_range, 700, 760, 0), 0);
	close(fd);
	close(other);
	/* stop, in the teardown, joins the thread: it has ended or ends now */
	assert_int_equal(connect_at_last(), -ECONNREFUSED);
}
#endif

static void names_are_taken_only_from_the_dead(void **state)
{
	pid_t pid;
	int fd;

	(void)state;
	assert_int_equal(mgmt_socket_listen(&name, path), -EADDRINUSE);
	mgmt_server_stop(server);
	server = NULL;
	assert_int_equal(mgmt_socket_connect(path, &pid), -ECONNREFUSED);
	fd = mgmt_socket_listen(&name, path);
	assert_true(fd >= 0);
	assert_true(mgmt_socket_connect(path, &pid) >= 0);
	close(fd);
	(void)unlink(path);
	assert_int_equal(mgmt_socket_connect(path, &pid), -ENOENT);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_int_equal(mgmt_socket_listen(&name, path), -EEXIST);
}

static void folders_that_others_can_write_to_are_not_used(void **state)
{
	char dir[80], other[80];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/d", folder);
	assert_int_equal(mgmt_socket_check_dir(dir, false), -ENOENT);
	assert_int_equal(mgmt_socket_check_dir(dir, true), 0);
	assert_int_equal(mgmt_socket_check_dir(dir, false), 0);
	assert_int_equal(chmod(dir, 0770), 0);
	assert_int_equal(mgmt_socket_check_dir(dir, true), -EPERM);
	assert_int_equal(chmod(dir, 0700), 0);
	snprintf(other, sizeof(other), "%s/link", folder);
	assert_int_equal(symlink(dir, other), 0);
	assert_int_equal(mgmt_socket_check_dir(other, true), -EPERM);
	unlink(other);
	rmdir(dir);
	assert_int_equal(mgmt_socket_check_dir("/tmp", true), -EPERM);
}

/* The process around the server has no descriptor left, and somebody connects. */
static void server_without_descriptors_waits_quietly(void **state)
{
	struct rlimit before, few;
	struct rusage from, to;
	int fds[100], fd;
	int64_t us;
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = fd = dup(STDIN_FILENO);
	assert_true(fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)fd + 1;
	close(fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	fd = mgmt_socket_connect(path, &pid); /* has the last number */
	getrusage(RUSAGE_SELF, &from);
	poll(NULL, 0, 500);
	getrusage(RUSAGE_SELF, &to);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(fd);
	for (size_t i = 0; i + 1 < ARRAY_LEN(fds); i++)
		close(fds[i]);
	us = (to.ru_utime.tv_sec - from.ru_utime.tv_sec + to.ru_stime.tv_sec -
	      from.ru_stime.tv_sec) *
		     1000000 +
	     to.ru_utime.tv_usec - from.ru_utime.tv_usec + to.ru_stime.tv_usec -
	     from.ru_stime.tv_usec;
	if (us > 150000)
		fail_msg("%lld us of processor time in 500000 us without anything to do",
			 (long long)us);
}

int main(void)
{
#define TEST(fn)       cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define TEST_HASTY(fn) cmocka_unit_test_setup_teardown(fn, setup_hasty, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(server_without_descriptors_waits_quietly, setup,
						teardown),
		TEST(lines_are_answered_one_by_one),
		TEST_HASTY(half_a_line_and_silence_is_hung_up_on),
		TEST(too_long_a_line_is_answered_and_hung_up_on),
		TEST_HASTY(who_does_not_read_delays_nobody),
		TEST(many_connections_leave_room_for_one_more),
		TEST(forked_child_holds_nothing_of_the_servers),
#if !HF_TSAN
		TEST(lost_descriptors_end_the_server_quietly),
#endif
		TEST(names_are_taken_only_from_the_dead),
		TEST(folders_that_others_can_write_to_are_not_used),
	};
	int rc;

	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/s", folder);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	(void)rmdir(folder);
	return rc;
}
