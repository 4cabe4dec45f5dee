// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated disk on a file whose data the page cache lacks. What it has is changed where the
 * device asks, in preadv2(), which this program wraps (ld's --wrap), as it does preadv() and
 * posix_fadvise().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "blk_support.h"
#include "host_support.h"

#define NR       48 /* requests: more than the worker looks at at once */
#define READ_LEN 4096u
#define APART    65536u /* bytes between two of them */
#define LONG_LEN (1u << 20)
#define FILE_LEN (NR * APART)
#define RING_NUM 512

static uint8_t content[FILE_LEN];

/* ---- what the host says ---- */

enum page_cache { AS_IT_IS, EMPTY, EVERY_OTHER, HALF, UNKNOWN };
static enum page_cache has;                           /* atomic */
static unsigned int nr_asked, nr_waited, nr_expected; /* atomic; told of when the device is gone */

static void page_cache_has(enum page_cache what)
{
	__atomic_store_n(&has, what, __ATOMIC_RELAXED);
}

/* What the page cache lacks does not reach memory. Return: what it has */
static ssize_t spoil_half(const struct iovec *iov, ssize_t done)
{
	size_t has_left = (size_t)done / 2, left = (size_t)done;

	for (; left > 0; iov++) {
		size_t len = iov->iov_len < left ? iov->iov_len : left;
		size_t keep = len < has_left ? len : has_left;

		memset((char *)iov->iov_base + keep, 0xa5, len - keep);
		has_left -= keep;
		left -= len;
	}
	return done / 2;
}

ssize_t __real_preadv64v2(int fd, const struct iovec *iov, int n, off_t off, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int n, off_t off, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	unsigned int asked = __atomic_fetch_add(&nr_asked, 1, __ATOMIC_RELAXED);
	enum page_cache now = __atomic_load_n(&has, __ATOMIC_RELAXED);
	ssize_t done;

	if (now == EMPTY || (now == EVERY_OTHER && asked % 2)) {
		errno = EAGAIN;
		return -1;
	}
	if (now == UNKNOWN) {
		errno = EOPNOTSUPP;
		return -1;
	}
	done = __real_preadv64v2(fd, iov, n, off, flags);
	return now == HALF && done > 0 ? spoil_half(iov, done) : done;
}

ssize_t __real_preadv64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int n, off_t off)
{
	__atomic_fetch_add(&nr_waited, 1, __ATOMIC_RELAXED);
	host_gate();
	return __real_preadv64(fd, iov, n, off);
}

int __real_posix_fadvise64(int fd, off_t off, off_t len, int advice);
int __wrap_posix_fadvise64(int fd, off_t off, off_t len, int advice);
int __wrap_posix_fadvise64(int fd, off_t off, off_t len, int advice)
{
	if (advice == POSIX_FADV_WILLNEED)
		__atomic_fetch_add(&nr_expected, 1, __ATOMIC_RELAXED);
	return __real_posix_fadvise64(fd, off, len, advice);
}

/* ---- a driver with many reads out ---- */

static struct blk_request *requests; /* [NR], shared */
static uint8_t *data; /* [LONG_LEN], shared; READ_LEN of each request, or one long one */

static int setup(void **state)
{
	(void)state;
	blk_fill(content, sizeof(content), 7);
	page_cache_has(AS_IT_IS);
	nr_asked = nr_waited = nr_expected = 0;
	memset(data, 0, LONG_LEN);
	return host_setup("blk-cold-XXXXXX", content, sizeof(content));
}

static void start(struct rig *rig)
{
	struct vdpa_dev_config c = host_config();

	c.vq_size = RING_NUM;
	rig_make(rig, &c);
	rig_start(rig, BLK_FEATURES, 1, RING_NUM);
}

static void begin(struct rig *rig, unsigned int i, uint64_t off, uint32_t len)
{
	requests[i].header =
		(struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN, .sector = off / SECTOR};
	blk_begin(rig, 0, &requests[i], data + (size_t)i * READ_LEN, len);
}

static void begin_all(struct rig *rig)
{
	for (unsigned int i = 0; i < NR; i++)
		begin(rig, i, (uint64_t)i * APART, READ_LEN);
	rig_publish(rig, 0);
}

/* All of them come back, in order, with what is in the file. */
static void collect_all(struct rig *rig)
{
	for (unsigned int i = 0; i < NR; i++) {
		uint32_t used;

		assert_ptr_equal(rig_get(rig, 0, &used), &requests[i]);
		assert_int_equal(requests[i].status, VIRTIO_BLK_S_OK);
		assert_int_equal(used, READ_LEN + 1);
		assert_memory_equal(data + (size_t)i * READ_LEN, content + (size_t)i * APART,
				    READ_LEN);
	}
}

/* ---- tests ---- */

