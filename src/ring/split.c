// SPDX-License-Identifier: BSD-3-Clause
/*
 * The split layout, device side. The driver's index is read once for as many chains as it covers
 * (R1: acquire, before entries and descriptors). split_write_used() alone writes used elements, and
 * then the index (R2: release). A full fence follows (R3), and then the driver's wish.
 */
#include "ring/split.h"

#define USED_ELEMS_A_LINE 8

/*
 * Descriptors lie in the driver's cache, four to a line, and a line from another core takes as long
 * as a whole chain takes otherwise. They are asked for this many chains ahead.
 */
#define SPLIT_AHEAD 32

/* Only an address to prefetch: the entry is loaded again, and checked, when its turn comes. */
static inline void split_fetch(const struct ring *ring, uint16_t pos)
{
	const struct split_avail *avail = ring->driver;
	uint16_t head = le16_load(&avail->ring[pos & ring->mask]);

	__builtin_prefetch(ring->desc + (size_t)(head & ring->mask) * DESC_SIZE);
}

/* The chains up to @idx are new: the first descriptors, and the used elements that will be
 * written. From the last one to the first: otherwise the processor itself goes on behind the last
 * one, and takes lines from the driver that it is about to fill. */
static inline void split_fetch_new(const struct ring *ring, uint16_t idx)
{
	const struct split_used *used = ring->device;
	uint16_t pos = ring->avail_pos, n = (uint16_t)(idx - pos);

	if (n > SPLIT_AHEAD)
		n = SPLIT_AHEAD;
	for (uint16_t i = n; i-- > 0;) {
		split_fetch(ring, (uint16_t)(pos + i));
		if (i % USED_ELEMS_A_LINE == 0)
			prefetch_write(&used->ring[(uint16_t)(pos + i) & ring->mask]);
	}
}

/* Look at the driver's index. Return: 1 there are chains; 0 none; -EPROTO */
static int split_look(struct ring *ring)
{
	const struct split_avail *avail = ring->driver;
	uint16_t idx = le16_load_acquire(&avail->idx); /* pairs with the driver's publish */
	uint16_t out = (uint16_t)(ring->avail_pos - ring->used_pos);

	if (idx == ring->avail_pos)
		return 0;
	if ((uint32_t)(uint16_t)(idx - ring->avail_pos) + out > ring->num) {
		ring_break(ring, "available index is too far ahead");
		return -EPROTO;
	}
	split_fetch_new(ring, idx);
	ring->avail_seen = idx;
	return 1;
}

static bool split_peek(struct ring *ring)
{
	return ring->avail_seen != ring->avail_pos || split_look(ring) > 0;
}

/* Any chain. @d: the head's descriptor, copied, if @head is inside the table. Return: as
 * split_pop() */
static int split_pop_any(struct ring *ring, const struct ring_view *view, uint16_t head,
			 struct desc *d, struct ring_chain *chain)
{
	struct build b;
	int rc;

	if (unlikely(!build_begin(&b, ring, view)))
		return -ENOBUFS;
	rc = head < ring->num ? split_walk(&b, d)
			      : build_refuse(&b, "descriptor index out of range");
	if (unlikely(rc)) {
		build_abort(&b);
		if (b.refused)
			ring_break(ring, b.refused);
		return rc;
	}
	ring->avail_pos++;
	build_end(&b, chain, head, 1);
	return 1;
}

static int split_pop(struct ring *ring, const struct ring_view *view, struct ring_chain *chain)
{
	const struct split_avail *avail = ring->driver;
	struct desc d = {.len = 0}; /* stays so where @head names none */
	uint16_t head;
	int rc;

	if (ring->avail_seen == ring->avail_pos) {
		rc = split_look(ring);
		if (rc <= 0)
			return rc;
	}
	head = le16_load(&avail->ring[ring->avail_pos & ring->mask]);
	if ((uint16_t)(ring->avail_seen - ring->avail_pos) > SPLIT_AHEAD)
		split_fetch(ring, (uint16_t)(ring->avail_pos + SPLIT_AHEAD));
	if (likely(head < ring->num)) {
		desc_copy_split(ring->desc + (size_t)head * DESC_SIZE, &d);
		if (likely(!(d.flags & ~DESC_F_WRITE)) &&
		    likely(build_plain(ring, view, &d, head, chain))) {
			ring->avail_pos++;
			return 1;
		}
	}
	return split_pop_any(ring, view, head, &d, chain);
}

static unsigned int split_pop_run(struct ring *ring, const struct ring_view *view, unsigned int max,
				  bool write)
{
	const struct split_avail *avail = ring->driver;
	uint64_t number = buffers_number(ring, view);
	uint8_t perm = write ? IOTLB_W : IOTLB_R;
	uint16_t flags = write ? DESC_F_WRITE : 0;
	uint16_t pos = ring->avail_pos, left;
	unsigned int n;

	if (!split_peek(ring))
		return 0;
	left = (uint16_t)(ring->avail_seen - pos);
	for (n = 0; n < max && n < left; n++, pos++) {
		uint16_t head = le16_load(&avail->ring[pos & ring->mask]);
		struct desc d;
		char *host;

		if (left - n > SPLIT_AHEAD)
			split_fetch(ring, (uint16_t)(pos + SPLIT_AHEAD));
		if (unlikely(head >= ring->num))
			break;
		desc_copy_split(ring->desc + (size_t)head * DESC_SIZE, &d);
		host = build_hit(ring, number, &d, perm);
		if (unlikely(d.flags != flags || !host))
			break;
		run_add(ring, n, host, &d, head);
	}
	ring->avail_pos = pos;
	return n;
}

