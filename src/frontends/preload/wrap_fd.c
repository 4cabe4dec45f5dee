// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls that make, copy and close descriptors. The number in the kernel and its entry in the table
 * change as one, under the lock of the numbers (files.c); a file that nobody refers to any more is
 * let go after that. After a whole range was closed, only entries whose descriptor is gone leave
 * the table: another thread's open may have got one of the numbers since, and that device stays. A
 * vfork child passes everything through: the table is its parent's, the descriptors are its own.
 */
#include "real.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "frontends/preload/aside.h"
#include "frontends/preload/call.h"
#include "frontends/preload/files.h"
#include "frontends/preload/node.h"
#include "frontends/preload/raw.h"
#include "frontends/preload/wrap_lock.h"

#define SETTLE_MS 20

/* ---- close ---- */

/* @file: taken with files_get() */
static int close_ours(struct preload_file *file, int fd)
{
	struct preload_file *held;
	struct files_hold hold;
	struct call call;
	int rc;

	call_enter(&call, file->minor);
	if (call.log)
		fprintf(call.log, "close(%d)", fd);
	files_lock(&hold);
	held = files_remove(fd);
	rc = real()->close(fd) < 0 ? -errno : 0;
	files_unlock(&hold);
	files_put(held);
	files_put(file);
	return (int)call_leave(&call, rc);
}

/* The entry of @fd, in a process that may change the table. With one, handlers are put off until
 * call_leave(), or call_unhold(). */
static struct preload_file *source(int fd)
{
	struct preload_file *file;

	if (!files_maybe(fd) || aside_is_needed() || files_is_apart())
		return NULL;
	call_hold();
	file = files_get(fd);
	if (!file)
		call_unhold();
	return file;
}

HF_EXPORT int close(int fd)
{
	struct preload_file *file;
	long done;

	if (files_maybe(fd) && ASIDE_CALL(&done, SYS_close, fd))
		return (int)done;
	file = source(fd);
	if (file)
		return close_ours(file, fd);
	if (fd >= 0 && fd == raw_listener()) {
		errno = EBADF; /* the client never opened it */
		return -1;
	}
	return real()->close(fd);
}
HF_ALIAS(__close, close);

/* Numbers that were closed. */
struct closed {
	unsigned int first, last;
};

static void note_closed(void *arg)
{
	const struct closed *closed = arg;

	if (!files_is_apart())
		files_remove_closed(closed->first, closed->last);
}

/* A stream of memory has no descriptor, and asking for it sets errno. */
HF_EXPORT int fclose(FILE *stream)
{
	int saved = errno;
	int fd = stream ? fileno_unlocked(stream) : -1;
	struct closed closed = {.first = (unsigned int)fd, .last = (unsigned int)fd};
	bool maybe = files_maybe(fd);
	int rc;

	errno = saved;
	rc = real()->fclose(stream);
	saved = errno;
	if (maybe && !files_has_own)
		aside_run(note_closed, &closed, sizeof(closed));
	errno = saved;
	return rc;
}
HF_ALIAS(_IO_fclose, fclose);

/* All but the listener, without which the calls that it waits for would fail. */
static int close_numbers(unsigned int first, unsigned int last, int flags)
{
	int fd = raw_listener(), rc = 0;
	unsigned int ours = (unsigned int)fd;

	if (fd < 0 || ours < first || ours > last)
		return real()->close_range(first, last, flags);
	if (first < ours)
		rc = real()->close_range(first, ours - 1, flags);
	if (rc == 0 && ours < last)
		rc = real()->close_range(ours + 1, last, flags);
	return rc;
}

/* Is the caller the only thread of the process, ours left aside? One of ours that has just begun,
 * or is about to end, is not counted, but seen. */
static void look_for_others(void *arg)
{
	bool *alone = arg;
	struct stat st;

	for (int ms = 0; !*alone && ms < SETTLE_MS; ms++) {
		(void)poll(NULL, 0, ms > 0);
		*alone = real()->stat("/proc/self/task", &st) == 0 &&
			 st.st_nlink <= 3 + thread_nr_ours();
	}
}

