// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control queue. A command is {class, command, data...} readable and one writable byte for the
 * answer. Every command is completed, with VIRTIO_NET_ERR whatever is wrong with it: unknown, not
 * negotiated, too short, too long, values out of range. Each class is one row of a table. Commands
 * are copied out of the client's memory before any lock is taken.
 *
 * An answer is published when every worker goes by what the command has set, see net_filter.c.
 */
#include <errno.h>
#include <string.h>

#include "net.h"

/* One command under treatment. */
struct ctrl {
	struct simnet *net;
	const struct vdpasim_worker *sw; /* the one that treats it */
	bool again; /* [out] its effect is not there yet: give the chain back, and come again */
	const struct ring_chain *chain;
	size_t len; /* bytes of data behind class and command */
	uint8_t class, cmd;
};

/* Copy @len bytes of the data. Return: false if it has fewer */
static bool ctrl_read(const struct ctrl *c, size_t off, void *dst, size_t len)
{
	if (off > c->len || c->len - off < len)
		return false;
	return ring_chain_read(c->chain, 2 + off, dst, len) == len;
}

static uint32_t le_at(const uint8_t *p, unsigned int bytes)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < bytes; i++)
		v |= (uint32_t)p[i] << (8 * i);
	return v;
}

static bool ctrl_rx_mode(struct ctrl *c)
{
	struct simnet_filter *f = &c->net->filter;
	bool ok = true;
	uint8_t on;

	if (c->len != 1 || !ctrl_read(c, 0, &on, 1))
		return false;
	if (c->cmd > VIRTIO_NET_CTRL_RX_ALLMULTI &&
	    !vdpasim_acked(c->net->sim, VIRTIO_NET_F_CTRL_RX_EXTRA))
		return false;
	mutex_lock(&c->net->lock);
	switch (c->cmd) {
	case VIRTIO_NET_CTRL_RX_PROMISC:
		f->promisc = on;
		break;
	case VIRTIO_NET_CTRL_RX_ALLMULTI:
		f->allmulti = on;
		break;
	case VIRTIO_NET_CTRL_RX_ALLUNI:
		f->alluni = on;
		break;
	case VIRTIO_NET_CTRL_RX_NOMULTI:
		f->nomulti = on;
		break;
	case VIRTIO_NET_CTRL_RX_NOUNI:
		f->nouni = on;
		break;
	case VIRTIO_NET_CTRL_RX_NOBCAST:
		f->nobcast = on;
		break;
	default:
		ok = false;
	}
	simnet_filter_changed(c->net);
	mutex_unlock(&c->net->lock);
	return ok;
}

/* One list: le32 count, then that many addresses. @off moves behind it. */
static bool read_list(const struct ctrl *c, size_t *off, struct simnet_mac_list *list)
{
	uint8_t nr_bytes[4];
	uint32_t nr;

	memset(list, 0, sizeof(*list));
	if (!ctrl_read(c, *off, nr_bytes, sizeof(nr_bytes)))
		return false;
	nr = le_at(nr_bytes, 4);
	*off += sizeof(nr_bytes);
	if (nr > (c->len - *off) / 6)
		return false;
	list->all = nr > SIMNET_MACS_MAX;
	list->nr = list->all ? 0 : nr;
	if (!ctrl_read(c, *off, list->mac, (size_t)list->nr * 6))
		return false;
	*off += (size_t)nr * 6;
	return true;
}

static bool set_mac_table(const struct ctrl *c)
{
	struct simnet_mac_list uni, multi;
	size_t off = 0;

	if (!vdpasim_acked(c->net->sim, VIRTIO_NET_F_CTRL_RX) || !read_list(c, &off, &uni) ||
	    !read_list(c, &off, &multi) || off != c->len)
		return false;
	mutex_lock(&c->net->lock);
	c->net->filter.uni = uni;
	c->net->filter.multi = multi;
	simnet_filter_changed(c->net);
	mutex_unlock(&c->net->lock);
	return true;
}

static bool set_mac(const struct ctrl *c)
{
	uint8_t mac[6];

	if (!vdpasim_acked(c->net->sim, VIRTIO_NET_F_CTRL_MAC_ADDR) || c->len != sizeof(mac) ||
	    !ctrl_read(c, 0, mac, sizeof(mac)))
		return false;
	mutex_lock(&c->net->lock);
	memcpy(c->net->config.mac, mac, sizeof(mac));
	memcpy(c->net->filter.mac, mac, sizeof(mac));
	simnet_filter_changed(c->net);
	mutex_unlock(&c->net->lock);
	return true;
}

static bool ctrl_mac(struct ctrl *c)
{
	switch (c->cmd) {
	case VIRTIO_NET_CTRL_MAC_TABLE_SET:
		return set_mac_table(c);
	case VIRTIO_NET_CTRL_MAC_ADDR_SET:
		return set_mac(c);
	default:
		return false;
	}
}

