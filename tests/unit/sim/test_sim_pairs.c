// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queue pairs beyond those that the driver has switched on (VQ_PAIRS_SET) are silent: they move no
 * frame and leave their rings alone, from the answer to the command on. On the loopback, with all
 * pairs on one worker and each on its own; the tap has its own tests, and a stream has one pair
 * only, which is always on.
 */
#include <string.h>

#include "support.h"

#define PAIRS    4
#define CTRL_IDX (2 * PAIRS)
#define NUM      16
#define FRAME    (HDR + 64)
#define BUF_LEN  256
#define FEATURES (BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ))

static uint8_t frame[PAIRS][FRAME], buf[PAIRS][BUF_LEN];

static void start(struct rig *rig, uint16_t workers, uint64_t more)
{
	struct vdpa_dev_config config = rig_config();

	config.max_vqp = PAIRS;
	config.workers = workers;
	rig_make(rig, &config);
	rig_start(rig, FEATURES | more, CTRL_IDX + 1, NUM);
}

static void set_pairs(struct rig *rig, uint8_t n)
{
	const uint8_t le[2] = {n, 0};

	assert_int_equal(
		rig_ctrl(rig, CTRL_IDX, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, le, 2),
		VIRTIO_NET_OK);
}

/* A frame and a buffer for it, with a kick for both, wanted or not. */
static void submit(struct rig *rig, uint16_t p)
{
	frame_make(frame[p], FRAME, p + 1u);
	memset(buf[p], 0x55, BUF_LEN);
	rig_add(rig, 2 * p, buf[p], BUF_LEN, true);
	(void)ring_driver_publish(rig->vq[2 * p].drv);
	rig_add(rig, 2 * p + 1, frame[p], FRAME, false);
	(void)ring_driver_publish(rig->vq[2 * p + 1].drv);
	rig->ops->kick_vq(rig->dev, 2 * p);
	rig->ops->kick_vq(rig->dev, 2 * p + 1);
}

static void expect_arrives(struct rig *rig, uint16_t p)
{
	uint32_t n;

	assert_ptr_equal(rig_get(rig, 2 * p, &n), buf[p]);
	assert_int_equal(n, FRAME);
	assert_memory_equal(buf[p] + HDR, frame[p] + HDR, FRAME - HDR);
	assert_ptr_equal(rig_get(rig, 2 * p + 1, &n), frame[p]);
}

/* Whole areas, so that no flag, index or event is written either. */
static void silent_pairs_leave_memory_alone(struct rig *rig, uint16_t from)
{
	static char before[2 * PAIRS][64 * 1024];

	for (uint16_t q = 2 * from; q < 2 * PAIRS; q++) {
		assert_true(rig->vq[q].mem_len <= sizeof(before[q]));
		memcpy(before[q], rig->vq[q].mem, rig->vq[q].mem_len);
	}
	for (uint16_t q = 2 * from; q < 2 * PAIRS; q++)
		rig->ops->kick_vq(rig->dev, q);
	rig_quiet(rig);
	for (uint16_t q = 2 * from; q < 2 * PAIRS; q++)
		assert_memory_equal(before[q], rig->vq[q].mem, rig->vq[q].mem_len);
}

static void each_number(struct rig *rig)
{
	/* Each number from each: frames that wait beyond it, and those that go through at once. */
	static const uint8_t numbers[] = {1, 2, 1, 3, 1, 4, 2, 3, 2, 4, 3, 4, 1};
	bool waits[PAIRS] = {false};

	for (size_t i = 0; i < sizeof(numbers); i++) {
		uint8_t n = numbers[i];

		set_pairs(rig, n);
		for (uint16_t p = 0; p < n; p++) {
			if (waits[p]) /* without another kick */
				expect_arrives(rig, p);
			waits[p] = false;
			submit(rig, p);
			expect_arrives(rig, p);
		}
		for (uint16_t p = n; p < PAIRS; p++) {
			if (!waits[p])
				submit(rig, p);
			waits[p] = true;
		}
		silent_pairs_leave_memory_alone(rig, n);
	}
}

static void pairs_beyond_those_set_are_silent(void **state)
{
	static const uint64_t rings[] = {0, BIT(VIRTIO_F_RING_PACKED), BIT(VIRTIO_RING_F_EVENT_IDX),
					 BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX)};
	struct rig rig;

	(void)state;
	for (size_t r = 0; r < sizeof(rings) / sizeof(rings[0]); r++)
		for (uint16_t workers = 1; workers <= PAIRS; workers += PAIRS - 1) {
			start(&rig, workers, rings[r]);
			submit(&rig, 1); /* before any command the first pair is on, alone */
			silent_pairs_leave_memory_alone(&rig, 1);
			set_pairs(&rig, 2);
			expect_arrives(&rig, 1);
			each_number(&rig);
			rig_destroy(&rig);
		}
}

