/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * INVALIDATE: what it removes, and batches as far as the control path shows them.
 */
#include "check/check.h"

#define IOVA 0x100000UL
#define P    CHECK_PAGE

/*
 * Three entries of a page stand: pages 0, 1 and 3 from IOVA. One page, because a pinned range is
 * an entry for each physically contiguous run. Row: which of them survive.
 */
struct inv_case {
	uint64_t iova;
	uint64_t size;
	unsigned survive; /* bit per entry */
};

static const struct inv_case inv_cases[] = {
	{IOVA, P, 6},
	{IOVA + P, P, 5},
	{IOVA, 4 * P, 0},
	{IOVA + 5, 1, 6},
	{IOVA + P - 1, 1, 6},
	{IOVA + P - 1, 2, 4},
	{IOVA + 2 * P, P, 7},
	{IOVA + 4 * P, P, 7},
	{IOVA - P, P, 7},
	{IOVA - P, P + 1, 6},
	{0, UINT64_MAX, 0},
	{UINT64_MAX, 1, 7},
	{IOVA + 2 * P, P + 1, 3},
	{IOVA + P, UINT64_MAX, 7},
	{IOVA, 0 - IOVA, 0},
	{IOVA + P + P / 2, P, 5},
	{IOVA + P / 2, UINT64_MAX, 6},
};

static const uint64_t entry_page[3] = {0, 1, 3};

static uint8_t *three_entries(struct check_ctx *t, int fd)
{
	uint8_t *pages = check_pages(t, 4);

	for (int i = 0; i < 3; i++)
		EXPECT_RC(t, 0,
			  check_map(fd, 0, IOVA + entry_page[i] * P, P, pages + entry_page[i] * P));
	return pages;
}

static void expect_survivors(struct check_ctx *t, int fd, const uint8_t *pages, unsigned mask)
{
	for (unsigned i = 0; i < 3; i++) {
		uint64_t off = entry_page[i] * P;

		if (mask >> i & 1) {
			EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + off, 1, pages));
			EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + off + P - 1, 1, pages));
		} else {
			EXPECT_RC(t, 0, check_map(fd, 0, IOVA + off, P, pages + off));
		}
	}
}

static void removes(struct check_ctx *t)
{
	const struct inv_case *c = &inv_cases[t->check->a];
	int fd = check_open_owned(t);
	uint8_t *pages = three_entries(t, fd);

	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, c->iova, c->size));
	expect_survivors(t, fd, pages, c->survive);
}

/* Size 0 is [iova, iova - 1]: it names the entry that holds both. */
static void size_zero_inside(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = three_entries(t, fd);

	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA + P / 2, 0));
	expect_survivors(t, fd, pages, 6);
}

static void size_zero_at_start(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = three_entries(t, fd);

	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, 0));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA + P, 0));
	expect_survivors(t, fd, pages, 7);
}

static void size_zero_at_zero(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = three_entries(t, fd);

	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, 0, 0));
	expect_survivors(t, fd, pages, 0);
}

static void size_zero_refused(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = three_entries(t, fd);

	EXPECT_RC(t, -EFAULT, client_iotlb_unmap(fd, 0, IOVA + P / 2, 0));
	EXPECT_RC(t, -EFAULT, client_iotlb_unmap(fd, 0, 0, 0));
	expect_survivors(t, fd, pages, 7);
}

static void nothing_mapped(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, 0, UINT64_MAX));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, 0, UINT64_MAX));
}

static void repeated(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	for (int i = 0; i < 50; i++) {
		EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
		EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
		EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
	}
}

/* uaddr and perm of an INVALIDATE mean nothing. */
static void ignores_rest(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = three_entries(t, fd);
	struct vhost_iotlb_msg body = {.iova = IOVA, .size = P, .uaddr = UINT64_MAX, .perm = 0xff};

	EXPECT_RC(t, 0, client_iotlb_send(fd, 0, VHOST_IOTLB_INVALIDATE, &body));
	expect_survivors(t, fd, pages, 6);
}

/* The client's memory may be gone by then. */
static void memory_gone(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct client_mem mem;

	EXPECT_RC(t, 0, client_mem_create(&mem, 2 * P, CLIENT_MEM_MEMFD));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 2 * P, mem.addr));
	client_mem_destroy(&mem);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, 2 * P));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, 2 * P, check_pages(t, 2)));
}

/* ---- batches ---- */

static void batch_nested_begin(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	for (int i = 0; i < 3; i++)
		EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	for (int i = 0; i < 3; i++)
		EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
}

static void batch_end_alone(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, check_pages(t, 1)));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
}

/* Row: a is the message type that arrives for address space 1 during a batch on 0. */
static void batch_other_space(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct vhost_iotlb_msg body = {.iova = IOVA,
				       .size = P,
				       .uaddr = (uintptr_t)check_pages(t, 1),
				       .perm = VHOST_ACCESS_RW};

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	EXPECT_RC(t, 0, check_map(fd, 1, 0, P, (void *)(uintptr_t)body.uaddr));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, -EFAULT, client_iotlb_send(fd, 1, (uint8_t)t->check->a, &body));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_RC(t, 0, client_iotlb_send(fd, 1, VHOST_IOTLB_UPDATE, &body));
}

