// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated disk on a file in memory, whose reads are copies from a mapping. This program wraps
 * preadv() (ld's --wrap) to count the reads that are plain calls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "blk_support.h"
#include "parents/sim/simblk_internal.h"

#define WINDOW    SIMBLK_WINDOW_LEN
#define STEP      65536u                           /* bytes of a read */
#define FILE_LEN  (3 * WINDOW + STEP + 3 * SECTOR) /* the last page is cut */
#define NR_FIRST  (512u * 1024 / STEP)             /* plain reads of a window without holes */
#define NR_AGAIN  (32u * 1024 * 1024 / STEP)       /* and of one that had some */
#define NR_ROUNDS 400

static uint8_t *content;      /* [FILE_LEN] */
static unsigned int nr_plain; /* atomic */
static int file = -1;
static struct rig rig;

ssize_t __real_preadv64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off_t off)
{
	__atomic_fetch_add(&nr_plain, 1, __ATOMIC_RELAXED);
	return __real_preadv64(fd, iov, n, off);
}

static unsigned int take_plain(void)
{
	return __atomic_exchange_n(&nr_plain, 0, __ATOMIC_RELAXED);
}

/* ---- a file and a disk on it ---- */

/* All of it are data. */
static void fill_file(void)
{
	blk_fill(content, FILE_LEN, 11);
	assert_int_equal(pwrite(file, content, FILE_LEN, 0), FILE_LEN);
}

static int file_setup(void **state)
{
	(void)state;
	file = memfd_create("disk", MFD_CLOEXEC);
	content = calloc(1, FILE_LEN);
	take_plain();
	return file < 0 || !content ? -1 : ftruncate(file, FILE_LEN);
}

static int file_teardown(void **state)
{
	(void)state;
	free(content);
	return close(file);
}

static struct simblk *disk(void)
{
	return simblk_of(vdpasim_of(rig.dev));
}

static struct vdpa_dev_config disk_config(uint16_t workers, bool read_only)
{
	struct vdpa_dev_config c = blk_config();

	c.given |= VDPA_KEY_BACKEND;
	(void)snprintf(c.backend, sizeof(c.backend), "file,path=/proc/self/fd/%d", file);
	c.num_queues = c.workers = workers;
	c.read_only = read_only;
	return c;
}

static void make(uint16_t workers, bool read_only)
{
	struct vdpa_dev_config c = disk_config(workers, read_only);

	rig_make(&rig, &c);
	rig_start(&rig, read_only ? BASE_FEATURES : BLK_FEATURES, workers, 64);
}

static void start(void)
{
	make(1, false);
}

/* STEP bytes are what they should be. */
static void read_step(uint64_t off)
{
	blk_expect(&rig, off / SECTOR, content + off, STEP);
}

static void read_often(uint64_t off, unsigned int n)
{
	while (n-- > 0)
		read_step(off);
}

/* Reads of the window are copies from now on. */
static void warm_up(uint64_t idx)
{
	read_often(idx * WINDOW, NR_FIRST);
	take_plain();
	read_step(idx * WINDOW + STEP);
	assert_int_equal(take_plain(), 0);
}

static blkcnt_t blocks(void)
{
	struct stat st;

	assert_int_equal(fstat(file, &st), 0);
	return st.st_blocks;
}

static void write_at(uint64_t off, uint32_t seed)
{
	blk_fill(content + off, STEP, seed);
	assert_int_equal(blk_write(&rig, off / SECTOR, content + off, STEP), VIRTIO_BLK_S_OK);
}

/* ---- tests ---- */

static void plain_calls_read_before_it_pays(void **state)
{
	(void)state;
	fill_file();
	start();
	read_often(0, NR_FIRST - 1);
	assert_int_equal(take_plain(), NR_FIRST - 1);
	for (uint64_t off = 0; off < WINDOW; off += STEP)
		read_step(off);
	assert_int_equal(take_plain(), 0);
	rig_destroy(&rig);
}

static void all_of_the_file_can_be_read(void **state)
{
	(void)state;
	fill_file();
	start();
	for (uint64_t idx = 0; idx < 3; idx++)
		warm_up(idx);
	read_often(3 * WINDOW, NR_FIRST);
	take_plain();
	read_step(WINDOW - 3 * SECTOR); /* over the edge of two windows */
	read_step(FILE_LEN - STEP);     /* up to the end of the disk */
	blk_expect(&rig, FILE_LEN / SECTOR - 1, content + FILE_LEN - SECTOR, SECTOR);
	assert_int_equal(take_plain(), 0);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, FILE_LEN / SECTOR, SECTOR, NULL),
			 VIRTIO_BLK_S_IOERR);
	rig_destroy(&rig);
}

