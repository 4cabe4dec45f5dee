/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 1.4: values and states of the per-ring ioctls.
 */
#include "check/kit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define IOVA 0x100000UL

/* ---- SET_VRING_NUM: row's a is the number, -1 the device's maximum, -2 twice that ---- */

static void num_value(struct check_ctx *t)
{
	long a = t->check->a;
	uint32_t num = a == -1 ? t->dev->ring_max : a == -2 ? 2 * t->dev->ring_max : (uint32_t)a;

	EXPECT_RC(t, t->check->b,
		  client_vring_set(check_open_owned(t), VHOST_SET_VRING_NUM, 0, num));
}

static void num_running(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_NUM, 0, 8));
}

static void num_every_ring(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	for (uint32_t i = 0; i < t->dev->nr_vqs; i++)
		EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_NUM, i, 16));
}

/* ---- SET_VRING_ADDR ---- */

struct addr_case {
	uint32_t flags;
	uint64_t desc, used, avail, log;
};

static const struct addr_case addr_cases[] = {
	{0, 0x1000, 0x2000, 0x3000, 0},          {0, 0x1000, 0x2000, 0x3001, 0},
	{0, 0x1000, 0x2002, 0x3000, 0},          {0, 0x1000, 0x2001, 0x3000, 0},
	{0, 0x1000, 0x2000, 0x3000, 2},          {0, 0x1001, 0x2000, 0x3000, 0},
	{0, 0x1000, 0x2000, 0x3002, 0},          {2, 0x1000, 0x2000, 0x3000, 0},
	{0x80000000, 0x1000, 0x2000, 0x3000, 0}, {1, 0x1000, 0x2000, 0x3000, 0},
	{3, 0x1000, 0x2000, 0x3000, 0},          {0, 0, 0, 0, 0},
	{2, 0x1001, 0x2001, 0x3001, 1},
};

static void addr_value(struct check_ctx *t)
{
	const struct addr_case *c = &addr_cases[t->check->a];
	struct vhost_vring_addr arg = {
		.flags = c->flags,
		.desc_user_addr = c->desc,
		.used_user_addr = c->used,
		.avail_user_addr = c->avail,
		.log_guest_addr = c->log,
	};

	EXPECT_RC(t, t->check->b, client_ioctl(check_open_owned(t), VHOST_SET_VRING_ADDR, &arg));
}

static int set_addr(int fd, uint32_t idx)
{
	struct vhost_vring_addr arg = {.index = idx,
				       .desc_user_addr = IOVA,
				       .avail_user_addr = IOVA + 256,
				       .used_user_addr = IOVA + 320};

	return client_ioctl(fd, VHOST_SET_VRING_ADDR, &arg);
}

static void addr_running(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	EXPECT_RC(t, -EINVAL, set_addr(fd, 0));
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, 0, set_addr(fd, 0));
}

static void addr_suspended(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SUSPEND, NULL));
	EXPECT_RC(t, 0, set_addr(fd, 0));
}

/* ---- SET_VRING_BASE and GET_VRING_BASE ---- */

static void base_value(struct check_ctx *t)
{
	EXPECT_RC(t, t->check->b,
		  client_vring_set(check_open_owned(t), VHOST_SET_VRING_BASE, 0,
				   (uint32_t)t->check->a));
}

static void base_initial(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	for (uint32_t i = 0; i < t->dev->nr_vqs; i++) {
		uint32_t base = 0xeeee;

		EXPECT_RC(t, 0, client_vring_get(fd, VHOST_GET_VRING_BASE, i, &base));
		EXPECT_EQ(t, 0, base);
	}
}

static void base_reads_back(struct check_ctx *t)
{
	uint32_t last = t->dev->nr_vqs - 1;
	int fd = check_open_owned(t);
	uint32_t base = 0;

	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BASE, last, 0x1234));
	EXPECT_RC(t, 0, client_vring_get(fd, VHOST_GET_VRING_BASE, last, &base));
	EXPECT_EQ(t, 0x1234, base);
	if (last == 0)
		return;
	EXPECT_RC(t, 0, client_vring_get(fd, VHOST_GET_VRING_BASE, 0, &base));
	EXPECT_EQ(t, 0, base);
}

static void base_running(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	EXPECT_RC(t, -EINVAL, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
}

static void base_range_before_state(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	EXPECT_RC(t, -EINVAL, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0x10000));
}

static void base_suspended(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);
	uint32_t base = 0;

	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SUSPEND, NULL));
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 7));
	EXPECT_RC(t, 0, client_vring_get(fd, VHOST_GET_VRING_BASE, 0, &base));
	EXPECT_EQ(t, 7, base);
}

/* Sends @nr frames on a running device and waits until all are used. */
static void traffic(struct check_ctx *t, struct check_kit *kit, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		if (i)
			check_kit_send(t, kit);
		else
			check_work_kick(t, kit);
		check_work_used(t, kit, (uint16_t)(i + 1));
	}
}

static void base_counts(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	traffic(t, &kit, 3);
	if (t->dev->backend & CLIENT_BACKEND_SUSPEND)
		EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SUSPEND, NULL));
	check_kit_expect_base(t, fd, &kit, 3);
}

static void base_after_reset_zero(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	traffic(t, &kit, 2);
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	check_kit_expect_base(t, fd, &kit, 0);
}

static void base_survives_reset(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	traffic(t, &kit, 2);
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER));
	check_kit_expect_base(t, fd, &kit, 2);
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BASE, kit.ring[KIT_WORK].idx, 9));
	check_kit_expect_base(t, fd, &kit, 9);
}

/* Packed: the low half is the available position, the high half the used one, bit 15 their
 * wraps. */
