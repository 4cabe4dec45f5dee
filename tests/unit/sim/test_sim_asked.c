// SPDX-License-Identifier: BSD-3-Clause
/*
 * A batch ends soon once somebody asks for the worker's lock, however slow the memory is that it
 * touches: here each page is there only when this program says so (userfaultfd), and pages that are
 * touched after the question are counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../between.h"
#include "base/clock.h"
#include "blk_support.h"
#include "parents/sim/simblk_internal.h"

#define LEN       (1u << 20) /* bytes of a batch */
#define PAGE      4096u
#define PAGES     (2 * (64u * 1024 / PAGE + 1)) /* that may be touched after the question */
#define FRAME     (64u * 1024)
#define NR        (LEN / FRAME)
#define BUF       (FRAME + 256)
#define NUM       64 /* entries of a ring */
#define NR_QUEUES 8
#define NR_PAIRS  4
#define ASKED_NS  (20000 * NS_PER_MS)

struct slow {
	int fd;
	pthread_t thread;
	const struct vdpasim_worker *sw;
	bool begun, ended;     /* atomic */
	unsigned int nr_after; /* pages, atomic */
	char *mem;             /* [LEN] */
};

static void wait_until_asked(const struct slow *slow)
{
	for (int64_t until = clock_now_ns() + ASKED_NS; clock_now_ns() < until;) {
		if (vdpasim_is_asked(slow->sw))
			return;
		(void)sched_yield();
	}
}

