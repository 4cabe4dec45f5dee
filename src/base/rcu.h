// SPDX-License-Identifier: BSD-3-Clause
/*
 * Read-copy update by quiescent states. A device worker registers as a reader, reads RCU-published
 * pointers freely while it is online, and passes a quiescent state between batches. A worker that
 * blocks goes offline first, so that control threads never wait for an idle device.
 *
 * Owns nothing. Thread rule: rcu_reader_*() by the reader itself; rcu_synchronize_readers() by
 * control threads only, never by an online reader, never under a lock that a reader takes online.
 */
#ifndef HOLDFAST_BASE_RCU_H
#define HOLDFAST_BASE_RCU_H

#include <stdbool.h>

/** rcu_reader_register() - make the calling thread a reader, online */
void rcu_reader_register(void);
/** rcu_reader_unregister() - the calling thread holds no RCU-published pointer any more, for
 * good */
void rcu_reader_unregister(void);
/** rcu_reader_quiescent() - the calling thread holds no RCU-published pointer right now */
void rcu_reader_quiescent(void);
/** rcu_reader_offline() - as quiescent, and until rcu_reader_online(): call before blocking */
void rcu_reader_offline(void);
void rcu_reader_online(void);
/** rcu_reader_is_awaited() - does somebody wait for this reader's next quiescent state? For one
 * that may end early what it is at. */
bool rcu_reader_is_awaited(void);
/**
 * rcu_synchronize_readers() - wait until every reader has passed a quiescent state
 * Context: control thread, blocks. What was unpublished before the call is unreachable after it.
 */
void rcu_synchronize_readers(void);
/** rcu_readers_are_offline() - does what rcu_synchronize_readers() does if that needs no wait.
 * Return: false if it may need one */
bool rcu_readers_are_offline(void);

/* Publish and read a pointer. rcu_publish()'s release pairs with rcu_load()'s acquire. */
#define rcu_publish(pp, p) __atomic_store_n((pp), (p), __ATOMIC_RELEASE)
#define rcu_load(pp)       __atomic_load_n((pp), __ATOMIC_ACQUIRE)

#endif
