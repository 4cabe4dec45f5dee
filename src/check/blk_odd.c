/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Section 7's block device: requests in odd pieces, and requests of which a part is not mapped.
 *
 * The simulator pauses at a request that it cannot answer, until the next kick, and tells nobody
 * ([7-8]). Holdfast's default device answers wherever there is a byte for it, always tells, and
 * goes on.
 */
#include <string.h>
#include <unistd.h>

#include "check/disk.h"
#include "check/kit.h"

#define IN_  VIRTIO_BLK_T_IN
#define OUT_ VIRTIO_BLK_T_OUT
#define OK   VIRTIO_BLK_S_OK
#define ERR  VIRTIO_BLK_S_IOERR
#define NONE DISK_UNTOUCHED
#define P    CHECK_PAGE

static struct disk_end as(const struct check_ctx *t, struct disk_end strict,
			  struct disk_end relaxed)
{
	return check_is_strict(t) ? strict : relaxed;
}

static void start(struct check_ctx *t, struct disk *disk, uint32_t type)
{
	disk_start(t, disk, 0, disk_features(t));
	disk_header(disk, type, 0);
}

/* Kicks, compares the request's end, and sees that the next request is served. */
static void finish(struct check_ctx *t, struct disk *disk, struct disk_end want)
{
	disk_kick(t, disk);
	disk_expect(t, disk, want);
	disk_request(t, disk, VIRTIO_BLK_T_FLUSH, 0, 0, 0, (struct disk_end){OK, 1, true});
}

/* ---- odd pieces ---- */

static void status_alone(struct check_ctx *t)
{
	struct disk disk;

	start(t, &disk, IN_);
	disk_add(t, &disk, (struct client_buf[]){{DISK_STATUS, 1, true}}, 1);
	finish(t, &disk, as(t, (struct disk_end){NONE, 0, false}, (struct disk_end){ERR, 1, true}));
}

static void nothing_writable(struct check_ctx *t)
{
	struct disk disk;

	start(t, &disk, OUT_);
	disk_add(t, &disk, (struct client_buf[]){{DISK_HEADER, 16, false}, {DISK_DATA, 512, false}},
		 2);
	finish(t, &disk, (struct disk_end){NONE, 0, !check_is_strict(t)});
}

/* Row: a is the header's length. */
static void header_length(struct check_ctx *t)
{
	uint32_t len = (uint32_t)t->check->a;
	struct client_buf bufs[] = {
		{DISK_HEADER, len, false}, {DISK_DATA, 512, true}, {DISK_STATUS, 1, true}};
	struct disk disk;

	start(t, &disk, IN_);
	disk_add(t, &disk, bufs, 3);
	if (len >= 16)
		finish(t, &disk, (struct disk_end){OK, 513, true});
	else
		finish(t, &disk,
		       as(t, (struct disk_end){NONE, 0, false}, (struct disk_end){ERR, 1, true}));
}

static void status_in_data(struct check_ctx *t)
{
	struct disk disk;

	start(t, &disk, IN_);
	disk.mem[DISK_DATA + 512] = DISK_UNTOUCHED;
	disk_add(t, &disk, (struct client_buf[]){{DISK_HEADER, 16, false}, {DISK_DATA, 513, true}},
		 2);
	disk_kick(t, &disk);
	disk_expect(t, &disk, (struct disk_end){NONE, 513, true});
	EXPECT_EQ(t, OK, disk.mem[DISK_DATA + 512]);
}

static void header_in_pieces(struct check_ctx *t)
{
	struct client_buf bufs[] = {{DISK_HEADER, 7, false},
				    {DISK_HEADER + 7, 9, false},
				    {DISK_DATA, 512, true},
				    {DISK_STATUS, 1, true}};
	struct disk disk;

	start(t, &disk, IN_);
	disk_add(t, &disk, bufs, 4);
	finish(t, &disk, (struct disk_end){OK, 513, true});
}

/* More pieces than seg_max: nobody counts them. */
static void many_pieces(struct check_ctx *t)
{
	enum { NR = 40 };
	struct client_buf bufs[NR + 2] = {{DISK_HEADER, 16, false}};
	struct disk disk;

	start(t, &disk, IN_);
	for (size_t i = 0; i < NR; i++)
		bufs[1 + i] = (struct client_buf){DISK_DATA + i * P, P, true};
	bufs[NR + 1] = (struct client_buf){DISK_STATUS, 1, true};
	disk_add(t, &disk, bufs, NR + 2);
	finish(t, &disk, (struct disk_end){OK, NR * P + 1, true});
}

