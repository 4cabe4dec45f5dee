// SPDX-License-Identifier: BSD-3-Clause
#include "simnet.h"

#include <errno.h>
#include <linux/virtio_config.h>

#include "base/refuse.h"
#include "net.h"

/* [9-3]: what is asked for must be something that the device offers. */
static int check_features(const struct vdpa_dev_config *config, uint64_t supported,
			  uint64_t *offered)
{
	static const struct {
		uint32_t key;
		uint64_t feature;
		const char *name;
	} needs[] = {
		{VDPA_KEY_MAC, F(MAC), "mac"},
		{VDPA_KEY_MTU, F(MTU), "mtu"},
		{VDPA_KEY_MAX_VQP, F(MQ), "max_vqp"},
	};
	int err = vdpasim_choose_features(config, supported, SIMNET_FEATURES_ASKED, offered);

	if (err || !(config->given & VDPA_KEY_FEATURES))
		return err;
	for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
		if (needs[i].key == VDPA_KEY_MAX_VQP && config->max_vqp == 1)
			continue;
		if ((config->given & needs[i].key) && !(config->features & needs[i].feature))
			return refuse(-EINVAL,
				      "%s is given, but features 0x%llx lack its bit 0x%llx",
				      needs[i].name, (unsigned long long)config->features,
				      (unsigned long long)needs[i].feature);
	}
	return 0;
}

static int check_strict(const struct vdpa_dev_config *config)
{
	if (vdpa_config_is_strict(config) && config->max_vqp > 1)
		return refuse(-EINVAL, "max_vqp %u: the kernel's simulator has one queue pair",
			      config->max_vqp);
	return 0;
}

static int net_dev_add(const struct vdpa_mgmt_dev *mgmt, struct vdpa_bus *bus,
		       const struct vdpa_dev_config *config)
{
	struct vdpasim_params params = {.type = &simnet_type, .nas = 2, .mgmt = mgmt};
	struct simnet *net;
	int err = check_strict(config);

	if (err)
		return err;
	if (config->max_vqp < 1 || config->max_vqp > SIMNET_PAIRS_MAX || config->workers < 1)
		return refuse(-EINVAL, "max_vqp %u (1 to %d), workers %u (at least 1)",
			      config->max_vqp, SIMNET_PAIRS_MAX, config->workers);
	err = simnet_create(config, &net);
	if (err)
		return err;
	params.priv = net;
	params.lossy = net->strict;
	params.nvqs = 2u * config->max_vqp + 1;
	params.ngroups = vdpa_config_is_strict(config) ? 2 : 3;
	err = check_features(config, simnet_features(net, config), &params.features);
	if (!err)
		err = vdpasim_create(bus, config, &params);
	if (err)
		simnet_destroy(net);
	return err;
}

/* The address is in the configuration space, and in the filter, which follows that. */
static int net_dev_set_attr(const struct vdpa_mgmt_dev *mgmt, struct vdpa_device *dev,
			    const struct vdpa_dev_config *config)
{
	struct vdpasim *sim = vdpasim_of(dev);

	(void)mgmt;
	if (!(sim->features & F(MAC)))
		return refuse(-EOPNOTSUPP, "%s does not offer the feature MAC", dev->name);
	VDPA_CALL(dev, set_config, offsetof(struct virtio_net_config, mac), config->mac,
		  sizeof(config->mac));
	sim->generation++;
	return 0;
}

static int net_dev_claim(struct vdpa_device *dev)
{
	return simnet_claim(simnet_of(vdpasim_of(dev)));
}

static void net_dev_yield(struct vdpa_device *dev)
{
	struct simnet *net = simnet_of(vdpasim_of(dev));

	if (net->backend->outside || !vdpasim_has_sound_workers(vdpasim_of(dev)))
		vdpasim_stop_workers(vdpasim_of(dev));
	simnet_yield(net);
}

const struct vdpa_mgmt_dev simnet_mgmt_dev = {
	.name = "vdpasim_net",
	.device_id = 1,
	.keys = VDPA_KEY_NAME | VDPA_KEY_MGMTDEV | VDPA_KEY_MAC | VDPA_KEY_MTU | VDPA_KEY_MAX_VQP |
		VDPA_KEY_FEATURES | VDPA_KEY_BACKEND | VDPA_KEY_MEMORY | VDPA_KEY_MAPPING |
		VDPA_KEY_QUIRKS | VDPA_KEY_COMPAT_RESET | VDPA_KEY_RESET_MAP |
		VDPA_KEY_MAX_IOTLB_ENTRIES | VDPA_KEY_WORKERS | VDPA_KEY_VQ_SIZE |
		VDPA_KEY_MEMLOCK | VDPA_KEY_HOLD | VDPA_KEY_DIRTY_LOG | VDPA_KEY_OFFER,
	.default_name = "net",
	.max_vqs = 2 * SIMNET_PAIRS_MAX + 1,
	.features = SIMNET_FEATURES_ALL,
	.strict_attrs = VDPA_KEY_MAC | VDPA_KEY_MTU | VDPA_KEY_FEATURES,
	.dev_add = net_dev_add,
	.dev_set_attr = net_dev_set_attr,
	.dev_claim = net_dev_claim,
	.dev_yield = net_dev_yield,
};
