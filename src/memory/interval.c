// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of intervals. It cuts all addresses into intervals of which the same is known
 * throughout. Every question about a range takes a search, and a step an interval in it:
 *
 *   what must be locked or unlocked?   pin.c: what is not ready; what nobody covers any more
 *   what is charged?                   charge.c: of each interval, the payer that has most
 *   what may be kept?                  hold.c: what is ready, looked at, and covered by nobody
 *
 *        edge            edge   mapping    edge         edge
 *   -----|---------------|------.----------|------------|------------  addresses
 *  empty |  1 pin, ready | 2 pins, ready   |    held    | empty
 *        |  file A       | A    |  file B  |    B       |
 *
 * Invariants (table_check()):
 *
 *  (1) Counts change at edges alone. A registration, like a charge, counts an edge at both its
 *	ends and one of each interval between. So its ends stay cut while it lives, and between two
 *	edges the counts are alike.
 *  (2) Where no edge is, two neighbours differ in what is known of them, or one is held. Else they
 *	would be one.
 *  (3) The last interval, and what is below the first, is empty: no count, no fact.
 *  (4) An interval is held only if it is ready, looked at and covered by nobody; owed only if it is
 *	covered by nobody and not held.
 *  (5) What is looked at was one mapping then, or neighbours that nothing tells apart.
 *
 * Cuts are neutral: they change what is known of no address. So a change first makes its cuts,
 * which may want memory, and goes back outside of the lock to get it (-EAGAIN, table_spare()); then
 * it counts, which cannot fail. Taking away needs no memory.
 *
 * A forked child has none of its parent's locks on pages, and the table may have been in the midst
 * of a change: it starts with an empty one.
 */
#include "memory/interval.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "memory/hold.h"
#include "memory/pin.h"

#define NR_SPARES_ADDED 16u
#define NR_SPARES_KEPT  64u
#define NR_DOUBLINGS    12u

