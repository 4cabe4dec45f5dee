// SPDX-License-Identifier: BSD-3-Clause
/*
 * The stat(2) family and access(2) on a node's path, and fstat(2) on its descriptors: a character device
 * that its owner may read and write. libc's two layouts of struct stat are one on 64-bit machines.
 */
#include "real.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "frontends/preload/files.h"
#include "frontends/preload/node.h"

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout of struct stat");

static bool stat_node(unsigned int minor, void *st)
{
	struct stat made;
	int saved = errno;

	node_stat(minor, &made);
	memcpy(st, &made, sizeof(made));
	errno = saved;
	return true;
}

static bool stat_path(const char *path, void *st)
{
	unsigned int minor;

	return path[0] == '/' && path[1] == 'd' && node_find(path, &minor) && stat_node(minor, st);
}

static bool fd_minor(int fd, unsigned int *minor)
{
	struct preload_file *file = files_maybe(fd) ? files_get(fd) : NULL;

	if (!file)
		return false;
	*minor = file->minor;
	files_put(file);
	return true;
}

static bool stat_fd(int fd, void *st)
{
	unsigned int minor;

	return fd_minor(fd, &minor) && stat_node(minor, st);
}

/* An empty path means the descriptor itself, with AT_EMPTY_PATH. */
static bool stat_at(int fd, const char *path, void *st, int flags)
{
	if ((flags & AT_EMPTY_PATH) && (!path || !*path))
		return stat_fd(fd, st);
	return stat_path(path, st);
}

#define WRAP_STAT(name, type)                                                                      \
	HF_EXPORT int name(const char *path, type *st)                                             \
	{                                                                                          \
		return stat_path(path, st) ? 0 : real()->name(path, st);                           \
	}
WRAP_STAT(stat, struct stat)
WRAP_STAT(stat64, struct stat64)
WRAP_STAT(lstat, struct stat)
WRAP_STAT(lstat64, struct stat64)

#define WRAP_FSTAT(name, type)                                                                     \
	HF_EXPORT int name(int fd, type *st)                                                       \
	{                                                                                          \
		return stat_fd(fd, st) ? 0 : real()->name(fd, st);                                 \
	}
WRAP_FSTAT(fstat, struct stat)
WRAP_FSTAT(fstat64, struct stat64)

#define WRAP_FSTATAT(name, type)                                                                   \
	HF_EXPORT int name(int fd, const char *path, type *st, int flags)                          \
	{                                                                                          \
		return stat_at(fd, path, st, flags) ? 0 : real()->name(fd, path, st, flags);       \
	}
WRAP_FSTATAT(fstatat, struct stat)
WRAP_FSTATAT(fstatat64, struct stat64)

/* What programs built against glibc before 2.33 call. */
#define WRAP_XSTAT(name, type)                                                                     \
	int name(int version, const char *path, type *st);                                         \
	HF_EXPORT int name(int version, const char *path, type *st)                                \
	{                                                                                          \
		return stat_path(path, st) ? 0 : real()->name(version, path, st);                  \
	}
WRAP_XSTAT(__xstat, struct stat)
WRAP_XSTAT(__xstat64, struct stat64)
WRAP_XSTAT(__lxstat, struct stat)
WRAP_XSTAT(__lxstat64, struct stat64)

#define WRAP_FXSTAT(name, type)                                                                    \
	int name(int version, int fd, type *st);                                                   \
	HF_EXPORT int name(int version, int fd, type *st)                                          \
	{                                                                                          \
		return stat_fd(fd, st) ? 0 : real()->name(version, fd, st);                        \
	}
WRAP_FXSTAT(__fxstat, struct stat)
WRAP_FXSTAT(__fxstat64, struct stat64)

#define WRAP_FXSTATAT(name, type)                                                                  \
	int name(int version, int fd, const char *path, type *st, int flags);                      \
	HF_EXPORT int name(int version, int fd, const char *path, type *st, int flags)             \
	{                                                                                          \
		return stat_at(fd, path, st, flags) ? 0                                            \
						    : real()->name(version, fd, path, st, flags);  \
	}
WRAP_FXSTATAT(__fxstatat, struct stat)
WRAP_FXSTATAT(__fxstatat64, struct stat64)

static void fill_statx(struct statx *stx, const struct stat *st)
{
	memset(stx, 0, sizeof(*stx));
	stx->stx_mask = STATX_BASIC_STATS;
	stx->stx_blksize = (unsigned int)st->st_blksize;
	stx->stx_nlink = (unsigned int)st->st_nlink;
	stx->stx_uid = st->st_uid;
	stx->stx_gid = st->st_gid;
	stx->stx_mode = (unsigned short)st->st_mode;
	stx->stx_ino = st->st_ino;
	stx->stx_atime.tv_sec = stx->stx_mtime.tv_sec = stx->stx_ctime.tv_sec = st->st_ctim.tv_sec;
	stx->stx_rdev_major = major(st->st_rdev);
	stx->stx_rdev_minor = minor(st->st_rdev);
	stx->stx_dev_major = major(st->st_dev);
	stx->stx_dev_minor = minor(st->st_dev);
}

HF_EXPORT int statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	struct stat st;

	if (!stat_at(fd, path, &st, flags))
		return real()->statx(fd, path, flags, mask, stx);
	fill_statx(stx, &st);
	return 0;
}

/* ---- access: readable and writable, not executable ---- */

static bool access_ours(const char *path, int mode, int *rc)
{
	unsigned int minor;

	if (path[0] != '/' || path[1] != 'd' || !node_find(path, &minor))
		return false;
	*rc = mode & X_OK ? -1 : 0;
	if (*rc)
		errno = EACCES;
	return true;
}

#define WRAP_ACCESS(name)                                                                          \
	HF_EXPORT int name(const char *path, int mode)                                             \
	{                                                                                          \
		int rc;                                                                            \
                                                                                                   \
		return access_ours(path, mode, &rc) ? rc : real()->name(path, mode);               \
	}
WRAP_ACCESS(access)
WRAP_ACCESS(eaccess)
WRAP_ACCESS(euidaccess)

HF_EXPORT int faccessat(int fd, const char *path, int mode, int flags)
{
	int rc;

	return access_ours(path, mode, &rc) ? rc : real()->faccessat(fd, path, mode, flags);
}
