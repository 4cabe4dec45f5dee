// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is left when one operation is refused: a device that works as before, or one that says that
 * it does not.
 */
#include <errno.h>
#include <sched.h>

#include "base/clock.h"
#include "card.h"
#include "parents/mlx5/layout.h"

/* Firmware that cannot resume queues: a map takes all of them down and makes them anew. */
static void map_that_fails_without_resume_leaves_a_device_that_works_or_says_so(void **state)
{
	bool over = false;

	for (uint64_t nth = 1; !over; nth++) {
		uint64_t before;
		struct iotlb *tlb;
		struct rig rig;
		int err;

		make(&rig);
		without_resume(&rig);
		start(&rig);
		tlb = own_map(&rig);
		assert_int_equal(set_map(&rig, 0, tlb), 0);
		assert_true(goes_round(&rig, 1));
		assert_int_equal(iotlb_map(tlb, FAR, FAR + 4095, memory_space_identity(rig.space),
					   0, IOTLB_RW),
				 0);
		before = mlx5_model_nr_commands_all(model(&rig));
		mlx5_model_fail_at(model(&rig), nth, 0x0f);
		err = set_map(&rig, 0, tlb);
		over = mlx5_model_nr_commands_all(model(&rig)) - before < nth;
		mlx5_model_fail_at(model(&rig), 0, 0);
		if (!(rig_op(&rig, get_status) &
		      (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)) &&
		    !goes_round(&rig, 2))
			fail_msg("command %llu of a map failed, set_map gave %d, status is 0x%x, "
				 "and "
				 "the device is dead",
				 (unsigned long long)nth, err, rig_op(&rig, get_status));
		iotlb_destroy(tlb);
		rig_destroy(&rig);
	}
}

/* The address is changed flow by flow: one for frames without a tag, one for each VLAN. */
static void address_that_is_refused_is_in_no_flow(void **state)
{
	static const uint8_t other[6] = {0x52, 0x54, 0, 9, 9, 9}, vid[2] = {5, 0};

	for (uint64_t nth = 1; nth <= 5; nth++) {
		const struct fw_obj *flow;
		unsigned int nr = 0, nr_bad = 0;
		uint8_t got[6], answer;
		struct rig rig;

		make(&rig);
		rig_start(&rig,
			  FEATURES | CTRL_QUEUE | BIT(VIRTIO_NET_F_CTRL_VLAN) |
				  BIT(VIRTIO_NET_F_CTRL_MAC_ADDR),
			  3, 64);
		assert_int_equal(
			rig_ctrl(&rig, 2, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, vid, 2),
			VIRTIO_NET_OK);
		mlx5_model_fail_at(model(&rig), nth, 0x0f);
		answer = rig_ctrl(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other,
				  6);
		mlx5_model_fail_at(model(&rig), 0, 0);
		rig_do(&rig, get_config, 0, got, 6);
		mlx5_lock(mlx5_of(rig.dev));
		TAILQ_FOREACH (flow, &model(&rig)->objs[FW_FLOW], link) {
			if (flow->uses[0]->group.mask.dmac[1] != 0xff)
				continue;
			nr++;
			nr_bad += memcmp(flow->flow.value.dmac, got, 6) != 0;
		}
		mlx5_unlock(mlx5_of(rig.dev));
		if (nr_bad || nr != 2)
			fail_msg("command %llu failed, the answer was %u, and %u of %u flows have "
				 "another address than the configuration",
				 (unsigned long long)nth, answer, nr_bad, nr);
		rig_destroy(&rig);
	}
}

