// SPDX-License-Identifier: BSD-3-Clause
/*
 * The commands for virtqueues, events and steering, byte by byte. The expected bytes are written by
 * hand from the manual's offsets: neither the encoder nor the model has made them.
 */
#include <linux/virtio_net.h>

#include "notebook.h"
#include "parents/mlx5/cmd_steer.h"
#include "parents/mlx5/cmd_virtq.h"

static void virtio_caps_are_read_from_their_own_kind(void **state)
{
	static const uint8_t want[16] = {
		[0] = 0x01,
		0x00,
		[7] = 0x27,
	};
	struct mlx5_virtio_caps caps;
	struct notebook n;

	notebook_start(&n);
	notebook_answer(&n, 16 + 0,
			0x20 | 0x1f); /* version 1, and the upper 5 of 13 feature bits */
	notebook_answer(&n, 16 + 1, 0x54);
	notebook_answer(&n, 16 + 2, 0x04); /* events by vector */
	notebook_answer(&n, 16 + 17, 0x01);
	notebook_answer(&n, 16 + 18, 0x02);
	notebook_answer(&n, 16 + 19, 0x03);
	notebook_answer(&n, 16 + 26, 0x10);
	notebook_answer(&n, 16 + 8, 0x01); /* where doorbells are: 64 bits */
	notebook_answer(&n, 16 + 14, 0x20);
	notebook_answer(&n, 16 + 15, 0x10);
	for (size_t i = 0; i < 6; i++)
		notebook_answer(&n, 16 + 32 + 4 * i + 3, (uint8_t)(0x11 * (i + 1)));
	assert_int_equal(mlx5_cmd_query_virtio_caps(&n.dev, &caps), 0);
	notebook_expect(&n, want, sizeof(want));
	assert_true(caps.version_1);
	assert_true(caps.msix);
	assert_true(caps.desc_mkey);
	assert_false(caps.freeze_to_rdy);
	assert_int_equal(caps.features, 0x1f54);
	assert_int_equal(caps.max_queues, 0x010203);
	assert_int_equal(caps.doorbell_off, 0x0100000000002010);
	assert_int_equal(caps.umem_a[0], 0x11);
	assert_int_equal(caps.umem_b[0], 0x22);
	assert_int_equal(caps.umem_a[2], 0x55);
	assert_int_equal(caps.umem_b[2], 0x66);
	n.answer[0].byte = 0;
	n.answer[2].byte = 0x03;
	n.answer[6].byte = 0x08;
	assert_int_equal(mlx5_cmd_query_virtio_caps(&n.dev, &caps), 0);
	assert_false(caps.version_1 || caps.msix || caps.desc_mkey);
	assert_true(caps.freeze_to_rdy);
}

static void features_change_their_order(void **state)
{
	static const struct {
		unsigned int virtio, device;
	} bits[] = {{VIRTIO_NET_F_HOST_TSO4, 12}, {VIRTIO_NET_F_HOST_TSO6, 11},
		    {VIRTIO_NET_F_CSUM, 10},      {VIRTIO_NET_F_GUEST_CSUM, 9},
		    {VIRTIO_NET_F_GUEST_TSO4, 8}, {VIRTIO_NET_F_GUEST_TSO6, 7},
		    {VIRTIO_NET_F_GUEST_ECN, 6},  {VIRTIO_NET_F_HOST_ECN, 4},
		    {VIRTIO_NET_F_MRG_RXBUF, 2}};

	for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
		assert_int_equal(mlx5_features_of(1ULL << bits[i].virtio), 1u << bits[i].device);
		assert_int_equal(mlx5_features_to((uint16_t)(1u << bits[i].device)),
				 1ULL << bits[i].virtio);
	}
	assert_int_equal(mlx5_features_of(1ULL << VIRTIO_NET_F_MQ), 0);
}

static const struct mlx5_virtq queue = {
	.index = 0x0203,
	.size = 0x0100,
	.features = 0x1a05,
	.avail = 0x1122,
	.used = 0x3344,
	.version_1 = true,
	.state = MLX5_VQ_SUSPEND,
	.vector = 0x0a0b0c,
	.tisn = 0x0d0e0f,
	.pd = 0x101112,
	.counters = 0x13141516,
	.mkey = 0x17181920,
	.desc_mkey = 0x21222324,
	.desc = 0x3132333435363738,
	.driver = 0x4142434445464748,
	.device = 0x5152535455565758,
	.umem = {{0x61626364, 0x65666768}, {0x71727374, 0x75767778}, {0x81828384, 0x85868788}},
};

