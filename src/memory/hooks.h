// SPDX-License-Identifier: BSD-3-Clause
/*
 * What tests may take away from the kernel, so that the ways for older kernels and for sandboxes
 * run on every machine, and the room's own thread. The tests of this room link a copy of it that is
 * built with HOLDFAST_TESTS. In the product each switch is a constant false, and its code is gone.
 *
 * Private to this room. Thread rule: a test sets them while no other thread runs.
 */
#ifndef HOLDFAST_MEMORY_HOOKS_H
#define HOLDFAST_MEMORY_HOOKS_H

#include <stdbool.h>

#include "base/compiler.h"

struct memory_hooks {
	bool without_populate; /* MADV_POPULATE_*: kernels before 5.14 */
	bool without_scan;     /* PAGEMAP_SCAN: before 6.7 */
	bool without_query;    /* PROCMAP_QUERY: before 6.11 */
	bool without_vm;       /* process_vm_readv(2): sandboxes */
	bool without_keeper;   /* no thread settles what a test looks at */
};

#ifdef HOLDFAST_TESTS
extern struct memory_hooks memory_hooks; /* in maps.c */
#else
HF_UNUSED static const struct memory_hooks memory_hooks;
#endif

#endif
