// SPDX-License-Identifier: BSD-3-Clause
/*
 * The parent operations. Each is a few lines that take the worker lock of the queue concerned, or
 * of all; which operations a device has depends on its options and is settled once, when it is
 * made.
 */
#include "sim.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "base/trace.h"

/* From a reset until the first kick: tens of microseconds in most clients. */
#define RESTART_NS 200000

static uint8_t status_load(const struct vdpasim *sim)
{
	return __atomic_load_n(&sim->status, __ATOMIC_ACQUIRE);
}

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
	bool running, movable = !vdpa_deviates(dev, VDPA_D6_NO_HARMFUL_QUIRKS);
	int err = 0;

	vdpasim_lock(vq->sw);
	running = ring_is_started(vq->ring);
	/* The kernel's simulator moves a ring under its own feet, [6-1]. */
	if (running && movable)
		vdpasim_vq_stop(vq);
	if (running && !movable) {
		err = refuse(-EBUSY, "queue %u is running: its position cannot be set", idx);
	} else {
		/* Going on where it stopped, it still owes its driver a look; anywhere else it does
		 * not. */
		if (vq->state_set)
			vq->owed &= memcmp(&vq->state, state, sizeof(*state)) == 0;
		else
			vq->owed = vq->left_owed && memcmp(&vq->left, state, sizeof(*state)) == 0;
		if (sim->strict) /* where the used index stands is not changed */
			vq->state.last_avail = state->last_avail;
		else
			vq->state = *state;
		vq->state_set = true;
		vq->left_owed = false;
		if (running)
			vdpasim_vq_start(vq);
	}
	vdpasim_unlock(vq->sw);
	return err;
}

