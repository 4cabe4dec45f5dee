/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A block device that runs, for the checks of section 7: one ring, a header, a status byte and a
 * data area, each in pages and a mapping of its own, so that any of them can be taken away.
 *
 * Used by src/check/ alone; a disk belongs to one check and is never freed, the child ends.
 */
#ifndef HOLDFAST_CHECK_DISK_H
#define HOLDFAST_CHECK_DISK_H

#include <linux/virtio_blk.h>

#include "check/check.h"

#define DISK_SECTOR 512U
#define DISK_IOVA   0x100000UL

/** Where the parts lie, from DISK_IOVA: bytes. */
enum {
	DISK_RING = 0,
	DISK_HEADER = 2 * CHECK_PAGE,
	DISK_STATUS = 3 * CHECK_PAGE,
	DISK_DATA = 4 * CHECK_PAGE,
	DISK_DATA_LEN = 40 * CHECK_PAGE,
	DISK_END = DISK_DATA + DISK_DATA_LEN
};

enum { DISK_NUM = 64, DISK_UNTOUCHED = 0xee };

struct disk {
	int fd;
	uint8_t *mem; /* DISK_END bytes, seen at DISK_IOVA */
	struct client_ring ring;
	uint64_t capacity; /* sectors */
};

/** What a request shall end with. */
struct disk_end {
	uint8_t status; /* DISK_UNTOUCHED: the byte stays as it was */
	uint32_t len;   /* of the used element */
	bool called;    /* with an interrupt */
};

/** disk_features() - all that is offered and changes no ring's layout. */
uint64_t disk_features(const struct check_ctx *t);

/** disk_start() - open the device and run its queue @idx with @features. */
void disk_start(struct check_ctx *t, struct disk *disk, uint32_t idx, uint64_t features);

/** disk_stop() - close it. */
void disk_stop(struct check_ctx *t, struct disk *disk);

/** disk_reset() - SET_STATUS(0), start again; the maps stay as the device keeps them, or are made
 * anew. */
void disk_reset(struct check_ctx *t, struct disk *disk, uint32_t idx, uint64_t features);

/** disk_header() - fill the header in and mark the status byte. */
void disk_header(struct disk *disk, uint32_t type, uint64_t sector);

/** disk_add() - publish a chain of pieces given in offsets from DISK_IOVA; no kick. */
void disk_add(struct check_ctx *t, struct disk *disk, const struct client_buf *bufs, unsigned nr);

/** disk_add_request() - publish header, @out bytes to read, @in bytes to write, status; no kick. */
void disk_add_request(struct check_ctx *t, struct disk *disk, uint32_t type, uint64_t sector,
		      uint32_t out, uint32_t in);

/** disk_kick() - kick the ring. */
void disk_kick(struct check_ctx *t, struct disk *disk);

/** disk_wait() - wait until a request has ended; its end is not looked at. */
void disk_wait(struct check_ctx *t, struct disk *disk);

/** disk_expect() - wait for one request's end and compare it. */
void disk_expect(struct check_ctx *t, struct disk *disk, struct disk_end want);

/** disk_expect_quiet() - watch: no request ends. */
void disk_expect_quiet(struct check_ctx *t, struct disk *disk);

/** disk_request() - one request from beginning to end. */
void disk_request(struct check_ctx *t, struct disk *disk, uint32_t type, uint64_t sector,
		  uint32_t out, uint32_t in, struct disk_end want);

/** disk_write() - write @nr sectors of byte @value and expect success. */
void disk_write(struct check_ctx *t, struct disk *disk, uint64_t sector, unsigned nr,
		uint8_t value);

/** disk_expect_bytes() - read @nr sectors and expect byte @value all over. */
void disk_expect_bytes(struct check_ctx *t, struct disk *disk, uint64_t sector, unsigned nr,
		       uint8_t value);

/** A sector counted from the end: DISK_LAST_END - 1 is the last one. */
#define DISK_LAST_END (1ULL << 62)

/** disk_sector() - Return: @sector, if it is counted from the end as one from the beginning. */
uint64_t disk_sector(const struct disk *disk, uint64_t sector);

/** disk_end_of() - how a request ends whose status depends on the mode; @written: bytes of data, if
 * it succeeds. */
struct disk_end disk_end_of(struct check_ctx *t, uint8_t strict, uint8_t relaxed, uint32_t written);

/** disk_range() - put range @idx of a DISCARD or WRITE_ZEROES into the data. */
void disk_range(struct disk *disk, unsigned idx, uint64_t sector, uint32_t nr, uint32_t flags);

/** disk_unmap() - take [@off, @off + @len) away from the device. */
void disk_unmap(struct check_ctx *t, struct disk *disk, size_t off, size_t len);

/** disk_map() - give it back. */
void disk_map(struct check_ctx *t, struct disk *disk, size_t off, size_t len);

#endif
