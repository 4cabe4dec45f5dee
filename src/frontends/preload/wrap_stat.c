// SPDX-License-Identifier: BSD-3-Clause
/*
 * The stat(2) family and access(2) on a node's path, and fstat(2) on its descriptors: a character
 * device that its owner may read and write. libc's two layouts of struct stat are one on 64-bit
 * machines.
 *
 * libc's call goes first, always. It costs other paths and descriptors nothing that they would not
 * pay anyway, and it says all that the kernel has to say about bad arguments: an errno for flags, a
 * pointer that cannot be read, a buffer that cannot be written. What is answered here takes the
 * place of the kernel's success (a node of the kernel's own with that number) or of its ENOENT. In
 * the latter case nobody has written to the client's buffer yet, so the kernel is made to, with the
 * root folder's attributes: a buffer that cannot be written gives its EFAULT.
 */
#include "real.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "frontends/preload/adopt.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/files.h"
#include "frontends/preload/node.h"
#include "frontends/preload/path.h"

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout of struct stat");

/* The kernel has said that the file behind @fd has @nr_links names. One without a name may be a
 * node that was opened elsewhere. */
struct which_node {
	int fd;
	unsigned long nr_links;
	unsigned int minor;
	bool is_node;
};

static void find_node(void *arg)
{
	struct which_node *which = arg;
	struct preload_file *file = files_maybe(which->fd) ? files_get(which->fd) : NULL;
	int saved = errno;

	if (!file && which->nr_links == 0)
		file = adopt(which->fd);
	errno = saved;
	which->is_node = file != NULL;
	if (file)
		which->minor = file->minor;
	files_put(file);
	call_unhold();
}

static bool fd_minor(int fd, unsigned long nr_links, unsigned int *minor)
{
	struct which_node which = {.fd = fd, .nr_links = nr_links};

	if (likely(!files_maybe(fd) && nr_links > 0))
		return false;
	aside_run(find_node, &which, sizeof(which));
	*minor = which.minor;
	return which.is_node;
}

/* @follows: the call follows a link, such as a descriptor's in /proc */
static bool path_minor(int dirfd, const char *path, bool follows, int rc, unsigned int *minor)
{
	struct path seen;
	enum path_kind kind = path_look_after(dirfd, path, rc, &seen);

	if (kind != PATH_NODE && !(kind == PATH_FD && follows))
		return false;
	*minor = seen.minor;
	return true;
}

/* An empty path means the descriptor itself, with AT_EMPTY_PATH; so does NULL, if the kernel takes
 * it. */
static bool at_minor(int fd, const char *path, int flags, int rc, unsigned long nr_links,
		     unsigned int *minor)
{
	if (rc >= 0 && (flags & AT_EMPTY_PATH) && (!path || !*path))
		return fd_minor(fd, nr_links, minor);
	return path_minor(fd, path, !(flags & AT_SYMLINK_NOFOLLOW), rc, minor);
}

struct look {
	unsigned int minor;
	int rc;            /* of libc's call, then of this one */
	void *st;          /* the client's; NULL: @stx is */
	struct statx *stx; /* the client's */
	struct stat made;
};

/* libc's call has failed if @rc says so, and has not written to the client's buffer. */
static void look_at_node(void *arg)
{
	struct look *look = arg;

	if (look->rc < 0)
		look->rc = look->st ? real()->stat("/", look->st)
				    : real()->statx(AT_FDCWD, "/", 0, STATX_BASIC_STATS, look->stx);
	if (look->rc >= 0)
		node_stat(look->minor, &look->made);
}

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

/* What the client gets, in one of the two forms. */
static int answer_look(struct look *look, int saved)
{
	aside_run(look_at_node, look, sizeof(*look));
	if (look->rc < 0)
		return -1;
	if (look->st)
		memcpy(look->st, &look->made, sizeof(look->made));
	else
		fill_statx(look->stx, &look->made);
	errno = saved;
	return 0;
}

/* libc's call has given @rc for what is node @minor. Return: what the client gets. */
static int answer(unsigned int minor, int rc, void *st, int saved)
{
	struct look look = {.minor = minor, .rc = rc, .st = st};

	return answer_look(&look, saved);
}

#define WRAP_STAT(name, type, follows)                                                             \
	HF_EXPORT int name(const char *path, type *st)                                             \
	{                                                                                          \
		int saved = errno, rc = real()->name(path, st);                                    \
		unsigned int minor;                                                                \
                                                                                                   \
		return path_minor(AT_FDCWD, path, follows, rc, &minor)                             \
			       ? answer(minor, rc, st, saved)                                      \
			       : rc;                                                               \
	}
WRAP_STAT(stat, struct stat, true)
WRAP_STAT(stat64, struct stat64, true)
WRAP_STAT(lstat, struct stat, false)
WRAP_STAT(lstat64, struct stat64, false)

