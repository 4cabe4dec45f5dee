// SPDX-License-Identifier: BSD-3-Clause
/*
 * The parent operations. Each is a few lines that take the worker lock of the queue concerned, or
 * of all; which operations a device has depends on its options and is settled once, when it is
 * made. Those on states stand in ops_status.c, those on mappings in ops_dma.c.
 */
#include "ops.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "base/trace.h"

/* ---- virtqueues ---- */

static int op_set_vq_address(struct vdpa_device *dev, uint16_t idx, uint64_t desc, uint64_t driver,
			     uint64_t device)
{
	struct vdpasim_vq *vq = &vdpasim_of(dev)->vqs[idx];

	vdpasim_lock(vq->sw);
	vdpasim_vq_set_address(vq, desc, driver, device);
	vdpasim_unlock(vq->sw);
	return 0;
}

static void op_set_vq_num(struct vdpa_device *dev, uint16_t idx, uint32_t num)
{
	struct vdpasim_vq *vq = &vdpasim_of(dev)->vqs[idx];

	vdpasim_lock(vq->sw);
	vdpasim_vq_set_num(vq, num);
	vdpasim_unlock(vq->sw);
}

static void op_kick_vq(struct vdpa_device *dev, uint16_t idx)
{
	vdpasim_vq_kick(&vdpasim_of(dev)->vqs[idx]);
}

static void op_set_vq_cb(struct vdpa_device *dev, uint16_t idx, const struct vdpa_callback *cb)
{
	struct vdpasim_vq *vq = &vdpasim_of(dev)->vqs[idx];

	vdpasim_lock(vq->sw);
	vq->cb = *cb;
	vdpasim_unlock(vq->sw);
}

static void op_set_vq_ready(struct vdpa_device *dev, uint16_t idx, bool ready)
{
	struct vdpasim_vq *vq = &vdpasim_of(dev)->vqs[idx];

	/* Worker 0 as well: it is the one that gives the config interrupt. */
	if (ready && (!vdpasim_worker_get(vq->sw) || !vdpasim_worker_get(&vq->sim->workers[0])))
		return; /* logged; the client sees a queue that is not ready */
	vdpasim_lock(vq->sw);
	if (!ready) {
		vq->ready = false;
		vdpasim_vq_stop(vq);
	} else if (!vq->ready) {
		vq->ready = true;
		if (vq->sim->strict) /* a ring that has lost chains begins anew */
			vq->state.last_used = vq->state.last_avail;
		vdpasim_vq_start_by_client(vq);
	} else {
		vdpasim_vq_unpark(vq);
	}
	vdpasim_unlock(vq->sw);
}

static bool op_get_vq_ready(struct vdpa_device *dev, uint16_t idx)
{
	return vdpasim_of(dev)->vqs[idx].ready;
}

static int op_set_vq_state(struct vdpa_device *dev, uint16_t idx, const struct vdpa_vq_state *state)
{
	struct vdpasim *sim = vdpasim_of(dev);
	struct vdpasim_vq *vq = &sim->vqs[idx];
	bool running, kicked = false, movable = !vdpa_deviates(dev, VDPA_D6_NO_HARMFUL_QUIRKS);
	int err = 0;

	vdpasim_lock(vq->sw);
	running = ring_is_started(vq->ring);
	/* The kernel's simulator moves a ring under its own feet, [6-1]. A kick that the worker has
	 * not seen yet is for the ring wherever it stands. */
	if (running && movable) {
		kicked = vq->pending || __atomic_load_n(&vq->kicked, __ATOMIC_RELAXED);
		vdpasim_vq_stop(vq);
	}
	if (running && !movable) {
		err = refuse(-EBUSY, "queue %u is running: its position cannot be set", idx);
	} else {
		vdpasim_vq_set_state(vq, state);
		if (running)
			vdpasim_vq_start(vq);
		vq->pending |= kicked && running;
	}
	vdpasim_unlock(vq->sw);
	return err;
}

