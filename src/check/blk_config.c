/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 7's block device: features and configuration space. The simulator's own values are asked
 * for in strict mode, and of any device that its limits are ones a driver can work with.
 */
#include <endian.h>
#include <string.h>

#include "check/disk.h"

#define CONFIG_LEN 96
#define FIELD(name)                                                                                \
	offsetof(struct virtio_blk_config, name), sizeof(((struct virtio_blk_config *)0)->name)

/* A field of the configuration space and the simulator's value. Row: a is the case. */
static const struct field {
	size_t off;
	size_t len;
	uint64_t value;
} fields[] = {
	{FIELD(capacity), 0x40000},
	{FIELD(size_max), 4096},
	{FIELD(seg_max), 32},
	{FIELD(blk_size), 512},
	{FIELD(physical_block_exp), 0},
	{FIELD(alignment_offset), 0},
	{FIELD(min_io_size), 1},
	{FIELD(opt_io_size), 1},
	{FIELD(num_queues), 1},
	{FIELD(max_discard_sectors), UINT32_MAX},
	{FIELD(max_discard_seg), 1},
	{FIELD(discard_sector_alignment), 512},
	{FIELD(max_write_zeroes_sectors), UINT32_MAX},
	{FIELD(max_write_zeroes_seg), 1},
};

static uint64_t read_field(struct check_ctx *t, int fd, size_t off, size_t len)
{
	uint64_t value = 0;

	EXPECT_RC(t, 0, client_get_config(fd, (uint32_t)off, &value, (uint32_t)len));
	return le64toh(value);
}

#define GET(t, fd, name) read_field(t, fd, FIELD(name))

static bool offers(const struct check_ctx *t, unsigned bit)
{
	return t->dev->features & CLIENT_BIT(bit);
}

static void simulator_field(struct check_ctx *t)
{
	const struct field *f = &fields[t->check->a];

	EXPECT_EQ(t, f->value, read_field(t, check_open(t), f->off, f->len));
}

static void features_value(struct check_ctx *t)
{
	EXPECT_EQ(t, 0x308007646, t->dev->features);
}

static void features_basics(struct check_ctx *t)
{
	uint64_t basics = CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM;

	EXPECT_EQ(t, basics, t->dev->features & basics);
}

static bool power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

static void capacity(struct check_ctx *t)
{
	int fd = check_open(t);
	uint64_t sectors = GET(t, fd, capacity);

	EXPECT(t, sectors > 0 && sectors <= UINT64_MAX / DISK_SECTOR);
}

static void block_size(struct check_ctx *t)
{
	int fd = check_open(t);
	uint64_t size = GET(t, fd, blk_size);

	if (!offers(t, VIRTIO_BLK_F_BLK_SIZE))
		check_skip(t, "device does not offer BLK_SIZE");
	EXPECT(t, power_of_two(size) && size >= DISK_SECTOR);
}

/* A request of the largest number of segments, header and status fits into the largest ring. */
static void segments(struct check_ctx *t)
{
	int fd = check_open(t);
	uint64_t nr = GET(t, fd, seg_max);

	if (!offers(t, VIRTIO_BLK_F_SEG_MAX))
		check_skip(t, "device does not offer SEG_MAX");
	EXPECT(t, nr >= 1 && (nr + 2 <= t->dev->ring_max || t->dev->ring_max <= 3));
}

static void segment_size(struct check_ctx *t)
{
	int fd = check_open(t);

	if (!offers(t, VIRTIO_BLK_F_SIZE_MAX))
		check_skip(t, "device does not offer SIZE_MAX");
	EXPECT(t, GET(t, fd, size_max) >= DISK_SECTOR);
}

static void queues(struct check_ctx *t)
{
	int fd = check_open(t);

	if (offers(t, VIRTIO_BLK_F_MQ))
		EXPECT_EQ(t, t->dev->nr_vqs, GET(t, fd, num_queues));
	else
		EXPECT_EQ(t, 1, t->dev->nr_vqs);
}

