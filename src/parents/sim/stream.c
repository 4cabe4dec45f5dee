// SPDX-License-Identifier: BSD-3-Clause
/*
 * The backend that is a Unix stream socket. Each Ethernet frame stands behind its length in four
 * big-endian bytes, as QEMU's "stream" netdev and passt speak it. The backend connects, or listens
 * for one peer at a time.
 *
 * 1. Nothing blocks. If there is no peer, a timer tries again. If a peer went away, the reader,
 *    the writer or the socket's hang-up notices it, whichever comes first. What the peer sent
 *    before is received first. The next peer does not wait for that: the frames that are left are
 *    counted as drops. Frames sent without a peer are dropped.
 * 2. Lengths stay in step. If the socket takes a part of a frame, the rest is copied and goes out
 *    first. If the client's memory vanishes before the copy, the connection is cut, because it
 *    cannot be repaired.
 * 3. Frames have no header on the wire, so the receiver gets a header of zeros. There are no
 *    offloads.
 *
 * Everything here runs on worker 0, which has the only queue pair.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/iov.h"
#include "base/log.h"
#include "base/refuse.h"
#include "stream.h"

static int parse_args(struct simnet_stream *s, const char *args)
{
	static const char key[] = "path=";
	size_t len = strcspn(args, ","), key_len = strlen(key);

	if (strncmp(args, key, key_len) != 0 || (args[len] && strcmp(args + len, ",listen") != 0))
		return refuse(-EINVAL, "backend stream takes path=SOCKET[,listen], got '%s'", args);
	args += key_len;
	len -= key_len;
	if (len == 0 || len >= sizeof(s->addr.sun_path))
		return refuse(-EINVAL, "stream '%.*s': a socket path has 1 to %zu bytes", (int)len,
			      args, sizeof(s->addr.sun_path) - 1);
	s->addr.sun_family = AF_UNIX;
	memcpy(s->addr.sun_path, args, len);
	s->listens = args[len] == ',';
	return 0;
}

static void stream_free(struct simnet_stream *s)
{
	socket_name_remove(&s->name);
	fd_close(&s->listen_fd);
	fd_close(&s->timer_fd);
	fd_close(&s->fd);
	free(s->rx);
	free(s->tx);
	free(s);
}

static int stream_open(struct simnet *net, const char *args)
{
	struct simnet_stream *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return refuse(-ENOMEM, "stream: no memory");
	s->net = net;
	s->listen_fd = s->timer_fd = s->fd = -1;
	s->rx = malloc(SIMNET_STREAM_RX_LEN);
	s->tx = malloc(SIMNET_STREAM_LEN_BYTES + SIMNET_FRAME_MAX);
	err = s->rx && s->tx ? parse_args(s, args) : refuse(-ENOMEM, "stream: no memory");
	if (!err)
		err = simnet_stream_prepare(s);
	if (err) {
		stream_free(s);
		return err;
	}
	net->backend_priv = s;
	return 0;
}

static void stream_close(struct simnet *net)
{
	struct simnet_stream *s = net->backend_priv;

	if (s->fd >= 0)
		simnet_stream_count_rest(s);
	stream_free(s);
}

/* {length, payload behind the header} into s->iov. Return: pieces; 0 too many */
static unsigned int frame_pieces(struct simnet_stream *s, const struct iovec *iov, unsigned int n,
				 uint8_t *len_bytes, size_t *total)
{
	struct iov_walk w = iov_walk_from(iov, n, s->net->hdr_len, SIZE_MAX);
	unsigned int nr = 1;
	size_t len = 0;

	while (iov_walk_next(&w)) {
		if (nr == SIMNET_IOV_MAX)
			return 0;
		s->iov[nr++] = (struct iovec){iov_walk_base(&w), w.len};
		len += w.len;
	}
	for (unsigned int i = 0; i < SIMNET_STREAM_LEN_BYTES; i++)
		len_bytes[i] = (uint8_t)(len >> (8 * (SIMNET_STREAM_LEN_BYTES - 1 - i)));
	s->iov[0] = (struct iovec){len_bytes, SIMNET_STREAM_LEN_BYTES};
	*total = SIMNET_STREAM_LEN_BYTES + len;
	return nr;
}

