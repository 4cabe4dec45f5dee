// SPDX-License-Identifier: BSD-3-Clause
/*
 * The backend that is a Unix stream socket. Each Ethernet frame stands behind its length in four
 * big-endian bytes, as QEMU's "stream" netdev and passt speak it. The backend connects, or listens
 * for one peer at a time.
 *
 * 1. Nothing blocks. If there is no peer, a timer tries again. If a peer went away, the reader,
 *    the writer or the socket's hang-up notices it, whichever comes first. Frames sent without a
 *    peer are dropped.
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
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/iov.h"
#include "base/log.h"
#include "base/refuse.h"
#include "base/socket_name.h"
#include "net.h"

#define LEN_BYTES    4
#define RX_BUF_LEN   (128 * 1024) /* holds the largest frame and then some */
#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 1000

struct stream {
	struct simnet *net;
	struct worker *worker;
	struct sockaddr_un addr;
	struct socket_name name; /* of listen_fd */
	bool listens;
	bool hung_up;                /* the peer has closed its end */
	bool torn;                   /* guarantee 2 */
	int listen_fd, timer_fd, fd; /* fd: the connection or -1 */
	struct worker_fd *listen_wfd, *timer_wfd, *wfd;
	unsigned int retry_ms;
	uint8_t *rx;            /* [RX_BUF_LEN] */
	size_t rx_head, rx_len; /* bytes rx[rx_head .. rx_head + rx_len - 1] are not yet taken */
	uint8_t *tx;            /* [LEN_BYTES + SIMNET_FRAME_MAX] */
	size_t tx_head, tx_len; /* rest of a frame */
	struct iovec iov[SIMNET_IOV_MAX];
};

static struct simnet_pair *pair_of(struct stream *s)
{
	return &s->net->pairs[0];
}

static void retry_later(struct stream *s)
{
	struct itimerspec at = {
		.it_value = {s->retry_ms / 1000, (long)(s->retry_ms % 1000) * 1000000L}};

	if (s->listens)
		return;
	(void)timerfd_settime(s->timer_fd, 0, &at, NULL);
	s->retry_ms = s->retry_ms * 2 < RETRY_MAX_MS ? s->retry_ms * 2 : RETRY_MAX_MS;
}

static void NO_TSA disconnect(struct stream *s, const char *why)
{
	struct simnet_pair *pair = pair_of(s);

	if (s->fd < 0)
		return;
	hf_info(s->net->name, "stream '%s': disconnected: %s", s->addr.sun_path, why);
	worker_unwatch(s->worker, s->wfd);
	s->wfd = NULL;
	fd_close(&s->fd);
	s->rx_head = s->rx_len = s->tx_head = s->tx_len = 0;
	s->torn = s->hung_up = false;
	pair->readable = false;
	pair->tx->pending |= pair->tx_blocked;
	pair->tx_blocked = false;
	retry_later(s);
}

/* Return: false if the socket is full */
static bool flush_rest(struct stream *s)
{
	while (s->tx_len > 0) {
		ssize_t n = send(s->fd, s->tx + s->tx_head, s->tx_len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			disconnect(s, strerror(errno));
			return true;
		}
		s->tx_head += (size_t)n;
		s->tx_len -= (size_t)n;
	}
	return true;
}

static void conn_ready(void *arg, uint32_t events)
{
	struct stream *s = arg;
	struct simnet_pair *pair = pair_of(s);

	if ((events & EPOLLOUT) && !flush_rest(s))
		events &= ~(uint32_t)EPOLLOUT;
	if (s->fd < 0)
		return;
	s->hung_up |= (events & (EPOLLHUP | EPOLLERR)) != 0;
	if (s->hung_up && !vdpasim_vq_runs(pair->rx)) {
		disconnect(s, "the peer has closed"); /* nobody would read it to its end */
		return;
	}
	simnet_fd_ready(pair, events | (s->hung_up ? EPOLLIN : 0));
}

/* Consumes @fd. */
static void connected(struct stream *s, int fd)
{
	int err = worker_watch(s->worker, fd, EPOLLIN | EPOLLOUT | EPOLLET, conn_ready, s, &s->wfd);

	if (err) {
		hf_err(s->net->name, "stream '%s': %s", s->addr.sun_path, strerror(-err));
		fd_close(&fd);
		retry_later(s);
		return;
	}
	s->fd = fd;
	s->retry_ms = RETRY_MIN_MS;
	hf_info(s->net->name, "stream '%s': connected", s->addr.sun_path);
}

static void try_connect(struct stream *s)
{
	int fd = socket_name_connect(s->addr.sun_path);

	if (fd >= 0)
		connected(s, fd);
	else
		retry_later(s);
}

static void timer_ready(void *arg, uint32_t events)
{
	struct stream *s = arg;
	uint64_t ticks;

	(void)events;
	if (read(s->timer_fd, &ticks, sizeof(ticks)) == sizeof(ticks) && s->fd < 0)
		try_connect(s);
}

static void listen_ready(void *arg, uint32_t events)
{
	struct stream *s = arg;
	int fd;

	(void)events;
	while ((fd = fd_move_up(accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC))) >=
	       0) {
		if (s->fd >= 0 && s->hung_up)
			disconnect(s, "another peer has come");
		if (s->fd >= 0) {
			hf_warn(s->net->name, "stream '%s': a second peer was turned away",
				s->addr.sun_path);
			fd_close(&fd);
			continue;
		}
		connected(s, fd);
	}
}

/* ---- opening ---- */

