// SPDX-License-Identifier: BSD-3-Clause
/* Editing, batches, versions and region references at their edges. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "iotlb/iotlb.h"
#include "model.h"

#define REGION_LEN 0x100000ULL

struct fixture {
	struct memory_space *space;
	struct memory_region *mem, *other, *identity;
	struct iotlb *tlb;
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	assert_int_equal(memory_space_create_own(&f->space), 0);
	assert_int_equal(memory_region_create(f->space, 0x100000000000ULL, REGION_LEN, true,
					      MEMORY_VA, &f->mem),
			 0);
	assert_int_equal(memory_region_create(f->space, 0x200000000000ULL, REGION_LEN, true,
					      MEMORY_VA, &f->other),
			 0);
	f->identity = memory_space_identity(f->space);
	assert_int_equal(iotlb_create(100, &f->tlb), 0);
	*state = f;
	return 0;
}

/* Whatever a case did, no reference on a region is left [G4]. */
static int teardown(void **state)
{
	struct fixture *f = *state;

	iotlb_destroy(f->tlb);
	assert_int_equal(f->mem->refs, 1);
	assert_int_equal(f->other->refs, 1);
	memory_region_put(f->mem);
	memory_region_put(f->other);
	memory_space_put(f->space);
	test_free(f);
	return 0;
}

static int map(struct fixture *f, iova_t first, iova_t last)
{
	return iotlb_map(f->tlb, first, last, f->mem, 0, IOTLB_RW);
}

static void unmap(struct fixture *f, iova_t first, iova_t last, size_t want)
{
	size_t removed = ~(size_t)0;

	assert_int_equal(iotlb_unmap(f->tlb, first, last, &removed), 0);
	assert_int_equal(removed, want);
}

static void iotlb_create_no_entries_refused(void **state)
{
	struct iotlb *tlb = NULL;

	assert_int_equal(iotlb_create(0, &tlb), -EINVAL);
	assert_null(tlb);
	iotlb_destroy(NULL);
	iotlb_version_put(NULL);
}

static void iotlb_map_bad_range_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, 1, 0), -EINVAL);
	assert_int_equal(map(f, UINT64_MAX, 0), -EINVAL);
	assert_int_equal(iotlb_map(f->tlb, 0, 0, NULL, 0, IOTLB_RW), -EINVAL);
	assert_int_equal(map(f, 0, REGION_LEN), -EINVAL);
	assert_int_equal(iotlb_map(f->tlb, 0, 0, f->mem, REGION_LEN, IOTLB_RW), -EINVAL);
	assert_int_equal(iotlb_map(f->tlb, 0, 1, f->mem, REGION_LEN - 1, IOTLB_RW), -EINVAL);
	assert_int_equal(iotlb_map(f->tlb, 0, 1, f->mem, UINT64_MAX, IOTLB_RW), -EINVAL);
	assert_int_equal(iotlb_map(f->tlb, 0, UINT64_MAX, f->identity, 1, IOTLB_RW), -EINVAL);
	assert_int_equal(iotlb_nr_entries(f->tlb), 0);
	assert_int_equal(f->mem->refs, 1);
	assert_int_equal(iotlb_map(f->tlb, 0, 0, f->mem, REGION_LEN - 1, IOTLB_RW), 0);
	assert_int_equal(iotlb_map(f->tlb, 1, REGION_LEN, f->mem, 0, IOTLB_RW), 0);
}

static void iotlb_map_overlap_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, 100, 199), 0);
	assert_int_equal(map(f, 100, 199), -EEXIST);
	assert_int_equal(map(f, 0, 100), -EEXIST);
	assert_int_equal(map(f, 199, 199), -EEXIST);
	assert_int_equal(map(f, 120, 130), -EEXIST);
	assert_int_equal(map(f, 0, 500), -EEXIST);
	assert_int_equal(map(f, 99, 99), 0);
	assert_int_equal(map(f, 200, 200), 0);
	assert_int_equal(iotlb_nr_entries(f->tlb), 3);
}

static void iotlb_map_last_byte_of_space_works(void **state)
{
	struct fixture *f = *state;
	struct iotlb_entry e;

	assert_int_equal(map(f, UINT64_MAX, UINT64_MAX), 0);
	assert_int_equal(map(f, UINT64_MAX - 4095, UINT64_MAX), -EEXIST);
	assert_true(iotlb_lookup(iotlb_load(f->tlb), UINT64_MAX, &e));
	assert_false(iotlb_lookup(iotlb_load(f->tlb), UINT64_MAX - 1, &e));
	assert_true(iotlb_next(f->tlb, UINT64_MAX, &e));
	unmap(f, UINT64_MAX, UINT64_MAX, 1);
	assert_false(iotlb_next(f->tlb, 0, &e));
}

