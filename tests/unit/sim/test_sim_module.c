// SPDX-License-Identifier: BSD-3-Clause
/*
 * A module's pass in whose middle the used areas are unmapped. What the pass pushed, to its own
 * queue and to another, is published when the areas are back. Until then the position is that of
 * what was published. What the worker has not come to publish, as its flush is put off here (ld's
 * --wrap), is published when the queue stops. And soft_run() for a queue that stands still.
 */
#include <string.h>

#include "flush_support.h"
#include "iotlb/iotlb.h"
#include "parents/module/module.h"
#include "parents/module/soft.h"
#include "parents/sim/sim.h"
#include "support.h"

#define QUEUES 2
#define NUM    128

static uint8_t frames[QUEUES][100];
static bool hold, popped; /* atomic */
static struct vdpasim *sim;

static uint64_t map_number(void)
{
	return iotlb_version_number(iotlb_load(sim->as[0].tlb));
}

/* The first pass of queue 0 takes a chain of each queue, and ends when the map is another. */
static void process(void *priv, struct hf_soft *soft, uint16_t idx)
{
	uint64_t number = map_number();
	struct hf_chain chain;

	(void)priv;
	if (idx != 0)
		return;
	for (uint16_t i = 0; i < QUEUES; i++)
		while (module_soft_pop(soft, i, &chain))
			module_soft_push(soft, i, &chain, 0);
	__atomic_store_n(&popped, true, __ATOMIC_RELEASE);
	while (__atomic_load_n(&hold, __ATOMIC_ACQUIRE) && map_number() == number)
		;
	__atomic_store_n(&hold, false, __ATOMIC_RELEASE);
}

static unsigned int nr_done; /* chains; atomic */

/* A pass takes what its own queue has. */
static void process_own(void *priv, struct hf_soft *soft, uint16_t idx)
{
	struct hf_chain chain;

	(void)priv;
	while (module_soft_pop(soft, idx, &chain)) {
		module_soft_push(soft, idx, &chain, 0);
		__atomic_fetch_add(&nr_done, 1, __ATOMIC_RELEASE);
	}
}

static unsigned int nr_passes; /* atomic */

/* A pass of queue 0 takes what queue 1 has, and nothing of its own. */
static void process_other(void *priv, struct hf_soft *soft, uint16_t idx)
{
	struct hf_chain chain;

	(void)priv;
	__atomic_fetch_add(&nr_passes, 1, __ATOMIC_RELAXED);
	while (idx == 0 && module_soft_pop(soft, 1, &chain))
		module_soft_push(soft, 1, &chain, 0);
}

/* What queue 1 has waits for a chain of queue 0. */
static void process_together(void *priv, struct hf_soft *soft, uint16_t idx)
{
	struct hf_chain chain, other;

	(void)priv;
	(void)idx;
	__atomic_fetch_add(&nr_passes, 1, __ATOMIC_RELAXED);
	while (module_soft_pop(soft, 1, &chain)) {
		if (!module_soft_pop(soft, 0, &other)) {
			module_soft_unpop(soft, 1, &chain);
			return;
		}
		module_soft_push(soft, 0, &other, 0);
		module_soft_push(soft, 1, &chain, 0);
	}
}

static struct rig *in_time;                   /* its driver always has the next chain */
static unsigned int nr_to_come, nr_in_a_pass; /* worker lock */
static unsigned int most_in_a_pass;           /* calls; atomic */
static int add_err;                           /* atomic */

/* The worker is the driver: nobody else touches queue 0 meanwhile. */
static void one_more_comes(void)
{
	struct ring_driver *drv = in_time->vq[0].drv;
	struct ring_driver_seg seg = {rig_iova(in_time, frames[0]), sizeof(frames[0])};

	if (nr_to_come == 0)
		return;
	nr_to_come--;
	if (ring_driver_add(drv, &seg, 1, 0, frames[0], NULL, 0) != 0)
		__atomic_store_n(&add_err, 1, __ATOMIC_RELAXED);
	(void)ring_driver_publish(drv);
}

void __real_vdpasim_vq_busy(struct vdpasim_vq *vq);
void __wrap_vdpasim_vq_busy(struct vdpasim_vq *vq);
void __wrap_vdpasim_vq_busy(struct vdpasim_vq *vq)
{
	nr_in_a_pass = 0; /* a pass begins */
	__real_vdpasim_vq_busy(vq);
}

