// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a disk's file still has to do when nobody waits for it any more: who must wait for that, and
 * what becomes of errors. Ends of requests in flight are held at uring_reap(), flushes at
 * fdatasync(), plain writes at pwritev(): this program wraps them (ld's --wrap).
 */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/uring.h"
#include "blk_support.h"
#include "host_support.h"
#include "parents/sim/simblk_io.h"

#define NR       16
#define LEN      4096u
#define RING_NUM 64

static bool held;                       /* ends are; atomic */
static unsigned int nr_began, nr_ended; /* atomic */
static int sync_err;                    /* of the next flush by a call, once; atomic */
static int write_err;                   /* of the next write in flight, once; atomic */

bool __real_uring_reap(struct uring *ring, uint64_t *data, int32_t *res);
bool __wrap_uring_reap(struct uring *ring, uint64_t *data, int32_t *res);
bool __wrap_uring_reap(struct uring *ring, uint64_t *data, int32_t *res)
{
	if (__atomic_load_n(&held, __ATOMIC_ACQUIRE) || !__real_uring_reap(ring, data, res))
		return false;
	if (__atomic_load_n(&sync_err, __ATOMIC_ACQUIRE) && *res == 0) /* a flush */
		*res = __atomic_exchange_n(&sync_err, 0, __ATOMIC_ACQ_REL);
	if (__atomic_load_n(&write_err, __ATOMIC_ACQUIRE) && *res > 0)
		*res = __atomic_exchange_n(&write_err, 0, __ATOMIC_ACQ_REL);
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

/* A write to the drive has failed, and the kernel has not told: the descriptor of flushes, which it
 * tells some time before the call returns; the one that reads ahead. Atomic */
static bool untold_by_flush, untold_ahead;

int __real_sync_file_range(int fd, off64_t off, off64_t len, unsigned int flags);
int __wrap_sync_file_range(int fd, off64_t off, off64_t len, unsigned int flags);
int __wrap_sync_file_range(int fd, off64_t off, off64_t len, unsigned int flags)
{
	if (!__atomic_exchange_n(&untold_ahead, false, __ATOMIC_ACQ_REL))
		return __real_sync_file_range(fd, off, len, flags);
	errno = EIO;
	return -1;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	int err = __atomic_exchange_n(&untold_by_flush, false, __ATOMIC_ACQ_REL) ? -EIO : 0;

	host_gate();
	if (!err)
		err = __atomic_exchange_n(&sync_err, 0, __ATOMIC_ACQ_REL);
	if (!err)
		return __real_fdatasync(fd);
	errno = -err;
	return -1;
}

ssize_t __real_pwritev64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
	host_gate();
	return __real_pwritev64(fd, iov, n, off);
}

static unsigned int counted(const unsigned int *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static void hold(bool on)
{
	__atomic_store_n(&held, on, __ATOMIC_RELEASE);
}

static void let_go(void)
{
	hold(false);
}

/* ---- a driver ---- */

static struct blk_request *requests; /* [NR + 2], shared */
static uint8_t *data;                /* [NR][LEN], shared */
static struct rig rig;

static int setup(void **state)
{
	(void)state;
	nr_began = nr_ended = 0;
	sync_err = write_err = 0;
	untold_by_flush = untold_ahead = false;
	held = false;
	return host_setup("blk-orphans-XXXXXX", data, NR * LEN);
}

static void make_queues(bool direct, uint64_t features, uint16_t nr)
{
	struct vdpa_dev_config c = host_config();

	c.vq_size = RING_NUM;
	c.direct = direct;
	c.num_queues = c.workers = nr;
	rig_make(&rig, &c);
	rig_start(&rig, features, nr, RING_NUM);
}

static void make(bool direct, uint64_t features)
{
	make_queues(direct, features, 1);
}

static void begin(uint16_t q, unsigned int i, uint32_t type, unsigned int page)
{
	requests[i].header =
		(struct virtio_blk_outhdr){.type = type, .sector = page * (LEN / SECTOR)};
	blk_begin(&rig, q, &requests[i], data + (size_t)page * LEN, LEN);
}

static void begin_all(void)
{
	for (unsigned int i = 0; i < NR; i++)
		begin(0, i, VIRTIO_BLK_T_OUT, i);
	rig_publish(&rig, 0);
	rig_wait_count(&nr_began, NR);
}

static uint8_t status_of_next_of(uint16_t q)
{
	uint32_t used;
	struct blk_request *r = rig_get(&rig, q, &used);

	assert_non_null(r);
	return r->status;
}

/* The next request that comes back. Return: its status */
static uint8_t status_of_next(void)
{
	return status_of_next_of(0);
}

static uint8_t flush(void)
{
	blk_begin_flush(&rig, 0, &requests[NR + 1]);
	rig_publish(&rig, 0);
	return status_of_next();
}

/* ---- who waits ---- */

static void a_suspend_waits_for_what_a_reset_has_left(void **state)
{
	(void)state;
	make(true, BLK_FEATURES);
	hold(true);
	begin_all();
	rig_reset(&rig);
	assert_int_equal(counted(&nr_ended), 0);
	host_suspend_waits(&rig, let_go);
	assert_int_equal(counted(&nr_ended), NR);
	rig_start(&rig, BLK_FEATURES, 1, RING_NUM);
	rig_destroy(&rig);
}

static void *end(void *arg)
{
	rig_destroy(&rig);
	eventfd_write(*(int *)arg, 1);
	return NULL;
}

/* The device goes, in a thread of its own: one that hangs is seen. @waits: not before let_go() */
static void destroy(bool waits)
{
	static int ended; /* outlives this function if the thread hangs */
	pthread_t thread;

	ended = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(pthread_create(&thread, NULL, end, &ended), 0);
	if (waits) {
		assert_false(rig_wait_fd(ended, A_WHILE));
		let_go();
	}
	assert_true(rig_wait_fd(ended, DEADLINE_MS));
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(ended);
}

static void the_end_waits_for_what_a_reset_has_left(void **state)
{
	(void)state;
	make(true, BLK_FEATURES);
	hold(true);
	begin_all();
	rig_reset(&rig);
	destroy(true);
	assert_int_equal(counted(&nr_ended), NR);
}

/* A write at work keeps its own descriptor open, whatever becomes of the process. */
static void a_direct_write_at_work_keeps_the_file_locked(void **state)
{
	static const enum simblk_fd fds[] = {SIMBLK_CACHED, SIMBLK_DIRECT};
	struct flock lock = {.l_type = F_WRLCK, .l_len = INT64_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		struct simblk *disk;
		int left;

		make(true, BLK_FEATURES);
		disk = simblk_of(vdpasim_of(rig.dev));
		left = fcntl(disk->fds[fds[i]], F_DUPFD_CLOEXEC, 0);
		assert_true(left >= 0);
		rig_destroy(&rig);
		assert_int_equal(fcntl(host_file.fd, F_OFD_SETLK, &lock), -1);
		close(left);
		assert_int_equal(fcntl(host_file.fd, F_OFD_SETLK, &lock), 0);
		lock.l_type = F_UNLCK;
		assert_int_equal(fcntl(host_file.fd, F_OFD_SETLK, &lock), 0);
		lock.l_type = F_WRLCK;
	}
}

/* ---- errors of flushes ---- */

/* Each flush behind one that has failed fails, and so does each write that must be safe; a new
 * client begins anew. */
static void flushes_fail_until_the_file_is_opened_again(void)
{
	assert_int_equal(flush(), VIRTIO_BLK_S_IOERR);
	begin(0, 0, VIRTIO_BLK_T_OUT, 0);
	rig_publish(&rig, 0);
	assert_int_equal(status_of_next(), VIRTIO_BLK_S_OK); /* as any write that is not safe yet */
	rig_reset(&rig);
	rig_start(&rig, BASE_FEATURES, 1, RING_NUM);
	begin(0, 0, VIRTIO_BLK_T_OUT, 0);
	rig_publish(&rig, 0);
	assert_int_equal(status_of_next(), VIRTIO_BLK_S_IOERR);
	rig_destroy(&rig);
	make(false, BLK_FEATURES);
	assert_int_equal(flush(), VIRTIO_BLK_S_OK);
	rig_destroy(&rig);
}

static void an_error_of_a_flush_is_not_lost_over_a_suspend(void **state)
{
	(void)state;
	make(false, BLK_FEATURES);
	host_hold(1);
	blk_begin_flush(&rig, 0, &requests[0]);
	rig_publish(&rig, 0);
	host_wait_held();
	assert_int_equal(rig_op(&rig, suspend), 0);
	__atomic_store_n(&sync_err, -EIO, __ATOMIC_RELEASE);
	host_release();
	assert_int_equal(rig_op(&rig, resume), 0);
	assert_int_equal(status_of_next(), VIRTIO_BLK_S_IOERR);
	flushes_fail_until_the_file_is_opened_again();
}

static void an_error_of_a_flush_in_flight_is_not_lost_over_a_reset(void **state)
{
	(void)state;
	make(false, BLK_FEATURES);
	hold(true);
	blk_begin_flush(&rig, 0, &requests[0]);
	blk_begin_flush(&rig, 0, &requests[1]);
	rig_publish(&rig, 0);
	rig_wait_count(&nr_began, 2);
	rig_reset(&rig);
	__atomic_store_n(&sync_err, -EIO, __ATOMIC_RELEASE);
	let_go();
	rig_wait_count(&nr_ended, 2);
	rig_start(&rig, BLK_FEATURES, 1, RING_NUM);
	flushes_fail_until_the_file_is_opened_again();
}

/* Two flushes are under way. The kernel tells one of them of a lost write, and the other is back
 * first. */
static void an_error_that_one_flush_is_told_fails_the_other(void **state)
{
	(void)state;
	make_queues(false, BLK_FEATURES, 2);
	__atomic_store_n(&untold_by_flush, true, __ATOMIC_RELEASE);
	__atomic_store_n(&untold_ahead, true, __ATOMIC_RELEASE);
	host_hold(1);
	blk_begin_flush(&rig, 0, &requests[0]);
	rig_publish(&rig, 0);
	host_wait_held();
	blk_begin_flush(&rig, 1, &requests[1]);
	rig_publish(&rig, 1);
	assert_int_equal(status_of_next_of(1), VIRTIO_BLK_S_IOERR);
	host_release();
	assert_int_equal(status_of_next_of(0), VIRTIO_BLK_S_IOERR);
	rig_destroy(&rig);
}

/* A write that was to be safe tells of others by its error; another one tells of itself. What it
 * was to be does not change with the features that the reset forgets. */
static void a_write_that_a_reset_gives_up_fails_no_flush(void **state)
{
	static const struct {
		uint64_t features;
		uint8_t status;
	} cases[] = {{BLK_FEATURES, VIRTIO_BLK_S_OK}, {BASE_FEATURES, VIRTIO_BLK_S_IOERR}};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		bool late = i % 2;

		nr_began = nr_ended = 0;
		make(true, cases[i / 2].features);
		hold(true);
		begin_all();
		rig_reset(&rig);
		__atomic_store_n(&write_err, -EIO, __ATOMIC_RELEASE);
		if (!late) {
			let_go();
			rig_wait_count(&nr_ended, NR);
		}
		rig_start(&rig, BLK_FEATURES, 1, RING_NUM);
		let_go();
		assert_int_equal(flush(), cases[i / 2].status);
		rig_destroy(&rig);
	}
}

/* ---- a ring that is gone ---- */

/* Return: the descriptor of this process's io_uring */
static int uring_fd(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *e;
	char to[64];
	int fd = -1;

	assert_non_null(dir);
	while ((e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, to, sizeof(to));

		if (n > 0 && memmem(to, (size_t)n, "io_uring", 8))
			fd = (int)strtol(e->d_name, NULL, 10);
	}
	closedir(dir);
	assert_true(fd >= 0);
	return fd;
}

static void needs_reset(void)
{
	for (int64_t until = clock_now_ns() + DEADLINE_MS * NS_PER_MS;
	     !(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);)
		assert_true(clock_now_ns() < until);
}

/* Nothing else may come to lie there: what is at work may read it, or write to it. */
static void memory_in_flight_is_there(char *mem)
{
	assert_int_equal(msync(mem, SIMBLK_FLIGHT_LEN, MS_ASYNC), 0);
}

/* Of a worker that sits in a batch, whose lock nobody can have. ThreadSanitizer would want it. */
#if defined(__clang__)
__attribute__((no_sanitize("thread")))
#else
__attribute__((no_sanitize_thread))
#endif
static char *
memory_in_flight(void)
{
	return simblk_of(vdpasim_of(rig.dev))->io[0]->bounce.base;
}

static void a_lost_ring_stops_the_disk_and_its_descriptor_is_left_alone(void **state)
{
	unsigned int began;
	char *mem;
	int fd;

	(void)state;
	make(true, BLK_FEATURES);
	hold(true);
	begin_all();
	mem = memory_in_flight();
	fd = uring_fd();
	assert_int_equal(dup2(host_file.fd, fd), fd);
	needs_reset();
	rig_reset(&rig);
	rig_start(&rig, BLK_FEATURES, 1, RING_NUM);
	began = counted(&nr_began);
	begin(0, 0, VIRTIO_BLK_T_OUT, 0);
	rig_publish(&rig, 0);
	needs_reset();
	assert_int_equal(counted(&nr_began), began);
	rig_destroy(&rig);
	memory_in_flight_is_there(mem);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
	let_go();
	make(true, BLK_FEATURES);
	assert_int_equal(flush(), VIRTIO_BLK_S_OK);
	rig_destroy(&rig);
}

/* Nobody hears when they end. So nothing begins before the file was opened again, and nobody waits
 * for them until then, for ever. */
static void a_ring_lost_with_what_a_reset_has_left_makes_nobody_wait(void **state)
{
	int fd;

	(void)state;
	for (int again = 0; again < 2; again++) {
		nr_began = 0;
		make(true, BLK_FEATURES);
		hold(true);
		begin_all();
		rig_reset(&rig);
		fd = uring_fd();
		assert_int_equal(dup2(host_file.fd, fd), fd);
		if (again) {
			rig_start(&rig, BLK_FEATURES, 1, RING_NUM);
			begin(0, 0, VIRTIO_BLK_T_OUT, 0);
			rig_publish(&rig, 0);
			needs_reset();
			assert_int_equal(counted(&nr_began), NR);
		}
		destroy(false);
		close(fd);
		let_go();
	}
	make(true, BLK_FEATURES);
	assert_int_equal(flush(), VIRTIO_BLK_S_OK);
	rig_destroy(&rig);
}

static void *reset(void *arg)
{
	rig_reset(&rig);
	eventfd_write(*(int *)arg, 1);
	return NULL;
}

/* Return: the descriptor of a ring that is lost with nothing in it */
static int lose_ring(void)
{
	int fd;

	make(true, BLK_FEATURES);
	assert_int_equal(flush(), VIRTIO_BLK_S_OK);
	fd = uring_fd();
	assert_int_equal(dup2(host_file.fd, fd), fd);
	return fd;
}

/* It comes to wait for the call that is held. */
static void wait_until_resetting(void)
{
	int64_t until = clock_now_ns() + DEADLINE_MS * NS_PER_MS;

	while (!__atomic_load_n(&rig.dev->resetting, __ATOMIC_RELAXED)) {
		assert_true(clock_now_ns() < until);
		(void)sched_yield();
	}
}

/* Plain calls do what the kernel does not take, until a reset comes. */
static void a_reset_waits_for_one_call_if_the_ring_was_lost_before(void **state)
{
	static int done;
	pthread_t thread;
	int fd = lose_ring();

	(void)state;
	done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	host_hold(HOST_ALL);
	begin_all();
	host_wait_held();
	assert_int_equal(pthread_create(&thread, NULL, reset, &done), 0);
	wait_until_resetting();
	host_release();
	assert_true(rig_wait_fd(done, DEADLINE_MS));
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(done);
	rig_destroy(&rig);
	close(fd);
}

static void without_its_ring_the_disk_works_on(void **state)
{
	int fd = lose_ring();

	(void)state;
	begin_all();
	blk_collect(&rig, 0, NR);
	rig_quiet(&rig); /* the batch that has noticed is over */
	host_file_has(0, data, NR * LEN);
	host_hold(1);
	begin(0, 0, VIRTIO_BLK_T_OUT, 0);
	begin(0, 1, VIRTIO_BLK_T_OUT, 1);
	rig_publish(&rig, 0);
	host_wait_held();
	rig_reset(&rig);
	host_release();
	rig_destroy(&rig);
	close(fd);
}

#define ORPHANS_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ORPHANS_TEST(a_suspend_waits_for_what_a_reset_has_left),
		ORPHANS_TEST(the_end_waits_for_what_a_reset_has_left),
		ORPHANS_TEST(a_direct_write_at_work_keeps_the_file_locked),
		ORPHANS_TEST(an_error_of_a_flush_is_not_lost_over_a_suspend),
		ORPHANS_TEST(an_error_of_a_flush_in_flight_is_not_lost_over_a_reset),
		ORPHANS_TEST(an_error_that_one_flush_is_told_fails_the_other),
		ORPHANS_TEST(a_write_that_a_reset_gives_up_fails_no_flush),
		ORPHANS_TEST(a_lost_ring_stops_the_disk_and_its_descriptor_is_left_alone),
		ORPHANS_TEST(a_reset_waits_for_one_call_if_the_ring_was_lost_before),
		ORPHANS_TEST(without_its_ring_the_disk_works_on),
		ORPHANS_TEST(a_ring_lost_with_what_a_reset_has_left_makes_nobody_wait),
	};
	const char *why = host_why_not(true);

	if (why) {
		print_message("%s\n", why);
		return 77;
	}
	if (blk_setup(NULL))
		return 1;
	requests = blk_pages((NR + 2) * sizeof(*requests));
	data = blk_pages(NR * LEN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