/* A thread that takes a table of its own leaves the others' as it is, and that is the one of which
 * ours tells. A process of one thread has no other but that of the workers, whose devices end with
 * their descriptors. A vfork child has its parent's thread-local memory, so it notes nothing; nor
 * does a thread whose calls are made aside, where the numbers of the others count. Return: has the
 * caller one now? */
static bool take_own(void)
{
	int saved = errno;
	bool alone = false;

	aside_run(look_for_others, &alone, sizeof(alone));
	if (!alone && !aside_is_needed() && !files_in_vfork())
		files_has_own = true;
	errno = saved;
	return !alone;
}

HF_EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	struct closed closed = {.first = first, .last = last};
	int rc = close_numbers(first, last, flags);
	bool own = rc == 0 && ((unsigned int)flags & CLOSE_RANGE_UNSHARE) && take_own();
	int saved = errno;

	if (rc == 0 && !((unsigned int)flags & CLOSE_RANGE_CLOEXEC) && files_any() && !own &&
	    !files_has_own)
		aside_run(note_closed, &closed, sizeof(closed));
	errno = saved;
	return rc;
}

HF_EXPORT void closefrom(int first)
{
	struct closed closed = {.first = first < 0 ? 0 : (unsigned int)first, .last = UINT32_MAX};
	int saved = errno;

	if (raw_listener() < 0)
		real()->closefrom(first);
	else
		(void)close_numbers(closed.first, UINT32_MAX, 0);
	if (files_any() && !files_has_own)
		aside_run(note_closed, &closed, sizeof(closed));
	errno = saved;
}

HF_EXPORT int unshare(int flags)
{
	int rc = real()->unshare(flags);

	if (rc == 0 && (flags & CLONE_FILES))
		(void)take_own();
	return rc;
}

/* ---- duplicates ---- */

/* What makes a copy: as fcntl(2) and dup3(2). */
struct copying {
	const char *name;
	int from, cmd, lowest; /* fcntl */
	int to, flags;         /* dup3; dup2 if the flags are -1 */
};

/* A copy of a device gets a number of the window, if there is one (raw.h), whatever the client's
 * lowest is. */
static int copy_up(const struct copying *c)
{
	const struct raw_window *window = raw_window();
	int to = -1;

	if (window && c->lowest >= 0 && c->lowest < window->first)
		to = real()->fcntl(c->from, c->cmd, window->first);
	return to >= 0 ? to : real()->fcntl(c->from, c->cmd, c->lowest);
}

static int copy_onto(const struct copying *c)
{
	return c->flags == -1 ? real()->dup2(c->from, c->to)
			      : real()->dup3(c->from, c->to, c->flags);
}

/* Makes the copy and notes that it refers to @file (or to no device, if NULL) from now on. Consumes
 * the reference. Return: as the wrapper */
static int copy(const struct copying *c, struct preload_file *file,
		int (*make)(const struct copying *))
{
	struct preload_file *old = NULL;
	struct files_hold hold;
	struct call call;
	int to;

	call_enter(&call, file ? file->minor : CALL_NO_LOG);
	if (call.log)
		fprintf(call.log, "%s(%d)", c->name, c->from);
	files_lock(&hold);
	to = make(c);
	if (to < 0)
		to = -errno;
	else if (to != c->from && (!file || files_install(to, file, &old) != 0))
		old = files_remove(to);
	files_unlock(&hold);
	files_put(old);
	files_put(file);
	return (int)call_leave(&call, to);
}

HF_EXPORT int dup(int fd)
{
	const struct copying c = {.name = "dup", .from = fd, .cmd = F_DUPFD};
	struct preload_file *file;
	long done;

	if (files_maybe(fd) && ASIDE_CALL(&done, SYS_dup, fd))
		return (int)done;
	file = source(fd);
	return file ? copy(&c, file, copy_up) : real()->dup(fd);
}

