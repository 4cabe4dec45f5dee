// SPDX-License-Identifier: BSD-3-Clause
/* Waiting in tests: on file descriptors, never for a span of time, and never for ever. */
#ifndef HOLDFAST_TESTS_UNIT_BASE_WAIT_H
#define HOLDFAST_TESTS_UNIT_BASE_WAIT_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"

/* Long enough for a loaded machine under a sanitizer; reached only when the test fails. */
#define WAIT_DEADLINE_MS 20000

static inline bool wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, WAIT_DEADLINE_MS);
	while (n < 0 && errno == EINTR);
	return n == 1 && (p.revents & POLLIN);
}

/* The eventfd's count, taken; 0 if nothing came before the deadline. */
static inline uint64_t wait_event(int fd)
{
	uint64_t count;

	if (!wait_readable(fd) || read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

static inline void event_give(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n;
}

/* The child's wait status, or -1 if it did not end before the deadline (it is then killed). */
static inline int wait_child(pid_t pid)
{
	int status = -1, pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool ended = pidfd >= 0 && wait_readable(pidfd);

	if (pidfd >= 0)
		close(pidfd);
	if (!ended)
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid || !ended)
		return -1;
	return status;
}

#endif