static void *bring_pages(void *arg)
{
	struct slow *slow = arg;
	struct pollfd p = {.fd = slow->fd, .events = POLLIN};
	struct uffd_msg msg;

	while (!__atomic_load_n(&slow->ended, __ATOMIC_RELAXED)) {
		struct uffdio_zeropage zero = {.range.len = PAGE};

		if (poll(&p, 1, 10) <= 0 || read(slow->fd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		if (!__atomic_exchange_n(&slow->begun, true, __ATOMIC_RELEASE))
			wait_until_asked(slow);
		(void)__atomic_fetch_add(&slow->nr_after, 1, __ATOMIC_RELAXED);
		zero.range.start = msg.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
		(void)ioctl(slow->fd, UFFDIO_ZEROPAGE, &zero);
	}
	return NULL;
}

/* Return: false: there is none for us here */
static bool slow_open(struct slow *slow)
{
	struct uffdio_api api = {.api = UFFD_API};

	slow->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (slow->fd < 0 || ioctl(slow->fd, UFFDIO_API, &api) != 0) {
		print_message("no userfaultfd\n");
		return false;
	}
	slow->mem = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(slow->mem, MAP_FAILED);
	return true;
}

static void slow_begin(struct slow *slow, struct rig *rig, void *mem)
{
	struct uffdio_register reg = {.range = {(uintptr_t)mem, LEN},
				      .mode = UFFDIO_REGISTER_MODE_MISSING};

	slow->sw = vdpasim_of(rig->dev)->vqs[0].sw;
	assert_int_equal(ioctl(slow->fd, UFFDIO_REGISTER, &reg), 0);
	assert_int_equal(pthread_create(&slow->thread, NULL, bring_pages, slow), 0);
}

static void wait_until_begun(const struct slow *slow)
{
	for (int64_t until = clock_now_ns() + ASKED_NS;
	     !__atomic_load_n(&slow->begun, __ATOMIC_ACQUIRE) && clock_now_ns() < until;)
		(void)sched_yield();
	assert_true(__atomic_load_n(&slow->begun, __ATOMIC_ACQUIRE));
}

/* @what: the load's name */
static void assert_ended_early(const struct slow *slow, const char *what)
{
	unsigned int nr = __atomic_load_n(&slow->nr_after, __ATOMIC_RELAXED);

	print_message("%s: %u pages\n", what, nr);
	assert_between(nr, 1, PAGES);
}

static void slow_end(struct slow *slow)
{
	__atomic_store_n(&slow->ended, true, __ATOMIC_RELAXED);
	(void)pthread_join(slow->thread, NULL);
	(void)close(slow->fd);
	(void)munmap(slow->mem, LEN);
}

/* ---- loads: each touches LEN bytes of slow memory ---- */

static void add_request_to(struct rig *rig, uint16_t idx, uint32_t type, void *data, size_t len)
{
	bool in = type == VIRTIO_BLK_T_IN;
	struct ring_driver_seg segs[] = {blk_seg(rig, blk.header, 16), blk_seg(rig, data, len),
					 blk_seg(rig, blk.status, 1)};

	blk_header(type, 0);
	assert_int_equal(ring_driver_add(rig->vq[idx].drv, segs, in ? 1 : 2, in ? 2 : 1, blk.header,
					 NULL, 0),
			 0);
}

static void add_request(struct rig *rig, uint32_t type, void *data, size_t len)
{
	add_request_to(rig, 0, type, data, len);
}

static void read_slowly(struct rig *rig, char *mem)
{
	add_request(rig, VIRTIO_BLK_T_IN, mem, LEN);
}

static void write_slowly(struct rig *rig, char *mem)
{
	add_request(rig, VIRTIO_BLK_T_OUT, mem, LEN);
}

static void read_many(struct rig *rig, char *mem)
{
	for (unsigned int i = 0; i < NR; i++)
		add_request(rig, VIRTIO_BLK_T_IN, mem + (size_t)i * FRAME, FRAME);
}

static void write_many(struct rig *rig, char *mem)
{
	for (unsigned int i = 0; i < NR; i++)
		add_request(rig, VIRTIO_BLK_T_OUT, mem + (size_t)i * FRAME, FRAME);
}

static void zero_slowly(struct rig *rig, char *mem)
{
	struct virtio_blk_discard_write_zeroes r = {.num_sectors = LEN / SECTOR};

	(void)mem; /* the disk's own is slow */
	memcpy(blk.data, &r, sizeof(r));
	add_request(rig, VIRTIO_BLK_T_WRITE_ZEROES, blk.data, sizeof(r));
}

/* @n frames from one queue pair, the @first of LEN. Not published */
static void send_from(struct rig *rig, uint16_t pair, char *mem, unsigned int first, unsigned int n)
{
	static uint8_t bufs[NR][BUF];

	for (unsigned int i = first; i < first + n; i++)
		rig_add(rig, 2 * pair, bufs[i], BUF, true);
	rig_publish(rig, 2 * pair);
	for (unsigned int i = first; i < first + n; i++)
		rig_add(rig, 2 * pair + 1, mem + (size_t)i * FRAME, FRAME, false);
}

static void send_slowly(struct rig *rig, char *mem)
{
	send_from(rig, 0, mem, 0, NR);
}

/* Of a longer frame strict mode takes no more. */
static void send_pages(struct rig *rig, char *mem)
{
	static uint8_t buf[PAGE];

	rig_add(rig, 0, buf, sizeof(buf), true);
	rig_publish(rig, 0);
	for (unsigned int i = 0; i < NUM; i++)
		rig_add(rig, 1, mem + (size_t)i * PAGE, PAGE, false);
}

/* Many frames, none of which is worth a look by itself. */
static void send_light(struct rig *rig, char *mem)
{
	static uint8_t buf[PAGE];

	for (unsigned int i = 0; i < NUM; i++)
		rig_add(rig, 0, buf, sizeof(buf), true);
	rig_publish(rig, 0);
	for (unsigned int i = 0; i < NUM; i++)
		rig_add(rig, 1, mem + (size_t)i * PAGE, PAGE, false);
}

/* Once a frame has gone round, those that follow go in runs. */
static void send_light_in_runs(struct rig *rig, char *mem)
{
	static uint8_t frame[HDR + 64], buf[PAGE];
	uint32_t len;

	rig_add(rig, 0, buf, sizeof(buf), true);
	rig_publish(rig, 0);
	rig_send(rig, 1, frame, sizeof(frame));
	assert_non_null(rig_get(rig, 0, &len));
	send_light(rig, mem);
}

static const struct load {
	const char *name;
	void (*add)(struct rig *rig, char *mem);
	bool disk, of_disk, strict; /* of_disk: its own memory is slow */
	bool of_reset;              /* a suspend waits for all of it */
	bool dropped;               /* frames: they are for somebody else */
	uint16_t vq, nr;            /* of the device; chains */
} loads[] = {
	{"read", read_slowly, .disk = true, .nr = 1},
	{"write", write_slowly, .disk = true, .nr = 1},
	{"many reads", read_many, .disk = true, .nr = NR},
	{"many writes", write_many, .disk = true, .nr = NR},
	{"zeroes", zero_slowly, .disk = true, .of_disk = true, .nr = 1},
	{"strict read", read_slowly, .disk = true, .strict = true, .nr = 1},
	{"strict write", write_slowly, .disk = true, .strict = true, .nr = 1},
	{"many strict reads", read_many, .disk = true, .strict = true, .of_reset = true},
	{"many strict writes", write_many, .disk = true, .strict = true, .of_reset = true},
	{"strict zeroes", zero_slowly, .disk = true, .of_disk = true, .strict = true, .nr = 1},
	{"frames", send_slowly, .vq = 1, .nr = NR},
	{"light frames", send_light, .vq = 1, .nr = NUM},
	{"light frames in runs", send_light_in_runs, .vq = 1, .nr = NUM},
	{"strict frames", send_slowly, .vq = 1, .nr = 5, .strict = true}, /* a pass */
	{"strict drops", send_pages, .vq = 1, .strict = true, .of_reset = true, .dropped = true},
};

static void make(struct rig *rig, const struct load *load)
{
	struct vdpa_dev_config c = load->disk ? blk_config() : rig_config();

	if (load->strict)
		c.profile = PROFILE_LINUX_6_12;
	if (load->dropped) {
		c.given |= VDPA_KEY_MAC;
		c.mac[0] = 2;
	}
	rig_make(rig, &c);
	rig_start(rig, load->disk && !load->strict ? BLK_FEATURES : BASE_FEATURES,
		  load->disk ? 1 : 2, NUM);
}

static void begin(const struct load *load, struct slow *slow, struct rig *rig)
{
	void *own;

	make(rig, load);
	own = load->of_disk ? simblk_of(vdpasim_of(rig->dev))->ram : slow->mem;
	slow_begin(slow, rig, own);
	load->add(rig, slow->mem);
	rig_publish(rig, load->vq);
	wait_until_begun(slow);
}

static void a_suspend_does_not_wait_for_all_of_a_batch(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
		const struct load *load = &loads[i];
		struct slow slow = {0};
		struct rig rig;
		uint32_t len;

		if (load->of_reset)
			continue;
		if (!slow_open(&slow))
			skip();
		begin(load, &slow, &rig);
		assert_int_equal(rig_op(&rig, suspend), 0);
		assert_ended_early(&slow, load->name);
		/* and nothing is lost */
		assert_int_equal(rig_op(&rig, resume), 0);
		for (unsigned int n = 0; n < load->nr; n++)
			assert_non_null(rig_get(&rig, load->vq, &len));
		if (load->disk)
			assert_int_equal(*blk.status, VIRTIO_BLK_S_OK);
		slow_end(&slow);
		rig_destroy(&rig);
	}
}

static void a_reset_does_not_wait_for_all_of_a_batch(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
		struct slow slow = {0};
		struct rig rig;

		if (!slow_open(&slow))
			skip();
		begin(&loads[i], &slow, &rig);
		rig_reset(&rig);
		assert_ended_early(&slow, loads[i].name);
		slow_end(&slow);
		rig_destroy(&rig);
	}
}

