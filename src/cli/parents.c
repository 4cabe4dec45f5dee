// SPDX-License-Identifier: BSD-3-Clause
#include "cli/parents.h"

#include "parents/mlx5/mlx5.h"
#include "parents/sim/simblk.h"
#include "parents/sim/simnet.h"

struct vdpa_mgmt_table cli_parents = {.devs = {&simnet_mgmt_dev, &simblk_mgmt_dev, &mlx5_mgmt_dev},
				      .nr = NR_OWN_PARENTS};
