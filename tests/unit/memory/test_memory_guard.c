// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guard against real faults. What would end the process runs in a forked child, whose end is
 * looked at.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "../base/wait.h"
#include "memory/guard.h"

#define PAGE 4096UL

/* cmocka puts its own handlers in place around each test; the guard's are put back inside. */
static struct sigaction guard_segv, guard_bus;

/* The C library's own: a sanitizer's wrapper does not know what the guard has installed. */
static int libc_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	int (*fn)(int, const struct sigaction *, struct sigaction *);
	void *symbol = dlsym(RTLD_NEXT, "sigaction");

	memcpy(&fn, &symbol, sizeof(fn));
	return fn(sig, act, old);
}

static void take_signals(void)
{
	assert_int_equal(libc_sigaction(SIGSEGV, &guard_segv, NULL), 0);
	assert_int_equal(libc_sigaction(SIGBUS, &guard_bus, NULL), 0);
}

static char *page_map(int prot)
{
	void *page = mmap(NULL, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(page, MAP_FAILED);
	return page;
}

static bool any_address(void *arg, uintptr_t addr)
{
	return true;
}

/* The address that faulted when @p was read or written; 0 if it did not. */
static uintptr_t touch(volatile char *p, bool write)
{
	struct memory_guard guard;

	if (memory_guard_enter(&guard, any_address, NULL) == 0) {
		if (write)
			*p = 1;
		else
			(void)*p;
		memory_guard_leave(&guard);
		return 0;
	}
	return guard.fault_addr;
}

static void guard_enter_unmapped_reports_address(void **state)
{
	char *page = page_map(PROT_READ | PROT_WRITE);

	take_signals();
	for (int i = 0; i < 1000; i++) { /* the handler stays usable and the mask stays open */
		assert_int_equal(touch(page + 5, true), 0);
		munmap(page, PAGE);
		assert_int_equal(touch(page + 5, false), (uintptr_t)page + 5);
		assert_int_equal(touch(page + 6, true), (uintptr_t)page + 6);
		assert_ptr_equal(mmap(page, PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
				 page);
	}
	munmap(page, PAGE);
}

static void guard_enter_protected_reports_address(void **state)
{
	char *page = page_map(PROT_NONE);

	take_signals();
	assert_int_equal(touch(page, false), (uintptr_t)page);
	mprotect(page, PAGE, PROT_READ);
	assert_int_equal(touch(page, false), 0);
	assert_int_equal(touch(page + 9, true), (uintptr_t)page + 9);
	munmap(page, PAGE);
}

static void guard_enter_truncated_file_reports_address(void **state)
{
	int fd = memfd_create("truncated", MFD_CLOEXEC);
	char *page;

	take_signals();
	assert_int_equal(ftruncate(fd, PAGE), 0);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	assert_int_equal(touch(page + 1, true), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(touch(page + 1, true), (uintptr_t)page + 1); /* SIGBUS */
	munmap(page, PAGE);
	close(fd);
}

static void guard_enter_nested_jumps_to_innermost(void **state)
{
	char *page = page_map(PROT_NONE);
	struct memory_guard outer;
	volatile int step = 0;

	take_signals();
	if (memory_guard_enter(&outer, any_address, NULL) == 0) {
		if (touch(page + 1, false) == (uintptr_t)page + 1)
			step = 1;
		if (touch((char *)&step, false) == 0 && step == 1)
			step = 2;
		(void)*(volatile char *)(page + 2);
		step = 3;
		memory_guard_leave(&outer);
	} else if (step == 2) {
		step = 4;
	}
	assert_int_equal(step, 4);
	assert_int_equal(outer.fault_addr, (uintptr_t)page + 2);
	munmap(page, PAGE);
}

static void *thread_faults(void *arg)
{
	char *page = arg;

	for (int i = 0; i < 2000; i++) {
		if (touch(page + i, false) != (uintptr_t)page + i)
			return NULL;
	}
	return arg;
}

static void guard_enter_many_threads_do_not_mix(void **state)
{
	char *page = page_map(PROT_NONE);
	pthread_t threads[4];

	take_signals();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_faults, page), 0);
	for (int i = 0; i < 4; i++) {
		void *ret;

		pthread_join(threads[i], &ret);
		assert_ptr_equal(ret, page);
	}
	munmap(page, PAGE);
}

/* What a handler saw; written by the handler, read after it in the same thread. */
static struct {
	int nr, sig;
	uintptr_t addr;
	bool sig_blocked, usr1_blocked;
	char *repair; /* page to make accessible */
} seen;

static void handler_look(int sig)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	seen.nr++;
	seen.sig = sig;
	seen.sig_blocked = sigismember(&mask, sig);
	seen.usr1_blocked = sigismember(&mask, SIGUSR1);
	if (seen.repair)
		mprotect(seen.repair, PAGE, PROT_READ | PROT_WRITE);
}

