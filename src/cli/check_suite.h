// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast check` on its way over nodes: find out what a device is, run each check in a child of
 * its own, report it, and give the device back what the checks changed.
 * Owns the memory that the children fill. Used by cmd_check.c. Thread rule: main thread.
 */
#ifndef HOLDFAST_CLI_CHECK_SUITE_H
#define HOLDFAST_CLI_CHECK_SUITE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "check/check.h"
#include "check/random.h"

enum { CHECK_NODES_MAX = 16 };
enum { CHECK_BY_DEVICE = -1, CHECK_BY_KERNEL = -2 };

struct check_options {
	const char *match;
	const char *junit;
	const char *specs[CHECK_NODES_MAX]; /* devices of our own, nodes 0.. */
	size_t nr_specs;
	int deadline_ms;
	bool list;
	bool overwrite;
	/* enum profile; CHECK_BY_DEVICE: what the device is; CHECK_BY_KERNEL: and if that is the
	 * default mode, a kernel */
	int profile;
	int mapping, memory, compat; /* -1: probe */
	struct random_options random;
};

/** check_suite_init() - once. Return: 0; -ENOMEM, and one line was printed */
int check_suite_init(void) HF_MUST_CHECK;
void check_suite_list(const struct check_options *opts);
/** check_suite_run() - Return: exit status: 0 all passed, 1 a check failed, 2 it could not run */
int check_suite_run(struct check_device *devs, size_t nr, const struct check_options *opts);
/** check_suite_random() - random or recorded sequences instead. Return: exit status */
int check_suite_random(struct check_device *dev, const struct check_options *opts);

#endif
