// SPDX-License-Identifier: BSD-3-Clause
/*
 * System calls that another process makes for us.
 *
 * 1. The thread waits in a system call when it is seized. The answer to that call makes it leave,
 *    and it stops before it is back in its program. So it is known where it is, and nothing of its
 *    own is under way.
 * 2. The calls are made by a `syscall` instruction of the client's, and later of the agent's. No
 *    instruction is written and no breakpoint: the thread stops in the exit of each call.
 * 3. Meanwhile all its signals wait. A stop of the whole process takes effect afterwards.
 * 4. If the supervisor dies, the kernel kills the client: it would be left in the middle.
 * 5. A thread that cannot be let go has been killed, with its whole process perhaps. Who traces it
 *    waits for its end, or its process stays a zombie that nobody can take.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "frontends/agent/supervisor.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)
#define INSN_LEN     2u

/* Return: the signal that it has stopped with, the event above; -ESRCH it has ended */
static int wait_stop(const struct remote *remote)
{
	int status;

	while (waitpid(remote->tid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -ESRCH;
	if (WIFSTOPPED(status))
		return status >> 8;
	serve_ended(remote->tid, status);
	return -ESRCH;
}

static bool is_event(int stop)
{
	return stop >> 8 == PTRACE_EVENT_STOP;
}

static int signal_of(int stop)
{
	return is_event(stop) || stop == SYSCALL_STOP ? 0 : stop & 0x7f;
}

/* Rule 5. */
void remote_leave(const struct remote *remote)
{
	int stop = SYSCALL_STOP;

	while (ptrace(PTRACE_DETACH, remote->tid, 0, signal_of(stop)) < 0)
		if ((stop = wait_stop(remote)) < 0)
			return;
}

static int lost(const struct remote *remote)
{
	remote_leave(remote);
	return -ESRCH;
}

int remote_seize(struct remote *remote, pid_t tid)
{
	*remote = (struct remote){.tid = tid};
	if (ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
		return -errno;
	return ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0 ? lost(remote) : 0;
}

int remote_wait(struct remote *remote, uint64_t ip)
{
	const uint64_t all = ~0ULL;
	int stop;

	while ((stop = wait_stop(remote)) >= 0 && !is_event(stop))
		if (ptrace(PTRACE_CONT, remote->tid, 0, signal_of(stop)) < 0)
			return lost(remote);
	if (stop < 0)
		return stop;
	if (ptrace(PTRACE_GETREGS, remote->tid, 0, &remote->regs) < 0 ||
	    ptrace(PTRACE_GETSIGMASK, remote->tid, sizeof(remote->mask), &remote->mask) < 0 ||
	    ptrace(PTRACE_SETSIGMASK, remote->tid, sizeof(all), &all) < 0)
		return lost(remote);
	remote->insn = ip - INSN_LEN;
	if (remote->regs.rip == ip)
		return 0;
	(void)ptrace(PTRACE_SETSIGMASK, remote->tid, sizeof(remote->mask), &remote->mask);
	remote_leave(remote);
	return -EAGAIN;
}

/* Return: 0 when it has stopped at the entry or the exit of a system call; -ESRCH */
static int go_on(const struct remote *remote)
{
	int stop, sig = 0;

	do {
		if (ptrace(PTRACE_SYSCALL, remote->tid, 0, sig) < 0)
			return -ESRCH;
		stop = wait_stop(remote);
		sig = signal_of(stop);
	} while (stop >= 0 && stop != SYSCALL_STOP);
	return stop < 0 ? stop : 0;
}

long remote_call(struct remote *remote, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
		 uint64_t e, uint64_t f)
{
	struct user_regs_struct regs = remote->regs;

	regs.rip = remote->insn;
	regs.rax = (uint64_t)nr;
	regs.orig_rax = ~0ULL; /* no call is under way that could be made again */
	regs.rdi = a;
	regs.rsi = b;
	regs.rdx = c;
	regs.r10 = d;
	regs.r8 = e;
	regs.r9 = f;
	if (ptrace(PTRACE_SETREGS, remote->tid, 0, &regs) < 0 || go_on(remote) || go_on(remote) ||
	    ptrace(PTRACE_GETREGS, remote->tid, 0, &regs) < 0)
		return -ESRCH;
	return (long)regs.rax;
}

void remote_let_go(struct remote *remote, int nr, int error)
{
	struct user_regs_struct regs = remote->regs;

	regs.orig_rax = ~0ULL;
	regs.rax = (uint64_t)(int64_t)(error ? error : nr);
	if (!error)
		regs.rip -= INSN_LEN;
	(void)ptrace(PTRACE_SETREGS, remote->tid, 0, &regs);
	(void)ptrace(PTRACE_SETSIGMASK, remote->tid, sizeof(remote->mask), &remote->mask);
	remote_leave(remote);
}
