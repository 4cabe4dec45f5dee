// SPDX-License-Identifier: BSD-3-Clause
/*
 * soft_add(): a module's device on the simulator's core, which keeps queues, positions, IOMMU,
 * workers and every rule of reset and suspend. What is added here makes a module short and keeps
 * its mistakes its own:
 *
 * 1. A pass of process() takes at most BATCH chains of each queue and then goes on later, however
 *    long its loop.
 * 2. What was pushed is published when process() returns, and the driver is told.
 * 3. Kicks are suppressed while there is work, and asked for when process() has seen its queue
 *    empty. A queue that process() does not pop from when it is kicked (a receive queue that waits
 *    for nothing) is not kicked again.
 * 4. A chain that process() keeps breaks the ring, for the core relies on none being out.
 * 5. A module can write to what it gets of a chain. So that is a ticket: the chain itself is kept
 *    here, and a ticket that names no chain which is out is refused with a message.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/refuse.h"
#include "parents/module/module.h"
#include "parents/sim/sim.h"

#define BATCH      64 /* chains of a queue in one pass */
#define IDLE_POLLS 64 /* empty passes before kicks are asked for: a few microseconds */
#define NVQS_MAX   1024
#define NOT_ASKED  1 /* soft_queue.err: the queue was not seen empty */

/* A chain that process() was given. */
struct soft_slot {
	struct ring_chain chain;
	uint64_t serial; /* of its pop; 0: pushed or given back */
};

/* Worker lock. */
struct soft_queue {
	struct soft_slot *slots; /* [BATCH], part of hf_soft.slots */
	unsigned int nr_popped;  /* in this pass */
	unsigned int nr_out;     /* popped, and neither pushed nor given back */
	unsigned int nr_slots;   /* of @slots, those in use or used in this pass, oldest first */
	unsigned int idle_polls; /* empty passes in a row */
	int err;                 /* what the last ring_pop() said, NOT_ASKED without one */
	bool pushed;             /* something is to be published */
};

struct hf_soft {
	struct vdpasim_type type; /* const after creation */
	struct hf_soft_desc desc; /* const after creation */
	void *priv;
	struct vdpasim *sim;
	struct worker_fd *fd;      /* worker lock */
	bool in_process, run_self; /* worker lock */
	uint64_t nr_pops;          /* serial of the newest chain; worker lock */
	struct soft_slot *slots;   /* [owned] [nvqs * BATCH] */
	struct soft_queue queues[];
};

/* What a chain carries for us. */
struct ticket {
	uint64_t idx, slot, serial;
};
_Static_assert(sizeof(struct ticket) <= sizeof(((struct hf_chain *)0)->own),
	       "room in struct hf_chain");

/* Whose process() this thread runs: soft_read() and soft_write() name no device. */
static __thread struct hf_soft *current;

static struct hf_soft *soft_of(struct vdpasim *sim)
{
	return sim->priv;
}

/* ---- chains ---- */

/* The chain that a module means. Return: NULL if none of this device is out under that ticket */
static struct soft_slot *slot_of(struct hf_soft *soft, const struct hf_chain *chain)
{
	struct soft_slot *slot;
	struct ticket t;

	memcpy(&t, chain->own, sizeof(t));
	if (!soft || !soft->in_process || t.idx >= soft->desc.nvqs ||
	    t.slot >= soft->queues[t.idx].nr_slots)
		return NULL;
	slot = &soft->queues[t.idx].slots[t.slot];
	return t.serial && slot->serial == t.serial ? slot : NULL;
}

/* The same, of queue @idx. What the module gets wrong is said as @what. */
static struct soft_slot *slot_of_queue(struct hf_soft *soft, uint16_t idx,
				       const struct hf_chain *chain, const char *what)
{
	struct soft_slot *slot = slot_of(soft, chain);

	if (slot && idx == (slot - soft->slots) / BATCH)
		return slot;
	hf_err(soft->sim->dev.name, "the module %s a chain that is not out, queue %u", what, idx);
	return NULL;
}

static void slot_take(struct hf_soft *soft, uint16_t idx, const struct ring_chain *popped,
		      struct hf_chain *chain)
{
	struct soft_queue *q = &soft->queues[idx];
	struct ticket t = {idx, q->nr_slots, ++soft->nr_pops};

	q->slots[q->nr_slots++] = (struct soft_slot){*popped, t.serial};
	q->nr_popped++;
	q->nr_out++;
	*chain = (struct hf_chain){
		.out = popped->out,
		.in = popped->in,
		.nr_out = popped->nr_out,
		.nr_in = popped->nr_in,
		.out_len = popped->fault ? 0 : popped->out_len,
		.in_len = popped->fault ? 0 : popped->in_len,
		.fault = popped->fault,
	};
	memcpy(chain->own, &t, sizeof(t));
}

bool module_soft_pop(struct hf_soft *soft, uint16_t idx, struct hf_chain *chain)
{
	struct ring_chain popped;
	struct soft_queue *q;
	struct vdpasim_vq *vq;

	if (!soft->in_process || idx >= soft->desc.nvqs)
		return false;
	q = &soft->queues[idx];
	vq = &soft->sim->vqs[idx];
	if (q->nr_popped == BATCH || !vdpasim_vq_runs(vq))
		return false;
	q->err = ring_pop(vq->ring, &popped);
	if (q->err <= 0)
		return false;
	slot_take(soft, idx, &popped, chain);
	return true;
}

