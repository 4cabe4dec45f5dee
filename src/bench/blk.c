// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench blk`: requests a second to a disk, and how long each takes.
 *
 * The driver is in this process and speaks to the disk as a VMM and its guest do, through a
 * vhost-vdpa node. With --vhost-user the same driver speaks to a vhost-user daemon, such as QEMU's
 * storage daemon, so that figures of both can be compared. One thread a queue keeps --depth
 * requests in flight, at random places.
 */
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/args.h"
#include "bench/bench.h"
#include "bench/blk_load.h"
#include "bench/target.h"
#include "bench/throughput.h"
#include "cli/cli.h"

#define WHO          "holdfast bench blk"
#define REQUESTS_MAX 100000000u
#define BLOCK_MAX    (1u << 20)
#define QUEUES_MAX   BENCH_THREADS_MAX
#define RING_NUM     256u

struct options {
	const char *path, *spec, *plot;
	bool user, json, poll, packed, in_order, indirect, event_idx, overwrite;
	unsigned int depth, queues, requests, writes, flush, block, repeat, idle;
};

/* One row. */
struct result {
	struct bench_throughput t;
	double idle_us; /* of processor time in an idle second; < 0: not known */
};

/* ---- one round ---- */

static void *run_load(void *arg)
{
	struct blk_load *load = arg;

	load->err = blk_load_run(load);
	return NULL;
}

static int run_threads(struct blk_load *loads, unsigned int nr)
{
	int err = bench_run_each(run_load, loads, sizeof(*loads), nr);

	for (unsigned int i = 0; !err && i < nr; i++)
		err = loads[i].err;
	return err;
}

static int add_up(const struct blk_load *loads, unsigned int nr, struct result *r)
{
	int64_t longest = 1;
	double total = 0;
	int err = 0;

	for (unsigned int i = 0; i < nr; i++) {
		longest = loads[i].took_ns > longest ? loads[i].took_ns : longest;
		total += (double)loads[i].requests;
		for (size_t j = 0; !err && j < loads[i].samples.nr; j++)
			err = bench_samples_add(&r->t.samples, loads[i].samples.ns[j]);
	}
	return err ? err : bench_samples_add(&r->t.rates, total * 1e9 / (double)longest);
}

static int run_round(const struct options *opt, struct bench_target *t, uint64_t nr_blocks,
		     unsigned int round, struct result *r)
{
	struct blk_load loads[QUEUES_MAX];
	int err;

	for (unsigned int i = 0; i < opt->queues; i++)
		loads[i] = (struct blk_load){.target = t,
					     .vq = &t->vqs[i],
					     .data_off = i * blk_load_room(opt->block, opt->depth),
					     .nr_blocks = nr_blocks,
					     .block = opt->block,
					     .depth = opt->depth,
					     .writes = opt->writes,
					     .flush = opt->flush,
					     .poll = opt->poll,
					     .indirect = opt->indirect,
					     .requests = opt->requests / opt->queues,
					     .seed = 1 + i + 1000003ULL * round};
	err = run_threads(loads, opt->queues);
	if (err)
		fprintf(stderr, WHO ": requests: %s\n", strerror(-err));
	else
		err = add_up(loads, opt->queues, r);
	for (unsigned int i = 0; i < opt->queues; i++)
		bench_samples_fini(&loads[i].samples);
	return err;
}

/* ---- the device ---- */

static uint64_t wanted_features(const struct options *opt)
{
	return (opt->packed ? CLIENT_BIT(VIRTIO_F_RING_PACKED) : 0) |
	       (opt->in_order ? CLIENT_BIT(VIRTIO_F_IN_ORDER) : 0) |
	       (opt->indirect ? CLIENT_BIT(VIRTIO_RING_F_INDIRECT_DESC) : 0) |
	       (opt->event_idx ? CLIENT_BIT(VIRTIO_RING_F_EVENT_IDX) : 0) |
	       (opt->queues > 1 ? CLIENT_BIT(VIRTIO_BLK_F_MQ) : 0) |
	       (opt->flush ? CLIENT_BIT(VIRTIO_BLK_F_FLUSH) : 0);
}

