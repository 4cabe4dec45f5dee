// SPDX-License-Identifier: BSD-3-Clause
#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	STACK_LEN = 256 * 1024, /* bytes; thread-local variables of the process count in */
	MAX_CPU_MASK_LEN = 8192 / CHAR_BIT, /* bytes; the most CPUs that Linux can be built for */
};

static __thread bool is_ours;
static pthread_key_t ours_key; /* const once it is made; its destructor sees a thread end */
static unsigned int nr_ours;   /* atomic */

/*
 * A client that pins its threads would pin ours with them. Asking is free; setting is tried only
 * where it changes something, because sandboxes answer it with EPERM at best.
 */
static void cpu_mask_reset(void)
{
	union {
		unsigned char bytes[MAX_CPU_MASK_LEN];
		unsigned long words[MAX_CPU_MASK_LEN / sizeof(long)];
	} mask = {0};
	long nr_allowed = 0, len = syscall(SYS_sched_getaffinity, 0, sizeof(mask), &mask);

	for (long i = 0; i < len / (long)sizeof(long); i++)
		nr_allowed += __builtin_popcountl(mask.words[i]);
	if (len <= 0 || nr_allowed >= sysconf(_SC_NPROCESSORS_ONLN))
		return;
	memset(&mask, 0xff, sizeof(mask)); /* the kernel cuts it to what the cpuset allows */
	(void)syscall(SYS_sched_setaffinity, 0, sizeof(mask), &mask);
}

static void note_end(void *count)
{
	__atomic_sub_fetch((unsigned int *)count, 1, __ATOMIC_RELAXED);
}

/* A forked child has none but, perhaps, the one that forked. */
static void forked(void)
{
	__atomic_store_n(&nr_ours, is_ours, __ATOMIC_RELAXED);
}

static void make_key(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
	if (pthread_key_create(&ours_key, note_end) != 0)
		ours_key = (pthread_key_t)-1; /* is no key: none is counted */
}

static void count(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, make_key);
	if (pthread_setspecific(ours_key, &nr_ours) == 0)
		__atomic_add_fetch(&nr_ours, 1, __ATOMIC_RELAXED);
}

unsigned int thread_nr_ours(void)
{
	return __atomic_load_n(&nr_ours, __ATOMIC_RELAXED);
}

void thread_settle(const char *name)
{
	char shown[16];

	is_ours = true;
	count();
	(void)snprintf(shown, sizeof(shown), "%.15s", name);
	(void)pthread_setname_np(pthread_self(), shown);
	cpu_mask_reset();
}

bool thread_is_ours(void)
{
	return is_ours;
}

/* The thread inherits its signal mask, so that not one signal can hit it before it has blocked
 * it. */
int thread_start(pthread_t *out, void *(*fn)(void *), void *arg)
{
	sigset_t blocked, before;
	pthread_attr_t attr;
	int err;

	sigfillset(&blocked);
	sigdelset(&blocked, SIGSEGV);
	sigdelset(&blocked, SIGBUS);
	err = pthread_attr_init(&attr);
	if (err)
		return -err;
	(void)pthread_attr_setstacksize(&attr, STACK_LEN);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	err = pthread_create(out, &attr, fn, arg);
	if (err ==
	    EINVAL) /* so many thread-local variables that the small stack cannot hold them */
		err = pthread_create(out, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}
