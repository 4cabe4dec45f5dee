// SPDX-License-Identifier: BSD-3-Clause
/*
 * The tap backend against the host's own stack, in a user and a network namespace of the test's:
 * frames out of the transmit queue are seen by a packet socket on the interface, frames sent by
 * that socket arrive in the receive queue. Skipped where namespaces or taps are not to be had.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "parents/sim/net.h"
#include "support.h"
#include "tap_support.h"

#define BUF_LEN  2048
#define FLOW_LEN (HDR + 80)

static struct vdpa_dev_config tap_config(const char *ifname)
{
	struct vdpa_dev_config config = rig_config();

	config.given |= VDPA_KEY_BACKEND;
	(void)snprintf(config.backend, sizeof(config.backend), "tap,ifname=%s", ifname);
	return config;
}

static void tap_transmitted_frame_reaches_host(void **state)
{
	struct vdpa_dev_config config = tap_config(TAP);
	int fd = tap_packet_socket(TAP);
	uint8_t frame[HDR + 300], got[BUF_LEN];
	struct rig rig;

	(void)state;
	rig_make(&rig, &config);
	tap_wait_up(TAP);
	rig_start(&rig, BASE_FEATURES, 2, 16);
	for (uint32_t i = 0; i < 50; i++) {
		frame_make(frame, sizeof(frame), i);
		rig_send(&rig, 1, frame, sizeof(frame));
		assert_int_equal(tap_receive(fd, got, sizeof(got)), sizeof(frame) - HDR);
		assert_memory_equal(got, frame + HDR, sizeof(frame) - HDR);
	}
	assert_int_equal(rig_counter(&rig, 1, "tx packets"), 50);
	rig_destroy(&rig);
	close(fd);
}

static void tap_hostile_headers_drop(void **state)
{
	struct vdpa_dev_config config = tap_config(TAP);
	uint8_t frame[HDR + 100];
	struct rig rig;

	(void)state;
	rig_make(&rig, &config);
	tap_wait_up(TAP);
	rig_start(&rig, BASE_FEATURES, 2, 16);
	frame_make(frame, sizeof(frame), 1);
	frame[1] = VIRTIO_NET_HDR_GSO_TCPV4; /* gso_size 0 */
	rig_send(&rig, 1, frame, sizeof(frame));
	frame[1] = 0x77;
	rig_send(&rig, 1, frame, sizeof(frame));
	frame[1] = 0;
	frame[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	frame[6] = frame[7] = 0xff; /* csum_start beyond the frame */
	rig_send(&rig, 1, frame, sizeof(frame));
	assert_int_equal(rig_counter(&rig, 1, "tx drops"), 3);
	assert_int_equal(rig_op(&rig, get_status), 0xf);
	rig_destroy(&rig);
}

/* Send @nr frames of @len into the interface; expect them in the receive queue. */
static void host_to_guest(struct rig *rig, int fd, uint32_t nr, size_t len, size_t buf_len)
{
	uint8_t frame[HDR + 9000], *got;
	uint32_t n;

	for (uint32_t i = 0; i < nr; i++) {
		size_t at = 0, off = HDR;
		uint16_t left = 1;

		frame_make(frame, HDR + len, i);
		assert_int_equal(send(fd, frame + HDR, len, 0), len);
		while (at < HDR + len) {
			got = rig_get(rig, 0, &n);
			assert_non_null(got);
			if (at == 0)
				left = (uint16_t)(got[10] | got[11] << 8);
			assert_int_not_equal(left--, 0);
			assert_memory_equal(got + off, frame + at + off, n - off);
			at += n;
			off = 0;
			rig_add(rig, 0, got, buf_len, true);
			rig_publish(rig, 0);
		}
		assert_int_equal(at, HDR + len);
		assert_int_equal(left, 0);
	}
}

static void run_receive(uint64_t features, size_t len, size_t buf_len)
{
	struct vdpa_dev_config config = tap_config(TAP);
	uint8_t *bufs = malloc(32 * buf_len);
	int fd = tap_packet_socket(TAP);
	struct rig rig;

	config.given |= VDPA_KEY_MTU;
	config.mtu = 1500;
	rig_make(&rig, &config);
	tap_wait_up(TAP);
	rig_start(&rig, BASE_FEATURES | features, 2, 32);
	for (size_t i = 0; i < 32; i++)
		rig_add(&rig, 0, bufs + i * buf_len, buf_len, true);
	rig_publish(&rig, 0);
	host_to_guest(&rig, fd, 200, len, buf_len);
	assert_int_equal(rig_counter(&rig, 0, "rx packets"), 200);
	rig_destroy(&rig);
	close(fd);
	free(bufs);
}

