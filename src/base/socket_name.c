// SPDX-License-Identifier: BSD-3-Clause
/*
 * 1. A socket is bound under a passing name in the same folder, listens, and then gets its name by
 *    link(2), which never replaces anything. So a name never leads to a socket of ours that refuses
 *    connections, unless we died.
 * 2. A name that leads to a dead socket is replaced under a lock on the folder (flock(2)). Of
 *    several starters the first replaces the dead socket; the next ones find the first one's alive.
 *    A free name needs no lock.
 * 3. Programs that know nothing of the lock may change the name between the look and the
 *    replacement. So the replacement is an exchange: what came out of it is looked at, and goes
 *    back if it is not the dead socket.
 * 4. The lock is not waited for without end, for in a folder like /tmp any user can hold it.
 */
#include "base/socket_name.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/refuse.h"

#define LOCK_WAIT_NS (1 * NS_PER_SEC)
#define PASSING_MAX                                                                                \
	100u /* passing names that are tried: so many threads at most are here at once */

_Static_assert(SOCKET_NAME_SIZE == sizeof(((struct sockaddr_un *)0)->sun_path), "as the system's");

static int open_socket(const char *path, struct sockaddr_un *address)
{
	size_t len = strlen(path);
	int fd;

	if (len == 0 || len >= sizeof(address->sun_path))
		return refuse(-ENAMETOOLONG, "the path of a socket has 1 to %zu bytes, not %zu",
			      sizeof(address->sun_path) - 1, len);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, len + 1);
	fd = fd_move_up(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	return fd < 0 ? -errno : fd;
}

int socket_name_connect(const char *path)
{
	struct sockaddr_un address;
	int fd = open_socket(path, &address);
	int err;

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	err = -errno;
	fd_close(&fd);
	return err;
}

/* ---- what has the name ---- */

/* Return: 0 a dead process's socket; -ENOENT nothing; -EEXIST; -EADDRINUSE; other -errno it cannot
 * be told */
static int look(const char *path, struct stat *st)
{
	int fd;

	if (lstat(path, st) < 0)
		return -errno;
	if (!S_ISSOCK(st->st_mode))
		return refuse(-EEXIST, "%s exists and is not a socket", path);
	fd = socket_name_connect(path);
	if (fd == -ECONNREFUSED)
		return 0;
	if (fd == -ENOENT || fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return fd;
	fd_close(&fd);
	return refuse(-EADDRINUSE, "another process listens on %s", path);
}

static bool is_file(const char *path, dev_t dev, ino_t ino)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

/* ---- the folder's lock ---- */

static int folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (int)(slash - path) + 1 : 0;
}

static int lock_folder(const char *path)
{
	int64_t deadline = clock_now_ns() + LOCK_WAIT_NS;
	char folder[SOCKET_NAME_SIZE + 1];
	int fd;

	(void)snprintf(folder, sizeof(folder), "%.*s.", folder_len(path), path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int err = -errno;

		if (err == -EWOULDBLOCK && clock_now_ns() < deadline) {
			(void)poll(NULL, 0, 1);
			continue;
		}
		fd_close(&fd);
		return err == -EWOULDBLOCK ? -EBUSY : err;
	}
	return fd;
}

/* A forked child may have the descriptor still, so closing alone does not unlock. */
static void unlock_folder(int *fd)
{
	(void)flock(*fd, LOCK_UN);
	fd_close(fd);
}

/* Run @act under the lock if @path is a dead socket. Return: as look() and @act; -EBUSY */
static int with_dead(const char *path, const char *passing,
		     int (*act)(const char *path, const char *passing, const struct stat *dead))
{
	struct stat st;
	int err = look(path, &st), fd;

	if (err)
		return err;
	fd = lock_folder(path);
	if (fd < 0)
		return refuse(fd,
			      "%s is a dead process's socket, and its folder cannot be locked "
			      "to replace it: remove it by hand",
			      path);
	err = look(path, &st);
	if (!err)
		err = act(path, passing, &st);
	unlock_folder(&fd);
	return err;
}

/* ---- taking a name ---- */

