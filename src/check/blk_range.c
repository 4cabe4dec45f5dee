/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 7's block device: DISCARD and WRITE_ZEROES, whose data are ranges of sectors.
 */
#include <endian.h>

#include "check/disk.h"

#define OK  VIRTIO_BLK_S_OK
#define ERR VIRTIO_BLK_S_IOERR
#define NO  VIRTIO_BLK_S_UNSUPP
#define END DISK_LAST_END

/* One range and its flags. Row: a is the case, b the type. */
struct range_case {
	uint64_t sector;
	uint32_t nr;
	uint32_t flags;
	uint8_t discard, zeroes; /* status */
};

static const struct range_case ranges[] = {
	{0, 8, 0, OK, OK},     {0, 8, 1, NO, OK},
	{0, 8, 2, NO, NO},     {0, 8, 0x80000000, NO, NO},
	{0, 0, 0, OK, OK},     {END - 1, 2, 0, ERR, ERR},
	{END, 1, 0, ERR, ERR}, {UINT64_MAX, 2, 0, ERR, ERR},
};

static void range(struct check_ctx *t)
{
	const struct range_case *c = &ranges[t->check->a];
	bool discard = t->check->b == VIRTIO_BLK_T_DISCARD;
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_range(&disk, 0, disk_sector(&disk, c->sector), c->nr, c->flags);
	disk_request(t, &disk, (uint32_t)t->check->b, 0, 16, 0,
		     (struct disk_end){discard ? c->discard : c->zeroes, 1, true});
}

/* The length of the ranges, and the header's sector. Row: a is the length, b the type. */
static void range_length(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_range(&disk, 0, 0, 8, 0);
	disk_request(t, &disk, (uint32_t)t->check->b, 0, (uint32_t)t->check->a, 0,
		     (struct disk_end){ERR, 1, true});
}

/* As many ranges as the device says it takes, and one more. */
static void discard_many(struct check_ctx *t)
{
	uint32_t max = 0;
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	EXPECT_RC(t, 0,
		  client_get_config(disk.fd, offsetof(struct virtio_blk_config, max_discard_seg),
				    &max, sizeof(max)));
	max = le32toh(max);
	EXPECT(t, max >= 1 && max < DISK_DATA_LEN / 16);
	for (unsigned i = 0; i <= max; i++)
		disk_range(&disk, i, 8ULL * i, 8, 0);
	disk_request(t, &disk, VIRTIO_BLK_T_DISCARD, 0, 16 * max, 0,
		     (struct disk_end){OK, 1, true});
	disk_request(t, &disk, VIRTIO_BLK_T_DISCARD, 0, 16 * (max + 1), 0,
		     (struct disk_end){ERR, 1, true});
}

static void range_with_sector(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_range(&disk, 0, 0, 8, 0);
	disk_request(t, &disk, (uint32_t)t->check->b, 1, 16, 0, disk_end_of(t, ERR, OK, 0));
}

static void range_not_negotiated(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0,
		   disk_features(t) & ~CLIENT_BIT(VIRTIO_BLK_F_DISCARD) &
			   ~CLIENT_BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	disk_range(&disk, 0, 0, 8, 0);
	disk_request(t, &disk, (uint32_t)t->check->b, 0, 16, 0, disk_end_of(t, OK, NO, 0));
}

static void discard_data(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_write(t, &disk, 16, 8, 0x31);
	disk_write(t, &disk, 24, 8, 0x32);
	disk_range(&disk, 0, 16, 8, 0);
	disk_request(t, &disk, VIRTIO_BLK_T_DISCARD, 0, 16, 0, (struct disk_end){OK, 1, true});
	disk_expect_bytes(t, &disk, 24, 8, 0x32);
	if (check_is_strict(t))
		disk_expect_bytes(t, &disk, 16, 8, 0x31);
}

/* Row: a are the flags. */
static void zeroes_data(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_write(t, &disk, 15, 10, 0x31);
	disk_range(&disk, 0, 16, 8, (uint32_t)t->check->a);
	disk_request(t, &disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, 0, (struct disk_end){OK, 1, true});
	disk_expect_bytes(t, &disk, 16, 8, 0);
	disk_expect_bytes(t, &disk, 15, 1, 0x31);
	disk_expect_bytes(t, &disk, 24, 1, 0x31);
}

#define DISC (CHECK_OVERWRITE | CHECK_DISCARD)
#define ZERO (CHECK_OVERWRITE | CHECK_ZEROES)
#define D    VIRTIO_BLK_T_DISCARD
#define Z    VIRTIO_BLK_T_WRITE_ZEROES

#define RANGE(name_, a_)                                                                           \
	{"blk.discard." name_, "7-13", range, DISC, 0, a_, D},                                     \
	{                                                                                          \
		"blk.write_zeroes." name_, "7-13", range, ZERO, 0, a_, Z                           \
	}
#define RANGES(name_, fn_, a_)                                                                     \
	{"blk.discard." name_, "7-13", fn_, DISC, 0, a_, D},                                       \
	{                                                                                          \
		"blk.write_zeroes." name_, "7-13", fn_, ZERO, 0, a_, Z                             \
	}

static const struct check rows[] = {
	RANGE("range_ok", 0),
	RANGE("unmap_flag", 1),
	RANGE("flag_1_unsupp", 2),
	RANGE("flag_31_unsupp", 3),
	RANGE("no_sectors_ok", 4),
	RANGE("across_end_ioerr", 5),
	RANGE("behind_end_ioerr", 6),
	RANGE("sum_wraps_ioerr", 7),
	RANGES("length_0_ioerr", range_length, 0),
	RANGES("length_15_ioerr", range_length, 15),
	RANGES("length_17_ioerr", range_length, 17),
	RANGES("with_sector", range_with_sector, 0),
	RANGES("not_negotiated", range_not_negotiated, 0),
	{"blk.write_zeroes.two_ranges_ioerr", "7-13", range_length, ZERO, 0, 32, Z},
	{"blk.discard.most_ranges_ok_one_more_ioerr", "7-13", discard_many, DISC, 0, 0, 0},
	{"blk.discard.neighbours_stay", "7-13", discard_data, DISC, 0, 0, 0},
	{"blk.write_zeroes.zeroes_the_range", "7-13", zeroes_data, ZERO, 0, 0, 0},
	{"blk.write_zeroes.unmap_zeroes_the_range", "7-13", zeroes_data, ZERO, 0, 1, 0},
};

const struct check_set check_set_blk_range = CHECK_SET_OF(rows, CHECK_BLK);
