// SPDX-License-Identifier: BSD-3-Clause
/*
 * A server of lines: one thread that listens on a socket, takes lines from its clients and gives a
 * line for each. Only processes of the same user, or of root, are let in. Whatever a client does
 * (too long a line, half of one, no reading, hundreds of connections) costs it its connection and
 * nobody else anything: memory, number and time are bounded.
 *
 * Owns: the thread, the listening socket, the connections. The handler runs in the thread, one line
 * at a time, with no lock held. Thread rule: any thread; start and stop by the same.
 */
#ifndef HOLDFAST_MGMT_SERVER_H
#define HOLDFAST_MGMT_SERVER_H

#include <stddef.h>

#include "base/compiler.h"

struct mgmt_server;

struct mgmt_server_options {
	/** @line: @len bytes without line end, not terminated. Return: [owned] the answer; NULL:
	 * hang up */
	char *(*handle)(void *arg, const char *line, size_t len);
	void *arg;
	size_t line_max; /* bytes of a line; one byte more is given to @handle, then it hangs up */
	unsigned int line_ms; /* from a line's first byte to its last, and for taking an answer */
	unsigned int idle_ms; /* between lines */
};

#define MGMT_SERVER_CLIENTS_MAX 16u /* one more, and the one that was quiet longest is dropped */

/** mgmt_server_start() - @listen_fd: [consumed, also on error] listening, non-blocking
 * Return: 0; -ENOMEM; -EAGAIN no thread; other -errno */
int mgmt_server_start(const struct mgmt_server_options *options, int listen_fd,
		      struct mgmt_server **out) HF_MUST_CHECK;
/** mgmt_server_stop() - NULL is fine. Waits for a request under way. */
void mgmt_server_stop(struct mgmt_server *server);
/** mgmt_server_after_fork() - in a forked child, which has no such thread: close the copies of its
 * descriptors, so that clients of the parent never wait for the child. @server is not freed. */
void mgmt_server_after_fork(struct mgmt_server *server);

#endif
