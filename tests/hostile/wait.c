// SPDX-License-Identifier: BSD-3-Clause
/*
 * How long does a reset wait for a device whose guest keeps it busy on purpose? For each load: fill
 * the ring with the costliest requests there are, kick, and write 0 to the status while the device
 * is at work. The figure is the longest of many such writes, in time and in processor time of this
 * process: on a machine with other work only the second one is the device's.
 *
 *   wait PATH [--repeat N] [--limit MS] [--json] [--evict FILE]
 *
 * --limit: a reset that waits longer is a fault (default 20): the exit status is 1 then.
 * --evict: FILE, the disk's, leaves the page cache before each kick, so reads wait for the host's
 * disk.
 */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/client.h"
#include "guest.h"

#define LEN(a)    (sizeof(a) / sizeof((a)[0]))
#define ENTRIES   256 /* of a ring, if the device has so many */
#define REPEAT    200
#define LIMIT_MS  20
#define SPREAD_NS 3000000 /* the reset comes up to so much later than the kick */
#define MIB       0x100000u
#define HEADERS   60u /* at different places of the disk: that of the tests has 64 MiB */
#define INDIRECT  (1ULL << 28)
#define DISK      (1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES)
#define D         (IOVA + DATA)

struct load {
	const char *name;
	bool blk;
	uint64_t features;
	void (*fill)(struct guest *g);
};

static int64_t clock_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t now_ns(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

/* Every entry is one chain of one descriptor. */
static void fill_queue(struct guest *g, unsigned int q, uint64_t addr, uint32_t len, uint32_t flags)
{
	for (unsigned int i = 0; i < g->num[q]; i++) {
		guest_desc(g, q, i, addr, len, flags, (uint16_t)i);
		guest_avail(g, q, i, (uint16_t)i);
	}
	guest_publish(g, q, g->num[q]);
}

static void frames(struct guest *g)
{
	fill_queue(g, 0, D + MIB, 0x20000, F_WRITE);
	memset(g->mem + DATA + 12, 0xff, 6);
	fill_queue(g, 1, D, 12 + 65535, 0);
}

static void make_table(struct guest *g)
{
	for (unsigned int i = 0; i < 1024; i++)
		guest_table(g, i, D, 0, i < 1023 && !g->packed ? F_NEXT : 0, (uint16_t)(i + 1));
}

/* Frames come back to buffers of so many pieces of @len bytes. */
static void frames_to_pieces(struct guest *g, uint32_t len)
{
	for (unsigned int i = 0; i < 1024; i++)
		guest_table(g, i, D + 0x10000 + 2 * i, len,
			    F_WRITE | (i < 1023 && !g->packed ? F_NEXT : 0), (uint16_t)(i + 1));
	fill_queue(g, 0, IOVA + TABLE, 1024 * 16, F_INDIRECT);
	memset(g->mem + DATA + 12, 0xff, 6);
	fill_queue(g, 1, D, 12 + 1000, 0);
}

static void frames_to_tables(struct guest *g)
{
	frames_to_pieces(g, 1);
}

static void frames_to_nothing(struct guest *g)
{
	frames_to_pieces(g, 0);
}

static void tables_to_card(struct guest *g)
{
	make_table(g);
	fill_queue(g, 1, IOVA + TABLE, 1024 * 16, F_INDIRECT);
}

static void tables_to_ctrl(struct guest *g)
{
	make_table(g);
	fill_queue(g, 2, IOVA + TABLE, 1024 * 16, F_INDIRECT);
}

static void tables_to_disk(struct guest *g)
{
	make_table(g);
	fill_queue(g, 0, IOVA + TABLE, 1024 * 16, F_INDIRECT);
}

/* One request of @nr descriptors: header, data of @len bytes each, status. Return: its first slot's
 * successor */
static unsigned int request(struct guest *g, unsigned int slot, uint64_t header,
			    uint32_t header_len, unsigned int nr, uint32_t len, bool read)
{
	unsigned int at = slot;

	for (at++; at <= slot + nr; at++)
		guest_desc(g, 0, at, D + 0x1000, len, F_NEXT | (read ? F_WRITE : 0),
			   (uint16_t)(at + 1));
	guest_desc(g, 0, at, D + 0x800, 1, F_WRITE, (uint16_t)slot);
	/* the head last: a packed one is there with its flags */
	guest_desc(g, 0, slot, header, header_len, F_NEXT, (uint16_t)(slot + 1));
	return at + 1;
}

static void requests(struct guest *g, uint32_t type, const void *body, uint32_t body_len,
		     unsigned int nr)
{
	struct virtio_blk_outhdr header = {.type = type};
	unsigned int slot = 0, n = 0;

	memcpy(g->mem + DATA, &header, sizeof(header));
	if (body_len)
		memcpy(g->mem + DATA + sizeof(header), body, body_len);
	while (slot + nr + 2 <= g->num[0]) {
		guest_avail(g, 0, n++, (uint16_t)slot);
		slot = request(g, slot, D, sizeof(header) + body_len, nr, MIB,
			       type == VIRTIO_BLK_T_IN);
	}
	guest_publish(g, 0, (uint16_t)n);
}

static void reads(struct guest *g)
{
	requests(g, VIRTIO_BLK_T_IN, NULL, 0, 63);
}

/* Each of @len bytes, at places of its own, @apart bytes from each other. */
static void read_places(struct guest *g, uint32_t len, uint64_t apart)
{
	unsigned int slot = 0, n = 0;

	for (; n < HEADERS && slot + 3 <= g->num[0]; n++) {
		struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN,
						   .sector = n * apart / 512};
		uint32_t at = n * (uint32_t)sizeof(header);

		memcpy(g->mem + DATA + at, &header, sizeof(header));
		guest_avail(g, 0, n, (uint16_t)slot);
		slot = request(g, slot, D + at, sizeof(header), 1, len, true);
	}
	guest_publish(g, 0, (uint16_t)n);
}

