// SPDX-License-Identifier: BSD-3-Clause
/*
 * A small world for the ring tests: one block of heap memory behind an address space, and lanes,
 * each a device ring and its driver over a part of it. Lane memory, by offset: areas, indirect
 * tables, buffers. The sanitizer's red zones stand around the whole block. One thread unless a test
 * says so.
 */
#ifndef HOLDFAST_TESTS_RING_SUPPORT_H
#define HOLDFAST_TESTS_RING_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "iotlb/iotlb.h"
#include "ring/driver.h"
#include "ring/layout.h"
#include "ring/ring.h"

#define WORLD_IOVA   0x40000000000ULL /* iova of the first byte */
#define LANE_LEN     0x400000u        /* bytes of one lane */
#define LANE_DESC    0x0u
#define LANE_DRIVER  0x80000u
#define LANE_DEVICE  0xa0000u
#define LANE_TABLES  0x100000u
#define LANE_BUFFERS 0x200000u
#define LANE_BUF_LEN 0x200000u

struct world {
	char *mem; /* len bytes */
	size_t len;
	uint8_t *dirty;  /* one a byte: marked by the hook */
	size_t nr_dirty; /* bytes marked */
	struct memory_space *space;
	struct memory_region *region;
	struct iotlb *tlb;
};

struct lane {
	struct world *world;
	uint32_t base; /* offset of the lane in the block */
	struct ring *ring;
	struct ring_driver *drv;
	struct ring_config config;
	unsigned int nr_broken;
	const char *reason;
};

struct lane_opts {
	uint16_t num;
	bool packed, event_idx, in_order, indirect, holes, faults_break;
	bool strict;    /* read by ring/strict.h's reader */
	uint16_t start; /* as ring_driver_config's start_avail */
	bool no_dirty;
};

/* Maps the whole block, readable and writable, in one entry. */
void world_init(struct world *w, unsigned int nr_lanes);
void world_fini(struct world *w);
/* Map or unmap bytes of the block at their usual place. */
void world_map(struct world *w, uint32_t off, uint32_t len, uint8_t perm);
void world_unmap(struct world *w, uint32_t off, uint32_t len);
void world_dirty_clear(struct world *w);
/* Is all of [off, off+len) marked? Takes the marks away, so that world_dirty_none() tells the
 * rest. */
bool world_dirty_take(struct world *w, uint32_t off, uint32_t len);
bool world_dirty_none(const struct world *w);

void lane_init(struct lane *l, struct world *w, unsigned int index, const struct lane_opts *opts);
void lane_fini(struct lane *l);
void lane_restart(struct lane *l, struct ring_state state);
struct ring_state lane_start_state(const struct lane_opts *opts);

static inline iova_t lane_iova(const struct lane *l, uint32_t off)
{
	return WORLD_IOVA + l->base + off;
}

static inline char *lane_host(const struct lane *l, uint32_t off)
{
	return l->world->mem + l->base + off;
}

/* One buffer of @len bytes at @off in the lane's buffers. */
static inline struct ring_driver_seg lane_seg(const struct lane *l, uint32_t off, uint32_t len)
{
	return (struct ring_driver_seg){lane_iova(l, LANE_BUFFERS + off), len};
}

/* Raw writes, for what a driver would not do. */
void raw_split_desc(const struct lane *l, uint32_t i, iova_t addr, uint32_t len, uint16_t flags,
		    uint16_t next);
void raw_table_desc(const struct lane *l, uint32_t i, iova_t addr, uint32_t len, uint16_t flags,
		    uint16_t next);
void raw_split_avail(const struct lane *l, uint16_t pos, uint16_t head);
void raw_split_avail_idx(const struct lane *l, uint16_t idx);
void raw_packed_desc(const struct lane *l, uint32_t i, iova_t addr, uint32_t len, uint16_t id,
		     uint16_t flags);

/* Add and publish one chain with a readable and a writable buffer of @len bytes; it must work. */
void lane_offer(struct lane *l, uint32_t slot, uint32_t len);
/* Pop one chain, push it with @written and flush. Return: ring_flush()'s. */
bool lane_serve(struct lane *l, uint32_t written);
/* A lane that works: offer, serve, get. */
void lane_roundtrip(struct lane *l);

/* splitmix64 */
uint64_t random_next(uint64_t *state);
static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)(random_next(state) % n);
}
/* The run's seed: HOLDFAST_TEST_SEED or the clock; printed. */
uint64_t random_seed(void);

#endif
