// SPDX-License-Identifier: BSD-3-Clause
/* System calls by an instruction of the test's own, as Rust's rustix makes them. */
#ifndef TESTS_PRELOAD_RAW_CALLS_H
#define TESTS_PRELOAD_RAW_CALLS_H

#include <stddef.h>
#include <sys/syscall.h>

/* The number is a constant, so the compiler puts it into %eax right before. Return: as the kernel,
 * -errno for errors */
#define RAW3(nr, a, b, c)                                                                          \
	({                                                                                         \
		long rc_;                                                                          \
                                                                                                   \
		__asm__ volatile("syscall"                                                         \
				 : "=a"(rc_)                                                       \
				 : "a"((long)(nr)), "D"((long)(a)), "S"((long)(b)), "d"((long)(c)) \
				 : "rcx", "r11", "memory");                                        \
		rc_;                                                                               \
	})

#define RAW6(nr, a, b, c, d, e, f)                                                                 \
	({                                                                                         \
		register long d_ __asm__("r10") = (long)(d), e_ __asm__("r8") = (long)(e),         \
				 f_ __asm__("r9") = (long)(f);                                     \
		long rc_;                                                                          \
                                                                                                   \
		__asm__ volatile("syscall"                                                         \
				 : "=a"(rc_)                                                       \
				 : "a"((long)(nr)), "D"((long)(a)), "S"((long)(b)),                \
				   "d"((long)(c)), "r"(d_), "r"(e_), "r"(f_)                       \
				 : "rcx", "r11", "memory");                                        \
		rc_;                                                                               \
	})

static inline long raw_ioctl(int fd, unsigned long cmd, void *arg)
{
	return RAW3(SYS_ioctl, fd, cmd, arg);
}

static inline long raw_write(int fd, const void *buf, size_t len)
{
	return RAW3(SYS_write, fd, buf, len);
}

static inline long raw_writev(int fd, const void *iov, int nr)
{
	return RAW3(SYS_writev, fd, iov, nr);
}

static inline long raw_close(int fd)
{
	return RAW3(SYS_close, fd, 0, 0);
}

#endif
