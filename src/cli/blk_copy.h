// SPDX-License-Identifier: BSD-3-Clause
/*
 * `holdfast blk` read, write, discard and zero: bytes between a disk and a file. Owns nothing.
 * Used by cmd_blk.c. Thread rule: main thread.
 */
#ifndef HOLDFAST_CLI_BLK_COPY_H
#define HOLDFAST_CLI_BLK_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio_vdpa/blk.h"

#define BLK_SECTOR VIRTIO_BLK_SECTOR

struct blk_options {
	const char *spec;
	const char *file;
	uint64_t offset, length;
	bool has_length;
	bool json;
	unsigned int timeout_ms;
	bool help;
};

/* @who: begins the line that tells of a failure. Return: exit status */
int blk_read(const char *who, struct virtio_blk *blk, const struct blk_options *o);
int blk_write(const char *who, struct virtio_blk *blk, const struct blk_options *o);
int blk_discard(const char *who, struct virtio_blk *blk, const struct blk_options *o);
int blk_zero(const char *who, struct virtio_blk *blk, const struct blk_options *o);

#endif
