// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench reset`: what a device reset costs a client, against how much memory it has
 * mapped.
 *
 * Measured: from SET_STATUS(0) until the device has used a buffer again, with everything that a VMM
 * must do between (status, features, ring setup, enable, kick). Two clients. `persist` acked
 * IOTLB_PERSIST and leaves its mappings alone. `remap` did not: it invalidates all of its mappings
 * in one batch and makes them again in another, as clients must whose device may drop mappings in a
 * reset.
 *
 * Much memory on a small machine: one memory file of at most 1 GiB is mapped again and again behind
 * one another. For the device, the IOTLB and the page tables that is the full size; only the pages
 * themselves are shared.
 *
 * The command re-executes itself under the preload library with one loopback NIC, or works on the
 * path of any vhost-vdpa device, a kernel's too. The wait for the used buffer spins: an interrupt
 * would add the cost of waking the client, which is not the device's.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "bench/bench.h"
#include "cli/cli.h"
#include "client/client.h"

#define GIB              (UINT64_C(1) << 30)
#define CHUNK            GIB /* one IOTLB entry */
#define GUEST_IOVA       (1ULL << 32)
#define RING_IOVA        0x10000ULL
#define RING_NUM         256
#define USED_TIMEOUT_NS  2000000000LL
#define NR_SIZES_MAX     16
#define MEMLOCK_HEADROOM (UINT64_C(64) << 20)

enum client_kind { CLIENT_PERSIST, CLIENT_REMAP };
static const char *const client_names[] = {"persist", "remap"};

struct options {
	const char *path; /* device node; NULL: own loopback NIC */
	const char *spec;
	uint64_t sizes[NR_SIZES_MAX]; /* bytes */
	size_t nr_sizes;
	unsigned int repeat; /* resets of the persist client; the remap client does fewer */
	unsigned int remap_repeat;
	bool json;
	bool help;
	bool clients[2];
};

struct rig {
	int fd;
	char *guest; /* @mapped bytes of guest memory */
	uint64_t mapped;
	struct client_mem ring_mem;
	struct client_ring ring[2];
	uint64_t buf_off; /* of two packet buffers in @ring_mem */
};

static int fail(const char *what, int err)
{
	fprintf(stderr, "holdfast bench reset: %s: %s\n", what, strerror(-err));
	return err;
}

