// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a migration needs of a device that is suspended: nothing is under way any more, positions
 * are exact, and a fresh start from them goes on as if nothing had been, in each layout and at each
 * turn of a ring.
 */
#include <stdio.h>
#include <string.h>

#include "blk_support.h"
#include "host_support.h"

#define BUF_LEN 256
#define LEN     100
#define REQS    12
#define REQ_LEN (16 * 1024)

static uint8_t frame[LEN], bufs[16][BUF_LEN];

struct layout {
	uint64_t features;
	uint16_t num;
};

static const struct layout layouts[] = {
	{0, 4},
	{BIT(VIRTIO_RING_F_EVENT_IDX), 4},
	{BIT(VIRTIO_F_RING_PACKED), 4},
	{BIT(VIRTIO_F_RING_PACKED), 5},
	{BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX), 5},
	{BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER), 3},
};

/* Suspended; read the positions, forget all, and start at them as a device that has never run. */
static void start_elsewhere(struct rig *rig, uint64_t features)
{
	struct vdpa_vq_state at[2];

	for (uint16_t i = 0; i < 2; i++)
		assert_int_equal(rig_op(rig, get_vq_state, i, &at[i]), 0);
	rig_reset(rig);
	rig_negotiate(rig, features);
	for (uint16_t i = 0; i < 2; i++) {
		if (!(features & BIT(VIRTIO_F_RING_PACKED)))
			at[i].last_used = 0; /* SET_VRING_BASE of a split ring names none */
		assert_int_equal(rig_op(rig, set_vq_state, i, &at[i]), 0);
		rig_vq_setup(rig, i);
	}
	rig_driver_ok(rig);
}

/* A kick that comes between the suspending and the reset counts for the start at the same
 * position. */
static void kick_of_a_suspended_device_outlives_the_reset(void **state)
{
	struct vdpa_dev_config config = rig_config();
	struct rig rig;
	uint32_t len;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, 4);
	frame_make(frame, LEN, 1);
	rig_send(&rig, 1, frame, LEN);
	rig_quiet(&rig);
	assert_int_equal(rig_op(&rig, suspend), 0);
	rig_add(&rig, 1, frame, LEN, false);
	(void)ring_driver_publish(rig.vq[1].drv);
	rig.ops->kick_vq(rig.dev, 1);
	start_elsewhere(&rig, BASE_FEATURES);
	assert_ptr_equal(rig_get(&rig, 1, &len), frame);
	rig_destroy(&rig);
}

static void positions_are_exact_at_every_turn(void **state)
{
	for (size_t l = 0; l < ARRAY_LEN(layouts); l++) {
		uint64_t features = BASE_FEATURES | layouts[l].features;
		struct vdpa_dev_config config = rig_config();
		uint32_t len;
		struct rig rig;

		rig_make(&rig, &config);
		rig_start(&rig, features, 2, layouts[l].num);
		frame_make(frame, LEN, 1);
		for (int round = 0; round < 5 * layouts[l].num; round++) {
			rig_add(&rig, 0, bufs[0], BUF_LEN, true);
			rig_publish(&rig, 0);
			rig_send(&rig, 1, frame, LEN);
			assert_ptr_equal(rig_get(&rig, 0, &len), bufs[0]);
			assert_int_equal(rig_op(&rig, suspend), 0);
			/* What is published now is for whoever starts from here. */
			rig_add(&rig, 0, bufs[1], BUF_LEN, true);
			rig_add(&rig, 1, frame, LEN, false);
			(void)ring_driver_publish(rig.vq[0].drv);
			(void)ring_driver_publish(rig.vq[1].drv);
			memset(bufs[1], 0, BUF_LEN);
			start_elsewhere(&rig, features);
			rig.ops->kick_vq(rig.dev, 1);
			assert_ptr_equal(rig_get(&rig, 1, &len), frame);
			assert_ptr_equal(rig_get(&rig, 0, &len), bufs[1]);
			assert_int_equal(len, LEN);
			assert_memory_equal(bufs[1] + HDR, frame + HDR, LEN - HDR);
		}
		rig_destroy(&rig);
	}
}

