// SPDX-License-Identifier: BSD-3-Clause
/*
 * Page locks that are not ours, and ours that cannot be undone at once: the client's own locks stay
 * as they were, whatever a device registers, and what could not be unlocked is unlocked later.
 */
#include <dirent.h>

#include "hold_support.h"

/* ---- the client's own locks ---- */

static void must_come_and_go(struct memory_hold *h, void *p, size_t nr_pages)
{
	struct memory_region *region;

	if (h) {
		memory_region_put(must(h, p, nr_pages, MEMORY_GOT_NEW));
		memory_hold_forget((uintptr_t)p, (uintptr_t)p + nr_pages * PAGE - 1);
		return;
	}
	assert_int_equal(memory_region_create(space, (uintptr_t)p, nr_pages * PAGE, true,
					      MEMORY_PINNED, &region),
			 0);
	memory_region_unpin(region);
	memory_region_put(region);
}

static void check_own_lock(struct memory_hold *h)
{
	lock(mem + 8 * PAGE, 4);
	must_come_and_go(h, mem, NR);
	assert_int_equal(nr_locked(), 4);
	must_come_and_go(h, mem + 9 * PAGE, 8);
	assert_int_equal(nr_locked(), 4);
	assert_true(is_locked((uintptr_t)mem + 8 * PAGE));
	assert_true(is_locked((uintptr_t)mem + 11 * PAGE));
	assert_int_equal(syscall(SYS_munlock, mem + 8 * PAGE, 4 * PAGE), 0);
	must_come_and_go(h, mem, NR);
	assert_int_equal(nr_locked(), 0);
}

static void pin_leaves_the_clients_own_lock(void **state)
{
	check_own_lock(hold);
	check_own_lock(NULL);
}

/* Registrations of both kinds overlap, and begin and end in any order. */
static void pin_leaves_the_clients_own_lock_with_the_last(void **state)
{
	struct memory_region *a, *b, *c;

	lock(mem + 8 * PAGE, 4);
	a = must(hold, mem, 10, MEMORY_GOT_NEW);
	assert_int_equal(memory_region_create(space, (uintptr_t)mem + 9 * PAGE, 8 * PAGE, true,
					      MEMORY_PINNED, &b),
			 0);
	c = must(hold, mem + 4 * PAGE, 10, MEMORY_GOT_NEW); /* nobody has looked at b's */
	assert_int_equal(nr_locked(), 17);
	memory_region_unpin(a);
	assert_int_equal(nr_locked(), 13);
	memory_region_unpin(c);
	assert_int_equal(nr_locked(), 9); /* the client's 8 to 11, and b's 9 to 16 */
	memory_region_unpin(b);
	assert_int_equal(nr_locked(), 4);
	memory_region_put(a);
	memory_region_put(b);
	memory_region_put(c);
}

/* A lock that comes later is told by the preload library. */
static void pin_leaves_a_lock_that_the_client_takes_meanwhile(void **state)
{
	struct memory_region *a = must(hold, mem, NR, MEMORY_GOT_NEW);

	lock(mem + 8 * PAGE, 4);
	memory_client_locked((uintptr_t)mem + 8 * PAGE + 5, (uintptr_t)mem + 12 * PAGE - 6);
	memory_region_unpin(a);
	memory_region_put(a);
	assert_int_equal(nr_locked(), 4);
	assert_int_equal(syscall(SYS_munlock, mem + 8 * PAGE, 4 * PAGE), 0);
}

static void pin_outlives_the_clients_munlock(void **state)
{
	struct memory_region *a;

	lock(mem + 8 * PAGE, 4);
	a = must(hold, mem, NR, MEMORY_GOT_NEW);
	assert_int_equal(syscall(SYS_munlock, mem + 8 * PAGE, 4 * PAGE), 0);
	memory_client_unlocked((uintptr_t)mem + 8 * PAGE, (uintptr_t)mem + 12 * PAGE - 1);
	assert_int_equal(nr_locked(), NR);
	assert_int_equal(syscall(SYS_munlockall), 0);
	memory_client_unlocked(0, UINT64_MAX);
	assert_int_equal(nr_locked() + nr_start, NR);
	memory_region_put(a); /* it was not looked at again, so it is not held */
	nr_start = 0;
	assert_int_equal(nr_locked(), 0);
}

