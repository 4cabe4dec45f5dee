// SPDX-License-Identifier: BSD-3-Clause
/* The simulated disk in default mode: requests, their limits, hostile ones, and a model. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "blk_support.h"
#include "parents/sim/simblk_internal.h"

#define SMALL (1u << 20) /* bytes */

static uint8_t zeros[4096];

static struct vdpa_dev_config small_config(void)
{
	struct vdpa_dev_config c = blk_config();

	c.given |= VDPA_KEY_CAPACITY;
	c.capacity = SMALL;
	return c;
}

static void start_small(struct rig *rig, uint64_t features)
{
	struct vdpa_dev_config c = small_config();

	rig_make(rig, &c);
	rig_start(rig, features, 1, 64);
}

static void config_tells_size_limits_and_queues(void **state)
{
	struct vdpa_dev_config c = small_config();
	uint8_t space[BLK_CONFIG], other = 0x55;
	struct virtio_blk_config config;
	struct rig rig;

	(void)state;
	c.num_queues = 4;
	rig_make(&rig, &c);
	assert_int_equal(rig.dev->nvqs, 4);
	assert_int_equal(rig_op(&rig, get_device_id), 2);
	assert_int_equal(rig_op(&rig, get_config_size), BLK_CONFIG);
	rig_do(&rig, set_config, 0, &other, 1);
	rig_do(&rig, get_config, 0, space, sizeof(space));
	memcpy(&config, space, sizeof(config));
	assert_int_equal(config.capacity, SMALL / SECTOR);
	assert_int_equal(config.num_queues, 4);
	assert_int_equal(config.blk_size, 512);
	assert_int_equal(config.seg_max, 254);
	assert_int_equal(config.size_max, 256 * 1024);
	assert_int_equal(config.physical_block_exp, 3);
	assert_int_equal(config.max_discard_seg, 16);
	assert_int_equal(config.write_zeroes_may_unmap, 1);
	rig_do(&rig, get_config, BLK_CONFIG - 1, &other, 1);
	assert_int_equal(other, 0);
	assert_int_equal(rig_op(&rig, get_device_features) & BIT(VIRTIO_BLK_F_RO), 0);
	rig_destroy(&rig);
}

static void every_type_does_its_work(void **state)
{
	uint8_t want[SECTOR * 4], id[20] = "blk0";
	struct rig rig;
	uint32_t used;

	(void)state;
	start_small(&rig, BLK_FEATURES);
	blk_fill(want, sizeof(want), 1);
	memcpy(blk.data, want, sizeof(want));
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_OUT, 7, sizeof(want), &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 1);
	blk_expect(&rig, 7, want, sizeof(want));
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_FLUSH, 0, 0, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 1);
	memset(blk.data, 0xff, 20);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_GET_ID, 0, 20, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 21);
	assert_memory_equal(blk.data, id, 20);
	memset(blk.data, 0xff, 20);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_GET_ID, 0, 3, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 4);
	assert_memory_equal(blk.data, "blk\xff", 4);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 8, 1, 0), VIRTIO_BLK_S_OK);
	memset(want + SECTOR, 0, SECTOR);
	blk_expect(&rig, 7, want, sizeof(want));
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 7, 1, 1), VIRTIO_BLK_S_OK);
	memset(want, 0, SECTOR);
	blk_expect(&rig, 7, want, sizeof(want));
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, 0, 32, 0), VIRTIO_BLK_S_OK);
	blk_expect(&rig, 7, zeros, sizeof(want)); /* of RAM: gone */
	rig_destroy(&rig);
}

static void counters_tell_requests_bytes_and_errors(void **state)
{
	struct rig rig;

	(void)state;
	start_small(&rig, BLK_FEATURES);
	assert_int_equal(rig_counter(&rig, 0, "requests"), 0);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_OUT, 0, 3 * SECTOR, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, 0, SECTOR, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_do(&rig, 99, 0, SECTOR, NULL), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(rig_counter(&rig, 0, "requests"), 3);
	assert_int_equal(rig_counter(&rig, 0, "errors"), 1);
	assert_int_equal(rig_counter(&rig, 0, "written bytes"), 3 * SECTOR);
	assert_int_equal(rig_counter(&rig, 0, "read bytes"), SECTOR);
	rig_destroy(&rig);
}