/* Return: 0, or a negative value after one line */
static int check_disk(const struct options *opt, struct bench_target *t, uint64_t *nr_blocks)
{
	struct virtio_blk_config config = {0};
	unsigned int queues = 1;
	int err = t->wire->get_config(t, 0, &config,
				      offsetof(struct virtio_blk_config, num_queues) +
					      sizeof(config.num_queues));

	if (err) {
		fprintf(stderr, WHO ": configuration: %s\n", strerror(-err));
		return err;
	}
	*nr_blocks = le64toh(config.capacity) * 512 / opt->block;
	if (opt->queues > 1)
		queues = le16toh(config.num_queues);
	if (*nr_blocks > 0 && opt->queues <= queues)
		return 0;
	if (*nr_blocks == 0)
		fprintf(stderr, WHO ": --block %u is more than the disk has\n", opt->block);
	else
		fprintf(stderr, WHO ": --queues %u: the disk has %u\n", opt->queues, queues);
	return -EINVAL;
}

static int measure(const struct options *opt, struct result *r)
{
	struct bench_target_config config = {.path = opt->path,
					     .user = opt->user,
					     .features = wanted_features(opt),
					     .nr_vqs = opt->queues,
					     .num = RING_NUM,
					     .data_len = opt->queues *
							 blk_load_room(opt->block, opt->depth)};
	uint64_t nr_blocks = 0;
	struct bench_target t;
	int err = bench_target_open(&t, &config, WHO);

	if (!err)
		err = check_disk(opt, &t, &nr_blocks);
	if (!err)
		err = bench_target_set_up(&t, &config, WHO);
	if (!err)
		err = bench_target_start(&t);
	for (unsigned int i = 0; !err && i < opt->repeat; i++)
		err = run_round(opt, &t, nr_blocks, i, r);
	if (!err)
		r->idle_us = bench_idle_us(&t, opt->idle);
	bench_target_close(&t);
	return err;
}

/* ---- results ---- */

static const char *describe(const struct options *opt, char *buf, size_t len)
{
	snprintf(buf, len, "%u bytes, %u %% writes, depth %u, %u queue%s, %s%s%s%s, %s", opt->block,
		 opt->writes, opt->depth, opt->queues, opt->queues > 1 ? "s" : "",
		 opt->packed ? "packed" : "split", opt->in_order ? " in order" : "",
		 opt->indirect ? " indirect" : "", opt->event_idx ? " event index" : "",
		 opt->poll ? "polling" : "interrupts");
	return buf;
}

static const char *device(const struct options *opt)
{
	return opt->spec ? opt->spec : opt->path;
}

static void print(const struct options *opt, struct result *r)
{
	char text[128], title[512];

	snprintf(title, sizeof(title), "%s on %s", describe(opt, text, sizeof(text)), device(opt));
	bench_throughput_print(&r->t, title, NULL, 0);
	if (r->idle_us >= 0)
		printf("  idle: %.0f us of processor time in a second\n", r->idle_us);
}

static int write_json(const struct options *opt, struct result *r)
{
	char text[128];

	return bench_throughput_json(
		&r->t, "blk", describe(opt, text, sizeof(text)), device(opt), opt->user,
		json_pack("{s:i, s:i, s:i, s:f}", "block_bytes", opt->block, "depth", opt->depth,
			  "queues", opt->queues, "idle_us_per_second", r->idle_us));
}