static void long_reads(struct guest *g)
{
	read_places(g, MIB, MIB);
}

static void short_reads(struct guest *g)
{
	read_places(g, 0x10000, MIB);
}

static void writes(struct guest *g)
{
	requests(g, VIRTIO_BLK_T_OUT, NULL, 0, 63);
}

static void flushes(struct guest *g)
{
	requests(g, VIRTIO_BLK_T_FLUSH, NULL, 0, 0);
}

/* Of 4 KiB, a flush behind each third one. */
static void safe_writes(struct guest *g)
{
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_OUT};
	unsigned int slot = 0, n = 0;

	memcpy(g->mem + DATA, &header, sizeof(header));
	header.type = VIRTIO_BLK_T_FLUSH;
	memcpy(g->mem + DATA + sizeof(header), &header, sizeof(header));
	for (; slot + 3 <= g->num[0]; n++) {
		bool flush = n % 4 == 3;

		guest_avail(g, 0, n, (uint16_t)slot);
		slot = request(g, slot, D + flush * sizeof(header), sizeof(header), !flush, 0x1000,
			       false);
	}
	guest_publish(g, 0, (uint16_t)n);
}

static void zeroes(struct guest *g)
{
	struct virtio_blk_discard_write_zeroes r = {.num_sectors = 131072};

	requests(g, VIRTIO_BLK_T_WRITE_ZEROES, &r, sizeof(r), 0);
}

static void discards(struct guest *g)
{
	struct virtio_blk_discard_write_zeroes r[16];

	for (unsigned int i = 0; i < LEN(r); i++)
		r[i] = (struct virtio_blk_discard_write_zeroes){.num_sectors = 262144};
	requests(g, VIRTIO_BLK_T_DISCARD, r, sizeof(r), 0);
}

static const struct load loads[] = {
	{"frames of 64 KiB", false, 0, frames},
	{"tables of 1024 empty ones", false, INDIRECT, tables_to_card},
	{"frames to 1024 pieces", false, INDIRECT, frames_to_tables},
	{"frames to 1024 empty pieces", false, INDIRECT, frames_to_nothing},
	{"the same as commands", false, INDIRECT | 1ULL << VIRTIO_NET_F_CTRL_VQ, tables_to_ctrl},
	{"tables of 1024 empty ones", true, INDIRECT, tables_to_disk},
	{"reads of 63 MiB", true, 0, reads},
	{"reads of 1 MiB", true, 0, long_reads},
	{"reads of 64 KiB", true, 0, short_reads},
	{"writes of 63 MiB", true, 0, writes},
	{"writes of 4 KiB and flushes", true, 1ULL << VIRTIO_BLK_F_FLUSH, safe_writes},
	{"zeroes of 64 MiB", true, DISK, zeroes},
	{"discards of 16 x 128 MiB", true, DISK, discards},
	{"flushes", true, 1ULL << VIRTIO_BLK_F_FLUSH, flushes},
};

struct sample {
	int64_t ns, cpu_ns, late_ns; /* cpu: of this process */
};

static int reset_under(struct guest *g, const struct load *load, unsigned int i, int evict,
		       struct sample *s)
{
	int64_t until, cpu;
	int err = guest_reset(g);

	for (unsigned int q = 0; q < NQUEUES; q++)
		g->num[q] = ENTRIES;
	if (!err)
		err = guest_start(g, load->features);
	if (err)
		return err;
	/* a process with a real-time priority that never pauses would be made to, for 50 ms */
	until = now_ns();
	(void)guest_wait(g->config, 1);
	s->late_ns = now_ns() - until - 1000000;
	if (evict >= 0)
		(void)posix_fadvise(evict, 0, 0, POSIX_FADV_DONTNEED);
	load->fill(g);
	until = now_ns() + (int64_t)i * 7919 % 1000 * (SPREAD_NS / 1000);
	while (now_ns() < until)
		;
	until = now_ns();
	cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
	err = client_set_status(g->fd, 0);
	s->ns = now_ns() - until;
	s->cpu_ns = clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->ns > y->ns) - (x->ns < y->ns);
}

