// SPDX-License-Identifier: BSD-3-Clause
/* Open, reset, release and loss of the device: which operations the parent sees, in which order
 * ([4-x]). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/refuse.h"
#include "env.h"

static void open_resets_without_flags(void **state)
{
	struct env env;

	env_init(&env, &(struct recorder_options){.compat_reset = true, .deviations = STRICT});
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), 0);
	recorder_reads(env.rec, "reset()\n");
	env_fini(&env);
}

static void open_twice_is_busy_and_after_release_it_is_not(void **state)
{
	struct vhost_vdpa *second = NULL;
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &second), -EBUSY);
	assert_null(second);
	recorder_reads(env.rec, "");
	vhost_vdpa_release(env.s);
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), 0);
	/* nothing of the first session is left */
	assert_int_equal(env_ioctl(&env, VHOST_SET_OWNER, NULL), 0);
	env_fini(&env);
}

static void open_fails_with_the_parents_reset(void **state)
{
	struct env env;

	env_init(&env, &(struct recorder_options){0});
	recorder_fail(env.rec, "reset", 1, -EIO);
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), -EIO);
	assert_null(env.s);
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), 0);
	env_fini(&env);
}

static void release_follows_the_order(void **state)
{
	struct env env;
	int fd = eventfd(0, EFD_CLOEXEC);

	env_open(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_DMA_MAP,
						  .compat_reset = true,
						  .deviations = STRICT});
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG_CALL, &fd), 0);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 1, fd), 0);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 1, fd), 0);
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
	assert_int_equal(env_map(&env, 0x3000, PAGE, env.shared), 72);
	recorder_clear(env.rec);
	vhost_vdpa_release(env.s);
	env.s = NULL;
	recorder_reads(env.rec, "compat_reset(1)\n"
				"unbind_mm()\n"
				"set_config_cb(none)\n"
				"dma_unmap(0, 0x1000, 0x1fff)\n"
				"dma_unmap(0, 0x3000, 0x3fff)\n"
				"reset_map(0)\n"
				"set_vq_cb(1, none)\n");
	close(fd);
	env_fini(&env);
}

static void release_tells_set_map_nothing_and_resets_only_made_spaces(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.no_bind = true});
	assert_int_equal(env_u64(&env, VHOST_SET_BACKEND_FEATURES, BACKEND_ASID | BACKEND_PERSIST),
			 0);
	assert_int_equal(env_msg(&env, 1, VHOST_IOTLB_UPDATE, 0, PAGE, env.shared, 3), 72);
	recorder_clear(env.rec);
	vhost_vdpa_release(env.s);
	env.s = NULL;
	recorder_reads(env.rec, "reset()\nreset_map(1)\n");
	assert_true(recorder_where(env.rec, 1, 0x5000, 3) == 0x5000);
	env_fini(&env);
}

static void release_of_an_untouched_session_resets_only(void **state)
{
	struct env env;

	env_init(&env, &(struct recorder_options){.compat_reset = true});
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), 0);
	recorder_clear(env.rec);
	vhost_vdpa_release(env.s);
	env.s = NULL;
	recorder_reads(env.rec, "compat_reset(1)\n");
	env_fini(&env);
}

static void release_in_a_batch_lets_everything_go(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED});
	assert_int_equal(env_begin(&env), 72);
	assert_int_equal(env_map(&env, 0, PAGE, env.shared), 72);
	assert_int_equal(memory_charged_pages(env.space), 1);
	vhost_vdpa_release(env.s);
	env.s = NULL;
	assert_int_equal(memory_charged_pages(env.space), 0);
	recorder_reads(env.rec, "reset()\nreset_map(0)\n");
	env_fini(&env);
}

/* A client's life in steps, any of which may be its last. */
enum {
	STEP_OWNED,
	STEP_ACKED,
	STEP_BEGUN,
	STEP_MAPPED,
	STEP_ENDED,
	STEP_SECOND,
	STEP_CONFIG_CALL,
	STEP_CALL,
	STEP_READY,
	STEP_RUNNING,
	STEP_RESET,
	NR_STEPS
};

