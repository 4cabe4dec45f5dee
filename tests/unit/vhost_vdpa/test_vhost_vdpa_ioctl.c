// SPDX-License-Identifier: BSD-3-Clause
/* The ioctl table: which errno wins, what each command does in each state, and what the parent sees
 * ([1-x]). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/refuse.h"
#include "env.h"

#define BAD ((void *)16) /* never mapped */

static const unsigned int vring_commands[] = {
	VHOST_SET_VRING_NUM,
	VHOST_SET_VRING_ADDR,
	VHOST_SET_VRING_BASE,
	VHOST_GET_VRING_BASE,
	VHOST_SET_VRING_KICK,
	VHOST_SET_VRING_CALL,
	VHOST_SET_VRING_ERR,
	VHOST_SET_VRING_BUSYLOOP_TIMEOUT,
	VHOST_GET_VRING_BUSYLOOP_TIMEOUT,
	VHOST_VDPA_SET_VRING_ENABLE,
	VHOST_VDPA_GET_VRING_GROUP,
	VHOST_VDPA_GET_VRING_DESC_GROUP,
	VHOST_VDPA_SET_GROUP_ASID,
	VHOST_VDPA_GET_VRING_SIZE,
};

/* Known or not, they end in ENOTTY, but only after owner, pointer and index. */
static const unsigned int absent_commands[] = {
	VHOST_RESET_OWNER,
	VHOST_NEW_WORKER,
	VHOST_FREE_WORKER,
	VHOST_ATTACH_VRING_WORKER,
	VHOST_GET_VRING_WORKER,
	VHOST_SET_VRING_ENDIAN,
	VHOST_GET_VRING_ENDIAN,
	VHOST_NET_SET_BACKEND,
	VHOST_SCSI_CLEAR_ENDPOINT,
	0x1234,
	0xaf00,
	0xffffffff,
};

static const unsigned int device_getters[] = {
	VHOST_GET_FEATURES,        VHOST_GET_BACKEND_FEATURES, VHOST_VDPA_GET_DEVICE_ID,
	VHOST_VDPA_GET_STATUS,     VHOST_VDPA_GET_CONFIG,      VHOST_VDPA_GET_VRING_NUM,
	VHOST_VDPA_GET_IOVA_RANGE, VHOST_VDPA_GET_CONFIG_SIZE, VHOST_VDPA_GET_AS_NUM,
	VHOST_VDPA_GET_GROUP_NUM,  VHOST_VDPA_GET_VQS_COUNT,   VHOST_GET_FORK_FROM_OWNER,
};

static const unsigned int device_setters[] = {
	VHOST_SET_FEATURES,    VHOST_SET_BACKEND_FEATURES, VHOST_VDPA_SET_STATUS,
	VHOST_VDPA_SET_CONFIG, VHOST_VDPA_SET_CONFIG_CALL, VHOST_SET_FORK_FROM_OWNER,
};

static void open_unowned(struct env *env, const struct recorder_options *opt)
{
	env_init(env, opt);
	assert_int_equal(vhost_vdpa_open(&env->rec->dev, &env->s), 0);
	recorder_clear(env->rec);
}

/* ---- dispatch order ---- */

