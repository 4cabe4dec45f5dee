// SPDX-License-Identifier: BSD-3-Clause
/*
 * Clients whose threads run under seccomp filters of their own: a list of calls for each thread,
 * and death for any other. The library needs more calls than the client makes by itself. So once a
 * client installs a filter, a thread of the library's that has none does the work, and the client's
 * thread waits.
 *
 *	client's thread: wrapper ── job ──> "holdfast-aside": the work ──> session, device
 *	                    └ futex(2) until it is done, and no other call
 *
 * docs/attach.md says what that does not cover. Owns: the thread. Thread rule: any thread, no lock
 * of the library's held.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_ASIDE_H
#define HOLDFAST_FRONTENDS_PRELOAD_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/thread.h"
#include "frontends/preload/files.h"

#define ASIDE_NR_ARGS 6u /* as RAW_NR_ARGS */

/* Is there such a filter? NULL: none was ever installed. The kernel wipes what it points to in
 * every copy of the memory that a fork makes, since the thread is not copied. */
extern const bool *aside_on; /* atomic */
/* The calling thread is inside the library already, perhaps with locks. */
extern __thread unsigned int aside_depth;

static inline void aside_enter(void)
{
	aside_depth++;
}

static inline void aside_leave(void)
{
	aside_depth--;
}

/** aside_is_needed() - must the calling thread leave the library's work to the other one? One load
 * for clients without filters */
static inline bool aside_is_needed(void)
{
	const bool *on = __atomic_load_n(&aside_on, __ATOMIC_ACQUIRE);

	return unlikely(on != NULL) && __atomic_load_n(on, __ATOMIC_RELAXED) && aside_depth == 0 &&
	       !thread_is_ours();
}

/** aside_prepare() - make the thread, while there is no filter yet. Return: 0 or -errno */
int aside_prepare(void) HF_MUST_CHECK;
/** aside_begin() - the filter is there, and so is the thread */
void aside_begin(void);
/** aside_after_fork() - in a child, which has no such thread */
void aside_after_fork(void);

#define ASIDE_ROOM 192u /* bytes of a job's arguments at most */

/**
 * aside_run() - run @fn, in the other thread if that is needed
 * @arg: @len bytes, copied for @fn and back afterwards: a signal handler of the client's may leave
 * the wait by a jump, and the stack with it. errno goes there and back, too. In the calling thread
 * handlers and cancellation are put off.
 */
void aside_run(void (*fn)(void *arg), void *arg, size_t len);

/**
 * aside_call() - make a call of raw_calls[] on a device in the other thread, if that is needed
 * Return: was it made? Then @rc has the result, and errno is set as the wrapper sets it. False: it
 * is not needed, or the call is for no device.
 */
bool aside_call(long nr, const uint64_t args[ASIDE_NR_ARGS], long *rc);

/** aside_get() - files_get(), but NULL if the calling thread must leave devices alone: then
 * ASIDE_CALL() was tried before */
static inline struct preload_file *aside_get(int fd)
{
	return aside_is_needed() ? NULL : files_get(fd);
}

/** aside_minor() - Return: the minor number of the device that is @fd; -1 it is none of this
 * process. errno is kept */
int aside_minor(int fd);
static inline bool aside_is_device(int fd)
{
	return files_maybe(fd) && aside_minor(fd) >= 0;
}

#define ASIDE_CALL(rc, nr, ...)                                                                    \
	(aside_is_needed() && aside_call(nr, (const uint64_t[ASIDE_NR_ARGS]){__VA_ARGS__}, rc))

#endif
