/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET_CONFIG and SET_CONFIG.
 */
#include "check/kit.h"

#include <string.h>

struct config_arg {
	uint32_t off;
	uint32_t len;
	uint8_t buf[512];
};

/* Rows: req GET or SET, a one of these shapes, b the errno. */
enum shape {
	ZERO_LEN,
	PAST_END,
	AT_END,
	CROSS_END,
	OFF_HUGE,
	LEN_HUGE,
	SUM_WRAPS,
	WHOLE,
	LAST_BYTE,
};

static struct config_arg make(struct check_ctx *t, long shape)
{
	uint32_t size = t->dev->config_size;
	struct config_arg arg = {0};

	switch ((enum shape)shape) {
	case ZERO_LEN:
		break;
	case PAST_END:
		arg = (struct config_arg){.off = size + 1, .len = 1};
		break;
	case AT_END:
		arg = (struct config_arg){.off = size, .len = 1};
		break;
	case CROSS_END:
		arg = (struct config_arg){.off = size - 1, .len = 2};
		break;
	case OFF_HUGE:
		arg = (struct config_arg){.off = UINT32_MAX, .len = 1};
		break;
	case LEN_HUGE:
		arg = (struct config_arg){.off = 0, .len = UINT32_MAX};
		break;
	case SUM_WRAPS:
		arg = (struct config_arg){.off = 2, .len = UINT32_MAX};
		break;
	case WHOLE:
		arg = (struct config_arg){.off = 0, .len = size};
		break;
	case LAST_BYTE:
		arg = (struct config_arg){.off = size - 1, .len = 1};
		break;
	}
	return arg;
}

static void access_shape(struct check_ctx *t)
{
	int fd = check_open(t);
	struct config_arg arg = make(t, t->check->a);

	EXPECT(t, t->dev->config_size <= sizeof(arg.buf));
	if (t->check->req == VHOST_VDPA_SET_CONFIG && t->check->b == 0)
		EXPECT_RC(t, 0, client_get_config(fd, arg.off, arg.buf, arg.len));
	EXPECT_RC(t, t->check->b, client_ioctl(fd, t->check->req, &arg));
}

static void bad_header(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, -EFAULT, client_ioctl(fd, t->check->req, NULL));
	EXPECT_RC(t, -EFAULT, client_ioctl(fd, t->check->req, check_unmapped()));
	EXPECT_RC(t, -EFAULT, client_ioctl(fd, t->check->req, check_guarded(t, 7)));
}

static void bad_buffer(struct check_ctx *t)
{
	int fd = check_open(t);
	struct config_arg *arg = (void *)check_guarded(t, 8 + 5);

	memcpy(&arg->off, &(uint32_t){0}, 4);
	memcpy(&arg->len, &(uint32_t){6}, 4);
	EXPECT_RC(t, -EFAULT, client_ioctl(fd, t->check->req, arg));
}

/* An impossible range is refused before the buffer is looked at. */
static void range_before_buffer(struct check_ctx *t)
{
	int fd = check_open(t);
	uint8_t *arg = check_guarded(t, 8);
	uint32_t header[2] = {t->dev->config_size, 1};

	memcpy(arg, header, sizeof(header));
	EXPECT_RC(t, -EINVAL, client_ioctl(fd, t->check->req, arg));
}

static void unowned(struct check_ctx *t)
{
	int fd = check_open(t);
	uint8_t mac[6];

	EXPECT_RC(t, 0, client_get_config(fd, 0, mac, sizeof(mac)));
	EXPECT_RC(t, 0, client_set_config(fd, 0, mac, sizeof(mac)));
}

static void foreign(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct config_arg arg = {.off = 0, .len = 6};

	EXPECT_RC(t, 0, check_child_ioctl(t, fd, VHOST_VDPA_GET_CONFIG, &arg));
	EXPECT_RC(t, 0, check_child_ioctl(t, fd, VHOST_VDPA_SET_CONFIG, &arg));
}

static void parts_agree(struct check_ctx *t)
{
	int fd = check_open(t);
	uint8_t all[512], one;

	EXPECT_RC(t, 0, client_get_config(fd, 0, all, t->dev->config_size));
	for (uint32_t i = 0; i < t->dev->config_size; i++) {
		EXPECT_RC(t, 0, client_get_config(fd, i, &one, 1));
		EXPECT_EQ(t, all[i], one);
	}
}

static void read_keeps_neighbours(struct check_ctx *t)
{
	int fd = check_open(t);
	struct config_arg arg = {.off = 0, .len = 6};

	memset(arg.buf, 0x77, sizeof(arg.buf));
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_GET_CONFIG, &arg));
	EXPECT_EQ(t, 0x77, arg.buf[6]);
	EXPECT_EQ(t, 6, arg.len);
}

static const uint8_t mac_a[6] = {0x02, 0xaa, 0xbb, 0xcc, 0x00, 0x01};
static const uint8_t mac_b[6] = {0x02, 0xaa, 0xbb, 0xcc, 0x00, 0x02};

static void write_mac(struct check_ctx *t, int fd, const uint8_t *mac)
{
	EXPECT_RC(t, 0, client_set_config(fd, 0, mac, 6));
}

static void expect_mac(struct check_ctx *t, int fd, const uint8_t *mac)
{
	uint8_t now[6];

	EXPECT_RC(t, 0, client_get_config(fd, 0, now, 6));
	EXPECT(t, memcmp(now, mac, 6) == 0);
}

