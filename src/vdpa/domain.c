// SPDX-License-Identifier: BSD-3-Clause
/*
 * The platform's IOMMU: what a parent without set_map and dma_map translates with. The domain
 * starts 1:1. A bus driver that programs mappings attaches to it, which empties it. Detaching
 * makes it 1:1 again.
 *
 * Each change waits for readers (iotlb_synchronize()). So when a change returns, no worker uses
 * the old map. Then the parent is told (domain_changed), because one of its rings may be waiting
 * for a mapping.
 */
#include <errno.h>

#include "base/log.h"
#include "vdpa/device.h"

int vdpa_domain_create(struct vdpa_device *dev)
{
	int ret;

	dev->domain = NULL;
	dev->identity_map = NULL;
	if (vdpa_device_mapping(dev) != VDPA_MAPPING_PLATFORM)
		return 0;
	ret = iotlb_create(dev->max_iotlb_entries, &dev->domain);
	if (ret)
		return ret;
	ret = iotlb_map(dev->domain, MEMORY_ADDR_FIRST, MEMORY_ADDR_LAST,
			memory_space_identity(dev->space), MEMORY_ADDR_FIRST, IOTLB_RW);
	if (ret) {
		iotlb_destroy(dev->domain);
		dev->domain = NULL;
		return ret;
	}
	dev->identity_map = iotlb_snapshot(dev->domain);
	return 0;
}

void vdpa_domain_destroy(struct iotlb *domain, const struct iotlb_version *identity_map)
{
	iotlb_version_put(identity_map);
	iotlb_destroy(domain);
}

static void domain_changed(struct vdpa_device *dev) REQUIRES(dev->lock)
{
	iotlb_synchronize(dev->domain);
	if (dev->ops->domain_changed)
		VDPA_CALL(dev, domain_changed);
}

int vdpa_domain_attach(struct vdpa_device *dev)
{
	int ret;

	if (!dev->domain)
		return 0;
	ret = iotlb_unmap(dev->domain, 0, UINT64_MAX, NULL);
	if (ret)
		return ret;
	domain_changed(dev);
	return 0;
}

int vdpa_domain_assign(struct vdpa_device *dev, const struct iotlb_version *map)
{
	int ret = iotlb_assign(dev->domain, map);

	if (!ret)
		domain_changed(dev);
	return ret;
}

void vdpa_domain_detach(struct vdpa_device *dev)
{
	if (!dev->domain)
		return;
	if (iotlb_assign(dev->domain, dev->identity_map))
		hf_err(dev->name,
		       "no memory to put the 1:1 map back: the device can reach nothing");
	domain_changed(dev);
}
