// SPDX-License-Identifier: BSD-3-Clause
/* Which pages are in the page tables: against what was touched, for each kind of memory, by both of
 * the kernel's ways. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../between.h"
#include "memory/hooks.h"
#include "memory/internal.h"
#include "memory/pin.h"

#define PAGE     MEMORY_PAGE_SIZE
#define NR_PAGES 1500 /* more than one read of the page map, less than a usual RLIMIT_MEMLOCK */

enum kind { ANONYMOUS, MEMFD, SHM, NR_KINDS };

static size_t nr_pages = NR_PAGES; /* of what make() makes */

static char *anonymous(void)
{
	char *p = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	/* A page is touched by itself. */
	assert_int_equal(madvise(p, nr_pages * PAGE, MADV_NOHUGEPAGE), 0);
	return p;
}

/* @fd is consumed. */
static char *map_file(int fd, int flags)
{
	char *p;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(nr_pages * PAGE)), 0);
	p = mmap(NULL, nr_pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	close(fd);
	return p;
}

static int shm(void)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/holdfast-test-%d", (int)getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	shm_unlink(name);
	return fd;
}

static char *make(enum kind kind)
{
	if (kind == ANONYMOUS)
		return anonymous();
	return map_file(kind == MEMFD ? memfd_create("test", MFD_CLOEXEC) : shm(), MAP_SHARED);
}

/* Number of the first page from @from on that is missing; whether it settles is @settles. */
static size_t missing(char *p, size_t from, size_t nr, bool write, bool settles)
{
	uaddr_t first = (uintptr_t)p + from * PAGE, last = first + nr * PAGE - 1, found;
	struct present present;

	present_open(&present, first, last, write);
	assert_int_equal(present.settles, settles);
	found = present_missing(&present, first, last);
	present_close(&present);
	assert_between(found, first, last + 1);
	return (found - (uintptr_t)p) / PAGE;
}

static void both_ways(void (*check)(void))
{
	check();
	memory_hooks.without_scan = true;
	check();
	memory_hooks.without_scan = false;
}

static void check_untouched(void)
{
	for (int kind = 0; kind < NR_KINDS; kind++) {
		char *p = make((enum kind)kind);

		assert_int_equal(missing(p, 0, NR_PAGES, true, true), 0);
		assert_int_equal(missing(p, 7, 3, false, kind != ANONYMOUS), 7);
		munmap(p, NR_PAGES * PAGE);
	}
}

static void present_untouched_memory_is_missing(void **state)
{
	both_ways(check_untouched);
}

/* Random pages are touched, more and more of them; random ranges are asked about. */
static void check_random(void)
{
	for (int kind = 0; kind < NR_KINDS; kind++) {
		char *p = make((enum kind)kind);
		bool touched[NR_PAGES] = {false};

		for (int round = 0; round < 400; round++) {
			size_t from = (size_t)rand() % NR_PAGES, nr = (size_t)rand() % 60 + 1, at;

			for (at = from; at < from + nr && at < NR_PAGES; at++) {
				p[at * PAGE] = 1;
				touched[at] = true;
			}
			from = (size_t)rand() % NR_PAGES;
			nr = (size_t)rand() % (NR_PAGES - from) + 1;
			for (at = from; at < from + nr && touched[at]; at++)
				;
			/* A shared file's neighbours may come along with a page, but none goes. */
			if (kind == ANONYMOUS)
				assert_int_equal(missing(p, from, nr, true, true), at);
			else
				assert_between(missing(p, from, nr, true, true), at, from + nr);
		}
		memset(p, 1, NR_PAGES * PAGE);
		assert_int_equal(missing(p, 0, NR_PAGES, true, true), NR_PAGES);
		if (kind == ANONYMOUS) {
			assert_int_equal(madvise(p + 1400 * PAGE, PAGE, MADV_DONTNEED), 0);
			assert_int_equal(missing(p, 0, NR_PAGES, true, true), 1400);
		}
		munmap(p, NR_PAGES * PAGE);
	}
}

static void present_random_agrees_with_what_was_touched(void **state)
{
	srand(1);
	both_ways(check_random);
}

