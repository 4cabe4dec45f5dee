// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench load`: does a process that has many devices, queues and mappings, or does the
 * same thing very often, grow or become slow? Each case is cut into tenths. What is shown are
 * ratios, and what is more in the end:
 *
 *   time      processor time, of the client and its devices, of a step of the last tenth to one
 *             of the first; medians of parts. Other work of the machine is hardly in it
 *   again     a case that fills is filled twice: all steps of the second time to the first
 *   memory    written and resident, counted page by page (the kernel's own sum, VmRSS, is late by
 *             up to some dozen pages a thread); in the end to the end of the first tenth, or full
 *             the second time to the first. Without huge pages, which come when the kernel likes
 *   fds, threads   how many more, at the same two points
 *
 * The steps themselves are in load_cases.c. The devices are in this process: a disk with 256
 * queues, and cards.
 */
#include "bench/load.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/args.h"
#include "bench/bench.h"
#include "cli/cli.h"

#define NR_PARTS  100u
#define SPEC_SIZE 96u
#define FDS_EACH  16u /* descriptors of a device in use, with some to spare */

struct options {
	unsigned int nr[LOAD_NR];
	bool json;
};

struct look {
	unsigned long kb;
	long fds, threads;
};

struct result {
	double time, again; /* ratios; @again is 0 where a case does not fill */
	struct look from, to;
};

/* ---- what the process has ---- */

static long nr_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	long nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

/* The sum of the lines of a file in /proc/self that begin with one of @names; NULL ends them. */
static unsigned long sum_of(const char *path, const char *const *names)
{
	FILE *f = fopen(path, "re");
	unsigned long sum = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		for (const char *const *name = names; *name; name++)
			if (strncmp(line, *name, strlen(*name)) == 0)
				sum += strtoul(line + strlen(*name), NULL, 10);
	if (f)
		fclose(f);
	return sum;
}

static struct look look(void)
{
	static const char *const written[] = {"Private_Dirty:", "Shared_Dirty:", "Swap:", NULL},
				 *const threads[] = {"Threads:", NULL};

	return (struct look){
		.kb = sum_of("/proc/self/smaps_rollup", written),
		.fds = nr_fds(),
		.threads = (long)sum_of("/proc/self/status", threads),
	};
}

/* ---- one case ---- */

static double cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Times of the parts of one round. */
struct round {
	struct bench_samples first, last;
	double total;
	struct look warm; /* after the first tenth */
};

static int add_part(struct round *r, unsigned int part, unsigned int nr_parts, double ns)
{
	unsigned int tenth = nr_parts < 10 ? 1 : nr_parts / 10;
	int err = 0;

	r->total += ns;
	if (part < tenth)
		err = bench_samples_add(&r->first, ns);
	if (!err && part >= nr_parts - tenth)
		err = bench_samples_add(&r->last, ns);
	if (part + 1 == tenth)
		r->warm = look();
	return err;
}

static int run_round(const struct load_case *c, struct load *l, unsigned int nr, struct round *r)
{
	unsigned int nr_parts = nr < NR_PARTS ? nr : NR_PARTS, i = 0;
	int err = c->begin ? c->begin(l) : 0;

	for (unsigned int part = 0; !err && part < nr_parts; part++) {
		unsigned int end = (unsigned int)((uint64_t)nr * (part + 1) / nr_parts), first = i;
		double start = cpu_ns();

		while (!err && i < end)
			err = c->step(l, i++);
		if (!err)
			err = add_part(r, part, nr_parts, (cpu_ns() - start) / (end - first));
	}
	return err || !c->full ? err : c->full(l);
}

static int end_round(const struct load_case *c, struct load *l, unsigned int nr)
{
	return c->end ? c->end(l, nr) : 0;
}

static int measure(const struct load_case *c, struct load *l, unsigned int nr, struct result *out)
{
	struct round r[2] = {{.total = 0}, {.total = 0}};
	int err = run_round(c, l, nr, &r[0]);

	out->to = look();
	out->from = r[0].warm;
	if (!err)
		err = end_round(c, l, nr);
	if (!err && c->fills) {
		out->from = out->to;
		err = run_round(c, l, nr, &r[1]);
		out->to = look();
		out->again = r[1].total / r[0].total;
		if (!err)
			err = end_round(c, l, nr);
	}
	if (!err)
		out->time = bench_percentile(&r[0].last, 50) / bench_percentile(&r[0].first, 50);
	for (int i = 0; i < 2; i++) {
		bench_samples_fini(&r[i].first);
		bench_samples_fini(&r[i].last);
	}
	return err;
}

/* ---- output ---- */

static double memory_ratio(const struct result *r)
{
	return (double)r->to.kb / (double)r->from.kb;
}

static void print(const struct load_case *c, unsigned int nr, const struct result *r)
{
	char again[16] = "-";

	if (c->fills)
		(void)snprintf(again, sizeof(again), "%.2f", r->again);
	printf("  %-22s %8u %7.2f %7s %7.3f %+6ld %+8ld\n", c->name, nr, r->time, again,
	       memory_ratio(r), r->to.fds - r->from.fds, r->to.threads - r->from.threads);
	fflush(stdout);
}

