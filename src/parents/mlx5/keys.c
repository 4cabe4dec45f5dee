// SPDX-License-Identifier: BSD-3-Clause
/*
 * The keys of a map: one direct key over each piece, and one indirect key over all of them.
 *
 *     iova    0        1 GiB      2 GiB                    4 GiB
 *     map     [ RW .............. ]                        [ RW .... ][ R ]
 *     direct  [ key A  ][ key B   ]                        [ key C   ][ D ]
 *     list      A         B         null       null          C          D     -> one indirect key
 *
 * I1. What the indirect key translates is what the map says, byte for byte, with its permissions.
 * I2. mlx5_mr_create() leaves the old keys whole. New keys are complete before it returns.
 * I3. Direct keys are counted: a piece that did not change has one key, in the old and in the new
 *     mlx5_mr. The device is asked only for what plan.c lists, and for the new indirect key.
 * I4. A key keeps its memory: a region loses a key's reference after the device has destroyed the
 *     key. If the device refuses that, the reference stays, and each later mlx5_mr_put() asks
 *     again.
 * I5. Pieces of `changed` may become too many for the device's list. Then all is cut anew.
 * I6. If the device has no room for new keys, those that wait to be destroyed go first, and those
 *     that it would not destroy are tried again.
 * I7. If the device can change a list in place, and the new list has the old one's lengths, the new
 *     mlx5_mr takes the old one's indirect key over: entries that differ are changed, and queues
 *     need not stop. In place of I2: what follows a changed list cannot fail.
 *
 * An entry that begins or ends inside a page has a key of its own over its whole pages. The list
 * has its exact length, and where in those pages it begins, so nothing else is reached.
 *
 * An entity (what one address of a direct key's list stands for) is the largest power of two that
 * divides the lengths of all entries in the piece. Clause [10-2] says "not above their gcd", which
 * is the same unless the gcd is no power of two. There it would put the wrong bytes behind an
 * address: of two entries of 12 KiB, entities of 8 KiB have no right place for the second.
 */
#include "keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "keys_internal.h"
#include "layout.h"

int mlx5_keys_init(struct mlx5_keys *keys, struct mlx5_dev *dev, enum mlx5_rebuild rebuild)
{
	int err;

	*keys = (struct mlx5_keys){.dev = dev, .rebuild = rebuild};
	STAILQ_INIT(&keys->dead);
	STAILQ_INIT(&keys->undead);
	err = mlx5_cmd_query_caps(dev, &keys->caps);
	if (dev->ops->mr_reg) /* its addresses are not the device's */
		keys->caps.umem_uid_0 = false;
	if (!err)
		err = mlx5_cmd_null_mkey(dev, &keys->null_mkey);
	if (!err)
		err = mlx5_cmd_alloc_pd(dev, &keys->pd);
	return err;
}

void mlx5_keys_fini(struct mlx5_keys *keys)
{
	mlx5_keys_retry(keys);
	mlx5_keys_flush(keys);
	mlx5_keys_give_up(keys);
	if (mlx5_cmd_dealloc_pd(keys->dev, keys->pd))
		hf_warn(keys->dev->name, "%s", refuse_reason());
}

/* [K2] What was put is destroyed now, if nothing is deferred. */
static void settle(struct mlx5_keys *keys)
{
	if (!keys->defer_ns)
		mlx5_keys_flush(keys);
}

static uint64_t nr_null(uint64_t hole)
{
	return hole / MLX5_PIECE_MAX + (hole % MLX5_PIECE_MAX != 0);
}

/* Entries of the list over all pieces; UINT64_MAX if they are more than can be counted. */
static uint64_t list_len(const struct mlx5_mr *mr)
{
	uint64_t nr = mr->nr;

	for (size_t i = 1; i < mr->nr; i++)
		nr += nr_null(mr->piece[i]->first - mr->piece[i - 1]->last - 1);
	return nr;
}

/* What an indirect key is made of. */
struct mlx5_indirect {
	uint32_t mkey;
	iova_t first, last;
	size_t nr;
	struct mlx5_klm klm[];
};

static struct mlx5_indirect *list_pieces(const struct mlx5_mr *mr, uint64_t nr)
{
	struct mlx5_indirect *ind = calloc(1, sizeof(*ind) + nr * sizeof(ind->klm[0]));

	if (!ind)
		return NULL;
	for (size_t i = 0; i < mr->nr; i++) {
		const struct mlx5_direct *d = mr->piece[i];
		uint64_t hole = i ? d->first - mr->piece[i - 1]->last - 1 : 0;

		for (; hole; ind->nr++) {
			uint64_t part = hole < MLX5_PIECE_MAX ? hole : MLX5_PIECE_MAX;

			ind->klm[ind->nr] =
				(struct mlx5_klm){(uint32_t)part, mr->keys->null_mkey, 0};
			hole -= part;
		}
		ind->klm[ind->nr++] =
			(struct mlx5_klm){(uint32_t)(d->last - d->first + 1), d->mkey, d->addr};
	}
	ind->first = mr->piece[0]->first;
	ind->last = mr->piece[mr->nr - 1]->last;
	return ind;
}

