// SPDX-License-Identifier: BSD-3-Clause
/*
 * The second reader of the split layout (ring/strict.h): each case of its header's list, and what
 * it shares with the engine at the edges. The driver's half is written by hand, since a driver
 * would not do most of it.
 */
#include "rules.h"

#include <errno.h>
#include <string.h>

#include "ring/strict.h"

struct fixture {
	struct world w;
	struct lane l;
	struct ring_chain chain;
};

/* An entry of 4 KiB each: what a case unmaps is gone whole, and nothing else is. */
static const uint32_t windows[] = {LANE_DESC,          LANE_DRIVER,  LANE_DEVICE,
				   LANE_TABLES,        LANE_BUFFERS, LANE_BUFFERS + 4096,
				   LANE_BUFFERS + 8192};

static void map_area(struct fixture *f, uint32_t off)
{
	world_map(&f->w, off, 4096, IOTLB_RW);
}

static void unmap_area(struct fixture *f, uint32_t off)
{
	world_unmap(&f->w, off, 4096);
}

static void fixture_init(struct fixture *f, const struct lane_opts *opts)
{
	struct lane_opts strict = *opts;

	strict.num = NUM;
	strict.strict = true;
	world_init(&f->w, 1);
	world_unmap(&f->w, 0, LANE_LEN);
	for (size_t i = 0; i < ARRAY_LEN(windows); i++)
		map_area(f, windows[i]);
	lane_init(&f->l, &f->w, 0, &strict);
}

static void setup(struct fixture *f)
{
	fixture_init(f, &(struct lane_opts){.indirect = true});
}

static void teardown(struct fixture *f)
{
	lane_fini(&f->l);
	world_fini(&f->w);
}

/* Descriptor @head becomes a chain of one writable buffer, at position @pos; not published. */
static void put_chain(struct fixture *f, uint16_t pos, uint16_t head)
{
	raw_split_desc(&f->l, head, buf(&f->l) + head * 128u, 64, DESC_F_WRITE, 0);
	raw_split_avail(&f->l, pos, head);
}

/* Chains 0, 1, ... at positions from 0 on, published. */
static void offer_chains(struct fixture *f, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		put_chain(f, i, i);
	raw_split_avail_idx(&f->l, n);
}

static int pop(struct fixture *f)
{
	return ring_pop(f->l.ring, &f->chain);
}

static void pop_one(struct fixture *f, uint16_t id)
{
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.id, id);
}

/* Pop chain @id and complete it. Return: ring_flush()'s */
static bool serve(struct fixture *f, uint16_t id, uint32_t len)
{
	pop_one(f, id);
	ring_strict_push(f->l.ring, &f->chain, len);
	return ring_flush(f->l.ring);
}

static struct split_used *used(const struct fixture *f)
{
	return (void *)lane_host(&f->l, LANE_DEVICE);
}

static void assert_used(const struct fixture *f, uint16_t slot, uint32_t id, uint32_t len)
{
	assert_int_equal(le32_load(&used(f)->ring[slot].id), id);
	assert_int_equal(le32_load(&used(f)->ring[slot].len), len);
}

static void assert_used_idx(const struct fixture *f, uint16_t idx)
{
	assert_int_equal(le16_load(&used(f)->idx), idx);
}

static void assert_position(const struct fixture *f, uint16_t avail, uint16_t used_pos)
{
	struct ring_state state = ring_get_state(f->l.ring);

	assert_int_equal(state.last_avail, avail);
	assert_int_equal(state.last_used, used_pos);
}

static void assert_alive(const struct fixture *f)
{
	assert_null(ring_broken_reason(f->l.ring));
	assert_int_equal(f->l.nr_broken, 0);
}

static void driver_wants_no_interrupt(struct fixture *f)
{
	struct split_avail *avail = (void *)lane_host(&f->l, LANE_DRIVER);

	le16_store(&avail->flags, SPLIT_F_NO_INTERRUPT);
}

/* ---- a driver's mistakes ---- */

static void ring_strict_pop_rule_violated_loses_chain(void **state)
{
	const struct rule *rule = *state;
	struct lane_opts opts = rule_opts(rule);
	struct fixture f;

	fixture_init(&f, &opts);
	rule->violate(&f.l);
	assert_int_equal(pop(&f), -EBADMSG);
	assert_alive(&f);
	assert_position(&f, 1, 0);
	assert_int_equal(pop(&f), 0);
	assert_false(ring_flush(f.l.ring));
	/* the next chain gets the first used element */
	put_chain(&f, 1, 0);
	raw_split_avail_idx(&f.l, 2);
	serve(&f, 0, 5);
	assert_used(&f, 0, 0, 5);
	assert_used_idx(&f, 1);
	teardown(&f);
}

