// SPDX-License-Identifier: BSD-3-Clause
/*
 * The rig of the iotlb bench: the two structures, what is done to them, and the writer that may run
 * beside it. Owns nothing that it does not make: the bench builds and frees the structures. Used by
 * iotlb.c. Thread rule: main thread; the writer is a thread of its own between its start and its
 * stop.
 */
#ifndef HOLDFAST_BENCH_IOTLB_RIG_H
#define HOLDFAST_BENCH_IOTLB_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mutex.h"
#include "bench/rbtree.h"
#include "iotlb/iotlb.h"

#define PAGE       4096ULL
#define STRIDE     (2 * PAGE)
#define BATCH      1000U
#define REGION_LEN (1ULL << 40)

enum side { IOTLB, BASELINE, NR_SIDES };

struct rig {
	int64_t budget_ns; /* a portion of a case, and side */
	size_t nr;         /* ranges, not counting the gaps that edits fill for a while */
	struct memory_space *space;
	struct memory_region *mem;
	struct iotlb *tlb;
	struct mutex lock; /* the device lock of @tlb */
	struct rbtree *rb, *rb_old;
	struct iotlb_cache cache;
	struct iotlb_entry batch[BATCH];
	uint64_t rnd;
	size_t sequence; /* next index of the sequential lookups */
	uint64_t sink;   /* keeps results alive */
	double run_ns;   /* set by an operation that measures only a part of itself */

	pthread_t writer;
	enum side writer_side;
	bool stop_writer;  /* atomic */
	size_t nr_written; /* atomic: edits since the start */
};

/* Does one run on one side. Return: operations in it; -errno */
typedef int (*op_fn)(struct rig *rig, enum side side);

struct operation {
	const char *name;
	op_fn fn;
	bool reader; /* stands for a worker: an RCU reader */
};

#define NR_OPERATIONS 8
extern const struct operation iotlb_operations[NR_OPERATIONS];

/** rig_rnd_below() - a pseudorandom number in [0, @n) */
size_t rig_rnd_below(uint64_t *state, size_t n);
/** rig_entry_at() - the page at @iova */
struct iotlb_entry rig_entry_at(const struct rig *rig, iova_t iova);
int rig_map_one(struct rig *rig, enum side side, iova_t iova) HF_MUST_CHECK;

/** rig_writer_start() - returns when the writer is at work, or has failed: the stop tells */
int rig_writer_start(struct rig *rig, enum side side) HF_MUST_CHECK;
/** rig_writer_stop() - Return: 0, or the writer's error */
int rig_writer_stop(struct rig *rig) HF_MUST_CHECK;

#endif
