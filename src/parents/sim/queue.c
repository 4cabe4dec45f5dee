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
 *    A kick that was taken counts as well until the ring was seen empty: it may wait for a map, for
 *    the other queue of a pair, or for a backend. A ring that was at rest is not looked at when it
 *    goes on ([6-1]).
 * 3. A reset forgets positions. The session lets a client read them afterwards (D1). This file
 *    keeps whether the ring was stopped before it took that look, and where.
 * 4. The dirty log is about address space 0, which is the guest's memory. What lies in another
 *    address space is the client's own. The exception is a device area that has an address in the
 *    log from the client.
 * 5. A queue whose areas were not given since the last reset does nothing, whatever else is set.
 *    Its driver cannot have meant I/O address 0. In strict mode it starts.
 *
 * What a running ring asks of its driver and its worker is in queue_work.c.
 */
#include "sim.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "ring/strict.h"

#define PACKED_FRESH 0x8000 /* slot 0, wrap counter 1 */

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

/* A split ring has one position, and the client gives no other. */
static bool is_same_position(const struct vdpasim_vq *vq, const struct vdpa_vq_state *a,
			     const struct vdpa_vq_state *b)
{
	return a->last_avail == b->last_avail &&
	       (!vdpasim_acked(vq->sim, VIRTIO_F_RING_PACKED) || a->last_used == b->last_used);
}

void vdpasim_vq_set_state(struct vdpasim_vq *vq, const struct vdpa_vq_state *state)
{
	/* Going on where it stopped, it still owes its driver a look; anywhere else it does not. */
	if (vq->state_set)
		vq->owed &= is_same_position(vq, &vq->state, state);
	else
		vq->owed = vq->left_owed && is_same_position(vq, &vq->left, state);
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

	if (!ring_is_started(vq->ring))
		state = start_position(vq, vdpasim_acked(vq->sim, VIRTIO_F_RING_PACKED));
	else if (vq->sim->strict || (ring_is_flushed(vq->ring) && !ring_broken_reason(vq->ring)))
		state = ring_get_state(vq->ring);
	else /* what is not published is not done for whoever goes on from here */
		state = ring_resume_state(vq->ring);
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
	vq->due = vq->parked = vq->stalled = vq->kicks_known = vq->suppressed = false;
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

/* No position is right for what has ended out of turn and cannot be told. */
static void break_out_of_turn(struct vdpasim_vq *vq)
{
	if (!vq->sim->strict && !ring_is_flushed(vq->ring) && !ring_is_in_turn(vq->ring))
		ring_break(vq->ring,
			   "stopped without its rings, behind chains that ended out of turn");
}

void vdpasim_vq_stop(struct vdpasim_vq *vq)
{
	struct ring_state state;
	bool kicked;

	if (!ring_is_started(vq->ring))
		return;
	if (vq->sim->type->vq_stopping)
		vq->sim->type->vq_stopping(vq);
	break_out_of_turn(vq);
	__atomic_store_n(&vq->live, false, __ATOMIC_RELEASE);
	kicked = __atomic_exchange_n(&vq->kicked, false, __ATOMIC_ACQUIRE);
	if (ring_broken_reason(vq->ring)) {
		vq->owed = false;
	} else if (!vq->sim->strict) {
		vq->owed = kicked || vq->pending || vq->due || vq->stalled || vq->suppressed;
		if (vq->suppressed)
			vdpasim_vq_allow_kicks(vq);
	}
	state = ring_stop(vq->ring);
	vq->state = (struct vdpa_vq_state){state.last_avail, state.last_used};
	vq->pending = vq->due = vq->parked = vq->stalled = false;
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
	vq->call_owed = false;
	vq->state = (struct vdpa_vq_state){0, 0};
	vq->set = (struct vdpasim_vq_setup){.num = vq->set.num}; /* the size stays, [4-8] */
	vq->use = vq->set;
	vq->cb = (struct vdpa_callback){NULL, NULL};
}

void vdpasim_vq_restart(struct vdpasim_vq *vq)
{
	struct ring_state state;

	vdpasim_vq_tell(vq); /* of what the batch had published before it was cut off */
	if (ring_broken_reason(vq->ring))
		return;
	vq->pending = true;
	if (!ring_has_out(vq->ring))
		return; /* what is completed, and not published yet, stays so */
	state = ring_stop(vq->ring);
	vq->kicks_known = false;
	if (ring_start_at(vq, state)) {
		vq->state = (struct vdpa_vq_state){state.last_avail, state.last_used};
		__atomic_store_n(&vq->live, false, __ATOMIC_RELEASE);
		vdpasim_needs_reset(vq->sim);
	}
}
