// SPDX-License-Identifier: BSD-3-Clause
/*
 * The batch that has requests in flight.
 *
 * 1. No request is in flight when the worker's lock is free. So stops find none, and an unmap finds
 *    none either: where a read goes is looked up when it begins, so this thread stays online until
 *    it has ended. A batch that has requests in flight ends when they do, or when a reset gives
 *    them up (simblk_orphan.c). Until then it takes new ones as old ones end, so the device
 *    always has work. It takes none if a control thread waits for the lock or for a grace period,
 *    nor behind the first end after FLIGHT_NS.
 * 2. While requests are in flight, the driver is asked not to kick. Whenever one ends, and after a
 *    while if none does, the worker looks at the rings of all its queues, and whether there is a
 *    reset. If the next end or the next request often comes within LINGER_NS, the worker looks on
 *    so long before it sleeps: waking it takes as long, and meanwhile the drive would have less to
 *    do than the driver has asked for.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/rcu.h"
#include "simblk_io.h"

#define FLIGHT_NS (10 * NS_PER_MS) /* that a batch goes on taking new requests */
/* Between two looks at the rings, if nothing ends: first, and then ever longer. A reset waits so
 * long. */
#define LOOK_MIN_NS (64 * NS_PER_US)
#define LOOK_MAX_NS (256 * NS_PER_US)
#define LINGER_NS   (32 * NS_PER_US)
#define LOST_NS     (100 * NS_PER_US) /* between two looks at the clock: the processor was lost */
#define PAUSE_NS    (100 * NS_PER_MS) /* then there is no looking on for so long */
#define NR_LOOKS    32u               /* between two looks at the clock */
#define PATIENCE    4u

static void flush_queues(struct vdpasim_worker *sw)
{
	for (uint32_t i = 0; i < sw->nr_vqs; i++)
		if (vdpasim_vq_runs(sw->vqs[i]) && !ring_broken_reason(sw->vqs[i]->ring))
			vdpasim_vq_flush(sw->vqs[i]);
}

/* Rule 2. */
static void take_more(struct vdpasim_worker *sw)
{
	for (uint32_t i = 0; i < sw->nr_vqs; i++) {
		struct vdpasim_vq *vq = vdpasim_worker_turn(sw, i);

		if (vdpasim_vq_runs(vq) && ring_peek(vq->ring))
			vq->pending = sw->sim->type->process(vq);
	}
	vdpasim_worker_pass_turn(sw, 1);
}

static bool may_take_more(const struct vdpasim_worker *sw)
{
	/* NULL while the device goes */
	const struct worker *w = __atomic_load_n(&sw->worker, __ATOMIC_ACQUIRE);

	return w && !worker_is_asked(w) && !rcu_reader_is_awaited();
}

/* Is there a request that take_more() would begin? */
static bool has_more(struct simblk *blk, const struct vdpasim_worker *sw)
{
	bool any = false;

	for (uint32_t i = 0; i < sw->nr_vqs; i++) {
		const struct vdpasim_vq *vq = sw->vqs[i];

		any |= vdpasim_vq_runs(vq) && ring_peek(vq->ring) && !simblk_is_waiting(blk, vq);
	}
	return any && simblk_io_room(blk, sw) > 0;
}

/* Rule 2. Return: something has ended, or with @more a request has come */
static bool look_on(struct simblk *blk, const struct vdpasim_worker *sw, bool more)
{
	struct simblk_io *io = blk->io[sw->idx];
	int64_t began = clock_now_ns(), last = began, now = began;

	while (now - began < LINGER_NS) {
		for (unsigned int i = 0; i < NR_LOOKS; i++) {
			if (uring_has_news(io->ring) || (more && has_more(blk, sw)))
				return true;
			cpu_relax();
		}
		last = now;
		now = clock_now_ns();
		if (now - last > LOST_NS)
			io->linger_from = now + PAUSE_NS;
	}
	return false;
}

/* How long the next uring_submit() may wait. @moved: something has ended or begun since the last
 * one began at @began, which might wait for @wait */
static int64_t next_wait(struct simblk *blk, const struct vdpasim_worker *sw, bool more, bool moved,
			 int64_t began, int64_t wait)
{
	struct simblk_io *io = blk->io[sw->idx];
	int64_t now = clock_now_ns();

	if (moved && wait > 0 && now - began <= LINGER_NS)
		io->patience = PATIENCE;
	if (now < io->linger_from)
		io->patience = 0;
	if (moved)
		return io->patience > 0 ? 0 : LOOK_MIN_NS;
	if (wait > 0)
		return wait < LOOK_MAX_NS ? 2 * wait : LOOK_MAX_NS;
	if (look_on(blk, sw, more)) {
		io->patience = PATIENCE;
		return 0;
	}
	io->patience -= io->patience > 0;
	return LOOK_MIN_NS;
}

/* Hand over, and wait until something ends, but not beyond the next look. Return: 0 or -errno */
static int submit(struct simblk_io *io, const struct vdpasim_worker *sw, int64_t wait)
{
	int err = uring_submit(io->ring, wait);

	io->nr_pieces = io->nr_kept = 0;
	if (err)
		simblk_io_land_unsubmitted(io, sw);
	return err;
}

/* A reset comes: nothing is left in flight. */
static void let_go(struct simblk *blk, struct vdpasim_worker *sw)
{
	simblk_io_abandon(blk, sw);
	flush_queues(sw);
}

static bool any_pending(const struct vdpasim_worker *sw)
{
	for (uint32_t i = 0; i < sw->nr_vqs; i++)
		if (sw->vqs[i]->pending)
			return true;
	return false;
}

bool simblk_io_settle(struct vdpasim *sim, struct vdpasim_worker *sw, bool more)
{
	struct simblk *blk = simblk_of(sim);
	struct simblk_io *io = blk->io[sw->idx];
	unsigned int nr_failed = 0;
	int64_t until, wait;
	int err = 0;

	/* A queue whose position a fault has others find must have told what is done. */
	if (!more)
		flush_queues(sw);
	if (!io || !io->ring || simblk_io_nr_live(io) == 0)
		return false;
	until = clock_now_ns() + FLIGHT_NS;
	wait = io->patience > 0 ? 0 : LOOK_MIN_NS;
	while (simblk_io_nr_live(io) > 0) {
		unsigned int before = simblk_io_nr_live(io);
		int64_t began = clock_now_ns();
		bool moved, takes;

		err = submit(io, sw, wait);
		nr_failed = err ? nr_failed + 1 : 0;
		if (nr_failed > SIMBLK_IO_TRIES) {
			simblk_io_give_up(blk, sw, err);
			return true;
		}
		simblk_io_land_some(blk, sw);
		moved = simblk_io_nr_live(io) < before;
		if (vdpasim_is_resetting(sim)) {
			let_go(blk, sw);
			return true;
		}
		if (moved)
			flush_queues(sw);
		more &= !moved || clock_now_ns() < until;
		takes = more && may_take_more(sw);
		if (takes) {
			moved |= has_more(blk, sw);
			take_more(sw);
		}
		wait = next_wait(blk, sw, takes, moved, began, wait);
	}
	io->nr_wanted = 0;
	if (err)
		simblk_io_lose(blk, io, err);
	return any_pending(sw);
}
