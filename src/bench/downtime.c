// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench downtime`: what a migration's two interruptions cost because of the device, phase
 * by phase.
 *
 *   downtime 1   the source switches its running devices to shadow virtqueues
 *   downtime 2   the source stops for good, the destination starts
 *
 * Both are timed from the first call of the stop until every device has used a buffer again. All
 * devices stop, then all start. Work is under way in every queue when a stop begins.
 *
 * One process plays both sides, each with devices and an address range of its own for guest memory,
 * so that what the destination maps is not what the source had mapped. Much memory on a small
 * machine: one memory file is mapped again and again behind one another, which for devices and page
 * tables is the full size.
 *
 * `old` and `hold` are the same client. They differ in the device: hold off and a driver that drops
 * mappings in a reset, against the default. On devices given by PATH they are one.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "bench/args.h"
#include "bench/downtime_ladder.h"
#include "bench/downtime_out.h"
#include "bench/downtime_run.h"
#include "bench/guest.h"
#include "cli/cli.h"

#define GIB        (UINT64_C(1) << 30)
#define MIB        (UINT64_C(1) << 20)
#define REPEAT_MAX 1000000
#define SPEC_LEN   1280

static int run_all(const struct dt_options *opt)
{
	struct dt_result *results = calloc(BENCH_SIZES_MAX * DT_NR_KINDS, sizeof(*results));
	struct dt_record rec = {.keep = opt->trace != NULL};
	size_t nr = 0;
	int err = results ? dt_measure_all(opt, results, &nr, &rec) : -ENOMEM;

	if (!err && opt->json)
		err = dt_results_write_json(&opt->set_up, results, nr,
					    opt->ladder ? dt_ladder_sources(opt) : NULL);
	else if (!err && opt->ladder)
		dt_ladder_print_all(opt, results, nr);
	else if (!err)
		dt_results_print_ratios(results, nr, opt->sizes.bytes[0],
					opt->sizes.bytes[opt->sizes.nr - 1]);
	if (!err && opt->trace && (err = dt_write_trace(opt->trace, &rec)))
		dt_say(opt->trace, err);
	if (!err && opt->plot && (err = dt_write_plot(opt->plot, results, nr)))
		dt_say(opt->plot, err);
	dt_results_fini(results, nr);
	free(results);
	free(rec.events);
	if (opt->ladder)
		dt_ladder_finish();
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static const struct bench_command command = {
	.name = "downtime",
	.help = "usage: holdfast bench downtime [OPTION...] [PATH...]\n"
		"Measures what a migration's two interruptions cost because of the device.\n\n"
		"  --ladder            mlx5 cards on the firmware model, from the kernel's driver "
		"to ours\n"
		"  --rungs LIST        of the ladder: dropped, ahead, asid, kept, batched, "
		"parallel,\n"
		"                      deferred, held, changed, best\n"
		"  --no-latency        the ladder's model takes no time for a command\n"
		"  --client KIND       old, persist, hold, svq-asid or all; may be a list\n"
		"  --memory LIST       guest memory, such as 1G,16G,128G\n"
		"  --devices N         network devices of the VM\n"
		"  --queue-pairs N     of each\n"
		"  --cold              no page of guest memory was touched before the first map\n"
		"  --destination WHEN  it maps its memory early, before the downtime, or late\n"
		"  --repeat N          migrations of clients that do not lock memory in them\n"
		"  --remap-repeat N    migrations of those that do\n"
		"  -d SPEC             the devices, see holdfast-run(1), without name and max_vqp\n"
		"  --json              write JSON\n"
		"  --trace FILE        write Trace Event JSON, for Perfetto\n"
		"  --plot FILE.svg     draw downtime against memory\n"
		"PATHs are the source's devices, then the destination's, as many.\n",
	.known = "--ladder, --rungs LIST, --no-latency, --client old|persist|hold|svq-asid|all, "
		 "--memory LIST (such as 1G,128G; at least "
		 "64M), --devices N (1 to 8), --queue-pairs N (1 to 32), --cold, "
		 "--destination early|late, --repeat N, --remap-repeat N, -d SPEC, --json, "
		 "--trace FILE, --plot FILE, PATH...",
	.max_paths = 2 * DT_DEVICES_MAX,
};

static int parse_sizes(const char *text, void *out)
{
	return bench_parse_sizes(text, 64 * MIB, UINT64_C(1) << 44, out);
}

/* Names from @first to before @end, with commas between. */
static int parse_kinds(const char *text, int first, int end, bool *kinds)
{
	memset(kinds, 0, DT_NR_KINDS * sizeof(*kinds));
	while (*text) {
		size_t len = strcspn(text, ",");
		bool all = len == 3 && strncmp(text, "all", 3) == 0, known = all;

		for (int k = first; k < end; k++) {
			bool same = strlen(dt_kinds[k].name) == len &&
				    strncmp(text, dt_kinds[k].name, len) == 0;

			kinds[k] |= same || all;
			known |= same;
		}
		if (!known)
			return -EINVAL;
		text += len + (text[len] == ',');
	}
	return 0;
}

static int parse_clients(const char *text, void *out)
{
	return parse_kinds(text, 0, DT_NR_CLIENTS, out);
}

static int parse_rungs(const char *text, void *out)
{
	return parse_kinds(text, DT_NR_CLIENTS, DT_NR_KINDS, out);
}

static int parse_destination(const char *text, void *out)
{
	enum dt_destination *destination = out;

	*destination = strcmp(text, "early") == 0  ? DEST_EARLY
		       : strcmp(text, "late") == 0 ? DEST_LATE
						   : DEST_DEFAULT;
	return *destination == DEST_DEFAULT ? -EINVAL : 0;
}

static int take_paths(int argc, char **argv, struct dt_options *opt)
{
	while (optind < argc)
		opt->paths[opt->nr_paths++] = argv[optind++];
	if (opt->nr_paths % 2)
		return bench_wrong_use(
			&command, "an odd number of PATHs, source and destination need as many",
			opt->paths[0]);
	if (opt->nr_paths && opt->spec)
		return bench_wrong_use(&command, "devices by -d and by PATH", opt->paths[0]);
	if (opt->nr_paths)
		opt->set_up.nr_devices = opt->nr_paths / 2;
	return CLI_EXIT_OK;
}

/* Return: true go on; false: *@status is the exit status */
static bool parse(int argc, char **argv, struct dt_options *opt, int *status)
{
	bool rungs[DT_NR_KINDS];
	const struct bench_option options[] = {
		{"json", BENCH_FLAG, &opt->json, 0, NULL},
		{"ladder", BENCH_FLAG, &opt->ladder, 0, NULL},
		{"rungs", BENCH_PARSED, rungs, 0, parse_rungs},
		{"no-latency", BENCH_FLAG, &opt->no_latency, 0, NULL},
		{"client", BENCH_PARSED, opt->kinds, 0, parse_clients},
		{"memory", BENCH_PARSED, &opt->sizes, 0, parse_sizes},
		{"devices", BENCH_COUNT, &opt->set_up.nr_devices, DT_DEVICES_MAX, NULL},
		{"queue-pairs", BENCH_COUNT, &opt->set_up.nr_pairs, DT_PAIRS_MAX, NULL},
		{"cold", BENCH_FLAG, &opt->set_up.cold, 0, NULL},
		{"destination", BENCH_PARSED, &opt->destination, 0, parse_destination},
		{"repeat", BENCH_COUNT, &opt->repeat, REPEAT_MAX, NULL},
		{"remap-repeat", BENCH_COUNT, &opt->remap_repeat, REPEAT_MAX, NULL},
		{"trace", BENCH_TEXT, &opt->trace, 0, NULL},
		{"plot", BENCH_TEXT, &opt->plot, 0, NULL},
		{"d", BENCH_TEXT, &opt->spec, 0, NULL},
	};

	*opt = (struct dt_options){.sizes = {{GIB, 16 * GIB, 128 * GIB}, 3},
				   .set_up = {.nr_devices = 2, .nr_pairs = 4},
				   .repeat = 200,
				   .remap_repeat = 1,
				   .kinds = {true, true, true, true}};
	(void)parse_rungs("all", rungs);
	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, status))
		return false;
	if (opt->ladder)
		memcpy(opt->kinds, rungs, sizeof(rungs));
	*status = take_paths(argc, argv, opt);
	if (!*status && opt->ladder && opt->nr_paths)
		*status = bench_wrong_use(&command, "the ladder has devices of its own",
					  opt->paths[0]);
	return !*status;
}

