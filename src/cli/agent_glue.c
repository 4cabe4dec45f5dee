// SPDX-License-Identifier: BSD-3-Clause
/* What the agent has in place of parents/module, and of the way from parents/mlx5 to a card: a
 * static program loads no shared objects. Of modules `holdfast run` says so before it starts one.
 */
#include <errno.h>

#include "base/refuse.h"
#include "parents/mlx5/devx.h"
#include "parents/module/module.h"

int module_load_for(struct vdpa_mgmt_table *table, const char *spec)
{
	(void)table;
	(void)spec;
	return 0;
}

int mlx5_devx_open(const char *pci, const char *name, struct mlx5_devx **out)
{
	(void)name;
	(void)out;
	return refuse(-ENOSYS, "pci %s: a static client cannot load rdma-core's libraries", pci);
}

void mlx5_devx_close(struct mlx5_devx *devx)
{
	(void)devx;
}

struct mlx5_dev *mlx5_devx_dev(struct mlx5_devx *devx)
{
	(void)devx;
	return NULL;
}
