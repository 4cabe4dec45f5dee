// SPDX-License-Identifier: BSD-3-Clause
/*
 * The baseline of the iotlb bench: a red-black tree of ranges (<bsd/sys/tree.h>) under a spin lock,
 * the plain way to keep an address space that several threads use. Memory is allocated and freed
 * outside the lock. Owns its nodes. Thread rule: any thread; create, copy and destroy alone.
 */
#ifndef HOLDFAST_BENCH_RBTREE_H
#define HOLDFAST_BENCH_RBTREE_H

#include <stdbool.h>
#include <stddef.h>

#include "iotlb/iotlb.h"

struct rbtree;

/** rbtree_create() - Return: NULL without memory */
struct rbtree *rbtree_create(void);
void rbtree_destroy(struct rbtree *t);
bool rbtree_lookup(struct rbtree *t, iova_t iova, struct iotlb_entry *entry);
/** rbtree_map_many() - add @nr ranges at once. Return: 0; -ENOMEM; -EEXIST (some may be there) */
int rbtree_map_many(struct rbtree *t, const struct iotlb_entry *entries, size_t nr) HF_MUST_CHECK;
/** rbtree_unmap() - remove what overlaps. Return: ranges removed */
size_t rbtree_unmap(struct rbtree *t, iova_t first, iova_t last);
/** rbtree_diff() - walk both in address order and count the ranges that only one has */
size_t rbtree_diff(struct rbtree *from, struct rbtree *to);
/** rbtree_bytes() - heap bytes a range */
size_t rbtree_bytes(void);

#endif
