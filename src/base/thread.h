// SPDX-License-Identifier: BSD-3-Clause
/*
 * Threads of our own in a client's process. They disturb it as little as can be: they take none of
 * its signals, run where the machine allows and not where the client pinned the thread that made
 * them, and have small stacks. Used by workers and by the management's server. Thread rule: any
 * thread.
 */
#ifndef HOLDFAST_BASE_THREAD_H
#define HOLDFAST_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"

/**
 * thread_start() - pthread_create() with all signals blocked but SIGSEGV and SIGBUS
 * The guard of client memory needs these two (memory/guard.h). Return: 0 or -errno (-EAGAIN).
 */
int thread_start(pthread_t *out, void *(*fn)(void *), void *arg) HF_MUST_CHECK;

/** thread_settle() - first in the thread: its name, of which 15 bytes are shown, and its CPU
 * mask */
void thread_settle(const char *name);

/** thread_is_ours() - is the calling thread one that has called thread_settle()? */
bool thread_is_ours(void);

/** thread_nr_ours() - how many such threads the process has */
unsigned int thread_nr_ours(void);

#endif
