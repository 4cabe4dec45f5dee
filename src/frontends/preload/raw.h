// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls that a client makes by an instruction of its own, past libc: Rust's rustix and what is
 * built on it, libblkio among them. A seccomp filter catches those that may be for a device, and
 * the wrapper of the same call answers them, as if the client had called it.
 *
 *   raw_scan.c    which loaded objects have such instructions
 *   raw_calls.c   which calls are caught, and the wrapper of each
 *   raw_filter.c  the filter
 *   raw.c         the thread that answers; a signal handler where a thread cannot
 *
 * Owns: the filter's listener, the thread. Thread rule: any thread, no lock held.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_RAW_H
#define HOLDFAST_FRONTENDS_PRELOAD_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define RAW_NR_ARGS       6u
#define RAW_NR_RANGES_MAX 32u

/* Code of the client's, both ends inclusive. */
struct raw_range {
	uintptr_t first, last;
};

/* Numbers that are kept for devices, so that a filter knows them. */
struct raw_window {
	int first, last;
};

/* When a call may be for a device: all that a filter can see is numbers. */
enum raw_when {
	RAW_FD,      /* the descriptor lies in the window */
	RAW_MESSAGE, /* the same, or as many bytes are written as an IOTLB message has */
	RAW_IOCTL,   /* the command is a vhost device's, on any descriptor */
	RAW_COPY,    /* dup2: one of two descriptors lies in the window */
	RAW_ALWAYS,
};

struct raw_call {
	int nr; /* system call number */
	enum raw_when when;
	unsigned int fd_arg; /* which argument is the descriptor */
	/* Return: as the wrapper, with errno */
	long (*serve)(const uint64_t args[RAW_NR_ARGS]);
};

extern const struct raw_call raw_calls[];
extern const size_t raw_nr_calls;

/** raw_call_find() - the row of system call @nr, or NULL */
const struct raw_call *raw_call_find(int nr);
/** raw_call_is_ours() - is the call for a device of this process? */
bool raw_call_is_ours(const struct raw_call *call, const uint64_t args[RAW_NR_ARGS]);

/**
 * raw_scan() - find the code that makes calls on devices past libc, in all objects that are loaded
 * @ranges: [RAW_NR_RANGES_MAX], written
 * @generation: changes when objects are loaded or unloaded; the search is left out if it is as in
 * the last call
 * Return: how many; -1 nothing was loaded since @generation
 */
int raw_scan(struct raw_range *ranges, unsigned long long *generation);

/**
 * raw_filter_install() - have the calls of raw_calls[] caught where they come from @ranges
 * @trap: by SIGSYS with si_errno RAW_TRAP_MARK; otherwise by the listener that is returned
 * Return: a descriptor or 0; -EBUSY the process has a listener already; -EINVAL the kernel lacks
 * what is needed; other -errno
 */
int raw_filter_install(const struct raw_range *ranges, size_t nr, const struct raw_window *window,
		       bool trap) HF_MUST_CHECK;

#define RAW_TRAP_MARK 0x4864

/** raw_start() - a node is about to be opened: catch what is not caught yet */
void raw_start(void);
/** raw_window() - the numbers for devices, if raw calls are caught; NULL: any will do */
const struct raw_window *raw_window(void);
/** raw_after_fork() - in a child, which has neither the thread nor the parent's devices */
void raw_after_fork(void);

#endif
