// SPDX-License-Identifier: BSD-3-Clause
/* Translation into host pieces, with and without the cache, and differences between versions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "iotlb/iotlb.h"
#include "model.h"

#define HOST       0x100000000000ULL
#define REGION_LEN 0x10000000ULL

struct fixture {
	struct memory_space *space;
	struct memory_region *mem;
	struct iotlb *tlb;
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	assert_int_equal(memory_space_create_own(&f->space), 0);
	assert_int_equal(memory_region_create(f->space, HOST, REGION_LEN, true, MEMORY_VA, &f->mem),
			 0);
	assert_int_equal(iotlb_create(1000000, &f->tlb), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	iotlb_destroy(f->tlb);
	assert_int_equal(f->mem->refs, 1);
	memory_region_put(f->mem);
	memory_space_put(f->space);
	test_free(f);
	return 0;
}

static void map(struct fixture *f, iova_t first, iova_t last, uint64_t off, uint8_t perm)
{
	assert_int_equal(iotlb_map(f->tlb, first, last, f->mem, off, perm), 0);
}

static int translate(struct fixture *f, struct iotlb_cache *cache, iova_t iova, uint64_t len,
		     uint8_t perm, struct iovec *iov, int max)
{
	return iotlb_translate(iotlb_load(f->tlb), cache, iova, len, perm, iov, max);
}

static void assert_piece(const struct iovec *iov, uint64_t off, uint64_t len)
{
	assert_true((uintptr_t)iov->iov_base == HOST + off);
	assert_int_equal(iov->iov_len, len);
}

static void iotlb_translate_touching_host_pieces_merge(void **state)
{
	struct fixture *f = *state;
	struct iovec iov[4];

	map(f, 1000, 1999, 0, IOTLB_RW);
	map(f, 2000, 2999, 1000, IOTLB_R);
	map(f, 3000, 3999, 500000, IOTLB_RW);
	map(f, 4000, 4999, 2000, IOTLB_RW);
	assert_int_equal(translate(f, NULL, 1000, 2000, IOTLB_R, iov, 1), 1);
	assert_piece(&iov[0], 0, 2000);
	assert_int_equal(translate(f, NULL, 1500, 3000, IOTLB_R, iov, 4), 3);
	assert_piece(&iov[0], 500, 1500);
	assert_piece(&iov[1], 500000, 1000);
	assert_piece(&iov[2], 2000, 500);
	assert_int_equal(translate(f, NULL, 1500, 3000, IOTLB_R, iov, 3), 3);
	assert_int_equal(translate(f, NULL, 1500, 3000, IOTLB_R, iov, 2), -E2BIG);
}

static void iotlb_translate_edges_are_byte_exact(void **state)
{
	struct fixture *f = *state;
	struct iovec iov;

	map(f, 1001, 1001, 7, IOTLB_RW);
	map(f, 2001, 2003, 8, IOTLB_RW);
	assert_int_equal(translate(f, NULL, 1001, 1, IOTLB_RW, &iov, 1), 1);
	assert_piece(&iov, 7, 1);
	assert_int_equal(translate(f, NULL, 1001, 2, IOTLB_RW, &iov, 1), IOTLB_MISS);
	assert_int_equal(translate(f, NULL, 1000, 1, IOTLB_RW, &iov, 1), IOTLB_MISS);
	assert_int_equal(translate(f, NULL, 1002, 1, IOTLB_RW, &iov, 1), IOTLB_MISS);
	assert_int_equal(translate(f, NULL, 2001, 3, IOTLB_RW, &iov, 1), 1);
	assert_int_equal(translate(f, NULL, 2003, 1, IOTLB_RW, &iov, 1), 1);
	assert_piece(&iov, 10, 1);
	assert_int_equal(translate(f, NULL, 2003, 2, IOTLB_RW, &iov, 1), IOTLB_MISS);
	assert_int_equal(translate(f, NULL, 0, UINT64_MAX, IOTLB_RW, &iov, 1), IOTLB_MISS);
}

static void iotlb_translate_no_range_refused(void **state)
{
	struct fixture *f = *state;
	struct iovec iov;

	map(f, UINT64_MAX - 9, UINT64_MAX, 0, IOTLB_RW);
	map(f, 0, 9, 10, IOTLB_RW);
	assert_int_equal(translate(f, NULL, 0, 0, IOTLB_R, &iov, 1), -EINVAL);
	assert_int_equal(translate(f, NULL, UINT64_MAX, 2, IOTLB_R, &iov, 1), -EINVAL);
	assert_int_equal(translate(f, NULL, 1, UINT64_MAX, IOTLB_R, &iov, 1), IOTLB_MISS);
	assert_int_equal(translate(f, NULL, 2, UINT64_MAX, IOTLB_R, &iov, 1), -EINVAL);
	assert_int_equal(translate(f, NULL, 0, 1, IOTLB_R, &iov, 0), -EINVAL);
	assert_int_equal(translate(f, NULL, UINT64_MAX - 9, 10, IOTLB_R, &iov, 1), 1);
	assert_piece(&iov, 0, 10);
}

static void iotlb_translate_perm_missing_refused(void **state)
{
	static const uint8_t perms[] = {IOTLB_NONE, IOTLB_R, IOTLB_W, IOTLB_RW};
	struct fixture *f = *state;
	struct iotlb_cache cache = {0};
	struct iovec iov;

	for (unsigned int has = 0; has < 4; has++)
		map(f, has * 10, has * 10 + 9, has * 10, perms[has]);
	for (unsigned int has = 0; has < 4; has++) {
		for (unsigned int need = 1; need < 4; need++) {
			int want = (has & need) == need ? 1 : IOTLB_MISS;

			assert_int_equal(translate(f, NULL, has * 10, 10, need, &iov, 1), want);
			assert_int_equal(translate(f, &cache, has * 10, 10, need, &iov, 1), want);
			assert_int_equal(translate(f, &cache, has * 10, 10, need, &iov, 1), want);
		}
	}
	/* One byte without the permission is enough. */
	assert_int_equal(translate(f, NULL, 29, 2, IOTLB_W, &iov, 1), 1);
	assert_int_equal(translate(f, NULL, 19, 2, IOTLB_W, &iov, 1), IOTLB_MISS);
}

