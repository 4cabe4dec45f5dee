// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bytes are counted as in a file: where offset or length are no multiples of a sector, the sectors
 * at the edges are read, changed and written back.
 */
#include "cli/blk_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/refuse.h"
#include "cli/cli.h"
#include "cli/own_device.h"

#define SECTOR BLK_SECTOR
#define CHUNK  ((size_t)1 << 20) /* bytes moved at once */

/* ---- bytes ---- */

static uint64_t disk_len(const struct virtio_blk *blk)
{
	return virtio_blk_info(blk)->nr_sectors * SECTOR;
}

/* The sectors that [off, off + len) touches; @len at most CHUNK. */
static uint64_t sectors_of(uint64_t off, size_t len, size_t *nr)
{
	uint64_t first = off / SECTOR;

	*nr = (size_t)((off + len - 1) / SECTOR - first + 1);
	return first;
}

/* Read whole sectors around @len bytes into @buf. Return: where they are, or NULL with @rc set */
static char *load(struct virtio_blk *blk, char *buf, uint64_t off, size_t len, int *rc)
{
	size_t nr;
	uint64_t first = sectors_of(off, len, &nr);

	*rc = virtio_blk_read(blk, first, buf, nr);
	return *rc ? NULL : buf + (off - first * SECTOR);
}

/* Write @len bytes of @src; @buf has room for the sectors around them. */
static int store(struct virtio_blk *blk, char *buf, uint64_t off, const char *src, size_t len)
{
	size_t nr, head;
	uint64_t first = sectors_of(off, len, &nr);
	int rc = 0;

	head = (size_t)(off - first * SECTOR);
	if (head)
		rc = virtio_blk_read(blk, first, buf, 1);
	if (!rc && (off + len) % SECTOR && (nr > 1 || !head))
		rc = virtio_blk_read(blk, first + nr - 1, buf + (nr - 1) * SECTOR, 1);
	if (rc)
		return rc;
	memcpy(buf + head, src, len);
	return virtio_blk_write(blk, first, buf, nr);
}

/* ---- files ---- */

static int file_failed(const char *who, const char *what, const struct blk_options *o,
		       const char *std)
{
	fprintf(stderr, "%s: cannot %s %s: %s\n", who, what, o->file ? o->file : std,
		strerror(errno));
	return CLI_EXIT_FAILED;
}

