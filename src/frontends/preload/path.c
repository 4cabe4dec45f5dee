// SPDX-License-Identifier: BSD-3-Clause
/*
 * A plain read of a client's pointer may fault, and before the first open nobody catches faults (docs/preload.md: a
 * program that opens no node keeps its handlers). The kernel can be asked instead: rt_sigprocmask(2) copies the new mask
 * from the caller's memory first, and refuses an operation that does not exist afterwards. So with such an operation it reads eight
 * bytes and does nothing else: EFAULT or EINVAL. It is the cheapest call that does so, and every sandbox allows it,
 * because the C library makes it.
 *
 * (1) Access is granted in pages, so one aligned word answers for the rest of its page. A name that runs on into the next page
 *     is asked for once more.
 * (2) Nothing is read behind the first character that no name of ours has there. A program's other paths cost one
 *     question and two characters.
 * (3) A client that unmaps a path in one thread while another opens it can still fault here. The kernel has the path read
 *     by then, or is about to fail with EFAULT.
 */
#include "real.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "frontends/preload/node.h"
#include "frontends/preload/path.h"
#include "memory/memory.h"

#define PROC_DEVICES  "/proc/devices"
#define NO_SUCH_HOW   (-1)
#define KERNEL_SIGSET 8 /* bytes, on every 64-bit machine */

_Static_assert(sizeof(PROC_DEVICES) <= PATH_NAME_LEN, "room for every name");

/* Can the page of @at be read? A sandbox that forbids the question gets a yes, as if it had not been asked. */
static bool page_is_readable(const char *at)
{
	const char *word = at - ((uintptr_t)at % KERNEL_SIGSET);
	int saved = errno;
	bool fault = syscall(SYS_rt_sigprocmask, NO_SUCH_HOW, word, NULL, KERNEL_SIGSET) < 0 &&
		     errno == EFAULT;

	errno = saved;
	return !fault;
}

/* Could a name that begins with @name, which has @len characters, be one of ours? */
static bool may_go_on(const char *name, size_t len)
{
	if (len == 1)
		return name[0] == '/';
	return len != 2 || name[1] == 'd' || name[1] == 'p';
}

/* Copies the name as long as it may be ours. Return: has it ended within the room, and could be read? */
static bool copy_name(const char *path, bool is_read, char *name)
{
	for (size_t i = 0; i < PATH_NAME_LEN; i++) {
		const char *at = path + i;

		if (!is_read && (i == 0 || (uintptr_t)at % MEMORY_PAGE_SIZE == 0) &&
		    !page_is_readable(at))
			return false;
		name[i] = *at;
		if (!name[i])
			return true;
		if (!may_go_on(name, i + 1))
			return false;
	}
	return false;
}

static enum path_kind look(const char *path, bool is_read, struct path *out)
{
	out->kind = PATH_OTHER;
	if (!path || !copy_name(path, is_read, out->name))
		return PATH_OTHER;
	if (node_find(out->name, &out->minor))
		out->kind = PATH_NODE;
	else if (strcmp(out->name, PROC_DEVICES) == 0)
		out->kind = PATH_PROC_DEVICES;
	return out->kind;
}

enum path_kind path_look(const char *path, struct path *out)
{
	return look(path, false, out);
}

enum path_kind path_look_after(const char *path, int rc, struct path *out)
{
	out->kind = PATH_OTHER;
	if (rc < 0 && (errno == EFAULT || errno == EINVAL))
		return PATH_OTHER;
	return look(path, rc >= 0 || errno == ENOENT, out);
}
