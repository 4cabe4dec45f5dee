/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In which order rings may be set up: what counts when they start, and what of a ring that never
 * was.
 */
#include "check/kit.h"

#define IOVA 0x100000UL
#define P    CHECK_PAGE

/* QEMU 11 without a control queue: ENABLE, then all the rest. Row: a is whether the rings live. */
static void enable_first(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_open(t, &kit, IOVA);

	check_kit_enable(t, fd, &kit, true);
	check_kit_ready(t, fd);
	check_kit_give(t, fd, &kit);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	check_work_kick(t, &kit);
	if (t->check->a)
		check_work_used(t, &kit, 1);
	else
		check_work_quiet(t, &kit, 0);
}

/* Enabled rings whose addresses were not given since the reset, and a kick, harm nobody. */
static void never_set_up(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_open(t, &kit, IOVA);

	check_kit_start(t, fd, &kit);
	check_work_once(t, &kit);
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	check_kit_ready(t, fd);
	check_kit_enable(t, fd, &kit, true);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	for (int i = 0; i < 3; i++) {
		check_work_kick(t, &kit);
		check_work_quiet(t, &kit, 1);
	}
	EXPECT_EQ(t, CLIENT_STATUS_RUNNING, client_get_status(fd));
}

/* Row: a is whether the device is suspended and resumed after the new size. */
static void size_while_running(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_open(t, &kit, IOVA);

	check_kit_start(t, fd, &kit);
	check_work_once(t, &kit);
	EXPECT_RC(t, 0,
		  client_vring_set(fd, VHOST_SET_VRING_NUM, kit.ring[KIT_WORK].idx, KIT_NUM / 2));
	if (t->check->a) {
		EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SUSPEND, NULL));
		EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_RESUME, NULL));
	}
	for (uint16_t i = 2; i <= 2 * KIT_NUM; i++) {
		(void)client_ring_pop(&kit.ring[KIT_WORK], NULL, NULL);
		if (!kit.blk)
			(void)client_ring_pop(&kit.ring[KIT_RX], NULL, NULL);
		check_kit_send(t, &kit);
		check_work_used(t, &kit, i);
	}
}

static const struct check rows[] = {
	{"setup.order.enable_first_dead", "6-2", enable_first, CHECK_STRICT, 0, 0, 0},
	{"setup.order.enable_first_works", "6-2", enable_first, CHECK_RELAXED, 0, 1, 0},
	{"setup.order.enabled_and_never_set_up_inert", "6-2", never_set_up, 0, 0, 0, 0},
	{"setup.size.changed_while_running_waits", "1-28", size_while_running, 0, 0, 0, 0},
	{"setup.size.changed_while_running_waits_over_resume", "1-28", size_while_running,
	 CHECK_SUSPEND | CHECK_RESUME, 0, 1, 0},
};

const struct check_set check_set_setup = CHECK_SET(rows);
