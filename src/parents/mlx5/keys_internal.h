// SPDX-License-Identifier: BSD-3-Clause
/*
 * Between the parts of the memory keys: plan.c says which ranges need a key, direct.c makes and
 * destroys these, keys.c puts them together. Used by them alone; control threads, one at a time.
 */
#ifndef HOLDFAST_PARENTS_MLX5_KEYS_INTERNAL_H
#define HOLDFAST_PARENTS_MLX5_KEYS_INTERNAL_H

#include "keys.h"

#define MLX5_PIECE_MAX (1ULL << 30) /* bytes of a direct key, and of a null entry ([10-2]) */

struct mlx5_direct {
	iova_t first, last; /* inclusive */
	uint8_t perm;       /* enum iotlb_perm */
	uint64_t addr;      /* of byte @first in the key: pages are keyed whole */
	unsigned int refs;
	uint32_t mkey;
	STAILQ_ENTRY(mlx5_direct) link; /* in keys->dead or keys->undead */
	int64_t due;                    /* of a dead one */
	size_t nr;                      /* 0: not a direct key, but an indirect one that is dead */
	struct memory_region *mem[];    /* [nr] one reference each */
};

struct mlx5_range {
	iova_t first, last;
	uint8_t perm;
};

/* What to do to come from the old keys to the new. */
struct mlx5_plan {
	const struct iotlb_version *map;
	const struct mlx5_mr *old; /* NULL: everything is new */
	bool *drop;                /* [old->nr] this old piece is not carried over */
	struct mlx5_range *todo;   /* ranges to look at */
	size_t nr_todo, room_todo;
	struct mlx5_range *make; /* pieces that need a key, by address */
	size_t nr_make, room_make;
	bool one_run;  /* a piece's memory is one run of addresses, of one region */
	iova_t window; /* pieces do not cross multiples of this + 1; UINT64_MAX: no windows */
};

/** mlx5_is_ragged() - does the entry, or its memory, begin or end inside a page? */
bool mlx5_is_ragged(const struct iotlb_entry *e);

/** mlx5_plan_init() - Return: 0; -ENOMEM. In both cases mlx5_plan_fini() frees it. */
int mlx5_plan_init(struct mlx5_plan *plan, const struct iotlb_version *map,
		   const struct mlx5_mr *old, enum mlx5_rebuild rebuild,
		   bool one_run) HF_MUST_CHECK;
void mlx5_plan_fini(struct mlx5_plan *plan);

static inline uint64_t mlx5_host_of(const struct iotlb_entry *e, iova_t iova)
{
	return (uint64_t)(uintptr_t)e->mem->host + e->off + (iova - e->first);
}

/** mlx5_direct_make() - keys for @nr pieces. Return: 0; negative errno: none is left */
int mlx5_direct_make(struct mlx5_keys *keys, const struct iotlb_version *map,
		     const struct mlx5_range *r, size_t nr, struct mlx5_direct **out) HF_MUST_CHECK;
/** mlx5_direct_put() - with the last reference it waits to be buried */
void mlx5_direct_put(struct mlx5_keys *keys, struct mlx5_direct *d);
/** mlx5_keys_flush() - bury all that wait, whatever their time */
void mlx5_keys_flush(struct mlx5_keys *keys);
/** mlx5_keys_retry() - those that the device would not destroy wait again */
void mlx5_keys_retry(struct mlx5_keys *keys);
/** mlx5_keys_give_up() - forget these: the device is being closed */
void mlx5_keys_give_up(struct mlx5_keys *keys);

#endif
