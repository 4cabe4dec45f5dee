/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device translates with while it is open: 1:1 at first, maps afterwards, batches,
 * permissions. Method of clause 4-17: see struct check_pair.
 */
#include "check/kit.h"

#include <string.h>
#include <sys/mman.h>

#define P CHECK_PAGE

#define ELSEWHERE 0x10000UL /* an iova where no check looks */

static void fresh_open(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_STARTS(t, check_where_unmapped(t), fd, &pair, KIT_WORK);
}

static void update_maps(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_pair_map(t, fd, &pair, 0);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
}

/* Rings are set up and enabled before there is any mapping. */
static void mapped_after_setup(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_kit_init(t, &pair.kit, pair.mapped, pair.iova, 0);
	memcpy(pair.identity, pair.mapped, P);
	check_kit_ready(t, fd);
	check_kit_attach(t, fd, &pair.kit);
	check_pair_map(t, fd, &pair, 0);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	EXPECT_WHERE(t, WHERE_MAPPED, &pair, KIT_WORK);
}

static void mapped_while_running(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_STARTS(t, check_where_unmapped(t), fd, &pair, KIT_WORK);
	check_pair_map(t, fd, &pair, 0);
	check_pair_refill(&pair, KIT_WORK);
	EXPECT_WHERE(t, WHERE_MAPPED, &pair, KIT_WORK);
}

static void other_map_ends_identity(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, check_map(fd, 0, ELSEWHERE, P, check_pages(t, 1)));
	EXPECT_STARTS(t, WHERE_NOWHERE, fd, &pair, KIT_WORK);
}

static void last_invalidate_leaves_nothing(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_pair_map(t, fd, &pair, 0);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, pair.iova, P));
	EXPECT_STARTS(t, WHERE_NOWHERE, fd, &pair, KIT_WORK);
}

static void remap_after_invalidate(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova, P, check_pages(t, 1)));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, pair.iova, P));
	check_pair_map(t, fd, &pair, 0);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
}

/* Once INVALIDATE is through, the device cannot reach the range any more. */
static void invalidate_while_running(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_pair_map(t, fd, &pair, 0);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, pair.iova, P));
	check_pair_refill(&pair, KIT_WORK);
	EXPECT_WHERE(t, WHERE_NOWHERE, &pair, KIT_WORK);
}

/* One byte at the end of the page kills the whole entry for the device too. */
static void invalidate_byte(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_pair_map(t, fd, &pair, 0);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, pair.iova + P - 1, 1));
	EXPECT_STARTS(t, WHERE_NOWHERE, fd, &pair, KIT_WORK);
}

/* ---- batches as the device sees them ---- */

static void batch_map(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	check_pair_map(t, fd, &pair, 0);
	EXPECT_STARTS(t, t->dev->set_map ? check_where_unmapped(t) : WHERE_MAPPED, fd, &pair,
		      KIT_WORK);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	check_pair_refill(&pair, KIT_WORK);
	EXPECT_WHERE(t, WHERE_MAPPED, &pair, KIT_WORK);
}

static void batch_unmap(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_pair_map(t, fd, &pair, 0);
	check_pair_start(t, fd, &pair);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, pair.iova, P));
	EXPECT_WHERE(t, t->dev->set_map ? WHERE_MAPPED : WHERE_NOWHERE, &pair, KIT_WORK);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	check_pair_refill(&pair, KIT_WORK);
	EXPECT_WHERE(t, WHERE_NOWHERE, &pair, KIT_WORK);
}

/* BEGIN twice, END once: the batch is over. */
static void batch_nested(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	check_pair_map(t, fd, &pair, 0);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
}

static void batch_exchange(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova, P, pair.identity));
	EXPECT_STARTS(t, WHERE_IDENTITY, fd, &pair, KIT_WORK);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, pair.iova, P));
	check_pair_map(t, fd, &pair, 0);
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	check_pair_refill(&pair, KIT_WORK);
	EXPECT_WHERE(t, WHERE_MAPPED, &pair, KIT_WORK);
}

static void batch_empty(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_STARTS(t, t->dev->set_map ? WHERE_NOWHERE : check_where_unmapped(t), fd, &pair,
		      KIT_WORK);
}

/* A refused UPDATE creates the address space and nothing else. */
static void end_without_begin(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, -EFAULT, check_map(fd, 0, UINT64_MAX, 2, pair.mapped));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_STARTS(t, check_where_unmapped(t), fd, &pair, KIT_WORK);
}

