// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the files of the supervisor share.
 *
 *   run.c     the processes: who waits, who ends whom
 *   command.c what COMMAND does before it is COMMAND
 *   notice.c  notifications: which are for a device
 *   serve.c   and threads that answer them
 *   client.c  the clients that have an agent
 *   inject.c  how a client gets one
 *   remote.c  system calls that another process makes for us (ptrace)
 *   image.c   the agent's file
 *   proc.c    processes in /proc
 *
 * Thread rule: any thread of the supervisor, unless said otherwise.
 */
#ifndef HOLDFAST_FRONTENDS_AGENT_SUPERVISOR_H
#define HOLDFAST_FRONTENDS_AGENT_SUPERVISOR_H

#include <elf.h>
#include <link.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/user.h>

#include "base/compiler.h"
#include "base/mutex.h"
#include "frontends/agent/channel.h"

/* ---- command.c ---- */

struct agent_options;

/**
 * command_start() - start COMMAND
 * @mask: its signal mask; @reports: a descriptor that it is not to have
 * @listener: [out, owned] of its filter; -1 COMMAND has ended, and one line was printed
 * Return: its number; -1
 */
pid_t command_start(const struct agent_options *options, const sigset_t *mask, int reports,
		    int *listener);

/** command_window() - the numbers that its filter takes for devices'. After command_start() */
const struct raw_window *command_window(void);

/* ---- image.c ---- */

#define IMAGE_NR_SEGMENTS_MAX 16u

struct image {
	int fd;
	uint64_t
		entry; /* a `syscall` instruction, behind which a new task goes on (agent_main.c) */
	uint64_t phdr; /* offset of the program headers from the base */
	uint16_t nr_phdr;
	ElfW(Phdr) segments[IMAGE_NR_SEGMENTS_MAX]; /* PT_LOAD */
	size_t nr_segments;
};

/** image_open() - Return: 0; -errno with refuse() in words */
int image_open(struct image *image, const char *path) HF_MUST_CHECK;

/**
 * image_stack() - what a program finds on its stack: arguments, environment, auxiliary vector
 * @top: address behind it, in the client; @tid: the client, whose vector tells of the machine
 * @sp: [out] the stack pointer, in the client
 * Return: [owned] the bytes from @sp up to @top, or NULL
 */
void *image_stack(const struct image *image, pid_t tid, uint64_t top, uint64_t *sp);

/* ---- proc.c ---- */

/** proc_number() - how /proc calls thread @tid. Return: -1: it has ended */
pid_t proc_number(pid_t tid);
/* A process, in two pid namespaces. */
struct proc_ids {
	pid_t tgid; /* here */
	pid_t own;  /* in its own */
	bool is_same;
};

/** proc_ids() - the process of thread @tid. Return: 0; -ESRCH: it has ended, or there is no
 * /proc */
int proc_ids(pid_t tid, struct proc_ids *ids) HF_MUST_CHECK;

/* ---- remote.c ---- */

struct remote {
	pid_t tid;
	uint64_t insn;                /* address of a `syscall` instruction */
	uint64_t mask;                /* signal mask of the thread */
	struct user_regs_struct regs; /* of the thread, where it was stopped */
};

/** remote_seize() - have thread @tid stop as soon as it leaves the kernel. The calling thread
 * traces it then. Return: 0; -errno */
int remote_seize(struct remote *remote, pid_t tid) HF_MUST_CHECK;
/** remote_wait() - until it has stopped, in the exit of the system call whose instruction ends at
 * @ip; all its signals wait from then on. Return: 0; -ESRCH it has ended; other -errno */
int remote_wait(struct remote *remote, uint64_t ip) HF_MUST_CHECK;
/** remote_call() - Return: as the system call; -ESRCH the thread has ended */
long remote_call(struct remote *remote, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
		 uint64_t e, uint64_t f);
/** remote_leave() - trace the thread no longer: it goes on from where it is, or its end is waited
 * for */
void remote_leave(const struct remote *remote);
/** remote_let_go() - @error: what its system call gave; with 0 the thread makes the call again */
void remote_let_go(struct remote *remote, int nr, int error);