static bool same_entry(const struct mlx5_klm *a, const struct mlx5_klm *b)
{
	return a->mkey == b->mkey && a->addr == b->addr;
}

/* Make the list of @ind on the device what @to says, entries that differ alone. Return: 0; negative
 * errno: it is as it was, as far as the device takes that back */
static int update_list(struct mlx5_keys *keys, const struct mlx5_indirect *ind,
		       const struct mlx5_indirect *to)
{
	const struct mlx5_dev_ops *ops = keys->dev->ops;
	size_t i = 0;
	int err = 0;

	while (!err && i < to->nr) {
		size_t first = i;

		while (i < to->nr && !same_entry(&ind->klm[i], &to->klm[i]))
			i++;
		if (i > first)
			err = ops->klm_update(keys->dev, ind->mkey, first, &to->klm[first],
					      i - first);
		else
			i++;
	}
	for (size_t k = 0; err && k < i; k++)
		if (!same_entry(&ind->klm[k], &to->klm[k]) &&
		    ops->klm_update(keys->dev, ind->mkey, k, &ind->klm[k], 1))
			break;
	return err;
}

/* [I7] Could @to be had by changing entries of @ind? */
static bool can_follow(const struct mlx5_keys *keys, const struct mlx5_indirect *ind,
		       const struct mlx5_indirect *to)
{
	const struct mlx5_dev_ops *ops = keys->dev->ops;

	if (!ops->can_update_klm || !ops->can_update_klm(keys->dev) || !ind ||
	    ind->first != to->first || ind->last != to->last || ind->nr != to->nr)
		return false;
	for (size_t i = 0; i < to->nr; i++)
		if (ind->klm[i].len != to->klm[i].len)
			return false;
	return true;
}

static int create_list(struct mlx5_keys *keys, struct mlx5_indirect *ind)
{
	struct mlx5_mkey_desc desc = {.mode = MLX5_ACCESS_KLM,
				      .read = true,
				      .write = true,
				      .pd = keys->pd,
				      .start = ind->first,
				      .len = ind->last - ind->first + 1,
				      .klm = ind->klm,
				      .nr = ind->nr};

	return mlx5_cmd_create_mkey(keys->dev, &desc, &ind->mkey);
}

static int indirect_create(struct mlx5_mr *mr, struct mlx5_mr *old)
{
	uint64_t nr = list_len(mr);
	struct mlx5_keys *keys = mr->keys;
	struct mlx5_indirect *ind;
	int err;

	if ((nr + 3) / 4 * 4 > keys->caps.max_klm)
		return refuse(-ENOSPC, "the map has %llu pieces and holes, the device takes %u",
			      (unsigned long long)nr, keys->caps.max_klm);
	ind = list_pieces(mr, nr);
	if (!ind)
		return -ENOMEM;
	if (old && can_follow(keys, old->indirect, ind) &&
	    update_list(keys, old->indirect, ind) == 0) {
		ind->mkey = old->mkey;
		old->left = true;
		err = 0;
	} else {
		err = create_list(keys, ind);
	}
	if (err) {
		free(ind);
		return err;
	}
	mr->indirect = ind;
	mr->mkey = ind->mkey;
	return 0;
}

bool mlx5_mr_shares(const struct mlx5_mr *mr, const struct mlx5_mr *old)
{
	return mr && old && old->left && mr->mkey == old->mkey;
}

/* What its end needs is taken now: mlx5_mr_put() cannot fail. */
static struct mlx5_mr *mr_new(struct mlx5_keys *keys)
{
	struct mlx5_mr *mr = calloc(1, sizeof(*mr));
	struct mlx5_direct *grave = calloc(1, sizeof(*grave));

	if (!mr || !grave) {
		free(mr);
		free(grave);
		return NULL;
	}
	*mr = (struct mlx5_mr){.keys = keys, .refs = 1, .grave = grave};
	return mr;
}

static void mr_free(struct mlx5_mr *mr)
{
	for (size_t i = 0; i < mr->nr; i++)
		mlx5_direct_put(mr->keys, mr->piece[i]);
	free(mr->piece);
	free(mr->indirect);
	free(mr->grave);
	free(mr);
}

/* Old pieces that stay, and new ones, by address. */
static void merge_pieces(struct mlx5_mr *mr, const struct mlx5_plan *plan,
			 struct mlx5_direct *const *made)
{
	size_t nr_old = plan->old ? plan->old->nr : 0, i = 0;

	for (size_t j = 0; i < nr_old || j < plan->nr_make;) {
		struct mlx5_direct *old = i < nr_old ? plan->old->piece[i] : NULL;

		if (old && plan->drop[i]) {
			i++;
		} else if (old && (j == plan->nr_make || old->first < plan->make[j].first)) {
			old->refs++;
			mr->piece[mr->nr++] = old;
			i++;
		} else {
			mr->piece[mr->nr++] = made[j++];
		}
	}
}

