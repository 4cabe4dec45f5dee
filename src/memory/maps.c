// SPDX-License-Identifier: BSD-3-Clause
/*
 * The map of the own process. From 6.11 on the kernel answers a question about one address
 * (PROCMAP_QUERY), which costs about a microsecond whatever the number of mappings; before, the
 * text of /proc/thread-self/maps is read and scanned. thread-self, because /proc/self is empty once
 * the process's first thread has exited.
 *
 * Limit: both show a shared mapping of a file that was opened read-only as shared, where the
 * kernel's own vDPA would not see it as such. A device can only read it anyway.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
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

static int query_find(int fd, uaddr_t addr, struct memory_map *out)
{
	struct query query = {
		.size = sizeof(query),
		.query_flags = QUERY_COVERING_OR_NEXT,
		.query_addr = addr,
	};

	if (ioctl(fd, QUERY, &query) < 0)
		return errno == ENOENT ? 0 : -errno;
	*out = (struct memory_map){
		.first = query.vma_start,
		.last = query.vma_end - 1,
		.shared_file = (query.vma_flags & QUERY_SHARED) && query.inode != 0,
		.readable = query.vma_flags & QUERY_READABLE,
		.writable = query.vma_flags & QUERY_WRITABLE,
		.huge = query.vma_page_size > MEMORY_PAGE_SIZE,
		.dev = (uint64_t)query.dev_major << 32 | query.dev_minor,
		.ino = query.inode,
		.off = query.vma_offset,
	};
	return 1;
}

static bool scan_hex(const char **pos, uint64_t *out)
{
	const char *p = *pos;
	uint64_t value = 0;

	for (;; p++) {
		unsigned int digit;

		if (*p >= '0' && *p <= '9')
			digit = (unsigned int)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			digit = (unsigned int)(*p - 'a') + 10;
		else
			break;
		value = value << 4 | digit;
	}
	if (p == *pos)
		return false;
	*pos = p;
	*out = value;
	return true;
}

/* "first-end rwxs offset major:minor inode  name" */
static bool scan_line(const char *line, struct memory_map *out)
{
	uint64_t first, end, off, major, minor;
	const char *perm;

	if (!scan_hex(&line, &first) || *line++ != '-' || !scan_hex(&line, &end) || *line++ != ' ')
		return false;
	perm = line;
	if (strnlen(perm, 5) < 5 || end == 0)
		return false;
	line += 5;
	if (!scan_hex(&line, &off) || *line++ != ' ' || !scan_hex(&line, &major) ||
	    *line++ != ':' || !scan_hex(&line, &minor) || *line++ != ' ')
		return false;
	*out = (struct memory_map){
		.first = first,
		.last = end - 1,
		.shared_file =
			perm[3] == 's' && *line != '0', /* the inode is decimal, no zeros lead */
		.readable = perm[0] == 'r',
		.writable = perm[1] == 'w',
		.by_text = true,
		.dev = major << 32 | minor,
		.ino = strtoull(line, NULL, 10),
		.off = off,
	};
	return true;
}

static int text_find(struct memory_maps *maps, uaddr_t addr, struct memory_map *out)
{
	while (*maps->pos) {
		const char *end = strchr(maps->pos, '\n');

		if (!end || !scan_line(maps->pos, out))
			return refuse(-EFAULT, "the process's map cannot be understood");
		/* The page at the top is the kernel's (vsyscall), not a mapping. */
		if (out->first > (uaddr_t)INT64_MAX)
			return 0;
		if (out->last >= addr)
			return 1; /* the line stays current: the next question may hit it again */
		maps->pos = end + 1;
	}
	return 0;
}

static int text_read(int fd, char **out)
{
	size_t cap = 64 * 1024, len = 0;
	char *text = malloc(cap), *larger;
	ssize_t n;

	while (text) {
		n = read(fd, text + len, cap - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = -errno;

			free(text);
			return err;
		}
		if (n == 0) {
			text[len] = '\0';
			*out = text;
			return 0;
		}
		len += (size_t)n;
		if (cap - len > 4096) /* the kernel returns at most a page at a time */
			continue;
		cap *= 2;
		larger = realloc(text, cap);
		if (!larger)
			free(text);
		text = larger;
	}
	return -ENOMEM;
}

/*
 * The last reader's descriptor, kept for the next: opening it costs more than asking. It answers
 * for the address space that it was opened in, so a forked child must not use it; and the client
 * may have closed it and opened something else under its number.
 */
