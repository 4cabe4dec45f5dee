// SPDX-License-Identifier: BSD-3-Clause
#include "bench/downtime_run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/compiler.h"
#include "bench/bench.h"
#include "bench/downtime_client.h"
#include "bench/downtime_ladder.h"
#include "bench/guest.h"

#define GIB          (UINT64_C(1) << 30)
#define FILE_GIB_MAX 8
#define ROM_LEN      (UINT64_C(256) << 10)
#define WORD         "holdfast bench downtime"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* ---- guest memory ---- */

/* The largest file that the machine can well spare, so that there are few mappings: a VMM's guest
 * is one or two. */
static uint64_t file_len(uint64_t size)
{
	uint64_t avail = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t nr = avail / 3 / GIB, len;

	if (nr < 1 || nr > FILE_GIB_MAX)
		nr = nr < 1 ? 1 : FILE_GIB_MAX;
	len = nr * GIB;
	return size < len ? size : len;
}

/* Two views of the same bytes: the source's and the destination's. */
struct guest {
	char *view[2];
	char *rom;
	uint64_t size;
	int fd;
};

static void guest_touch(const struct guest *g, uint64_t len)
{
	for (int i = 0; i < 2; i++)
		for (uint64_t off = 0; off < g->size; off += len) {
			uint64_t part = g->size - off < len ? g->size - off : len;

			if (off == 0 && i == 0)
				(void)madvise(g->view[0], part, MADV_POPULATE_WRITE);
			(void)madvise(g->view[i] + off, part, MADV_POPULATE_READ);
		}
}

