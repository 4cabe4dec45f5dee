// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs, in each layout: where a run ends, what becomes of the chain behind it and of chains that
 * are given back, and whose fault a fault is while a run is out. The model test mixes runs with
 * everything else.
 */
#include "support.h"

#include <errno.h>

#define NUM      8u
#define LEN      64u
#define UNMAPPED 0x1000u

struct fixture {
	struct world w;
	struct lane l;
};

static void setup(struct fixture *f, const void *prestate)
{
	struct lane_opts opts = *(const struct lane_opts *)prestate;

	world_init(&f->w, 1);
	lane_init(&f->l, &f->w, 0, &opts);
}

static void teardown(struct fixture *f)
{
	lane_fini(&f->l);
	world_fini(&f->w);
}

static char *buffer(struct fixture *f, uint32_t i)
{
	return lane_host(&f->l, LANE_BUFFERS + i * LEN);
}

/* Buffer @i as a chain of its own; its address is the cookie. */
static void offer(struct fixture *f, uint32_t i, bool in)
{
	struct ring_driver_seg seg = lane_seg(&f->l, i * LEN, LEN);

	assert_int_equal(ring_driver_add(f->l.drv, &seg, !in, in, buffer(f, i), NULL, 0), 0);
}

/* A run knows only what is in the ring's caches: the long way fills them. */
static void warm(struct fixture *f, bool in)
{
	struct ring_chain chain;
	uint32_t len;

	offer(f, 0, in);
	ring_driver_publish(f->l.drv);
	assert_int_equal(ring_pop(f->l.ring, &chain), 1);
	ring_push(f->l.ring, &chain, 0);
	ring_flush(f->l.ring);
	assert_ptr_equal(ring_driver_get(f->l.drv, &len, NULL), buffer(f, 0));
}

enum odd { ODD_OTHER_WAY, ODD_EMPTY, ODD_TWO_BUFFERS, ODD_TABLE, ODD_UNMAPPED, NR_ODD };

static void offer_odd(struct fixture *f, enum odd odd)
{
	struct ring_driver_seg segs[2] = {lane_seg(&f->l, 0, LEN), lane_seg(&f->l, LEN, LEN)};
	unsigned int nr_out = odd == ODD_TWO_BUFFERS ? 2 : odd != ODD_OTHER_WAY;
	bool table = odd == ODD_TABLE;

	if (odd == ODD_EMPTY)
		segs[0].len = 0;
	if (odd == ODD_UNMAPPED)
		segs[0].iova = UNMAPPED;
	assert_int_equal(ring_driver_add(f->l.drv, segs, nr_out, odd == ODD_OTHER_WAY, &f->w,
					 table ? lane_host(&f->l, LANE_TABLES) : NULL,
					 lane_iova(&f->l, LANE_TABLES)),
			 0);
}

static void expect_used(struct fixture *f, const void *cookie, uint32_t written)
{
	uint32_t len;
	int err;

	assert_ptr_equal(ring_driver_get(f->l.drv, &len, &err), cookie);
	assert_int_equal(len, written);
	assert_int_equal(err, 0);
}

/* Two plain chains, another, and a plain one. */
static void ring_run_ends_before_every_other_chain(void **state)
{
	for (enum odd odd = 0; odd < NR_ODD; odd++) {
		const struct ring_plain *run;
		struct ring_chain chain;
		struct fixture f;

		setup(&f, *state);
		warm(&f, false);
		offer(&f, 1, false);
		offer(&f, 2, false);
		offer_odd(&f, odd);
		offer(&f, 3, false);
		ring_driver_publish(f.l.drv);
		assert_int_equal(ring_pop_run(f.l.ring, RING_RUN_MAX, false, &run), 2);
		assert_ptr_equal(run[0].base, buffer(&f, 1));
		assert_ptr_equal(run[1].base, buffer(&f, 2));
		assert_int_equal(run[1].len, LEN);
		ring_push_run(f.l.ring, 2, NULL);
		assert_int_equal(ring_pop_run(f.l.ring, RING_RUN_MAX, false, &run), 0);
		assert_int_equal(ring_pop(f.l.ring, &chain), 1);
		assert_int_equal(chain.fault, odd == ODD_UNMAPPED);
		ring_push(f.l.ring, &chain, 0);
		assert_int_equal(ring_pop_run(f.l.ring, RING_RUN_MAX, false, &run), 1);
		ring_push_run(f.l.ring, 1, NULL);
		assert_int_equal(ring_pop_run(f.l.ring, RING_RUN_MAX, false, &run), 0);
		ring_flush(f.l.ring);
		expect_used(&f, buffer(&f, 1), 0);
		expect_used(&f, buffer(&f, 2), 0);
		expect_used(&f, &f.w, 0);
		expect_used(&f, buffer(&f, 3), 0);
		teardown(&f);
	}
}

