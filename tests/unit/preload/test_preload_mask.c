// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client that blocks SIGSYS, in each way there is, and makes calls past libc: they are answered
 * where SIGSYS is what catches them, too, and the client sees the masks and the handlers that it
 * has set.
 *
 * Usage: test_preload_mask WAY	as raw_way.c starts it
 *        test_preload_mask blocked	the program that another one has started with SIGSYS blocked
 */
#include "client.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>

#include "raw_calls.h"

/* sigblock(3) and its like are what is tested. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define SET_LEN 8

/* As rt_sigaction(2) has it. */
struct kernel_action {
	void (*handler)(int sig);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static char *self;
static int node = -1;
static int (*get_mask)(void); /* siggetmask(3), at which the linker warns */
static volatile sig_atomic_t nr_right, nr_sigsys;

static void count_call(int sig)
{
	uint8_t status;

	nr_right += raw_ioctl(node, VHOST_VDPA_GET_STATUS, &status) == 0;
}

static void count_sigsys(int sig)
{
	nr_sigsys++;
}

static void assert_call_is_answered(void)
{
	nr_right = 0;
	count_call(0);
	assert_int_equal(nr_right, 1);
}

static bool is_blocked_by_libc(void)
{
	sigset_t set;

	sigemptyset(&set);
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, SIGSYS);
}

static bool is_blocked_by_kernel(void)
{
	uint64_t set = 0;

	assert_int_equal(RAW6(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &set, SET_LEN, 0, 0), 0);
	return set >> (SIGSYS - 1) & 1;
}

static void assert_blocked(bool expected)
{
	assert_int_equal(is_blocked_by_libc(), expected);
	assert_int_equal(is_blocked_by_kernel(), expected);
	assert_int_equal((uint32_t)get_mask() >> (SIGSYS - 1) & 1, expected);
	assert_call_is_answered();
}

static sigset_t all_but(int sig)
{
	sigset_t set;

	sigfillset(&set);
	if (sig)
		sigdelset(&set, sig);
	return set;
}

static sigset_t only(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}

static void unblock_all(void)
{
	sigset_t none;

	sigemptyset(&none);
	assert_int_equal(sigprocmask(SIG_SETMASK, &none, NULL), 0);
	assert_blocked(false);
}

/* ---- the thread's own mask ---- */

static void sigsys_that_is_blocked_by_libc_catches_all_the_same(void **state)
{
	const sigset_t all = all_but(0), sys = only(SIGSYS);
	sigset_t old, before;

	assert_blocked(false);
	assert_int_equal(sigprocmask(SIG_BLOCK, &all, &before), 0);
	assert_blocked(true);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, &old), 0);
	for (int sig = 1; sig < 32; sig++)
		assert_int_equal(sigismember(&old, sig), sig != SIGKILL && sig != SIGSTOP);
	assert_blocked(false);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
	assert_blocked(true);
	assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &sys, NULL), 0);
	assert_blocked(false);
	assert_int_equal(sigprocmask(SIG_BLOCK, &sys, NULL), 0);
	assert_int_equal(sigprocmask(SIG_BLOCK, (sigset_t[]){only(SIGUSR1)}, NULL), 0);
	assert_int_equal(sigprocmask(SIG_UNBLOCK, (sigset_t[]){only(SIGUSR1)}, NULL), 0);
	assert_blocked(true);
	unblock_all();
}

static void sigsys_that_is_blocked_by_old_calls_catches_all_the_same(void **state)
{
	assert_int_equal(sighold(SIGSYS), 0);
	assert_blocked(true);
	assert_int_equal(sigrelse(SIGSYS), 0);
	assert_blocked(false);
	assert_true(sigset(SIGSYS, count_sigsys) != SIG_HOLD);
	assert_true(sigset(SIGSYS, SIG_HOLD) == count_sigsys);
	assert_blocked(true);
	assert_true(sigset(SIGSYS, SIG_DFL) == SIG_HOLD);
	assert_blocked(false);
	assert_int_equal((uint32_t)sigblock(1 << (SIGSYS - 1)) >> (SIGSYS - 1) & 1, 0);
	assert_blocked(true);
	assert_int_equal((uint32_t)sigsetmask(0) >> (SIGSYS - 1) & 1, 1);
	assert_blocked(false);
	sigsetmask(-1);
	assert_blocked(true);
	unblock_all();
}

