// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench apart`: how long a word takes from one processor to another and back. A card's
 * worker and a driver that polls pass cache lines to and fro, so this sets their rate. On a virtual
 * machine it changes when the host moves processors: whoever compares two runs wants it to be the
 * same for both.
 *
 * Two threads, each kept on its processor, answer each other in one word. A sample is the mean of
 * ROUND_TRIPS.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "bench/args.h"
#include "bench/bench.h"
#include "cli/cli.h"

#define ROUND_TRIPS 4000u /* a millisecond, more or less */
#define CPUS_MAX    16u   /* of which pairs are measured */

struct options {
	unsigned int repeat;
	bool json;
};

/* The word: odd values are the asker's, even ones answers. Both threads write nothing else. */
struct word {
	uint32_t value; /* atomic */
} __attribute__((aligned(128)));

struct pair {
	struct word *word;
	unsigned int nth; /* processor of the one who answers */
	int err;          /* of its pinning; read after the join */
};

/* The processors may be shared with others: then whoever waits lets them run. */
static void wait_for(const uint32_t *value, uint32_t wanted)
{
	for (unsigned int i = 1; __atomic_load_n(value, __ATOMIC_ACQUIRE) != wanted; i++)
		if (i % 100000 == 0)
			(void)sched_yield();
}

static void *answer(void *arg)
{
	struct pair *pair = arg;
	int cpu = bench_pin(pair->nth);

	pair->err = cpu < 0 ? cpu : 0;
	for (uint32_t i = 0; i < ROUND_TRIPS; i++) {
		wait_for(&pair->word->value, 2 * i + 1);
		__atomic_store_n(&pair->word->value, 2 * i + 2, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Return: 0; -errno */
static int take_sample(unsigned int nth, struct bench_samples *samples)
{
	static struct word word;
	struct pair pair = {.word = &word, .nth = nth};
	pthread_t thread;
	int64_t began = 0;
	int err;

	__atomic_store_n(&word.value, 0, __ATOMIC_RELAXED);
	err = pthread_create(&thread, NULL, answer, &pair);
	if (err)
		return -err;
	for (uint32_t i = 0; i < ROUND_TRIPS; i++) {
		if (i == 1) /* the first one has waited for the thread to start */
			began = clock_now_ns();
		__atomic_store_n(&word.value, 2 * i + 1, __ATOMIC_RELEASE);
		wait_for(&word.value, 2 * i + 2);
	}
	began = clock_now_ns() - began;
	pthread_join(thread, NULL);
	return pair.err ? pair.err : bench_samples_add(samples, (double)began / (ROUND_TRIPS - 1));
}

/* The @first'th and the @second'th processor. @name: [out] which they are. Return: 0; -errno */
static int measure(unsigned int first, unsigned int second, unsigned int repeat,
		   struct bench_samples *samples, char *name, size_t len)
{
	int cpu = bench_pin(second), other = cpu, err = cpu < 0 ? cpu : 0;

	if (!err)
		cpu = bench_pin(first);
	if (!err && cpu < 0)
		err = cpu;
	(void)snprintf(name, len, "processors %d and %d", cpu, other);
	for (unsigned int i = 0; !err && i < repeat; i++)
		err = take_sample(second, samples);
	return err;
}

static int report(json_t *doc, const char *name, struct bench_samples *samples)
{
	if (doc)
		return bench_json_row(doc, name, samples, NULL);
	printf("  %-22s %6zu %10.0f %10.0f %10.0f\n", name, samples->nr,
	       bench_percentile(samples, 0), bench_percentile(samples, 50),
	       bench_percentile(samples, 99));
	return 0;
}

static unsigned int nr_processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 0 : CPU_COUNT(&set);

	return (unsigned int)n > CPUS_MAX ? CPUS_MAX : (unsigned int)n;
}

static int run(const struct options *opt)
{
	json_t *doc = opt->json ? bench_json_begin("apart") : NULL;
	int err = opt->json && !doc ? -ENOMEM : 0;
	unsigned int nr = nr_processors();

	if (nr < 2) {
		fprintf(stderr, "holdfast bench apart: this process may use one processor only\n");
		json_decref(doc);
		return CLI_EXIT_FAILED;
	}
	if (!opt->json)
		printf("a word from one processor to another and back, ns\n"
		       "  %-22s %6s %10s %10s %10s\n",
		       "", "n", "min", "median", "p99");
	for (unsigned int i = 0; !err && i < nr; i++) {
		for (unsigned int k = i + 1; !err && k < nr; k++) {
			struct bench_samples samples = {0};
			char name[64];

			err = measure(i, k, opt->repeat, &samples, name, sizeof(name));
			if (!err)
				err = report(doc, name, &samples);
			bench_samples_fini(&samples);
		}
	}
	if (opt->json)
		err = bench_json_end(doc, err, stdout);
	if (err)
		fprintf(stderr, "holdfast bench apart: %s\n", strerror(-err));
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

static const struct bench_command command = {
	.name = "apart",
	.help = "usage: holdfast bench apart [OPTION...]\n"
		"Measures how long a word takes from one processor to another and back, for each "
		"pair.\n\n"
		"  --repeat N    samples of each pair, by default 9\n"
		"  --json        write JSON\n",
	.known = "--repeat N, --json",
};

int bench_apart(int argc, char **argv)
{
	struct options opt = {.repeat = 9};
	const struct bench_option options[] = {
		{"repeat", BENCH_COUNT, &opt.repeat, 1000, NULL},
		{"json", BENCH_FLAG, &opt.json, 0, NULL},
	};
	int status;

	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, &status))
		return status;
	return run(&opt);
}
