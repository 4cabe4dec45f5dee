// SPDX-License-Identifier: BSD-3-Clause
/* The simulated disk on a file: data, persistence, holes, errors, locks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blk_support.h"
#include "host_support.h"

#define FILE_LEN (1u << 20)

static uint8_t zeros[8192];

static int file_setup(void **state)
{
	(void)state;
	return host_setup("/tmp/holdfast-blk-XXXXXX", NULL, FILE_LEN);
}

static void start(struct rig *rig)
{
	struct vdpa_dev_config c = host_config();

	rig_make(rig, &c);
	rig_start(rig, BLK_FEATURES, 1, 64);
}

static void data_goes_to_the_file_and_stays_there(void **state)
{
	static uint8_t want[65536];
	struct virtio_blk_config config;
	struct rig rig;

	(void)state;
	start(&rig);
	rig_do(&rig, get_config, 0, &config, sizeof(config));
	assert_int_equal(config.capacity, FILE_LEN / SECTOR);
	blk_fill(want, sizeof(want), 1);
	assert_int_equal(blk_write(&rig, 3, want, sizeof(want)), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_FLUSH, 0, 0, NULL), VIRTIO_BLK_S_OK);
	host_file_has(3 * SECTOR, want, sizeof(want));
	rig_destroy(&rig);
	start(&rig); /* another device later */
	blk_expect(&rig, 3, want, sizeof(want));
	want[0] ^= 1; /* what others write is seen */
	assert_int_equal(pwrite(host_file.fd, want, 1, 3 * SECTOR), 1);
	blk_expect(&rig, 3, want, sizeof(want));
	rig_destroy(&rig);
}

static void scattered_requests_land_in_order(void **state)
{
	struct ring_driver_seg segs[40];
	static uint8_t want[SECTOR * 4];
	unsigned int n = 0;
	struct rig rig;

	(void)state;
	start(&rig);
	blk_fill(want, sizeof(want), 2);
	memcpy(blk.data, want, sizeof(want));
	blk_header(VIRTIO_BLK_T_OUT, 1);
	for (int i = 0; i < 4; i++) /* a header in four pieces */
		segs[n++] = blk_seg(&rig, (char *)blk.header + (size_t)i * 4, 4);
	for (size_t at = 0; at < sizeof(want); at += 128)
		segs[n++] = blk_seg(&rig, blk.data + at, 128);
	segs[n] = blk_seg(&rig, blk.status, 1);
	assert_int_equal(blk_run(&rig, 0, segs, n, 1), 1);
	assert_int_equal(*blk.status, VIRTIO_BLK_S_OK);
	host_file_has(SECTOR, want, sizeof(want));
	rig_destroy(&rig);
}

/* File systems without holes, and without zeroed ranges, come out the same but for the blocks. */
static void zeroes_and_discards_read_as_such(void **state)
{
	static uint8_t want[65536];
	struct stat before, after;
	struct rig rig;

	(void)state;
	start(&rig);
	blk_fill(want, sizeof(want), 3);
	for (int flags = 0; flags < 2; flags++) {
		assert_int_equal(blk_write(&rig, 0, want, sizeof(want)), VIRTIO_BLK_S_OK);
		assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 1, 16, (uint32_t)flags),
				 VIRTIO_BLK_S_OK);
		host_file_has(0, want, SECTOR);
		host_file_has(SECTOR, zeros, sizeof(zeros));
		host_file_has(17 * SECTOR, want + (size_t)17 * SECTOR, sizeof(want) - 17 * SECTOR);
	}
	assert_int_equal(fstat(host_file.fd, &before), 0);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, 0, 128, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(fstat(host_file.fd, &after), 0);
	assert_int_equal(after.st_size, FILE_LEN);
	if (fallocate(host_file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0)
		assert_true(after.st_blocks < before.st_blocks);
	rig_destroy(&rig);
}

