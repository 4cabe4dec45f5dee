// SPDX-License-Identifier: BSD-3-Clause
/*
 * The processes.
 *
 *	holdfast run      waits; hands signals on; ends as COMMAND does
 *	  supervisor      parent of COMMAND and, in place of init, of all its orphans
 *	    COMMAND
 *
 * 1. The supervisor is an ancestor of all clients, so that it may trace them where only ancestors
 *    may (Yama, ptrace_scope 1). It stays as long as a process has the filter, also when COMMAND
 *    has ended and `holdfast run` with it.
 * 2. Signals of the terminal reach COMMAND by themselves. Those that a process sends to
 *    `holdfast run` are handed on.
 * 3. COMMAND's end is told when its agent is gone, which had its descriptors.
 * 4. If `holdfast run` is killed, the supervisor kills COMMAND. If the supervisor is killed, the
 *    kernel kills COMMAND, and an agent its client. Other processes then find that the calls of
 *    serve.c give ENOSYS.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/refuse.h"
#include "frontends/agent/agent.h"
#include "frontends/agent/supervisor.h"

#define NR_FDS_MAX     (2 * NR_CLIENTS_MAX + 4)
#define EXEC_LOOK_MS   2 /* how often a client that executes a program is looked at */
#define EXEC_LOOKS_MAX 2500u
#define END_MS         200 /* within which a process ends after another one in its namespace */
#define EXIT_FAILED    1

/* What the supervisor tells `holdfast run`. */
struct report {
	pid_t pid;  /* of COMMAND */
	int status; /* as of waitpid(2); counts if @ended */
	bool ended;
};

struct supervisor {
	const struct agent_options *options;
	sigset_t before; /* signal mask that COMMAND gets */
	int reports;     /* pipe to `holdfast run`; -1: told already */
	int signals;
	int listener;
	pid_t command;
	unsigned int nr_looks; /* at clients that may have executed a program */
	struct pollfd fds[NR_FDS_MAX];
	struct client *who[NR_FDS_MAX]; /* whose process it is; NULL: none */
	size_t nr_fds;
	bool looking;
};

static int wake_fd = -1; /* const while serving */

/* ---- the supervisor's watch ---- */

static void changed(void)
{
	(void)!write(wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void watch(struct supervisor *s, int fd, short events, struct client *client)
{
	s->who[s->nr_fds] = client;
	s->fds[s->nr_fds++] = (struct pollfd){.fd = fd, .events = events};
}

static void watch_client(void *arg, struct client *client)
{
	struct supervisor *s = arg;

	if (s->nr_fds + 2 > NR_FDS_MAX)
		return;
	client->refs++; /* the list is locked */
	watch(s, client->pidfd, POLLIN, client);
	watch(s, client->agent_is_gone ? -1 : client->agent_pidfd, POLLIN, NULL);
	s->looking |= __atomic_load_n(&client->may_exec, __ATOMIC_ACQUIRE);
}

enum { FD_REPORTS, FD_SIGNALS, FD_LISTENER, FD_WAKE, NR_OWN_FDS };

static void watch_all(struct supervisor *s)
{
	s->nr_fds = 0;
	s->looking = false;
	watch(s, s->reports, 0, NULL); /* POLLERR: nobody reads any more */
	watch(s, s->signals, POLLIN, NULL);
	watch(s, s->listener, 0, NULL); /* POLLHUP: no process has the filter any more */
	watch(s, wake_fd, POLLIN, NULL);
	client_each(watch_client, s);
}

/* Nobody answers any more. The client stays in the list, so that it gets no other agent: its
 * devices are gone, as a kernel's would be. */
static void note_agent_gone(const struct supervisor *s, struct client *c)
{
	struct pollfd end = {.fd = c->pidfd, .events = POLLIN};
	uint32_t state = channel_get(&c->channel->state);

	c->agent_is_gone = true;
	while (state < AGENT_END && !channel_move(&c->channel->state, state, AGENT_GONE))
		state = channel_get(&c->channel->state);
	/* A client that is the first process of its namespace takes the agent with it. */
	if (state < AGENT_END && poll(&end, 1, END_MS) == 0)
		fprintf(stderr,
			"%s: the agent of process %d has ended unexpectedly: its devices are "
			"gone\n",
			s->options->who, (int)c->tgid);
}

/* Both belong to each other: the client's descriptor stands before the agent's. */
static void look_at_client(struct supervisor *s, size_t i)
{
	struct client *c = s->who[i];

	if (s->fds[i].revents || (__atomic_load_n(&c->may_exec, __ATOMIC_ACQUIRE) &&
				  client_channel_of(c->tgid, NULL) != c->channel->token))
		client_end(c);
	else if (s->fds[i + 1].revents)
		note_agent_gone(s, c);
}

static void look_at_clients(struct supervisor *s)
{
	for (size_t i = NR_OWN_FDS; i < s->nr_fds; i++)
		if (s->who[i])
			look_at_client(s, i);
	for (size_t i = NR_OWN_FDS; i < s->nr_fds; i++)
		client_put(s->who[i]);
}

/* ---- reports ---- */

static void report(struct supervisor *s, const struct report *r)
{
	if (s->reports >= 0)
		(void)!write(s->reports, r, sizeof(*r));
}

/* COMMAND has ended with @status. */
static void finish(struct supervisor *s, int status)
{
	struct client *c = client_find(s->command);
	int null;

	if (c)
		client_end(c);
	client_put(c);
	report(s, &(struct report){.pid = s->command, .status = status, .ended = true});
	close(s->reports);
	s->reports = -1;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		(void)dup2(null, STDERR_FILENO);
		close(null);
	}
}

static void reap(struct supervisor *s)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(s->signals, &info, sizeof(info)) > 0)
		;
	while ((pid = serve_reap(&status)) > 0)
		if (pid == s->command && (WIFEXITED(status) || WIFSIGNALED(status)))
			finish(s, status);
}

