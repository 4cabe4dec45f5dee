// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory for the iovecs of the chains that are out. Blocks come in three sizes; a chain is built in
 * a small one and moves to a bigger one when it has more pieces. Blocks are freed in any order, and
 * the last one freed is taken first, so that a device which completes what it takes stays in cache.
 *
 * Owns: the blocks of one ring, bounded by its size; untouched blocks cost address space only.
 * Used by the ring alone, under its thread rule.
 */
#ifndef HOLDFAST_RING_SCRATCH_H
#define HOLDFAST_RING_SCRATCH_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/types.h"

#define SCRATCH_CLASSES 3

struct scratch_class {
	char *blocks;     /* [nr] of pieces * 24 bytes: iovecs, then their IOVAs */
	uint16_t *free;   /* stack of free block numbers */
	uint16_t nr_free; /* height of @free */
	uint16_t nr;      /* blocks */
	uint16_t pieces;  /* room of one block */
};

struct scratch {
	struct scratch_class class[SCRATCH_CLASSES];
	uint16_t num; /* ring size that it was made for */
};

/* One block in use. */
struct scratch_block {
	struct iovec *iov; /* [room] */
	iova_t *iova;      /* [room] */
	uint32_t room;
	uint32_t handle; /* class << 16 | number */
};

/** scratch_init() - (re)make @s for a ring of @num entries, everything free. Return: 0; -ENOMEM */
int scratch_init(struct scratch *s, uint16_t num) HF_MUST_CHECK;
void scratch_fini(struct scratch *s);

/** scratch_grow() - move @b, which holds @nr pieces, to a block with more room
 * Return: 0; -E2BIG there is no bigger size; -ENOBUFS all bigger blocks are in use (@b
 * unchanged). */
int scratch_grow(struct scratch *s, struct scratch_block *b, uint32_t nr) HF_COLD HF_MUST_CHECK;

static inline void scratch_block_at(struct scratch_class *c, uint32_t class, uint32_t i,
				    struct scratch_block *b)
{
	char *base = c->blocks + (size_t)i * c->pieces * (sizeof(struct iovec) + sizeof(iova_t));

	b->iov = (struct iovec *)(void *)base;
	b->iova = (iova_t *)(void *)(base + c->pieces * sizeof(struct iovec));
	b->room = c->pieces;
	b->handle = class << 16 | i;
}

/*
 * scratch_take() - the smallest block. There are as many as chains can be out, so none is missing
 * unless a fault in guest memory tore a pop off and nobody broke the ring. Return: false if there
 * is none.
 */
static inline bool scratch_take(struct scratch *s, struct scratch_block *b)
{
	struct scratch_class *c = &s->class[0];

	if (unlikely(c->nr_free == 0))
		return false;
	scratch_block_at(c, 0, c->free[--c->nr_free], b);
	return true;
}

static inline void scratch_give(struct scratch *s, uint32_t handle)
{
	struct scratch_class *c = &s->class[handle >> 16];

	assert(c->nr_free < c->nr);
	c->free[c->nr_free++] = (uint16_t)handle;
}

#endif
