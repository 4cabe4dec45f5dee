// SPDX-License-Identifier: BSD-3-Clause
/*
 * Private to this room: registrations, the table of what they cover, and the cache of those that
 * wait.
 *
 * Thread rule: one lock guards all of it. Under it only the kept reader's lock is taken (maps.c),
 * and munlock runs. The client's allocator may call munmap, which the preload library watches and
 * which takes this lock. So registrations and boundaries are freed after the lock is dropped, by
 * pins_unlock(). Before kernel 6.11, a read of the process's map allocates and frees under the
 * lock: whoever comes from there finds pins_is_inside() and lets the call pass.
 */
#ifndef HOLDFAST_MEMORY_PIN_H
#define HOLDFAST_MEMORY_PIN_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "base/mutex.h"
#include "memory/hold.h"
#include "memory/internal.h"

/* What one mapping of the process was when it was registered. */
struct memory_mark {
	uaddr_t first, last;
	uint64_t dev, ino, off; /* file; @off is that of @first, and 0 without a file */
	bool shared_file;
};

/* One registration. Its range counts in the table from its making to its end. */
struct memory_pin {
	uaddr_t first, end;        /* page aligned; const */
	bool write;                /* populated for writing; const */
	bool ready;                /* all of it is locked; table lock */
	struct memory_hold *hold;  /* [shared] or NULL: not of the shared, held kind */
	struct memory_mark *marks; /* [owned] const once ready; NULL without a hold */
	size_t nr_marks;
	/* while it waits; table lock */
	RB_ENTRY(memory_pin) node;
	TAILQ_ENTRY(memory_pin) lru;  /* oldest first */
	int64_t since_ns;             /* CLOCK_MONOTONIC */
	struct memory_pin *next_free; /* to be freed */
};

extern struct mutex memory_pins_lock;

void pins_lock(void) ACQUIRES(memory_pins_lock);
/** pins_unlock() - and free what was taken out meanwhile */
void pins_unlock(void) RELEASES(memory_pins_lock);
/** pins_is_inside() - does this thread have the lock? */
bool pins_is_inside(void);

/** pin_set_live() - a registration starts (+1) or ceases (-1) to be mapped; it waits in between */
void pin_set_live(struct memory_pin *pin, int by) REQUIRES(memory_pins_lock);
/** pin_remove() - out of the table, unlock what nothing covers any more; freed by pins_unlock() */
void pin_remove(struct memory_pin *pin) REQUIRES(memory_pins_lock);
/** pins_waiting_bytes() - locked bytes that only waiting registrations cover */
uint64_t pins_waiting_bytes(void) REQUIRES(memory_pins_lock);

/* ---- marks.c ---- */

/**
 * marks_take() - look at the mappings of [@first, @last]
 * @marks, @nr: [out, owned] what they are, or both NULL to check alone
 * Return: 0; -EFAULT a hole or no permission; -EAGAIN some mapping is not locked; -ENOMEM; -errno
 */
int marks_take(uaddr_t first, uaddr_t last, bool write, struct memory_mark **marks,
	       size_t *nr) HF_MUST_CHECK;
/** marks_hold() - is all of it mapped as it was, and locked? */
bool marks_hold(const struct memory_pin *pin);
/** marks_match() - is the mapping @map, cut to [@first, @last], what it was? */
bool marks_match(const struct memory_pin *pin, const struct memory_map *map, uaddr_t first,
		 uaddr_t last);

/* ---- hold.c ---- */

/** hold_take() - the registration of exactly this range that waits, now live. Return: NULL if there
 * is none */
struct memory_pin *hold_take(struct memory_hold *hold, uaddr_t first, uaddr_t end, bool write);
/** hold_keep() - let a registration wait that nobody maps any more. Return: false it may not */
bool hold_keep(struct memory_pin *pin);
/** hold_absorb() - end what waits inside of @pin, which is locked */
void hold_absorb(struct memory_pin *pin);
/** hold_trim() - keep to RLIMIT_MEMLOCK */
void hold_trim(struct memory_hold *hold);
/** hold_give_way() - end the oldest that waits. Return: false nothing waits */
bool hold_give_way(enum memory_evict why);
/** hold_count() - a registration came about */
void hold_count(struct memory_hold *hold, enum memory_got got, bool stale);
struct memory_hold *hold_get(struct memory_hold *hold);
void hold_put(struct memory_hold *hold);
struct memory_space *hold_space(struct memory_hold *hold);

/* ---- keeper.c ---- */

/** keeper_start() - something waits: see to it that it does not do so for ever */
void keeper_start(void);
/** hold_expire() - end what has waited too long at @now_ns. Return: ns until the next is due, -1
 * if nothing waits */
int64_t hold_expire(int64_t now_ns);

/* ---- populate.c ---- */

/**
 * memory_lock_range() - lock and populate [@first, @last], by several threads if it is large
 * The range is in the table, so nothing unlocks it meanwhile.
 * Return: 0; -EFAULT; -ENOMEM. On error part of it may be locked.
 */
int memory_lock_range(uaddr_t first, uaddr_t last, bool write) HF_MUST_CHECK;
/** memory_lock_threads() - use at most @nr threads; 0: one a processor. For tests and benches */
void memory_lock_threads(unsigned int nr);

#endif