static void create_virtq_has_every_field_at_its_place(void **state)
{
	static const uint8_t want[208] = {
		[0] = 0x0a,  0x00,         [6] = 0x00,  0x0d,         [32] = 0xd0,  0x00,
		[36] = 0x05, 0x0d,         0x0e,        0x0f,         [56] = 0x11,  0x22,
		0x33,        0x44,         [81] = 0x02, 0x02,         0x03,         [84] = 0x40,
		0x0a,        0x0b,         0x0c,        [90] = 0x01,  0x00,         [96] = 0x31,
		0x32,        0x33,         0x34,        0x35,         0x36,         0x37,
		0x38,        [104] = 0x51, 0x52,        0x53,         0x54,         0x55,
		0x56,        0x57,         0x58,        [112] = 0x41, 0x42,         0x43,
		0x44,        0x45,         0x46,        0x47,         0x48,         [120] = 0x17,
		0x18,        0x19,         0x20,        [128] = 0x61, 0x62,         0x63,
		0x64,        0x65,         0x66,        0x67,         0x68,         [144] = 0x71,
		0x72,        0x73,         0x74,        0x75,         0x76,         0x77,
		0x78,        [160] = 0x81, 0x82,        0x83,         0x84,         0x85,
		0x86,        0x87,         0x88,        [176] = 0x13, 0x14,         0x15,
		0x16,        [181] = 0x10, 0x11,        0x12,         [188] = 0x21, 0x22,
		0x23,        0x24,
	};
	struct notebook n;
	uint32_t id;

	notebook_start(&n);
	for (size_t i = 0; i < 4; i++)
		notebook_answer(&n, 8 + i, (uint8_t)(0xa1 + i));
	assert_int_equal(mlx5_cmd_create_virtq(&n.dev, &queue, &id), 0);
	notebook_expect(&n, want, sizeof(want));
	assert_int_equal(id, 0xa1a2a3a4);
}

static void modify_virtq_has_what_is_selected_and_nothing_else(void **state)
{
	static const uint8_t state_only[208] = {
		[0] = 0x0a, 0x01, [6] = 0x00, 0x0d,        0xb1,
		0xb2,       0xb3, 0xb4,       [23] = 0x01, [35] = 0x02,
	};
	static const uint8_t all[208] = {
		[0] = 0x0a,  0x01, [6] = 0x00,  0x0d,         0xb1, 0xb2, 0xb3, 0xb4,
		[22] = 0x49, 0xc1, [35] = 0x02, [56] = 0x11,  0x22, 0x33, 0x44, [96] = 0x31,
		0x32,        0x33, 0x34,        0x35,         0x36, 0x37, 0x38, [104] = 0x51,
		0x52,        0x53, 0x54,        0x55,         0x56, 0x57, 0x58, [112] = 0x41,
		0x42,        0x43, 0x44,        0x45,         0x46, 0x47, 0x48, [120] = 0x17,
		0x18,        0x19, 0x20,        [188] = 0x21, 0x22, 0x23, 0x24,
	};
	uint64_t select = MLX5_VQ_STATE | MLX5_VQ_ADDRS | MLX5_VQ_AVAIL_IDX | MLX5_VQ_USED_IDX |
			  MLX5_VQ_MKEY | MLX5_VQ_DESC_MKEY;
	struct notebook n;

	notebook_start(&n);
	assert_int_equal(mlx5_cmd_modify_virtq(&n.dev, 0xb1b2b3b4, MLX5_VQ_STATE, &queue), 0);
	notebook_expect(&n, state_only, sizeof(state_only));
	assert_int_equal(mlx5_cmd_modify_virtq(&n.dev, 0xb1b2b3b4, select, &queue), 0);
	notebook_expect(&n, all, sizeof(all));
}

