// SPDX-License-Identifier: BSD-3-Clause
/*
 * Devices: what can make them, show, add, delete, and their one attribute that can be set. The
 * order of checks and their errors are [9-3]'s; what of it is a bug is left to strict devices.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "mgmt/internal.h"
#include "vhost_vdpa/vhost_vdpa.h"

#define ID_NET 1u
#define ID_BLK 2u

/* ---- mgmtdev show ---- */

static json_t *describe_parent(const struct vdpa_mgmt_dev *mgmt)
{
	const char *class = mgmt->device_id == ID_NET   ? "net"
			    : mgmt->device_id == ID_BLK ? "block"
							: "unknown";

	return json_pack("{s:[s], s:i, s:o*}", "supported_classes", class, "max_supported_vqs",
			 (int)mgmt->max_vqs, "dev_features",
			 mgmt_features(mgmt->device_id, mgmt->features));
}

int mgmt_cmd_mgmtdev_show(struct mgmt_call *call)
{
	const struct mgmt_env *env = call->env;
	json_t *all = json_object();
	const char *name;
	char shown[80];
	int rc = mgmt_add(call->result, "mgmtdev", all);

	if (!rc)
		rc = mgmt_string(call, "mgmtdev", &name);
	if (rc)
		return rc;
	for (size_t i = 0; i < env->nr_parents && !rc; i++)
		if (!name || strcmp(env->parents[i]->name, name) == 0)
			rc = mgmt_add(all, env->parents[i]->name, describe_parent(env->parents[i]));
	if (rc || !name || json_object_size(all) > 0)
		return rc;
	log_escape(shown, sizeof(shown), name, strlen(name));
	return refuse(-ENODEV, "no mgmtdev \"%s\"", shown);
}

/* ---- finding devices ---- */

int mgmt_device(const struct mgmt_call *call, struct vdpa_device **out)
{
	const char *name;
	char shown[80];
	int rc = mgmt_string(call, "dev", &name);

	if (rc)
		return rc;
	if (!name)
		return refuse(-EINVAL, "no \"dev\", the name of a device");
	*out = vdpa_bus_find(call->env->bus, name);
	if (*out)
		return 0;
	log_escape(shown, sizeof(shown), name, strlen(name));
	return refuse(-ENODEV, "no device \"%s\"", shown);
}

struct device_list {
	struct vdpa_device **dev; /* a reference each */
	size_t nr;
	size_t room;
};

static int collect(void *arg, struct vdpa_device *dev)
{
	struct device_list *list = arg;

	if (list->nr == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		struct vdpa_device **more = reallocarray(list->dev, room, sizeof(*more));

		if (!more)
			return refuse(-ENOMEM, "no memory for a list of devices");
		list->dev = more;
		list->room = room;
	}
	list->dev[list->nr++] = vdpa_device_get(dev);
	return 0;
}

static int collect_named(struct mgmt_call *call, struct device_list *list)
{
	struct vdpa_device *dev;
	int rc;

	if (!json_object_get(call->request, "dev"))
		return vdpa_bus_for_each(call->env->bus, collect, list);
	rc = mgmt_device(call, &dev);
	if (rc)
		return rc;
	rc = collect(list, dev);
	vdpa_device_put(dev);
	return rc;
}

/* The devices are held by references, not by the bus lock, so that a slow one delays nobody
 * else. */
int mgmt_for_devices(struct mgmt_call *call, const char *key,
		     int (*fn)(struct vdpa_device *dev, json_t *object))
{
	struct device_list list = {0};
	json_t *all = json_object();
	int rc = mgmt_add(call->result, key, all);

	if (!rc)
		rc = collect_named(call, &list);
	for (size_t i = 0; i < list.nr; i++) {
		json_t *object = rc ? NULL : json_object();

		if (!rc)
			rc = mgmt_add(all, list.dev[i]->name, object);
		if (!rc)
			rc = fn(list.dev[i], object);
		vdpa_device_put(list.dev[i]);
	}
	free(list.dev);
	return rc;
}

