/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 3: address spaces and groups, as the device's own accesses show them. The control
 * queue moves to address space 1 while the data queues stay in 0.
 */
#include "check/kit.h"

#define P        CHECK_PAGE
#define TX       CLIENT_NET_TX
#define CTRL_IDX CLIENT_NET_CTRL

static int open_pair(struct check_ctx *t, struct check_pair *pair, uint64_t backend)
{
	int fd = check_pair_open(t, pair);

	check_ack_backend(t, fd, CLIENT_BACKEND_ASID | backend);
	return fd;
}

/* Binds ring @idx: its group, and the group of its descriptors where that is another. */
static void bind_ring(struct check_ctx *t, int fd, uint32_t idx, uint32_t asid)
{
	uint32_t group = 0;

	EXPECT_RC(t, 0, client_vring_get(fd, VHOST_VDPA_GET_VRING_GROUP, idx, &group));
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_VDPA_SET_GROUP_ASID, group, asid));
	if (client_vring_get(fd, VHOST_VDPA_GET_VRING_DESC_GROUP, idx, &group) == 0)
		EXPECT_RC(t, 0, client_vring_set(fd, VHOST_VDPA_SET_GROUP_ASID, group, asid));
}

static void bind_ctrl(struct check_ctx *t, int fd, uint32_t asid)
{
	bind_ring(t, fd, CTRL_IDX, asid);
}

/* The pair is mapped in address space 1, which the control queue is bound to if @bind. */
static int open_second(struct check_ctx *t, struct check_pair *pair, uint64_t backend, bool bind)
{
	int fd = open_pair(t, pair, backend);

	check_pair_map(t, fd, pair, 1);
	if (bind)
		bind_ctrl(t, fd, 1);
	return fd;
}

static void bind_data(struct check_ctx *t, int fd, uint32_t asid)
{
	bind_ring(t, fd, CLIENT_NET_RX, asid);
	bind_ring(t, fd, TX, asid);
}

static void ctrl_in_second(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, 0, true);

	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, CTRL_IDX);
	check_kit_kick(t, &pair.kit, TX);
	check_kit_expect_used(t, &pair.kit, pair.identity, TX, 1);
	EXPECT_EQ(t, 0, check_kit_used(pair.mapped, TX));
}

static void ctrl_in_first(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, 0, false);

	EXPECT_STARTS(t, WHERE_IDENTITY, fd, &pair, CTRL_IDX);
}

static void data_in_second(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, 0, false);

	bind_data(t, fd, 1);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, TX);
}

static void both_in_second(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, 0, false);

	bind_data(t, fd, 1);
	bind_ctrl(t, fd, 1);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, TX);
	check_kit_kick(t, &pair.kit, CTRL_IDX);
	check_kit_expect_used(t, &pair.kit, pair.mapped, CTRL_IDX, 1);
}

/* Binding goes to an address space that does not exist yet: its default is 1:1. */
static void missing_space(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_pair(t, &pair, 0);

	check_pair_map(t, fd, &pair, 0);
	bind_ctrl(t, fd, 1);
	EXPECT_STARTS(t, WHERE_IDENTITY, fd, &pair, CTRL_IDX);
}

static void bound_then_mapped(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_pair(t, &pair, 0);

	bind_ctrl(t, fd, 1);
	check_pair_map(t, fd, &pair, 1);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, CTRL_IDX);
}

static void bound_back(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, 0, true);

	bind_ctrl(t, fd, 0);
	EXPECT_STARTS(t, WHERE_IDENTITY, fd, &pair, CTRL_IDX);
}

static void rebound_while_running(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, 0, false);

	EXPECT_STARTS(t, WHERE_IDENTITY, fd, &pair, CTRL_IDX);
	bind_ctrl(t, fd, 1);
	check_pair_refill(&pair, CTRL_IDX);
	EXPECT_WHERE(t, WHERE_MAPPED, &pair, CTRL_IDX);
}

static void rebind_refused_no_effect(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, 0, false);

	EXPECT_STARTS(t, WHERE_IDENTITY, fd, &pair, CTRL_IDX);
	EXPECT_RC(t, -EBUSY,
		  client_vring_set(fd, VHOST_VDPA_SET_GROUP_ASID, t->dev->ctrl_group, 1));
	check_pair_refill(&pair, CTRL_IDX);
	EXPECT_WHERE(t, WHERE_IDENTITY, &pair, CTRL_IDX);
}

/* Row: a are further backend features to ack. */
static void binding_lost_by_reset(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, (uint64_t)t->check->a, true);

	EXPECT_RC(t, 0, client_set_status(fd, 0));
	EXPECT_STARTS(t, WHERE_IDENTITY, fd, &pair, CTRL_IDX);
}

static void map_kept_by_reset(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, CLIENT_BACKEND_PERSIST, true);

	EXPECT_RC(t, 0, client_set_status(fd, 0));
	bind_ctrl(t, fd, 1);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, CTRL_IDX);
}

