// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a reset does to mappings, in one place: vdpa/reset.c holds the rules as one table. Nobody
 * else calls .reset, .compat_reset or .reset_map. Thread rule: device lock held.
 */
#ifndef HOLDFAST_VDPA_RESET_H
#define HOLDFAST_VDPA_RESET_H

#include <stdbool.h>

#include "base/compiler.h"
#include "vdpa/device.h"

enum vdpa_reset_event {
	VDPA_RESET_STATUS_ZERO,   /* a client wrote 0 to the status */
	VDPA_RESET_OPEN,          /* a client opened the device */
	VDPA_RESET_CLOSE,         /* the last close, or the client's death */
	VDPA_RESET_REMOVED,       /* the device was taken from the bus while a client had it */
	VDPA_RESET_VIRTIO_ATTACH, /* virtio_vdpa takes or resets the device */
};

/**
 * vdpa_reset() - reset the virtio device by the rule for @event
 * @persist_acked: the client has acked IOTLB_PERSIST right now; false if there is none
 * Return: 0 or the parent's error.
 */
int vdpa_reset(struct vdpa_device *dev, enum vdpa_reset_event event,
	       bool persist_acked) HF_MUST_CHECK REQUIRES(dev->lock);

/** vdpa_reset_removes_mappings() - does the bus driver unmap everything after this event? If so it
 * calls vdpa_reset_map() for each address space that it had made */
bool vdpa_reset_removes_mappings(enum vdpa_reset_event event);

/** vdpa_reset_map() - the parent's initial map for one address space; no-op without .reset_map */
void vdpa_reset_map(struct vdpa_device *dev, uint32_t asid) REQUIRES(dev->lock);

/** vdpa_can_persist() - may IOTLB_PERSIST be offered ([5-8])? */
bool vdpa_can_persist(struct vdpa_device *dev);

#endif
