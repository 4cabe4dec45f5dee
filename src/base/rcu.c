// SPDX-License-Identifier: BSD-3-Clause
/*
 * Epochs. A grace period raises the epoch by one and waits until every reader has been offline or
 * has noted the new epoch since. It is our own and not a library's, because the preload library
 * must bring everything along: the archives of the RCU libraries that distributions ship are not
 * made for shared objects, and a client's container has no more than libc.
 *
 * (1) A reader notes the epoch when it comes online and at each quiescent state. If the epoch is
 *     the noted one, nobody waits for the reader, and a quiescent state is two loads.
 * (2) A reader that finds a new epoch (acquire) sees everything that was unpublished before that
 *     epoch (release).
 * (3) A reader that comes online may note an epoch that is over already. Its store and the full
 *     fence behind it pair with the writer's fence between unpublishing and looking: either the
 *     writer sees the reader online and waits, or the reader's later loads see what the writer has
 *     published.
 * (4) All that a reader did before it notes an epoch, or 0, (release) is over for the writer that
 *     sees it (acquire).
 * (5) Readers are few, one a worker, and grace periods come one at a time. A writer spins for as
 *     long as a batch takes, then sleeps; a reader wakes it if the flag is up. Flag and noted epoch
 *     have a full fence between them on both sides, as in (3), so no wake-up is lost.
 *
 * ThreadSanitizer does not know fences, but (2) and (4) alone order memory, and those it sees.
 */
#include "base/rcu.h"

#include <assert.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/mutex.h"

#define OFFLINE 0u
#define NR_SPIN 2000u /* looks before a writer sleeps: some ten microseconds */

struct reader {
	uint64_t seen; /* atomic: the epoch noted last, or OFFLINE */
	struct reader *next;
	bool is_registered; /* the reader's own */
};

static struct mutex registry_lock = MUTEX_INIT; /* one grace period at a time, too */
static struct reader *readers GUARDED_BY(registry_lock);
static uint64_t epoch = 1;     /* atomic */
static uint32_t writer_sleeps; /* atomic, a futex: 1 while a writer waits to be woken */
static __thread struct reader self;

static inline void full_fence(void)
{
#if HF_TSAN
	static unsigned int
		word; /* gcc refuses fences under the sanitizer; an exchange is one, too */

	__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static void wake_writer(void)
{
	full_fence();
	if (likely(!__atomic_load_n(&writer_sleeps, __ATOMIC_RELAXED)))
		return;
	__atomic_store_n(&writer_sleeps, 0, __ATOMIC_RELAXED);
	syscall(SYS_futex, &writer_sleeps, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* ---- readers ---- */

void rcu_reader_register(void)
{
	assert(!self.is_registered);
	mutex_lock(&registry_lock);
	self.is_registered = true;
	self.next = readers;
	readers = &self;
	mutex_unlock(&registry_lock);
	rcu_reader_online();
}

void rcu_reader_unregister(void)
{
	struct reader **link = &readers;

	rcu_reader_offline();
	mutex_lock(&registry_lock);
	while (*link != &self)
		link = &(*link)->next;
	*link = self.next;
	self.is_registered = false;
	mutex_unlock(&registry_lock);
}

void rcu_reader_quiescent(void)
{
	uint64_t now = __atomic_load_n(&epoch, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&self.seen, __ATOMIC_RELAXED) == now)
		return;
	__atomic_store_n(&self.seen, now, __ATOMIC_RELEASE);
	wake_writer();
}

bool rcu_reader_is_awaited(void)
{
	return __atomic_load_n(&self.seen, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&epoch, __ATOMIC_RELAXED);
}

void rcu_reader_offline(void)
{
	__atomic_store_n(&self.seen, OFFLINE, __ATOMIC_RELEASE);
	wake_writer();
}

void rcu_reader_online(void)
{
	__atomic_store_n(&self.seen, __atomic_load_n(&epoch, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
	full_fence();
}

/* ---- writers ---- */

static bool has_passed(const struct reader *reader, uint64_t goal)
{
	uint64_t seen = __atomic_load_n(&reader->seen, __ATOMIC_ACQUIRE);

	return seen == OFFLINE || seen >= goal;
}

static void sleep_until_passed(const struct reader *reader, uint64_t goal)
{
	for (;;) {
		__atomic_store_n(&writer_sleeps, 1, __ATOMIC_RELAXED);
		full_fence();
		if (has_passed(reader, goal))
			break;
		/* also returns at once if the flag is down already; any return is a reason to look
		 * again */
		syscall(SYS_futex, &writer_sleeps, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	}
	__atomic_store_n(&writer_sleeps, 0, __ATOMIC_RELAXED);
}

static void wait_for(const struct reader *reader, uint64_t goal)
{
	for (unsigned int i = 0; i < NR_SPIN; i++) {
		if (has_passed(reader, goal))
			return;
		cpu_relax();
	}
	sleep_until_passed(reader, goal);
}

void rcu_synchronize_readers(void)
{
	uint64_t goal;

	mutex_lock(&registry_lock);
	goal = __atomic_add_fetch(&epoch, 1, __ATOMIC_RELEASE);
	full_fence();
	for (const struct reader *reader = readers; reader; reader = reader->next)
		wait_for(reader, goal);
	mutex_unlock(&registry_lock);
}

bool rcu_readers_are_offline(void)
{
	bool ret = true;

	if (!mutex_trylock(&registry_lock))
		return false;
	full_fence();
	for (const struct reader *reader = readers; reader && ret; reader = reader->next)
		ret = __atomic_load_n(&reader->seen, __ATOMIC_ACQUIRE) == OFFLINE;
	mutex_unlock(&registry_lock);
	return ret;
}
