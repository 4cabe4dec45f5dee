// SPDX-License-Identifier: BSD-3-Clause
/*
 * A program that is killed at its nth system call: a place, and not a moment, so that it is the
 * same place in the next run. Each call counts twice, before the kernel carries it out and after.
 * Calls count from the program's first write to descriptor -1 to its second one.
 *
 * Thread rule: one thread; its children are the traced programs alone.
 */
#ifndef HOLDFAST_TEST_DEATH_TRACE_H
#define HOLDFAST_TEST_DEATH_TRACE_H

#include <stdbool.h>

enum trace_who {
	TRACE_MAIN,
	TRACE_OTHERS,
	TRACE_NR
}; /* the first thread; those that it has made */

struct trace_end {
	unsigned int nr[TRACE_NR]; /* stops that were counted */
	bool killed;               /* at the point asked for */
	int status;                /* as of waitpid(2) */
};

/** trace_run() - run @argv with @envp until its end, or its death at the @nth stop of @who (from
 * 1; 0: it lives) and wait until nothing of it is left
 * Return: 0; -errno */
int trace_run(char *const *argv, char *const *envp, enum trace_who who, unsigned int nth,
	      struct trace_end *end);

/** trace_run_free() - the same without a tracer. Return: status as of waitpid(2), or -errno */
int trace_run_free(char *const *argv, char *const *envp);

#endif
