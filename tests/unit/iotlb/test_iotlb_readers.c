// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two iotlbs under two writers, read by real RCU readers all the while. The first writer replaces
 * all mappings of the first iotlb in one batch by mappings of a fresh region; each region's client
 * address names its batch. It hands snapshots to the second writer, which publishes them in the
 * second iotlb, under its own lock, and edits there.
 *
 * A reader must find, in one version: all of a batch or nothing of it [G1]; regions and nodes that
 * are alive, which the sanitizers check [G2] [G3]; a cache that never answers for another version
 * [G9].
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/rcu.h"
#include "iotlb/iotlb.h"
#include "model.h"

#define NR_READERS  2
#define DEADLINE_S  20
#define NR_BATCHES  1500
#define NR_ENTRIES  100U /* of a batch; neighbours touch */
#define ENTRY_LEN   16U
#define SPAN        (NR_ENTRIES * ENTRY_LEN)
#define EXTRA       (SPAN + 1000) /* entries that the second writer adds lie from here on */
#define STAMP_SHIFT 20            /* batch number in a region's client address */
#define FIXED_LAST  UINT64_MAX
#define FIXED_FIRST (UINT64_MAX - 15) /* mapped in every version of the first iotlb */

struct world {
	struct memory_space *space;
	struct memory_region *fixed;
	struct iotlb *tlb[2];
	struct mutex lock;                   /* of the mailbox */
	const struct iotlb_version *mailbox; /* for the second writer; NULL: empty */
	bool stop;                           /* atomic: readers and second writer end */
	unsigned long nr_seen[NR_READERS];   /* atomic: versions read that had a batch in them */
	unsigned long nr_assigned;           /* atomic */
	unsigned long nr_wrong;              /* atomic: broken invariants */
};

struct reader {
	struct world *w;
	unsigned int idx;
	pthread_t thread;
};

static void check(struct world *w, bool ok)
{
	if (!ok)
		__atomic_fetch_add(&w->nr_wrong, 1, __ATOMIC_RELAXED);
}

static struct memory_region *region_of_batch(struct world *w, uint64_t batch)
{
	struct memory_region *mem = NULL;

	if (memory_region_create(w->space, batch << STAMP_SHIFT, 1U << STAMP_SHIFT, true, MEMORY_VA,
				 &mem))
		check(w, false);
	return mem;
}

/* ---- readers ---- */

/* All entries of one version bear one batch's stamp. Return: the stamp, 0 if the version is
 * empty */
static uint64_t read_stamp(struct world *w, const struct iotlb_version *v)
{
	uint64_t stamp = 0;
	unsigned int nr = 0;

	for (unsigned int i = 0; i < NR_ENTRIES; i += 7, nr++) {
		struct iotlb_entry e;
		uint64_t now = 0;

		if (iotlb_lookup(v, i * ENTRY_LEN + 3, &e)) {
			now = e.mem->uaddr >> STAMP_SHIFT;
			check(w, e.first == i * ENTRY_LEN && e.last == e.first + ENTRY_LEN - 1);
		}
		check(w, nr == 0 || now == stamp);
		stamp = now;
	}
	return stamp;
}

static void read_once(struct world *w, unsigned int which, struct iotlb_cache *cache,
		      unsigned long *nr_seen)
{
	const struct iotlb_version *v = iotlb_load(w->tlb[which]);
	uint64_t stamp = read_stamp(w, v);
	struct iotlb_entry e;
	struct iovec iov[2];

	/* The batch's region is one piece of memory, so its entries are too. */
	for (int i = 0; i < 2 && stamp; i++) {
		int nr = iotlb_translate(v, cache, i * 5, SPAN - 5, IOTLB_R, iov, 2);

		check(w, nr == 1 && iov[0].iov_len == SPAN - 5);
		check(w, nr != 1 || (uintptr_t)iov[0].iov_base ==
					    (stamp << STAMP_SHIFT) + (unsigned int)i * 5);
		check(w, iotlb_translate(v, cache, 7, 1, IOTLB_R, iov, 1) == 1 &&
				 (uintptr_t)iov[0].iov_base == (stamp << STAMP_SHIFT) + 7);
	}
	if (which == 0 || stamp)
		check(w, iotlb_lookup(v, FIXED_LAST, &e) && e.first == FIXED_FIRST &&
				 e.mem == w->fixed);
	*nr_seen += stamp != 0;
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct iotlb_cache cache[2] = {0};
	unsigned long nr_seen = 0;

	rcu_reader_register();
	while (!__atomic_load_n(&r->w->stop, __ATOMIC_RELAXED)) {
		for (int i = 0; i < 8; i++)
			read_once(r->w, (unsigned int)i % 2, &cache[i % 2], &nr_seen);
		rcu_reader_quiescent();
		__atomic_store_n(&r->w->nr_seen[r->idx], nr_seen, __ATOMIC_RELAXED);
	}
	rcu_reader_unregister();
	return NULL;
}

