// SPDX-License-Identifier: BSD-3-Clause
/*
 * Received frames that their driver never sees are counted as drops: what could not be published
 * when the ring stopped, and what waited for buffers at a reset or when its pair was switched off.
 * The worker's flush of a queue is put off here (ld's --wrap), as it is while the used area is not
 * mapped.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "flush_support.h"
#include "iotlb/iotlb.h"
#include "parents/sim/net.h"
#include "socket_support.h"
#include "support.h"

#define LEN   (HDR + 100)
#define SHORT 32 /* bytes: too small for the frame */
#define NR    3u
#define NUM   16

static uint8_t frame[LEN], bufs[NR][256];

static int make(struct rig *rig, uint64_t features)
{
	struct vdpa_dev_config config = rig_config();
	int fd;

	config.given |= VDPA_KEY_BACKEND;
	(void)snprintf(config.backend, sizeof(config.backend), "stream,path=%s,listen",
		       socket_address.sun_path);
	rig_make(rig, &config);
	rig_start(rig, BASE_FEATURES | features, 2, NUM);
	frame_make(frame, LEN, 1);
	fd = socket_connect();
	rig_quiet(rig);
	return fd;
}

static void peer_sends(int fd)
{
	uint32_t be = htonl(LEN - HDR);

	assert_int_equal(send(fd, &be, sizeof(be), 0), sizeof(be));
	assert_int_equal(send(fd, frame + HDR, LEN - HDR, 0), LEN - HDR);
}

static void add_buffers(struct rig *rig)
{
	for (uint32_t i = 0; i < NR; i++)
		rig_add(rig, 0, bufs[i], sizeof(bufs[i]), true);
	rig_publish(rig, 0);
	rig_quiet(rig);
}

/* @none: without the rings */
static void make_maps(struct rig *rig, struct iotlb **full, struct iotlb **none)
{
	*full = rig_map_of_rings(rig);
	rig_map_add(rig, *full, bufs, sizeof(bufs));
	assert_int_equal(iotlb_create(4, none), 0);
	rig_map_add(rig, *none, bufs, sizeof(bufs));
}

static void install(struct rig *rig, struct iotlb *tlb)
{
	const struct iotlb_version *v = iotlb_snapshot(tlb);

	assert_int_equal(rig_op(rig, set_map, 0, v), 0);
	iotlb_version_put(v);
}

/* @nr frames are in their buffers, and the driver is not told. */
static void receive_untold(struct rig *rig, int fd, uint32_t nr)
{
	add_buffers(rig);
	flush_put_off(0);
	for (uint32_t i = 0; i < nr; i++)
		peer_sends(fd);
	while (rig_counter(rig, 0, "rx packets") < nr)
		flush_wait_put_off();
	rig_quiet(rig);
}

static void lost_frames_of_a_ring_that_stops_unmapped_are_counted(void **state)
{
	struct iotlb *full, *none;
	struct rig rig;
	uint32_t len;
	int fd = make(&rig, 0);

	(void)state;
	make_maps(&rig, &full, &none);
	install(&rig, full);
	receive_untold(&rig, fd, NR - 1);
	install(&rig, none);
	assert_int_equal(rig_op(&rig, suspend), 0);
	flush_put_off(FLUSH_NONE);
	install(&rig, full);
	assert_int_equal(rig_op(&rig, resume), 0);
	rig_quiet(&rig);
	assert_null(rig_poll(&rig, 0, &len));
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), NR - 1);
	peer_sends(fd); /* its buffer is free again */
	assert_ptr_equal(rig_get(&rig, 0, &len), bufs[0]);
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), NR - 1);
	close(fd);
	rig_destroy(&rig);
	iotlb_destroy(full);
	iotlb_destroy(none);
}

/* Mapped again, but the worker was not there yet. */
static void received_frames_are_published_at_the_latest_when_the_ring_stops(void **state)
{
	struct rig rig;
	uint32_t len;
	int fd = make(&rig, 0);

	(void)state;
	receive_untold(&rig, fd, NR);
	assert_null(rig_poll(&rig, 0, &len));
	rig_do(&rig, set_vq_ready, 0, false);
	flush_put_off(FLUSH_NONE);
	for (uint32_t i = 0; i < NR; i++)
		assert_ptr_equal(rig_get(&rig, 0, &len), bufs[i]);
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), 0);
	close(fd);
	rig_destroy(&rig);
}