/* An event says only that a queue has changed. */
static void event_of_a_queue_at_rest_leaves_the_position_that_was_set(void **state)
{
	const struct vdpa_vq_state set = {77, 77};
	struct vdpa_vq_state at;
	struct mlx5_vdpa *v;
	struct rig rig;
	uint32_t before;
	bool done = false;

	make(&rig);
	start(&rig);
	assert_true(goes_round(&rig, 1));
	v = mlx5_of(rig.dev);
	assert_int_equal(rig_op(&rig, suspend), 0);
	assert_int_equal(rig_op(&rig, set_vq_state, 0, &set), 0);
	mlx5_lock(v);
	before = v->eq_consumer;
	vdpasim_lock(&v->model->sim->workers[0]);
	fw_event_broken(v->model, v->vqs[0].obj);
	vdpasim_unlock(&v->model->sim->workers[0]);
	mlx5_unlock(v);
	for (int64_t end = clock_now_ns() + DEADLINE_MS * NS_PER_MS;
	     !done && clock_now_ns() < end;) {
		(void)sched_yield();
		mlx5_lock(v);
		done = v->eq_consumer != before && v->vqs[0].nr_asks == 0;
		mlx5_unlock(v);
	}
	assert_true(done);
	assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
	rig_destroy(&rig);
	assert_int_equal(at.last_avail, 77);
}

/* The bus driver believes a device suspended whose resume failed. */
static void resume_that_fails_leaves_no_queue_running(void **state)
{
	struct rig rig;
	int err, nr = 0;
	uint8_t status;

	make(&rig);
	start(&rig);
	assert_true(goes_round(&rig, 1));
	assert_int_equal(rig_op(&rig, suspend), 0);
	mlx5_model_fail_at(model(&rig), 2, 0x0f);
	err = rig_op(&rig, resume);
	mlx5_model_fail_at(model(&rig), 0, 0);
	for (int i = 0; i < 2; i++)
		nr += mlx5_of(rig.dev)->vqs[i].fw_state == MLX5_VQ_RDY;
	status = rig_op(&rig, get_status);
	rig_destroy(&rig);
	assert_int_not_equal(err, 0);
	if (nr && !(status & VIRTIO_CONFIG_S_NEEDS_RESET))
		fail_msg("resume gave %d, status is 0x%x, and %d queue runs", err, status, nr);
}

/* A driver without a map of its own, as virtio_vdpa: it has the 1:1 key, and no .reset_map. */
static void card_that_failed_to_start_can_be_started_after_a_reset(void **state)
{
	struct rig rig;
	uint8_t status;
	bool works;

	make(&rig);
	start(&rig);
	assert_true(goes_round(&rig, 1));
	rig_reset(&rig);
	mlx5_model_set_full(model(&rig), true);
	rig_negotiate(&rig, FEATURES);
	rig_do(&rig, set_status, 0xf);
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_FAILED);
	mlx5_model_set_full(model(&rig), false);
	rig_reset(&rig);
	start(&rig);
	status = rig_op(&rig, get_status);
	works = goes_round(&rig, 2);
	rig_destroy(&rig);
	if (!works)
		fail_msg("after a reset DRIVER_OK gave status 0x%x, and no frame moves", status);
}

/* Pairs that were in use once are suspended; to use them again all queues are made anew. */
static void pairs_that_fail_without_resume_leave_a_device_that_works_or_says_so(void **state)
{
	static const uint8_t two[2] = {2, 0}, one[2] = {1, 0};
	bool over = false;

	for (uint64_t nth = 1; !over; nth++) {
		struct vdpa_dev_config c = config();
		uint64_t before;
		struct rig rig;
		uint8_t answer;

		c.max_vqp = 2;
		rig_make_of(&rig, &mlx5_mgmt_dev, &c);
		without_resume(&rig);
		rig_start(&rig, FEATURES | CTRL_QUEUE | BIT(VIRTIO_NET_F_MQ), 5, 64);
		assert_int_equal(rig_ctrl(&rig, 4, VIRTIO_NET_CTRL_MQ,
					  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, two, 2),
				 VIRTIO_NET_OK);
		assert_int_equal(rig_ctrl(&rig, 4, VIRTIO_NET_CTRL_MQ,
					  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, one, 2),
				 VIRTIO_NET_OK);
		assert_true(goes_round(&rig, 1));
		before = mlx5_model_nr_commands_all(model(&rig));
		mlx5_model_fail_at(model(&rig), nth, 0x0f);
		answer = rig_ctrl(&rig, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, two,
				  2);
		over = mlx5_model_nr_commands_all(model(&rig)) - before < nth;
		mlx5_model_fail_at(model(&rig), 0, 0);
		if (answer != VIRTIO_NET_OK &&
		    !(rig_op(&rig, get_status) &
		      (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)) &&
		    !goes_round(&rig, 2))
			fail_msg("command %llu failed, the answer was %u, status is 0x%x, and the "
				 "device is dead",
				 (unsigned long long)nth, answer, rig_op(&rig, get_status));
		rig_destroy(&rig);
	}
}

