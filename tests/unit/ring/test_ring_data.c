// SPDX-License-Identifier: BSD-3-Clause
/*
 * Data through a ring, in each layout: positions that wrap, indirect tables, order, unpop, what is
 * mapped and what is not, the dirty hook, and a stop and start at any point.
 */
#include "../between.h"
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory/memory.h"

#define NUM 8u

struct fixture {
	struct world w;
	struct lane l;
	struct lane_opts opts;
};

static void setup(struct fixture *f, const void *prestate)
{
	f->opts = *(const struct lane_opts *)prestate;
	world_init(&f->w, 1);
	lane_init(&f->l, &f->w, 0, &f->opts);
}

static void teardown(struct fixture *f)
{
	lane_fini(&f->l);
	world_fini(&f->w);
}

/* Contents arrive whole both ways, over every position of the ring and past index 65535. */
static void ring_transfer_past_every_wrap_keeps_contents(void **state)
{
	struct fixture f;
	struct lane_opts opts = *(struct lane_opts *)*state;
	uint32_t len, n = 2000;
	struct ring_chain chain;
	int err;

	if (!opts.packed)
		opts.start = 0xfc00;
	setup(&f, &opts);
	for (uint32_t i = 1; i <= n; i++) {
		struct ring_driver_seg segs[3] = {lane_seg(&f.l, 0, 5), lane_seg(&f.l, 64, 8),
						  lane_seg(&f.l, 128, 4)};
		unsigned int nr_out = 1 + i % 2;
		uint32_t got = 0;

		memcpy(lane_host(&f.l, LANE_BUFFERS), &i, sizeof(i));
		assert_int_equal(ring_driver_add(f.l.drv, segs, nr_out, 3 - nr_out, &f, NULL, 0),
				 0);
		ring_driver_publish(f.l.drv);
		assert_int_equal(ring_pop(f.l.ring, &chain), 1);
		assert_int_equal(chain.nr_out, nr_out);
		assert_int_equal(ring_chain_read(&chain, 0, &got, sizeof(got)), 4);
		assert_int_equal(got, i);
		got = ~i;
		assert_int_equal(ring_chain_write(&chain, 0, &got, 4), 4);
		ring_push(f.l.ring, &chain, 4);
		ring_flush(f.l.ring);
		assert_ptr_equal(ring_driver_get(f.l.drv, &len, &err), &f);
		assert_int_equal(len, 4);
		memcpy(&got, lane_host(&f.l, nr_out == 1 ? LANE_BUFFERS + 64 : LANE_BUFFERS + 128),
		       4);
		assert_int_equal(got, ~i);
	}
	teardown(&f);
}

/* The driver writes no descriptor that is right already: whatever differs must be written. */
static void ring_transfer_one_buffer_in_every_way_is_seen_as_it_is(void **state)
{
	struct ring_chain chain;
	struct fixture f;
	uint32_t len;

	setup(&f, *state);
	for (unsigned int i = 0; i < 64; i++) {
		unsigned int way = i ^ i >> 1; /* one thing changes at a time */
		unsigned int nr = way & 4 ? 2 : 1, nr_out = way & 8 ? nr : 0;
		uint32_t at = way & 1 ? 512 : 0;
		struct ring_driver_seg segs[2] = {lane_seg(&f.l, at, way & 2 ? 64 : 65),
						  lane_seg(&f.l, 1024, 8)};

		assert_int_equal(ring_driver_add(f.l.drv, segs, nr_out, nr - nr_out, &f, NULL, 0),
				 0);
		ring_driver_publish(f.l.drv);
		assert_int_equal(ring_pop(f.l.ring, &chain), 1);
		assert_int_equal(chain.nr_out, nr_out);
		assert_int_equal(chain.nr_in, nr - nr_out);
		assert_int_equal(chain.out_len + chain.in_len, segs[0].len + (nr == 2 ? 8 : 0));
		assert_ptr_equal((nr_out ? chain.out : chain.in)->iov_base,
				 lane_host(&f.l, LANE_BUFFERS + at));
		ring_push(f.l.ring, &chain, 0);
		ring_flush(f.l.ring);
		assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), &f);
	}
	teardown(&f);
}

static void ring_transfer_full_batches_from_any_start_works(void **state)
{
	struct fixture f;
	const struct lane_opts *opts = *state;

	for (uint32_t start = 0; start < 2 * NUM; start++) {
		struct lane_opts from = *opts;
		struct ring_chain chains[NUM];
		uint32_t len;

		from.start = opts->packed ? (uint16_t)(start % NUM | (start < NUM ? 0x8000 : 0))
					  : (uint16_t)(0xfff8 + start);
		setup(&f, &from);
		for (unsigned int round = 0; round < 5; round++) {
			for (unsigned int i = 0; i < NUM; i++) {
				struct ring_driver_seg seg = lane_seg(&f.l, i * 64, 64);

				assert_int_equal(ring_driver_add(f.l.drv, &seg, 1, 0,
								 lane_host(&f.l, i), NULL, 0),
						 0);
			}
			struct ring_driver_seg more = lane_seg(&f.l, 0, 64);

			assert_int_equal(ring_driver_add(f.l.drv, &more, 1, 0, &f, NULL, 0),
					 -ENOSPC);
			assert_int_equal(ring_pop(f.l.ring, &chains[0]), 0);
			ring_driver_publish(f.l.drv);
			for (unsigned int i = 0; i < NUM; i++) {
				assert_int_equal(ring_pop(f.l.ring, &chains[i]), 1);
				assert_ptr_equal(chains[i].out[0].iov_base,
						 lane_host(&f.l, LANE_BUFFERS + i * 64));
			}
			assert_int_equal(ring_pop(f.l.ring, &chains[0]), 0);
			for (unsigned int i = 0; i < NUM; i++)
				ring_push(f.l.ring, &chains[i], 0);
			assert_null(ring_driver_get(f.l.drv, &len, NULL));
			ring_flush(f.l.ring);
			for (unsigned int i = 0; i < NUM; i++)
				assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL),
						 lane_host(&f.l, i));
			assert_null(ring_driver_get(f.l.drv, &len, NULL));
		}
		teardown(&f);
	}
}

