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
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/compiler.h"
#include "bench/downtime.h"
#include "cli/cli.h"

#define GIB          (UINT64_C(1) << 30)
#define FILE_GIB_MAX 8
#define MIB          (UINT64_C(1) << 20)
#define ROM_LEN      (UINT64_C(256) << 10)
#define WORD         "holdfast bench downtime"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum destination { DEST_DEFAULT, DEST_EARLY, DEST_LATE };

struct options {
	const char *spec;
	const char *paths[2 * DT_DEVICES_MAX];
	unsigned int nr_paths;
	uint64_t sizes[DT_SIZES_MAX];
	size_t nr_sizes;
	unsigned int nr_devices, nr_pairs, repeat, remap_repeat;
	enum destination destination;
	bool kinds[DT_NR_KINDS];
	bool cold, json, help;
	const char *trace, *plot;
};

static int say(const char *what, int err)
{
	fprintf(stderr, WORD ": %s: %s\n", what, strerror(-err));
	return err;
}

/* ---- guest memory ---- */

/* The largest file that the machine can well spare, so that there are few mappings: a VMM's guest
 * is one or two. */
static uint64_t file_len(uint64_t size)
{
	uint64_t avail = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t nr = avail / 3 / GIB, len;

	if (nr < 1 || nr > FILE_GIB_MAX)
		nr = nr < 1 ? 1 : FILE_GIB_MAX;
	len = nr * GIB;
	return size < len ? size : len;
}

