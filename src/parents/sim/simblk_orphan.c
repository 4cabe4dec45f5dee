// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a reset leaves of requests in flight.
 *
 * 1. A reset gives up what is in flight (abandon). The newest requests of a queue go back to the
 *    ring, as if never popped. One that others have outrun cannot; it fails. So the ring's position
 *    is exact: what lies before it is completed, the rest is not.
 * 2. What the kernel still works on is an orphan, without a request. No worker of the device begins
 *    anything new before all orphans have ended, so no old write lands on a new one.
 * 3. Who says that the disk changes no more, or lets go of the file, waits for the orphans first: a
 *    suspend, and the end of the workers (drain).
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "simblk_io.h"

#define DRAIN_LOOK_NS (100 * NS_PER_US) /* between two looks at the orphans of other workers */

static void look_later(void)
{
	(void)nanosleep(&(struct timespec){.tv_nsec = DRAIN_LOOK_NS}, NULL);
}

void simblk_io_release_orphan(struct simblk_io *io, struct flight *f, int32_t res)
{
	struct simblk *blk = f->req.blk;

	if (res < 0 && !simblk_io_try_again(res) && simblk_io_syncs(f, res))
		(void)simblk_flushed(blk, res);
	simblk_io_release(io, f);
	io->nr_orphans--;
	/* Release pairs with the acquire of whoever waits: it has ended before others begin. */
	__atomic_fetch_sub(&blk->nr_orphans, 1, __ATOMIC_RELEASE);
}

/* ---- rule 1 ---- */

/* Whose request it is, is settled: what the kernel still works on becomes an orphan. */
static void leave(struct simblk_io *io, struct flight *f)
{
	struct simblk *blk = f->req.blk;

	blk->progress[f->req.vq->idx].nr_in_flight--;
	if (f->ended) {
		simblk_io_release(io, f);
		return;
	}
	f->orphan = true;
	io->nr_orphans++;
	__atomic_fetch_add(&blk->nr_orphans, 1, __ATOMIC_RELAXED);
}

/* All that have requests. Return: their number */
static unsigned int list_flights(struct simblk_io *io, struct flight **flights)
{
	unsigned int n = 0;
	uint64_t data;

	while (uring_take_back(io->ring, &data))
		simblk_io_end(io, &io->flights[data]);
	for (unsigned int i = 0; i < SIMBLK_DEPTH; i++)
		if (io->flights[i].out && !io->flights[i].orphan)
			flights[n++] = &io->flights[i];
	return n;
}

/* Give back what can be. Return: how many are left */
static unsigned int give_back(struct simblk_io *io, struct flight **flights, unsigned int n)
{
	for (unsigned int i = 0; i < n;) {
		struct flight *f = flights[i];

		if (!ring_is_newest(f->req.vq->ring, &f->req.chain)) {
			i++;
			continue;
		}
		ring_unpop(f->req.vq->ring, &f->req.chain, 1);
		leave(io, f);
		flights[i] = flights[--n];
		i = 0;
	}
	return n;
}

/* Each is left before its client's memory is touched. A fault ends this function, and the next call
 * finds the others. */
void simblk_io_abandon(struct simblk *blk, struct vdpasim_worker *sw)
{
	struct simblk_io *io = blk->io[sw->idx];
	struct flight *flights[SIMBLK_DEPTH];
	unsigned int n = list_flights(io, flights);

	n = give_back(io, flights, n);
	for (unsigned int i = 0; i < n; i++) {
		struct simblk_req *req = &flights[i]->req;

		leave(io, flights[i]);
		if (ring_broken_reason(req->vq->ring))
			continue;
		ring_attend(req->vq->ring);
		simblk_complete(req, VIRTIO_BLK_S_IOERR, 0);
	}
}

/* ---- rules 2 and 3 ---- */

int simblk_io_drain(struct simblk *blk, const struct vdpasim_worker *sw)
{
	struct simblk_io *io = blk->io[sw->idx];
	unsigned int nr_failed = 0;
	uint64_t data;
	int32_t res;

	while (io && io->ring && io->nr_orphans > 0) {
		int err = uring_submit(io->ring, NS_PER_MS);

		nr_failed = err ? nr_failed + 1 : 0;
		if (nr_failed > SIMBLK_IO_TRIES)
			return err;
		if (err)
			look_later();
		while (uring_reap(io->ring, &data, &res))
			simblk_io_release_orphan(io, &io->flights[data], res);
	}
	while (simblk_has_orphans(blk))
		look_later();
	return 0;
}

void simblk_drain(struct vdpasim *sim)
{
	const struct simblk *blk = simblk_of(sim);

	if (!simblk_has_orphans(blk))
		return;
	/* Each worker waits for its own, see simblk_wait(). */
	for (uint16_t i = 0; i < sim->nr_workers; i++)
		if (sim->workers[i].worker)
			vdpasim_wake(&sim->workers[i]);
	while (simblk_has_orphans(blk) && vdpasim_has_sound_workers(sim))
		look_later();
}

/* What is at work ends some time, and nobody hears of it. So nothing new may begin before the file
 * is opened again, and that waits for the lock that what is at work still holds. */
void simblk_io_give_up(struct simblk *blk, struct vdpasim_worker *sw, int err)
{
	struct simblk_io *io = blk->io[sw->idx];

	hf_err(blk->name,
	       "io_uring has failed with requests in flight: %s; the disk works again once it was "
	       "closed",
	       strerror(-err));
	__atomic_store_n(&blk->failed, true, __ATOMIC_RELEASE);
	uring_destroy(io->ring);
	io->ring = NULL;
	bounce_leave(&io->bounce);
	__atomic_fetch_sub(&blk->nr_orphans, io->nr_orphans, __ATOMIC_RELEASE);
	io->nr_orphans = 0;
	for (uint32_t i = 0; i < sw->nr_vqs; i++) {
		blk->progress[sw->vqs[i]->idx].nr_in_flight = 0;
		if (vdpasim_vq_runs(sw->vqs[i]))
			simblk_fail(sw->vqs[i]);
	}
}