static void iotlb_map_all_of_space_translates_to_itself(void **state)
{
	struct fixture *f = *state;
	struct iotlb_cache cache = {0};
	struct iotlb_entry e;
	struct iovec iov;

	assert_int_equal(iotlb_map(f->tlb, 0, UINT64_MAX, f->identity, 0, IOTLB_RW), 0);
	assert_int_equal(map(f, 5, 5), -EEXIST);
	assert_true(iotlb_lookup(iotlb_load(f->tlb), 0x1234, &e));
	assert_true(e.first == 0 && e.last == UINT64_MAX);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(iotlb_translate(iotlb_load(f->tlb), &cache, 1, UINT64_MAX,
						 IOTLB_RW, &iov, 1),
				 1);
		assert_int_equal((uintptr_t)iov.iov_base, 1);
		assert_true(iov.iov_len == UINT64_MAX);
		assert_int_equal(
			iotlb_translate(iotlb_load(f->tlb), &cache, 0, 1, IOTLB_R, &iov, 1), 1);
		assert_null(iov.iov_base);
	}
	unmap(f, 77, 77, 1);
}

static void iotlb_map_any_perm_bits_keeps_two(void **state)
{
	struct fixture *f = *state;
	struct iotlb_entry e;

	assert_int_equal(iotlb_map(f->tlb, 0, 9, f->mem, 0, 0), 0);
	assert_int_equal(iotlb_map(f->tlb, 10, 19, f->mem, 0, 0xfe), 0);
	assert_true(iotlb_lookup(iotlb_load(f->tlb), 0, &e));
	assert_int_equal(e.perm, IOTLB_NONE);
	assert_true(iotlb_lookup(iotlb_load(f->tlb), 10, &e));
	assert_int_equal(e.perm, IOTLB_W);
	assert_ptr_equal(e.mem, f->mem);
}

static void iotlb_map_over_limit_refused(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 100; i++)
		assert_int_equal(map(f, i * 2, i * 2), 0);
	assert_int_equal(map(f, 1000, 1000), -ENOSPC);
	assert_int_equal(map(f, 0, 0), -EEXIST);
	unmap(f, 50, 50, 1);
	assert_int_equal(map(f, 1000, 1000), 0);
	assert_int_equal(iotlb_begin(f->tlb), 0);
	assert_int_equal(map(f, 1002, 1002), -ENOSPC);
	iotlb_commit(f->tlb);
}

static void iotlb_unmap_one_byte_removes_whole_entry(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, 100, 199), 0);
	assert_int_equal(map(f, 200, 299), 0);
	assert_int_equal(map(f, 400, 499), 0);
	unmap(f, 0, 99, 0);
	unmap(f, 300, 399, 0);
	unmap(f, 199, 200, 2);
	unmap(f, 0, UINT64_MAX, 1);
	unmap(f, 0, UINT64_MAX, 0);
}

/* Size 0 at X is the range [X, X - 1]: it hits the entry that holds both, [2-17]. */
static void iotlb_unmap_inverted_range_removes_spanning_entry(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, 100, 199), 0);
	assert_int_equal(map(f, 200, 299), 0);
	unmap(f, 200, 199, 0);
	unmap(f, 100, 99, 0);
	unmap(f, 150, 149, 1);
	unmap(f, 299, 298, 1);
}

static void iotlb_unmap_nothing_keeps_version(void **state)
{
	struct fixture *f = *state;
	uint64_t number;

	assert_int_equal(map(f, 100, 199), 0);
	number = iotlb_version_number(iotlb_load(f->tlb));
	assert_int_equal(iotlb_unmap(f->tlb, 0, 99, NULL), 0);
	assert_int_equal(map(f, 100, 100), -EEXIST);
	assert_int_equal(iotlb_begin(f->tlb), 0);
	iotlb_commit(f->tlb);
	assert_int_equal(iotlb_version_number(iotlb_load(f->tlb)), number);
	unmap(f, 100, 100, 1);
	assert_true(iotlb_version_number(iotlb_load(f->tlb)) > number);
}

static void iotlb_next_between_entries_finds_the_following(void **state)
{
	struct fixture *f = *state;
	struct iotlb_entry e;

	for (int i = 99; i >= 0; i--)
		assert_int_equal(map(f, 1000 + i * 10, 1000 + i * 10 + 4), 0);
	assert_true(iotlb_next(f->tlb, 0, &e));
	assert_int_equal(e.first, 1000);
	for (int i = 0; i < 99; i++) {
		assert_true(iotlb_next(f->tlb, 1000 + i * 10 + 4, &e));
		assert_int_equal(e.first, 1000 + i * 10);
		assert_true(iotlb_next(f->tlb, 1000 + i * 10 + 5, &e));
		assert_int_equal(e.first, 1000 + (i + 1) * 10);
	}
	assert_false(iotlb_next(f->tlb, 1000 + 99 * 10 + 5, &e));
	assert_true(iotlb_overlaps(f->tlb, 0, 1000));
	assert_false(iotlb_overlaps(f->tlb, 0, 999));
	assert_false(iotlb_overlaps(f->tlb, 1005, 1009));
	assert_true(iotlb_overlaps(f->tlb, 1005, 1010));
}