static void iotlb_translate_cache_hits_only_its_version(void **state)
{
	struct fixture *f = *state;
	struct iotlb_cache cache = {0};
	uint64_t number;
	struct iovec iov;

	map(f, 100, 199, 0, IOTLB_R);
	number = iotlb_version_number(iotlb_load(f->tlb));
	assert_null(iotlb_translate_hit(number, &cache, 0, 1, IOTLB_R));
	assert_int_equal(translate(f, &cache, 150, 1, IOTLB_R, &iov, 1), 1);
	assert_true((uintptr_t)iotlb_translate_hit(number, &cache, 100, 100, IOTLB_R) == HOST);
	assert_true((uintptr_t)iotlb_translate_hit(number, &cache, 199, 1, IOTLB_R) == HOST + 99);
	assert_null(iotlb_translate_hit(number, &cache, 100, 101, IOTLB_R));
	assert_null(iotlb_translate_hit(number, &cache, 99, 1, IOTLB_R));
	assert_null(iotlb_translate_hit(number, &cache, 200, 1, IOTLB_R));
	assert_null(iotlb_translate_hit(number, &cache, 150, 0, IOTLB_R));
	assert_null(iotlb_translate_hit(number, &cache, 150, UINT64_MAX, IOTLB_R));
	assert_null(iotlb_translate_hit(number, &cache, 150, 1, IOTLB_W));
	assert_int_equal(iotlb_unmap(f->tlb, 100, 100, NULL), 0);
	assert_null(iotlb_translate_hit(iotlb_version_number(iotlb_load(f->tlb)), &cache, 150, 1,
					IOTLB_R));
	assert_int_equal(translate(f, &cache, 150, 1, IOTLB_R, &iov, 1), IOTLB_MISS);
	map(f, 100, 199, 1000, IOTLB_R);
	assert_int_equal(translate(f, &cache, 150, 1, IOTLB_R, &iov, 1), 1);
	assert_piece(&iov, 1050, 1);
}

