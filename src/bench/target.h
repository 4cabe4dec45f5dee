// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device that a bench drives itself, as a guest's driver does: rings of any layout in one piece
 * of memory, reached by one of two wires. The first is a vhost-vdpa node. The second is the socket
 * of a vhost-user daemon, so that one driver measures Holdfast and its peers.
 *
 * Owns descriptors, memory and rings. Used by the benches of data paths. Thread rule: open and
 * close by one thread; in between a queue belongs to one thread at a time.
 */
#ifndef HOLDFAST_BENCH_TARGET_H
#define HOLDFAST_BENCH_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "client/client.h"
#include "ring/driver.h"

#define BENCH_VQS_MAX 17u            /* eight pairs of a card, and its control queue */
#define BENCH_IOVA    0x100000000ULL /* of the memory */
#define BENCH_FRESH   0x8000u        /* a packed ring at its start: position 0, wrap counter 1 */

struct bench_vq {
	struct ring_driver *drv;
	uint32_t idx;
	int kick, call;     /* eventfds, non-blocking */
	size_t area_off[3]; /* of enum ring_area, in the memory */
};

struct bench_target;

/* How messages reach the device. All return 0 or -errno. */
struct bench_wire {
	const char *name;
	int (*open)(struct bench_target *t, const char *path);
	int (*get_features)(struct bench_target *t, uint64_t *offered);
	int (*set_features)(struct bench_target *t);
	/** the whole memory, for reading and writing */
	int (*map)(struct bench_target *t);
	/** size, base, addresses, eventfds */
	int (*set_up)(struct bench_target *t, const struct bench_vq *vq);
	/** all queues go */
	int (*start)(struct bench_target *t);
	int (*get_config)(struct bench_target *t, uint32_t off, void *buf, uint32_t len);
	void (*stop)(struct bench_target *t);
};

struct bench_target_config {
	const char *path;  /* a node, or with @user a socket */
	bool user;         /* vhost-user */
	uint64_t features; /* wanted besides VERSION_1 */
	unsigned int nr_vqs;
	uint16_t num;    /* entries of each ring */
	size_t data_len; /* bytes of buffers */
};

struct bench_target {
	const struct bench_wire *wire;
	int fd;
	uint64_t features; /* negotiated */
	struct client_mem mem;
	size_t data_off; /* first byte behind the rings */
	unsigned int nr_vqs;
	uint16_t num;
	struct bench_vq vqs[BENCH_VQS_MAX];
};

/**
 * bench_target_open() - a device whose features are negotiated: its configuration can be read
 * @who: "holdfast bench blk", begins the line that a failure prints
 * Return: 0; -errno; -ENOTSUP features that are not offered. bench_target_close() on any outcome.
 */
int bench_target_open(struct bench_target *t, const struct bench_target_config *config,
		      const char *who) HF_MUST_CHECK;
/** bench_target_set_up() - memory and rings; the device does not run yet. A failure prints a line,
 * too. Return: 0 or -errno */
int bench_target_set_up(struct bench_target *t, const struct bench_target_config *config,
			const char *who) HF_MUST_CHECK;
int bench_target_start(struct bench_target *t) HF_MUST_CHECK;
void bench_target_close(struct bench_target *t);

static inline bool bench_target_has(const struct bench_target *t, unsigned int bit)
{
	return (t->features >> bit) & 1;
}

/** bench_target_iova() / bench_target_data() - a byte of the buffers, for the device and for us */
static inline iova_t bench_target_iova(const struct bench_target *t, size_t off)
{
	return BENCH_IOVA + t->data_off + off;
}
void *bench_target_data(const struct bench_target *t, size_t off);

/** bench_vq_publish() - make what was added visible, and kick if the device wants it. Return: 0 or
 * -errno */
int bench_vq_publish(struct bench_vq *vq) HF_MUST_CHECK;
/** bench_vq_wait() - sleep until the device interrupts; returns at once if completions are there
 * Return: 0; -ETIMEDOUT after @timeout_ms; -errno */
int bench_vq_wait(struct bench_vq *vq, int timeout_ms) HF_MUST_CHECK;

/* ---- the wires ---- */
extern const struct bench_wire bench_wire_vdpa, bench_wire_user;
/** bench_vring_addr() - where the areas of a ring are, counted from @base */
static inline struct vhost_vring_addr bench_vring_addr(const struct bench_vq *vq, uint64_t base)
{
	return (struct vhost_vring_addr){
		.index = vq->idx,
		.desc_user_addr = base + vq->area_off[RING_AREA_DESC],
		.avail_user_addr = base + vq->area_off[RING_AREA_DRIVER],
		.used_user_addr = base + vq->area_off[RING_AREA_DEVICE],
	};
}

/** bench_vring_base() - what SET_VRING_BASE takes for a fresh ring */
static inline uint32_t bench_vring_base(const struct bench_target *t)
{
	return bench_target_has(t, VIRTIO_F_RING_PACKED) ? BENCH_FRESH << 16 | BENCH_FRESH : 0;
}

#endif
