// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls that any file takes. tests/kernel/file_calls.c has what a device answers to sound
 * arguments. Here are the others, compared with what the kernel says of /dev/null; and descriptors
 * that are none of a device.
 */
#include "client.h"

#define LIKE "/dev/null"

/* A descriptor of the path alone neither makes the node busy nor takes calls. */
static void preload_path_alone_opens_no_device(void **state)
{
	int path = open(NODE, O_PATH | O_CLOEXEC), fd = open_node();
	uint8_t status;
	struct stat st;

	assert_true(path >= 0);
	assert_errno(EBADF, ioctl(path, VHOST_VDPA_GET_STATUS, &status));
	assert_int_equal(fstat(path, &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	close(path);
	close(fd);
	assert_closed();
}

/* ---- arguments that are wrong, or odd ---- */

static long result(long rc)
{
	return rc == -1 ? -errno : rc;
}

/* All modes of fallocate(2), and a range that no file has. */
static long allocate(int fd, int i)
{
	return result(i < 0x80 ? fallocate(fd, i, 0, 4096) : fallocate(fd, 0, INT64_MAX, i));
}

static long allocate_by_libc(int fd, int i)
{
	static const off_t offs[] = {0, 0, -1, 4096}, lens[] = {4096, 0, 4096, -1};

	return posix_fallocate(fd, offs[i], lens[i]);
}

static long sync_range(int fd, int i)
{
	static const off_t offs[] = {0, -1, 0, INT64_MAX, 0}, lens[] = {8, 8, -8, 8, 8};

	return result(sync_file_range(fd, offs[i], lens[i], i == 4 ? 8 : 0));
}

static long read_ahead(int fd, int i)
{
	return result(readahead(fd, 0, 4096));
}

static long set_signal(int fd, int i)
{
	static const int sigs[] = {0, 10, 64, 65, -1};

	return result(fcntl(fd, F_SETSIG, sigs[i]));
}

static long cut_by_number(int fd, int i)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return result(truncate(path, i));
}

static const struct {
	const char *name;
	long (*call)(int fd, int i);
	int nr; /* kinds of arguments */
} odd_calls[] = {
	{"fallocate", allocate, 0x82},      {"posix_fallocate", allocate_by_libc, 4},
	{"sync_file_range", sync_range, 5}, {"readahead", read_ahead, 1},
	{"F_SETSIG", set_signal, 5},        {"truncate of /proc/self/fd/N", cut_by_number, 2},
};

static void preload_odd_arguments_get_the_kernels_answer(void **state)
{
	static const int modes[] = {O_RDWR, O_RDONLY, O_WRONLY};
	int nr_wrong = 0;

	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		int fd = open(NODE, modes[m] | O_CLOEXEC), like = open(LIKE, modes[m] | O_CLOEXEC);

		assert_true(fd >= 0 && like >= 0);
		for (size_t c = 0; c < sizeof(odd_calls) / sizeof(odd_calls[0]); c++) {
			for (int i = 0; i < odd_calls[c].nr; i++) {
				long got = odd_calls[c].call(fd, i);
				long wanted = odd_calls[c].call(like, i);

				if (got != wanted)
					print_message("%s, %d, mode %d: %ld, the kernel's %ld\n",
						      odd_calls[c].name, i, modes[m], got, wanted);
				nr_wrong += got != wanted;
			}
		}
		close(fd);
		close(like);
	}
	assert_int_equal(nr_wrong, 0);
	assert_closed();
}

/* /dev/null has positions, and takes them: this is another kind of device. */
static void preload_seek_by_no_way_is_einval(void **state)
{
	int fd = open_node();
	long got[] = {result(lseek(fd, 0, SEEK_HOLE)), result(lseek(fd, 0, 5)),
		      result(lseek(fd, 0, -1))};

	close(fd);
	assert_int_equal(got[0], -ESPIPE);
	assert_int_equal(got[1], -EINVAL);
	assert_int_equal(got[2], -EINVAL);
}

/* Some flags of an open are the file's from then on, and direct access no device has. */
static void preload_open_keeps_its_flags(void **state)
{
	static const int flags[] = {O_APPEND, O_NONBLOCK, O_DSYNC, O_SYNC};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		int fd = open(NODE, O_RDWR | O_CLOEXEC | flags[i]), got = fcntl(fd, F_GETFL);

		close(fd);
		assert_int_equal(got & flags[i], flags[i]);
	}
	assert_errno(EINVAL, open(LIKE, O_RDWR | O_CLOEXEC | O_DIRECT));
	assert_errno(EINVAL, open(NODE, O_RDWR | O_CLOEXEC | O_DIRECT));
	assert_closed();
}

/* ---- locks ---- */

/* The library has locks of its own on what stands for the device. */
static void preload_lockf_locks_all_of_the_device(void **state)
{
	static const int how[] = {F_TEST, F_TLOCK, F_LOCK, F_ULOCK, 77};
	long got[5], wanted[5];

	(void)alarm(20); /* F_LOCK would wait for ever */
	for (int k = 0; k < 2; k++) {
		int fd = open(k ? LIKE : NODE, O_RDWR | O_CLOEXEC);

		for (int i = 0; i < 5; i++)
			(k ? wanted : got)[i] = result(lockf(fd, how[i], 0));
		close(fd);
	}
	(void)alarm(0);
	assert_memory_equal(got, wanted, sizeof(got));
	assert_closed();
}

/* What F_GETLK says in a child of the process that has locked. */
static void get_lock(int fd, struct flock *out)
{
	int pipe_fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0) {
		struct flock asked = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = 0};

		_exit(fcntl(fd, F_GETLK, &asked) < 0 ||
		      write(pipe_fds[1], &asked, sizeof(asked)) != sizeof(asked));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(pipe_fds[0], out, sizeof(*out)), sizeof(*out));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void preload_locks_are_shown_as_they_were_taken(void **state)
{
	static const char *const paths[] = {NODE, LIKE};
	struct flock got[2][3];

	for (int i = 0; i < 2; i++) {
		struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		struct flock most = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = INT64_MAX};
		struct flock none = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 100};
		int fd = open(paths[i], O_RDWR | O_CLOEXEC);

		assert_true(fd >= 0);
		get_lock(fd, &got[i][0]); /* nobody has one: only the type changes */
		assert_int_equal(fcntl(fd, F_SETLK, &all), 0);
		get_lock(fd, &got[i][1]);
		assert_int_equal(fcntl(fd, F_SETLK, &most), 0);
		assert_int_equal(fcntl(fd, F_SETLK, &none), 0);
		get_lock(fd, &got[i][2]);
		close(fd);
	}
	for (int k = 0; k < 3; k++) {
		assert_int_equal(got[0][k].l_type, got[1][k].l_type);
		assert_int_equal(got[0][k].l_whence, got[1][k].l_whence);
		assert_int_equal(got[0][k].l_start, got[1][k].l_start);
		assert_int_equal(got[0][k].l_pid, got[1][k].l_pid);
		assert_int_equal(got[0][k].l_len, got[1][k].l_len);
	}
	assert_closed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_path_alone_opens_no_device),
		cmocka_unit_test(preload_odd_arguments_get_the_kernels_answer),
		cmocka_unit_test(preload_seek_by_no_way_is_einval),
		cmocka_unit_test(preload_open_keeps_its_flags),
		cmocka_unit_test(preload_lockf_locks_all_of_the_device),
		cmocka_unit_test(preload_locks_are_shown_as_they_were_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
