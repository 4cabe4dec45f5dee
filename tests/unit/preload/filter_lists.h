// SPDX-License-Identifier: BSD-3-Clause
/*
 * The system calls that cloud-hypervisor's filters allow, by kind of thread, on x86-64 (state of
 * 2025). Of ioctl(2) it allows certain commands; a device's are all allowed here.
 */
#ifndef TESTS_PRELOAD_FILTER_LISTS_H
#define TESTS_PRELOAD_FILTER_LISTS_H

#include <sys/syscall.h>

/* clang-format off */
static const int vmm_list[] = {
	SYS_accept4, SYS_access, SYS_bind, SYS_brk, SYS_clock_gettime, SYS_clock_nanosleep,
	SYS_clone, SYS_clone3, SYS_close, SYS_close_range, SYS_connect, SYS_dup,
	SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_wait, SYS_eventfd2,
	SYS_exit, SYS_exit_group, SYS_fallocate, SYS_fcntl, SYS_fdatasync, SYS_fstat,
	SYS_fsync, SYS_ftruncate, SYS_futex, SYS_getdents64, SYS_getpgid, SYS_getpgrp,
	SYS_getpid, SYS_getrandom, SYS_gettid, SYS_gettimeofday, SYS_getuid, SYS_io_cancel,
	SYS_io_destroy, SYS_io_getevents, SYS_io_setup, SYS_io_submit, SYS_io_uring_enter,
	SYS_io_uring_register, SYS_io_uring_setup, SYS_ioctl, SYS_kill,
	SYS_landlock_add_rule, SYS_landlock_create_ruleset, SYS_landlock_restrict_self,
	SYS_listen, SYS_lseek, SYS_madvise, SYS_mbind, SYS_memfd_create, SYS_mmap,
	SYS_mprotect, SYS_mremap, SYS_munmap, SYS_nanosleep, SYS_newfstatat, SYS_open,
	SYS_openat, SYS_pipe2, SYS_poll, SYS_prctl, SYS_pread64, SYS_preadv, SYS_prlimit64,
	SYS_pwrite64, SYS_pwritev, SYS_read, SYS_readlink, SYS_readv, SYS_recvfrom,
	SYS_recvmsg, SYS_restart_syscall, SYS_rseq, SYS_rt_sigaction, SYS_rt_sigprocmask,
	SYS_rt_sigreturn, SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_sched_yield,
	SYS_seccomp, SYS_sendmsg, SYS_sendto, SYS_set_robust_list, SYS_setsid,
	SYS_setsockopt, SYS_shutdown, SYS_sigaltstack, SYS_socket, SYS_socketpair, SYS_stat,
	SYS_statfs, SYS_statx, SYS_tgkill, SYS_timerfd_create, SYS_timerfd_settime,
	SYS_tkill, SYS_umask, SYS_unlink, SYS_wait4, SYS_write, SYS_writev,
};

static const int vcpu_list[] = {
	SYS_brk, SYS_clock_gettime, SYS_clock_nanosleep, SYS_close, SYS_dup, SYS_epoll_ctl,
	SYS_exit, SYS_fstat, SYS_futex, SYS_getpid, SYS_getrandom, SYS_ioctl, SYS_lseek,
	SYS_madvise, SYS_mmap, SYS_mprotect, SYS_mremap, SYS_munmap, SYS_nanosleep,
	SYS_newfstatat, SYS_open, SYS_openat, SYS_pread64, SYS_pwrite64, SYS_read,
	SYS_recvfrom, SYS_recvmsg, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,
	SYS_sched_yield, SYS_sendmsg, SYS_shutdown, SYS_sigaltstack, SYS_tgkill, SYS_tkill,
	SYS_unlink, SYS_write, SYS_writev,
};

/* What all threads of its virtio devices may call. */
static const int device_list[] = {
	SYS_brk, SYS_clock_gettime, SYS_close, SYS_dup, SYS_epoll_create1, SYS_epoll_ctl,
	SYS_epoll_pwait, SYS_epoll_wait, SYS_exit, SYS_futex, SYS_gettid, SYS_madvise,
	SYS_mmap, SYS_mprotect, SYS_mremap, SYS_munmap, SYS_openat, SYS_read,
	SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_write,
};
/* clang-format on */

#endif