static int exchange(const char *a, const char *b)
{
	return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0 ? -errno : 0;
}

/* Afterwards the passing name is free. */
static int replace(const char *path, const char *passing, const struct stat *dead)
{
	int err = exchange(passing, path);

	if (err == -EINVAL ||
	    err == -ENOSYS) /* not on every file system: then the lock has to do */
		return rename(passing, path) < 0 ? -errno : 0;
	if (err)
		return err;
	if (is_file(passing, dead->st_dev, dead->st_ino))
		return unlink(passing) < 0 ? -errno : 0;
	err = exchange(passing, path);
	return err ? err : refuse(-EADDRINUSE, "another process has just taken %s", path);
}

/* The passing name becomes @path, or -errno says why not and both are as they were. */
static int give_name(const char *passing, const char *path)
{
	int err = -ENOENT;

	while (err == -ENOENT) { /* it was there and then it was not */
		if (link(passing, path) == 0)
			return unlink(passing) < 0 ? -errno : 0;
		if (errno != EEXIST)
			return -errno;
		err = with_dead(path, passing, replace);
	}
	return err;
}

/* Never removes what it finds, so it looks for a name that is free. */
static int bind_passing(int fd, const char *path, struct sockaddr_un *address)
{
	int len, err = -EADDRINUSE;

	for (unsigned int i = 0; i < PASSING_MAX && err == -EADDRINUSE; i++) {
		len = snprintf(address->sun_path, sizeof(address->sun_path), "%.*s.%x.%u",
			       folder_len(path), path, (unsigned int)getpid(), i);
		if (len >= (int)sizeof(address->sun_path))
			return refuse(-ENAMETOOLONG,
				      "the folder of the socket %s has too long a "
				      "name: at most 90 bytes",
				      path);
		err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	}
	return err;
}

static int bind_and_name(int fd, const char *path, mode_t mode, int backlog, struct stat *st)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int err = bind_passing(fd, path, &address);

	if (err)
		return err;
	if (lstat(address.sun_path, st) < 0)
		return -errno;
	if ((mode && chmod(address.sun_path, mode) < 0) || listen(fd, backlog) < 0)
		err = -errno;
	if (!err)
		err = give_name(address.sun_path, path);
	if (err && is_file(address.sun_path, st->st_dev, st->st_ino))
		(void)unlink(address.sun_path);
	return err;
}

int socket_name_listen(struct socket_name *name, const char *path, mode_t mode, int backlog)
{
	struct sockaddr_un address;
	struct stat st;
	int fd = open_socket(path, &address), err;

	if (fd < 0)
		return fd;
	refuse_clear();
	err = bind_and_name(fd, path, mode, backlog, &st);
	if (err) {
		fd_close(&fd);
		return *refuse_reason() ? err : refuse(err, "cannot listen on %s", path);
	}
	*name = (struct socket_name){.dev = st.st_dev, .ino = st.st_ino, .pid = getpid()};
	memcpy(name->path, path, strlen(path) + 1);
	return fd;
}

/* ---- giving it back ---- */

void socket_name_remove(struct socket_name *name)
{
	/* While the socket is open its file's number goes to no other file. */
	if (*name->path && name->pid == getpid() && is_file(name->path, name->dev, name->ino))
		(void)unlink(name->path);
	name->path[0] = '\0';
}

static int remove_it(const char *path, const char *passing, const struct stat *dead)
{
	(void)passing;
	(void)dead;
	return unlink(path) < 0 ? -errno : 0;
}

void socket_name_remove_dead(const char *path)
{
	struct stat link_st, st;
	int fd = -ECONNREFUSED;

	if (lstat(path, &link_st) < 0)
		return;
	if (!S_ISLNK(link_st.st_mode)) {
		(void)with_dead(path, NULL, remove_it);
		return;
	}
	if (stat(path, &st) == 0)
		fd = S_ISSOCK(st.st_mode) ? socket_name_connect(path) : -EEXIST;
	else if (errno != ENOENT)
		return;
	if (fd == -ECONNREFUSED)
		(void)unlink(path);
	fd_close(&fd);
}
