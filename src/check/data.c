/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 7, as far as a client of a looping network device sees it: frames and commands.
 */
#include "check/kit.h"

#include <endian.h>
#include <string.h>
#include <unistd.h>

#define IOVA     0x100000UL
#define P        CHECK_PAGE
#define RX       CLIENT_NET_RX
#define TX       CLIENT_NET_TX
#define CTRL_IDX CLIENT_NET_CTRL
#define FRAME    60U
#define HDR      12U

static uint32_t used_len(struct check_ctx *t, struct check_kit *kit, unsigned idx)
{
	uint32_t len = UINT32_MAX;

	EXPECT_RC(t, 1, client_ring_pop(&kit->ring[idx], NULL, &len));
	return len;
}

static void broadcast_loops(struct check_ctx *t)
{
	struct check_kit kit;

	(void)check_kit_run(t, &kit, IOVA);
	check_kit_kick(t, &kit, TX);
	check_kit_expect_used(t, &kit, kit.page, TX, 1);
	check_kit_expect_used(t, &kit, kit.page, RX, 1);
	EXPECT_EQ(t, 0, used_len(t, &kit, TX));
	EXPECT_EQ(t, KIT_TX_LEN, used_len(t, &kit, RX));
	EXPECT(t, memcmp(kit.page + KIT_RX_BUF + HDR, kit.page + KIT_TX_FRAME + HDR, FRAME) == 0);
}

/* Row: a is the kind of destination, b whether the frame comes back. */
enum { TO_MULTICAST = 1, TO_SELF, TO_OTHER };

static void destination(struct check_ctx *t)
{
	static const uint8_t multi[6] = {0x01, 0, 0x5e, 0, 0, 1};
	static const uint8_t self[6] = {0x02, 0x11, 0x22,
					0x33, 0x44, 0x55}; /* the kit command sets it */
	static const uint8_t other[6] = {0x02, 0x77, 0, 0, 0, 0x11};
	static const uint8_t *const macs[] = {NULL, multi, self, other};
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	EXPECT_RC(t, 0, client_set_config(fd, 0, self, 6));
	memcpy(kit.page + KIT_TX_FRAME + HDR, macs[t->check->a], 6);
	check_kit_kick(t, &kit, TX);
	check_kit_expect_used(t, &kit, kit.page, TX, 1);
	if (t->check->b)
		check_kit_expect_used(t, &kit, kit.page, RX, 1);
	else
		check_kit_expect_quiet(t, &kit, kit.page, RX, 0);
}

static void no_receive_buffer(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_open(t, &kit, IOVA);

	client_ring_init(&kit.ring[RX], RX, KIT_NUM, kit.page, IOVA, 0);
	check_kit_start(t, fd, &kit);
	check_kit_kick(t, &kit, TX);
	check_kit_expect_used(t, &kit, kit.page, TX, 1);
	EXPECT_EQ(t, 0, check_kit_used(kit.page, RX));
}

/* More frames than ring entries, one at a time: indexes wrap the ring and buffers come back. */
static void wraps_ring(struct check_ctx *t)
{
	struct check_kit kit;

	(void)check_kit_run(t, &kit, IOVA);
	check_kit_kick(t, &kit, TX);
	for (uint16_t i = 1; i < 3 * KIT_NUM; i++) {
		check_kit_expect_used(t, &kit, kit.page, TX, i);
		check_kit_expect_used(t, &kit, kit.page, RX, i);
		EXPECT_EQ(t, 0, used_len(t, &kit, TX));
		EXPECT_EQ(t, KIT_TX_LEN, used_len(t, &kit, RX));
		check_kit_send(t, &kit);
	}
}

