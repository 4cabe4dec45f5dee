// SPDX-License-Identifier: BSD-3-Clause
/*
 * How an agent comes into a client. One thread of the client waits in a call on a node, notified;
 * the others run on.
 *
 *	descriptors of the agent's file and of a new channel go to the client (ADDFD)
 *	the thread is seized, and its call answered: it stops before it is back in its program
 *	it maps the file's segments, a stack, and the channel; closes the two descriptors
 *	it clones the agent: a process that shares memory and descriptors
 *	its registers are put back, so that it makes its call once more
 *
 * 1. The agent is its child, with no signal at exit, so that no wait(2) of the client's sees it.
 *    Its process descriptor is handed out by clone(2) itself: no number can mean another process.
 * 2. What goes wrong on the way becomes the result of the client's call, and nothing stays but
 *    mapped memory. An agent that has begun to run finds its channel at its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/refuse.h"
#include "frontends/agent/supervisor.h"

#define RESTART_ALWAYS 513   /* the kernel's own error: the call is made again, after signals too */
#define TLS_LEN        4096u /* below the top of the stack; the agent's libc makes its own */

struct injection {
	const struct image *image;
	struct remote remote;
	struct client *client;
	int channel_fd;           /* here */
	int image_at, channel_at; /* the same two in the client */
};

/* ---- memory ---- */

static uint64_t page_down(uint64_t x)
{
	return x & ~4095ull;
}

static uint64_t page_up(uint64_t x)
{
	return page_down(x + 4095);
}

static int map(struct injection *j, uint64_t at, uint64_t len, int prot, int flags, int fd,
	       uint64_t off)
{
	long rc = remote_call(&j->remote, SYS_mmap, at, len, (uint64_t)prot, (uint64_t)flags,
			      (uint64_t)(int64_t)fd, off);

	return rc < 0 ? (int)rc : (uint64_t)rc == at ? 0 : -EEXIST;
}

static int write_to(const struct injection *j, uint64_t at, const void *bytes, size_t len)
{
	struct iovec own = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct iovec theirs = {.iov_base = (void *)at, .iov_len = len};

	ssize_t n = process_vm_writev(j->remote.tid, &own, 1, &theirs, 1, 0);

	return n < 0 ? -errno : (size_t)n == len ? 0 : -EFAULT;
}

