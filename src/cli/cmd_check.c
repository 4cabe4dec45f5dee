/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfast check: run the conformance suite against one vhost-vdpa node.
 *
 * Output is TAP, with a summary by section of the specification at the end, and JUnit XML
 * on request. The exit status is 0 if everything passed, 1 if a check failed, 2 if the suite could
 * not run at all.
 */
#include "check/check.h"
#include "check/random.h"
#include "cli/cli.h"
#include "cli/devices.h"

#include <fnmatch.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/fd.h"

enum { SECTIONS = 13, CHECK_NODES_MAX = 16 };

/* So many checks in a row without an end: the device hangs, and will not do better. */
enum { HANGS_MAX = 3 };

static const char *const section_names[SECTIONS] = {
	[1] = "character device and ioctls",
	[2] = "IOTLB protocol",
	[3] = "address spaces and groups",
	[4] = "open, release, reset",
	[5] = "backend features",
	[6] = "suspend, resume, kicks",
	[7] = "network and block devices",
};

struct tally {
	unsigned ok, failed, skipped;
};

struct check_options {
	const char *match;
	const char *junit;
	const char *specs[CHECK_NODES_MAX]; /* devices of our own, nodes 0.. */
	size_t nr_specs;
	int deadline_ms;
	bool list;
	bool overwrite;
	int strict;                  /* -1: by what the device is */
	int mapping, memory, compat; /* -1: probe */
	struct random_options random;
};

/* Memory that a check's child fills. */
struct shared {
	struct check_result res;
	struct check_device dev;
};

static struct shared *shared;
static struct check_device *probe_target;

static void usage(FILE *to)
{
	fputs("usage: holdfast check [options] PATH...\n"
	      "       holdfast check [options] -d SPEC...\n"
	      "  PATH              a vhost-vdpa node, such as /dev/vhost-vdpa-0\n"
	      "  -d, --spec SPEC   a Holdfast device made for the purpose; holdfast-run(1) has "
	      "the words\n"
	      "  --parent FILE     a parent of your own for -d; see holdfast-parent(7)\n"
	      "  --strict          expect the kernel's behaviour bit for bit\n"
	      "  --default         expect it with Holdfast's documented deviations\n"
	      "  --device HINTS    what probing need not find out:\n"
	      "                    \"mapping=set_map|dma_map|platform memory=pinned|va "
	      "compat_reset=on|off\"\n"
	      "  --overwrite       check a disk by writing to it as well\n"
	      "  --deadline SEC    how long a check may take, 20 by default\n"
	      "  --match GLOB      only checks whose name matches\n"
	      "  --list            print the checks and exit\n"
	      "  --junit FILE      write a JUnit report too\n"
	      "  --random SEED[:COUNT]  random sequences instead of the checks\n"
	      "  --replay FILE     the sequences in FILE, such as transcripts\n"
	      "  --transcript      print what each step did, not only a hash\n",
	      to);
}

static int parse_hint(struct check_options *opts, const char *word)
{
	static const struct {
		const char *word;
		size_t field;
		int value;
	} hints[] = {
		{"mapping=set_map", offsetof(struct check_options, mapping), 1},
		{"mapping=dma_map", offsetof(struct check_options, mapping), 0},
		{"mapping=platform", offsetof(struct check_options, mapping), 2},
		{"memory=pinned", offsetof(struct check_options, memory), 1},
		{"memory=va", offsetof(struct check_options, memory), 0},
		{"compat_reset=on", offsetof(struct check_options, compat), 1},
		{"compat_reset=off", offsetof(struct check_options, compat), 0},
	};

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (!strcmp(word, hints[i].word)) {
			*(int *)((char *)opts + hints[i].field) = hints[i].value;
			return 0;
		}
	fprintf(stderr, "holdfast check: unknown hint '%s'; see --help\n", word);
	return -EINVAL;
}

static int parse_hints(struct check_options *opts, char *text)
{
	char *save = NULL;
	int rc = 0;

	for (char *w = strtok_r(text, " ,", &save); w && !rc; w = strtok_r(NULL, " ,", &save))
		rc = parse_hint(opts, w);
	return rc;
}

