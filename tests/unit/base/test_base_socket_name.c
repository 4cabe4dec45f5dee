// SPDX-License-Identifier: BSD-3-Clause
/* Socket names: taken from the dead alone, and given back only while they are ours. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/refuse.h"
#include "base/socket_name.h"
#include "wait.h"

enum { NR_STARTERS = 4, NR_RACES = 100 };
#define PASSING_HASH_OF_S 0xf60c4582u /* FNV-1a of "s", the last part of `path` */

static char folder[] = "/tmp/hf-name-XXXXXX";
static char path[40], other[40];

/* A socket as any program binds one. */
static int foreign_socket(const char *where, bool listens)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", where);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (listens)
		assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void make_dead(const char *where)
{
	int fd = foreign_socket(where, true);

	fd_close(&fd);
}

static bool is_reachable(const char *where)
{
	int fd = socket_name_connect(where);
	bool reached = fd >= 0;

	fd_close(&fd);
	return reached;
}

static ino_t inode_of(const char *where)
{
	struct stat st;

	assert_int_equal(lstat(where, &st), 0);
	return st.st_ino;
}

/* The name is refused with @err, and what has it is what it was. */
static void expect_kept(int err, const char *words)
{
	struct socket_name name = {.path = ""};
	ino_t before = inode_of(path);

	assert_int_equal(socket_name_listen(&name, path, 0, 4), err);
	assert_non_null(strstr(refuse_reason(), path));
	assert_non_null(strstr(refuse_reason(), words));
	assert_string_equal(name.path, "");
	assert_true(inode_of(path) == before);
	socket_name_remove_dead(path);
	assert_true(inode_of(path) == before);
}

static void name_of_a_regular_file_is_refused_and_the_file_kept(void **state)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char got[5] = "";

	(void)state;
	assert_int_equal(write(fd, "mine", 4), 4);
	expect_kept(-EEXIST, "not a socket");
	assert_int_equal(pread(fd, got, 4, 0), 4);
	assert_string_equal(got, "mine");
	fd_close(&fd);
}

static void name_of_a_folder_is_refused(void **state)
{
	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	expect_kept(-EEXIST, "not a socket");
	assert_int_equal(rmdir(path), 0);
}

static void name_of_a_fifo_is_refused_without_waiting(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_kept(-EEXIST, "not a socket");
}

