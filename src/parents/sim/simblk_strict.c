// SPDX-License-Identifier: BSD-3-Clause
/*
 * The kernel's disk simulator as it is, clauses [7-8], [7-12] and [7-13]. What is odd here is odd
 * there.
 *
 * If the header or the status of a request cannot be read or written, the pass ends without an
 * interrupt, and the rest of the ring waits for the next kick.
 *
 * Data is transferred up to the first descriptor that is not mapped. A read that stopped on its
 * way leaves no place for the status, so it counts as a request whose status cannot be written. So
 * does GET_ID with less room than 20 bytes, because the answer runs over the status.
 */
#include <endian.h>
#include <linux/virtio_blk.h>

#include "simblk_internal.h"

#define STRICT_ID "vdpa_blk_sim"

/* Sectors are counted rounded down; the bytes beyond must be on the disk all the same. */
static bool strict_in_range(const struct simblk_req *req, uint64_t len)
{
	return simblk_in_range(req->blk, req->sector, len / SIMBLK_SECTOR, SIMBLK_MAX_SECTORS) &&
	       len <= req->blk->len - req->sector * SIMBLK_SECTOR;
}

static uint64_t pieces_len(const struct simblk_pieces *pieces)
{
	uint64_t len = 0;

	for (unsigned int i = 0; i < pieces->n; i++)
		len += pieces->iov[i].iov_len;
	return len;
}

/* A piece of what is mapped: @len bytes. Return: 0 or the backend's error */
static int strict_piece(struct simblk_req *req, uint64_t len)
{
	const struct ring_chain *chain = &req->chain;
	uint64_t off = req->sector * SIMBLK_SECTOR + req->done;
	struct simblk *blk = req->blk;
	struct simblk_pieces data;

	if (req->type == VIRTIO_BLK_T_IN) {
		(void)simblk_slice(chain->in, chain->nr_in, req->done, len, &data);
		return blk->backend->read(blk, off, data.iov, data.n);
	}
	(void)simblk_slice(chain->out, chain->nr_out, SIMBLK_HEADER_LEN + req->done, len, &data);
	return blk->backend->write(blk, off, data.iov, data.n);
}

/* The next pieces of what is mapped. Return: 0 or the backend's error */
static int strict_pieces(struct simblk_req *req, uint64_t mapped)
{
	int err;

	if (req->done > mapped)
		return 0; /* it was longer before */
	do {
		uint64_t len = simblk_step_len(req, mapped);

		err = strict_piece(req, len);
		if (!err)
			simblk_piece_done(req, len, mapped);
	} while (!err && simblk_goes_on(req));
	return err;
}

static uint8_t strict_in(struct simblk_req *req, uint32_t *written)
{
	struct simblk_pieces data;
	uint8_t status;
	bool whole;

	if (!strict_in_range(req, req->in_len))
		return VIRTIO_BLK_S_IOERR;
	whole = simblk_req_in(req, req->in_len, &data);
	status = simblk_req_status(req, strict_pieces(req, pieces_len(&data)));
	if (req->again)
		return status;
	if (!whole) {
		req->has_status &= data.n == 0;
		return VIRTIO_BLK_S_IOERR;
	}
	if (status == VIRTIO_BLK_S_OK)
		*written = (uint32_t)req->in_len;
	return status;
}

static uint8_t strict_out(struct simblk_req *req)
{
	struct simblk_pieces data;
	uint8_t status;
	bool whole;

	if (!strict_in_range(req, req->out_len))
		return VIRTIO_BLK_S_IOERR;
	whole = simblk_req_out(req, &data);
	status = simblk_req_status(req, strict_pieces(req, pieces_len(&data)));
	return whole || req->again ? status : VIRTIO_BLK_S_IOERR;
}

