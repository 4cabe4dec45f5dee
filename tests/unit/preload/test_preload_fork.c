// SPDX-License-Identifier: BSD-3-Clause
/* Children: forked ones have the descriptors and not the device; others start afresh. */
#include "client.h"

#include <signal.h>
#include <spawn.h>
#include <sys/time.h>

#include "base/compiler.h"

#define NR_JUMPS 150

extern char **environ;

/* First of all cases: nothing was ever open. */
static void preload_child_of_an_idle_process_has_its_own_device(void **state)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(NODE, O_RDWR);
		uint8_t status = 1;

		_exit(fd >= 0 && ioctl(fd, VHOST_VDPA_SET_STATUS, &status) == 0 ? 0 : 1);
	}
	assert_int_equal(child_status(pid), 0);
	assert_closed();
	pid = fork(); /* and after the devices were made */
	if (pid == 0) {
		int fd = open(NODE, O_RDWR);

		_exit(fd >= 0 && get_status(fd) == 0 ? 0 : 1);
	}
	assert_int_equal(child_status(pid), 0);
	assert_closed();
}

/* Second of all cases: the devices were made, and nobody has owned one. */
static void preload_parent_and_child_open_their_own_devices_at_once(void **state)
{
	int go[2], fd;
	char byte;
	pid_t pid;

	assert_closed();
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		if (read(go[0], &byte, 1) != 0) /* until the parent has its own open */
			_exit(1);
		fd = open(NODE, O_RDWR);
		_exit(fd >= 0 && get_status(fd) == 0 ? 0 : 2);
	}
	close(go[0]);
	fd = open_node();
	set_status(fd, 1);
	close(go[1]);
	assert_int_equal(child_status(pid), 0);
	assert_int_equal(get_status(fd), 1);
	close(fd);
	assert_closed();
}

static sigjmp_buf away;

static void jump_away(int sig)
{
	siglongjmp(away, sig);
}

/* Return: exit status. @parent: at its end when the parent has closed the device */
static int jump_out_of_first_call(int fd, int parent, int us)
{
	const struct itimerval once = {.it_value = {0, us}}, never = {{0, 0}, {0, 0}};
	struct sigaction act = {.sa_handler = jump_away};
	char byte;

	if (read(parent, &byte, 1) != 0 || sigaction(SIGALRM, &act, NULL) < 0)
		return 2;
	if (sigsetjmp(away, 1) == 0) {
		setitimer(ITIMER_REAL, &once, NULL);
		for (;;)
			(void)get_status(fd);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	return close(fd) == 0 && open(NODE, O_RDWR) >= 0 ? 0 : 1;
}

/* Third of all cases: nobody has owned a device. The call makes the device the child's own. */
static void preload_jump_out_of_a_childs_first_call_leaves_the_node_free(void **state)
{
	if (HF_TSAN) /* its own locks stay locked behind a jump */
		skip();
	for (int i = 0; i < NR_JUMPS; i++) {
		int fd = open_node(), end[2];
		pid_t pid;

		assert_int_equal(pipe(end), 0);
		pid = fork();
		if (pid == 0) {
			close(end[1]);
			_exit(jump_out_of_first_call(fd, end[0], 1 + i * 10));
		}
		close(fd);
		close(end[1]);
		close(end[0]);
		assert_int_equal(child_status(pid), 0);
	}
}

static int calls_of_a_child(int fd)
{
	void *page = shared_page();
	struct vhost_msg_v2 msg = update_message(page);
	char buf[4];

	if (get_status(fd) != -EPERM)
		return 1;
	if (ioctl(fd, VHOST_SET_OWNER) != -1 || errno != EBUSY)
		return 2;
	if (write(fd, &msg, sizeof(msg)) != -1 || errno != EFAULT)
		return 3;
	if (read(fd, buf, sizeof(buf)) != -1 || errno != EINVAL)
		return 4;
	if (open(NODE, O_RDWR) != -1 || errno != EBUSY)
		return 5;
	fd = dup(fd);
	if (fd < 0 || get_status(fd) != -EPERM)
		return 6;
	return 0;
}

static void preload_forked_child_is_not_the_owner(void **state)
{
	int fd = open_node();
	pid_t pid;

	assert_int_equal(ioctl(fd, VHOST_SET_OWNER), 0);
	pid = fork();
	if (pid == 0)
		_exit(calls_of_a_child(fd));
	assert_int_equal(child_status(pid), 0);
	assert_int_equal(get_status(fd), 0);
	close(fd);
}

/* What a program does that opens its device and goes into the background then. */
static int take_inherited(int fd, int copy, int told, int go)
{
	struct vhost_msg_v2 msg;
	void *page = shared_page();
	uint64_t features = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2;
	uint8_t status = 1;
	char byte = 0;

	if (ioctl(copy, VHOST_SET_OWNER) != 0 || ioctl(copy, VHOST_VDPA_SET_STATUS, &status) != 0 ||
	    get_status(fd) != 1)
		return 1;
	msg = update_message(page);
	if (ioctl(fd, VHOST_SET_BACKEND_FEATURES, &features) != 0 ||
	    write(fd, &msg, sizeof(msg)) != sizeof(msg))
		return 2;
	if (open(NODE, O_RDWR) != -1 || errno != EBUSY)
		return 3;
	if (write(told, &byte, 1) != 1 || read(go, &byte, 1) != 0) /* until the parent has looked */
		return 4;
	close(fd);
	return get_status(copy) == 1 ? 0 : 5;
}

static void preload_forked_child_takes_a_device_that_nobody_owns(void **state)
{
	int fd = open_node(), copy = dup(fd), told[2], go[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		_exit(take_inherited(fd, copy, told[1], go[0]));
	}
	close(told[1]);
	assert_int_equal(read(told[0], &byte, 1), 1);
	assert_errno(EBUSY, ioctl(fd, VHOST_SET_OWNER));
	close(go[1]);
	assert_int_equal(child_status(pid), 0);
	close(go[0]);
	close(told[0]);
	close(fd);
	close(copy);
	assert_closed();
}

static void preload_child_of_a_former_owner_needs_exec_to_open(void **state)
{
	int fd = open_node();
	pid_t pid;

	assert_int_equal(ioctl(fd, VHOST_SET_OWNER), 0);
	close(fd);
	pid = fork();
	if (pid == 0) {
		if (open(NODE, O_RDWR) != -1 || errno != EBUSY)
			_exit(1);
		execl("/proc/self/exe", "client", "--open", NULL);
		_exit(2);
	}
	assert_int_equal(child_status(pid), 0);
	assert_closed();
}

static void preload_close_in_a_child_is_harmless(void **state)
{
	int fd = open_node();
	pid_t pid;

	set_status(fd, 1);
	pid = fork();
	if (pid == 0) {
		close(fd);
		_exit(get_status(fd) == -EBADF ? 0 : 1);
	}
	assert_int_equal(child_status(pid), 0);
	assert_int_equal(get_status(fd), 1);
	close(fd);
	assert_closed();
}

/* [4-1] counts descriptions: the child's copy keeps the node busy. */
static void preload_node_is_busy_while_a_child_has_the_descriptor(void **state)
{
	int fd = open_node();
	int hold[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(hold), 0);
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		_exit(read(hold[0], &byte, 1) == 0 ? 0 : 1); /* until the parent lets go */
	}
	close(hold[0]);
	close(fd);
	assert_errno(EBUSY, open(NODE, O_RDWR));
	close(hold[1]);
	assert_int_equal(child_status(pid), 0);
	assert_closed();
}

