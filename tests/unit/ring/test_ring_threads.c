// SPDX-License-Identifier: BSD-3-Clause
/*
 * A driver thread and a device thread on one ring, and a control thread that keeps changing the
 * address space. Both sides sleep on eventfds as real ones do, with suppression in use, so a lost
 * kick or interrupt ends in a timeout (R3, R4), and a missing order in wrong contents (R1, R2). For
 * the thread sanitizer above all.
 */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/rcu.h"

#define NUM         16u
#define CHAINS      20000u
#define DEADLINE_MS 20000

struct duo {
	struct world w;
	struct lane l;
	int kick_fd, call_fd;
	bool stop;              /* atomic: the control thread ends */
	const char *driver_err; /* written by its thread, read after the join */
	const char *device_err;
	unsigned int nr_sleeps; /* of the driver */
};

static bool wait_fd(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n;

	return poll(&p, 1, DEADLINE_MS) == 1 && read(fd, &n, sizeof(n)) == sizeof(n);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static uint64_t answer(uint64_t question)
{
	return question * 0x9e3779b97f4a7c15ULL + 1;
}

/* Each slot: 8 bytes out, 8 bytes in. */
static bool driver_add(struct duo *d, uint64_t i)
{
	uint32_t off = (uint32_t)(i % NUM) * 64;
	struct ring_driver_seg segs[2] = {lane_seg(&d->l, off, 8), lane_seg(&d->l, off + 32, 8)};
	uint64_t question = i;

	if (ring_driver_nr_free(d->l.drv) < 2)
		return false;
	memcpy(lane_host(&d->l, LANE_BUFFERS + off), &question, 8);
	return ring_driver_add(d->l.drv, segs, 1, 1, lane_host(&d->l, LANE_BUFFERS + off),
			       i % 3 ? NULL : lane_host(&d->l, LANE_TABLES + off),
			       lane_iova(&d->l, LANE_TABLES + off)) == 0;
}

static const char *driver_collect(struct duo *d, uint64_t *done)
{
	uint32_t len;
	int err;
	char *cookie;

	while ((cookie = ring_driver_get(d->l.drv, &len, &err))) {
		uint64_t question, got;

		memcpy(&question, cookie, 8);
		memcpy(&got, cookie + 32, 8);
		if (len != 8 || question != *done || got != answer(question))
			return "wrong contents";
		(*done)++;
	}
	return err ? "protocol error" : NULL;
}

static void *driver_thread(void *arg)
{
	struct duo *d = arg;
	uint64_t added = 0, done = 0, before;

	while (done < CHAINS && !d->driver_err) {
		while (added < CHAINS && added - done < NUM / 2 && driver_add(d, added))
			added++;
		if (ring_driver_publish(d->l.drv))
			signal_fd(d->kick_fd);
		ring_driver_cb_disable(d->l.drv);
		before = done;
		d->driver_err = driver_collect(d, &done);
		if (done != before || d->driver_err || ring_driver_cb_enable(d->l.drv))
			continue;
		d->nr_sleeps++;
		if (!wait_fd(d->call_fd))
			d->driver_err = "no interrupt came";
	}
	signal_fd(d->kick_fd); /* the device may sleep */
	return NULL;
}

/* Answer what is there. Return: chains served, or -1 */
static int device_serve(struct duo *d)
{
	struct ring_chain chain;
	uint64_t question, reply;
	int n = 0, rc;

	while (n < 5 && (rc = ring_pop(d->l.ring, &chain)) == 1) {
		if (chain.fault || ring_chain_read(&chain, 0, &question, 8) != 8)
			return -1;
		reply = answer(question);
		ring_push(d->l.ring, &chain, (uint32_t)ring_chain_write(&chain, 0, &reply, 8));
		n++;
	}
	if (n < 5 && rc < 0)
		return -1;
	if (ring_flush(d->l.ring))
		signal_fd(d->call_fd);
	return n;
}

static void *device_thread(void *arg)
{
	struct duo *d = arg;
	uint32_t served = 0;

	rcu_reader_register();
	while (served < CHAINS && !d->device_err) {
		int n;

		ring_kick_disable(d->l.ring);
		n = device_serve(d);
		rcu_reader_quiescent();
		if (n < 0)
			d->device_err = "pop failed";
		else
			served += (uint32_t)n;
		if (n != 0 || ring_kick_enable(d->l.ring))
			continue;
		rcu_reader_offline();
		if (!wait_fd(d->kick_fd))
			d->device_err = "no kick came";
		rcu_reader_online();
	}
	rcu_reader_unregister();
	return NULL;
}

/* Map and unmap something else, so that versions come and go under the device. */
static void *control_thread(void *arg)
{
	struct duo *d = arg;
	iova_t iova = 0x1000;

	while (!__atomic_load_n(&d->stop, __ATOMIC_RELAXED)) {
		if (iotlb_map(d->w.tlb, iova, iova + 4095, d->w.region, 0, IOTLB_RW))
			abort();
		iotlb_synchronize(d->w.tlb);
		if (iotlb_unmap(d->w.tlb, iova, iova, NULL))
			abort();
		iotlb_synchronize(d->w.tlb);
	}
	return NULL;
}

static void ring_two_threads_with_suppression_lose_nothing(void **state)
{
	const struct lane_opts *opts = *state;
	pthread_t driver, device, control;
	static struct duo d;

	memset(&d, 0, sizeof(d));
	world_init(&d.w, 1);
	lane_init(&d.l, &d.w, 0, opts);
	d.kick_fd = eventfd(0, EFD_CLOEXEC);
	d.call_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pthread_create(&driver, NULL, driver_thread, &d), 0);
	assert_int_equal(pthread_create(&device, NULL, device_thread, &d), 0);
	assert_int_equal(pthread_create(&control, NULL, control_thread, &d), 0);
	assert_int_equal(pthread_join(driver, NULL), 0);
	assert_int_equal(pthread_join(device, NULL), 0);
	__atomic_store_n(&d.stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(control, NULL), 0);
	if (d.driver_err || d.device_err)
		fprintf(stderr, "driver: %s; device: %s\n", d.driver_err ? d.driver_err : "fine",
			d.device_err ? d.device_err : "fine");
	assert_null(d.driver_err);
	assert_null(d.device_err);
	assert_null(ring_broken_reason(d.l.ring));
	close(d.kick_fd);
	close(d.call_fd);
	lane_fini(&d.l);
	world_fini(&d.w);
}

#define CASE(opts)                                                                                 \
	{                                                                                          \
		"ring_two_threads_with_suppression_lose_nothing " #opts,                           \
			ring_two_threads_with_suppression_lose_nothing, NULL, NULL, &(opts)        \
	}

int main(void)
{
	static struct lane_opts split = {
		.num = NUM, .indirect = true, .no_dirty = true, .start = 0xff00};
	static struct lane_opts packed = {
		.num = NUM, .indirect = true, .no_dirty = true, .packed = true, .start = 0x8000};
	static struct lane_opts split_event, packed_event, split_in_order, packed_in_order;
	const struct CMUnitTest tests[] = {
		CASE(split),        CASE(packed),         CASE(split_event),
		CASE(packed_event), CASE(split_in_order), CASE(packed_in_order),
	};

	split_event = split;
	split_event.event_idx = true;
	packed_event = packed;
	packed_event.event_idx = true;
	split_in_order = split_event;
	split_in_order.in_order = true;
	packed_in_order = packed_event;
	packed_in_order.in_order = true;
	return cmocka_run_group_tests_name("ring threads", tests, NULL, NULL);
}
