// SPDX-License-Identifier: BSD-3-Clause
/* The client's own handlers for SIGSEGV and SIGBUS, while the library has both signals. */
#include "client.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>

#include "base/compiler.h"

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

/* ThreadSanitizer's own locks are not safe against a handler that it does not know, and it knows
 * none of those that our wrapper takes. */
#if !HF_TSAN
static int device;
static volatile int nr_in_handler, nr_refused;

static void call_in_handler(int sig)
{
	int saved = errno, copy = dup(device);

	nr_refused += get_status(device) != 0 || copy < 0 || close(copy) != 0;
	nr_in_handler++;
	errno = saved;
}

/* The handler interrupts calls of the same thread on the same device, and waits for none. */
static void preload_handler_may_call_on_the_device(void **state)
{
	struct sigaction act = {.sa_handler = call_in_handler, .sa_flags = SA_RESTART};
	struct itimerval every = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
	uint64_t features = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2;
	void *page = shared_page();
	int nr_bad = 0;

	device = open_node();
	assert_int_equal(ioctl(device, VHOST_SET_OWNER), 0);
	assert_int_equal(ioctl(device, VHOST_SET_BACKEND_FEATURES, &features), 0);
	assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
	setitimer(ITIMER_REAL, &every, NULL);
	for (int i = 0; i < 20000 || nr_in_handler < 100; i++) {
		struct vhost_msg_v2 msg = update_message(page);
		int copy = dup(device);

		msg.iotlb.type = i % 2 ? VHOST_IOTLB_INVALIDATE : VHOST_IOTLB_UPDATE;
		nr_bad += write(device, &msg, sizeof(msg)) != sizeof(msg);
		nr_bad += copy < 0 || close(copy) != 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	assert_int_equal(nr_bad, 0);
	assert_int_equal(nr_refused, 0);
	close(device);
	munmap(page, 4096);
	assert_closed();
}
#endif

/* As spawning libraries do between vfork and exec. */
static void preload_handler_outlives_its_reset_in_a_vfork_child(void **state)
{
	int fd = open_node(), status;
	pid_t pid;

	install(SIGSEGV);
	pid = vfork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_installed(SIGSEGV);
	close(fd);
}

#define COPY 500

/* A reference that the jump left behind would keep the node busy for good. */
static void preload_jump_out_of_a_call_leaves_the_node_usable(void **state)
{
	const struct itimerval every = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
	volatile int fd, nr_jumps = 0;
	struct stat st;
	int state_before;

	if (HF_TSAN) /* its own locks stay locked behind a jump */
		skip();
	fd = open_node();
	signal(SIGALRM, on_signal);
	while (nr_jumps++ < 1000) {
		if (sigsetjmp(back, 1) != 0)
			continue;
		setitimer(ITIMER_REAL, &every, NULL);
		for (;;)
			(void)(get_status(fd) + (int)lseek(fd, 0, SEEK_SET) + fstat(fd, &st) +
			       dup2(fd, COPY) + fcntl(COPY, F_GETSIG) + close(COPY));
	}
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	close(COPY);
	close(fd);
	fd = open_node();
	close(fd);
	/* nor may it leave the thread without cancellation */
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state_before);
	assert_int_equal(state_before, PTHREAD_CANCEL_ENABLE);
}

/* A write that is refused for its flags puts handlers off, and must let them go again. */
static void preload_refused_write_leaves_no_signal_blocked(void **state)
{
	char message[72] = "";
	struct iovec iov = {message, sizeof(message)};
	int fd = open_node(), before, after;
	sigset_t mask;

	assert_true(signal(SIGUSR1, on_signal) != SIG_ERR);
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	before = sigismember(&mask, SIGUSR1);
	assert_errno(EOPNOTSUPP, pwritev2(fd, &iov, 1, -1, RWF_NOWAIT));
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	after = sigismember(&mask, SIGUSR1);
	(void)get_status(fd); /* the next call undoes it */
	signal(SIGUSR1, SIG_DFL);
	close(fd);
	assert_int_equal(before, 0);
	assert_int_equal(after, 0);
}

#define NR_JUMPS 200

static int install_filter(void)
{
	struct sock_filter insn = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = {1, &insn};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* Return: exit status; ends by SIGALRM if a lock was left taken */
static int jump_out_of_first_filter(int us)
{
	const struct itimerval once = {.it_value = {0, us}}, never = {{0, 0}, {0, 0}};
	struct sigaction act = {.sa_handler = on_signal};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sigaction(SIGALRM, &act, NULL) < 0)
		return 2;
	if (sigsetjmp(back, 1) == 0) {
		setitimer(ITIMER_REAL, &once, NULL);
		(void)install_filter();
		for (;;)
			(void)pause();
	}
	setitimer(ITIMER_REAL, &never, NULL);
	(void)signal(SIGALRM, SIG_DFL);
	(void)alarm(20);
	return install_filter() == 0 ? 0 : 1;
}

/* It makes a thread of the library's, and looks for code that makes raw calls. */
static void preload_jump_out_of_the_first_filter_leaves_no_lock_taken(void **state)
{
	if (HF_TSAN) /* its own locks stay locked behind a jump */
		skip();
	for (int i = 0; i < NR_JUMPS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(jump_out_of_first_filter(1 + i));
		assert_int_equal(child_status(pid), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_jump_out_of_the_first_filter_leaves_no_lock_taken),
		cmocka_unit_test(preload_refused_write_leaves_no_signal_blocked),
		cmocka_unit_test(preload_handler_outlives_its_reset_in_a_vfork_child),
		cmocka_unit_test(preload_jump_out_of_a_call_leaves_the_node_usable),
		cmocka_unit_test(preload_handler_from_before_the_open_runs),
		cmocka_unit_test(preload_handler_from_after_the_open_runs),
		cmocka_unit_test(preload_signal_gives_back_the_old_handler),
		cmocka_unit_test(preload_fault_without_a_handler_kills),
	/* last: children of an owner cannot open */
#if !HF_TSAN
		cmocka_unit_test(preload_handler_may_call_on_the_device),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
