// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the files of the `holdfast` command share: the subcommands, how a command says that it was
 * used wrongly, and how a command comes to run under the preload library. Thread rule: main thread.
 */
#ifndef HOLDFAST_CLI_CLI_H
#define HOLDFAST_CLI_CLI_H

#include <limits.h>
#include <stddef.h>

#include <sys/types.h>

#include "base/compiler.h"

struct option; /* getopt.h */

/* Exit statuses of our own; `run` has COMMAND's otherwise. */
enum cli_exit {
	CLI_EXIT_OK = 0,
	CLI_EXIT_FAILED = 1,    /* understood, but did not work out */
	CLI_EXIT_USAGE = 2,     /* wrong use */
	CLI_EXIT_NO_EXEC = 126, /* COMMAND is there and cannot be run */
	CLI_EXIT_NO_CMD = 127,  /* no such COMMAND */
};

/* Device of every command that was given none. */
#define CLI_DEFAULT_SPEC "mgmtdev vdpasim_net backend loopback"

/* Subcommands. argv[0] is the subcommand's own last word ("run", "reset"). Return: exit status. */
int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_dev(int argc, char **argv);
int cmd_mgmtdev(int argc, char **argv);
int cmd_blk(int argc, char **argv);
int cmd_net(int argc, char **argv);
int bench_reset(int argc, char **argv);
int bench_downtime(int argc, char **argv);
int bench_pin_memory(int argc, char **argv);
int bench_hold(int argc, char **argv);
int bench_load(int argc, char **argv);
int bench_iotlb(int argc, char **argv);
int bench_net(int argc, char **argv);
int bench_blk(int argc, char **argv);
int bench_attach(int argc, char **argv);
int bench_apart(int argc, char **argv);

/**
 * cli_refused_option() - the option that a person has to look at
 * Of letters behind one dash that is not the word before optind: getopt is in their midst.
 * @c: what getopt_long(3) gave: '?' or ':'; @longs: its table
 * Return: the word, or the letter with its dash; valid until the next call
 */
const char *cli_refused_option(int c, char *const *argv, const struct option *longs);

/**
 * cli_open_output() - fd_open_output(), but not for the file of a disk that -d has named
 * Return: as fd_open_output(); -EBUSY
 */
int cli_open_output(const char *path, mode_t mode) HF_MUST_CHECK;

/** cli_set_main_args() - remember main()'s arguments for cli_reexec_with_devices() */
void cli_set_main_args(char **argv);

/**
 * cli_reexec_with_devices() - go on under the preload library
 * @specs: [lent] one SPEC a device; with @nr_specs 0, one loopback NIC
 *
 * Called early by a command that is itself a client of its devices: the program is executed again
 * with the same arguments and the same process id, this time with the library preloaded, so that
 * /dev/vhost-vdpa-0, -1, ... are the devices of @specs. In that second life the call does nothing.
 * Nothing may have been done yet that does not survive execve(2).
 * Return: 0 running under the library, go on; else an exit status, and one line was printed.
 */
int cli_reexec_with_devices(const char *const *specs, size_t nr_specs) HF_MUST_CHECK;

/**
 * cli_preload_setup() - put the library and the devices into the environment for execve(2)
 * @log: file for the call log, or NULL
 * Tries the devices first: makes them all and takes them down again.
 * Return: 0, or an exit status, and one line was printed. @who: "holdfast run", begins that line.
 */
int cli_preload_setup(const char *who, const char *const *specs, size_t nr_specs,
		      const char *log) HF_MUST_CHECK;

/** cli_agent_setup() - the same, but for the library: for programs that get an agent. Return: also
 * CLI_EXIT_NO_EXEC: there are modules, which an agent cannot load */
int cli_agent_setup(const char *who, const char *const *specs, size_t nr_specs,
		    const char *log) HF_MUST_CHECK;

/** cli_find_agent() - the agent's file. Return: 0; -ENOENT with refuse() in words */
int cli_find_agent(char path[PATH_MAX]) HF_MUST_CHECK;

/** cli_parent_add() - `--parent FILE`: a parent that SPECs may name, here and in the client
 * Return: 0, or an exit status, and one line was printed. @who: as above. Before
 * cli_preload_setup(). */
int cli_parent_add(const char *who, const char *file) HF_MUST_CHECK;

/** cli_modules_prepare() - say where installed parents are, before devices are made in this
 * process; cli_preload_setup() does it too. Return: 0, or an exit status, and one line was
 * printed */
int cli_modules_prepare(const char *who) HF_MUST_CHECK;

#endif
