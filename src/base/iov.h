// SPDX-License-Identifier: BSD-3-Clause
/*
 * Walking over the pieces of an iovec: skip some bytes, then visit the parts of the next ones in
 * order. The parts are given as places, not as addresses, so a piece may be a hole (iov_base NULL)
 * or stand for something else.
 * Thread rule: a walk is one thread's; the pieces must not change under it.
 */
#ifndef HOLDFAST_BASE_IOV_H
#define HOLDFAST_BASE_IOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/** struct iov_walk - where a walk stands; the part of the last iov_walk_next() is idx, off and
 * len */
struct iov_walk {
	const struct iovec *iov; /* [nr] */
	uint32_t nr, next;       /* the piece to look at next */
	uint64_t skip, left;     /* bytes: before the first part; still to visit */
	uint32_t idx;            /* the piece that the part lies in */
	size_t off, len;         /* the part: bytes of iov[idx]; len > 0 */
};

/** iov_walk_from() - the walk over at most @len bytes behind the first @off ones */
static inline struct iov_walk iov_walk_from(const struct iovec *iov, uint32_t nr, uint64_t off,
					    uint64_t len)
{
	return (struct iov_walk){.iov = iov, .nr = nr, .skip = off, .left = len};
}

/** iov_walk_next() - the next part. Return: false when all bytes were visited, or the pieces have
 * no more */
static inline bool iov_walk_next(struct iov_walk *w)
{
	while (w->left > 0 && w->next < w->nr) {
		uint64_t len = w->iov[w->next].iov_len;

		w->idx = w->next++;
		if (w->skip >= len) {
			w->skip -= len;
			continue;
		}
		w->off = (size_t)w->skip;
		w->len = (size_t)(len - w->skip < w->left ? len - w->skip : w->left);
		w->skip = 0;
		w->left -= w->len;
		return true;
	}
	return false;
}

/** iov_walk_base() - where the part begins; not for a hole */
static inline void *iov_walk_base(const struct iov_walk *w)
{
	return (char *)w->iov[w->idx].iov_base + w->off;
}

/** Copy @len bytes between the pieces, behind their first @off bytes, and plain memory, which may
 * overlap. Return: bytes; fewer if the pieces end. Out of line: the data path copies its usual
 * frame itself, and calls these for the others. */
size_t iov_read(const struct iovec *iov, uint32_t nr, size_t off, void *dst, size_t len);
size_t iov_write(const struct iovec *iov, uint32_t nr, size_t off, const void *src, size_t len);

#endif
