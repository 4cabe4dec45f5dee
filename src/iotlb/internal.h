// SPDX-License-Identifier: BSD-3-Clause
/*
 * The inside of the iotlb room: nodes, trees, versions. iotlb.c opens with the theory and the
 * numbered guarantees.
 *
 * Owns nothing itself. Used by the files of this folder only. Thread rule: functions that take a
 * `struct tree *` or a node slot by the control thread that edits that tree; node_get(),
 * node_put(), version_get() and version_put() by any control thread; everything that takes a const
 * node by readers too.
 */
#ifndef HOLDFAST_IOTLB_INTERNAL_H
#define HOLDFAST_IOTLB_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/types.h"
#include "iotlb/iotlb.h"
#include "memory/memory.h"

/*
 * Node sizes, header included, stay 8 bytes (malloc's own header) short of a power of two, and
 * small: an edit copies one of each level. Alignment to cache lines would gain nothing: a search
 * touches the same number of lines at any offset of 16. A leaf has room for 3, 7 or 15 entries, so
 * that it is never less than half full by size.
 */
#define LEAF_MAX   15U /* entries: 16 + 15 * 32 = 496 bytes */
#define INNER_MAX  30U /* children: 16 + 31 * 8 + 30 * 8 = 504 bytes; node_search() reads 31 keys */
#define LEAF_MIN   4U  /* fewer: joined with a neighbour by the next removal nearby */
#define INNER_MIN  8U
#define LEAF_JOIN  11U /* join two leaves if the result has no more than this */
#define INNER_JOIN 22U
#define MAX_LEVELS 16 /* 4 * 8^15 entries at the minimum fill */

/* What a leaf keeps of an entry besides its first address. */
struct slot {
	iova_t last;        /* inclusive */
	uintptr_t mem_perm; /* region pointer; enum iotlb_perm in the two low bits */
	uint64_t off;       /* byte offset of the first address in the region */
};

/*
 * key[i] is the first address of entry i (leaf) or of the first entry below child i (inner); exact,
 * ascending; the unused ones are all ones. Behind the keys: struct slot[cap] in a leaf, one more
 * unused key and struct node *[cap] in an inner node. Everything but @refs is const once @gen is
 * not the editing tree's any more; @next_spent takes the place of @gen, which only editors read, in
 * nodes that no editor reaches any more.
 */
struct node {
	union {
		uint64_t gen; /* the edit that made it and alone may change it; unique */
		struct node *next_spent;
	};
	uint32_t refs;  /* atomic: parents and versions that point here */
	uint8_t nr;     /* entries or children in use, 1..cap outside an edit */
	uint8_t cap;    /* room, in entries or children */
	uint8_t level;  /* 0: leaf */
	uint8_t unused; /* always 0 */
	uint64_t key[];
};

#define CACHE_LINE 64

/* Of the largest nodes, without malloc's header. */
#define LEAF_BYTES  (sizeof(struct node) + LEAF_MAX * (sizeof(iova_t) + sizeof(struct slot)))
#define INNER_BYTES (sizeof(struct node) + (2 * INNER_MAX + 1) * sizeof(uint64_t))

/* What an iotlb keeps of its old versions for its next edits; zero-initialised is empty. */
#define POOL_KINDS 4
struct pool {
	struct node *nodes[POOL_KINDS]; /* by size; linked by @next_spent */
	struct iotlb_version *versions; /* linked by @next_free */
	unsigned int nr;                /* of all these */
};

/*
 * A tree under edit. Nodes with the tree's generation belong to it alone. While it @inherits, the
 * nodes that it copied are on the list @spent [G10].
 */
struct tree {
	struct pool *pool;
	struct node *root; /* one reference, unless it is @borrowed; NULL if empty */
	size_t nr;         /* entries */
	uint64_t gen;
	bool inherits;
	struct node *borrowed; /* while it inherits: the root that it began with; the version's */
	struct node *spent;    /* copied; what they referred to is referred to by their copies */
	struct memory_region *gone; /* of an entry that was removed; one reference; or NULL */
};

/* The way from the root to the leaf where a key belongs; index is the level. */
struct path {
	struct node *node[MAX_LEVELS];
	unsigned idx[MAX_LEVELS]; /* child taken; in the leaf the number of entries up to the key */
	unsigned top;             /* the root's level; node[0] is NULL in an empty tree */
	unsigned from;            /* first entry of the leaf that ends at the key or behind it */
	bool has_next;            /* is there a leaf behind this one? */
	uint64_t next;            /* its first key */
};

struct iotlb_version {
	union {
		struct node *root; /* one reference; NULL if empty */
		struct iotlb_version *next_free;
	};
	size_t nr;                  /* entries */
	uint64_t number;            /* the last edit's generation: unique, never 0 */
	uint32_t refs;              /* atomic */
	struct node *spent;         /* if any, the next version inherited all but these [G10] */
	struct memory_region *gone; /* goes with them; one reference; or NULL */
};

static inline struct slot *node_slots(const struct node *n)
{
	return (struct slot *)&n->key[n->cap];
}

static inline struct node **node_children(const struct node *n)
{
	return (struct node **)&n->key[INNER_MAX + 1];
}

static inline struct memory_region *slot_mem(const struct slot *s)
{
	return (struct memory_region *)(s->mem_perm & ~(uintptr_t)IOTLB_RW);
}

static inline uint8_t slot_perm(const struct slot *s)
{
	return s->mem_perm & IOTLB_RW;
}

/*
 * Number of keys <= @x. Every eighth key decides on a block of seven keys, which are then counted.
 * The comparisons of each step do not wait for one another. Nothing branches on a key, because a
 * random address cannot be predicted. Unused keys are all ones. If @x is all ones too, the count
 * is cut to @nr.
 */
