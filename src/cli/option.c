// SPDX-License-Identifier: BSD-3-Clause
#include <getopt.h>
#include <stdbool.h>
#include <string.h>

#include "cli/cli.h"

/* A long option that takes no value and was given one: getopt_long(3) has its letter then, too. */
static bool is_long_with_value(const char *word, const struct option *longs)
{
	if (strncmp(word, "--", 2) != 0 || !strchr(word, '='))
		return false;
	for (; longs->name; longs++)
		if (longs->val == optopt && longs->has_arg == no_argument)
			return true;
	return false;
}

const char *cli_refused_option(int c, char *const *argv, const struct option *longs)
{
	static char letter[] = "-?";
	const char *word = argv[optind - 1];

	if (c == ':' || optopt == 0 || is_long_with_value(word, longs))
		return word;
	letter[1] = (char)optopt;
	return letter;
}
