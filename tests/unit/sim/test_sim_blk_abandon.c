// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated disk, reset or stopped while requests are in flight that do not end. Their ends are
 * held back where the device collects them, in uring_reap(), which this program wraps (ld's
 * --wrap), as it does uring_prepare() to count what begins.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/uring.h"
#include "blk_support.h"
#include "host_support.h"

#define NR       16
#define LEN      4096u
#define FILE_LEN (NR * LEN)
#define RING_NUM 512
#define HELD_NS  (HOST_HOLD_MS * NS_PER_MS) /* then ends go by themselves */

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

/* ---- a driver ---- */

static struct blk_request *requests; /* [2 * NR], shared */
static uint8_t *data;                /* [NR][LEN], shared */
static struct rig rig;
static uint64_t features;

static int setup(void **state)
{
	static uint8_t content[FILE_LEN];

	(void)state;
	blk_fill(content, sizeof(content), 7);
	nr_began = nr_ended = nr_pass = 0;
	held_until = 0;
	/* a test that failed may have left it so that nobody can touch it */
	if (mprotect(data, FILE_LEN, PROT_READ | PROT_WRITE) < 0)
		return -1;
	memset(data, 0, FILE_LEN);
	features = BLK_FEATURES;
	return host_setup("blk-abandon-XXXXXX", content, FILE_LEN);
}

static void make(uint16_t nr_queues)
{
	struct vdpa_dev_config c = host_config();

	c.vq_size = RING_NUM;
	c.num_queues = c.workers = nr_queues;
	c.direct = true;
	rig_make(&rig, &c);
	rig_start(&rig, features, nr_queues, RING_NUM);
}

/* Request @i, for the page @page of the disk and of memory. */
static void begin(uint16_t q, unsigned int i, uint32_t type, unsigned int page)
{
	requests[i].header =
		(struct virtio_blk_outhdr){.type = type, .sector = page * (LEN / SECTOR)};
	blk_begin(&rig, q, &requests[i], data + (size_t)page * LEN, LEN);
}

static void begin_all(uint32_t type)
{
	for (unsigned int i = 0; i < NR; i++)
		begin(0, i, type, i);
	rig_publish(&rig, 0);
}

static void data_is_on_the_disk(void)
{
	host_file_has(0, data, FILE_LEN);
}

/* ---- tests ---- */

static void reset_does_not_wait_and_memory_is_left_alone(void **state)
{
	static const uint8_t zeros[FILE_LEN];

	(void)state;
	make(1);
	hold(0);
	begin_all(VIRTIO_BLK_T_IN);
	rig_wait_count(&nr_began, NR);
	rig_reset(&rig);
	assert_int_equal(mprotect(data, FILE_LEN, PROT_NONE), 0);
	assert_int_equal(__atomic_load_n(&nr_ended, __ATOMIC_RELAXED), 0);
	let_go();
	rig_wait_count(&nr_ended, NR);
	rig_quiet(&rig);
	assert_int_equal(mprotect(data, FILE_LEN, PROT_READ | PROT_WRITE), 0);
	assert_memory_equal(data, zeros, FILE_LEN);
	for (unsigned int i = 0; i < NR; i++)
		assert_int_equal(requests[i].status, NO_STATUS);
	rig_start(&rig, features, 1, RING_NUM);
	assert_false(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	begin_all(VIRTIO_BLK_T_IN);
	blk_collect(&rig, 0, NR);
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
	rig_wait_count(&nr_began, NR);
	rig_reset(&rig);
	rig_start(&rig, features, 2, RING_NUM);
	blk_fill(data, FILE_LEN, 2);
	began = __atomic_load_n(&nr_began, __ATOMIC_RELAXED);
	for (uint16_t q = 0; q < 2; q++) {
		for (unsigned int i = 0; i < NR / 2; i++)
			begin(q, q * NR / 2u + i, VIRTIO_BLK_T_OUT, q * NR / 2u + i);
		rig_publish(&rig, q);
		assert_false(rig_wait_fd(rig.vq[q].call_fd, A_WHILE));
	}
	assert_int_equal(__atomic_load_n(&nr_began, __ATOMIC_RELAXED), began);
	let_go();
	blk_collect(&rig, 0, NR / 2);
	blk_collect(&rig, 1, NR / 2);
	data_is_on_the_disk();
	rig_destroy(&rig);
}

static void a_device_that_goes_waits_for_what_is_left(void **state)
{
	(void)state;
	make(1);
	blk_fill(data, FILE_LEN, 3);
	hold(0);
	begin_all(VIRTIO_BLK_T_OUT);
	rig_wait_count(&nr_began, NR);
	rig_reset(&rig);
	let_go();
	rig_destroy(&rig);
	data_is_on_the_disk();
}

static void suspend_waits(void **state)
{
	(void)state;
	make(1);
	hold(0);
	begin_all(VIRTIO_BLK_T_IN);
	rig_wait_count(&nr_began, NR);
	host_suspend_waits(&rig, let_go);
	blk_collect(&rig, 0, NR);
	data_is_on_the_disk();
	rig_destroy(&rig);
}

/* As the session suspends for D1: what the driver has got back lies before the position, and
 * nothing else. @pass: so many requests end before */
static void position_is_exact(unsigned int pass, uint32_t type)
{
	struct vdpa_vq_state at;
	unsigned int n = 0, failed = 0;
	struct blk_request *r;
	uint32_t used;

	make(1);
	hold(pass);
	begin_all(type);
	rig_wait_count(&nr_began, NR);
	rig_wait_count(&nr_ended, pass);
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
	blk_collect(&rig, 0, NR - n);
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
	rig_wait_count(&nr_began, 3);
	blk_fill(data + 5 * LEN, LEN, 9);
	begin(0, 3, VIRTIO_BLK_T_OUT, 5);
	rig_publish(&rig, 0);
	do {
		assert_true(clock_now_ns() < until);
		assert_int_equal(pread(host_file.fd, got, LEN, 5 * LEN), LEN);
	} while (memcmp(got, data + 5 * LEN, LEN) != 0);
	let_go();
	blk_collect(&rig, 0, 4);
	rig_destroy(&rig);
}

#define ABANDON_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, host_teardown)

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
	const char *why_not = host_why_not(true);

	if (why_not) {
		printf("%s\n", why_not);
		return 77;
	}
	requests = blk_pages(2 * NR * sizeof(*requests));
	data = blk_pages(FILE_LEN);
	return rig_guard_install() ? 1 : cmocka_run_group_tests(tests, blk_setup, NULL);
}
