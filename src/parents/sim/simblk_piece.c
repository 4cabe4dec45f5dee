// SPDX-License-Identifier: BSD-3-Clause
/*
 * A request in pieces (simblk_batch.c, rule 3).
 *
 * What a disk in memory copies in one piece is short. Each page may be touched for the first time,
 * and then the host takes ten microseconds or more for it, a hundred times as long as a copy. So
 * between two steps a batch looks whether somebody waits for the worker's lock.
 */
#include "simblk_internal.h"

uint64_t simblk_piece_len(const struct simblk_req *req, uint64_t total)
{
	uint64_t left = total - req->done;

	return left < req->budget ? left : req->budget;
}

uint64_t simblk_step_len(const struct simblk_req *req, uint64_t total)
{
	uint64_t len = simblk_piece_len(req, total);

	return req->blk->quick && len > SIMBLK_STEP_LEN ? SIMBLK_STEP_LEN : len;
}

bool simblk_goes_on(const struct simblk_req *req)
{
	return req->again && req->budget > 0 && !vdpasim_is_asked(req->vq->sw);
}

void simblk_piece_done(struct simblk_req *req, uint64_t len, uint64_t total)
{
	req->done += len;
	req->budget -= len;
	req->again = req->done < total;
}

void simblk_take_up(struct simblk_req *req, struct simblk_progress *p)
{
	bool same = p->done && p->generation == req->chain.generation && p->seq == req->chain.seq &&
		    p->type == req->type && p->sector == req->sector;

	req->done = same ? p->done : 0;
	req->again = false;
	p->done = 0;
}

void simblk_leave(struct simblk_req *req, struct simblk_progress *p)
{
	p->generation = req->chain.generation;
	p->seq = req->chain.seq;
	p->type = req->type;
	p->sector = req->sector;
	p->done = req->done;
	if (req->type == VIRTIO_BLK_T_IN)
		ring_wrote(req->vq->ring, &req->chain, 0, req->done);
	ring_unpop(req->vq->ring, &req->chain, 1);
}

uint8_t simblk_piece_note(struct simblk_req *req, enum simblk_job_op op, uint64_t off, uint64_t len,
			  uint64_t total)
{
	bool last = req->done + len == total;

	simblk_job_note(req, op, off, len,
			op == SIMBLK_JOB_FLUSH ||
				(last && op != SIMBLK_JOB_READ && req->blk->write_through));
	req->again = !last || op > SIMBLK_JOB_WRITE;
	return VIRTIO_BLK_S_OK;
}
