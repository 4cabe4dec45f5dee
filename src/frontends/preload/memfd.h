// SPDX-License-Identifier: BSD-3-Clause
/*
 * The memfd behind a node's descriptors. It is a real file, so that the kernel can pass, duplicate
 * and close the descriptors; always readable and writable for poll(2) and refused by epoll_ctl(2),
 * as a character device without a poll handler is; sealed, so that nothing is ever stored in it but
 * the description of the devices, for a process that gets the descriptor (adopt.c).
 *
 * "Open already" counts file descriptions, also those that a forked child has inherited ([4-1]).
 * Each open takes a lock that belongs to its description (F_OFD_SETLK) and lasts until the last
 * descriptor of it is closed in the last process. An open asks first, through the control
 * descriptor, whether such a lock is left. A second lock, of the control descriptor, says which
 * process owns the device.
 *
 * Owns nothing. Thread rule: any thread.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_MEMFD_H
#define HOLDFAST_FRONTENDS_PRELOAD_MEMFD_H

#include <stdbool.h>

#include "base/compiler.h"

/* The locks lie beyond what a client locks of the device file: see wrap_fd.c. */
#define MEMFD_LOCK_FIRST (INT64_C(1) << 62)

/* Nobody can change what it says. */
#define MEMFD_SEALS (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE)

/* What F_GETFL shows of the flags of an open, beside the access mode. */
#define MEMFD_STATUS_FLAGS (O_NONBLOCK | O_APPEND | O_SYNC)

/** memfd_make() - a memfd for node @minor. Return: an fd with close-on-exec, or -errno */
int memfd_make(unsigned int minor) HF_MUST_CHECK;

/** memfd_minor() - of which node is the descriptor that the link /proc/PID/fd/N stands for?
 * Return: the minor number; -1 of none. errno changes */
int memfd_minor(const char *link);

/** memfd_is_held() - does a description live on that memfd_open() has made, here or in another
 * process that has inherited it? @ctl_fd: the control descriptor */
bool memfd_is_held(int ctl_fd);

/**
 * memfd_open() - a new description of the memfd, through /proc/self/fd
 * @flags: of open(2); access mode, O_CLOEXEC and MEMFD_STATUS_FLAGS count
 * Return: an fd; -EBUSY somebody else was faster; other -errno
 */
int memfd_open(int ctl_fd, unsigned int minor, int flags) HF_MUST_CHECK;

/** memfd_lock_owner() - take (F_WRLCK) or give back (F_UNLCK) ownership; the lock belongs to the
 * description of @ctl_fd, which no other process has. Return: 0; -EAGAIN another process has it */
int memfd_lock_owner(int ctl_fd, short type) HF_MUST_CHECK;

#endif
