// SPDX-License-Identifier: BSD-3-Clause
/*
 * The figures of `holdfast bench downtime`, as a table, as ratios, and as JSON.
 * Owns the samples. Used by downtime.c and the pictures. Thread rule: main thread.
 */
#ifndef HOLDFAST_BENCH_DOWNTIME_RESULT_H
#define HOLDFAST_BENCH_DOWNTIME_RESULT_H

#include "bench/bench.h"
#include "bench/downtime_record.h"

/* Commands to cards; names in downtime_ladder.c. */
enum dt_command {
	DT_CREATE_MKEY,
	DT_DESTROY_MKEY,
	DT_CREATE_QUEUE,
	DT_MODIFY_QUEUE,
	DT_QUERY_QUEUE,
	DT_DESTROY_QUEUE,
	DT_OTHER,
	DT_NR_COMMANDS
};
extern const char *const dt_command_names[DT_NR_COMMANDS];

/* Of all samples. */
struct dt_counts {
	uint64_t nr[DT_NR_COMMANDS];
	double us; /* that the device took for them */
};

/* One kind of client at one size. */
struct dt_result {
	enum dt_kind kind;
	bool is_late;
	uint64_t mapped;
	double map_ms; /* all mapping, a sample, downtime or not */
	struct bench_samples phase[2][DT_NR_PHASES + 1]; /* [downtime - 1]; the last is the total */
	bool counted;
	struct dt_counts counts[2][DT_NR_PHASES]; /* if so */
};

/** dt_say() - one line on stderr. Return: @err */
int dt_say(const char *what, int err);
/** dt_result_median() - of the total of @downtime (1, 2), in ns */
double dt_result_median(struct dt_result *r, unsigned int downtime);

/* What all results of a run have in common. */
struct dt_set_up {
	unsigned int nr_devices, nr_pairs;
	bool cold; /* no page of guest memory was touched before the first map */
};

void dt_results_fini(struct dt_result *results, size_t nr);
void dt_result_print(struct dt_result *r);
/** dt_results_print_ratios() - much memory against little, and each kind against `old` */
void dt_results_print_ratios(struct dt_result *results, size_t nr, uint64_t least, uint64_t most);
/** dt_results_write_json() - Return: 0 or -errno
 * @sources: [consumed] what the devices' commands take, or NULL */
int dt_results_write_json(const struct dt_set_up *set_up, struct dt_result *results, size_t nr,
			  json_t *sources) HF_MUST_CHECK;

#endif