static void query_virtq_reads_state_error_and_positions(void **state)
{
	static const uint8_t want[16] = {
		[0] = 0x0a, 0x02, [6] = 0x00, 0x0d, 0x00, 0x00, 0x00, 0x09,
	};
	struct mlx5_virtq_status status;
	struct notebook n;

	notebook_start(&n);
	notebook_answer(&n, 35, 0xf3); /* four foreign bits */
	notebook_answer(&n, 127, 0x05);
	notebook_answer(&n, 56, 0x12);
	notebook_answer(&n, 57, 0x34);
	notebook_answer(&n, 58, 0x56);
	notebook_answer(&n, 59, 0x78);
	assert_int_equal(mlx5_cmd_query_virtq(&n.dev, 9, &status), 0);
	notebook_expect(&n, want, sizeof(want));
	assert_int_equal(n.out_len, 208);
	assert_int_equal(status.state, MLX5_VQ_ERR);
	assert_int_equal(status.error, 5);
	assert_int_equal(status.avail, 0x1234);
	assert_int_equal(status.used, 0x5678);
}

static void counters_are_objects_of_their_own(void **state)
{
	static const uint8_t create[144] = {
		[0] = 0x0a,
		0x00,
		[6] = 0x00,
		0x1c,
	};
	static const uint8_t query[16] = {
		[0] = 0x0a, 0x02, [6] = 0x00, 0x1c, 0x00, 0x00, 0x01, 0x02,
	};
	static const uint8_t destroy[16] = {
		[0] = 0x0a, 0x03, [6] = 0x00, 0x1c, 0x00, 0x00, 0x01, 0x02,
	};
	struct mlx5_virtq_counters counters;
	struct notebook n;
	uint32_t id;

	notebook_start(&n);
	notebook_answer(&n, 10, 0x01);
	notebook_answer(&n, 11, 0x02);
	assert_int_equal(mlx5_cmd_create_counters(&n.dev, &id), 0);
	notebook_expect(&n, create, sizeof(create));
	assert_int_equal(id, 0x0102);
	notebook_answer(&n, 32, 0x80);
	notebook_answer(&n, 47, 0x07);
	notebook_answer(&n, 51, 0x01);
	notebook_answer(&n, 55, 0x02);
	notebook_answer(&n, 59, 0x03);
	notebook_answer(&n, 63, 0x04);
	assert_int_equal(mlx5_cmd_query_counters(&n.dev, id, &counters), 0);
	notebook_expect(&n, query, sizeof(query));
	assert_true(counters.received == 0x8000000000000000);
	assert_int_equal(counters.completed, 7);
	assert_int_equal(counters.errors, 1);
	assert_int_equal(counters.bad_desc, 2);
	assert_int_equal(counters.max_chain, 3);
	assert_int_equal(counters.invalid_buffer, 4);
	assert_int_equal(mlx5_cmd_destroy_object(&n.dev, MLX5_OBJ_VIRTIO_Q_COUNTERS, id), 0);
	notebook_expect(&n, destroy, sizeof(destroy));
}

static void event_queue_has_size_vector_and_events(void **state)
{
	static const uint8_t create[272] = {
		[0] = 0x03, 0x01, [28] = 0x06, [38] = 0x0a, 0xbc, [88] = 0x00, 0x00,
		0x00,       0x80, 0x00,        0x00,        0x02, 0x00,
	};
	static const uint8_t destroy[16] = {
		[0] = 0x03,
		0x02,
		[11] = 0x7f,
	};
	uint64_t events = 1ULL << MLX5_EVENT_OBJECT_CHANGE | 1ULL << MLX5_EVENT_PORT_CHANGE;
	struct notebook n;
	uint32_t eqn;

	notebook_start(&n);
	notebook_answer(&n, 10, 0xff); /* reserved */
	notebook_answer(&n, 11, 0x7f);
	assert_int_equal(mlx5_cmd_create_eq(&n.dev, 6, 0xabc, events, &eqn), 0);
	notebook_expect(&n, create, sizeof(create));
	assert_int_equal(eqn, 0x7f);
	assert_int_equal(mlx5_cmd_destroy_eq(&n.dev, eqn), 0);
	notebook_expect(&n, destroy, sizeof(destroy));
}

/* ---- steering ---- */