static int op_get_vq_state(struct vdpa_device *dev, uint16_t idx, struct vdpa_vq_state *state)
{
	struct vdpasim *sim = vdpasim_of(dev);
	struct vdpasim_vq *vq = &sim->vqs[idx];

	vdpasim_lock(vq->sw);
	vdpasim_vq_publish_late(vq);
	*state = vdpasim_vq_state(vq);
	if (vdpa_deviates(dev, VDPA_D1_BASE_SURVIVES_RESET))
		vdpasim_vq_park(vq);
	vdpasim_unlock(vq->sw);
	return 0;
}

static struct worker *op_get_vq_worker(struct vdpa_device *dev, uint16_t idx)
{
	return vdpasim_worker_get(vdpasim_of(dev)->vqs[idx].sw);
}

static uint32_t op_get_vq_group(struct vdpa_device *dev, uint16_t idx)
{
	struct vdpasim *sim = vdpasim_of(dev);

	return sim->mapping == VDPA_MAPPING_PLATFORM ? 0 : sim->type->vq_group(sim, idx);
}

static uint32_t op_get_vq_desc_group(struct vdpa_device *dev, uint16_t idx)
{
	return vdpasim_of(dev)->type->vq_desc_group(vdpasim_of(dev), idx);
}

static uint16_t op_get_vq_num_max(struct vdpa_device *dev)
{
	return vdpasim_of(dev)->vq_size;
}

static uint16_t op_get_vq_num_min(struct vdpa_device *dev)
{
	return 1;
}

static uint16_t op_get_vq_size(struct vdpa_device *dev, uint16_t idx)
{
	struct vdpasim *sim = vdpasim_of(dev);

	/* [1-40] */
	return vdpasim_status_load(sim) & VIRTIO_CONFIG_S_DRIVER_OK
		       ? (uint16_t)sim->vqs[idx].set.num
		       : sim->vq_size;
}

/* ---- device ---- */

static uint64_t op_get_device_features(struct vdpa_device *dev)
{
	return vdpasim_of(dev)->features;
}

static uint64_t op_get_backend_features(struct vdpa_device *dev)
{
	return VDPA_BACKEND_F_ENABLE_AFTER_DRIVER_OK;
}

static void set_features(struct vdpasim *sim, uint64_t features)
{
	vdpasim_lock_all(sim);
	sim->driver_features = features;
	sim->type->features_changed(sim);
	vdpasim_unlock_all(sim);
}

static int op_set_driver_features(struct vdpa_device *dev, uint64_t features)
{
	struct vdpasim *sim = vdpasim_of(dev);

	if (!(features & (1ULL << VIRTIO_F_ACCESS_PLATFORM)))
		return refuse(-EINVAL, "features 0x%llx lack ACCESS_PLATFORM (bit 33)",
			      (unsigned long long)features);
	set_features(sim, features & sim->features);
	return 0;
}

static uint64_t op_get_driver_features(struct vdpa_device *dev)
{
	return vdpasim_of(dev)->driver_features;
}

static void op_set_config_cb(struct vdpa_device *dev, const struct vdpa_callback *cb)
{
	struct vdpasim *sim = vdpasim_of(dev);

	if (sim->strict)
		return; /* [7-9]: never calls it */
	vdpasim_lock(&sim->workers[0]);
	sim->config_cb = *cb;
	vdpasim_unlock(&sim->workers[0]);
}

static uint32_t op_get_device_id(struct vdpa_device *dev)
{
	return vdpasim_of(dev)->type->device_id;
}

static uint32_t op_get_vendor_id(struct vdpa_device *dev)
{
	return 0;
}

static size_t op_get_config_size(struct vdpa_device *dev)
{
	return vdpasim_of(dev)->type->config_size;
}

static void op_get_config(struct vdpa_device *dev, size_t off, void *buf, size_t len)
{
	struct vdpasim *sim = vdpasim_of(dev);

	sim->type->get_config(sim, off, buf, len);
}

static void op_set_config(struct vdpa_device *dev, size_t off, const void *buf, size_t len)
{
	struct vdpasim *sim = vdpasim_of(dev);

	sim->type->set_config(sim, off, buf, len);
}

static uint32_t op_get_generation(struct vdpa_device *dev)
{
	return vdpasim_of(dev)->generation;
}

