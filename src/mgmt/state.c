// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a device is like at this moment: configuration space, negotiated features ([9-2]), counters
 * of queues ([7-11]). Each is read at once under the device lock, which is let go before a reply is
 * made of it.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>

#include "base/refuse.h"
#include "mgmt/internal.h"

#define ID_NET   1u
#define ID_BLK   2u
#define QIDX_MAX 0x8000

/* One look at a device. */
struct look {
	uint32_t id;
	uint8_t status;
	uint64_t features, negotiated;
	union {
		struct virtio_net_config net;
		struct virtio_blk_config blk;
		char bytes[256];
	} config; /* zero behind what the device has */
};

static void look_at(struct vdpa_device *dev, struct look *look) REQUIRES(dev->lock)
{
	size_t len = VDPA_CALL(dev, get_config_size);

	memset(look, 0, sizeof(*look));
	look->id = VDPA_CALL(dev, get_device_id);
	look->status = VDPA_CALL(dev, get_status);
	look->features = VDPA_CALL(dev, get_device_features);
	look->negotiated = VDPA_CALL(dev, get_driver_features);
	if (len > sizeof(look->config))
		len = sizeof(look->config);
	/* Not vdpa_get_config(), which may set features: whoever looks must change nothing. */
	VDPA_CALL(dev, get_config, 0, look->config.bytes, len);
}

static bool offers(const struct look *look, unsigned int bit)
{
	return (look->features >> bit) & 1;
}

static bool is_negotiated(const struct look *look)
{
	return (look->status & VIRTIO_CONFIG_S_FEATURES_OK) != 0;
}

/* ---- dev config show ---- */

static int add_mac(json_t *object, const uint8_t *mac)
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return mgmt_add(object, "mac", json_string(text));
}

/* The blanks at the end of two names are iproute2's. */
static int add_net(const struct look *look, json_t *object)
{
	const struct virtio_net_config *c = &look->config.net;
	uint16_t status = le16toh(c->status);
	int rc = 0;

	if (offers(look, VIRTIO_NET_F_MAC))
		rc = add_mac(object, c->mac);
	if (!rc && offers(look, VIRTIO_NET_F_STATUS))
		rc = mgmt_add(object, "link ",
			      json_string(status & VIRTIO_NET_S_LINK_UP ? "up" : "down"));
	if (!rc && offers(look, VIRTIO_NET_F_STATUS))
		rc = mgmt_add(object, "link_announce ",
			      json_boolean(status & VIRTIO_NET_S_ANNOUNCE));
	if (!rc && offers(look, VIRTIO_NET_F_MQ))
		rc = mgmt_add(object, "max_vq_pairs",
			      json_integer(le16toh(c->max_virtqueue_pairs)));
	if (!rc && offers(look, VIRTIO_NET_F_MTU))
		rc = mgmt_add(object, "mtu", json_integer(le16toh(c->mtu)));
	return rc;
}

static int add_blk(const struct look *look, json_t *object)
{
	const struct virtio_blk_config *c = &look->config.blk;
	const struct {
		unsigned int bit;
		const char *name;
		json_int_t value;
	} fields[] = {
		{VIRTIO_BLK_F_BLK_SIZE, "blk_size", le32toh(c->blk_size)},
		{VIRTIO_BLK_F_SIZE_MAX, "size_max", le32toh(c->size_max)},
		{VIRTIO_BLK_F_SEG_MAX, "seg_max", le32toh(c->seg_max)},
		{VIRTIO_BLK_F_MQ, "num_queues", le16toh(c->num_queues)},
	};
	int rc = mgmt_add(object, "capacity", json_integer((json_int_t)le64toh(c->capacity)));

	for (size_t i = 0; i < ARRAY_LEN(fields) && !rc; i++)
		if (offers(look, fields[i].bit))
			rc = mgmt_add(object, fields[i].name, json_integer(fields[i].value));
	if (!rc)
		rc = mgmt_add(object, "read_only", json_boolean(offers(look, VIRTIO_BLK_F_RO)));
	return rc;
}

