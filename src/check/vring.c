/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 1.4: the shape of every per-ring ioctl: owner, index and pointer errors, in the
 * order in which they win.
 */
#include "check/check.h"

#include <string.h>

/* Rows: req is the ioctl, a the length of its argument. */

static void unowned_eperm(struct check_ctx *t)
{
	uint64_t arg[8] = {0};

	EXPECT_RC(t, -EPERM, client_ioctl(check_open(t), t->check->req, arg));
}

static void unowned_wins(struct check_ctx *t)
{
	uint32_t arg[16] = {UINT32_MAX};
	int fd = check_open(t);

	EXPECT_RC(t, -EPERM, client_ioctl(fd, t->check->req, arg));
	EXPECT_RC(t, -EPERM, client_ioctl(fd, t->check->req, NULL));
}

static void foreign_eperm(struct check_ctx *t)
{
	uint64_t arg[8] = {0};
	int fd = check_open_owned(t);

	EXPECT_RC(t, -EPERM, check_child_ioctl(t, fd, t->check->req, arg));
}

static void index_enobufs(struct check_ctx *t)
{
	uint32_t arg[16] = {t->dev->nr_vqs};

	EXPECT_RC(t, -ENOBUFS, client_ioctl(check_open_owned(t), t->check->req, arg));
}

static void index_max_enobufs(struct check_ctx *t)
{
	uint32_t arg[16] = {UINT32_MAX};

	EXPECT_RC(t, -ENOBUFS, client_ioctl(check_open_owned(t), t->check->req, arg));
}

/* With only the index readable, a bad index still wins; SET_VRING_NUM alone fetches all first. */
static void index_before_rest(struct check_ctx *t)
{
	int want = t->check->req == VHOST_SET_VRING_NUM ? -EFAULT : -ENOBUFS;
	uint8_t *arg = check_guarded(t, 4);

	memset(arg, 0xff, 4);
	EXPECT_RC(t, want, client_ioctl(check_open_owned(t), t->check->req, arg));
}

static void null_efault(struct check_ctx *t)
{
	EXPECT_RC(t, -EFAULT, client_ioctl(check_open_owned(t), t->check->req, NULL));
}

static void unmapped_efault(struct check_ctx *t)
{
	EXPECT_RC(t, -EFAULT, client_ioctl(check_open_owned(t), t->check->req, check_unmapped()));
}

static void truncated_efault(struct check_ctx *t)
{
	uint8_t *arg = check_guarded(t, (size_t)t->check->a - 1);

	memset(arg, 0, (size_t)t->check->a - 1);
	EXPECT_RC(t, -EFAULT, client_ioctl(check_open_owned(t), t->check->req, arg));
}

/* Commands that answer: the argument is readable, the answer cannot be written. */
static void read_only_efault(struct check_ctx *t)
{
	EXPECT_RC(t, -EFAULT, client_ioctl(check_open_owned(t), t->check->req, check_read_only(t)));
}

#define SHAPE(name_, clause_, req_, len_)                                                            \
	{"ioctl." name_ ".without_owner_eperm", "1-4", unowned_eperm, 0, req_, len_, 0},             \
		{"ioctl." name_ ".without_owner_eperm_wins", "1-4", unowned_wins, 0, req_, len_, 0}, \
		{"ioctl." name_ ".foreign_process_eperm", "1-4", foreign_eperm, 0, req_, len_, 0},   \
		{"ioctl." name_ ".index_past_end_enobufs",                                           \
		 clause_,                                                                            \
		 index_enobufs,                                                                      \
		 0,                                                                                  \
		 req_,                                                                               \
		 len_,                                                                               \
		 0},                                                                                 \
		{"ioctl." name_ ".index_max_enobufs", clause_, index_max_enobufs, 0, req_, len_, 0}, \
		{"ioctl." name_ ".bad_index_with_short_argument",                                    \
		 "1-5",                                                                              \
		 index_before_rest,                                                                  \
		 0,                                                                                  \
		 req_,                                                                               \
		 len_,                                                                               \
		 0},                                                                                 \
		{"ioctl." name_ ".null_pointer_efault", clause_, null_efault, 0, req_, len_, 0},     \
		{"ioctl." name_ ".unmapped_pointer_efault",                                          \
		 clause_,                                                                            \
		 unmapped_efault,                                                                    \
		 0,                                                                                  \
		 req_,                                                                               \
		 len_,                                                                               \
		 0},                                                                                 \
	{                                                                                            \
		"ioctl." name_ ".pointer_at_page_end_efault", clause_, truncated_efault, 0, req_,    \
			len_, 0                                                                      \
	}

