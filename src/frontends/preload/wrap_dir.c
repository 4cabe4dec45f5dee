// SPDX-License-Identifier: BSD-3-Clause
/*
 * Listings of /dev show the nodes. The kernel's entries come first, as they are; at their end, the
 * nodes follow that the folder does not have by itself.
 *
 * (1) Nobody knows at fdopendir(3) which folder it will be, and asking costs a system call a
 *     listing. The entry "." has the folder's inode number. A stream that shows /dev's there gets a
 *     slot, and is asked about at its end. Other folders pay a comparison an entry.
 * (2) A stream has its slot until it is closed. POSIX lets one thread at a time use a stream, so a
 *     slot needs no lock, only an atomic claim. Nothing is left locked in a forked child.
 * (3) A position among the nodes is a number that no file system gives: negative. telldir(3) and
 *     d_off have it, and seekdir(3) takes it, whether the stream has a slot or not.
 * (4) scandir(3), glob(3), ftw(3) and fts(3) read folders inside libc, out of reach. The first is
 *     done here, for any folder: "." and a link may lead to /dev as well. The second has a way to
 *     bring one's own functions along. The other two do not show the nodes (docs/preload.md).
 */
#include "real.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/preload/aside.h"
#include "frontends/preload/node.h"
#include "frontends/preload/path.h"
#include "frontends/preload/preload.h"

_Static_assert(sizeof(struct dirent) == sizeof(struct dirent64), "one layout of struct dirent");

#define NR_SLOTS       32u /* listings of /dev that are at the nodes at the same time */
#define POSITION(next) (LONG_MIN + (long)(next))

struct slot {
	DIR *dir;          /* atomic; NULL: free */
	bool at_nodes;     /* the kernel's entries are through */
	unsigned int next; /* minor to begin with */
	struct dirent64 entry;
};

static struct slot slots[NR_SLOTS];
static unsigned int nr_taken; /* atomic */

static struct slot *slot_find(const DIR *dir)
{
	if (likely(__atomic_load_n(&nr_taken, __ATOMIC_RELAXED) == 0))
		return NULL;
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		if (__atomic_load_n(&slots[i].dir, __ATOMIC_RELAXED) == dir)
			return &slots[i];
	return NULL;
}

/* Return: a slot for @dir; NULL if all are taken, and the nodes are not shown. */
static struct slot *slot_take(DIR *dir)
{
	struct slot *has = slot_find(dir);

	for (unsigned int i = 0; !has && i < NR_SLOTS; i++) {
		DIR *none = NULL;

		if (!__atomic_compare_exchange_n(&slots[i].dir, &none, dir, false, __ATOMIC_ACQUIRE,
						 __ATOMIC_RELAXED))
			continue;
		__atomic_add_fetch(&nr_taken, 1, __ATOMIC_RELAXED);
		slots[i].at_nodes = false;
		has = &slots[i];
	}
	return has;
}

static void slot_drop(DIR *dir)
{
	struct slot *slot = slot_find(dir);

	if (!slot)
		return;
	__atomic_store_n(&slot->dir, NULL, __ATOMIC_RELEASE);
	__atomic_sub_fetch(&nr_taken, 1, __ATOMIC_RELAXED);
}

