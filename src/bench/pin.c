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
#include "bench/args.h"
#include "bench/bench.h"
#include "cli/cli.h"
#include "memory/pin.h"

#define MIB (UINT64_C(1) << 20)

enum state { ANONYMOUS, PRIVATE, IN_FILE, ELSEWHERE, TOUCHED, NR_STATES };
static const char *const state_names[NR_STATES] = {"anonymous", "private", "file", "elsewhere",
						   "touched"};

struct options {
	struct bench_sizes len; /* one */
	unsigned int repeat;
	bool json;
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
		fprintf(stderr, "holdfast bench pin: %s\n", refuse_words(err));
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
			err = measure_once(space, state, opt->len.bytes[0], (enum how)how, r);
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
	double scale = (double)opt->len.bytes[0] / (double)(MIB * 1024) * 1e6;

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
					       "by", how_names[how], "bytes",
					       (json_int_t)opt->len.bytes[0], "ratio_to_mlock",
					       ratio(r, (enum how)how)));
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
	if (opt->json)
		err = bench_json_end(doc, err, stdout);
	if (err)
		fprintf(stderr, "holdfast bench pin: %s\n", strerror(-err));
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static const struct bench_command command = {
	.name = "pin",
	.help = "usage: holdfast bench pin [OPTION...]\n"
		"Measures the first registration (population and lock) of memory, by one thread "
		"and by all processors, against mlock(2).\n\n"
		"  --size SIZE   memory, by default 1G\n"
		"  --repeat N    of each, by default 3\n"
		"  --json        write JSON\n",
	.known = "--size SIZE (such as 512M, 2G), --repeat N, --json",
};

static int parse_size(const char *text, void *out)
{
	struct bench_sizes *sizes = out;
	int err = bench_parse_sizes(text, MIB, UINT64_C(1) << 40, sizes);

	return err ? err : sizes->nr == 1 ? 0 : -EINVAL;
}

int bench_pin_memory(int argc, char **argv)
{
	struct options opt = {.len = {{1024 * MIB}, 1}, .repeat = 3};
	const struct bench_option options[] = {
		{"size", BENCH_PARSED, &opt.len, 0, parse_size},
		{"repeat", BENCH_COUNT, &opt.repeat, 1000, NULL},
		{"json", BENCH_FLAG, &opt.json, 0, NULL},
	};
	int status;

	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, &status))
		return status;
	return run(&opt);
}