static int start_listening(struct stream *s)
{
	int fd = socket_name_listen(&s->name, s->addr.sun_path, 0, 4);

	if (fd < 0)
		return refuse(fd, "stream '%s': %s: %s", s->addr.sun_path, refuse_reason(),
			      strerror(-fd));
	s->listen_fd = fd;
	return 0;
}

static int parse_args(struct stream *s, const char *args)
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

static void stream_free(struct stream *s)
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
	struct stream *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->net = net;
	s->listen_fd = s->timer_fd = s->fd = -1;
	s->retry_ms = RETRY_MIN_MS;
	s->rx = malloc(RX_BUF_LEN);
	s->tx = malloc(LEN_BYTES + SIMNET_FRAME_MAX);
	err = s->rx && s->tx ? parse_args(s, args) : -ENOMEM;
	if (!err && s->listens) {
		err = start_listening(s);
	} else if (!err) {
		s->timer_fd =
			fd_move_up(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
		if (s->timer_fd < 0)
			err = refuse(-errno, "stream: no timer: %s", strerror(errno));
	}
	if (err) {
		stream_free(s);
		return err;
	}
	net->backend_priv = s;
	return 0;
}

static void stream_close(struct simnet *net)
{
	stream_free(net->backend_priv);
}

static int stream_worker_started(struct simnet *net, struct vdpasim_worker *sw)
{
	struct stream *s = net->backend_priv;
	int err;

	if (sw->idx != 0)
		return 0;
	s->worker = sw->worker;
	if (s->listens)
		return worker_watch(sw->worker, s->listen_fd, EPOLLIN | EPOLLET, listen_ready, s,
				    &s->listen_wfd);
	err = worker_watch(sw->worker, s->timer_fd, EPOLLIN | EPOLLET, timer_ready, s,
			   &s->timer_wfd);
	if (!err)
		try_connect(s);
	return err;
}

static void NO_TSA stream_worker_stopping(struct simnet *net, struct vdpasim_worker *sw)
{
	struct stream *s = net->backend_priv;

	if (sw->idx != 0)
		return;
	worker_unwatch(sw->worker, s->listen_wfd);
	worker_unwatch(sw->worker, s->timer_wfd);
	worker_unwatch(sw->worker, s->wfd);
	s->listen_wfd = s->timer_wfd = s->wfd = NULL;
}

/* ---- frames ---- */

/* {length, payload behind the header} into s->iov. Return: pieces; 0 too many */
static unsigned int frame_pieces(struct stream *s, const struct iovec *iov, unsigned int n,
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
	for (unsigned int i = 0; i < LEN_BYTES; i++)
		len_bytes[i] = (uint8_t)(len >> (8 * (LEN_BYTES - 1 - i)));
	s->iov[0] = (struct iovec){len_bytes, LEN_BYTES};
	*total = LEN_BYTES + len;
	return nr;
}

static int stream_send(struct simnet_pair *pair, const struct iovec *iov, unsigned int n)
{
	struct stream *s = pair->net->backend_priv;
	uint8_t len_bytes[LEN_BYTES];
	struct msghdr msg = {.msg_iov = s->iov};
	ssize_t sent;
	size_t total;

	if (s->torn)
		disconnect(s, "a frame could not be finished");
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
		disconnect(s, strerror(errno));
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
static bool fill(struct stream *s)
{
	ssize_t n;

	if (s->fd < 0)
		return false;
	if (s->rx_head > 0) {
		memmove(s->rx, s->rx + s->rx_head, s->rx_len);
		s->rx_head = 0;
	}
	do {
		n = recv(s->fd, s->rx + s->rx_len, RX_BUF_LEN - s->rx_len, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		s->rx_len += (size_t)n;
		return true;
	}
	if (n == 0 || errno != EAGAIN)
		disconnect(s, n == 0 ? "the peer has closed" : strerror(errno));
	return false;
}

/* A whole frame is at the buffer's head: hand it out. */
static ssize_t take_frame(struct stream *s, const struct iovec *iov, unsigned int n, size_t len)
{
	static const uint8_t header[SIMNET_HDR_MAX];
	size_t hdr_len = s->net->hdr_len;

	/* Taken first: if the client's memory vanishes under the copy, the frame is gone with
	 * it. */
	s->rx_head += LEN_BYTES + len;
	s->rx_len -= LEN_BYTES + len;
	if (len < SIMNET_ETH_LEN)
		return -EINVAL;
	(void)iov_write(iov, n, 0, header, hdr_len);
	(void)iov_write(iov, n, hdr_len, s->rx + s->rx_head - len, len);
	return (ssize_t)(hdr_len + len);
}

static ssize_t stream_recv(struct simnet_pair *pair, const struct iovec *iov, unsigned int n)
{
	struct stream *s = pair->net->backend_priv;

	for (;;) {
		const uint8_t *p = s->rx + s->rx_head;
		size_t len;

		if (s->rx_len >= LEN_BYTES) {
			len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
			if (len > SIMNET_FRAME_MAX) {
				hf_warn(s->net->name, "stream '%s': a frame of %zu bytes",
					s->addr.sun_path, len);
				disconnect(s, "the peer does not speak this protocol");
				return 0;
			}
			if (s->rx_len >= LEN_BYTES + len)
				return take_frame(s, iov, n, len);
		}
		if (!fill(s)) {
			pair->readable = false;
			return 0;
		}
	}
}

const struct simnet_backend_ops simnet_stream = {
	.name = "stream",
	.words = "stream,path=SOCKET[,listen]",
	.offloads = 0,
	.max_pairs = 1,
	.outside = true,
	.open = stream_open,
	.close = stream_close,
	.worker_started = stream_worker_started,
	.worker_stopping = stream_worker_stopping,
	.send = stream_send,
	.recv = stream_recv,
};
