// SPDX-License-Identifier: BSD-3-Clause
/*
 * Private to this room: telling the parent of edits. Used by mapping.c, and by as.c at the end of a
 * batch. Thread rule: device lock held.
 */
#ifndef HOLDFAST_VHOST_VDPA_MAPPING_TELL_H
#define HOLDFAST_VHOST_VDPA_MAPPING_TELL_H

#include "vhost_vdpa/pieces.h"

/** mapping_is_deferred() - does the parent hear of edits only at the end of the open batch? */
bool mapping_is_deferred(const struct vhost_vdpa *s);
/** mapping_tell_set_map() - the whole map to a set_map parent. Return: 0 or the parent's error */
int mapping_tell_set_map(struct vhost_vdpa *s, struct address_space *as) HF_MUST_CHECK
	REQUIRES(s->dev->lock);
/** mapping_tell_domain() - the platform IOMMU takes the view as it is now; on return nobody uses
 * the old one. Return: 0 or refuse() */
int mapping_tell_domain(struct vhost_vdpa *s, struct address_space *as) HF_MUST_CHECK
	REQUIRES(s->dev->lock);
/** mapping_tell_added() - @e was added to the view. Return: 0 or refuse() */
int mapping_tell_added(struct vhost_vdpa *s, struct address_space *as,
		       const struct iotlb_entry *e) HF_MUST_CHECK REQUIRES(s->dev->lock);
/** mapping_tell_all_added() - all entries of an UPDATE were added. Return: 0 or refuse() */
int mapping_tell_all_added(struct vhost_vdpa *s, struct address_space *as) HF_MUST_CHECK
	REQUIRES(s->dev->lock);
/** mapping_tell_taken_back() - the view has lost @pieces again; the parent took @nr_told of them
 */
void mapping_tell_taken_back(struct vhost_vdpa *s, struct address_space *as,
			     const struct pieces *pieces, size_t nr_told) REQUIRES(s->dev->lock);
/**
 * mapping_tell_each_removed() - a dma_map parent lets go of the entries of @before in the range
 * Return: 0; refuse(): it still has all of them
 */
int mapping_tell_each_removed(struct vhost_vdpa *s, struct address_space *as,
			      const struct iotlb_version *before, iova_t first,
			      iova_t last) HF_MUST_CHECK REQUIRES(s->dev->lock);
/** mapping_tell_removed() - after an INVALIDATE, even if nothing changed ([2-17]); the parent's
 * error is not the client's */
void mapping_tell_removed(struct vhost_vdpa *s, struct address_space *as) REQUIRES(s->dev->lock);
/**
 * mapping_tell_failed() - an UPDATE found no bytes for all of its range; strict mode only
 * @pieces: what was found before the failure, and was not told
 */
void mapping_tell_failed(struct vhost_vdpa *s, struct address_space *as,
			 const struct pieces *pieces, int error) REQUIRES(s->dev->lock);

#endif
