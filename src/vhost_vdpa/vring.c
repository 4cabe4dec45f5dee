// SPDX-License-Identifier: BSD-3-Clause
/*
 * Virtqueue commands (table C) but for the eventfds, and D1: the position of a ring can be read
 * after SET_STATUS(0). The session keeps its own copy of what the client set, stored before the
 * parent is asked, as the kernel does.
 */
#include <errno.h>

#include "base/log.h"
#include "base/refuse.h"
#include "vhost_vdpa/session.h"

static bool is_packed(const struct vhost_vdpa *s)
{
	return (s->features & FEATURE_RING_PACKED) != 0;
}

int do_set_vring_num(struct vhost_vdpa *s, struct ioctl_call *c)
{
	uint32_t num = c->u.state.num;

	if (num == 0 || num > UINT16_MAX || num > s->vring_num_max || (num & (num - 1)) != 0)
		return refuse(-EINVAL, "ring of %u entries: a power of two, at most %u", num,
			      s->vring_num_max);
	s->vrings[c->idx].num = num;
	VDPA_CALL(s->dev, set_vq_num, (uint16_t)c->idx, num);
	return 0;
}

static int check_addr(const struct vhost_vring_addr *addr)
{
	if (addr->flags & ~(1u << VHOST_VRING_F_LOG))
		return refuse(-EOPNOTSUPP, "flags 0x%x of SET_VRING_ADDR", addr->flags);
	if (addr->avail_user_addr & 1)
		return refuse(-EINVAL, "available ring at 0x%llx is not 2-aligned",
			      (unsigned long long)addr->avail_user_addr);
	if (addr->used_user_addr & 3)
		return refuse(-EINVAL, "used ring at 0x%llx is not 4-aligned",
			      (unsigned long long)addr->used_user_addr);
	if (addr->log_guest_addr & 3)
		return refuse(-EINVAL, "log address 0x%llx is not 4-aligned",
			      (unsigned long long)addr->log_guest_addr);
	return 0;
}

/*
 * Size, base and addresses of a ring cannot change while the device runs ([1-29], [1-30]). The
 * exception is RING_RESET, which no kernel offers. If it was negotiated, a ring that is not
 * enabled may be set up anew: ENABLE 0, NUM, BASE, ADDR, ENABLE 1.
 */
static bool ring_is_settled(struct vhost_vdpa *s, uint32_t idx) REQUIRES(s->dev->lock)
{
	return session_is_running(s) && (!(s->features & FEATURE_RING_RESET) ||
					 VDPA_CALL(s->dev, get_vq_ready, (uint16_t)idx));
}

/* May @addr replace what a running ring has? Where it is logged may change, where it lies may
 * not. */
static bool changes_log_alone(const struct vhost_vdpa *s, const struct vhost_vring *vr,
			      const struct vhost_vring_addr *addr)
{
	return log_is_offered(s) && (vr->log_used || addr->flags) &&
	       vr->desc == addr->desc_user_addr && vr->avail == addr->avail_user_addr &&
	       vr->used == addr->used_user_addr;
}

int do_set_vring_addr(struct vhost_vdpa *s, struct ioctl_call *c)
{
	const struct vhost_vring_addr *addr = &c->u.addr;
	struct vhost_vring *vr = &s->vrings[c->idx];
	bool running = ring_is_settled(s, c->idx), relog;
	int ret = check_addr(addr);

	if (ret)
		return ret;
	relog = running && changes_log_alone(s, vr, addr);
	/* Refused, they are stored all the same, but not where that would make the next try look
	 * right. */
	if (!running || relog || !log_is_offered(s)) {
		vr->desc = addr->desc_user_addr;
		vr->avail = addr->avail_user_addr;
		vr->used = addr->used_user_addr;
		vr->log = addr->log_guest_addr;
		vr->log_used = addr->flags & (1u << VHOST_VRING_F_LOG);
	}
	if (running && !relog)
		return refuse(-EINVAL, "ring %u cannot move while the device runs", c->idx);
	log_vring_changed(s, c->idx);
	if (!running &&
	    VDPA_CALL(s->dev, set_vq_address, (uint16_t)c->idx, vr->desc, vr->avail, vr->used))
		return refuse(-EINVAL, "device %s refuses the addresses of ring %u", s->dev->name,
			      c->idx);
	return 0;
}

