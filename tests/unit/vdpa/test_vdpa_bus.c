// SPDX-License-Identifier: BSD-3-Clause
/* Devices and drivers: registration, binding, override, references, the operations check
 * ([8-1]). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../vhost_vdpa/recorder.h"
#include "base/refuse.h"

struct fixture {
	struct memory_space *space;
	struct vdpa_bus *bus;
};

static char events[1024];
static int probe_error;

static void event(const char *what, const struct vdpa_device *dev)
{
	size_t len = strlen(events);

	snprintf(events + len, sizeof(events) - len, "%s %s\n", what, dev->name);
}

static void events_are(const char *expected)
{
	assert_string_equal(events, expected);
	events[0] = '\0';
}

static int probe_one(struct vdpa_device *dev)
{
	event("probe1", dev);
	return probe_error;
}

static void remove_one(struct vdpa_device *dev)
{
	event("remove1", dev);
}

static int probe_two(struct vdpa_device *dev)
{
	event("probe2", dev);
	return 0;
}

static void remove_two(struct vdpa_device *dev)
{
	assert_non_null(dev->bus);
	event("remove2", dev);
}

static int remove_idle_error;

static int remove_idle_two(struct vdpa_device *dev)
{
	event("idle2", dev);
	return remove_idle_error;
}

static const struct vdpa_driver one = {"one", probe_one, remove_one, NULL, NULL};
static const struct vdpa_driver two = {"two", probe_two, remove_two, NULL, remove_idle_two};

static void fixture_start(struct fixture *f)
{
	events[0] = '\0';
	probe_error = 0;
	remove_idle_error = 0;
	assert_int_equal(memory_space_create_own(&f->space), 0);
	assert_int_equal(vdpa_bus_create(f->space, &f->bus), 0);
}

static void fixture_stop(struct fixture *f)
{
	vdpa_bus_destroy(f->bus);
	memory_space_put(f->space);
}

static struct recorder *device(struct fixture *f, const char *name)
{
	return recorder_create(f->bus, &(struct recorder_options){.name = name});
}

static void first_driver_that_agrees_gets_the_device(void **state)
{
	struct recorder *a;
	struct fixture f;

	fixture_start(&f);
	assert_int_equal(vdpa_driver_register(f.bus, &one), 0);
	assert_int_equal(vdpa_driver_register(f.bus, &one), -EEXIST);
	assert_int_equal(vdpa_driver_register(f.bus, &two), 0);
	a = device(&f, "a");
	assert_ptr_equal(a->dev.driver, &one);
	events_are("probe1 a\n");
	probe_error = -EIO;
	a = device(&f, "b");
	assert_ptr_equal(a->dev.driver, &two);
	events_are("probe1 b\nprobe2 b\n");
	fixture_stop(&f);
	events_are("remove2 b\nremove1 a\n");
}

static void late_driver_is_offered_the_unbound(void **state)
{
	struct recorder *a;
	struct fixture f;

	fixture_start(&f);
	a = device(&f, "a");
	assert_null(a->dev.driver);
	assert_int_equal(vdpa_driver_register(f.bus, &one), 0);
	assert_ptr_equal(a->dev.driver, &one);
	assert_int_equal(vdpa_driver_register(f.bus, &two), 0);
	events_are("probe1 a\n");
	fixture_stop(&f);
}

static void binding_follows_sysfs(void **state)
{
	struct recorder *a;
	struct fixture f;

	fixture_start(&f);
	assert_int_equal(vdpa_driver_register(f.bus, &one), 0);
	assert_int_equal(vdpa_driver_register(f.bus, &two), 0);
	a = device(&f, "a");
	assert_int_equal(vdpa_bind(&a->dev, "two"), -EBUSY);
	assert_int_equal(vdpa_bind(&a->dev, "three"), -ENODEV);
	assert_int_equal(vdpa_unbind(&a->dev), 0);
	assert_int_equal(vdpa_unbind(&a->dev), -ENODEV);
	assert_int_equal(vdpa_set_driver_override(&a->dev, "two"), 0);
	assert_int_equal(vdpa_bind(&a->dev, "one"), -ENODEV);
	assert_int_equal(vdpa_bind(&a->dev, "two"), 0);
	assert_int_equal(vdpa_bind(&a->dev, "one"), -ENODEV); /* the override comes before busy */
	assert_int_equal(vdpa_set_driver_override(&a->dev, ""), 0);
	assert_int_equal(vdpa_bind(&a->dev, "one"), -EBUSY);
	assert_int_equal(vdpa_unbind(&a->dev), 0);
	probe_error = -EIO;
	assert_int_equal(vdpa_bind(&a->dev, "one"), -EIO);
	assert_null(a->dev.driver);
	assert_int_equal(vdpa_set_driver_override(&a->dev, NULL), 0);
	fixture_stop(&f);
}

