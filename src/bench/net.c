// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench net`: frames a second through a card that sends them back, and how long each is
 * under way.
 *
 * The driver is in this process and speaks to the card as a VMM and its guest do, through a
 * vhost-vdpa node. With --vhost-user the same driver speaks to a vhost-user daemon that sends
 * frames back, such as DPDK's testpmd with a vhost port, so that figures of both can be compared.
 * One thread a queue pair keeps --depth frames under way.
 */
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>

#include "bench/args.h"
#include "bench/bench.h"
#include "bench/net_load.h"
#include "bench/target.h"
#include "bench/throughput.h"
#include "cli/cli.h"

#define WHO        "holdfast bench net"
#define FRAMES_MAX 100000000u
#define RING_NUM   1024u
#define QUEUES_MAX BENCH_THREADS_MAX
#define CTRL_MS    5000 /* that a card may take to answer a command */

struct options {
	const char *path, *spec, *plot;
	bool user, json, poll, packed, in_order, event_idx, mergeable;
	unsigned int depth, burst, queues, size, frames, repeat, idle;
};

struct result {
	struct bench_throughput t;
	uint64_t lost, missed;
	double idle_us; /* of processor time in an idle second; < 0: not known */
};

static uint64_t wanted_features(const struct options *opt)
{
	return (opt->packed ? CLIENT_BIT(VIRTIO_F_RING_PACKED) : 0) |
	       (opt->in_order ? CLIENT_BIT(VIRTIO_F_IN_ORDER) : 0) |
	       (opt->event_idx ? CLIENT_BIT(VIRTIO_RING_F_EVENT_IDX) : 0) |
	       (opt->mergeable ? CLIENT_BIT(VIRTIO_NET_F_MRG_RXBUF) : 0) |
	       (opt->queues > 1 ? CLIENT_BIT(VIRTIO_NET_F_MQ) : 0) |
	       (opt->queues > 1 && !opt->user ? CLIENT_BIT(VIRTIO_NET_F_CTRL_VQ) : 0);
}

/* ---- one round ---- */

static void *run_load(void *arg)
{
	struct net_load *load = arg;

	load->samples.nr = 0;
	load->err = net_load_run(load);
	if (!load->err && load->samples.nr == 0)
		load->err = -ETIMEDOUT; /* every frame of the round was lost */
	return NULL;
}

static int run_threads(struct net_load *loads, unsigned int nr)
{
	int err = bench_run_each(run_load, loads, sizeof(*loads), nr);

	for (unsigned int i = 0; !err && i < nr; i++)
		err = loads[i].err;
	return err;
}

static int run_rounds(const struct options *opt, struct net_load *loads, struct result *r)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < opt->repeat; i++) {
		int64_t longest = 1;
		double total = 0;

		err = run_threads(loads, opt->queues);
		for (unsigned int q = 0; !err && q < opt->queues; q++) {
			longest = loads[q].took_ns > longest ? loads[q].took_ns : longest;
			total += (double)loads[q].samples.nr;
			for (size_t j = 0; !err && j < loads[q].samples.nr; j++)
				err = bench_samples_add(&r->t.samples, loads[q].samples.ns[j]);
		}
		if (!err)
			err = bench_samples_add(&r->t.rates, total * 1e9 / (double)longest);
	}
	for (unsigned int q = 0; q < opt->queues; q++) {
		r->lost += loads[q].lost;
		r->missed += loads[q].missed;
		bench_samples_fini(&loads[q].samples);
	}
	return err;
}

/* ---- the card ---- */

static unsigned int nr_vqs(const struct options *opt)
{
	return 2 * opt->queues + (opt->queues > 1 && !opt->user);
}

/* The control queue lies behind the last pair that the card has. Return: 0, or a negative value
 * after one line */
static int find_queues(const struct options *opt, struct bench_target *t)
{
	uint16_t pairs = 0;
	int err;

	if (opt->queues == 1 || opt->user)
		return 0;
	err = t->wire->get_config(t, offsetof(struct virtio_net_config, max_virtqueue_pairs),
				  &pairs, sizeof(pairs));
	if (err) {
		fprintf(stderr, WHO ": configuration: %s\n", strerror(-err));
		return err;
	}
	pairs = le16toh(pairs);
	if (pairs < opt->queues) {
		fprintf(stderr, WHO ": --queues %u: the card has %u\n", opt->queues, pairs);
		return -EINVAL;
	}
	t->vqs[2 * opt->queues].idx = 2u * pairs;
	return 0;
}