static void dispatch_wants_the_owner_then_the_pointer_then_the_index(void **state)
{
	struct vhost_vring_state arg = {.index = RECORDER_NVQS};
	struct env env;

	open_unowned(&env, &(struct recorder_options){0});
	for (size_t i = 0; i < ARRAY_LEN(vring_commands); i++)
		assert_int_equal(env_ioctl(&env, vring_commands[i], BAD), -EPERM);
	for (size_t i = 0; i < ARRAY_LEN(absent_commands); i++)
		assert_int_equal(env_ioctl(&env, absent_commands[i], BAD), -EPERM);
	assert_int_equal(env_ioctl(&env, VHOST_SET_MEM_TABLE, BAD), -EPERM);
	assert_int_equal(env_ioctl(&env, VHOST_SET_OWNER, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(vring_commands); i++) {
		assert_int_equal(env_ioctl(&env, vring_commands[i], BAD), -EFAULT);
		assert_int_equal(env_ioctl(&env, vring_commands[i], NULL), -EFAULT);
		for (uint64_t index = RECORDER_NVQS; index <= UINT32_MAX; index += 0x3fffffff) {
			arg.index = (uint32_t)index;
			assert_int_equal(env_ioctl(&env, vring_commands[i], &arg), -ENOBUFS);
		}
		/* another process */
		assert_int_equal(vhost_vdpa_ioctl(env.s, &env.other, vring_commands[i], 16),
				 -EPERM);
	}
	for (size_t i = 0; i < ARRAY_LEN(absent_commands); i++) {
		arg.index = RECORDER_NVQS;
		assert_int_equal(env_ioctl(&env, absent_commands[i], NULL), -EFAULT);
		assert_int_equal(env_ioctl(&env, absent_commands[i], &arg), -ENOBUFS);
		arg.index = 0;
		assert_int_equal(env_ioctl(&env, absent_commands[i], &arg), -ENOTTY);
	}
	env_fini(&env);
}

/* An argument whose index can be read and whose rest cannot. */
static void dispatch_of_half_an_argument_is_a_fault(void **state)
{
	char *two =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct env env;

	assert_true(two != MAP_FAILED);
	assert_int_equal(munmap(two + PAGE, PAGE), 0);
	env_open(&env, &(struct recorder_options){.desc_group = true, .vq_size = true});
	for (size_t i = 0; i < ARRAY_LEN(vring_commands); i++)
		assert_int_equal(env_ioctl(&env, vring_commands[i], two + PAGE - 4), -EFAULT);
	/* a bad index in such an argument: SET_VRING_NUM alone fetches the rest first */
	memset(two + PAGE - 4, 0xff, 4);
	for (size_t i = 0; i < ARRAY_LEN(vring_commands); i++)
		assert_int_equal(env_ioctl(&env, vring_commands[i], two + PAGE - 4),
				 vring_commands[i] == VHOST_SET_VRING_NUM ? -EFAULT : -ENOBUFS);
	munmap(two, PAGE);
	env_fini(&env);
}

static void dispatch_of_device_commands_asks_no_owner(void **state)
{
	union {
		uint64_t u64[2];
		struct vhost_vdpa_config config;
		char room[64];
	} arg;
	struct env env;

	open_unowned(&env, &(struct recorder_options){0});
	for (size_t i = 0; i < ARRAY_LEN(device_getters); i++) {
		memset(&arg, 0, sizeof(arg));
		arg.config.len = 1;
		if (device_getters[i] == VHOST_VDPA_GET_CONFIG)
			arg.config.off = 0, arg.config.len = 8;
		assert_int_equal(env_ioctl(&env, device_getters[i], BAD), -EFAULT);
		assert_int_equal(env_ioctl(&env, device_getters[i], &arg), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(device_setters); i++)
		assert_int_equal(env_ioctl(&env, device_setters[i], BAD), -EFAULT);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SUSPEND, NULL), 0);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_RESUME, NULL), 0);
	env_fini(&env);
}

static void log_commands_are_refused_without_an_owner_in_both_modes(void **state)
{
	struct env env;

	for (int strict = 0; strict < 2; strict++) {
		open_unowned(&env,
			     &(struct recorder_options){.deviations = strict ? STRICT : DEFAULT});
		assert_int_equal(env_ioctl(&env, VHOST_SET_LOG_BASE, BAD), -ENOTTY);
		assert_int_equal(env_ioctl(&env, VHOST_SET_LOG_FD, BAD), -ENOTTY);
		env_fini(&env);
	}
}

static void every_refusal_states_its_reason(void **state)
{
	struct vhost_vring_state arg = {.index = 99};
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	for (size_t i = 0; i < ARRAY_LEN(vring_commands); i++) {
		assert_true(env_ioctl(&env, vring_commands[i], &arg) < 0);
		assert_non_null(strstr(refuse_reason(), "99"));
	}
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SUSPEND, NULL), 0);
	assert_string_equal(refuse_reason(), "");
	env_fini(&env);
}

