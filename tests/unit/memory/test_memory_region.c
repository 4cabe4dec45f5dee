// SPDX-License-Identifier: BSD-3-Clause
/* Regions, pins, the charge and copies, against the real kernel; locks are read from VmLck. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "../base/wait.h"
#include "memory/hooks.h"
#include "memory/internal.h"

#define PAGE MEMORY_PAGE_SIZE

static struct memory_space *space;

static char *map(size_t nr_pages, int prot)
{
	void *p = mmap(NULL, nr_pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/* Number after @name in /proc/self/status, in pages. */
static uint64_t status_pages(const char *name)
{
	char text[8192], *at;
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	at = strstr(text, name);
	assert_non_null(at);
	return strtoull(at + strlen(name), NULL, 10) / 4;
}

static uint64_t nr_locked(void)
{
	return status_pages("\nVmLck:");
}

static int pin(const char *p, uint64_t nr_pages, bool write, struct memory_region **out)
{
	return memory_region_create(space, (uintptr_t)p, nr_pages * PAGE, write, MEMORY_PINNED,
				    out);
}

static void region_create_va_takes_any_alignment(void **state)
{
	struct memory_region *region;

	assert_int_equal(memory_region_create(space, 0x1001, 3, true, MEMORY_VA, &region), 0);
	assert_int_equal(region->uaddr, 0x1001);
	assert_int_equal(region->len, 3);
	assert_ptr_equal(region->host, (char *)0x1001);
	assert_ptr_equal(region->space, space);
	assert_false(region->pinned);
	memory_region_get_many(region, 3);
	assert_ptr_equal(memory_region_get(region), region);
	for (int i = 0; i < 5; i++)
		memory_region_put(region);
	memory_region_put(NULL);
}

static void region_create_bad_range_is_refused(void **state)
{
	struct memory_region *none = NULL;
	uint64_t before = nr_locked();
	char *p = map(1, PROT_READ | PROT_WRITE);
	uaddr_t top = UINT64_MAX - PAGE + 1;

	assert_int_equal(memory_region_create(space, 5, 0, true, MEMORY_VA, &none), -EINVAL);
	assert_int_equal(memory_region_create(space, UINT64_MAX, 2, true, MEMORY_VA, &none),
			 -EINVAL);
	assert_int_equal(
		memory_region_create(space, (uintptr_t)p + 1, PAGE, true, MEMORY_PINNED, &none),
		-EINVAL);
	assert_int_equal(
		memory_region_create(space, (uintptr_t)p, PAGE - 1, true, MEMORY_PINNED, &none),
		-EINVAL);
	assert_int_equal(memory_region_create(space, top, PAGE, true, MEMORY_PINNED, &none),
			 -EFAULT);
	assert_int_equal(memory_region_create(space, top - PAGE, PAGE, true, MEMORY_PINNED, &none),
			 -EFAULT);
	assert_int_equal(memory_region_create(space, 0, PAGE, true, MEMORY_PINNED, &none), -EFAULT);
	assert_null(none);
	assert_int_equal(nr_locked(), before);
	munmap(p, PAGE);
}

static void region_create_pinned_populates_and_locks(void **state)
{
	uint64_t before = nr_locked();
	char *p = map(64, PROT_READ | PROT_WRITE);
	struct memory_region *region;
	unsigned char present[64];

	for (int write = 0; write < 2; write++) {
		assert_int_equal(pin(p, 64, write, &region), 0);
		assert_true(region->pinned);
		assert_int_equal(nr_locked(), before + 64);
		assert_int_equal(mincore(p, 64 * PAGE, present), 0);
		for (int i = 0; i < 64; i++)
			assert_int_equal(present[i] & 1, 1);
		memory_region_put(region);
		assert_int_equal(nr_locked(), before);
	}
	munmap(p, 64 * PAGE);
}

