// SPDX-License-Identifier: BSD-3-Clause
/*
 * Flushes, and what becomes of their errors. The kernel tells each open file once that a write to
 * the drive has failed. The flush that hears of it may belong to a request that a reset or a
 * suspend takes back, or to another queue than the data. So the disk remembers it: from then on
 * each flush, and each write that must be safe, fails until the file is opened again.
 */
#include <string.h>

#include "base/log.h"
#include "simblk_internal.h"

int simblk_flushed(struct simblk *blk, int err)
{
	int first = 0;

	if (err && __atomic_compare_exchange_n(&blk->flush_err, &first, err, false,
					       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		hf_err(blk->name,
		       "a flush has failed: %s; no other will succeed before the disk was closed "
		       "and opened again",
		       strerror(-err));
	return err ? err : __atomic_load_n(&blk->flush_err, __ATOMIC_RELAXED);
}

int simblk_flush(struct simblk *blk)
{
	return simblk_flushed(blk, blk->backend->flush(blk));
}
