// SPDX-License-Identifier: BSD-3-Clause
/* Status, kicks, positions, suspend and resume, and a client that takes its memory away. */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "parents/sim/sim.h"
#include "support.h"

#define PAGE 4096UL

static uint8_t frame[HDR + 64], buf[16][256];

static void make(struct rig *rig, bool strict)
{
	struct vdpa_dev_config config = rig_config();

	config.profile = strict ? PROFILE_LINUX_6_12 : PROFILE_DEFAULT;
	config.given |= VDPA_KEY_MAC;
	memcpy(config.mac, (const uint8_t[]){0x52, 0x54, 0, 1, 2, 3}, 6);
	rig_make(rig, &config);
	frame_make(frame, sizeof(frame), 1);
}

static void add_buffers(struct rig *rig, int n)
{
	for (int i = 0; i < n; i++)
		rig_add(rig, 0, buf[i], sizeof(buf[i]), true);
	rig_publish(rig, 0);
}

/* A frame that is available, without a kick. */
static void offer(struct rig *rig)
{
	rig_add(rig, 1, frame, sizeof(frame), false);
	(void)ring_driver_publish(rig->vq[1].drv);
}

static void kick(struct rig *rig, uint16_t idx)
{
	rig->ops->kick_vq(rig->dev, idx);
	rig_quiet(rig);
}

static uint16_t position(struct rig *rig, uint16_t idx)
{
	struct vdpa_vq_state s;

	assert_int_equal(rig_op(rig, get_vq_state, idx, &s), 0);
	return s.last_avail;
}

static uint64_t sent(struct rig *rig)
{
	return rig_counter(rig, 1, "tx packets");
}

/* [6-2] in strict mode. Else the ring is looked at when it starts: as QEMU signals the kick eventfd
 * of a guest that has migrated. */
static void kick_before_driver_ok_or_enable_is_lost_in_strict_mode_only(void **state)
{
	struct rig rig;

	(void)state;
	for (int strict = 0; strict < 2; strict++) {
		make(&rig, strict);
		rig_negotiate(&rig, BASE_FEATURES);
		rig_vq_new(&rig, 0, 16);
		rig_vq_new(&rig, 1, 16);
		rig_vq_setup(&rig, 0);
		offer(&rig);
		kick(&rig, 1);
		rig_driver_ok(&rig);
		rig_quiet(&rig);
		assert_int_equal(sent(&rig), 0);
		kick(&rig, 1);
		rig_vq_setup(&rig, 1);
		rig_quiet(&rig);
		assert_int_equal(sent(&rig), !strict);
		kick(&rig, 1);
		assert_int_equal(sent(&rig), 1);
		rig_destroy(&rig);
	}
}

/* DPDK: ENABLE 0, ENABLE 1 under traffic, no new address and no kick by us. */
static void disable_enable_under_traffic_goes_on(void **state)
{
	struct rig rig;
	uint32_t len;
	int got = 0;

	(void)state;
	make(&rig, false);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX), 2, 16);
	add_buffers(&rig, 8);
	for (int round = 0; round < 400; round++) {
		rig_add(&rig, 1, frame, sizeof(frame), false);
		rig_publish(&rig, 1);
		rig_do(&rig, set_vq_ready, 1, false);
		assert_false(rig_op(&rig, get_vq_ready, 1));
		rig_do(&rig, set_vq_ready, 1, true);
		assert_ptr_equal(rig_get(&rig, 1, &len), frame);
		while (rig_poll(&rig, 0, &len)) {
			rig_add(&rig, 0, buf[got++ % 8], 256, true);
			rig_publish(&rig, 0);
		}
	}
	assert_int_equal(sent(&rig), 400);
	rig_destroy(&rig);
}

/*
 * A queue that ran and is disabled keeps a kick until it is enabled again, also when a kick of
 * another queue has the worker look meanwhile, and when the device is suspended and resumed.
 */
