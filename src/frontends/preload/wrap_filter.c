// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client installs a seccomp filter, and calls by number.
 *
 * 1. A filter belongs to the thread that installs it, and to the threads that it makes afterwards.
 *    All ways to install one lead through prctl(2) and syscall(2) of libc. The first filter makes
 *    the thread that does the library's work from then on (aside.h), before the filter is there.
 * 2. A filter that is meant for all threads (TSYNC) would be that thread's, too. Then there is
 *    nothing to gain, and no thread is made.
 * 3. What a raw client's calls are caught by (raw.h) is a filter, too. It has to be there before
 *    the client's: the kernel takes it for all threads only as long as they have the same ones.
 */
#include "real.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <linux/vhost.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/thread.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/files.h"
#include "frontends/preload/mask.h"
#include "frontends/preload/raw.h"
#include "frontends/preload/raw_trap.h"

static pid_t process; /* whose memory this is, as far as fork(3) makes it */

static void forked(void)
{
	process = getpid();
	aside_after_fork();
}

__attribute__((constructor)) static void watch_forks(void)
{
	process = getpid();
	(void)pthread_atfork(NULL, NULL, forked);
}

struct preparation {
	unsigned long flags;
	int rc;
};

static void prepare_first(void *arg)
{
	struct preparation *p = arg;

	if (p->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
		raw_leave_listener();
	raw_start();
	p->rc = aside_prepare();
	if (p->rc)
		hf_warn("preload", "calls on devices are made under the client's own filter: %s",
			strerror(-p->rc));
}

/* A filter is about to be installed. A child in its parent's memory, which will call execve(2),
 * changes nothing. Return: does a thread do the work from then on, and did not before? */
static bool prepare(unsigned long flags)
{
	const bool *on = __atomic_load_n(&aside_on, __ATOMIC_ACQUIRE);
	struct preparation p = {.flags = flags};

	/* the second filter may forbid what would be asked here */
	if ((on && __atomic_load_n(on, __ATOMIC_RELAXED)) || process != getpid())
		return false;
	aside_run(prepare_first, &p, sizeof(p)); /* no handler leaves it by a jump */
	return !p.rc;
}

/* Asking whether the kernel knows filters is done with NULL for one. */
static bool is_filter(int option, const unsigned long arg[4])
{
	return option == PR_SET_SECCOMP && arg[0] == SECCOMP_MODE_FILTER && arg[1];
}

HF_EXPORT int prctl(int option, ...)
{
	bool is_prepared;
	unsigned long arg[4];
	va_list ap;
	int rc;

	va_start(ap, option);
	for (unsigned int i = 0; i < ARRAY_LEN(arg); i++)
		arg[i] = va_arg(ap, unsigned long);
	va_end(ap);
	is_prepared = unlikely(is_filter(option, arg)) && prepare(0);
	rc = real()->prctl(option, arg[0], arg[1], arg[2], arg[3]);
	if (unlikely(is_prepared) && rc == 0)
		aside_begin();
	return rc;
}

static bool is_filter_call(long nr, const uint64_t arg[RAW_NR_ARGS])
{
	const unsigned long rest[4] = {arg[1], arg[2]};

	if (nr == SYS_seccomp)
		return arg[0] == SECCOMP_SET_MODE_FILTER && arg[2] &&
		       !(arg[1] & SECCOMP_FILTER_FLAG_TSYNC);
	return nr == SYS_prctl && is_filter((int)arg[0], rest);
}

/* Is it a call on a device, or on its path? libc's own code is not caught by a filter of ours
 * (raw.h), so what is made by number is found here. */
static bool is_device_call(long nr, const uint64_t arg[RAW_NR_ARGS])
{
	const struct raw_call *call =
		aside_depth || thread_is_ours() ? NULL : raw_call_find((int)nr);

	if (!call)
		return false;
	if (call->when == RAW_IOCTL && _IOC_TYPE(arg[1]) == VHOST_VIRTIO)
		return true; /* the descriptor may have been opened elsewhere */
	if (call->when == RAW_IOCTL || call->when == RAW_MESSAGE)
		return files_maybe((int)arg[call->fd_arg]);
	return raw_call_is_ours(call, arg);
}

/* How many arguments there are depends on the call. The last one lies on the stack, where another
 * thing of the caller's may lie if there is none: AddressSanitizer would say so. */
__attribute__((no_sanitize("address"))) HF_EXPORT long syscall(long nr, ...)
{
	uint64_t arg[RAW_NR_ARGS];
	bool is_prepared;
	va_list ap;
	long rc;

	va_start(ap, nr);
	for (unsigned int i = 0; i < ARRAY_LEN(arg); i++)
		arg[i] = va_arg(ap, uint64_t);
	va_end(ap);
	if (unlikely(nr == SYS_unshare))
		return unshare((int)arg[0]);
	if (unlikely(nr == SYS_close_range))
		return close_range((unsigned int)arg[0], (unsigned int)arg[1], (int)arg[2]);
	if (mask_is_translated() && raw_mask_call_find((int)nr))
		return raw_mask_serve(raw_mask_call_find((int)nr), arg);
	if (unlikely(is_device_call(nr, arg)))
		return raw_call_serve(raw_call_find((int)nr), arg);
	is_prepared = unlikely(is_filter_call(nr, arg)) && prepare(nr == SYS_seccomp ? arg[1] : 0);
	rc = real()->syscall(nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	if (unlikely(is_prepared) && rc >= 0)
		aside_begin();
	return rc;
}
