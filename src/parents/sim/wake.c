// SPDX-License-Identifier: BSD-3-Clause
/*
 * How others reach a worker: they lock it, they wake it, they tell it that the map has changed or
 * that the device needs a reset. Everything above calls this file, and it calls base/worker.h only.
 */
#include "sim.h"

#include <linux/virtio_config.h>

#include "base/trace.h"
#include "ring/access.h"

/* Control threads make workers and lock them, all under the device lock: no worker appears between
 * the two. */
void vdpasim_lock(struct vdpasim_worker *sw) NO_TSA
{
	if (sw->worker)
		worker_lock(sw->worker);
}

void vdpasim_unlock(struct vdpasim_worker *sw) NO_TSA
{
	if (sw->worker)
		worker_unlock(sw->worker);
}

/* In order of number; no worker ever waits for another's lock. */
void vdpasim_lock_all(struct vdpasim *sim)
{
	for (uint16_t i = 0; i < sim->nr_workers; i++)
		vdpasim_lock(&sim->workers[i]);
}

void vdpasim_unlock_all(struct vdpasim *sim)
{
	for (uint16_t i = sim->nr_workers; i-- > 0;)
		vdpasim_unlock(&sim->workers[i]);
}

void vdpasim_wake(struct vdpasim_worker *sw)
{
	struct worker *w = __atomic_load_n(&sw->worker, __ATOMIC_ACQUIRE);

	if (w && !worker_is_current(w))
		worker_wake(w);
}

void vdpasim_map_changed(struct vdpasim *sim)
{
	/* the map first, then the flag: either we see it, or the worker sees the map */
	access_full_fence();
	if (!__atomic_exchange_n(&sim->map_waiters, false, __ATOMIC_ACQ_REL))
		return;
	for (uint16_t i = 0; i < sim->nr_workers; i++) {
		struct vdpasim_worker *sw = &sim->workers[i];

		vdpasim_lock(sw);
		for (uint32_t j = 0; j < sw->nr_vqs; j++) {
			sw->vqs[j]->pending |= sw->vqs[j]->stalled;
			sw->vqs[j]->stalled = false;
		}
		vdpasim_unlock(sw);
		vdpasim_wake(sw);
	}
}

void vdpasim_needs_reset(struct vdpasim *sim)
{
	uint8_t old =
		__atomic_fetch_or(&sim->status, VIRTIO_CONFIG_S_NEEDS_RESET, __ATOMIC_ACQ_REL);

	if (old & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	HF_TRACE3(status, sim->dev.name, old, old | VIRTIO_CONFIG_S_NEEDS_RESET);
	__atomic_store_n(&sim->config_irq, true, __ATOMIC_RELEASE);
	/* Also where this is worker 0 itself: its poll looks at the flag after the batch. */
	vdpasim_wake(&sim->workers[0]);
}