static void take_step(struct env *env, int step, uint64_t acked, int fd)
{
	switch (step) {
	case STEP_ACKED:
		assert_int_equal(env_u64(env, VHOST_SET_BACKEND_FEATURES, acked), 0);
		break;
	case STEP_BEGUN:
		assert_int_equal(env_begin(env), 72);
		break;
	case STEP_MAPPED:
		assert_int_equal(env_map(env, 0x1000, PAGE, env->shared), 72);
		break;
	case STEP_ENDED:
		assert_int_equal(env_end(env), 72);
		break;
	case STEP_SECOND:
		assert_int_equal(env_msg(env, 1, VHOST_IOTLB_UPDATE, 0x3000, PAGE, env->shared, 3),
				 72);
		break;
	case STEP_CONFIG_CALL:
		assert_int_equal(env_ioctl(env, VHOST_VDPA_SET_CONFIG_CALL, &fd), 0);
		break;
	case STEP_CALL:
		assert_int_equal(env_file(env, VHOST_SET_VRING_CALL, 1, fd), 0);
		break;
	case STEP_READY:
		assert_int_equal(env_status(env, 3), 0);
		assert_int_equal(env_state(env, VHOST_VDPA_SET_VRING_ENABLE, 1, 1), 0);
		break;
	case STEP_RUNNING:
		assert_int_equal(env_status(env, 0xf), 0);
		break;
	case STEP_RESET:
		assert_int_equal(env_status(env, 0), 0);
		break;
	default:
		break;
	}
}

/* What the parent hears of the end after @last: only what was made is undone, and in the one order
 * ([4-3], [3-5]). */
static void expect_end(struct env *env, int last, bool persist)
{
	bool ranges = env->rec->opt.mapping == VDPA_MAPPING_DMA_MAP;
	bool second = last >= STEP_SECOND;
	char want[512];

	(void)snprintf(want, sizeof(want), "%s%s%s%s%s%s%s%s",
		       persist && last >= STEP_ACKED ? "reset()\n" : "compat_reset(1)\n",
		       env->rec->opt.memory == MEMORY_VA ? "unbind_mm()\n" : "",
		       last >= STEP_CONFIG_CALL ? "set_config_cb(none)\n" : "",
		       ranges && last >= STEP_MAPPED ? "dma_unmap(0, 0x1000, 0x1fff)\n" : "",
		       last >= STEP_BEGUN ? "reset_map(0)\n" : "",
		       ranges && second ? "dma_unmap(1, 0x3000, 0x3fff)\n" : "",
		       second ? "reset_map(1)\n" : "",
		       last >= STEP_CALL ? "set_vq_cb(1, none)\n" : "");
	recorder_reads(env->rec, want);
}

/* A client that dies is a close to the session, whenever it comes. */
static void end_at_each_step_undoes_what_was_made(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct env env;

	(void)state;
	for (int i = 0; i < 8 * NR_STEPS; i++) {
		int last = i / 8;
		bool persist = i & 1;

		env_open(&env,
			 &(struct recorder_options){.mapping = i & 2 ? VDPA_MAPPING_DMA_MAP
								     : VDPA_MAPPING_SET_MAP,
						    .memory = i & 4 ? MEMORY_PINNED : MEMORY_VA,
						    .compat_reset = true,
						    .deviations = STRICT});
		for (int step = 0; step <= last; step++)
			take_step(&env, step, BACKEND_ASID | (persist ? BACKEND_PERSIST : 0), fd);
		recorder_clear(env.rec);
		vhost_vdpa_release(env.s);
		expect_end(&env, last, persist);
		assert_int_equal(memory_charged_pages(env.space), 0);
		assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), 0);
		env_fini(&env);
	}
	close(fd);
}

/* Release with the parent's reset failing: everything else still happens. */
static void release_survives_a_failing_reset(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED});
	assert_int_equal(env_map(&env, 0, 2 * PAGE, env.shared), 72);
	recorder_fail(env.rec, "reset", 1, -EIO);
	vhost_vdpa_release(env.s);
	env.s = NULL;
	assert_int_equal(memory_charged_pages(env.space), 0);
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), 0);
	env_fini(&env);
}

/* ---- SET_STATUS(0) ---- */

/* Every cell of [4-13], [4-14]: ack, un-ack, late ack; parents with and without compat_reset,
 * reset_map. */