/* ... and what the host reads afterwards does not reach the driver's memory. */
static void reset_does_not_wait_for_the_hosts_disk(void **state)
{
	static const uint8_t zeros[LONG_LEN];
	struct rig rig;

	(void)state;
	host_hold(1);
	page_cache_has(EMPTY);
	start(&rig);
	begin_all(&rig);
	host_wait_held();
	rig_reset(&rig);
	page_cache_has(AS_IT_IS);
	host_release();
	rig_start(&rig, BLK_FEATURES, 1, RING_NUM);
	rig_quiet(&rig);
	assert_memory_equal(data, zeros, LONG_LEN);
	assert_int_equal(requests[0].status, NO_STATUS);
	begin_all(&rig);
	collect_all(&rig);
	rig_destroy(&rig);
}

static void suspend_keeps_a_read_that_waits(void **state)
{
	struct rig rig;
	uint32_t used;

	(void)state;
	host_hold(1);
	page_cache_has(EMPTY);
	start(&rig);
	begin_all(&rig);
	host_wait_held();
	assert_int_equal(rig_op(&rig, suspend), 0);
	assert_null(rig_poll(&rig, 0, &used));
	host_release();
	assert_int_equal(rig_op(&rig, resume), 0);
	collect_all(&rig);
	rig_destroy(&rig);
}

static void reads_are_right_whatever_the_page_cache_has(void **state)
{
	static const enum page_cache what[] = {AS_IT_IS, EMPTY, EVERY_OTHER, HALF, UNKNOWN};
	struct rig rig;
	uint32_t used;

	(void)state;
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		page_cache_has(what[i]);
		start(&rig);
		begin_all(&rig);
		collect_all(&rig);
		memset(data, 0, LONG_LEN);
		begin(&rig, 0, APART, LONG_LEN);
		rig_publish(&rig, 0);
		assert_ptr_equal(rig_get(&rig, 0, &used), &requests[0]);
		assert_int_equal(requests[0].status, VIRTIO_BLK_S_OK);
		assert_memory_equal(data, content + APART, LONG_LEN);
		rig_destroy(&rig);
	}
}

static void the_host_is_told_of_reads_that_follow(void **state)
{
	struct rig rig;

	(void)state;
	page_cache_has(EMPTY);
	start(&rig);
	begin_all(&rig);
	collect_all(&rig);
	rig_destroy(&rig);
	/* each but those that were first when the worker looked on, and none twice */
	assert_true(nr_expected >= NR / 2 && nr_expected < NR);
}

/* One behind another: the host sees that by itself. */
static void the_host_is_not_told_of_a_stream(void **state)
{
	struct rig rig;
	uint32_t used;

	(void)state;
	page_cache_has(EMPTY);
	start(&rig);
	for (unsigned int i = 0; i < NR; i++)
		begin(&rig, i, (uint64_t)i * READ_LEN, READ_LEN);
	rig_publish(&rig, 0);
	for (unsigned int i = 0; i < NR; i++)
		assert_ptr_equal(rig_get(&rig, 0, &used), &requests[i]);
	assert_memory_equal(data, content, (size_t)NR * READ_LEN);
	rig_destroy(&rig);
	assert_int_equal(nr_expected, 0);
}

/* A batch carries out 256 KiB. What the second read lacks is more than the first one leaves of
 * that; it is fetched whole all the same, in one go. */
static void a_read_at_the_end_of_a_batch_is_fetched_once(void **state)
{
	const uint32_t len = 192 * 1024;
	struct rig rig;
	uint32_t used;

	(void)state;
	start(&rig);
	page_cache_has(EVERY_OTHER); /* asked for the second time, the page cache lacks it */
	begin(&rig, 0, 0, len);
	begin(&rig, 1, (uint64_t)len * 2, len);
	rig_publish(&rig, 0);
	assert_ptr_equal(rig_get(&rig, 0, &used), &requests[0]);
	assert_ptr_equal(rig_get(&rig, 0, &used), &requests[1]);
	assert_memory_equal(data + READ_LEN, content + (size_t)len * 2, len);
	rig_destroy(&rig);
	assert_int_equal(nr_waited, 1);
}

static void what_is_there_is_not_waited_for(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig);
	begin_all(&rig);
	collect_all(&rig);
	rig_destroy(&rig);
	assert_true(nr_asked >= NR / 2);
	/* the file was just written: it can have left the page cache, but hardly all of it */
	assert_true(nr_waited < NR);
}

#define COLD_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		COLD_TEST(reset_does_not_wait_for_the_hosts_disk),
		COLD_TEST(suspend_keeps_a_read_that_waits),
		COLD_TEST(reads_are_right_whatever_the_page_cache_has),
		COLD_TEST(the_host_is_told_of_reads_that_follow),
		COLD_TEST(the_host_is_not_told_of_a_stream),
		COLD_TEST(a_read_at_the_end_of_a_batch_is_fetched_once),
		COLD_TEST(what_is_there_is_not_waited_for),
	};
	const char *why_not = host_why_not(false);

	if (why_not) {
		printf("%s\n", why_not);
		return 77;
	}
	requests = blk_pages(NR * sizeof(*requests));
	data = blk_pages(LONG_LEN);
	return cmocka_run_group_tests(tests, blk_setup, NULL);
}