/* By the control queue: a card begins with one pair. */
static int use_queues(const struct options *opt, struct bench_target *t)
{
	size_t off = opt->queues * net_load_room(opt->depth);
	struct bench_vq *ctrl = &t->vqs[2 * opt->queues];
	uint8_t *p = bench_target_data(t, off);
	const uint8_t command[] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				   (uint8_t)opt->queues, 0};
	struct ring_driver_seg segs[] = {{bench_target_iova(t, off), sizeof(command)},
					 {bench_target_iova(t, off) + 64, 1}};
	uint32_t len;
	int err;

	if (opt->queues == 1 || opt->user)
		return 0;
	memcpy(p, command, sizeof(command));
	p[64] = VIRTIO_NET_ERR;
	err = ring_driver_add(ctrl->drv, segs, 1, 1, p, NULL, 0);
	if (!err)
		err = bench_vq_publish(ctrl);
	if (!err)
		err = bench_vq_wait(ctrl, CTRL_MS);
	if (!err && !ring_driver_get(ctrl->drv, &len, &err) && !err)
		err = -EPROTO;
	return err ? err : p[64] == VIRTIO_NET_OK ? 0 : -EPROTO;
}

static int run_card(const struct options *opt, struct bench_target *t, struct result *r)
{
	struct net_load loads[QUEUES_MAX];
	int err = 0;

	for (unsigned int i = 0; i < opt->queues; i++) {
		loads[i] = (struct net_load){.target = t,
					     .pair = i,
					     .data_off = i * net_load_room(opt->depth),
					     .mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
					     .size = opt->size,
					     .depth = opt->depth,
					     .burst = opt->burst,
					     .poll = opt->poll,
					     .frames = opt->frames / opt->queues};
		if (!err)
			err = net_load_prepare(&loads[i]);
	}
	if (!err)
		err = bench_target_start(t);
	if (!err)
		err = use_queues(opt, t);
	if (!err)
		err = run_rounds(opt, loads, r);
	if (!err)
		r->idle_us = bench_idle_us(t, opt->idle);
	if (err)
		fprintf(stderr, WHO ": frames: %s\n", strerror(-err));
	return err;
}

static int measure(const struct options *opt, struct result *r)
{
	struct bench_target_config config = {.path = opt->path,
					     .user = opt->user,
					     .features = wanted_features(opt),
					     .nr_vqs = nr_vqs(opt),
					     .num = RING_NUM,
					     .data_len = opt->queues * net_load_room(opt->depth) +
							 4096};
	struct bench_target t;
	int err = bench_target_open(&t, &config, WHO);

	if (!err)
		err = find_queues(opt, &t);
	if (!err)
		err = bench_target_set_up(&t, &config, WHO);
	if (!err)
		err = run_card(opt, &t, r);
	bench_target_close(&t);
	return err;
}

/* ---- results ---- */

static const char *describe(const struct options *opt, char *buf, size_t len)
{
	snprintf(buf, len, "%u bytes, depth %u, %u queue%s, %s%s%s%s, %s", opt->size, opt->depth,
		 opt->queues, opt->queues > 1 ? "s" : "", opt->packed ? "packed" : "split",
		 opt->in_order ? " in order" : "", opt->event_idx ? " event index" : "",
		 opt->mergeable ? " mergeable" : "", opt->poll ? "polling" : "interrupts");
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
	bench_throughput_print(&r->t, title, "lost", r->lost);
	if (r->missed)
		printf("  %" PRIu64 " frames came without the interrupt that was asked for\n",
		       r->missed);
	if (r->idle_us >= 0)
		printf("  idle: %.0f us of processor time in a second\n", r->idle_us);
}

static int write_json(const struct options *opt, struct result *r)
{
	char text[128];

	return bench_throughput_json(
		&r->t, "net", describe(opt, text, sizeof(text)), device(opt), opt->user,
		json_pack("{s:I, s:I, s:i, s:i, s:i, s:f}", "lost", (json_int_t)r->lost,
			  "missed_interrupts", (json_int_t)r->missed, "frame_bytes", opt->size,
			  "depth", opt->depth, "queues", opt->queues, "idle_us_per_second",
			  r->idle_us));
}

