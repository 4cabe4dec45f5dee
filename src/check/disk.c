/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A block device that runs, and requests to it. How a request ended is told by three things: the
 * status byte, the used element's length, and whether the driver was told.
 */
#include "check/disk.h"
#include "check/kit.h"

#include <endian.h>
#include <string.h>
#include <unistd.h>

uint64_t disk_features(const struct check_ctx *t)
{
	uint64_t known = CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |
			 CLIENT_BIT(VIRTIO_F_ANY_LAYOUT) | CLIENT_BIT(VIRTIO_BLK_F_SIZE_MAX) |
			 CLIENT_BIT(VIRTIO_BLK_F_SEG_MAX) | CLIENT_BIT(VIRTIO_BLK_F_RO) |
			 CLIENT_BIT(VIRTIO_BLK_F_BLK_SIZE) | CLIENT_BIT(VIRTIO_BLK_F_FLUSH) |
			 CLIENT_BIT(VIRTIO_BLK_F_TOPOLOGY) | CLIENT_BIT(VIRTIO_BLK_F_MQ) |
			 CLIENT_BIT(VIRTIO_BLK_F_DISCARD) | CLIENT_BIT(VIRTIO_BLK_F_WRITE_ZEROES);

	return known & t->dev->features;
}

void disk_map(struct check_ctx *t, struct disk *disk, size_t off, size_t len)
{
	EXPECT_RC(t, 0, check_map(disk->fd, 0, DISK_IOVA + off, len, disk->mem + off));
}

void disk_unmap(struct check_ctx *t, struct disk *disk, size_t off, size_t len)
{
	EXPECT_RC(t, 0, client_iotlb_unmap(disk->fd, 0, DISK_IOVA + off, len));
}

static void run(struct check_ctx *t, struct disk *disk, uint32_t idx, uint64_t features)
{
	int kick = disk->ring.base ? disk->ring.kick_fd : -1;
	int call = disk->ring.base ? disk->ring.call_fd : -1;

	client_ring_init(&disk->ring, idx, DISK_NUM, disk->mem + DISK_RING, DISK_IOVA + DISK_RING,
			 0);
	disk->ring.kick_fd = kick;
	disk->ring.call_fd = call;
	EXPECT_RC(t, 0, client_set_status(disk->fd, CLIENT_STATUS_DRIVER));
	EXPECT_RC(t, 0, client_set_u64(disk->fd, VHOST_SET_FEATURES, features));
	EXPECT_RC(t, 0, client_set_status(disk->fd, CLIENT_STATUS_FEATURES));
	EXPECT_RC(t, 0, client_ring_attach(&disk->ring, disk->fd));
	EXPECT_RC(t, 0, client_vring_set(disk->fd, VHOST_VDPA_SET_VRING_ENABLE, idx, 1));
	EXPECT_RC(t, 0, client_set_status(disk->fd, CLIENT_STATUS_RUNNING));
}

void disk_start(struct check_ctx *t, struct disk *disk, uint32_t idx, uint64_t features)
{
	uint64_t capacity = 0;

	*disk = (struct disk){.fd = check_open_owned(t),
			      .mem = check_pages(t, DISK_END / CHECK_PAGE)};
	disk_map(t, disk, DISK_RING, DISK_HEADER - DISK_RING);
	disk_map(t, disk, DISK_HEADER, DISK_STATUS - DISK_HEADER);
	disk_map(t, disk, DISK_STATUS, DISK_DATA - DISK_STATUS);
	for (size_t off = DISK_DATA; off < DISK_DATA + 2 * CHECK_PAGE; off += CHECK_PAGE)
		disk_map(t, disk, off, CHECK_PAGE);
	disk_map(t, disk, DISK_DATA + 2 * CHECK_PAGE, DISK_DATA_LEN - 2 * CHECK_PAGE);
	run(t, disk, idx, features);
	EXPECT_RC(t, 0, client_get_config(disk->fd, 0, &capacity, sizeof(capacity)));
	disk->capacity = le64toh(capacity);
}

void disk_stop(struct check_ctx *t, struct disk *disk)
{
	check_close(t, disk->fd);
}

void disk_reset(struct check_ctx *t, struct disk *disk, uint32_t idx, uint64_t features)
{
	EXPECT_RC(t, 0, client_set_status(disk->fd, 0));
	disk_unmap(t, disk, 0, DISK_END);
	disk_map(t, disk, 0, DISK_END);
	run(t, disk, idx, features);
}

void disk_header(struct disk *disk, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr header = {.type = htole32(type), .sector = htole64(sector)};

	memcpy(disk->mem + DISK_HEADER, &header, sizeof(header));
	disk->mem[DISK_STATUS] = DISK_UNTOUCHED;
}