/* ---- owner ---- */

static void owner_is_one_and_stays(void **state)
{
	struct env env;
	uint8_t u8 = 0;

	open_unowned(&env, &(struct recorder_options){0});
	assert_int_equal(env_ioctl(&env, VHOST_GET_FORK_FROM_OWNER, &u8), 0);
	assert_int_equal(u8, 1);
	u8 = 2;
	assert_int_equal(env_ioctl(&env, VHOST_SET_FORK_FROM_OWNER, &u8), -EINVAL);
	u8 = 0;
	assert_int_equal(env_ioctl(&env, VHOST_SET_FORK_FROM_OWNER, &u8), 0);
	assert_int_equal(env_ioctl(&env, VHOST_SET_OWNER, NULL), 0);
	recorder_reads(env.rec, "bind_mm()\n"); /* [7-6] */
	assert_int_equal(env_ioctl(&env, VHOST_SET_OWNER, NULL), -EBUSY);
	assert_int_equal(vhost_vdpa_ioctl(env.s, &env.other, VHOST_SET_OWNER, 0), -EBUSY);
	assert_int_equal(env_ioctl(&env, VHOST_SET_FORK_FROM_OWNER, BAD), -EBUSY);
	u8 = 1;
	assert_int_equal(env_ioctl(&env, VHOST_GET_FORK_FROM_OWNER, &u8), 0);
	assert_int_equal(u8, 0);
	env_fini(&env);
}

static void owner_is_undone_when_the_parent_cannot_bind(void **state)
{
	struct env env;

	open_unowned(&env, &(struct recorder_options){0});
	recorder_fail(env.rec, "bind_mm", 1, -EIO);
	assert_int_equal(env_ioctl(&env, VHOST_SET_OWNER, NULL), -EIO);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_NUM, 0, 64), -EPERM);
	assert_int_equal(env_ioctl(&env, VHOST_SET_OWNER, NULL), 0);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_NUM, 0, 64), 0);
	env_fini(&env);
}

static void owner_of_a_pinned_device_is_not_bound(void **state)
{
	struct env env;

	open_unowned(&env, &(struct recorder_options){.memory = MEMORY_PINNED});
	assert_int_equal(env_ioctl(&env, VHOST_SET_OWNER, NULL), 0);
	recorder_reads(env.rec, "");
	env_fini(&env);
}

static void mem_table_is_checked_and_not_used(void **state)
{
	/* the header, and two regions behind it */
	uint64_t room[(sizeof(struct vhost_memory) + 2 * sizeof(struct vhost_memory_region)) / 8] =
		{0};
	struct vhost_memory *table = (struct vhost_memory *)room;
	struct env env;

	table->nregions = 2;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_ioctl(&env, VHOST_SET_MEM_TABLE, table), 0);
	assert_int_equal(env_ioctl(&env, VHOST_SET_MEM_TABLE, BAD), -EFAULT);
	table->padding = 1;
	assert_int_equal(env_ioctl(&env, VHOST_SET_MEM_TABLE, table), -EOPNOTSUPP);
	table->padding = 0;
	table->nregions = UINT32_MAX;
	assert_int_equal(env_ioctl(&env, VHOST_SET_MEM_TABLE, table), -E2BIG);
	recorder_reads(env.rec, "");
	env_fini(&env);
}

/* ---- features and status ---- */

static void features_are_what_the_parent_took(void **state)
{
	uint64_t features;
	uint32_t num;
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, 0), -EINVAL); /* the parent said EIO */
	features = ACCESS_PLATFORM | FEATURE_RING_PACKED | 1ULL << 60;
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, features), 0);
	/* packed now: a base of 32 bits */
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 0x80078005), 0);
	assert_int_equal(env.rec->vqs[0].state.last_avail, 0x8005);
	assert_int_equal(env.rec->vqs[0].state.last_used, 0x8007);
	assert_int_equal(env_get_state(&env, VHOST_GET_VRING_BASE, 0, &num), 0);
	assert_int_equal(num, 0x80078005);
	assert_int_equal(env_status(&env, 8), 0);
	assert_int_equal(env_ioctl(&env, VHOST_SET_FEATURES, BAD), -EBUSY); /* before the pointer */
	env_fini(&env);
}

