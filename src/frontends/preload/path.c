// SPDX-License-Identifier: BSD-3-Clause
/*
 * A plain read of a client's pointer may fault, and before the first open nobody catches faults
 * (docs/preload.md: a program that opens no node keeps its handlers). The kernel can be asked
 * instead: rt_sigprocmask(2) copies the new mask from the caller's memory first, and refuses an
 * operation that does not exist afterwards. So with such an operation it reads eight bytes and does
 * nothing else: EFAULT or EINVAL. It is the cheapest call that does so, and every sandbox allows
 * it, because the C library makes it.
 *
 * (1) Access is granted in pages, so one aligned word answers for the rest of its page. A name that
 *     runs on into the next page is asked for once more.
 * (2) What a path is called says which few may be ours: by its first two characters, or by a last
 *     part that is a node's name. Only such a path's folder costs a call, so that "./vhost-vdpa-0"
 *     and "/tmp/../dev/vhost-vdpa-0" are found. No link to a node is.
 * (3) A client that unmaps a path in one thread while another opens it can still fault here. The
 *     kernel has the path read by then, or is about to fail with EFAULT.
 */
#include "real.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "frontends/preload/aside.h"
#include "frontends/preload/memfd.h"
#include "frontends/preload/node.h"
#include "frontends/preload/path.h"
#include "memory/memory.h"

#define PROC_DEVICES  "/proc/devices"
#define DEV           "/dev/"
#define NO_SUCH_HOW   (-1)
#define KERNEL_SIGSET 8 /* bytes, on every 64-bit machine */

_Static_assert(sizeof(PROC_DEVICES) <= PATH_NAME_LEN, "room for every name");

/* Can the page of @at be read? A sandbox that forbids the question gets a yes, as if it had not
 * been asked. */
struct page_question {
	const char *word;
	bool fault;
};

static void ask_kernel(void *arg)
{
	struct page_question *q = arg;

	q->fault = real()->syscall(SYS_rt_sigprocmask, NO_SUCH_HOW, q->word, NULL, KERNEL_SIGSET) <
			   0 &&
		   errno == EFAULT;
}

static bool page_is_readable(const char *at)
{
	struct page_question q = {.word = at - ((uintptr_t)at % KERNEL_SIGSET)};
	int saved = errno;

	aside_run(ask_kernel, &q, sizeof(q));
	errno = saved;
	return !q.fault;
}

bool path_is_readable(const char *path)
{
	return page_is_readable(path);
}

/* "/dev//x" and "/dev/./x" are "/dev/x". */
static void squeeze(char *name)
{
	char *to = name;

	for (const char *from = name; *from; from++) {
		if (from[0] == '/' && (from[1] == '/' || (from[1] == '.' && from[2] == '/')))
			from += from[1] == '.';
		else
			*to++ = *from;
	}
	*to = '\0';
}

/* Return: has the path ended within the room, and could be read? */
static bool copy_path(const char *path, bool is_read, char seen[PATH_SEEN_LEN])
{
	for (size_t i = 0; i < PATH_SEEN_LEN; i++) {
		const char *at = path + i;

		if (!is_read && (i == 0 || (uintptr_t)at % MEMORY_PAGE_SIZE == 0) &&
		    !page_is_readable(at))
			return false;
		seen[i] = *at;
		if (!seen[i]) {
			squeeze(seen);
			return true;
		}
	}
	return false;
}

/* The folder /dev. Looked up once: who changes the root folder later goes without listings of
 * /dev. */
static struct {
	dev_t dev;
	ino_t ino;
	bool known; /* atomic; its release pairs with the acquire in know_dev() */
} dev_folder;

static bool know_dev(void)
{
	struct stat st;

	if (likely(__atomic_load_n(&dev_folder.known, __ATOMIC_ACQUIRE)))
		return true;
	if (real()->stat("/dev", &st) < 0)
		return false;
	__atomic_store_n(&dev_folder.dev, st.st_dev, __ATOMIC_RELAXED);
	__atomic_store_n(&dev_folder.ino, st.st_ino, __ATOMIC_RELAXED);
	__atomic_store_n(&dev_folder.known, true, __ATOMIC_RELEASE);
	return true;
}

struct folder_question {
	int dirfd;
	ino_t ino;
	bool answer;
	char folder[PATH_SEEN_LEN]; /* from @dirfd on; empty: that itself */
};

static int stat_folder(const struct folder_question *q, struct stat *st)
{
	if (q->folder[0])
		return real()->fstatat(q->dirfd, q->folder, st, 0);
	return q->dirfd == AT_FDCWD ? real()->stat(".", st) : real()->fstat(q->dirfd, st);
}

static void ask_number(void *arg)
{
	struct folder_question *q = arg;

	q->answer = know_dev() && q->ino == __atomic_load_n(&dev_folder.ino, __ATOMIC_RELAXED);
}

static void ask_folder(void *arg)
{
	struct folder_question *q = arg;
	struct stat st;

	q->answer = know_dev() && stat_folder(q, &st) == 0 &&
		    st.st_dev == __atomic_load_n(&dev_folder.dev, __ATOMIC_RELAXED) &&
		    st.st_ino == __atomic_load_n(&dev_folder.ino, __ATOMIC_RELAXED);
}

static bool ask(void (*how)(void *arg), struct folder_question *q)
{
	int saved = errno;

	_Static_assert(sizeof(*q) <= ASIDE_ROOM, "a question fits");
	aside_run(how, q, sizeof(*q));
	errno = saved;
	return q->answer;
}

