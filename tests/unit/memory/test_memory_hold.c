// SPDX-License-Identifier: BSD-3-Clause
/*
 * Registrations that wait, and that are shared, against the real kernel. Nothing here wraps the
 * client's calls, so what a client does to held memory must be found out when it is taken over.
 * Locks are read from VmLck.
 */
#include <fcntl.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <stdlib.h>

#include "hold_support.h"

/* ---- taken over ---- */

static void hold_unmapped_memory_is_taken_over(void **state)
{
	struct memory_region *region = must(hold, mem, NR, MEMORY_GOT_NEW);

	memory_region_put(region);
	assert_int_equal(nr_locked(), NR);
	assert_int_equal(counters().held_bytes, NR * PAGE);
	region = must(hold, mem, NR, MEMORY_GOT_HELD);
	assert_int_equal(counters().held_bytes, 0);
	assert_int_equal(nr_locked(), NR);
	memory_region_put(region);
	region = must(hold, mem, NR, MEMORY_GOT_HELD);
	memory_region_put(region);
	assert_int_equal(counters().hits, 2);
	assert_int_equal(counters().misses, 1);
	assert_int_equal(counters().stale, 0);
}

static void hold_anonymous_memory_is_taken_over(void **state)
{
	char *p = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must_wait(hold, p, NR);
	memory_region_put(must(hold, p, NR, MEMORY_GOT_HELD));
	memory_hold_forget((uintptr_t)p, (uintptr_t)p);
	munmap(p, NR * PAGE);
}

static void hold_read_only_registration_is_not_for_writing(void **state)
{
	struct memory_region *region;

	assert_int_equal(reg(hold, mem, NR, false, &region), 0);
	memory_region_put(region);
	region = must(hold, mem, NR, MEMORY_GOT_NEW);
	memory_region_put(region);
	assert_int_equal(nr_held(), 1); /* the better one */
	assert_int_equal(reg(hold, mem, NR, false, &region), 0);
	assert_int_equal(memory_got(), MEMORY_GOT_HELD);
	memory_region_put(region);
}

static void hold_part_of_what_waits_is_taken_over(void **state)
{
	struct memory_region *region;

	must_wait(hold, mem, NR);
	region = must(hold, mem + 8 * PAGE, 8, MEMORY_GOT_HELD);
	assert_int_equal(nr_locked(), NR);
	assert_int_equal(nr_held(), 2); /* below it and above it */
	assert_int_equal(counters().held_bytes, (NR - 8) * PAGE);
	memory_region_put(region);
	memory_region_put(must(hold, mem, NR, MEMORY_GOT_HELD));
	/* what is larger takes all of it over, and only the rest is new */
	region = must(hold, mem, NR + 1, MEMORY_GOT_NEW);
	assert_int_equal(nr_held(), 0);
	assert_int_equal(nr_locked(), NR + 1);
	memory_region_put(region);
}

static void hold_unpinned_region_does_not_wait(void **state)
{
	struct memory_region *region = must(hold, mem, NR, MEMORY_GOT_NEW);

	memory_region_unpin(region); /* strict mode's order */
	assert_int_equal(nr_locked(), 0);
	memory_region_put(region);
	assert_true(memory_hold_is_empty());
}

/* ---- the client changes its memory, and nobody tells us ---- */

static void over(void *p, size_t nr_pages, off_t off, int fd)
{
	int flags = MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);

	assert_ptr_equal(mmap(p, nr_pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, off), p);
}

static void do_unmap_and_map_again(void)
{
	assert_int_equal(munmap(mem, NR * PAGE), 0);
	over(mem, NR, 0, file);
}

static void do_map_anonymous_over(void)
{
	over(mem, NR, 0, -1);
}

static void do_map_other_part_over(void)
{
	over(mem, NR, 2 * NR * PAGE, file);
}

static void do_map_one_page_over(void)
{
	over(mem + 17 * PAGE, 1, 0, file);
}

static void do_map_last_page_over(void)
{
	over(mem + (NR - 1) * PAGE, 1, (NR - 1) * PAGE, file);
}

/* Locked by the client itself, so that the lock alone would not tell. */
static void do_map_other_part_over_locked(void)
{
	over(mem, NR, 2 * NR * PAGE, file);
	lock(mem, NR);
}

