// SPDX-License-Identifier: BSD-3-Clause
/*
 * COMMAND's beginning: it installs the filter by itself, sends the listener to the supervisor, and
 * becomes its program. It dies with the supervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/refuse.h"
#include "frontends/agent/agent.h"
#include "frontends/agent/supervisor.h"

#define EXIT_FAILED  1
#define EXIT_NO_EXEC 126 /* as for a program that cannot be run */

/* ---- checks ---- */

int agent_check(const char *path)
{
	struct image image;
	char scope = '0';
	int fd, rc;

#if !defined(__x86_64__)
	return refuse(-ENOSYS, "programs are served so on x86-64 only");
#endif
	fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &scope, 1) < 0)
		scope = '0';
	if (fd >= 0)
		close(fd);
	if (scope == '3' || (scope == '2' && geteuid() != 0))
		return refuse(-EPERM,
			      "this system lets no process trace its own (kernel.yama.ptrace_scope "
			      "is %c)",
			      scope);
	rc = image_open(&image, path);
	if (!rc)
		close(image.fd);
	return rc;
}

static int send_fd(int socket, int fd)
{
	char byte = 0, room[CMSG_SPACE(sizeof(fd))] = {0};
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = room,
			     .msg_controllen = sizeof(room)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(socket, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Return: the descriptor, or -1 */
static int receive_fd(int socket)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = room,
			     .msg_controllen = sizeof(room)};
	struct cmsghdr *cmsg;
	int fd = -1;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

/* Of COMMAND's limit. The supervisor has a higher one, and the filter's window is every agent's. */
static struct raw_window window; /* const after command_start() */

const struct raw_window *command_window(void)
{
	return &window;
}

static int install_filter(void)
{
	const struct raw_range agent = {.first = AGENT_BASE, .last = AGENT_BASE + AGENT_LEN - 1};
	struct raw_filter filter = {.ranges = &agent,
				    .nr_ranges = 1,
				    .from_outside = true,
				    .also = agent_calls,
				    .nr_also = agent_nr_calls,
				    .window = &window};

	return raw_filter_install(&filter);
}

static const char *filter_trouble(int err)
{
	switch (err) {
	case -EBUSY:
		return "a filter with a listener is there already: holdfast run inside another "
		       "one?";
	case -EINVAL:
		return "Linux 5.19 or newer is needed";
	}
	return strerror(-err);
}

/* In COMMAND's process. */
static int become(const struct agent_options *options, const sigset_t *mask, int socket,
		  pid_t parent)
{
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return EXIT_FAILED;
	fd_lengthen_table(); /* it outlives execve(2), and COMMAND may have threads */
	fd = install_filter();
	if (fd < 0) {
		fprintf(stderr, "%s: system calls cannot be caught: %s\n", options->who,
			filter_trouble(fd));
		return EXIT_NO_EXEC;
	}
	if (send_fd(socket, fd) < 0)
		return EXIT_FAILED;
	close(fd);
	close(socket);
	sigprocmask(SIG_SETMASK, mask, NULL);
	return options->become(options->arg);
}

pid_t command_start(const struct agent_options *options, const sigset_t *mask, int reports,
		    int *listener)
{
	pid_t self = getpid(), command;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	raw_window_choose(&window);
	command = fork();
	if (command == 0) {
		close(pair[0]);
		close(reports);
		_exit(become(options, mask, pair[1], self));
	}
	close(pair[1]);
	*listener = command > 0 ? receive_fd(pair[0]) : -1;
	close(pair[0]);
	return command;
}
