// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench reset`: what a device reset costs a client, against how much memory it has
 * mapped.
 *
 * Measured: from SET_STATUS(0) until the device has used a buffer again, with everything that a VMM
 * must do between (status, features, ring setup, enable, kick). Two clients. `persist` acked
 * IOTLB_PERSIST and leaves its mappings alone. `remap` did not: it invalidates all of its mappings
 * in one batch and makes them again in another, as clients must whose device may drop mappings in a
 * reset.
 *
 * Much memory on a small machine: one memory file of at most 1 GiB is mapped again and again behind
 * one another. For the device, the IOTLB and the page tables that is the full size; only the pages
 * themselves are shared.
 *
 * The command re-executes itself under the preload library with one loopback NIC, or works on the
 * path of any vhost-vdpa device, a kernel's too. The wait for the used buffer spins: an interrupt
 * would add the cost of waking the client, which is not the device's.
 *
 * What a machine does besides changes from second to second, and so would the ratio of two sizes
 * that are measured one after the other. With --rounds there is a device for each size, all of them
 * run, and the sizes take turns: each round gives a ratio of the largest to the smallest.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "bench/args.h"
#include "bench/bench.h"
#include "bench/guest.h"
#include "bench/reset_rig.h"
#include "cli/cli.h"

#define GIB              (UINT64_C(1) << 30)
#define REPEAT_MAX       1000000
#define MEMLOCK_HEADROOM (UINT64_C(64) << 20)

struct options {
	const char *path; /* device node; NULL: own loopback NIC */
	const char *spec;
	struct bench_sizes sizes;
	unsigned int repeat; /* resets of the persist client; the remap client does fewer */
	unsigned int remap_repeat;
	unsigned int rounds; /* in which the sizes take turns; 0: one size after the other */
	bool json;
	bool clients[2];
};

static int measure(const struct options *opt, uint64_t mapped, enum reset_client kind,
		   struct bench_samples *samples)
{
	unsigned int n = kind == RESET_PERSIST ? opt->repeat : opt->remap_repeat;
	unsigned int warm = kind == RESET_PERSIST ? n / 10 + 1 : 0;
	struct reset_rig rig;
	int64_t ns = 0;
	int err = reset_rig_create(&rig, opt->path, mapped, kind);

	for (unsigned int i = 0; !err && i < n + warm; i++) {
		err = reset_once(&rig, kind, &ns);
		if (err)
			reset_fail("reset", err);
		else if (i >= warm)
			err = bench_samples_add(samples, (double)ns);
	}
	reset_rig_destroy(&rig);
	return err;
}

/* ---- results ---- */

struct result {
	uint64_t mapped;
	enum reset_client kind;
	struct bench_samples samples;
};

static void row_label(char *buf, size_t len, const char *mapped, const char *client)
{
	snprintf(buf, len, "  %-9s %-8s", mapped, client);
}

static void print_head(const struct options *opt)
{
	char label[64];

	printf("reset, from SET_STATUS(0) until a buffer was used again, on %s\n",
	       opt->spec ? opt->spec : opt->path);
	row_label(label, sizeof(label), "mapped", "client");
	bench_table_head(label);
}

static void print_row(struct result *r)
{
	char size[32], label[64];

	row_label(label, sizeof(label), bench_size_text(r->mapped, size, sizeof(size)),
		  reset_client_names[r->kind]);
	bench_table_row(label, &r->samples);
}

static struct result *find(struct result *results, size_t nr, uint64_t mapped,
			   enum reset_client kind)
{
	for (size_t i = 0; i < nr; i++)
		if (results[i].mapped == mapped && results[i].kind == kind &&
		    results[i].samples.nr > 0)
			return &results[i];
	return NULL;
}

static void print_ratios(const struct options *opt, struct result *results, size_t nr)
{
	uint64_t least = opt->sizes.bytes[0], most = opt->sizes.bytes[opt->sizes.nr - 1];
	struct result *small = find(results, nr, least, RESET_PERSIST);
	struct result *large = find(results, nr, most, RESET_PERSIST);
	struct result *remap = find(results, nr, most, RESET_REMAP);
	char a[32], b[32];

	if (small && large && small != large)
		printf("  persist, %s against %s: %.2f times the median\n",
		       bench_size_text(most, a, sizeof(a)), bench_size_text(least, b, sizeof(b)),
		       bench_percentile(&large->samples, 50) /
			       bench_percentile(&small->samples, 50));
	if (large && remap)
		printf("  %s, remap against persist: %.0f times the median\n",
		       bench_size_text(most, a, sizeof(a)),
		       bench_percentile(&remap->samples, 50) /
			       bench_percentile(&large->samples, 50));
}