static void tap_host_frame_arrives_any_ring(void **state)
{
	const uint64_t mrg = BIT(VIRTIO_NET_F_MRG_RXBUF), event = BIT(VIRTIO_RING_F_EVENT_IDX),
		       packed = BIT(VIRTIO_F_RING_PACKED),
		       tso = BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4);

	(void)state;
	run_receive(0, 1000, 1530);
	run_receive(event, 1514, 2048);
	run_receive(mrg | event, 1514, 256);
	run_receive(mrg | packed, 1200, 2048);
	run_receive(mrg | tso | event, 1514, 2048); /* 32 buffers are just enough for a segment */
	run_receive(mrg | tso | event, 1514, 512);  /* they are not: frames are copied */
	run_receive(packed | event | tso, 900, 65562);
}

/* With the features that a guest's driver takes from a strict device, kicks never suppressed. */
static void tap_strict_device_moves_frames_both_ways(void **state)
{
	struct vdpa_dev_config config = tap_config(TAP);
	uint8_t frame[HDR + 300], got[BUF_LEN], *bufs = malloc(32 * 1530);
	int fd = tap_packet_socket(TAP);
	struct rig rig;

	(void)state;
	config.profile = PROFILE_LINUX_6_12;
	rig_make(&rig, &config);
	tap_wait_up(TAP);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_CTRL_VQ), 3,
		  32);
	for (size_t i = 0; i < 32; i++)
		rig_add(&rig, 0, bufs + i * 1530, 1530, true);
	rig_publish(&rig, 0);
	host_to_guest(&rig, fd, 100, 1000, 1530);
	for (uint32_t i = 0; i < 50; i++) {
		frame_make(frame, sizeof(frame), i);
		rig_send(&rig, 1, frame, sizeof(frame));
		assert_int_equal(tap_receive(fd, got, sizeof(got)), sizeof(frame) - HDR);
		assert_memory_equal(got, frame + HDR, sizeof(frame) - HDR);
	}
	rig_destroy(&rig);
	close(fd);
	free(bufs);
}

static void tap_no_buffers_waits_for_kick_without_spinning(void **state)
{
	struct vdpa_dev_config config = tap_config(TAP);
	int fd = tap_packet_socket(TAP);
	uint8_t frame[HDR + 64], buf[3][BUF_LEN];
	struct rig rig;
	uint32_t n;

	(void)state;
	rig_make(&rig, &config);
	tap_wait_up(TAP);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX), 2, 4);
	for (uint32_t i = 0; i < 3; i++) {
		frame_make(frame, sizeof(frame), i);
		assert_int_equal(send(fd, frame + HDR, sizeof(frame) - HDR, 0),
				 sizeof(frame) - HDR);
	}
	rig_quiet(&rig); /* would never be if the worker span */
	assert_int_equal(rig_counter(&rig, 0, "rx packets"), 0);
	for (uint32_t i = 0; i < 3; i++) {
		rig_add(&rig, 0, buf[i], BUF_LEN, true);
		rig_publish(&rig, 0);
		assert_ptr_equal(rig_get(&rig, 0, &n), buf[i]);
		frame_make(frame, sizeof(frame), i);
		assert_memory_equal(buf[i] + HDR, frame + HDR, n - HDR);
	}
	rig_destroy(&rig);
	close(fd);
}

