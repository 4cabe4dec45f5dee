// SPDX-License-Identifier: BSD-3-Clause
/*
 * A picture of durations: an SVG with a logarithmic axis of time on the left. What lies along the
 * other axis is the caller's.
 *
 * Owns the open file from svg_begin() to svg_end(). Used by the benches that draw. Thread rule:
 * main thread.
 */
#ifndef HOLDFAST_BENCH_SVG_H
#define HOLDFAST_BENCH_SVG_H

#include <stdio.h>

#include "base/compiler.h"

/* of the picture, and of the plot in it: pixels from the edges */
enum {
	SVG_WIDTH = 760,
	SVG_HEIGHT = 480,
	SVG_LEFT = 90,
	SVG_RIGHT = 170,
	SVG_TOP = 50,
	SVG_BOTTOM = 60
};

struct svg {
	FILE *f;
	int least, most; /* of the axis: decimal logarithms of ns */
};

/**
 * svg_begin() - make @path, or empty it, and draw the frame
 * @least_ns, @most_ns: what the axis has at least
 * @title, @x_title: above, and below; without characters that XML does not take
 * Return: 0; -errno
 */
int svg_begin(struct svg *svg, const char *path, double least_ns, double most_ns, const char *title,
	      const char *x_title) HF_MUST_CHECK;
/** svg_end() - Return: 0; -errno: it could not all be written */
int svg_end(struct svg *svg) HF_MUST_CHECK;

/** svg_y() - where @ns lies, in pixels from above; less than 1 lies where 1 does */
double svg_y(const struct svg *svg, double ns);
/** svg_x_label() - @text below the plot, @x pixels from the left */
void svg_x_label(struct svg *svg, double x, const char *text);

#endif
