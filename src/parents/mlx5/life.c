// SPDX-License-Identifier: BSD-3-Clause
/*
 * The operations that move a device between its states. None of them touches keys, but for
 * CLEAN_MAP, which a client of old asks for ([10-8]).
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "base/trace.h"
#include "driver.h"

uint8_t mlx5_op_get_status(struct vdpa_device *dev)
{
	return mlx5_status(mlx5_of(dev));
}

/*
 * The first pair is in use until the driver says otherwise. QEMU 7.2 passes the control queue
 * through, and repeats no command when it stops and continues a device. The only sign that a pair
 * was in use is then a ring that starts in its middle.
 */
static void find_pairs(struct mlx5_vdpa *v)
{
	if (!mlx5_acked(v, VIRTIO_NET_F_MQ))
		return;
	for (uint16_t i = (uint16_t)(2 * v->pairs); i < mlx5_nr_data(v); i++)
		if (v->vqs[i].ready && v->vqs[i].state.last_avail)
			v->pairs = (uint16_t)(i / 2 + 1);
}

/* [10-10]: a device that cannot be set up has failed, and has no keys. They are made again at the
 * next start. */
static void driver_ok(struct mlx5_vdpa *v)
{
	int err;

	for (uint32_t i = 0; i < v->dev.nvqs; i++)
		if (v->vqs[i].ready)
			mlx5_vq_take(&v->vqs[i]);
	find_pairs(v);
	err = mlx5_slots_complete(v);
	if (!err)
		err = mlx5_setup(v);
	if (!err) {
		if (v->worker)
			worker_wake_in(v->worker, MLX5_HEALTH_NS);
		return;
	}
	hf_err(v->dev.name, "cannot start: %s", refuse_reason());
	__atomic_fetch_or(&v->status, VIRTIO_CONFIG_S_FAILED, __ATOMIC_ACQ_REL);
	mlx5_slots_drop(v);
}

void mlx5_op_set_status(struct vdpa_device *dev, uint8_t status)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	uint8_t old;

	mlx5_lock(v);
	old = mlx5_status(v);
	status |= old & VIRTIO_CONFIG_S_NEEDS_RESET;
	if (old & VIRTIO_CONFIG_S_DRIVER_OK && !(status & VIRTIO_CONFIG_S_DRIVER_OK)) {
		hf_warn(dev->name, "DRIVER_OK cannot be taken back without a reset");
		status |= VIRTIO_CONFIG_S_DRIVER_OK;
	}
	HF_TRACE3(status, dev->name, old, status);
	__atomic_store_n(&v->status, status, __ATOMIC_RELEASE);
	if (status & VIRTIO_CONFIG_S_DRIVER_OK) {
		for (uint16_t i = 0; i < mlx5_nr_data(v); i++)
			mlx5_vq_unpark(v, &v->vqs[i]);
		if (!(old & VIRTIO_CONFIG_S_DRIVER_OK))
			driver_ok(v);
		mlx5_ctrl_update(v);
	}
	mlx5_unlock(v);
}

/* Was anything set or run since the objects were made ahead? */
static bool was_used(const struct mlx5_vdpa *v)
{
	bool used = v->set_up;

	for (uint16_t i = 0; i < mlx5_nr_data(v); i++)
		used |= v->vqs[i].obj == MLX5_NO_OBJ || v->vqs[i].fw_state != MLX5_VQ_INIT;
	return used;
}

/* Return: 0; -EIO: a queue still runs, with the keys that it has. No client's start succeeds until
 * the device lets it go. */
static int reset(struct mlx5_vdpa *v)
{
	int err = 0;

	v->suspended = true; /* nothing may start meanwhile */
	mlx5_ctrl_update(v);
	if (was_used(v))
		err = mlx5_rest(v);
	for (uint32_t i = 0; i < v->dev.nvqs; i++) {
		static const struct vdpa_callback none;

		if (i < mlx5_nr_data(v))
			v->hw->ops->vector_set(v->hw, v->vqs[i].vector, &none);
		mlx5_vq_reset(&v->vqs[i]);
	}
	memset(v->group_asid, 0, sizeof(v->group_asid)); /* [3-4] */
	mlx5_ctrl_set_map(v);
	memset(v->vlan_used, 0, sizeof(v->vlan_used));
	__atomic_store_n(&v->ctrl.kicked, false, __ATOMIC_RELAXED);
	HF_TRACE3(status, v->dev.name, mlx5_status(v), 0);
	__atomic_store_n(&v->status, 0, __ATOMIC_RELEASE);
	v->suspended = false;
	__atomic_store_n(&v->acked, 0, __ATOMIC_RELAXED);
	v->pairs = 1;
	v->generation++;
	return err;
}

int mlx5_op_reset(struct vdpa_device *dev)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	int err;

	mlx5_lock(v);
	err = reset(v);
	if (!err)
		mlx5_prepare(v);
	mlx5_unlock(v);
	return err;
}

int mlx5_op_compat_reset(struct vdpa_device *dev, uint32_t flags)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	int err;

	mlx5_lock(v);
	err = reset(v);
	for (uint32_t i = 0; flags & VDPA_RESET_F_CLEAN_MAP && i < MLX5_NAS; i++)
		if (mlx5_slot_restore(v, i))
			hf_warn(dev->name, "no 1:1 key: %s", refuse_reason());
	if (!err)
		mlx5_prepare(v);
	mlx5_unlock(v);
	return err;
}

int mlx5_op_suspend(struct vdpa_device *dev)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	int err;

	mlx5_lock(v);
	err = mlx5_stop_all(v);
	if (!err) {
		v->suspended = true;
		mlx5_ctrl_update(v);
	} else if (v->set_up && mlx5_restart(v)) { /* a device that is not suspended runs */
		mlx5_needs_reset(v);
	}
	mlx5_unlock(v);
	return err;
}

int mlx5_op_resume(struct vdpa_device *dev)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	int err;

	mlx5_lock(v);
	v->suspended = false;
	err = v->set_up ? mlx5_restart(v) : 0;
	if (err) { /* the caller has a device that is suspended */
		v->suspended = true;
		if (mlx5_stop_all(v) || !v->set_up)
			mlx5_needs_reset(v);
	}
	mlx5_ctrl_update(v);
	mlx5_unlock(v);
	return err;
}
