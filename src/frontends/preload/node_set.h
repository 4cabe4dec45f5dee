// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which minor numbers have a node. Until there is a bus, they are counted in the description of the
 * devices: 0 and on. From then on they are those that vhost_vdpa has.
 *
 * Thread rule: any thread reads (node_exists(), node_count() of node.h); the set is replaced by one
 * at a time, which holds the opening lock.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_NODE_SET_H
#define HOLDFAST_FRONTENDS_PRELOAD_NODE_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "frontends/preload/preload.h"

#define NODE_SET_WORDS (PRELOAD_NR_NODES_MAX / 64)

/* A bit a minor. */
struct node_set {
	uint64_t words[NODE_SET_WORDS];
};

static inline bool node_set_has(const struct node_set *set, unsigned int minor)
{
	return set->words[minor / 64] >> minor % 64 & 1;
}

static inline void node_set_add(struct node_set *set, unsigned int minor)
{
	set->words[minor / 64] |= 1ULL << minor % 64;
}

/** node_set_replace() - from now on these are the nodes of the bus. @old: [out] those of before */
void node_set_replace(const struct node_set *now, struct node_set *old);
/** node_set_forget() - in a forked child: there is no bus */
void node_set_forget(void);

#endif
