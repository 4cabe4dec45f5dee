// SPDX-License-Identifier: BSD-3-Clause
#include "base/mutex.h"

#include <assert.h>

/* A pthread mutex of the default kind fails only when it is misused, so a failure is our own
 * bug. */

void mutex_init(struct mutex *m)
{
	int err = pthread_mutex_init(&m->raw, NULL);

	assert(err == 0);
	(void)err;
}

void mutex_fini(struct mutex *m)
{
	int err = pthread_mutex_destroy(&m->raw);

	assert(err == 0);
	(void)err;
}

void mutex_lock(struct mutex *m) NO_TSA
{
	int err = pthread_mutex_lock(&m->raw);

	assert(err == 0);
	(void)err;
}

void mutex_unlock(struct mutex *m) NO_TSA
{
	int err = pthread_mutex_unlock(&m->raw);

	assert(err == 0);
	(void)err;
}

bool mutex_trylock(struct mutex *m) NO_TSA
{
	return pthread_mutex_trylock(&m->raw) == 0;
}
