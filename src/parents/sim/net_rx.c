// SPDX-License-Identifier: BSD-3-Clause
/*
 * From a backend with an fd to the receive ring.
 *
 * 1. A frame is read straight into the guest's buffers, as many as one frame may need, with room
 *    of our own behind them. A frame that runs into that room was too long, and is dropped whole.
 * 2. If the popped buffers may be smaller than the largest frame, or already fill the iovec, the
 *    frame is read into `pair->held` and copied from there. If the frame still does not fit, it
 *    stays in `pair->held`. Then the worker does not read the fd again until a kick brings more
 *    buffers. A driver that has half a ring of buffers out, and gets none back, may add no more:
 *    then the frame is dropped.
 * 3. Without any buffer the worker does not read the fd. The backend's own queue fills and drops
 *    frames.
 * 4. No loop spins on either condition: the first one waits for the kick, the second one for the
 *    fd's edge.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/iov.h"
#include "net.h"

void simnet_rx_begin(struct simnet_rx *rx, struct simnet_pair *pair)
{
	rx->pair = pair;
	rx->ring = pair->rx->ring;
	rx->head = rx->nr = 0;
	rx->err = 1;
	rx->nr_unusable = 0;
	rx->taken = pair->held_len;
	rx->walked = ring_walked(rx->ring);
	rx->nr_unseen = pair->nr_unseen;
	memset(&rx->stats, 0, sizeof(rx->stats));
}

static inline bool rx_usable(const struct simnet_rx *rx, const struct ring_chain *chain)
{
	return !chain->fault && chain->in_len >= rx->pair->net->hdr_len;
}

bool simnet_rx_next(struct simnet_rx *rx)
{
	struct ring_chain *chain;

	if (rx->nr == SIMNET_RX_CHAINS && rx->head > 0) {
		rx->nr -= rx->head;
		memmove(rx->chains, rx->chains + rx->head, rx->nr * sizeof(rx->chains[0]));
		rx->head = 0;
	}
	while (rx->nr < SIMNET_RX_CHAINS) {
		if (unlikely(rx->nr_unusable == SIMNET_BATCH ||
			     (rx->nr_unusable > 0 && simnet_rx_is_long(rx)))) {
			rx->err = 1; /* there may be more, in the next batch */
			return false;
		}
		chain = &rx->chains[rx->nr];
		rx->err = ring_pop(rx->ring, chain);
		if (rx->err <= 0)
			return false;
		if (likely(rx_usable(rx, chain))) {
			rx->nr++;
			return true;
		}
		if (rx->head < rx->nr) {
			/* Its turn comes when those before it are used: only the newest can be
			 * given back. */
			ring_unpop(rx->ring, chain, 1);
			return false;
		}
		ring_push(rx->ring, chain, 0);
		rx->stats.errors++;
		rx->nr_unusable++;
	}
	return false;
}

void simnet_rx_fill(struct simnet_rx *rx, unsigned int want)
{
	unsigned int n = ring_pop_many(rx->ring, rx->chains, want, &rx->err);

	rx->walked = ring_walked(rx->ring); /* these are for the frames that come first */
	for (rx->nr = 0; rx->nr < n; rx->nr++) {
		if (likely(rx_usable(rx, &rx->chains[rx->nr])))
			continue;
		/* simnet_rx_next() will come to it. */
		ring_unpop(rx->ring, &rx->chains[rx->nr], n - rx->nr);
		rx->err = 1;
		return;
	}
}

unsigned int simnet_rx_gather(struct simnet_rx *rx, size_t want, size_t *capacity)
{
	struct iovec *iov = rx->pair->iov;
	unsigned int used = 0, n = 0;
	size_t room = 0;

	while (room < want) {
		const struct ring_chain *chain;

		if (rx->head + used == rx->nr && !simnet_rx_next(rx))
			break;
		chain = &rx->chains[rx->head + used];
		if (n + chain->nr_in > SIMNET_IOV_MAX)
			break;
		memcpy(&iov[n], chain->in, chain->nr_in * sizeof(*iov));
		n += chain->nr_in;
		room += chain->in_len;
		used++;
		if (!rx->pair->net->mergeable)
			break;
	}
	*capacity = room;
	return n;
}

