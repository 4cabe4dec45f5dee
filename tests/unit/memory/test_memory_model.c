// SPDX-License-Identifier: BSD-3-Clause
/*
 * Registrations against a model of the address space. A client maps, unmaps, moves, protects,
 * discards, truncates, locks and forks in random order, while three devices register what is there,
 * and let go of it: one strict, two with a hold. Half of the client's calls pass by the preload
 * library, which tells what it sees; half are raw. After each step, (1) and (3) within four:
 *
 *  (1) A page that is registered is locked, as long as it is the mapping that was registered.
 *  (2) A page that nobody has registered, that is not held, and that the client has not locked, is
 *	not locked. What is owed for want of descriptors is locked until there are some.
 *  (3) A page that the client has locked is locked, until it unlocks or unmaps it.
 *  (4) A registration succeeds if and only if all of its range is there and permits it.
 *  (5) The account is that of a plain count, and the table's own invariants hold.
 *
 * In the end everything is let go, and no lock and no interval is left. HOLDFAST_TEST_STEPS is the
 * number of steps, HOLDFAST_TEST_SEED repeats a run.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "hold_support.h"

enum { PAGES = 48, REGIONS = 5, CHARGES = 10, HOLDS = 2, FILES = 2 };

/*
 * The client's pages lie low, far below where the kernel puts maps by itself: it takes the highest
 * gap that fits, so a map of a sanitizer's could fill a hole among pages up there.
 */
#define WINDOW 0x40000000UL

/* What a page is. */
struct page {
	bool mapped, writable;
	int file;                   /* -1: anonymous */
	int off;                    /* page of the file */
	bool client;                /* locked by the client */
	unsigned int id;            /* of the mapping; another whenever it is mapped anew */
	unsigned int registered_id; /* of the mapping that the last registration locked */
};

struct registration {
	struct memory_region *region; /* NULL: none */
	int first, nr;
};

struct paid {
	int payer, first, nr; /* @nr 0: none */
};

static char *base;
static struct page pages[PAGES];
static struct registration regs[REGIONS];
static struct paid paid[CHARGES];
static struct memory_hold *holds[HOLDS];
static int files[FILES], file_pages[FILES];
static unsigned int last_id;
static unsigned int nr_got[MEMORY_GOT_HELD + 1]; /* registrations, by how they came about */
static bool exhausted;
static struct rlimit nofile;
static unsigned long step;
static const char *doing;

static int below(int n)
{
	return (int)((unsigned int)rand() % (unsigned int)n);
}

static uaddr_t addr_of(int page)
{
	return (uintptr_t)base + (uaddr_t)page * PAGE;
}

static void any_range(int *first, int *nr, int most)
{
	*first = below(PAGES);
	*nr = 1 + below(PAGES - *first < most ? PAGES - *first : most);
}

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			print_message("step %lu, %s: page %d: %s\n", step, doing, p, #what);       \
			fail();                                                                    \
		}                                                                                  \
	} while (0)

/* ---- the client ---- */

/* What the preload library tells before a call that changes a range; half of the calls are raw. */
static void tell(int first, int nr, bool told)
{
	if (told)
		memory_hold_forget(addr_of(first), addr_of(first + nr) - 1);
}

