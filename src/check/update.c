/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UPDATE, for every kind of device: ranges, overlaps, permissions, the entry limit.
 */
#include "check/kit.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define IOVA 0x100000UL
#define P    CHECK_PAGE

enum { AREAS = 256 };

/* Row: first two pages at IOVA, then a range described by the case. */
struct range_case {
	uint64_t iova;
	uint64_t size;
	int want;
};

static const struct range_case overlap_cases[] = {
	{IOVA, 2 * P, -EFAULT},     {IOVA, P, -EFAULT},
	{IOVA + P, P, -EFAULT},     {IOVA - P, 2 * P, -EFAULT},
	{IOVA + P, 2 * P, -EFAULT}, {IOVA - P, 4 * P, -EFAULT},
	{IOVA - P, P, 0},           {IOVA + 2 * P, P, 0},
	{IOVA + P / 2, 1, -EFAULT}, {IOVA + 2 * P - 1, 1, -EFAULT},
	{IOVA - P, P + 1, -EFAULT},
};

static void overlap(struct check_ctx *t)
{
	const struct range_case *c = &overlap_cases[t->check->a];
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 8);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 2 * P, pages));
	EXPECT_RC(t, c->want, check_map(fd, 0, c->iova, c->size, pages + 2 * P));
	/* Refused or not, what was there is there, and the device takes more. */
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, 2 * P, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 16 * P, P, pages));
}

static void overlap_exact_twice(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 1);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, pages));
	for (int i = 0; i < 3; i++)
		EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, pages));
}

/* Byte-granular: touching pieces of one page are no overlap where bytes are mapped as bytes. */
static void bytes_adjacent(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 1);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 100, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 100, 100, pages + 100));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + 199, 1, pages));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + 200, 1, pages));
}

static const struct range_case bound_cases[] = {
	{0, P, 0},
	{0 - P, P, 0},
	{0 - P, P + 1, -EFAULT},
	{UINT64_MAX, 2, -EFAULT},
	{0 - P, 2 * P, -EFAULT},
	{P, UINT64_MAX, -EFAULT},
	{P, 0 - P + 1, -EFAULT},
	{0x7fffffffffff0000, P, 0},
	{0x8000000000000000, P, 0},
};

static void bounds(struct check_ctx *t)
{
	const struct range_case *c = &bound_cases[t->check->a];
	int fd = check_open_owned(t);

	EXPECT_RC(t, c->want, check_map(fd, 0, c->iova, c->size, check_pages(t, 1)));
}

static void last_page_taken(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	EXPECT_RC(t, 0, check_map(fd, 0, 0 - P, P, page));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, UINT64_MAX, 1, page));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, 0 - P, P));
	EXPECT_RC(t, 0, check_map(fd, 0, 0 - P, P, page));
}

static void outside_range(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	if (t->dev->iova_first)
		EXPECT_RC(t, -EFAULT, check_map(fd, 0, t->dev->iova_first - 1, P, page));
	if (t->dev->iova_last != UINT64_MAX)
		EXPECT_RC(t, -EFAULT, check_map(fd, 0, t->dev->iova_last, 2, page));
	/* One after the other: a device may be unable to have both at once. */
	EXPECT_RC(t, 0, check_map(fd, 0, t->dev->iova_first, P, page));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, t->dev->iova_first, P));
	EXPECT_RC(t, 0, check_map(fd, 0, t->dev->iova_last - P + 1, P, page));
}

/* Row: a is the permission. */
static void perm_stored(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	EXPECT_RC(t, 0, client_iotlb_map(fd, 0, IOVA, P, page, (uint8_t)t->check->a));
	EXPECT_RC(t, -EFAULT, client_iotlb_map(fd, 0, IOVA, P, page, VHOST_ACCESS_RW));
}

static void same_memory_twice(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + P, P, page));
}

/* Row: a is the memory kind. */
static void memory_kind(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct client_mem mem;

	EXPECT_RC(t, 0, client_mem_create(&mem, 2 * P, (enum client_mem_kind)t->check->a));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 2 * P, mem.addr));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, 2 * P, mem.addr));
}