int do_set_vring_base(struct vhost_vdpa *s, struct ioctl_call *c)
{
	struct vhost_vring *vr = &s->vrings[c->idx];
	uint32_t num = c->u.state.num;
	int ret;

	if (!is_packed(s) && num > UINT16_MAX)
		return refuse(-EINVAL, "base %u of a split ring: at most 65535", num);
	/* Packed: available position below, used position above ([1-30]). */
	vr->base.last_avail = (uint16_t)num;
	vr->base.last_used = is_packed(s) ? (uint16_t)(num >> 16) : 0;
	if (ring_is_settled(s, c->idx))
		return refuse(-EINVAL, "the base of ring %u cannot change while the device runs",
			      c->idx);
	ret = VDPA_CALL(s->dev, set_vq_state, (uint16_t)c->idx, &vr->base);
	if (ret)
		return refuse(ret, "device %s refuses base 0x%x of ring %u", s->dev->name, num,
			      c->idx);
	vr->has_saved = false;
	vr->base_set = true;
	return 0;
}

/* D1: the position of one layout says nothing about a ring of the other, once the client has
 * settled on that. */
static bool saved_is_readable(struct vhost_vdpa *s, const struct vhost_vring *vr)
	REQUIRES(s->dev->lock)
{
	return vr->saved_packed == is_packed(s) ||
	       !(VDPA_CALL(s->dev, get_status) & VIRTIO_CONFIG_S_FEATURES_OK);
}

int do_get_vring_base(struct vhost_vdpa *s, struct ioctl_call *c)
{
	struct vhost_vring *vr = &s->vrings[c->idx];
	struct vdpa_vq_state state = {0};
	bool packed = is_packed(s);
	int ret;

	if (vr->has_saved && saved_is_readable(s, vr)) {
		if (vr->saved_err)
			return refuse(vr->saved_err,
				      "device %s did not tell the base of ring %u before its reset",
				      s->dev->name, c->idx);
		state = vr->saved;
		packed = vr->saved_packed;
	} else {
		ret = VDPA_CALL(s->dev, get_vq_state, (uint16_t)c->idx, &state);
		if (ret)
			return refuse(ret, "device %s does not tell the base of ring %u",
				      s->dev->name, c->idx);
	}
	vr->base = state;
	c->u.state.num = state.last_avail;
	if (packed)
		c->u.state.num |= (uint32_t)state.last_used << 16;
	return 0;
}

int do_set_vring_enable(struct vhost_vdpa *s, struct ioctl_call *c)
{
	VDPA_CALL(s->dev, set_vq_ready, (uint16_t)c->idx, c->u.state.num != 0);
	vrings_started(s);
	return 0;
}

/* ---- groups ---- */

static int answer_group(struct vhost_vdpa *s, struct ioctl_call *c, uint32_t group)
{
	if (group >= s->dev->ngroups)
		return refuse(-EIO, "device %s puts ring %u into group %u of %u", s->dev->name,
			      c->idx, group, s->dev->ngroups);
	c->u.state.num = group;
	return 0;
}

int do_get_vring_group(struct vhost_vdpa *s, struct ioctl_call *c)
{
	if (!s->dev->ops->get_vq_group)
		return refuse(-EOPNOTSUPP, "device %s has no virtqueue groups", s->dev->name);
	return answer_group(s, c, VDPA_CALL(s->dev, get_vq_group, (uint16_t)c->idx));
}

