// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls that any file takes: a node answers as a character device of the running kernel does whose
 * driver has none of these operations, either. /dev/net/tun is such a one.
 */
#include "client.h"

#include <sys/file.h>

#define PEER "/dev/net/tun"

static long result(long rc)
{
	return rc < 0 ? -errno : rc;
}

#define ANSWER(name, call)                                                                         \
	static long name(int fd)                                                                   \
	{                                                                                          \
		return result((long)(call));                                                       \
	}
ANSWER(lseek_set, lseek(fd, 0, SEEK_SET))
ANSWER(lseek_current, lseek(fd, 0, SEEK_CUR))
ANSWER(lseek_end, lseek(fd, 0, SEEK_END))
ANSWER(call_fsync, fsync(fd))
ANSWER(call_fdatasync, fdatasync(fd))
ANSWER(call_ftruncate, ftruncate(fd, 0))
ANSWER(call_fallocate, fallocate(fd, 0, 0, 4096))
ANSWER(call_posix_fallocate, posix_fallocate(fd, 0, 4096))
ANSWER(call_readahead, readahead(fd, 0, 4096))
ANSWER(call_sync_file_range, sync_file_range(fd, 0, 4096, 0))
ANSWER(call_flock, flock(fd, LOCK_EX | LOCK_NB))
ANSWER(get_signal, fcntl(fd, F_GETSIG))
ANSWER(get_seals, fcntl(fd, F_GET_SEALS))
ANSWER(add_seals, fcntl(fd, F_ADD_SEALS, F_SEAL_GROW))
ANSWER(get_pipe_size, fcntl(fd, F_GETPIPE_SZ))
ANSWER(get_access, fcntl(fd, F_GETFL) & O_ACCMODE)
ANSWER(call_fchdir, fchdir(fd))
ANSWER(open_below, openat(fd, "x", O_RDONLY))
ANSWER(map_unaligned, mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 12) == MAP_FAILED ? -1 : 0)
ANSWER(map_nothing, mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0)
ANSWER(path_alone, lseek(fd, 0, SEEK_SET))

static const struct {
	const char *name;
	long (*answer)(int fd);
	int flags;
} calls[] = {
	{"lseek(SEEK_SET)", lseek_set, O_RDWR},
	{"lseek(SEEK_CUR)", lseek_current, O_RDWR},
	{"lseek(SEEK_END)", lseek_end, O_RDWR},
	{"fsync", call_fsync, O_RDWR},
	{"fdatasync", call_fdatasync, O_RDWR},
	{"ftruncate", call_ftruncate, O_RDWR},
	{"fallocate", call_fallocate, O_RDWR},
	{"posix_fallocate", call_posix_fallocate, O_RDWR},
	{"readahead", call_readahead, O_RDWR},
	{"sync_file_range", call_sync_file_range, O_RDWR},
	{"flock", call_flock, O_RDWR},
	{"fcntl(F_GETSIG)", get_signal, O_RDWR},
	{"fcntl(F_GET_SEALS)", get_seals, O_RDWR},
	{"fcntl(F_ADD_SEALS)", add_seals, O_RDWR},
	{"fcntl(F_GETPIPE_SZ)", get_pipe_size, O_RDWR},
	{"fcntl(F_GETFL)", get_access, O_RDWR},
	{"fchdir", call_fchdir, O_RDWR},
	{"openat", open_below, O_RDWR},
	{"mmap, offset 12", map_unaligned, O_RDWR},
	{"mmap, no bytes", map_nothing, O_RDWR},
	{"lseek, O_PATH", path_alone, O_PATH},
	{"fcntl(F_GETSIG), O_PATH", get_signal, O_PATH},
};

static long ask(const char *path, int flags, long (*answer)(int fd))
{
	int fd = open(path, flags | O_CLOEXEC);
	long rc;

	assert_true(fd >= 0);
	rc = answer(fd);
	assert_int_equal(close(fd), 0);
	return rc;
}

static void preload_any_files_calls_get_the_kernels_answers(void **state)
{
	int nr_differ = 0;

	if (access(PEER, R_OK | W_OK) != 0)
		skip();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		long kernel = ask(PEER, calls[i].flags, calls[i].answer);
		long ours = ask(NODE, calls[i].flags, calls[i].answer);

		print_message("%-24s kernel %4ld, node %4ld\n", calls[i].name, kernel, ours);
		nr_differ += kernel != ours;
	}
	assert_int_equal(nr_differ, 0);
	assert_closed();
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_any_files_calls_get_the_kernels_answers),
		cmocka_unit_test(preload_path_alone_opens_no_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
