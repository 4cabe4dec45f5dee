// SPDX-License-Identifier: BSD-3-Clause
/*
 * A virtqueue between what the client has set and the running ring.
 *
 * 1. A ring runs while the queue is ready, the status has DRIVER_OK, and the device is not
 *    suspended. It starts and stops where one of these three changes, and nowhere else. It starts
 *    with what the client set last, in whatever order (D11). What the client sets while the ring
 *    runs counts from the next ENABLE or DRIVER_OK on. RESUME or a fault may restart the ring
 *    before that, and the ring must come back as it was. In strict mode everything counts as it
 *    was at the moment of ENABLE.
 * 2. A queue that does not run remembers that it was kicked, until a reset. QEMU signals a ring's
 *    kick eventfd before the ring starts, so that the device looks at what the guest left there; a
 *    guest that has migrated does not kick again. In strict mode such a kick is lost ([6-2]) unless
 *    the device is suspended ([6-1]). The start decides whether a kick counts. The kick itself
 *    decides nothing, so it cannot fall between two states that it looks at one after the other.
 * 3. The device asks the driver not to kick while it is busy. So a ring that is stopped in that
 *    state must look at the ring once when it goes on. The start that follows at the same position
 *    does this without a kick.
 * 4. A reset forgets positions. The session lets a client read them afterwards (D1). This file
 *    keeps whether the ring was stopped before it took that look, and where.
 * 5. The dirty log is about address space 0, which is the guest's memory. What lies in another
 *    address space is the client's own. The exception is a device area that has an address in the
 *    log from the client.
 * 6. Parking. A client that reads the position of a running ring may be about to stop the device:
 *    QEMU up to 7.2 reads the positions of all but the last queue pair before its SET_STATUS(0).
 *    So the ring stands still at that position. But the client may only be curious, and a driver
 *    that has no reason to kick would wait for ever. So the device asks for kicks, and the ring
 *    goes on at the first of a kick, ENABLE, DRIVER_OK, or VDPASIM_PARK_NS. A kick from before
 *    the position was read counts only when the ring goes on: it may still lie in the eventfd, or
 *    with a worker that waits for its lock.
 * 7. A queue whose areas were not given since the last reset does nothing, whatever else is set.
 *    Its driver cannot have meant I/O address 0. In strict mode it starts.
 * 8. Lingering. Waking a thread takes longer than most requests. So if the next chain often comes
 *    within LINGER_MAX_NS of the last one, the worker looks on so long before it asks for kicks,
 *    and the driver need not kick. Where that is in vain, the time is halved, down to nothing: an
 *    idle device takes no processor time, and neither does a driver that waits for long. If the
 *    worker loses its processor meanwhile, others want it: it does not linger for a while. A thread
 *    that sleeps is let in sooner than one that spins.
 */
#include "sim.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "memory/guard.h"
#include "ring/access.h"
#include "ring/strict.h"

#define LINGER_MAX_NS   (32 * NS_PER_US)
#define LINGER_MIN_NS   (4 * NS_PER_US)
#define LINGER_LOST_NS  (100 * NS_PER_US) /* between two looks: the processor was somebody else's */
#define LINGER_PAUSE_NS (100 * NS_PER_MS)
#define PACKED_FRESH    0x8000 /* slot 0, wrap counter 1 */

/* The ring says why in its own words; what is left is to tell the driver. */
static void vq_broken(void *arg, const char *reason)
{
	struct vdpasim_vq *vq = arg;

	(void)reason;
	vq->pending = false;
	__atomic_store_n(&vq->broken, true, __ATOMIC_RELEASE);
	vdpasim_needs_reset(vq->sim);
}

/* Called only while there is a log. */
static void vq_dirty(void *arg, iova_t first, uint64_t len)
{
	const struct vdpasim_vq *vq = arg;
	const struct vdpa_dirty_log *log = &vq->sim->log;

	log->mark(log->arg, first, len);
}