static void ring_push_in_any_order_completes_the_right_chains(void **state)
{
	static const unsigned int order[4] = {2, 0, 3, 1};
	struct ring_chain chains[4];
	struct fixture f;
	uint32_t len;

	setup(&f, *state);
	for (uint32_t i = 0; i < 4; i++)
		lane_offer(&f.l, i, 100);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(ring_pop(f.l.ring, &chains[i]), 1);
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int k = order[i];

		ring_push(f.l.ring, &chains[k], 10 + k);
		ring_flush(f.l.ring);
	}
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int k = order[i];

		assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), lane_host(&f.l, k));
		assert_int_equal(len, 10 + k);
	}
	teardown(&f);
}

static void ring_flush_in_order_waits_for_older_chains(void **state)
{
	struct ring_chain chains[3];
	struct lane_opts opts = *(struct lane_opts *)*state;
	struct fixture f;
	uint32_t len;

	opts.in_order = true;
	setup(&f, &opts);
	for (uint32_t i = 0; i < 3; i++) {
		lane_offer(&f.l, i, 64);
		assert_int_equal(ring_pop(f.l.ring, &chains[i]), 1);
	}
	ring_push(f.l.ring, &chains[2], 3);
	ring_push(f.l.ring, &chains[1], 2);
	assert_false(ring_flush(f.l.ring));
	assert_null(ring_driver_get(f.l.drv, &len, NULL));
	ring_push(f.l.ring, &chains[0], 1);
	ring_flush(f.l.ring);
	for (uint32_t i = 0; i < 3; i++) {
		assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), lane_host(&f.l, i));
		assert_int_equal(len, i + 1);
	}
	teardown(&f);
}

static void ring_pop_indirect_table_gives_its_buffers(void **state)
{
	struct ring_driver_seg segs[40];
	struct ring_chain chain;
	struct fixture f;
	uint32_t len;

	setup(&f, *state);
	for (uint32_t i = 0; i < 40; i++)
		segs[i] = lane_seg(&f.l, i * 32, i + 1);
	/* A table that is not 16-byte aligned is fine. */
	assert_int_equal(ring_driver_add(f.l.drv, segs, 25, 15, &f,
					 lane_host(&f.l, LANE_TABLES + 8),
					 lane_iova(&f.l, LANE_TABLES + 8)),
			 0);
	assert_int_equal(ring_driver_nr_free(f.l.drv), NUM - 1);
	ring_driver_publish(f.l.drv);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_int_equal(chain.nr_out, 25);
	assert_int_equal(chain.nr_in, 15);
	assert_int_equal(chain.out_len, 25 * 26 / 2);
	assert_int_equal(chain.in_len, 40 * 41 / 2 - 25 * 26 / 2);
	for (uint32_t i = 0; i < 40; i++) {
		const struct iovec *piece = i < 25 ? &chain.out[i] : &chain.in[i - 25];

		assert_ptr_equal(piece->iov_base, lane_host(&f.l, LANE_BUFFERS + i * 32));
		assert_int_equal(piece->iov_len, i + 1);
	}
	ring_push(f.l.ring, &chain, 7);
	ring_flush(f.l.ring);
	assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), &f);
	assert_int_equal(len, 7);
	assert_int_equal(ring_driver_nr_free(f.l.drv), NUM);
	teardown(&f);
}

/* A table whose host memory is in two places, cut inside a descriptor. */
static void ring_pop_indirect_table_in_two_pieces_is_read_whole(void **state)
{
	struct ring_driver_seg segs[4];
	struct ring_chain chain;
	struct fixture f;
	uint32_t cut = 16 + 6;
	char *table;

	setup(&f, *state);
	for (uint32_t i = 0; i < 4; i++)
		segs[i] = lane_seg(&f.l, i * 32, i + 1);
	table = lane_host(&f.l, LANE_TABLES);
	assert_int_equal(
		ring_driver_add(f.l.drv, segs, 2, 2, &f, table, lane_iova(&f.l, LANE_TABLES)), 0);
	ring_driver_publish(f.l.drv);
	world_unmap(&f.w, 0, 1);
	world_map(&f.w, 0, LANE_TABLES + cut, IOTLB_RW);
	memmove(table + 4096, table + cut, 64 - cut);
	memset(table + cut, 0xff, 64 - cut);
	assert_int_equal(iotlb_map(f.w.tlb, lane_iova(&f.l, LANE_TABLES) + cut,
				   lane_iova(&f.l, LANE_TABLES) + 63, f.w.region,
				   LANE_TABLES + 4096, IOTLB_R),
			 0);
	world_map(&f.w, LANE_BUFFERS, LANE_BUF_LEN, IOTLB_RW);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_false(chain.fault);
	assert_int_equal(chain.nr_out, 2);
	assert_int_equal(chain.nr_in, 2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(chain.out[i].iov_len, i + 1);
		assert_int_equal(chain.in[i].iov_len, i + 3);
	}
	teardown(&f);
}

