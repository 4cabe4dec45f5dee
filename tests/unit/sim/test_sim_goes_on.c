// SPDX-License-Identifier: BSD-3-Clause
/*
 * A kick that the device has taken is not lost where a queue stops, whatever the kick was waiting
 * for: the map, the other queue of the pair, the backend, or the pair to be switched on. In every
 * case the queue was at rest when it was kicked, so nothing but that kick can have it looked at.
 */
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "iotlb/iotlb.h"
#include "parents/sim/net.h"
#include "socket_support.h"
#include "support.h"

#define LEN       100
#define PAIRS     4
#define LARGE_LEN 8192
#define NR_LARGE  200 /* more than a socket holds */

static uint8_t frame[LEN], large[NR_LARGE][LARGE_LEN];

struct way {
	uint64_t features;
	void (*stop)(struct rig *rig);
	void (*go_on)(struct rig *rig, uint64_t features);
};

/* ---- ways to stop and to go on ---- */

static void do_suspend(struct rig *rig)
{
	assert_int_equal(rig_op(rig, suspend), 0);
}

static void do_resume(struct rig *rig, uint64_t features)
{
	(void)features;
	assert_int_equal(rig_op(rig, resume), 0);
}

static void do_disable(struct rig *rig)
{
	rig_do(rig, set_vq_ready, 1, false);
}

static void do_enable(struct rig *rig, uint64_t features)
{
	(void)features;
	rig_do(rig, set_vq_ready, 1, true);
}

/* As a client that reads the positions, resets the device, and starts it there. */
static void do_start_anew(struct rig *rig, uint64_t features)
{
	struct vdpa_vq_state at[2];

	for (uint16_t i = 0; i < 2; i++)
		assert_int_equal(rig_op(rig, get_vq_state, i, &at[i]), 0);
	rig_reset(rig);
	rig_negotiate(rig, BASE_FEATURES | features);
	for (uint16_t i = 0; i < 2; i++) {
		if (!(features & BIT(VIRTIO_F_RING_PACKED)))
			at[i].last_used = 0; /* SET_VRING_BASE of a split ring names none */
		assert_int_equal(rig_op(rig, set_vq_state, i, &at[i]), 0);
		rig_vq_setup(rig, i);
	}
	rig_driver_ok(rig);
}

static const struct way ways[] = {
	{0, do_suspend, do_resume},
	{0, do_disable, do_enable},
	{0, do_suspend, do_start_anew},
	{BIT(VIRTIO_RING_F_EVENT_IDX), do_suspend, do_resume},
	{BIT(VIRTIO_RING_F_EVENT_IDX), do_suspend, do_start_anew},
	{BIT(VIRTIO_F_RING_PACKED), do_disable, do_enable},
	{BIT(VIRTIO_F_RING_PACKED), do_suspend, do_start_anew},
};

/* ---- support ---- */

enum what { AT_REST, BLOCKED, NOT_BLOCKED, PARKED_NO_MORE };

static bool is(const struct vdpasim_vq *vq, enum what what)
{
	const struct simnet_pair *pair = &simnet_of(vq->sim)->pairs[vq->idx / 2];

	if (what == AT_REST)
		return !vq->pending && !vq->suppressed;
	if (what == PARKED_NO_MORE)
		return !vq->parked && !vq->pending;
	return pair->tx_blocked == (what == BLOCKED);
}

/* @peer_fd: what has come there is thrown away meanwhile; -1: none */
static void NO_TSA await(struct rig *rig, uint16_t idx, enum what what, int peer_fd)
{
	const struct vdpasim_vq *vq = &vdpasim_of(rig->dev)->vqs[idx];
	int64_t end = clock_now_ns() + DEADLINE_MS * NS_PER_MS;
	static char sink[65536];
	bool reached;

	do {
		while (peer_fd >= 0 && recv(peer_fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
		(void)sched_yield();
		mutex_lock(&rig->dev->lock);
		vdpasim_lock(vq->sw);
		reached = is(vq, what);
		vdpasim_unlock(vq->sw);
		mutex_unlock(&rig->dev->lock);
	} while (!reached && clock_now_ns() < end);
	assert_true(reached);
}

/* Kicked whether the device asks for it or not. */
static void offer(struct rig *rig, uint16_t idx)
{
	rig_add(rig, idx, frame, LEN, false);
	(void)ring_driver_publish(rig->vq[idx].drv);
	rig->ops->kick_vq(rig->dev, idx);
	rig_quiet(rig);
}

/* A card that has sent a frame, and is at rest. */
static void begin(struct rig *rig, uint64_t features)
{
	struct vdpa_dev_config config = rig_config();

	rig_make(rig, &config);
	rig_start(rig, BASE_FEATURES | features, 2, 16);
	vdpasim_of(rig->dev)->park_ns = 2 * DEADLINE_MS * NS_PER_MS;
	frame_make(frame, LEN, 1);
	rig_send(rig, 1, frame, LEN);
	await(rig, 1, AT_REST, -1);
}

static void install(struct rig *rig, struct iotlb *tlb)
{
	const struct iotlb_version *v = iotlb_snapshot(tlb);

	assert_int_equal(rig_op(rig, set_map, 0, v), 0);
	iotlb_version_put(v);
}

/* ---- what a kick waits for ---- */

static void kick_that_found_no_map_counts_when_the_queue_goes_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct iotlb *full, *none;
		struct rig rig;
		uint32_t len;

		begin(&rig, ways[i].features);
		full = rig_map_of_rings(&rig);
		rig_map_add(&rig, full, frame, LEN);
		assert_int_equal(iotlb_create(4, &none), 0);
		rig_map_add(&rig, none, frame, LEN);
		install(&rig, none);
		offer(&rig, 1);
		ways[i].stop(&rig);
		install(&rig, full);
		ways[i].go_on(&rig, ways[i].features);
		assert_ptr_equal(rig_get(&rig, 1, &len), frame);
		rig_destroy(&rig);
		iotlb_destroy(full);
		iotlb_destroy(none);
	}
}