static void invalidate_nothing(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, -EFAULT, check_map(fd, 0, UINT64_MAX, 2, pair.mapped));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, ELSEWHERE, P));
	EXPECT_STARTS(t, t->dev->set_map ? WHERE_NOWHERE : check_where_unmapped(t), fd, &pair,
		      KIT_WORK);
}

/* ---- permissions: row's a is the permission of the page, b who must move ---- */

static void permission(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, client_iotlb_map(fd, 0, pair.iova, P, pair.mapped, (uint8_t)t->check->a));
	EXPECT_STARTS(t, (enum check_where)t->check->b, fd, &pair, KIT_WORK);
}

/* Byte-exact pieces of one page with permissions of their own: transmit buffer read-only. */
static void permission_pieces(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova, KIT_TX_FRAME, pair.mapped));
	EXPECT_RC(t, 0,
		  client_iotlb_map(fd, 0, pair.iova + KIT_TX_FRAME, KIT_RX_BUF - KIT_TX_FRAME,
				   pair.mapped + KIT_TX_FRAME, VHOST_ACCESS_RO));
	EXPECT_RC(t, 0,
		  client_iotlb_map(fd, 0, pair.iova + KIT_RX_BUF, P - KIT_RX_BUF,
				   pair.mapped + KIT_RX_BUF, VHOST_ACCESS_WO));
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
	check_kit_expect_done(t, &pair.kit, pair.mapped);
}

/* A pinned page starts at its start, whatever offset the client gave. */
static void unaligned_uaddr(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova, P, pair.mapped + 0x300));
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
}

/* Pinned memory stays the device's, also when the client drops its mapping. */
static void client_unmaps(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct client_mem mem;
	struct check_pair pair;
	void *second;

	check_pair_init(t, &pair);
	EXPECT_RC(t, 0, client_mem_create(&mem, P, CLIENT_MEM_MEMFD));
	second = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, mem.memfd, 0);
	EXPECT(t, second != MAP_FAILED);
	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova, P, second));
	EXPECT(t, munmap(second, P) == 0);
	pair.mapped = mem.addr;
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
}

static void private_memory(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct check_pair pair;
	struct client_mem mem;

	check_pair_init(t, &pair);
	EXPECT_RC(t, 0, client_mem_create(&mem, P, CLIENT_MEM_PRIVATE));
	pair.mapped = mem.addr;
	check_pair_map(t, fd, &pair, 0);
	EXPECT_STARTS(t, (enum check_where)t->check->a, fd, &pair, KIT_WORK);
}

/* A page of a larger entry, not its first. */
static void inside_large_entry(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 16);
	struct check_pair pair;

	check_pair_init(t, &pair);
	pair.mapped = pages + 9 * P;
	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova - 9 * P, 16 * P, pages));
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
}

/* Sixteen pages of a file in reverse order, one UPDATE: an entry for each, all of them right. */
static void fragmented(struct check_ctx *t)
{
	enum { NR = 16 };
	int fd = check_open_owned(t);
	uint8_t *at = check_pages(t, NR);
	struct check_pair pair;
	struct client_mem mem;

	EXPECT_RC(t, 0, client_mem_create(&mem, NR * P, CLIENT_MEM_MEMFD));
	for (size_t i = 0; i < NR; i++)
		EXPECT(t, mmap(at + i * P, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			       mem.memfd, (off_t)((NR - 1 - i) * P)) != MAP_FAILED);
	memset(at, 0, NR * P); /* all of it is there */
	check_pair_init(t, &pair);
	pair.mapped = at + t->check->a * P;
	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova - (uint64_t)t->check->a * P, NR * P, at));
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
	check_kit_expect_used(t, &pair.kit, (uint8_t *)mem.addr + (NR - 1 - t->check->a) * P,
			      KIT_WORK, 1);
}

/* The kit's page in two halves, two entries over two places: rings cross no border, buffers do. */
static void across_entries(struct check_ctx *t)
{
	/* inside a frame, or a request's header */
	size_t border = KIT_TX_FRAME + (check_missing(t->dev, CHECK_BLK) ? 20 : 10);
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova, border, pair.mapped));
	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova + border, P - border, pair.mapped + border));
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
	check_kit_expect_done(t, &pair.kit, pair.mapped);
}

