// SPDX-License-Identifier: BSD-3-Clause
/* At compile time: what devx_abi.h says is what the installed headers of rdma-core say. */
#include "devx_abi.h"

#include <infiniband/mlx5dv.h>
#include <infiniband/verbs.h>

#define SAME_SIZE(ours, theirs)                                                                    \
	_Static_assert(sizeof(struct ours) == sizeof(struct theirs), #theirs " has another size")
#define SAME_PLACE(ours, theirs, member)                                                           \
	_Static_assert(offsetof(struct ours, member) == offsetof(struct theirs, member),           \
		       #theirs "." #member " lies elsewhere");                                     \
	_Static_assert(sizeof(((struct ours *)0)->member) == sizeof(((struct theirs *)0)->member), \
		       #theirs "." #member " has another size")

SAME_SIZE(rdma_mr, ibv_mr);
SAME_PLACE(rdma_mr, ibv_mr, lkey);
SAME_SIZE(rdma_vfio_attr, mlx5dv_vfio_context_attr);
SAME_PLACE(rdma_vfio_attr, mlx5dv_vfio_context_attr, pci_name);
SAME_PLACE(rdma_vfio_attr, mlx5dv_vfio_context_attr, flags);
SAME_PLACE(rdma_vfio_attr, mlx5dv_vfio_context_attr, comp_mask);
SAME_SIZE(rdma_umem, mlx5dv_devx_umem);
SAME_PLACE(rdma_umem, mlx5dv_devx_umem, umem_id);
SAME_SIZE(rdma_msi_vector, mlx5dv_devx_msi_vector);
SAME_PLACE(rdma_msi_vector, mlx5dv_devx_msi_vector, vector);
SAME_PLACE(rdma_msi_vector, mlx5dv_devx_msi_vector, fd);
SAME_SIZE(rdma_eq, mlx5dv_devx_eq);
SAME_PLACE(rdma_eq, mlx5dv_devx_eq, vaddr);
SAME_SIZE(rdma_pd_numbers, mlx5dv_pd);
SAME_PLACE(rdma_pd_numbers, mlx5dv_pd, pdn);
_Static_assert(sizeof(struct rdma_obj) >= sizeof(struct mlx5dv_obj), "mlx5dv_obj is larger");
_Static_assert(offsetof(struct rdma_obj, kind[RDMA_OBJ_PD_AT]) == offsetof(struct mlx5dv_obj, pd),
	       "mlx5dv_obj.pd lies elsewhere");
_Static_assert(RDMA_OBJ_PD == (unsigned int)MLX5DV_OBJ_PD, "MLX5DV_OBJ_PD is another bit");
_Static_assert(RDMA_ACCESS_LOCAL_WRITE == (int)IBV_ACCESS_LOCAL_WRITE,
	       "IBV_ACCESS_LOCAL_WRITE is another bit");

/* Prototypes, with the headers' types in the place of ours. */
#undef ibv_reg_mr
#define IS(name, type)                                                                             \
	_Static_assert(__builtin_types_compatible_p(__typeof__(name), type),                       \
		       #name " has another prototype")

IS(ibv_open_device, struct ibv_context *(struct ibv_device *));
IS(ibv_close_device, int(struct ibv_context *));
IS(ibv_free_device_list, void(struct ibv_device **));
IS(ibv_alloc_pd, struct ibv_pd *(struct ibv_context *));
IS(ibv_dealloc_pd, int(struct ibv_pd *));
IS(ibv_reg_mr, struct ibv_mr *(struct ibv_pd *, void *, size_t, int));
IS(ibv_dereg_mr, int(struct ibv_mr *));
IS(mlx5dv_get_vfio_device_list, struct ibv_device **(struct mlx5dv_vfio_context_attr *));
IS(mlx5dv_vfio_get_events_fd, int(struct ibv_context *));
IS(mlx5dv_vfio_process_events, int(struct ibv_context *));
IS(mlx5dv_init_obj, int(struct mlx5dv_obj *, uint64_t));
IS(mlx5dv_devx_general_cmd, int(struct ibv_context *, const void *, size_t, void *, size_t));
IS(mlx5dv_devx_umem_reg, struct mlx5dv_devx_umem *(struct ibv_context *, void *, size_t, uint32_t));
IS(mlx5dv_devx_umem_dereg, int(struct mlx5dv_devx_umem *));
IS(mlx5dv_devx_alloc_msi_vector, struct mlx5dv_devx_msi_vector *(struct ibv_context *));
IS(mlx5dv_devx_free_msi_vector, int(struct mlx5dv_devx_msi_vector *));
IS(mlx5dv_devx_create_eq,
   struct mlx5dv_devx_eq *(struct ibv_context *, const void *, size_t, void *, size_t));
IS(mlx5dv_devx_destroy_eq, int(struct mlx5dv_devx_eq *));
