// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated disk with two queues on one worker, which share what is in flight. What the kernel
 * says, and when, is decided here: this program wraps uring_reap() and uring_nr_busy() (ld's
 * --wrap), uring_prepare() to count, and simblk_job_note() to hold a batch in its middle.
 */
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../between.h"
#include "base/clock.h"
#include "base/uring.h"
#include "blk_support.h"
#include "host_support.h"
#include "parents/sim/simblk_internal.h"

#define NR       8
#define LEN      4096u
#define DEEP     165 /* requests that one queue always has */
#define RING_NUM 512
#define SLOW_NS  (100 * NS_PER_US) /* between two ends */

/* ---- what the kernel says, and when ---- */

enum ends { AT_ONCE, SLOWLY, HELD };

static struct {
	enum ends ends;            /* atomic */
	const int *next;           /* flights that end now, in one go; -1: no more; atomic */
	int32_t res[SIMBLK_DEPTH]; /* of what has ended and was kept here */
	bool kept[SIMBLK_DEPTH];
	unsigned int nr_kept;
} host;

unsigned int __real_uring_nr_busy(const struct uring *ring);
unsigned int __wrap_uring_nr_busy(const struct uring *ring);
unsigned int __wrap_uring_nr_busy(const struct uring *ring)
{
	return __real_uring_nr_busy(ring) + host.nr_kept;
}

bool __real_uring_reap(struct uring *ring, uint64_t *data, int32_t *res);
bool __wrap_uring_reap(struct uring *ring, uint64_t *data, int32_t *res);

static bool give(unsigned int i, uint64_t *data, int32_t *res)
{
	*data = i;
	*res = host.res[i];
	host.kept[i] = false;
	host.nr_kept--;
	return true;
}

/* All that are to end now have to be there, so that they land in one turn. */
static bool reap_next(uint64_t *data, int32_t *res)
{
	const int *next = __atomic_load_n(&host.next, __ATOMIC_ACQUIRE);

	for (const int *k = next; k && *k >= 0; k++)
		if (!host.kept[*k])
			return false;
	if (!next || *next < 0)
		return false;
	__atomic_store_n(&host.next, next + 1, __ATOMIC_RELEASE);
	return give((unsigned int)*next, data, res);
}

static const struct blk_request *other; /* of the queue that is not deep; NULL: none; atomic */
static unsigned int nr_before;          /* ends while that request is out; atomic */

static bool reap_slowly(struct uring *ring, uint64_t *data, int32_t *res)
{
	const struct blk_request *r = __atomic_load_n(&other, __ATOMIC_ACQUIRE);
	static int64_t next;

	if (clock_now_ns() < next || !__real_uring_reap(ring, data, res))
		return false;
	next = clock_now_ns() + SLOW_NS;
	if (r && r->status == NO_STATUS)
		__atomic_fetch_add(&nr_before, 1, __ATOMIC_RELAXED);
	return true;
}

static unsigned int nr_looks; /* atomic; at what has ended */

/* What this thread has done before is done before the worker goes on. */
static void wait_until_seen(void)
{
	unsigned int seen = __atomic_fetch_add(&nr_looks, 1, __ATOMIC_ACQ_REL) + 1;

	for (int64_t until = clock_now_ns() + DEADLINE_MS * NS_PER_MS;
	     __atomic_load_n(&nr_looks, __ATOMIC_ACQUIRE) == seen;)
		assert_true(clock_now_ns() < until);
}

bool __wrap_uring_reap(struct uring *ring, uint64_t *data, int32_t *res)
{
	enum ends ends = __atomic_load_n(&host.ends, __ATOMIC_ACQUIRE);
	uint64_t i;
	int32_t r;

	__atomic_fetch_add(&nr_looks, 1, __ATOMIC_ACQ_REL);
	if (ends == SLOWLY)
		return reap_slowly(ring, data, res);
	while (ends == HELD && __real_uring_reap(ring, &i, &r)) {
		host.res[i] = r;
		host.kept[i] = true;
		host.nr_kept++;
	}
	if (ends == HELD)
		return reap_next(data, res);
	for (unsigned int k = 0; host.nr_kept > 0 && k < SIMBLK_DEPTH; k++)
		if (host.kept[k])
			return give(k, data, res);
	return __real_uring_reap(ring, data, res);
}

static unsigned int nr_began; /* in all; atomic */

