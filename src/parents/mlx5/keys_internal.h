// SPDX-License-Identifier: BSD-3-Clause
/*
 * Between the two halves of the memory keys: plan.c says which ranges need a key, keys.c makes it.
 * Used by them alone; control threads, one at a time.
 */
#ifndef HOLDFAST_PARENTS_MLX5_KEYS_INTERNAL_H
#define HOLDFAST_PARENTS_MLX5_KEYS_INTERNAL_H

#include "keys.h"

#define MLX5_PIECE_MAX (1ULL << 30) /* bytes of a direct key, and of a null entry ([10-2]) */

struct mlx5_direct {
	iova_t first, last; /* inclusive */
	uint8_t perm;       /* enum iotlb_perm */
	uint16_t off;       /* of byte @first in the key: pages are keyed whole */
	unsigned int refs;
	uint32_t mkey;
	struct mlx5_direct *next; /* in keys->undead */
	size_t nr;
	struct memory_region *mem[]; /* [nr] one reference each */
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
	iova_t window; /* pieces do not cross multiples of this + 1; UINT64_MAX: no windows */
};

/** mlx5_is_ragged() - does the entry, or its memory, begin or end inside a page? */
bool mlx5_is_ragged(const struct iotlb_entry *e);

/** mlx5_plan_init() - Return: 0; -ENOMEM. In both cases mlx5_plan_fini() frees it. */
int mlx5_plan_init(struct mlx5_plan *plan, const struct iotlb_version *map,
		   const struct mlx5_mr *old, enum mlx5_rebuild rebuild) HF_MUST_CHECK;
void mlx5_plan_fini(struct mlx5_plan *plan);

#endif
