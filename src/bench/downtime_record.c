// SPDX-License-Identifier: BSD-3-Clause
#include "bench/downtime_record.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

const char *const dt_kind_names[DT_NR_KINDS] = {"old", "persist", "hold", "svq-asid"};
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
	rec->mark_ns = now;
}