static struct vdpa_iova_range op_get_iova_range(struct vdpa_device *dev)
{
	return (struct vdpa_iova_range){0, UINT64_MAX};
}

static int op_get_vendor_vq_stats(struct vdpa_device *dev, uint16_t idx, struct vdpa_vq_stat *stats)
{
	struct vdpasim *sim = vdpasim_of(dev);

	return sim->type->stats(sim, idx, stats);
}

/* ---- the end ---- */

/* Dropped last, by the bus: workers first, so that nothing runs while the rest goes. */
void vdpasim_free(struct vdpa_device *dev)
{
	struct vdpasim *sim = vdpasim_of(dev);

	vdpasim_stop_workers(sim);
	for (uint16_t i = 0; i < sim->nr_workers; i++)
		free(sim->workers[i].vqs);
	for (uint32_t i = 0; sim->vqs && i < dev->nvqs; i++)
		ring_destroy(sim->vqs[i].ring);
	if (sim->priv)
		sim->type->destroy(sim);
	vdpasim_iommu_fini(sim);
	free(sim->vqs);
	free(sim);
}

/* ---- the table ---- */

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
	.get_vq_num_min = op_get_vq_num_min,
	.get_vq_size = op_get_vq_size,
	.get_device_id = op_get_device_id,
	.get_vendor_id = op_get_vendor_id,
	.get_status = vdpasim_op_get_status,
	.set_status = vdpasim_op_set_status,
	.reset = vdpasim_op_reset,
	.compat_reset = vdpasim_op_compat_reset,
	.suspend = vdpasim_op_suspend,
	.resume = vdpasim_op_resume,
	.get_config_size = op_get_config_size,
	.get_config = op_get_config,
	.set_config = op_set_config,
	.get_generation = op_get_generation,
	.get_iova_range = op_get_iova_range,
	.set_dirty_log = vdpasim_op_set_dirty_log,
	.set_vq_log_addr = vdpasim_op_set_vq_log_addr,
	.set_group_asid = vdpasim_op_set_group_asid,
	.set_map = vdpasim_op_set_map,
	.dma_map = vdpasim_op_dma_map,
	.dma_unmap = vdpasim_op_dma_unmap,
	.reset_map = vdpasim_op_reset_map,
	.bind_mm = vdpasim_op_bind_mm,
	.unbind_mm = vdpasim_op_unbind_mm,
	.free = vdpasim_free,
	.get_vendor_vq_stats = op_get_vendor_vq_stats,
	.domain_changed = vdpasim_op_domain_changed,
};

void vdpasim_ops_fill(struct vdpasim *sim, const struct vdpa_dev_config *config)
{
	struct vdpa_config_ops *ops = &sim->ops;

	*ops = all_ops;
	if (sim->mapping != VDPA_MAPPING_SET_MAP)
		ops->set_map = NULL;
	if (sim->mapping != VDPA_MAPPING_DMA_MAP) {
		ops->dma_map = NULL;
		ops->dma_unmap = NULL;
	}
	if (!config->reset_map || sim->mapping == VDPA_MAPPING_PLATFORM)
		ops->reset_map = NULL;
	if (!config->compat_reset)
		ops->compat_reset = NULL;
	if (!sim->type->vq_desc_group || sim->strict || sim->mapping == VDPA_MAPPING_PLATFORM)
		ops->get_vq_desc_group = NULL;
	if (sim->mapping == VDPA_MAPPING_PLATFORM)
		ops->set_group_asid = NULL;
	if (sim->mapping != VDPA_MAPPING_PLATFORM)
		ops->domain_changed = NULL;
	if (sim->strict && sim->mapping != VDPA_MAPPING_DMA_MAP)
		ops->get_vq_size = NULL; /* [1-40] */
	if (!sim->type->stats || (sim->strict && !sim->type->strict_stats))
		ops->get_vendor_vq_stats = NULL;
	if (config->dirty_log_off) {
		ops->set_dirty_log = NULL;
		ops->set_vq_log_addr = NULL;
	}
	if (config->memory != MEMORY_VA) {
		ops->bind_mm = NULL;
		ops->unbind_mm = NULL;
	}
	sim->dev.ops = ops;
}
