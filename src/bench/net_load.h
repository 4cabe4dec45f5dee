// SPDX-License-Identifier: BSD-3-Clause
/*
 * Frames that go out by a transmit ring of a card and come back by the receive ring of the same
 * pair: a number of them under way all the time. Owns nothing but its samples. Used by net.c.
 * Thread rule: one thread a load.
 */
#ifndef HOLDFAST_BENCH_NET_LOAD_H
#define HOLDFAST_BENCH_NET_LOAD_H

#include "base/compiler.h"
#include "bench/bench.h"
#include "bench/target.h"

#define NET_DEPTH_MAX 1024u
#define NET_SIZE_MIN  60u /* bytes of a frame, without its checksum */
#define NET_SIZE_MAX  1514u

struct net_load {
	struct bench_target *target;
	unsigned int pair;            /* its rings are queues 2 * @pair and 2 * @pair + 1 */
	size_t data_off;              /* of its buffers, net_load_room() bytes */
	uint8_t mac[6];               /* the card's */
	uint32_t size;                /* bytes of a frame, NET_SIZE_MIN to NET_SIZE_MAX */
	unsigned int depth;           /* frames under way, 1 to NET_DEPTH_MAX and half a ring */
	unsigned int burst;           /* frames taken before others are sent, at least 1 */
	bool poll;                    /* look at the rings instead of waiting for an interrupt */
	uint64_t frames;              /* to receive */
	struct bench_samples samples; /* [out] from sending to receiving, a sample each frame */
	uint64_t lost;                /* [out] frames that did not come back */
	uint64_t missed;              /* [out] frames that were there without an interrupt */
	int64_t took_ns;              /* [out] */
	int err;                      /* [out] of a load that has a thread */
};

/** net_load_room() - bytes of buffers that a load needs */
size_t net_load_room(unsigned int depth);
/** net_load_prepare() - fill the receive ring, once, before the device runs. Return: 0 or -errno */
int net_load_prepare(struct net_load *load) HF_MUST_CHECK;
/** net_load_run() - until all frames are back. Return: 0; -EPROTO a frame is not what was sent;
 * -ETIMEDOUT nothing comes back any more; -errno */
int net_load_run(struct net_load *load) HF_MUST_CHECK;

#endif
