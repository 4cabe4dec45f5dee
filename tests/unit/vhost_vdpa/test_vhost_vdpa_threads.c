// SPDX-License-Identifier: BSD-3-Clause
/*
 * Several client threads on one session while its device is unbound and bound again, and kicks and
 * calls run: every call gives a result of the specification or ENODEV, and nothing is left. Most
 * worth under the thread sanitizer.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "env.h"

#define NR_CLIENTS 3
#define NR_ROUNDS  40
#define NR_STEPS   200

struct client {
	struct env *env;
	int fd;
	uint64_t iova; /* each thread has a page of its own */
	unsigned int nr_done, nr_gone;
	bool wrong;
};

static void note(struct client *c, long got, long good)
{
	if (got == good)
		c->nr_done++;
	else if (got == -ENODEV)
		c->nr_gone++;
	else
		c->wrong = true;
}

/* One round of calls that all succeed, as long as the device is there. */
static void one_step(struct client *c)
{
	struct env *env = c->env;
	uint64_t one = 1, features;

	note(c, env_file(env, VHOST_SET_VRING_KICK, 0, c->fd), 0);
	note(c, env_file(env, VHOST_SET_VRING_CALL, 0, c->fd), 0);
	if (write(c->fd, &one, sizeof(one)) != sizeof(one))
		c->wrong = true;
	note(c, env_map(env, c->iova, PAGE, env->shared), 72);
	note(c, env_ioctl(env, VHOST_GET_FEATURES, &features), 0);
	note(c, env_unmap(env, c->iova, PAGE), 72);
	note(c, env_status(env, 0), 0);
}

static void *run_client(void *arg)
{
	struct client *c = arg;

	for (int i = 0; i < NR_STEPS; i++)
		one_step(c);
	return NULL;
}

static void run_round(struct env *env, bool unbind)
{
	struct client clients[NR_CLIENTS];
	pthread_t threads[NR_CLIENTS];

	for (int i = 0; i < NR_CLIENTS; i++) {
		clients[i] = (struct client){.env = env,
					     .fd = eventfd(0, EFD_CLOEXEC),
					     .iova = (uint64_t)(i + 1) * 0x10000};
		assert_true(clients[i].fd >= 0);
		assert_int_equal(pthread_create(&threads[i], NULL, run_client, &clients[i]), 0);
	}
	if (unbind) {
		assert_int_equal(vdpa_unbind_force(&env->rec->dev), 0);
		assert_int_equal(vdpa_bind(&env->rec->dev, "vhost_vdpa"), 0);
	}
	for (int i = 0; i < NR_CLIENTS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		close(clients[i].fd);
		assert_false(clients[i].wrong);
		if (!unbind)
			assert_int_equal(clients[i].nr_gone, 0);
	}
}

static void calls_from_many_threads_survive_the_loss_of_the_device(void **state)
{
	struct env env;

	env_open(&env, &(struct recorder_options){.memory = MEMORY_PINNED, .deviations = DEFAULT});
	env.rec->quiet = true;
	for (int round = 0; round < NR_ROUNDS; round++) {
		run_round(&env, round % 2);
		if (round % 2 == 0)
			continue;
		vhost_vdpa_release(env.s);
		assert_int_equal(memory_charged_pages(env.space), 0);
		assert_int_equal(vhost_vdpa_open(&env.rec->dev, &env.s), 0);
		assert_int_equal(env_ioctl(&env, VHOST_SET_OWNER, NULL), 0);
	}
	env_fini(&env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_from_many_threads_survive_the_loss_of_the_device),
	};

	return cmocka_run_group_tests_name("vhost_vdpa-threads", tests, NULL, NULL);
}
