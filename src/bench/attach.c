// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench attach`: what it costs a client how its devices come to it. The bench runs itself
 * as a client, once a round in each way, so that what the machine does besides hits all alike:
 *
 *   none      without Holdfast
 *   preload   by the library
 *   raw       by the library, and the calls are made past libc (--raw OBJECT)
 *   agent     by an agent
 *
 * A round gives one sample a case, the median of many calls. The figures are medians of the rounds,
 * and how many times as long as without Holdfast, or, for calls on a device, as with the library.
 */
#include "bench/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/args.h"
#include "bench/bench.h"
#include "cli/cli.h"

#define SPEC "mgmtdev vdpasim_blk"

enum way { NONE, PRELOAD, RAW, AGENT, NR_WAYS };

static const char *const way_names[NR_WAYS] = {"none", "preload", "raw", "agent"};

static const char *const case_names[ATTACH_NR_CASES] = {
	[ATTACH_GETPPID] = "getppid",
	[ATTACH_WRITE] = "write to an eventfd",
	[ATTACH_OPEN] = "open and close of /dev/null",
	[ATTACH_STAT] = "stat of /",
	[ATTACH_IOCTL] = "ioctl on the device",
	[ATTACH_REQUEST] = "disk request, 4 KiB",
	[ATTACH_FIRST_OPEN] = "first open of a node",
	[ATTACH_START] = "a program's start and end",
};

struct options {
	unsigned int rounds;
	bool json;
	const char *raw;
	const char *probe;
};

struct results {
	struct bench_samples of[ATTACH_NR_CASES][NR_WAYS];
};

/* ---- one program ---- */

static void fill_command(const char **argv, const char *self, enum way way, const char *what,
			 const char *raw)
{
	size_t nr = 0;

	argv[nr++] = self;
	if (way != NONE) {
		argv[nr++] = "run";
		argv[nr++] = "--attach";
		argv[nr++] = way == AGENT ? "agent" : "preload";
		argv[nr++] = "--control";
		argv[nr++] = "none";
		argv[nr++] = "-d";
		argv[nr++] = SPEC;
		argv[nr++] = "--";
		argv[nr++] = self;
	}
	argv[nr++] = "bench";
	argv[nr++] = "attach";
	argv[nr++] = "--probe";
	argv[nr++] = what;
	if (way == RAW) {
		argv[nr++] = "--raw";
		argv[nr++] = raw;
	}
	argv[nr] = NULL;
}

/* Return: its output, to be closed; or NULL */
static FILE *start(const struct options *opt, enum way way, const char *what, pid_t *pid)
{
	static char self[PATH_MAX];
	const char *argv[16];
	int out[2];

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return NULL;
	fill_command(argv, self, way, what, opt->raw);
	*pid = fork();
	if (*pid == 0) {
		(void)dup2(out[1], STDOUT_FILENO);
		execv(self, (char *const *)argv);
		_exit(CLI_EXIT_FAILED);
	}
	close(out[1]);
	if (*pid < 0)
		close(out[0]);
	return *pid < 0 ? NULL : fdopen(out[0], "r");
}

static int finish(FILE *output, pid_t pid)
{
	int status;

	fclose(output);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? 0
		       : -EIO;
}

static int run_probe(const struct options *opt, enum way way, struct results *r)
{
	unsigned int which;
	double ns;
	pid_t pid;
	FILE *output = start(opt, way, way == NONE ? "calls" : "all", &pid);
	int err = 0;

	if (!output)
		return -EIO;
	while (!err && fscanf(output, "%u %lf", &which, &ns) == 2)
		err = which < ATTACH_NR_CASES ? bench_samples_add(&r->of[which][way], ns) : -EPROTO;
	return finish(output, pid) ? -EIO : err;
}

static int time_start(const struct options *opt, enum way way, struct results *r)
{
	int64_t begin = clock_now_ns();
	pid_t pid;
	FILE *output = start(opt, way, "nothing", &pid);

	if (!output || finish(output, pid))
		return -EIO;
	return bench_samples_add(&r->of[ATTACH_START][way], (double)(clock_now_ns() - begin));
}

