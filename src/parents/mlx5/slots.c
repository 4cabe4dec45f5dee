// SPDX-License-Identifier: BSD-3-Clause
/*
 * Address spaces. Each has a slot with the keys in force, and the same map for the control queue,
 * which the driver serves by itself.
 *
 * S1. The new keys are complete before anything old is touched ([10-6]).
 * S2. A slot changes while no queue runs with its keys: queues are stopped, given the new ones with
 *     the command that lets them run again, and keep their positions.
 * S3. If the new keys cannot be made, or a queue cannot run with them, the old ones stay if all
 *     that they reach is in the new map. If not, the client has memory back that the card must not
 *     touch: queues are taken down, the slot has no keys, and the device needs a reset. The map is
 *     kept.
 * S4. On return of set_map no queue has the old keys. Memory that only they reach may be given
 *     back.
 * S5. A reset does not come here. Keys belong to address spaces, and not to queues ([10-8]).
 * S6. The 1:1 key is made for address space 0 when the device is made and in reset_map, if the
 *     firmware allows it ([10-4]). A driver that has no map of its own, as virtio_vdpa, needs it.
 * S7. If the new keys have the old ones' indirect key, changed in place, queues have it already,
 *     and none is stopped.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "driver.h"

static bool is_one_to_one(const struct mlx5_vdpa *v, const struct iotlb_version *map)
{
	return map && iotlb_version_number(map) == iotlb_version_number(iotlb_load(v->one_to_one));
}

static void set_ctrl_map(struct mlx5_vdpa *v, uint32_t asid, const struct iotlb_version *map)
{
	const struct iotlb_version *old = v->map[asid];

	v->map[asid] = map;
	if (v->group_asid[MLX5_GROUP_CTRL] == asid)
		mlx5_ctrl_set_map(v);
	iotlb_version_put(old);
}

int mlx5_slots_init(struct mlx5_vdpa *v)
{
	int err = iotlb_create(1, &v->one_to_one);

	if (!err)
		err = iotlb_map(v->one_to_one, 0, UINT64_MAX, memory_space_identity(v->dev.space),
				0, IOTLB_RW);
	for (uint32_t i = 0; !err && i < MLX5_NAS; i++)
		err = mlx5_slot_restore(v, i);
	return err;
}

void mlx5_slots_fini(struct mlx5_vdpa *v)
{
	for (uint32_t i = 0; i < MLX5_NAS; i++) {
		mlx5_mr_put(v->slot[i]);
		iotlb_version_put(v->map[i]);
		v->slot[i] = NULL;
		v->map[i] = NULL;
	}
	iotlb_destroy(v->one_to_one);
	v->one_to_one = NULL;
}

static void put_slot(struct mlx5_vdpa *v, uint32_t asid, struct mlx5_mr *mr)
{
	struct mlx5_mr *old = v->slot[asid];

	v->slot[asid] = mr;
	mlx5_mr_put(old);
}

/* The keys of @map into an empty slot. */
static int make_keys(struct mlx5_vdpa *v, uint32_t asid, const struct iotlb_version *map)
{
	struct mlx5_mr *mr = NULL;
	int err = 0;

	if (!is_one_to_one(v, map))
		err = mlx5_mr_create(&v->keys, map, NULL, &mr);
	else if (asid == 0 && v->keys.caps.umem_uid_0) /* [S6] */
		err = mlx5_mr_create_one_to_one(&v->keys, &mr);
	if (!err)
		v->slot[asid] = mr;
	return err;
}

int mlx5_slot_restore(struct mlx5_vdpa *v, uint32_t asid)
{
	put_slot(v, asid, NULL);
	set_ctrl_map(v, asid, iotlb_snapshot(v->one_to_one));
	return make_keys(v, asid, v->map[asid]);
}

int mlx5_slots_complete(struct mlx5_vdpa *v)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < MLX5_NAS; i++)
		if (!v->slot[i] && v->map[i])
			err = make_keys(v, i, v->map[i]);
	return err;
}

void mlx5_slots_drop(struct mlx5_vdpa *v)
{
	for (uint32_t i = 0; i < MLX5_NAS; i++)
		put_slot(v, i, NULL);
}

static int check_asid(const struct mlx5_vdpa *v, uint32_t asid)
{
	if (asid >= v->dev.nas)
		return refuse(-EINVAL, "no address space %u, there are %u", asid, v->dev.nas);
	return 0;
}

static bool is_for_queues(const struct mlx5_vdpa *v, uint32_t asid)
{
	return v->group_asid[MLX5_GROUP_DATA] == asid || v->group_asid[MLX5_GROUP_DESC] == asid;
}

static void follow(struct mlx5_mr **ref, struct mlx5_mr *old, struct mlx5_mr *mr)
{
	if (*ref != old)
		return;
	*ref = mlx5_mr_get(mr);
	mlx5_mr_put(old);
}

