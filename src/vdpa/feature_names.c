// SPDX-License-Identifier: BSD-3-Clause
#include "vdpa/feature_names.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdio.h>

#include "base/compiler.h"

#define NR_BITS VDPA_FEATURE_BITS

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
	ANY(RING_RESET),
	[VIRTIO_RING_F_INDIRECT_DESC] = "RING_INDIRECT_DESC",
	[VIRTIO_RING_F_EVENT_IDX] = "RING_EVENT_IDX",
};

const char *vdpa_feature_name(uint32_t device_id, unsigned int bit, char number[static 16])
{
	const char *name = NULL;

	if (device_id == 1)
		name = net_names[bit];
	else if (device_id == 2)
		name = blk_names[bit];
	if (!name)
		name = common_names[bit];
	if (name)
		return name;
	(void)snprintf(number, 16, "bit_%u", bit);
	return number;
}

void vdpa_features_print(char *text, size_t size, uint32_t device_id, uint64_t features)
{
	size_t len = 0;

	text[0] = '\0';
	for (unsigned int bit = 0; bit < NR_BITS && len < size; bit++) {
		char number[16];

		if ((features >> bit) & 1)
			len += (size_t)snprintf(text + len, size - len, "%s%s", len ? "|" : "",
						vdpa_feature_name(device_id, bit, number));
	}
}
