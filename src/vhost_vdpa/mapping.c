// SPDX-License-Identifier: BSD-3-Clause
/*
 * Editing what a client has mapped. An UPDATE first finds the client's bytes (pieces.c). Then it
 * edits the client's view and tells the parent in the parent's style:
 *
 *   set_map   the whole map once, after the last entry; in a batch once, at its end ([2-19]). In
 *             strict mode after each entry ([2-16])
 *   dma_map   each entry, in a batch too
 *   platform  the device's domain takes the new version, in a batch too
 *
 * Guarantees:
 * 1. An UPDATE that fails leaves the client's view, the charge and the parent as they were
 *    ([2-11]). Outside a set_map batch the edit goes to a private root, and dropping that root
 *    cannot fail.
 * 2. An INVALIDATE has this order (D8): a dma_map parent is told, the entries leave the view, their
 *    pages leave the account, another parent is told, older versions are waited out, the memory is
 *    let go. If a dma_map parent refuses, nothing changes. In strict mode the memory is unpinned
 *    before the parent is told ([2-18]), whatever that says.
 * 3. In both modes the account changes at the message itself. So a client at its limit can
 *    INVALIDATE and UPDATE everything inside one batch.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/overflow.h"
#include "base/refuse.h"
#include "vhost_vdpa/mapping_tell.h"

/* ---- UPDATE ---- */

static int check_range(struct vhost_vdpa *s, struct address_space *as,
		       const struct vhost_iotlb_msg *msg) REQUIRES(s->dev->lock)
{
	iova_t last;

	if (!range_last(msg->iova, msg->size, &last))
		return refuse(-EINVAL, "0x%llx bytes at iova 0x%llx wrap", msg->size, msg->iova);
	if (msg->iova < s->range.first || last > s->range.last)
		return refuse(-EINVAL,
			      "iova 0x%llx..0x%" PRIx64 " is outside 0x%" PRIx64 "..0x%" PRIx64,
			      msg->iova, last, s->range.first, s->range.last);
	if (iotlb_overlaps(as->iotlb, msg->iova, last))
		return refuse(-EEXIST, "iova 0x%llx..0x%" PRIx64 " is mapped already in part",
			      msg->iova, last);
	return 0;
}

/* Add @pieces one by one. @nr_added: [out] entries in the view; @nr_told: entries that the parent
 * took */
static int add_pieces(struct vhost_vdpa *s, struct address_space *as, const struct pieces *pieces,
		      uint8_t perm, size_t *nr_added, size_t *nr_told) REQUIRES(s->dev->lock)
{
	int ret = 0;

	for (size_t i = 0; i < pieces->nr && !ret; i++) {
		struct iotlb_entry e = {.first = pieces->v[i].first,
					.last = pieces->v[i].last,
					.mem = pieces->v[i].mem,
					.perm = perm};

		ret = iotlb_map(as->iotlb, e.first, e.last, e.mem, e.off, e.perm);
		if (ret)
			return refuse(ret,
				      "address space %u cannot take 0x%" PRIx64 "..0x%" PRIx64
				      ", it has %zu of %zu entries: %s",
				      as->asid, e.first, e.last, iotlb_nr_entries(as->iotlb),
				      s->dev->max_iotlb_entries, strerror(-ret));
		(*nr_added)++;
		ret = mapping_tell_added(s, as, &e);
		if (!ret)
			(*nr_told)++;
	}
	return ret ? ret : mapping_tell_all_added(s, as);
}

/* The view forgets what this UPDATE added. */
static void take_back_view(struct vhost_vdpa *s, struct address_space *as,
			   const struct pieces *pieces, size_t nr_added) REQUIRES(s->dev->lock)
{
	if (!mapping_is_deferred(s)) {
		iotlb_abort(as->iotlb);
		return;
	}
	for (size_t i = 0; i < nr_added; i++)
		if (iotlb_unmap(as->iotlb, pieces->v[i].first, pieces->v[i].last, NULL))
			hf_err(s->dev->name,
			       "no memory to take back 0x%" PRIx64 ": it stays mapped",
			       pieces->v[i].first);
}

