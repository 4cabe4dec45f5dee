// SPDX-License-Identifier: BSD-3-Clause
/* The wrappers of the calls that name a file, for the agent. Thread rule: any thread. */
#ifndef HOLDFAST_FRONTENDS_AGENT_PATHS_H
#define HOLDFAST_FRONTENDS_AGENT_PATHS_H

#include <stdbool.h>

#include "frontends/preload/raw.h"

/** agent_serve_path() - answer system call @nr if its path is a node's, or /proc/devices
 * @rc: [out] as the wrapper, with errno. Return: false: it is not ours */
bool agent_serve_path(int nr, const uint64_t args[RAW_NR_ARGS], long *rc);

#endif
