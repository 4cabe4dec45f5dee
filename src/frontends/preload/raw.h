// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls that a client makes by an instruction of its own, past libc: Rust's rustix and what is
 * built on it, libblkio among them. A seccomp filter catches those that may be for a device, and
 * the wrapper of the same call answers them, as if the client had called it.
 *
 *   raw_scan.c    which loaded objects have such instructions
 *   raw_table.c   which calls are caught
 *   raw_calls.c   the wrapper of each that has a descriptor
 *   raw_paths.c   and of each that names a file
 *   raw_list.c    the folder /dev
 *   raw_filter.c  the filter
 *   raw.c         the thread that answers; a signal handler where a thread cannot
 *
 * Table and filter also serve frontends/agent, for programs that cannot be preloaded.
 *
 * Owns: the filter's listener, the thread. Thread rule: any thread, no lock held.
 */
#ifndef HOLDFAST_FRONTENDS_PRELOAD_RAW_H
#define HOLDFAST_FRONTENDS_PRELOAD_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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
	RAW_IOCTL,   /* the same, or the command is a vhost device's */
	RAW_TWO,     /* one of two descriptors lies in the window */
	RAW_PATH,    /* names a file: always caught, for a filter cannot read it */
	RAW_LIST,    /* lists a folder: always caught */
	RAW_VALUE,   /* argument @fd_arg is @other_arg, in the lower half */
	RAW_ALWAYS,
	RAW_NEVER, /* ENOMEM if it comes from one of the ranges, and let be otherwise */
};

struct raw_call {
	int nr; /* system call number */
	enum raw_when when;
	unsigned int fd_arg; /* which argument is the descriptor, or the path */
	unsigned int
		other_arg; /* RAW_TWO: the other one; RAW_PATH: the folder, unless as @fd_arg */
};

extern const struct raw_call raw_calls[];
extern const size_t raw_nr_calls;

/** raw_call_find() - the row of system call @nr, or NULL */
const struct raw_call *raw_call_find(int nr);
/** raw_call_serve() - make the call that @call stands for by its wrapper. Return: as the wrapper,
 * with errno */
long raw_call_serve(const struct raw_call *call, const uint64_t args[RAW_NR_ARGS]);
/** raw_call_is_ours() - is the call for a device of this process, or /proc/devices? */
bool raw_call_is_ours(const struct raw_call *call, const uint64_t args[RAW_NR_ARGS]);
/** raw_path_serve() and raw_path_is_ours() - the same of RAW_PATH calls alone */
long raw_path_serve(const struct raw_call *call, const uint64_t args[RAW_NR_ARGS]);
bool raw_path_is_ours(const struct raw_call *call, const uint64_t args[RAW_NR_ARGS]);

/** raw_list_serve() and raw_list_is_ours() - and of RAW_LIST */
long raw_list_serve(const uint64_t args[RAW_NR_ARGS]);
bool raw_list_is_ours(const uint64_t args[RAW_NR_ARGS]);

/** raw_call_waits() - may system call @nr wait for a lock, as long as another process likes? */
bool raw_call_waits(int nr, const uint64_t args[RAW_NR_ARGS]);
/** raw_call_do_not_wait() - give such a call the arguments with which it says EAGAIN instead */
void raw_call_do_not_wait(uint64_t args[RAW_NR_ARGS]);

/** raw_fd_is_node() - is descriptor @fd of another process a device of ours? */
bool raw_fd_is_node(pid_t tid, int fd);
/** raw_answer_child() - what a child that was forked with a device is told, as wrap_ioctl.c and
 * wrap_io.c tell it. Return: -errno; 0 the kernel shall answer */
int raw_answer_child(const struct raw_call *call, pid_t tid, const uint64_t args[RAW_NR_ARGS]);

/**
 * raw_scan() - find the code that makes calls on devices past libc, in all objects that are loaded
 * @ranges: [RAW_NR_RANGES_MAX], written
 * @opens: [out] some of it opens files
 * @generation: changes when objects are loaded or unloaded; the search is left out if it is as in
 * the last call
 * Return: how many; -1 nothing was loaded since @generation, and nothing is written
 */
int raw_scan(struct raw_range *ranges, bool *opens, unsigned long long *generation);

/* What a filter catches. All is lent. */
struct raw_filter {
	const struct raw_range *ranges;
	size_t nr_ranges;
	bool from_outside;           /* what comes from elsewhere than the ranges */
	const struct raw_call *also; /* calls besides raw_calls[] */
	size_t nr_also;
	const struct raw_window *window;
	bool trap; /* by SIGSYS with si_errno RAW_TRAP_MARK; otherwise by a listener */
};

/**
 * raw_filter_install() - have calls caught in all threads of this process
 * Return: the listener, or 0; -EBUSY the process has a listener already; -EINVAL the kernel lacks
 * what is needed; other -errno
 */
int raw_filter_install(const struct raw_filter *filter) HF_MUST_CHECK;

#define RAW_TRAP_MARK 0x4864

/** raw_window_choose() - below the limit of this process */
void raw_window_choose(struct raw_window *window);
/** raw_start() - a node is about to be opened: catch what is not caught yet */
void raw_start(void);
/** raw_leave_listener() - the client is about to install a listener of its own, of which a process
 * has one at most */
void raw_leave_listener(void);
/** raw_listener() - the descriptor that the closing of all descriptors spares; -1: none */
int raw_listener(void);
/** raw_window() - the numbers for devices, if raw calls are caught; NULL: any will do */
const struct raw_window *raw_window(void);

#endif
