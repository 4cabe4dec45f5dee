// SPDX-License-Identifier: BSD-3-Clause
/*
 * What of rdma-core's libibverbs and libmlx5 the driver calls: functions by name, and the few
 * structures that they fill. They are declared here, so that a build needs no headers of rdma-core.
 * Where these are installed, devx_check.c compares sizes, offsets, values and prototypes.
 *
 * Owns nothing. Used by devx*.c, and the libraries' stand-in of the tests.
 */
#ifndef HOLDFAST_PARENTS_MLX5_DEVX_ABI_H
#define HOLDFAST_PARENTS_MLX5_DEVX_ABI_H

#include <stddef.h>
#include <stdint.h>

/* Opaque: struct ibv_device, ibv_context, ibv_pd. */
struct rdma_device;
struct rdma_context;
struct rdma_pd;

struct rdma_mr {
	struct rdma_context *context;
	struct rdma_pd *pd;
	void *addr;
	size_t length;
	uint32_t handle;
	uint32_t lkey;
	uint32_t rkey;
};

struct rdma_vfio_attr {
	const char *pci_name;
	uint32_t flags;
	uint64_t comp_mask;
};

struct rdma_umem {
	uint32_t umem_id;
};

struct rdma_msi_vector {
	int vector;
	int fd;
};

struct rdma_eq {
	void *vaddr;
};

struct rdma_pd_numbers {
	uint32_t pdn;
	uint64_t comp_mask;
};

/* Pairs of what is asked about and where the answer goes; the seventh is the protection domain.
 * Newer libraries know an eighth, so there is room for some more. */
struct rdma_obj {
	struct {
		void *in, *out;
	} kind[16];
};

#define RDMA_OBJ_PD_AT          6
#define RDMA_OBJ_PD             (1u << RDMA_OBJ_PD_AT)
#define RDMA_ACCESS_LOCAL_WRITE 1

/* X(result, name, arguments), of either library. */
#define RDMA_VERBS(X)                                                                              \
	X(struct rdma_context *, ibv_open_device, (struct rdma_device *))                          \
	X(int, ibv_close_device, (struct rdma_context *))                                          \
	X(void, ibv_free_device_list, (struct rdma_device **))                                     \
	X(struct rdma_pd *, ibv_alloc_pd, (struct rdma_context *))                                 \
	X(int, ibv_dealloc_pd, (struct rdma_pd *))                                                 \
	X(struct rdma_mr *, ibv_reg_mr, (struct rdma_pd *, void *, size_t, int))                   \
	X(int, ibv_dereg_mr, (struct rdma_mr *))

#define RDMA_MLX5(X)                                                                               \
	X(struct rdma_device **, mlx5dv_get_vfio_device_list, (struct rdma_vfio_attr *))           \
	X(int, mlx5dv_vfio_get_events_fd, (struct rdma_context *))                                 \
	X(int, mlx5dv_vfio_process_events, (struct rdma_context *))                                \
	X(int, mlx5dv_init_obj, (struct rdma_obj *, uint64_t))                                     \
	X(int, mlx5dv_devx_general_cmd,                                                            \
	  (struct rdma_context *, const void *, size_t, void *, size_t))                           \
	X(struct rdma_umem *, mlx5dv_devx_umem_reg,                                                \
	  (struct rdma_context *, void *, size_t, uint32_t))                                       \
	X(int, mlx5dv_devx_umem_dereg, (struct rdma_umem *))                                       \
	X(struct rdma_msi_vector *, mlx5dv_devx_alloc_msi_vector, (struct rdma_context *))         \
	X(int, mlx5dv_devx_free_msi_vector, (struct rdma_msi_vector *))                            \
	X(struct rdma_eq *, mlx5dv_devx_create_eq,                                                 \
	  (struct rdma_context *, const void *, size_t, void *, size_t))                           \
	X(int, mlx5dv_devx_destroy_eq, (struct rdma_eq *))

#endif
