// SPDX-License-Identifier: BSD-3-Clause
/* Is memory given back? For programs that wrap free() (ld's --wrap); any thread may free. */
#ifndef HOLDFAST_TEST_VIRTIO_VDPA_FREED_H
#define HOLDFAST_TEST_VIRTIO_VDPA_FREED_H

#include <stdbool.h>

/** freed_watch() - is @p given to free() from now on? */
void freed_watch(const void *p);
/** freed_was() - it was; nothing is watched any more */
bool freed_was(void);

#endif
