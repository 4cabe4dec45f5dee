// SPDX-License-Identifier: BSD-3-Clause
/*
 * Surviving memory that went away. Device code touches client memory by plain loads and stores. If
 * the client unmaps, protects or truncates what it has mapped to the device, they fault. A bracket
 * of code has a guard, and the guard says which addresses are the client's. A SIGSEGV or SIGBUS
 * that an access of the guarded thread raises at such an address returns control to the bracket.
 * A fault at any other address is a mistake of our own and goes on as if there were no guard. A
 * worker's bracket is one batch, and it breaks the ring that was at work. Cost on the data path:
 * one _setjmp a batch, nothing an access.
 *
 *	struct memory_guard guard;
 *	// a macro: setjmp must run in the caller's frame
 *	if (memory_guard_enter(&guard, is_client_memory, arg) == 0) {
 *		... device work ...
 *		memory_guard_leave(&guard);
 *	} else {
 *		... guard.fault_addr could not be accessed ...
 *	}
 *
 * A jump skips the code behind the fault. So while code between enter and leave touches client
 * memory, it holds no lock and no allocation that were taken after enter: it copies first, then
 * takes the lock. Faults of unguarded threads go to whatever handler was there before;
 * memory_guard_set_next() lets a frontend that wraps sigaction(2) keep that up to date.
 *
 * A frontend may have SIGSYS handled here, too: what is said above of the handler that was there
 * before holds for all three.
 *
 * Thread rule: enter/leave nest per thread. Any thread may install, as often as it likes: the first
 * call counts.
 */
#ifndef HOLDFAST_MEMORY_GUARD_H
#define HOLDFAST_MEMORY_GUARD_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/** memory_guard_owns_fn - is @addr the client's? Called in a signal handler: no lock, no
 * allocation, no access to client memory. */
typedef bool (*memory_guard_owns_fn)(void *arg, uintptr_t addr);

struct memory_guard {
	jmp_buf env;
	memory_guard_owns_fn owns;
	void *arg;
	uintptr_t fault_addr;      /* written before the jump */
	struct memory_guard *prev; /* the enclosing guard of this thread */
};

/** memory_guard_install() - take SIGSEGV and SIGBUS, once a process. Return: 0 or -errno */
int memory_guard_install(void) HF_MUST_CHECK;

/**
 * memory_guard_take_sigsys() - take SIGSYS, once a process
 * @fn: called for each, in the handler; true: the signal is dealt with. Otherwise it goes on.
 * Return: 0 or -errno
 */
int memory_guard_take_sigsys(bool (*fn)(const siginfo_t *info, void *context)) HF_MUST_CHECK;

/**
 * memory_guard_set_next() - the handler that unguarded faults go to
 * @sig: SIGSEGV, SIGBUS or SIGSYS; @act: new action or NULL; @old: [out] previous one or NULL
 * Return: 0, or -EINVAL for another signal. The semantics are sigaction(2)'s, seen by the client.
 */
int memory_guard_set_next(int sig, const struct sigaction *act,
			  struct sigaction *old) HF_MUST_CHECK;

/* One run of client bytes, for guards around code that touches nothing else of the client. */
struct memory_guard_range {
	uintptr_t first; /* address */
	size_t len;      /* bytes */
};

/** memory_guard_range_owns() - a memory_guard_owns_fn; @range: struct memory_guard_range */
bool memory_guard_range_owns(void *range, uintptr_t addr);

void memory_guard_push(struct memory_guard *guard, memory_guard_owns_fn owns, void *arg);
void memory_guard_pop(struct memory_guard *guard);

#define memory_guard_enter(guard, owns, arg)                                                       \
	(memory_guard_push(guard, owns, arg), _setjmp((guard)->env))
#define memory_guard_leave(guard) memory_guard_pop(guard)

#endif
