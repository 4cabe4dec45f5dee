// SPDX-License-Identifier: BSD-3-Clause
/*
 * One queue is taken down and set up anew, at another place, with another size and position, while
 * the device runs and its other queues move frames: what a driver's reset of one queue (RING_RESET)
 * is to a device.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "support.h"

#define NUM     16
#define FRAME   (HDR + 64)
#define BUF_LEN 256

static uint8_t frame[FRAME], buf[BUF_LEN];

/* A frame there and back. */
static void expect_moves(struct rig *rig, uint32_t seed)
{
	uint32_t n;

	frame_make(frame, FRAME, seed);
	rig_add(rig, 0, buf, BUF_LEN, true);
	rig_publish(rig, 0);
	rig_send(rig, 1, frame, FRAME);
	assert_ptr_equal(rig_get(rig, 0, &n), buf);
	assert_int_equal(n, FRAME);
	assert_memory_equal(buf + HDR, frame + HDR, FRAME - HDR);
}

/* What lay in the ring is lost, by its driver's own wish. */
static void reset_queue(struct rig *rig, uint16_t q, uint16_t num)
{
	bool packed = rig->features & BIT(VIRTIO_F_RING_PACKED);
	const struct vdpa_vq_state fresh = {packed ? 0x8000 : 0, packed ? 0x8000 : 0};
	struct rig_vq old = rig->vq[q];
	char *copy = malloc(old.mem_len);

	rig_do(rig, set_vq_ready, q, false);
	memcpy(copy, old.mem, old.mem_len);
	rig->ops->kick_vq(rig->dev, q); /* of a driver that is late: nobody looks */
	rig_quiet(rig);
	assert_memory_equal(copy, old.mem, old.mem_len);
	free(copy);
	rig->vq[q].drv = NULL; /* kept, so that the new one lies elsewhere */
	rig->vq[q].mem = NULL;
	rig_vq_new(rig, q, num);
	assert_int_equal(rig_op(rig, set_vq_state, q, &fresh), 0);
	rig_vq_setup(rig, q);
	/* The old ring is the driver's again. */
	ring_driver_destroy(old.drv);
	munmap(old.mem, old.mem_len);
}

static void one_queue_reset_while_the_others_run(void **state)
{
	static const uint64_t rings[] = {0, BIT(VIRTIO_F_RING_PACKED), BIT(VIRTIO_RING_F_EVENT_IDX),
					 BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX),
					 BIT(VIRTIO_F_IN_ORDER)};
	static const uint16_t nums[] = {16, 64, 8, 256, 2};
	uint32_t seed = 0, n;
	struct rig rig;

	(void)state;
	rig_take_signals();
	for (size_t r = 0; r < sizeof(rings) / sizeof(rings[0]); r++) {
		struct vdpa_dev_config config = rig_config();

		rig_make(&rig, &config);
		rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_F_RING_RESET) | rings[r], 2, NUM);
		for (int round = 0; round < 50; round++) {
			uint16_t q = (uint16_t)(round % 2), num = nums[round % 5];

			expect_moves(&rig, seed++);
			if (q == 0) { /* buffers that are out, and stay so */
				rig_add(&rig, 0, buf, BUF_LEN, true);
				rig_publish(&rig, 0);
				reset_queue(&rig, 0, num);
				/* the other queue went on meanwhile, and finds no buffer */
				rig_send(&rig, 1, frame, FRAME);
				assert_null(rig_poll(&rig, 0, &n));
			} else {
				reset_queue(&rig, 1, num);
			}
			expect_moves(&rig, seed++);
			assert_int_equal(rig_op(&rig, get_status), 0xf);
		}
		rig_destroy(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_queue_reset_while_the_others_run),
	};

	if (rig_guard_install())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
