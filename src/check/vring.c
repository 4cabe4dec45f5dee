/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 1.4: the shape of every per-ring ioctl: owner, index and pointer errors, in the
 * order in which they win.
 */
#include "check/check.h"
#include "check/pointer.h"

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

#define ROW(name_, what_, clause_, fn_, req_, len_)                                                \
	CHECK_IOCTL_ROW(name_, what_, clause_, fn_, 0, req_, len_, POINTER_OWNED)
#define SHAPE(name_, clause_, req_, len_)                                                          \
	ROW(name_, "without_owner_eperm", "1-4", unowned_eperm, req_, len_),                       \
		ROW(name_, "without_owner_eperm_wins", "1-4", unowned_wins, req_, len_),           \
		ROW(name_, "foreign_process_eperm", "1-4", foreign_eperm, req_, len_),             \
		ROW(name_, "index_past_end_enobufs", clause_, index_enobufs, req_, len_),          \
		ROW(name_, "index_max_enobufs", clause_, index_max_enobufs, req_, len_),           \
		ROW(name_, "bad_index_with_short_argument", "1-5", index_before_rest, req_, len_), \
		ROW(name_, "null_pointer_efault", clause_, check_null_efault, req_, len_),         \
		ROW(name_, "unmapped_pointer_efault", clause_, check_unmapped_efault, req_, len_), \
		ROW(name_, "pointer_at_page_end_efault", clause_, check_truncated_efault, req_,    \
		    len_)

/* A command that newer kernels have. */
#define LATER(name_, clause_, req_)                                                                \
	ROW(name_, "without_owner_eperm", "1-4", unowned_eperm, req_, 8),                          \
		ROW(name_, "foreign_process_eperm", "1-4", foreign_eperm, req_, 8),                \
		ROW(name_, "index_past_end_enobufs", clause_, index_enobufs, req_, 8),             \
		ROW(name_, "null_pointer_efault", clause_, check_null_efault, req_, 8)
#define READ_ONLY(name_, clause_, req_)                                                            \
	ROW(name_, "read_only_pointer_efault", clause_, check_read_only_efault, req_, 8)

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
	READ_ONLY("get_vring_base", "1-31", VHOST_GET_VRING_BASE),
	READ_ONLY("get_vring_group", "1-37", VHOST_VDPA_GET_VRING_GROUP),
	READ_ONLY("get_vring_busyloop", "1-35", VHOST_GET_VRING_BUSYLOOP_TIMEOUT),
	LATER("get_vring_desc_group", "1-38", VHOST_VDPA_GET_VRING_DESC_GROUP),
	LATER("get_vring_size", "1-40", VHOST_VDPA_GET_VRING_SIZE),
};

const struct check_set check_set_vring = CHECK_SET(rows);