/* A suspended device goes on with what waits, and is suspended in the midst of the first batch. */
static void resume_and_suspend(struct rig *rig, struct slow *slow)
{
	assert_int_equal(rig_op(rig, resume), 0);
	wait_until_begun(slow);
	assert_int_equal(rig_op(rig, suspend), 0);
	assert_ended_early(slow, "a batch of several queues");
	assert_int_equal(rig_op(rig, resume), 0);
}

/* All of one worker: the pass over its queues ends, too, and later the others come first. */
static void a_suspend_does_not_wait_for_each_queue(void **state)
{
	struct vdpa_dev_config c = blk_config();
	struct slow slow = {0};
	struct rig rig;
	uint32_t len;

	(void)state;
	if (!slow_open(&slow))
		skip();
	c.num_queues = NR_QUEUES;
	rig_make(&rig, &c);
	rig_start(&rig, BLK_FEATURES, NR_QUEUES, 64);
	slow_begin(&slow, &rig, slow.mem);
	for (uint16_t q = 0; q < NR_QUEUES; q++)
		add_request_to(&rig, q, VIRTIO_BLK_T_IN, slow.mem + q * (LEN / NR_QUEUES),
			       LEN / NR_QUEUES);
	assert_int_equal(rig_op(&rig, suspend), 0);
	for (uint16_t q = 0; q < NR_QUEUES; q++)
		rig_publish(&rig, q);
	resume_and_suspend(&rig, &slow);
	for (uint16_t q = 0; q < NR_QUEUES; q++)
		assert_non_null(rig_get(&rig, q, &len));
	slow_end(&slow);
	rig_destroy(&rig);
}