int vdpasim_vq_init(struct vdpasim *sim, uint16_t idx)
{
	static const struct ring_ops ops = {.dirty = vq_dirty, .broken = vq_broken};
	struct vdpasim_vq *vq = &sim->vqs[idx];
	char name[VDPA_NAME_MAX + 16];
	uint16_t w = sim->type->vq_worker(sim, idx);

	vq->sim = sim;
	vq->idx = idx;
	vq->set.num = sim->vq_size;
	vq->use = vq->set;
	vq->sw = &sim->workers[w];
	vq->sw->vqs[vq->sw->nr_vqs++] = vq;
	(void)snprintf(name, sizeof(name), "%s: queue %u", sim->dev.name, idx);
	return ring_create(name, &ops, vq, &vq->ring);
}

/* ---- what the client sets ---- */

static bool any_order(const struct vdpasim_vq *vq)
{
	return vdpa_deviates(&vq->sim->dev, VDPA_D11_SETUP_IN_ANY_ORDER);
}

static bool takes_now(const struct vdpasim_vq *vq)
{
	return any_order(vq) && !ring_is_started(vq->ring);
}

void vdpasim_vq_set_address(struct vdpasim_vq *vq, uint64_t desc, uint64_t driver, uint64_t device)
{
	struct vdpasim_vq_setup *to[] = {&vq->set, &vq->use};

	for (size_t i = 0; i < (takes_now(vq) ? 2 : 1); i++) {
		to[i]->desc = desc;
		to[i]->driver = driver;
		to[i]->device = device;
		to[i]->placed = true;
	}
}

void vdpasim_vq_set_num(struct vdpasim_vq *vq, uint32_t num)
{
	vq->set.num = num;
	if (takes_now(vq))
		vq->use.num = num;
}

void vdpasim_vq_set_state(struct vdpasim_vq *vq, const struct vdpa_vq_state *state)
{
	/* Going on where it stopped, it still owes its driver a look; anywhere else it does not. */
	if (vq->state_set)
		vq->owed &= memcmp(&vq->state, state, sizeof(*state)) == 0;
	else
		vq->owed = vq->left_owed && memcmp(&vq->left, state, sizeof(*state)) == 0;
	if (vq->sim->strict) /* where the used index stands is not changed */
		vq->state.last_avail = state->last_avail;
	else
		vq->state = *state;
	vq->state_set = true;
	vq->left_owed = false;
}

static bool setup_has(const struct vdpasim_vq_setup *setup, unsigned int bit)
{
	return (setup->features >> bit) & 1;
}

static struct ring_config ring_config_of(const struct vdpasim_vq *vq)
{
	const struct vdpasim_vq_setup *use = &vq->use;
	const struct vdpasim *sim = vq->sim;
	bool lossy = sim->lossy && !setup_has(use, VIRTIO_F_RING_PACKED);

	return (struct ring_config){
		.num = (uint16_t)use->num,
		.packed = setup_has(use, VIRTIO_F_RING_PACKED),
		.event_idx = setup_has(use, VIRTIO_RING_F_EVENT_IDX),
		/* [7-7]: the kernel's simulator takes them whatever was negotiated */
		.indirect = setup_has(use, VIRTIO_RING_F_INDIRECT_DESC) || sim->strict,
		.in_order = setup_has(use, VIRTIO_F_IN_ORDER),
		.holes = sim->type->holes || sim->lossy,
		.faults_break = sim->type->faults_break,
		.reader = lossy ? &ring_strict_reader : NULL,
		.desc_addr = use->desc,
		.driver_addr = use->driver,
		.device_addr = use->device,
	};
}

/* @packed: the layout to read it for */
static struct ring_state start_position(const struct vdpasim_vq *vq, bool packed)
{
	struct ring_state state = {vq->state.last_avail, vq->state.last_used};
	bool fresh = !vq->state_set;

	/* As DPDK names a fresh ring. Read as the clauses have it, all of the ring would be in
	 * flight. */
	if (vdpa_deviates(&vq->sim->dev, VDPA_D12_PACKED_BASE_8000))
		fresh |= state.last_avail == PACKED_FRESH && state.last_used == 0;
	if (fresh && packed)
		state.last_avail = state.last_used = PACKED_FRESH;
	return state;
}

struct vdpa_vq_state vdpasim_vq_state(const struct vdpasim_vq *vq)
{
	struct ring_state state;

	if (ring_is_started(vq->ring))
		state = ring_get_state(vq->ring);
	else
		state = start_position(vq, vdpasim_acked(vq->sim, VIRTIO_F_RING_PACKED));
	return (struct vdpa_vq_state){state.last_avail, state.last_used};
}