static void list_checks(const struct check_options *opts)
{
	for (size_t s = 0; s < check_nr_sets; s++)
		for (size_t i = 0; i < check_sets[s]->nr; i++) {
			const struct check *c = &check_sets[s]->rows[i];

			if (!opts->match || !fnmatch(opts->match, c->name, 0))
				printf("%s [%s]\n", c->name, c->clause);
		}
}

static void probe_static(struct check_ctx *t)
{
	check_probe(t, probe_target);
}

static void restore(struct check_ctx *t)
{
	check_restore(t);
}

static void probe_latency(struct check_ctx *t)
{
	check_probe_latency(t, probe_target);
}

static void probe_behaviour(struct check_ctx *t)
{
	check_probe_behaviour(t, probe_target);
}

/* Runs a check; one that could not speak for itself gets its text here. */
static int run_check(const struct check_device *dev, const struct check *c)
{
	struct check_result *res = &shared->res;
	int rc = check_run(dev, c, res);

	if (res->outcome == CHECK_DIED)
		snprintf(res->text, sizeof(res->text), "ended with wait status %#x",
			 (unsigned)res->status);
	if (res->outcome == CHECK_TIMED_OUT)
		snprintf(res->text, sizeof(res->text), "no end after %u ms", res->ms);
	return rc;
}

static int run_probe(struct check_device *dev, void (*fn)(struct check_ctx *t), long which)
{
	const struct check probe = {.name = "probe", .clause = "1-1", .fn = fn, .a = which};

	shared->dev = *dev;
	probe_target = &shared->dev;
	if (run_check(dev, &probe) || shared->res.outcome != CHECK_OK) {
		fprintf(stderr, "holdfast check: cannot probe %s: %s\n", dev->path,
			shared->res.text);
		return -EIO;
	}
	*dev = shared->dev;
	return 0;
}

static int probe(struct check_device *dev, const struct check_options *opts)
{
	int rc = run_probe(dev, probe_static, 0);
	long which;

	if (rc)
		return rc;
	if (dev->device_id != VIRTIO_ID_NET && dev->device_id != VIRTIO_ID_BLOCK) {
		fprintf(stderr,
			"holdfast check: %s is device type %u; give a network device (1) or a "
			"block device (2)\n",
			dev->path, dev->device_id);
		return -ENOTSUP;
	}
	dev->pinned = opts->memory > 0;
	dev->set_map = opts->mapping == 1;
	dev->platform = opts->mapping == 2;
	dev->compat_reset = opts->compat > 0;
	rc = run_probe(dev, probe_latency, 0);
	if (!rc && opts->memory < 0)
		rc = run_probe(dev, probe_behaviour, 1);
	which = (opts->mapping < 0 ? 2 : 0) | (opts->compat < 0 ? 4 : 0);
	if (!rc && which)
		rc = run_probe(dev, probe_behaviour, which);
	return rc;
}

static void xml_escape(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else
			fputc((unsigned char)*s < 32 ? ' ' : *s, f);
	}
}

static void junit_case(FILE *f, const struct check *c, const struct check_result *res)
{
	int section = atoi(c->clause);

	fprintf(f, "  <testcase classname=\"%d\" name=\"%s\" time=\"%u.%03u\">", section, c->name,
		res->ms / 1000, res->ms % 1000);
	if (res->outcome == CHECK_SKIPPED || res->outcome != CHECK_OK) {
		fprintf(f, "<%s message=\"", res->outcome == CHECK_SKIPPED ? "skipped" : "failure");
		xml_escape(f, res->text);
		fputs("\"/>", f);
	}
	fputs("</testcase>\n", f);
}

/* @node: "NODE:" where there are several, else "" */
static void tap_line(unsigned nr, const char *node, const struct check *c,
		     const struct check_result *res)
{
	if (res->outcome == CHECK_OK)
		printf("ok %u - %s%s # [%s]\n", nr, node, c->name, c->clause);
	else if (res->outcome == CHECK_SKIPPED)
		printf("ok %u - %s%s # SKIP %s\n", nr, node, c->name, res->text);
	else
		printf("not ok %u - %s%s # [%s]\n# %s\n", nr, node, c->name, c->clause, res->text);
	fflush(stdout);
}

