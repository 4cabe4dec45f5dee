// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every rule of docs/ring.md's table: a ring that violates it breaks with that reason, once, is
 * dead until it is started again, and the ring beside it goes on. Each case writes one malformed
 * chain.
 */
#include "support.h"

#include <errno.h>
#include <string.h>

#define NUM   8u
#define AVAIL DESC_F_AVAIL

static iova_t buf(const struct lane *l)
{
	return lane_iova(l, LANE_BUFFERS);
}

static iova_t table(const struct lane *l)
{
	return lane_iova(l, LANE_TABLES);
}

/* Make split descriptor 0 the head of the one available chain. */
static void avail_one(struct lane *l)
{
	raw_split_avail(l, 0, 0);
	raw_split_avail_idx(l, 1);
}

static void split_head(struct lane *l)
{
	raw_split_avail(l, 0, NUM);
	raw_split_avail_idx(l, 1);
}

static void split_head_max(struct lane *l)
{
	raw_split_avail(l, 0, 0xffff);
	raw_split_avail_idx(l, 1);
}

static void split_next(struct lane *l)
{
	raw_split_desc(l, 0, buf(l), 16, DESC_F_NEXT, NUM);
	avail_one(l);
}

static void split_loop_self(struct lane *l)
{
	raw_split_desc(l, 0, buf(l), 16, DESC_F_NEXT, 0);
	avail_one(l);
}

static void split_loop(struct lane *l)
{
	for (uint32_t i = 0; i < NUM; i++)
		raw_split_desc(l, i, buf(l), 16, DESC_F_NEXT, (uint16_t)((i + 1) % NUM));
	avail_one(l);
}

static void split_idx_ahead(struct lane *l)
{
	raw_split_avail_idx(l, NUM + 1);
}

static void split_idx_behind(struct lane *l)
{
	raw_split_avail_idx(l, 0xffff);
}

static void split_flag(struct lane *l)
{
	raw_split_desc(l, 0, buf(l), 16, 8, 0);
	avail_one(l);
}

static void split_order(struct lane *l)
{
	raw_split_desc(l, 0, buf(l), 16, DESC_F_WRITE | DESC_F_NEXT, 1);
	raw_split_desc(l, 1, buf(l), 16, 0, 0);
	avail_one(l);
}

static void split_order_empty(struct lane *l)
{
	raw_split_desc(l, 0, buf(l), 0, DESC_F_WRITE | DESC_F_NEXT, 1);
	raw_split_desc(l, 1, buf(l), 16, 0, 0);
	avail_one(l);
}

static void split_total(struct lane *l)
{
	raw_split_desc(l, 0, buf(l), 0x80000000U, DESC_F_NEXT, 1);
	raw_split_desc(l, 1, buf(l), 0x80000000U, 0, 0);
	avail_one(l);
}

static void indirect_head(struct lane *l, uint32_t len, uint16_t more)
{
	raw_split_desc(l, 0, table(l), len, DESC_F_INDIRECT | more, 1);
	avail_one(l);
}

static void split_ind_next(struct lane *l)
{
	indirect_head(l, 16, DESC_F_NEXT);
}

static void split_ind_len0(struct lane *l)
{
	indirect_head(l, 0, 0);
}

static void split_ind_len(struct lane *l)
{
	indirect_head(l, 24, 0);
}

static void split_ind_long(struct lane *l)
{
	indirect_head(l, (RING_CHAIN_IOV_MAX + 1) * DESC_SIZE, 0);
}

static void split_ind_nested(struct lane *l)
{
	raw_table_desc(l, 0, table(l), 16, DESC_F_INDIRECT, 0);
	indirect_head(l, 16, 0);
}

static void split_ind_index(struct lane *l)
{
	raw_table_desc(l, 0, buf(l), 16, DESC_F_NEXT, 2);
	indirect_head(l, 32, 0);
}

static void split_ind_loop(struct lane *l)
{
	raw_table_desc(l, 0, buf(l), 16, DESC_F_NEXT, 1);
	raw_table_desc(l, 1, buf(l), 16, DESC_F_NEXT, 0);
	indirect_head(l, 32, 0);
}

static void split_ind_flag(struct lane *l)
{
	raw_table_desc(l, 0, buf(l), 16, 0x100, 0);
	indirect_head(l, 16, 0);
}

static void split_ind_order(struct lane *l)
{
	raw_table_desc(l, 0, buf(l), 16, DESC_F_NEXT | DESC_F_WRITE, 1);
	raw_table_desc(l, 1, buf(l), 16, 0, 0);
	indirect_head(l, 32, 0);
}

static void packed_ring_full(struct lane *l)
{
	for (uint32_t i = 0; i < NUM; i++)
		raw_packed_desc(l, i, buf(l), 16, 0, AVAIL | DESC_F_NEXT);
}

static void packed_not_avail(struct lane *l)
{
	raw_packed_desc(l, 0, buf(l), 16, 0, AVAIL | DESC_F_NEXT);
	raw_packed_desc(l, 1, buf(l), 16, 0, 0);
}

static void packed_flag(struct lane *l)
{
	raw_packed_desc(l, 0, buf(l), 16, 0, AVAIL | 0x10);
}

