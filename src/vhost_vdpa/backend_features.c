// SPDX-License-Identifier: BSD-3-Clause
/*
 * Backend features: one row a bit says when it is offered, when an ack is refused, and what else it
 * needs ([5-1]..[5-9]). Bits without a row do not exist. An ack replaces the whole mask, at any
 * time.
 */
#include <errno.h>

#include "base/refuse.h"
#include "vhost_vdpa/session.h"

struct feature {
	unsigned int bit;
	const char *name;
	bool (*offered)(struct vdpa_device *dev);
	bool refused_if_not_offered;
	uint64_t
		/* bits that must be acked in the same mask: -EINVAL, tested before the offer */
		needs;
};

static bool always(struct vdpa_device *dev)
{
	return true;
}

static bool has_suspend(struct vdpa_device *dev)
{
	return dev->ops->suspend != NULL;
}

static bool has_resume(struct vdpa_device *dev)
{
	return dev->ops->resume != NULL;
}

static bool has_desc_group(struct vdpa_device *dev)
{
	return dev->ops->get_vq_desc_group != NULL;
}

static bool enables_after_driver_ok(struct vdpa_device *dev)
{
	return dev->ops->get_backend_features &&
	       (VDPA_CALL(dev, get_backend_features) & VDPA_BACKEND_F_ENABLE_AFTER_DRIVER_OK) != 0;
}

/* In the order in which the kernel tests them: it decides which errno wins. */
static const struct feature features[] = {
	{1, "IOTLB_MSG_V2", always, true, 0},
	{2, "IOTLB_BATCH", always, true, 0},
	{3, "IOTLB_ASID", always, true, 0},
	{4, "SUSPEND", has_suspend, true, 0},
	{5, "RESUME", has_resume, true, 0},
	{6, "ENABLE_AFTER_DRIVER_OK", enables_after_driver_ok, false, 0},
	{7, "DESC_ASID", has_desc_group, true, BACKEND_ASID},
	{8, "IOTLB_PERSIST", vdpa_can_persist, true, 0},
};

const char *backend_feature_name(unsigned int bit)
{
	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		if (features[i].bit == bit)
			return features[i].name;
	return NULL;
}

int do_get_backend_features(struct vhost_vdpa *s, struct ioctl_call *c)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		if (features[i].offered(s->dev))
			mask |= 1ULL << features[i].bit;
	c->u.u64 = mask;
	return 0;
}

static int check_one(struct vhost_vdpa *s, const struct feature *f, uint64_t acked)
	REQUIRES(s->dev->lock)
{
	if (!(acked & 1ULL << f->bit))
		return 0;
	if (f->needs & ~acked)
		return refuse(-EINVAL, "backend feature %s (bit %u) needs 0x%llx, of 0x%llx",
			      f->name, f->bit, (unsigned long long)f->needs,
			      (unsigned long long)acked);
	if (f->refused_if_not_offered && !f->offered(s->dev))
		return refuse(-EOPNOTSUPP, "device %s has no backend feature %s (bit %u)",
			      s->dev->name, f->name, f->bit);
	return 0;
}

int do_set_backend_features(struct vhost_vdpa *s, struct ioctl_call *c)
{
	uint64_t acked = c->u.u64, known = 0;
	int ret;

	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		known |= 1ULL << features[i].bit;
	if (acked & ~known)
		return refuse(-EOPNOTSUPP, "unknown backend features 0x%llx",
			      (unsigned long long)(acked & ~known));
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		ret = check_one(s, &features[i], acked);
		if (ret)
			return ret;
	}
	s->backend_features = acked;
	return 0;
}
