/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 4.3: what the device translates with after SET_STATUS(0), by the acked backend features
 * at that moment. reset_rings.c has the rings.
 */
#include "check/kit.h"

#define IOVA 0x100000UL
/* From a pair to where no check looks. Not farther: a device may be unable to map both at once. */
#define AWAY (16 * P)
#define P    CHECK_PAGE

#define PERSIST CLIENT_BACKEND_PERSIST

static void reset(struct check_ctx *t, int fd)
{
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, 0, client_get_status(fd));
}

static enum check_where unacked(const struct check_ctx *t)
{
	return t->dev->compat_reset ? WHERE_IDENTITY : WHERE_MAPPED;
}

/* ---- translation ---- */

static void with_persist(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_ack_backend(t, fd, t->dev->backend);
	check_pair_map(t, fd, &pair, 0);
	reset(t, fd);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
}

/* Row: a are the backend features acked, without PERSIST. */
static void without_persist(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_ack_backend(t, fd, (uint64_t)t->check->a);
	check_pair_map(t, fd, &pair, 0);
	reset(t, fd);
	EXPECT_STARTS(t, unacked(t), fd, &pair, KIT_WORK);
}

static void late_ack(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_pair_map(t, fd, &pair, 0);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
	check_ack_backend(t, fd, PERSIST);
	reset(t, fd);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
}

static void withdrawn_ack(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_ack_backend(t, fd, PERSIST);
	check_pair_map(t, fd, &pair, 0);
	check_ack_backend(t, fd, CLIENT_BACKEND_MSG_V2);
	reset(t, fd);
	EXPECT_STARTS(t, unacked(t), fd, &pair, KIT_WORK);
}

static void repeated(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_ack_backend(t, fd, PERSIST);
	check_pair_map(t, fd, &pair, 0);
	for (int i = 0; i < 4; i++) {
		check_pair_start(t, fd, &pair);
		EXPECT_WHERE(t, WHERE_MAPPED, &pair, KIT_WORK);
		reset(t, fd);
		reset(t, fd);
	}
}

/* An empty map persists as well: nothing, not 1:1. */
static void empty_persists(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_ack_backend(t, fd, PERSIST);
	check_pair_map(t, fd, &pair, 0);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, pair.iova, P));
	reset(t, fd);
	EXPECT_STARTS(t, WHERE_NOWHERE, fd, &pair, KIT_WORK);
}

static void unmapped_persists(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_ack_backend(t, fd, PERSIST);
	reset(t, fd);
	EXPECT_STARTS(t, check_where_unmapped(t), fd, &pair, KIT_WORK);
}

/* A mapping made after the reset counts at once, whatever the reset did. */
static void map_after_reset(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova + AWAY, P, check_pages(t, 1)));
	reset(t, fd);
	check_pair_map(t, fd, &pair, 0);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
}

/* What clients without PERSIST do: unmap all, reset, map all. */
static void unmap_reset_map(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	for (int i = 0; i < 3; i++) {
		check_pair_map(t, fd, &pair, 0);
		check_pair_start(t, fd, &pair);
		EXPECT_WHERE(t, WHERE_MAPPED, &pair, KIT_WORK);
		reset(t, fd);
		EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, pair.iova, P));
	}
}

/* ---- a compat_reset parent and the session disagree until the next change: row's a ---- */

enum { CHANGE_UPDATE = 1, CHANGE_INVALIDATE, CHANGE_END };

static void change(struct check_ctx *t, int fd, uint64_t away, long what)
{
	if (what == CHANGE_UPDATE)
		EXPECT_RC(t, 0, check_map(fd, 0, away, P, check_pages(t, 1)));
	if (what == CHANGE_INVALIDATE)
		EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, away, P));
	if (what == CHANGE_END) {
		EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
		EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	}
}

static void after_compat_reset(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_pair_map(t, fd, &pair, 0);
	reset(t, fd);
	change(t, fd, pair.iova + AWAY, t->check->a);
	EXPECT_STARTS(t, (enum check_where)t->check->b, fd, &pair, KIT_WORK);
}

