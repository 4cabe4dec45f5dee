// SPDX-License-Identifier: BSD-3-Clause
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../unit/sim/tap_support.h"

#define LOOK_MS 2 /* between two tries to connect */

/* Wait for @fd (-1: for LOOK_MS). Return: go on */
static bool wait_for(const struct peer *p, int fd)
{
	struct pollfd fds[] = {{p->stop[0], POLLIN, 0}, {fd, POLLIN, 0}};

	return poll(fds, 2, fd < 0 ? LOOK_MS : -1) >= 0 && fds[0].revents == 0;
}

/* Until the other end is gone. The rest of what it does not take is not worth waiting for. */
static void echo(const struct peer *p, int fd)
{
	char buf[4096];
	ssize_t n = 1;

	while (n > 0 && wait_for(p, fd)) {
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n > 0 && send(fd, buf, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
		    p->kind != PEER_ON_TAP)
			n = 0;
		if (n < 0 && (errno == EAGAIN || errno == ENETDOWN))
			n = 1;
	}
}

static int open_socket(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void connect_and_echo(const struct peer *p)
{
	struct sockaddr_un address;
	int fd = open_socket(p->path, &address);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		echo(p, fd);
	close(fd);
}

static void *peer_main(void *arg)
{
	const struct peer *p = arg;

	if (p->kind == PEER_ON_TAP)
		echo(p, p->fd);
	while (p->kind == PEER_CONNECTS && wait_for(p, -1))
		connect_and_echo(p);
	while (p->kind == PEER_LISTENS && wait_for(p, p->fd)) {
		int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			echo(p, fd);
		close(fd);
	}
	return NULL;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address;
	int fd = open_socket(path, &address);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    listen(fd, 8) == 0)
		return fd;
	close(fd);
	return -errno;
}

int peer_start(struct peer *p, enum peer_kind kind, const char *path)
{
	*p = (struct peer){.kind = kind, .fd = -1, .stop = {-1, -1}};
	(void)snprintf(p->path, sizeof(p->path), "%s", path);
	if (kind == PEER_NONE)
		return 0;
	if (kind != PEER_CONNECTS)
		p->fd = kind == PEER_LISTENS ? listen_at(path) : tap_packet_socket(path);
	if (kind != PEER_CONNECTS && p->fd < 0)
		return p->fd;
	if (pipe2(p->stop, O_CLOEXEC) < 0)
		return -errno;
	return -pthread_create(&p->thread, NULL, peer_main, p);
}

void peer_stop(struct peer *p)
{
	if (p->kind == PEER_NONE)
		return;
	close(p->stop[1]);
	(void)pthread_join(p->thread, NULL);
	close(p->stop[0]);
	if (p->fd >= 0)
		close(p->fd);
	if (p->kind == PEER_LISTENS)
		(void)unlink(p->path);
	p->kind = PEER_NONE;
}
