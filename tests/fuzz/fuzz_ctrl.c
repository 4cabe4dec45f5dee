// SPDX-License-Identifier: BSD-3-Clause
/*
 * A network card with its control queue: commands with any bytes in any pieces, frames with any
 * header, receive buffers of any size, in any order. Each chain is well formed and must be
 * completed (or, of a receive buffer, wait); each command must get an answer.
 */
#include "device.h"

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#define BIT(n)   (1ULL << (n))
#define SEGS_MAX 6
#define NUM      32
#define CTRL_IDX 4
#define NO_ACK   0xee

static const uint64_t always = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM) |
			       BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_MQ);

static const uint64_t optional[] = {
	BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_RX_EXTRA),
	BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT(VIRTIO_NET_F_CTRL_VLAN),
	BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
		BIT(VIRTIO_NET_F_GUEST_TSO4),
	BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_CSUM),
	BIT(VIRTIO_NET_F_MRG_RXBUF),
	BIT(VIRTIO_RING_F_EVENT_IDX),
	BIT(VIRTIO_F_RING_PACKED),
	BIT(VIRTIO_F_IN_ORDER),
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return fuzz_arena() ? 0 : 1;
}

static uint64_t choose_features(struct fuzz_input *in)
{
	uint8_t bits = fuzz_u8(in);
	uint64_t features = always;

	for (size_t i = 0; i < ARRAY_LEN(optional); i++)
		if (bits >> i & 1)
			features |= optional[i];
	if (features & optional[2])
		features |= BIT(VIRTIO_NET_F_GUEST_CSUM);
	return features;
}

static void expect_used(struct fuzz_device *d, uint16_t idx, uint64_t room)
{
	uint32_t len = 0;
	int err = 0;

	while (ring_driver_get(d->drv[idx], &len, &err))
		fuzz_check(len <= room);
	fuzz_check(err == 0);
}

static void command(struct fuzz_device *d, struct fuzz_input *in)
{
	char *data = fuzz_arena() + ARENA_DATA;
	struct ring_driver_seg segs[SEGS_MAX + 1];
	unsigned int nr_out = 1 + fuzz_below(in, SEGS_MAX), n;
	size_t len = fuzz_bytes(in, data, fuzz_u16(in) % 1024), at = 0;
	uint32_t used = 0;
	int err = 0;

	for (n = 0; n < nr_out; n++) {
		size_t part = n == nr_out - 1 ? len - at : fuzz_u8(in) % (len - at + 1);

		segs[n] = (struct ring_driver_seg){ARENA_IOVA + ARENA_DATA + at, (uint32_t)part};
		at += part;
	}
	data[len] = (char)NO_ACK;
	segs[n] = (struct ring_driver_seg){ARENA_IOVA + ARENA_DATA + len, 1};
	if (ring_driver_add(d->drv[CTRL_IDX], segs, nr_out, 1, data, NULL, 0))
		return;
	(void)ring_driver_publish(d->drv[CTRL_IDX]);
	fuzz_device_run(d, CTRL_IDX);
	fuzz_check(ring_driver_get(d->drv[CTRL_IDX], &used, &err) == data && err == 0);
	fuzz_check(used == 1 && (data[len] == VIRTIO_NET_OK || data[len] == VIRTIO_NET_ERR));
}

static void offer(struct fuzz_device *d, struct fuzz_input *in, uint16_t idx, bool to_card)
{
	struct ring_driver_seg segs[SEGS_MAX];
	unsigned int n = fuzz_segs(in, segs, SEGS_MAX);

	if (n == 0 ||
	    ring_driver_add(d->drv[idx], segs, to_card ? n : 0, to_card ? 0 : n, segs, NULL, 0))
		return;
	if (to_card)
		(void)fuzz_bytes(in, fuzz_arena() + segs[0].iova - ARENA_IOVA, 18);
	(void)ring_driver_publish(d->drv[idx]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct fuzz_device *d = fuzz_device_begin("mgmtdev vdpasim_net max_vqp 2 offer all",
						  choose_features(&in), 5, NUM);

	while (fuzz_more(&in)) {
		uint16_t pair = (uint16_t)(2 * fuzz_below(&in, 2));

		switch (fuzz_below(&in, 4)) {
		case 0:
		case 1:
			command(d, &in);
			break;
		case 2:
			offer(d, &in, pair, false);
			break;
		default:
			offer(d, &in, pair + 1, true);
			fuzz_device_run(d, pair + 1);
			expect_used(d, pair + 1, 0);
			expect_used(d, pair, UINT32_MAX);
		}
	}
	/* No chain was wrong, so no queue may have broken. */
	fuzz_check(d->dev->ops->get_status(d->dev) == 0xf);
	fuzz_device_end(d);
	return 0;
}