static void sigsys_that_is_blocked_past_libc_catches_all_the_same(void **state)
{
	uint64_t all = UINT64_MAX, none = 0, old;

	assert_int_equal(RAW6(SYS_rt_sigprocmask, SIG_BLOCK, &all, &old, SET_LEN, 0, 0), 0);
	assert_int_equal(old >> (SIGSYS - 1) & 1, 0);
	assert_blocked(true);
	assert_int_equal(RAW6(SYS_rt_sigprocmask, SIG_SETMASK, &none, &old, SET_LEN, 0, 0), 0);
	assert_int_equal(old, ~(1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1)));
	assert_blocked(false);
	assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, SET_LEN), 0);
	assert_blocked(true);
	assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &all, NULL, SET_LEN), 0);
	assert_blocked(false);
}

static void wrong_masks_get_the_kernels_answer(void **state)
{
	uint64_t set = UINT64_MAX;

	assert_int_equal(RAW6(SYS_rt_sigprocmask, SIG_BLOCK, 8, NULL, SET_LEN, 0, 0), -EFAULT);
	assert_int_equal(RAW6(SYS_rt_sigprocmask, SIG_BLOCK, NULL, 8, SET_LEN, 0, 0), -EFAULT);
	assert_int_equal(RAW6(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 128, 0, 0), -EINVAL);
	assert_int_equal(RAW6(SYS_rt_sigprocmask, 77, &set, NULL, SET_LEN, 0, 0), -EINVAL);
	assert_int_equal(RAW6(SYS_ppoll, NULL, 0, NULL, 8, SET_LEN, 0), -EFAULT);
	assert_int_equal(RAW6(SYS_pselect6, 0, NULL, NULL, NULL, NULL, 8), -EFAULT);
	assert_int_equal(RAW6(SYS_rt_sigsuspend, 8, SET_LEN, 0, 0, 0, 0), -EFAULT);
	assert_int_equal(RAW6(SYS_rt_sigaction, SIGSYS, 8, NULL, SET_LEN, 0, 0), -EFAULT);
	assert_int_equal(RAW6(SYS_rt_sigaction, SIGSYS, NULL, 8, SET_LEN, 0, 0), -EFAULT);
	assert_int_equal(RAW6(SYS_rt_sigaction, SIGUSR1, 8, NULL, SET_LEN, 0, 0), -EFAULT);
	assert_int_equal(RAW6(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 128, 0, 0), -EINVAL);
	assert_errno(EFAULT, ppoll(NULL, 0, NULL, (void *)8));
	assert_blocked(false);
}

/* ---- masks for the time of a call, and of a handler ---- */

static const sigset_t *wait_set;
static int epoll_fd;

static int wait_ppoll(void)
{
	return ppoll(NULL, 0, NULL, wait_set);
}

static int wait_pselect(void)
{
	return pselect(0, NULL, NULL, NULL, NULL, wait_set);
}

static int wait_epoll(void)
{
	return epoll_pwait(epoll_fd, &(struct epoll_event){0}, 1, -1, wait_set);
}

static int wait_epoll2(void)
{
	return epoll_pwait2(epoll_fd, &(struct epoll_event){0}, 1, NULL, wait_set);
}

static int wait_sigsuspend(void)
{
	return sigsuspend(wait_set);
}

static int raw_result(long rc)
{
	errno = rc < 0 ? (int)-rc : 0;
	return rc < 0 ? -1 : (int)rc;
}

static int wait_raw_ppoll(void)
{
	return raw_result(RAW6(SYS_ppoll, NULL, 0, NULL, wait_set, SET_LEN, 0));
}

static int wait_raw_pselect(void)
{
	struct {
		const sigset_t *set;
		size_t len;
	} arg = {wait_set, SET_LEN};

	return raw_result(RAW6(SYS_pselect6, 0, NULL, NULL, NULL, NULL, &arg));
}

static int wait_raw_epoll(void)
{
	struct epoll_event event;

	return raw_result(RAW6(SYS_epoll_pwait, epoll_fd, &event, 1, -1, wait_set, SET_LEN));
}

static int wait_raw_sigsuspend(void)
{
	return raw_result(RAW6(SYS_rt_sigsuspend, wait_set, SET_LEN, 0, 0, 0, 0));
}

