// SPDX-License-Identifier: BSD-3-Clause
/*
 * A card by rdma-core's VFIO driver: the process has the whole PCI function for itself, with its
 * command queue, its interrupt vectors and an IOMMU domain. So every command goes to the card as
 * the driver gives it, and only these do not:
 *
 *   protection domains     ibv_alloc_pd(), because registering memory wants its own object
 *   event queues           mlx5dv_devx_create_eq(), which brings their memory
 *   memory of a queue      mlx5dv_devx_umem_reg()
 *   direct memory keys     ibv_reg_mr(): a list of CREATE_MKEY would need addresses of the card's
 *                          domain, which the library does not tell
 *   interrupts             mlx5dv_devx_alloc_msi_vector(): an eventfd each, watched by a worker
 *   doorbells              written into the function's BAR, by sysfs: the library maps none
 *
 * There is no 1:1 key: the process's addresses are not those of the card's domain.
 *
 * Nobody has run this on a card. What was run is this file on a stand-in of the two libraries that
 * leads to the firmware model (tests/unit/mlx5/stand_in.c).
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/refuse.h"
#include "devx_internal.h"
#include "layout.h"
#include "trace.h"

#define DOORBELL_LEN 4096

/* ---- commands ---- */

static int alloc_pd(struct mlx5_devx *d, void *out)
{
	struct rdma_pd_numbers numbers = {0};
	struct rdma_obj obj = {0};

	if (d->pd)
		return -EBUSY;
	errno = 0;
	d->pd = d->fn.ibv_alloc_pd(d->ctx);
	if (!d->pd)
		return errno ? -errno : -EIO;
	obj.kind[RDMA_OBJ_PD_AT].in = d->pd;
	obj.kind[RDMA_OBJ_PD_AT].out = &numbers;
	if (d->fn.mlx5dv_init_obj(&obj, RDMA_OBJ_PD))
		return -EIO;
	mlx5_put(out, MLX5_IO_INDEX, numbers.pdn);
	return 0;
}

static int dealloc_pd(struct mlx5_devx *d)
{
	int err = d->pd ? d->fn.ibv_dealloc_pd(d->pd) : EINVAL;

	if (!err)
		d->pd = NULL;
	return -err;
}

/* What the library returns is an errno, negative or not, also if the card has answered with a
 * status; the reply tells which. */
static int outcome(int ret, const void *out)
{
	if (ret == 0 || mlx5_get(out, MLX5_OUT_STATUS))
		return 0;
	return ret > 0 ? -ret : ret;
}

static int create_eq(struct mlx5_devx *d, const void *in, size_t in_len, void *out, size_t out_len)
{
	if (d->eq)
		return -EBUSY;
	errno = 0;
	d->eq = d->fn.mlx5dv_devx_create_eq(d->ctx, in, in_len, out, out_len);
	if (!d->eq)
		return outcome(errno ? errno : EIO, out);
	d->eqn = (uint32_t)mlx5_get(out, MLX5_EQ_NUMBER);
	return 0;
}

static int destroy_eq(struct mlx5_devx *d)
{
	int err = d->eq ? d->fn.mlx5dv_devx_destroy_eq(d->eq) : EINVAL;

	if (!err)
		d->eq = NULL;
	return err > 0 ? -err : err;
}

static int devx_exec(struct mlx5_dev *dev, const void *in, size_t in_len, void *out, size_t out_len)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);

	switch (mlx5_get(in, MLX5_IN_OPCODE)) {
	case MLX5_OP_ALLOC_PD:
		return alloc_pd(d, out);
	case MLX5_OP_DEALLOC_PD:
		return dealloc_pd(d);
	case MLX5_OP_CREATE_EQ:
		return create_eq(d, in, in_len, out, out_len);
	case MLX5_OP_DESTROY_EQ:
		return destroy_eq(d);
	default:
		return outcome(d->fn.mlx5dv_devx_general_cmd(d->ctx, in, in_len, out, out_len),
			       out);
	}
}

/* ---- memory ---- */

static int devx_umem_open(struct mlx5_dev *dev, void *addr, size_t len, uint32_t *id)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);
	struct mlx5_devx_umem *umem = calloc(1, sizeof(*umem));
	int64_t start_ns = clock_now_ns();
	int err = 0;

	if (!umem)
		return -ENOMEM;
	errno = 0;
	umem->handle = d->fn.mlx5dv_devx_umem_reg(d->ctx, addr, len, RDMA_ACCESS_LOCAL_WRITE);
	if (!umem->handle)
		err = errno ? -errno : -EIO;
	mlx5_trace_call(dev->trace, start_ns, err, "umem_id", err ? 0 : umem->handle->umem_id,
			"mlx5dv_devx_umem_reg addr=%p len=0x%zx", addr, len);
	if (err) {
		free(umem);
		return refuse(err, "%s: %zu bytes for a queue cannot be registered: %s", dev->name,
			      len, strerror(-err));
	}
	umem->next = d->umems;
	d->umems = umem;
	*id = umem->handle->umem_id;
	return 0;
}

static void devx_umem_close(struct mlx5_dev *dev, uint32_t id)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);
	struct mlx5_devx_umem **at = &d->umems, *umem;
	int64_t start_ns = clock_now_ns();
	int err;

	while (*at && (*at)->handle->umem_id != id)
		at = &(*at)->next;
	umem = *at;
	if (!umem)
		return;
	err = d->fn.mlx5dv_devx_umem_dereg(umem->handle);
	mlx5_trace_call(dev->trace, start_ns, err > 0 ? -err : err, NULL, 0,
			"mlx5dv_devx_umem_dereg umem_id=0x%x", id);
	if (err)
		hf_warn(dev->name, "memory of a queue cannot be given back by the card");
	*at = umem->next;
	free(umem);
}

