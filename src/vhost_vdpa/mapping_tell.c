// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the parent hears of an edit, in its style: a map for set_map, each entry for dma_map, a
 * version of the domain for the platform. mapping.c opens with when.
 *
 * If a set_map fails after an INVALIDATE or a batch, the client is not told. The parent keeps the
 * device from what the map lacks (.set_map in holdfast/vdpa.h), and gets it again before DRIVER_OK.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "vhost_vdpa/mapping_tell.h"

bool mapping_is_deferred(const struct vhost_vdpa *s)
{
	return s->in_batch && vdpa_device_mapping(s->dev) == VDPA_MAPPING_SET_MAP;
}

/* A parent that hears of each entry hears of the first ones before the last can fail. Then the
 * former map has to be told, and may be refused as well. */
static bool is_told_of_each(const struct vhost_vdpa *s)
{
	return !s->in_batch && !vdpa_deviates(s->dev, VDPA_D6_NO_HARMFUL_QUIRKS);
}

int mapping_tell_set_map(struct vhost_vdpa *s, struct address_space *as)
{
	const struct iotlb_version *map = iotlb_snapshot(as->iotlb);
	int ret = VDPA_CALL(s->dev, set_map, as->asid, map);

	as->refused = ret != 0;
	if (ret)
		refuse(ret, "device %s refuses a map of %zu entries for address space %u",
		       s->dev->name, iotlb_version_nr_entries(map), as->asid);
	iotlb_version_put(map);
	return ret;
}

int mapping_tell_domain(struct vhost_vdpa *s, struct address_space *as)
{
	const struct iotlb_version *map = iotlb_snapshot(as->iotlb);
	int ret = vdpa_domain_assign(s->dev, map);

	if (ret)
		refuse(ret, "the platform IOMMU of %s cannot take a map of %zu entries",
		       s->dev->name, iotlb_version_nr_entries(map));
	iotlb_version_put(map);
	return ret;
}

int mapping_tell_added(struct vhost_vdpa *s, struct address_space *as, const struct iotlb_entry *e)
{
	int ret;

	switch (vdpa_device_mapping(s->dev)) {
	case VDPA_MAPPING_DMA_MAP:
		ret = VDPA_CALL(s->dev, dma_map, as->asid, e);
		if (ret)
			refuse(ret, "device %s refuses to map 0x%" PRIx64 "..0x%" PRIx64,
			       s->dev->name, e->first, e->last);
		return ret;
	case VDPA_MAPPING_SET_MAP:
		return is_told_of_each(s) ? mapping_tell_set_map(s, as) : 0;
	case VDPA_MAPPING_PLATFORM:
		break;
	}
	return 0; /* it takes all entries of the UPDATE at once */
}

int mapping_tell_all_added(struct vhost_vdpa *s, struct address_space *as)
{
	switch (vdpa_device_mapping(s->dev)) {
	case VDPA_MAPPING_DMA_MAP:
		break;
	case VDPA_MAPPING_SET_MAP:
		return s->in_batch || is_told_of_each(s) ? 0 : mapping_tell_set_map(s, as);
	case VDPA_MAPPING_PLATFORM:
		return mapping_tell_domain(s, as);
	}
	return 0;
}

/* The parent may have none after its refusal. Why it refused is kept for the client. */
static void tell_former_map(struct vhost_vdpa *s, struct address_space *as) REQUIRES(s->dev->lock)
{
	char reason[256] = "";
	int ret;

	(void)strncpy(reason, refuse_reason(), sizeof(reason) - 1);
	ret = mapping_tell_set_map(s, as);
	if (ret)
		hf_warn(s->dev->name, "after an UPDATE that failed: %s", refuse_words(ret));
	(void)refuse(-EFAULT, "%s", reason);
}

