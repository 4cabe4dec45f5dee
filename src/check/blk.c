/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 7's block device: requests, whole and well mapped; blk_range.c has those that name
 * ranges. What they write is never read back
 * from before the check, and stays: the disk has to be one that may be overwritten.
 */
#include <endian.h>
#include <string.h>
#include <sys/mman.h>

#include "check/disk.h"

#define IN_  VIRTIO_BLK_T_IN
#define OUT_ VIRTIO_BLK_T_OUT
#define ID   VIRTIO_BLK_T_GET_ID
#define OK   VIRTIO_BLK_S_OK
#define ERR  VIRTIO_BLK_S_IOERR
#define NO   VIRTIO_BLK_S_UNSUPP

#define END DISK_LAST_END

/* One request with a status; a success has written @in bytes of data, or @written. Row: a is the
 * case. */
struct request_case {
	uint32_t type;
	uint64_t sector;
	uint32_t out, in;
	uint8_t strict, relaxed; /* status */
	uint32_t written;        /* bytes of data, if the status is OK */
};

static const struct request_case requests[] = {
	{IN_, 0, 0, 512, OK, OK, 512},
	{IN_, 0, 0, 513, OK, ERR, 513},
	{IN_, 0, 0, 0, OK, OK, 0},
	{IN_, END - 1, 0, 512, OK, OK, 512},
	{IN_, END - 1, 0, 1024, ERR, ERR, 0},
	{IN_, END, 0, 512, ERR, ERR, 0},
	{IN_, END, 0, 100, ERR, ERR, 0},
	{IN_, 1ULL << 55, 0, 512, ERR, ERR, 0},
	{IN_, 1ULL << 63, 0, 512, ERR, ERR, 0},
	{IN_, UINT64_MAX, 0, 512, ERR, ERR, 0},
	{OUT_, 0, 0, 0, OK, OK, 0},
	{OUT_, 0, 100, 0, OK, ERR, 0},
	{OUT_, END - 1, 1024, 0, ERR, ERR, 0},
	{OUT_, UINT64_MAX, 512, 0, ERR, ERR, 0},
	{ID, 0, 0, 20, OK, OK, 20},
	{ID, 0, 0, 64, OK, OK, 20},
	{ID, 1, 0, 20, ERR, OK, 20},
	{VIRTIO_BLK_T_FLUSH, 0, 0, 0, OK, OK, 0},
	{VIRTIO_BLK_T_FLUSH, 1, 0, 0, ERR, OK, 0},
	{VIRTIO_BLK_T_FLUSH, 0, 512, 0, OK, OK, 0},
	{VIRTIO_BLK_T_FLUSH, 0, 0, 512, OK, OK, 0},
	{77, 0, 0, 0, ERR, NO, 0},
	{VIRTIO_BLK_T_SECURE_ERASE, 0, 16, 0, ERR, NO, 0},
	{2, 0, 0, 512, ERR, NO, 0},
};

static void request(struct check_ctx *t)
{
	const struct request_case *c = &requests[t->check->a];
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_request(t, &disk, c->type, disk_sector(&disk, c->sector), c->out, c->in,
		     disk_end_of(t, c->strict, c->relaxed, c->written));
	/* Whatever it was, the next one is served. */
	disk_request(t, &disk, IN_, 0, 0, 512, (struct disk_end){OK, 513, true});
}

/* Sizes up to the data area's, at both ends of the disk. */
static void write_reads_back(struct check_ctx *t)
{
	static const unsigned sizes[] = {1, 2, 8, 9, DISK_DATA_LEN / DISK_SECTOR};
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t last = disk.capacity - sizes[i];

		disk_write(t, &disk, 3, sizes[i], (uint8_t)(0x10 + i));
		disk_write(t, &disk, last, sizes[i], (uint8_t)(0x20 + i));
		disk_expect_bytes(t, &disk, 3, sizes[i], (uint8_t)(0x10 + i));
		disk_expect_bytes(t, &disk, last, sizes[i], (uint8_t)(0x20 + i));
	}
}

static void write_keeps_neighbours(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_write(t, &disk, 8, 3, 0x11);
	disk_write(t, &disk, 9, 1, 0x22);
	disk_expect_bytes(t, &disk, 8, 1, 0x11);
	disk_expect_bytes(t, &disk, 9, 1, 0x22);
	disk_expect_bytes(t, &disk, 10, 1, 0x11);
}

static void refused_write_changes_nothing(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_write(t, &disk, disk.capacity - 1, 1, 0x11);
	memset(disk.mem + DISK_DATA, 0x22, 2 * DISK_SECTOR);
	disk_request(t, &disk, OUT_, disk.capacity - 1, 2 * DISK_SECTOR, 0,
		     (struct disk_end){ERR, 1, true});
	disk_expect_bytes(t, &disk, disk.capacity - 1, 1, 0x11);
}