static void process_in_time(void *priv, struct hf_soft *soft, uint16_t idx)
{
	process_own(priv, soft, idx);
	if (++nr_in_a_pass > __atomic_load_n(&most_in_a_pass, __ATOMIC_RELAXED))
		__atomic_store_n(&most_in_a_pass, nr_in_a_pass, __ATOMIC_RELEASE);
	if (idx == 0)
		one_more_comes();
}

static unsigned int nr_calls_for_other; /* atomic */
static bool asks_other;                 /* worker lock */

/* What queue 1 has is taken in the first call for queue 0, at no other time. */
static void process_other_first(void *priv, struct hf_soft *soft, uint16_t idx)
{
	struct hf_chain chain;

	if (idx == 1) {
		__atomic_fetch_add(&nr_calls_for_other, 1, __ATOMIC_RELEASE);
		return;
	}
	while (asks_other && module_soft_pop(soft, 1, &chain))
		module_soft_push(soft, 1, &chain, 0);
	asks_other = false;
	process_in_time(priv, soft, 0);
}

static unsigned int nr_missing; /* worker lock */

/* Each chain of queue 0 needs two of queue 1. */
static void process_two_for_one(void *priv, struct hf_soft *soft, uint16_t idx)
{
	struct hf_chain chain, other;

	(void)priv;
	while (idx == 0 && module_soft_pop(soft, 0, &chain)) {
		for (int i = 0; i < 2; i++) {
			if (module_soft_pop(soft, 1, &other))
				module_soft_push(soft, 1, &other, 0);
			else
				nr_missing++;
		}
		module_soft_push(soft, 0, &chain, 0);
		__atomic_fetch_add(&nr_done, 1, __ATOMIC_RELEASE);
	}
	if (idx == 0)
		one_more_comes();
}

static void (*hook)(void *priv, struct hf_soft *soft, uint16_t idx);

static int dev_add(const struct vdpa_mgmt_dev *mgmt, struct vdpa_bus *bus,
		   const struct vdpa_dev_config *config)
{
	static const struct hf_module module = {.name = "two-queues"};
	struct hf_add add = {.module = &module, .bus = bus, .config = config, .mgmt = mgmt};
	struct hf_soft_desc desc = {
		.size = sizeof(desc), .device_id = 4, .nvqs = QUEUES, .process = hook};

	return module_soft_add(&add, &desc, NULL);
}

static const struct vdpa_mgmt_dev mgmt = {.name = "two-queues", .device_id = 4, .dev_add = dev_add};

static void install(struct rig *rig, struct iotlb *tlb)
{
	const struct iotlb_version *v = iotlb_snapshot(tlb);

	assert_int_equal(rig_op(rig, set_map, 0, v), 0);
	iotlb_version_put(v);
}

static void make(struct rig *rig, typeof(process) *how, uint64_t features)
{
	struct vdpa_dev_config config = rig_config();

	strcpy(config.mgmtdev, mgmt.name);
	config.offer = 0;
	hook = how;
	rig_make_of(rig, &mgmt, &config);
	sim = vdpasim_of(rig->dev);
	rig_start(rig, BASE_FEATURES | features, QUEUES, NUM);
}

/* The pass is over, and nothing of it could be published. */
static void pass_that_ends_unmapped(struct rig *rig, uint64_t features, struct iotlb **full,
				    struct iotlb **none)
{
	uint32_t len;

	make(rig, process, features);
	*full = rig_map_of_rings(rig);
	assert_int_equal(iotlb_create(4, none), 0);
	for (uint16_t i = 0; i < QUEUES; i++) {
		rig_map_add(rig, *full, frames[i], sizeof(frames[i]));
		rig_map_add(rig, *none, frames[i], sizeof(frames[i]));
	}
	install(rig, *full);
	rig_quiet(rig);
	__atomic_store_n(&popped, false, __ATOMIC_RELEASE);
	__atomic_store_n(&hold, true, __ATOMIC_RELEASE);
	for (uint16_t i = QUEUES; i-- > 0;) {
		rig_add(rig, i, frames[i], sizeof(frames[i]), false);
		(void)ring_driver_publish(rig->vq[i].drv);
	}
	rig->ops->kick_vq(rig->dev, 0);
	while (!__atomic_load_n(&popped, __ATOMIC_ACQUIRE))
		;
	install(rig, *none);
	rig_quiet(rig);
	for (uint16_t i = 0; i < QUEUES; i++)
		assert_null(rig_poll(rig, i, &len));
}