/* What a driver must not do breaks the ring at the pop that follows, and not within the run. */
static void ring_run_ends_before_a_flag_that_is_unknown(void **state)
{
	const struct lane_opts *opts = *state;
	const struct ring_plain *run;
	struct ring_chain chain;
	struct fixture f;

	setup(&f, *state);
	warm(&f, false);
	if (opts->packed) {
		raw_packed_desc(&f.l, 1, lane_iova(&f.l, LANE_BUFFERS), LEN, 0,
				DESC_F_AVAIL | 1u << 5);
	} else {
		raw_split_desc(&f.l, 1, lane_iova(&f.l, LANE_BUFFERS), LEN, 1u << 5, 0);
		raw_split_avail(&f.l, 1, 1);
		raw_split_avail_idx(&f.l, 2);
	}
	assert_int_equal(ring_pop_run(f.l.ring, RING_RUN_MAX, false, &run), 0);
	assert_null(ring_broken_reason(f.l.ring));
	assert_int_equal(ring_pop(f.l.ring, &chain), -EPROTO);
	assert_string_equal(ring_broken_reason(f.l.ring), "unknown descriptor flag");
	assert_int_equal(ring_pop_run(f.l.ring, RING_RUN_MAX, false, &run), 0);
	teardown(&f);
}

/* Some of each run are completed, the rest comes again; at every position of the ring. */
static void ring_run_rest_that_is_given_back_comes_again(void **state)
{
	const struct ring_plain *run;
	struct fixture f;

	setup(&f, *state);
	warm(&f, true);
	for (unsigned int round = 0; round < 3 * NUM; round++) {
		unsigned int nr = 1 + round % NUM;
		uint32_t written[NUM];

		for (uint32_t i = 0; i < nr; i++)
			offer(&f, i, true);
		ring_driver_publish(f.l.drv);
		for (unsigned int done = 0; done < nr; done++) {
			assert_int_equal(ring_pop_run(f.l.ring, NUM, true, &run), nr - done);
			for (unsigned int i = 0; i < nr - done; i++)
				assert_ptr_equal(run[i].base, buffer(&f, done + i));
			ring_push_run(f.l.ring, 0, NULL);
			assert_false(ring_has_out(f.l.ring));
			assert_int_equal(ring_pop_run(f.l.ring, NUM, true, &run), nr - done);
			written[0] = 1 + done;
			ring_push_run(f.l.ring, 1, written);
			assert_int_equal(ring_pop_run(f.l.ring, 0, true, &run), 0);
		}
		ring_flush(f.l.ring);
		for (uint32_t i = 0; i < nr; i++)
			expect_used(&f, buffer(&f, i), 1 + i);
	}
	teardown(&f);
}

/* A run of that length parts no line of descriptors, wherever it begins. */
static void ring_run_len_ends_at_a_line(void **state)
{
	const struct lane_opts *opts = *state;
	const struct ring_plain *run;
	unsigned int pos = 0;
	struct fixture f;

	setup(&f, *state);
	for (unsigned int step = 0; step < 3 * NUM; step++) {
		uint32_t written[RING_RUN_MAX] = {0};
		unsigned int n;

		warm(&f, true);
		pos = (pos + 1) % opts->num;
		n = ring_run_len(f.l.ring);
		assert_int_equal(n, RING_RUN_MAX - pos % RING_RUN_MAX);
		if (step % 2 == 0)
			continue;
		for (uint32_t i = 0; i < n; i++)
			offer(&f, i, true);
		ring_driver_publish(f.l.drv);
		assert_int_equal(ring_pop_run(f.l.ring, n, true, &run), n);
		ring_push_run(f.l.ring, n, written);
		ring_flush(f.l.ring);
		for (uint32_t i = 0; i < n; i++)
			expect_used(&f, buffer(&f, i), 0);
		pos = (pos + n) % opts->num;
	}
	teardown(&f);
}

static void ring_run_of_a_logged_ring_is_empty(void **state)
{
	struct lane_opts opts = *(struct lane_opts *)*state;
	const struct ring_plain *run;
	struct fixture f;

	opts.no_dirty = false;
	setup(&f, &opts);
	warm(&f, true);
	offer(&f, 1, true);
	ring_driver_publish(f.l.drv);
	assert_int_equal(ring_pop_run(f.l.ring, NUM, true, &run), 0);
	teardown(&f);
}

static void ring_run_of_a_stopped_or_unmapped_ring_is_empty(void **state)
{
	const struct ring_plain *run;
	struct ring_state at;
	struct fixture f;

	setup(&f, *state);
	warm(&f, true);
	offer(&f, 0, true);
	ring_driver_publish(f.l.drv);
	world_unmap(&f.w, 0, LANE_BUFFERS);
	assert_int_equal(ring_pop_run(f.l.ring, NUM, true, &run), 0);
	world_map(&f.w, 0, LANE_BUFFERS, IOTLB_RW);
	warm(&f, true); /* the one that is there, and the new one is left */
	at = ring_stop(f.l.ring);
	assert_int_equal(ring_pop_run(f.l.ring, NUM, true, &run), 0);
	lane_restart(&f.l, at);
	teardown(&f);
}

