// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated disk on a host that is slow: reads, writes and changes of the file's holes are held
 * at a gate, in the calls that this program wraps (ld's --wrap). A reset must not wait for them, a
 * stop must, and nothing may come later than what was asked for after it.
 *
 * The file lies in the working directory: /tmp may be memory, where no request ever waits.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "blk_support.h"

#define NR       8
#define LEN      65536u
#define FILE_LEN (NR * LEN)
#define RING_NUM 512
#define GATE_MS  30000 /* then a call goes on by itself: a device that waits is seen */
#define A_WHILE  50    /* ms in which nothing must happen */

static char path[64];
static int fd;

/* ---- the host ---- */

static int entered = -1, gate = -1; /* eventfds; -1: no call waits */
static bool at_gate;                /* one waits there; atomic */
static bool held;                   /* the next one waits; atomic */
static unsigned int nr_writes;      /* begun; atomic */

static void pass_gate(void)
{
	if (!__atomic_exchange_n(&held, false, __ATOMIC_ACQ_REL))
		return;
	__atomic_store_n(&at_gate, true, __ATOMIC_RELAXED);
	eventfd_write(entered, 1);
	(void)rig_wait_fd(gate, GATE_MS);
	__atomic_store_n(&at_gate, false, __ATOMIC_RELAXED);
}

ssize_t __real_pwritev64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_pwritev64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_pwritev64(int fildes, const struct iovec *iov, int n, off_t off)
{
	__atomic_fetch_add(&nr_writes, 1, __ATOMIC_RELAXED);
	pass_gate();
	return __real_pwritev64(fildes, iov, n, off);
}

ssize_t __real_preadv64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64(int fildes, const struct iovec *iov, int n, off_t off)
{
	pass_gate();
	return __real_preadv64(fildes, iov, n, off);
}

int __real_fallocate64(int fildes, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fildes, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fildes, int mode, off_t off, off_t len)
{
	pass_gate();
	return __real_fallocate64(fildes, mode, off, len);
}

static void hold(void)
{
	__atomic_store_n(&held, true, __ATOMIC_RELEASE);
}

static void wait_for_the_call(void)
{
	assert_true(rig_wait_fd(entered, DEADLINE_MS));
}

static void let_it_go(void)
{
	assert_true(__atomic_load_n(&at_gate, __ATOMIC_RELAXED)); /* nobody has waited for it */
	eventfd_write(gate, 1);
}

/* ---- a driver ---- */

struct request {
	struct virtio_blk_outhdr header;
	struct virtio_blk_discard_write_zeroes range;
	uint8_t status;
};

static struct request *requests; /* [NR], shared */
static uint8_t *data;            /* [NR][LEN], shared */
static struct rig rig;

static int setup(void **state)
{
	static uint8_t content[FILE_LEN];

	(void)state;
	(void)snprintf(path, sizeof(path), "blk-jobs-XXXXXX");
	fd = mkstemp(path);
	blk_fill(content, sizeof(content), 7);
	held = false;
	nr_writes = 0;
	entered = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	gate = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	memset(data, 0, FILE_LEN);
	return fd < 0 || write(fd, content, FILE_LEN) != FILE_LEN || fsync(fd) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	close(fd);
	close(entered);
	close(gate);
	return unlink(path);
}

static void make(bool direct, uint16_t nr_queues)
{
	struct vdpa_dev_config c = blk_config();

	c.given |= VDPA_KEY_BACKEND;
	(void)snprintf(c.backend, sizeof(c.backend), "file,path=%s", path);
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
	struct request *r = &requests[i];
	bool in = type == VIRTIO_BLK_T_IN, whole = in || type == VIRTIO_BLK_T_OUT;
	struct ring_driver_seg segs[] = {blk_seg(&rig, &r->header, sizeof(r->header)),
					 blk_seg(&rig, data + (size_t)i * LEN, LEN),
					 blk_seg(&rig, &r->status, 1)};
	unsigned int nr_out = in ? 1 : 2;

	r->header = (struct virtio_blk_outhdr){.type = type};
	if (whole)
		r->header.sector = i * (LEN / SECTOR);
	else
		segs[1] = blk_seg(&rig, &r->range, sizeof(r->range));
	r->range = (struct virtio_blk_discard_write_zeroes){.sector = i * (LEN / SECTOR),
							    .num_sectors = LEN / SECTOR};
	r->status = NO_STATUS;
	assert_int_equal(ring_driver_add(rig.vq[q].drv, segs, nr_out, 3 - nr_out, r, NULL, 0), 0);
	rig_publish(&rig, q);
}

static void collect(uint16_t q, unsigned int n)
{
	uint32_t used;

	while (n-- > 0) {
		struct request *r = rig_get(&rig, q, &used);

		assert_non_null(r);
		assert_int_equal(r->status, VIRTIO_BLK_S_OK);
	}
}

static void file_has(const uint8_t *bytes, unsigned int i)
{
	uint8_t got[LEN];

	assert_int_equal(pread(fd, got, LEN, (off_t)i * LEN), LEN);
	assert_memory_equal(got, bytes, LEN);
}

/* ---- tests ---- */

/* ... and memory is left alone from its reply on. */
static void reset_does_not_wait_for(bool direct, uint32_t type)
{
	make(direct, 1);
	hold();
	begin(0, 0, type);
	wait_for_the_call();
	rig_reset(&rig);
	assert_int_equal(mprotect(data, FILE_LEN, PROT_NONE), 0);
	let_it_go();
	rig_start(&rig, BLK_FEATURES, 1, RING_NUM);
	rig_quiet(&rig);
	assert_false(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(mprotect(data, FILE_LEN, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(requests[0].status, NO_STATUS);
	begin(0, 1, VIRTIO_BLK_T_IN);
	collect(0, 1);
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
	hold();
	begin(0, 0, VIRTIO_BLK_T_OUT);
	wait_for_the_call();
	rig_reset(&rig);
	rig_start(&rig, BLK_FEATURES, 2, RING_NUM);
	blk_fill(data, FILE_LEN, 2);
	begin(1, 0, VIRTIO_BLK_T_OUT);
	assert_false(rig_wait_fd(rig.vq[1].call_fd, A_WHILE));
	assert_int_equal(__atomic_load_n(&nr_writes, __ATOMIC_RELAXED), 1);
	let_it_go();
	collect(1, 1);
	file_has(data, 0);
	begin(0, 1, VIRTIO_BLK_T_OUT);
	collect(0, 1);
	file_has(data + LEN, 1);
	rig_destroy(&rig);
}

static int stopped = -1; /* eventfd */

static void *suspend(void *arg)
{
	(void)arg;
	assert_int_equal(rig_op(&rig, suspend), 0);
	eventfd_write(stopped, 1);
	return NULL;
}

/* Whoever goes on with the disk may write there next. */
static void suspend_waits_for_a_write(void **state)
{
	pthread_t thread;

	(void)state;
	stopped = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	make(false, 1);
	blk_fill(data, FILE_LEN, 3);
	hold();
	begin(0, 0, VIRTIO_BLK_T_OUT);
	wait_for_the_call();
	assert_int_equal(pthread_create(&thread, NULL, suspend, NULL), 0);
	assert_false(rig_wait_fd(stopped, A_WHILE));
	let_it_go();
	assert_true(rig_wait_fd(stopped, DEADLINE_MS));
	assert_int_equal(pthread_join(thread, NULL), 0);
	file_has(data, 0);
	assert_int_equal(rig_op(&rig, resume), 0);
	collect(0, 1);
	file_has(data, 0);
	rig_destroy(&rig);
	close(stopped);
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
		hold();
		for (unsigned int i = 0; i < NR; i++)
			begin(0, i, types[i]);
		wait_for_the_call();
		let_it_go();
		for (unsigned int i = 0; i < NR; i++) {
			assert_ptr_equal(rig_get(&rig, 0, &used), &requests[i]);
			assert_int_equal(requests[i].status, VIRTIO_BLK_S_OK);
			if (types[i] != VIRTIO_BLK_T_DISCARD)
				file_has(data + (size_t)i * LEN, i);
		}
		rig_destroy(&rig);
	}
}

#define JOBS_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

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
		JOBS_TEST(many_requests_keep_their_order),
	};
	struct statfs fs;

	if (statfs(".", &fs) == 0 && (unsigned long)fs.f_type == TMPFS_MAGIC) {
		printf("the working directory lies in memory, where no request waits\n");
		return 77;
	}
	requests = blk_pages(NR * sizeof(*requests));
	data = blk_pages(FILE_LEN);
	return rig_guard_install() ? 1 : cmocka_run_group_tests(tests, blk_setup, NULL);
}
