// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory that the client has touched needs a lock and nothing else, but MADV_POPULATE_* looks at
 * each page, which takes nearly as long as locking it (measured: 52 of 117 ms a GiB). The page map
 * answers the question for less: 1.5 ms a GiB with PAGEMAP_SCAN (kernel 6.7), 12 ms by reading it.
 *
 * What counts as populated:
 *
 *   shared, of the kernel's     a page that is present: it is mapped writable at once. A file on a
 *   own memory files            disk wants to hear of the first write
 *   anonymous, for writing      a page that is present, no file's, and not the one that all zeros
 *                               share, as long as the process has not forked: else the first write
 *                               may have to copy it, and no bit of the page map tells for sure
 *
 * and in both no page that userfaultfd(2) protects. Anything else (a hole, a permission that is
 * missing, a mixture, what is no memory at all) is left to population, which has the reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/refuse.h"
#include "memory/hooks.h"
#include "memory/pin.h"

/* A page's entry in the page map. */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_FILE    (UINT64_C(1) << 61) /* or shared anonymous */
#define ENTRY_GUARDED (UINT64_C(1) << 57) /* by userfaultfd */
#define ENTRY_ALONE   (UINT64_C(1) << 56) /* mapped once; the page of zeros is not */
#define NR_ENTRIES    1024                /* read at once: 8 KiB of stack, 4 MiB of memory */

/* linux/fs.h of 6.7; older headers lack it. */
struct scan_region {
	uint64_t start, end, categories;
};
struct scan {
	uint64_t size; /* bytes of this struct */
	uint64_t flags;
	uint64_t start, end, walk_end; /* end exclusive */
	uint64_t vec, vec_len;         /* struct scan_region[] */
	uint64_t max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_PAGES   _IOWR('f', 16, struct scan) /* PAGEMAP_SCAN */
#define SCAN_PRESENT (UINT64_C(1) << 3)
#define SCAN_WRITTEN (UINT64_C(1) << 1) /* not guarded by userfaultfd */
#define SCAN_FILE    (UINT64_C(1) << 2)
#define SCAN_ZEROS   (UINT64_C(1) << 5) /* the page that all zeros share */

/* ---- has the process forked? ---- */

static bool has_forked; /* atomic; parent or child of a fork(3) */

static void note_fork(void)
{
	__atomic_store_n(&has_forked, true, __ATOMIC_RELAXED);
}

/* Before the program's own code runs. vfork(2) and posix_spawn(3) share no pages that a write would
 * copy. */
__attribute__((constructor)) static void watch_forks(void)
{
	if (pthread_atfork(NULL, note_fork, note_fork))
		note_fork();
}

/* ---- the kernel's memory files ---- */

#define NR_MEMORY_FS 2

/* Devices as in struct memory_source; 0: unknown. const after once */
static uint64_t memory_fs[NR_MEMORY_FS];

static uint64_t device_of(const struct stat *st)
{
	return (uint64_t)major(st->st_dev) << 32 | minor(st->st_dev);
}

/* Where memfds and shared anonymous memory live, and what shm_open() gives if that has a file
 * system of its own. */
static void find_memory_fs(void)
{
	int fd = memfd_create("holdfast", MFD_CLOEXEC);
	struct stat st, dev;
	struct statfs fs;

	if (fd >= 0 && fstat(fd, &st) == 0)
		memory_fs[0] = device_of(&st);
	fd_close(&fd);
	if (statfs("/dev/shm", &fs) == 0 && fs.f_type == TMPFS_MAGIC &&
	    stat("/dev/shm", &st) == 0 && stat("/dev", &dev) == 0 && st.st_dev != dev.st_dev)
		memory_fs[1] = device_of(&st);
}

/* ---- what is mapped ---- */

static bool is_memory_file(const struct memory_piece *piece)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_memory_fs);
	for (int i = 0; i < NR_MEMORY_FS; i++)
		if (memory_fs[i] != 0 && memory_fs[i] == piece->source.dev)
			return true;
	return false;
}

static int piece_check(const struct memory_piece *piece, bool write)
{
	if (!piece->source.mapped)
		return refuse(-EFAULT, "nothing is mapped at 0x%" PRIx64, piece->first);
	if (!piece->source.readable || (write && !piece->source.writable))
		return refuse(-EFAULT, "memory at 0x%" PRIx64 " is not %s", piece->first,
			      write ? "writable" : "readable");
	return 0;
}