static void a_handler_in_a_wait_that_blocks_sigsys_makes_calls(void **state)
{
	static int (*const waits[])(void) = {
		wait_ppoll,       wait_pselect,    wait_epoll,
		wait_epoll2,      wait_sigsuspend, wait_raw_ppoll,
		wait_raw_pselect, wait_raw_epoll,  wait_raw_sigsuspend};
	const sigset_t set = all_but(SIGUSR1), usr1 = only(SIGUSR1);
	struct sigaction act = {.sa_handler = count_call};

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	wait_set = &set;
	assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
	assert_int_equal(sigprocmask(SIG_BLOCK, &usr1, NULL), 0);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		nr_right = 0;
		raise(SIGUSR1);
		assert_errno(EINTR, waits[i]());
		assert_int_equal(nr_right, 1);
	}
	close(epoll_fd);
	signal(SIGUSR1, SIG_DFL);
	unblock_all();
}

static void a_handler_whose_mask_blocks_sigsys_makes_calls(void **state)
{
	struct sigaction act = {.sa_handler = count_call, .sa_mask = all_but(0)}, old;
	struct kernel_action raw = {.handler = NULL}, shown;

	assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
	nr_right = 0;
	raise(SIGUSR1);
	assert_int_equal(nr_right, 1);
	assert_int_equal(sigaction(SIGUSR1, NULL, &old), 0);
	assert_true(sigismember(&old.sa_mask, SIGSYS));
	assert_int_equal(RAW6(SYS_rt_sigaction, SIGUSR1, NULL, &raw, SET_LEN, 0, 0), 0);
	assert_true(raw.mask >> (SIGSYS - 1) & 1);
	assert_int_equal(RAW6(SYS_rt_sigaction, SIGUSR2, &raw, NULL, SET_LEN, 0, 0), 0);
	raise(SIGUSR2);
	assert_int_equal(nr_right, 2);
	assert_int_equal(RAW6(SYS_rt_sigaction, SIGUSR2, NULL, &shown, SET_LEN, 0, 0), 0);
	assert_true(shown.mask == raw.mask && shown.handler == raw.handler);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	assert_blocked(false);
}

/* ---- SIGSYS itself ---- */

static void a_handler_of_sigsys_that_is_set_past_libc_stays_the_clients(void **state)
{
	struct kernel_action act = {.handler = NULL}, old;
	struct sigaction usual = {.sa_handler = count_sigsys};

	assert_int_equal(sigaction(SIGUSR1, &usual, NULL), 0); /* for libc's restorer */
	assert_int_equal(RAW6(SYS_rt_sigaction, SIGUSR1, NULL, &act, SET_LEN, 0, 0), 0);
	assert_int_equal(RAW6(SYS_rt_sigaction, SIGSYS, &act, NULL, SET_LEN, 0, 0), 0);
	nr_sigsys = 0;
	assert_call_is_answered();
	assert_int_equal(nr_sigsys, 0);
	raise(SIGSYS);
	assert_int_equal(nr_sigsys, 1);
	assert_int_equal(RAW6(SYS_rt_sigaction, SIGSYS, NULL, &old, SET_LEN, 0, 0), 0);
	assert_true(old.handler == count_sigsys);
	assert_true(signal(SIGSYS, SIG_IGN) == count_sigsys);
	raise(SIGSYS);
	assert_call_is_answered();
	assert_int_equal(nr_sigsys, 1);
	signal(SIGSYS, SIG_DFL);
	assert_call_is_answered();
	signal(SIGUSR1, SIG_DFL);
}

static void sigsys_that_is_sent_while_blocked_comes_when_it_is_unblocked(void **state)
{
	const sigset_t all = all_but(0), sys = only(SIGSYS);
	uint64_t raw_sys = 1ULL << (SIGSYS - 1);

	signal(SIGSYS, count_sigsys);
	nr_sigsys = 0;
	sigprocmask(SIG_BLOCK, &all, NULL);
	raise(SIGSYS);
	assert_call_is_answered();
	assert_int_equal(nr_sigsys, 0);
	sigprocmask(SIG_UNBLOCK, &sys, NULL);
	assert_int_equal(nr_sigsys, 1);
	sigprocmask(SIG_BLOCK, &sys, NULL);
	raise(SIGSYS);
	assert_int_equal(nr_sigsys, 1);
	RAW6(SYS_rt_sigprocmask, SIG_UNBLOCK, &raw_sys, NULL, SET_LEN, 0, 0);
	assert_int_equal(nr_sigsys, 2);
	signal(SIGSYS, SIG_DFL);
	unblock_all();
}

