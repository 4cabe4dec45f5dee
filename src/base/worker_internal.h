// SPDX-License-Identifier: BSD-3-Clause
/*
 * Inside worker*.c: what a worker consists of. worker.c opens with the theory and its guarantees.
 */
#ifndef HOLDFAST_BASE_WORKER_INTERNAL_H
#define HOLDFAST_BASE_WORKER_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include "base/worker.h"

#define WORKER_WAKE_SLOT UINT32_MAX /* in an event: the eventfd of worker_wake() */

struct worker_fd {
	worker_fd_fn fn;
	void *arg;
	int fd;        /* borrowed */
	uint32_t slot; /* index into worker.slots */
};

struct worker_slot {
	struct worker_fd *wfd; /* NULL: free */
	uint32_t generation;   /* moves on at each unwatch */
};

struct worker {
	pthread_mutex_t lock;
	const void *owner;    /* thread token of the lock's holder; atomic */
	uint32_t nr_asked;    /* control threads that asked for the lock; atomic */
	uint32_t nr_served;   /* ... that got it; atomic, futex word of the handover */
	bool handing_over;    /* the thread sleeps on nr_served; atomic */
	bool stop;            /* atomic */
	bool asleep;          /* atomic; in epoll_wait(2), offline and without the lock */
	int64_t linger_until; /* clock_now_ns(): do not sleep before; atomic */
	int64_t wake_at; /* clock_now_ns(): do not sleep beyond; INT64_MAX: no such time; atomic */
	uint32_t nr_settled; /* calls of worker_settle(); written under the lock; atomic */
	bool is_old;         /* what is dispatched was collected by a wait from before; lock */
	bool wake_pending;   /* the eventfd is written and not seen yet; atomic */
	int epoll_fd;
	int wake_fd;
	pid_t pid; /* process that the thread lives in; const after create */
	pthread_t thread;
	worker_poll_fn poll; /* const after create; may be NULL */
	void *poll_arg;
	struct worker_slot *slots; /* @nr_slots entries; lock */
	uint32_t nr_slots;
	char name[16]; /* thread name, terminated */
};

/** worker_main() - the thread; @arg: the worker */
void *worker_main(void *arg);
/** worker_lock_is_mine() - does the calling thread hold the lock? */
bool worker_lock_is_mine(struct worker *w);

#endif
