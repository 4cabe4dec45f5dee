// SPDX-License-Identifier: BSD-3-Clause
/* The wrapper of each caught call that names a file. A filter cannot read the name, so all of them
 * are caught, and nearly all go on to the kernel. */
#include "real.h"

#include <linux/openat2.h>
#include <sys/syscall.h>

#include "frontends/preload/files.h"
#include "frontends/preload/path.h"
#include "frontends/preload/raw.h"

int openat2(int dirfd, const char *path, const struct open_how *how, size_t size);

#if defined(__x86_64__)
#define ARG_PTR(i) ((void *)(uintptr_t)a[i])

long raw_path_serve(const struct raw_call *call, const uint64_t a[RAW_NR_ARGS])
{
	switch (call->nr) {
	case SYS_open:
		return open64(ARG_PTR(0), (int)a[1], (mode_t)a[2]);
	case SYS_openat:
		return openat64((int)a[0], ARG_PTR(1), (int)a[2], (mode_t)a[3]);
	case SYS_openat2:
		return openat2((int)a[0], ARG_PTR(1), ARG_PTR(2), a[3]);
	case SYS_creat:
		return creat64(ARG_PTR(0), (mode_t)a[1]);
	case SYS_stat:
		return stat64(ARG_PTR(0), ARG_PTR(1));
	case SYS_lstat:
		return lstat64(ARG_PTR(0), ARG_PTR(1));
	case SYS_newfstatat:
		return fstatat64((int)a[0], ARG_PTR(1), ARG_PTR(2), (int)a[3]);
	case SYS_statx:
		return statx((int)a[0], ARG_PTR(1), (int)a[2], (unsigned int)a[3], ARG_PTR(4));
	case SYS_access:
		return access(ARG_PTR(0), (int)a[1]);
	case SYS_faccessat:
		return faccessat((int)a[0], ARG_PTR(1), (int)a[2], 0);
	case SYS_faccessat2:
		return faccessat((int)a[0], ARG_PTR(1), (int)a[2], (int)a[3]);
	case SYS_truncate:
		return truncate64(ARG_PTR(0), (off64_t)a[1]);
	case SYS_readlink:
		return readlink(ARG_PTR(0), ARG_PTR(1), a[2]);
	}
	return readlinkat((int)a[0], ARG_PTR(1), ARG_PTR(2), a[3]);
}

/* An empty path means the descriptor: libc's fstat(2) may be such a call. */
static bool is_own_descriptor(int nr, int dirfd, const char *path)
{
	return (nr == SYS_newfstatat || nr == SYS_statx) && files_maybe(dirfd) &&
	       (!path || (path_is_readable(path) && !*path));
}

/* Of /proc/devices, reading alone is ours. */
static bool reads(int nr, const uint64_t a[RAW_NR_ARGS])
{
	return (nr == SYS_open && (a[1] & O_ACCMODE) == O_RDONLY) ||
	       (nr == SYS_openat && (a[2] & O_ACCMODE) == O_RDONLY);
}

bool raw_path_is_ours(const struct raw_call *call, const uint64_t a[RAW_NR_ARGS])
{
	int dirfd = call->fd_arg == call->other_arg ? AT_FDCWD : (int)a[call->other_arg];
	const char *path = ARG_PTR(call->fd_arg);
	struct path seen;

	if (is_own_descriptor(call->nr, dirfd, path))
		return true;
	switch (path_look(dirfd, path, &seen)) {
	case PATH_NODE:
	case PATH_FD:
		return true;
	case PATH_PROC_DEVICES:
		return reads(call->nr, a);
	default:
		return false;
	}
}
#else
long raw_path_serve(const struct raw_call *call, const uint64_t a[RAW_NR_ARGS])
{
	return -1;
}

bool raw_path_is_ours(const struct raw_call *call, const uint64_t a[RAW_NR_ARGS])
{
	return false;
}
#endif