static void dead_range_revived(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	check_pair_map(t, fd, &pair, 0);
	reset(t, fd);
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, pair.iova, P, pair.mapped));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, pair.iova, P));
	check_pair_map(t, fd, &pair, 0);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, KIT_WORK);
}

static void persist_offered(struct check_ctx *t)
{
	EXPECT_EQ(t, PERSIST, t->dev->backend & PERSIST);
}

/* ---- what the session keeps ---- */

static void entries_kept(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *page = check_pages(t, 1);

	if (t->check->a)
		check_ack_backend(t, fd, (uint64_t)t->check->a);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	reset(t, fd);
	EXPECT_RC(t, -EFAULT, check_map(fd, 0, IOVA, P, page));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
}

#define SMC (CHECK_SET_MAP | CHECK_COMPAT)
#define DMC (CHECK_DMA_MAP | CHECK_COMPAT)

static const struct check rows[] = {
	{"lifecycle.reset.persist_offered_with_reset_map", "4-10", persist_offered, CHECK_STRICT, 0,
	 0, 0},
	{"lifecycle.reset.persist_acked_map_stays", "4-13", with_persist, CHECK_PERSIST, 0, 0, 0},
	{"lifecycle.reset.nothing_acked_as_parent", "4-14", without_persist, 0, 0, 0, 0},
	{"lifecycle.reset.others_acked_as_parent", "4-14", without_persist, 0, 0,
	 CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH | CLIENT_BACKEND_ASID, 0},
	{"lifecycle.reset.late_ack_counts", "4-6", late_ack, CHECK_PERSIST, 0, 0, 0},
	{"lifecycle.reset.withdrawn_ack_counts", "4-6", withdrawn_ack, CHECK_PERSIST, 0, 0, 0},
	{"lifecycle.reset.persist_repeated_map_stays", "4-13", repeated, CHECK_PERSIST, 0, 0, 0},
	{"lifecycle.reset.persist_empty_map_stays_empty", "4-13", empty_persists, CHECK_PERSIST, 0,
	 0, 0},
	{"lifecycle.reset.persist_nothing_stays_nothing", "4-13", unmapped_persists,
	 CHECK_PERSIST | CHECK_NO_IDENTITY, 0, 0, 0},
	{"lifecycle.reset.persist_identity_stays", "7-5", unmapped_persists,
	 CHECK_PERSIST | CHECK_IDENTITY, 0, 0, 0},
	{"lifecycle.reset.map_after_reset_counts", "4-12", map_after_reset, 0, 0, 0, 0},
	{"lifecycle.reset.unmap_and_map_around_it", "4-12", unmap_reset_map, 0, 0, 0, 0},
	{"lifecycle.reset.compat_update_reinstalls_all", "4-16", after_compat_reset, SMC, 0,
	 CHANGE_UPDATE, WHERE_MAPPED},
	{"lifecycle.reset.compat_invalidate_reinstalls_all", "4-16", after_compat_reset, SMC, 0,
	 CHANGE_INVALIDATE, WHERE_MAPPED},
	{"lifecycle.reset.compat_batch_end_reinstalls_all", "4-16", after_compat_reset, SMC, 0,
	 CHANGE_END, WHERE_MAPPED},
	{"lifecycle.reset.compat_update_leaves_old_dead", "4-16", after_compat_reset, DMC, 0,
	 CHANGE_UPDATE, WHERE_NOWHERE},
	{"lifecycle.reset.compat_batch_end_changes_nothing", "4-16", after_compat_reset, DMC, 0,
	 CHANGE_END, WHERE_IDENTITY},
	{"lifecycle.reset.dead_range_revived_by_invalidate", "4-16", dead_range_revived, 0, 0, 0,
	 0},
	{"lifecycle.reset.entries_kept", "4-7", entries_kept, 0, 0, 0, 0},
	{"lifecycle.reset.entries_kept_with_persist", "4-7", entries_kept, CHECK_PERSIST, 0,
	 PERSIST, 0},
};

const struct check_set check_set_reset = CHECK_SET(rows);
