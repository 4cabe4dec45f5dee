// SPDX-License-Identifier: BSD-3-Clause
/*
 * The keys of a SPEC and their values: one table, and what reads a value by it. Owns nothing.
 * Used by spec.c. Thread rule: any.
 */
#ifndef HOLDFAST_VDPA_SPEC_VALUE_H
#define HOLDFAST_VDPA_SPEC_VALUE_H

#include "vdpa/mgmt.h"

enum spec_kind {
	KIND_NAME,
	KIND_TEXT,
	KIND_MAC,
	KIND_NUMBER,
	KIND_POWER_OF_TWO,
	KIND_SIZE,
	KIND_BUDGET,
	KIND_CHOICE,
	KIND_BITS, /* words with commas between them; each is a bit */
	KIND_PCI
};

struct spec_choice {
	const char *word;
	unsigned int value;
};

struct spec_key {
	const char *name;
	enum vdpa_key bit;
	enum spec_kind kind;
	size_t off, size;                  /* of the field in struct vdpa_dev_config */
	uint64_t min, max;                 /* inclusive; numbers. Bits: @max is what "all" is */
	uint64_t strict_max;               /* strict mode's largest value; 0: as max */
	uint64_t strict_min;               /* and its smallest */
	const struct spec_choice *choices; /* ends with a NULL word */
};

enum { SPEC_PRESET_NONE, SPEC_PRESET_KERNEL, SPEC_PRESET_DPDK };
extern const struct spec_choice spec_presets[]; /* of `as` */

#define NR_SPEC_KEYS 32
extern const struct spec_key spec_keys[NR_SPEC_KEYS];

/** spec_value_parse() - @word into the key's field. Return: 0; -errno with its reason */
int spec_value_parse(const struct spec_key *key, const char *word,
		     struct vdpa_dev_config *config) HF_MUST_CHECK;
/** spec_value_store(), spec_value_load() - a number in the key's field */
void spec_value_store(struct vdpa_dev_config *config, const struct spec_key *key, uint64_t value);
uint64_t spec_value_load(const struct vdpa_dev_config *config, const struct spec_key *key);

#endif
