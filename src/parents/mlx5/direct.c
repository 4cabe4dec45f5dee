// SPDX-License-Identifier: BSD-3-Clause
/*
 * Direct keys: a key over one piece of a map. They are made and destroyed in waves of commands that
 * the device has under way at once.
 *
 * K1. What is made in one call is made completely, or nothing of it is left.
 * K2. A key that nobody uses any more is buried: destroyed at once, or, if keys->defer_ns is set,
 *     when that time is over, by whoever calls mlx5_keys_bury(). So no map waits for it.
 * K3. Until the device has destroyed a key, the key has its reference on memory ([I4]).
 * K4. An indirect key is buried before the direct keys that it lists.
 * K5. If the end registers memory by itself (mr_reg), a piece is one run of memory, and the key's
 *     addresses are the memory's own.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/refuse.h"
#include "keys_internal.h"
#include "layout.h"

#define LOG_ENTITY_MIN 12

static size_t wave_len(const struct mlx5_keys *keys)
{
	return keys->parallel ? keys->parallel : 1;
}

/* ---- making ---- */

/* The part of the piece that is in entry @e. */
static void clip(const struct mlx5_range *r, const struct iotlb_entry *e, iova_t *from, iova_t *to)
{
	*from = e->first > r->first ? e->first : r->first;
	*to = e->last < r->last ? e->last : r->last;
}

/* Count entries, and find the entity. A piece has no holes. A ragged entry is alone in its piece,
 * and its pages are keyed whole: @off is where in them it begins. */
static void measure(const struct iotlb_version *map, const struct mlx5_range *r, size_t *nr,
		    unsigned int *log_entity, uint16_t *off)
{
	uint64_t lens = 0;
	struct iotlb_entry e;
	iova_t from, to;

	*nr = 0;
	*off = 0;
	for (iova_t at = r->first; iotlb_version_next(map, at, &e); at = to + 1) {
		clip(r, &e, &from, &to);
		lens |= to - from + 1; /* the lowest bit of all lengths divides each */
		++*nr;
		if (mlx5_is_ragged(&e)) {
			*off = (uint16_t)(mlx5_host_of(&e, from) % MEMORY_PAGE_SIZE);
			lens |= MEMORY_PAGE_SIZE;
		}
		if (to == r->last)
			break;
	}
	*log_entity = (unsigned int)__builtin_ctzll(lens);
	if (*log_entity < LOG_ENTITY_MIN)
		*log_entity = LOG_ENTITY_MIN;
}

static void fill(const struct iotlb_version *map, const struct mlx5_range *r, struct mlx5_direct *d,
		 unsigned int log_entity, uint64_t *mtt)
{
	struct iotlb_entry e;
	iova_t from, to;
	size_t n = 0;

	for (iova_t at = r->first; iotlb_version_next(map, at, &e); at = to + 1) {
		uint64_t host, off = 0;

		clip(r, &e, &from, &to);
		host = mlx5_host_of(&e, from) - d->addr;
		if (d->nr == 0 || d->mem[d->nr - 1] != e.mem)
			d->mem[d->nr++] = memory_region_get(e.mem);
		do {
			mtt[n++] = host + off;
			off += 1ULL << log_entity;
		} while (off < to - from + 1 + d->addr);
		if (to == r->last)
			break;
	}
}

static void direct_free(struct mlx5_direct *d)
{
	for (size_t i = 0; d && i < d->nr; i++)
		memory_region_put(d->mem[i]);
	free(d);
}

/* What @r's key is to be. Return: 0; -ENOMEM */
static int prepare(struct mlx5_keys *keys, const struct iotlb_version *map,
		   const struct mlx5_range *r, struct mlx5_mkey_desc *desc,
		   struct mlx5_direct **out)
{
	struct mlx5_direct *d;
	unsigned int log_entity;
	uint64_t *mtt;
	uint16_t off;
	size_t nr;

	measure(map, r, &nr, &log_entity, &off);
	*desc = (struct mlx5_mkey_desc){.mode = MLX5_ACCESS_MTT,
					.read = r->perm & IOTLB_R,
					.write = r->perm & IOTLB_W,
					.pd = keys->pd};
	desc->nr = (r->last - r->first + off) / (1ULL << log_entity) + 1;
	desc->len = (uint64_t)desc->nr << log_entity;
	desc->log_page = (uint8_t)log_entity;
	mtt = malloc(desc->nr * sizeof(*mtt));
	d = calloc(1, sizeof(*d) + nr * sizeof(struct memory_region *));
	if (!mtt || !d) {
		free(mtt);
		free(d);
		return -ENOMEM;
	}
	d->first = r->first;
	d->last = r->last;
	d->perm = r->perm;
	d->addr = off;
	d->refs = 1;
	fill(map, r, d, log_entity, mtt);
	desc->mtt = mtt;
	*out = d;
	return 0;
}

/* One wave. Return: the first error; @out has those that were made, NULL for the others */
static int make_wave(struct mlx5_keys *keys, const struct iotlb_version *map,
		     const struct mlx5_range *r, size_t nr, struct mlx5_direct **out)
{
	struct mlx5_mkey_desc desc[MLX5_PARALLEL_MAX];
	uint32_t mkey[MLX5_PARALLEL_MAX];
	bool made[MLX5_PARALLEL_MAX] = {false};
	size_t n = 0;
	int err = 0;

	while (!err && n < nr) {
		err = prepare(keys, map, &r[n], &desc[n], &out[n]);
		n += !err;
	}
	if (!err)
		err = mlx5_cmd_create_mkeys(keys->dev, desc, nr, mkey, made);
	for (size_t i = 0; i < n; i++) {
		free((void *)(uintptr_t)desc[i].mtt);
		if (made[i]) {
			out[i]->mkey = mkey[i];
		} else {
			direct_free(out[i]);
			out[i] = NULL;
		}
	}
	return err;
}

