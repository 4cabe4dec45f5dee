// SPDX-License-Identifier: BSD-3-Clause
#include "cli/own_device.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/devices.h"
#include "virtio_vdpa/virtio_vdpa.h"

#define DAY_SECONDS 86400.0
#define NS_PER_S    1e9

int own_device_failed(const char *who, int err)
{
	fprintf(stderr, "%s: %s\n", who, refuse_words(err));
	return CLI_EXIT_FAILED;
}

static int first_device(void *arg, struct vdpa_device *dev)
{
	*(struct vdpa_device **)arg = vdpa_device_get(dev);
	return 1;
}

int own_device_create(const char *who, const char *spec, struct own_device *out)
{
	struct device_specs specs = {.nr = 0};
	int rc;

	refuse_clear();
	rc = cli_modules_prepare(who);
	if (rc)
		return rc;
	rc = device_specs_add(&specs, spec);
	if (!rc)
		rc = devices_create_for(&specs, &virtio_vdpa_driver, &out->bus);
	device_specs_fini(&specs);
	if (rc)
		return own_device_failed(who, rc);
	(void)vdpa_bus_for_each(out->bus, first_device, &out->dev);
	return 0;
}

void own_device_destroy(struct own_device *own)
{
	vdpa_device_put(own->dev);
	vdpa_bus_destroy(own->bus);
}

/* ---- numbers ---- */

int cli_parse_size(const char *word, uint64_t max, uint64_t *out)
{
	const char *end;
	uint64_t value;
	int err = size_parse(word, &end, &value);

	if (!err && *end)
		err = -EINVAL;
	if (!err && value > max)
		err = -ERANGE;
	if (!err)
		*out = value;
	return err;
}

int cli_parse_seconds(const char *word, int64_t *ns)
{
	char *end;
	double value;

	if ((word[0] < '0' || word[0] > '9') && word[0] != '.')
		return -EINVAL;
	value = strtod(word, &end);
	if (end == word || *end || !isfinite(value))
		return -EINVAL;
	if (value > DAY_SECONDS)
		return -ERANGE;
	*ns = (int64_t)(value * NS_PER_S);
	return 0;
}

int cli_wrong_value(const char *who, const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, "%s: %s '%s' is not %s\n", who, option, value, wanted);
	return CLI_EXIT_USAGE;
}
