// SPDX-License-Identifier: BSD-3-Clause
/*
 * Device level commands (table A): features, status, config space, sizes, suspend and resume. None
 * of them asks who the owner is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/refuse.h"
#include "vdpa/feature_names.h"
#include "vhost_vdpa/session.h"

/* ---- features and status ---- */

/* QEMU 10 and later look at what a network card offers when they shadow its queues for a
 * migration. */
static void remark_migration(struct vhost_vdpa *s, uint64_t offered) REQUIRES(s->dev->lock)
{
	uint64_t features = offered & (1ULL << VIRTIO_RING_F_INDIRECT_DESC | FEATURE_RING_PACKED |
				       1ULL << VIRTIO_F_IN_ORDER);
	uint32_t id = VDPA_CALL(s->dev, get_device_id);
	char names[64];

	if (offered & FEATURE_RING_RESET) {
		remark("offers RING_RESET: QEMU tells the device nothing of a queue that its guest "
		       "resets");
		return;
	}
	if (!features || id != VIRTIO_ID_NET)
		return;
	vdpa_features_print(names, sizeof(names), id, features);
	remark("offers %s: QEMU %s will not migrate its guest", names,
	       features & FEATURE_RING_PACKED ? "10 and later" : "10.0");
}

/* What is not offered is not negotiated, and nothing in the interface tells the client. */
static void remark_dropped(struct vhost_vdpa *s, uint64_t features) REQUIRES(s->dev->lock)
{
	uint64_t dropped = features & ~VDPA_CALL(s->dev, get_device_features);
	char names[192];

	if (!dropped)
		return;
	vdpa_features_print(names, sizeof(names), VDPA_CALL(s->dev, get_device_id), dropped);
	remark("not offered, left out: %s", names);
}

int do_get_features(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.u64 = VDPA_CALL(s->dev, get_device_features);
	remark_migration(s, c->u.u64);
	if (log_is_offered(s))
		c->u.u64 |= FEATURE_LOG_ALL;
	return 0;
}

static int features_are_settled(struct vhost_vdpa *s) REQUIRES(s->dev->lock)
{
	return refuse(-EBUSY, "SET_FEATURES when the status is 0x%02x, which has FEATURES_OK",
		      VDPA_CALL(s->dev, get_status));
}

/* VHOST_F_LOG_ALL is ours and the client's; the parent does not hear of it. */
static int set_features(struct vhost_vdpa *s, uint64_t features) REQUIRES(s->dev->lock)
{
	bool log_all = log_is_offered(s) && (features & FEATURE_LOG_ALL);

	if (log_is_offered(s))
		features &= ~FEATURE_LOG_ALL;
	if (vdpa_set_features(s->dev, features))
		return refuse(-EINVAL, "device %s refuses the features 0x%llx, it offers 0x%llx",
			      s->dev->name, (unsigned long long)features,
			      (unsigned long long)VDPA_CALL(s->dev, get_device_features));
	s->features = VDPA_CALL(s->dev, get_driver_features);
	s->features_asked = features;
	remark_dropped(s, features);
	log_set_all(s, log_all);
	return 0;
}

/* That features are settled is found before the argument is read ([1-7]). */
int do_set_features(struct vhost_vdpa *s, struct ioctl_call *c)
{
	bool settled = VDPA_CALL(s->dev, get_status) & VIRTIO_CONFIG_S_FEATURES_OK;
	uint64_t features;

	if (settled && !log_is_offered(s))
		return features_are_settled(s);
	if (memory_copy_from(c->client->space, &features, c->arg, sizeof(features)))
		return settled ? features_are_settled(s)
			       : refuse(-EFAULT, "cannot read features at 0x%llx",
					(unsigned long long)c->arg);
	return settled ? log_toggle(s, features) : set_features(s, features);
}

int do_get_status(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.u8 = VDPA_CALL(s->dev, get_status);
	return 0;
}

static int status_zero(struct vhost_vdpa *s) REQUIRES(s->dev->lock)
{
	int ret;

	__atomic_store_n(&s->dev->resetting, true, __ATOMIC_RELAXED);
	if (vdpa_deviates(s->dev, VDPA_D1_BASE_SURVIVES_RESET))
		vrings_save_bases(s);
	ret = session_reset(s, VDPA_RESET_STATUS_ZERO);
	__atomic_store_n(&s->dev->resetting, false, __ATOMIC_RELAXED);
	return ret;
}

int do_set_status(struct vhost_vdpa *s, struct ioctl_call *c)
{
	uint8_t old = VDPA_CALL(s->dev, get_status);
	uint8_t status = c->u.u8;
	int ret;

	if (status != 0 && (old & ~status) != 0)
		return refuse(-EINVAL, "status 0x%02x clears bits of 0x%02x: only 0 does that",
			      status, old);
	HF_TRACE3(set_status, s->dev->name, old, status);
	if (status == 0) {
		ret = status_zero(s);
		return ret;
	}
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		log_check_start(s);
	if (status & ~old & VIRTIO_CONFIG_S_DRIVER_OK)
		as_tell_refused(s);
	VDPA_CALL(s->dev, set_status, status);
	vrings_started(s);
	return 0;
}

