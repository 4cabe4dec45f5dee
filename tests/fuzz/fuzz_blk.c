// SPDX-License-Identifier: BSD-3-Clause
/*
 * A disk: requests of any type, header, place and shape, in well-formed chains. In default mode
 * each must be completed once, with a status if there is a byte for it; what a read gives must be
 * what the writes before it have left, which a plain copy of the disk knows. In strict mode
 * chains may be lost, as the kernel's simulator loses them.
 */
#include "device.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#define BIT(n)     (1ULL << (n))
#define DISK_LEN   0x20000u /* bytes */
#define STRICT_LEN 0x8000000u
#define SECTOR     512u
#define NUM        32
#define SEGS_MAX   5
#define HEADER     (ARENA_DATA + 0x30000u) /* where headers and ranges lie in the arena */
#define NO_STATUS  0xee

static const uint64_t always = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM) |
			       BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES);

struct disk {
	struct fuzz_device *d;
	bool strict, read_only;
	/* What the disk's beginning has; a byte of which this is not known is not compared. */
	uint8_t copy[DISK_LEN];
	bool known[DISK_LEN];
};

static struct disk disk;

static uint64_t disk_len(void)
{
	return disk.strict ? STRICT_LEN : DISK_LEN;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return fuzz_arena() ? 0 : 1;
}

