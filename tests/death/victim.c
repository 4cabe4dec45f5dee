// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client that death.c kills: a client's life on a device, and a second, short one. Two writes
 * to descriptor -1, which do nothing, say to a tracer where the lives begin and end.
 *
 * usage: victim NODE [outside]     outside: frames come back from a peer
 * Exit status: 0 all passed; 1, with a line on stderr
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "life.h"

#define SECONDS 200 /* a life that hangs ends by SIGALRM */

static const struct step {
	const char *name;
	int (*fn)(struct life *w);
} steps[] = {
	{"use", life_use},
	{"command", life_command},
	{"map", life_map_more},
	{"suspend", life_stop_and_go},
	{"use after RESUME", life_use},
	{"migrate", life_migrate},
	{"use after a migration", life_use},
};

static int fail(const char *step, int err)
{
	fprintf(stderr, "victim: %s: %s\n", step,
		err == LIFE_SILENT ? "the device does nothing" : strerror(-err));
	return 1;
}

static int live(const char *node, bool outside)
{
	struct life w;
	const char *step = "begin";
	int err = life_begin(&w, node);

	w.outside = outside;
	for (int log = 0; !err && log < 2; log++) {
		err = life_start(&w, log ? CLIENT_FEATURE_LOG_ALL : 0);
		step = "start";
		for (size_t i = 0; !err && i < sizeof(steps) / sizeof(*steps); i++) {
			step = steps[i].name;
			err = steps[i].fn(&w);
		}
		if (!err)
			err = client_set_status(w.fd, 0);
	}
	life_end(&w);
	return err ? fail(step, err) : 0;
}

static int live_shortly(const char *node)
{
	struct life w;
	int err = life_begin(&w, node);

	if (!err)
		err = life_start(&w, 0);
	life_end(&w); /* a device that runs */
	return err ? fail("a second life", err) : 0;
}

int main(int argc, char **argv)
{
	bool outside = argc == 3 && strcmp(argv[2], "outside") == 0;
	int err;

	if (argc != 2 && !outside) {
		fprintf(stderr, "usage: victim NODE [outside]\n");
		return 2;
	}
	(void)alarm(SECONDS);
	(void)!write(-1, "begin", 5);
	err = live(argv[1], outside);
	if (!err)
		err = live_shortly(argv[1]);
	(void)!write(-1, "end", 3);
	return err;
}
