// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench hold`: what the client's calls cost while registrations are held. Each munmap,
 * madvise and truncate of a client first asks whether it is about something held; most often it is
 * not. The same questions with more and more registrations held, and how many times as long as
 * with the fewest:
 *
 *   range      is any of this range held? No: it is elsewhere
 *   file       is any of this file held? No
 *   take over  one of them, in random order, is mapped again and unmapped
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/refuse.h"
#include "bench/args.h"
#include "bench/bench.h"
#include "cli/cli.h"
#include "memory/hold.h"

#define NR_COUNTS  3
#define NR_REPEATS 64u /* questions a sample: one alone is shorter than the clock's own call */

static const unsigned int counts[NR_COUNTS] = {10, 1000, 20000};

enum question { BY_RANGE, BY_FILE, TAKE_OVER, NR_QUESTIONS };
static const char *const question_names[NR_QUESTIONS] = {"range", "file", "take over"};

struct options {
	unsigned int samples;
	bool json;
};

struct rig {
	struct memory_space *space;
	struct memory_hold *hold;
	char *mem; /* every second page is held */
	size_t len;
	unsigned int nr;
	unsigned int random;
};

struct result {
	struct bench_samples of[NR_COUNTS][NR_QUESTIONS];
};

static int remap(struct rig *rig, unsigned int n)
{
	uaddr_t addr = (uintptr_t)rig->mem + 2 * n * MEMORY_PAGE_SIZE;
	struct memory_region *region;
	int err = memory_region_register(rig->hold, addr, MEMORY_PAGE_SIZE, true, &region);

	if (!err)
		memory_region_put(region);
	return err;
}

/* Return: 0 or -errno, with a line on stderr */
static int rig_fill(struct rig *rig, unsigned int nr)
{
	int err = 0;

	rig->nr = nr;
	rig->len = 2 * nr * MEMORY_PAGE_SIZE;
	rig->mem = mmap(NULL, rig->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (rig->mem == MAP_FAILED)
		return -errno;
	for (unsigned int n = 0; !err && n < nr; n++)
		err = remap(rig, n);
	if (err)
		fprintf(stderr, "holdfast bench hold: %s\n", refuse_reason());
	return err;
}

static void rig_empty(struct rig *rig)
{
	(void)memory_hold_forget_all(MEMORY_EVICT_CLIENT);
	if (rig->mem != MAP_FAILED)
		munmap(rig->mem, rig->len);
}

static int ask(struct rig *rig, enum question question)
{
	switch (question) {
	case BY_RANGE:
		memory_hold_forget((uintptr_t)rig, (uintptr_t)rig + 1);
		return 0;
	case BY_FILE:
		memory_hold_forget_file(UINT64_MAX);
		return 0;
	default:
		rig->random = rig->random * 1664525u + 1013904223u;
		return remap(rig, rig->random / 64 % rig->nr);
	}
}

static int measure(const struct options *opt, struct rig *rig, struct bench_samples *of)
{
	int err = 0;

	for (unsigned int n = 0; n < opt->samples * NR_QUESTIONS && !err; n++) {
		enum question question = n % NR_QUESTIONS;
		int64_t start = clock_now_ns();

		for (unsigned int i = 0; i < NR_REPEATS && !err; i++)
			err = ask(rig, question);
		if (!err)
			err = bench_samples_add(&of[question],
						(double)(clock_now_ns() - start) / NR_REPEATS);
	}
	return err;
}

/* How many times as long as with the fewest? */
static double ratio(struct result *r, int count, int question)
{
	return bench_percentile(&r->of[count][question], 50) /
	       bench_percentile(&r->of[0][question], 50);
}

static void print(struct result *r)
{
	printf("questions while registrations are held, median in ns; how many times as long\n"
	       "  %-10s",
	       "question");
	for (int c = 0; c < NR_COUNTS; c++)
		printf(" %10u", counts[c]);
	for (int c = 1; c < NR_COUNTS; c++)
		printf(" %8u", counts[c]);
	printf("\n");
	for (int q = 0; q < NR_QUESTIONS; q++) {
		printf("  %-10s", question_names[q]);
		for (int c = 0; c < NR_COUNTS; c++)
			printf(" %10.0f", bench_percentile(&r->of[c][q], 50));
		for (int c = 1; c < NR_COUNTS; c++)
			printf(" %8.2f", ratio(r, c, q));
		printf("\n");
	}
}

static int print_json(struct result *r)
{
	json_t *doc = bench_json_begin("hold");
	int err = doc ? 0 : -ENOMEM;
	char name[64];

	for (int q = 0; q < NR_QUESTIONS; q++)
		for (int c = 0; !err && c < NR_COUNTS; c++) {
			snprintf(name, sizeof(name), "%s, %u held", question_names[q], counts[c]);
			err = bench_json_row(doc, name, &r->of[c][q],
					     json_pack("{s:s, s:i, s:f}", "question",
						       question_names[q], "held", (int)counts[c],
						       "ratio_to_fewest", ratio(r, c, q)));
		}
	return bench_json_end(doc, err, stdout);
}

static int run(const struct options *opt)
{
	struct rig rig = {.mem = MAP_FAILED};
	static struct result r;
	int err = memory_space_create_own(&rig.space);

	if (!err)
		err = memory_hold_create(rig.space, MEMORY_HOLD_ALL, true, &rig.hold);
	for (int c = 0; !err && c < NR_COUNTS; c++) {
		err = rig_fill(&rig, counts[c]);
		if (!err)
			err = measure(opt, &rig, r.of[c]);
		rig_empty(&rig);
	}
	memory_hold_destroy(rig.hold);
	memory_space_put(rig.space);
	if (!err && opt->json)
		err = print_json(&r);
	else if (!err)
		print(&r);
	for (int c = 0; c < NR_COUNTS; c++)
		for (int q = 0; q < NR_QUESTIONS; q++)
			bench_samples_fini(&r.of[c][q]);
	if (err)
		fprintf(stderr, "holdfast bench hold: %s\n", strerror(-err));
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static const struct bench_command command = {
	.name = "hold",
	.help = "usage: holdfast bench hold [OPTION...]\n"
		"Measures what a client's munmap and truncate ask, and a map of held memory, with "
		"10, 1,000\nand 20,000 registrations held (80 MiB of locked memory).\n\n"
		"  --samples N   of each, by default 100\n"
		"  --json        write JSON\n",
	.known = "--samples N, --json",
};

int bench_hold(int argc, char **argv)
{
	struct options opt = {.samples = 100};
	const struct bench_option options[] = {
		{"samples", BENCH_COUNT, &opt.samples, 100000, NULL},
		{"json", BENCH_FLAG, &opt.json, 0, NULL},
	};
	int status;

	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, &status))
		return status;
	return run(&opt);
}
