// SPDX-License-Identifier: BSD-3-Clause
#include "look_support.h"

#include <sched.h>

#include "base/clock.h"

#define LOOK_NS (200 * NS_PER_MS) /* what waits for the batch goes on then */

static const struct ring *held; /* atomic */
static bool is_held, may_go;    /* atomic */

bool __real_ring_peek(struct ring *ring);
bool __wrap_ring_peek(struct ring *ring);
bool __wrap_ring_peek(struct ring *ring)
{
	if (ring == __atomic_load_n(&held, __ATOMIC_ACQUIRE)) {
		int64_t until = clock_now_ns() + LOOK_NS;

		__atomic_store_n(&held, NULL, __ATOMIC_RELAXED);
		__atomic_store_n(&is_held, true, __ATOMIC_RELEASE);
		while (!__atomic_load_n(&may_go, __ATOMIC_ACQUIRE) && clock_now_ns() < until)
			(void)sched_yield();
	}
	return __real_ring_peek(ring);
}

void look_hold(struct rig *rig, const struct ring *ring, uint16_t idx)
{
	__atomic_store_n(&is_held, false, __ATOMIC_RELAXED);
	__atomic_store_n(&may_go, false, __ATOMIC_RELAXED);
	__atomic_store_n(&held, ring, __ATOMIC_RELEASE);
	rig->ops->kick_vq(rig->dev, idx);
	while (!__atomic_load_n(&is_held, __ATOMIC_ACQUIRE))
		(void)sched_yield();
}

void look_let_go(void)
{
	__atomic_store_n(&may_go, true, __ATOMIC_RELEASE);
}
