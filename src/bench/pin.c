// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench pin`: how long the first registration of memory takes one thread, and as many as
 * there are processors, against a bare mlock(2), which is what a process without this code would
 * call. All in turns, so that they see the same machine. Five states that memory may be in:
 *
 *   anonymous    private, never touched: pages must be found and zeroed
 *   private      the same, touched: nothing but the lock is missing
 *   file         shared memory file, never touched
 *   elsewhere    shared memory file whose pages are there, but not in this process's page tables
 *   touched      the same, touched here: nothing but the lock is missing
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/refuse.h"
#include "bench/bench.h"
#include "cli/cli.h"
#include "memory/pin.h"

#define MIB (UINT64_C(1) << 20)

enum state { ANONYMOUS, PRIVATE, IN_FILE, ELSEWHERE, TOUCHED, NR_STATES };
static const char *const state_names[NR_STATES] = {"anonymous", "private", "file", "elsewhere",
						   "touched"};

struct options {
	uint64_t len;
	unsigned int repeat;
	bool json, help;
};

enum how { BY_MLOCK, BY_ONE, BY_ALL, NR_HOWS };
static const char *const how_names[NR_HOWS] = {"mlock", "one thread", "all processors"};

struct result {
	struct bench_samples of[NR_HOWS];
};

static void *map_file(int fd, uint64_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

/* Memory in @state. Return: MAP_FAILED with errno */
static void *make(enum state state, uint64_t len)
{
	void *p = MAP_FAILED;
	int fd;

	if (state == ANONYMOUS || state == PRIVATE) {
		p = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p != MAP_FAILED && state == PRIVATE)
			memset(p, 0x5a, len);
		return p;
	}
	fd = memfd_create("bench", MFD_CLOEXEC);
	if (fd < 0)
		return p;
	if (ftruncate(fd, (off_t)len) == 0)
		p = map_file(fd, len);
	if (p != MAP_FAILED && state != IN_FILE)
		memset(p, 0x5a, len);
	if (p != MAP_FAILED && state == ELSEWHERE) {
		munmap(p, len);
		p = map_file(fd, len);
	}
	close(fd);
	return p;
}

/* Return: 0 or -errno, with a line on stderr */
static int register_and_release(struct memory_space *space, void *p, uint64_t len,
				struct bench_samples *samples)
{
	struct memory_region *region;
	int64_t start = clock_now_ns();
	int err = memory_region_create(space, (uintptr_t)p, len, true, MEMORY_PINNED, &region);

	if (err) {
		fprintf(stderr, "holdfast bench pin: %s\n", refuse_reason());
		return err;
	}
	err = bench_samples_add(samples, (double)(clock_now_ns() - start));
	memory_region_put(region);
	return err;
}

/* By number: the sanitizers turn the library's mlock into nothing. */
static int mlock_and_munlock(void *p, uint64_t len, struct bench_samples *samples)
{
	int64_t start = clock_now_ns(), took;
	int err = syscall(SYS_mlock, p, len) < 0 ? -errno : 0;

	if (err) {
		fprintf(stderr,
			"holdfast bench pin: the system does not allow to lock %" PRIu64
			" bytes: %s\n",
			len, strerror(-err));
		return err;
	}
	took = clock_now_ns() - start;
	(void)syscall(SYS_munlock, p, len);
	return bench_samples_add(samples, (double)took);
}

static int measure_once(struct memory_space *space, enum state state, uint64_t len, enum how how,
			struct result *r)
{
	void *p = make(state, len);
	int err;

	if (p == MAP_FAILED)
		return -errno;
	memory_lock_threads(how == BY_ONE ? 1 : 0);
	err = how == BY_MLOCK ? mlock_and_munlock(p, len, &r->of[how])
			      : register_and_release(space, p, len, &r->of[how]);
	munmap(p, len);
	return err;
}

static int measure(const struct options *opt, enum state state, struct result *r)
{
	struct memory_space *space;
	int err = memory_space_create_own(&space);

	if (err)
		return err;
	for (unsigned int i = 0; !err && i < opt->repeat; i++)
		for (int how = 0; !err && how < NR_HOWS; how++)
			err = measure_once(space, state, opt->len, (enum how)how, r);
	memory_space_put(space);
	return err;
}

/* How many times as fast as mlock(2)? */
static double ratio(struct result *r, enum how how)
{
	return bench_percentile(&r->of[BY_MLOCK], 50) / bench_percentile(&r->of[how], 50);
}

