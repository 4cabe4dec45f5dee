// SPDX-License-Identifier: BSD-3-Clause
/*
 * A mutex that clang's thread-safety analysis knows. Owns one pthread mutex. Used for control
 * paths; the data path takes only its worker's own (see parents/sim/worker.h). Lock order:
 * docs/locking.md.
 */
#ifndef HOLDFAST_BASE_MUTEX_H
#define HOLDFAST_BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"

struct CAPABILITY("mutex") mutex {
	pthread_mutex_t raw; /* default kind: not recursive */
};

#define MUTEX_INIT                                                                                 \
	{                                                                                          \
		PTHREAD_MUTEX_INITIALIZER                                                          \
	}

/** mutex_init() - make @m unlocked; cannot fail with the default attributes */
void mutex_init(struct mutex *m);
void mutex_fini(struct mutex *m);
void mutex_lock(struct mutex *m) ACQUIRES(m);
void mutex_unlock(struct mutex *m) RELEASES(m);
bool mutex_trylock(struct mutex *m) TRY_ACQUIRES(true, m);

#endif