static void count(struct tally *tally, const struct check *c, const struct check_result *res)
{
	int section = atoi(c->clause);
	struct tally *at = &tally[section < SECTIONS ? section : 0];

	if (res->outcome == CHECK_OK)
		at->ok++;
	else if (res->outcome == CHECK_SKIPPED)
		at->skipped++;
	else
		at->failed++;
}

static const char *mapping_word(const struct check_device *dev)
{
	return dev->set_map ? "set_map" : dev->platform ? "platform" : "dma_map";
}

static unsigned summary(const struct check_device *dev, const struct tally *tally)
{
	struct tally all = {0};

	printf("#\n# %s: %s mode, %s, %s, compat_reset %s, features %#llx, backend %#llx\n",
	       dev->path, dev->strict ? "strict" : "default", mapping_word(dev),
	       dev->pinned ? "pinned" : "va", dev->compat_reset ? "on" : "off",
	       (unsigned long long)dev->features, (unsigned long long)dev->backend);
	printf("# %-34s %6s %6s %6s\n", "section", "ok", "failed", "skip");
	for (unsigned i = 0; i < SECTIONS; i++) {
		if (tally[i].ok + tally[i].failed + tally[i].skipped)
			printf("# %2u %-31s %6u %6u %6u\n", i,
			       section_names[i] ? section_names[i] : "", tally[i].ok,
			       tally[i].failed, tally[i].skipped);
		all.ok += tally[i].ok;
		all.failed += tally[i].failed;
		all.skipped += tally[i].skipped;
	}
	printf("# %-34s %6u %6u %6u\n", "all", all.ok, all.failed, all.skipped);
	return all.failed;
}

static bool selected(const struct check_options *opts, const struct check *c)
{
	return !opts->match || !fnmatch(opts->match, c->name, 0);
}

static unsigned count_selected(const struct check_options *opts)
{
	unsigned nr = 0;

	for (size_t s = 0; s < check_nr_sets; s++)
		for (size_t i = 0; i < check_sets[s]->nr; i++)
			nr += selected(opts, &check_sets[s]->rows[i]);
	return nr;
}

static int run_row(const struct check_device *dev, const struct check *c, unsigned needs)
{
	const char *missing = check_missing(dev, c->needs | needs);

	if (!missing)
		return run_check(dev, c);
	shared->res = (struct check_result){.outcome = CHECK_SKIPPED};
	snprintf(shared->res.text, sizeof(shared->res.text), "%s", missing);
	return 0;
}

/* The suite on its way over all nodes. */
struct progress {
	unsigned nr;    /* checks done */
	unsigned hangs; /* in a row */
	FILE *junit;
	bool several; /* nodes */
};

/* Runs and reports one check. Return: why the suite cannot go on, or NULL. */
static const char *run_and_report(const struct check_device *dev, const struct check *c,
				  unsigned needs, struct tally *tally, struct progress *at)
{
	char node[64] = "";
	int rc = run_row(dev, c, needs);

	if (rc == -EINTR)
		return "interrupted";
	if (at->several)
		snprintf(node, sizeof(node), "%.60s:", basename(dev->path));
	tap_line(++at->nr, node, c, &shared->res);
	count(tally, c, &shared->res);
	if (at->junit)
		junit_case(at->junit, c, &shared->res);
	at->hangs = shared->res.outcome == CHECK_TIMED_OUT ? at->hangs + 1 : 0;
	if (rc)
		return "the device holds its client";
	return at->hangs >= HANGS_MAX ? "the device hangs" : NULL;
}

/* Whatever became of the checks, the device gets back what they changed and a close does not. */
static int give_back(const struct check_device *dev)
{
	const struct check last = {.name = "restore", .clause = "4-4", .fn = restore};

	if (run_check(dev, &last) != -EBUSY && shared->res.outcome == CHECK_OK)
		return 0;
	fprintf(stderr, "holdfast check: cannot give %s its address back: %s\n", dev->path,
		shared->res.text);
	return 2;
}

