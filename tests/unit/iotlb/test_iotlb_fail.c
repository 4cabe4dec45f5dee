// SPDX-License-Identifier: BSD-3-Clause
/*
 * [G5] Every allocation of every edit is made to fail once, and the iotlb must then be what it was.
 * The room allocates with calloc() and malloc() only; the linker puts the two below before
 * the real ones.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "iotlb/iotlb.h"
#include "model.h"

#define NEVER      (-1L)
#define REGION_LEN 0x10000000ULL

static long fail_after = NEVER; /* allocations that still succeed */
static bool failed;

void *__real_calloc(size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

static bool must_fail(void)
{
	if (fail_after == NEVER)
		return false;
	if (fail_after-- > 0)
		return false;
	fail_after = NEVER;
	failed = true;
	return true;
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return must_fail() ? NULL : __real_calloc(nr, size);
}

void *__wrap_malloc(size_t size)
{
	return must_fail() ? NULL : __real_malloc(size);
}

struct fixture {
	struct memory_space *space;
	struct memory_region *mem;
	struct iotlb *tlb;
	struct model view, published;
	bool in_batch;
	unsigned long nr_failures, nr_survived; /* edits that failed; that did without the memory */
};

static void fixture_init(struct fixture *f)
{
	*f = (struct fixture){0};
	assert_int_equal(memory_space_create_own(&f->space), 0);
	assert_int_equal(memory_region_create(f->space, 0x100000000000ULL, REGION_LEN, true,
					      MEMORY_VA, &f->mem),
			 0);
	assert_int_equal(iotlb_create(100000, &f->tlb), 0);
}

static void fixture_fini(struct fixture *f)
{
	iotlb_destroy(f->tlb);
	assert_int_equal(f->mem->refs, 1);
	memory_region_put(f->mem);
	memory_space_put(f->space);
	model_fini(&f->view);
	model_fini(&f->published);
}

static void assert_matches(struct fixture *f)
{
	assert_view_is(f->tlb, &f->view);
	assert_version_is(iotlb_load(f->tlb), &f->published);
	assert_tree_sound(iotlb_load(f->tlb));
}

/* Try @edit with its first, second, ... allocation failing, until it has no more to fail. */
static void with_failures(struct fixture *f, int (*edit)(struct fixture *f, iova_t a, iova_t b),
			  iova_t a, iova_t b)
{
	for (long nth = 0;; nth++) {
		int err;

		failed = false;
		fail_after = nth;
		err = edit(f, a, b);
		fail_after = NEVER;
		assert_true(err == 0 || failed);
		if (err == 0) {
			f->nr_survived += failed;
			break;
		}
		assert_int_equal(err, -ENOMEM);
		f->nr_failures++;
		assert_matches(f);
	}
}

static int try_map(struct fixture *f, iova_t a, iova_t b)
{
	return iotlb_map(f->tlb, a, b, f->mem, a, IOTLB_RW);
}

static int try_unmap(struct fixture *f, iova_t a, iova_t b)
{
	size_t removed = 0;
	int err = iotlb_unmap(f->tlb, a, b, &removed);

	if (err == 0)
		assert_int_equal(removed, model_unmap(&f->view, a, b));
	return err;
}

static void do_map(struct fixture *f, iova_t a, iova_t b)
{
	struct iotlb_entry e = {.first = a, .last = b, .mem = f->mem, .off = a, .perm = IOTLB_RW};

	if (model_overlaps(&f->view, a, b))
		return;
	with_failures(f, try_map, a, b);
	model_map(&f->view, &e);
	if (!f->in_batch)
		model_copy(&f->published, &f->view);
	assert_matches(f);
}

static void do_unmap(struct fixture *f, iova_t a, iova_t b)
{
	with_failures(f, try_unmap, a, b);
	if (!f->in_batch)
		model_copy(&f->published, &f->view);
	assert_matches(f);
}

static void toggle_batch(struct fixture *f)
{
	f->in_batch = !f->in_batch;
	if (f->in_batch) {
		assert_int_equal(iotlb_begin(f->tlb), 0);
		return;
	}
	/* [G6] No memory at all from here on. */
	fail_after = 0;
	if (rnd() & 1) {
		iotlb_commit(f->tlb);
		model_copy(&f->published, &f->view);
	} else {
		iotlb_abort(f->tlb);
		model_copy(&f->view, &f->published);
	}
	assert_true(fail_after == 0);
	fail_after = NEVER;
	assert_matches(f);
}

static void snapshot_without_memory(struct fixture *f)
{
	const struct iotlb_version *v;

	fail_after = 0;
	v = iotlb_snapshot(f->tlb);
	assert_true(fail_after == 0);
	fail_after = NEVER;
	assert_version_is(v, &f->view);
	iotlb_version_put(v);
}

static void iotlb_create_without_memory_fails(void **state)
{
	for (long nth = 0; nth < 2; nth++) {
		struct iotlb *tlb = NULL;

		fail_after = nth;
		assert_int_equal(iotlb_create(1, &tlb), -ENOMEM);
		assert_null(tlb);
	}
	fail_after = NEVER;
}

static void iotlb_edit_without_memory_changes_nothing(void **state)
{
	struct fixture f;

	fixture_init(&f);
	/* Enough for three levels, with neighbours that removals join. */
	for (iova_t i = 0; i < 1100; i++) {
		struct iotlb_entry e = {
			.first = i * 16, .last = i * 16 + 7, .mem = f.mem, .off = 0, .perm = 1};

		assert_int_equal(iotlb_map(f.tlb, e.first, e.last, f.mem, 0, 1), 0);
		model_map(&f.view, &e);
	}
	model_copy(&f.published, &f.view);
	for (int i = 0; i < 1200; i++) {
		iova_t a = rnd_below(1100 * 16);
		unsigned int r = rnd_below(100);

		if (r < 40)
			do_map(&f, a, a + rnd_below(6));
		else if (r < 75)
			do_unmap(&f, a, a + rnd_below(32));
		else if (r < 85)
			do_unmap(&f, a, a + rnd_below(1500));
		else if (r < 95)
			toggle_batch(&f);
		else
			snapshot_without_memory(&f);
	}
	do_unmap(&f, 0, UINT64_MAX);
	print_message("%lu failed, %lu did without\n", f.nr_failures, f.nr_survived);
	/* The test would be empty if nothing had failed, or nothing had been left undone. */
	assert_true(f.nr_failures > 300);
	assert_true(f.nr_survived > 5);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iotlb_create_without_memory_fails),
		cmocka_unit_test(iotlb_edit_without_memory_changes_nothing),
	};

	rnd_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