/* Data that no descriptor boundary cuts at sectors. */
static void pieces_of_odd_length(struct check_ctx *t)
{
	struct client_buf bufs[] = {{DISK_HEADER, 16, false},
				    {DISK_DATA, 1, false},
				    {DISK_DATA + 1, 510, false},
				    {DISK_DATA + 511, 513, false},
				    {DISK_STATUS, 1, true}};
	struct disk disk;

	start(t, &disk, OUT_);
	for (unsigned i = 0; i < 1024; i++)
		disk.mem[DISK_DATA + i] = (uint8_t)(i * 7);
	disk_add(t, &disk, bufs, 5);
	finish(t, &disk, (struct disk_end){OK, 1, true});
	disk_request(t, &disk, IN_, 0, 0, 1024, (struct disk_end){OK, 1025, true});
	for (unsigned i = 0; i < 1024; i++)
		EXPECT_EQ(t, (uint8_t)(i * 7), disk.mem[DISK_DATA + i]);
}

/* ---- parts that are not mapped ---- */

/* Two requests with one kick; the first stops the simulator. Row: a is the part that is taken
 * away. */
static void two_unmapped(struct check_ctx *t)
{
	size_t part = (size_t)t->check->a;
	struct disk_end header =
		as(t, (struct disk_end){NONE, 0, false}, (struct disk_end){ERR, 1, true});
	struct disk_end status =
		as(t, (struct disk_end){NONE, 512, false}, (struct disk_end){NONE, 0, true});
	struct disk_end want = part == DISK_HEADER ? header : status;
	struct disk disk;

	start(t, &disk, IN_);
	disk_unmap(t, &disk, part, P);
	disk_add_request(t, &disk, IN_, 0, 0, 512);
	disk_kick(t, &disk);
	disk_expect(t, &disk, want);
	disk_add_request(t, &disk, IN_, 0, 0, 512);
	if (check_is_strict(t))
		disk_add_request(t, &disk, IN_, 0, 0, 512);
	disk_kick(t, &disk);
	disk_expect(t, &disk, want);
	if (!check_is_strict(t))
		return;
	disk_expect_quiet(t, &disk);
	disk_kick(t, &disk);
	disk_expect(t, &disk, want);
}

/* After the part is back, requests work again. Row: a is the part. */
static void mapped_again(struct check_ctx *t)
{
	size_t part = (size_t)t->check->a;
	struct disk disk;
	uint64_t count;

	start(t, &disk, IN_);
	disk_unmap(t, &disk, part, P);
	disk_add_request(t, &disk, IN_, 0, 0, 512);
	disk_kick(t, &disk);
	disk_wait(t, &disk);
	EXPECT_RC(t, 1, client_ring_pop(&disk.ring, NULL, NULL));
	if (check_kit_called(&disk.ring, t->dev->quiet_ms))
		EXPECT_RC(t, 8, read(disk.ring.call_fd, &count, sizeof(count)));
	disk_map(t, &disk, part, P);
	disk_request(t, &disk, IN_, 0, 0, 512, (struct disk_end){OK, 513, true});
}

/* Row: a is the type, b the bytes of data. */
static void data_unmapped(struct check_ctx *t)
{
	uint32_t len = (uint32_t)t->check->b;
	bool in = t->check->a == IN_ || t->check->a == VIRTIO_BLK_T_GET_ID;
	struct disk disk;

	start(t, &disk, IN_);
	disk_unmap(t, &disk, DISK_DATA, P);
	disk_request(t, &disk, (uint32_t)t->check->a, 0, in ? 0 : len, in ? len : 0,
		     (struct disk_end){ERR, 1, true});
	disk_request(t, &disk, VIRTIO_BLK_T_FLUSH, 0, 0, 0, (struct disk_end){OK, 1, true});
}

/* One descriptor, half of it mapped: no data moves through it. */
static void descriptor_half_mapped(struct check_ctx *t)
{
	struct disk disk;

	start(t, &disk, IN_);
	disk_unmap(t, &disk, DISK_DATA + P, P);
	memset(disk.mem + DISK_DATA, 0xa5, P);
	disk_request(t, &disk, IN_, 0, 0, 2 * P, (struct disk_end){ERR, 1, true});
	for (unsigned i = 0; i < P; i++)
		EXPECT_EQ(t, 0xa5, disk.mem[DISK_DATA + i]);
}

