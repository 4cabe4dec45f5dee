// SPDX-License-Identifier: BSD-3-Clause
/*
 * The one table of this room: for every address of the process, who has it registered, who pays for
 * it, whether its pages are locked, what was mapped when they were, whether the client had locked
 * them itself, and whether they are held. interval.c has the theory.
 *
 * Owns: the intervals. Private to this room; pin.c, hold.c and charge.c each keep their own fields.
 *
 * Thread rule: one lock guards all of it. Under it, the kept reader's lock is taken (maps.c), and
 * munlock runs. The client's allocator may call munmap, which the preload library watches and which
 * takes this lock. So nothing is allocated or freed under it: table_spare() and table_unlock() do
 * that outside. Before kernel 6.11, a read of the process's map allocates and frees under the lock:
 * whoever comes from there finds table_is_inside() and lets the call pass.
 */
#ifndef HOLDFAST_MEMORY_INTERVAL_H
#define HOLDFAST_MEMORY_INTERVAL_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "base/mutex.h"
#include "memory/internal.h"

struct memory_hold;

/* The pages are locked, and populated for so much. */
enum interval_ready { INTERVAL_NOT_READY, INTERVAL_READABLE, INTERVAL_WRITABLE };

/* What is mapped at an address. */
struct memory_source {
	uint64_t dev, ino, off; /* file, and offset in it: 0 without a file */
	bool shared_file;
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
	enum interval_ready ready;   /* or locked in part at most */
	bool looked;                 /* @source is known */
	bool clients;                /* the client has it locked, too: it stays locked at the end */
	bool owed;                   /* is to be unlocked, and could not be */
	bool unseen;                 /* ... because there was no map to look at */
	struct memory_source source; /* of @addr, when it was locked */
	struct payer *payers;        /* [owned] */
	/* while it is held: ready, looked, and no registration covers it */
	struct memory_hold *holder;      /* [shared] NULL: not held */
	int64_t since_ns;                /* CLOCK_MONOTONIC */
	TAILQ_ENTRY(interval) age;       /* all that are held; oldest first. Or all that are owed */
	TAILQ_ENTRY(interval) of_holder; /* oldest first */
	RB_ENTRY(interval) of_file;      /* by inode number and address */
	struct interval *next_spare;
};
TAILQ_HEAD(interval_list, interval);

extern struct mutex memory_table_lock;

void table_lock(void) ACQUIRES(memory_table_lock);
/** table_unlock() - and free what is spare beyond need */
void table_unlock(void) RELEASES(memory_table_lock);
/** table_is_inside() - does this thread have the lock? */
bool table_is_inside(void);
/** table_is_empty() - no interval at all; one load */
bool table_is_empty(void);
/** table_has_forked() - this process is a child, and has lost what its parent had in the table */
bool table_has_forked(void);
/** table_spare() - outside of the lock: let there be more to cut with, twice as much at each @nth
 * time for one change. Return: 0; -ENOMEM */
int table_spare(unsigned int nth) HF_MUST_CHECK;

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
/** interval_is_free() - neither registered, nor held, nor owed */
bool interval_is_free(const struct interval *i);

/**
 * interval_cut() - let an interval start at @addr; changes what is known of no address
 * @hint: one that starts at or below @addr, the nearer the better; NULL: none is known
 * Return: the interval; NULL nothing is spare: table_spare(), and all over again
 */
struct interval *interval_cut(struct interval *hint, uaddr_t addr) HF_MUST_CHECK
	REQUIRES(memory_table_lock);
/** interval_join() - take out the cuts from @i, which may be NULL, to @end that separate nothing
 * any more */
void interval_join(struct interval *i, uaddr_t end) REQUIRES(memory_table_lock);

/** payer_take() - a payer of @who, once @nr, for @i. Return: NULL nothing is spare */
struct payer *payer_take(struct interval *i, const struct memory_space *space, const void *who)
	REQUIRES(memory_table_lock);
/** payer_prune() - give back the payers that have nothing mapped */
void payer_prune(struct interval *i) REQUIRES(memory_table_lock);

#ifdef HOLDFAST_TESTS
/** table_check() - the invariants; ends the process where one is broken */
void table_check(void);
#endif

/* ---- look.c ---- */

/** look_is_locked() - is the mapping of the page locked, by whomever? */
bool look_is_locked(uaddr_t page);
/** look_any_locked() - is any mapping of [@first, @end) locked? */
bool look_any_locked(uaddr_t first, uaddr_t end);
struct memory_source look_source(const struct memory_map *map, uaddr_t addr);
/** look_is_same() - is @map, at @addr and above, what @i had looked at? */
bool look_is_same(const struct interval *i, const struct memory_map *map, uaddr_t addr);

/**
 * look_fn - an interval of the range, which lies in one mapping
 * @map:    the mapping; NULL: nothing is mapped there, or (without a map) it cannot be told
 * @locked: it is locked, by whomever
 */
typedef void (*look_fn)(void *arg, struct interval *i, const struct memory_map *map, bool locked);

/**
 * look_each() - cut what is from @i to @end at its mappings, and visit each interval
 * Without a map to read, @fn hears whether memory is locked, and nothing else.
 * Return: 0; -EAGAIN as interval_cut(), some have been visited
 */
int look_each(struct interval *i, uaddr_t end, look_fn fn, void *arg) HF_MUST_CHECK
	REQUIRES(memory_table_lock);

/* ---- release.c ---- */

/* A reader of the map that is opened when it is needed. Zero-initialised is closed. */
struct releaser {
	struct memory_maps maps;
	int err; /* of the opening */
	bool open;
};

/** release() - unlock what nobody covers any more, or owe it; ascending addresses a releaser */
void release(struct releaser *r, struct interval *i) REQUIRES(memory_table_lock);
void release_done(struct releaser *r);
/** release_owed() - try what could not be unlocked; @all: all of it, else one interval that a map
 * was missing for */
void release_owed(bool all) REQUIRES(memory_table_lock);
/** release_is_owed() - could something not be unlocked? One load */
bool release_is_owed(void);
/** release_wants_keeper() - is anything owed that nobody else may try again? One load */
bool release_wants_keeper(void);
/** owed_split() - @fresh has been cut off @i, which is owed */
void owed_split(struct interval *i, struct interval *fresh) REQUIRES(memory_table_lock);
/** owed_remove() - it is no longer to be unlocked */
void owed_remove(struct interval *i) REQUIRES(memory_table_lock);
/** owed_forget() - in a forked child, which has no lock */
void owed_forget(void);

#endif
