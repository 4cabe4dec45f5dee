// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which frames come in, and to which queues: one flow table with two groups, one for the card's
 * address and one for multicast. Each has a place for frames without a tag, and one for each VLAN.
 *
 *     flow table ─ [address + tag] ─┐
 *                  [multicast + tag]┴─> TIR ─ hash ─> RQT ─> receive queues in use
 *
 * If the driver did not ask for VLAN filtering, tags are not compared.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "driver.h"

#define LOG_TABLE 8 /* two groups of MLX5_VLANS */
_Static_assert(1 << LOG_TABLE == 2 * MLX5_VLANS, "the table has a place for each flow");

enum { ONE, MANY }; /* groups, and rows of mlx5_vdpa.flow */

/* Receive queues in use, as the table wants them. */
static uint16_t list_queues(const struct mlx5_vdpa *v, uint32_t *queue)
{
	for (uint16_t i = 0; i < v->pairs; i++)
		queue[i] = v->vqs[2 * i].obj;
	return v->pairs;
}

static int make_rqt(struct mlx5_vdpa *v)
{
	uint32_t queue[64];
	uint16_t max = 1;

	while (max < v->max_pairs)
		max = (uint16_t)(max * 2);
	return mlx5_cmd_create_rqt(v->hw, queue, list_queues(v, queue), max, &v->rqt);
}

static int make_group(struct mlx5_vdpa *v, int group)
{
	struct mlx5_match mask = {.dmac = {0x01}};
	uint32_t first = (uint32_t)group * MLX5_VLANS;

	if (group == ONE)
		memset(mask.dmac, 0xff, sizeof(mask.dmac));
	if (mlx5_acked(v, VIRTIO_NET_F_CTRL_VLAN)) {
		mask.cvlan = true;
		mask.vid = 0xfff;
	}
	return mlx5_cmd_create_flow_group(v->hw, v->table, first, first + MLX5_VLANS - 1, &mask,
					  &v->group[group]);
}

static int add_flow(struct mlx5_vdpa *v, int group, uint32_t place, const uint8_t *mac)
{
	struct mlx5_match value = {.dmac = {0x01}, .cvlan = place != 0, .vid = v->vlan[place]};
	int err;

	if (group == ONE)
		memcpy(value.dmac, mac, sizeof(value.dmac));
	err = mlx5_cmd_set_flow(v->hw, v->table, v->group[group],
				(uint32_t)group * MLX5_VLANS + place, &value, v->tir);
	if (!err)
		v->flow[group][place] = true;
	return err;
}

static void del_flow(struct mlx5_vdpa *v, int group, uint32_t place)
{
	if (!v->flow[group][place])
		return;
	if (mlx5_cmd_delete_flow(v->hw, v->table, (uint32_t)group * MLX5_VLANS + place))
		hf_warn(v->dev.name, "%s", refuse_reason());
	else
		v->flow[group][place] = false;
}

/* What cannot be destroyed is told and kept, and tried again the next time. */
static void drop(struct mlx5_vdpa *v, uint32_t *obj, int err)
{
	if (err)
		hf_warn(v->dev.name, "%s", refuse_reason());
	else
		*obj = MLX5_NO_OBJ;
}

void mlx5_steering_destroy(struct mlx5_vdpa *v)
{
	for (uint32_t i = 0; i < MLX5_VLANS; i++) {
		del_flow(v, ONE, i);
		del_flow(v, MANY, i);
	}
	for (int i = ONE; i <= MANY; i++)
		if (v->group[i] != MLX5_NO_OBJ)
			drop(v, &v->group[i],
			     mlx5_cmd_destroy_flow_group(v->hw, v->table, v->group[i]));
	if (v->table != MLX5_NO_OBJ)
		drop(v, &v->table, mlx5_cmd_destroy_flow_table(v->hw, v->table));
	if (v->tir != MLX5_NO_OBJ)
		drop(v, &v->tir, mlx5_cmd_destroy_tir(v->hw, v->tir));
	if (v->rqt != MLX5_NO_OBJ)
		drop(v, &v->rqt, mlx5_cmd_destroy_rqt(v->hw, v->rqt));
}

static bool is_there(const struct mlx5_vdpa *v)
{
	return v->rqt != MLX5_NO_OBJ || v->tir != MLX5_NO_OBJ || v->table != MLX5_NO_OBJ;
}

