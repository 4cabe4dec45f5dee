// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads that have to wait for the host's disk, though they go through its page cache.
 *
 * 1. With the worker's lock held, a read takes only what the page cache has. What is missing is
 *    fetched between two batches, with the lock free and the chain back in the ring. Fetching
 *    touches no client memory. So a reset waits for a copy, and not for the host's disk.
 * 2. If fetched data has left the page cache again, the read waits with the lock held, so that it
 *    ends at all. That is one piece of at most SIMBLK_BLOCKS_LEN.
 * 3. After a read that missed, the next SIMBLK_NR_COLD are fetched without being tried. The
 *    descriptor that fetches then sees a stream in order, and the host reads ahead of it, in large
 *    folios. The descriptor that is read with the lock held never reads ahead: the host would take
 *    megabytes for that, which take milliseconds.
 * 4. Before a fetch the worker looks at the requests that follow and tells the host of those that
 *    lie elsewhere, so the disk has many to do at once. These are tried, not fetched.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "simblk_internal.h"

/* Rule 4. A chain's number says whether the host knows of it; numbers begin anew with a start. */
static bool is_told(const struct simblk_cold *c, const struct ring_chain *chain)
{
	uint32_t i = chain->seq - c->seq;

	return c->generation == chain->generation && i < SIMBLK_AHEAD && (c->told >> i & 1);
}

int simblk_cold_read(struct simblk_req *req, uint64_t off, uint64_t len, struct simblk_pieces *data)
{
	struct simblk *blk = req->blk;
	struct simblk_cold *c = &blk->progress[req->vq->idx].cold;
	bool fetched = c->fetched && c->off == off && c->len >= len;
	int err;

	c->fetched = false;
	if (blk->quick || !blk->backend->read_now ||
	    blk->backend->fd_index(blk, off, len) != SIMBLK_CACHED)
		return blk->backend->read(blk, off, data->iov, data->n);
	if (c->nr_left == 0 || fetched || is_told(c, &req->chain)) {
		err = blk->backend->read_now(blk, off, data->iov, data->n);
		if (err != -EAGAIN)
			return err;
		if (fetched)
			return blk->backend->read(blk, off, data->iov, data->n);
		c->nr_left = SIMBLK_NR_COLD;
	} else {
		c->nr_left--;
	}
	/* the next batch begins with it, and may carry out more than what is left of this one */
	c->off = off;
	c->len = req->in_len - req->done;
	if (c->len > SIMBLK_BLOCKS_LEN)
		c->len = SIMBLK_BLOCKS_LEN;
	c->wanted = true;
	return -EAGAIN;
}

/* ---- the requests that follow ---- */

/* The chain @first is fetched; what was told of those that follow stays. */
static void begin_at(struct simblk_cold *c, const struct ring_chain *first)
{
	uint32_t passed = first->seq - c->seq;
	bool same = c->generation == first->generation && passed < SIMBLK_AHEAD;

	c->told = same ? c->told >> passed : 0;
	c->generation = first->generation;
	c->seq = first->seq;
}

/* One that begins where the last one ends is left to the host's read-ahead. */
static void expect(struct simblk_cold *c, const struct simblk_req *req, uint64_t *end)
{
	uint64_t off = req->sector * SIMBLK_SECTOR;

	if (!req->has_header || req->type != VIRTIO_BLK_T_IN ||
	    !simblk_in_range(req->blk, req->sector, req->in_len / SIMBLK_SECTOR,
			     SIMBLK_MAX_SECTORS))
		return;
	if (off != *end && req->in_len <= SIMBLK_BLOCKS_LEN && !is_told(c, &req->chain)) {
		c->ahead[c->nr_ahead++] = (struct simblk_extent){off, req->in_len};
		c->told |= 1U << (req->chain.seq - c->seq);
	}
	*end = off + req->in_len;
}

void simblk_cold_look_ahead(struct simblk *blk, struct vdpasim_vq *vq)
{
	struct simblk_cold *c = &blk->progress[vq->idx].cold;
	struct ring_chain chains[SIMBLK_AHEAD];
	uint32_t walked = ring_walked(vq->ring);
	uint64_t end = 0;
	unsigned int n = 0;

	c->nr_ahead = 0;
	while (n < SIMBLK_AHEAD && ring_walked(vq->ring) - walked < RING_WALK_MAX &&
	       ring_pop(vq->ring, &chains[n]) > 0) {
		struct simblk_req req = {.blk = blk, .vq = vq, .chain = chains[n]};

		simblk_req_parse(&req);
		if (n == 0) {
			begin_at(c, &chains[0]);
			end = req.sector * SIMBLK_SECTOR + req.in_len;
		} else {
			expect(c, &req, &end);
		}
		n++;
	}
	ring_unpop(vq->ring, chains, n);
}

/* ---- between two batches ---- */

void simblk_cold_fetch(struct simblk *blk, struct simblk_cold *c)
{
	for (unsigned int i = 0; i < c->nr_ahead; i++)
		blk->backend->expect(blk, c->ahead[i].off, c->ahead[i].len);
	c->nr_ahead = 0;
	blk->backend->fetch(blk, c->off, c->len);
}
