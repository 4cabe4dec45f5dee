// SPDX-License-Identifier: BSD-3-Clause
/*
 * Between the files that encode commands (cmd*.c): executing one, and its status as an error. Owns
 * nothing. Used by them alone; thread rule as cmd.h.
 */
#ifndef HOLDFAST_PARENTS_MLX5_CMD_INTERNAL_H
#define HOLDFAST_PARENTS_MLX5_CMD_INTERNAL_H

#include "cmd.h"
#include "layout.h"

/** mlx5_cmd_exec() - execute, and look at the status. @out: [out] zeroed first.
 * Return: 0; negative errno, and the command, status and syndrome in words */
int mlx5_cmd_exec(struct mlx5_dev *dev, const void *in, size_t in_len, void *out,
		  size_t out_len) HF_MUST_CHECK;
/** mlx5_cmd_exec_many() - @nr commands at once, at most MLX5_PARALLEL_MAX; what came of each is in
 * its err, as mlx5_cmd_exec() tells it. Return: the first error, with its words */
int mlx5_cmd_exec_many(struct mlx5_dev *dev, struct mlx5_exec *cmd, size_t nr) HF_MUST_CHECK;
/** mlx5_cmd_exec_short() - a command of an opcode and an index alone. @index_out: may be NULL */
int mlx5_cmd_exec_short(struct mlx5_dev *dev, unsigned int opcode, uint32_t index,
			uint32_t *index_out) HF_MUST_CHECK;

#endif
