// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulator's workers. A worker is made when it is first needed, so a process that merely has
 * a device has no thread for it.
 *
 * One poll has three steps: note what was kicked, let every pending queue do one batch, say
 * whether anything is left. The batch runs inside a memory guard. If a client takes its memory
 * away, the queue that touched the memory breaks. The other queues of the worker take up their
 * unfinished chains again.
 */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "memory/guard.h"

static void take_kicks(struct vdpasim_worker *sw)
{
	for (uint32_t i = 0; i < sw->nr_vqs; i++) {
		struct vdpasim_vq *vq = sw->vqs[i];

		if (unlikely(vq->parked))
			vdpasim_vq_unpark_due(vq);
		/* The kick of one that does not run is not the worker's to take: its next start
		 * does, or drops it. */
		if (!__atomic_load_n(&vq->live, __ATOMIC_RELAXED))
			continue;
		if (!__atomic_load_n(&vq->kicked, __ATOMIC_RELAXED) ||
		    !__atomic_exchange_n(&vq->kicked, false, __ATOMIC_ACQUIRE))
			continue;
		vq->parked = false;
		vq->pending = true;
	}
}

/* Strict mode: a kick of any queue has all of them looked at ([7-10]). */
static void spread_kicks(struct vdpasim_worker *sw)
{
	bool any = false;

	for (uint32_t i = 0; i < sw->nr_vqs; i++)
		any |= sw->vqs[i]->pending;
	for (uint32_t i = 0; any && i < sw->nr_vqs; i++)
		sw->vqs[i]->pending = __atomic_load_n(&sw->vqs[i]->live, __ATOMIC_RELAXED);
}

/* A queue may have given work to one that came before it. */
static bool any_pending(const struct vdpasim_worker *sw)
{
	for (uint32_t i = 0; i < sw->nr_vqs; i++)
		if (sw->vqs[i]->pending && vdpasim_vq_runs(sw->vqs[i]))
			return true;
	return false;
}

/* A suspend in the midst of a pass would lose what is left of it in strict mode. A reset forgets it
 * in any case. */
static bool is_over(const struct vdpasim_worker *sw)
{
	return sw->sim->strict ? vdpasim_is_resetting(sw->sim) : vdpasim_is_asked(sw);
}

/* Return: is anything left? If somebody waits for the lock, the pass ends behind a queue, and the
 * next one begins with those that had no turn. */
static bool process_pending(struct vdpasim_worker *sw)
{
	const struct vdpasim_type *type = sw->sim->type;
	bool strict = sw->sim->strict, any = false;

	for (uint32_t i = 0; i < sw->nr_vqs; i++) {
		struct vdpasim_vq *vq = vdpasim_worker_turn(sw, i);

		if (!vq->pending)
			continue;
		if (!vdpasim_vq_runs(vq)) {
			vq->pending = vq->parked && vq->pending;
			continue;
		}
		if (any && is_over(sw)) {
			vdpasim_worker_pass_turn(sw, strict ? 0 : i);
			return true;
		}
		any = true;
		vq->pending = false;
		vq->due = true;
		if (type->process(vq))
			vq->pending = true;
	}
	if (type->settle && !strict)
		vdpasim_worker_pass_turn(sw, 1);
	return any_pending(sw);
}

/*
 * A load or store of client memory failed in the middle of a batch. The ring whose memory it was
 * is broken. If that ring was broken before, it cannot have caused the fault. Then every ring of
 * the worker is broken, or the batch would fault for ever.
 */
static void break_owner(struct vdpasim_worker *sw, uintptr_t addr)
{
	struct ring *ring = ring_at_fault(addr);
	bool all = !ring || ring_broken_reason(ring);

	for (uint32_t i = 0; i < sw->nr_vqs; i++) {
		struct vdpasim_vq *vq = sw->vqs[i];

		if (__atomic_load_n(&vq->live, __ATOMIC_RELAXED) && (all || vq->ring == ring))
			ring_break(vq->ring, "memory vanished");
	}
}

/* The other rings take up what they have not completed. */
static void restart_whole(struct vdpasim_worker *sw)
{
	for (uint32_t i = 0; i < sw->nr_vqs; i++)
		if (__atomic_load_n(&sw->vqs[i]->live, __ATOMIC_RELAXED))
			vdpasim_vq_restart(sw->vqs[i]);
}

/* Is @addr in memory that a queue of this worker may touch? Then its client took it away. Anything
 * else is a mistake of ours, or of a module, and ends the process. */
static bool queues_own(void *arg, uintptr_t addr)
{
	const struct vdpasim_worker *sw = arg;

	for (uint32_t i = 0; i < sw->nr_vqs; i++)
		if (ring_owns(sw->vqs[i]->ring, addr))
			return true;
	return false;
}

