// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which pieces of a map need a key.
 *
 * 1. A piece is a run of entries that touch and have equal permissions; at most 1 GiB. An entry
 *    that begins or ends inside a page is a piece of its own.
 * 2. `full`: each run is cut every 1 GiB from its start ([10-2]), and every piece is new.
 * 3. `changed`: pieces never cross a multiple of 1 GiB, so a change stays in its window. An old
 *    piece is carried over unless an entry of it is gone. What is left of such a piece, and what
 *    was added, becomes new pieces.
 * 4. A new range swallows the piece before or behind it in its window if that piece is no larger.
 *    So a run that grows page by page has about log2 of its pages as pieces, and a page is put
 *    into a new key that many times; a large old piece is left alone by a small new one.
 */
#include "keys_internal.h"

#include <errno.h>
#include <stdlib.h>

static int add(struct mlx5_range **list, size_t *nr, size_t *room, struct mlx5_range r)
{
	if (*nr == *room) {
		size_t n = *room ? *room * 2 : 16;
		struct mlx5_range *grown = realloc(*list, n * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		*list = grown;
		*room = n;
	}
	(*list)[(*nr)++] = r;
	return 0;
}

/* The end of a piece that starts at @first. */
static iova_t piece_end(const struct mlx5_plan *plan, iova_t first)
{
	if (plan->window != UINT64_MAX)
		return first | plan->window;
	return first > UINT64_MAX - (MLX5_PIECE_MAX - 1) ? UINT64_MAX : first + MLX5_PIECE_MAX - 1;
}

/* Note a range, cut at windows. */
static int add_todo(struct mlx5_plan *plan, iova_t first, iova_t last)
{
	for (;;) {
		iova_t end = first | plan->window;
		int err = add(&plan->todo, &plan->nr_todo, &plan->room_todo,
			      (struct mlx5_range){first, end < last ? end : last, 0});

		if (err || end >= last)
			return err;
		first = end + 1;
	}
}

/* Index of the first old piece that ends at or behind @iova. */
static size_t old_index(const struct mlx5_plan *plan, iova_t iova)
{
	size_t low = 0, high = plan->old->nr;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (plan->old->piece[mid]->last >= iova)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static int note_change(void *arg, enum iotlb_change change, const struct iotlb_entry *e)
{
	struct mlx5_plan *plan = arg;

	if (change == IOTLB_ADDED)
		return add_todo(plan, e->first, e->last);
	for (size_t i = old_index(plan, e->first); i < plan->old->nr; i++) {
		const struct mlx5_direct *d = plan->old->piece[i];
		int err;

		if (d->first > e->last)
			break;
		if (plan->drop[i])
			continue;
		plan->drop[i] = true;
		err = add_todo(plan, d->first, d->last);
		if (err)
			return err;
	}
	return 0;
}

static int by_first(const void *a_, const void *b_)
{
	const struct mlx5_range *a = a_, *b = b_;

	return a->first < b->first ? -1 : a->first > b->first;
}

/* Join ranges that overlap or touch inside a window. */
static void join_todo(struct mlx5_plan *plan)
{
	size_t out = 0;

	if (plan->nr_todo == 0)
		return;
	qsort(plan->todo, plan->nr_todo, sizeof(*plan->todo), by_first);
	for (size_t i = 1; i < plan->nr_todo; i++) {
		struct mlx5_range *r = &plan->todo[out], *s = &plan->todo[i];

		if (s->first <= r->last || (s->first == r->last + 1 && s->first & plan->window)) {
			if (s->last > r->last)
				r->last = s->last;
		} else {
			plan->todo[++out] = *s;
		}
	}
	plan->nr_todo = out + 1;
}

static bool mapped_with(const struct mlx5_plan *plan, iova_t iova, uint8_t perm)
{
	struct iotlb_entry e;

	return iotlb_lookup(plan->map, iova, &e) && e.perm == perm;
}

/* Does @r take the old piece @i into itself [4]? @at: the byte of @r that touches it. */
static bool swallows(struct mlx5_plan *plan, const struct mlx5_range *r, size_t i, iova_t at)
{
	const struct mlx5_direct *d = plan->old->piece[i];

	if (plan->drop[i] || d->last - d->first > r->last - r->first ||
	    (d->first | plan->window) != (r->first | plan->window) ||
	    !mapped_with(plan, at, d->perm))
		return false;
	plan->drop[i] = true;
	return true;
}

/* Ranges that grow take space between them and the next away from nobody: a kept piece lies there
 * alone, and dropped pieces are ranges themselves. */
static void swallow_neighbours(struct mlx5_plan *plan, struct mlx5_range *r)
{
	for (bool grew = true; grew;) {
		size_t i = old_index(plan, r->first);

		grew = false;
		if (i > 0 && plan->old->piece[i - 1]->last + 1 == r->first &&
		    swallows(plan, r, i - 1, r->first)) {
			r->first = plan->old->piece[i - 1]->first;
			grew = true;
		}
		i = r->last == UINT64_MAX ? plan->old->nr : old_index(plan, r->last + 1);
		if (i < plan->old->nr && plan->old->piece[i]->first == r->last + 1 &&
		    swallows(plan, r, i, r->last)) {
			r->last = plan->old->piece[i]->last;
			grew = true;
		}
	}
}

bool mlx5_is_ragged(const struct iotlb_entry *e)
{
	uint64_t host = mlx5_host_of(e, e->first);

	return (e->first | (e->last + 1) | host) % MEMORY_PAGE_SIZE != 0;
}

/* Does @e's memory go on at @from where @prev's ends? */
static bool goes_on(const struct iotlb_entry *prev, const struct iotlb_entry *e, iova_t from)
{
	return prev->mem == e->mem && mlx5_host_of(prev, prev->last) + 1 == mlx5_host_of(e, from);
}

/* Cut what is mapped of [@first, @last] into pieces. */
static int cut(struct mlx5_plan *plan, iova_t first, iova_t last)
{
	struct mlx5_range run = {1, 0, 0};
	bool ragged = false;
	struct iotlb_entry e, prev = {0};

	while (iotlb_version_next(plan->map, first, &e) && e.first <= last) {
		iova_t from = e.first > first ? e.first : first;
		iova_t to = e.last < last ? e.last : last;

		if (run.first <= run.last &&
		    (run.last + 1 != from || run.perm != e.perm || ragged || mlx5_is_ragged(&e) ||
		     (plan->one_run && prev.first != e.first && !goes_on(&prev, &e, from)) ||
		     piece_end(plan, run.first) == run.last)) {
			if (add(&plan->make, &plan->nr_make, &plan->room_make, run))
				return -ENOMEM;
			run = (struct mlx5_range){1, 0, 0};
		}
		if (run.first > run.last)
			run = (struct mlx5_range){from, to, e.perm};
		ragged = mlx5_is_ragged(&e);
		prev = e;
		if (piece_end(plan, run.first) < to)
			to = piece_end(plan, run.first);
		run.last = to;
		if (to == last)
			break;
		first = to + 1;
	}
	if (run.first > run.last)
		return 0;
	return add(&plan->make, &plan->nr_make, &plan->room_make, run);
}

static int plan_changes(struct mlx5_plan *plan)
{
	int err;

	plan->drop = calloc(plan->old->nr + 1, sizeof(*plan->drop));
	if (!plan->drop)
		return -ENOMEM;
	err = iotlb_diff(plan->old->map, plan->map, note_change, plan);
	if (err)
		return err;
	join_todo(plan);
	for (size_t i = 0; i < plan->nr_todo; i++)
		swallow_neighbours(plan, &plan->todo[i]);
	join_todo(plan);
	for (size_t i = 0; !err && i < plan->nr_todo; i++)
		err = cut(plan, plan->todo[i].first, plan->todo[i].last);
	return err;
}

int mlx5_plan_init(struct mlx5_plan *plan, const struct iotlb_version *map,
		   const struct mlx5_mr *old, enum mlx5_rebuild rebuild, bool one_run)
{
	*plan = (struct mlx5_plan){.map = map, .one_run = one_run};
	plan->window = rebuild == MLX5_REBUILD_FULL ? UINT64_MAX : MLX5_PIECE_MAX - 1;
	if (rebuild == MLX5_REBUILD_FULL || !old || !old->map)
		return cut(plan, 0, UINT64_MAX);
	plan->old = old;
	return plan_changes(plan);
}

void mlx5_plan_fini(struct mlx5_plan *plan)
{
	free(plan->drop);
	free(plan->todo);
	free(plan->make);
}
