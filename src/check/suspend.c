/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 6: suspend and resume, kicks and calls.
 */
#include "check/check.h"

#include <unistd.h>

#define IOVA 0x100000UL
#define P    CHECK_PAGE

/* A kit mapped at IOVA, FEATURES_OK, rings given but not enabled. */
static int prepared(struct check_ctx *t, struct check_kit *kit)
{
	int fd = check_open_owned(t);

	*kit = (struct check_kit){0};
	check_kit_init(t, kit, check_pages(t, 1), IOVA, 0);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, kit->page));
	check_kit_ready(t, fd);
	check_kit_give(t, fd, kit);
	return fd;
}

static int running(struct check_ctx *t, struct check_kit *kit)
{
	int fd = prepared(t, kit);

	check_kit_enable(t, fd, kit, true);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	return fd;
}

static void suspend(struct check_ctx *t, int fd)
{
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SUSPEND, NULL));
}

static void resume(struct check_ctx *t, int fd)
{
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_RESUME, NULL));
}

static void expect_used(struct check_ctx *t, struct check_kit *kit, uint16_t want)
{
	check_kit_expect_used(t, kit, kit->page, KIT_WORK, want);
}

static void expect_quiet(struct check_ctx *t, struct check_kit *kit, uint16_t want)
{
	check_kit_expect_quiet(t, kit, kit->page, KIT_WORK, want);
}

static void kick(struct check_ctx *t, struct check_kit *kit)
{
	check_kit_kick(t, kit, KIT_WORK);
}

/* ---- suspend ---- */

static void stops(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	kick(t, &kit);
	expect_used(t, &kit, 1);
	suspend(t, fd);
	check_kit_send(t, &kit);
	expect_quiet(t, &kit, 1);
}

static void before_driver_ok(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = prepared(t, &kit);

	check_kit_enable(t, fd, &kit, true);
	suspend(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	kick(t, &kit);
	expect_used(t, &kit, 1);
}

static void status_unchanged(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	suspend(t, fd);
	EXPECT_RC(t, CLIENT_STATUS_RUNNING, client_get_status(fd));
	suspend(t, fd);
	EXPECT_RC(t, CLIENT_STATUS_RUNNING, client_get_status(fd));
}

static void foreign(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	EXPECT_RC(t, 0, check_child_ioctl(t, fd, VHOST_VDPA_SUSPEND, NULL));
	kick(t, &kit);
	expect_quiet(t, &kit, 0);
}

static void kick_remembered(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	suspend(t, fd);
	kick(t, &kit);
	expect_quiet(t, &kit, 0);
	resume(t, fd);
	expect_used(t, &kit, 1);
}

static void resume_without_kick(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	suspend(t, fd);
	resume(t, fd);
	expect_quiet(t, &kit, 0);
	kick(t, &kit);
	expect_used(t, &kit, 1);
}

static void cycles(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	kick(t, &kit);
	expect_used(t, &kit, 1);
	for (uint16_t i = 2; i < 10; i++) {
		suspend(t, fd);
		check_kit_send(t, &kit);
		resume(t, fd);
		expect_used(t, &kit, i);
	}
}

static void resume_alone(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	resume(t, fd);
	resume(t, fd);
	kick(t, &kit);
	expect_used(t, &kit, 1);
}

static void reset_clears(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	suspend(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, kit.page));
	check_kit_init(t, &kit, kit.page, IOVA, 0);
	check_kit_start(t, fd, &kit);
	EXPECT_RC(t, -EINVAL, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
	kick(t, &kit);
	expect_used(t, &kit, 1);
}

static void close_clears(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	suspend(t, fd);
	check_close(t, fd);
	fd = running(t, &kit);
	EXPECT_RC(t, -EINVAL, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
	kick(t, &kit);
	expect_used(t, &kit, 1);
}

static void resume_ends_setup(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	suspend(t, fd);
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
	resume(t, fd);
	EXPECT_RC(t, -EINVAL, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
}

static void base_exact(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);
	uint32_t base = 0;

	kick(t, &kit);
	expect_used(t, &kit, 1);
	suspend(t, fd);
	check_kit_send(t, &kit);
	expect_quiet(t, &kit, 1);
	EXPECT_RC(t, 0, client_vring_get(fd, VHOST_GET_VRING_BASE, kit.ring[KIT_WORK].idx, &base));
	EXPECT_EQ(t, 1, base);
}

/* Writing the running status again: the kernel's simulator wakes up, others stay suspended. */
static void status_again(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	suspend(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	kick(t, &kit);
	if (t->dev->strict)
		expect_used(t, &kit, 1);
	else
		expect_quiet(t, &kit, 0);
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
}

static void map_while_suspended(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	suspend(t, fd);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, kit.page));
	kick(t, &kit);
	resume(t, fd);
	expect_used(t, &kit, 1);
}

/* ---- kicks ---- */

static void kick_before_driver_ok(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = prepared(t, &kit);

	check_kit_enable(t, fd, &kit, true);
	kick(t, &kit);
	expect_quiet(t, &kit, 0); /* a worker that woke up has seen the status by now */
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	expect_quiet(t, &kit, 0);
	kick(t, &kit);
	expect_used(t, &kit, 1);
}

static void kick_before_enable(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = prepared(t, &kit);

	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	kick(t, &kit);
	/* A worker that woke up has found the rings disabled by now, on a busy machine too. */
	for (unsigned i = 0; i < 5; i++)
		expect_quiet(t, &kit, 0);
	check_kit_enable(t, fd, &kit, true);
	expect_quiet(t, &kit, 0);
	kick(t, &kit);
	expect_used(t, &kit, 1);
}

static void disabled_ring(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	kick(t, &kit);
	expect_used(t, &kit, 1);
	check_kit_enable(t, fd, &kit, false);
	check_kit_send(t, &kit);
	expect_quiet(t, &kit, 1);
	check_kit_enable(t, fd, &kit, true);
	kick(t, &kit);
	expect_used(t, &kit, 2);
}

/* A kick eventfd that is already signalled kicks when it is set; its count is not consumed. */
static void signalled_eventfd(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);
	int file = check_eventfd(t, 3);
	uint64_t count = 0;

	EXPECT_RC(t, 0, client_vring_file(fd, VHOST_SET_VRING_KICK, kit.ring[KIT_WORK].idx, file));
	expect_used(t, &kit, 1);
	EXPECT_RC(t, 8, read(file, &count, sizeof(count)));
	EXPECT_EQ(t, 3, count);
}

