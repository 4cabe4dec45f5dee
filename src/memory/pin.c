// SPDX-License-Identifier: BSD-3-Clause
/*
 * Registrations. Page locks do not nest: one munlock(2) undoes any number of mlock(2), the client's
 * own among them. So the table counts what registrations cover (interval.h), and munlock happens
 * only where none is left and where the client had no lock before.
 *
 *  (1) A registration is entered in the table before it is locked, and munlock runs under the
 *	table's lock on addresses without any. So no munlock can hit a page after its mlock while a
 *	registration covers it, and the long work, lock and population, runs outside of the table's
 *	lock.
 *  (2) What another registration has locked already, or what is held, is only looked at: for each
 *	mapping, whether it is the same and locked. An answer that is not as expected (the client
 *	has mapped something else there) makes it work like any other.
 *  (3) Where nothing is registered, held or owed, a lock is the client's own. It is noted when a
 *	registration enters, and outlives it. Where what was looked at has gone, so has our lock,
 *	and a lock that is there now is the client's, too.
 *  (4) A lock that the client takes or gives back while memory is registered is told by the
 *	preload library (memory_client_locked(), memory_client_unlocked()). A raw system call is not
 *	seen.
 */
#include "memory/pin.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/refuse.h"
#include "base/trace.h"

#define NR_SPANS 32

/* A part of a range that is locked already, or not. */
struct span {
	uaddr_t first, end;
	bool ready;
};

/* A registration that comes about. */
struct coming {
	uaddr_t first, end;
	enum interval_ready want;
	struct memory_hold *hold;
	bool refused;                  /* the memory does not permit it: locking will say why */
	bool stale;                    /* something held was no longer the same */
	bool taken_over;               /* something was held */
	struct interval *start, *stop; /* of @first and @end; table lock */
	struct span spans[NR_SPANS];
	size_t nr_spans;
};

/* ---- looking ---- */

static bool is_usable(const struct memory_map *map, enum interval_ready want)
{
	return map && map->readable && (map->writable || want < INTERVAL_WRITABLE);
}

/* Does it bear the lock that it is to have? */
static bool is_kept(const struct memory_map *map, bool locked)
{
	return map && (locked || memory_map_is_huge(map));
}

/* look_fn: what is known of an interval, and is it still true? */
static void judge(void *arg, struct interval *i, const struct memory_map *map, bool locked) NO_TSA
{
	struct coming *c = arg;
	bool known = i->looked || i->ready;

	c->refused |= !is_usable(map, c->want);
	if (interval_is_free(i) || !locked)
		i->clients = locked;
	if (!known || (is_kept(map, locked) && (!i->looked || look_is_same(i, map, i->addr))))
		return;
	c->stale |= i->holder != NULL;
	if (map) /* without a map, it may still be our own */
		i->clients = locked;
	i->looked = false;
	i->ready = INTERVAL_NOT_READY;
}

/* look_fn: it has been locked; what is it? */
static void note(void *arg, struct interval *i, const struct memory_map *map, bool locked) NO_TSA
{
	struct coming *c = arg;

	if (!is_kept(map, locked) || !is_usable(map, c->want))
		return;
	i->source = look_source(map, i->addr);
	i->looked = true;
	if (i->ready < c->want)
		i->ready = c->want;
}

/* Is there anything to be judged? Most often there is not, and one question suffices for that. */
static bool must_look(const struct coming *c) REQUIRES(memory_table_lock)
{
	for (struct interval *i = c->start; i != c->stop; i = interval_next(i)) {
		if (i->looked || i->clients || (c->hold && i->ready))
			return true;
		if (interval_is_free(i) && look_any_locked(i->addr, interval_end(i)))
			return true;
	}
	return false;
}

/* ---- a new registration ---- */

/* What does not fit is not ready. */
static void spans_add(struct coming *c, uaddr_t first, uaddr_t end, bool ready)
{
	struct span *prev = c->nr_spans ? &c->spans[c->nr_spans - 1] : NULL;

	if (prev && (prev->ready == ready || c->nr_spans == NR_SPANS)) {
		prev->ready &= ready;
		prev->end = end;
		return;
	}
	c->spans[c->nr_spans++] = (struct span){first, end, ready};
}

