// SPDX-License-Identifier: BSD-3-Clause
/* The client's own handlers for SIGSEGV and SIGBUS, while the library has both signals. */
#include "client.h"

#include <signal.h>

static sigjmp_buf back;
static volatile sig_atomic_t nr_caught;
static void *volatile fault_addr;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	nr_caught++;
	fault_addr = info->si_addr;
	siglongjmp(back, 1);
}

static void on_signal(int sig)
{
	nr_caught++;
	siglongjmp(back, 1);
}

/* To fault is the point; UBSan would complain of a null pointer first. */
__attribute__((no_sanitize("undefined"))) static void store(volatile char *address)
{
	*address = 1;
}

/* Return: how often a handler ran. */
static int touch(volatile char *address)
{
	nr_caught = 0;
	if (sigsetjmp(back, 1) == 0)
		store(address);
	return nr_caught;
}

static void install(int sig)
{
	struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	assert_int_equal(sigaction(sig, &act, NULL), 0);
}

static void assert_installed(int sig)
{
	struct sigaction act;

	assert_int_equal(sigaction(sig, NULL, &act), 0);
	assert_true(act.sa_sigaction == on_fault);
	assert_true(act.sa_flags & SA_SIGINFO);
}

static void preload_handler_from_before_the_open_runs(void **state)
{
	void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	install(SIGSEGV);
	fd = open_node();
	assert_installed(SIGSEGV);
	assert_int_equal(touch(page), 1);
	assert_ptr_equal(fault_addr, page);
	close(fd);
	assert_int_equal(touch(page), 1);
	munmap(page, 4096);
}

static void preload_handler_from_after_the_open_runs(void **state)
{
	int file = memfd_create("empty", MFD_CLOEXEC);
	void *beyond = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	int fd = open_node();

	install(SIGBUS);
	assert_installed(SIGBUS);
	assert_int_equal(touch(beyond), 1);
	assert_ptr_equal(fault_addr, beyond);
	close(fd);
	close(file);
	munmap(beyond, 4096);
}

static void preload_signal_gives_back_the_old_handler(void **state)
{
	int fd = open_node();

	assert_true(signal(SIGSEGV, on_signal) != SIG_ERR);
	assert_true(signal(SIGSEGV, on_signal) == on_signal);
	assert_int_equal(touch(NULL), 1);
	assert_int_equal(touch(NULL), 1); /* signal(3) stays installed */
	assert_true(signal(SIGSEGV, SIG_DFL) == on_signal);
	assert_true(signal(SIGUSR1, on_signal) == SIG_DFL);
	assert_true(signal(SIGUSR1, SIG_DFL) == on_signal);
	close(fd);
}

static void preload_fault_without_a_handler_kills(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int fd = open(NODE, O_RDWR);

		signal(SIGSEGV, SIG_DFL);
		if (fd >= 0)
			store(NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSEGV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_handler_from_before_the_open_runs),
		cmocka_unit_test(preload_handler_from_after_the_open_runs),
		cmocka_unit_test(preload_signal_gives_back_the_old_handler),
		cmocka_unit_test(preload_fault_without_a_handler_kills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
