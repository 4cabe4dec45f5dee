// SPDX-License-Identifier: BSD-3-Clause
/*
 * The simulated disk with requests in flight: data under a random load with resets in between, and
 * each way in which the kernel can end a request. Ends are changed where the device collects them,
 * in uring_reap(), which this program wraps (ld's --wrap), as it does fdatasync(), the plain calls
 * that finish what the kernel has not, and syscall(), by which requests are handed over.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/uring.h"
#include "blk_support.h"
#include "host_support.h"

#define NR_SLOTS  32
#define SLOT_LEN  16384u /* bytes of the disk, and of memory, that belong to a slot */
#define FILE_LEN  (NR_SLOTS * SLOT_LEN)
#define RING_NUM  512
#define NR_ROUNDS 40
#define NOTHING   1 /* not an error: ends are left alone */
#define NR_LONG   48
#define LONG_LEN  131072u /* bytes: more than one piece of memory in flight */

static const char *no_flight; /* why nothing can be in flight here */

/* ---- what the kernel says ---- */

static int say = NOTHING;    /* what the next ends are made to be; atomic */
static unsigned int nr_ends; /* collected; atomic */
static unsigned int nr_said; /* changed; atomic */

bool __real_uring_reap(struct uring *ring, uint64_t *data, int32_t *res);
bool __wrap_uring_reap(struct uring *ring, uint64_t *data, int32_t *res);
bool __wrap_uring_reap(struct uring *ring, uint64_t *data, int32_t *res)
{
	int now = __atomic_load_n(&say, __ATOMIC_RELAXED);

	if (!__real_uring_reap(ring, data, res))
		return false;
	__atomic_fetch_add(&nr_ends, 1, __ATOMIC_RELAXED);
	if (now == NOTHING)
		return true;
	__atomic_fetch_add(&nr_said, 1, __ATOMIC_RELAXED);
	*res = now >= 0 ? *res / 2 : now; /* 0: short */
	return true;
}

static unsigned int most_taken; /* of what is handed over in one call; 0: all; atomic */