/* Let there be intervals at both ends. Return: 0; -EAGAIN nothing is spare */
static int cut_ends(struct coming *c) REQUIRES(memory_table_lock)
{
	c->start = interval_cut(NULL, c->first);
	c->stop = c->start ? interval_cut(c->start, c->end) : NULL;
	return c->stop ? 0 : -EAGAIN;
}

/* Nothing comes of it: what is free has no facts, and cuts that separate nothing go. */
static void take_back(const struct coming *c) REQUIRES(memory_table_lock)
{
	struct interval *i = interval_from(c->first);

	for (; i && i->addr < c->end; i = interval_next(i))
		if (interval_is_free(i))
			i->clients = false;
	interval_join(interval_from(c->first), c->end);
}

/* Return: 0; -EAGAIN nothing is spare. Until it counts, all that it does may be done again. */
static int enter(struct coming *c) REQUIRES(memory_table_lock)
{
	int err = cut_ends(c);

	if (!err && must_look(c))
		err = look_each(c->start, c->end, judge, c);
	if (err)
		return err;
	c->start->nr_edges++;
	c->stop->nr_edges++;
	for (struct interval *i = c->start; i != c->stop; i = interval_next(i)) {
		spans_add(c, i->addr, interval_end(i),
			  c->hold && !c->refused && i->ready >= c->want);
		c->taken_over |= i->holder != NULL;
		if (i->holder)
			held_remove(i);
		if (i->owed)
			owed_remove(i);
		i->nr_pins++;
	}
	interval_join(c->start, c->end);
	return 0;
}

/* All of it is locked. Without a look it is never held, which is all that can go wrong here. */
static int settle(struct coming *c) REQUIRES(memory_table_lock)
{
	int err = cut_ends(c);

	if (!err && c->hold)
		err = look_each(c->start, c->end, note, c);
	if (err)
		return err;
	for (struct interval *i = c->start; !c->hold && i != c->stop; i = interval_next(i))
		if (i->ready < c->want)
			i->ready = c->want;
	interval_join(c->start, c->end);
	return 0;
}

/* Under the lock, as often as it runs out of what is spare. Return: 0; -ENOMEM */
static int with_spares(int (*step)(struct coming *c), struct coming *c)
{
	int err;

	for (unsigned int nth = 0;; nth++) {
		table_lock();
		err = step(c);
		if (err)
			take_back(c);
		table_unlock();
		if (err != -EAGAIN)
			return err;
		err = table_spare(nth);
		if (err)
			return err;
	}
}

/* Lock what is not. @locked: [out] was there anything to lock? */
static int spans_lock(const struct coming *c, bool *locked)
{
	int err = 0;

	*locked = false;
	for (size_t n = 0; n < c->nr_spans && !err; n++) {
		if (c->spans[n].ready)
			continue;
		*locked = true;
		err = memory_lock_range(c->spans[n].first, c->spans[n].end - 1,
					c->want == INTERVAL_WRITABLE);
	}
	return err;
}

int memory_pin(uaddr_t first, uaddr_t last, bool write, struct memory_hold *hold)
{
	struct coming c = {
		.first = first,
		.end = last + 1,
		.want = write ? INTERVAL_WRITABLE : INTERVAL_READABLE,
		.hold = hold,
	};
	bool locked;
	int err = with_spares(enter, &c);

	if (err)
		return err;
	err = spans_lock(&c, &locked);
	if (err) {
		memory_unpin(first, last, hold, false);
		return err;
	}
	if (locked && with_spares(settle, &c))
		refuse_clear();
	hold_count(hold,
		   locked         ? MEMORY_GOT_NEW
		   : c.taken_over ? MEMORY_GOT_HELD
				  : MEMORY_GOT_SHARED,
		   c.stale);
	hold_trim(hold);
	return 0;
}

/* ---- the end of one ---- */

