// SPDX-License-Identifier: BSD-3-Clause
/*
 * Requests in flight, by io_uring: one ring a worker, which only that worker uses.
 *
 * 1. Nothing is in flight when the worker's lock is free, nor in an RCU quiescent state. So resets,
 *    stops and unmaps wait for what is in flight, and find nothing afterwards. A batch that has
 *    requests in flight ends when they do. Until then it takes new ones as old ones end, so the
 *    device always has work. It takes none if a control thread waits for the lock or for a grace
 *    period, nor after FLIGHT_NS.
 * 2. A request that does not end as it should (short, interrupted, to be tried again) is finished
 *    by the backend's plain calls, and their answer counts. A flush is not tried twice: the kernel
 *    tells of a failed write once.
 * 3. While requests are in flight, the driver is asked not to kick. Whenever one ends, and after a
 *    while if none does, the worker looks at the rings of all its queues. If the next end or the
 *    next request often comes within LINGER_NS, the worker looks on so long before it sleeps:
 *    waking it takes as long, and meanwhile the drive would have less to do than the driver has
 *    asked for.
 * 4. A request in flight pays where the worker would wait: past the page cache. Through it, writes
 *    do not wait, and what reads lack is fetched between two batches (simblk_cold.c). What is in
 *    the page cache comes 1.6 times as fast without io_uring. A request that is alone comes a fifth
 *    sooner without; but if another one comes while it is waited for, the next ones are in flight.
 * 5. If io_uring cannot be had, requests are carried out one by one. One line says so.
 */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rcu.h"
#include "base/uring.h"
#include "simblk_internal.h"

#define FLIGHT_NS (10 * NS_PER_MS) /* that a batch goes on taking new requests */
/* Between two looks at the rings, if nothing ends: first, and then ever longer. */
#define LOOK_MIN_NS (64 * NS_PER_US)
#define LOOK_MAX_NS NS_PER_MS
#define LINGER_NS   (32 * NS_PER_US)
#define LOST_NS     (100 * NS_PER_US) /* between two looks at the clock: the processor was lost */
#define PAUSE_NS    (100 * NS_PER_MS) /* then there is no looking on for so long */
#define NR_LOOKS    32u               /* between two looks at the clock */
#define PATIENCE    4u
#define NR_HANDED   4u /* requests that are handed over together: the drive begins with them */
#define NR_PIECES   2048u
#define NR_TRIES    100u /* system calls in a row that fail while requests are in flight */

struct flight {
	struct simblk_req req;
	uint64_t off, len; /* on the disk; bytes */
	enum simblk_io_op op;
};

struct simblk_io {
	struct uring *ring;    /* NULL: cannot be had */
	uint64_t len;          /* bytes in flight */
	unsigned int patience; /* how often looking on may yet be in vain */
	int64_t linger_from;   /* no looking on before that */
	unsigned int nr_free, nr_pieces;
	unsigned int nr_kept;        /* prepared since the last hand-over */
	uint16_t free[SIMBLK_DEPTH]; /* [nr_free] indices of flights[] */
	struct flight flights[SIMBLK_DEPTH];
	struct iovec pieces[NR_PIECES]; /* [nr_pieces], of what was not submitted yet */
};

/* ---- life ---- */

static struct simblk_io *io_create(struct simblk *blk)
{
	struct simblk_io *io = calloc(1, sizeof(*io));
	int err = io ? uring_create(SIMBLK_DEPTH, &io->ring) : -ENOMEM;

	if (err)
		hf_warn(blk->name, "no io_uring (%s): requests are carried out one by one",
			strerror(-err));
	for (uint16_t i = 0; io && i < SIMBLK_DEPTH; i++)
		io->free[io->nr_free++] = (uint16_t)(SIMBLK_DEPTH - 1 - i);
	return io;
}

void simblk_io_destroy(struct simblk_io *io)
{
	if (!io)
		return;
	uring_destroy(io->ring);
	free(io);
}

bool simblk_io_can(struct simblk *blk, const struct vdpasim_worker *sw)
{
	struct simblk_io **io = &blk->io[sw->idx];

	if (blk->quick || blk->spec.io_uring_off || !blk->backend->fd_index)
		return false;
	if (unlikely(!*io))
		*io = io_create(blk);
	return *io && (*io)->ring;
}

unsigned int simblk_io_room(struct simblk *blk, const struct vdpasim_worker *sw)
{
	const struct simblk_io *io;

	if (!simblk_io_can(blk, sw))
		return 0;
	io = blk->io[sw->idx];
	return io->len < SIMBLK_FLIGHT_LEN ? io->nr_free : 0;
}

/* ---- a request begins ---- */

