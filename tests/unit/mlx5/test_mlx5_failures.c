// SPDX-License-Identifier: BSD-3-Clause
/*
 * A card that fails: at any command of a whole life, while it is made, and for good.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "card.h"
#include "parents/mlx5/keys_internal.h"

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
	/* firmware that is silent may not have stopped the queues */
	assert_int_equal(rig_op(&rig, reset), gone ? 0 : -EIO);
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

#define CTRL_IDX 4 /* of two pairs */

struct life {
	struct rig rig;
	struct iotlb *tlb;
	struct memory_region *region;
	uint8_t *far;      /* behind @region */
	uint32_t nr_sent;  /* frames that went round */
	unsigned int lost; /* steps that failed */
};

/* A step that failed is over, and the device goes on, or says that it cannot. */
static bool after(struct life *l, bool ok, const char *step)
{
	uint8_t status = rig_op(&l->rig, get_status);

	l->lost += !ok;
	if (status & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED))
		return false;
	if (!goes_round(&l->rig, l->nr_sent))
		fail_msg("%s %s, and the device neither works nor says so", step,
			 ok ? "was done" : "failed");
	l->nr_sent++;
	return true;
}

/* What is told of a position is true. */
static bool positions_are_true(struct life *l)
{
	struct vdpa_vq_state at;
	bool ok = true;

	for (uint16_t i = 0; i < 2; i++) {
		if (rig_op(&l->rig, get_vq_state, i, &at))
			ok = false;
		else if (at.last_avail != l->nr_sent)
			fail_msg("queue %u stands at %u, and tells %u", i, l->nr_sent,
				 at.last_avail);
	}
	return ok;
}

static bool control(struct life *l)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3}, vid[2] = {5, 0};
	static const uint8_t two[2] = {2, 0}, one[2] = {1, 0};
	static const struct {
		uint8_t class, cmd;
		const uint8_t *data;
		size_t len;
	} commands[] = {
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, two, 2},
		{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6},
		{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, vid, 2},
		{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, vid, 2},
		{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, one, 2},
	};
	bool works = true;

	for (size_t i = 0; works && i < ARRAY_LEN(commands); i++)
		works = after(l,
			      rig_ctrl(&l->rig, CTRL_IDX, commands[i].class, commands[i].cmd,
				       commands[i].data, commands[i].len) == VIRTIO_NET_OK,
			      "a control command");
	return works;
}

static bool change_maps(struct life *l)
{
	bool works = after(l, set_map(&l->rig, 0, l->tlb) == 0, "the first map");

	assert_int_equal(iotlb_map(l->tlb, FAR, FAR + 8191, l->region, 0, IOTLB_RW), 0);
	assert_int_equal(iotlb_map(l->tlb, FAR + 16384, FAR + 20479, l->region, 0, IOTLB_R), 0);
	works = works && after(l, set_map(&l->rig, 0, l->tlb) == 0, "a larger map");
	assert_int_equal(iotlb_unmap(l->tlb, FAR + 16384, FAR + 20479, NULL), 0);
	return works && after(l, set_map(&l->rig, 0, l->tlb) == 0, "a smaller map");
}

static bool pause_and_go_on(struct life *l)
{
	bool ok;

	if (!mlx5_of(l->rig.dev)->ops.resume)
		return true;
	ok = rig_op(&l->rig, suspend) == 0;

	if (ok) {
		ok = positions_are_true(l);
		ok &= rig_op(&l->rig, resume) == 0;
		if (!ok && rig_op(&l->rig, resume))
			return false; /* a client would reset it */
	}
	return after(l, ok, "a pause");
}

static bool read_positions(struct life *l)
{
	bool ok = positions_are_true(l);

	for (uint16_t i = 0; i < 2; i++)
		rig_do(&l->rig, set_vq_ready, i, true);
	return after(l, ok, "reading the positions");
}

static bool stop_and_start_queues(struct life *l)
{
	for (uint16_t i = 0; i < 2; i++)
		rig_do(&l->rig, set_vq_ready, i, false);
	for (uint16_t i = 0; i < 2; i++)
		if (mlx5_of(l->rig.dev)->vqs[i].fw_state == MLX5_VQ_RDY &&
		    !(rig_op(&l->rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET))
			fail_msg("queue %u was stopped, and runs", i);
	for (uint16_t i = 0; i < 2; i++)
		rig_do(&l->rig, set_vq_ready, i, true);
	return after(l, true, "stopping its queues");
}

static void bury(struct mlx5_vdpa *v)
{
	mlx5_lock(v);
	mlx5_keys_flush(&v->keys);
	mlx5_unlock(v);
}

/* A whole life. The device must bear that any step fails. Return: was all well? */
static bool live(struct life *l)
{
	struct rig *rig = &l->rig;
	bool works = true;

	l->nr_sent = l->lost = 0;
	rig_negotiate(rig, FEATURES | CTRL_QUEUE | BIT(VIRTIO_NET_F_MQ) |
				   BIT(VIRTIO_NET_F_CTRL_VLAN) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR));
	for (uint16_t i = 0; i <= CTRL_IDX; i++) {
		rig_vq_new(rig, i, 64);
		rig_vq_setup(rig, i);
	}
	l->tlb = own_map(rig);
	rig_do(rig, set_status, 0xf);
	works = after(l, rig_op(rig, get_status) == 0xf, "the start");
	works = works && control(l) && change_maps(l) && pause_and_go_on(l) && read_positions(l) &&
		stop_and_start_queues(l);
	bury(mlx5_of(rig->dev));
	(void)rig_op(rig, reset);
	l->lost += rig_op(rig, reset_map, 0) != 0;
	iotlb_destroy(l->tlb);
	return works && !l->lost;
}