/* Memory has holes, and no zeroed ranges: those are written. */
static void zeroes_are_written_where_they_must_be(void **state)
{
	static uint8_t want[3u << 19];
	int mem = memfd_create("disk", MFD_CLOEXEC);
	struct vdpa_dev_config c = host_config();
	struct rig rig;

	(void)state;
	blk_fill(want, sizeof(want), 5);
	assert_int_equal(pwrite(mem, want, sizeof(want), 0), sizeof(want));
	(void)snprintf(c.backend, sizeof(c.backend), "file,path=/proc/self/fd/%d", mem);
	rig_make(&rig, &c);
	rig_start(&rig, BLK_FEATURES, 1, 64);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, 1, 2500, 0), VIRTIO_BLK_S_OK);
	memset(want + SECTOR, 0, (size_t)2500 * SECTOR);
	rig_destroy(&rig);
	for (size_t at = 0; at < sizeof(want); at += SECTOR) {
		uint8_t got[SECTOR];

		assert_int_equal(pread(mem, got, SECTOR, (off_t)at), SECTOR);
		assert_memory_equal(got, want + at, SECTOR);
	}
	close(mem);
}

static void a_driver_that_never_flushes_can_write(void **state)
{
	struct vdpa_dev_config c = host_config();
	uint8_t want[SECTOR];
	struct rig rig;

	(void)state;
	blk_fill(want, sizeof(want), 4);
	rig_make(&rig, &c);
	rig_start(&rig, BASE_FEATURES, 1, 16);
	assert_int_equal(blk_write(&rig, 0, want, SECTOR), VIRTIO_BLK_S_OK);
	host_file_has(0, want, SECTOR);
	rig_destroy(&rig);
}

static void file_that_shrinks_gives_errors_not_hangs(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	assert_int_equal(ftruncate(host_file.fd, 8192), 0);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, 15, SECTOR, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, 15, 2 * SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, 100, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ftruncate(host_file.fd, FILE_LEN), 0);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, 100, SECTOR, NULL), VIRTIO_BLK_S_OK);
	rig_destroy(&rig);
}

static void vanished_memory_breaks_the_queue_until_reset(void **state)
{
	struct ring_driver_seg segs[3];
	struct rig rig;
	void *gone;

	(void)state;
	rig_take_signals();
	start(&rig);
	gone = blk_pages(4096);
	blk_header(VIRTIO_BLK_T_IN, 0);
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
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, 0, SECTOR, NULL), VIRTIO_BLK_S_OK);
	rig_destroy(&rig);
}

static void capacity_cuts_a_file_and_never_extends_it(void **state)
{
	struct vdpa_dev_config c = host_config();
	struct virtio_blk_config config;
	struct rig rig;

	(void)state;
	c.given |= VDPA_KEY_CAPACITY;
	c.capacity = 4096;
	rig_make(&rig, &c);
	rig_do(&rig, get_config, 0, &config, sizeof(config));
	assert_int_equal(config.capacity, 8);
	rig_destroy(&rig);
	c.capacity = FILE_LEN + SECTOR;
	blk_refused(&c, -EINVAL, "has 1048576 bytes, capacity 1049088 was asked");
}

