/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 2, the message itself: length, outer type, owner, address space, inner type.
 *
 * Whether a message had an effect is asked with UPDATE: a range that is taken refuses
 * another UPDATE with EFAULT.
 */
#include "check/check.h"

#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define IOVA 0x100000UL

static struct vhost_iotlb_msg update(const void *page)
{
	return (struct vhost_iotlb_msg){.iova = IOVA,
					.size = CHECK_PAGE,
					.uaddr = (uintptr_t)page,
					.perm = VHOST_ACCESS_RW,
					.type = VHOST_IOTLB_UPDATE};
}

/* Row: a bytes of a right UPDATE are written, b is what write() gives. */
static void length(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct vhost_iotlb_msg body = update(check_pages(t, 1));

	EXPECT_RC(t, t->check->b, check_msg(fd, VHOST_IOTLB_MSG_V2, 0, &body, (size_t)t->check->a));
	if (t->check->b > 0)
		check_expect_taken(t, fd, 0, IOVA);
	else
		check_expect_free(t, fd, 0, IOVA);
}

static void one_message_a_write(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t *pages = check_pages(t, 2);
	struct vhost_msg_v2 msg[2] = {
		{.type = VHOST_IOTLB_MSG_V2, .iotlb = update(pages)},
		{.type = VHOST_IOTLB_MSG_V2, .iotlb = update(pages + CHECK_PAGE)},
	};

	msg[1].iotlb.iova += CHECK_PAGE;
	EXPECT_RC(t, 72, write(fd, msg, sizeof(msg)));
	check_expect_taken(t, fd, 0, IOVA);
	check_expect_free(t, fd, 0, IOVA + CHECK_PAGE);
}

/* A vector counts as one write, wherever it is cut. */
static void vector(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2, .iotlb = update(check_pages(t, 1))};
	struct iovec iov[2] = {{&msg, 13}, {(uint8_t *)&msg + 13, sizeof(msg) - 13}};

	EXPECT_RC(t, 72, writev(fd, iov, 2));
	check_expect_taken(t, fd, 0, IOVA);
}

static void bad_pointer(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, t->check->b, write(fd, check_unmapped(), 72) < 0 ? -errno : 0);
}

static void outer_type(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct vhost_iotlb_msg body = update(check_pages(t, 1));

	EXPECT_RC(t, t->check->b, check_msg(fd, (uint32_t)t->check->a, 0, &body, 72));
}

/* The outer type is looked at first: no owner, nothing else right. */
static void outer_type_wins(struct check_ctx *t)
{
	int fd = check_open(t);
	struct vhost_iotlb_msg body = {0};

	EXPECT_RC(t, -EINVAL, check_msg(fd, 3, 7, &body, 72));
}

static void inner_type(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct vhost_iotlb_msg body = update(check_pages(t, 1));

	EXPECT_RC(t, 72, check_msg(fd, VHOST_IOTLB_MSG_V2, 0, &body, 72));
	body.iova += CHECK_PAGE;
	body.type = (uint8_t)t->check->a;
	EXPECT_RC(t, -EFAULT, check_msg(fd, VHOST_IOTLB_MSG_V2, 0, &body, 72));
	check_expect_taken(t, fd, 0, IOVA);
	check_expect_free(t, fd, 0, IOVA + CHECK_PAGE);
}

static void version_1(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct vhost_iotlb_msg body = update(check_pages(t, 1));

	if (t->check->a)
		check_ack_backend(t, fd, CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_ASID);
	EXPECT_RC(t, 72, check_msg(fd, VHOST_IOTLB_MSG, 0, &body, 72));
	check_expect_taken(t, fd, 0, IOVA);
}

/* In version 1 the four bytes behind the type are a hole; they never name an address space. */
static void version_1_hole(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct vhost_iotlb_msg body = update(check_pages(t, 1));

	check_ack_backend(t, fd, CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_ASID);
	EXPECT_RC(t, 72, check_msg(fd, VHOST_IOTLB_MSG, 0xffffffff, &body, 72));
	check_expect_taken(t, fd, 0, IOVA);
}

/* The layout in bytes, not by the header's structures. Row: a is the version. */
static void raw_layout(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint64_t uaddr = (uintptr_t)check_pages(t, 1);
	uint64_t iova = IOVA, size = CHECK_PAGE;
	uint8_t msg[72] = {0};

	EXPECT_EQ(t, 72, sizeof(struct vhost_msg));
	EXPECT_EQ(t, 72, sizeof(struct vhost_msg_v2));
	msg[0] = (uint8_t)t->check->a;
	memcpy(msg + 8, &iova, 8);
	memcpy(msg + 16, &size, 8);
	memcpy(msg + 24, &uaddr, 8);
	msg[32] = 3;
	msg[33] = 2;
	EXPECT_RC(t, 72, write(fd, msg, sizeof(msg)));
	check_expect_taken(t, fd, 0, IOVA);
	check_expect_taken(t, fd, 0, IOVA + CHECK_PAGE - 1);
	msg[33] = 3;
	EXPECT_RC(t, 72, write(fd, msg, sizeof(msg)));
	check_expect_free(t, fd, 0, IOVA);
}