static void client_maps(int first, int nr, bool told)
{
	int of = below(FILES + 1) - 1, off = below(PAGES - nr + 1);
	int flags = MAP_FIXED | (of < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
	void *at = (void *)addr_of(first);

	tell(first, nr, told);
	assert_ptr_equal(mmap(at, (size_t)nr * PAGE, PROT_READ | PROT_WRITE, flags,
			      of < 0 ? -1 : files[of], of < 0 ? 0 : (off_t)off * (off_t)PAGE),
			 at);
	last_id++;
	for (int p = first; p < first + nr; p++)
		pages[p] = (struct page){.mapped = true,
					 .writable = true,
					 .file = of,
					 .off = off + p - first,
					 .id = last_id,
					 .registered_id = pages[p].registered_id};
}

static void client_unmaps(int first, int nr, bool told)
{
	tell(first, nr, told);
	assert_int_equal(munmap((void *)addr_of(first), (size_t)nr * PAGE), 0);
	for (int p = first; p < first + nr; p++)
		pages[p] = (struct page){.registered_id = pages[p].registered_id};
}

static bool is_registered(int page)
{
	for (int r = 0; r < REGIONS; r++)
		if (regs[r].region && page >= regs[r].first && page < regs[r].first + regs[r].nr)
			return true;
	return false;
}

/* Neither end is registered or owed: a lock of ours would go along (docs/hold.md, limits). */
static void client_moves(int first, int nr)
{
	int to = below(PAGES - nr + 1);

	if ((to < first + nr && first < to + nr) || exhausted || release_is_owed())
		return;
	for (int p = 0; p < nr; p++)
		if (!pages[first + p].mapped || pages[first + p].id != pages[first].id ||
		    is_registered(first + p) || is_registered(to + p))
			return;
	tell(first, nr, true);
	tell(to, nr, true);
	if (mremap((void *)addr_of(first), (size_t)nr * PAGE, (size_t)nr * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, (void *)addr_of(to)) == MAP_FAILED)
		return; /* of several mappings by now: some of it locked, or protected */
	last_id++;
	for (int p = 0; p < nr; p++) {
		pages[to + p] = pages[first + p];
		pages[to + p].id = last_id;
		pages[first + p] = (struct page){.mapped = false};
	}
}

static void client_protects(int first, int nr)
{
	bool writable = below(2);

	for (int p = first; p < first + nr; p++)
		if (!pages[p].mapped)
			return;
	assert_int_equal(mprotect((void *)addr_of(first), (size_t)nr * PAGE,
				  PROT_READ | (writable ? PROT_WRITE : 0)),
			 0);
	for (int p = first; p < first + nr; p++)
		pages[p].writable = writable;
}

static void client_locks(int first, int nr, bool lock_it)
{
	bool all = true;

	tell(first, nr, true);
	for (int p = first; p < first + nr; p++)
		all &= pages[p].mapped;
	if (!all)
		return;
	/* on fault: the file may be too short */
	assert_int_equal(
		lock_it ? syscall(SYS_mlock2, addr_of(first), (size_t)nr * PAGE, MLOCK_ONFAULT)
			: syscall(SYS_munlock, addr_of(first), (size_t)nr * PAGE),
		0);
	for (int p = first; p < first + nr; p++)
		pages[p].client = lock_it;
	(lock_it ? memory_client_locked : memory_client_unlocked)(addr_of(first),
								  addr_of(first + nr) - 1);
	/* What is registered is locked again, whatever is mapped there now. */
	for (int p = first; !lock_it && p < first + nr; p++)
		if (is_registered(p) && is_locked(addr_of(p)))
			pages[p].registered_id = pages[p].id;
}

static void client_discards(int first, int nr, bool told)
{
	tell(first, nr, told);
	(void)madvise((void *)addr_of(first), (size_t)nr * PAGE, MADV_DONTNEED);
}

static void client_truncates(void)
{
	int of = below(FILES);
	struct stat st;

	if (below(2) && fstat(files[of], &st) == 0)
		memory_hold_forget_file(st.st_ino);
	file_pages[of] = below(4) ? PAGES : below(PAGES);
	assert_int_equal(ftruncate(files[of], (off_t)file_pages[of] * (off_t)PAGE), 0);
}

/* A child has no registration, and may make its own, also where its parent has one. */
static void client_forks(void)
{
	const struct memory_region *theirs = below(2) ? regs[0].region : NULL;
	pid_t pid;
	int p = 0;

	if (below(100) || exhausted)
		return;
	pid = fork();
	if (pid == 0) {
		struct memory_region *region;
		char *own = mmap(theirs ? theirs->host : NULL, PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | (theirs ? MAP_FIXED : 0), -1, 0);
		bool good = !memory_any_registered() && memory_hold_is_empty() &&
			    reg(holds[0], own, 1, true, &region) == 0;

		for (int r = 0; good && r < REGIONS; r++)
			memory_region_put(regs[r].region); /* inherited, and nothing by now */
		_exit(good ? 0 : 1);
	}
	CHECK(wait_child(pid) == 0);
}

static void toggle_descriptors(void)
{
	if (exhausted) {
		restore_descriptors(&nofile);
		release_owed(); /* as the keeper does */
	} else if (below(4) == 0)
		nofile = exhaust_descriptors();
	else
		return;
	exhausted = !exhausted;
}

/* ---- the devices ---- */

static bool is_there(int p, bool write)
{
	return pages[p].mapped && (pages[p].writable || !write) &&
	       (pages[p].file < 0 || pages[p].off < file_pages[pages[p].file]);
}

static void device_registers(struct registration *r)
{
	int device = below(HOLDS + 1), err, p;
	bool write = below(2), good = true, was_there = true;
	uint64_t len;

	any_range(&r->first, &r->nr, PAGES);
	if (below(8)) { /* as a client that maps again what it had mapped */
		r->first -= r->first % 8;
		r->nr = 8;
	}
	len = (uint64_t)r->nr * PAGE;
	for (p = r->first; p < r->first + r->nr; p++) {
		good &= is_there(p, write);
		was_there &= pages[p].mapped && (pages[p].writable || !write);
	}
	err = device < HOLDS ? memory_region_register(holds[device], addr_of(r->first), len, write,
						      &r->region)
			     : memory_region_create(space, addr_of(r->first), len, write,
						    MEMORY_PINNED, &r->region);
	if (err) {
		r->region = NULL;
		CHECK(!good);
		return;
	}
	nr_got[memory_got()]++;
	/* What is locked already is not populated again, even if the file has been cut since. */
	if (!good && !(was_there && device < HOLDS))
		print_message("device %d registered pages %d to %d for %s: all mapped so: %d\n",
			      device, r->first, r->first + r->nr - 1, write ? "writing" : "reading",
			      was_there);
	CHECK(good || (was_there && device < HOLDS));
	for (p = r->first; p < r->first + r->nr; p++)
		pages[p].registered_id = pages[p].id;
}

static void device_lets_go(struct registration *r)
{
	if (below(4) == 0)
		memory_region_unpin(r->region);
	memory_region_put(r->region);
	r->region = NULL;
}

static void device_pays(struct paid *c)
{
	if (c->nr > 0) {
		memory_uncharge_range(space, &files[c->payer], addr_of(c->first), (uint64_t)c->nr);
		c->nr = 0;
		return;
	}
	c->payer = below(2);
	any_range(&c->first, &c->nr, PAGES);
	assert_int_equal(memory_charge_range(space, &files[c->payer], addr_of(c->first),
					     (uint64_t)c->nr, true),
			 0);
}

/* ---- what must hold ---- */

/* What a page's lock must be by now. */
enum lock { LOCK_ANY, LOCK_NONE, LOCK_HELD };

static enum lock lock_of(int p) REQUIRES(memory_table_lock)
{
	struct interval *i = interval_over(addr_of(p));
	bool registered = is_registered(p), owed = i && interval_is_owed(i);

	CHECK(!owed || exhausted); /* (2) */
	if (pages[p].client)
		return LOCK_HELD; /* (3) */
	if (registered && pages[p].mapped && pages[p].registered_id == pages[p].id)
		return LOCK_HELD;                                             /* (1) */
	return registered || owed || (i && i->holder) ? LOCK_ANY : LOCK_NONE; /* (2) */
}

/*
 * One call says that none of many pages is locked, but not that all are. So pages that must be
 * locked have their turn every fourth step: nothing but their next registration gives back a lock
 * that is lost.
 */
static int end_of_run(const enum lock *want, int first)
{
	int p = first + 1;

	while (want[first] == LOCK_NONE && p < PAGES && want[p] == LOCK_NONE)
		p++;
	return p;
}

static void check_pages(void)
{
	enum lock want[PAGES];

	table_lock();
	for (int p = 0; p < PAGES; p++)
		want[p] = lock_of(p);
	table_unlock();
	for (int p = 0, end; p < PAGES; p = end) {
		end = end_of_run(want, p);
		if (want[p] == LOCK_NONE)
			CHECK(!look_any_locked(addr_of(p), addr_of(end))); /* (2) */
		else if (want[p] == LOCK_HELD && (unsigned int)p % 4 == step % 4)
			CHECK(is_locked(addr_of(p))); /* (1), (3) */
	}
}

static void check_account(void)
{
	uint64_t sum = 0;
	int p;

	for (p = 0; p < PAGES; p++) {
		int nr[2] = {0, 0};

		for (int c = 0; c < CHARGES; c++)
			if (p >= paid[c].first && p < paid[c].first + paid[c].nr)
				nr[paid[c].payer]++;
		sum += (uint64_t)(nr[0] > nr[1] ? nr[0] : nr[1]);
	}
	CHECK(memory_charged_pages(space) == sum); /* (5) */
	table_check();
}

#define DO(what)                                                                                   \
	do {                                                                                       \
		doing = #what;                                                                     \
		what;                                                                              \
	} while (0)

static void client_steps(void)
{
	bool told = below(2);
	int first, nr;

	any_range(&first, &nr, 8);
	switch (below(10)) {
	case 0:
		DO(client_unmaps(first, nr, told));
		break;
	case 1:
	case 2:
	case 3:
		DO(client_maps(first, nr, told));
		break;
	case 4:
		DO(client_moves(first, nr));
		break;
	case 5:
		DO(client_protects(first, nr));
		break;
	case 6:
		DO(client_locks(first, nr, told));
		break;
	case 7:
		DO(client_discards(first, nr, told));
		break;
	case 8:
		DO(client_truncates());
		break;
	default:
		DO(client_forks());
		break;
	}
}

static void device_steps(void)
{
	struct registration *r = &regs[below(REGIONS)];

	if (below(40) == 0)
		DO(memory_hold_forget_all(MEMORY_EVICT_AGE));
	else if (below(4) == 0)
		DO(device_pays(&paid[below(CHARGES)]));
	else if (r->region)
		DO(device_lets_go(r));
	else
		DO(device_registers(r));
}

static void let_go_of_all(void)
{
	doing = "the end";
	if (exhausted) {
		restore_descriptors(&nofile);
		release_owed();
	}
	exhausted = false;
	for (int last = 0; last < 4; last++, step++)
		check_pages();
	for (int r = 0; r < REGIONS; r++)
		if (regs[r].region)
			device_lets_go(&regs[r]);
	for (int c = 0; c < CHARGES; c++)
		if (paid[c].nr > 0)
			device_pays(&paid[c]);
	for (int h = 0; h < HOLDS; h++)
		memory_hold_destroy(holds[h]);
	release_owed();
	check_pages();
	check_account();
	assert_true(!memory_any_registered());
	munmap(base, PAGES * PAGE);
	assert_int_equal(nr_locked(), 0);
}

static void run(unsigned long nr_steps, bool without_query)
{
	memory_hooks.without_query = without_query;
	base = mmap((void *)WINDOW, PAGES * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(base, (void *)WINDOW);
	memset(pages, 0, sizeof(pages));
	for (int f = 0; f < FILES; f++)
		assert_int_equal(ftruncate(files[f], (off_t)(PAGES * PAGE)), 0);
	for (int f = 0; f < FILES; f++)
		file_pages[f] = PAGES;
	assert_int_equal(memory_hold_create(space, 24 * PAGE, false, &holds[0]), 0);
	assert_int_equal(memory_hold_create(space, MEMORY_HOLD_ALL, false, &holds[1]), 0);
	client_maps(0, PAGES, true);
	for (step = 0; step < nr_steps; step++) {
		if (without_query && below(20) == 0)
			DO(toggle_descriptors());
		else if (below(4) == 0)
			client_steps();
		else
			device_steps();
		check_pages();
		if (step % 16 == 0)
			check_account();
	}
	let_go_of_all();
	memory_hooks.without_query = false;
}

static void model_random_steps_agree(void **state)
{
	const char *steps = getenv("HOLDFAST_TEST_STEPS"), *seed = getenv("HOLDFAST_TEST_SEED");
	unsigned long nr = steps ? strtoul(steps, NULL, 10) : 20000;
	unsigned int first =
		seed ? (unsigned int)strtoul(seed, NULL, 10) : (unsigned int)time(NULL);

	print_message("HOLDFAST_TEST_SEED=%u, %lu steps\n", first, nr);
	srand(first);
	for (unsigned long done = 0; done < nr; done += 2000) {
		run(1500, false);
		run(500, true);
	}
	print_message("new %u, shared %u, taken over %u\n", nr_got[MEMORY_GOT_NEW],
		      nr_got[MEMORY_GOT_SHARED], nr_got[MEMORY_GOT_HELD]);
	for (int got = MEMORY_GOT_NEW; got <= MEMORY_GOT_HELD; got++)
		assert_true(nr_got[got] > nr / 10000);
}

static int setup_files(void **state)
{
	for (int f = 0; f < FILES; f++) {
		files[f] = memfd_create("model", MFD_CLOEXEC);
		assert_true(files[f] >= 0);
	}
	return setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(model_random_steps_agree, setup_files, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
