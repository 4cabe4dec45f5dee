// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of intervals. It cuts all addresses into intervals of which the same is known
 * throughout. Every question about a range takes a search, and a step an interval in it:
 *
 *   what must be locked or unlocked?   pin.c, release.c: what is not ready; what is owed
 *   what is charged?                   charge.c: of each interval, the payer that has most
 *   what may be kept?                  hold.c: what is ready, and covered by nobody
 *
 *        edge            edge   mapping    edge         edge
 *   -----|---------------|------.----------|------------|------------  addresses
 *  empty |  1 pin, ready | 2 pins, ready   |    held    | empty
 *        |  file A       | A    |  file B  |    B       |
 *
 * What an interval is follows from three fields, and nothing else has to be kept in step:
 *
 *   is        lock                  pins  holder   becomes
 *   empty     UNTOUCHED             0     -        locking, when a registration enters
 *   locking   PART                  1..   -        ready, when it is locked and looked at
 *   ready     READABLE or WRITABLE  1..   -        locking, when it is no longer the same; held or
 *                                                  owed, when the last registration leaves
 *   held      READABLE or WRITABLE  0     a hold   ready, when a registration enters; owed, when it
 *                                                  gives way
 *   owed      any but UNTOUCHED     0     -        empty, when it is unlocked; locking or ready,
 *                                                  when a registration enters
 *
 * Invariants (table_check()):
 *
 *  (1) Counts change at edges alone. A registration, like a charge, counts an edge at both its
 *	ends and one of each interval between. So its ends stay cut while it lives, and between two
 *	edges the counts are alike.
 *  (2) Where no edge is, two neighbours differ in what is known of them, or one is held. Else they
 *	would be one.
 *  (3) The last interval, and what is below the first, is empty: no count, UNTOUCHED.
 *  (4) What is registered is not UNTOUCHED. What is held is READABLE or WRITABLE, and covered by
 *	nobody.
 *  (5) What is ready was one mapping when it was looked at, or neighbours that nothing tells apart.
 *
 * Cuts are neutral: they change what is known of no address. So a change first makes its cuts,
 * which need memory, and looks; then it changes counts and facts, which cannot fail. Taking away
 * needs no memory.
 *
 * Memory is the table's own, from mmap(2) by number: the client's allocator must not be called
 * under the lock (interval.h). The table uses again what is free, and the system never gets it
 * back.
 *
 * A forked child has none of its parent's locks on pages, and the table may have been in the midst
 * of a change: it starts with an empty one.
 */
#include "memory/interval.h"

#include <assert.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHUNK_LEN (64u << 10)

/* ---- memory ---- */

struct cell {
	struct cell *next;
};

/* What is free, of one size. */
struct pool {
	size_t cell_len;
	struct cell *free;
};

static struct pool intervals GUARDED_BY(memory_table_lock) = {.cell_len = sizeof(struct interval)};
static struct pool payers GUARDED_BY(memory_table_lock) = {.cell_len = sizeof(struct payer)};

static void pool_give(struct pool *pool, void *p)
{
	struct cell *cell = p;

	cell->next = pool->free;
	pool->free = cell;
}

