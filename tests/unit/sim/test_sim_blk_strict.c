// SPDX-License-Identifier: BSD-3-Clause
/* The simulated disk with `quirks linux-6.12`: sections [7-1] to [7-9], [7-12] and [7-13], a case a
 * clause. */
#include <errno.h>
#include <string.h>

#include "blk_support.h"

#define FEATURES 0x308007646ULL
#define SECTORS  0x40000ULL

static uint8_t zeros[4096];

static struct vdpa_dev_config strict_config(void)
{
	struct vdpa_dev_config c = blk_config();

	c.profile = PROFILE_LINUX_6_12;
	c.compat_reset = true;
	c.max_iotlb_entries = 2048;
	return c;
}

static void make(struct rig *rig)
{
	struct vdpa_dev_config c = strict_config();

	rig_make(rig, &c);
}

static void start(struct rig *rig)
{
	make(rig);
	rig_start(rig, FEATURES, 1, 64);
}

/* [7-12], [7-9], [1-18] */
static void blk_7_12_device_is_as_the_kernels(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	assert_int_equal(rig.dev->nvqs, 1);
	assert_null(rig.ops->get_vendor_vq_stats); /* [7-13] */
	assert_int_equal(rig.dev->ngroups, 1);
	assert_int_equal(rig.dev->nas, 1);
	assert_true(rig_op(&rig, get_device_features) == FEATURES);
	assert_int_equal(rig_op(&rig, get_vendor_id), 0);
	assert_int_equal(rig_op(&rig, get_config_size), BLK_CONFIG);
	assert_int_equal(rig_op(&rig, get_vq_num_max), 256);
	assert_int_equal(rig_op(&rig, set_driver_features, BIT(VIRTIO_F_VERSION_1)), -EINVAL);
	assert_true(rig_op(&rig, get_iova_range).last == UINT64_MAX);
	rig_destroy(&rig);
}

/* [7-12] */
static void blk_7_12_config_is_rebuilt_at_every_read(void **state)
{
	uint8_t space[BLK_CONFIG], want[BLK_CONFIG] = {0}, ones[BLK_CONFIG];
	struct virtio_blk_config c = {
		.capacity = SECTORS,
		.size_max = 4096,
		.seg_max = 32,
		.blk_size = 512,
		.min_io_size = 1,
		.opt_io_size = 1,
		.num_queues = 1,
		.max_discard_sectors = UINT32_MAX,
		.max_discard_seg = 1,
		.discard_sector_alignment = 512,
		.max_write_zeroes_sectors = UINT32_MAX,
		.max_write_zeroes_seg = 1,
	};
	struct rig rig;

	(void)state;
	make(&rig);
	memcpy(want, &c, sizeof(c));
	memset(ones, 0xff, sizeof(ones));
	rig_do(&rig, get_config, 0, space, sizeof(space));
	assert_memory_equal(space, want, sizeof(space));
	rig_do(&rig, set_config, 0, ones, sizeof(ones));
	rig_do(&rig, get_config, 0, space, sizeof(space));
	assert_memory_equal(space, want, sizeof(space));
	rig_destroy(&rig);
}

/* [7-13] */
static void blk_7_13_requests_work(void **state)
{
	uint8_t want[SECTOR * 3], id[20] = "vdpa_blk_sim";
	struct rig rig;
	uint32_t used;

	(void)state;
	start(&rig);
	blk_fill(want, sizeof(want), 1);
	memcpy(blk.data, want, sizeof(want));
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_OUT, 100, sizeof(want), &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 1);
	blk_expect(&rig, 100, want, sizeof(want));
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_GET_ID, 0, 20, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 21);
	assert_memory_equal(blk.data, id, 20);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_FLUSH, 0, 0, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 1);
	rig_destroy(&rig);
}

/* [7-13]: checked, and the data stays; WRITE_ZEROES writes them */
static void blk_7_13_discard_leaves_data_and_write_zeroes_does_not(void **state)
{
	uint8_t want[SECTOR];
	struct rig rig;

	(void)state;
	start(&rig);
	blk_fill(want, sizeof(want), 2);
	assert_int_equal(blk_write(&rig, 8, want, SECTOR), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, 0, SECTORS, 0), VIRTIO_BLK_S_OK);
	blk_expect(&rig, 8, want, SECTOR);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 8, 1, 1), VIRTIO_BLK_S_OK);
	blk_expect(&rig, 8, zeros, SECTOR);
	assert_int_equal(blk_write(&rig, 8, want, SECTOR), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 8, 1, 0), VIRTIO_BLK_S_OK);
	blk_expect(&rig, 8, zeros, SECTOR);
	rig_destroy(&rig);
}

