// SPDX-License-Identifier: BSD-3-Clause
/*
 * The backend that is a file or a block device of the host. Data goes straight between the file
 * and the client's memory, through the host's page cache. The file is locked (simblk_lock.c).
 *
 * What lies in memory is read by a mapping where that is possible (simblk_map.c).
 *
 * A descriptor of its own reads ahead (simblk_cold.c, rule 3), and is asked for errors that another
 * one was told of (simblk_flush.c).
 *
 * With `direct on` data goes past the page cache, on a second descriptor. The kernel says how such
 * transfers must be aligned. The disk's logical block is as large, so a driver's requests are. What
 * is not aligned all the same goes through the page cache; the kernel keeps the two ways coherent.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/refuse.h"
#include "simblk_internal.h"

#define ZEROS_LEN 65536u /* bytes written at once */
#define ZEROS_IOV 64u
#define SINK_LEN  16384u /* bytes, of the worker's stack */
#define SINK_IOV  16u

static int parse_path(const char *args, const char **path)
{
	static const char key[] = "path=";

	if (strncmp(args, key, strlen(key)) != 0 || strchr(args, ',') || !args[strlen(key)])
		return refuse(-EINVAL, "backend file takes path=PATH and nothing else, got '%s'",
			      args);
	*path = args + strlen(key);
	return 0;
}

static int set_len(struct simblk *blk, const char *path, const struct vdpa_dev_config *config)
{
	bool given = config->given & VDPA_KEY_CAPACITY;
	struct stat st;
	off_t len;

	if (fstat(blk->fds[SIMBLK_CACHED], &st) < 0)
		return refuse(-errno, "file '%s': %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return refuse(-EINVAL, "file '%s' is neither a file nor a block device", path);
	len = lseek(blk->fds[SIMBLK_CACHED], 0, SEEK_END);
	if (len < SIMBLK_SECTOR)
		return refuse(-EINVAL, "file '%s' is empty (give it a size: truncate -s 1G)", path);
	if (given && (uint64_t)len < config->capacity)
		return refuse(-EINVAL, "file '%s' has %lld bytes, capacity %llu was asked", path,
			      (long long)len, (unsigned long long)config->capacity);
	blk->len = given ? config->capacity : (uint64_t)len / SIMBLK_SECTOR * SIMBLK_SECTOR;
	return 0;
}

/* O_NONBLOCK: what is not a file must not make us wait; on a file it means nothing */
static int open_path(const struct simblk *blk, const char *path, int flags)
{
	return fd_move_up(open(path, (blk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY |
					     O_NONBLOCK | flags));
}

/* io_uring gives up on a file with O_NONBLOCK where it would have to wait. */
static int allow_waiting(int fd, const char *path)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return refuse(-errno, "file '%s': %s", path, strerror(errno));
	return 0;
}

/* The alignment by which the kernel takes direct transfers, or a block of the file system. */
static int ask_alignment(struct simblk *blk, int fd, const char *path)
{
	struct stat st;
	int sector = 0;

#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align > 0) {
		blk->mem_align = stx.stx_dio_mem_align;
		blk->off_align = stx.stx_dio_offset_align;
		return 0;
	}
#endif
	if (fstat(fd, &st) < 0)
		return refuse(-errno, "file '%s': %s", path, strerror(errno));
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKSSZGET, &sector) == 0 && sector > 0)
		blk->mem_align = blk->off_align = (uint32_t)sector;
	else
		blk->mem_align = blk->off_align = (uint32_t)st.st_blksize;
	return 0;
}

/* The same file, for @what. */
static int open_again(struct simblk *blk, const char *path, enum simblk_fd idx, int flags,
		      const char *what)
{
	int *fd = &blk->fds[idx];
	struct stat st;

	if (fstat(blk->fds[SIMBLK_CACHED], &st) < 0)
		return refuse(-errno, "file '%s': %s", path, strerror(errno));
	*fd = open_path(blk, path, flags);
	if (*fd < 0)
		return refuse(-errno, "file '%s': %s: %s%s", path, what, strerror(errno),
			      errno == EINVAL ? " (its file system has no direct access)" : "");
	/* the name may lead to another file by now */
	if (!fd_is_file(*fd, st.st_dev, st.st_ino))
		return refuse(-EBUSY, "file '%s' was replaced meanwhile", path);
	return allow_waiting(*fd, path);
}