/* Rule 4. */
static bool pays(const struct simblk_req *req, enum simblk_io_op op, unsigned int fd)
{
	const struct simblk *blk = req->blk;
	struct simblk_progress *p = &blk->progress[req->vq->idx];
	bool alone;

	if (fd == SIMBLK_CACHED &&
	    (op == SIMBLK_READ || (op == SIMBLK_WRITE && !blk->write_through)))
		return false;
	alone = p->nr_in_flight == 0 && !ring_peek(req->vq->ring);
	if (alone && p->nr_alone == 0)
		return false;
	p->nr_alone -= alone;
	return true;
}

/* The kernel reads the pieces when they are submitted. Return: NULL: no room */
static const struct iovec *keep_pieces(struct simblk_io *io, const struct simblk_pieces *data)
{
	struct iovec *kept = &io->pieces[io->nr_pieces];

	if (data->n > NR_PIECES - io->nr_pieces)
		return NULL;
	memcpy(kept, data->iov, data->n * sizeof(*kept));
	io->nr_pieces += data->n;
	return kept;
}

static void fill_transfer(struct io_uring_sqe *sqe, const struct flight *f, const struct iovec *iov,
			  unsigned int n)
{
	bool in = f->op == SIMBLK_READ;

	sqe->off = f->off;
	if (n == 1) {
		sqe->opcode = in ? IORING_OP_READ : IORING_OP_WRITE;
		sqe->addr = (uintptr_t)iov->iov_base;
		sqe->len = (uint32_t)iov->iov_len;
	} else {
		sqe->opcode = in ? IORING_OP_READV : IORING_OP_WRITEV;
		sqe->addr = (uintptr_t)iov;
		sqe->len = n;
	}
	if (!in && f->req.blk->write_through)
		sqe->rw_flags = RWF_DSYNC;
}

/* What cannot be handed over now is in the next uring_submit(), which deals with failures. */
static void hand_over(struct simblk_io *io)
{
	if (++io->nr_kept < NR_HANDED)
		return;
	io->nr_kept = 0;
	(void)(uring_submit(io->ring, 0) == 0);
}

bool simblk_io_start(struct simblk_req *req, enum simblk_io_op op, uint64_t off, uint64_t len,
		     const struct simblk_pieces *data)
{
	struct simblk *blk = req->blk;
	unsigned int fd = SIMBLK_CACHED;
	const struct iovec *iov = NULL;
	struct io_uring_sqe *sqe;
	struct simblk_io *io;
	struct flight *f;

	if (req->done > 0 || simblk_io_room(blk, req->vq->sw) == 0)
		return false;
	io = blk->io[req->vq->sw->idx];
	if (op != SIMBLK_FLUSH)
		fd = blk->backend->fd_index(blk, off, data->iov, data->n);
	if (!pays(req, op, fd))
		return false;
	if (op != SIMBLK_FLUSH && !(iov = keep_pieces(io, data)))
		return false;
	sqe = uring_prepare(io->ring);
	if (!sqe)
		return false;
	f = &io->flights[io->free[--io->nr_free]];
	req->in_flight = true;
	*f = (struct flight){.req = *req, .op = op, .off = off, .len = len};
	if (op == SIMBLK_FLUSH) {
		sqe->opcode = IORING_OP_FSYNC;
		sqe->fsync_flags = IORING_FSYNC_DATASYNC;
	} else {
		fill_transfer(sqe, f, iov, data->n);
	}
	sqe->fd = blk->fds[fd];
	sqe->user_data = (uint64_t)(f - io->flights);
	io->len += len;
	blk->progress[req->vq->idx].nr_in_flight++;
	hand_over(io);
	return true;
}

/* ---- a request ends ---- */

/* What the kernel has left of a transfer, by the backend's plain calls. */
static int carry_out(struct flight *f, uint64_t done)
{
	const struct ring_chain *chain = &f->req.chain;
	struct simblk *blk = f->req.blk;
	struct simblk_pieces rest;
	int err;

	if (f->op == SIMBLK_FLUSH)
		return blk->backend->flush(blk);
	if (f->op == SIMBLK_READ) {
		(void)simblk_slice(chain->in, chain->nr_in, done, f->len - done, &rest);
		return blk->backend->read(blk, f->off + done, rest.iov, rest.n);
	}
	(void)simblk_slice(chain->out, chain->nr_out, SIMBLK_HEADER_LEN + done, f->len - done,
			   &rest);
	err = blk->backend->write(blk, f->off + done, rest.iov, rest.n);
	if (!err && blk->write_through)
		err = blk->backend->flush(blk);
	return err;
}

static bool try_again(int32_t res)
{
	return res >= 0 || res == -EAGAIN || res == -EINTR || res == -ECANCELED;
}

/* Rule 2. Frees the flight first: completing the request may fault, and ends this function then.
 * Of a ring that is broken, nothing but the dirty log hears of it. */