/* Row: a is what happens in between. */
enum { BY_RESET, BY_CLOSE };

static void contents_survive(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_write(t, &disk, 5, 2, 0x77);
	if (t->check->a == BY_RESET)
		disk_reset(t, &disk, 0, disk_features(t));
	else
		disk_stop(t, &disk);
	if (t->check->a == BY_CLOSE)
		disk_start(t, &disk, 0, disk_features(t));
	disk_expect_bytes(t, &disk, 5, 2, 0x77);
}

/* Every queue takes every request; what one wrote the others read. */
static void each_queue(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_request(t, &disk, ID, 0, 0, 20, (struct disk_end){OK, 21, true});
	for (uint32_t i = 0; i < t->dev->nr_vqs; i++) {
		disk_reset(t, &disk, i, disk_features(t));
		disk_request(t, &disk, ID, 0, 0, 20, (struct disk_end){OK, 21, true});
		disk_request(t, &disk, IN_, 0, 0, 512, (struct disk_end){OK, 513, true});
	}
}

static void queues_share_contents(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	for (uint32_t i = 0; i < t->dev->nr_vqs; i++) {
		disk_write(t, &disk, 7, 1, (uint8_t)(0x40 + i));
		disk_reset(t, &disk, (i + 1) % t->dev->nr_vqs, disk_features(t));
		disk_expect_bytes(t, &disk, 7, 1, (uint8_t)(0x40 + i));
	}
}

/* More than a pass takes, in one kick. */
static void many_per_kick(struct check_ctx *t)
{
	enum { NR = 21 };
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	for (int i = 0; i < NR; i++)
		disk_add_request(t, &disk, IN_, 0, 0, 512);
	disk_kick(t, &disk);
	for (int i = 0; i < NR; i++) {
		uint32_t len = 0;

		EXPECT_RC(t, 0, client_ring_wait(&disk.ring, CHECK_WAIT));
		EXPECT_RC(t, 1, client_ring_pop(&disk.ring, NULL, &len));
		EXPECT_EQ(t, 513, len);
	}
}

/* 131072 sectors are the most of one request, 64 MiB: one more is refused before any data moves. */
static void too_many_sectors(struct check_ctx *t)
{
	const size_t len = 131073UL * DISK_SECTOR;
	struct client_buf bufs[3] = {{DISK_HEADER, 16, false},
				     {0x40000000, (uint32_t)len, true},
				     {DISK_STATUS, 1, true}};
	struct disk disk;
	void *area;

	disk_start(t, &disk, 0, disk_features(t));
	if (disk.capacity < 131073)
		check_skip(t, "the disk has fewer than 131073 sectors");
	area = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	EXPECT(t, area != MAP_FAILED);
	EXPECT_RC(t, 0, check_map(disk.fd, 0, DISK_IOVA + 0x40000000, len, area));
	disk_header(&disk, IN_, 0);
	disk_add(t, &disk, bufs, 3);
	disk_kick(t, &disk);
	disk_expect(t, &disk, (struct disk_end){ERR, 1, true});
}

/* ---- GET_ID ---- */

/* The name fills 20 bytes and no more, padded with zeros. Row: a is the room. */
static void id_text(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	memset(disk.mem + DISK_DATA, 0xff, 64);
	disk_request(t, &disk, ID, 0, 0, (uint32_t)t->check->a, (struct disk_end){OK, 21, true});
	EXPECT(t, memchr(disk.mem + DISK_DATA, 0xff, 20) == NULL);
	EXPECT(t, disk.mem[DISK_DATA] != 0);
	if (t->check->a > 20)
		EXPECT_EQ(t, 0xff, disk.mem[DISK_DATA + 20]);
	if (check_is_strict(t))
		EXPECT(t, memcmp(disk.mem + DISK_DATA, "vdpa_blk_sim\0\0\0\0\0\0\0\0", 20) == 0);
}

/* With less room the simulator runs over the status: untold, and no status is written. Row: a is
 * the room. */
static void id_short_strict(struct check_ctx *t)
{
	uint32_t room = (uint32_t)t->check->a;
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_request(
		t, &disk, ID, 0, 0, room,
		(struct disk_end){(uint8_t) "vdpa_blk_sim\0\0\0\0\0\0\0"[room], room + 1, false});
	disk_request(t, &disk, IN_, 0, 0, 512, (struct disk_end){OK, 513, true});
}

static void id_short_relaxed(struct check_ctx *t)
{
	uint32_t room = (uint32_t)t->check->a;
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_request(t, &disk, ID, 0, 0, room, (struct disk_end){OK, room + 1, true});
}

/* ---- a disk that is read only ---- */