static void end(struct rig *rig, struct iotlb *full, struct iotlb *none)
{
	rig_destroy(rig);
	iotlb_destroy(full);
	iotlb_destroy(none);
}

static const uint64_t layouts[] = {0, BIT(VIRTIO_RING_F_EVENT_IDX), BIT(VIRTIO_F_RING_PACKED)};

static void what_was_pushed_is_published_when_the_area_is_back(void **state)
{
	(void)state;
	for (size_t l = 0; l < ARRAY_LEN(layouts); l++) {
		struct iotlb *full, *none;
		struct rig rig;
		uint32_t len;

		pass_that_ends_unmapped(&rig, layouts[l], &full, &none);
		install(&rig, full);
		for (uint16_t i = 0; i < QUEUES; i++)
			assert_ptr_equal(rig_get(&rig, i, &len), frames[i]);
		end(&rig, full, none);
	}
}

/* A client that reads the position of the running ring, resets the device and starts it there must
 * get the chain again. */
static void position_of_a_running_ring_is_that_of_what_was_published(void **state)
{
	(void)state;
	for (size_t l = 0; l < ARRAY_LEN(layouts); l++) {
		struct vdpa_vq_state running, suspended;
		struct iotlb *full, *none;
		struct rig rig;

		pass_that_ends_unmapped(&rig, layouts[l], &full, &none);
		assert_int_equal(rig_op(&rig, get_vq_state, 0, &running), 0);
		assert_int_equal(rig_op(&rig, suspend), 0);
		assert_int_equal(rig_op(&rig, get_vq_state, 0, &suspended), 0);
		end(&rig, full, none);
		assert_int_equal(running.last_avail,
				 rig.features & BIT(VIRTIO_F_RING_PACKED) ? 0x8000 : 0);
		assert_int_equal(running.last_used, running.last_avail);
		assert_int_equal(suspended.last_avail, running.last_avail);
	}
}

/* Parked at the position that the client was told, it does not move when the area is back. */
static void ring_that_is_parked_with_something_to_publish_stays_at_its_position(void **state)
{
	struct vdpa_vq_state at, later;
	struct iotlb *full, *none;
	struct rig rig;
	uint32_t len;

	(void)state;
	pass_that_ends_unmapped(&rig, 0, &full, &none);
	sim->park_ns = 2 * DEADLINE_MS * NS_PER_MS;
	assert_int_equal(rig_op(&rig, get_vq_state, 1, &at), 0);
	install(&rig, full);
	assert_ptr_equal(rig_get(&rig, 0, &len), frames[0]);
	assert_null(rig_poll(&rig, 1, &len));
	assert_int_equal(rig_op(&rig, get_vq_state, 1, &later), 0);
	assert_int_equal(later.last_avail, at.last_avail);
	rig_do(&rig, set_vq_ready, 1, true);
	assert_ptr_equal(rig_get(&rig, 1, &len), frames[1]);
	end(&rig, full, none);
}

/* The module has something to do, not the driver: the client may be about to stop the device. */
static void ring_that_is_parked_stays_at_its_position_whatever_the_module_asks_for(void **state)
{
	struct vdpa_vq_state at, later;
	struct rig rig;
	uint32_t len;

	(void)state;
	make(&rig, process_own, 0);
	rig_quiet(&rig);
	sim->park_ns = 2 * DEADLINE_MS * NS_PER_MS;
	assert_int_equal(rig_op(&rig, get_vq_state, 1, &at), 0);
	rig_add(&rig, 1, frames[1], sizeof(frames[1]), false);
	(void)ring_driver_publish(rig.vq[1].drv);
	module_soft_run(sim->priv, 1);
	rig_quiet(&rig);
	assert_null(rig_poll(&rig, 1, &len));
	assert_int_equal(rig_op(&rig, get_vq_state, 1, &later), 0);
	assert_int_equal(later.last_avail, at.last_avail);
	rig_do(&rig, set_vq_ready, 1, true);
	assert_ptr_equal(rig_get(&rig, 1, &len), frames[1]);
	rig_destroy(&rig);
}

