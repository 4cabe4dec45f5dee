// SPDX-License-Identifier: BSD-3-Clause
/* The dirty log as the session keeps it (D2): who may give one, what is set in it, and when it is
 * left alone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../guard_signals.h"
#include "base/refuse.h"
#include "env.h"

#define LOG_ALL  (1ULL << VHOST_F_LOG_ALL)
#define OFFERED  (1ULL << VIRTIO_F_VERSION_1 | ACCESS_PLATFORM | 1ULL << VIRTIO_F_RING_PACKED)
#define FEATURES (1ULL << VIRTIO_F_VERSION_1 | ACCESS_PLATFORM)
#define LOG_LEN  (2 * PAGE)

static uint8_t *bits; /* [LOG_LEN], with nothing around it */

static int make_log(void **state)
{
	char *room = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED || mprotect(room + PAGE, LOG_LEN, PROT_READ | PROT_WRITE))
		return -1;
	bits = (uint8_t *)room + PAGE;
	return 0;
}

static void open_with_log(struct env *env, uint32_t deviations)
{
	env_open(env, &(struct recorder_options){.dirty_log = true, .deviations = deviations});
	memset(bits, 0, LOG_LEN);
}

static void give_log(struct env *env)
{
	assert_int_equal(env_u64(env, VHOST_SET_LOG_BASE, (uintptr_t)bits), 0);
}

static int set_ring(struct env *env, unsigned int flags, uint64_t used, uint64_t log)
{
	struct vhost_vring_addr addr = {.index = 1,
					.flags = flags,
					.desc_user_addr = 0x1000,
					.used_user_addr = used,
					.avail_user_addr = 0x3000,
					.log_guest_addr = log};

	return env_ioctl(env, VHOST_SET_VRING_ADDR, &addr);
}

/* A running device that logs. */
static void start(struct env *env)
{
	open_with_log(env, DEFAULT);
	assert_int_equal(env_status(env, 3), 0);
	assert_int_equal(env_u64(env, VHOST_SET_FEATURES, FEATURES), 0);
	assert_int_equal(env_status(env, 0xb), 0);
	assert_int_equal(set_ring(env, 0, 0x2000, 0), 0);
	assert_int_equal(env_status(env, 0xf), 0);
	give_log(env);
	assert_int_equal(env_u64(env, VHOST_SET_FEATURES, FEATURES | LOG_ALL), 0);
	recorder_clear(env->rec);
}

static void mark(struct env *env, uint64_t first, uint64_t len)
{
	assert_non_null(env->rec->log.mark);
	env->rec->log.mark(env->rec->log.arg, first, len);
}

/* Exactly the pages @first..@last are marked; takes the marks away. */
static void expect_pages(uint64_t first, uint64_t last)
{
	for (uint64_t p = 0; p < LOG_LEN * 8; p++) {
		bool set = bits[p / 8] >> (p % 8) & 1;

		if (set != (p >= first && p <= last))
			fail_msg("page %llu is %s", (unsigned long long)p,
				 set ? "marked" : "not marked");
	}
	memset(bits, 0, LOG_LEN);
}

static void expect_none(void)
{
	expect_pages(1, 0);
}

/* ---- who ---- */

static void log_all_is_offered_where_it_works(void **state)
{
	uint64_t features;
	struct env env;

	for (int i = 0; i < 3; i++) {
		env_open(&env, &(struct recorder_options){.dirty_log = i != 1,
							  .deviations = i == 2 ? STRICT : DEFAULT});
		assert_int_equal(env_ioctl(&env, VHOST_GET_FEATURES, &features), 0);
		assert_int_equal(features, i == 0 ? OFFERED | LOG_ALL : OFFERED);
		assert_int_equal(env_u64(&env, VHOST_SET_LOG_BASE, (uintptr_t)bits),
				 i == 0 ? 0 : -ENOTTY);
		assert_int_equal(env_file(&env, VHOST_SET_LOG_FD, (uint32_t)-1, 0),
				 i == 0 ? 0 : -ENOTTY);
		env_fini(&env);
	}
}

