// SPDX-License-Identifier: BSD-3-Clause
#include "frontends/preload/node_set.h"

#include "base/compiler.h"
#include "frontends/preload/node.h"

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
