// SPDX-License-Identifier: BSD-3-Clause
/*
 * Requests in flight, by io_uring: one ring a worker, which only that worker uses. The batch that
 * waits for them is in simblk_settle.c, what a reset leaves of them in simblk_orphan.c.
 *
 * 1. The kernel gets memory of our own. A write is copied before it is handed over, a read when it
 *    has ended, both with the worker's lock held. So what is in flight never touches the client's
 *    memory, and need not end before a reset is answered. Copying 4 KiB takes a fifth of a
 *    microsecond, about as long as the kernel takes to pin the client's page.
 * 2. A request that does not end as it should (short, interrupted, to be tried again) is finished
 *    by the backend's plain calls, and their answer counts. A flush is not tried twice: the kernel
 *    tells of a failed write once.
 * 3. A request in flight pays where the worker would wait: past the page cache. Through it, jobs
 *    write (simblk_job.c), and what reads lack is fetched between two batches (simblk_cold.c).
 *    But a job would begin only when a flush in flight has ended, so meanwhile writes are in
 *    flight, too. What is in the page cache comes 1.6 times as fast without io_uring. A request
 *    that is alone comes a fifth sooner without; but if another one comes while it is waited for,
 *    the next ones are in flight.
 * 4. If io_uring cannot be had, requests are carried out one by one. One line says so.
 */
#include "simblk_io.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define NR_HANDED 4u     /* requests that are handed over together: the drive begins with them */
#define TURN_LEN  65536u /* bytes that are copied before the driver hears, and new ones begin */

/* ---- life ---- */

static struct simblk_io *io_create(struct simblk *blk)
{
	struct simblk_io *io = calloc(1, sizeof(*io));
	int err = io ? bounce_init(&io->bounce) : -ENOMEM;

	if (!err)
		err = uring_create(SIMBLK_DEPTH, &io->ring);
	if (err)
		hf_warn(blk->name, "no io_uring (%s): requests are carried out one by one",
			strerror(-err));
	for (uint16_t i = 0; io && i < SIMBLK_DEPTH; i++)
		io->free[io->nr_free++] = (uint16_t)(SIMBLK_DEPTH - 1 - i);
	return io;
}

void simblk_io_destroy(struct simblk *blk, struct simblk_io *io)
{
	if (!io)
		return;
	__atomic_fetch_sub(&blk->nr_orphans, io->nr_orphans, __ATOMIC_RELEASE);
	uring_destroy(io->ring);
	bounce_fini(&io->bounce);
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
	unsigned int nr_blocks;

	if (!simblk_io_can(blk, sw))
		return 0;
	io = blk->io[sw->idx];
	nr_blocks = (unsigned int)__builtin_popcountll(io->bounce.free);
	return nr_blocks > 0 && nr_blocks >= io->nr_wanted ? io->nr_free : 0;
}

/* ---- a request begins ---- */

/* Rule 3. */
static bool pays(const struct simblk_req *req, enum simblk_io_op op, unsigned int fd)
{
	const struct simblk *blk = req->blk;
	struct simblk_progress *p = &blk->progress[req->vq->idx];
	bool alone;

	if (fd == SIMBLK_CACHED &&
	    (op == SIMBLK_READ || (op == SIMBLK_WRITE && !blk->write_through &&
				   blk->io[req->vq->sw->idx]->nr_flushes == 0)))
		return false;
	alone = p->nr_in_flight == 0 && !ring_peek(req->vq->ring);
	if (alone && p->nr_alone == 0)
		return false;
	p->nr_alone -= alone;
	return true;
}

/* Between the client's memory and ours, piece by piece. Return: false: a reset is about to be
 * made */