static void iotlb_translate_across_many_entries_is_one_piece(void **state)
{
	struct fixture *f = *state;
	struct iovec iov;

	for (uint64_t i = 0; i < 3000; i++)
		map(f, i * 16, i * 16 + 15, i * 16, IOTLB_RW);
	assert_int_equal(translate(f, NULL, 1, 3000 * 16 - 2, IOTLB_RW, &iov, 1), 1);
	assert_piece(&iov, 1, 3000 * 16 - 2);
	assert_int_equal(translate(f, NULL, 1, 3000 * 16, IOTLB_RW, &iov, 1), IOTLB_MISS);
}

static int count(void *arg, enum iotlb_change change, const struct iotlb_entry *e)
{
	++*(size_t *)arg;
	return 0;
}

static int stop_at_third(void *arg, enum iotlb_change change, const struct iotlb_entry *e)
{
	return ++*(int *)arg == 3 ? 42 : 0;
}

static void iotlb_diff_callback_value_ends_walk(void **state)
{
	struct fixture *f = *state;
	const struct iotlb_version *empty = iotlb_snapshot(f->tlb);
	int nr = 0;

	for (iova_t i = 0; i < 10; i++)
		map(f, i, i, 0, IOTLB_R);
	assert_int_equal(iotlb_diff(empty, iotlb_load(f->tlb), stop_at_third, &nr), 42);
	assert_int_equal(nr, 3);
	nr = 0;
	assert_int_equal(iotlb_diff(iotlb_load(f->tlb), empty, stop_at_third, &nr), 42);
	assert_int_equal(nr, 3);
	nr = 0;
	assert_int_equal(iotlb_diff(empty, empty, stop_at_third, &nr), 0);
	assert_int_equal(nr, 0);
	iotlb_version_put(empty);
}

struct seen {
	enum iotlb_change change[8];
	struct iotlb_entry e[8];
	int nr;
};

static int see(void *arg, enum iotlb_change change, const struct iotlb_entry *e)
{
	struct seen *s = arg;

	assert_true(s->nr < 8);
	s->change[s->nr] = change;
	s->e[s->nr++] = *e;
	return 0;
}

/* A parent that applies changes one by one must never see an overlap. */
static void iotlb_diff_overlapping_removal_comes_first(void **state)
{
	struct fixture *f = *state;
	const struct iotlb_version *old;
	struct seen s = {.nr = 0};

	map(f, 50, 59, 0, IOTLB_R);
	map(f, 70, 79, 0, IOTLB_R);
	map(f, 200, 209, 0, IOTLB_R);
	old = iotlb_snapshot(f->tlb);
	assert_int_equal(iotlb_begin(f->tlb), 0);
	assert_int_equal(iotlb_unmap(f->tlb, 50, 79, NULL), 0);
	map(f, 0, 99, 0, IOTLB_R);
	assert_int_equal(iotlb_unmap(f->tlb, 200, 200, NULL), 0);
	map(f, 200, 209, 0, IOTLB_RW);
	iotlb_commit(f->tlb);
	assert_int_equal(iotlb_diff(old, iotlb_load(f->tlb), see, &s), 0);
	assert_int_equal(s.nr, 5);
	assert_true(s.change[0] == IOTLB_REMOVED && s.e[0].first == 50);
	assert_true(s.change[1] == IOTLB_REMOVED && s.e[1].first == 70);
	assert_true(s.change[2] == IOTLB_ADDED && s.e[2].first == 0);
	assert_true(s.change[3] == IOTLB_REMOVED && s.e[3].perm == IOTLB_R);
	assert_true(s.change[4] == IOTLB_ADDED && s.e[4].perm == IOTLB_RW);
	iotlb_version_put(old);
}