static void disabled_queue_keeps_its_kick(void **state)
{
	struct rig rig;
	uint32_t len;

	(void)state;
	for (int deed = 0; deed < 3; deed++) {
		make(&rig, false);
		rig_start(&rig, BASE_FEATURES, 2, 16);
		add_buffers(&rig, 2);
		rig_send(&rig, 1, frame, sizeof(frame));
		rig_quiet(&rig);
		rig_do(&rig, set_vq_ready, 1, false);
		rig_add(&rig, 1, frame, sizeof(frame), false);
		(void)ring_driver_publish(rig.vq[1].drv);
		rig.ops->kick_vq(rig.dev, 1);
		if (deed == 1) {
			rig.ops->kick_vq(rig.dev, 0);
			rig_quiet(&rig);
		} else if (deed == 2) {
			assert_int_equal(rig_op(&rig, suspend), 0);
			assert_int_equal(rig_op(&rig, resume), 0);
		}
		rig_do(&rig, set_vq_ready, 1, true);
		assert_ptr_equal(rig_get(&rig, 1, &len), frame);
		rig_destroy(&rig);
	}
}

struct sender {
	struct rig *rig;
	unsigned int sent; /* frames that came back; read when the thread is gone */
	bool done;         /* atomic */
};

/* A driver that kicks when it is told to. Ends early if a frame does not come back. */
static void *send_frames(void *arg)
{
	struct sender *s = arg;
	uint32_t len;

	for (; s->sent < 1000; s->sent++) {
		rig_add(s->rig, 1, frame, sizeof(frame), false);
		rig_publish(s->rig, 1);
		if (!rig_get(s->rig, 1, &len))
			break;
	}
	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* At whatever moment a kick meets the client's calls. */
static void no_kick_is_lost_while_queues_stop_and_go_on(void **state)
{
	struct rig rig;

	(void)state;
	for (int suspends = 0; suspends < 2; suspends++) {
		struct sender s = {.rig = &rig};
		pthread_t driver;

		make(&rig, false);
		rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX), 2, 16);
		assert_int_equal(pthread_create(&driver, NULL, send_frames, &s), 0);
		while (!__atomic_load_n(&s.done, __ATOMIC_ACQUIRE)) {
			if (suspends) {
				assert_int_equal(rig_op(&rig, suspend), 0);
				assert_int_equal(rig_op(&rig, resume), 0);
			} else {
				rig_do(&rig, set_vq_ready, 1, false);
				rig_do(&rig, set_vq_ready, 1, true);
			}
			(void)sched_yield();
		}
		assert_int_equal(pthread_join(driver, NULL), 0);
		assert_int_equal(s.sent, 1000);
		rig_destroy(&rig);
	}
}

/* Whoever drives the ring next, the destination of a migration say, must be able to kick. */
static void stopped_ring_asks_for_kicks(void **state)
{
	const uint16_t *used_flags;
	struct rig rig;

	(void)state;
	make(&rig, false);
	rig_start(&rig, BASE_FEATURES, 2, 16);
	add_buffers(&rig, 2);
	rig_send(&rig, 1, frame, sizeof(frame));
	used_flags = rig.vq[0].area[2];
	assert_int_equal(__atomic_load_n(used_flags, __ATOMIC_ACQUIRE), VRING_USED_F_NO_NOTIFY);
	rig_do(&rig, set_vq_ready, 0, false);
	assert_int_equal(__atomic_load_n(used_flags, __ATOMIC_ACQUIRE), 0);
	rig_destroy(&rig);
}

/* The parent forgets, in both modes: that a client can read the position after a reset (D1) is the
 * session's doing. */
static void position_after_reset_is_forgotten(void **state)
{
	struct vdpa_vq_state at = {100, 0};
	struct rig rig;

	(void)state;
	for (int strict = 0; strict < 2; strict++) {
		make(&rig, strict);
		rig_start(&rig, BASE_FEATURES, 2, 16);
		add_buffers(&rig, 5);
		for (int i = 0; i < 3; i++)
			rig_send(&rig, 1, frame, sizeof(frame));
		assert_int_equal(position(&rig, 1), 3);
		rig_reset(&rig);
		assert_int_equal(position(&rig, 1), 0);
		assert_int_equal(position(&rig, 0), 0);
		assert_int_equal(rig_op(&rig, set_vq_state, 1, &at), 0);
		assert_int_equal(position(&rig, 1), 100);
		/* started without a position, a ring starts fresh */
		rig_reset(&rig);
		rig_start(&rig, BASE_FEATURES, 2, 16);
		assert_int_equal(position(&rig, 1), 0);
		rig_destroy(&rig);
	}
}