/* What a batch that was cut off has in flight ends, or each ring whose memory it needs breaks. */
static __attribute__((noinline)) bool guarded_settle(struct vdpasim_worker *sw)
{
	struct memory_guard guard;

	if (memory_guard_enter(&guard, queues_own, sw) == 0) {
		(void)sw->sim->type->settle(sw->sim, sw, false);
		memory_guard_leave(&guard);
		return true;
	}
	break_owner(sw, guard.fault_addr);
	return false;
}

static __attribute__((noinline)) bool guarded_batch(struct vdpasim_worker *sw)
{
	const struct vdpasim_type *type = sw->sim->type;
	struct memory_guard guard;
	bool more;

	ring_attend(NULL); /* what was attended before may be gone */
	if (memory_guard_enter(&guard, queues_own, sw) == 0) {
		more = process_pending(sw);
		if (type->settle)
			more |= type->settle(sw->sim, sw, true);
		memory_guard_leave(&guard);
		return more;
	}
	break_owner(sw, guard.fault_addr);
	while (type->settle && !guarded_settle(sw))
		;
	restart_whole(sw);
	return true;
}

static void config_interrupt(struct vdpasim *sim)
{
	if (__atomic_load_n(&sim->config_irq, __ATOMIC_RELAXED) &&
	    __atomic_exchange_n(&sim->config_irq, false, __ATOMIC_ACQUIRE) && sim->config_cb.fn)
		sim->config_cb.fn(sim->config_cb.arg);
}

static bool worker_poll(void *arg)
{
	struct vdpasim_worker *sw = arg;
	struct vdpasim *sim = sw->sim;
	bool more;

	take_kicks(sw);
	if (sim->strict)
		spread_kicks(sw);
	if (sim->type->batch_begin)
		sim->type->batch_begin(sim, sw);
	more = guarded_batch(sw);
	if (sim->type->batch_end)
		sim->type->batch_end(sim, sw);
	if (sw->idx == 0)
		config_interrupt(sim);
	return more;
}

/* A worker that does not hear of its backend would stand still without a word: there is none. */
static int watch_backend(struct vdpasim_worker *sw)
{
	struct vdpasim *sim = sw->sim;
	int err = 0;

	vdpasim_lock(sw);
	if (sim->type->worker_started)
		err = sim->type->worker_started(sim, sw);
	if (err && sim->type->worker_stopping)
		sim->type->worker_stopping(sim, sw);
	vdpasim_unlock(sw);
	return err;
}

struct worker *vdpasim_worker_get(struct vdpasim_worker *sw)
{
	struct vdpasim *sim = sw->sim;
	struct worker *w = sw->worker;
	char name[16];
	int err;

	if (w)
		return w;
	(void)snprintf(name, sizeof(name), "%.9s/%u", sim->dev.name, sw->idx);
	err = memory_guard_install();
	if (!err)
		err = worker_create(name, worker_poll, sw, &w);
	if (err) {
		hf_err(sim->dev.name, "worker %u cannot be made: %s", sw->idx, strerror(-err));
		return NULL;
	}
	__atomic_store_n(&sw->worker, w, __ATOMIC_RELEASE);
	err = watch_backend(sw);
	if (err) {
		hf_err(sim->dev.name, "worker %u cannot watch its backend: %s", sw->idx,
		       strerror(-err));
		__atomic_store_n(&sw->worker, NULL, __ATOMIC_RELEASE);
		worker_destroy(w);
		return NULL;
	}
	return w;
}

bool vdpasim_has_sound_workers(const struct vdpasim *sim)
{
	for (uint16_t i = 0; i < sim->nr_workers; i++)
		if (sim->workers[i].worker && !worker_is_sound(sim->workers[i].worker))
			return false;
	return true;
}

/* Also of a device that was never made whole. */
static bool has_workers(const struct vdpasim *sim)
{
	for (uint16_t i = 0; i < sim->nr_workers; i++)
		if (sim->workers[i].worker)
			return true;
	return false;
}

void vdpasim_stop_workers(struct vdpasim *sim)
{
	if (sim->type->drain && has_workers(sim))
		sim->type->drain(sim);
	/* Worker 0 is the last to go: the others wake it for config interrupts. */
	for (uint16_t i = sim->nr_workers; i-- > 0;) {
		struct vdpasim_worker *sw = &sim->workers[i];
		struct worker *w = sw->worker;

		if (!w)
			continue;
		if (sim->type->worker_stopping) {
			vdpasim_lock(sw);
			sim->type->worker_stopping(sim, sw);
			vdpasim_unlock(sw);
		}
		__atomic_store_n(&sw->worker, NULL, __ATOMIC_RELEASE);
		worker_destroy(w);
		if (sim->type->worker_stopped)
			sim->type->worker_stopped(sim, sw);
	}
}
