// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a reset does to mappings. The rules stand in one table. To find out whether a mapping
 * survives something, read the table. Guarantees:
 *
 * 1. .reset is never asked to touch mappings. .compat_reset is called only where an old parent
 *    would have dropped mappings in .reset, and only with a flag ([4-6]).
 * 2. .reset_map is called for an address space only when the bus driver lets that address space
 *    go.
 * 3. A reset of any kind makes the features invalid: the next reader of the config starts over.
 */
#include "vdpa/reset.h"

struct rule {
	uint32_t flags;        /* for .compat_reset */
	bool removes_mappings; /* the bus driver unmaps everything, then calls vdpa_reset_map() */
};

/* [event][IOTLB_PERSIST acked] */
static const struct rule rules[][2] = {
	[VDPA_RESET_STATUS_ZERO] = {{VDPA_RESET_F_CLEAN_MAP, false}, {0, false}},
	[VDPA_RESET_OPEN] = {{0, false}, {0, false}},
	[VDPA_RESET_CLOSE] = {{VDPA_RESET_F_CLEAN_MAP, true}, {0, true}},
	[VDPA_RESET_REMOVED] = {{VDPA_RESET_F_CLEAN_MAP, true}, {0, true}},
	[VDPA_RESET_VIRTIO_ATTACH] = {{0, false}, {0, false}},
};

int vdpa_reset(struct vdpa_device *dev, enum vdpa_reset_event event, bool persist_acked)
{
	uint32_t flags = rules[event][persist_acked].flags;
	int ret;

	HF_TRACE3(reset, dev->name, (int)event, flags);
	dev->features_valid = false;
	if (dev->ops->compat_reset && flags != 0)
		ret = VDPA_CALL(dev, compat_reset, flags);
	else
		ret = VDPA_CALL(dev, reset);
	return ret;
}

bool vdpa_reset_removes_mappings(enum vdpa_reset_event event)
{
	/* The same in both columns: an ack never keeps mappings beyond the session. */
	return rules[event][0].removes_mappings;
}

void vdpa_reset_map(struct vdpa_device *dev, uint32_t asid)
{
	if (dev->ops->reset_map)
		(void)VDPA_CALL(dev, reset_map, asid);
}

bool vdpa_can_persist(struct vdpa_device *dev)
{
	const struct vdpa_config_ops *ops = dev->ops;

	if ((!ops->set_map && !ops->dma_map) || ops->reset_map)
		return true;
	return ops->get_backend_features &&
	       (VDPA_CALL(dev, get_backend_features) & VDPA_BACKEND_F_IOTLB_PERSIST) != 0;
}
