// SPDX-License-Identifier: BSD-3-Clause
/*
 * Locking and populating. The lock is set first and alone (MLOCK_ONFAULT), because only population
 * can be shared out: mlock(2) works under the process's exclusive map lock, page by page,
 * MADV_POPULATE_* under the shared one.
 *
 *  (1) Both go in slices that do not cut a huge page. So a page fault of the client, or of another
 *	device, waits for one slice at most.
 *  (2) Slices of a large range are populated by a thread a processor. They are made for this one
 *	range, and joined before it returns; if none can be made, the calling thread does it alone.
 *	The first slice that fails ends the work, and is tried once more by the caller, which has
 *	the reason then.
 *  (3) Pages that are in the page tables already are left alone (present.h). Shared files whose
 *	pages are not are read first: the kernel then maps a group of pages a fault, where a write
 *	maps one (measured: 130 against 380 ms a GiB of a memfd in memory).
 *  (4) A lock that the limit does not allow, or pages that the system does not have, make
 *	waiting registrations give way, one by one.
 *
 * Kernels before 5.14 have no MADV_POPULATE_*: there mlock(2) populates, and the process's map is
 * asked about permission.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/refuse.h"
#include "base/thread.h"
#include "memory/hooks.h"
#include "memory/pin.h"
#include "memory/present.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define SLICE_LEN      (UINT64_C(64) << 20) /* a multiple of every huge page but 1 GiB */
#define NR_THREADS_MAX 16

static unsigned int nr_threads_max; /* atomic; 0: one a processor */

void memory_lock_threads(unsigned int nr)
{
	__atomic_store_n(&nr_threads_max, nr, __ATOMIC_RELAXED);
}

/* By number: the sanitizers turn the library's mlock into nothing, and a client's preloaded madvise
 * is not for us. */
static int lock_pages(uaddr_t first, uint64_t len, bool on_fault)
{
	return syscall(SYS_mlock2, first, len, on_fault ? MLOCK_ONFAULT : 0) < 0 ? -errno : 0;
}

static int advise(uaddr_t first, uint64_t len, int advice)
{
	long ret;

	do
		ret = syscall(SYS_madvise, first, len, advice);
	while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	return ret < 0 ? -errno : 0;
}

/* ---- what is mapped ---- */

struct access_check {
	bool write;
	uaddr_t covered_to; /* all of the range below is mapped; first address not looked at */
};

static int piece_check(void *arg, const struct memory_piece *piece)
{
	struct access_check *check = arg;

	if (piece->hole_before)
		return refuse(-EFAULT, "nothing is mapped below 0x%" PRIx64, piece->first);
	if (!piece->readable || (check->write && !piece->writable))
		return refuse(-EFAULT, "memory at 0x%" PRIx64 " is not %s", piece->first,
			      check->write ? "writable" : "readable");
	check->covered_to = piece->last + 1;
	return 0;
}

/* Is all of the range mapped with the permission? Return: 0, -EFAULT or -ENOMEM */
static int range_check(uaddr_t first, uaddr_t last, bool write)
{
	struct access_check check = {.write = write, .covered_to = first};
	int err = memory_space_walk_how(MEMORY_MAPS_BEST, first, last, piece_check, &check);

	if (err == 0 && check.covered_to <= last)
		return refuse(-EFAULT, "nothing is mapped at 0x%" PRIx64, check.covered_to);
	return err;
}

/* MADV_POPULATE_* came with 5.14. The question costs one page fault. */
static bool populate_is_there(void)
{
	static int known; /* atomic; 0: not asked, 1: yes, -1: no */
	static const char probe;
	int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (memory_hooks.without_populate)
		return false;
	if (answer == 0) {
		uaddr_t page = (uintptr_t)&probe & ~(uaddr_t)(MEMORY_PAGE_SIZE - 1);

		answer = advise(page, MEMORY_PAGE_SIZE, MADV_POPULATE_READ) == 0 ? 1 : -1;
		__atomic_store_n(&known, answer, __ATOMIC_RELAXED);
	}
	return answer > 0;
}

/* ---- slices ---- */

static uaddr_t slice_last(uaddr_t first, uaddr_t last)
{
	uaddr_t slice = first | (SLICE_LEN - 1);

	return slice < last ? slice : last;
}

static int slice_lock(uaddr_t first, uaddr_t last, bool write, bool on_fault)
{
	uint64_t len = last - first + 1;
	int err;

	while ((err = lock_pages(first, len, on_fault)) < 0) {
		err = range_check(first, last, write);
		if (err)
			return err;
		if (!hold_give_way(MEMORY_EVICT_LIMIT))
			return refuse(-ENOMEM,
				      "the system does not allow to lock 0x%" PRIx64 " bytes more",
				      len);
	}
	return 0;
}

