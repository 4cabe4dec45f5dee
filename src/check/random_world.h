/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one world in which a program of random steps runs: its device, descriptors, rings and memory,
 * what the program has reached, and how a step tells its result. Used by the steps and by
 * random_run.c. Single threaded.
 */
#ifndef HOLDFAST_CHECK_RANDOM_WORLD_H
#define HOLDFAST_CHECK_RANDOM_WORLD_H

#include "check/random.h"

enum { RANDOM_CONFIG_ROOM = 256, RANDOM_RING_MAX = 256 };

/* One program's world. What begins anew with each open stands in @at. */
struct random_world {
	struct random_mem mem;
	const char *path;
	uint8_t found[RANDOM_CONFIG_ROOM];  /* the configuration as the device had it */
	uint8_t config[RANDOM_CONFIG_ROOM]; /* with which each program begins */
	uint32_t config_size;
	int pipe[2];
	int fd; /* the device, or -1 */
	int config_fd;
	struct random_ring ring[RANDOM_RINGS];
	int kick[RANDOM_RINGS];
	int call[RANDOM_RINGS];
	bool dirty; /* the configuration was written */
	unsigned opens;
	bool reached[REACH_NR];
	struct {
		bool addr[RANDOM_RINGS]; /* given since the last reset */
		bool mapped[2];
		bool running, suspended, resumed, reset, bound, based;
		int batch; /* 0 none, 1 open, 2 with an update in it */
	} at;
	FILE *to;
	bool settle; /* the step may have made the device work */
};

extern struct random_world random_world;

/** random_done() - write the result. @rc: -errno or a value. Return: -errno or 0 */
int random_done(int rc);
/** random_done_value() - the same, with what was read */
int random_done_value(int rc, uint64_t value);
/** random_skipped() - a step that is not done, on any device. Return: 1 */
int random_skipped(const char *why);
void random_reach(enum random_state state);
/** random_choose_fd() - the descriptor that @kind means; for an own one *@own is made anew */
int random_choose_fd(uint64_t kind, int *own);

/* Which steps do without an open device, and after which the device may have worked. */
enum { RANDOM_ALONE = 1, RANDOM_WORKS = 2 };

struct random_row {
	int (*fn)(const uint64_t *arg); /* Return: 0; -errno refused; 1 skipped */
	unsigned traits;
};

/* Two halves of one table: a step is in one of them. */
extern const struct random_row random_ioctl_steps[OP_NR];
extern const struct random_row random_other_steps[OP_NR];

#endif
