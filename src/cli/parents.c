// SPDX-License-Identifier: BSD-3-Clause
#include "cli/parents.h"

#include "parents/sim/simblk.h"
#include "parents/sim/simnet.h"

const struct vdpa_mgmt_dev *cli_parents[CLI_PARENTS_MAX] = {&simnet_mgmt_dev, &simblk_mgmt_dev};
size_t cli_nr_parents = 2;
