// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory keys: what the device translates an address space with. keys.c opens with the theory.
 *
 * Owns: the keys on the device, and a reference on each memory region that a key reaches. Used by
 * tests; the seam below is cmd.h. Thread rule: control threads, one at a time (the device lock).
 */
#ifndef HOLDFAST_PARENTS_MLX5_KEYS_H
#define HOLDFAST_PARENTS_MLX5_KEYS_H

#include <sys/queue.h>

#include "cmd.h"
#include "iotlb/iotlb.h"

enum mlx5_rebuild {
	MLX5_REBUILD_CHANGED, /* keep the keys of what did not change */
	MLX5_REBUILD_FULL,    /* all keys anew, as the kernel's driver does */
};

struct mlx5_direct; /* a key over one piece */
STAILQ_HEAD(mlx5_direct_list, mlx5_direct);

struct mlx5_keys {
	struct mlx5_dev *dev;
	enum mlx5_rebuild rebuild;
	struct mlx5_caps caps;
	uint32_t pd, null_mkey;
	unsigned int parallel; /* commands under way at once, to MLX5_PARALLEL_MAX; 0 is 1 */
	int64_t defer_ns;      /* keys nobody uses live so long; 0: they are destroyed at once */
	struct mlx5_direct_list dead;   /* not in use, by time */
	struct mlx5_direct_list undead; /* that the device would not destroy; tried again */
};

struct mlx5_indirect; /* an indirect key and its list */

/* All keys of one map of an address space. */
struct mlx5_mr {
	struct mlx5_keys *keys;
	const struct iotlb_version *map; /* NULL: the 1:1 key */
	uint32_t mkey;                   /* what a queue is given */
	struct mlx5_indirect *indirect;  /* [owned] what @mkey is made of. NULL: the 1:1 key */
	bool left;                       /* @mkey is another one's by now */
	struct mlx5_direct *grave;       /* [owned] bears @mkey in keys->dead. NULL: is there */
	unsigned int refs;
	size_t nr;
	struct mlx5_direct **piece; /* [nr] by address; one reference each */
};

/** mlx5_keys_init() - Return: 0; negative errno: nothing is left on the device that it lets go */
int mlx5_keys_init(struct mlx5_keys *keys, struct mlx5_dev *dev,
		   enum mlx5_rebuild rebuild) HF_MUST_CHECK;
/** mlx5_keys_fini() - all mlx5_mr are gone. What the device would not give back goes when the
 * device is closed. */
void mlx5_keys_fini(struct mlx5_keys *keys);

/**
 * mlx5_mr_create() - the keys of @map, complete
 * @old: the keys of the same address space until now, or NULL; if the device can change a list in
 *       place, its indirect key may be the new one's from now on
 * @out: [out] NULL if @map is empty ([10-3])
 * Return: 0; -ENOSPC more pieces and holes than the device takes in one key; -ENOMEM; the device's
 * refusal. On error nothing new is left.
 */
int mlx5_mr_create(struct mlx5_keys *keys, const struct iotlb_version *map, struct mlx5_mr *old,
		   struct mlx5_mr **out) HF_MUST_CHECK;
/** mlx5_mr_create_one_to_one() - Return: 0; -EOPNOTSUPP the device does not allow it ([10-4]) */
int mlx5_mr_create_one_to_one(struct mlx5_keys *keys, struct mlx5_mr **out) HF_MUST_CHECK;
/** mlx5_mr_shares() - has @mr the indirect key of @old, its list changed in place? Then queues that
 * were given the one have the other */
bool mlx5_mr_shares(const struct mlx5_mr *mr, const struct mlx5_mr *old);
struct mlx5_mr *mlx5_mr_get(struct mlx5_mr *mr);
/** mlx5_mr_piece_key() - the direct key of piece @i */
uint32_t mlx5_mr_piece_key(const struct mlx5_mr *mr, size_t i);
/** mlx5_mr_put() - the last one destroys the keys that no other mlx5_mr has; NULL is fine */
void mlx5_mr_put(struct mlx5_mr *mr);
/** mlx5_keys_bury() - destroy a few keys whose time is over. @now: clock_now_ns()
 * Return: ns until the next one is to go, 0 at once, -1 there is none */
int64_t mlx5_keys_bury(struct mlx5_keys *keys, int64_t now);

#endif