static void region_create_pinned_bad_memory_is_rolled_back(void **state)
{
	uint64_t before = nr_locked();
	struct memory_region *none = NULL;
	char *p = map(8, PROT_READ | PROT_WRITE);
	int fd = memfd_create("short", MFD_CLOEXEC);
	char *file;

	munmap(p + 4 * PAGE, PAGE);
	assert_int_equal(pin(p, 8, true, &none), -EFAULT);            /* a hole in the middle */
	assert_int_equal(pin(p + 4 * PAGE, 4, true, &none), -EFAULT); /* at the start */
	assert_int_equal(pin(p, 5, false, &none), -EFAULT);           /* at the end */
	mprotect(p + 2 * PAGE, PAGE, PROT_READ);
	assert_int_equal(pin(p, 4, true, &none), -EFAULT); /* not writable */
	mprotect(p + 2 * PAGE, PAGE, PROT_NONE);
	assert_int_equal(pin(p, 4, false, &none), -EFAULT); /* not readable */
	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	file = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(file, MAP_FAILED);
	assert_int_equal(pin(file, 4, true, &none), -EFAULT); /* behind the end of its file */
	assert_int_equal(pin(file, 4, false, &none), -EFAULT);
	assert_null(none);
	assert_int_equal(nr_locked(), before);
	munmap(file, 4 * PAGE);
	munmap(p, 8 * PAGE);
	close(fd);
}

static void region_create_pinned_read_only_memory_may_be_read(void **state)
{
	char *p = map(2, PROT_READ);
	struct memory_region *region;

	assert_int_equal(pin(p, 2, false, &region), 0);
	memory_region_put(region);
	munmap(p, 2 * PAGE);
}

static void region_pins_overlapping_unlock_with_the_last(void **state)
{
	uint64_t before = nr_locked();
	char *p = map(10, PROT_READ | PROT_WRITE);
	struct memory_region *a, *b, *c, *d;

	assert_int_equal(pin(p, 6, true, &a), 0);
	assert_int_equal(pin(p + 4 * PAGE, 6, true, &b), 0);
	assert_int_equal(pin(p + 2 * PAGE, 1, true, &c), 0);
	assert_int_equal(pin(p, 6, true, &d), 0); /* the same as a */
	assert_int_equal(nr_locked(), before + 10);
	memory_region_put(a);
	assert_int_equal(nr_locked(), before + 10);
	memory_region_unpin(d);                    /* whatever the references */
	assert_int_equal(nr_locked(), before + 7); /* b's six, and c's page */
	memory_region_put(d);
	assert_int_equal(nr_locked(), before + 7);
	memory_region_put(b);
	assert_int_equal(nr_locked(), before + 1);
	memory_region_put(c);
	assert_int_equal(nr_locked(), before);
	munmap(p, 10 * PAGE);
}

static void region_pin_failed_leaves_other_pins(void **state)
{
	uint64_t before = nr_locked();
	char *p = map(8, PROT_READ | PROT_WRITE);
	struct memory_region *a, *none = NULL;

	assert_int_equal(pin(p + PAGE, 2, true, &a), 0);
	munmap(p + 6 * PAGE, PAGE);
	assert_int_equal(pin(p, 8, true, &none), -EFAULT);
	assert_int_equal(nr_locked(), before + 2);
	memory_region_put(a);
	assert_int_equal(nr_locked(), before);
	munmap(p, 8 * PAGE);
}

static void region_put_after_client_unmapped_unlocks_the_rest(void **state)
{
	uint64_t before = nr_locked();
	char *p = map(8, PROT_READ | PROT_WRITE);
	struct memory_region *a;

	assert_int_equal(pin(p, 8, true, &a), 0);
	munmap(p + 3 * PAGE, PAGE);
	memory_region_put(a);
	assert_int_equal(nr_locked(), before);
	munmap(p, 8 * PAGE);
}