static const struct check rows[] = {
	SHAPE("set_vring_num", "1-28", VHOST_SET_VRING_NUM, 8),
	SHAPE("set_vring_addr", "1-29", VHOST_SET_VRING_ADDR, 40),
	SHAPE("set_vring_base", "1-30", VHOST_SET_VRING_BASE, 8),
	SHAPE("get_vring_base", "1-31", VHOST_GET_VRING_BASE, 8),
	SHAPE("set_vring_kick", "1-32", VHOST_SET_VRING_KICK, 8),
	SHAPE("set_vring_call", "1-33", VHOST_SET_VRING_CALL, 8),
	SHAPE("set_vring_err", "1-34", VHOST_SET_VRING_ERR, 8),
	SHAPE("set_vring_busyloop", "1-35", VHOST_SET_VRING_BUSYLOOP_TIMEOUT, 8),
	SHAPE("get_vring_busyloop", "1-35", VHOST_GET_VRING_BUSYLOOP_TIMEOUT, 8),
	SHAPE("set_vring_enable", "1-36", VHOST_VDPA_SET_VRING_ENABLE, 8),
	SHAPE("get_vring_group", "1-37", VHOST_VDPA_GET_VRING_GROUP, 8),
	SHAPE("set_group_asid", "1-39", VHOST_VDPA_SET_GROUP_ASID, 8),
	{"ioctl.get_vring_base.read_only_pointer_efault", "1-31", read_only_efault, 0,
	 VHOST_GET_VRING_BASE, 8, 0},
	{"ioctl.get_vring_group.read_only_pointer_efault", "1-37", read_only_efault, 0,
	 VHOST_VDPA_GET_VRING_GROUP, 8, 0},
	{"ioctl.get_vring_busyloop.read_only_pointer_efault", "1-35", read_only_efault, 0,
	 VHOST_GET_VRING_BUSYLOOP_TIMEOUT, 8, 0},
	{"ioctl.get_vring_desc_group.without_owner_eperm", "1-4", unowned_eperm, 0,
	 VHOST_VDPA_GET_VRING_DESC_GROUP, 8, 0},
	{"ioctl.get_vring_desc_group.foreign_process_eperm", "1-4", foreign_eperm, 0,
	 VHOST_VDPA_GET_VRING_DESC_GROUP, 8, 0},
	{"ioctl.get_vring_desc_group.index_past_end_enobufs", "1-38", index_enobufs, 0,
	 VHOST_VDPA_GET_VRING_DESC_GROUP, 8, 0},
	{"ioctl.get_vring_desc_group.null_pointer_efault", "1-38", null_efault, 0,
	 VHOST_VDPA_GET_VRING_DESC_GROUP, 8, 0},
	{"ioctl.get_vring_size.without_owner_eperm", "1-4", unowned_eperm, 0,
	 VHOST_VDPA_GET_VRING_SIZE, 8, 0},
	{"ioctl.get_vring_size.foreign_process_eperm", "1-4", foreign_eperm, 0,
	 VHOST_VDPA_GET_VRING_SIZE, 8, 0},
	{"ioctl.get_vring_size.index_past_end_enobufs", "1-40", index_enobufs, 0,
	 VHOST_VDPA_GET_VRING_SIZE, 8, 0},
	{"ioctl.get_vring_size.null_pointer_efault", "1-40", null_efault, 0,
	 VHOST_VDPA_GET_VRING_SIZE, 8, 0},
};

const struct check_set check_set_vring = CHECK_SET(rows);
