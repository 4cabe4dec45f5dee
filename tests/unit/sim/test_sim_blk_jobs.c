// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated disk on a host that is slow: reads, writes and changes of the file's holes are held
 * at a gate, in the calls that this program wraps (ld's --wrap). A reset must not wait for them, a
 * stop must, and nothing may come later than what was asked for after it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "blk_support.h"
#include "host_support.h"

#define NR       8
#define LEN      65536u
#define FILE_LEN (NR * LEN)
#define RING_NUM 512

/* ---- the host ---- */

static unsigned int nr_writes; /* begun; atomic */

ssize_t __real_pwritev64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_pwritev64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_pwritev64(int fildes, const struct iovec *iov, int n, off_t off)
{
	__atomic_fetch_add(&nr_writes, 1, __ATOMIC_RELAXED);
	host_gate();
	return __real_pwritev64(fildes, iov, n, off);
}

ssize_t __real_preadv64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64(int fildes, const struct iovec *iov, int n, off_t off)
{
	host_gate();
	return __real_preadv64(fildes, iov, n, off);
}

int __real_fallocate64(int fildes, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fildes, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fildes, int mode, off_t off, off_t len)
{
	host_gate();
	return __real_fallocate64(fildes, mode, off, len);
}

/* ---- a driver ---- */

static struct blk_request *requests;                   /* [NR], shared */
static struct virtio_blk_discard_write_zeroes *ranges; /* [NR], shared */
static uint8_t *data;                                  /* [NR][LEN], shared */
static struct rig rig;

static int setup(void **state)
{
	static uint8_t content[FILE_LEN];

	(void)state;
	blk_fill(content, sizeof(content), 7);
	nr_writes = 0;
	/* a test that failed may have left it so that nobody can touch it */
	if (mprotect(data, FILE_LEN, PROT_READ | PROT_WRITE) < 0)
		return -1;
	memset(data, 0, FILE_LEN);
	return host_setup("blk-jobs-XXXXXX", content, FILE_LEN);
}

static void make(bool direct, uint16_t nr_queues)
{
	struct vdpa_dev_config c = host_config();

	c.vq_size = RING_NUM;
	c.num_queues = c.workers = nr_queues;
	c.direct = direct;
	c.io_uring_off = true;
	rig_make(&rig, &c);
	rig_start(&rig, BLK_FEATURES, nr_queues, RING_NUM);
}

/* Request @i, for the @i-th piece of the disk and of memory. */
static void begin(uint16_t q, unsigned int i, uint32_t type)
{
	bool whole = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_OUT;
	uint64_t sector = (uint64_t)i * (LEN / SECTOR);

	requests[i].header = (struct virtio_blk_outhdr){.type = type, .sector = whole ? sector : 0};
	ranges[i] = (struct virtio_blk_discard_write_zeroes){.sector = sector,
							     .num_sectors = LEN / SECTOR};
	if (whole)
		blk_begin(&rig, q, &requests[i], data + (size_t)i * LEN, LEN);
	else
		blk_begin(&rig, q, &requests[i], &ranges[i], sizeof(ranges[i]));
	rig_publish(&rig, q);
}

static void file_has(const uint8_t *bytes, unsigned int i)
{
	host_file_has((off_t)i * LEN, bytes, LEN);
}

/* ---- tests ---- */

/* ... and memory is left alone from its reply on. */
static void reset_does_not_wait_for(bool direct, uint32_t type)
{
	make(direct, 1);
	host_hold(1);
	begin(0, 0, type);
	host_wait_held();
	rig_reset(&rig);
	assert_int_equal(mprotect(data, FILE_LEN, PROT_NONE), 0);
	host_release();
	rig_start(&rig, BLK_FEATURES, 1, RING_NUM);
	rig_quiet(&rig);
	assert_false(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(mprotect(data, FILE_LEN, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(requests[0].status, NO_STATUS);
	begin(0, 1, VIRTIO_BLK_T_IN);
	blk_collect(&rig, 0, 1);
	file_has(data + LEN, 1);
	rig_destroy(&rig);
}

static void reset_does_not_wait_for_a_write(void **state)
{
	(void)state;
	reset_does_not_wait_for(false, VIRTIO_BLK_T_OUT);
}

static void reset_does_not_wait_for_a_write_past_the_page_cache(void **state)
{
	(void)state;
	reset_does_not_wait_for(true, VIRTIO_BLK_T_OUT);
}

static void reset_does_not_wait_for_a_read_past_the_page_cache(void **state)
{
	(void)state;
	reset_does_not_wait_for(true, VIRTIO_BLK_T_IN);
}

static void reset_does_not_wait_for_a_discard(void **state)
{
	(void)state;
	reset_does_not_wait_for(false, VIRTIO_BLK_T_DISCARD);
}

static void reset_does_not_wait_for_zeroes(void **state)
{
	(void)state;
	reset_does_not_wait_for(false, VIRTIO_BLK_T_WRITE_ZEROES);
}

static void an_old_write_does_not_land_on_a_new_one(void **state)
{
	(void)state;
	make(false, 2);
	blk_fill(data, FILE_LEN, 1);
	host_hold(1);
	begin(0, 0, VIRTIO_BLK_T_OUT);
	host_wait_held();
	rig_reset(&rig);
	rig_start(&rig, BLK_FEATURES, 2, RING_NUM);
	blk_fill(data, FILE_LEN, 2);
	begin(1, 0, VIRTIO_BLK_T_OUT);
	assert_false(rig_wait_fd(rig.vq[1].call_fd, A_WHILE));
	assert_int_equal(__atomic_load_n(&nr_writes, __ATOMIC_RELAXED), 1);
	host_release();
	blk_collect(&rig, 1, 1);
	file_has(data, 0);
	begin(0, 1, VIRTIO_BLK_T_OUT);
	blk_collect(&rig, 0, 1);
	file_has(data + LEN, 1);
	rig_destroy(&rig);
}

/* Whoever goes on with the disk may write there next. */
static void suspend_waits_for_a_write(void **state)
{
	(void)state;
	make(false, 1);
	blk_fill(data, FILE_LEN, 3);
	host_hold(1);
	begin(0, 0, VIRTIO_BLK_T_OUT);
	host_wait_held();
	host_suspend_waits(&rig, host_release);
	file_has(data, 0);
	assert_int_equal(rig_op(&rig, resume), 0);
	blk_collect(&rig, 0, 1);
	file_has(data, 0);
	rig_destroy(&rig);
}

/* The data of request @i become as long again, in the table that the device reads. */
static void make_longer(unsigned int i)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} *desc = rig.vq[0].area[0];

	while (desc->addr != (uintptr_t)(data + (size_t)i * LEN))
		desc++;
	desc->len = 2 * LEN;
}

/* It was read by a job, with another job behind it, and its driver changes it meanwhile. */
static void reset_does_not_wait_for_a_read_that_becomes_longer(void **state)
{
	(void)state;
	make(true, 1);
	host_hold(2);
	begin(0, 0, VIRTIO_BLK_T_IN);
	host_wait_held();
	begin(0, 3, VIRTIO_BLK_T_IN);
	begin(0, 1, VIRTIO_BLK_T_OUT);
	host_release();
	blk_collect(&rig, 0, 1);
	host_wait_held();
	make_longer(3);
	host_hold(2);
	host_release();
	host_wait_held(); /* the write */
	host_release();
	host_wait_held(); /* the rest of the read */
	rig_reset(&rig);
	host_release();
	rig_destroy(&rig);
}

/* While the first one waits, all others come; then the worker finds them at once. */
static void many_requests_keep_their_order(void **state)
{
	static const uint32_t types[NR] = {VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN,
					   VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_DISCARD,
					   VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN};
	uint32_t used;

	(void)state;
	for (int direct = 0; direct < 2; direct++) {
		make(direct, 1);
		blk_fill(data, FILE_LEN, 4);
		host_hold(1);
		for (unsigned int i = 0; i < NR; i++)
			begin(0, i, types[i]);
		host_wait_held();
		host_release();
		for (unsigned int i = 0; i < NR; i++) {
			assert_ptr_equal(rig_get(&rig, 0, &used), &requests[i]);
			assert_int_equal(requests[i].status, VIRTIO_BLK_S_OK);
			if (types[i] != VIRTIO_BLK_T_DISCARD)
				file_has(data + (size_t)i * LEN, i);
		}
		rig_destroy(&rig);
	}
}

#define JOBS_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		JOBS_TEST(reset_does_not_wait_for_a_write),
		JOBS_TEST(reset_does_not_wait_for_a_write_past_the_page_cache),
		JOBS_TEST(reset_does_not_wait_for_a_read_past_the_page_cache),
		JOBS_TEST(reset_does_not_wait_for_a_discard),
		JOBS_TEST(reset_does_not_wait_for_zeroes),
		JOBS_TEST(an_old_write_does_not_land_on_a_new_one),
		JOBS_TEST(suspend_waits_for_a_write),
		JOBS_TEST(reset_does_not_wait_for_a_read_that_becomes_longer),
		JOBS_TEST(many_requests_keep_their_order),
	};
	const char *why_not = host_why_not(false);

	if (why_not) {
		printf("%s\n", why_not);
		return 77;
	}
	requests = blk_pages(NR * sizeof(*requests));
	ranges = blk_pages(NR * sizeof(*ranges));
	data = blk_pages(FILE_LEN);
	return rig_guard_install() ? 1 : cmocka_run_group_tests(tests, blk_setup, NULL);
}
