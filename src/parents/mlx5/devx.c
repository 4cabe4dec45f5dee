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
#include "devx.h"

#include <dlfcn.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/refuse.h"
#include "base/worker.h"
#include "devx_abi.h"
#include "layout.h"

#define VENDOR       0x15b3
#define VECTORS_MAX  160 /* queues of 64 pairs, the event queue, and some */
#define DOORBELL_LEN 4096

struct mlx5_devx_paths mlx5_devx_paths = {
	.verbs = "libibverbs.so.1",
	.mlx5 = "libmlx5.so.1",
	.sysfs = "/sys/bus/pci/devices",
};

#define MEMBER(result, name, args) result(*name) args;
struct functions {
	RDMA_VERBS(MEMBER)
	RDMA_MLX5(MEMBER)
};

struct vector {
	struct mlx5_devx *devx;
	struct rdma_msi_vector *msi; /* NULL: free */
	struct worker_fd *watch;
	struct vdpa_callback cb; /* worker's lock */
};

struct umem {
	struct umem *next;
	struct rdma_umem *handle;
};

struct mr {
	struct mr *next;
	struct rdma_mr *handle;
};

struct mlx5_devx {
	struct mlx5_dev dev;
	void *lib[2];
	struct functions fn;
	char pci[16];
	struct rdma_context *ctx;
	struct rdma_pd *pd;
	struct rdma_eq *eq;
	uint32_t eqn;
	struct umem *umems;
	struct mr *mrs;
	struct vector vector[VECTORS_MAX];
	struct worker *worker; /* watches vectors and the library's own events */
	struct worker_fd *events;
	void *bar; /* the page of doorbells, or NULL */
	size_t bar_off;
};

static struct mlx5_devx *devx_of(struct mlx5_dev *dev)
{
	return container_of(dev, struct mlx5_devx, dev);
}

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
	struct mlx5_devx *d = devx_of(dev);

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
	struct mlx5_devx *d = devx_of(dev);
	struct umem *umem = calloc(1, sizeof(*umem));

	if (!umem)
		return -ENOMEM;
	errno = 0;
	umem->handle = d->fn.mlx5dv_devx_umem_reg(d->ctx, addr, len, RDMA_ACCESS_LOCAL_WRITE);
	if (!umem->handle) {
		int err = errno ? -errno : -EIO;

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
	struct mlx5_devx *d = devx_of(dev);
	struct umem **at = &d->umems, *umem;

	while (*at && (*at)->handle->umem_id != id)
		at = &(*at)->next;
	umem = *at;
	if (!umem)
		return;
	if (d->fn.mlx5dv_devx_umem_dereg(umem->handle))
		hf_warn(dev->name, "memory of a queue cannot be given back by the card");
	*at = umem->next;
	free(umem);
}

