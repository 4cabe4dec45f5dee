// SPDX-License-Identifier: BSD-3-Clause
/* The calls past libc that could block SIGSYS or take its handler away. They are caught only where
 * a raw call raises SIGSYS. */
#include "real.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "frontends/preload/mask.h"
#include "frontends/preload/raw_trap.h"
#include "memory/guard.h"

#define SET_LEN sizeof(uint64_t) /* as the kernel has it */

#if defined(__x86_64__)
const struct raw_call raw_mask_calls[] = {
	{SYS_rt_sigprocmask, RAW_ALWAYS, 1, 3}, {SYS_rt_sigaction, RAW_ALWAYS, 1, 3},
	{SYS_rt_sigsuspend, RAW_ALWAYS, 0, 1},  {SYS_ppoll, RAW_ALWAYS, 3, 4},
	{SYS_pselect6, RAW_ALWAYS, 5, 5},       {SYS_epoll_pwait, RAW_ALWAYS, 4, 5},
	{SYS_epoll_pwait2, RAW_ALWAYS, 4, 5},
};
#else
const struct raw_call raw_mask_calls[1] = {{-1, RAW_ALWAYS, 0, 0}};
#endif
const size_t raw_nr_mask_calls = ARRAY_LEN(raw_mask_calls);

const struct raw_call *raw_mask_call_find(int nr)
{
	for (size_t i = 0; i < raw_nr_mask_calls; i++)
		if (raw_mask_calls[i].nr == nr)
			return &raw_mask_calls[i];
	return NULL;
}

static long call(int nr, const uint64_t a[RAW_NR_ARGS])
{
	return real()->syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void *ptr(uint64_t arg)
{
	return (void *)(uintptr_t)arg;
}

/* rt_sigaction(2)'s argument. */
struct kernel_action {
	uint64_t handler, flags, restorer, mask;
};

/* Of the signals whose handler is the library's own. */
static long serve_guarded(const uint64_t a[RAW_NR_ARGS])
{
	struct kernel_action given = {.flags = 0}, before = {.flags = 0};
	struct sigaction act = {.sa_flags = 0}, old;
	int rc;

	if (a[1] && !mask_read(&given, ptr(a[1]), sizeof(given)))
		return call(SYS_rt_sigaction, (const uint64_t[RAW_NR_ARGS]){a[0], a[1], 0, a[3]});
	memcpy(&act.sa_handler, &given.handler, sizeof(given.handler));
	memcpy(&act.sa_mask, &given.mask, sizeof(given.mask));
	act.sa_flags = (int)given.flags;
	rc = memory_guard_set_next((int)a[0], a[1] ? &act : NULL, &old);
	if (rc < 0) {
		errno = -rc;
		return -1;
	}
	if (!a[2])
		return 0;
	memcpy(&before.handler, &old.sa_handler, sizeof(before.handler));
	memcpy(&before.mask, &old.sa_mask, sizeof(before.mask));
	before.flags = (unsigned int)old.sa_flags;
	if (mask_write(ptr(a[2]), &before, sizeof(before)))
		return 0;
	errno = EFAULT;
	return -1;
}

static long serve_sigaction(const uint64_t a[RAW_NR_ARGS])
{
	uint64_t args[RAW_NR_ARGS] = {a[0], a[1], a[2], a[3]};
	struct kernel_action act, *old = ptr(a[2]);
	int sig = (int)a[0];
	long rc;

	if (a[3] == SET_LEN && (sig == SIGSEGV || sig == SIGBUS || sig == SIGSYS))
		return serve_guarded(a);
	if (a[1] && mask_read(&act, ptr(a[1]), sizeof(act))) {
		act.mask = mask_to_kernel(act.mask);
		args[1] = (uintptr_t)&act;
	}
	rc = call(SYS_rt_sigaction, args);
	if (rc == 0 && old)
		mask_done(SIG_BLOCK, NULL, &old->mask);
	return rc;
}

static long serve_pselect(const uint64_t a[RAW_NR_ARGS])
{
	struct {
		const sigset_t *set;
		size_t len;
	} arg;
	uint64_t args[RAW_NR_ARGS];
	sigset_t copy;

	memcpy(args, a, sizeof(args));
	if (a[5] && mask_read(&arg, ptr(a[5]), sizeof(arg))) {
		arg.set = mask_copy(arg.set, &copy);
		args[5] = (uintptr_t)&arg;
	}
	return call(SYS_pselect6, args);
}

long raw_mask_serve(const struct raw_call *row, const uint64_t a[RAW_NR_ARGS])
{
	uint64_t args[RAW_NR_ARGS];
	sigset_t copy;
	long rc;

	if (row->nr == SYS_rt_sigaction)
		return serve_sigaction(a);
	if (row->nr == SYS_pselect6)
		return serve_pselect(a);
	memcpy(args, a, sizeof(args));
	args[row->fd_arg] = (uintptr_t)mask_copy(ptr(a[row->fd_arg]), &copy);
	rc = call(row->nr, args);
	if (rc == 0 && row->nr == SYS_rt_sigprocmask)
		mask_done((int)a[0], ptr(args[1]), ptr(a[2]));
	return rc;
}
