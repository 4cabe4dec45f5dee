// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the files of this room share and nobody else sees: the space, and the reader of the
 * process's map. Owns nothing. Thread rule: as memory.h, except where said.
 */
#ifndef HOLDFAST_MEMORY_INTERNAL_H
#define HOLDFAST_MEMORY_INTERNAL_H

#include "memory/memory.h"

/** source_advance() - what is mapped @len bytes on in the same mapping */
static inline void source_advance(struct memory_source *source, uint64_t len)
{
	source->off += source->ino ? len : 0;
}

/**
 * struct memory_maps - a reader of the process's map: what is mapped in a range
 * The kernel is asked per mapping (from 6.11), or the text of the map is read as far as needed.
 */
struct memory_maps {
	int fd; /* query: [shared]; text: owned; -1: not open */
	bool by_text;
	uaddr_t first, last; /* of the range, what has not been visited */
	bool done;
	size_t pos, len; /* in @text: the next line, and the end of what has been read */
	char text[4096]; /* as much as the kernel returns at a time */
};

/** memory_maps_init() - nothing is opened until it is needed */
void memory_maps_init(struct memory_maps *maps);
void memory_maps_close(struct memory_maps *maps);
/** memory_maps_range() - visit [@first, @last] next, which lies above what has been visited */
void memory_maps_range(struct memory_maps *maps, uaddr_t first, uaddr_t last);
/**
 * memory_maps_next() - the next piece of the range; mappings and holes cover all of it
 * Return: 1; 0 at the end of the range; the errno of open or read, negated, and a reason
 */
int memory_maps_next(struct memory_maps *maps, struct memory_piece *out) HF_MUST_CHECK;

/** memory_limit_bytes() - RLIMIT_MEMLOCK now; UINT64_MAX: none. In charge.c */
uint64_t memory_limit_bytes(void);

struct memory_space {
	unsigned int refs;             /* atomic; references to @identity count here too */
	uint64_t nr_charged;           /* pages; atomic */
	struct memory_region identity; /* const */
};

#endif
