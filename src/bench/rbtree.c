// SPDX-License-Identifier: BSD-3-Clause
#include "bench/rbtree.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

struct range {
	RB_ENTRY(range) link; /* outside the tree, the left child is the next of a list */
	struct iotlb_entry e;
};

RB_HEAD(ranges, range);

struct rbtree {
	pthread_spinlock_t lock;
	struct ranges ranges;
};

/* Ranges that overlap are equal: a search for a range finds one that it overlaps. */
static int range_compare(const struct range *a, const struct range *b)
{
	if (a->e.last < b->e.first)
		return -1;
	return a->e.first > b->e.last;
}

RB_GENERATE_INTERNAL(ranges, range, link, range_compare, static HF_UNUSED)

struct rbtree *rbtree_create(void)
{
	struct rbtree *t = malloc(sizeof(*t));

	if (!t)
		return NULL;
	if (pthread_spin_init(&t->lock, PTHREAD_PROCESS_PRIVATE) != 0) {
		free(t);
		return NULL;
	}
	RB_INIT(&t->ranges);
	return t;
}

static void free_list(struct range *list)
{
	while (list) {
		struct range *next = RB_LEFT(list, link);

		free(list);
		list = next;
	}
}

void rbtree_destroy(struct rbtree *t)
{
	if (!t)
		return;
	rbtree_unmap(t, 0, UINT64_MAX);
	pthread_spin_destroy(&t->lock);
	free(t);
}

bool rbtree_lookup(struct rbtree *t, iova_t iova, struct iotlb_entry *entry)
{
	struct range key, *r;

	key.e.first = key.e.last = iova;
	pthread_spin_lock(&t->lock);
	r = RB_FIND(ranges, &t->ranges, &key);
	if (r)
		*entry = r->e;
	pthread_spin_unlock(&t->lock);
	return r;
}

int rbtree_map_many(struct rbtree *t, const struct iotlb_entry *entries, size_t nr)
{
	struct range *list = NULL, *r;
	int err = 0;

	for (size_t i = nr; i-- > 0;) {
		r = malloc(sizeof(*r));
		if (!r) {
			free_list(list);
			return -ENOMEM;
		}
		r->e = entries[i];
		RB_LEFT(r, link) = list;
		list = r;
	}
	pthread_spin_lock(&t->lock);
	while (list) {
		r = list;
		list = RB_LEFT(r, link);
		if (RB_INSERT(ranges, &t->ranges, r)) {
			RB_LEFT(r, link) = list;
			list = r;
			err = -EEXIST;
			break;
		}
	}
	pthread_spin_unlock(&t->lock);
	free_list(list);
	return err;
}

size_t rbtree_unmap(struct rbtree *t, iova_t first, iova_t last)
{
	struct range key, *list = NULL, *r;
	size_t nr = 0;

	key.e.first = first;
	key.e.last = last;
	pthread_spin_lock(&t->lock);
	while ((r = RB_FIND(ranges, &t->ranges, &key))) {
		RB_REMOVE(ranges, &t->ranges, r);
		RB_LEFT(r, link) = list;
		list = r;
		nr++;
	}
	pthread_spin_unlock(&t->lock);
	free_list(list);
	return nr;
}

static bool same(const struct iotlb_entry *a, const struct iotlb_entry *b)
{
	return a->first == b->first && a->last == b->last && a->mem == b->mem && a->off == b->off &&
	       a->perm == b->perm;
}

size_t rbtree_diff(struct rbtree *from, struct rbtree *to)
{
	struct range *a, *b;
	size_t nr = 0;

	pthread_spin_lock(&from->lock);
	pthread_spin_lock(&to->lock);
	a = RB_MIN(ranges, &from->ranges);
	b = RB_MIN(ranges, &to->ranges);
	while (a || b) {
		bool step_a = a && (!b || a->e.first <= b->e.first);
		bool step_b = b && (!a || b->e.first <= a->e.first);

		if (!step_a || !step_b || !same(&a->e, &b->e))
			nr += (size_t)step_a + (size_t)step_b;
		if (step_a)
			a = RB_NEXT(ranges, &from->ranges, a);
		if (step_b)
			b = RB_NEXT(ranges, &to->ranges, b);
	}
	pthread_spin_unlock(&to->lock);
	pthread_spin_unlock(&from->lock);
	return nr;
}

size_t rbtree_bytes(void)
{
	void *r = malloc(sizeof(struct range));
	size_t bytes = r ? malloc_usable_size(r) + sizeof(size_t) : 0;

	free(r);
	return bytes;
}