static void transport_domain_and_tis(void **state)
{
	static const uint8_t alloc[16] = {
		[0] = 0x08,
		0x16,
	};
	static const uint8_t dealloc[16] = {
		[0] = 0x08, 0x17, [9] = 0x01, 0x02, 0x03,
	};
	static const uint8_t create[192] = {
		[0] = 0x09, 0x12, [69] = 0x01, 0x02, 0x03,
	};
	static const uint8_t destroy[16] = {
		[0] = 0x09, 0x14, [9] = 0x01, 0x02, 0x03,
	};
	struct notebook n;
	uint32_t id;

	notebook_start(&n);
	for (size_t i = 0; i < 3; i++)
		notebook_answer(&n, 9 + i, (uint8_t)(i + 1));
	assert_int_equal(mlx5_cmd_alloc_td(&n.dev, &id), 0);
	notebook_expect(&n, alloc, sizeof(alloc));
	assert_int_equal(id, 0x010203);
	assert_int_equal(mlx5_cmd_dealloc_td(&n.dev, id), 0);
	notebook_expect(&n, dealloc, sizeof(dealloc));
	assert_int_equal(mlx5_cmd_create_tis(&n.dev, 0x010203, &id), 0);
	notebook_expect(&n, create, sizeof(create));
	assert_int_equal(mlx5_cmd_destroy_tis(&n.dev, id), 0);
	notebook_expect(&n, destroy, sizeof(destroy));
}

static void rqt_lists_virtqueues(void **state)
{
	static const uint8_t create[280] = {
		[0] = 0x09, 0x16, [52] = 0x01,  [55] = 0x04, [59] = 0x02, [273] = 0x0a,
		0x0b,       0x0c, [277] = 0x0d, 0x0e,        0x0f,
	};
	static const uint8_t modify[276] = {
		[0] = 0x09,  0x17,        [9] = 0x00,   0x00, 0x07, [23] = 0x01,
		[52] = 0x01, [59] = 0x01, [273] = 0x0a, 0x0b, 0x0c,
	};
	static const uint8_t destroy[16] = {
		[0] = 0x09, 0x18, [9] = 0x00, 0x00, 0x07,
	};
	static const uint32_t queues[] = {0x0a0b0c, 0x0d0e0f};
	struct notebook n;
	uint32_t rqtn;

	notebook_start(&n);
	notebook_answer(&n, 11, 0x07);
	assert_int_equal(mlx5_cmd_create_rqt(&n.dev, queues, 2, 4, &rqtn), 0);
	notebook_expect(&n, create, sizeof(create));
	assert_int_equal(mlx5_cmd_modify_rqt(&n.dev, rqtn, queues, 1), 0);
	notebook_expect(&n, modify, sizeof(modify));
	assert_int_equal(mlx5_cmd_destroy_rqt(&n.dev, rqtn), 0);
	notebook_expect(&n, destroy, sizeof(destroy));
}

static void tir_hashes_over_the_table(void **state)
{
	static const uint8_t destroy[16] = {0x09, 0x02, [11] = 0x05};
	/* the key that Microsoft's text on receive side scaling verifies with */
	static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
					0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
					0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
					0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
	struct notebook n;
	uint32_t tirn;

	notebook_start(&n);
	notebook_answer(&n, 1, 0xff); /* the low bytes of an address are not the number's */
	notebook_answer(&n, 8, 0xff);
	notebook_answer(&n, 11, 0x05);
	assert_int_equal(mlx5_cmd_create_tir(&n.dev, 0x010203, 0x040506, &tirn), 0);
	assert_int_equal(tirn, 5);
	assert_int_equal(n.in_len, 272);
	assert_memory_equal(n.in, ((const uint8_t[]){0x09, 0x00}), 2);
	assert_int_equal(n.in[36], 0x10); /* over a table */
	assert_memory_equal(n.in + 64, ((const uint8_t[]){0x80, 0x04, 0x05, 0x06}), 4);
	assert_memory_equal(n.in + 68, ((const uint8_t[]){0x20, 0x01, 0x02, 0x03}), 4);
	assert_memory_equal(n.in + 72, key, sizeof(key));
	assert_memory_equal(n.in + 112, ((const uint8_t[]){0x00, 0x00, 0x00, 0x0f}), 4);
	for (size_t i = 2; i < 36; i++)
		assert_int_equal(n.in[i], 0);
	for (size_t i = 116; i < 272; i++)
		assert_int_equal(n.in[i], 0);
	assert_int_equal(mlx5_cmd_destroy_tir(&n.dev, tirn), 0);
	notebook_expect(&n, destroy, sizeof(destroy));
}

