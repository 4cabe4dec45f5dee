// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench iotlb`: the versioned tree against a red-black tree under a spin lock.
 *
 * Both hold the same N ranges of 4 KiB with gaps of 4 KiB, mapped in ascending order, or in random
 * order with --shuffle. Each case runs on both, in one process, in turns, so that what else the
 * machine does hits both. A sample is the mean of a run of operations long enough for the clock's
 * own cost to vanish; the figures are percentiles over the samples.
 *
 * With a writer, a second thread on another CPU unmaps and maps random ranges without pause, of the
 * structure that is being measured alone. Lookups then run beside it. Edits of the iotlb need its
 * device lock, which is a mutex here; those of the baseline need the spin lock that they need
 * anyway.
 *
 * The lookup cases stand for a worker: an RCU reader that passes a quiescent state after each
 * sample.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/mutex.h"
#include "base/rcu.h"
#include "bench/bench.h"
#include "bench/rbtree.h"
#include "cli/cli.h"
#include "iotlb/iotlb.h"

#define PAGE           4096ULL
#define STRIDE         (2 * PAGE)
#define BATCH          1000U
#define LOOKUP_RUN     2000U /* lookups a sample */
#define MAX_EDIT_RUN   64U   /* maps or unmaps a sample */
#define NR_SIZES_MAX   16
#define PORTIONS       4    /* turns that the two sides take in a case */
#define MIN_SAMPLES    2U   /* a portion */
#define WRITER_LEAD    100U /* edits of the writer before anything is measured */
#define REGION_LEN     (1ULL << 40)
#define REGION_ADDRESS 0x100000000000ULL

enum side { IOTLB, BASELINE, NR_SIDES };

struct options {
	size_t sizes[NR_SIZES_MAX];
	size_t nr_sizes;
	int64_t budget_ns; /* a portion of a case, and side */
	bool json, shuffle, quick, help;
};

struct rig {
	const struct options *opt;
	size_t nr; /* ranges, not counting the gaps that edits fill for a while */
	struct memory_space *space;
	struct memory_region *mem;
	struct iotlb *tlb;
	struct mutex lock; /* the device lock of @tlb */
	struct rbtree *rb, *rb_old;
	struct iotlb_cache cache;
	struct iotlb_entry batch[BATCH];
	uint64_t rnd;
	size_t sequence; /* next index of the sequential lookups */
	uint64_t sink;   /* keeps results alive */
	double run_ns;   /* set by an operation that measures only a part of itself */

	pthread_t writer;
	enum side writer_side;
	bool stop_writer;  /* atomic */
	size_t nr_written; /* atomic: edits since the start */
};

/* Does one run on one side. Return: operations in it; -errno */
typedef int (*op_fn)(struct rig *rig, enum side side);

/* xorshift64*, scaled to [0, n) */
static inline size_t rnd_below(uint64_t *state, size_t n)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return (size_t)(((unsigned __int128)(x * 0x2545f4914f6cdd1dU) * n) >> 64);
}

static struct iotlb_entry entry_at(const struct rig *rig, iova_t iova)
{
	return (struct iotlb_entry){.first = iova,
				    .last = iova + PAGE - 1,
				    .mem = rig->mem,
				    .off = iova % REGION_LEN,
				    .perm = IOTLB_RW};
}

static int map_one(struct rig *rig, enum side side, iova_t iova)
{
	struct iotlb_entry e = entry_at(rig, iova);

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
		iova_t iova = rnd_below(&rnd, rig->nr) * STRIDE;

		edit_lock(rig, side);
		err = unmap_one(rig, side, iova);
		edit_unlock(rig, side);
		if (err)
			break;
		edit_lock(rig, side);
		err = map_one(rig, side, iova);
		edit_unlock(rig, side);
		__atomic_fetch_add(&rig->nr_written, 1, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&rig->stop_writer, true, __ATOMIC_RELAXED);
	return (void *)(intptr_t)err;
}

/* Returns when the writer is at work, or has failed: writer_stop() tells. */
static int writer_start(struct rig *rig, enum side side)
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

