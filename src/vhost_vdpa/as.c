// SPDX-License-Identifier: BSD-3-Clause
/*
 * Address spaces of one session, and the batch. An address space exists from the first UPDATE or
 * BATCH_BEGIN that names it until the release ([3-1]). It also exists while it is empty.
 *
 * On a set_map device a batch edits a private root of the client's view, and the parent hears of
 * it once, at the end. Devices of the other styles see every edit at once, in a batch too
 * ([2-20]). For them a batch is only a flag that keeps other address spaces out.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/refuse.h"
#include "vhost_vdpa/mapping_tell.h"

struct address_space *as_find(struct vhost_vdpa *s, uint32_t asid)
{
	return asid < s->dev->nas ? s->as[asid] : NULL;
}

int as_find_or_create(struct vhost_vdpa *s, uint32_t asid, struct address_space **out)
{
	struct address_space *as;
	int ret;

	if (asid >= s->dev->nas)
		return refuse(-EINVAL, "address space %u: the device has %u", asid, s->dev->nas);
	if (s->as[asid]) {
		*out = s->as[asid];
		return 0;
	}
	as = calloc(1, sizeof(*as));
	if (!as)
		return refuse(-ENOMEM, "no memory for address space %u", asid);
	ret = iotlb_create(s->dev->max_iotlb_entries, &as->iotlb);
	if (ret) {
		free(as);
		return refuse(ret, "no memory for address space %u", asid);
	}
	as->asid = asid;
	s->as[asid] = as;
	*out = as;
	return 0;
}

void as_destroy_all(struct vhost_vdpa *s)
{
	for (uint32_t asid = 0; asid < s->dev->nas; asid++) {
		struct address_space *as = s->as[asid];

		if (!as)
			continue;
		s->as[asid] = NULL;
		mapping_forget_all(s, as);
		vdpa_reset_map(s->dev, asid);
		iotlb_destroy(as->iotlb);
		free(as);
	}
}

void as_tell_refused(struct vhost_vdpa *s)
{
	for (uint32_t asid = 0; asid < s->dev->nas; asid++) {
		struct address_space *as = s->as[asid];
		int err;

		/* An open batch tells the map of its address space at its end. */
		if (!as || !as->refused || (s->in_batch && s->batch_asid == asid) ||
		    !vdpa_deviates(s->dev, VDPA_D6_NO_HARMFUL_QUIRKS))
			continue;
		err = mapping_tell_set_map(s, as);
		if (err)
			hf_warn(s->dev->name, "before DRIVER_OK: %s", refuse_words(err));
	}
}

/* ---- the batch ---- */

static bool batch_is_private(const struct vhost_vdpa *s)
{
	return vdpa_device_mapping(s->dev) == VDPA_MAPPING_SET_MAP;
}

int batch_begin(struct vhost_vdpa *s, struct address_space *as)
{
	int ret;

	if (s->in_batch)
		return 0;
	if (batch_is_private(s)) {
		ret = iotlb_begin(as->iotlb);
		if (ret)
			return refuse(ret, "address space %u cannot start a batch", as->asid);
	}
	s->in_batch = true;
	s->batch_asid = as->asid;
	return 0;
}

void batch_end(struct vhost_vdpa *s, struct address_space *as)
{
	int err;

	if (!s->in_batch)
		return;
	s->in_batch = false;
	if (!batch_is_private(s))
		return;
	iotlb_commit(as->iotlb);
	err = mapping_tell_set_map(s, as);
	if (err)
		hf_warn(s->dev->name, "at the end of a batch: %s", refuse_words(err));
	iotlb_synchronize(as->iotlb);
}

void batch_forget(struct vhost_vdpa *s)
{
	if (s->in_batch && batch_is_private(s))
		iotlb_commit(s->as[s->batch_asid]->iotlb);
	s->in_batch = false;
}
