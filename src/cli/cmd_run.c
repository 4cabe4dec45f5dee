// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast run`: become COMMAND, with devices. There is no parent process: COMMAND replaces this
 * one, so its exit status, its signals and its terminal are its own. A COMMAND that cannot be
 * preloaded runs below a supervisor instead (frontends/agent).
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/refuse.h"
#include "cli/cli.h"
#include "cli/devices.h"
#include "cli/program.h"
#include "frontends/agent/agent.h"
#include "mgmt/socket.h"

#define WHO "holdfast run"
#define USAGE                                                                                      \
	"holdfast run [-d SPEC]... [--parent FILE]... [--log FILE] [--control PATH] "              \
	"[--attach preload|agent] [--launcher] [--] COMMAND [ARG...]"

struct run_options {
	const char *specs[DEVICES_NR_MAX];
	size_t nr_specs;
	const char *log;
	const char *control;
	bool launcher; /* COMMAND needs no device itself */
	bool has_way;  /* --attach was given */
	enum program_way way;
	bool help;
};

static const struct option long_options[] = {
	{"device", required_argument, NULL, 'd'}, {"log", required_argument, NULL, 'l'},
	{"parent", required_argument, NULL, 'p'}, {"control", required_argument, NULL, 'c'},
	{"attach", required_argument, NULL, 'a'}, {"launcher", no_argument, NULL, 'L'},
	{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};

static int wrong_option(int c, char *const *argv)
{
	const char *word = cli_refused_option(c, argv, long_options);

	if (c == ':')
		fprintf(stderr, "%s: option '%s' needs a value: %s\n", WHO, word, USAGE);
	else
		fprintf(stderr,
			"%s: unknown option '%s': known are -d/--device, --parent, --log, "
			"--control, --attach, --launcher, --help\n",
			WHO, word);
	return CLI_EXIT_USAGE;
}

static int take_way(struct run_options *o, const char *word)
{
	o->has_way = true;
	o->way = strcmp(word, "agent") == 0 ? PROGRAM_AGENT : PROGRAM_PRELOAD;
	if (o->way == PROGRAM_AGENT || strcmp(word, "preload") == 0)
		return 0;
	fprintf(stderr, "%s: --attach '%s': known are preload, agent\n", WHO, word);
	return CLI_EXIT_USAGE;
}

static int take_option(struct run_options *o, int c, char *const *argv)
{
	switch (c) {
	case 'd':
		if (o->nr_specs == DEVICES_NR_MAX) {
			fprintf(stderr, "%s: more than %u devices\n", WHO, DEVICES_NR_MAX);
			return CLI_EXIT_USAGE;
		}
		o->specs[o->nr_specs++] = optarg;
		return 0;
	case 'l':
		o->log = optarg;
		return 0;
	case 'p':
		return cli_parent_add(WHO, optarg);
	case 'c':
		o->control = optarg;
		return 0;
	case 'a':
		return take_way(o, optarg);
	case 'L':
		o->launcher = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	}
	return wrong_option(c, argv);
}

static int parse_options(int argc, char **argv, struct run_options *o)
{
	int rc = 0;
	int c;

	opterr = 0;
	optind = 0; /* from the start, and forget "posixly correct" state */
	while (!rc && (c = getopt_long(argc, argv, "+:d:h", long_options, NULL)) != -1)
		rc = take_option(o, c, argv);
	if (rc || o->help)
		return rc;
	if (optind == argc) {
		fprintf(stderr, "%s: no COMMAND: %s\n", WHO, USAGE);
		return CLI_EXIT_USAGE;
	}
	return 0;
}

static int help(void)
{
	printf("usage: %s\n"
	       "Runs COMMAND with vDPA devices at /dev/vhost-vdpa-0, -1, ...\n\n"
	       "  -d, --device SPEC  one more device, for example\n"
	       "                     \"name net0 mgmtdev vdpasim_net mac 52:54:00:12:34:56\"\n"
	       "                     (default: one loopback NIC)\n"
	       "      --parent FILE  a parent of your own, see holdfast-parent(7)\n"
	       "      --log FILE     write every call on a device to FILE\n"
	       "      --control PATH socket for 'holdfast dev --control PATH' (none: no socket)\n"
	       "      --attach WAY   how COMMAND gets them: preload or agent\n"
	       "                     (default: agent if it is static or has another libc)\n"
	       "      --launcher     COMMAND only starts the program that wants the devices\n\n"
	       "See holdfast-run(1) for the words of a SPEC.\n",
	       USAGE);
	return CLI_EXIT_OK;
}

/* The socket's path in full, for the program may change its folder. Return: NULL with errno */
static char *full_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	char *real = folder ? realpath(folder, NULL) : NULL;
	char *full = NULL;

	if (*name == '\0')
		errno = EISDIR;
	else if (real && asprintf(&full, "%s/%s", real, name) < 0)
		full = NULL;
	free(real);
	free(folder);
	return full;
}