static void reset_one(enum vdpa_mapping mapping, bool compat, bool no_reset_map, uint64_t acked)
{
	struct recorder_options opt = {.mapping = mapping,
				       .compat_reset = compat,
				       .no_reset_map = no_reset_map,
				       .deviations = STRICT};
	bool can_persist = !no_reset_map || mapping == VDPA_MAPPING_PLATFORM;
	bool cleans = compat && !(acked & BACKEND_PERSIST);
	uint64_t page;
	struct env env;

	env_open(&env, &opt);
	page = (uintptr_t)env.shared;
	if (env_u64(&env, VHOST_SET_BACKEND_FEATURES, acked) != 0) {
		assert_false(can_persist);
		env_fini(&env);
		return;
	}
	assert_int_equal(env_map(&env, 0x7000, PAGE, env.shared), 72);
	assert_true(recorder_where(env.rec, 0, 0x7000, 3) == page);
	recorder_clear(env.rec);
	assert_int_equal(env_status(&env, 0), 0);
	recorder_reads(env.rec, cleans ? "compat_reset(1)\n" : "reset()\n");
	/* the device's view ... */
	if (cleans && mapping != VDPA_MAPPING_PLATFORM)
		assert_true(recorder_where(env.rec, 0, 0x7000, 3) == 0x7000);
	else
		assert_true(recorder_where(env.rec, 0, 0x7000, 3) == page);
	/* ... and the client's, which stays in any case */
	assert_int_equal(env_map(&env, 0x7000, PAGE, env.shared), -EFAULT);
	/* [4-16]: what the next change brings back */
	assert_int_equal(env_map(&env, 0x9000, PAGE, env.shared), 72);
	assert_true(recorder_where(env.rec, 0, 0x9000, 3) == page);
	if (cleans && mapping == VDPA_MAPPING_DMA_MAP)
		assert_true(recorder_where(env.rec, 0, 0x7000, 3) == 0);
	else
		assert_true(recorder_where(env.rec, 0, 0x7000, 3) == page);
	env_fini(&env);
}

static void reset_keeps_or_cleans_by_the_table(void **state)
{
	static const enum vdpa_mapping mappings[] = {VDPA_MAPPING_SET_MAP, VDPA_MAPPING_DMA_MAP,
						     VDPA_MAPPING_PLATFORM};

	for (size_t m = 0; m < ARRAY_LEN(mappings); m++)
		for (int bits = 0; bits < 8; bits++)
			reset_one(mappings[m], bits & 1, bits & 2, bits & 4 ? BACKEND_PERSIST : 0);
}

static void reset_looks_at_the_ack_of_the_moment(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.compat_reset = true, .deviations = STRICT});
	assert_int_equal(env_u64(&env, VHOST_SET_BACKEND_FEATURES, BACKEND_PERSIST), 0);
	assert_int_equal(env_status(&env, 0), 0);
	recorder_reads(env.rec, "reset()\n");
	assert_int_equal(env_status(&env, 0), 0); /* the ack is kept over a reset */
	recorder_reads(env.rec, "reset()\n");
	assert_int_equal(env_u64(&env, VHOST_SET_BACKEND_FEATURES, 0), 0);
	assert_int_equal(env_status(&env, 0), 0);
	recorder_reads(env.rec, "compat_reset(1)\n");
	env_fini(&env);
}

/* [4-15] what a second client finds. */
static void reopen_finds(enum vdpa_mapping mapping, bool compat, bool no_reset_map,
			 uint64_t expected)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.mapping = mapping,
						  .compat_reset = compat,
						  .no_reset_map = no_reset_map,
						  .deviations = STRICT});
	assert_int_equal(env_map(&env, 0x7000, PAGE, env.shared), 72);
	vhost_vdpa_release(env.s);
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), 0);
	if (expected == 1)
		expected = (uintptr_t)env.shared;
	assert_true(recorder_where(env.rec, 0, 0x7000, 3) == expected);
	env_fini(&env);
}