static void land(struct simblk_io *io, struct flight *f, int32_t res)
{
	struct simblk_req *req = &f->req;
	bool whole = res >= 0 && (uint64_t)res == f->len;
	int err = whole ? 0 : res;
	uint32_t written = 0;

	io->free[io->nr_free++] = (uint16_t)(f - io->flights);
	io->len -= f->len;
	req->blk->progress[req->vq->idx].nr_in_flight--;
	if (ring_broken_reason(req->vq->ring)) {
		if (f->op == SIMBLK_READ)
			ring_wrote(req->vq->ring, &req->chain, 0, f->len);
		return;
	}
	if (!whole && try_again(res))
		err = carry_out(f, res > 0 ? (uint64_t)res : 0);
	if (!err && f->op == SIMBLK_READ)
		written = (uint32_t)f->len;
	simblk_complete(req, simblk_req_status(req, err), written);
}

static void land_all(struct simblk_io *io)
{
	uint64_t data;
	int32_t res;

	while (uring_reap(io->ring, &data, &res))
		land(io, &io->flights[data], res);
}

/* The kernel does not take what was prepared. */
static void land_unsubmitted(struct simblk_io *io)
{
	uint64_t data;

	while (uring_take_back(io->ring, &data))
		land(io, &io->flights[data], -EAGAIN);
}

/* ---- a batch ---- */

static void flush_queues(struct vdpasim_worker *sw)
{
	for (uint32_t i = 0; i < sw->nr_vqs; i++)
		if (vdpasim_vq_runs(sw->vqs[i]) && !ring_broken_reason(sw->vqs[i]->ring))
			vdpasim_vq_flush(sw->vqs[i]);
}

/* Rule 3. */
static void take_more(struct vdpasim_worker *sw)
{
	for (uint32_t i = 0; i < sw->nr_vqs; i++) {
		struct vdpasim_vq *vq = sw->vqs[i];

		if (vdpasim_vq_runs(vq) && ring_peek(vq->ring))
			vq->pending = sw->sim->type->process(vq);
	}
}

static bool may_take_more(const struct vdpasim_worker *sw, int64_t until)
{
	return !worker_is_asked(sw->worker) && !rcu_reader_is_awaited() && clock_now_ns() < until;
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

/* Rule 3. Return: something has ended, or with @more a request has come */
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

/* The ring has stopped working with requests in it. Closing it cancels them. */
static HF_COLD void give_up(struct simblk *blk, struct vdpasim_worker *sw, int err)
{
	struct simblk_io *io = blk->io[sw->idx];

	hf_err(blk->name, "io_uring has failed with requests in flight: %s", strerror(-err));
	uring_destroy(io->ring);
	io->ring = NULL;
	for (uint32_t i = 0; i < sw->nr_vqs; i++) {
		blk->progress[sw->vqs[i]->idx].nr_in_flight = 0;
		if (vdpasim_vq_runs(sw->vqs[i]))
			ring_break(sw->vqs[i]->ring, "input and output have failed");
	}
}

/* Hand over, and wait until something ends, but not beyond the next look. Return: 0 or -errno */
static int submit(struct simblk_io *io, int64_t wait)
{
	int err = uring_submit(io->ring, wait);

	io->nr_pieces = io->nr_kept = 0;
	if (err)
		land_unsubmitted(io);
	return err;
}

bool simblk_io_settle(struct vdpasim *sim, struct vdpasim_worker *sw, bool more)
{
	struct simblk *blk = simblk_of(sim);
	struct simblk_io *io = blk->io[sw->idx];
	int64_t until, wait;
	unsigned int nr_failed = 0;
	bool any = false;

	if (!io || !io->ring || uring_nr_busy(io->ring) == 0)
		return false;
	until = clock_now_ns() + FLIGHT_NS;
	wait = io->patience > 0 ? 0 : LOOK_MIN_NS;
	while (uring_nr_busy(io->ring) > 0) {
		unsigned int before = uring_nr_busy(io->ring);
		int64_t began = clock_now_ns();
		int err = submit(io, wait);
		bool moved, takes;

		nr_failed = err ? nr_failed + 1 : 0;
		if (nr_failed > NR_TRIES) {
			give_up(blk, sw, err);
			return true;
		}
		land_all(io);
		moved = uring_nr_busy(io->ring) < before;
		if (moved)
			flush_queues(sw);
		takes = more && may_take_more(sw, until);
		if (takes) {
			moved |= has_more(blk, sw);
			take_more(sw);
		}
		wait = next_wait(blk, sw, takes, moved, began, wait);
	}
	for (uint32_t i = 0; i < sw->nr_vqs; i++)
		any |= sw->vqs[i]->pending;
	return any;
}