static int slice_populate(uaddr_t first, uaddr_t last, bool write)
{
	uint64_t len = last - first + 1;
	int err;

	do
		err = advise(first, len, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	while (err == -ENOMEM && hold_give_way(MEMORY_EVICT_PRESSURE));
	/* ENOMEM is a hole or want of memory; the rest is about what is mapped there. */
	if (err == -ENOMEM)
		return range_check(first, last, write) ?: -ENOMEM;
	if (err)
		return refuse(-EFAULT, "memory at 0x%" PRIx64 " of 0x%" PRIx64 " bytes is not %s",
			      first, len, write ? "writable" : "readable");
	return 0;
}

/* ---- threads ---- */

struct crew {
	uaddr_t first, last;
	bool write;
	struct present present;
	uaddr_t next; /* atomic; first address that nobody has taken; above @last: none is left */
	unsigned int failed; /* atomic */
};

static int crew_slice(const struct crew *crew, uaddr_t first, uaddr_t last)
{
	const struct present *present = &crew->present;
	uaddr_t missing = present_missing(present, first, last);

	if (crew->write && present->shared && missing <= last) {
		(void)advise(missing, last - missing + 1, MADV_POPULATE_READ);
		if (present->settles)
			missing = present_missing(present, missing, last);
	}
	if (!present->settles)
		missing = first;
	return missing > last ? 0 : slice_populate(missing, last, crew->write);
}

/* Take the next slice. Return: false none is left */
static bool crew_take(struct crew *crew, uaddr_t *first, uaddr_t *last)
{
	*first = __atomic_load_n(&crew->next, __ATOMIC_RELAXED);
	do {
		if (*first > crew->last)
			return false;
		*last = slice_last(*first, crew->last);
	} while (!__atomic_compare_exchange_n(&crew->next, first, *last + 1, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return true;
}

/* Return: false after a failure, which is noted */
static bool crew_work(struct crew *crew)
{
	uaddr_t first, last;

	while (!__atomic_load_n(&crew->failed, __ATOMIC_RELAXED) &&
	       crew_take(crew, &first, &last)) {
		if (crew_slice(crew, first, last)) {
			__atomic_store_n(&crew->failed, 1, __ATOMIC_RELAXED);
			return false;
		}
	}
	return true;
}

static void *crew_main(void *arg)
{
	thread_settle("holdfast-pin");
	(void)crew_work(arg);
	return NULL;
}

static unsigned int crew_size(const struct crew *crew)
{
	uint64_t nr_slices = (crew->last - crew->first) / SLICE_LEN + 1;
	unsigned int nr = __atomic_load_n(&nr_threads_max, __ATOMIC_RELAXED);

	if (nr == 0)
		nr = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	if (nr < 1 || nr > NR_THREADS_MAX)
		nr = nr < 1 ? 1 : NR_THREADS_MAX;
	return nr < nr_slices ? nr : (unsigned int)nr_slices;
}

/* The whole range once more by this thread alone, up to what fails: that has the reason. */
static int crew_retry(struct crew *crew)
{
	int err = 0;

	for (uaddr_t first = crew->first; !err && first <= crew->last;) {
		uaddr_t last = slice_last(first, crew->last);

		err = crew_slice(crew, first, last);
		first = last + 1;
	}
	return err;
}

static int crew_run(struct crew *crew)
{
	pthread_t threads[NR_THREADS_MAX];
	unsigned int nr = crew_size(crew), made = 0;

	while (made + 1 < nr && thread_start(&threads[made], crew_main, crew) == 0)
		made++;
	(void)crew_work(crew);
	for (unsigned int i = 0; i < made; i++)
		pthread_join(threads[i], NULL);
	return __atomic_load_n(&crew->failed, __ATOMIC_RELAXED) ? crew_retry(crew) : 0;
}

static int populate(uaddr_t first, uaddr_t last, bool write)
{
	struct crew crew = {.first = first,
			    .last = last,
			    .write = write,
			    .present = PRESENT_UNKNOWN,
			    .next = first};
	int err = 0;

	/* For little memory, looking costs less than asking. */
	if (last - first >= SLICE_LEN / 4)
		present_open(&crew.present, first, last, write);
	/* Where asking costs next to nothing, threads are for what is missing. */
	if (crew.present.settles && crew.present.quick)
		crew.first = crew.next = present_missing(&crew.present, first, last);
	if (crew.first <= last)
		err = crew_run(&crew);
	present_close(&crew.present);
	return err;
}

/* ---- all of it ---- */

int memory_lock_on_fault(uaddr_t first, uaddr_t last)
{
	return lock_pages(first, last - first + 1, true);
}

/* Before 5.14. What is behind the end of its file makes mlock fail although it is locked. */
static int lock_and_fault(uaddr_t first, uaddr_t last, bool write)
{
	int err = range_check(first, last, write);

	if (err)
		return err;
	if (lock_pages(first, last - first + 1, false) == 0)
		return 0;
	err = slice_lock(first, last, write, true);
	return err ? err
		   : refuse(-EFAULT,
			    "memory at 0x%" PRIx64 " of 0x%" PRIx64 " bytes cannot be read", first,
			    last - first + 1);
}

int memory_lock_range(uaddr_t first, uaddr_t last, bool write)
{
	int err = 0;

	if (!populate_is_there())
		return lock_and_fault(first, last, write);
	for (uaddr_t at = first; !err && at <= last;) {
		uaddr_t slice = slice_last(at, last);

		err = slice_lock(at, slice, write, true);
		at = slice + 1;
	}
	return err ? err : populate(first, last, write);
}
