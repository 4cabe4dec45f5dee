// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a client's path means, without trusting the pointer: a path that cannot be read is nobody's
 * here, and the kernel says EFAULT when the call goes on to libc.
 *
 * Owns nothing. Thread rule: any thread; no lock, no allocation, errno is kept.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_PATH_H
#define HOLDFAST_FRONTENDS_PRELOAD_PATH_H

#include <errno.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"

#define PATH_NAME_LEN 48u  /* room for the longest name that is answered here, NUL included */
#define PATH_SEEN_LEN 128u /* and for the longest path that may lead there */

enum path_kind {
	PATH_OTHER,
	PATH_NODE,
	PATH_PROC_DEVICES,
	PATH_DEV,
	PATH_FD, /* /proc/PID/fd/N or one of its relatives, of a device: a link to the node */
};

/* A path that was looked at: a copy of what the client's pointer leads to. */
struct path {
	enum path_kind kind;
	unsigned int minor;       /* PATH_NODE, PATH_FD: which */
	bool elsewhere;           /* PATH_FD: perhaps another process's, whose node is open there */
	char name[PATH_NAME_LEN]; /* valid unless PATH_OTHER; PATH_FD: where the link leads */
};

/**
 * path_look() - look at a path before libc has
 * @dirfd: where a relative path begins, as for openat(2)
 * @path: the client's, any value. Costs a system call that does nothing but read from it.
 * Return: @out->kind; PATH_OTHER if @path cannot be read up to its end
 */
enum path_kind path_look(int dirfd, const char *path, struct path *out);

/** path_is_readable() - can the first byte of the client's path be read? */
bool path_is_readable(const char *path);

/** path_may_be_ours() - could a name that begins so be ours? @path can be read */
static inline bool path_may_be_ours(const char *path)
{
	if (path[0] == '/')
		return path[1] == 'd' || path[1] == 'p';
	return path[0] == 'v' && path[1] == 'h';
}

/** path_look_closely() - path_look_after() of the few that may be ours, or may not be readable;
 * errno counts if not @is_read */
enum path_kind path_look_closely(int dirfd, const char *path, bool is_read, struct path *out);

/**
 * path_look_after() - look at a path that libc has just handed to the kernel
 * @rc: what libc's call gave; errno is its error if @rc is negative. Success and ENOENT say that
 * the kernel has read the path, so looking costs no system call. EFAULT and EINVAL are answers
 * about arguments that no path changes: PATH_OTHER.
 */
static inline enum path_kind path_look_after(int dirfd, const char *path, int rc, struct path *out)
{
	bool is_read = rc >= 0 || errno == ENOENT;

	if (likely(rc >= 0 && path && !path_may_be_ours(path))) {
		out->kind = PATH_OTHER;
		return PATH_OTHER;
	}
	return path_look_closely(dirfd, path, is_read, out);
}

/** path_may_be_dev() - is @ino the inode number of /dev? */
bool path_may_be_dev(ino_t ino);
/** path_is_dev() - is @dirfd, or the working folder with AT_FDCWD, the folder /dev? */
bool path_is_dev(int dirfd);

#endif
