// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated disk, reset or stopped while requests are in flight that do not end. Their ends are
 * held back where the device collects them, in uring_reap(), which this program wraps (ld's
 * --wrap), as it does uring_prepare() to count what begins.
 *
 * The file lies in the working directory: /tmp may be memory, where no request is ever in flight.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/uring.h"
#include "blk_support.h"

#define NR       16
#define LEN      4096u
#define FILE_LEN (NR * LEN)
#define RING_NUM 512
#define HELD_NS  (30 * NS_PER_SEC) /* then ends go by themselves: a device that waits is seen */
#define A_WHILE  50                /* ms in which nothing must happen */

static char path[64];
static int fd;

/* ---- what the kernel says, and when ---- */

static int64_t held_until;              /* clock_now_ns(); 0: ends are not held; atomic */
static unsigned int nr_pass;            /* so many ends are not held; atomic */
static unsigned int nr_began, nr_ended; /* atomic */

bool __real_uring_reap(struct uring *ring, uint64_t *data, int32_t *res);
bool __wrap_uring_reap(struct uring *ring, uint64_t *data, int32_t *res);
bool __wrap_uring_reap(struct uring *ring, uint64_t *data, int32_t *res)
{
	unsigned int pass = __atomic_load_n(&nr_pass, __ATOMIC_RELAXED);

	if (pass == 0 && clock_now_ns() < __atomic_load_n(&held_until, __ATOMIC_ACQUIRE))
		return false;
	if (!__real_uring_reap(ring, data, res))
		return false;
	if (pass > 0)
		__atomic_store_n(&nr_pass, pass - 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&nr_ended, 1, __ATOMIC_RELEASE);
	return true;
}

struct io_uring_sqe *__real_uring_prepare(struct uring *ring);
struct io_uring_sqe *__wrap_uring_prepare(struct uring *ring);
struct io_uring_sqe *__wrap_uring_prepare(struct uring *ring)
{
	__atomic_fetch_add(&nr_began, 1, __ATOMIC_RELEASE);
	return __real_uring_prepare(ring);
}

static void hold(unsigned int pass)
{
	__atomic_store_n(&nr_pass, pass, __ATOMIC_RELAXED);
	__atomic_store_n(&held_until, clock_now_ns() + HELD_NS, __ATOMIC_RELEASE);
}

/* Fails if they have gone by themselves: then somebody has waited for them. */
static void let_go(void)
{
	assert_true(clock_now_ns() < __atomic_load_n(&held_until, __ATOMIC_RELAXED));
	__atomic_store_n(&held_until, 0, __ATOMIC_RELEASE);
}

static void wait_until(const unsigned int *counter, unsigned int n)
{
	int64_t until = clock_now_ns() + DEADLINE_MS * NS_PER_MS;

	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < n) {
		assert_true(clock_now_ns() < until);
		(void)sched_yield();
	}
}

/* ---- a driver ---- */

struct request {
	struct virtio_blk_outhdr header;
	uint8_t status;
};

static struct request *requests; /* [2 * NR], shared */
static uint8_t *data;            /* [NR][LEN], shared */
static struct rig rig;
static uint64_t features;

static int setup(void **state)
{
	static uint8_t content[FILE_LEN];

	(void)state;
	(void)snprintf(path, sizeof(path), "blk-abandon-XXXXXX");
	fd = mkstemp(path);
	blk_fill(content, sizeof(content), 7);
	nr_began = nr_ended = nr_pass = 0;
	held_until = 0;
	memset(data, 0, FILE_LEN);
	features = BLK_FEATURES;
	return fd < 0 || pwrite(fd, content, FILE_LEN, 0) != FILE_LEN || fsync(fd) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	close(fd);
	return unlink(path);
}

static void make(uint16_t nr_queues)
{
	struct vdpa_dev_config c = blk_config();

	c.given |= VDPA_KEY_BACKEND;
	(void)snprintf(c.backend, sizeof(c.backend), "file,path=%s", path);
	c.vq_size = RING_NUM;
	c.num_queues = c.workers = nr_queues;
	c.direct = true;
	rig_make(&rig, &c);
	rig_start(&rig, features, nr_queues, RING_NUM);
}

