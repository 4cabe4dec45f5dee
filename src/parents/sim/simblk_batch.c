// SPDX-License-Identifier: BSD-3-Clause
/*
 * Batches of requests, as the device without quirks carries them out.
 *
 * 1. Every request is completed with an interrupt if the driver wants one, in order but for those
 *    in flight. If there is a byte for the status, it gets one, whatever is wrong with the rest. A
 *    buffer that is not mapped makes the request fail; the request is not lost.
 * 2. Header and ranges are copied before they are looked at. Data goes between backend and client
 *    memory without a copy of ours.
 * 3. A batch is bounded in requests, in descriptors and in bytes, because control threads wait for
 *    its end, and ends earlier if one does (simblk_piece.c). Requests may be in flight meanwhile
 *    (simblk_settle.c), and the batch waits for them. A longer request is done in pieces: after a
 *    piece its chain is given back to the ring, and the next batch takes it up again behind what
 *    is done. A ring that is stopped
 *    meanwhile starts with that request, from its beginning; no type minds being done twice. What
 *    the driver changes in a request under way is checked anew with each piece.
 * 4. If a disk waits for a device of the host, only what needs no waiting is done here: the rest
 *    are requests in flight (simblk_io.c), reads of what the page cache lacks (simblk_cold.c), and
 *    jobs between two batches (simblk_job.c). Behind a request that has a job, a batch takes only
 *    others that have one, for all of them go back to the ring.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "base/clock.h"
#include "simblk_internal.h"

#define NO_FEATURE 0xff

/* ---- the types of requests ---- */

/* The next piece of the data of a read or a write. */
struct data_piece {
	struct simblk_pieces data;
	uint64_t off; /* on the disk */
	uint64_t len;
};

/* @iov: its data begin behind @head bytes, and have @total. Return: can the request be carried
 * out? */
static bool check_data(const struct simblk_req *req, const struct iovec *iov, uint32_t nr,
		       uint64_t head, uint64_t total)
{
	return total % SIMBLK_SECTOR == 0 && simblk_is_mapped(iov, nr, head + total) &&
	       simblk_in_range(req->blk, req->sector, total / SIMBLK_SECTOR, SIMBLK_MAX_SECTORS) &&
	       req->done <= total;
}

/* Have all of it in flight, if that is possible and pays. Not behind a job: that one's chain goes
 * back to the ring, and so must all behind it. Return: false: that is not the way */
static bool start(struct simblk_req *req, enum simblk_io_op op, uint64_t len)
{
	enum simblk_io_begun begun;

	if (simblk_has_jobs(&req->blk->progress[req->vq->idx]))
		return false;
	begun = simblk_io_start(req, op, req->sector * SIMBLK_SECTOR, len);
	req->again = begun == SIMBLK_IO_LATER;
	return begun != SIMBLK_IO_NOT;
}

static void take_piece(const struct simblk_req *req, const struct iovec *iov, uint32_t nr,
		       uint64_t head, uint64_t total, struct data_piece *piece)
{
	piece->off = req->sector * SIMBLK_SECTOR + req->done;
	piece->len = simblk_step_len(req, total);
	(void)simblk_slice(iov, nr, head + req->done, piece->len, &piece->data);
}

/* How much of the next piece a job can do; 0: none can be noted. */
static uint64_t job_len(const struct simblk_req *req, uint64_t total)
{
	uint64_t room = simblk_job_room(req->blk, req->vq), left = total - req->done;

	return left < room ? left : room;
}

