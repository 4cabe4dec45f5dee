// SPDX-License-Identifier: BSD-3-Clause
/* What the preload library is made of besides its shim: the devices that HOLDFAST_DEVICES
 * describes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "cli/devices.h"
#include "cli/parents.h"
#include "frontends/preload/preload.h"

_Static_assert(DEVICES_NR_MAX <= PRELOAD_NR_NODES_MAX, "a node for each device");

unsigned int preload_provide_count(void)
{
	struct device_specs specs = {.nr = 0};
	unsigned int nr;

	(void)!device_specs_from_env(&specs);
	nr = (unsigned int)specs.nr;
	device_specs_fini(&specs);
	return nr ? nr : 1;
}

void preload_provide_parents(const struct vdpa_mgmt_dev *const **parents, size_t *nr)
{
	*parents = cli_parents.devs;
	*nr = cli_parents.nr;
}

const char *preload_provide_text(void)
{
	const char *text = getenv(DEVICES_ENV);

	return text ? text : "";
}

int preload_provide_text_from(const char *text)
{
	const char *own = preload_provide_text();

	if (strcmp(own, text) == 0)
		return 0;
	if (*own)
		return refuse(-EEXIST, "its opener has other devices than this process");
	return setenv(DEVICES_ENV, text, 1) < 0 ? -errno : 0;
}

int preload_provide_bus(struct vdpa_bus **out)
{
	struct device_specs specs = {.nr = 0};
	int rc;

	refuse_clear();
	rc = device_specs_from_env(&specs);
	if (!rc)
		rc = devices_create(&specs, out);
	device_specs_fini(&specs);
	return rc;
}