static void print(const struct options *opt, enum state state, struct result *r)
{
	double scale = (double)opt->len / (double)(MIB * 1024) * 1e6;

	printf("  %-10s %6zu", state_names[state], r->of[BY_MLOCK].nr);
	for (int how = 0; how < NR_HOWS; how++)
		printf(" %14.1f", bench_percentile(&r->of[how], 50) / scale);
	printf(" %8.2f %8.2f\n", ratio(r, BY_ONE), ratio(r, BY_ALL));
	fflush(stdout);
}

static int json_rows(json_t *doc, const struct options *opt, enum state state, struct result *r)
{
	char name[64];
	int err = 0;

	for (int how = 0; !err && how < NR_HOWS; how++) {
		snprintf(name, sizeof(name), "%s, %s", state_names[state], how_names[how]);
		err = bench_json_row(doc, name, &r->of[how],
				     json_pack("{s:s, s:s, s:I, s:f}", "memory", state_names[state],
					       "by", how_names[how], "bytes", (json_int_t)opt->len,
					       "ratio_to_mlock", ratio(r, (enum how)how)));
	}
	return err;
}

static int run(const struct options *opt)
{
	json_t *doc = opt->json ? bench_json_begin("pin") : NULL;
	int err = opt->json && !doc ? -ENOMEM : 0;

	if (!opt->json)
		printf("first registration, median in ms a GiB; how many times as fast as "
		       "mlock(2)\n"
		       "  %-10s %6s %14s %14s %14s %8s %8s\n",
		       "memory", "n", how_names[0], how_names[1], how_names[2], "one", "all");
	for (int s = 0; !err && s < NR_STATES; s++) {
		struct result r = {0};

		err = measure(opt, (enum state)s, &r);
		if (!err && opt->json)
			err = json_rows(doc, opt, (enum state)s, &r);
		else if (!err)
			print(opt, (enum state)s, &r);
		for (int how = 0; how < NR_HOWS; how++)
			bench_samples_fini(&r.of[how]);
	}
	if (!err && opt->json)
		return bench_json_end(doc, stdout) ? CLI_EXIT_FAILED : CLI_EXIT_OK;
	json_decref(doc);
	if (err)
		fprintf(stderr, "holdfast bench pin: %s\n", strerror(-err));
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static int usage(const char *what, const char *value)
{
	fprintf(stderr,
		"holdfast bench pin: %s '%s': known: --size SIZE (such as 512M, 2G), --repeat N, "
		"--json\n",
		what, value);
	return CLI_EXIT_USAGE;
}

static int parse_size(const char *text, uint64_t *out)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	unsigned int shift = *end == 'G' ? 30 : *end == 'M' ? 20 : 0;

	if (end == text || *text == '-' || !shift || end[1] || n < 1 || n > (1ULL << 40 >> shift))
		return -EINVAL;
	*out = (uint64_t)n << shift;
	return 0;
}

static int parse_repeat(const char *text, unsigned int *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *text == '-' || *end || n < 1 || n > 1000)
		return -EINVAL;
	*out = (unsigned int)n;
	return 0;
}

static int parse(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {{"size", required_argument, NULL, 's'},
					      {"repeat", required_argument, NULL, 'r'},
					      {"json", no_argument, NULL, 'j'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	int c;

	*opt = (struct options){.len = 1024 * MIB, .repeat = 3};
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		if (c == 's' && parse_size(optarg, &opt->len))
			return usage("wrong --size", optarg);
		if (c == 'r' && parse_repeat(optarg, &opt->repeat))
			return usage("wrong --repeat", optarg);
		if (c == ':' || c == '?')
			return usage(c == ':' ? "value missing for" : "unknown option",
				     argv[optind - 1]);
		opt->json |= c == 'j';
		opt->help |= c == 'h';
	}
	return optind < argc && !opt->help ? usage("unexpected", argv[optind]) : 0;
}

int bench_pin_memory(int argc, char **argv)
{
	struct options opt;
	int ret = parse(argc, argv, &opt);

	if (ret)
		return ret;
	if (!opt.help)
		return run(&opt);
	printf("usage: holdfast bench pin [OPTION...]\n"
	       "Measures the first registration (population and lock) of memory, by one thread and "
	       "by all "
	       "processors, against mlock(2).\n\n"
	       "  --size SIZE   memory, by default 1G\n"
	       "  --repeat N    of each, by default 3\n"
	       "  --json        write JSON\n");
	return CLI_EXIT_OK;
}