static void ring_unpop_newest_chains_are_popped_again(void **state)
{
	struct ring_chain chains[4], again;
	struct fixture f;
	uint32_t len;

	setup(&f, *state);
	/* Twice round the ring, so that every position is unpopped across the wrap. */
	for (unsigned int round = 0; round < 2 * NUM + 1; round++) {
		for (uint32_t i = 0; i < 4; i++) {
			lane_offer(&f.l, i, 64 + i);
			assert_int_equal(ring_pop(f.l.ring, &chains[i]), 1);
		}
		ring_unpop(f.l.ring, &chains[1], 3);
		for (uint32_t i = 1; i < 4; i++) {
			assert_int_equal(ring_pop(f.l.ring, &again), 1);
			assert_int_equal(again.id, chains[i].id);
			assert_int_equal(again.out_len, 64 + i);
			chains[i] = again;
		}
		assert_int_equal(ring_pop(f.l.ring, &again), 0);
		for (uint32_t i = 0; i < 4; i++)
			ring_push(f.l.ring, &chains[i], 1);
		ring_flush(f.l.ring);
		for (uint32_t i = 0; i < 4; i++)
			assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), lane_host(&f.l, i));
		/* Moves the next round's positions by one slot. */
		struct ring_driver_seg seg = lane_seg(&f.l, 0, 1);

		assert_int_equal(ring_driver_add(f.l.drv, &seg, 1, 0, &f, NULL, 0), 0);
		ring_driver_publish(f.l.drv);
		lane_serve(&f.l, 0);
		assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), &f);
	}
	teardown(&f);
}

/* Peeking consumes nothing, and says no wherever a pop gives none. */
static void ring_peek_tells_whether_a_pop_gives_a_chain(void **state)
{
	struct ring_chain chain;
	struct fixture f;
	uint32_t len;

	setup(&f, *state);
	for (unsigned int round = 0; round < 2 * NUM + 1; round++) {
		assert_false(ring_peek(f.l.ring));
		lane_offer(&f.l, 0, 64);
		lane_offer(&f.l, 1, 65);
		for (uint32_t i = 0; i < 2; i++) {
			assert_true(ring_peek(f.l.ring));
			assert_true(ring_peek(f.l.ring));
			assert_int_equal(ring_pop(f.l.ring, &chain), 1);
			assert_int_equal(chain.out_len, 64 + i);
			ring_push(f.l.ring, &chain, 0);
		}
		assert_false(ring_peek(f.l.ring));
		ring_flush(f.l.ring);
		assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), lane_host(&f.l, 0));
		assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), lane_host(&f.l, 1));
	}
	lane_offer(&f.l, 0, 64);
	world_unmap(&f.w, 0, (uint32_t)f.w.len);
	assert_false(ring_peek(f.l.ring));
	world_map(&f.w, 0, (uint32_t)f.w.len, IOTLB_RW);
	assert_true(ring_peek(f.l.ring));
	ring_break(f.l.ring, "test");
	assert_false(ring_peek(f.l.ring));
	teardown(&f);
}

static void ring_pop_empty_buffers_are_accepted(void **state)
{
	struct ring_driver_seg segs[4];
	struct ring_chain chain;
	struct fixture f;

	setup(&f, *state);
	segs[0] = (struct ring_driver_seg){0, 0}; /* not mapped, and nobody needs it */
	segs[1] = lane_seg(&f.l, 0, 9);
	segs[2] = (struct ring_driver_seg){UINT64_MAX, 0};
	segs[3] = lane_seg(&f.l, 64, 0);
	assert_int_equal(ring_driver_add(f.l.drv, segs, 2, 2, &f, NULL, 0), 0);
	assert_int_equal(ring_driver_add(f.l.drv, segs, 1, 0, &f, NULL, 0), 0);
	ring_driver_publish(f.l.drv);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_false(chain.fault);
	assert_int_equal(chain.nr_out, 1);
	assert_int_equal(chain.nr_in, 0);
	assert_int_equal(chain.out_len, 9);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_int_equal(chain.nr_out + chain.nr_in, 0);
	teardown(&f);
}