static bool copy(const struct simblk_req *req, enum simblk_io_op op, const struct iovec *iov,
		 unsigned int n)
{
	const struct ring_chain *chain = &req->chain;
	uint64_t off = 0;

	ring_attend(req->vq->ring);
	for (unsigned int i = 0; i < n; off += iov[i].iov_len, i++) {
		if (vdpasim_is_resetting(req->vq->sim))
			return false;
		if (op == SIMBLK_READ)
			(void)ring_chain_write(chain, off, iov[i].iov_base, iov[i].iov_len);
		else
			(void)ring_chain_read(chain, SIMBLK_HEADER_LEN + off, iov[i].iov_base,
					      iov[i].iov_len);
	}
	return true;
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
	if (f->safe)
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

/* There is room, and the data of a write are copied. @iov: [@n] what is new of io->pieces */
static void begin(struct simblk_io *io, const struct flight *what, unsigned int fd,
		  const struct iovec *iov, unsigned int n)
{
	struct io_uring_sqe *sqe = uring_prepare(io->ring); /* of as many as there are flights */
	struct flight *f = &io->flights[io->free[--io->nr_free]];

	*f = *what;
	/* a reset forgets the features before what it gives up has ended */
	f->safe = f->op == SIMBLK_WRITE && f->req.blk->write_through;
	f->out = f->req.in_flight = true;
	io->nr_pieces += n;
	io->bounce.free &= ~f->blocks;
	io->nr_flushes += f->op == SIMBLK_FLUSH;
	if (f->op == SIMBLK_FLUSH) {
		sqe->opcode = IORING_OP_FSYNC;
		sqe->fsync_flags = IORING_FSYNC_DATASYNC;
	} else {
		fill_transfer(sqe, f, iov, n);
	}
	sqe->fd = f->req.blk->fds[fd];
	sqe->user_data = (uint64_t)(f - io->flights);
	f->req.blk->progress[f->req.vq->idx].nr_in_flight++;
	hand_over(io);
}

enum simblk_io_begun simblk_io_start(struct simblk_req *req, enum simblk_io_op op, uint64_t off,
				     uint64_t len)
{
	struct flight what = {.req = *req, .op = op, .off = off, .len = len};
	struct simblk *blk = req->blk;
	unsigned int fd = SIMBLK_CACHED, n;
	struct simblk_io *io;
	struct iovec *iov;

	if (req->done > 0 || len > SIMBLK_FLIGHT_LEN || !simblk_io_can(blk, req->vq->sw))
		return SIMBLK_IO_NOT;
	io = blk->io[req->vq->sw->idx];
	if (op != SIMBLK_FLUSH)
		fd = blk->backend->fd_index(blk, off, len);
	if (!pays(req, op, fd))
		return SIMBLK_IO_NOT;
	what.blocks = bounce_choose(&io->bounce, len);
	if (io->nr_free == 0 || (len > 0 && !what.blocks)) {
		io->nr_wanted = bounce_nr_of(len);
		return SIMBLK_IO_LATER;
	}
	iov = &io->pieces[io->nr_pieces];
	n = bounce_iov(&io->bounce, what.blocks, 0, len, iov);
	if (op == SIMBLK_WRITE && !copy(req, op, iov, n))
		return SIMBLK_IO_LATER;
	req->in_flight = true;
	begin(io, &what, fd, iov, n);
	return SIMBLK_IO_BEGUN;
}

/* ---- a request ends ---- */

void simblk_io_release(struct simblk_io *io, struct flight *f)
{
	f->out = false;
	io->nr_ended -= f->ended;
	io->nr_flushes -= f->op == SIMBLK_FLUSH;
	io->free[io->nr_free++] = (uint16_t)(f - io->flights);
	io->bounce.free |= f->blocks;
}

/* Rule 2: what the kernel has left of a transfer. */
static int carry_out(const struct simblk_io *io, const struct flight *f, uint64_t done)
{
	struct simblk *blk = f->req.blk;
	struct iovec rest[BOUNCE_NR];
	unsigned int n = bounce_iov(&io->bounce, f->blocks, done, f->len - done, rest);
	int err;

	if (f->op == SIMBLK_FLUSH)
		return blk->backend->flush(blk);
	if (f->op == SIMBLK_READ)
		return blk->backend->read(blk, f->off + done, rest, n);
	err = blk->backend->write(blk, f->off + done, rest, n);
	if (!err && f->safe)
		err = blk->backend->flush(blk);
	return err;
}

bool simblk_io_try_again(int32_t res)
{
	return res >= 0 || res == -EAGAIN || res == -EINTR || res == -ECANCELED;
}

/* Frees the flight before it touches the client's memory: a fault ends this function. Nobody else
 * takes its blocks meanwhile. Of a ring that is broken, nobody hears of it. */
static void land(struct simblk_io *io, struct flight *f, int32_t res)
{
	struct simblk_req *req = &f->req;
	unsigned int *nr_in_flight = &req->blk->progress[req->vq->idx].nr_in_flight;
	bool whole = res >= 0 && (uint64_t)res == f->len,
	     broken = ring_broken_reason(req->vq->ring);
	bool again = !whole && simblk_io_try_again(res);
	struct iovec iov[BOUNCE_NR];
	int err = whole ? 0 : res;
	uint32_t written = 0;
	unsigned int n;

	if (again && !broken)
		err = carry_out(io, f, res > 0 ? (uint64_t)res : 0);
	if (!(again && broken) && simblk_io_syncs(f, err))
		err = simblk_flushed(req->blk, err);
	simblk_io_release(io, f);
	(*nr_in_flight)--;
	if (broken)
		return;
	if (!err && f->op == SIMBLK_READ) {
		n = bounce_iov(&io->bounce, f->blocks, 0, f->len, iov);
		if (!copy(req, f->op, iov, n)) {
			io->nr_free--;
			io->bounce.free &= ~f->blocks;
			(*nr_in_flight)++;
			f->out = true;
			simblk_io_end(io, f);
			return;
		}
		written = (uint32_t)f->len;
	}
	ring_attend(req->vq->ring); /* the status is in its client's memory */
	simblk_complete(req, simblk_req_status(req, err), written);
}

void simblk_io_land_some(struct simblk *blk, const struct vdpasim_worker *sw)
{
	struct simblk_io *io = blk->io[sw->idx];
	uint64_t data, len = 0;
	int32_t res;

	while (len < TURN_LEN && !vdpasim_is_resetting(sw->sim) &&
	       uring_reap(io->ring, &data, &res)) {
		struct flight *f = &io->flights[data];

		len += f->len;
		if (f->orphan)
			simblk_io_release_orphan(io, f, res);
		else
			land(io, f, res);
	}
}

void simblk_io_land_unsubmitted(struct simblk_io *io, const struct vdpasim_worker *sw)
{
	uint64_t data;

	while (!vdpasim_is_resetting(sw->sim) && uring_take_back(io->ring, &data))
		land(io, &io->flights[data], -EAGAIN);
}

void simblk_io_lose(struct simblk *blk, struct simblk_io *io, int err)
{
	if (err == -EAGAIN || err == -EBUSY || err == -EINTR || err == -ENOMEM ||
	    uring_nr_busy(io->ring) > 0)
		return;
	hf_warn(blk->name, "io_uring has failed (%s): requests are carried out one by one",
		strerror(-err));
	uring_destroy(io->ring);
	io->ring = NULL;
}
