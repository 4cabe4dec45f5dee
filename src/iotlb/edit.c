// SPDX-License-Identifier: BSD-3-Clause
/*
 * Editing a tree. Every edit has two phases. First, steps that need memory and do not change the
 * contents: take the path into ownership (copying what older versions share) and split full nodes.
 * Each step alone leaves a valid tree, so a failure between two of them needs no undoing [G5]. Then
 * the change itself, which cannot fail.
 *
 * Splits leave the left node full when the new item goes to its end, and the right one when it goes
 * before a leaf's start: ascending and descending insertion keep nodes full.
 */
#include "iotlb/internal.h"

#include <errno.h>

/* The way from the root to one leaf; index is the level. */
struct path {
	struct node *node[MAX_LEVELS];
	unsigned idx[MAX_LEVELS]; /* child taken; in the leaf the position of the key */
	unsigned top;             /* the root's level */
};

uint64_t tree_new_gen(void)
{
	static uint64_t last_gen;

	return __atomic_add_fetch(&last_gen, 1, __ATOMIC_RELAXED);
}

/* Own all nodes from the root to the leaf that @key belongs to; the leaf gets @room. */
static int path_own(struct tree *t, uint64_t key, unsigned room, struct path *p)
{
	struct node **slot = &t->root;

	p->top = t->root->level;
	for (unsigned level = p->top;; level--) {
		struct node *n;
		int err = node_own(slot, t, level ? 0 : room);

		if (err < 0)
			return err;
		n = *slot;
		p->node[level] = n;
		if (level == 0) {
			p->idx[0] = node_search(n, key);
			return 0;
		}
		p->idx[level] = node_find(n, key);
		slot = &node_children(n)[p->idx[level]];
	}
}

static bool node_is_full(const struct node *n)
{
	return n->nr == (n->level ? INNER_MAX : LEAF_MAX);
}

/* Where to cut a full node whose item @idx is about to be followed or preceded by a new one. */
static unsigned split_point(const struct node *n, unsigned idx)
{
	if (idx >= n->nr - (n->level ? 1U : 0U))
		return n->nr - 1U;
	if (idx == 0 && n->level == 0)
		return 1;
	return n->nr / 2U;
}

/* Split the full node of @level on the path; its parent has room. */
static int path_split_node(struct path *p, unsigned level, uint64_t gen)
{
	struct node *n = p->node[level], *parent = p->node[level + 1], *right;
	unsigned at = split_point(n, p->idx[level]), pidx = p->idx[level + 1];

	right = node_alloc(level, n->nr - at + 1, gen);
	if (!right)
		return -ENOMEM;
	node_move(right, 0, n, at, n->nr - at);
	node_insert_child(parent, pidx + 1, right);
	if (p->idx[level] >= at) {
		node_shrink(&node_children(parent)[pidx]);
		p->node[level] = right;
		p->idx[level] -= at;
		p->idx[level + 1]++;
	}
	return 0;
}

/* Make room in the full leaf at the end of the path. */
static int path_split(struct tree *t, struct path *p)
{
	unsigned level = 0;

	while (level <= p->top && node_is_full(p->node[level]))
		level++;
	if (level > p->top) {
		struct node *root;

		if (level == MAX_LEVELS)
			return -ENOSPC;
		root = node_alloc(level, 1, t->gen);
		if (!root)
			return -ENOMEM;
		node_insert_child(root, 0, t->root);
		t->root = root;
		p->top = level;
		p->node[level] = root;
		p->idx[level] = 0;
	}
	while (level-- > 0) {
		int err = path_split_node(p, level, t->gen);

		if (err < 0)
			return err;
	}
	return 0;
}

int tree_insert(struct tree *t, const struct iotlb_entry *e)
{
	struct path p;
	int err;

	if (!t->root) {
		t->root = node_alloc(0, 1, t->gen);
		if (!t->root)
			return -ENOMEM;
		node_insert_entry(t->root, 0, e);
		t->nr = 1;
		return 0;
	}
	err = path_own(t, e->first, 1, &p);
	if (err == 0 && node_is_full(p.node[0]))
		err = path_split(t, &p);
	if (err < 0)
		return err;
	node_insert_entry(p.node[0], p.idx[0], e);
	for (unsigned level = 1; level <= p.top; level++)
		p.node[level]->key[p.idx[level]] = p.node[level - 1]->key[0];
	t->nr++;
	return 0;
}