static const struct check rows[] = {
	{"iotlb.device.fresh_open_is_identity", "4-11", fresh_open, CHECK_IDENTITY, 0, 0, 0},
	{"iotlb.device.fresh_open_reaches_nothing", "4-1", fresh_open, CHECK_NO_IDENTITY, 0, 0, 0},
	{"iotlb.device.update_maps", "4-12", update_maps, 0, 0, 0, 0},
	{"iotlb.device.mapping_after_ring_setup_ok", "4-12", mapped_after_setup, 0, 0, 0, 0},
	{"iotlb.device.update_while_running_takes_effect", "4-12", mapped_while_running, 0, 0, 0,
	 0},
	{"iotlb.device.first_map_ends_identity", "7-2", other_map_ends_identity, 0, 0, 0, 0},
	{"iotlb.device.last_invalidate_leaves_nothing", "7-2", last_invalidate_leaves_nothing, 0, 0,
	 0, 0},
	{"iotlb.device.remap_after_invalidate_new_memory", "4-12", remap_after_invalidate, 0, 0, 0,
	 0},
	{"iotlb.device.invalidate_while_running_cuts_off", "2-17", invalidate_while_running, 0, 0,
	 0, 0},
	{"iotlb.device.invalidate_byte_cuts_off_entry", "2-17", invalidate_byte, 0, 0, 0, 0},
	{"iotlb.device.batch_map_visible_as_style", "2-20", batch_map, 0, 0, 0, 0},
	{"iotlb.device.batch_unmap_visible_as_style", "2-20", batch_unmap, 0, 0, 0, 0},
	{"iotlb.device.batch_nested_ends_once", "2-19", batch_nested, 0, 0, 0, 0},
	{"iotlb.device.batch_exchanges_memory", "7-3", batch_exchange, 0, 0, 0, 0},
	{"iotlb.device.empty_batch_as_style", "7-2", batch_empty, 0, 0, 0, 0},
	{"iotlb.device.end_without_begin_changes_nothing", "2-19", end_without_begin, 0, 0, 0, 0},
	{"iotlb.device.invalidate_of_nothing_as_style", "2-17", invalidate_nothing, 0, 0, 0, 0},
	{"iotlb.device.perm_rw_works", "2-7", permission, 0, 0, VHOST_ACCESS_RW, WHERE_MAPPED},
	{"iotlb.device.perm_255_works", "2-7", permission, 0, 0, 255, WHERE_MAPPED},
	{"iotlb.device.perm_ro_ring_stalls", "7-8", permission, 0, 0, VHOST_ACCESS_RO,
	 WHERE_NOWHERE},
	{"iotlb.device.perm_wo_ring_stalls", "7-8", permission, 0, 0, VHOST_ACCESS_WO,
	 WHERE_NOWHERE},
	{"iotlb.device.perm_0_useless", "2-7", permission, 0, 0, 0, WHERE_NOWHERE},
	{"iotlb.device.perm_per_piece_of_page", "2-13", permission_pieces, CHECK_VA, 0, 0, 0},
	{"iotlb.device.unaligned_uaddr_is_page_start", "2-8", unaligned_uaddr, CHECK_PINNED, 0, 0,
	 0},
	{"iotlb.device.client_unmap_keeps_pinned_memory", "2-8", client_unmaps,
	 CHECK_PINNED | CHECK_KERNEL, 0, 0, 0},
	{"iotlb.device.private_memory_works_pinned", "2-8", private_memory, CHECK_PINNED, 0,
	 WHERE_MAPPED, 0},
	{"iotlb.device.private_memory_va_maps_nothing", "2-13", private_memory,
	 CHECK_VA | CHECK_STRICT | CHECK_IDENTITY, 0, WHERE_IDENTITY, 0},
	{"iotlb.device.private_memory_va_works", "2-13", private_memory, CHECK_VA | CHECK_RELAXED,
	 0, WHERE_MAPPED, 0},
	{"iotlb.device.inside_large_entry", "4-12", inside_large_entry, 0, 0, 0, 0},
	{"iotlb.device.fragmented_first_page", "2-16", fragmented, 0, 0, 0, 0},
	{"iotlb.device.fragmented_inner_page", "2-16", fragmented, 0, 0, 6, 0},
	{"iotlb.device.fragmented_last_page", "2-16", fragmented, 0, 0, 15, 0},
	{"iotlb.device.buffer_across_entries", "4-12", across_entries, CHECK_VA, 0, 0, 0},
};

const struct check_set check_set_translate = CHECK_SET(rows);
