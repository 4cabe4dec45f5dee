// SPDX-License-Identifier: BSD-3-Clause
/*
 * From the transmit ring to a backend with an fd. If the backend cannot take a frame now, the
 * frame goes back to the ring untouched, and the queue sleeps until the fd is writable. If the
 * backend refuses a frame, the frame is dropped and counted: headers come from the guest, and the
 * backend validates them.
 */
#include <errno.h>

#include "net.h"

/* A driver that keeps sending is looked at a little longer than it has frames, so that it need not
 * kick for each handful: a kick costs it a system call and us a wake-up. */
bool simnet_tx_again(struct simnet_pair *pair, unsigned int n, int err)
{
	bool looks = vdpasim_vq_looks(pair->tx, n > 0);

	if (err > 0 || err == -ENOBUFS)
		return n > 0;
	if (err == 0 && looks && !pair->net->sim->strict)
		return true;
	return vdpasim_vq_idle(pair->tx, err);
}

/* Return: 0 done, sent or not; -EAGAIN; -EFAULT the frame's memory is gone */
static int send_one(struct simnet_pair *pair, const struct ring_chain *chain)
{
	struct simnet *net = pair->net;
	struct simnet_stats *stats = &pair->tx_stats;
	int err;

	if (chain->fault || chain->out_len < (size_t)net->hdr_len + SIMNET_ETH_LEN ||
	    chain->out_len > (size_t)net->hdr_len + SIMNET_FRAME_MAX) {
		simnet_count(&stats->errors, 1);
		return 0;
	}
	err = net->backend->send(pair, chain->out, chain->nr_out);
	if (err == -EAGAIN || err == -EFAULT)
		return err;
	if (err) {
		simnet_count(&stats->drops, 1);
		return 0;
	}
	simnet_count(&stats->packets, 1);
	simnet_count(&stats->bytes, chain->out_len - net->hdr_len);
	return 0;
}

bool simnet_tx_batch(struct simnet_pair *pair)
{
	struct ring *ring = pair->tx->ring;
	struct ring_chain chains[SIMNET_BATCH];
	uint64_t bytes = 0;
	unsigned int n, i;
	int err, sent = 0;

	if (pair->tx_blocked) {
		vdpasim_vq_flush(pair->tx);
		return false;
	}
	vdpasim_vq_busy(pair->tx);
	n = ring_pop_many(ring, chains, SIMNET_BATCH, &err);
	for (i = 0; i < n && !sent && bytes < SIMNET_BATCH_LEN; i++) {
		if (i > 0 && vdpasim_is_asked(pair->tx->sw))
			break;
		bytes += chains[i].out_len;
		sent = send_one(pair, &chains[i]);
		if (!sent)
			ring_push(ring, &chains[i], 0);
	}
	if (sent) {
		ring_unpop(ring, &chains[i - 1], n - (i - 1));
	} else if (i < n) { /* enough for one batch */
		ring_unpop(ring, &chains[i], n - i);
		err = 1;
	}
	vdpasim_vq_flush(pair->tx);
	/* What went out before is completed; this frame is not, nor is any behind it sent. */
	if (sent == -EFAULT)
		ring_break(ring, "memory vanished");
	if (pair->tx_blocked)
		return false;
	return simnet_tx_again(pair, n, err);
}
