// SPDX-License-Identifier: BSD-3-Clause
/*
 * Driver side of a virtqueue, split and packed: what a guest does. For tests, benches and the
 * in-process virtio driver. Works on plain memory given by the caller, which chooses the IOVAs;
 * trusts the device no more than Linux does (used ids are checked).
 *
 * Owns: bookkeeping. Does not own: ring memory, buffers. One thread at a time.
 */
#ifndef HOLDFAST_RING_DRIVER_H
#define HOLDFAST_RING_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/types.h"

struct ring_driver;

struct ring_driver_config {
	uint16_t num; /* entries; split: power of two */
	bool packed, event_idx, in_order;
	void *desc, *driver,
		*device; /* ring areas, ring_driver_area_len() bytes each, 16-aligned */
	uint16_t
		/* split: index to start from; packed: position | wrap << 15 (fresh: 0x8000) */
		start_avail;
};

struct ring_driver_seg {
	iova_t iova;
	uint32_t len; /* bytes */
};

enum ring_area { RING_AREA_DESC, RING_AREA_DRIVER, RING_AREA_DEVICE };
size_t ring_driver_area_len(enum ring_area area, uint16_t num, bool packed);

/** ring_driver_create() - zeroes the areas. Return: 0; -EINVAL; -ENOMEM */
int ring_driver_create(const struct ring_driver_config *config,
		       struct ring_driver **out) HF_MUST_CHECK;
void ring_driver_destroy(struct ring_driver *drv);

/**
 * ring_driver_add() - make a chain available: @nr_out device-readable segments, then @nr_in
 * writable
 * @cookie: handed back by ring_driver_get(); not NULL
 * @indirect: NULL, or an 8-aligned table of 16*(nr_out+nr_in) bytes that the device sees
 * at @indirect_iova; the caller keeps it until the chain is completed
 * Return: 0; -ENOSPC ring full; -EINVAL no segments, too many, or no cookie. On error nothing
 * changed.
 */
int ring_driver_add(struct ring_driver *drv, const struct ring_driver_seg *segs,
		    unsigned int nr_out, unsigned int nr_in, void *cookie, void *indirect,
		    iova_t indirect_iova) HF_MUST_CHECK;
/** ring_driver_publish() - make the added chains visible. Return: true if the device wants a
 * kick */
bool ring_driver_publish(struct ring_driver *drv);
/** ring_driver_get() - next completed chain's cookie, NULL if none; @len: [out] bytes written;
 * @err: [out, may be NULL] -EPROTO the device gave a used element that makes no sense */
void *ring_driver_get(struct ring_driver *drv, uint32_t *len, int *err);
/** ring_driver_prefetch() - ask for what the @ahead'th used element from here will make the driver
 * touch: where its cookie points, to be written, and its descriptor. Nothing is checked or changed;
 * what is not there yet is left alone. */
void ring_driver_prefetch(const struct ring_driver *drv, unsigned int ahead);
/** ring_driver_cb_disable() / ring_driver_cb_enable() - interrupts off; on (Return: true if
 * completions are there already) */
void ring_driver_cb_disable(struct ring_driver *drv);
bool ring_driver_cb_enable(struct ring_driver *drv);
uint16_t ring_driver_nr_free(const struct ring_driver *drv);

#endif
