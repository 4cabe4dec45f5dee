// SPDX-License-Identifier: BSD-3-Clause
/*
 * The firmware model's queues and steering: states, and each refusal by its syndrome, as the driver
 * sees it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../sim/support.h"
#include "parents/mlx5/cmd_steer.h"
#include "parents/mlx5/cmd_virtq.h"
#include "parents/mlx5/model.h"

#define SIZE    64
#define MEM_LEN 65536

struct fixture {
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct mlx5_model *model;
	struct mlx5_dev *dev;
	uint32_t pd, td, tisn, mkey, counters, vector[4];
	struct mlx5_virtq rx, tx; /* that are taken */
};

static uint8_t memory[MEM_LEN] __attribute__((aligned(4096)));

static struct mlx5_virtq describe(struct fixture *f, uint16_t index)
{
	struct mlx5_virtq q = {
		.index = index,
		.size = SIZE,
		.version_1 = true,
		.state = MLX5_VQ_RDY,
		.vector = f->vector[index],
		.pd = f->pd,
		.tisn = index % 2 ? f->tisn : 0,
		.mkey = f->mkey,
		.desc = 0x1000,
		.driver = 0x2000,
		.device = 0x3000,
	};

	for (int i = 0; i < 3; i++) {
		q.umem[i].len = MEM_LEN;
		assert_int_equal(f->dev->ops->umem_open(f->dev, memory, MEM_LEN, &q.umem[i].id), 0);
	}
	return q;
}