static int writer_stop(struct rig *rig)
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
		lookup(rig, side, rnd_below(&rig->rnd, rig->nr) * STRIDE);
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
		gap[i] = i * room + rnd_below(&rig->rnd, room);
	start = clock_now_ns();
	for (unsigned int i = 0; i < run && !err; i++) {
		edit_lock(rig, side);
		err = map_one(rig, side, gap[i] * STRIDE + PAGE);
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
	size_t at = rig->nr > 2 * BATCH ? rnd_below(&rig->rnd, rig->nr - BATCH) : rig->nr;
	int64_t start;
	iova_t last;
	int err;

	for (unsigned int i = 0; i < BATCH; i++)
		rig->batch[i] = entry_at(rig, (at + i) * STRIDE + PAGE);
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
	err = map_one(rig, IOTLB, iova);
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
	iova_t iova = rnd_below(&rig->rnd, rig->nr) * STRIDE + PAGE;
	int64_t start;
	int err;

	if (side == IOTLB)
		return diff_iotlb(rig, iova);
	err = map_one(rig, side, iova);
	if (err)
		return err;
	start = clock_now_ns();
	rig->sink += rbtree_diff(rig->rb_old, rig->rb);
	rig->run_ns = (double)(clock_now_ns() - start);
	err = unmap_one(rig, side, iova);
	return err ? err : 1;
}

static const struct operation {
	const char *name;
	op_fn fn;
	bool reader;
} operations[] = {
	{"lookup hot", op_lookup_hot, true},
	{"lookup sequential", op_lookup_sequential, true},
	{"lookup random", op_lookup_random, true},
	{"translate hot", op_translate_hot, true},
	{"map", op_map, false},
	{"unmap", op_unmap, false},
	{"batch of 1000", op_batch, false},
	{"diff after one map", op_diff_one, false},
};

/* ---- measuring ---- */

static int sample(struct rig *rig, const struct operation *op, enum side side,
		  struct bench_samples *out)
{
	int64_t start = clock_now_ns();
	int nr;

	rig->run_ns = -1;
	nr = op->fn(rig, side);
	if (nr < 0)
		return nr;
	if (rig->run_ns < 0)
		rig->run_ns = (double)(clock_now_ns() - start);
	if (op->reader)
		rcu_reader_quiescent();
	return out ? bench_samples_add(out, rig->run_ns / nr) : 0;
}

/* One turn: samples of one side until the budget is used up, after a tenth of that as warm-up. */
static int measure_side(struct rig *rig, const struct operation *op, enum side side, bool writer,
			struct bench_samples *out)
{
	int64_t start = clock_now_ns(), warm = start + rig->opt->budget_ns / 10;
	int64_t end = start + rig->opt->budget_ns;
	int err = writer ? writer_start(rig, side) : 0, stop_err = 0;

	if (err)
		return err;
	if (op->reader)
		rcu_reader_register();
	do
		err = sample(rig, op, side, NULL);
	while (!err && clock_now_ns() < warm);
	for (size_t nr = 0; !err && (nr < MIN_SAMPLES || clock_now_ns() < end); nr++)
		err = sample(rig, op, side, out);
	if (op->reader)
		rcu_reader_unregister();
	if (writer)
		stop_err = writer_stop(rig);
	return err ? err : stop_err;
}

static int report(struct rig *rig, const struct operation *op, bool writer, json_t *doc,
		  struct bench_samples s[NR_SIDES])
{
	double ours = bench_percentile(&s[IOTLB], 50), base = bench_percentile(&s[BASELINE], 50);
	char name[80];
	json_t *extra;

	if (!doc) {
		printf("%8zu  %-19s %-6s %12.1f %12.1f %14.1f %9.1fx\n", rig->nr, op->name,
		       writer ? "yes" : "no", ours, bench_percentile(&s[IOTLB], 99), base,
		       base / ours);
		fflush(stdout);
		return 0;
	}
	snprintf(name, sizeof(name), "%s/%zu%s", op->name, rig->nr, writer ? "/writer" : "");
	extra = json_pack("{s:I, s:s, s:b, s:f}", "entries", (json_int_t)rig->nr, "operation",
			  op->name, "writer", writer, "baseline_median_ns", base);
	return extra ? bench_json_row(doc, name, &s[IOTLB], extra) : -ENOMEM;
}

static int measure(struct rig *rig, const struct operation *op, bool writer, json_t *doc)
{
	struct bench_samples s[NR_SIDES] = {0};
	int err = 0;

	for (int turn = 0; turn < PORTIONS * NR_SIDES && !err; turn++) {
		enum side side = (enum side)(turn % NR_SIDES);

		err = measure_side(rig, op, side, writer, &s[side]);
	}
	if (!err)
		err = report(rig, op, writer, doc, s);
	for (int side = 0; side < NR_SIDES; side++)
		bench_samples_fini(&s[side]);
	return err;
}

