// SPDX-License-Identifier: BSD-3-Clause
/* Private to this room: an open device and its virtqueues. */
#ifndef HOLDFAST_VIRTIO_VDPA_INTERNAL_H
#define HOLDFAST_VIRTIO_VDPA_INTERNAL_H

#include <sys/queue.h>

#include "vdpa/reset.h"
#include "virtio_vdpa/virtio_vdpa.h"

/* A chain that the device has, with its table if it is an indirect one. */
struct virtio_chain {
	LIST_ENTRY(virtio_chain) link;
	void *cookie;
	_Alignas(16) char table[]; /* 16 bytes a piece, or none */
};

struct virtio_vdpa_vq {
	struct virtio_vdpa *v;
	uint16_t idx, num;
	struct ring_driver *ring;
	void *mem;   /* [owned] the three areas */
	int call_fd; /* [owned] eventfd */
	bool dead;   /* the device has written what makes no sense */
	LIST_HEAD(, virtio_chain) chains;
	struct virtio_vdpa_vq *next_kept;
};

struct virtio_vdpa {
	struct vdpa_device *dev; /* one reference; const */
	uint32_t device_id;
	uint64_t features; /* negotiated */
	bool gone;         /* atomic: taken away; written with the device lock */
	bool config_irq;   /* atomic: a config interrupt came */
	int stop_err; /* of the last reset; if it failed, the device may use what it was given */
	struct virtio_vdpa_vq *
		*vqs; /* [dev->nvqs] NULL until set up; stable from DRIVER_OK to reset */
};

/* What the bus driver keeps for a bound device (dev->drvdata). */
struct virtio_binding {
	struct virtio_vdpa *user; /* the one open, or NULL; device lock */
};

/** virtio_vdpa_start() - reset and say ACKNOWLEDGE. Return: 0 or the parent's error */
int virtio_vdpa_start(struct vdpa_device *dev) HF_MUST_CHECK REQUIRES(dev->lock);
/** virtio_vdpa_stop() - reset, and no virtqueue of @v is ready or calls any more; an error is
 * logged and returned */
int virtio_vdpa_stop(struct vdpa_device *dev, struct virtio_vdpa *v) REQUIRES(dev->lock);
/** virtio_vdpa_vqs_free() - memory alone; after virtio_vdpa_stop(), whose failure keeps it for
 * ever; device lock held */
void virtio_vdpa_vqs_free(struct virtio_vdpa *v);
/** virtio_vdpa_wake_all() - whoever waits for a virtqueue looks again */
void virtio_vdpa_wake_all(struct virtio_vdpa *v);

static inline bool virtio_vdpa_is_gone(const struct virtio_vdpa *v)
{
	return __atomic_load_n(&v->gone, __ATOMIC_ACQUIRE);
}

#endif
