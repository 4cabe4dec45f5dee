// SPDX-License-Identifier: BSD-3-Clause
/* The disk driver on real simulated disks, and disks that lie ([7-12], [7-13], [8-2]). */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../vhost_vdpa/recorder.h"
#include "freed.h"
#include "virtio_vdpa/blk.h"

#define SECTOR VIRTIO_BLK_SECTOR
#define BLK    "name disk0 mgmtdev vdpasim_blk "
#define LEN    (3u << 20) /* several requests of any disk here */

static uint8_t data[LEN], back[LEN];
static char file_path[64];

static struct virtio_blk *open_disk(struct bench *b, const char *spec)
{
	struct virtio_blk *blk = NULL;

	bench_make(b, spec);
	if (virtio_blk_open(b->dev, TIMEOUT_MS, &blk))
		fail_msg("%s: %s", spec, refuse_reason());
	return blk;
}

static void close_disk(struct bench *b, struct virtio_blk *blk)
{
	virtio_blk_close(blk);
	bench_destroy(b);
}

static void make_file(off_t len)
{
	int fd;

	snprintf(file_path, sizeof(file_path),
		 "blk-test-XX"
		 "XXXX");
	fd = mkstemp(file_path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, len), 0);
	close(fd);
}

/* ---- data ---- */

static void exercise(const char *spec)
{
	char id[VIRTIO_BLK_ID_LEN + 1];
	struct virtio_blk *blk;
	struct bench b;

	blk = open_disk(&b, spec);
	bench_fill(data, LEN, 1);
	assert_int_equal(virtio_blk_write(blk, 7, data, LEN / SECTOR), 0);
	assert_int_equal(virtio_blk_flush(blk), 0);
	memset(back, 0, LEN);
	assert_int_equal(virtio_blk_read(blk, 7, back, LEN / SECTOR), 0);
	assert_memory_equal(data, back, LEN);
	/* the middle: other sectors stay */
	assert_int_equal(virtio_blk_write_zeroes(blk, 1007, 1000, false), 0);
	memset(data + 1000 * SECTOR, 0, 1000 * SECTOR);
	assert_int_equal(virtio_blk_read(blk, 7, back, LEN / SECTOR), 0);
	assert_memory_equal(data, back, LEN);
	assert_int_equal(virtio_blk_discard(blk, 0, 8), 0);
	assert_int_equal(virtio_blk_get_id(blk, id), 0);
	assert_true(strcmp(id, "disk0") == 0 || strcmp(id, "vdpa_blk_sim") == 0);
	close_disk(&b, blk);
}

static void data_comes_back_on_every_kind_of_disk(void **state)
{
	static const char *const specs[] = {
		BLK,
		BLK "quirks linux-6.12",
		BLK "mapping dma_map memory pinned memlock unlimited",
		BLK "mapping platform",
		BLK "vq_size 2", /* indirect descriptors alone */
		BLK
		"vq_size 4 device_features 0x300007646", /* split, none of the ring's features */
		BLK "device_features 0x310007646 vq_size 8", /* indirect */
		BLK "device_features 0x320007646",           /* event index */
		BLK "device_features 0x700007646",           /* packed */
		BLK "device_features 0xb00007646",           /* in order */
		BLK "num_queues 4 workers 2 capacity 16M",
	};

	for (size_t i = 0; i < ARRAY_LEN(specs); i++)
		exercise(specs[i]);
}

static void file_has_what_was_written(void **state)
{
	struct virtio_blk *blk;
	char spec[128];
	struct bench b;
	int fd;

	make_file(4 << 20);
	snprintf(spec, sizeof(spec), BLK "backend file,path=%s", file_path);
	exercise(spec);
	blk = open_disk(&b, spec);
	bench_fill(data, LEN, 2);
	assert_int_equal(virtio_blk_write(blk, 1, data, LEN / SECTOR), 0);
	close_disk(&b, blk);
	fd = open(file_path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, back, LEN, SECTOR), LEN);
	assert_memory_equal(data, back, LEN);
	close(fd);
	snprintf(spec, sizeof(spec), BLK "read_only on backend file,path=%s", file_path);
	blk = open_disk(&b, spec);
	assert_true(virtio_blk_info(blk)->read_only);
	assert_int_equal(virtio_blk_write(blk, 0, data, 1), -EROFS);
	assert_int_equal(virtio_blk_write_zeroes(blk, 0, 1, false), -EROFS);
	assert_int_equal(virtio_blk_discard(blk, 0, 1), -EROFS);
	assert_int_equal(virtio_blk_read(blk, 1, back, 1), 0);
	close_disk(&b, blk);
	assert_int_equal(unlink(file_path), 0);
}

