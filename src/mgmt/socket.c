// SPDX-License-Identifier: BSD-3-Clause
#include "mgmt/socket.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

int mgmt_socket_connect(const char *path, pid_t *pid)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	int fd = socket_name_connect(path), err;

	if (fd == -ENAMETOOLONG)
		return refuse(fd, "cannot connect to '%s': the path of a socket has 1 to %d bytes",
			      path, SOCKET_NAME_SIZE - 1);
	if (fd < 0)
		return refuse(fd, "cannot connect to %s", path);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		err = -errno;
		fd_close(&fd);
		return refuse(err, "cannot connect to %s", path);
	}
	*pid = peer.pid;
	return fd;
}

int mgmt_socket_listen(struct socket_name *name, const char *path)
{
	return socket_name_listen(name, path, 0600, BACKLOG);
}

/* Is it a name of ours whose process is gone? One in another pid namespace looks so too, and is
 * found alive when it is connected to. */
static bool is_of_the_dead(const char *name)
{
	char *end;
	unsigned long pid = strtoul(name, &end, 10);

	if (strncmp(name, SOCKET_NAME_PASSING, strlen(SOCKET_NAME_PASSING)) == 0)
		return true; /* on its way, or left there */
	return end != name && pid <= INT_MAX && strcmp(end, MGMT_SOCKET_SUFFIX) == 0 &&
	       kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* A process that was killed could not remove its socket. */
static void sweep(const char *folder)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(folder);

	while (dir && (entry = readdir(dir)) != NULL)
		if (is_of_the_dead(entry->d_name) &&
		    snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) < PATH_MAX)
			socket_name_remove_dead(path);
	if (dir)
		closedir(dir);
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
	sweep(dir);
	return snprintf(path, PATH_MAX, "%s/%d%s", dir, (int)getpid(), MGMT_SOCKET_SUFFIX) <
			       PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

int mgmt_socket_listen_default(struct socket_name *name)
{
	char path[PATH_MAX];
	int fd = -ENOENT;

	for (unsigned int i = 0; i < MGMT_SOCKET_NR_DIRS && fd < 0; i++) {
		int err = default_path(i, path);

		if (err != -ENOENT || fd == -ENOENT)
			fd = err ? err : mgmt_socket_listen(name, path);
	}
	return fd;
}

void mgmt_socket_announce(const char *path, char link[PATH_MAX])
{
	for (unsigned int i = 0; i < MGMT_SOCKET_NR_DIRS; i++) {
		if (default_path(i, link) != 0)
			continue;
		socket_name_remove_dead(link); /* an earlier process's of the same number */
		if (symlink(path, link) == 0)
			return;
	}
	link[0] = '\0';
}

void mgmt_socket_withdraw(const char *path, const char *link)
{
	char target[PATH_MAX];
	ssize_t len = *link ? readlink(link, target, sizeof(target)) : -1;

	if (len >= 0 && (size_t)len == strlen(path) && memcmp(target, path, (size_t)len) == 0)
		(void)unlink(link);
}