/* [S2] Put @mr in force under queues that may run. */
static int swap(struct mlx5_vdpa *v, uint32_t asid, struct mlx5_mr *mr)
{
	struct mlx5_mr *old = v->slot[asid];
	int err;

	v->slot[asid] = mr;
	if (mlx5_mr_shares(mr, old)) { /* [S7] */
		for (uint16_t i = 0; i < mlx5_nr_data(v); i++) {
			follow(&v->vqs[i].mr, old, mr);
			follow(&v->vqs[i].desc_mr, old, mr);
		}
		return 0;
	}
	if (!is_for_queues(v, asid))
		return 0;
	err = mlx5_stop_all(v);
	if (err)
		return err;
	for (uint16_t i = 0; i < mlx5_nr_data(v); i++)
		mlx5_vq_release_keys(&v->vqs[i]);
	return v->set_up ? mlx5_restart(v) : 0;
}

static int is_removed(void *arg, enum iotlb_change change, const struct iotlb_entry *entry)
{
	return change == IOTLB_REMOVED;
}

/* Does @map lack something that is reached until now? 1:1 reaches all of the client. */
static bool takes_away(const struct mlx5_vdpa *v, uint32_t asid, const struct iotlb_version *map)
{
	return v->map[asid] && (is_one_to_one(v, v->map[asid]) ||
				iotlb_diff(v->map[asid], map, is_removed, NULL) != 0);
}

/* Could a queue have the slot's keys, now or when it starts? */
static bool is_for_any(const struct mlx5_vdpa *v, uint32_t asid)
{
	const struct mlx5_mr *mr = v->slot[asid];

	for (uint16_t i = 0; mr && i < mlx5_nr_data(v); i++)
		if (v->vqs[i].mr == mr || v->vqs[i].desc_mr == mr)
			return true;
	return is_for_queues(v, asid);
}

/* [S3] The card must not reach what @map lacks. */
static void lose(struct mlx5_vdpa *v, uint32_t asid, const struct iotlb_version *map,
		 const char *reason)
{
	if (is_for_any(v, asid)) {
		if (v->set_up)
			hf_err(v->dev.name,
			       "address space %u: memory is taken away, and the card takes no new "
			       "map: its queues are taken down. %s",
			       asid, reason);
		mlx5_teardown(v);
		if (mlx5_status(v) & VIRTIO_CONFIG_S_DRIVER_OK)
			mlx5_needs_reset(v);
	}
	put_slot(v, asid, NULL);
	set_ctrl_map(v, asid, iotlb_version_get(map));
}

/* [S3] The slot has new keys, and a queue does not run with them. */
static void swap_back(struct mlx5_vdpa *v, uint32_t asid, struct mlx5_mr *old, bool ran)
{
	struct mlx5_mr *mr = v->slot[asid];
	int err = swap(v, asid, old);

	if (!err && ran && !v->set_up) /* nothing can be resumed: all was taken down */
		err = mlx5_setup(v);
	if (err)
		mlx5_needs_reset(v);
	mlx5_mr_put(mr);
}

int mlx5_op_set_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_version *map)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	int err = check_asid(v, asid);
	struct mlx5_mr *old, *mr;
	char reason[256] = "";
	bool made, ran;

	if (err)
		return err;
	mlx5_lock(v);
	old = v->slot[asid];
	ran = v->set_up;
	err = mlx5_mr_create(&v->keys, map, old, &mr); /* [S1] */
	made = !err;
	if (made)
		err = swap(v, asid, mr);
	if (!err) {
		mlx5_mr_put(old);
		set_ctrl_map(v, asid, iotlb_version_get(map));
		mlx5_unlock(v);
		return 0;
	}
	(void)strncpy(reason, refuse_words(err), sizeof(reason) - 1);
	if (takes_away(v, asid, map)) {
		lose(v, asid, map, reason);
		mlx5_mr_put(made ? old : NULL);
	} else if (made) {
		swap_back(v, asid, old, ran);
	}
	mlx5_unlock(v);
	return refuse(err, "%s", reason);
}

/* Queues are not touched: the caller has reset the device, and a queue that still runs keeps its
 * keys by its reference. */
int mlx5_op_reset_map(struct vdpa_device *dev, uint32_t asid)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	int err = check_asid(v, asid);

	if (err)
		return err;
	mlx5_lock(v);
	err = mlx5_slot_restore(v, asid);
	mlx5_unlock(v);
	return err;
}

int mlx5_op_set_group_asid(struct vdpa_device *dev, uint32_t group, uint32_t asid)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	int err = check_asid(v, asid);

	if (err)
		return err;
	if (group >= dev->ngroups)
		return refuse(-EINVAL, "no group %u, there are %u", group, dev->ngroups);
	mlx5_lock(v);
	v->group_asid[group] = asid;
	if (group == MLX5_GROUP_CTRL)
		mlx5_ctrl_set_map(v);
	mlx5_unlock(v);
	return 0;
}
