// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does a device touch memory after it said that it would not? A reply to INVALIDATE, SET_STATUS(0),
 * SUSPEND, GET_VRING_BASE, to ENABLE 0 or to SET_FEATURES without LOG_ALL is such a promise. Each
 * round makes one of these calls under traffic that never rests, and takes the memory away at once
 * (PROT_NONE). Then it waits a little, gives the memory back, and goes on when the device has used
 * a chain again.
 *
 * A late access is seen in three ways, whichever comes first:
 *
 *   a fault     the program runs under a tracer, its own parent, which sees each SIGSEGV and SIGBUS
 *               before any handler, and looks whether its address is in client memory
 *   the status  NEEDS_RESET, for a ring breaks when a system call finds memory gone
 *   the log     the dirty log is empty at the reply, and must be empty later
 *
 *   late PATH [ROUNDS] [--peer tap:NAME|stream:SOCKET] [--strict] [--remap] [--no-unmap]
 *        [--ring split|packed|in_order|packed,in_order] [--early] [--json]
 *
 * --no-unmap leaves INVALIDATE out, for a device whose queues break where nothing is mapped.
 * --remap maps all anew after each reset, for a device whose resets drop mappings.
 * --early takes the memory away before the call, as if the device were late by the whole call: then
 * rounds of each kind must be seen, or the program fails. So it is known that it can see them.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/client.h"
#include "traffic.h"

#define LEN(a)   (sizeof(a) / sizeof((a)[0]))
#define WATCH_NS 30000    /* most rounds wait so long for a late access */
#define LONG_MS  2        /* and each 64th one so long */
#define PARK_NS  40000000 /* the position that was read holds a ring 50 ms (D1) */
#define BUSY_NS  200000   /* a call comes up to so much after the last round */
#define ROUNDS   2000

struct shared {
	uintptr_t first, end; /* client memory, the device's view */
	unsigned int kind;    /* of the round */
	int64_t until;        /* traffic_now_ns(): how long its promise holds at least; atomic */
	unsigned long rounds[8], late[8], unjudged;
	char wrong[200];
};

static struct shared *shared;
static struct traffic t;
static bool early, strict, remap, no_unmap;
static uint64_t ring;
static unsigned long nr_seen; /* of this round: status or log */
static bool judged;           /* this round's promise held until memory was back */

/* ---- what a round promises: Return: 0 or -errno ---- */

static int each_queue(unsigned long req, uint32_t num)
{
	int err = 0;

	for (unsigned int q = 0; !err && q < t.nr_queues; q++)
		err = client_vring_set(t.fd, req, q, num);
	return err;
}

static int read_bases(void)
{
	uint32_t base;
	int err = 0;

	for (unsigned int q = 0; !err && q < t.nr_queues; q++)
		err = client_vring_get(t.fd, VHOST_GET_VRING_BASE, q, &base);
	return err;
}

static int unmap_data(void)
{
	return traffic_unmap(&t, TRAFFIC_DATA, TRAFFIC_LEN - TRAFFIC_DATA);
}

static int map_data(void)
{
	return traffic_map(&t, TRAFFIC_DATA, TRAFFIC_LEN - TRAFFIC_DATA);
}

static int unmap_all(void)
{
	return traffic_unmap(&t, 0, TRAFFIC_LEN);
}

static int map_all(void)
{
	int err = traffic_map(&t, 0, TRAFFIC_DATA);

	return err ? err : map_data();
}

static int restart(void)
{
	int err = client_set_status(t.fd, 0);

	if (!err && remap)
		err = unmap_all();
	if (!err && remap)
		err = map_all();
	return err ? err : traffic_start(&t, strict ? TRAFFIC_NO_LOG : TRAFFIC_LOG_ALL);
}

static int reset(void)
{
	return client_set_status(t.fd, 0);
}

static int suspend(void)
{
	return client_ioctl(t.fd, VHOST_VDPA_SUSPEND, NULL);
}

static int resume(void)
{
	return client_ioctl(t.fd, VHOST_VDPA_RESUME, NULL);
}

static int disable(void)
{
	int err = each_queue(VHOST_VDPA_SET_VRING_ENABLE, 0);

	return err ? err : read_bases();
}

static int enable(void)
{
	return each_queue(VHOST_VDPA_SET_VRING_ENABLE, 1);
}

static int features(uint64_t log)
{
	return client_set_u64(t.fd, VHOST_SET_FEATURES, t.offered & (traffic_features(&t) | log));
}

static int log_off(void)
{
	return features(0);
}

static int log_on(void)
{
	uint64_t log = (uintptr_t)t.log;
	int err = client_ioctl(t.fd, VHOST_SET_LOG_BASE, &log);

	return err ? err : features(TRAFFIC_LOG_ALL);
}

enum { DATA = 1, RINGS = 2, LOG = 4, PARKS = 8, NOT_STRICT = 16, UNMAPS = 32 };