static void several_discard_ranges_are_checked_before_any_is_done(void **state)
{
	struct virtio_blk_discard_write_zeroes r[2] = {
		{.sector = 0, .num_sectors = 8}, {.sector = SMALL / SECTOR, .num_sectors = 1}};
	uint8_t want[SECTOR];
	struct rig rig;

	(void)state;
	start_small(&rig, BLK_FEATURES);
	blk_fill(want, sizeof(want), 2);
	assert_int_equal(blk_write(&rig, 0, want, SECTOR), VIRTIO_BLK_S_OK);
	memcpy(blk.data, r, sizeof(r));
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_DISCARD, 0, sizeof(r), NULL),
			 VIRTIO_BLK_S_IOERR);
	blk_expect(&rig, 0, want, SECTOR);
	r[1].sector--;
	memcpy(blk.data, r, sizeof(r));
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_DISCARD, 0, sizeof(r), NULL), VIRTIO_BLK_S_OK);
	blk_expect(&rig, 0, zeros, SECTOR);
	rig_destroy(&rig);
}

static void limits_are_errors_and_change_nothing(void **state)
{
	static const uint64_t end = SMALL / SECTOR;
	static const struct {
		uint32_t type;
		uint64_t sector;
		size_t len;
		uint8_t status;
	} cases[] = {
		{VIRTIO_BLK_T_IN, 0, 511, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_OUT, 0, 513, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_IN, 2047, 512, VIRTIO_BLK_S_OK},
		{VIRTIO_BLK_T_IN, 2047, 1024, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_OUT, 2048, 512, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_OUT, UINT64_MAX, 512, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_OUT, UINT64_MAX / 512 + 1, 512, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_IN, 1ULL << 63, 512, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, 15, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, 17, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, 256, VIRTIO_BLK_S_OK},
		{VIRTIO_BLK_T_DISCARD, 0, 272, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_WRITE_ZEROES, 0, 32, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_SECURE_ERASE, 0, 16, VIRTIO_BLK_S_UNSUPP},
		{0x12345678, 0, 512, VIRTIO_BLK_S_UNSUPP},
	};
	struct rig rig;
	uint32_t used;

	(void)state;
	start_small(&rig, BLK_FEATURES);
	assert_int_equal(end, 2048);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		memset(blk.data, 0, 1024);
		assert_int_equal(blk_do(&rig, cases[i].type, cases[i].sector, cases[i].len, &used),
				 cases[i].status);
		assert_int_equal(used, cases[i].status || cases[i].type == VIRTIO_BLK_T_DISCARD
					       ? 1
					       : cases[i].len + 1);
	}
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, 2047, 2, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, UINT64_MAX, 2, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, 0, 1, 1), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 2048, 1, 0),
			 VIRTIO_BLK_S_IOERR);
	rig_destroy(&rig);
}

/* 65 MiB of a disk of 128 MiB, in pieces that are all the same memory. */
static void too_long_requests_are_errors(void **state)
{
	struct vdpa_dev_config c = blk_config();
	unsigned int nr = 2 + (64u << 20) / DATA_LEN;
	struct ring_driver_seg *segs = calloc(nr + 1, sizeof(*segs));
	struct rig rig;

	(void)state;
	c.vq_size = 512;
	rig_make(&rig, &c);
	rig_start(&rig, BLK_FEATURES, 1, 512);
	segs[0] = blk_seg(&rig, blk.header, 16);
	for (unsigned int i = 1; i < nr; i++)
		segs[i] = blk_seg(&rig, blk.data, DATA_LEN);
	segs[nr] = blk_seg(&rig, blk.status, 1);
	segs[nr - 1].len = SECTOR;
	blk_header(VIRTIO_BLK_T_OUT, 0);
	assert_int_equal(blk_run(&rig, 0, segs, nr, 1), 1);
	assert_int_equal(*blk.status, VIRTIO_BLK_S_IOERR);
	segs[nr - 1] = segs[nr]; /* without the last sector it is as long as one may be */
	blk_header(VIRTIO_BLK_T_OUT, 0);
	assert_int_equal(blk_run(&rig, 0, segs, nr - 1, 1), 1);
	assert_int_equal(*blk.status, VIRTIO_BLK_S_OK);
	free(segs);
	rig_destroy(&rig);
}

