/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random sequences of calls on a vhost-vdpa network device: `holdfast check --random` and
 * `--replay`.
 *
 * A program is a list of steps. It depends on its seed alone, never on what the device answers, so
 * one seed is one program on every device; each step is a line of text that can be read back.
 * Running a program gives a transcript: each step with its result, in words that do not depend on
 * where memory happens to lie. docs/random.md describes the grammar and what is normalised.
 *
 * Used by src/check/ alone. Single threaded, but for what the device does.
 */
#ifndef HOLDFAST_CHECK_RANDOM_H
#define HOLDFAST_CHECK_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "check/check.h"

enum { RANDOM_ARGS = 6, RANDOM_MAX_STEPS = 256, RANDOM_LINE = 256 };

/** What a step does. The order is that of random_ops[]. */
enum random_op {
	OP_OPEN,
	OP_CLOSE,
	OP_OWNER,
	OP_GET,
	OP_SET_FEATURES,
	OP_SET_BACKEND,
	OP_SET_STATUS,
	OP_GET_CONFIG,
	OP_SET_CONFIG,
	OP_CONFIG_CALL,
	OP_SUSPEND,
	OP_RESUME,
	OP_NUM,
	OP_BASE,
	OP_ADDR,
	OP_GET_BASE,
	OP_ENABLE,
	OP_VRING_GET,
	OP_GROUP_ASID,
	OP_FILE,
	OP_BUSYLOOP,
	OP_MEM_TABLE,
	OP_SET_FORK,
	OP_IOCTL,
	OP_UPDATE,
	OP_INVALIDATE,
	OP_BEGIN,
	OP_END,
	OP_MESSAGE,
	OP_MMAP,
	OP_RING,
	OP_POST,
	OP_FLAGS,
	OP_KICK,
	OP_NR,
};

/** How an argument is written. */
enum random_type { TYPE_NONE, TYPE_NUM, TYPE_HEX, TYPE_IOVA, TYPE_UADDR, TYPE_WORD };

struct random_arg {
	const char *name;
	enum random_type type;
	const char *const *words; /* TYPE_WORD: NULL-terminated */
};

struct random_op_info {
	const char *name;
	struct random_arg arg[RANDOM_ARGS];
};

extern const struct random_op_info random_ops[OP_NR];

/** One step; the arguments stand in the order of random_ops[]. */
struct random_step {
	enum random_op op;
	uint64_t arg[RANDOM_ARGS];
};

struct random_program {
	unsigned nr;
	struct random_step step[RANDOM_MAX_STEPS];
};

/* Words of TYPE_WORD arguments, in the order of their lists. */
enum {
	GET_FEATURES,
	GET_BACKEND,
	GET_DEVICE_ID,
	GET_STATUS,
	GET_RING_MAX,
	GET_IOVA_RANGE,
	GET_CONFIG_SIZE,
	GET_AS_NUM,
	GET_GROUP_NUM,
	GET_VQS,
	GET_FORK,
	GET_NR
};
enum { FD_OWN, FD_HOT, FD_NONE, FD_BAD, FD_PIPE, FD_NR };
enum { FILE_KICK, FILE_CALL, FILE_ERR, FILE_NR };
enum { VRING_GROUP, VRING_DESC_GROUP, VRING_SIZE, VRING_BUSYLOOP, VRING_NR };
enum {
	POST_PLAIN,
	POST_MULTICAST,
	POST_SELF,
	POST_OTHER,
	POST_TURNED,
	POST_SHORT,
	POST_INDIRECT,
	POST_NR
};

/*
 * Addresses in a program are a region and an offset, packed by random_at().
 * Device addresses: A absolute, T below 2^64, W the window, whose 1:1 memory is I.
 * Client memory: M shared, R the same read-only, P private, H nothing there.
 */
enum random_region {
	AT_ABS,
	AT_TOP,
	AT_WINDOW,
	AT_SHARED,
	AT_READONLY,
	AT_PRIVATE,
	AT_HOLE,
	AT_NR
};

/** random_at() - pack an address. */
static inline uint64_t random_at(enum random_region region, uint64_t off)
{
	return (uint64_t)region << 56 | off;
}

static inline enum random_region random_region_of(uint64_t at)
{
	return (enum random_region)(at >> 56);
}

static inline uint64_t random_off_of(uint64_t at)
{
	return at & ((1ULL << 56) - 1);
}

/* ---- text (random_text.c) ---- */

/** random_print() - write @step as text, without a line's end. @line has RANDOM_LINE bytes. */
void random_print(const struct random_step *step, char *line);

/**
 * random_parse() - read a step from @line
 * What follows " = " is a result and not read; so a transcript is a program.
 * Return: 0; -EINVAL, and @why (RANDOM_LINE bytes) names what is wrong.
 */
int random_parse(const char *line, struct random_step *step, char *why);

/* ---- generator (random_gen.c) ---- */

/** random_generate() - the program of @seed. */
void random_generate(uint64_t seed, struct random_program *program);

/* ---- memory (random_mem.c) ---- */

/* Pages of the window, and of the memory that it is usually mapped to. */
enum {
	PAGE_DESC = 0,  /* one a queue and slot */
	PAGE_AVAIL = 6, /* all of them */
	PAGE_USED = 7,  /* one a queue and slot */
	PAGE_DATA = 13, /* one a queue: buffers */
	PAGE_INDIRECT = 16,
	PAGE_NR = 20,
	PAGE_PRIVATE_NR = 2,
};

