// SPDX-License-Identifier: BSD-3-Clause
/*
 * Raw calls answered in the client's own thread: the filter raises SIGSYS in place of the call. For
 * kernels and processes that cannot have a listener (raw.h). Owns SIGSYS, through memory/guard.h.
 * Thread rule: any thread.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_RAW_TRAP_H
#define HOLDFAST_FRONTENDS_PRELOAD_RAW_TRAP_H

#include "frontends/preload/raw.h"

/** raw_trap_install() - as raw_filter_install(). Return: 0 or -errno */
int raw_trap_install(const struct raw_range *ranges, size_t nr,
		     const struct raw_window *window) HF_MUST_CHECK;

/* What is caught besides raw_calls[] where a raw call raises SIGSYS: it could block SIGSYS, or take
 * its handler away. */
extern const struct raw_call raw_mask_calls[];
extern const size_t raw_nr_mask_calls;

/** raw_mask_call_find() - the row of system call @nr, or NULL */
const struct raw_call *raw_mask_call_find(int nr);
/** raw_mask_serve() - make the call so that SIGSYS stays unblocked and ours. Return: as the kernel,
 * with errno */
long raw_mask_serve(const struct raw_call *row, const uint64_t args[RAW_NR_ARGS]);

#endif
