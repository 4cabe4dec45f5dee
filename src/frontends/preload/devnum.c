// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the nodes look like from outside. Clients find out that a path is a vhost-vdpa device by its
 * number: stat(2) gives a major number, /proc/devices a name for it. Both are answered from one
 * choice: the number under which the running kernel knows vhost-vdpa, or else the highest free one
 * of the range from which the kernel hands out numbers.
 */
#include "real.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "frontends/preload/node.h"

#define PROC_DEVICES_MAX 16384u
#define BLOCK_HEADING    "\nBlock devices:"
#define DYN_MAJOR_LAST   254u
#define DYN_MAJOR_FIRST  234u
#define EXT_MAJOR_LAST   511u
#define EXT_MAJOR_FIRST  384u
#define NODE_INO_BASE    0x76647061u /* inode numbers of our own in /dev */

struct listing {
	char text[PROC_DEVICES_MAX];
	size_t len;
	bool used[EXT_MAJOR_LAST + 1]; /* character majors */
	unsigned int vhost_vdpa;       /* number it has already, 0 for none */
};

/* Reads as much of /proc/devices as there is; without /proc nothing is listed. */
static void read_listing(struct listing *l)
{
	int fd = real()->open("/proc/devices", O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	l->len = 0;
	while (fd >= 0 && l->len < sizeof(l->text) - 1 &&
	       (n = real()->read(fd, l->text + l->len, sizeof(l->text) - 1 - l->len)) > 0)
		l->len += (size_t)n;
	l->text[l->len] = '\0';
	if (fd >= 0)
		real()->close(fd);
}

static void parse_listing(struct listing *l)
{
	const char *end = strstr(l->text, BLOCK_HEADING);
	const char *line = l->text;

	memset(l->used, 0, sizeof(l->used));
	l->vhost_vdpa = 0;
	while (line && *line && (!end || line < end)) {
		char name[32] = "";
		unsigned int major;

		if (sscanf(line, "%u %31s", &major, name) == 2 && major <= EXT_MAJOR_LAST) {
			l->used[major] = true;
			if (strcmp(name, "vhost-vdpa") == 0)
				l->vhost_vdpa = major;
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
}

static unsigned int highest_free(const struct listing *l, unsigned int last, unsigned int first)
{
	for (unsigned int n = last; n >= first; n--)
		if (!l->used[n])
			return n;
	return 0;
}

static unsigned int choose_major(const struct listing *l)
{
	unsigned int n = l->vhost_vdpa;

	if (!n)
		n = highest_free(l, DYN_MAJOR_LAST, DYN_MAJOR_FIRST);
	return n ? n : highest_free(l, EXT_MAJOR_LAST, EXT_MAJOR_FIRST);
}

/* The choice is made once: the number must not change under a client that has looked. */
static unsigned int settle_major(const struct listing *l)
{
	static unsigned int settled; /* atomic */
	unsigned int none = 0;
	unsigned int choice = l ? choose_major(l) : 0;

	if (l)
		__atomic_compare_exchange_n(&settled, &none, choice, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	return __atomic_load_n(&settled, __ATOMIC_RELAXED);
}

static unsigned int node_major(void)
{
	unsigned int major = settle_major(NULL);
	struct listing l;

	if (major)
		return major;
	read_listing(&l);
	parse_listing(&l);
	return settle_major(&l);
}

ino_t node_ino(unsigned int minor)
{
	return NODE_INO_BASE + minor;
}

void node_stat(unsigned int minor, struct stat *st)
{
	struct stat dev;

	memset(st, 0, sizeof(*st));
	if (real()->stat("/dev", &dev) == 0) {
		st->st_dev = dev.st_dev;
		st->st_atim = st->st_mtim = st->st_ctim = dev.st_ctim;
	}
	st->st_ino = node_ino(minor);
	st->st_mode = S_IFCHR | 0600;
	st->st_nlink = 1;
	st->st_uid = geteuid();
	st->st_gid = getegid();
	st->st_rdev = makedev(node_major(), minor);
	st->st_blksize = 4096;
}

static int write_all(int fd, const char *text, size_t len)
{
	ssize_t n;

	for (size_t done = 0; done < len; done += (size_t)n) {
		n = real()->write(fd, text + done, len - done);
		if (n < 0)
			return -errno;
	}
	return 0;
}

/* The line goes behind the last character device. */
static int write_listing(int fd, const struct listing *l, unsigned int major)
{
	const char *heading = strstr(l->text, BLOCK_HEADING);
	size_t head = heading ? (size_t)(heading - l->text) : l->len;
	char line[32];
	int len = snprintf(line, sizeof(line), "%3u vhost-vdpa\n", major);
	int rc;

	if (l->vhost_vdpa)
		return write_all(fd, l->text, l->len);
	rc = write_all(fd, l->text, head);
	if (!rc)
		rc = write_all(fd, line, (size_t)len);
	return rc ? rc : write_all(fd, l->text + head, l->len - head);
}

int node_proc_devices(bool cloexec)
{
	struct listing l;
	int fd;
	int rc;

	read_listing(&l);
	parse_listing(&l);
	fd = memfd_create("devices", cloexec ? MFD_CLOEXEC : 0);
	if (fd < 0)
		return -errno;
	rc = write_listing(fd, &l, settle_major(&l));
	if (rc || lseek(fd, 0, SEEK_SET) < 0) {
		real()->close(fd);
		return rc ? rc : -EIO;
	}
	return fd;
}
