// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands that bring frames to queues: transport domain, TIS (what sends), a table of receive
 * queues (RQT), TIR (what spreads frames over that table), and a flow table that sends frames to
 * the TIR by their address. Owns nothing. Used by the driver's steering; thread rule as cmd.h.
 * Errors as cmd.h.
 */
#ifndef HOLDFAST_PARENTS_MLX5_CMD_STEER_H
#define HOLDFAST_PARENTS_MLX5_CMD_STEER_H

#include "cmd.h"

/* What a frame is compared with: a group has the bits that count, an entry their values. */
struct mlx5_match {
	uint8_t dmac[6];
	bool cvlan; /* has a tag */
	uint16_t vid;
};

int mlx5_cmd_alloc_td(struct mlx5_dev *dev, uint32_t *td) HF_MUST_CHECK;
int mlx5_cmd_dealloc_td(struct mlx5_dev *dev, uint32_t td) HF_MUST_CHECK;
int mlx5_cmd_create_tis(struct mlx5_dev *dev, uint32_t td, uint32_t *tisn) HF_MUST_CHECK;
int mlx5_cmd_destroy_tis(struct mlx5_dev *dev, uint32_t tisn) HF_MUST_CHECK;
/** mlx5_cmd_create_rqt() - @queue: [@nr] virtqueue objects; @max: room, a power of two */
int mlx5_cmd_create_rqt(struct mlx5_dev *dev, const uint32_t *queue, uint16_t nr, uint16_t max,
			uint32_t *rqtn) HF_MUST_CHECK;
int mlx5_cmd_modify_rqt(struct mlx5_dev *dev, uint32_t rqtn, const uint32_t *queue,
			uint16_t nr) HF_MUST_CHECK;
int mlx5_cmd_destroy_rqt(struct mlx5_dev *dev, uint32_t rqtn) HF_MUST_CHECK;
int mlx5_cmd_create_tir(struct mlx5_dev *dev, uint32_t td, uint32_t rqtn,
			uint32_t *tirn) HF_MUST_CHECK;
int mlx5_cmd_destroy_tir(struct mlx5_dev *dev, uint32_t tirn) HF_MUST_CHECK;
int mlx5_cmd_create_flow_table(struct mlx5_dev *dev, uint8_t log_size,
			       uint32_t *table) HF_MUST_CHECK;
int mlx5_cmd_set_flow_root(struct mlx5_dev *dev, uint32_t table) HF_MUST_CHECK;
int mlx5_cmd_destroy_flow_table(struct mlx5_dev *dev, uint32_t table) HF_MUST_CHECK;
/** mlx5_cmd_create_flow_group() - entries @first to @last compare the bits of @mask */
int mlx5_cmd_create_flow_group(struct mlx5_dev *dev, uint32_t table, uint32_t first, uint32_t last,
			       const struct mlx5_match *mask, uint32_t *group) HF_MUST_CHECK;
int mlx5_cmd_destroy_flow_group(struct mlx5_dev *dev, uint32_t table, uint32_t group) HF_MUST_CHECK;
/** mlx5_cmd_set_flow() - entry @index: what is like @value goes to @tirn */
int mlx5_cmd_set_flow(struct mlx5_dev *dev, uint32_t table, uint32_t group, uint32_t index,
		      const struct mlx5_match *value, uint32_t tirn) HF_MUST_CHECK;
int mlx5_cmd_delete_flow(struct mlx5_dev *dev, uint32_t table, uint32_t index) HF_MUST_CHECK;

#endif
