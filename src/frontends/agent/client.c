// SPDX-License-Identifier: BSD-3-Clause
/*
 * The list of clients, and what is said over a channel.
 *
 * 1. Whether a thread belongs to a client is asked of the kernel (tgkill without a signal), so a
 *    thread that is new is known.
 * 2. The thread that made a channel holds the channel's robust mutex and lives as long as the
 *    supervisor; if the supervisor is killed, the kernel tells the agent.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "frontends/agent/supervisor.h"

#define END_MS  1000
#define KILL_MS 5000

static struct mutex list_lock = MUTEX_INIT;
static struct client *clients GUARDED_BY(list_lock);
static unsigned int nr_clients GUARDED_BY(list_lock);

/* ---- list ---- */

/* What a thread has made. The kernel walks the list of a thread's robust mutexes when it ends, so a
 * channel's memory stays until the thread that holds its mutex has unlocked it. */
struct owned {
	struct agent_channel *channel;
	bool is_over; /* atomic */
	struct owned *next;
};

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
	if (c->owned)
		__atomic_store_n(&c->owned->is_over, true, __ATOMIC_RELEASE);
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

static int init_alive(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;
	int rc = pthread_mutexattr_init(&attr);

	if (rc)
		return rc;
	(void)pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	(void)pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	rc = pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
	return rc ? rc : pthread_mutex_lock(mutex);
}

static __thread struct owned *owned;

static void sweep(void)
{
	for (struct owned **at = &owned, *o; (o = *at);) {
		if (!__atomic_load_n(&o->is_over, __ATOMIC_ACQUIRE)) {
			at = &o->next;
			continue;
		}
		*at = o->next;
		(void)pthread_mutex_unlock(&o->channel->alive);
		munmap(o->channel, AGENT_CHANNEL_LEN);
		free(o);
	}
}

static struct agent_channel *map_channel(int *fd)
{
	struct agent_channel *channel;

	*fd = (int)syscall(SYS_memfd_create, "holdfast-agent", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, AGENT_CHANNEL_LEN) < 0)
		return NULL;
	channel = mmap(NULL, AGENT_CHANNEL_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	return channel == MAP_FAILED ? NULL : channel;
}

int channel_create(struct client *client, int *fd)
{
	static uint32_t serial; /* atomic */
	struct agent_channel *channel;
	struct owned *o;
	int rc;

	sweep();
	o = calloc(1, sizeof(*o));
	channel = o ? map_channel(fd) : NULL;
	rc = channel ? init_alive(&channel->alive) : errno;
	if (rc) {
		if (channel)
			munmap(channel, AGENT_CHANNEL_LEN);
		free(o);
		return -rc;
	}
	raw_window_choose(&channel->window);
	channel->token = AGENT_TOKEN | __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
	*o = (struct owned){.channel = channel, .next = owned};
	owned = o;
	client->channel = channel;
	client->owned = o;
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

static void put_question(struct agent_channel *channel, const struct seccomp_notif *n)
{
	channel->nr = n->data.nr;
	channel->tid = (pid_t)n->pid;
	for (size_t i = 0; i < RAW_NR_ARGS; i++)
		channel->args[i] = n->data.args[i];
}

void client_ask(struct client *client, const struct seccomp_notif *n,
		struct seccomp_notif_resp *resp)
{
	struct agent_channel *channel = client->channel;

	mutex_lock(&client->lock);
	put_question(channel, n);
	if (channel_move(&channel->state, AGENT_IDLE, AGENT_ASKED))
		while (channel_get(&channel->state) == AGENT_ASKED)
			channel_wait(&channel->state, AGENT_ASKED, NULL);
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
