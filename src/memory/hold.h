// SPDX-License-Identifier: BSD-3-Clause
/*
 * Registrations: locked runs of client memory that outlive one mapping. A device of the default
 * mode registers through its `memory_hold`. Two things follow. Registrations of the same bytes, by
 * whichever device of the process, share one lock. And a registration whose last mapping is gone
 * may wait in a cache, up to the device's budget: the device cannot reach it, its pages stay
 * locked, and the next map of the same bytes takes it over without touching a page. docs/hold.md
 * tells how it is made sure that they are the same bytes.
 *
 * Owns: the cache, one a process. Used by vhost_vdpa (a hold a session) and by frontends that see
 * the client's memory calls (memory_hold_forget*). Thread rule: any control thread.
 */
#ifndef HOLDFAST_MEMORY_HOLD_H
#define HOLDFAST_MEMORY_HOLD_H

#include "memory/memory.h"

struct memory_hold;

/* Budgets: bytes, or one of these. */
#define MEMORY_HOLD_OFF        UINT64_C(0)
#define MEMORY_HOLD_ALL        UINT64_MAX /* as much as RLIMIT_MEMLOCK lets the process lock */
#define MEMORY_HOLD_PERCENT(p) (UINT64_MAX - 100 + (p)) /* 1..99 of a hundred parts of it */

/* How a registration came about. */
enum memory_got {
	MEMORY_GOT_NONE,
	MEMORY_GOT_NEW,    /* populated and locked, in part at least */
	MEMORY_GOT_SHARED, /* all of it was locked already, by other registrations */
	MEMORY_GOT_HELD,   /* taken over from the cache */
};

enum memory_evict {
	MEMORY_EVICT_BUDGET,   /* of the device */
	MEMORY_EVICT_LIMIT,    /* RLIMIT_MEMLOCK, or a new registration needs the room */
	MEMORY_EVICT_AGE,      /* nobody wanted it for too long */
	MEMORY_EVICT_PRESSURE, /* the system is short of memory */
	/* the client changes this memory, or wants it as if it were not held */
	MEMORY_EVICT_CLIENT,
	MEMORY_EVICT_CLOSE, /* the session ended */
	MEMORY_EVICT_NR,
};

struct memory_hold_counters {
	uint64_t hits;   /* taken over */
	uint64_t shared; /* new, of memory that was locked already */
	uint64_t misses; /* new */
	uint64_t stale;  /* found in the cache, but no longer the same bytes; a miss, too */
	uint64_t evicted[MEMORY_EVICT_NR];
	uint64_t held_bytes; /* now */
	uint64_t nr_held;    /* registrations, now */
};

/**
 * memory_hold_create() - a device's share of the cache
 * @space:  [shared] the client's
 * @budget: bytes that may wait at most, or MEMORY_HOLD_*
 * @beyond_limit: RLIMIT_MEMLOCK does not bound the budget (`memlock unlimited`)
 * Return: 0; -ENOMEM
 */
int memory_hold_create(struct memory_space *space, uint64_t budget, bool beyond_limit,
		       struct memory_hold **out) HF_MUST_CHECK;
/** memory_hold_destroy() - what waits is let go; regions that still live are no longer held
 * afterwards */
void memory_hold_destroy(struct memory_hold *hold);
void memory_hold_counters(struct memory_hold *hold, struct memory_hold_counters *out);

/**
 * memory_region_register() - memory_region_create() in mode pinned, through @hold
 * Return: as memory_region_create(). The last put of the region offers it to the cache.
 */
int memory_region_register(struct memory_hold *hold, uaddr_t uaddr, uint64_t len, bool write,
			   struct memory_region **out) HF_MUST_CHECK;
/** memory_got() - how this thread's last memory_region_register() that succeeded came about, then
 * NONE */
enum memory_got memory_got(void);

/**
 * memory_hold_forget() - before the client changes what [@first, @last] is: nothing of it stays
 * held Costs one load if nothing is held at all. Safe inside of allocators that run under our own
 * locks.
 */
void memory_hold_forget(uaddr_t first, uaddr_t last);
/** memory_hold_forget_file() - the same for all memory of the file with inode number @ino */
void memory_hold_forget_file(uint64_t ino);
/** memory_hold_forget_all() - everything. Return: was anything held? */
bool memory_hold_forget_all(enum memory_evict why);
/**
 * memory_client_locked() / memory_client_unlocked() - after the client's own mlock or munlock of
 * [@first, @last]: what it has locked stays locked when its registration ends, and what it has
 * unlocked is locked again while it is registered. Cost one load if nothing is registered.
 */
void memory_client_locked(uaddr_t first, uaddr_t last);
void memory_client_unlocked(uaddr_t first, uaddr_t last);
/** memory_client_will_lock() - the client has all that it maps from now on locked (@locks), or no
 * longer. A forked child's is not */
void memory_client_will_lock(bool locks);
/** memory_client_locks_what_it_maps() - does it? One load */
bool memory_client_locks_what_it_maps(void);
/**
 * memory_client_moved() - after the client's own mremap, as that has it; the kernel takes locks
 * along, and makes them longer
 * At the new place, and behind the old end, is unlocked what the client had not locked itself. Cost
 * as above.
 */
void memory_client_moved(uaddr_t from, uint64_t old_len, uaddr_t to, uint64_t new_len);
/** memory_any_registered() - is anything registered or held in this process? One load */
bool memory_any_registered(void);
/** memory_hold_is_empty() - nothing is held in this process; one load */
bool memory_hold_is_empty(void);

#endif