static int open_direct(struct simblk *blk, const char *path)
{
	int *fd = &blk->fds[SIMBLK_DIRECT];
	int err = open_again(blk, path, SIMBLK_DIRECT, O_DIRECT, "direct on");

	if (!err)
		err = ask_alignment(blk, *fd, path);
	if (!err && (blk->off_align % SIMBLK_SECTOR || blk->off_align > 65536))
		err = refuse(-EINVAL, "file '%s': direct on: blocks of %u bytes", path,
			     blk->off_align);
	return err ? err : simblk_lock(blk, SIMBLK_DIRECT, path, true);
}

/* What lies in memory makes nobody wait. */
static void look_at_file_system(struct simblk *blk)
{
	struct statfs fs;

	if (fstatfs(blk->fds[SIMBLK_CACHED], &fs) < 0)
		return;
	blk->quick =
		(unsigned long)fs.f_type == TMPFS_MAGIC || (unsigned long)fs.f_type == RAMFS_MAGIC;
	if ((unsigned long)fs.f_type == TMPFS_MAGIC)
		simblk_map_open(blk);
}

static int file_open(struct simblk *blk, const char *args, const struct vdpa_dev_config *config)
{
	const char *path = NULL;
	int err = parse_path(args, &path);

	if (err)
		return err;
	blk->fds[SIMBLK_CACHED] = open_path(blk, path, 0);
	if (blk->fds[SIMBLK_CACHED] < 0)
		return refuse(-errno, "file '%s': %s%s", path, strerror(errno),
			      (errno == EACCES || errno == EROFS) && !blk->read_only
				      ? " (read_only on?)"
				      : "");
	err = set_len(blk, path, config);
	if (!err)
		err = simblk_lock(blk, SIMBLK_CACHED, path, config->direct);
	if (!err)
		err = allow_waiting(blk->fds[SIMBLK_CACHED], path);
	if (!err)
		(void)posix_fadvise(blk->fds[SIMBLK_CACHED], 0, 0, POSIX_FADV_RANDOM);
	if (!err)
		err = open_again(blk, path, SIMBLK_AHEAD_FD, 0, "a second time");
	if (!err && config->direct)
		err = open_direct(blk, path);
	blk->quick = false;
	if (!err)
		look_at_file_system(blk);
	return err;
}

static void file_close(struct simblk *blk)
{
	simblk_map_close(blk);
	for (size_t i = 0; i < SIMBLK_NR_FDS; i++)
		fd_close(&blk->fds[i]);
}

static unsigned int file_fd_index(const struct simblk *blk, uint64_t off, uint64_t len)
{
	return blk->fds[SIMBLK_DIRECT] < 0 || blk->mem_align > SIMBLK_ALIGN ||
			       (off | len) % blk->off_align
		       ? SIMBLK_CACHED
		       : SIMBLK_DIRECT;
}

/* The same for memory of any kind. */
static unsigned int fd_index_of(const struct simblk *blk, uint64_t off, const struct iovec *iov,
				unsigned int n)
{
	uint64_t len = 0;

	if (blk->fds[SIMBLK_DIRECT] < 0)
		return SIMBLK_CACHED;
	for (unsigned int i = 0; i < n; i++) {
		if (((uintptr_t)iov[i].iov_base | iov[i].iov_len) % blk->mem_align)
			return SIMBLK_CACHED;
		len += iov[i].iov_len;
	}
	return file_fd_index(blk, off, len);
}