/* Row: a is the type of request. */
static void read_only(struct check_ctx *t)
{
	struct disk disk;

	disk_start(t, &disk, 0, disk_features(t));
	disk_range(&disk, 0, 0, 8, 0);
	disk_request(t, &disk, (uint32_t)t->check->a, 0, t->check->a == OUT_ ? 512 : 16, 0,
		     (struct disk_end){ERR, 1, true});
	disk_request(t, &disk, IN_, 0, 0, 512, (struct disk_end){OK, 513, true});
}

#define OVER CHECK_OVERWRITE

#define REQUEST(name_, needs_, a_)                                                                 \
	{                                                                                          \
		"blk.request." name_, "7-13", request, needs_, 0, a_, 0                            \
	}
static const struct check rows[] = {
	REQUEST("read_sector_ok", 0, 0),
	REQUEST("read_513_bytes", 0, 1),
	REQUEST("read_nothing_ok", 0, 2),
	REQUEST("read_last_sector_ok", 0, 3),
	REQUEST("read_across_end_ioerr", 0, 4),
	REQUEST("read_behind_end_ioerr", 0, 5),
	REQUEST("read_part_of_sector_behind_end_ioerr", 0, 6),
	REQUEST("read_sector_2_55_ioerr", 0, 7),
	REQUEST("read_sector_2_63_ioerr", 0, 8),
	REQUEST("read_sector_max_ioerr", 0, 9),
	REQUEST("write_nothing_ok", OVER, 10),
	REQUEST("write_100_bytes", OVER, 11),
	REQUEST("write_across_end_ioerr", OVER, 12),
	REQUEST("write_sector_max_ioerr", OVER, 13),
	REQUEST("id_ok", 0, 14),
	REQUEST("id_with_more_room_ok", 0, 15),
	REQUEST("id_with_sector", 0, 16),
	REQUEST("flush_ok", 0, 17),
	REQUEST("flush_with_sector", 0, 18),
	REQUEST("flush_with_data_to_read_ok", 0, 19),
	REQUEST("flush_with_data_to_write_ok", 0, 20),
	REQUEST("unknown_type", 0, 21),
	REQUEST("secure_erase", 0, 22),
	REQUEST("scsi_command", 0, 23),
	{"blk.request.too_many_sectors_ioerr", "7-13", too_many_sectors, CHECK_VA, 0, 0, 0},
	{"blk.request.many_in_one_kick", "7-13", many_per_kick, 0, 0, 0, 0},
	{"blk.data.write_reads_back", "7-13", write_reads_back, OVER, 0, 0, 0},
	{"blk.data.write_keeps_neighbours", "7-13", write_keeps_neighbours, OVER, 0, 0, 0},
	{"blk.data.refused_write_changes_nothing", "7-13", refused_write_changes_nothing, OVER, 0,
	 0, 0},
	{"blk.data.survives_reset", "7-13", contents_survive, OVER, 0, BY_RESET, 0},
	{"blk.data.survives_close", "7-13", contents_survive, OVER, 0, BY_CLOSE, 0},
	{"blk.queue.each_serves_requests", "7-12", each_queue, 0, 0, 0, 0},
	{"blk.queue.all_share_contents", "7-12", queues_share_contents, OVER, 0, 0, 0},
	{"blk.id.padded_with_zeros", "7-13", id_text, 0, 0, 20, 0},
	{"blk.id.leaves_further_room_alone", "7-13", id_text, 0, 0, 64, 0},
	{"blk.id.no_room_runs_over_status", "7-13", id_short_strict, CHECK_STRICT, 0, 0, 0},
	{"blk.id.10_bytes_run_over_status", "7-13", id_short_strict, CHECK_STRICT, 0, 10, 0},
	{"blk.id.19_bytes_run_over_status", "7-13", id_short_strict, CHECK_STRICT, 0, 19, 0},
	{"blk.id.no_room_ok", "7-13", id_short_relaxed, CHECK_RELAXED, 0, 0, 0},
	{"blk.id.10_bytes_cut_short_ok", "7-13", id_short_relaxed, CHECK_RELAXED, 0, 10, 0},
	{"blk.id.19_bytes_cut_short_ok", "7-13", id_short_relaxed, CHECK_RELAXED, 0, 19, 0},
	{"blk.read_only.write_ioerr", "7-13", read_only, CHECK_READ_ONLY, 0, OUT_, 0},
	{"blk.read_only.discard_ioerr", "7-13", read_only, CHECK_READ_ONLY, 0, VIRTIO_BLK_T_DISCARD,
	 0},
	{"blk.read_only.write_zeroes_ioerr", "7-13", read_only, CHECK_READ_ONLY, 0,
	 VIRTIO_BLK_T_WRITE_ZEROES, 0},
};

const struct check_set check_set_blk = CHECK_SET_OF(rows, CHECK_BLK);