static inline unsigned node_search(const struct node *n, uint64_t x)
{
	const uint64_t *k = n->key;
	unsigned base = 0, nr;

	if (n->cap > 15)
		base = 8U * ((k[7] <= x) + (k[15] <= x) + (k[23] <= x));
	else if (n->cap > 7)
		base = 8U * (k[7] <= x);
	k += base;
	nr = base + (k[0] <= x) + (k[1] <= x) + (k[2] <= x);
	if (n->cap > 3)
		nr += ((k[3] <= x) + (k[4] <= x)) + ((k[5] <= x) + (k[6] <= x));
	return nr < n->nr ? nr : n->nr;
}

/* The child or entry whose range of keys holds @x; 0 if @x lies before all of them. */
static inline unsigned node_find(const struct node *n, uint64_t x)
{
	unsigned nr = node_search(n, x);

	return nr ? nr - 1 : 0;
}

/*
 * Ask for all of a node at once. Whoever reads it needs one line after another, and only the line
 * before says which. Addresses past the end of a smaller node do no harm.
 */
static inline void node_prefetch(const struct node *n, unsigned level)
{
	size_t size = level ? INNER_BYTES : LEAF_BYTES;

	for (size_t off = 0; off < size; off += CACHE_LINE)
		__builtin_prefetch((const char *)n + off);
}

static inline void node_entry(const struct node *leaf, unsigned idx, struct iotlb_entry *e)
{
	const struct slot *s = &node_slots(leaf)[idx];

	e->first = leaf->key[idx];
	e->last = s->last;
	e->mem = slot_mem(s);
	e->off = s->off;
	e->perm = slot_perm(s);
}

/* ---- pool.c ---- */

/* Nothing in them is set. Return: NULL without memory */
struct node *pool_get_node(struct pool *pool, unsigned int level, unsigned int cap);
struct iotlb_version *pool_get_version(struct pool *pool);
/* Take what nobody sees any more. @pool: NULL: it goes to free() */
void pool_put_node(struct pool *pool, struct node *n);
void pool_put_nodes(struct pool *pool, struct node *spent); /* a list by @next_spent */
void pool_put_version(struct pool *pool, struct iotlb_version *v);
void pool_fini(struct pool *pool);

/* ---- node.c ---- */

/* Room for @want items at least (as far as the kind of node allows). Return: NULL without memory */
struct node *node_alloc(struct tree *t, unsigned level, unsigned want);
struct node *node_get(struct node *n);
/* NULL is fine; the last reference frees the node and drops what it refers to */
void node_put(struct node *n);
/*
 * Make *@slot, a place in @t, the property of @t with room for @room more items, as far as the kind
 * of node allows; copies a node of another generation. Contents do not change. Return: 0; -ENOMEM.
 */
int node_own(struct node **slot, struct tree *t, unsigned room) HF_MUST_CHECK;
/* Give an owned leaf a smaller size if that holds it well; stays as it is without memory */
void node_shrink(struct node **slot, struct tree *t);
/* Owned leaf with room: takes a reference on the region */
void node_insert_entry(struct node *leaf, unsigned idx, const struct iotlb_entry *e);
/* Owned node with room: takes over the caller's reference on @child */
void node_insert_child(struct node *n, unsigned idx, struct node *child);
/* Take an entry out of an owned leaf. Return: its region, with the reference that it had */
struct memory_region *node_take_entry(struct node *leaf, unsigned idx) HF_MUST_CHECK;
/* Drop items [@from, @to) of an owned node and the references they hold */
void node_remove(struct node *n, unsigned from, unsigned to);
/* Move @count items between two owned nodes of one level; references go along */
void node_move(struct node *dst, unsigned dst_idx, struct node *src, unsigned src_idx,
	       unsigned count);
/* End inheritance [G10]: the tree and the version that it began with count for themselves */
void tree_disinherit(struct tree *t);
size_t node_count_entries(const struct node *n);
size_t node_bytes(const struct node *n);

/* ---- edit.c, balance.c: trees under edit ---- */

/* A generation that no node has yet */
uint64_t tree_new_gen(void);
/* @root: NULL if empty */
void path_find(struct path *p, struct node *root, uint64_t key);
/* Does an entry overlap [key, @last]? If @last lies below the key: does one hold both? */
bool path_meets(const struct path *p, iova_t last);
/* @p: to @e's start, in @t as it is; @e overlaps nothing. Return: 0; -ENOMEM; -ENOSPC too deep. On
 * error the contents are unchanged. */
int tree_insert(struct tree *t, struct path *p, const struct iotlb_entry *e) HF_MUST_CHECK;
/* Remove all that path_meets() means, at least one. Return: 0; -ENOMEM, contents unchanged */
int tree_remove(struct tree *t, struct path *p, iova_t last, size_t *nr_removed) HF_MUST_CHECK;
/* Join or even out child @idx of the owned @n if it has too few items; left alone without memory */
void balance_child(struct node *n, unsigned idx, struct tree *t);

/* ---- lookup.c ---- */

bool node_next(const struct node *root, iova_t from, struct iotlb_entry *e);

/* ---- version.c ---- */

/* An empty shell with one reference. Return: NULL without memory */
struct iotlb_version *version_alloc(struct pool *pool);
/* Fill the shell: takes over a reference on @root */
void version_seal(struct iotlb_version *v, struct node *root, size_t nr, uint64_t number);
struct iotlb_version *version_get(struct iotlb_version *v);
/* Is the caller's reference the only one? Then nobody else can take one but through the caller */
bool version_has_one_user(const struct iotlb_version *v);
void version_put(struct iotlb_version *v);
/* The same; if it is the last reference, @pool takes the version and its spent nodes */
void version_drop(struct iotlb_version *v, struct pool *pool);

#endif