static void do_map_other_file_over_locked(void)
{
	int other = memfd_create("other", MFD_CLOEXEC);

	assert_int_equal(ftruncate(other, NR * PAGE), 0);
	over(mem, NR, 0, other);
	lock(mem, NR);
	close(other);
}

static void do_mremap_over(void)
{
	void *p = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 2 * NR * PAGE);

	assert_ptr_equal(mremap(p, NR * PAGE, NR * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, mem), mem);
}

static void do_unlock(void)
{
	assert_int_equal(syscall(SYS_munlock, mem + 3 * PAGE, PAGE), 0);
}

static const struct {
	const char *what;
	void (*act)(void);
	unsigned int nr_clients; /* pages that the client has locked itself */
} changes[] = {
	{"unmapped and mapped again", do_unmap_and_map_again, 0},
	{"anonymous memory mapped over it", do_map_anonymous_over, 0},
	{"another part of the file mapped over it", do_map_other_part_over, 0},
	{"one page mapped over it", do_map_one_page_over, 0},
	{"the last page mapped again", do_map_last_page_over, 0},
	{"another part, locked by the client", do_map_other_part_over_locked, NR},
	{"another file, locked by the client", do_map_other_file_over_locked, NR},
	{"moved over", do_mremap_over, 0},
	{"unlocked by the client", do_unlock, 0},
};

/* After each, the registration must be made anew: all locked, all present, the new bytes. */
static void hold_changed_memory_is_never_taken_over(void **state)
{
	unsigned char present[NR];

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct memory_region *region;
		uint64_t stale = counters().stale;

		print_message("  %s\n", changes[i].what);
		must_wait(hold, mem, NR);
		changes[i].act();
		region = must(hold, mem, NR, MEMORY_GOT_NEW);
		assert_int_equal(counters().stale, stale + 1);
		assert_int_equal(nr_locked(), NR);
		assert_int_equal(mincore(mem, NR * PAGE, present), 0);
		for (size_t p = 0; p < NR; p++)
			assert_int_equal(present[p] & 1, 1);
		mem[0] = (char)i;
		assert_int_equal(region->host[0], (char)i);
		memory_region_put(region);
		(void)memory_hold_forget_all(MEMORY_EVICT_CLIENT);
		assert_int_equal(nr_locked(), changes[i].nr_clients);
		over(mem, 2 * NR, 0, file);
	}
}

static void hold_hole_in_memory_is_efault(void **state)
{
	struct memory_region *none = NULL;

	must_wait(hold, mem, NR);
	munmap(mem + 5 * PAGE, PAGE);
	assert_int_equal(reg(hold, mem, NR, true, &none), -EFAULT);
	assert_int_equal(nr_locked(), 0);
	assert_true(memory_hold_is_empty());
	over(mem + 5 * PAGE, 1, 5 * PAGE, file);
}

static void hold_write_protected_memory_is_efault(void **state)
{
	struct memory_region *region = NULL;

	must_wait(hold, mem, NR);
	assert_int_equal(mprotect(mem, PAGE, PROT_READ), 0);
	assert_int_equal(reg(hold, mem, NR, true, &region), -EFAULT);
	assert_int_equal(nr_locked(), 0);
	assert_int_equal(reg(hold, mem, NR, false, &region), 0);
	memory_region_put(region);
	assert_int_equal(mprotect(mem, PAGE, PROT_READ | PROT_WRITE), 0);
}

static void hold_pages_taken_out_are_the_clients_new_ones(void **state)
{
	struct memory_region *region;

	memset(mem, 7, NR * PAGE);
	must_wait(hold, mem, NR);
	/* By number, and past any wrapper: the hole is punched below a locked mapping. */
	assert_int_equal(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, NR * PAGE),
			 0);
	region = must(hold, mem, NR, MEMORY_GOT_HELD);
	assert_int_equal(region->host[PAGE], 0);
	region->host[PAGE] = 9;
	assert_int_equal(mem[PAGE], 9);
	memory_region_put(region);
}

/* What the client has put in the place of held memory, and locked, stays locked when the held one
 * goes. */