long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);
long __wrap_syscall(long nr, ...)
{
	long most = __atomic_load_n(&most_taken, __ATOMIC_RELAXED), arg[6];
	va_list args;

	va_start(args, nr);
	for (size_t i = 0; i < ARRAY_LEN(arg); i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (nr == SYS_io_uring_enter && most > 0 && arg[1] > most)
		arg[1] = most;
	return __real_syscall(nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

/* ---- plain calls ---- */

static uint64_t plain_len; /* bytes that they have moved; atomic */

static ssize_t count_plain(ssize_t done)
{
	if (done > 0)
		__atomic_fetch_add(&plain_len, (uint64_t)done, __ATOMIC_RELAXED);
	return done;
}

ssize_t __real_preadv64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_preadv64(int fildes, const struct iovec *iov, int n, off_t off)
{
	return count_plain(__real_preadv64(fildes, iov, n, off));
}

ssize_t __real_pwritev64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_pwritev64(int fildes, const struct iovec *iov, int n, off_t off);
ssize_t __wrap_pwritev64(int fildes, const struct iovec *iov, int n, off_t off)
{
	return count_plain(__real_pwritev64(fildes, iov, n, off));
}

/* ---- the host's flush, which may take as long as it likes ---- */

int __real_fdatasync(int fildes);
int __wrap_fdatasync(int fildes);
int __wrap_fdatasync(int fildes)
{
	host_gate();
	return __real_fdatasync(fildes);
}

/* ---- a driver with many requests out ---- */

struct slot {
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint32_t type;    /* of the request that is out */
	bool out, unsure; /* a write may be on the disk, or not */
};

static struct slot *slots; /* [NR_SLOTS], shared */
static uint8_t *data;      /* [NR_SLOTS][SLOT_LEN], shared */
static uint8_t model[NR_SLOTS][SLOT_LEN];
static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static uint8_t *data_of(unsigned int i)
{
	return data + (size_t)i * SLOT_LEN;
}

static int setup(void **state)
{
	(void)state;
	say = NOTHING;
	__atomic_store_n(&most_taken, 0, __ATOMIC_RELAXED);
	memset(model, 0, sizeof(model));
	memset(slots, 0, NR_SLOTS * sizeof(*slots));
	return host_setup("blk-flight-XXXXXX", NULL, FILE_LEN);
}

static void start(struct rig *rig, bool direct, uint64_t features)
{
	struct vdpa_dev_config c = host_config();

	c.vq_size = RING_NUM;
	c.direct = direct;
	rig_make(rig, &c);
	rig_start(rig, features, 1, RING_NUM);
}

/* @pieces: the data lie in so many descriptors. */
static void begin(struct rig *rig, unsigned int i, uint32_t type, unsigned int pieces)
{
	struct slot *s = &slots[i];
	struct ring_driver_seg segs[10] = {blk_seg(rig, &s->header, sizeof(s->header))};
	bool in = type == VIRTIO_BLK_T_IN;
	unsigned int n = 1;

	s->header = (struct virtio_blk_outhdr){.type = type};
	if (type != VIRTIO_BLK_T_FLUSH)
		s->header.sector = i * (SLOT_LEN / SECTOR);
	s->status = NO_STATUS;
	s->type = type;
	s->out = true;
	if (in) /* else a read that does nothing finds what the last request has left */
		memset(data_of(i), 0xa5, SLOT_LEN);
	for (unsigned int p = 0; type != VIRTIO_BLK_T_FLUSH && p < pieces; p++)
		segs[n++] = blk_seg(rig, data_of(i) + p * (SLOT_LEN / pieces), SLOT_LEN / pieces);
	segs[n++] = blk_seg(rig, &s->status, 1);
	assert_int_equal(
		ring_driver_add(rig->vq[0].drv, segs, in ? 1 : n - 1, in ? n - 1 : 1, s, NULL, 0),
		0);
}

static void write_slot(struct rig *rig, unsigned int i, unsigned int pieces)
{
	blk_fill(data_of(i), SLOT_LEN, (uint32_t)rnd(UINT32_MAX));
	begin(rig, i, VIRTIO_BLK_T_OUT, pieces);
}

/* One request comes back; it has @status. */
static void collect(struct rig *rig, uint8_t status)
{
	uint32_t used;
	struct slot *s = rig_get(rig, 0, &used);
	unsigned int i;

	assert_non_null(s);
	i = (unsigned int)(s - slots);
	s->out = false;
	assert_int_equal(s->status, status);
	if (status != VIRTIO_BLK_S_OK)
		return;
	assert_int_equal(used, s->type == VIRTIO_BLK_T_IN ? SLOT_LEN + 1 : 1);
	if (s->type == VIRTIO_BLK_T_OUT) {
		memcpy(model[i], data_of(i), SLOT_LEN);
		s->unsure = false;
	} else if (s->type == VIRTIO_BLK_T_IN && s->unsure) {
		memcpy(model[i], data_of(i), SLOT_LEN);
	} else if (s->type == VIRTIO_BLK_T_IN) {
		assert_memory_equal(data_of(i), model[i], SLOT_LEN);
	}
}

static unsigned int nr_out(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < NR_SLOTS; i++)
		n += slots[i].out;
	return n;
}

static void collect_all(struct rig *rig, uint8_t status)
{
	while (nr_out() > 0)
		collect(rig, status);
}

/* Every slot of @nr, at once. */
static void burst(struct rig *rig, uint32_t type, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (type == VIRTIO_BLK_T_OUT)
			write_slot(rig, i, 1 + i % 2 * 3);
		else
			begin(rig, i, type, 1 + i % 2 * 3);
	}
	rig_publish(rig, 0);
}

static void file_is_model(void)
{
	host_file_has(0, model, FILE_LEN);
}

/* ---- tests ---- */

/* What is under way at a reset is on the disk or not; nothing touches memory afterwards. */
static void reset_under_load(struct rig *rig, uint64_t features)
{
	static uint8_t before[NR_SLOTS * SLOT_LEN];

	rig_reset(rig);
	memcpy(before, data, sizeof(before));
	for (unsigned int i = 0; i < NR_SLOTS; i++) {
		slots[i].unsure |= slots[i].out && slots[i].type == VIRTIO_BLK_T_OUT;
		slots[i].out = false;
	}
	rig_start(rig, features, 1, RING_NUM);
	rig_quiet(rig);
	assert_memory_equal(before, data, sizeof(before));
}

static void random_load(bool direct, uint64_t features)
{
	struct rig rig;

	rng = 88172645463325252ULL;
	start(&rig, direct, features);
	for (int round = 0; round < NR_ROUNDS; round++) {
		for (int step = 0; step < 100; step++) {
			unsigned int i = (unsigned int)rnd(NR_SLOTS);
			uint64_t what = rnd(20);

			if (slots[i].out || rnd(3) == 0)
				rig_publish(&rig, 0);
			while (slots[i].out)
				collect(&rig, VIRTIO_BLK_S_OK);
			if (what < 10)
				begin(&rig, i, VIRTIO_BLK_T_IN, 1U << rnd(4));
			else if (what == 10 && (features & BIT(VIRTIO_BLK_F_FLUSH)))
				begin(&rig, i, VIRTIO_BLK_T_FLUSH, 0);
			else
				write_slot(&rig, i, 1U << rnd(4));
		}
		rig_publish(&rig, 0);
		if (round % 4 == 3) {
			reset_under_load(&rig, features);
		} else {
			collect_all(&rig, VIRTIO_BLK_S_OK);
		}
		for (unsigned int i = 0; i < NR_SLOTS; i++) {
			if (!slots[i].unsure)
				continue;
			begin(&rig, i, VIRTIO_BLK_T_IN, 1);
			rig_publish(&rig, 0);
			collect_all(&rig, VIRTIO_BLK_S_OK);
			slots[i].unsure = false;
		}
	}
	rig_destroy(&rig);
	file_is_model();
}

static void load_is_right_past_the_page_cache(void **state)
{
	(void)state;
	if (no_flight)
		skip();
	random_load(true, BLK_FEATURES);
	assert_true(nr_ends > 1000);
}

static void load_is_right_through_the_page_cache(void **state)
{
	(void)state;
	random_load(false, BLK_FEATURES);
}

static void load_is_right_if_the_driver_never_flushes(void **state)
{
	(void)state;
	random_load(true, BASE_FEATURES);
}

static void load_is_right_on_packed_rings_in_order(void **state)
{
	(void)state;
	random_load(true, BLK_FEATURES | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER));
}

