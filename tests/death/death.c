// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client is killed by SIGKILL at many points of its life: open, map, run, suspend, reset,
 * migrate, close. Demanded of each point:
 *
 *  1. Nothing of the client lives on: no process, no thread.
 *  2. The next client, on the same device, starts at once and passes its whole life.
 *  3. Then files, sockets, locks and the tracer's own descriptors are as they were before. So what
 *     the killed one could not remove is removed by the next one.
 *
 * What is locked in memory goes with the address space: a client with `memory pinned` may lock no
 * more than its limit, and the next one can.
 *
 * usage: death LIBRARY VICTIM DEVICE POINTS
 * Exit status: 0; 1, with a line on stdout for each point that left something; 77 not possible here
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/sim/tap_support.h"
#include "peer.h"
#include "trace.h"
#include "world.h"

#define SKIP        77
#define NR_LIVES    3 /* of which the stops are counted */
#define PATIENCE_MS 20000
#define LOOK_MS     2
#define SHARE_MAIN  3 /* of 4 points are in the client's own thread, the rest in the device's */

static const struct device {
	const char *name;
	const char *spec; /* %s: the folder */
	enum peer_kind peer;
	const char *at; /* the peer's socket in the folder, or the interface */
} devices[] = {
	{"card", "mgmtdev vdpasim_net", PEER_NONE, ""},
	{"dma_map", "mgmtdev vdpasim_net mapping dma_map", PEER_NONE, ""},
	{"pinned", "mgmtdev vdpasim_net memory pinned hold off", PEER_NONE, ""},
	{"hold", "mgmtdev vdpasim_net memory pinned", PEER_NONE, ""},
	{"mlx5", "mgmtdev mlx5 model on", PEER_NONE, ""},
	{"listen", "mgmtdev vdpasim_net backend stream,path=%s/socket,listen", PEER_CONNECTS,
	 "/socket"},
	{"connect", "mgmtdev vdpasim_net backend stream,path=%s/peer", PEER_LISTENS, "/peer"},
	{"tap", "mgmtdev vdpasim_net backend tap,ifname=" TAP, PEER_ON_TAP, TAP},
	{"ramdisk", "mgmtdev vdpasim_blk", PEER_NONE, ""},
	{"disk", "mgmtdev vdpasim_blk backend file,path=%s/disk", PEER_NONE, ""},
};

struct test {
	const struct device *device;
	struct world world;
	struct peer peer;
	char *argv[4], **env;
	char *before; /* world_look() before anybody was killed */
	struct trace_end whole;
	unsigned int nr_killed, nr_bad;
};

static int say(const char *what, int err)
{
	printf("%s: %s\n", what, strerror(-err));
	return err;
}

/* Return: 0 nothing; 1, with a line */
static int differs(struct test *t, const char *when)
{
	char *now = world_look(&t->world);
	int bad = !now || strcmp(now, t->before) != 0;

	/* Our own peer may not have noticed yet that its client is gone. */
	for (int waited = 0; bad && waited < PATIENCE_MS; waited += LOOK_MS) {
		free(now);
		(void)poll(NULL, 0, LOOK_MS);
		now = world_look(&t->world);
		bad = !now || strcmp(now, t->before) != 0;
	}
	if (bad)
		printf("%s: there was\n%sand is\n%s", when, t->before, now ? now : "(no memory)\n");
	free(now);
	return bad;
}

static int next_client(struct test *t, const char *when)
{
	int status = trace_run_free(t->argv, t->env);

	if (status == 0)
		return 0;
	printf("%s: the next client ends with status 0x%x\n", when, (unsigned int)status);
	return 1;
}

static int nobody_left(const char *when)
{
	if (waitpid(-1, NULL, __WALL | WNOHANG) < 0 && errno == ECHILD)
		return 0;
	printf("%s: a process is left\n", when);
	return 1;
}

static void kill_at(struct test *t, enum trace_who who, unsigned int nth)
{
	struct trace_end end;
	char when[80];
	int err = trace_run(t->argv, t->env, who, nth, &end);

	(void)snprintf(when, sizeof(when), "%s, stop %u of %s", t->device->name, nth,
		       who == TRACE_MAIN ? "the client's thread" : "the device's threads");
	if (err || (!end.killed && end.status != 0)) {
		printf("%s: the client ends with status 0x%x, %s\n", when, (unsigned int)end.status,
		       strerror(-err));
		t->nr_bad++;
		return;
	}
	t->nr_killed += end.killed;
	t->nr_bad += (nobody_left(when) | next_client(t, when)) || differs(t, when);
}

