// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a session does when driver.c opens and releases it. Guarantees, in the order of the spec:
 *
 * 1. Open resets the device with flags 0 before anything of the client can reach it ([4-1]).
 * 2. A session ends once, in the order of [4-3], by release or by the loss of its device, whichever
 *    comes first; release then only frees.
 * 3. What lies behind the device outside of the process, a file or an interface, is taken by the
 *    first ioctl or write and given up at the end. In between, other processes do without.
 * 4. When the end returns, no worker kicks, no eventfd of the client is signalled, and no address
 *    space, pin or charge of the client is left.
 *
 * Nothing here waits for the client.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/refuse.h"
#include "vhost_vdpa/session.h"

/* ---- reset ---- */

int session_reset(struct vhost_vdpa *s, enum vdpa_reset_event event)
{
	int ret;

	s->suspended = false;
	ret = vdpa_reset(s->dev, event, (s->backend_features & BACKEND_PERSIST) != 0);
	log_reset(s);
	calls_reset(s);
	vrings_reset(s);
	if (ret)
		return refuse(ret, "%s: the parent's reset failed", s->dev->name);
	s->vring_num_max = VDPA_CALL(s->dev, get_vq_num_max);
	return 0;
}

/* ---- open ---- */

struct vhost_vdpa *session_alloc(struct vdpa_device *dev)
{
	struct vhost_vdpa *s = calloc(1, sizeof(*s) + dev->nvqs * sizeof(s->vrings[0]));

	if (!s)
		return NULL;
	s->as = calloc(dev->nas, sizeof(*s->as));
	s->group_asid = calloc(dev->ngroups, sizeof(*s->group_asid));
	if (!s->as || !s->group_asid) {
		free(s->group_asid);
		free(s->as);
		free(s);
		return NULL;
	}
	s->dev = vdpa_device_get(dev);
	s->fork_from_owner = 1;
	for (uint32_t i = 0; i < dev->nvqs; i++) {
		struct vhost_vring *vr = &s->vrings[i];

		vr->kick = (struct kick){.fd = -1, .dev = dev, .idx = (uint16_t)i};
		vr->err_fd = -1;
	}
	return s;
}

void session_free(struct vhost_vdpa *s)
{
	struct vdpa_device *dev = s->dev;

	free(s->group_asid);
	free(s->as);
	free(s);
	vdpa_device_put(dev);
}

int session_start(struct vhost_vdpa *s)
{
	int ret;

	ret = session_reset(s, VDPA_RESET_OPEN);
	if (ret)
		return ret;
	ret = vdpa_domain_attach(s->dev);
	if (ret)
		return refuse(ret, "%s: no memory for an empty map", s->dev->name);
	s->range = vdpa_iova_range(s->dev);
	return 0;
}

int session_claim(struct vhost_vdpa *s)
{
	int ret;

	if (s->claimed)
		return 0;
	ret = vdpa_claim(s->dev);
	if (ret && !s->told_claim)
		hf_err(s->dev->name, "%s", refuse_reason());
	s->claimed = ret == 0;
	s->told_claim = ret != 0;
	return ret;
}

/* ---- the end ---- */

static void drop_config_call(struct vhost_vdpa *s) REQUIRES(s->dev->lock)
{
	const struct vdpa_callback none = {0};

	if (!s->config_call)
		return;
	VDPA_CALL(s->dev, set_config_cb, &none);
	notifier_destroy(s->config_call);
	s->config_call = NULL;
}

/* For who looks at the messages: did held registrations help this client? */
static void tell_holds(struct vhost_vdpa *s) REQUIRES(s->dev->lock)
{
	struct memory_hold_counters c;

	if (!s->hold)
		return;
	memory_hold_counters(s->hold, &c);
	HF_TRACE4(hold_close, s->dev->name, c.hits, c.shared, c.misses);
	hf_info(s->dev->name,
		"registrations of memory: %" PRIu64 " new, %" PRIu64 " shared, %" PRIu64
		" taken over (%" PRIu64 " held ones were no longer the same), %" PRIu64
		" given up by the client's calls, %" PRIu64 " for want of room",
		c.misses, c.shared, c.hits, c.stale, c.evicted[MEMORY_EVICT_CLIENT],
		c.evicted[MEMORY_EVICT_BUDGET] + c.evicted[MEMORY_EVICT_LIMIT]);
}

static void drop_owner(struct vhost_vdpa *s) REQUIRES(s->dev->lock)
{
	tell_holds(s);
	memory_hold_destroy(s->hold);
	s->hold = NULL;
	memory_space_put(s->owner_space);
	s->owner_space = NULL;
	s->owner_mm = 0;
}

void session_end(struct vhost_vdpa *s, enum vdpa_reset_event event)
{
	int err;

	if (s->gone)
		return;
	s->gone = true;
	batch_forget(s);
	err = session_reset(s, event);
	if (err)
		hf_err(s->dev->name, "%s", refuse_words(err));
	kicks_stop(s);
	if (s->mm_bound)
		VDPA_CALL(s->dev, unbind_mm);
	s->mm_bound = false;
	drop_config_call(s);
	log_end(s);
	if (vdpa_reset_removes_mappings(event))
		as_destroy_all(s);
	vdpa_domain_detach(s->dev);
	notify_cleanup(s);
	drop_owner(s);
	if (s->claimed)
		vdpa_yield(s->dev);
	s->claimed = false;
}

/* The analysis cannot know that s->dev is @dev, whose lock the caller holds. */
void session_end_of(struct vdpa_device *dev, struct vhost_vdpa *s,
		    enum vdpa_reset_event event) NO_TSA
{
	session_end(s, event);
}

/* ---- mmap ---- */

int vhost_vdpa_mmap(struct vhost_vdpa *s, size_t len, int prot, int flags, uint64_t off)
{
	bool gone;

	mutex_lock(&s->dev->lock);
	gone = s->gone;
	mutex_unlock(&s->dev->lock);
	if (gone)
		return refuse(-ENODEV, "device %s is gone", s->dev->name);
	if (len != MEMORY_PAGE_SIZE)
		return refuse(-EINVAL, "a doorbell mapping of %zu bytes, it is one page of %llu",
			      len, MEMORY_PAGE_SIZE);
	if (!(flags & MAP_SHARED))
		return refuse(-EINVAL, "a doorbell mapping must be MAP_SHARED");
	if (prot & PROT_READ)
		return refuse(-EINVAL, "a doorbell mapping must not be readable");
	if (off / MEMORY_PAGE_SIZE > UINT16_MAX)
		return refuse(-EINVAL, "no virtqueue %llu",
			      (unsigned long long)(off / MEMORY_PAGE_SIZE));
	return refuse(-KERNEL_ENOTSUPP, "device %s has no doorbells", s->dev->name);
}
