// SPDX-License-Identifier: BSD-3-Clause
/*
 * Page locks do not nest: one munlock(2) undoes any number of mlock(2). Pins of one process may
 * overlap, so a table for the process counts them, and munlock happens only where no pin is left.
 *
 * The table is an ordered set of boundaries. A boundary says how many pins cover the addresses from
 * it up to the next one (`nr_pins`), and how many live pins start or end at it (`nr_edges`); it goes when
 * that number is 0, for then its neighbours' coverage is the same. So there are at most two
 * boundaries a pin, and taking a pin away never needs memory.
 *
 *  (1) A pin is entered in the table before mlock, and munlock runs under the table's lock on
 *	addresses without pins. So no munlock can hit a page after its mlock while a pin covers it, and the
 *	long work, lock and population, runs outside of the table's lock.
 *  (2) Lock first, check second. mlock populates as it locks, and on shared files does so faster than
 *	MADV_POPULATE_WRITE alone (280 against 650 ms a GiB of a memfd), but neither tells what was wrong
 *	nor checks permission; MADV_POPULATE_* has the last word on both.
 *  (3) munlock in the midst of a locked mapping splits it and can fail for want of mappings
 *	(vm.max_map_count). Such ranges are a debt, kept as one hull, and settled when no pin is left in it.
 *
 * Limit: what the client itself has locked is unlocked with the last pin over it. The kernel has no
 * cheap question for it.
 */
#include <assert.h>
#include <bsd/sys/tree.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mutex.h"
#include "base/refuse.h"
#include "memory/internal.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* By number: the sanitizers turn the library's mlock and munlock into nothing. */
static int lock_pages(uaddr_t first, uint64_t len, bool on_fault)
{
	return syscall(SYS_mlock2, first, len, on_fault ? MLOCK_ONFAULT : 0) < 0 ? -errno : 0;
}

static int unlock_pages(uaddr_t first, uint64_t len)
{
	return syscall(SYS_munlock, first, len) < 0 ? -errno : 0;
}

struct boundary {
	RB_ENTRY(boundary) node;
	uaddr_t addr;          /* page aligned */
	unsigned int nr_pins;  /* covering [addr, next boundary) */
	unsigned int nr_edges; /* pins that start or end here */
};