static void unbatched_before_driver(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, client_get_status(fd));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, check_pages(t, 1)));
}

static void while_running(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct check_kit kit = {0};
	uint8_t *pages = check_pages(t, 2);

	check_kit_init(t, &kit, pages, IOVA, 0);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, pages));
	check_kit_start(t, fd, &kit);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + P, P, pages + P));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA + P, P));
	check_work_kick(t, &kit);
	check_kit_expect_used(t, &kit, pages, KIT_WORK, 1);
}

static void memlock_unlimited(struct check_ctx *t)
{
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

	if (t->dev->pinned && setrlimit(RLIMIT_MEMLOCK, &all))
		check_skip(t, "cannot raise RLIMIT_MEMLOCK, run as root");
}

/* Maps one page @nr times, with gaps. Returns how many went through. */
static long fill(int fd, const uint8_t *page, long nr)
{
	for (long i = 0; i < nr; i++)
		if (check_map(fd, 0, IOVA + (uint64_t)i * 2 * P, P, page))
			return i;
	return nr;
}

/* Pages of a file in reverse order, side by side: each is an area of its own ([2-13]). */
static uint8_t *areas(struct check_ctx *t)
{
	uint8_t *at = check_pages(t, AREAS);
	struct client_mem mem;

	EXPECT_RC(t, 0, client_mem_create(&mem, AREAS * P, CLIENT_MEM_MEMFD));
	for (size_t i = 0; i < AREAS; i++)
		EXPECT(t, mmap(at + i * P, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			       mem.memfd, (off_t)((AREAS - 1 - i) * P)) != MAP_FAILED);
	return at;
}

/* As fill(), with a message for each AREAS entries. */
static long fill_by_area(struct check_ctx *t, int fd, long nr)
{
	const uint8_t *at = areas(t);

	for (long i = 0; i < nr; i += AREAS)
		if (check_map(fd, 0, IOVA + (uint64_t)i * P, AREAS * P, at))
			return i;
	return nr;
}

static void entry_limit(struct check_ctx *t)
{
	long limit = t->check->a;
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);
	bool by_area = !t->dev->pinned && limit % AREAS == 0 && limit > 4096;

	memlock_unlimited(t);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, limit, by_area ? fill_by_area(t, fd, limit) : fill(fd, page, limit));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, P, P, page));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
	EXPECT_RC(t, 0, check_map(fd, 0, P, P, page));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, page));
}

/* The 2049th entry at iova 0: clause 2-14's wiping of the space is not bound to its cause. */
static void entry_limit_at_zero(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	memlock_unlimited(t);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 2048, fill(fd, page, 2048));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, 0, P, page));
	EXPECT_RC(t, (int)t->check->b, check_map(fd, 0, IOVA, P, page));
	EXPECT_RC(t, (int)t->check->b, check_map(fd, 0, IOVA + 4094 * P, P, page));
}

static void entry_limit_per_space(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	memlock_unlimited(t);
	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	EXPECT_RC(t, 2048, fill(fd, page, 2048));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, P, P, page));
	EXPECT_RC(t, 0, check_map(fd, 1, P, P, page));
}

static void more_than_2048(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	memlock_unlimited(t);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 4096, fill(fd, check_pages(t, 1), 4096));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
}

#define OVERLAP(what_, a_)                                                                         \
	{                                                                                          \
		"iotlb.update.overlap_" what_, "2-7", overlap, 0, 0, a_, 0                         \
	}
#define BOUND(what_, a_)                                                                           \
	{                                                                                          \
		"iotlb.update.range_" what_, "2-7", bounds, CHECK_FULL_RANGE, 0, a_, 0             \
	}