static void count_not_consumed(struct check_ctx *t)
{
	struct check_kit kit;
	uint64_t count = 0;

	(void)running(t, &kit);
	kick(t, &kit);
	expect_used(t, &kit, 1);
	check_kit_send(t, &kit);
	expect_used(t, &kit, 2);
	EXPECT_RC(t, 8, read(kit.ring[KIT_WORK].kick_fd, &count, sizeof(count)));
	EXPECT_EQ(t, 2, count);
}

static void kick_unbound(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	EXPECT_RC(t, 0, client_vring_file(fd, VHOST_SET_VRING_KICK, kit.ring[KIT_WORK].idx, -1));
	kick(t, &kit);
	expect_quiet(t, &kit, 0);
	EXPECT_RC(t, 0,
		  client_vring_file(fd, VHOST_SET_VRING_KICK, kit.ring[KIT_WORK].idx,
				    kit.ring[KIT_WORK].kick_fd));
	expect_used(t, &kit, 1);
}

static void kick_replaced(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);
	int old = kit.ring[KIT_WORK].kick_fd;
	uint64_t one = 1;

	kit.ring[KIT_WORK].kick_fd = check_eventfd(t, 0);
	EXPECT_RC(t, 0,
		  client_vring_file(fd, VHOST_SET_VRING_KICK, kit.ring[KIT_WORK].idx,
				    kit.ring[KIT_WORK].kick_fd));
	EXPECT_RC(t, 8, write(old, &one, sizeof(one)));
	expect_quiet(t, &kit, 0);
	kick(t, &kit);
	expect_used(t, &kit, 1);
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

	(void)running(t, &kit);
	EXPECT_RC(t, 8, check_in_child(t, child_kick, kit.ring[KIT_WORK].kick_fd, NULL));
	expect_used(t, &kit, 1);
}

/* The device holds the eventfd: the client may close its descriptor and kick through another. */
static void kick_fd_closed(struct check_ctx *t)
{
	struct check_kit kit;
	int copy;

	(void)running(t, &kit);
	copy = dup(kit.ring[KIT_WORK].kick_fd);
	EXPECT(t, copy >= 0);
	close(kit.ring[KIT_WORK].kick_fd);
	kit.ring[KIT_WORK].kick_fd = copy;
	kick(t, &kit);
	expect_used(t, &kit, 1);
}

