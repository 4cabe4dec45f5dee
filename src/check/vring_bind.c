/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 1.4: what a ring is bound to and how it runs: eventfds, enabling, groups, its size.
 */
#include "check/kit.h"

#include <sys/mman.h>
#include <unistd.h>

#define IOVA 0x100000UL

/* ---- eventfds: req is the ioctl, a the kind of file ---- */

enum { FILE_EVENTFD = 1, FILE_MEMFD, FILE_CLOSED };

static void file_value(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	int file = (int)t->check->a;

	if (file > 0)
		file = file == FILE_MEMFD ? memfd_create("not-an-eventfd", MFD_CLOEXEC)
					  : check_eventfd(t, 0);
	if (t->check->a == FILE_CLOSED)
		close(file);
	EXPECT_RC(t, t->check->b, client_vring_file(fd, t->check->req, 0, file));
}

static void file_replaced(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	int one = check_eventfd(t, 0), two = check_eventfd(t, 0);

	EXPECT_RC(t, 0, client_vring_file(fd, t->check->req, 0, one));
	EXPECT_RC(t, 0, client_vring_file(fd, t->check->req, 0, two));
	EXPECT_RC(t, 0, client_vring_file(fd, t->check->req, 0, two));
	EXPECT_RC(t, 0, client_vring_file(fd, t->check->req, t->dev->nr_vqs - 1, two));
	EXPECT_RC(t, 0, client_vring_file(fd, t->check->req, 0, -1));
	EXPECT_RC(t, 0, client_vring_file(fd, t->check->req, 0, -1));
}

/* ---- ENABLE, groups, sizes ---- */

static void enable_value(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	EXPECT_RC(t, 0,
		  client_vring_set(fd, VHOST_VDPA_SET_VRING_ENABLE, 0, (uint32_t)t->check->a));
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_VDPA_SET_VRING_ENABLE, 0, 0));
}

/* Any number but 0 makes a ring ready. */
static void enable_is_boolean(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_open(t, &kit, IOVA);

	check_kit_ready(t, fd);
	check_kit_attach(t, fd, &kit);
	EXPECT_RC(t, 0,
		  client_vring_set(fd, VHOST_VDPA_SET_VRING_ENABLE, kit.ring[KIT_WORK].idx, 0));
	EXPECT_RC(t, 0,
		  client_vring_set(fd, VHOST_VDPA_SET_VRING_ENABLE, kit.ring[KIT_WORK].idx,
				   0x80000000));
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	check_work_once(t, &kit);
}

static void group_values(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	for (uint32_t i = 0; i < t->dev->nr_vqs; i++) {
		uint32_t group = UINT32_MAX;

		EXPECT_RC(t, 0, client_vring_get(fd, VHOST_VDPA_GET_VRING_GROUP, i, &group));
		EXPECT(t, group < t->dev->nr_groups);
		if (check_is_strict(t))
			EXPECT_EQ(t, i == 2 && t->dev->nr_groups == 2, group);
	}
}

static void desc_group(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint32_t group = UINT32_MAX;

	if (t->dev->backend & CLIENT_BACKEND_DESC_ASID) {
		EXPECT_RC(t, 0, client_vring_get(fd, VHOST_VDPA_GET_VRING_DESC_GROUP, 0, &group));
		EXPECT(t, group < t->dev->nr_groups);
	} else {
		EXPECT_RC(t, -EOPNOTSUPP,
			  client_vring_get(fd, VHOST_VDPA_GET_VRING_DESC_GROUP, 0, &group));
	}
}

static void size_value(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint32_t size = 0;

	EXPECT_RC(t, t->check->b, client_vring_get(fd, VHOST_VDPA_GET_VRING_SIZE, 0, &size));
	if (t->check->b)
		return;
	EXPECT_EQ(t, t->dev->ring_max, size);
}

static void size_running(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);
	uint32_t size = 0;

	EXPECT_RC(t, 0, client_vring_get(fd, VHOST_VDPA_GET_VRING_SIZE, 0, &size));
	EXPECT_EQ(t, KIT_NUM, size);
}