/* ---- own devices ---- */

static const char *default_spec(const struct dt_options *opt)
{
	uint64_t most = bench_sizes_most(&opt->sizes);

	return bench_may_pin("downtime", 2 * most + 64 * MIB) ? "memory pinned memlock unlimited"
							      : "memory va";
}

/* The devices of both sides of each set. */
static int use_own_devices(const struct dt_options *opt)
{
	const char *spec = opt->spec ? opt->spec : default_spec(opt);
	unsigned int nr_set = 2 * opt->set_up.nr_devices, nr = 0;
	const char *specs[2 * DT_DEVICES_MAX * DT_NR_KINDS];
	char *text = calloc(2 * DT_DEVICES_MAX * DT_NR_KINDS, SPEC_LEN);
	int ret = text ? 0 : dt_say("devices", -ENOMEM);

	for (int k = 0; !ret && k < DT_NR_KINDS; k++) {
		char more[DT_LADDER_SPEC_LEN];

		if (opt->ladder ? !opt->kinds[k] : k != DT_OLD && k != DT_PERSIST)
			continue;
		for (unsigned int i = 0; i < nr_set; i++, nr++) {
			snprintf(more, sizeof(more), " %s", dt_kinds[k].spec);
			if (opt->ladder)
				dt_ladder_spec(opt, (enum dt_kind)k, i, more);
			specs[nr] = text + (size_t)nr * SPEC_LEN;
			snprintf(text + (size_t)nr * SPEC_LEN, SPEC_LEN,
				 "%s name net%u max_vqp %u%s", spec, nr, opt->set_up.nr_pairs,
				 more);
		}
	}
	if (!ret)
		ret = cli_reexec_with_devices(specs, nr);
	free(text);
	return ret;
}

int bench_downtime(int argc, char **argv)
{
	struct dt_options opt;
	int ret;

	if (!parse(argc, argv, &opt, &ret))
		return ret;
	if (opt.ladder && dt_ladder_prepare())
		return CLI_EXIT_FAILED;
	if (!opt.nr_paths) {
		ret = use_own_devices(&opt);
		if (ret) {
			dt_ladder_finish();
			return ret;
		}
	}
	return run_all(&opt);
}