static const struct kind {
	const char *name;
	unsigned int what;
	int (*promise)(void);
	int (*go_on)(void);
} kinds[] = {
	{"INVALIDATE of buffers", DATA | UNMAPS, unmap_data, map_data},
	{"INVALIDATE of all", DATA | RINGS | UNMAPS, unmap_all, map_all},
	{"SET_STATUS 0", DATA | RINGS | LOG, reset, restart},
	{"SUSPEND", DATA | RINGS, suspend, resume},
	{"ENABLE 0, GET_VRING_BASE", DATA | RINGS, disable, enable},
	/* QEMU reads the positions before it resets. The guest does not kick any more then. */
	{"GET_VRING_BASE", DATA | RINGS | PARKS | NOT_STRICT, read_bases, enable},
	{"SET_FEATURES without LOG_ALL", LOG | NOT_STRICT, log_off, log_on},
};

/* ---- a round ---- */

static int protect(const struct kind *k, int prot)
{
	size_t from = k->what & RINGS ? 0 : TRAFFIC_DATA;

	if (!(k->what & DATA))
		return 0;
	return mprotect(t.mem + from, TRAFFIC_LEN - from, prot) < 0 ? -errno : 0;
}

static void watch(unsigned long round)
{
	int64_t until = traffic_now_ns() + WATCH_NS;

	if (round % 64 == 0)
		traffic_pause(&t, LONG_MS);
	while (traffic_now_ns() < until)
		sched_yield();
}

static bool log_is_empty(void)
{
	for (size_t i = 0; i < TRAFFIC_LOG_LEN; i++)
		if (__atomic_load_n(&t.log[i], __ATOMIC_RELAXED))
			return false;
	return true;
}

/* Early, the log is not emptied after the call but before it. */
static int promise(const struct kind *k)
{
	int err;

	if (early && k->what & LOG)
		memset(t.log, 0, TRAFFIC_LOG_LEN);
	if (early)
		watch(1);
	if (k->what & PARKS && !early)
		traffic_hush(&t, true);
	err = early ? protect(k, PROT_NONE) : 0;
	if (early)
		watch(1);
	if (!err)
		err = k->promise();
	if (!err && !early)
		err = protect(k, PROT_NONE);
	if (!early && k->what & LOG)
		memset(t.log, 0, TRAFFIC_LOG_LEN);
	return err;
}

static int look(const struct kind *k, int64_t since)
{
	int status = client_get_status(t.fd);

	judged = !(k->what & PARKS) || traffic_now_ns() - since < PARK_NS;
	if (status < 0)
		return status;
	if (judged && status & VIRTIO_CONFIG_S_NEEDS_RESET)
		nr_seen++;
	if (k->what & LOG && !log_is_empty())
		nr_seen++;
	return 0;
}

static int one_round(const struct kind *k, unsigned long round)
{
	int64_t since = traffic_now_ns(), until = since + rand() % BUSY_NS;
	int err;

	while (traffic_now_ns() < until)
		;
	nr_seen = 0;
	since = traffic_now_ns();
	__atomic_store_n(&shared->until, k->what & PARKS ? since + PARK_NS : INT64_MAX,
			 __ATOMIC_RELEASE);
	err = promise(k);
	if (!err) {
		watch(round);
		err = look(k, since);
	}
	if (!err)
		err = protect(k, PROT_READ | PROT_WRITE);
	judged &= !(k->what & PARKS) || traffic_now_ns() - since < PARK_NS;
	/* Too slow, a ring may have broken that went on, and a card tells that later. */
	if (!err)
		err = judged ? k->go_on() : restart();
	traffic_hush(&t, false);
	return err;
}

/* Also that a ring broke a card tells later, maybe only now: the access was late. */
static bool moves_again(void)
{
	int64_t until = traffic_now_ns() + TRAFFIC_DEADLINE * 1000000LL;
	uint64_t before = traffic_done(&t);

	while (traffic_done(&t) == before) {
		if (traffic_now_ns() > until)
			return false;
		if (client_get_status(t.fd) & VIRTIO_CONFIG_S_NEEDS_RESET) {
			nr_seen++;
			if (restart())
				return false;
		}
		sched_yield();
	}
	return true;
}

static bool applies(const struct kind *k)
{
	if (k->what == (LOG | NOT_STRICT) && !(t.offered & TRAFFIC_LOG_ALL))
		return false;
	return !(strict && k->what & NOT_STRICT) && !(no_unmap && k->what & UNMAPS);
}

static int rounds(unsigned long nr)
{
	for (unsigned long i = 0; i < nr * LEN(kinds); i++) {
		const struct kind *k = &kinds[i % LEN(kinds)];
		bool moves;
		int err;

		if (!applies(k))
			continue;
		__atomic_store_n(&shared->kind, (unsigned int)(k - kinds), __ATOMIC_RELEASE);
		err = one_round(k, i / LEN(kinds));
		if (err) {
			(void)snprintf(shared->wrong, sizeof(shared->wrong), "%s: %s", k->name,
				       strerror(-err));
			return 1;
		}
		moves = moves_again();
		shared->rounds[k - kinds]++;
		shared->unjudged += !judged;
		__atomic_add_fetch(&shared->late[k - kinds], nr_seen, __ATOMIC_RELAXED);
		if (!moves) {
			(void)snprintf(shared->wrong, sizeof(shared->wrong),
				       "%s: the device stands still afterwards", k->name);
			return 1;
		}
	}
	return 0;
}

