// SPDX-License-Identifier: BSD-3-Clause
/*
 * Handlers for SIGSEGV, SIGBUS and SIGSYS. The guard (memory/guard.h) has the first two once there
 * are devices, and the third if raw calls raise it (raw.c). It keeps the client's handler as the
 * next one; the client sees sigaction(2) as ever. Until then the guard itself passes the request on
 * to libc, which answers for all other signals.
 *
 * All ways to a handler lead through here, so here is known whether the client has any (call.h).
 */
#include "real.h"

#include <errno.h>
#include <string.h>

#include "call.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/files.h"
#include "frontends/preload/mask.h"
#include "memory/guard.h"

static bool is_guarded(int sig)
{
	return unlikely(sig == SIGSEGV || sig == SIGBUS || sig == SIGSYS);
}

static void expect(sighandler_t handler)
{
	if (handler != SIG_DFL && handler != SIG_IGN && handler != SIG_HOLD && handler != SIG_ERR)
		call_expect_handlers();
}

/* A vfork child has handlers of its own in its parent's memory, where the next one is kept. A
 * client's filter may forbid to ask whose memory it is; there the child is taken for its parent. */
static int set_next(int sig, const struct sigaction *act, struct sigaction *old)
{
	int saved = errno;
	int rc;

	if (act && !aside_is_needed() && files_in_vfork())
		return real()->sigaction(sig, act, old);
	rc = memory_guard_set_next(sig, act, old);
	if (rc < 0) {
		errno = -rc;
		return -1;
	}
	errno = saved;
	return 0;
}

/* The old interfaces differ in flags alone. */
static sighandler_t set_handler(int sig, sighandler_t handler, int flags)
{
	struct sigaction act = {.sa_handler = handler, .sa_flags = flags};
	struct sigaction old;

	if (set_next(sig, &act, &old) < 0)
		return SIG_ERR;
	return old.sa_handler;
}

HF_EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction copy;
	int rc;

	if (is_guarded(sig))
		return set_next(sig, act, old);
	/* @act may be a pointer that the kernel refuses: not looked at. */
	if (act)
		call_expect_handlers();
	if (mask_is_translated() && act && mask_read(&copy, act, sizeof(copy))) {
		mask_set_to_kernel(&copy.sa_mask);
		act = &copy;
	}
	rc = real()->sigaction(sig, act, old);
	if (rc == 0 && old)
		mask_done(SIG_BLOCK, NULL, &old->sa_mask);
	return rc;
}
HF_ALIAS(__sigaction, sigaction);

#define WRAP_SIGNAL(name, flags)                                                                   \
	sighandler_t name(int sig, sighandler_t handler);                                          \
	HF_EXPORT sighandler_t name(int sig, sighandler_t handler)                                 \
	{                                                                                          \
		if (is_guarded(sig))                                                               \
			return set_handler(sig, handler, (int)(flags));                            \
		expect(handler);                                                                   \
		return real()->name(sig, handler);                                                 \
	}
WRAP_SIGNAL(signal, SA_RESTART)
WRAP_SIGNAL(bsd_signal, SA_RESTART)
WRAP_SIGNAL(ssignal, SA_RESTART)
WRAP_SIGNAL(sysv_signal, SA_RESETHAND | SA_NODEFER)
WRAP_SIGNAL(__sysv_signal, SA_RESETHAND | SA_NODEFER)

/* As libc's: SIG_HOLD blocks, a handler unblocks. */
static sighandler_t set_and_unblock(int sig, sighandler_t handler)
{
	struct sigaction act;
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, sig);
	if (set_next(sig, NULL, &act) < 0 ||
	    (handler != SIG_HOLD && set_handler(sig, handler, 0) == SIG_ERR) ||
	    sigprocmask(handler == SIG_HOLD ? SIG_BLOCK : SIG_UNBLOCK, &set, &before) < 0)
		return SIG_ERR;
	return sigismember(&before, sig) ? SIG_HOLD : act.sa_handler;
}

HF_EXPORT sighandler_t sigset(int sig, sighandler_t handler)
{
	if (is_guarded(sig))
		return set_and_unblock(sig, handler);
	expect(handler);
	return real()->sigset(sig, handler);
}

HF_EXPORT int sigignore(int sig)
{
	if (!is_guarded(sig))
		return real()->sigignore(sig);
	return set_handler(sig, SIG_IGN, 0) == SIG_ERR ? -1 : 0;
}
