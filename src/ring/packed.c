// SPDX-License-Identifier: BSD-3-Clause
/*
 * The packed layout, device side. A head's flags are loaded with acquire, then the rest of the
 * chain
 * (R1). A batch of used elements becomes visible by its first one's flags, stored last with release
 * (R2), then a full fence (R3), and the driver's wish. Every descriptor of a chain must itself
 * be marked available, so that a chain never runs into slots that the device still holds.
 */
#include "ring/engine.h"

static inline struct packed_desc *packed_at(const struct ring *ring, uint16_t pos)
{
	return (struct packed_desc *)(void *)(ring->desc + (size_t)pos * DESC_SIZE);
}

/* Copy slot @pos, once; of a head the flags count that were loaded before. */
static inline void packed_copy(const struct ring *ring, uint16_t pos, struct desc *d)
{
	uint16_t id;

	desc_copy_split((const char *)packed_at(ring, pos), d);
	id = d->flags;
	d->flags = d->next;
	d->next = id;
}

#define PACKED_KNOWN_FLAGS                                                                         \
	(DESC_F_NEXT | DESC_F_WRITE | DESC_F_INDIRECT | DESC_F_AVAIL | DESC_F_USED)

/* The chain at the ring's position, whose head was copied to @d. Return: 0; -EPROTO; -ENOBUFS */
static int packed_walk(struct build *b, struct desc *d, uint16_t *nr_desc)
{
	struct ring *ring = b->ring;
	uint16_t pos = ring->avail_pos, n = 1;
	bool wrap = ring->avail_wrap;
	int rc;

	for (;;) {
		if (unlikely(d->flags & ~PACKED_KNOWN_FLAGS))
			return build_refuse(b, "unknown descriptor flag");
		if (unlikely(d->flags & DESC_F_INDIRECT))
			rc = build_indirect(b, d);
		else
			rc = build_add(b, d);
		if (unlikely(rc))
			return rc;
		if (!(d->flags & DESC_F_NEXT))
			break;
		packed_advance(&pos, &wrap, 1, ring->num);
		if (unlikely(ring->nr_desc_out + ++n > ring->num))
			return build_refuse(b, "more descriptors than entries");
		packed_copy(ring, pos, d);
		if (unlikely(!packed_is_avail(d->flags, wrap)))
			return build_refuse(b,
					    "chain runs into a descriptor that is not available");
	}
	*nr_desc = n;
	return 0;
}

/* The ring has moved past a chain. */
static inline void packed_took(struct ring *ring, uint16_t nr_desc)
{
	packed_advance(&ring->avail_pos, &ring->avail_wrap, nr_desc, ring->num);
	ring->nr_desc_out += nr_desc;
}

/* Any chain whose head was copied to @d. Return: as packed_pop() */
static int packed_pop_any(struct ring *ring, const struct ring_view *view, struct desc *d,
			  struct ring_chain *chain)
{
	uint16_t nr_desc = 0;
	struct build b;
	int rc;

	if (unlikely(!build_begin(&b, ring, view)))
		return -ENOBUFS;
	rc = packed_walk(&b, d, &nr_desc);
	if (unlikely(rc)) {
		build_abort(&b);
		if (b.refused)
			ring_break(ring, b.refused);
		return rc;
	}
	packed_took(ring, nr_desc);
	build_end(&b, chain, d->next, nr_desc); /* the id is the last one's */
	return 1;
}

static int packed_pop(struct ring *ring, const struct ring_view *view, struct ring_chain *chain)
{
	uint16_t flags = le16_load_acquire(&packed_at(ring, ring->avail_pos)->flags);
	struct desc d;

	if (!packed_is_avail(flags, ring->avail_wrap))
		return 0;
	if (unlikely(ring->nr_desc_out >= ring->num)) {
		ring_break(ring, "more descriptors than entries");
		return -EPROTO;
	}
	packed_copy(ring, ring->avail_pos, &d);
	d.flags = flags;
	if (likely(!(flags & ~(DESC_F_WRITE | DESC_F_AVAIL | DESC_F_USED))) &&
	    likely(build_plain(ring, view, &d, d.next, chain))) {
		packed_took(ring, 1);
		return 1;
	}
	return packed_pop_any(ring, view, &d, chain);
}

static unsigned int packed_pop_run(struct ring *ring, const struct ring_view *view,
				   unsigned int max, bool write)
{
	uint64_t number = buffers_number(ring, view);
	uint8_t perm = write ? IOTLB_W : IOTLB_R;
	uint16_t want = write ? DESC_F_WRITE : 0, pos = ring->avail_pos;
	unsigned int n, room = ring->num - ring->nr_desc_out;
	bool wrap = ring->avail_wrap;

	for (n = 0; n < max && n < room; n++) {
		uint16_t flags = le16_load_acquire(&packed_at(ring, pos)->flags);
		struct desc d;
		char *host;

		if (!packed_is_avail(flags, wrap))
			break;
		packed_copy(ring, pos, &d);
		d.flags = flags & (uint16_t) ~(DESC_F_AVAIL | DESC_F_USED);
		host = build_hit(ring, number, &d, perm);
		if (unlikely(d.flags != want || !host))
			break;
		run_add(ring, n, host, &d, d.next);
		packed_advance(&pos, &wrap, 1, ring->num);
	}
	ring->avail_pos = pos;
	ring->avail_wrap = wrap;
	ring->nr_desc_out += n;
	return n;
}