/* ---- building ---- */

/* Put the indexes 0..nr-1 into @order, ascending or shuffled. */
static void fill_order(struct rig *rig, uint32_t *order, bool shuffle)
{
	for (size_t i = 0; i < rig->nr; i++)
		order[i] = (uint32_t)i;
	for (size_t i = rig->nr; shuffle && i > 1; i--) {
		size_t j = rnd_below(&rig->rnd, i);
		uint32_t tmp = order[i - 1];

		order[i - 1] = order[j];
		order[j] = tmp;
	}
}

static int build_iotlb(struct rig *rig, const uint32_t *order)
{
	int err = iotlb_create(IOTLB_MAX_ENTRIES_DEFAULT * 2, &rig->tlb);

	if (err)
		return err;
	err = iotlb_begin(rig->tlb);
	for (size_t i = 0; i < rig->nr && !err; i++)
		err = map_one(rig, IOTLB, order[i] * STRIDE);
	if (err)
		return err;
	iotlb_commit(rig->tlb);
	return 0;
}

static int build_baseline(struct rig *rig, const uint32_t *order)
{
	int err = 0;

	rig->rb = rbtree_create();
	rig->rb_old = rbtree_create();
	if (!rig->rb || !rig->rb_old)
		return -ENOMEM;
	for (size_t i = 0; i < rig->nr && !err; i++) {
		struct iotlb_entry e = entry_at(rig, order[i] * STRIDE);

		err = rbtree_map_many(rig->rb, &e, 1);
		if (!err)
			err = rbtree_map_many(rig->rb_old, &e, 1);
	}
	return err;
}

static void drop_iotlb(struct rig *rig)
{
	iotlb_destroy(rig->tlb);
	rig->tlb = NULL;
}

static int report_memory(struct rig *rig, bool shuffle, json_t *memory)
{
	double bytes = (double)iotlb_memory_bytes(rig->tlb) / (double)rig->nr;
	const char *order = shuffle ? "random" : "ascending";
	json_t *row;

	if (!memory) {
		printf("%8zu  heap bytes an entry, mapped in %s order: %.1f; baseline %zu\n",
		       rig->nr, order, bytes, rbtree_bytes());
		return 0;
	}
	row = json_pack("{s:I, s:s, s:f, s:I}", "entries", (json_int_t)rig->nr, "order", order,
			"bytes_per_entry", bytes, "baseline_bytes_per_entry",
			(json_int_t)rbtree_bytes());
	return row && json_array_append_new(memory, row) == 0 ? 0 : -ENOMEM;
}

/* Build with both orders for the figures of memory; the one that was asked for stays. */
static int build(struct rig *rig, json_t *doc)
{
	json_t *memory = doc ? json_object_get(doc, "memory") : NULL;
	uint32_t *order = calloc(rig->nr, sizeof(*order));
	bool shuffle = !rig->opt->shuffle;
	int err = order ? 0 : -ENOMEM;

	for (int round = 0; round < 2 && !err; round++, shuffle = !shuffle) {
		drop_iotlb(rig);
		fill_order(rig, order, shuffle);
		err = build_iotlb(rig, order);
		if (!err)
			err = report_memory(rig, shuffle, memory);
	}
	if (!err)
		err = build_baseline(rig, order);
	free(order);
	return err;
}

static int run_size(const struct options *opt, size_t nr, json_t *doc)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int err = rig ? memory_space_create_own(&rig->space) : -ENOMEM;

	if (err)
		goto out_free;
	rig->opt = opt;
	rig->nr = nr;
	rig->rnd = 0x9e3779b97f4a7c15U;
	mutex_init(&rig->lock);
	err = memory_region_create(rig->space, REGION_ADDRESS, REGION_LEN, true, MEMORY_VA,
				   &rig->mem);
	if (err)
		goto out_space;
	err = build(rig, doc);
	for (size_t i = 0; i < ARRAY_LEN(operations) * 2 && !err; i++)
		err = measure(rig, &operations[i / 2], i % 2, doc);
	drop_iotlb(rig);
	rbtree_destroy(rig->rb);
	rbtree_destroy(rig->rb_old);
	memory_region_put(rig->mem);
