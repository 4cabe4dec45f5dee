// SPDX-License-Identifier: BSD-3-Clause
/*
 * The reading side: pure functions over immutable nodes. A lookup descends by the keys, which are
 * exact first addresses. So an address below the first key of the root belongs to no entry. Every
 * other descent ends at the last entry that starts at or before the address.
 *
 * Arithmetic: ranges are inclusive. A length is compared as length - 1, so the entry of all 2^64
 * bytes needs no special case. Host addresses are computed as integers, because the identity
 * region's base is the null pointer.
 */
#include "iotlb/internal.h"

#include <errno.h>

#include "base/overflow.h"

/* A tree of this many levels above its leaves (some 200,000 entries) does not fit into a core's own
 * cache. */
#define DEEP_LEVEL 4

/* The leaf and position of the last entry that starts at or before @iova. */
static inline const struct node *find_entry(const struct node *n, iova_t iova, unsigned *idx)
{
	unsigned nr;
	bool deep;

	if (!n)
		return NULL;
	deep = n->level >= DEEP_LEVEL;
	for (;;) {
		nr = node_search(n, iova);
		if (nr == 0)
			return NULL;
		if (n->level == 0)
			break;
		if (deep)
			node_prefetch(node_children(n)[nr - 1], n->level - 1U);
		n = node_children(n)[nr - 1];
	}
	*idx = nr - 1;
	return n;
}

bool iotlb_lookup(const struct iotlb_version *v, iova_t iova, struct iotlb_entry *entry)
{
	unsigned idx;
	const struct node *leaf = find_entry(v->root, iova, &idx);

	if (!leaf || node_slots(leaf)[idx].last < iova)
		return false;
	node_entry(leaf, idx, entry);
	return true;
}

bool node_next(const struct node *n, iova_t from, struct iotlb_entry *e)
{
	const struct node *right = NULL; /* subtree just behind the descent */
	unsigned idx;

	if (!n)
		return false;
	for (;;) {
		idx = node_find(n, from);
		if (n->level == 0)
			break;
		if (idx + 1U < n->nr)
			right = node_children(n)[idx + 1];
		n = node_children(n)[idx];
	}
	if (node_slots(n)[idx].last < from && ++idx == n->nr) {
		if (!right)
			return false;
		for (n = right; n->level; n = node_children(n)[0])
			;
		idx = 0;
	}
	node_entry(n, idx, e);
	return true;
}

bool iotlb_version_next(const struct iotlb_version *v, iova_t from, struct iotlb_entry *entry)
{
	return node_next(v->root, from, entry);
}

/* Pieces found so far. */
struct pieces {
	struct iovec *iov;
	int nr, max;
};

/* Append @len bytes at host address @host. Return: 0; -E2BIG */
static inline int pieces_add(struct pieces *p, uintptr_t host, uint64_t len)
{
	if (p->nr > 0) {
		struct iovec *prev = &p->iov[p->nr - 1];

		if ((uintptr_t)prev->iov_base + prev->iov_len == host) {
			prev->iov_len += len;
			return 0;
		}
	}
	if (p->nr == p->max)
		return -E2BIG;
	p->iov[p->nr++] = (struct iovec){.iov_base = (void *)host, .iov_len = len};
	return 0;
}

static void cache_fill(struct iotlb_cache *c, const struct iotlb_version *v,
		       const struct node *leaf, unsigned idx)
{
	const struct slot *s = &node_slots(leaf)[idx];

	c->version = v->number;
	c->first = leaf->key[idx];
	c->last = s->last;
	c->host = (char *)((uintptr_t)slot_mem(s)->host + s->off);
	c->perm = slot_perm(s);
}

/* Translate [@iova, @last] entry by entry; @cache holds the last entry used afterwards. */
static int translate_walk(const struct iotlb_version *v, struct iotlb_cache *cache, iova_t iova,
			  iova_t last, uint8_t perm, struct pieces *p)
{
	const struct node *leaf = NULL;
	unsigned idx = 0;

	for (;;) {
		iova_t end;
		int err;

		if (leaf && idx + 1U < leaf->nr && leaf->key[idx + 1] == iova)
			idx++;
		else
			leaf = find_entry(v->root, iova, &idx);
		if (!leaf)
			return IOTLB_MISS;
		cache_fill(cache, v, leaf, idx);
		cache->nr_looked++;
		if (cache->last < iova || (cache->perm & perm) != perm)
			return IOTLB_MISS;
		end = cache->last < last ? cache->last : last;
		err = pieces_add(p, (uintptr_t)cache->host + (iova - cache->first), end - iova + 1);
		if (err < 0)
			return err;
		if (end == last)
			return p->nr;
		iova = end + 1;
	}
}

int iotlb_translate(const struct iotlb_version *v, struct iotlb_cache *cache, iova_t iova,
		    uint64_t len, uint8_t perm, struct iovec *iov, int max_iov)
{
	struct pieces p = {.iov = iov, .nr = 0, .max = max_iov};
	struct iotlb_cache local = {.nr_looked = 0};
	iova_t last;
	char *host;

	if (max_iov < 1 || !range_last(iova, len, &last))
		return -EINVAL;
	if (cache) {
		host = iotlb_translate_hit(v->number, cache, iova, len, perm);
		if (host) {
			iov[0] = (struct iovec){.iov_base = host, .iov_len = len};
			return 1;
		}
	}
	return translate_walk(v, cache ? cache : &local, iova, last, perm, &p);
}
