// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the parent hears of an edit, in its style: a map for set_map, each entry for dma_map, a
 * version of the domain for the platform. mapping.c opens with when.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/refuse.h"
#include "vhost_vdpa/mapping_tell.h"

bool mapping_is_deferred(const struct vhost_vdpa *s)
{
	return s->in_batch && vdpa_device_mapping(s->dev) == VDPA_MAPPING_SET_MAP;
}

int mapping_tell_set_map(struct vhost_vdpa *s, struct address_space *as)
{
	const struct iotlb_version *map = iotlb_snapshot(as->iotlb);
	int ret = VDPA_CALL(s->dev, set_map, as->asid, map);

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
		return s->in_batch ? 0 : mapping_tell_set_map(s, as);
	case VDPA_MAPPING_PLATFORM:
		break;
	}
	return 0; /* the domain takes all entries of the UPDATE at once */
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
	case VDPA_MAPPING_SET_MAP: {
		const struct iotlb_version *map;

		if (s->in_batch)
			break;
		map = iotlb_snapshot(as->iotlb);
		(void)VDPA_CALL(s->dev, set_map, as->asid, map);
		iotlb_version_put(map);
		break;
	}
	case VDPA_MAPPING_PLATFORM:
		break; /* the domain was never given the new version */
	}
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
