// SPDX-License-Identifier: BSD-3-Clause
#include "blk_support.h"

#include <string.h>
#include <sys/mman.h>

struct blk_memory blk;

void *blk_pages(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

int blk_setup(void **state)
{
	(void)state;
	blk.header = blk_pages(4096);
	blk.status = blk_pages(4096);
	blk.data = blk_pages(DATA_LEN);
	blk.table = blk_pages(16 * 1024);
	return 0;
}

struct vdpa_dev_config blk_config(void)
{
	struct vdpa_dev_config c = rig_config();

	memcpy(c.name, "blk0", 5);
	memcpy(c.mgmtdev, "vdpasim_blk", 12);
	c.num_queues = 1;
	return c;
}

void blk_header(uint32_t type, uint64_t sector)
{
	*blk.header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	*blk.status = NO_STATUS;
}

struct ring_driver_seg blk_seg(struct rig *rig, const void *p, size_t len)
{
	return (struct ring_driver_seg){rig_iova(rig, p), (uint32_t)len};
}

uint32_t blk_run(struct rig *rig, uint16_t idx, const struct ring_driver_seg *segs,
		 unsigned int nr_out, unsigned int nr_in)
{
	uint32_t used;

	assert_int_equal(
		ring_driver_add(rig->vq[idx].drv, segs, nr_out, nr_in, blk.header, NULL, 0), 0);
	rig_publish(rig, idx);
	assert_ptr_equal(rig_get(rig, idx, &used), blk.header);
	return used;
}

void blk_begin(struct rig *rig, uint16_t idx, struct blk_request *r, const void *p, size_t len)
{
	struct ring_driver_seg segs[] = {blk_seg(rig, &r->header, sizeof(r->header)),
					 blk_seg(rig, p, len), blk_seg(rig, &r->status, 1)};
	unsigned int nr_out = r->header.type == VIRTIO_BLK_T_IN ? 1 : 2;

	r->status = NO_STATUS;
	assert_int_equal(ring_driver_add(rig->vq[idx].drv, segs, nr_out, 3 - nr_out, r, NULL, 0),
			 0);
}

void blk_begin_flush(struct rig *rig, uint16_t idx, struct blk_request *r)
{
	struct ring_driver_seg segs[] = {blk_seg(rig, &r->header, sizeof(r->header)),
					 blk_seg(rig, &r->status, 1)};

	r->header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_FLUSH};
	r->status = NO_STATUS;
	assert_int_equal(ring_driver_add(rig->vq[idx].drv, segs, 1, 1, r, NULL, 0), 0);
}

void blk_collect(struct rig *rig, uint16_t idx, unsigned int n)
{
	uint32_t used;

	while (n-- > 0) {
		struct blk_request *r = rig_get(rig, idx, &used);

		assert_non_null(r);
		assert_int_equal(r->status, VIRTIO_BLK_S_OK);
	}
}

uint8_t blk_do(struct rig *rig, uint32_t type, uint64_t sector, size_t len, uint32_t *used)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct ring_driver_seg segs[3] = {blk_seg(rig, blk.header, 16),
					  blk_seg(rig, blk.data, len)};
	unsigned int n = len ? 2 : 1;
	uint32_t got;

	blk_header(type, sector);
	segs[n] = blk_seg(rig, blk.status, 1);
	got = blk_run(rig, 0, segs, in ? 1 : n, in ? n : 1);
	if (used)
		*used = got;
	return *blk.status;
}

uint8_t blk_write(struct rig *rig, uint64_t sector, const void *src, size_t len)
{
	memmove(blk.data, src, len);
	return blk_do(rig, VIRTIO_BLK_T_OUT, sector, len, NULL);
}

void blk_expect(struct rig *rig, uint64_t sector, const void *bytes, size_t len)
{
	uint32_t used;

	memset(blk.data, 0xa5, len);
	assert_int_equal(blk_do(rig, VIRTIO_BLK_T_IN, sector, len, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, len + 1);
	assert_memory_equal(blk.data, bytes, len);
}

uint8_t blk_range(struct rig *rig, uint32_t type, uint64_t sector, uint32_t nr, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = {
		.sector = sector, .num_sectors = nr, .flags = flags};

	memcpy(blk.data, &r, sizeof(r));
	return blk_do(rig, type, 0, sizeof(r), NULL);
}

void blk_fill(uint8_t *p, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
}

void blk_refused(const struct vdpa_dev_config *config, int err, const char *what)
{
	struct memory_space *space;
	struct vdpa_bus *bus;
	int ret;

	assert_int_equal(memory_space_create_own(&space), 0);
	assert_int_equal(vdpa_bus_create(space, &bus), 0);
	refuse_clear();
	ret = simblk_mgmt_dev.dev_add(&simblk_mgmt_dev, bus, config);
	if (ret != err || !strstr(refuse_reason(), what))
		fail_msg("dev_add: %d, \"%s\"; wanted %d, \"%s\"", ret, refuse_reason(), err, what);
	vdpa_bus_destroy(bus);
	memory_space_put(space);
}
