// SPDX-License-Identifier: BSD-3-Clause
/*
 * Undoing locks. Only what still is the mapping that was locked is unlocked: what the client has
 * put in its place, and perhaps locked itself, is none of ours.
 *
 *  (1) What could not be unlocked is owed. It stays in the table with all that is known of it, and
 *	is tried again. No memory is needed for that. There are two reasons. The process's map
 *	cannot be opened, for want of descriptors: then each change of the table tries again. Or
 *	munlock in the midst of a locked mapping, which splits it, fails beyond vm.max_map_count:
 *	then the end of a neighbour tries again, for that splits nothing. Any other try would only
 *	keep the client from mapping memory. The keeper tries all of it now and then; the second
 *	kind alone does not make it run, for a thread needs mappings, too.
 *  (2) If the map cannot be opened for any other reason (a client that went into a bare root, on
 *	kernels before 6.11), waiting would not help. Then the range is unlocked unseen.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/refuse.h"
#include "memory/interval.h"

static struct interval_list owed GUARDED_BY(memory_table_lock) = TAILQ_HEAD_INITIALIZER(owed);
static size_t nr_owed, nr_unseen; /* atomic; written under the lock */

bool release_is_owed(void)
{
	return __atomic_load_n(&nr_owed, __ATOMIC_RELAXED) > 0;
}

bool release_wants_keeper(void)
{
	return __atomic_load_n(&nr_unseen, __ATOMIC_RELAXED) > 0;
}

/* @unseen: for want of the map; those come first */
static void owed_insert(struct interval *i, bool unseen) REQUIRES(memory_table_lock)
{
	i->owed = true;
	i->unseen = unseen;
	if (unseen)
		TAILQ_INSERT_HEAD(&owed, i, age);
	else
		TAILQ_INSERT_TAIL(&owed, i, age);
	__atomic_fetch_add(&nr_owed, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&nr_unseen, i->unseen, __ATOMIC_RELAXED);
}

void owed_remove(struct interval *i)
{
	i->owed = false;
	TAILQ_REMOVE(&owed, i, age);
	__atomic_fetch_sub(&nr_owed, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&nr_unseen, i->unseen, __ATOMIC_RELAXED);
}

void owed_split(struct interval *i, struct interval *fresh)
{
	owed_insert(fresh, i->unseen);
}

void owed_forget(void) NO_TSA
{
	TAILQ_INIT(&owed);
	__atomic_store_n(&nr_owed, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&nr_unseen, 0, __ATOMIC_RELAXED);
}

/* ---- unlocking; each returns true if something stays locked ---- */

/* By number: the sanitizers turn the library's munlock into nothing. */
static bool unlock_pages(uaddr_t first, uaddr_t end)
{
	return syscall(SYS_munlock, first, end - first) < 0;
}

/* munlock stops at the first hole, and there is no map to tell where holes are. */
static bool unlock_unseen(uaddr_t first, uaddr_t end)
{
	uaddr_t middle = first + (end - first) / 2 / MEMORY_PAGE_SIZE * MEMORY_PAGE_SIZE;
	bool left;

	if (!unlock_pages(first, end) || !look_any_locked(first, end))
		return false;
	if (end - first <= MEMORY_PAGE_SIZE)
		return true;
	left = unlock_unseen(first, middle);
	return unlock_unseen(middle, end) || left;
}

static bool releaser_open(struct releaser *r)
{
	if (!r->open && !r->err) {
		r->err = memory_maps_open(&r->maps, MEMORY_MAPS_BEST);
		r->open = r->err == 0;
		if (r->err)
			refuse_clear();
	}
	return r->open;
}

void release_done(struct releaser *r)
{
	if (r->open)
		memory_maps_close(&r->maps);
	*r = (struct releaser){.open = false};
}

/* Each mapping by itself. */
static bool unlock_seen(struct releaser *r, struct interval *i) REQUIRES(memory_table_lock)
{
	uaddr_t first = i->addr, end = interval_end(i);
	struct memory_map map;
	bool left = false;

	while (first < end && memory_maps_find(&r->maps, first, &map) > 0 && map.first < end) {
		uaddr_t from = map.first < first ? first : map.first;
		uaddr_t to = map.last < end - 1 ? map.last + 1 : end;

		if (!i->looked || look_is_same(i, &map, from))
			left |= unlock_pages(from, to);
		first = to;
	}
	return left;
}

static bool will_open_later(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -EAGAIN ||
	       err == -EINTR;
}

static bool unlock(struct releaser *r, struct interval *i) REQUIRES(memory_table_lock)
{
	if (!i->looked && !unlock_pages(i->addr, interval_end(i)))
		return false;
	if (releaser_open(r))
		return unlock_seen(r, i);
	if (i->looked && will_open_later(r->err))
		return true;
	return unlock_unseen(i->addr, interval_end(i));
}

void release(struct releaser *r, struct interval *i)
{
	if (i->owed)
		owed_remove(i);
	if (!i->clients && unlock(r, i)) {
		owed_insert(i, r->err != 0);
		return;
	}
	i->ready = INTERVAL_NOT_READY;
	i->looked = i->clients = false;
}

void release_owed(bool all)
{
	size_t nr = all ? __atomic_load_n(&nr_owed, __ATOMIC_RELAXED) : 1;
	struct interval *i;

	for (; nr > 0 && (i = TAILQ_FIRST(&owed)) && (all || i->unseen); nr--) {
		struct releaser r = {.open = false};
		uaddr_t end = interval_end(i);

		release(&r, i);
		release_done(&r);
		interval_join(i, end);
	}
}
