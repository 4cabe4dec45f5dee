// SPDX-License-Identifier: BSD-3-Clause
/*
 * DISCARD and WRITE_ZEROES. The ranges of a request count as one behind another.
 */
#include <endian.h>
#include <linux/virtio_blk.h>

#include "simblk_internal.h"

/* Bytes on the disk. */
static uint64_t range_start(const struct virtio_blk_discard_write_zeroes *r)
{
	return le64toh(r->sector) * SIMBLK_SECTOR;
}

static uint64_t range_len(const struct virtio_blk_discard_write_zeroes *r)
{
	return (uint64_t)le32toh(r->num_sectors) * SIMBLK_SECTOR;
}

static bool may_unmap(const struct virtio_blk_discard_write_zeroes *r)
{
	return le32toh(r->flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
}

/* Return: status of a range that could be carried out */
static uint8_t check_range(const struct simblk *blk,
			   const struct virtio_blk_discard_write_zeroes *r, bool discard)
{
	uint32_t allowed = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	if (le32toh(r->flags) & ~allowed)
		return VIRTIO_BLK_S_UNSUPP;
	return simblk_in_range(blk, le64toh(r->sector), le32toh(r->num_sectors),
			       discard ? SIMBLK_DISCARD_MAX : SIMBLK_ZEROES_MAX)
		       ? VIRTIO_BLK_S_OK
		       : VIRTIO_BLK_S_IOERR;
}

/* Do @len bytes of a range, from its byte @into on. */
static int do_range(struct simblk *blk, const struct virtio_blk_discard_write_zeroes *r,
		    bool discard, uint64_t into, uint64_t len)
{
	if (discard)
		return blk->backend->discard(blk, range_start(r) + into, len);
	return blk->backend->zero(blk, range_start(r) + into, len, may_unmap(r));
}

/* Which of @n ranges has byte @done of all. @into: [out] how much of it comes before. Return: NULL:
 * none */
static const struct virtio_blk_discard_write_zeroes *
range_at(const struct virtio_blk_discard_write_zeroes *r, uint64_t n, uint64_t done, uint64_t *into)
{
	for (*into = done; n > 0; n--, r++) {
		if (*into < range_len(r))
			return r;
		*into -= range_len(r);
	}
	return NULL;
}

/* What gives storage back is quick; what writes is done step by step. */
static int do_pieces(struct simblk_req *req, const struct virtio_blk_discard_write_zeroes *ranges,
		     uint64_t n, uint64_t total)
{
	bool discard = req->type == VIRTIO_BLK_T_DISCARD;
	int err = 0;

	do {
		const struct virtio_blk_discard_write_zeroes *r;
		uint64_t into, len, end;

		r = range_at(ranges, n, req->done, &into);
		if (!r)
			break; /* they are empty */
		end = req->done + range_len(r) - into;
		len = discard || may_unmap(r) ? simblk_piece_len(req, end)
					      : simblk_step_len(req, end);
		err = do_range(req->blk, r, discard, into, len);
		if (!err)
			simblk_piece_done(req, len, total);
	} while (!err && simblk_goes_on(req));
	return err;
}

/* The same by the host: the next piece of one range, as large as one call of it may be. */
static uint8_t note_piece(struct simblk_req *req,
			  const struct virtio_blk_discard_write_zeroes *ranges, uint64_t n,
			  uint64_t total)
{
	enum simblk_job_op op = SIMBLK_JOB_DISCARD;
	const struct virtio_blk_discard_write_zeroes *r;
	uint64_t into, len;

	r = range_at(ranges, n, req->done, &into);
	if (!r)
		return VIRTIO_BLK_S_OK;
	if (req->type != VIRTIO_BLK_T_DISCARD)
		op = may_unmap(r) ? SIMBLK_JOB_UNMAP : SIMBLK_JOB_ZERO;
	len = range_len(r) - into;
	if (len > SIMBLK_FLIGHT_LEN)
		len = SIMBLK_FLIGHT_LEN;
	return simblk_piece_note(req, op, range_start(r) + into, len, total);
}

/* DISCARD and WRITE_ZEROES: all ranges are checked before the first one is touched. */
uint8_t simblk_do_ranges(struct simblk_req *req, uint32_t *written)
{
	struct virtio_blk_discard_write_zeroes r[SIMBLK_RANGES_MAX];
	bool discard = req->type == VIRTIO_BLK_T_DISCARD;
	uint64_t n = req->out_len / sizeof(r[0]), total = 0;

	(void)written;
	if (n < 1 || n > (discard ? SIMBLK_RANGES_MAX : 1) || req->out_len % sizeof(r[0]) ||
	    !simblk_req_read(req, r, req->out_len))
		return VIRTIO_BLK_S_IOERR;
	for (uint64_t i = 0; i < n; i++) {
		uint8_t status = check_range(req->blk, &r[i], discard);

		if (status != VIRTIO_BLK_S_OK)
			return status;
		total += range_len(&r[i]);
	}
	if (req->done > total)
		return VIRTIO_BLK_S_IOERR;
	if (!req->blk->quick)
		return note_piece(req, r, n, total);
	return simblk_req_status(req, do_pieces(req, r, n, total));
}