static const struct check rows[] = {
	OVERLAP("exact_efault", 0),
	OVERLAP("first_page_efault", 1),
	OVERLAP("last_page_efault", 2),
	OVERLAP("head_efault", 3),
	OVERLAP("tail_efault", 4),
	OVERLAP("covering_efault", 5),
	OVERLAP("touching_below_ok", 6),
	OVERLAP("touching_above_ok", 7),
	OVERLAP("byte_inside_efault", 8),
	OVERLAP("last_byte_efault", 9),
	OVERLAP("one_byte_from_below_efault", 10),
	{"iotlb.update.overlap_repeated_efault", "2-7", overlap_exact_twice, 0, 0, 0, 0},
	{"iotlb.update.touching_bytes_ok", "2-13", bytes_adjacent, CHECK_VA, 0, 0, 0},
	BOUND("zero_ok", 0),
	BOUND("last_page_ok", 1),
	BOUND("one_past_last_efault", 2),
	BOUND("last_byte_and_one_efault", 3),
	BOUND("wraps_page_efault", 4),
	BOUND("size_max_efault", 5),
	BOUND("wraps_to_zero_efault", 6),
	BOUND("below_middle_ok", 7),
	BOUND("middle_ok", 8),
	{"iotlb.update.last_page_can_be_unmapped", "2-7", last_page_taken, CHECK_FULL_RANGE, 0, 0,
	 0},
	{"iotlb.update.limits_of_iova_range", "2-7", outside_range, 0, 0, 0, 0},
	{"iotlb.update.perm_0_stored", "2-7", perm_stored, 0, 0, 0, 0},
	{"iotlb.update.perm_ro_stored", "2-7", perm_stored, 0, 0, VHOST_ACCESS_RO, 0},
	{"iotlb.update.perm_wo_stored", "2-7", perm_stored, 0, 0, VHOST_ACCESS_WO, 0},
	{"iotlb.update.perm_255_stored", "2-7", perm_stored, 0, 0, 255, 0},
	{"iotlb.update.same_memory_twice_ok", "2-7", same_memory_twice, 0, 0, 0, 0},
	{"iotlb.update.memfd_maps", "2-13", memory_kind, 0, 0, CLIENT_MEM_MEMFD, 0},
	{"iotlb.update.shared_anonymous_maps", "2-13", memory_kind, 0, 0, CLIENT_MEM_SHARED_ANON,
	 0},
	{"iotlb.update.private_memory_maps", "2-8", memory_kind, CHECK_PINNED, 0,
	 CLIENT_MEM_PRIVATE, 0},
	{"iotlb.update.private_memory_maps_on_va_device", "2-13", memory_kind,
	 CHECK_VA | CHECK_RELAXED, 0, CLIENT_MEM_PRIVATE, 0},
	{"iotlb.update.before_any_status_ok", "2-7", unbatched_before_driver, 0, 0, 0, 0},
	{"iotlb.update.while_running_ok", "2-7", while_running, 0, 0, 0, 0},
	{"iotlb.update.entry_2049_efault", "2-15", entry_limit, CHECK_STRICT | CHECK_SLOW, 0, 2048,
	 0},
	{"iotlb.update.entry_2049_at_zero_wipes_va", "2-14", entry_limit_at_zero,
	 CHECK_STRICT | CHECK_SLOW | CHECK_VA, 0, 0, 0},
	{"iotlb.update.entry_2049_at_zero_keeps_pinned", "2-15", entry_limit_at_zero,
	 CHECK_STRICT | CHECK_SLOW | CHECK_PINNED, 0, 0, -EFAULT},
	{"iotlb.update.entry_limit_per_space", "2-15", entry_limit_per_space,
	 CHECK_STRICT | CHECK_SLOW | CHECK_TWO_AS, 0, 0, 0},
	{"iotlb.update.entry_1048577_efault", "2-15", entry_limit, CHECK_RELAXED | CHECK_SLOW, 0,
	 1048576, 0},
	{"iotlb.update.more_than_2048_entries_ok", "2-15", more_than_2048,
	 CHECK_RELAXED | CHECK_SLOW, 0, 0, 0},
};

const struct check_set check_set_update = CHECK_SET(rows);