static bool ctrl_vlan(struct ctrl *c)
{
	uint8_t id[2], *byte;
	uint16_t vid;

	if (c->len != sizeof(id) || !ctrl_read(c, 0, id, sizeof(id)))
		return false;
	vid = (uint16_t)le_at(id, 2);
	if (vid >= 4096 || c->cmd > VIRTIO_NET_CTRL_VLAN_DEL)
		return false;
	mutex_lock(&c->net->lock);
	byte = &c->net->filter.vlans[vid / 8];
	if (c->cmd == VIRTIO_NET_CTRL_VLAN_ADD)
		*byte |= (uint8_t)(1u << (vid % 8));
	else
		*byte &= (uint8_t) ~(1u << (vid % 8));
	simnet_filter_changed(c->net);
	mutex_unlock(&c->net->lock);
	return true;
}

static bool ctrl_pairs(struct ctrl *c)
{
	struct simnet *net = c->net;
	uint8_t nr_bytes[2];
	uint16_t nr;
	int err;

	if (c->cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || c->len != sizeof(nr_bytes) ||
	    !ctrl_read(c, 0, nr_bytes, sizeof(nr_bytes)))
		return false;
	nr = (uint16_t)le_at(nr_bytes, 2);
	if (nr < 1 || nr > net->max_pairs)
		return false;
	err = simnet_wish_pairs(net, c->sw, nr);
	if (err) {
		c->again = err == -EAGAIN;
		return false;
	}
	mutex_lock(&net->lock);
	simnet_set_pairs(net, nr, true);
	mutex_unlock(&net->lock);
	return true;
}

static bool ctrl_offloads(struct ctrl *c)
{
	uint8_t bytes[8];
	uint64_t want;
	int err;

	if (c->cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || c->len != sizeof(bytes) ||
	    !ctrl_read(c, 0, bytes, sizeof(bytes)))
		return false;
	want = le_at(bytes, 4) | (uint64_t)le_at(bytes + 4, 4) << 32;
	if (want & ~(c->net->sim->driver_features & SIMNET_GUEST_OFFLOADS))
		return false;
	err = simnet_wish_offloads(c->net, c->sw, want);
	c->again = err == -EAGAIN;
	return err == 0;
}

static const struct {
	uint8_t class;
	uint8_t feature; /* bit that must be negotiated */
	bool (*fn)(struct ctrl *c);
} classes[] = {
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_F_CTRL_RX, ctrl_rx_mode},
	{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_F_CTRL_VQ, ctrl_mac},
	{VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_F_CTRL_VLAN, ctrl_vlan},
	{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_F_MQ, ctrl_pairs},
	{VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, ctrl_offloads},
};

/* Return: was it carried out? @again: [out] it was not, but will be */
static bool ctrl_execute(struct simnet *net, const struct vdpasim_vq *vq,
			 const struct ring_chain *chain, bool *again)
{
	struct ctrl c = {.net = net, .sw = vq->sw, .chain = chain};
	uint8_t head[2];
	bool ok = false;

	*again = false;

	if (chain->fault || ring_chain_read(chain, 0, head, sizeof(head)) != sizeof(head))
		return false;
	c.class = head[0];
	c.cmd = head[1];
	c.len = chain->out_len - sizeof(head);
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (classes[i].class == c.class)
			ok = vdpasim_acked(net->sim, classes[i].feature) && classes[i].fn(&c);
	*again = c.again;
	return ok;
}

bool simnet_ctrl_batch(struct simnet *net, struct vdpasim_vq *vq)
{
	struct ring_chain chain;
	uint32_t walked = ring_walked(vq->ring);
	unsigned int n = 0;
	int err = 1;

	vdpasim_vq_busy(vq);
	while (n < SIMNET_BATCH && ring_walked(vq->ring) - walked < RING_WALK_MAX &&
	       (err = ring_pop(vq->ring, &chain)) > 0) {
		bool again, ok = ctrl_execute(net, vq, &chain, &again);
		uint8_t ack = ok ? VIRTIO_NET_OK : VIRTIO_NET_ERR;

		if (again) {
			ring_unpop(vq->ring, &chain, 1);
			break;
		}
		simnet_count(&net->ctrl_stats.requests, 1);
		simnet_count(ok ? &net->ctrl_stats.successes : &net->ctrl_stats.errors, 1);
		ring_push(vq->ring, &chain,
			  (uint32_t)ring_chain_write(&chain, 0, &ack, sizeof(ack)));
		n++;
	}
	simnet_filter_refresh(net, vq->sw);
	if (!ring_is_flushed(vq->ring) && !simnet_filter_is_seen(net, vq->sw))
		return true; /* other workers were woken; the next poll is soon */
	vdpasim_vq_flush(vq);
	return err > 0 || vdpasim_vq_idle(vq, err);
}