static void version_1_batch(struct check_ctx *t)
{
	struct vhost_iotlb_msg body = {.type = VHOST_IOTLB_BATCH_BEGIN};
	int fd = check_open_owned(t);

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	EXPECT_RC(t, 72, check_msg(fd, VHOST_IOTLB_MSG, 0, &body, 72));
	if (t->dev->nr_as > 1)
		EXPECT_RC(t, -EFAULT, check_map(fd, 1, IOVA, 1, check_pages(t, 1)));
	body.type = VHOST_IOTLB_BATCH_END;
	EXPECT_RC(t, 72, check_msg(fd, VHOST_IOTLB_MSG, 0, &body, 72));
	if (t->dev->nr_as > 1)
		check_expect_free(t, fd, 1, IOVA);
}

static void version_2_unacked(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_expect_free(t, fd, 0, IOVA);
	check_expect_taken(t, fd, 0, IOVA);
}

static void asid_ignored(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_ack_backend(t, fd, (uint64_t)t->check->a);
	check_expect_free(t, fd, 12345, IOVA);
	check_expect_taken(t, fd, 0, IOVA);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 777, IOVA, 1));
	check_expect_free(t, fd, 0, IOVA);
}

static void asid_unacked_again(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	EXPECT_RC(t, -EFAULT, check_map(fd, t->dev->nr_as, IOVA, 1, check_pages(t, 1)));
	check_ack_backend(t, fd, 0);
	check_expect_free(t, fd, t->dev->nr_as, IOVA);
}

static void asid_too_big(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	EXPECT_RC(t, -EFAULT, check_map(fd, t->dev->nr_as, IOVA, 1, check_pages(t, 1)));
	EXPECT_RC(t, -EFAULT, check_map(fd, UINT32_MAX, IOVA, 1, check_pages(t, 1)));
	EXPECT_RC(t, -EFAULT, client_iotlb_batch(fd, t->dev->nr_as, true));
	EXPECT_RC(t, -EFAULT, client_iotlb_batch(fd, t->dev->nr_as, false));
	EXPECT_RC(t, -EFAULT, client_iotlb_unmap(fd, t->dev->nr_as, IOVA, 1));
}

static void asid_separate(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	check_expect_free(t, fd, 0, IOVA);
	check_expect_free(t, fd, 1, IOVA);
	check_expect_taken(t, fd, 0, IOVA);
	check_expect_taken(t, fd, 1, IOVA);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 1, IOVA, 1));
	check_expect_taken(t, fd, 0, IOVA);
	check_expect_free(t, fd, 1, IOVA);
}

/* Row: a is the message type. */
static void unowned(struct check_ctx *t)
{
	int fd = check_open(t);
	struct vhost_iotlb_msg body = update(check_pages(t, 1));

	body.type = (uint8_t)t->check->a;
	EXPECT_RC(t, -EFAULT, check_msg(fd, VHOST_IOTLB_MSG_V2, 0, &body, 72));
}

static int child_message(int fd, const void *arg)
{
	return (int)check_msg(fd, VHOST_IOTLB_MSG_V2, 0, arg, 72);
}

static void foreign(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct vhost_iotlb_msg body = update(check_pages(t, 1));

	check_expect_free(t, fd, 0, 0);
	body.type = (uint8_t)t->check->a;
	EXPECT_RC(t, -EFAULT, check_in_child(t, child_message, fd, &body));
}

/* A refused foreign UPDATE leaves no trace. */
static void foreign_no_trace(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct vhost_iotlb_msg body = update(check_pages(t, 1));

	EXPECT_RC(t, -EFAULT, check_in_child(t, child_message, fd, &body));
	check_expect_free(t, fd, 0, IOVA);
}

static void size_zero(struct check_ctx *t)
{
	int fd = t->check->a ? check_open_owned(t) : check_open(t);
	struct vhost_iotlb_msg body = update(check_pages(t, 1));

	body.size = 0;
	EXPECT_RC(t, -EINVAL, check_msg(fd, VHOST_IOTLB_MSG_V2, 0, &body, 72));
}

static void size_zero_version_1(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct vhost_iotlb_msg body = update(check_pages(t, 1));

	body.size = 0;
	EXPECT_RC(t, -EINVAL, check_msg(fd, VHOST_IOTLB_MSG, 0, &body, 72));
}

#define INV   VHOST_IOTLB_INVALIDATE
#define BEGIN VHOST_IOTLB_BATCH_BEGIN
#define END   VHOST_IOTLB_BATCH_END
#define LEN(what_, a_, b_)                                                                         \
	{                                                                                          \
		"iotlb.message.length_" what_, "2-2", length, 0, 0, a_, b_                         \
	}

