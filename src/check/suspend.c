/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 6: suspend and resume, kicks and calls.
 */
#include "check/kit.h"

#include <unistd.h>

#define IOVA 0x100000UL
#define P    CHECK_PAGE

static void suspend(struct check_ctx *t, int fd)
{
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_SUSPEND, NULL));
}

static void resume(struct check_ctx *t, int fd)
{
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_VDPA_RESUME, NULL));
}

/* ---- suspend ---- */

static void stops(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	check_work_once(t, &kit);
	suspend(t, fd);
	check_kit_send(t, &kit);
	check_work_quiet(t, &kit, 1);
}

static void before_driver_ok(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_prepare(t, &kit, IOVA);

	check_kit_enable(t, fd, &kit, true);
	suspend(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	check_work_once(t, &kit);
}

static void status_unchanged(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	suspend(t, fd);
	EXPECT_RC(t, CLIENT_STATUS_RUNNING, client_get_status(fd));
	suspend(t, fd);
	EXPECT_RC(t, CLIENT_STATUS_RUNNING, client_get_status(fd));
}

static void foreign(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	EXPECT_RC(t, 0, check_child_ioctl(t, fd, VHOST_VDPA_SUSPEND, NULL));
	check_work_kick(t, &kit);
	check_work_quiet(t, &kit, 0);
}

static void kick_remembered(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	suspend(t, fd);
	check_work_kick(t, &kit);
	check_work_quiet(t, &kit, 0);
	resume(t, fd);
	check_work_used(t, &kit, 1);
}

static void resume_without_kick(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	suspend(t, fd);
	resume(t, fd);
	check_work_quiet(t, &kit, 0);
	check_work_once(t, &kit);
}

static void cycles(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	check_work_once(t, &kit);
	for (uint16_t i = 2; i < 10; i++) {
		suspend(t, fd);
		check_kit_send(t, &kit);
		resume(t, fd);
		check_work_used(t, &kit, i);
	}
}

static void resume_alone(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	resume(t, fd);
	resume(t, fd);
	check_work_once(t, &kit);
}

static void reset_clears(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	suspend(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, kit.page));
	check_kit_init(t, &kit, kit.page, IOVA, 0);
	check_kit_start(t, fd, &kit);
	EXPECT_RC(t, -EINVAL, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
	check_work_once(t, &kit);
}

static void close_clears(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	suspend(t, fd);
	check_close(t, fd);
	fd = check_kit_run(t, &kit, IOVA);
	EXPECT_RC(t, -EINVAL, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
	check_work_once(t, &kit);
}

static void resume_ends_setup(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	suspend(t, fd);
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
	resume(t, fd);
	EXPECT_RC(t, -EINVAL, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
}

static void base_exact(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	check_work_once(t, &kit);
	suspend(t, fd);
	check_kit_send(t, &kit);
	check_work_quiet(t, &kit, 1);
	check_kit_expect_base(t, fd, &kit, 1);
}

/* Writing the running status again: the kernel's simulator wakes up, others stay suspended. */
static void status_again(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	suspend(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	check_work_kick(t, &kit);
	if (check_is_strict(t))
		check_work_used(t, &kit, 1);
	else
		check_work_quiet(t, &kit, 0);
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BASE, 0, 0));
}

static void map_while_suspended(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = check_kit_run(t, &kit, IOVA);

	suspend(t, fd);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, IOVA, P));
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, kit.page));
	check_work_kick(t, &kit);
	resume(t, fd);
	check_work_used(t, &kit, 1);
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
};

const struct check_set check_set_suspend = CHECK_SET(rows);
