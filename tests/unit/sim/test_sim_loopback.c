// SPDX-License-Identifier: BSD-3-Clause
/* Frames through the loopback, compared byte by byte, over ring layouts, options and sizes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parents/sim/net.h"
#include "support.h"

#define NR_FRAMES 600 /* more than twice round a ring of 256 */
#define BUF_LEN   2048

/* How much the receive buffers of one batch cost at most: this program wraps (ld's --wrap) what
 * begins and ends it. */
static __thread uint32_t walked_before; /* of each worker */
static uint32_t walked_most;            /* atomic; read when the worker has gone */

void __real_simnet_rx_begin(struct simnet_rx *rx, struct simnet_pair *pair);
void __wrap_simnet_rx_begin(struct simnet_rx *rx, struct simnet_pair *pair);
void __wrap_simnet_rx_begin(struct simnet_rx *rx, struct simnet_pair *pair)
{
	walked_before = ring_walked(pair->rx->ring);
	__real_simnet_rx_begin(rx, pair);
}

void __real_simnet_rx_end(struct simnet_rx *rx);
void __wrap_simnet_rx_end(struct simnet_rx *rx);
void __wrap_simnet_rx_end(struct simnet_rx *rx)
{
	uint32_t walked = ring_walked(rx->ring) - walked_before;

	if (walked > __atomic_load_n(&walked_most, __ATOMIC_RELAXED))
		__atomic_store_n(&walked_most, walked, __ATOMIC_RELAXED);
	__real_simnet_rx_end(rx);
}

struct combo {
	const char *name;
	uint64_t features;
	uint16_t num;
	bool indirect;
	bool split_header;
};

static const struct combo combos[] = {
	{"split", 0, 256, false, false},
	{"split, header apart", 0, 256, false, true},
	{"split, event index", BIT(VIRTIO_RING_F_EVENT_IDX), 256, false, false},
	{"split, indirect", BIT(VIRTIO_RING_F_INDIRECT_DESC), 16, true, true},
	{"split, in order", BIT(VIRTIO_F_IN_ORDER), 64, false, false},
	{"split, mergeable", BIT(VIRTIO_NET_F_MRG_RXBUF), 64, false, true},
	{"packed", BIT(VIRTIO_F_RING_PACKED), 256, false, false},
	{"packed, event index, indirect",
	 BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX) |
		 BIT(VIRTIO_RING_F_INDIRECT_DESC),
	 64, true, true},
	{"packed, in order, mergeable",
	 BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER) | BIT(VIRTIO_NET_F_MRG_RXBUF), 32,
	 false, true},
	{"packed, 33 entries", BIT(VIRTIO_F_RING_PACKED), 33, false, false},
};

static uint8_t tx_buf[BUF_LEN], *rx_bufs;
static struct {
	uint64_t desc[2 * 4];
} tables[1];

static void add_tx(struct rig *rig, const struct combo *c, size_t len)
{
	struct ring_driver_seg segs[2] = {{rig_iova(rig, tx_buf), HDR},
					  {rig_iova(rig, tx_buf + HDR), (uint32_t)(len - HDR)}};

	if (!c->split_header)
		segs[0].len = (uint32_t)len;
	assert_int_equal(ring_driver_add(rig->vq[1].drv, segs, c->split_header ? 2 : 1, 0, tx_buf,
					 c->indirect ? tables : NULL, rig_iova(rig, tables)),
			 0);
}

static void run_combo(const struct combo *c)
{
	struct vdpa_dev_config config = rig_config();
	struct rig rig;
	uint32_t len;

	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES | c->features, 2, c->num);
	rx_bufs = malloc((size_t)c->num * BUF_LEN);
	for (uint16_t i = 0; i < c->num; i++)
		rig_add(&rig, 0, rx_bufs + (size_t)i * BUF_LEN, BUF_LEN, true);
	rig_publish(&rig, 0);
	for (uint32_t i = 0; i < NR_FRAMES; i++) {
		size_t frame_len = HDR + 14 + i * 37 % (BUF_LEN - HDR - 14);
		uint8_t *got, expect[BUF_LEN];

		frame_make(tx_buf, frame_len, i);
		memcpy(expect, tx_buf, frame_len);
		expect[10] = 1; /* num_buffers */
		add_tx(&rig, c, frame_len);
		rig_publish(&rig, 1);
		got = rig_get(&rig, 0, &len);
		if (!got)
			fail_msg("%s: frame %u did not come back", c->name, i);
		assert_int_equal(len, frame_len);
		assert_memory_equal(got, expect, frame_len);
		/* The header that lies in a buffer may be right already, or wrong in any byte. */
		if (i % 2)
			got[i / 2 % HDR] ^= 0x80;
		rig_add(&rig, 0, got, BUF_LEN, true);
		rig_publish(&rig, 0);
		assert_ptr_equal(rig_get(&rig, 1, &len), tx_buf);
		assert_int_equal(len, 0);
	}
	/* [7-11] */
	assert_int_equal(rig_counter(&rig, 1, "tx packets"), NR_FRAMES);
	assert_int_equal(rig_counter(&rig, 0, "rx packets"), NR_FRAMES);
	assert_int_equal(rig_counter(&rig, 0, "rx bytes"), rig_counter(&rig, 1, "tx bytes"));
	rig_destroy(&rig);
	free(rx_bufs);
}

