// SPDX-License-Identifier: BSD-3-Clause
/* What the wrapper of mmap(2) shares with those of the other memory calls. Any thread. */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_WRAP_MEMORY_H
#define HOLDFAST_FRONTENDS_PRELOAD_WRAP_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/** wrap_memory_forget() - the client is about to change [@addr, @addr + @len): nothing of it stays
 * held. errno is kept */
#if defined(__has_attribute) && __has_attribute(access)
__attribute__((access(none, 1))) /* the bytes are not read: mlock's may never have been written */
#endif
void wrap_memory_forget(const void *addr, size_t len);

/** wrap_memory_give_way() - a call failed with @err: would it succeed with nothing held?
 * Return: something was held and now is not, so it is worth another try. errno is kept */
bool wrap_memory_give_way(int err);

/** wrap_memory_mapped() - the client has mapped [@addr, @addr + @len) with @flags of mmap(2): that
 * may have locked it. errno is kept */
void wrap_memory_mapped(const void *addr, size_t len, int flags);

#endif
