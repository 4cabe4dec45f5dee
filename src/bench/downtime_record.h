// SPDX-License-Identifier: BSD-3-Clause
/*
 * What `holdfast bench downtime` measures: the kinds of clients, the phases of an interruption, and
 * the record of where time went. Owns its events. Used by the other files of that bench. Thread
 * rule: main thread.
 */
#ifndef HOLDFAST_BENCH_DOWNTIME_RECORD_H
#define HOLDFAST_BENCH_DOWNTIME_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dt_kind {
	DT_OLD,
	DT_PERSIST,
	DT_HOLD,
	DT_SVQ_ASID,
	DT_NR_CLIENTS, /* what --client names; the rungs of the ladder follow */
	DT_DROPPED = DT_NR_CLIENTS,
	DT_AHEAD,
	DT_ASID,
	DT_KEPT,
	DT_BATCHED,
	DT_PARALLEL,
	DT_DEFERRED,
	DT_HELD,
	DT_CHANGED,
	DT_BEST,
	DT_NR_KINDS
};

/* What a kind of client does, and with what device. */
struct dt_kind_info {
	const char *name;
	uint64_t acks;     /* backend features besides message v2 and batch */
	bool remaps;       /* unmaps and maps guest memory around a reset */
	bool batches;      /* also shadow rings */
	bool is_late;      /* by default the destination maps at its start */
	bool is_slow;      /* few migrations are enough */
	unsigned int set;  /* which devices are its own */
	const char *spec;  /* of these, behind the bench's */
	const char *words; /* for people; rungs alone */
};
extern const struct dt_kind_info dt_kinds[DT_NR_KINDS];

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

/* Who else is told of each stretch of time that was counted. */
typedef void (*dt_mark_fn)(void *arg, enum dt_phase phase, unsigned int device);

/* Where time goes. Zero-initialised but for @keep. */
struct dt_record {
	int64_t phase_ns[DT_NR_PHASES]; /* of this sample */
	int64_t mark_ns;                /* end of what was counted last */
	struct dt_event *events;        /* [owned] */
	size_t nr_events, room;
	bool keep;          /* events are wanted */
	dt_mark_fn on_mark; /* or NULL; the time that it takes is not counted */
	void *on_mark_arg;
	/* what an event is about */
	enum dt_kind kind;
	unsigned int downtime;
	uint64_t mapped;
};

/** dt_record_begin() - a sample starts now */
void dt_record_begin(struct dt_record *rec, unsigned int downtime);
/** dt_record_end() - Return: the sum of its phases */
int64_t dt_record_end(const struct dt_record *rec);
/** dt_mark() - what has passed since the last mark was @phase of @device */
void dt_mark(struct dt_record *rec, enum dt_phase phase, unsigned int device);

#endif
