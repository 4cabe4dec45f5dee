// SPDX-License-Identifier: BSD-3-Clause
#include "memory/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/refuse.h"
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
	if (space && __atomic_fetch_sub(&space->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(space);
}

struct memory_region *memory_space_identity(struct memory_space *space)
{
	return &space->identity;
}

static int charge_up_to(struct memory_space *space, uint64_t nr_pages, uint64_t nr_max)
{
	uint64_t charged = __atomic_load_n(&space->nr_charged, __ATOMIC_RELAXED), sum;

	do {
		if (__builtin_add_overflow(charged, nr_pages, &sum) || sum > nr_max)
			return refuse(-ENOMEM,
				      "0x%" PRIx64 " pages more than the 0x%" PRIx64
				      " mapped exceed RLIMIT_MEMLOCK of 0x%" PRIx64 " pages",
				      nr_pages, charged, nr_max);
	} while (!__atomic_compare_exchange_n(&space->nr_charged, &charged, sum, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return 0;
}

int memory_charge(struct memory_space *space, uint64_t nr_pages)
{
	struct rlimit limit;
	uint64_t nr_max = UINT64_MAX;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		nr_max = limit.rlim_cur / MEMORY_PAGE_SIZE;
	return charge_up_to(space, nr_pages, nr_max);
}

int memory_charge_beyond_limit(struct memory_space *space, uint64_t nr_pages)
{
	return charge_up_to(space, nr_pages, UINT64_MAX);
}

void memory_uncharge(struct memory_space *space, uint64_t nr_pages)
{
	__atomic_fetch_sub(&space->nr_charged, nr_pages, __ATOMIC_RELAXED);
}

uint64_t memory_charged_pages(struct memory_space *space)
{
	return __atomic_load_n(&space->nr_charged, __ATOMIC_RELAXED);
}
