// SPDX-License-Identifier: BSD-3-Clause
/*
 * Features, status and configuration: each call is one or two of the parent's operations under the
 * device lock, [8-2]. A device that was taken away answers -ENODEV.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "base/fd.h"
#include "base/refuse.h"
#include "virtio_vdpa/internal.h"

/* What the rings of this driver can do, whatever stands on them. */
#define TRANSPORT_FEATURES                                                                         \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM |                           \
	 1ULL << VIRTIO_F_RING_PACKED | 1ULL << VIRTIO_F_IN_ORDER |                                \
	 1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define CONFIG_TRIES 100 /* reads of a configuration that changes under them */

/* Lock the device for one call. Return: 0, locked; -ENODEV, not locked */
static int enter(struct virtio_vdpa *v) TRY_ACQUIRES(false, v->dev->lock) NO_TSA
{
	mutex_lock(&v->dev->lock);
	if (!virtio_vdpa_is_gone(v))
		return 0;
	mutex_unlock(&v->dev->lock);
	return refuse(-ENODEV, "device %s is gone", v->dev->name);
}

static void leave(struct virtio_vdpa *v) RELEASES(v->dev->lock)
{
	mutex_unlock(&v->dev->lock);
}

/* ---- identity ---- */

const char *virtio_vdpa_name(const struct virtio_vdpa *v)
{
	return v->dev->name;
}

uint32_t virtio_vdpa_device_id(const struct virtio_vdpa *v)
{
	return v->device_id;
}

/* ---- features ---- */

uint64_t virtio_vdpa_offered(struct virtio_vdpa *v)
{
	uint64_t features;

	if (enter(v))
		return 0;
	features = VDPA_CALL(v->dev, get_device_features);
	leave(v);
	return features;
}

uint64_t virtio_vdpa_features(const struct virtio_vdpa *v)
{
	return v->features;
}

static void add_status(struct virtio_vdpa *v, uint8_t bits) REQUIRES(v->dev->lock)
{
	VDPA_CALL(v->dev, set_status, (uint8_t)(VDPA_CALL(v->dev, get_status) | bits));
}

static int negotiate(struct virtio_vdpa *v, uint64_t wanted, uint64_t needed) REQUIRES(v->dev->lock)
{
	uint64_t offered = VDPA_CALL(v->dev, get_device_features);
	uint64_t features = offered & (wanted | needed | TRANSPORT_FEATURES);
	int ret;

	needed |= 1ULL << VIRTIO_F_VERSION_1;
	if (needed & ~offered)
		return refuse(-EOPNOTSUPP,
			      "device %s offers features 0x%llx, and not 0x%llx, which are needed",
			      v->dev->name, (unsigned long long)offered,
			      (unsigned long long)(needed & ~offered));
	ret = vdpa_set_features(v->dev, features);
	if (ret)
		return refuse(ret, "device %s refuses features 0x%llx", v->dev->name,
			      (unsigned long long)features);
	add_status(v, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(VDPA_CALL(v->dev, get_status) & VIRTIO_CONFIG_S_FEATURES_OK))
		return refuse(-EIO, "device %s does not agree to features 0x%llx", v->dev->name,
			      (unsigned long long)features);
	v->features = features;
	return 0;
}

int virtio_vdpa_negotiate(struct virtio_vdpa *v, uint64_t wanted, uint64_t needed)
{
	int ret = enter(v);

	if (ret)
		return ret;
	/* After a reset by virtio_vdpa_reset() the first two steps are due again. */
	add_status(v, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	ret = negotiate(v, wanted, needed);
	if (ret)
		add_status(v, VIRTIO_CONFIG_S_FAILED);
	leave(v);
	return ret;
}

/* ---- status ---- */

void virtio_vdpa_wake_all(struct virtio_vdpa *v)
{
	for (uint32_t i = 0; i < v->dev->nvqs; i++)
		if (v->vqs[i])
			fd_signal(v->vqs[i]->call_fd, false);
}

static void config_cb(void *arg)
{
	struct virtio_vdpa *v = arg;

	__atomic_store_n(&v->config_irq, true, __ATOMIC_RELEASE);
	virtio_vdpa_wake_all(v);
}

int virtio_vdpa_driver_ok(struct virtio_vdpa *v)
{
	struct vdpa_callback cb = {.fn = config_cb, .arg = v};
	int ret = enter(v);
	uint8_t status;

	if (ret)
		return ret;
	VDPA_CALL(v->dev, set_config_cb, &cb);
	add_status(v, VIRTIO_CONFIG_S_DRIVER_OK);
	status = VDPA_CALL(v->dev, get_status);
	if (status & (VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET))
		ret = refuse(-EIO, "device %s does not start: its status is 0x%02x", v->dev->name,
			     status);
	leave(v);
	return ret;
}

uint8_t virtio_vdpa_status(struct virtio_vdpa *v)
{
	uint8_t status;

	if (enter(v))
		return 0;
	status = VDPA_CALL(v->dev, get_status);
	leave(v);
	return status;
}

/* ---- configuration ---- */

size_t virtio_vdpa_config_size(struct virtio_vdpa *v)
{
	size_t size;

	if (enter(v))
		return 0;
	size = VDPA_CALL(v->dev, get_config_size);
	leave(v);
	return size;
}

static int check_config_range(struct virtio_vdpa *v, size_t off, size_t len) REQUIRES(v->dev->lock)
{
	size_t size = VDPA_CALL(v->dev, get_config_size);

	if (off > size || len > size - off)
		return refuse(-EINVAL, "device %s has %zu bytes of configuration, not %zu at %zu",
			      v->dev->name, size, len, off);
	return 0;
}

static int read_one_generation(struct virtio_vdpa *v, size_t off, void *buf, size_t len)
	REQUIRES(v->dev->lock)
{
	uint32_t before, after;

	if (!v->dev->ops->get_generation) {
		vdpa_get_config(v->dev, off, buf, len);
		return 0;
	}
	after = VDPA_CALL(v->dev, get_generation);
	for (int i = 0; i < CONFIG_TRIES; i++) {
		before = after;
		vdpa_get_config(v->dev, off, buf, len);
		after = VDPA_CALL(v->dev, get_generation);
		if (before == after)
			return 0;
	}
	return refuse(-EAGAIN, "device %s changes its configuration all the time", v->dev->name);
}

int virtio_vdpa_read_config(struct virtio_vdpa *v, size_t off, void *buf, size_t len)
{
	int ret = enter(v);

	if (ret)
		return ret;
	ret = check_config_range(v, off, len);
	if (!ret)
		ret = read_one_generation(v, off, buf, len);
	leave(v);
	return ret;
}

int virtio_vdpa_write_config(struct virtio_vdpa *v, size_t off, const void *buf, size_t len)
{
	int ret = enter(v);

	if (ret)
		return ret;
	ret = check_config_range(v, off, len);
	if (!ret)
		VDPA_CALL(v->dev, set_config, off, buf, len);
	leave(v);
	return ret;
}

bool virtio_vdpa_config_changed(struct virtio_vdpa *v)
{
	return __atomic_exchange_n(&v->config_irq, false, __ATOMIC_ACQ_REL);
}
