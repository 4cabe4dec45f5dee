// SPDX-License-Identifier: BSD-3-Clause
/*
 * open(2) and its relatives. Two names are answered here: a node, and /proc/devices for reading.
 * Every other path costs one look (path.h).
 *
 * libc's call goes first if it has no effect on what is answered here: no file is made or cut, and
 * the kernel has no nodes whose device an open would reset. The look at the path then needs no
 * system call, and a descriptor that the kernel gave for /proc/devices is given back.
 */
#include "real.h"

#include <errno.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/refuse.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/call.h"
#include "frontends/preload/node.h"
#include "frontends/preload/path.h"

/* A character device beside the nodes: what the kernel says about opening it, it would say of a
 * node. */
#define LIKE      "/dev/null"
#define LIKE_BARE "null"

#define STAND_IN_LEN (PATH_SEEN_LEN + sizeof(LIKE_BARE))

#define NEEDS_MODE(flags) (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE)

static void print_flags(FILE *f, int flags)
{
	static const char *const access[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};

	fputs(access[flags & O_ACCMODE], f);
	fputs(flags & O_CLOEXEC ? "|O_CLOEXEC" : "", f);
	fputs(flags & O_NONBLOCK ? "|O_NONBLOCK" : "", f);
	flags &= ~(O_ACCMODE | O_CLOEXEC | O_NONBLOCK);
	if (flags)
		fprintf(f, "|%#x", (unsigned int)flags);
}

/* A node, or /proc/devices. */
struct opening {
	const char *name; /* of the call */
	unsigned int minor;
	int flags;
	bool elsewhere; /* another process has it open */
	int given;      /* what the kernel gave, closed first so that the number is the same; -1 */
	const char *mode; /* of @stream */
	int fd;
	FILE *stream;
};

static void give_back(const struct opening *o)
{
	int saved = errno;

	if (o->given >= 0)
		real()->close(o->given);
	errno = saved;
}

static void open_aside(void *arg)
{
	struct opening *o = arg;
	struct call call;

	give_back(o);
	call_enter(&call, o->minor);
	if (call.log) {
		fprintf(call.log, "%s(\"/dev/%s%u\", ", o->name, NODE_NAME, o->minor);
		print_flags(call.log, o->flags);
		fputc(')', call.log);
	}
	refuse_clear();
	o->fd = (int)call_leave(&call, o->elsewhere ? refuse(-EBUSY, "open in another process")
						    : node_open(o->minor, o->flags));
}

static void open_devices_aside(void *arg)
{
	struct opening *o = arg;
	struct call call;

	give_back(o);
	call_enter(&call, CALL_NO_LOG);
	o->fd = (int)call_leave(&call, node_proc_devices(o->flags & O_CLOEXEC));
	if (o->mode && o->fd >= 0)
		o->stream = fdopen(o->fd, o->mode);
}

/* Is it us who answer? A link to a node's descriptor is followed to the node. */
static bool is_ours(const struct path *seen, int flags)
{
	return seen->kind == PATH_NODE || (seen->kind == PATH_FD && !(flags & O_NOFOLLOW)) ||
	       (seen->kind == PATH_PROC_DEVICES && (flags & O_ACCMODE) == O_RDONLY);
}

static void open_like_aside(void *arg)
{
	struct opening *o = arg;

	give_back(o);
	o->fd = real()->open(LIKE, o->flags);
}

/* A descriptor of a path alone opens no device, on the kernel either. @given: consumed; what the
 * kernel has opened for it, or -1 */
static int open_seen(const char *name, const struct path *seen, int flags, int given)
{
	struct opening o = {.name = name,
			    .minor = seen->minor,
			    .flags = flags,
			    .elsewhere = seen->elsewhere,
			    .given = given};

	aside_run(seen->kind == PATH_PROC_DEVICES ? open_devices_aside
		  : flags & O_PATH                ? open_like_aside
						  : open_aside,
		  &o, sizeof(o));
	return o.fd;
}