static void ring_strict_pop_many_lost_leaves_memory_for_next(void **state)
{
	struct fixture f;

	setup(&f);
	for (uint16_t i = 0; i < 5 * NUM; i++) {
		raw_split_desc(&f.l, 0, buf(&f.l), 16, DESC_F_NEXT, 0); /* a loop */
		raw_split_avail(&f.l, i, 0);
		raw_split_avail_idx(&f.l, (uint16_t)(i + 1));
		assert_int_equal(pop(&f), -EBADMSG);
	}
	put_chain(&f, 5 * NUM, 3);
	raw_split_avail_idx(&f.l, 5 * NUM + 1);
	pop_one(&f, 3);
	teardown(&f);
}

static void ring_strict_pop_head_out_of_range_consumes_nothing(void **state)
{
	struct fixture f;

	setup(&f);
	raw_split_avail(&f.l, 0, NUM);
	raw_split_avail_idx(&f.l, 1);
	assert_int_equal(pop(&f), -EBADMSG);
	assert_int_equal(pop(&f), -EBADMSG);
	assert_position(&f, 0, 0);
	assert_alive(&f);
	put_chain(&f, 0, NUM - 1);
	pop_one(&f, NUM - 1);
	teardown(&f);
}

static void ring_strict_pop_index_far_ahead_hands_out(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, NUM);
	raw_split_avail_idx(&f.l, 3 * NUM);
	for (uint16_t i = 0; i < 3 * NUM; i++)
		serve(&f, i % NUM, 0);
	assert_int_equal(pop(&f), 0);
	assert_used_idx(&f, 3 * NUM);
	assert_alive(&f);
	teardown(&f);
}

static void ring_strict_pop_more_out_than_entries_waits(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, NUM);
	raw_split_avail_idx(&f.l, NUM + 1);
	for (uint16_t i = 0; i < NUM; i++)
		pop_one(&f, i);
	assert_int_equal(pop(&f), -ENOBUFS);
	assert_position(&f, NUM, 0);
	ring_strict_drop(f.l.ring, &f.chain);
	pop_one(&f, 0);
	teardown(&f);
}

/* ---- memory that is not mapped ---- */

static void ring_strict_pop_table_unmapped_loses_chain(void **state)
{
	struct fixture f;

	setup(&f);
	put_chain(&f, 1, 1);
	raw_split_desc(&f.l, 0, table(&f.l), 32, DESC_F_INDIRECT, 0);
	raw_split_avail(&f.l, 0, 0);
	raw_split_avail_idx(&f.l, 2);
	unmap_area(&f, LANE_TABLES);
	assert_int_equal(pop(&f), -EBADMSG);
	assert_alive(&f);
	pop_one(&f, 1);
	teardown(&f);
}

static void ring_strict_pop_table_unmapped_after_buffer_loses_chain(void **state)
{
	struct fixture f;

	setup(&f);
	raw_split_desc(&f.l, 0, buf(&f.l), 16, DESC_F_NEXT, 1);
	raw_split_desc(&f.l, 1, table(&f.l), 32, DESC_F_INDIRECT, 0);
	avail_one(&f.l);
	unmap_area(&f, LANE_TABLES);
	assert_int_equal(pop(&f), -EBADMSG);
	assert_position(&f, 1, 0);
	teardown(&f);
}

static void ring_strict_pop_buffer_unmapped_hands_out_hole(void **state)
{
	struct fixture f;

	fixture_init(&f, &(struct lane_opts){.holes = true});
	raw_split_desc(&f.l, 0, buf(&f.l), 16, DESC_F_NEXT, 1);
	raw_split_desc(&f.l, 1, buf(&f.l) + 4096, 32, DESC_F_NEXT, 2);
	raw_split_desc(&f.l, 2, buf(&f.l) + 8192, 48, DESC_F_WRITE, 0);
	avail_one(&f.l);
	unmap_area(&f, LANE_BUFFERS + 4096);
	pop_one(&f, 0);
	assert_true(f.chain.fault);
	assert_int_equal(f.chain.nr_out, 2);
	assert_ptr_equal(f.chain.out[0].iov_base, lane_host(&f.l, LANE_BUFFERS));
	assert_null(f.chain.out[1].iov_base);
	assert_int_equal(f.chain.out_len, 48);
	assert_int_equal(f.chain.in_len, 48);
	teardown(&f);
}

