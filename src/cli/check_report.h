// SPDX-License-Identifier: BSD-3-Clause
/*
 * How `holdfast check` tells what came out: TAP lines, a summary by section of the specification,
 * JUnit XML. Owns nothing. Used by check_suite.c. Thread rule: main thread.
 */
#ifndef HOLDFAST_CLI_CHECK_REPORT_H
#define HOLDFAST_CLI_CHECK_REPORT_H

#include <stdio.h>

#include "base/compiler.h"
#include "check/check.h"

enum { CHECK_SECTIONS = 13 };

struct check_tally {
	unsigned ok, failed, skipped;
};

/** check_report_tap() - @node: "NODE:" where there are several, else "" */
void check_report_tap(unsigned nr, const char *node, const struct check *c,
		      const struct check_result *res);
void check_report_junit(FILE *f, const struct check *c, const struct check_result *res);
/** check_report_count() - @tally: CHECK_SECTIONS of them */
void check_report_count(struct check_tally *tally, const struct check *c,
			const struct check_result *res);
/** check_report_summary() - Return: how many checks failed */
unsigned check_report_summary(const struct check_device *dev, const struct check_tally *tally);

/** check_junit_open() - Return: 0; -EIO, and one line was printed */
int check_junit_open(const char *path, FILE **file) HF_MUST_CHECK;
/** check_junit_close() - Return: 0; -EIO, and one line was printed */
int check_junit_close(const char *path, FILE *file) HF_MUST_CHECK;

#endif