/* ---- what cannot be unlocked ---- */

static void release_without_descriptors_is_owed(void **state)
{
	struct rlimit before;

	must_wait(hold, mem, NR);
	before = exhaust_descriptors();
	memory_hold_forget((uintptr_t)mem, (uintptr_t)mem);
	restore_descriptors(&before);
	assert_true(memory_hold_is_empty());
	assert_true(release_is_owed());
	assert_int_equal(nr_locked(), NR);
	release_owed();
	assert_false(release_is_owed());
	assert_int_equal(nr_locked(), 0);
}

/* What is owed is no lock of the client's, and a new registration takes it over. */
static void release_that_is_owed_is_not_the_clients(void **state)
{
	struct memory_region *a;
	struct rlimit before;

	must_wait(hold, mem, NR);
	before = exhaust_descriptors();
	memory_hold_forget((uintptr_t)mem, (uintptr_t)mem);
	restore_descriptors(&before);
	a = must(hold, mem + PAGE, NR - 2, MEMORY_GOT_SHARED);
	assert_true(release_is_owed()); /* the first page and the last */
	memory_region_unpin(a);
	memory_region_put(a);
	release_owed();
	assert_int_equal(nr_locked(), 0);
}

/* What the client locks itself is no longer owed. */
static void release_that_is_owed_leaves_a_new_lock_of_the_clients(void **state)
{
	struct rlimit before;

	must_wait(hold, mem, NR);
	before = exhaust_descriptors();
	memory_hold_forget((uintptr_t)mem, (uintptr_t)mem);
	restore_descriptors(&before);
	lock(mem, 2);
	memory_client_locked((uintptr_t)mem, (uintptr_t)mem + 2 * PAGE - 1);
	release_owed();
	assert_int_equal(nr_locked(), 2);
}

#define KEEPER_DEADLINE_MS 20000 /* also one that sleeps already looks every 5 s */

/* Is a thread of this name there, asleep? */
static bool thread_sleeps(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	bool sleeps = false;

	for (const struct dirent *d; dir && !sleeps && (d = readdir(dir));) {
		char path[64], comm[32] = "", state = 0;
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", d->d_name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%*d (%31[^)]) %c", comm, &state) == 2)
			sleeps = strcmp(comm, name) == 0 && state == 'S';
		if (f)
			fclose(f);
	}
	closedir(dir);
	return sleeps;
}

/* A process that does nothing more: only its keeper can settle what is owed. */
static int body_keeper(void)
{
	struct memory_region *a;
	struct rlimit before;

	memory_hooks.without_keeper = false;
	nr_start = 0; /* locks are not inherited */
	/* it runs, and sleeps: what it was made for is gone */
	must_wait(hold, mem, NR);
	(void)memory_hold_forget_all(MEMORY_EVICT_CLIENT);
	for (int ms = 0; !thread_sleeps("holdfast-keeper") && ms < KEEPER_DEADLINE_MS; ms += 10)
		(void)poll(NULL, 0, 10);
	a = must(hold, mem, NR, MEMORY_GOT_NEW);
	before = exhaust_descriptors();
	memory_region_unpin(a);
	memory_region_put(a);
	if (!release_is_owed())
		return 1;
	restore_descriptors(&before);
	/* a release is owed no more a moment before it is done */
	for (int ms = 0; (release_is_owed() || nr_locked() > 0) && ms < KEEPER_DEADLINE_MS;
	     ms += 10)
		(void)poll(NULL, 0, 10);
	return nr_locked() == 0 ? 0 : 2;
}

static void release_that_is_owed_is_done_by_the_keeper(void **state)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(body_keeper());
	assert_int_equal(waitpid(pid, &status, 0), pid); /* it has a deadline of its own */
	assert_int_equal(status, 0);
}