static void status_may_not_lose_bits_but_by_zero(void **state)
{
	uint8_t status;
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = STRICT});
	assert_int_equal(env_status(&env, 0x3), 0);
	for (unsigned int next = 1; next < 256; next++)
		if ((next & 3) != 3)
			assert_int_equal(env_status(&env, (uint8_t)next), -EINVAL);
	assert_int_equal(env_status(&env, 0xfb), 0);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_GET_STATUS, &status), 0);
	assert_int_equal(status, 0xfb);
	recorder_reads(env.rec, "set_status(0x3)\nset_status(0xfb)\n");
	assert_int_equal(env_status(&env, 0), 0);
	recorder_reads(env.rec, "reset()\n");
	env_fini(&env);
}

static void suspend_needs_driver_ok_and_the_operation(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = STRICT});
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SUSPEND, NULL), 0);
	recorder_reads(env.rec, "");
	assert_int_equal(env_status(&env, 0xf), 0);
	recorder_fail(env.rec, "suspend", 1, -EIO);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SUSPEND, NULL), -EIO);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 5), -EINVAL); /* still running */
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SUSPEND, NULL), 0);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 5), 0);
	recorder_fail(env.rec, "resume", 1, -EIO);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_RESUME, NULL), -EIO);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 5), 0); /* still suspended */
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_RESUME, NULL), 0);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 5), -EINVAL);
	/* a reset ends a suspension: DRIVER_OK again is running again */
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SUSPEND, NULL), 0);
	assert_int_equal(env_status(&env, 0), 0);
	assert_int_equal(env_status(&env, 0xf), 0);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 5), -EINVAL);
	env_fini(&env);

	env_open(&env, &(struct recorder_options){.no_suspend = true, .no_resume = true});
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SUSPEND, NULL), 0);
	assert_int_equal(env_status(&env, 0xf), 0);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SUSPEND, NULL), -EOPNOTSUPP);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_RESUME, NULL), -EOPNOTSUPP);
	env_fini(&env);
}

/* ---- config ---- */

static int config(struct env *env, unsigned int cmd, uint32_t off, uint32_t len, void *bytes,
		  size_t n)
{
	struct vhost_vdpa_config *c = malloc(sizeof(*c) + n);
	int ret;

	assert_non_null(c);
	c->off = off;
	c->len = len;
	memcpy(c->buf, bytes, n);
	ret = env_ioctl(env, cmd, c);
	memcpy(bytes, c->buf, n);
	free(c);
	return ret;
}

static void config_ranges_are_checked(void **state)
{
	static const struct {
		uint32_t off, len;
		int err;
	} cases[] = {
		{0, 8, 0},
		{0, 1, 0},
		{7, 1, 0},
		{0, 0, -EINVAL},
		{8, 0, -EINVAL},
		{8, 1, -EINVAL},
		{0, 9, -EINVAL},
		{7, 2, -EINVAL},
		{9, 1, -EINVAL},
		{UINT32_MAX, 1, -EINVAL},
		{1, UINT32_MAX, -EINVAL},
		{UINT32_MAX, UINT32_MAX, -EINVAL},
	};
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char bytes[8] = "abcdefg";

		assert_int_equal(
			config(&env, VHOST_VDPA_SET_CONFIG, cases[i].off, cases[i].len, bytes, 8),
			cases[i].err);
		assert_int_equal(
			config(&env, VHOST_VDPA_GET_CONFIG, cases[i].off, cases[i].len, bytes, 8),
			cases[i].err);
	}
	env_fini(&env);
}

