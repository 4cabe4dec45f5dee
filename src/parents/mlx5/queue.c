// SPDX-License-Identifier: BSD-3-Clause
/*
 * A virtqueue between what a client sets and its object on the device.
 *
 * Q1. An object is made in INIT. It runs while the client says ready, the status has DRIVER_OK, the
 *     device is not suspended, the pair is in use, the areas were given, and its address space has
 *     keys. It starts and stops where one of these changes.
 * Q2. What differs between the object and what is set is a mask. It is sent with the command that
 *     lets the queue run, so a change costs no command of its own.
 * Q3. A queue has a reference on the keys that its object was given. It is given keys by the
 *     command that lets it run, and lets go of them when it gets others or is taken down. So keys
 *     outlive every queue that runs with them, and an object that was made ahead holds nobody's
 *     memory.
 * Q4. Size and features are fixed when an object is made. An object that has others than the client
 *     set cannot be used (mlx5_vq_fits()).
 * Q5. The position that a client reads is the used index ([10-10]): what the device has not
 *     completed, it does again.
 * Q6. A queue whose position was read goes on at a kick that came after that, and at none from
 *     before (D1). Kicks are polled by the queue's kick worker, which need not be the driver's.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/refuse.h"
#include "driver.h"

int mlx5_vq_init(struct mlx5_vdpa *v, uint16_t idx)
{
	static const struct vdpa_callback none;
	struct mlx5_vq *vq = &v->vqs[idx];

	vq->idx = idx;
	vq->obj = vq->counters = vq->vector = MLX5_NO_OBJ;
	vq->set.num = vq->use.num = v->vq_size;
	if (idx >= mlx5_nr_data(v))
		return 0;
	return v->hw->ops->vector_open(v->hw, &none, &vq->vector);
}

static void memory_free(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	for (int i = 0; i < MLX5_VQ_PARTS; i++)
		if (vq->umem[i].len)
			v->hw->ops->umem_close(v->hw, vq->umem[i].id);
	memset(vq->umem, 0, sizeof(vq->umem));
	free(vq->mem);
	vq->mem = NULL;
}

/* Counters that the device will not destroy are the next object's. */
static void counters_destroy(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	if (vq->counters == MLX5_NO_OBJ)
		return;
	if (mlx5_cmd_destroy_object(v->hw, MLX5_OBJ_VIRTIO_Q_COUNTERS, vq->counters))
		hf_warn(v->dev.name, "%s", refuse_reason());
	else
		vq->counters = MLX5_NO_OBJ;
}

void mlx5_vq_fini(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	mlx5_vq_destroy(v, vq);
	if (vq->obj == MLX5_NO_OBJ)
		counters_destroy(v, vq);
	mlx5_vq_release_keys(vq); /* what the device would not destroy goes when it is closed */
	memory_free(v, vq);
	if (vq->vector != MLX5_NO_OBJ)
		v->hw->ops->vector_close(v->hw, vq->vector);
}

static size_t part_len(const struct mlx5_vdpa *v, int part, uint32_t num)
{
	size_t len = (size_t)v->caps.umem_a[part] * num + v->caps.umem_b[part];

	return (len + MEMORY_PAGE_SIZE - 1) & ~(size_t)(MEMORY_PAGE_SIZE - 1);
}

static int memory_make(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	size_t all = 0, off = 0;
	int err = 0;

	if (vq->mem && vq->num == vq->use.num)
		return 0;
	memory_free(v, vq);
	for (int i = 0; i < MLX5_VQ_PARTS; i++)
		all += part_len(v, i, vq->use.num);
	vq->mem = aligned_alloc(MEMORY_PAGE_SIZE, all);
	if (!vq->mem)
		return refuse(-ENOMEM, "queue %u: no %zu bytes for the device", vq->idx, all);
	memset(vq->mem, 0, all);
	for (int i = 0; !err && i < MLX5_VQ_PARTS; i++) {
		size_t len = part_len(v, i, vq->use.num);

		err = v->hw->ops->umem_open(v->hw, (char *)vq->mem + off, len, &vq->umem[i].id);
		if (!err)
			vq->umem[i].len = (uint32_t)len;
		off += len;
	}
	if (err)
		memory_free(v, vq);
	else
		vq->num = vq->use.num;
	return err;
}

