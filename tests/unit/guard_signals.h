// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmocka puts its own handlers in place around each test; the guard's are put back inside, by
 * system call: ThreadSanitizer would believe for ever that it is inside a handler which was left by
 * a jump.
 */
#ifndef HOLDFAST_TESTS_GUARD_SIGNALS_H
#define HOLDFAST_TESTS_GUARD_SIGNALS_H

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory/guard.h"

struct kernel_action {
	void (*handler)(int sig, siginfo_t *info, void *context);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static struct sigaction guard_action;

/* Before the first test. Return: 0 or not */
static inline int guard_signals_install(void)
{
	int err = memory_guard_install();

	return err ? err : sigaction(SIGSEGV, NULL, &guard_action);
}

static inline void guard_signal_take(int sig)
{
	struct kernel_action act;

	assert_int_equal(syscall(SYS_rt_sigaction, sig, NULL, &act, sizeof(act.mask)), 0);
	act.handler = guard_action.sa_sigaction;
	act.flags |= SA_SIGINFO | SA_NODEFER;
	act.mask = 0; /* the jump does not restore it */
	assert_int_equal(syscall(SYS_rt_sigaction, sig, &act, NULL, sizeof(act.mask)), 0);
}

/* Within a test: faults go to the guard, not to cmocka. */
static inline void guard_signals_take(void)
{
	guard_signal_take(SIGSEGV);
	guard_signal_take(SIGBUS);
}

#endif
