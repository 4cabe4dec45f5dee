// SPDX-License-Identifier: BSD-3-Clause
/*
 * One poll(2) over the listening socket and at most 16 connections. A connection is in one of two
 * states: it reads until there is a line, or it writes an answer; while an answer is not gone,
 * nothing more is read, so that a client that does not read cannot make us store answers. Each
 * state has a deadline.
 *
 * The process around us is a client's, which may close descriptors that it does not know. So before
 * a descriptor is used, its inode is compared; the listening socket lost, the thread ends.
 */
#include "mgmt/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/thread.h"

#define DEAF_NS (100 * NS_PER_MS) /* that nobody is let in if the process lacks what that needs */

struct held_fd {
	int fd; /* -1: none */
	dev_t dev;
	ino_t ino;
};

struct connection {
	struct held_fd sock;
	char *in; /* [line_max + 1] */
	size_t in_len;
	char *out; /* [owned] the answer under way, or NULL */
	size_t out_len, out_done;
	bool hang_up;     /* once the answer is gone */
	int64_t deadline; /* CLOCK_MONOTONIC, ns */
	int64_t active;   /* when it last did something */
};

struct mgmt_server {
	struct mgmt_server_options options;
	pthread_t thread;
	struct held_fd listener, wake;
	int64_t deaf_until; /* clock_now_ns(): nobody is let in before */
	struct connection connections[MGMT_SERVER_CLIENTS_MAX];
};

/* ---- descriptors ---- */

/* Takes over @fd, and moves it out of the way of the process's low numbers if the limit allows. */
static void hold(struct held_fd *held, int fd)
{
	struct stat st = {0};

	fd = fd_move_up(fd);
	(void)fstat(fd, &st);
	held->dev = st.st_dev;
	held->ino = st.st_ino;
	held->fd = fd;
}

static bool is_held(const struct held_fd *held)
{
	return fd_is_file(held->fd, held->dev, held->ino);
}

static void let_go(struct held_fd *held)
{
	if (is_held(held))
		close(held->fd);
	held->fd = -1;
}

/* ---- one connection ---- */

static void drop(struct connection *c)
{
	let_go(&c->sock);
	free(c->in);
	free(c->out);
	*c = (struct connection){.sock.fd = -1};
}

static void set_deadline(struct connection *c, unsigned int ms)
{
	c->active = clock_now_ns();
	c->deadline = c->active + ms * NS_PER_MS;
}