static void reopen_finds_what_the_table_says(void **state)
{
	const uint64_t one_to_one = 0x7000, stale = 1, none = 0;

	for (int compat = 0; compat < 2; compat++) {
		reopen_finds(VDPA_MAPPING_SET_MAP, compat, false, one_to_one);
		reopen_finds(VDPA_MAPPING_DMA_MAP, compat, false, one_to_one);
		reopen_finds(VDPA_MAPPING_PLATFORM, compat, false,
			     none); /* an open client's domain */
	}
	reopen_finds(VDPA_MAPPING_SET_MAP, true, true, one_to_one);
	reopen_finds(VDPA_MAPPING_DMA_MAP, true, true, none);
	reopen_finds(VDPA_MAPPING_SET_MAP, false, true, stale);
	reopen_finds(VDPA_MAPPING_DMA_MAP, false, true, none);
}

static void platform_domain_is_one_to_one_only_while_closed(void **state)
{
	struct env env;

	env_init(&env, &(struct recorder_options){.mapping = VDPA_MAPPING_PLATFORM});
	assert_true(recorder_where(env.rec, 0, 0x1234000, 3) == 0x1234000);
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), 0);
	assert_true(recorder_where(env.rec, 0, 0x1234000, 3) == 0);
	vhost_vdpa_release(env.s);
	env.s = NULL;
	assert_true(recorder_where(env.rec, 0, 0x1234000, 3) == 0x1234000);
	env_fini(&env);
}

static void reset_keeps_the_batch_and_the_client_state(void **state)
{
	uint32_t num;
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = STRICT});
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, 0, 77), 0);
	assert_int_equal(env_begin(&env), 72);
	assert_int_equal(env_status(&env, 0), 0);
	recorder_clear(env.rec);
	assert_int_equal(env_map(&env, 0, PAGE, env.shared), 72);
	recorder_reads(env.rec, ""); /* [2-21]: still in the batch */
	assert_int_equal(env_end(&env), 72);
	recorder_reads(env.rec, "set_map(0, 1)\n");
	assert_int_equal(env_get_state(&env, VHOST_GET_VRING_BUSYLOOP_TIMEOUT, 0, &num), 0);
	assert_int_equal(num, 77);
	env_fini(&env);
}

static void reset_error_reaches_the_client(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	recorder_fail(env.rec, "reset", 1, -EIO);
	assert_int_equal(env_status(&env, 0), -EIO);
	assert_int_equal(env_status(&env, 0), 0);
	env_fini(&env);
}

/* ---- D1 ---- */

/* Features, rings 0 and 1 enabled, running. */
static void run_two_rings(struct env *env, uint64_t features)
{
	assert_int_equal(env_u64(env, VHOST_SET_FEATURES, features), 0);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(env_state(env, VHOST_VDPA_SET_VRING_ENABLE, i, 1), 0);
	assert_int_equal(env_status(env, 0xf), 0);
}

static uint32_t base_of(struct env *env, uint32_t idx)
{
	uint32_t num;

	assert_int_equal(env_get_state(env, VHOST_GET_VRING_BASE, idx, &num), 0);
	return num;
}

static void d1_base_can_be_read_after_resets_until_it_is_set_or_the_device_starts(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = DEFAULT});
	run_two_rings(&env, ACCESS_PLATFORM);
	env.rec->vqs[0].state.last_avail = 500;
	env.rec->vqs[1].state.last_avail = 600;
	assert_int_equal(env_status(&env, 0), 0);
	assert_int_equal(env_status(&env, 0), 0); /* a second one saves no zeros */
	assert_int_equal(base_of(&env, 0), 500);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 7), 0);
	assert_int_equal(base_of(&env, 0), 7);
	assert_int_equal(base_of(&env, 1), 600);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, ACCESS_PLATFORM), 0);
	recorder_clear(env.rec);
	assert_int_equal(env_status(&env, 0xf), 0);
	recorder_reads(env.rec,
		       "set_status(0xf)\n"); /* a ring without a base starts fresh ([4-8]) */
	assert_int_equal(base_of(&env, 1), 0);
	env_fini(&env);
}

