// SPDX-License-Identifier: BSD-3-Clause
#include "model.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "iotlb/internal.h"

void model_fini(struct model *m)
{
	free(m->entry);
	*m = (struct model){0};
}

static void model_reserve(struct model *m, size_t nr)
{
	if (nr <= m->room)
		return;
	m->room = nr * 2 + 16;
	m->entry = realloc(m->entry, m->room * sizeof(*m->entry));
	assert_non_null(m->entry);
}

void model_copy(struct model *dst, const struct model *src)
{
	model_reserve(dst, src->nr);
	if (src->nr)
		memcpy(dst->entry, src->entry, src->nr * sizeof(*src->entry));
	dst->nr = src->nr;
}

size_t model_next(const struct model *m, iova_t from)
{
	size_t lo = 0, hi = m->nr;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (m->entry[mid].last < from)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool model_overlaps(const struct model *m, iova_t first, iova_t last)
{
	size_t i = model_next(m, first);

	return i < m->nr && m->entry[i].first <= last;
}

void model_map(struct model *m, const struct iotlb_entry *e)
{
	size_t i = model_next(m, e->first);

	model_reserve(m, m->nr + 1);
	memmove(&m->entry[i + 1], &m->entry[i], (m->nr - i) * sizeof(*m->entry));
	m->entry[i] = *e;
	m->nr++;
}

size_t model_unmap(struct model *m, iova_t first, iova_t last)
{
	size_t from = model_next(m, first), to = from;

	while (to < m->nr && m->entry[to].first <= last)
		to++;
	if (to > from)
		memmove(&m->entry[from], &m->entry[to], (m->nr - to) * sizeof(*m->entry));
	m->nr -= to - from;
	return to - from;
}

int model_translate(const struct model *m, iova_t iova, uint64_t len, uint8_t perm,
		    struct iovec *iov, int max_iov)
{
	int nr = 0;

	if (len == 0 || iova + (len - 1) < iova)
		return -EINVAL;
	while (len > 0) {
		size_t i = model_next(m, iova);
		const struct iotlb_entry *e = &m->entry[i];
		uint64_t part = len;
		char *host;

		if (i == m->nr || e->first > iova || (e->perm & perm) != perm)
			return -EFAULT;
		if (len - 1 > e->last - iova)
			part = e->last - iova + 1;
		host = (char *)((uintptr_t)e->mem->host + e->off + (iova - e->first));
		if (nr > 0 && (char *)iov[nr - 1].iov_base + iov[nr - 1].iov_len == host) {
			iov[nr - 1].iov_len += part;
		} else {
			if (nr == max_iov)
				return -E2BIG;
			iov[nr++] = (struct iovec){.iov_base = host, .iov_len = part};
		}
		iova += part;
		len -= part;
	}
	return nr;
}

void assert_same_entry(const struct iotlb_entry *a, const struct iotlb_entry *b)
{
	assert_true(a->first == b->first);
	assert_true(a->last == b->last);
	assert_ptr_equal(a->mem, b->mem);
	assert_true(a->off == b->off);
	assert_int_equal(a->perm, b->perm);
}

/* The two ways to iterate, as one. */
static bool next(const struct iotlb_version *v, const struct iotlb *tlb, iova_t from,
		 struct iotlb_entry *e)
{
	return v ? iotlb_version_next(v, from, e) : iotlb_next(tlb, from, e);
}

static void assert_entries_are(const struct iotlb_version *v, const struct iotlb *tlb,
			       const struct model *m)
{
	struct iotlb_entry e;
	iova_t from = 0;
	size_t i = 0;

	for (; next(v, tlb, from, &e); i++) {
		assert_true(i < m->nr);
		assert_same_entry(&e, &m->entry[i]);
		from = e.last + 1;
		if (e.last == UINT64_MAX) {
			i++;
			break;
		}
	}
	assert_int_equal(i, m->nr);
}

void assert_version_is(const struct iotlb_version *v, const struct model *m)
{
	assert_int_equal(iotlb_version_nr_entries(v), m->nr);
	assert_entries_are(v, NULL, m);
}

void assert_view_is(const struct iotlb *tlb, const struct model *m)
{
	assert_int_equal(iotlb_nr_entries(tlb), m->nr);
	assert_entries_are(NULL, tlb, m);
}

/* Entries below @n, all of them behind *@last (unless *@first_seen is unset). */
static size_t assert_node_sound(const struct node *n, iova_t *last, bool *seen)
{
	size_t sum = 0;

	assert_true(n->nr >= 1 && n->nr <= n->cap && n->refs >= 1);
	assert_true(n->cap <= (n->level ? INNER_MAX : LEAF_MAX));
	for (unsigned i = n->nr; i < n->cap; i++)
		assert_true(n->key[i] == UINT64_MAX);
	for (unsigned i = 0; i < n->nr; i++) {
		if (n->level) {
			const struct node *child = node_children(n)[i];

			assert_int_equal(child->level + 1, n->level);
			assert_true(child->key[0] == n->key[i]);
			sum += assert_node_sound(child, last, seen);
			continue;
		}
		assert_true(!*seen || n->key[i] > *last);
		assert_true(node_slots(n)[i].last >= n->key[i]);
		*last = node_slots(n)[i].last;
		*seen = true;
		sum++;
	}
	return sum;
}

void assert_tree_sound(const struct iotlb_version *v)
{
	iova_t last = 0;
	bool seen = false;

	if (v->root)
		assert_int_equal(assert_node_sound(v->root, &last, &seen), v->nr);
	else
		assert_int_equal(v->nr, 0);
}

/* State of a walk that applies a difference. */
struct apply {
	struct model m;
	bool seen[2];
	iova_t prev[2]; /* first address of the last change of each kind */
};

static int apply_change(void *arg, enum iotlb_change change, const struct iotlb_entry *e)
{
	struct apply *a = arg;
	size_t i;

	assert_true(!a->seen[change] || e->first > a->prev[change]);
	a->seen[change] = true;
	a->prev[change] = e->first;
	if (change == IOTLB_ADDED) {
		assert_false(model_overlaps(&a->m, e->first, e->last));
		model_map(&a->m, e);
		return 0;
	}
	i = model_next(&a->m, e->first);
	assert_true(i < a->m.nr);
	assert_same_entry(&a->m.entry[i], e);
	assert_int_equal(model_unmap(&a->m, e->first, e->first), 1);
	return 0;
}

void assert_diff_leads(const struct iotlb_version *from, const struct model *m_from,
		       const struct iotlb_version *to, const struct model *m_to)
{
	struct apply a = {0};

	model_copy(&a.m, m_from);
	assert_int_equal(iotlb_diff(from, to, apply_change, &a), 0);
	assert_int_equal(a.m.nr, m_to->nr);
	for (size_t i = 0; i < m_to->nr; i++)
		assert_same_entry(&a.m.entry[i], &m_to->entry[i]);
	model_fini(&a.m);
}

static uint64_t rnd_state;

uint64_t rnd_seed(void)
{
	const char *env = getenv("IOTLB_SEED");
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	rnd_state = env ? strtoull(env, NULL, 0) : (uint64_t)ts.tv_sec * 1000003 + ts.tv_nsec;
	printf("IOTLB_SEED=%llu\n", (unsigned long long)rnd_state);
	fflush(stdout);
	return rnd_state;
}

/* splitmix64 */
uint64_t rnd(void)
{
	uint64_t z = (rnd_state += 0x9e3779b97f4a7c15U);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}