static void override_without_its_driver_waits(void **state)
{
	struct recorder *a;
	struct fixture f;

	fixture_start(&f);
	a = device(&f, "a");
	assert_int_equal(vdpa_set_driver_override(&a->dev, "two"), 0);
	assert_int_equal(vdpa_driver_register(f.bus, &one), 0);
	assert_null(a->dev.driver);
	assert_int_equal(vdpa_driver_register(f.bus, &two), 0);
	assert_ptr_equal(a->dev.driver, &two);
	fixture_stop(&f);
}

static void unbinding_a_device_in_use_needs_force(void **state)
{
	struct recorder *a;
	struct fixture f;

	fixture_start(&f);
	a = device(&f, "a");
	assert_int_equal(vdpa_unbind_force(&a->dev), -ENODEV);
	assert_int_equal(vdpa_driver_register(f.bus, &two), 0);
	remove_idle_error = -EBUSY;
	assert_int_equal(vdpa_unbind(&a->dev), -EBUSY);
	assert_ptr_equal(a->dev.driver, &two);
	events_are("probe2 a\nidle2 a\n");
	assert_int_equal(vdpa_unbind_force(&a->dev), 0);
	assert_null(a->dev.driver);
	events_are("remove2 a\n");
	assert_int_equal(vdpa_bind(&a->dev, "two"), 0);
	remove_idle_error = 0;
	assert_int_equal(vdpa_unbind(&a->dev), 0);
	assert_null(a->dev.driver);
	events_are("probe2 a\nidle2 a\n");
	assert_int_equal(vdpa_bind(&a->dev, "two"), 0);
	remove_idle_error = -EBUSY;
	fixture_stop(&f); /* a device that goes away asks nobody */
	events_are("probe2 a\nremove2 a\n");
}

static int take_name(void *arg, struct vdpa_device *dev)
{
	strcat(arg, dev->name);
	return strcmp(dev->name, "b") == 0 ? 7 : 0;
}

static void names_are_unique_and_visited_in_order(void **state)
{
	struct recorder *dup;
	struct vdpa_device *found;
	char names[16] = "";
	bool freed = false;
	struct fixture f;

	fixture_start(&f);
	device(&f, "a");
	device(&f, "b");
	device(&f, "c");
	assert_int_equal(recorder_make(f.bus, &(struct recorder_options){.name = "b"}, &dup), 0);
	dup->freed = &freed;
	assert_int_equal(vdpa_device_register(&dup->dev), -EEXIST);
	assert_false(freed);
	vdpa_device_put(&dup->dev); /* still the caller's */
	assert_true(freed);
	assert_int_equal(vdpa_bus_for_each(f.bus, take_name, names), 7);
	assert_string_equal(names, "ab");
	found = vdpa_bus_find(f.bus, "c");
	assert_string_equal(found->name, "c");
	vdpa_device_put(found);
	assert_null(vdpa_bus_find(f.bus, "d"));
	fixture_stop(&f);
}

static void device_outlives_the_bus_while_referenced(void **state)
{
	struct recorder *a;
	bool freed = false;
	struct fixture f;

	fixture_start(&f);
	assert_int_equal(vdpa_driver_register(f.bus, &two), 0);
	a = device(&f, "a");
	a->freed = &freed;
	vdpa_device_get(&a->dev);
	fixture_stop(&f);
	events_are("probe2 a\nremove2 a\n");
	assert_false(freed);
	assert_true(a->dev.removed);
	assert_null(a->dev.bus);
	assert_int_equal(vdpa_bind(&a->dev, "two"), -ENODEV);
	assert_int_equal(vdpa_unbind(&a->dev), -ENODEV);
	assert_int_equal(vdpa_set_driver_override(&a->dev, "two"), -ENODEV);
	vdpa_device_put(&a->dev);
	assert_true(freed);
	vdpa_device_put(NULL);
}

/* ---- what a device must be ---- */

static void operations_are_checked_one_by_one(void **state)
{
	struct vdpa_config_ops ops;
	struct recorder *rec;
	struct fixture f;
	static const struct {
		const char *name;
		size_t off;
	} mandatory[] = {
#define M(op) {#op, offsetof(struct vdpa_config_ops, op)}
		M(set_vq_address),
		M(set_vq_num),
		M(kick_vq),
		M(set_vq_cb),
		M(set_vq_ready),
		M(get_vq_ready),
		M(set_vq_state),
		M(get_vq_state),
		M(get_device_features),
		M(set_driver_features),
		M(get_driver_features),
		M(set_config_cb),
		M(get_vq_num_max),
		M(get_device_id),
		M(get_vendor_id),
		M(get_status),
		M(set_status),
		M(reset),
		M(get_config_size),
		M(get_config),
		M(set_config),
		M(free),
	};

	fixture_start(&f);
	rec = device(&f, "a");
	assert_int_equal(vdpa_ops_check(&rec->ops), 0);
	for (size_t i = 0; i < ARRAY_LEN(mandatory); i++) {
		ops = rec->ops;
		memset((char *)&ops + mandatory[i].off, 0, sizeof(void *));
		assert_int_equal(vdpa_ops_check(&ops), -EINVAL);
		assert_non_null(strstr(refuse_reason(), mandatory[i].name));
	}
	ops = rec->ops;
	ops.unbind_mm = NULL;
	assert_int_equal(vdpa_ops_check(&ops), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "bind_mm but not unbind_mm"));
	ops = rec->ops;
	ops.size--;
	assert_int_equal(vdpa_ops_check(&ops), -EINVAL);
	assert_int_equal(vdpa_ops_check(NULL), -EINVAL);
	fixture_stop(&f);
}