static int run(const struct options *opt)
{
	struct result r = {.t = {.what = "requests", .bytes = opt->block}};
	char text[128];
	int err = measure(opt, &r);

	if (!err && opt->json)
		err = write_json(opt, &r);
	else if (!err)
		print(opt, &r);
	if (!err && opt->plot)
		err = bench_throughput_plot(&r.t, "blk", describe(opt, text, sizeof(text)),
					    opt->plot);
	bench_throughput_fini(&r.t);
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static const struct bench_command command = {
	.name = "blk",
	.help = "usage: holdfast bench blk [OPTION...] [PATH]\n"
		"Measures requests a second to a disk, and how long each takes.\n\n"
		"  -d SPEC          the disk, see holdfast-run(1); without it and PATH a RAM disk\n"
		"  --vhost-user     PATH is the socket of a vhost-user daemon\n"
		"  --block BYTES    of a request, a multiple of 512 (default 4096)\n"
		"  --depth N        requests in flight in each queue (default 32)\n"
		"  --queues N       queues, one thread each (default 1)\n"
		"  --writes PERCENT of the requests (default 0)\n"
		"  --flush N        a flush behind every N writes (default none)\n"
		"  --requests N     in a round, of all queues (default 100000)\n"
		"  --repeat N       rounds; the median of their rates is shown (default 5)\n"
		"  --idle SECONDS   to measure the idle device's processor time (default 1)\n"
		"  --poll           look at the ring instead of waiting for interrupts\n"
		"  --packed, --in-order, --indirect, --event-idx\n"
		"                   negotiate these features\n"
		"  --overwrite      write to the disk of PATH\n"
		"  --json           write JSON\n"
		"  --plot FILE.svg  draw latency by percentile\n",
	.known = "-d SPEC, --vhost-user, --block BYTES, --depth N, --queues N, --writes PERCENT, "
		 "--flush N, --requests N, --repeat N, --idle SECONDS, --poll, --packed, "
		 "--in-order, --indirect, "
		 "--event-idx, --overwrite, --json, --plot FILE, PATH",
	.max_paths = 1,
};

static bool check_options(const struct options *opt, int *status)
{
	char text[32];

	snprintf(text, sizeof(text), "%u", opt->block);
	if (opt->block % 512)
		*status = bench_wrong_use(&command, "no multiple of 512: --block", text);
	else if (opt->path && opt->spec)
		*status = bench_wrong_use(&command, "a disk by -d and by PATH", opt->path);
	else if (opt->user && !opt->path)
		*status = bench_wrong_use(&command, "no PATH with", "--vhost-user");
	else if (opt->path && opt->writes && !opt->overwrite)
		*status =
			bench_wrong_use(&command, "--overwrite is missing to write to", opt->path);
	else if (opt->requests < opt->queues * opt->depth)
		*status = bench_wrong_use(&command,
					  "fewer requests than are in flight:", "--requests");
	return !*status;
}

/* Return: true go on; false: *@status is the exit status */
static bool parse(int argc, char **argv, struct options *opt, int *status)
{
	const struct bench_option options[] = {
		{"json", BENCH_FLAG, &opt->json, 0, NULL},
		{"vhost-user", BENCH_FLAG, &opt->user, 0, NULL},
		{"poll", BENCH_FLAG, &opt->poll, 0, NULL},
		{"packed", BENCH_FLAG, &opt->packed, 0, NULL},
		{"in-order", BENCH_FLAG, &opt->in_order, 0, NULL},
		{"indirect", BENCH_FLAG, &opt->indirect, 0, NULL},
		{"event-idx", BENCH_FLAG, &opt->event_idx, 0, NULL},
		{"overwrite", BENCH_FLAG, &opt->overwrite, 0, NULL},
		{"block", BENCH_COUNT, &opt->block, BLOCK_MAX, NULL},
		{"depth", BENCH_COUNT, &opt->depth, RING_NUM / BLK_SEGS, NULL},
		{"queues", BENCH_COUNT, &opt->queues, QUEUES_MAX, NULL},
		{"writes", BENCH_COUNT, &opt->writes, 100, NULL},
		{"flush", BENCH_COUNT, &opt->flush, REQUESTS_MAX, NULL},
		{"requests", BENCH_COUNT, &opt->requests, REQUESTS_MAX, NULL},
		{"repeat", BENCH_COUNT, &opt->repeat, 1000, NULL},
		{"idle", BENCH_PARSED, &opt->idle, 0, bench_parse_idle},
		{"plot", BENCH_TEXT, &opt->plot, 0, NULL},
		{"d", BENCH_TEXT, &opt->spec, 0, NULL},
	};

	*opt = (struct options){.block = 4096,
				.depth = 32,
				.queues = 1,
				.requests = 100000,
				.repeat = 5,
				.idle = 1};
	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, status))
		return false;
	opt->path = argv[optind];
	return check_options(opt, status);
}

int bench_blk(int argc, char **argv)
{
	struct options opt;
	int ret;

	if (!parse(argc, argv, &opt, &ret))
		return ret;
	if (!opt.spec)
		opt.spec = "name disk0 mgmtdev vdpasim_blk num_queues 8 offer all";
	ret = bench_own_devices(&opt.path, &opt.spec, 1);
	return ret ? ret : run(&opt);
}