void simnet_rx_commit(struct simnet_rx *rx, size_t len)
{
	struct simnet *net = rx->pair->net;
	uint8_t num_buffers[2];
	unsigned int nr = 0;
	size_t rest = len;

	for (unsigned int i = rx->head; rest > 0; i++, nr++)
		rest -= rx->chains[i].in_len < rest ? rx->chains[i].in_len : rest;
	num_buffers[0] = (uint8_t)nr;
	num_buffers[1] = (uint8_t)(nr >> 8);
	if (net->hdr_len == sizeof(struct virtio_net_hdr_mrg_rxbuf))
		(void)ring_chain_write(&rx->chains[rx->head],
				       offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers),
				       num_buffers, sizeof(num_buffers));
	for (rest = len; rest > 0; rx->head++) {
		const struct ring_chain *chain = &rx->chains[rx->head];
		size_t part = chain->in_len < rest ? chain->in_len : rest;

		ring_push(rx->ring, chain, (uint32_t)part);
		rest -= part;
	}
	rx->stats.packets++;
	rx->stats.bytes += len - net->hdr_len;
}

void simnet_rx_end(struct simnet_rx *rx)
{
	struct simnet_stats *stats = &rx->pair->rx_stats;

	ring_unpop(rx->ring, rx->chains + rx->head, rx->nr - rx->head);
	simnet_count(&stats->packets, rx->stats.packets);
	simnet_count(&stats->bytes, rx->stats.bytes);
	simnet_count(&stats->errors, rx->stats.errors);
	simnet_count(&stats->overruns, rx->stats.overruns);
	simnet_count(&stats->drops, rx->stats.drops);
	rx->pair->nr_unseen = rx->nr_unseen + rx->stats.packets;
	simnet_rx_flush(rx->pair);
}

/* A ring that broke has published all that it ever will. */
static bool is_all_seen(const struct simnet_pair *pair)
{
	const struct ring *ring = pair->rx->ring;

	return ring_is_flushed(ring) && !ring_broken_reason(ring);
}

void simnet_rx_publish(struct simnet_pair *pair)
{
	vdpasim_vq_publish(pair->rx);
	if (likely(is_all_seen(pair)))
		pair->nr_unseen = 0;
}

void simnet_rx_flush(struct simnet_pair *pair)
{
	vdpasim_vq_flush(pair->rx);
	if (likely(is_all_seen(pair)))
		pair->nr_unseen = 0;
}

void simnet_rx_forget_held(struct simnet_pair *pair)
{
	simnet_count(&pair->rx_stats.drops, pair->held_len > 0);
	pair->held_len = 0;
}

void simnet_rx_stopping(struct simnet_pair *pair)
{
	if (!is_all_seen(pair))
		simnet_count(&pair->rx_stats.drops, pair->nr_unseen);
	pair->nr_unseen = 0;
}

/* The most bytes that a frame for this driver may have, header included. */
static size_t frame_want(const struct simnet *net)
{
	uint64_t tso = F(GUEST_TSO4) | F(GUEST_TSO6);

	if (__atomic_load_n(&net->guest_offloads, __ATOMIC_RELAXED) & tso)
		return (size_t)net->hdr_len + SIMNET_FRAME_MAX;
	return (size_t)net->hdr_len + net->mtu + SIMNET_ETH_LEN + SIMNET_VLAN_LEN;
}

static bool frame_wanted(struct simnet_rx *rx, const struct iovec *iov, unsigned int n, size_t len)
{
	uint8_t head[SIMNET_ETH_LEN + SIMNET_VLAN_LEN];
	const struct simnet_filter *f = simnet_filter_of(rx->pair);
	size_t hdr_len = rx->pair->net->hdr_len, head_len;

	if (f->promisc)
		return true;
	head_len = iov_read(iov, n, hdr_len, head,
			    len - hdr_len < sizeof(head) ? len - hdr_len : sizeof(head));
	return simnet_filter_wants(f, head, head_len);
}

enum rx_step { RX_FRAME, RX_NO_FRAME, RX_NO_BUFFER };

/* Put the frame in pair->held into the guest's buffers. */
static enum rx_step place_held(struct simnet_rx *rx)
{
	struct simnet_pair *pair = rx->pair;
	size_t len = pair->held_len, room;
	unsigned int n = simnet_rx_gather(rx, len, &room);

	if (room >= len) {
		(void)iov_write(pair->iov, n, 0, pair->held, len);
		simnet_rx_commit(rx, len);
		pair->nr_unseen++;
	} else if (pair->net->mergeable && rx->err == 0 &&
		   2 * (rx->nr - rx->head) < pair->rx->use.num) {
		return RX_NO_BUFFER; /* more buffers may come */
	} else if (n == 0) {
		return RX_NO_BUFFER;
	} else {
		rx->stats.errors++; /* no number of this driver's buffers will do */
	}
	pair->held_len = 0;
	return RX_FRAME;
}