static int devx_mr_reg(struct mlx5_dev *dev, void *addr, size_t len, bool write, uint32_t *mkey)
{
	struct mlx5_devx *d = devx_of(dev);
	struct mr *mr = calloc(1, sizeof(*mr));

	if (!mr)
		return -ENOMEM;
	errno = 0;
	mr->handle = d->fn.ibv_reg_mr(d->pd, addr, len, write ? RDMA_ACCESS_LOCAL_WRITE : 0);
	if (!mr->handle) {
		int err = errno ? -errno : -EIO;

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
	struct mlx5_devx *d = devx_of(dev);
	struct mr **at = &d->mrs, *mr;
	int err;

	while (*at && (*at)->handle->lkey != mkey)
		at = &(*at)->next;
	mr = *at;
	if (!mr)
		return refuse(-EINVAL, "%s: no memory is registered as key 0x%x", dev->name, mkey);
	err = d->fn.ibv_dereg_mr(mr->handle);
	if (err)
		return refuse(err > 0 ? -err : err, "%s: memory of key 0x%x cannot be given back",
			      dev->name, mkey);
	*at = mr->next;
	free(mr);
	return 0;
}

/* ---- interrupts ---- */

static void fired(void *arg, uint32_t events)
{
	struct vector *v = arg;

	(void)events;
	if (v->cb.fn)
		v->cb.fn(v->cb.arg);
}

static int devx_vector_open(struct mlx5_dev *dev, const struct vdpa_callback *cb, uint32_t *vector)
{
	struct mlx5_devx *d = devx_of(dev);
	struct vector *v = NULL;
	int err;

	for (size_t i = 0; !v && i < VECTORS_MAX; i++)
		v = d->vector[i].msi ? NULL : &d->vector[i];
	if (!v)
		return refuse(-ENOSPC, "%s: all %d interrupt vectors are in use", dev->name,
			      VECTORS_MAX);
	*v = (struct vector){.devx = d, .cb = *cb};
	errno = 0;
	v->msi = d->fn.mlx5dv_devx_alloc_msi_vector(d->ctx);
	if (!v->msi) {
		err = errno ? -errno : -EIO;
		return refuse(err, "%s: the card has no further interrupt vector: %s", dev->name,
			      strerror(-err));
	}
	err = worker_watch(d->worker, v->msi->fd, EPOLLIN | EPOLLET, fired, v, &v->watch);
	if (err) {
		(void)d->fn.mlx5dv_devx_free_msi_vector(v->msi);
		v->msi = NULL;
		return refuse(err, "%s: an interrupt vector cannot be watched: %s", dev->name,
			      strerror(-err));
	}
	*vector = (uint32_t)v->msi->vector;
	return 0;
}

static struct vector *vector_of(struct mlx5_devx *d, uint32_t vector)
{
	for (size_t i = 0; i < VECTORS_MAX; i++)
		if (d->vector[i].msi && (uint32_t)d->vector[i].msi->vector == vector)
			return &d->vector[i];
	return NULL;
}

static void devx_vector_set(struct mlx5_dev *dev, uint32_t vector, const struct vdpa_callback *cb)
{
	struct mlx5_devx *d = devx_of(dev);
	struct vector *v = vector_of(d, vector);

	if (!v)
		return;
	worker_lock(d->worker);
	v->cb = *cb;
	worker_unlock(d->worker);
}

static void devx_vector_close(struct mlx5_dev *dev, uint32_t vector)
{
	struct mlx5_devx *d = devx_of(dev);
	struct vector *v = vector_of(d, vector);

	if (!v)
		return;
	worker_lock(d->worker);
	worker_unwatch(d->worker, v->watch);
	worker_unlock(d->worker);
	(void)d->fn.mlx5dv_devx_free_msi_vector(v->msi);
	v->msi = NULL;
}

static void *devx_eq_buffer(struct mlx5_dev *dev, uint32_t eqn)
{
	struct mlx5_devx *d = devx_of(dev);

	return d->eq && d->eqn == eqn ? d->eq->vaddr : NULL;
}

static void library_event(void *arg, uint32_t events)
{
	struct mlx5_devx *d = arg;

	(void)events;
	if (d->fn.mlx5dv_vfio_process_events(d->ctx))
		hf_warn(d->dev.name, "pci %s: the library cannot process the card's events",
			d->pci);
}

/* ---- doorbells ---- */

static int devx_doorbell_open(struct mlx5_dev *dev, uint64_t off)
{
	struct mlx5_devx *d = devx_of(dev);
	char path[512];
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
	return err;
}

static void devx_kick(struct mlx5_dev *dev, uint16_t idx)
{
	struct mlx5_devx *d = devx_of(dev);

	if (d->bar)
		*(volatile uint16_t *)((char *)d->bar + d->bar_off) = htole16(idx);
}

static const struct mlx5_dev_ops devx_ops = {
	.exec = devx_exec,
	.mr_reg = devx_mr_reg,
	.mr_dereg = devx_mr_dereg,
	.umem_open = devx_umem_open,
	.umem_close = devx_umem_close,
	.vector_open = devx_vector_open,
	.vector_set = devx_vector_set,
	.vector_close = devx_vector_close,
	.eq_buffer = devx_eq_buffer,
	.doorbell_open = devx_doorbell_open,
	.kick = devx_kick,
};

/* ---- opening ---- */

static int load_library(struct mlx5_devx *d, int nth, const char *path)
{
	d->lib[nth] = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!d->lib[nth])
		return refuse(-ENOSYS,
			      "pci %s: %s: install rdma-core's libraries (Debian: "
			      "ibverbs-providers)",
			      d->pci, dlerror());
	return 0;
}

static int load_function(struct mlx5_devx *d, int lib, const char *path, const char *name,
			 void *member)
{
	void *fn = dlsym(d->lib[lib], name);

	if (!fn)
		return refuse(-ENOSYS, "pci %s: %s lacks %s: rdma-core 40 or later is needed",
			      d->pci, path, name);
	memcpy(member, &fn, sizeof(fn));
	return 0;
}

