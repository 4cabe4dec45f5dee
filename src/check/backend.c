/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 5: backend features.
 */
#include "check/kit.h"

#include <unistd.h>

#define IOVA 0x100000UL

static int set(int fd, uint64_t mask)
{
	return client_set_u64(fd, VHOST_SET_BACKEND_FEATURES, mask);
}

static void offered_value(struct check_ctx *t)
{
	EXPECT_EQ(t, 0x17e, t->dev->backend);
}

static void offered_always(struct check_ctx *t)
{
	uint64_t always = CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH | CLIENT_BACKEND_ASID;

	EXPECT_EQ(t, always, t->dev->backend & always);
}

static void offered_known_bits(struct check_ctx *t)
{
	EXPECT_EQ(t, 0, t->dev->backend & ~0x1feULL);
}

static void offered_unchanged(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint64_t now = 0;

	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_MSG_V2));
	EXPECT_RC(t, 0, client_get_u64(fd, VHOST_GET_BACKEND_FEATURES, &now));
	EXPECT_EQ(t, t->dev->backend, now);
}

/* Row: a is one bit; refused exactly when it is not offered. */
static void bit_alone(struct check_ctx *t)
{
	uint64_t bit = CLIENT_BIT(t->check->a);
	int want = t->dev->backend & bit || bit == CLIENT_BACKEND_ENABLE_AFTER_OK ? 0 : -EOPNOTSUPP;

	EXPECT_RC(t, want, set(check_open(t), bit));
}

static void unknown_bit(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, -EOPNOTSUPP, set(fd, CLIENT_BIT(t->check->a)));
	EXPECT_RC(t, -EOPNOTSUPP, set(fd, CLIENT_BIT(t->check->a) | CLIENT_BACKEND_MSG_V2));
}

static void desc_asid_alone(struct check_ctx *t)
{
	EXPECT_RC(t, -EINVAL, set(check_open(t), CLIENT_BACKEND_DESC_ASID));
}

static void desc_asid_with_asid(struct check_ctx *t)
{
	int want = t->dev->backend & CLIENT_BACKEND_DESC_ASID ? 0 : -EOPNOTSUPP;

	EXPECT_RC(t, want, set(check_open(t), CLIENT_BACKEND_DESC_ASID | CLIENT_BACKEND_ASID));
}

static void everything(struct check_ctx *t)
{
	EXPECT_RC(t, 0, set(check_open(t), t->dev->backend));
}

static void without_owner(struct check_ctx *t)
{
	EXPECT_RC(t, 0, set(check_open(t), CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH));
}

static void foreign(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint64_t mask = CLIENT_BACKEND_MSG_V2;

	EXPECT_RC(t, 0, check_child_ioctl(t, fd, VHOST_SET_BACKEND_FEATURES, &mask));
}

static void at_any_time(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, set(fd, 0));
	check_kit_ready(t, fd);
	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_BATCH));
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_ASID));
	EXPECT_RC(t, 0, set(fd, 0));
}

/* ASID is the one bit whose state the control path shows: asid 99 is refused or ignored. */
static void expect_asid_acked(struct check_ctx *t, int fd, bool acked)
{
	EXPECT_RC(t, acked ? -EFAULT : 0, client_iotlb_batch(fd, 99, true));
	if (!acked)
		EXPECT_RC(t, 0, client_iotlb_batch(fd, 99, false));
}

static void replaces(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	expect_asid_acked(t, fd, false);
	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_ASID));
	expect_asid_acked(t, fd, true);
	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_MSG_V2));
	expect_asid_acked(t, fd, false);
	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_ASID | CLIENT_BACKEND_BATCH));
	expect_asid_acked(t, fd, true);
	EXPECT_RC(t, 0, set(fd, 0));
	expect_asid_acked(t, fd, false);
}

static void kept_by_refusal(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_ASID));
	EXPECT_RC(t, -EOPNOTSUPP, set(fd, CLIENT_BIT(20)));
	expect_asid_acked(t, fd, true);
	EXPECT_RC(t, -EFAULT, client_ioctl(fd, VHOST_SET_BACKEND_FEATURES, NULL));
	expect_asid_acked(t, fd, true);
}

static void kept_by_reset(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_ASID));
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	expect_asid_acked(t, fd, true);
}

static void kept_by_set_features(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_ASID));
	check_kit_ready(t, fd);
	expect_asid_acked(t, fd, true);
}

static void kept_over_set_owner(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_ASID));
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	expect_asid_acked(t, fd, true);
}

static void lost_by_close(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, set(fd, CLIENT_BACKEND_ASID));
	check_close(t, fd);
	expect_asid_acked(t, check_open_owned(t), false);
}

#define BIT(what_, clause_, a_)                                                                    \
	{                                                                                          \
		"backend.set." what_ "_alone_as_offered", clause_, bit_alone, 0, 0, a_, 0          \
	}
#define UNKNOWN(what_, a_)                                                                         \
	{                                                                                          \
		"backend.set." what_ "_eopnotsupp", "5-9", unknown_bit, 0, 0, a_, 0                \
	}

static const struct check rows[] = {
	{"backend.offered.simulator_value", "5-9", offered_value, CHECK_STRICT, 0, 0, 0},
	{"backend.offered.v2_batch_asid_always", "5-1", offered_always, 0, 0, 0, 0},
	{"backend.offered.no_unknown_bits", "5-9", offered_known_bits, 0, 0, 0, 0},
	{"backend.offered.unchanged_by_set", "5-9", offered_unchanged, 0, 0, 0, 0},
	BIT("msg_v2", "5-1", 1),
	BIT("batch", "5-2", 2),
	BIT("asid", "5-3", 3),
	BIT("suspend", "5-4", 4),
	BIT("resume", "5-5", 5),
	BIT("enable_after_driver_ok", "5-6", 6),
	BIT("persist", "5-8", 8),
	UNKNOWN("bit_0", 0),
	UNKNOWN("bit_9", 9),
	UNKNOWN("bit_10", 10),
	UNKNOWN("bit_26", 26),
	UNKNOWN("bit_32", 32),
	UNKNOWN("bit_63", 63),
	{"backend.set.desc_asid_alone_einval", "5-7", desc_asid_alone, 0, 0, 0, 0},
	{"backend.set.desc_asid_with_asid_as_offered", "5-7", desc_asid_with_asid, 0, 0, 0, 0},
	{"backend.set.everything_offered_ok", "5-9", everything, 0, 0, 0, 0},
	{"backend.set.without_owner_ok", "1-2", without_owner, 0, 0, 0, 0},
	{"backend.set.foreign_process_ok", "1-2", foreign, CHECK_FORK, 0, 0, 0},
	{"backend.set.at_any_time_ok", "5-9", at_any_time, 0, 0, 0, 0},
	{"backend.set.replaces_whole_mask", "5-9", replaces, 0, 0, 0, 0},
	{"backend.set.refusal_keeps_old_mask", "5-9", kept_by_refusal, 0, 0, 0, 0},
	{"backend.set.kept_over_reset", "5-9", kept_by_reset, 0, 0, 0, 0},
	{"backend.set.kept_over_set_features", "5-9", kept_by_set_features, 0, 0, 0, 0},
	{"backend.set.kept_over_set_owner", "5-9", kept_over_set_owner, 0, 0, 0, 0},
	{"backend.set.lost_by_close", "5-9", lost_by_close, 0, 0, 0, 0},
};

const struct check_set check_set_backend = CHECK_SET(rows);
