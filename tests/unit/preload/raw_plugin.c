// SPDX-License-Identifier: BSD-3-Clause
/* A shared object that is loaded when the client has devices already, and makes calls past libc. */
#include "raw_calls.h"

/* The number comes in a register, as where the compiler has put it there before a loop. */
__attribute__((noinline)) static long call(long nr, long a, long b, long c)
{
	return RAW3(nr, a, b, c);
}

/* For `holdfast bench attach --raw`. */
long raw_call(long nr, long a, long b, long c);
__attribute__((visibility("default"))) long raw_call(long nr, long a, long b, long c)
{
	return call(nr, a, b, c);
}

long plugin_ioctl(int fd, unsigned long cmd, void *arg);
__attribute__((visibility("default"))) long plugin_ioctl(int fd, unsigned long cmd, void *arg)
{
	static const volatile long number = SYS_ioctl;

	return call(number, fd, (long)cmd, (long)arg);
}
