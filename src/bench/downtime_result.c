// SPDX-License-Identifier: BSD-3-Clause
#include "bench/downtime_result.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const dt_command_names[DT_NR_COMMANDS] = {
	"create_mkey", "destroy_mkey",  "create_queue", "modify_queue",
	"query_queue", "destroy_queue", "other"};

int dt_say(const char *what, int err)
{
	fprintf(stderr, "holdfast bench downtime: %s: %s\n", what, strerror(-err));
	return err;
}

double dt_result_median(struct dt_result *r, unsigned int downtime)
{
	struct bench_samples *s = &r->phase[downtime - 1][DT_NR_PHASES];

	return s->nr ? bench_percentile(s, 50) : 0;
}

static void print_row(const char *phase, struct bench_samples *s)
{
	char label[32];

	snprintf(label, sizeof(label), "    %-10s", phase);
	bench_table_row(label, s);
}

void dt_result_print(struct dt_result *r)
{
	char size[32];

	for (unsigned int d = 0; d < 2; d++) {
		struct bench_samples *s = r->phase[d];

		printf("  %s, client %s%s, downtime %u\n",
		       bench_size_text(r->mapped, size, sizeof(size)), dt_kinds[r->kind].name,
		       d == 0       ? ""
		       : r->is_late ? ", destination maps at its start"
				    : ", destination has mapped before",
		       d + 1);
		for (int p = 0; p < DT_NR_PHASES; p++)
			if (bench_percentile(&s[p], 99) > 0)
				print_row(dt_phase_names[p], &s[p]);
		print_row("total", &s[DT_NR_PHASES]);
	}
	printf("    mapping in all, downtime or not: %.1f ms a migration\n", r->map_ms);
	fflush(stdout);
}

static struct dt_result *find(struct dt_result *results, size_t nr, uint64_t mapped,
			      enum dt_kind kind)
{
	for (size_t i = 0; i < nr; i++)
		if (results[i].mapped == mapped && results[i].kind == kind &&
		    results[i].phase[1][DT_NR_PHASES].nr > 0)
			return &results[i];
	return NULL;
}

static void print_ratio(struct dt_result *a, struct dt_result *b, const char *what)
{
	char sa[32], sb[32];

	for (unsigned int d = 1; a && b && d <= 2; d++)
		printf("  downtime %u: %s %s, %s %s, %s: %.2f times the median\n", d,
		       dt_kinds[a->kind].name, bench_size_text(a->mapped, sa, sizeof(sa)),
		       dt_kinds[b->kind].name, bench_size_text(b->mapped, sb, sizeof(sb)), what,
		       dt_result_median(a, d) / dt_result_median(b, d));
}

void dt_results_print_ratios(struct dt_result *results, size_t nr, uint64_t least, uint64_t most)
{
	for (int k = DT_PERSIST; k < DT_NR_CLIENTS; k++) {
		struct dt_result *large = find(results, nr, most, (enum dt_kind)k);
		struct dt_result *small = find(results, nr, least, (enum dt_kind)k);

		if (large != small)
			print_ratio(large, small, "much memory against little");
		print_ratio(find(results, nr, most, DT_OLD), large, "remapping against not");
	}
}

/* Commands of a phase, of all for the total: a migration's mean. */
static json_t *json_commands(const struct dt_result *r, unsigned int downtime, int phase)
{
	double n = (double)r->phase[downtime][DT_NR_PHASES].nr, us = 0;
	json_t *commands = json_object();

	for (int i = 0; i < DT_NR_COMMANDS; i++) {
		uint64_t nr = 0;

		for (int p = 0; p < DT_NR_PHASES; p++)
			if (phase == p || phase == DT_NR_PHASES)
				nr += r->counts[downtime][p].nr[i];
		(void)json_object_set_new(commands, dt_command_names[i], json_real((double)nr / n));
	}
	for (int p = 0; p < DT_NR_PHASES; p++)
		if (phase == p || phase == DT_NR_PHASES)
			us += r->counts[downtime][p].us;
	(void)json_object_set_new(commands, "device_us", json_real(us / n));
	return commands;
}

static int json_rows(const struct dt_set_up *set_up, json_t *doc, struct dt_result *r)
{
	int err = 0;

	for (unsigned int d = 0; d < 2; d++)
		for (int p = 0; !err && p <= DT_NR_PHASES; p++) {
			const char *phase = p < DT_NR_PHASES ? dt_phase_names[p] : "total";
			char name[96];
			json_t *extra;

			snprintf(name, sizeof(name), "%s %" PRIu64 " downtime %u %s",
				 dt_kinds[r->kind].name, r->mapped, d + 1, phase);
			extra = json_pack("{s:s, s:i, s:s, s:I, s:i, s:i, s:s, s:s, s:f}", "client",
					  dt_kinds[r->kind].name, "downtime", (int)d + 1, "phase",
					  phase, "mapped_bytes", (json_int_t)r->mapped, "devices",
					  (int)set_up->nr_devices, "queue_pairs",
					  (int)set_up->nr_pairs, "destination",
					  r->is_late ? "late" : "early", "memory",
					  set_up->cold ? "cold" : "touched", "map_ms", r->map_ms);
			if (r->counted)
				(void)json_object_set_new(extra, "commands",
							  json_commands(r, d, p));
			err = bench_json_row(doc, name, &r->phase[d][p], extra);
		}
	return err;
}

int dt_results_write_json(const struct dt_set_up *set_up, struct dt_result *results, size_t nr,
			  json_t *sources)
{
	json_t *doc = bench_json_begin("downtime");
	int err = doc ? 0 : -ENOMEM;

	if (sources)
		(void)json_object_set_new(doc, "latencies", sources);

	for (size_t i = 0; !err && i < nr; i++)
		err = json_rows(set_up, doc, &results[i]);
	return bench_json_end(doc, err, stdout);
}

void dt_results_fini(struct dt_result *results, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		for (int d = 0; d < 2; d++)
			for (int p = 0; p <= DT_NR_PHASES; p++)
				bench_samples_fini(&results[i].phase[d][p]);
}