/* All of it; a file that has become too short is an error. */
static int transfer(struct simblk *blk, uint64_t off, struct iovec *iov, unsigned int n,
		    ssize_t (*fn)(int fd, const struct iovec *iov, int n, off_t off))
{
	while (n > 0) {
		/* what is left of a direct transfer that came short may not be aligned any more */
		int fd = blk->fds[fd_index_of(blk, off, iov, n)];
		ssize_t done = fn(fd, iov, (int)n, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (done == 0)
			return -EIO;
		off += (uint64_t)done;
		for (; n > 0 && (size_t)done >= iov->iov_len; iov++, n--)
			done -= (ssize_t)iov->iov_len;
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

static int file_read(struct simblk *blk, uint64_t off, struct iovec *iov, unsigned int n)
{
	return simblk_map_read(blk, off, iov, n) ? 0 : transfer(blk, off, iov, n, preadv);
}

static int file_read_now(struct simblk *blk, uint64_t off, struct iovec *iov, unsigned int n)
{
	ssize_t done, len = 0;

	for (unsigned int i = 0; i < n; i++)
		len += (ssize_t)iov[i].iov_len;
	done = preadv2(blk->fds[SIMBLK_CACHED], iov, (int)n, (off_t)off, RWF_NOWAIT);
	if (done == len)
		return 0;
	if (done >= 0 || errno == EAGAIN)
		return -EAGAIN;
	/* what it does not know, and errors */
	return file_read(blk, off, iov, n);
}

/* Reading is the one way to wait until the bytes are there. */
static void file_fetch(struct simblk *blk, uint64_t off, uint64_t len)
{
	char sink[SINK_LEN];
	struct iovec iov[SINK_IOV];

	for (unsigned int i = 0; i < SINK_IOV; i++)
		iov[i] = (struct iovec){sink, sizeof(sink)};
	while (len > 0) {
		uint64_t part = len < SINK_IOV * SINK_LEN ? len : SINK_IOV * SINK_LEN;
		unsigned int n = (unsigned int)((part + SINK_LEN - 1) / SINK_LEN);
		ssize_t done = preadv(blk->fds[SIMBLK_AHEAD_FD], iov, (int)n, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return; /* the read itself finds out why */
		off += (uint64_t)done;
		len -= (uint64_t)done < len ? (uint64_t)done : len;
	}
}

static void file_expect(struct simblk *blk, uint64_t off, uint64_t len)
{
	(void)posix_fadvise(blk->fds[SIMBLK_CACHED], (off_t)off, (off_t)len, POSIX_FADV_WILLNEED);
}

static int file_write(struct simblk *blk, uint64_t off, struct iovec *iov, unsigned int n)
{
	return transfer(blk, off, iov, n, pwritev);
}

static int file_flush(struct simblk *blk)
{
	return fdatasync(blk->fds[SIMBLK_CACHED]) < 0 ? -errno : 0;
}

/* Behind the end of any file there is no page to wait for, and what is left of the call is the
 * question. */
static int file_has_failed(struct simblk *blk)
{
	if (sync_file_range(blk->fds[SIMBLK_AHEAD_FD], INT64_MAX - 1, 1,
			    SYNC_FILE_RANGE_WAIT_BEFORE) == 0)
		return 0;
	return errno == EIO || errno == ENOSPC || errno == EDQUOT ? -errno : 0;
}

static int allocate(struct simblk *blk, int mode, uint64_t off, uint64_t len)
{
	int ret;

	if (mode & FALLOC_FL_PUNCH_HOLE)
		simblk_map_punch(blk, off, len);
	do {
		ret = fallocate(blk->fds[SIMBLK_CACHED], mode | FALLOC_FL_KEEP_SIZE, (off_t)off,
				(off_t)len);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

/* A hint: where there are no holes, nothing happens. */
static int file_discard(struct simblk *blk, uint64_t off, uint64_t len)
{
	int err = allocate(blk, FALLOC_FL_PUNCH_HOLE, off, len);

	return err == -EOPNOTSUPP || err == -ENOSYS ? 0 : err;
}

static int write_zeros(struct simblk *blk, uint64_t off, uint64_t len)
{
	static char zeros[ZEROS_LEN]; /* never written to */
	struct iovec iov[ZEROS_IOV];
	int err = 0;

	while (!err && len > 0) {
		uint64_t before = off;
		unsigned int n = 0;

		for (; n < ZEROS_IOV && len > 0; n++) {
			iov[n] = (struct iovec){zeros, len < ZEROS_LEN ? len : ZEROS_LEN};
			len -= iov[n].iov_len;
			off += iov[n].iov_len;
		}
		err = transfer(blk, before, iov, n, pwritev);
	}
	return err;
}

static int file_zero(struct simblk *blk, uint64_t off, uint64_t len, bool unmap)
{
	if (unmap && allocate(blk, FALLOC_FL_PUNCH_HOLE, off, len) == 0)
		return 0;
	if (allocate(blk, FALLOC_FL_ZERO_RANGE, off, len) == 0)
		return 0;
	return write_zeros(blk, off, len);
}

const struct simblk_backend_ops simblk_file = {
	.name = "file",
	.blocks = true,
	.outside = true,
	.open = file_open,
	.close = file_close,
	.read = file_read,
	.read_now = file_read_now,
	.fetch = file_fetch,
	.expect = file_expect,
	.write = file_write,
	.flush = file_flush,
	.has_failed = file_has_failed,
	.discard = file_discard,
	.zero = file_zero,
	.fd_index = file_fd_index,
};
