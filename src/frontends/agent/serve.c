// SPDX-License-Identifier: BSD-3-Clause
/*
 * Notifications. An agent may take its time over a call of one client, and others have not to wait
 * for it. So there are threads, and another one receives if a call takes longer than a millisecond.
 *
 *	call on a path, listing ── not a node's, not of /dev ──> the kernel makes it
 *	call on a descriptor ── of a process without agent, and no node's ──> the kernel makes it
 *	process without agent ──> inject.c; the thread makes the call again
 *	process with agent ──> the agent answers, or has the kernel make it
 *	child of a process with agent ──> as docs/preload.md says of forks
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/refuse.h"
#include "base/thread.h"
#include "frontends/agent/supervisor.h"

#define NR_THREADS_MAX 64u
#define NR_WAITING_MAX 2u /* more are not kept */
#define LOCK_LOOK_MS   5  /* how often a lock is asked for */

static const struct server *server;           /* const */
static struct mutex inject_lock = MUTEX_INIT; /* two threads of a client may want an agent */
/* COMMAND has ended while it was being traced; guarded by inject_lock */
static bool ended;
static int ended_status;

/* The thread that leads receives. It keeps the lead over what is short; before it waits for long,
 * it hands the lead on. */
static struct mutex lead = MUTEX_INIT;
static __thread bool leads;
static unsigned int nr_threads, nr_waiting; /* atomic */

static void add_thread(void);

static void hand_lead_on(void) NO_TSA
{
	if (!leads)
		return;
	leads = false;
	if (__atomic_load_n(&nr_waiting, __ATOMIC_RELAXED) == 0)
		add_thread();
	mutex_unlock(&lead);
}

static void let_be(struct seccomp_notif_resp *resp)
{
	resp->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
}

/* ---- processes without agent ---- */

static bool shares_memory(pid_t tid, const struct agent_channel *channel)
{
	struct client *c = client_find(channel->client);
	bool same = c && c->channel->token == channel->token && client_shares_memory(c, tid);

	client_put(c);
	return same;
}

/* No file may be made in a node's place. */
static void answer_path(const struct raw_call *call, const struct seccomp_notif *n,
			struct seccomp_notif_resp *resp)
{
	int nr = n->data.nr;
	bool opens = nr == SYS_open || nr == SYS_openat || nr == SYS_openat2 || nr == SYS_creat;

	if (opens && notice_names_node(call, n))
		resp->error = -EBUSY;
	else
		let_be(resp);
}

/* Return: true: @resp is the answer */
static bool answer_child(const struct raw_call *call, enum agent_kind kind,
			 const struct seccomp_notif *n, const struct agent_channel *channel,
			 struct seccomp_notif_resp *resp)
{
	if (kind == AGENT_CALL_FD) {
		resp->error = raw_answer_child(call, proc_number((pid_t)n->pid),
					       (const uint64_t *)n->data.args);
		if (!resp->error)
			let_be(resp);
		return true;
	}
	if (!channel->in_use && !shares_memory((pid_t)n->pid, channel))
		return false;
	answer_path(call, n, resp);
	return true;
}

/* Threads that go on without an agent, since they got none at a call that needs none. Guarded by
 * inject_lock; one that has fallen out is tried again. */
static pid_t without[64];

static bool goes_without(pid_t tid)
{
	for (size_t i = 0; i < ARRAY_LEN(without); i++)
		if (without[i] == tid)
			return true;
	return false;
}

static void note_without(pid_t tid)
{
	static size_t next;

	without[next++ % ARRAY_LEN(without)] = tid;
}