struct options {
	unsigned int repeat;
	int64_t limit_ns;
	int evict; /* fd, or -1 */
	bool json;
	bool too_long; /* [out] a reset waited longer than the limit */
};

static void judge(const struct load *load, bool packed, int64_t longest, struct options *opt)
{
	if (longest <= opt->limit_ns)
		return;
	opt->too_long = true;
	fprintf(stderr, "wait: %s, %s: a reset waited %.1f ms, longer than %.1f ms\n", load->name,
		packed ? "packed" : "split", (double)longest / 1e6, (double)opt->limit_ns / 1e6);
}

static void print(const struct guest *g, const struct load *load, struct sample *s, unsigned int n,
		  bool json)
{
	int64_t cpu = 0, late = 0;

	qsort(s, n, sizeof(*s), compare);
	for (unsigned int i = 0; i < n; i++) {
		cpu = s[i].cpu_ns > cpu ? s[i].cpu_ns : cpu;
		late = s[i].late_ns > late ? s[i].late_ns : late;
	}
	printf(json ? "{\"device\":\"%s\",\"layout\":\"%s\",\"load\":\"%s\",\"median_us\":%.1f,"
		      "\"max_us\":%.1f,\"max_cpu_us\":%.1f,\"late_us\":%.1f}\n"
		    : "%-5s %-7s %-28s %9.1f us %9.1f us %9.1f us %9.1f us\n",
	       load->blk ? "disk" : "card", g->packed ? "packed" : "split", load->name,
	       (double)s[n / 2].ns / 1e3, (double)s[n - 1].ns / 1e3, (double)cpu / 1e3,
	       (double)late / 1e3);
	fflush(stdout);
}

static int measure(struct guest *g, const struct load *load, struct options *opt)
{
	struct sample *samples = calloc(opt->repeat, sizeof(*samples));
	int err = samples ? 0 : -1;

	for (unsigned int i = 0; !err && i < opt->repeat; i++)
		err = reset_under(g, load, i, opt->evict, &samples[i]);
	if (!err) {
		print(g, load, samples, opt->repeat, opt->json);
		judge(load, g->packed, samples[opt->repeat - 1].ns, opt);
	}
	free(samples);
	return err;
}

static bool parse(int argc, char **argv, struct options *opt)
{
	bool ok = argc > 1;

	*opt = (struct options){REPEAT, LIMIT_MS * 1000000LL, -1, false, false};
	for (int i = 2; i < argc; i++) {
		opt->json |= strcmp(argv[i], "--json") == 0;
		if (strcmp(argv[i], "--repeat") == 0 && i + 1 < argc)
			opt->repeat = (unsigned int)strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--limit") == 0 && i + 1 < argc)
			opt->limit_ns = (int64_t)(strtod(argv[++i], NULL) * 1e6);
		else if (strcmp(argv[i], "--evict") == 0 && i + 1 < argc)
			ok &= (opt->evict = open(argv[++i], O_RDONLY | O_CLOEXEC)) >= 0;
	}
	return ok && opt->repeat > 0;
}

/* Return: 0 or an error. @nr: [out] loads that were measured */
static int measure_all(struct guest *g, struct options *opt, unsigned int *nr)
{
	int err = 0;

	/* the reads of both layouts before the disk becomes a hole */
	for (size_t i = 0; !err && i < LEN(loads); i++) {
		if (loads[i].blk != g->blk || (loads[i].features & ~g->features))
			continue;
		for (int packed = 0; !err && packed <= (int)(g->features >> 34 & 1); packed++) {
			g->packed = packed;
			err = measure(g, &loads[i], opt);
			++*nr;
		}
	}
	return err;
}

int main(int argc, char **argv)
{
	struct options opt;
	unsigned int nr = 0;
	struct guest g;
	int err;

	if (!parse(argc, argv, &opt)) {
		fprintf(stderr,
			"usage: wait PATH [--repeat N] [--limit MS] [--json] [--evict FILE], "
			"a FILE that can be read\n");
		return 2;
	}
	err = guest_open(&g, argv[1]);
	if (!opt.json)
		printf("%-42s %12s %12s %12s %12s\n", "a reset waits, while the guest sends",
		       "median", "longest", "longest, cpu", "woken late");
	if (!err)
		err = measure_all(&g, &opt, &nr);
	if (err)
		fprintf(stderr, "wait: error %d\n", -err);
	else if (nr == 0)
		fprintf(stderr, "wait: nothing to measure on this device\n");
	guest_close(&g);
	if (opt.evict >= 0)
		(void)close(opt.evict);
	return err || nr == 0 || opt.too_long ? 1 : 0;
}
