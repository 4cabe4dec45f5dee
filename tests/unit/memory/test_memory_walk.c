// SPDX-License-Identifier: BSD-3-Clause
/* The walk over the client's mappings ([2-13], [2-14]), by both readers of the map. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../between.h"
#include "memory/hooks.h"
#include "memory/internal.h"

#define PAGE MEMORY_PAGE_SIZE
enum { NR_MAX = 256 };

struct pieces {
	struct memory_piece at[NR_MAX]; /* mappings */
	bool hole_before[NR_MAX];
	int nr;
	int stop_at;  /* 0: never */
	uaddr_t next; /* what the next piece begins with */
	bool hole;    /* the last piece was one */
};

static int collect(void *arg, const struct memory_piece *piece)
{
	struct pieces *pieces = arg;

	assert_int_equal(piece->first, pieces->next);
	assert_true(piece->last >= piece->first);
	pieces->next = piece->last + 1;
	if (!piece->source.mapped) {
		assert_false(pieces->hole);
		pieces->hole = true;
		return 0;
	}
	assert_between(pieces->nr, 0, NR_MAX - 1);
	memset(&pieces->at[pieces->nr], 0, sizeof(*piece)); /* so that padding compares equal */
	pieces->at[pieces->nr].first = piece->first;
	pieces->at[pieces->nr].last = piece->last;
	pieces->at[pieces->nr].source.shared_file = piece->source.shared_file;
	pieces->at[pieces->nr].source.dev = piece->source.dev;
	pieces->at[pieces->nr].source.ino = piece->source.ino;
	pieces->at[pieces->nr].source.off = piece->source.off;
	pieces->at[pieces->nr].source.mapped = piece->source.mapped;
	pieces->at[pieces->nr].source.readable = piece->source.readable;
	pieces->at[pieces->nr].source.writable = piece->source.writable;
	pieces->hole_before[pieces->nr] = pieces->hole;
	pieces->hole = false;
	return ++pieces->nr == pieces->stop_at ? 77 : 0;
}

/* Return: of the walk, which covers all of the range if it is not ended */
static int walk(const char *first, const char *last, struct pieces *pieces)
{
	int ret;

	pieces->nr = 0;
	pieces->hole = false;
	pieces->next = (uintptr_t)first;
	ret = memory_space_walk(NULL, (uintptr_t)first, (uintptr_t)last, collect, pieces);
	assert_true(ret != 0 || pieces->next == (uintptr_t)last + 1);
	return ret;
}

static void expect(const struct pieces *pieces, int n, const char *first, const char *last,
		   bool shared, int prot, bool hole)
{
	const struct memory_piece *piece = &pieces->at[n];

	assert_int_equal(piece->first, (uintptr_t)first);
	assert_int_equal(piece->last, (uintptr_t)last);
	assert_int_equal(piece->source.shared_file, shared);
	assert_int_equal(piece->source.readable, !!(prot & PROT_READ));
	assert_int_equal(piece->source.writable, !!(prot & PROT_WRITE));
	assert_int_equal(pieces->hole_before[n], hole);
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
	expect(&pieces, 0, p + 5, p + 2 * PAGE - 1, true, rw, false);
	expect(&pieces, 1, p + 2 * PAGE, p + 4 * PAGE - 1, false, rw, false);
	expect(&pieces, 2, p + 4 * PAGE, p + 6 * PAGE - 1, true, rw, false);
	expect(&pieces, 3, p + 6 * PAGE, p + 8 * PAGE - 1, false, rw, false);
	expect(&pieces, 4, p + 8 * PAGE, p + 10 * PAGE - 1, true, PROT_READ, false);
	expect(&pieces, 5, p + 11 * PAGE, p + 12 * PAGE - 7, true, rw, true);
	/* One byte; a hole at the start; a hole at the end; nothing but a hole. */
	assert_int_equal(walk(p + 9, p + 9, &pieces), 0);
	assert_int_equal(pieces.nr, 1);
	expect(&pieces, 0, p + 9, p + 9, true, rw, false);
	assert_int_equal(walk(p + 10 * PAGE, p + 11 * PAGE, &pieces), 0);
	assert_int_equal(pieces.nr, 1);
	expect(&pieces, 0, p + 11 * PAGE, p + 11 * PAGE, true, rw, true);
	assert_int_equal(walk(p + 9 * PAGE, p + 10 * PAGE, &pieces), 0);
	assert_int_equal(pieces.nr, 1);
	assert_int_equal(walk(p + 10 * PAGE, p + 11 * PAGE - 1, &pieces), 0);
	assert_int_equal(pieces.nr, 0);
	munmap(p - PAGE, 14 * PAGE);
	close(fd);
}