/* ---- calls ---- */

static void call_signalled(struct check_ctx *t)
{
	struct check_kit kit;

	(void)running(t, &kit);
	EXPECT(t, !check_kit_called(&kit.ring[KIT_WORK], 0));
	kick(t, &kit);
	EXPECT(t, check_kit_called(&kit.ring[KIT_WORK], CHECK_WAIT));
	check_kit_poll_used(t, &kit, kit.page, KIT_WORK, 1);
}

static void call_unbound(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	EXPECT_RC(t, 0, client_vring_file(fd, VHOST_SET_VRING_CALL, kit.ring[KIT_WORK].idx, -1));
	kick(t, &kit);
	check_kit_poll_used(t, &kit, kit.page, KIT_WORK, 1);
	EXPECT(t, !check_kit_called(&kit.ring[KIT_WORK], t->dev->quiet_ms));
}

static void call_replaced(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);
	struct client_ring old = kit.ring[KIT_WORK];

	kit.ring[KIT_WORK].call_fd = check_eventfd(t, 0);
	EXPECT_RC(t, 0,
		  client_vring_file(fd, VHOST_SET_VRING_CALL, kit.ring[KIT_WORK].idx,
				    kit.ring[KIT_WORK].call_fd));
	kick(t, &kit);
	EXPECT(t, check_kit_called(&kit.ring[KIT_WORK], CHECK_WAIT));
	EXPECT(t, !check_kit_called(&old, 0));
}

static void call_suppressed(struct check_ctx *t)
{
	struct check_kit kit;

	(void)running(t, &kit);
	kit.ring[KIT_WORK].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	kick(t, &kit);
	check_kit_poll_used(t, &kit, kit.page, KIT_WORK, 1);
	EXPECT(t, !check_kit_called(&kit.ring[KIT_WORK], t->dev->quiet_ms));
}

static void call_fd_closed(struct check_ctx *t)
{
	struct check_kit kit;

	(void)running(t, &kit);
	close(kit.ring[KIT_WORK].call_fd);
	kit.ring[KIT_WORK].call_fd = -1;
	kick(t, &kit);
	check_kit_poll_used(t, &kit, kit.page, KIT_WORK, 1);
}

#define SUS CHECK_SUSPEND
#define RES (CHECK_SUSPEND | CHECK_RESUME)

static const struct check rows[] = {
	{"suspend.suspend.stops_processing", "6-1", stops, SUS, 0, 0, 0},
	{"suspend.suspend.before_driver_ok_no_effect", "1-22", before_driver_ok, SUS, 0, 0, 0},
	{"suspend.suspend.repeated_ok_status_unchanged", "6-1", status_unchanged, SUS, 0, 0, 0},
	{"suspend.suspend.from_foreign_process", "1-3", foreign, SUS | CHECK_FORK, 0, 0, 0},
	{"suspend.suspend.ring_base_exact", "6-1", base_exact, SUS, 0, 0, 0},
	{"suspend.suspend.cleared_by_reset", "6-1", reset_clears, SUS, 0, 0, 0},
	{"suspend.suspend.cleared_by_close", "4-3", close_clears, SUS, 0, 0, 0},
	{"suspend.suspend.running_status_again", "6-1", status_again, SUS, 0, 0, 0},
	{"suspend.suspend.mapping_changes_ok", "6-1", map_while_suspended, RES, 0, 0, 0},
	{"suspend.resume.remembers_kick", "6-1", kick_remembered, RES, 0, 0, 0},
	{"suspend.resume.without_kick_does_not_poll", "6-1", resume_without_kick, RES, 0, 0, 0},
	{"suspend.resume.many_cycles", "6-1", cycles, RES, 0, 0, 0},
	{"suspend.resume.without_suspend_ok", "1-23", resume_alone, RES, 0, 0, 0},
	{"suspend.resume.ring_setup_refused_again", "6-1", resume_ends_setup, RES, 0, 0, 0},
	{"suspend.kick.before_driver_ok_lost", "6-2", kick_before_driver_ok, 0, 0, 0, 0},
	{"suspend.kick.before_enable_lost", "6-2", kick_before_enable, 0, 0, 0, 0},
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

const struct check_set check_set_suspend = CHECK_SET(rows);
