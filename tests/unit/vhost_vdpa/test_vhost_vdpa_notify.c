// SPDX-License-Identifier: BSD-3-Clause
/* Eventfds: kicks reach the parent, calls reach the client, and neither outlives its
 * replacement. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/worker.h"
#include "env.h"

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static int nr_open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A client without descriptors left hears just that, and keeps what it had. */
static void no_descriptor_left_is_emfile(void **state)
{
	struct rlimit limit, none;
	int first, second, lowest;
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	first = new_eventfd();
	second = new_eventfd();
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 0, first), 0);
	recorder_clear(env.rec);
	lowest = dup(first);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 0, second), -EMFILE);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 0, second), -EMFILE);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG_CALL, &second), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	recorder_reads(env.rec, "");
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 0, second), 0);
	close(first);
	close(second);
	env_fini(&env);
}

static void fds_are_checked_alike(void **state)
{
	static const unsigned int cmds[] = {VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL,
					    VHOST_SET_VRING_ERR};
	int pipes[2], bad, before;
	struct env env;

	assert_int_equal(pipe(pipes), 0);
	env_open(&env, &(struct recorder_options){0});
	before = nr_open_fds();
	for (size_t i = 0; i < ARRAY_LEN(cmds); i++) {
		assert_int_equal(env_file(&env, cmds[i], 0, 999), -EBADF);
		assert_int_equal(env_file(&env, cmds[i], 0, -2), -EBADF);
		assert_int_equal(env_file(&env, cmds[i], 0, INT32_MIN), -EBADF);
		assert_int_equal(env_file(&env, cmds[i], 0, pipes[0]), -EINVAL);
		assert_int_equal(env_file(&env, cmds[i], 0, -1), 0);
	}
	recorder_clear(env.rec);
	bad = 999;
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG_CALL, &bad), -EBADF);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG_CALL, &pipes[1]), -EINVAL);
	recorder_reads(env.rec, ""); /* on error nothing changes */
	assert_int_equal(nr_open_fds(), before);
	env_fini(&env);
	close(pipes[0]);
	close(pipes[1]);
}

static void kick_reaches_the_parent(struct worker *worker)
{
	int fd = new_eventfd(), second = new_eventfd();
	struct env env;

	env_open(&env, &(struct recorder_options){.worker = worker});
	signal_fd(fd); /* signalled already: kicks at once */
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 1, fd), 0);
	assert_true(fd_wait(env.rec->kick_fd[1]));
	fd_take(env.rec->kick_fd[1]);
	for (int i = 0; i < 100; i++) {
		signal_fd(fd);
		assert_true(fd_wait(env.rec->kick_fd[1]));
		fd_take(env.rec->kick_fd[1]);
	}
	/* replaced: the old one kicks no more */
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 1, second), 0);
	signal_fd(fd);
	signal_fd(second);
	assert_true(fd_wait(env.rec->kick_fd[1]));
	assert_int_equal(fd_take(env.rec->kick_fd[1]), 1);
	/* a reset keeps it, [4-7] */
	assert_int_equal(env_status(&env, 0), 0);
	signal_fd(second);
	assert_true(fd_wait(env.rec->kick_fd[1]));
	fd_take(env.rec->kick_fd[1]);
	/* never consumed: 100 and two before it */
	assert_int_equal(fd_take(fd), 102);
	/* unbound; a kick of another queue shows that the worker went past it */
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 1, -1), 0);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 0, fd), 0);
	signal_fd(second);
	signal_fd(fd);
	assert_true(fd_wait(env.rec->kick_fd[0]));
	assert_int_equal(fd_take(env.rec->kick_fd[1]), 0);
	env_fini(&env);
	close(fd);
	close(second);
}

static void kick_reaches_the_parent_by_the_sessions_worker(void **state)
{
	kick_reaches_the_parent(NULL);
}

static void kick_reaches_the_parent_by_its_own_worker(void **state)
{
	struct worker *worker;

	assert_int_equal(worker_create("own", NULL, NULL, &worker), 0);
	kick_reaches_the_parent(worker);
	worker_destroy(worker);
}