static void ring_pop_buffer_over_entries_becomes_pieces(void **state)
{
	struct ring_driver_seg segs[2];
	struct ring_chain chain;
	struct fixture f;
	uint32_t buf = LANE_BUFFERS;
	char in[100], out[300];

	setup(&f, *state);
	world_unmap(&f.w, 0, 1);
	world_map(&f.w, 0, buf + 100, IOTLB_RW);
	/* [100, 200) is elsewhere; [200, 300) touches nothing before it; the rest touches that. */
	assert_int_equal(iotlb_map(f.w.tlb, lane_iova(&f.l, buf + 100), lane_iova(&f.l, buf + 199),
				   f.w.region, buf + 9000, IOTLB_RW),
			 0);
	world_map(&f.w, buf + 200, 100, IOTLB_RW);
	world_map(&f.w, buf + 300, 1000, IOTLB_RW);
	segs[0] = lane_seg(&f.l, 50, 300);
	segs[1] = lane_seg(&f.l, 150, 100);
	for (uint32_t i = 0; i < sizeof(out); i++)
		*lane_host(&f.l, (50 + i >= 100 && 50 + i < 200 ? buf + 9000 - 100 : buf) + 50 +
					 i) = (char)i;
	assert_int_equal(ring_driver_add(f.l.drv, segs, 1, 1, &f, NULL, 0), 0);
	ring_driver_publish(f.l.drv);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_int_equal(chain.nr_out, 3);
	assert_int_equal(chain.out_len, 300);
	assert_int_equal(chain.out[2].iov_len, 150);
	assert_int_equal(chain.nr_in, 2);
	assert_int_equal(chain.in_iova[0], lane_iova(&f.l, buf + 150));
	assert_int_equal(chain.in_iova[1], lane_iova(&f.l, buf + 200));
	assert_int_equal(ring_chain_read(&chain, 0, out, 1000), 300);
	for (uint32_t i = 0; i < sizeof(out); i++)
		assert_int_equal(out[i], (char)i);
	assert_int_equal(ring_chain_read(&chain, 299, out, 2), 1);
	assert_int_equal(out[0], (char)299);
	memset(in, 0x5a, sizeof(in));
	assert_int_equal(ring_chain_write(&chain, 0, in, sizeof(in)), sizeof(in));
	assert_memory_equal(lane_host(&f.l, buf + 9050), in, 50);
	assert_memory_equal(lane_host(&f.l, buf + 200), in, 50);
	world_dirty_clear(&f.w);
	ring_push(f.l.ring, &chain, 60);
	assert_true(world_dirty_take(&f.w, buf + 150, 60));
	assert_true(world_dirty_none(&f.w));
	teardown(&f);
}

static void expect_fault(struct fixture *f, unsigned int nr_out, struct ring_driver_seg *segs)
{
	struct ring_chain chain;
	uint32_t len;

	assert_int_equal(ring_driver_add(f->l.drv, segs, nr_out, 2 - nr_out, f, NULL, 0), 0);
	ring_driver_publish(f->l.drv);
	assert_int_equal(ring_pop(f->l.ring, &chain), 1);
	assert_true(chain.fault);
	assert_int_equal(chain.nr_out, 0);
	assert_int_equal(chain.nr_in, 0);
	assert_int_equal(chain.in_len, 0);
	ring_push(f->l.ring, &chain, 0);
	ring_flush(f->l.ring);
	assert_ptr_equal(ring_driver_get(f->l.drv, &len, NULL), f);
	assert_int_equal(len, 0);
	lane_roundtrip(&f->l);
}

/* A batch ends after RING_WALK_MAX: a buffer in many entries costs as much as many buffers.
 * @apart: bytes between their places */
static void pop_buffer_in_entries(const struct lane_opts *opts, uint32_t apart)
{
	enum { NR = 100, PLACE = 16 };
	struct ring_driver_seg seg;
	struct ring_chain chain;
	struct fixture f;
	uint32_t walked;

	setup(&f, opts);
	world_unmap(&f.w, 0, 1);
	world_map(&f.w, 0, LANE_BUFFERS, IOTLB_RW);
	for (uint32_t i = 0; i < NR; i++)
		assert_int_equal(iotlb_map(f.w.tlb, lane_iova(&f.l, LANE_BUFFERS + i * PLACE),
					   lane_iova(&f.l, LANE_BUFFERS + (i + 1) * PLACE - 1),
					   f.w.region, LANE_BUFFERS + i * (PLACE + apart),
					   IOTLB_RW),
				 0);
	seg = lane_seg(&f.l, 0, NR * PLACE);
	assert_int_equal(ring_driver_add(f.l.drv, &seg, 0, 1, &f, NULL, 0), 0);
	ring_driver_publish(f.l.drv);
	walked = ring_walked(f.l.ring);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_int_equal(chain.nr_in, apart ? NR : 1);
	assert_between(ring_walked(f.l.ring) - walked, NR, 2 * NR);
	ring_unpop(f.l.ring, &chain, 1);
	teardown(&f);
}

static void ring_pop_buffer_in_many_entries_counts_as_many(void **state)
{
	pop_buffer_in_entries(*state, 8);
	pop_buffer_in_entries(*state, 0);
}

static void ring_pop_buffer_unmapped_or_not_permitted_faults(void **state)
{
	uint32_t ro = LANE_BUFFERS + 0x100000, wo = ro + 4096, none = wo + 4096;
	struct ring_driver_seg segs[2];
	struct fixture f;

	setup(&f, *state);
	world_unmap(&f.w, 0, 1);
	world_map(&f.w, 0, ro, IOTLB_RW);
	world_map(&f.w, ro, 4096, IOTLB_R);
	world_map(&f.w, wo, 4096, IOTLB_W);
	world_map(&f.w, none, 4096, IOTLB_NONE);
	const struct {
		uint32_t off, len;
		unsigned int
			/* the second of two buffers is the bad one: 2 readable, 1 writable */
			nr_out;
	} bad[] = {
		{wo, 10, 2},         {ro, 10, 1},         {none, 10, 2},
		{none, 1, 1},        {ro - 1, 2, 1},      {wo - 5, 6, 2},
		{none + 4096, 1, 2}, {none + 4095, 2, 1}, {LANE_LEN - 1, 1, 2},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		segs[0] = lane_seg(&f.l, 0, 8);
		segs[1] = (struct ring_driver_seg){lane_iova(&f.l, bad[i].off), bad[i].len};
		expect_fault(&f, bad[i].nr_out, segs);
	}
	segs[1] = (struct ring_driver_seg){UINT64_MAX - 3, 8}; /* wraps */
	expect_fault(&f, 1, segs);
	teardown(&f);
}