static void hold_eviction_spares_what_it_had_not_locked(void **state)
{
	must_wait(hold, mem, NR);
	over(mem, NR, 2 * NR * PAGE, file);
	lock(mem, NR);
	assert_true(memory_hold_forget_all(MEMORY_EVICT_AGE));
	assert_int_equal(nr_locked(), NR);
	assert_int_equal(syscall(SYS_munlock, mem, NR * PAGE), 0);
}

/* ---- huge pages, which are never swapped and bear no lock ---- */

#define HUGE_LEN (UINT64_C(2) << 20)

/* Return: NULL if the system has no huge page to spare */
static char *map_huge(bool of_file)
{
	int fd = of_file ? memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB) : -1;
	int flags = of_file ? MAP_SHARED
			    : MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (int)MFD_HUGE_2MB;
	char *p = MAP_FAILED;

	if (!of_file || (fd >= 0 && ftruncate(fd, HUGE_LEN) == 0))
		p = mmap(NULL, HUGE_LEN, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static void check_huge(bool of_file)
{
	char *p = map_huge(of_file), *other;
	size_t nr = HUGE_LEN / PAGE;

	if (!p)
		skip();
	must_wait(hold, p, nr);
	memory_region_put(must(hold, p, nr, MEMORY_GOT_HELD));
	/* another file, or other memory of nobody's: not the same */
	other = map_huge(of_file);
	if (!other) {
		munmap(p, HUGE_LEN);
		skip();
	}
	assert_ptr_equal(mremap(other, HUGE_LEN, HUGE_LEN, MREMAP_MAYMOVE | MREMAP_FIXED, p), p);
	must_wait(hold, p, nr);
	assert_int_equal(counters().stale, 1);
	memory_hold_forget((uintptr_t)p, (uintptr_t)p);
	munmap(p, HUGE_LEN);
}

/* What look_is_kept() says of the page at @p. */
static bool is_kept(char *p)
{
	uaddr_t first = (uintptr_t)p;
	struct interval *i, *stop;
	bool kept;

	table_lock();
	i = interval_cut_range(first, first + PAGE, &stop);
	assert_non_null(i);
	assert_int_equal(look(i, first + PAGE), 0);
	kept = look_is_kept(i);
	interval_join(first, first + PAGE);
	table_unlock();
	return kept;
}

/* Nothing is touched, so the system need not have a huge page. */
static void hold_huge_pages_are_told_from_others(void **state)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	char *p;

	assert_false(is_kept(mem));
	lock(mem, 1);
	assert_true(is_kept(mem));
	assert_int_equal(syscall(SYS_munlock, mem, PAGE), 0);
	if (fd < 0)
		skip();
	p = mmap(NULL, HUGE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_true(is_kept(p));
	assert_true(is_kept(p + PAGE));
	munmap(p, HUGE_LEN);
	assert_false(is_kept(p));
	close(fd);
}

static void hold_huge_pages_are_taken_over(void **state)
{
	check_huge(true);
}

static void hold_huge_anonymous_pages_are_taken_over(void **state)
{
	check_huge(false);
}

/* ---- told of the client's calls ---- */

static void hold_forgotten_range_waits_no_more(void **state)
{
	must_wait(hold, mem, NR);
	must_wait(hold, mem + NR * PAGE, NR);
	memory_hold_forget((uintptr_t)mem + NR * PAGE - 1, (uintptr_t)mem + NR * PAGE - 1);
	assert_int_equal(nr_locked(), NR);
	assert_int_equal(counters().evicted[MEMORY_EVICT_CLIENT], 1);
	assert_int_equal(madvise(mem, NR * PAGE, MADV_DONTNEED), 0);
	assert_int_equal(madvise(mem + NR * PAGE, PAGE, MADV_DONTNEED), -1); /* still locked */
	memory_hold_forget((uintptr_t)mem + NR * PAGE, UINT64_MAX);
	assert_int_equal(nr_locked(), 0);
	assert_int_equal(madvise(mem + NR * PAGE, PAGE, MADV_DONTNEED), 0);
}

static void hold_forgotten_file_waits_no_more(void **state)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct stat st;

	assert_int_equal(fstat(file, &st), 0);
	must_wait(hold, mem, NR);
	must_wait(hold, p, 1);
	memory_hold_forget_file(st.st_ino);
	assert_int_equal(nr_locked(), 1);
	memory_hold_forget((uintptr_t)p, (uintptr_t)p);
	munmap(p, PAGE);
}