/* Undo what add_pieces() did before it failed. The reason for the failure is kept. */
static void take_back(struct vhost_vdpa *s, struct address_space *as, const struct pieces *pieces,
		      size_t nr_added, size_t nr_told) REQUIRES(s->dev->lock)
{
	take_back_view(s, as, pieces, nr_added);
	mapping_tell_taken_back(s, as, pieces, nr_told);
}

/* Put @pieces into the view and the device, or change nothing. */
static int apply(struct vhost_vdpa *s, struct address_space *as, const struct pieces *pieces,
		 uint8_t perm, size_t *nr_told) REQUIRES(s->dev->lock)
{
	bool own_edit = !mapping_is_deferred(s);
	size_t nr_added = 0;
	int ret;

	*nr_told = 0;
	if (own_edit) {
		ret = iotlb_begin(as->iotlb);
		if (ret)
			return refuse(ret, "address space %u cannot be edited", as->asid);
	}
	ret = add_pieces(s, as, pieces, perm, &nr_added, nr_told);
	if (ret)
		take_back(s, as, pieces, nr_added, *nr_told);
	else if (own_edit)
		iotlb_commit(as->iotlb);
	if (own_edit)
		iotlb_synchronize(as->iotlb);
	return ret;
}

static void wipe(struct vhost_vdpa *s, struct address_space *as) REQUIRES(s->dev->lock);

int mapping_update(struct vhost_vdpa *s, struct address_space *as,
		   const struct vhost_iotlb_msg *msg)
{
	struct pieces pieces = {0};
	bool nothing_yet;
	size_t nr_told;
	int ret;

	ret = check_range(s, as, msg);
	if (ret)
		return ret;
	ret = pieces_collect(s, msg, &pieces);
	nothing_yet = pieces.next == msg->iova;
	if (ret) {
		mapping_tell_failed(s, as, &pieces, ret);
	} else {
		ret = apply(s, as, &pieces, msg->perm & IOTLB_RW, &nr_told);
		nothing_yet = nr_told == 0 && pieces.nr > 0 && pieces.v[0].first == msg->iova;
	}
	if (ret)
		uncharge(s, pieces.charged_uaddr, pieces.charged_pages);
	else
		as->charged_pages += pieces.charged_pages;
	pieces_free(&pieces);
	/* [2-14]: the kernel's cleanup of a range of length zero at iova 0 is a cleanup of
	 * everything. */
	if (ret && nothing_yet && msg->iova == 0 && s->dev->memory_mode == MEMORY_VA &&
	    !vdpa_deviates(s->dev, VDPA_D6_NO_HARMFUL_QUIRKS))
		wipe(s, as);
	return ret;
}

/* ---- INVALIDATE ---- */

/* As the kernel does. It cannot take notice of a parent that refuses then. */
static bool is_unpinned_first(const struct vhost_vdpa *s)
{
	return !vdpa_deviates(s->dev, VDPA_D8_UNPIN_LAST);
}

/* The entries of @before in the range left the view: account and pins. @tell: and a dma_map parent,
 * whatever it says */
static void let_go(struct vhost_vdpa *s, struct address_space *as,
		   const struct iotlb_version *before, iova_t first, iova_t last, bool tell)
	REQUIRES(s->dev->lock)
{
	bool unpin_first = is_unpinned_first(s);
	struct iotlb_entry e;
	uint64_t pages;

	while (iotlb_version_next(before, first, &e) && e.first <= last) {
		if (s->dev->memory_mode == MEMORY_PINNED) {
			if (unpin_first)
				memory_region_unpin(e.mem);
			pages = (e.last - e.first) / MEMORY_PAGE_SIZE + 1;
			uncharge(s, e.mem->uaddr, pages);
			as->charged_pages -= pages;
		}
		if (tell && vdpa_device_mapping(s->dev) == VDPA_MAPPING_DMA_MAP)
			(void)VDPA_CALL(s->dev, dma_unmap, as->asid, e.first, e.last);
		if (e.last == UINT64_MAX)
			break;
		first = e.last + 1;
	}
}

