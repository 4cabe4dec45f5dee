// SPDX-License-Identifier: BSD-3-Clause
#include "bench/iotlb_rig.h"

#include <errno.h>
#include <sched.h>

#include "base/clock.h"
#include "bench/bench.h"

#define LOOKUP_RUN   2000U /* lookups a sample */
#define MAX_EDIT_RUN 64U   /* maps or unmaps a sample */
#define WRITER_LEAD  100U  /* edits of the writer before anything is measured */

/* xorshift64*, scaled to [0, n) */
size_t rig_rnd_below(uint64_t *state, size_t n)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return (size_t)(((unsigned __int128)(x * 0x2545f4914f6cdd1dU) * n) >> 64);
}

struct iotlb_entry rig_entry_at(const struct rig *rig, iova_t iova)
{
	return (struct iotlb_entry){.first = iova,
				    .last = iova + PAGE - 1,
				    .mem = rig->mem,
				    .off = iova % REGION_LEN,
				    .perm = IOTLB_RW};
}

int rig_map_one(struct rig *rig, enum side side, iova_t iova)
{
	struct iotlb_entry e = rig_entry_at(rig, iova);

	if (side == BASELINE)
		return rbtree_map_many(rig->rb, &e, 1);
	return iotlb_map(rig->tlb, e.first, e.last, e.mem, e.off, e.perm);
}

static int unmap_one(struct rig *rig, enum side side, iova_t iova)
{
	if (side == BASELINE)
		return rbtree_unmap(rig->rb, iova, iova + PAGE - 1) == 1 ? 0 : -ENOENT;
	return iotlb_unmap(rig->tlb, iova, iova + PAGE - 1, NULL);
}

static void edit_lock(struct rig *rig, enum side side) NO_TSA
{
	if (side == IOTLB)
		mutex_lock(&rig->lock);
}

static void edit_unlock(struct rig *rig, enum side side) NO_TSA
{
	if (side == IOTLB)
		mutex_unlock(&rig->lock);
}

/* ---- the writer ---- */