static void config_read_first_sets_no_features_once(void **state)
{
	char bytes[8] = "";
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = STRICT});
	assert_int_equal(config(&env, VHOST_VDPA_GET_CONFIG, 0, 8, bytes, 8), 0);
	recorder_reads(env.rec, "set_driver_features(0x0)\n"); /* refused by this parent, ignored */
	assert_int_equal(config(&env, VHOST_VDPA_GET_CONFIG, 0, 8, bytes, 8), 0);
	recorder_reads(env.rec, "");
	assert_int_equal(env_status(&env, 0), 0);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, ACCESS_PLATFORM), 0);
	recorder_clear(env.rec);
	assert_int_equal(config(&env, VHOST_VDPA_GET_CONFIG, 0, 8, bytes, 8), 0);
	recorder_reads(env.rec, "");
	env_fini(&env);
}

static void config_bytes_behind_the_head_may_fault(void **state)
{
	char *two =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vhost_vdpa_config *c;
	struct env env;

	assert_true(two != MAP_FAILED);
	assert_int_equal(munmap(two + PAGE, PAGE), 0);
	c = (void *)(two + PAGE - sizeof(*c));
	c->len = 8;
	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG, c), -EFAULT);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_GET_CONFIG, c), -EFAULT);
	munmap(two, PAGE);
	env_fini(&env);
}

/* ---- virtqueues ---- */

static void vring_num_is_a_power_of_two_up_to_the_maximum(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	for (uint32_t num = 0; num < 1024; num++)
		assert_int_equal(env_state(&env, VHOST_SET_VRING_NUM, 0, num),
				 num && num <= RECORDER_NUM_MAX && !(num & (num - 1)) ? 0
										      : -EINVAL);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_NUM, 0, 0x10000), -EINVAL);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_NUM, 0, 0x80000000), -EINVAL);
	assert_int_equal(env_status(&env, 0xf), 0);
	recorder_clear(env.rec);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_NUM, 2, 16), 0); /* also while running */
	recorder_reads(env.rec, "set_vq_num(2, 16)\n");
	env_fini(&env);
}

static void vring_addr_checks_flags_then_alignment_then_state(void **state)
{
	struct vhost_vring_addr good = {.index = 1,
					.desc_user_addr = 0x1001,
					.avail_user_addr = 0x2002,
					.used_user_addr = 0x3004,
					.log_guest_addr = 0x4004};
	struct vhost_vring_addr a;
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &good), 0);
	recorder_reads(env.rec, "set_vq_address(1, 0x1001, 0x2002, 0x3004)\n");
	for (unsigned int bit = 1; bit < 32; bit++) {
		a = good;
		a.flags = 1u << bit;
		a.avail_user_addr++;
		assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &a), -EOPNOTSUPP);
	}
	a = good;
	a.flags = 1;
	assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &a), 0);
	a = good;
	a.avail_user_addr |= 1;
	assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &a), -EINVAL);
	for (uint64_t off = 1; off < 4; off++) {
		a = good;
		a.used_user_addr += off;
		assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &a), -EINVAL);
		a = good;
		a.log_guest_addr += off;
		assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &a), -EINVAL);
	}
	recorder_fail(env.rec, "set_vq_address", 1, -EIO);
	assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &good), -EINVAL);
	assert_int_equal(env_status(&env, 0xf), 0);
	recorder_clear(env.rec);
	assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &good), -EINVAL);
	recorder_reads(env.rec, "");
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SUSPEND, NULL), 0);
	assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &good), 0);
	env_fini(&env);
}

static void vring_base_of_a_split_ring_has_16_bits(void **state)
{
	uint32_t num;
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 0x10000), -EINVAL);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 0xffff), 0);
	assert_int_equal(env_get_state(&env, VHOST_GET_VRING_BASE, 0, &num), 0);
	assert_int_equal(num, 0xffff);
	recorder_fail(env.rec, "set_vq_state", 1, -EBUSY);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 1),
			 -EBUSY); /* the parent's own */
	recorder_fail(env.rec, "get_vq_state", 1, -EIO);
	assert_int_equal(env_get_state(&env, VHOST_GET_VRING_BASE, 0, &num), -EIO);
	assert_int_equal(env_status(&env, 0xf), 0);
	recorder_clear(env.rec);
	assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 1), -EINVAL);
	recorder_reads(env.rec, "");
	assert_int_equal(env_get_state(&env, VHOST_GET_VRING_BASE, 0, &num), 0); /* at any time */
	env_fini(&env);
}