static void handler_info(int sig, siginfo_t *info, void *context)
{
	seen.addr = (uintptr_t)info->si_addr;
	handler_look(sig);
}

static void set_next(int sig, struct sigaction *act, struct sigaction *old)
{
	assert_int_equal(memory_guard_set_next(sig, act, old), 0);
}

static void guard_unguarded_fault_goes_to_next_handler(void **state)
{
	struct sigaction act = {.sa_sigaction = handler_info, .sa_flags = SA_SIGINFO}, old, now;
	char *page = page_map(PROT_NONE);
	sigset_t mask;

	take_signals();
	memset(&seen, 0, sizeof(seen));
	seen.repair = page;
	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, SIGUSR1);
	set_next(SIGSEGV, &act, &old);
	*(volatile char *)(page + 3) = 1; /* the handler makes it succeed */
	assert_int_equal(seen.nr, 1);
	assert_int_equal(seen.sig, SIGSEGV);
	assert_int_equal(seen.addr, (uintptr_t)page + 3);
	assert_true(seen.sig_blocked);
	assert_true(seen.usr1_blocked);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGSEGV), 0);
	assert_int_equal(sigismember(&mask, SIGUSR1), 0);
	/* The client sees its own action. */
	set_next(SIGSEGV, NULL, &now);
	assert_true(now.sa_sigaction == handler_info);
	assert_int_equal(now.sa_flags & SA_SIGINFO, SA_SIGINFO);
	assert_int_equal(sigismember(&now.sa_mask, SIGUSR1), 1);
	assert_int_equal(sigismember(&now.sa_mask, SIGUSR2), 0);
	set_next(SIGSEGV, &old, NULL);
	munmap(page, PAGE);
}

static void guard_next_without_info_and_nodefer(void **state)
{
	struct sigaction act = {.sa_handler = handler_look, .sa_flags = SA_NODEFER}, old;
	char *page = page_map(PROT_NONE);

	take_signals();
	memset(&seen, 0, sizeof(seen));
	seen.repair = page;
	set_next(SIGSEGV, &act, &old);
	*(volatile char *)page = 1;
	assert_int_equal(seen.nr, 1);
	assert_false(seen.sig_blocked);
	assert_false(seen.usr1_blocked);
	set_next(SIGSEGV, &old, NULL);
	munmap(page, PAGE);
}

static void guard_sent_signal_is_no_fault(void **state)
{
	struct sigaction act = {.sa_handler = handler_look}, old;
	struct memory_guard guard;
	volatile bool jumped = true;

	take_signals();
	memset(&seen, 0, sizeof(seen));
	set_next(SIGSEGV, &act, &old);
	if (memory_guard_enter(&guard, any_address, NULL) == 0) {
		raise(SIGSEGV);
		memory_guard_leave(&guard);
		jumped = false;
	}
	assert_false(jumped);
	assert_int_equal(seen.nr, 1);
	/* Ignored, when the client asked for that. */
	act.sa_handler = SIG_IGN;
	set_next(SIGSEGV, &act, NULL);
	kill(getpid(), SIGSEGV);
	assert_int_equal(seen.nr, 1);
	set_next(SIGSEGV, &old, NULL);
}