static void loopback_frames_any_ring_arrive_unchanged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(combos) / sizeof(combos[0]); i++)
		run_combo(&combos[i]);
}

static void loopback_large_segment_mergeable_spans_buffers(void **state)
{
	const uint64_t tso = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
			     BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO4);
	struct vdpa_dev_config config = rig_config();
	size_t total = HDR + 65549, at = 0;
	uint8_t *frame = malloc(total), *bufs = malloc(64 * BUF_LEN), *got;
	struct virtio_net_hdr_mrg_rxbuf hdr;
	struct rig rig;
	uint32_t len;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MRG_RXBUF) | tso, 2, 64);
	for (int i = 0; i < 64; i++)
		rig_add(&rig, 0, bufs + (size_t)i * BUF_LEN, BUF_LEN, true);
	rig_publish(&rig, 0);
	frame_make(frame, total, 7);
	frame[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	frame[1] = VIRTIO_NET_HDR_GSO_TCPV4;
	frame[4] = 0xb4; /* gso_size 1460 */
	frame[5] = 0x05;
	frame[6] = 34; /* csum_start */
	frame[8] = 16; /* csum_offset */
	rig_send(&rig, 1, frame, total);
	while (at < total) {
		got = rig_get(&rig, 0, &len);
		assert_non_null(got);
		if (at == 0) {
			memcpy(&hdr, got, sizeof(hdr));
			assert_memory_equal(&hdr, frame, 10);
			assert_int_equal(hdr.num_buffers, (total + BUF_LEN - 1) / BUF_LEN);
			assert_memory_equal(got + HDR, frame + HDR, len - HDR);
		} else {
			assert_memory_equal(got, frame + at, len);
		}
		at += len;
	}
	assert_int_equal(at, total);
	rig_destroy(&rig);
	free(frame);
	free(bufs);
}

static void loopback_offload_not_negotiated_drops(void **state)
{
	struct vdpa_dev_config config = rig_config();
	uint8_t frame[HDR + 100], buf[BUF_LEN];
	struct rig rig;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_CSUM), 2, 16);
	rig_add(&rig, 0, buf, sizeof(buf), true);
	rig_publish(&rig, 0);
	frame_make(frame, sizeof(frame), 1);
	frame[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	rig_send(&rig, 1, frame, sizeof(frame));
	assert_int_equal(rig_counter(&rig, 0, "rx errors"), 1);
	assert_int_equal(rig_counter(&rig, 0, "rx packets"), 0);
	rig_destroy(&rig);
}

/* Both buffers are the driver's choice. */
static void loopback_buffers_that_overlap_carry_the_frame(void **state)
{
	static const size_t shifts[] = {1, 16, 100};
	struct vdpa_dev_config config = rig_config();
	uint8_t *buf = tx_buf, expect[BUF_LEN];
	struct rig rig;
	uint32_t len;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, 8);
	for (size_t i = 0; i < 2 * ARRAY_LEN(shifts); i++) {
		size_t shift = shifts[i / 2], cut = HDR + 30;
		struct ring_driver_seg segs[2] = {
			{rig_iova(&rig, buf), (uint32_t)cut},
			{rig_iova(&rig, buf + cut), (uint32_t)(HDR + 200 - cut)}};

		frame_make(buf, HDR + 200, (uint32_t)i);
		memcpy(expect, buf, HDR + 200);
		rig_add(&rig, 0, buf + shift, 600, true);
		rig_publish(&rig, 0);
		if (i % 2)
			assert_int_equal(ring_driver_add(rig.vq[1].drv, segs, 2, 0, buf, NULL, 0),
					 0);
		else
			rig_add(&rig, 1, buf, HDR + 200, false);
		rig_publish(&rig, 1);
		assert_ptr_equal(rig_get(&rig, 0, &len), buf + shift);
		assert_int_equal(len, HDR + 200);
		/* Of one piece all arrives but what the received header has gone over. */
		if (i % 2 == 0)
			assert_memory_equal(buf + shift + HDR + shift, expect + HDR + shift,
					    200 - shift);
		assert_non_null(rig_get(&rig, 1, &len));
	}
	rig_destroy(&rig);
}

static void loopback_no_receive_buffer_counts_overrun(void **state)
{
	struct vdpa_dev_config config = rig_config();
	uint8_t frame[HDR + 60];
	struct rig rig;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, 16);
	frame_make(frame, sizeof(frame), 1);
	rig_send(&rig, 1, frame, sizeof(frame));
	assert_int_equal(rig_counter(&rig, 0, "rx overruns"), 1);
	assert_int_equal(rig_counter(&rig, 1, "tx packets"), 1);
	rig_destroy(&rig);
}