/* As the backend's recv. What is dropped later has cost as much time as what is delivered. */
static ssize_t recv_frame(struct simnet_rx *rx, const struct iovec *iov, unsigned int n)
{
	ssize_t len = rx->pair->net->backend->recv(rx->pair, iov, n);

	if (len > 0)
		rx->taken += (size_t)len;
	return len;
}

/* Few buffers: read into our own room first, so that nothing is lost. */
static enum rx_step rx_copied(struct simnet_rx *rx)
{
	struct simnet_pair *pair = rx->pair;
	struct iovec iov = {pair->held, SIMNET_HELD_LEN};
	ssize_t len = recv_frame(rx, &iov, 1);

	if (len <= 0) {
		rx->stats.errors += len < 0;
		return pair->readable ? RX_FRAME : RX_NO_FRAME;
	}
	if ((size_t)len == SIMNET_HELD_LEN || (size_t)len < (size_t)pair->net->hdr_len) {
		rx->stats.errors++;
		return RX_FRAME;
	}
	if (!frame_wanted(rx, &iov, 1, (size_t)len)) {
		rx->stats.drops++;
		return RX_FRAME;
	}
	pair->held_len = (size_t)len;
	return place_held(rx);
}

static enum rx_step rx_one(struct simnet_rx *rx)
{
	struct simnet_pair *pair = rx->pair;
	size_t want = frame_want(pair->net), room;
	unsigned int n;
	ssize_t len;

	if (pair->held_len)
		return place_held(rx);
	if (!pair->readable)
		return RX_NO_FRAME;
	n = simnet_rx_gather(rx, want, &room);
	if (n == 0)
		return RX_NO_BUFFER;
	if (room < want || n == SIMNET_IOV_MAX) /* no piece is left for the room behind */
		return rx_copied(rx);
	pair->iov[n] = (struct iovec){pair->held, SIMNET_HELD_LEN};
	pair->nr_unseen++; /* lost, if the client's memory goes away under it */
	len = recv_frame(rx, pair->iov, n + 1);
	if (len == -EFAULT)
		ring_break(rx->ring, "memory vanished");
	if (len <= 0) {
		pair->nr_unseen--;
		rx->stats.errors += len < 0;
		return pair->readable && len != -EFAULT ? RX_FRAME : RX_NO_FRAME;
	}
	if ((size_t)len > room || (size_t)len < (size_t)pair->net->hdr_len)
		rx->stats.errors++;
	else if (!frame_wanted(rx, pair->iov, n, (size_t)len))
		rx->stats.drops++;
	else
		simnet_rx_commit(rx, (size_t)len);
	return RX_FRAME;
}

bool simnet_rx_batch(struct simnet_pair *pair)
{
	enum rx_step step = RX_FRAME;
	struct simnet_rx rx;
	bool more;

	vdpasim_vq_busy(pair->rx);
	if (!pair->readable && !pair->held_len) {
		/* Nothing to put anywhere: buffers need no kick. But the last frame may wait for
		 * the ring's mapping. */
		simnet_rx_flush(pair);
		return false;
	}
	simnet_rx_begin(&rx, pair);
	for (unsigned int i = 0; i < SIMNET_BATCH && step == RX_FRAME; i++) {
		if (rx.taken >= SIMNET_BATCH_LEN || simnet_rx_is_long(&rx) ||
		    (i > 0 && vdpasim_is_asked(pair->rx->sw)))
			break;
		step = rx_one(&rx);
	}
	/* Kicks are asked for while all buffers are still out: the next kick must be for a new
	 * one. */
	more = step == RX_FRAME;
	if (step == RX_NO_BUFFER)
		more = rx.err > 0 || vdpasim_vq_idle(pair->rx, rx.err);
	simnet_rx_end(&rx);
	return more;
}

void simnet_fd_ready(void *arg, uint32_t events)
{
	struct simnet_pair *pair = arg;

	if (events & EPOLLIN) {
		pair->readable = true;
		if (simnet_pair_is_used(pair))
			pair->rx->pending = true;
	}
	if ((events & EPOLLOUT) && pair->tx_blocked) {
		pair->tx_blocked = false;
		pair->tx->pending = true;
	}
}
