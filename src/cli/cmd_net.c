// SPDX-License-Identifier: BSD-3-Clause
/* `holdfast net`: use a network card without a guest, through virtio_vdpa. One command: ping. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/net_ping.h"
#include "cli/own_device.h"

#define WHO       "holdfast net ping"
#define USAGE     "holdfast net ping [-d SPEC] [OPTION...] [ADDRESS]"
#define COUNT_MAX 1000000000ULL
#define SIZE_MAX_ 65507u

struct ping_command {
	const char *spec;
	struct net_ping_options ping;
	bool help;
};

static volatile sig_atomic_t stop;

static void on_interrupt(int sig)
{
	(void)sig;
	stop = 1;
}

static const struct option long_options[] = {
	{"device", required_argument, NULL, 'd'},
	{"parent", required_argument, NULL, 'p'},
	{"count", required_argument, NULL, 'c'},
	{"interval", required_argument, NULL, 'i'},
	{"wait", required_argument, NULL, 'W'},
	{"size", required_argument, NULL, 's'},
	{"source", required_argument, NULL, 'S'},
	{"gateway", required_argument, NULL, 'g'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int help(void)
{
	printf("usage: %s\n"
	       "Uses a network card without a guest: pings ADDRESS, an IPv4 address, through it.\n"
	       "Without ADDRESS: sends frames that a loopback gives back, and counts them.\n\n"
	       "  -d, --device SPEC   the card, for example \"backend tap,ifname=tap0\"\n"
	       "                      (default: a loopback)\n"
	       "  -c, --count N       how many, 0: until interrupted (default 4)\n"
	       "  -i, --interval S    seconds between two, 0: as fast as they come back (default "
	       "1)\n"
	       "  -W, --wait S        seconds to wait for the last answer (default 2)\n"
	       "  -s, --size N        bytes of data (default 56)\n"
	       "  -S, --source IP     our address (default: ADDRESS's /24, .254)\n"
	       "  -g, --gateway IP    ADDRESS is behind this router\n"
	       "  -q, --quiet         the summary alone\n"
	       "      --parent FILE   a parent of your own, see holdfast-parent(7)\n\n"
	       "See holdfast-net(1), and holdfast-run(1) for the words of a SPEC.\n",
	       USAGE);
	return CLI_EXIT_OK;
}

/* ---- options ---- */

static int wrong_option(int c, char *const *argv)
{
	const char *word = cli_refused_option(c, argv, long_options);

	if (c == ':')
		fprintf(stderr, "%s: option '%s' needs a value\n", WHO, word);
	else
		fprintf(stderr,
			"%s: unknown option '%s': known are -d/--device, -c/--count, "
			"-i/--interval, -W/--wait, -s/--size, -S/--source, -g/--gateway, "
			"-q/--quiet, "
			"--parent, --help\n",
			WHO, word);
	return CLI_EXIT_USAGE;
}

static int take_count(const char *word, uint32_t *count)
{
	uint64_t value;

	if (cli_parse_size(word, COUNT_MAX, &value))
		return cli_wrong_value(WHO, "--count", word, "a number up to 1000000000");
	*count = (uint32_t)value;
	return 0;
}

static int take_size(const char *word, uint16_t *size)
{
	uint64_t value;

	if (cli_parse_size(word, SIZE_MAX_, &value))
		return cli_wrong_value(WHO, "--size", word, "a number of bytes, 0 to 65507");
	*size = (uint16_t)value;
	return 0;
}

static int take_seconds(const char *option, const char *word, int64_t *ns)
{
	if (cli_parse_seconds(word, ns))
		return cli_wrong_value(WHO, option, word, "a number of seconds such as 1 or 0.2");
	return 0;
}

