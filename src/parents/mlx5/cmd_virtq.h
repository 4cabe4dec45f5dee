// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands for virtqueues, their counters, and event queues. Owns nothing. Used by the driver's
 * queues and events; thread rule as cmd.h. Errors as cmd.h: negative errno, and a reason in words.
 */
#ifndef HOLDFAST_PARENTS_MLX5_CMD_VIRTQ_H
#define HOLDFAST_PARENTS_MLX5_CMD_VIRTQ_H

#include "cmd.h"
#include "layout.h"

struct mlx5_umem {
	uint32_t id;
	uint32_t len; /* bytes */
};

/* All that a virtqueue is made of. MODIFY takes the fields that its mask selects. */
struct mlx5_virtq {
	uint16_t index;       /* of the vring */
	uint16_t size;        /* entries */
	uint16_t features;    /* mlx5_features_of() */
	uint16_t avail, used; /* positions */
	bool version_1;
	uint8_t state; /* MODIFY: MLX5_VQ_* */
	uint32_t vector, tisn, pd, counters;
	uint32_t mkey, desc_mkey;      /* 0: none */
	uint64_t desc, driver, device; /* areas, IOVA */
	struct mlx5_umem umem[3];
};

/* What a query answers. */
struct mlx5_virtq_status {
	uint8_t state, error;
	uint16_t avail, used;
};

/* One of several queues that are changed at once. */
struct mlx5_virtq_change {
	uint32_t id;
	uint64_t select; /* MLX5_VQ_* of what changes */
	struct mlx5_virtq q;
	int err; /* [out] */
};

struct mlx5_virtq_query {
	uint32_t id;
	struct mlx5_virtq_status status; /* [out] if there is no error */
	int err;                         /* [out] */
};

struct mlx5_virtq_counters {
	uint64_t received, completed; /* chains */
	uint32_t errors, bad_desc, max_chain, invalid_buffer;
};

/** mlx5_features_of() - virtio feature bits in the device's order, those that it has a bit for */
uint16_t mlx5_features_of(uint64_t virtio);
/** mlx5_features_to() - the other way */
uint64_t mlx5_features_to(uint16_t device);

int mlx5_cmd_create_virtq(struct mlx5_dev *dev, const struct mlx5_virtq *q,
			  uint32_t *id) HF_MUST_CHECK;
/** mlx5_cmd_modify_virtq() - @select: MLX5_VQ_* of what changes */
int mlx5_cmd_modify_virtq(struct mlx5_dev *dev, uint32_t id, uint64_t select,
			  const struct mlx5_virtq *q) HF_MUST_CHECK;
int mlx5_cmd_query_virtq(struct mlx5_dev *dev, uint32_t id,
			 struct mlx5_virtq_status *status) HF_MUST_CHECK;
/** mlx5_cmd_modify_virtqs() - @nr queues at once, at most MLX5_PARALLEL_MAX; each one's error is in
 * its err. Return: the first error */
int mlx5_cmd_modify_virtqs(struct mlx5_dev *dev, struct mlx5_virtq_change *change, size_t nr);
/** mlx5_cmd_query_virtqs() - the same */
int mlx5_cmd_query_virtqs(struct mlx5_dev *dev, struct mlx5_virtq_query *query, size_t nr);
int mlx5_cmd_create_counters(struct mlx5_dev *dev, uint32_t *id) HF_MUST_CHECK;
int mlx5_cmd_query_counters(struct mlx5_dev *dev, uint32_t id,
			    struct mlx5_virtq_counters *counters) HF_MUST_CHECK;
/** mlx5_cmd_destroy_object() - @type: MLX5_OBJ_* */
int mlx5_cmd_destroy_object(struct mlx5_dev *dev, unsigned int type, uint32_t id) HF_MUST_CHECK;

/** mlx5_cmd_create_eq() - @log_size: log2 of its entries. @events: bits of MLX5_EVENT_* */
int mlx5_cmd_create_eq(struct mlx5_dev *dev, uint8_t log_size, uint32_t vector, uint64_t events,
		       uint32_t *eqn) HF_MUST_CHECK;
int mlx5_cmd_destroy_eq(struct mlx5_dev *dev, uint32_t eqn) HF_MUST_CHECK;

#endif