/* [G1] */
static void iotlb_batch_before_commit_is_unseen(void **state)
{
	struct fixture *f = *state;
	struct iotlb_entry e;

	assert_int_equal(map(f, 0, 9), 0);
	assert_int_equal(iotlb_begin(f->tlb), 0);
	assert_int_equal(iotlb_begin(f->tlb), -EBUSY);
	unmap(f, 0, 0, 1);
	assert_int_equal(map(f, 20, 29), 0);
	assert_true(iotlb_lookup(iotlb_load(f->tlb), 5, &e));
	assert_false(iotlb_lookup(iotlb_load(f->tlb), 25, &e));
	assert_int_equal(iotlb_nr_entries(f->tlb), 1);
	assert_true(iotlb_next(f->tlb, 0, &e));
	assert_int_equal(e.first, 20);
	iotlb_commit(f->tlb);
	assert_false(iotlb_lookup(iotlb_load(f->tlb), 5, &e));
	assert_true(iotlb_lookup(iotlb_load(f->tlb), 25, &e));
}

static void iotlb_abort_after_edits_restores(void **state)
{
	struct fixture *f = *state;
	uint64_t number;

	assert_int_equal(map(f, 0, 9), 0);
	number = iotlb_version_number(iotlb_load(f->tlb));
	assert_int_equal(iotlb_begin(f->tlb), 0);
	for (int i = 1; i < 80; i++)
		assert_int_equal(iotlb_map(f->tlb, i * 10, i * 10, f->other, 0, IOTLB_R), 0);
	unmap(f, 0, 100, 11);
	iotlb_abort(f->tlb);
	assert_int_equal(f->other->refs, 1);
	assert_int_equal(iotlb_nr_entries(f->tlb), 1);
	assert_int_equal(iotlb_version_number(iotlb_load(f->tlb)), number);
}

static void iotlb_destroy_inside_batch_drops_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(map(f, 0, 9), 0);
	assert_int_equal(iotlb_begin(f->tlb), 0);
	assert_int_equal(map(f, 10, 19), 0);
	iotlb_version_put(iotlb_snapshot(f->tlb));
	assert_int_equal(map(f, 20, 29), 0);
}

/* [G6] [G9] */
static void iotlb_snapshot_inside_batch_stays_as_it_is(void **state)
{
	struct fixture *f = *state;
	const struct iotlb_version *a, *b, *c;

	assert_int_equal(iotlb_begin(f->tlb), 0);
	assert_int_equal(map(f, 0, 9), 0);
	a = iotlb_snapshot(f->tlb);
	b = iotlb_snapshot(f->tlb);
	assert_ptr_equal(a, b);
	assert_int_equal(map(f, 10, 19), 0);
	c = iotlb_snapshot(f->tlb);
	assert_int_equal(iotlb_version_nr_entries(a), 1);
	assert_int_equal(iotlb_version_nr_entries(c), 2);
	assert_true(iotlb_version_number(c) > iotlb_version_number(a));
	iotlb_commit(f->tlb);
	assert_ptr_equal(iotlb_load(f->tlb), c);
	iotlb_version_put(a);
	iotlb_version_put(b);
	iotlb_version_put(iotlb_version_get(c));
	iotlb_version_put(c);
}

