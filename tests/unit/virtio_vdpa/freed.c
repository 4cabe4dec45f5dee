// SPDX-License-Identifier: BSD-3-Clause
#include "freed.h"

#include <stddef.h>

static const void *watched; /* atomic; NULL: nothing */
static bool was_freed;      /* atomic */

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	if (p && p == __atomic_load_n(&watched, __ATOMIC_ACQUIRE))
		__atomic_store_n(&was_freed, true, __ATOMIC_RELEASE);
	__real_free(p);
}

void freed_watch(const void *p)
{
	__atomic_store_n(&was_freed, false, __ATOMIC_RELAXED);
	__atomic_store_n(&watched, p, __ATOMIC_RELEASE);
}

bool freed_was(void)
{
	__atomic_store_n(&watched, NULL, __ATOMIC_RELEASE);
	return __atomic_load_n(&was_freed, __ATOMIC_ACQUIRE);
}