static void ring_strict_pop_descriptors_unmapped_consumes_chain(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, 2);
	unmap_area(&f, LANE_DESC);
	assert_int_equal(pop(&f), -EFAULT);
	assert_position(&f, 1, 0);
	map_area(&f, LANE_DESC);
	serve(&f, 1, 9);
	assert_used(&f, 0, 1, 9);
	assert_int_equal(pop(&f), 0);
	teardown(&f);
}

static void ring_strict_pop_descriptors_unmapped_none_available_is_none(void **state)
{
	struct fixture f;

	setup(&f);
	unmap_area(&f, LANE_DESC);
	assert_int_equal(pop(&f), 0);
	assert_position(&f, 0, 0);
	teardown(&f);
}

static void ring_strict_pop_avail_unmapped_waits(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, 1);
	unmap_area(&f, LANE_DRIVER);
	assert_int_equal(pop(&f), -EFAULT);
	assert_position(&f, 0, 0);
	map_area(&f, LANE_DRIVER);
	pop_one(&f, 0);
	teardown(&f);
}

static void ring_strict_flush_used_unmapped_loses_element_and_notifies(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, 3);
	unmap_area(&f, LANE_DEVICE);
	assert_true(serve(&f, 0, 7));
	assert_true(ring_is_flushed(f.l.ring));
	driver_wants_no_interrupt(&f);
	assert_false(serve(&f, 1, 7));
	assert_position(&f, 2, 0);
	map_area(&f, LANE_DEVICE);
	assert_false(ring_flush(f.l.ring));
	assert_used_idx(&f, 0);
	serve(&f, 2, 8);
	assert_used(&f, 0, 2, 8);
	assert_used_idx(&f, 1);
	teardown(&f);
}

/* Nothing was used, so the used event has not been passed. */
static void ring_strict_flush_used_unmapped_event_idx_does_not_notify(void **state)
{
	struct fixture f;

	fixture_init(&f, &(struct lane_opts){.event_idx = true});
	offer_chains(&f, 2);
	assert_true(serve(&f, 0, 0));
	unmap_area(&f, LANE_DEVICE);
	assert_false(serve(&f, 1, 0));
	teardown(&f);
}

static void ring_strict_flush_other_areas_unmapped_publishes(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, 2);
	pop_one(&f, 0);
	ring_strict_push(f.l.ring, &f.chain, 1);
	unmap_area(&f, LANE_DESC);
	assert_true(ring_flush(f.l.ring));
	assert_used(&f, 0, 0, 1);
	assert_used_idx(&f, 1);
	map_area(&f, LANE_DESC);
	pop_one(&f, 1);
	ring_strict_push(f.l.ring, &f.chain, 2);
	unmap_area(&f, LANE_DRIVER); /* has the driver's wish */
	assert_false(ring_flush(f.l.ring));
	assert_used(&f, 1, 1, 2);
	assert_used_idx(&f, 2);
	teardown(&f);
}

/* ---- positions ---- */

static void ring_strict_start_positions_apart_are_kept(void **state)
{
	struct ring_state apart = {.last_avail = 5, .last_used = 3}, stopped;
	struct fixture f;

	setup(&f);
	ring_stop(f.l.ring);
	lane_restart(&f.l, apart);
	assert_position(&f, 5, 3);
	put_chain(&f, 5, 2);
	raw_split_avail_idx(&f.l, 6);
	serve(&f, 2, 6);
	assert_used(&f, 3, 2, 6);
	assert_used_idx(&f, 4);
	stopped = ring_stop(f.l.ring);
	assert_int_equal(stopped.last_avail, 6);
	assert_int_equal(stopped.last_used, 4);
	teardown(&f);
}

static void ring_strict_stop_popped_chain_is_lost(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, 2);
	pop_one(&f, 0);
	lane_restart(&f.l, ring_stop(f.l.ring));
	ring_strict_push(f.l.ring, &f.chain, 1); /* of the start before */
	assert_false(ring_flush(f.l.ring));
	serve(&f, 1, 3);
	assert_used(&f, 0, 1, 3);
	teardown(&f);
}