static void types_not_negotiated_are_unsupported(void **state)
{
	struct rig rig;

	(void)state;
	start_small(&rig, BASE_FEATURES);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(blk_write(&rig, 0, zeros, SECTOR), VIRTIO_BLK_S_OK);
	rig_destroy(&rig);
}

static void malformed_requests_are_completed(void **state)
{
	struct ring_driver_seg head, status, data;
	struct ring_driver_seg segs[3];
	struct rig rig;

	(void)state;
	start_small(&rig, BLK_FEATURES);
	head = blk_seg(&rig, blk.header, 16);
	status = blk_seg(&rig, blk.status, 1);
	data = blk_seg(&rig, blk.data, SECTOR);

	blk_header(VIRTIO_BLK_T_IN, 0); /* no header at all */
	assert_int_equal(blk_run(&rig, 0, &status, 0, 1), 1);
	assert_int_equal(*blk.status, VIRTIO_BLK_S_IOERR);
	blk_header(VIRTIO_BLK_T_IN, 0); /* too short a header */
	segs[0] = blk_seg(&rig, blk.header, 15);
	segs[1] = status;
	assert_int_equal(blk_run(&rig, 0, segs, 1, 1), 1);
	assert_int_equal(*blk.status, VIRTIO_BLK_S_IOERR);
	blk_header(VIRTIO_BLK_T_OUT, 0); /* no room for a status: not carried out */
	memset(blk.data, 0x77, SECTOR);
	segs[0] = head;
	segs[1] = data;
	assert_int_equal(blk_run(&rig, 0, segs, 2, 0), 0);
	assert_int_equal(*blk.status, NO_STATUS);
	blk_expect(&rig, 0, zeros, SECTOR);
	blk_header(VIRTIO_BLK_T_IN, 0); /* a read of nothing */
	segs[0] = head;
	segs[1] = status;
	assert_int_equal(blk_run(&rig, 0, segs, 1, 1), 1);
	assert_int_equal(*blk.status, VIRTIO_BLK_S_OK);
	assert_int_equal(rig_op(&rig, get_status), 0xf);
	rig_destroy(&rig);
}

/* A table with everything but one part of the request. */
static void map_without(struct rig *rig, const void *missing)
{
	const void *const parts[] = {blk.header, blk.status, blk.data, rig->vq[0].mem};
	const size_t lens[] = {4096, 4096, DATA_LEN, rig->vq[0].mem_len};
	const struct iotlb_version *v;
	struct memory_region *mem;
	struct iotlb *tlb;

	assert_int_equal(iotlb_create(8, &tlb), 0);
	for (int i = 0; i < 4; i++) {
		uint64_t first = (uintptr_t)parts[i];

		if (parts[i] == missing)
			continue;
		assert_int_equal(
			memory_region_create(rig->space, first, lens[i], true, MEMORY_VA, &mem), 0);
		assert_int_equal(iotlb_map(tlb, first, first + lens[i] - 1, mem, 0, IOTLB_RW), 0);
		memory_region_put(mem);
	}
	v = iotlb_snapshot(tlb);
	assert_int_equal(rig_op(rig, set_map, 0, v), 0);
	iotlb_version_put(v);
	iotlb_destroy(tlb);
}