/* In strict mode a suspend waits for all queues. A reset need not. */
static void a_reset_does_not_wait_for_each_strict_queue(void **state)
{
	struct vdpa_dev_config c = blk_config();
	struct slow slow = {0};
	struct rig rig;

	(void)state;
	if (!slow_open(&slow))
		skip();
	c.num_queues = NR_QUEUES;
	c.profile = PROFILE_LINUX_6_12;
	rig_make(&rig, &c);
	rig_start(&rig, BASE_FEATURES, NR_QUEUES, 64);
	slow_begin(&slow, &rig, slow.mem);
	assert_int_equal(rig_op(&rig, suspend), 0);
	for (uint16_t q = 0; q < NR_QUEUES; q++) {
		add_request_to(&rig, q, VIRTIO_BLK_T_IN, slow.mem + q * FRAME, FRAME);
		rig_publish(&rig, q);
	}
	assert_int_equal(rig_op(&rig, resume), 0);
	wait_until_begun(&slow);
	rig_reset(&rig);
	assert_ended_early(&slow, "a strict pass over several queues");
	slow_end(&slow);
	rig_destroy(&rig);
}

static void NO_TSA turn_is(struct rig *rig, uint16_t idx)
{
	struct vdpasim_worker *sw = vdpasim_of(rig->dev)->vqs[idx].sw;

	vdpasim_lock(sw);
	sw->turn = idx;
	vdpasim_unlock(sw);
}

/* A receive queue wakes the transmit queue, also where that comes first after a pass that was cut
 * off. */
static void frames_that_wait_for_receive_queues_go_out(struct rig *rig)
{
	static uint8_t frame[HDR + 64];
	struct vdpa_vq_state at;
	uint32_t len;

	vdpasim_of(rig->dev)->park_ns = 50 * NS_PER_MS;
	for (uint16_t p = 0; p < NR_PAIRS; p++) {
		while (rig_poll(rig, 2 * p, &len))
			;
		assert_int_equal(rig_op(rig, get_vq_state, 2 * p, &at), 0); /* parks it */
		rig_add(rig, 2 * p + 1, frame, sizeof(frame), false);
		rig_publish(rig, 2 * p + 1);
		turn_is(rig, 2 * p + 1);
		assert_non_null(rig_get(rig, 2 * p + 1, &len));
	}
}

static void a_suspend_does_not_wait_for_each_pair(void **state)
{
	static const uint8_t pairs[] = {NR_PAIRS, 0};
	const unsigned int each = NR / NR_PAIRS;
	struct vdpa_dev_config c = rig_config();
	struct slow slow = {0};
	struct rig rig;
	uint32_t len;

	(void)state;
	if (!slow_open(&slow))
		skip();
	c.max_vqp = NR_PAIRS;
	rig_make(&rig, &c);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ),
		  2 * NR_PAIRS + 1, 64);
	assert_int_equal(rig_ctrl(&rig, 2 * NR_PAIRS, VIRTIO_NET_CTRL_MQ,
				  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, sizeof(pairs)),
			 VIRTIO_NET_OK);
	slow_begin(&slow, &rig, slow.mem);
	assert_int_equal(rig_op(&rig, suspend), 0);
	for (uint16_t p = 0; p < NR_PAIRS; p++) {
		send_from(&rig, p, slow.mem, p * each, each);
		rig_publish(&rig, 2 * p + 1);
	}
	resume_and_suspend(&rig, &slow);
	for (unsigned int i = 0; i < NR; i++)
		assert_non_null(rig_get(&rig, (uint16_t)(i / each * 2 + 1), &len));
	slow_end(&slow);
	frames_that_wait_for_receive_queues_go_out(&rig);
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_suspend_does_not_wait_for_all_of_a_batch),
		cmocka_unit_test(a_reset_does_not_wait_for_all_of_a_batch),
		cmocka_unit_test(a_suspend_does_not_wait_for_each_queue),
		cmocka_unit_test(a_reset_does_not_wait_for_each_strict_queue),
		cmocka_unit_test(a_suspend_does_not_wait_for_each_pair),
	};

	return cmocka_run_group_tests(tests, blk_setup, NULL);
}
