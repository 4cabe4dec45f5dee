// SPDX-License-Identifier: BSD-3-Clause
/* The calls that are caught besides those on descriptors. A filter cannot read a path, so all calls
 * of these numbers go to the supervisor, which reads it and lets nearly all of them be. */
#include <sys/syscall.h>

#include "frontends/agent/channel.h"

#if defined(__x86_64__)
const struct raw_call agent_calls[] = {
	{SYS_open, RAW_ALWAYS, 0},       {SYS_openat, RAW_ALWAYS, 1},
	{SYS_openat2, RAW_ALWAYS, 1},    {SYS_creat, RAW_ALWAYS, 0},
	{SYS_stat, RAW_ALWAYS, 0},       {SYS_lstat, RAW_ALWAYS, 0},
	{SYS_newfstatat, RAW_ALWAYS, 1}, {SYS_statx, RAW_ALWAYS, 1},
	{SYS_access, RAW_ALWAYS, 0},     {SYS_faccessat, RAW_ALWAYS, 1},
	{SYS_faccessat2, RAW_ALWAYS, 1}, {SYS_execve, RAW_ALWAYS, 0},
	{SYS_execveat, RAW_ALWAYS, 1},   {SYS_brk, RAW_NEVER, 0},
};
#else
const struct raw_call agent_calls[1] = {{-1, RAW_ALWAYS, 0}};
#endif
const size_t agent_nr_calls = ARRAY_LEN(agent_calls);

const struct raw_call *agent_call_find(int nr, enum agent_kind *kind)
{
	for (size_t i = 0; i < agent_nr_calls; i++) {
		if (agent_calls[i].nr != nr)
			continue;
		*kind = nr == SYS_execve || nr == SYS_execveat ? AGENT_CALL_EXEC : AGENT_CALL_PATH;
		return &agent_calls[i];
	}
	*kind = AGENT_CALL_FD;
	return raw_call_find(nr);
}