static const struct check rows[] = {
	LEN("0_einval", 0, -EINVAL),
	LEN("1_einval", 1, -EINVAL),
	LEN("4_einval", 4, -EINVAL),
	LEN("39_einval", 39, -EINVAL),
	LEN("40_returns_72", 40, 72),
	LEN("71_returns_72", 71, 72),
	LEN("72_returns_72", 72, 72),
	LEN("144_returns_72", 144, 72),
	{"iotlb.message.two_in_one_write_first_alone", "2-2", one_message_a_write, 0, 0, 0, 0},
	{"iotlb.message.vector_is_one_message", "2-2", vector, 0, 0, 0, 0},
	{"iotlb.message.unmapped_buffer_einval", "2-3", bad_pointer, 0, 0, 0, -EINVAL},
	{"iotlb.message.outer_type_0_einval", "2-3", outer_type, 0, 0, 0, -EINVAL},
	{"iotlb.message.outer_type_3_einval", "2-3", outer_type, 0, 0, 3, -EINVAL},
	{"iotlb.message.outer_type_max_einval", "2-3", outer_type, 0, 0, 0xffffffff, -EINVAL},
	{"iotlb.message.outer_type_257_einval", "2-3", outer_type, 0, 0, 0x101, -EINVAL},
	{"iotlb.message.outer_type_wins", "2-3", outer_type_wins, 0, 0, 0, 0},
	{"iotlb.message.inner_type_0_efault", "2-6", inner_type, 0, 0, 0, 0},
	{"iotlb.message.inner_type_miss_efault", "2-6", inner_type, 0, 0, VHOST_IOTLB_MISS, 0},
	{"iotlb.message.inner_type_access_fail_efault", "2-6", inner_type, 0, 0,
	 VHOST_IOTLB_ACCESS_FAIL, 0},
	{"iotlb.message.inner_type_7_efault", "2-6", inner_type, 0, 0, 7, 0},
	{"iotlb.message.inner_type_255_efault", "2-6", inner_type, 0, 0, 255, 0},
	{"iotlb.message.version_1_ok", "2-4", version_1, 0, 0, 0, 0},
	{"iotlb.message.version_1_with_v2_acked_ok", "2-4", version_1, 0, 0, 1, 0},
	{"iotlb.message.version_1_hole_is_no_asid", "2-4", version_1_hole, 0, 0, 0, 0},
	{"iotlb.message.version_1_layout", "2-1", raw_layout, 0, 0, 1, 0},
	{"iotlb.message.version_2_layout", "2-1", raw_layout, 0, 0, 2, 0},
	{"iotlb.message.version_1_batch_ok", "2-4", version_1_batch, 0, 0, 0, 0},
	{"iotlb.message.version_2_unacked_ok", "2-4", version_2_unacked, 0, 0, 0, 0},
	{"iotlb.message.asid_unacked_ignored", "2-4", asid_ignored, 0, 0, 0, 0},
	{"iotlb.message.asid_ignored_with_v2_and_batch_acked", "2-4", asid_ignored, 0, 0,
	 CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH, 0},
	{"iotlb.message.asid_unacked_later_ignored", "2-4", asid_unacked_again, 0, 0, 0, 0},
	{"iotlb.message.asid_past_end_efault", "2-5", asid_too_big, 0, 0, 0, 0},
	{"iotlb.message.address_spaces_separate", "3-1", asid_separate, CHECK_TWO_AS, 0, 0, 0},
	{"iotlb.message.update_without_owner_efault", "2-5", unowned, 0, 0, VHOST_IOTLB_UPDATE, 0},
	{"iotlb.message.invalidate_without_owner_efault", "2-5", unowned, 0, 0, INV, 0},
	{"iotlb.message.begin_without_owner_efault", "2-5", unowned, 0, 0, BEGIN, 0},
	{"iotlb.message.end_without_owner_efault", "2-5", unowned, 0, 0, END, 0},
	{"iotlb.message.update_foreign_process_efault", "2-5", foreign, 0, 0, VHOST_IOTLB_UPDATE,
	 0},
	{"iotlb.message.invalidate_foreign_process_efault", "2-5", foreign, 0, 0, INV, 0},
	{"iotlb.message.begin_foreign_process_efault", "2-5", foreign, 0, 0, BEGIN, 0},
	{"iotlb.message.end_foreign_process_efault", "2-5", foreign, 0, 0, END, 0},
	{"iotlb.message.refused_foreign_update_no_trace", "2-5", foreign_no_trace, 0, 0, 0, 0},
	{"iotlb.message.update_size_zero_einval", "2-3", size_zero, 0, 0, 1, 0},
	{"iotlb.message.update_size_zero_without_owner_einval", "2-3", size_zero, 0, 0, 0, 0},
	{"iotlb.message.update_size_zero_version_1_einval", "2-3", size_zero_version_1, 0, 0, 0, 0},
};

const struct check_set check_set_message = CHECK_SET(rows);