/* The worker has its last batches while the device goes, and looks at queues that are parked. */
static void device_with_parked_queues_can_go(void **state)
{
	struct rig rig;

	(void)state;
	for (int round = 0; round < 300; round++) {
		make(&rig, false);
		rig_start(&rig, BASE_FEATURES, 2, 16);
		(void)position(&rig, 1);
		rig_do(&rig, kick_vq, 0);
		rig_destroy(&rig);
	}
}

/* QEMU's stop and cont: reset, the position read and set again, same rings; the frame left over is
 * sent. */
static void reset_and_start_at_position_goes_on(void **state)
{
	struct vdpa_vq_state at[2];
	struct rig rig;
	uint32_t len;

	(void)state;
	make(&rig, false);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX), 2, 16);
	add_buffers(&rig, 12);
	for (int round = 0; round < 10; round++) {
		rig_send(&rig, 1, frame, sizeof(frame));
		assert_ptr_equal(rig_get(&rig, 0, &len), buf[round]);
		rig_reset(&rig);
		for (uint16_t i = 0; i < 2; i++)
			assert_int_equal(rig_op(&rig, get_vq_state, i, &at[i]), 0);
		rig_negotiate(&rig, BASE_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX));
		for (uint16_t i = 0; i < 2; i++) {
			assert_int_equal(rig_op(&rig, set_vq_state, i, &at[i]), 0);
			rig_vq_setup(&rig, i);
		}
		rig_driver_ok(&rig);
	}
	rig_destroy(&rig);
}

/*
 * QEMU's multiqueue teardown: reading a running ring's position stops that ring (D1), but not for
 * ever, and a kick ends it: the driver is asked for kicks.
 */
static void position_of_running_ring_parks_it_until_a_kick_or_for_a_while(void **state)
{
	const uint16_t *used_flags;
	struct rig rig;
	int64_t until;
	uint32_t len;

	(void)state;
	make(&rig, false);
	vdpasim_of(rig.dev)->park_ns = 3600 * NS_PER_SEC;
	rig_start(&rig, BASE_FEATURES, 2, 16);
	add_buffers(&rig, 8);
	rig_send(&rig, 1, frame, sizeof(frame));
	used_flags = rig.vq[0].area[2];
	assert_int_equal(__atomic_load_n(used_flags, __ATOMIC_ACQUIRE), VRING_USED_F_NO_NOTIFY);
	assert_int_equal(position(&rig, 0), 1); /* parks the receive queue */
	assert_int_equal(__atomic_load_n(used_flags, __ATOMIC_ACQUIRE), 0);
	offer(&rig);
	kick(&rig, 1);
	assert_int_equal(sent(&rig), 1);
	until = vdpasim_of(rig.dev)->vqs[0].parked_until;
	assert_int_equal(position(&rig, 0), 1); /* who asks often does not park it for longer */
	assert_int_equal(vdpasim_of(rig.dev)->vqs[0].parked_until, until);
	kick(&rig, 0);
	kick(&rig, 1);
	assert_ptr_equal(rig_get(&rig, 1, &len), frame);
	assert_int_equal(sent(&rig), 2);
	vdpasim_of(rig.dev)->park_ns = 1;
	assert_int_equal(position(&rig, 0), 2);
	offer(&rig);
	kick(&rig, 1);
	assert_ptr_equal(rig_get(&rig, 1, &len), frame);
	assert_int_equal(sent(&rig), 3);
	rig_destroy(&rig);
}