static bool packed_has_avail(const struct ring *ring)
{
	uint16_t flags = le16_load_acquire(&packed_at(ring, ring->avail_pos)->flags);

	return packed_is_avail(flags, ring->avail_wrap);
}

static bool packed_wants_interrupt(struct ring *ring, uint16_t pos, bool wrap, uint32_t delta)
{
	const struct packed_event *event = ring->driver;
	uint32_t word = le32_load(&event->word);
	uint16_t flags = (word >> 16) & 3;

	if (flags == EVENT_F_DISABLE)
		return false;
	if (flags != EVENT_F_DESC || !ring->event_idx || ring->notify_once)
		return true;
	return packed_need_event((uint16_t)word, pos, wrap, delta, ring->num);
}

static uint16_t used_flags(const struct ring_pending *p, bool wrap)
{
	return (uint16_t)((wrap ? DESC_F_AVAIL | DESC_F_USED : 0) | (p->len ? DESC_F_WRITE : 0));
}

/* Write one used element but for its flags. */
static void packed_write_elem(struct ring *ring, uint16_t pos, const struct ring_pending *p)
{
	struct packed_desc *d = packed_at(ring, pos);

	le16_store(&d->id, p->id);
	le32_store(&d->len, p->len);
}

static void packed_mark_used(struct ring *ring, uint16_t pos)
{
	if (unlikely(ring->logging) && ring->dirty.desc)
		ring->ops.dirty(ring->arg,
				ring->config.desc_addr + (uint64_t)pos * DESC_SIZE +
					offsetof(struct packed_desc, len),
				DESC_SIZE - offsetof(struct packed_desc, len));
}

static bool packed_publish(struct ring *ring, uint32_t n)
{
	uint16_t first = ring->used_pos, pos = first;
	bool first_wrap = ring->used_wrap, wrap = first_wrap;
	const struct ring_pending *p0 = &ring->pending[ring->flush_seq & ring->pending_mask];
	uint16_t first_flags = used_flags(p0, first_wrap);
	uint32_t delta = 0;
	bool wants;

	for (uint32_t i = 0; i < n; i++) {
		struct ring_pending *p = &ring->pending[(ring->flush_seq + i) & ring->pending_mask];

		packed_write_elem(ring, pos, p);
		if (i > 0) {
			le16_store(&packed_at(ring, pos)->flags, used_flags(p, wrap));
			packed_mark_used(ring, pos);
		}
		packed_advance(&pos, &wrap, p->nr_desc, ring->num);
		delta += p->nr_desc;
		p->done = false;
	}
	le16_store_release(&packed_at(ring, first)->flags, first_flags); /* R2 */
	packed_mark_used(ring, first);
	ring->used_pos = pos;
	ring->used_wrap = wrap;
	ring->nr_desc_out -= delta;
	ring->flush_seq += n;
	access_full_fence(); /* R3 */
	wants = packed_wants_interrupt(ring, first, first_wrap, delta);
	ring->notify_once = false;
	return wants;
}

static void packed_set_event(struct ring *ring, uint16_t off_wrap, uint16_t flags)
{
	struct packed_event *event = ring->device;

	le32_store(&event->word, (uint32_t)flags << 16 | off_wrap);
	ring_mark_device(ring, 0, sizeof(*event));
}

static void packed_kick_disable(struct ring *ring)
{
	packed_set_event(ring, 0, EVENT_F_DISABLE);
}

static void packed_kick_enable(struct ring *ring)
{
	if (ring->event_idx)
		packed_set_event(ring, packed_state(ring->avail_pos, ring->avail_wrap),
				 EVENT_F_DESC);
	else if (ring->kicks_off)
		packed_set_event(ring, 0, EVENT_F_ENABLE);
}

static bool packed_peek(struct ring *ring)
{
	return packed_has_avail(ring);
}

static void packed_unpop(struct ring *ring, unsigned int nr_chains, unsigned int nr_desc)
{
	(void)nr_chains;
	packed_retreat(&ring->avail_pos, &ring->avail_wrap, nr_desc, ring->num);
	ring->nr_desc_out -= nr_desc;
}

static void packed_set_position(struct ring *ring, struct ring_state state)
{
	ring->avail_pos = state.last_avail & PACKED_POS;
	ring->avail_wrap = state.last_avail & PACKED_WRAP;
	ring->used_pos = state.last_used & PACKED_POS;
	ring->used_wrap = state.last_used & PACKED_WRAP;
}

static struct ring_state packed_position(const struct ring *ring)
{
	return (struct ring_state){packed_state(ring->avail_pos, ring->avail_wrap),
				   packed_state(ring->used_pos, ring->used_wrap)};
}

static struct ring_state packed_resume_position(const struct ring *ring)
{
	uint16_t used = packed_state(ring->used_pos, ring->used_wrap);

	return (struct ring_state){used, used};
}

const struct ring_reader ring_packed_reader = {
	.pop = packed_pop,
	.has_avail = packed_has_avail,
	.peek = packed_peek,
	.pop_run = packed_pop_run,
	.unpop = packed_unpop,
	.publish = packed_publish,
	.kick_disable = packed_kick_disable,
	.kick_enable = packed_kick_enable,
	.pop_unmapped = ring_pop_waits,
	.publish_unmapped = ring_publish_waits,
	.set_position = packed_set_position,
	.position = packed_position,
	.resume_position = packed_resume_position,
};
