// SPDX-License-Identifier: BSD-3-Clause
/*
 * The backend that gives each transmitted frame back on the receive queue of the same pair. There
 * is one copy, from guest buffer to guest buffer. Frames of the usual kind, in one piece there and
 * here, go in runs of a few (ring_pop_run()); all others by the long way, chain by chain.
 *
 * The transmit header becomes the receive header, copied and checked on the way. A driver gets
 * back a partial checksum or a large TCP segment only if it said that it takes such frames. Frames
 * that cannot be delivered are dropped. A transmit queue never waits for receive buffers.
 *
 * Both buffers are the driver's, who may let them overlap. So the card copies with memmove.
 *
 * A frame's cost is the cache lines that cross from the driver's processor to this one and back. A
 * header of the usual kind is the same each time, and with DPDK's headroom it ends where a line
 * ends. So the card compares the header and leaves it alone if it is right. Then its line stays in
 * both caches.
 */
#include <errno.h>
#include <string.h>

#include "base/iov.h"
#include "base/refuse.h"
#include "net.h"

/* What both kinds of header begin with: copying a constant length is two instructions, a variable
 * one a string copy. */
#define HDR_LEN        sizeof(struct virtio_net_hdr)
#define CACHE_LINE_LEN 64 /* bytes */
/* chains: enough to cover the latency, few enough to be in flight at once */
#define FETCH_AHEAD 16
/* a frame of more bytes, or in more pieces, is a heavy one */
#define MUCH_LEN   4096
#define FEW_PIECES 4
/* times that a batch looks for frames: behind it kicks of other queues have their turn */
#define MAX_ROUNDS 8

