// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is it still locked, and still the same? Two questions to the kernel for each mapping of the
 * range.
 *
 *   what is mapped      file, offset and permission, from the process's map
 *   is it locked        msync(MS_INVALIDATE) on its first page. POSIX has it fail with EBUSY
 *                       where memory is locked; where it is not, Linux does nothing at all. A lock
 *                       is a property of a whole mapping and dies with it: munmap, and mmap or
 *                       mremap over it, leave a mapping without it, whichever way the client made
 *                       the call.
 *
 * Locks do not exist on hugetlbfs, whose pages cannot be swapped: there the file and the offset
 * decide.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/refuse.h"
#include "memory/pin.h"

/* By number: a client's preloaded msync is not for us. */
static bool is_locked(uaddr_t page)
{
	return syscall(SYS_msync, page, MEMORY_PAGE_SIZE, MS_INVALIDATE) < 0 && errno == EBUSY;
}

struct taking {
	struct memory_mark *v;
	size_t nr, room;
	bool wanted;
};

static struct memory_mark mark_of(const struct memory_map *map, uaddr_t first, uaddr_t last)
{
	return (struct memory_mark){
		.first = first,
		.last = last,
		.dev = map->dev,
		.ino = map->ino,
		.off = map->ino ? map->off + (first - map->first) : 0,
		.shared_file = map->shared_file,
	};
}

static int taking_add(struct taking *t, const struct memory_map *map, uaddr_t first, uaddr_t last)
{
	struct memory_mark *larger;

	if (!t->wanted)
		return 0;
	if (t->nr == t->room) {
		size_t room = t->room ? 2 * t->room : 4;

		larger = reallocarray(t->v, room, sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		t->v = larger;
		t->room = room;
	}
	t->v[t->nr++] = mark_of(map, first, last);
	return 0;
}

static int check(const struct memory_map *map, uaddr_t first, bool write)
{
	if (map->first > first)
		return refuse(-EFAULT, "nothing is mapped at 0x%" PRIx64, first);
	if (!map->readable || (write && !map->writable))
		return refuse(-EFAULT, "memory at 0x%" PRIx64 " is not %s", first,
			      write ? "writable" : "readable");
	return is_locked(first) || memory_map_is_huge(map) ? 0 : -EAGAIN;
}

static int take(struct memory_maps *maps, uaddr_t first, uaddr_t last, bool write, struct taking *t)
{
	struct memory_map map;
	int err;

	for (;;) {
		uaddr_t cut;

		err = memory_maps_find(maps, first, &map);
		if (err <= 0)
			return err ? err
				   : refuse(-EFAULT, "nothing is mapped at 0x%" PRIx64, first);
		err = check(&map, first, write);
		cut = map.last < last ? map.last : last;
		if (!err)
			err = taking_add(t, &map, first, cut);
		if (err || cut == last)
			return err;
		first = cut + 1;
	}
}

int marks_take(uaddr_t first, uaddr_t last, bool write, struct memory_mark **marks, size_t *nr)
{
	struct taking t = {.wanted = marks != NULL};
	struct memory_maps maps;
	int err = memory_maps_open(&maps, MEMORY_MAPS_BEST);

	if (err)
		return err;
	err = take(&maps, first, last, write, &t);
	memory_maps_close(&maps);
	if (err || !marks) {
		free(t.v);
		return err;
	}
	*marks = t.v;
	*nr = t.nr;
	return 0;
}

/* Is the mapping, cut to the mark, what the mark says? */
static bool is_same(const struct memory_mark *mark, const struct memory_map *map)
{
	uaddr_t first = map->first > mark->first ? map->first : mark->first;

	if (map->ino != mark->ino || map->dev != mark->dev || map->shared_file != mark->shared_file)
		return false;
	return map->ino == 0 ||
	       map->off + (first - map->first) == mark->off + (first - mark->first);
}

/* Index of the first mark that ends at or above @addr. */
static size_t mark_find(const struct memory_pin *pin, uaddr_t addr)
{
	size_t lo = 0, hi = pin->nr_marks;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (pin->marks[mid].last < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool marks_match(const struct memory_pin *pin, const struct memory_map *map, uaddr_t first,
		 uaddr_t last)
{
	for (size_t i = mark_find(pin, first); i < pin->nr_marks && pin->marks[i].first <= last;
	     i++)
		if (!is_same(&pin->marks[i], map))
			return false;
	return true;
}

bool marks_hold(const struct memory_pin *pin)
{
	uaddr_t first = pin->first, last = pin->end - 1;
	struct memory_maps maps;
	struct memory_map map;
	bool same = false;

	if (memory_maps_open(&maps, MEMORY_MAPS_BEST))
		return false;
	while (memory_maps_find(&maps, first, &map) > 0) {
		uaddr_t cut = map.last < last ? map.last : last;

		if (check(&map, first, pin->write) || !marks_match(pin, &map, first, cut))
			break;
		same = cut == last;
		if (same)
			break;
		first = cut + 1;
	}
	memory_maps_close(&maps);
	return same;
}
