// SPDX-License-Identifier: BSD-3-Clause
/*
 * The memory that requests in flight use: blocks of one mapping, as many as may be in flight. What
 * was never used takes no memory. The block that was last used is taken first, if it is the lowest,
 * so a device with few requests stays in the processor's cache. Blocks lie a page further apart
 * than they are long, or the first pages of all would compete for the same lines of that cache.
 */
#include <errno.h>
#include <sys/mman.h>

#include "simblk_io.h"

#define STRIDE ((size_t)BOUNCE_LEN + SIMBLK_ALIGN)

int bounce_init(struct bounce *b)
{
	void *p = mmap(NULL, BOUNCE_NR * STRIDE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	b->base = p;
	b->free = UINT64_MAX;
	return 0;
}

void bounce_fini(struct bounce *b)
{
	if (b->base)
		(void)munmap(b->base, BOUNCE_NR * STRIDE);
	b->base = NULL;
}

void bounce_leave(struct bounce *b)
{
	b->base = NULL;
}

uint64_t bounce_choose(const struct bounce *b, uint64_t len)
{
	uint64_t left = b->free, blocks = 0;

	for (unsigned int n = bounce_nr_of(len); n > 0; n--) {
		if (!left)
			return 0;
		blocks |= left & -left;
		left &= left - 1;
	}
	return blocks;
}

unsigned int bounce_iov(const struct bounce *b, uint64_t blocks, uint64_t off, uint64_t len,
			struct iovec *iov)
{
	unsigned int n = 0;

	for (; blocks && len > 0; blocks &= blocks - 1) {
		char *block = b->base + (size_t)__builtin_ctzll(blocks) * STRIDE;
		uint64_t part = BOUNCE_LEN - off;

		if (off >= BOUNCE_LEN) {
			off -= BOUNCE_LEN;
			continue;
		}
		if (part > len)
			part = len;
		iov[n++] = (struct iovec){block + off, part};
		off = 0;
		len -= part;
	}
	return n;
}