struct kept {
	dev_t dev;
	ino_t ino;
	pid_t pid;
};
static struct mutex kept_lock = MUTEX_INIT;
static int kept_fd GUARDED_BY(kept_lock) = -1;
static struct kept kept GUARDED_BY(kept_lock);

static void forked(void) NO_TSA
{
	mutex_init(&kept_lock);
}

static void watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

static int take_kept(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct kept was;
	int fd;

	pthread_once(&once, watch_forks);
	mutex_lock(&kept_lock);
	fd = kept_fd;
	was = kept;
	kept_fd = -1;
	mutex_unlock(&kept_lock);
	if (fd < 0 || was.pid != getpid())
		return -1; /* a child's copy goes with execve(2) or with the child */
	return fd_is_file(fd, was.dev, was.ino) ? fd : -1;
}

static void keep(int *fd)
{
	struct stat st;

	*fd = fd_move_up(*fd);
	if (fstat(*fd, &st) == 0) {
		mutex_lock(&kept_lock);
		if (kept_fd < 0) {
			kept_fd = *fd;
			kept = (struct kept){st.st_dev, st.st_ino, getpid()};
			*fd = -1;
		}
		mutex_unlock(&kept_lock);
	}
	fd_close(fd);
}

int memory_maps_open(struct memory_maps *maps, enum memory_maps_how how)
{
	struct memory_map map;
	int err = 0;

	if (memory_hooks.without_query && how == MEMORY_MAPS_BEST)
		how = MEMORY_MAPS_TEXT;
	*maps = (struct memory_maps){.fd = how == MEMORY_MAPS_TEXT ? -1 : take_kept()};
	if (maps->fd >= 0)
		return 0; /* only one that answers questions is kept */
	maps->fd = open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC);
	if (maps->fd < 0)
		return refuse(-errno, "cannot open /proc/thread-self/maps: %s", strerror(errno));
	if (how != MEMORY_MAPS_TEXT)
		err = query_find(maps->fd, 0, &map);
	if (how == MEMORY_MAPS_TEXT || (how == MEMORY_MAPS_BEST && err < 0))
		err = text_read(maps->fd, &maps->text);
	maps->pos = maps->text;
	if (err >= 0)
		return 0;
	fd_close(&maps->fd);
	free(maps->text);
	maps->text = NULL;
	return err;
}

void memory_maps_close(struct memory_maps *maps)
{
	if (maps->fd >= 0 && !maps->text)
		keep(&maps->fd);
	fd_close(&maps->fd);
	free(maps->text);
	maps->text = NULL;
}

int memory_maps_find(struct memory_maps *maps, uaddr_t addr, struct memory_map *out)
{
	return maps->text ? text_find(maps, addr, out) : query_find(maps->fd, addr, out);
}

/* One call of @fn a mapping; a piece is cut to the range. */
static int walk(struct memory_maps *maps, uaddr_t first, uaddr_t last, memory_piece_fn fn,
		void *arg)
{
	struct memory_map map;
	int err;

	for (;;) {
		err = memory_maps_find(maps, first, &map);
		if (err < 0)
			return err;
		if (err == 0)
			return refuse(-EFAULT, "nothing is mapped at or above 0x%" PRIx64, first);
		if (map.first > last)
			return 0; /* a hole to the end of the range, with a mapping above it */
		err = fn(arg, &(struct memory_piece){
				      .first = map.first < first ? first : map.first,
				      .last = map.last < last ? map.last : last,
				      .shared_file = map.shared_file,
				      .readable = map.readable,
				      .writable = map.writable,
				      .hole_before = map.first > first,
				      .dev = map.dev,
				      .ino = map.ino,
			      });
		if (err || map.last >= last)
			return err;
		first = map.last + 1;
	}
}

int memory_space_walk_how(enum memory_maps_how how, uaddr_t first, uaddr_t last, memory_piece_fn fn,
			  void *arg)
{
	struct memory_maps maps;
	int err = memory_maps_open(&maps, how);

	if (err)
		return err;
	err = walk(&maps, first, last, fn, arg);
	memory_maps_close(&maps);
	return err;
}

int memory_space_walk(struct memory_space *space, uaddr_t first, uaddr_t last, memory_piece_fn fn,
		      void *arg)
{
	return memory_space_walk_how(MEMORY_MAPS_BEST, first, last, fn, arg);
}
