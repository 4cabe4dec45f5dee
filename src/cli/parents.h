// SPDX-License-Identifier: BSD-3-Clause
/* The one table of parents: every kind of device that can be made. Const; any thread. */
#ifndef HOLDFAST_CLI_PARENTS_H
#define HOLDFAST_CLI_PARENTS_H

#include <stddef.h>

#include "vdpa/mgmt.h"

extern const struct vdpa_mgmt_dev *const cli_parents[];
extern const size_t cli_nr_parents;

#endif