/* The kernel has moved all of it, whatever this program makes of that: so the calls are counted. */
static void ends_that_are_none_are_finished_by_plain_calls(void **state)
{
	static const int ends[] = {0, -EAGAIN, -EINTR, -ECANCELED};
	struct rig rig;

	(void)state;
	if (no_flight)
		skip();
	start(&rig, true, BLK_FEATURES);
	for (size_t e = 0; e < ARRAY_LEN(ends); e++) {
		__atomic_store_n(&nr_said, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&plain_len, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&say, ends[e], __ATOMIC_RELAXED);
		burst(&rig, VIRTIO_BLK_T_OUT, NR_SLOTS);
		collect_all(&rig, VIRTIO_BLK_S_OK);
		file_is_model();
		burst(&rig, VIRTIO_BLK_T_IN, NR_SLOTS);
		collect_all(&rig, VIRTIO_BLK_S_OK);
		assert_int_equal(__atomic_load_n(&nr_said, __ATOMIC_RELAXED), 2 * NR_SLOTS);
		assert_int_equal(__atomic_load_n(&plain_len, __ATOMIC_RELAXED),
				 2 * NR_SLOTS * (ends[e] ? SLOT_LEN : SLOT_LEN / 2));
		__atomic_store_n(&say, NOTHING, __ATOMIC_RELAXED);
	}
	rig_destroy(&rig);
}

static void run_long(struct rig *rig, struct blk_request *requests, uint32_t type, uint8_t *bytes)
{
	for (unsigned int i = 0; i < NR_LONG; i++) {
		requests[i].header =
			(struct virtio_blk_outhdr){.type = type, .sector = i * (LONG_LEN / SECTOR)};
		blk_begin(rig, 0, &requests[i], bytes + (size_t)i * LONG_LEN, LONG_LEN);
	}
	rig_publish(rig, 0);
	blk_collect(rig, 0, NR_LONG);
	host_file_has(0, bytes, (size_t)NR_LONG * LONG_LEN);
}