/* [G3] */
static void iotlb_assign_shares_version_and_parts(void **state)
{
	struct fixture *f = *state;
	const struct iotlb_version *v;
	struct iotlb *small, *twin;

	assert_int_equal(iotlb_create(1, &small), 0);
	assert_int_equal(iotlb_create(100, &twin), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(map(f, i * 10, i * 10 + 9), 0);
	v = iotlb_snapshot(f->tlb);
	assert_int_equal(iotlb_assign(small, v), -ENOSPC);
	assert_int_equal(iotlb_begin(twin), 0);
	assert_int_equal(iotlb_assign(twin, v), -EBUSY);
	iotlb_abort(twin);
	assert_int_equal(iotlb_assign(twin, v), 0);
	assert_ptr_equal(iotlb_load(twin), iotlb_load(f->tlb));
	assert_int_equal(iotlb_assign(twin, v), 0);
	iotlb_version_put(v);
	unmap(f, 0, 99, 10);
	assert_int_equal(iotlb_nr_entries(twin), 50);
	assert_int_equal(iotlb_map(twin, 5000, 5000, f->other, 0, IOTLB_R), 0);
	unmap(f, 0, UINT64_MAX, 40);
	iotlb_synchronize(f->tlb);
	assert_int_equal(iotlb_nr_entries(twin), 51);
	assert_int_equal(iotlb_unmap(twin, 0, UINT64_MAX, NULL), 0);
	iotlb_synchronize(twin);
	assert_int_equal(f->mem->refs, 1);
	assert_int_equal(f->other->refs, 1);
	iotlb_destroy(small);
	iotlb_destroy(twin);
}

/* [G2] [G4] */
static void iotlb_unmap_releases_region_at_synchronize(void **state)
{
	struct fixture *f = *state;
	const struct iotlb_version *held;

	assert_int_equal(map(f, 0, 9), 0);
	assert_int_equal(iotlb_map(f->tlb, 10, 19, f->other, 0, IOTLB_R), 0);
	held = iotlb_snapshot(f->tlb);
	unmap(f, 0, 9, 1);
	assert_true(f->mem->refs > 1);
	iotlb_synchronize(f->tlb);
	assert_int_equal(f->mem->refs, 2);
	iotlb_version_put(held);
	assert_int_equal(f->mem->refs, 1);
	assert_int_equal(f->other->refs, 2);
	assert_int_equal(map(f, 0, 9), 0);
	held = iotlb_snapshot(f->tlb);
	unmap(f, 0, 9, 1);
	iotlb_version_put(held);
	assert_true(f->mem->refs > 1);
	iotlb_synchronize(f->tlb);
	assert_int_equal(f->mem->refs, 1);
}

/* [G3] A snapshot outlives its iotlb. */
static void iotlb_destroy_leaves_snapshot(void **state)
{
	struct fixture *f = *state;
	const struct iotlb_version *v;
	struct iotlb_entry e;

	assert_int_equal(map(f, 0, 9), 0);
	v = iotlb_snapshot(f->tlb);
	iotlb_destroy(f->tlb);
	f->tlb = NULL;
	assert_true(iotlb_version_next(v, 0, &e));
	assert_ptr_equal(e.mem, f->mem);
	iotlb_version_put(v);
}

/* [G8] Old versions of one entry hold one reference each. */
static void iotlb_edits_without_synchronize_stay_bounded(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 1000; i++) {
		assert_int_equal(map(f, 0, 9), 0);
		assert_true(f->mem->refs <= 34);
		unmap(f, 0, 9, 1);
	}
}

/* [G2] [G8] Each round leaves two old versions, one of them with an entry of its own. */
static void iotlb_edits_keep_old_versions_while_a_reader_is_online(void **state)
{
	struct fixture *f = *state;
	const struct iotlb_version *v;
	struct iotlb_entry e;

	assert_int_equal(map(f, 0, 9), 0);
	iotlb_synchronize(f->tlb);
	rcu_reader_register();
	v = iotlb_load(f->tlb);
	for (int i = 0; i < 14; i++) {
		unmap(f, 0, 9, 1);
		assert_int_equal(map(f, 0, 9), 0);
	}
	assert_true(iotlb_lookup(v, 5, &e));
	assert_ptr_equal(e.mem, f->mem);
	assert_true(f->mem->refs >= 1 + 14);
	rcu_reader_offline();
	for (int i = 0; i < 16; i++) {
		unmap(f, 0, 9, 1);
		assert_int_equal(map(f, 0, 9), 0);
	}
	assert_true(f->mem->refs <= 1 + 5);
	rcu_reader_unregister();
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(iotlb_create_no_entries_refused),
		CASE(iotlb_map_bad_range_refused),
		CASE(iotlb_map_overlap_refused),
		CASE(iotlb_map_last_byte_of_space_works),
		CASE(iotlb_map_all_of_space_translates_to_itself),
		CASE(iotlb_map_any_perm_bits_keeps_two),
		CASE(iotlb_map_over_limit_refused),
		CASE(iotlb_unmap_one_byte_removes_whole_entry),
		CASE(iotlb_unmap_inverted_range_removes_spanning_entry),
		CASE(iotlb_unmap_nothing_keeps_version),
		CASE(iotlb_next_between_entries_finds_the_following),
		CASE(iotlb_batch_before_commit_is_unseen),
		CASE(iotlb_abort_after_edits_restores),
		CASE(iotlb_destroy_inside_batch_drops_it),
		CASE(iotlb_snapshot_inside_batch_stays_as_it_is),
		CASE(iotlb_assign_shares_version_and_parts),
		CASE(iotlb_unmap_releases_region_at_synchronize),
		CASE(iotlb_destroy_leaves_snapshot),
		CASE(iotlb_edits_without_synchronize_stay_bounded),
		CASE(iotlb_edits_keep_old_versions_while_a_reader_is_online),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
