// SPDX-License-Identifier: BSD-3-Clause
/* Calls in words: every command has a name, arguments print by field, unreadable memory as its
 * address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "env.h"

static char text[1024];

static const char *print_ioctl(struct env *env, unsigned int cmd, const void *arg, bool after)
{
	FILE *f = fmemopen(memset(text, 0, sizeof(text)), sizeof(text), "w");

	assert_non_null(f);
	vhost_vdpa_print_ioctl(f, &env->client, cmd, (uintptr_t)arg, after);
	fclose(f);
	return text;
}

static const char *print_write(struct env *env, const void *buf, size_t len)
{
	FILE *f = fmemopen(memset(text, 0, sizeof(text)), sizeof(text), "w");

	assert_non_null(f);
	vhost_vdpa_print_write(f, &env->client, (uintptr_t)buf, len);
	fclose(f);
	return text;
}

static void names_are_the_headers(void **state)
{
	assert_string_equal(vhost_vdpa_ioctl_name(0x4001af72), "VHOST_VDPA_SET_STATUS");
	assert_string_equal(vhost_vdpa_ioctl_name(0x0000af01), "VHOST_SET_OWNER");
	assert_string_equal(vhost_vdpa_ioctl_name(0x0000af02), "VHOST_RESET_OWNER");
	assert_string_equal(vhost_vdpa_ioctl_name(0xc008af82), "VHOST_VDPA_GET_VRING_SIZE");
	assert_string_equal(vhost_vdpa_ioctl_name(0x8001af85), "VHOST_GET_FORK_FROM_OWNER");
	assert_null(vhost_vdpa_ioctl_name(0));
	assert_null(vhost_vdpa_ioctl_name(0x4001af73));
}

static void arguments_print_by_field(void **state)
{
	struct vhost_vring_state vs = {1, 256};
	struct vhost_vring_file vf = {2, -1};
	struct vhost_vring_addr va = {.index = 1,
				      .flags = 1,
				      .desc_user_addr = 0x1000,
				      .used_user_addr = 0x2000,
				      .avail_user_addr = 0x3000};
	struct vhost_vdpa_iova_range range = {0, UINT64_MAX};
	uint8_t status = 0xf;
	uint64_t mask = 0x102, log = 0x7f0000001000, features = 0x304000000;
	struct env env;

	env_init(&env, &(struct recorder_options){0});
	assert_string_equal(print_ioctl(&env, VHOST_SET_VRING_NUM, &vs, false),
			    "{index=1, num=256}");
	assert_string_equal(print_ioctl(&env, VHOST_GET_VRING_BASE, &vs, false), "{index=1}");
	assert_string_equal(print_ioctl(&env, VHOST_GET_VRING_BASE, &vs, true),
			    "{index=1, num=256}");
	assert_string_equal(print_ioctl(&env, VHOST_SET_VRING_CALL, &vf, false),
			    "{index=2, fd=-1}");
	assert_string_equal(
		print_ioctl(&env, VHOST_SET_VRING_ADDR, &va, false),
		"{index=1, flags=0x1 LOG, desc=0x1000, used=0x2000, avail=0x3000, log=0x0}");
	assert_string_equal(print_ioctl(&env, VHOST_SET_LOG_BASE, &log, false), "[0x7f0000001000]");
	assert_string_equal(print_ioctl(&env, VHOST_SET_FEATURES, &features, false),
			    "[0x304000000 LOG_ALL]");
	assert_string_equal(print_ioctl(&env, VHOST_VDPA_SET_STATUS, &status, false),
			    "[0x0f ACKNOWLEDGE|DRIVER|DRIVER_OK|FEATURES_OK]");
	assert_string_equal(print_ioctl(&env, VHOST_SET_BACKEND_FEATURES, &mask, false),
			    "[0x102 IOTLB_MSG_V2|IOTLB_PERSIST]");
	assert_string_equal(print_ioctl(&env, VHOST_VDPA_GET_IOVA_RANGE, &range, true),
			    "{first=0x0, last=0xffffffffffffffff}");
	assert_string_equal(print_ioctl(&env, VHOST_SET_OWNER, NULL, false), "");
	assert_string_equal(print_ioctl(&env, 0x12345678, (void *)0x55, false), "0x55");
	assert_string_equal(print_ioctl(&env, VHOST_SET_VRING_NUM, (void *)16, false), "0x10");
	assert_string_equal(print_ioctl(&env, VHOST_VDPA_GET_STATUS, (void *)16, true), "0x10");
	env_fini(&env);
}

static void config_prints_its_bytes_when_they_count(void **state)
{
	struct vhost_vdpa_config *c = calloc(1, sizeof(*c) + 64);
	struct env env;

	assert_non_null(c);
	env_init(&env, &(struct recorder_options){0});
	c->off = 2;
	c->len = 3;
	memcpy(c->buf, "\x01\xff\x10", 3);
	assert_string_equal(print_ioctl(&env, VHOST_VDPA_GET_CONFIG, c, false), "{off=2, len=3}");
	assert_string_equal(print_ioctl(&env, VHOST_VDPA_GET_CONFIG, c, true),
			    "{off=2, len=3, buf=01 ff 10}");
	assert_string_equal(print_ioctl(&env, VHOST_VDPA_SET_CONFIG, c, false),
			    "{off=2, len=3, buf=01 ff 10}");
	c->len = UINT32_MAX; /* a hostile length prints a bounded piece */
	assert_non_null(strstr(print_ioctl(&env, VHOST_VDPA_SET_CONFIG, c, false), " ...}"));
	free(c);
	env_fini(&env);
}

static void messages_print_by_field(void **state)
{
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2, .asid = 1};
	struct env env;

	env_init(&env, &(struct recorder_options){0});
	msg.iotlb = (struct vhost_iotlb_msg){0x1000, 0x2000, 0x7f00, 3, VHOST_IOTLB_UPDATE};
	assert_string_equal(
		print_write(&env, &msg, sizeof(msg)),
		"{v2, asid=1, UPDATE, iova=0x1000, size=0x2000, uaddr=0x7f00, perm=rw}");
	msg.iotlb.perm = 0xff;
	msg.type = VHOST_IOTLB_MSG;
	assert_string_equal(print_write(&env, &msg, sizeof(msg)),
			    "{v1, UPDATE, iova=0x1000, size=0x2000, uaddr=0x7f00, perm=0xff}");
	msg.iotlb.type = VHOST_IOTLB_BATCH_END;
	assert_string_equal(print_write(&env, &msg, sizeof(msg)), "{v1, BATCH_END}");
	msg.iotlb.type = 200;
	msg.type = 7;
	assert_string_equal(print_write(&env, &msg, sizeof(msg)),
			    "{type=7, type=200, iova=0x1000, size=0x2000}");
	assert_string_equal(print_write(&env, (void *)16, 72), "0x10");
	for (size_t len = 0; len < 40; len++)
		assert_int_equal(strncmp(print_write(&env, &msg, len), "0x", 2), 0);
	env_fini(&env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_the_headers),
		cmocka_unit_test(arguments_print_by_field),
		cmocka_unit_test(config_prints_its_bytes_when_they_count),
		cmocka_unit_test(messages_print_by_field),
	};

	return cmocka_run_group_tests_name("vhost_vdpa-decode", tests, NULL, NULL);
}
