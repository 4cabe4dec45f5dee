// SPDX-License-Identifier: BSD-3-Clause
/*
 * Nodes: memory, references, copies, and the moving of items. A node holds one reference on each
 * child (inner) or on the region of each entry (leaf). Moving an item between two owned nodes moves
 * its reference; copying a node takes new ones, or those of the node that it was copied from [G10].
 */
#include "iotlb/internal.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static size_t item_bytes(unsigned level)
{
	/*
	 * A table, because gcc copies with `rep movsq` what it knows to be a multiple of 8 bytes.
	 * That takes as long to begin as memcpy() takes for the copy.
	 */
	static const uint8_t bytes[] = {sizeof(struct slot), sizeof(struct node *)};

	return bytes[level != 0];
}

static char *items(const struct node *n)
{
	return n->level ? (char *)node_children(n) : (char *)node_slots(n);
}

/* Leaf sizes are 3, 7 and 15 entries: 128, 256 and 512 bytes of heap. */
static unsigned cap_for(unsigned level, unsigned want)
{
	unsigned cap = 3;

	if (level)
		return INNER_MAX;
	while (cap < want && cap < LEAF_MAX)
		cap = 2 * cap + 1;
	return cap;
}

static size_t key_bytes(unsigned level, unsigned cap)
{
	return (cap + (level ? 1 : 0)) * sizeof(uint64_t);
}

/* With nothing behind its header yet. */
static struct node *alloc_raw(struct tree *t, unsigned level, unsigned cap)
{
	struct node *n = pool_get_node(t->pool, level, cap);

	if (!n)
		return NULL;
	n->gen = t->gen;
	n->refs = 1;
	n->nr = 0;
	n->cap = (uint8_t)cap;
	n->level = (uint8_t)level;
	n->unused = 0;
	return n;
}

struct node *node_alloc(struct tree *t, unsigned level, unsigned want)
{
	unsigned cap = cap_for(level, want);
	struct node *n = alloc_raw(t, level, cap);

	if (n)
		memset(n->key, 0xff, key_bytes(level, cap));
	return n;
}

struct node *node_get(struct node *n)
{
	if (n)
		__atomic_fetch_add(&n->refs, 1, __ATOMIC_RELAXED);
	return n;
}

/* Drop the references of items [@from, @to). */
static void put_items(struct node *n, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		if (n->level)
			node_put(node_children(n)[i]);
		else
			memory_region_put(slot_mem(&node_slots(n)[i]));
	}
}

