// SPDX-License-Identifier: BSD-3-Clause
/*
 * The other end of a card's backend: a thread that sends back what it gets, to one client after the
 * other.
 *
 * Thread rule: start and stop by one thread.
 */
#ifndef HOLDFAST_TEST_DEATH_PEER_H
#define HOLDFAST_TEST_DEATH_PEER_H

#include <pthread.h>

enum peer_kind {
	PEER_NONE,
	PEER_CONNECTS, /* to the socket at its path, again and again */
	PEER_LISTENS,  /* on a socket at its path */
	PEER_ON_TAP,   /* @path is the interface's name */
};

struct peer {
	enum peer_kind kind;
	char path[64];
	int fd;      /* listening, or on the tap; -1: none */
	int stop[2]; /* a pipe: the thread ends when its writing end is closed */
	pthread_t thread;
};

/** peer_start() - nothing for PEER_NONE. Return: 0 or -errno */
int peer_start(struct peer *p, enum peer_kind kind, const char *path);
void peer_stop(struct peer *p);

#endif