static void supervise(struct supervisor *s)
{
	uint64_t count;

	for (;;) {
		watch_all(s);
		if (!s->looking)
			s->nr_looks = 0;
		(void)poll(s->fds, s->nr_fds,
			   s->looking && s->nr_looks++ < EXEC_LOOKS_MAX ? EXEC_LOOK_MS : -1);
		look_at_clients(s);
		if (s->fds[FD_WAKE].revents) {
			(void)!read(wake_fd, &count, sizeof(count));
			s->nr_looks = 0;
		}
		reap(s);
		if (s->reports >= 0 && s->fds[FD_REPORTS].revents) {
			(void)kill(s->command, SIGKILL); /* `holdfast run` was killed */
			close(s->reports);
			s->reports = -1;
		}
		if ((s->listener < 0 || s->fds[FD_LISTENER].revents) && s->reports < 0)
			return;
	}
}

static void close_standard(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	if (null > STDERR_FILENO)
		close(null);
}

static int supervisor_main(struct supervisor *s)
{
	static struct image image;
	static struct server server;
	struct rlimit limit;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	s->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->signals < 0 || wake_fd < 0 || image_open(&image, s->options->image) ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return EXIT_FAILED;
	s->command = command_start(s->options, &s->before, s->reports, &s->listener);
	if (s->command < 0)
		return EXIT_FAILED;
	close_standard();
	report(s, &(struct report){.pid = s->command});
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	server = (struct server){.who = s->options->who,
				 .image = &image,
				 .listener = s->listener,
				 .command = s->command,
				 .changed = changed};
	if (s->listener >= 0 && serve_start(&server))
		(void)kill(s->command, SIGKILL);
	supervise(s);
	return 0;
}

/* ---- `holdfast run` ---- */

/* Does a person or the kernel mean COMMAND by it? What the terminal sends reaches COMMAND too. */
static void hand_on(const struct signalfd_siginfo *info, pid_t command)
{
	if (info->ssi_signo != SIGCHLD && info->ssi_code <= 0 && command > 0 &&
	    (pid_t)info->ssi_pid != command)
		(void)kill(command, (int)info->ssi_signo);
}

/* Return: was there a report of COMMAND's end? */
static bool wait_end(int reports, int signals, struct report *r)
{
	struct pollfd fds[2] = {{.fd = reports, .events = POLLIN},
				{.fd = signals, .events = POLLIN}};
	struct signalfd_siginfo info;

	while (!r->ended) {
		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return false;
		while (read(signals, &info, sizeof(info)) > 0)
			hand_on(&info, r->pid);
		if (fds[0].revents && read(reports, r, sizeof(*r)) != sizeof(*r))
			return false;
	}
	return true;
}

/* As COMMAND has ended, this process ends. Return: an exit status */
static int end_as(int status)
{
	const struct rlimit none = {0};
	sigset_t sig;

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&sig);
	sigaddset(&sig, WTERMSIG(status));
	(void)raise(WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &sig, NULL);
	return 128 + WTERMSIG(status);
}

/* A stop by the terminal stops this process, so that the shell sees it. */
static int block_signals(sigset_t *before)
{
	static const int open[] = {SIGTSTP, SIGTTIN, SIGTTOU, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	sigset_t blocked;

	sigfillset(&blocked);
	for (size_t i = 0; i < ARRAY_LEN(open); i++)
		sigdelset(&blocked, open[i]);
	sigprocmask(SIG_SETMASK, &blocked, before);
	return signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK);
}

int agent_run(const struct agent_options *options)
{
	static struct supervisor s;
	struct report r = {.pid = 0};
	int reports[2], signals;
	sigset_t all;
	pid_t pid;

	s = (struct supervisor){.options = options, .listener = -1};
	signals = block_signals(&s.before);
	if (signals < 0 || pipe2(reports, O_CLOEXEC) < 0)
		return EXIT_FAILED;
	pid = fork();
	if (pid == 0) {
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, NULL);
		close(signals);
		close(reports[0]);
		s.reports = reports[1];
		_exit(supervisor_main(&s));
	}
	close(reports[1]);
	if (pid > 0 && wait_end(reports[0], signals, &r))
		return end_as(r.status);
	fprintf(stderr, "%s: the supervisor of COMMAND has ended\n", options->who);
	return EXIT_FAILED;
}