static int guest_map(int fd, uint64_t len, uint64_t size, char **out)
{
	char *base =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return -ENOMEM;
	*out = base;
	for (uint64_t off = 0; off < size; off += len) {
		uint64_t part = size - off < len ? size - off : len;

		if (mmap(base + off, part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED)
			return -ENOMEM;
	}
	return 0;
}

/* Two views of the same bytes: the source's and the destination's. */
struct guest {
	char *view[2];
	char *rom;
	uint64_t size;
	int fd;
};

static void guest_touch(const struct guest *g, uint64_t len)
{
	for (int i = 0; i < 2; i++)
		for (uint64_t off = 0; off < g->size; off += len) {
			uint64_t part = g->size - off < len ? g->size - off : len;

			if (off == 0 && i == 0)
				(void)madvise(g->view[0], part, MADV_POPULATE_WRITE);
			(void)madvise(g->view[i] + off, part, MADV_POPULATE_READ);
		}
}

static int guest_create(struct guest *g, uint64_t size, bool cold)
{
	uint64_t len = file_len(size);
	int err;

	g->size = size;
	g->fd = memfd_create("guest", MFD_CLOEXEC);
	if (g->fd < 0 || ftruncate(g->fd, (off_t)len) < 0)
		return -errno;
	g->rom = mmap(NULL, ROM_LEN, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (g->rom == MAP_FAILED)
		return -ENOMEM;
	err = guest_map(g->fd, len, size, &g->view[0]);
	if (!err)
		err = guest_map(g->fd, len, size, &g->view[1]);
	if (!err && !cold)
		guest_touch(g, len);
	return err;
}

static void guest_destroy(struct guest *g)
{
	for (int i = 0; i < 2; i++)
		if (g->view[i])
			munmap(g->view[i], g->size);
	if (g->rom && g->rom != MAP_FAILED)
		munmap(g->rom, ROM_LEN);
	if (g->fd >= 0)
		close(g->fd);
}

/* ---- one client at one size ---- */

struct run {
	const struct options *opt;
	const struct guest *guest;
	struct dt_client source, dest;
	struct dt_record *rec;
	struct dt_result *result;
};

static int sample_add(struct run *run, unsigned int downtime)
{
	struct bench_samples *s = run->result->phase[downtime - 1];
	int err = bench_samples_add(&s[DT_NR_PHASES], (double)dt_record_end(run->rec));

	for (int i = 0; !err && i < DT_NR_PHASES; i++)
		err = bench_samples_add(&s[i], (double)run->rec->phase_ns[i]);
	run->rec->downtime = 0; /* what comes now is not measured */
	return err;
}

/* To shadow virtqueues. */
static int downtime_one(struct run *run, bool keep)
{
	int err = dt_client_load(&run->source);

	if (err)
		return say("traffic", err);
	dt_record_begin(run->rec, keep ? 1 : 0);
	err = dt_client_stop(&run->source);
	if (!err)
		err = dt_client_start(&run->source, true);
	return err || !keep ? err : sample_add(run, 1);
}

/* From the source to the destination. */
static int downtime_two(struct run *run, bool keep)
{
	int err = dt_client_load(&run->source);

	if (err)
		return say("traffic", err);
	dt_record_begin(run->rec, keep ? 2 : 0);
	err = dt_client_stop(&run->source);
	if (!err)
		err = dt_client_start(&run->dest, false);
	return err || !keep ? err : sample_add(run, 2);
}

/* Back to how it was: the destination waits, the source runs on the guest's own rings. */
static int rewind_run(struct run *run)
{
	int err = dt_client_stop(&run->dest);

	if (err)
		return err;
	if (run->dest.is_late) {
		dt_client_close(&run->dest);
		err = dt_client_open(&run->dest);
	} else {
		err = dt_client_map(&run->dest);
	}
	return err ? err : dt_client_start(&run->source, false);
}

static int run_samples(struct run *run)
{
	bool few = run->source.kind == DT_OLD || run->dest.is_late;
	unsigned int n = few ? run->opt->remap_repeat : run->opt->repeat;
	unsigned int warm = few ? 0 : 2;
	int err = 0;

	for (unsigned int i = 0; !err && i < n + warm; i++) {
		err = downtime_one(run, i >= warm);
		if (!err)
			err = downtime_two(run, i >= warm);
		if (!err && i + 1 < n + warm)
			err = rewind_run(run);
	}
	run->result->map_ms = (double)(run->source.map_ns + run->dest.map_ns) / 1e6 / (n + warm);
	return err;
}

static const char *const *paths_of(const struct options *opt, enum dt_kind kind, unsigned int side)
{
	static const char *const own[4 * DT_DEVICES_MAX] = {
		"/dev/vhost-vdpa-0",  "/dev/vhost-vdpa-1",  "/dev/vhost-vdpa-2",
		"/dev/vhost-vdpa-3",  "/dev/vhost-vdpa-4",  "/dev/vhost-vdpa-5",
		"/dev/vhost-vdpa-6",  "/dev/vhost-vdpa-7",  "/dev/vhost-vdpa-8",
		"/dev/vhost-vdpa-9",  "/dev/vhost-vdpa-10", "/dev/vhost-vdpa-11",
		"/dev/vhost-vdpa-12", "/dev/vhost-vdpa-13", "/dev/vhost-vdpa-14",
		"/dev/vhost-vdpa-15", "/dev/vhost-vdpa-16", "/dev/vhost-vdpa-17",
		"/dev/vhost-vdpa-18", "/dev/vhost-vdpa-19", "/dev/vhost-vdpa-20",
		"/dev/vhost-vdpa-21", "/dev/vhost-vdpa-22", "/dev/vhost-vdpa-23",
		"/dev/vhost-vdpa-24", "/dev/vhost-vdpa-25", "/dev/vhost-vdpa-26",
		"/dev/vhost-vdpa-27", "/dev/vhost-vdpa-28", "/dev/vhost-vdpa-29",
		"/dev/vhost-vdpa-30", "/dev/vhost-vdpa-31",
	};

	if (opt->nr_paths)
		return opt->paths + side * opt->nr_devices;
	return own + (kind == DT_OLD ? 0 : 2 * opt->nr_devices) + side * opt->nr_devices;
}

static void client_init(struct run *run, struct dt_client *c, unsigned int side)
{
	const struct options *opt = run->opt;
	enum dt_kind kind = run->result->kind;

	*c = (struct dt_client){
		.kind = kind,
		.paths = paths_of(opt, kind, side),
		.nr_devices = opt->nr_devices,
		.nr_pairs = opt->nr_pairs,
		.guest = run->guest->view[side],
		.rom = run->guest->rom,
		.mapped = run->guest->size,
		.is_late = side == 1 && run->result->is_late,
		.rec = run->rec,
	};
	for (unsigned int i = 0; i < DT_DEVICES_MAX; i++)
		c->dev[i].fd = -1;
}

static int measure(const struct options *opt, const struct guest *guest, struct dt_result *result,
		   struct dt_record *rec)
{
	struct run run = {.opt = opt, .rec = rec, .result = result, .guest = guest};
	int err;

	rec->kind = result->kind;
	rec->mapped = result->mapped;
	rec->downtime = 0;
	client_init(&run, &run.source, 0);
	client_init(&run, &run.dest, 1);
	err = dt_client_open(&run.source);
	if (!err)
		err = dt_client_open(&run.dest);
	if (!err)
		err = dt_client_start(&run.source, false);
	if (!err)
		err = run_samples(&run);
	dt_client_close(&run.source);
	dt_client_close(&run.dest);
	return err;
}

/* ---- results ---- */

double dt_result_median(struct dt_result *r, unsigned int downtime)
{
	struct bench_samples *s = &r->phase[downtime - 1][DT_NR_PHASES];

	return s->nr ? bench_percentile(s, 50) : 0;
}

static const char *size_text(uint64_t bytes, char *buf, size_t len)
{
	if (bytes % GIB == 0)
		snprintf(buf, len, "%" PRIu64 " GiB", bytes / GIB);
	else
		snprintf(buf, len, "%" PRIu64 " MiB", bytes / MIB);
	return buf;
}

static const char *time_text(double ns, char *buf, size_t len)
{
	if (ns < 1e6)
		snprintf(buf, len, "%.1f us", ns / 1e3);
	else if (ns < 1e9)
		snprintf(buf, len, "%.2f ms", ns / 1e6);
	else
		snprintf(buf, len, "%.2f s", ns / 1e9);
	return buf;
}

static void print_row(const char *phase, struct bench_samples *s)
{
	char min[32], median[32], p99[32];

	printf("    %-10s %6zu %12s %12s %12s\n", phase, s->nr,
	       time_text(bench_percentile(s, 0), min, sizeof(min)),
	       time_text(bench_percentile(s, 50), median, sizeof(median)),
	       time_text(bench_percentile(s, 99), p99, sizeof(p99)));
}

static void print_result(struct dt_result *r)
{
	char size[32];

	for (unsigned int d = 0; d < 2; d++) {
		struct bench_samples *s = r->phase[d];

		printf("  %s, client %s%s, downtime %u\n", size_text(r->mapped, size, sizeof(size)),
		       dt_kind_names[r->kind],
		       d == 0       ? ""
		       : r->is_late ? ", destination maps at its start"
				    : ", destination has mapped before",
		       d + 1);
		for (int p = 0; p < DT_NR_PHASES; p++)
			if (bench_percentile(&s[p], 99) > 0)
				print_row(dt_phase_names[p], &s[p]);
		print_row("total", &s[DT_NR_PHASES]);
	}
	printf("    mapping in all, downtime or not: %.1f ms a migration\n", r->map_ms);
	fflush(stdout);
}

static struct dt_result *find(struct dt_result *results, size_t nr, uint64_t mapped,
			      enum dt_kind kind)
{
	for (size_t i = 0; i < nr; i++)
		if (results[i].mapped == mapped && results[i].kind == kind &&
		    results[i].phase[1][DT_NR_PHASES].nr > 0)
			return &results[i];
	return NULL;
}

static void print_ratio(struct dt_result *a, struct dt_result *b, const char *what)
{
	char sa[32], sb[32];

	for (unsigned int d = 1; a && b && d <= 2; d++)
		printf("  downtime %u: %s %s, %s %s, %s: %.2f times the median\n", d,
		       dt_kind_names[a->kind], size_text(a->mapped, sa, sizeof(sa)),
		       dt_kind_names[b->kind], size_text(b->mapped, sb, sizeof(sb)), what,
		       dt_result_median(a, d) / dt_result_median(b, d));
}

static void print_ratios(const struct options *opt, struct dt_result *results, size_t nr)
{
	uint64_t least = opt->sizes[0], most = opt->sizes[opt->nr_sizes - 1];

	for (int k = DT_PERSIST; k < DT_NR_KINDS; k++) {
		struct dt_result *large = find(results, nr, most, (enum dt_kind)k);
		struct dt_result *small = find(results, nr, least, (enum dt_kind)k);

		if (large != small)
			print_ratio(large, small, "much memory against little");
		print_ratio(find(results, nr, most, DT_OLD), large, "remapping against not");
	}
}

static int json_rows(const struct options *opt, json_t *doc, struct dt_result *r)
{
	int err = 0;

	for (unsigned int d = 0; d < 2; d++)
		for (int p = 0; !err && p <= DT_NR_PHASES; p++) {
			const char *phase = p < DT_NR_PHASES ? dt_phase_names[p] : "total";
			char name[96];

			snprintf(name, sizeof(name), "%s %" PRIu64 " downtime %u %s",
				 dt_kind_names[r->kind], r->mapped, d + 1, phase);
			err = bench_json_row(
				doc, name, &r->phase[d][p],
				json_pack("{s:s, s:i, s:s, s:I, s:i, s:i, s:s, s:s, s:f}", "client",
					  dt_kind_names[r->kind], "downtime", (int)d + 1, "phase",
					  phase, "mapped_bytes", (json_int_t)r->mapped, "devices",
					  (int)opt->nr_devices, "queue_pairs", (int)opt->nr_pairs,
					  "destination", r->is_late ? "late" : "early", "memory",
					  opt->cold ? "cold" : "touched", "map_ms", r->map_ms));
		}
	return err;
}

static int write_json(const struct options *opt, struct dt_result *results, size_t nr)
{
	json_t *doc = bench_json_begin("downtime");
	int err = doc ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < nr; i++)
		err = json_rows(opt, doc, &results[i]);
	if (err) {
		json_decref(doc);
		return say("JSON", err);
	}
	return bench_json_end(doc, stdout);
}

/* What takes long says what it is at: with --json nothing else comes before the end. */
static void print_progress(const struct dt_result *r)
{
	char size[32];

	fprintf(stderr, WORD ": %s, client %s\n", size_text(r->mapped, size, sizeof(size)),
		dt_kind_names[r->kind]);
}

/* One client kind at one size, with guest memory that is new if it is to be cold. */
static int measure_kind(const struct options *opt, struct guest *guest, struct dt_result *result,
			struct dt_record *rec)
{
	int err = 0;

	if (opt->cold || guest->size != result->mapped) {
		guest_destroy(guest);
		*guest = (struct guest){.fd = -1};
		err = guest_create(guest, result->mapped, opt->cold);
	}
	if (err)
		return say("guest memory", err);
	return measure(opt, guest, result, rec);
}

static int measure_all(const struct options *opt, struct dt_result *results, size_t *nr,
		       struct dt_record *rec)
{
	struct guest guest = {.fd = -1};
	int err = 0;

	for (size_t i = 0; !err && i < opt->nr_sizes; i++)
		for (int k = 0; !err && k < DT_NR_KINDS; k++) {
			struct dt_result *r = &results[*nr];

			if (!opt->kinds[k])
				continue;
			*r = (struct dt_result){.mapped = opt->sizes[i], .kind = (enum dt_kind)k};
			r->is_late = opt->destination == DEST_LATE ||
				     (opt->destination == DEST_DEFAULT && k == DT_OLD);
			(*nr)++;
			if (opt->json)
				print_progress(r);
			err = measure_kind(opt, &guest, r, rec);
			if (!err && !opt->json)
				print_result(r);
		}
	guest_destroy(&guest);
	return err;
}

static int run_all(const struct options *opt)
{
	struct dt_result *results = calloc(DT_SIZES_MAX * DT_NR_KINDS, sizeof(*results));
	struct dt_record rec = {.keep = opt->trace != NULL};
	size_t nr = 0;
	int err = results ? measure_all(opt, results, &nr, &rec) : -ENOMEM;

	if (!err && opt->json)
		err = write_json(opt, results, nr);
	else if (!err)
		print_ratios(opt, results, nr);
	if (!err && opt->trace && (err = dt_write_trace(opt->trace, &rec)))
		say(opt->trace, err);
	if (!err && opt->plot && (err = dt_write_plot(opt->plot, results, nr)))
		say(opt->plot, err);
	for (size_t i = 0; i < nr; i++)
		for (int p = 0; p < 2 * (DT_NR_PHASES + 1); p++)
			bench_samples_fini(
				&results[i].phase[p / (DT_NR_PHASES + 1)][p % (DT_NR_PHASES + 1)]);
	free(results);
	free(rec.events);
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static int help(void)
{
	printf("usage: " WORD " [OPTION...] [PATH...]\n"
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
	       "PATHs are the source's devices, then the destination's, as many.\n");
	return CLI_EXIT_OK;
}

static int usage(const char *what, const char *value)
{
	fprintf(stderr,
		WORD
		": %s '%s': known: --client old|persist|hold|svq-asid|all, --memory LIST (such as "
		"1G,128G; at least 64M), --devices N (1 to 8), --queue-pairs N (1 to 32), "
		"--cold, --destination early|late, --repeat N, --remap-repeat N, -d SPEC, "
		"--json, --trace FILE, --plot FILE, PATH...\n",
		what, value);
	return CLI_EXIT_USAGE;
}

static int parse_count(const char *text, unsigned int max, unsigned int *out)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || value < 1 || value > max)
		return -EINVAL;
	*out = (unsigned int)value;
	return 0;
}