/* The first pair was on before: it waits for a kick as any queue does, in a new device, too. */
static void first_pair_waits_for_its_kick(void **state)
{
	struct vdpa_dev_config config = rig_config();
	struct rig rig;
	uint32_t n;

	(void)state;
	config.max_vqp = PAIRS;
	rig_make(&rig, &config);
	for (int round = 0; round < 2; round++) {
		rig_negotiate(&rig, FEATURES);
		for (uint16_t q = 0; q < 2; q++)
			rig_vq_new(&rig, q, NUM);
		rig_add(&rig, 0, buf[0], BUF_LEN, true);
		(void)ring_driver_publish(rig.vq[0].drv);
		frame_make(frame[0], FRAME, 1);
		rig_add(&rig, 1, frame[0], FRAME, false);
		(void)ring_driver_publish(rig.vq[1].drv);
		for (uint16_t q = 0; q < 2; q++)
			rig_vq_setup(&rig, q);
		rig_driver_ok(&rig);
		rig_quiet(&rig);
		assert_null(rig_poll(&rig, 1, &n));
		rig.ops->kick_vq(rig.dev, 1);
		expect_arrives(&rig, 0);
		rig_reset(&rig);
	}
	rig_destroy(&rig);
}

static void reset_leaves_the_first_pair_on(void **state)
{
	struct rig rig;

	(void)state;
	for (uint16_t workers = 1; workers <= PAIRS; workers += PAIRS - 1) {
		start(&rig, workers, 0);
		set_pairs(&rig, PAIRS);
		for (uint16_t p = 0; p < PAIRS; p++) {
			submit(&rig, p);
			expect_arrives(&rig, p);
		}
		rig_reset(&rig);
		rig_start(&rig, FEATURES, CTRL_IDX + 1, NUM);
		for (uint16_t p = 1; p < PAIRS; p++)
			submit(&rig, p);
		silent_pairs_leave_memory_alone(&rig, 1);
		submit(&rig, 0);
		expect_arrives(&rig, 0);
		rig_destroy(&rig);
	}
}

/*
 * A client that stops and continues a device whose driver goes on: QEMU 7.2 repeats no command of a
 * control queue that it passes through.
 */
static void rings_that_go_on_switch_their_pair_on(void **state)
{
	struct vdpa_vq_state at[CTRL_IDX + 1];
	struct rig rig;

	(void)state;
	start(&rig, 2, 0);
	set_pairs(&rig, 3);
	for (uint16_t p = 0; p < 3; p++) {
		submit(&rig, p);
		expect_arrives(&rig, p);
	}
	for (uint16_t q = 0; q <= CTRL_IDX; q++)
		assert_int_equal(rig_op(&rig, get_vq_state, q, &at[q]), 0);
	rig_reset(&rig);
	rig_negotiate(&rig, FEATURES);
	for (uint16_t q = 0; q <= CTRL_IDX; q++) {
		assert_int_equal(rig_op(&rig, set_vq_state, q, &at[q]), 0);
		rig_vq_setup(&rig, q);
	}
	rig_driver_ok(&rig);
	for (uint16_t p = 0; p < 3; p++) {
		submit(&rig, p);
		expect_arrives(&rig, p);
	}
	submit(&rig, 3);
	silent_pairs_leave_memory_alone(&rig, 3);
	/* What the driver says counts more, also when rings stop and go on afterwards. */
	set_pairs(&rig, 1);
	submit(&rig, 1);
	rig_do(&rig, set_vq_ready, 3, false);
	rig_do(&rig, set_vq_ready, 3, true);
	silent_pairs_leave_memory_alone(&rig, 1);
	rig_destroy(&rig);
}

/* The answer means that the other worker is done with the pair: traffic of all pairs while the
 * number changes. */
static void answer_comes_when_other_workers_are_done(void **state)
{
	struct rig rig;
	uint32_t n;

	(void)state;
	start(&rig, PAIRS, 0);
	for (int round = 0; round < 500; round++) {
		set_pairs(&rig, PAIRS);
		for (uint16_t p = 1; p < PAIRS; p++)
			submit(&rig, p);
		set_pairs(&rig, 1);
		silent_pairs_leave_memory_alone(&rig, 1);
		set_pairs(&rig, PAIRS);
		for (uint16_t p = 1; p < PAIRS; p++) {
			expect_arrives(&rig, p);
			assert_null(rig_poll(&rig, 2 * p, &n));
		}
	}
	rig_destroy(&rig);
}

/* Other workers sleep, and have not heard of what the control queue has changed since: the answer
 * comes all the same. */
static void number_that_is_set_already_is_answered(void **state)
{
	static const uint8_t on = 1;
	struct rig rig;

	(void)state;
	start(&rig, PAIRS, BIT(VIRTIO_NET_F_CTRL_RX));
	for (uint8_t n = 1; n <= PAIRS; n++) {
		set_pairs(&rig, n);
		assert_int_equal(rig_ctrl(&rig, CTRL_IDX, VIRTIO_NET_CTRL_RX,
					  VIRTIO_NET_CTRL_RX_PROMISC, &on, 1),
				 VIRTIO_NET_OK);
		set_pairs(&rig, n);
	}
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_beyond_those_set_are_silent),
		cmocka_unit_test(first_pair_waits_for_its_kick),
		cmocka_unit_test(reset_leaves_the_first_pair_on),
		cmocka_unit_test(rings_that_go_on_switch_their_pair_on),
		cmocka_unit_test(answer_comes_when_other_workers_are_done),
		cmocka_unit_test(number_that_is_set_already_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