struct io_uring_sqe *__real_uring_prepare(struct uring *ring);
struct io_uring_sqe *__wrap_uring_prepare(struct uring *ring);
struct io_uring_sqe *__wrap_uring_prepare(struct uring *ring)
{
	__atomic_fetch_add(&nr_began, 1, __ATOMIC_RELEASE);
	return __real_uring_prepare(ring);
}

static void ends_are(enum ends ends)
{
	__atomic_store_n(&host.ends, ends, __ATOMIC_RELEASE);
}

void __real_simblk_job_note(struct simblk_req *req, enum simblk_job_op op, uint64_t off,
			    uint64_t len, bool sync);
void __wrap_simblk_job_note(struct simblk_req *req, enum simblk_job_op op, uint64_t off,
			    uint64_t len, bool sync);
void __wrap_simblk_job_note(struct simblk_req *req, enum simblk_job_op op, uint64_t off,
			    uint64_t len, bool sync)
{
	__real_simblk_job_note(req, op, off, len, sync);
	host_gate();
}

/* ---- a driver ---- */

static struct blk_request *requests; /* [DEEP + 1], shared */
static uint8_t *data;                /* [NR][LEN], shared */
static struct rig rig;

static int setup(void **state)
{
	static uint8_t content[NR * LEN];

	(void)state;
	memset(&host, 0, sizeof(host));
	nr_began = nr_before = 0;
	other = NULL;
	blk_fill(content, sizeof(content), 3);
	return host_setup("blk-queues-XXXXXX", content, sizeof(content));
}

static void make(bool direct)
{
	struct vdpa_dev_config c = host_config();

	c.vq_size = RING_NUM;
	c.num_queues = 2;
	c.direct = direct;
	rig_make(&rig, &c);
	rig_start(&rig, BLK_FEATURES, 2, RING_NUM);
}

/* Request @i, for the page @page of the disk and of memory. */
static void begin(uint16_t q, unsigned int i, uint32_t type, unsigned int page)
{
	requests[i].header =
		(struct virtio_blk_outhdr){.type = type, .sector = page * (LEN / SECTOR)};
	blk_begin(&rig, q, &requests[i], data + (size_t)page * LEN, LEN);
}

/* ---- tests ---- */

/* A flush in flight makes a write worth a flight; but this one has a job before it. */
static void a_write_behind_a_job_is_a_job_too(void **state)
{
	(void)state;
	make(false);
	ends_are(HELD);
	blk_begin_flush(&rig, 0, &requests[0]);
	blk_begin_flush(&rig, 0, &requests[1]);
	rig_publish(&rig, 0);
	rig_wait_count(&nr_began, 2);
	host_hold(1);
	begin(1, 3, VIRTIO_BLK_T_OUT, 1);
	rig_publish(&rig, 1);
	host_wait_held();
	begin(1, 4, VIRTIO_BLK_T_OUT, 2);
	begin(1, 5, VIRTIO_BLK_T_OUT, 3);
	rig_publish(&rig, 1);
	host_release();
	ends_are(AT_ONCE);
	blk_collect(&rig, 0, 2);
	blk_collect(&rig, 1, 3);
	assert_false(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_destroy(&rig);
}

/* Two of queue 0 end out of turn and are told; the other two land just before queue 1 faults. */
static void a_fault_of_one_queue_loses_nothing_of_another(void **state)
{
	static const int first[] = {1, 3, 5, -1}, second[] = {0, 2, 4, -1};
	unsigned int times[4] = {0};
	uint8_t *gone = blk_pages(LEN);
	uint32_t used;

	(void)state;
	rig_take_signals();
	make(true);
	ends_are(HELD);
	for (unsigned int i = 0; i < 4; i++)
		begin(0, i, VIRTIO_BLK_T_IN, i);
	rig_publish(&rig, 0);
	rig_wait_count(&nr_began, 4);
	requests[4].header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN};
	blk_begin(&rig, 1, &requests[4], gone, LEN);
	begin(1, 5, VIRTIO_BLK_T_IN, 5);
	rig_publish(&rig, 1);
	rig_wait_count(&nr_began, 6);
	__atomic_store_n(&host.next, first, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < 4; i++) {
		struct blk_request *r;

		if (i == 2) {
			rig_vanish(gone, LEN);
			__atomic_store_n(&host.next, second, __ATOMIC_RELEASE);
		}
		r = rig_get(&rig, 0, &used);
		assert_non_null(r);
		assert_in_set((uintptr_t)(r - requests), ((uintmax_t[]){0, 1, 2, 3}), 4);
		times[r - requests]++;
	}
	ends_are(AT_ONCE);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(times[i], 1);
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_destroy(&rig);
}