/* Fastest of some walks, in nanoseconds; checks the number of changes. */
static int64_t diff_ns(const struct iotlb_version *from, const struct iotlb_version *to,
		       size_t changes)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < 20; i++) {
		int64_t start = clock_now_ns(), ns;
		size_t nr = 0;

		assert_int_equal(iotlb_diff(from, to, count, &nr), 0);
		ns = clock_now_ns() - start;
		assert_int_equal(nr, changes);
		best = ns < best ? ns : best;
	}
	return best;
}

/* [G7] The measure is the walk over all entries; a real one change is some thousand times
 * faster. */
static void iotlb_diff_one_change_costs_little(void **state)
{
	struct fixture *f = *state;
	const struct iotlb_version *empty = iotlb_snapshot(f->tlb), *full, *more, *grown;
	const size_t nr = 27900; /* 900 full leaves: one level fewer than a bit more */
	int64_t all;

	assert_int_equal(iotlb_begin(f->tlb), 0);
	for (uint64_t i = 0; i < nr; i++)
		map(f, i * 16, i * 16 + 7, i * 16, IOTLB_RW);
	iotlb_commit(f->tlb);
	full = iotlb_snapshot(f->tlb);
	map(f, 160000 + 8, 160000 + 8, 0, IOTLB_R);
	more = iotlb_snapshot(f->tlb);
	assert_int_equal(iotlb_begin(f->tlb), 0);
	for (uint64_t i = 0; i < 100; i++)
		map(f, (nr + i) * 16, (nr + i) * 16 + 7, 0, IOTLB_RW);
	iotlb_commit(f->tlb);
	grown = iotlb_snapshot(f->tlb);
	all = diff_ns(empty, full, nr);
	assert_true(diff_ns(full, full, 0) < all / 50);
	assert_true(diff_ns(full, more, 1) < all / 50);
	assert_true(diff_ns(more, full, 1) < all / 50);
	assert_true(diff_ns(full, grown, 101) < all / 20);
	assert_true(diff_ns(grown, full, 101) < all / 20);
	iotlb_version_put(empty);
	iotlb_version_put(full);
	iotlb_version_put(more);
	iotlb_version_put(grown);
}

/* The limit that the room promises, for both orders of insertion and after thinning out. */
static void iotlb_memory_stays_under_80_bytes_an_entry(void **state)
{
	struct fixture *f = *state;
	const uint64_t nr = 1 << 16;

	assert_int_equal(iotlb_begin(f->tlb), 0);
	for (uint64_t i = 0; i < nr; i++)
		map(f, i * 16, i * 16 + 7, 0, IOTLB_RW);
	iotlb_commit(f->tlb);
	assert_true(iotlb_memory_bytes(f->tlb) <= 40 * nr);
	assert_int_equal(iotlb_unmap(f->tlb, 0, UINT64_MAX, NULL), 0);
	assert_int_equal(iotlb_memory_bytes(f->tlb), 0);
	assert_int_equal(iotlb_begin(f->tlb), 0);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t at = (i * 40503) % nr; /* odd factor: every index once */

		map(f, at * 16, at * 16 + 7, 0, IOTLB_RW);
	}
	iotlb_commit(f->tlb);
	assert_true(iotlb_memory_bytes(f->tlb) <= 80 * nr);
	assert_int_equal(iotlb_begin(f->tlb), 0);
	for (uint64_t i = 0; i < nr; i++)
		if (i % 5)
			assert_int_equal(iotlb_unmap(f->tlb, i * 16, i * 16, NULL), 0);
	iotlb_commit(f->tlb);
	assert_true(iotlb_memory_bytes(f->tlb) <= 80 * iotlb_nr_entries(f->tlb));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(iotlb_translate_touching_host_pieces_merge),
		CASE(iotlb_translate_edges_are_byte_exact),
		CASE(iotlb_translate_no_range_refused),
		CASE(iotlb_translate_perm_missing_refused),
		CASE(iotlb_translate_cache_hits_only_its_version),
		CASE(iotlb_translate_across_many_entries_is_one_piece),
		CASE(iotlb_diff_callback_value_ends_walk),
		CASE(iotlb_diff_overlapping_removal_comes_first),
		CASE(iotlb_diff_one_change_costs_little),
		CASE(iotlb_memory_stays_under_80_bytes_an_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