static int put_all(int fd, const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Fill @buf; less only at the end of the input. Return: bytes or -1 */
static ssize_t get_all(int fd, char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* ---- read ---- */

static int check_on_disk(const char *who, const struct virtio_blk *blk, uint64_t off, uint64_t len)
{
	uint64_t all = disk_len(blk);

	if (off <= all && len <= all - off)
		return 0;
	fprintf(stderr, "%s: %llu bytes from offset %llu: the disk has %llu bytes\n", who,
		(unsigned long long)len, (unsigned long long)off, (unsigned long long)all);
	return CLI_EXIT_FAILED;
}

static int copy_out(const char *who, struct virtio_blk *blk, const struct blk_options *o, int fd,
		    uint64_t len)
{
	char *buf = malloc(CHUNK + 2 * SECTOR), *data;
	uint64_t off = o->offset;
	int rc = 0;

	if (!buf)
		return own_device_failed(who, refuse(-ENOMEM, "no memory"));
	while (!rc && len > 0) {
		size_t part = len < CHUNK ? (size_t)len : CHUNK;

		data = load(blk, buf, off, part, &rc);
		if (!data)
			rc = own_device_failed(who, rc);
		else if (put_all(fd, data, part))
			rc = file_failed(who, "write", o, "standard output");
		off += part;
		len -= part;
	}
	free(buf);
	return rc;
}

/* Return: 0, or -1 with errno */
static int open_output(const struct blk_options *o, int *fd)
{
	int err;

	*fd = open(o->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (*fd < 0)
		return -1;
	err = fd_empty(*fd);
	if (!err)
		return 0;
	fd_close(fd);
	errno = -err;
	return -1;
}

int blk_read(const char *who, struct virtio_blk *blk, const struct blk_options *o)
{
	uint64_t all = disk_len(blk), len = o->length;
	int fd = STDOUT_FILENO, rc;

	if (!o->has_length)
		len = o->offset < all ? all - o->offset : 0;
	rc = check_on_disk(who, blk, o->offset, len);
	if (rc)
		return rc;
	if (!o->file && isatty(fd)) {
		fprintf(stderr, "%s: standard output is a terminal: use a pipe, or --file FILE\n",
			who);
		return CLI_EXIT_USAGE;
	}
	if (o->file && open_output(o, &fd)) /* without O_TRUNC: it may be the disk itself */
		return file_failed(who, "open", o, "");
	rc = copy_out(who, blk, o, fd, len);
	if (o->file && close(fd) && !rc)
		rc = file_failed(who, "write", o, "");
	return rc;
}

/* ---- write ---- */

/* How much there is to write, as far as that is known before. Return: false if it is not */
static bool known_length(const struct blk_options *o, int fd, uint64_t *len)
{
	struct stat st;
	off_t at;

	*len = o->length;
	if (o->has_length)
		return true;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return false;
	at = lseek(fd, 0, SEEK_CUR);
	*len = at >= 0 && at < st.st_size ? (uint64_t)(st.st_size - at) : 0;
	return true;
}

static int ended_early(const char *who, uint64_t done, uint64_t wanted)
{
	fprintf(stderr, "%s: the input ended after %llu bytes of %llu, which were written\n", who,
		(unsigned long long)done, (unsigned long long)wanted);
	return CLI_EXIT_FAILED;
}

static int disk_ended(const char *who, uint64_t done)
{
	fprintf(stderr, "%s: the disk ended after %llu bytes, which were written; more came\n", who,
		(unsigned long long)done);
	return CLI_EXIT_FAILED;
}

/* Copy until the input ends, or @left bytes are done. */
static int copy_in(const char *who, struct virtio_blk *blk, const struct blk_options *o, int fd,
		   char *buf)
{
	uint64_t off = o->offset, end = o->has_length ? off + o->length : disk_len(blk);
	char *sectors = buf + CHUNK;
	char one_more;
	int rc;

	while (off < end) {
		size_t want = end - off < CHUNK ? (size_t)(end - off) : CHUNK;
		ssize_t got = get_all(fd, buf, want);

		if (got < 0)
			return file_failed(who, "read", o, "standard input");
		if (got == 0)
			break;
		rc = store(blk, sectors, off, buf, (size_t)got);
		if (rc)
			return own_device_failed(who, rc);
		off += (uint64_t)got;
	}
	if (o->has_length)
		return off < end ? ended_early(who, off - o->offset, o->length) : 0;
	return off == end && get_all(fd, &one_more, 1) > 0 ? disk_ended(who, off - o->offset) : 0;
}

int blk_write(const char *who, struct virtio_blk *blk, const struct blk_options *o)
{
	int fd = STDIN_FILENO, rc, err;
	uint64_t len;
	char *buf;

	if (o->file) {
		fd = open(o->file, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return file_failed(who, "open", o, "");
	}
	rc = check_on_disk(who, blk, o->offset, known_length(o, fd, &len) ? len : 0);
	buf = malloc(2 * CHUNK + 2 * SECTOR);
	if (!rc && !buf)
		rc = own_device_failed(who, refuse(-ENOMEM, "no memory"));
	if (!rc)
		rc = copy_in(who, blk, o, fd, buf);
	/* What was written is to be safe, whatever came after it. */
	err = virtio_blk_flush(blk);
	if (err && !rc)
		rc = own_device_failed(who, err);
	free(buf);
	if (o->file)
		fd_close(&fd);
	return rc;
}

/* ---- discard, zero ---- */

static int range_of(const char *who, const struct virtio_blk *blk, const struct blk_options *o,
		    uint64_t *sector, uint64_t *nr)
{
	uint64_t all = disk_len(blk), len = o->length;
	int rc;

	if (!o->has_length)
		len = o->offset < all ? all - o->offset : 0;
	rc = check_on_disk(who, blk, o->offset, len);
	if (rc)
		return rc;
	if (o->offset % SECTOR || len % SECTOR) {
		fprintf(stderr, "%s: offset %llu and length %llu: both are multiples of %u\n", who,
			(unsigned long long)o->offset, (unsigned long long)len, SECTOR);
		return CLI_EXIT_USAGE;
	}
	*sector = o->offset / SECTOR;
	*nr = len / SECTOR;
	return 0;
}

int blk_discard(const char *who, struct virtio_blk *blk, const struct blk_options *o)
{
	uint64_t sector, nr;
	int rc = range_of(who, blk, o, &sector, &nr), err;

	if (rc)
		return rc;
	err = virtio_blk_discard(blk, sector, nr);
	if (!err)
		err = virtio_blk_flush(blk);
	return err ? own_device_failed(who, err) : 0;
}

int blk_zero(const char *who, struct virtio_blk *blk, const struct blk_options *o)
{
	uint64_t sector, nr;
	int rc = range_of(who, blk, o, &sector, &nr), err;

	if (rc)
		return rc;
	err = virtio_blk_write_zeroes(blk, sector, nr, true);
	if (!err)
		err = virtio_blk_flush(blk);
	return err ? own_device_failed(who, err) : 0;
}
