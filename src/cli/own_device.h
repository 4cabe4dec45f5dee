// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device for a command that drives it by itself: one SPEC, one bus, bound to virtio_vdpa. Also
 * the options that such commands share, and numbers as people write them. Thread rule: main thread.
 */
#ifndef HOLDFAST_CLI_OWN_DEVICE_H
#define HOLDFAST_CLI_OWN_DEVICE_H

#include <stdint.h>

#include "base/compiler.h"
#include "vdpa/bus.h"

struct own_device {
	struct vdpa_bus *bus;
	struct vdpa_device *dev; /* one reference */
};

/** own_device_create() - @spec: [lent]. @who: "holdfast blk read", begins the line that is printed.
 * Return: 0, or an exit status, and one line was printed */
int own_device_create(const char *who, const char *spec, struct own_device *out) HF_MUST_CHECK;
/** own_device_destroy() - also of a zeroed one */
void own_device_destroy(struct own_device *own);

/** own_device_failed() - print refuse_reason(), or what @err means. Return: CLI_EXIT_FAILED */
int own_device_failed(const char *who, int err) HF_COLD;

/** cli_parse_size() - "4096", "64K", "0x200": bytes, with K, M, G or T for powers of 1024
 * Return: 0; -EINVAL no such number; -ERANGE above @max. @out written on success only */
int cli_parse_size(const char *word, uint64_t max, uint64_t *out) HF_MUST_CHECK;
/** cli_parse_seconds() - "1", "0.25": to nanoseconds. Return: 0; -EINVAL; -ERANGE beyond a day */
int cli_parse_seconds(const char *word, int64_t *ns) HF_MUST_CHECK;
/** cli_wrong_value() - print "OPTION 'VALUE' is not WANTED". Return: CLI_EXIT_USAGE */
int cli_wrong_value(const char *who, const char *option, const char *value,
		    const char *wanted) HF_COLD;

#endif