static void start(struct fixture *f, const struct mlx5_model_options *opt)
{
	static const struct vdpa_callback none;
	struct mlx5_mkey_desc all = {.mode = MLX5_ACCESS_PA, .read = true, .write = true};
	struct vdpa_dev_config config = rig_config();
	struct mlx5_model_options o = *opt;

	config.max_vqp = 2;
	assert_int_equal(memory_space_create_own(&f->space), 0);
	assert_int_equal(vdpa_bus_create(f->space, &f->bus), 0);
	o.bus = f->bus;
	o.config = &config;
	assert_int_equal(mlx5_model_create(&o, &f->model), 0);
	f->dev = mlx5_model_dev(f->model);
	assert_int_equal(mlx5_cmd_alloc_pd(f->dev, &f->pd), 0);
	assert_int_equal(mlx5_cmd_alloc_td(f->dev, &f->td), 0);
	assert_int_equal(mlx5_cmd_create_tis(f->dev, f->td, &f->tisn), 0);
	assert_int_equal(mlx5_cmd_create_counters(f->dev, &f->counters), 0);
	all.pd = f->pd;
	assert_int_equal(mlx5_cmd_create_mkey(f->dev, &all, &f->mkey), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(f->dev->ops->vector_open(f->dev, &none, &f->vector[i]), 0);
	f->rx = describe(f, 0);
	f->tx = describe(f, 1);
}

static void finish(struct fixture *f)
{
	mlx5_model_destroy(f->model);
	vdpa_bus_destroy(f->bus);
	memory_space_put(f->space);
}

static void expect(int ret, const char *syndrome)
{
	if (ret == 0 || !strstr(refuse_reason(), syndrome))
		fail_msg("want syndrome %s, got %d: %s", syndrome, ret, refuse_reason());
}

static int create(struct fixture *f, struct mlx5_virtq q)
{
	uint32_t id;

	return mlx5_cmd_create_virtq(f->dev, &q, &id);
}

static void a_queue_that_makes_no_sense_is_refused(void **state)
{
	static const struct mlx5_model_options usual, no_desc = {.no_desc_mkey = true};
	struct mlx5_virtq q;
	struct fixture f;

	start(&f, &usual);
	q = f.rx, q.index = 4;
	expect(create(&f, q), "0x50001");
	q = f.rx, q.size = 0;
	expect(create(&f, q), "0x50001");
	q = f.rx, q.size = 48;
	expect(create(&f, q), "0x50001");
	q = f.rx, q.features = 1;
	expect(create(&f, q), "0x50002");
	q = f.rx, q.version_1 = false;
	expect(create(&f, q), "0x50002");
	q = f.rx, q.vector = 100;
	expect(create(&f, q), "0x50003");
	q = f.rx, q.pd = 99;
	expect(create(&f, q), "0x50005");
	q = f.rx, q.umem[2].id = 9999;
	expect(create(&f, q), "0x50007");
	q = f.rx, q.umem[1].len = MEM_LEN + 1;
	expect(create(&f, q), "0x50007");
	q = f.rx, q.umem[1].len = 128 * SIZE + 8192 - 1;
	expect(create(&f, q), "0x50007");
	q = f.tx, q.tisn = 0;
	expect(create(&f, q), "0x50008");
	q = f.rx, q.counters = 12345;
	expect(create(&f, q), "0x50008");
	q = f.rx, q.counters = f.counters;
	assert_int_equal(create(&f, q), 0);
	expect(create(&f, f.rx), "0x50004");
	q = f.tx, q.vector = f.rx.vector;
	expect(create(&f, q), "0x50004");
	q = f.tx, q.counters = f.counters; /* another queue's */
	expect(create(&f, q), "0x50008");
	finish(&f);
	start(&f, &no_desc);
	q = f.rx, q.desc_mkey = f.mkey;
	expect(create(&f, q), "0x50006");
	finish(&f);
}

static int set_state(struct fixture *f, uint32_t id, uint8_t to)
{
	struct mlx5_virtq q = {.state = to};

	return mlx5_cmd_modify_virtq(f->dev, id, MLX5_VQ_STATE, &q);
}

static int set_fields(struct fixture *f, uint32_t id, uint64_t select, struct mlx5_virtq q)
{
	return mlx5_cmd_modify_virtq(f->dev, id, select, &q);
}

static uint8_t state_of(struct fixture *f, uint32_t id)
{
	struct mlx5_virtq_status status;

	assert_int_equal(mlx5_cmd_query_virtq(f->dev, id, &status), 0);
	return status.state;
}

static void states_follow_one_another_and_no_other_way(void **state)
{
	for (int resumable = 0; resumable < 2; resumable++) {
		struct mlx5_model_options opt = {.no_freeze_to_rdy = !resumable};
		struct mlx5_virtq_status status;
		struct fixture f;
		uint32_t id;

		start(&f, &opt);
		assert_int_equal(mlx5_cmd_create_virtq(f.dev, &f.rx, &id), 0);
		assert_int_equal(state_of(&f, id), MLX5_VQ_INIT);
		expect(set_state(&f, id, MLX5_VQ_SUSPEND), "0x5000d");
		expect(set_state(&f, id, MLX5_VQ_INIT), "0x5000d");
		expect(set_state(&f, id, MLX5_VQ_ERR), "0x5000d");
		assert_int_equal(set_fields(&f, id, MLX5_VQ_AVAIL_IDX | MLX5_VQ_USED_IDX,
					    (struct mlx5_virtq){.avail = 7, .used = 7}),
				 0);
		assert_int_equal(set_state(&f, id, MLX5_VQ_RDY), 0);
		assert_int_equal(state_of(&f, id), MLX5_VQ_RDY);
		expect(set_state(&f, id, MLX5_VQ_RDY), "0x5000d");
		expect(set_fields(&f, id, MLX5_VQ_ADDRS, f.rx), "0x50010");
		assert_int_equal(set_state(&f, id, MLX5_VQ_SUSPEND), 0);
		assert_int_equal(mlx5_cmd_query_virtq(f.dev, id, &status), 0);
		assert_int_equal(status.state, MLX5_VQ_SUSPEND);
		assert_int_equal(status.avail, 7);
		assert_int_equal(status.used, 7);
		if (resumable) {
			assert_int_equal(set_fields(&f, id, MLX5_VQ_ADDRS, f.rx), 0);
			assert_int_equal(set_state(&f, id, MLX5_VQ_RDY), 0);
		} else {
			expect(set_fields(&f, id, MLX5_VQ_ADDRS, f.rx), "0x50010");
			expect(set_state(&f, id, MLX5_VQ_RDY), "0x5000d");
		}
		expect(set_fields(&f, id, 0, f.rx), "0x5000f");
		expect(set_fields(&f, id, 1 << 3, f.rx), "0x5000f");
		assert_int_equal(mlx5_cmd_destroy_object(f.dev, MLX5_OBJ_VIRTIO_NET_Q, id), 0);
		expect(set_state(&f, id, MLX5_VQ_RDY), "0x5000e");
		expect(mlx5_cmd_query_virtq(f.dev, id, &status), "0x50011");
		finish(&f);
	}
}

static void a_queue_does_not_run_without_its_keys(void **state)
{
	static const struct mlx5_model_options usual;
	struct fixture f;
	uint32_t id;

	start(&f, &usual);
	f.rx.mkey = 0;
	assert_int_equal(mlx5_cmd_create_virtq(f.dev, &f.rx, &id), 0);
	expect(set_state(&f, id, MLX5_VQ_RDY), "0x5000a");
	f.rx.mkey = f.mkey;
	f.rx.desc_mkey = 0x123400;
	expect(set_fields(&f, id, MLX5_VQ_STATE | MLX5_VQ_MKEY | MLX5_VQ_DESC_MKEY, f.rx),
	       "0x5000b");
	assert_int_equal(state_of(&f, id), MLX5_VQ_INIT);
	expect(set_state(&f, id, MLX5_VQ_RDY), "0x5000a"); /* what was refused changed nothing */
	f.rx.desc_mkey = f.mkey;
	assert_int_equal(set_fields(&f, id, MLX5_VQ_STATE | MLX5_VQ_MKEY | MLX5_VQ_DESC_MKEY, f.rx),
			 0);
	finish(&f);
}

static void steering_that_makes_no_sense_is_refused(void **state)
{
	static const struct mlx5_model_options usual;
	struct mlx5_match one = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false, 0};
	struct mlx5_match odd = {{0xff}, false, 0};
	uint8_t tir[272] = {0x09, 0x00, [36] = 0x10, [68] = 0x20}, out[16];
	static const uint8_t refused[8] = {0x03, [5] = 0x04, 0x00, 0x08}; /* 0x40008 */
	uint32_t rx, tx, list[2], rqtn, tirn, table, group, id;
	struct mlx5_virtq_counters counters;
	struct fixture f;

	start(&f, &usual);
	assert_int_equal(mlx5_cmd_create_virtq(f.dev, &f.rx, &rx), 0);
	assert_int_equal(mlx5_cmd_create_virtq(f.dev, &f.tx, &tx), 0);
	list[0] = list[1] = rx;
	expect(mlx5_cmd_create_tis(f.dev, 999, &id), "0x30004");
	expect(mlx5_cmd_create_rqt(f.dev, list, 0, 1, &id), "0x40001");
	expect(mlx5_cmd_create_rqt(f.dev, &tx, 1, 1, &id), "0x40002"); /* it sends */
	expect(mlx5_cmd_create_rqt(f.dev, list, 2, 1, &id), "0x40003");
	expect(mlx5_cmd_create_rqt(f.dev, list, 2, 3, &id), "0x40003");
	assert_int_equal(mlx5_cmd_create_rqt(f.dev, list, 1, 1, &rqtn), 0);
	expect(mlx5_cmd_modify_rqt(f.dev, 999, list, 1), "0x40005");
	expect(mlx5_cmd_modify_rqt(f.dev, rqtn, list, 2), "0x40006");
	expect(mlx5_cmd_create_tir(f.dev, f.td, 999, &id), "0x40007");
	expect(mlx5_cmd_create_tir(f.dev, 999, rqtn, &id), "0x40007");
	tir[66] = (uint8_t)(rqtn >> 8);
	tir[67] = (uint8_t)rqtn;
	tir[71] = (uint8_t)f.td;
	assert_int_equal(f.dev->ops->exec(f.dev, tir, sizeof(tir), out, sizeof(out)), 0);
	assert_memory_equal(out, refused, sizeof(refused)); /* no hash key */
	expect(mlx5_cmd_query_counters(f.dev, 999, &counters), "0x50013");
	assert_int_equal(mlx5_cmd_create_tir(f.dev, f.td, rqtn, &tirn), 0);
	expect(mlx5_cmd_set_flow_root(f.dev, 999), "0x4000a");
	expect(mlx5_cmd_create_flow_table(f.dev, 21, &id), "0x4000b");
	assert_int_equal(mlx5_cmd_create_flow_table(f.dev, 4, &table), 0);
	expect(mlx5_cmd_create_flow_group(f.dev, table, 8, 16, &one, &id), "0x4000d");
	expect(mlx5_cmd_create_flow_group(f.dev, table, 0, 7, &odd, &id), "0x4000d");
	assert_int_equal(mlx5_cmd_create_flow_group(f.dev, table, 0, 7, &one, &group), 0);
	expect(mlx5_cmd_create_flow_group(f.dev, table, 7, 8, &one, &id), "0x4000e");
	expect(mlx5_cmd_set_flow(f.dev, table, group, 8, &one, tirn), "0x40010");
	expect(mlx5_cmd_set_flow(f.dev, table, group, 0, &one, 999), "0x40011");
	assert_int_equal(mlx5_cmd_set_flow(f.dev, table, group, 0, &one, tirn), 0);
	expect(mlx5_cmd_set_flow(f.dev, table, group, 0, &one, tirn), "0x40010");
	expect(mlx5_cmd_delete_flow(f.dev, table, 1), "0x40013");
	/* what is named by something else stays */
	expect(mlx5_cmd_destroy_object(f.dev, MLX5_OBJ_VIRTIO_NET_Q, rx), "0x30092");
	expect(mlx5_cmd_destroy_rqt(f.dev, rqtn), "0x30022");
	expect(mlx5_cmd_destroy_tir(f.dev, tirn), "0x30032");
	expect(mlx5_cmd_destroy_flow_table(f.dev, table), "0x30042");
	expect(mlx5_cmd_destroy_flow_group(f.dev, table, group), "0x30052");
	expect(mlx5_cmd_dealloc_td(f.dev, f.td), "0x30002");
	finish(&f);
}

