// SPDX-License-Identifier: BSD-3-Clause
/* Which nodes there are, and by which names. */
#include "real.h"

#include <errno.h>
#include <string.h>

#include "frontends/preload/aside.h"
#include "frontends/preload/node.h"
#include "frontends/preload/node_set.h"

static struct node_set present; /* words are atomic */
static bool has_bus;            /* atomic: @present counts */

/* The nodes of a process that has opened none. */
static unsigned int described_count(void)
{
	static unsigned int count; /* atomic; 0: not asked yet */
	unsigned int n = __atomic_load_n(&count, __ATOMIC_RELAXED);

	if (n == 0) {
		n = preload_provide_count();
		__atomic_store_n(&count, n, __ATOMIC_RELAXED);
	}
	return n;
}

/* has_bus is set behind the first set of nodes, and acquire here pairs with that release. */
static bool knows_bus(void)
{
	return __atomic_load_n(&has_bus, __ATOMIC_ACQUIRE);
}

unsigned int node_count(void)
{
	unsigned int n = 0;

	if (!knows_bus())
		return described_count();
	for (size_t i = 0; i < NODE_SET_WORDS; i++)
		n += (unsigned int)__builtin_popcountll(
			__atomic_load_n(&present.words[i], __ATOMIC_RELAXED));
	return n;
}

bool node_exists(unsigned int minor)
{
	if (!knows_bus())
		return minor < described_count();
	return __atomic_load_n(&present.words[minor / 64], __ATOMIC_RELAXED) >> minor % 64 & 1;
}

void node_set_replace(const struct node_set *now, struct node_set *old)
{
	for (size_t i = 0; i < NODE_SET_WORDS; i++)
		old->words[i] =
			__atomic_exchange_n(&present.words[i], now->words[i], __ATOMIC_RELAXED);
	__atomic_store_n(&has_bus, true, __ATOMIC_RELEASE);
}

void node_set_forget(void)
{
	__atomic_store_n(&has_bus, false, __ATOMIC_RELEASE);
}

/* ---- names ---- */

#define NODE_PREFIX "/dev/" NODE_NAME

static void look_for_kernels(void *answer)
{
	char path[32];

	for (unsigned int i = 0; i < PRELOAD_NR_NODES_MAX; i++) {
		snprintf(path, sizeof(path), NODE_PREFIX "%u", i);
		if (node_exists(i) && real()->access(path, F_OK) == 0)
			*(bool *)answer = true;
	}
}

bool node_kernel_has_some(void)
{
	static enum { UNKNOWN, NO, YES } found; /* atomic */
	int known = __atomic_load_n(&found, __ATOMIC_RELAXED), saved = errno;
	bool answer = false;

	if (likely(known != UNKNOWN))
		return known == YES;
	aside_run(look_for_kernels, &answer, sizeof(answer));
	__atomic_store_n(&found, answer ? YES : NO, __ATOMIC_RELAXED);
	errno = saved;
	return answer;
}

bool node_find(const char *path, unsigned int *minor)
{
	unsigned int n = 0;

	if (strncmp(path, NODE_PREFIX, sizeof(NODE_PREFIX) - 1) != 0)
		return false;
	path += sizeof(NODE_PREFIX) - 1;
	if (path[0] == '\0' || (path[0] == '0' && path[1] != '\0'))
		return false;
	for (; *path; path++) {
		if (*path < '0' || *path > '9' || n >= PRELOAD_NR_NODES_MAX)
			return false;
		n = n * 10 + (unsigned int)(*path - '0');
	}
	if (n >= PRELOAD_NR_NODES_MAX || !node_exists(n))
		return false;
	*minor = n;
	return true;
}