/* ---- a disk that is at work ---- */

static uint8_t *data, *status, *copy;
static struct virtio_blk_outhdr *headers;

static int make_memory(void **state)
{
	if (blk_setup(state))
		return 1;
	data = blk_pages(REQS * REQ_LEN);
	copy = blk_pages(REQS * REQ_LEN);
	status = blk_pages(4096);
	headers = blk_pages(4096);
	blk_fill(data, REQS * REQ_LEN, 7);
	return host_setup("/tmp/hf-suspend-XXXXXX", data, REQS * REQ_LEN);
}

static void publish_reads(struct rig *rig)
{
	memset(data, 0, REQS * REQ_LEN);
	memset(status, NO_STATUS, REQS);
	for (unsigned int i = 0; i < REQS; i++) {
		struct ring_driver_seg segs[] = {blk_seg(rig, &headers[i], 16),
						 blk_seg(rig, data + i * REQ_LEN, REQ_LEN),
						 blk_seg(rig, status + i, 1)};

		headers[i] = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN,
							.sector = i * REQ_LEN / SECTOR};
		assert_int_equal(ring_driver_add(rig->vq[0].drv, segs, 1, 2, &headers[i], NULL, 0),
				 0);
	}
	(void)ring_driver_publish(rig->vq[0].drv);
}

/* Requests that the driver finds completed. */
static unsigned int take_completed(struct rig *rig)
{
	unsigned int n = 0;
	uint32_t used;

	while (rig_poll(rig, 0, &used)) {
		assert_int_equal(used, REQ_LEN + 1);
		assert_int_equal(status[n], VIRTIO_BLK_S_OK);
		n++;
	}
	return n;
}

static void requests_are_settled_when_suspend_returns(void **state)
{
	static const uint64_t features[] = {0, BIT(VIRTIO_F_RING_PACKED)};

	for (unsigned int round = 0; round < 200; round++) {
		struct vdpa_dev_config config = host_config();
		unsigned int done;
		struct rig rig;

		rig_make(&rig, &config);
		rig_start(&rig, BLK_FEATURES | features[round % 2], 1, 64);
		publish_reads(&rig);
		rig.ops->kick_vq(rig.dev, 0);
		for (volatile unsigned int spin = 0; spin < round * 500; spin++)
			;
		assert_int_equal(rig_op(&rig, suspend), 0);
		memcpy(copy, data, REQS * REQ_LEN);
		done = take_completed(&rig);
		/* no request is half done: untouched, or complete */
		for (unsigned int i = 0; i < REQS; i++)
			assert_int_equal(status[i], i < done ? VIRTIO_BLK_S_OK : NO_STATUS);
		for (size_t at = (size_t)done * REQ_LEN; at < REQS * REQ_LEN; at++)
			assert_int_equal(copy[at], 0);
		assert_memory_equal(copy, data, REQS * REQ_LEN);
		assert_int_equal(rig_op(&rig, resume), 0);
		rig.ops->kick_vq(rig.dev, 0);
		for (; done < REQS; done++)
			assert_non_null(rig_get(&rig, 0, &(uint32_t){0}));
		blk_fill(copy, REQS * REQ_LEN, 7);
		assert_memory_equal(copy, data, REQS * REQ_LEN);
		rig_destroy(&rig);
	}
}

/* ---- a request that takes many batches ---- */

#define LONG_PIECES 48 /* of DATA_LEN bytes */
#define LONG_ROUNDS 40

static void publish_long_write(struct rig *rig, uint8_t fill)
{
	struct ring_driver_seg segs[LONG_PIECES + 2] = {blk_seg(rig, blk.header, 16)};

	memset(blk.data, fill, DATA_LEN);
	blk_header(VIRTIO_BLK_T_OUT, 1);
	for (unsigned int i = 1; i <= LONG_PIECES; i++)
		segs[i] = blk_seg(rig, blk.data, DATA_LEN);
	segs[LONG_PIECES + 1] = blk_seg(rig, blk.status, 1);
	assert_int_equal(
		ring_driver_add(rig->vq[0].drv, segs, LONG_PIECES + 1, 1, blk.header, NULL, 0), 0);
	(void)ring_driver_publish(rig->vq[0].drv);
}

