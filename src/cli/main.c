// SPDX-License-Identifier: BSD-3-Clause
/* The `holdfast` command: one table of subcommands, and one of benches. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *help;
};

static int cmd_bench(int argc, char **argv);
static int cmd_help(int argc, char **argv);

static const struct command commands[] = {
	{"run", cmd_run, "run a program with vDPA devices of its own"},
	{"dev", cmd_dev, "devices of a running program: show, add, del, set, config, vstats"},
	{"mgmtdev", cmd_mgmtdev, "what kinds of devices can be made"},
	{"bench", cmd_bench,
	 "measure: resets, downtimes, memory, load, the IOTLB, frames, disk requests"},
	{"check", cmd_check, "check that a vhost-vdpa device behaves as specified"},
	{"blk", cmd_blk, "use a disk without a guest: info, read, write, discard, zero"},
	{"net", cmd_net, "use a network card without a guest: ping"},
	{"help", cmd_help, "this text"},
};

static const struct command benches[] = {
	{"reset", bench_reset, "what a device reset costs against mapped memory"},
	{"downtime", bench_downtime, "what a migration's interruptions cost, phase by phase"},
	{"hold", bench_hold, "what a client's calls cost while registrations are held"},
	{"pin", bench_pin_memory, "the first registration of memory, by one processor and by all"},
	{"load", bench_load, "whether many devices, mappings and resets cost more and more"},
	{"iotlb", bench_iotlb, "the IOTLB's operations"},
	{"net", bench_net, "frames through a card, and how long they are under way"},
	{"blk", bench_blk, "requests to a disk, and how long they take"},
	{"attach", bench_attach, "what the ways to a client's devices cost the client"},
	{"apart", bench_apart, "how far one processor is from another"},
};

static void list(FILE *f, const struct command *table, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		fprintf(f, "  %-8s %s\n", table[i].name, table[i].help);
}

static int unknown(const char *who, const char *what, const char *word, const struct command *table,
		   size_t nr)
{
	if (word)
		fprintf(stderr, "%s: unknown %s '%s': known are", who, what, word);
	else
		fprintf(stderr, "%s: no %s: known are", who, what);
	for (size_t i = 0; i < nr; i++)
		fprintf(stderr, "%s %s", i ? "," : "", table[i].name);
	fputc('\n', stderr);
	return CLI_EXIT_USAGE;
}

static int cmd_help(int argc, char **argv)
{
	printf("usage: holdfast COMMAND [ARG...]\n\n");
	list(stdout, commands, ARRAY_LEN(commands));
	printf("\nholdfast COMMAND --help says more. holdfast --version\n");
	return CLI_EXIT_OK;
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int dispatch(const char *who, const char *what, const struct command *table, size_t nr,
		    int argc, char **argv)
{
	for (size_t i = 0; argc > 0 && i < nr; i++)
		if (strcmp(argv[0], table[i].name) == 0)
			return table[i].fn(argc, argv);
	return unknown(who, what, argc > 0 ? argv[0] : NULL, table, nr);
}

static int cmd_bench(int argc, char **argv)
{
	if (argc > 1 && is_help(argv[1])) {
		printf("usage: holdfast bench WHAT [ARG...]\n\n");
		list(stdout, benches, ARRAY_LEN(benches));
		return CLI_EXIT_OK;
	}
	return dispatch("holdfast bench", "bench", benches, ARRAY_LEN(benches), argc - 1, argv + 1);
}

/* A file of ours with one of these numbers would have in it what we print. What takes them fails
 * as a closed one does, and is closed again for the program that `run` executes. */
static void occupy_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", mode | O_CLOEXEC) != fd)
			return;
	}
}

static int run(int argc, char **argv)
{
	if (argc > 1 && is_help(argv[1]))
		return cmd_help(argc, argv);
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		printf("holdfast %s\n", HOLDFAST_VERSION);
		return CLI_EXIT_OK;
	}
	return dispatch("holdfast", "command", commands, ARRAY_LEN(commands), argc - 1, argv + 1);
}

/* What was printed has to be there: a disk may be full. Return: an exit status */
static int flush_output(int rc)
{
	bool failed = ferror(stdout);
	int err = fflush(stdout) ? errno : failed ? EIO : 0;

	if (!err)
		return rc;
	fprintf(stderr, "holdfast: cannot write standard output: %s\n", strerror(err));
	return rc == CLI_EXIT_OK ? CLI_EXIT_FAILED : rc;
}

int main(int argc, char **argv)
{
	occupy_standard_descriptors();
	cli_set_main_args(argv);
	return flush_output(run(argc, argv));
}
