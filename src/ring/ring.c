// SPDX-License-Identifier: BSD-3-Clause
/*
 * Life of a ring: from create to destroy, from start to stop.
 */
#include <stdlib.h>
#include <string.h>

#include "ring/engine.h"

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
	ring->run.nr = 0;
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
	struct ring_state state = ring_resume_state(ring);

	if (ring->started) {
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

struct ring_state ring_resume_state(const struct ring *ring)
{
	return ring->started ? ring->reader->resume_position(ring) : ring_get_state(ring);
}