static void write_reads_back(struct check_ctx *t)
{
	int fd = check_open(t);

	write_mac(t, fd, mac_a);
	expect_mac(t, fd, mac_a);
	write_mac(t, fd, mac_b);
	expect_mac(t, fd, mac_b);
}

static void write_partial(struct check_ctx *t)
{
	int fd = check_open(t);
	const uint8_t want[6] = {0x02, 0xaa, 0xbb, 0xcc, 0x00, 0x99};

	write_mac(t, fd, mac_a);
	EXPECT_RC(t, 0, client_set_config(fd, 5, &want[5], 1));
	expect_mac(t, fd, want);
}

static void write_survives_reset(struct check_ctx *t)
{
	int fd = check_open(t);

	write_mac(t, fd, mac_b);
	write_mac(t, fd, mac_a);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	expect_mac(t, fd, mac_a);
}

static void write_survives_reopen(struct check_ctx *t)
{
	int fd = check_open(t);

	write_mac(t, fd, mac_a);
	write_mac(t, fd, mac_b);
	check_close(t, fd);
	fd = check_open(t);
	expect_mac(t, fd, mac_b);
}

static void write_while_running(struct check_ctx *t)
{
	int fd = check_open(t);

	check_kit_ready(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	write_mac(t, fd, mac_a);
	expect_mac(t, fd, mac_a);
}

static void mtu_value(struct check_ctx *t)
{
	int fd = check_open(t);
	uint8_t mtu[2];

	EXPECT_RC(t, 0, client_get_config(fd, 10, mtu, 2));
	EXPECT_EQ(t, 1500, mtu[0] | (unsigned)mtu[1] << 8);
}

static void link_is_up(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t status[2];

	check_kit_ready(t, fd);
	EXPECT_RC(t, 0, client_get_config(fd, 6, status, 2));
	EXPECT_EQ(t, VIRTIO_NET_S_LINK_UP, status[0] & VIRTIO_NET_S_LINK_UP);
}

static void read_before_features(struct check_ctx *t)
{
	int fd = check_open(t);
	uint8_t mac[6];

	EXPECT_RC(t, 0, client_get_config(fd, 0, mac, 6));
	check_kit_ready(t, fd);
	EXPECT_RC(t, CLIENT_STATUS_FEATURES, client_get_status(fd));
}

#define BOTH(name_, fn_, a_, b_)                                                                   \
	{"ioctl.get_config." name_, "1-13", fn_, 0, VHOST_VDPA_GET_CONFIG, a_, b_},                \
	{                                                                                          \
		"ioctl.set_config." name_, "1-14", fn_, 0, VHOST_VDPA_SET_CONFIG, a_, b_           \
	}

static const struct check rows[] = {
	BOTH("zero_length_einval", access_shape, ZERO_LEN, -EINVAL),
	BOTH("offset_past_end_einval", access_shape, PAST_END, -EINVAL),
	BOTH("offset_at_end_einval", access_shape, AT_END, -EINVAL),
	BOTH("length_crossing_end_einval", access_shape, CROSS_END, -EINVAL),
	BOTH("offset_huge_einval", access_shape, OFF_HUGE, -EINVAL),
	BOTH("length_huge_einval", access_shape, LEN_HUGE, -EINVAL),
	BOTH("sum_wraps_einval", access_shape, SUM_WRAPS, -EINVAL),
	BOTH("whole_ok", access_shape, WHOLE, 0),
	BOTH("last_byte_ok", access_shape, LAST_BYTE, 0),
	BOTH("bad_header_efault", bad_header, 0, 0),
	BOTH("bad_buffer_efault", bad_buffer, 0, 0),
	BOTH("range_checked_before_buffer", range_before_buffer, 0, 0),
	{"ioctl.config.without_owner_ok", "1-3", unowned, 0, 0, 0, 0},
	{"ioctl.config.foreign_process_ok", "1-3", foreign, CHECK_FORK, 0, 0, 0},
	{"ioctl.get_config.bytes_agree_with_whole", "1-13", parts_agree, 0, 0, 0, 0},
	{"ioctl.get_config.writes_exact_length", "1-13", read_keeps_neighbours, 0, 0, 0, 0},
	{"ioctl.get_config.before_features_ok", "1-13", read_before_features, 0, 0, 0, 0},
	{"ioctl.set_config.mac_reads_back", "7-10", write_reads_back, CHECK_NET, 0, 0, 0},
	{"ioctl.set_config.part_changes_part", "7-10", write_partial, CHECK_NET, 0, 0, 0},
	{"ioctl.set_config.survives_reset", "7-10", write_survives_reset, CHECK_NET, 0, 0, 0},
	{"ioctl.set_config.survives_reopen", "4-4", write_survives_reopen, CHECK_NET, 0, 0, 0},
	{"ioctl.set_config.while_running_ok", "1-14", write_while_running, CHECK_NET, 0, 0, 0},
	{"ioctl.get_config.mtu_simulator_value", "7-10", mtu_value, CHECK_STRICT | CHECK_NET, 0, 0,
	 0},
	{"ioctl.get_config.link_is_up", "7-10", link_is_up, CHECK_NET, 0, 0, 0},
};

const struct check_set check_set_config = CHECK_SET(rows);
