// SPDX-License-Identifier: BSD-3-Clause
#include "simblk.h"

#include <errno.h>
#include <string.h>

#include "base/refuse.h"
#include "simblk_internal.h"

/* What the table of keys cannot say. */
static int check_config(const struct vdpa_dev_config *config)
{
	if (config->num_queues < 1 || config->num_queues > SIMBLK_QUEUES_MAX || config->workers < 1)
		return refuse(-EINVAL, "num_queues %u (1 to %d), workers %u (at least 1)",
			      config->num_queues, SIMBLK_QUEUES_MAX, config->workers);
	if ((config->given & VDPA_KEY_CAPACITY) && config->capacity % SIMBLK_SECTOR)
		return refuse(-EINVAL, "capacity %llu is not a multiple of %d bytes",
			      (unsigned long long)config->capacity, SIMBLK_SECTOR);
	if (config->direct &&
	    (!(config->given & VDPA_KEY_BACKEND) || strncmp(config->backend, "file,", 5) != 0))
		return refuse(-EINVAL, "direct on: the disk has no file (backend file,path=PATH)");
	if (!vdpa_config_is_strict(config))
		return 0;
	if (config->read_only)
		return refuse(-EINVAL,
			      "read_only on: the disk of the kernel's simulator is writable");
	if ((config->given & VDPA_KEY_BACKEND) && strcmp(config->backend, "ram") != 0)
		return refuse(-EINVAL, "backend '%s': the disk of the kernel's simulator is 'ram'",
			      config->backend);
	return 0;
}

static int blk_dev_add(const struct vdpa_mgmt_dev *mgmt, struct vdpa_bus *bus,
		       const struct vdpa_dev_config *config)
{
	struct vdpasim_params params = {.type = &simblk_type,
					.ngroups = 1,
					.nas = 1,
					.nvqs = config->num_queues,
					.mgmt = mgmt};
	struct simblk *blk;
	int err = check_config(config);

	if (err)
		return err;
	err = simblk_create(config, &blk);
	if (err)
		return err;
	params.priv = blk;
	err = vdpasim_choose_features(config, simblk_features(blk), SIMBLK_FEATURES_ASKED,
				      &params.features);
	if (!err)
		err = vdpasim_create(bus, config, &params);
	if (err)
		simblk_destroy(blk);
	return err;
}

static int blk_dev_claim(struct vdpa_device *dev)
{
	return simblk_claim(simblk_of(vdpasim_of(dev)));
}

static void blk_dev_yield(struct vdpa_device *dev)
{
	struct simblk *blk = simblk_of(vdpasim_of(dev));

	if (blk->backend->outside || !vdpasim_has_sound_workers(vdpasim_of(dev)))
		vdpasim_stop_workers(vdpasim_of(dev));
	simblk_yield(blk);
}

const struct vdpa_mgmt_dev simblk_mgmt_dev = {
	.name = "vdpasim_blk",
	.device_id = 2,
	.keys = VDPA_KEY_NAME | VDPA_KEY_MGMTDEV | VDPA_KEY_CAPACITY | VDPA_KEY_READ_ONLY |
		VDPA_KEY_NUM_QUEUES | VDPA_KEY_FEATURES | VDPA_KEY_BACKEND | VDPA_KEY_MEMORY |
		VDPA_KEY_MAPPING | VDPA_KEY_QUIRKS | VDPA_KEY_COMPAT_RESET | VDPA_KEY_RESET_MAP |
		VDPA_KEY_MAX_IOTLB_ENTRIES | VDPA_KEY_WORKERS | VDPA_KEY_VQ_SIZE |
		VDPA_KEY_MEMLOCK | VDPA_KEY_HOLD | VDPA_KEY_DIRTY_LOG | VDPA_KEY_OFFER |
		VDPA_KEY_DIRECT | VDPA_KEY_IO_URING,
	.default_name = "blk",
	.max_vqs = SIMBLK_QUEUES_MAX,
	.features = SIMBLK_FEATURES_ALL,
	.dev_add = blk_dev_add,
	.dev_claim = blk_dev_claim,
	.dev_yield = blk_dev_yield,
};