static void parent_never_hears_of_log_all(void **state)
{
	struct env env;

	open_with_log(&env, DEFAULT);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES | LOG_ALL), 0);
	recorder_reads(env.rec, "set_driver_features(0x300000000)\n");
	env_fini(&env);
	/* in strict mode it is a bit like any other, and the device's own affair */
	open_with_log(&env, STRICT);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES | LOG_ALL), 0);
	recorder_reads(env.rec, "set_driver_features(0x304000000)\n");
	env_fini(&env);
}

static void log_commands_need_the_owner(void **state)
{
	uint64_t base = (uintptr_t)bits;
	int fd = -1;
	struct env env;

	open_with_log(&env, DEFAULT);
	env.client.mm_id = 2;
	assert_int_equal(env_ioctl(&env, VHOST_SET_LOG_BASE, &base), -EPERM);
	assert_int_equal(env_ioctl(&env, VHOST_SET_LOG_FD, &fd), -EPERM);
	env_fini(&env);
}

static void log_that_cannot_be_written_is_refused(void **state)
{
	struct env env;

	open_with_log(&env, DEFAULT);
	guard_signals_take();
	assert_int_equal(env_ioctl(&env, VHOST_SET_LOG_BASE, NULL), -EFAULT);
	assert_int_equal(env_u64(&env, VHOST_SET_LOG_BASE, (uintptr_t)bits - 1), -EFAULT);
	assert_non_null(strstr(refuse_reason(), "cannot be written"));
	assert_int_equal(env_u64(&env, VHOST_SET_LOG_BASE, UINT64_MAX), -EFAULT);
	assert_int_equal(mprotect(bits, PAGE, PROT_READ), 0);
	assert_int_equal(env_u64(&env, VHOST_SET_LOG_BASE, (uintptr_t)bits), -EFAULT);
	assert_int_equal(mprotect(bits, PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(env_u64(&env, VHOST_SET_LOG_BASE, (uintptr_t)bits), 0);
	expect_none(); /* looking leaves no mark */
	env_fini(&env);
}

/* ---- what is set ---- */

static void pages_are_marked_exactly(void **state)
{
	struct env env;

	start(&env);
	expect_none();
	mark(&env, 0, 1);
	expect_pages(0, 0);
	mark(&env, PAGE - 1, 1);
	expect_pages(0, 0);
	mark(&env, PAGE - 1, 2);
	expect_pages(0, 1);
	mark(&env, 7 * PAGE, PAGE + 1);
	expect_pages(7, 8);
	mark(&env, 3 * PAGE + 5, 30 * PAGE);
	expect_pages(3, 33);
	mark(&env, 8 * PAGE, 8 * PAGE);
	expect_pages(8, 15);
	mark(&env, (LOG_LEN * 8 - 1) * PAGE, PAGE); /* the log's last bit: nothing lies behind it */
	expect_pages(LOG_LEN * 8 - 1, LOG_LEN * 8 - 1);
	env_fini(&env);
}

static void bits_of_others_stay(void **state)
{
	struct env env;

	start(&env);
	bits[0] = 0x81;
	mark(&env, 3 * PAGE, 1);
	assert_int_equal(bits[0], 0x89);
	env_fini(&env);
}

static void marks_beyond_the_log_cost_the_log_alone(void **state)
{
	static const uint64_t beyond[] = {LOG_LEN * 8 * PAGE, 1ULL << 60, UINT64_MAX};
	struct env env;

	for (size_t i = 0; i < ARRAY_LEN(beyond); i++) {
		start(&env);
		guard_signals_take();
		mark(&env, beyond[i], 1);
		mark(&env, 0, 1); /* given up */
		expect_none();
		give_log(&env); /* a new one works */
		mark(&env, PAGE, 1);
		expect_pages(1, 1);
		env_fini(&env);
	}
}

static void log_eventfd_is_signalled_for_pages_that_become_dirty(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), none = -1, pipes[2];
	struct env env;

	assert_true(fd >= 0);
	assert_int_equal(pipe(pipes), 0);
	start(&env);
	assert_int_equal(env_ioctl(&env, VHOST_SET_LOG_FD, &pipes[0]), -EINVAL);
	assert_int_equal(env_ioctl(&env, VHOST_SET_LOG_FD, NULL), -EFAULT);
	assert_int_equal(env_ioctl(&env, VHOST_SET_LOG_FD, &fd), 0);
	mark(&env, 0, 3 * PAGE);
	assert_int_equal(fd_take(fd), 1);
	mark(&env, PAGE, 1);
	assert_int_equal(fd_take(fd), 0);
	mark(&env, PAGE, 3 * PAGE);
	assert_int_equal(fd_take(fd), 1);
	expect_pages(0, 3);
	give_log(&env); /* it serves the next log, too */
	mark(&env, 0, 1);
	assert_int_equal(fd_take(fd), 1);
	assert_int_equal(env_ioctl(&env, VHOST_SET_LOG_FD, &none), 0);
	mark(&env, PAGE, 1);
	assert_int_equal(fd_take(fd), 0);
	expect_pages(0, 1);
	assert_int_equal(env_ioctl(&env, VHOST_SET_LOG_FD, &fd), 0);
	env_fini(&env);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- when ---- */

static void log_all_is_toggled_while_the_device_runs(void **state)
{
	struct env env;

	open_with_log(&env, DEFAULT);
	assert_int_equal(env_status(&env, 3), 0);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES), 0);
	assert_int_equal(env_status(&env, 0xb), 0);
	assert_int_equal(set_ring(&env, 0, 0x2000, 0), 0);
	assert_int_equal(env_status(&env, 0xf), 0);
	recorder_clear(env.rec);
	give_log(&env);
	recorder_reads(env.rec, ""); /* not before LOG_ALL */
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES | LOG_ALL), 0);
	assert_int_equal(env_status(&env, 0xf), 0);
	assert_int_equal(set_ring(&env, 1, 0x2000, 0x7000), 0);
	recorder_reads(env.rec, "set_dirty_log(log)\n"
				"set_status(0xf)\n"
				"set_vq_log_addr(1, 1, 0x7000)\n");
	/* again: nothing changes */
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES | LOG_ALL), 0);
	recorder_reads(env.rec, "");
	/* and off */
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES), 0);
	assert_int_equal(set_ring(&env, 0, 0x2000, 0), 0);
	recorder_reads(env.rec, "set_dirty_log(none)\n"
				"set_vq_log_addr(1, 0, 0x0)\n");
	env_fini(&env);
}