/* Does the path lead to us? Then *@fd is the result, errno set with -1. */
static bool open_ours(const char *name, int dirfd, const char *path, int flags, int *fd)
{
	struct path seen;

	if (path_look(dirfd, path, &seen) == PATH_OTHER || !is_ours(&seen, flags))
		return false;
	*fd = open_seen(name, &seen, flags, -1);
	return true;
}

static bool libc_goes_first(int flags)
{
	return !(flags & O_TRUNC) && !NEEDS_MODE(flags) && !node_kernel_has_some();
}

/* libc's call gave @rc, and errno was @saved before. Return: what the client gets. */
static int open_after(const char *name, int dirfd, const char *path, int flags, int rc, int saved)
{
	struct path seen;

	if (likely(path_look_after(dirfd, path, rc, &seen) == PATH_OTHER) || !is_ours(&seen, flags))
		return rc;
	errno = saved;
	return open_seen(name, &seen, flags, rc);
}

#define WRAP_OPEN(name, shown)                                                                     \
	HF_EXPORT int name(const char *path, int flags, ...)                                       \
	{                                                                                          \
		int saved = errno;                                                                 \
		mode_t mode = 0;                                                                   \
		va_list ap;                                                                        \
		int fd;                                                                            \
                                                                                                   \
		if (libc_goes_first(flags))                                                        \
			return open_after(shown, AT_FDCWD, path, flags, real()->name(path, flags), \
					  saved);                                                  \
		if (open_ours(shown, AT_FDCWD, path, flags, &fd))                                  \
			return fd;                                                                 \
		va_start(ap, flags);                                                               \
		if (NEEDS_MODE(flags))                                                             \
			mode = va_arg(ap, mode_t);                                                 \
		va_end(ap);                                                                        \
		return real()->name(path, flags, mode);                                            \
	}
WRAP_OPEN(open, "open")
WRAP_OPEN(open64, "open")
HF_ALIAS(__open, open);
HF_ALIAS(__open64, open64);

#define WRAP_OPENAT(name, shown)                                                                   \
	HF_EXPORT int name(int dirfd, const char *path, int flags, ...)                            \
	{                                                                                          \
		int saved = errno;                                                                 \
		mode_t mode = 0;                                                                   \
		va_list ap;                                                                        \
		int fd;                                                                            \
                                                                                                   \
		if (libc_goes_first(flags))                                                        \
			return open_after(shown, dirfd, path, flags,                               \
					  real()->name(dirfd, path, flags), saved);                \
		if (open_ours(shown, dirfd, path, flags, &fd))                                     \
			return fd;                                                                 \
		va_start(ap, flags);                                                               \
		if (NEEDS_MODE(flags))                                                             \
			mode = va_arg(ap, mode_t);                                                 \
		va_end(ap);                                                                        \
		return real()->name(dirfd, path, flags, mode);                                     \
	}
WRAP_OPENAT(openat, "openat")
WRAP_OPENAT(openat64, "openat")

