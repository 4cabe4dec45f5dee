// SPDX-License-Identifier: BSD-3-Clause
/*
 * Keeping nodes filled after removals. This saves memory and time, and no result depends on it: a
 * node with too few items is still correct. So if there is no memory for a step, the step is left
 * out, and the removal succeeds.
 */
#include "iotlb/internal.h"

static unsigned min_items(const struct node *n)
{
	return n->level ? INNER_MIN : LEAF_MIN;
}

/* Join children @idx and @idx + 1. */
static void join(struct node *n, unsigned idx, struct tree *t)
{
	struct node **child = node_children(n), *left, *right;
	unsigned seam = child[idx]->nr;

	if (node_own(&child[idx], t, child[idx + 1]->nr) < 0 || node_own(&child[idx + 1], t, 0) < 0)
		return;
	left = child[idx];
	right = child[idx + 1];
	node_move(left, seam, right, 0, right->nr);
	node_remove(n, idx + 1, idx + 2);
	/* A lone child of either had no neighbour before. */
	if (left->level) {
		balance_child(left, seam, t);
		balance_child(left, seam - 1, t);
	}
}

/* Give children @idx and @idx + 1 the same number of items. */
static void even_out(struct node *n, unsigned idx, struct tree *t)
{
	struct node **child = node_children(n), *left, *right;
	unsigned half = (child[idx]->nr + child[idx + 1]->nr) / 2;
	unsigned left_room = half > child[idx]->nr ? half - child[idx]->nr : 0;
	unsigned right_room = half < child[idx]->nr ? child[idx]->nr - half : 0;

	if (node_own(&child[idx], t, left_room) < 0 || node_own(&child[idx + 1], t, right_room) < 0)
		return;
	left = child[idx];
	right = child[idx + 1];
	if (left_room)
		node_move(left, left->nr, right, 0, left_room);
	else if (right_room)
		node_move(right, 0, left, half, right_room);
	n->key[idx + 1] = right->key[0];
	node_shrink(&child[idx], t);
	node_shrink(&child[idx + 1], t);
}

void balance_child(struct node *n, unsigned idx, struct tree *t)
{
	struct node **child = node_children(n);
	unsigned total;

	if (n->nr < 2 || child[idx]->nr >= min_items(child[idx]))
		return;
	if (idx > 0)
		idx--; /* the left one of the pair */
	total = child[idx]->nr + child[idx + 1]->nr;
	if (total <= (child[idx]->level ? INNER_JOIN : LEAF_JOIN))
		join(n, idx, t);
	else
		even_out(n, idx, t);
}
