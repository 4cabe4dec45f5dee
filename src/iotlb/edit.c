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

uint64_t tree_new_gen(void)
{
	static uint64_t last_gen;

	return __atomic_add_fetch(&last_gen, 1, __ATOMIC_RELAXED);
}

void path_find(struct path *p, struct node *root, uint64_t key)
{
	struct node *n = root;

	p->top = root ? root->level : 0;
	p->has_next = false;
	for (; n && n->level; n = node_children(n)[p->idx[n->level]]) {
		unsigned idx = node_find(n, key);

		/* All of it: most paths are looked for to be copied. */
		node_prefetch(node_children(n)[idx], n->level - 1U);
		p->node[n->level] = n;
		p->idx[n->level] = idx;
		if (idx + 1 < n->nr) {
			p->has_next = true;
			p->next = n->key[idx + 1];
		}
	}
	p->node[0] = n;
	p->idx[0] = n ? node_search(n, key) : 0;
	p->from = p->idx[0];
	if (p->from > 0 && node_slots(n)[p->from - 1].last >= key)
		p->from--;
}

bool path_meets(const struct path *p, iova_t last)
{
	const struct node *leaf = p->node[0];

	if (leaf && p->from < leaf->nr)
		return leaf->key[p->from] <= last;
	return p->has_next && p->next <= last;
}

/* Own all nodes of the path; the leaf gets @room. */
static int path_own(struct tree *t, struct path *p, unsigned room)
{
	struct node **slot = &t->root;

	for (unsigned level = p->top;; level--) {
		int err = node_own(slot, t, level ? 0 : room);

		if (err < 0)
			return err;
		p->node[level] = *slot;
		if (level == 0)
			return 0;
		slot = &node_children(*slot)[p->idx[level]];
	}
}

/* The leaf, which is not empty, may begin with another entry than before. */
static void path_fix_keys(struct path *p)
{
	for (unsigned level = 1; level <= p->top; level++)
		p->node[level]->key[p->idx[level]] = p->node[level - 1]->key[0];
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
static int path_split_node(struct tree *t, struct path *p, unsigned level)
{
	struct node *n = p->node[level], *parent = p->node[level + 1], *right;
	unsigned at = split_point(n, p->idx[level]), pidx = p->idx[level + 1];

	right = node_alloc(t, level, n->nr - at + 1);
	if (!right)
		return -ENOMEM;
	node_move(right, 0, n, at, n->nr - at);
	node_insert_child(parent, pidx + 1, right);
	if (p->idx[level] >= at) {
		node_shrink(&node_children(parent)[pidx], t);
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
		root = node_alloc(t, level, 1);
		if (!root)
			return -ENOMEM;
		node_insert_child(root, 0, t->root);
		t->root = root;
		p->top = level;
		p->node[level] = root;
		p->idx[level] = 0;
	}
	while (level-- > 0) {
		int err = path_split_node(t, p, level);

		if (err < 0)
			return err;
	}
	return 0;
}

int tree_insert(struct tree *t, struct path *p, const struct iotlb_entry *e)
{
	int err;

	if (!t->root) {
		t->root = node_alloc(t, 0, 1);
		if (!t->root)
			return -ENOMEM;
		node_insert_entry(t->root, 0, e);
		t->nr = 1;
		return 0;
	}
	err = path_own(t, p, 1);
	if (err == 0 && node_is_full(p->node[0]))
		err = path_split(t, p);
	if (err < 0)
		return err;
	node_insert_entry(p->node[0], p->idx[0], e);
	path_fix_keys(p);
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
		node_shrink(slot, t);
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

/*
 * Remove entries [@from, @to) of an owned leaf. Inheritance keeps the region of one removed entry
 * [G10]: the version that the edit began with counts on it.
 */
static void remove_entries(struct tree *t, struct node *leaf, unsigned from, unsigned to)
{
	if (t->inherits && to - from == 1 && !t->gone) {
		t->gone = node_take_entry(leaf, from);
		return;
	}
	tree_disinherit(t);
	node_remove(leaf, from, to);
}

/* Remove entries [@p->from, @to) of the path's leaf, which keeps others. */
static int remove_in_leaf(struct tree *t, struct path *p, unsigned to)
{
	int err = path_own(t, p, 0);

	if (err < 0)
		return err;
	remove_entries(t, p->node[0], p->from, to);
	path_fix_keys(p);
	node_shrink(p->top ? &node_children(p->node[1])[p->idx[1]] : &t->root, t);
	for (unsigned level = 1; level <= p->top; level++)
		balance_child(p->node[level], p->idx[level], t);
	return 0;
}

/* Remove the entries that start in [@lo, @hi], both starts of entries. */
static int remove_over_leaves(struct tree *t, uint64_t lo, uint64_t hi, size_t *nr_removed)
{
	struct path p;
	int err;

	tree_disinherit(t);
	path_find(&p, t->root, lo);
	err = path_own(t, &p, 0);
	if (err < 0)
		return err;
	path_find(&p, t->root, hi);
	err = path_own(t, &p, 0);
	if (err < 0)
		return err;
	*nr_removed = trim(&t->root, &lo, &hi, t);
	return 0;
}

/* Start of the last entry that starts at or before @last; there is one. */
static uint64_t last_start(const struct node *n, iova_t last)
{
	while (n->level)
		n = node_children(n)[node_find(n, last)];
	return n->key[node_find(n, last)];
}

int tree_remove(struct tree *t, struct path *p, iova_t last, size_t *nr_removed)
{
	const struct node *leaf = p->node[0];
	unsigned to = node_search(leaf, last);
	bool goes_on = to == leaf->nr && p->has_next && p->next <= last;
	int err;

	if (!goes_on && to - p->from < leaf->nr) {
		*nr_removed = to - p->from;
		err = remove_in_leaf(t, p, to);
	} else {
		uint64_t lo = p->from < leaf->nr ? leaf->key[p->from] : p->next;

		err = remove_over_leaves(t, lo, last_start(t->root, last), nr_removed);
	}
	if (err < 0)
		return err;
	t->nr -= *nr_removed;
	cut_root(t);
	return 0;
}
