// SPDX-License-Identifier: BSD-3-Clause
#include "trace.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)

static pid_t start(char *const *argv, char *const *envp, bool traced)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	if (traced && (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0))
		_exit(126);
	execve(argv[0], argv, envp);
	_exit(127);
}

/* Is it at the start of a write to descriptor -1? */
static bool is_mark(pid_t tid)
{
	struct __ptrace_syscall_info info;

	return ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) > 0 &&
	       info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_write &&
	       (int)info.entry.args[0] == -1;
}

/* What a stopped thread is to be continued with. */
static int signal_for(int status)
{
	int sig = WSTOPSIG(status);

	if (sig == (SIGTRAP | 0x80) || sig == SIGTRAP || status >> 16 || sig == SIGSTOP)
		return 0;
	return sig;
}

/* Count a stop. Return: it is the one to die at */
static bool count(struct trace_end *end, pid_t pid, pid_t tid, unsigned int *nr_marks,
		  enum trace_who who, unsigned int nth)
{
	enum trace_who is = tid == pid ? TRACE_MAIN : TRACE_OTHERS;

	if (is == TRACE_MAIN && is_mark(tid))
		(*nr_marks)++;
	else if (*nr_marks == 1)
		return ++end->nr[is] == nth && is == who;
	return false;
}

int trace_run(char *const *argv, char *const *envp, enum trace_who who, unsigned int nth,
	      struct trace_end *end)
{
	pid_t pid = start(argv, envp, true), tid;
	unsigned int nr_marks = 0;
	int status;

	*end = (struct trace_end){.killed = false};
	if (pid < 0)
		return pid;
	if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)OPTIONS) < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return -EPERM;
	}
	(void)ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	/* The first thread's end is told when all others are gone. */
	while ((tid = waitpid(-1, &status, __WALL)) >= 0) {
		if (!WIFSTOPPED(status)) {
			if (tid != pid)
				continue;
			end->status = status;
			return 0;
		}
		if (!end->killed && WSTOPSIG(status) == (SIGTRAP | 0x80) &&
		    count(end, pid, tid, &nr_marks, who, nth)) {
			end->killed = true;
			(void)kill(pid, SIGKILL);
			continue;
		}
		(void)ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(intptr_t)signal_for(status));
	}
	return -errno;
}

int trace_run_free(char *const *argv, char *const *envp)
{
	pid_t pid = start(argv, envp, false);
	int status;

	if (pid < 0)
		return pid;
	return waitpid(pid, &status, 0) < 0 ? -errno : status;
}
