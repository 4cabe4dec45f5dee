// SPDX-License-Identifier: BSD-3-Clause
/*
 * Requests to one queue of a disk: a number of them in flight all the time, at random places. Owns
 * nothing but its samples. Used by blk.c. Thread rule: a load by one thread.
 */
#ifndef HOLDFAST_BENCH_BLK_LOAD_H
#define HOLDFAST_BENCH_BLK_LOAD_H

#include "base/compiler.h"
#include "bench/bench.h"
#include "bench/target.h"

#define BLK_DEPTH_MAX 256u
#define BLK_SEGS      3u /* descriptors of a request: header, data, status */

struct blk_load {
	struct bench_target *target;
	struct bench_vq *vq;
	size_t data_off;              /* blk_load_room() bytes of the target's buffers */
	uint64_t nr_blocks;           /* of the disk, of @block bytes each */
	uint32_t block;               /* bytes of a request, a multiple of 512 */
	unsigned int depth;           /* requests in flight, 1 to BLK_DEPTH_MAX */
	unsigned int writes;          /* percent of the requests */
	unsigned int flush;           /* a flush behind so many writes; 0: none */
	bool poll;                    /* look at the ring instead of waiting for an interrupt */
	bool indirect;                /* each request in a table of its own */
	uint64_t requests;            /* to make */
	uint64_t seed;                /* of the places, not 0 */
	struct bench_samples samples; /* [out] latency of each request */
	int64_t took_ns;              /* [out] */
	int err;                      /* [out] of blk_load_run() */
};

/** blk_load_room() - bytes of buffers that a load needs */
size_t blk_load_room(uint32_t block, unsigned int depth);
/** blk_load_run() - make the requests and wait for their end. Return: 0; -EIO a request failed;
 * -ETIMEDOUT none was completed in ten seconds; -errno */
int blk_load_run(struct blk_load *load) HF_MUST_CHECK;

#endif
