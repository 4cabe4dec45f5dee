// SPDX-License-Identifier: BSD-3-Clause
/*
 * A disk on virtio_vdpa: one request at a time, and when a call returns the device has done with
 * the caller's memory. Owns: the open virtio device. Thread rule: one thread at a time.
 */
#ifndef HOLDFAST_VIRTIO_VDPA_BLK_H
#define HOLDFAST_VIRTIO_VDPA_BLK_H

#include "virtio_vdpa/virtio_vdpa.h"

#define VIRTIO_BLK_SECTOR 512u
#define VIRTIO_BLK_ID_LEN 20u

struct virtio_blk;

/* What the disk says of itself; a number that it does not give is 0. Const after open. */
struct virtio_blk_info {
	uint64_t features;                                      /* negotiated */
	uint64_t nr_sectors;                                    /* of 512 bytes */
	uint32_t block_size;                                    /* bytes, logical */
	uint32_t physical_block_size, min_io_size, opt_io_size; /* bytes */
	uint32_t size_max;                                      /* bytes a segment */
	uint32_t seg_max;                                       /* segments a request */
	uint16_t num_queues;
	uint16_t ring_size; /* entries of the queue in use */
	uint32_t max_discard_sectors, max_discard_segs, discard_alignment; /* sectors; 0: cannot */
	uint32_t max_write_zeroes_sectors;                                 /* 0: cannot */
	bool read_only, can_flush, write_zeroes_may_unmap;
};

/**
 * virtio_blk_open() - drive a device that is bound to virtio_vdpa and is a disk
 * @timeout_ms: how long the device may take for one request
 * Return: 0; -ENODEV; -EBUSY; -EINVAL no disk, or its configuration makes no sense; -EOPNOTSUPP it
 * lacks what is needed; -ENOMEM; a parent's error. refuse_reason() says why
 */
int virtio_blk_open(struct vdpa_device *dev, unsigned int timeout_ms,
		    struct virtio_blk **out) HF_MUST_CHECK;
void virtio_blk_close(struct virtio_blk *blk);
const struct virtio_blk_info *virtio_blk_info(const struct virtio_blk *blk);
/** virtio_blk_name() - the device's name on the bus */
const char *virtio_blk_name(const struct virtio_blk *blk);

/*
 * Requests. Return of all: 0; -EINVAL not on the disk; -EROFS; -EOPNOTSUPP the disk cannot; -EIO it
 * failed; -ENODEV; -EPROTO, -ETIMEDOUT, -EINTR: the device was reset, and every call from then on
 * gives -EIO. refuse_reason() says why. Lengths are sectors and may exceed what one request can
 * carry.
 */
int virtio_blk_read(struct virtio_blk *blk, uint64_t sector, void *buf, size_t nr) HF_MUST_CHECK;
int virtio_blk_write(struct virtio_blk *blk, uint64_t sector, const void *buf,
		     size_t nr) HF_MUST_CHECK;
/** virtio_blk_flush() - what was written is safe; 0 at once where the disk keeps nothing back */
int virtio_blk_flush(struct virtio_blk *blk) HF_MUST_CHECK;
int virtio_blk_discard(struct virtio_blk *blk, uint64_t sector, uint64_t nr) HF_MUST_CHECK;
/** @unmap: storage may be given back, if the disk can */
int virtio_blk_write_zeroes(struct virtio_blk *blk, uint64_t sector, uint64_t nr,
			    bool unmap) HF_MUST_CHECK;
/** virtio_blk_get_id() - @id: [out] up to 20 bytes and a zero; any bytes, the device's */
int virtio_blk_get_id(struct virtio_blk *blk, char id[VIRTIO_BLK_ID_LEN + 1]) HF_MUST_CHECK;

#endif