static void ring_strict_serve_positions_pass_65536(void **state)
{
	struct fixture f;

	fixture_init(&f, &(struct lane_opts){.start = 0xfffe});
	for (uint16_t i = 0; i < NUM; i++)
		put_chain(&f, (uint16_t)(0xfffe + i), i);
	raw_split_avail_idx(&f.l, (uint16_t)(0xfffe + NUM));
	for (uint16_t i = 0; i < NUM; i++)
		serve(&f, i, 10u + i);
	assert_int_equal(pop(&f), 0);
	assert_position(&f, NUM - 2, NUM - 2);
	assert_used(&f, 6, 0, 10);
	assert_used(&f, 0, 2, 12);
	assert_used_idx(&f, NUM - 2);
	teardown(&f);
}

static void ring_strict_peek_consumes_nothing(void **state)
{
	struct fixture f;

	setup(&f);
	assert_false(ring_peek(f.l.ring));
	offer_chains(&f, 1);
	assert_true(ring_peek(f.l.ring));
	assert_true(ring_peek(f.l.ring));
	pop_one(&f, 0);
	assert_false(ring_peek(f.l.ring));
	teardown(&f);
}

static void ring_strict_unpop_gives_back(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, 2);
	pop_one(&f, 0);
	ring_unpop(f.l.ring, &f.chain, 1);
	assert_position(&f, 0, 0);
	pop_one(&f, 0);
	pop_one(&f, 1);
	teardown(&f);
}

/* ---- what the user of the ring does ---- */

static void ring_strict_drop_is_never_completed(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, 2);
	pop_one(&f, 0);
	ring_strict_drop(f.l.ring, &f.chain);
	assert_false(ring_flush(f.l.ring));
	assert_used_idx(&f, 0);
	assert_position(&f, 1, 0);
	serve(&f, 1, 4);
	assert_used(&f, 0, 1, 4);
	assert_used_idx(&f, 1);
	teardown(&f);
}

static void ring_strict_drop_many_leaves_memory_for_next(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, NUM);
	raw_split_avail_idx(&f.l, 5 * NUM);
	for (uint16_t i = 0; i < 5 * NUM; i++) {
		pop_one(&f, i % NUM);
		ring_strict_drop(f.l.ring, &f.chain);
	}
	assert_int_equal(pop(&f), 0);
	teardown(&f);
}

static void ring_strict_drop_after_restart_is_ignored(void **state)
{
	struct ring_chain old;
	struct fixture f;

	setup(&f);
	offer_chains(&f, 2);
	pop_one(&f, 0);
	old = f.chain;
	lane_restart(&f.l, ring_stop(f.l.ring));
	pop_one(&f, 1);
	ring_strict_drop(f.l.ring, &old); /* its memory is chain 1's by now */
	raw_split_avail(&f.l, 2, 0);
	raw_split_avail_idx(&f.l, 3);
	old = f.chain;
	pop_one(&f, 0);
	assert_ptr_not_equal(f.chain.in, old.in);
	teardown(&f);
}

static void ring_strict_push_longer_than_chain_is_told(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, 1);
	serve(&f, 0, (uint32_t)-EFAULT);
	assert_used(&f, 0, 0, (uint32_t)-EFAULT);
	teardown(&f);
}

static void ring_strict_push_marks_used_ring_alone(void **state)
{
	struct fixture f;

	setup(&f);
	offer_chains(&f, 1);
	serve(&f, 0, 64);
	assert_true(world_dirty_take(&f.w, LANE_DEVICE + offsetof(struct split_used, ring),
				     sizeof(struct split_used_elem)));
	assert_true(world_dirty_take(&f.w, LANE_DEVICE + offsetof(struct split_used, idx), 2));
	assert_true(world_dirty_none(&f.w));
	teardown(&f);
}

/* ---- as the engine ---- */