static void a_signalfd_of_all_signals_leaves_calls_alone(void **state)
{
	const sigset_t all = all_but(0);
	int fd;

	sigprocmask(SIG_BLOCK, &all, NULL);
	fd = signalfd(-1, &all, SFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_call_is_answered();
	close(fd);
	unblock_all();
}

/* ---- threads and programs ---- */

static void *call_in_thread(void *arg)
{
	uint8_t status;

	return is_blocked_by_libc() && raw_ioctl(node, VHOST_VDPA_GET_STATUS, &status) == 0 ? arg
											    : NULL;
}

static void assert_thread_is_right(const pthread_attr_t *attr)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, attr, call_in_thread, &node), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, &node);
}

static void a_thread_that_begins_with_sigsys_blocked_makes_calls(void **state)
{
	const sigset_t all = all_but(0);
	pthread_attr_t attr;
	sigset_t shown;

	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setsigmask_np(&attr, &all), 0);
	assert_int_equal(pthread_attr_getsigmask_np(&attr, &shown), 0);
	assert_true(sigismember(&shown, SIGSYS));
	assert_thread_is_right(&attr);
	pthread_attr_destroy(&attr);
	sigprocmask(SIG_BLOCK, &all, NULL);
	assert_thread_is_right(NULL);
	unblock_all();
}

static int run_blocked(void)
{
	uint8_t status;

	node = open_node();
	return !is_blocked_by_libc()                                             ? 11
	       : raw_ioctl(node, VHOST_VDPA_GET_STATUS, &status) != 0            ? 12
	       : sigprocmask(SIG_UNBLOCK, (sigset_t[]){only(SIGSYS)}, NULL) != 0 ? 13
	       : is_blocked_by_libc()                                            ? 14
										 : 0;
}

static void a_program_that_begins_with_sigsys_blocked_makes_calls(void **state)
{
	char *const argv[] = {self, (char *)"blocked", NULL};
	const sigset_t all = all_but(0);
	posix_spawnattr_t attr;
	pid_t pid;

	close(node);
	assert_int_equal(posix_spawnattr_init(&attr), 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &all);
	assert_int_equal(posix_spawn(&pid, self, NULL, &attr, argv, environ), 0);
	assert_int_equal(child_status(pid), 0);
	posix_spawnattr_destroy(&attr);
	node = open_node();
	unblock_all();
}

static void a_forked_child_that_blocks_sigsys_makes_calls(void **state)
{
	const sigset_t all = all_but(0);
	uint8_t status;
	pid_t pid;

	sigprocmask(SIG_BLOCK, &all, NULL);
	pid = fork();
	if (pid == 0)
		_exit(!is_blocked_by_libc()                                        ? 11
		      : raw_ioctl(node, VHOST_SET_OWNER, NULL) < -EBUSY            ? 12
		      : raw_ioctl(node, VHOST_VDPA_GET_STATUS, &status) == -ENOTTY ? 13
										   : 0);
	assert_int_equal(child_status(pid), 0);
	unblock_all();
}

static int open_first(void **state)
{
	*(void **)&get_mask = dlsym(RTLD_DEFAULT, "siggetmask");
	node = open_node();
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sigsys_that_is_blocked_by_libc_catches_all_the_same),
		cmocka_unit_test(sigsys_that_is_blocked_by_old_calls_catches_all_the_same),
		cmocka_unit_test(sigsys_that_is_blocked_past_libc_catches_all_the_same),
		cmocka_unit_test(wrong_masks_get_the_kernels_answer),
		cmocka_unit_test(a_handler_in_a_wait_that_blocks_sigsys_makes_calls),
		cmocka_unit_test(a_handler_whose_mask_blocks_sigsys_makes_calls),
		cmocka_unit_test(a_handler_of_sigsys_that_is_set_past_libc_stays_the_clients),
		cmocka_unit_test(sigsys_that_is_sent_while_blocked_comes_when_it_is_unblocked),
		cmocka_unit_test(a_signalfd_of_all_signals_leaves_calls_alone),
		cmocka_unit_test(a_thread_that_begins_with_sigsys_blocked_makes_calls),
		cmocka_unit_test(a_program_that_begins_with_sigsys_blocked_makes_calls),
		cmocka_unit_test(a_forked_child_that_blocks_sigsys_makes_calls),
	};

	self = argv[0];
	if (strcmp(argv[1], "blocked") == 0)
		return run_blocked();
	return cmocka_run_group_tests_name(argv[1], tests, open_first, NULL);
}