static int interval_cmp(const struct interval *a, const struct interval *b)
{
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

RB_HEAD(interval_tree, interval);
RB_PROTOTYPE_INTERNAL(interval_tree, interval, node, interval_cmp, HF_UNUSED static)
RB_GENERATE_INTERNAL(interval_tree, interval, node, interval_cmp, HF_UNUSED static)

struct mutex memory_table_lock = MUTEX_INIT;
static struct interval_tree table GUARDED_BY(memory_table_lock) = RB_INITIALIZER(&table);
static struct interval *spare_intervals GUARDED_BY(memory_table_lock);
static struct payer *spare_payers GUARDED_BY(memory_table_lock);
static unsigned int nr_spare_intervals GUARDED_BY(memory_table_lock);
static unsigned int nr_spare_payers GUARDED_BY(memory_table_lock);
static size_t nr_intervals; /* atomic; written under the lock */
static bool has_forked;     /* const but in a forked child */
static __thread bool inside;

/* ---- the lock, and what is spare ---- */

void table_lock(void)
{
	mutex_lock(&memory_table_lock);
	inside = true;
}

static void free_all(struct interval *intervals, struct payer *payers)
{
	while (intervals) {
		struct interval *next = intervals->next_spare;

		free(intervals);
		intervals = next;
	}
	while (payers) {
		struct payer *next = payers->next;

		free(payers);
		payers = next;
	}
}

void table_unlock(void)
{
	struct interval *intervals = NULL;
	struct payer *payers = NULL;

	while (nr_spare_intervals > NR_SPARES_KEPT) {
		struct interval *i = spare_intervals;

		spare_intervals = i->next_spare;
		i->next_spare = intervals;
		intervals = i;
		nr_spare_intervals--;
	}
	while (nr_spare_payers > NR_SPARES_KEPT) {
		struct payer *p = spare_payers;

		spare_payers = p->next;
		p->next = payers;
		payers = p;
		nr_spare_payers--;
	}
	inside = false;
	mutex_unlock(&memory_table_lock);
	free_all(intervals, payers);
}

bool table_is_inside(void)
{
	return inside;
}

bool table_is_empty(void)
{
	return __atomic_load_n(&nr_intervals, __ATOMIC_RELAXED) == 0;
}

bool table_has_forked(void)
{
	return has_forked;
}

static void interval_spare(struct interval *i) REQUIRES(memory_table_lock)
{
	i->next_spare = spare_intervals;
	spare_intervals = i;
	nr_spare_intervals++;
}

static void payer_spare(struct payer *payer) REQUIRES(memory_table_lock)
{
	payer->next = spare_payers;
	spare_payers = payer;
	nr_spare_payers++;
}

int table_spare(unsigned int nth)
{
	unsigned int nr = NR_SPARES_ADDED << (nth < NR_DOUBLINGS ? nth : NR_DOUBLINGS);
	struct interval *intervals = NULL;
	struct payer *payers = NULL;
	int err = 0;

	for (unsigned int n = 0; n < nr && !err; n++) {
		struct interval *i = calloc(1, sizeof(*i));
		struct payer *p = calloc(1, sizeof(*p));

		if (i) {
			i->next_spare = intervals;
			intervals = i;
		}
		if (p) {
			p->next = payers;
			payers = p;
		}
		err = i && p ? 0 : -ENOMEM;
	}
	if (err) {
		free_all(intervals, payers);
		return err;
	}
	mutex_lock(&memory_table_lock);
	while (intervals) {
		struct interval *next = intervals->next_spare;

		interval_spare(intervals);
		intervals = next;
	}
	while (payers) {
		struct payer *next = payers->next;

		payer_spare(payers);
		payers = next;
	}
	mutex_unlock(&memory_table_lock);
	return 0;
}

/* ---- finding ---- */

struct interval *interval_at(uaddr_t addr)
{
	return RB_FIND(interval_tree, &table, &(struct interval){.addr = addr});
}

struct interval *interval_from(uaddr_t addr)
{
	return RB_NFIND(interval_tree, &table, &(struct interval){.addr = addr});
}

struct interval *interval_over(uaddr_t addr)
{
	struct interval *i = interval_from(addr);

	if (i && i->addr == addr)
		return i;
	return i ? interval_prev(i) : RB_MAX(interval_tree, &table);
}

struct interval *interval_next(struct interval *i)
{
	return RB_NEXT(interval_tree, &table, i);
}

struct interval *interval_prev(struct interval *i)
{
	return RB_PREV(interval_tree, &table, i);
}

uaddr_t interval_end(struct interval *i)
{
	struct interval *next = interval_next(i);

	return next ? next->addr : UINT64_MAX;
}

bool interval_is_free(const struct interval *i)
{
	return i->nr_pins == 0 && !i->holder && !i->owed;
}

/* ---- payers ---- */

struct payer *payer_take(struct interval *i, const struct memory_space *space, const void *who)
{
	struct payer *payer = spare_payers;

	if (!payer)
		return NULL;
	spare_payers = payer->next;
	nr_spare_payers--;
	*payer = (struct payer){.next = i->payers, .space = space, .who = who};
	i->payers = payer;
	return payer;
}

void payer_prune(struct interval *i)
{
	struct payer **at = &i->payers, *payer;

	while ((payer = *at)) {
		if (payer->nr > 0) {
			at = &payer->next;
			continue;
		}
		*at = payer->next;
		payer_spare(payer);
	}
}

static void payers_drop(struct interval *i) REQUIRES(memory_table_lock)
{
	for (struct payer *p = i->payers; p; p = p->next)
		p->nr = 0;
	payer_prune(i);
}

static bool payers_copy(struct interval *to, const struct interval *from)
	REQUIRES(memory_table_lock)
{
	for (const struct payer *p = from->payers; p; p = p->next) {
		struct payer *copy = payer_take(to, p->space, p->who);

		if (!copy)
			return false;
		copy->nr = p->nr;
	}
	return true;
}

/* ---- cutting and joining ---- */

/* What is known of @i at @addr and above. */
static struct memory_source source_at(const struct interval *i, uaddr_t addr)
{
	struct memory_source source = i->source;

	if (source.ino != 0)
		source.off += addr - i->addr;
	return source;
}

static bool copy_above(struct interval *fresh, const struct interval *i) REQUIRES(memory_table_lock)
{
	if (!payers_copy(fresh, i)) {
		payers_drop(fresh);
		return false;
	}
	fresh->nr_pins = i->nr_pins;
	fresh->ready = i->ready;
	fresh->looked = i->looked;
	fresh->clients = i->clients;
	fresh->source = source_at(i, fresh->addr);
	return true;
}

/* The interval that @addr is in, perhaps just behind @hint. */
static struct interval *find(struct interval *hint, uaddr_t addr) REQUIRES(memory_table_lock)
{
	struct interval *next = hint ? interval_next(hint) : NULL;

	if (!next || next->addr < addr)
		return interval_over(addr);
	return next->addr == addr ? next : hint;
}

struct interval *interval_cut(struct interval *hint, uaddr_t addr)
{
	struct interval *i = find(hint, addr), *fresh = spare_intervals;

	if (i && i->addr == addr)
		return i;
	if (!fresh)
		return NULL;
	spare_intervals = fresh->next_spare;
	nr_spare_intervals--;
	*fresh = (struct interval){.addr = addr};
	if (i && !copy_above(fresh, i)) {
		interval_spare(fresh);
		return NULL;
	}
	RB_INSERT(interval_tree, &table, fresh);
	__atomic_fetch_add(&nr_intervals, 1, __ATOMIC_RELAXED);
	if (i && i->holder)
		held_split(i, fresh);
	if (i && i->owed)
		owed_split(i, fresh);
	return fresh;
}

static const struct interval nothing;

/* Without an edge between them their counts are alike (1). */
static bool is_alike(const struct interval *a, const struct interval *b)
{
	struct memory_source source = source_at(a, b->addr);

	if (a->holder || b->holder || a->ready != b->ready || a->looked != b->looked ||
	    a->clients != b->clients || a->owed != b->owed)
		return false;
	return !a->looked ||
	       (source.dev == b->source.dev && source.ino == b->source.ino &&
		source.off == b->source.off && source.shared_file == b->source.shared_file);
}

static void join(struct interval *i) REQUIRES(memory_table_lock)
{
	struct interval *prev;

	if (i->nr_edges > 0)
		return;
	prev = interval_prev(i);
	if (!is_alike(prev ? prev : &nothing, i))
		return;
	if (i->owed)
		owed_remove(i);
	RB_REMOVE(interval_tree, &table, i);
	__atomic_fetch_sub(&nr_intervals, 1, __ATOMIC_RELAXED);
	payers_drop(i);
	interval_spare(i);
}

void interval_join(struct interval *i, uaddr_t end)
{
	struct interval *next;

	for (; i && i->addr <= end; i = next) {
		next = interval_next(i);
		join(i);
	}
}

/* ---- fork ---- */

static void forked(void) NO_TSA
{
	mutex_init(&memory_table_lock);
	inside = false;
	RB_INIT(&table);
	__atomic_store_n(&nr_intervals, 0, __ATOMIC_RELAXED);
	spare_intervals = NULL;
	spare_payers = NULL;
	nr_spare_intervals = nr_spare_payers = 0;
	has_forked = true;
	held_forget();
	owed_forget();
}

static void __attribute__((constructor)) watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

/* ---- invariants ---- */

#ifdef HOLDFAST_TESTS
static bool is_empty(const struct interval *i)
{
	return interval_is_free(i) && !i->payers && i->ready == INTERVAL_NOT_READY && !i->looked &&
	       !i->clients;
}

static unsigned int nr_paid(const struct interval *i)
{
	unsigned int nr = 0;

	for (const struct payer *p = i->payers; p; p = p->next) {
		assert(p->nr > 0);
		nr += p->nr;
	}
	return nr;
}

void table_check(void)
{
	const struct interval *prev = &nothing;
	struct interval *i;
	size_t nr = 0;

	table_lock();
	RB_FOREACH (i, interval_tree, &table) {
		bool counts_alike = i->nr_pins == prev->nr_pins && nr_paid(i) == nr_paid(prev);

		assert(i->nr_edges > 0 || counts_alike);                          /* (1) */
		assert(i->nr_edges > 0 || !is_alike(prev, i));                    /* (2) */
		assert(interval_next(i) || is_empty(i));                          /* (3) */
		assert(!i->holder || (i->ready && i->looked && i->nr_pins == 0)); /* (4) */
		assert(!i->owed || (!i->holder && i->nr_pins == 0));              /* (4) */
		assert(i->nr_pins > 0 || i->holder || i->owed ||
		       (!i->looked && !i->clients && !i->ready));
		prev = i;
		nr++;
	}
	assert(nr == __atomic_load_n(&nr_intervals, __ATOMIC_RELAXED));
	table_unlock();
}
#endif