bool split_has_avail(const struct ring *ring)
{
	const struct split_avail *avail = ring->driver;

	return le16_load_acquire(&avail->idx) != ring->avail_pos;
}

static void split_mark_used(struct ring *ring, uint16_t first, uint32_t n)
{
	uint64_t elems = sizeof(struct split_used);
	uint32_t slot = first & ring->mask;
	uint32_t to_end = ring->num - slot;
	uint32_t part = n < to_end ? n : to_end;

	ring_mark_device(ring, elems + slot * sizeof(struct split_used_elem),
			 part * sizeof(struct split_used_elem));
	if (n > part)
		ring_mark_device(ring, elems, (n - part) * sizeof(struct split_used_elem));
	ring_mark_device(ring, offsetof(struct split_used, idx), sizeof(le16));
}

bool split_wants_interrupt(struct ring *ring, uint16_t new_idx, uint16_t old)
{
	struct split_avail *avail = ring->driver;

	if (!ring->event_idx)
		return !(le16_load(&avail->flags) & SPLIT_F_NO_INTERRUPT);
	if (ring->notify_once)
		return true;
	return need_event(le16_load(split_used_event(avail, ring->num)), new_idx, old);
}

void split_write_used(struct ring *ring, uint32_t n)
{
	struct split_used *used = ring->device;
	uint16_t old = ring->used_pos;
	uint16_t new_idx = (uint16_t)(old + n);

	for (uint32_t i = 0; i < n; i++) {
		struct ring_pending *p = &ring->pending[(ring->flush_seq + i) & ring->pending_mask];
		struct split_used_elem *elem = &used->ring[(uint16_t)(old + i) & ring->mask];

		le32_store(&elem->id, p->id);
		le32_store(&elem->len, p->len);
		p->done = false;
	}
	le16_store_release(&used->idx, new_idx); /* R2; pairs with the driver's look at it */
	ring->used_pos = new_idx;
	ring->flush_seq += n;
	if (unlikely(ring->logging))
		split_mark_used(ring, old, n);
}

bool split_publish(struct ring *ring, uint32_t n)
{
	uint16_t old = ring->used_pos;
	bool wants;

	split_write_used(ring, n);
	access_full_fence(); /* R3 */
	wants = split_wants_interrupt(ring, ring->used_pos, old);
	ring->notify_once = false;
	return wants;
}

static void split_set_used_flags(struct ring *ring, uint16_t flags)
{
	struct split_used *used = ring->device;

	le16_store(&used->flags, flags);
	ring_mark_device(ring, 0, sizeof(le16));
}

static void split_set_avail_event(struct ring *ring, uint16_t idx)
{
	struct split_used *used = ring->device;
	le16 *event = split_avail_event(used, ring->num);

	le16_store(event, idx);
	ring->kick_event = idx;
	ring_mark_device(ring, (uint64_t)((char *)event - (char *)used), sizeof(le16));
}

void split_kick_disable(struct ring *ring)
{
	const struct split_avail *avail = ring->driver;

	/* An event that the driver has passed is the farthest away: most often there is one. */
	if (!ring->event_idx)
		split_set_used_flags(ring, SPLIT_F_NO_NOTIFY);
	else if (!ring->kicks_told || le16_load(&avail->idx) == ring->kick_event)
		split_set_avail_event(ring, (uint16_t)(ring->avail_pos - 1));
}

void split_kick_enable(struct ring *ring)
{
	if (ring->event_idx) {
		split_set_avail_event(ring, ring->avail_pos);
	} else if (ring->kicks_off) {
		split_set_used_flags(ring, 0);
	}
}

void split_unpop(struct ring *ring, unsigned int nr_chains, unsigned int nr_desc)
{
	(void)nr_desc;
	ring->avail_pos = (uint16_t)(ring->avail_pos - nr_chains);
}

/* What was popped and not published was not done: there is one position, the used one. */
static void split_set_position(struct ring *ring, struct ring_state state)
{
	ring->avail_pos = state.last_avail;
	ring->used_pos = state.last_avail;
}

struct ring_state split_position(const struct ring *ring)
{
	return (struct ring_state){ring->avail_pos, ring->used_pos};
}

static struct ring_state split_resume_position(const struct ring *ring)
{
	return (struct ring_state){ring->used_pos, ring->used_pos};
}

const struct ring_reader ring_split_reader = {
	.pop = split_pop,
	.has_avail = split_has_avail,
	.peek = split_peek,
	.pop_run = split_pop_run,
	.unpop = split_unpop,
	.publish = split_publish,
	.kick_disable = split_kick_disable,
	.kick_enable = split_kick_enable,
	.pop_unmapped = ring_pop_waits,
	.publish_unmapped = ring_publish_waits,
	.set_position = split_set_position,
	.position = split_position,
	.resume_position = split_resume_position,
};