#define WRAP_FSTAT(name, type)                                                                     \
	HF_EXPORT int name(int fd, type *st)                                                       \
	{                                                                                          \
		int saved = errno, rc = real()->name(fd, st);                                      \
		unsigned int minor;                                                                \
                                                                                                   \
		return rc >= 0 && fd_minor(fd, st->st_nlink, &minor)                               \
			       ? answer(minor, rc, st, saved)                                      \
			       : rc;                                                               \
	}
WRAP_FSTAT(fstat, struct stat)
WRAP_FSTAT(fstat64, struct stat64)

#define WRAP_FSTATAT(name, type)                                                                   \
	HF_EXPORT int name(int fd, const char *path, type *st, int flags)                          \
	{                                                                                          \
		int saved = errno, rc = real()->name(fd, path, st, flags);                         \
		unsigned int minor;                                                                \
                                                                                                   \
		return at_minor(fd, path, flags, rc, rc < 0 ? 1 : st->st_nlink, &minor)            \
			       ? answer(minor, rc, st, saved)                                      \
			       : rc;                                                               \
	}
WRAP_FSTATAT(fstatat, struct stat)
WRAP_FSTATAT(fstatat64, struct stat64)

/* What programs built against glibc before 2.33 call. */
#define WRAP_XSTAT(name, type, follows)                                                            \
	int name(int version, const char *path, type *st);                                         \
	HF_EXPORT int name(int version, const char *path, type *st)                                \
	{                                                                                          \
		int saved = errno, rc = real()->name(version, path, st);                           \
		unsigned int minor;                                                                \
                                                                                                   \
		return path_minor(AT_FDCWD, path, follows, rc, &minor)                             \
			       ? answer(minor, rc, st, saved)                                      \
			       : rc;                                                               \
	}
WRAP_XSTAT(__xstat, struct stat, true)
WRAP_XSTAT(__xstat64, struct stat64, true)
WRAP_XSTAT(__lxstat, struct stat, false)
WRAP_XSTAT(__lxstat64, struct stat64, false)

#define WRAP_FXSTAT(name, type)                                                                    \
	int name(int version, int fd, type *st);                                                   \
	HF_EXPORT int name(int version, int fd, type *st)                                          \
	{                                                                                          \
		int saved = errno, rc = real()->name(version, fd, st);                             \
		unsigned int minor;                                                                \
                                                                                                   \
		return rc >= 0 && fd_minor(fd, st->st_nlink, &minor)                               \
			       ? answer(minor, rc, st, saved)                                      \
			       : rc;                                                               \
	}
WRAP_FXSTAT(__fxstat, struct stat)
WRAP_FXSTAT(__fxstat64, struct stat64)

#define WRAP_FXSTATAT(name, type)                                                                  \
	int name(int version, int fd, const char *path, type *st, int flags);                      \
	HF_EXPORT int name(int version, int fd, const char *path, type *st, int flags)             \
	{                                                                                          \
		int saved = errno, rc = real()->name(version, fd, path, st, flags);                \
		unsigned int minor;                                                                \
                                                                                                   \
		return at_minor(fd, path, flags, rc, rc < 0 ? 1 : st->st_nlink, &minor)            \
			       ? answer(minor, rc, st, saved)                                      \
			       : rc;                                                               \
	}
WRAP_FXSTATAT(__fxstatat, struct stat)
WRAP_FXSTATAT(__fxstatat64, struct stat64)

HF_EXPORT int statx(int fd, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	int saved = errno, rc = real()->statx(fd, path, flags, mask, stx);
	struct look look = {.rc = rc, .stx = stx};

	if (!at_minor(fd, path, flags, rc, rc < 0 ? 1 : stx->stx_nlink, &look.minor))
		return rc;
	return answer_look(&look, saved);
}

/* ---- access: readable and writable, not executable ---- */

static int access_answer(int dirfd, const char *path, int mode, int rc, int saved)
{
	unsigned int minor;

	if (!path_minor(dirfd, path, true, rc, &minor))
		return rc;
	errno = mode & X_OK ? EACCES : saved;
	return mode & X_OK ? -1 : 0;
}

#define WRAP_ACCESS(name)                                                                          \
	HF_EXPORT int name(const char *path, int mode)                                             \
	{                                                                                          \
		int saved = errno;                                                                 \
                                                                                                   \
		return access_answer(AT_FDCWD, path, mode, real()->name(path, mode), saved);       \
	}
WRAP_ACCESS(access)
WRAP_ACCESS(eaccess)
WRAP_ACCESS(euidaccess)

HF_EXPORT int faccessat(int fd, const char *path, int mode, int flags)
{
	int saved = errno;

	return access_answer(fd, path, mode, real()->faccessat(fd, path, mode, flags), saved);
}
