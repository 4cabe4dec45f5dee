// SPDX-License-Identifier: BSD-3-Clause
/*
 * The card as a client has it: what a reset does to keys, and what it must not do; maps that change
 * under traffic; the control queue; and queues that stop with an error.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "card.h"

/* ---- reset ---- */

static void reset_before_any_queue_was_set_up_is_fine(void **state)
{
	struct rig rig;

	make(&rig);
	for (int i = 0; i < 3; i++)
		rig_reset(&rig);
	start(&rig);
	assert_true(goes_round(&rig, 1));
	rig_destroy(&rig);
}

/* Where each parent that breaks a rule would be caught. */
static int drops_keys(struct vdpa_device *dev)
{
	int err = mlx5_op_reset(dev);

	mlx5_lock(mlx5_of(dev));
	mlx5_slots_drop(mlx5_of(dev));
	mlx5_unlock(mlx5_of(dev));
	return err;
}

static int forgets_one_to_one(struct vdpa_device *dev, uint32_t asid)
{
	struct iotlb *tlb;
	const struct iotlb_version *v;
	int err = iotlb_create(1, &tlb);

	assert_int_equal(err, 0);
	v = iotlb_snapshot(tlb);
	err = mlx5_op_set_map(dev, asid, v);
	iotlb_version_put(v);
	iotlb_destroy(tlb);
	return err;
}

static int touches_queues(struct vdpa_device *dev, uint32_t asid)
{
	mlx5_lock(mlx5_of(dev));
	(void)mlx5_stop_all(mlx5_of(dev));
	mlx5_unlock(mlx5_of(dev));
	return mlx5_op_reset_map(dev, asid);
}

/* Rule 1: a reset costs no key command, and the map holds. */
static bool reset_keeps_keys(int (*reset)(struct vdpa_device *dev))
{
	struct mlx5_mr *before;
	struct iotlb *tlb;
	uint64_t commands;
	struct rig rig;
	bool kept;

	make(&rig);
	start(&rig);
	tlb = own_map(&rig);
	assert_int_equal(set_map(&rig, 0, tlb), 0);
	assert_true(goes_round(&rig, 2));
	before = mlx5_of(rig.dev)->slot[0];
	commands = key_commands(&rig);
	mutex_lock(&rig.dev->lock);
	assert_int_equal(reset(rig.dev), 0);
	mutex_unlock(&rig.dev->lock);
	kept = mlx5_of(rig.dev)->slot[0] == before && key_commands(&rig) == commands;
	iotlb_destroy(tlb);
	rig_destroy(&rig);
	return kept;
}

static void reset_keeps_the_keys_of_every_address_space(void **state)
{
	assert_true(reset_keeps_keys(mlx5_op_reset));
	assert_false(reset_keeps_keys(drops_keys));
}

static uint64_t nr_queue_objects(const struct rig *rig)
{
	return mlx5_model_nr_commands(model(rig), MODEL_CREATE_QUEUE) +
	       mlx5_model_nr_commands(model(rig), MODEL_DESTROY_QUEUE);
}

/* What a client set and where it stood is gone all the same. */
static void reset_keeps_queue_objects_that_the_next_client_can_use(void **state)
{
	for (int full = 0; full < 2; full++) {
		struct vdpa_dev_config c = config();
		struct vdpa_vq_state at;
		struct rig rig;
		uint64_t made;

		c.rebuild = (uint8_t)full;
		rig_make_of(&rig, &mlx5_mgmt_dev, &c);
		start(&rig);
		for (uint32_t life = 0; life < 3; life++) {
			assert_true(goes_round(&rig, life));
			made = nr_queue_objects(&rig);
			rig_reset(&rig);
			assert_int_equal(nr_queue_objects(&rig) - made, full ? 4 : 0);
			assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
			assert_int_equal(at.last_avail, 0);
			assert_null(mlx5_of(rig.dev)->vqs[0].mr);
			start(&rig);
			assert_int_equal(nr_queue_objects(&rig) - made, full ? 4 : 0);
		}
		rig_reset(&rig);
		rig_start(&rig, FEATURES, 2, 128); /* another size: made anew */
		assert_int_equal(nr_queue_objects(&rig) - made, full ? 12 : 4);
		assert_true(goes_round(&rig, 9));
		rig_destroy(&rig);
	}
}