/* With holes every buffer is there, in its place and with its length, mapped or not: here each
 * third is not, and there are more of them than the smallest scratch block takes. */
static void ring_pop_holes_keep_the_mapped_buffers(void **state)
{
	struct lane_opts opts = *(const struct lane_opts *)*state;
	struct ring_driver_seg segs[30];
	struct ring_chain chain;
	struct fixture f;
	uint32_t len;

	opts.holes = true;
	setup(&f, &opts);
	for (unsigned int i = 0; i < 30; i++) {
		segs[i] = lane_seg(&f.l, 64 * i, 10 + i);
		if (i % 3 == 1)
			segs[i].iova = 0x1000 + i;
	}
	assert_int_equal(ring_driver_add(f.l.drv, segs, 12, 18, &f, lane_host(&f.l, LANE_TABLES),
					 lane_iova(&f.l, LANE_TABLES)),
			 0);
	ring_driver_publish(f.l.drv);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_true(chain.fault);
	assert_int_equal(chain.nr_out, 12);
	assert_int_equal(chain.nr_in, 18);
	for (unsigned int i = 0; i < 30; i++) {
		const struct iovec *piece = i < 12 ? &chain.out[i] : &chain.in[i - 12];

		assert_int_equal(piece->iov_len, 10 + i);
		if (i % 3 == 1)
			assert_null(piece->iov_base);
		else
			assert_ptr_equal(piece->iov_base, lane_host(&f.l, LANE_BUFFERS + 64 * i));
	}
	assert_int_equal(chain.out_len, 12 * 10 + 66);
	assert_int_equal(chain.in_len, 18 * 10 + 435 - 66);
	ring_push(f.l.ring, &chain, 1);
	ring_flush(f.l.ring);
	assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), &f);
	assert_int_equal(len, 1);
	assert_int_equal(ring_driver_add(f.l.drv, segs, 1, 0, &f, lane_host(&f.l, LANE_TABLES), 16),
			 0);
	ring_driver_publish(f.l.drv);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1); /* what is in the table cannot be told */
	assert_true(chain.fault);
	assert_int_equal(chain.nr_out, 0);
	ring_push(f.l.ring, &chain, 0);
	ring_flush(f.l.ring);
	assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), &f);
	lane_roundtrip(&f.l);
	teardown(&f);
}

static void ring_pop_indirect_table_unmapped_faults(void **state)
{
	struct ring_driver_seg seg;
	struct ring_chain chain;
	struct fixture f;
	uint32_t len;

	setup(&f, *state);
	seg = lane_seg(&f.l, 0, 8);
	assert_int_equal(ring_driver_add(f.l.drv, &seg, 1, 0, &f, lane_host(&f.l, LANE_TABLES), 16),
			 0);
	ring_driver_publish(f.l.drv);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_true(chain.fault);
	ring_push(f.l.ring, &chain, 0);
	ring_flush(f.l.ring);
	assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), &f);
	lane_roundtrip(&f.l);
	teardown(&f);
}

/* A device that checks keys does not complete what it may not touch. */
static void ring_pop_faults_break_breaks_at_a_buffer_or_table_unmapped(void **state)
{
	struct lane_opts opts = *(const struct lane_opts *)*state;
	struct ring_driver_seg seg;
	struct ring_chain chain;
	struct fixture f;

	opts.faults_break = true;
	for (int table = 0; table < 2; table++) {
		setup(&f, &opts);
		seg = lane_seg(&f.l, 0, 8);
		if (!table)
			seg.iova = 0x1000;
		assert_int_equal(ring_driver_add(f.l.drv, &seg, 1, 0, &f,
						 table ? lane_host(&f.l, LANE_TABLES) : NULL, 16),
				 0);
		ring_driver_publish(f.l.drv);
		assert_int_equal(ring_pop(f.l.ring, &chain), -EPROTO);
		assert_int_equal(f.l.nr_broken, 1);
		teardown(&f);
	}
}

/* [7-8]: nothing is consumed while an area is not mapped, not wholly mapped or not writable. */
static void ring_pop_area_unmapped_stalls_until_mapped(void **state)
{
	static const struct {
		uint32_t hole, len;
		uint8_t perm;
	} holes[] = {
		{LANE_DESC, 16 * NUM, IOTLB_NONE}, {LANE_DRIVER, 4, IOTLB_NONE},
		{LANE_DEVICE, 4, IOTLB_NONE},      {LANE_DESC + 16 * NUM - 1, 1, IOTLB_NONE},
		{LANE_DEVICE + 3, 1, IOTLB_NONE},  {LANE_DEVICE, 4096, IOTLB_R},
		{LANE_DRIVER, 4096, IOTLB_W},      {LANE_DRIVER + 3, 1, IOTLB_NONE},
	};
	struct ring_chain chain;
	struct fixture f;

	setup(&f, *state);
	for (size_t i = 0; i < ARRAY_LEN(holes); i++) {
		uint32_t end = holes[i].hole + holes[i].len;

		lane_offer(&f.l, 1, 64);
		world_unmap(&f.w, 0, LANE_LEN);
		assert_int_equal(ring_pop(f.l.ring, &chain), -EFAULT);
		assert_false(ring_kick_enable(f.l.ring));
		world_map(&f.w, end, LANE_LEN - end, IOTLB_RW);
		if (holes[i].hole)
			world_map(&f.w, 0, holes[i].hole, IOTLB_RW);
		world_map(&f.w, holes[i].hole, holes[i].len, holes[i].perm);
		assert_int_equal(ring_pop(f.l.ring, &chain), -EFAULT);
		assert_int_equal(ring_pop(f.l.ring, &chain), -EFAULT);
		world_unmap(&f.w, 0, LANE_LEN);
		world_map(&f.w, 0, LANE_LEN, IOTLB_RW);
		lane_serve(&f.l, 5);
		assert_ptr_equal(ring_driver_get(f.l.drv, &(uint32_t){0}, NULL),
				 lane_host(&f.l, 1));
		assert_null(f.l.reason);
	}
	teardown(&f);
}

