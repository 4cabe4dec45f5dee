// SPDX-License-Identifier: BSD-3-Clause
/*
 * What every wrapper of a call on a device does around it: keep errno unless the call fails, put
 * off thread cancellation and signal handlers (our locks are safe with neither), and write one line
 * to the call log.
 *
 * Thread rule: a struct call belongs to the calling thread.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_CALL_H
#define HOLDFAST_FRONTENDS_PRELOAD_CALL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/compiler.h"

#define CALL_NO_LOG UINT32_MAX /* as @minor: keep errno, write nothing */

struct call {
	int saved_errno;
	int cancel_state;
	bool held;        /* handlers are put off */
	sigset_t signals; /* @held: what was blocked before */
	FILE *log;        /* the line so far; NULL: no log */
	char *text;
	size_t text_len;
	int64_t start_ns; /* CLOCK_MONOTONIC */
};

/** call_expect_handlers() - the client may have handlers from now on. As long as it has none, calls
 * on devices spare the two system calls that put them off. */
void call_expect_handlers(void);

/** call_has_handlers() - may the client have handlers? One load */
bool call_has_handlers(void);

/** call_block_signals() - put off handlers: one that calls on a device would wait for a lock of the
 * thread that it interrupts. Faults are not put off. */
void call_block_signals(sigset_t *before);
void call_restore_signals(const sigset_t *before);

/** call_hold() - put handlers off before a reference to a file is taken: one that leaves by a jump
 * would leave the reference behind. The thread's next call_enter() goes on with that; call_unhold()
 * is for where none follows. */
void call_hold(void);
void call_unhold(void);

/** call_on_behalf() - the calling thread's next calls are those of thread @tid, which the log
 * names */
void call_on_behalf(pid_t tid);

/**
 * call_enter() - begin
 * With HOLDFAST_LOG set, call->log takes the arguments; it holds "TIME TID [LABEL] " already.
 * @minor: device, for the label; or CALL_NO_LOG
 */
void call_enter(struct call *call, unsigned int minor);

/**
 * call_leave() - end
 * @rc: result, or -errno
 * Return: what the client gets: @rc, or -1 with errno set. errno is as before if @rc is not
 * negative.
 */
long call_leave(struct call *call, long rc);

#endif
