// SPDX-License-Identifier: BSD-3-Clause
/*
 * The disk driver. One request is under way at a most, in memory of the call that waits for it; a
 * call that cannot wait any longer resets the device first, so no request outlives its memory. What
 * was asked for is cut to what one request may carry: segments of at most size_max bytes, seg_max
 * of them, and no more descriptors than the ring has.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/refuse.h"
#include "virtio_vdpa/blk.h"

#define F(name) (1ULL << VIRTIO_BLK_F_##name)
#define WANTED                                                                                     \
	(F(SIZE_MAX) | F(SEG_MAX) | F(RO) | F(BLK_SIZE) | F(FLUSH) | F(TOPOLOGY) | F(MQ) |         \
	 F(DISCARD) | F(WRITE_ZEROES))
#define RING_MAX    256u
#define SEGS_MAX    254u /* data segments of a request */
#define SEG_LEN_MAX (1u << 20)
#define NO_STATUS   0xff

struct virtio_blk {
	struct virtio_vdpa *v;
	struct virtio_vdpa_vq *vq;
	struct virtio_blk_info info;
	unsigned int timeout_ms;
	unsigned int max_segs; /* of data, in one request */
	uint32_t seg_len;      /* bytes, a multiple of a sector */
	bool dead;             /* was reset by a failure */
	struct virtio_blk *next_kept;

	/* the request under way */
	struct virtio_blk_outhdr header;
	uint8_t status;
	struct virtio_vdpa_buf bufs[SEGS_MAX + 2];
};

/* ---- what the disk says ---- */

static void read_limits(struct virtio_blk_info *info, const struct virtio_blk_config *c)
{
	uint64_t features = info->features;

	info->nr_sectors = le64toh(c->capacity);
	info->read_only = features & F(RO);
	info->can_flush = features & F(FLUSH);
	info->block_size = features & F(BLK_SIZE) ? le32toh(c->blk_size) : VIRTIO_BLK_SECTOR;
	info->size_max = features & F(SIZE_MAX) ? le32toh(c->size_max) : 0;
	info->seg_max = features & F(SEG_MAX) ? le32toh(c->seg_max) : 0;
	info->num_queues = features & F(MQ) ? le16toh(c->num_queues) : 1;
	if ((features & F(TOPOLOGY)) && c->physical_block_exp < 16) {
		info->physical_block_size = info->block_size << c->physical_block_exp;
		info->min_io_size = le16toh(c->min_io_size) * info->block_size;
		info->opt_io_size = le32toh(c->opt_io_size) * info->block_size;
	}
	if (features & F(DISCARD)) {
		info->max_discard_sectors = le32toh(c->max_discard_sectors);
		info->max_discard_segs = le32toh(c->max_discard_seg);
		info->discard_alignment = le32toh(c->discard_sector_alignment);
	}
	if (features & F(WRITE_ZEROES)) {
		info->max_write_zeroes_sectors = le32toh(c->max_write_zeroes_sectors);
		info->write_zeroes_may_unmap = c->write_zeroes_may_unmap != 0;
	}
}

static int read_info(struct virtio_blk *blk)
{
	struct virtio_blk_config c = {0};
	size_t size = virtio_vdpa_config_size(blk->v);
	int ret;

	if (size < sizeof(c.capacity))
		return refuse(-EINVAL, "%s: a disk's configuration of %zu bytes",
			      virtio_vdpa_name(blk->v), size);
	ret = virtio_vdpa_read_config(blk->v, 0, &c, size < sizeof(c) ? size : sizeof(c));
	if (ret)
		return ret;
	blk->info.features = virtio_vdpa_features(blk->v);
	read_limits(&blk->info, &c);
	if (blk->info.nr_sectors > INT64_MAX / VIRTIO_BLK_SECTOR)
		return refuse(-EINVAL, "%s: a capacity of %llu sectors", virtio_vdpa_name(blk->v),
			      (unsigned long long)blk->info.nr_sectors);
	return 0;
}

/* How much data one request carries, by the disk's limits, the ring's, and ours. */
static int choose_limits(struct virtio_blk *blk)
{
	const struct virtio_blk_info *info = &blk->info;
	uint32_t descs = virtio_vdpa_vq_num(blk->vq);

	blk->max_segs = info->seg_max && info->seg_max < SEGS_MAX ? info->seg_max : SEGS_MAX;
	blk->seg_len =
		info->size_max && info->size_max < SEG_LEN_MAX ? info->size_max : SEG_LEN_MAX;
	blk->seg_len -= blk->seg_len % VIRTIO_BLK_SECTOR;
	if (blk->seg_len == 0)
		return refuse(-EINVAL, "%s: segments of at most %u bytes, a sector has %u",
			      virtio_vdpa_name(blk->v), info->size_max, VIRTIO_BLK_SECTOR);
	if (virtio_vdpa_has(blk->v, VIRTIO_RING_F_INDIRECT_DESC))
		return 0;
	if (descs < 3)
		return refuse(-EOPNOTSUPP,
			      "%s: a ring of %u entries, a request without indirect descriptors "
			      "needs 3",
			      virtio_vdpa_name(blk->v), descs);
	if (blk->max_segs > descs - 2)
		blk->max_segs = descs - 2;
	return 0;
}

