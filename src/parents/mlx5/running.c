// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queues that begin to run, and that stop: several at once, in waves of keys.parallel commands that
 * the device has under way together.
 *
 * R1. Of several queues, some may fail. Those that did not have changed; the caller looks at each
 *     one's state, or takes all of them down.
 * R2. A queue that stopped tells its position. If the device does not answer that, the position is
 *     unknown (mlx5_vq.unknown): it is asked for again before anybody is told, and a queue does not
 *     get a new object meanwhile. An old position would have the device do what it has done.
 * R3. An object that a reset could not stop may stop later, and tells where its client's ring
 *     stood. That is not the position of the next client's ring.
 */
#include <errno.h>

#include "base/log.h"
#include "base/refuse.h"
#include "driver.h"

static struct mlx5_mr *ref(struct mlx5_mr *mr)
{
	return mr ? mlx5_mr_get(mr) : NULL;
}

static void take_keys(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	struct mlx5_mr *mr = ref(mlx5_key_of(v, MLX5_GROUP_DATA));
	struct mlx5_mr *desc_mr = v->caps.desc_mkey ? ref(mlx5_key_of(v, MLX5_GROUP_DESC)) : NULL;

	mlx5_vq_release_keys(vq);
	vq->mr = mr;
	vq->desc_mr = desc_mr;
}

static size_t wave_len(const struct mlx5_vdpa *v)
{
	return v->keys.parallel ? v->keys.parallel : 1;
}

static void note(struct mlx5_vq *vq, const struct mlx5_virtq_query *query)
{
	vq->unknown = query->err && !vq->left;
	if (query->err)
		return;
	vq->fw_state = query->status.state;
	if (vq->left) /* [R3] */
		return;
	vq->state = (struct vdpa_vq_state){query->status.used, query->status.used};
}

int mlx5_vq_look(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	struct mlx5_virtq_query query = {.id = vq->obj};
	int err = mlx5_cmd_query_virtqs(v->hw, &query, 1);

	note(vq, &query);
	return err;
}

/* ---- run ---- */

static struct mlx5_virtq_change what_changes(const struct mlx5_vdpa *v, const struct mlx5_vq *vq)
{
	struct mlx5_virtq_change c = {.id = vq->obj, .select = vq->changed | MLX5_VQ_STATE};

	c.q = mlx5_vq_describe(v, vq);
	if (vq->mr != mlx5_key_of(v, MLX5_GROUP_DATA))
		c.select |= MLX5_VQ_MKEY;
	if (v->caps.desc_mkey && vq->desc_mr != mlx5_key_of(v, MLX5_GROUP_DESC))
		c.select |= MLX5_VQ_DESC_MKEY;
	return c;
}

static void runs_now(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	vq->fw_state = MLX5_VQ_RDY;
	vq->left = false;
	take_keys(v, vq);
	vq->changed = 0;
	/* A kick that came before the object ran, or before there was one, is not lost (D6). */
	if (__atomic_exchange_n(&vq->kicked, false, __ATOMIC_SEQ_CST))
		v->hw->ops->kick(v->hw, vq->idx);
}

int mlx5_vqs_run(struct mlx5_vdpa *v, struct mlx5_vq *const *vq, size_t nr)
{
	struct mlx5_virtq_change change[MLX5_PARALLEL_MAX];
	struct mlx5_vq *wave[MLX5_PARALLEL_MAX];
	int err = 0;

	for (size_t i = 0; !err && i < nr;) {
		size_t n = 0;

		for (; i < nr && n < wave_len(v); i++) {
			if (vq[i]->fw_state == MLX5_VQ_RDY)
				continue;
			if (vq[i]->unknown) /* [R2] */
				err = mlx5_vq_look(v, vq[i]);
			if (err)
				return err;
			change[n] = what_changes(v, vq[i]);
			wave[n++] = vq[i];
		}
		if (n)
			err = mlx5_cmd_modify_virtqs(v->hw, change, n);
		for (size_t k = 0; k < n; k++)
			if (!change[k].err)
				runs_now(v, wave[k]);
	}
	return err;
}

int mlx5_vq_run(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	return mlx5_vqs_run(v, &vq, 1);
}

/* ---- stop ---- */

static int stop_wave(struct mlx5_vdpa *v, struct mlx5_vq *const *vq, size_t n)
{
	struct mlx5_virtq_change change[MLX5_PARALLEL_MAX];
	struct mlx5_virtq_query query[MLX5_PARALLEL_MAX];
	int err = 0;

	for (size_t i = 0; i < n; i++)
		change[i] = (struct mlx5_virtq_change){
			.id = vq[i]->obj, .select = MLX5_VQ_STATE, .q = {.state = MLX5_VQ_SUSPEND}};
	mlx5_cmd_modify_virtqs(v->hw, change, n);
	for (size_t i = 0; i < n; i++) {
		if (!change[i].err)
			vq[i]->fw_state = MLX5_VQ_SUSPEND;
		query[i] = (struct mlx5_virtq_query){.id = vq[i]->obj};
	}
	mlx5_cmd_query_virtqs(v->hw, query, n);
	for (size_t i = n; i-- > 0;) {
		note(vq[i], &query[i]);
		if (vq[i]->fw_state == MLX5_VQ_RDY) {
			hf_warn(v->dev.name, "queue %u could not be stopped", vq[i]->idx);
			err = change[i].err;
		} else if (query[i].err) {
			err = query[i].err;
		}
	}
	return err;
}

int mlx5_vqs_stop(struct mlx5_vdpa *v, struct mlx5_vq *const *vq, size_t nr)
{
	struct mlx5_vq *wave[MLX5_PARALLEL_MAX];
	int err = 0;

	for (size_t i = 0; i < nr;) {
		size_t n = 0;
		int e = 0;

		for (; i < nr && n < wave_len(v); i++)
			if (vq[i]->obj != MLX5_NO_OBJ && vq[i]->fw_state == MLX5_VQ_RDY)
				wave[n++] = vq[i];
		if (n)
			e = stop_wave(v, wave, n);
		err = err ? err : e;
	}
	return err;
}

int mlx5_vq_stop(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	return mlx5_vqs_stop(v, &vq, 1);
}
