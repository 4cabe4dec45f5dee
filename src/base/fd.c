// SPDX-License-Identifier: BSD-3-Clause
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	HIGH_FROM = 700, /* the limit is 1024 by default */
	HIGH_FROM_LOW_LIMIT = 160,
};

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0) {
		/* Linux releases the number also when close() reports an error, so never twice. */
		(void)close(*fd);
		*fd = -1;
	}
	errno = saved;
}

/* A copy with a number that programs do not come near. Return: as fcntl(2) */
static int copy_up(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FROM);

	if (copy < 0 &&
	    (errno == EINVAL || errno == EMFILE)) /* beyond the limit, or all are taken */
		copy = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FROM_LOW_LIMIT);
	return copy;
}

int fd_dup(int fd)
{
	int copy = copy_up(fd);

	if (copy < 0 && (errno == EINVAL || errno == EMFILE))
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : copy;
}

int fd_move_up(int fd)
{
	int saved = errno, high = fd < 0 || fd >= HIGH_FROM ? -1 : copy_up(fd);

	if (high >= 0)
		(void)close(fd);
	errno = saved;
	return high < 0 ? fd : high;
}

void fd_lengthen_table(void)
{
	int saved = errno, high = -1;

	for (int fd = 0; high < 0 && fd <= STDERR_FILENO; fd++)
		high = copy_up(fd);
	if (high >= 0)
		(void)close(high);
	errno = saved;
}

int fd_empty(int fd)
{
	struct flock all = {.l_type = F_WRLCK};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return 0;
	if (fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type != F_UNLCK)
		return -EBUSY;
	return S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0 ? -errno : 0;
}

int fd_open_output(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, mode);
	int flags, err;

	if (fd < 0)
		return -errno;
	flags = fcntl(fd, F_GETFL);
	err = flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : fd_empty(fd);
	if (!err)
		return fd;
	fd_close(&fd);
	return err;
}

bool fd_has_reader(int fd)
{
	struct pollfd pfd = {.fd = fd};
	int saved = errno;
	bool has = poll(&pfd, 1, 0) <= 0 || !(pfd.revents & (POLLERR | POLLHUP));

	errno = saved;
	return has;
}

int fd_is_eventfd(int fd)
{
	static const char expected[] = "anon_inode:[eventfd]";
	char path[40], target[sizeof(expected) + 1];
	ssize_t len;

	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target));
	return len == (ssize_t)sizeof(expected) - 1 && memcmp(target, expected, (size_t)len) == 0;
}

bool fd_is_same_file(int a, int b)
{
	int saved = errno;
	pid_t self = getpid();
	bool same =
		syscall(SYS_kcmp, self, self, KCMP_FILE, (unsigned long)a, (unsigned long)b) == 0;

	errno = saved;
	return same;
}

bool fd_shares_table(pid_t a, pid_t b)
{
	int saved = errno;
	long order = syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0);

	errno = saved;
	return order <= 0;
}

bool fd_is_file(int fd, dev_t dev, ino_t ino)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

int fd_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (flags & O_NONBLOCK)
		return 0;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

void fd_signal(int fd, bool may_block)
{
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	uint64_t one = 1;
	int saved = errno;

	/* Not writable means that the counter is full: whoever reads it is woken already. */
	if (!may_block || (poll(&writable, 1, 0) == 1 && (writable.revents & POLLOUT))) {
		ssize_t n;

		do
			n = write(fd, &one, sizeof(one));
		while (n < 0 && errno == EINTR);
	}
	errno = saved;
}
