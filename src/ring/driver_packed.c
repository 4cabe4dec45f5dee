// SPDX-License-Identifier: BSD-3-Clause
/*
 * The packed layout, driver side. A batch becomes visible by the flags of its first head, which are
 * held back until publish. Ids come from a private free list; slots are taken in ring order.
 */
#include "ring/driver_layout.h"

static struct packed_desc *packed_at(const struct ring_driver *drv, uint16_t pos)
{
	return (struct packed_desc *)(void *)(drv->desc + (size_t)pos * DESC_SIZE);
}

void driver_packed_reset(struct ring_driver *drv, uint16_t start)
{
	drv->avail_pos = start & PACKED_POS;
	drv->used_pos = drv->avail_pos;
	drv->published = drv->avail_pos;
	drv->avail_wrap = start & PACKED_WRAP;
	drv->used_wrap = drv->avail_wrap;
	drv->published_wrap = drv->avail_wrap;
	/* Zeroed flags must not read as available where the ring starts in the other lap. */
	for (unsigned int i = 0; i < drv->num; i++) {
		bool lap = i >= drv->avail_pos ? !drv->avail_wrap : drv->avail_wrap;

		le16_store(&packed_at(drv, (uint16_t)i)->flags,
			   lap ? DESC_F_AVAIL | DESC_F_USED : 0);
	}
	driver_packed_cb(drv, true);
}

static void indirect_write(const struct driver_add *add)
{
	struct packed_desc *table = add->indirect;

	for (unsigned int k = 0; k < add->nr_out + add->nr_in; k++) {
		le64_store(&table[k].addr, add->segs[k].iova);
		le32_store(&table[k].len, add->segs[k].len);
		le16_store(&table[k].id, 0);
		le16_store(&table[k].flags, k < add->nr_out ? 0 : DESC_F_WRITE);
	}
}

/* Fill the next slot. The very first one since the last publish keeps its old flags for now. */
static void slot_write(struct ring_driver *drv, const struct ring_driver_seg *seg, uint16_t id,
		       uint16_t flags)
{
	struct packed_desc *d = packed_at(drv, drv->avail_pos);

	flags = (uint16_t)(flags | (drv->avail_wrap ? DESC_F_AVAIL : DESC_F_USED));
	le64_store(&d->addr, seg->iova);
	le32_store(&d->len, seg->len);
	le16_store(&d->id, id);
	if (drv->nr_new++ == 0)
		drv->head_flags = flags;
	else
		le16_store(&d->flags, flags);
	packed_advance(&drv->avail_pos, &drv->avail_wrap, 1, drv->num);
}

void driver_packed_add(struct ring_driver *drv, const struct driver_add *add)
{
	unsigned int n = add->nr_out + add->nr_in;
	uint16_t id = drv->free_head;
	struct driver_chain *chain = &drv->chains[id];

	if (add->indirect) {
		struct ring_driver_seg table = {add->indirect_iova, n * DESC_SIZE};

		indirect_write(add);
		slot_write(drv, &table, id, DESC_F_INDIRECT);
	} else {
		for (unsigned int k = 0; k < n; k++)
			slot_write(drv, &add->segs[k], id,
				   (uint16_t)((k < add->nr_out ? 0 : DESC_F_WRITE) |
					      (k + 1 < n ? DESC_F_NEXT : 0)));
	}
	chain->cookie = add->cookie;
	chain->in_len = driver_add_in_len(add);
	chain->nr_desc = (uint16_t)driver_add_nr_desc(add);
	drv->free_head = drv->next[id];
	drv->nr_free = (uint16_t)(drv->nr_free - chain->nr_desc);
}

bool driver_packed_publish(struct ring_driver *drv)
{
	const struct packed_event *event = drv->device;
	uint16_t first = drv->published;
	bool first_wrap = drv->published_wrap;
	uint32_t word, delta = drv->nr_new;
	uint16_t flags;

	if (delta == 0)
		return false;
	le16_store_release(&packed_at(drv, first)->flags, drv->head_flags); /* the device's R1 */
	drv->published = drv->avail_pos;
	drv->published_wrap = drv->avail_wrap;
	drv->nr_new = 0;
	access_full_fence(); /* the flags before the look at the device's setting */
	word = le32_load(&event->word);
	flags = (word >> 16) & 3;
	if (flags == EVENT_F_DISABLE)
		return false;
	if (flags != EVENT_F_DESC || !drv->event_idx)
		return true;
	return packed_need_event((uint16_t)word, first, first_wrap, delta, drv->num);
}

int driver_packed_next(struct ring_driver *drv, uint32_t *id, uint32_t *len)
{
	struct packed_desc *d = packed_at(drv, drv->used_pos);
	uint16_t flags;

	if (drv->nr_free == drv->num)
		return 0; /* nothing is out: a slot of the last lap may look used */
	flags = le16_load_acquire(&d->flags); /* pairs with the device's R2 */
	if (!packed_is_used(flags, drv->used_wrap))
		return 0;
	*id = le16_load(&d->id);
	*len = flags & DESC_F_WRITE ? le32_load(&d->len) : 0;
	return 1;
}

void driver_packed_prefetch(const struct ring_driver *drv, unsigned int ahead)
{
	uint16_t pos = drv->used_pos;
	bool wrap = drv->used_wrap;
	const struct packed_desc *d;

	if (ahead >= drv->num)
		return;
	packed_advance(&pos, &wrap, ahead, drv->num);
	d = packed_at(drv, pos);
	if (packed_is_used(le16_load(&d->flags), wrap))
		driver_prefetch(drv, le16_load(&d->id), (const char *)d);
}

void driver_packed_release(struct ring_driver *drv, uint16_t id)
{
	struct driver_chain *chain = &drv->chains[id];

	drv->next[id] = drv->free_head;
	drv->free_head = id;
	drv->nr_free = (uint16_t)(drv->nr_free + chain->nr_desc);
	packed_advance(&drv->used_pos, &drv->used_wrap, chain->nr_desc, drv->num);
}

void driver_packed_cb(struct ring_driver *drv, bool on)
{
	struct packed_event *event = drv->driver;
	uint32_t word = (uint32_t)EVENT_F_DISABLE << 16;

	if (on && drv->event_idx)
		word = (uint32_t)EVENT_F_DESC << 16 | packed_state(drv->used_pos, drv->used_wrap);
	else if (on)
		word = (uint32_t)EVENT_F_ENABLE << 16;
	le32_store(&event->word, word);
}