/* Both queues have two in flight, of which the later one has ended, when a reset gives the others
 * up. These fail. The first one's status cannot be written; the other queue's position is exact. */
static void a_fault_while_a_reset_gives_up_loses_nothing_of_another(void **state)
{
	static const int later[] = {1, 3, -1};
	struct blk_request *gone = blk_pages(LEN), *r;
	struct vdpa_vq_state at;
	uint32_t used;

	(void)state;
	rig_take_signals();
	make(true);
	ends_are(HELD);
	gone->header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN};
	blk_begin(&rig, 1, gone, data, LEN);
	begin(1, 1, VIRTIO_BLK_T_IN, 1);
	rig_publish(&rig, 1);
	rig_wait_count(&nr_began, 2);
	begin(0, 2, VIRTIO_BLK_T_IN, 2);
	begin(0, 3, VIRTIO_BLK_T_IN, 3);
	rig_publish(&rig, 0);
	rig_wait_count(&nr_began, 4);
	__atomic_store_n(&host.next, later, __ATOMIC_RELEASE);
	assert_ptr_equal(rig_get(&rig, 1, &used), &requests[1]);
	assert_ptr_equal(rig_get(&rig, 0, &used), &requests[3]);
	rig_vanish(gone, LEN);
	wait_until_seen();
	__atomic_store_n(&rig.dev->resetting, true, __ATOMIC_RELAXED);
	assert_int_equal(rig_op(&rig, suspend), 0);
	assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
	assert_int_equal(at.last_avail, 2);
	r = rig_poll(&rig, 0, &used);
	assert_ptr_equal(r, &requests[2]);
	assert_int_equal(r->status, VIRTIO_BLK_S_IOERR);
	__atomic_store_n(&rig.dev->resetting, false, __ATOMIC_RELAXED);
	ends_are(AT_ONCE);
	rig_reset(&rig);
	rig_destroy(&rig);
}

/* Two maps of the device: of all, and of what the requests need but for the rings. */
static const struct iotlb_version *make_map(bool with_rings)
{
	const struct iotlb_version *v;
	struct iotlb *tlb;

	assert_int_equal(iotlb_create(4, &tlb), 0);
	rig_map_add(&rig, tlb, requests, LEN);
	rig_map_add(&rig, tlb, data, NR * LEN);
	if (with_rings)
		rig_map_add(&rig, tlb, rig.vq[0].mem, rig.vq[0].mem_len);
	v = iotlb_snapshot(tlb);
	iotlb_destroy(tlb);
	return v;
}

static void *take_rings_away(void *arg)
{
	const struct iotlb_version *map = make_map(false);

	assert_int_equal(rig_op(&rig, set_map, 0, map), 0);
	iotlb_version_put(map);
	eventfd_write(*(int *)arg, 1);
	return NULL;
}

/* The later of two requests has been told when the rings are taken away, and the other one ends.
 * They are back when the client stops the device, or asks where it stands, but the worker has not
 * seen that yet. */
static void a_stop_behind_a_map_is_exact(void **state)
{
	static const int later[] = {1, -1}, sooner[] = {0, -1};
	const struct iotlb_version *map;
	struct vdpa_vq_state at;
	pthread_t thread;
	uint32_t used;

	(void)state;
	for (int stop = 0; stop < 2; stop++) {
		int done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

		nr_began = 0;
		host.next = NULL;
		make(true);
		map = make_map(true);
		ends_are(HELD);
		begin(0, 0, VIRTIO_BLK_T_IN, 0);
		begin(0, 1, VIRTIO_BLK_T_IN, 1);
		rig_publish(&rig, 0);
		rig_wait_count(&nr_began, 2);
		__atomic_store_n(&host.next, later, __ATOMIC_RELEASE);
		assert_ptr_equal(rig_get(&rig, 0, &used), &requests[1]);
		assert_int_equal(pthread_create(&thread, NULL, take_rings_away, &done), 0);
		assert_false(rig_wait_fd(done, A_WHILE));
		__atomic_store_n(&host.next, sooner, __ATOMIC_RELEASE);
		assert_true(rig_wait_fd(done, DEADLINE_MS));
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(iotlb_assign(vdpasim_of(rig.dev)->as[0].tlb, map), 0);
		if (stop)
			assert_int_equal(rig_op(&rig, suspend), 0);
		assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
		assert_int_equal(at.last_avail, 2);
		rig_reset(&rig);
		assert_ptr_equal(rig_poll(&rig, 0, &used), &requests[0]);
		assert_null(rig_poll(&rig, 0, &used));
		ends_are(AT_ONCE);
		iotlb_version_put(map);
		rig_destroy(&rig);
		close(done);
	}
}

