// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the benches of data paths report: how many a second, and how long each took.
 *
 * Owns its samples. Used by the benches of cards and disks. Thread rule: one thread at a time.
 */
#ifndef HOLDFAST_BENCH_THROUGHPUT_H
#define HOLDFAST_BENCH_THROUGHPUT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "bench/bench.h"
#include "bench/target.h"

/* Zero-initialised is empty. */
struct bench_throughput {
	const char *what;             /* "frames" or "requests" */
	unsigned int bytes;           /* of each */
	struct bench_samples samples; /* duration of each, of all rounds */
	struct bench_samples rates;   /* how many a second, one a round */
};

/**
 * bench_idle_us() - wait for @seconds
 * @t: its device has processed all it was given
 * Return: microseconds of processor time that a second took of this process with the devices in it,
 * or of the vhost-user daemon behind @t; < 0: @seconds is 0, or that cannot be told
 */
double bench_idle_us(const struct bench_target *t, unsigned int seconds);
#define BENCH_IDLE_MAX 3600u

/** bench_parse_idle() - seconds from 0 on into an unsigned int, for BENCH_PARSED */
int bench_parse_idle(const char *text, void *out) HF_MUST_CHECK;

#define BENCH_THREADS_MAX 8u

/** bench_run_each() - call @run for each of @nr loads of @size bytes, the first by this thread,
 * each other by one of its own, and wait for all. At most BENCH_THREADS_MAX. Return: 0; -EAGAIN and
 * the like: not all could be started, and the first was not run */
int bench_run_each(void *(*run)(void *load), void *loads, size_t size,
		   unsigned int nr) HF_MUST_CHECK;

void bench_throughput_fini(struct bench_throughput *t);

/**
 * bench_throughput_print() - the table: the median of the rates, and the durations' percentiles
 * @title:     the line above
 * @last_name: heading of one more column, with @last below; NULL for none
 */
void bench_throughput_print(struct bench_throughput *t, const char *title, const char *last_name,
			    uint64_t last);

/**
 * bench_throughput_json() - the document of one row, to standard output
 * @bench:  "net"
 * @name:   of the row
 * @device: SPEC or path
 * @user:   the device was reached by vhost-user
 * @extra:  [consumed] object with further members (json_pack())
 * Return: 0; -EIO; -ENOMEM
 */
int bench_throughput_json(struct bench_throughput *t, const char *bench, const char *name,
			  const char *device, bool user, json_t *extra) HF_MUST_CHECK;

/**
 * bench_throughput_plot() - an SVG: durations by percentile, with as much room for each further
 * nine
 * @bench: "net"
 * @name:  what was measured, for the line above; as svg_begin() takes it
 * Return: 0; -errno, after one line
 */
int bench_throughput_plot(struct bench_throughput *t, const char *bench, const char *name,
			  const char *path) HF_MUST_CHECK;

#endif