static void *writer_main(void *arg)
{
	struct rig *rig = arg;
	enum side side = rig->writer_side;
	uint64_t rnd = 88172645463325252U;
	int err = bench_pin(1) < 0 ? -EINVAL : 0;

	while (!err && !__atomic_load_n(&rig->stop_writer, __ATOMIC_RELAXED)) {
		iova_t iova = rig_rnd_below(&rnd, rig->nr) * STRIDE;

		edit_lock(rig, side);
		err = unmap_one(rig, side, iova);
		edit_unlock(rig, side);
		if (err)
			break;
		edit_lock(rig, side);
		err = rig_map_one(rig, side, iova);
		edit_unlock(rig, side);
		__atomic_fetch_add(&rig->nr_written, 1, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&rig->stop_writer, true, __ATOMIC_RELAXED);
	return (void *)(intptr_t)err;
}

int rig_writer_start(struct rig *rig, enum side side)
{
	int err;

	rig->writer_side = side;
	rig->stop_writer = false;
	rig->nr_written = 0;
	err = -pthread_create(&rig->writer, NULL, writer_main, rig);
	while (!err && __atomic_load_n(&rig->nr_written, __ATOMIC_RELAXED) < WRITER_LEAD &&
	       !__atomic_load_n(&rig->stop_writer, __ATOMIC_RELAXED))
		sched_yield();
	return err;
}

int rig_writer_stop(struct rig *rig)
{
	void *ret;

	__atomic_store_n(&rig->stop_writer, true, __ATOMIC_RELAXED);
	pthread_join(rig->writer, &ret);
	return (int)(intptr_t)ret;
}

/* ---- operations ---- */

static inline void lookup(struct rig *rig, enum side side, iova_t iova)
{
	struct iotlb_entry e;
	bool hit = side == IOTLB ? iotlb_lookup(iotlb_load(rig->tlb), iova, &e)
				 : rbtree_lookup(rig->rb, iova, &e);

	if (hit)
		rig->sink += e.off;
}

static int op_lookup_hot(struct rig *rig, enum side side)
{
	iova_t iova = rig->nr / 2 * STRIDE;

	for (unsigned int i = 0; i < LOOKUP_RUN; i++)
		lookup(rig, side, iova + i % PAGE);
	return LOOKUP_RUN;
}

static int op_lookup_sequential(struct rig *rig, enum side side)
{
	for (unsigned int i = 0; i < LOOKUP_RUN; i++) {
		lookup(rig, side, rig->sequence * STRIDE);
		if (++rig->sequence >= rig->nr)
			rig->sequence = 0;
	}
	return LOOKUP_RUN;
}

static int op_lookup_random(struct rig *rig, enum side side)
{
	for (unsigned int i = 0; i < LOOKUP_RUN; i++)
		lookup(rig, side, rig_rnd_below(&rig->rnd, rig->nr) * STRIDE);
	return LOOKUP_RUN;
}

/* What a ring does for each descriptor: the queue's last hit first. */
static int op_translate_hot(struct rig *rig, enum side side)
{
	iova_t iova = rig->nr / 2 * STRIDE;
	struct iovec iov;

	if (side == BASELINE)
		return op_lookup_hot(rig, side);
	for (unsigned int i = 0; i < LOOKUP_RUN; i++) {
		const struct iotlb_version *v = iotlb_load(rig->tlb);
		int nr = iotlb_translate(v, &rig->cache, iova + i % PAGE, 1, IOTLB_R, &iov, 1);

		rig->sink += nr > 0 ? (uintptr_t)iov.iov_base : 0;
	}
	return LOOKUP_RUN;
}

static unsigned int edit_run(const struct rig *rig)
{
	size_t run = rig->nr / 8;

	return run < 1 ? 1 : run > MAX_EDIT_RUN ? MAX_EDIT_RUN : (unsigned int)run;
}

/* Fill random gaps and empty them again; the half that @measure_map names counts. */
static int edit_gaps(struct rig *rig, enum side side, bool measure_map)
{
	size_t gap[MAX_EDIT_RUN], room = rig->nr / edit_run(rig);
	unsigned int run = edit_run(rig);
	int64_t start, mid;
	int err = 0;

	/* One gap in each of @run equal parts, so that no two are the same. */
	for (unsigned int i = 0; i < run; i++)
		gap[i] = i * room + rig_rnd_below(&rig->rnd, room);
	start = clock_now_ns();
	for (unsigned int i = 0; i < run && !err; i++) {
		edit_lock(rig, side);
		err = rig_map_one(rig, side, gap[i] * STRIDE + PAGE);
		edit_unlock(rig, side);
	}
	mid = clock_now_ns();
	for (unsigned int i = 0; i < run && !err; i++) {
		edit_lock(rig, side);
		err = unmap_one(rig, side, gap[i] * STRIDE + PAGE);
		edit_unlock(rig, side);
	}
	rig->run_ns = (double)(measure_map ? mid - start : clock_now_ns() - mid);
	return err ? err : (int)run;
}

static int op_map(struct rig *rig, enum side side)
{
	return edit_gaps(rig, side, true);
}

static int op_unmap(struct rig *rig, enum side side)
{
	return edit_gaps(rig, side, false);
}

static int batch_map(struct rig *rig)
{
	int err = iotlb_begin(rig->tlb);

	if (err)
		return err;
	for (unsigned int i = 0; i < BATCH && !err; i++) {
		const struct iotlb_entry *e = &rig->batch[i];

		err = iotlb_map(rig->tlb, e->first, e->last, e->mem, e->off, e->perm);
	}
	if (err)
		iotlb_abort(rig->tlb);
	else
		iotlb_commit(rig->tlb);
	return err;
}

/* Map 1000 neighbouring gaps as one change; taking them away again does not count. */
static int op_batch(struct rig *rig, enum side side)
{
	size_t at = rig->nr > 2 * BATCH ? rig_rnd_below(&rig->rnd, rig->nr - BATCH) : rig->nr;
	int64_t start;
	iova_t last;
	int err;

	for (unsigned int i = 0; i < BATCH; i++)
		rig->batch[i] = rig_entry_at(rig, (at + i) * STRIDE + PAGE);
	edit_lock(rig, side);
	start = clock_now_ns();
	err = side == IOTLB ? batch_map(rig) : rbtree_map_many(rig->rb, rig->batch, BATCH);
	rig->run_ns = (double)(clock_now_ns() - start);
	edit_unlock(rig, side);
	for (unsigned int i = 0; i < BATCH && !err; i++) {
		last = rig->batch[i].first;
		edit_lock(rig, side);
		err = unmap_one(rig, side, last);
		edit_unlock(rig, side);
	}
	return err ? err : 1;
}

static int count_change(void *arg, enum iotlb_change change, const struct iotlb_entry *e)
{
	++*(size_t *)arg;
	return 0;
}

/* Two versions of the iotlb, one map apart. */
static int diff_iotlb(struct rig *rig, iova_t iova)
{
	const struct iotlb_version *from, *to;
	size_t nr = 0;
	int64_t start;
	int err;

	mutex_lock(&rig->lock);
	from = iotlb_snapshot(rig->tlb);
	err = rig_map_one(rig, IOTLB, iova);
	to = iotlb_snapshot(rig->tlb);
	if (!err)
		err = unmap_one(rig, IOTLB, iova);
	mutex_unlock(&rig->lock);
	start = clock_now_ns();
	if (!err)
		err = iotlb_diff(from, to, count_change, &nr);
	rig->run_ns = (double)(clock_now_ns() - start);
	iotlb_version_put(from);
	iotlb_version_put(to);
	return err ? err : nr == 1 ? 1 : -EIO;
}

/* The baseline keeps a copy of what it told the device last and compares all of it. */
static int op_diff_one(struct rig *rig, enum side side)
{
	iova_t iova = rig_rnd_below(&rig->rnd, rig->nr) * STRIDE + PAGE;
	int64_t start;
	int err;

	if (side == IOTLB)
		return diff_iotlb(rig, iova);
	err = rig_map_one(rig, side, iova);
	if (err)
		return err;
	start = clock_now_ns();
	rig->sink += rbtree_diff(rig->rb_old, rig->rb);
	rig->run_ns = (double)(clock_now_ns() - start);
	err = unmap_one(rig, side, iova);
	return err ? err : 1;
}

const struct operation iotlb_operations[NR_OPERATIONS] = {
	{"lookup hot", op_lookup_hot, true},
	{"lookup sequential", op_lookup_sequential, true},
	{"lookup random", op_lookup_random, true},
	{"translate hot", op_translate_hot, true},
	{"map", op_map, false},
	{"unmap", op_unmap, false},
	{"batch of 1000", op_batch, false},
	{"diff after one map", op_diff_one, false},
};
