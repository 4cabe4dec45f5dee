// SPDX-License-Identifier: BSD-3-Clause
/*
 * The memory of nodes and versions. An edit needs a version and a node for each level of the tree,
 * and it makes as many others superfluous. So an iotlb keeps those for its next edits. With
 * malloc() and free() alone, these two took a quarter of the instructions of an edit.
 *
 * Only an iotlb that drops versions of its own puts something into its pool. Whoever drops a node
 * otherwise may hold another device's lock, and gives it to free().
 */
#include "iotlb/internal.h"

#include <stdlib.h>

#include "base/compiler.h"

#define POOL_MAX 64u /* versions and nodes in a pool at most */

/* Leaves of 3, 7 and 15 entries, inner nodes. */
static unsigned int kind(unsigned int level, unsigned int cap)
{
	return level ? POOL_KINDS - 1 : (cap > 3) + (cap > 7);
}

static size_t node_size(unsigned int level, unsigned int cap)
{
	if (level)
		return INNER_BYTES;
	return sizeof(struct node) + cap * (sizeof(iova_t) + sizeof(struct slot));
}

struct node *pool_get_node(struct pool *pool, unsigned int level, unsigned int cap)
{
	struct node **list = &pool->nodes[kind(level, cap)], *n = *list;

	if (!n)
		return malloc(node_size(level, cap));
	*list = n->next_spent;
	pool->nr--;
	return n;
}

struct iotlb_version *pool_get_version(struct pool *pool)
{
	struct iotlb_version *v = pool->versions;

	if (!v)
		return malloc(sizeof(*v));
	pool->versions = v->next_free;
	pool->nr--;
	return v;
}

/* AddressSanitizer is to see each of them freed. */
static bool has_room(struct pool *pool)
{
	if (!pool || HF_ASAN || pool->nr >= POOL_MAX)
		return false;
	pool->nr++;
	return true;
}

void pool_put_node(struct pool *pool, struct node *n)
{
	if (has_room(pool)) {
		struct node **list = &pool->nodes[kind(n->level, n->cap)];

		n->next_spent = *list;
		*list = n;
	} else {
		free(n);
	}
}

void pool_put_nodes(struct pool *pool, struct node *spent)
{
	for (struct node *next; spent; spent = next) {
		next = spent->next_spent;
		pool_put_node(pool, spent);
	}
}

void pool_put_version(struct pool *pool, struct iotlb_version *v)
{
	if (has_room(pool)) {
		v->next_free = pool->versions;
		pool->versions = v;
	} else {
		free(v);
	}
}

void pool_fini(struct pool *pool)
{
	for (unsigned int i = 0; i < POOL_KINDS; i++)
		pool_put_nodes(NULL, pool->nodes[i]);
	for (struct iotlb_version *v = pool->versions, *next; v; v = next) {
		next = v->next_free;
		free(v);
	}
}
