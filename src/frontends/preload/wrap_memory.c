// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client's calls that change what its memory is. Held registrations (memory/hold.h) lock pages
 * that the client believes to be free of us, and a locked page shows: madvise(2) and msync(2)
 * refuse it, it counts against RLIMIT_MEMLOCK. So what such a call is about stops being held before
 * it is made, and a call that fails for want of lockable memory is made once more with nothing
 * held.
 *
 * Locks do not count: the client's own mlock and munlock of memory that a device has registered are
 * told, so that the one outlives the registration, and the other leaves it.
 *
 * Nothing here is needed for a device to see the right bytes: a registration is looked at when it
 * is taken over, and calls that do not come by here (raw system calls, the C library's own) are
 * found out then.
 */
#include "real.h"

#include <errno.h>
#include <stdarg.h>

#include "frontends/preload/aside.h"
#include "frontends/preload/path.h"
#include "frontends/preload/wrap_memory.h"
#include "memory/hold.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* What to do with a run of memory, and what that said. */
struct change {
	uaddr_t first, last;
	void (*tell)(uaddr_t first, uaddr_t last);
	bool any;
};

static struct change change_of(const void *addr, size_t len)
{
	struct change change = {.first = (uintptr_t)addr};

	if (__builtin_add_overflow(change.first, len - 1, &change.last))
		change.last = UINT64_MAX;
	return change;
}

static size_t page_up(size_t len)
{
	return (len + MEMORY_PAGE_SIZE - 1) & ~(size_t)(MEMORY_PAGE_SIZE - 1);
}

/* errno is kept. */
static void run(void (*fn)(void *arg), void *arg, size_t len)
{
	int saved = errno;

	aside_run(fn, arg, len);
	errno = saved;
}

static void tell_of_change(void *arg)
{
	const struct change *change = arg;

	change->tell(change->first, change->last);
}

static void forget_all(void *arg)
{
	struct change *change = arg;

	change->any = memory_hold_forget_all(MEMORY_EVICT_CLIENT);
}

void wrap_memory_forget(const void *addr, size_t len)
{
	struct change change;

	if (memory_hold_is_empty() || len == 0)
		return;
	change = change_of(addr, len);
	change.tell = memory_hold_forget;
	run(tell_of_change, &change, sizeof(change));
}

bool wrap_memory_give_way(int err)
{
	struct change change = {.any = false};

	if ((err != EAGAIN && err != ENOMEM && err != EPERM) || memory_hold_is_empty())
		return false;
	run(forget_all, &change, sizeof(change));
	return change.any;
}

HF_EXPORT int munmap(void *addr, size_t len)
{
	wrap_memory_forget(addr, len);
	return real()->munmap(addr, len);
}

/* What mremap(2) has done. */
struct move {
	uaddr_t from, to;
	size_t old_len, new_len;
};

static void tell_of_move(void *arg)
{
	const struct move *m = arg;

	memory_client_moved(m->from, m->old_len, m->to, m->new_len);
}

HF_EXPORT void *mremap(void *addr, size_t old_len, size_t new_len, int flags, ...)
{
	void *to = NULL, *ret;
	int saved = errno;
	va_list ap;

	va_start(ap, flags);
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) /* with the second alone it is a wish */
		to = va_arg(ap, void *);
	va_end(ap);
	wrap_memory_forget(addr, old_len);
	if (flags & MREMAP_FIXED)
		wrap_memory_forget(to, new_len);
	ret = real()->mremap(addr, old_len, new_len, flags, to);
	if (ret == MAP_FAILED && errno == EAGAIN && wrap_memory_give_way(errno))
		ret = real()->mremap(addr, old_len, new_len, flags, to);
	if (ret == MAP_FAILED)
		return ret;
	errno = saved;
	if (memory_any_registered() && (ret != addr || new_len > old_len)) {
		struct move move = {(uintptr_t)addr, (uintptr_t)ret, page_up(old_len),
				    page_up(new_len)};

		run(tell_of_move, &move, sizeof(move));
	}
	return ret;
}

/* Advice that neither changes the bytes nor minds a lock. */
static bool is_harmless(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_COLLAPSE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return true;
	default:
		return false;
	}
}

HF_EXPORT int madvise(void *addr, size_t len, int advice)
{
	if (!is_harmless(advice))
		wrap_memory_forget(addr, len);
	return real()->madvise(addr, len, advice);
}

HF_EXPORT int msync(void *addr, size_t len, int flags)
{
	if (flags & MS_INVALIDATE)
		wrap_memory_forget(addr, len);
	return real()->msync(addr, len, flags);
}

/* ---- the client's own locks: ours must not take them away later, nor the client ours ---- */

/* Tell what the client has done. errno is kept. */
static void tell(void (*what)(uaddr_t first, uaddr_t last), const void *addr, size_t len)
{
	struct change change;

	if (len == 0 || !memory_any_registered())
		return;
	change = change_of(addr, len);
	change.tell = what;
	run(tell_of_change, &change, sizeof(change));
}

/* The client's call gave @ret, perhaps at its second try; errno was @saved before. */
static int tell_locked(const void *addr, size_t len, int ret, int saved)
{
	if (ret < 0)
		return ret;
	errno = saved;
	tell(memory_client_locked, addr, len);
	return ret;
}

void wrap_memory_mapped(const void *addr, size_t len, int flags)
{
	if (unlikely((flags & MAP_LOCKED) || memory_client_locks_what_it_maps()))
		tell(memory_client_locked, addr, len);
}

