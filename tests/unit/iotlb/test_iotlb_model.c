// SPDX-License-Identifier: BSD-3-Clause
/*
 * Random edits of two iotlbs, held against sorted arrays after each step: maps, unmaps, batches,
 * aborts, assignments between the two, snapshots that are kept and checked again much later, and
 * differences between any two snapshots. Set IOTLB_SEED to repeat a run, IOTLB_STEPS for its
 * length.
 */
#include "model.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NR_REGIONS   5 /* the last is the identity region */
#define NR_SNAPSHOTS 12
#define NR_TLBS      2
#define MAX_IOV      4
#define REGION_LEN   (1ULL << 34)

struct side {
	struct iotlb *tlb;
	struct model now;       /* the editing view */
	struct model published; /* what readers see; differs inside a batch */
	bool in_batch;
	struct iotlb_cache cache;
};

struct world {
	struct memory_space *space;
	struct memory_region *region[NR_REGIONS];
	struct side side[NR_TLBS];
	const struct iotlb_version *snap[NR_SNAPSHOTS];
	struct model snap_model[NR_SNAPSHOTS];
	uint64_t span; /* addresses in use at each end of the 64-bit space */
	size_t target; /* entries the maps and unmaps steer to */
	size_t max_entries;
};

/* Half of the addresses lie at the bottom of the space, half at its top. */
static iova_t rnd_iova(const struct world *w)
{
	uint64_t x = rnd_below(w->span);

	return rnd() & 1 ? x : UINT64_MAX - x;
}

static void rnd_range(const struct world *w, uint64_t max_len, iova_t *first, iova_t *last)
{
	uint64_t len = 1 + rnd_below(max_len);

	*first = rnd_iova(w);
	*last = len - 1 > UINT64_MAX - *first ? UINT64_MAX : *first + (len - 1);
}

static void rnd_entry(const struct world *w, struct iotlb_entry *e)
{
	rnd_range(w, 24, &e->first, &e->last);
	e->mem = w->region[rnd_below(NR_REGIONS)];
	/* Often the offset that makes neighbours touch in host memory too. */
	e->off = rnd() & 1 ? (e->first & (REGION_LEN / 2 - 1)) : rnd_below(REGION_LEN / 2);
	e->perm = rnd() & 3 ? IOTLB_RW : (uint8_t)rnd_below(4);
}

static void step_map(struct world *w, struct side *s)
{
	struct iotlb_entry e;
	int want = 0, err;

	rnd_entry(w, &e);
	if (model_overlaps(&s->now, e.first, e.last))
		want = -EEXIST;
	else if (s->now.nr >= w->max_entries)
		want = -ENOSPC;
	/* Bits beyond read and write are not kept. */
	err = iotlb_map(s->tlb, e.first, e.last, e.mem, e.off, e.perm | (rnd() & 0xfc));
	assert_int_equal(err, want);
	if (err == 0)
		model_map(&s->now, &e);
}

static void step_unmap(struct world *w, struct side *s)
{
	static const uint64_t lens[] = {1, 1, 8, 64, 64, 512};
	iova_t first, last;
	size_t removed = 12345;

	rnd_range(w, lens[rnd_below(ARRAY_LEN(lens))], &first, &last);
	if (rnd_below(400) == 0) {
		first = rnd() & 1 ? 0 : rnd_below(w->span);
		last = rnd() & 1 ? UINT64_MAX : UINT64_MAX - rnd_below(w->span);
	}
	assert_int_equal(iotlb_unmap(s->tlb, first, last, &removed), 0);
	assert_int_equal(removed, model_unmap(&s->now, first, last));
}

static void step_batch(struct side *s)
{
	if (!s->in_batch) {
		assert_int_equal(iotlb_begin(s->tlb), 0);
		assert_int_equal(iotlb_begin(s->tlb), -EBUSY);
		s->in_batch = true;
		return;
	}
	s->in_batch = false;
	if (rnd() & 1) {
		iotlb_commit(s->tlb);
	} else {
		iotlb_abort(s->tlb);
		model_copy(&s->now, &s->published);
	}
}

static void step_snapshot(struct world *w, struct side *s)
{
	unsigned int i = rnd_below(NR_SNAPSHOTS);

	if (w->snap[i]) {
		assert_version_is(w->snap[i], &w->snap_model[i]);
		assert_tree_sound(w->snap[i]);
		iotlb_version_put(w->snap[i]);
	}
	w->snap[i] = iotlb_snapshot(s->tlb);
	model_copy(&w->snap_model[i], &s->now);
	assert_version_is(w->snap[i], &w->snap_model[i]);
	assert_tree_sound(w->snap[i]);
}

static void step_assign(struct world *w, struct side *s)
{
	unsigned int i = rnd_below(NR_SNAPSHOTS);

	if (!w->snap[i])
		return;
	if (s->in_batch) {
		assert_int_equal(iotlb_assign(s->tlb, w->snap[i]), -EBUSY);
		return;
	}
	assert_int_equal(iotlb_assign(s->tlb, w->snap[i]), 0);
	assert_int_equal(iotlb_version_number(iotlb_load(s->tlb)),
			 iotlb_version_number(w->snap[i]));
	model_copy(&s->now, &w->snap_model[i]);
}

