/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 6: kicks and calls.
 */
#include "check/kit.h"

#include <unistd.h>

#define IOVA 0x100000UL
#define P    CHECK_PAGE

/* ---- kicks ---- */

/* The kick came before the ring's start. Row: a is whether it counts. */
static void expect_kick_counts(struct check_ctx *t, struct check_kit *kit)
{
	if (!t->check->a) {
		check_work_quiet(t, kit, 0);
		check_work_kick(t, kit);
	}
	check_work_used(t, kit, 1);
}

static void kick_before_driver_ok(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_prepare(t, &kit, IOVA);

	check_kit_enable(t, fd, &kit, true);
	check_work_kick(t, &kit);
	check_work_quiet(t, &kit, 0); /* a worker that woke up has seen the status by now */
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	expect_kick_counts(t, &kit);
}

static void kick_before_enable(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_prepare(t, &kit, IOVA);

	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	check_work_kick(t, &kit);
	/* A worker that woke up has found the rings disabled by now, on a busy machine too. */
	for (unsigned i = 0; i < 5; i++)
		check_work_quiet(t, &kit, 0);
	check_kit_enable(t, fd, &kit, true);
	expect_kick_counts(t, &kit);
}

static void disabled_ring(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	check_work_once(t, &kit);
	check_kit_enable(t, fd, &kit, false);
	check_kit_send(t, &kit);
	check_work_quiet(t, &kit, 1);
	check_kit_enable(t, fd, &kit, true);
	check_work_kick(t, &kit);
	check_work_used(t, &kit, 2);
}

/* A kick eventfd that is already signalled kicks when it is set; its count is not consumed. */
static void signalled_eventfd(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);
	int file = check_eventfd(t, 3);
	uint64_t count = 0;

	EXPECT_RC(t, 0, client_vring_file(fd, VHOST_SET_VRING_KICK, kit.ring[KIT_WORK].idx, file));
	check_work_used(t, &kit, 1);
	EXPECT_RC(t, 8, read(file, &count, sizeof(count)));
	EXPECT_EQ(t, 3, count);
}

static void count_not_consumed(struct check_ctx *t)
{
	struct check_kit kit;
	uint64_t count = 0;

	(void)check_kit_run(t, &kit, IOVA);
	check_work_once(t, &kit);
	check_kit_send(t, &kit);
	check_work_used(t, &kit, 2);
	EXPECT_RC(t, 8, read(kit.ring[KIT_WORK].kick_fd, &count, sizeof(count)));
	EXPECT_EQ(t, 2, count);
}

static void kick_unbound(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	EXPECT_RC(t, 0, client_vring_file(fd, VHOST_SET_VRING_KICK, kit.ring[KIT_WORK].idx, -1));
	check_work_kick(t, &kit);
	check_work_quiet(t, &kit, 0);
	EXPECT_RC(t, 0,
		  client_vring_file(fd, VHOST_SET_VRING_KICK, kit.ring[KIT_WORK].idx,
				    kit.ring[KIT_WORK].kick_fd));
	check_work_used(t, &kit, 1);
}

static void kick_replaced(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);
	int old = kit.ring[KIT_WORK].kick_fd;
	uint64_t one = 1;

	kit.ring[KIT_WORK].kick_fd = check_eventfd(t, 0);
	EXPECT_RC(t, 0,
		  client_vring_file(fd, VHOST_SET_VRING_KICK, kit.ring[KIT_WORK].idx,
				    kit.ring[KIT_WORK].kick_fd));
	EXPECT_RC(t, 8, write(old, &one, sizeof(one)));
	check_work_quiet(t, &kit, 0);
	check_work_once(t, &kit);
}

static int child_kick(int fd, const void *arg)
{
	uint64_t one = 1;

	(void)arg;
	return (int)write(fd, &one, sizeof(one));
}

static void kick_from_child(struct check_ctx *t)
{
	struct check_kit kit;

	(void)check_kit_run(t, &kit, IOVA);
	EXPECT_RC(t, 8, check_in_child(t, child_kick, kit.ring[KIT_WORK].kick_fd, NULL));
	check_work_used(t, &kit, 1);
}

/* The device holds the eventfd: the client may close its descriptor and kick through another. */
static void kick_fd_closed(struct check_ctx *t)
{
	struct check_kit kit;
	int copy;

	(void)check_kit_run(t, &kit, IOVA);
	copy = dup(kit.ring[KIT_WORK].kick_fd);
	EXPECT(t, copy >= 0);
	close(kit.ring[KIT_WORK].kick_fd);
	kit.ring[KIT_WORK].kick_fd = copy;
	check_work_once(t, &kit);
}