static int json_row(json_t *doc, const struct load_case *c, unsigned int nr, const struct result *r)
{
	json_t *row = json_pack("{s:s, s:i, s:f, s:f, s:I, s:I, s:I}", "case", c->name, "n",
				(int)nr, "time_ratio", r->time, "memory_ratio", memory_ratio(r),
				"more_kb", (json_int_t)r->to.kb - (json_int_t)r->from.kb,
				"more_fds", (json_int_t)(r->to.fds - r->from.fds), "more_threads",
				(json_int_t)(r->to.threads - r->from.threads));

	if (row && c->fills && json_object_set_new(row, "again_ratio", json_real(r->again)) < 0)
		return -ENOMEM;
	return json_array_append_new(json_object_get(doc, "rows"), row) < 0 ? -ENOMEM : 0;
}

static int run(const struct options *opt)
{
	json_t *doc = opt->json ? bench_json_begin("load") : NULL;
	int err = opt->json && !doc ? -ENOMEM : 0;
	const char *at = "memory";
	struct load l;

	(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	if (!err)
		err = load_init(&l);
	if (!err && !opt->json)
		printf("as ratios: 1 is flat\n  %-22s %8s %7s %7s %7s %6s %8s\n", "case", "n",
		       "time", "again", "memory", "fds", "threads");
	for (int i = 0; !err && i < LOAD_NR; i++) {
		struct result r = {.again = 0};

		at = load_cases[i].name;
		err = measure(&load_cases[i], &l, opt->nr[i], &r);
		if (!err && opt->json)
			err = json_row(doc, &load_cases[i], opt->nr[i], &r);
		else if (!err)
			print(&load_cases[i], opt->nr[i], &r);
	}
	load_fini(&l);
	if (err)
		fprintf(stderr, "holdfast bench load: %s: %s\n", at, strerror(-err));
	if (opt->json)
		err = bench_json_end(doc, err, stdout);
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static const struct bench_command command = {
	.name = "load",
	.help = "usage: holdfast bench load [OPTION...]\n"
		"Measures whether a process with much of everything grows or becomes slow.\n\n"
		"  --devices N   opened and started at once (default 1000)\n"
		"  --queues N    of one device (default 256)\n"
		"  --mappings N  of one device (default 1000000)\n"
		"  --resets N    each with a start (default 1000000)\n"
		"  --opens N     each with a start and a close (default 10000)\n"
		"  --changes N   of a queue's kick eventfd, disabled and enabled (default 100000)\n"
		"  --json        write JSON\n",
	.known = "--devices N, --queues N, --mappings N, --resets N, --opens N, --changes N, "
		 "--json",
};

/* So many devices need more descriptors than most shells allow; the limit of what is allowed is
 * the user's. */
static int allow_descriptors(unsigned int nr_devices)
{
	struct rlimit limit;
	rlim_t need = 256 + (rlim_t)nr_devices * FDS_EACH;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return CLI_EXIT_OK;
	limit.rlim_cur = limit.rlim_max < need ? limit.rlim_max : need;
	if (limit.rlim_max >= need && setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return CLI_EXIT_OK;
	fprintf(stderr,
		"holdfast bench load: %u devices need %lu descriptors, and the limit is %lu "
		"(--devices, or ulimit -n)\n",
		nr_devices, (unsigned long)need, (unsigned long)limit.rlim_max);
	return CLI_EXIT_FAILED;
}

/* A disk, and as many cards as make @nr devices, in this process. */
static int become_client(unsigned int nr)
{
	const char **specs = calloc(nr, sizeof(*specs));
	char *text = calloc(nr, SPEC_SIZE);
	int ret = CLI_EXIT_FAILED;

	for (unsigned int i = 0; specs && text && i < nr; i++) {
		specs[i] = text + (size_t)i * SPEC_SIZE;
		(void)snprintf(text + (size_t)i * SPEC_SIZE, SPEC_SIZE,
			       i ? "name net%u mgmtdev vdpasim_net"
				 : "name disk%u mgmtdev vdpasim_blk num_queues 256 capacity 1M",
			       i);
	}
	if (specs && text)
		ret = cli_reexec_with_devices(specs, nr);
	free(specs);
	free(text);
	return ret;
}

int bench_load(int argc, char **argv)
{
	struct options opt = {
		.nr = {LOAD_DEVICES_MAX, LOAD_QUEUES_MAX, 1000000, 1000000, 10000, 100000}};
	const struct bench_option options[] = {
		{"devices", BENCH_COUNT, &opt.nr[LOAD_DEVICES], LOAD_DEVICES_MAX, NULL},
		{"queues", BENCH_COUNT, &opt.nr[LOAD_QUEUES], LOAD_QUEUES_MAX, NULL},
		{"mappings", BENCH_COUNT, &opt.nr[LOAD_MAPPINGS], 1000000, NULL},
		{"resets", BENCH_COUNT, &opt.nr[LOAD_RESETS], 100000000, NULL},
		{"opens", BENCH_COUNT, &opt.nr[LOAD_OPENS], 100000000, NULL},
		{"changes", BENCH_COUNT, &opt.nr[LOAD_CHANGES], 100000000, NULL},
		{"json", BENCH_FLAG, &opt.json, 0, NULL},
	};
	int status;

	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, &status))
		return status;
	status = allow_descriptors(opt.nr[LOAD_DEVICES]);
	if (!status)
		status = become_client(opt.nr[LOAD_DEVICES]);
	return status ? status : run(&opt);
}
