// SPDX-License-Identifier: BSD-3-Clause
/*
 * soft_add(): a module's device on the simulator's core, which keeps queues, positions, IOMMU,
 * workers and every rule of reset and suspend. What is added here makes a module short and keeps
 * its mistakes its own:
 *
 * 1. A pass takes at most SOFT_BATCH chains of each queue, or as many as have RING_WALK_MAX
 *    descriptors, and then goes on later, however long the loop of process(). If a control thread
 *    waits for the lock, it takes no more chains of the queue that it was called for. Of others it
 *    does: they may be what the last chain of that queue is to go to. A pass is one call of
 *    process(), and another one for chains that come right behind those that it took, a few times.
 *    Each call may take as much of the other queues as the first.
 * 2. What was pushed is published when process() returns, and the driver is told. If the used area
 *    is not mapped then, this is done when it is, after another call of process(), at the latest
 *    when the queue stops.
 * 3. Kicks are suppressed while there is work, and asked for when process() has seen a queue empty,
 *    be it the one that it was called for or another. If process() returns with its queue not seen
 *    empty, or another one cut off by rule 1, it is called again. A queue that process() does not
 *    pop from when it is kicked (a receive queue that waits for nothing) is not kicked again, nor
 *    is a queue whose last chain was given back.
 * 4. A chain that process() keeps breaks the ring, for the core relies on none being out.
 * 5. A chain that the module holds is named by a ticket (soft_chains.c).
 * 6. What soft_run() asks for waits until the queue runs, and until a ring that stands still
 *    because its position was read goes on: the client may be about to stop the device there.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/refuse.h"
#include "parents/module/soft.h"

#define NVQS_MAX 1024

static struct hf_soft *soft_of(struct vdpasim *sim)
{
	return sim->priv;
}

void module_soft_run(struct hf_soft *soft, uint16_t idx)
{
	struct vdpasim_vq *vq;
	struct worker *w;

	if (idx >= soft->desc.nvqs)
		return;
	vq = &soft->sim->vqs[idx];
	w = __atomic_load_n(&vq->sw->worker, __ATOMIC_ACQUIRE);
	__atomic_store_n(&soft->queues[idx].asked, true, __ATOMIC_RELEASE);
	if (w && worker_is_current(w) && soft->in_process)
		soft->run_self = true;
	else
		vdpasim_wake(vq->sw);
}

/* Not as a kick: a ring that stands still goes on for its driver, not for the module. */
static void soft_batch_begin(struct vdpasim *sim, struct vdpasim_worker *sw)
{
	struct hf_soft *soft = soft_of(sim);

	for (uint32_t i = 0; i < sw->nr_vqs; i++) {
		struct vdpasim_vq *vq = sw->vqs[i];
		bool *asked = &soft->queues[vq->idx].asked;

		if (unlikely(__atomic_load_n(asked, __ATOMIC_RELAXED)) &&
		    __atomic_load_n(&vq->live, __ATOMIC_RELAXED))
			vq->pending |= __atomic_exchange_n(asked, false, __ATOMIC_ACQUIRE);
	}
}

/* ---- one pass ---- */

/* Return: this queue leaves time for another call in the same pass */
static bool finish_queue(struct hf_soft *soft, uint16_t idx)
{
	struct soft_queue *q = &soft->queues[idx];
	struct vdpasim_vq *vq = &soft->sim->vqs[idx];

	if (q->nr_out) {
		hf_err(soft->sim->dev.name, "the module kept %u chains of queue %u", q->nr_out,
		       idx);
		ring_break(vq->ring, "the module kept a chain");
	}
	/* One that stands still was told to stand still at its position. What is left to publish
	 * may be of an earlier pass, in which the used area was not mapped. */
	if (vdpasim_vq_runs(vq) && !ring_is_flushed(vq->ring))
		vdpasim_vq_flush(vq);
	return q->nr_out == 0 && !q->full;
}

/* Return: process() is to be called again, without a kick */
static bool again(struct vdpasim_vq *vq, struct soft_queue *q)
{
	bool looks = vdpasim_vq_looks(vq, q->nr_popped > 0);

	if (q->full || q->nr_popped == SOFT_BATCH || q->err == -ENOBUFS)
		return q->nr_popped > 0;
	if (q->err == SOFT_NOT_ASKED)
		return false;
	if (q->err > 0) /* it has stopped on its own: there may be more */
		return true;
	if (q->err == 0 && looks)
		return true;
	return vdpasim_vq_idle(vq, q->err);
}

