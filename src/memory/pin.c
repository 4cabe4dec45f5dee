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
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/refuse.h"
#include "base/trace.h"

/* A registration that comes about. */
struct coming {
	uaddr_t first, end;
	enum interval_lock want;
	struct memory_hold *hold;
	bool refused;    /* the memory does not permit it: locking will say why */
	bool stale;      /* something held was no longer the same */
	bool taken_over; /* something was held */
	bool locked;     /* something had to be locked */
};

/* ---- entering ---- */

/* Is there anything to be judged? Most often there is not, and one question suffices for that. */
static bool must_look(const struct coming *c, struct interval *start, const struct interval *stop)
	REQUIRES(memory_table_lock)
{
	for (struct interval *i = start; i != stop; i = interval_next(i)) {
		if (i->clients || i->lock >= INTERVAL_READABLE)
			return true;
		if (i->lock == INTERVAL_UNTOUCHED && look_any_locked(i->addr, interval_end(i)))
			return true;
	}
	return false;
}

static bool is_usable(const struct coming *c, const struct interval *i)
{
	return i->now.readable && (i->now.writable || c->want < INTERVAL_WRITABLE);
}

/* What is known of an interval that has been looked at: is it still true? */
static void judge(struct coming *c, struct interval *i) REQUIRES(memory_table_lock)
{
	c->refused |= !is_usable(c, i);
	if (i->lock == INTERVAL_UNTOUCHED || !i->now_locked)
		i->clients = i->now_locked;
	if (i->lock < INTERVAL_READABLE || (look_is_kept(i) && source_is_same(i->source, i->now)))
		return;
	c->stale |= i->holder != NULL;
	if (i->now.mapped) /* without a map, the lock may still be our own */
		i->clients = i->now_locked;
	i->lock = INTERVAL_PART;
}

/* Return: 0; -ENOMEM, and nothing has changed */
static int enter(struct coming *c) REQUIRES(memory_table_lock)
{
	struct interval *stop, *start = interval_cut_range(c->first, c->end, &stop);
	bool looks = start && must_look(c, start, stop);

	if (!start || (looks && look(start, c->end))) {
		interval_join(c->first, c->end);
		return refuse(-ENOMEM, "no memory for a registration");
	}
	start->nr_edges++;
	stop->nr_edges++;
	for (struct interval *i = start; i != stop; i = interval_next(i)) {
		if (looks)
			judge(c, i);
		c->taken_over |= i->holder != NULL;
		if (i->holder)
			held_remove(i, interval_len(i));
		if (i->lock == INTERVAL_UNTOUCHED)
			i->lock = INTERVAL_PART;
		i->nr_pins++;
	}
	interval_join(c->first, c->end);
	return 0;
}

/* ---- locking ---- */

/* Is what is at @addr to be locked? @end: [out] up to where the answer is the same */
static bool is_missing(const struct coming *c, uaddr_t addr, uaddr_t *end)
	REQUIRES(memory_table_lock)
{
	struct interval *i = interval_over(addr);
	bool shares = c->hold && !c->refused, missing = !shares || i->lock < c->want;

	do
		i = interval_next(i);
	while (i->addr < c->end && missing == (!shares || i->lock < c->want));
	*end = i->addr;
	return missing;
}

/* Our edges keep the range in the table, and whoever else changes it makes it better or stale. */
static int lock_missing(struct coming *c)
{
	uaddr_t end;
	int err = 0;

	for (uaddr_t addr = c->first; addr < c->end && !err; addr = end) {
		bool missing;

		table_lock();
		missing = is_missing(c, addr, &end);
		table_unlock();
		if (missing)
			err = memory_lock_range(addr, end - 1, c->want == INTERVAL_WRITABLE);
		c->locked |= missing;
	}
	return err;
}

/* All of it is locked. Without a look it is never shared or held: so nothing can go wrong here, and
 * who has no hold needs none. */
static void settle(struct coming *c) REQUIRES(memory_table_lock)
{
	struct interval *i = interval_at(c->first);
	int err = look(i, c->end);

	for (; !err && i->addr < c->end; i = interval_next(i)) {
		if (!look_is_kept(i) || !is_usable(c, i))
			continue;
		i->source = i->now;
		if (i->lock < c->want)
			i->lock = c->want;
	}
	interval_join(c->first, c->end);
}

int memory_pin(uaddr_t first, uaddr_t last, bool write, struct memory_hold *hold)
{
	struct coming c = {
		.first = first,
		.end = last + 1,
		.want = write ? INTERVAL_WRITABLE : INTERVAL_READABLE,
		.hold = hold,
	};
	int err;

	table_lock();
	err = enter(&c);
	table_unlock();
	if (err)
		return err;
	err = lock_missing(&c);
	if (err) {
		memory_unpin(first, last, hold, false);
		return err;
	}
	if (c.locked && hold) {
		table_lock();
		settle(&c);
		table_unlock();
	}
	hold_count(hold,
		   c.locked       ? MEMORY_GOT_NEW
		   : c.taken_over ? MEMORY_GOT_HELD
				  : MEMORY_GOT_SHARED,
		   c.stale);
	hold_trim(hold, true);
	return 0;
}

/* ---- the end of one ---- */

/* May what only this registration covers be held? */
static bool make_room(struct interval *start, uaddr_t end, struct memory_hold *hold)
	REQUIRES(memory_table_lock)
{
	uint64_t len = 0;

	for (struct interval *i = start; i->addr < end; i = interval_next(i))
		if (i->nr_pins == 1 && i->lock >= INTERVAL_READABLE)
			len += interval_len(i);
	return len > 0 && held_room(hold, len);
}

