// SPDX-License-Identifier: BSD-3-Clause
/*
 * The list of clients, and what is said over a channel.
 *
 * 1. Whether a thread belongs to a client is asked of the kernel (tgkill without a signal), so a
 *    thread that is new is known.
 * 2. The client can write to its channel. Nothing here follows what stands there but as a state, an
 *    error and a result for the client itself.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "frontends/agent/supervisor.h"

#define END_MS      1000
#define KILL_MS     5000
#define PATIENCE_NS 1000000

static struct mutex list_lock = MUTEX_INIT;
static struct client *clients GUARDED_BY(list_lock);
static unsigned int nr_clients GUARDED_BY(list_lock);

/* ---- list ---- */

static bool is_thread_of(const struct client *client, pid_t tid)
{
	return client->tgid == tid || syscall(SYS_tgkill, client->tgid, tid, 0) == 0 ||
	       errno != ESRCH;
}

struct client *client_find(pid_t tid)
{
	struct client *c;

	mutex_lock(&list_lock);
	for (c = clients; c && !is_thread_of(c, tid); c = c->next)
		;
	if (c)
		c->refs++;
	mutex_unlock(&list_lock);
	return c;
}

void client_put(struct client *c)
{
	bool last;

	if (!c)
		return;
	mutex_lock(&list_lock);
	last = --c->refs == 0;
	mutex_unlock(&list_lock);
	if (!last)
		return;
	if (c->channel)
		munmap(c->channel, AGENT_CHANNEL_LEN);
	if (c->pidfd >= 0)
		close(c->pidfd);
	if (c->agent_pidfd >= 0)
		close(c->agent_pidfd);
	mutex_fini(&c->lock);
	free(c);
}

bool client_has_room(void)
{
	bool room;

	mutex_lock(&list_lock);
	room = nr_clients < NR_CLIENTS_MAX;
	mutex_unlock(&list_lock);
	return room;
}

void client_add(struct client *client)
{
	mutex_lock(&list_lock);
	nr_clients++;
	client->next = clients;
	clients = client;
	mutex_unlock(&list_lock);
}

void client_each(void (*fn)(void *arg, struct client *client), void *arg)
{
	mutex_lock(&list_lock);
	for (struct client *c = clients; c; c = c->next)
		fn(arg, c);
	mutex_unlock(&list_lock);
}

static bool take_out(struct client *client)
{
	bool found = false;

	mutex_lock(&list_lock);
	for (struct client **at = &clients; *at && !found; at = &(*at)->next) {
		if (*at != client)
			continue;
		*at = client->next;
		nr_clients--;
		found = true;
		break;
	}
	mutex_unlock(&list_lock);
	return found;
}

static bool wait_gone(const struct client *client, int timeout_ms)
{
	struct pollfd pfd = {.fd = client->agent_pidfd, .events = POLLIN};

	return poll(&pfd, 1, timeout_ms) == 1;
}

void client_end(struct client *client)
{
	if (!take_out(client))
		return; /* another thread does */
	/* who waits for an answer gets none */
	channel_set(&client->channel->state, AGENT_END);
	if (!wait_gone(client, END_MS)) {
		(void)syscall(SYS_pidfd_send_signal, client->agent_pidfd, SIGKILL, NULL, 0);
		(void)wait_gone(client, KILL_MS);
	}
	client_put(client);
}

/* ---- channel ---- */

int channel_create(struct client *client, int *fd)
{
	static uint32_t serial; /* atomic */
	struct agent_channel *channel;

	*fd = (int)syscall(SYS_memfd_create, "holdfast-agent", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, AGENT_CHANNEL_LEN) < 0)
		return -errno;
	channel = mmap(NULL, AGENT_CHANNEL_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (channel == MAP_FAILED)
		return -errno;
	channel->window = *command_window();
	channel->token = AGENT_TOKEN | __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
	channel->alive = (uint32_t)getpid();
	client->channel = channel;
	return 0;
}

uint64_t client_channel_of(pid_t pid, struct agent_channel *channel)
{
	struct agent_channel there;
	struct iovec own = {.iov_base = &there, .iov_len = sizeof(there)};
	struct iovec theirs = {.iov_base = (void *)AGENT_CHANNEL, .iov_len = sizeof(there)};

	if (process_vm_readv(pid, &own, 1, &theirs, 1, 0) != sizeof(there) ||
	    (there.token & AGENT_TOKEN_MASK) != (AGENT_TOKEN & AGENT_TOKEN_MASK))
		return 0;
	if (channel)
		*channel = there;
	return there.token;
}

/* A number that is written into the client's memory is there for who shares it, and not in a copy.
 * The place is the thread-local storage that the agent began with. */
bool client_shares_memory(struct client *client, pid_t tid)
{
	static uint64_t serial; /* atomic */
	uint64_t number = __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED), found = 0;
	struct iovec here = {.iov_base = &number, .iov_len = sizeof(number)};
	struct iovec back = {.iov_base = &found, .iov_len = sizeof(found)};
	struct iovec there = {.iov_base = (void *)(AGENT_STACK + AGENT_STACK_LEN - sizeof(number)),
			      .iov_len = sizeof(number)};

	return process_vm_writev(client->tgid, &here, 1, &there, 1, 0) == sizeof(number) &&
	       process_vm_readv(tid, &back, 1, &there, 1, 0) == sizeof(found) && found == number;
}

bool client_shares_files(const struct client *client, pid_t tid)
{
	return client->agent == 0 || fd_shares_table(client->agent, tid);
}

static void put_question(struct agent_channel *channel, const struct seccomp_notif *n)
{
	channel->nr = n->data.nr;
	channel->tid = (pid_t)n->pid;
	for (size_t i = 0; i < RAW_NR_ARGS; i++)
		channel->args[i] = n->data.args[i];
}

static void wait_answer(struct agent_channel *channel, void (*slow)(void))
{
	const struct timespec patience = {.tv_nsec = PATIENCE_NS};

	channel_wait(&channel->state, AGENT_ASKED, &patience);
	if (channel_get(&channel->state) == AGENT_ASKED)
		slow();
	while (channel_get(&channel->state) == AGENT_ASKED)
		channel_wait(&channel->state, AGENT_ASKED, NULL);
}

void client_ask(struct client *client, const struct seccomp_notif *n,
		struct seccomp_notif_resp *resp, void (*slow)(void))
{
	struct agent_channel *channel = client->channel;

	if (!mutex_trylock(&client->lock)) {
		slow();
		mutex_lock(&client->lock);
	}
	put_question(channel, n);
	if (channel_move(&channel->state, AGENT_IDLE, AGENT_ASKED))
		wait_answer(channel, slow);
	if (channel_get(&channel->state) == AGENT_ANSWERED) {
		resp->error = channel->error;
		resp->val = channel->error ? 0 : channel->value;
		resp->flags = channel->pass ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
		(void)channel_move(&channel->state, AGENT_ANSWERED, AGENT_IDLE);
	} else {
		resp->error = -ENODEV; /* the agent has been ended, or killed */
	}
	mutex_unlock(&client->lock);
}