/* [7-13] */
static void blk_7_13_statuses_of_bad_requests(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		size_t len;
		uint8_t status;
	} cases[] = {
		{VIRTIO_BLK_T_IN, SECTORS - 1, 512, VIRTIO_BLK_S_OK},
		{VIRTIO_BLK_T_IN, SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_IN, SECTORS, 512, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_OUT, SECTORS + 1, 512, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_OUT, UINT64_MAX, 512, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_OUT, 1ULL << 55, 512, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_IN, SECTORS, 100, VIRTIO_BLK_S_IOERR}, /* not beyond the memory */
		{VIRTIO_BLK_T_FLUSH, 1, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_GET_ID, 1, 20, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 1, 16, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, 0, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, 15, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, 0, 32, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_WRITE_ZEROES, 0, 17, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_SECURE_ERASE, 0, 16, VIRTIO_BLK_S_IOERR},
		{0x4711, 0, 0, VIRTIO_BLK_S_IOERR},
	};
	struct rig rig;
	uint32_t used;

	(void)state;
	start(&rig);
	memset(blk.data, 0, 1024);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(blk_do(&rig, cases[i].type, cases[i].sector, cases[i].len, &used),
				 cases[i].status);
		assert_int_equal(used, cases[i].status ? 1 : cases[i].len + 1);
	}
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, 0, 1, 1), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 1, SECTORS, 0),
			 VIRTIO_BLK_S_IOERR);
	rig_destroy(&rig);
}

