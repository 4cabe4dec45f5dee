// SPDX-License-Identifier: BSD-3-Clause
/*
 * A small real parent that writes down what it is told. It keeps a device's state and one map per
 * address space, as the simulator does, moves no data, and can be told to fail the n-th call of one
 * operation. Each operation that changes something, and get_vq_state, is one line of the record.
 */
#ifndef HOLDFAST_TESTS_RECORDER_H
#define HOLDFAST_TESTS_RECORDER_H

#include "vdpa/bus.h"
#include "vdpa/reset.h"

#define RECORDER_NVQS    3
#define RECORDER_MAX_AS  2
#define RECORDER_NUM_MAX 256

struct recorder_options {
	enum vdpa_mapping mapping;
	enum memory_mode memory;
	uint32_t deviations;
	size_t max_entries;    /* 0: 2048 */
	uint32_t nas, ngroups; /* 0: 2 each, platform 1 */
	bool compat_reset, no_reset_map, no_suspend, no_resume, no_groups, desc_group, vq_size,
		no_bind, dirty_log;
	bool keeps_map; /* a map that is refused leaves the former one, if it has all of that */
	bool has_backend_features;
	uint64_t backend_features;
	uint64_t features;            /* offered; 0: VERSION_1, ACCESS_PLATFORM, RING_PACKED */
	struct vdpa_iova_range range; /* last 0: none given */
	const char *name;             /* NULL: "rec" */
	struct worker *worker;        /* get_vq_worker answers it, or NULL: no such operation */
};

struct recorder_vq {
	uint32_t num;
	uint64_t desc, driver, device;
	bool ready;
	struct vdpa_vq_state state;
	struct vdpa_callback cb;
};

struct recorder {
	struct vdpa_device dev; /* first */
	struct vdpa_config_ops ops;
	struct recorder_options opt;

	char record[1 << 16];
	size_t record_len;
	bool quiet; /* write nothing down */

	const char *fail_op;   /* NULL: none */
	unsigned int fail_nth; /* counts down; 1: the next call */
	unsigned int fail_nr;  /* so many calls, from that one on */
	int fail_err;

	uint8_t status;
	uint64_t features;
	uint8_t config[8];
	struct vdpa_callback config_cb;
	struct vdpa_dirty_log log;
	struct recorder_vq vqs[RECORDER_NVQS];
	uint32_t group_asid[RECORDER_NVQS];
	uint32_t group_answer;              /* added to the answers of get_vq_group */
	struct iotlb *map[RECORDER_MAX_AS]; /* [owned]; platform: NULL, the domain it is */
	bool one_to_one[RECORDER_MAX_AS];
	struct memory_space *bound; /* [borrowed] */
	int kick_fd[RECORDER_NVQS]; /* eventfd, counts kicks */
	bool *freed;                /* set by free(), or NULL */
};

/** recorder_create() - made and registered; the bus has the reference */
struct recorder *recorder_create(struct vdpa_bus *bus, const struct recorder_options *opt);
/** recorder_make() - made and initialised, not registered. Return: 0 or vdpa_device_init()'s
 * error */
int recorder_make(struct vdpa_bus *bus, const struct recorder_options *opt, struct recorder **out);
/** recorder_fail() - let the @nth call of @op from now fail with @err */
void recorder_fail(struct recorder *rec, const char *op, unsigned int nth, int err);
/** recorder_fail_for() - and the calls after it, @nr in all */
void recorder_fail_for(struct recorder *rec, const char *op, unsigned int nth, int err,
		       unsigned int nr);
/** recorder_reads() - compare the record with @expected, lines with '\n', then empty it */
void recorder_reads(struct recorder *rec, const char *expected);
void recorder_clear(struct recorder *rec);
/** recorder_where() - where does the device's access to @iova go? Return: client address or 0 */
uint64_t recorder_where(struct recorder *rec, uint32_t asid, uint64_t iova, uint8_t perm);
/** recorder_nr_entries() - of the device's own map; the 1:1 map counts as one */
size_t recorder_nr_entries(struct recorder *rec, uint32_t asid);

#endif
