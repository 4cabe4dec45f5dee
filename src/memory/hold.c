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
 *
 * What is held is found by address in the table, by file and by device in indexes of its own, and
 * by age in lists. No question walks what it is not about.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/trace.h"
#include "memory/pin.h"

#define AGE_NS (600 * NS_PER_SEC) /* a guest's reboot takes minutes at most */

struct memory_hold {
	unsigned int refs; /* atomic */
	struct memory_space *space;
	uint64_t budget;
	bool beyond_limit;
	/* table lock */
	bool closed;
	struct interval_list held; /* oldest first */
	struct memory_hold_counters counters;
};

static int file_cmp(const struct interval *a, const struct interval *b)
{
	if (a->source.ino != b->source.ino)
		return a->source.ino < b->source.ino ? -1 : 1;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

RB_HEAD(file_tree, interval);
RB_PROTOTYPE_INTERNAL(file_tree, interval, of_file, file_cmp, HF_UNUSED static)
RB_GENERATE_INTERNAL(file_tree, interval, of_file, file_cmp, HF_UNUSED static)

static struct interval_list oldest GUARDED_BY(memory_table_lock) = TAILQ_HEAD_INITIALIZER(oldest);
static struct file_tree by_file GUARDED_BY(memory_table_lock) = RB_INITIALIZER(&by_file);
static uint64_t held_bytes GUARDED_BY(memory_table_lock);
static size_t nr_held; /* atomic; written under the lock */
static __thread enum memory_got last_got;

bool memory_hold_is_empty(void)
{
	return __atomic_load_n(&nr_held, __ATOMIC_RELAXED) == 0;
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
	TAILQ_INIT(&hold->held);
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

struct memory_space *hold_space(struct memory_hold *hold)
{
	return hold->space;
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
	table_unlock();
}

/* ---- in and out ---- */

bool held_may(const struct interval *i)
{
	return i->ready && i->looked;
}

static void count_held(struct interval *i, int by) REQUIRES(memory_table_lock)
{
	uint64_t len = (interval_end(i) - i->addr) * (uint64_t)by;

	held_bytes += len;
	i->holder->counters.held_bytes += len;
	i->holder->counters.nr_held += (uint64_t)by;
	__atomic_fetch_add(&nr_held, (size_t)by, __ATOMIC_RELAXED);
}

void held_insert(struct interval *i, struct memory_hold *hold, int64_t now_ns)
{
	i->holder = hold;
	i->since_ns = now_ns;
	TAILQ_INSERT_TAIL(&oldest, i, age);
	TAILQ_INSERT_TAIL(&hold->held, i, of_holder);
	RB_INSERT(file_tree, &by_file, i);
	count_held(i, 1);
}

void held_remove(struct interval *i)
{
	count_held(i, -1);
	RB_REMOVE(file_tree, &by_file, i);
	TAILQ_REMOVE(&i->holder->held, i, of_holder);
	TAILQ_REMOVE(&oldest, i, age);
	i->holder = NULL;
}

void held_split(struct interval *i, struct interval *fresh)
{
	fresh->holder = i->holder;
	fresh->since_ns = i->since_ns;
	TAILQ_INSERT_AFTER(&oldest, i, fresh, age);
	TAILQ_INSERT_AFTER(&i->holder->held, i, fresh, of_holder);
	RB_INSERT(file_tree, &by_file, fresh);
	i->holder->counters.nr_held++;
	__atomic_fetch_add(&nr_held, 1, __ATOMIC_RELAXED);
}

void held_forget(void) NO_TSA
{
	TAILQ_INIT(&oldest);
	RB_INIT(&by_file);
	held_bytes = 0;
	__atomic_store_n(&nr_held, 0, __ATOMIC_RELAXED);
}

static void evict(struct interval *i, enum memory_evict why) REQUIRES(memory_table_lock)
{
	uaddr_t end = interval_end(i);
	struct releaser r = {.open = false};

	i->holder->counters.evicted[why]++;
	HF_TRACE3(hold_evict, i->addr, end - i->addr, why);
	held_remove(i);
	release(&r, i);
	release_done(&r);
	interval_join(i, end);
}

/* RLIMIT_MEMLOCK now, in bytes. */
static uint64_t limit_bytes(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

static uint64_t budget_bytes(const struct memory_hold *hold)
{
	uint64_t limit;

	if (hold->budget < MEMORY_HOLD_PERCENT(1))
		return hold->budget;
	limit = hold->beyond_limit ? UINT64_MAX : limit_bytes();
	if (limit == UINT64_MAX || hold->budget == MEMORY_HOLD_ALL)
		return limit;
	return limit / 100 * (hold->budget - MEMORY_HOLD_PERCENT(0));
}

bool held_room(struct memory_hold *hold, uint64_t len)
{
	uint64_t budget = budget_bytes(hold);

	if (hold->closed || len > budget)
		return false;
	while (hold->counters.held_bytes > budget - len)
		evict(TAILQ_FIRST(&hold->held), MEMORY_EVICT_BUDGET);
	return true;
}

/* ---- giving way ---- */

void hold_trim(struct memory_hold *hold)
{
	uint64_t limit, live;
	struct interval *i;

	if (memory_hold_is_empty())
		return;
	limit = limit_bytes();
	if (limit == UINT64_MAX)
		return;
	table_lock();
	while ((i = TAILQ_FIRST(&oldest))) {
		if ((hold ? hold : i->holder)->beyond_limit)
			break;
		live = memory_charged_pages(i->holder->space) * MEMORY_PAGE_SIZE;
		if (live <= limit && held_bytes <= limit - live)
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
	i = TAILQ_FIRST(&oldest);
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
	struct interval *i, from = {.source.ino = ino};

	if (memory_hold_is_empty() || table_is_inside())
		return;
	table_lock();
	while ((i = RB_NFIND(file_tree, &by_file, &from)) && i->source.ino == ino)
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
	while ((i = TAILQ_FIRST(&hold->held)))
		evict(i, MEMORY_EVICT_CLOSE);
	table_unlock();
	hold_put(hold);
}

int64_t hold_expire(int64_t now_ns)
{
	struct interval *i;
	int64_t left = -1;

	table_lock();
	while ((i = TAILQ_FIRST(&oldest))) {
		left = i->since_ns + AGE_NS - now_ns;
		if (left > 0)
			break;
		evict(i, MEMORY_EVICT_AGE);
		left = -1;
	}
	table_unlock();
	return left;
}