/* ---- figures ---- */

static double median(struct results *r, int which, int way)
{
	struct bench_samples *s = &r->of[which][way];

	return s->nr ? bench_percentile(s, 50) : 0;
}

/* With what the others are compared. */
static enum way base_of(struct results *r, int which)
{
	return r->of[which][NONE].nr ? NONE : PRELOAD;
}

static void print_row(struct results *r, int which)
{
	double base = median(r, which, base_of(r, which));

	printf("  %-28s", case_names[which]);
	for (int way = 0; way < NR_WAYS; way++) {
		double ns = median(r, which, way);

		if (ns == 0)
			printf(" %9s %7s", "", "");
		else
			printf(" %9.0f %6.2fx", ns, ns / base);
	}
	printf("\n");
}

static void print(struct results *r)
{
	printf("median in ns, and how many times as long as the first of the row\n  %-28s", "");
	for (int way = 0; way < NR_WAYS; way++)
		printf(" %9s %7s", way_names[way], "");
	printf("\n");
	for (int which = 0; which < ATTACH_NR_CASES; which++)
		print_row(r, which);
}

static int print_json(struct results *r)
{
	json_t *doc = bench_json_begin("attach");
	int err = doc ? 0 : -ENOMEM;
	char name[64];

	for (int which = 0; which < ATTACH_NR_CASES; which++)
		for (int way = 0; way < NR_WAYS && !err; way++) {
			if (!r->of[which][way].nr)
				continue;
			snprintf(name, sizeof(name), "%s, %s", case_names[which], way_names[way]);
			err = bench_json_row(
				doc, name, &r->of[which][way],
				json_pack("{s:s, s:s, s:f}", "call", case_names[which], "way",
					  way_names[way], "ratio",
					  median(r, which, way) /
						  median(r, which, base_of(r, which))));
		}
	return bench_json_end(doc, err, stdout);
}

static int run(const struct options *opt)
{
	static struct results r;
	int err = 0;

	for (unsigned int round = 0; round < opt->rounds; round++)
		for (int way = 0; way < NR_WAYS && !err; way++) {
			if (way == RAW && !opt->raw)
				continue;
			err = run_probe(opt, (enum way)way, &r);
			if (!err)
				err = time_start(opt, (enum way)way, &r);
		}
	if (!err && opt->json)
		err = print_json(&r);
	else if (!err)
		print(&r);
	for (int which = 0; which < ATTACH_NR_CASES; which++)
		for (int way = 0; way < NR_WAYS; way++)
			bench_samples_fini(&r.of[which][way]);
	if (err)
		fprintf(stderr, "holdfast bench attach: %s\n", strerror(-err));
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static const struct bench_command command = {
	.name = "attach",
	.help = "usage: holdfast bench attach [OPTION...]\n"
		"Measures what system calls, a disk's requests and a program's start cost without "
		"Holdfast,\nwith the preloaded library and with an agent.\n\n"
		"  --rounds N    programs in each way, by default 5\n"
		"  --raw OBJECT  also a client whose calls are made by raw_call() of this shared "
		"object\n"
		"  --json        write JSON\n",
	.known = "--rounds N, --raw OBJECT, --json",
};

int bench_attach(int argc, char **argv)
{
	struct options opt = {.rounds = 5};
	const struct bench_option options[] = {
		{"rounds", BENCH_COUNT, &opt.rounds, 1000, NULL},
		{"raw", BENCH_TEXT, &opt.raw, 0, NULL},
		{"probe", BENCH_TEXT, &opt.probe, 0, NULL}, /* the bench's own */
		{"json", BENCH_FLAG, &opt.json, 0, NULL},
	};
	int status;

	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, &status))
		return status;
	return opt.probe ? attach_probe(opt.probe, opt.raw) : run(&opt);
}
