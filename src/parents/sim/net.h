// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated network card: receive and transmit queue pairs, a control queue, and a backend
 * where the frames go to and come from.
 *
 *   net.c         answers the core's hooks
 *   net_rx.c      from a backend with an fd to the receive ring
 *   net_tx.c      from the transmit ring to a backend with an fd
 *   loopback.c    from ring to ring
 *   net_ctrl.c    the control queue's commands
 *   net_filter.c  what the driver wants to receive
 *   net_strict.c  the kernel's simulator to the letter
 *
 * Owns: the backend, configuration space, filter.
 *
 * Locks: a pair is under its worker's lock. Configuration space and the master copy of the filter
 * are under @lock. @lock is a leaf, and nobody holds it over an access to client memory. Each
 * worker reads its own copy of the filter.
 */
#ifndef HOLDFAST_SIM_NET_H
#define HOLDFAST_SIM_NET_H

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/mutex.h"
#include "sim.h"

#define SIMNET_PAIRS_MAX 64         /* queue pairs */
#define SIMNET_BATCH     64         /* chains a batch */
#define SIMNET_BATCH_LEN (1u << 20) /* bytes a batch, and the frame that goes beyond */
#define SIMNET_RX_CHAINS 128        /* receive buffers held at once */
#define SIMNET_IOV_MAX   1024       /* what readv(2) takes */
#define SIMNET_HDR_MAX   12         /* bytes; 10 for a driver of old */
#define SIMNET_ETH_LEN   14         /* bytes */
#define SIMNET_VLAN_LEN  4          /* bytes */
#define SIMNET_FRAME_MAX (65535 + SIMNET_ETH_LEN + SIMNET_VLAN_LEN)
#define SIMNET_MACS_MAX  64 /* in each list; more means all are received */
#define SIMNET_NO_CVQ    UINT16_MAX
#define SIMNET_HELD_LEN  (SIMNET_HDR_MAX + SIMNET_FRAME_MAX + 16)

#define F(name)               (1ULL << VIRTIO_NET_F_##name)
#define SIMNET_GUEST_OFFLOADS (F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(GUEST_ECN))
#define SIMNET_OFFLOADS                                                                            \
	(SIMNET_GUEST_OFFLOADS | F(CSUM) | F(HOST_TSO4) | F(HOST_TSO6) | F(HOST_ECN))

/* [7-10] */
#define SIMNET_FEATURES_STRICT                                                                     \
	(F(MAC) | F(STATUS) | F(MTU) | F(CTRL_VQ) | F(CTRL_MAC_ADDR) |                             \
	 1ULL << VIRTIO_F_ANY_LAYOUT | 1ULL << VIRTIO_F_VERSION_1 |                                \
	 1ULL << VIRTIO_F_ACCESS_PLATFORM)
#define SIMNET_FEATURES_RICH                                                                       \
	(F(MRG_RXBUF) | F(CTRL_RX) | F(CTRL_VLAN) | F(CTRL_RX_EXTRA) |                             \
	 1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VIRTIO_RING_F_EVENT_IDX |                   \
	 1ULL << VIRTIO_F_RING_PACKED | 1ULL << VIRTIO_F_IN_ORDER | 1ULL << VIRTIO_F_RING_RESET)
/* Offered only when asked for: QEMU refuses to migrate a guest whose device offers one of them. */
#define SIMNET_FEATURES_ASKED                                                                      \
	(1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VIRTIO_F_RING_PACKED |                      \
	 1ULL << VIRTIO_F_IN_ORDER | 1ULL << VIRTIO_F_RING_RESET)
/* What a backend that carries offloads and multiqueue offers. */
#define SIMNET_FEATURES_ALL                                                                        \
	(SIMNET_FEATURES_STRICT | SIMNET_FEATURES_RICH | SIMNET_OFFLOADS |                         \
	 F(CTRL_GUEST_OFFLOADS) | F(MQ))

struct simnet;

struct simnet_mac_list {
	uint8_t mac[SIMNET_MACS_MAX][6];
	uint32_t nr;
	bool all; /* did not fit: receive all of the kind */
};

