// SPDX-License-Identifier: BSD-3-Clause
/*
 * The lock of a disk's file (OFD), so that two disks never write to one file. Several disks may
 * read one. Other programs are kept off only if they ask for the lock, too.
 *
 * With `direct on` each of the two descriptors that write holds one half. A write that is at work
 * when its process goes keeps its own descriptor open, and so that half, until it has ended.
 *
 * So the lock outlives a process that is killed, by some milliseconds; and io_uring lets go of its
 * files in a thread of the kernel's. Therefore each process also has a lock of the kind that ends
 * with the process (POSIX), on a byte behind the others. A start that finds the file locked without
 * that mark waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/refuse.h"
#include "simblk_internal.h"

/* Of the file's bytes, no disk has this one: there is the mark of the processes that use it. */
#define MARK      INT64_MAX
#define HALF      (MARK / 2)
#define MARKED_NS (100 * NS_PER_MS) /* how long a start waits for a holder with a mark */
#define GOING_NS  (2 * NS_PER_SEC)  /* and for one without */
#define LOOK_NS   (2 * NS_PER_MS)

/* Does a process use the file? Then it goes on using it, most likely. */
static bool is_marked(int fd)
{
	struct flock mark = {.l_type = F_WRLCK, .l_start = MARK, .l_len = 1};

	return fcntl(fd, F_OFD_GETLK, &mark) == 0 && mark.l_type != F_UNLCK;
}

/* A holder that was killed is given the time to go. */
static int wait_for_lock(int fd, struct flock *lock)
{
	int64_t start = clock_now_ns();

	while (fcntl(fd, F_OFD_SETLK, lock) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		if (clock_now_ns() - start >= (is_marked(fd) ? MARKED_NS : GOING_NS))
			return -EBUSY;
		(void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
	}
	return 0;
}

int simblk_lock(const struct simblk *blk, enum simblk_fd idx, const char *path, bool direct)
{
	struct flock lock = {.l_type = blk->read_only ? F_RDLCK : F_WRLCK, .l_len = MARK};
	struct flock mark = {.l_type = F_RDLCK, .l_start = MARK, .l_len = 1};
	int err;

	if (idx == SIMBLK_DIRECT)
		lock.l_len = HALF;
	else if (direct)
		lock = (struct flock){.l_type = lock.l_type, .l_start = HALF, .l_len = MARK - HALF};
	err = wait_for_lock(blk->fds[idx], &lock);
	if (err == -EBUSY)
		return refuse(err, "file '%s': another disk uses it", path);
	if (err)
		return refuse(err, "file '%s': no lock: %s", path, strerror(-err));
	(void)fcntl(blk->fds[idx], F_SETLK, &mark);
	return 0;
}
