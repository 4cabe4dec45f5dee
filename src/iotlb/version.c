// SPDX-License-Identifier: BSD-3-Clause
/*
 * Versions: a root, a count and a number. A version may be published by several iotlbs, wait on
 * several retire lists and be held as a snapshot, all at once and under different device locks:
 * each of these holds one reference, and the count is atomic [G3].
 */
#include "iotlb/internal.h"

#include <stdlib.h>

struct iotlb_version *version_alloc(struct pool *pool)
{
	struct iotlb_version *v = pool_get_version(pool);

	if (v)
		*v = (struct iotlb_version){.refs = 1};
	return v;
}

void version_seal(struct iotlb_version *v, struct node *root, size_t nr, uint64_t number)
{
	v->root = root;
	v->nr = nr;
	v->number = number;
}

bool version_has_one_user(const struct iotlb_version *v)
{
	return __atomic_load_n(&v->refs, __ATOMIC_ACQUIRE) == 1;
}

struct iotlb_version *version_get(struct iotlb_version *v)
{
	__atomic_fetch_add(&v->refs, 1, __ATOMIC_RELAXED);
	return v;
}

void version_drop(struct iotlb_version *v, struct pool *pool)
{
	/* Release: our reads come before the free. Acquire pairs with the others' releases. */
	if (!v || __atomic_fetch_sub(&v->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	if (v->spent)
		pool_put_nodes(pool, v->spent);
	else
		node_put(v->root);
	memory_region_put(v->gone);
	pool_put_version(pool, v);
}

void version_put(struct iotlb_version *v)
{
	version_drop(v, NULL);
}

const struct iotlb_version *iotlb_version_get(const struct iotlb_version *v)
{
	return version_get((struct iotlb_version *)v);
}

void iotlb_version_put(const struct iotlb_version *v)
{
	version_put((struct iotlb_version *)v);
}

size_t iotlb_version_nr_entries(const struct iotlb_version *v)
{
	return v->nr;
}

uint64_t iotlb_version_number(const struct iotlb_version *v)
{
	return v->number;
}
