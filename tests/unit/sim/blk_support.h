// SPDX-License-Identifier: BSD-3-Clause
/* A driver of simulated disks, on the client of support.h. One request at a time, but for
 * blk_begin(). */
#ifndef HOLDFAST_TEST_SIM_BLK_SUPPORT_H
#define HOLDFAST_TEST_SIM_BLK_SUPPORT_H

#include <linux/virtio_blk.h>

#include "support.h"

#define SECTOR      512
#define NO_STATUS   0xee /* what the status byte is before the device writes it */
#define DATA_LEN    (256 * 1024)
#define BLK_CONFIG  96
#define DISCARD_LEN 16 /* bytes of one range */

/* Memory of requests, each part on pages of its own. */
struct blk_memory {
	struct virtio_blk_outhdr *header;
	uint8_t *status;
	uint8_t *data; /* [DATA_LEN] */
	uint64_t (*table)[2];
};
extern struct blk_memory blk;

/* A request among others, in shared memory. */
struct blk_request {
	struct virtio_blk_outhdr header;
	uint8_t status;
};

/** blk_setup() - group setup: makes the memory above */
int blk_setup(void **state);
struct vdpa_dev_config blk_config(void);
/** blk_pages() - zeroed shared pages, never freed */
void *blk_pages(size_t len);

/** blk_header() - fill the header, spoil the status */
void blk_header(uint32_t type, uint64_t sector);
/** blk_run() - one chain of these pieces; waits for an interrupt. Return: used length */
uint32_t blk_run(struct rig *rig, uint16_t idx, const struct ring_driver_seg *segs,
		 unsigned int nr_out, unsigned int nr_in);
/** blk_do() - header, @len bytes at blk.data, status. Return: status; used length in @used if not
 * NULL */
uint8_t blk_do(struct rig *rig, uint32_t type, uint64_t sector, size_t len, uint32_t *used);
uint8_t blk_write(struct rig *rig, uint64_t sector, const void *src, size_t len);
/** blk_expect() - the disk has these bytes */
void blk_expect(struct rig *rig, uint64_t sector, const void *bytes, size_t len);
/** blk_range() - DISCARD or WRITE_ZEROES of one range */
uint8_t blk_range(struct rig *rig, uint32_t type, uint64_t sector, uint32_t nr, uint32_t flags);
/** blk_seg() - a piece of plain memory */
struct ring_driver_seg blk_seg(struct rig *rig, const void *p, size_t len);
/** blk_begin() - add @r, whose header is filled, with @len bytes at @p, which the device writes for
 * VIRTIO_BLK_T_IN alone; the status is spoilt, and @r is the cookie */
void blk_begin(struct rig *rig, uint16_t idx, struct blk_request *r, const void *p, size_t len);
/** blk_begin_flush() - add a flush as @r, in the same way */
void blk_begin_flush(struct rig *rig, uint16_t idx, struct blk_request *r);
/** blk_collect() - @n of them come back, each with VIRTIO_BLK_S_OK */
void blk_collect(struct rig *rig, uint16_t idx, unsigned int n);
void blk_fill(uint8_t *p, size_t len, uint32_t seed);
/** blk_refused() - dev_add() fails, and says @what */
void blk_refused(const struct vdpa_dev_config *config, int err, const char *what);

#define BLK_FEATURES                                                                               \
	(BASE_FEATURES | BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_DISCARD) |                     \
	 BIT(VIRTIO_BLK_F_WRITE_ZEROES))

#endif