int do_get_vring_desc_group(struct vhost_vdpa *s, struct ioctl_call *c)
{
	if (!s->dev->ops->get_vq_desc_group)
		return refuse(-EOPNOTSUPP, "device %s has no groups for rings alone", s->dev->name);
	return answer_group(s, c, VDPA_CALL(s->dev, get_vq_desc_group, (uint16_t)c->idx));
}

int do_set_group_asid(struct vhost_vdpa *s, struct ioctl_call *c)
{
	uint32_t group = c->idx, asid = c->u.state.num;
	int ret;

	if (group >= s->dev->ngroups || asid >= s->dev->nas)
		return refuse(-EINVAL, "group %u to address space %u: there are %u and %u", group,
			      asid, s->dev->ngroups, s->dev->nas);
	/* the order of [1-39]: a device that cannot move groups is busy, too */
	if (vdpa_deviates(s->dev, VDPA_D7_GROUP_STAYS) &&
	    (VDPA_CALL(s->dev, get_status) & VIRTIO_CONFIG_S_DRIVER_OK))
		return refuse(-EBUSY, "group %u cannot move while DRIVER_OK is set", group);
	if (!s->dev->ops->set_group_asid)
		return refuse(-EOPNOTSUPP, "device %s cannot move groups", s->dev->name);
	ret = VDPA_CALL(s->dev, set_group_asid, group, asid);
	if (ret)
		return refuse(ret, "device %s refuses group %u in address space %u", s->dev->name,
			      group, asid);
	s->group_asid[group] = asid;
	return 0;
}

/* ---- sizes ---- */

int do_get_vring_size(struct vhost_vdpa *s, struct ioctl_call *c)
{
	if (!s->dev->ops->get_vq_size)
		return refuse(-EOPNOTSUPP, "device %s does not tell ring sizes", s->dev->name);
	c->u.state.num = VDPA_CALL(s->dev, get_vq_size, (uint16_t)c->idx);
	return 0;
}

int do_set_busyloop_timeout(struct vhost_vdpa *s, struct ioctl_call *c)
{
	s->vrings[c->idx].busyloop_timeout = c->u.state.num;
	return 0;
}

int do_get_busyloop_timeout(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.state.num = s->vrings[c->idx].busyloop_timeout;
	return 0;
}

/* ---- what has run, and D1 ---- */

void vrings_save_bases(struct vhost_vdpa *s)
{
	bool ok = VDPA_CALL(s->dev, get_status) & VIRTIO_CONFIG_S_DRIVER_OK;

	/* No kick moves a ring between here and the reset. A parent that cannot suspend is asked
	 * all the same. */
	if (ok && !s->suspended && s->dev->ops->suspend && VDPA_CALL(s->dev, suspend))
		hf_dbg(s->dev->name, "cannot suspend before the reset");
	for (uint32_t i = 0; i < s->dev->nvqs; i++) {
		struct vhost_vring *vr = &s->vrings[i];

		/* One that has neither run nor been placed since has nothing to tell, but may have
		 * of the time before. */
		if (!vr->ran && !vr->base_set)
			continue;
		vr->saved = (struct vdpa_vq_state){0};
		vr->saved_err = VDPA_CALL(s->dev, get_vq_state, (uint16_t)i, &vr->saved);
		vr->has_saved = true;
		vr->saved_packed = is_packed(s);
	}
}

void vrings_started(struct vhost_vdpa *s)
{
	if (!session_is_running(s))
		return;
	for (uint32_t i = 0; i < s->dev->nvqs; i++) {
		struct vhost_vring *vr = &s->vrings[i];

		vr->has_saved = false;
		vr->ran |= VDPA_CALL(s->dev, get_vq_ready, (uint16_t)i);
	}
}

void vrings_reset(struct vhost_vdpa *s)
{
	for (uint32_t i = 0; i < s->dev->nvqs; i++)
		s->vrings[i].ran = s->vrings[i].base_set = false;
}
