// SPDX-License-Identifier: BSD-3-Clause
/*
 * Virtqueue layouts as they lie in shared memory (virtio 1.2, 2.7 and 2.8), the private copy of a
 * descriptor, and the arithmetic of positions that both sides share. Owns nothing; any thread.
 */
#ifndef HOLDFAST_RING_LAYOUT_H
#define HOLDFAST_RING_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/types.h"
#include "ring/access.h"

#define DESC_SIZE 16u /* bytes, both layouts */

#define DESC_F_NEXT     1u
#define DESC_F_WRITE    2u
#define DESC_F_INDIRECT 4u
#define DESC_F_AVAIL    (1u << 7)  /* packed */
#define DESC_F_USED     (1u << 15) /* packed */

#define SPLIT_F_NO_NOTIFY    1u /* used->flags: the driver need not kick */
#define SPLIT_F_NO_INTERRUPT 1u /* avail->flags: the device need not interrupt */

#define EVENT_F_ENABLE  0u /* packed event suppression */
#define EVENT_F_DISABLE 1u
#define EVENT_F_DESC    2u
#define PACKED_WRAP     0x8000u /* wrap counter in a 16-bit position */
#define PACKED_POS      0x7fffu

struct split_desc {
	le64 addr;
	le32 len;
	le16 flags;
	le16 next;
};

struct split_avail {
	le16 flags;
	le16 idx;
	le16 ring[]; /* [num], then used_event */
};

struct split_used_elem {
	le32 id;
	le32 len;
};

struct split_used {
	le16 flags;
	le16 idx;
	struct split_used_elem ring[]; /* [num], then avail_event */
};

struct packed_desc {
	le64 addr;
	le32 len;
	le16 id;
	le16 flags;
};

/* Event suppression structure: le16 off_wrap, le16 flags, always accessed as one word. */
struct packed_event {
	le32 word;
};

/* A private copy of a descriptor, host byte order. @next is the packed layout's id. */
struct desc {
	iova_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* desc_copy_split() - copy a split (or indirect) descriptor once, whatever its alignment */
static inline void desc_copy_split(const char *p, struct desc *d)
{
	le64 w[2];
	uint64_t hi;

	if (likely(((uintptr_t)p & 7) == 0)) {
		d->addr = le64_load((const le64 *)(const void *)p);
		hi = le64_load((const le64 *)(const void *)(p + 8));
	} else {
		access_copy_bytes(w, p, sizeof(w));
		d->addr = le64toh(w[0].raw);
		hi = le64toh(w[1].raw);
	}
	d->len = (uint32_t)hi;
	d->flags = (uint16_t)(hi >> 32);
	d->next = (uint16_t)(hi >> 48);
}

static inline le16 *split_used_event(struct split_avail *avail, uint16_t num)
{
	return &avail->ring[num];
}

static inline le16 *split_avail_event(struct split_used *used, uint16_t num)
{
	return (le16 *)(void *)&used->ring[num];
}

/* need_event() - does going from index @old to @new_idx pass @event? 16-bit, wrapping. */
static inline bool need_event(uint16_t event, uint16_t new_idx, uint16_t old)
{
	return (uint16_t)(new_idx - event - 1) < (uint16_t)(new_idx - old);
}

/* packed_is_avail() - does @flags say "available" to a reader whose wrap counter is @wrap? */
static inline bool packed_is_avail(uint16_t flags, bool wrap)
{
	return !!(flags & DESC_F_AVAIL) == wrap && !!(flags & DESC_F_USED) != wrap;
}

static inline bool packed_is_used(uint16_t flags, bool wrap)
{
	return !!(flags & DESC_F_AVAIL) == wrap && !!(flags & DESC_F_USED) == wrap;
}

/* packed_linear() - a position on the circle of 2 * num that a wrap counter completes */
static inline uint32_t packed_linear(uint16_t pos, bool wrap, uint16_t num)
{
	return wrap ? pos : (uint32_t)pos + num;
}

/*
 * packed_need_event() - was the descriptor @off_wrap among the @delta ones from (@pos, @wrap) on?
 * An offset outside the ring means "tell me".
 */
static inline bool packed_need_event(uint16_t off_wrap, uint16_t pos, bool wrap, uint32_t delta,
				     uint16_t num)
{
	uint32_t circle = 2u * num;
	uint16_t off = off_wrap & PACKED_POS;
	uint32_t event;

	if (off >= num)
		return true;
	event = packed_linear(off, off_wrap & PACKED_WRAP, num);
	return (event + circle - packed_linear(pos, wrap, num)) % circle < delta;
}

/* packed_advance() - move a position forward by @n <= @num slots */
static inline void packed_advance(uint16_t *pos, bool *wrap, uint32_t n, uint16_t num)
{
	uint32_t next = *pos + n;

	if (next >= num) {
		next -= num;
		*wrap = !*wrap;
	}
	*pos = (uint16_t)next;
}

static inline void packed_retreat(uint16_t *pos, bool *wrap, uint32_t n, uint16_t num)
{
	if (n > *pos) {
		*pos = (uint16_t)(*pos + num - n);
		*wrap = !*wrap;
	} else {
		*pos = (uint16_t)(*pos - n);
	}
}

static inline uint16_t packed_state(uint16_t pos, bool wrap)
{
	return (uint16_t)(pos | (wrap ? PACKED_WRAP : 0));
}

#endif
