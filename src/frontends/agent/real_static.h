// SPDX-License-Identifier: BSD-3-Clause
/* What the agent's wrappers call of libc. Thread rule: any thread. */
#ifndef HOLDFAST_FRONTENDS_AGENT_REAL_STATIC_H
#define HOLDFAST_FRONTENDS_AGENT_REAL_STATIC_H

#include <stddef.h>

/* X(name) */
#define REAL_STATIC_FUNCTIONS(X)                                                                   \
	X(access)                                                                                  \
	X(close)                                                                                   \
	X(close_range)                                                                             \
	X(closedir)                                                                                \
	X(closefrom)                                                                               \
	X(copy_file_range)                                                                         \
	X(creat)                                                                                   \
	X(creat64)                                                                                 \
	X(dup)                                                                                     \
	X(dup2)                                                                                    \
	X(dup3)                                                                                    \
	X(faccessat)                                                                               \
	X(fallocate)                                                                               \
	X(fallocate64)                                                                             \
	X(fclose)                                                                                  \
	X(fcntl)                                                                                   \
	X(fcntl64)                                                                                 \
	X(fdatasync)                                                                               \
	X(fopen)                                                                                   \
	X(fstat)                                                                                   \
	X(fstat64)                                                                                 \
	X(fstatat)                                                                                 \
	X(fstatat64)                                                                               \
	X(fsync)                                                                                   \
	X(ftruncate)                                                                               \
	X(ftruncate64)                                                                             \
	X(ioctl)                                                                                   \
	X(lseek)                                                                                   \
	X(lseek64)                                                                                 \
	X(lstat)                                                                                   \
	X(lstat64)                                                                                 \
	X(madvise)                                                                                 \
	X(mlock)                                                                                   \
	X(mlock2)                                                                                  \
	X(mlockall)                                                                                \
	X(mmap)                                                                                    \
	X(mmap64)                                                                                  \
	X(mremap)                                                                                  \
	X(msync)                                                                                   \
	X(munlock)                                                                                 \
	X(munlockall)                                                                              \
	X(munmap)                                                                                  \
	X(open)                                                                                    \
	X(open64)                                                                                  \
	X(openat)                                                                                  \
	X(openat64)                                                                                \
	X(opendir)                                                                                 \
	X(pread)                                                                                   \
	X(pread64)                                                                                 \
	X(preadv)                                                                                  \
	X(preadv2)                                                                                 \
	X(preadv64)                                                                                \
	X(preadv64v2)                                                                              \
	X(pthread_sigmask)                                                                         \
	X(pwrite)                                                                                  \
	X(pwrite64)                                                                                \
	X(pwritev)                                                                                 \
	X(pwritev2)                                                                                \
	X(pwritev64)                                                                               \
	X(pwritev64v2)                                                                             \
	X(read)                                                                                    \
	X(readahead)                                                                               \
	X(readdir)                                                                                 \
	X(readlink)                                                                                \
	X(readlinkat)                                                                              \
	X(readv)                                                                                   \
	X(sendfile)                                                                                \
	X(sendfile64)                                                                              \
	X(splice)                                                                                  \
	X(stat)                                                                                    \
	X(stat64)                                                                                  \
	X(statx)                                                                                   \
	X(sync_file_range)                                                                         \
	X(syscall)                                                                                 \
	X(truncate)                                                                                \
	X(truncate64)                                                                              \
	X(write)                                                                                   \
	X(writev)

/** real_static_find() - libc's function of that name, or one that fails with ENOSYS */
void *real_static_find(const char *name);

#endif
