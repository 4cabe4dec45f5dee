// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads of a file in memory (tmpfs) without a system call: the file is mapped, and a read is a
 * copy. A plain call takes two to three times as long. Writes are plain calls: a write by a mapping
 * could not say that the host has no memory left.
 *
 * 1. The whole file is mapped when the disk opens it, and nothing of it can be accessed. Later
 *    windows of 2 MiB are made readable, one by one. That costs as much as the mapping saves in
 *    some 200 reads of 4 KiB, most of it in faults. So plain calls read 512 KiB of a window before.
 * 2. A window with a hole is not made readable: to read a hole by a mapping is to fill it, and a
 *    sparse file would grow by being read. A client that locks all of its memory (mlockall) does
 *    not fill holes either, for what cannot be accessed is not brought in.
 * 3. Who punches a hole takes the window away before. A worker that is reading there faults, and
 *    reads by a plain call. So does one that reads where the file has been cut off meanwhile: the
 *    call says what is wrong with the file. A hole that another program punches is not seen, and
 *    the next read of it fills it.
 * 4. Windows are made readable by mprotect(2), which either works or leaves all as it was. Every
 *    run of them is a mapping of its own, of which a process may have some 65,000. So the number of
 *    runs is bounded.
 * 5. A process with a limit to its address space (RLIMIT_AS) needs that for itself. And whether a
 *    page is there, the kernel tells only who owns the file or may write to it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory/guard.h"
#include "simblk_internal.h"

#define PAGE     4096u
#define LEN_MAX  (1ULL << 40) /* bytes of a disk: half a million windows */
#define NR_RUNS  1024
#define READABLE 0     /* or pages that plain calls are yet to read: */
#define NR_FIRST 128u  /* before holes are looked for */
#define NR_AGAIN 8192u /* and after some were found */

/* ---- windows ---- */

static uint64_t window_end(const struct simblk *blk, uint64_t idx)
{
	uint64_t end = (idx + 1) * SIMBLK_WINDOW_LEN;

	return end < blk->len ? end : blk->len;
}

static bool is_readable(const struct simblk_map *map, uint64_t idx)
{
	/* Acquire: behind the mprotect(). */
	return idx < map->nr_windows &&
	       __atomic_load_n(&map->windows[idx], __ATOMIC_ACQUIRE) == READABLE;
}

/* How many runs more there are if the state of a window changes to readable. */
static int runs_of(const struct simblk_map *map, uint64_t idx)
{
	return 1 - (idx > 0 && is_readable(map, idx - 1)) - is_readable(map, idx + 1);
}

/* A page that is swapped out counts as a hole: whoever reads it has to wait. */
static bool has_hole(const struct simblk *blk, uint64_t idx)
{
	uint64_t first = idx * SIMBLK_WINDOW_LEN, len = window_end(blk, idx) - first;
	unsigned char resident[SIMBLK_WINDOW_LEN / PAGE];

	if (mincore(blk->map.base + first, len, resident) != 0)
		return true;
	for (uint64_t i = 0; i < (len + PAGE - 1) / PAGE; i++)
		if (!(resident[i] & 1))
			return true;
	return false;
}

static void set_window(struct simblk_map *map, uint64_t idx, uint64_t state)
{
	__atomic_store_n(&map->windows[idx], (uint16_t)state, __ATOMIC_RELEASE);
}

/* @nr: pages of it that are to be read. Return: false: by a plain call */
static bool make_readable(struct simblk *blk, uint64_t idx, uint64_t nr) REQUIRES(&blk->map.lock)
{
	struct simblk_map *map = &blk->map;

	if (map->windows[idx] == READABLE) /* another worker was faster */
		return true;
	if (map->windows[idx] > nr) {
		set_window(map, idx, map->windows[idx] - nr);
		return false;
	}
	set_window(map, idx, NR_AGAIN);
	if (map->nr_runs + runs_of(map, idx) > map->nr_runs_max || has_hole(blk, idx) ||
	    mprotect(map->base + idx * SIMBLK_WINDOW_LEN, SIMBLK_WINDOW_LEN, PROT_READ) != 0)
		return false;
	map->nr_runs += runs_of(map, idx);
	set_window(map, idx, READABLE);
	return true;
}

