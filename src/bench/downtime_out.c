// SPDX-License-Identifier: BSD-3-Clause
#include "bench/downtime_out.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/fd.h"

static int start(const char *path, FILE **f)
{
	int fd = fd_open_output(path, 0666);

	*f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!*f && fd >= 0)
		fd_close(&fd);
	return *f ? 0 : fd < 0 ? fd : -ENOMEM;
}

static int finish(FILE *f, int err)
{
	if (ferror(f))
		err = -EIO;
	if (fclose(f) != 0 && !err)
		err = -errno;
	return err;
}

/* ---- Trace Event JSON: one process a kind of client, one thread a device ---- */

static void write_names(FILE *f, const struct dt_record *rec)
{
	bool seen[DT_NR_KINDS] = {false};

	for (size_t i = 0; i < rec->nr_events; i++) {
		enum dt_kind kind = rec->events[i].kind;

		if (seen[kind])
			continue;
		seen[kind] = true;
		fprintf(f,
			"{\"name\": \"process_name\", \"ph\": \"M\", \"pid\": %d, \"args\": "
			"{\"name\": "
			"\"client %s\"}},\n",
			(int)kind + 1, dt_kinds[kind].name);
	}
}

int dt_write_trace(const char *path, const struct dt_record *rec)
{
	int64_t first = rec->nr_events ? rec->events[0].start_ns : 0;
	FILE *f;
	int err = start(path, &f);

	if (err)
		return err;
	fputs("{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n", f);
	write_names(f, rec);
	for (size_t i = 0; i < rec->nr_events; i++) {
		const struct dt_event *e = &rec->events[i];

		fprintf(f,
			"{\"name\": \"%s\", \"cat\": \"downtime %u\", \"ph\": \"X\", \"ts\": %.3f, "
			"\"dur\": %.3f, \"pid\": %d, \"tid\": %u, \"args\": {\"mapped_bytes\": "
			"%" PRIu64 ", \"downtime\": %u}}%s\n",
			dt_phase_names[e->phase], e->downtime, (double)(e->start_ns - first) / 1e3,
			(double)e->len_ns / 1e3, (int)e->kind + 1, e->device + 1, e->mapped,
			e->downtime, i + 1 < rec->nr_events ? "," : "");
	}
	fputs("]}\n", f);
	return finish(f, 0);
}

/* ---- SVG: both axes logarithmic ---- */

enum { WIDTH = 760, HEIGHT = 480, LEFT = 90, RIGHT = 170, TOP = 50, BOTTOM = 60 };

static const char *const colours[DT_NR_KINDS] = {
	"#b2182b", "#2166ac", "#1b7837", "#762a83", "#67001f", "#b2182b", "#d6604d",
	"#e08214", "#b8860b", "#7fbf7b", "#1b7837", "#4393c3", "#2166ac", "#053061"};

struct scale {
	double x_min, x_max, y_min, y_max; /* logarithms: of 2 for bytes, of 10 for ns */
};

static double x_of(const struct scale *s, double bytes)
{
	double span = s->x_max > s->x_min ? s->x_max - s->x_min : 1;

	return LEFT + (log2(bytes) - s->x_min) / span * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct scale *s, double ns)
{
	return HEIGHT - BOTTOM -
	       (log10(ns) - s->y_min) / (s->y_max - s->y_min) * (HEIGHT - TOP - BOTTOM);
}

static struct scale scale_of(struct dt_result *results, size_t nr)
{
	struct scale s = {INFINITY, -INFINITY, 4, 6};

	for (size_t i = 0; i < nr; i++) {
		s.x_min = fmin(s.x_min, log2((double)results[i].mapped));
		s.x_max = fmax(s.x_max, log2((double)results[i].mapped));
		for (unsigned int d = 1; d <= 2; d++) {
			double ns = dt_result_median(&results[i], d);

			if (ns > 0)
				s.y_max = fmax(s.y_max, ceil(log10(ns)));
			if (ns > 0)
				s.y_min = fmin(s.y_min, floor(log10(ns)));
		}
	}
	return s;
}

static void write_axes(FILE *f, const struct scale *s)
{
	static const char *const units[] = {"1 ns",   "10 ns", "100 ns", "1 us",   "10 us",
					    "100 us", "1 ms",  "10 ms",  "100 ms", "1 s",
					    "10 s",   "100 s", "1000 s", "10000 s"};

	for (int e = (int)s->y_min; e <= (int)s->y_max && e < (int)ARRAY_LEN(units); e++) {
		double y = y_of(s, pow(10, e));

		fprintf(f,
			"<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n"
			"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 4, units[e]);
	}
	fprintf(f,
		"<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">guest memory</text>\n"
		"<text x=\"%d\" y=\"28\" font-size=\"16\">Downtime caused by the device, against "
		"memory (median)</text>\n",
		(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, LEFT);
}

static void write_sizes(FILE *f, const struct scale *s, const struct dt_result *results, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t mib = results[i].mapped >> 20;
		bool gib = mib % 1024 == 0;

		if (i > 0 && results[i].mapped == results[i - 1].mapped)
			continue;
		fprintf(f,
			"<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%" PRIu64 " %s</text>\n",
			x_of(s, (double)results[i].mapped), HEIGHT - BOTTOM + 20,
			gib ? mib / 1024 : mib, gib ? "GiB" : "MiB");
	}
}

static void write_line(FILE *f, const struct scale *s, struct dt_result *results, size_t nr,
		       enum dt_kind kind, unsigned int downtime, int legend_y)
{
	const char *dash = downtime == 2 ? " stroke-dasharray=\"6 4\"" : "";

	fprintf(f, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\"%s points=\"",
		colours[kind], dash);
	for (size_t i = 0; i < nr; i++)
		if (results[i].kind == kind && dt_result_median(&results[i], downtime) > 0)
			fprintf(f, "%.1f,%.1f ", x_of(s, (double)results[i].mapped),
				y_of(s, dt_result_median(&results[i], downtime)));
	fputs("\"/>\n", f);
	for (size_t i = 0; i < nr; i++)
		if (results[i].kind == kind && dt_result_median(&results[i], downtime) > 0)
			fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n",
				x_of(s, (double)results[i].mapped),
				y_of(s, dt_result_median(&results[i], downtime)), colours[kind]);
	fprintf(f,
		"<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"%s\" "
		"stroke-width=\"2\"%s/>\n"
		"<text x=\"%d\" y=\"%d\">%s #%u</text>\n",
		WIDTH - RIGHT + 20, legend_y, WIDTH - RIGHT + 50, legend_y, colours[kind], dash,
		WIDTH - RIGHT + 58, legend_y + 4, dt_kinds[kind].name, downtime);
}

int dt_write_plot(const char *path, struct dt_result *results, size_t nr)
{
	struct scale s = scale_of(results, nr);
	FILE *f;
	int legend_y = TOP + 10, err = start(path, &f);

	if (err)
		return err;
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		WIDTH, HEIGHT);
	write_axes(f, &s);
	write_sizes(f, &s, results, nr);
	for (int k = 0; k < DT_NR_KINDS; k++) {
		bool there = false;

		for (size_t i = 0; i < nr; i++)
			there |= results[i].kind == (enum dt_kind)k;
		for (unsigned int d = 1; there && d <= 2; d++, legend_y += 20)
			write_line(f, &s, results, nr, (enum dt_kind)k, d, legend_y);
	}
	fputs("</svg>\n", f);
	return finish(f, 0);
}