bool path_may_be_dev(ino_t ino)
{
	struct folder_question q = {.dirfd = -1, .ino = ino};

	return ask(ask_number, &q);
}

bool path_is_dev(int dirfd)
{
	struct folder_question q = {.dirfd = dirfd};

	return ask(ask_folder, &q);
}

/* Does @seen end in a node's name, behind a folder that is /dev by another name, or behind none? */
static bool find_in_folder(int dirfd, const char *seen, struct path *out)
{
	struct folder_question q = {.dirfd = dirfd};
	const char *slash = strrchr(seen, '/'), *last = slash ? slash + 1 : seen;

	if (strncmp(last, NODE_NAME, sizeof(NODE_NAME) - 1) != 0 ||
	    strlen(last) + sizeof(DEV) > PATH_NAME_LEN)
		return false;
	snprintf(out->name, sizeof(out->name), DEV "%s", last);
	memcpy(q.folder, seen, (size_t)(last - seen));
	return node_find(out->name, &out->minor) && ask(ask_folder, &q);
}

/* Return: the number that the text is, if nothing follows; -1 */
static long number_at(const char *text)
{
	char *end;
	long n = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;

	return n >= 0 && !*end ? n : -1;
}

/* The folder of a process's descriptors: the number follows. Return: where, or NULL if @name leads
 * elsewhere or to another process. */
static const char *skip_fd_folder(const char *name)
{
	static const char *const folders[] = {"/proc/self/fd/", "/proc/thread-self/fd/",
					      "/dev/fd/"};
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		len = strlen(folders[i]);
		if (strncmp(name, folders[i], len) == 0)
			return name + len;
	}
	if (strncmp(name, "/proc/", 6) != 0)
		return NULL;
	len = strspn(name + 6, "0123456789");
	return len && strtol(name + 6, NULL, 10) == files_owner() &&
			       strncmp(name + 6 + len, "/fd/", 4) == 0
		       ? name + 6 + len + 4
		       : NULL;
}

/* Is @name /proc/PID/fd/N, or the same with /task/TID? */
static bool is_fd_of_process(const char *name)
{
	static const char *const selves[] = {"self/", "thread-self/"};
	size_t len;

	if (strncmp(name, "/proc/", 6) != 0)
		return false;
	name += 6;
	len = strspn(name, "0123456789");
	len += len && name[len] == '/';
	for (size_t i = 0; i < ARRAY_LEN(selves) && !len; i++)
		if (strncmp(name, selves[i], strlen(selves[i])) == 0)
			len = strlen(selves[i]);
	name += len;
	if (strncmp(name, "task/", 5) == 0) {
		name += 5 + strspn(name + 5, "0123456789");
		name += *name == '/';
	}
	return len && strncmp(name, "fd/", 3) == 0 && number_at(name + 3) >= 0;
}

struct link_question {
	char name[PATH_NAME_LEN];
	int minor; /* the answer */
};

static void ask_link(void *arg)
{
	struct link_question *q = arg;

	q->minor = memfd_minor(q->name);
}

/* A descriptor of a device, by its name: one of this process's table, or any that the kernel says
 * is a node's memfd. */
static bool find_fd(struct path *out)
{
	struct link_question q = {.minor = -1};
	const char *text = skip_fd_folder(out->name);
	long fd = text ? number_at(text) : -1;
	int minor = fd >= 0 && fd <= INT_MAX ? aside_minor((int)fd) : -1;
	bool elsewhere = minor < 0;
	int saved = errno;

	if (minor < 0 && !text && is_fd_of_process(out->name)) {
		memcpy(q.name, out->name, sizeof(q.name));
		aside_run(ask_link, &q, sizeof(q));
		errno = saved;
		minor = q.minor;
	}
	if (minor < 0)
		return false;
	out->elsewhere = elsewhere;
	out->minor = (unsigned int)minor;
	snprintf(out->name, sizeof(out->name), DEV NODE_NAME "%d", minor);
	return true;
}

static enum path_kind look_at_name(const char *seen, struct path *out)
{
	if (!path_may_be_ours(seen) || strlen(seen) >= PATH_NAME_LEN)
		return PATH_OTHER;
	memcpy(out->name, seen, strlen(seen) + 1);
	if (node_find(seen, &out->minor))
		return PATH_NODE;
	if (strcmp(seen, PROC_DEVICES) == 0)
		return PATH_PROC_DEVICES;
	if (strcmp(seen, "/dev") == 0 || strcmp(seen, DEV) == 0)
		return PATH_DEV;
	return find_fd(out) ? PATH_FD : PATH_OTHER;
}

static enum path_kind look(int dirfd, const char *path, bool is_read, struct path *out)
{
	char seen[PATH_SEEN_LEN];

	out->kind = PATH_OTHER;
	out->elsewhere = false;
	if (!path || !copy_path(path, is_read, seen))
		return PATH_OTHER;
	out->kind = look_at_name(seen, out);
	if (out->kind == PATH_OTHER && find_in_folder(dirfd, seen, out))
		out->kind = PATH_NODE;
	return out->kind;
}

enum path_kind path_look(int dirfd, const char *path, struct path *out)
{
	return look(dirfd, path, false, out);
}

enum path_kind path_look_closely(int dirfd, const char *path, bool is_read, struct path *out)
{
	out->kind = PATH_OTHER;
	if (!is_read && (errno == EFAULT || errno == EINVAL))
		return PATH_OTHER;
	return look(dirfd, path, is_read, out);
}
