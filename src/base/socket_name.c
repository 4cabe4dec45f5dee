// SPDX-License-Identifier: BSD-3-Clause
/*
 * 1. A socket is bound under a passing name in the same folder, listens, and then gets its name by
 *    link(2), which never replaces anything. So a name never leads to a socket of ours that refuses
 *    connections, unless we died.
 * 2. All of that is done under a lock on the folder (flock(2)). Of several starters that find a
 *    dead socket the first replaces it; the next ones find the first one's alive.
 * 3. Programs that know nothing of the lock may change the name between the look and the
 *    replacement. So the replacement is an exchange: what came out of it is looked at, and goes
 *    back if it is not the dead socket.
 * 4. The lock is not waited for without end, for in a folder like /tmp any user can hold it. A free
 *    name is then taken without the lock, and a dead socket's is not.
 * 5. Who is killed on the way leaves the passing name. Under the lock it is made of the name that
 *    is taken, so the next one who takes that name finds the dead socket there, and removes it. A
 *    name that is taken without the lock is made of the process id: nobody could tell whether its
 *    maker is dead or about to listen.
 */
#include "base/socket_name.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
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
#define PASSING_MAX  100u /* names that are tried: so many threads at most are here at once */
#define PASSING_SIZE (SOCKET_NAME_SIZE + 32) /* of a name on the way, folder included */

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

/* ---- the folder and its lock ---- */

struct folder {
	int fd; /* -1: it cannot be opened, then binding says why */
	bool locked;
};

static int folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (int)(slash - path) + 1 : 0;
}

static bool lock(int fd)
{
	int64_t deadline = clock_now_ns() + LOCK_WAIT_NS;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || clock_now_ns() >= deadline)
			return false;
		(void)poll(NULL, 0, 1);
	}
	return true;
}

static struct folder folder_open(const char *path)
{
	char name[SOCKET_NAME_SIZE + 1];
	struct folder folder;

	(void)snprintf(name, sizeof(name), "%.*s.", folder_len(path), path);
	folder.fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	folder.locked = folder.fd >= 0 && lock(folder.fd);
	if (folder.fd < 0) /* not readable: it can be bound in, and not be locked */
		folder.fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return folder;
}

/* A forked child may have the descriptor still, so closing alone does not unlock. */
static void folder_close(struct folder *folder)
{
	if (folder->locked)
		(void)flock(folder->fd, LOCK_UN);
	fd_close(&folder->fd);
}

/* Return: as look(); -EBUSY it is a dead process's, and the folder is not locked */
static int look_locked(const struct folder *folder, const char *path, struct stat *st)
{
	int err = look(path, st);

	if (err || folder->locked)
		return err;
	return refuse(-EBUSY,
		      "%s is a dead process's socket, and its folder cannot be locked to replace "
		      "it: remove it by hand",
		      path);
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
static int give_name(const struct folder *folder, const char *passing, const char *path)
{
	struct stat dead;
	int err = -ENOENT;

	while (err == -ENOENT) { /* it was there and then it was not */
		if (link(passing, path) == 0)
			return unlink(passing) < 0 ? -errno : 0;
		if (errno != EEXIST)
			return -errno;
		err = look_locked(folder, path, &dead);
		if (!err)
			err = replace(path, passing, &dead);
	}
	return err;
}

/* Of a name too long for bind(2), the folder is named by its descriptor. */
static int bind_at(int fd, const struct folder *folder, const char *passing)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(passing);
	int n = 0;

	if (len < sizeof(address.sun_path))
		memcpy(address.sun_path, passing, len + 1);
	else
		n = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
			     folder->fd, passing + folder_len(passing));
	if (n >= (int)sizeof(address.sun_path))
		return -ENAMETOOLONG;
	return bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

/* FNV-1a */
static uint32_t hash(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h;
}

/* The name on the way of whoever has the lock. Return: 0; -EADDRINUSE somebody else has that
 * name */
static int bind_locked(int fd, const struct folder *folder, const char *path,
		       char passing[PASSING_SIZE])
{
	int len = folder_len(path);
	struct stat st;

	(void)snprintf(passing, PASSING_SIZE, "%.*s" SOCKET_NAME_PASSING "%08x", len, path,
		       hash(path + len));
	if (look(passing, &st) == 0) /* guarantee 5 */
		(void)unlink(passing);
	return bind_at(fd, folder, passing);
}

/* Never removes what it finds, so it looks for a name that is free. */
static int bind_unlocked(int fd, const struct folder *folder, const char *path,
			 char passing[PASSING_SIZE])
{
	int err = -EADDRINUSE;

	for (unsigned int i = 0; i < PASSING_MAX && err == -EADDRINUSE; i++) {
		(void)snprintf(passing, PASSING_SIZE, "%.*s.%x.%u", folder_len(path), path,
			       (unsigned int)getpid(), i);
		err = bind_at(fd, folder, passing);
	}
	return err;
}

static int bind_and_name(int fd, const struct folder *folder, const char *path, mode_t mode,
			 int backlog, struct stat *st)
{
	char passing[PASSING_SIZE];
	int err = folder->locked ? bind_locked(fd, folder, path, passing) : -EADDRINUSE;

	if (err == -EADDRINUSE)
		err = bind_unlocked(fd, folder, path, passing);
	if (err)
		return err;
	refuse_clear(); /* what was said of names on the way */
	if (lstat(passing, st) < 0)
		return -errno;
	if ((mode && chmod(passing, mode) < 0) || listen(fd, backlog) < 0)
		err = -errno;
	if (!err)
		err = give_name(folder, passing, path);
	if (err && is_file(passing, st->st_dev, st->st_ino))
		(void)unlink(passing);
	return err;
}

int socket_name_listen(struct socket_name *name, const char *path, mode_t mode, int backlog)
{
	struct sockaddr_un address;
	struct folder folder;
	struct stat st;
	int fd = open_socket(path, &address), err;

	if (fd < 0)
		return fd;
	refuse_clear();
	folder = folder_open(path);
	err = bind_and_name(fd, &folder, path, mode, backlog, &st);
	folder_close(&folder);
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

static void remove_dead_socket(const char *path)
{
	struct folder folder = folder_open(path);
	struct stat st;

	if (look_locked(&folder, path, &st) == 0)
		(void)unlink(path);
	folder_close(&folder);
}

void socket_name_remove_dead(const char *path)
{
	struct stat link_st, st;
	int fd = -ECONNREFUSED;

	if (lstat(path, &link_st) < 0)
		return;
	if (!S_ISLNK(link_st.st_mode)) {
		remove_dead_socket(path);
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
