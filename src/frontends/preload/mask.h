// SPDX-License-Identifier: BSD-3-Clause
/*
 * SIGSYS stays unblocked. Where a filter raises SIGSYS at a raw call (raw_trap.h), the kernel kills
 * a thread that has it blocked. So a client that blocks SIGSYS gets SIGSTKFLT blocked in its place,
 * a signal that nothing raises; and a client that looks at its mask is shown SIGSYS for it.
 *
 *	client: {SIGINT, SIGSYS}  ── to_kernel ──>  kernel: {SIGINT, SIGSTKFLT}
 *	client: {SIGINT, SIGSYS, SIGSTKFLT}  <── to_client ──  kernel: {SIGINT, SIGSTKFLT}
 *
 * 1. So the kernel itself keeps what the client has asked for: over a handler and its return,
 *    clone, fork and execve, and for the time of ppoll(2) and its like.
 * 2. A client cannot block one of the two without the other.
 * 3. SIGSYS that somebody sends while the client blocks it waits until the client unblocks it.
 *
 * All of this begins with mask_keep_sigsys(). Before, and in every client whose raw calls do not
 * raise SIGSYS, masks are the client's own.
 *
 * Thread rule: any thread, signal handlers too.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_MASK_H
#define HOLDFAST_FRONTENDS_PRELOAD_MASK_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/thread.h"

#define MASK_BIT(sig) (UINT64_C(1) << ((sig)-1))

extern bool mask_is_kept; /* atomic; set once */

/** mask_keep_sigsys() - unblock SIGSYS in all threads and in the masks of all handlers, and keep it
 * so. Return: 0 or -errno */
int mask_keep_sigsys(void) HF_MUST_CHECK;

/* Is the mask of the calling thread changed on its way? One load for all other clients. */
static inline bool mask_is_translated(void)
{
	return unlikely(__atomic_load_n(&mask_is_kept, __ATOMIC_RELAXED)) && !thread_is_ours();
}

/** mask_to_kernel() and mask_to_client() - of the first 64 signals, which are all that there are */
uint64_t mask_to_kernel(uint64_t mask);
uint64_t mask_to_client(uint64_t mask);

/** mask_set_to_kernel() - the same in place. Of the first word alone: the kernel has no more. */
void mask_set_to_kernel(sigset_t *set);

/** mask_read() and mask_write() - copy @len bytes of the client's, without a system call. Return:
 * are they there? */
bool mask_read(void *to, const void *from, size_t len);
bool mask_write(void *to, const void *from, size_t len);

/** mask_copy() - @set as the kernel shall have it, in @copy. Return: @copy; @set itself if masks
 * are not changed, or if it cannot be read, which libc or the kernel has to answer */
const sigset_t *mask_copy(const sigset_t *set, sigset_t *copy);

/** mask_hold_sigsys() - SIGSYS was sent to a thread with mask @mask, the kernel's. Return: does it
 * wait? */
bool mask_hold_sigsys(uint64_t mask);
/** mask_done() - sigprocmask(2) was asked for @how and @set, the kernel's, and has answered 0.
 * @old: [out] NULL or what the client is shown. SIGSYS that waits comes now, if unblocked. */
void mask_done(int how, const sigset_t *set, void *old);

#endif
