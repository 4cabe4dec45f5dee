/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 1.2: the ioctls of the device, which need no owner: shape, errors and values.
 */
#include "check/kit.h"
#include "check/pointer.h"

#include <string.h>

/* Rows: req is the ioctl, a the length of its argument. */

static void unowned_ok(struct check_ctx *t)
{
	uint8_t *arg = check_guarded(t, 64);

	EXPECT_RC(t, 0, client_ioctl(check_open(t), t->check->req, arg));
}

static void foreign_ok(struct check_ctx *t)
{
	uint8_t *arg = check_guarded(t, 64);
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0, check_child_ioctl(t, fd, t->check->req, arg));
}

/* Filled with two patterns in turn: the bytes of the argument become equal, the next stays. */
static void writes_length(struct check_ctx *t)
{
	size_t len = (size_t)t->check->a;
	uint8_t one[32], two[32];
	int fd = check_open(t);

	memset(one, 0x5a, sizeof(one));
	memset(two, 0xa5, sizeof(two));
	EXPECT_RC(t, 0, client_ioctl(fd, t->check->req, one));
	EXPECT_RC(t, 0, client_ioctl(fd, t->check->req, two));
	EXPECT(t, memcmp(one, two, len) == 0);
	EXPECT_EQ(t, 0x5a, one[len]);
	EXPECT_EQ(t, 0xa5, two[len]);
}

static bool is_net(const struct check_ctx *t)
{
	return t->dev->device_id == VIRTIO_ID_NET;
}

static void features_value(struct check_ctx *t)
{
	EXPECT_EQ(t, 0x308830028, t->dev->features);
}

static void features_basics(struct check_ctx *t)
{
	uint64_t basics = CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |
			  (is_net(t) ? CLIENT_BIT(VIRTIO_NET_F_MAC) : 0);

	EXPECT_EQ(t, basics, t->dev->features & basics);
}

static void features_after_set(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint64_t now = 0;

	check_kit_ready(t, fd);
	EXPECT_RC(t, 0, client_get_u64(fd, VHOST_GET_FEATURES, &now));
	EXPECT_EQ(t, t->dev->features, now);
}

static void device_id(struct check_ctx *t)
{
	uint32_t id = 0;

	EXPECT_RC(t, 0, client_ioctl(check_open(t), VHOST_VDPA_GET_DEVICE_ID, &id));
	EXPECT_EQ(t, (uint64_t)t->check->a, id);
}

static void ring_max_value(struct check_ctx *t)
{
	EXPECT_EQ(t, 256, t->dev->ring_max);
}

static void ring_max_power(struct check_ctx *t)
{
	EXPECT(t, t->dev->ring_max != 0);
	EXPECT_EQ(t, 0, t->dev->ring_max & (t->dev->ring_max - 1));
}

/* The number is the device's maximum, whatever a ring was set to. */
static void ring_max_constant(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint16_t max = 0;

	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_NUM, 0, 16));
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_GET_VRING_NUM, &max));
	EXPECT_EQ(t, t->dev->ring_max, max);
}

static void iova_range_full(struct check_ctx *t)
{
	EXPECT_EQ(t, 0, t->dev->iova_first);
	EXPECT_EQ(t, UINT64_MAX, t->dev->iova_last);
}

static void iova_range_ordered(struct check_ctx *t)
{
	EXPECT(t, t->dev->iova_first < t->dev->iova_last);
}

static void config_size_value(struct check_ctx *t)
{
	EXPECT_EQ(t, is_net(t) ? 24 : 96, t->dev->config_size);
}

static void config_size_holds_mac(struct check_ctx *t)
{
	EXPECT(t, t->dev->config_size >= 12);
}

static void counts_value(struct check_ctx *t)
{
	EXPECT_EQ(t, is_net(t) ? 3 : 1, t->dev->nr_vqs);
	EXPECT_EQ(t, is_net(t) && !t->dev->platform ? 2 : 1, t->dev->nr_groups); /* [4-2] */
	EXPECT_EQ(t, is_net(t) && !t->dev->platform ? 2 : 1, t->dev->nr_as);
}

static void counts_sane(struct check_ctx *t)
{
	EXPECT(t, t->dev->nr_vqs >= (is_net(t) ? 2 : 1));
	EXPECT(t, t->dev->nr_groups >= 1 && t->dev->nr_groups <= t->dev->nr_vqs + 1);
	EXPECT(t, t->dev->nr_as >= 1);
}