/* Take the range out of the view, out of the domain, and from a dma_map parent. Return: 0; -errno,
 * nothing changed */
static int edit_out(struct vhost_vdpa *s, struct address_space *as,
		    const struct iotlb_version *before, iova_t first, iova_t last)
	REQUIRES(s->dev->lock)
{
	bool own_edit = !mapping_is_deferred(s);
	int ret;

	if (own_edit) {
		ret = iotlb_begin(as->iotlb);
		if (ret)
			return refuse(ret, "address space %u cannot be edited", as->asid);
	}
	ret = iotlb_unmap(as->iotlb, first, last, NULL);
	if (ret)
		refuse(ret, "no memory to unmap 0x%" PRIx64 "..0x%" PRIx64, first, last);
	else if (vdpa_device_mapping(s->dev) == VDPA_MAPPING_PLATFORM)
		ret = mapping_tell_domain(s, as);
	else if (!is_unpinned_first(s))
		ret = mapping_tell_each_removed(s, as, before, first, last);
	if (!own_edit)
		return ret;
	if (ret)
		iotlb_abort(as->iotlb);
	else
		iotlb_commit(as->iotlb);
	return ret;
}

/* Whole entries that overlap [@first, @last], from the view and the device. Return: 0; -errno,
 * nothing changed */
static int remove_range(struct vhost_vdpa *s, struct address_space *as, iova_t first, iova_t last)
	REQUIRES(s->dev->lock)
{
	const struct iotlb_version *before;
	int ret;

	if (!iotlb_overlaps(as->iotlb, first, last))
		return 0;
	before = iotlb_snapshot(as->iotlb);
	ret = edit_out(s, as, before, first, last);
	if (!ret)
		let_go(s, as, before, first, last, is_unpinned_first(s));
	iotlb_version_put(before);
	return ret;
}

/* The quirk of [2-14]. */
static void wipe(struct vhost_vdpa *s, struct address_space *as)
{
	if (!remove_range(s, as, 0, UINT64_MAX))
		mapping_tell_removed(s, as);
}

/*
 * The kernel takes any entry that starts not after the last byte and ends not before the first,
 * where the last byte is @iova + @size - 1 modulo 2^64. If that lies below @iova, it is the one
 * entry that holds both, if any.
 * Return: false if nothing is hit
 */
static bool wrapped_range(const struct address_space *as, iova_t iova, uint64_t size, iova_t *first,
			  iova_t *last)
{
	iova_t wrapped = iova + size - 1;
	struct iotlb_entry e;

	*first = iova;
	*last = wrapped;
	if (wrapped >= iova)
		return true; /* iova 0 and size 0: everything */
	if (!iotlb_next(as->iotlb, iova, &e) || e.first > wrapped)
		return false;
	*first = e.first;
	*last = e.last;
	return true;
}

int mapping_invalidate(struct vhost_vdpa *s, struct address_space *as, uint64_t iova, uint64_t size)
{
	iova_t first = iova, last;
	bool hits;
	int ret = 0;

	if (vdpa_deviates(s->dev, VDPA_D13_INVALIDATE_EXACT)) {
		if (size == 0)
			return refuse(-EINVAL, "INVALIDATE of size 0 at iova 0x%" PRIx64, iova);
		hits = range_last(iova, size, &last);
	} else {
		hits = wrapped_range(as, iova, size, &first, &last);
	}
	if (hits)
		ret = remove_range(s, as, first, last);
	if (!ret)
		mapping_tell_removed(s, as);
	return ret;
}

void mapping_forget_all(struct vhost_vdpa *s, struct address_space *as)
{
	const struct iotlb_version *all = iotlb_snapshot(as->iotlb);

	let_go(s, as, all, 0, UINT64_MAX, true);
	iotlb_version_put(all);
}