static void guard_set_next_other_signal_is_invalid(void **state)
{
	struct sigaction act = {.sa_handler = SIG_DFL};

	take_signals();
	assert_int_equal(memory_guard_set_next(SIGUSR1, &act, NULL), -EINVAL);
	assert_int_equal(memory_guard_set_next(0, NULL, NULL), -EINVAL);
	assert_int_equal(memory_guard_install(), 0); /* again is fine */
}

/* How does a child end that runs @body under the next action @handler? */
static int child_end(void (*handler)(int), int flags, void (*body)(char *))
{
	char *page = page_map(PROT_NONE);
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sigaction act = {.sa_handler = handler, .sa_flags = flags};
		struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		alarm(WAIT_DEADLINE_MS / 1000);
		memset(&seen, 0, sizeof(seen));
		if (memory_guard_set_next(SIGSEGV, &act, NULL) == 0)
			body(page);
		_exit(9);
	}
	status = wait_child(pid);
	munmap(page, PAGE);
	return status;
}

static void body_fault(char *page)
{
	*(volatile char *)page = 1;
}

static void body_send(char *page)
{
	raise(SIGSEGV);
}

static void body_fault_guarded(char *page)
{
	_exit(touch(page, true) == (uintptr_t)page ? 3 : 4);
}

/* What a guard does not own is a mistake of ours, and ends the process: NULL, and a page beside. */
static void fault_beside(char *owned, volatile char *touched)
{
	struct memory_guard_range range = {(uintptr_t)owned, PAGE};
	struct memory_guard guard;

	if (memory_guard_enter(&guard, memory_guard_range_owns, &range) == 0) {
		*touched = 1;
		_exit(4);
	}
	_exit(3);
}

static void body_null_guarded(char *page)
{
	char *volatile null = NULL;

	fault_beside(page, null + 8);
}

static void body_no_address_guarded(char *page)
{
	fault_beside(page, (char *)(uintptr_t)0x8000000000000000);
}

static void body_other_page_guarded(char *page)
{
	char *other = page_map(PROT_NONE);

	fault_beside(page, other);
}

static void body_own_page_guarded(char *page)
{
	fault_beside(page, page + PAGE - 1);
}

/* The inner guard does not own it, the outer one does. */
static void body_outer_owns(char *page)
{
	struct memory_guard_range range = {(uintptr_t)page, PAGE};
	struct memory_guard guard;

	if (memory_guard_enter(&guard, memory_guard_range_owns, &range) == 0)
		fault_beside(page + PAGE, page);
	_exit(5);
}

static void guard_fault_that_nobody_owns_ends_process(void **state)
{
	take_signals();
	assert_int_equal(child_end(SIG_DFL, 0, body_null_guarded) & 0x7f, SIGSEGV);
	assert_int_equal(child_end(SIG_DFL, 0, body_no_address_guarded) & 0x7f, SIGSEGV);
	assert_int_equal(child_end(SIG_DFL, 0, body_other_page_guarded) & 0x7f, SIGSEGV);
	assert_int_equal(child_end(SIG_DFL, 0, body_own_page_guarded), 3 << 8);
	assert_int_equal(child_end(SIG_DFL, 0, body_outer_owns), 5 << 8);
}

static void body_fault_after_guard(char *page)
{
	if (touch(page, true) == (uintptr_t)page)
		*(volatile char *)page = 1;
}

static sigjmp_buf out_of_handler;

static void handler_jumps(int sig)
{
	siglongjmp(out_of_handler, 1);
}

static void body_jump_out(char *page)
{
	sigset_t mask;

	for (volatile int i = 0; i < 3; i++) {
		if (sigsetjmp(out_of_handler, 1) == 0)
			*(volatile char *)page = 1;
		pthread_sigmask(SIG_SETMASK, NULL, &mask);
		if (sigismember(&mask, SIGSEGV))
			_exit(4);
	}
	_exit(3);
}