/* The process's map is out of reach for good: nothing is left locked for want of a look. */
static int body_bare_root(const char *dir)
{
	struct memory_region *live, *none;

	nr_start = 0; /* locks are not inherited */
	live = must(hold, mem, 8, MEMORY_GOT_NEW);
	must_wait(hold, mem + 8 * PAGE, 8);
	if (chroot(dir) < 0 || chdir("/") < 0)
		return 77;
	munmap(mem + 3 * PAGE, PAGE);
	memory_region_put(live);
	(void)memory_hold_forget_all(MEMORY_EVICT_CLIENT);
	for (int i = 0; i < 16; i++)
		if (is_locked((uintptr_t)mem + (uintptr_t)i * PAGE))
			return 1;
	if (release_is_owed())
		return 2;
	/* the client's lock is found there, too */
	lock(mem + 8 * PAGE, 4);
	none = must(hold, mem + 6 * PAGE, 10, MEMORY_GOT_NEW);
	memory_region_put(none);
	for (int i = 4; i < 16; i++)
		if (is_locked((uintptr_t)mem + (uintptr_t)i * PAGE) != (i >= 8 && i < 12))
			return 3;
	return 0;
}

static void release_in_a_bare_root_is_done_unseen(void **state)
{
	char dir[] = "/tmp/held-XXXXXX";
	int status;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	pid = fork();
	if (pid == 0)
		_exit(body_bare_root(dir));
	status = wait_child(pid);
	rmdir(dir);
	if (status == 77 << 8)
		skip();
	assert_int_equal(status, 0);
}

/* The client's mlock in one thread, in the steps of its wrapper; the last mapping goes in another
 * thread between two of them. */
static void pin_leaves_a_lock_that_the_client_takes_while_the_last_mapping_goes(void **state)
{
	uaddr_t first = (uintptr_t)mem + 8 * PAGE, last = first + 4 * PAGE - 1;
	struct memory_region *a = must(hold, mem, NR, MEMORY_GOT_NEW);
	uint64_t nr;

	memory_hold_forget(first, last); /* wrapper: nothing is held */
	memory_region_put(a);            /* the other thread: INVALIDATE; now it is held */
	lock((void *)first, 4);          /* wrapper: the call itself */
	memory_client_locked(first, last);
	memory_hold_forget((uintptr_t)mem, (uintptr_t)mem + NR * PAGE - 1); /* it gives way */
	nr = nr_locked();
	(void)syscall(SYS_munlock, mem, NR * PAGE);
	assert_int_equal(nr, 4);
}

/* The client moves memory that is registered, in the steps of the wrapper. */
static void pin_of_memory_that_moves_away_is_undone_there(void **state)
{
	char *to = mmap(NULL, NR * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct memory_region *a = must(hold, mem, NR, MEMORY_GOT_NEW);
	uint64_t nr;

	assert_ptr_equal(mremap(mem, NR * PAGE, NR * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	memory_client_moved((uintptr_t)mem, NR * PAGE, (uintptr_t)to, NR * PAGE);
	memory_region_put(a);
	memory_hold_forget(0, UINT64_MAX);
	nr = nr_locked();
	(void)syscall(SYS_munlock, to, NR * PAGE);
	assert_ptr_equal(mremap(to, NR * PAGE, NR * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, mem), mem);
	assert_int_equal(nr, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(pin_of_memory_that_moves_away_is_undone_there),
		CASE(pin_leaves_a_lock_that_the_client_takes_while_the_last_mapping_goes),
		CASE(pin_leaves_the_clients_own_lock),
		OLD_KERNEL(pin_leaves_the_clients_own_lock),
		CASE(pin_leaves_the_clients_own_lock_with_the_last),
		CASE(pin_leaves_a_lock_that_the_client_takes_meanwhile),
		CASE(pin_outlives_the_clients_munlock),
		OLD_KERNEL(release_without_descriptors_is_owed),
		OLD_KERNEL(release_that_is_owed_is_not_the_clients),
		OLD_KERNEL(release_that_is_owed_leaves_a_new_lock_of_the_clients),
		OLD_KERNEL(release_that_is_owed_is_done_by_the_keeper),
		OLD_KERNEL(release_in_a_bare_root_is_done_unseen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
