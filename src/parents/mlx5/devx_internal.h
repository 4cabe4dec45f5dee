// SPDX-License-Identifier: BSD-3-Clause
/*
 * Inside devx*.c: what a card opened by rdma-core's libraries consists of.
 *
 * devx_find.c opens the card, devx_irq.c watches its interrupts, devx.c is the rest of the seam.
 * Thread rule: as cmd.h; a vector's callback comes from the worker.
 */
#ifndef HOLDFAST_PARENTS_MLX5_DEVX_INTERNAL_H
#define HOLDFAST_PARENTS_MLX5_DEVX_INTERNAL_H

#include <stdbool.h>

#include "base/worker.h"
#include "devx.h"
#include "devx_abi.h"

#define MLX5_DEVX_VECTORS_MAX 160 /* queues of 64 pairs, the event queue, and some */

#define MLX5_DEVX_MEMBER(result, name, args) result(*name) args;
struct mlx5_devx_functions {
	RDMA_VERBS(MLX5_DEVX_MEMBER)
	RDMA_MLX5(MLX5_DEVX_MEMBER)
};

struct mlx5_devx_vector {
	struct mlx5_devx *devx;
	struct rdma_msi_vector *msi; /* NULL: free */
	struct worker_fd *watch;
	struct vdpa_callback cb; /* worker's lock */
};

struct mlx5_devx_umem {
	struct mlx5_devx_umem *next;
	struct rdma_umem *handle;
};

struct mlx5_devx_mr {
	struct mlx5_devx_mr *next;
	struct rdma_mr *handle;
};

struct mlx5_devx {
	struct mlx5_dev dev;
	void *lib[2];
	struct mlx5_devx_functions fn;
	char pci[16];
	struct rdma_context *ctx;
	struct rdma_pd *pd;
	struct rdma_eq *eq;
	uint32_t eqn;
	struct mlx5_devx_umem *umems;
	struct mlx5_devx_mr *mrs;
	struct mlx5_devx_vector vector[MLX5_DEVX_VECTORS_MAX];
	struct worker *worker; /* watches vectors and the library's own events */
	struct worker_fd *events;
	void *bar; /* the page of doorbells, or NULL */
	size_t bar_off;
};

static inline struct mlx5_devx *mlx5_devx_of(struct mlx5_dev *dev)
{
	return container_of(dev, struct mlx5_devx, dev);
}

/**
 * mlx5_devx_find() - look at the PCI device, load the libraries, and take the card by VFIO
 * Return: 0; negative errno and one line of words, as mlx5_devx_open(); then too, call
 * mlx5_devx_leave()
 */
int mlx5_devx_find(struct mlx5_devx *d) HF_MUST_CHECK;
/** mlx5_devx_leave() - undo what mlx5_devx_find() did; all made on the card is gone before */
void mlx5_devx_leave(struct mlx5_devx *d);

/**
 * mlx5_devx_irq_start() - start the worker, which watches the library's own events at first
 * Return: 0; -errno; then too, call mlx5_devx_irq_stop()
 */
int mlx5_devx_irq_start(struct mlx5_devx *d) HF_MUST_CHECK;
/** mlx5_devx_irq_stop() - close every vector and end the worker; fine if it never started */
void mlx5_devx_irq_stop(struct mlx5_devx *d);

/* As in struct mlx5_dev_ops. */
int mlx5_devx_vector_open(struct mlx5_dev *dev, const struct vdpa_callback *cb,
			  uint32_t *vector) HF_MUST_CHECK;
void mlx5_devx_vector_set(struct mlx5_dev *dev, uint32_t vector, const struct vdpa_callback *cb);
void mlx5_devx_vector_close(struct mlx5_dev *dev, uint32_t vector);

#endif
