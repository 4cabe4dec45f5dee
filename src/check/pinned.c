/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UPDATE where memory is pinned (rounding, the locked-memory limit, rollback) and where it
 * is reached through the client's addresses (areas, private memory, holes).
 */
#include "check/check.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define IOVA 0x100000UL
#define P    CHECK_PAGE

static void set_memlock(struct check_ctx *t, rlim_t bytes)
{
	struct rlimit lim = {bytes, RLIM_INFINITY};

	if (setrlimit(RLIMIT_MEMLOCK, &lim) == 0)
		return;
	EXPECT(t, getrlimit(RLIMIT_MEMLOCK, &lim) == 0);
	lim.rlim_cur = bytes;
	if (setrlimit(RLIMIT_MEMLOCK, &lim))
		check_skip(t, "cannot set RLIMIT_MEMLOCK");
}

/* ---- pinned ---- */

static void limit_exact(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 17);

	set_memlock(t, 16 * P);
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, 17 * P, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 16 * P, pages));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + 32 * P, P, pages));
}

static void limit_is_cumulative(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 16);

	set_memlock(t, 16 * P);
	for (uint64_t i = 0; i < 16; i++)
		EXPECT_RC(t, 0, check_map(fd, 0, IOVA + i * P, P, pages + i * P));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + 16 * P, P, pages));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 16 * P, P, pages));
}

/* The same page mapped twice counts twice. */
static void limit_counts_mappings(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	set_memlock(t, 2 * P);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + P, P, page));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + 2 * P, P, page));
}

/* The limit counts whole pages, however few bytes are asked for. */
static void limit_counts_pages(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 2);

	set_memlock(t, P);
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P + 1, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 1, pages));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + P, 1, pages));
}

static void limit_survives_reset(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 2);

	set_memlock(t, P);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, pages));
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + P, P, pages + P));
}

static void limit_freed_by_close(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	set_memlock(t, P);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	check_close(t, fd);
	fd = check_open_owned(t);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
}

static void refused_leaves_nothing(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 8);

	EXPECT(t, munmap(pages + 5 * P, P) == 0);
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, 8 * P, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 5 * P, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 5 * P, 2 * P, pages + 6 * P));
}

static void refused_leaves_no_pins(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 8);

	EXPECT(t, munmap(pages + 5 * P, P) == 0);
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, 8 * P, pages));
	EXPECT_RC(t, 0, check_pinned_kb(t));
}

static void refused_unbalanced_limit(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 8);

	set_memlock(t, 8 * P);
	EXPECT(t, munmap(pages + 7 * P, P) == 0);
	for (int i = 0; i < 4; i++)
		EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, 8 * P, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 7 * P, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 8 * P, P, pages));
}

static void pins_counted(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 8);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 8 * P, pages));
	EXPECT_RC(t, 32, check_pinned_kb(t));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 64 * P, 8 * P, pages));
	EXPECT_RC(t, 64, check_pinned_kb(t));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, 8 * P));
	EXPECT_RC(t, 32, check_pinned_kb(t));
}

/* Unpinned by the message itself, although a set_map parent hears of it at BATCH_END only. */
static void pins_drop_in_batch(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 8 * P, check_pages(t, 8)));
	EXPECT_RC(t, 32, check_pinned_kb(t));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, 8 * P));
	EXPECT_RC(t, 0, check_pinned_kb(t));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
}

static void pins_survive_reset(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 8 * P, check_pages(t, 8)));
	if (t->check->a)
		check_ack_backend(t, fd, CLIENT_BACKEND_PERSIST);
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, 32, check_pinned_kb(t));
}

static void pins_freed_by_close(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	if (t->check->a)
		check_ack_backend(t, fd, CLIENT_BACKEND_PERSIST);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 8 * P, check_pages(t, 8)));
	check_close(t, fd);
	EXPECT_RC(t, 0, check_pinned_kb(t));
}

static void not_mapped_memory(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, check_unmapped()));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, NULL));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, (void *)(UINTPTR_MAX - P + 1)));
}

static void *read_only_page(struct check_ctx *t)
{
	uint8_t *page = check_pages(t, 1);

	EXPECT(t, mprotect(page, P, PROT_READ) == 0);
	return page;
}

static void read_only_memory(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = read_only_page(t);
	uint8_t perm = (uint8_t)t->check->a;

	EXPECT_RC(t, t->check->b, client_iotlb_map(fd, 0, IOVA, P, page, perm));
	EXPECT_RC(t, t->check->b ? 0 : -EFAULT,
		  client_iotlb_map(fd, 0, IOVA, P, check_pages(t, 1), VHOST_ACCESS_RW));
}

