// SPDX-License-Identifier: BSD-3-Clause
/*
 * A tap is told of queue pairs and offloads by ioctl(2), which may wait for long. Here it waits as
 * long as the test wants (ld's --wrap). Nobody but the driver that has sent the command may wait
 * for it. If it is refused, so is the command.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/rcu.h"
#include "parents/sim/net.h"
#include "support.h"
#include "tap_support.h"

#define CTRL_QUEUE 4 /* queue */

static int entered, go;       /* eventfds */
static unsigned long held_up; /* atomic: the request that waits; 0: none */
static bool given_up;         /* atomic: nobody said go */
static unsigned long refused; /* atomic: the request that fails once; 0: none */
static int nr_detached;       /* queues that the tap was told to detach; atomic */

int __real_ioctl(int fd, unsigned long req, void *arg);
int __wrap_ioctl(int fd, unsigned long req, ...);
int __wrap_ioctl(int fd, unsigned long req, ...)
{
	struct pollfd p = {go, POLLIN, 0};
	uint64_t n = 1;
	va_list ap;
	void *arg;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (__atomic_load_n(&held_up, __ATOMIC_ACQUIRE) == req &&
	    __atomic_exchange_n(&held_up, 0, __ATOMIC_ACQ_REL) == req) {
		(void)!write(entered, &n, sizeof(n));
		if (poll(&p, 1, DEADLINE_MS) != 1)
			__atomic_store_n(&given_up, true, __ATOMIC_RELEASE);
		else
			(void)!read(go, &n, sizeof(n));
	}
	if (__atomic_load_n(&refused, __ATOMIC_ACQUIRE) == req &&
	    __atomic_exchange_n(&refused, 0, __ATOMIC_ACQ_REL) == req) {
		errno = EPERM;
		return -1;
	}
	if (req == TUNSETQUEUE && ((struct ifreq *)arg)->ifr_flags == IFF_DETACH_QUEUE)
		__atomic_fetch_add(&nr_detached, 1, __ATOMIC_RELEASE);
	return __real_ioctl(fd, req, arg);
}

static void start(struct rig *rig)
{
	struct vdpa_dev_config config = rig_config();

	config.given |= VDPA_KEY_BACKEND;
	(void)snprintf(config.backend, sizeof(config.backend), "tap,ifname=%s", TAP_MQ);
	config.max_vqp = 2;
	rig_make(rig, &config);
	rig_start(rig,
		  BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ) |
			  BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS),
		  CTRL_QUEUE + 1, 16);
}

/* Send a command whose ioctl @req waits; returns when it does. @buf: {class, command, data,
 * answer} */
static void send_held_up(struct rig *rig, unsigned long req, uint8_t *buf, uint32_t len)
{
	struct ring_driver_seg segs[] = {{rig_iova(rig, buf), len}, {rig_iova(rig, buf + len), 1}};
	struct pollfd p = {entered, POLLIN, 0};
	uint64_t n;

	buf[len] = 0xff;
	__atomic_store_n(&held_up, req, __ATOMIC_RELEASE);
	assert_int_equal(ring_driver_add(rig->vq[CTRL_QUEUE].drv, segs, 1, 1, buf, NULL, 0), 0);
	rig_publish(rig, CTRL_QUEUE);
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(entered, &n, sizeof(n)), sizeof(n));
}

static void say_go(void)
{
	uint64_t one = 1;

	assert_int_equal(write(go, &one, sizeof(one)), sizeof(one));
}

/* What an unmap waits for, and what takes the worker's lock. */
static void expect_nobody_waits(struct rig *rig)
{
	struct vdpa_vq_state state;

	rcu_synchronize_readers();
	assert_int_equal(rig_op(rig, get_vq_state, 0, &state), 0);
	assert_false(__atomic_load_n(&given_up, __ATOMIC_ACQUIRE));
}

static void expect_answer(struct rig *rig, const uint8_t *buf, uint32_t len)
{
	uint32_t n;

	assert_ptr_equal(rig_get(rig, CTRL_QUEUE, &n), buf);
	assert_int_equal(buf[len], VIRTIO_NET_OK);
}

static void tell_pairs_waits_and_nobody_else_does(void **state)
{
	static uint8_t buf[] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2, 0, 0};
	struct rig rig;

	(void)state;
	start(&rig);
	send_held_up(&rig, TUNSETQUEUE, buf, 4);
	expect_nobody_waits(&rig);
	say_go();
	expect_answer(&rig, buf, 4);
	rig_destroy(&rig);
}

static void tell_offloads_waits_and_nobody_else_does(void **state)
{
	static uint8_t buf[11] = {VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET};
	struct rig rig;

	(void)state;
	start(&rig);
	send_held_up(&rig, TUNSETOFFLOAD, buf, 10);
	expect_nobody_waits(&rig);
	say_go();
	expect_answer(&rig, buf, 10);
	rig_destroy(&rig);
}