static void kick_of_an_almost_full_counter_is_polled(void **state)
{
	uint64_t full = UINT64_MAX - 1;
	int fd = new_eventfd();
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	/* at the largest count that write allows it is readable, not in error */
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 0, fd), 0);
	assert_true(fd_wait(env.rec->kick_fd[0]));
	env_fini(&env);
	close(fd);
}

static void kicks_end_with_the_session(void **state)
{
	int fd = new_eventfd(), before = nr_open_fds();
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 0, fd), 0);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 0, fd), 0);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_ERR, 0, fd), 0);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG_CALL, &fd), 0);
	vhost_vdpa_release(env.s);
	env.s = NULL;
	signal_fd(fd);
	assert_int_equal(fd_take(env.rec->kick_fd[0]), 0);
	env_fini(&env);
	assert_int_equal(nr_open_fds(), before); /* no descriptor is left */
	close(fd);
}

static void call_reaches_the_client_until_replaced(void **state)
{
	int first = new_eventfd(), second = new_eventfd();
	struct vdpa_callback cb;
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = STRICT});
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 2, first), 0);
	cb = env.rec->vqs[2].cb;
	cb.fn(cb.arg);
	assert_int_equal(fd_take(first), 1);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 2, second), 0);
	cb = env.rec->vqs[2].cb;
	cb.fn(cb.arg);
	cb.fn(cb.arg);
	assert_int_equal(fd_take(first), 0);
	assert_int_equal(fd_take(second), 2);
	recorder_clear(env.rec);
	assert_int_equal(env_status(&env, 0), 0);
	recorder_reads(env.rec, "reset()\n"); /* [4-8]: the client must set it again */
	assert_null(env.rec->vqs[2].cb.fn);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 2, second), 0);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 2, -1), 0);
	recorder_reads(env.rec, "set_vq_cb(2, fn)\nset_vq_cb(2, none)\n");
	env_fini(&env);
	close(first);
	close(second);
}

static void config_call_reaches_the_client(void **state)
{
	int fd = new_eventfd(), none = -1;
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG_CALL, &fd), 0);
	env.rec->config_cb.fn(env.rec->config_cb.arg);
	assert_int_equal(fd_take(fd), 1);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG_CALL, &none), 0);
	recorder_reads(env.rec, "set_config_cb(fn)\nset_config_cb(none)\n");
	env_fini(&env);
	close(fd);
}

/* Clients set the same eventfds at every start: nothing is lost, doubled or leaked by that. */
static void eventfds_set_again_stay_as_they_are(void **state)
{
	int fd = new_eventfd(), call = new_eventfd(), before;
	struct vdpa_callback cb;
	struct env env;

	env_open(&env, &(struct recorder_options){.deviations = STRICT});
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 0, fd), 0);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 0, call), 0);
	assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG_CALL, &call), 0);
	/* the kicker's thread has started and closed what it read at its start */
	signal_fd(fd);
	assert_true(fd_wait(env.rec->kick_fd[0]));
	fd_take(env.rec->kick_fd[0]);
	fd_take(fd);
	before = nr_open_fds();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(env_status(&env, 0), 0);
		recorder_clear(env.rec);
		assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 0, fd), 0);
		assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 0, call), 0);
		assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG_CALL, &call), 0);
		/* the parent forgot its callbacks at the reset and gets them each time */
		recorder_reads(env.rec, "set_vq_cb(0, fn)\nset_config_cb(fn)\n");
		cb = env.rec->vqs[0].cb;
		cb.fn(cb.arg);
		assert_int_equal(fd_take(call), 1);
		signal_fd(fd);
		assert_true(fd_wait(env.rec->kick_fd[0]));
		fd_take(env.rec->kick_fd[0]);
		assert_int_equal(fd_take(fd), 1);
	}
	assert_int_equal(nr_open_fds(), before);
	/* one that is signalled kicks, also when it is set again */
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 0, -1), 0);
	signal_fd(fd);
	assert_int_equal(env_file(&env, VHOST_SET_VRING_KICK, 0, fd), 0);
	assert_true(fd_wait(env.rec->kick_fd[0]));
	env_fini(&env);
	close(fd);
	close(call);
}

