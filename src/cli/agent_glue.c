// SPDX-License-Identifier: BSD-3-Clause
/* What the agent has in place of parents/module: a static program loads no shared objects.
 * `holdfast run` says so before it starts one. */
#include "parents/module/module.h"

int module_load_for(struct vdpa_mgmt_table *table, const char *spec)
{
	(void)table;
	(void)spec;
	return 0;
}