static void no_access_memory(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	EXPECT(t, mprotect(page, P, PROT_NONE) == 0);
	EXPECT_RC(t, t->check->b, client_iotlb_map(fd, 0, IOVA, P, page, VHOST_ACCESS_RO));
}

/* iova and uaddr are rounded down independently; the whole page is taken. */
static void unaligned_takes_page(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 2);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 0x100, 0x10, pages + 0x300));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, 1, pages));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + P - 1, 1, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + P, 1, pages));
}

/* The number of pages comes from size and iova's offset alone. */
static void unaligned_page_count(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 3);

	set_memlock(t, 3 * P);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + P - 1, 2, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 4 * P, P, pages + P + 8));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + 8 * P, 1, pages));
}

/* ---- through the client's addresses ---- */

static void private_maps_nothing(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct client_mem mem;

	EXPECT_RC(t, 0, client_mem_create(&mem, 2 * P, CLIENT_MEM_PRIVATE));
	for (int i = 0; i < 3; i++)
		EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 2 * P, mem.addr));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 2 * P, check_pages(t, 2)));
}

static void private_file_maps_nothing(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct client_mem mem;
	void *copy;

	EXPECT_RC(t, 0, client_mem_create(&mem, P, CLIENT_MEM_MEMFD));
	copy = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, mem.memfd, 0);
	EXPECT(t, copy != MAP_FAILED);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, copy));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, mem.addr));
}

static void no_memlock(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	set_memlock(t, 0);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 8 * P, check_pages(t, 8)));
}

static void no_pins(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 8 * P, check_pages(t, 8)));
	EXPECT_RC(t, 0, check_pinned_kb(t));
}

/* Two shared areas side by side: one UPDATE, one entry for each. */
static void entry_per_area(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 4);
	struct client_mem mem;

	EXPECT_RC(t, 0, client_mem_create(&mem, 2 * P, CLIENT_MEM_MEMFD));
	EXPECT(t, mmap(pages + 2 * P, 2 * P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		       mem.memfd, 0) != MAP_FAILED);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 4 * P, pages));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, 1));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 2 * P, pages));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + 2 * P, 1, pages));
}

static void private_in_the_middle(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 3);

	EXPECT(t, mmap(pages + P, P, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 3 * P, pages));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, 1, pages));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + 2 * P, 1, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + P, P, pages + 2 * P));
}

static void byte_exact(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 0x100, 0x10, page + 0x300));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 0x100, page));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 0x110, P - 0x110, page));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + 0x10f, 1, page));
}

/* An address below the area it ends in counts as part of that area. */
static void hole_below_area(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 4);

	EXPECT(t, munmap(pages, 2 * P) == 0);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 4 * P, pages));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, 4 * P, pages));
}

#define ABOVE_ALL ((void *)0xffffffffff700000) /* behind the last area a process can have */

static void above_last_area(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, ABOVE_ALL));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, check_pages(t, 1)));
}

/* Such a failure at iova 0 wipes the space on the kernel and changes nothing elsewhere. */
static void above_last_area_at_zero(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, 0, P, ABOVE_ALL));
	EXPECT_RC(t, check_is_strict(t) ? 0 : -EFAULT, check_map(fd, 0, IOVA, P, page));
}

/* The client may drop its own mapping: the device holds the file. */
static void client_unmaps_later(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	EXPECT(t, munmap(page, P) == 0);
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, check_pages(t, 1)));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, check_pages(t, 1)));
}

#define PIN  CHECK_PINNED
#define PINK (CHECK_PINNED | CHECK_KERNEL)