enum { RANDOM_RINGS = 3, RANDOM_SLOTS = 2, RANDOM_BUFS = 8, RANDOM_BUF_LEN = 512 };

/** Client memory at fixed addresses, with a copy of what was seen there last. */
struct random_mem {
	uint8_t *shared;   /* M */
	uint8_t *readonly; /* R */
	uint8_t *identity; /* I */
	uint8_t *private;  /* P */
	uint64_t window;   /* W: the device address that means I while the device translates 1:1 */
	uint8_t *seen[3];  /* M, I, P */
};

/** random_mem_init() - make the memory. Return: 0; -errno, and one line was printed. */
int random_mem_init(struct random_mem *mem, const struct check_device *dev);

/** random_mem_clear() - all zero, nothing to see. */
void random_mem_clear(struct random_mem *mem);

/** random_mem_put() - the driver writes at @off of the window: to M and to I. */
void random_mem_put(struct random_mem *mem, size_t off, const void *data, size_t len);

/** random_mem_changes() - append what the device has written since the last call. Return: bits of
 * M, I, P. */
unsigned random_mem_changes(struct random_mem *mem, FILE *to);

/** random_mem_iova() / random_mem_uaddr() - the number behind a packed address. */
uint64_t random_mem_iova(const struct random_mem *mem, uint64_t at);
uint64_t random_mem_uaddr(const struct random_mem *mem, uint64_t at);

/* ---- driver side of rings (random_ring.c) ---- */

struct random_ring {
	uint16_t num;
	uint16_t avail;
	uint16_t next; /* descriptor */
	uint8_t slot;
};

/** random_ring_offsets() - where the areas of queue @q's @slot lie in the window: desc, avail,
 * used. */
void random_ring_offsets(unsigned q, unsigned slot, size_t off[3]);

/** random_ring_reset() - empty rings at @slot, available index @start. */
void random_ring_reset(struct random_ring *ring, struct random_mem *mem, unsigned q,
		       const uint64_t *arg);

/** random_ring_post() - offer a chain, as OP_POST's arguments tell. */
void random_ring_post(struct random_ring *ring, struct random_mem *mem, const uint64_t *arg);

/** random_ring_flags() - the available ring's flags. */
void random_ring_flags(struct random_ring *ring, struct random_mem *mem, unsigned q,
		       uint16_t flags);

/* ---- waiting (random_idle.c) ---- */

/** random_idle_init() - find out how to see that the device of @dev is idle. */
void random_idle_init(const struct check_device *dev);

/** random_idle_way() - Return: in words, how. */
const char *random_idle_way(void);

/** random_idle_wait() - until all that was kicked is done. Return: 0 or -ETIMEDOUT. */
int random_idle_wait(void);

/* ---- running (random_run.c) ---- */

/** Deep states that a sequence can reach; names in random_state_names[] (random_world.c). */
enum random_state {
	REACH_RUNNING,      /* DRIVER_OK with rings */
	REACH_DMA_MAPPED,   /* the device wrote through a mapping */
	REACH_DMA_IDENTITY, /* the device wrote 1:1 */
	REACH_FRAME,        /* a frame came back */
	REACH_CONTROL,      /* a control command was answered */
	REACH_TWO_SPACES,   /* mappings in both address spaces */
	REACH_BATCH,        /* a batch with an update was committed */
	REACH_BATCH_DMA,    /* DMA while a batch was open */
	REACH_SUSPENDED,
	REACH_RESUMED_DMA, /* DMA after suspend and resume */
	REACH_RESET_RUNNING,
	REACH_RESET_DMA, /* DMA through a mapping made before the last reset */
	REACH_REOPENED,
	REACH_REOPENED_DMA,
	REACH_BOUND,       /* the control group is bound to address space 1 */
	REACH_BOUND_DMA,   /* ... and the device used that */
	REACH_CONFIG,      /* configuration was written */
	REACH_BASE,        /* a ring ran from a base that is not 0 */
	REACH_REFUSED_MAP, /* an update was refused */
	REACH_NR,
};

extern const char *const random_state_names[REACH_NR];

/** Counts of a run; shared with the process that does the work. */
struct random_stats {
	unsigned long sequences;
	unsigned long steps;
	unsigned long ok[OP_NR];
	unsigned long refused[OP_NR];
	unsigned long skipped[OP_NR];
	unsigned long reached[REACH_NR];
};

/** Where a run stands; shared with the process that does the work. */
struct random_progress {
	uint64_t seed;
	unsigned step;
	unsigned long beats;
};

/** random_run_init() - once a process. Return: 0; -errno, and one line was printed. */
int random_run_init(const struct check_device *dev);

/** random_run_fini() - put the device back as it was found. */
void random_run_fini(void);

/** random_run() - run @program and write its transcript to @to. */
void random_run(const struct random_program *program, FILE *to, struct random_stats *stats,
		struct random_progress *progress);

/* ---- the command (random_check.c) ---- */

struct random_options {
	const char *random; /* SEED[:COUNT], or NULL */
	const char *replay; /* a file, or NULL */
	bool transcript;
};

/** random_check() - run random or recorded sequences on @dev. Return: exit status. */
int random_check(const struct check_device *dev, const struct random_options *opts);

#endif