/* [K5] */
static int make_registered(struct mlx5_keys *keys, const struct iotlb_version *map,
			   const struct mlx5_range *r, struct mlx5_direct **out)
{
	struct mlx5_direct *d = calloc(1, sizeof(*d) + sizeof(struct memory_region *));
	struct iotlb_entry e;
	int err;

	if (!d || !iotlb_version_next(map, r->first, &e)) {
		free(d);
		return -ENOMEM;
	}
	*d = (struct mlx5_direct){.first = r->first, .last = r->last, .perm = r->perm, .refs = 1};
	d->addr = mlx5_host_of(&e, r->first);
	err = keys->dev->ops->mr_reg(keys->dev, (void *)(uintptr_t)d->addr, r->last - r->first + 1,
				     r->perm & IOTLB_W, &d->mkey);
	if (err) {
		free(d);
		return err;
	}
	d->mem[d->nr++] = memory_region_get(e.mem);
	*out = d;
	return 0;
}

int mlx5_direct_make(struct mlx5_keys *keys, const struct iotlb_version *map,
		     const struct mlx5_range *r, size_t nr, struct mlx5_direct **out)
{
	size_t done = 0, wave;
	int err = 0;

	for (size_t i = 0; i < nr; i++)
		out[i] = NULL;
	for (; !err && done < nr; done += wave) {
		wave = nr - done < wave_len(keys) ? nr - done : wave_len(keys);
		if (keys->dev->ops->mr_reg) {
			wave = 1;
			err = make_registered(keys, map, &r[done], &out[done]);
		} else {
			err = make_wave(keys, map, &r[done], wave, &out[done]);
		}
	}
	for (size_t i = 0; err && i < done; i++) /* [K1] */
		if (out[i])
			mlx5_direct_put(keys, out[i]);
	return err;
}

/* ---- burying ---- */

static void add_dead(struct mlx5_keys *keys, struct mlx5_direct *d, int64_t due)
{
	d->due = due;
	STAILQ_INSERT_TAIL(&keys->dead, d, link);
}

void mlx5_direct_put(struct mlx5_keys *keys, struct mlx5_direct *d)
{
	if (--d->refs == 0)
		add_dead(keys, d, keys->defer_ns ? clock_now_ns() + keys->defer_ns : 0);
}

static int deregister(struct mlx5_keys *keys, const uint32_t *mkey, size_t nr, bool *gone)
{
	int err = 0;

	for (size_t i = 0; i < nr; i++) {
		int e = keys->dev->ops->mr_dereg(keys->dev, mkey[i]);

		gone[i] = e == 0;
		err = e ? e : err;
	}
	return err;
}

/* Destroy @nr keys at once; what the device will not destroy is tried again. */
static void destroy_wave(struct mlx5_keys *keys, struct mlx5_direct **d, size_t nr)
{
	uint32_t mkey[MLX5_PARALLEL_MAX];
	bool gone[MLX5_PARALLEL_MAX] = {false};
	int err;

	for (size_t i = 0; i < nr; i++)
		mkey[i] = d[i]->mkey;
	if (keys->dev->ops->mr_dereg && d[0]->nr)
		err = deregister(keys, mkey, nr, gone);
	else
		err = mlx5_cmd_destroy_mkeys(keys->dev, mkey, nr, gone);
	if (err)
		hf_warn(keys->dev->name, "%s; the memory stays in use", refuse_reason());
	for (size_t i = 0; i < nr; i++)
		if (gone[i])
			direct_free(d[i]);
		else
			STAILQ_INSERT_TAIL(&keys->undead, d[i], link);
}

/* The next keys that may be destroyed together. [K4]: an indirect key is a wave of its own. */
static size_t next_wave(struct mlx5_keys *keys, int64_t now, struct mlx5_direct **d)
{
	size_t n = 0;

	while (n < wave_len(keys)) {
		struct mlx5_direct *first = STAILQ_FIRST(&keys->dead);

		if (!first || first->due > now || (n && (!first->nr || !d[0]->nr)))
			break;
		STAILQ_REMOVE_HEAD(&keys->dead, link);
		d[n++] = first;
	}
	return n;
}

int64_t mlx5_keys_bury(struct mlx5_keys *keys, int64_t now)
{
	struct mlx5_direct *d[MLX5_PARALLEL_MAX], *first;
	size_t n = next_wave(keys, now, d);

	if (n)
		destroy_wave(keys, d, n);
	first = STAILQ_FIRST(&keys->dead);
	if (!first)
		return -1;
	return first->due > now ? first->due - now : 0;
}

void mlx5_keys_flush(struct mlx5_keys *keys)
{
	while (mlx5_keys_bury(keys, INT64_MAX) >= 0)
		;
}

void mlx5_keys_retry(struct mlx5_keys *keys)
{
	struct mlx5_direct *d;

	while ((d = STAILQ_FIRST(&keys->undead)) != NULL) {
		STAILQ_REMOVE_HEAD(&keys->undead, link);
		add_dead(keys, d, 0);
	}
}

void mlx5_keys_give_up(struct mlx5_keys *keys)
{
	struct mlx5_direct *d;

	while ((d = STAILQ_FIRST(&keys->undead)) != NULL) {
		STAILQ_REMOVE_HEAD(&keys->undead, link);
		direct_free(d);
	}
}
