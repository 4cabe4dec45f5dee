// SPDX-License-Identifier: BSD-3-Clause
/* The walk over the client's mappings ([2-13], [2-14]), by both readers of the map. */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "../base/wait.h"
#include "../between.h"
#include "memory/internal.h"

#define PAGE MEMORY_PAGE_SIZE
enum { NR_MAX = 256 };

struct pieces {
	struct memory_piece at[NR_MAX];
	int nr;
	int stop_at; /* 0: never */
};

static int collect(void *arg, const struct memory_piece *piece)
{
	struct pieces *pieces = arg;

	assert_between(pieces->nr, 0, NR_MAX - 1);
	memset(&pieces->at[pieces->nr], 0, sizeof(*piece)); /* so that padding compares equal */
	pieces->at[pieces->nr].first = piece->first;
	pieces->at[pieces->nr].last = piece->last;
	pieces->at[pieces->nr].shared_file = piece->shared_file;
	pieces->at[pieces->nr].readable = piece->readable;
	pieces->at[pieces->nr].writable = piece->writable;
	pieces->at[pieces->nr].hole_before = piece->hole_before;
	return ++pieces->nr == pieces->stop_at ? 77 : 0;
}

static enum memory_maps_how how;

static int walk(const char *first, const char *last, struct pieces *pieces)
{
	pieces->nr = 0;
	return memory_space_walk_how(how, (uintptr_t)first, (uintptr_t)last, collect, pieces);
}

static void expect(const struct memory_piece *piece, const char *first, const char *last,
		   bool shared, int prot, bool hole)
{
	assert_int_equal(piece->first, (uintptr_t)first);
	assert_int_equal(piece->last, (uintptr_t)last);
	assert_int_equal(piece->shared_file, shared);
	assert_int_equal(piece->readable, !!(prot & PROT_READ));
	assert_int_equal(piece->writable, !!(prot & PROT_WRITE));
	assert_int_equal(piece->hole_before, hole);
}

