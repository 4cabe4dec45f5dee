/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of all checks, in the order of the specification.
 */
#include "check/check.h"

const struct check_set *const check_sets[] = {
	&check_set_device,     &check_set_status,      &check_set_config,     &check_set_owner,
	&check_set_vring,      &check_set_vring_value, &check_set_vring_bind, &check_set_mmap,
	&check_set_message,    &check_set_space,       &check_set_update,     &check_set_pinned,
	&check_set_invalidate, &check_set_translate,   &check_set_group,      &check_set_open,
	&check_set_reset,      &check_set_reset_rings, &check_set_backend,    &check_set_setup,
	&check_set_suspend,    &check_set_kick,        &check_set_data,       &check_set_blk_config,
	&check_set_blk,        &check_set_blk_range,   &check_set_blk_odd,    &check_set_dirty,
};
const size_t check_nr_sets = sizeof(check_sets) / sizeof(check_sets[0]);
