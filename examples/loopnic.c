// SPDX-License-Identifier: BSD-3-Clause
/* A network card that gives every frame back. docs/writing-a-parent.md goes through it. */
#include <holdfast/parent.h>

#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#define RX        0
#define TX        1
#define NVQS      2
#define FRAME_MAX 65550 /* bytes, with an Ethernet header */
#define ETH_MIN   14

struct loopnic {
	struct virtio_net_config config;
	size_t hdr_len; /* of the header before each frame */
	uint8_t buf[sizeof(struct virtio_net_hdr_mrg_rxbuf) + FRAME_MAX];
};

static void get_config(void *priv, size_t off, void *buf, size_t len)
{
	struct loopnic *nic = priv;

	memcpy(buf, (const char *)&nic->config + off, len);
}

static void set_config(void *priv, size_t off, const void *buf, size_t len)
{
	struct loopnic *nic = priv;

	memcpy((char *)&nic->config + off, buf, len);
}

static void set_features(void *priv, uint64_t features)
{
	struct loopnic *nic = priv;
	bool modern = features & 1ULL << VIRTIO_F_VERSION_1;

	nic->hdr_len =
		modern ? sizeof(struct virtio_net_hdr_mrg_rxbuf) : sizeof(struct virtio_net_hdr);
}

static void deliver(struct loopnic *nic, struct hf_soft *soft, size_t len)
{
	struct virtio_net_hdr_mrg_rxbuf hdr = {.num_buffers = htole16(1)};
	struct hf_chain rx;

	if (!hf->soft_pop(soft, RX, &rx))
		return; /* no buffer: the frame is lost, as on a wire */
	memcpy(nic->buf, &hdr, nic->hdr_len);
	if (rx.in_len < len)
		len = 0; /* the buffer is too small, or not mapped */
	hf->soft_push(soft, RX, &rx, (uint32_t)hf->soft_write(&rx, 0, nic->buf, len));
}

static void process(void *priv, struct hf_soft *soft, uint16_t idx)
{
	struct loopnic *nic = priv;
	struct hf_chain tx;

	while (idx == TX && hf->soft_pop(soft, TX, &tx)) {
		size_t len = hf->soft_read(&tx, 0, nic->buf, sizeof(nic->buf));

		if (len == tx.out_len && len >= nic->hdr_len + ETH_MIN)
			deliver(nic, soft, len);
		hf->soft_push(soft, TX, &tx, 0);
	}
}

static int dev_add(struct hf_add *add, const struct hf_config *config)
{
	static const struct hf_soft_desc desc = {
		.size = sizeof(desc),
		.device_id = VIRTIO_ID_NET,
		.nvqs = NVQS,
		.features = 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS |
			    1ULL << VIRTIO_NET_F_MTU,
		.config_size = sizeof(struct virtio_net_config),
		.get_config = get_config,
		.set_config = set_config,
		.set_features = set_features,
		.process = process,
		.destroy = free,
	};
	struct loopnic *nic = calloc(1, sizeof(*nic));
	int err;

	if (!nic)
		return -ENOMEM;
	memcpy(nic->config.mac, config->mac, sizeof(config->mac));
	nic->config.status = htole16(VIRTIO_NET_S_LINK_UP);
	nic->config.mtu = htole16(config->mtu);
	err = hf->soft_add(add, &desc, nic);
	if (err)
		free(nic);
	return err;
}

HF_MODULE(.name = "loopnic", .device_id = VIRTIO_ID_NET,
	  .keys = HF_KEYS_SOFT | HF_KEY_MAC | HF_KEY_MTU, .stem = "net", .dev_add = dev_add);
