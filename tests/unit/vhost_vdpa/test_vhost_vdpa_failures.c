// SPDX-License-Identifier: BSD-3-Clause
/* The parent or the memory fails in the middle of an UPDATE: nothing of it stays ([2-11],
 * [2-16]). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "env.h"

#define NR_PIECES 4

/* Four mappings of two pages each: four pieces. Anonymous shared ones do not merge. */
static char *map_pieces(void)
{
	char *p = mmap(NULL, 2 * NR_PIECES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	for (uint64_t i = 0; i < NR_PIECES; i++)
		assert_true(mmap(p + 2 * i * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	return p;
}

static uint64_t where(struct env *env, uint64_t iova)
{
	return recorder_where(env->rec, 0, iova, VHOST_ACCESS_RW);
}

/* The @nth set_map of an UPDATE of four pieces fails. In default mode there is one. */
static void set_map_fails(unsigned int nth, struct recorder_options opt, uint64_t iova)
{
	char *pieces = map_pieces();
	char expected[256] = "";
	struct env env;

	env_open(&env, &opt);
	assert_int_equal(env_map(&env, 0x900000, PAGE, env.shared), 72);
	recorder_clear(env.rec);
	recorder_fail(env.rec, "set_map", nth, -EIO);
	assert_int_equal(env_map(&env, iova, 2 * NR_PIECES * PAGE, pieces), -EFAULT);
	if (opt.deviations == DEFAULT)
		snprintf(expected, sizeof(expected), "set_map(0, %u)\n", 1 + NR_PIECES);
	for (unsigned int i = 1; opt.deviations == STRICT && i <= nth; i++)
		snprintf(expected + strlen(expected), 32, "set_map(0, %u)\n", i + 1);
	/* then the former map again */
	snprintf(expected + strlen(expected), 32, "set_map(0, 1)\n");
	recorder_reads(env.rec, expected);
	assert_true(where(&env, 0x900000) == (uintptr_t)env.shared);
	assert_true(where(&env, iova) == 0);
	assert_true(recorder_nr_entries(env.rec, 0) == 1);
	/* nothing is left in the client's view either */
	assert_int_equal(env_map(&env, iova, 2 * NR_PIECES * PAGE, pieces), 72);
	env_fini(&env);
	munmap(pieces, 2 * NR_PIECES * PAGE);
}

static void update_takes_back_what_set_map_refuses(void **state)
{
	for (int keeps = 0; keeps < 2; keeps++) {
		struct recorder_options opt = {.keeps_map = keeps, .deviations = DEFAULT};

		set_map_fails(1, opt, 0);
		set_map_fails(1, opt, 0x100000);
		opt.deviations = STRICT;
		for (unsigned int nth = 1; nth <= NR_PIECES; nth++)
			set_map_fails(nth, opt, 0x100000);
	}
}

/* The parent refuses the UPDATE's map and the former one: it has nothing of the UPDATE. */
static void update_that_cannot_be_taken_back_gives_the_device_nothing(void **state)
{
	static const uint32_t deviations[] = {DEFAULT, STRICT};
	char *pieces = map_pieces();
	struct env env;

	for (int i = 0; i < 4; i++) {
		env_open(&env, &(struct recorder_options){.keeps_map = i % 2,
							  .deviations = deviations[i / 2]});
		assert_int_equal(env_map(&env, 0x900000, PAGE, env.shared), 72);
		recorder_fail_for(env.rec, "set_map", i / 2 ? 2 : 1, -EIO, 2);
		assert_int_equal(env_map(&env, 0x100000, 2 * NR_PIECES * PAGE, pieces), -EFAULT);
		assert_true(where(&env, 0x100000) == 0);
		env_fini(&env);
	}
	munmap(pieces, 2 * NR_PIECES * PAGE);
}

/* The client is told nothing. The device does not reach the memory. */
static void invalidate_that_set_map_refuses_ends_the_access(void **state)
{
	for (int i = 0; i < 8; i++) {
		bool batch = i % 2, keeps = i / 2 % 2;
		struct env env;

		env_open(&env, &(struct recorder_options){.keeps_map = keeps,
							  .deviations = i / 4 ? DEFAULT : STRICT});
		assert_int_equal(env_map(&env, 0x900000, PAGE, env.shared), 72);
		assert_int_equal(env_map(&env, 0x100000, PAGE, env.shared + PAGE), 72);
		if (batch)
			assert_int_equal(env_begin(&env), 72);
		recorder_fail(env.rec, "set_map", 1, -EIO);
		assert_int_equal(env_unmap(&env, 0x100000, PAGE), 72);
		if (batch)
			assert_int_equal(env_end(&env), 72);
		assert_true(where(&env, 0x100000) == 0);
		assert_true(where(&env, 0x900000) == 0);
		/* the next map is whole */
		assert_int_equal(env_map(&env, 0x100000, PAGE, env.shared), 72);
		assert_true(where(&env, 0x100000) == (uintptr_t)env.shared);
		assert_true(where(&env, 0x900000) == (uintptr_t)env.shared);
		env_fini(&env);
	}
}

static void update_takes_back_what_dma_map_refuses(void **state)
{
	char *pieces = map_pieces();
	struct env env;

	for (unsigned int nth = 1; nth <= NR_PIECES; nth++) {
		env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP});
		assert_int_equal(env_map(&env, 0x900000, PAGE, env.shared), 72);
		for (int batch = 0; batch < 2; batch++) {
			if (batch)
				assert_int_equal(env_begin(&env), 72);
			recorder_fail(env.rec, "dma_map", nth, -EIO);
			assert_int_equal(env_map(&env, 0x100000, 2 * NR_PIECES * PAGE, pieces),
					 -EFAULT);
			assert_true(recorder_nr_entries(env.rec, 0) == 1);
			assert_true(where(&env, 0x900000) == (uintptr_t)env.shared);
		}
		assert_int_equal(env_map(&env, 0x100000, 2 * NR_PIECES * PAGE, pieces), 72);
		assert_true(recorder_nr_entries(env.rec, 0) == 1 + NR_PIECES);
		env_fini(&env);
	}
	munmap(pieces, 2 * NR_PIECES * PAGE);
}

/* The limit is hit at each piece, for each style, inside and outside a batch. */
static void update_takes_back_what_the_limit_refuses(void **state)
{
	static const enum vdpa_mapping mappings[] = {VDPA_MAPPING_SET_MAP, VDPA_MAPPING_DMA_MAP,
						     VDPA_MAPPING_PLATFORM};
	char *pieces = map_pieces();
	struct env env;

	for (size_t m = 0; m < ARRAY_LEN(mappings); m++)
		for (size_t limit = 1; limit <= NR_PIECES; limit++)
			for (int batch = 0; batch < 2; batch++) {
				env_open(&env, &(struct recorder_options){.mapping = mappings[m],
									  .max_entries = limit});
				assert_int_equal(env_map(&env, 0x900000, PAGE, env.shared), 72);
				if (batch)
					assert_int_equal(env_begin(&env), 72);
				assert_int_equal(
					env_map(&env, 0x100000, 2 * NR_PIECES * PAGE, pieces),
					-EFAULT);
				if (batch)
					assert_int_equal(env_end(&env), 72);
				assert_true(recorder_nr_entries(env.rec, 0) == 1);
				assert_true(where(&env, 0x900000) == (uintptr_t)env.shared);
				env_fini(&env);
			}
	munmap(pieces, 2 * NR_PIECES * PAGE);
}

/* The client was told that its batch is in force. */
static void batch_that_set_map_refuses_is_told_again_before_driver_ok(void **state)
{
	for (int keeps = 0; keeps < 2; keeps++) {
		struct env env;

		env_open(&env,
			 &(struct recorder_options){.keeps_map = keeps, .deviations = DEFAULT});
		assert_int_equal(env_begin(&env), 72);
		assert_int_equal(env_map(&env, 0x100000, PAGE, env.shared), 72);
		recorder_fail(env.rec, "set_map", 1, -EIO);
		assert_int_equal(env_end(&env), 72);
		recorder_clear(env.rec);
		assert_int_equal(env_status(&env, 0xb), 0);
		recorder_reads(env.rec, "set_status(0xb)\n");
		assert_int_equal(env_status(&env, 0xf), 0);
		recorder_reads(env.rec, "set_map(0, 1)\nset_status(0xf)\n");
		assert_true(where(&env, 0x100000) == (uintptr_t)env.shared);
		env_fini(&env);
	}
}

/* A batch that was never ended keeps back the map of its own address space alone. */
static void batch_left_open_elsewhere_does_not_keep_a_refused_map_back(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = DEFAULT});
	assert_int_equal(env_u64(&env, VHOST_SET_BACKEND_FEATURES, BACKEND_ASID), 0);
	assert_int_equal(env_begin(&env), 72);
	assert_int_equal(env_map(&env, 0x100000, PAGE, env.shared), 72);
	recorder_fail(env.rec, "set_map", 1, -EIO);
	assert_int_equal(env_end(&env), 72);
	assert_int_equal(env_msg(&env, 1, VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0), 72);
	assert_int_equal(env_msg(&env, 1, VHOST_IOTLB_UPDATE, 0, PAGE, env.shared, 3), 72);
	recorder_clear(env.rec);
	assert_int_equal(env_status(&env, 0xf), 0);
	recorder_reads(env.rec, "set_map(0, 1)\nset_status(0xf)\n");
	assert_true(where(&env, 0x100000) == (uintptr_t)env.shared);
	env_fini(&env);
}

