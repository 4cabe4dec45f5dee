// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every rule of docs/ring.md's table: a ring that violates it breaks with that reason, once, is
 * dead until it is started again, and the ring beside it goes on.
 */
#include "rules.h"

#include <errno.h>
#include <string.h>

/* No call on a broken ring does anything. */
static void assert_dead(struct lane *l)
{
	struct ring_chain chain;

	assert_int_equal(ring_pop(l->ring, &chain), -EPROTO);
	assert_false(ring_flush(l->ring));
	assert_false(ring_kick_enable(l->ring));
	ring_kick_disable(l->ring);
	assert_int_equal(l->nr_broken, 1);
	assert_true(world_dirty_none(l->world));
}

static void ring_pop_rule_violated_breaks(void **state)
{
	const struct rule *rule = *state;
	struct lane_opts opts = rule_opts(rule);
	struct lane bad, good;
	struct ring_chain chain;
	struct world w;

	world_init(&w, 2);
	lane_init(&bad, &w, 0, &opts);
	lane_init(&good, &w, 1, &opts);
	lane_roundtrip(&good);
	world_dirty_clear(&w);
	rule->violate(&bad);
	assert_int_equal(ring_pop(bad.ring, &chain), -EPROTO);
	assert_non_null(ring_broken_reason(bad.ring));
	assert_string_equal(ring_broken_reason(bad.ring), rule->reason);
	assert_string_equal(bad.reason, rule->reason);
	assert_ptr_equal(ring_current(), bad.ring);
	assert_dead(&bad);
	lane_roundtrip(&good);
	assert_null(ring_broken_reason(good.ring));
	/* A new start of a repaired ring works. */
	ring_stop(bad.ring);
	lane_fini(&bad);
	lane_init(&bad, &w, 0, &opts);
	lane_roundtrip(&bad);
	lane_fini(&bad);
	lane_fini(&good);
	world_fini(&w);
}

/* What comes close to the rules and is allowed. */
static void ring_pop_split_longest_chain_works(void **state)
{
	struct lane_opts opts = {.num = NUM};
	struct ring_chain chain;
	struct world w;
	struct lane l;

	world_init(&w, 1);
	lane_init(&l, &w, 0, &opts);
	for (uint32_t i = 0; i < NUM; i++)
		raw_split_desc(&l, i, buf(&l), 16, i + 1 < NUM ? DESC_F_NEXT : 0,
			       (uint16_t)(i + 1));
	avail_one(&l);
	assert_int_equal(ring_pop(l.ring, &chain), 1);
	assert_int_equal(chain.nr_out, NUM);
	assert_int_equal(chain.out_len, NUM * 16);
	lane_fini(&l);
	world_fini(&w);
}

static void ring_pop_chain_then_indirect_works(void **state)
{
	struct lane_opts opts = {.num = NUM, .indirect = true};
	struct ring_chain chain;
	struct world w;
	struct lane l;

	world_init(&w, 1);
	lane_init(&l, &w, 0, &opts);
	raw_split_desc(&l, 0, buf(&l), 16, DESC_F_NEXT, 5);
	/* WRITE means nothing on an indirect descriptor. */
	raw_split_desc(&l, 5, table(&l), 32, DESC_F_INDIRECT | DESC_F_WRITE, 99);
	raw_table_desc(&l, 0, buf(&l) + 16, 10, DESC_F_NEXT, 1);
	raw_table_desc(&l, 1, buf(&l) + 64, 20, DESC_F_WRITE, 77);
	avail_one(&l);
	assert_int_equal(ring_pop(l.ring, &chain), 1);
	assert_int_equal(chain.nr_out, 2);
	assert_int_equal(chain.nr_in, 1);
	assert_int_equal(chain.out_len, 26);
	assert_int_equal(chain.in_len, 20);
	assert_ptr_equal(chain.in[0].iov_base, lane_host(&l, LANE_BUFFERS + 64));
	lane_fini(&l);
	world_fini(&w);
}

