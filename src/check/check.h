/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conformance suite's own interface: checks, the device under check, expectations.
 *
 * A check is a function that opens the device afresh, drives it with libc calls and returns
 * if everything was as expected. It runs in a child of its own with a time limit, so it may
 * die, hang, lower its limits or leave things open. The first failed expectation ends it.
 *
 * Used by src/check/ and src/cli/cmd_check.c alone. Single threaded.
 */
#ifndef HOLDFAST_CHECK_CHECK_H
#define HOLDFAST_CHECK_CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/profile.h"
#include "client/client.h"

#define CHECK_PAGE 4096UL

/**
 * Time limits in ms. "Nothing happens" is watched between QUIET_MIN and QUIET_MAX, 50 times as long
 * as the device takes to answer a kick while it is probed.
 */
enum { CHECK_DEADLINE = 20000, CHECK_SLOW_TIMES = 6, CHECK_WAIT = 5000 };
enum { CHECK_QUIET_MIN = 15, CHECK_QUIET_MAX = 120, CHECK_QUIET_TIMES = 50 };

/** The device under check: what it offers and how it behaves where a client cannot ask. */
struct check_device {
	char path[256];
	/* expect this kernel bit for bit; the default mode: the documented deviations */
	enum profile profile;
	bool holdfast; /* 1:1 is the client's address; no VmPin, no pagemap */
	bool pinned;   /* memory is pinned and accounted */
	bool set_map;  /* the parent takes whole maps; else single ranges */
	/* it translates with the platform's IOMMU: takes neither, starts with nothing */
	bool platform;
	bool compat_reset; /* a reset without IOTLB_PERSIST drops the translation */
	bool binds;        /* the parent can bind groups to address spaces */
	bool forks;        /* a forked child reaches the device */
	bool overwrite;    /* its data may be lost */
	int quiet_ms;      /* how long "nothing happens" is watched */
	int deadline_ms;   /* of one check */
	uint8_t mac[6];    /* a network device's address when it was found */
	uint64_t features;
	uint64_t backend;
	uint64_t iova_first;
	uint64_t iova_last;
	uint32_t device_id;
	uint32_t config_size;
	uint32_t ring_max;
	uint32_t nr_vqs;
	uint32_t nr_groups;
	uint32_t nr_as;
	uint32_t ctrl_group; /* group of vq 2 */
};

/**
 * Which profiles show a check's outcome, in the upper half of its needs. A check that names none is
 * for all of them; one that names some is a skip with all others.
 */
#define CHECK_SHOWN_BY(profile) ((uint64_t)PROFILE_BIT(profile) << 32)
#define CHECK_PROFILES          ((uint64_t)PROFILE_ALL << 32)
#define CHECK_STRICT            ((uint64_t)PROFILE_ANY_KERNEL << 32) /* all kernels alike */
#define CHECK_RELAXED           CHECK_SHOWN_BY(PROFILE_DEFAULT)      /* the documented deviations */
#define CHECK_LINUX_6_12        CHECK_SHOWN_BY(PROFILE_LINUX_6_12)
#define CHECK_LINUX_7_2         CHECK_SHOWN_BY(PROFILE_LINUX_7_2)

