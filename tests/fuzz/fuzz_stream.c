// SPDX-License-Identifier: BSD-3-Clause
/*
 * Stream framing: a peer that sends any bytes in any pieces, and reads or does not, while the card
 * sends frames of its own. The state of the backend is laid out here, so that a connection needs no
 * socket file and no worker.
 *
 * What must hold: every frame that arrives is what the peer's bytes say, in order; what the peer
 * reads is whole frames in step.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "fuzz.h"
#include "parents/sim/stream.h"

#define BUF_LEN   (SIMNET_HDR_MAX + SIMNET_FRAME_MAX)
#define HDR_LEN   12
#define WIRE_MAX  (1u << 20)
#define NR_PIECES 3

/* Everything of the card that the backend touches. */
struct world {
	struct simnet net;
	struct simnet_pair pair;
	struct vdpasim sim;
	struct vdpasim_vq rx, tx;
	struct simnet_stream stream;
	int peer;
	uint8_t buf[BUF_LEN];
	/* What the peer has sent and the card has not yet given out. */
	uint8_t wire[WIRE_MAX];
	size_t head, tail;
	/* What the peer has read of the frame that it is in. */
	uint8_t len_bytes[SIMNET_STREAM_LEN_BYTES];
	size_t nr_len, rest;
};

static struct world w;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	w.stream.rx = malloc(SIMNET_STREAM_RX_LEN);
	w.stream.tx = malloc(SIMNET_STREAM_LEN_BYTES + SIMNET_FRAME_MAX);
	return w.stream.rx && w.stream.tx ? 0 : 1;
}

static void begin(void)
{
	uint8_t *rx = w.stream.rx, *tx = w.stream.tx;
	int ends[2];

	fuzz_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	memset(&w.net, 0, sizeof(w.net));
	memset(&w.pair, 0, sizeof(w.pair));
	memset(&w.stream, 0, sizeof(w.stream));
	w.net.pairs = &w.pair;
	w.net.hdr_len = HDR_LEN;
	w.net.backend_priv = &w.stream;
	w.pair.net = &w.net;
	w.pair.rx = &w.rx;
	w.pair.tx = &w.tx;
	w.rx.sim = &w.sim; /* a driver that receives: what a peer sent before it went is read */
	w.rx.ready = true;
	w.sim.status = VIRTIO_CONFIG_S_DRIVER_OK;
	/* it listens: a connection that is cut is not made again */
	w.stream = (struct simnet_stream){.net = &w.net, .listens = true, .rx = rx, .tx = tx};
	w.stream.listen_fd = w.stream.timer_fd = -1;
	w.stream.fd = ends[0];
	w.peer = ends[1];
	w.head = w.tail = w.nr_len = w.rest = 0;
}

static void peer_sends(struct fuzz_input *in)
{
	size_t len = fuzz_u8(in) & 1 ? fuzz_u16(in) : fuzz_u8(in);
	uint8_t fill = fuzz_u8(in);
	ssize_t n;

	if (len > WIRE_MAX - w.tail)
		return;
	memset(w.wire + w.tail, fill, len);
	(void)fuzz_bytes(in, w.wire + w.tail, len < 64 ? len : 64);
	n = send(w.peer, w.wire + w.tail, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0)
		w.tail += (size_t)n;
}

