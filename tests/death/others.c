// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client lives on while something around it dies:
 *
 *  peer      the program at the other end of its stream, killed at many points of a conversation
 *  control   a program that talks to its management, killed likewise
 *  owner     whoever has made the tap, and holds one of its queues
 *  closed    the library's own descriptors, each closed behind its back
 *
 * Demanded after each: the client's descriptors, threads and locked memory are as before, and the
 * device works with the next peer. A client that has closed a descriptor of the library's may have
 * lost its device; but no call hangs, nothing burns processor time, and the next session of the
 * same process works.
 *
 * usage: others LIBRARY SURVIVOR peer|control|owner|closed DEVICE POINTS
 * Exit status: 0; 1, with a line on stdout for each point; 77 not possible here
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/sim/tap_support.h"
#include "peer.h"
#include "trace.h"
#include "world.h"

#define SKIP        77
#define ANSWER_MS   60000
#define PATIENCE_MS 20000
#define LOOK_MS     2
#define IDLE_MS     200 /* of which a client that has nothing to do may work a half */
#define LINE_SIZE   512
#define OWN_TAP     "hftap9"

struct survivor {
	pid_t pid;
	int to, from;
};

struct test {
	const char *library;
	char *program; /* the survivor */
	char *self;
	struct world world;
	struct peer peer;
	char at[64]; /* the peer's place */
	enum peer_kind kind;
	char spec[128];
	struct survivor client;
	char before[LINE_SIZE]; /* the client's "look" */
	unsigned int nr, nr_bad;
};

/* ---- the client ---- */

