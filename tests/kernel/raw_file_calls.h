// SPDX-License-Identifier: BSD-3-Clause
/* The calls of file_calls.c past libc, by the names of libc's functions. */
#ifndef TESTS_KERNEL_RAW_FILE_CALLS_H
#define TESTS_KERNEL_RAW_FILE_CALLS_H

#include "unit/preload/raw_calls.h"

static inline long with_errno(long rc)
{
	if (rc >= 0 || rc < -4095)
		return rc;
	errno = (int)-rc;
	return -1;
}

static inline int raw_open(const char *path, int flags)
{
	return (int)with_errno(RAW3(SYS_open, path, flags, 0));
}

static inline int raw_close_fd(int fd)
{
	return (int)with_errno(RAW3(SYS_close, fd, 0, 0));
}

#define CALL3(name, a, b, c)          with_errno(RAW3(SYS_##name, a, b, c))
#define CALL6(name, a, b, c, d, e, f) with_errno(RAW6(SYS_##name, a, b, c, d, e, f))

#define open                               raw_open
#define close                              raw_close_fd
#define openat(at, path, flags)            CALL3(openat, at, path, flags)
#define lseek(fd, off, whence)             CALL3(lseek, fd, off, whence)
#define fsync(fd)                          CALL3(fsync, fd, 0, 0)
#define fdatasync(fd)                      CALL3(fdatasync, fd, 0, 0)
#define syncfs(fd)                         CALL3(syncfs, fd, 0, 0)
#define ftruncate(fd, len)                 CALL3(ftruncate, fd, len, 0)
#define truncate(path, len)                CALL3(truncate, path, len, 0)
#define fallocate(fd, mode, off, len)      CALL6(fallocate, fd, mode, off, len, 0, 0)
#define posix_fallocate(fd, off, len)      (-RAW6(SYS_fallocate, fd, 0, off, len, 0, 0))
#define posix_fadvise(fd, off, len, what)  (-RAW6(SYS_fadvise64, fd, off, len, what, 0, 0))
#define readahead(fd, off, len)            CALL3(readahead, fd, off, len)
#define sync_file_range(fd, off, len, how) CALL6(sync_file_range, fd, off, len, how, 0, 0)
#define read(fd, buf, len)                 CALL3(read, fd, buf, len)
#define write(fd, buf, len)                CALL3(write, fd, buf, len)
#define pread(fd, buf, len, off)           CALL6(pread64, fd, buf, len, off, 0, 0)
#define readv(fd, iov, nr)                 CALL3(readv, fd, iov, nr)
#define writev(fd, iov, nr)                CALL3(writev, fd, iov, nr)
#define sendfile(out, in, off, len)        CALL6(sendfile, out, in, off, len, 0, 0)
#define splice(a, aoff, b, boff, len, how) CALL6(splice, a, aoff, b, boff, len, how)
#define tee(in, out, len, how)             CALL6(tee, in, out, len, how, 0, 0)
#define vmsplice(fd, iov, nr, how)         CALL6(vmsplice, fd, iov, nr, how, 0, 0)
#define copy_file_range(a, aoff, b, boff, len, how)                                                \
	CALL6(copy_file_range, a, aoff, b, boff, len, how)
#define flock(fd, how)                    CALL3(flock, fd, how, 0)
#define fcntl(fd, cmd, ...)               CALL3(fcntl, fd, cmd, (__VA_ARGS__ + 0))
#define ioctl(fd, cmd, arg)               CALL3(ioctl, fd, cmd, arg)
#define poll(fds, nr, timeout)            CALL3(poll, fds, nr, timeout)
#define select(nr, in, out, err, how)     CALL6(select, nr, in, out, err, how, 0)
#define epoll_ctl(ep, op, fd, event)      CALL6(epoll_ctl, ep, op, fd, event, 0, 0)
#define mmap(at, len, prot, how, fd, off) ((void *)CALL6(mmap, at, len, prot, how, fd, off))
#define fchdir(fd)                        CALL3(fchdir, fd, 0, 0)
#define listen(fd, len)                   CALL3(listen, fd, len, 0)
#define fstat(fd, st)                     ((int)CALL3(fstat, fd, st, 0))
#define stat(path, st)                    ((int)CALL3(stat, path, st, 0))
#define fstatfs(fd, fs)                   CALL3(fstatfs, fd, fs, 0)
#define readlink(path, to, len)           CALL3(readlink, path, to, len)
#define dup2(fd, to)                      ((int)CALL3(dup2, fd, to, 0))
#define dup(fd)                           ((int)CALL3(dup, fd, 0, 0))

#endif
