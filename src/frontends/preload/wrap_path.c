// SPDX-License-Identifier: BSD-3-Clause
/*
 * What else programs ask about a path: extended attributes, which ls -l looks for, and where a link
 * leads. libc's call goes first, as in wrap_stat.c, and a node takes the place of its ENOENT.
 */
#include "real.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "frontends/preload/path.h"

/* A character device that is there wherever there is a /dev: what its attributes are, a node's
 * are. */
#define LIKE "/dev/null"

static bool is_node(int dirfd, const char *path, ssize_t rc)
{
	struct path seen;

	return rc < 0 && path_look_after(dirfd, path, -1, &seen) == PATH_NODE;
}

#define WRAP_GETXATTR(name)                                                                        \
	HF_EXPORT ssize_t name(const char *path, const char *attribute, void *value, size_t size)  \
	{                                                                                          \
		int saved = errno;                                                                 \
		ssize_t rc = real()->name(path, attribute, value, size);                           \
                                                                                                   \
		if (!is_node(AT_FDCWD, path, rc))                                                  \
			return rc;                                                                 \
		errno = saved;                                                                     \
		return real()->name(LIKE, attribute, value, size);                                 \
	}
WRAP_GETXATTR(getxattr)
WRAP_GETXATTR(lgetxattr)

#define WRAP_LISTXATTR(name)                                                                       \
	HF_EXPORT ssize_t name(const char *path, char *list, size_t size)                          \
	{                                                                                          \
		int saved = errno;                                                                 \
		ssize_t rc = real()->name(path, list, size);                                       \
                                                                                                   \
		if (!is_node(AT_FDCWD, path, rc))                                                  \
			return rc;                                                                 \
		errno = saved;                                                                     \
		return real()->name(LIKE, list, size);                                             \
	}
WRAP_LISTXATTR(listxattr)
WRAP_LISTXATTR(llistxattr)

/* ---- links: a node is none, its descriptors' are ---- */

/* A descriptor's link leads to the node. libc's call has written a longer name, or as much of it as
 * there is room for. */
static ssize_t link_answer(int dirfd, const char *path, char *to, size_t len, ssize_t rc)
{
	struct path seen;
	enum path_kind kind = path_look_after(dirfd, path, rc < 0 ? -1 : 0, &seen);

	if (kind == PATH_FD && rc > 0) {
		len = len < strlen(seen.name) ? len : strlen(seen.name);
		memset(to, 0, (size_t)rc);
		memcpy(to, seen.name, len);
		return (ssize_t)len;
	}
	if (kind != PATH_NODE || rc >= 0)
		return rc;
	errno = EINVAL;
	return -1;
}

ssize_t __readlink_chk(const char *path, char *to, size_t len, size_t room);
ssize_t __readlinkat_chk(int dirfd, const char *path, char *to, size_t len, size_t room);

HF_EXPORT ssize_t readlink(const char *path, char *to, size_t len)
{
	return link_answer(AT_FDCWD, path, to, len, real()->readlink(path, to, len));
}

HF_EXPORT ssize_t readlinkat(int dirfd, const char *path, char *to, size_t len)
{
	return link_answer(dirfd, path, to, len, real()->readlinkat(dirfd, path, to, len));
}

HF_EXPORT ssize_t __readlink_chk(const char *path, char *to, size_t len, size_t room)
{
	return link_answer(AT_FDCWD, path, to, len, real()->__readlink_chk(path, to, len, room));
}

HF_EXPORT ssize_t __readlinkat_chk(int dirfd, const char *path, char *to, size_t len, size_t room)
{
	return link_answer(dirfd, path, to, len,
			   real()->__readlinkat_chk(dirfd, path, to, len, room));
}

/* @path was found to be no file. Return: what it resolves to if it is a node; NULL. */
static char *resolve_node(const char *path, char *to, int saved)
{
	struct path seen;
	enum path_kind kind = path_look_after(AT_FDCWD, path, -1, &seen);
	char *copy;

	if (kind != PATH_NODE && kind != PATH_FD)
		return NULL;
	copy = to ? memcpy(to, seen.name, strlen(seen.name) + 1) : strdup(seen.name);
	if (copy)
		errno = saved;
	return copy;
}

HF_EXPORT char *realpath(const char *path, char *to)
{
	int saved = errno;
	char *found = real()->realpath(path, to);

	return found ? found : resolve_node(path, to, saved);
}

HF_EXPORT char *canonicalize_file_name(const char *path)
{
	int saved = errno;
	char *found = real()->canonicalize_file_name(path);

	return found ? found : resolve_node(path, NULL, saved);
}

char *__realpath_chk(const char *path, char *to, size_t room);
HF_EXPORT char *__realpath_chk(const char *path, char *to, size_t room)
{
	int saved = errno;
	char *found = real()->__realpath_chk(path, to, room);

	return found ? found : resolve_node(path, to, saved);
}