static void sent_frame_that_is_published_at_the_stop_goes_out_once(void **state)
{
	uint8_t got[2 * (SIMNET_ETH_LEN + LEN)];
	struct rig rig;
	uint32_t len;
	int fd = make(&rig, 0);

	(void)state;
	flush_put_off(1);
	rig_add(&rig, 1, frame, LEN, false);
	rig_publish(&rig, 1);
	flush_wait_put_off();
	assert_int_equal(rig_op(&rig, suspend), 0);
	flush_put_off(FLUSH_NONE);
	assert_int_equal(rig_op(&rig, resume), 0);
	rig_quiet(&rig);
	assert_ptr_equal(rig_poll(&rig, 1, &len), frame);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 4 + LEN - HDR);
	close(fd);
	rig_destroy(&rig);
}

/* The client goes on where it was told: what it was not told of must not be published then. */
static void ring_that_stops_parked_stays_where_its_client_was_told(void **state)
{
	struct vdpa_vq_state at, later;
	struct iotlb *full, *none;
	struct rig rig;
	uint32_t len;
	int fd = make(&rig, 0);

	(void)state;
	vdpasim_of(rig.dev)->park_ns = 2 * DEADLINE_MS * NS_PER_MS;
	make_maps(&rig, &full, &none);
	install(&rig, full);
	receive_untold(&rig, fd, NR);
	install(&rig, none);
	assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
	flush_put_off(FLUSH_NONE);
	install(&rig, full);
	assert_int_equal(rig_op(&rig, suspend), 0);
	assert_int_equal(rig_op(&rig, get_vq_state, 0, &later), 0);
	assert_int_equal(later.last_avail, at.last_avail);
	assert_null(rig_poll(&rig, 0, &len));
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), NR);
	close(fd);
	rig_destroy(&rig);
	iotlb_destroy(full);
	iotlb_destroy(none);
}

/* Mapped again, but the worker was not there yet. */
static void received_frames_are_published_before_a_position_is_told(void **state)
{
	struct vdpa_vq_state at;
	struct rig rig;
	uint32_t len;
	int fd = make(&rig, 0);

	(void)state;
	receive_untold(&rig, fd, NR);
	assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
	flush_put_off(FLUSH_NONE);
	for (uint32_t i = 0; i < NR; i++)
		assert_ptr_equal(rig_poll(&rig, 0, &len), bufs[i]);
	assert_int_equal(at.last_avail, NR);
	assert_int_equal(rig_op(&rig, suspend), 0);
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), 0);
	close(fd);
	rig_destroy(&rig);
}

/* The transmit ring's memory goes away. What the receive ring has to publish is not its concern. */
static void frames_that_wait_to_be_published_outlive_a_fault_of_another_ring(void **state)
{
	struct rig rig;
	uint32_t len;
	int fd = make(&rig, 0);

	(void)state;
	rig_take_signals();
	receive_untold(&rig, fd, NR);
	rig_vanish(rig.vq[1].mem, rig.vq[1].mem_len);
	rig.ops->kick_vq(rig.dev, 1);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	rig_quiet(&rig);
	flush_put_off(FLUSH_NONE);
	rig_do(&rig, set_vq_ready, 0, false);
	for (uint32_t i = 0; i < NR; i++)
		assert_ptr_equal(rig_poll(&rig, 0, &len), bufs[i]);
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), 0);
	close(fd);
	rig_destroy(&rig);
}

/* A frame waits for a second buffer. */
static void hold(struct rig *rig, int fd)
{
	rig_add(rig, 0, bufs[0], SHORT, true);
	rig_publish(rig, 0);
	rig_quiet(rig);
	peer_sends(fd);
	rig_quiet(rig);
	assert_int_equal(simnet_of(vdpasim_of(rig->dev))->pairs[0].held_len, LEN);
}

static void held_frame_at_a_reset_is_counted(void **state)
{
	struct rig rig;
	uint32_t len;
	int fd = make(&rig, BIT(VIRTIO_NET_F_MRG_RXBUF));

	(void)state;
	hold(&rig, fd);
	rig_reset(&rig);
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), 1);
	rig_reset(&rig);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MRG_RXBUF), 2, NUM);
	add_buffers(&rig);
	assert_null(rig_poll(&rig, 0, &len));
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), 1);
	close(fd);
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost_frames_of_a_ring_that_stops_unmapped_are_counted),
		cmocka_unit_test(received_frames_are_published_at_the_latest_when_the_ring_stops),
		cmocka_unit_test(sent_frame_that_is_published_at_the_stop_goes_out_once),
		cmocka_unit_test(ring_that_stops_parked_stays_where_its_client_was_told),
		cmocka_unit_test(received_frames_are_published_before_a_position_is_told),
		cmocka_unit_test(frames_that_wait_to_be_published_outlive_a_fault_of_another_ring),
		cmocka_unit_test(held_frame_at_a_reset_is_counted),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests(tests, socket_folder_make, socket_folder_remove);
}