int do_suspend(struct vhost_vdpa *s, struct ioctl_call *c)
{
	int ret;

	if (!(VDPA_CALL(s->dev, get_status) & VIRTIO_CONFIG_S_DRIVER_OK))
		return 0;
	if (!s->dev->ops->suspend)
		return refuse(-EOPNOTSUPP, "device %s cannot suspend", s->dev->name);
	ret = VDPA_CALL(s->dev, suspend);
	if (ret)
		return refuse(ret, "device %s failed to suspend", s->dev->name);
	s->suspended = true;
	return 0;
}

int do_resume(struct vhost_vdpa *s, struct ioctl_call *c)
{
	int ret;

	if (!(VDPA_CALL(s->dev, get_status) & VIRTIO_CONFIG_S_DRIVER_OK))
		return 0;
	if (!s->dev->ops->resume)
		return refuse(-EOPNOTSUPP, "device %s cannot resume", s->dev->name);
	ret = VDPA_CALL(s->dev, resume);
	if (ret)
		return refuse(ret, "device %s failed to resume", s->dev->name);
	s->suspended = false;
	vrings_started(s);
	return 0;
}

/* ---- config space ---- */

/* The head of a config argument, checked against the device. */
static int read_config_head(struct vhost_vdpa *s, const struct ioctl_call *c,
			    struct vhost_vdpa_config *head) REQUIRES(s->dev->lock)
{
	size_t size;

	if (memory_copy_from(c->client->space, head, c->arg, sizeof(*head)))
		return refuse(-EFAULT, "cannot read {off, len} at 0x%llx",
			      (unsigned long long)c->arg);
	size = VDPA_CALL(s->dev, get_config_size);
	if (head->len == 0 || head->off > size || head->len > size - head->off)
		return refuse(-EINVAL, "config access of %u bytes at %u, the config has %zu",
			      head->len, head->off, size);
	return 0;
}

int do_get_config(struct vhost_vdpa *s, struct ioctl_call *c)
{
	struct vhost_vdpa_config head;
	int ret = read_config_head(s, c, &head);
	void *buf;

	if (ret)
		return ret;
	buf = calloc(1, head.len);
	if (!buf)
		return refuse(-ENOMEM, "no memory for %u bytes of config", head.len);
	vdpa_get_config(s->dev, head.off, buf, head.len);
	if (memory_copy_to(c->client->space, c->arg + sizeof(head), buf, head.len))
		ret = refuse(-EFAULT, "cannot write %u bytes of config", head.len);
	free(buf);
	return ret;
}

int do_set_config(struct vhost_vdpa *s, struct ioctl_call *c)
{
	struct vhost_vdpa_config head;
	int ret = read_config_head(s, c, &head);
	void *buf;

	if (ret)
		return ret;
	buf = malloc(head.len);
	if (!buf)
		return refuse(-ENOMEM, "no memory for %u bytes of config", head.len);
	if (memory_copy_from(c->client->space, buf, c->arg + sizeof(head), head.len))
		ret = refuse(-EFAULT, "cannot read %u bytes of config", head.len);
	else
		VDPA_CALL(s->dev, set_config, head.off, buf, head.len);
	free(buf);
	return ret;
}

int do_set_config_call(struct vhost_vdpa *s, struct ioctl_call *c)
{
	struct vdpa_callback cb;
	struct notifier *n, *old;
	int ret;

	ret = notifier_from_client(c->client, c->u.fd, s->config_call, &n);
	if (ret)
		return ret;
	old = s->config_call;
	s->config_call = n;
	cb = notifier_callback(n);
	VDPA_CALL(s->dev, set_config_cb, &cb);
	/* The parent calls the old one no more. */
	if (old != n)
		notifier_destroy(old);
	return 0;
}

/* ---- what the device is ---- */

int do_get_device_id(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.u32 = VDPA_CALL(s->dev, get_device_id);
	return 0;
}

int do_get_vring_num(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.u16 = VDPA_CALL(s->dev, get_vq_num_max);
	return 0;
}

int do_get_iova_range(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.range.first = s->range.first;
	c->u.range.last = s->range.last;
	return 0;
}

int do_get_config_size(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.u32 = (uint32_t)VDPA_CALL(s->dev, get_config_size);
	return 0;
}

int do_get_as_num(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.u32 = s->dev->nas;
	return 0;
}

int do_get_group_num(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.u32 = s->dev->ngroups;
	return 0;
}

int do_get_vqs_count(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.u32 = s->dev->nvqs;
	return 0;
}
