// SPDX-License-Identifier: BSD-3-Clause
/*
 * The command line of a bench: one table of options, read by one function, so that all benches take
 * and refuse words in the same way. What a wrong word is told is one line on stderr, with the word
 * and with what is known.
 *
 * Owns nothing: texts are argv's. Used by the benches. Thread rule: main thread.
 */
#ifndef HOLDFAST_BENCH_ARGS_H
#define HOLDFAST_BENCH_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define BENCH_SIZES_MAX 16u

/* Sizes of memory in bytes, in the order given. */
struct bench_sizes {
	uint64_t bytes[BENCH_SIZES_MAX];
	size_t nr;
};

enum bench_arg {
	BENCH_FLAG,   /* no value; @out: bool * */
	BENCH_TEXT,   /* @out: const char ** */
	BENCH_COUNT,  /* 1 to @max; @out: unsigned int * */
	BENCH_PARSED, /* by @parse */
};

struct bench_option {
	const char *name; /* without dashes; one letter is a short option */
	enum bench_arg arg;
	void *out;
	unsigned int max;
	int (*parse)(const char *text, void *out); /* Return: 0; negative: a wrong value */
};

struct bench_command {
	const char *name;  /* "reset" */
	const char *help;  /* what --help prints */
	const char *known; /* the options, on one line: what a wrong word is answered with */
	int max_paths;     /* words after the options */
};

/**
 * bench_parse() - read the options; words behind them are argv[optind] and on
 * @options: @nr of them; --help and -h need no row
 * @status:  set if there is nothing more to do: exit status
 * Return: true go on; false after --help, and after a wrong word, of which one line was printed
 */
bool bench_parse(const struct bench_command *cmd, const struct bench_option *options, size_t nr,
		 int argc, char **argv, int *status) HF_MUST_CHECK;

/**
 * bench_own_devices() - without a path, run the program again with devices of @specs
 * Return: 0, and *@path is the first device's, if it was NULL; else the exit status
 */
int bench_own_devices(const char **path, const char *const *specs, size_t nr) HF_MUST_CHECK;

/** bench_wrong_use() - say so in one line. Return: the exit status */
int bench_wrong_use(const struct bench_command *cmd, const char *what, const char *value);

/** bench_parse_sizes() - a list such as 1G,512M, each from @least to @most bytes. Return: 0;
 * -EINVAL
 */
int bench_parse_sizes(const char *text, uint64_t least, uint64_t most,
		      struct bench_sizes *out) HF_MUST_CHECK;
/** bench_sizes_most() - the largest. At least one */
uint64_t bench_sizes_most(const struct bench_sizes *sizes);

#endif