static int op_get_vq_state(struct vdpa_device *dev, uint16_t idx, struct vdpa_vq_state *state)
{
	struct vdpasim *sim = vdpasim_of(dev);
	struct vdpasim_vq *vq = &sim->vqs[idx];

	vdpasim_lock(vq->sw);
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
	return status_load(sim) & VIRTIO_CONFIG_S_DRIVER_OK ? (uint16_t)sim->vqs[idx].set.num
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

static uint8_t op_get_status(struct vdpa_device *dev)
{
	return status_load(vdpasim_of(dev));
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

/* The device may set NEEDS_RESET between the client's reading and writing; the bit stays. */
static uint8_t status_replace(struct vdpasim *sim, uint8_t status)
{
	uint8_t old = status_load(sim), want;

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

static void op_set_status(struct vdpa_device *dev, uint8_t status)
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
	if (!(status_load(sim) & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	for (uint16_t i = 0; i < sim->nr_workers; i++)
		if (sim->workers[i].worker)
			worker_linger(sim->workers[i].worker, RESTART_NS);
}

void vdpasim_reset(struct vdpasim *sim)
{
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
	HF_TRACE3(status, sim->dev.name, status_load(sim), 0);
	__atomic_store_n(&sim->status, 0, __ATOMIC_RELEASE);
	sim->generation++;
	vdpasim_unlock_all(sim);
}

static int op_reset(struct vdpa_device *dev)
{
	vdpasim_reset(vdpasim_of(dev));
	return 0;
}

static int op_compat_reset(struct vdpa_device *dev, uint32_t flags)
{
	struct vdpasim *sim = vdpasim_of(dev);
	int err = 0;

	vdpasim_reset(sim);
	/* [7-4]: all address spaces, used or not */
	for (uint32_t i = 0; (flags & VDPA_RESET_F_CLEAN_MAP) && i < dev->nas; i++) {
		int e = sim->one_to_one ? vdpasim_iommu_restore(sim, i) : 0;

		err = err ? err : e;
	}
	return err;
}

static int op_suspend(struct vdpa_device *dev)
{
	struct vdpasim *sim = vdpasim_of(dev);

	vdpasim_lock_all(sim);
	set_suspended(sim, true);
	for (uint32_t i = 0; i < dev->nvqs; i++)
		vdpasim_vq_stop(&sim->vqs[i]);
	vdpasim_unlock_all(sim);
	return 0;
}

static int op_resume(struct vdpa_device *dev)
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

/* ---- dirty log ---- */

static void op_set_dirty_log(struct vdpa_device *dev, const struct vdpa_dirty_log *log)
{
	struct vdpasim *sim = vdpasim_of(dev);

	vdpasim_lock_all(sim);
	sim->log = *log;
	for (uint32_t i = 0; i < dev->nvqs; i++)
		vdpasim_vq_log(&sim->vqs[i]);
	vdpasim_unlock_all(sim);
}

static void op_set_vq_log_addr(struct vdpa_device *dev, uint16_t idx, bool own, uint64_t addr)
{
	struct vdpasim_vq *vq = &vdpasim_of(dev)->vqs[idx];

	vdpasim_lock(vq->sw);
	vq->log_own = own;
	vq->log_addr = addr;
	vdpasim_vq_log(vq);
	vdpasim_unlock(vq->sw);
}

/* ---- DMA ---- */

static int check_asid(struct vdpa_device *dev, uint32_t asid)
{
	if (asid >= dev->nas)
		return refuse(-EINVAL, "no address space %u, there are %u", asid, dev->nas);
	return 0;
}

static int op_set_group_asid(struct vdpa_device *dev, uint32_t group, uint32_t asid)
{
	struct vdpasim *sim = vdpasim_of(dev);
	int err = check_asid(dev, asid);

	if (err)
		return err;
	if (group >= dev->ngroups)
		return refuse(-EINVAL, "no group %u, there are %u", group, dev->ngroups);
	vdpasim_lock_all(sim);
	sim->group_asid[group] = asid;
	for (uint32_t i = 0; i < dev->nvqs; i++)
		vdpasim_vq_rebind(&sim->vqs[i]);
	vdpasim_unlock_all(sim);
	vdpasim_map_changed(sim); /* each queue sees another map */
	return 0;
}

static int op_set_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_version *map)
{
	int err = check_asid(dev, asid);

	return err ? err : vdpasim_iommu_set_map(vdpasim_of(dev), asid, map);
}

static int op_dma_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_entry *entry)
{
	int err = check_asid(dev, asid);

	return err ? err : vdpasim_iommu_map(vdpasim_of(dev), asid, entry);
}

static int op_dma_unmap(struct vdpa_device *dev, uint32_t asid, uint64_t first, uint64_t last)
{
	int err = check_asid(dev, asid);

	return err ? err : vdpasim_iommu_unmap(vdpasim_of(dev), asid, first, last);
}

/* What a ring owed its driver belongs to one client; this is where the client's traces are
 * wiped. */
static void forget_positions(struct vdpasim *sim)
{
	vdpasim_lock_all(sim);
	for (uint32_t i = 0; i < sim->dev.nvqs; i++) {
		sim->vqs[i].left = (struct vdpa_vq_state){0, 0};
		sim->vqs[i].left_owed = false;
	}
	vdpasim_unlock_all(sim);
}

static int op_reset_map(struct vdpa_device *dev, uint32_t asid)
{
	struct vdpasim *sim = vdpasim_of(dev);
	int err = check_asid(dev, asid);

	if (err)
		return err;
	forget_positions(sim);
	return vdpasim_iommu_restore(sim, asid);
}

static int op_bind_mm(struct vdpa_device *dev, struct memory_space *space)
{
	return vdpasim_iommu_bind(vdpasim_of(dev), space);
}

static void op_unbind_mm(struct vdpa_device *dev)
{
	forget_positions(vdpasim_of(dev));
	if (vdpasim_iommu_bind(vdpasim_of(dev), NULL))
		hf_err(dev->name, "no memory to leave the client's address space");
}

static void op_domain_changed(struct vdpa_device *dev)
{
	vdpasim_map_changed(vdpasim_of(dev));
}

static int op_get_vendor_vq_stats(struct vdpa_device *dev, uint16_t idx, struct vdpa_vq_stat *stats)
{
	struct vdpasim *sim = vdpasim_of(dev);

	return sim->type->stats(sim, idx, stats);
}

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
	.get_status = op_get_status,
	.set_status = op_set_status,
	.reset = op_reset,
	.compat_reset = op_compat_reset,
	.suspend = op_suspend,
	.resume = op_resume,
	.get_config_size = op_get_config_size,
	.get_config = op_get_config,
	.set_config = op_set_config,
	.get_generation = op_get_generation,
	.get_iova_range = op_get_iova_range,
	.set_dirty_log = op_set_dirty_log,
	.set_vq_log_addr = op_set_vq_log_addr,
	.set_group_asid = op_set_group_asid,
	.set_map = op_set_map,
	.dma_map = op_dma_map,
	.dma_unmap = op_dma_unmap,
	.reset_map = op_reset_map,
	.bind_mm = op_bind_mm,
	.unbind_mm = op_unbind_mm,
	.free = vdpasim_free,
	.get_vendor_vq_stats = op_get_vendor_vq_stats,
	.domain_changed = op_domain_changed,
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
