// SPDX-License-Identifier: BSD-3-Clause
/*
 * The kernel's network simulator as it is, clauses [7-8] and [7-10]: what is odd here is odd there. Counters count
 * headers too, a transmitted frame is cut to one page, a missing receive buffer costs the frame and ends the
 * pass, and the control queue keeps its last answer over the commands of one pass and forgets a short one.
 */
#include <string.h>

#include "net.h"

#define PAGE_LEN 4096

static bool strict_wants(struct simnet *net, const uint8_t *frame, size_t len)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct simnet_filter *f = simnet_filter_of(&net->pairs[0]);

	if (len < (size_t)net->hdr_len + 6)
		return false;
	frame += net->hdr_len;
	return (frame[0] & 1) || memcmp(frame, broadcast, 6) == 0 || memcmp(frame, f->mac, 6) == 0;
}

/* Return: false ends the pass */
static bool strict_deliver(struct simnet_pair *pair, const uint8_t *frame, size_t len)
{
	struct ring_chain rx;
	int err = ring_pop(pair->rx->ring, &rx);
	size_t written;

	if (err <= 0) {
		simnet_count(&pair->rx_stats.overruns, 1);
		return false;
	}
	written = ring_chain_write(&rx, 0, frame, len);
	if (written == 0) {
		simnet_count(&pair->rx_stats.errors, 1);
		ring_push(pair->rx->ring, &rx, 0);
		return false;
	}
	simnet_count(&pair->rx_stats.packets, 1);
	simnet_count(&pair->rx_stats.bytes, written);
	ring_push(pair->rx->ring, &rx, (uint32_t)written);
	return true;
}

static bool strict_data(struct simnet_pair *pair)
{
	struct simnet *net = pair->net;
	uint8_t frame[PAGE_LEN];
	struct ring_chain tx;
	unsigned int n = 0;
	bool go = true;

	if (!vdpasim_vq_runs(pair->rx) || !vdpasim_vq_runs(pair->tx))
		return false;
	while (go && n++ < SIMNET_BATCH) {
		int err = ring_pop(pair->tx->ring, &tx);
		size_t len;

		if (err <= 0) {
			simnet_count(&pair->tx_stats.errors, err < 0);
			go = false;
			break;
		}
		len = ring_chain_read(&tx, 0, frame, sizeof(frame));
		simnet_count(&pair->tx_stats.packets, 1);
		simnet_count(&pair->tx_stats.bytes, len);
		if (tx.fault || len == 0)
			simnet_count(&pair->tx_stats.errors, 1);
		else if (strict_wants(net, frame, len))
			go = strict_deliver(pair, frame, len);
		else
			simnet_count(&pair->rx_stats.drops, 1);
		ring_push(pair->tx->ring, &tx, 0);
	}
	if (ring_flush(pair->rx->ring))
		vdpasim_vq_call(pair->rx);
	if (ring_flush(pair->tx->ring))
		vdpasim_vq_call(pair->tx);
	return go;
}

static bool strict_mac_set(struct simnet *net, const struct ring_chain *chain, uint8_t cmd)
{
	uint8_t mac[6];

	if (cmd != VIRTIO_NET_CTRL_MAC_ADDR_SET ||
	    ring_chain_read(chain, 2, mac, sizeof(mac)) != sizeof(mac))
		return false;
	mutex_lock(&net->lock);
	memcpy(net->config.mac, mac, sizeof(mac));
	memcpy(net->filter.mac, mac, sizeof(mac));
	simnet_filter_changed(net);
	mutex_unlock(&net->lock);
	return true;
}

static bool strict_ctrl(struct simnet *net, struct vdpasim_vq *vq)
{
	uint8_t ack = VIRTIO_NET_ERR;
	struct ring_chain chain;
	unsigned int n = 0;

	while (n < SIMNET_BATCH && ring_pop(vq->ring, &chain) > 0) {
		uint8_t head[2];

		simnet_count(&net->ctrl_stats.requests, 1);
		if (ring_chain_read(&chain, 0, head, sizeof(head)) != sizeof(head)) {
			simnet_count(&net->ctrl_stats.errors, 1);
			break; /* never completed */
		}
		if (head[0] == VIRTIO_NET_CTRL_MAC)
			ack = strict_mac_set(net, &chain, head[1]) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
		simnet_count(ack == VIRTIO_NET_OK ? &net->ctrl_stats.successes
						  : &net->ctrl_stats.errors,
			     1);
		ring_push(vq->ring, &chain,
			  (uint32_t)ring_chain_write(&chain, 0, &ack, sizeof(ack)));
		(void)ring_flush(vq->ring);
		vdpasim_vq_call(vq); /* asked for or not */
		n++;
	}
	return n == SIMNET_BATCH;
}

bool simnet_strict_process(struct simnet *net, struct vdpasim_vq *vq)
{
	if (vq->idx == 2)
		return net->cvq == 2 && strict_ctrl(net, vq);
	/* Both data queues are looked at in one go, by whichever of them comes second. */
	return vq->idx == 1 && strict_data(&net->pairs[0]);
}