/* The same for a queue that process() has popped from besides the one that it was called for. */
static bool is_other_left(struct vdpasim_vq *vq, const struct soft_queue *q)
{
	return q->full || (q->err <= 0 && vdpasim_vq_idle(vq, q->err));
}

/* Its chains of an earlier call were pushed or given back. */
static void renew_budget(struct hf_soft *soft, uint16_t idx)
{
	struct soft_queue *q = &soft->queues[idx];

	q->nr_popped = q->nr_out = q->nr_slots = 0;
	q->full = false;
	q->walked = ring_walked(soft->sim->vqs[idx].ring);
}

static void begin_pass(struct hf_soft *soft)
{
	for (uint32_t i = 0; i < soft->desc.nvqs; i++) {
		renew_budget(soft, (uint16_t)i);
		soft->queues[i].err = SOFT_NOT_ASKED;
	}
	soft->run_self = false;
}

/* Return: process() has seen its queue empty, and may be called again in this pass */
static bool call_process(struct hf_soft *soft, struct vdpasim_vq *vq)
{
	struct soft_queue *q = &soft->queues[vq->idx];
	bool goes_on = true;

	q->err = SOFT_NOT_ASKED;
	soft->in_process = true;
	soft->current = vq->idx;
	soft_current = soft;
	soft->desc.process(soft->priv, soft, vq->idx);
	for (uint32_t i = 0; i < soft->desc.nvqs; i++)
		goes_on &= finish_queue(soft, (uint16_t)i);
	soft->in_process = false;
	soft_current = NULL;
	return goes_on && q->err == 0 && !soft->run_self && vdpasim_vq_runs(vq);
}

/* More has come for @vq. A queue that it needs has as much to give as in a pass of its own. */
static void begin_call(struct hf_soft *soft, const struct vdpasim_vq *vq)
{
	for (uint32_t i = 0; i < soft->desc.nvqs; i++)
		if (i != vq->idx)
			renew_budget(soft, (uint16_t)i);
}

static bool soft_process(struct vdpasim_vq *vq)
{
	struct hf_soft *soft = soft_of(vq->sim);
	bool more;

	begin_pass(soft);
	vdpasim_vq_busy(vq);
	for (unsigned int i = 1; call_process(soft, vq); i++) {
		if (i == SOFT_CALLS || !vdpasim_vq_await(vq))
			break;
		begin_call(soft, vq);
	}
	more = again(vq, &soft->queues[vq->idx]) || soft->run_self;
	for (uint32_t i = 0; i < soft->desc.nvqs; i++)
		if (i != vq->idx)
			more |= is_other_left(&soft->sim->vqs[i], &soft->queues[i]);
	return more;
}

/* ---- the core's other hooks ---- */

static void soft_get_config(struct vdpasim *sim, size_t off, void *buf, size_t len)
{
	soft_of(sim)->desc.get_config(soft_of(sim)->priv, off, buf, len);
}

static void soft_set_config(struct vdpasim *sim, size_t off, const void *buf, size_t len)
{
	if (soft_of(sim)->desc.set_config)
		soft_of(sim)->desc.set_config(soft_of(sim)->priv, off, buf, len);
}

static uint32_t soft_vq_group(struct vdpasim *sim, uint16_t idx)
{
	struct hf_soft *soft = soft_of(sim);
	uint32_t group = soft->desc.vq_group ? soft->desc.vq_group(soft->priv, idx) : 0;

	return group < sim->dev.ngroups ? group : 0;
}

static uint16_t soft_vq_worker(struct vdpasim *sim, uint16_t idx)
{
	return 0;
}

static void soft_features_changed(struct vdpasim *sim)
{
	if (soft_of(sim)->desc.set_features)
		soft_of(sim)->desc.set_features(soft_of(sim)->priv, sim->driver_features);
}

static void soft_reset(struct vdpasim *sim)
{
	if (soft_of(sim)->desc.reset)
		soft_of(sim)->desc.reset(soft_of(sim)->priv);
}

static void soft_fd_ready(void *arg, uint32_t events)
{
	struct hf_soft *soft = arg;

	soft->in_process = false; /* a pass that ended in the memory guard */
	soft->desc.fd_ready(soft->priv, soft, events);
}

static int soft_worker_started(struct vdpasim *sim, struct vdpasim_worker *sw)
{
	struct hf_soft *soft = soft_of(sim);

	if (!soft->desc.fd_ready)
		return 0;
	return worker_watch(sw->worker, soft->desc.fd, EPOLLIN | EPOLLOUT | EPOLLET, soft_fd_ready,
			    soft, &soft->fd);
}