static int parse_sizes(const char *text, struct options *opt)
{
	opt->nr_sizes = 0;
	while (*text) {
		char *end;
		unsigned long long n = strtoull(text, &end, 10);
		unsigned int shift = *end == 'G' ? 30 : *end == 'M' ? 20 : 0;

		if (end == text || *text == '-' || !shift || n < 1 || n > (1ULL << 44 >> shift) ||
		    n << shift < 64 * MIB || opt->nr_sizes == DT_SIZES_MAX)
			return -EINVAL;
		opt->sizes[opt->nr_sizes++] = n << shift;
		text = end + 1;
		if (*text == ',' && text[1])
			text++;
		else if (*text)
			return -EINVAL;
	}
	return opt->nr_sizes ? 0 : -EINVAL;
}

static int parse_clients(const char *text, struct options *opt)
{
	memset(opt->kinds, 0, sizeof(opt->kinds));
	while (*text) {
		size_t len = strcspn(text, ",");
		bool known = len == 3 && strncmp(text, "all", 3) == 0;

		for (int k = 0; k < DT_NR_KINDS; k++) {
			bool same = strlen(dt_kind_names[k]) == len &&
				    strncmp(text, dt_kind_names[k], len) == 0;

			if (same || (len == 3 && strncmp(text, "all", 3) == 0))
				opt->kinds[k] = true;
			known |= same;
		}
		if (!known)
			return -EINVAL;
		text += len + (text[len] == ',');
	}
	return 0;
}

