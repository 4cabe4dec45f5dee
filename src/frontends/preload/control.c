// SPDX-License-Identifier: BSD-3-Clause
#include "real.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/refuse.h"
#include "frontends/preload/aside.h"
#include "frontends/preload/control.h"
#include "frontends/preload/node.h"
#include "frontends/preload/preload.h"
#include "mgmt/mgmt.h"
#include "mgmt/server.h"
#include "mgmt/socket.h"

#define LINE_MS 5000
#define IDLE_MS 60000

/* jansson is linked into the library itself, so that no other JSON library in the client can take
 * its place. The archive is not made for shared objects in one respect: it wants libc's stdin, for
 * a function that is not used here. The linker is told to take this one (--wrap). */
FILE *__wrap_stdin;

/* Const while the server runs; in a forked child they are of no use any more. */
static struct mgmt_env env;
static struct mgmt_server *server;
static struct socket_name socket_name;
static char announced[PATH_MAX]; /* a link to it, or "" */

static char *handle(void *arg, const char *line, size_t len)
{
	char *reply = mgmt_request(&env, line, len);

	(void)arg;
	node_refresh();
	return reply;
}

/* A path of the user's own may be in use by another process of the same command: then the usual
 * name. */
static int listen_somewhere(void)
{
	const char *path = getenv(MGMT_SOCKET_ENV);
	int fd;

	if (path && strcmp(path, "none") == 0)
		return -ENOENT;
	if (path && *path) {
		fd = mgmt_socket_listen(&socket_name, path);
		if (fd >= 0)
			mgmt_socket_announce(path, announced);
		if (fd != -EADDRINUSE)
			return fd;
	}
	return mgmt_socket_listen_default(&socket_name);
}

static void remove_names(void *arg)
{
	(void)arg;
	if (socket_name.pid == getpid())
		mgmt_socket_withdraw(socket_name.path, announced);
	socket_name_remove(&socket_name);
}

void control_start(struct vdpa_bus *bus)
{
	struct mgmt_server_options options = {.handle = handle,
					      .line_max = MGMT_LINE_MAX,
					      .line_ms = LINE_MS,
					      .idle_ms = IDLE_MS};
	int fd = listen_somewhere();
	int err;

	if (fd == -ENOENT)
		return;
	if (fd < 0) {
		hf_warn("control", "no management from outside: %s%s%s", refuse_reason(),
			*refuse_reason() ? ": " : "", strerror(-fd));
		return;
	}
	env = (struct mgmt_env){.bus = bus, .nr_devices_max = PRELOAD_NR_NODES_MAX};
	preload_provide_parents(&env.parents, &env.nr_parents);
	err = mgmt_server_start(&options, fd, &server);
	if (err) {
		server = NULL;
		remove_names(NULL);
		hf_warn("control", "no management from outside: %s", strerror(-err));
	}
}

void control_after_fork(void)
{
	if (server)
		mgmt_server_after_fork(server);
	server = NULL;
}

/* A process that ends in an orderly way leaves no socket behind; what others leave is found out by
 * connecting. */
__attribute__((destructor)) static void remove_socket(void)
{
	char none = 0;

	if (server)
		aside_run(remove_names, &none, sizeof(none));
}