static void no_owner_suspend(struct check_ctx *t)
{
	EXPECT_RC(t, 0, client_ioctl(check_open(t), t->check->req, NULL));
}

/* ---- SET_FEATURES ---- */

static void set_features_unowned(struct check_ctx *t)
{
	EXPECT_RC(t, 0, client_set_u64(check_open(t), VHOST_SET_FEATURES, check_features(t)));
}

static void set_features_no_platform(struct check_ctx *t)
{
	uint64_t mask = check_features(t) & ~CLIENT_FEATURE_ACCESS_PLATFORM;

	EXPECT_RC(t, -EINVAL, client_set_u64(check_open(t), VHOST_SET_FEATURES, mask));
}

static void set_features_zero(struct check_ctx *t)
{
	EXPECT_RC(t, -EINVAL, client_set_u64(check_open(t), VHOST_SET_FEATURES, 0));
}

static void set_features_unoffered(struct check_ctx *t)
{
	uint64_t mask = check_features(t) | CLIENT_BIT(45);

	EXPECT_RC(t, 0, client_set_u64(check_open(t), VHOST_SET_FEATURES, mask));
}

static void set_features_late(struct check_ctx *t)
{
	int fd = check_open(t);

	check_kit_ready(t, fd);
	EXPECT_RC(t, -EBUSY, client_set_u64(fd, VHOST_SET_FEATURES, check_features(t)));
}

static void set_features_late_null(struct check_ctx *t)
{
	int fd = check_open(t);

	check_kit_ready(t, fd);
	EXPECT_RC(t, -EBUSY, client_ioctl(fd, VHOST_SET_FEATURES, NULL));
}

static void set_features_after_reset(struct check_ctx *t)
{
	int fd = check_open(t);

	check_kit_ready(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	check_kit_ready(t, fd);
}

static void set_features_twice(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, 0, client_set_u64(fd, VHOST_SET_FEATURES, check_features(t)));
	EXPECT_RC(t, 0, client_set_u64(fd, VHOST_SET_FEATURES, check_features(t)));
}

/* A refused SET_FEATURES leaves the way open for a right one. */
static void set_features_retry(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, -EINVAL, client_set_u64(fd, VHOST_SET_FEATURES, 0));
	check_kit_ready(t, fd);
}

#define ROW(name_, what_, clause_, fn_, req_, len_)                                                \
	CHECK_IOCTL_ROW(name_, what_, clause_, fn_, 0, req_, len_, 0)
#define GETTER(name_, clause_, req_, len_)                                                         \
	ROW(name_, "without_owner_ok", clause_, unowned_ok, req_, len_),                           \
		CHECK_IOCTL_ROW(name_, "foreign_process_ok", "1-3", foreign_ok, CHECK_FORK, req_,  \
				len_, 0),                                                          \
		ROW(name_, "null_pointer_efault", clause_, check_null_efault, req_, len_),         \
		ROW(name_, "unmapped_pointer_efault", clause_, check_unmapped_efault, req_, len_), \
		ROW(name_, "read_only_pointer_efault", clause_, check_read_only_efault, req_,      \
		    len_),                                                                         \
		ROW(name_, "pointer_at_page_end_efault", clause_, check_truncated_efault, req_,    \
		    len_),                                                                         \
		ROW(name_, "writes_exact_length", clause_, writes_length, req_, len_)

#define SETTER(name_, clause_, req_, len_)                                                         \
	ROW(name_, "null_pointer_efault", clause_, check_null_efault, req_, len_),                 \
		ROW(name_, "unmapped_pointer_efault", clause_, check_unmapped_efault, req_, len_), \
		ROW(name_, "pointer_at_page_end_efault", clause_, check_truncated_efault, req_,    \
		    len_)

