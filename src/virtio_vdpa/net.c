// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network card's driver. Each queue has one buffer an entry, made once: header and frame lie
 * behind one another in a single piece, which every device takes (VERSION_1). Receive buffers go
 * back to the card as soon as their frame is copied out; transmit buffers are collected when the
 * next frame wants one.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "virtio_vdpa/net.h"

#define F(name)     (1ULL << VIRTIO_NET_F_##name)
#define WANTED      (F(MAC) | F(STATUS) | F(MTU))
#define RING_MAX    256u
#define HDR_LEN     12u /* bytes, with VERSION_1 */
#define ETH_LEN     14u
#define VLAN_LEN    4u
#define MTU_DEFAULT 1500u
#define MTU_MIN     68u

enum { RX, TX, NR_QUEUES };

struct virtio_net {
	struct virtio_vdpa *v;
	struct virtio_vdpa_vq *vq[NR_QUEUES];
	struct virtio_net_info info;
	struct virtio_net_counters counters;
	size_t buf_len;       /* bytes of a buffer */
	char *mem[NR_QUEUES]; /* [owned] a buffer an entry */
	char **spare;         /* [owned] transmit buffers that are free */
	uint16_t nr_spare;
	struct virtio_net *next_kept;
};

/* ---- what the card says ---- */

static int read_info(struct virtio_net *net)
{
	struct virtio_net_config c = {0};
	struct virtio_net_info *info = &net->info;
	size_t size = virtio_vdpa_config_size(net->v);
	int ret;

	ret = virtio_vdpa_read_config(net->v, 0, &c, size < sizeof(c) ? size : sizeof(c));
	if (ret)
		return ret;
	info->features = virtio_vdpa_features(net->v);
	if (info->features & F(MAC))
		memcpy(info->mac, c.mac, sizeof(info->mac));
	info->mtu = info->features & F(MTU) ? le16toh(c.mtu) : MTU_DEFAULT;
	info->link_up = !(info->features & F(STATUS)) || (le16toh(c.status) & VIRTIO_NET_S_LINK_UP);
	if (info->mtu < MTU_MIN)
		return refuse(-EINVAL, "%s: an MTU of %u, at least %u makes sense",
			      virtio_vdpa_name(net->v), info->mtu, MTU_MIN);
	return 0;
}

/* ---- queues ---- */

static int queue_setup(struct virtio_net *net, uint16_t idx)
{
	int ret = virtio_vdpa_setup_vq(net->v, idx, RING_MAX, &net->vq[idx]);

	if (ret)
		return ret;
	net->mem[idx] = calloc(virtio_vdpa_vq_num(net->vq[idx]), net->buf_len);
	return net->mem[idx] ? 0 : refuse(-ENOMEM, "no memory for the buffers of queue %u", idx);
}

static int give_rx(struct virtio_net *net, char *buf)
{
	struct virtio_vdpa_buf piece = {buf, (uint32_t)net->buf_len};

	return virtio_vdpa_vq_add(net->vq[RX], &piece, 0, 1, buf);
}

static int fill_rx(struct virtio_net *net)
{
	int ret = 0;

	for (uint16_t i = 0; !ret && i < virtio_vdpa_vq_num(net->vq[RX]); i++)
		ret = give_rx(net, net->mem[RX] + i * net->buf_len);
	return ret;
}

static int make_spares(struct virtio_net *net)
{
	uint16_t num = virtio_vdpa_vq_num(net->vq[TX]);

	net->spare = calloc(num, sizeof(*net->spare));
	if (!net->spare)
		return refuse(-ENOMEM, "no memory for the buffers of queue %u", TX);
	while (net->nr_spare < num) {
		net->spare[net->nr_spare] = net->mem[TX] + net->nr_spare * net->buf_len;
		net->nr_spare++;
	}
	return 0;
}

/* ---- life ---- */

