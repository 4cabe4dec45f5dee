// SPDX-License-Identifier: BSD-3-Clause
/*
 * The libc functions behind the wrappers, in the agent. The agent is linked statically, so there is
 * nothing to look up at run time: the wrappers were given other names (meson.build), and libc's
 * functions have theirs. What no file of the agent calls is left out.
 */
#include <errno.h>
#include <stdbool.h>

#include "frontends/agent/real_static.h"

/* Stands in for the others. */
static int missing(void)
{
	errno = ENOSYS;
	return -1;
}

/* By their names in the object file: no header of libc's declares all of them. */
#define DECLARE(name) extern char libc_##name[] __asm__(#name);
REAL_STATIC_FUNCTIONS(DECLARE)
#undef DECLARE

struct name {
	const char *name;
	void *function;
};

static const struct name names[] = {
#define ROW(name) {#name, libc_##name},
	REAL_STATIC_FUNCTIONS(ROW)
#undef ROW
};

void *real_static_find(const char *name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (__builtin_strcmp(names[i].name, name) == 0)
			return names[i].function;
	return (void *)missing;
}
