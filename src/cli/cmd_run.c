// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast run`: become COMMAND, with devices. There is no parent process: COMMAND replaces this
 * one, so its exit status, its signals and its terminal are its own.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/refuse.h"
#include "cli/cli.h"
#include "cli/devices.h"
#include "cli/program.h"
#include "mgmt/socket.h"

#define WHO "holdfast run"
#define USAGE                                                                                      \
	"holdfast run [-d SPEC]... [--parent FILE]... [--log FILE] [--control PATH] [--launcher] " \
	"[--] COMMAND [ARG...]"

struct run_options {
	const char *specs[DEVICES_NR_MAX];
	size_t nr_specs;
	const char *log;
	const char *control;
	bool launcher; /* COMMAND needs no device itself */
	bool help;
};

static const struct option long_options[] = {{"device", required_argument, NULL, 'd'},
					     {"log", required_argument, NULL, 'l'},
					     {"parent", required_argument, NULL, 'p'},
					     {"control", required_argument, NULL, 'c'},
					     {"launcher", no_argument, NULL, 'L'},
					     {"help", no_argument, NULL, 'h'},
					     {NULL, 0, NULL, 0}};

static int wrong_option(int c, char *const *argv)
{
	const char *word = argv[optind - 1];

	if (c == ':')
		fprintf(stderr, "%s: option '%s' needs a value: %s\n", WHO, word, USAGE);
	else
		fprintf(stderr,
			"%s: unknown option '%s': known are -d/--device, --parent, --log, "
			"--control, --launcher, --help\n",
			WHO, word);
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

static int check_program(const struct run_options *o, const char *command)
{
	if (o->launcher || program_check(command) == 0)
		return 0;
	fprintf(stderr,
		"%s: %s, so it would find no device; with --launcher it runs all the same, for the "
		"programs that it starts\n",
		WHO, refuse_reason());
	return CLI_EXIT_NO_EXEC;
}

int cmd_run(int argc, char **argv)
{
	struct run_options o = {.nr_specs = 0};
	int rc = parse_options(argc, argv, &o);
	int err;

	if (rc)
		return rc;
	if (o.help)
		return help();
	rc = check_program(&o, argv[optind]);
	if (!rc)
		rc = set_control(o.control);
	if (!rc)
		rc = cli_preload_setup(WHO, o.specs, o.nr_specs, o.log);
	if (rc)
		return rc;
	execvp(argv[optind], argv + optind);
	err = errno;
	fprintf(stderr, "%s: cannot run '%s': %s\n", WHO, argv[optind], strerror(err));
	return err == ENOENT ? CLI_EXIT_NO_CMD : CLI_EXIT_NO_EXEC;
}