static void many_per_kick(struct check_ctx *t)
{
	struct check_kit kit;
	const struct client_buf tx = {IOVA + KIT_TX_FRAME, KIT_TX_LEN, false};

	(void)check_kit_run(t, &kit, IOVA);
	for (int i = 1; i < KIT_NUM; i++)
		EXPECT_RC(t, 0, client_ring_add(&kit.ring[TX], &tx, 1, NULL));
	memset(kit.page + KIT_TX_FRAME + HDR, 0x02, 6); /* goes nowhere */
	check_kit_kick(t, &kit, TX);
	check_kit_expect_used(t, &kit, kit.page, TX, KIT_NUM);
	for (int i = 0; i < KIT_NUM; i++)
		EXPECT_EQ(t, 0, used_len(t, &kit, TX));
}

/* Header and frame in descriptors of their own. */
static void chained_transmit(struct check_ctx *t)
{
	struct check_kit kit;
	const struct client_buf tx[3] = {{IOVA + KIT_TX_FRAME, HDR, false},
					 {IOVA + KIT_TX_FRAME + HDR, 14, false},
					 {IOVA + KIT_TX_FRAME + HDR + 14, FRAME - 14, false}};

	(void)check_kit_run(t, &kit, IOVA);
	client_ring_init(&kit.ring[CTRL_IDX], CTRL_IDX, KIT_NUM, kit.page + 2 * KIT_RING,
			 IOVA + 2 * KIT_RING, 0);
	check_kit_kick(t, &kit, TX);
	check_kit_expect_used(t, &kit, kit.page, RX, 1);
	memset(kit.page + KIT_RX_BUF, 0, KIT_RX_LEN);
	EXPECT_RC(t, 0,
		  client_ring_add(&kit.ring[RX],
				  &(struct client_buf){IOVA + KIT_RX_BUF, KIT_RX_LEN, true}, 1,
				  NULL));
	EXPECT_RC(t, 0, client_ring_add(&kit.ring[TX], tx, 3, NULL));
	check_kit_kick(t, &kit, TX);
	check_kit_expect_used(t, &kit, kit.page, TX, 2);
	check_kit_expect_used(t, &kit, kit.page, RX, 2);
	EXPECT(t, memcmp(kit.page + KIT_RX_BUF + HDR, kit.page + KIT_TX_FRAME + HDR, FRAME) == 0);
}

/* ---- control queue ---- */

static void ctrl_set_mac(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);
	uint8_t mac[6] = {0};

	EXPECT_RC(t, 0, client_set_config(fd, 0, mac, 6));
	check_kit_kick(t, &kit, CTRL_IDX);
	check_kit_expect_used(t, &kit, kit.page, CTRL_IDX, 1);
	EXPECT_EQ(t, VIRTIO_NET_OK, kit.page[KIT_ACK]);
	EXPECT_EQ(t, 1, used_len(t, &kit, CTRL_IDX));
	EXPECT_RC(t, 0, client_get_config(fd, 0, mac, 6));
	EXPECT(t, memcmp(mac, kit.page + KIT_CMD + 2, 6) == 0);
}

/* Row: a is the class, b the command. */
static void ctrl_unknown(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);
	uint8_t before[6], after[6];

	EXPECT_RC(t, 0, client_get_config(fd, 0, before, 6));
	kit.page[KIT_CMD] = (uint8_t)t->check->a;
	kit.page[KIT_CMD + 1] = (uint8_t)t->check->b;
	check_kit_kick(t, &kit, CTRL_IDX);
	check_kit_expect_used(t, &kit, kit.page, CTRL_IDX, 1);
	EXPECT_EQ(t, VIRTIO_NET_ERR, kit.page[KIT_ACK]);
	EXPECT_RC(t, 0, client_get_config(fd, 0, after, 6));
	EXPECT(t, memcmp(before, after, 6) == 0);
}

static void ctrl_not_negotiated(struct check_ctx *t)
{
	uint64_t features = check_features(t) & ~CLIENT_BIT(VIRTIO_NET_F_CTRL_VQ) &
			    ~CLIENT_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);
	struct check_kit kit;
	int fd = check_kit_open(t, &kit, IOVA);

	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, 0, client_set_u64(fd, VHOST_SET_FEATURES, features));
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_FEATURES));
	check_kit_attach(t, fd, &kit);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	check_kit_kick(t, &kit, CTRL_IDX);
	check_kit_expect_quiet(t, &kit, kit.page, CTRL_IDX, 0);
	check_kit_kick(t, &kit, TX);
	check_kit_expect_used(t, &kit, kit.page, TX, 1);
}