static void ring_pop_packed_table_other_flags_ignored(void **state)
{
	struct lane_opts opts = {.num = NUM, .packed = true, .indirect = true, .start = 0x8000};
	struct ring_chain chain;
	struct world w;
	struct lane l;

	world_init(&w, 1);
	lane_init(&l, &w, 0, &opts);
	raw_table_desc(&l, 0, buf(&l), 10, 0xffff, DESC_F_NEXT | DESC_F_AVAIL);
	raw_table_desc(&l, 1, buf(&l), 20, 0xffff, DESC_F_WRITE | DESC_F_USED);
	raw_packed_desc(&l, 0, table(&l), 32, 0xabcd, DESC_F_AVAIL | DESC_F_INDIRECT);
	assert_int_equal(ring_pop(l.ring, &chain), 1);
	assert_int_equal(chain.id, 0xabcd);
	assert_int_equal(chain.nr_desc, 1);
	assert_int_equal(chain.out_len, 10);
	assert_int_equal(chain.in_len, 20);
	lane_fini(&l);
	world_fini(&w);
}

/* More chains than entries, by offering heads again that are still out. */
static void ring_pop_more_out_than_entries_breaks(void **state)
{
	struct lane_opts opts = {.num = NUM};
	struct ring_chain chain;
	struct world w;
	struct lane l;

	world_init(&w, 1);
	lane_init(&l, &w, 0, &opts);
	raw_split_desc(&l, 0, buf(&l), 16, 0, 0);
	raw_split_avail_idx(&l, NUM);
	for (unsigned int i = 0; i < NUM; i++)
		assert_int_equal(ring_pop(l.ring, &chain), 1);
	assert_int_equal(ring_pop(l.ring, &chain), 0);
	raw_split_avail_idx(&l, NUM + 1);
	assert_int_equal(ring_pop(l.ring, &chain), -EPROTO);
	assert_string_equal(l.reason, "available index is too far ahead");
	lane_fini(&l);
	world_fini(&w);
}

static void ring_start_bad_config_refused(void **state)
{
	struct lane_opts opts = {.num = NUM};
	struct ring_state zero = {0, 0}, far = {0x8000 | 6, 0x8000};
	struct ring_chain chain;
	struct world w;
	struct lane l;

	world_init(&w, 1);
	lane_init(&l, &w, 0, &opts);
	ring_stop(l.ring);
	l.config.num = 0;
	assert_int_equal(ring_start(l.ring, &l.config, w.tlb, w.tlb, zero), -EINVAL);
	l.config.num = 6;
	assert_int_equal(ring_start(l.ring, &l.config, w.tlb, w.tlb, zero), -EINVAL);
	l.config.num = RING_NUM_MAX + 1;
	assert_int_equal(ring_start(l.ring, &l.config, w.tlb, w.tlb, zero), -EINVAL);
	l.config.packed = true;
	assert_int_equal(ring_start(l.ring, &l.config, w.tlb, w.tlb, zero), -EINVAL);
	l.config.num = 6;
	assert_int_equal(ring_start(l.ring, &l.config, w.tlb, w.tlb, far), -EINVAL);
	assert_false(ring_is_started(l.ring));
	assert_int_equal(ring_pop(l.ring, &chain), 0);
	assert_int_equal(ring_start(l.ring, &l.config, w.tlb, w.tlb, zero), 0);
	lane_fini(&l);
	world_fini(&w);
}

int main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(ring_pop_split_longest_chain_works),
		cmocka_unit_test(ring_pop_chain_then_indirect_works),
		cmocka_unit_test(ring_pop_packed_table_other_flags_ignored),
		cmocka_unit_test(ring_pop_more_out_than_entries_breaks),
		cmocka_unit_test(ring_start_bad_config_refused),
	};
	static struct CMUnitTest tests[ARRAY_LEN(rules)];

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		tests[i] = (struct CMUnitTest){.name = rules[i].name,
					       .test_func = ring_pop_rule_violated_breaks,
					       .initial_state = (void *)(uintptr_t)&rules[i]};
	return cmocka_run_group_tests_name("ring rules", tests, NULL, NULL) +
	       cmocka_run_group_tests_name("ring near the rules", fixed, NULL, NULL);
}