void disk_add(struct check_ctx *t, struct disk *disk, const struct client_buf *bufs, unsigned nr)
{
	struct client_buf shifted[DISK_NUM];

	EXPECT(t, nr <= DISK_NUM);
	for (unsigned i = 0; i < nr; i++) {
		shifted[i] = bufs[i];
		shifted[i].iova += DISK_IOVA;
	}
	EXPECT_RC(t, 0, client_ring_add(&disk->ring, shifted, nr, NULL));
}

void disk_add_request(struct check_ctx *t, struct disk *disk, uint32_t type, uint64_t sector,
		      uint32_t out, uint32_t in)
{
	struct client_buf bufs[4] = {{DISK_HEADER, sizeof(struct virtio_blk_outhdr), false}};
	unsigned nr = 1;

	if (out)
		bufs[nr++] = (struct client_buf){DISK_DATA, out, false};
	if (in)
		bufs[nr++] = (struct client_buf){DISK_DATA, in, true};
	bufs[nr++] = (struct client_buf){DISK_STATUS, 1, true};
	disk_header(disk, type, sector);
	disk_add(t, disk, bufs, nr);
}

void disk_kick(struct check_ctx *t, struct disk *disk)
{
	EXPECT_RC(t, 0, client_ring_kick(&disk->ring));
}

void disk_wait(struct check_ctx *t, struct disk *disk)
{
	for (int waited = 0; !client_ring_pending(&disk->ring); waited++) {
		if (waited > CHECK_WAIT)
			FAIL(t, "the request has not ended after %d ms", CHECK_WAIT);
		(void)check_kit_called(&disk->ring, 1); /* some end without an interrupt */
	}
}

/* The call eventfd is asked last, for an interrupt that must come or must not. */
void disk_expect(struct check_ctx *t, struct disk *disk, struct disk_end want)
{
	uint32_t len = UINT32_MAX;
	uint64_t count;

	disk_wait(t, disk);
	EXPECT_RC(t, 1, client_ring_pop(&disk->ring, NULL, &len));
	EXPECT_EQ(t, want.status, disk->mem[DISK_STATUS]);
	EXPECT_EQ(t, want.len, len);
	if (want.called)
		EXPECT(t, check_kit_called(&disk->ring, CHECK_WAIT));
	else
		EXPECT(t, !check_kit_called(&disk->ring, t->dev->quiet_ms));
	if (want.called)
		EXPECT_RC(t, 8, read(disk->ring.call_fd, &count, sizeof(count)));
}

void disk_expect_quiet(struct check_ctx *t, struct disk *disk)
{
	EXPECT(t, !check_kit_called(&disk->ring, t->dev->quiet_ms));
	EXPECT_EQ(t, 0, client_ring_pending(&disk->ring));
}

void disk_request(struct check_ctx *t, struct disk *disk, uint32_t type, uint64_t sector,
		  uint32_t out, uint32_t in, struct disk_end want)
{
	disk_add_request(t, disk, type, sector, out, in);
	disk_kick(t, disk);
	disk_expect(t, disk, want);
}

void disk_write(struct check_ctx *t, struct disk *disk, uint64_t sector, unsigned nr, uint8_t value)
{
	memset(disk->mem + DISK_DATA, value, nr * DISK_SECTOR);
	disk_request(t, disk, VIRTIO_BLK_T_OUT, sector, nr * DISK_SECTOR, 0,
		     (struct disk_end){VIRTIO_BLK_S_OK, 1, true});
}

void disk_expect_bytes(struct check_ctx *t, struct disk *disk, uint64_t sector, unsigned nr,
		       uint8_t value)
{
	memset(disk->mem + DISK_DATA, ~value, nr * DISK_SECTOR);
	disk_request(t, disk, VIRTIO_BLK_T_IN, sector, 0, nr * DISK_SECTOR,
		     (struct disk_end){VIRTIO_BLK_S_OK, nr * DISK_SECTOR + 1, true});
	for (unsigned i = 0; i < nr * DISK_SECTOR; i++)
		EXPECT_EQ(t, value, disk->mem[DISK_DATA + i]);
}

uint64_t disk_sector(const struct disk *disk, uint64_t sector)
{
	bool counted = sector > DISK_LAST_END - (1 << 20) && sector < DISK_LAST_END + (1 << 20);

	return counted ? disk->capacity + (sector - DISK_LAST_END) : sector;
}

struct disk_end disk_end_of(struct check_ctx *t, uint8_t strict, uint8_t relaxed, uint32_t written)
{
	uint8_t status = check_is_strict(t) ? strict : relaxed;

	return (struct disk_end){status, status == VIRTIO_BLK_S_OK ? written + 1 : 1, true};
}

void disk_range(struct disk *disk, unsigned idx, uint64_t sector, uint32_t nr, uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes range = {
		.sector = htole64(sector), .num_sectors = htole32(nr), .flags = htole32(flags)};

	memcpy(disk->mem + DISK_DATA + idx * sizeof(range), &range, sizeof(range));
}