static uint16_t le16_at(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

/* May a frame of @len bytes with this header go to this driver? Headers are all zero in the usual
 * case. */
static bool header_fits(const struct simnet *net, uint8_t *hdr, size_t len)
{
	uint64_t offloads = __atomic_load_n(&net->guest_offloads, __ATOMIC_RELAXED);
	uint8_t gso = hdr[1] & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	size_t csum_at = (size_t)le16_at(hdr + 6) + le16_at(hdr + 8);

	hdr[0] &= VIRTIO_NET_HDR_F_NEEDS_CSUM; /* the only flag with a meaning on the way out */
	if (hdr[0] && (!(offloads & F(GUEST_CSUM)) || csum_at + 2 > len))
		return false;
	if (hdr[1] == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if ((hdr[1] & VIRTIO_NET_HDR_GSO_ECN) && !(offloads & F(GUEST_ECN)))
		return false;
	if (!hdr[0] || le16_at(hdr + 4) == 0)
		return false;
	return (gso == VIRTIO_NET_HDR_GSO_TCPV4 && (offloads & F(GUEST_TSO4))) ||
	       (gso == VIRTIO_NET_HDR_GSO_TCPV6 && (offloads & F(GUEST_TSO6)));
}

/* Everything behind the header, to behind the header. Written out, for a frame in pieces is the
 * data path, too. */
static void copy_payload(const struct ring_chain *tx, const struct iovec *in, unsigned int nr_in,
			 size_t hdr_len)
{
	size_t skip = hdr_len, at = hdr_len;

	for (uint32_t i = 0; i < tx->nr_out; i++) {
		const char *base = tx->out[i].iov_base;
		size_t part = tx->out[i].iov_len;

		if (skip >= part) {
			skip -= part;
			continue;
		}
		base += skip;
		part -= skip;
		skip = 0;
		if (likely(at + part <= in[0].iov_len))
			memmove((char *)in[0].iov_base + at, base, part);
		else
			(void)iov_write(in, nr_in, at, base, part);
		at += part;
	}
}

/* Find buffers for @len bytes. Return: their pieces, or NULL and it is counted */
static const struct iovec *find_room(struct simnet_rx *rx, size_t len, unsigned int *nr_in)
{
	const struct ring_chain *chain;
	size_t room;

	if (unlikely(rx->head == rx->nr) && !simnet_rx_next(rx)) {
		rx->stats.overruns++;
		return NULL;
	}
	chain = &rx->chains[rx->head];
	if (likely(chain->in_len >= len)) {
		*nr_in = chain->nr_in;
		return chain->in;
	}
	*nr_in = simnet_rx_gather(rx, len, &room);
	if (room >= len)
		return rx->pair->iov;
	if (rx->pair->net->mergeable && rx->err == 0)
		rx->stats.overruns++; /* the ring was empty before the frame had its room */
	else
		rx->stats.errors++;
	return NULL;
}

static bool frame_wanted(const struct simnet_filter *f, const struct ring_chain *tx, size_t hdr_len)
{
	uint8_t head[SIMNET_ETH_LEN + SIMNET_VLAN_LEN];
	size_t len;

	if (likely(f->promisc))
		return true;
	len = ring_chain_read(tx, hdr_len, head, sizeof(head));
	return simnet_filter_wants(f, head, len);
}

/* Does the payload of this buffer begin a cache line? Then the header's line need not be this
 * processor's alone. */
static inline bool header_has_line(const void *base, size_t hdr_len)
{
	return ((uintptr_t)base + hdr_len) % CACHE_LINE_LEN == 0;
}

/*
 * The header of a received frame in one buffer. The buffer is for writing, but the card reads what
 * lies there. The bytes decide only whether the card writes the header. The comparison uses parts
 * of 8 and 2 bytes, because one store each has filled these parts: a load of any other size would
 * wait for those stores.
 */
static inline void header_put(uint8_t *to, const uint8_t *hdr, bool num_buffers)
{
	static const uint8_t one[2] = {1, 0};

	if (memcmp(to, hdr, 8) != 0 || memcmp(to + 8, hdr + 8, HDR_LEN - 8) != 0)
		memcpy(to, hdr, HDR_LEN);
	if (num_buffers && memcmp(to + HDR_LEN, one, sizeof(one)) != 0)
		memcpy(to + HDR_LEN, one, sizeof(one));
}

/* A frame of @len bytes with its header, from one piece to one buffer of one piece. */
static inline void put_frame(char *to, const char *from, size_t len, const uint8_t *hdr,
			     size_t hdr_len)
{
	header_put((uint8_t *)to, hdr, hdr_len > HDR_LEN);
	memmove(to + hdr_len, from + hdr_len, len - hdr_len);
}

static inline void loop_one_piece(struct simnet_rx *rx, const struct ring_chain *tx,
				  const uint8_t *hdr, char *to)
{
	size_t hdr_len = rx->pair->net->hdr_len, len = tx->out_len;

	put_frame(to, tx->out[0].iov_base, len, hdr, hdr_len);
	ring_push(rx->ring, &rx->chains[rx->head++], (uint32_t)len);
	rx->stats.packets++;
	rx->stats.bytes += len - hdr_len;
}

/* Return: bytes of the frame, 0 if it was not one */
static size_t loop_one(struct simnet_rx *rx, const struct ring_chain *tx)
{
	const struct simnet *net = rx->pair->net;
	size_t hdr_len = net->hdr_len, len = tx->out_len;
	uint8_t hdr[SIMNET_HDR_MAX] = {0}; /* behind HDR_LEN nothing is the sender's to say */
	const struct iovec *in;
	unsigned int nr_in;

	if (tx->fault || len < hdr_len + SIMNET_ETH_LEN || len > hdr_len + SIMNET_FRAME_MAX)
		return 0;
	ring_attend(rx->pair->tx->ring);
	if (likely(tx->out[0].iov_len >= HDR_LEN))
		memcpy(hdr, tx->out[0].iov_base, HDR_LEN);
	else
		(void)ring_chain_read(tx, 0, hdr, HDR_LEN);
	if (!frame_wanted(simnet_filter_of(rx->pair), tx, hdr_len)) {
		rx->stats.drops++;
		return len - hdr_len;
	}
	if (unlikely(hdr[0] || hdr[1]) && !header_fits(net, hdr, len - hdr_len)) {
		rx->stats.errors++;
		return len - hdr_len;
	}
	in = find_room(rx, len, &nr_in);
	if (!in)
		return len - hdr_len;
	ring_attend_copy(rx->ring, rx->pair->tx->ring, tx->out, tx->nr_out);
	if (likely(in[0].iov_len >= len && tx->nr_out == 1)) {
		loop_one_piece(rx, tx, hdr, in[0].iov_base);
		return len - hdr_len;
	}
	(void)iov_write(in, nr_in, 0, hdr, hdr_len);
	copy_payload(tx, in, nr_in, hdr_len);
	simnet_rx_commit(rx, len);
	return len - hdr_len;
}

/*
 * The frames lie in the driver's cache, and so do the buffers, which the driver read last.
 * Fetching them one after the other would cost more than everything else. So the card asks for
 * them some chains ahead.
 */
static inline void fetch_frame(const char *from)
{
	__builtin_prefetch(from);
	__builtin_prefetch(from + CACHE_LINE_LEN);
}

static inline void fetch_room(const char *to, size_t hdr_len)
{
	if (header_has_line(to, hdr_len))
		__builtin_prefetch(to);
	else
		prefetch_write(to);
	prefetch_write(to + CACHE_LINE_LEN);
}

static inline void fetch(const struct simnet_rx *rx, const struct ring_chain *tx, unsigned int n,
			 unsigned int i)
{
	if (i < n && tx[i].nr_out > 0)
		fetch_frame(tx[i].out[0].iov_base);
	if (i < rx->nr)
		fetch_room(rx->chains[i].in[0].iov_base, rx->pair->net->hdr_len);
}

/* Does the next frame touch so much memory that it pays to look whether somebody waits? Each page
 * may cost more than all other frames of the batch. */
static inline bool is_heavy(const struct simnet_rx *rx, const struct ring_chain *tx)
{
	return unlikely(tx->out_len > MUCH_LEN || tx->nr_out > FEW_PIECES ||
			(rx->head < rx->nr && rx->chains[rx->head].nr_in > FEW_PIECES));
}

/* A batch of chains of any kind. Return: poll again without a kick */
static bool loop_chains(struct simnet_pair *pair)
{
	struct ring *ring = pair->tx->ring;
	struct ring_chain chains[SIMNET_BATCH];
	uint64_t packets = 0, bytes = 0;
	struct simnet_rx rx;
	unsigned int n;
	int err;

	n = ring_pop_many(ring, chains, SIMNET_BATCH, &err);
	if (n == 0) {
		simnet_rx_flush(pair); /* what has waited for the used area to be mapped */
		vdpasim_vq_flush(pair->tx);
		return simnet_tx_again(pair, 0, err);
	}
	simnet_rx_begin(&rx, pair);
	simnet_rx_fill(&rx, n);
	for (unsigned int i = 0; i < FETCH_AHEAD; i++)
		fetch(&rx, chains, n, i);
	for (unsigned int i = 0; i < n; i++) {
		size_t len;

		if (unlikely(bytes >= SIMNET_BATCH_LEN || simnet_rx_is_long(&rx)) ||
		    (i > 0 && (i % RING_RUN_MAX == 0 || is_heavy(&rx, &chains[i])) &&
		     vdpasim_is_asked(pair->tx->sw))) {
			ring_unpop(ring, &chains[i], n - i);
			n = i;
			err = 1;
			break;
		}

		fetch(&rx, chains, n, i + FETCH_AHEAD);
		len = loop_one(&rx, &chains[i]);

		packets += len != 0;
		bytes += len;
	}
	ring_push_read(ring, chains, n);
	simnet_rx_end(&rx);
	simnet_count(&pair->tx_stats.packets, packets);
	simnet_count(&pair->tx_stats.bytes, bytes);
	simnet_count(&pair->tx_stats.errors, n - packets);
	vdpasim_vq_flush(pair->tx);
	return simnet_tx_again(pair, n, err);
}

/* Copy a frame of the usual kind. Return: is it one? If not, nothing is written. */
static inline bool loop_plain(const struct simnet_pair *pair, const struct ring_plain *out,
			      const struct ring_plain *in)
{
	const struct simnet_filter *filter = simnet_filter_of(pair);
	size_t hdr_len = pair->net->hdr_len, len = out->len - hdr_len;
	uint8_t hdr[HDR_LEN], head[SIMNET_ETH_LEN + SIMNET_VLAN_LEN];

	if (unlikely(out->len < hdr_len + SIMNET_ETH_LEN || out->len > MUCH_LEN ||
		     out->len > in->len))
		return false;
	memcpy(hdr, out->base, HDR_LEN);
	if (unlikely(hdr[0] || hdr[1]) && !header_fits(pair->net, hdr, len))
		return false;
	if (unlikely(!filter->promisc)) {
		size_t head_len = len < sizeof(head) ? len : sizeof(head);

		memcpy(head, out->base + hdr_len, head_len);
		if (!simnet_filter_wants(filter, head, head_len))
			return false;
	}
	put_frame(in->base, out->base, out->len, hdr, hdr_len);
	return true;
}

/* What the driver sees was counted before. */
static void count_run(struct simnet_pair *pair, unsigned int packets, uint64_t bytes)
{
	simnet_count(&pair->rx_stats.packets, packets);
	simnet_count(&pair->rx_stats.bytes, bytes);
	simnet_count(&pair->tx_stats.packets, packets);
	simnet_count(&pair->tx_stats.bytes, bytes);
	pair->nr_unseen += packets;
}

/* Return: frames; the next one, if there is one, wants the long way */
static unsigned int loop_run(struct simnet_pair *pair)
{
	struct ring *from = pair->tx->ring, *to = pair->rx->ring;
	const struct ring_plain *out, *in = NULL;
	size_t hdr_len = pair->net->hdr_len;
	uint32_t written[RING_RUN_MAX];
	uint64_t bytes = 0;
	unsigned int i, n;

	ring_attend(NULL); /* the frames of the run before have gone */
	n = ring_pop_run(from, ring_run_len(from), false, &out);
	if (n > 0)
		n = ring_pop_run(to, n, true, &in);
	ring_attend_runs(to, from);
	for (i = 0; i < n; i++) {
		fetch_frame(out[i].base);
		fetch_room(in[i].base, hdr_len);
	}
	for (i = 0; i < n && loop_plain(pair, &out[i], &in[i]); i++) {
		written[i] = out[i].len;
		bytes += out[i].len - hdr_len;
	}
	ring_push_run(to, i, written);
	ring_push_run(from, i, NULL);
	count_run(pair, i, bytes);
	return i;
}

/* Is there time for one more run in a batch of @n frames so far? */
static bool goes_on(const struct simnet_pair *pair, unsigned int n)
{
	return n + RING_RUN_MAX <= SIMNET_BATCH && !vdpasim_is_asked(pair->tx->sw);
}

/*
 * The usual frames, run by run: one piece there, one piece here. Each run is published by itself.
 * So the driver goes on with its frames while the next run is copied, and a packed ring's
 * descriptors are read shortly before they are written. The driver is told once.
 * @n: frames of this batch so far. Return: with those that came
 */
static unsigned int loop_runs(struct simnet_pair *pair, unsigned int n)
{
	unsigned int before = n, done;

	do {
		done = loop_run(pair);
		if (done == 0)
			break;
		simnet_rx_publish(pair);
		vdpasim_vq_publish(pair->tx);
		n += done;
	} while (goes_on(pair, n));
	if (n > before) {
		simnet_rx_flush(pair);
		vdpasim_vq_flush(pair->tx);
	}
	return n;
}

/* Frames that are there, and some that come soon after. Return: frames; if none, there may be one
 * that wants the long way */
static unsigned int loop_batch(struct simnet_pair *pair)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < MAX_ROUNDS && vdpasim_vq_await(pair->tx); i++) {
		unsigned int before = n;

		(void)ring_peek(pair->rx->ring);
		n = loop_runs(pair, n);
		if (n == before || !goes_on(pair, n))
			break;
	}
	return n;
}

bool simnet_loopback_batch(struct simnet_pair *pair)
{
	unsigned int n;

	if (!vdpasim_vq_runs(pair->rx)) {
		pair->tx_waits = true;
		vdpasim_vq_flush(pair->tx);
		return false;
	}
	vdpasim_vq_busy(pair->tx);
	vdpasim_vq_busy(pair->rx); /* nothing ever waits for receive buffers */
	n = loop_batch(pair);
	return n > 0 ? simnet_tx_again(pair, n, 1) : loop_chains(pair);
}

static int loopback_open(struct simnet *net, const char *args)
{
	if (*args)
		return refuse(-EINVAL, "backend loopback takes no options, got '%s'", args);
	return 0;
}

const struct simnet_backend_ops simnet_loopback = {
	.name = "loopback",
	.words = "loopback",
	.offloads = SIMNET_OFFLOADS,
	.max_pairs = UINT16_MAX,
	.open = loopback_open,
};
