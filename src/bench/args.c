// SPDX-License-Identifier: BSD-3-Clause
#include "bench/args.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/size.h"
#include "cli/cli.h"

#define NR_OPTIONS_MAX 20
#define FIRST_VALUE    256 /* getopt's value of the first row: above all letters */

int bench_wrong_use(const struct bench_command *cmd, const char *what, const char *value)
{
	fprintf(stderr, "holdfast bench %s: %s '%s': known: %s\n", cmd->name, what, value,
		cmd->known);
	return CLI_EXIT_USAGE;
}

/* ---- values ---- */

static int parse_count(const char *text, unsigned int max, unsigned int *out)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < 1 || value > max)
		return -EINVAL;
	*out = (unsigned int)value;
	return 0;
}

int bench_parse_sizes(const char *text, uint64_t least, uint64_t most, struct bench_sizes *out)
{
	out->nr = 0;
	while (*text) {
		uint64_t bytes;

		if (out->nr == BENCH_SIZES_MAX || size_parse(text, &text, &bytes) ||
		    bytes < least || bytes > most)
			return -EINVAL;
		out->bytes[out->nr++] = bytes;
		if (*text == ',' && text[1])
			text++;
		else if (*text)
			return -EINVAL;
	}
	return out->nr ? 0 : -EINVAL;
}

uint64_t bench_sizes_most(const struct bench_sizes *sizes)
{
	uint64_t most = sizes->bytes[0];

	for (size_t i = 1; i < sizes->nr; i++)
		most = sizes->bytes[i] > most ? sizes->bytes[i] : most;
	return most;
}

static int take_value(const struct bench_option *o)
{
	switch (o->arg) {
	case BENCH_FLAG:
		*(bool *)o->out = true;
		return 0;
	case BENCH_TEXT:
		*(const char **)o->out = optarg;
		return 0;
	case BENCH_COUNT:
		return parse_count(optarg, o->max, o->out);
	case BENCH_PARSED:
		return o->parse(optarg, o->out);
	}
	return -EINVAL;
}

/* ---- words ---- */

static bool is_short(const struct bench_option *o)
{
	return !o->name[1];
}

/* The rows as getopt_long(3) wants them. @shorts: room for two characters a row, and 3 */
static void fill_tables(const struct bench_option *options, size_t nr, struct option *longs,
			char *shorts)
{
	size_t nr_longs = 0;

	*shorts++ = ':';
	*shorts++ = 'h';
	for (size_t i = 0; i < nr; i++) {
		int has_arg = options[i].arg == BENCH_FLAG ? no_argument : required_argument;

		if (is_short(&options[i])) {
			*shorts++ = options[i].name[0];
			if (has_arg == required_argument)
				*shorts++ = ':';
			continue;
		}
		longs[nr_longs++] =
			(struct option){options[i].name, has_arg, NULL, FIRST_VALUE + (int)i};
	}
	longs[nr_longs++] = (struct option){"help", no_argument, NULL, 'h'};
	longs[nr_longs] = (struct option){0};
	*shorts = '\0';
}

static const struct bench_option *row_of(const struct bench_option *options, size_t nr, int c)
{
	if (c >= FIRST_VALUE)
		return &options[c - FIRST_VALUE];
	for (size_t i = 0; i < nr; i++)
		if (is_short(&options[i]) && options[i].name[0] == c)
			return &options[i];
	return NULL;
}

static int take_word(const struct bench_command *cmd, const struct bench_option *o, int c,
		     const char *refused)
{
	char what[64];

	if (!o)
		return bench_wrong_use(cmd, c == ':' ? "value missing for" : "unknown option",
				       refused);
	if (take_value(o) == 0)
		return 0;
	snprintf(what, sizeof(what), "wrong %s%s", is_short(o) ? "-" : "--", o->name);
	return bench_wrong_use(cmd, what, optarg);
}

bool bench_parse(const struct bench_command *cmd, const struct bench_option *options, size_t nr,
		 int argc, char **argv, int *status)
{
	struct option longs[NR_OPTIONS_MAX + 2];
	char shorts[2 * NR_OPTIONS_MAX + 3];
	bool help = false;
	int c;

	fill_tables(options, nr, longs, shorts);
	opterr = 0;
	optind = 1;
	*status = CLI_EXIT_OK;
	while (!*status && (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == 'h')
			help = true;
		else
			*status = take_word(cmd, row_of(options, nr, c), c,
					    cli_refused_option(c, argv, longs));
	}
	if (!*status && help)
		fputs(cmd->help, stdout);
	else if (!*status && argc - optind > cmd->max_paths)
		*status = bench_wrong_use(cmd, "unexpected", argv[optind + cmd->max_paths]);
	return !*status && !help;
}

int bench_own_devices(const char **path, const char *const *specs, size_t nr)
{
	int ret = *path ? 0 : cli_reexec_with_devices(specs, nr);

	if (!ret && !*path)
		*path = "/dev/vhost-vdpa-0";
	return ret;
}