/* The first and the last sector of the write, and those beside, straight from the disk. */
static bool disk_has(struct rig *rig, uint64_t sector, uint8_t fill)
{
	uint8_t want[SECTOR];

	memset(want, fill, sizeof(want));
	memset(blk.data, 0xa5, SECTOR);
	assert_int_equal(blk_do(rig, VIRTIO_BLK_T_IN, sector, SECTOR, NULL), VIRTIO_BLK_S_OK);
	return memcmp(blk.data, want, SECTOR) == 0;
}

/* The ring stands before the request or behind it, and the driver was told so or not. Return: was
 * it before? */
static bool is_before(struct rig *rig, uint16_t before)
{
	struct vdpa_vq_state at;

	assert_int_equal(rig_op(rig, get_vq_state, 0, &at), 0);
	if (at.last_avail == before) {
		assert_int_equal(*blk.status, NO_STATUS);
		return true;
	}
	assert_int_equal(*blk.status, VIRTIO_BLK_S_OK);
	return false;
}

static void start_disk_elsewhere(struct rig *rig, uint64_t features)
{
	struct vdpa_vq_state at;

	assert_int_equal(rig_op(rig, get_vq_state, 0, &at), 0);
	rig_reset(rig);
	rig_negotiate(rig, features);
	assert_int_equal(rig_op(rig, set_vq_state, 0, &at), 0);
	rig_vq_setup(rig, 0);
	rig_driver_ok(rig);
}

static void interrupt_long_write(bool strict, uint64_t layout)
{
	const uint64_t features = BLK_FEATURES | layout;
	const uint64_t last = (uint64_t)LONG_PIECES * DATA_LEN / SECTOR;
	struct vdpa_dev_config config = blk_config();
	unsigned int nr_before = 0;
	struct rig rig;

	if (strict)
		config.profile = PROFILE_LINUX_6_12;
	rig_make(&rig, &config);
	rig_start(&rig, features, 1, 64);
	for (unsigned int round = 0; round < LONG_ROUNDS; round++) {
		uint8_t fill = (uint8_t)(round + 1);
		struct vdpa_vq_state at;
		uint32_t used;

		rig_quiet(&rig);
		assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
		publish_long_write(&rig, fill);
		rig.ops->kick_vq(rig.dev, 0);
		for (volatile unsigned int spin = 0; spin < round * 2000; spin++)
			;
		assert_int_equal(rig_op(&rig, suspend), 0);
		nr_before += is_before(&rig, at.last_avail);
		if (round % 2)
			start_disk_elsewhere(&rig, features);
		else
			assert_int_equal(rig_op(&rig, resume), 0);
		rig.ops->kick_vq(rig.dev, 0);
		assert_ptr_equal(rig_get(&rig, 0, &used), blk.header);
		assert_int_equal(*blk.status, VIRTIO_BLK_S_OK);
		rig_quiet(&rig);
		assert_null(rig_poll(&rig, 0, &used)); /* once */
		assert_true(disk_has(&rig, 1, fill));
		assert_true(disk_has(&rig, last, fill));
		assert_false(disk_has(&rig, last + 1, fill));
	}
	/* the test is of use only if the request was under way at times */
	assert_true(nr_before > 0);
	rig_destroy(&rig);
}

static void long_request_that_is_interrupted_is_completed_once(void **state)
{
	(void)state;
	interrupt_long_write(false, 0);
	interrupt_long_write(false, BIT(VIRTIO_F_RING_PACKED));
	interrupt_long_write(true, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kick_of_a_suspended_device_outlives_the_reset),
		cmocka_unit_test(positions_are_exact_at_every_turn),
		cmocka_unit_test(requests_are_settled_when_suspend_returns),
		cmocka_unit_test(long_request_that_is_interrupted_is_completed_once),
	};

	return cmocka_run_group_tests_name("sim-suspend", tests, make_memory, host_teardown);
}
