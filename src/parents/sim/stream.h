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
	bool hung_up;                /* the peer has closed its end */
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
/** simnet_stream_ready() - worker_fd_fn of the connection */
void simnet_stream_ready(void *arg, uint32_t events);

/* As in struct simnet_backend_ops. */
int simnet_stream_worker_started(struct simnet *net, struct vdpasim_worker *sw);
void simnet_stream_worker_stopping(struct simnet *net, struct vdpasim_worker *sw);

#endif
