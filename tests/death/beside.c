// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs a program beside a peer that sends back what it gets: the other end of its card's backend.
 * For the tap there is a network of our own. Skipped (77) where that cannot be had.
 *
 *   beside connects SOCKET|listens SOCKET|tap PROGRAM ARGUMENT...
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/sim/tap_support.h"
#include "peer.h"

static int run(char **argv)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	bool tap = argc > 2 && strcmp(argv[1], "tap") == 0;
	enum peer_kind kind = PEER_ON_TAP;
	const char *why, *path = TAP;
	struct peer peer;
	int ret, first = tap ? 2 : 3;

	if (argc <= first)
		return 2;
	if (!tap) {
		kind = strcmp(argv[1], "listens") == 0 ? PEER_LISTENS : PEER_CONNECTS;
		path = argv[2];
	} else if ((why = tap_enter_namespaces())) {
		printf("%s\n", why);
		return 77;
	}
	ret = peer_start(&peer, kind, path);
	if (ret) {
		printf("%s: %s\n", path, strerror(-ret));
		return 1;
	}
	ret = run(argv + first);
	peer_stop(&peer);
	return ret;
}