/* Overlapping pins in any order against a plain count a page. */
static void region_pins_random_agree_with_a_plain_count(void **state)
{
	enum { NR_PAGES = 40, NR_PINS = 24 };
	uint64_t before = nr_locked(), nr;
	char *p = map(NR_PAGES, PROT_READ | PROT_WRITE);
	struct memory_region *pins[NR_PINS] = {NULL};
	unsigned int count[NR_PAGES] = {0};

	srand(7);
	for (int step = 0; step < 2000; step++) {
		int i = rand() % NR_PINS, first = rand() % NR_PAGES;
		int len = 1 + rand() % (NR_PAGES - first), change = 1;

		if (pins[i]) {
			first = (int)((pins[i]->uaddr - (uintptr_t)p) / PAGE);
			len = (int)(pins[i]->len / PAGE);
			change = -1;
			memory_region_put(pins[i]);
			pins[i] = NULL;
		} else {
			assert_int_equal(pin(p + first * PAGE, (uint64_t)len, step % 2, &pins[i]),
					 0);
		}
		nr = 0;
		for (int page = 0; page < NR_PAGES; page++) {
			if (page >= first && page < first + len)
				count[page] += (unsigned int)change;
			nr += count[page] > 0;
		}
		assert_int_equal(nr_locked(), before + nr);
	}
	for (int i = 0; i < NR_PINS; i++)
		memory_region_put(pins[i]);
	assert_int_equal(nr_locked(), before);
	munmap(p, NR_PAGES * PAGE);
}

static void *pin_in_thread(void *arg)
{
	struct memory_region *region;

	for (int i = 0; i < 300; i++) {
		if (pin((char *)arg + (i % 5) * PAGE, 8, true, &region) != 0)
			return NULL;
		memory_region_put(region);
	}
	return arg;
}

static void region_pins_of_threads_keep_locks(void **state)
{
	uint64_t before = nr_locked();
	char *p = map(16, PROT_READ | PROT_WRITE);
	struct memory_region *held;
	pthread_t threads[3];
	void *ret;

	assert_int_equal(pin(p + 6 * PAGE, 2, true, &held), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pin_in_thread, p), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &ret);
		assert_ptr_equal(ret, p);
	}
	assert_int_equal(nr_locked(), before + 2);
	memory_region_put(held);
	assert_int_equal(nr_locked(), before);
	munmap(p, 16 * PAGE);
}

/* The bodies below run in a child without privileges and with a small limit of the kernel's own. */
static int body_limit(void)
{
	struct rlimit limit = {8 * PAGE, 8 * PAGE};
	struct memory_region *a, *b = NULL;
	char *p = map(16, PROT_READ | PROT_WRITE);
	int steps = 0;

	setrlimit(RLIMIT_MEMLOCK, &limit);
	if (geteuid() == 0 && setuid(65534) < 0)
		return 100;
	steps += pin(p, 8, true, &a) == 0;
	steps += pin(p + 8 * PAGE, 1, true, &b) == -ENOMEM;
	steps += pin(p, 16, true, &b) == -ENOMEM;
	steps += nr_locked() == 8;
	munmap(p + 12 * PAGE, PAGE);
	steps += pin(p + 8 * PAGE, 8, true, &b) ==
		 -EFAULT; /* a hole counts for more than the limit */
	memory_region_put(a);
	steps += nr_locked() == 0;
	limit.rlim_cur = limit.rlim_max = 0;
	setrlimit(RLIMIT_MEMLOCK, &limit);
	steps += pin(p, 1, true, &b) == -ENOMEM;
	return b ? 101 : steps;
}

static void region_create_over_kernel_limit_is_enomem(void **state)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body_limit());
	assert_int_equal(wait_child(pid), 7 << 8);
}

