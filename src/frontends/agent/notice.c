// SPDX-License-Identifier: BSD-3-Clause
/* Which calls may be for a device: all but a few go on to the kernel at once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "frontends/agent/supervisor.h"
#include "frontends/preload/node.h"
#include "frontends/preload/path.h"

#define PAGE_LEN 4096u
#define NAME_LEN PATH_SEEN_LEN /* no longer path is ours */

/* Reads the client's path, or its beginning. Return: false: it cannot be read */
static bool read_name(const struct seccomp_notif *n, uint64_t at, char name[NAME_LEN + 1])
{
	size_t first = PAGE_LEN - at % PAGE_LEN;
	struct iovec own = {.iov_base = name, .iov_len = NAME_LEN};
	struct iovec theirs[2] = {
		{.iov_base = (void *)at, .iov_len = first < NAME_LEN ? first : NAME_LEN},
		{.iov_base = (void *)(at + first),
		 .iov_len = first < NAME_LEN ? NAME_LEN - first : 0}};
	ssize_t len = process_vm_readv((pid_t)n->pid, &own, 1, theirs, 2, 0);

	name[len > 0 ? len : 0] = '\0';
	return len > 0;
}

/* A process that does not let itself be looked at gets no device, and nothing else tells why. */
static void say_unreadable(const char *who, const struct seccomp_notif *n)
{
	static bool said; /* atomic */

	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		fprintf(stderr,
			"%s: process %u does not let itself be looked at (PR_SET_DUMPABLE), so it "
			"finds "
			"no device\n",
			who, n->pid);
}

/* Is the last part of the path a node's name? In which folder, the agent finds out. */
static bool ends_in_node(const char *name)
{
	const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;
	size_t len = sizeof(NODE_NAME) - 1, digits;

	if (strncmp(last, NODE_NAME, len) != 0)
		return false;
	digits = strspn(last + len, "0123456789");
	return digits > 0 && !last[len + digits];
}

static bool begins_with(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* A descriptor's name, which counts once the process has devices. */
static bool is_fd_name(const struct seccomp_notif *n, const char *name)
{
	struct client *c;

	if (!begins_with(name, "/dev/fd/") &&
	    !(begins_with(name, "/proc/") && strstr(name, "/fd/")))
		return false;
	c = client_find((pid_t)n->pid);
	client_put(c);
	return c != NULL;
}

/* A folder of the process's, from here: ".." and links within it mean what they mean there. */
static bool is_dev(const struct raw_call *call, const struct seccomp_notif *n, const char *folder)
{
	int dirfd = call->fd_arg == call->other_arg ? AT_FDCWD : (int)n->data.args[call->other_arg];
	pid_t pid = proc_number((pid_t)n->pid);
	char path[48 + NAME_LEN], own[32];
	struct stat dev, st;

	if (*folder != '/' && dirfd != AT_FDCWD)
		snprintf(path, sizeof(path), "/proc/%d/fd/%d/%s", pid, dirfd, folder);
	else
		snprintf(path, sizeof(path), "/proc/%d/%s/%s", pid, *folder == '/' ? "root" : "cwd",
			 folder);
	snprintf(own, sizeof(own), "/proc/%d/root%s", pid, "/dev"); /* not always ours */
	return stat(own, &dev) == 0 && stat(path, &st) == 0 && st.st_dev == dev.st_dev &&
	       st.st_ino == dev.st_ino;
}

/* Is this the path of something in /dev? A bare name may be. */
static bool is_in_dev(const struct raw_call *call, const struct seccomp_notif *n, const char *name)
{
	const char *slash = strrchr(name, '/');
	size_t len = slash ? (size_t)(slash - name) + 1 : 0;
	char folder[NAME_LEN + 1];

	if (len == strlen("/dev/") && strncmp(name, "/dev/", len) == 0)
		return true;
	memcpy(folder, name, len);
	folder[len] = '\0';
	return is_dev(call, n, folder);
}

static bool is_wanted_path(const struct raw_call *call, const struct seccomp_notif *n,
			   const char *who)
{
	char name[NAME_LEN + 1];

	if (!n->data.args[call->fd_arg]) /* statx(2) takes it for an empty one, since Linux 6.11 */
		return call->fd_arg == 1 &&
		       raw_fd_is_node(proc_number((pid_t)n->pid), (int)n->data.args[0]);
	if (!read_name(n, n->data.args[call->fd_arg], name)) {
		if (errno == EPERM)
			say_unreadable(who, n);
		return false;
	}
	/* an empty one means a descriptor */
	if (!name[0])
		return call->fd_arg == 1 &&
		       raw_fd_is_node(proc_number((pid_t)n->pid), (int)n->data.args[0]);
	return (ends_in_node(name) && (!strchr(name, '/') || is_in_dev(call, n, name))) ||
	       strcmp(name, "/proc/devices") == 0 || is_fd_name(n, name);
}

bool notice_names_node(const struct raw_call *call, const struct seccomp_notif *n)
{
	char name[NAME_LEN + 1];

	return read_name(n, n->data.args[call->fd_arg], name) && ends_in_node(name) &&
	       is_in_dev(call, n, name);
}

bool notice_is_for_inherited(const struct raw_call *call, const struct seccomp_notif *n)
{
	return (call->when == RAW_IOCTL || call->when == RAW_MESSAGE) &&
	       raw_fd_is_node(proc_number((pid_t)n->pid), (int)n->data.args[0]);
}

static bool is_dev_folder(const struct seccomp_notif *n)
{
	char path[48], target[8] = "";

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", proc_number((pid_t)n->pid),
		 (int)n->data.args[0]);
	return readlink(path, target, sizeof(target) - 1) > 0 && strcmp(target, "/dev") == 0;
}

bool notice_is_wanted(const struct raw_call *call, enum agent_kind kind,
		      const struct seccomp_notif *n, const char *who)
{
	switch (kind) {
	case AGENT_CALL_PATH:
		return is_wanted_path(call, n, who);
	case AGENT_CALL_LIST:
		return is_dev_folder(n);
	default:
		return true;
	}
}