/* QEMU 10 negotiates packed rings for a look at the groups, resets, and starts with split ones. */
static void d1_probe_of_the_other_layout_leaves_no_base_and_takes_none(void **state)
{
	const uint64_t packed = ACCESS_PLATFORM | FEATURE_RING_PACKED;
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = DEFAULT});
	for (int before = 0; before < 2; before++) {
		if (before) {
			run_two_rings(&env, ACCESS_PLATFORM);
			env.rec->vqs[0].state.last_avail = 500;
			assert_int_equal(env_status(&env, 0), 0);
		}
		assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, packed), 0);
		assert_int_equal(env_status(&env, 0x8), 0);
		env.rec->vqs[0].state = (struct vdpa_vq_state){0x8000, 0x8000};
		assert_int_equal(base_of(&env, 0), 0x80008000);
		assert_int_equal(env_status(&env, 0), 0);
		env.rec->vqs[0].state = (struct vdpa_vq_state){0, 0};
		assert_int_equal(base_of(&env, 0), before ? 500 : 0);
		assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, ACCESS_PLATFORM), 0);
		assert_int_equal(env_status(&env, 0x8), 0);
		assert_int_equal(base_of(&env, 0), before ? 500 : 0);
		assert_int_equal(env_status(&env, 0), 0);
	}
	env_fini(&env);
}

/* 0 would have the device do again what it has done. */
static void d1_base_that_the_device_did_not_tell_is_an_error_until_it_is_set(void **state)
{
	struct env env;
	uint32_t num;

	env_open(&env, &(struct recorder_options){.deviations = DEFAULT});
	for (int set = 0; set < 2; set++) {
		run_two_rings(&env, ACCESS_PLATFORM);
		env.rec->vqs[0].state.last_avail = 500;
		env.rec->vqs[1].state.last_avail = 600;
		recorder_fail(env.rec, "get_vq_state", 1, -EIO);
		assert_int_equal(env_status(&env, 0), 0);
		assert_int_equal(env_get_state(&env, VHOST_GET_VRING_BASE, 0, &num), -EIO);
		assert_int_equal(env_status(&env, 0), 0);
		assert_int_equal(env_get_state(&env, VHOST_GET_VRING_BASE, 0, &num), -EIO);
		assert_int_equal(base_of(&env, 1), 600);
		if (set) {
			assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 7), 0);
			assert_int_equal(base_of(&env, 0), 7);
		} else {
			run_two_rings(&env, ACCESS_PLATFORM);
			assert_int_equal(base_of(&env, 0), 0);
			assert_int_equal(env_status(&env, 0), 0);
		}
	}
	env_fini(&env);
}

static void strict_base_is_the_parents(void **state)
{
	uint32_t num;
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = STRICT});
	env.rec->vqs[0].state.last_avail = 500;
	assert_int_equal(env_status(&env, 0), 0);
	recorder_reads(env.rec, "reset()\n");
	assert_int_equal(env_get_state(&env, VHOST_GET_VRING_BASE, 0, &num), 0);
	assert_int_equal(num, 0);
	env_fini(&env);
}

/* ---- the device goes away ---- */

static void removal_ends_the_session_like_a_close(void **state)
{
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2};
	bool freed = false;
	uint8_t status;
	struct env env;

	env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED, .compat_reset = true});
	assert_int_equal(env_map(&env, 0, 3 * PAGE, env.shared), 72);
	recorder_clear(env.rec);
	env.rec->freed = &freed;
	vdpa_device_unregister(&env.rec->dev);
	assert_false(freed); /* the session has a reference */
	recorder_reads(env.rec, "compat_reset(1)\nreset_map(0)\n");
	assert_int_equal(memory_charged_pages(env.space), 0);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_GET_STATUS, &status), -ENODEV);
	assert_int_equal(env_ioctl(&env, VHOST_SET_OWNER, NULL), -ENODEV);
	assert_int_equal(vhost_vdpa_write(env.s, &env.client, (uintptr_t)&msg, sizeof(msg)),
			 -ENODEV);
	assert_int_equal(vhost_vdpa_mmap(env.s, PAGE, PROT_WRITE, MAP_SHARED, 0), -ENODEV);
	assert_int_equal(vhost_vdpa_minor(&env.rec->dev), -ENODEV);
	recorder_reads(env.rec, "");
	vhost_vdpa_release(env.s);
	assert_true(freed);
	env.s = NULL;
	env.rec = NULL;
	env_fini(&env);
}