static void update_of_a_pinned_device_gives_back_the_charge(void **state)
{
	static const char *const ops[] = {"set_map", "dma_map"};
	struct env env;

	for (int style = 0; style < 2; style++) {
		env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED,
							  .mapping = style ? VDPA_MAPPING_DMA_MAP
									   : VDPA_MAPPING_SET_MAP});
		recorder_fail(env.rec, ops[style], 1, -EIO);
		assert_int_equal(env_map(&env, 0, 5 * PAGE, env.shared), -EFAULT);
		assert_int_equal(memory_charged_pages(env.space), 0);
		assert_int_equal(env_map(&env, 0, 5 * PAGE, env.shared), 72);
		assert_int_equal(memory_charged_pages(env.space), 5);
		env_fini(&env);
	}
}

static void update_of_a_pinned_device_is_not_the_quirk(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED, .deviations = STRICT});
	assert_int_equal(env_map(&env, 0x10000, PAGE, env.shared), 72);
	recorder_fail(env.rec, "set_map", 1, -EIO);
	assert_int_equal(env_map(&env, 0, PAGE, env.shared), -EFAULT);
	assert_true(where(&env, 0x10000) == (uintptr_t)env.shared);
	assert_int_equal(memory_charged_pages(env.space), 1);
	env_fini(&env);
}