static void tell_command_that_the_tap_refuses_fails_and_changes_nothing(void **state)
{
	const uint8_t two[2] = {2, 0}, csum[8] = {1u << VIRTIO_NET_F_GUEST_CSUM}, none[8] = {0};
	const uint64_t offloads = BIT(VIRTIO_NET_F_GUEST_CSUM);
	struct simnet *net;
	struct rig rig;

	(void)state;
	start(&rig);
	net = simnet_of(vdpasim_of(rig.dev));
	__atomic_store_n(&refused, TUNSETQUEUE, __ATOMIC_RELEASE);
	assert_int_equal(rig_ctrl(&rig, CTRL_QUEUE, VIRTIO_NET_CTRL_MQ,
				  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, two, sizeof(two)),
			 VIRTIO_NET_ERR);
	assert_int_equal(net->told_pairs, 1);
	rig_quiet(&rig);
	assert_false(simnet_pair_is_on(&net->pairs[1]));
	assert_int_equal(rig_ctrl(&rig, CTRL_QUEUE, VIRTIO_NET_CTRL_MQ,
				  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, two, sizeof(two)),
			 VIRTIO_NET_OK);
	assert_int_equal(net->told_pairs, 2);

	__atomic_store_n(&refused, TUNSETOFFLOAD, __ATOMIC_RELEASE);
	assert_int_equal(rig_ctrl(&rig, CTRL_QUEUE, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, none, sizeof(none)),
			 VIRTIO_NET_ERR);
	assert_int_equal(net->guest_offloads, offloads);
	assert_int_equal(rig_ctrl(&rig, CTRL_QUEUE, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, none, sizeof(none)),
			 VIRTIO_NET_OK);
	assert_int_equal(net->guest_offloads, 0);
	assert_int_equal(rig_ctrl(&rig, CTRL_QUEUE, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, csum, sizeof(csum)),
			 VIRTIO_NET_OK);
	assert_int_equal(net->guest_offloads, offloads);
	rig_destroy(&rig);
}

/* Nobody is told of what was refused before it. */
static void tell_refusal_of_before_a_reset_is_forgotten(void **state)
{
	static uint8_t buf[] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2, 0, 0};
	struct rig rig;

	(void)state;
	start(&rig);
	__atomic_store_n(&refused, TUNSETQUEUE, __ATOMIC_RELEASE);
	send_held_up(&rig, TUNSETQUEUE, buf, 4);
	assert_int_equal(rig_op(&rig, suspend), 0); /* the answer finds no ring */
	say_go();
	rig_quiet(&rig);
	rig_reset(&rig);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ),
		  CTRL_QUEUE + 1, 16);
	assert_int_equal(rig_ctrl(&rig, CTRL_QUEUE, buf[0], buf[1], buf + 2, 2), VIRTIO_NET_OK);
	rig_destroy(&rig);
}

/* The worker has given up its lock, and is about to tell what was true before the reset. */
static void tell_pairs_of_before_a_reset_is_dropped(void **state)
{
	static uint8_t first[] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2, 0, 0};
	static uint8_t then[] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 0, 0};
	struct rig rig;

	(void)state;
	start(&rig);
	send_held_up(&rig, TUNSETQUEUE, first, 4);
	say_go();
	rig_reset(&rig);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ),
		  CTRL_QUEUE + 1, 16);
	for (int i = 0; i < 20; i++) {
		then[2] = (uint8_t)(1 + i % 2);
		assert_int_equal(rig_ctrl(&rig, CTRL_QUEUE, then[0], then[1], then + 2, 2),
				 VIRTIO_NET_OK);
		assert_int_equal(simnet_of(vdpasim_of(rig.dev))->told_pairs, then[2]);
	}
	rig_destroy(&rig);
}

/* A tap that is opened again has all queues attached. What comes in one without a pair is lost. */
static void tell_pairs_to_a_tap_that_is_opened_again(void **state)
{
	struct rig rig;
	struct simnet *net;

	(void)state;
	start(&rig);
	net = simnet_of(vdpasim_of(rig.dev));
	rig_reset(&rig);
	simnet_mgmt_dev.dev_yield(rig.dev);
	simnet_filter_reset(net);
	__atomic_store_n(&nr_detached, 0, __ATOMIC_RELEASE);
	assert_int_equal(simnet_mgmt_dev.dev_claim(rig.dev), 0);
	assert_int_equal(net->told_pairs, 1);
	assert_int_equal(__atomic_load_n(&nr_detached, __ATOMIC_ACQUIRE), 1);
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tell_pairs_waits_and_nobody_else_does),
		cmocka_unit_test(tell_offloads_waits_and_nobody_else_does),
		cmocka_unit_test(tell_command_that_the_tap_refuses_fails_and_changes_nothing),
		cmocka_unit_test(tell_refusal_of_before_a_reset_is_forgotten),
		cmocka_unit_test(tell_pairs_of_before_a_reset_is_dropped),
		cmocka_unit_test(tell_pairs_to_a_tap_that_is_opened_again),
	};

	const char *why = tap_enter_namespaces();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	entered = eventfd(0, EFD_CLOEXEC);
	go = eventfd(0, EFD_CLOEXEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
