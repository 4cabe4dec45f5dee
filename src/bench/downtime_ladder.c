// SPDX-License-Identifier: BSD-3-Clause
/*
 * Each device writes a trace of its commands (key `trace` of a SPEC). After each stretch of time
 * that the bench counts, what is new in the traces of that device, the source's and the
 * destination's, is added to the phase. Reading them is not counted.
 *
 * A line of a trace ends in "831us", or in "831us/4" if four commands were under way at once; then
 * a quarter of the time is each one's.
 */
#include "bench/downtime_ladder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

#define FOLDER_ENV "HOLDFAST_BENCH_LADDER"
#define CHUNK      65536

/* What the model's commands take. Commands that are not here take no time. */
static const struct {
	const char *name, *time, *source;
} latencies[] = {
	{"create_mkey", "280us",
	 "Linux commit dd1b913fb0d0: 100,000 registrations in 28 s, one after the other"},
	{"destroy_mkey", "200us", "the same: 100,000 deregistrations in 20 s"},
	{"create_queue", "9700us",
	 "assumed: the start of 32 queues in 370 ms, and in 60 ms if they are made ahead"},
	{"modify_queue", "500us", "assumed: the resume of 32 queues in 16 ms"},
	{"query_queue", "660us",
	 "assumed: the suspend of 32 queues in 37 ms; what modify_queue leaves of it"},
};

static const struct {
	enum dt_kind kind;
	const char *one, *two; /* s, downtimes */
} published[] = {
	{DT_DROPPED, "20-30", "20"}, {DT_AHEAD, "5", "20"},      {DT_ASID, "2", "5"},
	{DT_KEPT, "2", "2"},         {DT_BATCHED, "1.7", "1.5"},
};

/* The traces that one run reads. */
static struct ladder {
	struct dt_result *result;
	unsigned int nr_devices;
	struct {
		int fd;
		char rest[1024]; /* the beginning of a line whose end was not there yet */
		size_t len;
	} trace[2][DT_DEVICES_MAX];
} ladder;

static void trace_name(const struct dt_options *opt, enum dt_kind kind, unsigned int nth,
		       char name[128])
{
	snprintf(name, 128, "%s/%u", getenv(FOLDER_ENV),
		 dt_set_index(opt, kind) * 2 * opt->set_up.nr_devices + nth);
}

int dt_ladder_prepare(void)
{
	char folder[] = "/tmp/holdfast-ladder-XXXXXX";

	if (getenv(FOLDER_ENV))
		return 0;
	if (!mkdtemp(folder) || setenv(FOLDER_ENV, folder, 1))
		return dt_say("a folder for traces in /tmp", -errno);
	return 0;
}

void dt_ladder_finish(void)
{
	const char *folder = getenv(FOLDER_ENV);
	char name[128];

	for (unsigned int i = 0; folder && i < 2 * DT_DEVICES_MAX * DT_NR_KINDS; i++) {
		snprintf(name, sizeof(name), "%s/%u", folder, i);
		(void)unlink(name);
	}
	if (folder)
		(void)rmdir(folder);
}

void dt_ladder_spec(const struct dt_options *opt, enum dt_kind kind, unsigned int nth,
		    char text[DT_LADDER_SPEC_LEN])
{
	char name[128], *p = text, *end = text + DT_LADDER_SPEC_LEN;

	trace_name(opt, kind, nth, name);
	p += snprintf(p, (size_t)(end - p), " mgmtdev mlx5 model on vq_size 256 trace %s %s", name,
		      dt_kinds[kind].spec);
	for (size_t i = 0; !opt->no_latency && i < ARRAY_LEN(latencies); i++)
		p += snprintf(p, (size_t)(end - p), "%s%s=%s", i ? "," : " latency ",
			      latencies[i].name, latencies[i].time);
}

/* ---- counting ---- */

static enum dt_command command_of(const char *name, const char *rest)
{
	static const struct {
		const char *name;
		bool queue;
		enum dt_command command;
	} commands[] = {
		{"CREATE_MKEY", false, DT_CREATE_MKEY},
		{"DESTROY_MKEY", false, DT_DESTROY_MKEY},
		{"CREATE_GENERAL_OBJECT", true, DT_CREATE_QUEUE},
		{"MODIFY_GENERAL_OBJECT", true, DT_MODIFY_QUEUE},
		{"QUERY_GENERAL_OBJECT", true, DT_QUERY_QUEUE},
		{"DESTROY_GENERAL_OBJECT", true, DT_DESTROY_QUEUE},
	};

	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0 &&
		    (!commands[i].queue || strncmp(rest, "obj_type=0xd ", 13) == 0))
			return commands[i].command;
	return DT_OTHER;
}

static void count_line(struct dt_counts *counts, char *line)
{
	char *name = strchr(line, ' '), *rest, *last = strrchr(line, ' '), *slash;
	double us;

	if (!name || last <= name)
		return;
	rest = strchr(++name, ' ');
	*rest++ = '\0';
	counts->nr[command_of(name, rest)]++;
	us = strtod(last, NULL);
	slash = strchr(last + 1, '/');
	counts->us += slash ? us / strtod(slash + 1, NULL) : us;
}