static void step_diff(struct world *w, struct side *s)
{
	unsigned int i = rnd_below(NR_SNAPSHOTS), j = rnd_below(NR_SNAPSHOTS);

	if (w->snap[i])
		assert_diff_leads(w->snap[i], &w->snap_model[i], iotlb_load(s->tlb), &s->published);
	if (w->snap[i] && w->snap[j])
		assert_diff_leads(w->snap[i], &w->snap_model[i], w->snap[j], &w->snap_model[j]);
}

static void step_read(struct world *w, struct side *s)
{
	const struct iotlb_version *v = iotlb_load(s->tlb);
	struct iovec got[MAX_IOV], want[MAX_IOV];
	iova_t iova = rnd_iova(w), last;
	struct iotlb_entry e;
	size_t i = model_next(&s->published, iova);
	uint8_t perm = (uint8_t)rnd_below(4);
	uint64_t len = rnd_below(80);
	int nr;

	assert_int_equal(iotlb_version_next(v, iova, &e), i < s->published.nr);
	if (i < s->published.nr)
		assert_same_entry(&e, &s->published.entry[i]);
	assert_int_equal(iotlb_lookup(v, iova, &e),
			 i < s->published.nr && s->published.entry[i].first <= iova);
	nr = iotlb_translate(v, rnd() & 1 ? &s->cache : NULL, iova, len, perm, got, MAX_IOV);
	assert_int_equal(nr, model_translate(&s->published, iova, len, perm, want, MAX_IOV));
	for (int k = 0; k < nr; k++) {
		assert_ptr_equal(got[k].iov_base, want[k].iov_base);
		assert_int_equal(got[k].iov_len, want[k].iov_len);
	}
	rnd_range(w, 8, &iova, &last);
	assert_int_equal(iotlb_overlaps(s->tlb, iova, last), model_overlaps(&s->now, iova, last));
}

static void step_edit(struct world *w, struct side *s)
{
	bool grow = s->now.nr < w->target;

	if (rnd_below(8) < (grow ? 6U : 3U))
		step_map(w, s);
	else
		step_unmap(w, s);
}

static void step(struct world *w)
{
	struct side *s = &w->side[rnd_below(NR_TLBS)];
	unsigned int r = rnd_below(1000);

	if (r < 940)
		step_edit(w, s);
	else if (r < 960)
		step_batch(s);
	else if (r < 975)
		step_snapshot(w, s);
	else if (r < 977)
		step_assign(w, s);
	else if (r < 985)
		step_diff(w, s);
	else if (r < 990)
		iotlb_synchronize(s->tlb);
	else if (r < 991)
		w->target = rnd_below(3) ? rnd_below(w->max_entries) : 0;
	if (!s->in_batch)
		model_copy(&s->published, &s->now);
	step_read(w, s);
	if (rnd_below(64) == 0) {
		assert_view_is(s->tlb, &s->now);
		assert_version_is(iotlb_load(s->tlb), &s->published);
		assert_tree_sound(iotlb_load(s->tlb));
	}
}

static void world_init(struct world *w)
{
	assert_int_equal(memory_space_create_own(&w->space), 0);
	for (int i = 0; i < NR_REGIONS - 1; i++)
		assert_int_equal(memory_region_create(w->space, 0x100000000000ULL + i * REGION_LEN,
						      REGION_LEN, true, MEMORY_VA, &w->region[i]),
				 0);
	w->region[NR_REGIONS - 1] = memory_space_identity(w->space);
	for (int i = 0; i < NR_TLBS; i++)
		assert_int_equal(iotlb_create(w->max_entries, &w->side[i].tlb), 0);
}

/* Every reference on a region that the iotlbs and versions took must be gone [G4]. */
static void world_fini(struct world *w)
{
	for (int i = 0; i < NR_TLBS; i++) {
		iotlb_destroy(w->side[i].tlb);
		model_fini(&w->side[i].now);
		model_fini(&w->side[i].published);
	}
	for (int i = 0; i < NR_SNAPSHOTS; i++) {
		if (w->snap[i]) {
			assert_version_is(w->snap[i], &w->snap_model[i]);
			iotlb_version_put(w->snap[i]);
		}
		model_fini(&w->snap_model[i]);
	}
	for (int i = 0; i < NR_REGIONS - 1; i++) {
		assert_int_equal(w->region[i]->refs, 1);
		memory_region_put(w->region[i]);
	}
	memory_space_put(w->space);
}

static void run_world(uint64_t span, size_t max_entries, unsigned long nr_steps)
{
	struct world w = {.span = span, .max_entries = max_entries, .target = max_entries};
	const char *env = getenv("IOTLB_STEPS");

	if (env)
		nr_steps = strtoul(env, NULL, 0);
	world_init(&w);
	while (nr_steps-- > 0)
		step(&w);
	world_fini(&w);
}

static void iotlb_random_edits_small_match_model(void **state)
{
	run_world(400, 40, 40000);
}

static void iotlb_random_edits_dense_match_model(void **state)
{
	run_world(16000, 4000, 20000);
}

static void iotlb_random_edits_sparse_match_model(void **state)
{
	run_world(1ULL << 40, 3000, 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iotlb_random_edits_small_match_model),
		cmocka_unit_test(iotlb_random_edits_dense_match_model),
		cmocka_unit_test(iotlb_random_edits_sparse_match_model),
	};

	rnd_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