/* @option: also what an ADDRESS is called in the message. */
static int take_ip(const char *option, const char *word, bool *has, struct in_addr *ip)
{
	if (inet_pton(AF_INET, word, ip) != 1 || ip->s_addr == 0 ||
	    IN_MULTICAST(ntohl(ip->s_addr)) || ip->s_addr == INADDR_BROADCAST)
		return cli_wrong_value(WHO, option, word, "an IPv4 address such as 10.0.2.2");
	*has = true;
	return 0;
}

static int take_option(struct ping_command *cmd, int c, char *const *argv)
{
	struct net_ping_options *o = &cmd->ping;

	switch (c) {
	case 'd':
		if (cmd->spec) {
			fprintf(stderr, "%s: more than one device\n", WHO);
			return CLI_EXIT_USAGE;
		}
		cmd->spec = optarg;
		return 0;
	case 'p':
		return cli_parent_add(WHO, optarg);
	case 'c':
		return take_count(optarg, &o->count);
	case 'i':
		return take_seconds("--interval", optarg, &o->interval_ns);
	case 'W':
		return take_seconds("--wait", optarg, &o->wait_ns);
	case 's':
		return take_size(optarg, &o->size);
	case 'S':
		return take_ip("--source", optarg, &o->has_source, &o->source);
	case 'g':
		return take_ip("--gateway", optarg, &o->has_gateway, &o->gateway);
	case 'q':
		o->quiet = true;
		return 0;
	case 'h':
		cmd->help = true;
		return 0;
	}
	return wrong_option(c, argv);
}

static int take_address(struct ping_command *cmd, int argc, char *const *argv)
{
	struct net_ping_options *o = &cmd->ping;

	if (optind + 1 < argc) {
		fprintf(stderr, "%s: '%s' is one word too many: %s\n", WHO, argv[optind + 1],
			USAGE);
		return CLI_EXIT_USAGE;
	}
	if (optind < argc)
		return take_ip("ADDRESS", argv[optind], &o->has_address, &o->address);
	if (o->has_source || o->has_gateway) {
		fprintf(stderr, "%s: --source and --gateway go with an ADDRESS\n", WHO);
		return CLI_EXIT_USAGE;
	}
	return 0;
}

static int parse_options(struct ping_command *cmd, int argc, char **argv)
{
	int rc = 0, c;

	opterr = 0;
	optind = 0;
	while (!rc && (c = getopt_long(argc, argv, ":d:c:i:W:s:S:g:qh", long_options, NULL)) != -1)
		rc = take_option(cmd, c, argv);
	if (rc || cmd->help)
		return rc;
	return take_address(cmd, argc, argv);
}

/* ---- the command ---- */

static int ping(int argc, char **argv)
{
	struct ping_command cmd = {.ping = {.count = 4,
					    .interval_ns = NS_PER_SEC,
					    .wait_ns = 2 * NS_PER_SEC,
					    .size = 56}};
	struct sigaction act = {.sa_handler = on_interrupt}; /* no SA_RESTART: waiting ends */
	struct own_device own = {0};
	struct virtio_net *net;
	int rc = parse_options(&cmd, argc, argv);

	if (rc)
		return rc;
	if (cmd.help)
		return help();
	rc = own_device_create(WHO, cmd.spec ? cmd.spec : CLI_DEFAULT_SPEC, &own);
	if (rc)
		return rc;
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
	rc = virtio_net_open(own.dev, &net);
	if (rc) {
		rc = own_device_failed(WHO, rc);
	} else {
		rc = net_ping(WHO, net, &cmd.ping, &stop);
		virtio_net_close(net);
	}
	own_device_destroy(&own);
	return rc;
}

int cmd_net(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (word && strcmp(word, "ping") == 0)
		return ping(argc - 1, argv + 1);
	if (word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0))
		return help();
	if (word)
		fprintf(stderr, "holdfast net: unknown command '%s': known is ping\n", word);
	else
		fprintf(stderr, "holdfast net: no command: known is ping\n");
	return CLI_EXIT_USAGE;
}