void mapping_tell_taken_back(struct vhost_vdpa *s, struct address_space *as,
			     const struct pieces *pieces, size_t nr_told)
{
	switch (vdpa_device_mapping(s->dev)) {
	case VDPA_MAPPING_DMA_MAP:
		for (size_t i = 0; i < nr_told; i++)
			(void)VDPA_CALL(s->dev, dma_unmap, as->asid, pieces->v[i].first,
					pieces->v[i].last);
		break;
	case VDPA_MAPPING_SET_MAP:
		if (is_told_of_each(s) || (!s->in_batch && nr_told == pieces->nr))
			tell_former_map(s, as);
		break;
	case VDPA_MAPPING_PLATFORM:
		break; /* the domain was never given the new version */
	}
}

/* The parent takes back what it has let go before @end. */
static void tell_again(struct vhost_vdpa *s, struct address_space *as,
		       const struct iotlb_version *before, iova_t first, iova_t end)
	REQUIRES(s->dev->lock)
{
	struct iotlb_entry e;

	for (; iotlb_version_next(before, first, &e) && e.first < end; first = e.last + 1)
		if (VDPA_CALL(s->dev, dma_map, as->asid, &e))
			hf_err(s->dev->name,
			       "does not take 0x%" PRIx64 "..0x%" PRIx64
			       " back, which its client has mapped",
			       e.first, e.last);
}

int mapping_tell_each_removed(struct vhost_vdpa *s, struct address_space *as,
			      const struct iotlb_version *before, iova_t first, iova_t last)
{
	struct iotlb_entry e;
	iova_t at = first;
	int ret;

	if (vdpa_device_mapping(s->dev) != VDPA_MAPPING_DMA_MAP)
		return 0;
	while (iotlb_version_next(before, at, &e) && e.first <= last) {
		ret = VDPA_CALL(s->dev, dma_unmap, as->asid, e.first, e.last);
		if (ret) {
			tell_again(s, as, before, first, e.first);
			return refuse(ret, "device %s refuses to unmap 0x%" PRIx64 "..0x%" PRIx64,
				      s->dev->name, e.first, e.last);
		}
		if (e.last == UINT64_MAX)
			break;
		at = e.last + 1;
	}
	return 0;
}

void mapping_tell_removed(struct vhost_vdpa *s, struct address_space *as)
{
	int ret;

	if (mapping_is_deferred(s))
		return;
	if (vdpa_device_mapping(s->dev) == VDPA_MAPPING_SET_MAP &&
	    (ret = mapping_tell_set_map(s, as)) != 0)
		hf_warn(s->dev->name, "after an INVALIDATE: %s", refuse_words(ret));
	iotlb_synchronize(as->iotlb);
}

/*
 * Strict mode: if the kernel could take only a part of an UPDATE's memory, it has told the parent
 * of the pieces before, and of their end. A set_map parent hears of the whole view, even if there
 * was no piece. So a device that was 1:1 is not 1:1 any more. If the memory limit forbids the
 * UPDATE, the kernel has told the parent nothing.
 */
void mapping_tell_failed(struct vhost_vdpa *s, struct address_space *as,
			 const struct pieces *pieces, int error)
{
	struct iotlb_entry e;
	int ret;

	if (vdpa_deviates(s->dev, VDPA_D6_NO_HARMFUL_QUIRKS) ||
	    (s->dev->memory_mode == MEMORY_PINNED && error != -EFAULT))
		return;
	if (vdpa_device_mapping(s->dev) == VDPA_MAPPING_SET_MAP && !s->in_batch &&
	    (ret = mapping_tell_set_map(s, as)) != 0)
		hf_warn(s->dev->name, "after an UPDATE that failed: %s", refuse_words(ret));
	if (vdpa_device_mapping(s->dev) != VDPA_MAPPING_DMA_MAP || pieces->nr == 0 ||
	    s->dev->memory_mode == MEMORY_PINNED)
		return;
	e = (struct iotlb_entry){.first = pieces->v[0].first,
				 .last = pieces->v[0].last,
				 .mem = pieces->v[0].mem,
				 .perm = IOTLB_R};
	if (!VDPA_CALL(s->dev, dma_map, as->asid, &e))
		(void)VDPA_CALL(s->dev, dma_unmap, as->asid, e.first, e.last);
}