static void ring_strict_pop_chain_over_table_end_then_indirect_works(void **state)
{
	struct fixture f;

	setup(&f);
	raw_split_desc(&f.l, NUM - 1, buf(&f.l), 16, DESC_F_NEXT, 0);
	raw_split_desc(&f.l, 0, buf(&f.l) + 100, 0, DESC_F_NEXT, 4);
	raw_split_desc(&f.l, 4, table(&f.l), 32, DESC_F_INDIRECT, 0);
	raw_table_desc(&f.l, 0, buf(&f.l) + 200, 8, DESC_F_NEXT, 1);
	raw_table_desc(&f.l, 1, buf(&f.l) + 300, 20, DESC_F_WRITE, 0);
	raw_split_avail(&f.l, 0, NUM - 1);
	raw_split_avail_idx(&f.l, 1);
	pop_one(&f, NUM - 1);
	assert_int_equal(f.chain.out_len, 24);
	assert_int_equal(f.chain.in_len, 20);
	assert_ptr_equal(f.chain.in[0].iov_base, lane_host(&f.l, LANE_BUFFERS + 300));
	teardown(&f);
}

static void ring_strict_pop_empty_unmapped_descriptor_works(void **state)
{
	struct fixture f;

	setup(&f);
	raw_split_desc(&f.l, 0, 1, 0, DESC_F_NEXT, 1);
	raw_split_desc(&f.l, 1, buf(&f.l), 16, DESC_F_WRITE, 0);
	avail_one(&f.l);
	pop_one(&f, 0);
	assert_false(f.chain.fault);
	assert_int_equal(f.chain.out_len, 0);
	assert_int_equal(f.chain.in_len, 16);
	teardown(&f);
}

/* The rules whose answer is another one; each has a case of its own above. */
static bool is_apart(const struct rule *rule)
{
	return strcmp(rule->name, "head") == 0 || strcmp(rule->name, "head_max") == 0 ||
	       strcmp(rule->name, "idx_ahead") == 0 || strcmp(rule->name, "idx_behind") == 0;
}

static int run_rules(void)
{
	struct CMUnitTest tests[NR_RULES];
	size_t n = 0;

	for (size_t i = 0; i < NR_RULES; i++)
		if (!rules[i].packed && !is_apart(&rules[i]))
			tests[n++] = (struct CMUnitTest){
				.name = rules[i].name,
				.test_func = ring_strict_pop_rule_violated_loses_chain,
				.initial_state = (void *)(uintptr_t)&rules[i]};
	return _cmocka_run_group_tests("strict ring, rules", tests, n, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_strict_pop_many_lost_leaves_memory_for_next),
		cmocka_unit_test(ring_strict_pop_head_out_of_range_consumes_nothing),
		cmocka_unit_test(ring_strict_pop_index_far_ahead_hands_out),
		cmocka_unit_test(ring_strict_pop_more_out_than_entries_waits),
		cmocka_unit_test(ring_strict_pop_table_unmapped_loses_chain),
		cmocka_unit_test(ring_strict_pop_table_unmapped_after_buffer_loses_chain),
		cmocka_unit_test(ring_strict_pop_buffer_unmapped_hands_out_hole),
		cmocka_unit_test(ring_strict_pop_descriptors_unmapped_consumes_chain),
		cmocka_unit_test(ring_strict_pop_descriptors_unmapped_none_available_is_none),
		cmocka_unit_test(ring_strict_pop_avail_unmapped_waits),
		cmocka_unit_test(ring_strict_flush_used_unmapped_loses_element_and_notifies),
		cmocka_unit_test(ring_strict_flush_used_unmapped_event_idx_does_not_notify),
		cmocka_unit_test(ring_strict_flush_other_areas_unmapped_publishes),
		cmocka_unit_test(ring_strict_start_positions_apart_are_kept),
		cmocka_unit_test(ring_strict_stop_popped_chain_is_lost),
		cmocka_unit_test(ring_strict_serve_positions_pass_65536),
		cmocka_unit_test(ring_strict_peek_consumes_nothing),
		cmocka_unit_test(ring_strict_unpop_gives_back),
		cmocka_unit_test(ring_strict_drop_is_never_completed),
		cmocka_unit_test(ring_strict_drop_many_leaves_memory_for_next),
		cmocka_unit_test(ring_strict_drop_after_restart_is_ignored),
		cmocka_unit_test(ring_strict_push_longer_than_chain_is_told),
		cmocka_unit_test(ring_strict_push_marks_used_ring_alone),
		cmocka_unit_test(ring_strict_pop_chain_over_table_end_then_indirect_works),
		cmocka_unit_test(ring_strict_pop_empty_unmapped_descriptor_works),
	};

	return run_rules() + cmocka_run_group_tests_name("strict ring", tests, NULL, NULL);
}
