// SPDX-License-Identifier: BSD-3-Clause
#include "frontends/preload/real.h"

#include <linux/openat2.h>
#include <sys/syscall.h>

#include "frontends/agent/paths.h"
#include "frontends/preload/files.h"
#include "frontends/preload/path.h"

int openat2(int dirfd, const char *path, const struct open_how *how, size_t size);

#define ARG_PTR(i) ((void *)(uintptr_t)a[i])

/* Where the path is, and where a relative one begins. */
static const char *path_of(int nr, const uint64_t a[RAW_NR_ARGS], int *dirfd)
{
	switch (nr) {
	case SYS_openat:
	case SYS_openat2:
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_faccessat:
	case SYS_faccessat2:
		*dirfd = (int)a[0];
		return ARG_PTR(1);
	}
	*dirfd = AT_FDCWD;
	return ARG_PTR(0);
}

static long serve(int nr, const uint64_t a[RAW_NR_ARGS])
{
	switch (nr) {
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
	}
	return faccessat((int)a[0], ARG_PTR(1), (int)a[2], (int)a[3]);
}

/* An empty path means the descriptor: libc's fstat(2) may be such a call. */
static bool is_own_descriptor(int nr, int dirfd, const char *path)
{
	return (nr == SYS_newfstatat || nr == SYS_statx) && files_maybe(dirfd) &&
	       (!path || (path_is_readable(path) && !*path));
}

bool agent_serve_path(int nr, const uint64_t args[RAW_NR_ARGS], long *rc)
{
	struct path seen;
	int dirfd;
	const char *path = path_of(nr, args, &dirfd);

	if (is_own_descriptor(nr, dirfd, path)) {
		*rc = serve(nr, args);
		return true;
	}
	switch (path_look(dirfd, path, &seen)) {
	case PATH_NODE:
		break;
	case PATH_PROC_DEVICES: /* of this file, reading alone is ours */
		if ((nr == SYS_open && (args[1] & O_ACCMODE) == O_RDONLY) ||
		    (nr == SYS_openat && (args[2] & O_ACCMODE) == O_RDONLY))
			break;
		return false;
	default:
		return false;
	}
	*rc = serve(nr, args);
	return true;
}