/* May what only this registration covers be held? */
static bool make_room(struct interval *start, uaddr_t end, struct memory_hold *hold)
	REQUIRES(memory_table_lock)
{
	uint64_t len = 0;

	for (struct interval *i = start; i->addr < end; i = interval_next(i))
		if (i->nr_pins == 1 && held_may(i))
			len += interval_end(i) - i->addr;
	return len > 0 && held_room(hold, len);
}

static void leave(struct interval *start, uaddr_t end, struct memory_hold *hold, bool keep)
	REQUIRES(memory_table_lock)
{
	struct interval *prev = interval_prev(start), *i;
	int64_t now_ns = keep ? clock_now_ns() : 0;
	struct releaser r = {.open = false};

	/* A neighbour that is owed may be easier to unlock now. */
	if (prev && prev->owed)
		release(&r, prev);
	for (i = start; i->addr != end; i = interval_next(i)) {
		if (--i->nr_pins > 0)
			continue;
		if (keep && held_may(i))
			held_insert(i, hold, now_ns);
		else
			release(&r, i);
	}
	if (i->owed)
		release(&r, i);
	release_done(&r);
	start->nr_edges--;
	i->nr_edges--;
	interval_join(prev ? prev : start, interval_end(i));
	release_owed(false);
}

void memory_unpin(uaddr_t first, uaddr_t last, struct memory_hold *hold, bool keep)
{
	struct interval *start;
	bool kept = false;

	table_lock();
	start = interval_at(first);
	if (start) {
		kept = keep && hold && make_room(start, last + 1, hold);
		leave(start, last + 1, hold, kept);
	} else {
		assert(table_has_forked());
	}
	table_unlock();
	if (kept) {
		HF_TRACE2(hold_keep, first, last + 1 - first);
		hold_trim(NULL);
	}
	if (kept || release_wants_keeper())
		keeper_start();
}

/* ---- the client's own locks ---- */

/* look_fn: whatever is mapped there now. So it is to be unlocked, too, whatever is mapped there. */
static void lock_again(void *arg, struct interval *i, const struct memory_map *map,
		       bool locked) NO_TSA
{
	i->looked = false;
	if (memory_lock_on_fault(i->addr, interval_end(i) - 1))
		i->ready = INTERVAL_NOT_READY;
}

/* Return: 0; -EAGAIN nothing is spare */
static int set_clients(struct interval *i, struct interval *stop, bool locked)
	REQUIRES(memory_table_lock)
{
	struct interval *next;
	int err = 0;

	for (; i != stop && !err; i = next) {
		next = interval_next(i);
		if (i->owed && locked) {
			owed_remove(i);
			i->ready = INTERVAL_NOT_READY;
			i->looked = false;
		}
		if (i->nr_pins == 0)
			continue;
		i->clients = locked;
		if (!locked)
			err = look_each(i, next->addr, lock_again, NULL);
	}
	return err;
}

static void client_locks(uaddr_t first, uaddr_t last, bool locked)
{
	uaddr_t end = last >= UINT64_MAX - MEMORY_PAGE_SIZE ? UINT64_MAX - (MEMORY_PAGE_SIZE - 1)
							    : (last | (MEMORY_PAGE_SIZE - 1)) + 1;
	struct interval *start, *stop;
	int err;

	first &= ~(uaddr_t)(MEMORY_PAGE_SIZE - 1);
	if (table_is_empty() || table_is_inside() || first >= end)
		return;
	for (unsigned int nth = 0;; nth++) {
		table_lock();
		start = interval_cut(NULL, first);
		stop = start ? interval_cut(start, end) : NULL;
		err = stop ? set_clients(start, stop, locked) : -EAGAIN;
		interval_join(interval_from(first), end);
		table_unlock();
		if (err != -EAGAIN || table_spare(nth))
			return;
	}
}

void memory_client_locked(uaddr_t first, uaddr_t last)
{
	client_locks(first, last, true);
}

void memory_client_unlocked(uaddr_t first, uaddr_t last)
{
	client_locks(first, last, false);
}