/* With RING_RESET a ring that is not enabled can be set up while the device runs, and no other
 * can. */
static void vring_set_up_while_running_needs_ring_reset(void **state)
{
	const uint64_t base = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM;
	struct vhost_vring_addr addr = {.index = 1,
					.desc_user_addr = 0x1000,
					.avail_user_addr = 0x2000,
					.used_user_addr = 0x3000};

	for (int with = 0; with < 2; with++) {
		uint64_t features = base | (with ? 1ULL << VIRTIO_F_RING_RESET : 0);
		int want = with ? 0 : -EINVAL;
		struct env env;

		env_open(&env, &(struct recorder_options){.features = features});
		assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, features), 0);
		for (uint32_t i = 0; i < 2; i++)
			assert_int_equal(env_state(&env, VHOST_VDPA_SET_VRING_ENABLE, i, 1), 0);
		assert_int_equal(env_status(&env, 0xf), 0);
		assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &addr), -EINVAL);
		assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 1, 7), -EINVAL);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_VRING_ENABLE, 1, 0), 0);
		recorder_clear(env.rec);
		assert_int_equal(env_state(&env, VHOST_SET_VRING_NUM, 1, 16), 0);
		assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 1, 7), want);
		assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &addr), want);
		recorder_reads(env.rec, with ? "set_vq_num(1, 16)\nset_vq_state(1, 0x7, 0x0)\n"
					       "set_vq_address(1, 0x1000, 0x2000, 0x3000)\n"
					     : "set_vq_num(1, 16)\n");
		/* the other one is enabled, and the same again is settled once more */
		assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 0, 7), -EINVAL);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_VRING_ENABLE, 1, 1), 0);
		assert_int_equal(env_state(&env, VHOST_SET_VRING_BASE, 1, 7), -EINVAL);
		env_fini(&env);
	}
}

static void vring_enable_takes_anything_but_zero_as_yes(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_state(&env, VHOST_VDPA_SET_VRING_ENABLE, 0, 2), 0);
	assert_int_equal(env_state(&env, VHOST_VDPA_SET_VRING_ENABLE, 0, 0), 0);
	assert_int_equal(env_state(&env, VHOST_VDPA_SET_VRING_ENABLE, 2, UINT32_MAX), 0);
	recorder_reads(env.rec, "set_vq_ready(0, 1)\nset_vq_ready(0, 0)\nset_vq_ready(2, 1)\n");
	env_fini(&env);
}

static void groups_answer_or_say_why_not(void **state)
{
	uint32_t num;
	struct env env;

	env_open(&env, &(struct recorder_options){.desc_group = true, .vq_size = true});
	assert_int_equal(env_get_state(&env, VHOST_VDPA_GET_VRING_GROUP, 2, &num), 0);
	assert_int_equal(num, 1);
	assert_int_equal(env_get_state(&env, VHOST_VDPA_GET_VRING_DESC_GROUP, 0, &num), 0);
	assert_int_equal(num, 1);
	env.rec->group_answer = 7;
	assert_int_equal(env_get_state(&env, VHOST_VDPA_GET_VRING_GROUP, 0, &num), -EIO);
	assert_int_equal(env_get_state(&env, VHOST_VDPA_GET_VRING_DESC_GROUP, 0, &num), -EIO);
	assert_int_equal(env_get_state(&env, VHOST_VDPA_GET_VRING_SIZE, 0, &num), 0);
	assert_int_equal(num, 256);
	env_fini(&env);

	env_open(&env, &(struct recorder_options){.no_groups = true});
	assert_int_equal(env_get_state(&env, VHOST_VDPA_GET_VRING_GROUP, 0, &num), -EOPNOTSUPP);
	assert_int_equal(env_get_state(&env, VHOST_VDPA_GET_VRING_DESC_GROUP, 0, &num),
			 -EOPNOTSUPP);
	assert_int_equal(env_get_state(&env, VHOST_VDPA_GET_VRING_SIZE, 0, &num), -EOPNOTSUPP);
	assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 0, 0), -EOPNOTSUPP);
	assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 0, 2),
			 -EINVAL); /* checked first */
	env_fini(&env);
}

