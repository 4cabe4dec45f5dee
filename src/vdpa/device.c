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
#include "vdpa/mgmt.h"
#include "vdpa/bus.h"

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

int vdpa_claim(struct vdpa_device *dev)
{
	return dev->mgmt && dev->mgmt->dev_claim ? dev->mgmt->dev_claim(dev) : 0;
}

void vdpa_yield(struct vdpa_device *dev)
{
	if (dev->mgmt && dev->mgmt->dev_yield)
		dev->mgmt->dev_yield(dev);
}