static int devx_mr_reg(struct mlx5_dev *dev, void *addr, size_t len, bool write, uint32_t *mkey)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);
	struct mlx5_devx_mr *mr = calloc(1, sizeof(*mr));
	int64_t start_ns = clock_now_ns();
	int err = 0;

	if (!mr)
		return -ENOMEM;
	errno = 0;
	mr->handle = d->fn.ibv_reg_mr(d->pd, addr, len, write ? RDMA_ACCESS_LOCAL_WRITE : 0);
	if (!mr->handle)
		err = errno ? -errno : -EIO;
	mlx5_trace_call(dev->trace, start_ns, err, "lkey", err ? 0 : mr->handle->lkey,
			"ibv_reg_mr addr=%p len=0x%zx write=%d", addr, len, write);
	if (err) {
		free(mr);
		return refuse(err, "%s: %zu bytes of memory cannot be registered: %s", dev->name,
			      len, strerror(-err));
	}
	mr->next = d->mrs;
	d->mrs = mr;
	*mkey = mr->handle->lkey;
	return 0;
}

static int devx_mr_dereg(struct mlx5_dev *dev, uint32_t mkey)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);
	struct mlx5_devx_mr **at = &d->mrs, *mr;
	int64_t start_ns = clock_now_ns();
	int err;

	while (*at && (*at)->handle->lkey != mkey)
		at = &(*at)->next;
	mr = *at;
	if (!mr)
		return refuse(-EINVAL, "%s: no memory is registered as key 0x%x", dev->name, mkey);
	err = d->fn.ibv_dereg_mr(mr->handle);
	err = err > 0 ? -err : err;
	mlx5_trace_call(dev->trace, start_ns, err, NULL, 0, "ibv_dereg_mr lkey=0x%x", mkey);
	if (err)
		return refuse(err, "%s: memory of key 0x%x cannot be given back", dev->name, mkey);
	*at = mr->next;
	free(mr);
	return 0;
}

static void *devx_eq_buffer(struct mlx5_dev *dev, uint32_t eqn)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);

	return d->eq && d->eqn == eqn ? d->eq->vaddr : NULL;
}

/* ---- doorbells ---- */

static int devx_doorbell_open(struct mlx5_dev *dev, uint64_t off)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);
	char path[512];
	int64_t start_ns = clock_now_ns();
	int fd, err = 0;

	(void)snprintf(path, sizeof(path), "%s/%s/resource0", mlx5_devx_paths.sysfs, d->pci);
	fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		return refuse(err, "%s: doorbells: %s: %s", dev->name, path, strerror(-err));
	}
	d->bar = mmap(NULL, DOORBELL_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		      (off_t)(off & ~(uint64_t)(DOORBELL_LEN - 1)));
	if (d->bar == MAP_FAILED) {
		err = -errno;
		d->bar = NULL;
		(void)refuse(err, "%s: doorbells: %s cannot be mapped at 0x%llx: %s", dev->name,
			     path, (unsigned long long)off, strerror(-err));
	}
	d->bar_off = off & (DOORBELL_LEN - 1);
	close(fd);
	mlx5_trace_call(dev->trace, start_ns, err, NULL, 0, "mmap %s off=0x%llx", path,
			(unsigned long long)off);
	return err;
}

static void devx_kick(struct mlx5_dev *dev, uint16_t idx)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);

	if (d->bar)
		*(volatile uint16_t *)((char *)d->bar + d->bar_off) = htole16(idx);
}

static const struct mlx5_dev_ops devx_ops = {
	.exec = devx_exec,
	.mr_reg = devx_mr_reg,
	.mr_dereg = devx_mr_dereg,
	.umem_open = devx_umem_open,
	.umem_close = devx_umem_close,
	.vector_open = mlx5_devx_vector_open,
	.vector_set = mlx5_devx_vector_set,
	.vector_close = mlx5_devx_vector_close,
	.eq_buffer = devx_eq_buffer,
	.doorbell_open = devx_doorbell_open,
	.kick = devx_kick,
};

int mlx5_devx_open(const char *pci, const char *name, struct mlx5_devx **out)
{
	struct mlx5_devx *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->dev = (struct mlx5_dev){.ops = &devx_ops, .name = name};
	(void)snprintf(d->pci, sizeof(d->pci), "%s", pci);
	err = mlx5_devx_find(d);
	if (!err)
		err = mlx5_devx_irq_start(d);
	if (err)
		mlx5_devx_close(d);
	else
		*out = d;
	return err;
}

static void forget_all(struct mlx5_devx *d)
{
	while (d->umems)
		devx_umem_close(&d->dev, d->umems->handle->umem_id);
	while (d->mrs) {
		struct mlx5_devx_mr *mr = d->mrs;

		(void)d->fn.ibv_dereg_mr(mr->handle);
		d->mrs = mr->next;
		free(mr);
	}
	if (d->eq)
		(void)d->fn.mlx5dv_devx_destroy_eq(d->eq);
	if (d->pd)
		(void)d->fn.ibv_dealloc_pd(d->pd);
}

void mlx5_devx_close(struct mlx5_devx *d)
{
	if (!d)
		return;
	mlx5_devx_irq_stop(d);
	if (d->bar)
		munmap(d->bar, DOORBELL_LEN);
	if (d->ctx)
		forget_all(d);
	mlx5_devx_leave(d);
	free(d);
}

struct mlx5_dev *mlx5_devx_dev(struct mlx5_devx *d)
{
	return &d->dev;
}