static void name_of_a_link_to_a_file_is_refused_and_both_kept(void **state)
{
	int fd = open(other, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(symlink(other, path), 0);
	expect_kept(-EEXIST, "not a socket");
	assert_int_equal(access(other, F_OK), 0);
	fd_close(&fd);
}

static void name_of_a_live_socket_is_refused(void **state)
{
	int fd = foreign_socket(path, true);

	(void)state;
	expect_kept(-EADDRINUSE, "another process listens");
	assert_true(is_reachable(path));
	fd_close(&fd);
}

static void name_of_a_dead_socket_is_taken_and_given_back(void **state)
{
	struct socket_name name;
	struct stat st;
	int fd;

	(void)state;
	make_dead(path);
	fd = socket_name_listen(&name, path, 0600, 4);
	assert_true(fd >= 0);
	assert_true(is_reachable(path));
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	socket_name_remove(&name);
	assert_int_equal(access(path, F_OK), -1);
	fd_close(&fd);
	assert_int_equal(rmdir(folder), 0); /* nothing under a passing name is left */
	assert_int_equal(mkdir(folder, 0700), 0);
}

static void name_taken_over_meanwhile_is_left_alone(void **state)
{
	struct socket_name name;
	int fd = socket_name_listen(&name, path, 0, 4), theirs;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	theirs = foreign_socket(path, true);
	socket_name_remove(&name);
	assert_true(is_reachable(path));
	fd_close(&theirs);
	fd_close(&fd);
}

static void name_is_not_removed_by_a_forked_child(void **state)
{
	struct socket_name name;
	int fd = socket_name_listen(&name, path, 0, 4), status;
	pid_t child;

	(void)state;
	assert_true(fd >= 0);
	child = fork();
	if (child == 0) {
		socket_name_remove(&name);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(is_reachable(path));
	socket_name_remove(&name);
	fd_close(&fd);
}

/* A file under the name that a socket bears on its way is somebody's, too. */
static void name_on_the_way_that_is_in_use_is_left_alone(void **state)
{
	struct socket_name name;
	char passing[64];
	int file, fd;

	(void)state;
	for (int locked = 0; locked < 2; locked++) {
		if (locked)
			(void)snprintf(passing, sizeof(passing), "%s/" SOCKET_NAME_PASSING "%08x",
				       folder, PASSING_HASH_OF_S);
		else
			(void)snprintf(passing, sizeof(passing), "%s/.%x.0", folder,
				       (unsigned int)getpid());
		file = open(passing, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		fd = socket_name_listen(&name, path, 0, 4);
		assert_true(fd >= 0);
		assert_int_equal(unlink(passing), 0);
		socket_name_remove(&name);
		fd_close(&fd);
		fd_close(&file);
	}
}

static void dead_name_in_a_folder_that_somebody_keeps_locked_is_refused(void **state)
{
	struct socket_name name;
	int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

	(void)state;
	assert_int_equal(flock(lock, LOCK_EX), 0);
	fd = socket_name_listen(&name, path, 0, 4);
	assert_true(fd >= 0); /* a free name needs no lock */
	socket_name_remove(&name);
	fd_close(&fd);
	make_dead(path);
	assert_int_equal(socket_name_listen(&name, path, 0, 4), -EBUSY);
	assert_non_null(strstr(refuse_reason(), "by hand"));
	fd_close(&lock);
}

/* Says through its status whether it got the name; keeps the name until @end is closed by the
 * parent. */
static void starter(int start, int end, int report)
{
	struct socket_name name;
	char byte;
	int fd;

	if (read(start, &byte, 1) != 0)
		_exit(1);
	fd = socket_name_listen(&name, path, 0, NR_STARTERS);
	byte = fd >= 0 ? 'y' : fd == -EADDRINUSE ? 'n' : '?';
	if (write(report, &byte, 1) != 1 || read(end, &byte, 1) != 0)
		_exit(1);
	_exit(0); /* leaves a dead socket for the next race */
}

static void race(void)
{
	int start[2], end[2], report[2], status, nr[256] = {0};
	pid_t child[NR_STARTERS];

	assert_int_equal(pipe(start) | pipe(end) | pipe(report), 0);
	for (int i = 0; i < NR_STARTERS; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			close(start[1]);
			close(end[1]);
			starter(start[0], end[0], report[1]);
		}
	}
	close(start[1]);
	for (int i = 0; i < NR_STARTERS; i++) {
		unsigned char byte;

		assert_true(wait_readable(report[0]));
		assert_int_equal(read(report[0], &byte, 1), 1);
		nr[byte]++;
	}
	assert_int_equal(nr['y'], 1);
	assert_int_equal(nr['n'], NR_STARTERS - 1);
	assert_true(is_reachable(path));
	close(end[1]);
	for (int i = 0; i < NR_STARTERS; i++)
		assert_int_equal(waitpid(child[i], &status, 0), child[i]);
	close(start[0]);
	close(end[0]);
	close(report[0]);
	close(report[1]);
}

static void starters_race_for_a_dead_name_one_gets_it_and_keeps_it(void **state)
{
	(void)state;
	make_dead(path);
	for (int i = 0; i < NR_RACES; i++)
		race();
}

static void dead_sockets_and_links_to_nothing_are_cleared_away(void **state)
{
	int fd;

	(void)state;
	make_dead(path);
	assert_int_equal(symlink(path, other), 0);
	socket_name_remove_dead(other);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(readlink(other, (char[1]){0}, 1), -1);
	socket_name_remove_dead(path);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(symlink(path, other), 0);
	socket_name_remove_dead(other);
	assert_int_equal(readlink(other, (char[1]){0}, 1), -1);
	fd = foreign_socket(path, true);
	assert_int_equal(symlink(path, other), 0);
	socket_name_remove_dead(other);
	assert_true(is_reachable(other));
	fd_close(&fd);
}

static void too_long_names_are_refused_in_words(void **state)
{
	struct socket_name name;
	char text[200] = "/";

	(void)state;
	memset(text + 1, 'x', 150);
	assert_int_equal(socket_name_listen(&name, text, 0, 4), -ENAMETOOLONG);
	assert_non_null(strstr(refuse_reason(), "107"));
	assert_int_equal(socket_name_listen(&name, "", 0, 4), -ENAMETOOLONG);
}

/* The name that a socket bears on its way may be longer than bind(2) takes. */
static void longest_name_in_the_longest_folder_is_taken(void **state)
{
	char deep[SOCKET_NAME_SIZE], text[SOCKET_NAME_SIZE];
	struct socket_name name;
	int fd;

	(void)state;
	(void)snprintf(deep, sizeof(deep), "%s/%0*d", folder, 104 - (int)strlen(folder), 0);
	(void)snprintf(text, sizeof(text), "%.105s/y", deep);
	assert_int_equal(strlen(text), 107);
	assert_int_equal(mkdir(deep, 0700), 0);
	for (int i = 0; i < 2; i++) { /* a free one, then a dead one */
		fd = socket_name_listen(&name, text, 0, 4);
		assert_true(fd >= 0);
		assert_true(is_reachable(text));
		if (i == 1)
			socket_name_remove(&name);
		fd_close(&fd);
	}
	assert_int_equal(rmdir(deep), 0);
}

/* Killed on the way, a process leaves the passing name; whoever takes the same name removes it. */
static void socket_left_on_the_way_is_removed_by_the_next_starter(void **state)
{
	char passing[64];
	struct socket_name name;
	int fd = socket_name_listen(&name, path, 0, 4);

	(void)state;
	assert_true(fd >= 0);
	socket_name_remove(&name);
	fd_close(&fd);
	(void)snprintf(passing, sizeof(passing), "%s/" SOCKET_NAME_PASSING "%08x", folder,
		       PASSING_HASH_OF_S);
	fd = foreign_socket(passing, false); /* bound, and never listened */
	fd_close(&fd);
	assert_int_equal(access(passing, F_OK), 0);
	fd = socket_name_listen(&name, path, 0, 4);
	assert_true(fd >= 0);
	assert_int_equal(access(passing, F_OK), -1);
	socket_name_remove(&name);
	fd_close(&fd);
}

static int clear(void **state)
{
	(void)state;
	(void)unlink(path);
	(void)unlink(other);
	return 0;
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, clear)
	const struct CMUnitTest tests[] = {
		TEST(name_of_a_regular_file_is_refused_and_the_file_kept),
		TEST(name_of_a_folder_is_refused),
		TEST(name_of_a_fifo_is_refused_without_waiting),
		TEST(name_of_a_link_to_a_file_is_refused_and_both_kept),
		TEST(name_of_a_live_socket_is_refused),
		TEST(name_of_a_dead_socket_is_taken_and_given_back),
		TEST(name_taken_over_meanwhile_is_left_alone),
		TEST(name_is_not_removed_by_a_forked_child),
		TEST(name_on_the_way_that_is_in_use_is_left_alone),
		TEST(dead_name_in_a_folder_that_somebody_keeps_locked_is_refused),
		TEST(starters_race_for_a_dead_name_one_gets_it_and_keeps_it),
		TEST(dead_sockets_and_links_to_nothing_are_cleared_away),
		TEST(too_long_names_are_refused_in_words),
		TEST(longest_name_in_the_longest_folder_is_taken),
		TEST(socket_left_on_the_way_is_removed_by_the_next_starter),
	};
	int rc;

	if (!mkdtemp(folder))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/s", folder);
	(void)snprintf(other, sizeof(other), "%s/other", folder);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(folder);
	return rc;
}