static void ring_groups(const struct vdpasim_vq *vq, uint32_t *desc_group, uint32_t *group)
{
	struct vdpasim *sim = vq->sim;

	*group = sim->type->vq_group(sim, vq->idx);
	*desc_group = *group;
	if (sim->ops.get_vq_desc_group)
		*desc_group = sim->type->vq_desc_group(sim, vq->idx);
	if (sim->mapping == VDPA_MAPPING_PLATFORM)
		*group = *desc_group = 0;
}

static void ring_tlbs(const struct vdpasim_vq *vq, struct iotlb **ring_tlb, struct iotlb **buf_tlb)
{
	uint32_t group, desc_group;

	if (vq->sim->type->vq_tlbs) {
		vq->sim->type->vq_tlbs(vq, ring_tlb, buf_tlb);
		return;
	}
	ring_groups(vq, &desc_group, &group);
	*ring_tlb = vdpasim_iommu_tlb(vq->sim, desc_group);
	*buf_tlb = vdpasim_iommu_tlb(vq->sim, group);
}

void vdpasim_vq_log(struct vdpasim_vq *vq)
{
	const struct vdpasim *sim = vq->sim;
	bool on = sim->log.mark != NULL, rings_in_0;
	uint32_t group, desc_group;
	struct ring_dirty dirty;

	ring_groups(vq, &desc_group, &group);
	rings_in_0 = sim->group_asid[desc_group] == 0;
	dirty = (struct ring_dirty){
		.buffers = on && sim->group_asid[group] == 0,
		.desc = on && rings_in_0,
		.device = on && (rings_in_0 || vq->log_own),
		.device_addr = vq->log_own ? vq->log_addr : vq->use.device,
	};
	ring_set_dirty(vq->ring, &dirty);
}

void vdpasim_vq_rebind(struct vdpasim_vq *vq)
{
	struct iotlb *ring_tlb, *buf_tlb;

	vdpasim_vq_log(vq);
	if (!ring_is_started(vq->ring))
		return;
	ring_tlbs(vq, &ring_tlb, &buf_tlb);
	ring_set_tlbs(vq->ring, ring_tlb, buf_tlb);
}

static int ring_start_at(struct vdpasim_vq *vq, struct ring_state state)
{
	struct ring_config config = ring_config_of(vq);
	struct iotlb *ring_tlb, *buf_tlb;

	vdpasim_vq_log(vq);
	ring_tlbs(vq, &ring_tlb, &buf_tlb);
	return ring_start(vq->ring, &config, ring_tlb, buf_tlb, state);
}

void vdpasim_vq_start(struct vdpasim_vq *vq)
{
	struct vdpasim *sim = vq->sim;
	uint8_t status = __atomic_load_n(&sim->status, __ATOMIC_RELAXED);
	int err;

	if (!vq->ready || !(status & VIRTIO_CONFIG_S_DRIVER_OK) || sim->suspended ||
	    ring_is_started(vq->ring) || (any_order(vq) && !vq->use.placed))
		return;
	err = ring_start_at(vq, start_position(vq, setup_has(&vq->use, VIRTIO_F_RING_PACKED)));
	if (err) {
		hf_warn(sim->dev.name, "queue %u cannot start, %u entries: %s", vq->idx,
			vq->use.num, strerror(-err));
		vdpasim_needs_reset(sim);
		return;
	}
	vq->state_set = true;
	vq->parked = vq->stalled = vq->kicks_known = vq->suppressed = false;
	__atomic_store_n(&vq->broken, false, __ATOMIC_RELAXED);
	if (sim->strict)
		__atomic_store_n(&vq->kicked, false, __ATOMIC_RELAXED);
	/* A kick that finds the queue not live yet is seen here, and one that is not seen here
	 * finds it live. */
	__atomic_store_n(&vq->live, true, __ATOMIC_SEQ_CST);
	vq->pending = __atomic_exchange_n(&vq->kicked, false, __ATOMIC_SEQ_CST) || vq->owed;
	vq->owed = false;
	if (sim->type->vq_started)
		sim->type->vq_started(vq);
	vdpasim_wake(vq->sw);
}

