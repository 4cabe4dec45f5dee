// SPDX-License-Identifier: BSD-3-Clause
/*
 * The management device `mlx5`: makes network cards whose queues run on a device with an IOMMU of
 * its own, a model of its firmware or a card. docs/mlx5.md. Used by the table of parents. Thread
 * rule: control threads.
 */
#ifndef HOLDFAST_PARENTS_MLX5_MLX5_H
#define HOLDFAST_PARENTS_MLX5_MLX5_H

#include "vdpa/mgmt.h"

extern const struct vdpa_mgmt_dev mlx5_mgmt_dev;

#endif