/* ---- dev show ---- */

static const char *type_name(uint32_t id)
{
	return id == ID_NET ? "network" : id == ID_BLK ? "block" : "unknown";
}

static int show_device(struct vdpa_device *dev, json_t *object)
{
	uint32_t id, vendor;
	uint16_t num_max;
	char node[40];
	int minor, rc;

	mutex_lock(&dev->lock);
	id = VDPA_CALL(dev, get_device_id);
	vendor = VDPA_CALL(dev, get_vendor_id);
	num_max = VDPA_CALL(dev, get_vq_num_max);
	mutex_unlock(&dev->lock);
	rc = mgmt_add(object, "type", json_string(type_name(id)));
	if (!rc)
		rc = mgmt_add(object, "mgmtdev", json_string(dev->mgmt ? dev->mgmt->name : "none"));
	if (!rc)
		rc = mgmt_add(object, "vendor_id", json_integer(vendor));
	if (!rc)
		rc = mgmt_add(object, "max_vqs", json_integer(dev->nvqs));
	if (!rc)
		rc = mgmt_add(object, "max_vq_size", json_integer(num_max));
	minor = vhost_vdpa_minor(dev);
	if (rc || minor < 0) /* another driver has it, or none */
		return rc;
	snprintf(node, sizeof(node), "/dev/vhost-vdpa-%d", minor);
	return mgmt_add(object, "node", json_string(node));
}

int mgmt_cmd_dev_show(struct mgmt_call *call)
{
	return mgmt_for_devices(call, "dev", show_device);
}

/* ---- dev add, dev del ---- */

static int count_device(void *arg, struct vdpa_device *dev)
{
	(void)dev;
	++*(unsigned int *)arg;
	return 0;
}

/* [9-3] of a strict device: what the kernel's own driver does not list, it does not take. */
static int check_strict(const struct vdpa_mgmt_dev *mgmt, const struct vdpa_dev_config *config)
{
	static const struct {
		uint32_t key;
		const char *name;
	} attrs[] = {{VDPA_KEY_MAC, "mac"},
		     {VDPA_KEY_MTU, "mtu"},
		     {VDPA_KEY_MAX_VQP, "max_vqp"},
		     {VDPA_KEY_FEATURES, "device_features"}};

	for (size_t i = 0; vdpa_config_is_strict(config) && i < ARRAY_LEN(attrs); i++)
		if (config->given & attrs[i].key & ~mgmt->strict_attrs)
			return refuse(-EOPNOTSUPP, "the kernel's %s takes no key '%s'", mgmt->name,
				      attrs[i].name);
	return 0;
}

/* In the order of [9-3]. */
static int check_config(const struct vdpa_mgmt_dev *mgmt, const struct vdpa_dev_config *config,
			struct vdpa_bus *bus)
{
	struct vdpa_device *dev;
	int rc;

	if (!(config->given & VDPA_KEY_NAME))
		return refuse(-EINVAL, "no 'name' for the device");
	if (!(config->given & VDPA_KEY_MGMTDEV))
		return refuse(-EINVAL, "no 'mgmtdev' that makes the device");
	rc = check_strict(mgmt, config);
	if (rc)
		return rc;
	dev = vdpa_bus_find(bus, config->name);
	if (!dev)
		return 0;
	vdpa_device_put(dev);
	return refuse(-EEXIST, "there is a device \"%s\" already", config->name);
}

