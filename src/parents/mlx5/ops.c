// SPDX-License-Identifier: BSD-3-Clause
/*
 * The parent operations that note what a client sets, and the table of all. Which operations a
 * device has depends on its firmware and its SPEC ([10-1]), and is settled when it is made.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "driver.h"

static bool is_ctrl(const struct mlx5_vdpa *v, uint16_t idx)
{
	return idx == mlx5_ctrl_idx(v);
}

static bool is_data(const struct mlx5_vdpa *v, uint16_t idx)
{
	return idx < mlx5_nr_data(v) && !is_ctrl(v, idx);
}

static bool runs(const struct mlx5_vdpa *v, uint16_t idx)
{
	if (is_ctrl(v, idx))
		return ring_is_started(v->ctrl.ring);
	return mlx5_vq_runs(&v->vqs[idx]);
}

/* ---- virtqueues ---- */

static int op_set_vq_address(struct vdpa_device *dev, uint16_t idx, uint64_t desc, uint64_t driver,
			     uint64_t device)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	struct mlx5_vq *vq = &v->vqs[idx];

	mlx5_lock(v);
	vq->set.desc = desc;
	vq->set.driver = driver;
	vq->set.device = device;
	vq->set.placed = true;
	if (!runs(v, idx))
		mlx5_vq_take(vq);
	mlx5_unlock(v);
	return 0;
}

static void op_set_vq_num(struct vdpa_device *dev, uint16_t idx, uint32_t num)
{
	struct mlx5_vdpa *v = mlx5_of(dev);

	mlx5_lock(v);
	v->vqs[idx].set.num = num;
	if (!runs(v, idx))
		mlx5_vq_take(&v->vqs[idx]);
	mlx5_unlock(v);
}

static void op_kick_vq(struct vdpa_device *dev, uint16_t idx)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	struct mlx5_vq *vq = &v->vqs[idx];
	struct worker *w = __atomic_load_n(&v->worker, __ATOMIC_ACQUIRE), *kicker;

	if (is_ctrl(v, idx)) {
		mlx5_ctrl_kick(v);
		return;
	}
	__atomic_store_n(&vq->kicked, true, __ATOMIC_SEQ_CST);
	v->hw->ops->kick(v->hw, idx);
	if (!w || !__atomic_load_n(&vq->parked, __ATOMIC_ACQUIRE))
		return;
	kicker = mlx5_vq_kick_worker(v, vq); /* there is one: the queue has run */
	if (kicker && worker_is_current(kicker) && worker_event_is_old(kicker))
		return; /* [Q6] */
	__atomic_store_n(&vq->parked_until, 0, __ATOMIC_RELAXED);
	worker_wake(w);
}

static void op_set_vq_cb(struct vdpa_device *dev, uint16_t idx, const struct vdpa_callback *cb)
{
	struct mlx5_vdpa *v = mlx5_of(dev);

	mlx5_lock(v);
	v->vqs[idx].cb = *cb;
	if (idx < mlx5_nr_data(v))
		v->hw->ops->vector_set(v->hw, v->vqs[idx].vector, cb);
	mlx5_unlock(v);
}

static void set_ready(struct mlx5_vdpa *v, struct mlx5_vq *vq, bool ready)
{
	vq->ready = ready;
	if (!ready) {
		__atomic_store_n(&vq->parked, false, __ATOMIC_RELEASE);
		if (mlx5_vq_stop(v, vq) && runs(v, vq->idx))
			mlx5_needs_reset(v); /* the client thinks that it stands still */
		return;
	}
	mlx5_vq_unpark(v, vq);
	if (runs(v, vq->idx))
		return;
	mlx5_vq_take(vq);
	if (v->set_up && mlx5_vq_wants_to_run(v, vq) && mlx5_restart(v)) {
		hf_err(v->dev.name, "queue %u cannot start: %s", vq->idx, refuse_reason());
		mlx5_needs_reset(v);
	}
}

static void op_set_vq_ready(struct vdpa_device *dev, uint16_t idx, bool ready)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	struct mlx5_vq *vq = &v->vqs[idx];

	if (ready && !mlx5_worker_get(v))
		return; /* logged; the client sees a queue that is not ready */
	mlx5_lock(v);
	if (is_data(v, idx)) {
		set_ready(v, vq, ready);
	} else {
		if (ready && !vq->ready)
			mlx5_vq_take(vq);
		vq->ready = ready;
		mlx5_ctrl_update(v);
	}
	mlx5_unlock(v);
}

static bool op_get_vq_ready(struct vdpa_device *dev, uint16_t idx)
{
	return mlx5_of(dev)->vqs[idx].ready;
}