/* A page that nobody else has is no page of zeros that all share. Some kernels give one at once. */
static bool is_own_page(const char *page)
{
	const uint64_t exclusive = UINT64_C(1) << 56;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	assert_true(fd >= 0);
	assert_int_equal(
		pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE * sizeof(entry))),
		sizeof(entry));
	close(fd);
	return entry & exclusive;
}

static void present_page_of_zeros_is_missing_for_writing(void **state)
{
	char *p = anonymous();
	bool own;

	memset(p, 1, NR_PAGES * PAGE);
	assert_int_equal(madvise(p + 20 * PAGE, PAGE, MADV_DONTNEED), 0);
	assert_int_equal(((volatile char *)p)[20 * PAGE], 0);
	own = is_own_page(p + 20 * PAGE);
	assert_int_equal(missing(p, 0, NR_PAGES, true, true), own ? NR_PAGES : 20);
	munmap(p, NR_PAGES * PAGE);
}

/* A child that has the same pages, and ends with us at the latest. */
static pid_t fork_idle(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return child;
}

static void present_memory_that_a_child_may_share_is_left_to_population(void **state)
{
	char *p = anonymous();
	pid_t child;

	memset(p, 1, NR_PAGES * PAGE);
	assert_int_equal(missing(p, 0, NR_PAGES, true, true), NR_PAGES);
	child = fork_idle();
	(void)missing(p, 0, NR_PAGES, true, false);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	(void)missing(p, 0, NR_PAGES, true, false); /* the pages may still be protected */
	munmap(p, NR_PAGES * PAGE);
}

static void present_private_file_is_left_to_population(void **state)
{
	char *p = map_file(memfd_create("test", MFD_CLOEXEC), MAP_PRIVATE);

	for (size_t i = 0; i < NR_PAGES; i++)
		(void)((volatile char *)p)[i * PAGE];
	(void)missing(p, 0, NR_PAGES, false, false);
	(void)missing(p, 0, NR_PAGES, true, false);
	munmap(p, NR_PAGES * PAGE);
}

static void present_file_on_a_disk_settles_nothing_for_writing(void **state)
{
	char name[] = "present-XXXXXX"; /* in the build folder */
	int fd = mkstemp(name);
	struct statfs fs;
	char *p;

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(fstatfs(fd, &fs), 0);
	if (fs.f_type == TMPFS_MAGIC) {
		print_message("the build folder is in memory\n");
		skip();
	}
	p = map_file(fd, MAP_SHARED);
	for (size_t i = 0; i < NR_PAGES; i++)
		(void)((volatile char *)p)[i * PAGE];
	assert_int_equal(missing(p, 0, NR_PAGES, true, false), NR_PAGES);
	assert_int_equal(missing(p, 0, NR_PAGES, false, false), NR_PAGES);
	munmap(p, NR_PAGES * PAGE);
}

static void present_odd_memory_is_left_to_population(void **state)
{
	char *p = anonymous(), *file;

	memset(p, 1, NR_PAGES * PAGE);
	assert_int_equal(mprotect(p + 100 * PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(missing(p, 90, 30, true, false), 90);
	assert_int_equal(mprotect(p + 100 * PAGE, PAGE, PROT_NONE), 0);
	assert_int_equal(missing(p, 90, 30, false, false), 90);
	assert_int_equal(munmap(p + 200 * PAGE, PAGE), 0);
	assert_int_equal(missing(p, 190, 30, true, false), 190);
	assert_int_equal(missing(p, 200, 30, true, false), 200);
	/* Private and shared side by side. */
	file = mmap(p + 300 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_equal(file, p + 300 * PAGE);
	*file = 1;
	assert_int_equal(missing(p, 290, 30, true, false), 290);
	munmap(p, NR_PAGES * PAGE);
}

/* Mapped, readable, and no memory: the kernel's own page beside the vDSO. */
static char *find_vvar(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long at = 0, first;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[vvar]") && sscanf(line, "%lx-", &first) == 1)
			at = first;
	fclose(maps);
	return (char *)at;
}

static void present_what_is_no_memory_is_left_to_population(void **state)
{
	char *p = find_vvar();
	struct memory_region *none = NULL;
	struct memory_space *space;

	if (!p)
		skip();
	(void)missing(p, 0, 1, false, false);
	assert_int_equal(memory_space_create_own(&space), 0);
	assert_int_equal(
		memory_region_create(space, (uintptr_t)p, PAGE, false, MEMORY_PINNED, &none),
		-EFAULT);
	assert_null(none);
	memory_space_put(space);
}

/* Protect page @idx from writing. Return: a userfaultfd, or -1 if there is none for us */
static int protect(char *p, size_t idx)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_WP_HUGETLBFS_SHMEM};
	struct uffdio_register area = {.range = {(uintptr_t)p, NR_PAGES * PAGE},
				       .mode = UFFDIO_REGISTER_MODE_WP};
	struct uffdio_writeprotect page = {.range = {(uintptr_t)p + idx * PAGE, PAGE},
					   .mode = UFFDIO_WRITEPROTECT_MODE_WP};

	if (fd < 0)
		return -1;
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &area)) {
		close(fd);
		return -1;
	}
	assert_int_equal(ioctl(fd, UFFDIO_WRITEPROTECT, &page), 0);
	return fd;
}

