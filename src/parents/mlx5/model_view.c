// SPDX-License-Identifier: BSD-3-Clause
/*
 * Keys as rings see them. A ring looks an address up in an address space; so a key that a queue
 * runs with is laid out as one: each run of bytes that it reaches is one entry.
 *
 * V1. A view has what its key translates, and nothing else.
 * V2. When a key is destroyed, every view in use loses what was reached by it, before the command
 *     is answered. A queue that still needs it breaks at its next access.
 * V3. A view of an indirect key is made from the last one: parts that are the same, by the serial
 *     number of the key behind them, are not touched. So it costs what has changed.
 */
#include <errno.h>
#include <stdlib.h>

#include "model_internal.h"
#include "vdpa/bus.h"

#define VIEW_ENTRIES (1ul << 28)

static void view_free(struct fw_view *view)
{
	if (!view)
		return;
	iotlb_destroy(view->tlb);
	free(view->part);
	free(view);
}

static uint8_t perm_of(const struct fw_mkey *k)
{
	return (uint8_t)((k->read ? IOTLB_R : 0) | (k->write ? IOTLB_W : 0));
}

static int map_one(struct mlx5_model *m, struct iotlb *tlb, uint64_t first, uint64_t last,
		   uint64_t host, uint8_t perm)
{
	return iotlb_map(tlb, first, last, memory_space_identity(vdpa_bus_space(m->opt.bus)), host,
			 perm);
}

/* [@addr, @addr + last - first] of a direct key, as runs. */
static int map_direct(struct mlx5_model *m, struct iotlb *tlb, const struct fw_mkey *k,
		      const struct fw_part *p, uint8_t perm)
{
	uint64_t entity = 1ULL << k->log_page, off = p->addr - k->start, at = p->first;
	uint64_t left = p->last - p->first; /* less one */
	int err = 0;

	if (p->addr < k->start || off >= k->len || left >= k->len - off)
		return 0; /* out of bounds: nothing is reached */
	while (!err) {
		uint64_t host = k->mtt[off >> k->log_page] + (off & (entity - 1));
		uint64_t len = entity - (off & (entity - 1));

		while (len <= left && k->mtt[(off + len) >> k->log_page] == host + len)
			len += entity;
		if (len > left)
			return map_one(m, tlb, at, at + left, host, perm);
		err = map_one(m, tlb, at, at + len - 1, host, perm);
		at += len;
		off += len;
		left -= len;
	}
	return err;
}

static int map_part(struct mlx5_model *m, struct iotlb *tlb, const struct fw_part *p, uint8_t perm)
{
	const struct fw_mkey *k = fw_mkey_of(m, p->mkey);

	if (!k || !p->serial)
		return 0;
	perm &= perm_of(k);
	if (k->mtt)
		return map_direct(m, tlb, k, p, perm);
	if (k->list)
		return 0; /* deeper than the device goes */
	if (!k->all && (p->addr < k->start || p->addr - k->start >= k->len ||
			p->last - p->first >= k->len - (p->addr - k->start)))
		return 0;
	return map_one(m, tlb, p->first, p->last, p->addr, perm);
}

static bool same_part(const struct fw_part *a, const struct fw_part *b)
{
	return a->first == b->first && a->last == b->last && a->addr == b->addr &&
	       a->serial == b->serial;
}

/* Both by address. Take what is only in @base out, put what is only in @view in. */
static int apply(struct mlx5_model *m, struct fw_view *view, const struct fw_view *base,
		 uint8_t perm)
{
	size_t nr_base = base ? base->nr : 0;
	int err = 0;

	for (int add = 0; add < 2; add++) {
		for (size_t i = 0, j = 0; !err && (add ? j < view->nr : i < nr_base);) {
			const struct fw_part *old = i < nr_base ? &base->part[i] : NULL;
			const struct fw_part *new = j < view->nr ? &view->part[j] : NULL;

			if (old && new &&same_part(old, new)) {
				i++;
				j++;
			} else if (old && (!new || old->first <= new->first)) {
				if (!add && old->serial)
					err = iotlb_unmap(view->tlb, old->first, old->last, NULL);
				i++;
			} else {
				if (add)
					err = map_part(m, view->tlb, new, perm);
				j++;
			}
		}
	}
	return err;
}

/* The same at once. On error the view is as it was. */
static int change(struct mlx5_model *m, struct fw_view *view, const struct fw_view *base,
		  uint8_t perm)
{
	int err = iotlb_begin(view->tlb);

	if (err)
		return err;
	err = apply(m, view, base, perm);
	if (err)
		iotlb_abort(view->tlb);
	else
		iotlb_commit(view->tlb);
	return err;
}