static int run_node(const struct check_device *dev, const struct check_options *opts,
		    struct progress *at)
{
	struct tally tally[SECTIONS] = {0};
	const char *stop = NULL;
	int status;

	for (size_t s = 0; s < check_nr_sets && !stop; s++)
		for (size_t i = 0; i < check_sets[s]->nr && !stop; i++) {
			const struct check *c = &check_sets[s]->rows[i];

			if (!selected(opts, c))
				continue;
			stop = run_and_report(dev, c, check_sets[s]->needs, tally, at);
			if (stop)
				printf("Bail out! %s: %s: %s\n", dev->path, c->name, stop);
		}
	status = give_back(dev);
	if (stop || status)
		return 2;
	return summary(dev, tally) ? 1 : 0;
}

static int run_all(const struct check_device *devs, size_t nr, const struct check_options *opts,
		   FILE *junit)
{
	struct progress at = {.junit = junit, .several = nr > 1};
	int status = 0;

	printf("TAP version 13\n1..%u\n", (unsigned)nr * count_selected(opts));
	for (size_t i = 0; i < nr && status < 2; i++) {
		int rc = run_node(&devs[i], opts, &at);

		status = rc > status ? rc : status;
	}
	return status;
}

static int parse_deadline(struct check_options *opts, const char *text)
{
	char *end;
	long seconds = strtol(text, &end, 10);

	if (*end || end == text || seconds < 1 || seconds > 3600) {
		fprintf(stderr,
			"holdfast check: --deadline '%s' is no number of 1 to 3600 seconds\n",
			text);
		return -EINVAL;
	}
	opts->deadline_ms = (int)seconds * 1000;
	return 0;
}

static int add_spec(struct check_options *opts, const char *spec)
{
	if (opts->nr_specs == CHECK_NODES_MAX) {
		fprintf(stderr, "holdfast check: more than %d devices\n", CHECK_NODES_MAX);
		return -EINVAL;
	}
	opts->specs[opts->nr_specs++] = spec;
	return 0;
}

static int parse(int argc, char **argv, struct check_options *opts)
{
	static const struct option longs[] = {
		{"strict", no_argument, NULL, 's'},
		{"default", no_argument, NULL, 'n'},
		{"list", no_argument, NULL, 'l'},
		{"overwrite", no_argument, NULL, 'o'},
		{"match", required_argument, NULL, 'm'},
		{"deadline", required_argument, NULL, 't'},
		{"junit", required_argument, NULL, 'j'},
		{"device", required_argument, NULL, 'D'},
		{"spec", required_argument, NULL, 'd'},
		{"parent", required_argument, NULL, 'p'},
		{"random", required_argument, NULL, 'R'},
		{"replay", required_argument, NULL, 'P'},
		{"transcript", no_argument, NULL, 'T'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "d:h", longs, NULL)) >= 0) {
		if (c == 's' || c == 'n')
			opts->strict = c == 's';
		else if (c == 'd' && add_spec(opts, optarg) == 0)
			continue;
		else if (c == 'd')
			return -EINVAL;
		else if (c == 't' && parse_deadline(opts, optarg) == 0)
			continue;
		else if (c == 't')
			return -EINVAL;
		else if (c == 'l')
			opts->list = true;
		else if (c == 'o')
			opts->overwrite = true;
		else if (c == 'm')
			opts->match = optarg;
		else if (c == 'j')
			opts->junit = optarg;
		else if (c == 'p' && cli_parent_add("holdfast check", optarg) == 0)
			continue;
		else if (c == 'p')
			return -EINVAL;
		else if (c == 'R')
			opts->random.random = optarg;
		else if (c == 'P')
			opts->random.replay = optarg;
		else if (c == 'T')
			opts->random.transcript = true;
		else if (c == 'D' && parse_hints(opts, optarg) == 0)
			continue;
		else {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 1 : -EINVAL;
		}
	}
	return 0;
}

static void junit_failed(const char *path, int err)
{
	fprintf(stderr, "holdfast check: cannot write %s: %s\n", path, strerror(err));
}

