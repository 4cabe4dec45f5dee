// SPDX-License-Identifier: BSD-3-Clause
/*
 * Private to this room: registrations, and those that are held. Thread rule: as interval.h, whose
 * lock guards all of it.
 */
#ifndef HOLDFAST_MEMORY_PIN_H
#define HOLDFAST_MEMORY_PIN_H

#include "memory/hold.h"
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

/* ---- hold.c ---- */

/** held_may() - ready, looked at, and so fit to be held once nobody covers it */
bool held_may(const struct interval *i) REQUIRES(memory_table_lock);
/** held_room() - room for @len bytes more in the budget of @hold. Return: false there cannot be */
bool held_room(struct memory_hold *hold, uint64_t len) REQUIRES(memory_table_lock);
/** held_insert() - hold an interval that nobody covers any more, from @now_ns on */
void held_insert(struct interval *i, struct memory_hold *hold, int64_t now_ns)
	REQUIRES(memory_table_lock);
/** held_remove() - it is no longer held, and still locked */
void held_remove(struct interval *i) REQUIRES(memory_table_lock);
/** held_split() - @fresh has been cut off @i, which is held */
void held_split(struct interval *i, struct interval *fresh) REQUIRES(memory_table_lock);
/** held_forget() - in a forked child, which has no lock */
void held_forget(void);

/** hold_trim() - keep to RLIMIT_MEMLOCK */
void hold_trim(struct memory_hold *hold);
/** hold_give_way() - end the oldest that is held. Return: false nothing is */
bool hold_give_way(enum memory_evict why);
/** hold_count() - a registration came about */
void hold_count(struct memory_hold *hold, enum memory_got got, bool stale);
struct memory_hold *hold_get(struct memory_hold *hold);
void hold_put(struct memory_hold *hold);
struct memory_space *hold_space(struct memory_hold *hold);

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
/** memory_lock_on_fault() - lock what is there, and leave what is missing to the first touch.
 * Return: 0 or -errno */
int memory_lock_on_fault(uaddr_t first, uaddr_t last) HF_MUST_CHECK;
/** memory_lock_threads() - use at most @nr threads; 0: one a processor. For tests and benches */
void memory_lock_threads(unsigned int nr);

#endif