static int run(const struct options *opt)
{
	struct result r = {.t = {.what = "frames", .bytes = opt->size}, .idle_us = -1};
	char text[128];
	int err = measure(opt, &r);

	if (!err && opt->json)
		err = write_json(opt, &r);
	else if (!err)
		print(opt, &r);
	if (!err && opt->plot)
		err = bench_throughput_plot(&r.t, "net", describe(opt, text, sizeof(text)),
					    opt->plot);
	bench_throughput_fini(&r.t);
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static const struct bench_command command = {
	.name = "net",
	.help = "usage: holdfast bench net [OPTION...] [PATH]\n"
		"Measures frames a second through a card that sends them back, and how long each "
		"is under way.\n\n"
		"  -d SPEC          the card, see holdfast-run(1); without it and PATH a loopback "
		"card\n"
		"  --vhost-user     PATH is the socket of a vhost-user daemon\n"
		"  --size BYTES     of a frame, 60 to 1514 (default 60)\n"
		"  --depth N        frames under way in each queue pair (default 256)\n"
		"  --burst N        frames taken from a ring before others are sent (default 32)\n"
		"  --queues N       queue pairs, one thread each (default 1)\n"
		"  --frames N       in a round, of all queue pairs (default 1000000)\n"
		"  --repeat N       rounds; the median of their rates is shown (default 5)\n"
		"  --idle SECONDS   to measure the idle device's processor time (default 1)\n"
		"  --poll           look at the rings instead of waiting for interrupts\n"
		"  --packed, --in-order, --event-idx, --mergeable\n"
		"                   negotiate these features\n"
		"  --json           write JSON\n"
		"  --plot FILE.svg  draw latency by percentile\n",
	.known = "-d SPEC, --vhost-user, --size BYTES, --depth N, --burst N, --queues N, "
		 "--frames N, "
		 "--repeat N, --idle SECONDS, --poll, --packed, --in-order, --event-idx, "
		 "--mergeable, --json, --plot FILE, PATH",
	.max_paths = 1,
};

static bool check_options(const struct options *opt, int *status)
{
	char text[32];

	snprintf(text, sizeof(text), "%u", opt->size);
	if (opt->size < NET_SIZE_MIN)
		*status = bench_wrong_use(&command, "below 60: --size", text);
	else if (opt->path && opt->spec)
		*status = bench_wrong_use(&command, "a card by -d and by PATH", opt->path);
	else if (opt->frames < opt->queues)
		*status = bench_wrong_use(&command, "fewer frames than queue pairs:", "--frames");
	else if (opt->user && !opt->path)
		*status = bench_wrong_use(&command, "no PATH with", "--vhost-user");
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
		{"event-idx", BENCH_FLAG, &opt->event_idx, 0, NULL},
		{"mergeable", BENCH_FLAG, &opt->mergeable, 0, NULL},
		{"size", BENCH_COUNT, &opt->size, NET_SIZE_MAX, NULL},
		{"depth", BENCH_COUNT, &opt->depth, RING_NUM / 2, NULL},
		{"burst", BENCH_COUNT, &opt->burst, RING_NUM, NULL},
		{"queues", BENCH_COUNT, &opt->queues, QUEUES_MAX, NULL},
		{"frames", BENCH_COUNT, &opt->frames, FRAMES_MAX, NULL},
		{"repeat", BENCH_COUNT, &opt->repeat, 1000, NULL},
		{"idle", BENCH_PARSED, &opt->idle, 0, bench_parse_idle},
		{"plot", BENCH_TEXT, &opt->plot, 0, NULL},
		{"d", BENCH_TEXT, &opt->spec, 0, NULL},
	};

	*opt = (struct options){.size = 60,
				.depth = 256,
				.burst = 32,
				.queues = 1,
				.frames = 1000000,
				.repeat = 5,
				.idle = 1};
	if (!bench_parse(&command, options, ARRAY_LEN(options), argc, argv, status))
		return false;
	opt->path = argv[optind];
	return check_options(opt, status);
}

int bench_net(int argc, char **argv)
{
	struct options opt;
	int ret;

	if (!parse(argc, argv, &opt, &ret))
		return ret;
	if (!opt.spec)
		opt.spec = "name net0 mgmtdev vdpasim_net max_vqp 8 offer all";
	ret = bench_own_devices(&opt.path, &opt.spec, 1);
	return ret ? ret : run(&opt);
}