static void base_packed(struct check_ctx *t)
{
	uint64_t features = check_features(t) | CLIENT_BIT(VIRTIO_F_RING_PACKED);
	static const uint32_t bases[] = {0x80008000, 0x80058003, 0x00070007, 0x00098009};
	int fd = check_open_owned(t);
	uint32_t base = 0;

	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, 0, client_set_u64(fd, VHOST_SET_FEATURES, features));
	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, bases[i]));
		EXPECT_RC(t, 0, client_vring_get(fd, VHOST_GET_VRING_BASE, 0, &base));
		EXPECT_EQ(t, bases[i], base);
	}
}

static void base_lost_by_close(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BASE, t->dev->nr_vqs - 1, 5));
	check_close(t, fd);
	base_initial(t);
}

/* A ring that starts in the middle: both indexes begin at the base. */
static void base_starts_there(struct check_ctx *t)
{
	uint16_t start = (uint16_t)t->check->a;
	int fd = check_open_owned(t);
	struct check_kit kit = {0};

	check_kit_init(t, &kit, check_pages(t, 1), IOVA, start);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, CHECK_PAGE, kit.page));
	check_kit_start(t, fd, &kit);
	check_work_kick(t, &kit);
	check_work_used(t, &kit, (uint16_t)(start + 1));
	check_kit_send(t, &kit);
	check_work_used(t, &kit, (uint16_t)(start + 2));
}

#define NUM(what_, a_, b_)                                                                         \
	{                                                                                          \
		"ioctl.set_vring_num." what_, "1-28", num_value, 0, 0, a_, b_                      \
	}
#define ADDR(what_, a_, b_)                                                                        \
	{                                                                                          \
		"ioctl.set_vring_addr." what_, "1-29", addr_value, 0, 0, a_, b_                    \
	}
#define BASE(what_, a_, b_)                                                                        \
	{                                                                                          \
		"ioctl.set_vring_base." what_, "1-30", base_value, 0, 0, a_, b_                    \
	}
static const struct check rows[] = {
	NUM("zero_einval", 0, -EINVAL),
	NUM("one_ok", 1, 0),
	NUM("not_power_of_two_einval", 48, -EINVAL),
	NUM("maximum_ok", -1, 0),
	NUM("above_maximum_einval", -2, -EINVAL),
	NUM("65536_einval", 0x10000, -EINVAL),
	NUM("high_bits_einval", 0x10010, -EINVAL),
	{"ioctl.set_vring_num.while_running_ok", "1-28", num_running, 0, 0, 0, 0},
	{"ioctl.set_vring_num.every_ring_ok", "1-28", num_every_ring, 0, 0, 0, 0},
	ADDR("aligned_ok", 0, 0),
	ADDR("avail_odd_einval", 1, -EINVAL),
	ADDR("used_two_aligned_einval", 2, -EINVAL),
	ADDR("used_odd_einval", 3, -EINVAL),
	ADDR("log_two_aligned_einval", 4, -EINVAL),
	ADDR("desc_odd_ok", 5, 0),
	ADDR("avail_two_aligned_ok", 6, 0),
	ADDR("flag_1_eopnotsupp", 7, -EOPNOTSUPP),
	ADDR("flag_31_eopnotsupp", 8, -EOPNOTSUPP),
	ADDR("log_flag_ok", 9, 0),
	ADDR("log_and_flag_1_eopnotsupp", 10, -EOPNOTSUPP),
	ADDR("all_zero_ok", 11, 0),
	ADDR("flags_win_over_alignment", 12, -EOPNOTSUPP),
	{"ioctl.set_vring_addr.while_running_einval", "1-29", addr_running, 0, 0, 0, 0},
	{"ioctl.set_vring_addr.while_suspended_ok", "1-29", addr_suspended, CHECK_SUSPEND, 0, 0, 0},
	BASE("zero_ok", 0, 0),
	BASE("65535_ok", 0xffff, 0),
	BASE("65536_einval", 0x10000, -EINVAL),
	{"ioctl.set_vring_base.while_running_einval", "1-30", base_running, 0, 0, 0, 0},
	{"ioctl.set_vring_base.65536_while_running_einval", "1-30", base_range_before_state, 0, 0,
	 0, 0},
	{"ioctl.set_vring_base.while_suspended_ok", "1-30", base_suspended, CHECK_SUSPEND, 0, 0, 0},
	{"ioctl.set_vring_base.ring_starts_in_middle", "7-7", base_starts_there, 0, 0, 100, 0},
	{"ioctl.set_vring_base.ring_wraps_65536", "7-7", base_starts_there, 0, 0, 0xffff, 0},
	{"ioctl.get_vring_base.initial_zero", "1-31", base_initial, 0, 0, 0, 0},
	{"ioctl.get_vring_base.reads_back_per_ring", "1-31", base_reads_back, 0, 0, 0, 0},
	{"ioctl.get_vring_base.counts_consumed", "1-31", base_counts, 0, 0, 0, 0},
	{"ioctl.get_vring_base.after_reset_zero", "4-8", base_after_reset_zero, CHECK_STRICT, 0, 0,
	 0},
	{"ioctl.get_vring_base.survives_reset_until_set", "4-8", base_survives_reset, CHECK_RELAXED,
	 0, 0, 0},
	{"ioctl.get_vring_base.packed_composed", "1-31", base_packed, CHECK_PACKED, 0, 0, 0},
	{"ioctl.get_vring_base.lost_by_close", "4-4", base_lost_by_close, 0, 0, 0, 0},
};

const struct check_set check_set_vring_value = CHECK_SET(rows);