static void asid_value(struct check_ctx *t)
{
	static const uint32_t odd[] = {0, 1, UINT32_MAX};
	int fd = check_open_owned(t);
	uint32_t asid = t->check->a < 3 ? odd[t->check->a] : t->dev->nr_as;

	EXPECT_RC(t, t->check->b, client_vring_set(fd, VHOST_VDPA_SET_GROUP_ASID, 0, asid));
}

/* A group number below the ring count but not below the group count. */
static void asid_group_range(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	if (t->dev->nr_groups >= t->dev->nr_vqs)
		check_skip(t, "as many groups as rings");
	EXPECT_RC(t, -EINVAL,
		  client_vring_set(fd, VHOST_VDPA_SET_GROUP_ASID, t->dev->nr_groups, 0));
}

/* Row: a is an enum asid_to. */
enum asid_to { TO_ZERO, TO_ZERO_SUSPENDED, TO_SPACE_PAST_END, TO_GROUP_PAST_END, TO_RING_PAST_END };

static void asid_running(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);
	long to = t->check->a;
	uint32_t asid = to == TO_SPACE_PAST_END ? t->dev->nr_as : 0;
	uint32_t group = to == TO_GROUP_PAST_END  ? t->dev->nr_groups
			 : to == TO_RING_PAST_END ? t->dev->nr_vqs
						  : 0;

	if (to == TO_GROUP_PAST_END && t->dev->nr_groups >= t->dev->nr_vqs)
		check_skip(t, "as many groups as rings");
	if (to == TO_ZERO_SUSPENDED)
		EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SUSPEND, NULL));
	EXPECT_RC(t, t->check->b, client_vring_set(fd, VHOST_VDPA_SET_GROUP_ASID, group, asid));
}

static void asid_features_ok(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	check_kit_ready(t, fd);
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_VDPA_SET_GROUP_ASID, 0, 0));
}

static void busyloop(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint32_t v = 0xeeee;

	EXPECT_RC(t, 0, client_vring_get(fd, VHOST_GET_VRING_BUSYLOOP_TIMEOUT, 0, &v));
	EXPECT_EQ(t, 0, v);
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, 0, 77));
	EXPECT_RC(t, 0, client_vring_get(fd, VHOST_GET_VRING_BUSYLOOP_TIMEOUT, 0, &v));
	EXPECT_EQ(t, 77, v);
	if (t->dev->nr_vqs == 1)
		return;
	EXPECT_RC(t, 0, client_vring_get(fd, VHOST_GET_VRING_BUSYLOOP_TIMEOUT, 1, &v));
	EXPECT_EQ(t, 0, v);
}

#define FILES(name_, clause_, req_)                                                                \
	{"ioctl." name_ ".eventfd_ok", clause_, file_value, 0, req_, FILE_EVENTFD, 0},             \
		{"ioctl." name_ ".unbind_ok", clause_, file_value, 0, req_, -1, 0},                \
		{"ioctl." name_ ".negative_fd_ebadf", clause_, file_value, 0, req_, -2, -EBADF},   \
		{"ioctl." name_ ".closed_fd_ebadf",                                                \
		 clause_,                                                                          \
		 file_value,                                                                       \
		 0,                                                                                \
		 req_,                                                                             \
		 FILE_CLOSED,                                                                      \
		 -EBADF},                                                                          \
		{"ioctl." name_ ".not_eventfd_einval",                                             \
		 clause_,                                                                          \
		 file_value,                                                                       \
		 0,                                                                                \
		 req_,                                                                             \
		 FILE_MEMFD,                                                                       \
		 -EINVAL},                                                                         \
	{                                                                                          \
		"ioctl." name_ ".replaced_shared_unbound_ok", clause_, file_replaced, 0, req_, 0,  \
			0                                                                          \
	}

/* With DRIVER_OK a group moves on Linux 6.12; it stays since 7.2. */
#define MOVES CHECK_LINUX_6_12
#define STAYS (CHECK_LINUX_7_2 | CHECK_RELAXED)