static void disk_tells_what_it_is(void **state)
{
	const struct virtio_blk_info *info;
	struct virtio_blk *blk;
	struct bench b;

	blk = open_disk(&b, BLK "quirks linux-6.12");
	info = virtio_blk_info(blk);
	assert_int_equal(info->nr_sectors, 0x40000); /* [7-12] */
	assert_int_equal(info->size_max, 4096);
	assert_int_equal(info->seg_max, 32);
	assert_int_equal(info->block_size, 512);
	assert_int_equal(info->num_queues, 1);
	assert_int_equal(info->max_discard_sectors, UINT32_MAX);
	assert_int_equal(info->ring_size, 256);
	assert_true(info->can_flush && !info->read_only);
	close_disk(&b, blk);
	blk = open_disk(&b, BLK "device_features 0x300000000 capacity 1M vq_size 16");
	info = virtio_blk_info(blk);
	assert_int_equal(info->features, 0x300000000);
	assert_int_equal(info->nr_sectors, 2048);
	assert_int_equal(info->max_discard_sectors, 0);
	assert_false(info->can_flush);
	assert_int_equal(virtio_blk_flush(blk), 0);
	assert_int_equal(virtio_blk_discard(blk, 0, 1), -EOPNOTSUPP);
	assert_int_equal(virtio_blk_write_zeroes(blk, 0, 1, true), -EOPNOTSUPP);
	close_disk(&b, blk);
}

static void requests_beyond_the_end_are_refused(void **state)
{
	struct virtio_blk *blk;
	struct bench b;

	blk = open_disk(&b, BLK "capacity 1M");
	assert_int_equal(virtio_blk_read(blk, 2047, back, 1), 0);
	assert_int_equal(virtio_blk_read(blk, 2048, back, 0), 0);
	assert_int_equal(virtio_blk_read(blk, 2048, back, 1), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "2048"));
	assert_int_equal(virtio_blk_write(blk, 2047, data, 2), -EINVAL);
	assert_int_equal(virtio_blk_write(blk, UINT64_MAX, data, 2), -EINVAL);
	assert_int_equal(virtio_blk_write_zeroes(blk, 1, 2048, false), -EINVAL);
	assert_int_equal(virtio_blk_discard(blk, 1, UINT64_MAX), -EINVAL);
	close_disk(&b, blk);
}

static void only_disks_that_can_be_driven_are_opened(void **state)
{
	struct virtio_blk *blk = NULL, *second = NULL;
	struct bench b;

	bench_make(&b, "name net0 mgmtdev vdpasim_net");
	assert_int_equal(virtio_blk_open(b.dev, TIMEOUT_MS, &blk), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "virtio id 1"));
	bench_destroy(&b);
	bench_make(&b, BLK "vq_size 2 device_features 0x300000000");
	assert_int_equal(virtio_blk_open(b.dev, TIMEOUT_MS, &blk), -EOPNOTSUPP);
	bench_destroy(&b);
	blk = open_disk(&b, BLK);
	assert_int_equal(virtio_blk_open(b.dev, TIMEOUT_MS, &second), -EBUSY);
	assert_int_equal(vdpa_unbind(b.dev), -EBUSY);
	close_disk(&b, blk);
}

/* ---- [8-2]: after a client of vhost_vdpa ---- */

