// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every way to be wrong that a guest has, one case each: chains, rings, control commands, headers
 * and requests. A case says what must come of it:
 *
 *   BREAKS     NEEDS_RESET and a config interrupt, and the log says why in these words
 *   COMPLETES  the chain is used, and the answer is an error where the request has room for one
 *   WAITS      nothing happens, and the device is idle
 *   REFUSED    a call of the client is refused
 *   ANY        none of these is promised, but all that follows is
 *
 * hostile.c runs them beside the client, tests/guest/wrong.c inside of a virtual machine.
 * Thread rule: that of guest.h.
 */
#ifndef HOLDFAST_TESTS_HOSTILE_CASES_H
#define HOLDFAST_TESTS_HOSTILE_CASES_H

#include "guest.h"

enum outcome { BREAKS, COMPLETES, WAITS, REFUSED, ANY };
enum { NET = 1, BLK = 2, BOTH = 3, SPLIT = 4, PACKED = 8, ALL = 15, CHAINS_MAX = 6 };

#define ANSWER (DATA + 0x3000u) /* status of a request, answer of a command */

struct piece {
	uint64_t addr;
	uint32_t len, flags;
};

struct hostile {
	const char *name;
	unsigned int on; /* devices and layouts */
	unsigned int q;
	enum outcome expect;
	const char *words; /* BREAKS: of the log; else NULL */
	uint64_t features; /* besides the usual ones */
	struct piece chain[CHAINS_MAX];
	void (*write)(struct guest *g, unsigned int q); /* besides @chain, or instead */
	void (*set)(struct guest *g);                   /* before the start */
	const char *bytes;                              /* at DATA */
	size_t nr_bytes;
	int answer; /* COMPLETES: the byte at ANSWER; -1: none */
};

extern const struct hostile hostile_cases[];
extern const unsigned int nr_hostile_cases;

/** hostile_fits() - Return: is the case one for this device and this layout? */
bool hostile_fits(const struct guest *g, const struct hostile *h);
/** hostile_features() - what the case wants to have negotiated besides the usual ones */
uint64_t hostile_features(const struct hostile *h);
/** hostile_queue() - the queue that the case is on: what is for both devices goes to the card's
 * transmit queue, for nobody looks at its receive queue before a frame comes */
unsigned int hostile_queue(const struct guest *g, const struct hostile *h);
/** hostile_provoke() - be wrong in this way, on a device that runs */
void hostile_provoke(struct guest *g, const struct hostile *h);
/** hostile_scribbles() - Return: does the case write at random? */
bool hostile_scribbles(const struct hostile *h);

#endif