static void requests_with_unmapped_parts_end_with_status_and_interrupt(void **state)
{
	struct rig rig;
	uint32_t used;

	(void)state;
	start_small(&rig, BLK_FEATURES);
	map_without(&rig, blk.data);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, 0, SECTOR, &used), VIRTIO_BLK_S_IOERR);
	assert_int_equal(used, 1);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_OUT, 0, SECTOR, &used), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_GET_ID, 0, 20, &used), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_DISCARD, 0, 16, &used), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_FLUSH, 0, SECTOR, &used), VIRTIO_BLK_S_OK);
	map_without(&rig, blk.header);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, 0, SECTOR, &used), VIRTIO_BLK_S_IOERR);
	assert_int_equal(used, 1);
	map_without(&rig, blk.status);
	memset(blk.data, 0x77, SECTOR);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_OUT, 0, SECTOR, &used), NO_STATUS);
	assert_int_equal(used, 0);
	map_without(&rig, NULL);
	blk_expect(&rig, 0, zeros, SECTOR); /* nothing of it was done */
	assert_int_equal(rig_op(&rig, get_status), 0xf);
	rig_destroy(&rig);
}

static void vanished_memory_breaks_the_queue_until_reset(void **state)
{
	struct ring_driver_seg segs[3];
	uint8_t want[SECTOR];
	struct rig rig;
	void *gone;

	(void)state;
	rig_take_signals();
	start_small(&rig, BLK_FEATURES);
	blk_fill(want, sizeof(want), 3);
	assert_int_equal(blk_write(&rig, 5, want, SECTOR), VIRTIO_BLK_S_OK);
	gone = blk_pages(4096);
	blk_header(VIRTIO_BLK_T_IN, 5);
	segs[0] = blk_seg(&rig, blk.header, 16);
	segs[1] = blk_seg(&rig, gone, SECTOR);
	segs[2] = blk_seg(&rig, blk.status, 1);
	rig_vanish(gone, 4096);
	assert_int_equal(ring_driver_add(rig.vq[0].drv, segs, 1, 2, blk.header, NULL, 0), 0);
	rig_publish(&rig, 0);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_reset(&rig);
	rig_start(&rig, BLK_FEATURES, 1, 64);
	blk_expect(&rig, 5, want, SECTOR); /* and the contents are there */
	rig_destroy(&rig);
}

static void read_only_disk_refuses_every_change(void **state)
{
	struct vdpa_dev_config c = small_config();
	uint64_t features;
	struct rig rig;

	(void)state;
	c.read_only = true;
	rig_make(&rig, &c);
	features = rig_op(&rig, get_device_features);
	assert_true(features & BIT(VIRTIO_BLK_F_RO));
	assert_false(features & (BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES)));
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_BLK_F_RO) | BIT(VIRTIO_BLK_F_FLUSH), 1, 64);
	memset(blk.data, 0x77, SECTOR);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_OUT, 0, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_FLUSH, 0, 0, NULL), VIRTIO_BLK_S_OK);
	blk_expect(&rig, 0, zeros, SECTOR);
	rig_destroy(&rig);
}

static void queues_on_several_workers_share_one_disk(void **state)
{
	struct vdpa_dev_config c = small_config();
	struct virtio_blk_outhdr *headers = blk_pages(4096);
	uint8_t *status = blk_pages(4096), *data = blk_pages(8 * 4096);
	struct rig rig;
	uint32_t used;

	(void)state;
	c.num_queues = 8;
	c.workers = 3;
	rig_make(&rig, &c);
	rig_start(&rig, BLK_FEATURES | BIT(VIRTIO_BLK_F_MQ), 8, 16);
	blk_fill(data, 8 * 4096, 4);
	for (uint16_t i = 0; i < 8; i++) {
		struct ring_driver_seg segs[3];

		headers[i] = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_OUT, .sector = i * 8u};
		status[i] = NO_STATUS;
		segs[0] = blk_seg(&rig, &headers[i], 16);
		segs[1] = blk_seg(&rig, data + (size_t)i * 4096, 4096);
		segs[2] = blk_seg(&rig, &status[i], 1);
		assert_int_equal(ring_driver_add(rig.vq[i].drv, segs, 2, 1, &headers[i], NULL, 0),
				 0);
		rig_publish(&rig, i);
	}
	for (uint16_t i = 0; i < 8; i++) {
		assert_ptr_equal(rig_get(&rig, i, &used), &headers[i]);
		assert_int_equal(status[i], VIRTIO_BLK_S_OK);
	}
	blk_expect(&rig, 0, data, (size_t)8 * 4096);
	rig_destroy(&rig);
}

