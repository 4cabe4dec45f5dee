// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a client's mappings count against RLIMIT_MEMLOCK. Two accounts in one sum.
 *
 *   by number   memory_charge(): so many pages a mapping, as the kernel counts ([2-9])
 *   by range    memory_charge_range(): the same for one payer, which is a device; but a page that
 *               several devices have mapped counts as often as the one device counts it that counts
 *               it most. A second device with the same memory so costs nothing.
 *
 * The ranges are kept as boundaries, each with a count a payer for the addresses up to the next
 * one. All memory that a charge needs is taken before the first count changes, and taking a charge
 * away needs none.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/refuse.h"
#include "memory/charge.h"

struct payer_count {
	const void *payer;
	unsigned int nr; /* mappings; 0: the slot is free */
};

struct charge_boundary {
	RB_ENTRY(charge_boundary) node;
	uint64_t page;         /* number of the first page */
	unsigned int nr_edges; /* charges that start or end here */
	unsigned int nr_slots;
	struct payer_count *slots; /* [owned] for [page, next boundary) */
};

static int charge_cmp(const struct charge_boundary *a, const struct charge_boundary *b)
{
	return a->page < b->page ? -1 : a->page > b->page;
}

RB_PROTOTYPE_INTERNAL(charge_tree, charge_boundary, node, charge_cmp, HF_UNUSED static)
RB_GENERATE_INTERNAL(charge_tree, charge_boundary, node, charge_cmp, HF_UNUSED static)

void charges_init(struct charges *charges)
{
	mutex_init(&charges->lock);
	RB_INIT(&charges->tree);
}

static void boundary_free(struct charge_boundary *b)
{
	if (b)
		free(b->slots);
	free(b);
}

void charges_fini(struct charges *charges) NO_TSA
{
	struct charge_boundary *b;

	while ((b = RB_ROOT(&charges->tree))) {
		RB_REMOVE(charge_tree, &charges->tree, b);
		boundary_free(b);
	}
	mutex_fini(&charges->lock);
}

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

static uint64_t limit_pages(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur / MEMORY_PAGE_SIZE;
}

int memory_charge(struct memory_space *space, uint64_t nr_pages)
{
	return sum_add(space, nr_pages, limit_pages());
}

int memory_charge_beyond_limit(struct memory_space *space, uint64_t nr_pages)
{
	return sum_add(space, nr_pages, UINT64_MAX);
}

void memory_uncharge(struct memory_space *space, uint64_t nr_pages)
{
	__atomic_fetch_sub(&space->nr_charged, nr_pages, __ATOMIC_RELAXED);
}

uint64_t memory_charged_pages(struct memory_space *space)
{
	return __atomic_load_n(&space->nr_charged, __ATOMIC_RELAXED);
}

/* ---- boundaries ---- */

static struct payer_count *slot_of(const struct charge_boundary *b, const void *payer)
{
	for (unsigned int i = 0; i < b->nr_slots; i++)
		if (b->slots[i].nr > 0 && b->slots[i].payer == payer)
			return &b->slots[i];
	return NULL;
}

/* A slot for @payer, its count 0 if it had none. Return: NULL without memory */
static struct payer_count *slot_ensure(struct charge_boundary *b, const void *payer)
{
	struct payer_count *slot = slot_of(b, payer), *larger;

	for (unsigned int i = 0; !slot && i < b->nr_slots; i++)
		if (b->slots[i].nr == 0)
			slot = &b->slots[i];
	if (!slot) {
		larger = reallocarray(b->slots, b->nr_slots + 1, sizeof(*larger));
		if (!larger)
			return NULL;
		b->slots = larger;
		slot = &larger[b->nr_slots++];
		slot->nr = 0;
	}
	slot->payer = payer;
	return slot;
}

static unsigned int most(const struct charge_boundary *b)
{
	unsigned int max = 0;

	for (unsigned int i = 0; i < b->nr_slots; i++)
		if (b->slots[i].nr > max)
			max = b->slots[i].nr;
	return max;
}