/* ---- fork ---- */

static void hold_forked_child_holds_nothing(void **state)
{
	char *p = mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct memory_region *region;
	pid_t pid;

	p[0] = 1;
	must_wait(hold, p, NR);
	pid = fork();
	if (pid == 0) {
		p[0] = 2;
		_exit(memory_hold_is_empty() ? 7 : 8);
	}
	assert_int_equal(wait_child(pid), 7 << 8);
	region = must(hold, p, NR, MEMORY_GOT_HELD);
	assert_int_equal(region->host[0], 1);
	memory_region_put(region);
	memory_hold_forget((uintptr_t)p, (uintptr_t)p);
	munmap(p, NR * PAGE);
}

/* ---- giving way ---- */

static int setup_small(void **state)
{
	return setup(state)
		       ?: (memory_hold_destroy(hold), hold = NULL,
			   memory_hold_create(space, 10 * PAGE, false, &hold));
}

static void hold_beyond_budget_the_oldest_goes(void **state)
{
	must_wait(hold, mem, 4);
	must_wait(hold, mem + 8 * PAGE, 4);
	must_wait(hold, mem + 16 * PAGE, 4); /* 12 of 10 */
	assert_int_equal(nr_locked(), 8);
	assert_int_equal(counters().evicted[MEMORY_EVICT_BUDGET], 1);
	memory_region_put(must(hold, mem + 8 * PAGE, 4, MEMORY_GOT_HELD));
	must_wait(hold, mem, 4); /* the oldest now is the third */
	memory_region_put(must(hold, mem + 8 * PAGE, 4, MEMORY_GOT_HELD));
	must_wait(hold, mem + 32 * PAGE, 11); /* never fits, and costs the others nothing */
	assert_int_equal(nr_locked(), 8);
}

static void hold_off_keeps_nothing(void **state)
{
	struct memory_hold *off;

	assert_int_equal(memory_hold_create(space, MEMORY_HOLD_OFF, false, &off), 0);
	must_wait(off, mem, NR);
	assert_int_equal(nr_locked(), 0);
	memory_hold_destroy(off);
}

