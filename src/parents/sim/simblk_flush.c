// SPDX-License-Identifier: BSD-3-Clause
/*
 * Flushes, and what becomes of their errors. The kernel tells each open file once that a write to
 * the drive has failed. The flush that hears of it may belong to a request that a reset or a
 * suspend takes back, or to another queue than the data. So the disk remembers it: from then on
 * each flush, and each write that must be safe, fails until the file is opened again.
 *
 * Of two flushes that are under way at once, the one that is told may come back last. So each that
 * was told of nothing asks by another open file, which is told for itself. One asks at a time: what
 * the one before was told is remembered by then.
 */
#include <string.h>

#include "base/log.h"
#include "simblk_internal.h"

static int ask(struct simblk *blk)
{
	return blk->quick || !blk->backend->has_failed ? 0 : blk->backend->has_failed(blk);
}

int simblk_flushed(struct simblk *blk, int err)
{
	mutex_lock(&blk->asking);
	if (!err)
		err = ask(blk);
	if (err && !blk->flush_err) {
		blk->flush_err = err;
		hf_err(blk->name,
		       "a flush has failed: %s; no other will succeed before the disk was closed "
		       "and opened again",
		       strerror(-err));
	}
	if (!err)
		err = blk->flush_err;
	mutex_unlock(&blk->asking);
	return err;
}

int simblk_flush(struct simblk *blk)
{
	return simblk_flushed(blk, blk->backend->flush(blk));
}