out_space:
	mutex_fini(&rig->lock);
	memory_space_put(rig->space);
out_free:
	free(rig);
	return err;
}

/* ---- the command ---- */

#define USAGE "usage: holdfast bench iotlb [--json] [--quick] [--shuffle] [--entries N]...\n"

static int help(void)
{
	printf(USAGE "Measures the IOTLB's operations against a red-black tree under a lock.\n\n"
		     "  --entries N  mappings, may be given several times\n"
		     "  --shuffle    work in random order\n"
		     "  --quick      fewer sizes and repetitions\n"
		     "  --json       write JSON\n");
	return CLI_EXIT_OK;
}

static int add_size(struct options *opt, const char *text)
{
	char *end;
	unsigned long long nr = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || nr < 1 || nr > IOTLB_MAX_ENTRIES_DEFAULT) {
		fprintf(stderr, "holdfast bench iotlb: --entries %s: give a number from 1 to %lu\n",
			text, IOTLB_MAX_ENTRIES_DEFAULT);
		return -EINVAL;
	}
	if (opt->nr_sizes == NR_SIZES_MAX) {
		fprintf(stderr, "holdfast bench iotlb: more than %d --entries\n", NR_SIZES_MAX);
		return -EINVAL;
	}
	opt->sizes[opt->nr_sizes++] = nr;
	return 0;
}

static int wrong_use(const char *what, const char *word)
{
	fprintf(stderr,
		"holdfast bench iotlb: %s '%s': known are --json, --quick, --shuffle, --entries "
		"N\n",
		what, word);
	return CLI_EXIT_USAGE;
}

static int take_option(int c, char *const *argv, struct options *opt)
{
	switch (c) {
	case 'j':
		opt->json = true;
		return 0;
	case 'q':
		opt->quick = true;
		return 0;
	case 's':
		opt->shuffle = true;
		return 0;
	case 'h':
		opt->help = true;
		return 0;
	case 'n':
		return add_size(opt, optarg) < 0 ? CLI_EXIT_USAGE : 0;
	}
	return wrong_use(c == ':' ? "value missing for" : "unknown option", argv[optind - 1]);
}

/* Return: 0 or an exit status, with the reason said */
static int parse(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},    {"quick", no_argument, NULL, 'q'},
		{"shuffle", no_argument, NULL, 's'}, {"entries", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},    {0}};
	static const size_t sizes[] = {1, 16, 1024, 65536, 1048576}, quick[] = {16, 65536};
	int c, rc = 0;

	opterr = 0;
	optind = 1;
	while (!rc && (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1)
		rc = take_option(c, argv, opt);
	if (rc || opt->help)
		return rc;
	if (optind != argc)
		return wrong_use("unexpected", argv[optind]);
	opt->budget_ns = opt->quick ? 2000000 : 50000000;
	if (opt->nr_sizes > 0)
		return 0;
	opt->nr_sizes = opt->quick ? ARRAY_LEN(quick) : ARRAY_LEN(sizes);
	memcpy(opt->sizes, opt->quick ? quick : sizes, opt->nr_sizes * sizeof(*opt->sizes));
	return 0;
}

int bench_iotlb(int argc, char **argv)
{
	struct options opt = {0};
	json_t *doc = NULL;
	int err;

	err = parse(argc, argv, &opt);
	if (err)
		return err;
	if (opt.help)
		return help();
	err = bench_pin(0);
	if (err < 0)
		fprintf(stderr, "holdfast bench iotlb: cannot pin the thread to a CPU: %s\n",
			strerror(-err));
	if (opt.json) {
		doc = bench_json_begin("iotlb");
		if (!doc || json_object_set_new(doc, "memory", json_array()) < 0)
			return CLI_EXIT_FAILED;
	} else {
		printf("%s, commit %s; nanoseconds an operation\n%8s  %-19s %-6s %12s %12s %14s "
		       "%10s\n",
		       bench_machine(), bench_commit(), "entries", "operation", "writer", "median",
		       "p99", "rb-tree median", "ratio");
	}
	err = 0;
	for (size_t i = 0; i < opt.nr_sizes && !err; i++)
		err = run_size(&opt, opt.sizes[i], doc);
	if (opt.json)
		err = bench_json_end(doc, stdout) < 0 && !err ? -EIO : err;
	if (err)
		fprintf(stderr, "holdfast bench iotlb: %s\n", strerror(-err));
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}
