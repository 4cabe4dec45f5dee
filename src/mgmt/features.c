// SPDX-License-Identifier: BSD-3-Clause
#include "vdpa/feature_names.h"

#include "mgmt/internal.h"

json_t *mgmt_features(uint32_t device_id, uint64_t features)
{
	json_t *names = json_array();

	for (unsigned int bit = 0; names && bit < VDPA_FEATURE_BITS; bit++) {
		char number[16];
		const char *name = vdpa_feature_name(device_id, bit, number);

		if (!((features >> bit) & 1))
			continue;
		if (json_array_append_new(names, json_string(name))) {
			json_decref(names);
			names = NULL;
		}
	}
	return names;
}