static int parse_destination(const char *text, struct options *opt)
{
	opt->destination = strcmp(text, "early") == 0  ? DEST_EARLY
			   : strcmp(text, "late") == 0 ? DEST_LATE
						       : DEST_DEFAULT;
	return opt->destination == DEST_DEFAULT ? -EINVAL : 0;
}

enum {
	OPT_JSON = 1,
	OPT_CLIENT,
	OPT_MEMORY,
	OPT_DEVICES,
	OPT_PAIRS,
	OPT_COLD,
	OPT_DESTINATION,
	OPT_REPEAT,
	OPT_REMAP_REPEAT,
	OPT_TRACE,
	OPT_PLOT
};

static const struct option longs[] = {{"json", no_argument, NULL, OPT_JSON},
				      {"client", required_argument, NULL, OPT_CLIENT},
				      {"memory", required_argument, NULL, OPT_MEMORY},
				      {"devices", required_argument, NULL, OPT_DEVICES},
				      {"queue-pairs", required_argument, NULL, OPT_PAIRS},
				      {"cold", no_argument, NULL, OPT_COLD},
				      {"destination", required_argument, NULL, OPT_DESTINATION},
				      {"repeat", required_argument, NULL, OPT_REPEAT},
				      {"remap-repeat", required_argument, NULL, OPT_REMAP_REPEAT},
				      {"trace", required_argument, NULL, OPT_TRACE},
				      {"plot", required_argument, NULL, OPT_PLOT},
				      {"help", no_argument, NULL, 'h'},
				      {0}};

