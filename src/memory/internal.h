// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the files of this room share and nobody else sees: the space, and the two ways to read the
 * process's map. Owns nothing. Thread rule: as memory.h, except where said.
 */
#ifndef HOLDFAST_MEMORY_INTERNAL_H
#define HOLDFAST_MEMORY_INTERNAL_H

#include "memory/memory.h"

/* One mapping of the process. */
struct memory_map {
	uaddr_t first, last; /* inclusive */
	bool shared_file, readable, writable;
	bool huge;              /* of huge pages alone; ask memory_map_is_huge() */
	bool by_text;           /* @huge is not known */
	uint64_t dev, ino, off; /* file and the offset of @first in it; ino is 0 without a file */
};

/**
 * struct memory_maps - a reader of the process's map
 * Either @fd is asked per mapping (kernels from 6.11), or @text holds the whole of /proc/self/maps.
 */
struct memory_maps {
	int fd;          /* owned */
	char *text;      /* owned; terminated; NULL: ask the kernel */
	const char *pos; /* next line of @text */
};

enum memory_maps_how { MEMORY_MAPS_BEST, MEMORY_MAPS_QUERY, MEMORY_MAPS_TEXT };

/**
 * memory_maps_open() - start reading
 * @how: BEST in the product; tests compare the other two
 * Return: 0; -ENOMEM; -ENOTTY QUERY asked for and not there; another errno of open or read, negated
 */
int memory_maps_open(struct memory_maps *maps, enum memory_maps_how how) HF_MUST_CHECK;
void memory_maps_close(struct memory_maps *maps);

/**
 * memory_maps_find() - the lowest mapping that ends at or above @addr
 * Calls on one reader must have ascending @addr.
 * Return: 1 found; 0 there is none; -errno
 */
int memory_maps_find(struct memory_maps *maps, uaddr_t addr, struct memory_map *out) HF_MUST_CHECK;

/** memory_map_is_huge() - of huge pages alone (hugetlbfs), which need no lock? May read a file */
bool memory_map_is_huge(const struct memory_map *map);

/** memory_space_walk_how() - memory_space_walk() with a chosen reader */
int memory_space_walk_how(enum memory_maps_how how, uaddr_t first, uaddr_t last, memory_piece_fn fn,
			  void *arg) HF_MUST_CHECK;

struct memory_space {
	unsigned int refs;             /* atomic; references to @identity count here too */
	uint64_t nr_charged;           /* pages; atomic */
	struct memory_region identity; /* const */
};

#endif
