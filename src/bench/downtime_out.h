// SPDX-License-Identifier: BSD-3-Clause
/*
 * The two pictures of `holdfast bench downtime`: a trace for Perfetto, and a plot of downtime
 * against memory. Thread rule: main thread.
 */
#ifndef HOLDFAST_BENCH_DOWNTIME_OUT_H
#define HOLDFAST_BENCH_DOWNTIME_OUT_H

#include "bench/downtime_record.h"
#include "bench/downtime_result.h"

/** dt_write_trace() - Trace Event JSON. Return: 0 or -errno */
int dt_write_trace(const char *path, const struct dt_record *rec) HF_MUST_CHECK;
/** dt_write_plot() - SVG, downtime against memory, a line a client. Return: 0 or -errno */
int dt_write_plot(const char *path, struct dt_result *results, size_t nr) HF_MUST_CHECK;

#endif
