// SPDX-License-Identifier: BSD-3-Clause
/*
 * The libc functions behind the wrappers, found by dlsym(RTLD_NEXT): what comes next in the
 * client's own order of libraries, so that other preloaded libraries keep working. The one list of
 * them is below; each wrapper file includes this header first, because it also takes back three
 * macros: two would make libc's headers rename or inline the very functions that are defined here,
 * and the third would let the compiler believe that no parameter of theirs is ever NULL, and drop
 * each question about it.
 *
 * Thread rule: any thread, any time, also from constructors that run before ours.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_REAL_H
#define HOLDFAST_FRONTENDS_PRELOAD_REAL_H

#if defined(HOLDFAST_BASE_COMPILER_H)
#error "real.h goes first"
#endif
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#if defined(_FEATURES_H) || defined(_SYS_CDEFS_H)
#error "real.h goes first, before libc's headers"
#endif
#define __nonnull(params)

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/compiler.h"

struct epoll_event;
struct statx;
struct open_how;

/* X(result, name, parameters) */
#define REAL_FUNCTIONS(X)                                                                          \
	X(int, open, (const char *, int, ...))                                                     \
	X(int, open64, (const char *, int, ...))                                                   \
	X(int, openat, (int, const char *, int, ...))                                              \
	X(int, openat64, (int, const char *, int, ...))                                            \
	X(int, openat2, (int, const char *, const struct open_how *, size_t))                      \
	X(int, creat, (const char *, mode_t))                                                      \
	X(int, creat64, (const char *, mode_t))                                                    \
	X(int, __open_2, (const char *, int))                                                      \
	X(int, __open64_2, (const char *, int))                                                    \
	X(int, __openat_2, (int, const char *, int))                                               \
	X(int, __openat64_2, (int, const char *, int))                                             \
	X(FILE *, fopen, (const char *, const char *))                                             \
	X(FILE *, fopen64, (const char *, const char *))                                           \
	X(int, fclose, (FILE *))                                                                   \
	X(int, ioctl, (int, unsigned long, ...))                                                   \
	X(ssize_t, write, (int, const void *, size_t))                                             \
	X(ssize_t, writev, (int, const struct iovec *, int))                                       \
	X(ssize_t, pwrite, (int, const void *, size_t, off_t))                                     \
	X(ssize_t, pwrite64, (int, const void *, size_t, off64_t))                                 \
	X(ssize_t, pwritev, (int, const struct iovec *, int, off_t))                               \
	X(ssize_t, pwritev64, (int, const struct iovec *, int, off64_t))                           \
	X(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                         \
	X(ssize_t, pwritev64v2, (int, const struct iovec *, int, off64_t, int))                    \
	X(ssize_t, read, (int, void *, size_t))                                                    \
	X(ssize_t, __read_chk, (int, void *, size_t, size_t))                                      \
	X(ssize_t, readv, (int, const struct iovec *, int))                                        \
	X(ssize_t, pread, (int, void *, size_t, off_t))                                            \
	X(ssize_t, pread64, (int, void *, size_t, off64_t))                                        \
	X(ssize_t, __pread_chk, (int, void *, size_t, off_t, size_t))                              \
	X(ssize_t, __pread64_chk, (int, void *, size_t, off64_t, size_t))                          \
	X(ssize_t, preadv, (int, const struct iovec *, int, off_t))                                \
	X(ssize_t, preadv64, (int, const struct iovec *, int, off64_t))                            \
	X(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                          \
	X(ssize_t, preadv64v2, (int, const struct iovec *, int, off64_t, int))                     \
	X(int, close, (int))                                                                       \
	X(int, close_range, (unsigned int, unsigned int, int))                                     \
	X(void, closefrom, (int))                                                                  \
	X(int, unshare, (int))                                                                     \
	X(int, dup, (int))                                                                         \
	X(int, dup2, (int, int))                                                                   \
	X(int, dup3, (int, int, int))                                                              \
	X(int, fcntl, (int, int, ...))                                                             \
	X(int, fcntl64, (int, int, ...))                                                           \
	X(int, lockf, (int, int, off_t))                                                           \
	X(void *, mmap, (void *, size_t, int, int, int, off_t))                                    \
	X(void *, mmap64, (void *, size_t, int, int, int, off64_t))                                \
	X(int, munmap, (void *, size_t))                                                           \
	X(void *, mremap, (void *, size_t, size_t, int, ...))                                      \
	X(int, madvise, (void *, size_t, int))                                                     \
	X(int, msync, (void *, size_t, int))                                                       \
	X(int, mlock, (const void *, size_t))                                                      \
	X(int, mlock2, (const void *, size_t, unsigned int))                                       \
	X(int, mlockall, (int))                                                                    \
	X(int, munlock, (const void *, size_t))                                                    \
	X(int, munlockall, (void))                                                                 \
	X(int, fallocate, (int, int, off_t, off_t))                                                \
	X(int, fallocate64, (int, int, off64_t, off64_t))                                          \
	X(int, ftruncate, (int, off_t))                                                            \
	X(int, ftruncate64, (int, off64_t))                                                        \
	X(int, truncate, (const char *, off_t))                                                    \
	X(int, truncate64, (const char *, off64_t))                                                \
	X(off_t, lseek, (int, off_t, int))                                                         \
	X(off64_t, lseek64, (int, off64_t, int))                                                   \
	X(int, fsync, (int))                                                                       \
	X(int, fdatasync, (int))                                                                   \
	X(int, sync_file_range, (int, off64_t, off64_t, unsigned int))                             \
	X(ssize_t, readahead, (int, off64_t, size_t))                                              \
	X(ssize_t, sendfile, (int, int, off_t *, size_t))                                          \
	X(ssize_t, sendfile64, (int, int, off64_t *, size_t))                                      \
	X(ssize_t, splice, (int, off64_t *, int, off64_t *, size_t, unsigned int))                 \
	X(ssize_t, copy_file_range, (int, off64_t *, int, off64_t *, size_t, unsigned int))        \
	X(int, posix_fallocate, (int, off_t, off_t))                                               \
	X(int, posix_fallocate64, (int, off64_t, off64_t))                                         \
	X(int, stat, (const char *, struct stat *))                                                \
	X(int, stat64, (const char *, struct stat64 *))                                            \
	X(int, lstat, (const char *, struct stat *))                                               \
	X(int, lstat64, (const char *, struct stat64 *))                                           \
	X(int, fstat, (int, struct stat *))                                                        \
	X(int, fstat64, (int, struct stat64 *))                                                    \
	X(int, fstatat, (int, const char *, struct stat *, int))                                   \
	X(int, fstatat64, (int, const char *, struct stat64 *, int))                               \
	X(int, __xstat, (int, const char *, struct stat *))                                        \
	X(int, __xstat64, (int, const char *, struct stat64 *))                                    \
	X(int, __lxstat, (int, const char *, struct stat *))                                       \
	X(int, __lxstat64, (int, const char *, struct stat64 *))                                   \
	X(int, __fxstat, (int, int, struct stat *))                                                \
	X(int, __fxstat64, (int, int, struct stat64 *))                                            \
	X(int, __fxstatat, (int, int, const char *, struct stat *, int))                           \
	X(int, __fxstatat64, (int, int, const char *, struct stat64 *, int))                       \
	X(int, statx, (int, const char *, int, unsigned int, struct statx *))                      \
	X(int, access, (const char *, int))                                                        \
	X(int, faccessat, (int, const char *, int, int))                                           \
	X(int, eaccess, (const char *, int))                                                       \
	X(int, euidaccess, (const char *, int))                                                    \
	X(ssize_t, getxattr, (const char *, const char *, void *, size_t))                         \
	X(ssize_t, lgetxattr, (const char *, const char *, void *, size_t))                        \
	X(ssize_t, listxattr, (const char *, char *, size_t))                                      \
	X(ssize_t, llistxattr, (const char *, char *, size_t))                                     \
	X(ssize_t, readlink, (const char *, char *, size_t))                                       \
	X(ssize_t, readlinkat, (int, const char *, char *, size_t))                                \
	X(ssize_t, __readlink_chk, (const char *, char *, size_t, size_t))                         \
	X(ssize_t, __readlinkat_chk, (int, const char *, char *, size_t, size_t))                  \
	X(char *, realpath, (const char *, char *))                                                \
	X(char *, __realpath_chk, (const char *, char *, size_t))                                  \
	X(char *, canonicalize_file_name, (const char *))                                          \
	X(DIR *, opendir, (const char *))                                                          \
	X(struct dirent *, readdir, (DIR *))                                                       \
	X(struct dirent64 *, readdir64, (DIR *))                                                   \
	X(int, readdir_r, (DIR *, struct dirent *, struct dirent **))                              \
	X(int, readdir64_r, (DIR *, struct dirent64 *, struct dirent64 **))                        \
	X(int, closedir, (DIR *))                                                                  \
	X(void, rewinddir, (DIR *))                                                                \
	X(long, telldir, (DIR *))                                                                  \
	X(void, seekdir, (DIR *, long))                                                            \
	X(int, scandir,                                                                            \
	  (const char *, struct dirent ***, int (*)(const struct dirent *),                        \
	   int (*)(const struct dirent **, const struct dirent **)))                               \
	X(int, scandir64,                                                                          \
	  (const char *, struct dirent64 ***, int (*)(const struct dirent64 *),                    \
	   int (*)(const struct dirent64 **, const struct dirent64 **)))                           \
	X(int, scandirat,                                                                          \
	  (int, const char *, struct dirent ***, int (*)(const struct dirent *),                   \
	   int (*)(const struct dirent **, const struct dirent **)))                               \
	X(int, scandirat64,                                                                        \
	  (int, const char *, struct dirent64 ***, int (*)(const struct dirent64 *),               \
	   int (*)(const struct dirent64 **, const struct dirent64 **)))                           \
	X(int, glob, (const char *, int, int (*)(const char *, int), glob_t *))                    \
	X(int, glob64, (const char *, int, int (*)(const char *, int), glob64_t *))                \
	X(int, prctl, (int, ...))                                                                  \
	X(long, syscall, (long, ...))                                                              \
	X(int, sigaction, (int, const struct sigaction *, struct sigaction *))                     \
	X(sighandler_t, signal, (int, sighandler_t))                                               \
	X(sighandler_t, bsd_signal, (int, sighandler_t))                                           \
	X(sighandler_t, ssignal, (int, sighandler_t))                                              \
	X(sighandler_t, sysv_signal, (int, sighandler_t))                                          \
	X(sighandler_t, __sysv_signal, (int, sighandler_t))                                        \
	X(sighandler_t, sigset, (int, sighandler_t))                                               \
	X(int, sigignore, (int))                                                                   \
	X(int, sigprocmask, (int, const sigset_t *, sigset_t *))                                   \
	X(int, pthread_sigmask, (int, const sigset_t *, sigset_t *))                               \
	X(int, sigblock, (int))                                                                    \
	X(int, sigsetmask, (int))                                                                  \
	X(int, siggetmask, (void))                                                                 \
	X(int, sighold, (int))                                                                     \
	X(int, sigrelse, (int))                                                                    \
	X(int, sigsuspend, (const sigset_t *))                                                     \
	X(int, __sigpause, (int, int))                                                             \
	X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))        \
	X(int, __ppoll_chk,                                                                        \
	  (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t))            \
	X(int, pselect,                                                                            \
	  (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))          \
	X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))               \
	X(int, epoll_pwait2,                                                                       \
	  (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))             \
	X(int, pthread_attr_setsigmask_np, (pthread_attr_t *, const sigset_t *))                   \
	X(int, pthread_attr_getsigmask_np, (const pthread_attr_t *, sigset_t *))

struct real_functions {
#define REAL_MEMBER(result, name, params) result(*name) params;
	REAL_FUNCTIONS(REAL_MEMBER)
#undef REAL_MEMBER
};

extern struct real_functions real_table;
extern bool real_is_ready; /* atomic; its release pairs with the acquire in real() */

/*
 * A second name that the C library exports for a function that is wrapped. The wrapper is the same:
 * both names lead to one function behind it, too. tests/lint/libc_aliases.py looks for names that
 * are missing.
 */
#if defined(__has_attribute) && __has_attribute(copy)
#define HF_LIKE(of) copy(of), /* gcc compares what the headers say of both; clang does not */
#else
#define HF_LIKE(of)
#endif
#define HF_ALIAS(name, of)                                                                         \
	extern HF_EXPORT __typeof__(of) name __attribute__((HF_LIKE(of) alias(#of)))

/** real_init() - find them all; may run more than once, in any thread */
void real_init(void) HF_COLD;

/** real() - the functions, ready to be called */
static inline const struct real_functions *real(void)
{
	if (unlikely(!__atomic_load_n(&real_is_ready, __ATOMIC_ACQUIRE)))
		real_init();
	return &real_table;
}

#endif
