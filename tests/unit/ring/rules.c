// SPDX-License-Identifier: BSD-3-Clause
#include "rules.h"

#define AVAIL DESC_F_AVAIL

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

const struct rule rules[] = {
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

struct lane_opts rule_opts(const struct rule *rule)
{
	return (struct lane_opts){.num = NUM,
				  .packed = rule->packed,
				  .indirect = !rule->no_indirect,
				  .start = rule->packed ? 0x8000 : 0};
}
