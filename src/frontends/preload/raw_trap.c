// SPDX-License-Identifier: BSD-3-Clause
/*
 * SIGSYS from our filter: the handler makes the call through the wrapper and puts the result where
 * the kernel would have. The handler runs once for each call, so a signal makes no call happen
 * twice. A thread that blocked SIGSYS would be killed by the kernel when it makes such a call, so
 * no thread does (mask.h).
 */
#include "real.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "frontends/preload/mask.h"
#include "frontends/preload/raw_trap.h"
#include "memory/guard.h"

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* si_code */
#endif

#if defined(__x86_64__)
/* The thread returns to the mask that the context has, not to the handler's. */
static long serve_mask_call(const struct raw_call *row, const uint64_t args[RAW_NR_ARGS],
			    ucontext_t *context)
{
	long rc = raw_mask_serve(row, args);
	uint64_t now;

	if (rc == 0 && row->nr == SYS_rt_sigprocmask &&
	    real()->syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, sizeof(now)) == 0)
		memcpy(&context->uc_sigmask, &now, sizeof(now));
	return rc;
}

static bool serve_sigsys(const siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const uint64_t args[RAW_NR_ARGS] = {(uint64_t)regs[REG_RDI], (uint64_t)regs[REG_RSI],
					    (uint64_t)regs[REG_RDX], (uint64_t)regs[REG_R10],
					    (uint64_t)regs[REG_R8],  (uint64_t)regs[REG_R9]};
	const struct raw_call *call = raw_call_find(info->si_syscall), *mask_call = NULL;
	uint64_t mask;
	long rc;

	memcpy(&mask, &((ucontext_t *)context)->uc_sigmask, sizeof(mask));
	if (info->si_code <= 0)
		return mask_hold_sigsys(mask);
	if (!call)
		mask_call = raw_mask_call_find(info->si_syscall);
	if (info->si_code != SYS_SECCOMP || info->si_errno != RAW_TRAP_MARK ||
	    (!call && !mask_call))
		return false;
	rc = call ? raw_call_serve(call, args) : serve_mask_call(mask_call, args, context);
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
	const struct raw_filter filter = {.ranges = ranges,
					  .nr_ranges = nr,
					  .also = raw_mask_calls,
					  .nr_also = raw_nr_mask_calls,
					  .window = window,
					  .trap = true};
	int rc = memory_guard_take_sigsys(serve_sigsys);

	if (!rc)
		rc = mask_keep_sigsys();
	return rc ? rc : raw_filter_install(&filter);
}
