// SPDX-License-Identifier: BSD-3-Clause
/* Feature bits by name, as iproute2 prints them: virtio's names without their prefix. */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdio.h>

#include "mgmt/internal.h"

#define NR_BITS 64

/* clang-format off */
#define NET(name) [VIRTIO_NET_F_##name] = #name
#define BLK(name) [VIRTIO_BLK_F_##name] = #name
#define ANY(name) [VIRTIO_F_##name] = #name
/* clang-format on */

static const char *const net_names[NR_BITS] = {
	NET(CSUM),
	NET(GUEST_CSUM),
	NET(CTRL_GUEST_OFFLOADS),
	NET(MTU),
	NET(MAC),
	NET(GUEST_TSO4),
	NET(GUEST_TSO6),
	NET(GUEST_ECN),
	NET(GUEST_UFO),
	NET(HOST_TSO4),
	NET(HOST_TSO6),
	NET(HOST_ECN),
	NET(HOST_UFO),
	NET(MRG_RXBUF),
	NET(STATUS),
	NET(CTRL_VQ),
	NET(CTRL_RX),
	NET(CTRL_VLAN),
	NET(CTRL_RX_EXTRA),
	NET(GUEST_ANNOUNCE),
	NET(MQ),
	NET(CTRL_MAC_ADDR),
	NET(HASH_REPORT),
	NET(RSS),
	NET(RSC_EXT),
	NET(STANDBY),
	NET(SPEED_DUPLEX),
};

static const char *const blk_names[NR_BITS] = {
	BLK(SIZE_MAX), BLK(SEG_MAX),  BLK(GEOMETRY), BLK(RO),      BLK(BLK_SIZE),
	BLK(FLUSH),    BLK(TOPOLOGY), BLK(MQ),       BLK(DISCARD), BLK(WRITE_ZEROES),
};

static const char *const common_names[NR_BITS] = {
	ANY(NOTIFY_ON_EMPTY),
	ANY(ANY_LAYOUT),
	ANY(VERSION_1),
	ANY(ACCESS_PLATFORM),
	ANY(RING_PACKED),
	ANY(IN_ORDER),
	ANY(ORDER_PLATFORM),
	ANY(SR_IOV),
	[VIRTIO_RING_F_INDIRECT_DESC] = "RING_INDIRECT_DESC",
	[VIRTIO_RING_F_EVENT_IDX] = "RING_EVENT_IDX",
};

static const char *name_of(uint32_t device_id, unsigned int bit)
{
	const char *name = NULL;

	if (device_id == 1)
		name = net_names[bit];
	else if (device_id == 2)
		name = blk_names[bit];
	return name ? name : common_names[bit];
}

json_t *mgmt_features(uint32_t device_id, uint64_t features)
{
	json_t *names = json_array();

	for (unsigned int bit = 0; names && bit < NR_BITS; bit++) {
		const char *name = name_of(device_id, bit);
		char number[16];

		if (!((features >> bit) & 1))
			continue;
		snprintf(number, sizeof(number), "bit_%u", bit);
		if (json_array_append_new(names, json_string(name ? name : number))) {
			json_decref(names);
			names = NULL;
		}
	}
	return names;
}