/* The boundary at @page, made if need be, with the counts of the one below it. */
static struct charge_boundary *boundary_ensure(struct charges *charges, uint64_t page)
	REQUIRES(charges->lock)
{
	struct charge_boundary *b = calloc(1, sizeof(*b)), *there, *prev;

	if (!b)
		return NULL;
	b->page = page;
	there = RB_INSERT(charge_tree, &charges->tree, b);
	if (there) {
		free(b);
		return there;
	}
	prev = RB_PREV(charge_tree, &charges->tree, b);
	for (unsigned int i = 0; prev && i < prev->nr_slots; i++) {
		struct payer_count *slot;

		if (prev->slots[i].nr == 0)
			continue;
		slot = slot_ensure(b, prev->slots[i].payer);
		if (!slot) {
			RB_REMOVE(charge_tree, &charges->tree, b);
			boundary_free(b);
			return NULL;
		}
		slot->nr = prev->slots[i].nr;
	}
	return b;
}

static void boundary_release(struct charges *charges, struct charge_boundary *b)
	REQUIRES(charges->lock)
{
	if (!b || b->nr_edges > 0)
		return;
	RB_REMOVE(charge_tree, &charges->tree, b);
	boundary_free(b);
}

/* Pages that one more count of @payer in [@b, @stop) adds to the sum. */
static uint64_t cost(struct charge_boundary *b, const struct charge_boundary *stop,
		     const void *payer)
{
	uint64_t pages = 0;

	for (struct charge_boundary *next; b != stop; b = next) {
		struct payer_count *slot = slot_of(b, payer);

		next = RB_NEXT(charge_tree, NULL, b);
		if ((slot ? slot->nr : 0) == most(b))
			pages += next->page - b->page;
	}
	return pages;
}

static bool slots_ensure(struct charge_boundary *b, const struct charge_boundary *stop,
			 const void *payer)
{
	for (; b != stop; b = RB_NEXT(charge_tree, NULL, b))
		if (!slot_ensure(b, payer))
			return false;
	return true;
}

static int charge(struct memory_space *space, const void *payer, struct charge_boundary *start,
		  struct charge_boundary *stop, bool beyond_limit)
{
	int err;

	if (!slots_ensure(start, stop, payer))
		return refuse(-ENOMEM, "no memory to account a mapping");
	err = sum_add(space, cost(start, stop, payer), beyond_limit ? UINT64_MAX : limit_pages());
	if (err)
		return err;
	start->nr_edges++;
	stop->nr_edges++;
	/* Cannot fail now: the slot is there, free or its own. */
	for (struct charge_boundary *b = start; b != stop; b = RB_NEXT(charge_tree, NULL, b))
		slot_ensure(b, payer)->nr++;
	return 0;
}

int memory_charge_range(struct memory_space *space, const void *payer, uaddr_t first,
			uint64_t nr_pages, bool beyond_limit)
{
	struct charges *charges = &space->charges;
	struct charge_boundary *start, *stop = NULL;
	uint64_t page = first / MEMORY_PAGE_SIZE;
	int err = -ENOMEM;

	if (nr_pages > UINT64_MAX / MEMORY_PAGE_SIZE - page)
		return refuse(-ENOMEM, "0x%" PRIx64 " pages are more than any client has",
			      nr_pages);
	mutex_lock(&charges->lock);
	start = boundary_ensure(charges, page);
	if (start)
		stop = boundary_ensure(charges, page + nr_pages);
	if (start && stop)
		err = charge(space, payer, start, stop, beyond_limit);
	if (err) {
		boundary_release(charges, start);
		boundary_release(charges, stop);
	}
	mutex_unlock(&charges->lock);
	return err;
}

void memory_uncharge_range(struct memory_space *space, const void *payer, uaddr_t first,
			   uint64_t nr_pages)
{
	struct charges *charges = &space->charges;
	struct charge_boundary *start, *stop;
	uint64_t page = first / MEMORY_PAGE_SIZE;

	mutex_lock(&charges->lock);
	start = RB_FIND(charge_tree, &charges->tree, &(struct charge_boundary){.page = page});
	stop = RB_FIND(charge_tree, &charges->tree,
		       &(struct charge_boundary){.page = page + nr_pages});
	assert(start && stop);
	for (struct charge_boundary *b = start; b != stop; b = RB_NEXT(charge_tree, NULL, b)) {
		struct payer_count *slot = slot_of(b, payer);

		assert(slot);
		slot->nr--;
	}
	memory_uncharge(space, cost(start, stop, payer));
	start->nr_edges--;
	stop->nr_edges--;
	boundary_release(charges, start);
	boundary_release(charges, stop);
	mutex_unlock(&charges->lock);
}
