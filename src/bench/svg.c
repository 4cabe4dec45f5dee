// SPDX-License-Identifier: BSD-3-Clause
#include "bench/svg.h"

#include <math.h>

#include "bench/bench.h"

double svg_y(const struct svg *svg, double ns)
{
	return SVG_HEIGHT - SVG_BOTTOM -
	       (log10(fmax(ns, 1)) - svg->least) / (svg->most - svg->least) *
		       (SVG_HEIGHT - SVG_TOP - SVG_BOTTOM);
}

void svg_x_label(struct svg *svg, double x, const char *text)
{
	fprintf(svg->f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x,
		SVG_HEIGHT - SVG_BOTTOM + 20, text);
}

static void write_times(struct svg *svg)
{
	static const char *const units[] = {"1 ns",   "10 ns", "100 ns", "1 us",   "10 us",
					    "100 us", "1 ms",  "10 ms",  "100 ms", "1 s",
					    "10 s",   "100 s", "1000 s", "10000 s"};

	for (int e = svg->least; e <= svg->most && e < (int)ARRAY_LEN(units); e++) {
		double y = svg_y(svg, pow(10, e));

		fprintf(svg->f,
			"<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n"
			"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			SVG_LEFT, y, SVG_WIDTH - SVG_RIGHT, y, SVG_LEFT - 8, y + 4, units[e]);
	}
}

int svg_begin(struct svg *svg, const char *path, double least_ns, double most_ns, const char *title,
	      const char *x_title)
{
	int err = bench_file_open(path, &svg->f);

	if (err)
		return err;
	svg->least = (int)floor(log10(fmax(least_ns, 1)));
	svg->most = (int)ceil(log10(fmax(most_ns, 1)));
	if (svg->most == svg->least)
		svg->most++;
	fprintf(svg->f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
		"<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
		"<text x=\"%d\" y=\"28\" font-size=\"16\">%s</text>\n",
		SVG_WIDTH, SVG_HEIGHT, (SVG_LEFT + SVG_WIDTH - SVG_RIGHT) / 2, SVG_HEIGHT - 14,
		x_title, SVG_LEFT, title);
	write_times(svg);
	return 0;
}

int svg_end(struct svg *svg)
{
	fputs("</svg>\n", svg->f);
	return bench_file_close(svg->f);
}