/* Write, let a client with maps come and go, read. Return: what the read gave */
static int read_after_session(const char *spec, unsigned int timeout_ms)
{
	struct virtio_blk *blk;
	struct bench b;
	int ret;

	blk = open_disk(&b, spec);
	bench_fill(data, LEN, 3);
	assert_int_equal(virtio_blk_write(blk, 100, data, LEN / SECTOR), 0);
	virtio_blk_close(blk);
	bench_session(&b, 0x100000, 1 << 20);
	memset(back, 0, LEN);
	assert_int_equal(virtio_blk_open(b.dev, timeout_ms, &blk), 0);
	ret = virtio_blk_read(blk, 100, back, LEN / SECTOR);
	if (!ret)
		assert_memory_equal(data, back, LEN);
	else /* nothing arrived, and the device was reset: it has no request any more */
		assert_int_equal(virtio_blk_read(blk, 100, back, 1), -EIO);
	virtio_blk_close(blk);
	bench_destroy(&b);
	return ret;
}

static void data_is_intact_after_a_client_with_maps(void **state)
{
	static const char *const specs[] = {
		BLK,
		BLK "mapping dma_map",
		BLK "mapping platform",
		BLK "memory pinned memlock unlimited",
		BLK "compat_reset on",
		BLK "quirks linux-6.12",
		BLK "quirks linux-6.12 mapping dma_map",
		/* [4-15]: CLEAN_MAP at the client's close does what reset_map would */
		BLK "compat_reset on reset_map off",
	};
	char spec[128];

	for (size_t i = 0; i < ARRAY_LEN(specs); i++)
		assert_int_equal(read_after_session(specs[i], TIMEOUT_MS), 0);
	make_file(4 << 20);
	snprintf(spec, sizeof(spec), BLK "backend file,path=%s", file_path);
	assert_int_equal(read_after_session(spec, TIMEOUT_MS), 0);
	assert_int_equal(unlink(file_path), 0);
}

/* The same where nobody puts the 1:1 map back: the device does not even reach the ring ([4-15]). */
static void without_reset_map_the_device_is_lost_to_virtio(void **state)
{
	assert_int_equal(read_after_session(BLK "reset_map off", 100), -ETIMEDOUT);
	assert_int_equal(read_after_session(BLK "reset_map off mapping dma_map", 100), -ETIMEDOUT);
}

/* ---- the device goes away ---- */

static void *take_away(void *dev)
{
	assert_int_equal(vdpa_unbind_force(dev), 0);
	return NULL;
}

static void requests_end_when_the_device_is_taken_away(void **state)
{
	struct virtio_blk *blk;
	pthread_t thread;
	struct bench b;
	int ret = 0;

	blk = open_disk(&b, BLK);
	assert_int_equal(pthread_create(&thread, NULL, take_away, b.dev), 0);
	while (!ret)
		ret = virtio_blk_read(blk, 0, back, LEN / SECTOR);
	assert_int_equal(ret, -ENODEV);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(virtio_blk_read(blk, 0, back, 1) < 0);
	close_disk(&b, blk);
}

/* ---- a disk that lies ---- */

static uint8_t fake_config[64];
static uint8_t fake_status;
static uint32_t fake_len;

static size_t fake_config_size(struct vdpa_device *dev)
{
	return sizeof(fake_config);
}

static void fake_get_config(struct vdpa_device *dev, size_t off, void *buf, size_t len)
{
	memcpy(buf, fake_config + off, len);
}

static uint32_t fake_device_id(struct vdpa_device *dev)
{
	return 2;
}

/* Complete the chain at descriptor 0 with fake_status and fake_len. */
static void fake_kick(struct vdpa_device *dev, uint16_t idx)
{
	struct recorder_vq *vq = &container_of(dev, struct recorder, dev)->vqs[idx];
	struct vring_avail *avail = (struct vring_avail *)(uintptr_t)vq->driver;
	struct vring_used *used = (struct vring_used *)(uintptr_t)vq->device;
	struct vring_desc *descs = (struct vring_desc *)(uintptr_t)vq->desc;
	uint16_t at = (uint16_t)(avail->idx - 1), head = avail->ring[at % vq->num];
	struct vring_desc *d = &descs[head];

	while (d->flags & VRING_DESC_F_NEXT)
		d = &descs[d->next];
	*(uint8_t *)(uintptr_t)d->addr = fake_status;
	used->ring[at % vq->num].id = head;
	used->ring[at % vq->num].len = fake_len;
	__atomic_store_n(&used->idx, (uint16_t)(at + 1), __ATOMIC_RELEASE);
	vq->cb.fn(vq->cb.arg);
}