void module_soft_push(struct hf_soft *soft, uint16_t idx, const struct hf_chain *chain,
		      uint32_t written)
{
	struct soft_slot *slot = slot_of_queue(soft, idx, chain, "pushes");
	uint64_t room;

	if (!slot)
		return;
	room = slot->chain.fault ? 0 : slot->chain.in_len;
	if (written > room) {
		hf_err(soft->sim->dev.name, "the module says it wrote %u bytes of %llu, queue %u",
		       written, (unsigned long long)room, idx);
		written = (uint32_t)room;
	}
	ring_push(soft->sim->vqs[idx].ring, &slot->chain, written);
	slot->serial = 0;
	soft->queues[idx].nr_out--;
	soft->queues[idx].pushed = true;
}

void module_soft_unpop(struct hf_soft *soft, uint16_t idx, const struct hf_chain *chain)
{
	struct soft_slot *slot = slot_of_queue(soft, idx, chain, "gives back");
	struct soft_queue *q;

	if (!slot)
		return;
	q = &soft->queues[idx];
	if (slot != &q->slots[q->nr_slots - 1]) {
		hf_err(soft->sim->dev.name,
		       "the module gives back a chain that is not the last, queue %u", idx);
		return;
	}
	ring_unpop(soft->sim->vqs[idx].ring, &slot->chain, 1);
	slot->serial = 0;
	q->nr_slots--;
	q->nr_out--;
	q->err = NOT_ASKED;
}

size_t module_soft_read(const struct hf_chain *chain, size_t off, void *dst, size_t len)
{
	struct soft_slot *slot = slot_of(current, chain);

	if (!slot)
		return 0;
	ring_attend(current->sim->vqs[(slot - current->slots) / BATCH].ring);
	return ring_chain_read(&slot->chain, off, dst, len);
}

size_t module_soft_write(const struct hf_chain *chain, size_t off, const void *src, size_t len)
{
	struct soft_slot *slot = slot_of(current, chain);

	if (!slot)
		return 0;
	ring_attend(current->sim->vqs[(slot - current->slots) / BATCH].ring);
	return ring_chain_write(&slot->chain, off, src, len);
}

void module_soft_run(struct hf_soft *soft, uint16_t idx)
{
	struct vdpasim_vq *vq;

	if (idx >= soft->desc.nvqs)
		return;
	vq = &soft->sim->vqs[idx];
	if (vq->sw->worker && worker_is_current(vq->sw->worker) && soft->in_process) {
		vq->pending = soft->run_self = true;
		return;
	}
	vdpasim_vq_kick(vq);
}

/* ---- one pass ---- */

static void finish_queue(struct hf_soft *soft, uint16_t idx)
{
	struct soft_queue *q = &soft->queues[idx];
	struct vdpasim_vq *vq = &soft->sim->vqs[idx];

	if (q->nr_out) {
		hf_err(soft->sim->dev.name, "the module kept %u chains of queue %u", q->nr_out,
		       idx);
		ring_break(vq->ring, "the module kept a chain");
	}
	if (!q->pushed)
		return;
	q->pushed = false;
	if (ring_flush(vq->ring))
		vdpasim_vq_call(vq);
}

static bool again(struct vdpasim_vq *vq, struct soft_queue *q)
{
	if (q->nr_popped == BATCH || q->err == -ENOBUFS)
		return q->nr_popped > 0;
	if (q->nr_popped)
		q->idle_polls = 0;
	if (q->err == NOT_ASKED || q->err > 0)
		return false;
	if (q->err == 0 && q->idle_polls++ < IDLE_POLLS)
		return true;
	q->idle_polls = IDLE_POLLS;
	return vdpasim_vq_idle(vq, q->err);
}

static bool soft_process(struct vdpasim_vq *vq)
{
	struct hf_soft *soft = soft_of(vq->sim);

	for (uint32_t i = 0; i < soft->desc.nvqs; i++) {
		soft->queues[i].nr_popped = soft->queues[i].nr_out = 0;
		soft->queues[i].nr_slots = 0;
		soft->queues[i].err = NOT_ASKED;
	}
	soft->run_self = false;
	soft->in_process = true;
	current = soft;
	vdpasim_vq_busy(vq);
	soft->desc.process(soft->priv, soft, vq->idx);
	for (uint32_t i = 0; i < soft->desc.nvqs; i++)
		finish_queue(soft, (uint16_t)i);
	soft->in_process = false;
	current = NULL;
	return again(vq, &soft->queues[vq->idx]) || soft->run_self;
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
	soft->slots = calloc(desc->nvqs, BATCH * sizeof(soft->slots[0]));
	if (!soft->slots) {
		free(soft);
		return NULL;
	}
	for (uint32_t i = 0; i < desc->nvqs; i++)
		soft->queues[i].slots = &soft->slots[(size_t)i * BATCH];
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
