// SPDX-License-Identifier: BSD-3-Clause
/* `holdfast blk`: use a disk without any guest, through virtio_vdpa. */
#include <errno.h>
#include <getopt.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/refuse.h"
#include "cli/blk_copy.h"
#include "cli/cli.h"
#include "cli/own_device.h"
#include "virtio_vdpa/blk.h"

#define TIMEOUT_MS 30000

struct blk_command {
	const char *name;
	int (*fn)(const char *who, struct virtio_blk *blk, const struct blk_options *o);
	bool data; /* takes --file */
	const char *help;
};

/* ---- info ---- */

static const struct {
	unsigned int bit;
	const char *name;
} feature_names[] = {
	{VIRTIO_BLK_F_SIZE_MAX, "SIZE_MAX"},
	{VIRTIO_BLK_F_SEG_MAX, "SEG_MAX"},
	{VIRTIO_BLK_F_RO, "RO"},
	{VIRTIO_BLK_F_BLK_SIZE, "BLK_SIZE"},
	{VIRTIO_BLK_F_FLUSH, "FLUSH"},
	{VIRTIO_BLK_F_TOPOLOGY, "TOPOLOGY"},
	{VIRTIO_BLK_F_MQ, "MQ"},
	{VIRTIO_BLK_F_DISCARD, "DISCARD"},
	{VIRTIO_BLK_F_WRITE_ZEROES, "WRITE_ZEROES"},
	{VIRTIO_RING_F_INDIRECT_DESC, "INDIRECT_DESC"},
	{VIRTIO_RING_F_EVENT_IDX, "EVENT_IDX"},
	{VIRTIO_F_VERSION_1, "VERSION_1"},
	{VIRTIO_F_ACCESS_PLATFORM, "ACCESS_PLATFORM"},
	{VIRTIO_F_RING_PACKED, "RING_PACKED"},
	{VIRTIO_F_IN_ORDER, "IN_ORDER"},
};

static json_t *features_json(uint64_t features)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(feature_names); i++)
		if (features >> feature_names[i].bit & 1)
			json_array_append_new(list, json_string(feature_names[i].name));
	return list;
}

static json_t *info_json(const struct virtio_blk_info *info, const char *name, const char *id)
{
	return json_pack(
		"{s:s, s:s, s:I, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:o}",
		"name", name, "id", id, "capacity", (json_int_t)info->nr_sectors * BLK_SECTOR,
		"read_only", info->read_only, "block_size", (int)info->block_size,
		"physical_block_size", (int)info->physical_block_size, "min_io_size",
		(int)info->min_io_size, "opt_io_size", (int)info->opt_io_size, "size_max",
		(int)info->size_max, "seg_max", (int)info->seg_max, "num_queues",
		(int)info->num_queues, "ring_size", (int)info->ring_size, "max_discard_sectors",
		(json_int_t)info->max_discard_sectors, "max_write_zeroes_sectors",
		(json_int_t)info->max_write_zeroes_sectors, "features",
		features_json(info->features));
}

/* "size_max  262144", or "-" for what the disk does not say. */
static void line(const char *name, uint64_t value, const char *unit)
{
	if (value)
		printf("%-16s %llu%s\n", name, (unsigned long long)value, unit);
	else
		printf("%-16s -\n", name);
}

static void info_text(const struct virtio_blk_info *info, const char *name, const char *id)
{
	printf("%-16s %s\n%-16s %s\n", "name", name, "id", id);
	printf("%-16s %llu bytes, %llu sectors\n", "capacity",
	       (unsigned long long)info->nr_sectors * BLK_SECTOR,
	       (unsigned long long)info->nr_sectors);
	printf("%-16s %s\n", "read-only", info->read_only ? "yes" : "no");
	line("block size", info->block_size, " bytes");
	line("physical block", info->physical_block_size, " bytes");
	line("minimum I/O", info->min_io_size, " bytes");
	line("optimal I/O", info->opt_io_size, " bytes");
	line("segment", info->size_max, " bytes at most");
	line("segments", info->seg_max, " a request at most");
	line("queues", info->num_queues, "");
	line("ring", info->ring_size, " entries");
	line("discard", info->max_discard_sectors, " sectors at most");
	line("write zeroes", info->max_write_zeroes_sectors, " sectors at most");
	printf("%-16s", "features");
	for (size_t i = 0; i < ARRAY_LEN(feature_names); i++)
		if (info->features >> feature_names[i].bit & 1)
			printf(" %s", feature_names[i].name);
	putchar('\n');
}

static int blk_info(const char *who, struct virtio_blk *blk, const struct blk_options *o)
{
	char raw[VIRTIO_BLK_ID_LEN + 1] = "", id[4 * sizeof(raw)];
	json_t *json;
	int rc = virtio_blk_get_id(blk, raw);

	if (rc && rc != -EOPNOTSUPP)
		return own_device_failed(who, rc);
	log_escape(id, sizeof(id), raw, strlen(raw));
	if (!o->json) {
		info_text(virtio_blk_info(blk), virtio_blk_name(blk), id);
		return 0;
	}
	json = info_json(virtio_blk_info(blk), virtio_blk_name(blk), id);
	if (!json || json_dumpf(json, stdout, JSON_INDENT(2)))
		return own_device_failed(who, refuse(-ENOMEM, "no memory for the answer"));
	putchar('\n');
	json_decref(json);
	return 0;
}

/* ---- the command ---- */

static const struct blk_command blk_commands[] = {
	{"info", blk_info, false, "what the disk says of itself"},
	{"read", blk_read, true, "from the disk to standard output"},
	{"write", blk_write, true, "from standard input to the disk"},
	{"discard", blk_discard, false, "give sectors back"},
	{"zero", blk_zero, false, "make sectors zero"},
};