/* Asked for while the queue does not run, it counts when it does. */
static void run_that_was_asked_for_meanwhile_counts_when_the_queue_goes_on(void **state)
{
	struct rig rig;
	uint32_t len;

	(void)state;
	make(&rig, process_own, 0);
	rig_quiet(&rig);
	assert_int_equal(rig_op(&rig, suspend), 0);
	rig_add(&rig, 1, frames[1], sizeof(frames[1]), false);
	(void)ring_driver_publish(rig.vq[1].drv);
	module_soft_run(sim->priv, 1);
	rig_quiet(&rig);
	assert_null(rig_poll(&rig, 1, &len));
	assert_int_equal(rig_op(&rig, resume), 0);
	assert_ptr_equal(rig_get(&rig, 1, &len), frames[1]);
	rig_destroy(&rig);
}

/* It looks on for a while. Return: does it come to rest? */
static bool comes_to_rest(struct rig *rig)
{
	unsigned int before, after = 0;
	int rounds = 0;

	do {
		before = after;
		rig_quiet(rig);
		after = __atomic_load_n(&nr_passes, __ATOMIC_RELAXED);
	} while (before != after && ++rounds < 1000);
	return before == after;
}

static void queue_that_a_pass_takes_nothing_from_is_at_rest(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig, process_other, 0);
	rig_add(&rig, 0, frames[0], sizeof(frames[0]), false);
	rig_publish(&rig, 0);
	assert_true(comes_to_rest(&rig));
	rig_destroy(&rig);
}

/* The driver kicks only where it is asked to. */
static void chain_that_was_given_back_goes_on_when_the_other_queue_has_what_it_needs(void **state)
{
	(void)state;
	for (size_t l = 0; l < ARRAY_LEN(layouts); l++) {
		struct rig rig;
		uint32_t len;

		make(&rig, process_together, layouts[l]);
		for (unsigned int i = 0; i < 3; i++) {
			rig_add(&rig, 1, frames[1], sizeof(frames[1]), false);
			rig_publish(&rig, 1);
			assert_true(comes_to_rest(&rig));
			assert_null(rig_poll(&rig, 1, &len));
			rig_add(&rig, 0, frames[0], sizeof(frames[0]), false);
			rig_publish(&rig, 0);
			assert_ptr_equal(rig_get(&rig, 1, &len), frames[1]);
			assert_ptr_equal(rig_get(&rig, 0, &len), frames[0]);
			assert_true(comes_to_rest(&rig));
		}
		rig_destroy(&rig);
	}
}

static void pass_that_is_cut_off_at_another_queue_goes_on(void **state)
{
	struct rig rig;
	uint32_t len;

	(void)state;
	make(&rig, process_other, 0);
	rig_quiet(&rig);
	for (unsigned int i = 0; i < NUM; i++)
		rig_add(&rig, 1, frames[1], sizeof(frames[1]), false);
	(void)ring_driver_publish(rig.vq[1].drv);
	rig.ops->kick_vq(rig.dev, 0);
	rig_quiet(&rig);
	for (unsigned int i = 0; i < NUM; i++)
		assert_ptr_equal(rig_poll(&rig, 1, &len), frames[1]);
	rig_destroy(&rig);
}

/* Whoever asks for the lock ends a pass: nobody does before @n chains are done. */
static void wait_done(struct rig *rig, unsigned int n)
{
	rig_wait_count(&nr_done, n);
	rig_quiet(rig);
	assert_int_equal(nr_done, n);
	assert_int_equal(add_err, 0);
}

static void make_in_time(struct rig *rig, typeof(process) *how, unsigned int n)
{
	make(rig, how, 0);
	rig_quiet(rig);
	in_time = rig;
	nr_to_come = n;
	nr_done = 0;
	asks_other = true;
	most_in_a_pass = nr_calls_for_other = 0;
	add_err = 0;
}

