// SPDX-License-Identifier: BSD-3-Clause
/*
 * Life of a ring, its areas, and what the two layouts share on the way in and out.
 *
 * A chain goes popped -> pushed -> published. Pushing is private: it notes id and length in
 * @pending. Only ring_flush() writes to the used area, so that an area that is not mapped at the
 * moment loses nothing, and the index moves once a batch. At most `num` chains are between popped
 * and published: a driver that offers more has broken the ring, which bounds all memory here by the
 * ring's size.
 *
 * Area pointers belong to one iotlb version. Each entry point that touches an area compares the
 * published version's number with the one the pointers were made for; a difference, and only that,
 * costs a translation. An unusable result is remembered by version too, so a stalled queue that
 * is kicked over and over stays cheap.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
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

/* ---- data ---- */

int ring_pop_waits(struct ring *ring, const struct ring_view *view, struct ring_chain *chain)
{
	(void)ring;
	(void)view;
	(void)chain;
	return -EFAULT;
}

bool ring_publish_waits(struct ring *ring, uint32_t n)
{
	(void)ring;
	(void)n;
	return false;
}

static inline int pop_one(struct ring *ring, const struct ring_view *view, struct ring_chain *chain)
{
	int rc = ring->reader->pop(ring, view, chain);

	if (rc > 0)
		HF_TRACE4(ring_pop, ring, chain->id, chain->out_len, chain->in_len);
	return rc;
}

unsigned int ring_pop_many(struct ring *ring, struct ring_chain *chains, unsigned int max, int *err)
{
	struct ring_view view;
	unsigned int n = 0;

	*err = 1;
	if (unlikely(!ring_is_live(ring))) {
		*err = ring->started ? -EPROTO : 0;
		return 0;
	}
	if (unlikely(!ring_enter(ring, &view))) {
		*err = ring->reader->pop_unmapped(ring, &view, chains);
		return *err > 0;
	}
	while (n < max) {
		*err = pop_one(ring, &view, &chains[n]);
		if (*err <= 0)
			break;
		n++;
	}
	return n;
}

int ring_pop(struct ring *ring, struct ring_chain *chain)
{
	int err;

	return ring_pop_many(ring, chain, 1, &err) ? 1 : err;
}

bool ring_peek(struct ring *ring)
{
	struct ring_view view;

	if (unlikely(!ring_is_live(ring)) || unlikely(!ring_enter(ring, &view)))
		return false;
	return ring->reader->peek(ring);
}

void ring_unpop(struct ring *ring, const struct ring_chain *chains, unsigned int n)
{
	for (unsigned int i = n; i-- > 0;) {
		const struct ring_chain *chain = &chains[i];

		if (!ring_is_current(ring, chain))
			continue;
		assert(chain->seq + 1 == ring->pop_seq); /* the newest one that is out */
		scratch_give(&ring->scratch, chain->scratch);
		ring->pop_seq--;
		ring->reader->unpop(ring, chain);
	}
}

/* Once a chain: out of the way of a device that is not logged. */
static HF_COLD void mark_written(struct ring *ring, const struct ring_chain *chain, uint64_t off,
				 uint64_t len)
{
	struct iov_walk w = iov_walk_from(chain->in, chain->nr_in, off, len);

	while (ring->dirty.buffers && iov_walk_next(&w))
		ring->ops.dirty(ring->arg, chain->in_iova[w.idx] + w.off, w.len);
}

void ring_wrote(struct ring *ring, const struct ring_chain *chain, uint64_t off, uint64_t len)
{
	if (unlikely(ring->logging) && ring_is_current(ring, chain))
		mark_written(ring, chain, off, len);
}

static inline void push_one(struct ring *ring, const struct ring_chain *chain, uint32_t written)
{
	assert(written <= chain->in_len);
	if (unlikely(!ring_is_current(ring, chain)))
		return;
	if (unlikely(ring->logging))
		mark_written(ring, chain, 0, written);
	ring_note_pushed(ring, chain, written);
}

void ring_push(struct ring *ring, const struct ring_chain *chain, uint32_t written)
{
	push_one(ring, chain, written);
}

void ring_push_read(struct ring *ring, const struct ring_chain *chains, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		push_one(ring, &chains[i], 0);
}

/* How many chains may be published now, oldest first. */
static uint32_t nr_publishable(const struct ring *ring)
{
	uint32_t n = 0;

	if (!ring->in_order)
		return ring->push_seq - ring->flush_seq;
	while (ring->flush_seq + n != ring->pop_seq &&
	       ring->pending[(ring->flush_seq + n) & ring->pending_mask].done)
		n++;
	return n;
}

bool ring_flush(struct ring *ring)
{
	struct ring_view view;
	uint32_t n = nr_publishable(ring);

	if (n == 0 || unlikely(!ring_is_live(ring)))
		return false;
	if (unlikely(!ring_enter(ring, &view)))
		return ring->reader->publish_unmapped(ring, n);
	return ring->reader->publish(ring, n);
}

bool ring_is_flushed(const struct ring *ring)
{
	return nr_publishable(ring) == 0 || !ring_is_live(ring);
}

/* ---- kicks ---- */

void ring_kick_disable(struct ring *ring)
{
	struct ring_view view;

	if ((ring->kicks_off && ring->kicks_told) || !ring_is_live(ring))
		return;
	if (!ring_enter(ring, &view))
		return;
	ring->reader->kick_disable(ring);
	ring->kicks_off = true;
	ring->kicks_told = true;
}

bool ring_kick_enable(struct ring *ring)
{
	struct ring_view view;

	if (!ring_is_live(ring) || !ring_enter(ring, &view))
		return false;
	ring->reader->kick_enable(ring);
	ring->kicks_off = false;
	ring->kicks_told = true;
	access_full_fence(); /* R4 */
	return ring->reader->has_avail(ring);
}

bool ring_kick_is_disabled(const struct ring *ring)
{
	return ring->kicks_off;
}
