// SPDX-License-Identifier: BSD-3-Clause
/*
 * The map of the own process. From 6.11 on the kernel answers a question about one address
 * (PROCMAP_QUERY), which costs about a microsecond whatever the number of mappings; before, the
 * text of /proc/thread-self/maps is read and scanned, up to the range that is asked about.
 * thread-self, because /proc/self is empty once the process's first thread has exited.
 *
 * Nothing is allocated: most questions are asked under the table's lock (interval.h).
 *
 * Limit: both show a shared mapping of a file that was opened read-only as shared, where the
 * kernel's own vDPA would not see it as such. A device can only read it anyway.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/refuse.h"
#include "memory/hooks.h"
#include "memory/internal.h"

/* linux/fs.h of 6.11; older headers lack it. */
struct query {
	uint64_t size; /* bytes of this struct */
	uint64_t query_flags;
	uint64_t query_addr;
	uint64_t vma_start, vma_end; /* [out] end exclusive */
	uint64_t vma_flags;
	uint64_t vma_page_size, vma_offset, inode;
	uint32_t dev_major, dev_minor;
	uint32_t vma_name_size, build_id_size; /* 0: not asked for */
	uint64_t vma_name_addr, build_id_addr;
};
#define QUERY _IOWR('f', 17, struct query)
enum {
	QUERY_READABLE = 0x1,
	QUERY_WRITABLE = 0x2,
	QUERY_SHARED = 0x8,
	QUERY_COVERING_OR_NEXT = 0x10,
};

#ifdef HOLDFAST_TESTS
struct memory_hooks memory_hooks;
#endif

/* ---- by question ---- */

static int query_find(int fd, uaddr_t addr, struct memory_piece *out)
{
	struct query query = {
		.size = sizeof(query),
		.query_flags = QUERY_COVERING_OR_NEXT,
		.query_addr = addr,
	};

	if (ioctl(fd, QUERY, &query) < 0)
		return errno == ENOENT ? 0 : -errno;
	*out = (struct memory_piece){
		.first = query.vma_start,
		.last = query.vma_end - 1,
		.source = {.dev = (uint64_t)query.dev_major << 32 | query.dev_minor,
			   .ino = query.inode,
			   .off = query.vma_offset,
			   .mapped = true,
			   .shared_file = (query.vma_flags & QUERY_SHARED) && query.inode != 0,
			   .readable = query.vma_flags & QUERY_READABLE,
			   .writable = query.vma_flags & QUERY_WRITABLE},
	};
	return 1;
}

/*
 * One descriptor for all questions: opening it costs more than asking. It answers for the address
 * space that it was opened in, so a forked child must not use it; and the client may have closed it
 * and opened something else under its number. A child of vfork(2), and any other that was not made
 * by fork(3), reads the text instead: what it noted here might be noted in its parent's memory, and
 * its descriptors are not its parent's.
 */
static struct mutex kept_lock = MUTEX_INIT;
static struct {
	int fd;
	dev_t dev;
	ino_t ino;
	pid_t pid;  /* of the process; 0: not opened yet */
	bool never; /* the kernel cannot be asked */
} kept GUARDED_BY(kept_lock) = {.fd = -1};

static int open_maps(void)
{
	int fd = open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC);

	return fd >= 0 ? fd
		       : refuse(-errno, "cannot open /proc/thread-self/maps: %s", strerror(errno));
}

/* Let the kept one be of this process. Return: 0; -ENOTTY; another -errno and a reason */
static int kept_renew(void) REQUIRES(kept_lock)
{
	struct memory_piece piece;
	struct stat st;
	int fd = open_maps(), err;

	if (fd < 0)
		return fd;
	if (fd_is_file(kept.fd, kept.dev, kept.ino)) /* that of the parent of a fork */
		fd_close(&kept.fd);
	fd = fd_move_up(fd);
	err = query_find(fd, 0, &piece);
	kept.never = err == -ENOTTY;
	if (err < 0 || fstat(fd, &st) < 0) {
		fd_close(&fd);
		return -ENOTTY;
	}
	kept.fd = fd;
	kept.dev = st.st_dev;
	kept.ino = st.st_ino;
	kept.pid = getpid();
	return 0;
}

/* Return: a descriptor that answers questions, not the caller's to close; or as kept_renew() */
static int query_open(void)
{
	int ret = 0;

	mutex_lock(&kept_lock);
	if (kept.never || (kept.pid && kept.pid != getpid()))
		ret = -ENOTTY;
	else if (!kept.pid || !fd_is_file(kept.fd, kept.dev, kept.ino))
		ret = kept_renew();
	if (!ret)
		ret = kept.fd;
	mutex_unlock(&kept_lock);
	return ret;
}

static void forked(void) NO_TSA
{
	mutex_init(&kept_lock);
	kept.pid = 0;
}

static void __attribute__((constructor)) watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

/* ---- by text ---- */

#define LINE_LEN 256 /* of a line, what is before the name is shorter */