static int stream_send(struct simnet_pair *pair, const struct iovec *iov, unsigned int n)
{
	struct simnet_stream *s = pair->net->backend_priv;
	uint8_t len_bytes[SIMNET_STREAM_LEN_BYTES];
	struct msghdr msg = {.msg_iov = s->iov};
	ssize_t sent;
	size_t total;

	if (s->torn)
		simnet_stream_cut(s, "a frame could not be finished");
	if (s->fd < 0)
		return -ENOTCONN;
	msg.msg_iovlen = frame_pieces(s, iov, n, len_bytes, &total);
	if (msg.msg_iovlen == 0)
		return -E2BIG;
	sent = s->tx_len > 0 ? -1 : sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && (s->tx_len > 0 || errno == EAGAIN || errno == EINTR)) {
		pair->tx_blocked = true;
		return -EAGAIN;
	}
	if (sent < 0 && errno == EFAULT)
		return -EFAULT;
	if (sent < 0) {
		simnet_stream_hung_up(s, strerror(errno));
		return -EPIPE;
	}
	if ((size_t)sent < total) {
		s->torn = true;
		s->tx_head = 0;
		s->tx_len = iov_read(s->iov, (unsigned int)msg.msg_iovlen, (size_t)sent, s->tx,
				     total - (size_t)sent);
		s->torn = false;
	}
	return 0;
}

/* More bytes into the buffer. Return: false if there are none now */
static bool fill(struct simnet_stream *s)
{
	ssize_t n;

	if (s->fd < 0)
		return false;
	n = simnet_stream_more(s);
	if (n > 0)
		return true;
	if (n == 0 || errno != EAGAIN)
		simnet_stream_cut(s, n == 0 ? "the peer has closed" : strerror(errno));
	return false;
}

/* A whole frame is at the buffer's head: hand it out. */
static ssize_t take_frame(struct simnet_stream *s, const struct iovec *iov, unsigned int n,
			  size_t len)
{
	static const uint8_t header[SIMNET_HDR_MAX];
	size_t hdr_len = s->net->hdr_len;

	/* Taken first: if the client's memory vanishes under the copy, the frame is gone with
	 * it. */
	simnet_stream_skip(s, len);
	if (len < SIMNET_ETH_LEN)
		return -EINVAL;
	(void)iov_write(iov, n, 0, header, hdr_len);
	(void)iov_write(iov, n, hdr_len, s->rx + s->rx_head - len, len);
	return (ssize_t)(hdr_len + len);
}

/* Is a whole frame at the buffer's head? @len: its bytes. A length that is none cuts the
 * connection. */
static bool has_frame(struct simnet_stream *s, size_t *len)
{
	if (simnet_stream_head(s, len))
		return true;
	if (*len > SIMNET_FRAME_MAX) {
		hf_warn(s->net->name, "stream '%s': a frame of %zu bytes", s->addr.sun_path, *len);
		simnet_stream_cut(s, "the peer does not speak this protocol");
	}
	return false;
}

/* One look at the socket at most: a peer that sends byte for byte would hold the worker. */
static ssize_t stream_recv(struct simnet_pair *pair, const struct iovec *iov, unsigned int n)
{
	struct simnet_stream *s = pair->net->backend_priv;
	size_t len;

	if (has_frame(s, &len))
		return take_frame(s, iov, n, len);
	if (!fill(s)) {
		pair->readable = false;
		return 0;
	}
	return has_frame(s, &len) ? take_frame(s, iov, n, len) : 0;
}

const struct simnet_backend_ops simnet_stream = {
	.name = "stream",
	.words = "stream,path=SOCKET[,listen]",
	.offloads = 0,
	.max_pairs = 1,
	.outside = true,
	.open = stream_open,
	.close = stream_close,
	.worker_started = simnet_stream_worker_started,
	.worker_stopping = simnet_stream_worker_stopping,
	.send = stream_send,
	.recv = stream_recv,
};