/* [9-4]: the node is gone at once, the open descriptor works until it is closed. */
static void deleted_device_works_for_who_has_it_open_until_the_close(void **state)
{
	struct vhost_vdpa *second;
	struct recorder *next;
	uint8_t status = 0;
	bool freed = false;
	struct env env;

	env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED});
	assert_int_equal(env_map(&env, 0, 3 * PAGE, env.shared), 72);
	recorder_clear(env.rec);
	env.rec->freed = &freed;
	assert_int_equal(vdpa_device_delete(&env.rec->dev), 0);
	assert_int_equal(vdpa_device_delete(&env.rec->dev), -ENODEV);
	assert_null(vdpa_bus_find(env.bus, "rec"));
	assert_null(vhost_vdpa_find(env.bus, 0));
	assert_int_equal(vhost_vdpa_minor(&env.rec->dev), -ENODEV);
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &second), -ENODEV);
	recorder_reads(env.rec, "");
	next = recorder_create(env.bus, &(struct recorder_options){.name = "rec"});
	assert_int_equal(vhost_vdpa_minor(&next->dev), 0);
	assert_int_equal(env_status(&env, 3), 0);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_GET_STATUS, &status), 0);
	assert_int_equal(status, 3);
	assert_int_equal(env_map(&env, 16 * PAGE, PAGE, env.shared), 72);
	assert_true(memory_charged_pages(env.space) > 0);
	assert_false(freed);
	vhost_vdpa_release(env.s);
	assert_true(freed);
	assert_int_equal(memory_charged_pages(env.space), 0);
	env.s = NULL;
	env.rec = NULL;
	env_fini(&env);
}

static void unbinding_ends_the_session_and_binding_again_starts_fresh(void **state)
{
	struct vhost_vdpa *second;
	uint8_t status;
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(vdpa_unbind_force(&env.rec->dev), 0);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_GET_STATUS, &status), -ENODEV);
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &second), -ENODEV);
	assert_int_equal(vdpa_bind(&env.rec->dev, "vhost_vdpa"), 0);
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &second), 0);
	/* the old session's release does not free the device for a third */
	vhost_vdpa_release(env.s);
	assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), -EBUSY);
	vhost_vdpa_release(second);
	env.s = NULL;
	env_fini(&env);
}

/* [8-1]; where the kernel's unbind waits for the close, ours is refused */
static void unbinding_an_open_device_is_refused_and_changes_nothing(void **state)
{
	uint8_t status = 0xff;
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_map(&env, 0, PAGE, env.shared), 72);
	recorder_clear(env.rec);
	assert_int_equal(vdpa_unbind(&env.rec->dev), -EBUSY);
	assert_non_null(strstr(refuse_reason(), "rec is open as vhost-vdpa-0"));
	recorder_reads(env.rec, "");
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_GET_STATUS, &status), 0);
	assert_int_equal(status, 0);
	vhost_vdpa_release(env.s);
	env.s = NULL;
	assert_int_equal(vdpa_unbind(&env.rec->dev), 0);
	assert_int_equal(vhost_vdpa_minor(&env.rec->dev), -ENODEV);
	env_fini(&env);
}

static void minors_are_the_lowest_free(void **state)
{
	struct recorder *a, *b;
	struct vdpa_device *found;
	struct env env;

	env_init(&env, &(struct recorder_options){0});
	a = recorder_create(env.bus, &(struct recorder_options){.name = "a"});
	b = recorder_create(env.bus, &(struct recorder_options){.name = "b"});
	assert_int_equal(vhost_vdpa_minor(&env.rec->dev), 0);
	assert_int_equal(vhost_vdpa_minor(&a->dev), 1);
	assert_int_equal(vhost_vdpa_minor(&b->dev), 2);
	vdpa_device_unregister(&a->dev);
	assert_null(vhost_vdpa_find(env.bus, 1));
	a = recorder_create(env.bus, &(struct recorder_options){.name = "c"});
	assert_int_equal(vhost_vdpa_minor(&a->dev), 1);
	found = vhost_vdpa_find(env.bus, 1);
	assert_ptr_equal(found, &a->dev);
	vdpa_device_put(found);
	assert_null(vhost_vdpa_find(env.bus, 3));
	env_fini(&env); /* the bus unregisters a and b */
}

