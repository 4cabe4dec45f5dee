// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a test says to the stand-in of rdma-core's libraries besides what the driver calls. One card
 * at a time. Thread rule: the test's thread.
 */
#ifndef HOLDFAST_TESTS_MLX5_STAND_IN_H
#define HOLDFAST_TESTS_MLX5_STAND_IN_H

#include <stddef.h>
#include <stdint.h>

struct stand_in {
	int list_err, open_err; /* errno that these fail with; 0: they do not */
	const char *pci;        /* [out] that was asked for */
	size_t left;            /* [out] what was on the card when it was closed last */
	uint64_t nr_commands;   /* [out] of that card */
	uint64_t fail_at;       /* of the next card: which command fails; 0: none */
	const char *bar;        /* file that is the card's first BAR, or NULL */
};

/** stand_in() - the one that there is */
struct stand_in *stand_in(void);

#endif
