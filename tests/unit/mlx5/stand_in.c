// SPDX-License-Identifier: BSD-3-Clause
/*
 * A stand-in of rdma-core's libibverbs and libmlx5, as one library, for tests. It has the functions
 * that the driver loads, and no others. It leads to the firmware model: what a function would do on
 * a card by VFIO, it does by the model's end of the seam. So it shows that the driver calls the
 * libraries as they are declared, and that a whole life goes through them. It cannot show what a
 * card does.
 *
 * A doorbell is a write into memory, which tells nobody. So a thread looks at the page each
 * millisecond, and kicks all queues if it was written.
 */
#include "stand_in.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parents/mlx5/devx_abi.h"
#include "parents/mlx5/model.h"
#include "vdpa/bus.h"

#define PAIRS       4
#define DOORBELL_AT 0x2010
#define BAR_LEN     0x3000
#define UNTOUCHED   0xffff

/* As the driver sees them. */
#define EXPORT __attribute__((visibility("default")))

struct rdma_device {
	int nr;
};

struct rdma_context {
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct mlx5_model *model;
	struct mlx5_dev *dev;
	int events_fd, stop_fd;
	char *bar;
	pthread_t thread;
};

struct rdma_pd {
	struct rdma_context *ctx;
	uint32_t pdn;
};

struct msi {
	struct rdma_msi_vector msi; /* first */
	struct rdma_context *ctx;
	uint32_t vector;
};

struct umem {
	struct rdma_umem umem; /* first */
	struct rdma_context *ctx;
};

struct eq {
	struct rdma_eq eq; /* first */
	struct rdma_context *ctx;
	uint8_t eqn;
};

static struct rdma_device device;
static struct stand_in self;

EXPORT struct stand_in *stand_in(void)
{
	return &self;
}

#define DECLARE(result, name, args) EXPORT result name args;
RDMA_VERBS(DECLARE)
RDMA_MLX5(DECLARE)

/* ---- the card ---- */

struct rdma_device **mlx5dv_get_vfio_device_list(struct rdma_vfio_attr *attr)
{
	struct rdma_device **list;

	self.pci = attr->pci_name;
	if (self.list_err) {
		errno = self.list_err;
		return NULL;
	}
	list = calloc(2, sizeof(struct rdma_device *));
	if (list)
		list[0] = &device;
	return list;
}

void ibv_free_device_list(struct rdma_device **list)
{
	free(list);
}

static void *look_at_doorbells(void *arg)
{
	struct rdma_context *ctx = arg;
	volatile uint16_t *doorbell = (uint16_t *)(ctx->bar + DOORBELL_AT);
	struct pollfd stop = {.fd = ctx->stop_fd, .events = POLLIN};

	while (poll(&stop, 1, 1) == 0)
		if (__atomic_exchange_n(doorbell, UNTOUCHED, __ATOMIC_SEQ_CST) != UNTOUCHED)
			for (uint16_t i = 0; i < 2 * PAIRS; i++)
				ctx->dev->ops->kick(ctx->dev, i);
	return NULL;
}