static void nothing_but_log_all_changes_after_features_ok(void **state)
{
	struct env env;

	start(&env);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, OFFERED | LOG_ALL), -EBUSY);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, OFFERED), -EBUSY);
	assert_int_equal(env_ioctl(&env, VHOST_SET_FEATURES, NULL), -EBUSY); /* [1-7] */
	recorder_reads(env.rec, "");
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES), 0);
	recorder_reads(env.rec, "set_dirty_log(none)\n");
	/* not logging, and it stays so: as ever */
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES), -EBUSY);
	env_fini(&env);
}

static void log_all_without_a_log_is_refused_while_running(void **state)
{
	struct env env;

	start(&env);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES), 0);
	/* the log went with LOG_ALL */
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES | LOG_ALL), -EINVAL);
	assert_non_null(strstr(refuse_reason(), "SET_LOG_BASE"));
	give_log(&env);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES | LOG_ALL), 0);
	mark(&env, 0, 1);
	expect_pages(0, 0);
	env_fini(&env);
}

/* A client that starts its device while it logs already. */
static void log_all_may_come_before_the_log_at_start(void **state)
{
	struct env env;

	open_with_log(&env, DEFAULT);
	assert_int_equal(env_status(&env, 3), 0);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES | LOG_ALL), 0);
	assert_int_equal(env_status(&env, 0xb), 0);
	assert_int_equal(set_ring(&env, 1, 0x2000, 0x2000), 0);
	recorder_clear(env.rec);
	give_log(&env);
	assert_int_equal(env_status(&env, 0xf), 0);
	recorder_reads(env.rec, "set_dirty_log(log)\nset_status(0xf)\n");
	env_fini(&env);
}

