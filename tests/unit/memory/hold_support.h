// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the tests of registrations share: memory of a file, a device's hold on it, and what the
 * kernel says is locked (VmLck).
 */
#ifndef HOLDFAST_TESTS_MEMORY_HOLD_SUPPORT_H
#define HOLDFAST_TESTS_MEMORY_HOLD_SUPPORT_H

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../base/wait.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "memory/hooks.h"
#include "memory/pin.h"

#define PAGE MEMORY_PAGE_SIZE
#define NR   64u

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#if HF_TSAN
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

/* The keeper is a thread, and the children that some cases fork make one of their own. */
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}
#endif

HF_UNUSED static struct memory_space *space;
HF_UNUSED static struct memory_hold *hold;
HF_UNUSED static int file;          /* memfd of 4 * NR pages */
HF_UNUSED static char *mem;         /* its first 2 * NR pages */
HF_UNUSED static uint64_t nr_start; /* locked pages as the test began */

HF_UNUSED static uint64_t nr_locked(void)
{
	char text[8192], *at;
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	at = strstr(text, "VmLck:");
	assert_non_null(at);
	return strtoull(at + 6, NULL, 10) / 4 - nr_start;
}

HF_UNUSED static bool is_locked(uaddr_t page)
{
	return look_any_locked(page, page + PAGE);
}

/* By number: the sanitizers turn the library's own into nothing. */
HF_UNUSED static void lock(void *p, size_t nr_pages)
{
	assert_int_equal(syscall(SYS_mlock2, p, nr_pages * PAGE, 0), 0);
}

HF_UNUSED static int reg(struct memory_hold *h, void *p, size_t nr_pages, bool write,
			 struct memory_region **out)
{
	return memory_region_register(h, (uintptr_t)p, nr_pages * PAGE, write, out);
}

HF_UNUSED static struct memory_region *must(struct memory_hold *h, void *p, size_t nr_pages,
					    enum memory_got got)
{
	struct memory_region *region;

	assert_int_equal(reg(h, p, nr_pages, true, &region), 0);
	assert_int_equal(memory_got(), got);
	return region;
}

/* Register @nr_pages and let them wait. */
HF_UNUSED static void must_wait(struct memory_hold *h, void *p, size_t nr_pages)
{
	memory_region_put(must(h, p, nr_pages, MEMORY_GOT_NEW));
}

HF_UNUSED static uint64_t nr_held(void)
{
	struct memory_hold_counters c;

	memory_hold_counters(hold, &c);
	return c.nr_held;
}

HF_UNUSED static struct memory_hold_counters counters(void)
{
	struct memory_hold_counters c;

	memory_hold_counters(hold, &c);
	return c;
}

HF_UNUSED static int setup_with(uint64_t budget)
{
	memory_hooks.without_keeper = true;
	nr_start = 0;
	nr_start = nr_locked();
	file = memfd_create("held", MFD_CLOEXEC);
	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, 4 * NR * PAGE), 0);
	mem = mmap(NULL, 2 * NR * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	assert_int_equal(memory_space_create_own(&space), 0);
	assert_int_equal(memory_hold_create(space, budget, false, &hold), 0);
	return 0;
}

HF_UNUSED static int setup(void **state)
{
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_MEMLOCK, &all) < 0 && getrlimit(RLIMIT_MEMLOCK, &all) == 0) {
		all.rlim_cur = all.rlim_max;
		assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &all), 0);
	}
	return setup_with(MEMORY_HOLD_ALL);
}

HF_UNUSED static int teardown(void **state)
{
	table_check();
	memory_hold_destroy(hold);
	assert_int_equal(memory_charged_pages(space), 0);
	memory_space_put(space);
	munmap(mem, 2 * NR * PAGE);
	close(file);
	assert_true(memory_hold_is_empty());
	assert_int_equal(nr_locked(), 0);
	return 0;
}

/* Return: the limit before. Nothing can be opened any more. */
HF_UNUSED static struct rlimit exhaust_descriptors(void)
{
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	return before;
}

HF_UNUSED static void restore_descriptors(const struct rlimit *before)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, before), 0);
}

HF_UNUSED static int setup_before_6_11(void **state)
{
	memory_hooks.without_query = true;
	return setup(state);
}

HF_UNUSED static int teardown_before_6_11(void **state)
{
	int err = teardown(state);

	memory_hooks.without_query = false;
	return err;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define OLD_KERNEL(name)                                                                           \
	{                                                                                          \
#name "_before_6_11", name, setup_before_6_11, teardown_before_6_11, NULL          \
	}

#endif