/* ---- calls ---- */

static void call_signalled(struct check_ctx *t)
{
	struct check_kit kit;

	(void)check_kit_run(t, &kit, IOVA);
	EXPECT(t, !check_kit_called(&kit.ring[KIT_WORK], 0));
	check_work_kick(t, &kit);
	EXPECT(t, check_kit_called(&kit.ring[KIT_WORK], CHECK_WAIT));
	check_kit_poll_used(t, &kit, kit.page, KIT_WORK, 1);
}

static void call_unbound(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	EXPECT_RC(t, 0, client_vring_file(fd, VHOST_SET_VRING_CALL, kit.ring[KIT_WORK].idx, -1));
	check_work_kick(t, &kit);
	check_kit_poll_used(t, &kit, kit.page, KIT_WORK, 1);
	EXPECT(t, !check_kit_called(&kit.ring[KIT_WORK], t->dev->quiet_ms));
}

static void call_replaced(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);
	struct client_ring old = kit.ring[KIT_WORK];

	kit.ring[KIT_WORK].call_fd = check_eventfd(t, 0);
	EXPECT_RC(t, 0,
		  client_vring_file(fd, VHOST_SET_VRING_CALL, kit.ring[KIT_WORK].idx,
				    kit.ring[KIT_WORK].call_fd));
	check_work_kick(t, &kit);
	EXPECT(t, check_kit_called(&kit.ring[KIT_WORK], CHECK_WAIT));
	EXPECT(t, !check_kit_called(&old, 0));
}

static void call_suppressed(struct check_ctx *t)
{
	struct check_kit kit;

	(void)check_kit_run(t, &kit, IOVA);
	kit.ring[KIT_WORK].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	check_work_kick(t, &kit);
	check_kit_poll_used(t, &kit, kit.page, KIT_WORK, 1);
	EXPECT(t, !check_kit_called(&kit.ring[KIT_WORK], t->dev->quiet_ms));
}

static void call_fd_closed(struct check_ctx *t)
{
	struct check_kit kit;

	(void)check_kit_run(t, &kit, IOVA);
	close(kit.ring[KIT_WORK].call_fd);
	kit.ring[KIT_WORK].call_fd = -1;
	check_work_kick(t, &kit);
	check_kit_poll_used(t, &kit, kit.page, KIT_WORK, 1);
}

static const struct check rows[] = {
	{"suspend.kick.before_driver_ok_lost", "6-2", kick_before_driver_ok, CHECK_STRICT, 0, 0, 0},
	{"suspend.kick.before_driver_ok_counts", "6-2", kick_before_driver_ok, CHECK_RELAXED, 0, 1,
	 0},
	{"suspend.kick.before_enable_lost", "6-2", kick_before_enable, CHECK_STRICT, 0, 0, 0},
	{"suspend.kick.before_enable_counts", "6-2", kick_before_enable, CHECK_RELAXED, 0, 1, 0},
	{"suspend.kick.disabled_ring_stops_and_continues", "6-2", disabled_ring, 0, 0, 0, 0},
	{"suspend.kick.signalled_eventfd_kicks_at_once", "1-32", signalled_eventfd, 0, 0, 0, 0},
	{"suspend.kick.count_not_consumed", "1-32", count_not_consumed, 0, 0, 0, 0},
	{"suspend.kick.unbound_lost_rebound_kicks", "1-32", kick_unbound, 0, 0, 0, 0},
	{"suspend.kick.replaced_eventfd_counts_alone", "1-32", kick_replaced, 0, 0, 0, 0},
	{"suspend.kick.from_forked_child", "1-32", kick_from_child, 0, 0, 0, 0},
	{"suspend.kick.descriptor_closed_by_client", "1-32", kick_fd_closed, 0, 0, 0, 0},
	{"suspend.call.signalled_on_completion", "1-33", call_signalled, 0, 0, 0, 0},
	{"suspend.call.unbound_silent", "1-33", call_unbound, 0, 0, 0, 0},
	{"suspend.call.replaced_while_running", "1-33", call_replaced, 0, 0, 0, 0},
	{"suspend.call.no_interrupt_flag_silent", "7-7", call_suppressed, 0, 0, 0, 0},
	{"suspend.call.descriptor_closed_by_client", "1-33", call_fd_closed, 0, 0, 0, 0},
};

const struct check_set check_set_kick = CHECK_SET(rows);
