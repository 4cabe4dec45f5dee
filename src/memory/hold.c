// SPDX-License-Identifier: BSD-3-Clause
/*
 * The cache of registrations that wait to be mapped again. Guarantees:
 *
 *  (1) A registration is taken over only by a map of exactly its range, for no more than it was
 *	populated for, and only if every mapping in the range is the same part of the same file, as
 *	it was, and locked (marks.c). It does not depend on anybody telling us of the client's
 *	calls.
 *  (2) What waits counts as locked memory, and gives way: to a new registration that finds no room,
 *	to the client's own use of the memory, to age, and to pressure.
 *  (3) A forked child inherits no lock, so nothing waits in it.
 *
 * Order: two lists of the same registrations. The tree finds a range; the list, oldest first, says
 * what goes.
 */
#include <errno.h>
#include <pthread.h>
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
	struct memory_hold_counters counters;
};

static int pin_cmp(const struct memory_pin *a, const struct memory_pin *b)
{
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return a->end < b->end ? -1 : a->end > b->end;
}

RB_HEAD(pin_tree, memory_pin);
RB_PROTOTYPE_INTERNAL(pin_tree, memory_pin, node, pin_cmp, HF_UNUSED static)
RB_GENERATE_INTERNAL(pin_tree, memory_pin, node, pin_cmp, HF_UNUSED static)
TAILQ_HEAD(pin_list, memory_pin);

static struct pin_tree waiting GUARDED_BY(memory_pins_lock) = RB_INITIALIZER(&waiting);
static struct pin_list oldest GUARDED_BY(memory_pins_lock) = TAILQ_HEAD_INITIALIZER(oldest);
static unsigned int nr_waiting; /* atomic; written under the table lock */
static __thread enum memory_got last_got;

bool memory_hold_is_empty(void)
{
	return __atomic_load_n(&nr_waiting, __ATOMIC_RELAXED) == 0;
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
	pins_lock();
	hold->counters.hits += got == MEMORY_GOT_HELD;
	hold->counters.shared += got == MEMORY_GOT_SHARED;
	hold->counters.misses += got == MEMORY_GOT_NEW;
	hold->counters.stale += stale;
	pins_unlock();
}

void memory_hold_counters(struct memory_hold *hold, struct memory_hold_counters *out)
{
	pins_lock();
	*out = hold->counters;
	pins_unlock();
}

/* ---- in and out ---- */

static void insert(struct memory_pin *pin) REQUIRES(memory_pins_lock)
{
	RB_INSERT(pin_tree, &waiting, pin);
	TAILQ_INSERT_TAIL(&oldest, pin, lru);
	pin->since_ns = clock_now_ns();
	__atomic_fetch_add(&nr_waiting, 1, __ATOMIC_RELAXED);
	pin->hold->counters.nr_held++;
	pin->hold->counters.held_bytes += pin->end - pin->first;
	pin_set_live(pin, -1);
}

static void take_out(struct memory_pin *pin) REQUIRES(memory_pins_lock)
{
	RB_REMOVE(pin_tree, &waiting, pin);
	TAILQ_REMOVE(&oldest, pin, lru);
	__atomic_fetch_sub(&nr_waiting, 1, __ATOMIC_RELAXED);
	pin->hold->counters.nr_held--;
	pin->hold->counters.held_bytes -= pin->end - pin->first;
}