static void expect_full(int ret, const char *syndrome)
{
	assert_int_equal(ret, -EAGAIN);
	expect(ret, syndrome);
}

static void a_device_without_room_says_so_of_each_thing(void **state)
{
	static const struct mlx5_model_options usual;
	struct mlx5_mkey_desc all = {.mode = MLX5_ACCESS_PA, .read = true, .write = true};
	struct mlx5_match one = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false, 0};
	uint32_t rx, rqtn, tirn, table, group, id;
	struct fixture f;

	start(&f, &usual);
	all.pd = f.pd;
	assert_int_equal(mlx5_cmd_create_virtq(f.dev, &f.rx, &rx), 0);
	assert_int_equal(mlx5_cmd_create_rqt(f.dev, &rx, 1, 1, &rqtn), 0);
	assert_int_equal(mlx5_cmd_create_tir(f.dev, f.td, rqtn, &tirn), 0);
	assert_int_equal(mlx5_cmd_create_flow_table(f.dev, 4, &table), 0);
	assert_int_equal(mlx5_cmd_create_flow_group(f.dev, table, 0, 7, &one, &group), 0);
	mlx5_model_set_full(f.model, true);
	expect_full(mlx5_cmd_alloc_pd(f.dev, &id), "0x10001");
	expect_full(mlx5_cmd_create_mkey(f.dev, &all, &id), "0x20008");
	expect_full(mlx5_cmd_alloc_td(f.dev, &id), "0x30003");
	expect_full(mlx5_cmd_create_tis(f.dev, f.td, &id), "0x30003");
	expect_full(mlx5_cmd_create_rqt(f.dev, &rx, 1, 1, &id), "0x40004");
	expect_full(mlx5_cmd_create_tir(f.dev, f.td, rqtn, &id), "0x40009");
	expect_full(mlx5_cmd_create_flow_table(f.dev, 4, &id), "0x4000c");
	expect_full(mlx5_cmd_create_flow_group(f.dev, table, 8, 9, &one, &id), "0x4000f");
	expect_full(mlx5_cmd_set_flow(f.dev, table, group, 0, &one, tirn), "0x40012");
	expect_full(create(&f, f.tx), "0x50009");
	expect_full(set_state(&f, rx, MLX5_VQ_RDY), "0x5000c");
	expect_full(mlx5_cmd_create_counters(f.dev, &id), "0x50012");
	expect_full(mlx5_cmd_create_eq(f.dev, 6, f.vector[3], 1, &id), "0x60002");
	mlx5_model_set_full(f.model, false);
	assert_int_equal(set_state(&f, rx, MLX5_VQ_RDY), 0); /* it was left as it was */
	assert_int_equal(mlx5_cmd_set_flow(f.dev, table, group, 0, &one, tirn), 0);
	finish(&f);
}

