// SPDX-License-Identifier: BSD-3-Clause
/*
 * One request, taken apart: a header of 16 readable bytes, data, and a status in the last writable
 * byte. The driver decides how these lie in descriptors (ANY_LAYOUT). Both modes carry requests out
 * with this: simblk_batch.c, and simblk_strict.c as the kernel's simulator does.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "base/iov.h"
#include "base/log.h"
#include "simblk_internal.h"

/* ---- pieces ---- */

bool simblk_is_mapped(const struct iovec *iov, uint32_t nr, uint64_t len)
{
	for (uint32_t i = 0; i < nr && len > 0; i++) {
		if (!iov[i].iov_base)
			return false;
		len -= iov[i].iov_len < len ? iov[i].iov_len : len;
	}
	return len == 0;
}

bool simblk_slice(const struct iovec *iov, uint32_t nr, uint64_t off, uint64_t len,
		  struct simblk_pieces *pieces)
{
	struct iov_walk w = iov_walk_from(iov, nr, off, len);

	pieces->n = 0;
	while (iov_walk_next(&w)) {
		if (!iov[w.idx].iov_base)
			return false;
		pieces->iov[pieces->n++] = (struct iovec){iov_walk_base(&w), w.len};
	}
	return w.left == 0;
}

bool simblk_req_in(const struct simblk_req *req, uint64_t len, struct simblk_pieces *pieces)
{
	return simblk_slice(req->chain.in, req->chain.nr_in, 0, len, pieces);
}

bool simblk_req_out(const struct simblk_req *req, struct simblk_pieces *pieces)
{
	return simblk_slice(req->chain.out, req->chain.nr_out, SIMBLK_HEADER_LEN, req->out_len,
			    pieces);
}

bool simblk_req_read(const struct simblk_req *req, void *dst, size_t len)
{
	if (!simblk_is_mapped(req->chain.out, req->chain.nr_out, SIMBLK_HEADER_LEN + len))
		return false;
	return ring_chain_read(&req->chain, SIMBLK_HEADER_LEN, dst, len) == len;
}

/* ---- the parts of a request ---- */

void simblk_req_parse(struct simblk_req *req)
{
	const struct ring_chain *chain = &req->chain;
	struct virtio_blk_outhdr header;

	req->has_header =
		simblk_is_mapped(chain->out, chain->nr_out, SIMBLK_HEADER_LEN) &&
		ring_chain_read(chain, 0, &header, SIMBLK_HEADER_LEN) == SIMBLK_HEADER_LEN;
	req->out_len = 0;
	if (req->has_header) {
		req->type = le32toh(header.type);
		req->sector = le64toh(header.sector);
		req->out_len = chain->out_len - SIMBLK_HEADER_LEN;
	}
	req->has_status = chain->nr_in > 0 && chain->in[chain->nr_in - 1].iov_base;
	req->in_len = chain->nr_in > 0 ? chain->in_len - 1 : 0;
}

void simblk_req_finish(struct simblk_req *req, uint8_t status, uint32_t written)
{
	struct ring *ring = req->vq->ring;

	if (req->has_status) {
		written += (uint32_t)ring_chain_write(&req->chain, req->in_len, &status,
						      sizeof(status));
		/* Else the status is not where the used length says that bytes were written; and of
		 * a read that failed midway some data may be there. */
		if (written <= req->in_len)
			ring_wrote(ring, &req->chain, 0, req->in_len + sizeof(status));
	}
	ring_push(ring, &req->chain, written);
}

static void count(uint64_t *counter, uint64_t n)
{
	if (n)
		__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED); /* one writer */
}

static void count_request(const struct simblk_req *req, uint8_t status)
{
	struct simblk_stats *stats = &req->blk->stats[req->vq->idx];
	bool ok = status == VIRTIO_BLK_S_OK;

	count(&stats->requests, 1);
	count(&stats->errors, !ok);
	if (ok && req->type == VIRTIO_BLK_T_IN)
		count(&stats->read_bytes, req->in_len);
	if (ok && req->type == VIRTIO_BLK_T_OUT)
		count(&stats->written_bytes, req->out_len);
}

/* How much the next flush has to do. */
static void note_unsafe(const struct simblk_req *req)
{
	struct simblk *blk = req->blk;
	uint64_t len = req->type == VIRTIO_BLK_T_OUT            ? req->out_len
		       : req->type == VIRTIO_BLK_T_WRITE_ZEROES ? req->done
								: 0;

	if (len && !blk->quick && !blk->write_through)
		__atomic_fetch_add(&blk->unsafe_len, len, __ATOMIC_RELAXED);
}

void simblk_complete(struct simblk_req *req, uint8_t status, uint32_t written)
{
	count_request(req, status);
	note_unsafe(req);
	simblk_req_finish(req, status, written);
}

bool simblk_in_range(const struct simblk *blk, uint64_t sector, uint64_t nr, uint64_t max)
{
	uint64_t all = simblk_nr_sectors(blk);

	return nr <= max && sector <= all && nr <= all - sector;
}

uint8_t simblk_req_status(const struct simblk_req *req, int err)
{
	if (!err)
		return VIRTIO_BLK_S_OK;
	if (err == -EFAULT)
		ring_break(req->vq->ring, "memory vanished");
	else
		hf_warn(req->blk->name, "backend %s: request of type %u at sector %llu: %s",
			req->blk->backend->name, req->type, (unsigned long long)req->sector,
			strerror(-err));
	return VIRTIO_BLK_S_IOERR;
}
