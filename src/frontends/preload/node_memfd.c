// SPDX-License-Identifier: BSD-3-Clause
#include "real.h"

#include <errno.h>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/refuse.h"
#include "frontends/preload/memfd.h"
#include "frontends/preload/node.h"
#include "frontends/preload/node_memfd.h"

/* Innermost: each change of a descriptor, and its use by who does not have the opening lock. */
static struct mutex ctl_lock = MUTEX_INIT;

bool node_fd_is(int fd, dev_t dev, ino_t ino)
{
	struct stat st;

	return fd >= 0 && real()->fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static bool is_there(const struct node_memfd *memfd)
{
	return node_fd_is(memfd->fd, memfd->dev, memfd->ino);
}

void node_memfd_drop(struct node_memfd *memfd)
{
	mutex_lock(&ctl_lock);
	if (is_there(memfd))
		real()->close(memfd->fd);
	memfd->fd = -1;
	mutex_unlock(&ctl_lock);
}

void node_memfd_after_fork(void) NO_TSA
{
	mutex_init(&ctl_lock);
}

static void set(struct node_memfd *memfd, int fd, const struct stat *st)
{
	mutex_lock(&ctl_lock);
	*memfd = (struct node_memfd){.fd = fd, .dev = st->st_dev, .ino = st->st_ino};
	mutex_unlock(&ctl_lock);
}

int node_memfd_start(struct node_memfd *memfd, unsigned int minor)
{
	struct stat st;
	int fd;

	if (is_there(memfd))
		return 0;
	fd = memfd_make(minor);
	if (fd < 0)
		return fd;
	fd = fd_move_up(fd);
	if (real()->fstat(fd, &st) < 0) {
		fd_close(&fd);
		return -EBADF;
	}
	set(memfd, fd, &st);
	return 0;
}

int node_memfd_adopt(struct node_memfd *memfd, int fd)
{
	char path[32];
	struct stat st;
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = fd_move_up(real()->open(path, O_RDWR | O_CLOEXEC));
	if (own < 0 || real()->fstat(own, &st) < 0) {
		fd_close(&own);
		return refuse(-EBADF, "%s cannot be opened", path);
	}
	node_memfd_drop(memfd);
	set(memfd, own, &st);
	return 0;
}

int node_memfd_lock_owner(const struct node_memfd *memfd, const struct preload_file *file,
			  short type)
{
	int rc = 0;

	mutex_lock(&ctl_lock);
	if (node_fd_is(memfd->fd, file->st_dev, file->st_ino))
		rc = memfd_lock_owner(memfd->fd, type);
	mutex_unlock(&ctl_lock);
	return rc;
}
