// SPDX-License-Identifier: BSD-3-Clause
#include "bench/downtime_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/compiler.h"
#include "bench/bench.h"
#include "bench/svg.h"

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
	int err = bench_file_open(path, &f);

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
	return bench_file_close(f);
}

/* ---- SVG: both axes logarithmic ---- */

static const char *const colours[DT_NR_KINDS] = {
	"#b2182b", "#2166ac", "#1b7837", "#762a83", "#67001f", "#b2182b", "#d6604d",
	"#e08214", "#b8860b", "#7fbf7b", "#1b7837", "#4393c3", "#2166ac", "#053061"};

struct scale {
	double x_min, x_max; /* logarithms of 2, of bytes */
	double least, most;  /* ns */
};

static double x_of(const struct scale *s, double bytes)
{
	double span = s->x_max > s->x_min ? s->x_max - s->x_min : 1;

	return SVG_LEFT + (log2(bytes) - s->x_min) / span * (SVG_WIDTH - SVG_LEFT - SVG_RIGHT);
}

static struct scale scale_of(struct dt_result *results, size_t nr)
{
	struct scale s = {INFINITY, -INFINITY, 1e4, 1e6};

	for (size_t i = 0; i < nr; i++) {
		s.x_min = fmin(s.x_min, log2((double)results[i].mapped));
		s.x_max = fmax(s.x_max, log2((double)results[i].mapped));
		for (unsigned int d = 1; d <= 2; d++) {
			double ns = dt_result_median(&results[i], d);

			if (ns > 0)
				s.most = fmax(s.most, ns);
			if (ns > 0)
				s.least = fmin(s.least, ns);
		}
	}
	return s;
}

static void write_sizes(struct svg *svg, const struct scale *s, const struct dt_result *results,
			size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t mib = results[i].mapped >> 20;
		bool gib = mib % 1024 == 0;
		char text[32];

		if (i > 0 && results[i].mapped == results[i - 1].mapped)
			continue;
		snprintf(text, sizeof(text), "%" PRIu64 " %s", gib ? mib / 1024 : mib,
			 gib ? "GiB" : "MiB");
		svg_x_label(svg, x_of(s, (double)results[i].mapped), text);
	}
}

static void write_line(struct svg *svg, const struct scale *s, struct dt_result *results, size_t nr,
		       enum dt_kind kind, unsigned int downtime, int legend_y)
{
	const char *dash = downtime == 2 ? " stroke-dasharray=\"6 4\"" : "";
	FILE *f = svg->f;

	fprintf(f, "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\"%s points=\"",
		colours[kind], dash);
	for (size_t i = 0; i < nr; i++)
		if (results[i].kind == kind && dt_result_median(&results[i], downtime) > 0)
			fprintf(f, "%.1f,%.1f ", x_of(s, (double)results[i].mapped),
				svg_y(svg, dt_result_median(&results[i], downtime)));
	fputs("\"/>\n", f);
	for (size_t i = 0; i < nr; i++)
		if (results[i].kind == kind && dt_result_median(&results[i], downtime) > 0)
			fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n",
				x_of(s, (double)results[i].mapped),
				svg_y(svg, dt_result_median(&results[i], downtime)), colours[kind]);
	fprintf(f,
		"<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"%s\" "
		"stroke-width=\"2\"%s/>\n"
		"<text x=\"%d\" y=\"%d\">%s #%u</text>\n",
		SVG_WIDTH - SVG_RIGHT + 20, legend_y, SVG_WIDTH - SVG_RIGHT + 50, legend_y,
		colours[kind], dash, SVG_WIDTH - SVG_RIGHT + 58, legend_y + 4, dt_kinds[kind].name,
		downtime);
}

int dt_write_plot(const char *path, struct dt_result *results, size_t nr)
{
	struct scale s = scale_of(results, nr);
	struct svg svg;
	int legend_y = SVG_TOP + 10;
	int err =
		svg_begin(&svg, path, s.least, s.most,
			  "Downtime caused by the device, against memory (median)", "guest memory");

	if (err)
		return err;
	write_sizes(&svg, &s, results, nr);
	for (int k = 0; k < DT_NR_KINDS; k++) {
		bool there = false;

		for (size_t i = 0; i < nr; i++)
			there |= results[i].kind == (enum dt_kind)k;
		for (unsigned int d = 1; there && d <= 2; d++, legend_y += 20)
			write_line(&svg, &s, results, nr, (enum dt_kind)k, d, legend_y);
	}
	return svg_end(&svg);
}