/* The split table is only read; packed descriptors are written back. */
static void ring_pop_descriptors_read_only_stalls_packed_alone(void **state)
{
	struct ring_chain chain;
	struct fixture f;

	setup(&f, *state);
	lane_offer(&f.l, 1, 64);
	world_unmap(&f.w, 0, LANE_LEN);
	world_map(&f.w, LANE_DESC, 4096, IOTLB_R);
	world_map(&f.w, 4096, LANE_LEN - 4096, IOTLB_RW);
	assert_int_equal(ring_pop(f.l.ring, &chain), f.opts.packed ? -EFAULT : 1);
	teardown(&f);
}

static void ring_pop_area_in_two_places_or_unaligned_stalls(void **state)
{
	struct ring_chain chain;
	struct fixture f;

	setup(&f, *state);
	lane_offer(&f.l, 1, 64);
	world_unmap(&f.w, 0, LANE_LEN);
	world_map(&f.w, 0, 64, IOTLB_RW);
	assert_int_equal(iotlb_map(f.w.tlb, WORLD_IOVA + 64, WORLD_IOVA + LANE_LEN - 1, f.w.region,
				   0, IOTLB_RW),
			 0);
	assert_int_equal(ring_pop(f.l.ring, &chain), -EFAULT);
	world_unmap(&f.w, 0, LANE_LEN);
	assert_int_equal(
		iotlb_map(f.w.tlb, WORLD_IOVA, WORLD_IOVA + LANE_LEN - 2, f.w.region, 1, IOTLB_RW),
		0);
	assert_int_equal(ring_pop(f.l.ring, &chain), -EFAULT);
	world_unmap(&f.w, 0, LANE_LEN);
	world_map(&f.w, 0, 4096, IOTLB_RW); /* several entries that touch are one piece */
	world_map(&f.w, 4096, LANE_DEVICE, IOTLB_RW);
	world_map(&f.w, LANE_DEVICE + 4096, LANE_LEN - LANE_DEVICE - 4096, IOTLB_RW);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	teardown(&f);
}

static void ring_flush_area_unmapped_keeps_elements(void **state)
{
	struct ring_chain chain;
	struct fixture f;
	uint32_t len;

	setup(&f, *state);
	lane_offer(&f.l, 1, 64);
	lane_offer(&f.l, 2, 64);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	world_unmap(&f.w, 0, LANE_LEN);
	ring_push(f.l.ring, &chain, 5);
	assert_false(ring_flush(f.l.ring));
	assert_null(ring_driver_get(f.l.drv, &len, NULL));
	world_map(&f.w, 0, LANE_LEN, IOTLB_RW);
	assert_true(ring_flush(f.l.ring));
	assert_false(ring_flush(f.l.ring));
	assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), lane_host(&f.l, 1));
	assert_int_equal(len, 5);
	assert_null(ring_driver_get(f.l.drv, &len, NULL));
	teardown(&f);
}

/* Areas and tables in one address space, buffers in another. */
static void ring_pop_two_address_spaces_are_kept_apart(void **state)
{
	struct iotlb *bufs;
	struct ring_chain chain;
	struct fixture f;

	setup(&f, *state);
	assert_int_equal(iotlb_create(16, &bufs), 0);
	assert_int_equal(iotlb_map(bufs, lane_iova(&f.l, LANE_BUFFERS),
				   lane_iova(&f.l, LANE_LEN - 1), f.w.region, LANE_BUFFERS,
				   IOTLB_RW),
			 0);
	world_unmap(&f.w, 0, LANE_LEN);
	world_map(&f.w, 0, LANE_BUFFERS, IOTLB_RW);
	lane_offer(&f.l, 1, 64);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_true(chain.fault);
	ring_unpop(f.l.ring, &chain, 1);
	ring_set_tlbs(f.l.ring, f.w.tlb, bufs);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_false(chain.fault);
	ring_unpop(f.l.ring, &chain, 1);
	ring_set_tlbs(f.l.ring, bufs, bufs);
	assert_int_equal(ring_pop(f.l.ring, &chain), -EFAULT);
	teardown(&f);
	iotlb_destroy(bufs);
}