/* [6-1] */
static void suspend_stops_and_resume_replays_kick(void **state)
{
	struct vdpa_vq_state at = {0};
	struct rig rig;
	uint32_t len;

	(void)state;
	for (int strict = 0; strict < 2; strict++) {
		make(&rig, strict);
		rig_start(&rig, BASE_FEATURES, 2, 16);
		add_buffers(&rig, 8);
		rig_send(&rig, 1, frame, sizeof(frame));
		assert_int_equal(rig_op(&rig, suspend), 0);
		assert_int_equal(rig_op(&rig, suspend), 0);
		assert_int_equal(rig_op(&rig, get_status), 0xf);
		offer(&rig);
		kick(&rig, 1);
		assert_int_equal(sent(&rig), 1);
		assert_int_equal(position(&rig, 1), 1);
		at.last_avail = 1;
		assert_int_equal(rig_op(&rig, set_vq_state, 1, &at), 0);
		assert_int_equal(rig_op(&rig, resume), 0);
		assert_ptr_equal(rig_get(&rig, 1, &len), frame);
		assert_int_equal(rig_op(&rig, resume), 0);
		rig_destroy(&rig);
	}
}

/* [6-1], the quirk, and D6 without it */
static void driver_ok_again_wakes_suspended_strict_only(void **state)
{
	struct rig rig;

	(void)state;
	for (int strict = 0; strict < 2; strict++) {
		make(&rig, strict);
		rig_start(&rig, BASE_FEATURES, 2, 16);
		add_buffers(&rig, 8);
		assert_int_equal(rig_op(&rig, suspend), 0);
		rig_do(&rig, set_status, 0xf);
		offer(&rig);
		kick(&rig, 1);
		assert_int_equal(sent(&rig), strict);
		rig_destroy(&rig);
	}
}

/* Only strict mode moves a ring that runs, as the kernel's simulator does, [6-1]. */
static void running_ring_moves_in_strict_mode_only(void **state)
{
	struct vdpa_vq_state at = {5, 0};
	struct rig rig;

	(void)state;
	for (int strict = 0; strict < 2; strict++) {
		make(&rig, strict);
		rig_start(&rig, BASE_FEATURES, 2, 16);
		assert_int_equal(rig_op(&rig, set_vq_state, 1, &at), strict ? 0 : -16);
		assert_int_equal(position(&rig, 1), strict ? 5 : 0);
		rig_destroy(&rig);
	}
}

/* The kick has come, and the worker has not looked yet when it has to give up its lock. */
static void running_ring_that_is_moved_keeps_an_unseen_kick(void **state)
{
	struct vdpa_vq_state at = {0, 0};
	struct rig rig;

	(void)state;
	make(&rig, true);
	rig_start(&rig, BASE_FEATURES, 2, 16);
	add_buffers(&rig, 1);
	rig_quiet(&rig); /* whose kick has all queues looked at */
	offer(&rig);
	__atomic_store_n(&vdpasim_of(rig.dev)->vqs[1].kicked, true, __ATOMIC_SEQ_CST);
	assert_int_equal(rig_op(&rig, set_vq_state, 1, &at), 0);
	rig_quiet(&rig);
	assert_int_equal(sent(&rig), 1);
	rig_destroy(&rig);
}

static void start_all(struct rig *rig)
{
	rig_negotiate(rig, BASE_FEATURES);
	for (uint16_t i = 0; i < 2; i++) {
		rig_vq_new(rig, i, 16);
		rig_vq_setup(rig, i);
	}
	rig_driver_ok(rig);
}

