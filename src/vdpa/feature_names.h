/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feature bits by name, as iproute2 prints them: virtio's names without their prefix. For messages,
 * logs and management. Any thread.
 */
#ifndef HOLDFAST_VDPA_FEATURE_NAMES_H
#define HOLDFAST_VDPA_FEATURE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define VDPA_FEATURE_BITS 64

/** vdpa_feature_name() - name of @bit, below VDPA_FEATURE_BITS, of a device of virtio id @device_id
 * @number: for the name of one that has none, "bit_40". Return: the name */
const char *vdpa_feature_name(uint32_t device_id, unsigned int bit, char number[static 16]);

/** vdpa_features_print() - the names of all bits in @features with | in between; cut to @size
 * bytes */
void vdpa_features_print(char *text, size_t size, uint32_t device_id, uint64_t features);

#endif