static int make_pieces(struct mlx5_mr *mr, const struct mlx5_plan *plan)
{
	size_t nr_old = plan->old ? plan->old->nr : 0;
	struct mlx5_direct **made = calloc(plan->nr_make + 1, sizeof(struct mlx5_direct *));
	int err;

	mr->piece = malloc((nr_old + plan->nr_make + 1) * sizeof(struct mlx5_direct *));
	err = made && mr->piece
		      ? mlx5_direct_make(mr->keys, plan->map, plan->make, plan->nr_make, made)
		      : -ENOMEM;
	if (!err)
		merge_pieces(mr, plan, made);
	free(made);
	return err;
}

static int create(struct mlx5_keys *keys, const struct iotlb_version *map, struct mlx5_mr *old,
		  enum mlx5_rebuild rebuild, struct mlx5_mr **out)
{
	struct mlx5_mr *mr = mr_new(keys);
	struct mlx5_plan plan;
	int err;

	if (!mr)
		return -ENOMEM;
	err = mlx5_plan_init(&plan, map, old, rebuild, keys->dev->ops->mr_reg != NULL);
	if (!err)
		err = make_pieces(mr, &plan);
	mlx5_plan_fini(&plan);
	if (!err)
		err = indirect_create(mr, old);
	if (err) {
		mr_free(mr);
		settle(keys);
		return err;
	}
	mr->map = iotlb_version_get(map);
	*out = mr;
	return 0;
}

static bool is_full(int err)
{
	return err == -EAGAIN || err == -ENOMEM;
}

/* Are there keys that take room for nobody? */
static bool has_dead(const struct mlx5_keys *keys)
{
	return !STAILQ_EMPTY(&keys->dead) || !STAILQ_EMPTY(&keys->undead);
}

/* [I6] */
static void make_room(struct mlx5_keys *keys)
{
	mlx5_keys_retry(keys);
	mlx5_keys_flush(keys);
}

static int create_or_cut_anew(struct mlx5_keys *keys, const struct iotlb_version *map,
			      struct mlx5_mr *old, struct mlx5_mr **out)
{
	int err = create(keys, map, old, keys->rebuild, out);

	if (err == -ENOSPC && keys->rebuild == MLX5_REBUILD_CHANGED) /* [I5] */
		err = create(keys, map, NULL, keys->rebuild, out);
	return err;
}

int mlx5_mr_create(struct mlx5_keys *keys, const struct iotlb_version *map, struct mlx5_mr *old,
		   struct mlx5_mr **out)
{
	bool had_dead = has_dead(keys); /* a failure may destroy them itself */
	int err;

	if (iotlb_version_nr_entries(map) == 0) {
		*out = NULL;
		return 0;
	}
	err = create_or_cut_anew(keys, map, old, out);
	if (is_full(err) && had_dead) { /* [I6] */
		make_room(keys);
		err = create_or_cut_anew(keys, map, old, out);
	}
	return err;
}

int mlx5_mr_create_one_to_one(struct mlx5_keys *keys, struct mlx5_mr **out)
{
	struct mlx5_mkey_desc desc = {.mode = MLX5_ACCESS_PA, .read = true, .write = true};
	struct mlx5_mr *mr;
	int err;

	if (!keys->caps.umem_uid_0)
		return refuse(-EOPNOTSUPP, "%s: the firmware allows no 1:1 key", keys->dev->name);
	mr = mr_new(keys);
	if (!mr)
		return -ENOMEM;
	desc.pd = keys->pd;
	err = mlx5_cmd_create_mkey(keys->dev, &desc, &mr->mkey);
	if (is_full(err) && has_dead(keys)) { /* [I6] */
		make_room(keys);
		err = mlx5_cmd_create_mkey(keys->dev, &desc, &mr->mkey);
	}
	if (err)
		mr_free(mr);
	else
		*out = mr;
	return err;
}

uint32_t mlx5_mr_piece_key(const struct mlx5_mr *mr, size_t i)
{
	return mr->piece[i]->mkey;
}

struct mlx5_mr *mlx5_mr_get(struct mlx5_mr *mr)
{
	mr->refs++;
	return mr;
}

static void bury_indirect(struct mlx5_mr *mr)
{
	mr->grave->mkey = mr->mkey;
	mr->grave->refs = 1;
	mlx5_direct_put(mr->keys, mr->grave);
	mr->grave = NULL;
}

void mlx5_mr_put(struct mlx5_mr *mr)
{
	struct mlx5_keys *keys;

	if (!mr || --mr->refs)
		return;
	keys = mr->keys;
	mlx5_keys_retry(keys);
	if (!mr->left)
		bury_indirect(mr);
	iotlb_version_put(mr->map);
	mr_free(mr);
	settle(keys);
}