static const struct check rows[] = {
	FILES("set_vring_kick", "1-32", VHOST_SET_VRING_KICK),
	FILES("set_vring_call", "1-33", VHOST_SET_VRING_CALL),
	FILES("set_vring_err", "1-34", VHOST_SET_VRING_ERR),
	{"ioctl.set_vring_enable.one_ok", "1-36", enable_value, 0, 0, 1, 0},
	{"ioctl.set_vring_enable.big_number_ok", "1-36", enable_value, 0, 0, 0x7fffffff, 0},
	{"ioctl.set_vring_enable.any_bit_means_ready", "1-36", enable_is_boolean, 0, 0, 0, 0},
	{"ioctl.get_vring_group.in_range", "1-37", group_values, 0, 0, 0, 0},
	{"ioctl.get_vring_desc_group.as_offered", "1-38", desc_group, 0, 0, 0, 0},
	{"ioctl.get_vring_size.set_map_simulator_eopnotsupp", "1-40", size_value,
	 CHECK_STRICT | CHECK_SET_MAP, 0, 0, -EOPNOTSUPP},
	{"ioctl.get_vring_size.dma_map_simulator_maximum", "1-40", size_value,
	 CHECK_STRICT | CHECK_DMA_MAP, 0, 0, 0},
	{"ioctl.get_vring_size.dma_map_simulator_set_size_while_running", "1-40", size_running,
	 CHECK_STRICT | CHECK_DMA_MAP, 0, 0, 0},
	{"ioctl.set_group_asid.without_operation_eopnotsupp", "1-39", asid_value, CHECK_NO_BIND, 0,
	 0, -EOPNOTSUPP},
	{"ioctl.set_group_asid.zero_ok", "1-39", asid_value, CHECK_BIND, 0, 0, 0},
	{"ioctl.set_group_asid.one_ok", "1-39", asid_value, CHECK_TWO_AS, 0, 1, 0},
	{"ioctl.set_group_asid.asid_max_einval", "1-39", asid_value, 0, 0, 2, -EINVAL},
	{"ioctl.set_group_asid.asid_past_end_einval", "1-39", asid_value, 0, 0, 3, -EINVAL},
	{"ioctl.set_group_asid.group_past_end_einval", "1-39", asid_group_range, 0, 0, 0, 0},
	{"ioctl.set_group_asid.with_features_ok_ok", "1-39", asid_features_ok, CHECK_BIND, 0, 0, 0},
	{"ioctl.set_group_asid.while_running_ok", "1-39", asid_running, MOVES | CHECK_BIND, 0,
	 TO_ZERO, 0},
	{"ioctl.set_group_asid.while_running_without_operation_eopnotsupp", "1-39", asid_running,
	 MOVES | CHECK_NO_BIND, 0, TO_ZERO, -EOPNOTSUPP},
	{"ioctl.set_group_asid.while_running_ebusy", "1-39", asid_running, STAYS, 0, TO_ZERO,
	 -EBUSY},
	{"ioctl.set_group_asid.while_suspended_ok", "1-39", asid_running,
	 MOVES | CHECK_BIND | CHECK_SUSPEND, 0, TO_ZERO_SUSPENDED, 0},
	{"ioctl.set_group_asid.while_suspended_ebusy", "1-39", asid_running, STAYS | CHECK_SUSPEND,
	 0, TO_ZERO_SUSPENDED, -EBUSY},
	{"ioctl.set_group_asid.asid_past_end_while_running_einval", "1-39", asid_running, 0, 0,
	 TO_SPACE_PAST_END, -EINVAL},
	{"ioctl.set_group_asid.group_past_end_while_running_einval", "1-39", asid_running, 0, 0,
	 TO_GROUP_PAST_END, -EINVAL},
	{"ioctl.set_group_asid.ring_past_end_while_running_enobufs", "1-39", asid_running, 0, 0,
	 TO_RING_PAST_END, -ENOBUFS},
	{"ioctl.vring_busyloop.stored_per_ring", "1-35", busyloop, 0, 0, 0, 0},
};

const struct check_set check_set_vring_bind = CHECK_SET(rows);
