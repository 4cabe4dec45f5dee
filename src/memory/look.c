// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is it still locked, and still the same? Two questions to the kernel for each mapping of a range:
 *
 *   what is mapped   file, offset and permission, from the process's map
 *   is it locked     msync(MS_INVALIDATE). POSIX has it fail with EBUSY where memory is locked;
 *                    where it is not, Linux does nothing at all. A lock is a property of a whole
 *                    mapping and dies with it: munmap, and mmap or mremap over it, leave a mapping
 *                    without it, whichever way the client made the call. Asked about a range, the
 *                    kernel answers whether any of its mappings is locked.
 *
 * Locks do not exist on hugetlbfs, whose pages cannot be swapped: there the file and the offset
 * decide.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/refuse.h"
#include "memory/interval.h"

/* By number: a client's preloaded msync is not for us. */
bool look_any_locked(uaddr_t first, uaddr_t end)
{
	return syscall(SYS_msync, first, end - first, MS_INVALIDATE) < 0 && errno == EBUSY;
}

bool look_is_locked(uaddr_t page)
{
	return look_any_locked(page, page + MEMORY_PAGE_SIZE);
}

struct memory_source look_source(const struct memory_map *map, uaddr_t addr)
{
	return (struct memory_source){
		.dev = map->dev,
		.ino = map->ino,
		.off = map->ino ? map->off + (addr - map->first) : 0,
		.shared_file = map->shared_file,
	};
}

bool look_is_same(const struct interval *i, const struct memory_map *map, uaddr_t addr)
{
	struct memory_source now = look_source(map, addr);

	return now.ino == i->source.ino && now.dev == i->source.dev &&
	       now.shared_file == i->source.shared_file &&
	       (now.ino == 0 || now.off == i->source.off + (addr - i->addr));
}

/* Visit what is from *@i to @end, of which the same holds throughout. *@i: [out] what follows */
static int visit(struct interval **i, uaddr_t end, const struct memory_map *map, bool locked,
		 look_fn fn, void *arg) REQUIRES(memory_table_lock)
{
	struct interval *stop = interval_cut(*i, end);

	if (!stop)
		return -EAGAIN;
	for (; *i != stop; *i = interval_next(*i))
		fn(arg, *i, map, locked);
	return 0;
}

/* Page by page: without a map, the kernel still tells of each page whether it is locked. */
static int each_page(struct interval *i, uaddr_t end, look_fn fn, void *arg)
	REQUIRES(memory_table_lock)
{
	int err = 0;

	while (!err && i->addr < end) {
		bool locked = look_is_locked(i->addr);
		uaddr_t to = i->addr + MEMORY_PAGE_SIZE;

		while (to < end && look_is_locked(to) == locked)
			to += MEMORY_PAGE_SIZE;
		err = visit(&i, to, NULL, locked, fn, arg);
	}
	return err;
}

static int each_map(struct memory_maps *maps, struct interval *i, uaddr_t end, look_fn fn,
		    void *arg) REQUIRES(memory_table_lock)
{
	struct memory_map map;
	int err = 0;

	while (!err && i->addr < end) {
		int found = memory_maps_find(maps, i->addr, &map);

		if (found < 0)
			return found;
		if (found == 0 || map.first >= end)
			err = visit(&i, end, NULL, false, fn, arg);
		else if (map.first > i->addr)
			err = visit(&i, map.first, NULL, false, fn, arg);
		else
			err = visit(&i, map.last < end - 1 ? map.last + 1 : end, &map,
				    look_is_locked(i->addr), fn, arg);
	}
	return err;
}

int look_each(struct interval *i, uaddr_t end, look_fn fn, void *arg)
{
	struct memory_maps maps;
	int err = memory_maps_open(&maps, MEMORY_MAPS_BEST);

	if (!err) {
		err = each_map(&maps, i, end, fn, arg);
		memory_maps_close(&maps);
	}
	if (!err || err == -EAGAIN)
		return err;
	refuse_clear(); /* what cannot be seen is registered like any other memory */
	return each_page(i, end, fn, arg);
}