/* What fortified clients call; libc checks that no mode is missing. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

#define WRAP_OPEN_2(name)                                                                          \
	HF_EXPORT int name(const char *path, int flags)                                            \
	{                                                                                          \
		int saved = errno;                                                                 \
		int fd;                                                                            \
                                                                                                   \
		if (libc_goes_first(flags))                                                        \
			return open_after("open", AT_FDCWD, path, flags,                           \
					  real()->name(path, flags), saved);                       \
		return open_ours("open", AT_FDCWD, path, flags, &fd) ? fd                          \
								     : real()->name(path, flags);  \
	}
WRAP_OPEN_2(__open_2)
WRAP_OPEN_2(__open64_2)

#define WRAP_OPENAT_2(name)                                                                        \
	HF_EXPORT int name(int dirfd, const char *path, int flags)                                 \
	{                                                                                          \
		int saved = errno;                                                                 \
		int fd;                                                                            \
                                                                                                   \
		if (libc_goes_first(flags))                                                        \
			return open_after("openat", dirfd, path, flags,                            \
					  real()->name(dirfd, path, flags), saved);                \
		return open_ours("openat", dirfd, path, flags, &fd)                                \
			       ? fd                                                                \
			       : real()->name(dirfd, path, flags);                                 \
	}
WRAP_OPENAT_2(__openat_2)
WRAP_OPENAT_2(__openat64_2)

#define WRAP_CREAT(name)                                                                           \
	HF_EXPORT int name(const char *path, mode_t mode)                                          \
	{                                                                                          \
		int fd;                                                                            \
                                                                                                   \
		if (open_ours("creat", AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, &fd))         \
			return fd;                                                                 \
		return real()->name(path, mode);                                                   \
	}
WRAP_CREAT(creat)
WRAP_CREAT(creat64)

/* ---- openat2: in libc since glibc 2.43 ---- */

int openat2(int dirfd, const char *path, const struct open_how *how, size_t size);

static int real_openat2(int dirfd, const char *path, const struct open_how *how, size_t size)
{
	int fd = real()->openat2(dirfd, path, how, size);

	if (fd < 0 && errno == ENOSYS) /* an older libc */
		fd = (int)real()->syscall(SYS_openat2, dirfd, path, how, size);
	return fd;
}

/* As @path, with another name behind its folder. */
static const char *put_stand_in(const char *path, char room[STAND_IN_LEN])
{
	const char *slash = strrchr(path, '/');

	snprintf(room, STAND_IN_LEN, "%.*s" LIKE_BARE, slash ? (int)(slash - path) + 1 : 0, path);
	return room;
}

/* The kernel reads and judges @how first, on what is like a node; afterwards @how can be read. An
 * absolute path that begins in a root folder of the client's choice is no node's. */
HF_EXPORT int openat2(int dirfd, const char *path, const struct open_how *how, size_t size)
{
	const char *stand_in = path;
	char room[STAND_IN_LEN];
	int saved = errno;
	struct path seen;
	int fd;

	path_look(dirfd, path, &seen);
	if (seen.kind != PATH_NODE && seen.kind != PATH_PROC_DEVICES && seen.kind != PATH_FD)
		return real_openat2(dirfd, path, how, size);
	if (seen.kind == PATH_NODE)
		stand_in = put_stand_in(path, room);
	fd = real_openat2(dirfd, stand_in, how, size);
	if (fd < 0)
		return fd;
	if (path[0] == '/' && (how->resolve & RESOLVE_IN_ROOT)) {
		real()->close(fd);
		return real_openat2(dirfd, path, how, size);
	}
	if (!is_ours(&seen, (int)how->flags))
		return fd;
	errno = saved;
	return open_seen("openat2", &seen, (int)how->flags, fd);
}

/* stdio opens below the wrappers, so the one file that is read through it is answered here. */
static bool fopen_ours(const char *path, const char *mode, FILE **file)
{
	struct opening o = {.given = -1, .mode = mode};
	struct path seen;

	if (path_look(AT_FDCWD, path, &seen) != PATH_PROC_DEVICES || mode[0] != 'r' ||
	    strchr(mode, '+'))
		return false;
	o.flags = strchr(mode, 'e') ? O_CLOEXEC : 0;
	aside_run(open_devices_aside, &o, sizeof(o));
	*file = o.stream;
	return true;
}

HF_EXPORT FILE *fopen(const char *path, const char *mode)
{
	FILE *file;

	return fopen_ours(path, mode, &file) ? file : real()->fopen(path, mode);
}

HF_EXPORT FILE *fopen64(const char *path, const char *mode)
{
	FILE *file;

	return fopen_ours(path, mode, &file) ? file : real()->fopen64(path, mode);
}
HF_ALIAS(_IO_fopen, fopen);
