// SPDX-License-Identifier: BSD-3-Clause
/* The calls that are caught besides those of raw_calls[]. */
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "frontends/agent/channel.h"

#if defined(__x86_64__)
const struct raw_call agent_calls[] = {
	{SYS_execve, RAW_ALWAYS, 0, 0},
	{SYS_execveat, RAW_ALWAYS, 1, 0},
	{SYS_seccomp, RAW_VALUE, 0, SECCOMP_SET_MODE_FILTER},
	{SYS_prctl, RAW_VALUE, 0, PR_SET_SECCOMP},
	{SYS_brk, RAW_NEVER, 0, 0},
};
#else
const struct raw_call agent_calls[1] = {{-1, RAW_ALWAYS, 0, 0}};
#endif
const size_t agent_nr_calls = ARRAY_LEN(agent_calls);

const struct raw_call *agent_call_find(int nr, enum agent_kind *kind)
{
	const struct raw_call *call = raw_call_find(nr);

	*kind = !call                    ? AGENT_CALL_FD
		: call->when == RAW_PATH ? AGENT_CALL_PATH
		: call->when == RAW_LIST ? AGENT_CALL_LIST
					 : AGENT_CALL_FD;
	for (size_t i = 0; i < agent_nr_calls && !call; i++) {
		if (agent_calls[i].nr != nr)
			continue;
		*kind = nr == SYS_execve || nr == SYS_execveat ? AGENT_CALL_EXEC
							       : AGENT_CALL_FILTER;
		call = &agent_calls[i];
	}
	return call;
}
