// SPDX-License-Identifier: BSD-3-Clause
/* A shared object that is loaded when the client has devices already, and makes calls past libc. */
#include "raw_calls.h"

long plugin_ioctl(int fd, unsigned long cmd, void *arg);
__attribute__((visibility("default"))) long plugin_ioctl(int fd, unsigned long cmd, void *arg)
{
	return raw_ioctl(fd, cmd, arg);
}
