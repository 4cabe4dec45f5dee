// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is held: intervals whose last mapping is gone, and whose pages stay locked. Guarantees:
 *
 *  (1) Held memory is taken over only where it is, mapping by mapping, the same part of the same
 *	file as it was, and locked (pin.c). It does not depend on anybody telling us of the client's
 *	calls.
 *  (2) What is held counts as locked memory, and gives way: to a new registration that finds no
 *	room, to the client's own use of the memory, to age, and to pressure.
 *  (3) A forked child inherits no lock, so nothing is held in it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/trace.h"
#include "memory/pin.h"

#define AGE_NS (600 * NS_PER_SEC) /* a guest's reboot takes minutes at most */

static __thread enum memory_got last_got;

bool memory_hold_is_empty(void)
{
	return __atomic_load_n(&memory_held.nr, __ATOMIC_RELAXED) == 0;
}

enum memory_got memory_got(void)
{
	enum memory_got got = last_got;

	last_got = MEMORY_GOT_NONE;
	return got;
}

/* ---- a device's share ---- */

int memory_hold_create(struct memory_space *space, uint64_t budget, bool beyond_limit,
		       struct memory_hold **out)
{
	struct memory_hold *hold = calloc(1, sizeof(*hold));

	if (!hold)
		return -ENOMEM;
	hold->refs = 1;
	hold->space = memory_space_get(space);
	hold->budget = budget;
	hold->beyond_limit = beyond_limit;
	TAILQ_INIT(&hold->held.list);
	*out = hold;
	return 0;
}

struct memory_hold *hold_get(struct memory_hold *hold)
{
	if (hold)
		__atomic_fetch_add(&hold->refs, 1, __ATOMIC_RELAXED);
	return hold;
}

void hold_put(struct memory_hold *hold)
{
	/* The release of each put pairs with the acquire of the last one. */
	if (!hold || __atomic_fetch_sub(&hold->refs, 1, __ATOMIC_ACQ_REL) > 1)
		return;
	memory_space_put(hold->space);
	free(hold);
}

void hold_count(struct memory_hold *hold, enum memory_got got, bool stale)
{
	last_got = got;
	if (!hold)
		return;
	table_lock();
	hold->counters.hits += got == MEMORY_GOT_HELD;
	hold->counters.shared += got == MEMORY_GOT_SHARED;
	hold->counters.misses += got == MEMORY_GOT_NEW;
	hold->counters.stale += stale;
	table_unlock();
}

void memory_hold_counters(struct memory_hold *hold, struct memory_hold_counters *out)
{
	table_lock();
	*out = hold->counters;
	out->held_bytes = hold->held.nr_bytes;
	out->nr_held = hold->held.nr;
	table_unlock();
}

/* ---- giving way ---- */

static void evict(struct interval *i, enum memory_evict why) REQUIRES(memory_table_lock)
{
	uaddr_t end = interval_end(i);

	i->holder->counters.evicted[why]++;
	HF_TRACE3(hold_evict, i->addr, end - i->addr, why);
	held_remove(i, end - i->addr);
	release(i->addr, end);
}

static uint64_t budget_bytes(const struct memory_hold *hold)
{
	uint64_t limit;

	if (hold->budget < MEMORY_HOLD_PERCENT(1))
		return hold->budget;
	limit = hold->beyond_limit ? UINT64_MAX : memory_limit_bytes();
	if (limit == UINT64_MAX || hold->budget == MEMORY_HOLD_ALL)
		return limit;
	return limit / 100 * (hold->budget - MEMORY_HOLD_PERCENT(0));
}

bool held_room(struct memory_hold *hold, uint64_t len)
{
	uint64_t budget = budget_bytes(hold);

	if (hold->closed || len > budget)
		return false;
	while (hold->held.nr_bytes > budget - len)
		evict(TAILQ_FIRST(&hold->held.list), MEMORY_EVICT_BUDGET);
	return true;
}

void hold_trim(struct memory_hold *hold, bool mapped)
{
	bool all = hold && mapped;
	struct interval *i;
	uint64_t limit, live;

	if (memory_hold_is_empty() || (hold && hold->beyond_limit))
		return;
	limit = memory_limit_bytes();
	if (limit == UINT64_MAX)
		return;
	table_lock();
	while ((i = TAILQ_FIRST(all ? &memory_held.list : &held_limited))) {
		live = memory_charged_pages(i->holder->space) * MEMORY_PAGE_SIZE;
		if (live <= limit && memory_held.nr_bytes <= limit - live)
			break;
		evict(i, MEMORY_EVICT_LIMIT);
	}
	table_unlock();
}

bool hold_give_way(enum memory_evict why)
{
	struct interval *i;

	if (memory_hold_is_empty())
		return false;
	table_lock();
	i = TAILQ_FIRST(&memory_held.list);
	if (i)
		evict(i, why);
	table_unlock();
	return i != NULL;
}

bool memory_hold_forget_all(enum memory_evict why)
{
	bool any = false;

	if (table_is_inside())
		return false;
	while (hold_give_way(why))
		any = true;
	return any;
}

void memory_hold_forget(uaddr_t first, uaddr_t last)
{
	struct interval *i;
	uaddr_t end;

	if (memory_hold_is_empty() || table_is_inside())
		return;
	table_lock();
	for (i = interval_over(first) ?: interval_from(first); i && i->addr <= last;
	     i = interval_from(end)) {
		end = interval_end(i);
		if (i->holder)
			evict(i, MEMORY_EVICT_CLIENT);
	}
	table_unlock();
}

void memory_hold_forget_file(uint64_t ino)
{
	struct interval *i;

	if (memory_hold_is_empty() || table_is_inside())
		return;
	table_lock();
	while ((i = held_of_file(ino)))
		evict(i, MEMORY_EVICT_CLIENT);
	table_unlock();
}

void memory_hold_destroy(struct memory_hold *hold)
{
	struct interval *i;

	if (!hold)
		return;
	table_lock();
	hold->closed = true;
	while ((i = TAILQ_FIRST(&hold->held.list)))
		evict(i, MEMORY_EVICT_CLOSE);
	table_unlock();
	hold_put(hold);
}

int64_t hold_expire(int64_t now_ns)
{
	struct interval *i;
	int64_t left = -1;

	table_lock();
	while ((i = TAILQ_FIRST(&memory_held.list))) {
		left = i->since_ns + AGE_NS - now_ns;
		if (left > 0)
			break;
		evict(i, MEMORY_EVICT_AGE);
		left = -1;
	}
	table_unlock();
	return left;
}
