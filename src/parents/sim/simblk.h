// SPDX-License-Identifier: BSD-3-Clause
/*
 * The management device `vdpasim_blk`: makes simulated disks. What they can do: docs/blk.md. Used
 * by the table of parents and by management. Thread rule: control threads.
 */
#ifndef HOLDFAST_SIM_SIMBLK_H
#define HOLDFAST_SIM_SIMBLK_H

#include "vdpa/mgmt.h"

extern const struct vdpa_mgmt_dev simblk_mgmt_dev;

#endif