/* Without PERSIST a compat_reset parent clears every address space, not only the used ones. */
static void map_dropped_by_reset(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, 0, false);

	EXPECT_RC(t, 0, client_set_status(fd, 0));
	bind_ctrl(t, fd, 1);
	EXPECT_STARTS(t, WHERE_IDENTITY, fd, &pair, CTRL_IDX);
}

static void map_lost_by_close(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_second(t, &pair, (uint64_t)t->check->a, true);

	check_close(t, fd);
	fd = check_open_owned(t);
	bind_ctrl(t, fd, 1);
	EXPECT_STARTS(t, WHERE_IDENTITY, fd, &pair, CTRL_IDX);
}

static void binding_lost_by_close(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_pair(t, &pair, 0);

	bind_ctrl(t, fd, 1);
	check_close(t, fd);
	fd = check_open_owned(t);
	check_ack_backend(t, fd, CLIENT_BACKEND_ASID);
	check_pair_map(t, fd, &pair, 1);
	EXPECT_STARTS(t, WHERE_IDENTITY, fd, &pair, CTRL_IDX);
}

/* Emptying one address space leaves the other alone. */
static void unmap_first_keeps_second(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_pair(t, &pair, 0);

	check_pair_map(t, fd, &pair, 0);
	check_pair_map(t, fd, &pair, 1);
	bind_ctrl(t, fd, 1);
	EXPECT_RC(t, 0, client_iotlb_unmap(fd, 0, 0, UINT64_MAX));
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, CTRL_IDX);
}

static void two_maps_one_iova(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = open_pair(t, &pair, 0);

	EXPECT_RC(t, 0, check_map(fd, 0, pair.iova, P, pair.identity));
	check_pair_map(t, fd, &pair, 1);
	bind_ctrl(t, fd, 1);
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, CTRL_IDX);
	check_kit_kick(t, &pair.kit, TX);
	check_kit_expect_used(t, &pair.kit, pair.identity, TX, 1);
	EXPECT_EQ(t, 0, check_kit_used(pair.mapped, TX));
}

/* Without the ASID bit, version 2's asid field means 0 to the device as well. */
static void asid_unacked_goes_first(struct check_ctx *t)
{
	struct check_pair pair;
	int fd = check_pair_open(t, &pair);

	EXPECT_RC(t, 0, check_map(fd, 1, pair.iova, P, pair.mapped));
	EXPECT_STARTS(t, WHERE_MAPPED, fd, &pair, TX);
}

#define TWO CHECK_TWO_GROUPS

static const struct check rows[] = {
	{"group.bind.control_queue_in_second_space", "3-2", ctrl_in_second, TWO, 0, 0, 0},
	{"group.bind.control_queue_in_first_by_default", "3-2", ctrl_in_first, TWO, 0, 0, 0},
	{"group.bind.data_queues_in_second_space", "3-2", data_in_second, CHECK_TWO_AS, 0, 0, 0},
	{"group.bind.all_in_second_space", "3-2", both_in_second, TWO, 0, 0, 0},
	{"group.bind.space_that_does_not_exist_is_identity", "3-3", missing_space, TWO, 0, 0, 0},
	{"group.bind.mapped_after_binding_ok", "3-3", bound_then_mapped, TWO, 0, 0, 0},
	{"group.bind.and_back", "3-3", bound_back, TWO, 0, 0, 0},
	{"group.bind.while_running_takes_effect", "1-39", rebound_while_running,
	 TWO | CHECK_LINUX_6_12, 0, 0, 0},
	{"group.bind.while_running_ebusy_no_effect", "1-39", rebind_refused_no_effect,
	 TWO | CHECK_LINUX_7_2 | CHECK_RELAXED, 0, 0, 0},
	{"group.bind.lost_by_reset", "3-4", binding_lost_by_reset, TWO | CHECK_COMPAT, 0, 0, 0},
	{"group.bind.lost_by_reset_with_persist", "3-4", binding_lost_by_reset, TWO | CHECK_PERSIST,
	 0, CLIENT_BACKEND_PERSIST, 0},
	{"group.map.kept_by_reset_with_persist", "3-4", map_kept_by_reset, TWO | CHECK_PERSIST, 0,
	 0, 0},
	{"group.map.every_space_dropped_by_compat_reset", "7-4", map_dropped_by_reset,
	 TWO | CHECK_COMPAT, 0, 0, 0},
	{"group.map.lost_by_close", "3-5", map_lost_by_close, TWO, 0, 0, 0},
	{"group.map.lost_by_close_with_persist", "3-5", map_lost_by_close, TWO | CHECK_PERSIST, 0,
	 CLIENT_BACKEND_PERSIST, 0},
	{"group.bind.lost_by_close", "3-4", binding_lost_by_close, TWO, 0, 0, 0},
	{"group.map.unmapping_first_keeps_second", "3-1", unmap_first_keeps_second, TWO, 0, 0, 0},
	{"group.map.one_iova_two_meanings", "3-1", two_maps_one_iova, TWO, 0, 0, 0},
	{"group.map.asid_unacked_goes_to_first", "2-4", asid_unacked_goes_first, 0, 0, 0, 0},
};

const struct check_set check_set_group = CHECK_SET(rows);
