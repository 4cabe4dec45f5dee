// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the files of `holdfast bench downtime` share: the client that is measured, and the record of
 * its phases.
 * Thread rule: main thread.
 */
#ifndef HOLDFAST_BENCH_DOWNTIME_H
#define HOLDFAST_BENCH_DOWNTIME_H

#include <stdio.h>

#include "bench/bench.h"
#include "client/client.h"

#define DT_DEVICES_MAX 8u
#define DT_PAIRS_MAX   32u
#define DT_QUEUES_MAX  (2 * DT_PAIRS_MAX + 1)
#define DT_SIZES_MAX   16u

enum dt_kind { DT_OLD, DT_PERSIST, DT_HOLD, DT_SVQ_ASID, DT_NR_KINDS };
extern const char *const dt_kind_names[DT_NR_KINDS];

enum dt_phase {
	DT_SUSPEND, /* SUSPEND if it is acked, ring positions */
	DT_RESET,   /* status 0 and again up to DRIVER */
	DT_UNMAP,   /* guest memory and shadow rings out */
	DT_MAP,     /* guest memory in */
	DT_SHADOW,  /* shadow rings in */
	DT_SETUP,   /* features, ring addresses, eventfds, groups, enable */
	DT_START,   /* DRIVER_OK */
	DT_CONTROL, /* control queue: MAC address, queue pairs */
	DT_TRAFFIC, /* until each device has used a buffer again */
	DT_NR_PHASES
};
extern const char *const dt_phase_names[DT_NR_PHASES];

/* One stretch of time, for the trace. */
struct dt_event {
	int64_t start_ns, len_ns;
	enum dt_phase phase;
	enum dt_kind kind;
	unsigned int device, downtime; /* downtime: 1, 2 */
	uint64_t mapped;
};

/* Where time goes. Zero-initialised but for @keep. */
struct dt_record {
	int64_t phase_ns[DT_NR_PHASES]; /* of this sample */
	int64_t mark_ns;                /* end of what was counted last */
	struct dt_event *events;        /* [owned] */
	size_t nr_events, room;
	bool keep; /* events are wanted */
	/* what an event is about */
	enum dt_kind kind;
	unsigned int downtime;
	uint64_t mapped;
};

/* One vhost-vdpa device and what its client keeps for it. */
struct dt_device {
	int fd;
	bool has_mem;    /* guest memory is mapped to it */
	bool has_shadow; /* shadow rings are */
	bool has_data_shadow;
	unsigned int nr_queues;
	uint64_t features, backend; /* to be acked */
	uint32_t desc_group, ctrl_group;
	char *shadow; /* [owned] memory of shadow rings, control queue and its buffers */
	struct client_ring *ring; /* [owned] DT_QUEUES_MAX */
};

/* A VMM with its devices; source or destination. */
struct dt_client {
	enum dt_kind kind;
	const char *const *paths; /* [lent] a device each */
	unsigned int nr_devices, nr_pairs;
	char *guest; /* [lent] @mapped bytes of guest memory */
	char *rom;   /* [lent] the firmware's private memory */
	uint64_t mapped;
	bool is_late;   /* maps its memory at its start, not when it is made */
	int64_t map_ns; /* spent in mapping, inside of a downtime or not */
	struct dt_device dev[DT_DEVICES_MAX];
	struct dt_record *rec;
};

/** dt_client_open() - devices up to their owner; memory is mapped unless the client is a late one.
 * Return: 0 or -errno, and one line was printed; dt_client_close() on any outcome */
int dt_client_open(struct dt_client *c) HF_MUST_CHECK;
void dt_client_close(struct dt_client *c);
/** dt_client_start() - @shadow: on shadow rings. Return: 0 or -errno, and one line was printed */
int dt_client_start(struct dt_client *c, bool shadow) HF_MUST_CHECK;
/** dt_client_map() - map guest memory to the devices that lack it */
int dt_client_map(struct dt_client *c) HF_MUST_CHECK;
/** dt_client_stop() - and unmap what this kind unmaps */
int dt_client_stop(struct dt_client *c) HF_MUST_CHECK;
/** dt_client_load() - leave work behind in every queue, under way */
int dt_client_load(struct dt_client *c) HF_MUST_CHECK;

/** dt_record_begin() - a sample starts now */
void dt_record_begin(struct dt_record *rec, unsigned int downtime);
/** dt_record_end() - Return: the sum of its phases */
int64_t dt_record_end(const struct dt_record *rec);
/** dt_mark() - what has passed since the last mark was @phase of @device */
void dt_mark(struct dt_record *rec, enum dt_phase phase, unsigned int device);

/* ---- results ---- */

/* One kind of client at one size. */
struct dt_result {
	enum dt_kind kind;
	bool is_late;
	uint64_t mapped;
	double map_ms; /* all mapping, a sample, downtime or not */
	struct bench_samples phase[2][DT_NR_PHASES + 1]; /* [downtime - 1]; the last is the total */
};

/** dt_result_median() - of the total of @downtime (1, 2), in ns */
double dt_result_median(struct dt_result *r, unsigned int downtime);
/** dt_write_trace() - Trace Event JSON. Return: 0 or -errno */
int dt_write_trace(const char *path, const struct dt_record *rec) HF_MUST_CHECK;
/** dt_write_plot() - SVG, downtime against memory, a line a client. Return: 0 or -errno */
int dt_write_plot(const char *path, struct dt_result *results, size_t nr) HF_MUST_CHECK;

#endif
