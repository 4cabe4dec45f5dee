// SPDX-License-Identifier: BSD-3-Clause
/* Private to this room: the account by range, a part of a space. Thread rule: its own lock, a
 * leaf. */
#ifndef HOLDFAST_MEMORY_CHARGE_H
#define HOLDFAST_MEMORY_CHARGE_H

#include <bsd/sys/tree.h>

#include "base/mutex.h"
#include "memory/internal.h"

RB_HEAD(charge_tree, charge_boundary);

struct charges {
	struct mutex lock;
	struct charge_tree tree; /* @lock */
};

struct memory_space {
	unsigned int refs;   /* atomic; references to @identity count here too */
	uint64_t nr_charged; /* pages; atomic */
	struct charges charges;
	struct memory_region identity; /* const */
};

void charges_init(struct charges *charges);
void charges_fini(struct charges *charges);

#endif