static void reset_keeps_the_contents_and_a_new_disk_is_empty(void **state)
{
	uint8_t want[SECTOR];
	struct rig rig;

	(void)state;
	blk_fill(want, sizeof(want), 5);
	start_small(&rig, BLK_FEATURES);
	assert_int_equal(blk_write(&rig, 9, want, SECTOR), VIRTIO_BLK_S_OK);
	rig_reset(&rig);
	rig_start(&rig, BLK_FEATURES | BIT(VIRTIO_F_RING_PACKED), 1, 64);
	blk_expect(&rig, 9, want, SECTOR);
	rig_destroy(&rig);
	start_small(&rig, BLK_FEATURES);
	blk_expect(&rig, 9, zeros, SECTOR);
	rig_destroy(&rig);
}

static void full_ring_is_served_after_one_kick(void **state)
{
	struct ring_driver_seg segs[2];
	struct rig rig;
	uint32_t used;

	(void)state;
	start_small(&rig, BLK_FEATURES);
	blk_header(VIRTIO_BLK_T_FLUSH, 0);
	segs[0] = blk_seg(&rig, blk.header, 16);
	segs[1] = blk_seg(&rig, blk.status, 1);
	for (int i = 0; i < 32; i++)
		assert_int_equal(ring_driver_add(rig.vq[0].drv, segs, 1, 1, blk.header, NULL, 0),
				 0);
	rig_publish(&rig, 0);
	for (int i = 0; i < 32; i++) {
		assert_ptr_equal(rig_get(&rig, 0, &used), blk.header);
		assert_int_equal(used, 1);
	}
	rig_destroy(&rig);
}

static void bad_options_are_refused_in_words(void **state)
{
	struct vdpa_dev_config c = small_config();

	(void)state;
	c.capacity = SMALL + 1;
	blk_refused(&c, -EINVAL, "multiple of 512");
	c = small_config();
	c.given |= VDPA_KEY_BACKEND;
	strncpy(c.backend, "tape", sizeof(c.backend) - 1);
	blk_refused(&c, -EINVAL, "backend 'tape' is not known (ram, file)");
	strncpy(c.backend, "ram,x=1", sizeof(c.backend) - 1);
	blk_refused(&c, -EINVAL, "takes no options");
	c = small_config();
	c.given |= VDPA_KEY_FEATURES;
	c.features = BASE_FEATURES | BIT(17); /* nobody offers zones */
	blk_refused(&c, -EINVAL, "are not among the device's");
	c = small_config();
	c.num_queues = 257;
	blk_refused(&c, -EINVAL, "num_queues 257");
}

/* ---- a plain buffer as the model ---- */

struct combo {
	uint64_t features;
	uint16_t num;
	bool indirect;
};

static uint8_t model[SMALL];
static uint32_t seed = 42;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % below;
}

/* @len bytes at @p in random pieces. Return: how many */
static unsigned int cut(struct rig *rig, struct ring_driver_seg *segs, const uint8_t *p, size_t len)
{
	unsigned int n = 0;

	while (len > 0) {
		size_t part = n == 6 ? len : 1 + rnd((uint32_t)len);

		segs[n++] = blk_seg(rig, p, part);
		p += part;
		len -= part;
	}
	return n;
}

static void transfer(struct rig *rig, const struct combo *c, bool write, uint64_t sector,
		     size_t len)
{
	struct ring_driver_seg segs[32];
	unsigned int n = cut(rig, segs, (const uint8_t *)blk.header, 16), nr_out;
	uint32_t used;

	blk_header(write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, sector);
	if (write)
		n += cut(rig, segs + n, blk.data, len);
	nr_out = n;
	/* the status right behind the data: the last piece may hold both */
	if (!write)
		n += cut(rig, segs + n, blk.data, len + 1);
	else
		segs[n++] = blk_seg(rig, blk.status, 1);
	if (!write)
		blk.data[len] = NO_STATUS;
	assert_int_equal(ring_driver_add(rig->vq[0].drv, segs, nr_out, n - nr_out, blk.header,
					 c->indirect ? blk.table : NULL, rig_iova(rig, blk.table)),
			 0);
	rig_publish(rig, 0);
	assert_ptr_equal(rig_get(rig, 0, &used), blk.header);
	assert_int_equal(used, write ? 1 : len + 1);
	assert_int_equal(write ? *blk.status : blk.data[len], VIRTIO_BLK_S_OK);
}