/* Through the page cache, what is there is read at once. */
static uint8_t read_piece(struct simblk_req *req, uint32_t *written)
{
	const struct ring_chain *chain = &req->chain;
	const struct simblk_jobs *jobs = &req->blk->progress[req->vq->idx].jobs;
	uint64_t len = job_len(req, req->in_len), off = req->sector * SIMBLK_SECTOR + req->done;
	struct data_piece p;
	int err;

	if (len > 0 && req->blk->backend->fd_index(req->blk, off, len) != SIMBLK_CACHED)
		return simblk_piece_note(req, SIMBLK_JOB_READ, off, len, req->in_len);
	if (jobs->ended) { /* as in write_piece() */
		req->again = true;
		return VIRTIO_BLK_S_OK;
	}
	do {
		take_piece(req, chain->in, chain->nr_in, 0, req->in_len, &p);
		err = simblk_cold_read(req, p.off, p.len, &p.data);
		if (!err)
			simblk_piece_done(req, p.len, req->in_len);
	} while (!err && simblk_goes_on(req));
	if (err == -EAGAIN) {
		req->again = true;
		return VIRTIO_BLK_S_OK;
	}
	if (!err)
		*written = (uint32_t)req->in_len;
	return simblk_req_status(req, err);
}

static uint8_t do_in(struct simblk_req *req, uint32_t *written)
{
	const struct ring_chain *chain = &req->chain;

	if (!check_data(req, chain->in, chain->nr_in, 0, req->in_len))
		return VIRTIO_BLK_S_IOERR;
	if (req->has_job)
		(void)ring_chain_write(chain, req->job.from, req->job.buf, req->job.len);
	if (req->has_job && req->done == req->in_len) {
		*written = (uint32_t)req->in_len;
		return VIRTIO_BLK_S_OK;
	}
	if (req->in_len > 0 && start(req, SIMBLK_READ, req->in_len))
		return VIRTIO_BLK_S_OK;
	return read_piece(req, written);
}

static uint8_t write_piece(struct simblk_req *req)
{
	const struct simblk_jobs *jobs = &req->blk->progress[req->vq->idx].jobs;
	const struct ring_chain *chain = &req->chain;
	uint64_t len = job_len(req, req->out_len);
	struct data_piece p;
	int err;

	if (len > 0)
		return simblk_piece_note(req, SIMBLK_JOB_WRITE,
					 req->sector * SIMBLK_SECTOR + req->done, len,
					 req->out_len);
	if (jobs->ended) { /* it has become longer meanwhile: the next batch notes the rest */
		req->again = true;
		return VIRTIO_BLK_S_OK;
	}
	do {
		take_piece(req, chain->out, chain->nr_out, SIMBLK_HEADER_LEN, req->out_len, &p);
		err = req->blk->backend->write(req->blk, p.off, p.data.iov, p.data.n);
		if (!err)
			simblk_piece_done(req, p.len, req->out_len);
	} while (!err && simblk_goes_on(req));
	if (!err && !req->again && req->blk->write_through)
		err = simblk_flush(req->blk);
	return simblk_req_status(req, err);
}

static uint8_t do_out(struct simblk_req *req, uint32_t *written)
{
	const struct ring_chain *chain = &req->chain;

	(void)written;
	if (!check_data(req, chain->out, chain->nr_out, SIMBLK_HEADER_LEN, req->out_len))
		return VIRTIO_BLK_S_IOERR;
	if (req->out_len == 0 || (req->has_job && req->done == req->out_len))
		return VIRTIO_BLK_S_OK;
	if (start(req, SIMBLK_WRITE, req->out_len))
		return VIRTIO_BLK_S_OK;
	return write_piece(req);
}

static uint8_t do_flush(struct simblk_req *req, uint32_t *written)
{
	uint64_t *unsafe_len = &req->blk->unsafe_len;

	(void)written;
	if (req->has_job)
		return VIRTIO_BLK_S_OK;
	/* a stop waits for a flush in flight, so that must be a short one */
	if (__atomic_load_n(unsafe_len, __ATOMIC_RELAXED) < SIMBLK_FLIGHT_LEN &&
	    start(req, SIMBLK_FLUSH, 0)) {
		if (req->in_flight)
			__atomic_store_n(unsafe_len, 0, __ATOMIC_RELAXED);
		return VIRTIO_BLK_S_OK;
	}
	if (!req->blk->quick)
		return simblk_piece_note(req, SIMBLK_JOB_FLUSH, 0, 0, 0);
	return simblk_req_status(req, simblk_flush(req->blk));
}