struct simnet_filter {
	uint32_t
		/* of the master; a copy with another one is stale; atomic in the master */
		generation;
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	bool vlan_on;    /* CTRL_VLAN was negotiated */
	uint16_t pairs;  /* in use: those from here on are silent */
	bool pairs_said; /* by a command since the last reset */
	uint8_t mac[6];
	struct simnet_mac_list uni, multi;
	uint8_t vlans[4096 / 8];
};

/* 64-bit counters of one queue, [7-11]; written by its worker, atomic. */
struct simnet_stats {
	uint64_t packets, bytes, errors, overruns, drops; /* overruns: rx only */
};

struct simnet_ctrl_stats {
	uint64_t requests, successes, errors;
};

struct simnet_pair {
	struct simnet *net;
	struct vdpasim_vq *rx, *tx;
	uint16_t idx;
	struct simnet_stats rx_stats, tx_stats;

	/* backends with an fd */
	struct worker_fd *wfd;
	int fd;          /* tap: this pair's queue; else -1 */
	bool readable;   /* the fd may have a frame */
	bool tx_blocked; /* the fd takes no more; cleared when it is writable */
	bool tx_waits;   /* loopback: there were frames while the receive queue did not run */
	char *held;      /* [SIMNET_HELD_LEN] room behind the guest's buffers, or one whole frame */
	size_t held_len; /* bytes of the frame that waits for buffers, header included; 0: none */
	uint64_t nr_unseen; /* received frames that are not published yet */
	struct iovec *iov;  /* [SIMNET_IOV_MAX] */
};

/* Where frames go. A frame passed here begins with a virtio-net header of net->hdr_len bytes. */
struct simnet_backend_ops {
	const char *name;
	const char *words;  /* its options, for messages */
	uint64_t offloads;  /* offload features that it can carry */
	bool outside;       /* it has something that another process may want: see simnet_yield() */
	uint16_t max_pairs; /* queue pairs */
	/** @args: what followed the name and a comma, "" if nothing. Return: 0 or refuse() */
	int (*open)(struct simnet *net, const char *args);
	void (*close)(struct simnet *net);
	/** (w) watch fds on this worker. Return: 0 or -errno */
	int (*worker_started)(struct simnet *net, struct vdpasim_worker *sw);
	void (*worker_stopping)(struct simnet *net, struct vdpasim_worker *sw);
	/** (w) one frame. Return: 0 gone; -EAGAIN not now, tx_blocked is set; -EFAULT the client's
	 * memory is gone; else lost */
	int (*send)(struct simnet_pair *pair, const struct iovec *iov, unsigned int n);
	/** (w) one frame. Return: its bytes; 0 none, readable is cleared; -EFAULT; else lost */
	ssize_t (*recv)(struct simnet_pair *pair, const struct iovec *iov, unsigned int n);
	/** net->hdr_len or net->guest_offloads changed; NULL: nothing to do. May block; net->tell
	 * held. Return: 0; -errno, it is logged */
	int (*configure)(struct simnet *net);
	/** the first @pairs are in use from now on; NULL: nothing to do. May block; net->tell
	 * held. Return: 0; -errno, it is logged and some may be in use that were not, or the
	 * reverse */
	int (*set_pairs)(struct simnet *net, uint16_t pairs);
};

/* What a command wants the backend to be told; the worker's lock. */
struct simnet_wish {
	bool pairs_owed, offloads_owed;
	int pairs_err, offloads_err; /* -errno: the backend refused; the command hears of it */
	uint16_t pairs;
	uint64_t offloads;
	uint32_t generation; /* net->tell_generation at that time */
};

struct simnet {
	struct vdpasim *sim; /* NULL until the device is made */
	char name[VDPA_NAME_MAX + 1];
	const struct simnet_backend_ops *backend;
	void *backend_priv;
	char backend_args[256]; /* as given, without the name */
	bool idle;              /* the backend is closed; device lock */
	bool strict;            /* the whole kernel simulator: mode strict on a loopback */
	uint16_t max_pairs;     /* const */
	struct simnet_pair *pairs;
	uint16_t mtu;

	/* set under all worker locks when features change */
	uint16_t cvq;      /* index of the control queue or SIMNET_NO_CVQ */
	uint16_t nr_pairs; /* data queue pairs that the driver may use */
	uint8_t hdr_len;
	bool mergeable;
	uint64_t guest_offloads; /* atomic; GUEST_* feature bits in force */
	struct simnet_ctrl_stats ctrl_stats;