/* Virtual space of the size of a large guest, all from one small file. */
static void region_create_large_space_is_pinned(void **state)
{
	enum { FILE_LEN = 64 << 20 };
	uint64_t len = UINT64_C(8) << 30, before = nr_locked();
	int fd = memfd_create("repeated", MFD_CLOEXEC);
	struct memory_region *region;
	struct rlimit limit;
	char *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	if (geteuid() != 0 && limit.rlim_cur < len) {
		munmap(p, len);
		close(fd);
		skip();
	}
	assert_int_equal(ftruncate(fd, FILE_LEN), 0);
	for (uint64_t off = 0; off < len; off += FILE_LEN)
		assert_ptr_equal(mmap(p + off, FILE_LEN, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_FIXED, fd, 0),
				 p + off);
	assert_int_equal(pin(p, len / PAGE, true, &region), 0);
	assert_int_equal(nr_locked(), before + len / PAGE);
	memory_region_put(region);
	assert_int_equal(nr_locked(), before);
	munmap(p, len);
	close(fd);
}

static void region_create_many_tiny_is_quick(void **state)
{
	enum { NR = 20000 };
	struct memory_region **regions = calloc(NR, sizeof(struct memory_region *));
	uint64_t before = nr_locked();
	char *p = map(NR, PROT_READ | PROT_WRITE);

	assert_non_null(regions);
	for (size_t i = 0; i < NR; i++)
		assert_int_equal(pin(p + i * PAGE, 1, true, &regions[i]), 0);
	assert_int_equal(nr_locked(), before + NR);
	for (size_t i = 0; i < NR; i++)
		memory_region_put(regions[(i * 7919) % NR]); /* a prime: each once, in no order */
	assert_int_equal(nr_locked(), before);
	free(regions);
	munmap(p, NR * PAGE);
}

/* More pages than twice the mappings that a process may have; 0: the limit is out of reach here. */
static size_t nr_pages_beyond_map_limit(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
	size_t nr_maps = 0;

	if (file && fscanf(file, "%zu", &nr_maps) != 1)
		nr_maps = 0;
	if (file)
		fclose(file);
	return nr_maps == 0 || nr_maps > 100000 ? 0 : (nr_maps + 2000) & ~(size_t)1;
}

/* Unlocking every second page needs too many mappings; in the end, all is unlocked. */
static void check_map_limit(size_t nr, bool pin_again)
{
	struct memory_region **tiny = calloc(nr / 2, sizeof(struct memory_region *)), *all, *again;
	uint64_t before = nr_locked();
	char *p = map(nr, PROT_READ | PROT_WRITE);

	assert_non_null(tiny);
	assert_int_equal(pin(p, nr, true, &all), 0);
	for (size_t i = 0; i < nr / 2; i++)
		assert_int_equal(pin(p + 2 * i * PAGE, 1, true, &tiny[i]), 0);
	memory_region_put(all);
	assert_true(nr_locked() > before + nr / 2); /* the limit was met */
	if (pin_again)
		assert_int_equal(pin(p, nr, true, &again), 0);
	for (size_t i = 0; i < nr / 2; i++)
		memory_region_put(tiny[i]);
	if (pin_again) {
		assert_int_equal(nr_locked(), before + nr);
		memory_region_put(again);
	}
	assert_int_equal(nr_locked(), before);
	free(tiny);
	munmap(p, nr * PAGE);
}

static void region_put_beyond_map_limit_unlocks_in_the_end(void **state)
{
	size_t nr = nr_pages_beyond_map_limit();

	if (nr == 0)
		skip();
	check_map_limit(nr, false);
	check_map_limit(nr, true);
}

