// SPDX-License-Identifier: BSD-3-Clause
/*
 * The agent: the library of frontends/preload in a task of its own, which has the client's memory,
 * descriptors and folders, and everything else for itself: libc, thread-local storage, signal
 * handlers, process id. The supervisor maps this program into the client and starts it
 * (inject.c). It makes the calls that the supervisor hands it, and its devices' threads run here.
 *
 * 1. The program break is the client's. The filter answers this program's brk(2) with ENOMEM, so
 *    libc's heap lies in mappings of its own.
 * 2. Signals of the client's process group and terminal reach this process, too. All are ignored;
 *    it ends when the supervisor says so.
 * 3. The supervisor holds a futex of the channel. When it is gone, so that nobody answers the
 *    client's calls any more, the client is ended, as `kill -9` of `holdfast run` ends a client
 *    that has the library preloaded. An agent in a pid namespace of its own cannot see the
 *    supervisor: it ends within a second after the client. Both may be gone when this process
 *    begins. So the channel, and not getppid(2), says who the client is.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/thread.h"
#include "frontends/agent/channel.h"
#include "frontends/preload/call.h"
#include "frontends/preload/mask.h"
#include "frontends/preload/node.h"

#define NAME "holdfast-agent"

static struct raw_window window;
static pid_t client;   /* const; this process is its child until it ends */
static uint32_t never; /* a futex that nobody wakes */

/* Where the supervisor starts a task: in the exit of clone(2), or of whatever call a person makes
 * who runs the file. The linker is told that this is the program's entry. */
__asm__(".text\n"
	".globl agent_start\n"
	"agent_start:\n"
	"	syscall\n"
	"	xor %edx, %edx\n"
	"	xor %ebp, %ebp\n"
	"	jmp _start\n");

/* ---- what raw.c is to the preloaded library: the client's calls come by themselves ---- */

void raw_start(void)
{
}

const struct raw_window *raw_window(void)
{
	return &window;
}

/* No SIGSYS is raised. */
bool mask_is_kept;

/* The supervisor has it. */
int raw_listener(void)
{
	return -1;
}

/* ---- */

static void settle_signals(void)
{
	sigset_t blocked;

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGSEGV && sig != SIGBUS)
			(void)signal(sig, SIG_IGN);
	(void)signal(SIGSEGV, SIG_DFL);
	(void)signal(SIGBUS, SIG_DFL);
	sigfillset(&blocked);
	sigdelset(&blocked, SIGSEGV);
	sigdelset(&blocked, SIGBUS);
	(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/* The window is chosen when COMMAND begins. A client that has lowered its limit since has it in its
 * own process; here a device's number may lie beyond it. */
static void reach_window(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > (rlim_t)window.last)
		return;
	limit.rlim_cur =
		limit.rlim_max < (rlim_t)window.last + 1 ? limit.rlim_max : (rlim_t)window.last + 1;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Waits for the end of the supervisor: it never lets the futex go, so the kernel hands it over when
 * its owner has ended. Return: false: the supervisor is out of sight, in an outer pid namespace */
static bool wait_for_supervisor(struct agent_channel *channel)
{
	long rc;

	if (!channel->sees_supervisor)
		return false;
	do {
		rc = syscall(SYS_futex, &channel->alive, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
	} while (rc < 0 && (errno == EINTR || errno == EAGAIN));
	return rc == 0 || errno == ESRCH;
}

/* (3) */
static void *watch_supervisor(void *arg)
{
	thread_settle("holdfast-watch");
	if (wait_for_supervisor(arg)) {
		hf_err("agent",
		       "holdfast run was killed, so the devices are gone: ending process %d",
		       (int)client);
		if (getppid() == client)
			(void)kill(client, SIGKILL);
		_exit(1);
	}
	while (getppid() == client)
		channel_wait(&never, 0, &(struct timespec){.tv_sec = 1});
	_exit(0);
}

static void close_one(int fd)
{
	(void)raw_call_serve(raw_call_find(SYS_close), (uint64_t[RAW_NR_ARGS]){(uint64_t)fd});
}

/* What else lies in the range may take long to close, so the client's thread closes it by itself. A
 * call that the kernel refuses, or that closes nothing, is the kernel's. */
static void close_devices(const uint64_t args[RAW_NR_ARGS])
{
	if ((unsigned int)args[2] == 0)
		files_each((unsigned int)args[0], (unsigned int)args[1], close_one);
}

static void serve(struct agent_channel *channel)
{
	const struct raw_call *call = raw_call_find(channel->nr);
	uint64_t args[RAW_NR_ARGS];
	bool ours = false;
	long rc = 0;

	memcpy(args, channel->args, sizeof(args));
	if (raw_call_waits(channel->nr, args)) /* the supervisor asks again */
		raw_call_do_not_wait(args);
	call_on_behalf(channel->tid);
	errno = 0;
	if (channel->nr == SYS_close_range) {
		close_devices(args);
	} else if (call && raw_call_is_ours(call, args)) {
		ours = true;
		rc = raw_call_serve(call, args);
	}
	channel->error = ours && rc == -1 ? -errno : 0;
	channel->value = rc == -1 ? 0 : rc;
	channel->pass = !ours;
	__atomic_store_n(&channel->in_use, node_is_claimed(), __ATOMIC_RELAXED);
}

int main(int argc, char **argv)
{
	struct agent_channel *channel = (struct agent_channel *)AGENT_CHANNEL;
	pthread_t watcher;

	if (argc != 1 || strcmp(argv[0], AGENT_NAME) != 0) {
		fputs(NAME ": holdfast run starts this program; by itself it does nothing\n",
		      stderr);
		return 2;
	}
	settle_signals();
	thread_settle(NAME);
	window = channel->window;
	reach_window();
	client = channel->client_here;
	if (thread_start(&watcher, watch_supervisor, channel) != 0)
		return 1;
	for (;;) {
		uint32_t state = channel_get(&channel->state);

		if (state == AGENT_END)
			return 0;
		if (state != AGENT_ASKED) {
			channel_wait(&channel->state, state, NULL);
			continue;
		}
		serve(channel);
		(void)channel_move(&channel->state, AGENT_ASKED, AGENT_ANSWERED);
	}
}