/* ---- life ---- */

static int start(struct virtio_blk *blk)
{
	int ret;

	if (virtio_vdpa_device_id(blk->v) != VIRTIO_ID_BLOCK)
		return refuse(-EINVAL, "device %s has the virtio id %u, a disk has %u",
			      virtio_vdpa_name(blk->v), virtio_vdpa_device_id(blk->v),
			      VIRTIO_ID_BLOCK);
	ret = virtio_vdpa_negotiate(blk->v, WANTED, 0);
	if (ret)
		return ret;
	ret = read_info(blk);
	if (ret)
		return ret;
	ret = virtio_vdpa_setup_vq(blk->v, 0, RING_MAX, &blk->vq);
	if (ret)
		return ret;
	blk->info.ring_size = virtio_vdpa_vq_num(blk->vq);
	ret = choose_limits(blk);
	if (ret)
		return ret;
	return virtio_vdpa_driver_ok(blk->v);
}

int virtio_blk_open(struct vdpa_device *dev, unsigned int timeout_ms, struct virtio_blk **out)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	int ret;

	if (!blk)
		return refuse(-ENOMEM, "%s: no memory", dev->name);
	blk->timeout_ms = timeout_ms;
	ret = virtio_vdpa_open(dev, &blk->v);
	if (!ret)
		ret = start(blk);
	if (ret) {
		virtio_blk_close(blk);
		return ret;
	}
	*out = blk;
	return 0;
}

void virtio_blk_close(struct virtio_blk *blk)
{
	static struct virtio_blk *kept; /* atomic; nobody reads it */

	if (!blk)
		return;
	if (virtio_vdpa_close(blk->v)) /* the device may still write a status */
		blk->next_kept = __atomic_exchange_n(&kept, blk, __ATOMIC_ACQ_REL);
	else
		free(blk);
}

const struct virtio_blk_info *virtio_blk_info(const struct virtio_blk *blk)
{
	return &blk->info;
}

const char *virtio_blk_name(const struct virtio_blk *blk)
{
	return virtio_vdpa_name(blk->v);
}

/* ---- one request ---- */