/* The client may close its own descriptor: the session has a duplicate. */
static void call_survives_the_clients_close(void **state)
{
	int fd = new_eventfd(), kept = dup(fd);
	struct vdpa_callback cb;
	struct env env;

	env_open(&env, &(struct recorder_options){0});
	assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 0, fd), 0);
	close(fd);
	cb = env.rec->vqs[0].cb;
	cb.fn(cb.arg);
	assert_int_equal(fd_take(kept), 1);
	close(kept);
	env_fini(&env);
}

/* A running device with ring 0 in page @at of the client's memory, and its call eventfd. */
static int start_ring(struct env *env, uint64_t at)
{
	struct vhost_vring_addr addr = {.index = 0,
					.desc_user_addr = at,
					.avail_user_addr = at + 1024,
					.used_user_addr = at + 2048};
	int fd = new_eventfd();

	assert_int_equal(env_ioctl(env, VHOST_SET_VRING_ADDR, &addr), 0);
	assert_int_equal(env_file(env, VHOST_SET_VRING_CALL, 0, fd), 0);
	assert_int_equal(env_state(env, VHOST_VDPA_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(env_status(env, 0xf), 0);
	return fd;
}

static void call_of_a_ring_that_is_unmapped_waits_until_it_is_back(void **state)
{
	static const enum vdpa_mapping mappings[] = {VDPA_MAPPING_SET_MAP, VDPA_MAPPING_DMA_MAP,
						     VDPA_MAPPING_PLATFORM};
	struct env env;
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(mappings); i++) {
		env_open(&env,
			 &(struct recorder_options){.mapping = mappings[i], .deviations = DEFAULT});
		assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
		assert_int_equal(env_map(&env, 0x10000, PAGE, env.shared), 72);
		fd = start_ring(&env, 0x1000);
		signal_fd(fd);
		assert_int_equal(env_unmap(&env, 0x10000, PAGE), 72); /* not the ring's */
		assert_int_equal(fd_take(fd), 1);
		signal_fd(fd);
		assert_int_equal(env_unmap(&env, 0x1000, PAGE), 72);
		assert_int_equal(fd_take(fd), 0);
		assert_int_equal(env_map(&env, 0x10000, PAGE, env.shared), 72);
		assert_int_equal(fd_take(fd), 0);
		assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
		assert_int_equal(fd_take(fd), 1);
		/* nothing was taken, nothing is given */
		assert_int_equal(env_unmap(&env, 0x1000, PAGE), 72);
		assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
		assert_int_equal(fd_take(fd), 0);
		env_fini(&env);
		close(fd);
	}
}

static void call_of_a_ring_that_moves_in_a_batch_stays(void **state)
{
	struct env env;
	int fd;

	env_open(&env, &(struct recorder_options){.deviations = DEFAULT});
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
	fd = start_ring(&env, 0x1000);
	signal_fd(fd);
	assert_int_equal(env_begin(&env), 72);
	assert_int_equal(env_unmap(&env, 0x1000, PAGE), 72);
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared + PAGE), 72);
	assert_int_equal(env_end(&env), 72);
	assert_int_equal(fd_take(fd), 1);
	signal_fd(fd);
	assert_int_equal(env_begin(&env), 72);
	assert_int_equal(env_unmap(&env, 0x1000, PAGE), 72);
	assert_int_equal(env_end(&env), 72);
	assert_int_equal(fd_take(fd), 0);
	/* a reset settles it: the client sets its eventfds again */
	assert_int_equal(env_status(&env, 0), 0);
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
	assert_int_equal(fd_take(fd), 0);
	env_fini(&env);
	close(fd);
}

