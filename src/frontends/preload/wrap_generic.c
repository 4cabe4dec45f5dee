// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls that a kernel answers for a device's descriptor without asking the driver, and answers
 * otherwise for the memfd that stands for one here. Other descriptors pay two loads.
 */
#include "real.h"

#include <errno.h>

#include "frontends/preload/aside.h"

#define WRAP_REFUSED(result, name, err, params, args)                                              \
	HF_EXPORT result name params                                                               \
	{                                                                                          \
		if (!aside_is_device(fd))                                                          \
			return real()->name args;                                                  \
		errno = (err);                                                                     \
		return -1;                                                                         \
	}
WRAP_REFUSED(off_t, lseek, ESPIPE, (int fd, off_t off, int whence), (fd, off, whence))
WRAP_REFUSED(off64_t, lseek64, ESPIPE, (int fd, off64_t off, int whence), (fd, off, whence))
HF_ALIAS(__lseek, lseek);
WRAP_REFUSED(int, fsync, EINVAL, (int fd), (fd))
WRAP_REFUSED(int, fdatasync, EINVAL, (int fd), (fd))
WRAP_REFUSED(int, sync_file_range, ESPIPE, (int fd, off64_t first, off64_t len, unsigned int flags),
	     (fd, first, len, flags))
WRAP_REFUSED(ssize_t, readahead, EINVAL, (int fd, off64_t first, size_t len), (fd, first, len))

/* These return the error. */
#define WRAP_POSIX_FALLOCATE(name, off_type)                                                       \
	HF_EXPORT int name(int fd, off_type off, off_type len)                                     \
	{                                                                                          \
		return aside_is_device(fd) ? ENODEV : real()->name(fd, off, len);                  \
	}
WRAP_POSIX_FALLOCATE(posix_fallocate, off_t)
WRAP_POSIX_FALLOCATE(posix_fallocate64, off64_t)
