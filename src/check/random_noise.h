/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the generator of random programs draws from: its numbers, its model of the client's side,
 * and single calls. Used by random_gen.c. Single threaded.
 */
#ifndef HOLDFAST_CHECK_RANDOM_NOISE_H
#define HOLDFAST_CHECK_RANDOM_NOISE_H

#include "check/random.h"

enum { RANDOM_SPACES = 2 };

#define RANDOM_FEATURES_NET                                                                        \
	(CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |                               \
	 CLIENT_BIT(VIRTIO_NET_F_MAC) | CLIENT_BIT(VIRTIO_NET_F_CTRL_VQ) |                         \
	 CLIENT_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR))

struct random_gen {
	uint64_t state;
	struct random_program *out;
	bool opened, owned, running, suspended, asid;
	int batch;                      /* address space, or -1 */
	uint32_t mapped[RANDOM_SPACES]; /* pages of the window, a bit each */
	uint64_t bound;                 /* address space of the control queue */
	uint64_t num[RANDOM_RINGS], start[RANDOM_RINGS], slot[RANDOM_RINGS];
	unsigned posted;
};

/** random_gen_below() - a number from 0 to @n - 1 */
uint64_t random_gen_below(struct random_gen *g, uint64_t n);
bool random_gen_one_in(struct random_gen *g, unsigned n);
/** random_gen_emit() - append a step, while there is room */
void random_gen_emit(struct random_gen *g, enum random_op op, const uint64_t *arg);
/** random_gen_version() - of a message for address space @asid */
uint64_t random_gen_version(struct random_gen *g, uint64_t asid);
/** random_gen_update() - append an UPDATE, of any memory */
void random_gen_update(struct random_gen *g);
/** random_gen_noise() - append a single call */
void random_gen_noise(struct random_gen *g);

#define PICK(g, ...)                                                                               \
	(((const uint64_t[]){__VA_ARGS__})[random_gen_below(                                       \
		g, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))])

#define EMIT(g, op, ...) random_gen_emit(g, op, (const uint64_t[RANDOM_ARGS]){__VA_ARGS__})

#endif
