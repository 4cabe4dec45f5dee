// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client of `holdfast bench reset`: a device with memory mapped to it, and one reset of it.
 * Owns descriptors and memory. Used by reset.c. Thread rule: main thread.
 */
#ifndef HOLDFAST_BENCH_RESET_RIG_H
#define HOLDFAST_BENCH_RESET_RIG_H

#include "base/compiler.h"
#include "client/client.h"

enum reset_client { RESET_PERSIST, RESET_REMAP };
extern const char *const reset_client_names[2];

struct reset_rig {
	int fd;
	char *guest; /* @mapped bytes of guest memory */
	uint64_t mapped;
	struct client_mem ring_mem;
	struct client_ring ring[2];
	uint64_t buf_off; /* of two packet buffers in @ring_mem */
};

/** reset_fail() - say in one line what failed. Return: @err */
int reset_fail(const char *what, int err);
/** reset_rig_create() - a device that runs and has used a buffer, with @mapped bytes mapped to it.
 * Return: 0 or -errno, and one line was printed; reset_rig_destroy() on any outcome */
int reset_rig_create(struct reset_rig *rig, const char *path, uint64_t mapped,
		     enum reset_client kind) HF_MUST_CHECK;
void reset_rig_destroy(struct reset_rig *rig);
/** reset_once() - @ns: from SET_STATUS(0) until a buffer was used again. Return: 0 or -errno */
int reset_once(struct reset_rig *rig, enum reset_client kind, int64_t *ns) HF_MUST_CHECK;

#endif
