// SPDX-License-Identifier: BSD-3-Clause
#include "memory/memory.h"

#include <errno.h>
#include <stdlib.h>

#include "memory/internal.h"

int memory_space_create_own(struct memory_space **out)
{
	struct memory_space *space = calloc(1, sizeof(*space));

	if (!space)
		return -ENOMEM;
	space->refs = 1;
	space->identity.space = space;
	*out = space;
	return 0;
}

struct memory_space *memory_space_get(struct memory_space *space)
{
	__atomic_fetch_add(&space->refs, 1, __ATOMIC_RELAXED);
	return space;
}

void memory_space_put(struct memory_space *space)
{
	if (!space || __atomic_fetch_sub(&space->refs, 1, __ATOMIC_ACQ_REL) > 1)
		return;
	free(space);
}

struct memory_region *memory_space_identity(struct memory_space *space)
{
	return &space->identity;
}
