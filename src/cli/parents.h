// SPDX-License-Identifier: BSD-3-Clause
/* The one table of parents: every kind of device that can be made. It grows as modules are loaded
 * (parents/module/module.h). Thread rule: as for loading modules. */
#ifndef HOLDFAST_CLI_PARENTS_H
#define HOLDFAST_CLI_PARENTS_H

#include "vdpa/mgmt.h"

#define NR_OWN_PARENTS 3u /* the rest are modules */
extern struct vdpa_mgmt_table cli_parents;

#endif