static const struct option long_options[] = {
	{"device", required_argument, NULL, 'd'},
	{"parent", required_argument, NULL, 'p'},
	{"offset", required_argument, NULL, 'o'},
	{"length", required_argument, NULL, 'n'},
	{"file", required_argument, NULL, 'f'},
	{"json", no_argument, NULL, 'j'},
	{"timeout", required_argument, NULL, 'w'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int help(void)
{
	printf("usage: holdfast blk COMMAND -d SPEC [OPTION...]\n"
	       "Uses a disk without a guest.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(blk_commands); i++)
		printf("  %-8s %s\n", blk_commands[i].name, blk_commands[i].help);
	printf("\n"
	       "  -d, --device SPEC   the disk, for example\n"
	       "                      \"mgmtdev vdpasim_blk backend file,path=disk.img\"\n"
	       "  -o, --offset BYTES  where on the disk; K, M, G, T behind the number\n"
	       "  -n, --length BYTES  how much (default: to the end of the disk or of the input)\n"
	       "  -f, --file FILE     read, write: instead of standard output or input\n"
	       "  -j, --json          info: as JSON\n"
	       "      --timeout S     seconds that one request may take (default 30)\n"
	       "      --parent FILE   a parent of your own, see holdfast-parent(7)\n\n"
	       "See holdfast-blk(1), and holdfast-run(1) for the words of a SPEC.\n");
	return CLI_EXIT_OK;
}

static int wrong_option(const char *who, int c, char *const *argv)
{
	const char *word = cli_refused_option(c, argv, long_options);

	if (c == ':')
		fprintf(stderr, "%s: option '%s' needs a value\n", who, word);
	else
		fprintf(stderr,
			"%s: unknown option '%s': known are -d/--device, -o/--offset, -n/--length, "
			"-f/--file, -j/--json, --timeout, --parent, --help\n",
			who, word);
	return CLI_EXIT_USAGE;
}

static int take_timeout(const char *who, struct blk_options *o)
{
	int64_t ns;

	if (cli_parse_seconds(optarg, &ns) || ns < NS_PER_MS)
		return cli_wrong_value(who, "--timeout", optarg,
				       "a number of seconds, 0.001 to 86400");
	o->timeout_ms = (unsigned int)(ns / NS_PER_MS);
	return 0;
}

static int take_option(const char *who, const struct blk_command *cmd, struct blk_options *o, int c,
		       char *const *argv)
{
	switch (c) {
	case 'd':
		if (o->spec) {
			fprintf(stderr, "%s: more than one device\n", who);
			return CLI_EXIT_USAGE;
		}
		o->spec = optarg;
		return 0;
	case 'p':
		return cli_parent_add(who, optarg);
	case 'o':
		if (cli_parse_size(optarg, INT64_MAX, &o->offset))
			return cli_wrong_value(who, "--offset", optarg,
					       "a number of bytes such as 4096 or 1M");
		return 0;
	case 'n':
		o->has_length = true;
		if (cli_parse_size(optarg, INT64_MAX, &o->length))
			return cli_wrong_value(who, "--length", optarg,
					       "a number of bytes such as 4096 or 1M");
		return 0;
	case 'f':
		if (cmd->data) {
			o->file = optarg;
			return 0;
		}
		fprintf(stderr, "%s: --file is for read and write\n", who);
		return CLI_EXIT_USAGE;
	case 'j':
		o->json = true;
		return 0;
	case 'w':
		return take_timeout(who, o);
	case 'h':
		o->help = true;
		return 0;
	}
	return wrong_option(who, c, argv);
}

static int parse_options(const char *who, const struct blk_command *cmd, int argc, char **argv,
			 struct blk_options *o)
{
	int rc = 0, c;

	opterr = 0;
	optind = 0;
	while (!rc && (c = getopt_long(argc, argv, "+:d:o:n:f:jh", long_options, NULL)) != -1)
		rc = take_option(who, cmd, o, c, argv);
	if (rc || o->help)
		return rc;
	if (optind < argc) {
		fprintf(stderr, "%s: '%s' is one word too many\n", who, argv[optind]);
		return CLI_EXIT_USAGE;
	}
	if (!o->spec) {
		fprintf(stderr,
			"%s: which disk? -d SPEC, for example -d \"mgmtdev vdpasim_blk backend "
			"file,path=disk.img\"\n",
			who);
		return CLI_EXIT_USAGE;
	}
	return 0;
}

static int run(const struct blk_command *cmd, int argc, char **argv)
{
	struct blk_options o = {.timeout_ms = TIMEOUT_MS};
	struct own_device own = {0};
	struct virtio_blk *blk;
	char who[32];
	int rc;

	snprintf(who, sizeof(who), "holdfast blk %s", cmd->name);
	rc = parse_options(who, cmd, argc, argv, &o);
	if (rc)
		return rc;
	if (o.help)
		return help();
	rc = own_device_create(who, o.spec, &own);
	if (rc)
		return rc;
	rc = virtio_blk_open(own.dev, o.timeout_ms, &blk);
	if (rc) {
		rc = own_device_failed(who, rc);
	} else {
		rc = cmd->fn(who, blk, &o);
		virtio_blk_close(blk);
	}
	own_device_destroy(&own);
	return rc;
}

int cmd_blk(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0))
		return help();
	for (size_t i = 0; word && i < ARRAY_LEN(blk_commands); i++)
		if (strcmp(word, blk_commands[i].name) == 0)
			return run(&blk_commands[i], argc - 1, argv + 1);
	if (word)
		fprintf(stderr, "holdfast blk: unknown command '%s'", word);
	else
		fprintf(stderr, "holdfast blk: no command");
	fprintf(stderr, ": known are info, read, write, discard, zero\n");
	return CLI_EXIT_USAGE;
}