static void soft_worker_stopping(struct vdpasim *sim, struct vdpasim_worker *sw) NO_TSA
{
	worker_unwatch(sw->worker, soft_of(sim)->fd);
}

static void soft_created(struct vdpasim *sim)
{
	soft_of(sim)->sim = sim;
	soft_features_changed(sim);
}

static void soft_free(struct hf_soft *soft)
{
	free(soft->slots);
	free(soft);
}

static void soft_destroy(struct vdpasim *sim)
{
	struct hf_soft *soft = soft_of(sim);

	if (soft->desc.destroy)
		soft->desc.destroy(soft->priv);
	soft_free(soft);
}

/* ---- making one ---- */

static int check_desc(const struct hf_module *m, const struct hf_soft_desc *d)
{
	if (d->nvqs < 1 || d->nvqs > NVQS_MAX)
		return refuse(-EINVAL, "parent '%s': nvqs %u, 1 to %d are possible", m->name,
			      d->nvqs, NVQS_MAX);
	if (d->ngroups > VDPASIM_NGROUPS_MAX || d->nas > VDPASIM_NAS_MAX)
		return refuse(-EINVAL,
			      "parent '%s': %u groups and %u address spaces, at most %d and %d",
			      m->name, d->ngroups, d->nas, VDPASIM_NGROUPS_MAX, VDPASIM_NAS_MAX);
	if (!d->process)
		return refuse(-EINVAL, "parent '%s': struct hf_soft_desc lacks process", m->name);
	if (d->config_size && !d->get_config)
		return refuse(-EINVAL,
			      "parent '%s': struct hf_soft_desc has config_size %zu but lacks "
			      "get_config",
			      m->name, d->config_size);
	return 0;
}

static void fill_type(struct hf_soft *soft)
{
	soft->type = (struct vdpasim_type){
		.name = "module",
		.device_id = soft->desc.device_id,
		.config_size = soft->desc.config_size,
		.get_config = soft_get_config,
		.set_config = soft_set_config,
		.vq_group = soft_vq_group,
		.vq_worker = soft_vq_worker,
		.features_changed = soft_features_changed,
		.reset = soft_reset,
		.worker_started = soft_worker_started,
		.worker_stopping = soft_worker_stopping,
		.batch_begin = soft_batch_begin,
		.vq_stopping = vdpasim_vq_publish_late,
		.process = soft_process,
		.created = soft_created,
		.destroy = soft_destroy,
	};
}

static int make(struct hf_add *add, struct hf_soft *soft)
{
	struct vdpasim_params params = {
		.type = &soft->type,
		.priv = soft,
		.nvqs = soft->desc.nvqs,
		.ngroups = soft->desc.ngroups ? soft->desc.ngroups : 1,
		.nas = soft->desc.nas ? soft->desc.nas : 1,
	};

	int err = vdpasim_choose_features(add->config, soft->desc.features | HF_RING_FEATURES, 0,
					  &params.features);

	return err ? err : vdpasim_create(add->bus, add->config, &params);
}

static struct hf_soft *soft_new(const struct hf_soft_desc *desc, void *priv)
{
	struct hf_soft *soft = calloc(1, sizeof(*soft) + desc->nvqs * sizeof(soft->queues[0]));

	if (!soft)
		return NULL;
	soft->slots = calloc(desc->nvqs, SOFT_BATCH * sizeof(soft->slots[0]));
	if (!soft->slots) {
		free(soft);
		return NULL;
	}
	for (uint32_t i = 0; i < desc->nvqs; i++)
		soft->queues[i].slots = &soft->slots[(size_t)i * SOFT_BATCH];
	soft->desc = *desc;
	soft->priv = priv;
	fill_type(soft);
	return soft;
}

int module_soft_add(struct hf_add *add, const struct hf_soft_desc *given, void *priv)
{
	struct hf_soft_desc desc;
	struct hf_soft *soft;
	int err = module_begin_add(add, &desc, sizeof(desc), given, "struct hf_soft_desc");

	if (!err)
		err = check_desc(add->module, &desc);
	if (err)
		return err;
	soft = soft_new(&desc, priv);
	if (!soft)
		return refuse(-ENOMEM, "no memory");
	err = make(add, soft);
	if (err)
		soft_free(soft);
	else
		add->used = true;
	return err;
}
