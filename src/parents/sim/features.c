// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a simulated device offers, of all that it can: by default everything but the features that
 * must be asked for. `offer` adds to that. `device_features` says exactly what is offered, and so
 * turns such a feature on, too.
 */
#include <errno.h>

#include "base/refuse.h"
#include "sim.h"

int vdpasim_choose_features(const struct vdpa_dev_config *config, uint64_t supported,
			    uint64_t asked_for, uint64_t *offered)
{
	uint64_t mask = config->features, offer = config->offer;

	if (!(config->given & VDPA_KEY_FEATURES)) {
		*offered = supported & (~asked_for | offer);
		return 0;
	}
	if (mask & ~supported)
		return refuse(-EINVAL, "features 0x%llx are not among the device's 0x%llx",
			      (unsigned long long)(mask & ~supported),
			      (unsigned long long)supported);
	if (offer & ~mask)
		return refuse(-EINVAL,
			      "offer conflicts with device_features 0x%llx, which lack its bits "
			      "0x%llx",
			      (unsigned long long)mask, (unsigned long long)(offer & ~mask));
	*offered = mask;
	return 0;
}
