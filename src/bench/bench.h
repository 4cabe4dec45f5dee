// SPDX-License-Identifier: BSD-3-Clause
/*
 * What all benches share: samples and their percentiles, pinning to a CPU, the rows of a table, and
 * the JSON document
 * {"bench", "commit", "machine", "rows": [{"case", "n", "min_ns", "median_ns", "p99_ns", ...}]}.
 *
 * Owns its sample arrays. Used by the other files of this room. Thread rule: an object by one
 * thread at a time.
 */
#ifndef HOLDFAST_BENCH_BENCH_H
#define HOLDFAST_BENCH_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

/* Durations of one case, a sample each. Zero-initialised is empty. */
struct bench_samples {
	double *ns; /* @nr of @room used */
	size_t nr, room;
	bool sorted; /* by bench_percentile() */
};

/** bench_samples_reserve() - have room for @n samples in all, in pages that are there already: an
 * array that grows while a device of this process is measured holds that device up. Return: 0;
 * -ENOMEM */
int bench_samples_reserve(struct bench_samples *s, size_t n) HF_MUST_CHECK;
/** bench_samples_add() - Return: 0; -ENOMEM */
int bench_samples_add(struct bench_samples *s, double ns) HF_MUST_CHECK;
/** bench_samples_clear() - forget the samples, keep the memory */
void bench_samples_clear(struct bench_samples *s);
void bench_samples_fini(struct bench_samples *s);
/** bench_percentile() - smallest sample that @percent (0..100) of them do not exceed; 0 gives the
 * minimum. At least one sample. */
double bench_percentile(struct bench_samples *s, double percent);

/** bench_pin() - run the calling thread on the @nth CPU that the process may use (from 0, modulo
 * their number). Return: the CPU; -errno if it could not be pinned */
int bench_pin(unsigned int nth);
/** bench_machine() - CPU model and number of CPUs, as "AMD EPYC, 2 CPUs" */
const char *bench_machine(void);
/** bench_commit() - the commit that the program was built from, or "unknown" */
const char *bench_commit(void);

/** bench_json_begin() - a document without rows. Return: NULL without memory */
json_t *bench_json_begin(const char *bench);
/**
 * bench_json_row() - append a row
 * @name:  case name, unique in the document
 * @s:     at least one sample
 * @extra: [consumed] object with further members (json_pack()), or NULL for none
 * Return: 0; -ENOMEM
 */
int bench_json_row(json_t *doc, const char *name, struct bench_samples *s,
		   json_t *extra) HF_MUST_CHECK;
/** bench_json_end() - print @doc unless the bench failed with @err, and free it in any case.
 * Return: @err, if it is not 0; 0; -EIO; -ENOMEM if @doc is NULL */
int bench_json_end(json_t *doc, int err, FILE *out) HF_MUST_CHECK;

/** bench_file_open() - for writing: make @path, or empty it. Return: 0; as fd_open_output();
 * -ENOMEM */
int bench_file_open(const char *path, FILE **out) HF_MUST_CHECK;
/** bench_file_close() - Return: 0; -errno: it could not all be written */
int bench_file_close(FILE *f) HF_MUST_CHECK;

/** bench_size_text() - "16 GiB". Return: @buf */
const char *bench_size_text(uint64_t bytes, char *buf, size_t len);
/** bench_table_head() - @label, padded as those of the rows are, and the figures' names */
void bench_table_head(const char *label);
/** bench_table_row() - @label, and count, minimum, median and 99th percentile; at least one sample
 */
void bench_table_row(const char *label, struct bench_samples *s);

#endif