static const uint32_t modes[] = {STRICT, STRICT_7_2, DEFAULT};

static void group_asid_checks_queue_then_group_then_space_then_state(void **state)
{
	struct env env;

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		bool moves = modes[i] == STRICT;

		env_open(&env, &(struct recorder_options){.deviations = modes[i]});
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 3, 0), -ENOBUFS);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 2, 0), -EINVAL);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 0, 2), -EINVAL);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 1, 1),
				 0); /* none exists */
		recorder_fail(env.rec, "set_group_asid", 1, -EIO);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 1, 0), -EIO);
		assert_int_equal(env_status(&env, 0xf), 0);
		recorder_clear(env.rec);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 1, 0),
				 moves ? 0 : -EBUSY);
		recorder_reads(env.rec, moves ? "set_group_asid(1, 0)\n" : "");
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 3, 0), -ENOBUFS);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 2, 0), -EINVAL);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 0, 2), -EINVAL);
		env_fini(&env);
	}
}

/* A parent that has no such operation is busy, too, where groups stay; so is a suspended one. */
static void group_asid_while_running_is_busy_before_the_operation_is_asked_for(void **state)
{
	struct env env;

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		bool moves = modes[i] == STRICT;

		env_open(&env,
			 &(struct recorder_options){.deviations = modes[i], .no_groups = true});
		assert_int_equal(env_status(&env, 0xb), 0);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 0, 0), -EOPNOTSUPP);
		assert_int_equal(env_status(&env, 0xf), 0);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 0, 0),
				 moves ? -EOPNOTSUPP : -EBUSY);
		env_fini(&env);

		env_open(&env, &(struct recorder_options){.deviations = modes[i]});
		assert_int_equal(env_status(&env, 0xf), 0);
		assert_int_equal(env_ioctl(&env, VHOST_VDPA_SUSPEND, NULL), 0);
		assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 1, 0),
				 moves ? 0 : -EBUSY);
		env_fini(&env);
	}
}

/* ---- backend features ---- */

/* All 512 masks of the known bits against the rules of section 5, for parents of all kinds. */
static int backend_expected(const struct recorder_options *opt, uint64_t mask)
{
	bool persist = opt->mapping == VDPA_MAPPING_PLATFORM || !opt->no_reset_map ||
		       (opt->has_backend_features && (opt->backend_features & BACKEND_PERSIST));

	if (mask & ~0x1feULL)
		return -EOPNOTSUPP;
	if ((mask & BACKEND_SUSPEND) && opt->no_suspend)
		return -EOPNOTSUPP;
	if ((mask & BACKEND_RESUME) && opt->no_resume)
		return -EOPNOTSUPP;
	if ((mask & BACKEND_DESC_ASID) && !(mask & BACKEND_ASID))
		return -EINVAL;
	if ((mask & BACKEND_DESC_ASID) && !opt->desc_group)
		return -EOPNOTSUPP;
	if ((mask & BACKEND_PERSIST) && !persist)
		return -EOPNOTSUPP;
	return 0;
}

static void backend_one_parent(const struct recorder_options *opt, uint64_t offered)
{
	struct env env;
	uint64_t mask;

	open_unowned(&env, opt);
	assert_int_equal(env_ioctl(&env, VHOST_GET_BACKEND_FEATURES, &mask), 0);
	assert_true(mask == offered);
	for (mask = 0; mask < 0x400; mask++)
		assert_int_equal(env_u64(&env, VHOST_SET_BACKEND_FEATURES, mask),
				 backend_expected(opt, mask));
	for (unsigned int bit = 9; bit < 64; bit++)
		assert_int_equal(env_u64(&env, VHOST_SET_BACKEND_FEATURES, 1ULL << bit),
				 -EOPNOTSUPP);
	env_fini(&env);
}