static uint8_t do_get_id(struct simblk_req *req, uint32_t *written)
{
	uint32_t len = req->in_len < SIMBLK_ID_LEN ? (uint32_t)req->in_len : SIMBLK_ID_LEN;
	char id[SIMBLK_ID_LEN] = {0};

	memcpy(id, req->blk->name, strnlen(req->blk->name, sizeof(id)));
	if (!simblk_is_mapped(req->chain.in, req->chain.nr_in, len))
		return VIRTIO_BLK_S_IOERR;
	*written = (uint32_t)ring_chain_write(&req->chain, 0, id, len);
	return VIRTIO_BLK_S_OK;
}

static const struct {
	uint32_t type;
	uint8_t feature; /* bit that must be negotiated, or NO_FEATURE */
	bool changes;    /* not on a disk that is read only */
	uint8_t (*fn)(struct simblk_req *req, uint32_t *written);
} types[] = {
	{VIRTIO_BLK_T_IN, NO_FEATURE, false, do_in},
	{VIRTIO_BLK_T_OUT, NO_FEATURE, true, do_out},
	{VIRTIO_BLK_T_FLUSH, NO_FEATURE, false, do_flush},
	{VIRTIO_BLK_T_GET_ID, NO_FEATURE, false, do_get_id},
	{VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_F_DISCARD, true, simblk_do_ranges},
	{VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES, true, simblk_do_ranges},
};

static uint8_t execute(struct simblk_req *req, uint32_t *written)
{
	if (!req->has_header)
		return VIRTIO_BLK_S_IOERR;
	if (req->has_job && req->job.err)
		return simblk_req_status(req, req->job.err);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (types[i].type != req->type)
			continue;
		if (types[i].changes && req->blk->read_only)
			return VIRTIO_BLK_S_IOERR;
		if (types[i].feature != NO_FEATURE &&
		    !vdpasim_acked(req->vq->sim, types[i].feature))
			return VIRTIO_BLK_S_UNSUPP;
		return types[i].fn(req, written);
	}
	return VIRTIO_BLK_S_UNSUPP;
}

/* Behind a job of the same batch: can this one be a job, too? Nothing else can be done with it
 * while the chain before it goes back to the ring. Where it can be in flight, it will. */
static bool may_follow(const struct simblk_req *req)
{
	const struct ring_chain *chain = &req->chain;
	struct simblk *blk = req->blk;

	return req->has_header && req->has_status && req->type == VIRTIO_BLK_T_OUT &&
	       !blk->read_only && req->done == 0 && req->out_len > 0 &&
	       req->out_len <= simblk_job_room(blk, req->vq) && !blk->write_through &&
	       check_data(req, chain->out, chain->nr_out, SIMBLK_HEADER_LEN, req->out_len) &&
	       (!simblk_io_can(blk, req->vq->sw) ||
		blk->backend->fd_index(blk, req->sector * SIMBLK_SECTOR, req->out_len) ==
			SIMBLK_CACHED);
}

static void execute_all(struct simblk_req *req, struct simblk_progress *p)
{
	uint8_t status = VIRTIO_BLK_S_IOERR;
	uint32_t written = 0;

	if (simblk_has_jobs(p) && !may_follow(req))
		req->again = true;
	else if (req->has_status)
		status = execute(req, &written);
	if (req->in_flight || req->noted || req->again)
		return;
	simblk_complete(req, status, written);
}

/* A request that cannot be answered is not carried out: nobody would know. Return: false: the batch
 * is full, and the request goes on in the next one */
static bool serve(struct simblk_req *req)
{
	struct simblk_progress *p = &req->blk->progress[req->vq->idx];

	req->in_flight = false;
	simblk_req_parse(req);
	simblk_take_up(req, p);
	simblk_job_take(req);
	execute_all(req, p);
	if (req->again && !req->noted)
		simblk_leave(req, p);
	return !req->again;
}

