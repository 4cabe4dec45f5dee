// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls that make, copy and close descriptors. The order is always the same: libc's call first, the
 * table after it has succeeded, and a file that nobody refers to any more last; close(2) alone
 * empties the table entry first, because the number is anybody's once the kernel has closed it. A
 * vfork child passes everything through: the table is its parent's, the descriptors are its own.
 */
#include "real.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "frontends/preload/call.h"
#include "frontends/preload/files.h"
#include "frontends/preload/raw.h"

/* ---- close ---- */

/* @file: taken with files_get() */
static int close_ours(struct preload_file *file, int fd)
{
	struct preload_file *held;
	struct call call;
	int rc;

	call_enter(&call, file->minor);
	if (call.log)
		fprintf(call.log, "close(%d)", fd);
	held = files_remove(fd);
	rc = real()->close(fd) < 0 ? -errno : 0;
	files_put(held);
	files_put(file);
	return (int)call_leave(&call, rc);
}

HF_EXPORT int close(int fd)
{
	struct preload_file *file;

	if (!files_maybe(fd) || files_in_vfork() || !(file = files_get(fd)))
		return real()->close(fd);
	return close_ours(file, fd);
}
HF_ALIAS(__close, close);

/* A stream of memory has no descriptor, and asking for it sets errno. */
HF_EXPORT int fclose(FILE *stream)
{
	struct preload_file *file = NULL;
	int saved = errno;
	int fd = stream ? fileno_unlocked(stream) : -1;
	int rc;

	errno = saved;
	if (files_maybe(fd) && !files_in_vfork() && (file = files_get(fd)))
		files_put(files_remove(fd));
	rc = real()->fclose(stream);
	files_put(file);
	return rc;
}
HF_ALIAS(_IO_fclose, fclose);

HF_EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	int rc = real()->close_range(first, last, flags);
	int saved = errno;

	if (rc == 0 && !((unsigned int)flags & CLOSE_RANGE_CLOEXEC) && !files_in_vfork())
		files_remove_range(first, last);
	errno = saved;
	return rc;
}

HF_EXPORT void closefrom(int first)
{
	int saved = errno;

	real()->closefrom(first);
	if (!files_in_vfork())
		files_remove_range(first < 0 ? 0 : (unsigned int)first, UINT32_MAX);
	errno = saved;
}

/* ---- duplicates ---- */

/* @to refers to @file (or to no device, if NULL) from now on. Consumes the reference. */
static void note_copy(const char *name, struct preload_file *file, int from, int to)
{
	struct call call;

	call_enter(&call, file ? file->minor : CALL_NO_LOG);
	if (call.log)
		fprintf(call.log, "%s(%d)", name, from);
	if (!file || files_install(to, file) != 0)
		files_put(files_remove(to));
	files_put(file);
	(void)call_leave(&call, to);
}

static struct preload_file *source(int fd)
{
	return files_maybe(fd) && !files_in_vfork() ? files_get(fd) : NULL;
}

/* A copy of a device gets a number of the window, if there is one (raw.h), whatever the client's
 * @lowest is. Return: the number, or -1 with errno as from fcntl(2). */
static int copy_of_device(int fd, int cmd, int lowest)
{
	const struct raw_window *window = raw_window();
	int to = -1;

	if (window && lowest >= 0 && lowest < window->first)
		to = real()->fcntl(fd, cmd, window->first);
	return to >= 0 ? to : real()->fcntl(fd, cmd, lowest);
}

HF_EXPORT int dup(int fd)
{
	struct preload_file *file = source(fd);
	int to = file ? copy_of_device(fd, F_DUPFD, 0) : real()->dup(fd);

	if (file && to >= 0)
		note_copy("dup", file, fd, to);
	else if (file)
		files_put(file);
	return to;
}

static int after_dup2(const char *name, struct preload_file *file, int from, int to, int rc)
{
	int saved = errno;

	if (rc >= 0 && from != to && (file || (files_maybe(to) && !files_in_vfork())))
		note_copy(name, file, from, to);
	else
		files_put(file);
	errno = saved;
	return rc;
}

HF_EXPORT int dup2(int from, int to)
{
	struct preload_file *file = source(from);

	return after_dup2("dup2", file, from, to, real()->dup2(from, to));
}
HF_ALIAS(__dup2, dup2);

HF_EXPORT int dup3(int from, int to, int flags)
{
	struct preload_file *file = source(from);

	return after_dup2("dup3", file, from, to, real()->dup3(from, to, flags));
}

/* The third argument is a number or a pointer; either fills one register, and libc reads it the
 * same way. */
#define WRAP_FCNTL(name)                                                                           \
	HF_EXPORT int name(int fd, int cmd, ...)                                                   \
	{                                                                                          \
		struct preload_file *file = NULL;                                                  \
		va_list ap;                                                                        \
		void *arg;                                                                         \
		int rc;                                                                            \
                                                                                                   \
		va_start(ap, cmd);                                                                 \
		arg = va_arg(ap, void *);                                                          \
		va_end(ap);                                                                        \
		if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)                                      \
			file = source(fd);                                                         \
		rc = file ? copy_of_device(fd, cmd, (int)(intptr_t)arg)                            \
			  : real()->name(fd, cmd, arg);                                            \
		if (file && rc >= 0)                                                               \
			note_copy("fcntl", file, fd, rc);                                          \
		else if (file)                                                                     \
			files_put(file);                                                           \
		return rc;                                                                         \
	}
WRAP_FCNTL(fcntl)
WRAP_FCNTL(fcntl64)
HF_ALIAS(__fcntl, fcntl);