static void writes_of_anybody_are_seen(void **state)
{
	(void)state;
	fill_file();
	start();
	warm_up(1);
	write_at(WINDOW, 12);
	read_step(WINDOW);
	content[WINDOW + 5] ^= 1;
	assert_int_equal(pwrite(file, content + WINDOW + 5, 1, WINDOW + 5), 1);
	read_step(WINDOW);
	assert_int_equal(take_plain(), 0);
	rig_destroy(&rig);
}

static void a_sparse_file_does_not_grow_by_being_read(void **state)
{
	blkcnt_t before;

	(void)state;
	start();
	write_at(0, 13); /* the rest of the window are holes */
	before = blocks();
	read_often(0, NR_FIRST + NR_AGAIN);
	read_often(WINDOW / 2, NR_FIRST + NR_AGAIN);
	read_often(WINDOW, NR_FIRST + NR_AGAIN);
	/* nor by being locked, as all memory of a client may be */
	(void)mlock(disk()->map.base, WINDOW);
	assert_int_equal(blocks(), before);
	assert_int_equal(take_plain(), 3 * (NR_FIRST + NR_AGAIN));
	rig_destroy(&rig);
}

static void a_window_that_was_filled_is_found(void **state)
{
	(void)state;
	start();
	read_often(0, NR_FIRST);
	fill_file();
	take_plain();
	read_often(0, NR_AGAIN);
	assert_int_equal(take_plain(), NR_AGAIN - 1);
	rig_destroy(&rig);
}

static void holes_that_are_punched_stay(void **state)
{
	static const struct {
		uint32_t type, flags;
	} ways[] = {
		{VIRTIO_BLK_T_DISCARD, 0},
		{VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP},
	};

	(void)state;
	fill_file();
	start();
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		uint64_t off = i * WINDOW + WINDOW - STEP; /* of two windows */
		blkcnt_t before = blocks();

		warm_up(i);
		warm_up(i + 1);
		assert_int_equal(blk_range(&rig, ways[i].type, (uint32_t)(off / SECTOR),
					   2 * STEP / SECTOR, ways[i].flags),
				 VIRTIO_BLK_S_OK);
		memset(content + off, 0, 2 * STEP);
		read_step(off);
		read_step(off + STEP);
		assert_int_equal(take_plain(), 2);
		assert_int_equal(blocks(), before - 2 * STEP / SECTOR);
		write_at(off, 14);
		write_at(off + STEP, 15);
		for (uint64_t k = 0; k < 2; k++) {
			read_often((i + k) * WINDOW, NR_AGAIN);
			take_plain();
			read_step((i + k) * WINDOW + STEP);
			assert_int_equal(take_plain(), 0);
		}
	}
	rig_destroy(&rig);
}

static void a_file_that_is_cut_off_fails_reads_and_nothing_else(void **state)
{
	(void)state;
	rig_take_signals();
	fill_file();
	start();
	warm_up(0);
	warm_up(1);
	assert_int_equal(ftruncate(file, WINDOW), 0);
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, WINDOW / SECTOR, STEP, NULL),
			 VIRTIO_BLK_S_IOERR);
	/* half of it is there */
	assert_int_equal(blk_do(&rig, VIRTIO_BLK_T_IN, WINDOW / SECTOR - 1, 2 * SECTOR, NULL),
			 VIRTIO_BLK_S_IOERR);
	read_step(0);
	assert_int_equal(ftruncate(file, FILE_LEN), 0);
	memset(content + WINDOW, 0, FILE_LEN - WINDOW);
	read_step(WINDOW);
	assert_false(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_destroy(&rig);
}

static void a_drivers_memory_that_vanishes_is_told_apart(void **state)
{
	struct ring_driver_seg segs[3];
	void *gone;

	(void)state;
	rig_take_signals();
	fill_file();
	start();
	warm_up(0);
	gone = blk_pages(STEP);
	blk_header(VIRTIO_BLK_T_IN, 0);
	segs[0] = blk_seg(&rig, blk.header, 16);
	segs[1] = blk_seg(&rig, gone, STEP);
	segs[2] = blk_seg(&rig, blk.status, 1);
	rig_vanish((char *)gone + STEP - 4096, 4096);
	assert_int_equal(ring_driver_add(rig.vq[0].drv, segs, 1, 2, blk.header, NULL, 0), 0);
	rig_publish(&rig, 0);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(take_plain(), 0);
	rig_reset(&rig);
	rig_start(&rig, BLK_FEATURES, 1, 64);
	read_step(0);
	assert_int_equal(take_plain(), 0);
	rig_destroy(&rig);
}