static void batch_refusal_creates_space(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, -EFAULT, check_map(fd, 1, IOVA, P, check_pages(t, 1)));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 1, IOVA, P));
}

static void batch_survives_reset(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, -EFAULT, check_map(fd, 1, IOVA, P, page));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_RC(t, 0, check_map(fd, 1, IOVA, P, page));
}

static void batch_lost_by_close(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	check_close(t, fd);
	fd = check_open_owned(t);
	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	EXPECT_RC(t, 0, check_map(fd, 1, IOVA, P, check_pages(t, 1)));
}

/* Within a batch, the session's view changes message by message. */
static void batch_overlap(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, page));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, page));
}

/* A refused UPDATE does not end the batch or undo what came before it. */
static void batch_after_refusal(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, UINT64_MAX, 2, page));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA + P, P, page));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, page));
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA + P, P, page));
}

#define INV(what_, a_)                                                                             \
	{                                                                                          \
		"iotlb.invalidate." what_, "2-17", removes, 0, 0, a_, 0                            \
	}
#define STRICT CHECK_STRICT

static const struct check rows[] = {
	INV("exact_removes", 0),
	INV("middle_entry_removes_it_alone", 1),
	INV("covering_removes_all", 2),
	INV("one_byte_removes_whole_entry", 3),
	INV("last_byte_removes_whole_entry", 4),
	INV("two_bytes_across_remove_both", 5),
	INV("hole_ok_removes_nothing", 6),
	INV("above_all_ok_removes_nothing", 7),
	INV("below_all_ok_removes_nothing", 8),
	INV("one_byte_from_below_removes", 9),
	INV("zero_to_max_removes_all", 10),
	INV("last_byte_of_space_ok", 11),
	INV("hole_and_one_byte_removes", 12),
	INV("wrapping_range_between_entries_removes_nothing", 13),
	INV("up_to_top_of_space_removes_all", 14),
	{"iotlb.invalidate.wrapping_range_inside_entry_removes_it", "2-17", removes, STRICT, 0, 16,
	 0},
	INV("second_half_and_hole_removes_whole_entry", 15),
	{"iotlb.invalidate.size_zero_inside_entry_removes_it", "2-17", size_zero_inside, STRICT, 0,
	 0, 0},
	{"iotlb.invalidate.size_zero_between_entries_removes_nothing", "2-17", size_zero_at_start,
	 STRICT, 0, 0, 0},
	{"iotlb.invalidate.size_zero_at_zero_removes_all", "2-17", size_zero_at_zero, STRICT, 0, 0,
	 0},
	{"iotlb.invalidate.size_zero_efault", "2-17", size_zero_refused, CHECK_RELAXED, 0, 0, 0},
	{"iotlb.invalidate.nothing_mapped_ok", "2-17", nothing_mapped, 0, 0, 0, 0},
	{"iotlb.invalidate.repeated_ok", "2-17", repeated, 0, 0, 0, 0},
	{"iotlb.invalidate.uaddr_and_perm_ignored", "2-17", ignores_rest, 0, 0, 0, 0},
	{"iotlb.invalidate.client_memory_gone_ok", "2-17", memory_gone, 0, 0, 0, 0},
	{"iotlb.batch.repeated_begin_and_end_ok", "2-19", batch_nested_begin, 0, 0, 0, 0},
	{"iotlb.batch.end_without_begin_ok", "2-19", batch_end_alone, 0, 0, 0, 0},
	{"iotlb.batch.update_of_other_space_efault", "2-19", batch_other_space, CHECK_TWO_AS, 0,
	 VHOST_IOTLB_UPDATE, 0},
	{"iotlb.batch.invalidate_of_other_space_efault", "2-19", batch_other_space, CHECK_TWO_AS, 0,
	 VHOST_IOTLB_INVALIDATE, 0},
	{"iotlb.batch.begin_of_other_space_efault", "2-19", batch_other_space, CHECK_TWO_AS, 0,
	 VHOST_IOTLB_BATCH_BEGIN, 0},
	{"iotlb.batch.end_of_other_space_efault", "2-19", batch_other_space, CHECK_TWO_AS, 0,
	 VHOST_IOTLB_BATCH_END, 0},
	{"iotlb.batch.refused_update_creates_space", "2-5", batch_refusal_creates_space,
	 CHECK_TWO_AS, 0, 0, 0},
	{"iotlb.batch.survives_reset", "2-21", batch_survives_reset, CHECK_TWO_AS, 0, 0, 0},
	{"iotlb.batch.lost_by_close", "2-21", batch_lost_by_close, CHECK_TWO_AS, 0, 0, 0},
	{"iotlb.batch.session_view_changes_at_once", "2-20", batch_overlap, 0, 0, 0, 0},
	{"iotlb.batch.refused_update_leaves_it_open", "2-20", batch_after_refusal, 0, 0, 0, 0},
};

const struct check_set check_set_invalidate = CHECK_SET(rows);