static const struct mlx5_dev_ops *sound_ops;
static bool is_busy;

/* Firmware that for a while refuses to change or destroy queues. */
static int exec_busy(struct mlx5_dev *dev, const void *in_, size_t in_len, void *out_,
		     size_t out_len)
{
	unsigned int opcode = (unsigned int)mlx5_get(in_, MLX5_IN_OPCODE);

	if (!is_busy ||
	    (opcode != MLX5_OP_MODIFY_GENERAL_OBJECT && opcode != MLX5_OP_DESTROY_GENERAL_OBJECT))
		return sound_ops->exec(dev, in_, in_len, out_, out_len);
	((uint8_t *)out_)[0] = FW_BUSY;
	return 0;
}

static void make_busy(struct mlx5_vdpa *v, struct mlx5_dev_ops *ops)
{
	mlx5_lock(v);
	sound_ops = v->hw->ops;
	*ops = *sound_ops;
	ops->exec = exec_busy;
	ops->exec_many = NULL;
	v->hw->ops = ops;
	mlx5_unlock(v);
	is_busy = true;
}

static void make_sound(struct mlx5_vdpa *v)
{
	mlx5_lock(v);
	v->hw->ops = sound_ops;
	mlx5_unlock(v);
}

/* vdpa.h, .reset: "On return no queue touches memory." */
static void reset_that_stops_no_queue_says_so(void **state)
{
	struct mlx5_dev_ops ops;
	struct mlx5_vdpa *v;
	struct rig rig;
	int err, nr = 0;
	uint8_t status;

	make(&rig);
	start(&rig);
	assert_true(goes_round(&rig, 1));
	v = mlx5_of(rig.dev);
	make_busy(v, &ops);
	err = rig_op(&rig, reset);
	for (int i = 0; i < 2; i++)
		nr += v->vqs[i].fw_state == MLX5_VQ_RDY;
	is_busy = false;
	/* the next client */
	rig_negotiate(&rig, FEATURES);
	rig_do(&rig, set_status, 0xf);
	status = rig_op(&rig, get_status);
	make_sound(v);
	rig_destroy(&rig);
	if (nr && !err && !(status & (VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET)))
		fail_msg("reset gave 0, %d queues still run, and DRIVER_OK gave status 0x%x", nr,
			 status);
}

/* The card lets its queues go later. They stand where the former client's did. */
static void client_after_a_reset_that_failed_works_or_is_told(void **state)
{
	for (int given = 0; given < 2; given++) {
		const struct vdpa_vq_state at_0 = {0, 0};
		struct mlx5_dev_ops ops;
		struct vdpa_vq_state at;
		struct mlx5_vdpa *v;
		struct rig_vq old[2];
		struct rig rig;

		make(&rig);
		start(&rig);
		for (uint32_t i = 0; i < 3; i++)
			assert_true(goes_round(&rig, i));
		v = mlx5_of(rig.dev);
		make_busy(v, &ops);
		assert_int_equal(rig_op(&rig, reset), -EIO);
		rig_negotiate(&rig, FEATURES);
		for (uint16_t i = 0; i < 2; i++) {
			old[i] = rig.vq[i]; /* the card has it still */
			rig.vq[i].mem = NULL;
			rig_vq_new(&rig, i, 64);
			if (given)
				assert_int_equal(rig_op(&rig, set_vq_state, i, &at_0), 0);
			assert_int_equal(rig_op(&rig, get_vq_state, i, &at), 0);
			assert_int_equal(at.last_avail, 0);
			rig_vq_setup(&rig, i);
		}
		assert_int_equal(rig_op(&rig, get_status), 0xb);
		is_busy = false;
		rig_do(&rig, set_status, 0xf);
		if (!(rig_op(&rig, get_status) &
		      (VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET)) &&
		    !goes_round(&rig, 9))
			fail_msg("status is 0x%x, and no frame moves", rig_op(&rig, get_status));
		make_sound(v);
		for (int i = 0; i < 2; i++)
			munmap(old[i].mem, old[i].mem_len);
		rig_destroy(&rig);
	}
}