/* The library's own bring-up, with every kind of memory the device maps. */
static void bring_up(struct check_ctx *t)
{
	const struct client_net_opts opts = {
		.ring_size = 64, .iova = 0x40000000, .kind = (enum client_mem_kind)t->check->a};
	struct client_buf buf = {0};
	struct client_net net;
	uint8_t *frame;

	EXPECT_RC(t, 0, client_net_start(&net, t->dev->path, &opts));
	buf = (struct client_buf){client_net_iova(&net, 0), 2048, true};
	EXPECT_RC(t, 0, client_ring_add(&net.ring[RX], &buf, 1, NULL));
	frame = client_net_data(&net, 4096);
	memset(frame + HDR, 0xff, FRAME);
	buf = (struct client_buf){client_net_iova(&net, 4096), HDR + FRAME, false};
	EXPECT_RC(t, 0, client_ring_add(&net.ring[TX], &buf, 1, NULL));
	EXPECT_RC(t, 0, client_ring_kick(&net.ring[TX]));
	EXPECT_RC(t, 0, client_ring_wait(&net.ring[TX], CHECK_WAIT));
	EXPECT_RC(t, 0, client_ring_wait(&net.ring[RX], CHECK_WAIT));
	EXPECT(t, memcmp((uint8_t *)client_net_data(&net, 0) + HDR, frame + HDR, FRAME) == 0);
	client_net_stop(&net);
	EXPECT_RC(t, 0, client_net_start(&net, t->dev->path, &opts));
	client_net_stop(&net);
}

static const struct check rows[] = {
	{"net.loop.broadcast_comes_back", "7-10", broadcast_loops, 0, 0, 0, 0},
	{"net.loop.multicast_comes_back", "7-10", destination, 0, 0, TO_MULTICAST, 1},
	{"net.loop.own_address_comes_back", "7-10", destination, 0, 0, TO_SELF, 1},
	{"net.loop.other_address_dropped", "7-10", destination, CHECK_STRICT, 0, TO_OTHER, 0},
	{"net.loop.no_receive_buffer_transmit_completes", "7-10", no_receive_buffer, 0, 0, 0, 0},
	{"net.ring.wraps", "7-7", wraps_ring, 0, 0, 0, 0},
	{"net.ring.full_ring_in_one_kick", "7-10", many_per_kick, 0, 0, 0, 0},
	{"net.ring.chained_descriptors", "7-7", chained_transmit, 0, 0, 0, 0},
	{"net.ctrl.mac_address_set", "7-10", ctrl_set_mac, CHECK_CTRL, 0, 0, 0},
	{"net.ctrl.unknown_class_err", "7-10", ctrl_unknown, CHECK_CTRL, 0, 77, 0},
	{"net.ctrl.unknown_command_err", "7-10", ctrl_unknown, CHECK_CTRL, 0, VIRTIO_NET_CTRL_MAC,
	 77},
	{"net.ctrl.not_negotiated_not_served", "7-10", ctrl_not_negotiated, CHECK_CTRL, 0, 0, 0},
	{"net.client.bring_up_memfd", "7-10", bring_up, 0, 0, CLIENT_MEM_MEMFD, 0},
	{"net.client.bring_up_shared_anonymous", "7-10", bring_up, 0, 0, CLIENT_MEM_SHARED_ANON, 0},
	{"net.client.bring_up_private_pinned", "7-10", bring_up, CHECK_PINNED, 0,
	 CLIENT_MEM_PRIVATE, 0},
	{"net.client.bring_up_private_va", "7-10", bring_up, CHECK_VA | CHECK_RELAXED, 0,
	 CLIENT_MEM_PRIVATE, 0},
};

const struct check_set check_set_data = CHECK_SET_OF(rows, CHECK_NET);