static void loopback_buffer_too_small_drops_and_goes_on(void **state)
{
	struct vdpa_dev_config config = rig_config();
	uint8_t frame[HDR + 200], small[HDR + 40];
	struct rig rig;
	uint32_t len;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, 16);
	rig_add(&rig, 0, small, sizeof(small), true);
	rig_publish(&rig, 0);
	frame_make(frame, sizeof(frame), 1);
	rig_send(&rig, 1, frame, sizeof(frame));
	assert_int_equal(rig_counter(&rig, 0, "rx errors"), 1);
	rig_send(&rig, 1, frame, HDR + 30);
	assert_ptr_equal(rig_get(&rig, 0, &len), small);
	assert_int_equal(len, HDR + 30);
	rig_destroy(&rig);
}

static void loopback_runt_frame_counts_error(void **state)
{
	struct vdpa_dev_config config = rig_config();
	uint8_t frame[HDR + 13];
	struct rig rig;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, 16);
	frame_make(frame, sizeof(frame), 1);
	rig_send(&rig, 1, frame, sizeof(frame));
	rig_send(&rig, 1, frame, 3);
	assert_int_equal(rig_counter(&rig, 1, "tx errors"), 2);
	rig_destroy(&rig);
}

static void loopback_two_workers_each_pair_loops(void **state)
{
	const uint8_t four[2] = {4, 0};
	struct vdpa_dev_config config = rig_config();
	uint8_t frame[4][HDR + 64], buf[4][BUF_LEN];
	struct rig rig;
	uint32_t len;

	(void)state;
	config.max_vqp = 4;
	config.workers = 2;
	rig_make(&rig, &config);
	assert_int_equal(rig.dev->nvqs, 9);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ), 9, 32);
	assert_int_equal(
		rig_ctrl(&rig, 8, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, four, 2),
		VIRTIO_NET_OK);
	for (int round = 0; round < 300; round++) {
		for (uint16_t p = 0; p < 4; p++) {
			rig_add(&rig, 2 * p, buf[p], BUF_LEN, true);
			rig_publish(&rig, 2 * p);
			frame_make(frame[p], sizeof(frame[p]), p + 4u * (unsigned int)round);
			rig_add(&rig, 2 * p + 1, frame[p], sizeof(frame[p]), false);
			rig_publish(&rig, 2 * p + 1);
		}
		for (uint16_t p = 0; p < 4; p++) {
			assert_ptr_equal(rig_get(&rig, 2 * p, &len), buf[p]);
			assert_int_equal(len, sizeof(frame[p]));
			assert_memory_equal(buf[p] + HDR, frame[p] + HDR, len - HDR);
			assert_ptr_equal(rig_get(&rig, 2 * p + 1, &len), frame[p]);
		}
	}
	rig_destroy(&rig);
}

#define NR_PIECES  1024u /* of a buffer, one byte each */
#define NR_BUFFERS 200u

static void loopback_buffers_of_many_pieces_do_not_make_a_batch_long(void **state)
{
	static struct ring_driver_seg segs[NR_PIECES];
	static uint64_t table[2 * NR_PIECES], byte[NR_PIECES * 2 / 8];
	struct vdpa_dev_config config = rig_config();
	const size_t frame_len = HDR + 900;
	struct rig rig;
	uint32_t len;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_RING_F_INDIRECT_DESC), 2, 256);
	for (unsigned int i = 0; i < NR_PIECES; i++)
		segs[i] = (struct ring_driver_seg){rig_iova(&rig, (uint8_t *)byte + 2 * i), 1};
	for (unsigned int i = 0; i < NR_BUFFERS; i++)
		assert_int_equal(ring_driver_add(rig.vq[0].drv, segs, 0, NR_PIECES, table, table,
						 rig_iova(&rig, table)),
				 0);
	rig_publish(&rig, 0);
	frame_make(tx_buf, frame_len, 1);
	walked_most = 0;
	for (unsigned int i = 0; i < NR_BUFFERS; i++)
		rig_add(&rig, 1, tx_buf, frame_len, false);
	rig_publish(&rig, 1);
	for (unsigned int i = 0; i < NR_BUFFERS; i++) {
		assert_ptr_equal(rig_get(&rig, 0, &len), table);
		assert_int_equal(len, frame_len);
	}
	rig_destroy(&rig);
	/* what is taken at once in the beginning, as much again, and the last frame's */
	assert_true(walked_most > 0 && walked_most <= 2 * RING_WALK_MAX + 2 * NR_PIECES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loopback_frames_any_ring_arrive_unchanged),
		cmocka_unit_test(loopback_large_segment_mergeable_spans_buffers),
		cmocka_unit_test(loopback_offload_not_negotiated_drops),
		cmocka_unit_test(loopback_buffers_that_overlap_carry_the_frame),
		cmocka_unit_test(loopback_no_receive_buffer_counts_overrun),
		cmocka_unit_test(loopback_buffer_too_small_drops_and_goes_on),
		cmocka_unit_test(loopback_runt_frame_counts_error),
		cmocka_unit_test(loopback_buffers_of_many_pieces_do_not_make_a_batch_long),
		cmocka_unit_test(loopback_two_workers_each_pair_loops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