/* What is new in a trace. @counts: NULL: nobody wants it */
static void read_trace(int side, unsigned int device, struct dt_counts *counts)
{
	int fd = ladder.trace[side][device].fd;
	char *rest = ladder.trace[side][device].rest;
	size_t *len = &ladder.trace[side][device].len;
	static char buf[CHUNK + 1024];
	ssize_t n;

	if (fd < 0)
		return;
	do {
		char *at = buf, *end;

		memcpy(buf, rest, *len);
		n = read(fd, buf + *len, CHUNK);
		if (n <= 0)
			return;
		buf[*len + (size_t)n] = '\0';
		for (; (end = strchr(at, '\n')) != NULL; at = end + 1) {
			*end = '\0';
			if (counts)
				count_line(counts, at);
		}
		*len = strlen(at) < sizeof(ladder.trace[0][0].rest) ? strlen(at) : 0;
		memcpy(rest, at, *len);
	} while (n == CHUNK);
}

static void on_mark(void *arg, enum dt_phase phase, unsigned int device)
{
	const struct dt_record *rec = arg;
	struct dt_counts *counts = NULL;

	if (rec->downtime)
		counts = &ladder.result->counts[rec->downtime - 1][phase];
	for (int side = 0; side < 2; side++)
		read_trace(side, device, counts);
}

void dt_ladder_begin(const struct dt_options *opt, struct dt_result *result, struct dt_record *rec)
{
	char name[128];

	ladder = (struct ladder){.result = result, .nr_devices = opt->set_up.nr_devices};
	for (unsigned int i = 0; i < 2 * ladder.nr_devices; i++) {
		trace_name(opt, result->kind, i, name);
		ladder.trace[i / ladder.nr_devices][i % ladder.nr_devices].fd =
			open(name, O_RDONLY | O_CLOEXEC);
	}
	result->counted = true;
	rec->on_mark = on_mark;
	rec->on_mark_arg = rec;
}

void dt_ladder_end(struct dt_record *rec)
{
	rec->on_mark = NULL;
	for (unsigned int i = 0; i < 2 * ladder.nr_devices; i++)
		close(ladder.trace[i / ladder.nr_devices][i % ladder.nr_devices].fd);
}

/* ---- telling ---- */

static void print_row(const char *name, double ns, const struct dt_counts *c, double n, bool pins)
{
	const uint64_t *nr = c->nr;
	double device_ms = c->us / 1e3 / n;

	printf("    %-10s %10.2f %10.2f", name, ns / 1e6, device_ms);
	if (pins)
		printf(" %10.2f", ns / 1e6 - device_ms);
	else
		printf(" %10s", "");
	for (int i = 0; i < DT_NR_COMMANDS; i++)
		printf(" %7.0f", (double)nr[i] / n);
	putchar('\n');
}

void dt_ladder_print(struct dt_result *r)
{
	char size[32];

	for (unsigned int d = 0; d < 2; d++) {
		struct dt_counts all = {0};

		printf("  %s, %s: %s%s; downtime %u, medians, commands a migration\n",
		       bench_size_text(r->mapped, size, sizeof(size)), dt_kinds[r->kind].name,
		       dt_kinds[r->kind].words,
		       r->is_late ? " (destination maps at its start)" : "", d + 1);
		printf("    %-10s %10s %10s %10s %7s %7s %7s %7s %7s %7s %7s\n", "phase", "ms",
		       "device ms", "pin ms", "+key", "-key", "+queue", "~queue", "?queue",
		       "-queue", "other");
		for (int p = 0; p < DT_NR_PHASES; p++) {
			struct bench_samples *s = &r->phase[d][p];
			const struct dt_counts *c = &r->counts[d][p];

			for (int i = 0; i < DT_NR_COMMANDS; i++)
				all.nr[i] += c->nr[i];
			all.us += c->us;
			if (bench_percentile(s, 99) > 0)
				print_row(dt_phase_names[p], bench_percentile(s, 50), c,
					  (double)s->nr, p == DT_MAP || p == DT_UNMAP);
		}
		print_row("total", dt_result_median(r, d + 1), &all,
			  (double)r->phase[d][DT_NR_PHASES].nr, false);
	}
	fflush(stdout);
}

static void print_published(enum dt_kind kind)
{
	for (size_t i = 0; i < ARRAY_LEN(published); i++)
		if (published[i].kind == kind)
			printf("   %s / %s s", published[i].one, published[i].two);
}

void dt_ladder_print_all(const struct dt_options *opt, struct dt_result *results, size_t nr)
{
	char size[32];

	puts("  downtime 1 / downtime 2 in ms; in the end what was published for 128 GB, two cards "
	     "of four queues each, on hardware");
	for (int k = DT_NR_CLIENTS; k < DT_NR_KINDS; k++) {
		if (!opt->kinds[k])
			continue;
		printf("    %-10s", dt_kinds[k].name);
		for (size_t i = 0; i < nr; i++)
			if (results[i].kind == (enum dt_kind)k)
				printf("  %s %.1f / %.1f",
				       bench_size_text(results[i].mapped, size, sizeof(size)),
				       dt_result_median(&results[i], 1) / 1e6,
				       dt_result_median(&results[i], 2) / 1e6);
		print_published((enum dt_kind)k);
		putchar('\n');
	}
	if (opt->no_latency) {
		puts("  the model's commands take no time");
		return;
	}
	puts("  what the model's commands take, and where the number is from:");
	for (size_t i = 0; i < ARRAY_LEN(latencies); i++)
		printf("    %-14s %8s  %s\n", latencies[i].name, latencies[i].time,
		       latencies[i].source);
}

json_t *dt_ladder_sources(const struct dt_options *opt)
{
	json_t *list = json_array();

	for (size_t i = 0; !opt->no_latency && i < ARRAY_LEN(latencies); i++)
		if (json_array_append_new(
			    list, json_pack("{s:s, s:s, s:s}", "command", latencies[i].name, "time",
					    latencies[i].time, "source", latencies[i].source))) {
			json_decref(list);
			return NULL;
		}
	return list;
}