/* A pass that takes them all would hold the lock for as long as the driver likes. */
static void chains_that_come_right_behind_are_of_the_same_pass_and_it_ends(void **state)
{
	struct rig rig;

	(void)state;
	make_in_time(&rig, process_in_time, NUM - 1);
	rig_add(&rig, 0, frames[0], sizeof(frames[0]), false);
	rig_publish(&rig, 0);
	wait_done(&rig, NUM);
	assert_int_equal(most_in_a_pass, SOFT_CALLS);
	rig_destroy(&rig);
}

/* The call that has seen the other queue empty is not the last one of its pass. */
static void driver_of_another_queue_kicks_again_after_a_pass_of_several_calls(void **state)
{
	struct rig rig;
	uint32_t len;

	(void)state;
	make_in_time(&rig, process_other_first, 1);
	rig_add(&rig, 1, frames[1], sizeof(frames[1]), false);
	rig_publish(&rig, 1);
	rig_quiet(&rig);
	assert_int_equal(nr_calls_for_other, 1);
	rig_add(&rig, 0, frames[0], sizeof(frames[0]), false);
	rig_publish(&rig, 0);
	wait_done(&rig, 2);
	assert_int_equal(most_in_a_pass, 2);
	assert_ptr_equal(rig_poll(&rig, 1, &len), frames[1]);
	rig_add(&rig, 1, frames[1], sizeof(frames[1]), false);
	rig_publish(&rig, 1);
	rig_quiet(&rig);
	assert_int_equal(nr_calls_for_other, 2);
	rig_destroy(&rig);
}

/* What a call has taken of another queue leaves as much for the next. */
static void chain_that_comes_right_behind_finds_what_it_needs_of_another_queue(void **state)
{
	struct rig rig;

	(void)state;
	make_in_time(&rig, process_two_for_one, 1);
	nr_missing = 0;
	for (unsigned int i = 0; i < NUM; i++)
		rig_add(&rig, 1, frames[1], sizeof(frames[1]), false);
	(void)ring_driver_publish(rig.vq[1].drv);
	for (unsigned int i = 0; i < SOFT_BATCH / 2; i++)
		rig_add(&rig, 0, frames[0], sizeof(frames[0]), false);
	rig_publish(&rig, 0);
	wait_done(&rig, SOFT_BATCH / 2 + 1);
	assert_int_equal(nr_missing, 0);
	rig_destroy(&rig);
}

static void chain_that_is_published_when_the_queue_stops_is_done_once(void **state)
{
	struct rig rig;
	uint32_t len;

	(void)state;
	make(&rig, process_own, 0);
	rig_quiet(&rig);
	nr_done = 0;
	flush_put_off(1);
	rig_add(&rig, 1, frames[1], sizeof(frames[1]), false);
	rig_publish(&rig, 1);
	flush_wait_put_off();
	assert_int_equal(rig_op(&rig, suspend), 0);
	flush_put_off(FLUSH_NONE);
	assert_int_equal(rig_op(&rig, resume), 0);
	rig_quiet(&rig);
	assert_ptr_equal(rig_poll(&rig, 1, &len), frames[1]);
	assert_int_equal(nr_done, 1);
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_pushed_is_published_when_the_area_is_back),
		cmocka_unit_test(position_of_a_running_ring_is_that_of_what_was_published),
		cmocka_unit_test(
			ring_that_is_parked_with_something_to_publish_stays_at_its_position),
		cmocka_unit_test(
			ring_that_is_parked_stays_at_its_position_whatever_the_module_asks_for),
		cmocka_unit_test(run_that_was_asked_for_meanwhile_counts_when_the_queue_goes_on),
		cmocka_unit_test(chain_that_is_published_when_the_queue_stops_is_done_once),
		cmocka_unit_test(queue_that_a_pass_takes_nothing_from_is_at_rest),
		cmocka_unit_test(
			chain_that_was_given_back_goes_on_when_the_other_queue_has_what_it_needs),
		cmocka_unit_test(pass_that_is_cut_off_at_another_queue_goes_on),
		cmocka_unit_test(chains_that_come_right_behind_are_of_the_same_pass_and_it_ends),
		cmocka_unit_test(driver_of_another_queue_kicks_again_after_a_pass_of_several_calls),
		cmocka_unit_test(
			chain_that_comes_right_behind_finds_what_it_needs_of_another_queue),
	};

	return cmocka_run_group_tests_name("sim-module", tests, NULL, NULL);
}