static struct recorder *fake_disk(struct bench *b)
{
	struct recorder_options opt = {
		.features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM |
			    1ULL << VIRTIO_BLK_F_SIZE_MAX | 1ULL << VIRTIO_BLK_F_TOPOLOGY};
	struct recorder *rec;

	assert_int_equal(memory_space_create_own(&b->space), 0);
	assert_int_equal(vdpa_bus_create(b->space, &b->bus), 0);
	assert_int_equal(vdpa_driver_register(b->bus, &virtio_vdpa_driver), 0);
	assert_int_equal(recorder_make(b->bus, &opt, &rec), 0);
	rec->quiet = true;
	rec->ops.get_device_id = fake_device_id;
	rec->ops.get_config_size = fake_config_size;
	rec->ops.get_config = fake_get_config;
	rec->ops.kick_vq = fake_kick;
	assert_int_equal(vdpa_device_register(&rec->dev), 0);
	b->dev = vdpa_device_get(&rec->dev);
	memset(fake_config, 0xff, sizeof(fake_config));
	memset(fake_config, 0, 8);
	fake_config[0] = 100; /* sectors */
	return rec;
}

/* A request that was given up lies in it. */
static void disk_that_was_not_reset_keeps_its_request(void **state)
{
	struct virtio_blk *blk;
	struct recorder *rec;
	struct bench b;

	rec = fake_disk(&b);
	assert_int_equal(virtio_blk_open(b.dev, TIMEOUT_MS, &blk), 0);
	freed_watch(blk);
	recorder_fail(rec, "reset", 1, -EIO);
	virtio_blk_close(blk);
	assert_false(freed_was());
	bench_destroy(&b);
}

static void answers_that_make_no_sense_are_errors(void **state)
{
	static const struct {
		uint8_t status;
		uint32_t len;
		int expected;
	} cases[] = {
		{0, 513, 0},       {0, 512, -EIO}, /* too few bytes */
		{0, 0, -EIO},      {1, 513, -EIO},    {2, 1, -EOPNOTSUPP},
		{77, 513, -EIO},   {0xff, 513, -EIO}, {0, 513, 0},
		{0, 514, -EPROTO}, {0, 513, -EIO}, /* was reset by the last one */
	};
	struct virtio_blk *blk;
	struct bench b;

	(void)fake_disk(&b);
	assert_int_equal(virtio_blk_open(b.dev, TIMEOUT_MS, &blk), 0);
	assert_int_equal(virtio_blk_info(blk)->physical_block_size, 0); /* 2^255: nonsense */
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fake_status = cases[i].status;
		fake_len = cases[i].len;
		assert_int_equal(virtio_blk_read(blk, 0, back, 1), cases[i].expected);
	}
	close_disk(&b, blk);
}

static void configurations_that_make_no_sense_are_refused(void **state)
{
	struct virtio_blk *blk;
	struct bench b;

	(void)fake_disk(&b);
	memset(fake_config, 0xff, 8);
	assert_int_equal(virtio_blk_open(b.dev, TIMEOUT_MS, &blk), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "capacity"));
	memset(fake_config, 0, 8);
	memset(fake_config + 8, 0, 4);
	fake_config[8] = 100; /* size_max */
	assert_int_equal(virtio_blk_open(b.dev, TIMEOUT_MS, &blk), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "100"));
	bench_destroy(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_comes_back_on_every_kind_of_disk),
		cmocka_unit_test(file_has_what_was_written),
		cmocka_unit_test(disk_tells_what_it_is),
		cmocka_unit_test(requests_beyond_the_end_are_refused),
		cmocka_unit_test(only_disks_that_can_be_driven_are_opened),
		cmocka_unit_test(data_is_intact_after_a_client_with_maps),
		cmocka_unit_test(without_reset_map_the_device_is_lost_to_virtio),
		cmocka_unit_test(requests_end_when_the_device_is_taken_away),
		cmocka_unit_test(answers_that_make_no_sense_are_errors),
		cmocka_unit_test(disk_that_was_not_reset_keeps_its_request),
		cmocka_unit_test(configurations_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests_name("virtio_vdpa-blk", tests, NULL, NULL);
}
