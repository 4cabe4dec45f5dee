// SPDX-License-Identifier: BSD-3-Clause
/* Inside the driver side of the ring; private to src/ring. */
#ifndef HOLDFAST_RING_DRIVER_LAYOUT_H
#define HOLDFAST_RING_DRIVER_LAYOUT_H

#include <errno.h>

#include "ring/driver.h"
#include "ring/layout.h"

/* What the driver knows about one id, kept where the device cannot write. */
struct driver_chain {
	void *cookie;     /* NULL: not made available */
	uint64_t in_len;  /* bytes the device may write */
	uint16_t nr_desc; /* ring slots */
	uint16_t last;    /* split: last descriptor of the chain */
};

struct ring_driver {
	uint16_t num;
	bool packed, event_idx, in_order;
	bool cb_off;
	char *desc;   /* [num] of 16 bytes */
	void *driver; /* struct split_avail or packed_event */
	void *device; /* struct split_used or packed_event */

	uint16_t nr_free;            /* descriptors */
	uint16_t free_head;          /* list through @next: split descriptors, packed ids */
	uint16_t *next;              /* [num] */
	struct driver_chain *chains; /* [num] by head (split) or id (packed) */
	uint16_t *order;     /* [order_mask + 1] in_order: ids in the order made available */
	uint32_t order_mask; /* slots of @order - 1, a power of two of at least num */
	uint32_t order_add, order_get; /* free-running */
	uint32_t batch;     /* in_order: chains of the current used element still to hand out */
	uint32_t batch_len; /* bytes of the last of them */

	uint16_t avail_pos; /* split: index not yet published, packed: slot */
	uint16_t used_pos;  /* next used element */
	uint16_t used_seen; /* split: the device's index when last looked at */
	uint16_t mask;      /* split: num - 1 */
	uint16_t
		/* split: index last published, packed: slot of the first unpublished head */
		published;
	bool avail_wrap, used_wrap, published_wrap; /* packed */
	uint32_t nr_new;     /* packed: slots filled since the last publish */
	uint16_t head_flags; /* packed: flags of that first head, held back until publish */
};

/* A segment list as it will be written, whatever the layout. */
struct driver_add {
	const struct ring_driver_seg *segs;
	unsigned int nr_out, nr_in;
	void *indirect;
	iova_t indirect_iova;
	void *cookie;
};

/* What a chain that is completed makes the driver touch: where its cookie points, and the
 * descriptor that is filled next. */
static inline void driver_prefetch(const struct ring_driver *drv, uint32_t id, const char *desc)
{
	prefetch_write(desc);
	if (id < drv->num && drv->chains[id].cookie)
		prefetch_write(drv->chains[id].cookie);
}

static inline unsigned int driver_add_nr_desc(const struct driver_add *add)
{
	return add->indirect ? 1 : add->nr_out + add->nr_in;
}

static inline uint64_t driver_add_in_len(const struct driver_add *add)
{
	uint64_t len = 0;

	for (unsigned int i = 0; i < add->nr_in; i++)
		len += add->segs[add->nr_out + i].len;
	return len;
}

void driver_split_reset(struct ring_driver *drv, uint16_t start);
void driver_split_add(struct ring_driver *drv, const struct driver_add *add);
bool driver_split_publish(struct ring_driver *drv);
/* *_next() - the next used element. Return: 1 with @id and @len; 0 none; -EPROTO. Does not
 * consume. */
int driver_split_next(struct ring_driver *drv, uint32_t *id, uint32_t *len);
/* *_prefetch() - as ring_driver_prefetch() */
void driver_split_prefetch(const struct ring_driver *drv, unsigned int ahead);
void driver_split_release(struct ring_driver *drv, uint16_t id);
void driver_split_cb(struct ring_driver *drv, bool on);

void driver_packed_reset(struct ring_driver *drv, uint16_t start);
void driver_packed_add(struct ring_driver *drv, const struct driver_add *add);
bool driver_packed_publish(struct ring_driver *drv);
int driver_packed_next(struct ring_driver *drv, uint32_t *id, uint32_t *len);
void driver_packed_prefetch(const struct ring_driver *drv, unsigned int ahead);
void driver_packed_release(struct ring_driver *drv, uint16_t id);
void driver_packed_cb(struct ring_driver *drv, bool on);

#endif