/* ---- client.c ---- */

#define NR_CLIENTS_MAX 512u

/* A process with an agent. Const but for what is said. */
struct client {
	pid_t tgid;
	int pidfd;
	int agent_pidfd;
	pid_t agent; /* 0: its number is another one here */
	struct agent_channel *channel;
	struct mutex lock;  /* one request at a time */
	bool agent_is_gone; /* the watching thread's */
	bool may_exec; /* atomic: it has called execve(2), and perhaps has another program now */
	unsigned int refs; /* under the list's lock */
	struct client *next;
};

/** client_find() - the client that thread @tid belongs to, with a reference, or NULL */
struct client *client_find(pid_t tid);
/** client_shares_memory() - is @tid a process in the client's memory, as a child of vfork(2) is? */
bool client_shares_memory(struct client *client, pid_t tid);
/** client_shares_files() - has thread @tid of the client the descriptors that the agent has? */
bool client_shares_files(const struct client *client, pid_t tid);
/** client_put() - NULL is fine */
void client_put(struct client *client);
/** client_has_room() - may there be one more? */
bool client_has_room(void);
/** client_add() - takes over the caller's reference of a client that inject.c has filled */
void client_add(struct client *client);
/** client_end() - end its agent, and wait until it is gone: it has the client's descriptors */
void client_end(struct client *client);
/** client_channel_of() - which channel is in the memory of process @pid? @channel: [out] a copy of
 * it; NULL: not asked for. Return: its token, or 0 */
uint64_t client_channel_of(pid_t pid, struct agent_channel *channel);

/** client_ask() - have the agent answer the call @n
 * @slow: called if that takes longer than most calls do */
void client_ask(struct client *client, const struct seccomp_notif *n,
		struct seccomp_notif_resp *resp, void (*slow)(void));

/** client_each() - call @fn for each, with the list's lock held */
void client_each(void (*fn)(void *arg, struct client *client), void *arg);

/** channel_create() - a new channel for @client
 * @fd: [owned] its descriptor, also after an error. Return: 0; -errno */
int channel_create(struct client *client, int *fd) HF_MUST_CHECK;

/* ---- notice.c ---- */

/** notice_is_wanted() - may the call be for a device, or does it bring an agent?
 * @who: begins a line on stderr */
bool notice_is_wanted(const struct raw_call *call, enum agent_kind kind,
		      const struct seccomp_notif *n, const char *who);
/** notice_names_node() - is a call on a path, whose process has no agent that would know, for a
 * name that a node may have in /dev? */
bool notice_names_node(const struct raw_call *call, const struct seccomp_notif *n);
/** notice_is_for_inherited() - of a process without agent: may the call be for a device that it has
 * got from elsewhere? */
bool notice_is_for_inherited(const struct raw_call *call, const struct seccomp_notif *n);

/* ---- inject.c ---- */

/**
 * inject() - put an agent into the process of the thread that waits in call @n
 * Answers @n. The thread makes the call again afterwards, or has the error.
 * @stale: an agent's channel lies there already, the parent's
 * @optional: after an error, too, the thread makes the call again
 * Return: 0, or -errno with refuse() in words
 */
int inject(const struct image *image, int listener, const struct seccomp_notif *n, bool stale,
	   bool optional) HF_MUST_CHECK;

/* ---- serve.c ---- */

struct server {
	const char *who;
	const struct image *image;
	int listener;
	pid_t command;
	void (*changed)(void); /* the list of clients has changed, or one may execute a program */
};

/** serve_start() - answer the notifications of @server's listener. Return: 0; -errno */
int serve_start(const struct server *server) HF_MUST_CHECK;
/** serve_reap() - as waitpid(2) for any child of the calling thread, without waiting, and while no
 * process is being traced */
pid_t serve_reap(int *status);
/** serve_ended() - a traced process has ended, and who waited for its stop got @status instead of
 * serve_reap(), which hands it on. While it is being traced */
void serve_ended(pid_t pid, int status);

#endif
