// SPDX-License-Identifier: BSD-3-Clause
/*
 * A running ring, its driver's kicks, and its worker's sleep.
 *
 * 1. The device asks the driver not to kick while it is busy. So a ring that is stopped in that
 *    state must look at the ring once when it goes on. The start that follows at the same position
 *    does this without a kick. The same holds until a ring that had to be processed was seen empty.
 * 2. Parking. A client that reads the position of a running ring may be about to stop the device:
 *    QEMU up to 7.2 reads the positions of all but the last queue pair before its SET_STATUS(0).
 *    So the ring stands still at that position. But the client may only be curious, and a driver
 *    that has no reason to kick would wait for ever. So the device asks for kicks, and the ring
 *    goes on at the first of a kick, ENABLE, DRIVER_OK, or VDPASIM_PARK_NS. A kick from before
 *    the position was read counts only when the ring goes on: it may still lie in the eventfd, or
 *    with a worker that waits for its lock.
 * 3. Lingering. Waking a thread takes longer than most requests. So if the next chain often comes
 *    within LINGER_MAX_NS of the last one, the worker looks on so long before it asks for kicks,
 *    and the driver need not kick. Where that is in vain, the time is halved, down to nothing: an
 *    idle device takes no processor time, and neither does a driver that waits for long. If the
 *    worker loses its processor meanwhile, others want it: it does not linger for a while. A thread
 *    that sleeps is let in sooner than one that spins.
 * 4. Looking on, for network frames. Some looks cost little and are always taken. If chains came
 *    soon after these were over, kick and wake-up cost more than many looks, and there are as many
 *    as last until then. Where looking on was in vain, their number is halved.
 * 5. Close looks. From one batch to the next, the worker does much that has nothing to do with the
 *    ring. A driver that waits for each frame waits for that, too. So the loopback looks many times
 *    within a batch.
 */
#include "sim.h"

#include <errno.h>
#include <sched.h>

#include "base/clock.h"
#include "memory/guard.h"
#include "ring/access.h"

/* Empty looks, some 30 ns each: the least, and what may come on top. */
#define LOOKS_MIN  64u
#define LOOKS_MORE 448u
/* Close looks, some 10 ns each, and how many others take as long. */
#define LOOKS_CLOSE    64u
#define LOOKS_CLOSE_AS 20u
/* From the last look to the next chain, kick and wake-up included. */
#define LOOKS_SOON_NS (50 * NS_PER_US)

#define LINGER_MAX_NS   (32 * NS_PER_US)
#define LINGER_MIN_NS   (4 * NS_PER_US)
#define LINGER_LOST_NS  (100 * NS_PER_US) /* between two looks: the processor was somebody else's */
#define LINGER_PAUSE_NS (100 * NS_PER_MS)

/* Client memory may be gone: then nothing is lost. */
__attribute__((noinline)) void vdpasim_vq_allow_kicks(struct vdpasim_vq *vq)
{
	struct memory_guard guard;

	if (memory_guard_enter(&guard, ring_owns, vq->ring) == 0) {
		(void)ring_kick_enable(vq->ring);
		memory_guard_leave(&guard);
	}
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
		vdpasim_vq_allow_kicks(vq);
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

bool vdpasim_vq_looks(struct vdpasim_vq *vq, bool worked)
{
	if (!worked) {
		if (vq->nr_looks < LOOKS_MIN + vq->more_looks) {
			vq->nr_looks++;
			return true;
		}
		if (!vq->gave_up_at)
			vq->gave_up_at = clock_now_ns();
		return false;
	}
	if (unlikely(vq->gave_up_at)) {
		bool soon = clock_now_ns() - vq->gave_up_at < LOOKS_SOON_NS;

		vq->more_looks = soon ? LOOKS_MORE : vq->more_looks / 2;
		vq->gave_up_at = 0;
	}
	vq->nr_looks = 0;
	return true;
}

static bool is_alone(const struct vdpasim_vq *vq)
{
	const struct vdpasim_worker *sw = vq->sw;

	for (uint32_t i = 0; i < sw->nr_vqs; i++)
		if (sw->vqs[i] != vq && sw->vqs[i]->pending)
			return false;
	return true;
}

bool vdpasim_vq_await(struct vdpasim_vq *vq)
{
	if (ring_peek(vq->ring))
		return true;
	if (!is_alone(vq))
		return false;
	for (unsigned int i = 0; i < LOOKS_CLOSE && !vdpasim_is_asked(vq->sw); i++)
		if (ring_peek(vq->ring))
			return true;
	if (vq->nr_looks < LOOKS_MIN + LOOKS_MORE)
		vq->nr_looks += LOOKS_CLOSE_AS;
	return false;
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
	if (err == 0) {
		vq->due = more;
		return more;
	}
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

void vdpasim_vq_publish(struct vdpasim_vq *vq)
{
	vq->call_owed |= ring_flush(vq->ring);
}

void vdpasim_vq_tell(struct vdpasim_vq *vq)
{
	if (!vq->call_owed)
		return;
	vq->call_owed = false;
	vdpasim_vq_call(vq);
}

void vdpasim_vq_flush(struct vdpasim_vq *vq)
{
	vdpasim_vq_publish(vq);
	vdpasim_vq_tell(vq);
	/* Strict mode looks at a ring when it is kicked, at no other time. */
	if (likely(ring_is_flushed(vq->ring)) || vq->sim->strict)
		return;
	wait_for_map(vq);
	vdpasim_vq_publish(vq);
	vdpasim_vq_tell(vq);
}

static __attribute__((noinline)) void guarded_flush(struct vdpasim_vq *vq)
{
	struct memory_guard guard;

	if (memory_guard_enter(&guard, ring_owns, vq->ring) == 0) {
		vdpasim_vq_flush(vq);
		memory_guard_leave(&guard);
	}
}

void vdpasim_vq_publish_late(struct vdpasim_vq *vq)
{
	/* Where a parked ring stands the client was told. */
	if (!vq->sim->strict && !vq->parked && !ring_is_flushed(vq->ring))
		guarded_flush(vq);
}

/* Rule 2: may the kick be from before the ring was parked? */
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
