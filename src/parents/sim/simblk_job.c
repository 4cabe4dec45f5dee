// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the host does for a disk between two batches, with the worker's lock free: it decides how
 * long that takes.
 *
 * 1. A batch notes jobs for its requests, gives their chains back to the ring, and ends. The jobs
 *    run with the lock free and outside of an RCU read section. The next batch pops the requests
 *    again, finds the jobs' results, and completes them. A job uses memory of our own, never the
 *    client's: a write is copied when it is noted, a read when its result is found.
 * 2. If a ring stops meanwhile, its jobs' results are forgotten, and the requests are carried out
 *    again, from their beginning. No type minds that.
 * 3. A stop waits until the jobs of its queue have changed all that they will. So nothing changes
 *    once another host may go on with the disk. A flush changes nothing, and is not waited for.
 * 4. A reset waits for nothing. A job that it finds at work is an orphan: as in simblk_orphan.c, no
 *    queue begins anything before it has ended.
 * 5. One flush serves all jobs of a turn that want one. It comes last.
 */
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/clock.h"
#include "simblk_internal.h"

#define BUF_LEN SIMBLK_BLOCKS_LEN
#define LOOK_NS (20 * NS_PER_US) /* of a stop that waits */

enum { IDLE, AT_WORK, DROPPED }; /* simblk_jobs.host */

static void clear(struct simblk_jobs *jobs)
{
	jobs->nr = jobs->next = 0;
	jobs->used = 0;
	jobs->ended = jobs->forgotten = false;
}

/* ---- by the batch ---- */

static bool is_job_of(const struct simblk_job *j, const struct simblk_req *req)
{
	return j->generation == req->chain.generation && j->seq == req->chain.seq &&
	       j->type == req->type && j->sector == req->sector;
}

/* Did it take long, and has another request come meanwhile? Then the next ones are in flight. */
static void note_time(struct simblk_progress *p, const struct simblk_req *req)
{
	int64_t took = p->jobs.took;

	p->jobs.took = 0;
	if (took > SIMBLK_SLOW_NS || (took > SIMBLK_COLD_NS && ring_peek(req->vq->ring)))
		p->nr_alone = SIMBLK_NR_COLD;
}

void simblk_job_take(struct simblk_req *req)
{
	struct simblk_progress *p = &req->blk->progress[req->vq->idx];
	struct simblk_jobs *jobs = &p->jobs;

	req->has_job = req->noted = false;
	if (!jobs->ended && !jobs->forgotten)
		return;
	if (jobs->forgotten || !is_job_of(&jobs->job[jobs->next], req)) {
		clear(jobs);
		return;
	}
	req->job = jobs->job[jobs->next++];
	req->has_job = true;
	if (!req->job.err)
		req->done = req->job.from + req->job.len;
	note_time(p, req);
	if (jobs->next == jobs->nr)
		clear(jobs); /* the buffer is left alone until the next job is noted */
}

uint64_t simblk_job_room(struct simblk *blk, const struct vdpasim_vq *vq)
{
	struct simblk_jobs *jobs = &blk->progress[vq->idx].jobs;

	if (blk->quick || jobs->ended || jobs->nr == SIMBLK_BATCH)
		return 0;
	if (unlikely(!jobs->buf)) {
		void *p = mmap(NULL, BUF_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);

		if (p == MAP_FAILED)
			return 0;
		jobs->buf = p;
	}
	return BUF_LEN - jobs->used;
}

void simblk_jobs_fini(struct simblk_jobs *jobs)
{
	if (jobs->buf)
		(void)munmap(jobs->buf, BUF_LEN);
}

void simblk_job_note(struct simblk_req *req, enum simblk_job_op op, uint64_t off, uint64_t len,
		     bool sync)
{
	struct simblk_jobs *jobs = &req->blk->progress[req->vq->idx].jobs;
	struct simblk_job *j = &jobs->job[jobs->nr];

	*j = (struct simblk_job){.generation = req->chain.generation,
				 .seq = req->chain.seq,
				 .type = req->type,
				 .sector = req->sector,
				 .op = op,
				 .sync = sync,
				 .from = req->done,
				 .off = off,
				 .len = len};
	if (op <= SIMBLK_JOB_WRITE)
		j->buf = jobs->buf + jobs->used;
	if (op == SIMBLK_JOB_WRITE)
		(void)ring_chain_read(&req->chain, SIMBLK_HEADER_LEN + req->done, j->buf, len);
	if (op <= SIMBLK_JOB_WRITE)
		jobs->used += (uint32_t)((len + SIMBLK_ALIGN - 1) / SIMBLK_ALIGN * SIMBLK_ALIGN);
	if (req->type == VIRTIO_BLK_T_IN && req->done > 0)
		ring_wrote(req->vq->ring, &req->chain, 0, req->done);
	if (jobs->nr++ == 0)
		jobs->began = clock_now_ns();
	req->noted = true;
}

/* ---- a ring stops: rules 2 to 4 ---- */

