// SPDX-License-Identifier: BSD-3-Clause
/*
 * Finding the client's bytes. There are two ways, as in the kernel:
 *
 *   pinned  Whole pages: iova and client address are rounded down, each for itself ([2-8]).
 *           The pages are accounted, then pinned ([2-9]). The result is one piece.
 *   va      Exact to the byte, one piece for each mapping of the client. Nothing is pinned.
 *           A hole belongs to the mapping above it ([2-14]). Private memory is a piece like
 *           any other (D3). Strict mode leaves it out and does not tell the client ([2-13]).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/overflow.h"
#include "base/refuse.h"
#include "vhost_vdpa/pieces.h"

#define IN_PAGE (MEMORY_PAGE_SIZE - 1)

static int add(struct pieces *out, iova_t first, iova_t last, struct memory_region *mem)
{
	struct piece *larger;

	if (out->nr == out->room) {
		size_t room = out->room ? 2 * out->room : 8;

		larger = realloc(out->v, room * sizeof(*larger));
		if (!larger)
			return refuse(-ENOMEM, "no memory for %zu pieces of client memory", room);
		out->v = larger;
		out->room = room;
	}
	out->v[out->nr++] = (struct piece){first, last, mem};
	return 0;
}

void pieces_free(struct pieces *pieces)
{
	for (size_t i = 0; i < pieces->nr; i++)
		memory_region_put(pieces->v[i].mem);
	free(pieces->v);
	*pieces = (struct pieces){0};
}

/* ---- pinned ---- */

/* Strict mode counts every mapping of every device; else devices share what they have mapped
 * alike. */
static int charge(struct vhost_vdpa *s, uaddr_t uaddr, uint64_t pages) REQUIRES(s->dev->lock)
{
	if (s->hold)
		return memory_charge_range(s->owner_space, s, uaddr, pages,
					   s->dev->memlock_unlimited);
	return memory_charge(s->owner_space, pages, s->dev->memlock_unlimited);
}

void uncharge(struct vhost_vdpa *s, uaddr_t uaddr, uint64_t pages)
{
	if (pages == 0)
		return;
	if (s->hold)
		memory_uncharge_range(s->owner_space, s, uaddr, pages);
	else
		memory_uncharge(s->owner_space, pages);
}

static int collect_pinned(struct vhost_vdpa *s, const struct vhost_iotlb_msg *msg,
			  struct pieces *out) REQUIRES(s->dev->lock)
{
	iova_t first = msg->iova & ~IN_PAGE, last = (msg->iova + msg->size - 1) | IN_PAGE;
	uint64_t pages = (last - first) / MEMORY_PAGE_SIZE + 1;
	uaddr_t uaddr = msg->uaddr & ~IN_PAGE;
	bool write = (msg->perm & VHOST_ACCESS_WO) != 0;
	struct memory_region *mem;
	int ret;

	ret = charge(s, uaddr, pages);
	if (ret)
		return ret;
	out->charged_uaddr = uaddr;
	out->charged_pages = pages;
	if (pages > UINT64_MAX / MEMORY_PAGE_SIZE)
		return refuse(-EFAULT, "0x%" PRIx64 " pages are more than any client has", pages);
	ret = s->hold ? memory_region_register(s->hold, uaddr, pages * MEMORY_PAGE_SIZE, write,
					       &mem)
		      : memory_region_create(s->owner_space, uaddr, pages * MEMORY_PAGE_SIZE, write,
					     MEMORY_PINNED, &mem);
	if (ret)
		return ret;
	ret = add(out, first, last, mem);
	if (ret)
		memory_region_put(mem);
	return ret;
}

/* ---- va ---- */

struct va_walk {
	struct vhost_vdpa *s;
	const struct vhost_iotlb_msg *msg;
	struct pieces *out;
	uaddr_t next; /* first byte that no mapping was found for yet */
};

static iova_t iova_of(const struct va_walk *w, uaddr_t uaddr)
{
	return w->msg->iova + (uaddr - w->msg->uaddr);
}

/* The client sees a success ([2-13]), and its device then reaches nothing: the person must hear
 * why. */
static void tell_private(struct vhost_vdpa *s, uaddr_t first, uaddr_t last)
{
	if (s->told_private)
		return;
	s->told_private = true;
	hf_warn(s->dev->name,
		"client memory 0x%" PRIx64 "..0x%" PRIx64
		" is private and left out, as Linux 6.12 does: make it shared (QEMU: "
		"memory-backend-memfd,share=on) or use 'quirks none'",
		first, last);
}

/* The mapping that ends at @last, and the hole below it. */
static int add_va(struct va_walk *w, uaddr_t last, bool shared_file)
{
	uaddr_t first = w->next;
	struct memory_region *mem;
	int ret;

	if (shared_file || vdpa_deviates(w->s->dev, VDPA_D3_PRIVATE_MEMORY)) {
		if (w->out->nr >= w->s->dev->max_iotlb_entries)
			return refuse(-ENOSPC, "client memory in more than %zu pieces",
				      w->s->dev->max_iotlb_entries);
		ret = memory_region_create(w->s->owner_space, first, last - first + 1,
					   (w->msg->perm & VHOST_ACCESS_WO) != 0, MEMORY_VA, &mem);
		if (ret)
			return ret;
		ret = add(w->out, iova_of(w, first), iova_of(w, last), mem);
		if (ret) {
			memory_region_put(mem);
			return ret;
		}
	} else {
		tell_private(w->s, first, last);
	}
	w->next = last + 1;
	w->out->next = iova_of(w, w->next);
	return 0;
}

static int va_piece(void *arg, const struct memory_piece *piece)
{
	return piece->source.mapped ? add_va(arg, piece->last, piece->source.shared_file) : 0;
}

static int first_piece(void *arg, const struct memory_piece *piece)
{
	*(bool *)arg = piece->source.shared_file;
	return piece->source.mapped;
}

static int collect_va(struct vhost_vdpa *s, const struct vhost_iotlb_msg *msg, struct pieces *out)
	REQUIRES(s->dev->lock)
{
	struct va_walk w = {.s = s, .msg = msg, .out = out, .next = msg->uaddr};
	bool shared_file;
	uaddr_t last;
	int ret;

	out->next = msg->iova;
	if (!range_last(msg->uaddr, msg->size, &last) || last == UINT64_MAX)
		return refuse(-EFAULT, "0x%llx bytes at client address 0x%llx wrap", msg->size,
			      msg->uaddr);
	ret = memory_space_walk(s->owner_space, msg->uaddr, last, va_piece, &w);
	if (ret || w.next > last)
		return ret;
	/* The range ends in a hole with a mapping above it: the hole is that mapping's. */
	ret = memory_space_walk(s->owner_space, w.next, UINT64_MAX - 1, first_piece, &shared_file);
	if (ret == 1)
		return add_va(&w, last, shared_file);
	return ret ?: refuse(-EFAULT, "nothing is mapped at or above 0x%" PRIx64, w.next);
}

int pieces_collect(struct vhost_vdpa *s, const struct vhost_iotlb_msg *msg, struct pieces *out)
{
	return s->dev->memory_mode == MEMORY_PINNED ? collect_pinned(s, msg, out)
						    : collect_va(s, msg, out);
}