static int open_junit(const char *path, FILE **file)
{
	int fd = fd_open_output(path, 0666);

	*file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!*file) {
		junit_failed(path, fd < 0 ? -fd : errno);
		fd_close(&fd);
		return -EIO;
	}
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"vhost-vdpa\">\n",
	      *file);
	return 0;
}

static int check_nodes(struct check_device *devs, size_t nr, const struct check_options *opts)
{
	FILE *junit = NULL;
	int status = 0, failed;

	if (opts->junit && open_junit(opts->junit, &junit))
		return 2;
	for (size_t i = 0; i < nr && !status; i++)
		status = probe(&devs[i], opts) ? 2 : 0;
	if (!status)
		status = run_all(devs, nr, opts, junit);
	if (junit) {
		fputs("</testsuite>\n", junit);
		failed = ferror(junit);
		if (fclose(junit) || failed) {
			junit_failed(opts->junit, failed ? EIO : errno);
			status = 2;
		}
	}
	return status;
}

/* Of a kernel's node nothing is known but that a kernel has it. */
static bool is_strict(const char *spec)
{
	struct device_specs specs = {0};
	bool strict;
	int rc;

	if (!spec && !getenv(DEVICES_ENV))
		return true;
	rc = spec ? device_specs_add(&specs, spec) : device_specs_from_env(&specs);
	strict = !rc && devices_any_strict(&specs);
	device_specs_fini(&specs);
	return strict;
}

static void name_node(struct check_device *dev, const struct check_options *opts, const char *path,
		      const char *spec)
{
	dev->holdfast = getenv(DEVICES_ENV) != NULL;
	dev->strict = opts->strict >= 0 ? opts->strict : is_strict(spec);
	/* Memory made for the purpose is nobody's data. */
	dev->overwrite = opts->overwrite || (spec && !strstr(spec, "file"));
	dev->quiet_ms = CHECK_QUIET_MAX;
	dev->deadline_ms = opts->deadline_ms;
	snprintf(dev->path, sizeof(dev->path), "%s", path);
}

/*
 * With a SPEC the program begins again under the preload library, and comes back here with nodes.
 * What that library would say of each refused call is what the checks are after.
 * Return: number of nodes, 0 after a message
 */
static size_t choose_devices(struct check_device *devs, const struct check_options *opts, int nr,
			     char **paths)
{
	char path[sizeof("/dev/vhost-vdpa-") + 20];

	if (opts->nr_specs && setenv("HOLDFAST_LOG_LEVEL", "err", 0))
		return 0;
	if (opts->nr_specs && cli_reexec_with_devices(opts->specs, opts->nr_specs))
		return 0;
	for (size_t i = 0; i < opts->nr_specs; i++) {
		snprintf(path, sizeof(path), "/dev/vhost-vdpa-%zu", i);
		name_node(&devs[i], opts, path, opts->specs[i]);
	}
	for (int i = 0; i < nr; i++)
		name_node(&devs[i], opts, paths[i], NULL);
	return opts->nr_specs + (size_t)nr;
}

int cmd_check(int argc, char **argv)
{
	struct check_options opts = {.strict = -1,
				     .mapping = -1,
				     .memory = -1,
				     .compat = -1,
				     .deadline_ms = CHECK_DEADLINE};
	struct check_device devs[CHECK_NODES_MAX] = {0};
	int rc = parse(argc, argv, &opts);
	size_t nr;

	if (rc)
		return rc > 0 ? 0 : 2;
	if (opts.list) {
		list_checks(&opts);
		return 0;
	}
	if ((optind == argc) == !opts.nr_specs || argc - optind > CHECK_NODES_MAX) {
		usage(stderr);
		return 2;
	}
	nr = choose_devices(devs, &opts, argc - optind, argv + optind);
	if (!nr)
		return 2;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED) {
		fprintf(stderr, "holdfast check: no memory: %s\n", strerror(errno));
		return 2;
	}
	if (opts.random.random || opts.random.replay)
		return probe(&devs[0], &opts) ? 2 : random_check(&devs[0], &opts.random);
	check_catch_signals();
	return check_nodes(devs, nr, &opts);
}
