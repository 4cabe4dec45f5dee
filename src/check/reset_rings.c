/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 4.3: the rings and eventfds that SET_STATUS(0) takes from the device, and those that the
 * session keeps.
 */
#include "check/kit.h"

#include <unistd.h>

#define IOVA    0x100000UL
#define P       CHECK_PAGE
#define PERSIST CLIENT_BACKEND_PERSIST

static void reset(struct check_ctx *t, int fd)
{
	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_RC(t, 0, client_get_status(fd));
}

/* A kit at IOVA, running; the caller stops it. */
static int running(struct check_ctx *t, struct check_kit *kit)
{
	int fd = check_open_owned(t);

	*kit = (struct check_kit){0};
	if (t->dev->backend & PERSIST)
		check_ack_backend(t, fd, PERSIST);
	check_kit_init(t, kit, check_pages(t, 1), IOVA, 0);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, kit->page));
	check_kit_start(t, fd, kit);
	check_work_once(t, kit);
	return fd;
}

/* Starts again with base, address and enable alone; with @call, the call eventfds too. */
static void restart(struct check_ctx *t, int fd, struct check_kit *kit, bool call)
{
	check_kit_init(t, kit, kit->page, IOVA, 0);
	check_kit_ready(t, fd);
	for (unsigned i = 0; i < CLIENT_NET_NR; i++) {
		struct client_ring *ring = &kit->ring[i];
		struct vhost_vring_addr addr = {
			.index = ring->idx,
			.desc_user_addr = ring->iova,
			.avail_user_addr =
				ring->iova + (uint64_t)((uint8_t *)ring->avail - ring->base),
			.used_user_addr =
				ring->iova + (uint64_t)((uint8_t *)ring->used - ring->base),
		};

		if (!check_kit_has(t, i))
			continue;
		EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_BASE, ring->idx, 0));
		EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_VRING_ADDR, &addr));
		if (call)
			EXPECT_RC(t, 0,
				  client_vring_file(fd, VHOST_SET_VRING_CALL, ring->idx,
						    ring->call_fd));
		EXPECT_RC(t, 0, client_vring_set(fd, VHOST_VDPA_SET_VRING_ENABLE, ring->idx, 1));
	}
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
}

static void kick_kept(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	if (!(t->dev->backend & PERSIST) && t->dev->compat_reset)
		check_skip(t, "needs mappings that survive the reset");
	reset(t, fd);
	restart(t, fd, &kit, true);
	check_work_once(t, &kit);
}

/* Nothing signals until SET_VRING_CALL is repeated, although the ring is served. */
static void call_lost(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);
	uint64_t count;

	if (!(t->dev->backend & PERSIST) && t->dev->compat_reset)
		check_skip(t, "needs mappings that survive the reset");
	reset(t, fd);
	(void)!read(kit.ring[KIT_WORK].call_fd, &count, sizeof(count));
	restart(t, fd, &kit, false);
	check_work_kick(t, &kit);
	check_kit_poll_used(t, &kit, kit.page, KIT_WORK, 1);
	EXPECT(t, !check_kit_called(&kit.ring[KIT_WORK], t->dev->quiet_ms));
}

/* ---- what the device loses ---- */

static void rings_stop(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	reset(t, fd);
	check_kit_send(t, &kit);
	check_work_quiet(t, &kit, 1);
}

/* A client that relies on the reset gives a new ring no base. Row: with a, it reads the old one
 * first, which a device may still tell (D1). */
static void starts_at_zero(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);
	uint32_t base;

	reset(t, fd);
	check_kit_init(t, &kit, kit.page, IOVA, 0);
	check_kit_ready(t, fd);
	for (unsigned i = 0; i < CLIENT_NET_NR; i++) {
		if (!check_kit_has(t, i))
			continue;
		if (t->check->a)
			EXPECT_RC(
				t, 0,
				client_vring_get(fd, VHOST_GET_VRING_BASE, kit.ring[i].idx, &base));
		EXPECT_RC(t, 0, client_ring_attach_without_base(&kit.ring[i], fd));
	}
	check_kit_enable(t, fd, &kit, true);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	check_work_once(t, &kit);
	check_kit_send(t, &kit);
	check_work_used(t, &kit, 2);
}

static void ready_lost(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);

	reset(t, fd);
	check_kit_init(t, &kit, kit.page, IOVA, 0);
	check_kit_ready(t, fd);
	EXPECT_RC(t, 0, client_set_status(fd, CLIENT_STATUS_RUNNING));
	check_work_kick(t, &kit);
	check_work_quiet(t, &kit, 0);
}

static void many_cycles(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	struct check_kit kit = {0};
	uint8_t *page = check_pages(t, 1);

	check_ack_backend(t, fd, PERSIST);
	EXPECT_RC(t, 0, check_map(fd, 0, IOVA, P, page));
	for (int i = 0; i < 25; i++) {
		check_kit_init(t, &kit, page, IOVA, (uint16_t)(i * 3000));
		check_kit_start(t, fd, &kit);
		check_work_kick(t, &kit);
		check_kit_expect_used(t, &kit, page, KIT_WORK, (uint16_t)(i * 3000 + 1));
		reset(t, fd);
	}
}

static void foreign(struct check_ctx *t)
{
	struct check_kit kit;
	int fd = running(t, &kit);
	uint8_t zero = 0;

	EXPECT_RC(t, 0, check_child_ioctl(t, fd, VHOST_VDPA_SET_STATUS, &zero));
	EXPECT_RC(t, 0, client_get_status(fd));
	check_kit_send(t, &kit);
	check_work_quiet(t, &kit, 1);
}

static const struct check rows[] = {
	{"lifecycle.reset.kick_eventfd_and_ring_size_kept", "4-8", kick_kept, 0, 0, 0, 0},
	{"lifecycle.reset.call_eventfd_lost", "4-8", call_lost, 0, 0, 0, 0},
	{"lifecycle.reset.rings_stop", "4-8", rings_stop, 0, 0, 0, 0},
	{"lifecycle.reset.ring_without_base_starts_at_zero", "4-8", starts_at_zero, 0, 0, 0, 0},
	{"lifecycle.reset.ring_whose_base_was_read_starts_at_zero", "4-8", starts_at_zero, 0, 0, 1,
	 0},
	{"lifecycle.reset.enable_lost", "4-8", ready_lost, 0, 0, 0, 0},
	{"lifecycle.reset.many_cycles_with_persist", "4-13", many_cycles, CHECK_PERSIST, 0, 0, 0},
	{"lifecycle.reset.from_foreign_process", "1-3", foreign, CHECK_FORK, 0, 0, 0},
};

const struct check_set check_set_reset_rings = CHECK_SET(rows);
