// SPDX-License-Identifier: BSD-3-Clause
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ring/strict.h"

void world_init(struct world *w, unsigned int nr_lanes)
{
	memset(w, 0, sizeof(*w));
	w->len = (size_t)nr_lanes * LANE_LEN;
	w->mem = calloc(1, w->len);
	assert_non_null(w->mem);
	w->dirty = calloc(1, w->len);
	assert_non_null(w->dirty);
	assert_int_equal(memory_space_create_own(&w->space), 0);
	assert_int_equal(memory_region_create(w->space, (uaddr_t)w->mem, w->len, true, MEMORY_VA,
					      &w->region),
			 0);
	assert_int_equal(iotlb_create(IOTLB_MAX_ENTRIES_DEFAULT, &w->tlb), 0);
	world_map(w, 0, (uint32_t)w->len, IOTLB_RW);
}

void world_fini(struct world *w)
{
	iotlb_destroy(w->tlb);
	memory_region_put(w->region);
	memory_space_put(w->space);
	free(w->mem);
	free(w->dirty);
}

void world_map(struct world *w, uint32_t off, uint32_t len, uint8_t perm)
{
	assert_int_equal(iotlb_map(w->tlb, WORLD_IOVA + off, WORLD_IOVA + off + len - 1, w->region,
				   off, perm),
			 0);
	iotlb_synchronize(w->tlb);
}

void world_unmap(struct world *w, uint32_t off, uint32_t len)
{
	assert_int_equal(iotlb_unmap(w->tlb, WORLD_IOVA + off, WORLD_IOVA + off + len - 1, NULL),
			 0);
	iotlb_synchronize(w->tlb);
}

bool world_dirty_take(struct world *w, uint32_t off, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		if (!w->dirty[off + i])
			return false;
		w->dirty[off + i] = 0;
		w->nr_dirty--;
	}
	return true;
}

void world_dirty_clear(struct world *w)
{
	memset(w->dirty, 0, w->len);
	w->nr_dirty = 0;
}

bool world_dirty_none(const struct world *w)
{
	return w->nr_dirty == 0;
}

static void on_dirty(void *arg, iova_t first, uint64_t len)
{
	struct lane *l = arg;

	assert_true(first >= WORLD_IOVA && len > 0);
	assert_true(first - WORLD_IOVA + len <= l->world->len);
	for (uint64_t off = first - WORLD_IOVA; len > 0; off++, len--) {
		l->world->nr_dirty += !l->world->dirty[off];
		l->world->dirty[off] = 1;
	}
}

static void on_broken(void *arg, const char *reason)
{
	struct lane *l = arg;

	l->nr_broken++;
	l->reason = reason;
}

struct ring_state lane_start_state(const struct lane_opts *opts)
{
	return (struct ring_state){opts->start, opts->start};
}

void lane_init(struct lane *l, struct world *w, unsigned int index, const struct lane_opts *opts)
{
	struct ring_ops ops = {.dirty = opts->no_dirty ? NULL : on_dirty, .broken = on_broken};
	struct ring_driver_config dc = {.num = opts->num,
					.packed = opts->packed,
					.event_idx = opts->event_idx,
					.in_order = opts->in_order,
					.start_avail = opts->start};

	memset(l, 0, sizeof(*l));
	l->world = w;
	l->base = index * LANE_LEN;
	dc.desc = lane_host(l, LANE_DESC);
	dc.driver = lane_host(l, LANE_DRIVER);
	dc.device = lane_host(l, LANE_DEVICE);
	assert_int_equal(ring_driver_create(&dc, &l->drv), 0);
	l->config = (struct ring_config){.num = opts->num,
					 .packed = opts->packed,
					 .event_idx = opts->event_idx,
					 .in_order = opts->in_order,
					 .indirect = opts->indirect,
					 .holes = opts->holes,
					 .reader = opts->strict ? &ring_strict_reader : NULL,
					 .faults_break = opts->faults_break,
					 .desc_addr = lane_iova(l, LANE_DESC),
					 .driver_addr = lane_iova(l, LANE_DRIVER),
					 .device_addr = lane_iova(l, LANE_DEVICE)};
	assert_int_equal(ring_create("test", &ops, l, &l->ring), 0);
	ring_set_dirty(l->ring, &(struct ring_dirty){.buffers = true,
						     .desc = true,
						     .device = true,
						     .device_addr = l->config.device_addr});
	lane_restart(l, lane_start_state(opts));
}

