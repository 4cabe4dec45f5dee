// SPDX-License-Identifier: BSD-3-Clause
/* As frontends/preload/real.c fills the table, for the agent. This file's own mentions of libc's
 * functions have the wrappers' names, like those of every file of the library. */
#include "frontends/preload/real.h"

#include "frontends/agent/real_static.h"

struct real_functions real_table;
bool real_is_ready;

void real_init(void)
{
	void *fn;

#define REAL_FIND(result, name, params)                                                            \
	fn = real_static_find(#name);                                                              \
	__atomic_store_n((void **)&real_table.name, fn, __ATOMIC_RELAXED);
	REAL_FUNCTIONS(REAL_FIND)
#undef REAL_FIND
	__atomic_store_n(&real_is_ready, true, __ATOMIC_RELEASE);
}
