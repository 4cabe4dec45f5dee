// SPDX-License-Identifier: BSD-3-Clause
/*
 * A card or a disk whose queues never rest, behind a client of the real uAPI. Client memory is one
 * file that is mapped twice. The device gets the first view. A feeder thread uses the second one:
 * it takes what is used, makes the same buffers available again, and kicks. So the first view can
 * be taken away at any moment, and the guest goes on.
 *
 * Every chain is the same each time round: a frame to everybody, a buffer for a frame, or a request
 * that reads or writes sectors. A peer thread may send frames from outside: into a tap, or into a
 * stream socket that the device listens on; it also reads what comes out there.
 *
 * Owns: descriptor, memory, eventfds, threads. Thread rule: all calls from one thread, but
 * traffic_done() from any. The device's descriptor may be used by others.
 */
#ifndef HOLDFAST_TESTS_STRESS_TRAFFIC_H
#define HOLDFAST_TESTS_STRESS_TRAFFIC_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRAFFIC_IOVA     0x100000ULL
#define TRAFFIC_LEN      0x100000u /* bytes of client memory */
#define TRAFFIC_DATA     0x10000u  /* behind the rings */
#define TRAFFIC_QUEUES   2
#define TRAFFIC_SLOTS    64u                 /* chains of a queue */
#define TRAFFIC_DESCS    (4 * TRAFFIC_SLOTS) /* their descriptors */
#define TRAFFIC_LOG_LEN  4096u
#define TRAFFIC_NO_LOG   0ULL
#define TRAFFIC_LOG_ALL  (1ULL << 26)
#define TRAFFIC_DEADLINE 20000 /* ms */

struct traffic {
	int fd;
	bool blk;
	uint64_t offered; /* features */
	uint64_t ring;    /* features of its rings: packed, in order */
	unsigned int nr_queues;
	int memfd;
	uint8_t *mem;   /* [TRAFFIC_LEN] the device's view */
	uint8_t *alias; /* the feeder's */
	uint8_t *log;   /* [TRAFFIC_LOG_LEN] dirty log */
	int kick[TRAFFIC_QUEUES], call[TRAFFIC_QUEUES], config;

	pthread_t feeder, peer;
	pthread_mutex_t lock; /* held by the feeder over a round */
	bool stop;            /* atomic */
	bool quiet;           /* atomic: the feeder does not kick */
	bool has_peer;
	int peer_fd;
	uint64_t nr_done; /* atomic: chains used since the beginning */
	uint16_t used[TRAFFIC_QUEUES];

	/* packed rings: the chains, and the next one to be used; @wrap: the device's there */
	struct vring_desc chain[TRAFFIC_QUEUES][TRAFFIC_DESCS];
	uint16_t slot[TRAFFIC_QUEUES];
	bool wrap[TRAFFIC_QUEUES];
};

/** traffic_ring() - what "split", "packed", "in_order" and "packed,in_order" mean */
uint64_t traffic_ring(const char *words);
static inline bool traffic_is_packed(const struct traffic *t)
{
	return t->ring >> VIRTIO_F_RING_PACKED & 1;
}

/* ---- packed.c: @ring is the feeder's view of the descriptors of queue @q ---- */

/** traffic_packed_fill() - all chains are available, from the beginning */
void traffic_packed_fill(struct traffic *t, unsigned int q, struct vring_packed_desc *ring);
/** traffic_packed_feed() - make available again what was used. Return: chains */
unsigned int traffic_packed_feed(struct traffic *t, unsigned int q, struct vring_packed_desc *ring);

/**
 * traffic_open() - open @path, map all memory, start the feeder; the device does not run yet
 * @peer: "tap:NAME", "stream:SOCKET", or NULL;  @ring: traffic_ring()
 * Return: 0 or -errno; -EOPNOTSUPP without such rings
 */
int traffic_open(struct traffic *t, const char *path, const char *peer, uint64_t ring);
/** traffic_close() - reset, close, free */
void traffic_close(struct traffic *t);
/** traffic_start() - from status 0 to DRIVER_OK, rings empty. @features: besides the usual ones
 * Return: 0 or -errno */
int traffic_start(struct traffic *t, uint64_t features);
/** traffic_map() - UPDATE of client memory from @off on. Return: 0 or -errno */
int traffic_map(struct traffic *t, size_t off, size_t len);
/** traffic_unmap() - INVALIDATE of the same. Return: 0 or -errno */
int traffic_unmap(struct traffic *t, size_t off, size_t len);
/** traffic_hush() - the driver does not kick any more, or does so again; what was kicked was kicked
 * before the return */
void traffic_hush(struct traffic *t, bool quiet);
/** traffic_features() - what a driver of these rings acks at least */
uint64_t traffic_features(const struct traffic *t);
uint64_t traffic_done(const struct traffic *t);
/** traffic_moves() - wait until chains are used that were not used at the call. Return: did they
 * come before the deadline? */
bool traffic_moves(const struct traffic *t);
/** traffic_pause() - wait on the config eventfd for at most @ms. */
void traffic_pause(const struct traffic *t, int ms);
int64_t traffic_now_ns(void);

#endif
