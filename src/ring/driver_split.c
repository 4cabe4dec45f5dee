// SPDX-License-Identifier: BSD-3-Clause
/*
 * The split layout, driver side. The free list and the chains' ends are private, so that a device
 * which scribbles over the descriptor table gains nothing.
 */
#include "ring/driver_layout.h"

static struct split_desc *desc_at(char *table, uint32_t i)
{
	return (struct split_desc *)(void *)(table + (size_t)i * DESC_SIZE);
}

static void desc_write(struct split_desc *d, const struct ring_driver_seg *seg, uint16_t flags,
		       uint16_t next)
{
	le64_store(&d->addr, seg->iova);
	le32_store(&d->len, seg->len);
	le16_store(&d->flags, flags);
	le16_store(&d->next, next);
}

/* A descriptor that is right already stays as it is, and its line with both sides. */
static void desc_renew(struct split_desc *d, const struct ring_driver_seg *seg, uint16_t flags,
		       uint16_t next)
{
	if (le64_load(&d->addr) != seg->iova || le32_load(&d->len) != seg->len ||
	    le16_load(&d->flags) != flags || le16_load(&d->next) != next)
		desc_write(d, seg, flags, next);
}

void driver_split_reset(struct ring_driver *drv, uint16_t start)
{
	struct split_avail *avail = drv->driver;
	struct split_used *used = drv->device;

	drv->avail_pos = start;
	drv->used_pos = start;
	drv->used_seen = start;
	drv->published = start;
	drv->mask = (uint16_t)(drv->num - 1);
	le16_store(&avail->idx, start);
	le16_store(&used->idx, start);
	if (drv->event_idx) {
		le16_store(split_used_event(avail, drv->num), start);
		le16_store(split_avail_event(used, drv->num), start);
	}
}

static uint16_t seg_flags(const struct driver_add *add, unsigned int i)
{
	uint16_t flags = i < add->nr_out ? 0 : DESC_F_WRITE;

	return (uint16_t)(i + 1 < add->nr_out + add->nr_in ? flags | DESC_F_NEXT : flags);
}

/* Fill free descriptors with the chain. Return: the last one. */
static uint16_t fill_direct(struct ring_driver *drv, const struct driver_add *add)
{
	uint16_t i = drv->free_head, last = i;

	for (unsigned int k = 0; k < add->nr_out + add->nr_in; k++) {
		uint16_t flags = seg_flags(add, k);

		desc_renew(desc_at(drv->desc, i), &add->segs[k], flags,
			   flags & DESC_F_NEXT ? drv->next[i] : 0);
		last = i;
		i = drv->next[i];
	}
	return last;
}

static uint16_t fill_indirect(struct ring_driver *drv, const struct driver_add *add)
{
	unsigned int n = add->nr_out + add->nr_in;
	struct ring_driver_seg table = {add->indirect_iova, n * DESC_SIZE};

	for (unsigned int k = 0; k < n; k++)
		desc_write(desc_at(add->indirect, k), &add->segs[k], seg_flags(add, k),
			   (uint16_t)(k + 1 < n ? k + 1 : 0));
	desc_renew(desc_at(drv->desc, drv->free_head), &table, DESC_F_INDIRECT, 0);
	return drv->free_head;
}

void driver_split_add(struct ring_driver *drv, const struct driver_add *add)
{
	struct split_avail *avail = drv->driver;
	uint16_t head = drv->free_head;
	struct driver_chain *chain = &drv->chains[head];

	chain->last = add->indirect ? fill_indirect(drv, add) : fill_direct(drv, add);
	chain->cookie = add->cookie;
	chain->in_len = driver_add_in_len(add);
	chain->nr_desc = (uint16_t)driver_add_nr_desc(add);
	drv->free_head = drv->next[chain->last];
	drv->nr_free = (uint16_t)(drv->nr_free - chain->nr_desc);
	le16_store(&avail->ring[drv->avail_pos & drv->mask], head);
	drv->avail_pos++;
}

bool driver_split_publish(struct ring_driver *drv)
{
	struct split_avail *avail = drv->driver;
	struct split_used *used = drv->device;
	uint16_t old = drv->published;

	if (old == drv->avail_pos)
		return false;
	le16_store_release(&avail->idx, drv->avail_pos); /* pairs with the device's R1 */
	drv->published = drv->avail_pos;
	access_full_fence(); /* the index before the look at the device's setting */
	if (drv->event_idx)
		return need_event(le16_load(split_avail_event(used, drv->num)), drv->published,
				  old);
	return !(le16_load(&used->flags) & SPLIT_F_NO_NOTIFY);
}

int driver_split_next(struct ring_driver *drv, uint32_t *id, uint32_t *len)
{
	struct split_used *used = drv->device;
	struct split_used_elem *elem = &used->ring[drv->used_pos & drv->mask];

	/* Read once for as many chains as it covers: the device writes the same line. */
	if (drv->used_seen == drv->used_pos)
		drv->used_seen = le16_load_acquire(&used->idx); /* pairs with the device's R2 */
	if (drv->used_seen == drv->used_pos)
		return 0;
	*id = le32_load(&elem->id);
	*len = le32_load(&elem->len);
	return 1;
}

void driver_split_prefetch(const struct ring_driver *drv, unsigned int ahead)
{
	const struct split_used *used = drv->device;
	uint32_t id;

	if ((uint16_t)(drv->used_seen - drv->used_pos) <= ahead)
		return;
	id = le32_load(&used->ring[(drv->used_pos + ahead) & drv->mask].id);
	driver_prefetch(drv, id, drv->desc + (size_t)(id & drv->mask) * DESC_SIZE);
}

void driver_split_release(struct ring_driver *drv, uint16_t id)
{
	struct driver_chain *chain = &drv->chains[id];

	drv->next[chain->last] = drv->free_head;
	drv->free_head = id;
	drv->nr_free = (uint16_t)(drv->nr_free + chain->nr_desc);
	drv->used_pos++;
}

void driver_split_cb(struct ring_driver *drv, bool on)
{
	struct split_avail *avail = drv->driver;

	if (drv->event_idx)
		/* Off: the event that was passed most recently is the farthest away. */
		le16_store(split_used_event(avail, drv->num),
			   (uint16_t)(on ? drv->used_pos : drv->used_pos - 1));
	else
		le16_store(&avail->flags, on ? 0 : SPLIT_F_NO_INTERRUPT);
}
