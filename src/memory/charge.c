// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a client's mappings count against RLIMIT_MEMLOCK. Two accounts in one sum.
 *
 *   by number   memory_charge(): so many pages a mapping, as the kernel counts ([2-9])
 *   by range    memory_charge_range(): the same for one payer, which is a device; but a page that
 *               several devices have mapped counts as often as the one device counts it that counts
 *               it most. A second device with the same memory so costs nothing.
 *
 * The table of intervals has a count a payer (interval.h). A charge takes what it needs before the
 * first count changes, and taking one away needs nothing.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/resource.h>

#include "base/refuse.h"
#include "memory/interval.h"

/* ---- the sum ---- */

static int sum_add(struct memory_space *space, uint64_t nr_pages, uint64_t nr_max)
{
	uint64_t charged = __atomic_load_n(&space->nr_charged, __ATOMIC_RELAXED), sum;

	do {
		if (__builtin_add_overflow(charged, nr_pages, &sum) || sum > nr_max)
			return refuse(-ENOMEM,
				      "0x%" PRIx64 " pages more than the 0x%" PRIx64
				      " mapped exceed RLIMIT_MEMLOCK of 0x%" PRIx64 " pages",
				      nr_pages, charged, nr_max);
	} while (!__atomic_compare_exchange_n(&space->nr_charged, &charged, sum, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return 0;
}

uint64_t memory_limit_bytes(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

int memory_charge(struct memory_space *space, uint64_t nr_pages, bool beyond_limit)
{
	uint64_t limit = beyond_limit ? UINT64_MAX : memory_limit_bytes();

	return sum_add(space, nr_pages,
		       limit == UINT64_MAX ? UINT64_MAX : limit / MEMORY_PAGE_SIZE);
}

void memory_uncharge(struct memory_space *space, uint64_t nr_pages)
{
	__atomic_fetch_sub(&space->nr_charged, nr_pages, __ATOMIC_RELAXED);
}

uint64_t memory_charged_pages(struct memory_space *space)
{
	return __atomic_load_n(&space->nr_charged, __ATOMIC_RELAXED);
}

/* ---- by range ---- */

static struct payer *payer_find(const struct interval *i, const struct memory_space *space,
				const void *who)
{
	for (struct payer *p = i->payers; p; p = p->next)
		if (p->who == who && p->space == space)
			return p;
	return NULL;
}

static unsigned int most(const struct interval *i, const struct memory_space *space)
{
	unsigned int max = 0;

	for (const struct payer *p = i->payers; p; p = p->next)
		if (p->space == space && p->nr > max)
			max = p->nr;
	return max;
}

/* Who charges what. */
struct charging {
	struct memory_space *space;
	const void *who;
	uaddr_t first, end;
	struct interval *start, *stop; /* of @first and @end; table lock */
};

static struct charging charging(struct memory_space *space, const void *who, uaddr_t first,
				uint64_t nr_pages)
{
	return (struct charging){
		.space = space,
		.who = who,
		.first = first & ~(uaddr_t)(MEMORY_PAGE_SIZE - 1),
		.end = (first / MEMORY_PAGE_SIZE + nr_pages) * MEMORY_PAGE_SIZE,
	};
}

/* Pages that one more count adds to the sum. Every interval has the payer, perhaps with none. */
static uint64_t cost(const struct charging *c) REQUIRES(memory_table_lock)
{
	uint64_t len = 0;

	for (struct interval *i = c->start; i != c->stop; i = interval_next(i))
		if (payer_find(i, c->space, c->who)->nr == most(i, c->space))
			len += interval_len(i);
	return len / MEMORY_PAGE_SIZE;
}

static void count(const struct charging *c, int by) REQUIRES(memory_table_lock)
{
	c->start->nr_edges += (unsigned int)by;
	c->stop->nr_edges += (unsigned int)by;
	for (struct interval *i = c->start; i != c->stop; i = interval_next(i))
		payer_find(i, c->space, c->who)->nr += (unsigned int)by;
}

/* What is left, or was not needed. */
static void tidy(const struct charging *c) REQUIRES(memory_table_lock)
{
	for (struct interval *i = interval_from(c->first); i && i->addr < c->end;
	     i = interval_next(i))
		payers_prune(i, false);
	interval_join(c->first, c->end);
}

/* Take all that counting needs. Return: false without memory */
static bool prepare(struct charging *c) REQUIRES(memory_table_lock)
{
	c->start = interval_cut_range(c->first, c->end, &c->stop);
	if (!c->start)
		return false;
	for (struct interval *i = c->start; i != c->stop; i = interval_next(i))
		if (!payer_find(i, c->space, c->who) && !payer_take(i, c->space, c->who))
			return false;
	return true;
}

int memory_charge_range(struct memory_space *space, const void *payer, uaddr_t first,
			uint64_t nr_pages, bool beyond_limit)
{
	struct charging c = charging(space, payer, first, nr_pages);
	int err;

	if (nr_pages > UINT64_MAX / MEMORY_PAGE_SIZE - first / MEMORY_PAGE_SIZE)
		return refuse(-ENOMEM, "0x%" PRIx64 " pages are more than any client has",
			      nr_pages);
	table_lock();
	err = prepare(&c) ? memory_charge(space, cost(&c), beyond_limit)
			  : refuse(-ENOMEM, "no memory to account a mapping");
	if (!err)
		count(&c, 1);
	tidy(&c);
	table_unlock();
	return err;
}

/* A forked child has none of its parent's charges, and may have charges of its own there. */
static bool is_charged(struct charging *c) REQUIRES(memory_table_lock)
{
	c->start = interval_at(c->first);
	c->stop = c->start ? interval_at(c->end) : NULL;
	if (!c->stop)
		return false;
	for (struct interval *i = c->start; i != c->stop; i = interval_next(i))
		if (!payer_find(i, c->space, c->who))
			return false;
	return true;
}

void memory_uncharge_range(struct memory_space *space, const void *payer, uaddr_t first,
			   uint64_t nr_pages)
{
	struct charging c = charging(space, payer, first, nr_pages);

	table_lock();
	if (is_charged(&c)) {
		count(&c, -1);
		memory_uncharge(space, cost(&c));
		tidy(&c);
	} else {
		assert(table_process() > 1);
	}
	table_unlock();
}
