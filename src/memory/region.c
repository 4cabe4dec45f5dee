// SPDX-License-Identifier: BSD-3-Clause
/*
 * Spaces and regions: references, and what a region names. The identity region is part of its
 * space, so its references are the space's.
 */
#include "memory/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/overflow.h"
#include "base/refuse.h"
#include "memory/internal.h"
#include "memory/pin.h"

/* ---- spaces ---- */

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

/* ---- regions ---- */

static bool is_identity(const struct memory_region *region)
{
	return region == &region->space->identity;
}

/* The pinned mode works on whole pages below the last address. */
static int pinned_range_check(uaddr_t uaddr, uint64_t len, uaddr_t last)
{
	if (uaddr % MEMORY_PAGE_SIZE || len % MEMORY_PAGE_SIZE)
		return refuse(-EINVAL,
			      "memory at 0x%" PRIx64 " of 0x%" PRIx64 " bytes is not whole pages",
			      uaddr, len);
	if (last == UINT64_MAX)
		return refuse(-EFAULT, "memory at 0x%" PRIx64 " is not the client's", uaddr);
	return 0;
}

/* A region that is not pinned. Return: 0; -EINVAL; -ENOMEM. The caller owns one reference. */
static int region_new(struct memory_space *space, uaddr_t uaddr, uint64_t len,
		      struct memory_region **out)
{
	struct memory_region *region;
	uaddr_t last;

	if (!range_last(uaddr, len, &last))
		return refuse(-EINVAL, "memory at 0x%" PRIx64 " of 0x%" PRIx64 " bytes is no range",
			      uaddr, len);
	region = malloc(sizeof(*region));
	if (!region)
		return -ENOMEM;
	*region = (struct memory_region){
		.host = (char *)(uintptr_t)uaddr,
		.len = len,
		.uaddr = uaddr,
		.space = memory_space_get(space),
		.refs = 1,
	};
	*out = region;
	return 0;
}

/* Register what @region names. On error it is gone. */
static int region_pin(struct memory_region *region, bool write, struct memory_hold *hold,
		      struct memory_region **out)
{
	uaddr_t last = region->uaddr + (region->len - 1);
	int err = pinned_range_check(region->uaddr, region->len, last);

	if (!err)
		err = memory_pin(region->uaddr, last, write, hold);
	if (err) {
		memory_region_put(region);
		return err;
	}
	region->hold = hold_get(hold);
	region->pinned = table_process();
	*out = region;
	return 0;
}

int memory_region_create(struct memory_space *space, uaddr_t uaddr, uint64_t len, bool write,
			 enum memory_mode mode, struct memory_region **out)
{
	struct memory_region *region;
	int err = region_new(space, uaddr, len, &region);

	if (!err && mode == MEMORY_PINNED)
		return region_pin(region, write, NULL, out);
	if (!err)
		*out = region;
	return err;
}

int memory_region_register(struct memory_hold *hold, uaddr_t uaddr, uint64_t len, bool write,
			   struct memory_region **out)
{
	struct memory_region *region;
	int err = region_new(hold->space, uaddr, len, &region);

	return err ? err : region_pin(region, write, hold, out);
}

struct memory_region *memory_region_get(struct memory_region *region)
{
	memory_region_get_many(region, 1);
	return region;
}

void memory_region_get_many(struct memory_region *region, unsigned int n)
{
	__atomic_fetch_add(is_identity(region) ? &region->space->refs : &region->refs, n,
			   __ATOMIC_RELAXED);
}

static void unpin(struct memory_region *region, bool keep)
{
	uint32_t process = __atomic_exchange_n(&region->pinned, 0, __ATOMIC_ACQ_REL);

	/* What a forked child has inherited is locked in its parent alone. */
	if (process == table_process())
		memory_unpin(region->uaddr, region->uaddr + (region->len - 1), region->hold, keep);
}

void memory_region_unpin(struct memory_region *region)
{
	unpin(region, false);
}

void memory_region_put(struct memory_region *region)
{
	if (!region)
		return;
	if (is_identity(region)) {
		memory_space_put(region->space);
		return;
	}
	/* The release of each put pairs with the acquire of the last one. */
	if (__atomic_fetch_sub(&region->refs, 1, __ATOMIC_ACQ_REL) > 1)
		return;
	unpin(region, true);
	hold_put(region->hold);
	memory_space_put(region->space);
	free(region);
}