static void running_ring_may_be_logged_elsewhere_but_not_move(void **state)
{
	struct env env;

	start(&env);
	assert_int_equal(set_ring(&env, 1, 0x2004, 0x7000), -EINVAL);
	assert_int_equal(set_ring(&env, 1, 0x2004, 0x7000), -EINVAL); /* nor by saying it twice */
	assert_int_equal(set_ring(&env, 3, 0x2000, 0x7000), -EOPNOTSUPP);
	assert_int_equal(set_ring(&env, 1, 0x2000, 0x7002), -EINVAL);
	recorder_reads(env.rec, "");
	assert_int_equal(set_ring(&env, 0, 0x2000, 0),
			 -EINVAL); /* it was not logged and will not be */
	recorder_reads(env.rec, "");
	assert_int_equal(set_ring(&env, 1, 0x2000, 0x7000), 0);
	recorder_reads(env.rec, "set_vq_log_addr(1, 1, 0x7000)\n");
	env_fini(&env);
}

static void new_log_replaces_the_old_one(void **state)
{
	static uint8_t other[LOG_LEN];
	struct env env;

	start(&env);
	memset(other, 0, sizeof(other));
	assert_int_equal(env_u64(&env, VHOST_SET_LOG_BASE, (uintptr_t)other), 0);
	recorder_reads(env.rec, "set_dirty_log(log)\n");
	mark(&env, PAGE, 1);
	assert_int_equal(other[0], 2);
	expect_none();
	assert_int_equal(env_u64(&env, VHOST_SET_LOG_BASE, 0), 0); /* no log at all */
	recorder_reads(env.rec, "set_dirty_log(none)\n");
	env_fini(&env);
}

static void reset_takes_the_log_away_after_the_device_stopped(void **state)
{
	struct env env;

	start(&env);
	env.rec->quiet = true;
	assert_int_equal(env_status(&env, 0), 0);
	assert_null(env.rec->log.mark);
	env_fini(&env);

	start(&env);
	assert_int_equal(set_ring(&env, 1, 0x2000, 0x7000), 0);
	recorder_clear(env.rec);
	assert_int_equal(env_status(&env, 0), 0);
	assert_non_null(strstr(env.rec->record, "reset()\nset_dirty_log(none)\n"));
	recorder_clear(env.rec);
	/* the log, LOG_ALL and the log address are gone */
	assert_int_equal(env_status(&env, 3), 0);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES), 0);
	assert_int_equal(env_status(&env, 0xf), 0);
	assert_int_equal(env_u64(&env, VHOST_SET_FEATURES, FEATURES | LOG_ALL), -EINVAL);
	env_fini(&env);
}

static void close_takes_the_log_away(void **state)
{
	struct env env;

	start(&env);
	vhost_vdpa_release(env.s);
	env.s = NULL;
	assert_null(env.rec->log.mark);
	assert_non_null(strstr(env.rec->record, "reset()\nset_dirty_log(none)\n"));
	env_fini(&env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_all_is_offered_where_it_works),
		cmocka_unit_test(parent_never_hears_of_log_all),
		cmocka_unit_test(log_commands_need_the_owner),
		cmocka_unit_test(log_that_cannot_be_written_is_refused),
		cmocka_unit_test(pages_are_marked_exactly),
		cmocka_unit_test(bits_of_others_stay),
		cmocka_unit_test(marks_beyond_the_log_cost_the_log_alone),
		cmocka_unit_test(log_eventfd_is_signalled_for_pages_that_become_dirty),
		cmocka_unit_test(log_all_is_toggled_while_the_device_runs),
		cmocka_unit_test(nothing_but_log_all_changes_after_features_ok),
		cmocka_unit_test(log_all_without_a_log_is_refused_while_running),
		cmocka_unit_test(log_all_may_come_before_the_log_at_start),
		cmocka_unit_test(running_ring_may_be_logged_elsewhere_but_not_move),
		cmocka_unit_test(new_log_replaces_the_old_one),
		cmocka_unit_test(reset_takes_the_log_away_after_the_device_stopped),
		cmocka_unit_test(close_takes_the_log_away),
	};

	if (guard_signals_install())
		return 1;
	return cmocka_run_group_tests_name("vhost_vdpa-log", tests, make_log, NULL);
}
