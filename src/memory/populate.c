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
 *  (3) Pages that are in the page tables already are left alone (present.c). Shared files whose
 *	pages are not are read first: the kernel then maps a group of pages a fault, where a write
 *	maps one (measured: 130 against 380 ms a GiB of a memfd in memory).
 *  (4) A lock that the limit does not allow, or pages that the system does not have, make
 *	waiting registrations give way, one by one.
 *
 * Kernels before 5.14 have no MADV_POPULATE_*: there mlock(2) populates each slice, and the
 * process's map is asked about permission.
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

/* Bring pages in. Before 5.14, a lock that is not on fault does that, and asks nobody. */
static int populate_pages(uaddr_t first, uint64_t len, bool write)
{
	if (!memory_hooks.without_populate && look_knows_advice(MADV_POPULATE_READ))
		return advise(first, len, write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	return present_check(first, first + (len - 1), write) || lock_pages(first, len, false)
		       ? -EFAULT
		       : 0;
}

/* ---- slices ---- */

static uaddr_t slice_last(uaddr_t first, uaddr_t last)
{
	uaddr_t slice = first | (SLICE_LEN - 1);

	return slice < last ? slice : last;
}

static int slice_lock(uaddr_t first, uaddr_t last, bool write)
{
	uint64_t len = last - first + 1;
	int err;

	while ((err = lock_pages(first, len, true)) < 0) {
		err = present_check(first, last, write);
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
		err = populate_pages(first, len, write);
	while (err == -ENOMEM && hold_give_way(MEMORY_EVICT_PRESSURE));
	/* ENOMEM is a hole or want of memory; the rest is about what is mapped there. */
	if (err == -ENOMEM)
		return present_check(first, last, write) ?: -ENOMEM;
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

/* Until none is left, or one failed. Return: 0, or the error of one that failed here */
static int crew_work(struct crew *crew)
{
	uaddr_t first, last;
	int err = 0;

	while (!err && !__atomic_load_n(&crew->failed, __ATOMIC_RELAXED) &&
	       crew_take(crew, &first, &last))
		err = crew_slice(crew, first, last);
	if (err)
		__atomic_store_n(&crew->failed, 1, __ATOMIC_RELAXED);
	return err;
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

static int crew_run(struct crew *crew)
{
	pthread_t threads[NR_THREADS_MAX];
	unsigned int nr = crew_size(crew), made = 0;

	while (made + 1 < nr && thread_start(&threads[made], crew_main, crew) == 0)
		made++;
	(void)crew_work(crew);
	for (unsigned int i = 0; i < made; i++)
		pthread_join(threads[i], NULL);
	if (!crew->failed)
		return 0;
	/* All of it once more by this thread alone, up to what fails: that has the reason. */
	crew->failed = 0;
	crew->next = crew->first;
	return crew_work(crew);
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

void memory_lock_on_fault(uaddr_t first, uaddr_t last)
{
	(void)lock_pages(first, last - first + 1, true);
}

int memory_lock_range(uaddr_t first, uaddr_t last, bool write)
{
	int err = 0;

	for (uaddr_t at = first; !err && at <= last;) {
		uaddr_t slice = slice_last(at, last);

		err = slice_lock(at, slice, write);
		at = slice + 1;
	}
	return err ? err : populate(first, last, write);
}