static void what_is_none_cannot_be_destroyed(void **state)
{
	static const struct mlx5_model_options usual;
	uint32_t table, tx;
	struct fixture f;

	start(&f, &usual);
	assert_int_equal(mlx5_cmd_create_flow_table(f.dev, 4, &table), 0);
	expect(mlx5_cmd_dealloc_td(f.dev, 999), "0x30001");
	expect(mlx5_cmd_destroy_tis(f.dev, 999), "0x30011");
	expect(mlx5_cmd_destroy_rqt(f.dev, 999), "0x30021");
	expect(mlx5_cmd_destroy_tir(f.dev, 999), "0x30031");
	expect(mlx5_cmd_destroy_flow_table(f.dev, 999), "0x30041");
	expect(mlx5_cmd_destroy_flow_group(f.dev, table, 999), "0x30051");
	expect(mlx5_cmd_destroy_eq(f.dev, 99), "0x30071");
	expect(mlx5_cmd_destroy_object(f.dev, MLX5_OBJ_VIRTIO_Q_COUNTERS, 999), "0x30081");
	expect(mlx5_cmd_destroy_object(f.dev, MLX5_OBJ_VIRTIO_NET_Q, 999), "0x30091");
	/* nor what something else has a use for */
	f.tx.counters = f.counters;
	assert_int_equal(mlx5_cmd_create_virtq(f.dev, &f.tx, &tx), 0);
	expect(mlx5_cmd_destroy_tis(f.dev, f.tisn), "0x30012");
	expect(mlx5_cmd_destroy_object(f.dev, MLX5_OBJ_VIRTIO_Q_COUNTERS, f.counters), "0x30082");
	finish(&f);
}