/* Request @i, for the page @page of the disk and of memory. */
static void begin(unsigned int q, unsigned int i, uint32_t type, unsigned int page)
{
	struct request *r = &requests[i];
	bool in = type == VIRTIO_BLK_T_IN;
	struct ring_driver_seg segs[] = {blk_seg(&rig, &r->header, sizeof(r->header)),
					 blk_seg(&rig, data + (size_t)page * LEN, LEN),
					 blk_seg(&rig, &r->status, 1)};

	r->header = (struct virtio_blk_outhdr){.type = type, .sector = page * (LEN / SECTOR)};
	r->status = NO_STATUS;
	assert_int_equal(ring_driver_add(rig.vq[q].drv, segs, in ? 1 : 2, in ? 2 : 1, r, NULL, 0),
			 0);
}

static void begin_all(uint32_t type)
{
	for (unsigned int i = 0; i < NR; i++)
		begin(0, i, type, i);
	rig_publish(&rig, 0);
}

static void collect(unsigned int q, unsigned int n)
{
	uint32_t used;

	while (n-- > 0) {
		struct request *r = rig_get(&rig, (uint16_t)q, &used);

		assert_non_null(r);
		assert_int_equal(r->status, VIRTIO_BLK_S_OK);
	}
}

static void data_is_on_the_disk(void)
{
	static uint8_t got[FILE_LEN];

	assert_int_equal(pread(fd, got, FILE_LEN, 0), FILE_LEN);
	assert_memory_equal(got, data, FILE_LEN);
}

/* ---- tests ---- */

