// SPDX-License-Identifier: BSD-3-Clause
#include "real.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/preload/memfd.h"
#include "frontends/preload/preload.h"

enum { LOCK_OPEN, LOCK_OWNER };

static ssize_t write_text(int fd, const char *text)
{
	size_t len = strlen(text);

	return len ? real()->pwrite(fd, text, len, 0) : 0;
}

int memfd_make(unsigned int minor)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "vhost-vdpa-%u", minor);
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (write_text(fd, preload_provide_text()) < 0 ||
	    real()->fcntl(fd, F_ADD_SEALS, MEMFD_SEALS) < 0) {
		int err = -errno;

		real()->close(fd);
		return err;
	}
	return fd;
}

int memfd_minor(const char *link)
{
	static const char prefix[] = "/memfd:vhost-vdpa-";
	char target[64] = "";
	const char *digits = target + sizeof(prefix) - 1;
	unsigned long minor;

	if (real()->readlink(link, target, sizeof(target) - 1) < 0 ||
	    strncmp(target, prefix, sizeof(prefix) - 1) != 0 || *digits < '0' || *digits > '9')
		return -1;
	minor = strtoul(digits, NULL, 10);
	return minor < PRELOAD_NR_NODES_MAX ? (int)minor : -1;
}

static struct flock lock_of(int which, short type)
{
	return (struct flock){.l_type = type,
			      .l_whence = SEEK_SET,
			      .l_start = MEMFD_LOCK_FIRST + which,
			      .l_len = 1};
}

bool memfd_is_held(int ctl_fd)
{
	struct flock lock = lock_of(LOCK_OPEN, F_WRLCK);

	return real()->fcntl(ctl_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int memfd_open(int ctl_fd, unsigned int minor, int flags)
{
	struct flock lock = lock_of(LOCK_OPEN, (flags & O_ACCMODE) == O_RDONLY ? F_RDLCK : F_WRLCK);
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", ctl_fd);
	fd = real()->open(path, flags & (O_ACCMODE | O_CLOEXEC | MEMFD_STATUS_FLAGS));
	if (fd < 0 && errno != EMFILE && errno != ENFILE && errno != ENOMEM) {
		/* no /proc: a memfd of its own, seen by this process alone */
		fd = memfd_make(minor);
		if (fd < 0)
			return fd;
		if (!(flags & O_CLOEXEC))
			(void)real()->fcntl(fd, F_SETFD, 0);
		(void)real()->fcntl(fd, F_SETFL, flags & MEMFD_STATUS_FLAGS);
	}
	if (fd < 0)
		return -errno;
	if (real()->fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		real()->close(fd);
		return -EBUSY;
	}
	return fd;
}

int memfd_lock_owner(int ctl_fd, short type)
{
	struct flock lock = lock_of(LOCK_OWNER, type);

	return real()->fcntl(ctl_fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}
