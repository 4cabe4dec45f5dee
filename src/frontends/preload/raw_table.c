// SPDX-License-Identifier: BSD-3-Clause
/* The calls that are caught, a row each; the numbers that devices get; what a child is told. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "frontends/preload/node.h"
#include "frontends/preload/raw.h"

#define WINDOW_LEN  64
#define WINDOW_LAST 1023 /* select(2) takes no higher number */

#if defined(__x86_64__)
const struct raw_call raw_calls[] = {
	{SYS_ioctl, RAW_IOCTL, 0, 0},
	{SYS_write, RAW_MESSAGE, 0, 0},
	{SYS_pwrite64, RAW_MESSAGE, 0, 0},
	{SYS_writev, RAW_FD, 0, 0},
	{SYS_pwritev, RAW_FD, 0, 0},
	{SYS_pwritev2, RAW_FD, 0, 0},
	{SYS_read, RAW_FD, 0, 0},
	{SYS_pread64, RAW_FD, 0, 0},
	{SYS_readv, RAW_FD, 0, 0},
	{SYS_preadv, RAW_FD, 0, 0},
	{SYS_preadv2, RAW_FD, 0, 0},
	{SYS_close, RAW_FD, 0, 0},
	{SYS_close_range, RAW_ALWAYS, 0, 0},
	{SYS_dup, RAW_FD, 0, 0},
	{SYS_dup2, RAW_TWO, 0, 1},
	{SYS_dup3, RAW_TWO, 0, 1},
	{SYS_fcntl, RAW_FD, 0, 0},
	{SYS_fstat, RAW_FD, 0, 0},
	{SYS_mmap, RAW_FD, 4, 0},
	{SYS_lseek, RAW_FD, 0, 0},
	{SYS_fsync, RAW_FD, 0, 0},
	{SYS_fdatasync, RAW_FD, 0, 0},
	{SYS_ftruncate, RAW_FD, 0, 0},
	{SYS_fallocate, RAW_FD, 0, 0},
	{SYS_readahead, RAW_FD, 0, 0},
	{SYS_sync_file_range, RAW_FD, 0, 0},
	{SYS_sendfile, RAW_TWO, 0, 1},
	{SYS_splice, RAW_TWO, 0, 2},
	{SYS_copy_file_range, RAW_TWO, 0, 2},
	{SYS_open, RAW_PATH, 0, 0},
	{SYS_openat, RAW_PATH, 1, 0},
	{SYS_openat2, RAW_PATH, 1, 0},
	{SYS_creat, RAW_PATH, 0, 0},
	{SYS_stat, RAW_PATH, 0, 0},
	{SYS_lstat, RAW_PATH, 0, 0},
	{SYS_newfstatat, RAW_PATH, 1, 0},
	{SYS_statx, RAW_PATH, 1, 0},
	{SYS_access, RAW_PATH, 0, 0},
	{SYS_faccessat, RAW_PATH, 1, 0},
	{SYS_faccessat2, RAW_PATH, 1, 0},
	{SYS_truncate, RAW_PATH, 0, 0},
	{SYS_readlink, RAW_PATH, 0, 0},
	{SYS_readlinkat, RAW_PATH, 1, 0},
	{SYS_getdents64, RAW_LIST, 0, 0},
};
#else
const struct raw_call raw_calls[1] = {{-1, RAW_ALWAYS, 0, 0}};
#endif
const size_t raw_nr_calls = ARRAY_LEN(raw_calls);

const struct raw_call *raw_call_find(int nr)
{
	for (size_t i = 0; i < raw_nr_calls; i++)
		if (raw_calls[i].nr == nr)
			return &raw_calls[i];
	return NULL;
}

#if defined(__x86_64__)
bool raw_call_waits(int nr, const uint64_t args[RAW_NR_ARGS])
{
	return nr == SYS_fcntl && ((int)args[1] == F_SETLKW || (int)args[1] == F_OFD_SETLKW);
}
#else
bool raw_call_waits(int nr, const uint64_t args[RAW_NR_ARGS])
{
	return false;
}
#endif

void raw_call_do_not_wait(uint64_t args[RAW_NR_ARGS])
{
	args[1] = (int)args[1] == F_SETLKW ? F_SETLK : F_OFD_SETLK;
}

void raw_window_choose(struct raw_window *window)
{
	struct rlimit limit = {.rlim_cur = WINDOW_LAST + 1};

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	window->last = limit.rlim_cur > WINDOW_LAST ? WINDOW_LAST : (int)limit.rlim_cur - 1;
	window->first =
		window->last >= 2 * WINDOW_LEN ? window->last - WINDOW_LEN + 1 : window->last / 2;
}

bool raw_fd_is_node(pid_t tid, int fd)
{
	static const char expected[] = "/memfd:" NODE_NAME;
	char path[48], target[sizeof(expected)];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tid, fd);
	/* the wrapper of readlink(2) would name the node */
	len = syscall(SYS_readlinkat, AT_FDCWD, path, target, sizeof(target));
	return len == (ssize_t)sizeof(target) && memcmp(target, expected, sizeof(target) - 1) == 0;
}

/* What any file's call gets on a device that was opened for it. Return: -errno; 0 the kernel's own
 * answer */
static int answer_any_file(int nr)
{
#if defined(__x86_64__)
	switch (nr) {
	case SYS_lseek:
	case SYS_sync_file_range:
		return -ESPIPE;
	case SYS_fallocate:
		return -ENODEV;
	case SYS_read:
	case SYS_pread64:
	case SYS_readv:
	case SYS_preadv:
	case SYS_preadv2:
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_ftruncate:
	case SYS_readahead:
	case SYS_sendfile:
	case SYS_splice:
	case SYS_copy_file_range:
		return -EINVAL;
	case SYS_mmap:
		return -EPERM;
	case SYS_writev:
	case SYS_pwritev:
	case SYS_pwritev2:
		return -EFAULT;
	}
#endif
	return 0;
}

static bool is_on_node(const struct raw_call *call, pid_t tid, const uint64_t args[RAW_NR_ARGS])
{
	return raw_fd_is_node(tid, (int)args[call->fd_arg]) ||
	       (call->when == RAW_TWO && raw_fd_is_node(tid, (int)args[call->other_arg]));
}

int raw_answer_child(const struct raw_call *call, pid_t tid, const uint64_t args[RAW_NR_ARGS])
{
	if (call->when == RAW_FD || call->when == RAW_TWO)
		return answer_any_file(call->nr) && is_on_node(call, tid, args)
			       ? answer_any_file(call->nr)
			       : 0;
	if ((call->when != RAW_IOCTL && call->when != RAW_MESSAGE) ||
	    !raw_fd_is_node(tid, (int)args[0]))
		return 0;
	if (call->when == RAW_IOCTL && _IOC_TYPE(args[1]) != VHOST_VIRTIO)
		return 0;
	if (call->when == RAW_IOCTL)
		return (uint32_t)args[1] == VHOST_SET_OWNER ? -EBUSY : -EPERM;
	return args[2] < 40 ? -EINVAL : -EFAULT;
}
