// SPDX-License-Identifier: BSD-3-Clause
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "vdpa/bus.h"

static void fill_device(struct vdpasim *sim, const struct vdpa_dev_config *config,
			const struct vdpasim_params *params)
{
	struct vdpa_device *dev = &sim->dev;
	bool platform = config->mapping == VDPA_MAPPING_PLATFORM;

	memcpy(dev->name, config->name, sizeof(dev->name));
	dev->mgmt = params->mgmt;
	dev->nvqs = params->nvqs;
	dev->ngroups = platform ? 1 : params->ngroups;
	dev->nas = platform ? 1 : params->nas;
	dev->memory_mode = config->memory;
	dev->memlock_unlimited = config->memlock_unlimited;
	dev->hold_budget = config->hold;
	dev->max_iotlb_entries = config->max_iotlb_entries;
	dev->deviations = vdpa_profile_deviations(config->profile);
	sim->type = params->type;
	sim->lossy = params->lossy;
	sim->mapping = config->mapping;
	sim->strict = vdpa_config_is_strict(config);
	sim->park_ns = VDPASIM_PARK_NS;
	sim->vq_size = sim->strict ? VDPASIM_VQ_SIZE : config->vq_size;
	sim->features = params->features;
	sim->nr_workers = config->workers;
	for (uint16_t i = 0; i < sim->nr_workers; i++) {
		sim->workers[i].sim = sim;
		sim->workers[i].idx = i;
	}
	vdpasim_ops_fill(sim, config);
}

static int make_queues(struct vdpasim *sim)
{
	uint32_t nvqs = sim->dev.nvqs;
	int err = 0;

	sim->vqs = calloc(nvqs, sizeof(*sim->vqs));
	if (!sim->vqs)
		return -ENOMEM;
	for (uint16_t i = 0; i < sim->nr_workers; i++) {
		sim->workers[i].vqs = calloc(nvqs, sizeof(*sim->workers[i].vqs));
		if (!sim->workers[i].vqs)
			return -ENOMEM;
	}
	for (uint32_t i = 0; !err && i < nvqs; i++)
		err = vdpasim_vq_init(sim, (uint16_t)i);
	return err;
}

static int check_config(const struct vdpa_dev_config *config)
{
	if (config->workers < 1 || config->workers > VDPASIM_WORKERS_MAX)
		return refuse(-EINVAL, "workers %u: 1 to %u are possible", config->workers,
			      VDPASIM_WORKERS_MAX);
	if (config->max_iotlb_entries < 2)
		return refuse(-EINVAL, "max_iotlb_entries %u: at least 2 are needed",
			      config->max_iotlb_entries); /* [7-1] */
	return 0;
}

int vdpasim_create_inner(struct vdpa_bus *bus, const struct vdpa_dev_config *config,
			 const struct vdpasim_params *params, struct vdpasim **out)
{
	struct vdpasim *sim;
	int err = check_config(config);

	if (err)
		return err;
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		return -ENOMEM;
	fill_device(sim, config, params);
	err = vdpa_device_init(&sim->dev, bus);
	if (err) {
		vdpasim_free(&sim->dev);
		return err;
	}
	err = make_queues(sim);
	if (!err)
		err = vdpasim_iommu_init(sim);
	if (err) {
		vdpa_device_put(&sim->dev);
		return err;
	}
	sim->priv = params->priv;
	sim->type->created(sim);
	*out = sim;
	return 0;
}

int vdpasim_create(struct vdpa_bus *bus, const struct vdpa_dev_config *config,
		   const struct vdpasim_params *params)
{
	struct vdpasim *sim;
	int err = vdpasim_create_inner(bus, config, params, &sim);

	if (err)
		return err;
	err = vdpa_device_register(&sim->dev);
	if (err) {
		sim->priv = NULL; /* the caller keeps it */
		vdpa_device_put(&sim->dev);
	}
	return err;
}
