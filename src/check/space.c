/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sections 2 and 3: which messages create an address space, and how long it stays.
 */
#include "check/check.h"

#define IOVA 0x100000UL
#define INV  VHOST_IOTLB_INVALIDATE
#define END  VHOST_IOTLB_BATCH_END

static int send_type(int fd, uint32_t asid, long type)
{
	struct vhost_iotlb_msg body = {.iova = IOVA, .size = CHECK_PAGE};

	return client_iotlb_send(fd, asid, (uint8_t)type, &body);
}

static void before_first(struct check_ctx *t)
{
	EXPECT_RC(t, -EFAULT, send_type(check_open_owned(t), 0, t->check->a));
}

static void after_begin(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, send_type(fd, 0, t->check->a));
}

static void after_failed_update(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, -EFAULT, check_map(fd, 0, UINT64_MAX, 2, check_pages(t, 1)));
	EXPECT_RC(t, 0, send_type(fd, 0, t->check->a));
}

static void second_space_separate(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	check_expect_free(t, fd, 0, IOVA);
	EXPECT_RC(t, -EFAULT, send_type(fd, 1, VHOST_IOTLB_INVALIDATE));
	EXPECT_RC(t, -EFAULT, send_type(fd, 1, VHOST_IOTLB_BATCH_END));
}

static void group_asid_creates_none(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_VDPA_SET_GROUP_ASID, 0, 1));
	EXPECT_RC(t, -EFAULT, send_type(fd, 1, VHOST_IOTLB_INVALIDATE));
}

static void space_survives_reset(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, false));
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, 0, send_type(fd, 0, VHOST_IOTLB_INVALIDATE));
}

static void empty_space_stays(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_expect_free(t, fd, 0, IOVA);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, 0, UINT64_MAX));
	EXPECT_RC(t, 0, send_type(fd, 0, VHOST_IOTLB_INVALIDATE));
	EXPECT_RC(t, 0, send_type(fd, 0, VHOST_IOTLB_BATCH_END));
}

static void space_lost_by_close(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, client_iotlb_batch(fd, 0, true));
	check_close(t, fd);
	before_first(t);
}

static const struct check rows[] = {
	{"iotlb.space.invalidate_before_first_efault", "2-5", before_first, 0, 0, INV, 0},
	{"iotlb.space.end_before_first_efault", "2-5", before_first, 0, 0, END, 0},
	{"iotlb.space.begin_before_first_ok", "2-5", after_begin, 0, 0, END, 0},
	{"iotlb.space.created_by_begin", "2-5", after_begin, 0, 0, INV, 0},
	{"iotlb.space.created_by_refused_update", "2-5", after_failed_update, 0, 0, INV, 0},
	{"iotlb.space.end_after_refused_update_ok", "2-5", after_failed_update, 0, 0, END, 0},
	{"iotlb.space.second_not_created_by_first", "2-5", second_space_separate, CHECK_TWO_AS, 0,
	 0, 0},
	{"iotlb.space.not_created_by_set_group_asid", "3-1", group_asid_creates_none, CHECK_TWO_AS,
	 0, 0, 0},
	{"iotlb.space.survives_reset", "3-1", space_survives_reset, 0, 0, 0, 0},
	{"iotlb.space.empty_one_stays", "3-1", empty_space_stays, 0, 0, 0, 0},
	{"iotlb.space.lost_by_close", "3-1", space_lost_by_close, 0, 0, INV, 0},
};

const struct check_set check_set_space = CHECK_SET(rows);