static void packed_order(struct lane *l)
{
	raw_packed_desc(l, 0, buf(l), 16, 0, AVAIL | DESC_F_NEXT | DESC_F_WRITE);
	raw_packed_desc(l, 1, buf(l), 16, 0, AVAIL);
}

static void packed_total(struct lane *l)
{
	raw_packed_desc(l, 0, buf(l), 0xffffffffU, 0, AVAIL | DESC_F_NEXT);
	raw_packed_desc(l, 1, buf(l), 1, 0, AVAIL);
}

static void packed_ind_next(struct lane *l)
{
	raw_packed_desc(l, 0, table(l), 16, 0, AVAIL | DESC_F_INDIRECT | DESC_F_NEXT);
}

static void packed_ind_len(struct lane *l)
{
	raw_packed_desc(l, 0, table(l), 15, 0, AVAIL | DESC_F_INDIRECT);
}

static void packed_ind_len0(struct lane *l)
{
	raw_packed_desc(l, 0, table(l), 0, 0, AVAIL | DESC_F_INDIRECT);
}

static void packed_ind_nested(struct lane *l)
{
	/* In a packed table the flags are the last field. */
	raw_table_desc(l, 0, table(l), 16, 0, DESC_F_INDIRECT);
	raw_packed_desc(l, 0, table(l), 16, 0, AVAIL | DESC_F_INDIRECT);
}

static void packed_ind_order(struct lane *l)
{
	raw_table_desc(l, 0, buf(l), 16, 0, DESC_F_WRITE);
	raw_table_desc(l, 1, buf(l), 16, 0, 0);
	raw_packed_desc(l, 0, table(l), 32, 0, AVAIL | DESC_F_INDIRECT);
}

struct rule {
	const char *name;
	void (*violate)(struct lane *l);
	const char *reason;
	bool packed, no_indirect;
};

static const struct rule rules[] = {
	{"head", split_head, "descriptor index out of range", false, false},
	{"head_max", split_head_max, "descriptor index out of range", false, false},
	{"next", split_next, "descriptor index out of range", false, false},
	{"loop_self", split_loop_self, "chain has a loop", false, false},
	{"loop", split_loop, "chain has a loop", false, false},
	{"idx_ahead", split_idx_ahead, "available index is too far ahead", false, false},
	{"idx_behind", split_idx_behind, "available index is too far ahead", false, false},
	{"flag", split_flag, "unknown descriptor flag", false, false},
	{"order", split_order, "readable descriptor after a writable one", false, false},
	{"order_empty", split_order_empty, "readable descriptor after a writable one", false,
	 false},
	{"total", split_total, "chain is longer than 4 GiB", false, false},
	{"indirect_off", split_ind_order, "indirect descriptor without the feature", false, true},
	{"indirect_next", split_ind_next, "indirect descriptor with a next one", false, false},
	{"indirect_len_0", split_ind_len0, "indirect table length is not a multiple of 16", false,
	 false},
	{"indirect_len", split_ind_len, "indirect table length is not a multiple of 16", false,
	 false},
	{"indirect_long", split_ind_long, "indirect table is too long", false, false},
	{"indirect_nested", split_ind_nested, "nested indirect table", false, false},
	{"indirect_index", split_ind_index, "descriptor index out of range in an indirect table",
	 false, false},
	{"indirect_loop", split_ind_loop, "indirect table has a loop", false, false},
	{"indirect_flag", split_ind_flag, "unknown descriptor flag", false, false},
	{"indirect_order", split_ind_order, "readable descriptor after a writable one", false,
	 false},
	{"packed_ring_full", packed_ring_full, "more descriptors than entries", true, false},
	{"packed_not_avail", packed_not_avail, "chain runs into a descriptor that is not available",
	 true, false},
	{"packed_flag", packed_flag, "unknown descriptor flag", true, false},
	{"packed_order", packed_order, "readable descriptor after a writable one", true, false},
	{"packed_total", packed_total, "chain is longer than 4 GiB", true, false},
	{"packed_indirect_off", packed_ind_order, "indirect descriptor without the feature", true,
	 true},
	{"packed_indirect_next", packed_ind_next, "indirect descriptor with a next one", true,
	 false},
	{"packed_indirect_len", packed_ind_len, "indirect table length is not a multiple of 16",
	 true, false},
	{"packed_indirect_len_0", packed_ind_len0, "indirect table length is not a multiple of 16",
	 true, false},
	{"packed_indirect_nested", packed_ind_nested, "nested indirect table", true, false},
	{"packed_indirect_order", packed_ind_order, "readable descriptor after a writable one",
	 true, false},
};

static struct lane_opts opts_of(const struct rule *rule)
{
	return (struct lane_opts){.num = NUM,
				  .packed = rule->packed,
				  .indirect = !rule->no_indirect,
				  .start = rule->packed ? 0x8000 : 0};
}

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
	struct lane_opts opts = opts_of(rule);
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
	struct lane_opts opts = {.num = NUM, .lax_indirect = true};
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
	raw_table_desc(&l, 0, buf(&l), 10, 0xffff, DESC_F_NEXT | AVAIL);
	raw_table_desc(&l, 1, buf(&l), 20, 0xffff, DESC_F_WRITE | DESC_F_USED);
	raw_packed_desc(&l, 0, table(&l), 32, 0xabcd, AVAIL | DESC_F_INDIRECT);
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