/* Return: 0; -EINVAL wrong value */
static int parse_value(int c, struct options *opt)
{
	switch (c) {
	case OPT_CLIENT:
		return parse_clients(optarg, opt);
	case OPT_MEMORY:
		return parse_sizes(optarg, opt);
	case OPT_DEVICES:
		return parse_count(optarg, DT_DEVICES_MAX, &opt->nr_devices);
	case OPT_PAIRS:
		return parse_count(optarg, DT_PAIRS_MAX, &opt->nr_pairs);
	case OPT_DESTINATION:
		return parse_destination(optarg, opt);
	case OPT_REPEAT:
		return parse_count(optarg, 1000000, &opt->repeat);
	case OPT_REMAP_REPEAT:
		return parse_count(optarg, 1000000, &opt->remap_repeat);
	default:
		return -EINVAL;
	}
}

static int parse_option(int c, struct options *opt)
{
	switch (c) {
	case OPT_JSON:
		opt->json = true;
		return 0;
	case OPT_COLD:
		opt->cold = true;
		return 0;
	case OPT_TRACE:
		opt->trace = optarg;
		return 0;
	case OPT_PLOT:
		opt->plot = optarg;
		return 0;
	case 'd':
		opt->spec = optarg;
		return 0;
	case 'h':
		opt->help = true;
		return 0;
	case '?':
		return usage("unknown option", "");
	default:
		return parse_value(c, opt) ? usage("wrong value", optarg) : 0;
	}
}

