// SPDX-License-Identifier: BSD-3-Clause
/*
 * The cases of cases.h beside the client, one after the other. After each: processor time was
 * bounded, the neighbour, a device of the same process, works and never noticed, and after a reset
 * the device itself works.
 *
 *   hostile PATH NEIGHBOUR [--strict]   TAP on stdout. With --strict every outcome counts as ANY
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cases.h"
#include "client/client.h"
#include "guest.h"

#define DEADLINE_MS   20000
#define QUIET_MS      20
#define LOG_WINDOW_MS 1100
#define CPU_MAX_NS    500000000 /* of a case; slow machines and sanitizers included */
#define IDLE_MAX_NS   15000000  /* while nothing happens */

static int log_fd;

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static bool log_has(off_t from, const char *words)
{
	static char text[65536];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, from);

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, words) != NULL;
}

static const char no_reason[] = "the log lacks the reason";

static const char *breaks(struct guest *g, const struct hostile *h, off_t log_from)
{
	if (!guest_wait(g->config, DEADLINE_MS))
		return "no config interrupt";
	if (!(guest_status(g) & 0x40))
		return "NEEDS_RESET is not set";
	return log_has(log_from, h->words) ? NULL : no_reason;
}

static const char *completes(struct guest *g, const struct hostile *h)
{
	uint32_t len = 0;

	while (guest_used(g, hostile_queue(g, h), &len) == 0)
		if (!guest_wait(g->call[hostile_queue(g, h)], DEADLINE_MS))
			return "the chain is not completed";
	if (guest_status(g) != CLIENT_STATUS_RUNNING)
		return "the status is not that of a running device";
	if (h->answer >= 0 && g->mem[ANSWER] != h->answer)
		return "the answer is another";
	return NULL;
}

static const char *waits(struct guest *g, const struct hostile *h)
{
	uint32_t len = 0;
	int64_t before;
	int i = 0;

	/* what it may do at the kick it does before; on a busy machine that takes its time */
	(void)guest_wait(g->call[hostile_queue(g, h)], QUIET_MS);
	do {
		before = cpu_ns();
		(void)guest_wait(g->call[hostile_queue(g, h)], QUIET_MS);
	} while (cpu_ns() - before > IDLE_MAX_NS && i++ < DEADLINE_MS / QUIET_MS);
	if (cpu_ns() - before > IDLE_MAX_NS)
		return "the device is not idle";
	if (guest_used(g, hostile_queue(g, h), &len) && !h->set)
		return "something was completed";
	return guest_status(g) == CLIENT_STATUS_RUNNING ? NULL : "the status has changed";
}

static const char *outcome(struct guest *g, const struct hostile *h, enum outcome expect,
			   off_t log_from)
{
	switch (expect) {
	case BREAKS:
		return breaks(g, h, log_from);
	case COMPLETES:
		return completes(g, h);
	case WAITS:
		return waits(g, h);
	default:
		(void)guest_wait(g->call[hostile_queue(g, h)], QUIET_MS);
		return NULL;
	}
}

static const char *run_case_once(struct guest *g, struct guest *neighbour, const struct hostile *h,
				 bool strict)
{
	enum outcome expect = strict && h->expect != REFUSED ? ANY : h->expect;
	off_t log_from = lseek(log_fd, 0, SEEK_END);
	const char *wrong = NULL;
	int64_t before;
	int err;

	if (guest_reset(g))
		return "the reset before";
	if (h->set)
		h->set(g);
	before = cpu_ns();
	err = guest_start(g, hostile_features(h));
	if (err && expect != REFUSED && expect != ANY)
		return "the device does not start";
	if (!err) {
		hostile_provoke(g, h);
		if (expect == REFUSED && !(guest_status(g) & 0x40))
			wrong = "neither refused nor NEEDS_RESET";
		if (!wrong)
			wrong = outcome(g, h, expect, log_from);
	}
	if (!wrong && !hostile_scribbles(h) && cpu_ns() - before > CPU_MAX_NS)
		wrong = "too much processor time";
	if (!wrong && guest_status(neighbour) != CLIENT_STATUS_RUNNING)
		wrong = "the neighbour's status has changed";
	if (!wrong)
		wrong = guest_works(neighbour);
	return wrong ? wrong : guest_works(g);
}

/* The log shows ten messages of a kind in a second. */
static const char *run_case(struct guest *g, struct guest *neighbour, const struct hostile *h,
			    bool strict)
{
	const char *wrong = run_case_once(g, neighbour, h, strict);

	if (wrong != no_reason)
		return wrong;
	(void)guest_wait(neighbour->config, LOG_WINDOW_MS);
	return run_case_once(g, neighbour, h, strict);
}

static unsigned int run_layout(struct guest *g, struct guest *neighbour, bool packed, bool strict,
			       unsigned int *nr)
{
	unsigned int nr_wrong = 0;

	g->packed = packed;
	for (unsigned int i = 0; i < nr_hostile_cases; i++) {
		const char *wrong;

		if (!hostile_fits(g, &hostile_cases[i]))
			continue;
		wrong = run_case(g, neighbour, &hostile_cases[i], strict);
		nr_wrong += wrong != NULL;
		printf("%sok %u - %s %s: %s%s%s\n", wrong ? "not " : "", ++*nr,
		       g->blk ? "disk" : "card", packed ? "packed" : "split", hostile_cases[i].name,
		       wrong ? ": " : "", wrong ? wrong : "");
		fflush(stdout);
	}
	return nr_wrong;
}

int main(int argc, char **argv)
{
	bool strict = argc > 3 && strcmp(argv[3], "--strict") == 0;
	struct guest g, neighbour;
	unsigned int nr = 0, nr_wrong;
	int err;

	if (argc < 3)
		return 2;
	log_fd = memfd_create("log", MFD_CLOEXEC);
	dup2(log_fd, STDERR_FILENO);
	err = guest_open(&g, argv[1]);
	if (!err)
		err = guest_open(&neighbour, argv[2]);
	if (err || guest_works(&neighbour)) {
		printf("Bail out! %s\n", strerror(-err));
		return 1;
	}
	nr_wrong = run_layout(&g, &neighbour, false, strict, &nr);
	if (g.features >> 34 & 1)
		nr_wrong += run_layout(&g, &neighbour, true, strict, &nr);
	printf("1..%u\n# %u cases, %u misbehaviours\n", nr, nr, nr_wrong);
	guest_close(&g);
	guest_close(&neighbour);
	return nr_wrong ? 1 : 0;
}