static bool touches_device(const struct preload_file *file, int to)
{
	return file || (files_maybe(to) && !aside_is_needed() && !files_is_apart());
}

HF_EXPORT int dup2(int from, int to)
{
	const struct copying c = {.name = "dup2", .from = from, .to = to, .flags = -1};
	struct preload_file *file;
	long done;

	if ((files_maybe(from) || files_maybe(to)) && ASIDE_CALL(&done, SYS_dup2, from, to))
		return (int)done;
	file = source(from);
	return touches_device(file, to) ? copy(&c, file, copy_onto) : real()->dup2(from, to);
}
HF_ALIAS(__dup2, dup2);

HF_EXPORT int dup3(int from, int to, int flags)
{
	const struct copying c = {.name = "dup3", .from = from, .to = to, .flags = flags};
	struct preload_file *file;
	long done;

	if ((files_maybe(from) || files_maybe(to)) && ASIDE_CALL(&done, SYS_dup3, from, to, flags))
		return (int)done;
	file = source(from);
	/* -1 is no flag of dup3's: the kernel refuses it */
	if (flags != -1 && touches_device(file, to))
		return copy(&c, file, copy_onto);
	files_put(file);
	call_unhold();
	return real()->dup3(from, to, flags);
}

/* ---- fcntl ---- */

/* What shows that a memfd stands for the device: its seals, the signal that marks it, and what only
 * a file with bytes takes. */
static bool is_about_memfd(int cmd, long arg)
{
	return cmd == F_GETSIG || cmd == F_SETSIG || cmd == F_GET_SEALS || cmd == F_ADD_SEALS ||
	       cmd == F_SETLEASE || (cmd == F_SETFL && (arg & O_DIRECT));
}

static bool is_wrapped(int cmd, long arg)
{
	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC || is_about_memfd(cmd, arg);
}

static int fcntl_about_memfd(int cmd, long arg, struct preload_file *file)
{
	files_put(file);
	call_unhold();
	if (cmd == F_GETSIG || (cmd == F_SETSIG && (int)arg >= 0 && (int)arg < NSIG))
		return 0; /* no signal comes from a device */
	errno = EINVAL;
	return -1;
}

static int copy_fcntl(int fd, int cmd, int lowest, struct preload_file *file)
{
	const struct copying c = {.name = "fcntl", .from = fd, .cmd = cmd, .lowest = lowest};

	return copy(&c, file, copy_up);
}

/* The third argument is a number or a pointer; either fills one register, and libc reads it the
 * same way. */
#define WRAP_FCNTL(name)                                                                           \
	HF_EXPORT int name(int fd, int cmd, ...)                                                   \
	{                                                                                          \
		struct preload_file *file;                                                         \
		va_list ap;                                                                        \
		void *arg;                                                                         \
		long done;                                                                         \
		int rc;                                                                            \
                                                                                                   \
		va_start(ap, cmd);                                                                 \
		arg = va_arg(ap, void *);                                                          \
		va_end(ap);                                                                        \
		if (files_maybe(fd) && lock_is(cmd) &&                                             \
		    lock_device(real()->name, fd, cmd, arg, &rc))                                  \
			return rc;                                                                 \
		if (!files_maybe(fd) || !is_wrapped(cmd, (long)(intptr_t)arg))                     \
			return real()->name(fd, cmd, arg);                                         \
		if (ASIDE_CALL(&done, SYS_fcntl, fd, cmd, (uintptr_t)arg))                         \
			return (int)done;                                                          \
		file = source(fd);                                                                 \
		if (file && is_about_memfd(cmd, (long)(intptr_t)arg))                              \
			return fcntl_about_memfd(cmd, (long)(intptr_t)arg, file);                  \
		return file ? copy_fcntl(fd, cmd, (int)(intptr_t)arg, file)                        \
			    : real()->name(fd, cmd, arg);                                          \
	}
WRAP_FCNTL(fcntl)
WRAP_FCNTL(fcntl64)
HF_ALIAS(__fcntl, fcntl);
