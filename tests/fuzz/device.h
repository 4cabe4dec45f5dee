// SPDX-License-Identifier: BSD-3-Clause
/*
 * A simulated device of which the target is the driver, for targets that feed queues. The device
 * sees one arena and nothing else of this process. Queues are worked on by the target's own
 * thread, under the worker's lock: what an input does is the same each time.
 *
 * Owns: bus, device, rings. The arena lies at a fixed address and lives as long as the process.
 */
#ifndef HOLDFAST_TESTS_FUZZ_DEVICE_H
#define HOLDFAST_TESTS_FUZZ_DEVICE_H

#include "fuzz.h"
#include "parents/sim/sim.h"
#include "ring/driver.h"

#define ARENA_LEN  0x100000u         /* bytes */
#define ARENA_IOVA 0x100000000ULL    /* of its first byte */
#define ARENA_HOST 0x200000000000ULL /* free under the sanitizers, too */
#define ARENA_DATA 0x40000u          /* rings lie before, what a target sends behind */
#define DEVICE_VQS 5

struct fuzz_device {
	const char *spec;
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct vdpa_device *dev;
	struct vdpasim *sim;
	struct iotlb *map;
	struct memory_region *region;
	struct ring_driver *drv[DEVICE_VQS];
	unsigned int nr_vqs;
	size_t used; /* bytes of the arena in use by rings */
};

/** fuzz_arena() - its bytes, mapped once. Return: never NULL */
char *fuzz_arena(void);

/**
 * fuzz_device_begin() - a device of @spec with @nr_vqs running queues of @num entries
 * @features: acked; the layout follows them
 * Return: [borrowed] made at the first input that asks for it, reset for each one behind: its
 * thread costs more than most inputs
 */
struct fuzz_device *fuzz_device_begin(const char *spec, uint64_t features, unsigned int nr_vqs,
				      uint16_t num);
/** fuzz_device_end() - reset it */
void fuzz_device_end(struct fuzz_device *d);

/** fuzz_device_run() - have the device work on a queue until it has nothing left to do */
void fuzz_device_run(struct fuzz_device *d, uint16_t idx);

/** fuzz_segs() - up to @max pieces of the arena, sizes and places from the input. Return: how
 * many */
unsigned int fuzz_segs(struct fuzz_input *in, struct ring_driver_seg *segs, unsigned int max);

#endif
