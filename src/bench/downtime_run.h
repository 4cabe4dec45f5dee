// SPDX-License-Identifier: BSD-3-Clause
/*
 * What `holdfast bench downtime` does: migrations of each kind of client at each size. Owns guest
 * memory while it runs. Used by downtime.c. Thread rule: main thread.
 */
#ifndef HOLDFAST_BENCH_DOWNTIME_RUN_H
#define HOLDFAST_BENCH_DOWNTIME_RUN_H

#include "bench/args.h"
#include "bench/downtime_device.h"
#include "bench/downtime_result.h"

enum dt_destination { DEST_DEFAULT, DEST_EARLY, DEST_LATE };

struct dt_options {
	const char *spec;
	const char *paths[2 * DT_DEVICES_MAX];
	unsigned int nr_paths;
	struct bench_sizes sizes;
	struct dt_set_up set_up;
	unsigned int repeat, remap_repeat;
	enum dt_destination destination;
	bool kinds[DT_NR_KINDS];
	bool ladder;     /* kinds are its rungs, each with devices of its own */
	bool no_latency; /* the ladder's model takes no time */
	bool json;
	const char *trace, *plot;
};

/** dt_set_index() - which devices a kind has: each set is nr_devices for the source, then as many
 * for the destination */
static inline unsigned int dt_set_index(const struct dt_options *opt, enum dt_kind kind)
{
	unsigned int index = 0;

	if (!opt->ladder)
		return dt_kinds[kind].set;
	for (int k = 0; k < (int)kind; k++)
		index += opt->kinds[k];
	return index;
}

/**
 * dt_measure_all() - every kind at every size; without `json` it prints each result as it comes
 * @results: room for BENCH_SIZES_MAX * DT_NR_KINDS; *@nr are in use, on an error too
 * Return: 0 or -errno, and one line was printed
 */
int dt_measure_all(const struct dt_options *opt, struct dt_result *results, size_t *nr,
		   struct dt_record *rec) HF_MUST_CHECK;

#endif
