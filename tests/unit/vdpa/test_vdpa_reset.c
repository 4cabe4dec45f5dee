// SPDX-License-Identifier: BSD-3-Clause
/* The table of reset rules, cell by cell, and the platform domain. The expectations are written
 * out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../vhost_vdpa/recorder.h"

struct cell {
	enum vdpa_reset_event event;
	bool acked;
	const char *compat; /* what a parent with compat_reset is told */
	const char *plain;  /* and one without */
	bool removes;
};

static const struct cell cells[] = {
	{VDPA_RESET_STATUS_ZERO, false, "compat_reset(1)\n", "reset()\n", false},
	{VDPA_RESET_STATUS_ZERO, true, "reset()\n", "reset()\n", false},
	{VDPA_RESET_OPEN, false, "reset()\n", "reset()\n", false},
	{VDPA_RESET_OPEN, true, "reset()\n", "reset()\n", false},
	{VDPA_RESET_CLOSE, false, "compat_reset(1)\n", "reset()\n", true},
	{VDPA_RESET_CLOSE, true, "reset()\n", "reset()\n", true},
	{VDPA_RESET_REMOVED, false, "compat_reset(1)\n", "reset()\n", true},
	{VDPA_RESET_REMOVED, true, "reset()\n", "reset()\n", true},
	{VDPA_RESET_VIRTIO_ATTACH, false, "reset()\n", "reset()\n", false},
	{VDPA_RESET_VIRTIO_ATTACH, true, "reset()\n", "reset()\n", false},
};

struct fixture {
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct recorder *rec;
};

static void fixture_start(struct fixture *f, const struct recorder_options *opt)
{
	assert_int_equal(memory_space_create_own(&f->space), 0);
	assert_int_equal(vdpa_bus_create(f->space, &f->bus), 0);
	f->rec = recorder_create(f->bus, opt);
}

static void fixture_stop(struct fixture *f)
{
	vdpa_bus_destroy(f->bus);
	memory_space_put(f->space);
}

static int reset(struct fixture *f, enum vdpa_reset_event event, bool acked)
{
	int ret;

	mutex_lock(&f->rec->dev.lock);
	ret = vdpa_reset(&f->rec->dev, event, acked);
	mutex_unlock(&f->rec->dev.lock);
	return ret;
}

static void every_cell_tells_the_parent_what_it_says(void **state)
{
	struct fixture f;

	for (int bits = 0; bits < 4; bits++) {
		bool compat = bits & 1;

		fixture_start(&f, &(struct recorder_options){.compat_reset = compat,
							     .no_reset_map = bits & 2});
		for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
			assert_int_equal(reset(&f, cells[i].event, cells[i].acked), 0);
			recorder_reads(f.rec, compat ? cells[i].compat : cells[i].plain);
			assert_int_equal(vdpa_reset_removes_mappings(cells[i].event),
					 cells[i].removes);
		}
		fixture_stop(&f);
	}
}

static void parents_error_is_handed_on_and_features_are_invalid(void **state)
{
	struct fixture f;
	char byte;

	fixture_start(&f, &(struct recorder_options){.compat_reset = true});
	mutex_lock(&f.rec->dev.lock);
	assert_int_equal(vdpa_set_features(&f.rec->dev, 1ULL << 33), 0);
	assert_true(f.rec->dev.features_valid);
	mutex_unlock(&f.rec->dev.lock);
	recorder_fail(f.rec, "compat_reset", 1, -EIO);
	assert_int_equal(reset(&f, VDPA_RESET_STATUS_ZERO, false), -EIO);
	assert_false(f.rec->dev.features_valid);
	recorder_fail(f.rec, "reset", 1, -EBUSY);
	assert_int_equal(reset(&f, VDPA_RESET_STATUS_ZERO, true), -EBUSY);
	recorder_clear(f.rec);
	mutex_lock(&f.rec->dev.lock);
	vdpa_get_config(&f.rec->dev, 0, &byte, 1);
	mutex_unlock(&f.rec->dev.lock);
	recorder_reads(f.rec, "set_driver_features(0x0)\n");
	fixture_stop(&f);
}

static void reset_map_is_optional(void **state)
{
	struct fixture f;

	for (int without = 0; without < 2; without++) {
		fixture_start(&f, &(struct recorder_options){.no_reset_map = without});
		mutex_lock(&f.rec->dev.lock);
		vdpa_reset_map(&f.rec->dev, 1);
		mutex_unlock(&f.rec->dev.lock);
		recorder_reads(f.rec, without ? "" : "reset_map(1)\n");
		fixture_stop(&f);
	}
}

static void persist_is_offered_by_three_kinds(void **state)
{
	struct fixture f;

	for (int mapping = 0; mapping < 3; mapping++)
		for (int bits = 0; bits < 8; bits++) {
			struct recorder_options opt = {.mapping = (enum vdpa_mapping)mapping,
						       .no_reset_map = bits & 1,
						       .has_backend_features = bits & 2,
						       .backend_features =
							       bits & 4 ? 1 << 8 : 1 << 6};
			bool expected = opt.mapping == VDPA_MAPPING_PLATFORM || !(bits & 1) ||
					((bits & 2) && (bits & 4));

			fixture_start(&f, &opt);
			assert_int_equal(vdpa_can_persist(&f.rec->dev), expected);
			fixture_stop(&f);
		}
}

static void domain_is_emptied_and_made_one_to_one(void **state)
{
	struct fixture f;

	fixture_start(&f, &(struct recorder_options){.mapping = VDPA_MAPPING_PLATFORM});
	assert_true(recorder_where(f.rec, 0, MEMORY_ADDR_LAST, 3) == MEMORY_ADDR_LAST);
	assert_true(recorder_where(f.rec, 0, MEMORY_ADDR_LAST + 1, 3) == 0);
	assert_true(recorder_where(f.rec, 0, MEMORY_ADDR_FIRST - 1, 3) == 0);
	for (int i = 0; i < 3; i++) {
		mutex_lock(&f.rec->dev.lock);
		assert_int_equal(vdpa_domain_attach(&f.rec->dev), 0);
		assert_true(recorder_nr_entries(f.rec, 0) == 0);
		vdpa_domain_detach(&f.rec->dev);
		mutex_unlock(&f.rec->dev.lock);
		assert_true(recorder_where(f.rec, 0, MEMORY_ADDR_FIRST, 3) == MEMORY_ADDR_FIRST);
	}
	fixture_stop(&f);
	fixture_start(&f, &(struct recorder_options){0});
	assert_null(f.rec->dev.domain);
	mutex_lock(&f.rec->dev.lock);
	assert_int_equal(vdpa_domain_attach(&f.rec->dev), 0);
	vdpa_domain_detach(&f.rec->dev);
	mutex_unlock(&f.rec->dev.lock);
	fixture_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_tells_the_parent_what_it_says),
		cmocka_unit_test(parents_error_is_handed_on_and_features_are_invalid),
		cmocka_unit_test(reset_map_is_optional),
		cmocka_unit_test(persist_is_offered_by_three_kinds),
		cmocka_unit_test(domain_is_emptied_and_made_one_to_one),
	};

	return cmocka_run_group_tests_name("vdpa-reset", tests, NULL, NULL);
}
