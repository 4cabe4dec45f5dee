// SPDX-License-Identifier: BSD-3-Clause
/*
 * Many frames at once through the loopback, of the usual kind and of every other, in any order.
 * Each arrives in its turn or is counted, and the driver is told once a burst. What was published
 * before a fault cut the burst off is told, too.
 */
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "parents/sim/net.h"
#include "support.h"

#define NR      48   /* frames of a burst, and buffers for them: less than a batch */
#define ROOM    2048 /* bytes of a buffer */
#define LONGEST 6000 /* bytes of a frame */
#define ROUNDS  60
#define NUM     256

enum kind {
	USUAL,
	IN_PIECES,
	IN_TABLE, /* if there are tables; else as IN_PIECES */
	TOO_LONG, /* for a buffer */
	UNWANTED, /* an offload that the driver does not take */
	RUNT,
	NR_KINDS
};

static uint8_t frames[NR][LONGEST], bufs[NR][ROOM];
static struct {
	uint64_t desc[2 * 2];
} tables[NR];

static uint32_t below(uint32_t *rnd, uint32_t n)
{
	*rnd = *rnd * 1664525u + 1013904223u;
	return (*rnd >> 8) % n;
}

static size_t add_frame(struct rig *rig, unsigned int i, enum kind kind, uint32_t *rnd)
{
	size_t len = kind == TOO_LONG ? ROOM + 1 + below(rnd, LONGEST - ROOM)
		     : kind == RUNT   ? 1 + below(rnd, HDR + 13)
				      : HDR + 14 + below(rnd, ROOM - HDR - 14 + 1);
	size_t cut = len > 40 ? 40 : 1;
	struct ring_driver_seg segs[2] = {{rig_iova(rig, frames[i]), (uint32_t)cut},
					  {rig_iova(rig, frames[i] + cut), (uint32_t)(len - cut)}};
	bool pieces = kind == IN_PIECES || kind == IN_TABLE;
	bool table = kind == IN_TABLE && (rig->features & BIT(VIRTIO_RING_F_INDIRECT_DESC));

	frame_make(frames[i], len > HDR + 14 ? len : HDR + 14, i + below(rnd, 1000));
	if (kind == UNWANTED)
		frames[i][0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (!pieces)
		segs[0].len = (uint32_t)len;
	assert_int_equal(ring_driver_add(rig->vq[1].drv, segs, pieces ? 2 : 1, 0, frames[i],
					 table ? &tables[i] : NULL, rig_iova(rig, &tables[i])),
			 0);
	return len;
}

/* A buffer of two pieces now and then. */
static void add_buffer(struct rig *rig, unsigned int i, uint32_t *rnd)
{
	struct ring_driver_seg segs[2] = {{rig_iova(rig, bufs[i]), HDR},
					  {rig_iova(rig, bufs[i] + HDR), ROOM - HDR}};
	bool pieces = below(rnd, 12) == 0;

	if (!pieces)
		segs[0].len = ROOM;
	assert_int_equal(ring_driver_add(rig->vq[0].drv, segs, 0, pieces ? 2 : 1, bufs[i], NULL, 0),
			 0);
}

struct counts {
	uint64_t packets, rx_errors, tx_errors;
};

static void burst(struct rig *rig, uint32_t *rnd, struct counts *c)
{
	enum kind kinds[NR];
	size_t lens[NR];
	uint32_t len, nr_odd = below(rnd, 4) * 6;
	unsigned int at = 0;

	for (unsigned int i = 0; i < NR; i++)
		add_buffer(rig, i, rnd);
	rig_publish(rig, 0);
	for (unsigned int i = 0; i < NR; i++) {
		kinds[i] = below(rnd, NR) < nr_odd ? below(rnd, NR_KINDS) : USUAL;
		lens[i] = add_frame(rig, i, kinds[i], rnd);
		c->tx_errors += kinds[i] == RUNT;
		c->rx_errors += kinds[i] == UNWANTED || kinds[i] == TOO_LONG;
	}
	rig_publish(rig, 1);
	for (unsigned int i = 0; i < NR; i++) {
		assert_ptr_equal(rig_get(rig, 1, &len), frames[i]);
		assert_int_equal(len, 0);
		if (kinds[i] >= TOO_LONG)
			continue;
		c->packets++;
		assert_ptr_equal(rig_get(rig, 0, &len), bufs[at]);
		assert_int_equal(len, lens[i]);
		assert_int_equal(bufs[at][10], 1); /* num_buffers */
		assert_memory_equal(bufs[at] + HDR, frames[i] + HDR, len - HDR);
		at++;
	}
	assert_null(rig_poll(rig, 0, &len));
	/* The buffers that are left are used up, so that the next burst begins with its own. */
	frame_make(frames[0], HDR + 60, 0);
	for (; at < NR; at++) {
		rig_send(rig, 1, frames[0], HDR + 60);
		assert_ptr_equal(rig_get(rig, 0, &len), bufs[at]);
		c->packets++;
	}
}

static void burst_of_any_frames_arrives_in_order(void **state)
{
	static const uint64_t features[] = {
		0,
		BIT(VIRTIO_F_RING_PACKED),
		BIT(VIRTIO_F_IN_ORDER) | BIT(VIRTIO_RING_F_INDIRECT_DESC),
		BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER) |
			BIT(VIRTIO_RING_F_INDIRECT_DESC),
		BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC),
	};
	struct vdpa_dev_config config = rig_config();
	uint32_t rnd = 1;

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(features); f++) {
		struct counts c = {0, 0, 0};
		struct rig rig;

		rig_make(&rig, &config);
		rig_start(&rig, BASE_FEATURES | features[f], 2, NUM);
		for (unsigned int i = 0; i < ROUNDS; i++)
			burst(&rig, &rnd, &c);
		assert_int_equal(rig_counter(&rig, 0, "rx packets"), c.packets);
		assert_int_equal(rig_counter(&rig, 0, "rx errors"), c.rx_errors);
		assert_int_equal(rig_counter(&rig, 1, "tx errors"), c.tx_errors);
		assert_int_equal(rig_counter(&rig, 0, "rx overruns"), 0);
		rig_destroy(&rig);
	}
}

