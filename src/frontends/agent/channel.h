// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where the agent lies in a client's address space, and the page by which the supervisor hands it
 * the client's calls. The page is one memory file, mapped in both. No descriptor is needed to use
 * it, so a client that closes all descriptors does not cut it.
 *
 *	supervisor: request, ASKED, wake ──> agent: wrapper, result, ANSWERED, wake ──> supervisor
 *
 * Owns nothing. Thread rule: one request at a time; the supervisor sees to that.
 */
#ifndef HOLDFAST_FRONTENDS_AGENT_CHANNEL_H
#define HOLDFAST_FRONTENDS_AGENT_CHANNEL_H

#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "frontends/preload/raw.h"

/* Far from where the kernel puts programs, libraries and stacks, and from what sanitizers, Go and
 * other runtimes take for themselves. */
#define AGENT_NAME        "/holdfast-agent" /* its first argument */
#define AGENT_BASE        0x2a0000000000u
#define AGENT_LEN         0x8000000u
#define AGENT_STACK       (AGENT_BASE + 0x4000000u)
#define AGENT_STACK_LEN   0x100000u
#define AGENT_CHANNEL     (AGENT_BASE + 0x6000000u)
#define AGENT_CHANNEL_LEN 0x1000u

#define AGENT_TOKEN_MASK 0xffffffff00000000u
#define AGENT_TOKEN      0x48664167656e7400u /* the upper half marks a channel */

enum agent_state {
	AGENT_IDLE,
	AGENT_ASKED,
	AGENT_ANSWERED,
	AGENT_END,  /* to the agent: go */
	AGENT_GONE, /* to those who wait for an answer */
};

struct agent_channel {
	uint64_t token;           /* const: which agent's channel it is */
	uint32_t alive;           /* a futex whose owner is the supervisor's main thread */
	uint32_t state;           /* enum agent_state; atomic, and a futex */
	uint32_t in_use;          /* atomic: a forked child may open no device */
	pid_t client;             /* const; as the supervisor numbers processes */
	pid_t client_here;        /* const; as the client's own pid namespace does */
	bool sees_supervisor;     /* const; both are one namespace */
	struct raw_window window; /* const */
	/* the call */
	int32_t nr;
	pid_t tid;
	uint64_t args[RAW_NR_ARGS];
	/* the answer */
	int64_t value;
	int32_t error; /* -errno, or 0 */
	uint32_t pass; /* the kernel shall make the call */
};

/* As futex(2), between processes. */
static inline void channel_wait(uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	(void)syscall(SYS_futex, word, FUTEX_WAIT, value, timeout, NULL, 0);
}

static inline void channel_set(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Return: was it @from? Then it is @to, and who waits is awake. */
static inline bool channel_move(uint32_t *word, uint32_t from, uint32_t to)
{
	if (!__atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return false;
	(void)syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	return true;
}

static inline uint32_t channel_get(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* ---- the calls that are caught besides raw_calls[] ---- */

enum agent_kind {
	AGENT_CALL_FD,     /* a row of raw_calls[] */
	AGENT_CALL_PATH,   /* names a file */
	AGENT_CALL_LIST,   /* lists a folder */
	AGENT_CALL_FILTER, /* installs a filter of the client's */
	AGENT_CALL_EXEC,
};

extern const struct raw_call agent_calls[];
extern const size_t agent_nr_calls;

/** agent_call_find() - the row of system call @nr in either table, or NULL */
const struct raw_call *agent_call_find(int nr, enum agent_kind *kind);

#endif
