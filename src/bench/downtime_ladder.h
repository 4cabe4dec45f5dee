// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast bench downtime --ladder`: the same migration on mlx5 cards, on the firmware model, from
 * the kernel's driver before its changes to ours, rung by rung. It counts the commands to the cards
 * from their traces. Owns the traces' folder. Used by downtime.c and downtime_run.c. Thread rule:
 * main thread.
 */
#ifndef HOLDFAST_BENCH_DOWNTIME_LADDER_H
#define HOLDFAST_BENCH_DOWNTIME_LADDER_H

#include "bench/downtime_run.h"

#define DT_LADDER_SPEC_LEN 768

/** dt_ladder_prepare() - the traces' folder, before devices are made. Return: 0 or -errno, and one
 * line was printed */
int dt_ladder_prepare(void) HF_MUST_CHECK;
/** dt_ladder_spec() - of device @nth of @kind's set: what is behind the bench's own words */
void dt_ladder_spec(const struct dt_options *opt, enum dt_kind kind, unsigned int nth,
		    char text[DT_LADDER_SPEC_LEN]);
/** dt_ladder_begin() - count for @result from now on */
void dt_ladder_begin(const struct dt_options *opt, struct dt_result *result, struct dt_record *rec);
void dt_ladder_end(struct dt_record *rec);
void dt_ladder_print(struct dt_result *r);
/** dt_ladder_print_all() - all rungs beside the published figures, and where latencies are from */
void dt_ladder_print_all(const struct dt_options *opt, struct dt_result *results, size_t nr);
/** dt_ladder_sources() - JSON: what the model's commands take, and why. Return: NULL without memory
 */
json_t *dt_ladder_sources(const struct dt_options *opt);
/** dt_ladder_finish() - remove the traces */
void dt_ladder_finish(void);

#endif
