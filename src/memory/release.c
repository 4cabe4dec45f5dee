// SPDX-License-Identifier: BSD-3-Clause
/*
 * Undoing locks. Only what still is the mapping that was locked is unlocked: what the client has
 * put in its place, and perhaps locked itself, is none of ours.
 *
 *  (1) What could not be unlocked is owed. It stays in the table with all that is known of it, and
 *	is tried again. No memory is needed for that. There are two reasons. The process's map
 *	cannot be opened, for want of descriptors: then the keeper tries again. Or munlock in the
 *	midst of a locked mapping, which splits it, fails beyond vm.max_map_count: then the end of a
 *	neighbour tries again, both at once, for that splits nothing. So does the keeper if it runs;
 *	but it is not made for that, because a thread needs mappings, too.
 *  (2) If the map cannot be opened for any other reason (a client that went into a bare root, on
 *	kernels before 6.11), waiting would not help. Then the range is unlocked unseen.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/refuse.h"
#include "memory/pin.h"

static bool unseen; /* atomic; written under the table's lock: owed for want of the map */

bool release_is_owed(void)
{
	return __atomic_load_n(&unseen, __ATOMIC_RELAXED);
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

static bool will_open_later(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -EAGAIN ||
	       err == -EINTR;
}

/* Each mapping by itself, if it takes more than one call. */
static bool unlock(struct memory_maps *maps, struct interval *i) REQUIRES(memory_table_lock)
{
	struct memory_piece piece;
	bool left = false;
	int n;

	if (i->lock == INTERVAL_PART && !unlock_pages(i->addr, interval_end(i)))
		return false;
	memory_maps_range(maps, i->addr, interval_end(i) - 1);
	while ((n = memory_maps_next(maps, &piece)) > 0)
		if (piece.source.mapped &&
		    (i->lock == INTERVAL_PART ||
		     source_is_same(interval_source(i, piece.first), piece.source)))
			left |= unlock_pages(piece.first, piece.last + 1);
	if (n == 0)
		return left;
	refuse_clear();
	if (i->lock == INTERVAL_PART || !will_open_later(n))
		return unlock_unseen(i->addr, interval_end(i));
	__atomic_store_n(&unseen, true, __ATOMIC_RELAXED);
	return true;
}

void release(uaddr_t first, uaddr_t end)
{
	struct interval *i = interval_over(first), *prev = i ? interval_prev(i) : NULL;
	struct memory_maps maps;

	if (prev && interval_is_owed(prev))
		first = prev->addr;
	interval_join(first, end); /* one call for what is owed side by side */
	memory_maps_init(&maps);
	i = interval_over(first) ?: interval_from(first);
	for (; i && (i->addr < end || interval_is_owed(i)); i = interval_next(i)) {
		if (!interval_is_owed(i) || (!i->clients && unlock(&maps, i)))
			continue;
		i->lock = INTERVAL_UNTOUCHED;
		i->clients = false;
	}
	memory_maps_close(&maps);
	interval_join(first, i ? i->addr : UINT64_MAX);
}

void release_owed(void)
{
	table_lock();
	__atomic_store_n(&unseen, false, __ATOMIC_RELAXED);
	release(0, UINT64_MAX);
	table_unlock();
}