static void add_usual(struct rig *rig, unsigned int i, uint32_t seed)
{
	frame_make(frames[i], HDR + 60, seed);
	rig_add(rig, 1, frames[i], HDR + 60, false);
}

/* More frames than buffers: as many as there are buffers arrive, the others are counted. */
static void burst_with_too_few_buffers_counts_overruns(void **state)
{
	struct vdpa_dev_config config = rig_config();
	struct rig rig;
	uint32_t len;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, NUM);
	for (unsigned int n = 0; n <= 20; n++) {
		for (unsigned int i = 0; i < n; i++)
			rig_add(&rig, 0, bufs[i], ROOM, true);
		rig_publish(&rig, 0);
		for (unsigned int i = 0; i < NR; i++)
			add_usual(&rig, i, i + n);
		rig_publish(&rig, 1);
		for (unsigned int i = 0; i < NR; i++)
			assert_ptr_equal(rig_get(&rig, 1, &len), frames[i]);
		for (unsigned int i = 0; i < n; i++) {
			assert_ptr_equal(rig_get(&rig, 0, &len), bufs[i]);
			assert_memory_equal(bufs[i] + HDR, frames[i] + HDR, 60);
		}
		assert_null(rig_poll(&rig, 0, &len));
	}
	assert_int_equal(rig_counter(&rig, 0, "rx overruns"), 21 * NR - 20 * 21 / 2);
	rig_destroy(&rig);
}

static uint64_t calls(const struct rig *rig, uint16_t idx)
{
	eventfd_t n = 0;

	(void)eventfd_read(rig->vq[idx].call_fd, &n);
	return n;
}

static void burst_is_told_once(void **state)
{
	struct vdpa_dev_config config = rig_config();
	struct rig rig;
	uint32_t len;

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, NUM);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < NR; i++) {
			rig_add(&rig, 0, bufs[i], ROOM, true);
			add_usual(&rig, i, i);
		}
		rig_publish(&rig, 0);
		rig_quiet(&rig);
		(void)calls(&rig, 0);
		(void)calls(&rig, 1);
		rig_publish(&rig, 1);
		while (rig_counter(&rig, 1, "tx packets") != (round + 1) * NR)
			(void)sched_yield();
		rig_quiet(&rig);
		for (unsigned int i = 0; i < NR; i++) {
			assert_ptr_equal(rig_poll(&rig, 0, &len), bufs[i]);
			assert_ptr_equal(rig_poll(&rig, 1, &len), frames[i]);
		}
		assert_int_equal(calls(&rig, 0), 1);
		assert_int_equal(calls(&rig, 1), 1);
	}
	rig_destroy(&rig);
}

#define BEFORE 20 /* frames before the one whose memory is gone, at one end or the other */

static void cut_off(uint16_t idx)
{
	struct vdpa_dev_config config = rig_config();
	uint8_t *gone =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int n = 0;
	struct rig rig;
	uint32_t len;

	assert_true(gone != MAP_FAILED);
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, NUM);
	rig_add(&rig, 0, bufs[0], ROOM, true);
	rig_publish(&rig, 0);
	frame_make(frames[0], HDR + 60, 0);
	rig_send(&rig, 1, frames[0], HDR + 60);
	assert_ptr_equal(rig_get(&rig, 0, &len), bufs[0]);
	rig_quiet(&rig);
	(void)calls(&rig, 0);
	(void)calls(&rig, 1);
	rig_vanish(gone, 4096);
	for (unsigned int i = 0; i <= BEFORE; i++) {
		frame_make(frames[i], HDR + 60, i);
		rig_add(&rig, 0, idx == 0 && i == BEFORE ? gone : bufs[i], ROOM, true);
		rig_add(&rig, 1, idx == 1 && i == BEFORE ? gone : frames[i], HDR + 60, false);
	}
	rig_publish(&rig, 0);
	rig_publish(&rig, 1);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS)); /* it needs a reset */
	rig_quiet(&rig);
	while (rig_poll(&rig, 0, &len)) {
		assert_memory_equal(bufs[n] + HDR, frames[n] + HDR, 60);
		n++;
	}
	assert_true(n > 0 && n <= BEFORE);
	for (unsigned int i = 0; i < n; i++)
		assert_ptr_equal(rig_poll(&rig, 1, &len), frames[i]);
	/* Perhaps once more, when the ring that is whole has gone on. */
	assert_true(calls(&rig, 0) >= 1);
	assert_true(calls(&rig, 1) >= 1);
	assert_int_equal(rig_counter(&rig, 0, "rx packets"), 1 + n);
	rig_reset(&rig);
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), 0);
	rig_destroy(&rig);
}

static void burst_that_a_fault_cuts_off_is_told_as_far_as_it_came(void **state)
{
	(void)state;
	rig_take_signals();
	cut_off(0);
	cut_off(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_of_any_frames_arrives_in_order),
		cmocka_unit_test(burst_with_too_few_buffers_counts_overruns),
		cmocka_unit_test(burst_is_told_once),
		cmocka_unit_test(burst_that_a_fault_cuts_off_is_told_as_far_as_it_came),
	};

	return rig_guard_install() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
