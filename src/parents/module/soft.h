// SPDX-License-Identifier: BSD-3-Clause
/*
 * A module's device on the simulator's core: what its passes (soft.c) and the chains that the
 * module holds in a pass (soft_chains.c) share. Private to src/parents/module. Thread rule: the
 * worker's lock, unless a line says otherwise.
 */
#ifndef HOLDFAST_MODULE_SOFT_H
#define HOLDFAST_MODULE_SOFT_H

#include <stdbool.h>
#include <stdint.h>

#include "parents/module/module.h"
#include "parents/sim/sim.h"

#define SOFT_BATCH     64 /* chains of a queue in one pass */
#define SOFT_CALLS     8  /* calls of process() in one pass, for chains that come meanwhile */
#define SOFT_NOT_ASKED 2  /* soft_queue.err: no pop, or its chain was given back */

/* A chain that process() was given. */
struct soft_slot {
	struct ring_chain chain;
	uint64_t serial; /* of its pop; 0: pushed or given back */
};

/* Worker lock. */
struct soft_queue {
	struct soft_slot *slots; /* [SOFT_BATCH], part of hf_soft.slots */
	unsigned int nr_popped;  /* in this pass */
	unsigned int nr_out;     /* popped, and neither pushed nor given back */
	unsigned int nr_slots;   /* of @slots, those in use or used in this pass, oldest first */
	uint32_t walked;         /* ring_walked() before this pass */
	bool full;               /* enough for one pass */
	int err;                 /* what the last ring_pop() said, SOFT_NOT_ASKED without one */
	bool asked;              /* atomic: soft_run() since process() was last called for it */
};

struct hf_soft {
	struct vdpasim_type type; /* const after creation */
	struct hf_soft_desc desc; /* const after creation */
	void *priv;
	struct vdpasim *sim;
	struct worker_fd *fd;      /* worker lock */
	bool in_process, run_self; /* worker lock */
	uint16_t current;          /* the queue that process() was called for; worker lock */
	uint64_t nr_pops;          /* serial of the newest chain; worker lock */
	struct soft_slot *slots;   /* [owned] [nvqs * SOFT_BATCH] */
	struct soft_queue queues[];
};

/* Whose process() this thread runs: soft_read() and soft_write() name no device. */
extern __thread struct hf_soft *soft_current;

#endif