static void kill_many(struct test *t, unsigned int nr)
{
	unsigned int of[TRACE_NR] = {nr * SHARE_MAIN / 4, nr - nr * SHARE_MAIN / 4};

	for (int who = 0; who < TRACE_NR; who++)
		for (unsigned int i = 0; i < of[who]; i++)
			kill_at(t, (enum trace_who)who,
				1 + (unsigned int)((uint64_t)t->whole.nr[who] * i / of[who]));
}

static char node[] = "/dev/vhost-vdpa-0", outside[] = "outside";

/* Everything as it is when nobody is killed. */
static int prepare(struct test *t, const char *library, char *victim)
{
	char devices_text[256], at[64];
	int err = world_make(&t->world);

	if (err)
		return say("folder", err);
	(void)snprintf(at, sizeof(at), "%s%s", t->device->peer == PEER_ON_TAP ? "" : t->world.dir,
		       t->device->at);
	err = peer_start(&t->peer, t->device->peer, at);
	if (err)
		return say("peer", err);
	(void)snprintf(devices_text, sizeof(devices_text), t->device->spec, t->world.dir);
	t->env = world_env(&t->world, library, devices_text);
	t->argv[0] = victim;
	t->argv[1] = node;
	t->argv[2] = t->device->peer == PEER_NONE ? NULL : outside;
	return t->env ? 0 : -ENOMEM;
}

/* How many stops there are in a life, at the least: where a client waits, it makes more calls in
 * one life than in another. */
static int count_stops(struct test *t)
{
	struct trace_end end;
	int err = 0;

	for (int life = 0; !err && life < NR_LIVES; life++) {
		err = trace_run(t->argv, t->env, TRACE_MAIN, 0, &end);
		for (int who = 0; !err && who < TRACE_NR; who++)
			if (life == 0 || end.nr[who] < t->whole.nr[who])
				t->whole.nr[who] = end.nr[who];
		t->whole.status |= end.status;
	}
	return err;
}

static int run(struct test *t, unsigned int nr)
{
	int err;

	if (next_client(t, "before all"))
		return 1;
	t->before = world_look(&t->world);
	err = t->before ? count_stops(t) : -ENOMEM;
	if (err == -EPERM) {
		printf("no process may be traced here\n");
		return SKIP;
	}
	if (err || t->whole.status || differs(t, "nobody killed")) {
		printf("a traced client that nobody kills ends with status 0x%x\n",
		       (unsigned int)t->whole.status);
		return 1;
	}
	kill_many(t, nr);
	printf("%s: killed at %u of %u points in %u and %u stops, %u left something\n",
	       t->device->name, t->nr_killed, nr, t->whole.nr[TRACE_MAIN],
	       t->whole.nr[TRACE_OTHERS], t->nr_bad);
	/* The device's threads do not make exactly as many calls in each life. */
	return t->nr_bad > 0 || t->nr_killed < nr - nr / 10;
}

static const struct device *find(const char *name)
{
	for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++)
		if (strcmp(devices[i].name, name) == 0)
			return &devices[i];
	return NULL;
}

int main(int argc, char **argv)
{
	struct test t = {.device = argc == 5 ? find(argv[3]) : NULL};
	unsigned int nr = argc == 5 ? (unsigned int)strtoul(argv[4], NULL, 10) : 0;
	const char *why;
	int ret;

	if (!t.device || nr < 4) {
		fprintf(stderr, "usage: death LIBRARY VICTIM DEVICE POINTS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	why = t.device->peer == PEER_ON_TAP ? tap_enter_namespaces() : NULL;
	if (why) {
		printf("%s\n", why);
		return SKIP;
	}
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	ret = prepare(&t, argv[1], argv[2]) ? 1 : run(&t, nr);
	peer_stop(&t.peer);
	world_remove(&t.world);
	free(t.env);
	free(t.before);
	return ret;
}