/* A request of @type at sector 0, which holds 0x44. Its data are two descriptors, the first one
 * filled with @fill, the second one not mapped. */
static void second_unmapped(struct check_ctx *t, struct disk *disk, uint32_t type, int fill)
{
	struct client_buf bufs[] = {{DISK_HEADER, 16, false},
				    {DISK_DATA, P, type == IN_},
				    {DISK_DATA + P, P, type == IN_},
				    {DISK_STATUS, 1, true}};

	disk_start(t, disk, 0, disk_features(t));
	disk_write(t, disk, 0, 16, 0x44);
	disk_header(disk, type, 0);
	disk_unmap(t, disk, DISK_DATA + P, P);
	memset(disk->mem + DISK_DATA, fill, P);
	disk_add(t, disk, bufs, 4);
	disk_kick(t, disk);
}

/* The simulator moves data up to the second descriptor, and loses the status. */
static void read_second_unmapped(struct check_ctx *t)
{
	struct disk disk;

	second_unmapped(t, &disk, IN_, 0xa5);
	disk_expect(t, &disk,
		    as(t, (struct disk_end){NONE, 0, false}, (struct disk_end){ERR, 1, true}));
	EXPECT_EQ(t, check_is_strict(t) ? 0x44 : 0xa5, disk.mem[DISK_DATA]);
	EXPECT_EQ(t, check_is_strict(t) ? 0x44 : 0xa5, disk.mem[DISK_DATA + P - 1]);
}

static void write_second_unmapped(struct check_ctx *t)
{
	struct disk disk;

	second_unmapped(t, &disk, OUT_, 0x33);
	disk_expect(t, &disk, (struct disk_end){ERR, 1, true});
	disk_expect_bytes(t, &disk, 0, 8, check_is_strict(t) ? 0x33 : 0x44);
	disk_expect_bytes(t, &disk, 8, 8, 0x44);
}

#define OVER CHECK_OVERWRITE

static const struct check rows[] = {
	{"blk.pieces.status_alone", "7-8", status_alone, 0, 0, 0, 0},
	{"blk.pieces.nothing_writable_length_0", "7-8", nothing_writable, 0, 0, 0, 0},
	{"blk.pieces.header_of_15_bytes", "7-8", header_length, 0, 0, 15, 0},
	{"blk.pieces.header_of_17_bytes_ok", "7-13", header_length, 0, 0, 17, 0},
	{"blk.pieces.status_behind_data_ok", "7-13", status_in_data, 0, 0, 0, 0},
	{"blk.pieces.header_in_two_ok", "7-13", header_in_pieces, 0, 0, 0, 0},
	{"blk.pieces.40_of_data_ok", "7-12", many_pieces, 0, 0, 0, 0},
	{"blk.pieces.odd_lengths_ok", "7-13", pieces_of_odd_length, OVER, 0, 0, 0},
	{"blk.unmapped.header", "7-8", two_unmapped, 0, 0, DISK_HEADER, 0},
	{"blk.unmapped.status", "7-8", two_unmapped, 0, 0, DISK_STATUS, 0},
	{"blk.unmapped.header_back_ok", "7-8", mapped_again, 0, 0, DISK_HEADER, 0},
	{"blk.unmapped.status_back_ok", "7-8", mapped_again, 0, 0, DISK_STATUS, 0},
	{"blk.unmapped.data_to_write_ioerr", "7-8", data_unmapped, 0, 0, IN_, 512},
	{"blk.unmapped.data_to_read_ioerr", "7-8", data_unmapped, OVER, 0, OUT_, 512},
	{"blk.unmapped.id_ioerr", "7-8", data_unmapped, 0, 0, VIRTIO_BLK_T_GET_ID, 20},
	{"blk.unmapped.discard_range_ioerr", "7-8", data_unmapped, OVER | CHECK_DISCARD, 0,
	 VIRTIO_BLK_T_DISCARD, 16},
	{"blk.unmapped.half_of_descriptor_ioerr", "7-8", descriptor_half_mapped, 0, 0, 0, 0},
	{"blk.unmapped.second_piece_to_write", "7-8", read_second_unmapped, OVER, 0, 0, 0},
	{"blk.unmapped.second_piece_to_read_ioerr", "7-8", write_second_unmapped, OVER, 0, 0, 0},
};

const struct check_set check_set_blk_odd = CHECK_SET_OF(rows, CHECK_BLK);