static void hold_share_of_the_limit_is_obeyed(void **state)
{
	struct rlimit before, limit;
	struct memory_hold *half;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	limit = (struct rlimit){(nr_start + 40) * PAGE, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	assert_int_equal(memory_hold_create(space, MEMORY_HOLD_PERCENT(50), false, &half), 0);
	must_wait(half, mem, 18 + (unsigned int)nr_start / 2);
	assert_int_equal(nr_locked(), 18 + nr_start / 2);
	memory_region_put(must(half, mem, 18 + nr_start / 2, MEMORY_GOT_HELD));
	must_wait(half, mem, 23 + (unsigned int)nr_start / 2);
	assert_int_equal(nr_locked(), 0); /* swallowed, and too much itself */
	memory_hold_destroy(half);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

/* Privileged or not: what waits and what is mapped together keep to RLIMIT_MEMLOCK. */
static void hold_gives_way_to_what_is_mapped(void **state)
{
	struct rlimit before, limit;
	struct memory_region *region;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	limit = (struct rlimit){100 * PAGE, before.rlim_max};
	must_wait(hold, mem, 30);
	must_wait(hold, mem + 30 * PAGE, 30);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	assert_int_equal(memory_charge_range(space, hold, (uintptr_t)mem + 60 * PAGE, 60, false),
			 0);
	region = must(hold, mem + 60 * PAGE, 60, MEMORY_GOT_NEW);
	assert_int_equal(nr_locked(), 90);
	assert_int_equal(counters().evicted[MEMORY_EVICT_LIMIT], 1);
	memory_region_put(must(hold, mem + 30 * PAGE, 30, MEMORY_GOT_HELD));
	memory_uncharge_range(space, hold, (uintptr_t)mem + 60 * PAGE, 60);
	memory_region_put(region);
	assert_int_equal(nr_locked(), 90);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

/* A device without a limit has the oldest that is held, and maps much. What one with a limit puts
 * aside keeps to the limit all the same. */
static void hold_without_a_limit_is_no_way_past_the_limit_of_others(void **state)
{
	struct memory_region *region, *much;
	struct rlimit before, limit;
	struct memory_hold *other;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	limit = (struct rlimit){100 * PAGE, before.rlim_max};
	assert_int_equal(memory_hold_create(space, MEMORY_HOLD_ALL, true, &other), 0);
	must_wait(other, mem, 10);
	region = must(hold, mem + 10 * PAGE, 40, MEMORY_GOT_NEW);
	assert_int_equal(memory_charge_range(space, other, (uintptr_t)mem + 50 * PAGE, 78, true),
			 0);
	much = must(other, mem + 50 * PAGE, 78, MEMORY_GOT_NEW);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	memory_region_put(region);
	assert_int_equal(counters().held_bytes, 0);
	assert_int_equal(counters().evicted[MEMORY_EVICT_LIMIT], 1);
	assert_int_equal(nr_locked(), 88); /* what has no limit stays */
	memory_uncharge_range(space, other, (uintptr_t)mem + 50 * PAGE, 78);
	memory_region_put(much);
	assert_int_equal(nr_locked(), 88);
	memory_hold_destroy(other);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

static unsigned int nr_looks;
uint64_t __real_memory_charged_pages(struct memory_space *s);
uint64_t __wrap_memory_charged_pages(struct memory_space *s);

uint64_t __wrap_memory_charged_pages(struct memory_space *s)
{
	nr_looks++;
	return __real_memory_charged_pages(s);
}

/* Nor does a device with a limit look at what others hold, however much that is. */
static void hold_of_others_without_a_limit_costs_no_look(void **state)
{
	struct memory_region *region, *other_region[NR];
	struct rlimit before, limit;
	struct memory_hold *other;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	limit = (struct rlimit){20 * PAGE, before.rlim_max};
	assert_int_equal(memory_hold_create(space, MEMORY_HOLD_ALL, true, &other), 0);
	for (size_t i = 0; i < NR; i++)
		other_region[i] = must(other, mem + 2 * i * PAGE, 1, MEMORY_GOT_NEW);
	for (size_t i = 0; i < NR; i++)
		memory_region_put(other_region[i]);
	region = must(hold, mem + PAGE, 1, MEMORY_GOT_NEW);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	nr_looks = 0;
	memory_region_put(region);
	assert_int_equal(counters().evicted[MEMORY_EVICT_LIMIT], 1);
	assert_true(nr_looks <= 2);
	assert_int_equal(nr_locked(), NR);
	nr_looks = 0;
	region = must(hold, mem + PAGE, 1, MEMORY_GOT_NEW); /* all others give way to a map */
	assert_int_equal(nr_locked(), 21);
	assert_true(nr_looks <= NR - 20 + 1);
	memory_region_put(region);
	memory_hold_destroy(other);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

/* In a child without privileges, so that the kernel's own limit counts. */
static int body_limit(void)
{
	struct rlimit limit = {100 * PAGE, 100 * PAGE};
	struct memory_region *region;
	int steps = 0;

	setrlimit(RLIMIT_MEMLOCK, &limit);
	if (geteuid() == 0 && setuid(65534) < 0)
		return 100;
	steps += reg(hold, mem, 40, true, &region) == 0;
	memory_region_put(region);
	steps += reg(hold, mem + 40 * PAGE, 40, true, &region) == 0;
	memory_region_put(region);
	steps += nr_locked() == 80;
	steps += reg(hold, mem + 80 * PAGE, 48, true, &region) == 0; /* the older one goes */
	steps += nr_locked() == 88;
	memory_region_put(region);
	steps += reg(hold, mem, 101, true, &region) == -ENOMEM;
	steps += nr_locked() == 0; /* all gave way, and in vain */
	return steps;
}

static void hold_gives_way_to_the_systems_limit(void **state)
{
	pid_t pid = fork();

	if (pid == 0) {
		nr_start = 0; /* locks are not inherited */
		_exit(body_limit());
	}
	assert_int_equal(wait_child(pid), 7 << 8);
}

static void hold_too_old_goes(void **state)
{
	must_wait(hold, mem, NR);
	assert_true(hold_expire(clock_now_ns()) > 0);
	assert_int_equal(nr_locked(), NR);
	assert_int_equal(hold_expire(clock_now_ns() + 601 * NS_PER_SEC), -1);
	assert_int_equal(nr_locked(), 0);
	assert_int_equal(counters().evicted[MEMORY_EVICT_AGE], 1);
}

static void hold_closed_keeps_nothing(void **state)
{
	struct memory_hold *other;
	struct memory_region *region;

	assert_int_equal(memory_hold_create(space, MEMORY_HOLD_ALL, false, &other), 0);
	must_wait(other, mem, 8);
	region = must(other, mem + 8 * PAGE, 8, MEMORY_GOT_NEW);
	memory_hold_destroy(other);
	assert_int_equal(nr_locked(), 8);
	memory_region_put(region);
	assert_int_equal(nr_locked(), 0);
}

/* ---- several devices ---- */

static void hold_second_device_shares_the_lock(void **state)
{
	struct memory_region *a, *b, *c;
	struct memory_hold *second;

	assert_int_equal(memory_hold_create(space, MEMORY_HOLD_ALL, false, &second), 0);
	a = must(hold, mem, NR, MEMORY_GOT_NEW);
	b = must(second, mem, NR, MEMORY_GOT_SHARED);
	assert_int_equal(nr_locked(), NR);
	c = must(second, mem + NR / 2 * PAGE, NR, MEMORY_GOT_NEW); /* half of it is new */
	assert_int_equal(nr_locked(), NR + NR / 2);
	memory_region_put(a);
	memory_region_put(b);
	memory_region_put(c);
	assert_int_equal(nr_locked(), NR + NR / 2);
	memory_region_put(must(second, mem, NR, MEMORY_GOT_HELD)); /* whoever comes first */
	memory_region_put(must(hold, mem + NR / 2 * PAGE, NR, MEMORY_GOT_HELD));
	memory_hold_destroy(second);
}

static void hold_shared_memory_that_changed_is_locked_again(void **state)
{
	struct memory_region *a = must(hold, mem, NR, MEMORY_GOT_NEW), *b;
	struct memory_hold *second;

	assert_int_equal(memory_hold_create(space, MEMORY_HOLD_ALL, false, &second), 0);
	over(mem + PAGE, 1, PAGE, file);
	assert_int_equal(nr_locked(), NR - 1);
	b = must(second, mem, NR, MEMORY_GOT_NEW);
	assert_int_equal(nr_locked(), NR);
	memory_region_put(b);
	memory_region_put(a);
	memory_hold_destroy(second);
}

static void charge_of_several_devices_counts_once(void **state)
{
	uaddr_t at = UINT64_C(0x100000);
	char a = 0, b = 0; /* their addresses are the payers */

	assert_int_equal(memory_charge_range(space, &a, at, 100, true), 0);
	assert_int_equal(memory_charge_range(space, &b, at, 100, true), 0);
	assert_int_equal(memory_charged_pages(space), 100);
	assert_int_equal(memory_charge_range(space, &b, at + 50 * PAGE, 100, true), 0);
	assert_int_equal(memory_charged_pages(space), 200); /* twice in b: 50..99; once: 100..149 */
	assert_int_equal(memory_charge_range(space, &a, at, 100, true), 0);
	assert_int_equal(memory_charged_pages(space), 250);
	memory_uncharge_range(space, &b, at, 100);
	assert_int_equal(memory_charged_pages(space), 250);
	memory_uncharge_range(space, &a, at, 100);
	assert_int_equal(memory_charged_pages(space), 150);
	memory_uncharge_range(space, &a, at, 100);
	assert_int_equal(memory_charged_pages(space), 100);
	memory_uncharge_range(space, &b, at + 50 * PAGE, 100);
	assert_int_equal(memory_charged_pages(space), 0);
}

static void charge_range_obeys_limit(void **state)
{
	struct rlimit before, limit;
	char a = 0, b = 0; /* their addresses are the payers */

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	limit = (struct rlimit){100 * PAGE, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	assert_int_equal(memory_charge_range(space, &a, 0, 101, false), -ENOMEM);
	assert_int_equal(memory_charge_range(space, &a, 0, 100, false), 0);
	assert_int_equal(memory_charge_range(space, &b, 0, 100, false), 0);
	assert_int_equal(memory_charge_range(space, &b, 0, 1, false), -ENOMEM);
	assert_int_equal(memory_charge_range(space, &b, 99 * PAGE, 2, false), -ENOMEM);
	assert_int_equal(memory_charge_range(space, &b, 0, UINT64_MAX, true), -ENOMEM);
	assert_int_equal(memory_charged_pages(space), 100);
	memory_uncharge_range(space, &a, 0, 100);
	memory_uncharge_range(space, &b, 0, 100);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

/* Random charges of three payers against a plain table. */
static void charge_random_agrees_with_a_plain_count(void **state)
{
	enum { PAGES = 40, CHARGES = 30 };
	struct {
		int payer, first, len;
	} live[CHARGES] = {0};
	int count[3][PAGES] = {{0}};
	char payers[3] = {0};

	srand(3);
	for (int step = 0; step < 4000; step++) {
		int i = rand() % CHARGES, by = live[i].len ? -1 : 1;
		uint64_t sum = 0;

		if (by > 0) {
			live[i].payer = rand() % 3;
			live[i].first = rand() % PAGES;
			live[i].len = 1 + rand() % (PAGES - live[i].first);
			assert_int_equal(memory_charge_range(space, &payers[live[i].payer],
							     (uint64_t)live[i].first * PAGE,
							     (uint64_t)live[i].len, true),
					 0);
		} else {
			memory_uncharge_range(space, &payers[live[i].payer],
					      (uint64_t)live[i].first * PAGE,
					      (uint64_t)live[i].len);
		}
		for (int p = live[i].first; p < live[i].first + live[i].len; p++)
			count[live[i].payer][p] += by;
		if (by < 0)
			live[i].len = 0;
		for (int p = 0; p < PAGES; p++) {
			int most = count[0][p] > count[1][p] ? count[0][p] : count[1][p];

			sum += (uint64_t)(most > count[2][p] ? most : count[2][p]);
		}
		assert_int_equal(memory_charged_pages(space), sum);
	}
	for (int i = 0; i < CHARGES; i++)
		if (live[i].len)
			memory_uncharge_range(space, &payers[live[i].payer],
					      (uint64_t)live[i].first * PAGE,
					      (uint64_t)live[i].len);
}

/* Random registrations that come, wait, go and are forgotten: the kernel's count is that of the
 * union. */
static void hold_random_agrees_with_a_plain_count(void **state)
{
	enum { REGIONS = 12 };
	struct memory_region *live[REGIONS] = {NULL};

	srand(5);
	for (int step = 0; step < 3000; step++) {
		int i = rand() % REGIONS;

		if (live[i]) {
			memory_region_put(live[i]);
			live[i] = NULL;
		} else if (rand() % 8 == 0) {
			char *at = mem + rand() % (int)NR * (int)PAGE;

			memory_hold_forget((uintptr_t)at, (uintptr_t)at + 3 * PAGE);
		} else {
			unsigned int first = (unsigned int)rand() % 8 * 8;

			assert_int_equal(reg(hold, mem + first * PAGE,
					     8 + (unsigned int)rand() % 3 * 8, rand() % 2,
					     &live[i]),
					 0);
		}
		if (step % 50 == 0)
			assert_int_equal(nr_held() == 0, memory_hold_is_empty());
	}
	for (int i = 0; i < REGIONS; i++)
		memory_region_put(live[i]);
	assert_true(counters().hits > 100);
	assert_true(counters().shared > 100);
	(void)memory_hold_forget_all(MEMORY_EVICT_CLIENT);
	assert_int_equal(nr_locked(), 0);
}

static void *register_in_thread(void *arg)
{
	struct memory_region *region;

	for (unsigned int i = 0; i < 300; i++) {
		if (reg(arg, mem + i % 5 * PAGE, 8, true, &region) != 0)
			return NULL;
		memory_region_put(region);
		if (i % 16 == 0)
			memory_hold_forget((uintptr_t)mem, (uintptr_t)mem + 9 * PAGE);
	}
	return arg;
}

static void hold_threads_keep_locks(void **state)
{
	struct memory_region *pinned = must(hold, mem + 6 * PAGE, 2, MEMORY_GOT_NEW);
	pthread_t threads[3];
	void *ret;

	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, register_in_thread, hold), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &ret);
		assert_ptr_equal(ret, hold);
	}
	(void)memory_hold_forget_all(MEMORY_EVICT_CLIENT);
	assert_int_equal(nr_locked(), 2);
	memory_region_put(pinned);
}

/* ---- by several threads ---- */

#define LARGE (UINT64_C(256) << 20)

static char *large(void)
{
	char *p = mmap(NULL, LARGE + PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void pin_by_threads_locks_all(void **state)
{
	size_t nr = LARGE / PAGE;
	unsigned char *present = malloc(nr);
	struct memory_region *region;
	char *p = large();

	memory_lock_threads(4);
	region = must(hold, p, nr, MEMORY_GOT_NEW);
	assert_int_equal(nr_locked(), nr);
	assert_int_equal(mincore(p, LARGE, present), 0);
	for (size_t i = 0; i < nr; i++)
		assert_int_equal(present[i] & 1, 1);
	memory_lock_threads(0);
	memory_region_unpin(region);
	memory_region_put(region);
	munmap(p, LARGE + PAGE);
	free(present);
}

static void pin_by_threads_rolls_back(void **state)
{
	struct memory_region *none = NULL;
	char *p = large();

	memory_lock_threads(4);
	assert_int_equal(mprotect(p + LARGE / 2, PAGE, PROT_READ), 0);
	assert_int_equal(reg(hold, p, LARGE / PAGE, true, &none), -EFAULT);
	assert_int_equal(nr_locked(), 0);
	assert_int_equal(munmap(p + LARGE - PAGE, PAGE), 0);
	assert_int_equal(reg(hold, p, LARGE / PAGE, true, &none), -EFAULT);
	assert_int_equal(nr_locked(), 0);
	memory_lock_threads(0);
	assert_null(none);
	munmap(p, LARGE + PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(hold_unmapped_memory_is_taken_over),
		CASE(hold_anonymous_memory_is_taken_over),
		CASE(hold_read_only_registration_is_not_for_writing),
		CASE(hold_part_of_what_waits_is_taken_over),
		CASE(hold_unpinned_region_does_not_wait),
		CASE(hold_changed_memory_is_never_taken_over),
		CASE(hold_hole_in_memory_is_efault),
		CASE(hold_write_protected_memory_is_efault),
		CASE(hold_pages_taken_out_are_the_clients_new_ones),
		CASE(hold_eviction_spares_what_it_had_not_locked),
		CASE(hold_huge_pages_are_told_from_others),
		CASE(hold_huge_pages_are_taken_over),
		CASE(hold_huge_anonymous_pages_are_taken_over),
		OLD_KERNEL(hold_unmapped_memory_is_taken_over),
		OLD_KERNEL(hold_anonymous_memory_is_taken_over),
		OLD_KERNEL(hold_changed_memory_is_never_taken_over),
		OLD_KERNEL(hold_huge_pages_are_told_from_others),
		OLD_KERNEL(hold_huge_pages_are_taken_over),
		OLD_KERNEL(hold_huge_anonymous_pages_are_taken_over),
		CASE(hold_forgotten_range_waits_no_more),
		CASE(hold_forgotten_file_waits_no_more),
		CASE(hold_forked_child_holds_nothing),
		cmocka_unit_test_setup_teardown(hold_beyond_budget_the_oldest_goes, setup_small,
						teardown),
		CASE(hold_off_keeps_nothing),
		CASE(hold_share_of_the_limit_is_obeyed),
		CASE(hold_gives_way_to_what_is_mapped),
		CASE(hold_without_a_limit_is_no_way_past_the_limit_of_others),
		CASE(hold_of_others_without_a_limit_costs_no_look),
		CASE(hold_gives_way_to_the_systems_limit),
		CASE(hold_too_old_goes),
		CASE(hold_closed_keeps_nothing),
		CASE(hold_second_device_shares_the_lock),
		CASE(hold_shared_memory_that_changed_is_locked_again),
		CASE(charge_of_several_devices_counts_once),
		CASE(charge_range_obeys_limit),
		CASE(charge_random_agrees_with_a_plain_count),
		CASE(hold_random_agrees_with_a_plain_count),
		CASE(hold_threads_keep_locks),
		CASE(pin_by_threads_locks_all),
		CASE(pin_by_threads_rolls_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
