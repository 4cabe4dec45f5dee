// SPDX-License-Identifier: BSD-3-Clause
/*
 * The connection of a stream backend: made by a timer or by a listening socket, watched, and cut.
 * stream.c opens with its guarantees.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/refuse.h"
#include "stream.h"

#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 1000
#define NR_REST      16 /* looks at the socket that is closed */
#define NR_ACCEPTS   16 /* in one go: who connects again and again must not hold the worker */

static struct simnet_pair *pair_of(struct simnet_stream *s)
{
	return &s->net->pairs[0];
}

/* Connect again, or take who waits. */
static void retry_later(struct simnet_stream *s)
{
	struct itimerspec at = {
		.it_value = {s->retry_ms / 1000, (long)(s->retry_ms % 1000) * 1000000L}};

	(void)timerfd_settime(s->timer_fd, 0, &at, NULL);
	s->retry_ms = s->retry_ms * 2 < RETRY_MAX_MS ? s->retry_ms * 2 : RETRY_MAX_MS;
}

ssize_t simnet_stream_more(struct simnet_stream *s)
{
	ssize_t n;

	if (s->rx_head > 0) {
		memmove(s->rx, s->rx + s->rx_head, s->rx_len);
		s->rx_head = 0;
	}
	do {
		n = recv(s->fd, s->rx + s->rx_len, SIMNET_STREAM_RX_LEN - s->rx_len, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		s->rx_len += (size_t)n;
	return n;
}

/* A peer that is still there may send without end: what is counted has its bound. */
void simnet_stream_count_rest(struct simnet_stream *s)
{
	struct simnet_pair *pair = pair_of(s);
	uint64_t nr = 0;
	size_t len;

	for (int i = 0; i == 0 || (i < NR_REST && simnet_stream_more(s) > 0); i++)
		for (; simnet_stream_head(s, &len); nr++)
			simnet_stream_skip(s, len);
	simnet_count(&pair->rx_stats.drops, nr);
}

void NO_TSA simnet_stream_cut(struct simnet_stream *s, const char *why)
{
	struct simnet_pair *pair = pair_of(s);

	if (s->fd < 0)
		return;
	hf_info(s->net->name, "stream '%s': disconnected: %s", s->addr.sun_path, why);
	simnet_stream_count_rest(s);
	worker_unwatch(s->worker, s->wfd);
	s->wfd = NULL;
	fd_close(&s->fd);
	s->rx_head = s->rx_len = s->tx_head = s->tx_len = 0;
	s->torn = s->hung_up = s->gone = false;
	pair->readable = false;
	pair->tx->pending |= pair->tx_blocked;
	pair->tx_blocked = false;
	if (!s->listens)
		retry_later(s);
}

/* A ring that only stands still goes on later. */
static bool nobody_reads(const struct simnet_stream *s)
{
	const struct vdpasim_vq *rx = s->net->pairs[0].rx;
	uint8_t status = __atomic_load_n(&rx->sim->status, __ATOMIC_ACQUIRE);

	return !rx->ready || !(status & VIRTIO_CONFIG_S_DRIVER_OK) ||
	       __atomic_load_n(&rx->broken, __ATOMIC_RELAXED);
}

/* No frame is left in the connection. Whoever waits for a driver's buffers would not find out. */
static bool is_read_up(const struct simnet_stream *s)
{
	ssize_t n;
	size_t len;
	char c;

	if (simnet_stream_head(s, &len))
		return false;
	n = recv(s->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void simnet_stream_hung_up(struct simnet_stream *s, const char *why)
{
	s->hung_up = true;
	s->tx_head = s->tx_len = 0;
	if (nobody_reads(s) || is_read_up(s))
		simnet_stream_cut(s, why);
}

/* It neither takes nor sends any more. Who listens hears of the next peer; who connects gives the
 * driver a while to read the rest, and then tries. */
static void peer_is_gone(struct simnet_stream *s)
{
	simnet_stream_hung_up(s, "the peer has closed");
	if (s->fd < 0 || s->listens)
		return;
	s->gone = true;
	s->retry_ms = RETRY_MAX_MS;
	retry_later(s);
}

/* Return: false if the socket is full */
static bool flush_rest(struct simnet_stream *s)
{
	while (s->tx_len > 0) {
		ssize_t n = send(s->fd, s->tx + s->tx_head, s->tx_len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			simnet_stream_hung_up(s, strerror(errno));
			return true;
		}
		s->tx_head += (size_t)n;
		s->tx_len -= (size_t)n;
	}
	return true;
}

void simnet_stream_ready(void *arg, uint32_t events)
{
	struct simnet_stream *s = arg;
	struct simnet_pair *pair = pair_of(s);

	if (events & (EPOLLHUP | EPOLLERR)) {
		events |= EPOLLIN | EPOLLOUT; /* to its end; frames to send find out */
		if (events & EPOLLHUP)
			peer_is_gone(s);
		else
			simnet_stream_hung_up(s, "the peer has closed");
	}
	if (s->fd >= 0 && (events & EPOLLOUT) && !flush_rest(s))
		events &= ~(uint32_t)EPOLLOUT;
	if (s->fd >= 0)
		simnet_fd_ready(pair, events);
}

/* Consumes @fd. */
static void connected(struct simnet_stream *s, int fd)
{
	int err = worker_watch(s->worker, fd, EPOLLIN | EPOLLOUT | EPOLLET, simnet_stream_ready, s,
			       &s->wfd);

	if (err) {
		hf_err(s->net->name, "stream '%s': %s", s->addr.sun_path, strerror(-err));
		fd_close(&fd);
		if (!s->listens)
			retry_later(s);
		return;
	}
	s->fd = fd;
	s->retry_ms = RETRY_MIN_MS;
	hf_info(s->net->name, "stream '%s': connected", s->addr.sun_path);
}

static void try_connect(struct simnet_stream *s)
{
	int fd = socket_name_connect(s->addr.sun_path);

	if (fd < 0) {
		retry_later(s);
		return;
	}
	simnet_stream_cut(s, "the next peer is there");
	connected(s, fd);
}

/* For a lack, who waits is no new event when it is over. */
static void accept_failed(struct simnet_stream *s, int err)
{
	if (err == EAGAIN)
		return;
	hf_warn(s->net->name, "stream '%s': a peer cannot be taken now: %s", s->addr.sun_path,
		strerror(err));
	retry_later(s);
}

static void NO_TSA listen_ready(void *arg, uint32_t events)
{
	struct simnet_stream *s = arg;
	(void)events;
	for (int i = 0; i < NR_ACCEPTS; i++) {
		int fd =
			fd_move_up(accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));

		if (fd < 0) {
			accept_failed(s, errno);
			return;
		}
		if (s->fd >= 0 && s->hung_up)
			simnet_stream_cut(s, "another peer has come");
		if (s->fd >= 0) {
			hf_warn(s->net->name, "stream '%s': a second peer was turned away",
				s->addr.sun_path);
			fd_close(&fd);
			continue;
		}
		connected(s, fd);
	}
	/* There may be more, which are no edge: have epoll look anew. */
	if (worker_rewatch(s->worker, s->listen_wfd, EPOLLIN | EPOLLET))
		hf_err(s->net->name, "stream '%s': peers that wait are not seen", s->addr.sun_path);
}

static void timer_ready(void *arg, uint32_t events)
{
	struct simnet_stream *s = arg;
	uint64_t ticks;

	(void)events;
	if (read(s->timer_fd, &ticks, sizeof(ticks)) != sizeof(ticks))
		return;
	if (s->listens)
		listen_ready(s, EPOLLIN);
	else if (s->fd < 0 || s->gone)
		try_connect(s);
}

static int start_listening(struct simnet_stream *s)
{
	int fd = socket_name_listen(&s->name, s->addr.sun_path, 0, 4);
	const char *why = refuse_reason();

	if (fd < 0)
		return refuse(fd, "stream '%s': %s%s%s", s->addr.sun_path, why, *why ? ": " : "",
			      strerror(-fd));
	s->listen_fd = fd;
	return 0;
}

int simnet_stream_prepare(struct simnet_stream *s)
{
	s->retry_ms = RETRY_MIN_MS;
	s->timer_fd = fd_move_up(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
	if (s->timer_fd < 0)
		return refuse(-errno, "stream: no timer: %s", strerror(errno));
	return s->listens ? start_listening(s) : 0;
}

int simnet_stream_worker_started(struct simnet *net, struct vdpasim_worker *sw)
{
	struct simnet_stream *s = net->backend_priv;
	int err;

	if (sw->idx != 0)
		return 0;
	s->worker = sw->worker;
	err = worker_watch(sw->worker, s->timer_fd, EPOLLIN | EPOLLET, timer_ready, s,
			   &s->timer_wfd);
	if (!err && s->listens)
		err = worker_watch(sw->worker, s->listen_fd, EPOLLIN | EPOLLET, listen_ready, s,
				   &s->listen_wfd);
	else if (!err)
		try_connect(s);
	return err;
}

void NO_TSA simnet_stream_worker_stopping(struct simnet *net, struct vdpasim_worker *sw)
{
	struct simnet_stream *s = net->backend_priv;

	if (sw->idx != 0)
		return;
	worker_unwatch(sw->worker, s->listen_wfd);
	worker_unwatch(sw->worker, s->timer_wfd);
	worker_unwatch(sw->worker, s->wfd);
	s->listen_wfd = s->timer_wfd = s->wfd = NULL;
}
