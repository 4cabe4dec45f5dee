// SPDX-License-Identifier: BSD-3-Clause
/*
 * Private to this room: the client's bytes behind one UPDATE, as regions with their IOVA. The list
 * owns one reference on each region until pieces_free(). Thread rule: device lock held.
 */
#ifndef HOLDFAST_VHOST_VDPA_PIECES_H
#define HOLDFAST_VHOST_VDPA_PIECES_H

#include "vhost_vdpa/session.h"

struct piece {
	iova_t first, last;        /* inclusive */
	struct memory_region *mem; /* [owned] byte 0 is @first */
};

struct pieces {
	struct piece *v; /* [owned] by iova, not touching one another by more than an edge */
	size_t nr, room;
	iova_t next; /* how far the client's bytes were looked at */
	uint64_t
		/* accounted to the owner; the caller undoes it on failure, uncharge() */
		charged_pages;
	uaddr_t charged_uaddr; /* from here on */
};

/**
 * pieces_collect() - pin or find what @msg maps
 * @out: zeroed; to be freed on any outcome
 * Return: 0, also with no piece at all; -ENOMEM over a limit; -EFAULT not the client's; refuse()
 * says why
 */
int pieces_collect(struct vhost_vdpa *s, const struct vhost_iotlb_msg *msg,
		   struct pieces *out) HF_MUST_CHECK REQUIRES(s->dev->lock);
void pieces_free(struct pieces *pieces);

/** uncharge() - @pages of a mapping from @uaddr on leave the owner's account */
void uncharge(struct vhost_vdpa *s, uaddr_t uaddr, uint64_t pages) REQUIRES(s->dev->lock);

#endif
