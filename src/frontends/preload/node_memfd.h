// SPDX-License-Identifier: BSD-3-Clause
/*
 * The memfd that is kept of a node: its control descriptor, of which each open makes a description,
 * and by which processes agree on who owns the device. The client may have closed it with all that
 * it did not know.
 *
 * Owns: the descriptor. Thread rule: any thread; node_memfd_start(), _adopt() and _drop() one at a
 * time.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_NODE_MEMFD_H
#define HOLDFAST_FRONTENDS_PRELOAD_NODE_MEMFD_H

#include <sys/types.h>

#include "base/compiler.h"
#include "frontends/preload/files.h"

struct node_memfd {
	int fd;    /* -1: none yet */
	dev_t dev; /* of the memfd, to notice that the client closed it */
	ino_t ino;
};

/** node_memfd_start() - make it, unless it is there. Return: 0 or -errno */
int node_memfd_start(struct node_memfd *memfd, unsigned int minor) HF_MUST_CHECK;
/** node_memfd_adopt() - be the memfd of an opener elsewhere, behind @fd: "open already" counts its
 * descriptions. Return: 0; -EBADF with refuse() in words */
int node_memfd_adopt(struct node_memfd *memfd, int fd) HF_MUST_CHECK;
/** node_memfd_drop() - the next one is another: in a child, whose devices are its own, and after
 * a device was deleted */
void node_memfd_drop(struct node_memfd *memfd);
/** node_memfd_after_fork() - the parent's threads may have held the lock */
void node_memfd_after_fork(void);

/** node_memfd_lock_owner() - as memfd_lock_owner(), of @file. Return: -errno; 0, also where there
 * is no control descriptor any more, or no /proc */
int node_memfd_lock_owner(const struct node_memfd *memfd, const struct preload_file *file,
			  short type);

#endif
