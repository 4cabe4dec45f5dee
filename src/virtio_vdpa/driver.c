// SPDX-License-Identifier: BSD-3-Clause
/*
 * The bus driver, and the one user of a bound device. Guarantees:
 *
 * 1. A bound device that nobody uses has been reset and is at ACKNOWLEDGE, as the kernel leaves it.
 *    If the reset failed at the end of a use, the next use begins with one.
 * 2. Every reset goes through vdpa_reset() with the event VIRTIO_ATTACH, whose row says: flags 0,
 *    mappings stay. So the driver stands on the map that the parent has at first, 1:1, and on
 *    .reset_map putting it back when a client of vhost_vdpa has gone ([8-2]).
 * 3. A device that is taken away is reset under its user, who is woken and finds -ENODEV; the
 *    user's close then only frees. Unbinding without force is refused while there is a user
 *    ([8-1]).
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/refuse.h"
#include "virtio_vdpa/internal.h"

int virtio_vdpa_start(struct vdpa_device *dev)
{
	int ret = vdpa_reset(dev, VDPA_RESET_VIRTIO_ATTACH, false);

	if (ret)
		return refuse(ret, "%s: the parent's reset failed", dev->name);
	VDPA_CALL(dev, set_status, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	return 0;
}

/* ---- binding ---- */

static int virtio_vdpa_probe(struct vdpa_device *dev)
{
	struct virtio_binding *b;
	int ret;

	b = calloc(1, sizeof(*b));
	if (!b)
		return refuse(-ENOMEM, "no memory to bind %s", dev->name);
	mutex_lock(&dev->lock);
	if (VDPA_CALL(dev, get_device_id) == 0)
		ret = refuse(-EINVAL, "device %s has the virtio id 0, which is none", dev->name);
	else
		ret = virtio_vdpa_start(dev);
	if (!ret)
		dev->drvdata = b;
	mutex_unlock(&dev->lock);
	if (ret)
		free(b);
	return ret;
}

static void lose(struct vdpa_device *dev, struct virtio_vdpa *v) REQUIRES(dev->lock)
{
	(void)virtio_vdpa_stop(dev, v);
	__atomic_store_n(&v->gone, true, __ATOMIC_RELEASE);
	virtio_vdpa_wake_all(v);
	vdpa_yield(dev);
}

static int detach(struct vdpa_device *dev, bool force)
{
	struct virtio_binding *b;

	mutex_lock(&dev->lock);
	b = dev->drvdata;
	if (b->user && !force) {
		mutex_unlock(&dev->lock);
		return refuse(-EBUSY, "device %s is in use as a virtio device", dev->name);
	}
	if (b->user)
		lose(dev, b->user);
	dev->drvdata = NULL;
	mutex_unlock(&dev->lock);
	free(b);
	return 0;
}

static void virtio_vdpa_remove(struct vdpa_device *dev)
{
	(void)detach(dev, true);
}

static int virtio_vdpa_remove_idle(struct vdpa_device *dev)
{
	return detach(dev, false);
}

const struct vdpa_driver virtio_vdpa_driver = {
	.name = "virtio_vdpa",
	.probe = virtio_vdpa_probe,
	.remove = virtio_vdpa_remove,
	.remove_idle = virtio_vdpa_remove_idle,
};

/* ---- the one user ---- */

static int attach(struct virtio_vdpa *v) REQUIRES(v->dev->lock)
{
	struct virtio_binding *b = v->dev->drvdata;
	int ret;

	if (v->dev->removed || v->dev->driver != &virtio_vdpa_driver || !b)
		return refuse(-ENODEV, "device %s is not bound to virtio_vdpa", v->dev->name);
	if (b->user)
		return refuse(-EBUSY, "device %s is in use as a virtio device", v->dev->name);
	ret = vdpa_claim(v->dev);
	if (ret)
		return ret;
	if (VDPA_CALL(v->dev, get_status) != VIRTIO_CONFIG_S_ACKNOWLEDGE) {
		ret = virtio_vdpa_start(v->dev);
		if (ret) {
			vdpa_yield(v->dev);
			return ret;
		}
	}
	v->device_id = VDPA_CALL(v->dev, get_device_id);
	VDPA_CALL(v->dev, set_status, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	b->user = v;
	return 0;
}

static void free_user(struct virtio_vdpa *v)
{
	struct vdpa_device *dev = v->dev;

	free(v->vqs);
	free(v);
	vdpa_device_put(dev);
}

int virtio_vdpa_open(struct vdpa_device *dev, struct virtio_vdpa **out)
{
	struct virtio_vdpa *v = calloc(1, sizeof(*v));
	int ret;

	if (!v)
		return refuse(-ENOMEM, "%s: no memory", dev->name);
	v->dev = vdpa_device_get(dev);
	v->vqs = calloc(dev->nvqs, sizeof(*v->vqs));
	if (!v->vqs) {
		free_user(v);
		return refuse(-ENOMEM, "%s: no memory", dev->name);
	}
	mutex_lock(&v->dev->lock);
	ret = attach(v);
	mutex_unlock(&v->dev->lock);
	if (ret)
		free_user(v);
	else
		*out = v;
	return ret;
}

int virtio_vdpa_reset(struct virtio_vdpa *v)
{
	int ret;

	mutex_lock(&v->dev->lock);
	if (virtio_vdpa_is_gone(v))
		ret = refuse(-ENODEV, "device %s is gone", v->dev->name);
	else
		ret = virtio_vdpa_stop(v->dev, v);
	v->features = 0;
	virtio_vdpa_vqs_free(v);
	mutex_unlock(&v->dev->lock);
	return ret;
}

int virtio_vdpa_close(struct virtio_vdpa *v)
{
	struct virtio_binding *b;
	int ret;

	if (!v)
		return 0;
	mutex_lock(&v->dev->lock);
	if (!virtio_vdpa_is_gone(v)) {
		if (virtio_vdpa_stop(v->dev, v) == 0)
			VDPA_CALL(v->dev, set_status, VIRTIO_CONFIG_S_ACKNOWLEDGE);
		b = v->dev->drvdata;
		b->user = NULL;
		virtio_vdpa_vqs_free(v);
		vdpa_yield(v->dev);
	}
	virtio_vdpa_vqs_free(v);
	ret = v->stop_err;
	mutex_unlock(&v->dev->lock);
	free_user(v);
	return ret;
}