/* [2-14] also comes from a parent that refuses the first piece; not from one that refuses a later
 * one. */
static void update_quirk_needs_the_first_piece_to_fail(void **state)
{
	char *pieces = map_pieces();
	struct env env;

	for (unsigned int nth = 1; nth <= 2; nth++) {
		env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP,
							  .deviations = STRICT});
		assert_int_equal(env_map(&env, 0x900000, PAGE, env.shared), 72);
		recorder_fail(env.rec, "dma_map", nth, -EIO);
		assert_int_equal(env_map(&env, 0, 2 * NR_PIECES * PAGE, pieces), -EFAULT);
		assert_true(recorder_nr_entries(env.rec, 0) == nth - 1);
		env_fini(&env);
	}
	munmap(pieces, 2 * NR_PIECES * PAGE);
}

/* What the device still reaches is not told to be gone. Of three entries the second is refused. */
static void invalidate_that_dma_unmap_refuses_changes_nothing(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP,
						  .memory = MEMORY_PINNED,
						  .deviations = DEFAULT});
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(env_map(&env, i * PAGE, PAGE, env.shared), 72);
	recorder_fail(env.rec, "dma_unmap", 2, -EIO);
	assert_int_equal(env_unmap(&env, 0, 3 * PAGE), -EFAULT);
	assert_int_equal(recorder_nr_entries(env.rec, 0), 3);
	assert_int_equal(memory_charged_pages(env.space), 3);
	assert_int_equal(env_map(&env, 0, PAGE, env.shared), -EFAULT);
	assert_int_equal(env_unmap(&env, 0, 3 * PAGE), 72);
	assert_int_equal(recorder_nr_entries(env.rec, 0), 0);
	assert_int_equal(memory_charged_pages(env.space), 0);
	env_fini(&env);
}

/* As the kernel, which does not look. */
static void invalidate_ignores_the_parents_error_in_strict_mode(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP,
						  .memory = MEMORY_PINNED,
						  .deviations = STRICT});
	assert_int_equal(env_map(&env, 0, PAGE, env.shared), 72);
	recorder_fail(env.rec, "dma_unmap", 1, -EIO);
	assert_int_equal(env_unmap(&env, 0, PAGE), 72);
	assert_int_equal(memory_charged_pages(env.space), 0);
	env_fini(&env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(update_takes_back_what_set_map_refuses),
		cmocka_unit_test(update_that_cannot_be_taken_back_gives_the_device_nothing),
		cmocka_unit_test(invalidate_that_set_map_refuses_ends_the_access),
		cmocka_unit_test(batch_that_set_map_refuses_is_told_again_before_driver_ok),
		cmocka_unit_test(batch_left_open_elsewhere_does_not_keep_a_refused_map_back),
		cmocka_unit_test(update_takes_back_what_dma_map_refuses),
		cmocka_unit_test(update_takes_back_what_the_limit_refuses),
		cmocka_unit_test(update_of_a_pinned_device_gives_back_the_charge),
		cmocka_unit_test(update_of_a_pinned_device_is_not_the_quirk),
		cmocka_unit_test(update_quirk_needs_the_first_piece_to_fail),
		cmocka_unit_test(invalidate_that_dma_unmap_refuses_changes_nothing),
		cmocka_unit_test(invalidate_ignores_the_parents_error_in_strict_mode),
	};

	return cmocka_run_group_tests_name("vhost_vdpa-failures", tests, NULL, NULL);
}