/* The process's mappings are not used up. */
static void runs_of_windows_are_bounded(void **state)
{
	(void)state;
	fill_file();
	start();
	disk()->map.nr_runs_max = 1;
	warm_up(0);
	read_often(2 * WINDOW, NR_FIRST);
	take_plain();
	read_step(2 * WINDOW);
	assert_int_equal(take_plain(), 1); /* it would be a second run */
	warm_up(1);
	assert_int_equal(disk()->map.nr_runs, 1);
	read_often(2 * WINDOW, NR_AGAIN);
	take_plain();
	read_step(2 * WINDOW); /* the same run */
	assert_int_equal(take_plain(), 0);
	assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, WINDOW / SECTOR, 8, 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(disk()->map.nr_runs, 2); /* a hole between them */
	rig_destroy(&rig);
}

static void a_limit_to_the_address_space_is_left_alone(void **state)
{
	struct rlimit old, limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	limit = old;
	limit.rlim_cur = 1ULL << 60;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	fill_file();
	start();
	read_often(0, 2 * NR_FIRST);
	assert_int_equal(take_plain(), 2 * NR_FIRST);
	rig_destroy(&rig);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
}

static long locked_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kib = -1;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "VmLck: %ld", &kib) != 1)
		;
	(void)fclose(f);
	return kib;
}

/* A client that locks all that it will map has a limit to that. */
static void the_mapping_is_not_locked(void **state)
{
	struct vdpa_dev_config c = disk_config(1, false);
	struct simblk *made;
	long before, after;

	(void)state;
	fill_file();
	if (mlockall(MCL_FUTURE) < 0)
		skip();
	before = locked_kib();
	assert_int_equal(simblk_create(&c, &made), 0);
	after = locked_kib();
	assert_int_equal(munlockall(), 0);
	assert_non_null(made->map.base);
	assert_true(after - before < (long)(WINDOW / 1024));
	simblk_destroy(made);
}

/* Who may only read a file is not told where its holes are. */
static void a_file_of_somebody_else_is_read_by_plain_calls(void **state)
{
	(void)state;
	fill_file();
	make(1, true);
	warm_up(0); /* ours */
	rig_destroy(&rig);
	if (fchown(file, geteuid() + 1, (gid_t)-1) < 0)
		skip();
	make(1, true);
	read_often(0, 2 * NR_FIRST);
	assert_int_equal(take_plain(), 2 * NR_FIRST);
	rig_destroy(&rig);
}

/* One queue reads while another one punches and writes; each has a worker. */
static void a_window_may_go_while_it_is_read(void **state)
{
	struct blk_request *r = blk_pages(4096);
	uint8_t *to = blk_pages(STEP);
	uint32_t used;

	(void)state;
	rig_take_signals();
	fill_file();
	make(2, false);
	for (unsigned int i = 0; i < NR_ROUNDS; i++) {
		struct simblk_map *map = &disk()->map;

		mutex_lock(&map->lock); /* so that each round has a window to take away */
		if (map->windows[0] > 1)
			map->windows[0] = 1;
		mutex_unlock(&map->lock);
		memset(to, 0xa5, STEP);
		r->header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN};
		blk_begin(&rig, 1, r, to, STEP);
		rig_publish(&rig, 1);
		if (i % 2)
			write_at(0, 11);
		else
			assert_int_equal(blk_range(&rig, VIRTIO_BLK_T_DISCARD, 0, STEP / SECTOR, 0),
					 VIRTIO_BLK_S_OK);
		assert_ptr_equal(rig_get(&rig, 1, &used), r);
		assert_int_equal(r->status, VIRTIO_BLK_S_OK);
		for (uint32_t k = 0; k < STEP; k++)
			if (to[k] && to[k] != content[k])
				fail_msg("round %u, byte %u: 0x%02x", i, k, to[k]);
	}
	assert_false(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_destroy(&rig);
}

#define FILE_TEST(fn) cmocka_unit_test_setup_teardown(fn, file_setup, file_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILE_TEST(plain_calls_read_before_it_pays),
		FILE_TEST(all_of_the_file_can_be_read),
		FILE_TEST(writes_of_anybody_are_seen),
		FILE_TEST(a_sparse_file_does_not_grow_by_being_read),
		FILE_TEST(a_window_that_was_filled_is_found),
		FILE_TEST(holes_that_are_punched_stay),
		FILE_TEST(a_file_that_is_cut_off_fails_reads_and_nothing_else),
		FILE_TEST(a_drivers_memory_that_vanishes_is_told_apart),
		FILE_TEST(runs_of_windows_are_bounded),
		FILE_TEST(a_limit_to_the_address_space_is_left_alone),
		FILE_TEST(the_mapping_is_not_locked),
		FILE_TEST(a_file_of_somebody_else_is_read_by_plain_calls),
		FILE_TEST(a_window_may_go_while_it_is_read),
	};

	return rig_guard_install() ? 1 : cmocka_run_group_tests(tests, blk_setup, NULL);
}
