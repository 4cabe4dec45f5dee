// SPDX-License-Identifier: BSD-3-Clause
/*
 * A worker: one thread, one set of watched fds, one lock. Whatever the worker owns (its queues,
 * say) is touched only with the worker's lock held: the thread holds it while it runs callbacks and
 * drops it before it blocks, so a control thread that wants the queues of an idle worker takes the
 * lock at once and wakes nobody. A control thread that asks for the lock of a busy worker gets it
 * after the current batch (the worker hands over before it starts the next one; it cannot starve
 * anybody).
 *
 * The thread is an RCU reader (base/rcu.h): online while it runs callbacks, quiescent between
 * batches, offline while it blocks. It blocks all signals but SIGSEGV and SIGBUS (memory/guard.h
 * needs these two) and tries to drop the CPU mask that it inherited from its creator; where a
 * sandbox refuses, it keeps the mask.
 *
 * Owns: thread, epoll fd. Does not own: the watched fds (borrowed), the callbacks' arguments.
 * Used by parents (queues) and vhost_vdpa (kick polling for parents without workers).
 * Thread rule: every function from any thread that is not an online RCU reader, except where said.
 */
#ifndef HOLDFAST_BASE_WORKER_H
#define HOLDFAST_BASE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct CAPABILITY("worker") worker;
struct worker_fd; /* one watched fd */

/** worker_fd_fn - a watched fd became ready; worker thread, lock held; @events: EPOLL* bits */
typedef void (*worker_fd_fn)(void *arg, uint32_t events);

/**
 * worker_poll_fn - do one bounded batch of the worker's own work
 * Return: true if there is more to do now (called again without blocking, after a quiescent state
 * and after watched fds were looked at now and then).
 * Context: worker thread, lock held, RCU online.
 */
typedef bool (*worker_poll_fn)(void *arg);

/**
 * worker_create() - start a worker
 * @name: shown as thread name, first 15 bytes
 * @poll: called after each wake-up, and again while it returns true; may be NULL
 * Return: 0; -ENOMEM; -EAGAIN or the errno of epoll_create1, negated. @out written on success only.
 */
int worker_create(const char *name, worker_poll_fn poll, void *arg,
		  struct worker **out) HF_MUST_CHECK;

/** worker_destroy() - stop the thread and join it; NULL is fine; not by the worker itself. A thread
 * that sleeps and cannot be woken, because the process has closed its descriptors, is left asleep.
 */
void worker_destroy(struct worker *w);

/** worker_is_sound() - does it still have its descriptors, which the process may have closed?
 * Without them it may miss wake-ups, and ends at the next chance. Any thread. */
bool worker_is_sound(const struct worker *w);

/** worker_lock() - exclude the worker thread; its current batch ends first. Not recursive. */
void worker_lock(struct worker *w) ACQUIRES(w);
void worker_unlock(struct worker *w) RELEASES(w);

/** worker_is_asked() - does a control thread wait for the lock? For a batch that may end early. */
bool worker_is_asked(const struct worker *w);

/** worker_wake() - make the worker run its poll function soon; any thread, also signal-safe */
void worker_wake(struct worker *w);

/**
 * worker_linger() - wake the worker, and have it look for events without sleeping for @ns from now
 * For what is sure to be followed by work soon: waking a thread on a processor that sleeps takes
 * tens of microseconds, more than most of that work. The lock is free meanwhile. Any thread.
 */
void worker_linger(struct worker *w, int64_t ns);

/**
 * worker_relax() - do what may block: @fn runs offline and without the lock, so that neither a
 * control thread nor a grace period waits for it
 * Afterwards anything may have changed that the lock protects, and no translation made before
 * holds. The worker itself, in its poll function.
 */
void worker_relax(struct worker *w, void (*fn)(void *arg), void *arg);

/**
 * worker_settle() - dispatch all events that the watched fds have had until now
 * So what follows can tell old events from new ones. An event that the thread has collected, and
 * not dispatched because it waits for the lock, comes later all the same: worker_event_is_old() is
 * true in its callback.
 * Context: lock held by a control thread, which the callbacks run on. The poll function runs soon.
 */
void worker_settle(struct worker *w) REQUIRES(w);

/** worker_event_is_old() - in a callback: may its event have come before the last worker_settle()?
 * One that came right after it may be taken for old, too. Worker thread, lock held. */
bool worker_event_is_old(const struct worker *w);

/** worker_is_current() - does the calling thread run as this worker? */
bool worker_is_current(const struct worker *w);

/**
 * worker_wake_in() - make the worker run its poll function once @ns have passed Several calls
 * before that: the earliest time counts, the later ones are forgotten, so a poll function that
 * finds a time of its own not reached calls this again. Never early; late as a sleeping thread may
 * be. Any thread, the worker included.
 */
void worker_wake_in(struct worker *w, int64_t ns);

/**
 * worker_watch() - call @fn when @fd is ready
 * @fd:     [borrowed] until worker_unwatch()
 * @events: EPOLLIN, EPOLLOUT, EPOLLET as for epoll_ctl(2). With EPOLLET and an eventfd each write
 *          is one call and the counter need not be read; an fd that is ready already is called at
 *          once.
 * Return: 0; -ENOMEM; epoll_ctl's errno, negated. @out written on success only.
 * Context: worker lock held or not.
 */
int worker_watch(struct worker *w, int fd, uint32_t events, worker_fd_fn fn, void *arg,
		 struct worker_fd **out) HF_MUST_CHECK;

/** worker_rewatch() - change the events waited for. Return: 0 or -errno. Lock held. */
int worker_rewatch(struct worker *w, struct worker_fd *wfd, uint32_t events) HF_MUST_CHECK
	REQUIRES(w);

/**
 * worker_unwatch() - stop watching; NULL is fine
 * Context: lock held. The callback does not run any more once this returns, also if its event had
 * already been collected.
 */
void worker_unwatch(struct worker *w, struct worker_fd *wfd) REQUIRES(w);

#endif