/* Rule 2: address space 0 is 1:1 again. */
static bool reset_map_restores(int (*reset_map)(struct vdpa_device *dev, uint32_t asid))
{
	struct iotlb *tlb;
	struct rig rig;
	bool works;

	make(&rig);
	start(&rig);
	tlb = own_map(&rig);
	assert_int_equal(set_map(&rig, 0, tlb), 0);
	rig_reset(&rig);
	mutex_lock(&rig.dev->lock);
	assert_int_equal(reset_map(rig.dev, 0), 0);
	mutex_unlock(&rig.dev->lock);
	works = mlx5_of(rig.dev)->slot[0] && !mlx5_of(rig.dev)->slot[0]->map;
	if (works) {
		start(&rig);
		works = goes_round(&rig, 3);
	}
	iotlb_destroy(tlb);
	rig_destroy(&rig);
	return works;
}

static void reset_map_restores_the_1_to_1_key(void **state)
{
	assert_true(reset_map_restores(mlx5_op_reset_map));
	assert_false(reset_map_restores(forgets_one_to_one));
}

/* Rule 3: no queue command. */
static bool reset_map_leaves_queues(int (*reset_map)(struct vdpa_device *dev, uint32_t asid))
{
	static const enum mlx5_model_kind kinds[] = {MODEL_CREATE_QUEUE, MODEL_MODIFY_QUEUE,
						     MODEL_QUERY_QUEUE, MODEL_DESTROY_QUEUE};
	uint64_t before = 0, after = 0;
	struct rig rig;

	make(&rig);
	start(&rig);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		before += mlx5_model_nr_commands(model(&rig), kinds[i]);
	mutex_lock(&rig.dev->lock);
	assert_int_equal(reset_map(rig.dev, 0), 0);
	mutex_unlock(&rig.dev->lock);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		after += mlx5_model_nr_commands(model(&rig), kinds[i]);
	rig_destroy(&rig);
	return after == before;
}

static void reset_map_does_not_touch_queues(void **state)
{
	assert_true(reset_map_leaves_queues(mlx5_op_reset_map));
	assert_false(reset_map_leaves_queues(touches_queues));
}