static int add_device(const struct mgmt_env *env, const char *spec, struct vdpa_dev_config *config)
{
	const struct vdpa_mgmt_dev *mgmt;
	unsigned int nr = 0;
	int rc;

	rc = vdpa_spec_parse(env->parents, env->nr_parents, spec, 0, config, &mgmt);
	if (!rc)
		rc = check_config(mgmt, config, env->bus);
	if (rc)
		return rc;
	(void)vdpa_bus_for_each(env->bus, count_device, &nr);
	if (nr >= env->nr_devices_max)
		return refuse(-ENOSPC, "there are %u devices, no more are possible", nr);
	refuse_clear();
	rc = mgmt->dev_add(mgmt, env->bus, config);
	if (rc && !*refuse_reason())
		return refuse(rc, "cannot make device \"%s\"", config->name);
	return rc;
}

int mgmt_cmd_dev_add(struct mgmt_call *call)
{
	struct vdpa_dev_config config;
	struct vdpa_device *dev;
	json_t *all, *object;
	const char *spec;
	int rc = mgmt_string(call, "spec", &spec);

	if (rc)
		return rc;
	if (!spec)
		return refuse(-EINVAL, "no \"spec\", the description of a device");
	rc = add_device(call->env, spec, &config);
	if (rc)
		return rc;
	dev = vdpa_bus_find(call->env->bus, config.name);
	if (!dev)
		return 0; /* gone again already */
	all = json_object();
	rc = mgmt_add(call->result, "dev", all);
	object = rc ? NULL : json_object();
	if (!rc)
		rc = mgmt_add(all, dev->name, object);
	if (!rc)
		rc = show_device(dev, object);
	vdpa_device_put(dev);
	return rc;
}

/* [9-4], without its wait: who has the device open goes on with it. */
int mgmt_cmd_dev_del(struct mgmt_call *call)
{
	struct vdpa_device *dev;
	int rc = mgmt_device(call, &dev);

	if (rc)
		return rc;
	rc = vdpa_device_delete(dev);
	vdpa_device_put(dev);
	return rc;
}

/* ---- dev set ---- */

static int parse_mac(const char *mac, struct vdpa_dev_config *config)
{
	char shown[40];

	*config = (struct vdpa_dev_config){.given = VDPA_KEY_MAC};
	if (vdpa_mac_parse(mac, config->mac))
		return 0;
	log_escape(shown, sizeof(shown), mac, strlen(mac));
	return refuse(-ERANGE, "mac \"%s\" is not six bytes like 52:54:00:12:34:56", shown);
}

static int check_mac(const char *mac, const struct vdpa_dev_config *config)
{
	static const uint8_t zero[6];

	if ((config->mac[0] & 1) || memcmp(config->mac, zero, sizeof(zero)) == 0)
		return refuse(-EOPNOTSUPP, "mac %s is not the address of one card", mac);
	return 0;
}

static int set_mac(struct mgmt_call *call, struct vdpa_device *dev, const char *mac)
{
	struct vdpa_dev_config config;
	int rc;

	if (!dev->mgmt || !dev->mgmt->dev_set_attr) {
		rc = refuse(-EOPNOTSUPP, "device %s has no attribute that can be set", dev->name);
		if (vdpa_deviates(dev, VDPA_D6_NO_HARMFUL_QUIRKS))
			return rc;
		snprintf(call->warning, sizeof(call->warning), "%s", refuse_reason());
		return 0; /* [9-3], the quirk: nothing is set, and no error */
	}
	rc = parse_mac(mac, &config);
	if (!rc)
		rc = check_mac(mac, &config);
	if (rc)
		return rc;
	mutex_lock(&dev->lock);
	rc = dev->mgmt->dev_set_attr(dev->mgmt, dev, &config);
	mutex_unlock(&dev->lock);
	return rc;
}

int mgmt_cmd_dev_set(struct mgmt_call *call)
{
	struct vdpa_device *dev;
	const char *mac;
	int rc = mgmt_device(call, &dev);

	if (rc)
		return rc;
	rc = mgmt_string(call, "mac", &mac);
	if (!rc && !mac)
		rc = refuse(-EOPNOTSUPP, "nothing to set: \"mac\" can be set");
	if (!rc)
		rc = set_mac(call, dev, mac);
	vdpa_device_put(dev);
	return rc;
}
