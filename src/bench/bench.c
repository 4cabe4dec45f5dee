// SPDX-License-Identifier: BSD-3-Clause
#include "bench/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "bench/commit.h" /* made by the build */

static int grow(struct bench_samples *s, size_t room)
{
	double *grown = reallocarray(s->ns, room, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	s->ns = grown;
	s->room = room;
	return 0;
}

int bench_samples_reserve(struct bench_samples *s, size_t n)
{
	if (n > s->room && grow(s, n))
		return -ENOMEM;
	for (size_t i = s->nr; i < s->room; i++)
		s->ns[i] = 1; /* a page of zeroes may be shared until it is written */
	return 0;
}

int bench_samples_add(struct bench_samples *s, double ns)
{
	if (s->nr == s->room && grow(s, s->room ? 2 * s->room : 256))
		return -ENOMEM;
	s->ns[s->nr++] = ns;
	s->sorted = false;
	return 0;
}

void bench_samples_clear(struct bench_samples *s)
{
	s->nr = 0;
}

void bench_samples_fini(struct bench_samples *s)
{
	free(s->ns);
	*s = (struct bench_samples){0};
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_percentile(struct bench_samples *s, double percent)
{
	double rank = percent / 100.0 * (double)s->nr;
	size_t idx = (size_t)rank;

	if (!s->sorted) {
		qsort(s->ns, s->nr, sizeof(*s->ns), compare);
		s->sorted = true;
	}
	/* The nearest rank, counted from one: rounded up. */
	if (idx > 0 && (double)idx == rank)
		idx--;
	return s->ns[idx < s->nr ? idx : s->nr - 1];
}

int bench_pin(unsigned int nth)
{
	static cpu_set_t allowed; /* as the process started, before any pinning */
	static bool known;
	cpu_set_t one;
	int nr, cpu = 0, err;

	if (!known && sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return -errno;
	known = true;
	nr = (int)(nth % (unsigned int)CPU_COUNT(&allowed));
	while (!CPU_ISSET(cpu, &allowed) || nr-- > 0)
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	err = pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	return err ? -err : cpu;
}

const char *bench_machine(void)
{
	static char text[160];
	char line[160], model[128] = "unknown CPU";
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "model name : %127[^\n]", model) == 1)
			break;
	}
	if (f)
		fclose(f);
	snprintf(text, sizeof(text), "%.127s, %ld CPUs", model, sysconf(_SC_NPROCESSORS_ONLN));
	return text;
}

const char *bench_commit(void)
{
	return HF_COMMIT;
}

json_t *bench_json_begin(const char *bench)
{
	return json_pack("{s:s, s:s, s:s, s:[]}", "bench", bench, "commit", bench_commit(),
			 "machine", bench_machine(), "rows");
}

/* A tenth of a nanosecond is as far as the figures go. */
static double rounded(double ns)
{
	return (double)(int64_t)(ns * 10.0 + 0.5) / 10.0;
}

int bench_json_row(json_t *doc, const char *name, struct bench_samples *s, json_t *extra)
{
	json_t *row = json_pack("{s:s, s:I, s:f, s:f, s:f}", "case", name, "n", (json_int_t)s->nr,
				"min_ns", rounded(bench_percentile(s, 0)), "median_ns",
				rounded(bench_percentile(s, 50)), "p99_ns",
				rounded(bench_percentile(s, 99)));
	int err = 0;

	if (!doc || !row || (extra && json_object_update(row, extra) < 0))
		err = -ENOMEM;
	json_decref(extra);
	if (err) {
		json_decref(row);
		return err;
	}
	return json_array_append_new(json_object_get(doc, "rows"), row) < 0 ? -ENOMEM : 0;
}

int bench_json_end(json_t *doc, int err, FILE *out)
{
	if (!doc)
		return err ? err : -ENOMEM;
	if (!err && (json_dumpf(doc, out, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) < 0 ||
		     fputc('\n', out) == EOF || fflush(out) == EOF))
		err = -EIO;
	json_decref(doc);
	return err;
}

const char *bench_size_text(uint64_t bytes, char *buf, size_t len)
{
	uint64_t mib = bytes >> 20;

	if (mib % 1024 == 0)
		snprintf(buf, len, "%" PRIu64 " GiB", mib / 1024);
	else
		snprintf(buf, len, "%" PRIu64 " MiB", mib);
	return buf;
}

static const char *time_text(double ns, char *buf, size_t len)
{
	if (ns < 1e6)
		snprintf(buf, len, "%.1f us", ns / 1e3);
	else if (ns < 1e9)
		snprintf(buf, len, "%.2f ms", ns / 1e6);
	else
		snprintf(buf, len, "%.2f s", ns / 1e9);
	return buf;
}

void bench_table_head(const char *label)
{
	printf("%s %6s %12s %12s %12s\n", label, "n", "min", "median", "p99");
}

void bench_table_row(const char *label, struct bench_samples *s)
{
	char min[32], median[32], p99[32];

	printf("%s %6zu %12s %12s %12s\n", label, s->nr,
	       time_text(bench_percentile(s, 0), min, sizeof(min)),
	       time_text(bench_percentile(s, 50), median, sizeof(median)),
	       time_text(bench_percentile(s, 99), p99, sizeof(p99)));
	fflush(stdout);
}

/* ---- files ---- */

int bench_file_open(const char *path, FILE **out)
{
	int fd = fd_open_output(path, 0666);

	if (fd < 0)
		return fd;
	*out = fdopen(fd, "w");
	if (*out)
		return 0;
	fd_close(&fd);
	return -ENOMEM;
}

int bench_file_close(FILE *f)
{
	int err = ferror(f) ? -EIO : 0;

	if (fclose(f) != 0 && !err)
		err = -errno;
	return err;
}