/* Return: false: these bytes are to be read by a plain call */
static bool can_read(struct simblk *blk, uint64_t off, uint64_t len)
{
	uint64_t idx = off / SIMBLK_WINDOW_LEN, last = (off + len - 1) / SIMBLK_WINDOW_LEN;
	bool can = true;

	for (; can && idx <= last; idx++) {
		if (likely(is_readable(&blk->map, idx)))
			continue;
		mutex_lock(&blk->map.lock);
		can = make_readable(blk, idx, (len + PAGE - 1) / PAGE);
		mutex_unlock(&blk->map.lock);
	}
	return can;
}

/* ---- what the backend calls ---- */

static void copy(const struct iovec *iov, unsigned int n, const char *src)
{
	for (unsigned int i = 0; i < n; src += iov[i].iov_len, i++)
		memcpy(iov[i].iov_base, src, iov[i].iov_len);
}

bool simblk_map_read(struct simblk *blk, uint64_t off, const struct iovec *iov, unsigned int n)
{
	struct memory_guard_range range = {(uintptr_t)blk->map.base + off, 0};
	struct memory_guard guard;

	if (!blk->map.base)
		return false;
	for (unsigned int i = 0; i < n; i++)
		range.len += iov[i].iov_len;
	if (range.len == 0 || !can_read(blk, off, range.len))
		return false;
	if (memory_guard_enter(&guard, memory_guard_range_owns, &range) != 0)
		return false;
	copy(iov, n, blk->map.base + off);
	memory_guard_leave(&guard);
	return true;
}

void simblk_map_punch(struct simblk *blk, uint64_t off, uint64_t len)
{
	struct simblk_map *map = &blk->map;
	uint64_t last = (off + len - 1) / SIMBLK_WINDOW_LEN;

	if (!map->base || len == 0)
		return;
	mutex_lock(&map->lock);
	for (uint64_t idx = off / SIMBLK_WINDOW_LEN; idx <= last; idx++) {
		if (!is_readable(map, idx) || mprotect(map->base + idx * SIMBLK_WINDOW_LEN,
						       SIMBLK_WINDOW_LEN, PROT_NONE) != 0)
			continue;
		set_window(map, idx, NR_AGAIN);
		map->nr_runs -= runs_of(map, idx);
	}
	mutex_unlock(&map->lock);
}

/* Rule 5. */
static bool may_map(const struct simblk *blk)
{
	struct rlimit limit;
	struct stat st;

	return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY &&
	       (!blk->read_only ||
		(fstat(blk->fds[SIMBLK_CACHED], &st) == 0 && st.st_uid == geteuid()));
}

void simblk_map_open(struct simblk *blk)
{
	struct simblk_map *map = &blk->map;
	uint64_t nr = (blk->len + SIMBLK_WINDOW_LEN - 1) / SIMBLK_WINDOW_LEN;
	void *base;

	map->nr_runs_max = NR_RUNS;
	if (blk->len > LEN_MAX || !may_map(blk))
		return;
	base = mmap(NULL, nr * SIMBLK_WINDOW_LEN, PROT_NONE, MAP_SHARED | MAP_NORESERVE,
		    blk->fds[SIMBLK_CACHED], 0);
	if (base == MAP_FAILED)
		return;
	map->windows = calloc(nr, sizeof(*map->windows));
	if (!map->windows) {
		(void)munmap(base, nr * SIMBLK_WINDOW_LEN);
		return;
	}
	/* of a client that locks what it will map: it has not counted on this */
	(void)munlock(base, nr * SIMBLK_WINDOW_LEN);
	(void)madvise(base, nr * SIMBLK_WINDOW_LEN, MADV_DONTFORK);
	(void)madvise(base, nr * SIMBLK_WINDOW_LEN, MADV_DONTDUMP);
	for (uint64_t idx = 0; idx < nr; idx++)
		map->windows[idx] = NR_FIRST;
	map->nr_windows = nr;
	map->base = base;
}

void simblk_map_close(struct simblk *blk)
{
	struct simblk_map *map = &blk->map;

	if (map->base)
		(void)munmap(map->base, map->nr_windows * SIMBLK_WINDOW_LEN);
	free(map->windows);
	map->base = NULL;
	map->windows = NULL;
	map->nr_windows = 0;
	map->nr_runs = 0;
}
