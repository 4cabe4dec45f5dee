// SPDX-License-Identifier: BSD-3-Clause
/*
 * From SPECs to a bus with devices, all bound to vhost_vdpa: the nth SPEC is /dev/vhost-vdpa-n.
 * Also how SPECs travel to the preload library: in one environment variable, a line each. Thread
 * rule: control threads.
 */
#ifndef HOLDFAST_CLI_DEVICES_H
#define HOLDFAST_CLI_DEVICES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "vdpa/bus.h"

#define DEVICES_ENV    "HOLDFAST_DEVICES"
#define DEVICES_NR_MAX 1024u

/* Owned strings. */
struct device_specs {
	char *spec[DEVICES_NR_MAX];
	size_t nr;
};

/** device_specs_add() - copy @spec; line breaks in it become blanks. Return: 0; -E2BIG; -ENOMEM;
 * with refuse() */
int device_specs_add(struct device_specs *specs, const char *spec) HF_MUST_CHECK;

/** device_specs_from_env() - what HOLDFAST_DEVICES says, or one loopback NIC. @specs: zeroed.
 * Return: as device_specs_add() */
int device_specs_from_env(struct device_specs *specs) HF_MUST_CHECK;

/** device_specs_join() - the value for HOLDFAST_DEVICES. Return: [owned] string, or NULL without
 * memory */
char *device_specs_join(const struct device_specs *specs);

void device_specs_fini(struct device_specs *specs);

/** devices_check() - can all of @specs be read? Return: 0; -EINVAL and the like with refuse() in
 * words */
int devices_check(const struct device_specs *specs) HF_MUST_CHECK;

/** devices_use_file() - is @path the file of one of their disks? A file that is written afresh must
 * not be */
bool devices_use_file(const struct device_specs *specs, const char *path);

/** devices_profile() - Return: the kernel that one of @specs asks for, of several the first; else
 * the default mode. A SPEC that cannot be read asks for none. */
enum profile devices_profile(const struct device_specs *specs);

/**
 * devices_create() - make a bus with the devices of @specs
 * @out: [owned] bus; vdpa_bus_destroy() takes all of it down
 * Return: 0, or -errno with refuse() in words, and nothing is left.
 */
int devices_create(const struct device_specs *specs, struct vdpa_bus **out) HF_MUST_CHECK;
/** devices_create_for() - the same, with @drv as the bus's one driver instead of vhost_vdpa */
int devices_create_for(const struct device_specs *specs, const struct vdpa_driver *drv,
		       struct vdpa_bus **out) HF_MUST_CHECK;

#endif