static void one_writer_or_many_readers(void **state)
{
	struct vdpa_dev_config c = host_config();
	struct rig one, two;

	(void)state;
	start(&one);
	blk_refused(&c, -EBUSY, "another disk uses it");
	c.read_only = true;
	blk_refused(&c, -EBUSY, "another disk uses it");
	rig_destroy(&one);
	rig_make(&one, &c);
	rig_make(&two, &c);
	c.read_only = false;
	blk_refused(&c, -EBUSY, "another disk uses it");
	rig_destroy(&two);
	rig_start(&one, BASE_FEATURES, 1, 16);
	assert_int_equal(blk_do(&one, VIRTIO_BLK_T_IN, 0, SECTOR, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_do(&one, VIRTIO_BLK_T_OUT, 0, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
	rig_destroy(&one);
}

/* The start naps between two looks at a lock. */
static int holder = -1; /* lets go at the third nap; -1: nobody does */
static int nr_naps;

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	if (++nr_naps == 3 && holder >= 0) {
		close(holder);
		holder = -1;
	}
	return __real_nanosleep(time, left);
}

/* As a process does that was killed, whose io_uring the kernel has not let go yet. */
static void a_holder_that_is_going_is_waited_for(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_len = INT64_MAX}; /* all but the mark */
	struct rig rig;

	(void)state;
	holder = open(host_file.path, O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(holder, F_OFD_SETLK, &lock), 0);
	nr_naps = 0;
	start(&rig);
	assert_true(nr_naps >= 3);
	rig_destroy(&rig);
}

static void files_that_cannot_be_disks_are_refused_in_words(void **state)
{
	static const struct {
		const char *backend;
		int err;
		const char *what;
	} cases[] = {
		{"file", -EINVAL, "takes path=PATH"},
		{"file,path=", -EINVAL, "takes path=PATH"},
		{"file,path=x,sync", -EINVAL, "takes path=PATH"},
		{"file,path=/nonexistent/disk", -ENOENT, "'/nonexistent/disk'"},
		{"file,path=/", -EISDIR, "'/'"},
		{"file,path=/dev/null", -EINVAL, "neither a file nor a block device"},
	};
	struct vdpa_dev_config c = host_config();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(c.backend, sizeof(c.backend), "%s", cases[i].backend);
		blk_refused(&c, cases[i].err, cases[i].what);
	}
	c = host_config();
	assert_int_equal(ftruncate(host_file.fd, 100), 0);
	blk_refused(&c, -EINVAL, "is empty");
}

/* ---- a plain buffer as the model, over several devices ---- */

static void random_requests_match_a_plain_buffer(void **state)
{
	static uint8_t model[FILE_LEN];
	uint32_t seed = 7;
	struct rig rig;

	(void)state;
	for (int life = 0; life < 3; life++) {
		start(&rig);
		for (int step = 0; step < 200; step++) {
			uint32_t r = (seed = seed * 1103515245u + 12345u) >> 8;
			uint64_t sector = r % (FILE_LEN / SECTOR - 64);
			uint32_t nr = 1 + (r >> 11) % 64;
			uint8_t *p = model + sector * SECTOR;

			if (r % 5 == 0) {
				memset(p, 0, (size_t)nr * SECTOR);
				assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_WRITE_ZEROES, sector,
							   nr, r / 5 % 2),
						 VIRTIO_BLK_S_OK);
			} else if (r % 5 < 3) {
				blk_fill(p, (size_t)nr * SECTOR, r);
				assert_int_equal(blk_write(&rig, sector, p, (size_t)nr * SECTOR),
						 VIRTIO_BLK_S_OK);
			} else {
				blk_expect(&rig, sector, p, (size_t)nr * SECTOR);
			}
		}
		rig_destroy(&rig);
		for (size_t at = 0; at < FILE_LEN; at += DATA_LEN)
			host_file_has((off_t)at, model + at, DATA_LEN);
	}
}

#define FILE_TEST(fn) cmocka_unit_test_setup_teardown(fn, file_setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILE_TEST(data_goes_to_the_file_and_stays_there),
		FILE_TEST(scattered_requests_land_in_order),
		FILE_TEST(zeroes_and_discards_read_as_such),
		FILE_TEST(zeroes_are_written_where_they_must_be),
		FILE_TEST(a_driver_that_never_flushes_can_write),
		FILE_TEST(file_that_shrinks_gives_errors_not_hangs),
		FILE_TEST(vanished_memory_breaks_the_queue_until_reset),
		FILE_TEST(capacity_cuts_a_file_and_never_extends_it),
		FILE_TEST(one_writer_or_many_readers),
		FILE_TEST(a_holder_that_is_going_is_waited_for),
		FILE_TEST(files_that_cannot_be_disks_are_refused_in_words),
		FILE_TEST(random_requests_match_a_plain_buffer),
	};

	return rig_guard_install() ? 1 : cmocka_run_group_tests(tests, blk_setup, NULL);
}
