// SPDX-License-Identifier: BSD-3-Clause
/*
 * Life of a ring, and its areas.
 *
 * Area pointers belong to one iotlb version. Each entry point that touches an area compares the
 * published version's number with the one the pointers were made for (ring_enter()). Only if they
 * differ the areas are translated again. An unusable result is remembered by version too, so a
 * stalled queue that is kicked over and over stays cheap.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "ring/engine.h"

__thread struct ring *ring_current_;

struct ring *ring_current(void)
{
	return ring_current_;
}

/* What ring_attend_copy() was told last; of no meaning unless @from is set. */
static __thread struct {
	struct ring *from;
	const struct iovec *src;
	unsigned int nr;
} copy_;

void ring_attend(struct ring *ring)
{
	ring_current_ = ring;
	copy_.from = NULL;
}

void ring_attend_copy(struct ring *ring, struct ring *from, const struct iovec *src,
		      unsigned int nr)
{
	ring_current_ = ring;
	copy_.from = from;
	copy_.src = src;
	copy_.nr = nr;
}

struct ring *ring_at_fault(uintptr_t addr)
{
	for (unsigned int i = 0; copy_.from && i < copy_.nr; i++)
		if (addr - (uintptr_t)copy_.src[i].iov_base < copy_.src[i].iov_len)
			return copy_.from;
	return ring_current_;
}

int ring_create(const char *name, const struct ring_ops *ops, void *arg, struct ring **out)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	ring->name = strdup(name);
	if (!ring->name) {
		free(ring);
		return -ENOMEM;
	}
	if (ops)
		ring->ops = *ops;
	ring->arg = arg;
	ring->area_number = RING_VERSION_NONE;
	ring->kicks_off = true;
	ring->reader = &ring_split_reader;
	*out = ring;
	return 0;
}

void ring_destroy(struct ring *ring)
{
	if (!ring)
		return;
	if (ring_current_ == ring)
		ring_current_ = NULL;
	scratch_fini(&ring->scratch);
	free(ring->pending);
	free(ring->name);
	free(ring);
}

static int config_check(const struct ring_config *config, struct ring_state state)
{
	uint16_t num = config->num;

	if (num == 0 || num > RING_NUM_MAX)
		return -EINVAL;
	if (!config->packed)
		return (num & (num - 1)) == 0 ? 0 : -EINVAL;
	if ((state.last_avail & PACKED_POS) >= num || (state.last_used & PACKED_POS) >= num)
		return -EINVAL;
	return 0;
}

static const struct ring_reader *reader_for(const struct ring_config *config)
{
	if (config->reader)
		return config->reader;
	return config->packed ? &ring_packed_reader : &ring_split_reader;
}

static int pending_init(struct ring *ring, uint16_t num)
{
	uint32_t slots = 1;
	struct ring_pending *pending;

	while (slots < num)
		slots *= 2;
	pending = calloc(slots, sizeof(*pending));
	if (!pending)
		return -ENOMEM;
	free(ring->pending);
	ring->pending = pending;
	ring->pending_mask = slots - 1;
	return 0;
}

static void ring_forget_translations(struct ring *ring)
{
	ring->area_number = RING_VERSION_NONE;
	ring->areas_ok = false;
	memset(ring->buf_cache, 0, sizeof(ring->buf_cache));
	memset(&ring->table_cache, 0, sizeof(ring->table_cache));
}

static void ring_set_position(struct ring *ring, struct ring_state state)
{
	ring->reader->set_position(ring, state);
	ring->avail_seen = ring->avail_pos;
	ring->nr_desc_out = 0;
	ring->pop_seq = 0;
	ring->push_seq = 0;
	ring->flush_seq = 0;
}

int ring_start(struct ring *ring, const struct ring_config *config, struct iotlb *ring_tlb,
	       struct iotlb *buf_tlb, struct ring_state state)
{
	int rc = config_check(config, state);

	if (rc)
		return rc;
	if (scratch_init(&ring->scratch, config->num) || pending_init(ring, config->num)) {
		ring->started = false;
		return -ENOMEM;
	}
	ring->config = *config;
	ring->num = config->num;
	ring->mask = (uint16_t)(config->num - 1);
	ring->packed = config->packed;
	ring->reader = reader_for(config);
	ring->event_idx = config->event_idx;
	ring->in_order = config->in_order;
	ring->indirect = config->indirect;
	ring_set_tlbs(ring, ring_tlb, buf_tlb);
	ring_set_position(ring, state);
	ring->broken = NULL;
	ring->kicks_off = true;
	ring->kicks_told = false;
	ring->notify_once = true;
	ring->generation++;
	ring->started = true;
	return 0;
}

struct ring_state ring_stop(struct ring *ring)
{
	struct ring_state state = ring_get_state(ring);

	if (ring->started) {
		state = ring->reader->resume_position(ring);
		ring_set_position(ring, state);
		ring->started = false;
		ring->kicks_off = true;
	}
	ring_forget_translations(ring);
	return state;
}

void ring_set_tlbs(struct ring *ring, struct iotlb *ring_tlb, struct iotlb *buf_tlb)
{
	ring->ring_tlb = ring_tlb;
	ring->buf_tlb = buf_tlb;
	ring_forget_translations(ring);
}

void ring_set_dirty(struct ring *ring, const struct ring_dirty *dirty)
{
	ring->dirty = *dirty;
	ring->logging = ring->ops.dirty && (dirty->buffers || dirty->desc || dirty->device);
}

bool ring_is_started(const struct ring *ring)
{
	return ring->started;
}

struct ring_state ring_get_state(const struct ring *ring)
{
	return ring->reader->position(ring);
}

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

/* ---- areas ---- */

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
	ring->desc =
		area_map(ring, view, "descriptor area", c->desc_addr, (uint64_t)DESC_SIZE * c->num,
			 packed ? IOTLB_RW : IOTLB_R, packed ? 8 : 1);
	ring->driver = area_map(ring, view, "driver area", c->driver_addr, driver_len, IOTLB_R,
				packed ? 4 : 2);
	ring->device = area_map(ring, view, "device area", c->device_addr, device_len, IOTLB_W, 4);
	ring->areas_ok = ring->desc && ring->driver && ring->device;
	return ring->areas_ok;
}
