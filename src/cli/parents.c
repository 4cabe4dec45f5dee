// SPDX-License-Identifier: BSD-3-Clause
#include "cli/parents.h"

#include "base/compiler.h"
#include "parents/sim/simblk.h"
#include "parents/sim/simnet.h"

const struct vdpa_mgmt_dev *const cli_parents[] = {&simnet_mgmt_dev, &simblk_mgmt_dev};
const size_t cli_nr_parents = ARRAY_LEN(cli_parents);