void lane_restart(struct lane *l, struct ring_state state)
{
	assert_int_equal(ring_start(l->ring, &l->config, l->world->tlb, l->world->tlb, state), 0);
}

void lane_fini(struct lane *l)
{
	ring_destroy(l->ring);
	ring_driver_destroy(l->drv);
}

static void raw_desc(char *table, uint32_t i, iova_t addr, uint32_t len, uint16_t flags,
		     uint16_t next)
{
	struct split_desc *d = (struct split_desc *)(void *)(table + (size_t)i * DESC_SIZE);

	le64_store(&d->addr, addr);
	le32_store(&d->len, len);
	le16_store(&d->flags, flags);
	le16_store(&d->next, next);
}

void raw_split_desc(const struct lane *l, uint32_t i, iova_t addr, uint32_t len, uint16_t flags,
		    uint16_t next)
{
	raw_desc(lane_host(l, LANE_DESC), i, addr, len, flags, next);
}

void raw_table_desc(const struct lane *l, uint32_t i, iova_t addr, uint32_t len, uint16_t flags,
		    uint16_t next)
{
	raw_desc(lane_host(l, LANE_TABLES), i, addr, len, flags, next);
}

void raw_split_avail(const struct lane *l, uint16_t pos, uint16_t head)
{
	struct split_avail *avail = (void *)lane_host(l, LANE_DRIVER);

	le16_store(&avail->ring[pos % l->config.num], head);
}

void raw_split_avail_idx(const struct lane *l, uint16_t idx)
{
	struct split_avail *avail = (void *)lane_host(l, LANE_DRIVER);

	le16_store_release(&avail->idx, idx);
}

void raw_packed_desc(const struct lane *l, uint32_t i, iova_t addr, uint32_t len, uint16_t id,
		     uint16_t flags)
{
	/* The two layouts differ in the order of the last two fields alone. */
	raw_desc(lane_host(l, LANE_DESC), i, addr, len, id, flags);
}

void lane_offer(struct lane *l, uint32_t slot, uint32_t len)
{
	struct ring_driver_seg segs[2] = {lane_seg(l, slot * 4096, len),
					  lane_seg(l, slot * 4096 + 2048, len)};

	assert_int_equal(ring_driver_add(l->drv, segs, 1, 1, lane_host(l, slot), NULL, 0), 0);
	ring_driver_publish(l->drv);
}

bool lane_serve(struct lane *l, uint32_t written)
{
	struct ring_chain chain;

	assert_int_equal(ring_pop(l->ring, &chain), 1);
	ring_push(l->ring, &chain, written);
	return ring_flush(l->ring);
}

void lane_roundtrip(struct lane *l)
{
	uint32_t len;
	int err;

	lane_offer(l, 3, 100);
	lane_serve(l, 60);
	assert_ptr_equal(ring_driver_get(l->drv, &len, &err), lane_host(l, 3));
	assert_int_equal(len, 60);
	assert_null(ring_driver_get(l->drv, &len, &err));
	assert_int_equal(err, 0);
}

uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t random_seed(void)
{
	const char *env = getenv("HOLDFAST_TEST_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = env ? strtoull(env, NULL, 0)
		   : (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
	fprintf(stderr, "HOLDFAST_TEST_SEED=%" PRIu64 "\n", seed);
	return seed;
}
