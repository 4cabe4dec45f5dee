// SPDX-License-Identifier: BSD-3-Clause
/* Generic commands (table B): who owns the device, and what the kernel knows but vdpa does not
 * use. */
#include <errno.h>

#include "base/refuse.h"
#include "vhost_vdpa/session.h"

#define MEM_TABLE_MAX_REGIONS 64

int session_owner_check(const struct vhost_vdpa *s, const struct vhost_vdpa_client *client)
{
	if (s->owner_mm == 0)
		return refuse(-EPERM, "nobody owns the device: SET_OWNER comes first");
	if (client->mm_id != s->owner_mm)
		return refuse(-EPERM, "the device is owned by another process");
	return 0;
}

int do_set_owner(struct vhost_vdpa *s, struct ioctl_call *c)
{
	int ret;

	if (s->owner_mm != 0)
		return refuse(-EBUSY, "the device has an owner%s",
			      s->owner_mm == c->client->mm_id ? ": this process" : "");
	if (s->dev->memory_mode == MEMORY_PINNED && vdpa_deviates(s->dev, VDPA_D8_UNPIN_LAST) &&
	    memory_hold_create(c->client->space, s->dev->hold_budget, s->dev->memlock_unlimited,
			       &s->hold))
		return refuse(-ENOMEM, "no memory for the registrations of %s", s->dev->name);
	s->owner_mm = c->client->mm_id;
	s->owner_space = memory_space_get(c->client->space);
	if (s->dev->memory_mode != MEMORY_VA || !s->dev->ops->bind_mm)
		return 0;
	ret = VDPA_CALL(s->dev, bind_mm, s->owner_space);
	if (ret) {
		memory_space_put(s->owner_space);
		s->owner_space = NULL;
		s->owner_mm = 0;
		return refuse(ret, "device %s cannot use the client's addresses", s->dev->name);
	}
	s->mm_bound = true;
	return 0;
}

/* The table is checked as the kernel does, and not used: mappings come by IOTLB messages
 * ([1-26]). */
int do_set_mem_table(struct vhost_vdpa *s, struct ioctl_call *c)
{
	struct vhost_memory_region regions[MEM_TABLE_MAX_REGIONS];
	struct vhost_memory head;

	if (memory_copy_from(c->client->space, &head, c->arg, sizeof(head)))
		return refuse(-EFAULT, "cannot read a memory table at 0x%llx",
			      (unsigned long long)c->arg);
	if (head.padding)
		return refuse(-EOPNOTSUPP, "padding of the memory table is 0x%x, not 0",
			      head.padding);
	if (head.nregions > MEM_TABLE_MAX_REGIONS)
		return refuse(-E2BIG, "a memory table of %u regions, at most %d", head.nregions,
			      MEM_TABLE_MAX_REGIONS);
	if (memory_copy_from(c->client->space, regions, c->arg + sizeof(head),
			     head.nregions * sizeof(regions[0])))
		return refuse(-EFAULT, "cannot read %u regions of the memory table", head.nregions);
	return 0;
}

int do_get_fork_from_owner(struct vhost_vdpa *s, struct ioctl_call *c)
{
	c->u.u8 = s->fork_from_owner;
	return 0;
}

int before_set_fork_from_owner(struct vhost_vdpa *s)
{
	if (s->owner_mm != 0)
		return refuse(-EBUSY, "SET_FORK_FROM_OWNER comes before SET_OWNER");
	return 0;
}

int do_set_fork_from_owner(struct vhost_vdpa *s, struct ioctl_call *c)
{
	if (c->u.u8 > 1)
		return refuse(-EINVAL, "SET_FORK_FROM_OWNER %u: 0 or 1", c->u.u8);
	s->fork_from_owner = c->u.u8;
	return 0;
}
