// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where the default mode departs from Linux 6.12's behaviour, and which newer kernels do so as
 * well: one table, one bit a behaviour, one column a kernel. A device with `quirks linux-6.12` has
 * no bit set, one with `quirks` of a newer kernel those that this kernel shows. Code that behaves
 * in two ways asks the device for the bit by name. Const after the device is made.
 */
#ifndef HOLDFAST_VDPA_DEVIATIONS_H
#define HOLDFAST_VDPA_DEVIATIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/profile.h"

enum vdpa_deviation {
	VDPA_D1_BASE_SURVIVES_RESET =
		1u << 0, /* and reading a running ring's base parks it for a while */
	VDPA_D2_DIRTY_LOG = 1u << 1,
	VDPA_D3_PRIVATE_MEMORY = 1u << 2,
	VDPA_D4_MANY_ENTRIES = 1u << 3,
	VDPA_D5_NO_COMPAT_RESET = 1u << 4,
	VDPA_D6_NO_HARMFUL_QUIRKS = 1u << 5,
	VDPA_D7_GROUP_STAYS = 1u << 6,
	VDPA_D8_UNPIN_LAST = 1u << 7,
	VDPA_D9_RICH_DEVICE = 1u << 8,
	VDPA_D10_CALLS_END_WITH_RING = 1u << 9,
	VDPA_D11_SETUP_IN_ANY_ORDER = 1u << 10,
	VDPA_D12_PACKED_BASE_8000 = 1u << 11,
	VDPA_D13_INVALIDATE_EXACT = 1u << 12,
};

#define VDPA_DEVIATIONS_STRICT  0u /* Linux 6.12 */
#define VDPA_DEVIATIONS_DEFAULT 0x1fffu

struct vdpa_deviation_info {
	enum vdpa_deviation bit;
	const char *id;       /* "D1" */
	const char *clause;   /* of the specification, that says what the others do: "4-8" */
	const char *what;     /* one line */
	const char *others;   /* one line: what a profile outside @profiles does */
	const char *reason;   /* one line */
	unsigned int kernels; /* PROFILE_BIT() of those kernels that behave so, too */
};

/** vdpa_deviation_table() - all rows in order; @nr: [out] how many */
const struct vdpa_deviation_info *vdpa_deviation_table(size_t *nr);

/** vdpa_profile_deviations() - Return: the bits of a device that follows @profile */
uint32_t vdpa_profile_deviations(enum profile profile);

#endif
