// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast run` of programs that cannot be preloaded: static ones, Go's, those with another libc.
 *
 *	holdfast run ── waits ──> supervisor ── parent of ──> COMMAND
 *	                            │ listener of a seccomp filter that COMMAND begins with,
 *	                            │ and that all its children have
 *	  client ─ open, ioctl ─> kernel ─ notice ─> supervisor ─ channel ─> agent ─> wrapper
 *	    └── memory, descriptors ── shared ──────────────────────────────┘
 *
 * 1. A client costs nothing but the filter before it names a node. At the first call on a node the
 *    supervisor puts an agent into the client (inject.c), has the client make the call again, and
 *    hands it to the agent from then on.
 * 2. The agent is a process that has the client's memory and descriptors (agent_main.c), so
 *    descriptors, eventfds, mappings and rings are the client's own: a queue works as in a
 *    preloaded client, and the supervisor has no part in it.
 * 3. What the supervisor reads of a client may change the moment after. That harms the client
 *    alone: whatever the supervisor decides, the client or an agent with the client's rights does.
 * 4. An agent ends with its client: at exit, at execve(2), and when the supervisor goes.
 *
 * Owns: the supervisor's process. Thread rule: agent_run() in a process of one thread.
 */
#ifndef HOLDFAST_FRONTENDS_AGENT_AGENT_H
#define HOLDFAST_FRONTENDS_AGENT_AGENT_H

#include "base/compiler.h"

struct agent_options {
	const char *who;   /* begins lines on stderr */
	const char *image; /* file of the agent */
	/* becomes COMMAND by execve(2). Return: exit status, and one line was printed */
	int (*become)(void *arg);
	void *arg;
};

/** agent_check() - can programs be served so, here? Return: 0, or -errno with refuse() in words */
int agent_check(const char *image) HF_MUST_CHECK;

/** agent_run() - run COMMAND under a supervisor until it ends. Return: its exit status; 1 if there
 * could be no supervisor, and one line was printed. A signal that ends COMMAND ends this
 * process. */
int agent_run(const struct agent_options *options) HF_MUST_CHECK;

#endif