static void event_queues_need_a_vector_and_a_size(void **state)
{
	static const struct mlx5_model_options usual;
	struct fixture f;
	uint32_t eqn;

	start(&f, &usual);
	expect(mlx5_cmd_create_eq(f.dev, 17, f.vector[3], 1, &eqn), "0x60001");
	expect(mlx5_cmd_create_eq(f.dev, 6, 100, 1, &eqn), "0x60001");
	assert_int_equal(mlx5_cmd_create_eq(f.dev, 6, f.vector[3], 1, &eqn), 0);
	assert_non_null(f.dev->ops->eq_buffer(f.dev, eqn));
	assert_int_equal(((uint8_t *)f.dev->ops->eq_buffer(f.dev, eqn))[63], 1);
	assert_int_equal(mlx5_cmd_destroy_eq(f.dev, eqn), 0);
	expect(mlx5_cmd_destroy_eq(f.dev, eqn), "0x30071");
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_that_makes_no_sense_is_refused),
		cmocka_unit_test(states_follow_one_another_and_no_other_way),
		cmocka_unit_test(a_queue_does_not_run_without_its_keys),
		cmocka_unit_test(steering_that_makes_no_sense_is_refused),
		cmocka_unit_test(a_device_without_room_says_so_of_each_thing),
		cmocka_unit_test(what_is_none_cannot_be_destroyed),
		cmocka_unit_test(event_queues_need_a_vector_and_a_size),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