static void tap_few_buffers_large_frame_waits_and_arrives(void **state)
{
	struct vdpa_dev_config config = tap_config(TAP);
	int fd = tap_packet_socket(TAP);
	uint8_t frame[HDR + 1000], buf[8][256];
	struct rig rig;
	uint32_t n;

	(void)state;
	rig_make(&rig, &config);
	tap_wait_up(TAP);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_RING_F_EVENT_IDX),
		  2, 8);
	for (int i = 0; i < 2; i++)
		rig_add(&rig, 0, buf[i], sizeof(buf[i]), true);
	rig_publish(&rig, 0);
	frame_make(frame, sizeof(frame), 3);
	assert_int_equal(send(fd, frame + HDR, sizeof(frame) - HDR, 0), sizeof(frame) - HDR);
	rig_quiet(&rig);
	assert_null(rig_poll(&rig, 0, &n));
	for (int i = 2; i < 4; i++) {
		rig_add(&rig, 0, buf[i], sizeof(buf[i]), true);
		rig_publish(&rig, 0);
	}
	for (int i = 0; i < 4; i++)
		assert_ptr_equal(rig_get(&rig, 0, &n), buf[i]);
	assert_int_equal(buf[0][10], 4);
	assert_memory_equal(buf[0] + HDR, frame + HDR, sizeof(buf[0]) - HDR);
	assert_memory_equal(buf[3], frame + 3 * 256, sizeof(frame) - 3 * 256);
	rig_destroy(&rig);
	close(fd);
}

static void tap_filter_unwanted_frames_stay_out(void **state)
{
	const uint8_t mine[6] = {2, 0, 0, 0, 0, 9}, off = 0;
	struct vdpa_dev_config config = tap_config(TAP);
	int fd = tap_packet_socket(TAP);
	uint8_t frame[HDR + 64], buf[BUF_LEN];
	struct rig rig;
	uint32_t n;

	(void)state;
	rig_make(&rig, &config);
	tap_wait_up(TAP);
	rig_start(&rig,
		  BASE_FEATURES | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) |
			  BIT(VIRTIO_NET_F_CTRL_MAC_ADDR),
		  3, 8);
	assert_int_equal(
		rig_ctrl(&rig, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mine, 6),
		VIRTIO_NET_OK);
	assert_int_equal(rig_ctrl(&rig, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &off, 1),
			 VIRTIO_NET_OK);
	rig_add(&rig, 0, buf, sizeof(buf), true);
	rig_publish(&rig, 0);
	frame_make(frame, sizeof(frame), 1);
	assert_int_equal(send(fd, frame + HDR, sizeof(frame) - HDR, 0), sizeof(frame) - HDR);
	memcpy(frame + HDR, mine, 6);
	assert_int_equal(send(fd, frame + HDR, sizeof(frame) - HDR, 0), sizeof(frame) - HDR);
	assert_ptr_equal(rig_get(&rig, 0, &n), buf);
	assert_memory_equal(buf + HDR, frame + HDR, sizeof(frame) - HDR);
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), 1);
	rig_destroy(&rig);
	close(fd);
}

static void tap_several_queues_transmit_on_each(void **state)
{
	const uint8_t two[2] = {2, 0};
	struct vdpa_dev_config config = tap_config(TAP_MQ);
	int fd = tap_packet_socket(TAP_MQ);
	uint8_t frame[HDR + 80], got[BUF_LEN];
	struct rig rig;

	(void)state;
	config.max_vqp = 2;
	config.workers = 2;
	rig_make(&rig, &config);
	tap_wait_up(TAP_MQ);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ), 5, 16);
	assert_int_equal(
		rig_ctrl(&rig, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, two, 2),
		VIRTIO_NET_OK);
	for (uint16_t q = 1; q < 4; q += 2) {
		frame_make(frame, sizeof(frame), q);
		rig_send(&rig, q, frame, sizeof(frame));
		assert_int_equal(tap_receive(fd, got, sizeof(got)), sizeof(frame) - HDR);
		assert_memory_equal(got, frame + HDR, sizeof(frame) - HDR);
	}
	rig_destroy(&rig);
	close(fd);
}

/* An IPv4 and UDP head: the tap chooses its queue by the ports. */
static void frame_make_flow(uint8_t *frame, size_t len, uint16_t port)
{
	uint8_t *ip = frame + HDR + 14, *udp = ip + 20;

	frame_make(frame, len, port);
	frame[HDR + 12] = 0x08;
	frame[HDR + 13] = 0x00;
	memset(ip, 0, 28);
	ip[0] = 0x45;
	ip[3] = (uint8_t)(len - HDR - 14);
	ip[8] = 64; /* hops */
	ip[9] = 17; /* UDP */
	ip[12] = ip[16] = 10;
	ip[15] = 1;
	ip[19] = 2;
	udp[0] = (uint8_t)(port >> 8);
	udp[1] = (uint8_t)port;
	udp[3] = 9;
	udp[5] = (uint8_t)(len - HDR - 34);
}