/* Two requests end while the rings are not mapped, and the device is stopped before they are back.
 * If the later one was told before, no position is right for the other. If none was, all is done
 * once more. */
static void a_stop_without_rings_says_so_if_its_position_is_wrong(void **state)
{
	static const int later[] = {1, -1}, sooner[] = {0, -1}, both[] = {1, 0, -1};
	struct vdpa_vq_state at;
	pthread_t thread;
	uint32_t used;

	(void)state;
	for (int told = 0; told < 2; told++) {
		int done = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

		nr_began = 0;
		host.next = NULL;
		make(true);
		ends_are(HELD);
		begin(0, 0, VIRTIO_BLK_T_IN, 0);
		begin(0, 1, VIRTIO_BLK_T_IN, 1);
		rig_publish(&rig, 0);
		rig_wait_count(&nr_began, 2);
		if (told) {
			__atomic_store_n(&host.next, later, __ATOMIC_RELEASE);
			assert_ptr_equal(rig_get(&rig, 0, &used), &requests[1]);
		}
		assert_int_equal(pthread_create(&thread, NULL, take_rings_away, &done), 0);
		assert_false(rig_wait_fd(done, A_WHILE));
		__atomic_store_n(&host.next, told ? sooner : both, __ATOMIC_RELEASE);
		assert_true(rig_wait_fd(done, DEADLINE_MS));
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(rig_op(&rig, suspend), 0);
		assert_int_equal(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET,
				 told ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
		assert_int_equal(rig_wait_fd(rig.config_fd, told ? DEADLINE_MS : A_WHILE), told);
		assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
		if (!told)
			assert_int_equal(at.last_avail, 0);
		ends_are(AT_ONCE);
		rig_reset(&rig);
		assert_int_equal(rig_op(&rig, get_status), 0);
		rig_destroy(&rig);
		close(done);
	}
}

/* Queue 0 stays deep until the request of queue 1 is back, or @most have ended before it. Counted
 * where the device sees the ends: this thread may come too late to tell their order. */
static unsigned int count_before(unsigned int most)
{
	int64_t until = clock_now_ns() + DEADLINE_MS * NS_PER_MS;
	struct blk_request *r;
	uint32_t used;

	while (!rig_poll(&rig, 1, &used) && __atomic_load_n(&nr_before, __ATOMIC_RELAXED) < most) {
		assert_true(clock_now_ns() < until);
		while ((r = rig_poll(&rig, 0, &used)))
			blk_begin(&rig, 0, r, data, LEN);
		rig_publish(&rig, 0);
	}
	return __atomic_load_n(&nr_before, __ATOMIC_RELAXED);
}

/* A drive with an end each SLOW_NS. */
static void a_deep_queue_leaves_others_their_turn(void **state)
{
	const unsigned int most = 4 * SIMBLK_DEPTH;

	(void)state;
	make(true);
	ends_are(SLOWLY);
	for (unsigned int i = 0; i < DEEP; i++)
		begin(0, i, VIRTIO_BLK_T_IN, i % NR);
	rig_publish(&rig, 0);
	rig_wait_count(&nr_began, SIMBLK_DEPTH);
	begin(1, DEEP, VIRTIO_BLK_T_IN, 1);
	rig_publish(&rig, 1);
	__atomic_store_n(&other, &requests[DEEP], __ATOMIC_RELEASE);
	assert_between(count_before(most), 0, most - 1);
	ends_are(AT_ONCE);
	rig_destroy(&rig);
}

#define QUEUES_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUES_TEST(a_write_behind_a_job_is_a_job_too),
		QUEUES_TEST(a_fault_of_one_queue_loses_nothing_of_another),
		QUEUES_TEST(a_fault_while_a_reset_gives_up_loses_nothing_of_another),
		QUEUES_TEST(a_stop_behind_a_map_is_exact),
		QUEUES_TEST(a_stop_without_rings_says_so_if_its_position_is_wrong),
		QUEUES_TEST(a_deep_queue_leaves_others_their_turn),
	};
	const char *why = host_why_not(true);

	if (why) {
		print_message("%s\n", why);
		return 77;
	}
	if (rig_guard_install() || blk_setup(NULL))
		return 1;
	requests = blk_pages((DEEP + 1) * sizeof(*requests));
	data = blk_pages(NR * LEN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
