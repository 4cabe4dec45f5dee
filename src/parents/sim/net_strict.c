// SPDX-License-Identifier: BSD-3-Clause
/*
 * The kernel's network simulator as it is, clauses [7-8] and [7-10]. What is odd here is odd
 * there:
 *
 * - Counters count headers, too.
 * - A transmitted frame is cut to one page.
 * - A missing receive buffer costs the frame and ends the pass.
 * - The control queue keeps its last answer over the commands of one pass, and forgets a command
 *   that is too short.
 */
#include <errno.h>
#include <string.h>

#include "base/iov.h"
#include "net.h"
#include "ring/strict.h"

#define PAGE_LEN 4096

static bool strict_wants(struct simnet *net, const uint8_t *frame, size_t len)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct simnet_filter *f = simnet_filter_of(&net->pairs[0]);

	if (len < (size_t)net->hdr_len + 6)
		return false;
	frame += net->hdr_len;
	if ((frame[0] & 1) || memcmp(frame, broadcast, 6) == 0)
		return true;
	/* compared as strings: two addresses are equal up to a byte that is 0 in both */
	return strncmp((const char *)frame, (const char *)f->mac, 6) == 0;
}

/*
 * Copies between @iov and @buf, from byte @off of the pieces on. Return: bytes; or -EFAULT at a
 * piece that is not mapped, and what lies before it was copied.
 */
static int strict_copy(const struct iovec *iov, uint32_t nr, size_t off, void *buf, size_t len,
		       bool to_client)
{
	struct iov_walk w = iov_walk_from(iov, nr, off, len);
	char *plain = buf;

	for (; iov_walk_next(&w); plain += w.len) {
		if (!iov[w.idx].iov_base)
			return -EFAULT;
		if (to_client)
			memcpy(iov_walk_base(&w), plain, w.len);
		else
			memcpy(plain, iov_walk_base(&w), w.len);
	}
	return (int)(plain - (char *)buf);
}

static int strict_pull(const struct ring_chain *chain, size_t off, void *buf, size_t len)
{
	return strict_copy(chain->out, chain->nr_out, off, buf, len, false);
}

static int strict_push(const struct ring_chain *chain, void *buf, size_t len)
{
	return strict_copy(chain->in, chain->nr_in, 0, buf, len, true);
}

/* Chains complete one by one, so that each finds the map and the driver's wish as they are. */
static void strict_complete(struct vdpasim_vq *vq, const struct ring_chain *chain, uint32_t len)
{
	ring_strict_push(vq->ring, chain, len);
	if (ring_flush(vq->ring))
		vdpasim_vq_call(vq);
}

/* Return: 1 a chain; else none, or one that was consumed and lost. @writes: what the queue's chains
 * are for. */
static int strict_pop(struct vdpasim_vq *vq, struct ring_chain *chain, bool writes)
{
	int err = ring_pop(vq->ring, chain);

	if (err > 0 && (writes ? chain->out_len : chain->in_len)) {
		ring_strict_drop(vq->ring, chain);
		return -EBADMSG;
	}
	return err;
}

/* A buffer that cannot be written is lost, and the frame's chain with it. Return: false ends the
 * pass */
static bool strict_deliver(struct simnet_pair *pair, const struct ring_chain *tx, uint8_t *frame,
			   size_t len)
{
	struct ring_chain rx;
	int written;

	if (strict_pop(pair->rx, &rx, true) <= 0) {
		simnet_count(&pair->rx_stats.overruns, 1);
		strict_complete(pair->tx, tx, 0);
		return false;
	}
	written = strict_push(&rx, frame, len);
	if (written <= 0) {
		simnet_count(&pair->rx_stats.errors, 1);
		ring_strict_drop(pair->rx->ring, &rx);
		ring_strict_drop(pair->tx->ring, tx);
		return false;
	}
	simnet_count(&pair->rx_stats.packets, 1);
	simnet_count(&pair->rx_stats.bytes, (size_t)written);
	strict_complete(pair->tx, tx, 0);
	strict_complete(pair->rx, &rx, (uint32_t)written);
	return true;
}