static void check_protected(void)
{
	for (int kind = 0; kind < NR_KINDS; kind++) {
		char *p = make((enum kind)kind);
		int fd;

		memset(p, 1, NR_PAGES * PAGE);
		fd = protect(p, 30);
		if (fd < 0) {
			print_message("no userfaultfd\n");
			skip();
		}
		assert_int_equal(missing(p, 0, NR_PAGES, true, true), 30);
		assert_int_equal(missing(p, 31, NR_PAGES - 31, true, true), NR_PAGES);
		close(fd);
		munmap(p, NR_PAGES * PAGE);
	}
}

static void present_page_under_userfaultfd_is_missing(void **state)
{
	both_ways(check_protected);
}

/* ---- what it is for: a registration leaves no page to fault ---- */

#define NR_LARGE 5000 /* pages; less than 16 MiB is not asked about */

static long nr_faults(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_minflt;
}

/* Without the sanitizers' own memory, which would fault. */
#if defined(__clang__)
__attribute__((no_sanitize("thread", "address")))
#else
__attribute__((no_sanitize_thread, no_sanitize_address))
#endif
static void
write_each_page(char *p)
{
	for (size_t i = 0; i < NR_LARGE; i++)
		((volatile char *)p)[i * PAGE] = 3;
}

static void expect_no_fault(char *p)
{
	struct memory_space *space;
	struct memory_region *region;
	long before, after;

	assert_int_equal(memory_space_create_own(&space), 0);
	assert_int_equal(memory_region_create(space, (uintptr_t)p, NR_LARGE * PAGE, true,
					      MEMORY_PINNED, &region),
			 0);
	before = nr_faults();
	write_each_page(p);
	after = nr_faults();
	assert_between(after - before, 0, NR_LARGE / 100); /* the kernel may move a page */
	memory_region_put(region);
	memory_space_put(space);
}

static void check_registered(void)
{
	nr_pages = NR_LARGE;
	for (int kind = 0; kind < NR_KINDS; kind++) {
		char *p = make((enum kind)kind);
		pid_t child;

		for (size_t i = 0; i < NR_LARGE; i += 2)
			p[i * PAGE] = 1;
		expect_no_fault(p);
		memset(p, 1, NR_LARGE * PAGE);
		child = fork_idle();
		expect_no_fault(p);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		munmap(p, NR_LARGE * PAGE);
	}
	nr_pages = NR_PAGES;
}

static void present_registered_memory_does_not_fault(void **state)
{
	both_ways(check_registered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(present_untouched_memory_is_missing),
		cmocka_unit_test(present_random_agrees_with_what_was_touched),
		cmocka_unit_test(present_page_of_zeros_is_missing_for_writing),
		cmocka_unit_test(present_private_file_is_left_to_population),
		cmocka_unit_test(present_file_on_a_disk_settles_nothing_for_writing),
		cmocka_unit_test(present_odd_memory_is_left_to_population),
		cmocka_unit_test(present_what_is_no_memory_is_left_to_population),
		cmocka_unit_test(present_page_under_userfaultfd_is_missing),
		/* From here on the process has forked. */
		cmocka_unit_test(present_memory_that_a_child_may_share_is_left_to_population),
		cmocka_unit_test(present_registered_memory_does_not_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