static void one_step(struct rig *rig, const struct combo *c)
{
	uint64_t nr_all = SMALL / SECTOR, sector = rnd((uint32_t)nr_all);
	uint32_t max = (uint32_t)(nr_all - sector) < 64 ? (uint32_t)(nr_all - sector) : 64;
	uint32_t nr = 1 + rnd(max), what = rnd(8);
	uint8_t *p = model + sector * SECTOR;
	size_t len = (size_t)nr * SECTOR;

	if (what == 0) {
		assert_int_equal(blk_range(rig, VIRTIO_BLK_T_WRITE_ZEROES, sector, nr, rnd(2)),
				 VIRTIO_BLK_S_OK);
		memset(p, 0, len);
	} else if (what <= 3) {
		blk_fill(p, len, rnd(1u << 20));
		memcpy(blk.data, p, len);
		transfer(rig, c, true, sector, len);
	} else {
		memset(blk.data, 0xa5, len);
		transfer(rig, c, false, sector, len);
		assert_memory_equal(blk.data, p, len);
	}
}

static void random_requests_match_a_plain_buffer(void **state)
{
	static const struct combo combos[] = {
		{0, 64, false},
		{BIT(VIRTIO_RING_F_EVENT_IDX), 32, false},
		{BIT(VIRTIO_RING_F_INDIRECT_DESC), 4, true},
		{BIT(VIRTIO_F_RING_PACKED), 33, false},
		{BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX) |
			 BIT(VIRTIO_RING_F_INDIRECT_DESC),
		 16, true},
		{BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER), 64, false},
	};
	struct vdpa_dev_config config = small_config();
	struct rig rig;

	(void)state;
	rig_make(&rig, &config);
	memset(model, 0, sizeof(model));
	for (size_t i = 0; i < ARRAY_LEN(combos); i++) { /* one disk: resets lie between */
		rig_start(&rig, BLK_FEATURES | combos[i].features, 1, combos[i].num);
		for (int step = 0; step < 400; step++)
			one_step(&rig, &combos[i]);
		for (uint64_t at = 0; at < SMALL; at += DATA_LEN)
			blk_expect(&rig, at / SECTOR, model + at, DATA_LEN);
		rig_reset(&rig);
	}
	rig_destroy(&rig);
}

/* ---- anything at all ---- */

static struct ring_driver_seg any_piece(struct rig *rig)
{
	void *const places[] = {blk.header, blk.header, blk.data, blk.status, blk.table};

	return blk_seg(rig, places[rnd(5)], rnd(3) ? 16 * rnd(70) : rnd(1100));
}

/* Pieces of any length and place, of which blk.table is not mapped, with headers of any
 * contents. */
static void any_request(struct rig *rig, uint32_t round)
{
	static const uint64_t sectors[] = {0, 1, SMALL / SECTOR - 1, SMALL / SECTOR, UINT64_MAX};
	static const uint32_t types[] = {0, 1, 4, 8, 11, 13, 99};
	struct virtio_blk_discard_write_zeroes r = {
		.sector = sectors[rnd(5)], .num_sectors = rnd(4), .flags = rnd(8) / 6};
	struct ring_driver_seg segs[8];
	unsigned int nr_out = rnd(5), nr_in = rnd(4), n = 0;
	uint64_t in_len = 0;
	uint32_t used;

	blk_header(types[rnd(7)], sectors[rnd(5)]);
	memcpy(blk.header + 1, &r, sizeof(r)); /* what a long first piece takes for ranges */
	nr_in += nr_out + nr_in == 0;
	for (; n < nr_out; n++)
		segs[n] = n == 0 && rnd(2) ? blk_seg(rig, blk.header, 16 + 16 * rnd(3))
					   : any_piece(rig);
	for (; n < nr_out + nr_in; n++) {
		segs[n] = any_piece(rig);
		in_len += segs[n].len;
	}
	assert_int_equal(ring_driver_add(rig->vq[0].drv, segs, nr_out, nr_in, blk.header, NULL, 0),
			 0);
	rig_publish(rig, 0);
	if (!rig_get(rig, 0, &used))
		fail_msg("request %u hangs", round);
	assert_true(used <= in_len);
}