/* As it does behind an operation that it refuses, or without memory: the rest stays prepared. */
static void a_kernel_that_takes_few_at_once_mixes_nothing_up(void **state)
{
	struct blk_request *requests = blk_pages(NR_LONG * sizeof(*requests));
	uint8_t *bytes = blk_pages((size_t)NR_LONG * LONG_LEN);
	struct rig rig;

	(void)state;
	if (no_flight)
		skip();
	assert_int_equal(ftruncate(host_file.fd, (off_t)NR_LONG * LONG_LEN), 0);
	start(&rig, true, BLK_FEATURES);
	__atomic_store_n(&most_taken, 1, __ATOMIC_RELAXED);
	blk_fill(bytes, (size_t)NR_LONG * LONG_LEN, 11);
	run_long(&rig, requests, VIRTIO_BLK_T_OUT, bytes);
	memset(bytes, 0xa5, (size_t)NR_LONG * LONG_LEN);
	run_long(&rig, requests, VIRTIO_BLK_T_IN, bytes);
	__atomic_store_n(&most_taken, 0, __ATOMIC_RELAXED);
	rig_destroy(&rig);
}

static void errors_are_the_drivers(void **state)
{
	static const int ends[] = {-EIO, -ENOSPC, -EDQUOT};
	struct rig rig;

	(void)state;
	if (no_flight)
		skip();
	start(&rig, true, BLK_FEATURES);
	for (size_t e = 0; e < ARRAY_LEN(ends); e++) {
		__atomic_store_n(&say, ends[e], __ATOMIC_RELAXED);
		burst(&rig, VIRTIO_BLK_T_OUT, NR_SLOTS);
		collect_all(&rig, VIRTIO_BLK_S_IOERR);
		burst(&rig, VIRTIO_BLK_T_FLUSH, 8);
		collect_all(&rig, VIRTIO_BLK_S_IOERR);
		__atomic_store_n(&say, NOTHING, __ATOMIC_RELAXED);
		burst(&rig, VIRTIO_BLK_T_OUT, NR_SLOTS);
		collect_all(&rig, VIRTIO_BLK_S_OK);
	}
	rig_destroy(&rig);
	file_is_model();
}

static void a_file_that_shrinks_fails_what_lies_beyond(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, true, BLK_FEATURES);
	assert_int_equal(ftruncate(host_file.fd, FILE_LEN / 2), 0);
	burst(&rig, VIRTIO_BLK_T_IN, NR_SLOTS);
	while (nr_out() > 0) {
		uint32_t used;
		struct slot *s = rig_get(&rig, 0, &used);

		assert_non_null(s);
		assert_int_equal(s->status,
				 s - slots < NR_SLOTS / 2 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
		s->out = false;
	}
	rig_destroy(&rig);
}