void vdpasim_vq_start_by_client(struct vdpasim_vq *vq)
{
	if (!ring_is_started(vq->ring)) {
		vq->use = vq->set;
		vq->use.features = vq->sim->driver_features;
	}
	vdpasim_vq_start(vq);
}

/* The driver must be able to kick the ring that it is left with. Client memory may be gone: then
 * nothing is lost. */
static __attribute__((noinline)) void allow_kicks(struct ring *ring)
{
	struct memory_guard guard;

	if (memory_guard_enter(&guard, ring_owns, ring) == 0) {
		(void)ring_kick_enable(ring);
		memory_guard_leave(&guard);
	}
}

void vdpasim_vq_stop(struct vdpasim_vq *vq)
{
	struct ring_state state;
	bool kicked;

	if (!ring_is_started(vq->ring))
		return;
	__atomic_store_n(&vq->live, false, __ATOMIC_RELEASE);
	kicked = __atomic_exchange_n(&vq->kicked, false, __ATOMIC_ACQUIRE);
	if (ring_broken_reason(vq->ring)) {
		vq->owed = false;
	} else if (!vq->sim->strict) {
		vq->owed = kicked || vq->pending || vq->suppressed;
		if (vq->suppressed)
			allow_kicks(vq->ring);
	}
	state = ring_stop(vq->ring);
	vq->state = (struct vdpa_vq_state){state.last_avail, state.last_used};
	vq->pending = vq->parked = vq->stalled = false;
}

void vdpasim_vq_reset(struct vdpasim_vq *vq)
{
	bool kicked;

	vdpasim_vq_stop(vq);
	kicked = __atomic_exchange_n(&vq->kicked, false, __ATOMIC_ACQUIRE);
	vq->owed |= kicked && !vq->sim->strict;
	if (vq->state_set && vdpa_deviates(&vq->sim->dev, VDPA_D1_BASE_SURVIVES_RESET)) {
		vq->left = vq->state;
		vq->left_owed = vq->owed;
	}
	vq->ready = vq->state_set = vq->owed = vq->log_own = false;
	vq->state = (struct vdpa_vq_state){0, 0};
	vq->set = (struct vdpasim_vq_setup){.num = vq->set.num}; /* the size stays, [4-8] */
	vq->use = vq->set;
	vq->cb = (struct vdpa_callback){NULL, NULL};
}

void vdpasim_vq_park(struct vdpasim_vq *vq) NO_TSA
{
	struct vdpasim *sim = vq->sim;

	/* Read again, the position is the same, and the time runs on: nobody holds a queue by
	 * asking often. */
	if (!ring_is_started(vq->ring) || ring_broken_reason(vq->ring) || vq->parked)
		return;
	worker_settle(vq->sw->worker);
	vq->parked = true;
	vq->pending |= __atomic_exchange_n(&vq->kicked, false, __ATOMIC_ACQUIRE);
	vq->pending |= vq->suppressed; /* should it be stopped before it goes on, this is owed */
	vq->parked_until = clock_now_ns() + sim->park_ns;
	if (vq->suppressed)
		allow_kicks(vq->ring);
	vq->suppressed &= ring_kick_is_disabled(vq->ring);
	worker_wake_in(vq->sw->worker, sim->park_ns);
}

void vdpasim_vq_unpark(struct vdpasim_vq *vq)
{
	if (!vq->parked)
		return;
	vq->parked = false;
	vq->pending = true;
	vdpasim_wake(vq->sw);
}

void vdpasim_vq_unpark_due(struct vdpasim_vq *vq)
{
	int64_t left = vq->parked_until - clock_now_ns();
	/* NULL while the device goes: this thread has its last batches then. */
	struct worker *w = __atomic_load_n(&vq->sw->worker, __ATOMIC_ACQUIRE);

	if (left <= 0)
		vdpasim_vq_unpark(vq);
	else if (w)
		worker_wake_in(w, left);
}

void vdpasim_vq_restart(struct vdpasim_vq *vq)
{
	struct ring_state state;

	if (ring_broken_reason(vq->ring))
		return;
	state = ring_stop(vq->ring);
	vq->kicks_known = false;
	if (ring_start_at(vq, state)) {
		vq->state = (struct vdpa_vq_state){state.last_avail, state.last_used};
		__atomic_store_n(&vq->live, false, __ATOMIC_RELEASE);
		vdpasim_needs_reset(vq->sim);
		return;
	}
	vq->pending = true;
}