static void any_request_at_all_is_completed(void **state)
{
	static const uint64_t features[] = {0, BIT(VIRTIO_RING_F_EVENT_IDX),
					    BIT(VIRTIO_F_RING_PACKED)};
	uint8_t want[SECTOR];
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		start_small(&rig, BLK_FEATURES | features[i]);
		map_without(&rig, NULL);
		for (uint32_t round = 0; round < 3000; round++)
			any_request(&rig, round);
		assert_int_equal(rig_op(&rig, get_status), 0xf);
		blk_fill(want, sizeof(want), 8);
		assert_int_equal(blk_write(&rig, 3, want, SECTOR), VIRTIO_BLK_S_OK);
		blk_expect(&rig, 3, want, SECTOR);
		rig_destroy(&rig);
	}
}

/* ---- the length of a batch ---- */

static struct {
	uint64_t in_batch, worst, total; /* bytes that went through the backend */
	unsigned int nr_calls;
} counted;
static pthread_mutex_t counted_lock = PTHREAD_MUTEX_INITIALIZER;

static void count_bytes(uint64_t len)
{
	pthread_mutex_lock(&counted_lock);
	counted.in_batch += len;
	counted.total += len;
	counted.nr_calls++;
	if (counted.in_batch > counted.worst)
		counted.worst = counted.in_batch;
	pthread_mutex_unlock(&counted_lock);
}

