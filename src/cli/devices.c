// SPDX-License-Identifier: BSD-3-Clause
#include "cli/devices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/refuse.h"
#include "cli/cli.h"
#include "parents/module/module.h"
#include "cli/parents.h"
#include "memory/memory.h"
#include "vhost_vdpa/vhost_vdpa.h"

/* ---- specs ---- */

int device_specs_add(struct device_specs *specs, const char *spec)
{
	char *copy;

	if (specs->nr == DEVICES_NR_MAX)
		return refuse(-E2BIG, "more than %u devices", DEVICES_NR_MAX);
	/* In words, so that it is a line that counts in the environment. */
	if (spec[strspn(spec, " \t\n")] == '\0')
		spec = CLI_DEFAULT_SPEC;
	copy = strdup(spec);
	if (!copy)
		return refuse(-ENOMEM, "no memory");
	for (char *p = copy; *p; p++)
		if (*p == '\n')
			*p = ' ';
	specs->spec[specs->nr++] = copy;
	return 0;
}

int device_specs_from_env(struct device_specs *specs)
{
	const char *env = getenv(DEVICES_ENV);
	char *copy, *line, *rest = NULL;
	int rc = 0;

	if (!env || env[strspn(env, " \n")] == '\0')
		return device_specs_add(specs, CLI_DEFAULT_SPEC);
	copy = strdup(env);
	if (!copy)
		return refuse(-ENOMEM, "no memory");
	for (line = strtok_r(copy, "\n", &rest); line && !rc; line = strtok_r(NULL, "\n", &rest))
		rc = device_specs_add(specs, line);
	free(copy);
	return rc;
}

char *device_specs_join(const struct device_specs *specs)
{
	size_t len = 1;
	char *joined, *p;

	for (size_t i = 0; i < specs->nr; i++)
		len += strlen(specs->spec[i]) + 1;
	joined = malloc(len);
	if (!joined)
		return NULL;
	p = joined;
	*p = '\0';
	for (size_t i = 0; i < specs->nr; i++) {
		if (i)
			*p++ = '\n';
		p = stpcpy(p, specs->spec[i]);
	}
	return joined;
}

void device_specs_fini(struct device_specs *specs)
{
	for (size_t i = 0; i < specs->nr; i++)
		free(specs->spec[i]);
	specs->nr = 0;
}

/* ---- devices ---- */

static int parse(const struct device_specs *specs, size_t nth, struct vdpa_dev_config *config,
		 const struct vdpa_mgmt_dev **mgmt)
{
	int rc = module_load_for(&cli_parents, specs->spec[nth]);

	if (rc)
		return rc;
	return vdpa_spec_parse(cli_parents.devs, cli_parents.nr, specs->spec[nth],
			       (unsigned int)nth, config, mgmt);
}

bool devices_use_file(const struct device_specs *specs, const char *path)
{
	static const char backend[] = "file,path=";
	struct vdpa_dev_config config;
	const struct vdpa_mgmt_dev *mgmt;
	struct stat file, disk;

	if (stat(path, &file) < 0)
		return false;
	for (size_t i = 0; i < specs->nr; i++)
		if (parse(specs, i, &config, &mgmt) == 0 &&
		    strncmp(config.backend, backend, strlen(backend)) == 0 &&
		    stat(config.backend + strlen(backend), &disk) == 0 &&
		    file.st_dev == disk.st_dev && file.st_ino == disk.st_ino)
			return true;
	return false;
}

int devices_check(const struct device_specs *specs)
{
	struct vdpa_dev_config config;
	const struct vdpa_mgmt_dev *mgmt;
	int rc = 0;

	for (size_t i = 0; i < specs->nr && !rc; i++) {
		rc = parse(specs, i, &config, &mgmt);
		if (!rc && config.trace[0] && devices_use_file(specs, config.trace))
			rc = refuse(-EBUSY, "trace '%s' is the file of a disk", config.trace);
	}
	return rc;
}

enum profile devices_profile(const struct device_specs *specs)
{
	struct vdpa_dev_config config;
	const struct vdpa_mgmt_dev *mgmt;

	/* no module is loaded for this: the preload library may have loaded it in this process */
	for (size_t i = 0; i < specs->nr; i++)
		if (vdpa_spec_parse(cli_parents.devs, cli_parents.nr, specs->spec[i],
				    (unsigned int)i, &config, &mgmt) == 0 &&
		    vdpa_config_is_strict(&config))
			return config.profile;
	return PROFILE_DEFAULT;
}

static int add_one(struct vdpa_bus *bus, const struct device_specs *specs, size_t nth,
		   const struct vdpa_driver *drv)
{
	struct vdpa_dev_config config;
	const struct vdpa_mgmt_dev *mgmt;
	struct vdpa_device *dev;
	int rc = parse(specs, nth, &config, &mgmt);

	if (rc)
		return rc;
	refuse_clear();
	rc = mgmt->dev_add(mgmt, bus, &config);
	if (rc)
		return *refuse_reason() ? rc
					: refuse(rc, "cannot make device %s: %s", config.name,
						 strerror(-rc));
	dev = vdpa_bus_find(bus, config.name);
	if (!dev || dev->driver != drv) {
		char why[256];

		snprintf(why, sizeof(why), "%s", refuse_reason());
		rc = refuse(-ENODEV, "%s does not take device %s%s%s", drv->name, config.name,
			    *why ? ": " : "", why);
	}
	vdpa_device_put(dev);
	return rc;
}

int devices_create(const struct device_specs *specs, struct vdpa_bus **out)
{
	return devices_create_for(specs, &vhost_vdpa_driver, out);
}

int devices_create_for(const struct device_specs *specs, const struct vdpa_driver *drv,
		       struct vdpa_bus **out)
{
	struct memory_space *space;
	struct vdpa_bus *bus;
	int rc = memory_space_create_own(&space);

	if (rc)
		return refuse(rc, "no memory");
	rc = vdpa_bus_create(space, &bus);
	memory_space_put(space);
	if (rc)
		return refuse(rc, "no memory");
	rc = vdpa_driver_register(bus, drv);
	for (size_t i = 0; i < specs->nr && !rc; i++)
		rc = add_one(bus, specs, i, drv);
	if (rc)
		vdpa_bus_destroy(bus);
	else
		*out = bus;
	return rc;
}
