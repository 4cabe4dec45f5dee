// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench net`: frames a second through a card that sends them back, and how long each is
 * under way.
 *
 * The driver is in this process and speaks to the card as a VMM and its guest do, through a
 * vhost-vdpa node. With --vhost-user the same driver speaks to a vhost-user daemon that sends
 * frames back, such as DPDK's testpmd with a vhost port, so that figures of both can be compared.
 * One thread keeps --depth frames under way.
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

struct options {
	const char *path, *spec;
	bool user, json, poll, packed, in_order, event_idx, mergeable;
	unsigned int depth, size, frames, repeat;
};

struct result {
	struct bench_throughput t;
	uint64_t lost;
};

static uint64_t wanted_features(const struct options *opt)
{
	return (opt->packed ? CLIENT_BIT(VIRTIO_F_RING_PACKED) : 0) |
	       (opt->in_order ? CLIENT_BIT(VIRTIO_F_IN_ORDER) : 0) |
	       (opt->event_idx ? CLIENT_BIT(VIRTIO_RING_F_EVENT_IDX) : 0) |
	       (opt->mergeable ? CLIENT_BIT(VIRTIO_NET_F_MRG_RXBUF) : 0);
}

static int run_rounds(const struct options *opt, struct net_load *load, struct result *r)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < opt->repeat; i++) {
		load->samples.nr = 0;
		err = net_load_run(load);
		if (!err && load->samples.nr == 0)
			err = -ETIMEDOUT; /* every frame of the round was lost */
		for (size_t j = 0; !err && j < load->samples.nr; j++)
			err = bench_samples_add(&r->t.samples, load->samples.ns[j]);
		if (!err)
			err = bench_samples_add(&r->t.rates, (double)load->samples.nr * 1e9 /
								     (double)load->took_ns);
	}
	r->lost = load->lost;
	bench_samples_fini(&load->samples);
	return err;
}

static int measure(const struct options *opt, struct result *r)
{
	struct bench_target_config config = {.path = opt->path,
					     .user = opt->user,
					     .features = wanted_features(opt),
					     .nr_vqs = 2,
					     .num = RING_NUM,
					     .data_len = net_load_room(opt->depth)};
	struct bench_target t;
	struct net_load load = {.target = &t,
				.mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
				.size = opt->size,
				.depth = opt->depth,
				.poll = opt->poll,
				.frames = opt->frames};
	int err = bench_target_open(&t, &config, WHO);

	if (!err)
		err = bench_target_set_up(&t, &config, WHO);
	if (err)
		goto out;
	err = net_load_prepare(&load);
	if (!err)
		err = bench_target_start(&t);
	if (!err)
		err = run_rounds(opt, &load, r);
	if (err)
		fprintf(stderr, WHO ": frames: %s\n", strerror(-err));
out:
	bench_target_close(&t);
	return err;
}

/* ---- results ---- */

static const char *describe(const struct options *opt, char *buf, size_t len)
{
	snprintf(buf, len, "%u bytes, depth %u, %s%s%s%s, %s", opt->size, opt->depth,
		 opt->packed ? "packed" : "split", opt->in_order ? " in order" : "",
		 opt->event_idx ? " event index" : "", opt->mergeable ? " mergeable" : "",
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
	bench_throughput_print(&r->t, title, "lost", r->lost);
}

static int write_json(const struct options *opt, struct result *r)
{
	char text[128];

	return bench_throughput_json(&r->t, "net", describe(opt, text, sizeof(text)), device(opt),
				     opt->user,
				     json_pack("{s:I, s:i, s:i}", "lost", (json_int_t)r->lost,
					       "frame_bytes", opt->size, "depth", opt->depth));
}

static int run(const struct options *opt)
{
	struct result r = {.t = {.what = "frames", .bytes = opt->size}};
	int err = measure(opt, &r);

	if (!err && opt->json)
		err = write_json(opt, &r);
	else if (!err)
		print(opt, &r);
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
		"  --depth N        frames under way (default 256)\n"
		"  --frames N       in a round (default 1000000)\n"
		"  --repeat N       rounds; the median of their rates is shown (default 5)\n"
		"  --poll           look at the rings instead of waiting for interrupts\n"
		"  --packed, --in-order, --event-idx, --mergeable\n"
		"                   negotiate these features\n"
		"  --json           write JSON\n",
	.known = "-d SPEC, --vhost-user, --size BYTES, --depth N, --frames N, --repeat N, --poll, "
		 "--packed, --in-order, --event-idx, --mergeable, --json, PATH",
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
		{"frames", BENCH_COUNT, &opt->frames, FRAMES_MAX, NULL},
		{"repeat", BENCH_COUNT, &opt->repeat, 1000, NULL},
		{"d", BENCH_TEXT, &opt->spec, 0, NULL},
	};

	*opt = (struct options){.size = 60, .depth = 256, .frames = 1000000, .repeat = 5};
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
	if (opt.path)
		return run(&opt);
	if (!opt.spec)
		opt.spec = "name net0 mgmtdev vdpasim_net offer all";
	ret = cli_reexec_with_devices(&opt.spec, 1);
	if (ret)
		return ret;
	opt.path = "/dev/vhost-vdpa-0";
	return run(&opt);
}