static void expect_needs_reset(struct rig *rig)
{
	assert_true(rig_wait_fd(rig->config_fd, DEADLINE_MS));
	assert_int_equal(rig_op(rig, get_status), 0xf | VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void broken_ring_sets_needs_reset_and_reset_heals(void **state)
{
	struct rig rig;
	uint16_t *avail;

	(void)state;
	make(&rig, false);
	start_all(&rig);
	avail = rig.vq[1].area[1];
	__atomic_store_n(&avail[1], 1000, __ATOMIC_RELEASE); /* far more than the ring holds */
	kick(&rig, 1);
	expect_needs_reset(&rig);
	rig_do(&rig, set_status, 0xf); /* the bit stays until the reset */
	assert_int_equal(rig_op(&rig, get_status), 0xf | VIRTIO_CONFIG_S_NEEDS_RESET);
	rig_reset(&rig);
	start_all(&rig);
	add_buffers(&rig, 2);
	rig_send(&rig, 1, frame, sizeof(frame));
	rig_destroy(&rig);
}

/* Worker 0 gives the config interrupt, also when none of its own queues was ever used. */
static void broken_ring_of_second_worker_interrupts_too(void **state)
{
	/* a pair that was in use before, so that no command is needed */
	const struct vdpa_vq_state middle = {5, 0};
	struct vdpa_dev_config config = rig_config();
	struct rig rig;
	uint16_t *avail;

	(void)state;
	config.max_vqp = 2;
	config.workers = 2;
	rig_make(&rig, &config);
	rig_negotiate(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ));
	for (uint16_t i = 2; i < 4; i++) {
		rig_vq_new(&rig, i, 16);
		assert_int_equal(rig_op(&rig, set_vq_state, i, &middle), 0);
		avail = rig.vq[i].area[1];
		avail[1] = middle.last_avail;
		rig_vq_setup(&rig, i);
	}
	rig_driver_ok(&rig);
	avail = rig.vq[3].area[1];
	__atomic_store_n(&avail[1], 1000, __ATOMIC_RELEASE);
	rig.ops->kick_vq(rig.dev, 3); /* rig_quiet() would make worker 0 */
	expect_needs_reset(&rig);
	rig_destroy(&rig);
}

static void buffer_memory_vanished_sets_needs_reset_and_reset_heals(void **state)
{
	struct rig rig;
	uint32_t len;

	(void)state;
	rig_take_signals();
	for (int side = 0; side < 2; side++) {
		uint8_t *p =
			mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		make(&rig, false);
		start_all(&rig);
		assert_ptr_not_equal(p, MAP_FAILED);
		memcpy(p, frame, sizeof(frame));
		rig_add(&rig, 0, side ? p : buf[0], 256, true);
		rig_publish(&rig, 0);
		rig_add(&rig, 1, side ? frame : p, sizeof(frame), false);
		rig_vanish(p, PAGE); /* still in the (1:1) map */
		rig_publish(&rig, 1);
		expect_needs_reset(&rig);
		if (side) /* the other queue's chains are not lost */
			assert_ptr_equal(rig_get(&rig, 1, &len), frame);
		rig_reset(&rig);
		start_all(&rig);
		add_buffers(&rig, 2);
		rig_send(&rig, 1, frame, sizeof(frame));
		rig_destroy(&rig);
	}
}

/* The copy of a frame touches both queues' buffers. Whose is gone is broken, and the other goes
 * on. */
static void vanished_buffer_breaks_the_queue_that_owns_it(void **state)
{
	struct rig rig;
	uint32_t len;

	(void)state;
	rig_take_signals();
	for (int side = 0; side < 2; side++) {
		uint8_t *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		struct ring_driver_seg tx[2];
		struct vdpasim *sim;

		make(&rig, false);
		start_all(&rig);
		sim = vdpasim_of(rig.dev);
		assert_ptr_not_equal(p, MAP_FAILED);
		add_buffers(&rig, 1);
		rig_send(&rig, 1, frame, sizeof(frame));
		assert_ptr_equal(rig_get(&rig, 0, &len), buf[0]);
		/* a header that is there, and what follows it is not */
		memcpy(p, frame, HDR);
		tx[0] = (struct ring_driver_seg){rig_iova(&rig, p), HDR};
		tx[1] = (struct ring_driver_seg){rig_iova(&rig, side ? frame + HDR : p + PAGE),
						 sizeof(frame) - HDR};
		rig_add(&rig, 0, side ? p + PAGE : buf[0], 256, true);
		rig_publish(&rig, 0);
		rig_vanish(p + PAGE, PAGE);
		assert_int_equal(ring_driver_add(rig.vq[1].drv, tx, 2, 0, p, NULL, 0), 0);
		rig_publish(&rig, 1);
		expect_needs_reset(&rig);
		rig_quiet(&rig);
		assert_int_equal(ring_broken_reason(sim->vqs[0].ring) != NULL, side);
		assert_int_equal(ring_broken_reason(sim->vqs[1].ring) != NULL, !side);
		assert_int_equal(rig_counter(&rig, 1, "tx packets"), side ? 2 : 1);
		if (side)
			assert_ptr_equal(rig_get(&rig, 1, &len), p);
		rig_destroy(&rig);
	}
}

static void ring_memory_vanished_device_can_be_reset(void **state)
{
	struct rig rig;

	(void)state;
	if (HF_TSAN) /* a store of its own that faults leaves a lock of its own locked */
		skip();
	rig_take_signals();
	make(&rig, false);
	start_all(&rig);
	add_buffers(&rig, 2);
	rig_send(&rig, 1, frame, sizeof(frame));
	rig_vanish(rig.vq[1].mem, rig.vq[1].mem_len);
	kick(&rig, 1);
	expect_needs_reset(&rig);
	rig_vanish(rig.vq[0].mem, rig.vq[0].mem_len);
	rig_reset(&rig); /* in this thread, which is guarded too */
	start_all(&rig);
	add_buffers(&rig, 2);
	rig_send(&rig, 1, frame, sizeof(frame));
	rig_destroy(&rig);
}

/* [4-8]: callbacks go with a reset; the size of a ring stays. */
static void reset_forgets_callbacks_not_sizes(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig, false);
	start_all(&rig);
	rig_reset(&rig);
	rig_negotiate(&rig, BASE_FEATURES);
	for (uint16_t i = 0; i < 2; i++) {
		rig_vq_new(&rig, i, 16);
		assert_int_equal(rig_op(&rig, set_vq_address, i, rig_iova(&rig, rig.vq[i].area[0]),
					rig_iova(&rig, rig.vq[i].area[1]),
					rig_iova(&rig, rig.vq[i].area[2])),
				 0);
		rig_do(&rig, set_vq_ready, i, true);
	}
	rig_driver_ok(&rig);
	assert_int_equal(rig_op(&rig, get_vq_size, 1), 16);
	offer(&rig);
	kick(&rig, 1);
	assert_int_equal(sent(&rig), 1);
	assert_false(rig_wait_fd(rig.vq[1].call_fd, 0));
	rig_destroy(&rig);
}