static int start(struct virtio_net *net)
{
	int ret;

	if (virtio_vdpa_device_id(net->v) != VIRTIO_ID_NET)
		return refuse(-EINVAL, "device %s has the virtio id %u, a network card has %u",
			      virtio_vdpa_name(net->v), virtio_vdpa_device_id(net->v),
			      VIRTIO_ID_NET);
	ret = virtio_vdpa_negotiate(net->v, WANTED, 0);
	if (!ret)
		ret = read_info(net);
	net->buf_len = (HDR_LEN + ETH_LEN + VLAN_LEN + net->info.mtu + 15u) & ~(size_t)15;
	for (uint16_t i = 0; !ret && i < NR_QUEUES; i++)
		ret = queue_setup(net, i);
	if (!ret)
		ret = make_spares(net);
	if (!ret)
		ret = fill_rx(net);
	if (!ret)
		ret = virtio_vdpa_driver_ok(net->v);
	if (!ret)
		virtio_vdpa_vq_kick(net->vq[RX]);
	return ret;
}

int virtio_net_open(struct vdpa_device *dev, struct virtio_net **out)
{
	struct virtio_net *net = calloc(1, sizeof(*net));
	int ret;

	if (!net)
		return refuse(-ENOMEM, "%s: no memory", dev->name);
	ret = virtio_vdpa_open(dev, &net->v);
	if (!ret)
		ret = start(net);
	if (ret) {
		virtio_net_close(net);
		return ret;
	}
	*out = net;
	return 0;
}

void virtio_net_close(struct virtio_net *net)
{
	static struct virtio_net *kept; /* atomic; nobody reads it */

	if (!net)
		return;
	if (virtio_vdpa_close(net->v)) { /* the device may still write to the buffers */
		net->next_kept = __atomic_exchange_n(&kept, net, __ATOMIC_ACQ_REL);
		return;
	}
	/* from here on the device touches no buffer */
	for (int i = 0; i < NR_QUEUES; i++)
		free(net->mem[i]);
	free(net->spare);
	free(net);
}

const struct virtio_net_info *virtio_net_info(const struct virtio_net *net)
{
	return &net->info;
}

const char *virtio_net_name(const struct virtio_net *net)
{
	return virtio_vdpa_name(net->v);
}

const struct virtio_net_counters *virtio_net_counters(const struct virtio_net *net)
{
	return &net->counters;
}

size_t virtio_net_frame_max(const struct virtio_net *net)
{
	return ETH_LEN + net->info.mtu;
}

/* ---- frames ---- */

static int collect_tx(struct virtio_net *net)
{
	void *buf;
	uint32_t len;
	int ret;

	while ((ret = virtio_vdpa_vq_get(net->vq[TX], &buf, &len)) > 0)
		net->spare[net->nr_spare++] = buf;
	return ret;
}

int virtio_net_send(struct virtio_net *net, const void *frame, size_t len)
{
	struct virtio_vdpa_buf piece;
	char *buf;
	int ret;

	if (len < ETH_LEN || len > virtio_net_frame_max(net))
		return refuse(-EMSGSIZE, "a frame of %zu bytes, %u to %zu can be sent", len,
			      ETH_LEN, virtio_net_frame_max(net));
	ret = collect_tx(net);
	if (ret)
		return ret;
	if (net->nr_spare == 0)
		return refuse(-EAGAIN, "the transmit queue is full");
	buf = net->spare[net->nr_spare - 1];
	memset(buf, 0, HDR_LEN);
	memcpy(buf + HDR_LEN, frame, len);
	piece = (struct virtio_vdpa_buf){buf, (uint32_t)(HDR_LEN + len)};
	ret = virtio_vdpa_vq_add(net->vq[TX], &piece, 1, 0, buf);
	if (ret)
		return ret;
	net->nr_spare--;
	net->counters.sent++;
	virtio_vdpa_vq_kick(net->vq[TX]);
	return 0;
}

int virtio_net_recv(struct virtio_net *net, void *frame, size_t *len, int64_t deadline_ns)
{
	uint32_t got = 0;
	void *buf;
	int ret;

	for (;;) {
		ret = virtio_vdpa_vq_wait(net->vq[RX], deadline_ns, &buf, &got);
		if (ret < 0)
			return ret;
		if (got >= HDR_LEN + ETH_LEN)
			break;
		net->counters.bad++;
		ret = give_rx(net, buf);
		if (ret)
			return ret;
		virtio_vdpa_vq_kick(net->vq[RX]);
	}
	got -= HDR_LEN;
	if (*len > got)
		*len = got;
	memcpy(frame, (char *)buf + HDR_LEN, *len);
	net->counters.received++;
	ret = give_rx(net, buf);
	virtio_vdpa_vq_kick(net->vq[RX]);
	return ret;
}
