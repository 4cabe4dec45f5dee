// SPDX-License-Identifier: BSD-3-Clause
/*
 * D10: call eventfds of a ring whose memory the client takes away while the device runs. QEMU up
 * to 7.2 does this to its shadow rings. It frees them, and crashes if their call eventfd wakes it
 * afterwards.
 *
 * 1. When the message that unmaps a used ring is answered, the device does not use the ring any
 *    more. So it does not signal the ring's call eventfd, and what was left in the eventfd has
 *    been taken out. An eventfd is left alone if it also tells of something else: of a ring that
 *    still runs, or of the configuration. It is also left alone if the ring has not run since the
 *    reset.
 * 2. The signal is not lost. If the client maps the used ring again while the device runs, as a
 *    client does that moves its memory, the device signals once. There may be nothing new then.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "vhost_vdpa/session.h"

/* Take the count out of an eventfd that others may read at the same time. Return: was there one? */
static bool drain(const struct notifier *n)
{
	struct pollfd pfd = {.fd = n->fd, .events = POLLIN};
	uint64_t count;
	struct iovec iov = {&count, sizeof(count)};

	if (poll(&pfd, 1, 0) <= 0)
		return false;
	/* Where the system cannot read without waiting, an eventfd that blocks is left alone. */
	return preadv2(n->fd, &iov, 1, -1, n->may_block ? RWF_NOWAIT : 0) == sizeof(count);
}

/* The address space that a ring's areas are in. */
static uint32_t ring_asid(struct vhost_vdpa *s, uint32_t idx) REQUIRES(s->dev->lock)
{
	uint32_t group = 0;

	if (s->dev->ops->get_vq_desc_group)
		group = VDPA_CALL(s->dev, get_vq_desc_group, (uint16_t)idx);
	else if (s->dev->ops->get_vq_group)
		group = VDPA_CALL(s->dev, get_vq_group, (uint16_t)idx);
	return group < s->dev->ngroups ? s->group_asid[group] : 0;
}

static bool is_same_call(const struct notifier *a, const struct notifier *b)
{
	return a && b && fd_is_same_file(a->fd, b->fd);
}

static bool used_is_mapped(struct vhost_vdpa *s, uint32_t idx) REQUIRES(s->dev->lock)
{
	const struct address_space *as = as_find(s, ring_asid(s, idx));
	uint64_t used = s->vrings[idx].used;

	return as && iotlb_overlaps(as->iotlb, used, used);
}

/* Does the call eventfd of ring @idx, whose used ring is not mapped, tell of something else that
 * goes on? */
static bool call_is_shared(struct vhost_vdpa *s, uint32_t idx) REQUIRES(s->dev->lock)
{
	const struct notifier *call = s->vrings[idx].call;

	for (uint32_t i = 0; i < s->dev->nvqs; i++)
		if (i != idx && s->vrings[i].ran && is_same_call(call, s->vrings[i].call) &&
		    used_is_mapped(s, i))
			return true;
	return is_same_call(call, s->config_call);
}

void calls_follow_map(struct vhost_vdpa *s, struct address_space *as)
{
	bool deferred = s->in_batch && vdpa_device_mapping(s->dev) == VDPA_MAPPING_SET_MAP;

	if (deferred || !vdpa_deviates(s->dev, VDPA_D10_CALLS_END_WITH_RING) ||
	    !(VDPA_CALL(s->dev, get_status) & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	for (uint32_t i = 0; i < s->dev->nvqs; i++) {
		struct vhost_vring *vr = &s->vrings[i];

		if (!vr->call || !vr->ran || ring_asid(s, i) != as->asid)
			continue;
		if (!used_is_mapped(s, i)) {
			vr->call_owed |= !call_is_shared(s, i) && drain(vr->call);
		} else if (vr->call_owed) {
			vr->call_owed = false;
			notifier_signal(vr->call);
		}
	}
}

void calls_reset(struct vhost_vdpa *s)
{
	memset(s->group_asid, 0, s->dev->ngroups * sizeof(*s->group_asid)); /* [3-4] */
	for (uint32_t i = 0; i < s->dev->nvqs; i++)
		s->vrings[i].call_owed = false;
}
