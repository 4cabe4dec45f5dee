// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls that a kernel answers for a device's descriptor without asking the driver, and answers
 * otherwise for the memfd that stands for one here. Other descriptors pay two loads.
 */
#include "real.h"

#include <errno.h>

#include "frontends/preload/aside.h"

/* Of a device's descriptor, in the order in which the kernel asks. */
struct asking {
	int fd;
	int access; /* the answer; -1: it is no device */
};

static void look_at_access(void *arg)
{
	struct asking *a = arg;
	struct preload_file *file = files_get(a->fd);

	a->access = file ? file->access : -1;
	files_put(file);
}

/* Return: O_RDONLY, O_WRONLY or O_RDWR; -1: @fd is no device. errno is kept */
static int device_access(int fd)
{
	struct asking a = {.fd = fd, .access = -1};
	int saved = errno;

	if (aside_is_device(fd))
		aside_run(look_at_access, &a, sizeof(a));
	errno = saved;
	return a.access;
}

static int refused_seek(int whence)
{
	return whence < SEEK_SET || whence > SEEK_HOLE ? EINVAL : ESPIPE;
}

static int refused_sync(off64_t first, off64_t len, unsigned int flags)
{
	const unsigned int known =
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	off64_t end;

	if ((flags & ~known) || first < 0 || __builtin_add_overflow(first, len, &end) ||
	    end < first)
		return EINVAL;
	return ESPIPE;
}

#define WRAP_REFUSED(result, name, err, params, args)                                              \
	HF_EXPORT result name params                                                               \
	{                                                                                          \
		if (!aside_is_device(fd))                                                          \
			return real()->name args;                                                  \
		errno = (err);                                                                     \
		return -1;                                                                         \
	}
WRAP_REFUSED(off_t, lseek, refused_seek(whence), (int fd, off_t off, int whence), (fd, off, whence))
WRAP_REFUSED(off64_t, lseek64, refused_seek(whence), (int fd, off64_t off, int whence),
	     (fd, off, whence))
HF_ALIAS(__lseek, lseek);
WRAP_REFUSED(int, fsync, EINVAL, (int fd), (fd))
WRAP_REFUSED(int, fdatasync, EINVAL, (int fd), (fd))
WRAP_REFUSED(int, sync_file_range, refused_sync(first, len, flags),
	     (int fd, off64_t first, off64_t len, unsigned int flags), (fd, first, len, flags))
WRAP_REFUSED(ssize_t, readahead, device_access(fd) == O_WRONLY ? EBADF : EINVAL,
	     (int fd, off64_t first, size_t len), (fd, first, len))

static int refused_allocation(int fd, off64_t off, off64_t len)
{
	if (off < 0 || len <= 0)
		return EINVAL;
	return device_access(fd) == O_RDONLY ? EBADF : ENODEV;
}

/* These return the error. */
#define WRAP_POSIX_FALLOCATE(name, off_type)                                                       \
	HF_EXPORT int name(int fd, off_type off, off_type len)                                     \
	{                                                                                          \
		return aside_is_device(fd) ? refused_allocation(fd, off, len)                      \
					   : real()->name(fd, off, len);                           \
	}
WRAP_POSIX_FALLOCATE(posix_fallocate, off_t)
WRAP_POSIX_FALLOCATE(posix_fallocate64, off64_t)