static void reset_does_not_wait_and_memory_is_left_alone(void **state)
{
	static const uint8_t zeros[FILE_LEN];

	(void)state;
	make(1);
	hold(0);
	begin_all(VIRTIO_BLK_T_IN);
	wait_until(&nr_began, NR);
	rig_reset(&rig);
	assert_int_equal(mprotect(data, FILE_LEN, PROT_NONE), 0);
	assert_int_equal(nr_ended, 0);
	let_go();
	wait_until(&nr_ended, NR);
	rig_quiet(&rig);
	assert_int_equal(mprotect(data, FILE_LEN, PROT_READ | PROT_WRITE), 0);
	assert_memory_equal(data, zeros, FILE_LEN);
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(requests[i].status, NO_STATUS);
	rig_start(&rig, features, 1, RING_NUM);
	assert_false(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	begin_all(VIRTIO_BLK_T_IN);
	collect(0, NR);
	data_is_on_the_disk();
	rig_destroy(&rig);
}

/* What the reset has left in flight ends before the next driver's requests begin, on the queue of
 * another worker, too. */
static void an_old_write_does_not_land_on_a_new_one(void **state)
{
	unsigned int began;

	(void)state;
	make(2);
	blk_fill(data, FILE_LEN, 1);
	hold(0);
	begin_all(VIRTIO_BLK_T_OUT);
	wait_until(&nr_began, NR);
	rig_reset(&rig);
	rig_start(&rig, features, 2, RING_NUM);
	blk_fill(data, FILE_LEN, 2);
	began = __atomic_load_n(&nr_began, __ATOMIC_RELAXED);
	for (unsigned int q = 0; q < 2; q++) {
		for (unsigned int i = 0; i < NR / 2; i++)
			begin(q, q * NR / 2 + i, VIRTIO_BLK_T_OUT, q * NR / 2 + i);
		rig_publish(&rig, (uint16_t)q);
		assert_false(rig_wait_fd(rig.vq[q].call_fd, A_WHILE));
	}
	assert_int_equal(__atomic_load_n(&nr_began, __ATOMIC_RELAXED), began);
	let_go();
	collect(0, NR / 2);
	collect(1, NR / 2);
	data_is_on_the_disk();
	rig_destroy(&rig);
}

static void a_device_that_goes_waits_for_what_is_left(void **state)
{
	static uint8_t got[FILE_LEN];

	(void)state;
	make(1);
	blk_fill(data, FILE_LEN, 3);
	hold(0);
	begin_all(VIRTIO_BLK_T_OUT);
	wait_until(&nr_began, NR);
	rig_reset(&rig);
	let_go();
	rig_destroy(&rig);
	assert_int_equal(pread(fd, got, FILE_LEN, 0), FILE_LEN);
	assert_memory_equal(got, data, FILE_LEN);
}

static int suspended = -1; /* eventfd */

static void *suspend(void *arg)
{
	(void)arg;
	assert_int_equal(rig_op(&rig, suspend), 0);
	eventfd_write(suspended, 1);
	return NULL;
}

static void suspend_waits(void **state)
{
	pthread_t thread;

	(void)state;
	suspended = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	make(1);
	hold(0);
	begin_all(VIRTIO_BLK_T_IN);
	wait_until(&nr_began, NR);
	assert_int_equal(pthread_create(&thread, NULL, suspend, NULL), 0);
	assert_false(rig_wait_fd(suspended, A_WHILE));
	let_go();
	assert_true(rig_wait_fd(suspended, DEADLINE_MS));
	assert_int_equal(pthread_join(thread, NULL), 0);
	collect(0, NR);
	data_is_on_the_disk();
	rig_destroy(&rig);
	close(suspended);
}

/* As the session suspends for D1: what the driver has got back lies before the position, and
 * nothing else. @pass: so many requests end before */
static void position_is_exact(unsigned int pass, uint32_t type)
{
	struct vdpa_vq_state at;
	unsigned int n = 0, failed = 0;
	struct request *r;
	uint32_t used;

	make(1);
	hold(pass);
	begin_all(type);
	wait_until(&nr_began, NR);
	wait_until(&nr_ended, pass);
	__atomic_store_n(&rig.dev->resetting, true, __ATOMIC_RELAXED);
	assert_int_equal(rig_op(&rig, suspend), 0);
	assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
	while ((r = rig_poll(&rig, 0, &used))) {
		failed += r->status != VIRTIO_BLK_S_OK;
		n++;
	}
	assert_int_equal(at.last_avail, n);
	assert_true(n >= pass && n - failed <= pass + 1);
	for (unsigned int i = n; i < NR; i++)
		assert_int_equal(requests[i].status, NO_STATUS);
	__atomic_store_n(&rig.dev->resetting, false, __ATOMIC_RELAXED);
	let_go();
	assert_int_equal(rig_op(&rig, resume), 0);
	collect(0, NR - n);
	rig_destroy(&rig);
}

static void position_at_a_reset_is_exact(void **state)
{
	(void)state;
	for (unsigned int pass = 0; pass < NR; pass += 5) {
		nr_began = nr_ended = 0;
		position_is_exact(pass, pass % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN);
	}
}

/* The drive has it at once, though fewer than are handed over together. */
static void a_request_that_comes_while_a_slow_one_is_out_begins_at_once(void **state)
{
	int64_t until = clock_now_ns() + DEADLINE_MS * NS_PER_MS;
	uint8_t got[LEN];

	(void)state;
	make(1);
	hold(0);
	begin(0, 0, VIRTIO_BLK_T_IN, 0);
	begin(0, 1, VIRTIO_BLK_T_IN, 1);
	begin(0, 2, VIRTIO_BLK_T_IN, 2);
	rig_publish(&rig, 0);
	wait_until(&nr_began, 3);
	blk_fill(data + 5 * LEN, LEN, 9);
	begin(0, 3, VIRTIO_BLK_T_OUT, 5);
	rig_publish(&rig, 0);
	do {
		assert_true(clock_now_ns() < until);
		assert_int_equal(pread(fd, got, LEN, 5 * LEN), LEN);
	} while (memcmp(got, data + 5 * LEN, LEN) != 0);
	let_go();
	collect(0, 4);
	rig_destroy(&rig);
}

#define ABANDON_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ABANDON_TEST(reset_does_not_wait_and_memory_is_left_alone),
		ABANDON_TEST(an_old_write_does_not_land_on_a_new_one),
		ABANDON_TEST(a_device_that_goes_waits_for_what_is_left),
		ABANDON_TEST(suspend_waits),
		ABANDON_TEST(position_at_a_reset_is_exact),
		ABANDON_TEST(a_request_that_comes_while_a_slow_one_is_out_begins_at_once),
	};
	struct uring *ring;
	struct statfs fs;

	if (statfs(".", &fs) == 0 && (unsigned long)fs.f_type == TMPFS_MAGIC) {
		printf("the working directory lies in memory, where nothing is in flight\n");
		return 77;
	}
	if (uring_create(8, &ring)) {
		printf("io_uring cannot be had\n");
		return 77;
	}
	uring_destroy(ring);
	requests = blk_pages(2 * NR * sizeof(*requests));
	data = blk_pages(FILE_LEN);
	return rig_guard_install() ? 1 : cmocka_run_group_tests(tests, blk_setup, NULL);
}
