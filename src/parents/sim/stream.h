// SPDX-License-Identifier: BSD-3-Clause
/*
 * Inside stream*.c: the backend's state. stream_conn.c makes the connection, watches it and cuts
 * it; stream.c has the options and the frames.
 *
 * Thread rule: worker 0, or no worker runs.
 */
#ifndef HOLDFAST_SIM_STREAM_H
#define HOLDFAST_SIM_STREAM_H

#include <sys/un.h>

#include "base/socket_name.h"
#include "net.h"

#define SIMNET_STREAM_LEN_BYTES 4            /* before each frame: its length, big-endian */
#define SIMNET_STREAM_RX_LEN    (128 * 1024) /* holds the largest frame and then some */

struct simnet_stream {
	struct simnet *net;
	struct worker *worker;
	struct sockaddr_un addr;
	struct socket_name name; /* of listen_fd */
	bool listens;
	bool hung_up;                /* the peer reads no more, or has closed its end */
	bool gone;                   /* it has closed its end: who connects tries again meanwhile */
	bool torn;                   /* stream.c, guarantee 2 */
	int listen_fd, timer_fd, fd; /* fd: the connection or -1 */
	struct worker_fd *listen_wfd, *timer_wfd, *wfd;
	unsigned int retry_ms;
	uint8_t *rx;            /* [SIMNET_STREAM_RX_LEN] */
	size_t rx_head, rx_len; /* bytes rx[rx_head .. rx_head + rx_len - 1] are not yet taken */
	uint8_t *tx;            /* [SIMNET_STREAM_LEN_BYTES + SIMNET_FRAME_MAX] */
	size_t tx_head, tx_len; /* rest of a frame */
	struct iovec iov[SIMNET_IOV_MAX];
};

/** simnet_stream_prepare() - the socket that listens, or the timer that connects
 * Return: 0 or refuse() */
int simnet_stream_prepare(struct simnet_stream *s) HF_MUST_CHECK;
/** simnet_stream_cut() - end the connection, if there is one, and have another made later */
void simnet_stream_cut(struct simnet_stream *s, const char *why);
/** simnet_stream_hung_up() - the peer takes no more. What it has sent is still read to its end, if
 * there is anything, and anybody who reads */
void simnet_stream_hung_up(struct simnet_stream *s, const char *why);
/** simnet_stream_count_rest() - the connection ends: whole frames that were not taken are drops */
void simnet_stream_count_rest(struct simnet_stream *s);
/** simnet_stream_more() - more bytes into the buffer. Return: as recv(2) */
ssize_t simnet_stream_more(struct simnet_stream *s);
/** simnet_stream_ready() - worker_fd_fn of the connection */
void simnet_stream_ready(void *arg, uint32_t events);

/** simnet_stream_head() - Return: does a whole frame stand at the buffer's head?
 * @len: [out] its bytes, also of one that is not whole and of one that is too long; 0: not known */
static inline bool simnet_stream_head(const struct simnet_stream *s, size_t *len)
{
	const uint8_t *p = s->rx + s->rx_head;

	*len = 0;
	if (s->rx_len < SIMNET_STREAM_LEN_BYTES)
		return false;
	*len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	return *len <= SIMNET_FRAME_MAX && s->rx_len >= SIMNET_STREAM_LEN_BYTES + *len;
}

static inline void simnet_stream_skip(struct simnet_stream *s, size_t len)
{
	s->rx_head += SIMNET_STREAM_LEN_BYTES + len;
	s->rx_len -= SIMNET_STREAM_LEN_BYTES + len;
}

/* As in struct simnet_backend_ops. */
int simnet_stream_worker_started(struct simnet *net, struct vdpasim_worker *sw);
void simnet_stream_worker_stopping(struct simnet *net, struct vdpasim_worker *sw);

#endif
