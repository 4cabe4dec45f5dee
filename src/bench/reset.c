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
	int err = measure_all(opt, results, &nr);

	if (!err && opt->json)
		err = write_json(opt, results, nr);
	else if (!err)
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
		"  --json              write JSON\n",
	.known = "--json, --sizes LIST (such as 1G,512M), --repeat N, --remap-repeat N, "
		 "--client persist|remap|both, -d SPEC, PATH",
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
	return !*status;
}

static const char *own_device(const struct options *opt)
{
	if (bench_may_pin("reset", bench_sizes_most(&opt->sizes) + MEMLOCK_HEADROOM))
		return "name net0 mgmtdev vdpasim_net memory pinned memlock unlimited hold off";
	return "name net0 mgmtdev vdpasim_net memory va";
}

int bench_reset(int argc, char **argv)
{
	struct options opt;
	int ret;

	if (!parse(argc, argv, &opt, &ret))
		return ret;
	if (opt.path)
		return run(&opt);
	if (!opt.spec)
		opt.spec = own_device(&opt);
	ret = cli_reexec_with_devices(&opt.spec, 1);
	if (ret)
		return ret;
	opt.path = "/dev/vhost-vdpa-0";
	return run(&opt);
}
