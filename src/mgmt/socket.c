// SPDX-License-Identifier: BSD-3-Clause
#include "mgmt/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/refuse.h"

#define BACKLOG 16

/* ---- folders ---- */

int mgmt_socket_dir(unsigned int nth, char dir[PATH_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int len;

	if (nth == 0 && runtime && runtime[0] == '/')
		len = snprintf(dir, PATH_MAX, "%s/holdfast", runtime);
	else if (nth == 1)
		len = snprintf(dir, PATH_MAX, "/tmp/holdfast-%u", (unsigned int)geteuid());
	else
		return -ENOENT;
	return len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int mgmt_socket_check_dir(const char *dir, bool create)
{
	struct stat st;
	int err;

	if (create && mkdir(dir, 0700) < 0 && errno != EEXIST) {
		err = -errno;
		return refuse(err, "cannot make the folder %s", dir);
	}
	if (lstat(dir, &st) < 0) {
		err = -errno;
		return refuse(err, "no folder %s", dir);
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return refuse(-EPERM, "%s is not a folder of this user alone (mode 0700)", dir);
	return 0;
}

/* ---- sockets ---- */

static int make_address(const char *path, struct sockaddr_un *address)
{
	size_t len = strlen(path);

	if (len > MGMT_SOCKET_PATH_MAX)
		return refuse(-ENAMETOOLONG, "the path of the socket has %zu bytes, at most %u fit",
			      len, MGMT_SOCKET_PATH_MAX);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, len + 1);
	return 0;
}

int mgmt_socket_connect(const char *path, pid_t *pid)
{
	struct sockaddr_un address;
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	int err = make_address(path, &address);
	int fd;

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		err = -errno;
		fd_close(&fd);
		return refuse(err, "cannot connect to %s", path);
	}
	*pid = peer.pid;
	return fd;
}

/* May the name be taken? */
static int check_name(const char *path)
{
	struct stat st;
	pid_t pid;
	int fd;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return refuse(-EEXIST, "%s exists and is not a socket", path);
	fd = mgmt_socket_connect(path, &pid);
	if (fd == -ECONNREFUSED)
		return 0;
	if (fd >= 0)
		fd_close(&fd);
	return refuse(-EADDRINUSE, "another process listens on %s", path);
}

/* Under a name of its own until it listens; then it gets the real one. */
static int bind_and_name(int fd, const char *path)
{
	char on_the_way[MGMT_SOCKET_PATH_MAX + 16];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int err;

	snprintf(on_the_way, sizeof(on_the_way), "%s.%x", path, (unsigned int)getpid());
	memcpy(address.sun_path, on_the_way, strlen(on_the_way) + 1);
	(void)unlink(on_the_way);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (chmod(on_the_way, 0600) == 0 && listen(fd, BACKLOG) == 0 &&
	    rename(on_the_way, path) == 0)
		return 0;
	err = -errno;
	(void)unlink(on_the_way);
	return err;
}

int mgmt_socket_listen(const char *path)
{
	struct sockaddr_un address;
	int err = make_address(path, &address);
	int fd;

	if (!err)
		err = check_name(path);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = bind_and_name(fd, path);
	if (!err)
		return fd;
	fd_close(&fd);
	return refuse(err, "cannot listen on %s", path);
}

/* This process's name in the @nth folder, which is made if need be. */
static int default_path(unsigned int nth, char path[PATH_MAX])
{
	char dir[PATH_MAX];
	int err = mgmt_socket_dir(nth, dir);

	if (!err)
		err = mgmt_socket_check_dir(dir, true);
	if (err)
		return err;
	return snprintf(path, PATH_MAX, "%s/%d%s", dir, (int)getpid(), MGMT_SOCKET_SUFFIX) <
			       PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

int mgmt_socket_listen_default(char path[PATH_MAX])
{
	int fd = -ENOENT;

	for (unsigned int i = 0; i < MGMT_SOCKET_NR_DIRS && fd < 0; i++) {
		int err = default_path(i, path);

		if (err != -ENOENT || fd == -ENOENT)
			fd = err ? err : mgmt_socket_listen(path);
	}
	return fd;
}

void mgmt_socket_announce(const char *path, char link[PATH_MAX])
{
	for (unsigned int i = 0; i < MGMT_SOCKET_NR_DIRS; i++) {
		if (default_path(i, link) != 0)
			continue;
		(void)unlink(link); /* an earlier process's of the same number */
		if (symlink(path, link) == 0)
			return;
	}
	link[0] = '\0';
}