struct mlx5_virtq mlx5_vq_describe(const struct mlx5_vdpa *v, const struct mlx5_vq *vq)
{
	const struct mlx5_mr *mr = mlx5_key_of(v, MLX5_GROUP_DATA);
	const struct mlx5_mr *desc_mr = mlx5_key_of(v, MLX5_GROUP_DESC);
	struct mlx5_virtq q = {
		.index = vq->idx,
		.size = (uint16_t)vq->use.num,
		.features = vq->features,
		.avail = vq->state.last_avail,
		.used = vq->state.last_avail,
		.version_1 = true,
		.state = MLX5_VQ_RDY,
		.vector = vq->vector,
		.tisn = vq->idx % 2 ? v->tisn : 0,
		.pd = v->keys.pd,
		.counters = vq->counters == MLX5_NO_OBJ ? 0 : vq->counters,
		.mkey = mr ? mr->mkey : 0,
		.desc_mkey = desc_mr ? desc_mr->mkey : 0,
		.desc = vq->use.desc,
		.driver = vq->use.driver,
		.device = vq->use.device,
	};

	memcpy(q.umem, vq->umem, sizeof(q.umem));
	return q;
}

int mlx5_vq_create(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	struct mlx5_virtq q;
	int err = memory_make(v, vq);

	if (!err && vq->counters == MLX5_NO_OBJ)
		err = mlx5_cmd_create_counters(v->hw, &vq->counters);
	if (err)
		return err;
	if (vq->unknown) /* [R2] */
		return refuse(-EIO, "queue %u: the device did not tell its position", vq->idx);
	if (v->acked)
		vq->features = mlx5_features_of(v->acked);
	q = mlx5_vq_describe(v, vq);
	q.mkey = q.desc_mkey = 0; /* [Q3] */
	err = mlx5_cmd_create_virtq(v->hw, &q, &vq->obj);
	if (err) {
		vq->obj = MLX5_NO_OBJ;
		return err;
	}
	vq->fw_state = MLX5_VQ_INIT;
	vq->changed = 0;
	return 0;
}

void mlx5_vq_release_keys(struct mlx5_vq *vq)
{
	mlx5_mr_put(vq->mr);
	mlx5_mr_put(vq->desc_mr);
	vq->mr = vq->desc_mr = NULL;
}

/* An object that the device will not destroy keeps its keys and its memory: it may still use
 * them. The device is beyond help then. */
void mlx5_vq_destroy(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	if (vq->obj == MLX5_NO_OBJ)
		return;
	if (vq->fw_state == MLX5_VQ_RDY)
		(void)mlx5_vq_stop(v, vq);
	if (vq->unknown)
		(void)mlx5_vq_look(v, vq);
	if (mlx5_cmd_destroy_object(v->hw, MLX5_OBJ_VIRTIO_NET_Q, vq->obj)) {
		hf_warn(v->dev.name, "%s", refuse_reason());
		return;
	}
	vq->obj = MLX5_NO_OBJ;
	vq->left = false;
	vq->nr_asks = 0;
	mlx5_vq_release_keys(vq);
	__atomic_store_n(&vq->parked, false, __ATOMIC_RELEASE);
	counters_destroy(v, vq);
}

bool mlx5_vq_fits(const struct mlx5_vdpa *v, const struct mlx5_vq *vq)
{
	return vq->obj != MLX5_NO_OBJ && vq->num == vq->use.num &&
	       vq->features == mlx5_features_of(v->acked) &&
	       (vq->fw_state == MLX5_VQ_INIT || (vq->fw_state == MLX5_VQ_RDY && v->set_up) ||
		(vq->fw_state == MLX5_VQ_SUSPEND && v->caps.freeze_to_rdy));
}