static int guest_create(struct guest *g, uint64_t size, bool cold)
{
	uint64_t len = file_len(size);
	int err;

	g->size = size;
	g->fd = memfd_create("guest", MFD_CLOEXEC);
	if (g->fd < 0 || ftruncate(g->fd, (off_t)len) < 0)
		return -errno;
	g->rom = mmap(NULL, ROM_LEN, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (g->rom == MAP_FAILED)
		return -ENOMEM;
	err = bench_guest_map(g->fd, len, size, &g->view[0]);
	if (!err)
		err = bench_guest_map(g->fd, len, size, &g->view[1]);
	if (!err && !cold)
		guest_touch(g, len);
	return err;
}

static void guest_destroy(struct guest *g)
{
	for (int i = 0; i < 2; i++)
		if (g->view[i])
			munmap(g->view[i], g->size);
	if (g->rom && g->rom != MAP_FAILED)
		munmap(g->rom, ROM_LEN);
	if (g->fd >= 0)
		close(g->fd);
}

/* ---- one client at one size ---- */

struct run {
	const struct dt_options *opt;
	const struct guest *guest;
	struct dt_client source, dest;
	struct dt_record *rec;
	struct dt_result *result;
	char path_text[2][DT_DEVICES_MAX][32]; /* of own devices */
	const char *path[2][DT_DEVICES_MAX];
};

static int sample_add(struct run *run, unsigned int downtime)
{
	struct bench_samples *s = run->result->phase[downtime - 1];
	int err = bench_samples_add(&s[DT_NR_PHASES], (double)dt_record_end(run->rec));

	for (int i = 0; !err && i < DT_NR_PHASES; i++)
		err = bench_samples_add(&s[i], (double)run->rec->phase_ns[i]);
	run->rec->downtime = 0; /* what comes now is not measured */
	return err;
}

/* The source stops under load and @next starts. @downtime: 1, to shadow virtqueues of its own; 2,
 * to the destination. */
static int interrupt(struct run *run, unsigned int downtime, struct dt_client *next, bool keep)
{
	int err = dt_client_load(&run->source);

	if (err)
		return dt_say("traffic", err);
	dt_record_begin(run->rec, keep ? downtime : 0);
	err = dt_client_stop(&run->source);
	if (!err)
		err = dt_client_start(next, downtime == 1);
	return err || !keep ? err : sample_add(run, downtime);
}

/* Back to how it was: the destination waits, the source runs on the guest's own rings. */
static int rewind_run(struct run *run)
{
	int err = dt_client_stop(&run->dest);

	if (err)
		return err;
	if (run->dest.is_late) {
		dt_client_close(&run->dest);
		err = dt_client_open(&run->dest);
	} else {
		err = dt_client_map(&run->dest);
	}
	return err ? err : dt_client_start(&run->source, false);
}

static int run_samples(struct run *run)
{
	bool few = run->source.kind->is_slow || run->dest.is_late;
	unsigned int n = few ? run->opt->remap_repeat : run->opt->repeat;
	unsigned int warm = few ? 0 : 2;
	int err = 0;

	for (unsigned int i = 0; !err && i < n + warm; i++) {
		err = interrupt(run, 1, &run->source, i >= warm);
		if (!err)
			err = interrupt(run, 2, &run->dest, i >= warm);
		if (!err && i + 1 < n + warm)
			err = rewind_run(run);
	}
	run->result->map_ms = (double)(run->source.map_ns + run->dest.map_ns) / 1e6 / (n + warm);
	return err;
}

/* The devices of a run are numbered by set, side and device. */
static void own_paths(const struct dt_options *opt, enum dt_kind kind, unsigned int side,
		      char text[DT_DEVICES_MAX][32], const char **paths)
{
	unsigned int first = (2 * dt_set_index(opt, kind) + side) * opt->set_up.nr_devices;

	for (unsigned int i = 0; i < opt->set_up.nr_devices; i++) {
		snprintf(text[i], 32, "/dev/vhost-vdpa-%u", first + i);
		paths[i] = text[i];
	}
}

static void client_init(struct run *run, struct dt_client *c, unsigned int side)
{
	const struct dt_options *opt = run->opt;
	enum dt_kind kind = run->result->kind;

	*c = (struct dt_client){
		.kind = &dt_kinds[kind],
		.paths = opt->nr_paths ? opt->paths + side * opt->set_up.nr_devices
				       : run->path[side],
		.nr_devices = opt->set_up.nr_devices,
		.nr_pairs = opt->set_up.nr_pairs,
		.guest = run->guest->view[side],
		.rom = run->guest->rom,
		.mapped = run->guest->size,
		.is_late = side == 1 && run->result->is_late,
		.rec = run->rec,
	};
	if (!opt->nr_paths)
		own_paths(opt, kind, side, run->path_text[side], run->path[side]);
	for (unsigned int i = 0; i < DT_DEVICES_MAX; i++)
		c->dev[i].fd = -1;
}

static int measure(const struct dt_options *opt, const struct guest *guest,
		   struct dt_result *result, struct dt_record *rec)
{
	struct run run = {.opt = opt, .rec = rec, .result = result, .guest = guest};
	int err;

	rec->kind = result->kind;
	rec->mapped = result->mapped;
	if (opt->ladder)
		dt_ladder_begin(opt, result, rec);
	rec->downtime = 0;
	client_init(&run, &run.source, 0);
	client_init(&run, &run.dest, 1);
	err = dt_client_open(&run.source);
	if (!err)
		err = dt_client_open(&run.dest);
	if (!err)
		err = dt_client_start(&run.source, false);
	if (!err)
		err = run_samples(&run);
	dt_client_close(&run.source);
	dt_client_close(&run.dest);
	if (opt->ladder)
		dt_ladder_end(rec);
	return err;
}

/* ---- all sizes and clients ---- */

/* What takes long says what it is at: with --json nothing else comes before the end. */
static void print_progress(const struct dt_result *r)
{
	char size[32];

	fprintf(stderr, WORD ": %s, client %s\n", bench_size_text(r->mapped, size, sizeof(size)),
		dt_kinds[r->kind].name);
}

/* One client kind at one size, with guest memory that is new if it is to be cold. */
static int measure_kind(const struct dt_options *opt, struct guest *guest, struct dt_result *result,
			struct dt_record *rec)
{
	int err = 0;

	if (opt->set_up.cold || guest->size != result->mapped) {
		guest_destroy(guest);
		*guest = (struct guest){.fd = -1};
		err = guest_create(guest, result->mapped, opt->set_up.cold);
	}
	if (err)
		return dt_say("guest memory", err);
	return measure(opt, guest, result, rec);
}

int dt_measure_all(const struct dt_options *opt, struct dt_result *results, size_t *nr,
		   struct dt_record *rec)
{
	struct guest guest = {.fd = -1};
	int err = 0;

	for (size_t i = 0; !err && i < opt->sizes.nr; i++)
		for (int k = 0; !err && k < DT_NR_KINDS; k++) {
			struct dt_result *r = &results[*nr];

			if (!opt->kinds[k])
				continue;
			*r = (struct dt_result){.mapped = opt->sizes.bytes[i],
						.kind = (enum dt_kind)k};
			r->is_late = opt->destination == DEST_LATE ||
				     (opt->destination == DEST_DEFAULT && dt_kinds[k].is_late);
			(*nr)++;
			if (opt->json)
				print_progress(r);
			err = measure_kind(opt, &guest, r, rec);
			if (!err && opt->ladder && !opt->json)
				dt_ladder_print(r);
			else if (!err && !opt->json)
				dt_result_print(r);
		}
	guest_destroy(&guest);
	return err;
}