static void set_pairs(struct rig *rig, uint8_t nr)
{
	const uint8_t le[2] = {nr, 0};

	assert_int_equal(
		rig_ctrl(rig, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, le, 2),
		VIRTIO_NET_OK);
}

static void start_two_pairs(struct rig *rig)
{
	rig_start(rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ), 5, 64);
	set_pairs(rig, 2);
}

static void send_flows(int fd, uint16_t nr)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP), /* or it has no ports */
				 .sll_ifindex = (int)if_nametoindex(TAP_MQ)};
	uint8_t frame[FLOW_LEN];

	for (uint16_t i = 0; i < nr; i++) {
		frame_make_flow(frame, FLOW_LEN, (uint16_t)(1000 + 7 * i));
		assert_int_equal(sendto(fd, frame + HDR, FLOW_LEN - HDR, 0, (struct sockaddr *)&to,
					sizeof(to)),
				 FLOW_LEN - HDR);
	}
}

/* QEMU's stop and cont: what the host has sent meanwhile waits in both queues of the tap. */
static void tap_frames_of_every_queue_outlive_a_reset(void **state)
{
	enum { NR = 48 };
	static uint8_t bufs[2][NR][256];
	struct vdpa_dev_config config = tap_config(TAP_MQ);
	int fd = tap_packet_socket(TAP_MQ);
	unsigned int got[2] = {0};
	struct rig rig;
	uint32_t len;

	(void)state;
	config.max_vqp = 2;
	rig_make(&rig, &config);
	tap_wait_up(TAP_MQ);
	start_two_pairs(&rig);
	send_flows(fd, NR);
	rig_quiet(&rig);
	rig_reset(&rig);
	start_two_pairs(&rig);
	for (uint16_t q = 0; q < 2; q++) {
		for (int i = 0; i < NR; i++)
			rig_add(&rig, 2 * q, bufs[q][i], sizeof(bufs[q][i]), true);
		rig_publish(&rig, 2 * q);
	}
	rig_quiet(&rig);
	for (uint16_t q = 0; q < 2; q++)
		while (rig_poll(&rig, 2 * q, &len))
			got[q]++;
	assert_true(got[0] > 0 && got[1] > 0); /* the test would be empty */
	assert_int_equal(got[0] + got[1], NR);
	rig_destroy(&rig);
	close(fd);
}

/* Frames that go out of pair 1 before the driver has switched it on, and what the host sends to it,
 * which is nothing. */
static void tap_pair_beyond_those_set_is_silent(void **state)
{
	const uint8_t two[2] = {2, 0}, one[2] = {1, 0};
	struct vdpa_dev_config config = tap_config(TAP_MQ);
	int fd = tap_packet_socket(TAP_MQ);
	uint8_t frame[HDR + 80], got[BUF_LEN], buf[BUF_LEN];
	struct pollfd p = {fd, POLLIN, 0};
	struct rig rig;
	uint32_t n;

	(void)state;
	config.max_vqp = 2;
	config.workers = 2;
	rig_make(&rig, &config);
	tap_wait_up(TAP_MQ);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ), 5, 16);
	for (int round = 0; round < 3; round++) {
		frame_make(frame, sizeof(frame), (uint32_t)round);
		rig_add(&rig, 2, buf, sizeof(buf), true);
		rig_publish(&rig, 2);
		rig_add(&rig, 3, frame, sizeof(frame), false);
		(void)ring_driver_publish(rig.vq[3].drv);
		rig.ops->kick_vq(rig.dev, 3);
		rig_quiet(&rig);
		assert_null(rig_poll(&rig, 3, &n));
		assert_int_equal(poll(&p, 1, 0), 0);
		/* No other kick: the command is enough. */
		assert_int_equal(rig_ctrl(&rig, 4, VIRTIO_NET_CTRL_MQ,
					  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, two, 2),
				 VIRTIO_NET_OK);
		assert_ptr_equal(rig_get(&rig, 3, &n), frame);
		assert_int_equal(tap_receive(fd, got, sizeof(got)), sizeof(frame) - HDR);
		assert_memory_equal(got, frame + HDR, sizeof(frame) - HDR);
		assert_int_equal(rig_ctrl(&rig, 4, VIRTIO_NET_CTRL_MQ,
					  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, one, 2),
				 VIRTIO_NET_OK);
	}
	/* One pair again: what the host sends comes to the first. */
	for (int i = 0; i < 20; i++) {
		rig_add(&rig, 0, buf, sizeof(buf), true);
		rig_publish(&rig, 0);
		frame_make(frame, sizeof(frame), 100u + (uint32_t)i);
		assert_int_equal(send(fd, frame + HDR, sizeof(frame) - HDR, 0),
				 sizeof(frame) - HDR);
		assert_ptr_equal(rig_get(&rig, 0, &n), buf);
	}
	assert_int_equal(rig_counter(&rig, 2, "rx packets"), 0);
	rig_destroy(&rig);
	close(fd);
}

