// SPDX-License-Identifier: BSD-3-Clause
/*
 * The way of a chain, and kicks: what all readers of a ring share.
 *
 * A chain goes popped -> pushed -> published. Pushing is private: it notes id and length in
 * @pending. Only ring_flush() writes to the used area, so that an area that is not mapped at the
 * moment loses nothing, and the index moves once a flush. At most `num` chains are between popped
 * and published: a driver that offers more has broken the ring, which bounds all memory here by the
 * ring's size.
 */
#include "base/iov.h"
#include "base/trace.h"
#include "ring/engine.h"

/* ---- in ---- */

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
	uint32_t walked = ring->nr_walked;
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
	while (n < max && likely(ring->nr_walked - walked < RING_WALK_MAX)) {
		*err = pop_one(ring, &view, &chains[n]);
		if (*err <= 0)
			break;
		n++;
	}
	return n;
}

unsigned int ring_run_len(const struct ring *ring)
{
	return RING_RUN_MAX - ring->avail_pos % RING_RUN_MAX;
}

unsigned int ring_pop_run(struct ring *ring, unsigned int max, bool write,
			  const struct ring_plain **run)
{
	struct ring_view view;

	*run = ring->run.chains;
	/* What is logged has an IOVA, which a run does not keep. */
	if (unlikely(!ring_is_live(ring) || ring->logging || !ring->reader->pop_run) ||
	    unlikely(!ring_enter(ring, &view)))
		return 0;
	ring->run.nr =
		ring->reader->pop_run(ring, &view, max < RING_RUN_MAX ? max : RING_RUN_MAX, write);
	ring->pop_seq += ring->run.nr;
	return ring->run.nr;
}

void ring_push_run(struct ring *ring, unsigned int n, const uint32_t *written)
{
	const struct ring_plain *chains = ring->run.chains;
	unsigned int nr_out = ring->run.nr, nr_back = nr_out > n ? nr_out - n : 0;
	uint32_t seq = ring->pop_seq - ring->run.nr;
	uint32_t slot = ring->in_order ? seq : ring->push_seq;

	n = nr_out - nr_back; /* none, if the ring was stopped meanwhile */
	for (unsigned int i = 0; i < n; i++) {
		uint32_t len = written ? written[i] : 0;

		ring->pending[(slot + i) & ring->pending_mask] = (struct ring_pending){
			.id = chains[i].id,
			.seq = (uint16_t)(seq + i),
			.len = len,
			.nr_desc = 1,
			.done = true,
		};
		HF_TRACE3(ring_push, ring, chains[i].id, len);
	}
	ring->push_seq += n;
	ring->pop_seq -= nr_back;
	if (nr_back > 0)
		ring->reader->unpop(ring, nr_back, nr_back);
	ring->run.nr = 0;
}

uint32_t ring_walked(const struct ring *ring)
{
	return ring->nr_walked;
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

bool ring_is_newest(const struct ring *ring, const struct ring_chain *chain)
{
	return ring_is_current(ring, chain) && chain->seq + 1 == ring->pop_seq;
}

bool ring_has_out(const struct ring *ring)
{
	return ring->pop_seq != ring->push_seq;
}

void ring_unpop(struct ring *ring, const struct ring_chain *chains, unsigned int n)
{
	for (unsigned int i = n; i-- > 0;) {
		const struct ring_chain *chain = &chains[i];

		if (!ring_is_current(ring, chain))
			continue;
		if (unlikely(chain->seq + 1 != ring->pop_seq)) { /* not the newest that is out */
			ring_break(ring, "the device gave back a chain out of turn");
			return;
		}
		scratch_give(&ring->scratch, chain->scratch);
		ring->pop_seq--;
		ring->reader->unpop(ring, 1, chain->nr_desc);
	}
}

/* ---- out ---- */

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
	if (unlikely(!ring_is_current(ring, chain)))
		return;
	if (unlikely(written > chain->in_len)) {
		ring_break(ring, "the device completed a chain with more than it holds");
		return;
	}
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

bool ring_is_in_turn(const struct ring *ring)
{
	uint32_t nr_left = ring->pop_seq - ring->flush_seq;
	uint32_t nr_pushed = ring->push_seq - ring->flush_seq;

	if (ring->in_order)
		return true;
	for (uint32_t i = 0; i < nr_pushed; i++) {
		uint32_t slot = (ring->flush_seq + i) & ring->pending_mask;

		/* At most @num are out, so 16 bits tell an earlier chain from a later one. */
		if ((uint16_t)(ring->pending[slot].seq - ring->flush_seq) >= nr_left)
			return false;
	}
	return true;
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
