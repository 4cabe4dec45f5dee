// SPDX-License-Identifier: BSD-3-Clause
#include "bench/downtime_record.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/client.h"

#define PERSIST (CLIENT_BACKEND_PERSIST | CLIENT_BACKEND_SUSPEND)
#define ASID    (CLIENT_BACKEND_ASID | CLIENT_BACKEND_DESC_ASID)

/* The kernel's driver before the series, and what it got later. */
#define DROPS     "rebuild full parallel 1 defer 0ns hold off compat_reset on"
#define KERNEL    "rebuild full parallel 1 defer 0ns hold off"
#define KERNEL_P  "rebuild full parallel 4 defer 0ns hold off"
#define KERNEL_PD "rebuild full parallel 4 defer 2s hold off"

const struct dt_kind_info dt_kinds[DT_NR_KINDS] = {
	[DT_OLD] = {"old", 0, true, false, true, true, 0, "hold off compat_reset on", NULL},
	[DT_PERSIST] = {"persist", PERSIST, false, false, false, false, 1, "", NULL},
	[DT_HOLD] = {"hold", 0, true, false, false, false, 1, "", NULL},
	[DT_SVQ_ASID] = {"svq-asid", PERSIST | ASID, false, false, false, false, 1, "", NULL},
	[DT_DROPPED] = {"dropped", 0, true, false, true, true, 0, DROPS,
			"keys are dropped and memory is pinned anew at each reset"},
	[DT_AHEAD] = {"ahead", 0, true, false, false, true, 1, DROPS,
		      "and the destination maps ahead"},
	[DT_ASID] = {"asid", ASID, true, false, false, true, 2, DROPS,
		     "and shadow rings have an address space of their own"},
	[DT_KEPT] = {"kept", PERSIST | ASID, false, false, false, true, 3, KERNEL,
		     "and keys and mappings persist over a reset"},
	[DT_BATCHED] = {"batched", PERSIST | ASID, false, true, false, true, 4, KERNEL,
			"and shadow rings are mapped in one batch"},
	[DT_PARALLEL] = {"parallel", PERSIST | ASID, false, true, false, true, 5, KERNEL_P,
			 "and four key commands are under way at once"},
	[DT_DEFERRED] = {"deferred", PERSIST | ASID, false, true, false, true, 6, KERNEL_PD,
			 "and keys are destroyed later"},
	[DT_HELD] = {"held", 0, true, false, false, true, 7,
		     "rebuild full parallel 4 defer 2s hold memlock",
		     "the calls of ahead; registrations are held"},
	[DT_CHANGED] = {"changed", 0, true, false, false, true, 8,
			"rebuild changed parallel 4 defer 2s hold memlock",
			"and only changed keys are made"},
	[DT_BEST] = {"best", PERSIST | ASID, false, true, false, true, 9,
		     "rebuild changed parallel 4 defer 2s hold memlock",
		     "the calls of batched on that device"},
};

const char *const dt_phase_names[DT_NR_PHASES] = {"suspend", "reset", "unmap",   "map",    "shadow",
						  "setup",   "start", "control", "traffic"};

void dt_record_begin(struct dt_record *rec, unsigned int downtime)
{
	memset(rec->phase_ns, 0, sizeof(rec->phase_ns));
	rec->downtime = downtime;
	rec->mark_ns = clock_now_ns();
}

int64_t dt_record_end(const struct dt_record *rec)
{
	int64_t sum = 0;

	for (int i = 0; i < DT_NR_PHASES; i++)
		sum += rec->phase_ns[i];
	return sum;
}

static void keep_event(struct dt_record *rec, enum dt_phase phase, unsigned int device, int64_t now)
{
	if (rec->nr_events == rec->room) {
		size_t room = rec->room ? 2 * rec->room : 1024;
		struct dt_event *grown = reallocarray(rec->events, room, sizeof(*grown));

		if (!grown)
			return;
		rec->events = grown;
		rec->room = room;
	}
	rec->events[rec->nr_events++] = (struct dt_event){
		.start_ns = rec->mark_ns,
		.len_ns = now - rec->mark_ns,
		.phase = phase,
		.kind = rec->kind,
		.device = device,
		.downtime = rec->downtime,
		.mapped = rec->mapped,
	};
}

void dt_mark(struct dt_record *rec, enum dt_phase phase, unsigned int device)
{
	int64_t now = clock_now_ns();

	rec->phase_ns[phase] += now - rec->mark_ns;
	if (rec->keep && rec->downtime > 0)
		keep_event(rec, phase, device, now);
	if (rec->on_mark) {
		rec->on_mark(rec->on_mark_arg, phase, device);
		now = clock_now_ns();
	}
	rec->mark_ns = now;
}