static void config_writes_survive_reset(void **state)
{
	const uint8_t mac[6] = {2, 3, 4, 5, 6, 7};
	uint8_t got[6];
	struct rig rig;
	uint32_t generation;

	(void)state;
	make(&rig, false);
	generation = rig_op(&rig, get_generation);
	rig_do(&rig, set_config, 0, mac, sizeof(mac));
	rig_reset(&rig);
	rig_do(&rig, get_config, 0, got, sizeof(got));
	assert_memory_equal(got, mac, 6);
	assert_int_equal(rig_op(&rig, get_generation), generation + 1);
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kick_before_driver_ok_or_enable_is_lost_in_strict_mode_only),
		cmocka_unit_test(disable_enable_under_traffic_goes_on),
		cmocka_unit_test(disabled_queue_keeps_its_kick),
		cmocka_unit_test(no_kick_is_lost_while_queues_stop_and_go_on),
		cmocka_unit_test(stopped_ring_asks_for_kicks),
		cmocka_unit_test(position_after_reset_is_forgotten),
		cmocka_unit_test(device_with_parked_queues_can_go),
		cmocka_unit_test(reset_and_start_at_position_goes_on),
		cmocka_unit_test(position_of_running_ring_parks_it_until_a_kick_or_for_a_while),
		cmocka_unit_test(suspend_stops_and_resume_replays_kick),
		cmocka_unit_test(driver_ok_again_wakes_suspended_strict_only),
		cmocka_unit_test(running_ring_moves_in_strict_mode_only),
		cmocka_unit_test(running_ring_that_is_moved_keeps_an_unseen_kick),
		cmocka_unit_test(broken_ring_sets_needs_reset_and_reset_heals),
		cmocka_unit_test(broken_ring_of_second_worker_interrupts_too),
		cmocka_unit_test(buffer_memory_vanished_sets_needs_reset_and_reset_heals),
		cmocka_unit_test(vanished_buffer_breaks_the_queue_that_owns_it),
		cmocka_unit_test(ring_memory_vanished_device_can_be_reset),
		cmocka_unit_test(reset_forgets_callbacks_not_sizes),
		cmocka_unit_test(config_writes_survive_reset),
	};

	return rig_guard_install() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
