// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device's life and what every bus driver does around the parent's operations. A device is
 * counted: the bus has one reference while it is registered, each open session one. The parent's
 * memory is freed by the last put, so a session may outlive the registration of its device.
 */
#include <errno.h>
#include <stdlib.h>
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

struct vdpa_device *vdpa_device_get(struct vdpa_device *dev)
{
	__atomic_add_fetch(&dev->refs, 1, __ATOMIC_RELAXED);
	return dev;
}

void vdpa_device_put(struct vdpa_device *dev)
{
	const struct iotlb_version *identity_map;
	struct memory_space *space;
	struct iotlb *domain;

	/* Release and acquire pair between the putters: the last one sees all their writes. */
	if (!dev || __atomic_sub_fetch(&dev->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	/* free() frees @dev, and stops the workers that still may read the domain: it goes after
	 * that. */
	space = dev->space;
	domain = dev->domain;
	identity_map = dev->identity_map;
	free(dev->driver_override);
	mutex_fini(&dev->lock);
	VDPA_CALL(dev, free);
	vdpa_domain_destroy(domain, identity_map);
	memory_space_put(space);
}

enum vdpa_mapping vdpa_device_mapping(const struct vdpa_device *dev)
{
	if (dev->ops->set_map)
		return VDPA_MAPPING_SET_MAP;
	return dev->ops->dma_map ? VDPA_MAPPING_DMA_MAP : VDPA_MAPPING_PLATFORM;
}

int vdpa_set_features(struct vdpa_device *dev, uint64_t features)
{
	dev->features_valid = true;
	return VDPA_CALL(dev, set_driver_features, features);
}

void vdpa_get_config(struct vdpa_device *dev, size_t off, void *buf, size_t len)
{
	/* A refusal is ignored: legacy drivers read the config first. */
	if (!dev->features_valid && vdpa_set_features(dev, 0) != 0)
		refuse_clear();
	VDPA_CALL(dev, get_config, off, buf, len);
}

struct vdpa_iova_range vdpa_iova_range(struct vdpa_device *dev)
{
	if (dev->ops->get_iova_range)
		return VDPA_CALL(dev, get_iova_range);
	return (struct vdpa_iova_range){0, UINT64_MAX};
}