/* Neither page can be unlocked alone, for that splits their mapping; both together can. */
static void region_put_beyond_map_limit_unlocks_neighbours_as_one(void **state)
{
	size_t nr = nr_pages_beyond_map_limit();
	struct memory_region **tiny = calloc(nr / 2 + 1, sizeof(struct memory_region *)), *all;
	struct memory_region *two, *second;
	uint64_t before = nr_locked(), beyond;
	char *p, *q;

	assert_non_null(tiny);
	if (nr == 0) {
		free(tiny);
		skip();
	}
	q = map(4, PROT_NONE);
	assert_int_equal(mprotect(q + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(pin(q + PAGE, 2, true, &two), 0);
	assert_int_equal(pin(q + 2 * PAGE, 1, true, &second), 0);
	p = map(nr, PROT_READ | PROT_WRITE);
	assert_int_equal(pin(p, nr, true, &all), 0);
	for (size_t i = 0; i < nr / 2; i++)
		assert_int_equal(pin(p + 2 * i * PAGE, 1, true, &tiny[i]), 0);
	memory_region_put(all);
	beyond = nr_locked();
	memory_region_put(two);
	assert_int_equal(nr_locked(), beyond); /* its first page is owed */
	memory_region_put(second);
	assert_int_equal(nr_locked(), beyond - 2);
	for (size_t i = 0; i < nr / 2; i++)
		memory_region_put(tiny[i]);
	assert_int_equal(nr_locked(), before);
	free(tiny);
	munmap(p, nr * PAGE);
	munmap(q, 4 * PAGE);
}

static void space_identity_region_keeps_space(void **state)
{
	struct memory_region *identity;
	struct memory_space *own;

	assert_int_equal(memory_space_create_own(&own), 0);
	identity = memory_space_identity(own);
	assert_int_equal(identity->len, 0);
	assert_ptr_equal(identity->host, NULL);
	assert_int_equal(identity->uaddr, 0);
	memory_region_get(identity);
	memory_space_put(own);
	assert_ptr_equal(identity->space, own); /* still there; ASan would tell */
	memory_region_unpin(identity);
	memory_region_put(identity);
	memory_space_put(NULL);
}

static void space_charge_obeys_limit(void **state)
{
	struct rlimit before, limit;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	limit = (struct rlimit){100 * PAGE + 5, before.rlim_max};
	if (limit.rlim_max < limit.rlim_cur)
		skip();
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	assert_int_equal(memory_charge(space, 101, false), -ENOMEM);
	assert_int_equal(memory_charge(space, 60, false), 0);
	assert_int_equal(memory_charge(space, 41, false), -ENOMEM);
	assert_int_equal(memory_charge(space, 40, false), 0);
	assert_int_equal(memory_charge(space, UINT64_MAX, false), -ENOMEM);
	assert_int_equal(memory_charged_pages(space), 100);
	assert_int_equal(memory_charge(space, 0, false), 0);
	memory_uncharge(space, 30);
	limit.rlim_cur = 50 * PAGE; /* looked at when it is asked for */
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	assert_int_equal(memory_charge(space, 1, false), -ENOMEM);
	memory_uncharge(space, 70);
	assert_int_equal(memory_charged_pages(space), 0);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

static void *charge_in_thread(void *arg)
{
	uintptr_t nr = 0;

	for (int i = 0; i < 1000; i++)
		nr += memory_charge(space, 1, false) == 0;
	return (void *)nr;
}

static void space_charge_of_threads_is_exact(void **state)
{
	struct rlimit before, limit;
	pthread_t threads[4];
	uintptr_t sum = 0;
	void *nr;

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	limit = (struct rlimit){1500 * PAGE, before.rlim_max};
	if (limit.rlim_max < limit.rlim_cur)
		skip();
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, charge_in_thread, NULL), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &nr);
		sum += (uintptr_t)nr;
	}
	assert_int_equal(sum, 1500);
	memory_uncharge(space, 1500);
	assert_int_equal(memory_charged_pages(space), 0);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

static void copy_moves_bytes_and_reports_faults(void **state)
{
	char *p = map(3, PROT_READ | PROT_WRITE), buf[2 * PAGE];

	mprotect(p + PAGE, PAGE, PROT_READ);
	munmap(p + 2 * PAGE, PAGE);
	memset(buf, 'z', sizeof(buf));
	assert_int_equal(memory_copy_to(space, (uintptr_t)p + 7, "hello", 5), 0);
	assert_memory_equal(p + 7, "hello", 5);
	assert_int_equal(memory_copy_from(space, buf, (uintptr_t)p + 7, 5), 0);
	assert_memory_equal(buf, "helloz", 6);
	assert_int_equal(memory_copy_from(space, buf, (uintptr_t)p, 2 * PAGE), 0);
	assert_int_equal(memory_copy_to(space, (uintptr_t)p + PAGE - 2, buf, 5), -EFAULT);
	assert_int_equal(memory_copy_to(space, (uintptr_t)p + PAGE, buf, 1), -EFAULT);
	assert_int_equal(memory_copy_from(space, buf, (uintptr_t)p + PAGE + 1, PAGE), -EFAULT);
	assert_int_equal(memory_copy_from(space, buf, 0, 1), -EFAULT);
	assert_int_equal(memory_copy_from(space, buf, UINT64_MAX, 2), -EFAULT);
	assert_int_equal(memory_copy_to(space, UINT64_MAX - 3, buf, 4), -EFAULT);
	assert_int_equal(memory_copy_from(space, buf, 0, 0), 0);
	munmap(p, 2 * PAGE);
}

static int without_populate(void **state)
{
	memory_hooks.without_populate = true;
	return 0;
}

static int with_populate(void **state)
{
	memory_hooks.without_populate = false;
	return 0;
}

static int without_vm(void **state)
{
	memory_hooks.without_vm = true;
	return 0;
}

static int with_vm(void **state)
{
	memory_hooks.without_vm = false;
	return 0;
}

static int space_open(void **state)
{
	return memory_space_create_own(&space);
}

static int space_close(void **state)
{
	memory_space_put(space);
	return 0;
}

#define OLD_KERNEL(f)                                                                              \
	{                                                                                          \
#f "_before_5_14", f, without_populate, with_populate, NULL                        \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(region_create_va_takes_any_alignment),
		cmocka_unit_test(region_create_bad_range_is_refused),
		cmocka_unit_test(region_create_pinned_populates_and_locks),
		cmocka_unit_test(region_create_pinned_bad_memory_is_rolled_back),
		cmocka_unit_test(region_create_pinned_read_only_memory_may_be_read),
		cmocka_unit_test(region_pins_overlapping_unlock_with_the_last),
		cmocka_unit_test(region_pin_failed_leaves_other_pins),
		cmocka_unit_test(region_put_after_client_unmapped_unlocks_the_rest),
		cmocka_unit_test(region_pins_random_agree_with_a_plain_count),
		cmocka_unit_test(region_pins_of_threads_keep_locks),
		cmocka_unit_test(region_create_over_kernel_limit_is_enomem),
		cmocka_unit_test(region_create_large_space_is_pinned),
		cmocka_unit_test(region_create_many_tiny_is_quick),
		cmocka_unit_test(region_put_beyond_map_limit_unlocks_in_the_end),
		cmocka_unit_test(region_put_beyond_map_limit_unlocks_neighbours_as_one),
		OLD_KERNEL(region_create_bad_range_is_refused),
		OLD_KERNEL(region_create_pinned_populates_and_locks),
		OLD_KERNEL(region_create_pinned_bad_memory_is_rolled_back),
		OLD_KERNEL(region_create_pinned_read_only_memory_may_be_read),
		OLD_KERNEL(region_create_over_kernel_limit_is_enomem),
		cmocka_unit_test(space_identity_region_keeps_space),
		cmocka_unit_test(space_charge_obeys_limit),
		cmocka_unit_test(space_charge_of_threads_is_exact),
		cmocka_unit_test(copy_moves_bytes_and_reports_faults),
		{"copy_in_sandbox_moves_bytes_and_reports_faults",
		 copy_moves_bytes_and_reports_faults, without_vm, with_vm, NULL},
	};

	return cmocka_run_group_tests(tests, space_open, space_close);
}
