// SPDX-License-Identifier: BSD-3-Clause
/*
 * The one clock: nanoseconds that never go back, for deadlines and for how long something took.
 */
#ifndef HOLDFAST_BASE_CLOCK_H
#define HOLDFAST_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US  INT64_C(1000)
#define NS_PER_MS  INT64_C(1000000)
#define NS_PER_SEC INT64_C(1000000000)

/** clock_now_ns() - CLOCK_MONOTONIC in nanoseconds; any thread, signal-safe, no system call where a
 * vDSO is */
static inline int64_t clock_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

/** clock_now_ms() - the same in milliseconds, for deadlines of poll(2) */
static inline int64_t clock_now_ms(void)
{
	return clock_now_ns() / NS_PER_MS;
}

#endif