	struct mutex tell;          /* before @lock; no online worker takes it */
	uint16_t told_pairs;        /* that the backend knows of, 0: none yet; atomic, @tell */
	uint64_t told_offloads;     /* the same; atomic, @tell */
	uint32_t tell_generation;   /* features that were set; @tell and all worker locks */
	struct simnet_wish *wishes; /* [nr_workers] */

	struct mutex lock;
	struct virtio_net_config config; /* @lock */
	struct simnet_filter filter;     /* @lock, but for its generation */
	struct simnet_filter *copies;    /* [nr_workers], under the worker's lock */
};

extern const struct simnet_backend_ops simnet_loopback, simnet_tap, simnet_stream;

static inline struct simnet *simnet_of(const struct vdpasim *sim)
{
	return sim->priv;
}

static inline const struct simnet_filter *simnet_filter_of(const struct simnet_pair *pair)
{
	return &pair->net->copies[pair->rx->sw->idx];
}

/* Has the driver switched it on? Otherwise it neither sends nor receives, and its rings are left
 * alone. */
static inline bool simnet_pair_is_on(const struct simnet_pair *pair)
{
	return pair->idx < simnet_filter_of(pair)->pairs;
}

static inline bool simnet_pair_is_used(const struct simnet_pair *pair)
{
	return pair->idx < pair->net->nr_pairs;
}