/* Behind "first-end" in a line: " rwxs offset major:minor inode  name" */
static bool scan_rest(const char *line, struct memory_source *out)
{
	uint64_t dev_major, dev_minor;
	char perm[5] = "";

	if (sscanf(line, " %4s %" SCNx64 " %" SCNx64 ":%" SCNx64 " %" SCNu64, perm, &out->off,
		   &dev_major, &dev_minor, &out->ino) != 5)
		return false;
	out->dev = dev_major << 32 | dev_minor;
	out->mapped = true;
	out->shared_file = perm[3] == 's' && out->ino != 0;
	out->readable = perm[0] == 'r';
	out->writable = perm[1] == 'w';
	return true;
}

/* Let the next line be in the buffer, as far as it is of interest. Return: 1; 0 there is none;
 * -errno */
static int text_fill(struct memory_maps *maps)
{
	size_t left = maps->len - maps->pos;
	ssize_t n = 1;

	if (left >= LINE_LEN)
		return 1;
	memmove(maps->text, maps->text + maps->pos, left);
	while (left < LINE_LEN && n != 0) {
		n = read(maps->fd, maps->text + left, sizeof(maps->text) - 1 - left);
		if (n < 0 && errno != EINTR)
			return refuse(-errno, "cannot read the process's map: %s", strerror(errno));
		left += n > 0 ? (size_t)n : 0;
	}
	maps->pos = 0;
	maps->len = left;
	maps->text[left] = '\0';
	return left > 0;
}

static int text_skip_line(struct memory_maps *maps)
{
	char *end = NULL;
	int n = 1;

	while (n > 0 && !end) {
		end = memchr(maps->text + maps->pos, '\n', maps->len - maps->pos);
		maps->pos = end ? (size_t)(end + 1 - maps->text) : maps->len;
		if (!end)
			n = text_fill(maps);
	}
	return n;
}

static int text_find(struct memory_maps *maps, uaddr_t addr, struct memory_piece *out)
{
	int n;

	while ((n = text_fill(maps)) > 0) {
		char *line = maps->text + maps->pos;

		out->first = strtoull(line, &line, 16);
		/* The page at the top is the kernel's (vsyscall), not a mapping. */
		if (out->first > (uaddr_t)INT64_MAX)
			return 0;
		out->last = *line == '-' ? strtoull(line + 1, &line, 16) - 1 : 0;
		if (out->last > out->first && out->last < addr)
			n = text_skip_line(maps);
		else /* the line stays current: the next question may hit it again */
			return scan_rest(line, &out->source)
				       ? 1
				       : refuse(-EFAULT, "the process's map cannot be understood");
		if (n <= 0)
			return n;
	}
	return n;
}

/* ---- the reader ---- */

void memory_maps_init(struct memory_maps *maps)
{
	maps->fd = -1;
	maps->pos = maps->len = 0;
}

/* Return: 0 or -errno */
static int maps_open(struct memory_maps *maps)
{
	if (maps->fd >= 0)
		return 0;
	maps->fd = memory_hooks.without_query ? -ENOTTY : query_open();
	maps->by_text = maps->fd == -ENOTTY;
	if (maps->by_text)
		maps->fd = open_maps();
	return maps->fd < 0 ? maps->fd : 0;
}

void memory_maps_close(struct memory_maps *maps)
{
	if (maps->fd >= 0 && maps->by_text)
		fd_close(&maps->fd);
}

void memory_maps_range(struct memory_maps *maps, uaddr_t first, uaddr_t last)
{
	maps->first = first;
	maps->last = last;
	maps->done = false;
}

int memory_maps_next(struct memory_maps *maps, struct memory_piece *out)
{
	int n = maps->done ? 0 : maps_open(maps) ?: 1;

	if (n <= 0)
		return n;
	n = maps->by_text ? text_find(maps, maps->first, out)
			  : query_find(maps->fd, maps->first, out);
	if (n < 0)
		return n;
	if (n == 0 || out->first > maps->last) { /* nothing more */
		*out = (struct memory_piece){.first = maps->first, .last = maps->last};
	} else if (out->first > maps->first) {
		*out = (struct memory_piece){.first = maps->first, .last = out->first - 1};
	} else {
		source_advance(&out->source, maps->first - out->first);
		out->first = maps->first;
		out->last = out->last < maps->last ? out->last : maps->last;
	}
	maps->done = out->last == maps->last;
	maps->first = out->last + 1;
	return 1;
}

int memory_space_walk(struct memory_space *space, uaddr_t first, uaddr_t last, memory_piece_fn fn,
		      void *arg)
{
	struct memory_piece piece;
	struct memory_maps maps;
	int ret;

	memory_maps_init(&maps);
	memory_maps_range(&maps, first, last);
	while ((ret = memory_maps_next(&maps, &piece)) > 0) {
		ret = fn(arg, &piece);
		if (ret)
			break;
	}
	memory_maps_close(&maps);
	return ret;
}