/* Address space of @size bytes, filled by mapping one file repeatedly. */
static int guest_create(struct rig *rig, uint64_t size)
{
	uint64_t file_len = size < CHUNK ? size : CHUNK;
	int fd = memfd_create("guest", MFD_CLOEXEC);
	char *base;

	if (fd < 0 || ftruncate(fd, (off_t)file_len) < 0)
		return -errno;
	base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	rig->guest = base;
	rig->mapped = size;
	for (uint64_t off = 0; off < size; off += file_len) {
		uint64_t len = size - off < file_len ? size - off : file_len;

		if (mmap(base + off, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED) {
			close(fd);
			return -ENOMEM;
		}
	}
	close(fd);
	memset(base, 0x5a, file_len);
	return 0;
}

static int guest_map_all(struct rig *rig)
{
	int err = client_iotlb_batch(rig->fd, 0, true);

	for (uint64_t off = 0; !err && off < rig->mapped; off += CHUNK) {
		uint64_t len = rig->mapped - off < CHUNK ? rig->mapped - off : CHUNK;

		err = client_iotlb_map(rig->fd, 0, GUEST_IOVA + off, len, rig->guest + off,
				       VHOST_ACCESS_RW);
	}
	if (!err)
		err = client_iotlb_map(rig->fd, 0, RING_IOVA, rig->ring_mem.size,
				       rig->ring_mem.addr, VHOST_ACCESS_RW);
	return err ? err : client_iotlb_batch(rig->fd, 0, false);
}

static int guest_unmap_all(struct rig *rig)
{
	int err = client_iotlb_batch(rig->fd, 0, true);

	for (uint64_t off = 0; !err && off < rig->mapped; off += CHUNK)
		err = client_iotlb_unmap(rig->fd, 0, GUEST_IOVA + off, CHUNK);
	if (!err)
		err = client_iotlb_unmap(rig->fd, 0, RING_IOVA, rig->ring_mem.size);
	return err ? err : client_iotlb_batch(rig->fd, 0, false);
}

static int ring_bring_up(struct rig *rig, unsigned int i)
{
	size_t ring_len = client_ring_size(RING_NUM);
	struct client_ring *ring = &rig->ring[i];
	int kick = ring->kick_fd, call = ring->call_fd;
	int err;

	client_ring_init(ring, i, RING_NUM, (char *)rig->ring_mem.addr + i * ring_len,
			 RING_IOVA + i * ring_len, 0);
	ring->kick_fd = kick;
	ring->call_fd = call;
	err = client_ring_attach(ring, rig->fd);
	return err ? err : client_vring_set(rig->fd, VHOST_VDPA_SET_VRING_ENABLE, i, 1);
}

/* From status 0 to a device that runs: what a VMM does at each start. */
static int device_start(struct rig *rig)
{
	int err = client_set_status(rig->fd, CLIENT_STATUS_DRIVER);

	if (!err)
		err = client_set_u64(rig->fd, VHOST_SET_FEATURES,
				     CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM);
	if (!err)
		err = client_set_status(rig->fd, CLIENT_STATUS_FEATURES);
	for (unsigned int i = 0; !err && i < 2; i++)
		err = ring_bring_up(rig, i);
	return err ? err : client_set_status(rig->fd, CLIENT_STATUS_RUNNING);
}

/* One broadcast frame through the loopback: ends when its transmit buffer is used. */
static int use_one_buffer(struct rig *rig)
{
	struct client_buf rx = {RING_IOVA + rig->buf_off, 2048, true};
	struct client_buf tx = {RING_IOVA + rig->buf_off + 2048, 12 + 60, false};
	int64_t deadline = clock_now_ns() + USED_TIMEOUT_NS;
	int err = client_ring_add(&rig->ring[0], &rx, 1, NULL);

	if (!err)
		err = client_ring_add(&rig->ring[1], &tx, 1, NULL);
	if (!err)
		err = client_ring_kick(&rig->ring[1]);
	while (!err && client_ring_pending(&rig->ring[1]) == 0) {
		if (clock_now_ns() > deadline)
			return -ETIMEDOUT;
	}
	return err;
}

static int reset_once(struct rig *rig, enum client_kind kind, int64_t *ns)
{
	int64_t start = clock_now_ns();
	int err = client_set_status(rig->fd, 0);

	if (!err && kind == CLIENT_REMAP)
		err = guest_unmap_all(rig);
	if (!err && kind == CLIENT_REMAP)
		err = guest_map_all(rig);
	if (!err)
		err = device_start(rig);
	if (!err)
		err = use_one_buffer(rig);
	*ns = clock_now_ns() - start;
	return err;
}

static int rig_prepare_memory(struct rig *rig)
{
	size_t ring_len = client_ring_size(RING_NUM);
	char *buf;
	int err = client_mem_create(&rig->ring_mem, 2 * ring_len + 4096, CLIENT_MEM_MEMFD);

	if (err)
		return err;
	rig->buf_off = 2 * ring_len;
	buf = (char *)rig->ring_mem.addr + rig->buf_off + 2048 + 12;
	memset(buf, 0xff,
	       12); /* to everybody, so that a loopback without promiscuous mode takes it */
	return 0;
}

static void rig_destroy(struct rig *rig)
{
	if (rig->fd >= 0)
		close(rig->fd);
	client_ring_fini(&rig->ring[0]);
	client_ring_fini(&rig->ring[1]);
	client_mem_destroy(&rig->ring_mem);
	if (rig->guest)
		munmap(rig->guest, rig->mapped);
}

static int rig_create(struct rig *rig, const char *path, uint64_t mapped, enum client_kind kind)
{
	uint64_t backend = CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH;
	int err;

	*rig = (struct rig){.fd = -1};
	for (unsigned int i = 0; i < 2; i++)
		rig->ring[i].kick_fd = rig->ring[i].call_fd = -1;
	if (kind == CLIENT_PERSIST)
		backend |= CLIENT_BACKEND_PERSIST;
	rig->fd = client_open(path);
	if (rig->fd < 0)
		return fail(path, rig->fd);
	err = client_ioctl(rig->fd, VHOST_SET_OWNER, NULL);
	if (!err)
		err = client_set_u64(rig->fd, VHOST_SET_BACKEND_FEATURES, backend);
	if (err)
		return fail("backend features", err);
	err = rig_prepare_memory(rig);
	if (!err)
		err = guest_create(rig, mapped);
	if (err)
		return fail("guest memory", err);
	err = guest_map_all(rig);
	if (err)
		return fail("mapping guest memory to the device", err);
	err = device_start(rig);
	if (!err)
		err = use_one_buffer(rig);
	return err ? fail("first start", err) : 0;
}

static int measure(const struct options *opt, uint64_t mapped, enum client_kind kind,
		   struct bench_samples *samples)
{
	unsigned int n = kind == CLIENT_PERSIST ? opt->repeat : opt->remap_repeat;
	unsigned int warm = kind == CLIENT_PERSIST ? n / 10 + 1 : 0;
	struct rig rig;
	int64_t ns = 0;
	int err = rig_create(&rig, opt->path, mapped, kind);

	for (unsigned int i = 0; !err && i < n + warm; i++) {
		err = reset_once(&rig, kind, &ns);
		if (err)
			fail("reset", err);
		else if (i >= warm)
			err = bench_samples_add(samples, (double)ns);
	}
	rig_destroy(&rig);
	return err;
}

/* ---- results ---- */

struct result {
	uint64_t mapped;
	enum client_kind kind;
	struct bench_samples samples;
};

static const char *size_text(uint64_t bytes, char *buf, size_t len)
{
	if (bytes % GIB == 0)
		snprintf(buf, len, "%" PRIu64 " GiB", bytes / GIB);
	else
		snprintf(buf, len, "%" PRIu64 " MiB", bytes >> 20);
	return buf;
}

static const char *time_text(double ns, char *buf, size_t len)
{
	if (ns < 1e6)
		snprintf(buf, len, "%.1f us", ns / 1e3);
	else if (ns < 1e9)
		snprintf(buf, len, "%.1f ms", ns / 1e6);
	else
		snprintf(buf, len, "%.2f s", ns / 1e9);
	return buf;
}

static void print_row(struct result *r)
{
	char size[32], min[32], median[32], p99[32];

	printf("  %-9s %-8s %6zu %12s %12s %12s\n", size_text(r->mapped, size, sizeof(size)),
	       client_names[r->kind], r->samples.nr,
	       time_text(bench_percentile(&r->samples, 0), min, sizeof(min)),
	       time_text(bench_percentile(&r->samples, 50), median, sizeof(median)),
	       time_text(bench_percentile(&r->samples, 99), p99, sizeof(p99)));
	fflush(stdout);
}

static struct result *find(struct result *results, size_t nr, uint64_t mapped,
			   enum client_kind kind)
{
	for (size_t i = 0; i < nr; i++)
		if (results[i].mapped == mapped && results[i].kind == kind &&
		    results[i].samples.nr > 0)
			return &results[i];
	return NULL;
}

static void print_ratios(const struct options *opt, struct result *results, size_t nr)
{
	uint64_t least = opt->sizes[0], most = opt->sizes[opt->nr_sizes - 1];
	struct result *small = find(results, nr, least, CLIENT_PERSIST);
	struct result *large = find(results, nr, most, CLIENT_PERSIST);
	struct result *remap = find(results, nr, most, CLIENT_REMAP);
	char a[32], b[32];

	if (small && large && small != large)
		printf("  persist, %s against %s: %.2f times the median\n",
		       size_text(most, a, sizeof(a)), size_text(least, b, sizeof(b)),
		       bench_percentile(&large->samples, 50) /
			       bench_percentile(&small->samples, 50));
	if (large && remap)
		printf("  %s, remap against persist: %.0f times the median\n",
		       size_text(most, a, sizeof(a)),
		       bench_percentile(&remap->samples, 50) /
			       bench_percentile(&large->samples, 50));
}

static int write_json(const struct options *opt, struct result *results, size_t nr)
{
	json_t *doc = bench_json_begin("reset");
	int err = doc ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < nr; i++) {
		struct result *r = &results[i];
		char name[64], size[32];

		snprintf(name, sizeof(name), "%s %s", client_names[r->kind],
			 size_text(r->mapped, size, sizeof(size)));
		err = bench_json_row(doc, name, &r->samples,
				     json_pack("{s:s, s:I, s:s}", "client", client_names[r->kind],
					       "mapped_bytes", (json_int_t)r->mapped, "device",
					       opt->spec ? opt->spec : opt->path));
	}
	if (err) {
		json_decref(doc);
		return err;
	}
	return bench_json_end(doc, stdout);
}

