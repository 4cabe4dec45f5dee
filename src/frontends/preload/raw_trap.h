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

#endif
