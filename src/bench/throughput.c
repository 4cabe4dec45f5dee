// SPDX-License-Identifier: BSD-3-Clause
/*
 * The report of a data path's bench: a table of one row, a JSON document of one row, or a picture.
 */
#include "bench/throughput.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "bench/svg.h"

/* The clock of the process that has the device. Return: 0 or -errno */
static int find_clock(const struct bench_target *t, clockid_t *clock)
{
	struct ucred daemon;
	socklen_t len = sizeof(daemon);

	*clock = CLOCK_PROCESS_CPUTIME_ID;
	if (t->wire != &bench_wire_user)
		return 0;
	if (getsockopt(t->fd, SOL_SOCKET, SO_PEERCRED, &daemon, &len) < 0)
		return -errno;
	return -clock_getcpuclockid(daemon.pid, clock);
}

double bench_idle_us(const struct bench_target *t, unsigned int seconds)
{
	struct timespec wait = {.tv_sec = seconds};
	struct timespec before, after;
	clockid_t clock;

	if (seconds == 0 || find_clock(t, &clock) || clock_gettime(clock, &before) < 0 ||
	    nanosleep(&wait, NULL) < 0 || clock_gettime(clock, &after) < 0)
		return -1;
	return (double)((after.tv_sec - before.tv_sec) * NS_PER_SEC + after.tv_nsec -
			before.tv_nsec) /
	       (double)(NS_PER_US * seconds);
}

int bench_parse_idle(const char *text, void *out)
{
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	if (end == text || *end || *text == '-' || seconds > BENCH_IDLE_MAX)
		return -EINVAL;
	*(unsigned int *)out = (unsigned int)seconds;
	return 0;
}

int bench_run_each(void *(*run)(void *load), void *loads, size_t size, unsigned int nr)
{
	pthread_t threads[BENCH_THREADS_MAX];
	unsigned int n = 1;
	int err = 0;

	assert(nr <= BENCH_THREADS_MAX);
	for (; !err && n < nr; n++)
		err = -pthread_create(&threads[n], NULL, run, (char *)loads + n * size);
	if (!err)
		(void)run(loads);
	for (unsigned int i = 1; i < n - (err != 0); i++)
		(void)pthread_join(threads[i], NULL);
	return err;
}

void bench_throughput_fini(struct bench_throughput *t)
{
	bench_samples_fini(&t->samples);
	bench_samples_fini(&t->rates);
}

void bench_throughput_print(struct bench_throughput *t, const char *title, const char *last_name,
			    uint64_t last)
{
	double rate = bench_percentile(&t->rates, 50);
	char head[32];

	snprintf(head, sizeof(head), "%s/s", t->what);
	printf("%s\n  %12s %10s %10s %10s %10s", title, head, "MiB/s", "p50 us", "p99 us",
	       "p99.9 us");
	if (last_name)
		printf(" %8s", last_name);
	printf("\n  %12.0f %10.1f %10.1f %10.1f %10.1f", rate, rate * t->bytes / (1 << 20),
	       bench_percentile(&t->samples, 50) / 1e3, bench_percentile(&t->samples, 99) / 1e3,
	       bench_percentile(&t->samples, 99.9) / 1e3);
	if (last_name)
		printf(" %8" PRIu64, last);
	putchar('\n');
}

static int set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

int bench_throughput_json(struct bench_throughput *t, const char *bench, const char *name,
			  const char *device, bool user, json_t *extra)
{
	json_t *doc = bench_json_begin(bench);
	char rate[32];
	int err;

	snprintf(rate, sizeof(rate), "%s_per_second", t->what);
	err = set(extra, "device", json_string(device));
	if (!err)
		err = set(extra, "wire", json_string(user ? "vhost-user" : "vhost-vdpa"));
	if (!err)
		err = set(extra, rate, json_real(bench_percentile(&t->rates, 50)));
	if (!err)
		err = set(extra, "p999_ns", json_real(bench_percentile(&t->samples, 99.9)));
	if (err)
		json_decref(extra);
	else
		err = bench_json_row(doc, name, &t->samples, extra);
	return bench_json_end(doc, err, stdout);
}

/* ---- the picture ---- */

#define CURVE  "#2166ac"
#define POINTS 240

/* A percentile by its nines: 0 is 0 %, 1 is 90 %, 2 is 99 %. */
static double percent(double nines)
{
	return 100 - 100 / pow(10, nines);
}

static double x_of(double nines, double most)
{
	return SVG_LEFT + nines / most * (SVG_WIDTH - SVG_LEFT - SVG_RIGHT);
}

static void draw_curve(struct svg *svg, struct bench_samples *s, double most)
{
	fputs("<polyline fill=\"none\" stroke-width=\"2\" stroke=\"" CURVE "\" points=\"", svg->f);
	for (int i = 0; i <= POINTS; i++) {
		double nines = most * i / POINTS;

		fprintf(svg->f, "%.1f,%.1f ", x_of(nines, most),
			svg_y(svg, bench_percentile(s, percent(nines))));
	}
	fputs("\"/>\n", svg->f);
}

/* The table's figures, as dots and beside the plot. */
static void draw_figures(struct svg *svg, struct bench_throughput *t, double most)
{
	static const double shown[] = {50, 99, 99.9};
	int y = SVG_TOP + 10;

	fprintf(svg->f, "<text x=\"%d\" y=\"%d\">%.0f %s/s</text>\n", SVG_WIDTH - SVG_RIGHT + 20, y,
		bench_percentile(&t->rates, 50), t->what);
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		double ns = bench_percentile(&t->samples, shown[i]);
		double nines = -log10(1 - shown[i] / 100);

		y += 20;
		fprintf(svg->f, "<text x=\"%d\" y=\"%d\">p%g %.1f us</text>\n",
			SVG_WIDTH - SVG_RIGHT + 20, y, shown[i], ns / 1e3);
		if (nines <= most)
			fprintf(svg->f,
				"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"" CURVE "\"/>\n",
				x_of(nines, most), svg_y(svg, ns));
	}
}

static int plot(struct bench_throughput *t, const char *path, const char *title)
{
	/* one sample is the farthest that the axis goes */
	double most = fmax(1, log10((double)t->samples.nr));
	struct svg svg;
	int err = svg_begin(&svg, path, bench_percentile(&t->samples, 0),
			    bench_percentile(&t->samples, 100), title, "percentile");

	if (err)
		return err;
	for (int nines = 0; nines <= (int)most; nines++) {
		char text[32];

		snprintf(text, sizeof(text), "%.*f %%", nines > 2 ? nines - 2 : 0, percent(nines));
		svg_x_label(&svg, x_of(nines, most), text);
	}
	draw_curve(&svg, &t->samples, most);
	draw_figures(&svg, t, most);
	return svg_end(&svg);
}

int bench_throughput_plot(struct bench_throughput *t, const char *bench, const char *name,
			  const char *path)
{
	char title[192];
	int err;

	snprintf(title, sizeof(title), "bench %s: %s", bench, name);
	err = plot(t, path, title);
	if (err)
		fprintf(stderr, "holdfast bench %s: %s: %s\n", bench, path, strerror(-err));
	return err;
}
