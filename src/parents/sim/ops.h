// SPDX-License-Identifier: BSD-3-Clause
/*
 * Parent operations that ops.c puts into its table and other files define. What each does and
 * returns stands in include/holdfast/vdpa.h. Thread rule: the device lock is held.
 */
#ifndef HOLDFAST_PARENTS_SIM_OPS_H
#define HOLDFAST_PARENTS_SIM_OPS_H

#include "sim.h"

static inline uint8_t vdpasim_status_load(const struct vdpasim *sim)
{
	return __atomic_load_n(&sim->status, __ATOMIC_ACQUIRE);
}

/* status: ops_status.c */
uint8_t vdpasim_op_get_status(struct vdpa_device *dev);
void vdpasim_op_set_status(struct vdpa_device *dev, uint8_t status);
int vdpasim_op_reset(struct vdpa_device *dev);
int vdpasim_op_compat_reset(struct vdpa_device *dev, uint32_t flags);
int vdpasim_op_suspend(struct vdpa_device *dev);
int vdpasim_op_resume(struct vdpa_device *dev);

/* the dirty log, mappings: ops_dma.c */
void vdpasim_op_set_dirty_log(struct vdpa_device *dev, const struct vdpa_dirty_log *log);
void vdpasim_op_set_vq_log_addr(struct vdpa_device *dev, uint16_t idx, bool own, uint64_t addr);
int vdpasim_op_set_group_asid(struct vdpa_device *dev, uint32_t group, uint32_t asid);
int vdpasim_op_set_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_version *map);
int vdpasim_op_dma_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_entry *entry);
int vdpasim_op_dma_unmap(struct vdpa_device *dev, uint32_t asid, uint64_t first, uint64_t last);
int vdpasim_op_reset_map(struct vdpa_device *dev, uint32_t asid);
int vdpasim_op_bind_mm(struct vdpa_device *dev, struct memory_space *space);
void vdpasim_op_unbind_mm(struct vdpa_device *dev);
void vdpasim_op_domain_changed(struct vdpa_device *dev);

#endif
