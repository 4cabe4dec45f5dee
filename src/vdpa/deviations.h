// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where the default mode departs from the kernel's behaviour: one table, one bit a deviation.
 * Strict mode (`quirks linux-6.12`) is a device with no bit set. Code that behaves in two ways asks
 * the device for the bit by name; nothing else in the project knows about modes. Const after the
 * device is made.
 */
#ifndef HOLDFAST_VDPA_DEVIATIONS_H
#define HOLDFAST_VDPA_DEVIATIONS_H

#include <stddef.h>
#include <stdint.h>

enum vdpa_deviation {
	VDPA_D1_BASE_SURVIVES_RESET =
		1u << 0, /* and reading a running ring's base parks it for a while */
	VDPA_D2_DIRTY_LOG = 1u << 1,
	VDPA_D3_PRIVATE_MEMORY = 1u << 2,
	VDPA_D4_MANY_ENTRIES = 1u << 3,
	VDPA_D5_NO_COMPAT_RESET = 1u << 4,
	VDPA_D6_NO_HARMFUL_QUIRKS = 1u << 5,
	VDPA_D7_NEWER_CHECKS = 1u << 6,
	VDPA_D8_UNPIN_LAST = 1u << 7,
	VDPA_D9_RICH_DEVICE = 1u << 8,
	VDPA_D10_CALLS_END_WITH_RING = 1u << 9,
	VDPA_D11_SETUP_IN_ANY_ORDER = 1u << 10,
	VDPA_D12_PACKED_BASE_8000 = 1u << 11,
};

#define VDPA_DEVIATIONS_STRICT  0u
#define VDPA_DEVIATIONS_DEFAULT 0xfffu

struct vdpa_deviation_info {
	enum vdpa_deviation bit;
	const char *id;     /* "D1" */
	const char *what;   /* one line */
	const char *reason; /* one line */
};

/** vdpa_deviation_table() - all rows in order; @nr: [out] how many */
const struct vdpa_deviation_info *vdpa_deviation_table(size_t *nr);

#endif