/* What holds for all of a range. Return: as present_check() */
static int range_look(uaddr_t first, uaddr_t last, bool write, struct present *p)
{
	bool memory_files = true;
	struct memory_piece piece;
	struct memory_maps maps;
	int n, err = 0;

	*p = (struct present){.fd = -1,
			      .shared = true,
			      .anonymous =
				      write && !__atomic_load_n(&has_forked, __ATOMIC_RELAXED)};
	memory_maps_init(&maps);
	memory_maps_range(&maps, first, last);
	while ((n = err ?: memory_maps_next(&maps, &piece)) > 0) {
		p->shared &= piece.source.shared_file;
		p->anonymous &= piece.source.ino == 0;
		memory_files &= piece.source.shared_file && is_memory_file(&piece);
		err = piece_check(&piece, write);
	}
	memory_maps_close(&maps);
	p->settles = p->anonymous || memory_files;
	return n;
}

int present_check(uaddr_t first, uaddr_t last, bool write)
{
	struct present none;

	return range_look(first, last, write, &none);
}

/* Return: the first page that is not populated, or @last + 1; 0 if the kernel cannot tell */
static uaddr_t scan_missing(int fd, bool anonymous, uaddr_t first, uaddr_t last)
{
	/* A page that lacks one of these, or has one of those, is looked for. */
	const uint64_t needed = SCAN_PRESENT | SCAN_WRITTEN;
	const uint64_t refused = anonymous ? SCAN_FILE | SCAN_ZEROS : 0;
	struct scan_region region;
	struct scan scan = {
		.size = sizeof(scan),
		.start = first,
		.end = last + 1,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.max_pages = 1,
		.category_inverted = needed,
		.category_anyof_mask = needed | refused,
		.return_mask = needed | refused,
	};
	int n = ioctl(fd, SCAN_PAGES, &scan);

	if (n < 0)
		return 0;
	return n == 0 ? last + 1 : region.start;
}

/* It came with 6.7. The question costs one page's entry. */
static bool scan_is_there(int fd, uaddr_t page)
{
	return !memory_hooks.without_scan &&
	       scan_missing(fd, false, page, page + MEMORY_PAGE_SIZE - 1) != 0;
}

void present_open(struct present *p, uaddr_t first, uaddr_t last, bool write)
{
	if (range_look(first, last, write, p)) {
		refuse_clear(); /* population has the reason */
		*p = PRESENT_UNKNOWN;
	}
	if (!p->shared && !p->settles)
		return;
	p->fd = open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
	p->quick = p->fd >= 0 && scan_is_there(p->fd, first);
}

void present_close(struct present *p)
{
	fd_close(&p->fd);
}

/* ---- pages ---- */

static uaddr_t read_missing(const struct present *p, uaddr_t first, uaddr_t last)
{
	uint64_t want = ENTRY_PRESENT | (p->anonymous ? ENTRY_ALONE : 0);
	uint64_t care = want | ENTRY_GUARDED | (p->anonymous ? ENTRY_FILE : 0);
	uint64_t entries[NR_ENTRIES];

	while (first <= last) {
		size_t nr = (last - first) / MEMORY_PAGE_SIZE + 1;
		ssize_t got;

		if (nr > NR_ENTRIES)
			nr = NR_ENTRIES;
		got = pread(p->fd, entries, nr * sizeof(entries[0]),
			    (off_t)(first / MEMORY_PAGE_SIZE * sizeof(entries[0])));
		if (got < (ssize_t)sizeof(entries[0]))
			return first;
		nr = (size_t)got / sizeof(entries[0]);
		for (size_t i = 0; i < nr; i++)
			if ((entries[i] & care) != want)
				return first + i * MEMORY_PAGE_SIZE;
		first += nr * MEMORY_PAGE_SIZE;
	}
	return first;
}

uaddr_t present_missing(const struct present *p, uaddr_t first, uaddr_t last)
{
	uaddr_t missing = 0;

	if (p->fd < 0)
		return first;
	if (p->quick)
		missing = scan_missing(p->fd, p->anonymous, first, last);
	return missing ? missing : read_missing(p, first, last);
}
