/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The status byte and the config change interrupt.
 */
#include "check/kit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static void initial(struct check_ctx *t)
{
	EXPECT_RC(t, 0, client_get_status(check_open(t)));
}

static void read_back(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, 0, client_set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	EXPECT_RC(t, VIRTIO_CONFIG_S_ACKNOWLEDGE, client_get_status(fd));
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, CLIENT_STATUS_DRIVER, client_get_status(fd));
	check_kit_ready(t, fd);
	EXPECT_RC(t, CLIENT_STATUS_FEATURES, client_get_status(fd));
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	EXPECT_RC(t, CLIENT_STATUS_RUNNING, client_get_status(fd));
}

static void clear_bit(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, -EINVAL, client_set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	EXPECT_RC(t, CLIENT_STATUS_DRIVER, client_get_status(fd));
}

static void swap_bit(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, 0, client_set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	EXPECT_RC(t, -EINVAL, client_set_status(fd, VIRTIO_CONFIG_S_DRIVER));
}

static void clear_driver_ok(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, 0x100000);

	EXPECT_RC(t, -EINVAL, client_set_status(fd, CLIENT_STATUS_FEATURES));
	EXPECT_RC(t, CLIENT_STATUS_RUNNING, client_get_status(fd));
	check_work_once(t, &kit);
}

static void same_value(struct check_ctx *t)
{
	int fd = check_open(t);

	check_kit_ready(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_FEATURES));
	EXPECT_RC(t, CLIENT_STATUS_FEATURES, client_get_status(fd));
}

static void odd_bits(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, 0, client_set_status(fd, 0xfb));
	EXPECT_RC(t, 0xfb, client_get_status(fd));
}

static void failed_bit(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_DRIVER | VIRTIO_CONFIG_S_FAILED));
	EXPECT_RC(t, CLIENT_STATUS_DRIVER | VIRTIO_CONFIG_S_FAILED, client_get_status(fd));
}

static void zero_resets(struct check_ctx *t)
{
	int fd = check_open(t);

	check_kit_ready(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, 0, client_get_status(fd));
	EXPECT_RC(t, 0, client_set_status(fd, 0));
}

static void foreign(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t status = CLIENT_STATUS_DRIVER;

	EXPECT_RC(t, 0, check_child_ioctl(t, fd, VHOST_VDPA_SET_STATUS, &status));
	EXPECT_RC(t, CLIENT_STATUS_DRIVER, client_get_status(fd));
}

static void wide_argument(struct check_ctx *t)
{
	int fd = check_open(t);
	uint32_t wide = 0xffffff00 | VIRTIO_CONFIG_S_ACKNOWLEDGE;

	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SET_STATUS, &wide));
	EXPECT_RC(t, VIRTIO_CONFIG_S_ACKNOWLEDGE, client_get_status(fd));
}

/* ---- SET_CONFIG_CALL: row's a is the descriptor, or what kind of one ---- */

enum { FILE_EVENTFD = 1, FILE_MEMFD, FILE_CLOSED, FILE_SELF };

static int make_file(struct check_ctx *t, long kind, int self)
{
	int fd = -1;

	if (kind < 0)
		return (int)kind;
	if (kind == FILE_SELF)
		return self;
	if (kind == FILE_MEMFD)
		fd = memfd_create("not-an-eventfd", MFD_CLOEXEC);
	else
		fd = check_eventfd(t, 0);
	EXPECT(t, fd >= 0);
	if (kind == FILE_CLOSED)
		close(fd);
	return fd;
}

static void config_call(struct check_ctx *t)
{
	int fd = check_open(t);
	int file = make_file(t, t->check->a, fd);

	EXPECT_RC(t, t->check->b, client_ioctl(fd, VHOST_VDPA_SET_CONFIG_CALL, &file));
}

static void config_call_replaced(struct check_ctx *t)
{
	int fd = check_open(t);
	int file[3] = {check_eventfd(t, 0), check_eventfd(t, 0), -1};

	for (int i = 0; i < 3; i++)
		EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SET_CONFIG_CALL, &file[i]));
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SET_CONFIG_CALL, &file[0]));
}

/* The device holds the eventfd itself: closing the descriptor changes nothing. */
static void config_call_fd_closed(struct check_ctx *t)
{
	int fd = check_open(t);
	int file = check_eventfd(t, 0);

	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SET_CONFIG_CALL, &file));
	close(file);
	EXPECT_RC(t, 0, client_set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	EXPECT_RC(t, 0, client_set_status(fd, 0));
}

static const struct check rows[] = {
	{"ioctl.status.after_open_zero", "4-1", initial, 0, 0, 0, 0},
	{"ioctl.status.each_step_reads_back", "1-11", read_back, 0, 0, 0, 0},
	{"ioctl.status.clearing_bit_einval", "1-12", clear_bit, 0, 0, 0, 0},
	{"ioctl.status.exchanging_bit_einval", "1-12", swap_bit, 0, 0, 0, 0},
	{"ioctl.status.clearing_driver_ok_einval_keeps_running", "1-12", clear_driver_ok, 0, 0, 0,
	 0},
	{"ioctl.status.same_value_ok", "1-12", same_value, 0, 0, 0, 0},
	{"ioctl.status.unknown_bits_ok", "1-12", odd_bits, CHECK_STRICT, 0, 0, 0},
	{"ioctl.status.failed_bit_ok", "1-12", failed_bit, 0, 0, 0, 0},
	{"ioctl.status.zero_resets", "1-12", zero_resets, 0, 0, 0, 0},
	{"ioctl.status.foreign_process_ok", "1-3", foreign, CHECK_FORK, 0, 0, 0},
	{"ioctl.status.takes_one_byte", "1-12", wide_argument, 0, 0, 0, 0},
	{"ioctl.config_call.eventfd_ok", "1-16", config_call, 0, 0, FILE_EVENTFD, 0},
	{"ioctl.config_call.unbind_ok", "1-16", config_call, 0, 0, -1, 0},
	{"ioctl.config_call.negative_fd_ebadf", "1-16", config_call, 0, 0, -2, -EBADF},
	{"ioctl.config_call.closed_fd_ebadf", "1-16", config_call, 0, 0, FILE_CLOSED, -EBADF},
	{"ioctl.config_call.not_eventfd_einval", "1-16", config_call, 0, 0, FILE_MEMFD, -EINVAL},
	{"ioctl.config_call.own_fd_einval", "1-16", config_call, 0, 0, FILE_SELF, -EINVAL},
	{"ioctl.config_call.replaced_and_unbound_ok", "1-16", config_call_replaced, 0, 0, 0, 0},
	{"ioctl.config_call.closed_by_client_harmless", "1-16", config_call_fd_closed, 0, 0, 0, 0},
};

const struct check_set check_set_status = CHECK_SET(rows);