/* Firmware that for a while makes no counters. */
static int exec_without_counters(struct mlx5_dev *dev, const void *in_, size_t in_len, void *out_,
				 size_t out_len)
{
	if (mlx5_get(in_, MLX5_IN_OPCODE) != MLX5_OP_CREATE_GENERAL_OBJECT ||
	    mlx5_get(in_, MLX5_OBJ_TYPE) != MLX5_OBJ_VIRTIO_Q_COUNTERS)
		return sound_ops->exec(dev, in_, in_len, out_, out_len);
	((uint8_t *)out_)[0] = FW_NO_RES;
	return 0;
}

/* The queues had memory of the card's for the smaller size when making them failed. */
static void client_with_a_larger_ring_starts_after_one_with_a_smaller_could_not(void **state)
{
	struct mlx5_dev_ops ops;
	struct mlx5_vdpa *v;
	struct rig rig;

	make(&rig);
	v = mlx5_of(rig.dev);
	rig_start(&rig, FEATURES, 2, 256);
	rig_reset(&rig);
	make_busy(v, &ops);
	ops.exec = exec_without_counters;
	rig_negotiate(&rig, FEATURES);
	for (uint16_t i = 0; i < 2; i++) {
		rig_vq_new(&rig, i, 64);
		rig_vq_setup(&rig, i);
	}
	rig_do(&rig, set_status, 0xf);
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_FAILED);
	rig_reset(&rig);
	make_sound(v);
	rig_start(&rig, FEATURES, 2, 256);
	assert_true(goes_round(&rig, 1));
	rig_destroy(&rig);
}

static int exec_without_tables(struct mlx5_dev *dev, const void *in_, size_t in_len, void *out_,
			       size_t out_len)
{
	unsigned int opcode = (unsigned int)mlx5_get(in_, MLX5_IN_OPCODE);

	if (opcode != MLX5_OP_CREATE_RQT && opcode != MLX5_OP_DESTROY_GENERAL_OBJECT)
		return sound_ops->exec(dev, in_, in_len, out_, out_len);
	((uint8_t *)out_)[0] = opcode == MLX5_OP_CREATE_RQT ? FW_NO_RES : FW_BUSY;
	return 0;
}

/* What is taken down again may be refused as well. */
static void start_that_fails_names_the_command_that_failed_first(void **state)
{
	struct mlx5_dev_ops ops;
	struct mlx5_vdpa *v;
	struct rig rig;

	make(&rig);
	v = mlx5_of(rig.dev);
	make_busy(v, &ops);
	ops.exec = exec_without_tables;
	rig_negotiate(&rig, FEATURES);
	rig_do(&rig, set_status, 0xf);
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_FAILED);
	if (!strstr(refuse_reason(), "CREATE_RQT"))
		fail_msg("the reason is: %s", refuse_reason());
	make_sound(v);
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(card_that_failed_to_start_can_be_started_after_a_reset),
		cmocka_unit_test(resume_that_fails_leaves_no_queue_running),
		cmocka_unit_test(event_of_a_queue_at_rest_leaves_the_position_that_was_set),
		cmocka_unit_test(address_that_is_refused_is_in_no_flow),
		cmocka_unit_test(
			map_that_fails_without_resume_leaves_a_device_that_works_or_says_so),
		cmocka_unit_test(
			pairs_that_fail_without_resume_leave_a_device_that_works_or_says_so),
		cmocka_unit_test(reset_that_stops_no_queue_says_so),
		cmocka_unit_test(client_after_a_reset_that_failed_works_or_is_told),
		cmocka_unit_test(start_that_fails_names_the_command_that_failed_first),
		cmocka_unit_test(
			client_with_a_larger_ring_starts_after_one_with_a_smaller_could_not),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests(tests, get_buffers, NULL);
}
