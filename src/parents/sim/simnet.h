// SPDX-License-Identifier: BSD-3-Clause
/*
 * The management device `vdpasim_net`: makes simulated network cards. What they can do:
 * docs/net.md. Used by the table of parents and by management. Thread rule: control threads.
 */
#ifndef HOLDFAST_SIM_SIMNET_H
#define HOLDFAST_SIM_SIMNET_H

#include "vdpa/mgmt.h"

extern const struct vdpa_mgmt_dev simnet_mgmt_dev;

#endif