static void backend_features_follow_the_parent(void **state)
{
	backend_one_parent(&(struct recorder_options){0}, 0x13e);
	backend_one_parent(&(struct recorder_options){.no_reset_map = true}, 0x3e);
	backend_one_parent(
		&(struct recorder_options){.no_reset_map = true, .mapping = VDPA_MAPPING_DMA_MAP},
		0x3e);
	backend_one_parent(&(struct recorder_options){.mapping = VDPA_MAPPING_PLATFORM}, 0x13e);
	backend_one_parent(&(struct recorder_options){.no_reset_map = true,
						      .has_backend_features = true,
						      .backend_features = BACKEND_PERSIST},
			   0x13e);
	backend_one_parent(
		&(struct recorder_options){.has_backend_features = true,
					   .backend_features = BACKEND_ENABLE_AFTER_DRIVER_OK},
		0x17e);
	backend_one_parent(&(struct recorder_options){.no_suspend = true, .no_resume = true},
			   0x10e);
	backend_one_parent(&(struct recorder_options){.desc_group = true}, 0x1be);
}

static void iova_range_is_the_parents_or_all(void **state)
{
	struct vhost_vdpa_iova_range range;
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_GET_IOVA_RANGE, &range), 0);
	assert_true(range.first == 0 && range.last == UINT64_MAX);
	env_fini(&env);
	env_open(&env, &(struct recorder_options){.range = {0x1000, 0xffff}});
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_GET_IOVA_RANGE, &range), 0);
	assert_true(range.first == 0x1000 && range.last == 0xffff);
	env_fini(&env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dispatch_wants_the_owner_then_the_pointer_then_the_index),
		cmocka_unit_test(dispatch_of_half_an_argument_is_a_fault),
		cmocka_unit_test(dispatch_of_device_commands_asks_no_owner),
		cmocka_unit_test(log_commands_are_refused_without_an_owner_in_both_modes),
		cmocka_unit_test(every_refusal_states_its_reason),
		cmocka_unit_test(owner_is_one_and_stays),
		cmocka_unit_test(owner_is_undone_when_the_parent_cannot_bind),
		cmocka_unit_test(owner_of_a_pinned_device_is_not_bound),
		cmocka_unit_test(mem_table_is_checked_and_not_used),
		cmocka_unit_test(features_are_what_the_parent_took),
		cmocka_unit_test(status_may_not_lose_bits_but_by_zero),
		cmocka_unit_test(suspend_needs_driver_ok_and_the_operation),
		cmocka_unit_test(config_ranges_are_checked),
		cmocka_unit_test(config_read_first_sets_no_features_once),
		cmocka_unit_test(config_bytes_behind_the_head_may_fault),
		cmocka_unit_test(vring_num_is_a_power_of_two_up_to_the_maximum),
		cmocka_unit_test(vring_addr_checks_flags_then_alignment_then_state),
		cmocka_unit_test(vring_base_of_a_split_ring_has_16_bits),
		cmocka_unit_test(vring_set_up_while_running_needs_ring_reset),
		cmocka_unit_test(vring_enable_takes_anything_but_zero_as_yes),
		cmocka_unit_test(groups_answer_or_say_why_not),
		cmocka_unit_test(group_asid_checks_queue_then_group_then_space_then_state),
		cmocka_unit_test(
			group_asid_while_running_is_busy_before_the_operation_is_asked_for),
		cmocka_unit_test(backend_features_follow_the_parent),
		cmocka_unit_test(iova_range_is_the_parents_or_all),
	};

	return cmocka_run_group_tests_name("vhost_vdpa-ioctl", tests, NULL, NULL);
}