/* Return: false if the connection is lost */
static bool send_answer(struct connection *c)
{
	ssize_t n;

	while (c->out_done < c->out_len) {
		n = send(c->sock.fd, c->out + c->out_done, c->out_len - c->out_done,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->out_done += (size_t)n;
	}
	free(c->out);
	c->out = NULL;
	return !c->hang_up;
}

/* Take the first @len bytes, and the line end behind them, out of the buffer. */
static void consume(struct connection *c, size_t len)
{
	len = len < c->in_len ? len + 1 : c->in_len;
	memmove(c->in, c->in + len, c->in_len - len);
	c->in_len -= len;
}

static bool answer(const struct mgmt_server *server, struct connection *c, size_t len)
{
	char *text = server->options.handle(server->options.arg, c->in, len);

	consume(c, len);
	if (!text)
		return false;
	c->out_len = strlen(text);
	text[c->out_len++] = '\n'; /* in the place of the terminator */
	c->out = text;
	c->out_done = 0;
	set_deadline(c, server->options.line_ms);
	return send_answer(c);
}

/* Whole lines in the buffer, one after the other, while answers go at once. Return: false: lost */
static bool answer_lines(const struct mgmt_server *server, struct connection *c)
{
	while (!c->out && c->in_len > 0) {
		const char *end = memchr(c->in, '\n', c->in_len);

		if (!end && c->in_len <= server->options.line_max)
			return true;
		if (!end)
			c->hang_up = true;
		if (!answer(server, c, end ? (size_t)(end - c->in) : c->in_len))
			return false;
		if (!c->out)
			set_deadline(c,
				     c->in_len ? server->options.line_ms : server->options.idle_ms);
	}
	return true;
}

static bool receive(const struct mgmt_server *server, struct connection *c)
{
	size_t room = server->options.line_max + 1 - c->in_len;
	ssize_t n = recv(c->sock.fd, c->in + c->in_len, room, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if (c->in_len == 0)
		set_deadline(c, server->options.line_ms);
	c->in_len += (size_t)n;
	return answer_lines(server, c);
}

static void serve(const struct mgmt_server *server, struct connection *c, short events)
{
	bool alive = is_held(&c->sock) && !(events & (POLLERR | POLLNVAL));

	if (alive && c->out) {
		alive = send_answer(c);
		if (alive && !c->out) {
			set_deadline(c, server->options.idle_ms);
			alive = answer_lines(server, c);
		}
	} else if (alive) {
		alive = receive(server, c);
	}
	if (!alive)
		drop(c);
}

/* ---- new ones ---- */

static bool is_welcome(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	if (peer.uid == geteuid() || peer.uid == 0)
		return true;
	hf_warn("control", "user %u was turned away", (unsigned int)peer.uid);
	return false;
}

static struct connection *make_room(struct mgmt_server *server)
{
	struct connection *quietest = &server->connections[0];

	for (unsigned int i = 0; i < MGMT_SERVER_CLIENTS_MAX; i++) {
		struct connection *c = &server->connections[i];

		if (c->sock.fd < 0)
			return c;
		if (c->active < quietest->active)
			quietest = c;
	}
	drop(quietest);
	return quietest;
}

static void accept_one(struct mgmt_server *server)
{
	int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct connection *c;

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			server->deaf_until = clock_now_ns() + DEAF_NS;
		return;
	}
	c = is_welcome(fd) ? make_room(server) : NULL;
	if (c)
		c->in = malloc(server->options.line_max + 1);
	if (!c || !c->in) {
		fd_close(&fd);
		return;
	}
	hold(&c->sock, fd);
	set_deadline(c, server->options.idle_ms);
}

/* ---- the thread ---- */

#define NR_FDS (2 + MGMT_SERVER_CLIENTS_MAX)

/* What is looked at: wake, the listener unless it is not, the connections that there are. Not more,
 * for poll(2) takes no more than the process may have descriptors. */
struct watch {
	struct pollfd fds[NR_FDS];
	struct connection *connections[NR_FDS]; /* [i]: whose fds[i] is; NULL: the first two */
	nfds_t nr;
};

static void add(struct watch *w, int fd, short events, struct connection *c)
{
	w->fds[w->nr] = (struct pollfd){.fd = fd, .events = events};
	w->connections[w->nr++] = c;
}

static void fill(struct mgmt_server *server, struct watch *w)
{
	w->nr = 0;
	add(w, server->wake.fd, POLLIN, NULL);
	if (clock_now_ns() >= server->deaf_until)
		add(w, server->listener.fd, POLLIN, NULL);
	for (unsigned int i = 0; i < MGMT_SERVER_CLIENTS_MAX; i++) {
		struct connection *c = &server->connections[i];

		if (c->sock.fd >= 0)
			add(w, c->sock.fd, c->out ? POLLOUT : POLLIN, c);
	}
}

/* Drop who is late. Return: ms until the next one would be, -1 for none */
static int expire(struct mgmt_server *server)
{
	int64_t now = clock_now_ns(),
		next = server->deaf_until > now ? server->deaf_until : INT64_MAX;

	for (unsigned int i = 0; i < MGMT_SERVER_CLIENTS_MAX; i++) {
		struct connection *c = &server->connections[i];

		if (c->sock.fd >= 0 && c->deadline <= now)
			drop(c);
		if (c->sock.fd >= 0 && c->deadline < next)
			next = c->deadline;
	}
	return next == INT64_MAX ? -1 : (int)((next - now) / NS_PER_MS + 1);
}

static void *server_main(void *arg)
{
	struct mgmt_server *server = arg;
	struct watch w;

	thread_settle("holdfast-mgmt");
	while (is_held(&server->listener) && is_held(&server->wake)) {
		int timeout = expire(server);

		fill(server, &w);
		if (poll(w.fds, w.nr, timeout) < 0) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (w.fds[0].revents)
			break;
		for (nfds_t i = 1; i < w.nr; i++)
			if (w.connections[i] && w.fds[i].revents)
				serve(server, w.connections[i], w.fds[i].revents);
		if (w.nr > 1 && !w.connections[1] && (w.fds[1].revents & POLLIN))
			accept_one(server);
	}
	return NULL;
}

static void close_all(struct mgmt_server *server)
{
	for (unsigned int i = 0; i < MGMT_SERVER_CLIENTS_MAX; i++)
		let_go(&server->connections[i].sock);
	let_go(&server->listener);
	let_go(&server->wake);
}

int mgmt_server_start(const struct mgmt_server_options *options, int listen_fd,
		      struct mgmt_server **out)
{
	struct mgmt_server *server = calloc(1, sizeof(*server));
	int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int err = wake < 0 ? -errno : server ? 0 : -ENOMEM;

	if (err) {
		fd_close(&wake);
		fd_close(&listen_fd);
		free(server);
		return err;
	}
	server->options = *options;
	for (unsigned int i = 0; i < MGMT_SERVER_CLIENTS_MAX; i++)
		server->connections[i].sock.fd = -1;
	hold(&server->listener, listen_fd);
	hold(&server->wake, wake);
	err = thread_start(&server->thread, server_main, server);
	if (err) {
		close_all(server);
		free(server);
		return err;
	}
	*out = server;
	return 0;
}

void mgmt_server_stop(struct mgmt_server *server)
{
	if (!server)
		return;
	fd_signal(server->wake.fd, false);
	(void)pthread_join(server->thread, NULL);
	for (unsigned int i = 0; i < MGMT_SERVER_CLIENTS_MAX; i++)
		drop(&server->connections[i]);
	close_all(server);
	free(server);
}

void mgmt_server_after_fork(struct mgmt_server *server)
{
	close_all(server);
}