HF_EXPORT int mlock(const void *addr, size_t len)
{
	int saved = errno, ret;

	wrap_memory_forget(addr, len);
	ret = real()->mlock(addr, len);
	if (ret < 0 && wrap_memory_give_way(errno))
		ret = real()->mlock(addr, len);
	return tell_locked(addr, len, ret, saved);
}

HF_EXPORT int mlock2(const void *addr, size_t len, unsigned int flags)
{
	int saved = errno, ret;

	wrap_memory_forget(addr, len);
	ret = real()->mlock2(addr, len, flags);
	if (ret < 0 && wrap_memory_give_way(errno))
		ret = real()->mlock2(addr, len, flags);
	return tell_locked(addr, len, ret, saved);
}

HF_EXPORT int mlockall(int flags)
{
	int saved = errno, ret;

	(void)wrap_memory_give_way(EAGAIN);
	ret = real()->mlockall(flags);
	if (ret == 0)
		memory_client_will_lock(flags & MCL_FUTURE);
	return flags & MCL_CURRENT ? tell_locked(NULL, SIZE_MAX, ret, saved) : ret;
}

/* At a hole the call fails, after a part has been unlocked. What it says else comes before. */
HF_EXPORT int munlock(const void *addr, size_t len)
{
	int ret = real()->munlock(addr, len);

	if (ret == 0 || errno == ENOMEM)
		tell(memory_client_unlocked, addr, len);
	return ret;
}

HF_EXPORT int munlockall(void)
{
	int ret = real()->munlockall();

	if (ret < 0)
		return ret;
	memory_client_will_lock(false);
	tell(memory_client_unlocked, NULL, SIZE_MAX);
	return ret;
}

/* ---- files ---- */

struct which_file {
	const char *path; /* NULL: @fd */
	int fd;
};

static void forget_which(void *arg)
{
	const struct which_file *which = arg;
	struct stat64 st;

	if ((which->path ? real()->stat64(which->path, &st) : real()->fstat64(which->fd, &st)) == 0)
		memory_hold_forget_file(st.st_ino);
}

static void forget_file(const char *path, int fd)
{
	struct which_file which = {.path = path, .fd = fd};

	if (!memory_hold_is_empty())
		run(forget_which, &which, sizeof(which));
}

/* A memfd can be cut and filled, or its seals say EPERM; a device can not. Return: what the client
 * gets for @rc. */
static int on_device(int fd, int rc, int err)
{
	if ((rc < 0 && errno != EPERM) || !aside_is_device(fd))
		return rc;
	errno = err;
	return -1;
}

/* Modes that the kernel hands on to a file, of which a memfd does not take all. */
static bool is_mode_of_a_file(int mode)
{
	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
	case FALLOC_FL_UNSHARE_RANGE:
	case FALLOC_FL_ZERO_RANGE:
		return true;
	case FALLOC_FL_PUNCH_HOLE:
		return mode & FALLOC_FL_KEEP_SIZE;
	case FALLOC_FL_COLLAPSE_RANGE:
	case FALLOC_FL_INSERT_RANGE:
		return !(mode & FALLOC_FL_KEEP_SIZE);
	}
	return false;
}

/* Modes and ranges are a file's own to judge: a device is asked for neither. */
static int allocated(int fd, int mode, int rc)
{
	bool by_file =
		rc < 0 && (errno == EFBIG || (errno == EOPNOTSUPP && is_mode_of_a_file(mode)));

	if (by_file && aside_is_device(fd)) {
		errno = ENODEV;
		return -1;
	}
	return on_device(fd, rc, ENODEV);
}

/* Every mode but plain allocation takes bytes out, moves or zeroes them. */
#define WRAP_FALLOCATE(name, off_type)                                                             \
	HF_EXPORT int name(int fd, int mode, off_type off, off_type len)                           \
	{                                                                                          \
		if (mode & ~FALLOC_FL_KEEP_SIZE)                                                   \
			forget_file(NULL, fd);                                                     \
		return allocated(fd, mode, real()->name(fd, mode, off, len));                      \
	}
WRAP_FALLOCATE(fallocate, off_t)
WRAP_FALLOCATE(fallocate64, off64_t)

#define WRAP_FTRUNCATE(name, off_type)                                                             \
	HF_EXPORT int name(int fd, off_type len)                                                   \
	{                                                                                          \
		forget_file(NULL, fd);                                                             \
		return on_device(fd, real()->name(fd, len), EINVAL);                               \
	}
WRAP_FTRUNCATE(ftruncate, off_t)
WRAP_FTRUNCATE(ftruncate64, off64_t)

/* A descriptor's name leads to what stands for the device, which can be cut to its own length. */
static int truncate_answer(const char *path, int rc)
{
	struct path seen;
	enum path_kind kind = path_look_after(AT_FDCWD, path, rc, &seen);

	if (kind != PATH_FD && (rc >= 0 || kind != PATH_NODE))
		return rc;
	errno = EINVAL;
	return -1;
}

#define WRAP_TRUNCATE(name, off_type)                                                              \
	HF_EXPORT int name(const char *path, off_type len)                                         \
	{                                                                                          \
		if (path)                                                                          \
			forget_file(path, -1);                                                     \
		return truncate_answer(path, real()->name(path, len));                             \
	}
WRAP_TRUNCATE(truncate, off_t)
WRAP_TRUNCATE(truncate64, off64_t)
