// SPDX-License-Identifier: BSD-3-Clause
/*
 * What may be touched: a ring's areas; and the end of touching them.
 *
 * Area pointers belong to one iotlb version. Each entry point that touches an area compares the
 * published version's number with the one the pointers were made for (ring_enter()). Only if they
 * differ the areas are translated again. An unusable result is remembered by version too, so a
 * stalled queue that is kicked over and over stays cheap.
 */
#include "base/log.h"
#include "base/trace.h"
#include "ring/engine.h"

/* One area as one run of aligned host memory, or NULL. */
static void *area_map(struct ring *ring, const struct ring_view *view, const char *what,
		      iova_t iova, uint64_t len, uint8_t perm, uintptr_t align)
{
	struct iovec iov[2];
	int n = iotlb_translate(view->v, NULL, iova, len, perm, iov, 2);

	if (n < 0 && n != -E2BIG) {
		hf_dbg(ring->name, "%s at iova 0x%llx: not mapped", what, (unsigned long long)iova);
		return NULL;
	}
	if (n != 1) {
		hf_warn(ring->name, "%s at iova 0x%llx: not in one piece", what,
			(unsigned long long)iova);
		return NULL;
	}
	if ((uintptr_t)iov[0].iov_base % align) {
		hf_warn(ring->name, "%s at iova 0x%llx: mapped to unaligned memory", what,
			(unsigned long long)iova);
		return NULL;
	}
	return iov[0].iov_base;
}

bool ring_map_areas(struct ring *ring, const struct ring_view *view)
{
	const struct ring_config *c = &ring->config;
	bool packed = ring->packed;
	uint64_t event = ring->event_idx ? sizeof(le16) : 0;
	uint64_t driver_len = sizeof(struct packed_event), device_len = driver_len;

	if (!packed) {
		driver_len = sizeof(struct split_avail) + sizeof(le16) * c->num + event;
		device_len =
			sizeof(struct split_used) + sizeof(struct split_used_elem) * c->num + event;
	}
	ring->area_number = view->number;
	ring->driver_len = driver_len;
	ring->device_len = device_len;
	ring->desc =
		area_map(ring, view, "descriptor area", c->desc_addr, (uint64_t)DESC_SIZE * c->num,
			 packed ? IOTLB_RW : IOTLB_R, packed ? 8 : 1);
	ring->driver = area_map(ring, view, "driver area", c->driver_addr, driver_len, IOTLB_R,
				packed ? 4 : 2);
	ring->device = area_map(ring, view, "device area", c->device_addr, device_len, IOTLB_W, 4);
	ring->areas_ok = ring->desc && ring->driver && ring->device;
	return ring->areas_ok;
}

/* ---- breaks ---- */

void ring_break(struct ring *ring, const char *reason)
{
	if (ring->broken || !ring->started)
		return;
	ring->broken = reason;
	hf_warn(ring->name, "ring broken: %s", reason);
	HF_TRACE2(ring_break, ring->name, reason);
	if (ring->ops.broken)
		ring->ops.broken(ring->arg, reason);
}

const char *ring_broken_reason(const struct ring *ring)
{
	return ring->broken;
}