static const struct check rows[] = {
	GETTER("get_features", "1-6", VHOST_GET_FEATURES, 8),
	GETTER("get_backend_features", "1-9", VHOST_GET_BACKEND_FEATURES, 8),
	GETTER("get_device_id", "1-10", VHOST_VDPA_GET_DEVICE_ID, 4),
	GETTER("get_status", "1-11", VHOST_VDPA_GET_STATUS, 1),
	GETTER("get_vring_num", "1-15", VHOST_VDPA_GET_VRING_NUM, 2),
	GETTER("get_iova_range", "1-17", VHOST_VDPA_GET_IOVA_RANGE, 16),
	GETTER("get_config_size", "1-18", VHOST_VDPA_GET_CONFIG_SIZE, 4),
	GETTER("get_as_num", "1-19", VHOST_VDPA_GET_AS_NUM, 4),
	GETTER("get_group_num", "1-20", VHOST_VDPA_GET_GROUP_NUM, 4),
	GETTER("get_vqs_count", "1-21", VHOST_VDPA_GET_VQS_COUNT, 4),
	SETTER("set_features", "1-7", VHOST_SET_FEATURES, 8),
	SETTER("set_backend_features", "1-8", VHOST_SET_BACKEND_FEATURES, 8),
	SETTER("set_status", "1-12", VHOST_VDPA_SET_STATUS, 1),
	SETTER("set_config_call", "1-16", VHOST_VDPA_SET_CONFIG_CALL, 4),
	{"ioctl.get_features.simulator_value", "7-10", features_value, CHECK_STRICT | CHECK_NET, 0,
	 0, 0},
	{"ioctl.get_features.basics_offered", "1-6", features_basics, 0, 0, 0, 0},
	{"ioctl.get_features.unchanged_by_set_features", "1-6", features_after_set, 0, 0, 0, 0},
	{"ioctl.get_device_id.is_net", "1-10", device_id, CHECK_NET, 0, VIRTIO_ID_NET, 0},
	{"ioctl.get_device_id.is_block", "1-10", device_id, CHECK_BLK, 0, VIRTIO_ID_BLOCK, 0},
	{"ioctl.get_vring_num.simulator_value", "1-15", ring_max_value, CHECK_STRICT, 0, 0, 0},
	{"ioctl.get_vring_num.power_of_two", "1-15", ring_max_power, 0, 0, 0, 0},
	{"ioctl.get_vring_num.unchanged_by_set_vring_num", "1-15", ring_max_constant, 0, 0, 0, 0},
	{"ioctl.get_iova_range.simulator_value", "1-17", iova_range_full, CHECK_STRICT, 0, 0, 0},
	{"ioctl.get_iova_range.ordered", "1-17", iova_range_ordered, 0, 0, 0, 0},
	{"ioctl.get_config_size.simulator_value", "1-18", config_size_value, CHECK_STRICT, 0, 0, 0},
	{"ioctl.get_config_size.holds_mac_and_mtu", "1-18", config_size_holds_mac, CHECK_NET, 0, 0,
	 0},
	{"ioctl.counts.simulator_values", "1-21", counts_value, CHECK_STRICT, 0, 0, 0},
	{"ioctl.counts.plausible", "1-20", counts_sane, 0, 0, 0, 0},
	{"ioctl.suspend.without_owner_ok", "1-22", no_owner_suspend, CHECK_SUSPEND,
	 VHOST_VDPA_SUSPEND, 0, 0},
	{"ioctl.resume.without_owner_ok", "1-23", no_owner_suspend, CHECK_RESUME, VHOST_VDPA_RESUME,
	 0, 0},
	{"ioctl.set_features.without_owner_ok", "1-7", set_features_unowned, 0, 0, 0, 0},
	{"ioctl.set_features.without_access_platform_einval", "1-7", set_features_no_platform, 0, 0,
	 0, 0},
	{"ioctl.set_features.zero_einval", "1-7", set_features_zero, 0, 0, 0, 0},
	{"ioctl.set_features.bit_not_offered_ok", "1-7", set_features_unoffered, CHECK_STRICT, 0, 0,
	 0},
	{"ioctl.set_features.after_features_ok_ebusy", "1-7", set_features_late, 0, 0, 0, 0},
	{"ioctl.set_features.null_after_features_ok_ebusy", "1-7", set_features_late_null, 0, 0, 0,
	 0},
	{"ioctl.set_features.after_reset_ok", "1-7", set_features_after_reset, 0, 0, 0, 0},
	{"ioctl.set_features.twice_ok", "1-7", set_features_twice, 0, 0, 0, 0},
	{"ioctl.set_features.after_refusal_ok", "1-7", set_features_retry, 0, 0, 0, 0},
};

const struct check_set check_set_device = CHECK_SET(rows);