static int boundary_cmp(const struct boundary *a, const struct boundary *b)
{
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

RB_HEAD(boundary_tree, boundary);
RB_PROTOTYPE_INTERNAL(boundary_tree, boundary, node, boundary_cmp, HF_UNUSED static)
RB_GENERATE_INTERNAL(boundary_tree, boundary, node, boundary_cmp, HF_UNUSED static)

static struct mutex table_lock = MUTEX_INIT;
static struct boundary_tree table GUARDED_BY(table_lock) = RB_INITIALIZER(&table);
static uaddr_t debt_first GUARDED_BY(table_lock); /* hull of what could not be unlocked */
static uaddr_t debt_end GUARDED_BY(table_lock);   /* == debt_first: no debt */
static bool without_populate;                     /* atomic */

void memory_pin_without_populate(bool on)
{
	__atomic_store_n(&without_populate, on, __ATOMIC_RELAXED);
}

/* The boundary at @fresh->addr: the one that is there, or else *@fresh, which then is taken. */
static struct boundary *boundary_ensure(struct boundary **fresh) REQUIRES(table_lock)
{
	struct boundary *b = *fresh, *there = RB_INSERT(boundary_tree, &table, b), *prev;

	if (there)
		return there;
	prev = RB_PREV(boundary_tree, &table, b);
	b->nr_pins = prev ? prev->nr_pins : 0;
	*fresh = NULL;
	return b;
}

static void boundary_release(struct boundary *b) REQUIRES(table_lock)
{
	if (--b->nr_edges > 0)
		return;
	RB_REMOVE(boundary_tree, &table, b);
	free(b);
}

static struct boundary *boundary_new(uaddr_t addr)
{
	struct boundary *b = calloc(1, sizeof(*b));

	if (b)
		b->addr = addr;
	return b;
}

/* Enter a pin of [@first, @end) in the table. Return: 0 or -ENOMEM */
static int table_add(uaddr_t first, uaddr_t end)
{
	struct boundary *fresh_first = boundary_new(first), *fresh_end = boundary_new(end);
	struct boundary *b, *stop;
	int err = -ENOMEM;

	if (fresh_first && fresh_end) {
		mutex_lock(&table_lock);
		b = boundary_ensure(&fresh_first);
		stop = boundary_ensure(&fresh_end);
		b->nr_edges++;
		stop->nr_edges++;
		for (; b != stop; b = RB_NEXT(boundary_tree, &table, b))
			b->nr_pins++;
		mutex_unlock(&table_lock);
		err = 0;
	}
	free(fresh_first);
	free(fresh_end);
	return err;
}

static int piece_unlock(void *arg, const struct memory_piece *piece) NO_TSA
{
	uaddr_t first = piece->first, end = piece->last + 1;

	if (unlock_pages(first, end - first) == 0)
		return 0;
	if (debt_first == debt_end) {
		debt_first = first;
		debt_end = end;
	}
	if (first < debt_first)
		debt_first = first;
	if (end > debt_end)
		debt_end = end;
	return 0;
}

/* munlock stops at the first hole that the client has made; then each piece is unlocked by itself. */
static void range_unlock(uaddr_t first, uaddr_t end) REQUIRES(table_lock)
{
	if (unlock_pages(first, end - first) == 0)
		return;
	/* Nothing left to unlock above the last mapping, so that error is fine, too. */
	(void)!memory_space_walk_how(MEMORY_MAPS_BEST, first, end - 1, piece_unlock, NULL);
}

static void debt_settle(void) REQUIRES(table_lock)
{
	struct boundary *b, *before;
	uaddr_t first = debt_first, end = debt_end;

	if (likely(first == end))
		return;
	b = RB_NFIND(boundary_tree, &table, &(struct boundary){.addr = first});
	before = b ? RB_PREV(boundary_tree, &table, b) : RB_MAX(boundary_tree, &table);
	if ((b && b->addr < end) || (before && before->nr_pins > 0))
		return;
	debt_first = debt_end = 0;
	range_unlock(first, end);
}

void memory_unpin(uaddr_t first, uaddr_t last)
{
	uaddr_t end = last + 1, free_from = 0;
	struct boundary *start, *b;
	bool in_free = false;

	mutex_lock(&table_lock);
	start = RB_FIND(boundary_tree, &table, &(struct boundary){.addr = first});
	assert(start);
	for (b = start; b->addr != end; b = RB_NEXT(boundary_tree, &table, b)) {
		b->nr_pins--;
		if (b->nr_pins == 0 && !in_free)
			free_from = b->addr;
		if (b->nr_pins > 0 && in_free)
			range_unlock(free_from, b->addr);
		in_free = b->nr_pins == 0;
	}
	if (in_free)
		range_unlock(free_from, end);
	boundary_release(start);
	boundary_release(b);
	debt_settle();
	mutex_unlock(&table_lock);
}

struct access_check {
	bool write;
	uaddr_t covered_to; /* all of the range below is mapped; first address not looked at */
};

static int piece_check(void *arg, const struct memory_piece *piece)
{
	struct access_check *check = arg;

	if (piece->hole_before)
		return refuse(-EFAULT, "nothing is mapped below 0x%" PRIx64, piece->first);
	if (!piece->readable || (check->write && !piece->writable))
		return refuse(-EFAULT, "memory at 0x%" PRIx64 " is not %s", piece->first,
			      check->write ? "writable" : "readable");
	check->covered_to = piece->last + 1;
	return 0;
}

/* Is all of the range mapped with the permission? Return: 0, -EFAULT or -ENOMEM */
static int range_check(uaddr_t first, uaddr_t last, bool write)
{
	struct access_check check = {.write = write, .covered_to = first};
	int err = memory_space_walk_how(MEMORY_MAPS_BEST, first, last, piece_check, &check);

	if (err == 0 && check.covered_to <= last)
		return refuse(-EFAULT, "nothing is mapped at 0x%" PRIx64, check.covered_to);
	return err;
}

/* MADV_POPULATE_* came with 5.14. The question costs one page fault. */
static bool populate_is_there(void)
{
	static int known; /* atomic; 0: not asked, 1: yes, -1: no */
	static const char probe;
	int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (__atomic_load_n(&without_populate, __ATOMIC_RELAXED))
		return false;
	if (answer == 0) {
		void *page = (void *)((uintptr_t)&probe & ~(MEMORY_PAGE_SIZE - 1));

		answer = madvise(page, MEMORY_PAGE_SIZE, MADV_POPULATE_READ) == 0 ? 1 : -1;
		__atomic_store_n(&known, answer, __ATOMIC_RELAXED);
	}
	return answer > 0;
}

static int populate_by_madvise(uaddr_t first, uint64_t len, bool write)
{
	int advice = write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	int ret;

	do
		ret = madvise((void *)(uintptr_t)first, len, advice);
	while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	if (ret == 0)
		return 0;
	/* ENOMEM is a hole or want of memory; the rest is about what is mapped there. */
	if (errno == ENOMEM)
		return range_check(first, first + (len - 1), write) ?: -ENOMEM;
	return refuse(-EFAULT, "memory at 0x%" PRIx64 " of 0x%" PRIx64 " bytes is not %s", first,
		      len, write ? "writable" : "readable");
}

static int range_lock(uaddr_t first, uint64_t len, bool write)
{
	int err, locked = lock_pages(first, len, false);

	if (locked < 0 || !populate_is_there()) {
		err = range_check(first, first + (len - 1), write);
		if (err)
			return err;
	}
	/* Without population only the limit can be in the way. */
	if (locked < 0 && lock_pages(first, len, true) < 0)
		return refuse(-ENOMEM, "the system does not allow to lock 0x%" PRIx64 " bytes more",
			      len);
	if (populate_is_there())
		return populate_by_madvise(first, len, write);
	if (locked == -ENOMEM)
		return refuse(-EFAULT,
			      "memory at 0x%" PRIx64 " of 0x%" PRIx64 " bytes cannot be read",
			      first, len); /* behind the end of its file */
	return locked < 0 ? -ENOMEM : 0;
}

int memory_pin(uaddr_t first, uaddr_t last, bool write)
{
	int err = table_add(first, last + 1);

	if (err)
		return err;
	err = range_lock(first, last - first + 1, write);
	if (err)
		memory_unpin(first, last);
	return err;
}