/* Return: NULL without memory */
static void *pool_take(struct pool *pool)
{
	struct cell *cell;

	if (!pool->free) {
		long at = syscall(SYS_mmap, NULL, CHUNK_LEN, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (size_t n = at < 0 ? 0 : CHUNK_LEN / pool->cell_len; n > 0; n--)
			pool_give(pool, (char *)at + (n - 1) * pool->cell_len);
	}
	cell = pool->free;
	if (cell)
		pool->free = cell->next;
	return cell;
}

/* ---- the table ---- */

static int interval_cmp(const struct interval *a, const struct interval *b)
{
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

RB_HEAD(interval_tree, interval);
RB_PROTOTYPE_INTERNAL(interval_tree, interval, node, interval_cmp, HF_UNUSED static)
RB_GENERATE_INTERNAL(interval_tree, interval, node, interval_cmp, HF_UNUSED static)

struct mutex memory_table_lock = MUTEX_INIT;
static struct interval_tree table GUARDED_BY(memory_table_lock) = RB_INITIALIZER(&table);
static size_t nr_intervals;  /* atomic; written under the lock */
static uint32_t process = 1; /* const but in a forked child */
static __thread bool inside;

void table_lock(void)
{
	mutex_lock(&memory_table_lock);
	inside = true;
}

void table_unlock(void)
{
	inside = false;
	mutex_unlock(&memory_table_lock);
}

bool table_is_inside(void)
{
	return inside;
}

bool memory_any_registered(void)
{
	return __atomic_load_n(&nr_intervals, __ATOMIC_RELAXED) > 0;
}

uint32_t table_process(void)
{
	return process;
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

uint64_t interval_len(struct interval *i)
{
	return interval_end(i) - i->addr;
}

bool interval_is_owed(const struct interval *i)
{
	return i->lock != INTERVAL_UNTOUCHED && i->nr_pins == 0 && !i->holder;
}

/* ---- payers ---- */

struct payer *payer_take(struct interval *i, const struct memory_space *space, const void *who)
{
	struct payer *payer = pool_take(&payers);

	if (!payer)
		return NULL;
	*payer = (struct payer){.next = i->payers, .space = space, .who = who};
	i->payers = payer;
	return payer;
}

void payers_prune(struct interval *i, bool all)
{
	struct payer **at = &i->payers, *payer;

	while ((payer = *at)) {
		if (payer->nr > 0 && !all) {
			at = &payer->next;
			continue;
		}
		*at = payer->next;
		pool_give(&payers, payer);
	}
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

struct memory_source interval_source(const struct interval *i, uaddr_t addr)
{
	struct memory_source source = i->source;

	source_advance(&source, addr - i->addr);
	return source;
}

bool source_is_same(struct memory_source a, struct memory_source b)
{
	return a.ino == b.ino && a.dev == b.dev && a.off == b.off && a.shared_file == b.shared_file;
}

/* What is known of @i, for @addr and above. Return: NULL without memory */
static struct interval *copy_above(const struct interval *i, uaddr_t addr)
	REQUIRES(memory_table_lock)
{
	struct interval *fresh = pool_take(&intervals);

	if (!fresh)
		return NULL;
	*fresh = *i;
	fresh->addr = addr;
	fresh->source = interval_source(i, addr);
	fresh->nr_edges = 0;
	fresh->payers = NULL;
	if (payers_copy(fresh, i))
		return fresh;
	payers_prune(fresh, true);
	pool_give(&intervals, fresh);
	return NULL;
}

static const struct interval nothing;

struct interval *interval_cut(uaddr_t addr)
{
	struct interval *i = interval_over(addr), *fresh;

	if (i && i->addr == addr)
		return i;
	fresh = copy_above(i ? i : &nothing, addr);
	if (!fresh)
		return NULL;
	RB_INSERT(interval_tree, &table, fresh);
	__atomic_fetch_add(&nr_intervals, 1, __ATOMIC_RELAXED);
	if (fresh->holder)
		held_cut(i, fresh);
	return fresh;
}

struct interval *interval_cut_range(uaddr_t first, uaddr_t end, struct interval **stop)
{
	struct interval *start = interval_cut(first);

	*stop = start ? interval_cut(end) : NULL;
	return *stop ? start : NULL;
}

/* Without an edge between them their counts are alike (1). */
static bool is_alike(const struct interval *a, const struct interval *b)
{
	if (a->holder || b->holder || a->lock != b->lock || a->clients != b->clients)
		return false;
	return a->lock < INTERVAL_READABLE ||
	       source_is_same(interval_source(a, b->addr), b->source);
}

static void join(struct interval *i) REQUIRES(memory_table_lock)
{
	struct interval *prev;

	if (i->nr_edges > 0)
		return;
	prev = interval_prev(i);
	if (!is_alike(prev ? prev : &nothing, i))
		return;
	RB_REMOVE(interval_tree, &table, i);
	__atomic_fetch_sub(&nr_intervals, 1, __ATOMIC_RELAXED);
	payers_prune(i, true);
	pool_give(&intervals, i);
}

void interval_join(uaddr_t first, uaddr_t end)
{
	struct interval *next;

	for (struct interval *i = interval_from(first); i && i->addr <= end; i = next) {
		next = interval_next(i);
		join(i);
	}
}

/* ---- fork ---- */

static void forked(void) NO_TSA
{
	mutex_init(&memory_table_lock);
	inside = false;
	process++;
	RB_INIT(&table);
	__atomic_store_n(&nr_intervals, 0, __ATOMIC_RELAXED);
	intervals.free = payers.free = NULL;
	held_forget();
}

static void __attribute__((constructor)) watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

/* ---- invariants ---- */

#ifdef HOLDFAST_TESTS
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
		bool empty = i->lock == INTERVAL_UNTOUCHED && !i->clients && i->nr_pins == 0;

		assert(i->nr_edges > 0 || counts_alike);                                 /* (1) */
		assert(i->nr_edges > 0 || !is_alike(prev, i));                           /* (2) */
		assert(interval_next(i) || (empty && !i->payers));                       /* (3) */
		assert(i->lock != INTERVAL_UNTOUCHED || empty);                          /* (4) */
		assert(!i->holder || (i->lock >= INTERVAL_READABLE && i->nr_pins == 0)); /* (4) */
		prev = i;
		nr++;
	}
	assert(nr == __atomic_load_n(&nr_intervals, __ATOMIC_RELAXED));
	table_unlock();
}
#endif