int mlx5_steering_create(struct mlx5_vdpa *v)
{
	int err;

	mlx5_steering_destroy(v); /* what a former client's end has left */
	if (is_there(v))
		return refuse(-EBUSY, "%s: the device keeps former flows", v->dev.name);
	err = make_rqt(v);
	if (!err)
		err = mlx5_cmd_create_tir(v->hw, v->td, v->rqt, &v->tir);
	if (!err)
		err = mlx5_cmd_create_flow_table(v->hw, LOG_TABLE, &v->table);
	for (int group = ONE; !err && group <= MANY; group++)
		err = make_group(v, group);
	for (uint32_t i = 0; !err && i < MLX5_VLANS; i++) {
		if (i && !v->vlan_used[i])
			continue;
		err = add_flow(v, ONE, i, v->config.mac);
		if (!err)
			err = add_flow(v, MANY, i, NULL);
	}
	if (!err)
		err = mlx5_cmd_set_flow_root(v->hw, v->table);
	return err;
}

int mlx5_steering_set_pairs(struct mlx5_vdpa *v)
{
	uint32_t queue[64];

	return mlx5_cmd_modify_rqt(v->hw, v->rqt, queue, list_queues(v, queue));
}

/* Frames of one place to @mac. Return: 0; negative: what the place has, @flow tells */
static int move_flow(struct mlx5_vdpa *v, uint32_t place, const uint8_t *mac)
{
	del_flow(v, ONE, place);
	if (v->flow[ONE][place])
		return -EIO;
	return add_flow(v, ONE, place, mac);
}

int mlx5_steering_set_mac(struct mlx5_vdpa *v, const uint8_t *mac)
{
	bool moved[MLX5_VLANS] = {false};
	uint32_t i = 0;
	int err = 0;

	for (; v->set_up && !err && i < MLX5_VLANS; i++) {
		if (!v->flow[ONE][i])
			continue;
		err = move_flow(v, i, mac);
		moved[i] = !err || !v->flow[ONE][i];
	}
	if (!err) {
		memcpy(v->config.mac, mac, sizeof(v->config.mac));
		return 0;
	}
	while (i-- > 0)
		if (moved[i] && move_flow(v, i, v->config.mac)) {
			hf_warn(v->dev.name, "the former address is not in force everywhere: %s",
				refuse_reason());
			mlx5_needs_reset(v);
		}
	return err;
}

static uint32_t place_of(const struct mlx5_vdpa *v, uint16_t vid)
{
	for (uint32_t i = 1; i < MLX5_VLANS; i++)
		if (v->vlan_used[i] && v->vlan[i] == vid)
			return i;
	return 0;
}

int mlx5_steering_add_vlan(struct mlx5_vdpa *v, uint16_t vid)
{
	uint32_t place = 1;
	int err = 0;

	if (place_of(v, vid))
		return 0;
	while (place < MLX5_VLANS && v->vlan_used[place])
		place++;
	if (place == MLX5_VLANS)
		return refuse(-ENOSPC, "VLAN %u: the card filters %d at most", vid, MLX5_VLANS - 1);
	v->vlan[place] = vid;
	if (v->set_up)
		err = add_flow(v, ONE, place, v->config.mac);
	if (v->set_up && !err)
		err = add_flow(v, MANY, place, NULL);
	if (!err) {
		v->vlan_used[place] = true;
		return 0;
	}
	del_flow(v, ONE, place);
	if (v->flow[ONE][place])
		mlx5_needs_reset(v);
	return err;
}

int mlx5_steering_del_vlan(struct mlx5_vdpa *v, uint16_t vid)
{
	uint32_t place = place_of(v, vid);

	if (!place)
		return 0;
	del_flow(v, ONE, place);
	if (!v->flow[ONE][place])
		del_flow(v, MANY, place);
	if (v->flow[MANY][place] && !v->flow[ONE][place] &&
	    add_flow(v, ONE, place, v->config.mac)) /* refused: the VLAN stays */
		mlx5_needs_reset(v);
	if (v->flow[ONE][place] || v->flow[MANY][place])
		return -EIO;
	v->vlan_used[place] = false;
	return 0;
}
