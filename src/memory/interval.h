// SPDX-License-Identifier: BSD-3-Clause
/*
 * The one table of this room: for every address of the process, who has it registered, who pays for
 * it, whether its pages are locked, what was mapped when they were, whether the client had locked
 * them itself, and whether they are held. interval.c has the theory.
 *
 * Owns: the intervals, and the indexes of those that are held. Private to this room. pin.c and
 * release.c decide about locks, charge.c about payers, hold.c about what is held.
 *
 * Thread rule: one lock guards all of it. Under it, the kernel is asked what is mapped (maps.c),
 * and munlock runs. Nothing is allocated or freed by the client's allocator under it: that may call
 * munmap, which the preload library watches and which takes this lock. A signal handler of the
 * client may interrupt a thread that has the lock; it finds table_is_inside() and lets its call
 * pass.
 */
#ifndef HOLDFAST_MEMORY_INTERVAL_H
#define HOLDFAST_MEMORY_INTERVAL_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "base/mutex.h"
#include "memory/hold.h"
#include "memory/internal.h"

/* What we have done to the pages of an interval. */
enum interval_lock {
	INTERVAL_UNTOUCHED,
	INTERVAL_PART,     /* locked in part at most, or nobody knows of which mapping */
	INTERVAL_READABLE, /* locked and populated; and the source is known */
	INTERVAL_WRITABLE,
};

/* How often one payer has mapped an interval. */
struct payer {
	struct payer *next;
	const struct memory_space *space;
	const void *who;
	unsigned int nr;
};

/* The addresses from @addr up to the next interval. All fields: the table's lock. */
struct interval {
	RB_ENTRY(interval) node;
	uaddr_t addr;                /* page aligned; const */
	unsigned int nr_edges;       /* registrations and charges that start or end at @addr */
	unsigned int nr_pins;        /* registrations that cover it */
	enum interval_lock lock;     /* by us */
	bool clients;                /* the client has it locked, too: it stays locked at the end */
	bool now_locked;             /* by whomever: as @now */
	struct memory_source source; /* of @addr, when it was locked; from READABLE on */
	struct memory_source now;    /* of @addr: seen by look(), until the lock is dropped */
	struct payer *payers;        /* [owned] */
	struct memory_hold *holder;  /* [shared] NULL: not held */
	/* while it is held */
	int64_t since_ns;                 /* CLOCK_MONOTONIC */
	TAILQ_ENTRY(interval) of_all;     /* oldest first */
	TAILQ_ENTRY(interval) of_holder;  /* oldest first */
	TAILQ_ENTRY(interval) of_limited; /* oldest first, if the holder has a limit */
	RB_ENTRY(interval) of_file;       /* by inode number and address */
};
TAILQ_HEAD(interval_list, interval);

/* What is held: of one device, or of all. Table lock */
struct held {
	struct interval_list list; /* oldest first */
	uint64_t nr_bytes;
	size_t nr; /* atomic; written under the lock */
};

/* A device's share of what is held. hold.c makes it. */
struct memory_hold {
	unsigned int refs;          /* atomic */
	struct memory_space *space; /* [shared] one reference held */
	uint64_t budget;            /* bytes, or MEMORY_HOLD_*; const */
	bool beyond_limit;          /* const */
	/* table lock */
	bool closed;
	struct held held;
	struct memory_hold_counters counters; /* but what is held now */
};

extern struct mutex memory_table_lock;
extern struct held memory_held;           /* by all devices */
extern struct interval_list held_limited; /* by those that have a limit; table lock */

void table_lock(void) ACQUIRES(memory_table_lock);
void table_unlock(void) RELEASES(memory_table_lock);
/** table_is_inside() - does this thread have the lock? */
bool table_is_inside(void);
/** table_process() - a number from 1 on, another one in a forked child: the child has lost what its
 * parent had in the table */
uint32_t table_process(void);

/** interval_at() - the interval that starts at @addr. Return: NULL none does */
struct interval *interval_at(uaddr_t addr) REQUIRES(memory_table_lock);
/** interval_over() - the interval that @addr is in. Return: NULL: below the first */
struct interval *interval_over(uaddr_t addr) REQUIRES(memory_table_lock);
/** interval_from() - the first interval that starts at or above @addr. Return: NULL: none */
struct interval *interval_from(uaddr_t addr) REQUIRES(memory_table_lock);
struct interval *interval_next(struct interval *i) REQUIRES(memory_table_lock);
struct interval *interval_prev(struct interval *i) REQUIRES(memory_table_lock);
/** interval_end() - first address behind it; what has no end is empty */
uaddr_t interval_end(struct interval *i) REQUIRES(memory_table_lock);
uint64_t interval_len(struct interval *i) REQUIRES(memory_table_lock);
/** interval_source() - what was mapped at @addr, which is in @i, when it was locked */
struct memory_source interval_source(const struct interval *i, uaddr_t addr);
bool source_is_same(struct memory_source a, struct memory_source b);
/** interval_is_owed() - it is locked for nobody: to be unlocked, and could not be */
bool interval_is_owed(const struct interval *i);

/** interval_cut() - let an interval start at @addr; changes what is known of no address
 * Return: the interval; NULL without memory */
struct interval *interval_cut(uaddr_t addr) HF_MUST_CHECK REQUIRES(memory_table_lock);
/** interval_cut_range() - let intervals start at @first and at @end
 * Return: that of @first, and that of @end in *@stop; NULL without memory, one cut may be made */
struct interval *interval_cut_range(uaddr_t first, uaddr_t end,
				    struct interval **stop) HF_MUST_CHECK
	REQUIRES(memory_table_lock);
/** interval_join() - take out the cuts in [@first, @end] that separate nothing any more */
void interval_join(uaddr_t first, uaddr_t end) REQUIRES(memory_table_lock);

/** payer_take() - a payer of @who, once @nr, for @i. Return: NULL without memory */
struct payer *payer_take(struct interval *i, const struct memory_space *space,
			 const void *who) HF_MUST_CHECK REQUIRES(memory_table_lock);
/** payers_prune() - give back the payers that have nothing mapped, or @all */
void payers_prune(struct interval *i, bool all) REQUIRES(memory_table_lock);

#ifdef HOLDFAST_TESTS
/** table_check() - the invariants; ends the process where one is broken */
void table_check(void);
#endif

/* ---- held.c ---- */

/** held_add() - hold what nobody covers, and what is ready, from @now_ns on; @len: its bytes */
void held_add(struct interval *i, uint64_t len, struct memory_hold *hold, int64_t now_ns)
	REQUIRES(memory_table_lock);
/** held_remove() - it is no longer held, and still locked */
void held_remove(struct interval *i, uint64_t len) REQUIRES(memory_table_lock);
/** held_cut() - @fresh has been cut off @i, which is held */
void held_cut(struct interval *i, struct interval *fresh) REQUIRES(memory_table_lock);
/** held_of_file() - one that is held, of the file with inode number @ino. Return: NULL none */
struct interval *held_of_file(uint64_t ino) REQUIRES(memory_table_lock);
/** held_forget() - in a forked child, which has no lock */
void held_forget(void);

#endif