static int start_client(struct test *t)
{
	char **env = world_env(&t->world, t->library, t->spec);
	char *argv[] = {t->program, NULL};
	int to[2], from[2];

	if (!env || pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return -ENOMEM;
	t->client.pid = fork();
	if (t->client.pid == 0) {
		(void)dup2(to[0], STDIN_FILENO);
		(void)dup2(from[1], STDOUT_FILENO);
		execve(argv[0], argv, env);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	free(env);
	t->client.to = to[1];
	t->client.from = from[0];
	return t->client.pid < 0 ? -errno : 0;
}

/* Return: status as of waitpid(2) */
static int stop_client(struct test *t)
{
	int status = -1;

	close(t->client.to);
	close(t->client.from);
	(void)waitpid(t->client.pid, &status, 0);
	return status;
}

/* @answer: [LINE_SIZE]. Return: it begins with "ok" */
static bool ask(struct test *t, const char *line, char *answer)
{
	struct pollfd p = {t->client.from, POLLIN, 0};
	size_t len = 0;

	(void)snprintf(answer, LINE_SIZE, "no answer to '%s'", line);
	if (dprintf(t->client.to, "%s\n", line) < 0)
		return false;
	while (poll(&p, 1, ANSWER_MS) == 1 && len < LINE_SIZE - 1 &&
	       read(t->client.from, answer + len, 1) == 1) {
		answer[len + 1] = '\0';
		if (answer[len++] == '\n') {
			answer[len - 1] = '\0';
			return strncmp(answer, "ok", 2) == 0;
		}
	}
	return false;
}

static void bad(struct test *t, const char *when, const char *what)
{
	printf("%s: %s\n", when, what);
	t->nr_bad++;
}

static bool begin(struct test *t, char *answer)
{
	return ask(t,
		   t->kind == PEER_NONE ? "begin /dev/vhost-vdpa-0"
					: "begin /dev/vhost-vdpa-0 outside",
		   answer);
}

/* A connection whose peer is gone stays while the card has no buffers for what may still be in it;
 * the next peer ends it. */
static bool has_no_more(const struct test *t, const char *now)
{
	unsigned int spare = t->kind == PEER_CONNECTS || t->kind == PEER_LISTENS;
	unsigned int fds[2], threads[2], locked[2];
	static const char form[] = "ok %u descriptors, %u threads, %u KiB locked";

	return sscanf(t->before, form, &fds[0], &threads[0], &locked[0]) == 3 &&
	       sscanf(now, form, &fds[1], &threads[1], &locked[1]) == 3 &&
	       fds[1] <= fds[0] + spare && threads[1] == threads[0] && locked[1] == locked[0];
}

/* Until the client has what it had before. */
static bool is_as_before(struct test *t, char *answer)
{
	for (int waited = 0; waited < PATIENCE_MS; waited += LOOK_MS) {
		if (!ask(t, "look", answer))
			return false;
		if (has_no_more(t, answer))
			return true;
		(void)poll(NULL, 0, LOOK_MS);
	}
	return false;
}

static bool use_with_peer(struct test *t, char *answer)
{
	bool ok;

	if (peer_start(&t->peer, t->kind, t->at))
		return false;
	ok = ask(t, "use", answer);
	peer_stop(&t->peer);
	return ok;
}

/* ---- programs that are killed ---- */

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -1 : fd;
}

/* Whole and cut frames, in small pieces. */
static int be_peer(const char *path)
{
	uint8_t frame[64] = {0, 0, 0, 60, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	char got[256];
	int fd;

	(void)!write(-1, "begin", 5);
	fd = connect_to(path);
	for (int n = 0; n < 4; n++)
		for (size_t off = 0; off < sizeof(frame); off += 7)
			(void)!send(fd, frame + off,
				    off + 7 < sizeof(frame) ? 7 : sizeof(frame) - off,
				    MSG_NOSIGNAL);
	(void)recv(fd, got, sizeof(got), MSG_DONTWAIT);
	(void)!send(fd, frame, 30, MSG_NOSIGNAL);
	close(fd);
	(void)!write(-1, "end", 3);
	return 0;
}

static int be_control(const char *path)
{
	static const char text[] = "{\"command\":\"dev show\"}\n{\"command\":\"mgmtdev show\"}\n";
	char got[256];
	int fd;

	(void)!write(-1, "begin", 5);
	fd = connect_to(path);
	for (size_t off = 0; off < sizeof(text) - 1; off += 5)
		(void)!send(fd, text + off, off + 5 < sizeof(text) - 1 ? 5 : sizeof(text) - 1 - off,
			    MSG_NOSIGNAL);
	for (int i = 0; i < 8; i++)
		(void)!recv(fd, got, sizeof(got), i == 0 ? 0 : MSG_DONTWAIT);
	close(fd);
	(void)!write(-1, "end", 3);
	return 0;
}

/* ---- peer and control: killed at the nth stop ---- */

static void kill_at(struct test *t, char *const *argv, unsigned int nth)
{
	char *env[] = {NULL}, answer[LINE_SIZE], when[64];
	struct trace_end end;

	(void)snprintf(when, sizeof(when), "%s, stop %u", argv[1], nth);
	if (trace_run(argv, env, TRACE_MAIN, nth, &end))
		bad(t, when, "cannot be traced");
	else if (!is_as_before(t, answer) || !use_with_peer(t, answer) || !is_as_before(t, answer))
		bad(t, when, answer);
}

static int run_killed(struct test *t, const char *as, const char *path)
{
	char role[16], place[80], answer[LINE_SIZE], *env[] = {NULL};
	char *argv[] = {t->self, role, place, NULL};
	struct trace_end whole;
	int err;

	(void)snprintf(role, sizeof(role), "%s", as);
	(void)snprintf(place, sizeof(place), "%s", path);
	if (!ask(t, "look", t->before) || !use_with_peer(t, answer) || !is_as_before(t, answer)) {
		bad(t, "before all", answer);
		return 1;
	}
	err = trace_run(argv, env, TRACE_MAIN, 0, &whole);
	if (err || whole.status || whole.nr[TRACE_MAIN] < 20) {
		printf("no process may be traced here\n");
		return err == -EPERM ? SKIP : 1;
	}
	for (unsigned int i = 0; i < t->nr; i++)
		kill_at(t, argv, 1 + whole.nr[TRACE_MAIN] * i / t->nr);
	return 0;
}

/* ---- the tap's owner ---- */

/* A process that makes an interface for as long as it lives, and holds a queue. Return: its id */
static pid_t make_owner(void)
{
	struct ifreq req = {.ifr_flags =
				    (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE)};
	int ready[2], fd, s;
	pid_t pid;
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return -1;
	strcpy(req.ifr_name, OWN_TAP);
	if (pid == 0) {
		fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (ioctl(fd, TUNSETIFF, &req) < 0)
			_exit(1);
		req.ifr_flags = IFF_UP;
		(void)ioctl(s, SIOCSIFFLAGS, &req);
		(void)!write(ready[1], "y", 1);
		(void)pause();
		_exit(0);
	}
	close(ready[1]);
	byte = read(ready[0], &byte, 1) == 1 ? byte : 'n';
	close(ready[0]);
	return byte == 'y' ? pid : -1;
}

static int run_owner(struct test *t)
{
	char answer[LINE_SIZE];

	for (unsigned int i = 0; i < t->nr; i++) {
		pid_t owner = make_owner();

		if (owner < 0) {
			printf("no tap can be made\n");
			return SKIP;
		}
		if (start_client(t) || !begin(t, answer) || !use_with_peer(t, answer) ||
		    !ask(t, "look", t->before))
			bad(t, "with an owner", answer);
		(void)kill(owner, SIGKILL);
		(void)waitpid(owner, NULL, 0);
		/* Half of the time the client is killed, too. */
		if (i % 2 == 0 && (!is_as_before(t, answer) || !use_with_peer(t, answer) ||
				   !ask(t, "reset", answer) || !use_with_peer(t, answer)))
			bad(t, "the owner is gone", answer);
		if (i % 2)
			(void)kill(t->client.pid, SIGKILL);
		(void)stop_client(t);
		if (if_nametoindex(OWN_TAP))
			bad(t, "all are gone", "the interface is not");
	}
	return 0;
}

/* ---- descriptors closed behind the library's back ---- */

static unsigned int list_fds(struct test *t, int *fds, unsigned int room)
{
	char answer[LINE_SIZE], *word, *rest = NULL;
	unsigned int nr = 0;

	if (!ask(t, "mine", answer))
		return 0;
	(void)strtok_r(answer, " ", &rest);
	while (nr < room && (word = strtok_r(NULL, " ", &rest)))
		fds[nr++] = atoi(word);
	return nr;
}

static bool is_quiet(struct test *t, char *answer)
{
	char line[32];

	(void)snprintf(line, sizeof(line), "idle %d", IDLE_MS);
	return ask(t, line, answer) && atoi(answer + 3) < IDLE_MS / 2;
}

/* A client of which the nth descriptor is closed. Return: there is an nth */
static bool close_nth(struct test *t, unsigned int nth)
{
	char answer[LINE_SIZE], line[32], when[64] = "a fresh client";
	const char *step = "begin";
	int fds[128];
	unsigned int nr;
	bool ok = start_client(t) == 0 && begin(t, answer) && use_with_peer(t, answer);

	nr = ok ? list_fds(t, fds, 128) : 0;
	if (ok && nth < nr) {
		(void)snprintf(when, sizeof(when), "descriptor %d (%u of %u) closed", fds[nth],
			       nth + 1, nr);
		(void)snprintf(line, sizeof(line), "close %d", fds[nth]);
		ok = ask(t, line, answer);
		if (ok)
			step = "idle", ok = is_quiet(t, answer);
		if (ok)
			step = "reset", (void)ask(t, "reset", answer);
		ok = ok && strncmp(answer, "no answer", 9) != 0;
		if (ok)
			step = "end", ok = ask(t, "end", answer);
		if (ok)
			step = "begin again", ok = begin(t, answer);
		if (ok)
			step = "use", ok = use_with_peer(t, answer);
		if (ok)
			step = "end again", ok = ask(t, "end", answer);
	}
	if (!ok) {
		printf("%s: %s: %s\n", when, step, answer);
		t->nr_bad++;
		(void)kill(t->client.pid, SIGKILL);
	}
	if (stop_client(t) != 0 && ok)
		bad(t, when, "the client does not end well");
	return nth < nr;
}

static int run_closed(struct test *t)
{
	unsigned int n = 0;

	while (n < t->nr && close_nth(t, n))
		n++;
	t->nr = n;
	return 0;
}

/* ---- the whole ---- */

static const struct device {
	const char *name, *spec;
	enum peer_kind kind;
	const char *at;
} devices[] = {
	{"card", "mgmtdev vdpasim_net", PEER_NONE, ""},
	{"pinned", "mgmtdev vdpasim_net memory pinned", PEER_NONE, ""},
	{"listen", "mgmtdev vdpasim_net backend stream,path=%s/socket,listen", PEER_CONNECTS,
	 "/socket"},
	{"connect", "mgmtdev vdpasim_net backend stream,path=%s/peer", PEER_LISTENS, "/peer"},
	{"tap", "mgmtdev vdpasim_net backend tap,ifname=" TAP, PEER_ON_TAP, TAP},
	{"own-tap", "mgmtdev vdpasim_net max_vqp 2 backend tap,ifname=" OWN_TAP, PEER_ON_TAP,
	 OWN_TAP},
	{"disk", "mgmtdev vdpasim_blk backend file,path=%s/disk", PEER_NONE, ""},
};

static int prepare(struct test *t, const char *device)
{
	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++) {
		const struct device *d = &devices[i];

		if (strcmp(d->name, device) != 0)
			continue;
		t->kind = d->kind;
		(void)snprintf(t->spec, sizeof(t->spec), d->spec, t->world.dir);
		(void)snprintf(t->at, sizeof(t->at), "%s%s",
			       d->kind == PEER_ON_TAP ? "" : t->world.dir, d->at);
		return 0;
	}
	return -EINVAL;
}

static int run(struct test *t, const char *what)
{
	char path[80], answer[LINE_SIZE];
	int ret;

	if (strcmp(what, "owner") == 0)
		return run_owner(t);
	if (strcmp(what, "closed") == 0)
		return run_closed(t);
	if (start_client(t) || !begin(t, answer)) {
		bad(t, "begin", answer);
		return 1;
	}
	(void)snprintf(path, sizeof(path), "%s/run/holdfast/%d.sock", t->world.dir, t->client.pid);
	ret = strcmp(what, "peer") == 0 ? run_killed(t, "--peer", t->at)
					: run_killed(t, "--control", path);
	if (stop_client(t) != 0)
		bad(t, "end", "the client does not end well");
	return ret;
}

int main(int argc, char **argv)
{
	struct test t = {.self = argv[0]};
	const char *why;
	int ret;

	if (argc == 3 && strcmp(argv[1], "--peer") == 0)
		return be_peer(argv[2]);
	if (argc == 3 && strcmp(argv[1], "--control") == 0)
		return be_control(argv[2]);
	if (argc != 6) {
		fprintf(stderr, "usage: others LIBRARY SURVIVOR peer|control|owner|closed DEVICE "
				"POINTS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	why = strstr(argv[4], "tap") ? tap_enter_namespaces() : NULL;
	if (why) {
		printf("%s\n", why);
		return SKIP;
	}
	t.library = argv[1];
	t.program = argv[2];
	t.nr = (unsigned int)strtoul(argv[5], NULL, 10);
	if (world_make(&t.world) || prepare(&t, argv[4])) {
		printf("no folder, or no device %s\n", argv[4]);
		return 2;
	}
	ret = run(&t, argv[3]);
	printf("%s, %s: %u points, %u left something\n", argv[3], argv[4], t.nr, t.nr_bad);
	world_remove(&t.world);
	return ret ? ret : t.nr_bad > 0;
}
