// SPDX-License-Identifier: BSD-3-Clause
/*
 * Locks that a client takes on a device's file. The library has locks of its own on what stands for
 * the device (memfd.h), beyond all that a client locks. A client's lock without end so ends before
 * them, and is shown to the client as it was asked for.
 */
#include "real.h"

#include <errno.h>

#include "frontends/preload/aside.h"
#include "frontends/preload/memfd.h"
#include "frontends/preload/node.h"
#include "frontends/preload/wrap_lock.h"
#include "memory/memory.h"

/* A client's lock, in its memory and copied. */
struct locking {
	int fd;
	struct flock *client;
	struct flock lock;
	int rc; /* 0, or -errno: no device, or the client's memory cannot be accessed */
};

static void fetch_lock(void *arg)
{
	struct locking *l = arg;

	l->rc = aside_is_device(l->fd)
			? memory_copy_from(node_client()->space, &l->lock,
					   (uaddr_t)(uintptr_t)l->client, sizeof(l->lock))
			: -ENODEV;
}

static void return_lock(void *arg)
{
	struct locking *l = arg;

	l->rc = memory_copy_to(node_client()->space, (uaddr_t)(uintptr_t)l->client, &l->lock,
			       sizeof(l->lock));
}

/* A device has no bytes, so all places count from 0. */
static void fit(struct flock *lock)
{
	off_t room = lock->l_start < 0 ? 0 : MEMFD_LOCK_FIRST - lock->l_start;

	lock->l_whence = SEEK_SET;
	if (room > 0 && (lock->l_len == 0 || lock->l_len > room))
		lock->l_len = room;
}

/* What F_GETLK has found: of a free place the kernel changes the type alone. */
static void unfit(struct flock *found, const struct flock *asked)
{
	if (found->l_type == F_UNLCK) {
		*found = *asked;
		found->l_type = F_UNLCK;
	} else if (found->l_start >= 0 && found->l_len == MEMFD_LOCK_FIRST - found->l_start) {
		found->l_len = 0;
	}
}

bool lock_device(int (*call)(int fd, int cmd, ...), int fd, int cmd, void *arg, int *rc)
{
	struct locking l = {.fd = fd, .client = arg};
	struct flock asked;
	int saved = errno;

	aside_run(fetch_lock, &l, sizeof(l));
	errno = saved;
	if (l.rc || l.lock.l_whence > SEEK_END || l.lock.l_whence < 0)
		return false;
	asked = l.lock;
	fit(&l.lock);
	*rc = call(fd, cmd, &l.lock);
	if (*rc < 0 || (cmd != F_GETLK && cmd != F_OFD_GETLK))
		return true;
	unfit(&l.lock, &asked);
	aside_run(return_lock, &l, sizeof(l));
	errno = l.rc ? -l.rc : saved;
	*rc = l.rc ? -1 : 0;
	return true;
}

/* ---- lockf: libc makes it of an fcntl(2) inside itself ---- */

static int test_lock(int fd, struct flock *lock)
{
	lock->l_type = F_RDLCK;
	if (fcntl(fd, F_GETLK, lock) < 0)
		return -1;
	if (lock->l_type == F_UNLCK || lock->l_pid == getpid())
		return 0;
	errno = EACCES;
	return -1;
}

HF_EXPORT int lockf(int fd, int cmd, off_t len)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_len = len};

	if (!aside_is_device(fd))
		return real()->lockf(fd, cmd, len);
	switch (cmd) {
	case F_TEST:
		return test_lock(fd, &lock);
	case F_ULOCK:
		lock.l_type = F_UNLCK;
		return fcntl(fd, F_SETLK, &lock);
	case F_LOCK:
		return fcntl(fd, F_SETLKW, &lock);
	case F_TLOCK:
		return fcntl(fd, F_SETLK, &lock);
	}
	errno = EINVAL;
	return -1;
}
HF_ALIAS(lockf64, lockf);