/* That the program can listen there is tried here, where a person sees what is wrong. */
static int set_control(const char *path)
{
	struct socket_name name;
	char *full;
	int rc = 0;
	int fd;

	if (!path || strcmp(path, "none") == 0)
		return path && setenv(MGMT_SOCKET_ENV, path, 1) ? CLI_EXIT_FAILED : 0;
	full = full_path(path);
	if (!full) {
		fprintf(stderr, "%s: no place for the socket '%s': %s\n", WHO, path,
			strerror(errno));
		return CLI_EXIT_FAILED;
	}
	fd = mgmt_socket_listen(&name, full);
	if (fd < 0) {
		fprintf(stderr, "%s: %s: %s\n", WHO, refuse_reason(), strerror(-fd));
		rc = CLI_EXIT_FAILED;
	} else {
		socket_name_remove(&name);
		close(fd);
		rc = setenv(MGMT_SOCKET_ENV, full, 1) ? CLI_EXIT_FAILED : 0;
	}
	free(full);
	return rc;
}

/* Return: 0, with the way chosen; or an exit status, and one line was printed */
static int choose_way(struct run_options *o, const char *command)
{
	enum program_way open_way;
	int rc = program_check(command, &open_way);

	if (o->launcher)
		return 0;
	if (rc) {
		fprintf(stderr,
			"%s: %s; it would find no device. With --launcher it runs all the same, "
			"for the "
			"programs that it starts\n",
			WHO, refuse_reason());
		return CLI_EXIT_NO_EXEC;
	}
	if (o->has_way && o->way == PROGRAM_PRELOAD && open_way == PROGRAM_AGENT) {
		fprintf(stderr, "%s: %s, so nothing can be preloaded: leave --attach preload out\n",
			WHO, refuse_reason());
		return CLI_EXIT_NO_EXEC;
	}
	if (!o->has_way)
		o->way = open_way;
	return 0;
}

static int become(void *arg)
{
	char **argv = arg;
	int err;

	program_exec(argv);
	err = errno;
	fprintf(stderr, "%s: cannot run '%s': %s\n", WHO, argv[0], strerror(err));
	return err == ENOENT ? CLI_EXIT_NO_CMD : CLI_EXIT_NO_EXEC;
}

static int run_with_agent(const struct run_options *o, char **argv)
{
	char path[PATH_MAX];
	int rc = cli_agent_setup(WHO, o->specs, o->nr_specs, o->log);

	if (rc)
		return rc;
	if (cli_find_agent(path) || agent_check(path)) {
		fprintf(stderr, "%s: '%s' needs an agent, and none can run: %s\n", WHO, argv[0],
			refuse_reason());
		return CLI_EXIT_NO_EXEC;
	}
	return agent_run(
		&(struct agent_options){.who = WHO, .image = path, .become = become, .arg = argv});
}

int cmd_run(int argc, char **argv)
{
	struct run_options o = {.nr_specs = 0};
	int rc = parse_options(argc, argv, &o);

	if (rc)
		return rc;
	if (o.help)
		return help();
	rc = choose_way(&o, argv[optind]);
	if (!rc)
		rc = set_control(o.control);
	if (!rc && o.way == PROGRAM_AGENT)
		return run_with_agent(&o, argv + optind);
	if (!rc)
		rc = cli_preload_setup(WHO, o.specs, o.nr_specs, o.log);
	return rc ? rc : become(argv + optind);
}
