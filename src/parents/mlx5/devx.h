// SPDX-License-Identifier: BSD-3-Clause
/*
 * The end of the seam that leads to a card: rdma-core's libraries, which are loaded when a card is
 * opened. devx.c opens with what it needs, and with what nobody has tried.
 *
 * Owns the libraries, the card and all that was made on it. Used by mlx5.c and tests. Thread rule:
 * as cmd.h; callbacks of vectors come from a worker of its own.
 */
#ifndef HOLDFAST_PARENTS_MLX5_DEVX_H
#define HOLDFAST_PARENTS_MLX5_DEVX_H

#include "cmd.h"

struct mlx5_devx;

/* Where things are. Tests have others. */
struct mlx5_devx_paths {
	const char *verbs, *mlx5; /* libraries */
	const char *sysfs;        /* folder of PCI devices */
};
extern struct mlx5_devx_paths mlx5_devx_paths;

/**
 * mlx5_devx_open() - the card at PCI address @pci
 * @name: [lent] for messages
 * Return: 0; negative errno and one line of words: -ENODEV no such device, or none of this maker's;
 * -ENOSYS a library is missing, or lacks a function; -EBUSY another driver has it; -EACCES; what
 * opening it gives
 */
int mlx5_devx_open(const char *pci, const char *name, struct mlx5_devx **out) HF_MUST_CHECK;
/** mlx5_devx_close() - NULL is fine */
void mlx5_devx_close(struct mlx5_devx *devx);
/** mlx5_devx_dev() - its end of the seam; lives as long as @devx */
struct mlx5_dev *mlx5_devx_dev(struct mlx5_devx *devx);

#endif