static int load(struct mlx5_devx *d)
{
	int err = load_library(d, 0, mlx5_devx_paths.verbs);

	if (!err)
		err = load_library(d, 1, mlx5_devx_paths.mlx5);
#define LOAD_VERBS(result, name, args)                                                             \
	if (!err)                                                                                  \
		err = load_function(d, 0, mlx5_devx_paths.verbs, #name, &d->fn.name);
#define LOAD_MLX5(result, name, args)                                                              \
	if (!err)                                                                                  \
		err = load_function(d, 1, mlx5_devx_paths.mlx5, #name, &d->fn.name);
	RDMA_VERBS(LOAD_VERBS)
	RDMA_MLX5(LOAD_MLX5)
	return err;
}

/* A number in a file of the device's folder. Return: 0; -errno */
static int read_number(const char *pci, const char *file, unsigned long *value)
{
	char path[512], text[32];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", mlx5_devx_paths.sysfs, pci, file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	*value = fgets(text, sizeof(text), f) ? strtoul(text, NULL, 0) : 0;
	(void)fclose(f);
	return 0;
}

/* Is it there, one of this maker's, and free for us? */
static int look_at_device(const char *pci)
{
	char path[512], driver[512];
	const char *name = "no driver";
	unsigned long vendor = 0;
	ssize_t n;
	int err = read_number(pci, "vendor", &vendor);

	if (err == -ENOENT)
		return refuse(-ENODEV, "pci %s: there is no such device", pci);
	if (err)
		return refuse(err, "pci %s: %s", pci, strerror(-err));
	if (vendor != VENDOR)
		return refuse(-ENODEV, "pci %s: its vendor is 0x%04lx, a ConnectX card has 0x%x",
			      pci, vendor, VENDOR);
	(void)snprintf(path, sizeof(path), "%s/%s/driver", mlx5_devx_paths.sysfs, pci);
	n = readlink(path, driver, sizeof(driver) - 1);
	if (n > 0) {
		driver[n] = '\0';
		name = strrchr(driver, '/') ? strrchr(driver, '/') + 1 : driver;
	}
	if (strcmp(name, "vfio-pci") != 0)
		return refuse(-EBUSY, "pci %s: it has %s, and needs the driver vfio-pci", pci,
			      name);
	return 0;
}

static int open_context(struct mlx5_devx *d)
{
	struct rdma_vfio_attr attr = {.pci_name = d->pci};
	struct rdma_device **list;
	int err;

	errno = 0;
	list = d->fn.mlx5dv_get_vfio_device_list(&attr);
	if (!list || !list[0]) {
		err = errno ? -errno : -ENODEV;
		if (list)
			d->fn.ibv_free_device_list(list);
		return refuse(err, "pci %s: the library cannot take it by VFIO: %s%s", d->pci,
			      strerror(-err),
			      err == -EACCES || err == -EPERM ? " (permission of /dev/vfio/GROUP)"
							      : "");
	}
	errno = 0;
	d->ctx = d->fn.ibv_open_device(list[0]);
	err = errno ? -errno : -EIO;
	d->fn.ibv_free_device_list(list);
	if (d->ctx)
		return 0;
	return refuse(err, "pci %s: the card cannot be opened: %s%s", d->pci, strerror(-err),
		      err == -EACCES || err == -EPERM ? " (permission of /dev/vfio/GROUP)" : "");
}

static int open_events(struct mlx5_devx *d)
{
	char name[16];
	int fd, err;

	(void)snprintf(name, sizeof(name), "%.11s/irq", d->dev.name);
	err = worker_create(name, NULL, d, &d->worker);
	if (err)
		return err;
	fd = d->fn.mlx5dv_vfio_get_events_fd(d->ctx);
	if (fd < 0)
		return refuse(fd, "pci %s: the library has no events", d->pci);
	return worker_watch(d->worker, fd, EPOLLIN, library_event, d, &d->events);
}

int mlx5_devx_open(const char *pci, const char *name, struct mlx5_devx **out)
{
	struct mlx5_devx *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->dev = (struct mlx5_dev){.ops = &devx_ops, .name = name};
	(void)snprintf(d->pci, sizeof(d->pci), "%s", pci);
	err = look_at_device(d->pci);
	if (!err)
		err = load(d);
	if (!err)
		err = open_context(d);
	if (!err)
		err = open_events(d);
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
		struct mr *mr = d->mrs;

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
	if (d->worker) {
		worker_lock(d->worker);
		worker_unwatch(d->worker, d->events);
		worker_unlock(d->worker);
	}
	for (size_t i = 0; i < VECTORS_MAX; i++)
		if (d->vector[i].msi)
			devx_vector_close(&d->dev, (uint32_t)d->vector[i].msi->vector);
	worker_destroy(d->worker);
	if (d->bar)
		munmap(d->bar, DOORBELL_LEN);
	if (d->ctx) {
		forget_all(d);
		(void)d->fn.ibv_close_device(d->ctx);
	}
	for (int i = 1; i >= 0; i--)
		if (d->lib[i])
			(void)dlclose(d->lib[i]);
	free(d);
}

struct mlx5_dev *mlx5_devx_dev(struct mlx5_devx *d)
{
	return &d->dev;
}
