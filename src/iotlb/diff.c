// SPDX-License-Identifier: BSD-3-Clause
/*
 * The difference of two versions: one walk over both trees in address order. The walk never enters
 * a subtree that stands at the same place in both [G7].
 *
 * A cursor stands before an item, which is an entry or a whole subtree. Everything before the two
 * items has been dealt with. One step does one of these:
 *
 * - Both items are the same subtree: both cursors step over it. What is equal on both sides
 *   contributes nothing.
 * - The items start at different addresses: the walk enters the subtree that starts lower.
 * - They start at the same address: the walk enters the higher one. If both have the same height,
 *   it enters both.
 *
 * So when a cursor arrives at the start of a subtree, the other tree's subtree at that place has
 * not been entered yet, whatever the heights of the trees and however nodes were split or joined.
 * The walk enters only nodes that one tree alone has, and the nodes above them. So the cost is
 * that of the changed paths.
 *
 * An entry of @to is reported when it ends before the next item of @from starts. So each removal
 * comes before the additions that overlap it, and a parent may apply the changes one by one.
 */
#include "iotlb/internal.h"

struct cursor {
	const struct node *node[MAX_LEVELS]; /* way from the root to the item */
	unsigned idx[MAX_LEVELS];
	int depth;                  /* last level of the way in use; -1: the item is the root */
	const struct node *subtree; /* the item if it is a subtree, NULL if it is an entry */
	bool end;
};

static void cursor_init(struct cursor *c, const struct node *root)
{
	c->depth = -1;
	c->subtree = root;
	c->end = !root;
}

static void cursor_settle(struct cursor *c)
{
	const struct node *n = c->node[c->depth];

	c->subtree = n->level ? node_children(n)[c->idx[c->depth]] : NULL;
}

/* Step over the item. */
static void cursor_skip(struct cursor *c)
{
	for (; c->depth >= 0; c->depth--) {
		if (++c->idx[c->depth] < c->node[c->depth]->nr) {
			cursor_settle(c);
			return;
		}
	}
	c->subtree = NULL;
	c->end = true;
}

/* Stand before the first item inside the subtree. */
static void cursor_enter(struct cursor *c)
{
	c->depth++;
	c->node[c->depth] = c->subtree;
	c->idx[c->depth] = 0;
	cursor_settle(c);
}

/* First address of the item. */
static uint64_t cursor_first(const struct cursor *c)
{
	return c->subtree ? c->subtree->key[0] : c->node[c->depth]->key[c->idx[c->depth]];
}

static const struct slot *cursor_slot(const struct cursor *c)
{
	return &node_slots(c->node[c->depth])[c->idx[c->depth]];
}

static int report(struct cursor *c, enum iotlb_change change, iotlb_diff_fn fn, void *arg)
{
	struct iotlb_entry e;

	node_entry(c->node[c->depth], c->idx[c->depth], &e);
	cursor_skip(c);
	return fn(arg, change, &e);
}

static bool same_entry(const struct cursor *a, const struct cursor *b)
{
	const struct slot *s = cursor_slot(a), *t = cursor_slot(b);

	return cursor_first(a) == cursor_first(b) && s->last == t->last &&
	       s->mem_perm == t->mem_perm && s->off == t->off;
}

/* Two different subtrees: enter the one that cannot be equal to a later item of the other side. */
static void enter_one(struct cursor *a, struct cursor *b)
{
	uint64_t a_first = cursor_first(a), b_first = cursor_first(b);
	bool enter_a =
		a_first < b_first || (a_first == b_first && a->subtree->level >= b->subtree->level);
	bool enter_b =
		b_first < a_first || (a_first == b_first && b->subtree->level >= a->subtree->level);

	if (enter_a)
		cursor_enter(a);
	if (enter_b)
		cursor_enter(b);
}

/* One step; neither cursor is at its end. */
static int diff_step(struct cursor *a, struct cursor *b, iotlb_diff_fn fn, void *arg)
{
	if (a->subtree && b->subtree) {
		if (a->subtree != b->subtree) {
			enter_one(a, b);
			return 0;
		}
		cursor_skip(a);
		cursor_skip(b);
		return 0;
	}
	if (!a->subtree && !b->subtree && same_entry(a, b)) {
		cursor_skip(a);
		cursor_skip(b);
		return 0;
	}
	if (!b->subtree && cursor_slot(b)->last < cursor_first(a))
		return report(b, IOTLB_ADDED, fn, arg);
	if (a->subtree) {
		cursor_enter(a);
		return 0;
	}
	if (b->subtree && cursor_first(b) <= cursor_first(a)) {
		cursor_enter(b);
		return 0;
	}
	return report(a, IOTLB_REMOVED, fn, arg);
}

/* What is left on one side when the other is at its end. */
static int diff_rest(struct cursor *c, enum iotlb_change change, iotlb_diff_fn fn, void *arg)
{
	int ret = 0;

	while (ret == 0 && !c->end) {
		if (c->subtree)
			cursor_enter(c);
		else
			ret = report(c, change, fn, arg);
	}
	return ret;
}

int iotlb_diff(const struct iotlb_version *from, const struct iotlb_version *to, iotlb_diff_fn fn,
	       void *arg)
{
	struct cursor a, b;
	int ret = 0;

	cursor_init(&a, from->root);
	cursor_init(&b, to->root);
	while (ret == 0 && !a.end && !b.end)
		ret = diff_step(&a, &b, fn, arg);
	if (ret == 0)
		ret = diff_rest(&a, IOTLB_REMOVED, fn, arg);
	if (ret == 0)
		ret = diff_rest(&b, IOTLB_ADDED, fn, arg);
	return ret;
}