static size_t trim(struct node **slot, const uint64_t *lo, const uint64_t *hi, struct tree *t);

/* Remove the children between the ways to @lo and @hi, and on those ways what trim() emptied. */
static size_t trim_inner(struct node *n, const uint64_t *lo, const uint64_t *hi, struct tree *t)
{
	struct node **child = node_children(n);
	unsigned a = lo ? node_find(n, *lo) : 0, b = hi ? node_find(n, *hi) : n->nr - 1U;
	unsigned from = a, to = b + 1; /* children to remove */
	size_t removed = 0;

	if (lo) {
		removed += trim(&child[a], lo, a == b ? hi : NULL, t);
		from += child[a]->nr != 0;
	}
	if (hi && !(lo && a == b)) {
		removed += trim(&child[b], NULL, hi, t);
		to -= child[b]->nr != 0;
	}
	for (unsigned i = lo ? a + 1 : a; i < (hi ? b : b + 1); i++)
		removed += node_count_entries(child[i]);
	if (lo && child[a]->nr)
		n->key[a] = child[a]->key[0];
	if (hi && child[b]->nr)
		n->key[b] = child[b]->key[0];
	if (to > from)
		node_remove(n, from, to);
	if (from < n->nr)
		balance_child(n, from, t);
	if (from > 0)
		balance_child(n, from - 1, t);
	return removed;
}

/*
 * Remove the entries that start in [*@lo, *@hi]; NULL: from the node's start, to its end. Both are
 * starts of entries below the node, and the nodes on the ways to them are owned, so nothing here
 * needs memory. May leave *@slot empty.
 */
static size_t trim(struct node **slot, const uint64_t *lo, const uint64_t *hi, struct tree *t)
{
	struct node *n = *slot;
	unsigned from, to;

	if (n->level)
		return trim_inner(n, lo, hi, t);
	from = lo ? node_find(n, *lo) : 0;
	to = hi ? node_search(n, *hi) : n->nr;
	node_remove(n, from, to);
	if (n->nr)
		node_shrink(slot);
	return to - from;
}

/* Take levels off that lead to one child only. */
static void cut_root(struct tree *t)
{
	while (t->root && (t->root->nr == 0 || (t->root->level && t->root->nr == 1))) {
		struct node *old = t->root;

		t->root = old->nr ? node_get(node_children(old)[0]) : NULL;
		node_put(old);
	}
}

/* Start of the last entry that starts at or before @last; there is one. */
static uint64_t last_start(const struct node *n, iova_t last)
{
	while (n->level)
		n = node_children(n)[node_find(n, last)];
	return n->key[node_find(n, last)];
}

/* Inheritance keeps the region of one removed entry, @only, and no whole nodes [G10]. */
static void prepare_removal(struct tree *t, struct memory_region *only)
{
	if (!t->inherits)
		return;
	if (!only || t->gone)
		tree_disinherit(t);
	else
		t->gone = memory_region_get(only);
}

int tree_remove(struct tree *t, iova_t first, iova_t last, size_t *nr_removed)
{
	struct iotlb_entry e;
	struct path p;
	uint64_t hi;
	int err;

	*nr_removed = 0;
	if (!node_next(t->root, first, &e) || e.first > last)
		return 0;
	hi = last_start(t->root, last);
	prepare_removal(t, e.first == hi ? e.mem : NULL);
	err = path_own(t, e.first, 0, &p);
	if (err == 0 && hi != e.first)
		err = path_own(t, hi, 0, &p);
	if (err < 0)
		return err;
	*nr_removed = trim(&t->root, &e.first, &hi, t);
	t->nr -= *nr_removed;
	cut_root(t);
	return 0;
}