static void call_stays_where_the_ring_is_in_another_space_or_stopped_or_strict(void **state)
{
	struct env env;
	int fd;

	/* the ring is in address space 1, and so is another mapping at the same iova in 0 */
	env_open(&env, &(struct recorder_options){.deviations = DEFAULT, .desc_group = true});
	assert_int_equal(env_u64(&env, VHOST_SET_BACKEND_FEATURES, BACKEND_MSG_V2 | BACKEND_ASID),
			 0);
	assert_int_equal(env_state(&env, VHOST_VDPA_SET_GROUP_ASID, 1, 1), 0);
	assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
	assert_int_equal(
		env_msg(&env, 1, VHOST_IOTLB_UPDATE, 0x1000, PAGE, env.shared, VHOST_ACCESS_RW),
		72);
	fd = start_ring(&env, 0x1000);
	signal_fd(fd);
	assert_int_equal(env_unmap(&env, 0x1000, PAGE), 72);
	assert_int_equal(fd_take(fd), 1);
	signal_fd(fd);
	assert_int_equal(env_msg(&env, 1, VHOST_IOTLB_INVALIDATE, 0x1000, PAGE, NULL, 0), 72);
	assert_int_equal(fd_take(fd), 0);
	env_fini(&env);
	close(fd);

	for (int strict = 0; strict < 2; strict++) {
		env_open(&env, &(struct recorder_options){.deviations = strict ? STRICT : DEFAULT});
		assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
		fd = start_ring(&env, 0x1000);
		if (!strict)
			assert_int_equal(env_status(&env, 0), 0);
		signal_fd(fd);
		assert_int_equal(env_unmap(&env, 0x1000, PAGE), 72);
		assert_int_equal(fd_take(fd), 1);
		env_fini(&env);
		close(fd);
	}
}

/* What is in an eventfd may be of whoever else signals it, and a ring that never ran has signalled
 * nothing. */
static void call_of_an_unmapped_ring_stays_where_others_use_it(void **state)
{
	enum { RUNS_TOO, UNMAPPED_TOO, CONFIG, NEVER_RAN, NR_CASES };
	struct env env;
	int fd;

	for (int i = 0; i < NR_CASES; i++) {
		struct vhost_vring_addr addr = {.index = 1,
						.desc_user_addr = 0x3000,
						.avail_user_addr = 0x3400,
						.used_user_addr = 0x3800};

		env_open(&env, &(struct recorder_options){.deviations = DEFAULT});
		assert_int_equal(env_map(&env, 0x1000, PAGE, env.shared), 72);
		assert_int_equal(env_map(&env, 0x3000, PAGE, env.shared), 72);
		fd = start_ring(&env, 0x1000);
		if (i == CONFIG) {
			assert_int_equal(env_ioctl(&env, VHOST_VDPA_SET_CONFIG_CALL, &fd), 0);
		} else {
			assert_int_equal(env_status(&env, 0), 0);
			assert_int_equal(env_ioctl(&env, VHOST_SET_VRING_ADDR, &addr), 0);
			assert_int_equal(env_file(&env, VHOST_SET_VRING_CALL, 1, fd), 0);
			assert_int_equal(
				env_state(&env, VHOST_VDPA_SET_VRING_ENABLE, 1, i != NEVER_RAN), 0);
			assert_int_equal(
				env_state(&env, VHOST_VDPA_SET_VRING_ENABLE, 0, i != NEVER_RAN), 0);
			assert_int_equal(env_status(&env, 0xf), 0);
		}
		if (i == UNMAPPED_TOO)
			assert_int_equal(env_unmap(&env, 0x3000, PAGE), 72);
		signal_fd(fd);
		assert_int_equal(env_unmap(&env, 0x1000, PAGE), 72);
		assert_int_equal(fd_take(fd), i == UNMAPPED_TOO ? 0 : 1);
		env_fini(&env);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fds_are_checked_alike),
		cmocka_unit_test(kick_reaches_the_parent_by_the_sessions_worker),
		cmocka_unit_test(kick_reaches_the_parent_by_its_own_worker),
		cmocka_unit_test(kick_of_an_almost_full_counter_is_polled),
		cmocka_unit_test(kicks_end_with_the_session),
		cmocka_unit_test(call_reaches_the_client_until_replaced),
		cmocka_unit_test(no_descriptor_left_is_emfile),
		cmocka_unit_test(config_call_reaches_the_client),
		cmocka_unit_test(eventfds_set_again_stay_as_they_are),
		cmocka_unit_test(call_survives_the_clients_close),
		cmocka_unit_test(call_of_a_ring_that_is_unmapped_waits_until_it_is_back),
		cmocka_unit_test(call_of_a_ring_that_moves_in_a_batch_stays),
		cmocka_unit_test(call_of_an_unmapped_ring_stays_where_others_use_it),
		cmocka_unit_test(
			call_stays_where_the_ring_is_in_another_space_or_stopped_or_strict),
	};

	return cmocka_run_group_tests_name("vhost_vdpa-notify", tests, NULL, NULL);
}