static int show_config(struct vdpa_device *dev, json_t *object)
{
	struct look look;
	int rc = 0;

	mutex_lock(&dev->lock);
	look_at(dev, &look);
	mutex_unlock(&dev->lock);
	if (look.id == ID_NET)
		rc = add_net(&look, object);
	else if (look.id == ID_BLK)
		rc = add_blk(&look, object);
	if (!rc && is_negotiated(&look))
		rc = mgmt_add(object, "negotiated_features",
			      mgmt_features(look.id, look.negotiated));
	return rc;
}

int mgmt_cmd_config_show(struct mgmt_call *call)
{
	return mgmt_for_devices(call, "config", show_config);
}

/* ---- dev vstats show ---- */

static const char *queue_type(const struct look *look, uint16_t idx)
{
	unsigned int pairs = 1;

	if (look->id != ID_NET)
		return look->id == ID_BLK ? "request" : "unknown";
	if ((look->negotiated >> VIRTIO_NET_F_MQ) & 1)
		pairs = le16toh(look->config.net.max_virtqueue_pairs);
	if (((look->negotiated >> VIRTIO_NET_F_CTRL_VQ) & 1) && idx == 2 * pairs)
		return "control_vq";
	return idx % 2 ? "tx" : "rx";
}

/* [9-3]. Return: how many counters */
static int read_stats(struct vdpa_device *dev, uint16_t idx, struct look *look,
		      struct vdpa_vq_stat *stats) REQUIRES(dev->lock)
{
	if (!dev->ops->get_vendor_vq_stats)
		return refuse(-EOPNOTSUPP, "device %s has no counters", dev->name);
	look_at(dev, look);
	if (!is_negotiated(look))
		return refuse(-EAGAIN, "device %s has not negotiated its features yet", dev->name);
	if (idx >= dev->nvqs)
		return refuse(-EINVAL, "device %s has no queue %u, there are %u", dev->name, idx,
			      dev->nvqs);
	return VDPA_CALL(dev, get_vendor_vq_stats, idx, stats);
}

static int show_stats(struct vdpa_device *dev, uint16_t idx, json_t *object)
{
	struct vdpa_vq_stat stats[VDPA_VQ_STATS_MAX];
	struct look look;
	int nr, rc;

	mutex_lock(&dev->lock);
	nr = read_stats(dev, idx, &look, stats);
	mutex_unlock(&dev->lock);
	if (nr < 0)
		return nr;
	rc = mgmt_add(object, "queue_type", json_string(queue_type(&look, idx)));
	for (int i = 0; i < nr && !rc; i++)
		rc = mgmt_add(object, stats[i].name, json_integer((json_int_t)stats[i].value));
	return rc;
}

static int get_qidx(const struct mgmt_call *call, uint16_t *idx)
{
	const json_t *qidx = json_object_get(call->request, "qidx");

	if (!json_is_integer(qidx))
		return refuse(-EINVAL, "no \"qidx\", the number of a queue");
	if (json_integer_value(qidx) < 0 || json_integer_value(qidx) > QIDX_MAX)
		return refuse(-ERANGE, "qidx %lld is not from 0 to %d",
			      (long long)json_integer_value(qidx), QIDX_MAX);
	*idx = (uint16_t)json_integer_value(qidx);
	return 0;
}

static int add_stats(struct mgmt_call *call, struct vdpa_device *dev, uint16_t idx)
{
	json_t *all = json_object(), *object;
	int rc = mgmt_add(call->result, "vstats", all);

	if (rc)
		return rc;
	object = json_object();
	rc = mgmt_add(all, dev->name, object);
	return rc ? rc : show_stats(dev, idx, object);
}

int mgmt_cmd_vstats_show(struct mgmt_call *call)
{
	struct vdpa_device *dev;
	uint16_t idx = 0;
	int rc = get_qidx(call, &idx);

	if (!rc)
		rc = mgmt_device(call, &dev);
	if (rc)
		return rc;
	rc = add_stats(call, dev, idx);
	vdpa_device_put(dev);
	return rc;
}
