// SPDX-License-Identifier: BSD-3-Clause
/*
 * The cases of `holdfast bench load`: what a step of each is. A case that fills takes as many
 * things as there are steps, and gives all back in the end; the others change one thing again and
 * again.
 *
 * Owns what it has opened and mapped. Thread rule: one thread.
 */
#ifndef HOLDFAST_BENCH_LOAD_H
#define HOLDFAST_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "client/client.h"

#define LOAD_QUEUES_MAX  256u
#define LOAD_DEVICES_MAX 1000u

/* A device in use: its first rings run. */
struct load_unit {
	int fd; /* -1: none */
	unsigned int nr_rings;
	struct client_ring *ring; /* [nr_rings] */
};

struct load {
	struct client_mem mem;   /* rings; mapped by each unit */
	struct load_unit *units; /* [LOAD_DEVICES_MAX] */
	int kick[2];             /* eventfds that a queue is given in turn */
};

struct load_case {
	const char *name;
	bool fills;
	/** before the first step of a round, behind the last one, and in the end; NULL: nothing */
	int (*begin)(struct load *l);
	int (*step)(struct load *l, unsigned int i);
	int (*full)(struct load *l); /* what is there now is put to use; not timed */
	int (*end)(struct load *l, unsigned int nr);
};

enum load_case_id {
	LOAD_DEVICES,  /* opened and started, all at once */
	LOAD_QUEUES,   /* of one device, set up and enabled */
	LOAD_MAPPINGS, /* of one device */
	LOAD_RESETS,
	LOAD_OPENS,   /* open, start, close */
	LOAD_CHANGES, /* of a queue: disabled, another kick eventfd, enabled */
	LOAD_NR,
};

extern const struct load_case load_cases[LOAD_NR];

/** load_init() - Return: 0 or -errno; load_fini() in any case */
int load_init(struct load *l) HF_MUST_CHECK;
void load_fini(struct load *l);

#endif
