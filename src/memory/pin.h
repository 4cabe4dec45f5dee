// SPDX-License-Identifier: BSD-3-Clause
/*
 * Private to this room: registrations, and those that are held. Thread rule: as interval.h, whose
 * lock guards all of it.
 */
#ifndef HOLDFAST_MEMORY_PIN_H
#define HOLDFAST_MEMORY_PIN_H

#include "memory/interval.h"

/**
 * memory_pin() - register whole pages: populated and locked until the registration ends
 * @first, @last: inclusive, page aligned, @last < UINT64_MAX
 * @hold: [shared] the registration may share locks with others and may be held; NULL: neither
 * Return: 0; -EFAULT; -ENOMEM; as memory_region_create(). On error nothing stays locked.
 */
int memory_pin(uaddr_t first, uaddr_t last, bool write, struct memory_hold *hold) HF_MUST_CHECK;
/** memory_unpin() - undo one memory_pin() of exactly this range: hold it if @keep and its hold lets
 * it, else unlock what nobody covers any more; cannot fail */
void memory_unpin(uaddr_t first, uaddr_t last, struct memory_hold *hold, bool keep);

/* ---- look.c ---- */

/**
 * look() - cut what is from @i to @end at its mappings, and note in @now of each what is there
 * Where the map cannot be read, it is noted whether memory is locked, and nothing else.
 * Return: 0; -ENOMEM; no fact has changed
 */
int look(struct interval *i, uaddr_t end) HF_MUST_CHECK REQUIRES(memory_table_lock);
/** look_any_locked() - is any mapping of [@first, @end) locked, by whomever? */
bool look_any_locked(uaddr_t first, uaddr_t end);
/** look_is_kept() - does @i, which has been looked at, bear a lock, or need none (huge pages)? */
bool look_is_kept(const struct interval *i);

/** look_knows_advice() - does the kernel know this advice of madvise(2)? Touches nothing */
bool look_knows_advice(int advice);

/* ---- release.c ---- */

/** release() - unlock what is owed in [@first, @end), and next to it. What cannot be unlocked stays
 * owed */
void release(uaddr_t first, uaddr_t end) REQUIRES(memory_table_lock);
/** release_is_owed() - is anything owed for want of the map, which time alone helps? One load */
bool release_is_owed(void);
/** release_owed() - try all of it once more */
void release_owed(void);

/* ---- hold.c ---- */

/** held_room() - room for @len bytes more in the budget of @hold. Return: false there cannot be */
bool held_room(struct memory_hold *hold, uint64_t len) REQUIRES(memory_table_lock);
/** hold_trim() - keep to RLIMIT_MEMLOCK, behind a change of @hold's device; NULL: of one without
 * @mapped: it has mapped something, and all that is held gives way; else it has put something
 * aside, and what is held by devices without a limit stays. Such a device itself asks for nothing
 */
void hold_trim(struct memory_hold *hold, bool mapped);
/** hold_give_way() - end the oldest that is held. Return: false nothing is */
bool hold_give_way(enum memory_evict why);
/** hold_count() - a registration came about */
void hold_count(struct memory_hold *hold, enum memory_got got, bool stale);
struct memory_hold *hold_get(struct memory_hold *hold);
void hold_put(struct memory_hold *hold);

/* ---- keeper.c ---- */

/** keeper_start() - something is held or owed: see to it that it is not for ever */
void keeper_start(void);
/** hold_expire() - end what has been held too long at @now_ns. Return: ns until the next is due, -1
 * if nothing is held */
int64_t hold_expire(int64_t now_ns);

/* ---- populate.c ---- */

/**
 * memory_lock_range() - lock and populate [@first, @last], by several threads if it is large
 * The range is in the table, so nothing unlocks it meanwhile.
 * Return: 0; -EFAULT; -ENOMEM. On error part of it may be locked.
 */
int memory_lock_range(uaddr_t first, uaddr_t last, bool write) HF_MUST_CHECK;
/** memory_lock_on_fault() - lock what the system lets us, up to the first hole; what is missing is
 * left to the first touch */
void memory_lock_on_fault(uaddr_t first, uaddr_t last);
/** memory_lock_threads() - use at most @nr threads; 0: one a processor. For tests and benches */
void memory_lock_threads(unsigned int nr);

/* ---- present.c ---- */

/* What present_open() has seen of a range, so that population need not look at each page. */
struct present {
	int fd;         /* /proc/thread-self/pagemap; -1: nothing can be told */
	bool shared;    /* files that are mapped shared, all along */
	bool settles;   /* a page that is not missing needs nothing more */
	bool anonymous; /* ... and must be no file's, nor the page of zeros */
	bool quick;     /* by PAGEMAP_SCAN: a millisecond and a half a GiB */
};

/** present_check() - is all of [@first, @last] mapped, and permitted?
 * Return: 0; -EFAULT; another -errno where the map cannot be read; with a reason */
int present_check(uaddr_t first, uaddr_t last, bool write) HF_MUST_CHECK;

/* Nothing can be told. */
#define PRESENT_UNKNOWN ((struct present){.fd = -1})

/** present_open() - look at the mappings of [@first, @last], page aligned; cannot fail, but may
 * then know nothing */
void present_open(struct present *p, uaddr_t first, uaddr_t last, bool write);
void present_close(struct present *p);

/**
 * present_missing() - the first page of [@first, @last] that must be populated
 * Return: its address, or @last + 1; @first where nothing can be told
 * Context: any number of threads at once
 */
uaddr_t present_missing(const struct present *p, uaddr_t first, uaddr_t last);

#endif