/* The parts of a key. Return: false without memory */
static bool list_parts(struct mlx5_model *m, const struct fw_mkey *k, uint32_t mkey,
		       struct fw_view *view)
{
	uint64_t first = 0;

	view->nr = k->list ? k->nr : 1;
	view->part = calloc(view->nr, sizeof(*view->part));
	if (!view->part)
		return false;
	if (!k->list) {
		*view->part =
			(struct fw_part){.first = k->all ? 0 : k->start,
					 .last = k->all ? UINT64_MAX : k->start + (k->len - 1),
					 .serial = k->serial,
					 .mkey = mkey};
		view->part->addr = view->part->first;
		return true;
	}
	view->nr = 0;
	for (size_t i = 0; i < k->nr && first < k->len; i++) {
		const struct fw_mkey *behind = fw_mkey_of(m, k->list[i].mkey);
		uint64_t end = k->list[i].end < k->len ? k->list[i].end : k->len;

		if (end > first)
			view->part[view->nr++] =
				(struct fw_part){.first = k->start + first,
						 .last = k->start + (end - 1),
						 .addr = k->list[i].addr,
						 .serial = behind ? behind->serial : 0,
						 .mkey = k->list[i].mkey};
		first = end;
	}
	return true;
}

/* One view in use, or the last one that was. */
static const struct fw_view *base_of(const struct mlx5_model *m, const struct fw_mkey *k)
{
	if (!k->list)
		return NULL;
	return m->views ? m->views : m->last_view;
}

static int view_make(struct mlx5_model *m, const struct fw_mkey *k, uint32_t mkey,
		     struct fw_view *view)
{
	const struct fw_view *base = base_of(m, k);
	int err;

	view->serial = k->serial;
	if (!list_parts(m, k, mkey, view))
		return -ENOMEM;
	err = iotlb_create(VIEW_ENTRIES, &view->tlb);
	if (!err && base) {
		const struct iotlb_version *v = iotlb_snapshot(base->tlb);

		err = iotlb_assign(view->tlb, v);
		iotlb_version_put(v);
	}
	return err ? err : change(m, view, base, perm_of(k));
}

int fw_view_get(struct mlx5_model *m, uint32_t mkey, struct fw_view **out)
{
	const struct fw_mkey *k = fw_mkey_of(m, mkey);
	struct fw_view *view;
	int err;

	if (!k)
		return -EFAULT;
	for (view = m->views; view; view = view->next)
		if (view->serial == k->serial) {
			view->users++;
			*out = view;
			return 0;
		}
	view = calloc(1, sizeof(*view));
	err = view ? view_make(m, k, mkey, view) : -ENOMEM;
	if (err) {
		view_free(view);
		return err;
	}
	view->users = 1;
	view->next = m->views;
	m->views = view;
	*out = view;
	return 0;
}

void fw_view_put(struct mlx5_model *m, struct fw_view *view)
{
	struct fw_view **at = &m->views;

	if (!view || --view->users)
		return;
	while (*at != view)
		at = &(*at)->next;
	*at = view->next;
	view_free(m->last_view);
	m->last_view = view;
}

static void cut_out(struct mlx5_model *m, struct fw_view *view, struct fw_part *p)
{
	/* Without memory for it, no queue runs any more. */
	if (iotlb_unmap(view->tlb, p->first, p->last, NULL))
		fw_nic_halt(m);
	iotlb_synchronize(view->tlb);
	p->serial = 0;
}

void fw_view_forget(struct mlx5_model *m, const struct fw_mkey *key)
{
	for (struct fw_view *view = m->views; view; view = view->next)
		for (size_t i = 0; i < view->nr; i++)
			if (view->part[i].serial &&
			    (view->serial == key->serial || view->part[i].serial == key->serial))
				cut_out(m, view, &view->part[i]);
}

void fw_view_change(struct mlx5_model *m, uint32_t mkey)
{
	const struct fw_mkey *k = fw_mkey_of(m, mkey);

	for (struct fw_view *view = m->views; view; view = view->next) {
		struct fw_view to = {.tlb = view->tlb};

		if (view->serial != k->serial)
			continue;
		/* Without memory for it, no queue runs any more. */
		if (!list_parts(m, k, mkey, &to) || change(m, &to, view, perm_of(k))) {
			free(to.part);
			fw_nic_halt(m);
			continue;
		}
		iotlb_synchronize(view->tlb);
		free(view->part);
		view->part = to.part;
		view->nr = to.nr;
	}
}

void fw_views_free(struct mlx5_model *m)
{
	struct fw_view *next;

	for (struct fw_view *view = m->views; view; view = next) {
		next = view->next;
		view_free(view);
	}
	view_free(m->last_view);
	m->views = m->last_view = NULL;
}
