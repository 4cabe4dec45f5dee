// SPDX-License-Identifier: BSD-3-Clause
/*
 * Page locks do not nest: one munlock(2) undoes any number of mlock(2). Registrations of one
 * process may overlap, so a table for the process counts them, and munlock happens only where none
 * is left.
 *
 * The table is an ordered set of boundaries. A boundary says of the addresses from it up to the
 * next one how many registrations cover them: all (`nr_pins`), those that are populated and locked
 * for reading and for writing (`nr_ready`), those that are mapped and do not just wait (`nr_live`);
 * and how many registrations start or end at it (`nr_edges`). It goes when that number is 0, for
 * then its neighbours' coverage is the same. So there are at most two boundaries a registration,
 * and taking one away never needs memory.
 *
 *  (1) A registration is entered in the table before it is locked, and munlock runs under the
 *	table's lock on addresses without any. So no munlock can hit a page after its mlock while a
 *	registration covers it, and the long work, lock and population, runs outside of the table's
 *	lock.
 *  (2) What another registration has locked and populated already is only looked at, not locked
 *	again: the second device of a process pays for questions, not for pages. An answer that is
 *	not as expected (the client has mapped something else there) makes it work like any other.
 *  (3) munlock in the midst of a locked mapping splits it and can fail for want of mappings
 *	(vm.max_map_count). Such ranges are a debt, kept as one hull, and settled when nothing is
 *	left in it.
 *  (4) A held registration unlocks only what still is the mapping that it had locked.
 *
 * Limit: what the client itself has locked is unlocked with the last registration over it. The
 * kernel has no cheap question for it.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/refuse.h"
#include "memory/pin.h"

#define NR_SPANS 32

/* By number: the sanitizers turn the library's munlock into nothing. */
static int unlock_pages(uaddr_t first, uint64_t len)
{
	return syscall(SYS_munlock, first, len) < 0 ? -errno : 0;
}

struct boundary {
	RB_ENTRY(boundary) node;
	uaddr_t addr;         /* page aligned */
	unsigned int nr_pins; /* covering [addr, next boundary) */
	unsigned int
		nr_ready[2];  /* of them, locked and populated: for reading at least, for writing */
	unsigned int nr_live; /* of them, mapped */
	unsigned int nr_edges; /* registrations that start or end here */
	struct boundary *next_free;
};