static bool is_waiting(const struct seccomp_notif *n)
{
	uint64_t id = n->id;

	return ioctl(server->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* A lock that another process holds is asked for again and again: the agent answers one call at a
 * time. */
static void ask(enum agent_kind kind, struct client *c, const struct seccomp_notif *n,
		struct seccomp_notif_resp *resp)
{
	if (kind == AGENT_CALL_FILTER) {
		let_be(resp);
		return;
	}
	client_ask(c, n, resp, hand_lead_on);
	while (raw_call_waits(n->data.nr, (const uint64_t *)n->data.args) &&
	       resp->error == -EAGAIN && is_waiting(n)) {
		hand_lead_on();
		(void)poll(NULL, 0, LOCK_LOOK_MS);
		client_ask(c, n, resp, hand_lead_on);
	}
}

/* Return: true: answered */
static bool bring_agent(const struct raw_call *call, enum agent_kind kind,
			const struct seccomp_notif *n, struct seccomp_notif_resp *resp)
{
	bool optional = kind == AGENT_CALL_LIST || kind == AGENT_CALL_FILTER;
	struct agent_channel channel;
	struct client *c;
	bool stale, done;

	hand_lead_on();
	mutex_lock(&inject_lock);
	c = client_find((pid_t)n->pid);
	if (c) { /* another thread of it was faster */
		mutex_unlock(&inject_lock);
		ask(kind, c, n, resp);
		client_put(c);
		return false;
	}
	if (optional && goes_without((pid_t)n->pid)) {
		mutex_unlock(&inject_lock);
		let_be(resp);
		return false;
	}
	stale = client_channel_of((pid_t)n->pid, &channel) != 0;
	done = stale && answer_child(call, kind, n, &channel, resp);
	if (!done) {
		int rc = inject(server->image, server->listener, n, stale, optional);

		if (rc) {
			if (optional)
				note_without((pid_t)n->pid);
			else if (rc != -ESRCH) /* nobody is left who would want to know */
				fprintf(stderr, "%s: %s\n", server->who, refuse_reason());
		}
		server->changed();
	}
	mutex_unlock(&inject_lock);
	return !done;
}

/* ---- dispatch ---- */

/* The client of the call, unless it has executed another program since. */
static struct client *find_client(const struct seccomp_notif *n)
{
	struct client *c = client_find((pid_t)n->pid);

	if (!c || !__atomic_load_n(&c->may_exec, __ATOMIC_ACQUIRE) ||
	    client_channel_of((pid_t)n->pid, NULL) == c->channel->token)
		return c;
	hand_lead_on();
	client_end(c);
	client_put(c);
	server->changed();
	return NULL;
}

static void note_exec(struct client *c)
{
	if (!c)
		return;
	__atomic_store_n(&c->may_exec, true, __ATOMIC_RELEASE);
	client_put(c);
	server->changed();
}

/* No agent is brought for a call that any file takes: on a device its answer is always the same. */
static void answer_without_agent(const struct raw_call *call, const struct seccomp_notif *n,
				 struct seccomp_notif_resp *resp)
{
	resp->error =
		raw_answer_child(call, proc_number((pid_t)n->pid), (const uint64_t *)n->data.args);
	if (!resp->error)
		let_be(resp);
}

/* A thread of the client that has a table of descriptors of its own: its numbers are not the
 * agent's. */
static void answer_apart(const struct raw_call *call, enum agent_kind kind,
			 const struct seccomp_notif *n, struct seccomp_notif_resp *resp)
{
	if (kind == AGENT_CALL_FD)
		answer_without_agent(call, n, resp);
	else if (kind == AGENT_CALL_PATH)
		answer_path(call, n, resp);
	else
		let_be(resp);
}

/* Return: true: it has been answered already */
static bool dispatch(const struct seccomp_notif *n, struct seccomp_notif_resp *resp)
{
	enum agent_kind kind;
	const struct raw_call *call = agent_call_find(n->data.nr, &kind);
	struct client *c;
	bool answered = false;

	if (!call || !notice_is_wanted(call, kind, n, server->who)) {
		let_be(resp);
		return false;
	}
	c = find_client(n);
	if (kind == AGENT_CALL_EXEC) {
		note_exec(c);
		let_be(resp);
		return false;
	}
	if (c && !client_shares_files(c, (pid_t)n->pid))
		answer_apart(call, kind, n, resp);
	else if (c)
		ask(kind, c, n, resp);
	else if (kind != AGENT_CALL_FD || notice_is_for_inherited(call, n))
		answered = bring_agent(call, kind, n, resp);
	else
		answer_without_agent(call, n, resp);
	client_put(c);
	return answered;
}

/* ---- threads ---- */

struct room {
	struct seccomp_notif *n;
	struct seccomp_notif_resp *resp;
	size_t n_len, resp_len;
};

/* The kernel's structures may be longer than the ones we know. */
static bool get_room(struct room *room)
{
	struct seccomp_notif_sizes sizes;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return false;
	room->n_len =
		sizes.seccomp_notif > sizeof(*room->n) ? sizes.seccomp_notif : sizeof(*room->n);
	room->resp_len = sizes.seccomp_notif_resp > sizeof(*room->resp) ? sizes.seccomp_notif_resp
									: sizeof(*room->resp);
	room->n = calloc(1, room->n_len);
	room->resp = calloc(1, room->resp_len);
	return room->n && room->resp;
}

/* Return: false: there will be no more */
static bool receive(struct room *room)
{
	int rc;

	do {
		memset(room->n, 0, room->n_len);
		rc = ioctl(server->listener, SECCOMP_IOCTL_NOTIF_RECV, room->n);
	} while (rc < 0 && (errno == EINTR || errno == ENOENT)); /* it may have been killed */
	return rc >= 0;
}

/* Return: false: there will be no more */
static bool serve_one(struct room *room)
{
	if (!receive(room))
		return false;
	memset(room->resp, 0, room->resp_len);
	room->resp->id = room->n->id;
	if (!dispatch(room->n, room->resp))
		(void)ioctl(server->listener, SECCOMP_IOCTL_NOTIF_SEND, room->resp);
	return true;
}

/* Counted among those that wait when it is made, and each time it has handed the lead on. */
static void *serve(void *arg) NO_TSA
{
	struct room room = {.n = NULL};
	bool more = get_room(&room);

	while (more) {
		mutex_lock(&lead);
		leads = true;
		__atomic_sub_fetch(&nr_waiting, 1, __ATOMIC_RELAXED);
		while (more && leads)
			more = serve_one(&room);
		if (leads)
			mutex_unlock(&lead);
		if (__atomic_add_fetch(&nr_waiting, 1, __ATOMIC_RELAXED) > NR_WAITING_MAX)
			break;
	}
	__atomic_sub_fetch(&nr_waiting, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&nr_threads, 1, __ATOMIC_RELAXED);
	free(room.n);
	free(room.resp);
	return NULL;
}

static void add_thread(void)
{
	pthread_t thread;

	if (__atomic_load_n(&nr_threads, __ATOMIC_RELAXED) >= NR_THREADS_MAX)
		return;
	__atomic_add_fetch(&nr_threads, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&nr_waiting, 1, __ATOMIC_RELAXED);
	if (thread_start(&thread, serve, NULL) == 0) {
		pthread_detach(thread);
		return;
	}
	__atomic_sub_fetch(&nr_threads, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&nr_waiting, 1, __ATOMIC_RELAXED);
}

/* Of the others, nobody asks. */
void serve_ended(pid_t pid, int status)
{
	if (pid != server->command)
		return;
	ended = true;
	ended_status = status;
	server->changed();
}

/* The kernel hands the stops of a traced process to any thread that waits for children, if the
 * process is a child of this one. */
pid_t serve_reap(int *status)
{
	pid_t pid;

	mutex_lock(&inject_lock);
	pid = ended ? server->command : waitpid(-1, status, WNOHANG | __WALL | __WNOTHREAD);
	if (ended)
		*status = ended_status;
	ended = false;
	mutex_unlock(&inject_lock);
	return pid;
}

int serve_start(const struct server *s)
{
	server = s;
	add_thread();
	return nr_threads ? 0 : -EAGAIN;
}