static void handler_returns(int sig)
{
	seen.nr++;
}

/* The handler runs once, then the default action ends the child. */
static void handler_exits_second_time(int sig)
{
	if (++seen.nr > 1)
		_exit(4);
}

static void guard_next_default_and_ignored_end_process(void **state)
{
	take_signals();
	assert_int_equal(child_end(SIG_DFL, 0, body_fault) & 0x7f, SIGSEGV);
	assert_int_equal(child_end(SIG_DFL, 0, body_send) & 0x7f, SIGSEGV);
	assert_int_equal(child_end(SIG_IGN, 0, body_fault) & 0x7f, SIGSEGV);
	assert_int_equal(child_end(SIG_IGN, 0, body_send), 9 << 8);
	assert_int_equal(child_end(SIG_DFL, 0, body_fault_guarded), 3 << 8);
	assert_int_equal(child_end(SIG_DFL, 0, body_fault_after_guard) & 0x7f, SIGSEGV);
}

static void guard_next_resethand_and_jump_work(void **state)
{
	take_signals();
	assert_int_equal(child_end(handler_exits_second_time, (int)SA_RESETHAND, body_fault) & 0x7f,
			 SIGSEGV);
	assert_int_equal(child_end(handler_returns, (int)SA_RESETHAND, body_send), 9 << 8);
	assert_int_equal(child_end(handler_jumps, 0, body_jump_out), 3 << 8);
}

static void *thread_changes_next(void *arg)
{
	struct sigaction a = {.sa_handler = handler_look}, b = {.sa_handler = SIG_IGN}, old;

	while (!__atomic_load_n((bool *)arg, __ATOMIC_RELAXED)) {
		if (memory_guard_set_next(SIGBUS, &a, NULL) ||
		    memory_guard_set_next(SIGBUS, &b, &old))
			return NULL;
		if (old.sa_handler != handler_look)
			return NULL;
	}
	return arg;
}

static void guard_set_next_while_signals_arrive_is_whole(void **state)
{
	struct sigaction act = {.sa_handler = SIG_IGN}, old;
	bool stop = false;
	pthread_t thread;
	void *ret;

	take_signals();
	memset(&seen, 0, sizeof(seen));
	set_next(SIGBUS, &act, &old);
	assert_int_equal(pthread_create(&thread, NULL, thread_changes_next, &stop), 0);
	for (int i = 0; i < 2000; i++)
		pthread_kill(pthread_self(),
			     SIGBUS); /* either handler is fine; a torn one is not */
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, &ret);
	assert_ptr_equal(ret, &stop);
	set_next(SIGBUS, &old, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guard_enter_unmapped_reports_address),
		cmocka_unit_test(guard_enter_protected_reports_address),
		cmocka_unit_test(guard_enter_truncated_file_reports_address),
		cmocka_unit_test(guard_enter_nested_jumps_to_innermost),
		cmocka_unit_test(guard_enter_many_threads_do_not_mix),
		cmocka_unit_test(guard_unguarded_fault_goes_to_next_handler),
		cmocka_unit_test(guard_next_without_info_and_nodefer),
		cmocka_unit_test(guard_sent_signal_is_no_fault),
		cmocka_unit_test(guard_set_next_other_signal_is_invalid),
		cmocka_unit_test(guard_fault_that_nobody_owns_ends_process),
		cmocka_unit_test(guard_next_default_and_ignored_end_process),
		cmocka_unit_test(guard_next_resethand_and_jump_work),
		cmocka_unit_test(guard_set_next_while_signals_arrive_is_whole),
	};

	if (memory_guard_install() != 0 || libc_sigaction(SIGSEGV, NULL, &guard_segv) != 0 ||
	    libc_sigaction(SIGBUS, NULL, &guard_bus) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