static int measure_all(const struct options *opt, struct result *results, size_t *nr)
{
	int err = 0;

	if (!opt->json)
		printf("reset, from SET_STATUS(0) until a buffer was used again, on %s\n"
		       "  %-9s %-8s %6s %12s %12s %12s\n",
		       opt->spec ? opt->spec : opt->path, "mapped", "client", "n", "min", "median",
		       "p99");
	for (size_t i = 0; !err && i < opt->nr_sizes; i++) {
		for (int kind = CLIENT_PERSIST; !err && kind <= CLIENT_REMAP; kind++) {
			struct result *r = &results[*nr];

			if (!opt->clients[kind])
				continue;
			*r = (struct result){.mapped = opt->sizes[i],
					     .kind = (enum client_kind)kind};
			err = measure(opt, r->mapped, r->kind, &r->samples);
			*nr += 1;
			if (!err && !opt->json)
				print_row(r);
		}
	}
	return err;
}

static int run(const struct options *opt)
{
	struct result results[2 * NR_SIZES_MAX];
	size_t nr = 0;
	int err = measure_all(opt, results, &nr);

	if (!err && opt->json)
		err = write_json(opt, results, nr);
	else if (!err)
		print_ratios(opt, results, nr);
	for (size_t i = 0; i < nr; i++)
		bench_samples_fini(&results[i].samples);
	return err ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* ---- command line ---- */

static int help(void)
{
	printf("usage: holdfast bench reset [OPTION...] [PATH]\n"
	       "Measures what a device reset costs a client, against mapped memory.\n\n"
	       "  -d SPEC             the device, see holdfast-run(1); without it and PATH a "
	       "loopback NIC\n"
	       "  --sizes LIST        mapped memory, such as 1G,512M\n"
	       "  --repeat N          resets of the client that leaves its mappings alone\n"
	       "  --remap-repeat N    resets of the client that maps all again\n"
	       "  --client WHICH      persist, remap or both\n"
	       "  --json              write JSON\n");
	return CLI_EXIT_OK;
}

static int usage(const char *what, const char *value)
{
	fprintf(stderr,
		"holdfast bench reset: %s '%s': known: --json, --sizes LIST (such as 1G,512M), "
		"--repeat N, --remap-repeat N, --client persist|remap|both, -d SPEC, PATH\n",
		what, value);
	return CLI_EXIT_USAGE;
}

static int parse_count(const char *text, unsigned int *out)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || value < 1 || value > 1000000)
		return -EINVAL;
	*out = (unsigned int)value;
	return 0;
}