void simblk_vq_stopping(struct vdpasim_vq *vq)
{
	struct simblk *blk = simblk_of(vq->sim);
	struct simblk_progress *p = &blk->progress[vq->idx];
	struct simblk_jobs *jobs = &p->jobs;
	int at_work = AT_WORK;

	vdpasim_vq_publish_late(vq);
	/* Where strict mode does not look again by itself: the kernel would have ended the
	 * request. */
	vq->owed |= blk->strict && p->done > 0;
	p->done = 0;
	jobs->forgotten = true;
	if (!vdpasim_is_resetting(vq->sim)) {
		/* Acquire pairs with the exchange in run_queue(). */
		while (__atomic_load_n(&jobs->host, __ATOMIC_ACQUIRE) == AT_WORK)
			(void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
		return;
	}
	__atomic_fetch_add(&blk->nr_orphans, 1, __ATOMIC_RELAXED);
	if (!__atomic_compare_exchange_n(&jobs->host, &at_work, DROPPED, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		__atomic_fetch_sub(&blk->nr_orphans, 1, __ATOMIC_RELAXED);
}

/* ---- between two batches ---- */

static int run(struct simblk *blk, const struct simblk_job *j)
{
	struct iovec iov = {j->buf, j->len};

	switch (j->op) {
	case SIMBLK_JOB_READ:
		return blk->backend->read(blk, j->off, &iov, 1);
	case SIMBLK_JOB_WRITE:
		return blk->backend->write(blk, j->off, &iov, 1);
	case SIMBLK_JOB_DISCARD:
		return blk->backend->discard(blk, j->off, j->len);
	case SIMBLK_JOB_ZERO:
	case SIMBLK_JOB_UNMAP:
		return blk->backend->zero(blk, j->off, j->len, j->op == SIMBLK_JOB_UNMAP);
	case SIMBLK_JOB_FLUSH:
		break;
	}
	return 0;
}

struct wait {
	struct simblk *blk;
	const struct vdpasim_worker *sw;
	bool drain; /* nothing else then: an orphan may be a job of this worker */
	int err;    /* of the drain */
};

/* Return: does any want a flush? */
static bool run_queue(struct simblk *blk, struct simblk_jobs *jobs)
{
	bool sync = false;

	for (unsigned int i = 0; i < jobs->nr; i++) {
		jobs->job[i].err = run(blk, &jobs->job[i]);
		sync |= jobs->job[i].sync;
	}
	/* Release: what was changed is before what a stop, or the next request, goes on with. */
	if (__atomic_exchange_n(&jobs->host, IDLE, __ATOMIC_ACQ_REL) == DROPPED)
		__atomic_fetch_sub(&blk->nr_orphans, 1, __ATOMIC_RELEASE);
	return sync;
}

static void flush_for(struct simblk_jobs *jobs, int err)
{
	for (unsigned int i = 0; i < jobs->nr; i++)
		if (jobs->job[i].sync && !jobs->job[i].err)
			jobs->job[i].err = err;
}

/* Only this thread changes what it looks at here, but for what is atomic. */
static void wait_for_host(void *arg)
{
	struct wait *w = arg;
	struct simblk *blk = w->blk;
	bool sync = false;
	int err;

	if (w->drain) {
		w->err = simblk_io_drain(blk, w->sw);
		return;
	}
	for (uint32_t i = 0; i < w->sw->nr_vqs; i++) {
		struct simblk_progress *p = &blk->progress[w->sw->vqs[i]->idx];
		int64_t began = clock_now_ns();

		if (p->cold.wanted)
			simblk_cold_fetch(blk, &p->cold);
		if (!p->jobs.outside)
			continue;
		sync |= run_queue(blk, &p->jobs);
		p->jobs.took = clock_now_ns() - began;
	}
	if (!sync)
		return;
	__atomic_store_n(&blk->unsafe_len, 0, __ATOMIC_RELAXED);
	err = simblk_flush(blk);
	for (uint32_t i = 0; i < w->sw->nr_vqs; i++) {
		struct simblk_jobs *jobs = &blk->progress[w->sw->vqs[i]->idx].jobs;

		if (jobs->outside)
			flush_for(jobs, err);
	}
}

/* Return: is there anything to wait for? */
static bool begin(struct wait *w)
{
	bool any = false;

	w->drain = simblk_has_orphans(w->blk);
	for (uint32_t i = 0; i < w->sw->nr_vqs; i++) {
		struct vdpasim_vq *vq = w->sw->vqs[i];
		struct simblk_progress *p = &w->blk->progress[vq->idx];
		struct simblk_jobs *jobs = &p->jobs;

		if (jobs->forgotten) {
			clear(jobs);
			p->cold.wanted = false;
			p->cold.nr_ahead = 0;
		}
		if (!vdpasim_vq_runs(vq) || !simblk_is_waiting(w->blk, vq))
			continue;
		any = true;
		jobs->outside = jobs->nr > 0 && !jobs->ended && !w->drain;
		if (jobs->outside)
			__atomic_store_n(&jobs->host, AT_WORK, __ATOMIC_RELAXED);
	}
	return any || w->drain;
}

static void end(struct wait *w)
{
	for (uint32_t i = 0; i < w->sw->nr_vqs && !w->drain; i++) {
		struct simblk_progress *p = &w->blk->progress[w->sw->vqs[i]->idx];

		p->cold.fetched = p->cold.wanted;
		p->cold.wanted = false;
		if (!p->jobs.outside)
			continue;
		p->jobs.outside = false;
		p->jobs.ended = true;
	}
}

void simblk_wait(struct vdpasim *sim, struct vdpasim_worker *sw) NO_TSA
{
	/* NULL while the device goes: nobody waits for the answer then */
	struct worker *w = __atomic_load_n(&sw->worker, __ATOMIC_ACQUIRE);
	struct wait wait = {.blk = simblk_of(sim), .sw = sw};

	if (!w || !begin(&wait))
		return;
	worker_relax(w, wait_for_host, &wait);
	if (wait.err)
		simblk_io_give_up(wait.blk, sw, wait.err);
	end(&wait);
}
