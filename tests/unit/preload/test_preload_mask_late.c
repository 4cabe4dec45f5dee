// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client of libc alone, whose threads and handlers block all signals, as QEMU's do. Then it loads
 * code that makes calls past libc, and those threads call it.
 *
 * Usage: test_preload_mask_late PLUGIN WAY	as raw_way.c starts it
 */
#include "client.h"

#include <pthread.h>
#include <signal.h>

#define NR_THREADS 4

typedef int (*plugin_ioctl_fn)(int fd, unsigned long cmd, void *arg);

static const char *plugin_path;
static plugin_ioctl_fn plugin_ioctl;
static int node;
static pthread_barrier_t stage;
static volatile sig_atomic_t nr_right;

static void count_call(int sig)
{
	uint8_t status;

	nr_right += plugin_ioctl(node, VHOST_VDPA_GET_STATUS, &status) == 0;
}

static bool is_blocked(void)
{
	sigset_t set;

	sigemptyset(&set);
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, SIGSYS) && sigismember(&set, SIGUSR2);
}

static void *block_and_call(void *arg)
{
	sigset_t all;
	uint8_t status;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	pthread_barrier_wait(&stage); /* blocked */
	pthread_barrier_wait(&stage); /* loaded */
	return is_blocked() && plugin_ioctl(node, VHOST_VDPA_GET_STATUS, &status) == 0 ? arg : NULL;
}

static void threads_and_handlers_from_before_make_calls(void **state)
{
	struct sigaction act = {.sa_handler = count_call};
	pthread_t threads[NR_THREADS];
	void *plugin, *result;
	sigset_t all, before;
	uint8_t status;

	sigfillset(&act.sa_mask);
	sigaction(SIGUSR1, &act, NULL);
	pthread_barrier_init(&stage, NULL, NR_THREADS + 1);
	for (int i = 0; i < NR_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, block_and_call, &node), 0);
	pthread_barrier_wait(&stage);
	plugin = dlopen(plugin_path, RTLD_NOW);
	assert_non_null(plugin);
	*(void **)&plugin_ioctl = dlsym(plugin, "plugin_ioctl");
	/* the thread that opens blocks all, too */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	node = open_node();
	assert_true(is_blocked());
	assert_int_equal(plugin_ioctl(node, VHOST_VDPA_GET_STATUS, &status), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_barrier_wait(&stage);
	for (int i = 0; i < NR_THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, &node);
	}
	raise(SIGUSR1);
	assert_int_equal(nr_right, 1);
	close(node);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_and_handlers_from_before_make_calls),
	};

	plugin_path = argv[1];
	return cmocka_run_group_tests_name(argv[2], tests, NULL, NULL);
}
