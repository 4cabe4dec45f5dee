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
#include "bench/downtime_out.h"
#include "bench/downtime_run.h"
#include "bench/guest.h"
#include "cli/cli.h"

#define GIB        (UINT64_C(1) << 30)
#define MIB        (UINT64_C(1) << 20)
#define REPEAT_MAX 1000000

static int run_all(const struct dt_options *opt)
{
	struct dt_result *results = calloc(BENCH_SIZES_MAX * DT_NR_KINDS, sizeof(*results));
	struct dt_record rec = {.keep = opt->trace != NULL};
	size_t nr = 0;
	int err = results ? dt_measure_all(opt, results, &nr, &rec) : -ENOMEM;

	if (!err && opt->json)
		err = dt_results_write_json(&opt->set_up, results, nr);
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
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static const struct bench_command command = {
	.name = "downtime",
	.help = "usage: holdfast bench downtime [OPTION...] [PATH...]\n"
		"Measures what a migration's two interruptions cost because of the device.\n\n"
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
	.known = "--client old|persist|hold|svq-asid|all, --memory LIST (such as 1G,128G; at least "
		 "64M), --devices N (1 to 8), --queue-pairs N (1 to 32), --cold, "
		 "--destination early|late, --repeat N, --remap-repeat N, -d SPEC, --json, "
		 "--trace FILE, --plot FILE, PATH...",
	.max_paths = 2 * DT_DEVICES_MAX,
};

static int parse_sizes(const char *text, void *out)
{
	return bench_parse_sizes(text, 64 * MIB, UINT64_C(1) << 44, out);
}

static int parse_clients(const char *text, void *out)
{
	bool *kinds = out;

	memset(kinds, 0, DT_NR_KINDS * sizeof(*kinds));
	while (*text) {
		size_t len = strcspn(text, ",");
		bool all = len == 3 && strncmp(text, "all", 3) == 0, known = all;

		for (int k = 0; k < DT_NR_KINDS; k++) {
			bool same = strlen(dt_kind_names[k]) == len &&
				    strncmp(text, dt_kind_names[k], len) == 0;

			kinds[k] |= same || all;
			known |= same;
		}
		if (!known)
			return -EINVAL;
		text += len + (text[len] == ',');
	}
	return 0;
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
	const struct bench_option options[] = {
		{"json", BENCH_FLAG, &opt->json, 0, NULL},
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
	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, status))
		return false;
	*status = take_paths(argc, argv, opt);
	return !*status;
}

/* ---- own devices ---- */

static const char *default_spec(const struct dt_options *opt)
{
	uint64_t most = bench_sizes_most(&opt->sizes);

	return bench_may_pin("downtime", 2 * most + 64 * MIB) ? "memory pinned memlock unlimited"
							      : "memory va";
}

/* The devices of both sides: for `old` first, then those of the others. */
static int use_own_devices(const struct dt_options *opt)
{
	const char *spec = opt->spec ? opt->spec : default_spec(opt);
	const char *specs[4 * DT_DEVICES_MAX];
	unsigned int nr = 4 * opt->set_up.nr_devices;
	char text[4 * DT_DEVICES_MAX][512];

	for (unsigned int i = 0; i < nr; i++) {
		snprintf(text[i], sizeof(text[i]), "%s name net%u max_vqp %u%s", spec, i,
			 opt->set_up.nr_pairs, i < nr / 2 ? " hold off compat_reset on" : "");
		specs[i] = text[i];
	}
	return cli_reexec_with_devices(specs, nr);
}

int bench_downtime(int argc, char **argv)
{
	struct dt_options opt;
	int ret;

	if (!parse(argc, argv, &opt, &ret))
		return ret;
	if (!opt.nr_paths) {
		ret = use_own_devices(&opt);
		if (ret)
			return ret;
	}
	return run_all(&opt);
}