static void begin(struct fuzz_input *in)
{
	uint8_t bits = fuzz_u8(in);
	uint64_t features = always;
	const char *spec = "mgmtdev vdpasim_blk capacity 128K offer all";

	disk.strict = bits & 1;
	disk.read_only = !disk.strict && (bits & 2);
	if (bits & 4)
		features |= BIT(VIRTIO_BLK_F_FLUSH);
	if (disk.strict)
		spec = "mgmtdev vdpasim_blk quirks linux-6.12";
	else if (disk.read_only)
		spec = "mgmtdev vdpasim_blk capacity 128K offer all read_only on";
	if (!disk.strict)
		features |= (bits & 8 ? BIT(VIRTIO_F_RING_PACKED) : 0) |
			    (bits & 16 ? BIT(VIRTIO_RING_F_EVENT_IDX) : 0) |
			    (bits & 32 ? BIT(VIRTIO_F_IN_ORDER) : 0);
	if (disk.read_only)
		features &= ~(BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	disk.d = fuzz_device_begin(spec, features, 1, NUM);
	/* it has what the last input has left */
	memset(disk.known, 0, sizeof(disk.known));
}

static uint64_t choose_sector(struct fuzz_input *in)
{
	switch (fuzz_below(in, 4)) {
	case 0:
		return fuzz_u64(in);
	case 1:
		return disk_len() / SECTOR - fuzz_below(in, 8);
	default:
		return fuzz_below(in, DISK_LEN / SECTOR);
	}
}

/* One request, as its driver knows it. */
struct request {
	struct virtio_blk_outhdr header;
	struct virtio_blk_discard_write_zeroes range;
	struct ring_driver_seg segs[SEGS_MAX + 3];
	unsigned int nr_out, nr_in;
	uint32_t data_at, data_len; /* place in the arena */
	bool plain;                 /* header, data or one range, status: its outcome can be told */
};

static char *arena(uint32_t at)
{
	return fuzz_arena() + at;
}

static void add_seg(struct request *r, bool in, uint32_t at, uint32_t len)
{
	r->segs[r->nr_out + r->nr_in] = (struct ring_driver_seg){ARENA_IOVA + at, len};
	if (in)
		r->nr_in++;
	else
		r->nr_out++;
}

static void add_data(struct request *r, bool in, uint32_t cut)
{
	uint32_t first = r->data_len ? cut % (r->data_len + 1) : 0;

	add_seg(r, in, r->data_at, first);
	add_seg(r, in, r->data_at + first, r->data_len - first);
}

/* The usual shape, in pieces cut anywhere. */
static void make_plain(struct request *r, struct fuzz_input *in)
{
	static const uint32_t known[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
					 VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_DISCARD,
					 VIRTIO_BLK_T_FLUSH};
	uint32_t type = known[fuzz_below(in, ARRAY_LEN(known))];
	bool range = type == VIRTIO_BLK_T_WRITE_ZEROES || type == VIRTIO_BLK_T_DISCARD;

	r->plain = true;
	r->header =
		(struct virtio_blk_outhdr){.type = type, .sector = range ? 0 : choose_sector(in)};
	r->range = (struct virtio_blk_discard_write_zeroes){.sector = choose_sector(in),
							    .num_sectors = fuzz_below(in, 300),
							    .flags = fuzz_below(in, 3)};
	memcpy(arena(HEADER), &r->header, sizeof(r->header));
	memcpy(arena(HEADER + 16), &r->range, sizeof(r->range));
	add_seg(r, false, HEADER, 7);
	add_seg(r, false, HEADER + 7, range ? 9 + sizeof(r->range) : 9);
	r->data_at = ARENA_DATA + fuzz_u8(in);
	r->data_len = range || type == VIRTIO_BLK_T_FLUSH ? 0 : fuzz_below(in, 24) * SECTOR;
	if (fuzz_below(in, 16) == 0 && r->data_len)
		r->data_len -= 1 + fuzz_below(in, 511);
	if (type == VIRTIO_BLK_T_OUT) {
		memset(arena(r->data_at), fuzz_u8(in), r->data_len);
		(void)fuzz_bytes(in, arena(r->data_at), r->data_len < 16 ? r->data_len : 16);
	}
	if (r->data_len)
		add_data(r, type == VIRTIO_BLK_T_IN, fuzz_u16(in));
	add_seg(r, true, HEADER + 64, 1);
}

/* Any bytes in any pieces. */
static void make_wild(struct request *r, struct fuzz_input *in)
{
	r->plain = false;
	(void)fuzz_bytes(in, arena(HEADER), 16 + fuzz_below(in, 48));
	add_seg(r, false, HEADER, fuzz_below(in, 80));
	r->nr_out += fuzz_segs(in, r->segs + r->nr_out, 3);
	r->nr_in = fuzz_segs(in, r->segs + r->nr_out, 3);
	memset(disk.known, 0, sizeof(disk.known)); /* whatever it was, the copy does not follow */
}

static void check_read(const struct request *r)
{
	const uint8_t *got = (const uint8_t *)arena(r->data_at);
	uint64_t off = r->header.sector * SECTOR;

	for (uint32_t i = 0; i < r->data_len && off + i < DISK_LEN; i++)
		fuzz_check(!disk.known[off + i] || got[i] == disk.copy[off + i]);
}

static void set_copy(uint64_t off, const void *src, uint64_t len, bool known)
{
	if (off >= DISK_LEN)
		return;
	if (len > DISK_LEN - off)
		len = DISK_LEN - off;
	if (src)
		memcpy(disk.copy + off, src, len);
	else
		memset(disk.copy + off, 0, len);
	memset(disk.known + off, known, len);
}

/* It says that it was done: then it can be done, and the copy follows. */
static void check_done(const struct request *r)
{
	uint64_t all = disk_len() / SECTOR, nr = r->range.num_sectors, at = r->range.sector;

	switch (r->header.type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		fuzz_check(r->header.sector <= all &&
			   r->data_len <= disk_len() - r->header.sector * SECTOR);
		if (r->header.type == VIRTIO_BLK_T_IN)
			check_read(r);
		else
			set_copy(r->header.sector * SECTOR, arena(r->data_at), r->data_len, true);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
	case VIRTIO_BLK_T_DISCARD:
		fuzz_check(at <= all && nr <= all - at);
		if (!disk.strict || r->header.type == VIRTIO_BLK_T_WRITE_ZEROES)
			set_copy(at * SECTOR, NULL, nr * SECTOR,
				 r->header.type == VIRTIO_BLK_T_WRITE_ZEROES);
		break;
	default:
		break;
	}
	fuzz_check(!disk.read_only || r->header.type == VIRTIO_BLK_T_IN ||
		   r->header.type == VIRTIO_BLK_T_FLUSH);
}

static void serve(struct fuzz_input *in)
{
	struct request r = {.plain = false};
	uint32_t used = 0;
	uint64_t room = 0;
	int err = 0;
	void *got;

	if (fuzz_below(in, 4))
		make_plain(&r, in);
	else
		make_wild(&r, in);
	for (unsigned int i = 0; i < r.nr_in; i++)
		room += r.segs[r.nr_out + i].len;
	*arena(HEADER + 64) = (char)NO_STATUS;
	if (ring_driver_add(disk.d->drv[0], r.segs, r.nr_out, r.nr_in, &disk, NULL, 0))
		return;
	(void)ring_driver_publish(disk.d->drv[0]);
	fuzz_device_run(disk.d, 0);
	got = ring_driver_get(disk.d->drv[0], &used, &err);
	fuzz_check(err == 0 && used <= room);
	if (disk.strict && !got)
		return;
	fuzz_check(got);
	if (!r.plain)
		return;
	fuzz_check((uint8_t)*arena(HEADER + 64) <= VIRTIO_BLK_S_UNSUPP);
	if (*arena(HEADER + 64) == VIRTIO_BLK_S_OK)
		check_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	begin(&in);
	while (fuzz_more(&in))
		serve(&in);
	fuzz_check(disk.d->dev->ops->get_status(disk.d->dev) == 0xf);
	fuzz_device_end(disk.d);
	return 0;
}
