// SPDX-License-Identifier: BSD-3-Clause
/* A parent's device becomes one of its bus: what the parent has filled in is checked here. */
#include <errno.h>
#include <string.h>

#include "base/refuse.h"
#include "vdpa/bus.h"

static int check_fields(const struct vdpa_device *dev)
{
	if (dev->name[0] == '\0' || memchr(dev->name, '\0', sizeof(dev->name)) == NULL)
		return refuse(-EINVAL, "a device needs a name of 1 to %d bytes", VDPA_NAME_MAX);
	if (dev->nvqs < 1 || dev->nvqs > UINT16_MAX)
		return refuse(-EINVAL, "%s: %u virtqueues, 1 to %u are possible", dev->name,
			      dev->nvqs, UINT16_MAX);
	if (dev->ngroups < 1 || dev->nas < 1)
		return refuse(-EINVAL, "%s: %u groups and %u address spaces, at least 1 of each",
			      dev->name, dev->ngroups, dev->nas);
	if (dev->max_iotlb_entries < 1)
		return refuse(-EINVAL, "%s: max_iotlb_entries is 0", dev->name);
	return 0;
}

int vdpa_device_init(struct vdpa_device *dev, struct vdpa_bus *bus)
{
	int ret;

	ret = vdpa_ops_check(dev->ops);
	if (ret)
		return ret;
	ret = check_fields(dev);
	if (ret)
		return ret;
	dev->space = memory_space_get(vdpa_bus_space(bus));
	ret = vdpa_domain_create(dev);
	if (ret) {
		memory_space_put(dev->space);
		dev->space = NULL;
		return refuse(ret, "%s: no memory for the platform IOMMU's map", dev->name);
	}
	mutex_init(&dev->lock);
	dev->bus = bus;
	dev->registered = false;
	dev->driver = NULL;
	dev->drvdata = NULL;
	dev->driver_override = NULL;
	dev->removed = false;
	dev->features_valid = false;
	__atomic_store_n(&dev->refs, 1, __ATOMIC_RELAXED);
	return 0;
}
