// SPDX-License-Identifier: BSD-3-Clause
/*
 * The words of `holdfast dev` and `holdfast mgmtdev`, and the request that they become
 * (docs/management.md). Used by cmd_dev.c. Thread rule: main thread.
 */
#ifndef HOLDFAST_CLI_DEV_WORDS_H
#define HOLDFAST_CLI_DEV_WORDS_H

#include <jansson.h>
#include <stdbool.h>

/* What a command's words say. */
struct dev_wanted {
	json_t *request; /* [owned] */
	const char *key; /* of the result to print, or NULL: nothing but with -j */
	bool change;
	bool local; /* can be answered without any program */
};

/* @who: "holdfast dev", begins the line that tells what is wrong.
 * Return: 0 or exit status, and one line was printed; the caller frees the request on any outcome
 */
typedef int (*dev_words_fn)(const char *who, int argc, char **argv, struct dev_wanted *wanted);

int dev_words_read(const char *who, int argc, char **argv, struct dev_wanted *wanted);
int mgmtdev_words_read(const char *who, int argc, char **argv, struct dev_wanted *wanted);
void dev_words_help(const char *who);

/** dev_wrong_use() - say so in one line. @word: or NULL. Return: the exit status */
int dev_wrong_use(const char *who, const char *what, const char *word);

#endif