/* Fills the slot with the next node that the folder does not have itself. Return: is there one? */
static bool find_next(struct slot *slot)
{
	struct dirent64 *entry = &slot->entry;
	struct stat st;

	while (slot->next < PRELOAD_NR_NODES_MAX) {
		unsigned int minor = slot->next++;

		if (!node_exists(minor))
			continue;
		memset(entry, 0, sizeof(*entry));
		snprintf(entry->d_name, sizeof(entry->d_name), NODE_NAME "%u", minor);
		if (real()->fstatat(dirfd(slot->dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		entry->d_ino = node_ino(minor);
		entry->d_type = DT_CHR;
		entry->d_off = POSITION(slot->next);
		entry->d_reclen = sizeof(*entry);
		return true;
	}
	return false;
}

struct search {
	struct slot *slot;
	bool found;
};

static void find_aside(void *arg)
{
	struct search *search = arg;

	search->found = find_next(search->slot);
}

static struct dirent64 *next_node(struct slot *slot)
{
	struct search search = {.slot = slot};
	int saved = errno;

	aside_run(find_aside, &search, sizeof(search));
	errno = saved;
	return search.found ? &slot->entry : NULL;
}

/* libc has no more entries of the stream, which may be /dev. */
static struct dirent64 *at_end(struct slot *slot)
{
	if (!path_is_dev(dirfd(slot->dir)))
		return NULL;
	slot->at_nodes = true;
	slot->next = 0;
	return next_node(slot);
}

/* What libc gave for @dir. The entry "." says whether it may be /dev. */
static void look_at(DIR *dir, const char *name, ino_t ino)
{
	if (unlikely(name[0] == '.' && name[1] == '\0') && path_may_be_dev(ino))
		(void)slot_take(dir);
}

/* libc says NULL at the end, too, and leaves errno alone then. */
#define WRAP_READDIR(name, type)                                                                   \
	HF_EXPORT struct type *name(DIR *dir)                                                      \
	{                                                                                          \
		struct slot *slot = slot_find(dir);                                                \
		struct type *entry;                                                                \
		int saved = errno;                                                                 \
                                                                                                   \
		if (unlikely(slot && slot->at_nodes))                                              \
			return (struct type *)next_node(slot);                                     \
		if (unlikely(slot != NULL))                                                        \
			errno = 0;                                                                 \
		entry = real()->name(dir);                                                         \
		if (likely(entry != NULL))                                                         \
			look_at(dir, entry->d_name, entry->d_ino);                                 \
		if (likely(!slot) || (!entry && errno != 0))                                       \
			return entry;                                                              \
		errno = saved;                                                                     \
		return entry ? entry : (struct type *)at_end(slot);                                \
	}
WRAP_READDIR(readdir, dirent)
WRAP_READDIR(readdir64, dirent64)

/* The newer calls tell the end from an error by their value. */
#define WRAP_READDIR_R(name, type)                                                                 \
	HF_EXPORT int name(DIR *dir, struct type *entry, struct type **result)                     \
	{                                                                                          \
		struct slot *slot = slot_find(dir);                                                \
		bool at_nodes = slot && slot->at_nodes;                                            \
		struct dirent64 *node;                                                             \
		int err = at_nodes ? 0 : real()->name(dir, entry, result);                         \
                                                                                                   \
		if (!at_nodes && err == 0 && *result)                                              \
			look_at(dir, entry->d_name, entry->d_ino);                                 \
		if (!slot || (!at_nodes && (err != 0 || *result)))                                 \
			return err;                                                                \
		node = at_nodes ? next_node(slot) : at_end(slot);                                  \
		if (node)                                                                          \
			memcpy(entry, node, sizeof(*node));                                        \
		*result = node ? entry : NULL;                                                     \
		return 0;                                                                          \
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
WRAP_READDIR_R(readdir_r, dirent)
WRAP_READDIR_R(readdir64_r, dirent64)
#pragma GCC diagnostic pop

HF_EXPORT int closedir(DIR *dir)
{
	slot_drop(dir);
	return real()->closedir(dir);
}

static void leave_nodes(DIR *dir)
{
	struct slot *slot = slot_find(dir);

	if (slot)
		slot->at_nodes = false;
}

HF_EXPORT void rewinddir(DIR *dir)
{
	leave_nodes(dir);
	real()->rewinddir(dir);
}

HF_EXPORT long telldir(DIR *dir)
{
	struct slot *slot = slot_find(dir);

	return slot && slot->at_nodes ? POSITION(slot->next) : real()->telldir(dir);
}

HF_EXPORT void seekdir(DIR *dir, long position)
{
	struct slot *slot;

	if (position > POSITION(PRELOAD_NR_NODES_MAX)) {
		leave_nodes(dir);
		real()->seekdir(dir, position);
		return;
	}
	slot = slot_take(dir);
	if (!slot)
		return;
	slot->at_nodes = true;
	slot->next = (unsigned int)(position - LONG_MIN);
}

/* ---- scandir: any folder may turn out to be /dev ---- */

typedef int (*select_fn)(const struct dirent64 *entry);
typedef int (*compare_fn)(const struct dirent64 **one, const struct dirent64 **other);

struct scan {
	struct dirent64 **list;
	size_t nr, room;
};

static int scan_add(struct scan *scan, const struct dirent64 *entry)
{
	struct dirent64 *copy;

	if (scan->nr == scan->room) {
		size_t room = scan->room ? 2 * scan->room : 64;
		struct dirent64 **list = reallocarray(scan->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		scan->list = list;
		scan->room = room;
	}
	copy = malloc(entry->d_reclen);
	if (!copy)
		return -ENOMEM;
	scan->list[scan->nr++] = memcpy(copy, entry, entry->d_reclen);
	return 0;
}

static int scan_all(struct scan *scan, DIR *dir, select_fn select)
{
	const struct dirent64 *entry;
	int err = 0;

	errno = 0;
	while (err == 0 && (entry = readdir64(dir))) {
		if (!select || select(entry))
			err = scan_add(scan, entry);
		errno = 0; /* of @select's, if anybody's */
	}
	return err ? err : -errno;
}

/* A node is no folder. @rc: not negative, or libc's errno is set. */
static bool is_node_after(int dirfd, const char *path, int rc)
{
	struct path seen;

	return rc < 0 && path_look_after(dirfd, path, rc, &seen) == PATH_NODE;
}

/* As libc's opendir(3), of a path that begins in @dirfd. */
static DIR *open_folder(int dirfd, const char *path)
{
	int fd = real()->openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;
	int err;

	if (is_node_after(dirfd, path, fd))
		errno = ENOTDIR;
	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (!dir) {
		err = errno;
		real()->close(fd);
		errno = err;
	}
	return dir;
}

/* Closes @dir. NULL stands for an error that errno has. */
static int scan_folder(DIR *dir, struct dirent64 ***list, select_fn select, compare_fn compare)
{
	struct scan scan = {.nr = 0};
	int saved = errno;
	int err;

	if (!dir)
		return -1;
	err = scan_all(&scan, dir, select);
	closedir(dir);
	errno = err ? -err : saved;
	if (err) {
		while (scan.nr > 0)
			free(scan.list[--scan.nr]);
		free(scan.list);
		return -1;
	}
	if (compare && scan.nr > 0)
		qsort(scan.list, scan.nr, sizeof(*scan.list),
		      (int (*)(const void *, const void *))compare);
	*list = scan.list;
	return (int)scan.nr;
}

/* A path that cannot be read goes on to libc, which may look at it by itself and die. */
#define WRAP_SCANDIR(name, from, params, args)                                                     \
	HF_EXPORT int name params                                                                  \
	{                                                                                          \
		DIR *dir = open_folder(from, path);                                                \
                                                                                                   \
		if (!dir && errno == EFAULT)                                                       \
			return real()->name args;                                                  \
		return scan_folder(dir, (struct dirent64 ***)list, (select_fn)select,              \
				   (compare_fn)compare);                                           \
	}
WRAP_SCANDIR(scandir, AT_FDCWD,
	     (const char *path, struct dirent ***list, int (*select)(const struct dirent *),
	      int (*compare)(const struct dirent **, const struct dirent **)),
	     (path, list, select, compare))
WRAP_SCANDIR(scandir64, AT_FDCWD,
	     (const char *path, struct dirent64 ***list, int (*select)(const struct dirent64 *),
	      int (*compare)(const struct dirent64 **, const struct dirent64 **)),
	     (path, list, select, compare))
WRAP_SCANDIR(scandirat, dirfd,
	     (int dirfd, const char *path, struct dirent ***list,
	      int (*select)(const struct dirent *),
	      int (*compare)(const struct dirent **, const struct dirent **)),
	     (dirfd, path, list, select, compare))
WRAP_SCANDIR(scandirat64, dirfd,
	     (int dirfd, const char *path, struct dirent64 ***list,
	      int (*select)(const struct dirent64 *),
	      int (*compare)(const struct dirent64 **, const struct dirent64 **)),
	     (dirfd, path, list, select, compare))

HF_EXPORT DIR *opendir(const char *path)
{
	DIR *dir = real()->opendir(path);

	if (!dir && is_node_after(AT_FDCWD, path, -1))
		errno = ENOTDIR;
	return dir;
}

/* ---- glob: with our functions, where the pattern begins in /dev ---- */

static void *glob_opendir(const char *path)
{
	return opendir(path);
}

static struct dirent *glob_readdir(void *dir)
{
	return readdir(dir);
}

static struct dirent64 *glob_readdir64(void *dir)
{
	return readdir64(dir);
}

static void glob_closedir(void *dir)
{
	closedir(dir);
}

/* libc gets a structure of its own with the functions: the client's may end where libc does not
 * look without them. */
#define WRAP_GLOB(name, type, read, stat_name, lstat_name)                                         \
	HF_EXPORT int name(const char *pattern, int flags, int (*on_error)(const char *, int),     \
			   type *found)                                                            \
	{                                                                                          \
		type own = {.gl_opendir = glob_opendir,                                            \
			    .gl_readdir = read,                                                    \
			    .gl_closedir = glob_closedir,                                          \
			    .gl_stat = stat_name,                                                  \
			    .gl_lstat = lstat_name};                                               \
		int rc;                                                                            \
                                                                                                   \
		if (!pattern || !found || (flags & GLOB_ALTDIRFUNC) ||                             \
		    strncmp(pattern, "/dev/", 5) != 0)                                             \
			return real()->name(pattern, flags, on_error, found);                      \
		own.gl_pathc = found->gl_pathc;                                                    \
		own.gl_pathv = found->gl_pathv;                                                    \
		own.gl_offs = found->gl_offs;                                                      \
		rc = real()->name(pattern, flags | GLOB_ALTDIRFUNC, on_error, &own);               \
		found->gl_pathc = own.gl_pathc;                                                    \
		found->gl_pathv = own.gl_pathv;                                                    \
		found->gl_offs = own.gl_offs;                                                      \
		found->gl_flags = own.gl_flags & ~GLOB_ALTDIRFUNC;                                 \
		return rc;                                                                         \
	}
WRAP_GLOB(glob, glob_t, glob_readdir, stat, lstat)
WRAP_GLOB(glob64, glob64_t, glob_readdir64, stat64, lstat64)