void simblk_fail(struct vdpasim_vq *vq)
{
	ring_break(vq->ring, "input and output have failed");
}

/* How many requests a batch takes: where they are in flight, as many as can be. */
static unsigned int batch_room(struct simblk *blk, const struct vdpasim_vq *vq)
{
	return simblk_io_can(blk, vq->sw) ? simblk_io_room(blk, vq->sw) : SIMBLK_BATCH;
}

/* When a batch told the driver last, and when it had its last request done. */
struct times {
	int64_t told, done; /* clock_now_ns() */
};

/* Tell the driver of what is done, now and then: a wake-up for each request would cost more than
 * most requests do. And note whether another one came while this one waited. */
static void after_request(const struct simblk_req *req, struct times *times)
{
	struct simblk_progress *p = &req->blk->progress[req->vq->idx];
	int64_t now = clock_now_ns(), took = now - times->done;

	if (!req->in_flight && !req->noted && took > SIMBLK_COLD_NS &&
	    (took > SIMBLK_SLOW_NS || ring_peek(req->vq->ring)))
		p->nr_alone = SIMBLK_NR_COLD;
	times->done = now;
	if (now - times->told < SIMBLK_NOTIFY_NS)
		return;
	vdpasim_vq_flush(req->vq);
	times->told = now;
}

/* Does somebody wait for the lock? A batch that is not cut off by a reset does one request at
 * least. @n: so many it has done */
static bool is_over(const struct vdpasim_vq *vq, unsigned int n)
{
	return n > 0 ? vdpasim_is_asked(vq->sw) : vdpasim_is_resetting(vq->sim);
}

bool simblk_process(struct simblk *blk, struct vdpasim_vq *vq)
{
	struct simblk_req req = {.blk = blk, .vq = vq, .budget = simblk_batch_len(blk)};
	struct simblk_cold *cold = &blk->progress[vq->idx].cold;
	struct simblk_jobs *jobs = &blk->progress[vq->idx].jobs;
	struct ring_chain noted[SIMBLK_BATCH]; /* [jobs->nr] */
	int64_t now = clock_now_ns(), began = cold->fetched ? cold->began
					      : jobs->ended ? jobs->began
							    : now;
	bool goes_on = true;
	struct times times = {now, now};
	struct ring *ring = vq->ring;
	uint32_t walked = ring_walked(ring);
	unsigned int n = 0, room = batch_room(blk, vq);
	int err = 1;

	if (unlikely(__atomic_load_n(&blk->failed, __ATOMIC_ACQUIRE))) {
		simblk_fail(vq);
		return false;
	}
	if (simblk_is_waiting(blk, vq) || vdpasim_is_resetting(vq->sim) || simblk_has_orphans(blk))
		return true;
	vdpasim_vq_busy(vq);
	while (goes_on && n < room && req.budget > 0 &&
	       ring_walked(ring) - walked < RING_WALK_MAX && !is_over(vq, n) &&
	       (err = ring_pop(ring, &req.chain)) > 0) {
		goes_on = serve(&req);
		if (req.noted)
			noted[jobs->nr - 1] = req.chain;
		n += goes_on;
		if (goes_on && blk->backend->blocks)
			after_request(&req, &times);
	}
	if (simblk_has_jobs(&blk->progress[vq->idx]))
		ring_unpop(ring, noted, jobs->nr);
	if (cold->wanted) {
		cold->began = began;
		simblk_cold_look_ahead(blk, vq);
	}
	vdpasim_vq_flush(vq);
	if (err > 0 || blk->progress[vq->idx].nr_in_flight > 0 || simblk_is_waiting(blk, vq))
		return true;
	if (err == 0 && vdpasim_vq_lingers(vq, began, n > 0))
		return true;
	return vdpasim_vq_idle(vq, err);
}