static void kick_that_found_the_other_queue_parked_counts_when_both_go_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct vdpa_vq_state at;
		struct rig rig;
		uint32_t len;

		if (ways[i].stop != do_suspend)
			continue;
		begin(&rig, ways[i].features);
		assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
		offer(&rig, 1);
		ways[i].stop(&rig);
		ways[i].go_on(&rig, ways[i].features);
		assert_ptr_equal(rig_get(&rig, 1, &len), frame);
		rig_destroy(&rig);
	}
}

static void kick_that_found_the_pair_off_counts_when_it_is_on(void **state)
{
	static const uint8_t two[2] = {2, 0};
	struct vdpa_dev_config config = rig_config();
	struct rig rig;
	uint32_t len;

	(void)state;
	config.max_vqp = PAIRS;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ),
		  2 * PAIRS + 1, 16);
	frame_make(frame, LEN, 1);
	offer(&rig, 3);
	rig_do(&rig, set_vq_ready, 3, false);
	assert_int_equal(rig_ctrl(&rig, 2 * PAIRS, VIRTIO_NET_CTRL_MQ,
				  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, two, 2),
			 VIRTIO_NET_OK);
	rig_quiet(&rig);
	rig_do(&rig, set_vq_ready, 3, true);
	assert_ptr_equal(rig_get(&rig, 3, &len), frame);
	rig_destroy(&rig);
}

static void make_stream(struct rig *rig)
{
	struct vdpa_dev_config config = rig_config();

	config.given |= VDPA_KEY_BACKEND;
	(void)snprintf(config.backend, sizeof(config.backend), "stream,path=%s,listen",
		       socket_address.sun_path);
	rig_make(rig, &config);
	rig_start(rig, BASE_FEATURES, 2, 256);
}

/* The ring was parked and has gone on before it is suspended, and the socket has room again while
 * it is. */
static void frames_that_a_full_socket_held_up_go_out_after_parking_and_suspending(void **state)
{
	unsigned int back = 0;
	struct vdpa_vq_state at;
	struct rig rig;
	uint32_t len;
	int fd;

	(void)state;
	make_stream(&rig);
	vdpasim_of(rig.dev)->park_ns = NS_PER_MS;
	fd = socket_connect();
	rig_quiet(&rig);
	for (unsigned int i = 0; i < NR_LARGE; i++) {
		frame_make(large[i], LARGE_LEN, i);
		rig_add(&rig, 1, large[i], LARGE_LEN, false);
	}
	rig_publish(&rig, 1);
	await(&rig, 1, BLOCKED, -1);
	assert_int_equal(rig_op(&rig, get_vq_state, 1, &at), 0);
	await(&rig, 1, PARKED_NO_MORE, -1);
	do_suspend(&rig);
	while (rig_poll(&rig, 1, &len))
		back++;
	assert_true(back < NR_LARGE);
	await(&rig, 1, NOT_BLOCKED, fd);
	rig_quiet(&rig);
	do_resume(&rig, 0);
	await(&rig, 1, AT_REST, fd);
	while (rig_poll(&rig, 1, &len))
		back++;
	close(fd);
	rig_destroy(&rig);
	assert_int_equal(back, NR_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kick_that_found_no_map_counts_when_the_queue_goes_on),
		cmocka_unit_test(kick_that_found_the_other_queue_parked_counts_when_both_go_on),
		cmocka_unit_test(kick_that_found_the_pair_off_counts_when_it_is_on),
		cmocka_unit_test(
			frames_that_a_full_socket_held_up_go_out_after_parking_and_suspending),
	};

	return cmocka_run_group_tests_name("sim-goes-on", tests, socket_folder_make,
					   socket_folder_remove);
}