/** simnet_count() - counters have one writer */
static inline void simnet_count(uint64_t *counter, uint64_t n)
{
	if (n)
		__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* ---- net.c ---- */
extern const struct vdpasim_type simnet_type;
/** simnet_claim() - open a backend that simnet_yield() has closed. Device lock held. Return: 0 or
 * refuse() */
int simnet_claim(struct simnet *net) HF_MUST_CHECK;
/** simnet_yield() - close a backend that others may want. There are no workers; device lock held */
void simnet_yield(struct simnet *net);
/** simnet_create() - @config as given; the backend is open. Return: 0 or refuse() */
int simnet_create(const struct vdpa_dev_config *config, struct simnet **out) HF_MUST_CHECK;
void simnet_destroy(struct simnet *net);
/** simnet_features() - all that this card can offer */
uint64_t simnet_features(const struct simnet *net, const struct vdpa_dev_config *config);

/* ---- net_stats.c ---- */
/** simnet_stats() - the type's stats hook ([7-11]). The values are each exact, not taken at one
 * instant. */
int simnet_stats(struct vdpasim *sim, uint16_t idx, struct vdpa_vq_stat *stats);

/* ---- net_filter.c ---- */
void simnet_filter_reset(struct simnet *net);
/** simnet_filter_changed() - the workers take a new copy at their next batch */
void simnet_filter_changed(struct simnet *net) REQUIRES(net->lock);
/** simnet_filter_refresh() - have this worker go by the master copy. Between two queues' turns. */
void simnet_filter_refresh(struct simnet *net, struct vdpasim_worker *sw);
/** simnet_filter_is_seen() - does every worker but @self go by the master copy as it is now? Those
 * that do not are woken. */
bool simnet_filter_is_seen(struct simnet *net, const struct vdpasim_worker *self);
/** simnet_set_pairs() - the first @pairs are in use; @said: by a command. All workers are woken for
 * it. */
void simnet_set_pairs(struct simnet *net, uint16_t pairs, bool said) REQUIRES(net->lock);
/** simnet_filter_wants() - @head: the frame's first @len bytes, 18 if it has as many */
bool simnet_filter_wants(const struct simnet_filter *f, const uint8_t *head, size_t len);

/* ---- net_tell.c ---- */
/**
 * simnet_tell_pairs() - the backend serves the first @pairs. Not at a reset: what waits in a tap's
 * queue is lost when the queue is detached, and after most resets the driver goes on with as many
 * pairs. So the backend hears of it when the driver says a number, or starts without being able to
 * say one. Control thread.
 */
void simnet_tell_pairs(struct simnet *net, uint16_t pairs);
/** simnet_tell_features() - header length and offloads are others now. Control thread */
void simnet_tell_features(struct simnet *net) REQUIRES(net->tell);
/** simnet_wish_pairs(), simnet_wish_offloads() - have the backend told behind the batch; the worker
 * @sw, in a batch. Return: 0 it knows already; -EAGAIN it will, ask again; else it has refused, and
 * this is said once */
int simnet_wish_pairs(struct simnet *net, const struct vdpasim_worker *sw, uint16_t pairs);
int simnet_wish_offloads(struct simnet *net, const struct vdpasim_worker *sw, uint64_t offloads);
/** simnet_grant() - the type's batch_end hook: tell what was wished for */
void simnet_grant(struct vdpasim *sim, struct vdpasim_worker *sw);

/* ---- net_rx.c ---- */
/** simnet_fd_ready() - worker_fd_fn of a pair's fd */
void simnet_fd_ready(void *arg, uint32_t events);

/* Receive buffers taken out of the ring for the length of a batch. */
struct simnet_rx {
	struct simnet_pair *pair;
	struct ring *ring;
	unsigned int head, nr; /* chains[head..nr-1] are popped and not used */
	/* why no more could be popped: 0, or ring_pop()'s error, or 1: enough for a batch */
	int err;
	unsigned int nr_unusable; /* chains that no frame can go to, completed in this batch */
	size_t taken;       /* bytes of frames from the backend, whatever became of the frames */
	uint32_t walked;    /* ring_walked() when the batch began */
	uint64_t nr_unseen; /* pair->nr_unseen when the batch began */
	struct simnet_stats stats;
	struct ring_chain chains[SIMNET_RX_CHAINS];
};

void simnet_rx_begin(struct simnet_rx *rx, struct simnet_pair *pair);
/** simnet_rx_is_long() - have buffers of many pieces made the batch long enough? Then no more
 * frames are for it */
static inline bool simnet_rx_is_long(const struct simnet_rx *rx)
{
	return ring_walked(rx->ring) - rx->walked >= RING_WALK_MAX;
}

/** simnet_rx_next() - one more buffer that can hold a header; it counts as unused until it is
 * committed
 * Return: false if there is none (rx->err) */
bool simnet_rx_next(struct simnet_rx *rx);
/** simnet_rx_fill() - just after simnet_rx_begin(): up to @want buffers at once, SIMNET_RX_CHAINS
 * at most */
void simnet_rx_fill(struct simnet_rx *rx, unsigned int want);
/** simnet_rx_gather() - room for @want bytes at most, all in pair->iov
 * @capacity: [out] bytes, less than @want if buffers ran out. Return: pieces, 0 if there is none */
unsigned int simnet_rx_gather(struct simnet_rx *rx, size_t want, size_t *capacity);
/** simnet_rx_commit() - the first @len bytes of the unused buffers hold a frame with its header */
void simnet_rx_commit(struct simnet_rx *rx, size_t len);
/** simnet_rx_end() - give back what was not used, publish, notify, count */
void simnet_rx_end(struct simnet_rx *rx);
/** simnet_rx_publish() - publish received frames; simnet_rx_flush() tells the driver of them */
void simnet_rx_publish(struct simnet_pair *pair);
/** simnet_rx_flush() - publish what waits for the used area to be mapped */
void simnet_rx_flush(struct simnet_pair *pair);
/** simnet_rx_batch() - from backend to ring. Return: more is there */
bool simnet_rx_batch(struct simnet_pair *pair);
/** simnet_rx_forget_held() - a frame that waits for buffers will get none: it is counted */
void simnet_rx_forget_held(struct simnet_pair *pair);
/** simnet_rx_stopping() - the receive ring stops: what its driver will not see is counted */
void simnet_rx_stopping(struct simnet_pair *pair);

/* ---- net_tx.c ---- */
/** simnet_tx_again() - after a batch of @n chains that ended with @err. Return: poll again without
 * a kick */
bool simnet_tx_again(struct simnet_pair *pair, unsigned int n, int err);
bool simnet_tx_batch(struct simnet_pair *pair);

/* ---- loopback.c, net_ctrl.c, net_strict.c ---- */
bool simnet_loopback_batch(struct simnet_pair *pair);
bool simnet_ctrl_batch(struct simnet *net, struct vdpasim_vq *vq);
bool simnet_strict_process(struct simnet *net, struct vdpasim_vq *vq);

#endif
