// SPDX-License-Identifier: BSD-3-Clause
/*
 * All queues of a device at once. Objects depend on one another: a receive queue's object is in the
 * table, the table in the TIR, the TIR in the flows. So queues can only be taken down from the top.
 *
 * Objects are made ahead: when the device is made, and after a reset, with the size and the
 * features of the last client. A client that sets the same finds them ready. With `rebuild changed`
 * a reset leaves objects that can run again where they are, suspended: the command that lets one
 * run carries all that the next client has set. They hold nobody's keys meanwhile.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "driver.h"

static int create_all(struct mlx5_vdpa *v)
{
	int err = 0;

	for (uint16_t i = 0; !err && i < mlx5_nr_data(v); i++)
		if (v->vqs[i].obj == MLX5_NO_OBJ)
			err = mlx5_vq_create(v, &v->vqs[i]);
	return err;
}

static void destroy_all(struct mlx5_vdpa *v)
{
	for (uint16_t i = mlx5_nr_data(v); i-- > 0;)
		mlx5_vq_destroy(v, &v->vqs[i]);
}

void mlx5_prepare(struct mlx5_vdpa *v)
{
	if (create_all(v)) {
		hf_dbg(v->dev.name, "queues are not made ahead: %s", refuse_reason());
		refuse_clear();
	}
}

int mlx5_run_all(struct mlx5_vdpa *v)
{
	struct mlx5_vq *vq[MLX5_PAIRS_MAX];
	int err = 0;

	for (uint16_t first = 0; !err && first < 2; first++) {
		size_t n = 0;

		for (uint16_t i = first; i < mlx5_nr_data(v); i = (uint16_t)(i + 2))
			if (v->vqs[i].obj != MLX5_NO_OBJ && mlx5_vq_wants_to_run(v, &v->vqs[i]))
				vq[n++] = &v->vqs[i];
		err = mlx5_vqs_run(v, vq, n);
	}
	return err;
}

int mlx5_stop_all(struct mlx5_vdpa *v)
{
	struct mlx5_vq *vq[MLX5_PAIRS_MAX];
	int err = 0;

	for (uint16_t first = 2; first-- > 0;) {
		size_t n = 0;
		int e;

		for (uint16_t i = first; i < mlx5_nr_data(v); i = (uint16_t)(i + 2))
			vq[n++] = &v->vqs[i];
		e = mlx5_vqs_stop(v, vq, n);
		err = err ? err : e;
	}
	return err;
}

/* What the device would not destroy may run with another client's setting. */
static int check_left(const struct mlx5_vdpa *v)
{
	for (uint16_t i = 0; i < mlx5_nr_data(v); i++)
		if (v->vqs[i].obj != MLX5_NO_OBJ && !mlx5_vq_fits(v, &v->vqs[i]))
			return refuse(-EBUSY, "queue %u: the device keeps its former object", i);
	return 0;
}

/* Why is the caller's to hear, whatever the device says to the rest. */
static int take_down(struct mlx5_vdpa *v, int err)
{
	char reason[256] = "";

	(void)strncpy(reason, refuse_words(err), sizeof(reason) - 1);
	mlx5_teardown(v);
	return refuse(err, "%s", reason);
}

int mlx5_setup(struct mlx5_vdpa *v)
{
	bool fit = true;
	int err;

	for (uint16_t i = 0; i < mlx5_nr_data(v); i++)
		fit &= mlx5_vq_fits(v, &v->vqs[i]);
	if (!fit)
		mlx5_teardown(v);
	err = check_left(v);
	if (!err)
		err = create_all(v);
	if (!err && !v->set_up)
		err = mlx5_steering_create(v);
	if (!err) {
		v->set_up = true;
		err = mlx5_run_all(v);
	}
	return err ? take_down(v, err) : 0;
}

void mlx5_teardown(struct mlx5_vdpa *v)
{
	(void)mlx5_stop_all(v);
	mlx5_steering_destroy(v);
	destroy_all(v);
	v->set_up = false;
}

/* Do all objects stand still in a state out of which they can run again? */
static bool all_rest(const struct mlx5_vdpa *v)
{
	bool rest = v->caps.freeze_to_rdy;

	for (uint16_t i = 0; i < mlx5_nr_data(v); i++)
		rest &= v->vqs[i].obj != MLX5_NO_OBJ && (v->vqs[i].fw_state == MLX5_VQ_INIT ||
							 v->vqs[i].fw_state == MLX5_VQ_SUSPEND);
	return rest;
}

int mlx5_rest(struct mlx5_vdpa *v)
{
	(void)mlx5_stop_all(v);
	mlx5_steering_destroy(v);
	v->set_up = false;
	if (v->keys.rebuild == MLX5_REBUILD_FULL || !all_rest(v))
		destroy_all(v);
	for (uint16_t i = 0; i < mlx5_nr_data(v); i++)
		if (v->vqs[i].obj != MLX5_NO_OBJ && v->vqs[i].fw_state == MLX5_VQ_RDY)
			return refuse(-EIO, "queue %u: the device does not stop it", i);
	for (uint16_t i = 0; all_rest(v) && i < mlx5_nr_data(v); i++)
		mlx5_vq_release_keys(&v->vqs[i]);
	return 0;
}

static bool one_is_beyond_resume(const struct mlx5_vdpa *v)
{
	for (uint16_t i = 0; i < mlx5_nr_data(v); i++) {
		const struct mlx5_vq *vq = &v->vqs[i];

		if (mlx5_vq_wants_to_run(v, vq) && !mlx5_vq_fits(v, vq))
			return true;
	}
	return false;
}

int mlx5_restart(struct mlx5_vdpa *v)
{
	return one_is_beyond_resume(v) ? mlx5_setup(v) : mlx5_run_all(v);
}

int mlx5_set_pairs(struct mlx5_vdpa *v, uint16_t pairs)
{
	uint16_t old = v->pairs;
	int err;

	if (pairs == old)
		return 0;
	v->pairs = pairs;
	if (!v->set_up)
		return 0;
	/* New queues run before the table leads to them, old ones stop after it does not. */
	err = mlx5_restart(v);
	if (!err)
		err = mlx5_steering_set_pairs(v);
	if (err) {
		v->pairs = old;
		/* The table may have the new queues. If none can be resumed, nothing is there. */
		if (v->set_up ? mlx5_steering_set_pairs(v) : mlx5_setup(v))
			mlx5_needs_reset(v);
	}
	for (uint16_t i = (uint16_t)(2 * v->pairs); i < mlx5_nr_data(v); i++)
		(void)mlx5_vq_stop(v, &v->vqs[i]);
	return err;
}