static uint64_t iov_total(const struct iovec *iov, unsigned int n)
{
	uint64_t len = 0;

	for (unsigned int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

static bool counted_process(struct vdpasim_vq *vq)
{
	pthread_mutex_lock(&counted_lock);
	counted.in_batch = 0;
	pthread_mutex_unlock(&counted_lock);
	return simblk_type.process(vq);
}

static int counted_read(struct simblk *b, uint64_t off, struct iovec *iov, unsigned int n)
{
	count_bytes(iov_total(iov, n));
	return simblk_ram.read(b, off, iov, n);
}

static int counted_write(struct simblk *b, uint64_t off, struct iovec *iov, unsigned int n)
{
	count_bytes(iov_total(iov, n));
	return simblk_ram.write(b, off, iov, n);
}

static int counted_discard(struct simblk *b, uint64_t off, uint64_t len)
{
	count_bytes(len);
	return simblk_ram.discard(b, off, len);
}

static int counted_zero(struct simblk *b, uint64_t off, uint64_t len, bool unmap)
{
	count_bytes(len);
	return simblk_ram.zero(b, off, len, unmap);
}

/* A disk whose batches are counted. */
static void start_counted(struct rig *rig)
{
	static struct simblk_backend_ops backend;
	static struct vdpasim_type type;
	struct vdpa_dev_config c = blk_config();
	struct vdpasim *sim;

	rig_make(rig, &c);
	sim = (struct vdpasim *)(void *)rig->dev; /* embedded first */
	backend = simblk_ram;
	backend.read = counted_read;
	backend.write = counted_write;
	backend.discard = counted_discard;
	backend.zero = counted_zero;
	simblk_of(sim)->backend = &backend;
	type = simblk_type;
	type.process = counted_process;
	sim->type = &type;
	rig_start(rig, BLK_FEATURES, 1, 64);
}

/* @type over @len bytes of data at @sector, in pieces that are all the same memory. */
static uint8_t long_transfer(struct rig *rig, uint32_t type, uint64_t sector, uint64_t len)
{
	struct ring_driver_seg segs[64] = {blk_seg(rig, blk.header, 16)};
	unsigned int n = 1;
	bool in = type == VIRTIO_BLK_T_IN;

	blk_header(type, sector);
	for (; len > 0; len -= DATA_LEN)
		segs[n++] = blk_seg(rig, blk.data, DATA_LEN);
	segs[n] = blk_seg(rig, blk.status, 1);
	(void)blk_run(rig, 0, segs, in ? 1 : n, in ? n : 1);
	return *blk.status;
}

static void forget_counted(void)
{
	pthread_mutex_lock(&counted_lock);
	memset(&counted, 0, sizeof(counted));
	pthread_mutex_unlock(&counted_lock);
}

static void expect_counted(uint64_t total)
{
	pthread_mutex_lock(&counted_lock);
	assert_int_equal(counted.total, total);
	assert_true(counted.worst <= SIMBLK_BATCH_LEN);
	pthread_mutex_unlock(&counted_lock);
	forget_counted();
}

static void long_request_is_done_in_pieces(void **state)
{
	const uint64_t len = 12u << 20, sectors = len / SECTOR;
	static uint8_t ones[SECTOR];
	struct virtio_blk_discard_write_zeroes r[16];
	struct rig rig;

	(void)state;
	memset(ones, 1, sizeof(ones));
	start_counted(&rig);
	forget_counted();
	memset(blk.data, 1, DATA_LEN);
	assert_int_equal(long_transfer(&rig, VIRTIO_BLK_T_OUT, 1, len), VIRTIO_BLK_S_OK);
	expect_counted(len);
	blk_expect(&rig, sectors, ones, SECTOR); /* the last one */
	memset(blk.data, 0, DATA_LEN);
	forget_counted();
	assert_int_equal(long_transfer(&rig, VIRTIO_BLK_T_IN, 1, len), VIRTIO_BLK_S_OK);
	expect_counted(len);
	assert_memory_equal(blk.data + DATA_LEN - SECTOR, ones, SECTOR);

	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 2, (uint32_t)sectors - 2, 0),
			 VIRTIO_BLK_S_OK);
	expect_counted(len - 2 * SECTOR);
	blk_expect(&rig, 1, ones, SECTOR);
	blk_expect(&rig, 2, zeros, SECTOR);
	blk_expect(&rig, sectors - 1, zeros, SECTOR);
	blk_expect(&rig, sectors, ones, SECTOR);

	/* ranges from the end to the start, one of them empty */
	forget_counted();
	for (uint32_t i = 0; i < 16; i++)
		r[i] = (struct virtio_blk_discard_write_zeroes){.sector = (15 - i) * 3000,
								.num_sectors = i == 4 ? 0 : 3000};
	memcpy(blk.data, r, sizeof(r));
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_DISCARD, 0, sizeof(r), NULL), VIRTIO_BLK_S_OK);
	expect_counted(15ULL * 3000 * SECTOR);
	blk_expect(&rig, 1, zeros, SECTOR);
	blk_expect(&rig, sectors, zeros, SECTOR);
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_tells_size_limits_and_queues),
		cmocka_unit_test(long_request_is_done_in_pieces),
		cmocka_unit_test(every_type_does_its_work),
		cmocka_unit_test(counters_tell_requests_bytes_and_errors),
		cmocka_unit_test(several_discard_ranges_are_checked_before_any_is_done),
		cmocka_unit_test(limits_are_errors_and_change_nothing),
		cmocka_unit_test(too_long_requests_are_errors),
		cmocka_unit_test(types_not_negotiated_are_unsupported),
		cmocka_unit_test(malformed_requests_are_completed),
		cmocka_unit_test(requests_with_unmapped_parts_end_with_status_and_interrupt),
		cmocka_unit_test(vanished_memory_breaks_the_queue_until_reset),
		cmocka_unit_test(read_only_disk_refuses_every_change),
		cmocka_unit_test(queues_on_several_workers_share_one_disk),
		cmocka_unit_test(reset_keeps_the_contents_and_a_new_disk_is_empty),
		cmocka_unit_test(full_ring_is_served_after_one_kick),
		cmocka_unit_test(bad_options_are_refused_in_words),
		cmocka_unit_test(random_requests_match_a_plain_buffer),
		cmocka_unit_test(any_request_at_all_is_completed),
	};

	return rig_guard_install() ? 1 : cmocka_run_group_tests(tests, blk_setup, NULL);
}