/* After a remap the same iova is other memory, at once. */
static void ring_pop_buffer_remapped_uses_the_new_memory(void **state)
{
	struct ring_chain chain;
	struct fixture f;

	setup(&f, *state);
	lane_roundtrip(&f.l);
	world_unmap(&f.w, 0, LANE_LEN);
	world_map(&f.w, 0, LANE_BUFFERS, IOTLB_RW);
	assert_int_equal(iotlb_map(f.w.tlb, lane_iova(&f.l, LANE_BUFFERS),
				   lane_iova(&f.l, LANE_BUFFERS + 0xfffff), f.w.region,
				   LANE_BUFFERS + 0x100000, IOTLB_RW),
			 0);
	iotlb_synchronize(f.w.tlb);
	lane_offer(&f.l, 0, 64);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_ptr_equal(chain.out[0].iov_base, lane_host(&f.l, LANE_BUFFERS + 0x100000));
	assert_ptr_equal(chain.in[0].iov_base, lane_host(&f.l, LANE_BUFFERS + 0x100000 + 2048));
	teardown(&f);
}

static void take_split_used(struct fixture *f, uint32_t slot, uint32_t n)
{
	assert_true(world_dirty_take(&f->w, LANE_DEVICE + 4 + slot * 8, n * 8));
	assert_true(world_dirty_take(&f->w, LANE_DEVICE + 2, 2));
}

/* The hook covers what was written, byte for byte. */
static void ring_dirty_covers_exactly_what_was_written(void **state)
{
	struct ring_chain chains[5];
	struct fixture f;

	setup(&f, *state);
	if (f.opts.packed)
		f.opts.start = 0x8000 | (NUM - 2);
	else
		f.opts.start = NUM - 2;
	lane_fini(&f.l);
	lane_init(&f.l, &f.w, 0, &f.opts);
	for (uint32_t i = 0; i < 4; i++)
		lane_offer(&f.l, i, 64);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(ring_pop(f.l.ring, &chains[i]), 1);
	assert_true(world_dirty_none(&f.w));
	ring_push(f.l.ring, &chains[0], 0);
	assert_true(world_dirty_none(&f.w));
	for (uint32_t i = 1; i < 4; i++) {
		ring_push(f.l.ring, &chains[i], i);
		assert_true(world_dirty_take(&f.w, LANE_BUFFERS + i * 4096 + 2048, i));
		assert_true(world_dirty_none(&f.w));
	}
	ring_flush(f.l.ring);
	if (f.opts.packed) {
		/* Chains of two from slot 6 on: 6, 0, 2, 4; a used element is all but the
		 * address. */
		for (uint32_t i = 0; i < 4; i++)
			assert_true(
				world_dirty_take(&f.w, LANE_DESC + (6 + 2 * i) % NUM * 16 + 8, 8));
	} else {
		take_split_used(&f, 6, 2);
		assert_true(world_dirty_take(&f.w, LANE_DEVICE + 4, 16));
	}
	assert_true(world_dirty_none(&f.w));
	ring_kick_enable(f.l.ring);
	if (f.opts.packed)
		assert_true(world_dirty_take(&f.w, LANE_DEVICE, 4));
	else if (f.opts.event_idx)
		assert_true(world_dirty_take(&f.w, LANE_DEVICE + 4 + 8 * NUM, 2));
	else
		assert_true(world_dirty_take(&f.w, LANE_DEVICE, 2));
	assert_true(world_dirty_none(&f.w));
	teardown(&f);
}

/* Stop with chains popped and pushed but not published: they come again; the rest does not. */
static void ring_stop_at_any_point_start_goes_on(void **state)
{
	struct fixture f;
	uint32_t next_add = 0, next_done = 0, len;
	uint64_t rnd = 1;
	uint32_t slots = 3;

	setup(&f, *state);
	while (next_done < 1000) {
		struct ring_chain chain;
		struct ring_state at;
		uint32_t popped, flush_after;

		while (next_add - next_done < slots)
			lane_offer(&f.l, next_add++ % slots, 64);
		popped = random_below(&rnd, slots + 1);
		flush_after = random_below(&rnd, slots + 2);
		for (uint32_t i = 0; i < popped; i++) {
			assert_int_equal(ring_pop(f.l.ring, &chain), 1);
			assert_ptr_equal(
				chain.out[0].iov_base,
				lane_host(&f.l, LANE_BUFFERS + (next_done + i) % slots * 4096));
			ring_push(f.l.ring, &chain, 1);
			if (i == flush_after)
				ring_flush(f.l.ring);
		}
		at = ring_stop(f.l.ring);
		assert_int_equal(ring_get_state(f.l.ring).last_avail, at.last_avail);
		assert_int_equal(at.last_avail, at.last_used);
		lane_restart(&f.l, at);
		if (popped > 0)
			ring_push(f.l.ring, &chain, 1); /* of before the stop: ignored */
		assert_false(ring_flush(f.l.ring));
		for (uint32_t i = 0; i < popped && flush_after < popped && i <= flush_after; i++)
			assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL),
					 lane_host(&f.l, next_done++ % slots));
		assert_null(ring_driver_get(f.l.drv, &len, NULL));
	}
	teardown(&f);
}