void node_put(struct node *n)
{
	/* Release: our reads come before the free. Acquire pairs with the others' releases. */
	if (!n || __atomic_fetch_sub(&n->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	put_items(n, 0, n->nr);
	free(n);
}

/* A reference for each entry of a leaf that was copied; neighbours often share a region. */
static void get_regions(const struct node *leaf, unsigned from, unsigned to)
{
	const struct slot *s = node_slots(leaf);

	while (from < to) {
		struct memory_region *mem = slot_mem(&s[from]);
		unsigned n = 1;

		while (from + n < to && slot_mem(&s[from + n]) == mem)
			n++;
		memory_region_get_many(mem, n);
		from += n;
	}
}

static void get_items(const struct node *n, unsigned from, unsigned to)
{
	if (!n->level) {
		get_regions(n, from, to);
		return;
	}
	/* The counts are spread over the heap: fetch them all before the first locked access. */
	for (unsigned i = from; i < to; i++)
		__builtin_prefetch(node_children(n)[i], 1);
	for (unsigned i = from; i < to; i++)
		node_get(node_children(n)[i]);
}

/* Bitwise copy of items; the caller settles the references. */
static void copy_items(struct node *dst, unsigned dst_idx, const struct node *src, unsigned src_idx,
		       unsigned count)
{
	size_t size = item_bytes(src->level);

	memcpy(&dst->key[dst_idx], &src->key[src_idx], count * sizeof(src->key[0]));
	memcpy(items(dst) + dst_idx * size, items(src) + src_idx * size, count * size);
}

/* Open (@to > @from) or close (@to < @from) a gap: items from @from on move to @to. */
static void shift_items(struct node *n, unsigned from, unsigned to)
{
	size_t size = item_bytes(n->level), count = n->nr - from;

	memmove(&n->key[to], &n->key[from], count * sizeof(n->key[0]));
	memmove(items(n) + to * size, items(n) + from * size, count * size);
	if (to < from)
		memset(&n->key[to + count], 0xff, (from - to) * sizeof(n->key[0]));
	n->nr = (uint8_t)(n->nr + to - from);
}

/* The same items in a node with room for @want; the caller settles the references. */
static struct node *duplicate(struct tree *t, const struct node *old, unsigned want)
{
	unsigned cap = cap_for(old->level, want);
	struct node *n = alloc_raw(t, old->level, cap);
	size_t size = key_bytes(old->level, cap);

	if (!n)
		return NULL;
	if (cap == old->cap) {
		memcpy(n->key, old->key, size + old->nr * item_bytes(old->level));
	} else {
		memset(n->key, 0xff, size);
		copy_items(n, 0, old, 0, old->nr);
	}
	n->nr = old->nr;
	return n;
}

/* Replace an owned leaf by one of another size. */
static int resize(struct node **slot, struct tree *t, unsigned want)
{
	struct node *old = *slot, *n = duplicate(t, old, want);

	if (!n)
		return -ENOMEM;
	*slot = n;
	pool_put_node(t->pool, old);
	return 0;
}

/* Give spent nodes back what their copies inherited, so that both count for themselves. */
static void restore(struct node *spent)
{
	for (struct node *n = spent; n; n = n->next_spent)
		get_items(n, 0, n->nr);
	for (struct node *next; spent; spent = next) {
		next = spent->next_spent;
		spent->gen = 0;
		node_put(spent); /* for the place in the edited tree, where the copy stands */
	}
}

void tree_disinherit(struct tree *t)
{
	if (!t->inherits)
		return;
	node_get(t->borrowed); /* for its place in the tree, as all others have */
	restore(t->spent);
	memory_region_put(t->gone);
	t->spent = NULL;
	t->gone = NULL;
	t->inherits = false;
}

static bool has_one_user(const struct node *n)
{
	return __atomic_load_n(&n->refs, __ATOMIC_ACQUIRE) == 1;
}

int node_own(struct node **slot, struct tree *t, unsigned room)
{
	struct node *old = *slot, *n;
	unsigned want = old->nr + room;

	if (old->gen == t->gen)
		return cap_for(old->level, want) > old->cap ? resize(slot, t, want) : 0;
	n = duplicate(t, old, want);
	if (!n)
		return -ENOMEM;
	if (t->inherits && !has_one_user(old))
		tree_disinherit(t);
	*slot = n;
	if (t->inherits) {
		old->next_spent = t->spent;
		t->spent = old;
	} else {
		get_items(n, 0, n->nr);
		node_put(old);
	}
	return 0;
}

/* With room for one more, lest a range that comes and goes resizes its leaf each time. */
void node_shrink(struct node **slot, struct tree *t)
{
	if (cap_for((*slot)->level, (*slot)->nr + 1U) < (*slot)->cap)
		(void)!resize(slot, t, (*slot)->nr);
}

void node_insert_entry(struct node *leaf, unsigned idx, const struct iotlb_entry *e)
{
	assert(leaf->level == 0 && leaf->nr < leaf->cap);
	shift_items(leaf, idx, idx + 1);
	leaf->key[idx] = e->first;
	node_slots(leaf)[idx] = (struct slot){
		.last = e->last, .mem_perm = (uintptr_t)e->mem | e->perm, .off = e->off};
	memory_region_get(e->mem);
}

void node_insert_child(struct node *n, unsigned idx, struct node *child)
{
	assert(n->level == child->level + 1U && n->nr < n->cap);
	shift_items(n, idx, idx + 1);
	n->key[idx] = child->key[0];
	node_children(n)[idx] = child;
}

struct memory_region *node_take_entry(struct node *leaf, unsigned idx)
{
	struct memory_region *mem = slot_mem(&node_slots(leaf)[idx]);

	shift_items(leaf, idx + 1, idx);
	return mem;
}

void node_remove(struct node *n, unsigned from, unsigned to)
{
	put_items(n, from, to);
	shift_items(n, to, from);
}

void node_move(struct node *dst, unsigned dst_idx, struct node *src, unsigned src_idx,
	       unsigned count)
{
	assert(dst->nr + count <= dst->cap);
	shift_items(dst, dst_idx, dst_idx + count);
	copy_items(dst, dst_idx, src, src_idx, count);
	shift_items(src, src_idx + count, src_idx);
}

size_t node_count_entries(const struct node *n)
{
	size_t sum = 0;

	if (!n->level)
		return n->nr;
	for (unsigned i = 0; i < n->nr; i++)
		sum += node_count_entries(node_children(n)[i]);
	return sum;
}

size_t node_bytes(const struct node *n)
{
	size_t sum = malloc_usable_size((void *)n) + sizeof(size_t); /* malloc's header */

	if (n->level)
		for (unsigned i = 0; i < n->nr; i++)
			sum += node_bytes(node_children(n)[i]);
	return sum;
}