/* A frame that waits in pair 1 for a second buffer. */
static void tap_held_frame_of_a_pair_that_is_switched_off_is_counted(void **state)
{
	static uint8_t small[32], bufs[64][256];
	struct vdpa_dev_config config = tap_config(TAP_MQ);
	int fd = tap_packet_socket(TAP_MQ);
	struct rig rig;
	uint32_t len;

	(void)state;
	config.max_vqp = 2;
	rig_make(&rig, &config);
	tap_wait_up(TAP_MQ);
	rig_start(&rig,
		  BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ) |
			  BIT(VIRTIO_NET_F_MRG_RXBUF),
		  5, 64);
	set_pairs(&rig, 2);
	rig_add(&rig, 2, small, sizeof(small), true);
	rig_publish(&rig, 2);
	send_flows(fd, 48);
	rig_quiet(&rig);
	assert_int_equal(simnet_of(vdpasim_of(rig.dev))->pairs[1].held_len, FLOW_LEN);
	set_pairs(&rig, 1);
	rig_quiet(&rig); /* the answer comes before the worker's next batch */
	assert_int_equal(rig_counter(&rig, 2, "rx drops"), 1);
	set_pairs(&rig, 2);
	for (size_t i = 0; i < ARRAY_LEN(bufs) - 1; i++)
		rig_add(&rig, 2, bufs[i], sizeof(bufs[i]), true);
	rig_publish(&rig, 2);
	rig_quiet(&rig);
	assert_null(rig_poll(&rig, 2, &len));
	assert_int_equal(rig_counter(&rig, 2, "rx packets"), 0);
	rig_destroy(&rig);
	close(fd);
}

static void tap_bad_options_are_refused_in_words(void **state)
{
	(void)state;
	rig_expect_refused("tap,ifname=hftap9", 1, -ENODEV, "ip tuntap add dev hftap9 mode tap)");
	rig_expect_refused("tap,ifname=hftap9", 2, -ENODEV, "multi_queue");
	rig_expect_refused("tap,name=x", 1, -EINVAL, "ifname=NAME");
	rig_expect_refused("tap", 1, -EINVAL, "ifname=NAME");
	rig_expect_refused("tap,ifname=abcdefghijklmnopqrst", 1, -EINVAL, "1 to 15");
	rig_expect_refused("tap,ifname=" TAP, 2, -EINVAL, "multi_queue");
	rig_expect_refused("tap,ifname=lo", 1, -EINVAL, "lo");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tap_transmitted_frame_reaches_host),
		cmocka_unit_test(tap_hostile_headers_drop),
		cmocka_unit_test(tap_host_frame_arrives_any_ring),
		cmocka_unit_test(tap_strict_device_moves_frames_both_ways),
		cmocka_unit_test(tap_no_buffers_waits_for_kick_without_spinning),
		cmocka_unit_test(tap_few_buffers_large_frame_waits_and_arrives),
		cmocka_unit_test(tap_filter_unwanted_frames_stay_out),
		cmocka_unit_test(tap_several_queues_transmit_on_each),
		cmocka_unit_test(tap_frames_of_every_queue_outlive_a_reset),
		cmocka_unit_test(tap_pair_beyond_those_set_is_silent),
		cmocka_unit_test(tap_held_frame_of_a_pair_that_is_switched_off_is_counted),
		cmocka_unit_test(tap_bad_options_are_refused_in_words),
	};
	const char *why = tap_enter_namespaces();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
