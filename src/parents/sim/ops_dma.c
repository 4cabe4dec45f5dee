// SPDX-License-Identifier: BSD-3-Clause
/* The parent operations on what a device reaches: its dirty log, groups, mappings. */
#include "ops.h"

#include <errno.h>

#include "base/refuse.h"

/* ---- dirty log ---- */

void vdpasim_op_set_dirty_log(struct vdpa_device *dev, const struct vdpa_dirty_log *log)
{
	struct vdpasim *sim = vdpasim_of(dev);

	vdpasim_lock_all(sim);
	sim->log = *log;
	for (uint32_t i = 0; i < dev->nvqs; i++)
		vdpasim_vq_log(&sim->vqs[i]);
	vdpasim_unlock_all(sim);
}

void vdpasim_op_set_vq_log_addr(struct vdpa_device *dev, uint16_t idx, bool own, uint64_t addr)
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

int vdpasim_op_set_group_asid(struct vdpa_device *dev, uint32_t group, uint32_t asid)
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

int vdpasim_op_set_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_version *map)
{
	int err = check_asid(dev, asid);

	return err ? err : vdpasim_iommu_set_map(vdpasim_of(dev), asid, map);
}

int vdpasim_op_dma_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_entry *entry)
{
	int err = check_asid(dev, asid);

	return err ? err : vdpasim_iommu_map(vdpasim_of(dev), asid, entry);
}

int vdpasim_op_dma_unmap(struct vdpa_device *dev, uint32_t asid, uint64_t first, uint64_t last)
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

int vdpasim_op_reset_map(struct vdpa_device *dev, uint32_t asid)
{
	struct vdpasim *sim = vdpasim_of(dev);
	int err = check_asid(dev, asid);

	if (err)
		return err;
	forget_positions(sim);
	vdpasim_iommu_restore(sim, asid);
	return 0;
}

int vdpasim_op_bind_mm(struct vdpa_device *dev, struct memory_space *space)
{
	return vdpasim_iommu_bind(vdpasim_of(dev), space);
}

void vdpasim_op_unbind_mm(struct vdpa_device *dev)
{
	forget_positions(vdpasim_of(dev));
	(void)vdpasim_iommu_bind(vdpasim_of(dev), NULL); /* needs no memory */
}

void vdpasim_op_domain_changed(struct vdpa_device *dev)
{
	vdpasim_map_changed(vdpasim_of(dev));
}
