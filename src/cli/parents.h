// SPDX-License-Identifier: BSD-3-Clause
/* The one table of parents: every kind of device that can be made. It grows as modules are loaded (module.h) and
 * never shrinks. Thread rule: as for loading modules; what was there once is const. */
#ifndef HOLDFAST_CLI_PARENTS_H
#define HOLDFAST_CLI_PARENTS_H

#include <stddef.h>

#include "vdpa/mgmt.h"

#define CLI_PARENTS_MAX 64

extern const struct vdpa_mgmt_dev *cli_parents[CLI_PARENTS_MAX];
extern size_t cli_nr_parents;

#endif
