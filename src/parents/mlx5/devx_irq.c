// SPDX-License-Identifier: BSD-3-Clause
/*
 * Interrupts of a card opened by rdma-core's libraries. Each vector is an eventfd, and one worker
 * watches them all. The same worker watches the library's own events: the card has no kernel
 * driver, so the library answers what the card asks of one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/refuse.h"
#include "devx_internal.h"
#include "trace.h"

static void fired(void *arg, uint32_t events)
{
	struct mlx5_devx_vector *v = arg;

	(void)events;
	if (v->cb.fn)
		v->cb.fn(v->cb.arg);
}

int mlx5_devx_vector_open(struct mlx5_dev *dev, const struct vdpa_callback *cb, uint32_t *vector)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);
	struct mlx5_devx_vector *v = NULL;
	int64_t start_ns = clock_now_ns();
	int err = 0;

	for (size_t i = 0; !v && i < MLX5_DEVX_VECTORS_MAX; i++)
		v = d->vector[i].msi ? NULL : &d->vector[i];
	if (!v)
		return refuse(-ENOSPC, "%s: all %d interrupt vectors are in use", dev->name,
			      MLX5_DEVX_VECTORS_MAX);
	*v = (struct mlx5_devx_vector){.devx = d, .cb = *cb};
	errno = 0;
	v->msi = d->fn.mlx5dv_devx_alloc_msi_vector(d->ctx);
	if (!v->msi)
		err = errno ? -errno : -EIO;
	mlx5_trace_call(dev->trace, start_ns, err, "vector",
			err ? 0 : (uint64_t)(uint32_t)v->msi->vector,
			"mlx5dv_devx_alloc_msi_vector");
	if (err)
		return refuse(err, "%s: the card has no further interrupt vector: %s", dev->name,
			      strerror(-err));
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

static struct mlx5_devx_vector *vector_of(struct mlx5_devx *d, uint32_t vector)
{
	for (size_t i = 0; i < MLX5_DEVX_VECTORS_MAX; i++)
		if (d->vector[i].msi && (uint32_t)d->vector[i].msi->vector == vector)
			return &d->vector[i];
	return NULL;
}

void mlx5_devx_vector_set(struct mlx5_dev *dev, uint32_t vector, const struct vdpa_callback *cb)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);
	struct mlx5_devx_vector *v = vector_of(d, vector);

	if (!v)
		return;
	worker_lock(d->worker);
	v->cb = *cb;
	worker_unlock(d->worker);
}

void mlx5_devx_vector_close(struct mlx5_dev *dev, uint32_t vector)
{
	struct mlx5_devx *d = mlx5_devx_of(dev);
	struct mlx5_devx_vector *v = vector_of(d, vector);
	int64_t start_ns;
	int err;

	if (!v)
		return;
	worker_lock(d->worker);
	worker_unwatch(d->worker, v->watch);
	worker_unlock(d->worker);
	start_ns = clock_now_ns();
	err = d->fn.mlx5dv_devx_free_msi_vector(v->msi);
	mlx5_trace_call(dev->trace, start_ns, err > 0 ? -err : err, NULL, 0,
			"mlx5dv_devx_free_msi_vector vector=0x%x", vector);
	v->msi = NULL;
}

static void library_event(void *arg, uint32_t events)
{
	struct mlx5_devx *d = arg;

	(void)events;
	if (d->fn.mlx5dv_vfio_process_events(d->ctx))
		hf_warn(d->dev.name, "pci %s: the library cannot process the card's events",
			d->pci);
}

int mlx5_devx_irq_start(struct mlx5_devx *d)
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

void mlx5_devx_irq_stop(struct mlx5_devx *d)
{
	if (d->worker) {
		worker_lock(d->worker);
		worker_unwatch(d->worker, d->events);
		worker_unlock(d->worker);
	}
	for (size_t i = 0; i < MLX5_DEVX_VECTORS_MAX; i++)
		if (d->vector[i].msi)
			mlx5_devx_vector_close(&d->dev, (uint32_t)d->vector[i].msi->vector);
	worker_destroy(d->worker);
}