/* ---- writers ---- */

/* Replace the mappings. Return: 0 or -errno */
static int write_batch(struct world *w, uint64_t batch)
{
	struct memory_region *mem = region_of_batch(w, batch);
	int err = iotlb_begin(w->tlb[0]);

	if (!err)
		err = iotlb_unmap(w->tlb[0], 0, SPAN - 1, NULL);
	for (unsigned int i = 0; i < NR_ENTRIES && !err; i++) {
		/* An order that is not the addresses' own. */
		iova_t first = (i * 37 % NR_ENTRIES) * ENTRY_LEN;

		err = iotlb_map(w->tlb[0], first, first + ENTRY_LEN - 1, mem, first, IOTLB_R);
	}
	memory_region_put(mem);
	if (!err && batch % 16 == 15)
		iotlb_abort(w->tlb[0]);
	else
		iotlb_commit(w->tlb[0]);
	return err;
}

static void mail(struct world *w, const struct iotlb_version *v)
{
	const struct iotlb_version *old;

	mutex_lock(&w->lock);
	old = w->mailbox;
	w->mailbox = v;
	mutex_unlock(&w->lock);
	iotlb_version_put(old);
}

static void *second_writer_main(void *arg)
{
	struct world *w = arg;
	struct iotlb *tlb = w->tlb[1];
	int err = 0;

	while (!err && !__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		const struct iotlb_version *v;

		mutex_lock(&w->lock);
		v = w->mailbox;
		w->mailbox = NULL;
		mutex_unlock(&w->lock);
		if (v) {
			err = iotlb_assign(tlb, v);
			iotlb_version_put(v);
			__atomic_add_fetch(&w->nr_assigned, 1, __ATOMIC_RELAXED);
		}
		for (iova_t i = 0; i < 20 && !err; i++)
			if (!iotlb_overlaps(tlb, EXTRA + i * 2, EXTRA + i * 2))
				err = iotlb_map(tlb, EXTRA + i * 2, EXTRA + i * 2, w->fixed, 0,
						IOTLB_R);
		if (!err)
			err = iotlb_unmap(tlb, EXTRA + 10, EXTRA + 20, NULL);
	}
	check(w, err == 0);
	return NULL;
}

static void world_init(struct world *w)
{
	mutex_init(&w->lock);
	assert_int_equal(memory_space_create_own(&w->space), 0);
	w->fixed = region_of_batch(w, NR_BATCHES + 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(iotlb_create(1000, &w->tlb[i]), 0);
	assert_int_equal(iotlb_map(w->tlb[0], FIXED_FIRST, FIXED_LAST, w->fixed, 0, IOTLB_R), 0);
}

static void world_fini(struct world *w)
{
	mail(w, NULL);
	iotlb_destroy(w->tlb[0]);
	iotlb_destroy(w->tlb[1]);
	assert_int_equal(w->fixed->refs, 1);
	memory_region_put(w->fixed);
	memory_space_put(w->space);
	mutex_fini(&w->lock);
}

/* Did each reader find something, and the second writer? On a loaded machine a thread may begin
 * late. */
static bool have_met(const struct world *w)
{
	return __atomic_load_n(&w->nr_seen[0], __ATOMIC_RELAXED) > 0 &&
	       __atomic_load_n(&w->nr_seen[1], __ATOMIC_RELAXED) > 0 &&
	       __atomic_load_n(&w->nr_assigned, __ATOMIC_RELAXED) > 0;
}

static void iotlb_readers_beside_writers_see_whole_versions(void **state)
{
	struct world w = {0};
	struct reader reader[NR_READERS];
	int64_t end = clock_now_ns() + DEADLINE_S * NS_PER_SEC;
	pthread_t second;
	int err = 0;

	world_init(&w);
	for (unsigned int i = 0; i < NR_READERS; i++) {
		reader[i] = (struct reader){.w = &w, .idx = i};
		assert_int_equal(pthread_create(&reader[i].thread, NULL, reader_main, &reader[i]),
				 0);
	}
	assert_int_equal(pthread_create(&second, NULL, second_writer_main, &w), 0);
	for (uint64_t batch = 1; batch <= NR_BATCHES && !err; batch++) {
		err = write_batch(&w, batch);
		if (batch % 4 == 0)
			mail(&w, iotlb_snapshot(w.tlb[0]));
		if (batch % 8 == 0)
			iotlb_synchronize(w.tlb[0]);
	}
	while (!have_met(&w) && !err && clock_now_ns() < end)
		err = write_batch(&w, NR_BATCHES);
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < NR_READERS; i++)
		pthread_join(reader[i].thread, NULL);
	pthread_join(second, NULL);
	assert_int_equal(err, 0);
	assert_int_equal(w.nr_wrong, 0);
	/* The test would be empty if nobody had met anybody. */
	assert_true(have_met(&w));
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iotlb_readers_beside_writers_see_whole_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