static const struct check rows[] = {
	{"iotlb.pinned.limit_exact_ok_one_more_efault", "2-9", limit_exact, PIN, 0, 0, 0},
	{"iotlb.pinned.limit_is_cumulative", "2-9", limit_is_cumulative, PIN, 0, 0, 0},
	{"iotlb.pinned.limit_counts_mappings", "2-10", limit_counts_mappings, PIN, 0, 0, 0},
	{"iotlb.pinned.limit_counts_whole_pages", "2-9", limit_counts_pages, PIN, 0, 0, 0},
	{"iotlb.pinned.limit_still_used_after_reset", "4-7", limit_survives_reset, PIN, 0, 0, 0},
	{"iotlb.pinned.limit_freed_by_close", "4-4", limit_freed_by_close, PIN, 0, 0, 0},
	{"iotlb.pinned.hole_efault_removes_all_of_it", "2-11", refused_leaves_nothing, PIN, 0, 0,
	 0},
	{"iotlb.pinned.hole_efault_leaves_no_pins", "2-11", refused_leaves_no_pins, PINK, 0, 0, 0},
	{"iotlb.pinned.hole_efault_leaves_limit_free", "2-11", refused_unbalanced_limit, PIN, 0, 0,
	 0},
	{"iotlb.pinned.vmpin_counts_every_mapping", "2-10", pins_counted, PINK, 0, 0, 0},
	{"iotlb.pinned.vmpin_drops_inside_batch", "2-18", pins_drop_in_batch, PINK, 0, 0, 0},
	{"iotlb.pinned.vmpin_survives_reset", "4-7", pins_survive_reset, PINK, 0, 0, 0},
	{"iotlb.pinned.vmpin_survives_reset_with_persist", "4-7", pins_survive_reset,
	 PINK | CHECK_PERSIST, 0, 1, 0},
	{"iotlb.pinned.vmpin_zero_after_close", "4-4", pins_freed_by_close, PINK, 0, 0, 0},
	{"iotlb.pinned.vmpin_zero_after_close_with_persist", "4-5", pins_freed_by_close,
	 PINK | CHECK_PERSIST, 0, 1, 0},
	{"iotlb.pinned.unmapped_memory_efault", "2-11", not_mapped_memory, PIN, 0, 0, 0},
	{"iotlb.pinned.read_only_memory_rw_efault", "2-12", read_only_memory, PIN, 0,
	 VHOST_ACCESS_RW, -EFAULT},
	{"iotlb.pinned.read_only_memory_wo_efault", "2-12", read_only_memory, PIN, 0,
	 VHOST_ACCESS_WO, -EFAULT},
	{"iotlb.pinned.read_only_memory_ro_ok", "2-12", read_only_memory, PIN, 0, VHOST_ACCESS_RO,
	 0},
	{"iotlb.pinned.no_access_memory_efault", "2-12", no_access_memory, PIN, 0, 0, -EFAULT},
	{"iotlb.pinned.unaligned_takes_whole_page", "2-8", unaligned_takes_page, PIN, 0, 0, 0},
	{"iotlb.pinned.unaligned_counts_pages_by_iova", "2-8", unaligned_page_count, PIN, 0, 0, 0},
	{"iotlb.va.private_memory_maps_nothing", "2-13", private_maps_nothing,
	 CHECK_VA | CHECK_STRICT, 0, 0, 0},
	{"iotlb.va.private_file_maps_nothing", "2-13", private_file_maps_nothing,
	 CHECK_VA | CHECK_STRICT, 0, 0, 0},
	{"iotlb.va.no_memlock_limit", "2-13", no_memlock, CHECK_VA, 0, 0, 0},
	{"iotlb.va.no_pins", "2-13", no_pins, CHECK_VA | CHECK_KERNEL, 0, 0, 0},
	{"iotlb.va.read_only_memory_rw_ok", "2-13", read_only_memory, CHECK_VA, 0, VHOST_ACCESS_RW,
	 0},
	{"iotlb.va.no_access_memory_ok", "2-13", no_access_memory, CHECK_VA, 0, 0, 0},
	{"iotlb.va.one_entry_per_area", "2-13", entry_per_area, CHECK_VA, 0, 0, 0},
	{"iotlb.va.private_area_between_skipped", "2-13", private_in_the_middle,
	 CHECK_VA | CHECK_STRICT, 0, 0, 0},
	{"iotlb.va.byte_exact", "2-13", byte_exact, CHECK_VA, 0, 0, 0},
	{"iotlb.va.hole_below_area_ok", "2-14", hole_below_area, CHECK_VA | CHECK_STRICT, 0, 0, 0},
	{"iotlb.va.above_last_area_efault", "2-14", above_last_area, CHECK_VA, 0, 0, 0},
	{"iotlb.va.above_last_area_at_zero", "2-14", above_last_area_at_zero, CHECK_VA, 0, 0, 0},
	{"iotlb.va.client_unmaps_later_entry_stays", "2-13", client_unmaps_later, CHECK_VA, 0, 0,
	 0},
};

const struct check_set check_set_pinned = CHECK_SET(rows);