/* Return: objects of the device that are left when nothing runs */
static size_t nothing_is_left(struct life *l, uint64_t nth)
{
	struct mlx5_vdpa *v = mlx5_of(l->rig.dev);
	size_t nr;

	rig_reset(&l->rig);
	assert_int_equal(rig_op(&l->rig, reset_map, 0), 0);
	start(&l->rig);
	if (!goes_round(&l->rig, (uint32_t)nth))
		fail_msg("command %llu of a life failed, and the device is dead",
			 (unsigned long long)nth);
	rig_reset(&l->rig);
	mlx5_lock(v);
	mlx5_teardown(v);
	mlx5_unlock(v);
	bury(v);
	if (mlx5_model_nr_mkeys(v->model) != 1)
		fail_msg("command %llu of a life failed, and %zu keys are left",
			 (unsigned long long)nth, mlx5_model_nr_mkeys(v->model));
	if (l->region->refs != 1)
		fail_msg("command %llu of a life failed, and memory is in use",
			 (unsigned long long)nth);
	nr = mlx5_model_nr_objects(v->model);
	return nr;
}

static void fail_at_each_command(bool full, uint16_t parallel, const char *defer, bool resumes)
{
	struct vdpa_dev_config c = config();
	struct life l = {
		.far = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
	uint64_t nr = 0, well = 0;
	size_t usual = 0;
	bool over = false;

	c.max_vqp = 2;
	c.rebuild = full ? MLX5_REBUILD_FULL : MLX5_REBUILD_CHANGED;
	c.parallel = parallel;
	(void)snprintf(c.defer, sizeof(c.defer), "%s", defer);
	for (uint64_t nth = 0; !over; nth++) { /* 0: none */
		uint64_t before;
		bool all_well;
		size_t left;

		rig_make_of(&l.rig, &mlx5_mgmt_dev, &c);
		if (!resumes)
			without_resume(&l.rig);
		assert_int_equal(memory_region_create(l.rig.space, (uaddr_t)(uintptr_t)l.far, 8192,
						      true, MEMORY_VA, &l.region),
				 0);
		before = mlx5_model_nr_commands_all(model(&l.rig));
		mlx5_model_fail_at(model(&l.rig), nth, 0x0f);
		all_well = live(&l);
		over = nth && mlx5_model_nr_commands_all(model(&l.rig)) - before < nth;
		mlx5_model_fail_at(model(&l.rig), 0, 0);
		well += nth && !over && all_well;
		if ((!nth || over) && !all_well)
			fail_msg("no command failed, and %u steps did", l.lost);
		left = nothing_is_left(&l, nth);
		usual = nth ? usual : left;
		if (left != usual)
			fail_msg("command %llu of a life failed, and %zu objects are left, not %zu",
				 (unsigned long long)nth, left, usual);
		nr += nth && !over;
		rig_destroy(&l.rig);
		memory_region_put(l.region);
	}
	print_message("a failure at each of %llu commands; %llu lives did not notice\n",
		      (unsigned long long)nr, (unsigned long long)well);
	/* some more: what events and deferred deletions come to depends on time */
	assert_true(nr > 80);
	munmap(l.far, 8192);
}

static void a_failure_at_any_command_leaves_a_device_that_works_or_says_so(void **state)
{
	fail_at_each_command(false, 1, "0ns", true);
}

static void a_failure_at_any_command_of_many_at_once_does_too(void **state)
{
	fail_at_each_command(false, 8, "10s", true);
}

static void a_failure_at_any_command_does_too_where_all_is_made_anew(void **state)
{
	fail_at_each_command(true, 8, "0ns", true);
}

static void a_failure_at_any_command_does_too_where_no_queue_is_resumed(void **state)
{
	fail_at_each_command(false, 8, "0ns", false);
}

static void a_failure_while_the_device_is_made_is_returned(void **state)
{
	struct vdpa_dev_config c = config();
	struct memory_space *space;
	struct vdpa_bus *bus;

	assert_int_equal(memory_space_create_own(&space), 0);
	assert_int_equal(vdpa_bus_create(space, &bus), 0);
	c.max_vqp = 65;
	assert_int_equal(mlx5_mgmt_dev.dev_add(&mlx5_mgmt_dev, bus, &c), -ERANGE);
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
		cmocka_unit_test(a_failure_at_any_command_leaves_a_device_that_works_or_says_so),
		cmocka_unit_test(a_failure_at_any_command_of_many_at_once_does_too),
		cmocka_unit_test(a_failure_at_any_command_does_too_where_all_is_made_anew),
		cmocka_unit_test(a_failure_at_any_command_does_too_where_no_queue_is_resumed),
		cmocka_unit_test(a_failure_while_the_device_is_made_is_returned),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests(tests, get_buffers, NULL);
}
