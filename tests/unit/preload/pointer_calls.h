// SPDX-License-Identifier: BSD-3-Clause
/*
 * The one table of wrapped calls for the test of bad pointers: what each argument is, and what a
 * device answers where no ordinary file can stand in for it. test_preload_pointers.py fails if a
 * name of preload.map has no row here.
 *
 * X(name, result, on a device, arguments...)
 */
#ifndef TESTS_PRELOAD_POINTER_CALLS_H
#define TESTS_PRELOAD_POINTER_CALLS_H

#define AT_CWD    NUM(AT_FDCWD)
#define WRITE_ARG MESSAGE, NUM(72)
#define READ_ARG  OUT(64), NUM(64)

/* clang-format off */
#define POINTER_CALLS(X)                                                                           \
	X(open, FD_OUT, SAME, PATH, NUM(O_RDWR))                                                   \
	X(open, FD_OUT, SAME, PATH, NUM(O_RDONLY | O_CLOEXEC))                                     \
	X(open64, FD_OUT, SAME, PATH, NUM(O_RDWR))                                                 \
	X(open64, FD_OUT, SAME, PATH, NUM(O_RDONLY))                                               \
	X(__open64, FD_OUT, SAME, PATH, NUM(O_RDWR))                                               \
	X(__open, FD_OUT, SAME, PATH, NUM(O_RDWR))                                                 \
	X(openat, FD_OUT, SAME, AT_CWD, PATH, NUM(O_RDWR))                                         \
	X(openat, FD_OUT, SAME, NUM(-1), PATH, NUM(O_RDONLY))                                      \
	X(openat64, FD_OUT, SAME, AT_CWD, PATH, NUM(O_RDWR))                                       \
	X(openat2, FD_OUT, SAME, AT_CWD, PATH, HOW, NUM(24))                                       \
	X(openat2, FD_OUT, SAME, AT_CWD, PATH, HOW, NUM(16))                                       \
	X(openat2, FD_OUT, SAME, NUM(-1), PATH, HOW, NUM(5000))                                    \
	X(creat, FD_OUT, SAME, PATH, NUM(0600))                                                    \
	X(creat64, FD_OUT, SAME, PATH, NUM(0600))                                                  \
	X(__open_2, FD_OUT, SAME, PATH, NUM(O_RDWR))                                               \
	X(__open64_2, FD_OUT, SAME, PATH, NUM(O_RDWR))                                             \
	X(__openat_2, FD_OUT, SAME, AT_CWD, PATH, NUM(O_RDWR))                                     \
	X(__openat64_2, FD_OUT, SAME, AT_CWD, PATH, NUM(O_RDWR))                                   \
	X(fopen, STREAM_OUT, NOT_ON_NODE, PATH, MODE)                                              \
	X(fopen64, STREAM_OUT, NOT_ON_NODE, PATH, MODE)                                            \
	X(_IO_fopen, STREAM_OUT, NOT_ON_NODE, PATH, MODE)                                          \
	X(fclose, INT, SAME, STREAM)                                                               \
	X(_IO_fclose, INT, SAME, STREAM)                                                           \
	X(ioctl, INT, IOCTL, FD, NUM(VHOST_GET_FEATURES), OUT(8))                                  \
	X(ioctl, INT, IOCTL, FD, NUM(VHOST_GET_BACKEND_FEATURES), OUT(8))                          \
	X(ioctl, INT, IOCTL, FD, NUM(VHOST_VDPA_GET_STATUS), OUT(1))                               \
	X(ioctl, INT, IOCTL, FD, NUM(VHOST_VDPA_SET_STATUS), IN(1))                                \
	X(ioctl, INT, IOCTL, FD, NUM(VHOST_VDPA_GET_IOVA_RANGE), OUT(16))                          \
	X(ioctl, INT, IOCTL, FD, NUM(VHOST_VDPA_GET_CONFIG), CONFIG)                               \
	X(ioctl, INT, IOCTL, FD, NUM(VHOST_GET_VRING_BASE), INOUT(8))                              \
	X(ioctl, INT, IOCTL, FD, NUM(VHOST_SET_VRING_BASE), IN(8))                                 \
	X(ioctl, INT, IOCTL, FD, NUM(VHOST_SET_FEATURES), FEATURES)                                \
	X(ioctl, INT, SAME, FD, NUM(FIONBIO), IN(4))                                               \
	X(write, LONG, WRITE, FD, WRITE_ARG)                                                       \
	X(write, LONG, WRITE, FD, MESSAGE, NUM(40))                                                \
	X(__write, LONG, WRITE, FD, WRITE_ARG)                                                     \
	X(pwrite, LONG, WRITE, FD, WRITE_ARG, NUM(0))                                              \
	X(pwrite64, LONG, WRITE, FD, WRITE_ARG, NUM(0))                                            \
	X(pwrite64, LONG, SAME, FD, WRITE_ARG, NUM(-2))                                            \
	X(__pwrite64, LONG, WRITE, FD, WRITE_ARG, NUM(0))                                          \
	X(writev, LONG, VECTOR, FD, VEC, NUM(2))                                                   \
	X(writev, LONG, FIXED(-EINVAL), FD, VEC, NUM(-1))                                          \
	X(writev, LONG, FIXED(-EINVAL), FD, VEC, NUM(1025))                                        \
	X(writev, LONG, FIXED(0), FD, VEC, NUM(0))                                                 \
	X(pwritev, LONG, VECTOR, FD, VEC, NUM(2), NUM(0))                                          \
	X(pwritev64, LONG, VECTOR, FD, VEC, NUM(2), NUM(0))                                        \
	X(pwritev64, LONG, SAME, FD, VEC, NUM(2), NUM(-2))                                         \
	X(pwritev2, LONG, VECTOR, FD, VEC, NUM(2), NUM(0), NUM(0))                                 \
	X(pwritev2, LONG, VECTOR, FD, VEC, NUM(2), NUM(-1), NUM(0))                                \
	X(pwritev64v2, LONG, VECTOR, FD, VEC, NUM(2), NUM(0), NUM(0))                              \
	X(read, LONG, FIXED(-EINVAL), FD, READ_ARG)                                                \
	X(__read, LONG, FIXED(-EINVAL), FD, READ_ARG)                                              \
	X(__read_chk, LONG, FIXED(-EINVAL), FD, READ_ARG, NUM(64))                                 \
	X(pread, LONG, FIXED(-EINVAL), FD, READ_ARG, NUM(0))                                       \
	X(pread64, LONG, FIXED(-EINVAL), FD, READ_ARG, NUM(0))                                     \
	X(__pread64, LONG, FIXED(-EINVAL), FD, READ_ARG, NUM(0))                                   \
	X(__pread_chk, LONG, FIXED(-EINVAL), FD, READ_ARG, NUM(0), NUM(64))                        \
	X(__pread64_chk, LONG, FIXED(-EINVAL), FD, READ_ARG, NUM(0), NUM(64))                      \
	X(readv, LONG, FIXED(-EINVAL), FD, VEC, NUM(2))                                            \
	X(readv, LONG, FIXED(-EINVAL), FD, VEC, NUM(0))                                            \
	X(preadv, LONG, FIXED(-EINVAL), FD, VEC, NUM(2), NUM(0))                                   \
	X(preadv64, LONG, FIXED(-EINVAL), FD, VEC, NUM(2), NUM(0))                                 \
	X(preadv2, LONG, FIXED(-EINVAL), FD, VEC, NUM(2), NUM(0), NUM(0))                          \
	X(preadv64v2, LONG, FIXED(-EINVAL), FD, VEC, NUM(2), NUM(-1), NUM(0))                      \
	X(close, INT, SAME, FD)                                                                    \
	X(__close, INT, SAME, FD)                                                                  \
	X(close_range, INT, SAME, FD, FD, NUM(0))                                                  \
	X(closefrom, VOID, SAME, FD)                                                               \
	X(unshare, INT, SAME, NUM(CLONE_FS))                                                       \
	X(dup, FD_OUT, SAME, FD)                                                                   \
	X(dup2, FD_OUT, SAME, FD, NUM(300))                                                        \
	X(__dup2, FD_OUT, SAME, FD, NUM(300))                                                      \
	X(dup3, FD_OUT, SAME, FD, NUM(300), NUM(O_CLOEXEC))                                        \
	X(fcntl, INT, SAME, FD, NUM(F_GETLK), LOCK)                                                \
	X(fcntl, INT, SAME, FD, NUM(F_OFD_GETLK), LOCK)                                            \
	X(fcntl, INT, SAME, FD, NUM(F_GETOWN_EX), OUT(8))                                          \
	X(fcntl, FD_OUT, SAME, FD, NUM(F_DUPFD), NUM(300))                                         \
	X(fcntl64, INT, SAME, FD, NUM(F_GETLK), LOCK)                                              \
	X(fcntl, INT, SAME, FD, NUM(F_GETSIG))                                                     \
	X(fcntl, INT, FIXED(-EINVAL), FD, NUM(F_GET_SEALS))                                        \
	X(__fcntl, INT, SAME, FD, NUM(F_GETLK), LOCK)                                              \
	X(lockf, INT, SAME, FD, NUM(F_TEST), NUM(0))                                               \
	X(lockf64, INT, SAME, FD, NUM(F_TEST), NUM(0))                                             \
	X(mmap, PTR, FIXED(-524), ADDR, NUM(4096), NUM(PROT_WRITE), NUM(MAP_SHARED), FD, NUM(0))   \
	X(mmap64, PTR, FIXED(-524), ADDR, NUM(4096), NUM(PROT_WRITE), NUM(MAP_SHARED), FD, NUM(0)) \
	X(mmap64, PTR, SAME, ADDR, NUM(4096), NUM(PROT_READ),                                      \
	  NUM(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE), NUM(-1), NUM(0))                 \
	X(sendfile, LONG, MOVE, FD, FD, IN(8), NUM(8))                                             \
	X(sendfile64, LONG, MOVE, FD, FD, IN(8), NUM(8))                                           \
	X(splice, LONG, MOVE, FD, IN(8), FD, IN(8), NUM(8), NUM(0))                                \
	X(splice, LONG, FIXED(0), FD, IN(8), FD, IN(8), NUM(0), NUM(0))                            \
	X(copy_file_range, LONG, MOVE, FD, IN(8), FD, IN(8), NUM(8), NUM(0))                       \
	X(syscall, LONG, IOCTL, NUM(SYS_ioctl), FD, NUM(VHOST_GET_FEATURES), OUT(8))               \
	X(syscall, LONG, WRITE, NUM(SYS_write), FD, WRITE_ARG)                                     \
	X(syscall, LONG, FIXED(-EINVAL), NUM(SYS_read), FD, READ_ARG)                              \
	X(syscall, LONG, SAME, NUM(SYS_fcntl), FD, NUM(F_GETLK), LOCK)                             \
	X(syscall, LONG, SAME, NUM(SYS_dup2), FD, NUM(300))                                        \
	X(syscall, LONG, SAME, NUM(SYS_seccomp), NUM(1), NUM(0), OUT(16))                          \
	X(prctl, INT, SAME, NUM(PR_GET_NAME), OUT(16))                                             \
	X(prctl, INT, SAME, NUM(PR_SET_SECCOMP), NUM(2), OUT(16))                                  \
	X(munmap, INT, SAME, ADDR, NUM(4096))                                                      \
	X(mremap, PTR, SAME, ADDR, NUM(4096), NUM(8192), NUM(MREMAP_MAYMOVE))                      \
	X(mremap, PTR, SAME, ADDR, NUM(4096), NUM(4096), NUM(MREMAP_MAYMOVE | MREMAP_FIXED), ADDR) \
	X(madvise, INT, SAME, ADDR, NUM(4096), NUM(MADV_DONTNEED))                                 \
	X(msync, INT, SAME, ADDR, NUM(4096), NUM(MS_INVALIDATE))                                   \
	X(mlock, INT, SAME, ADDR, NUM(4096))                                                       \
	X(mlock2, INT, SAME, ADDR, NUM(4096), NUM(0))                                              \
	X(mlockall, INT, SAME, NUM(0))                                                             \
	X(munlock, INT, SAME, ADDR, NUM(4096))                                                     \
	X(munlockall, INT, SAME, NUM(0))                                                           \
	X(fallocate, INT, SAME, FD, NUM(0), NUM(0), NUM(4096))                                     \
	X(fallocate64, INT, SAME, FD, NUM(0), NUM(0), NUM(4096))                                   \
	X(ftruncate, INT, SAME, FD, NUM(4096))                                                     \
	X(ftruncate64, INT, SAME, FD, NUM(4096))                                                   \
	X(truncate, INT, SAME, PATH, NUM(4096))                                                    \
	X(truncate64, INT, SAME, PATH, NUM(4096))                                                  \
	X(lseek, LONG, FIXED(-ESPIPE), FD, NUM(0), NUM(SEEK_SET))                                  \
	X(__lseek, LONG, FIXED(-ESPIPE), FD, NUM(0), NUM(SEEK_SET))                                \
	X(lseek64, LONG, FIXED(-ESPIPE), FD, NUM(0), NUM(SEEK_END))                                \
	X(fsync, INT, SAME, FD)                                                                    \
	X(fdatasync, INT, SAME, FD)                                                                \
	X(sync_file_range, INT, SAME, FD, NUM(0), NUM(4096), NUM(0))                               \
	X(readahead, LONG, SAME, FD, NUM(0), NUM(4096))                                            \
	X(posix_fallocate, INT, SAME, FD, NUM(0), NUM(4096))                                       \
	X(posix_fallocate64, INT, SAME, FD, NUM(0), NUM(4096))                                     \
	X(stat, INT, SAME, PATH, OUT(144))                                                         \
	X(stat64, INT, SAME, PATH, OUT(144))                                                       \
	X(lstat, INT, SAME, PATH, OUT(144))                                                        \
	X(lstat64, INT, SAME, PATH, OUT(144))                                                      \
	X(fstat, INT, SAME, FD, OUT(144))                                                          \
	X(fstat64, INT, SAME, FD, OUT(144))                                                        \
	X(fstatat, INT, SAME, AT_CWD, PATH, OUT(144), NUM(0))                                      \
	X(fstatat, INT, SAME, AT_CWD, PATH, OUT(144), NUM(0x40000000))                             \
	X(fstatat, INT, SAME, FD, EMPTY, OUT(144), NUM(AT_EMPTY_PATH))                             \
	X(fstatat64, INT, SAME, AT_CWD, PATH, OUT(144), NUM(AT_SYMLINK_NOFOLLOW))                  \
	X(fstatat64, INT, SAME, FD, EMPTY, OUT(144), NUM(AT_EMPTY_PATH))                           \
	X(__xstat, INT, SAME, NUM(1), PATH, OUT(144))                                              \
	X(__xstat64, INT, SAME, NUM(1), PATH, OUT(144))                                            \
	X(__lxstat, INT, SAME, NUM(1), PATH, OUT(144))                                             \
	X(__lxstat64, INT, SAME, NUM(1), PATH, OUT(144))                                           \
	X(__fxstat, INT, SAME, NUM(1), FD, OUT(144))                                               \
	X(__fxstat64, INT, SAME, NUM(1), FD, OUT(144))                                             \
	X(__fxstatat, INT, SAME, NUM(1), AT_CWD, PATH, OUT(144), NUM(0))                           \
	X(__fxstatat64, INT, SAME, NUM(1), FD, EMPTY, OUT(144), NUM(AT_EMPTY_PATH))                \
	X(statx, INT, SAME, AT_CWD, PATH, NUM(0), NUM(STATX_BASIC_STATS), OUT(256))                \
	X(statx, INT, SAME, AT_CWD, PATH, NUM(0x40000000), NUM(STATX_BASIC_STATS), OUT(256))       \
	X(statx, INT, SAME, FD, EMPTY, NUM(AT_EMPTY_PATH), NUM(STATX_BASIC_STATS), OUT(256))       \
	X(access, INT, SAME, PATH, NUM(R_OK | W_OK))                                               \
	X(access, INT, SAME, PATH, NUM(0x100))                                                     \
	X(faccessat, INT, SAME, AT_CWD, PATH, NUM(F_OK), NUM(0))                                   \
	X(eaccess, INT, SAME, PATH, NUM(R_OK))                                                     \
	X(euidaccess, INT, SAME, PATH, NUM(R_OK))                                                  \
	X(getxattr, LONG, SAME, PATH, ATTRIBUTE, OUT(64), NUM(64))                                 \
	X(lgetxattr, LONG, SAME, PATH, ATTRIBUTE, OUT(64), NUM(64))                                \
	X(listxattr, LONG, SAME, PATH, OUT(64), NUM(64))                                           \
	X(llistxattr, LONG, SAME, PATH, OUT(64), NUM(64))                                          \
	X(readlink, LONG, SAME, PATH, OUT(64), NUM(64))                                            \
	X(readlinkat, LONG, SAME, AT_CWD, PATH, OUT(64), NUM(64))                                  \
	X(__readlink_chk, LONG, SAME, PATH, OUT(64), NUM(64), NUM(64))                             \
	X(__readlinkat_chk, LONG, SAME, AT_CWD, PATH, OUT(64), NUM(64), NUM(64))                   \
	X(realpath, STRING_OUT, SAME, PATH, NUM(0))                                                \
	X(__realpath_chk, STRING, SAME, PATH, ROOM, NUM(4096))                                     \
	X(canonicalize_file_name, STRING_OUT, SAME, PATH)                                          \
	X(opendir, DIR_OUT, SAME, PATH)                                                            \
	X(readdir, STRING, SAME, DIRECTORY)                                                        \
	X(readdir64, STRING, SAME, DIRECTORY)                                                      \
	X(readdir_r, INT, SAME, DIRECTORY, OUT(280), OUT(8))                                       \
	X(readdir64_r, INT, SAME, DIRECTORY, OUT(280), OUT(8))                                     \
	X(closedir, INT, SAME, DIRECTORY)                                                          \
	X(rewinddir, VOID, SAME, DIRECTORY)                                                        \
	X(telldir, LONG, SAME, DIRECTORY)                                                          \
	X(seekdir, VOID, SAME, DIRECTORY, NUM(0))                                                  \
	X(scandir, INT, SAME, PATH, OUT(8), NUM(0), NUM(0))                                        \
	X(scandir64, INT, SAME, PATH, OUT(8), NUM(0), NUM(0))                                      \
	X(scandirat, INT, SAME, AT_CWD, PATH, OUT(8), NUM(0), NUM(0))                              \
	X(scandirat64, INT, SAME, NUM(-1), PATH, OUT(8), NUM(0), NUM(0))                           \
	X(glob, INT, SAME, PATH, NUM(0), NUM(0), OUT(72))                                          \
	X(glob64, INT, SAME, PATH, NUM(0), NUM(0), OUT(72))                                        \
	X(sigaction, INT, SAME, NUM(SIGUSR1), ACTION, OUT(152))                                    \
	X(sigaction, INT, SAME, NUM(SIGSEGV), ACTION, OUT(152))                                    \
	X(__sigaction, INT, SAME, NUM(SIGUSR1), ACTION, OUT(152))                                  \
	X(signal, HANDLER, SAME, NUM(SIGUSR1), NUM(1))                                             \
	X(signal, HANDLER, SAME, NUM(SIGSEGV), NUM(0))                                             \
	X(bsd_signal, HANDLER, SAME, NUM(SIGBUS), NUM(0))                                          \
	X(ssignal, HANDLER, SAME, NUM(SIGSEGV), NUM(0))                                            \
	X(sysv_signal, HANDLER, SAME, NUM(SIGSEGV), NUM(0))                                        \
	X(__sysv_signal, HANDLER, SAME, NUM(SIGSEGV), NUM(0))                                      \
	X(sigset, HANDLER, SAME, NUM(SIGBUS), NUM(0))                                              \
	X(sigignore, INT, SAME, NUM(SIGUSR2))                                                      \
	X(sigprocmask, INT, SAME, NUM(SIG_BLOCK), IN(128), OUT(128))                               \
	X(pthread_sigmask, INT, SAME, NUM(SIG_SETMASK), IN(128), OUT(128))                         \
	X(sigblock, INT, SAME, NUM(1))                                                             \
	X(sigsetmask, INT, SAME, NUM(1))                                                           \
	X(siggetmask, INT, SAME, NUM(0))                                                           \
	X(sighold, INT, SAME, NUM(SIGSYS))                                                         \
	X(sigrelse, INT, SAME, NUM(SIGSYS))                                                        \
	X(sigsuspend, INT, SAME, IN(8))                                                            \
	X(__sigsuspend, INT, SAME, IN(8))                                                          \
	X(sigpause, INT, SAME, NUM(0))                                                             \
	X(__sigpause, INT, SAME, NUM(0), NUM(0))                                                   \
	X(ppoll, INT, SAME, INOUT(8), NUM(1), IN(16), IN(8))                                       \
	X(__ppoll_chk, INT, SAME, INOUT(8), NUM(1), IN(16), IN(8), NUM(8))                         \
	X(pselect, INT, SAME, NUM(8), INOUT(128), INOUT(128), INOUT(128), IN(16), IN(8))           \
	X(epoll_pwait, INT, SAME, FD, OUT(12), NUM(1), NUM(0), IN(8))                              \
	X(epoll_pwait2, INT, SAME, FD, OUT(12), NUM(1), IN(16), IN(8))                             \
	X(pthread_attr_setsigmask_np, INT, SAME, INOUT(56), IN(128))                               \
	X(pthread_attr_getsigmask_np, INT, SAME, IN(56), OUT(128))
/* clang-format on */

#endif