/* A frame with its length, as the card is likely to take it. */
static void peer_sends_frame(struct fuzz_input *in)
{
	size_t len = fuzz_u16(in), total = SIMNET_STREAM_LEN_BYTES + len;
	uint8_t *frame = w.wire + w.tail;
	ssize_t n = 1;

	if (total > WIRE_MAX - w.tail)
		return;
	frame[0] = frame[1] = 0;
	frame[2] = (uint8_t)(len >> 8);
	frame[3] = (uint8_t)len;
	memset(frame + SIMNET_STREAM_LEN_BYTES, fuzz_u8(in), len);
	for (size_t sent = 0; n > 0 && sent<total; sent += n> 0 ? (size_t)n : 0) {
		n = send(w.peer, frame + sent, total - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		w.tail += n > 0 ? (size_t)n : 0;
	}
}

static void card_receives(struct fuzz_input *in)
{
	size_t cut = 1 + fuzz_u16(in) % (BUF_LEN - 1);
	struct iovec iov[2] = {{w.buf, cut}, {w.buf + cut, BUF_LEN - cut}};
	const uint8_t *p = w.wire + w.head;
	ssize_t n;
	size_t len;

	w.pair.readable = true;
	n = simnet_stream.recv(&w.pair, iov, 2);
	if (n == 0)
		return;
	fuzz_check(w.tail - w.head >= SIMNET_STREAM_LEN_BYTES);
	len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	fuzz_check(len <= SIMNET_FRAME_MAX && w.tail - w.head >= SIMNET_STREAM_LEN_BYTES + len);
	w.head += SIMNET_STREAM_LEN_BYTES + len;
	if (n < 0) {
		fuzz_check(n == -EINVAL && len < SIMNET_ETH_LEN);
		return;
	}
	fuzz_check((size_t)n == HDR_LEN + len);
	fuzz_check(memcmp(w.buf + HDR_LEN, p + SIMNET_STREAM_LEN_BYTES, len) == 0);
}

static void card_sends(struct fuzz_input *in)
{
	size_t len = HDR_LEN + SIMNET_ETH_LEN + fuzz_u16(in);
	struct iovec iov[NR_PIECES];
	size_t at = 0;

	if (len > HDR_LEN + SIMNET_FRAME_MAX)
		len = HDR_LEN + SIMNET_FRAME_MAX;
	for (int i = 0; i < NR_PIECES; i++) {
		size_t left = len - at,
		       part = i == NR_PIECES - 1 ? left : fuzz_u16(in) % (left + 1);

		iov[i] = (struct iovec){w.buf + at, part};
		at += part;
	}
	w.pair.tx_blocked = false;
	(void)simnet_stream.send(&w.pair, iov, NR_PIECES);
}

/* The peer follows the frames: their lengths are in step for as long as the connection lives. */
static void peer_reads(struct fuzz_input *in)
{
	static uint8_t room[UINT16_MAX];
	ssize_t n = recv(w.peer, room, fuzz_u16(in), MSG_DONTWAIT);

	for (size_t i = 0; n > 0 && i < (size_t)n;) {
		size_t part = (size_t)n - i;

		if (w.rest > 0) {
			part = part < w.rest ? part : w.rest;
			w.rest -= part;
			i += part;
			continue;
		}
		w.len_bytes[w.nr_len++] = room[i++];
		if (w.nr_len < SIMNET_STREAM_LEN_BYTES)
			continue;
		w.nr_len = 0;
		fuzz_check(w.len_bytes[0] == 0 && w.len_bytes[1] <= 1);
		w.rest =
			(size_t)w.len_bytes[1] << 16 | (size_t)w.len_bytes[2] << 8 | w.len_bytes[3];
		fuzz_check(w.rest >= SIMNET_ETH_LEN && w.rest <= SIMNET_FRAME_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	begin();
	while (fuzz_more(&in)) {
		switch (fuzz_u8(&in) % 8) {
		case 0:
			peer_sends(&in);
			break;
		case 1:
			peer_sends_frame(&in);
			break;
		case 2:
		case 3:
			card_receives(&in);
			break;
		case 4:
			card_sends(&in);
			break;
		case 5:
			peer_reads(&in);
			break;
		case 6:
			if (w.stream.fd >= 0)
				simnet_stream_ready(&w.stream, EPOLLOUT);
			break;
		default:
			if (fuzz_u8(&in) == 0xff)
				(void)shutdown(w.peer, SHUT_RDWR);
		}
	}
	fd_close(&w.peer);
	fd_close(&w.stream.fd);
	return 0;
}
