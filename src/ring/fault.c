// SPDX-License-Identifier: BSD-3-Clause
/*
 * Whose fault a fault is. A worker touches memory of a client in three places: the areas of a ring,
 * the indirect table that it reads, and the pieces of the chains that are out. All three are
 * noted in the ring before they are touched. So the handler of a fault can tell memory that a
 * client took away from a mistake of our own, and can name the ring.
 *
 * A fault at any other address is a mistake of our own, and must end the process.
 */
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

static bool is_within(uintptr_t addr, const void *base, uint64_t len)
{
	return base && addr - (uintptr_t)base < len;
}

static bool is_in_run(uintptr_t addr, const struct ring_run *run, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (is_within(addr, run->chains[i].base, run->chains[i].len))
			return true;
	return false;
}

void ring_attend_runs(struct ring *ring, struct ring *from)
{
	ring_attend_copy(ring, from, NULL, 0);
}

struct ring *ring_at_fault(uintptr_t addr)
{
	if (copy_.from && is_in_run(addr, &copy_.from->run, copy_.from->run.nr))
		return copy_.from;
	for (unsigned int i = 0; copy_.from && i < copy_.nr; i++)
		if (addr - (uintptr_t)copy_.src[i].iov_base < copy_.src[i].iov_len)
			return copy_.from;
	return ring_current_;
}

static bool is_in_pieces(uintptr_t addr, const struct iovec *iov, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (is_within(addr, iov[i].iov_base, iov[i].iov_len))
			return true;
	return false;
}

/* Pieces that a block held for an earlier chain count, too: they were the client's. */
static bool is_in_chains(uintptr_t addr, struct scratch *scratch)
{
	for (uint32_t class = 0; class < SCRATCH_CLASSES; class ++) {
		struct scratch_class *c = &scratch->class[class];

		for (uint32_t i = 0; i < c->nr; i++) {
			struct scratch_block b;

			scratch_block_at(c, class, i, &b);
			if (is_in_pieces(addr, b.iov, b.room))
				return true;
		}
	}
	return false;
}

bool ring_owns(void *arg, uintptr_t addr)
{
	struct ring *ring = arg;

	return ring->started &&
	       (is_within(addr, ring->desc, (uint64_t)DESC_SIZE * ring->num) ||
		is_within(addr, ring->driver, ring->driver_len) ||
		is_within(addr, ring->device, ring->device_len) ||
		is_in_pieces(addr, ring->table.iov,
			     ring->table.nr_iov > 0 ? (unsigned int)ring->table.nr_iov : 0) ||
		is_in_run(addr, &ring->run, RING_RUN_MAX) || is_in_chains(addr, &ring->scratch));
}
