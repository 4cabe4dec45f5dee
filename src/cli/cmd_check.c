/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfast check: run the conformance suite against one vhost-vdpa node.
 *
 * Output is TAP, with a summary by section of the specification at the end, and JUnit XML
 * on request. The exit status is 0 if everything passed, 1 if a check failed, 2 if the suite could
 * not run at all.
 */
#include "cli/check_suite.h"
#include "cli/cli.h"
#include "cli/devices.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static void usage(void)
{
	fputs("usage: holdfast check [options] PATH...\n"
	      "       holdfast check [options] -d SPEC...\n"
	      "  PATH              a vhost-vdpa node, such as /dev/vhost-vdpa-0\n"
	      "  -d, --spec SPEC   a Holdfast device made for the purpose; holdfast-run(1) has "
	      "the words\n"
	      "  --parent FILE     a parent of your own for -d; see holdfast-parent(7)\n"
	      "  --strict[=KERNEL] expect a kernel's behaviour bit for bit, such as "
	      "linux-6.12's\n"
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
	      stdout);
}

static int wrong_use(const char *what, const char *word)
{
	fprintf(stderr, "holdfast check: %s '%s'; see --help\n", what, word);
	return -EINVAL;
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

/* @name: NULL: the device's own, or the running kernel's */
static int parse_kernel(struct check_options *opts, const char *name)
{
	opts->profile = name ? (int)profile_by_name(name) : CHECK_BY_KERNEL;
	if (opts->profile != PROFILE_DEFAULT)
		return 0;
	fprintf(stderr, "holdfast check: --strict '%s' is none of:", name);
	for (unsigned i = PROFILE_DEFAULT + 1; i < PROFILE_NR; i++)
		fprintf(stderr, " %s", profile_name((enum profile)i));
	fputc('\n', stderr);
	return -EINVAL;
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

/* An option with a value that may be wrong. Return: 0; -EINVAL after a message; 1: it is none */
static int take_checked(struct check_options *opts, int c)
{
	switch (c) {
	case 's':
		return parse_kernel(opts, optarg);
	case 'd':
		return add_spec(opts, optarg);
	case 't':
		return parse_deadline(opts, optarg);
	case 'p':
		return cli_parent_add("holdfast check", optarg) ? -EINVAL : 0;
	case 'D':
		return parse_hints(opts, optarg);
	default:
		return 1;
	}
}

static void take(struct check_options *opts, int c)
{
	switch (c) {
	case 'n':
		opts->profile = PROFILE_DEFAULT;
		break;
	case 'l':
		opts->list = true;
		break;
	case 'o':
		opts->overwrite = true;
		break;
	case 'm':
		opts->match = optarg;
		break;
	case 'j':
		opts->junit = optarg;
		break;
	case 'R':
		opts->random.random = optarg;
		break;
	case 'P':
		opts->random.replay = optarg;
		break;
	case 'T':
		opts->random.transcript = true;
		break;
	}
}

static int parse(int argc, char **argv, struct check_options *opts)
{
	static const struct option longs[] = {
		{"strict", optional_argument, NULL, 's'},
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
	int c, rc = 0;

	opterr = 0;
	optind = 1;
	while (!rc && (c = getopt_long(argc, argv, ":d:h", longs, NULL)) >= 0) {
		if (c == 'h') {
			usage();
			return 1;
		}
		if (c == '?' || c == ':')
			return wrong_use(c == ':' ? "a value is missing for" : "unknown option",
					 cli_refused_option(c, argv, longs));
		rc = take_checked(opts, c);
		if (rc > 0) {
			take(opts, c);
			rc = 0;
		}
	}
	return rc;
}

/* Of a kernel's node nothing is known but which kernel has it. */
static enum profile kernel_profile(void)
{
	struct utsname name;

	return profile_by_release(uname(&name) ? "" : name.release);
}

static enum profile profile_of(const char *spec)
{
	struct device_specs specs = {0};
	enum profile profile = PROFILE_DEFAULT;

	if (!spec && !getenv(DEVICES_ENV))
		return kernel_profile();
	if (!(spec ? device_specs_add(&specs, spec) : device_specs_from_env(&specs)))
		profile = devices_profile(&specs);
	device_specs_fini(&specs);
	return profile;
}

static enum profile choose_profile(const struct check_options *opts, const char *spec)
{
	enum profile own;

	if (opts->profile >= 0)
		return (enum profile)opts->profile;
	own = profile_of(spec);
	/* a device in default mode that shall be strict is held against the oldest kernel */
	return own == PROFILE_DEFAULT && opts->profile == CHECK_BY_KERNEL ? PROFILE_DEFAULT + 1
									  : own;
}

static void name_node(struct check_device *dev, const struct check_options *opts, const char *path,
		      const char *spec)
{
	dev->holdfast = getenv(DEVICES_ENV) != NULL;
	dev->profile = choose_profile(opts, spec);
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

/* Nodes, or devices made for the purpose. Return: 0; -EINVAL after a message */
static int check_nodes(const struct check_options *opts, int nr, char *const *paths)
{
	if (nr == 0 && !opts->nr_specs)
		fputs("holdfast check: no PATH of a node and no -d SPEC; see --help\n", stderr);
	else if (nr > 0 && opts->nr_specs)
		return wrong_use("with -d SPEC there is no PATH, but", paths[0]);
	else if (nr > CHECK_NODES_MAX)
		return wrong_use("one node too many:", paths[CHECK_NODES_MAX]);
	else
		return 0;
	return -EINVAL;
}

int cmd_check(int argc, char **argv)
{
	struct check_options opts = {.profile = CHECK_BY_DEVICE,
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
		check_suite_list(&opts);
		return 0;
	}
	if (check_nodes(&opts, argc - optind, argv + optind))
		return 2;
	nr = choose_devices(devs, &opts, argc - optind, argv + optind);
	if (!nr)
		return 2;
	if (check_suite_init())
		return 2;
	if (opts.random.random || opts.random.replay)
		return check_suite_random(&devs[0], &opts);
	check_catch_signals();
	return check_suite_run(devs, nr, &opts);
}