static int write_json(const struct options *opt, struct result *results, size_t nr)
{
	json_t *doc = bench_json_begin("reset");
	int err = doc ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < nr; i++) {
		struct result *r = &results[i];
		char name[64], size[32];

		snprintf(name, sizeof(name), "%s %s", reset_client_names[r->kind],
			 bench_size_text(r->mapped, size, sizeof(size)));
		err = bench_json_row(doc, name, &r->samples,
				     json_pack("{s:s, s:I, s:s}", "client",
					       reset_client_names[r->kind], "mapped_bytes",
					       (json_int_t)r->mapped, "device",
					       opt->spec ? opt->spec : opt->path));
	}
	return bench_json_end(doc, err, stdout);
}

/* ---- sizes that take turns ---- */

/* @n resets of one size, behind some that do not count. */
static int measure_turn(struct reset_rig *rig, unsigned int n, struct bench_samples *all,
			struct bench_samples *turn)
{
	unsigned int warm = n / 10 + 1;
	int64_t ns = 0;
	int err = 0;

	bench_samples_clear(turn);
	for (unsigned int i = 0; !err && i < n + warm; i++) {
		err = reset_once(rig, RESET_PERSIST, &ns);
		if (!err && i >= warm)
			err = bench_samples_add(turn, (double)ns);
		if (!err && i >= warm)
			err = bench_samples_add(all, (double)ns);
	}
	return err ? reset_fail("reset", err) : 0;
}

/* The sizes go up in one round and down in the next. @ratios: a sample each */
static int measure_rounds(const struct options *opt, struct reset_rig *rigs, struct result *results,
			  struct bench_samples *ratios)
{
	unsigned int n = opt->repeat / opt->rounds ? opt->repeat / opt->rounds : 1;
	size_t nr = opt->sizes.nr;
	double medians[BENCH_SIZES_MAX];
	struct bench_samples turn = {0};
	int err = 0;

	for (unsigned int round = 0; !err && round < opt->rounds; round++) {
		for (size_t i = 0; !err && i < nr; i++) {
			size_t at = round % 2 ? nr - 1 - i : i;

			err = measure_turn(&rigs[at], n, &results[at].samples, &turn);
			if (!err)
				medians[at] = bench_percentile(&turn, 50);
		}
		if (!err)
			err = bench_samples_add(ratios, medians[nr - 1] / medians[0]);
	}
	bench_samples_fini(&turn);
	return err;
}

static void print_rounds(const struct options *opt, struct result *results,
			 struct bench_samples *ratios)
{
	char a[32], b[32];

	for (size_t i = 0; i < opt->sizes.nr; i++)
		print_row(&results[i]);
	printf("  %s against %s in %u rounds: %.2f times the median (%.2f to %.2f)\n",
	       bench_size_text(opt->sizes.bytes[opt->sizes.nr - 1], a, sizeof(a)),
	       bench_size_text(opt->sizes.bytes[0], b, sizeof(b)), opt->rounds,
	       bench_percentile(ratios, 50), bench_percentile(ratios, 0),
	       bench_percentile(ratios, 100));
}

static int measure_in_turns(const struct options *opt, struct result *results, size_t *nr)
{
	struct reset_rig rigs[BENCH_SIZES_MAX];
	struct bench_samples ratios = {0};
	int err = 0;

	if (!opt->json)
		print_head(opt);
	for (size_t i = 0; !err && i < opt->sizes.nr; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/dev/vhost-vdpa-%zu", i);
		results[i] = (struct result){.mapped = opt->sizes.bytes[i], .kind = RESET_PERSIST};
		err = reset_rig_create(&rigs[i], path, results[i].mapped, RESET_PERSIST);
		*nr = i + 1;
	}
	if (!err)
		err = measure_rounds(opt, rigs, results, &ratios);
	if (!err && !opt->json)
		print_rounds(opt, results, &ratios);
	for (size_t i = 0; i < *nr; i++)
		reset_rig_destroy(&rigs[i]);
	bench_samples_fini(&ratios);
	return err;
}

static int measure_all(const struct options *opt, struct result *results, size_t *nr)
{
	int err = 0;

	if (!opt->json)
		print_head(opt);
	for (size_t i = 0; !err && i < opt->sizes.nr; i++) {
		for (int kind = RESET_PERSIST; !err && kind <= RESET_REMAP; kind++) {
			struct result *r = &results[*nr];

			if (!opt->clients[kind])
				continue;
			*r = (struct result){.mapped = opt->sizes.bytes[i],
					     .kind = (enum reset_client)kind};
			err = measure(opt, r->mapped, r->kind, &r->samples);
			*nr += 1;
			if (!err && !opt->json)
				print_row(r);
		}
	}
	return err;
}

