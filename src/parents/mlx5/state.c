// SPDX-License-Identifier: BSD-3-Clause
/*
 * What every other file of the driver calls, and what calls none of them: the driver's lock, and
 * the end of a device that is beyond help.
 */
#include <linux/virtio_config.h>

#include "base/log.h"
#include "base/trace.h"
#include "driver.h"

/* Control threads make the worker and lock it, all under the device lock. */
void mlx5_lock(struct mlx5_vdpa *v) NO_TSA
{
	if (v->worker)
		worker_lock(v->worker);
}

void mlx5_unlock(struct mlx5_vdpa *v) NO_TSA
{
	if (!v->worker)
		return;
	if (v->hw->lost)
		mlx5_look(v);
	if (!STAILQ_EMPTY(&v->keys.dead))
		worker_wake_in(v->worker, v->keys.defer_ns);
	worker_unlock(v->worker);
}

void mlx5_needs_reset(struct mlx5_vdpa *v)
{
	uint8_t old = __atomic_fetch_or(&v->status, VIRTIO_CONFIG_S_NEEDS_RESET, __ATOMIC_ACQ_REL);

	if (old & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	HF_TRACE3(status, v->dev.name, old, old | VIRTIO_CONFIG_S_NEEDS_RESET);
	if (v->config_cb.fn)
		v->config_cb.fn(v->config_cb.arg);
}

void mlx5_look(struct mlx5_vdpa *v)
{
	if (v->hw->ops->is_well && !v->hw->ops->is_well(v->hw))
		v->hw->lost = true;
	if (!v->hw->lost)
		return;
	if (!v->told_lost)
		hf_err(v->dev.name, "the card does not answer any more");
	v->told_lost = true;
	if (mlx5_status(v) & VIRTIO_CONFIG_S_DRIVER_OK)
		mlx5_needs_reset(v);
}
