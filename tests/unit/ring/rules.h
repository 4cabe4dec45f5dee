// SPDX-License-Identifier: BSD-3-Clause
/*
 * The rules of docs/ring.md's table, and a malformed chain for each. Used by the tests of the two
 * readers that answer them: test_ring_rules.c and test_ring_strict.c.
 */
#ifndef HOLDFAST_TESTS_RING_RULES_H
#define HOLDFAST_TESTS_RING_RULES_H

#include "support.h"

#define NUM      8u /* entries of a lane for a rule */
#define NR_RULES 32u

struct rule {
	const char *name;
	void (*violate)(struct lane *l); /* writes one malformed chain at position 0 */
	const char *reason;
	bool packed, no_indirect;
};

extern const struct rule rules[NR_RULES];

/* The lane of a ring that is to violate @rule. */
struct lane_opts rule_opts(const struct rule *rule);

static inline iova_t buf(const struct lane *l)
{
	return lane_iova(l, LANE_BUFFERS);
}

static inline iova_t table(const struct lane *l)
{
	return lane_iova(l, LANE_TABLES);
}

/* Make split descriptor 0 the head of the one available chain. */
static inline void avail_one(struct lane *l)
{
	raw_split_avail(l, 0, 0);
	raw_split_avail_idx(l, 1);
}

#endif
