// SPDX-License-Identifier: BSD-3-Clause
/*
 * A card that fails: at any command of a whole life, while it is made, and for good.
 */
#include <errno.h>

#include "base/clock.h"
#include "card.h"

/* Firmware that is beyond help, or a card that was pulled out, while queues run on it. Nobody tells
 * the driver. */
static void card_dies(bool gone)
{
	static uint8_t more[4096] __attribute__((aligned(4096)));
	struct memory_region *region;
	struct mlx5_vdpa *v;
	struct iotlb *tlb;
	struct rig rig;

	make(&rig);
	start(&rig);
	v = mlx5_of(rig.dev);
	tlb = own_map(&rig);
	assert_int_equal(memory_region_create(rig.space, (uaddr_t)(uintptr_t)more, sizeof(more),
					      true, MEMORY_VA, &region),
			 0);
	assert_int_equal(iotlb_map(tlb, FAR, FAR + 4095, region, 0, IOTLB_RW), 0);
	assert_int_equal(set_map(&rig, 0, tlb), 0);
	assert_true(goes_round(&rig, 1));
	mlx5_lock(v);
	if (gone)
		mlx5_model_unplug(v->model);
	else
		mlx5_model_set_fatal(v->model);
	mlx5_unlock(v);
	worker_wake(v->worker); /* it looks each second */
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_not_equal(set_map(&rig, 0, tlb), 0);
	rig_reset(&rig);
	(void)rig_op(&rig, reset_map, 0);
	iotlb_destroy(tlb);
	/* Nothing reaches memory from where nothing is. Firmware that is silent may still. */
	assert_true(gone ? region->refs == 1 : region->refs > 1);
	rig_negotiate(&rig, FEATURES);
	rig_do(&rig, set_status, 0xf);
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_FAILED);
	rig_destroy(&rig);
	assert_int_equal(region->refs, 1);
	memory_region_put(region);
}

static void card_whose_firmware_dies_under_load_needs_a_reset_and_does_not_start_again(void **state)
{
	card_dies(false);
}

static void card_that_is_pulled_out_under_load_needs_a_reset_and_lets_memory_go(void **state)
{
	card_dies(true);
}

static void card_without_room_goes_on_with_what_it_has(void **state)
{
	struct iotlb *tlb;
	struct rig rig;

	make(&rig);
	start(&rig);
	tlb = own_map(&rig);
	assert_int_equal(set_map(&rig, 0, tlb), 0);
	mlx5_model_set_full(model(&rig), true);
	assert_int_equal(
		iotlb_map(tlb, FAR, FAR + 4095, memory_space_identity(rig.space), 0, IOTLB_RW), 0);
	assert_int_equal(set_map(&rig, 0, tlb), -EAGAIN);
	assert_non_null(strstr(refuse_reason(), "no resources, syndrome 0x20008"));
	assert_true(goes_round(&rig, 1));
	assert_int_equal(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	/* nothing can be made anew: it fails to start, and starts when there is room again */
	rig_reset(&rig);
	rig_negotiate(&rig, FEATURES);
	rig_do(&rig, set_status, 0xf);
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_FAILED);
	mlx5_model_set_full(model(&rig), false);
	rig_reset(&rig);
	assert_int_equal(rig_op(&rig, reset_map, 0), 0);
	start(&rig);
	assert_true(goes_round(&rig, 2));
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

/* ---- injected failures ---- */

/* A whole life. Steps that fail are left; the device must bear that. Return: was all well? */
static bool live(struct rig *rig)
{
	struct iotlb *tlb;
	bool well;

	rig_negotiate(rig, FEATURES | CTRL);
	for (uint16_t i = 0; i < 3; i++) {
		rig_vq_new(rig, i, 64);
		rig_vq_setup(rig, i);
	}
	tlb = own_map(rig);
	well = set_map(rig, 0, tlb) == 0;
	rig_do(rig, set_status, 0xf);
	well &= rig_op(rig, get_status) == 0xf;
	if (well) {
		assert_int_equal(iotlb_map(tlb, FAR, FAR + 0x1fff,
					   memory_space_identity(rig->space), 0x5000, IOTLB_RW),
				 0);
		well &= set_map(rig, 0, tlb) == 0;
		well &= rig_op(rig, suspend) == 0;
		well &= rig_op(rig, resume) == 0;
	}
	(void)rig_op(rig, reset);
	well &= rig_op(rig, reset_map, 0) == 0;
	iotlb_destroy(tlb);
	return well;
}

static void a_failure_at_any_command_leaves_a_device_that_works_after_a_reset(void **state)
{
	uint64_t nr = 0, well = 0;
	struct rig rig;

	for (uint64_t nth = 1;; nth++) {
		uint64_t before;

		make(&rig);
		before = mlx5_model_nr_commands_all(model(&rig));
		mlx5_model_fail_at(model(&rig), nth, 0x0f);
		well += live(&rig);
		if (mlx5_model_nr_commands_all(model(&rig)) - before < nth) {
			rig_destroy(&rig);
			break;
		}
		mlx5_model_fail_at(model(&rig), 0, 0);
		rig_reset(&rig);
		assert_int_equal(rig_op(&rig, reset_map, 0), 0);
		start(&rig);
		if (!goes_round(&rig, (uint32_t)nth))
			fail_msg("command %llu of a life failed, and the device is dead",
				 (unsigned long long)nth);
		rig_reset(&rig);
		mlx5_lock(mlx5_of(rig.dev));
		mlx5_teardown(mlx5_of(rig.dev));
		mlx5_unlock(mlx5_of(rig.dev));
		if (mlx5_model_nr_mkeys(model(&rig)) != 1)
			fail_msg("command %llu of a life failed, and %zu keys are left",
				 (unsigned long long)nth, mlx5_model_nr_mkeys(model(&rig)));
		nr++;
		rig_destroy(&rig);
	}
	print_message("a failure at each of %llu commands; %llu lives did not notice\n",
		      (unsigned long long)nr, (unsigned long long)well);
	assert_true(nr > 50);
}

static void a_failure_while_the_device_is_made_is_returned(void **state)
{
	struct vdpa_dev_config c = config();
	struct memory_space *space;
	struct vdpa_bus *bus;

	assert_int_equal(memory_space_create_own(&space), 0);
	assert_int_equal(vdpa_bus_create(space, &bus), 0);
	c.max_vqp = 65;
	assert_true(mlx5_mgmt_dev.dev_add(&mlx5_mgmt_dev, bus, &c) < 0);
	c.max_vqp = 1;
	c.given |= VDPA_KEY_BACKEND;
	memcpy(c.backend, "pigeon", 7);
	assert_int_equal(mlx5_mgmt_dev.dev_add(&mlx5_mgmt_dev, bus, &c), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "pigeon"));
	vdpa_bus_destroy(bus);
	memory_space_put(space);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			card_whose_firmware_dies_under_load_needs_a_reset_and_does_not_start_again),
		cmocka_unit_test(
			card_that_is_pulled_out_under_load_needs_a_reset_and_lets_memory_go),
		cmocka_unit_test(card_without_room_goes_on_with_what_it_has),
		cmocka_unit_test(a_failure_at_any_command_leaves_a_device_that_works_after_a_reset),
		cmocka_unit_test(a_failure_while_the_device_is_made_is_returned),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests(tests, get_buffers, NULL);
}