static int run(const struct options *opt)
{
	struct result results[2 * BENCH_SIZES_MAX];
	size_t nr = 0;
	int err =
		opt->rounds ? measure_in_turns(opt, results, &nr) : measure_all(opt, results, &nr);

	if (!err && opt->json)
		err = write_json(opt, results, nr);
	else if (!err && !opt->rounds)
		print_ratios(opt, results, nr);
	for (size_t i = 0; i < nr; i++)
		bench_samples_fini(&results[i].samples);
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static const struct bench_command command = {
	.name = "reset",
	.help = "usage: holdfast bench reset [OPTION...] [PATH]\n"
		"Measures what a device reset costs a client, against mapped memory.\n\n"
		"  -d SPEC             the device, see holdfast-run(1); without it and PATH a "
		"loopback NIC\n"
		"  --sizes LIST        mapped memory, such as 1G,512M\n"
		"  --repeat N          resets of the client that leaves its mappings alone\n"
		"  --remap-repeat N    resets of the client that maps all again\n"
		"  --client WHICH      persist, remap or both\n"
		"  --rounds N          sizes take turns N times: of the client that leaves its "
		"mappings alone\n"
		"  --json              write JSON\n",
	.known = "--json, --sizes LIST (such as 1G,512M), --repeat N, --remap-repeat N, "
		 "--client persist|remap|both, --rounds N, -d SPEC, PATH",
	.max_paths = 1,
};

static int parse_sizes(const char *text, void *out)
{
	return bench_parse_sizes(text, UINT64_C(1) << 20, UINT64_C(1) << 46, out);
}

static int parse_clients(const char *text, void *out)
{
	bool both = strcmp(text, "both") == 0, *clients = out;

	clients[RESET_PERSIST] = both || strcmp(text, "persist") == 0;
	clients[RESET_REMAP] = both || strcmp(text, "remap") == 0;
	return clients[RESET_PERSIST] || clients[RESET_REMAP] ? 0 : -EINVAL;
}

/* Return: true go on; false: *@status is the exit status */
static bool parse(int argc, char **argv, struct options *opt, int *status)
{
	const struct bench_option options[] = {
		{"json", BENCH_FLAG, &opt->json, 0, NULL},
		{"sizes", BENCH_PARSED, &opt->sizes, 0, parse_sizes},
		{"repeat", BENCH_COUNT, &opt->repeat, REPEAT_MAX, NULL},
		{"remap-repeat", BENCH_COUNT, &opt->remap_repeat, REPEAT_MAX, NULL},
		{"client", BENCH_PARSED, opt->clients, 0, parse_clients},
		{"rounds", BENCH_COUNT, &opt->rounds, REPEAT_MAX, NULL},
		{"d", BENCH_TEXT, &opt->spec, 0, NULL},
	};

	*opt = (struct options){.sizes = {{GIB, 4 * GIB, 16 * GIB, 128 * GIB}, 4},
				.repeat = 1000,
				.remap_repeat = 3,
				.clients = {true, true}};
	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, status))
		return false;
	opt->path = argv[optind];
	if (opt->path && opt->spec)
		*status = bench_wrong_use(&command, "a device by -d and by PATH", opt->path);
	else if (opt->path && opt->rounds)
		*status =
			bench_wrong_use(&command, "--rounds needs a device a size, not", opt->path);
	return !*status;
}

static const char *own_device(const struct options *opt)
{
	uint64_t bytes = opt->rounds ? 0 : bench_sizes_most(&opt->sizes);

	for (size_t i = 0; opt->rounds && i < opt->sizes.nr; i++)
		bytes += opt->sizes.bytes[i];
	if (bench_may_pin("reset", bytes + MEMLOCK_HEADROOM))
		return "mgmtdev vdpasim_net memory pinned memlock unlimited hold off";
	return "mgmtdev vdpasim_net memory va";
}

int bench_reset(int argc, char **argv)
{
	const char *specs[BENCH_SIZES_MAX];
	struct options opt;
	int ret;

	if (!parse(argc, argv, &opt, &ret))
		return ret;
	if (!opt.path && !opt.spec)
		opt.spec = own_device(&opt);
	for (size_t i = 0; i < BENCH_SIZES_MAX; i++)
		specs[i] = opt.spec;
	ret = bench_own_devices(&opt.path, specs, opt.rounds ? opt.sizes.nr : 1);
	return ret ? ret : run(&opt);
}