/* The device may still have the request: take it away before the memory goes. */
static int give_up(struct virtio_blk *blk, int err)
{
	char why[256];

	/* The reset has reasons of its own. */
	strncpy(why, refuse_reason(), sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	blk->dead = true;
	blk->vq = NULL;
	(void)!virtio_vdpa_reset(blk->v);
	return refuse(err, "%s", why);
}

static int status_to_errno(const struct virtio_blk *blk, uint32_t type)
{
	const char *name = virtio_vdpa_name(blk->v);
	uint64_t sector = le64toh(blk->header.sector);

	switch (blk->status) {
	case VIRTIO_BLK_S_OK:
		return 0;
	case VIRTIO_BLK_S_UNSUPP:
		return refuse(-EOPNOTSUPP, "%s does not do requests of type %u", name, type);
	case VIRTIO_BLK_S_IOERR:
		return refuse(-EIO, "%s: request of type %u at sector %llu failed", name, type,
			      (unsigned long long)sector);
	case NO_STATUS:
		return refuse(-EIO,
			      "%s: request of type %u at sector %llu came back without a status",
			      name, type, (unsigned long long)sector);
	default:
		return refuse(-EIO, "%s: request of type %u at sector %llu ended with status %u",
			      name, type, (unsigned long long)sector, blk->status);
	}
}

/* Data stands in blk->bufs[1..nr_data]. @in: the device writes it, all of it, or the request has
 * failed. */
static int run(struct virtio_blk *blk, uint32_t type, uint64_t sector, unsigned int nr_data,
	       bool in)
{
	int64_t deadline = clock_now_ns() + blk->timeout_ms * NS_PER_MS;
	uint64_t want = 1;
	uint32_t len;
	void *cookie;
	int ret;

	if (blk->dead)
		return refuse(-EIO, "%s was reset after a failure", virtio_vdpa_name(blk->v));
	blk->header = (struct virtio_blk_outhdr){.type = htole32(type), .sector = htole64(sector)};
	blk->status = NO_STATUS;
	blk->bufs[0] = (struct virtio_vdpa_buf){&blk->header, sizeof(blk->header)};
	blk->bufs[nr_data + 1] = (struct virtio_vdpa_buf){&blk->status, 1};
	for (unsigned int i = 1; in && i <= nr_data; i++)
		want += blk->bufs[i].len;
	ret = virtio_vdpa_vq_add(blk->vq, blk->bufs, in ? 1 : nr_data + 1, in ? nr_data + 1 : 1,
				 blk);
	if (ret)
		return ret;
	virtio_vdpa_vq_kick(blk->vq);
	ret = virtio_vdpa_vq_wait(blk->vq, deadline, &cookie, &len);
	if (ret < 0)
		return give_up(blk, ret);
	ret = status_to_errno(blk, type);
	if (!ret && len < want)
		ret = refuse(
			-EIO,
			"%s: request of type %u at sector %llu came back with %u bytes of %llu",
			virtio_vdpa_name(blk->v), type, (unsigned long long)sector, len,
			(unsigned long long)want);
	return ret;
}

/* ---- data ---- */

static int check_range(const struct virtio_blk *blk, uint64_t sector, uint64_t nr)
{
	uint64_t all = blk->info.nr_sectors;

	if (sector > all || nr > all - sector)
		return refuse(-EINVAL, "sectors %llu to %llu are not on %s, which has %llu",
			      (unsigned long long)sector, (unsigned long long)(sector + nr - 1),
			      virtio_vdpa_name(blk->v), (unsigned long long)all);
	return 0;
}

static int check_writable(const struct virtio_blk *blk)
{
	return blk->info.read_only ? refuse(-EROFS, "%s is read-only", virtio_vdpa_name(blk->v))
				   : 0;
}

/* Cut the head of @len bytes at @buf into segments. Return: bytes in them */
static size_t fill_segs(struct virtio_blk *blk, char *buf, size_t len, unsigned int *nr)
{
	size_t done = 0;

	for (*nr = 0; *nr < blk->max_segs && done < len; (*nr)++) {
		size_t part = len - done < blk->seg_len ? len - done : blk->seg_len;

		blk->bufs[1 + *nr] = (struct virtio_vdpa_buf){buf + done, (uint32_t)part};
		done += part;
	}
	return done;
}

static int transfer(struct virtio_blk *blk, uint64_t sector, char *buf, size_t nr, bool in)
{
	size_t len, done;
	unsigned int segs;
	int ret = check_range(blk, sector, nr);

	if (!ret && __builtin_mul_overflow(nr, (size_t)VIRTIO_BLK_SECTOR, &len))
		ret = refuse(-EINVAL, "%zu sectors do not fit into memory", nr);
	while (!ret && len > 0) {
		done = fill_segs(blk, buf, len, &segs);
		ret = run(blk, in ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, sector, segs, in);
		buf += done;
		len -= done;
		sector += done / VIRTIO_BLK_SECTOR;
	}
	return ret;
}

int virtio_blk_read(struct virtio_blk *blk, uint64_t sector, void *buf, size_t nr)
{
	return transfer(blk, sector, buf, nr, true);
}

int virtio_blk_write(struct virtio_blk *blk, uint64_t sector, const void *buf, size_t nr)
{
	int ret = check_writable(blk);

	return ret ? ret : transfer(blk, sector, (char *)(uintptr_t)buf, nr, false);
}

int virtio_blk_flush(struct virtio_blk *blk)
{
	/* Without FLUSH a completed write is a safe one. */
	return blk->info.can_flush ? run(blk, VIRTIO_BLK_T_FLUSH, 0, 0, false) : 0;
}

int virtio_blk_get_id(struct virtio_blk *blk, char id[VIRTIO_BLK_ID_LEN + 1])
{
	char answer[VIRTIO_BLK_ID_LEN] = {0};
	int ret;

	blk->bufs[1] = (struct virtio_vdpa_buf){answer, sizeof(answer)};
	ret = run(blk, VIRTIO_BLK_T_GET_ID, 0, 1, true);
	if (ret)
		return ret;
	memcpy(id, answer, sizeof(answer));
	id[VIRTIO_BLK_ID_LEN] = '\0';
	return 0;
}

/* ---- ranges ---- */

static int ranges(struct virtio_blk *blk, uint32_t type, uint64_t sector, uint64_t nr, uint32_t max,
		  uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = {.flags = htole32(flags)};
	int ret = check_writable(blk);

	if (!ret)
		ret = check_range(blk, sector, nr);
	if (!ret && max == 0)
		ret = refuse(-EOPNOTSUPP, "%s does not do requests of type %u",
			     virtio_vdpa_name(blk->v), type);
	while (!ret && nr > 0) {
		uint32_t part = nr < max ? (uint32_t)nr : max;

		r.sector = htole64(sector);
		r.num_sectors = htole32(part);
		blk->bufs[1] = (struct virtio_vdpa_buf){&r, sizeof(r)};
		ret = run(blk, type, 0, 1, false);
		sector += part;
		nr -= part;
	}
	return ret;
}

int virtio_blk_discard(struct virtio_blk *blk, uint64_t sector, uint64_t nr)
{
	return ranges(blk, VIRTIO_BLK_T_DISCARD, sector, nr, blk->info.max_discard_sectors, 0);
}

int virtio_blk_write_zeroes(struct virtio_blk *blk, uint64_t sector, uint64_t nr, bool unmap)
{
	bool flag = unmap && blk->info.write_zeroes_may_unmap;

	return ranges(blk, VIRTIO_BLK_T_WRITE_ZEROES, sector, nr,
		      blk->info.max_write_zeroes_sectors,
		      flag ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0);
}
