// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the two readers of the split layout share (split.c, strict.c): the walk over a chain, used
 * elements, positions and the suppression of kicks. Private to src/ring.
 */
#ifndef HOLDFAST_RING_SPLIT_H
#define HOLDFAST_RING_SPLIT_H

#include "ring/engine.h"

/* split_walk() - build the chain whose first descriptor is @d. Return: 0; -EPROTO; -ENOBUFS */
static inline int split_walk(struct build *b, struct desc *d)
{
	struct ring *ring = b->ring;
	uint32_t left = ring->num;
	int rc;

	for (;;) {
		if (unlikely(d->flags & ~(DESC_F_NEXT | DESC_F_WRITE))) {
			if (d->flags & ~(DESC_F_NEXT | DESC_F_WRITE | DESC_F_INDIRECT))
				return build_refuse(b, "unknown descriptor flag");
			return build_indirect(b, d);
		}
		rc = build_add(b, d);
		if (unlikely(rc))
			return rc;
		if (!(d->flags & DESC_F_NEXT))
			return 0;
		if (unlikely(d->next >= ring->num))
			return build_refuse(b, "descriptor index out of range");
		if (unlikely(--left == 0))
			return build_refuse(b, "chain has a loop");
		desc_copy_split(ring->desc + (size_t)d->next * DESC_SIZE, d);
	}
}

bool split_has_avail(const struct ring *ring);
void split_unpop(struct ring *ring, unsigned int nr_chains, unsigned int nr_desc);
/* split_write_used() - write @n elements and the index */
void split_write_used(struct ring *ring, uint32_t n);
bool split_publish(struct ring *ring, uint32_t n);
/* split_wants_interrupt() - does the driver want to know of the move from @old to @new_idx? */
bool split_wants_interrupt(struct ring *ring, uint16_t new_idx, uint16_t old);
void split_kick_disable(struct ring *ring);
void split_kick_enable(struct ring *ring);
struct ring_state split_position(const struct ring *ring);

#endif