static void compat_reset_clean_map_drops_keys_and_makes_the_1_to_1_key(void **state)
{
	struct vdpa_dev_config c = config();
	struct iotlb *tlb;
	struct rig rig;

	c.compat_reset = true;
	rig_make_of(&rig, &mlx5_mgmt_dev, &c);
	start(&rig);
	tlb = own_map(&rig);
	assert_int_equal(set_map(&rig, 0, tlb), 0);
	assert_int_equal(set_map(&rig, 1, tlb), 0);
	assert_int_equal(rig_op(&rig, compat_reset, 0), 0);
	assert_non_null(mlx5_of(rig.dev)->slot[1]);
	assert_non_null(mlx5_of(rig.dev)->slot[0]->map);
	assert_int_equal(rig_op(&rig, compat_reset, VDPA_RESET_F_CLEAN_MAP), 0);
	assert_null(mlx5_of(rig.dev)->slot[1]);
	assert_null(mlx5_of(rig.dev)->slot[0]->map);
	assert_int_equal(mlx5_model_nr_mkeys(model(&rig)), 1);
	start(&rig);
	assert_true(goes_round(&rig, 4));
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

static void groups_go_back_to_address_space_0_at_a_reset(void **state)
{
	struct rig rig;

	make(&rig);
	for (uint32_t g = 0; g < 3; g++)
		assert_int_equal(rig_op(&rig, set_group_asid, g, 1), 0);
	assert_int_equal(rig_op(&rig, set_group_asid, 3, 0), -EINVAL);
	assert_int_equal(rig_op(&rig, set_group_asid, 0, 2), -EINVAL);
	rig_reset(&rig);
	start(&rig);
	assert_true(goes_round(&rig, 5)); /* 1:1 is in address space 0 alone */
	rig_destroy(&rig);
}

/* ---- maps ---- */

static void map_changes_under_traffic_and_nothing_is_lost(void **state)
{
	struct iotlb *tlb;
	struct rig rig;

	for (int full = 0; full < 2; full++) {
		struct vdpa_dev_config c = config();

		c.rebuild = (uint8_t)full;
		rig_make_of(&rig, &mlx5_mgmt_dev, &c);
		start(&rig);
		tlb = own_map(&rig);
		for (uint32_t i = 0; i < 50; i++) {
			if (i % 2)
				assert_int_equal(iotlb_unmap(tlb, FAR, FAR, NULL), 0);
			else
				assert_int_equal(iotlb_map(tlb, FAR, FAR + 0x1fff,
							   memory_space_identity(rig.space), 0x5000,
							   IOTLB_RW),
						 0);
			assert_int_equal(set_map(&rig, 0, tlb), 0);
			iotlb_synchronize(tlb);
			assert_true(goes_round(&rig, i));
		}
		iotlb_destroy(tlb);
		rig_destroy(&rig);
	}
}

/* Frames pass before and after, and no queue is told anything. */
static void map_changes_in_place_and_no_queue_stops(void **state)
{
	static uint8_t other[4096] __attribute__((aligned(4096)));
	struct iotlb *tlb;
	struct rig rig;

	make(&rig);
	model(&rig)->opt.klm_update = true;
	start(&rig);
	tlb = own_map(&rig);
	assert_int_equal(iotlb_map(tlb, FAR, FAR + 4095, memory_space_identity(rig.space),
				   (uintptr_t)out & ~4095ULL, IOTLB_RW),
			 0);
	assert_int_equal(set_map(&rig, 0, tlb), 0);
	for (uint32_t i = 0; i < 20; i++) {
		uint64_t modified = mlx5_model_nr_commands(model(&rig), MODEL_MODIFY_QUEUE);
		const uint8_t *host = i % 2 ? out : other;

		assert_int_equal(iotlb_unmap(tlb, FAR, FAR, NULL), 0);
		assert_int_equal(iotlb_map(tlb, FAR, FAR + 4095, memory_space_identity(rig.space),
					   (uintptr_t)host & ~4095ULL, IOTLB_RW),
				 0);
		assert_int_equal(set_map(&rig, 0, tlb), 0);
		iotlb_synchronize(tlb);
		assert_int_equal(mlx5_model_nr_commands(model(&rig), MODEL_MODIFY_QUEUE), modified);
		assert_true(goes_round(&rig, i));
	}
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

static size_t nr_keys(struct rig *rig)
{
	size_t nr;

	mlx5_lock(mlx5_of(rig->dev));
	nr = mlx5_model_nr_mkeys(model(rig));
	mlx5_unlock(mlx5_of(rig->dev));
	return nr;
}

/* The driver's worker does it, when their time is over. */
static void keys_that_nobody_uses_any_more_are_destroyed_later(void **state)
{
	struct vdpa_dev_config c = config();
	struct iotlb *tlb;
	struct rig rig;
	size_t keys;

	memcpy(c.defer, "50ms", 5);
	c.rebuild = MLX5_REBUILD_FULL;
	c.parallel = 4;
	rig_make_of(&rig, &mlx5_mgmt_dev, &c);
	start(&rig);
	tlb = own_map(&rig);
	assert_int_equal(set_map(&rig, 0, tlb), 0);
	assert_true(goes_round(&rig, 1));
	keys = nr_keys(&rig);
	for (int64_t end = clock_now_ns() + DEADLINE_MS * NS_PER_MS;
	     nr_keys(&rig) != mlx5_of(rig.dev)->slot[0]->nr + 1 && clock_now_ns() < end;)
		(void)sched_yield();
	assert_int_equal(nr_keys(&rig), mlx5_of(rig.dev)->slot[0]->nr + 1);
	assert_true(keys >= nr_keys(&rig));
	assert_int_equal(set_map(&rig, 0, tlb), 0);
	assert_true(goes_round(&rig, 2));
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

/* Firmware that cannot resume a queue: all is taken down and made anew, and positions stay. */
static void map_changes_under_traffic_without_resume(void **state)
{
	struct iotlb *tlb;
	struct rig rig;

	make(&rig);
	model(&rig)->opt.no_freeze_to_rdy = true;
	mlx5_of(rig.dev)->caps.freeze_to_rdy = false;
	start(&rig);
	tlb = own_map(&rig);
	for (uint32_t i = 0; i < 10; i++) {
		uint64_t made = mlx5_model_nr_commands(model(&rig), MODEL_CREATE_QUEUE);

		assert_int_equal(set_map(&rig, 0, tlb), 0);
		assert_int_equal(mlx5_model_nr_commands(model(&rig), MODEL_CREATE_QUEUE), made + 2);
		assert_true(goes_round(&rig, i));
	}
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

static void queue_without_keys_waits_for_its_address_space_to_get_some(void **state)
{
	struct iotlb *empty, *tlb;
	struct rig rig;
	uint32_t len;

	make(&rig);
	assert_int_equal(iotlb_create(1, &empty), 0);
	assert_int_equal(set_map(&rig, 0, empty), 0);
	assert_int_equal(mlx5_model_nr_mkeys(model(&rig)), 0);
	start(&rig);
	frame_make(out, LEN, 1);
	rig_add(&rig, 1, out, LEN, false);
	rig_publish(&rig, 1);
	assert_null(rig_poll(&rig, 1, &len));
	tlb = own_map(&rig);
	assert_int_equal(set_map(&rig, 0, tlb), 0);
	assert_ptr_equal(rig_get(&rig, 1, &len), out); /* the kick was not lost */
	assert_true(goes_round(&rig, 2));
	iotlb_destroy(empty);
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

/* Rings in address space 1, buffers in 0. */
static void rings_with_a_key_of_their_own_are_looked_up_there(void **state)
{
	struct iotlb *rings, *buffers;
	struct rig rig;

	make(&rig);
	assert_int_equal(rig_op(&rig, get_vq_desc_group, 0), MLX5_GROUP_DESC);
	rig_negotiate(&rig, FEATURES);
	assert_int_equal(rig_op(&rig, set_group_asid, MLX5_GROUP_DESC, 1), 0);
	for (uint16_t i = 0; i < 2; i++) {
		rig_vq_new(&rig, i, 64);
		rig_vq_setup(&rig, i);
	}
	rings = own_map(&rig);
	buffers = own_map(&rig);
	for (int i = 0; i < 2; i++) {
		uint64_t at = (uintptr_t)rig.vq[i].mem;

		assert_int_equal(iotlb_unmap(buffers, at, at, NULL), 0);
	}
	assert_int_equal(iotlb_unmap(rings, (uintptr_t)in, (uintptr_t)in, NULL), 0);
	assert_int_equal(iotlb_unmap(rings, (uintptr_t)out, (uintptr_t)out, NULL), 0);
	assert_int_equal(set_map(&rig, 0, buffers), 0);
	assert_int_equal(set_map(&rig, 1, rings), 0);
	rig_driver_ok(&rig);
	assert_true(goes_round(&rig, 6));
	iotlb_destroy(rings);
	iotlb_destroy(buffers);
	rig_destroy(&rig);
}

/* ---- errors of the device ---- */

static void expect_needs_reset(struct rig *rig)
{
	assert_true(rig_wait_fd(rig->config_fd, DEADLINE_MS));
	assert_true(rig_op(rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_reset(rig);
	start(rig);
	assert_true(goes_round(rig, 7));
}

static void buffer_without_a_key_stops_the_queue_and_says_so(void **state)
{
	struct iotlb *tlb;
	struct rig rig;

	make(&rig);
	start(&rig);
	tlb = own_map(&rig);
	assert_int_equal(iotlb_unmap(tlb, (uintptr_t)out, (uintptr_t)out, NULL), 0);
	assert_int_equal(set_map(&rig, 0, tlb), 0);
	rig_add(&rig, 1, out, LEN, false);
	rig_publish(&rig, 1);
	assert_int_equal(rig_op(&rig, reset_map, 0), 0); /* so that it works again afterwards */
	expect_needs_reset(&rig);
	iotlb_destroy(tlb);
	rig_destroy(&rig);
}

/* As a driver would that destroyed a key too early. */
static void key_that_is_gone_stops_the_queue_and_says_so(void **state)
{
	struct mlx5_vdpa *v;
	struct iotlb *tlb;
	struct rig rig;

	for (int indirect = 0; indirect < 2; indirect++) {
		make(&rig);
		start(&rig);
		tlb = own_map(&rig);
		assert_int_equal(set_map(&rig, 0, tlb), 0);
		assert_true(goes_round(&rig, 8));
		v = mlx5_of(rig.dev);
		mlx5_lock(v);
		for (uint32_t i = 0; i < (indirect ? 1 : v->slot[0]->nr); i++) {
			uint32_t key =
				indirect ? v->slot[0]->mkey : mlx5_mr_piece_key(v->slot[0], i);
			bool gone;

			assert_int_equal(mlx5_cmd_destroy_mkeys(v->hw, &key, 1, &gone), 0);
		}
		mlx5_unlock(v);
		rig_add(&rig, 1, out, LEN, false);
		rig_publish(&rig, 1);
		assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
		assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
		iotlb_destroy(tlb);
		rig_destroy(&rig);
	}
}

/* Maps change on one thread while frames pass on others, some changes a frame: on a busy machine a
 * thread that does nothing else could keep the queues from running at all. */
#define CHANGES 6
struct storm {
	struct rig *rig;
	struct iotlb *tlb;
	bool stop;            /* atomic */
	unsigned int allowed; /* atomic */
	unsigned int changes; /* atomic */
};

static void *change_maps(void *arg)
{
	struct storm *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		if (s->changes >= __atomic_load_n(&s->allowed, __ATOMIC_ACQUIRE)) {
			(void)sched_yield();
			continue;
		}
		if (s->changes % 2)
			(void)!iotlb_unmap(s->tlb, FAR, FAR, NULL);
		else
			(void)!iotlb_map(s->tlb, FAR, FAR + 0x1fff,
					 memory_space_identity(s->rig->space), 0x5000, IOTLB_RW);
		if (set_map(s->rig, 0, s->tlb))
			abort();
		iotlb_synchronize(s->tlb);
		__atomic_store_n(&s->changes, s->changes + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void maps_change_on_one_thread_while_queues_run_on_others(void **state)
{
	struct vdpa_dev_config c = config();
	struct storm s = {.stop = false};
	pthread_t thread;
	struct rig rig;
	uint32_t i = 0;

	memcpy(c.defer, "1ms", 4);
	c.parallel = 4;
	rig_make_of(&rig, &mlx5_mgmt_dev, &c);
	start(&rig);
	s.rig = &rig;
	s.tlb = own_map(&rig);
	assert_int_equal(set_map(&rig, 0, s.tlb), 0);
	assert_int_equal(pthread_create(&thread, NULL, change_maps, &s), 0);
	while ((i < 300 || !__atomic_load_n(&s.changes, __ATOMIC_RELAXED)) && goes_round(&rig, i)) {
		__atomic_store_n(&s.allowed, s.allowed + CHANGES, __ATOMIC_RELEASE);
		i++;
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(thread, NULL), 0);
	print_message("%u frames while the map changed %u times\n", i, s.changes);
	assert_true(i >= 300 && s.changes > 0);
	iotlb_destroy(s.tlb);
	rig_destroy(&rig);
}

/* ---- control queue ---- */

static uint8_t ctrl_pairs(struct rig *rig, uint16_t idx, uint8_t pairs)
{
	uint8_t data[2] = {pairs, 0};

	return rig_ctrl(rig, idx, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, data, 2);
}

static void control_queue_sets_pairs_address_and_vlans(void **state)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 9, 9, 9};
	struct vdpa_dev_config c = config();
	uint8_t vid[2] = {5, 0}, got[6];
	struct rig rig;
	uint32_t len;

	c.max_vqp = 4;
	rig_make_of(&rig, &mlx5_mgmt_dev, &c);
	rig_start(&rig,
		  FEATURES | CTRL_QUEUE | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VLAN) |
			  BIT(VIRTIO_NET_F_CTRL_MAC_ADDR),
		  9, 64);
	assert_int_equal(ctrl_pairs(&rig, 8, 0), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_pairs(&rig, 8, 5), VIRTIO_NET_ERR);
	for (uint8_t pairs = 4; pairs >= 1; pairs--) {
		assert_int_equal(ctrl_pairs(&rig, 8, pairs), VIRTIO_NET_OK);
		assert_int_equal(mlx5_of(rig.dev)->pairs, pairs);
		for (uint16_t i = 0; i < 8; i++)
			assert_int_equal(mlx5_of(rig.dev)->vqs[i].fw_state == MLX5_VQ_RDY,
					 i < 2 * pairs);
	}
	assert_int_equal(ctrl_pairs(&rig, 8, 4), VIRTIO_NET_OK);
	assert_int_equal(
		rig_ctrl(&rig, 8, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6),
		VIRTIO_NET_OK);
	rig_do(&rig, get_config, 0, got, 6);
	assert_memory_equal(got, mac, 6);
	rig_add(&rig, 0, in, ROUND_ROOM, true);
	rig_publish(&rig, 0);
	frame_make(out, ROUND_LEN, 1);
	rig_send(&rig, 1, out, ROUND_LEN);
	/* to the old address, and it was the only receiver */
	assert_null(rig_poll(&rig, 0, &len));
	assert_int_equal(rig_ctrl(&rig, 8, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, vid, 2),
			 VIRTIO_NET_OK);
	assert_int_equal(rig_ctrl(&rig, 8, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, vid, 2),
			 VIRTIO_NET_OK);
	assert_int_equal(rig_ctrl(&rig, 8, 77, 0, vid, 2), VIRTIO_NET_ERR);
	assert_int_equal(
		rig_ctrl(&rig, 8, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 5),
		VIRTIO_NET_ERR);
	rig_destroy(&rig);
}

static void pair_that_starts_in_its_middle_is_in_use(void **state)
{
	const struct vdpa_vq_state middle = {5, 5};
	struct vdpa_dev_config c = config();
	struct rig rig;

	c.max_vqp = 2;
	rig_make_of(&rig, &mlx5_mgmt_dev, &c);
	for (int again = 0; again < 2; again++) {
		rig_negotiate(&rig, FEATURES | CTRL_QUEUE | BIT(VIRTIO_NET_F_MQ));
		for (uint16_t i = 0; i < 5; i++) {
			rig_vq_new(&rig, i, 64);
			if (again && i == 3) {
				/* the ring stands there, too, or it would break */
				((uint16_t *)rig.vq[i].area[1])[1] = middle.last_avail;
				((uint16_t *)rig.vq[i].area[2])[1] = middle.last_avail;
				assert_int_equal(rig_op(&rig, set_vq_state, i, &middle), 0);
			}
			rig_vq_setup(&rig, i);
		}
		rig_driver_ok(&rig);
		assert_int_equal(mlx5_of(rig.dev)->pairs, again ? 2 : 1);
		assert_int_equal(mlx5_of(rig.dev)->vqs[2].fw_state == MLX5_VQ_RDY, again);
		rig_reset(&rig);
	}
	rig_destroy(&rig);
}

/* ---- suspend ---- */

static void suspended_queues_tell_their_position_and_go_on(void **state)
{
	struct vdpa_vq_state at;
	struct rig rig;

	make(&rig);
	start(&rig);
	for (uint32_t i = 0; i < 10; i++)
		assert_true(goes_round(&rig, i));
	assert_int_equal(rig_op(&rig, suspend), 0);
	for (uint16_t i = 0; i < 2; i++) {
		assert_int_equal(rig_op(&rig, get_vq_state, i, &at), 0);
		assert_int_equal(at.last_avail, 10);
	}
	assert_int_equal(rig_op(&rig, resume), 0);
	assert_true(goes_round(&rig, 11));
	rig_destroy(&rig);
}

/* Lines of the card's trace with @word in it, and how many commands were under way: "/4". */
static unsigned int lines_with(const char *path, const char *word, const char *at_once)
{
	FILE *f = fopen(path, "r");
	unsigned int nr = 0;
	char line[1100];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		nr += strstr(line, word) && strstr(line, at_once);
	(void)fclose(f);
	return nr;
}

static void queues_stop_and_start_by_commands_that_are_under_way_at_once(void **state)
{
	struct vdpa_dev_config c = config();
	char path[] = "/tmp/holdfast-trace-XXXXXX";
	int fd = mkstemp(path);
	unsigned int before;
	struct rig rig;

	assert_true(fd >= 0);
	close(fd);
	(void)snprintf(c.trace, sizeof(c.trace), "%s", path);
	c.max_vqp = 4;
	c.parallel = 3;
	rig_make_of(&rig, &mlx5_mgmt_dev, &c);
	rig_negotiate(&rig, FEATURES | CTRL_QUEUE | BIT(VIRTIO_NET_F_MQ));
	for (uint16_t i = 0; i < 9; i++) {
		rig_vq_new(&rig, i, 64);
		rig_vq_setup(&rig, i);
	}
	rig_driver_ok(&rig);
	assert_int_equal(ctrl_pairs(&rig, 8, 4), VIRTIO_NET_OK);
	before = lines_with(path, "MODIFY_GENERAL_OBJECT", "us/3\n");
	assert_int_equal(rig_op(&rig, suspend),
			 0); /* waves of 3 and 1 that send, and as many more */
	assert_int_equal(lines_with(path, "MODIFY_GENERAL_OBJECT", "us/3\n"), before + 6);
	assert_int_equal(lines_with(path, "QUERY_GENERAL_OBJECT", "us/3\n"), 6);
	assert_int_equal(lines_with(path, "QUERY_GENERAL_OBJECT", "us\n"), 2);
	assert_int_equal(rig_op(&rig, resume), 0);
	assert_int_equal(lines_with(path, "MODIFY_GENERAL_OBJECT", "us/3\n"), before + 12);
	assert_true(goes_round(&rig, 1));
	rig_destroy(&rig);
	(void)unlink(path);
}

struct kicks {
	struct rig *rig;
	unsigned int nr; /* atomic */
};

static void pass_kick(void *arg, uint32_t events)
{
	struct kicks *k = arg;

	(void)events;
	k->rig->ops->kick_vq(k->rig->dev, 0);
	__atomic_fetch_add(&k->nr, 1, __ATOMIC_RELEASE);
}

/* A client's kicks are polled by a worker, which sees them when it comes to run. */
static void kick_from_before_its_position_was_read_does_not_move_a_queue(void **state) NO_TSA
{
	struct worker_fd *watch;
	struct vdpa_vq_state at;
	struct worker *w;
	struct kicks k;
	struct rig rig;
	int kick = eventfd(0, EFD_NONBLOCK);

	make(&rig);
	mlx5_of(rig.dev)->park_ns = 3600 * NS_PER_SEC; /* only a kick lets it go on */
	start(&rig);
	k = (struct kicks){.rig = &rig};
	w = rig_op(&rig, get_vq_worker, 0);
	assert_int_equal(worker_watch(w, kick, EPOLLIN | EPOLLET, pass_kick, &k, &watch), 0);
	for (unsigned int i = 1; i <= 500; i++) {
		const struct mlx5_vq *vq = &mlx5_of(rig.dev)->vqs[0];

		worker_lock(w);
		eventfd_write(kick, 1);
		if (i % 2)
			sched_yield(); /* the worker may have seen it, and wait for its lock */
		worker_unlock(w);
		assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
		rig_wait_count(&k.nr, i);
		if (__atomic_load_n(&vq->parked_until, __ATOMIC_RELAXED) == 0)
			fail_msg("kick %u came before, and let the queue go on", i);
		rig_do(&rig, set_vq_ready, 0, true);
	}
	worker_lock(w);
	worker_unwatch(w, watch);
	worker_unlock(w);
	assert_true(goes_round(&rig, 1));
	close(kick);
	rig_destroy(&rig);
}

static void a_spec_that_makes_no_sense_is_refused_in_one_line(void **state)
{
	static const struct {
		const char *spec;
		int err;
		const char *words;
	} cases[] = {
		{"", -EINVAL, "either model on"},
		{"model off", -EINVAL, "either model on"},
		{"model maybe", -EINVAL, "model \"maybe\" is none of: on, off"},
		{"model on pci 0000:3b:00.2", -EINVAL, "pci 0000:3b:00.2 conflicts with model on"},
		{"pci 3b:00.2", -EINVAL, "pci \"3b:00.2\" is no address like"},
		{"pci 0000:3b:00.8", -EINVAL, "is no address like"},
		{"pci 0000:3b:00.2x", -EINVAL, "is no address like"},
		{"pci 0000:3b:00.2 latency all=1us", -EINVAL, "latency conflicts with pci"},
		{"model on rebuild some", -EINVAL, "none of: changed, full"},
		{"model on latency all", -ERANGE, "latency 'all' is no NAME=TIME"},
		{"model on latency all=5", -ERANGE, "is no NAME=TIME"},
		{"model on latency all=11s", -ERANGE, "from 0ns to 10s"},
		{"model on latency all=10000000001ns", -ERANGE, "from 0ns to 10s"},
		{"model on latency all=1us,brew=1us", -EINVAL, "names no command 'brew'"},
		{"model on parallel 65", -ERANGE, "parallel \"65\" is not a number from 1 to 64"},
		{"model on defer soon", -ERANGE, "defer 'soon' is no time from 0ns to 10s"},
		{"model on defer 11s", -ERANGE, "defer '11s' is no time from 0ns to 10s"},
		{"model on mapping dma_map", -EOPNOTSUPP, "mlx5 takes no key 'mapping'"},
		{"model on quirks linux-6.12", -EOPNOTSUPP, "mlx5 takes no key 'quirks'"},
	};
	const struct vdpa_mgmt_dev *table[] = {&mlx5_mgmt_dev}, *found;
	struct vdpa_dev_config c;
	char spec[128];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int err;

		(void)snprintf(spec, sizeof(spec), "mgmtdev mlx5 %s", cases[i].spec);
		err = vdpa_spec_parse(table, 1, spec, 0, &c, &found);
		if (err != cases[i].err || !strstr(refuse_reason(), cases[i].words))
			fail_msg("%s: %d: %s", spec, err, refuse_reason());
	}
	assert_int_equal(vdpa_spec_parse(table, 1,
					 "mgmtdev mlx5 model on rebuild full latency "
					 "all=1us,create_mkey=10s,destroy_mkey=0ns",
					 0, &c, &found),
			 0);
	assert_int_equal(c.rebuild, MLX5_REBUILD_FULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_before_any_queue_was_set_up_is_fine),
		cmocka_unit_test(reset_keeps_the_keys_of_every_address_space),
		cmocka_unit_test(reset_keeps_queue_objects_that_the_next_client_can_use),
		cmocka_unit_test(reset_map_restores_the_1_to_1_key),
		cmocka_unit_test(reset_map_does_not_touch_queues),
		cmocka_unit_test(compat_reset_clean_map_drops_keys_and_makes_the_1_to_1_key),
		cmocka_unit_test(groups_go_back_to_address_space_0_at_a_reset),
		cmocka_unit_test(map_changes_under_traffic_and_nothing_is_lost),
		cmocka_unit_test(map_changes_in_place_and_no_queue_stops),
		cmocka_unit_test(keys_that_nobody_uses_any_more_are_destroyed_later),
		cmocka_unit_test(map_changes_under_traffic_without_resume),
		cmocka_unit_test(queue_without_keys_waits_for_its_address_space_to_get_some),
		cmocka_unit_test(rings_with_a_key_of_their_own_are_looked_up_there),
		cmocka_unit_test(buffer_without_a_key_stops_the_queue_and_says_so),
		cmocka_unit_test(key_that_is_gone_stops_the_queue_and_says_so),
		cmocka_unit_test(maps_change_on_one_thread_while_queues_run_on_others),
		cmocka_unit_test(control_queue_sets_pairs_address_and_vlans),
		cmocka_unit_test(pair_that_starts_in_its_middle_is_in_use),
		cmocka_unit_test(suspended_queues_tell_their_position_and_go_on),
		cmocka_unit_test(queues_stop_and_start_by_commands_that_are_under_way_at_once),
		cmocka_unit_test(kick_from_before_its_position_was_read_does_not_move_a_queue),
		cmocka_unit_test(a_spec_that_makes_no_sense_is_refused_in_one_line),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests(tests, get_buffers, NULL);
}
