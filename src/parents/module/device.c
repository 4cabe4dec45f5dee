// SPDX-License-Identifier: BSD-3-Clause
/*
 * device_add(): a module's own operations. The bus's device is ours and invisible to the module, so
 * it can grow; the table of operations is copied, so that an older module's shorter one is
 * completed with NULLs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "parents/module/module.h"
#include "vdpa/device.h"

struct module_device {
	struct vdpa_device dev; /* first */
	struct vdpa_config_ops ops;
	void (*free)(struct vdpa_device *dev); /* the module's */
	void *priv;
	bool added; /* the module has handed @priv over */
};

static struct module_device *module_device_of(const struct vdpa_device *dev)
{
	return (struct module_device *)(uintptr_t)dev;
}

static void device_free(struct vdpa_device *dev)
{
	struct module_device *md = module_device_of(dev);

	if (md->added)
		md->free(dev);
	free(md);
}

static int make(struct hf_add *add, const struct hf_device_desc *desc, struct module_device *md)
{
	const struct vdpa_dev_config *config = add->config;
	struct vdpa_device *dev = &md->dev;

	dev->ops = &md->ops;
	memcpy(dev->name, config->name, sizeof(dev->name));
	dev->nvqs = desc->nvqs;
	dev->ngroups = desc->ngroups;
	dev->nas = desc->nas;
	dev->memory_mode = config->memory;
	dev->memlock_unlimited = config->memlock_unlimited;
	dev->hold_budget = config->hold;
	dev->max_iotlb_entries = config->max_iotlb_entries;
	dev->deviations = VDPA_DEVIATIONS_DEFAULT;
	dev->mgmt = add->mgmt;
	return vdpa_device_init(dev, add->bus);
}

int module_device_add(struct hf_add *add, const struct hf_device_desc *given, void *priv)
{
	struct hf_device_desc desc;
	struct module_device *md;
	int err = module_begin_add(add, &desc, sizeof(desc), given, "struct hf_device_desc");

	if (err)
		return err;
	md = calloc(1, sizeof(*md));
	if (!md)
		return refuse(-ENOMEM, "no memory");
	err = module_copy_sized(&md->ops, sizeof(md->ops), desc.ops, "struct vdpa_config_ops");
	if (!err)
		err = make(add, &desc, md);
	if (err) {
		free(md);
		return err;
	}
	md->free = md->ops.free;
	md->ops.free = device_free;
	md->priv = priv;
	md->added = true;
	err = vdpa_device_register(&md->dev);
	if (err) {
		md->added = false; /* the caller keeps @priv */
		vdpa_device_put(&md->dev);
		return err;
	}
	add->used = true;
	return 0;
}

void *module_device_priv(const struct vdpa_device *dev)
{
	return module_device_of(dev)->priv;
}

const char *module_device_name(const struct vdpa_device *dev)
{
	return dev->name;
}

/* ---- maps ---- */

void module_map_entry(const struct iotlb_entry *entry, struct hf_range *range)
{
	*range = (struct hf_range){
		.first = entry->first,
		.last = entry->last,
		.host = (char *)((uintptr_t)entry->mem->host + entry->off),
		.perm = entry->perm,
	};
}

bool module_map_next(const struct iotlb_version *map, uint64_t from, struct hf_range *range)
{
	struct iotlb_entry entry;

	if (!iotlb_version_next(map, from, &entry))
		return false;
	module_map_entry(&entry, range);
	return true;
}

struct diff {
	int (*fn)(void *arg, bool added, const struct hf_range *range);
	void *arg;
};

static int diff_one(void *arg, enum iotlb_change change, const struct iotlb_entry *entry)
{
	const struct diff *d = arg;
	struct hf_range range;

	module_map_entry(entry, &range);
	return d->fn(d->arg, change == IOTLB_ADDED, &range);
}

int module_map_diff(const struct iotlb_version *from, const struct iotlb_version *to,
		    int (*fn)(void *arg, bool added, const struct hf_range *range), void *arg)
{
	struct diff d = {fn, arg};

	return iotlb_diff(from, to, diff_one, &d);
}

const struct iotlb_version *module_device_map(struct vdpa_device *dev)
{
	return dev->domain ? iotlb_snapshot(dev->domain) : NULL;
}
