// SPDX-License-Identifier: BSD-3-Clause
/*
 * The only user of liburcu. The library is not built with ThreadSanitizer, which therefore cannot see
 * the order that a grace period gives; two annotations tell it: everything before a reader's
 * quiescent state happens before the end of a grace period that waited for it.
 */
#include "base/rcu.h"

#include <urcu/urcu-qsbr.h>

#if defined(__SANITIZE_THREAD__)
#define HF_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HF_TSAN 1
#endif
#endif

#ifdef HF_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
static char tsan_grace_period;
#define READER_LEFT()  __tsan_release(&tsan_grace_period)
#define READERS_GONE() __tsan_acquire(&tsan_grace_period)
#else
#define READER_LEFT()  ((void)0)
#define READERS_GONE() ((void)0)
#endif

void rcu_reader_register(void)
{
	urcu_qsbr_register_thread();
}

void rcu_reader_unregister(void)
{
	READER_LEFT();
	urcu_qsbr_unregister_thread();
}

void rcu_reader_quiescent(void)
{
	READER_LEFT();
	urcu_qsbr_quiescent_state();
}

void rcu_reader_offline(void)
{
	READER_LEFT();
	urcu_qsbr_thread_offline();
}

void rcu_reader_online(void)
{
	urcu_qsbr_thread_online();
}

void rcu_synchronize_readers(void)
{
	urcu_qsbr_synchronize_rcu();
	READERS_GONE();
}
