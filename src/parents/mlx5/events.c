// SPDX-License-Identifier: BSD-3-Clause
/*
 * The driver's worker, and what wakes it: the control queue's kicks, queues that were parked, keys
 * whose time is over, the look at the device's health, and the device's event queue. An entry of
 * that queue is the driver's when its owner bit is the number of the pass through the queue, modulo
 * 2.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rcu.h"
#include "base/refuse.h"
#include "driver.h"
#include "memory/guard.h"

#define LOG_EQ 6  /* entries: more than there can be queues that break at once */
#define EVENTS 16 /* a batch: each costs a command */
#define ASKS   5  /* of one queue */
#define ASK_NS (10 * NS_PER_MS)

static void wake_worker(void *arg)
{
	struct mlx5_vdpa *v = arg;
	struct worker *w = __atomic_load_n(&v->worker, __ATOMIC_ACQUIRE);

	if (w)
		worker_wake(w);
}

int mlx5_events_init(struct mlx5_vdpa *v)
{
	const struct vdpa_callback cb = {wake_worker, v};
	int err = v->hw->ops->vector_open(v->hw, &cb, &v->eq_vector);

	if (!err)
		err = mlx5_cmd_create_eq(v->hw, LOG_EQ, v->eq_vector,
					 1ULL << MLX5_EVENT_OBJECT_CHANGE, &v->eqn);
	if (!err)
		v->eq = v->hw->ops->eq_buffer(v->hw, v->eqn);
	return err;
}

void mlx5_events_fini(struct mlx5_vdpa *v)
{
	if (v->eqn != MLX5_NO_OBJ && mlx5_cmd_destroy_eq(v->hw, v->eqn))
		hf_warn(v->dev.name, "%s", refuse_reason());
	if (v->eq_vector != MLX5_NO_OBJ)
		v->hw->ops->vector_close(v->hw, v->eq_vector);
	v->eqn = v->eq_vector = MLX5_NO_OBJ;
}

static void object_changed(struct mlx5_vdpa *v, uint32_t id)
{
	for (uint16_t i = 0; i < mlx5_nr_data(v); i++)
		if (v->vqs[i].obj == id) {
			v->vqs[i].nr_asks = ASKS;
			v->vqs[i].ask_at = 0;
		}
}

static void poll_events(struct mlx5_vdpa *v)
{
	int n = 0;

	for (; v->eq && n < EVENTS; n++) {
		const uint8_t *eqe =
			v->eq + MLX5_EQE_LEN * (size_t)(v->eq_consumer & ((1u << LOG_EQ) - 1));
		unsigned int owner = __atomic_load_n(eqe + MLX5_EQE_LEN - 1, __ATOMIC_ACQUIRE) & 1;

		if (owner != (v->eq_consumer >> LOG_EQ & 1))
			return;
		v->eq_consumer++;
		if (mlx5_get(eqe, MLX5_EQE_TYPE) == MLX5_EVENT_OBJECT_CHANGE)
			object_changed(v, (uint32_t)mlx5_get(eqe, MLX5_EQE_OBJ_ID));
	}
	if (n == EVENTS)
		worker_wake(v->worker); /* there may be more */
}

/* The event does not come again, so a queue is asked until the device answers. One of which nobody
 * can tell may stand still, and needs a reset like one that does. One at rest has told when it
 * stopped; its position is the client's to set. */
static void ask(struct mlx5_vdpa *v, struct mlx5_vq *vq)
{
	bool runs = vq->fw_state == MLX5_VQ_RDY;
	int err = runs || vq->unknown ? mlx5_vq_look(v, vq) : 0;

	vq->nr_asks = err ? vq->nr_asks - 1 : 0;
	vq->ask_at = clock_now_ns() + ASK_NS;
	if (vq->nr_asks || (!err && vq->fw_state != MLX5_VQ_ERR))
		return;
	if (err)
		hf_warn(v->dev.name, "queue %u has changed, and the device does not tell how: %s",
			vq->idx, refuse_reason());
	else
		hf_warn(v->dev.name, "queue %u stopped with an error at position %u", vq->idx,
			vq->state.last_avail);
	mlx5_needs_reset(v);
}

static void poll_changed(struct mlx5_vdpa *v)
{
	int64_t now = clock_now_ns();
	int n = 0;

	for (uint16_t i = 0; i < mlx5_nr_data(v); i++) {
		struct mlx5_vq *vq = &v->vqs[i];

		if (vq->nr_asks && vq->ask_at <= now && n++ < EVENTS)
			ask(v, vq);
		if (vq->nr_asks)
			worker_wake_in(v->worker, vq->ask_at - now);
	}
}

/* D1: a parked queue goes on at a kick, which has cleared the time, or when its time is over. */
static void poll_parked(struct mlx5_vdpa *v)
{
	int64_t now = clock_now_ns();

	for (uint16_t i = 0; i < mlx5_nr_data(v); i++) {
		struct mlx5_vq *vq = &v->vqs[i];
		int64_t until = __atomic_load_n(&vq->parked_until, __ATOMIC_RELAXED);

		if (!vq->parked)
			continue;
		if (until <= now)
			mlx5_vq_unpark(v, vq);
		else
			worker_wake_in(v->worker, until - now);
	}
}

/* A wave of keys at a time: whoever waits for the lock comes in between. */
static void poll_keys(struct mlx5_vdpa *v)
{
	int64_t next = mlx5_keys_bury(&v->keys, clock_now_ns());

	if (next == 0)
		worker_wake(v->worker);
	else if (next > 0)
		worker_wake_in(v->worker, next);
}

/* A device that is beyond help tells nothing by itself. */
static void poll_health(struct mlx5_vdpa *v)
{
	mlx5_look(v);
	if (v->set_up && !v->hw->lost)
		worker_wake_in(v->worker, MLX5_HEALTH_NS);
}

static bool worker_poll(void *arg)
{
	struct mlx5_vdpa *v = arg;

	rcu_reader_offline();
	poll_health(v);
	poll_events(v);
	poll_changed(v);
	poll_parked(v);
	poll_keys(v);
	rcu_reader_online();
	return mlx5_ctrl_batch(v);
}

struct worker *mlx5_worker_get(struct mlx5_vdpa *v)
{
	struct worker *w = v->worker;
	char name[16];
	int err;

	if (w)
		return w;
	(void)snprintf(name, sizeof(name), "%.10s/ctrl", v->dev.name);
	err = memory_guard_install();
	if (!err)
		err = worker_create(name, worker_poll, v, &w);
	if (err) {
		hf_err(v->dev.name, "the driver's worker cannot be made: %s", strerror(-err));
		return NULL;
	}
	v->keys.defer_ns = v->defer_ns;
	__atomic_store_n(&v->worker, w, __ATOMIC_RELEASE);
	worker_wake(w);
	return w;
}