static void memory_that_vanishes_in_flight_breaks_the_queue(void **state)
{
	struct rig rig;

	(void)state;
	rig_take_signals();
	start(&rig, true, BLK_FEATURES);
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		begin(&rig, i, VIRTIO_BLK_T_IN, 1);
	rig_vanish(data_of(7), SLOT_LEN);
	rig_publish(&rig, 0);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	assert_true(rig_op(&rig, get_status) & VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_reset(&rig);
	assert_ptr_not_equal(mmap(data_of(7), SLOT_LEN, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			     MAP_FAILED);
	rig_start(&rig, BLK_FEATURES, 1, RING_NUM);
	burst(&rig, VIRTIO_BLK_T_IN, NR_SLOTS);
	collect_all(&rig, VIRTIO_BLK_S_OK);
	rig_destroy(&rig);
}

/* A header that cannot be read cuts the batch off while requests of the same queue are in flight:
 * they end before the queue is declared broken, and leave memory alone then. */
static void a_fault_in_the_middle_waits_for_what_is_in_flight(void **state)
{
	struct virtio_blk_outhdr *gone = blk_pages(4096);
	struct ring_driver_seg segs[3];
	struct rig rig;

	(void)state;
	rig_take_signals();
	start(&rig, true, BLK_FEATURES);
	for (unsigned int i = 0; i < NR_SLOTS / 2; i++)
		begin(&rig, i, VIRTIO_BLK_T_IN, 1);
	segs[0] = blk_seg(&rig, gone, 16);
	segs[1] = blk_seg(&rig, data_of(NR_SLOTS - 1), SLOT_LEN);
	segs[2] = blk_seg(&rig, &slots[NR_SLOTS - 1].status, 1);
	rig_vanish(gone, 4096);
	assert_int_equal(ring_driver_add(rig.vq[0].drv, segs, 1, 2, gone, NULL, 0), 0);
	rig_publish(&rig, 0);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	reset_under_load(&rig, BLK_FEATURES);
	burst(&rig, VIRTIO_BLK_T_OUT, NR_SLOTS);
	collect_all(&rig, VIRTIO_BLK_S_OK);
	rig_destroy(&rig);
	file_is_model();
}

/* Nobody asks again, and it has failed nothing. */
static void a_flush_of_a_broken_queue_that_is_to_be_tried_again_fails_no_other(void **state)
{
	struct virtio_blk_outhdr *gone = blk_pages(4096);
	struct ring_driver_seg segs[2];
	struct rig rig;

	(void)state;
	if (no_flight)
		skip();
	rig_take_signals();
	start(&rig, true, BLK_FEATURES);
	begin(&rig, 0, VIRTIO_BLK_T_FLUSH, 0);
	begin(&rig, 1, VIRTIO_BLK_T_FLUSH, 0);
	segs[0] = blk_seg(&rig, gone, 16);
	segs[1] = blk_seg(&rig, &slots[2].status, 1);
	rig_vanish(gone, 4096);
	assert_int_equal(ring_driver_add(rig.vq[0].drv, segs, 1, 1, gone, NULL, 0), 0);
	__atomic_store_n(&say, -EINTR, __ATOMIC_RELAXED);
	rig_publish(&rig, 0);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	reset_under_load(&rig, BLK_FEATURES);
	__atomic_store_n(&say, NOTHING, __ATOMIC_RELAXED);
	begin(&rig, 0, VIRTIO_BLK_T_FLUSH, 0);
	rig_publish(&rig, 0);
	collect(&rig, VIRTIO_BLK_S_OK);
	rig_destroy(&rig);
}

static void what_is_not_aligned_goes_through_the_page_cache(void **state)
{
	struct virtio_blk_config config;
	struct rig rig;

	(void)state;
	start(&rig, true, BLK_FEATURES);
	rig_do(&rig, get_config, 0, &config, sizeof(config));
	assert_true(config.blk_size >= SECTOR);
	assert_int_equal(config.blk_size % SECTOR, 0);
	blk_fill(model[0], SLOT_LEN, 5);
	assert_int_equal(blk_write(&rig, 0, model[0], SLOT_LEN), VIRTIO_BLK_S_OK);
	for (unsigned int sector = 1; sector < 20; sector += 3) {
		uint8_t *at = model[0] + sector * SECTOR;

		blk_fill(at, 3 * SECTOR, sector);
		assert_int_equal(blk_write(&rig, sector, at, 3 * SECTOR), VIRTIO_BLK_S_OK);
		blk_expect(&rig, 0, model[0], SLOT_LEN);
	}
	rig_destroy(&rig);
	file_is_model();
}

static void direct_needs_a_file(void **state)
{
	struct vdpa_dev_config c = blk_config();

	(void)state;
	c.direct = true;
	blk_refused(&c, -EINVAL, "direct on: the disk has no file");
}

/* The result of a flush that a reset has outrun is nobody's. */
static void reset_does_not_wait_for_a_flush(void **state)
{
	struct rig rig;

	(void)state;
	if (no_flight)
		skip();
	host_hold(HOST_ALL);
	start(&rig, false, BLK_FEATURES);
	begin(&rig, 0, VIRTIO_BLK_T_FLUSH, 0);
	rig_publish(&rig, 0);
	host_wait_held();
	rig_reset(&rig);
	host_release();
	rig_start(&rig, BLK_FEATURES, 1, RING_NUM);
	begin(&rig, 0, VIRTIO_BLK_T_FLUSH, 0);
	rig_publish(&rig, 0);
	host_wait_held();
	assert_int_equal(slots[0].status, NO_STATUS);
	host_release();
	collect(&rig, VIRTIO_BLK_S_OK);
	rig_destroy(&rig);
}

/* A driver that does not flush: a write is completed when it is safe, and only once. */
static void suspend_does_not_wait_for_a_write_to_be_safe(void **state)
{
	struct rig rig;
	uint32_t used;

	(void)state;
	if (no_flight)
		skip();
	host_hold(HOST_ALL);
	start(&rig, false, BASE_FEATURES);
	write_slot(&rig, 0, 1);
	rig_publish(&rig, 0);
	host_wait_held();
	assert_int_equal(rig_op(&rig, suspend), 0);
	assert_null(rig_poll(&rig, 0, &used));
	assert_int_equal(slots[0].status, NO_STATUS);
	host_release();
	assert_int_equal(rig_op(&rig, resume), 0);
	host_wait_held(); /* begun anew */
	host_release();
	collect(&rig, VIRTIO_BLK_S_OK);
	assert_null(rig_poll(&rig, 0, &used));
	rig_destroy(&rig);
}

/* Nothing is to be made safe. */
static void a_write_of_nothing_waits_for_no_flush(void **state)
{
	struct ring_driver_seg segs[2];
	struct rig rig;

	(void)state;
	start(&rig, false, BASE_FEATURES);
	slots[0] = (struct slot){
		.header.type = VIRTIO_BLK_T_OUT, .status = NO_STATUS, .type = VIRTIO_BLK_T_OUT};
	segs[0] = blk_seg(&rig, &slots[0].header, sizeof(slots[0].header));
	segs[1] = blk_seg(&rig, &slots[0].status, 1);
	host_hold(1);
	assert_int_equal(ring_driver_add(rig.vq[0].drv, segs, 1, 1, &slots[0], NULL, 0), 0);
	rig_publish(&rig, 0);
	collect(&rig, VIRTIO_BLK_S_OK);
	host_hold(0);
	rig_destroy(&rig);
}

/* Others are there, so it could be in flight; but the batch would wait for it. */
static void reset_does_not_wait_for_a_flush_that_has_much_to_do(void **state)
{
	struct rig rig;

	(void)state;
	if (no_flight)
		skip();
	host_hold(HOST_ALL);
	start(&rig, false, BLK_FEATURES);
	for (unsigned int round = 0; round < 8; round++) {
		for (unsigned int i = 0; i < NR_SLOTS; i++)
			write_slot(&rig, i, 1);
		rig_publish(&rig, 0);
		for (unsigned int i = 0; i < NR_SLOTS; i++)
			collect(&rig, VIRTIO_BLK_S_OK);
	}
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		begin(&rig, i, i ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_FLUSH, 1);
	rig_publish(&rig, 0);
	host_wait_held();
	rig_reset(&rig);
	host_release();
	rig_destroy(&rig);
}

/* The last one: the filter stays. */
static void without_io_uring_requests_go_one_by_one(void **state)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {ARRAY_LEN(code), code};
	unsigned int before = nr_ends;

	(void)state;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		skip();
	random_load(true, BLK_FEATURES);
	assert_int_equal(nr_ends, before);
}

#define FLIGHT_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLIGHT_TEST(load_is_right_past_the_page_cache),
		FLIGHT_TEST(load_is_right_through_the_page_cache),
		FLIGHT_TEST(load_is_right_if_the_driver_never_flushes),
		FLIGHT_TEST(load_is_right_on_packed_rings_in_order),
		FLIGHT_TEST(ends_that_are_none_are_finished_by_plain_calls),
		FLIGHT_TEST(a_kernel_that_takes_few_at_once_mixes_nothing_up),
		FLIGHT_TEST(errors_are_the_drivers),
		FLIGHT_TEST(a_file_that_shrinks_fails_what_lies_beyond),
		FLIGHT_TEST(memory_that_vanishes_in_flight_breaks_the_queue),
		FLIGHT_TEST(a_fault_in_the_middle_waits_for_what_is_in_flight),
		FLIGHT_TEST(a_flush_of_a_broken_queue_that_is_to_be_tried_again_fails_no_other),
		FLIGHT_TEST(what_is_not_aligned_goes_through_the_page_cache),
		FLIGHT_TEST(direct_needs_a_file),
		FLIGHT_TEST(reset_does_not_wait_for_a_flush),
		FLIGHT_TEST(suspend_does_not_wait_for_a_write_to_be_safe),
		FLIGHT_TEST(a_write_of_nothing_waits_for_no_flush),
		FLIGHT_TEST(reset_does_not_wait_for_a_flush_that_has_much_to_do),
		FLIGHT_TEST(without_io_uring_requests_go_one_by_one),
	};

	no_flight = host_why_not(true);
	if (no_flight)
		printf("some cases are left out: %s\n", no_flight);
	slots = blk_pages(NR_SLOTS * sizeof(*slots));
	data = blk_pages((size_t)NR_SLOTS * SLOT_LEN);
	return rig_guard_install() ? 1 : cmocka_run_group_tests(tests, blk_setup, NULL);
}
