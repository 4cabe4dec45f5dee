// SPDX-License-Identifier: BSD-3-Clause
/*
 * A parent with operations of its own, for the control plane alone: it keeps what it is told and
 * moves no data. Its configuration space says what it knows of its map: number of ranges, bytes,
 * ranges that the last set_map() added, ranges that it removed, the first host byte of the first
 * range; 64 bits each.
 */
#include <holdfast/parent.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NVQS 2

struct raw {
	struct vdpa_callback cb[NVQS];
	struct vdpa_vq_state state[NVQS];
	bool ready[NVQS];
	uint8_t status;
	uint64_t features;
	const struct iotlb_version *map; /* [owned] */
	uint64_t config[5];
};

static struct raw *raw_of(struct vdpa_device *dev)
{
	return hf->device_priv(dev);
}

static int set_vq_address(struct vdpa_device *dev, uint16_t idx, uint64_t desc, uint64_t driver,
			  uint64_t device)
{
	return 0;
}

static void set_vq_num(struct vdpa_device *dev, uint16_t idx, uint32_t num)
{
}

static void kick_vq(struct vdpa_device *dev, uint16_t idx)
{
}

static void set_vq_cb(struct vdpa_device *dev, uint16_t idx, const struct vdpa_callback *cb)
{
	raw_of(dev)->cb[idx] = *cb;
}

static void set_vq_ready(struct vdpa_device *dev, uint16_t idx, bool ready)
{
	raw_of(dev)->ready[idx] = ready;
}

static bool get_vq_ready(struct vdpa_device *dev, uint16_t idx)
{
	return raw_of(dev)->ready[idx];
}

static int set_vq_state(struct vdpa_device *dev, uint16_t idx, const struct vdpa_vq_state *state)
{
	raw_of(dev)->state[idx] = *state;
	return 0;
}

static int get_vq_state(struct vdpa_device *dev, uint16_t idx, struct vdpa_vq_state *state)
{
	*state = raw_of(dev)->state[idx];
	return 0;
}

static uint64_t get_device_features(struct vdpa_device *dev)
{
	return HF_RING_FEATURES;
}

static int set_driver_features(struct vdpa_device *dev, uint64_t features)
{
	if (!(features & 1ULL << 33))
		return hf->refuse(-EINVAL, "%s: ACCESS_PLATFORM is a must", hf->device_name(dev));
	raw_of(dev)->features = features & HF_RING_FEATURES;
	return 0;
}

static uint64_t get_driver_features(struct vdpa_device *dev)
{
	return raw_of(dev)->features;
}

static void set_config_cb(struct vdpa_device *dev, const struct vdpa_callback *cb)
{
}

static uint16_t get_vq_num_max(struct vdpa_device *dev)
{
	return 256;
}

static uint32_t get_device_id(struct vdpa_device *dev)
{
	return 1;
}

static uint32_t get_vendor_id(struct vdpa_device *dev)
{
	return 0x1af4;
}

static uint8_t get_status(struct vdpa_device *dev)
{
	return raw_of(dev)->status;
}

static void set_status(struct vdpa_device *dev, uint8_t status)
{
	raw_of(dev)->status = status;
}

static int reset(struct vdpa_device *dev)
{
	struct raw *raw = raw_of(dev);

	memset(raw->cb, 0, sizeof(raw->cb));
	memset(raw->state, 0, sizeof(raw->state));
	memset(raw->ready, 0, sizeof(raw->ready));
	raw->status = 0;
	raw->features = 0;
	return 0;
}

static size_t get_config_size(struct vdpa_device *dev)
{
	return sizeof(raw_of(dev)->config);
}

static void get_config(struct vdpa_device *dev, size_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)raw_of(dev)->config + off, len);
}

static void set_config(struct vdpa_device *dev, size_t off, const void *buf, size_t len)
{
}

static int count(void *arg, bool added, const struct hf_range *range)
{
	struct raw *raw = arg;

	raw->config[added ? 2 : 3]++;
	return 0;
}

static int set_map(struct vdpa_device *dev, uint32_t asid, const struct iotlb_version *map)
{
	struct raw *raw = raw_of(dev);
	struct hf_range r;
	uint64_t from = 0;

	memset(raw->config, 0, sizeof(raw->config));
	while (hf->map_next(map, from, &r)) {
		if (raw->config[0]++ == 0)
			raw->config[4] = (uint8_t)r.host[0];
		raw->config[1] += r.last - r.first + 1;
		from = r.last + 1;
		if (r.last == UINT64_MAX)
			break;
	}
	if (raw->map)
		(void)hf->map_diff(raw->map, map, count, raw);
	hf->map_put(raw->map);
	raw->map = hf->map_get(map);
	return 0;
}

static int reset_map(struct vdpa_device *dev, uint32_t asid)
{
	struct raw *raw = raw_of(dev);

	hf->map_put(raw->map);
	raw->map = NULL;
	return 0;
}

static void free_raw(struct vdpa_device *dev)
{
	hf->map_put(raw_of(dev)->map);
	free(raw_of(dev));
}

static int dev_add(struct hf_add *add, const struct hf_config *config)
{
	static const struct vdpa_config_ops ops = {
		.size = sizeof(ops),
		.set_vq_address = set_vq_address,
		.set_vq_num = set_vq_num,
		.kick_vq = kick_vq,
		.set_vq_cb = set_vq_cb,
		.set_vq_ready = set_vq_ready,
		.get_vq_ready = get_vq_ready,
		.set_vq_state = set_vq_state,
		.get_vq_state = get_vq_state,
		.get_device_features = get_device_features,
		.set_driver_features = set_driver_features,
		.get_driver_features = get_driver_features,
		.set_config_cb = set_config_cb,
		.get_vq_num_max = get_vq_num_max,
		.get_device_id = get_device_id,
		.get_vendor_id = get_vendor_id,
		.get_status = get_status,
		.set_status = set_status,
		.reset = reset,
		.get_config_size = get_config_size,
		.get_config = get_config,
		.set_config = set_config,
		.set_map = set_map,
		.reset_map = reset_map,
		.free = free_raw,
	};
	const struct hf_device_desc desc = {
		.size = sizeof(desc), .ops = &ops, .nvqs = NVQS, .ngroups = 1, .nas = 1};
	struct raw *raw = calloc(1, sizeof(*raw));
	int err;

	if (!raw)
		return -ENOMEM;
	err = hf->device_add(add, &desc, raw);
	if (err)
		free(raw);
	return err;
}

HF_MODULE(.name = "raw", .device_id = 1, .keys = HF_KEYS_DEVICE, .dev_add = dev_add);