static int parse_paths(int argc, char **argv, struct options *opt)
{
	while (optind < argc && opt->nr_paths < ARRAY_LEN(opt->paths))
		opt->paths[opt->nr_paths++] = argv[optind++];
	if (optind < argc)
		return usage("more than 16 devices", argv[optind]);
	if (opt->nr_paths % 2)
		return usage("an odd number of PATHs, source and destination need as many",
			     opt->paths[0]);
	if (opt->nr_paths && opt->spec)
		return usage("devices by -d and by PATH", opt->paths[0]);
	if (opt->nr_paths)
		opt->nr_devices = opt->nr_paths / 2;
	return 0;
}

static int parse(int argc, char **argv, struct options *opt)
{
	int c, ret;

	*opt = (struct options){.sizes = {GIB, 16 * GIB, 128 * GIB},
				.nr_sizes = 3,
				.nr_devices = 2,
				.nr_pairs = 4,
				.repeat = 200,
				.remap_repeat = 1,
				.kinds = {true, true, true, true}};
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":d:h", longs, NULL)) != -1) {
		if (c == ':' || c == '?')
			return usage(c == ':' ? "value missing for" : "unknown option",
				     argv[optind - 1]);
		ret = parse_option(c, opt);
		if (ret)
			return ret;
	}
	return opt->help ? 0 : parse_paths(argc, argv, opt);
}

/* ---- own devices ---- */

/* May this process lock @bytes? An unpopulated MLOCK_ONFAULT range counts like any other and costs
 * nothing. */
static bool may_lock(uint64_t bytes)
{
	void *range =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bool may;

	if (range == MAP_FAILED)
		return false;
	may = mlock2(range, bytes, MLOCK_ONFAULT) == 0;
	munmap(range, bytes);
	return may;
}

static const char *default_spec(const struct options *opt)
{
	struct rlimit limit;
	uint64_t most = 0;

	for (size_t i = 0; i < opt->nr_sizes; i++)
		most = opt->sizes[i] > most ? opt->sizes[i] : most;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	}
	if (may_lock(2 * most + 64 * MIB))
		return "memory pinned memlock unlimited";
	if (!getenv("HOLDFAST_DEVICES"))
		fprintf(stderr,
			WORD ": this process may not lock %" PRIu64
			     " MiB (RLIMIT_MEMLOCK): memory stays unpinned (memory va)\n",
			2 * most / MIB + 64);
	return "memory va";
}

/* The devices of both sides: for `old` first, then those of the others. */
static int use_own_devices(const struct options *opt)
{
	const char *spec = opt->spec ? opt->spec : default_spec(opt);
	const char *specs[4 * DT_DEVICES_MAX];
	unsigned int nr = 4 * opt->nr_devices;
	char text[4 * DT_DEVICES_MAX][512];

	for (unsigned int i = 0; i < nr; i++) {
		snprintf(text[i], sizeof(text[i]), "%s name net%u max_vqp %u%s", spec, i,
			 opt->nr_pairs, i < nr / 2 ? " hold off compat_reset on" : "");
		specs[i] = text[i];
	}
	return cli_reexec_with_devices(specs, nr);
}

int bench_downtime(int argc, char **argv)
{
	struct options opt;
	int ret = parse(argc, argv, &opt);

	if (ret)
		return ret;
	if (opt.help)
		return help();
	if (!opt.nr_paths) {
		ret = use_own_devices(&opt);
		if (ret)
			return ret;
	}
	return run_all(&opt);
}