static void flow_tables_and_groups(void **state)
{
	static const uint8_t table[64] = {
		[0] = 0x09,
		0x30,
		[27] = 0x08,
	};
	static const uint8_t root[64] = {
		[0] = 0x09, 0x2f, [21] = 0x00, 0x00, 0x06,
	};
	static const uint8_t destroy[64] = {
		[0] = 0x09, 0x31, [21] = 0x00, 0x00, 0x06,
	};
	static const uint8_t group[1024] =
		{
			[0] = 0x09, 0x33,        [21] = 0x00, 0x00,        0x06,        [28] = 0x00,
			0x00,       0x00,        0x80,        [36] = 0x00, 0x00,        0x00,
			0xff,       [63] = 0x01, [72] = 0xff, 0xff,        0xff,        0xff,
			0xff,       0xff,        [78] = 0x0f, 0xff,        [82] = 0x80,
		};
	static const uint8_t destroy_group[64] = {
		[0] = 0x09, 0x34, [21] = 0x00, 0x00, 0x06, [24] = 0x00, 0x00, 0x00, 0x06,
	};
	struct mlx5_match mask = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true, 0xfff};
	struct notebook n;
	uint32_t id;

	notebook_start(&n);
	notebook_answer(&n, 11, 0x06);
	assert_int_equal(mlx5_cmd_create_flow_table(&n.dev, 8, &id), 0);
	notebook_expect(&n, table, sizeof(table));
	assert_int_equal(mlx5_cmd_set_flow_root(&n.dev, id), 0);
	notebook_expect(&n, root, sizeof(root));
	assert_int_equal(mlx5_cmd_create_flow_group(&n.dev, id, 0x80, 0xff, &mask, &id), 0);
	notebook_expect(&n, group, sizeof(group));
	assert_int_equal(mlx5_cmd_destroy_flow_group(&n.dev, 6, id), 0);
	notebook_expect(&n, destroy_group, sizeof(destroy_group));
	assert_int_equal(mlx5_cmd_destroy_flow_table(&n.dev, 6), 0);
	notebook_expect(&n, destroy, sizeof(destroy));
}

static void flow_leads_from_an_address_to_a_tir(void **state)
{
	static const uint8_t set[824] = {
		[0] = 0x09,   0x36,        [21] = 0x00,  0x00,         0x06, [32] = 0x00,
		0x00,         0x00,        0x81,         [68] = 0x00,  0x00, 0x00,
		0x09,         [78] = 0x00, 0x04,         [81] = 0x00,  0x00, 0x01,
		[136] = 0x52, 0x54,        0x00,         0x12,         0x34, 0x56,
		[142] = 0x01, 0x23,        [146] = 0x80, [816] = 0x02, 0x0a, 0x0b,
		0x0c,
	};
	static const uint8_t delete[64] = {
		[0] = 0x09, 0x38, [21] = 0x00, 0x00, 0x06, [32] = 0x00, 0x00, 0x00, 0x81,
	};
	struct mlx5_match value = {{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}, true, 0x123};
	struct notebook n;

	notebook_start(&n);
	assert_int_equal(mlx5_cmd_set_flow(&n.dev, 6, 9, 0x81, &value, 0x0a0b0c), 0);
	notebook_expect(&n, set, sizeof(set));
	assert_int_equal(mlx5_cmd_delete_flow(&n.dev, 6, 0x81), 0);
	notebook_expect(&n, delete, sizeof(delete));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(virtio_caps_are_read_from_their_own_kind),
		cmocka_unit_test(features_change_their_order),
		cmocka_unit_test(create_virtq_has_every_field_at_its_place),
		cmocka_unit_test(modify_virtq_has_what_is_selected_and_nothing_else),
		cmocka_unit_test(query_virtq_reads_state_error_and_positions),
		cmocka_unit_test(counters_are_objects_of_their_own),
		cmocka_unit_test(event_queue_has_size_vector_and_events),
		cmocka_unit_test(transport_domain_and_tis),
		cmocka_unit_test(rqt_lists_virtqueues),
		cmocka_unit_test(tir_hashes_over_the_table),
		cmocka_unit_test(flow_tables_and_groups),
		cmocka_unit_test(flow_leads_from_an_address_to_a_tir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