static int op_set_vq_state(struct vdpa_device *dev, uint16_t idx, const struct vdpa_vq_state *state)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	struct mlx5_vq *vq = &v->vqs[idx];
	int err = 0;

	mlx5_lock(v);
	if (runs(v, idx)) {
		err = refuse(-EINVAL, "queue %u is running: its position cannot be set", idx);
	} else {
		vq->state = (struct vdpa_vq_state){state->last_avail, state->last_avail};
		vq->changed |= MLX5_VQ_AVAIL_IDX | MLX5_VQ_USED_IDX;
		vq->unknown = false;
	}
	mlx5_unlock(v);
	return err;
}

static int op_get_vq_state(struct vdpa_device *dev, uint16_t idx, struct vdpa_vq_state *state)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	int err = 0;

	mlx5_lock(v);
	if (is_data(v, idx)) {
		err = mlx5_vq_position(v, &v->vqs[idx], state);
	} else if (is_ctrl(v, idx) && ring_is_started(v->ctrl.ring)) {
		struct ring_state at = ring_get_state(v->ctrl.ring);

		*state = (struct vdpa_vq_state){at.last_avail, at.last_avail};
	} else {
		*state = v->vqs[idx].state;
	}
	mlx5_unlock(v);
	return err;
}

static struct worker *op_get_vq_worker(struct vdpa_device *dev, uint16_t idx)
{
	struct mlx5_vdpa *v = mlx5_of(dev);

	if (idx >= mlx5_nr_data(v) || is_ctrl(v, idx) || !v->hw->ops->kick_worker)
		return mlx5_worker_get(v);
	return mlx5_vq_kick_worker(v, &v->vqs[idx]);
}

static uint32_t op_get_vq_group(struct vdpa_device *dev, uint16_t idx)
{
	return is_ctrl(mlx5_of(dev), idx) ? MLX5_GROUP_CTRL : MLX5_GROUP_DATA;
}

static uint32_t op_get_vq_desc_group(struct vdpa_device *dev, uint16_t idx)
{
	return is_ctrl(mlx5_of(dev), idx) ? MLX5_GROUP_CTRL : MLX5_GROUP_DESC;
}

static uint16_t op_get_vq_num_max(struct vdpa_device *dev)
{
	return mlx5_of(dev)->vq_size;
}

static uint16_t op_get_vq_size(struct vdpa_device *dev, uint16_t idx)
{
	struct mlx5_vdpa *v = mlx5_of(dev);

	return mlx5_status(v) & VIRTIO_CONFIG_S_DRIVER_OK ? (uint16_t)v->vqs[idx].set.num
							  : v->vq_size;
}

/* ---- device ---- */

static uint64_t op_get_device_features(struct vdpa_device *dev)
{
	return mlx5_of(dev)->features;
}

static uint64_t op_get_backend_features(struct vdpa_device *dev)
{
	return VDPA_BACKEND_F_ENABLE_AFTER_DRIVER_OK;
}

static int op_set_driver_features(struct vdpa_device *dev, uint64_t features)
{
	struct mlx5_vdpa *v = mlx5_of(dev);

	if (!(features & (1ULL << VIRTIO_F_ACCESS_PLATFORM)))
		return refuse(-EINVAL, "features 0x%llx lack ACCESS_PLATFORM (bit 33)",
			      (unsigned long long)features);
	if (features & (1ULL << VIRTIO_NET_F_MQ) && !(features & (1ULL << VIRTIO_NET_F_CTRL_VQ)))
		return refuse(-EINVAL, "features 0x%llx have MQ without CTRL_VQ",
			      (unsigned long long)features);
	mlx5_lock(v);
	__atomic_store_n(&v->acked, features & v->features, __ATOMIC_RELAXED);
	mlx5_unlock(v);
	return 0;
}

static uint64_t op_get_driver_features(struct vdpa_device *dev)
{
	return mlx5_of(dev)->acked;
}

static void op_set_config_cb(struct vdpa_device *dev, const struct vdpa_callback *cb)
{
	struct mlx5_vdpa *v = mlx5_of(dev);

	mlx5_lock(v);
	v->config_cb = *cb;
	mlx5_unlock(v);
}

static uint32_t op_get_device_id(struct vdpa_device *dev)
{
	return 1;
}

static uint32_t op_get_vendor_id(struct vdpa_device *dev)
{
	return 0x15b3;
}

static size_t op_get_config_size(struct vdpa_device *dev)
{
	return sizeof(struct virtio_net_config);
}