/*
 * Frames a pass ([7-10]). The delivery that completes this many frames ends the pass. Another pass
 * follows, whether there are more frames or not, and begins with the control queue.
 */
#define STRICT_PASS 5

static bool strict_data(struct simnet_pair *pair)
{
	struct simnet *net = pair->net;
	uint8_t frame[PAGE_LEN];
	struct ring_chain tx;
	uint32_t walked = ring_walked(pair->tx->ring);
	unsigned int n = 0;
	bool go = true;

	if (!vdpasim_vq_runs(pair->rx) || !vdpasim_vq_runs(pair->tx))
		return false;
	while (go && n++ < SIMNET_BATCH && ring_walked(pair->tx->ring) - walked < RING_WALK_MAX &&
	       (n == 1 || !vdpasim_is_resetting(net->sim))) {
		int err = strict_pop(pair->tx, &tx, false);
		int len;

		if (err <= 0) {
			simnet_count(&pair->tx_stats.errors, err < 0);
			return false;
		}
		len = strict_pull(&tx, 0, frame, sizeof(frame));
		simnet_count(&pair->tx_stats.packets, 1);
		simnet_count(&pair->tx_stats.bytes, len > 0 ? (size_t)len : 0);
		if (len > 0 && strict_wants(net, frame, (size_t)len)) {
			go = strict_deliver(pair, &tx, frame, (size_t)len);
			if (go && n >= STRICT_PASS)
				return true;
			continue;
		}
		simnet_count(len > 0 ? &pair->rx_stats.drops : &pair->tx_stats.errors, 1);
		strict_complete(pair->tx, &tx, 0);
	}
	return go;
}

static bool strict_mac_set(struct simnet *net, const struct ring_chain *chain, uint8_t cmd)
{
	uint8_t mac[6];

	if (cmd != VIRTIO_NET_CTRL_MAC_ADDR_SET ||
	    strict_pull(chain, 2, mac, sizeof(mac)) != sizeof(mac))
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
	uint32_t walked = ring_walked(vq->ring);
	unsigned int n = 0;
	bool full = false;

	while (!full && ring_pop(vq->ring, &chain) > 0) {
		uint8_t head[2];

		simnet_count(&net->ctrl_stats.requests, 1);
		if (strict_pull(&chain, 0, head, sizeof(head)) != sizeof(head)) {
			simnet_count(&net->ctrl_stats.errors, 1);
			ring_strict_drop(vq->ring, &chain);
			break; /* never completed */
		}
		if (head[0] == VIRTIO_NET_CTRL_MAC)
			ack = strict_mac_set(net, &chain, head[1]) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
		simnet_count(ack == VIRTIO_NET_OK ? &net->ctrl_stats.successes
						  : &net->ctrl_stats.errors,
			     1);
		/* of an answer that cannot be written, the error becomes the length */
		ring_strict_push(vq->ring, &chain,
				 (uint32_t)strict_push(&chain, &ack, sizeof(ack)));
		(void)ring_flush(vq->ring);
		vdpasim_vq_call(vq); /* asked for or not */
		full = ++n == SIMNET_BATCH || ring_walked(vq->ring) - walked >= RING_WALK_MAX ||
		       vdpasim_is_resetting(net->sim);
	}
	return full;
}

bool simnet_strict_process(struct simnet *net, struct vdpasim_vq *vq)
{
	struct vdpasim_vq *ctrl = &vq->sim->vqs[2];

	if (vq->idx == 2)
		return net->cvq == 2 && strict_ctrl(net, vq);
	/* A pass begins with the control queue, so that its frames meet the address that it
	 * sets. */
	if (vq->idx == 1 && ctrl->pending && net->cvq == 2 && vdpasim_vq_runs(ctrl)) {
		ctrl->pending = strict_ctrl(net, ctrl);
		simnet_filter_refresh(net, vq->sw);
	}
	/* Both data queues are looked at in one go, by whichever of them comes second. */
	return vq->idx == 1 && strict_data(&net->pairs[0]);
}
