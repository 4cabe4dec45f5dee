// SPDX-License-Identifier: BSD-3-Clause
/*
 * Driver side, what the layouts share. All bookkeeping is private: of what the device writes only
 * ids and lengths are believed, after a check that the id is out and the length fits. In order, one
 * used element may stand for a batch: its id names the last chain, and those before it were used
 * whole.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ring/driver_layout.h"
#include "ring/ring.h"

size_t ring_driver_area_len(enum ring_area area, uint16_t num, bool packed)
{
	if (area == RING_AREA_DESC)
		return (size_t)DESC_SIZE * num;
	if (packed)
		return sizeof(struct packed_event);
	if (area == RING_AREA_DRIVER)
		return sizeof(struct split_avail) + sizeof(le16) * ((size_t)num + 1);
	return sizeof(struct split_used) + sizeof(struct split_used_elem) * num + sizeof(le16);
}

static int config_check(const struct ring_driver_config *c)
{
	if (c->num == 0 || c->num > RING_NUM_MAX || !c->desc || !c->driver || !c->device)
		return -EINVAL;
	if (c->packed)
		return (c->start_avail & PACKED_POS) < c->num ? 0 : -EINVAL;
	return (c->num & (c->num - 1)) == 0 ? 0 : -EINVAL;
}

static int tables_create(struct ring_driver *drv, uint16_t num)
{
	uint32_t slots = 1;

	while (slots < num)
		slots *= 2;
	drv->order_mask = slots - 1;
	drv->next = calloc(num, sizeof(*drv->next));
	drv->order = calloc(slots, sizeof(*drv->order));
	drv->chains = calloc(num, sizeof(*drv->chains));
	if (!drv->next || !drv->order || !drv->chains)
		return -ENOMEM;
	for (unsigned int i = 0; i < num; i++)
		drv->next[i] = (uint16_t)(i + 1);
	return 0;
}

int ring_driver_create(const struct ring_driver_config *config, struct ring_driver **out)
{
	struct ring_driver *drv;

	if (config_check(config))
		return -EINVAL;
	drv = calloc(1, sizeof(*drv));
	if (!drv)
		return -ENOMEM;
	if (tables_create(drv, config->num)) {
		ring_driver_destroy(drv);
		return -ENOMEM;
	}
	drv->num = config->num;
	drv->packed = config->packed;
	drv->event_idx = config->event_idx;
	drv->in_order = config->in_order;
	drv->desc = config->desc;
	drv->driver = config->driver;
	drv->device = config->device;
	drv->nr_free = config->num;
	memset(drv->desc, 0, ring_driver_area_len(RING_AREA_DESC, drv->num, drv->packed));
	memset(drv->driver, 0, ring_driver_area_len(RING_AREA_DRIVER, drv->num, drv->packed));
	memset(drv->device, 0, ring_driver_area_len(RING_AREA_DEVICE, drv->num, drv->packed));
	if (drv->packed)
		driver_packed_reset(drv, config->start_avail);
	else
		driver_split_reset(drv, config->start_avail);
	*out = drv;
	return 0;
}

void ring_driver_destroy(struct ring_driver *drv)
{
	if (!drv)
		return;
	free(drv->next);
	free(drv->order);
	free(drv->chains);
	free(drv);
}

int ring_driver_add(struct ring_driver *drv, const struct ring_driver_seg *segs,
		    unsigned int nr_out, unsigned int nr_in, void *cookie, void *indirect,
		    iova_t indirect_iova)
{
	struct driver_add add = {segs, nr_out, nr_in, indirect, indirect_iova, cookie};
	unsigned int total;

	if (!cookie || __builtin_add_overflow(nr_out, nr_in, &total) || total == 0)
		return -EINVAL;
	if (indirect && total > UINT16_MAX)
		return -EINVAL;
	if (driver_add_nr_desc(&add) > drv->nr_free)
		return -ENOSPC;
	if (drv->in_order)
		drv->order[drv->order_add++ & drv->order_mask] = drv->free_head;
	if (drv->packed)
		driver_packed_add(drv, &add);
	else
		driver_split_add(drv, &add);
	return 0;
}

bool ring_driver_publish(struct ring_driver *drv)
{
	return drv->packed ? driver_packed_publish(drv) : driver_split_publish(drv);
}

/* Free @id and hand its cookie out. */
static void *chain_finish(struct ring_driver *drv, uint16_t id)
{
	void *cookie = drv->chains[id].cookie;

	drv->chains[id].cookie = NULL;
	if (drv->packed)
		driver_packed_release(drv, id);
	else
		driver_split_release(drv, id);
	if (!drv->cb_off && drv->event_idx)
		ring_driver_cb_enable(drv);
	return cookie;
}

/* How many chains a used element with @id completes; 0 if it names none that may be next. */
static uint32_t batch_size(const struct ring_driver *drv, uint16_t id)
{
	for (uint32_t i = drv->order_get; i != drv->order_add; i++)
		if (drv->order[i & drv->order_mask] == id)
			return i - drv->order_get + 1;
	return 0;
}

static void *batch_take(struct ring_driver *drv, uint32_t *len)
{
	uint16_t id = drv->order[drv->order_get++ & drv->order_mask];

	*len = --drv->batch ? (uint32_t)drv->chains[id].in_len : drv->batch_len;
	return chain_finish(drv, id);
}

void *ring_driver_get(struct ring_driver *drv, uint32_t *len, int *err)
{
	uint32_t id, written;
	int rc = 1;

	if (err)
		*err = 0;
	if (drv->batch)
		return batch_take(drv, len);
	rc = drv->packed ? driver_packed_next(drv, &id, &written)
			 : driver_split_next(drv, &id, &written);
	if (rc == 0)
		return NULL;
	if (id >= drv->num || !drv->chains[id].cookie || written > drv->chains[id].in_len)
		goto bad;
	if (drv->in_order && drv->order[drv->order_get & drv->order_mask] == id) {
		drv->order_get++;
	} else if (drv->in_order) {
		drv->batch = batch_size(drv, (uint16_t)id);
		drv->batch_len = written;
		if (drv->batch == 0)
			goto bad;
		return batch_take(drv, len);
	}
	*len = written;
	return chain_finish(drv, (uint16_t)id);
bad:
	if (err)
		*err = -EPROTO;
	return NULL;
}

void ring_driver_prefetch(const struct ring_driver *drv, unsigned int ahead)
{
	if (drv->packed)
		driver_packed_prefetch(drv, ahead);
	else
		driver_split_prefetch(drv, ahead);
}

void ring_driver_cb_disable(struct ring_driver *drv)
{
	drv->cb_off = true;
	if (drv->packed)
		driver_packed_cb(drv, false);
	else
		driver_split_cb(drv, false);
}

bool ring_driver_cb_enable(struct ring_driver *drv)
{
	uint32_t id, len;

	drv->cb_off = false;
	if (drv->packed)
		driver_packed_cb(drv, true);
	else
		driver_split_cb(drv, true);
	access_full_fence(); /* the setting before the look at what is there */
	if (drv->batch)
		return true;
	return drv->packed ? driver_packed_next(drv, &id, &len) != 0
			   : driver_split_next(drv, &id, &len) != 0;
}

uint16_t ring_driver_nr_free(const struct ring_driver *drv)
{
	return drv->nr_free;
}
