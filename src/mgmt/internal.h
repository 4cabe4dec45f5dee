// SPDX-License-Identifier: BSD-3-Clause
/*
 * Private to this room: a request as its commands see it. A command puts its result into an object
 * that is its own until it returns; a failed one says why with refuse(). Thread rule: as mgmt.h.
 */
#ifndef HOLDFAST_MGMT_INTERNAL_H
#define HOLDFAST_MGMT_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "mgmt/mgmt.h"

struct mgmt_call {
	const struct mgmt_env *env;
	const json_t *request;
	json_t *result; /* members are added here */
	/* Something to tell although it worked; "" for nothing. */
	char warning[200];
};

/* Return: 0; -errno with refuse() in words */
typedef int (*mgmt_command_fn)(struct mgmt_call *call);

int mgmt_cmd_mgmtdev_show(struct mgmt_call *call) HF_MUST_CHECK;
int mgmt_cmd_dev_show(struct mgmt_call *call) HF_MUST_CHECK;
int mgmt_cmd_dev_add(struct mgmt_call *call) HF_MUST_CHECK;
int mgmt_cmd_dev_del(struct mgmt_call *call) HF_MUST_CHECK;
int mgmt_cmd_dev_set(struct mgmt_call *call) HF_MUST_CHECK;
int mgmt_cmd_config_show(struct mgmt_call *call) HF_MUST_CHECK;
int mgmt_cmd_vstats_show(struct mgmt_call *call) HF_MUST_CHECK;

/** mgmt_string() - a member of the request; @out is NULL if there is none. Return: 0; -EINVAL not a
 * string */
int mgmt_string(const struct mgmt_call *call, const char *member, const char **out) HF_MUST_CHECK;
/** mgmt_device() - the device that "dev" names, with a reference
 * Return: 0; -EINVAL no such member; -ENODEV */
int mgmt_device(const struct mgmt_call *call, struct vdpa_device **out) HF_MUST_CHECK;

/**
 * mgmt_for_devices() - put {name: {...}} of the device that "dev" names, or of all, below
 * result[@key]
 * @fn: fills the object of one device; any lock order below the bus's. Return: 0 or -errno
 */
int mgmt_for_devices(struct mgmt_call *call, const char *key,
		     int (*fn)(struct vdpa_device *dev, json_t *object)) HF_MUST_CHECK;

/** mgmt_add() - @value: [consumed] or NULL, without memory. Return: 0; -ENOMEM */
int mgmt_add(json_t *object, const char *key, json_t *value) HF_MUST_CHECK;

/** mgmt_features() - names of feature bits, lowest first. Return: [owned] array or NULL without
 * memory */
json_t *mgmt_features(uint32_t device_id, uint64_t features);

#endif