/* @hold: of what nobody covers any more, hold what is ready; NULL: unlock it */
static void leave(struct interval *start, uaddr_t end, struct memory_hold *hold)
	REQUIRES(memory_table_lock)
{
	int64_t now_ns = hold ? clock_now_ns() : 0;
	uaddr_t first = start->addr;
	struct interval *i;

	for (i = start; i->addr != end; i = interval_next(i))
		if (--i->nr_pins == 0 && hold && i->lock >= INTERVAL_READABLE)
			held_add(i, interval_len(i), hold, now_ns);
	start->nr_edges--;
	i->nr_edges--;
	release(first, end);
}

void memory_unpin(uaddr_t first, uaddr_t last, struct memory_hold *hold, bool keep)
{
	struct interval *start;
	bool kept = false;

	table_lock();
	start = interval_at(first);
	kept = keep && hold && make_room(start, last + 1, hold);
	leave(start, last + 1, kept ? hold : NULL);
	table_unlock();
	if (kept) {
		HF_TRACE2(hold_keep, first, last + 1 - first);
		hold_trim(hold, false);
	}
	if (kept || release_is_owed())
		keeper_start();
}

/* ---- the client's own locks ---- */

/* The client has unlocked what is registered. It is locked again, whatever is mapped there now; so
 * it is to be unlocked, too, whatever is mapped there. */
static void lock_again(struct interval *i) REQUIRES(memory_table_lock)
{
	uaddr_t last = interval_end(i) - 1;
	struct memory_piece piece;
	struct memory_maps maps;
	int n;

	memory_maps_init(&maps);
	memory_maps_range(&maps, i->addr, last);
	while ((n = memory_maps_next(&maps, &piece)) > 0)
		if (piece.source.mapped)
			memory_lock_on_fault(piece.first, piece.last);
	if (n < 0) {
		refuse_clear();
		memory_lock_on_fault(i->addr, last); /* up to the first hole */
	}
	memory_maps_close(&maps);
	i->lock = INTERVAL_PART;
}

static void client_locks(uaddr_t first, uaddr_t last, bool locked)
{
	uaddr_t end = last >= UINT64_MAX - MEMORY_PAGE_SIZE ? UINT64_MAX - (MEMORY_PAGE_SIZE - 1)
							    : (last | (MEMORY_PAGE_SIZE - 1)) + 1;
	struct interval *i, *stop = NULL;

	first &= ~(uaddr_t)(MEMORY_PAGE_SIZE - 1);
	if (!memory_any_registered() || table_is_inside() || first >= end)
		return;
	table_lock();
	i = interval_cut_range(first, end, &stop);
	for (; i && i != stop; i = interval_next(i)) {
		if (locked && interval_is_owed(i))
			i->lock = INTERVAL_UNTOUCHED;
		/* Held memory gives way before; but between that and the client's call the last
		 * mapping may have gone in another thread. */
		if (i->nr_pins > 0 || (locked && i->holder))
			i->clients = locked;
		if (i->nr_pins > 0 && !locked)
			lock_again(i);
	}
	interval_join(first, end);
	table_unlock();
}

void memory_client_locked(uaddr_t first, uaddr_t last)
{
	client_locks(first, last, true);
}

void memory_client_unlocked(uaddr_t first, uaddr_t last)
{
	client_locks(first, last, false);
}

static uint32_t future_of; /* atomic; table_process() of who locks what it maps; 0: nobody */

void memory_client_will_lock(bool locks)
{
	__atomic_store_n(&future_of, locks ? table_process() : 0, __ATOMIC_RELAXED);
}

bool memory_client_locks_what_it_maps(void)
{
	uint32_t of = __atomic_load_n(&future_of, __ATOMIC_RELAXED);

	return of && of == table_process();
}

/* ---- the client moves memory, and its locks go with it ---- */

/* @i: [out] the interval of @at, or NULL. Return: where the next one starts, or @end */
static uaddr_t run_end(uaddr_t at, uaddr_t end, struct interval **i) REQUIRES(memory_table_lock)
{
	struct interval *next;

	*i = interval_over(at);
	next = *i ? interval_next(*i) : interval_from(at);
	return next && next->addr < end ? next->addr : end;
}

/* Nobody would ever undo our lock there. What is registered at the new place keeps its own. */
static void unlock_moved(uaddr_t at, uaddr_t end) REQUIRES(memory_table_lock)
{
	struct interval *i;

	for (uaddr_t stop; at < end; at = stop) {
		stop = run_end(at, end, &i);
		if (!i || i->nr_pins == 0)
			(void)syscall(SYS_munlock, at, stop - at);
	}
}

static bool is_ours_alone(const struct interval *i)
{
	return i && i->nr_pins > 0 && !i->clients;
}

void memory_client_moved(uaddr_t from, uint64_t old_len, uaddr_t to, uint64_t new_len)
{
	uaddr_t end = from + (old_len < new_len ? old_len : new_len);
	struct interval *i;

	if (!memory_any_registered() || table_is_inside())
		return;
	table_lock();
	for (uaddr_t at = from, stop; from != to && at < end; at = stop) {
		stop = run_end(at, end, &i);
		if (is_ours_alone(i))
			unlock_moved(at - from + to, stop - from + to);
	}
	/* what is new behind it is locked as its end was */
	if (new_len > old_len && is_ours_alone(interval_over(old_len ? from + old_len - 1 : from)))
		unlock_moved(to + old_len, to + new_len);
	table_unlock();
}