/* A stop while a run is out, as after a fault: nothing of it is completed, all comes again. */
static void ring_run_that_is_out_at_a_stop_comes_again(void **state)
{
	const struct ring_plain *run;
	struct ring_chain chain;
	struct ring_state at;
	struct fixture f;

	setup(&f, *state);
	warm(&f, true);
	for (uint32_t i = 1; i < 4; i++)
		offer(&f, i, true);
	ring_driver_publish(f.l.drv);
	assert_int_equal(ring_pop_run(f.l.ring, NUM, true, &run), 3);
	assert_true(ring_has_out(f.l.ring));
	at = ring_stop(f.l.ring);
	lane_restart(&f.l, at);
	ring_push_run(f.l.ring, 3, NULL); /* of a run that is forgotten */
	for (uint32_t i = 1; i < 4; i++) {
		assert_int_equal(ring_pop(f.l.ring, &chain), 1);
		assert_ptr_equal(chain.in->iov_base, buffer(&f, i));
		ring_push(f.l.ring, &chain, i);
	}
	ring_flush(f.l.ring);
	for (uint32_t i = 1; i < 4; i++)
		expect_used(&f, buffer(&f, i), i);
	teardown(&f);
}

static void ring_run_fault_is_put_down_to_the_ring_whose_piece_it_is(void **state)
{
	const struct ring_plain *run;
	struct world w;
	struct lane from, to;
	uintptr_t piece;

	world_init(&w, 2);
	lane_init(&from, &w, 0, *state);
	lane_init(&to, &w, 1, *state);
	for (uint32_t i = 0; i < 2; i++) {
		struct lane *l = i ? &to : &from;
		struct ring_chain chain;

		for (uint32_t n = 0; n < 2; n++) {
			struct ring_driver_seg seg = lane_seg(l, n * LEN, LEN);

			assert_int_equal(ring_driver_add(l->drv, &seg, !i, i, l, NULL, 0), 0);
		}
		ring_driver_publish(l->drv);
		assert_int_equal(ring_pop(l->ring, &chain), 1);
		ring_push(l->ring, &chain, 0);
		assert_int_equal(ring_pop_run(l->ring, NUM, i, &run), 1);
	}
	piece = (uintptr_t)lane_host(&from, LANE_BUFFERS + LEN);
	ring_attend_runs(to.ring, from.ring);
	assert_ptr_equal(ring_at_fault(piece + 5), from.ring);
	assert_ptr_equal(ring_at_fault((uintptr_t)lane_host(&to, LANE_BUFFERS + LEN)), to.ring);
	assert_true(ring_owns(from.ring, piece));
	assert_true(ring_owns(from.ring, piece + LEN - 1));
	assert_false(ring_owns(from.ring, piece + LEN));
	assert_false(ring_owns(to.ring, piece));
	ring_push_run(from.ring, 1, NULL);
	assert_ptr_equal(ring_at_fault(piece + 5), to.ring);
	assert_true(ring_owns(from.ring, piece)); /* it was the client's */
	ring_attend(NULL);
	lane_fini(&from);
	lane_fini(&to);
	world_fini(&w);
}

#define ALL(test)                                                                                  \
	{#test " split", test, NULL, NULL, &split},                                                \
		{#test " split in order", test, NULL, NULL, &split_in_order},                      \
		{#test " packed", test, NULL, NULL, &packed},                                      \
	{                                                                                          \
#test " packed in order", test, NULL, NULL, &packed_in_order                       \
	}

int main(void)
{
	static struct lane_opts split = {.num = NUM, .indirect = true, .no_dirty = true};
	static struct lane_opts split_in_order = {
		.num = NUM, .indirect = true, .no_dirty = true, .in_order = true};
	static struct lane_opts packed = {.num = NUM + 1,
					  .indirect = true,
					  .no_dirty = true,
					  .packed = true,
					  .start = 0x8000};
	static struct lane_opts packed_in_order = {.num = NUM + 1,
						   .indirect = true,
						   .no_dirty = true,
						   .in_order = true,
						   .packed = true,
						   .start = 0x8000};
	const struct CMUnitTest tests[] = {
		ALL(ring_run_ends_before_every_other_chain),
		ALL(ring_run_ends_before_a_flag_that_is_unknown),
		ALL(ring_run_rest_that_is_given_back_comes_again),
		ALL(ring_run_len_ends_at_a_line),
		ALL(ring_run_of_a_logged_ring_is_empty),
		ALL(ring_run_of_a_stopped_or_unmapped_ring_is_empty),
		ALL(ring_run_that_is_out_at_a_stop_comes_again),
		ALL(ring_run_fault_is_put_down_to_the_ring_whose_piece_it_is),
	};

	return cmocka_run_group_tests_name("ring runs", tests, NULL, NULL);
}