static void dma_operations_are_one_style(void **state)
{
	struct vdpa_config_ops ops;
	struct recorder *rec, *dma;
	struct fixture f;

	fixture_start(&f);
	rec = device(&f, "a");
	dma = recorder_create(
		f.bus, &(struct recorder_options){.name = "b", .mapping = VDPA_MAPPING_DMA_MAP});
	ops = rec->ops;
	ops.dma_map = dma->ops.dma_map;
	assert_int_equal(vdpa_ops_check(&ops), -EINVAL);
	ops.dma_unmap = dma->ops.dma_unmap;
	assert_int_equal(vdpa_ops_check(&ops), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "both set_map and dma_map"));
	ops.set_map = NULL;
	assert_int_equal(vdpa_ops_check(&ops), 0);
	ops.dma_map = NULL;
	assert_int_equal(vdpa_ops_check(&ops), -EINVAL);
	ops.dma_unmap = NULL;
	assert_int_equal(vdpa_ops_check(&ops), 0);
	assert_int_equal(vdpa_device_mapping(&rec->dev), VDPA_MAPPING_SET_MAP);
	assert_int_equal(vdpa_device_mapping(&dma->dev), VDPA_MAPPING_DMA_MAP);
	fixture_stop(&f);
}

static void fields_are_checked(void **state)
{
	struct recorder *rec;
	struct vdpa_device dev;
	struct fixture f;

	fixture_start(&f);
	rec = device(&f, "a");
	for (int i = 0; i < 6; i++) {
		memset(&dev, 0, sizeof(dev));
		dev.ops = &rec->ops;
		strcpy(dev.name, "x");
		dev.nvqs = dev.ngroups = dev.nas = 1;
		dev.max_iotlb_entries = 1;
		switch (i) {
		case 0:
			dev.name[0] = '\0';
			break;
		case 1:
			dev.nvqs = 0;
			break;
		case 2:
			dev.nvqs = 65536;
			break;
		case 3:
			dev.ngroups = 0;
			break;
		case 4:
			dev.nas = 0;
			break;
		case 5:
			dev.max_iotlb_entries = 0;
			break;
		}
		assert_int_equal(vdpa_device_init(&dev, f.bus), -EINVAL);
		assert_true(refuse_reason()[0] != '\0');
	}
	fixture_stop(&f);
}

static void deviations_are_one_bit_a_row(void **state)
{
	const struct vdpa_deviation_info *rows;
	uint32_t all = 0;
	char id[24];
	size_t nr;

	rows = vdpa_deviation_table(&nr);
	assert_int_equal(nr, 13);
	for (size_t i = 0; i < nr; i++) {
		snprintf(id, sizeof(id), "D%zu", i + 1);
		assert_string_equal(rows[i].id, id);
		assert_int_equal(rows[i].bit, 1u << i);
		assert_true(strlen(rows[i].what) > 10 && strlen(rows[i].reason) > 10);
		assert_true(strlen(rows[i].others) > 10 && strlen(rows[i].clause) >= 3);
		all |= rows[i].bit;
	}
	assert_int_equal(all, VDPA_DEVIATIONS_DEFAULT);
}

static void profile_deviates_as_its_kernel_does(void **state)
{
	assert_int_equal(vdpa_profile_deviations(PROFILE_DEFAULT), VDPA_DEVIATIONS_DEFAULT);
	assert_int_equal(vdpa_profile_deviations(PROFILE_LINUX_6_12), VDPA_DEVIATIONS_STRICT);
	assert_int_equal(vdpa_profile_deviations(PROFILE_LINUX_7_2), VDPA_D7_GROUP_STAYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profile_deviates_as_its_kernel_does),
		cmocka_unit_test(first_driver_that_agrees_gets_the_device),
		cmocka_unit_test(late_driver_is_offered_the_unbound),
		cmocka_unit_test(binding_follows_sysfs),
		cmocka_unit_test(override_without_its_driver_waits),
		cmocka_unit_test(unbinding_a_device_in_use_needs_force),
		cmocka_unit_test(names_are_unique_and_visited_in_order),
		cmocka_unit_test(device_outlives_the_bus_while_referenced),
		cmocka_unit_test(operations_are_checked_one_by_one),
		cmocka_unit_test(dma_operations_are_one_style),
		cmocka_unit_test(fields_are_checked),
		cmocka_unit_test(deviations_are_one_bit_a_row),
	};

	return cmocka_run_group_tests_name("vdpa-bus", tests, NULL, NULL);
}