static void op_get_config(struct vdpa_device *dev, size_t off, void *buf, size_t len)
{
	struct mlx5_vdpa *v = mlx5_of(dev);

	mlx5_lock(v);
	memcpy(buf, (const char *)&v->config + off, len);
	mlx5_unlock(v);
}

/* Only the address can be written: a VMM gives its guest one so. */
static void op_set_config(struct vdpa_device *dev, size_t off, const void *buf, size_t len)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	struct virtio_net_config config;

	mlx5_lock(v);
	config = v->config;
	memcpy((char *)&config + off, buf, len);
	if (memcmp(config.mac, v->config.mac, sizeof(config.mac)) != 0 && !(config.mac[0] & 1) &&
	    mlx5_steering_set_mac(v, config.mac))
		hf_warn(dev->name, "address not taken: %s", refuse_reason());
	mlx5_unlock(v);
}

static uint32_t op_get_generation(struct vdpa_device *dev)
{
	return mlx5_of(dev)->generation;
}

static struct vdpa_iova_range op_get_iova_range(struct vdpa_device *dev)
{
	return (struct vdpa_iova_range){0, UINT64_MAX};
}

static int op_get_vendor_vq_stats(struct vdpa_device *dev, uint16_t idx, struct vdpa_vq_stat *stats)
{
	struct mlx5_vdpa *v = mlx5_of(dev);
	struct mlx5_virtq_counters c = {0};
	int err = 0;

	mlx5_lock(v);
	if (is_ctrl(v, idx)) {
		c.received = __atomic_load_n(&v->ctrl.received, __ATOMIC_RELAXED);
		c.completed = __atomic_load_n(&v->ctrl.completed, __ATOMIC_RELAXED);
	} else if (idx >= mlx5_nr_data(v)) {
		err = refuse(-EINVAL, "%s has no queue %u", dev->name, idx);
	} else if (v->vqs[idx].counters != MLX5_NO_OBJ) {
		err = mlx5_cmd_query_counters(v->hw, v->vqs[idx].counters, &c);
	}
	mlx5_unlock(v);
	if (err)
		return err;
	stats[0] = (struct vdpa_vq_stat){"received_desc", c.received};
	stats[1] = (struct vdpa_vq_stat){"completed_desc", c.completed};
	return 2;
}

/* All but .free: mlx5.c. */
static const struct vdpa_config_ops all_ops = {
	.size = sizeof(struct vdpa_config_ops),
	.set_vq_address = op_set_vq_address,
	.set_vq_num = op_set_vq_num,
	.kick_vq = op_kick_vq,
	.set_vq_cb = op_set_vq_cb,
	.set_vq_ready = op_set_vq_ready,
	.get_vq_ready = op_get_vq_ready,
	.set_vq_state = op_set_vq_state,
	.get_vq_state = op_get_vq_state,
	.get_vq_worker = op_get_vq_worker,
	.get_vq_group = op_get_vq_group,
	.get_vq_desc_group = op_get_vq_desc_group,
	.get_device_features = op_get_device_features,
	.get_backend_features = op_get_backend_features,
	.set_driver_features = op_set_driver_features,
	.get_driver_features = op_get_driver_features,
	.set_config_cb = op_set_config_cb,
	.get_vq_num_max = op_get_vq_num_max,
	.get_vq_size = op_get_vq_size,
	.get_device_id = op_get_device_id,
	.get_vendor_id = op_get_vendor_id,
	.get_status = mlx5_op_get_status,
	.set_status = mlx5_op_set_status,
	.reset = mlx5_op_reset,
	.compat_reset = mlx5_op_compat_reset,
	.suspend = mlx5_op_suspend,
	.resume = mlx5_op_resume,
	.get_config_size = op_get_config_size,
	.get_config = op_get_config,
	.set_config = op_set_config,
	.get_generation = op_get_generation,
	.get_iova_range = op_get_iova_range,
	.set_group_asid = mlx5_op_set_group_asid,
	.set_map = mlx5_op_set_map,
	.reset_map = mlx5_op_reset_map,
	.get_vendor_vq_stats = op_get_vendor_vq_stats,
};

void mlx5_ops_fill(struct mlx5_vdpa *v, const struct vdpa_dev_config *config)
{
	v->ops = all_ops;
	if (!v->caps.freeze_to_rdy)
		v->ops.resume = NULL;
	if (!v->caps.desc_mkey)
		v->ops.get_vq_desc_group = NULL;
	if (!config->compat_reset)
		v->ops.compat_reset = NULL;
	if (!config->reset_map)
		v->ops.reset_map = NULL;
	v->dev.ops = &v->ops;
}
