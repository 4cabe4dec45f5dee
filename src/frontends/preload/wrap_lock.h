// SPDX-License-Identifier: BSD-3-Clause
/* Locks on a device's file: what the wrappers of fcntl(2) and lockf(3) share. Any thread. */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_WRAP_LOCK_H
#define HOLDFAST_FRONTENDS_PRELOAD_WRAP_LOCK_H

#include <fcntl.h>
#include <stdbool.h>

/** lock_is() - is it a command of fcntl(2) that is about locks? */
static inline bool lock_is(int cmd)
{
	return cmd == F_SETLK || cmd == F_SETLKW || cmd == F_GETLK || cmd == F_OFD_SETLK ||
	       cmd == F_OFD_SETLKW || cmd == F_OFD_GETLK;
}

/**
 * lock_device() - make the client's call, in its thread: it may wait
 * @call: libc's fcntl; @arg: the client's struct flock, any value
 * @rc: [out] what the client gets, errno set with -1. Return: false: it is not about a device, and
 * nothing was done
 */
bool lock_device(int (*call)(int fd, int cmd, ...), int fd, int cmd, void *arg, int *rc);

#endif