bool mlx5_vq_wants_to_run(const struct mlx5_vdpa *v, const struct mlx5_vq *vq)
{
	return vq->ready && vq->use.placed && !v->suspended && !vq->parked &&
	       mlx5_status(v) & VIRTIO_CONFIG_S_DRIVER_OK && vq->idx < 2 * v->pairs &&
	       vq->idx != mlx5_ctrl_idx(v) && mlx5_key_of(v, MLX5_GROUP_DATA) &&
	       (!v->caps.desc_mkey || mlx5_key_of(v, MLX5_GROUP_DESC));
}

void mlx5_vq_take(struct mlx5_vq *vq)
{
	if (mlx5_vq_runs(vq))
		return;
	vq->use = vq->set;
	vq->changed |= MLX5_VQ_ADDRS | MLX5_VQ_AVAIL_IDX | MLX5_VQ_USED_IDX;
}

void mlx5_vq_reset(struct mlx5_vq *vq)
{
	vq->set = (struct mlx5_vq_setup){.num = vq->set.num}; /* the size stays, [4-8] */
	vq->use = vq->set;
	vq->state = (struct vdpa_vq_state){0, 0};
	vq->cb = (struct vdpa_callback){NULL, NULL};
	vq->ready = vq->unknown = false;
	vq->left = vq->obj != MLX5_NO_OBJ && vq->fw_state == MLX5_VQ_RDY;
	vq->nr_asks = 0;
	__atomic_store_n(&vq->parked, false, __ATOMIC_RELEASE);
	__atomic_store_n(&vq->kicked, false, __ATOMIC_RELAXED);
}

struct worker *mlx5_vq_kick_worker(const struct mlx5_vdpa *v, const struct mlx5_vq *vq)
{
	return v->hw->ops->kick_worker ? v->hw->ops->kick_worker(v->hw, vq->idx) : v->worker;
}

/* [Q6] On return every kick until now was seen, or is told to be old. */
static void settle_kicks(struct mlx5_vdpa *v, struct mlx5_vq *vq) NO_TSA
{
	struct worker *w = mlx5_vq_kick_worker(v, vq);

	if (!w)
		return;
	if (w != v->worker)
		worker_lock(w);
	worker_settle(w);
	if (w != v->worker)
		worker_unlock(w);
}

/* D1 */
static int park(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	int err;

	settle_kicks(v, vq);
	err = mlx5_vq_stop(v, vq);
	if (err) {
		if (mlx5_vq_run(v, vq))
			mlx5_needs_reset(v);
		return err;
	}
	/* A kick that finds it parked clears the time, so the time comes first. */
	__atomic_store_n(&vq->parked_until, clock_now_ns() + v->park_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&vq->parked, true, __ATOMIC_RELEASE);
	worker_wake_in(v->worker, v->park_ns);
	return 0;
}

int mlx5_vq_position(struct mlx5_vdpa *v, struct mlx5_vq *vq, struct vdpa_vq_state *state)
{
	bool runs = mlx5_vq_runs(vq);
	int err = 0;

	if (runs && vdpa_deviates(&v->dev, VDPA_D1_BASE_SURVIVES_RESET) && v->caps.freeze_to_rdy &&
	    v->worker)
		err = park(v, vq);
	else if (runs || (vq->unknown && vq->obj != MLX5_NO_OBJ))
		err = mlx5_vq_look(v, vq);
	else if (vq->unknown)
		err = refuse(-EIO, "queue %u: the device did not tell its position", vq->idx);
	if (!err)
		*state = vq->state;
	return err;
}

void mlx5_vq_unpark(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	if (!vq->parked)
		return;
	__atomic_store_n(&vq->parked, false, __ATOMIC_RELEASE);
	if (!v->set_up || !mlx5_vq_wants_to_run(v, vq))
		return;
	if (mlx5_vq_run(v, vq)) {
		hf_warn(v->dev.name, "%s", refuse_reason());
		mlx5_needs_reset(v);
	}
}