/* As the kernel maps a program: the file's pages, zeros behind the file's last byte. */
static int map_segment(struct injection *j, const ElfW(Phdr) * p)
{
	static const char zeros[4096];
	uint64_t at = AGENT_BASE + page_down(p->p_vaddr), file_end, end;
	int prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
		   (p->p_flags & PF_X ? PROT_EXEC : 0);
	int rc;

	file_end = AGENT_BASE + p->p_vaddr + p->p_filesz;
	end = page_up(AGENT_BASE + p->p_vaddr + p->p_memsz);
	rc = map(j, at, page_up(file_end) - at, prot, MAP_PRIVATE | MAP_FIXED, j->image_at,
		 page_down(p->p_offset));
	if (!rc && (p->p_flags & PF_W) && file_end != page_up(file_end))
		rc = write_to(j, file_end, zeros, page_up(file_end) - file_end);
	if (!rc && end > page_up(file_end))
		rc = map(j, page_up(file_end), end - page_up(file_end), prot,
			 MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
	return rc;
}

static int map_all(struct injection *j, bool stale)
{
	int rc = 0;

	if (stale)
		rc = (int)remote_call(&j->remote, SYS_munmap, AGENT_BASE, AGENT_LEN, 0, 0, 0, 0);
	if (!rc)
		rc = map(j, AGENT_BASE, AGENT_LEN, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	for (size_t i = 0; i < j->image->nr_segments && !rc; i++)
		rc = map_segment(j, &j->image->segments[i]);
	if (!rc)
		rc = map(j, AGENT_STACK, AGENT_STACK_LEN, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
	if (!rc)
		rc = map(j, AGENT_CHANNEL, AGENT_CHANNEL_LEN, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, j->channel_at, 0);
	/* from here on by an instruction of the agent's, whose calls the filter lets be */
	if (!rc)
		j->remote.insn = j->image->entry;
	return rc;
}

/* ---- the agent's process ---- */

static int start(struct injection *j)
{
	uint64_t top = AGENT_STACK + AGENT_STACK_LEN - TLS_LEN, sp, tls = top + TLS_LEN / 2;
	const uint64_t flags =
		CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_UNTRACED | CLONE_SETTLS | CLONE_PIDFD;
	void *stack = image_stack(j->image, j->remote.tid, top, &sp);
	int fd = -1, rc;
	long pid;

	if (!stack)
		return -ENOMEM;
	rc = write_to(j, sp, stack, top - sp);
	free(stack);
	if (rc)
		return rc;
	pid = remote_call(&j->remote, SYS_clone, flags, sp, tls, 0, tls, 0);
	if (pid < 0)
		return (int)pid;
	if (process_vm_readv(j->remote.tid, &(struct iovec){&fd, sizeof(fd)}, 1,
			     &(struct iovec){(void *)tls, sizeof(fd)}, 1, 0) != sizeof(fd))
		return -ESRCH;
	j->client->agent_pidfd = (int)syscall(SYS_pidfd_getfd, j->client->pidfd, fd, 0);
	rc = j->client->agent_pidfd < 0 ? -errno : 0;
	j->client->agent = j->client->channel->sees_supervisor ? (pid_t)pid : 0;
	(void)remote_call(&j->remote, SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
	return rc;
}

/* ---- the client ---- */

static int add_fd(int listener, const struct seccomp_notif *n, int fd)
{
	struct seccomp_notif_addfd add = {
		.id = n->id, .srcfd = (uint32_t)fd, .newfd_flags = O_CLOEXEC};
	int at = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

	return at < 0 ? -errno : at;
}

static int answer(int listener, const struct seccomp_notif *n, int error)
{
	struct seccomp_notif_resp resp = {.id = n->id, .error = error};

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp) < 0 ? -errno : 0;
}

/* Return: 0, with all that a client needs but the agent; -errno */
static int prepare(struct injection *j, pid_t tid)
{
	struct client *c = calloc(1, sizeof(*c));
	struct proc_ids ids;
	int rc;

	j->client = c;
	if (!c)
		return -ENOMEM;
	if (!client_has_room()) {
		free(c);
		j->client = NULL;
		return -EUSERS;
	}
	mutex_init(&c->lock);
	c->refs = 1;
	c->agent_pidfd = c->pidfd = -1;
	rc = channel_create(c, &j->channel_fd);
	if (!rc)
		rc = proc_ids(tid, &ids);
	if (rc)
		return rc;
	c->tgid = ids.tgid;
	c->pidfd = (int)syscall(SYS_pidfd_open, c->tgid, 0);
	c->channel->client = c->tgid;
	c->channel->client_here = ids.own;
	c->channel->sees_supervisor = ids.is_same;
	return c->pidfd < 0 ? -errno : 0;
}

static const char *why(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return "it does not let itself be traced (PR_SET_DUMPABLE, a debugger, or its own "
		       "filter)";
	case -EEXIST:
		return "something else lies where the agent goes";
	case -EAGAIN:
		return "it was interrupted";
	}
	return strerror(-err);
}

static int add_fds(struct injection *j, int listener, const struct seccomp_notif *n)
{
	int rc = j->image_at = add_fd(listener, n, j->image->fd);

	if (rc >= 0)
		rc = j->channel_at = add_fd(listener, n, j->channel_fd);
	return rc < 0 ? rc : 0;
}

static void close_in_client(struct injection *j)
{
	if (j->image_at >= 0)
		(void)remote_call(&j->remote, SYS_close, (uint64_t)j->image_at, 0, 0, 0, 0, 0);
	if (j->channel_at >= 0)
		(void)remote_call(&j->remote, SYS_close, (uint64_t)j->channel_at, 0, 0, 0, 0, 0);
}

/* Devices get high numbers. While a table of descriptors is shared, the kernel waits for an RCU
 * grace period, some 10 ms, before it makes the table longer. So it is made longer before the agent
 * shares it. */
static void lengthen_table(struct injection *j)
{
	long fd = remote_call(&j->remote, SYS_fcntl, (uint64_t)j->channel_at, F_DUPFD_CLOEXEC,
			      (uint64_t)j->client->channel->window.last, 0, 0, 0);

	if (fd >= 0)
		(void)remote_call(&j->remote, SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
}

/* The thread is traced already. It is let go, whatever happens. */
static int put_into(struct injection *j, int listener, const struct seccomp_notif *n, bool stale,
		    bool optional)
{
	int rc = add_fds(j, listener, n), err = answer(listener, n, -RESTART_ALWAYS);

	if (err && err != -ENOENT) {
		remote_leave(&j->remote);
		return err;
	}
	err = remote_wait(&j->remote, n->data.instruction_pointer);
	if (err)
		return err;
	if (!rc)
		rc = map_all(j, stale);
	if (!rc)
		lengthen_table(j);
	if (!rc)
		rc = start(j);
	close_in_client(j);
	if (!rc)
		client_add(j->client);
	remote_let_go(&j->remote, n->data.nr, rc && !optional ? -ENODEV : 0);
	return rc;
}

/* No thread was seized. */
static void give_up(int listener, const struct seccomp_notif *n, bool optional)
{
	struct seccomp_notif_resp resp = {.id = n->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	if (optional)
		(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	else
		(void)answer(listener, n, -ENODEV);
}

int inject(const struct image *image, int listener, const struct seccomp_notif *n, bool stale,
	   bool optional)
{
	struct injection j = {.image = image, .channel_fd = -1, .image_at = -1, .channel_at = -1};
	int rc = prepare(&j, (pid_t)n->pid);

	if (!rc)
		rc = remote_seize(&j.remote, (pid_t)n->pid);
	if (rc)
		give_up(listener, n, optional);
	else
		rc = put_into(&j, listener, n, stale, optional);
	if (j.channel_fd >= 0)
		close(j.channel_fd);
	if (!rc)
		return 0;
	if (j.client && j.client->channel)
		channel_set(&j.client->channel->state, AGENT_END);
	client_put(j.client);
	return refuse(rc, "process %u gets no agent: %s", n->pid, why(rc));
}