/** What a check needs of a device; one without it makes the check a skip with a reason. */
enum check_needs {
	CHECK_PINNED = 1 << 2,  /* a device that pins memory */
	CHECK_VA = 1 << 3,      /* a device that uses the client's addresses */
	CHECK_SET_MAP = 1 << 4, /* a parent with set_map */
	CHECK_DMA_MAP = 1 << 5, /* a parent with dma_map */
	CHECK_COMPAT = 1 << 6,  /* a parent with compat_reset */
	CHECK_NO_COMPAT = 1 << 7,
	CHECK_TWO_AS = 1 << 8,     /* at least two address spaces */
	CHECK_TWO_GROUPS = 1 << 9, /* a control queue in a group of its own, and TWO_AS */
	CHECK_CTRL = 1 << 10,      /* a control queue */
	CHECK_SUSPEND = 1 << 11,   /* suspend offered */
	CHECK_RESUME = 1 << 12,
	CHECK_PERSIST = 1 << 13, /* IOTLB_PERSIST offered */
	CHECK_KERNEL = 1 << 14,  /* something only a kernel has (VmPin, physical addresses) */
	CHECK_SLOW = 1 << 15,    /* a longer time limit */
	CHECK_LOG = 1 << 16,     /* VHOST_F_LOG_ALL offered */
	CHECK_NO_LOG = 1 << 17,
	CHECK_FULL_RANGE = 1 << 18, /* full 64-bit iova range */
	CHECK_FORK = 1 << 19,       /* a forked child is a client of the device, too */
	CHECK_PACKED = 1 << 20,     /* packed rings offered */
	CHECK_NET = 1 << 21,        /* a network device */
	CHECK_BLK = 1 << 22,        /* a block device */
	CHECK_OVERWRITE = 1 << 23,  /* a disk whose contents may be lost, and can be written */
	CHECK_READ_ONLY = 1 << 24,  /* a disk that cannot be written */
	CHECK_DISCARD = 1 << 25,    /* DISCARD offered */
	CHECK_ZEROES = 1 << 26,     /* WRITE_ZEROES offered */
	CHECK_BIND = 1 << 27,       /* a parent with set_group_asid */
	CHECK_NO_BIND = 1 << 28,
	CHECK_IDENTITY =
		1 << 29, /* the device translates 1:1 while it is open and nothing is mapped */
	CHECK_NO_IDENTITY = 1 << 30, /* it reaches nothing then */
};

struct check_ctx;

/** One row of the table. */
struct check {
	const char *name;   /* section.topic.condition_expected, stable */
	const char *clause; /* "1-12", of the specification */
	void (*fn)(struct check_ctx *t);
	uint64_t needs;    /* CHECK_* */
	unsigned long req; /* for functions that several rows share */
	long a;
	long b;
};

/** A file's rows. */
struct check_set {
	const struct check *rows;
	size_t nr;
	uint64_t needs; /* CHECK_*, of all of them; no profile */
};

enum check_outcome { CHECK_DIED, CHECK_OK, CHECK_FAILED, CHECK_SKIPPED, CHECK_TIMED_OUT };

/** Filled by the child in shared memory. */
struct check_result {
	int outcome; /* enum check_outcome */
	int status;  /* wait status of the child, if it died */
	unsigned ms;
	char text[480];
};

/** Handed to each check. */
struct check_ctx {
	const struct check_device *dev;
	const struct check *check;
	struct check_result *res;
	bool opened; /* a first open may have to wait for the previous check's release */
};

extern const struct check_set *const check_sets[];
extern const size_t check_nr_sets;

/* ---- expectations ---- */