static int client(const char *path, unsigned long nr, const char *peer)
{
	int err = traffic_open(&t, path, peer, ring), ret;

	if (!err) {
		shared->first = (uintptr_t)t.mem;
		shared->end = shared->first + TRAFFIC_LEN;
		err = restart();
	}
	if (err) {
		(void)snprintf(shared->wrong, sizeof(shared->wrong), "%s: %s", path,
			       strerror(-err));
		_exit(1);
	}
	ret = traffic_moves(&t) ? rounds(nr) : 1;
	if (ret && !shared->wrong[0])
		(void)snprintf(shared->wrong, sizeof(shared->wrong), "nothing moves");
	traffic_close(&t);
	return ret;
}

/* ---- the tracer ---- */

static void see_fault(pid_t tid)
{
	siginfo_t info;
	uintptr_t at;

	if (ptrace(PTRACE_GETSIGINFO, tid, NULL, &info) < 0)
		return;
	at = (uintptr_t)info.si_addr;
	if (at >= shared->first && at < shared->end &&
	    traffic_now_ns() < __atomic_load_n(&shared->until, __ATOMIC_ACQUIRE))
		__atomic_add_fetch(&shared->late[shared->kind], 1, __ATOMIC_RELAXED);
}

/* Return: the exit status of @pid, 128 and a signal if one has ended it */
static int trace(pid_t pid)
{
	for (;;) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0)
			return 1;
		if (!WIFSTOPPED(status)) {
			if (tid == pid)
				return WIFEXITED(status) ? WEXITSTATUS(status)
							 : 128 + WTERMSIG(status);
			continue;
		}
		/* a thread is new, or the signal is its own */
		if (status >> 16) {
			(void)ptrace(PTRACE_CONT, tid, NULL, NULL);
			continue;
		}
		if (WSTOPSIG(status) == SIGSEGV || WSTOPSIG(status) == SIGBUS)
			see_fault(tid);
		(void)ptrace(PTRACE_CONT, tid, NULL, (void *)(uintptr_t)WSTOPSIG(status));
	}
}

static int run_traced(const char *path, unsigned long nr, const char *peer)
{
	int go[2];
	pid_t pid;
	char c = 0;

	if (pipe(go) < 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(2);
		close(go[0]);
		exit(client(path, nr, peer));
	}
	close(go[0]);
	if (pid < 0 ||
	    ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) < 0) {
		fprintf(stderr, "late: no tracing here: %s\n", strerror(errno));
		return 77;
	}
	(void)!write(go[1], &c, 1);
	close(go[1]);
	return trace(pid);
}

/* ---- the result ---- */

static int report(int ret, bool json)
{
	unsigned long sum = 0, late = 0;

	for (size_t i = 0; i < LEN(kinds); i++) {
		if (!shared->rounds[i])
			continue;
		sum += shared->rounds[i];
		late += shared->late[i];
		if (json)
			printf("{\"promise\":\"%s\",\"rounds\":%lu,\"late\":%lu}\n", kinds[i].name,
			       shared->rounds[i], shared->late[i]);
		else
			printf("%-30s %9lu rounds, %lu late\n", kinds[i].name, shared->rounds[i],
			       shared->late[i]);
		if (early && !shared->late[i]) {
			printf("%s: nothing was seen\n", kinds[i].name);
			ret = 1;
		}
	}
	if (!json)
		printf("%lu rounds, %lu late accesses, %lu rounds too slow to judge\n", sum, late,
		       shared->unjudged);
	if (shared->wrong[0])
		printf("%s\n", shared->wrong);
	return ret || sum == 0 || (late && !early) ? 1 : 0;
}

int main(int argc, char **argv)
{
	unsigned long nr = ROUNDS;
	const char *peer = NULL;
	bool json = false;
	int ret;

	if (argc < 2)
		return 2;
	for (int i = 2; i < argc; i++) {
		early |= strcmp(argv[i], "--early") == 0;
		strict |= strcmp(argv[i], "--strict") == 0;
		no_unmap |= strcmp(argv[i], "--no-unmap") == 0;
		remap |= strcmp(argv[i], "--remap") == 0;
		json |= strcmp(argv[i], "--json") == 0;
		if (strcmp(argv[i], "--peer") == 0 && i + 1 < argc)
			peer = argv[++i];
		else if (strcmp(argv[i], "--ring") == 0 && i + 1 < argc)
			ring = traffic_ring(argv[++i]);
		else if (argv[i][0] >= '0' && argv[i][0] <= '9')
			nr = strtoul(argv[i], NULL, 10);
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return 1;
	ret = run_traced(argv[1], nr, peer);
	return ret == 77 ? ret : report(ret, json);
}
