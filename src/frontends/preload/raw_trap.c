// SPDX-License-Identifier: BSD-3-Clause
/*
 * SIGSYS from our filter: the handler makes the call through the wrapper and puts the result where
 * the kernel would have. The handler runs once for each call, so a signal makes no call happen
 * twice. A thread that blocks SIGSYS is killed by the kernel when it makes such a call.
 */
#include "real.h"

#include <errno.h>
#include <ucontext.h>

#include "frontends/preload/raw_trap.h"
#include "memory/guard.h"

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* si_code */
#endif

#if defined(__x86_64__)
static bool serve_sigsys(const siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const uint64_t args[RAW_NR_ARGS] = {(uint64_t)regs[REG_RDI], (uint64_t)regs[REG_RSI],
					    (uint64_t)regs[REG_RDX], (uint64_t)regs[REG_R10],
					    (uint64_t)regs[REG_R8],  (uint64_t)regs[REG_R9]};
	const struct raw_call *call = raw_call_find(info->si_syscall);
	long rc;

	if (info->si_code != SYS_SECCOMP || info->si_errno != RAW_TRAP_MARK || !call)
		return false;
	rc = raw_call_serve(call, args);
	regs[REG_RAX] = rc == -1 ? -errno : rc;
	return true;
}
#else
static bool serve_sigsys(const siginfo_t *info, void *context)
{
	return false;
}
#endif

int raw_trap_install(const struct raw_range *ranges, size_t nr, const struct raw_window *window)
{
	const struct raw_filter filter = {
		.ranges = ranges, .nr_ranges = nr, .window = window, .trap = true};
	int rc = memory_guard_take_sigsys(serve_sigsys);

	return rc ? rc : raw_filter_install(&filter);
}
