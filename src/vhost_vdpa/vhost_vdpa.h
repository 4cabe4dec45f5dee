// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bus driver vhost_vdpa: one client's session with one device, and the kernel's uAPI to it. A
 * frontend maps its file descriptors to sessions, copies nothing itself and turns -errno into what
 * its client understands. Behaviour: docs/spec/vhost-vdpa.md, sections 1 to 6.
 *
 * Owns: address spaces (mappings, memory charged), duplicated eventfds, the client's acked bits.
 * Lock: the device lock around everything. Thread rule: any thread that is not a worker; release
 * after all other calls.
 */
#ifndef HOLDFAST_VHOST_VDPA_VHOST_VDPA_H
#define HOLDFAST_VHOST_VDPA_VHOST_VDPA_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/types.h"
#include "memory/memory.h"
#include "vdpa/bus.h"

struct vhost_vdpa; /* one open */

/* Who is calling, and how to reach what it passes. Given by the frontend with each call. */
struct vhost_vdpa_client {
	uint64_t mm_id;             /* identity of the caller's address space, not 0 */
	struct memory_space *space; /* [lent] the session takes its own reference */
	/** duplicate the client's fd into this process, close-on-exec. Return: fd; -EBADF;
	 * -EMFILE */
	int (*get_fd)(const struct vhost_vdpa_client *client, int fd);
};

extern const struct vdpa_driver vhost_vdpa_driver;

/** vhost_vdpa_find() - the device behind /dev/vhost-vdpa-@minor, with one more reference, or NULL.
 * Minors are the lowest free ones, in order of binding. */
struct vdpa_device *vhost_vdpa_find(struct vdpa_bus *bus, unsigned int minor);
/** vhost_vdpa_minor() - Return: minor of a bound device, or -ENODEV */
int vhost_vdpa_minor(struct vdpa_device *dev);

/** vhost_vdpa_open() - Return: 0; -EBUSY open already; -ENODEV not bound (any more); -ENOMEM; the
 * parent's error from the reset */
int vhost_vdpa_open(struct vdpa_device *dev, struct vhost_vdpa **out) HF_MUST_CHECK;

/** vhost_vdpa_ioctl() - Return: 0 or -errno as the kernel would give it, -ENODEV once the device
 * was taken away; refuse_reason() says why */
int vhost_vdpa_ioctl(struct vhost_vdpa *s, const struct vhost_vdpa_client *client, unsigned int cmd,
		     uaddr_t arg) HF_MUST_CHECK;

/** vhost_vdpa_write() - one IOTLB message. Return: 72; -EINVAL; -EFAULT; -ENODEV as above */
ssize_t vhost_vdpa_write(struct vhost_vdpa *s, const struct vhost_vdpa_client *client, uaddr_t buf,
			 size_t len) HF_MUST_CHECK;

/** vhost_vdpa_mmap() - checks of [1-41]. Return: always -errno: no parent has doorbells yet */
int vhost_vdpa_mmap(struct vhost_vdpa *s, size_t len, int prot, int flags,
		    uint64_t off) HF_MUST_CHECK;

/** vhost_vdpa_release() - the last close ([4-3]); NULL is fine; frees @s. Never blocks on the
 * client. */
void vhost_vdpa_release(struct vhost_vdpa *s);

/* ---- words for a call log ---- */

/** vhost_vdpa_ioctl_name() - "VHOST_VDPA_SET_STATUS", or NULL if unknown */
const char *vhost_vdpa_ioctl_name(unsigned int cmd);
/**
 * vhost_vdpa_print_ioctl() - argument by field, as strace would: "{index=0, num=256}"
 * @after: the call has returned: print what it wrote; else what it reads. Unreadable memory prints
 *   as its address.
 */
void vhost_vdpa_print_ioctl(FILE *f, const struct vhost_vdpa_client *client, unsigned int cmd,
			    uaddr_t arg, bool after);
/** vhost_vdpa_print_write() - an IOTLB message by field */
void vhost_vdpa_print_write(FILE *f, const struct vhost_vdpa_client *client, uaddr_t buf,
			    size_t len);

#endif
