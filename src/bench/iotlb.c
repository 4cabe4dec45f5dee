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
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/rcu.h"
#include "bench/args.h"
#include "bench/bench.h"
#include "bench/iotlb_rig.h"
#include "cli/cli.h"

#define NR_SIZES_MAX   16
#define PORTIONS       4  /* turns that the two sides take in a case */
#define MIN_SAMPLES    2U /* a portion */
#define REGION_ADDRESS 0x100000000000ULL

struct sizes {
	size_t entries[NR_SIZES_MAX];
	size_t nr;
};

struct options {
	struct sizes sizes;
	bool json, shuffle, quick;
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
	int64_t start = clock_now_ns(), warm = start + rig->budget_ns / 10;
	int64_t end = start + rig->budget_ns;
	int err = writer ? rig_writer_start(rig, side) : 0, stop_err = 0;

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
		stop_err = rig_writer_stop(rig);
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
		size_t j = rig_rnd_below(&rig->rnd, i);
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
		err = rig_map_one(rig, IOTLB, order[i] * STRIDE);
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
		struct iotlb_entry e = rig_entry_at(rig, order[i] * STRIDE);

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
static int build(struct rig *rig, bool asked, json_t *doc)
{
	json_t *memory = doc ? json_object_get(doc, "memory") : NULL;
	uint32_t *order = calloc(rig->nr, sizeof(*order));
	bool shuffle = !asked;
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
	rig->budget_ns = opt->quick ? 2000000 : 50000000;
	rig->nr = nr;
	rig->rnd = 0x9e3779b97f4a7c15U;
	mutex_init(&rig->lock);
	err = memory_region_create(rig->space, REGION_ADDRESS, REGION_LEN, true, MEMORY_VA,
				   &rig->mem);
	if (err)
		goto out_space;
	err = build(rig, opt->shuffle, doc);
	for (size_t i = 0; i < NR_OPERATIONS * 2 && !err; i++)
		err = measure(rig, &iotlb_operations[i / 2], i % 2, doc);
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

static const struct bench_command command = {
	.name = "iotlb",
	.help = "usage: holdfast bench iotlb [--json] [--quick] [--shuffle] [--entries N]...\n"
		"Measures the IOTLB's operations against a red-black tree under a lock.\n\n"
		"  --entries N  mappings, may be given several times\n"
		"  --shuffle    work in random order\n"
		"  --quick      fewer sizes and repetitions\n"
		"  --json       write JSON\n",
	.known = "--json, --quick, --shuffle, --entries N (1 to 1048576, at most 16 times)",
};

_Static_assert(IOTLB_MAX_ENTRIES_DEFAULT == 1048576 && NR_SIZES_MAX == 16,
	       "the text above says so");

static int add_size(const char *text, void *out)
{
	struct sizes *sizes = out;
	char *end;
	unsigned long long nr = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || nr < 1 || nr > IOTLB_MAX_ENTRIES_DEFAULT ||
	    sizes->nr == NR_SIZES_MAX)
		return -EINVAL;
	sizes->entries[sizes->nr++] = nr;
	return 0;
}

/* Return: true go on; false: *@status is the exit status */
static bool parse(int argc, char **argv, struct options *opt, int *status)
{
	static const struct sizes all = {{1, 16, 1024, 65536, 1048576}, 5}, few = {{16, 65536}, 2};
	const struct bench_option options[] = {
		{"json", BENCH_FLAG, &opt->json, 0, NULL},
		{"quick", BENCH_FLAG, &opt->quick, 0, NULL},
		{"shuffle", BENCH_FLAG, &opt->shuffle, 0, NULL},
		{"entries", BENCH_PARSED, &opt->sizes, 0, add_size},
	};

	*opt = (struct options){0};
	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, status))
		return false;
	if (opt->sizes.nr == 0)
		opt->sizes = opt->quick ? few : all;
	return true;
}

static int run(const struct options *opt)
{
	json_t *doc = opt->json ? bench_json_begin("iotlb") : NULL;
	int err = 0;

	if (opt->json && (!doc || json_object_set_new(doc, "memory", json_array()) < 0))
		err = -ENOMEM;
	if (!opt->json)
		printf("%s, commit %s; nanoseconds an operation\n%8s  %-19s %-6s %12s %12s %14s "
		       "%10s\n",
		       bench_machine(), bench_commit(), "entries", "operation", "writer", "median",
		       "p99", "rb-tree median", "ratio");
	for (size_t i = 0; i < opt->sizes.nr && !err; i++)
		err = run_size(opt, opt->sizes.entries[i], doc);
	return opt->json ? bench_json_end(doc, err, stdout) : err;
}

int bench_iotlb(int argc, char **argv)
{
	struct options opt;
	int err;

	if (!parse(argc, argv, &opt, &err))
		return err;
	err = bench_pin(0);
	if (err < 0)
		fprintf(stderr, "holdfast bench iotlb: cannot pin the thread to a CPU: %s\n",
			strerror(-err));
	err = run(&opt);
	if (err)
		fprintf(stderr, "holdfast bench iotlb: %s\n", strerror(-err));
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}
