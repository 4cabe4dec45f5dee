// SPDX-License-Identifier: BSD-3-Clause
/*
 * Between the two files of `holdfast bench attach`: the bench, and the probe that it runs as a
 * client.
 * Owns nothing. Thread rule: main thread.
 */
#ifndef HOLDFAST_BENCH_ATTACH_H
#define HOLDFAST_BENCH_ATTACH_H

#include "base/compiler.h"

enum attach_case {
	ATTACH_GETPPID,
	ATTACH_WRITE,
	ATTACH_OPEN,
	ATTACH_STAT,
	ATTACH_IOCTL,
	ATTACH_REQUEST,
	ATTACH_FIRST_OPEN,
	ATTACH_START, /* measured from outside */
	ATTACH_NR_CASES,
};

/** attach_probe() - measure all cases but the last, in this process
 * @what: "calls": without a device; "all"; "nothing": end at once
 * @raw: shared object whose raw_call() makes the calls, or NULL: libc does
 * Prints a line a case: its number, and the median in ns. Return: exit status */
int attach_probe(const char *what, const char *raw) HF_MUST_CHECK;

#endif