/* Room whose neighbours are PROT_NONE, so that nothing merges with it. */
static char *room(size_t nr_pages)
{
	char *p = mmap(NULL, (nr_pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p + PAGE;
}

static void put(char *at, size_t nr_pages, int prot, int flags, int fd)
{
	assert_ptr_equal(mmap(at, nr_pages * PAGE, prot, flags | MAP_FIXED, fd, 0), at);
}

static void walk_kinds_are_told_apart(void **state)
{
	char *p = room(12);
	int fd = memfd_create("walk", MFD_CLOEXEC);
	const int rw = PROT_READ | PROT_WRITE;
	struct pieces pieces = {0};

	assert_int_equal(ftruncate(fd, 16 * PAGE), 0);
	put(p, 2, rw, MAP_SHARED, fd);
	put(p + 2 * PAGE, 2, rw, MAP_PRIVATE, fd);
	put(p + 4 * PAGE, 2, rw, MAP_SHARED | MAP_ANONYMOUS, -1);
	put(p + 6 * PAGE, 2, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	put(p + 8 * PAGE, 2, PROT_READ, MAP_SHARED, fd);
	munmap(p + 10 * PAGE, PAGE);
	put(p + 11 * PAGE, 1, rw, MAP_SHARED, fd);
	assert_int_equal(walk(p + 5, p + 12 * PAGE - 7, &pieces), 0);
	assert_int_equal(pieces.nr, 6);
	expect(&pieces.at[0], p + 5, p + 2 * PAGE - 1, true, rw, false);
	expect(&pieces.at[1], p + 2 * PAGE, p + 4 * PAGE - 1, false, rw, false);
	expect(&pieces.at[2], p + 4 * PAGE, p + 6 * PAGE - 1, true, rw, false);
	expect(&pieces.at[3], p + 6 * PAGE, p + 8 * PAGE - 1, false, rw, false);
	expect(&pieces.at[4], p + 8 * PAGE, p + 10 * PAGE - 1, true, PROT_READ, false);
	expect(&pieces.at[5], p + 11 * PAGE, p + 12 * PAGE - 7, true, rw, true);
	/* One byte; a hole at the start; a hole at the end; nothing but a hole. */
	assert_int_equal(walk(p + 9, p + 9, &pieces), 0);
	assert_int_equal(pieces.nr, 1);
	expect(&pieces.at[0], p + 9, p + 9, true, rw, false);
	assert_int_equal(walk(p + 10 * PAGE, p + 11 * PAGE, &pieces), 0);
	assert_int_equal(pieces.nr, 1);
	expect(&pieces.at[0], p + 11 * PAGE, p + 11 * PAGE, true, rw, true);
	assert_int_equal(walk(p + 9 * PAGE, p + 10 * PAGE, &pieces), 0);
	assert_int_equal(pieces.nr, 1);
	assert_int_equal(walk(p + 10 * PAGE, p + 11 * PAGE - 1, &pieces), 0);
	assert_int_equal(pieces.nr, 0);
	munmap(p - PAGE, 14 * PAGE);
	close(fd);
}

static void walk_above_last_mapping_is_efault(void **state)
{
	struct pieces pieces = {0};
	char *top = (char *)(UINT64_MAX >> 1); /* above any mapping, below the kernel's page */

	assert_int_equal(walk(top, top + 5, &pieces), -EFAULT);
	assert_int_equal(walk((char *)UINT64_MAX, (char *)UINT64_MAX, &pieces), -EFAULT);
	assert_int_equal(pieces.nr, 0);
	assert_int_equal(walk((char *)0, (char *)UINT64_MAX, &pieces), -EFAULT);
	assert_true(pieces.nr > 3); /* all there is comes first */
}

static void walk_callback_value_ends_it(void **state)
{
	char *p = room(3);
	struct pieces pieces = {.stop_at = 2};

	put(p + PAGE, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	assert_int_equal(walk(p, p + 3 * PAGE - 1, &pieces), 77);
	assert_int_equal(pieces.nr, 2);
	munmap(p - PAGE, 5 * PAGE);
}

static int use_text(void **state)
{
	how = MEMORY_MAPS_TEXT;
	return 0;
}

static int use_query(void **state)
{
	struct memory_maps maps;

	how = MEMORY_MAPS_QUERY;
	if (memory_maps_open(&maps, how) == 0)
		memory_maps_close(&maps);
	else
		how = MEMORY_MAPS_BEST; /* a kernel before 6.11 has no other way */
	return 0;
}

static void walk_random_layouts_agree(void **state)
{
	enum { NR_PAGES = 40 };
	static struct pieces by_text, by_query;
	char *p = room(NR_PAGES);
	int fd = memfd_create("random", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, NR_PAGES * PAGE), 0);
	use_query(state);
	if (how != MEMORY_MAPS_QUERY)
		skip();
	srand(11);
	for (int round = 0; round < 500; round++) {
		size_t at = (size_t)rand() % NR_PAGES, nr = 1 + (size_t)rand() % (NR_PAGES - at);
		uintptr_t first = (uintptr_t)p + (size_t)rand() % (NR_PAGES * PAGE);
		uintptr_t last = first + (size_t)rand() % ((uintptr_t)p + NR_PAGES * PAGE - first);
		int prot = rand() % 4, kind = rand() % 5;

		if (kind == 0)
			munmap(p + at * PAGE, nr * PAGE);
		else
			put(p + at * PAGE, nr, prot,
			    (kind & 1 ? MAP_SHARED : MAP_PRIVATE) | (kind & 2 ? MAP_ANONYMOUS : 0),
			    kind & 2 ? -1 : fd);
		by_text.nr = by_query.nr = 0;
		assert_int_equal(
			memory_space_walk_how(MEMORY_MAPS_TEXT, first, last, collect, &by_text),
			memory_space_walk_how(MEMORY_MAPS_QUERY, first, last, collect, &by_query));
		assert_int_equal(by_text.nr, by_query.nr);
		assert_memory_equal(by_text.at, by_query.at,
				    (size_t)by_text.nr * sizeof(by_text.at[0]));
	}
	munmap(p - PAGE, (NR_PAGES + 2) * PAGE);
	close(fd);
}

/* More text than one read and one buffer hold. */
static void walk_many_mappings_are_all_seen(void **state)
{
	enum { NR = 6000 };
	char *p = room(NR);
	struct memory_maps maps;
	struct memory_map map;
	uaddr_t addr = (uintptr_t)p;
	int nr = 0;

	for (size_t i = 0; i < NR; i += 2)
		assert_int_equal(mprotect(p + i * PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(memory_maps_open(&maps, how), 0);
	while (addr < (uintptr_t)p + NR * PAGE) {
		assert_int_equal(memory_maps_find(&maps, addr, &map), 1);
		assert_true(map.first == addr || nr == 0);
		assert_int_equal(map.readable, nr % 2 == 0);
		addr = map.last + 1;
		nr++;
	}
	memory_maps_close(&maps);
	assert_int_equal(nr, NR);
	munmap(p - PAGE, (NR + 2) * PAGE);
}

static bool is_huge_at(char *p)
{
	struct memory_maps maps;
	struct memory_map map;
	bool huge;

	assert_int_equal(memory_maps_open(&maps, how), 0);
	assert_int_equal(memory_maps_find(&maps, (uintptr_t)p, &map), 1);
	assert_int_equal(map.first, (uintptr_t)p);
	huge = memory_map_is_huge(&map);
	memory_maps_close(&maps);
	return huge;
}

static void check_huge_file(int fd)
{
	size_t len = 2 << 20;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_true(is_huge_at(p));
	munmap(p, len);
	close(fd);
}

/* Nothing is touched, so the system need not have a huge page. */
static void walk_huge_pages_are_told_from_others(void **state)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	char *p = room(1);

	put(p, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	assert_false(is_huge_at(p));
	munmap(p - PAGE, 3 * PAGE);
	if (fd < 0)
		skip();
	check_huge_file(fd);
}

/* In a child with a mount of its own. Return: 0; 77: no privilege for that, or no huge pages */
static int body_mounted(void)
{
	char dir[] = "/tmp/walk-XXXXXX", path[sizeof(dir) + 5];
	int fd, status = 77;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/file", dir);
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("none", dir, "hugetlbfs", 0, "pagesize=2M") == 0) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		assert_int_equal(unlink(path), 0); /* as QEMU does: the map shows no such name */
		check_huge_file(fd);
		status = 0;
		umount2(dir, MNT_DETACH);
	}
	rmdir(dir);
	return status;
}

static void walk_huge_pages_of_a_mount_are_told_from_others(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body_mounted());
	status = wait_child(pid);
	if (status == 77 << 8)
		skip();
	assert_int_equal(status, 0);
}

#define BOTH(f)                                                                                    \
	{#f "_by_query", f, use_query, NULL, NULL},                                                \
	{                                                                                          \
#f "_by_text", f, use_text, NULL, NULL                                             \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(walk_kinds_are_told_apart),
		BOTH(walk_above_last_mapping_is_efault),
		BOTH(walk_callback_value_ends_it),
		BOTH(walk_many_mappings_are_all_seen),
		BOTH(walk_huge_pages_are_told_from_others),
		BOTH(walk_huge_pages_of_a_mount_are_told_from_others),
		cmocka_unit_test(walk_random_layouts_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