static int map_bar(struct rdma_context *ctx)
{
	int fd = open(self.bar, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ctx->bar = mmap(NULL, BAR_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (ctx->bar == MAP_FAILED)
		return -ENOMEM;
	__atomic_store_n((uint16_t *)(ctx->bar + DOORBELL_AT), UNTOUCHED, __ATOMIC_SEQ_CST);
	return -pthread_create(&ctx->thread, NULL, look_at_doorbells, ctx);
}

static int make_model(struct rdma_context *ctx)
{
	struct vdpa_dev_config config = {
		.name = "card",
		.max_vqp = PAIRS,
		.features = UINT64_MAX,
		.backend = "loopback",
		.mapping = VDPA_MAPPING_SET_MAP,
		.max_iotlb_entries = 1u << 20,
		.workers = 1,
		.vq_size = 256,
	};
	struct mlx5_model_options opt = {.config = &config};
	int err = memory_space_create_own(&ctx->space);

	if (!err)
		err = vdpa_bus_create(ctx->space, &ctx->bus);
	opt.bus = ctx->bus;
	if (!err)
		err = mlx5_model_create(&opt, &ctx->model);
	if (!err)
		ctx->dev = mlx5_model_dev(ctx->model);
	return err;
}

struct rdma_context *ibv_open_device(struct rdma_device *dev)
{
	struct rdma_context *ctx = calloc(1, sizeof(*ctx));

	if (self.open_err || dev != &device || !ctx) {
		free(ctx);
		errno = self.open_err;
		return NULL;
	}
	ctx->events_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ctx->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (make_model(ctx) || (self.bar && map_bar(ctx)))
		abort();
	mlx5_model_fail_at(ctx->model, self.fail_at, 0x0f);
	return ctx;
}

int ibv_close_device(struct rdma_context *ctx)
{
	if (ctx->bar) {
		(void)eventfd_write(ctx->stop_fd, 1);
		pthread_join(ctx->thread, NULL);
		munmap(ctx->bar, BAR_LEN);
	}
	self.left = mlx5_model_nr_mkeys(ctx->model) + mlx5_model_nr_pds(ctx->model) +
		    mlx5_model_nr_objects(ctx->model);
	self.nr_commands = mlx5_model_nr_commands_all(ctx->model);
	mlx5_model_destroy(ctx->model);
	vdpa_bus_destroy(ctx->bus);
	memory_space_put(ctx->space);
	close(ctx->events_fd);
	close(ctx->stop_fd);
	free(ctx);
	return 0;
}

int mlx5dv_vfio_get_events_fd(struct rdma_context *ctx)
{
	return ctx->events_fd;
}

int mlx5dv_vfio_process_events(struct rdma_context *ctx)
{
	eventfd_t value;

	return eventfd_read(ctx->events_fd, &value);
}

/* ---- commands ---- */

/* As the library: what the card refuses is an errno, and the reply has the status. */
static int execute(struct rdma_context *ctx, const void *in, size_t in_len, void *out,
		   size_t out_len)
{
	int err = ctx->dev->ops->exec(ctx->dev, in, in_len, out, out_len);

	return err ? -err : ((const uint8_t *)out)[0] ? EREMOTEIO : 0;
}

int mlx5dv_devx_general_cmd(struct rdma_context *ctx, const void *in, size_t in_len, void *out,
			    size_t out_len)
{
	return execute(ctx, in, in_len, out, out_len);
}

static uint32_t index_of(const uint8_t *p)
{
	return (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11];
}

static void put_index(uint8_t *p, uint32_t index)
{
	p[9] = (uint8_t)(index >> 16);
	p[10] = (uint8_t)(index >> 8);
	p[11] = (uint8_t)index;
}

struct rdma_pd *ibv_alloc_pd(struct rdma_context *ctx)
{
	const uint8_t in[16] = {0x08, 0x00};
	struct rdma_pd *pd = calloc(1, sizeof(*pd));
	uint8_t out[16] = {0};
	int err = execute(ctx, in, sizeof(in), out, sizeof(out));

	if (err || !pd) {
		free(pd);
		errno = err;
		return NULL;
	}
	*pd = (struct rdma_pd){ctx, index_of(out)};
	return pd;
}

int ibv_dealloc_pd(struct rdma_pd *pd)
{
	uint8_t in[16] = {0x08, 0x01}, out[16] = {0};
	int err;

	put_index(in, pd->pdn);
	err = execute(pd->ctx, in, sizeof(in), out, sizeof(out));
	if (!err)
		free(pd);
	return err;
}

int mlx5dv_init_obj(struct rdma_obj *obj, uint64_t type)
{
	const struct rdma_pd *pd = obj->kind[RDMA_OBJ_PD_AT].in;
	struct rdma_pd_numbers *numbers = obj->kind[RDMA_OBJ_PD_AT].out;

	if (type != RDMA_OBJ_PD)
		return EINVAL;
	numbers->pdn = pd->pdn;
	return 0;
}

/* ---- memory ---- */

static void put64(uint8_t *p, uint64_t value)
{
	value = htobe64(value);
	memcpy(p, &value, sizeof(value));
}

/* A key that begins at the memory's own address. */
struct rdma_mr *ibv_reg_mr(struct rdma_pd *pd, void *addr, size_t len, int access)
{
	struct rdma_mr *mr = calloc(1, sizeof(*mr));
	uint8_t in[272] = {0x02, 0x00}, out[16] = {0};
	int err;

	in[18] = (uint8_t)(1 << 2 | (access & RDMA_ACCESS_LOCAL_WRITE ? 1 << 3 : 0));
	in[23] = 0x5a; /* the key's low byte is the library's choice */
	in[20] = in[21] = in[22] = 0xff;
	in[29] = (uint8_t)(pd->pdn >> 16);
	in[30] = (uint8_t)(pd->pdn >> 8);
	in[31] = (uint8_t)pd->pdn;
	put64(in + 32, (uintptr_t)addr);
	put64(in + 40, len);
	err = execute(pd->ctx, in, sizeof(in), out, sizeof(out));
	if (err || !mr) {
		free(mr);
		errno = err;
		return NULL;
	}
	*mr = (struct rdma_mr){.context = pd->ctx, .pd = pd, .addr = addr, .length = len};
	mr->lkey = mr->rkey = index_of(out) << 8 | 0x5a;
	return mr;
}

int ibv_dereg_mr(struct rdma_mr *mr)
{
	uint8_t in[16] = {0x02, 0x02}, out[16] = {0};
	int err;

	put_index(in, mr->lkey >> 8);
	err = execute(mr->context, in, sizeof(in), out, sizeof(out));
	if (!err)
		free(mr);
	return err;
}

struct rdma_umem *mlx5dv_devx_umem_reg(struct rdma_context *ctx, void *addr, size_t len,
				       uint32_t access)
{
	struct umem *umem = calloc(1, sizeof(*umem));

	if (!umem || access != RDMA_ACCESS_LOCAL_WRITE ||
	    ctx->dev->ops->umem_open(ctx->dev, addr, len, &umem->umem.umem_id)) {
		free(umem);
		errno = EINVAL;
		return NULL;
	}
	umem->ctx = ctx;
	return &umem->umem;
}

int mlx5dv_devx_umem_dereg(struct rdma_umem *handle)
{
	struct umem *umem = (struct umem *)handle;

	umem->ctx->dev->ops->umem_close(umem->ctx->dev, handle->umem_id);
	free(umem);
	return 0;
}

/* ---- interrupts ---- */

static void write_fd(void *arg)
{
	struct msi *msi = arg;

	(void)eventfd_write(msi->msi.fd, 1);
}

struct rdma_msi_vector *mlx5dv_devx_alloc_msi_vector(struct rdma_context *ctx)
{
	struct msi *msi = calloc(1, sizeof(*msi));
	const struct vdpa_callback cb = {write_fd, msi};

	if (!msi || ctx->dev->ops->vector_open(ctx->dev, &cb, &msi->vector)) {
		free(msi);
		errno = ENOSPC;
		return NULL;
	}
	msi->ctx = ctx;
	msi->msi.vector = (int)msi->vector;
	msi->msi.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return &msi->msi;
}

int mlx5dv_devx_free_msi_vector(struct rdma_msi_vector *handle)
{
	struct msi *msi = (struct msi *)handle;

	msi->ctx->dev->ops->vector_close(msi->ctx->dev, msi->vector);
	close(msi->msi.fd);
	free(msi);
	return 0;
}

struct rdma_eq *mlx5dv_devx_create_eq(struct rdma_context *ctx, const void *in, size_t in_len,
				      void *out, size_t out_len)
{
	struct eq *eq = calloc(1, sizeof(*eq));
	int err = execute(ctx, in, in_len, out, out_len);

	if (err || !eq) {
		free(eq);
		errno = err;
		return NULL;
	}
	eq->ctx = ctx;
	eq->eqn = ((const uint8_t *)out)[11];
	eq->eq.vaddr = ctx->dev->ops->eq_buffer(ctx->dev, eq->eqn);
	return &eq->eq;
}

int mlx5dv_devx_destroy_eq(struct rdma_eq *handle)
{
	struct eq *eq = (struct eq *)handle;
	uint8_t in[16] = {0x03, 0x02, [11] = eq->eqn}, out[16] = {0};
	int err = execute(eq->ctx, in, sizeof(in), out, sizeof(out));

	if (!err)
		free(eq);
	return err;
}
