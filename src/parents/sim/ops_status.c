// SPDX-License-Identifier: BSD-3-Clause
/*
 * The parent operations that move a device between its states: status, reset, suspend, resume.
 * Each takes the worker locks of all queues.
 */
#include "ops.h"

#include <linux/virtio_config.h>
#include <string.h>

#include "base/trace.h"

/* From a reset until the first kick: tens of microseconds in most clients. */
#define RESTART_NS 200000

uint8_t vdpasim_op_get_status(struct vdpa_device *dev)
{
	return vdpasim_status_load(vdpasim_of(dev));
}

/* The device may set NEEDS_RESET between the client's reading and writing; the bit stays. */
static uint8_t status_replace(struct vdpasim *sim, uint8_t status)
{
	uint8_t old = vdpasim_status_load(sim), want;

	do {
		want = status | (old & VIRTIO_CONFIG_S_NEEDS_RESET);
	} while (!__atomic_compare_exchange_n(&sim->status, &old, want, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	HF_TRACE3(status, sim->dev.name, old, want);
	return old;
}

static void set_suspended(struct vdpasim *sim, bool suspended)
{
	__atomic_store_n(&sim->suspended, suspended, __ATOMIC_RELEASE);
}

void vdpasim_op_set_status(struct vdpa_device *dev, uint8_t status)
{
	struct vdpasim *sim = vdpasim_of(dev);
	bool ok = status & VIRTIO_CONFIG_S_DRIVER_OK;
	uint8_t old;

	vdpasim_lock_all(sim);
	old = status_replace(sim, status);
	/* [6-1], the quirk: writing DRIVER_OK again wakes a suspended device */
	if (ok && sim->suspended && !vdpa_deviates(dev, VDPA_D6_NO_HARMFUL_QUIRKS))
		set_suspended(sim, false);
	for (uint32_t i = 0; i < dev->nvqs; i++) {
		struct vdpasim_vq *vq = &sim->vqs[i];

		if (!ok) {
			vdpasim_vq_stop(vq);
			continue;
		}
		vdpasim_vq_unpark(vq);
		if (vdpa_deviates(dev, VDPA_D11_SETUP_IN_ANY_ORDER) &&
		    !(old & VIRTIO_CONFIG_S_DRIVER_OK))
			vdpasim_vq_start_by_client(vq);
		else
			vdpasim_vq_start(vq);
	}
	vdpasim_unlock_all(sim);
}

/* A client that resets a running device mostly starts it again at once: be awake by then. */
static void linger(struct vdpasim *sim)
{
	if (!(vdpasim_status_load(sim) & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	for (uint16_t i = 0; i < sim->nr_workers; i++)
		if (sim->workers[i].worker)
			worker_linger(sim->workers[i].worker, RESTART_NS);
}

void vdpasim_reset(struct vdpasim *sim)
{
	bool said = __atomic_exchange_n(&sim->dev.resetting, true, __ATOMIC_RELAXED);

	linger(sim);
	vdpasim_lock_all(sim);
	for (uint32_t i = 0; i < sim->dev.nvqs; i++)
		vdpasim_vq_reset(&sim->vqs[i]);
	memset(sim->group_asid, 0, sizeof(sim->group_asid)); /* [3-4] */
	set_suspended(sim, false);
	/* The kernel's simulator remembers a kick over a reset, even for its next client's
	 * RESUME. */
	if (!sim->strict)
		__atomic_store_n(&sim->kicked_suspended, false, __ATOMIC_RELAXED);
	__atomic_store_n(&sim->config_irq, false, __ATOMIC_RELAXED);
	sim->driver_features = 0;
	sim->type->reset(sim);
	sim->type->features_changed(sim);
	HF_TRACE3(status, sim->dev.name, vdpasim_status_load(sim), 0);
	__atomic_store_n(&sim->status, 0, __ATOMIC_RELEASE);
	sim->generation++;
	__atomic_store_n(&sim->dev.resetting, said, __ATOMIC_RELAXED);
	vdpasim_unlock_all(sim);
}

int vdpasim_op_reset(struct vdpa_device *dev)
{
	vdpasim_reset(vdpasim_of(dev));
	return 0;
}

int vdpasim_op_compat_reset(struct vdpa_device *dev, uint32_t flags)
{
	struct vdpasim *sim = vdpasim_of(dev);

	vdpasim_reset(sim);
	/* [7-4]: all address spaces, used or not */
	if ((flags & VDPA_RESET_F_CLEAN_MAP) && sim->one_to_one)
		for (uint32_t i = 0; i < dev->nas; i++)
			vdpasim_iommu_restore(sim, i);
	return 0;
}

int vdpasim_op_suspend(struct vdpa_device *dev)
{
	struct vdpasim *sim = vdpasim_of(dev);

	/* A reset suspends for the positions alone, and waits for nothing. */
	if (sim->type->drain && !vdpasim_is_resetting(sim))
		sim->type->drain(sim);
	vdpasim_lock_all(sim);
	set_suspended(sim, true);
	for (uint32_t i = 0; i < dev->nvqs; i++)
		vdpasim_vq_stop(&sim->vqs[i]);
	vdpasim_unlock_all(sim);
	return 0;
}

int vdpasim_op_resume(struct vdpa_device *dev)
{
	struct vdpasim *sim = vdpasim_of(dev);
	bool kicked;

	vdpasim_lock_all(sim);
	set_suspended(sim, false);
	kicked = __atomic_exchange_n(&sim->kicked_suspended, false, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < dev->nvqs; i++)
		vdpasim_vq_start(&sim->vqs[i]);
	/* While the workers are locked: what was kicked is looked at in one pass, not in as many as
	 * a race makes of it. */
	for (uint32_t i = 0; kicked && i < dev->nvqs; i++)
		vdpasim_vq_kick(&sim->vqs[i]);
	vdpasim_unlock_all(sim);
	return 0;
}