static int parse_sizes(const char *text, struct options *opt)
{
	opt->nr_sizes = 0;
	while (*text) {
		char *end;
		unsigned long long n = strtoull(text, &end, 10);
		unsigned int shift = *end == 'G' ? 30 : *end == 'M' ? 20 : 0;

		if (end == text || !shift || n < 1 || n > (1ULL << 46 >> shift) ||
		    opt->nr_sizes == NR_SIZES_MAX)
			return -EINVAL;
		opt->sizes[opt->nr_sizes++] = n << shift;
		text = end + 1;
		if (*text == ',' && text[1])
			text++;
		else if (*text)
			return -EINVAL;
	}
	return opt->nr_sizes ? 0 : -EINVAL;
}

static int parse_clients(const char *text, struct options *opt)
{
	bool both = strcmp(text, "both") == 0;

	opt->clients[CLIENT_PERSIST] = both || strcmp(text, "persist") == 0;
	opt->clients[CLIENT_REMAP] = both || strcmp(text, "remap") == 0;
	return opt->clients[CLIENT_PERSIST] || opt->clients[CLIENT_REMAP] ? 0 : -EINVAL;
}

enum { OPT_JSON = 1, OPT_SIZES, OPT_REPEAT, OPT_REMAP_REPEAT, OPT_CLIENT };

