// SPDX-License-Identifier: BSD-3-Clause
/* What sets and shows the mask of a thread, while SIGSYS stays unblocked (mask.h). Otherwise all of
 * it goes to libc as it is. */
#include "real.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "frontends/preload/mask.h"

/* The old interfaces have the first 32 signals, SIGSYS among them, in an int. */
static int word_to_kernel(int mask)
{
	return mask_is_translated() ? (int)mask_to_kernel((uint32_t)mask) : mask;
}

static int word_to_client(int mask)
{
	return mask_is_translated() ? (int)mask_to_client((uint32_t)mask) : mask;
}

HF_EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;
	const sigset_t *given = mask_copy(set, &copy);
	int rc = real()->sigprocmask(how, given, old);

	if (rc == 0)
		mask_done(how, given, old);
	return rc;
}

HF_EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;
	const sigset_t *given = mask_copy(set, &copy);
	int rc = real()->pthread_sigmask(how, given, old);

	if (rc == 0)
		mask_done(how, given, old);
	return rc;
}

HF_EXPORT int sigblock(int mask)
{
	return word_to_client(real()->sigblock(word_to_kernel(mask)));
}

HF_EXPORT int sigsetmask(int mask)
{
	int old = word_to_client(real()->sigsetmask(word_to_kernel(mask)));
	sigset_t set;

	sigemptyset(&set);
	if (!((uint32_t)mask & MASK_BIT(SIGSYS)))
		mask_done(SIG_SETMASK, &set, NULL);
	return old;
}

HF_EXPORT int siggetmask(void)
{
	return word_to_client(real()->siggetmask());
}

static int change_one(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return sigprocmask(how, &set, NULL);
}

HF_EXPORT int sighold(int sig)
{
	return sig == SIGSYS ? change_one(SIG_BLOCK, sig) : real()->sighold(sig);
}

HF_EXPORT int sigrelse(int sig)
{
	return sig == SIGSYS ? change_one(SIG_UNBLOCK, sig) : real()->sigrelse(sig);
}

HF_EXPORT int sigsuspend(const sigset_t *set)
{
	sigset_t copy;

	return real()->sigsuspend(mask_copy(set, &copy));
}
HF_ALIAS(__sigsuspend, sigsuspend);

/* The headers give the name to the function of X/Open, which takes a signal. */
int holdfast_sigpause(int mask) __asm__("sigpause");
HF_EXPORT int holdfast_sigpause(int mask)
{
	return real()->__sigpause(word_to_kernel(mask), 0);
}

int __sigpause(int mask, int is_sig);
HF_EXPORT int __sigpause(int mask, int is_sig)
{
	return real()->__sigpause(is_sig ? mask : word_to_kernel(mask), is_sig);
}

HF_EXPORT int ppoll(struct pollfd *fds, nfds_t nr, const struct timespec *timeout,
		    const sigset_t *set)
{
	sigset_t copy;

	return real()->ppoll(fds, nr, timeout, mask_copy(set, &copy));
}

int __ppoll_chk(struct pollfd *fds, nfds_t nr, const struct timespec *timeout, const sigset_t *set,
		size_t room);
HF_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t nr, const struct timespec *timeout,
			  const sigset_t *set, size_t room)
{
	sigset_t copy;

	return real()->__ppoll_chk(fds, nr, timeout, mask_copy(set, &copy), room);
}

HF_EXPORT int pselect(int nr, fd_set *in, fd_set *out, fd_set *except,
		      const struct timespec *timeout, const sigset_t *set)
{
	sigset_t copy;

	return real()->pselect(nr, in, out, except, timeout, mask_copy(set, &copy));
}

HF_EXPORT int epoll_pwait(int fd, struct epoll_event *events, int nr, int timeout,
			  const sigset_t *set)
{
	sigset_t copy;

	return real()->epoll_pwait(fd, events, nr, timeout, mask_copy(set, &copy));
}

HF_EXPORT int epoll_pwait2(int fd, struct epoll_event *events, int nr,
			   const struct timespec *timeout, const sigset_t *set)
{
	sigset_t copy;

	return real()->epoll_pwait2(fd, events, nr, timeout, mask_copy(set, &copy));
}

HF_EXPORT int pthread_attr_setsigmask_np(pthread_attr_t *attr, const sigset_t *set)
{
	sigset_t copy;

	return real()->pthread_attr_setsigmask_np(attr, mask_copy(set, &copy));
}

HF_EXPORT int pthread_attr_getsigmask_np(const pthread_attr_t *attr, sigset_t *set)
{
	int rc = real()->pthread_attr_getsigmask_np(attr, set);

	if (rc == 0)
		mask_done(SIG_BLOCK, NULL, set);
	return rc;
}