/* [7-13]: 131072 sectors are the most; [7-7]: indirect tables are taken, though never offered */
static void blk_7_13_length_limit_in_an_indirect_table(void **state)
{
	unsigned int n = 1 + (64u << 20) / DATA_LEN;
	struct ring_driver_seg segs[300];
	struct rig rig;
	uint32_t used;

	(void)state;
	start(&rig);
	segs[0] = blk_seg(&rig, blk.header, 16);
	for (unsigned int i = 1; i <= n; i++)
		segs[i] = blk_seg(&rig, blk.data, DATA_LEN);
	for (int over = 1; over >= 0; over--) {
		segs[n].len = SECTOR;
		segs[n + (over ? 1 : 0)] = blk_seg(&rig, blk.status, 1);
		blk_header(VIRTIO_BLK_T_OUT, 0);
		assert_int_equal(ring_driver_add(rig.vq[0].drv, segs, n + (over ? 1 : 0), 1,
						 blk.header, blk.table, (uintptr_t)blk.table),
				 0);
		rig_publish(&rig, 0);
		assert_ptr_equal(rig_get(&rig, 0, &used), blk.header);
		assert_int_equal(used, 1);
		assert_int_equal(*blk.status, over ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
	}
	rig_destroy(&rig);
}

/* [7-13]: more than one pass of five from one kick; contents survive resets */
static void blk_7_13_many_requests_and_resets(void **state)
{
	struct ring_driver_seg segs[2];
	uint8_t want[SECTOR];
	struct rig rig;
	uint32_t used;

	(void)state;
	start(&rig);
	blk_fill(want, sizeof(want), 3);
	assert_int_equal(blk_write(&rig, 4, want, SECTOR), VIRTIO_BLK_S_OK);
	blk_header(VIRTIO_BLK_T_FLUSH, 0);
	segs[0] = blk_seg(&rig, blk.header, 16);
	segs[1] = blk_seg(&rig, blk.status, 1);
	for (int i = 0; i < 23; i++)
		assert_int_equal(ring_driver_add(rig.vq[0].drv, segs, 1, 1, blk.header, NULL, 0),
				 0);
	rig_publish(&rig, 0);
	for (int i = 0; i < 23; i++)
		assert_ptr_equal(rig_get(&rig, 0, &used), blk.header);
	rig_reset(&rig);
	rig_start(&rig, FEATURES, 1, 64);
	blk_expect(&rig, 4, want, SECTOR);
	rig_destroy(&rig);
	start(&rig); /* and are lost with the device */
	blk_expect(&rig, 4, zeros, SECTOR);
	rig_destroy(&rig);
}

/* ---- [7-8] ---- */

enum part { HEADER, DATA, STATUS, RING, NOTHING };

static void map_without(struct rig *rig, enum part missing)
{
	void *const parts[] = {blk.header, blk.data, blk.status, rig->vq[0].mem};
	const size_t lens[] = {4096, DATA_LEN, 4096, rig->vq[0].mem_len};
	const struct iotlb_version *v;
	struct memory_region *mem;
	struct iotlb *tlb;

	assert_int_equal(iotlb_create(8, &tlb), 0);
	for (int i = 0; i < 4; i++) {
		uint64_t first = (uintptr_t)parts[i];

		if (i == (int)missing)
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

/* Two reads at one kick, the first with a part that is not mapped. */
static void two_reads(struct rig *rig, enum part missing)
{
	static char cookies[2];
	struct ring_driver_seg segs[3];

	rig_reset(rig);
	rig_negotiate(rig, FEATURES);
	rig_vq_new(rig, 0, 64);
	rig_vq_setup(rig, 0);
	rig_driver_ok(rig);
	map_without(rig, missing);
	blk_header(VIRTIO_BLK_T_IN, 0);
	memset(blk.data, 0xa5, SECTOR);
	segs[0] = blk_seg(rig, blk.header, 16);
	segs[1] = blk_seg(rig, blk.data, SECTOR);
	segs[2] = blk_seg(rig, blk.status, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ring_driver_add(rig->vq[0].drv, segs, 1, 2, &cookies[i], NULL, 0),
				 0);
	(void)rig_wait_fd(rig->vq[0].call_fd, 0); /* forget what came before */
	(void)ring_driver_publish(rig->vq[0].drv);
	rig->ops->kick_vq(rig->dev, 0);
	rig_quiet(rig);
}

static void pass_ends(struct rig *rig, uint32_t used_len, uint8_t status)
{
	uint32_t used;

	assert_non_null(rig_poll(rig, 0, &used));
	assert_int_equal(used, used_len);
	assert_int_equal(*blk.status, status);
	assert_false(rig_wait_fd(rig->vq[0].call_fd, 0));
	assert_null(rig_poll(rig, 0, &used)); /* the other one waits */
	rig->ops->kick_vq(rig->dev, 0);
	rig_quiet(rig);
	assert_non_null(rig_poll(rig, 0, &used));
	assert_int_equal(used, used_len);
	assert_false(rig_wait_fd(rig->vq[0].call_fd, 0));
}

/* One request that is completed with @used_len and no interrupt. */
static void run_untold(struct rig *rig, const struct ring_driver_seg *segs, unsigned int nr_out,
		       unsigned int nr_in, uint32_t used_len)
{
	uint32_t used;

	(void)rig_wait_fd(rig->vq[0].call_fd, 0);
	assert_int_equal(ring_driver_add(rig->vq[0].drv, segs, nr_out, nr_in, rig, NULL, 0), 0);
	rig_publish(rig, 0);
	rig_quiet(rig);
	assert_ptr_equal(rig_poll(rig, 0, &used), rig);
	assert_int_equal(used, used_len);
	assert_false(rig_wait_fd(rig->vq[0].call_fd, 0));
}

static void blk_7_8_header_unreachable(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	two_reads(&rig, HEADER);
	pass_ends(&rig, 0, NO_STATUS);
	assert_int_equal(blk.data[0], 0xa5);
	rig_destroy(&rig);
}

static void blk_7_8_data_unreachable(void **state)
{
	struct rig rig;
	uint32_t used;

	(void)state;
	make(&rig);
	two_reads(&rig, DATA);
	for (int i = 0; i < 2; i++) { /* no pause */
		assert_non_null(rig_poll(&rig, 0, &used));
		assert_int_equal(used, 1);
	}
	assert_int_equal(*blk.status, VIRTIO_BLK_S_IOERR);
	assert_true(rig_wait_fd(rig.vq[0].call_fd, 0));
	rig_destroy(&rig);
}

static void blk_7_8_status_unreachable(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	two_reads(&rig, STATUS);
	pass_ends(&rig, SECTOR, NO_STATUS);
	assert_int_equal(blk.data[0], 0); /* the data came all the same */
	rig_destroy(&rig);
}

/* As seen on the kernel: data goes as far as the first descriptor that is not mapped. After a read
 * that got somewhere the status is out of reach, after a write it is not. */
static void blk_7_8_data_reachable_in_part(void **state)
{
	struct ring_driver_seg segs[4];
	uint8_t want[SECTOR];
	struct rig rig;
	uint32_t used;

	(void)state;
	make(&rig);
	two_reads(&rig, NOTHING);
	assert_non_null(rig_get(&rig, 0, &used));
	assert_non_null(rig_get(&rig, 0, &used));
	blk_fill(want, sizeof(want), 6);
	memcpy(blk.data, want, sizeof(want));
	segs[0] = blk_seg(&rig, blk.header, 16);
	segs[1] = blk_seg(&rig, blk.data, SECTOR);
	segs[2] = blk_seg(&rig, blk.table, SECTOR); /* is not mapped */
	segs[3] = blk_seg(&rig, blk.status, 1);
	blk_header(VIRTIO_BLK_T_OUT, 7);
	assert_int_equal(blk_run(&rig, 0, segs, 3, 1), 1);
	assert_int_equal(*blk.status, VIRTIO_BLK_S_IOERR);
	blk_expect(&rig, 7, want, SECTOR);
	memset(blk.data, 0xa5, SECTOR);
	blk_header(VIRTIO_BLK_T_IN, 7);
	run_untold(&rig, segs, 1, 3, 0);
	assert_int_equal(*blk.status, NO_STATUS);
	assert_memory_equal(blk.data, want, SECTOR);
	rig_destroy(&rig);
}

/* [7-13], as seen on the kernel: the name is 20 bytes, whatever the room, and runs over the
 * status */
static void blk_7_13_get_id_with_little_room_loses_the_status(void **state)
{
	struct ring_driver_seg segs[3];
	struct rig rig;

	(void)state;
	start(&rig);
	segs[0] = blk_seg(&rig, blk.header, 16);
	segs[1] = blk_seg(&rig, blk.data, 10);
	segs[2] = blk_seg(&rig, blk.status, 1);
	blk_header(VIRTIO_BLK_T_GET_ID, 0);
	run_untold(&rig, segs, 1, 2, 11);
	assert_memory_equal(blk.data, "vdpa_blk_s", 10);
	assert_int_equal(*blk.status, 'i');
	segs[1].len = 19;
	run_untold(&rig, segs, 1, 2, 20);
	assert_int_equal(*blk.status, 0);
	segs[1].len = 20;
	assert_int_equal(blk_run(&rig, 0, segs, 1, 2), 21);
	rig_destroy(&rig);
}

static void blk_7_8_everything_reachable(void **state)
{
	struct rig rig;
	uint32_t used;

	(void)state;
	make(&rig);
	two_reads(&rig, NOTHING);
	for (int i = 0; i < 2; i++) {
		assert_non_null(rig_poll(&rig, 0, &used));
		assert_int_equal(used, SECTOR + 1);
	}
	assert_int_equal(*blk.status, VIRTIO_BLK_S_OK);
	assert_true(rig_wait_fd(rig.vq[0].call_fd, 0));
	rig_destroy(&rig);
}

static void blk_7_8_ring_unreachable(void **state)
{
	struct rig rig;
	uint32_t used;

	(void)state;
	make(&rig);
	two_reads(&rig, RING);
	assert_null(rig_poll(&rig, 0, &used));
	map_without(&rig, NOTHING);
	rig.ops->kick_vq(rig.dev, 0);
	assert_non_null(rig_get(&rig, 0, &used));
	assert_int_equal(used, SECTOR + 1);
	rig_destroy(&rig);
}

/* [7-2], [7-4]: a compat reset that cleans maps makes the one address space 1:1 again */
static void blk_7_4_clean_map_reset_restores_one_to_one(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	two_reads(&rig, DATA);
	assert_int_equal(rig_op(&rig, compat_reset, VDPA_RESET_F_CLEAN_MAP), 0);
	rig_start(&rig, FEATURES, 1, 64);
	blk_expect(&rig, 0, zeros, SECTOR);
	rig_destroy(&rig);
}

static void options_that_the_kernel_lacks_are_refused(void **state)
{
	struct vdpa_dev_config c = strict_config();

	(void)state;
	c.read_only = true;
	blk_refused(&c, -EINVAL, "read_only on");
	c = strict_config();
	c.given |= VDPA_KEY_BACKEND;
	memcpy(c.backend, "file,path=x", 12);
	blk_refused(&c, -EINVAL, "is 'ram'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blk_7_12_device_is_as_the_kernels),
		cmocka_unit_test(blk_7_12_config_is_rebuilt_at_every_read),
		cmocka_unit_test(blk_7_13_requests_work),
		cmocka_unit_test(blk_7_13_discard_leaves_data_and_write_zeroes_does_not),
		cmocka_unit_test(blk_7_13_statuses_of_bad_requests),
		cmocka_unit_test(blk_7_13_length_limit_in_an_indirect_table),
		cmocka_unit_test(blk_7_13_many_requests_and_resets),
		cmocka_unit_test(blk_7_8_header_unreachable),
		cmocka_unit_test(blk_7_8_data_unreachable),
		cmocka_unit_test(blk_7_8_status_unreachable),
		cmocka_unit_test(blk_7_8_everything_reachable),
		cmocka_unit_test(blk_7_8_ring_unreachable),
		cmocka_unit_test(blk_7_8_data_reachable_in_part),
		cmocka_unit_test(blk_7_13_get_id_with_little_room_loses_the_status),
		cmocka_unit_test(blk_7_4_clean_map_reset_restores_one_to_one),
		cmocka_unit_test(options_that_the_kernel_lacks_are_refused),
	};

	return cmocka_run_group_tests(tests, blk_setup, NULL);
}