static uint8_t strict_get_id(struct simblk_req *req, uint32_t *written)
{
	static const char id[SIMBLK_ID_LEN] = STRICT_ID;
	uint64_t len = req->in_len < SIMBLK_ID_LEN ? req->in_len + 1 : SIMBLK_ID_LEN;
	struct simblk_pieces room;
	bool whole = simblk_req_in(req, len, &room);
	size_t mapped = 0;

	for (unsigned int i = 0; i < room.n; i++)
		mapped += room.iov[i].iov_len;
	mapped = ring_chain_write(&req->chain, 0, id, mapped);
	if (!whole) {
		req->has_status &= mapped == 0;
		return VIRTIO_BLK_S_IOERR;
	}
	req->has_status &= len <= req->in_len;
	*written = (uint32_t)len;
	return VIRTIO_BLK_S_OK;
}

/* DISCARD is checked and does nothing; WRITE_ZEROES does. */
static uint8_t strict_range(struct simblk_req *req)
{
	bool discard = req->type == VIRTIO_BLK_T_DISCARD;
	struct simblk *blk = req->blk;
	struct virtio_blk_discard_write_zeroes r;
	uint64_t sector, nr;
	int err;

	if (req->out_len != sizeof(r) || !simblk_req_read(req, &r, sizeof(r)))
		return VIRTIO_BLK_S_IOERR;
	if (le32toh(r.flags) & ~(discard ? 0u : (uint32_t)VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		return VIRTIO_BLK_S_UNSUPP;
	sector = le64toh(r.sector);
	nr = le32toh(r.num_sectors);
	if (!simblk_in_range(blk, sector, nr, UINT32_MAX))
		return VIRTIO_BLK_S_IOERR;
	if (discard || req->done > nr * SIMBLK_SECTOR)
		return VIRTIO_BLK_S_OK;
	do {
		uint64_t len = simblk_step_len(req, nr * SIMBLK_SECTOR);

		err = blk->backend->zero(blk, sector * SIMBLK_SECTOR + req->done, len, false);
		if (!err)
			simblk_piece_done(req, len, nr * SIMBLK_SECTOR);
	} while (!err && simblk_goes_on(req));
	return simblk_req_status(req, err);
}

static uint8_t strict_execute(struct simblk_req *req, uint32_t *written)
{
	if (req->type != VIRTIO_BLK_T_IN && req->type != VIRTIO_BLK_T_OUT && req->sector != 0)
		return VIRTIO_BLK_S_IOERR;
	switch (req->type) {
	case VIRTIO_BLK_T_IN:
		return strict_in(req, written);
	case VIRTIO_BLK_T_OUT:
		return strict_out(req);
	case VIRTIO_BLK_T_GET_ID:
		return strict_get_id(req, written);
	case VIRTIO_BLK_T_FLUSH:
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return strict_range(req);
	default:
		return VIRTIO_BLK_S_IOERR;
	}
}

enum told { TOLD, UNTOLD, UNDER_WAY };

static enum told strict_serve(struct simblk_req *req)
{
	struct simblk_progress *p = &req->blk->progress[req->vq->idx];
	uint8_t status = VIRTIO_BLK_S_IOERR;
	uint32_t written = 0;

	simblk_req_parse(req);
	simblk_take_up(req, p);
	if (!req->has_header || req->chain.nr_in == 0) {
		ring_push(req->vq->ring, &req->chain, 0);
		return UNTOLD;
	}
	status = strict_execute(req, &written);
	if (status == VIRTIO_BLK_S_OK && req->again) {
		simblk_leave(req, p);
		return UNDER_WAY;
	}
	simblk_req_finish(req, status, written);
	return req->has_status ? TOLD : UNTOLD;
}

bool simblk_strict_process(struct simblk *blk, struct vdpasim_vq *vq)
{
	struct simblk_req req = {.blk = blk, .vq = vq, .budget = simblk_batch_len(blk)};
	uint32_t walked = ring_walked(vq->ring);
	unsigned int n = 0;

	for (; n < SIMBLK_STRICT_BATCH; n++) {
		enum told told;

		if (req.budget == 0 || ring_walked(vq->ring) - walked >= RING_WALK_MAX ||
		    (n > 0 && vdpasim_is_resetting(vq->sim)))
			return true;
		if (ring_pop(vq->ring, &req.chain) <= 0)
			return false;
		told = strict_serve(&req);
		if (ring_flush(vq->ring) && told == TOLD)
			vdpasim_vq_call(vq);
		if (told != TOLD)
			return told == UNDER_WAY;
	}
	return true;
}
