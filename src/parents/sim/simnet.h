// SPDX-License-Identifier: BSD-3-Clause
/*
 * The management device `vdpasim_net`: makes simulated network cards. What they can do: docs/net.md. Used
 * by the table of parents and by management. Thread rule: control threads.
 */
#ifndef HOLDFAST_SIM_SIMNET_H
#define HOLDFAST_SIM_SIMNET_H

#include <stdint.h>

#include "vdpa/mgmt.h"

extern const struct vdpa_mgmt_dev simnet_mgmt_dev;

/* One counter of a queue, named as the kernel's vstats are ([7-11]). */
struct simnet_counter {
	const char *name; /* "rx packets" */
	uint64_t value;
};

#define SIMNET_COUNTERS_MAX 5

/**
 * simnet_counters() - read the counters of one queue
 * @dev:      a device made by simnet_mgmt_dev; any status
 * @counters: [out] room for SIMNET_COUNTERS_MAX
 * Return: how many were written; -EINVAL no such queue. The values are each exact, not taken at one instant.
 * Context: device lock held.
 */
int simnet_counters(struct vdpa_device *dev, uint16_t idx, struct simnet_counter *counters);

#endif