static int boundary_cmp(const struct boundary *a, const struct boundary *b)
{
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

RB_HEAD(boundary_tree, boundary);
RB_PROTOTYPE_INTERNAL(boundary_tree, boundary, node, boundary_cmp, HF_UNUSED static)
RB_GENERATE_INTERNAL(boundary_tree, boundary, node, boundary_cmp, HF_UNUSED static)

struct mutex memory_pins_lock = MUTEX_INIT;
static struct boundary_tree table GUARDED_BY(memory_pins_lock) = RB_INITIALIZER(&table);
static uaddr_t debt_first GUARDED_BY(memory_pins_lock); /* hull of what could not be unlocked */
static uaddr_t debt_end GUARDED_BY(memory_pins_lock);   /* == debt_first: no debt */
static uint64_t waiting_bytes GUARDED_BY(memory_pins_lock);
static struct boundary *free_boundaries GUARDED_BY(memory_pins_lock);
static struct memory_pin *free_pins GUARDED_BY(memory_pins_lock);
static __thread bool inside;

void pins_lock(void)
{
	mutex_lock(&memory_pins_lock);
	inside = true;
}

void pins_unlock(void)
{
	struct boundary *boundary = free_boundaries;
	struct memory_pin *pin = free_pins;

	free_boundaries = NULL;
	free_pins = NULL;
	inside = false;
	mutex_unlock(&memory_pins_lock);
	while (boundary) {
		struct boundary *next = boundary->next_free;

		free(boundary);
		boundary = next;
	}
	while (pin) {
		struct memory_pin *next = pin->next_free;

		hold_put(pin->hold);
		free(pin->marks);
		free(pin);
		pin = next;
	}
}

bool pins_is_inside(void)
{
	return inside;
}

uint64_t pins_waiting_bytes(void)
{
	return waiting_bytes;
}

/* The boundary at @fresh->addr: the one that is there, or else *@fresh, which then is taken. */
static struct boundary *boundary_ensure(struct boundary **fresh) REQUIRES(memory_pins_lock)
{
	struct boundary *b = *fresh, *there = RB_INSERT(boundary_tree, &table, b), *prev;

	if (there)
		return there;
	prev = RB_PREV(boundary_tree, &table, b);
	if (prev) {
		b->nr_pins = prev->nr_pins;
		b->nr_ready[0] = prev->nr_ready[0];
		b->nr_ready[1] = prev->nr_ready[1];
		b->nr_live = prev->nr_live;
	}
	*fresh = NULL;
	return b;
}

static void boundary_release(struct boundary *b) REQUIRES(memory_pins_lock)
{
	if (--b->nr_edges > 0)
		return;
	RB_REMOVE(boundary_tree, &table, b);
	b->next_free = free_boundaries;
	free_boundaries = b;
}

static struct boundary *boundary_new(uaddr_t addr)
{
	struct boundary *b = calloc(1, sizeof(*b));

	if (b)
		b->addr = addr;
	return b;
}

static struct boundary *boundary_at(uaddr_t addr) REQUIRES(memory_pins_lock)
{
	struct boundary *b = RB_FIND(boundary_tree, &table, &(struct boundary){.addr = addr});

	assert(b);
	return b;
}

static struct boundary *boundary_next(struct boundary *b) REQUIRES(memory_pins_lock)
{
	return RB_NEXT(boundary_tree, &table, b);
}

static bool is_waiting(const struct boundary *b)
{
	return b->nr_pins > 0 && b->nr_live == 0;
}

/* ---- counts ---- */

/* A change of the counts of all of a registration's range. */
struct change {
	int pins, ready[2], live;
};

static void table_change(const struct memory_pin *pin, struct change by) REQUIRES(memory_pins_lock)
{
	struct boundary *b, *next;

	for (b = boundary_at(pin->first); b->addr != pin->end; b = next) {
		next = boundary_next(b);
		if (is_waiting(b))
			waiting_bytes -= next->addr - b->addr;
		b->nr_pins += (unsigned int)by.pins;
		b->nr_ready[0] += (unsigned int)by.ready[0];
		b->nr_ready[1] += (unsigned int)by.ready[1];
		b->nr_live += (unsigned int)by.live;
		if (is_waiting(b))
			waiting_bytes += next->addr - b->addr;
	}
}

void pin_set_live(struct memory_pin *pin, int by)
{
	table_change(pin, (struct change){.live = by});
}

static void pin_set_ready(struct memory_pin *pin) REQUIRES(memory_pins_lock)
{
	pin->ready = true;
	table_change(pin, (struct change){.ready = {1, pin->write ? 1 : 0}});
}

/* ---- a new registration ---- */

/* A part of a range that is locked by others already, or not. */
struct span {
	uaddr_t first, last;
	bool ready;
};
struct spans {
	struct span v[NR_SPANS];
	size_t nr;
};

/* What does not fit is not ready. */
static void spans_add(struct spans *spans, uaddr_t first, uaddr_t last, bool ready)
{
	struct span *prev = spans->nr ? &spans->v[spans->nr - 1] : NULL;

	if (prev && (prev->ready == ready || spans->nr == NR_SPANS)) {
		prev->ready &= ready;
		prev->last = last;
		return;
	}
	spans->v[spans->nr++] = (struct span){first, last, ready};
}

/* Enter @pin, live. @spans: [out] what is ready in it. Return: 0 or -ENOMEM */
static int table_add(const struct memory_pin *pin, struct spans *spans)
{
	struct boundary *fresh_first = boundary_new(pin->first);
	struct boundary *fresh_end = boundary_new(pin->end);
	struct boundary *b, *stop, *next;
	int err = -ENOMEM;

	if (fresh_first && fresh_end) {
		pins_lock();
		b = boundary_ensure(&fresh_first);
		stop = boundary_ensure(&fresh_end);
		b->nr_edges++;
		stop->nr_edges++;
		for (; b != stop; b = next) {
			next = boundary_next(b);
			spans_add(spans, b->addr, next->addr - 1, b->nr_ready[pin->write] > 0);
		}
		table_change(pin, (struct change){.pins = 1, .live = 1});
		pins_unlock();
		err = 0;
	}
	free(fresh_first);
	free(fresh_end);
	return err;
}

static int span_lock(const struct memory_pin *pin, const struct span *span, bool *locked)
{
	if (span->ready && marks_take(span->first, span->last, pin->write, NULL, NULL) == 0)
		return 0;
	*locked = true;
	return memory_lock_range(span->first, span->last, pin->write);
}

/* Lock what is not. @locked: [out] was there anything to lock? */
static int spans_lock(struct memory_pin *pin, const struct spans *spans, bool *locked)
{
	int err = 0;

	*locked = false;
	/* The usual second device: one look for both the check and the marks. */
	if (pin->hold && spans->nr == 1 && spans->v[0].ready &&
	    marks_take(pin->first, pin->end - 1, pin->write, &pin->marks, &pin->nr_marks) == 0)
		return 0;
	for (size_t i = 0; i < spans->nr && !err; i++)
		err = span_lock(pin, &spans->v[i], locked);
	/* Without marks it is never held, which is all that can go wrong here. */
	if (!err && pin->hold &&
	    marks_take(pin->first, pin->end - 1, pin->write, &pin->marks, &pin->nr_marks))
		refuse_clear();
	return err;
}

static struct memory_pin *pin_new(uaddr_t first, uaddr_t last, bool write, struct memory_hold *hold)
{
	struct memory_pin *pin = calloc(1, sizeof(*pin));

	if (pin) {
		pin->first = first;
		pin->end = last + 1;
		pin->write = write;
		pin->hold = hold_get(hold);
	}
	return pin;
}

static int pin_make(uaddr_t first, uaddr_t last, bool write, struct memory_hold *hold, bool stale,
		    struct memory_pin **out)
{
	struct memory_pin *pin = pin_new(first, last, write, hold);
	struct spans spans = {.nr = 0};
	bool locked;
	int err = pin ? table_add(pin, &spans) : -ENOMEM;

	if (err) {
		if (pin)
			hold_put(pin->hold);
		free(pin);
		return err;
	}
	if (!hold)
		spans = (struct spans){.v = {{first, last, false}}, .nr = 1};
	err = spans_lock(pin, &spans, &locked);
	if (err) {
		memory_pin_end(pin);
		return err;
	}
	pins_lock();
	pin_set_ready(pin);
	pins_unlock();
	hold_absorb(pin);
	hold_count(hold, locked ? MEMORY_GOT_NEW : MEMORY_GOT_SHARED, stale);
	*out = pin;
	return 0;
}

int memory_pin(uaddr_t first, uaddr_t last, bool write, struct memory_hold *hold,
	       struct memory_pin **out)
{
	struct memory_pin *pin = hold ? hold_take(hold, first, last + 1, write) : NULL;
	bool stale = false;
	int err = 0;

	if (pin && marks_hold(pin)) {
		hold_count(hold, MEMORY_GOT_HELD, false);
		*out = pin;
	} else {
		if (pin) {
			refuse_clear();
			memory_pin_end(pin);
			stale = true;
		}
		err = pin_make(first, last, write, hold, stale, out);
	}
	if (!err)
		hold_trim(hold);
	return err;
}

/* ---- the end of one ---- */

static void owe(uaddr_t first, uaddr_t end) REQUIRES(memory_pins_lock)
{
	if (debt_first == debt_end) {
		debt_first = first;
		debt_end = end;
	}
	if (first < debt_first)
		debt_first = first;
	if (end > debt_end)
		debt_end = end;
}

/* munlock stops at the first hole, so each mapping is unlocked by itself: if @pin is given, only
 * what it had locked. */
static void unlock_each(uaddr_t first, uaddr_t end, const struct memory_pin *pin)
	REQUIRES(memory_pins_lock)
{
	struct memory_maps maps;
	struct memory_map map;

	if (memory_maps_open(&maps, MEMORY_MAPS_BEST))
		return;
	while (first < end && memory_maps_find(&maps, first, &map) > 0 && map.first < end) {
		uaddr_t from = map.first < first ? first : map.first;
		uaddr_t to = map.last < end - 1 ? map.last + 1 : end;

		if (!pin || marks_match(pin, &map, from, to - 1))
			if (unlock_pages(from, to - from))
				owe(from, to);
		first = to;
	}
	memory_maps_close(&maps);
}

static void range_unlock(uaddr_t first, uaddr_t end, const struct memory_pin *pin)
	REQUIRES(memory_pins_lock)
{
	if (pin && pin->nr_marks > 0)
		unlock_each(first, end, pin);
	else if (unlock_pages(first, end - first))
		unlock_each(first, end, NULL);
}

static void debt_settle(void) REQUIRES(memory_pins_lock)
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
	range_unlock(first, end, NULL);
}

void pin_remove(struct memory_pin *pin)
{
	int ready = pin->ready ? -1 : 0;
	struct boundary *start = boundary_at(pin->first), *b;
	uaddr_t free_from = 0;
	bool in_free = false;

	table_change(pin, (struct change){.pins = -1, .ready = {ready, pin->write ? ready : 0}});
	for (b = start; b->addr != pin->end; b = boundary_next(b)) {
		if (b->nr_pins == 0 && !in_free)
			free_from = b->addr;
		if (b->nr_pins > 0 && in_free)
			range_unlock(free_from, b->addr, pin);
		in_free = b->nr_pins == 0;
	}
	if (in_free)
		range_unlock(free_from, pin->end, pin);
	boundary_release(start);
	boundary_release(b);
	debt_settle();
	pin->next_free = free_pins;
	free_pins = pin;
}

void memory_pin_end(struct memory_pin *pin)
{
	pins_lock();
	pin_set_live(pin, -1);
	pin_remove(pin);
	pins_unlock();
}

void memory_unpin(struct memory_pin *pin)
{
	if (!hold_keep(pin))
		memory_pin_end(pin);
}