static void preload_vfork_child_changes_nothing(void **state)
{
	int fd = open_node();
	pid_t pid;

	set_status(fd, 1);
	pid = vfork();
	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	assert_int_equal(child_status(pid), 0);
	assert_int_equal(get_status(fd), 1);
	assert_errno(EBUSY, open(NODE, O_RDWR));
	close(fd);
	assert_closed();
}

static void preload_spawned_program_has_its_own_devices(void **state)
{
	char *argv[] = {"/proc/self/exe", "--open", NULL};
	int fd = open_node();
	pid_t pid;

	set_status(fd, 1);
	assert_int_equal(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ), 0);
	assert_int_equal(child_status(pid), 0);
	assert_int_equal(get_status(fd), 1);
	close(fd);
}

/* A program that has inherited @fd, before its own first call for the driver. */
static int calls_after_a_vfork_child_has_closed_its_copy(int fd)
{
	pid_t pid;

	if (lseek(fd, 0, SEEK_SET) != -1 || errno != ESPIPE)
		return 1;
	pid = vfork();
	if (pid == 0) {
		close(fd);
		dup2(STDIN_FILENO, fd);
		_exit(0);
	}
	if (child_status(pid) != 0)
		return 2;
	return lseek(fd, 0, SEEK_SET) == -1 && errno == ESPIPE ? 0 : 3;
}

static void preload_vfork_child_changes_nothing_of_what_was_inherited(void **state)
{
	int fd = open(NODE, O_RDWR);
	char number[16];
	pid_t pid;

	assert_true(fd >= 0);
	snprintf(number, sizeof(number), "%d", fd);
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "test", "inherited", number, NULL);
		_exit(99);
	}
	assert_int_equal(child_status(pid), 0);
	close(fd);
	assert_closed();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_child_of_an_idle_process_has_its_own_device),
		cmocka_unit_test(preload_parent_and_child_open_their_own_devices_at_once),
		cmocka_unit_test(preload_jump_out_of_a_childs_first_call_leaves_the_node_free),
		cmocka_unit_test(preload_forked_child_takes_a_device_that_nobody_owns),
		cmocka_unit_test(preload_forked_child_is_not_the_owner),
		cmocka_unit_test(preload_child_of_a_former_owner_needs_exec_to_open),
		cmocka_unit_test(preload_close_in_a_child_is_harmless),
		cmocka_unit_test(preload_node_is_busy_while_a_child_has_the_descriptor),
		cmocka_unit_test(preload_vfork_child_changes_nothing),
		cmocka_unit_test(preload_vfork_child_changes_nothing_of_what_was_inherited),
		cmocka_unit_test(preload_spawned_program_has_its_own_devices),
	};

	if (argc > 2)
		return calls_after_a_vfork_child_has_closed_its_copy(atoi(argv[2]));
	if (argc > 1) { /* what posix_spawn started: a client of its own */
		int fd = open(argv[1][0] ? NODE : "", O_RDWR);

		return fd >= 0 && get_status(fd) == 0 ? 0 : 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