void vdpasim_vq_busy(struct vdpasim_vq *vq)
{
	if (vq->sim->strict)
		return;
	if (!vq->kicks_known) {
		/* What an earlier user of the ring has left there is not known; the ring writes
		 * changes only. */
		(void)ring_kick_enable(vq->ring);
		vq->kicks_known = !ring_kick_is_disabled(vq->ring);
	}
	if (ring_kick_is_disabled(vq->ring))
		return;
	ring_kick_disable(vq->ring);
	vq->suppressed = ring_kick_is_disabled(vq->ring);
}

/*
 * Look at the queue when the map changes. A map that came just before has found nobody waiting, so
 * the caller looks at the ring once more. Pairs with vdpasim_map_changed().
 */
static void wait_for_map(struct vdpasim_vq *vq)
{
	vq->stalled = true;
	__atomic_store_n(&vq->sim->map_waiters, true, __ATOMIC_RELEASE);
	access_full_fence();
}

bool vdpasim_vq_lingers(struct vdpasim_vq *vq, int64_t began, bool worked)
{
	int64_t gap = began - vq->worked_at;

	if (!worked) {
		if (began - vq->looked_at > LINGER_LOST_NS) {
			vq->linger_from = began + LINGER_PAUSE_NS;
			vq->linger_ns = 0;
		}
		vq->looked_at = began;
		vq->slept = gap >= vq->linger_ns;
		if (!vq->slept)
			(void)sched_yield(); /* whoever shares the processor may be the driver */
		return !vq->slept;
	}
	if (began < vq->linger_from)
		vq->linger_ns = 0;
	else if (gap <= LINGER_MAX_NS)
		vq->linger_ns = LINGER_MAX_NS;
	else if (vq->slept)
		vq->linger_ns = vq->linger_ns < LINGER_MIN_NS ? 0 : vq->linger_ns / 2;
	vq->slept = false;
	vq->worked_at = vq->looked_at = clock_now_ns();
	return vq->linger_ns > 0;
}

bool vdpasim_vq_idle(struct vdpasim_vq *vq, int err)
{
	bool more;

	if (vq->sim->strict)
		return false;
	more = ring_kick_enable(vq->ring);
	if (!ring_kick_is_disabled(vq->ring))
		vq->suppressed = false;
	else if (err == 0)
		err = -EFAULT; /* the map changed within this batch */
	if (err == 0)
		return more;
	/* Broken, or an area is not mapped: whatever is available cannot be had by trying again at
	 * once. */
	if (err != -EFAULT)
		return false;
	/* The driver has kicked, or was told that it need not: it will not do so again when the
	 * ring is back. */
	wait_for_map(vq);
	more = ring_kick_enable(vq->ring);
	vq->suppressed &= ring_kick_is_disabled(vq->ring);
	return more;
}

void vdpasim_vq_flush(struct vdpasim_vq *vq)
{
	if (ring_flush(vq->ring))
		vdpasim_vq_call(vq);
	/* Strict mode looks at a ring when it is kicked, at no other time. */
	if (likely(ring_is_flushed(vq->ring)) || vq->sim->strict)
		return;
	wait_for_map(vq);
	if (ring_flush(vq->ring))
		vdpasim_vq_call(vq);
}

/* Rule 6: may the kick be from before the ring was parked? */
static bool kick_is_old(const struct vdpasim_vq *vq)
{
	struct worker *w = __atomic_load_n(&vq->sw->worker, __ATOMIC_ACQUIRE);

	return w && worker_is_current(w) && worker_event_is_old(w) && vq->parked;
}

void vdpasim_vq_kick(struct vdpasim_vq *vq)
{
	if (unlikely(kick_is_old(vq))) {
		vq->pending = true;
		return;
	}
	__atomic_store_n(&vq->kicked, true, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&vq->live, __ATOMIC_SEQ_CST))
		vdpasim_wake(vq->sw);
	else if (__atomic_load_n(&vq->sim->suspended, __ATOMIC_RELAXED))
		__atomic_store_n(&vq->sim->kicked_suspended, true, __ATOMIC_RELAXED);
}
