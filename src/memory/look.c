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
 * The kernel keeps no lock for huge pages (hugetlbfs), which are never swapped: there the file and
 * the offset decide. MADV_COLD (kernel 5.4) tells them: it refuses pages that stay in memory
 * anyway, locked ones and huge ones. The question ages any other page a little, so it is asked only
 * of what should be locked, and is not.
 */

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/refuse.h"
#include "memory/pin.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#endif

/* By number: a client's preloaded msync is not for us. */
bool look_any_locked(uaddr_t first, uaddr_t end)
{
	return syscall(SYS_msync, first, end - first, MS_INVALIDATE) < 0 && errno == EBUSY;
}

bool look_knows_advice(int advice)
{
	return syscall(SYS_madvise, NULL, 0, advice) == 0;
}

bool look_is_kept(const struct interval *i)
{
	if (!i->now.mapped || i->now_locked)
		return i->now.mapped;
	return look_knows_advice(MADV_COLD) &&
	       syscall(SYS_madvise, i->addr, MEMORY_PAGE_SIZE, MADV_COLD) < 0 && errno == EINVAL;
}

/* Without a map: pages from @addr on of which the lock is the same. Return: their end */
static uaddr_t alike_end(uaddr_t addr, uaddr_t end)
{
	bool locked = look_any_locked(addr, addr + MEMORY_PAGE_SIZE);

	do
		addr += MEMORY_PAGE_SIZE;
	while (addr < end && look_any_locked(addr, addr + MEMORY_PAGE_SIZE) == locked);
	return addr;
}

/* Note @piece, which begins at @i. Return: the interval behind it; NULL without memory */
static struct interval *note(struct interval *i, const struct memory_piece *piece)
	REQUIRES(memory_table_lock)
{
	struct interval *stop = interval_cut(piece->last + 1);
	bool locked = look_any_locked(i->addr, i->addr + MEMORY_PAGE_SIZE);

	for (; stop && i != stop; i = interval_next(i)) {
		i->now = piece->source;
		source_advance(&i->now, i->addr - piece->first);
		i->now_locked = locked;
	}
	return stop;
}

int look(struct interval *i, uaddr_t end)
{
	struct memory_maps maps;
	struct memory_piece piece;
	int n = 1;

	memory_maps_init(&maps);
	memory_maps_range(&maps, i->addr, end - 1);
	while (i && i->addr < end) {
		n = n > 0 ? memory_maps_next(&maps, &piece) : n;
		if (n <= 0)
			piece = (struct memory_piece){.first = i->addr,
						      .last = alike_end(i->addr, end) - 1};
		i = note(i, &piece);
	}
	memory_maps_close(&maps);
	if (n <= 0)
		refuse_clear(); /* what cannot be seen is registered like any other memory */
	return i ? 0 : -ENOMEM;
}
