// SPDX-License-Identifier: BSD-3-Clause
#include "real.h"

#include <dlfcn.h>
#include <errno.h>

#include "base/fd.h"
#include "frontends/preload/adopt.h"

struct real_functions real_table;
bool real_is_ready;

/* Stands in for a function that this libc does not have. */
static int missing(void)
{
	errno = ENOSYS;
	return -1;
}

static void *find(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	return fn ? fn : (void *)missing;
}

/* Two threads may get here at once: both store the same values. */
void real_init(void)
{
	int saved = errno;
	void *fn;

#define REAL_FIND(result, name, params)                                                            \
	fn = find(#name);                                                                          \
	__atomic_store_n((void **)&real_table.name, fn, __ATOMIC_RELAXED);
	REAL_FUNCTIONS(REAL_FIND)
#undef REAL_FIND
	__atomic_store_n(&real_is_ready, true, __ATOMIC_RELEASE);
	errno = saved;
}

/* Wrappers of other constructors may have been here before. The library's own constructors come
 * afterwards: one of them may start a thread. */
__attribute__((constructor(101))) static void preload_start(void)
{
	(void)real();
	fd_lengthen_table();
	adopt_note_inherited();
}