_Noreturn void check_fail(struct check_ctx *t, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
_Noreturn void check_skip(struct check_ctx *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void check_expect_rc(struct check_ctx *t, const char *file, int line, const char *what, long want,
		     long got);
void check_expect_eq(struct check_ctx *t, const char *file, int line, const char *what,
		     uint64_t want, uint64_t got);

#define FAIL(t, ...) check_fail(t, __FILE__, __LINE__, __VA_ARGS__)
#define EXPECT(t, cond)                                                                            \
	do {                                                                                       \
		if (!(cond))                                                                       \
			FAIL(t, "expected %s", #cond);                                             \
	} while (0)
/** The second argument is 0, a count or -errno; so is what the expression gives. */
#define EXPECT_RC(t, want, expr) check_expect_rc(t, __FILE__, __LINE__, #expr, want, expr)
#define EXPECT_EQ(t, want, expr) check_expect_eq(t, __FILE__, __LINE__, #expr, want, expr)

/* ---- running (runner.c) ---- */

/** check_interrupted() - Return: whether a signal asked the suite to end; check_run() ends at once
 * then. */
bool check_interrupted(void);

/** check_catch_signals() - let SIGINT, SIGTERM and SIGHUP be seen by check_interrupted(). */
void check_catch_signals(void);

/** check_missing() - Return: why @dev cannot run a check with @needs, or NULL. */
const char *check_missing(const struct check_device *dev, uint64_t needs);

/** check_shown_by() - the profiles that @needs names, in words with commas, into @text; "" if all
 * profiles show it. */
void check_shown_by(uint64_t needs, char *text, size_t len);

/** check_is_strict() - Return: whether @t's device is held against a kernel. */
static inline bool check_is_strict(const struct check_ctx *t)
{
	return t->dev->profile != PROFILE_DEFAULT;
}

/**
 * check_run() - run one check in a child with a time limit
 * @res: shared mapping, filled
 * Return: 0; -EBUSY if the child cannot be killed, the device is stuck then; -EINTR.
 */
int check_run(const struct check_device *dev, const struct check *check, struct check_result *res);

/** check_probe() - the check that fills @dev; runs like any other. */
void check_probe(struct check_ctx *t, struct check_device *dev);

/** check_restore() - give a network device the address that it had. */
void check_restore(struct check_ctx *t);

/** check_probe_latency() - set quiet_ms by how fast the device answers. */
void check_probe_latency(struct check_ctx *t, struct check_device *dev);

/** check_probe_behaviour() - find out how the device maps, pins and resets by what it does. */
void check_probe_behaviour(struct check_ctx *t, struct check_device *dev);

/** check_in_child() - run @fn in a forked child of the check. Return: what @fn returned. */
int check_in_child(struct check_ctx *t, int (*fn)(int fd, const void *arg), int fd,
		   const void *arg);

/** check_child_ioctl() - the same ioctl from a forked child. */
int check_child_ioctl(struct check_ctx *t, int fd, unsigned long req, void *arg);

/** check_wait_child() - wait for a forked child and expect it to exit with 0. */
void check_wait_child(struct check_ctx *t, int pid);

/* ---- fixtures (fixture.c) ---- */

/** check_open() - open the device; a failure fails the check. */
int check_open(struct check_ctx *t);

/** check_open_owned() - open and SET_OWNER. */
int check_open_owned(struct check_ctx *t);

/** check_close() - close and expect success. */
void check_close(struct check_ctx *t, int fd);

/** check_pages() - @nr shared pages (memfd), zeroed, locked; never freed, the child ends. */
uint8_t *check_pages(struct check_ctx *t, size_t nr);

/** check_guarded() - the last @len bytes before a page without access. */
uint8_t *check_guarded(struct check_ctx *t, size_t len);

/** check_read_only() - a readable page that cannot be written. */
uint8_t *check_read_only(struct check_ctx *t);

/** check_unmapped() - an address where nothing is. */
void *check_unmapped(void);

/** check_eventfd() - a non-blocking eventfd with count @initial. */
int check_eventfd(struct check_ctx *t, unsigned initial);

/** check_identity() - the iova that means @addr while the device translates 1:1. */
uint64_t check_identity(struct check_ctx *t, const void *addr);

/** check_pinned_kb() - VmPin of this process in KiB. */
long check_pinned_kb(struct check_ctx *t);

/** check_features() - a feature set the device accepts: the basics; of a network device MAC and
 * control queue. */
uint64_t check_features(const struct check_ctx *t);

/** check_ack_backend() - SET_BACKEND_FEATURES, expect success. */
void check_ack_backend(struct check_ctx *t, int fd, uint64_t mask);

/** check_map() - UPDATE; returns 0 or -errno. Read-write, asid through v2. */
int check_map(int fd, uint32_t asid, uint64_t iova, uint64_t size, const void *addr);

/** check_msg() - write one message of every field given. Return: write()'s, or -errno. */
long check_msg(int fd, uint32_t outer, uint32_t asid, const struct vhost_iotlb_msg *body,
	       size_t len);

/** check_expect_taken() / check_expect_free() - is @iova mapped? Asked with an UPDATE, which
 * takes a byte that is free. */
void check_expect_taken(struct check_ctx *t, int fd, uint32_t asid, uint64_t iova);
void check_expect_free(struct check_ctx *t, int fd, uint32_t asid, uint64_t iova);

/* ---- the rows of each file ---- */

#define CHECK_SET(rows_) CHECK_SET_OF(rows_, 0)
#define CHECK_SET_OF(rows_, needs_)                                                                \
	{                                                                                          \
		.rows = (rows_), .nr = sizeof(rows_) / sizeof((rows_)[0]), .needs = (needs_)       \
	}

extern const struct check_set check_set_device, check_set_status, check_set_config, check_set_owner,
	check_set_vring, check_set_vring_value, check_set_vring_bind, check_set_mmap,
	check_set_message, check_set_space, check_set_update, check_set_pinned,
	check_set_invalidate, check_set_translate, check_set_group, check_set_open, check_set_reset,
	check_set_reset_rings, check_set_backend, check_set_setup, check_set_suspend,
	check_set_kick, check_set_data, check_set_blk_config, check_set_blk, check_set_blk_odd,
	check_set_blk_range, check_set_dirty;

#endif