static void ring_pop_scratch_exhausted_is_enobufs(void **state)
{
	struct lane_opts opts = *(struct lane_opts *)*state;
	struct ring_driver_seg segs[RING_CHAIN_IOV_MAX];
	struct ring_chain chains[80], last;
	struct fixture f;
	uint32_t n = 0;
	int rc;

	opts.num = 128;
	opts.indirect = true;
	setup(&f, &opts);
	for (uint32_t i = 0; i < RING_CHAIN_IOV_MAX; i++)
		segs[i] = lane_seg(&f.l, i, 1);
	for (uint32_t i = 0; i < 80; i++)
		assert_int_equal(ring_driver_add(f.l.drv, segs, 1000, 24, &f,
						 lane_host(&f.l, LANE_TABLES),
						 lane_iova(&f.l, LANE_TABLES)),
				 0);
	ring_driver_publish(f.l.drv);
	while ((rc = ring_pop(f.l.ring, &chains[n])) == 1) {
		assert_false(chains[n].fault);
		assert_int_equal(chains[n].nr_out, 1000);
		n++;
	}
	assert_int_equal(rc, -ENOBUFS);
	assert_true(n >= 64);
	/* All of them are intact, and a push makes room. */
	for (uint32_t i = 0; i < n; i++)
		assert_ptr_equal(chains[i].in[23].iov_base, lane_host(&f.l, LANE_BUFFERS + 1023));
	ring_push(f.l.ring, &chains[10], 0);
	assert_int_equal(ring_pop(f.l.ring, &last), 1);
	assert_int_equal(ring_pop(f.l.ring, &chains[n]), -ENOBUFS);
	teardown(&f);
}

static void ring_pop_largest_ring_all_out_works(void **state)
{
	struct lane_opts opts = *(struct lane_opts *)*state;
	struct ring_chain *chains = calloc(RING_NUM_MAX, sizeof(*chains));
	struct ring_driver_seg seg;
	struct fixture f;
	uint32_t len;

	assert_non_null(chains);
	opts.num = RING_NUM_MAX;
	opts.no_dirty = true;
	setup(&f, &opts);
	for (unsigned int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < RING_NUM_MAX; i++) {
			seg = lane_seg(&f.l, i, 1);
			assert_int_equal(ring_driver_add(f.l.drv, &seg, 1, 0, &f, NULL, 0), 0);
		}
		ring_driver_publish(f.l.drv);
		for (uint32_t i = 0; i < RING_NUM_MAX; i++)
			assert_int_equal(ring_pop(f.l.ring, &chains[i]), 1);
		for (uint32_t i = 0; i < RING_NUM_MAX; i++) {
			assert_ptr_equal(chains[i].out->iov_base,
					 lane_host(&f.l, LANE_BUFFERS + i));
			ring_push(f.l.ring, &chains[i], 0);
		}
		ring_flush(f.l.ring);
		for (uint32_t i = 0; i < RING_NUM_MAX; i++)
			assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), &f);
	}
	teardown(&f);
	free(chains);
}

#define ALL(test)                                                                                  \
	{#test " split", test, NULL, NULL, &split},                                                \
		{#test " split event", test, NULL, NULL, &split_event},                            \
		{#test " packed", test, NULL, NULL, &packed},                                      \
	{                                                                                          \
#test " packed event", test, NULL, NULL, &packed_event                             \
	}

int main(void)
{
	static struct lane_opts split = {.num = NUM, .indirect = true};
	static struct lane_opts split_event = {.num = NUM, .indirect = true, .event_idx = true};
	static struct lane_opts packed = {
		.num = NUM, .indirect = true, .packed = true, .start = 0x8000};
	static struct lane_opts packed_event = {
		.num = NUM, .indirect = true, .packed = true, .event_idx = true, .start = 0x8000};
	const struct CMUnitTest tests[] = {
		ALL(ring_transfer_past_every_wrap_keeps_contents),
		ALL(ring_transfer_one_buffer_in_every_way_is_seen_as_it_is),
		ALL(ring_transfer_full_batches_from_any_start_works),
		ALL(ring_push_in_any_order_completes_the_right_chains),
		ALL(ring_flush_in_order_waits_for_older_chains),
		ALL(ring_pop_indirect_table_gives_its_buffers),
		ALL(ring_pop_indirect_table_in_two_pieces_is_read_whole),
		ALL(ring_unpop_newest_chains_are_popped_again),
		ALL(ring_peek_tells_whether_a_pop_gives_a_chain),
		ALL(ring_pop_empty_buffers_are_accepted),
		ALL(ring_pop_buffer_over_entries_becomes_pieces),
		ALL(ring_pop_buffer_in_many_entries_counts_as_many),
		ALL(ring_pop_buffer_unmapped_or_not_permitted_faults),
		ALL(ring_pop_holes_keep_the_mapped_buffers),
		ALL(ring_pop_indirect_table_unmapped_faults),
		ALL(ring_pop_faults_break_breaks_at_a_buffer_or_table_unmapped),
		ALL(ring_pop_area_unmapped_stalls_until_mapped),
		ALL(ring_pop_descriptors_read_only_stalls_packed_alone),
		ALL(ring_pop_area_in_two_places_or_unaligned_stalls),
		ALL(ring_flush_area_unmapped_keeps_elements),
		ALL(ring_pop_two_address_spaces_are_kept_apart),
		ALL(ring_pop_buffer_remapped_uses_the_new_memory),
		ALL(ring_dirty_covers_exactly_what_was_written),
		ALL(ring_stop_at_any_point_start_goes_on),
		ALL(ring_pop_scratch_exhausted_is_enobufs),
		ALL(ring_pop_largest_ring_all_out_works),
	};

	return cmocka_run_group_tests_name("ring data", tests, NULL, NULL);
}