static int parse_option(int c, struct options *opt)
{
	switch (c) {
	case OPT_JSON:
		opt->json = true;
		return 0;
	case OPT_SIZES:
		return parse_sizes(optarg, opt) ? usage("wrong --sizes", optarg) : 0;
	case OPT_REPEAT:
		return parse_count(optarg, &opt->repeat) ? usage("wrong --repeat", optarg) : 0;
	case OPT_REMAP_REPEAT:
		return parse_count(optarg, &opt->remap_repeat)
			       ? usage("wrong --remap-repeat", optarg)
			       : 0;
	case OPT_CLIENT:
		return parse_clients(optarg, opt) ? usage("wrong --client", optarg) : 0;
	case 'd':
		opt->spec = optarg;
		return 0;
	case 'h':
		opt->help = true;
		return 0;
	default:
		return -1;
	}
}

static int parse(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, OPT_JSON},
		{"sizes", required_argument, NULL, OPT_SIZES},
		{"repeat", required_argument, NULL, OPT_REPEAT},
		{"remap-repeat", required_argument, NULL, OPT_REMAP_REPEAT},
		{"client", required_argument, NULL, OPT_CLIENT},
		{"help", no_argument, NULL, 'h'},
		{0}};
	int c, ret;

	*opt = (struct options){.sizes = {GIB, 4 * GIB, 16 * GIB, 128 * GIB},
				.nr_sizes = 4,
				.repeat = 1000,
				.remap_repeat = 3,
				.clients = {true, true}};
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":d:h", longs, NULL)) != -1) {
		ret = parse_option(c, opt);
		if (ret < 0)
			return usage(c == ':' ? "value missing for" : "unknown option",
				     argv[optind - 1]);
		if (ret)
			return ret;
	}
	if (opt->help)
		return 0;
	if (optind < argc)
		opt->path = argv[optind++];
	if (optind < argc)
		return usage("unexpected", argv[optind]);
	if (opt->path && opt->spec)
		return usage("a device by -d and by PATH", opt->path);
	return 0;
}

/*
 * May this process lock @bytes? Asked of the kernel by locking address space that has no pages: an
 * unpopulated MLOCK_ONFAULT range counts against the limit like any other and costs nothing.
 */
static bool may_lock(uint64_t bytes)
{
	void *range =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bool may;

	if (range == MAP_FAILED)
		return false;
	may = mlock2(range, bytes, MLOCK_ONFAULT) == 0;
	munmap(range, bytes);
	return may;
}

/* The limit as far up as we may. */
static void raise_memlock(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

static void choose_device(struct options *opt)
{
	uint64_t most = 0;

	for (size_t i = 0; i < opt->nr_sizes; i++)
		most = opt->sizes[i] > most ? opt->sizes[i] : most;
	opt->spec = "name net0 mgmtdev vdpasim_net memory pinned memlock unlimited hold off";
	raise_memlock();
	if (may_lock(most + MEMLOCK_HEADROOM))
		return;
	opt->spec = "name net0 mgmtdev vdpasim_net memory va";
	if (!getenv("HOLDFAST_DEVICES"))
		fprintf(stderr,
			"holdfast bench reset: this process may not lock %" PRIu64
			" MiB (RLIMIT_MEMLOCK): memory stays unpinned (memory va)\n",
			(most + MEMLOCK_HEADROOM) >> 20);
}

int bench_reset(int argc, char **argv)
{
	struct options opt;
	int ret = parse(argc, argv, &opt);

	if (ret)
		return ret;
	if (opt.help)
		return help();
	if (opt.path)
		return run(&opt);
	if (!opt.spec)
		choose_device(&opt);
	ret = cli_reexec_with_devices(&opt.spec, 1);
	if (ret)
		return ret;
	opt.path = "/dev/vhost-vdpa-0";
	return run(&opt);
}