static void evict(struct memory_pin *pin, enum memory_evict why) REQUIRES(memory_pins_lock)
{
	pin->hold->counters.evicted[why]++;
	HF_TRACE3(hold_evict, pin->first, pin->end - pin->first, why);
	take_out(pin);
	pin_remove(pin);
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

/* The oldest that waits, of @hold alone if it is given. */
static struct memory_pin *oldest_of(const struct memory_hold *hold) REQUIRES(memory_pins_lock)
{
	struct memory_pin *pin;

	TAILQ_FOREACH (pin, &oldest, lru)
		if (!hold || pin->hold == hold)
			return pin;
	return NULL;
}

/* Room for @len bytes more in the budget of @hold. Return: false if there cannot be any */
static bool make_room(struct memory_hold *hold, uint64_t len) REQUIRES(memory_pins_lock)
{
	uint64_t budget = budget_bytes(hold);
	struct memory_pin *pin;

	if (hold->closed || len > budget)
		return false;
	while (hold->counters.held_bytes > budget - len && (pin = oldest_of(hold)))
		evict(pin, MEMORY_EVICT_BUDGET);
	return true;
}

static bool keep(struct memory_pin *pin) REQUIRES(memory_pins_lock)
{
	struct memory_pin *same = RB_FIND(pin_tree, &waiting, pin);

	if (same && same->write >= pin->write)
		return false; /* that one keeps the lock, too */
	if (same)
		evict(same, MEMORY_EVICT_BUDGET);
	if (!make_room(pin->hold, pin->end - pin->first))
		return false;
	insert(pin);
	return true;
}

/* Once it waits it is anybody's: the caller's pointer is good for nothing any more. */
bool hold_keep(struct memory_pin *pin)
{
	uint64_t len = pin->end - pin->first;
	uaddr_t first = pin->first;
	bool kept;

	if (!pin->hold || !pin->ready || pin->nr_marks == 0 || pin->hold->budget == 0)
		return false;
	pins_lock();
	kept = keep(pin);
	pins_unlock();
	if (!kept)
		return false;
	HF_TRACE2(hold_keep, first, len);
	hold_trim(NULL);
	keeper_start();
	return true;
}

struct memory_pin *hold_take(struct memory_hold *hold, uaddr_t first, uaddr_t end, bool write)
{
	struct memory_pin *pin, range = {.first = first, .end = end};

	if (memory_hold_is_empty())
		return NULL;
	pins_lock();
	pin = RB_FIND(pin_tree, &waiting, &range);
	if (pin && pin->write < write)
		pin = NULL;
	if (pin) {
		take_out(pin);
		pin_set_live(pin, 1);
		if (pin->hold != hold) {
			hold_put(pin->hold); /* not the last: its session has not ended */
			pin->hold = hold_get(hold);
		}
	}
	pins_unlock();
	return pin;
}

void hold_absorb(struct memory_pin *pin)
{
	struct memory_pin *other, *next;

	if (!pin->hold || memory_hold_is_empty())
		return;
	pins_lock();
	other = RB_NFIND(pin_tree, &waiting, &(struct memory_pin){.first = pin->first});
	for (; other && other->first < pin->end; other = next) {
		next = RB_NEXT(pin_tree, &waiting, other);
		if (other->end <= pin->end && other->write <= pin->write) {
			take_out(other);
			pin_remove(other);
		}
	}
	pins_unlock();
}

/* ---- giving way ---- */

void hold_trim(struct memory_hold *hold)
{
	struct memory_pin *pin;
	uint64_t limit, live;

	if (memory_hold_is_empty())
		return;
	limit = limit_bytes();
	if (limit == UINT64_MAX)
		return;
	pins_lock();
	while ((pin = oldest_of(NULL))) {
		if ((hold ? hold : pin->hold)->beyond_limit)
			break;
		live = memory_charged_pages(pin->hold->space) * MEMORY_PAGE_SIZE;
		if (live <= limit && pins_waiting_bytes() <= limit - live)
			break;
		evict(pin, MEMORY_EVICT_LIMIT);
	}
	pins_unlock();
}

bool hold_give_way(enum memory_evict why)
{
	struct memory_pin *pin;

	if (memory_hold_is_empty())
		return false;
	pins_lock();
	pin = oldest_of(NULL);
	if (pin)
		evict(pin, why);
	pins_unlock();
	return pin != NULL;
}

bool memory_hold_forget_all(enum memory_evict why)
{
	bool any = false;

	if (pins_is_inside())
		return false;
	while (hold_give_way(why))
		any = true;
	return any;
}

void memory_hold_forget(uaddr_t first, uaddr_t last)
{
	struct memory_pin *pin, *next;

	if (memory_hold_is_empty() || pins_is_inside())
		return;
	pins_lock();
	TAILQ_FOREACH_SAFE(pin, &oldest, lru, next)
	if (pin->first <= last && pin->end > first)
		evict(pin, MEMORY_EVICT_CLIENT);
	pins_unlock();
}

static bool is_of_file(const struct memory_pin *pin, uint64_t ino)
{
	for (size_t i = 0; i < pin->nr_marks; i++)
		if (pin->marks[i].ino == ino)
			return true;
	return false;
}

void memory_hold_forget_file(uint64_t ino)
{
	struct memory_pin *pin, *next;

	if (memory_hold_is_empty() || pins_is_inside())
		return;
	pins_lock();
	TAILQ_FOREACH_SAFE(pin, &oldest, lru, next)
	if (is_of_file(pin, ino))
		evict(pin, MEMORY_EVICT_CLIENT);
	pins_unlock();
}

void memory_hold_destroy(struct memory_hold *hold)
{
	struct memory_pin *pin;

	if (!hold)
		return;
	pins_lock();
	hold->closed = true;
	while ((pin = oldest_of(hold)))
		evict(pin, MEMORY_EVICT_CLOSE);
	pins_unlock();
	hold_put(hold);
}

int64_t hold_expire(int64_t now_ns)
{
	struct memory_pin *pin;
	int64_t left = -1;

	pins_lock();
	while ((pin = oldest_of(NULL))) {
		left = pin->since_ns + AGE_NS - now_ns;
		if (left > 0)
			break;
		evict(pin, MEMORY_EVICT_AGE);
		left = -1;
	}
	pins_unlock();
	return left;
}

/* ---- fork ---- */

/* The child has one thread. Its parent's may have held the lock; and no page is locked here. */
static void forked(void) NO_TSA
{
	mutex_init(&memory_pins_lock);
	RB_INIT(&waiting);
	TAILQ_INIT(&oldest);
	__atomic_store_n(&nr_waiting, 0, __ATOMIC_RELAXED);
}

static void __attribute__((constructor)) watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}
