// SPDX-License-Identifier: BSD-3-Clause
/*
 * The split layout as the kernel's simulator reads it. The code that copies, checks and translates
 * descriptors is the engine's (engine.h, split.h), so a chain that this reader hands out is as safe
 * as any other. Only the answers differ: to a driver's mistake, and to memory that is not mapped.
 * The chain is lost, and the ring goes on. strict.h lists the answers.
 */
#include "ring/strict.h"

#include "base/log.h"
#include "ring/split.h"

/* The chain at the position is lost. */
static int strict_lose(struct ring *ring, const char *why)
{
	hf_dbg(ring->name, "chain dropped: %s", why);
	ring->avail_pos++;
	return -EBADMSG;
}

static int strict_build(struct ring *ring, const struct ring_view *view, uint16_t head,
			struct ring_chain *chain)
{
	struct build b;
	struct desc d;
	int rc;

	if (!build_begin(&b, ring, view))
		return -ENOBUFS;
	desc_copy_split(ring->desc + (size_t)head * DESC_SIZE, &d);
	rc = split_walk(&b, &d);
	if (rc == 0 && b.no_table)
		rc = build_refuse(&b, "indirect table is not mapped");
	if (rc) {
		build_abort(&b);
		return b.refused ? strict_lose(ring, b.refused) : rc;
	}
	ring->avail_pos++;
	build_end(&b, chain, head, 1);
	return 1;
}

static bool strict_peek(struct ring *ring)
{
	const struct split_avail *avail = ring->driver;

	if (ring->avail_seen == ring->avail_pos)
		ring->avail_seen = le16_load_acquire(&avail->idx); /* R1 */
	return ring->avail_seen != ring->avail_pos;
}

static int strict_pop(struct ring *ring, const struct ring_view *view, struct ring_chain *chain)
{
	const struct split_avail *avail = ring->driver;
	uint16_t head;

	if (!strict_peek(ring))
		return 0;
	head = le16_load(&avail->ring[ring->avail_pos & ring->mask]);
	if (head < ring->num)
		return strict_build(ring, view, head, chain);
	hf_dbg(ring->name, "chain dropped: descriptor index out of range");
	return -EBADMSG;
}

/* A chain whose descriptors cannot be read is lost. Popping does not need the used area. */
static int strict_pop_unmapped(struct ring *ring, const struct ring_view *view,
			       struct ring_chain *chain)
{
	if (!ring->driver)
		return -EFAULT;
	if (ring->desc)
		return strict_pop(ring, view, chain);
	if (!split_has_avail(ring))
		return 0;
	ring->avail_pos++;
	ring->avail_seen = ring->avail_pos;
	return -EFAULT;
}

/* Elements that cannot be written are lost, and whoever waits for them is woken to find nothing. */
static bool strict_publish_unmapped(struct ring *ring, uint32_t n)
{
	uint16_t old = ring->used_pos;

	if (ring->device) {
		split_write_used(ring, n);
	} else {
		for (uint32_t i = 0; i < n; i++)
			ring->pending[(ring->flush_seq + i) & ring->pending_mask].done = false;
		ring->flush_seq += n;
	}
	access_full_fence(); /* R3 */
	return ring->driver && split_wants_interrupt(ring, ring->used_pos, old);
}

static void strict_set_position(struct ring *ring, struct ring_state state)
{
	ring->avail_pos = state.last_avail;
	ring->used_pos = state.last_used;
}

void ring_strict_drop(struct ring *ring, const struct ring_chain *chain)
{
	if (ring_is_current(ring, chain))
		scratch_give(&ring->scratch, chain->scratch);
}

void ring_strict_push(struct ring *ring, const struct ring_chain *chain, uint32_t len)
{
	if (ring_is_current(ring, chain))
		ring_note_pushed(ring, chain, len);
}

const struct ring_reader ring_strict_reader = {
	.pop = strict_pop,
	.has_avail = split_has_avail,
	.peek = strict_peek,
	.unpop = split_unpop,
	.publish = split_publish,
	.kick_disable = split_kick_disable,
	.kick_enable = split_kick_enable,
	.pop_unmapped = strict_pop_unmapped,
	.publish_unmapped = strict_publish_unmapped,
	.set_position = strict_set_position,
	.position = split_position,
	.resume_position = split_position,
};