static void walk_above_last_mapping_is_a_hole(void **state)
{
	struct pieces pieces = {0};
	char *top = (char *)(UINT64_MAX >> 1); /* above any mapping, below the kernel's page */

	assert_int_equal(walk(top, top + 5, &pieces), 0);
	assert_int_equal(walk((char *)UINT64_MAX, (char *)UINT64_MAX, &pieces), 0);
	assert_int_equal(pieces.nr, 0);
	assert_int_equal(walk((char *)0, (char *)UINT64_MAX, &pieces), 0);
	assert_true(pieces.nr > 3);
	assert_true(pieces.hole);
}

static int ignore(void *arg, const struct memory_piece *piece)
{
	(void)arg;
	(void)piece;
	return 0;
}

/* Ask about a page. Return: how many descriptors there are afterwards */
static int ask(void)
{
	uaddr_t page = (uintptr_t)&ignore & ~(uaddr_t)(PAGE - 1);
	int n = 0;

	if (memory_space_walk(NULL, page, page + PAGE - 1, ignore, NULL))
		return -1;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A child of vfork(2) has its parent's memory, and descriptors of its own. */
static void walk_of_a_vfork_child_leaves_no_descriptor(void **state)
{
	int n = ask(), status;

	for (int i = 0; i < 3; i++) {
		pid_t pid = vfork();

		if (pid == 0)
			_exit(ask() > 0 ? 0 : 1);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(ask(), n);
	}
}

/* The child of a child of a child has as many as the first of them. */
static void walk_of_forked_children_keeps_one_descriptor(void **state)
{
	int n = ask(), status;
	pid_t pid = fork();

	if (pid == 0) {
		int wrong = ask() != n;

		pid = fork();
		if (pid == 0)
			_exit(ask() != n);
		_exit(waitpid(pid, &status, 0) != pid || status != 0 || wrong);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(ask(), n);
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
	memory_hooks.without_query = true;
	return 0;
}

/* On a kernel before 6.11 this is the text, too. */
static int use_query(void **state)
{
	memory_hooks.without_query = false;
	return 0;
}

static void walk_random_layouts_agree(void **state)
{
	enum { NR_PAGES = 40 };
	static struct pieces by_text, by_query;
	char *p = room(NR_PAGES);
	int fd = memfd_create("random", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, NR_PAGES * PAGE), 0);
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
		use_text(state);
		assert_int_equal(walk((char *)first, (char *)last, &by_text), 0);
		use_query(state);
		assert_int_equal(walk((char *)first, (char *)last, &by_query), 0);
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
	struct memory_piece piece;
	int nr = 0;

	for (size_t i = 0; i < NR; i += 2)
		assert_int_equal(mprotect(p + i * PAGE, PAGE, PROT_READ), 0);
	memory_maps_init(&maps);
	memory_maps_range(&maps, (uintptr_t)p, (uintptr_t)p + NR * PAGE - 1);
	while (memory_maps_next(&maps, &piece) > 0) {
		assert_int_equal(piece.first, (uintptr_t)p + (size_t)nr * PAGE);
		assert_int_equal(piece.source.readable, nr % 2 == 0);
		nr++;
	}
	memory_maps_close(&maps);
	assert_int_equal(nr, NR);
	munmap(p - PAGE, (NR + 2) * PAGE);
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
		BOTH(walk_above_last_mapping_is_a_hole),
		BOTH(walk_callback_value_ends_it),
		BOTH(walk_many_mappings_are_all_seen),
		cmocka_unit_test(walk_random_layouts_agree),
		cmocka_unit_test(walk_of_a_vfork_child_leaves_no_descriptor),
		cmocka_unit_test(walk_of_forked_children_keeps_one_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