static void topology(struct check_ctx *t)
{
	int fd = check_open(t);
	uint64_t block = GET(t, fd, blk_size);
	uint64_t exponent = GET(t, fd, physical_block_exp);

	if (!offers(t, VIRTIO_BLK_F_TOPOLOGY))
		check_skip(t, "device does not offer TOPOLOGY");
	EXPECT(t, exponent < 16 && GET(t, fd, alignment_offset) < 1ULL << exponent);
	EXPECT(t, GET(t, fd, min_io_size) >= 1);
	EXPECT(t, GET(t, fd, min_io_size) * block >= block << exponent ||
			  GET(t, fd, min_io_size) == 1);
}

static void discard_limits(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT(t, GET(t, fd, max_discard_sectors) >= 1 && GET(t, fd, max_discard_seg) >= 1);
	EXPECT(t, GET(t, fd, discard_sector_alignment) >= 1);
}

static void zeroes_limits(struct check_ctx *t)
{
	int fd = check_open(t);

	EXPECT(t, GET(t, fd, max_write_zeroes_sectors) >= 1 &&
			  GET(t, fd, max_write_zeroes_seg) >= 1 &&
			  GET(t, fd, write_zeroes_may_unmap) <= 1);
}

static void read_only_features(struct check_ctx *t)
{
	EXPECT(t, !offers(t, VIRTIO_BLK_F_DISCARD) && !offers(t, VIRTIO_BLK_F_WRITE_ZEROES));
}

/* Made anew at every read: a write is accepted and leaves nothing. */
static void writes_vanish(struct check_ctx *t)
{
	uint8_t before[CONFIG_LEN], after[CONFIG_LEN], junk[CONFIG_LEN];
	uint32_t len = t->dev->config_size < CONFIG_LEN ? t->dev->config_size : CONFIG_LEN;
	int fd = check_open(t);

	memset(junk, 0xff, sizeof(junk));
	EXPECT_RC(t, 0, client_get_config(fd, 0, before, len));
	EXPECT_RC(t, 0, client_set_config(fd, 0, junk, len));
	EXPECT_RC(t, 0, client_get_config(fd, 0, after, len));
	EXPECT(t, memcmp(before, after, len) == 0);
}

#define VALUE(name_, a_)                                                                           \
	{                                                                                          \
		"blk.config." name_ "_simulator_value", "7-12", simulator_field, CHECK_STRICT, 0,  \
			a_, 0                                                                      \
	}

static const struct check rows[] = {
	{"blk.features.simulator_value", "7-12", features_value, CHECK_STRICT, 0, 0, 0},
	{"blk.features.basics_offered", "7-12", features_basics, 0, 0, 0, 0},
	{"blk.features.read_only_offers_no_changes", "7-12", read_only_features, CHECK_READ_ONLY, 0,
	 0, 0},
	VALUE("capacity", 0),
	VALUE("size_max", 1),
	VALUE("seg_max", 2),
	VALUE("blk_size", 3),
	VALUE("physical_block_exp", 4),
	VALUE("alignment_offset", 5),
	VALUE("min_io_size", 6),
	VALUE("opt_io_size", 7),
	VALUE("num_queues", 8),
	VALUE("max_discard_sectors", 9),
	VALUE("max_discard_seg", 10),
	VALUE("discard_sector_alignment", 11),
	VALUE("max_write_zeroes_sectors", 12),
	VALUE("max_write_zeroes_seg", 13),
	{"blk.config.capacity_plausible", "7-12", capacity, 0, 0, 0, 0},
	{"blk.config.blk_size_power_of_two", "7-12", block_size, 0, 0, 0, 0},
	{"blk.config.seg_max_fits_ring", "7-12", segments, 0, 0, 0, 0},
	{"blk.config.size_max_holds_sector", "7-12", segment_size, 0, 0, 0, 0},
	{"blk.config.num_queues_is_vqs_count", "7-12", queues, 0, 0, 0, 0},
	{"blk.config.topology_plausible", "7-12", topology, 0, 0, 0, 0},
	{"blk.config.discard_limits_plausible", "7-12", discard_limits, CHECK_DISCARD, 0, 0, 0},
	{"blk.config.write_zeroes_limits_plausible", "7-12", zeroes_limits, CHECK_ZEROES, 0, 0, 0},
	{"blk.config.writes_vanish", "7-12", writes_vanish, 0, 0, 0, 0},
};

const struct check_set check_set_blk_config = CHECK_SET_OF(rows, CHECK_BLK);