static void probe_refuses_platform_parents_with_several_spaces(void **state)
{
	struct recorder *rec;
	struct env env;

	env_init(&env, &(struct recorder_options){0});
	rec = recorder_create(env.bus, &(struct recorder_options){.mapping = VDPA_MAPPING_PLATFORM,
								  .ngroups = 2,
								  .name = "groups"});
	assert_int_equal(vhost_vdpa_minor(&rec->dev), -ENODEV);
	assert_int_equal(vdpa_bind(&rec->dev, "vhost_vdpa"), -EOPNOTSUPP);
	rec = recorder_create(env.bus, &(struct recorder_options){.mapping = VDPA_MAPPING_PLATFORM,
								  .nas = 2,
								  .name = "spaces"});
	assert_int_equal(vhost_vdpa_minor(&rec->dev), -ENODEV);
	rec = recorder_create(env.bus, &(struct recorder_options){.mapping = VDPA_MAPPING_PLATFORM,
								  .name = "one"});
	assert_int_equal(vhost_vdpa_minor(&rec->dev), 1);
	env_fini(&env);
}

static void mmap_checks_come_in_order(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(vhost_vdpa_mmap(env.s, 2 * PAGE, PROT_WRITE, MAP_SHARED, 0), -EINVAL);
	assert_int_equal(vhost_vdpa_mmap(env.s, 0, PROT_WRITE, MAP_SHARED, 0), -EINVAL);
	assert_int_equal(vhost_vdpa_mmap(env.s, PAGE, PROT_WRITE, MAP_PRIVATE, 0), -EINVAL);
	assert_int_equal(vhost_vdpa_mmap(env.s, PAGE, PROT_READ, MAP_SHARED, 0), -EINVAL);
	assert_int_equal(vhost_vdpa_mmap(env.s, PAGE, PROT_WRITE, MAP_SHARED, 65536 * PAGE),
			 -EINVAL);
	assert_int_equal(vhost_vdpa_mmap(env.s, PAGE, PROT_WRITE, MAP_SHARED, 0), -KERNEL_ENOTSUPP);
	env_fini(&env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_resets_without_flags),
		cmocka_unit_test(open_twice_is_busy_and_after_release_it_is_not),
		cmocka_unit_test(open_fails_with_the_parents_reset),
		cmocka_unit_test(release_follows_the_order),
		cmocka_unit_test(release_tells_set_map_nothing_and_resets_only_made_spaces),
		cmocka_unit_test(release_of_an_untouched_session_resets_only),
		cmocka_unit_test(release_in_a_batch_lets_everything_go),
		cmocka_unit_test(end_at_each_step_undoes_what_was_made),
		cmocka_unit_test(release_survives_a_failing_reset),
		cmocka_unit_test(reset_keeps_or_cleans_by_the_table),
		cmocka_unit_test(reset_looks_at_the_ack_of_the_moment),
		cmocka_unit_test(reopen_finds_what_the_table_says),
		cmocka_unit_test(platform_domain_is_one_to_one_only_while_closed),
		cmocka_unit_test(reset_keeps_the_batch_and_the_client_state),
		cmocka_unit_test(reset_error_reaches_the_client),
		cmocka_unit_test(
			d1_base_can_be_read_after_resets_until_it_is_set_or_the_device_starts),
		cmocka_unit_test(d1_probe_of_the_other_layout_leaves_no_base_and_takes_none),
		cmocka_unit_test(d1_base_that_the_device_did_not_tell_is_an_error_until_it_is_set),
		cmocka_unit_test(strict_base_is_the_parents),
		cmocka_unit_test(removal_ends_the_session_like_a_close),
		cmocka_unit_test(deleted_device_works_for_who_has_it_open_until_the_close),
		cmocka_unit_test(unbinding_ends_the_session_and_binding_again_starts_fresh),
		cmocka_unit_test(unbinding_an_open_device_is_refused_and_changes_nothing),
		cmocka_unit_test(minors_are_the_lowest_free),
		cmocka_unit_test(probe_refuses_platform_parents_with_several_spaces),
		cmocka_unit_test(mmap_checks_come_in_order),
	};

	return cmocka_run_group_tests_name("vhost_vdpa-lifecycle", tests, NULL, NULL);
}
