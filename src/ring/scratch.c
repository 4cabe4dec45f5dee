// SPDX-License-Identifier: BSD-3-Clause
/*
 * Three sizes: 8 pieces for packets, 128 for what a block driver sends (seg_max is 126 or less in
 * practice), 1024 for the rest. There are `num` small blocks, as many as chains can be out, so
 * that only long chains can ever find nothing free.
 */
#include "ring/scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring/ring.h"

static const struct {
	uint16_t pieces, max_blocks;
} classes[SCRATCH_CLASSES] = {
	{8, RING_NUM_MAX},
	{128, 256},
	{RING_CHAIN_IOV_MAX, 64},
};

static int class_init(struct scratch_class *c, unsigned int class, uint16_t num)
{
	c->pieces = classes[class].pieces;
	c->nr = num < classes[class].max_blocks ? num : classes[class].max_blocks;
	c->blocks = calloc((size_t)c->nr * c->pieces, sizeof(struct iovec) + sizeof(iova_t));
	c->free = calloc(c->nr, sizeof(*c->free));
	return c->blocks && c->free ? 0 : -ENOMEM;
}

static void class_free_all(struct scratch_class *c)
{
	for (unsigned int i = 0; i < c->nr; i++)
		c->free[i] = (uint16_t)(c->nr - 1 - i);
	c->nr_free = c->nr;
}

int scratch_init(struct scratch *s, uint16_t num)
{
	if (s->num != num) {
		scratch_fini(s);
		for (unsigned int i = 0; i < SCRATCH_CLASSES; i++) {
			if (class_init(&s->class[i], i, num)) {
				scratch_fini(s);
				return -ENOMEM;
			}
		}
		s->num = num;
	}
	for (unsigned int i = 0; i < SCRATCH_CLASSES; i++)
		class_free_all(&s->class[i]);
	return 0;
}

void scratch_fini(struct scratch *s)
{
	for (unsigned int i = 0; i < SCRATCH_CLASSES; i++) {
		free(s->class[i].blocks);
		free(s->class[i].free);
	}
	memset(s, 0, sizeof(*s));
}

int scratch_grow(struct scratch *s, struct scratch_block *b, uint32_t nr)
{
	uint32_t class = b->handle >> 16;
	struct scratch_block bigger;

	if (class + 1 == SCRATCH_CLASSES)
		return -E2BIG;
	while (++class < SCRATCH_CLASSES) {
		struct scratch_class *c = &s->class[class];

		if (c->nr_free == 0)
			continue;
		scratch_block_at(c, class, c->free[--c->nr_free], &bigger);
		memcpy(bigger.iov, b->iov, nr * sizeof(*b->iov));
		memcpy(bigger.iova, b->iova, nr * sizeof(*b->iova));
		scratch_give(s, b->handle);
		*b = bigger;
		return 0;
	}
	return -ENOBUFS;
}
