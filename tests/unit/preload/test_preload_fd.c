// SPDX-License-Identifier: BSD-3-Clause
/* Which descriptor is the device, and until when: copies, closes of all kinds, numbers that change
 * hands. */
#include "client.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/compiler.h"

static void preload_dup_keeps_the_session_until_the_last_close(void **state)
{
	int fd = open_node();
	int copy = dup(fd);

	set_status(fd, 1);
	assert_int_equal(close(fd), 0);
	assert_int_equal(get_status(copy), 1);
	assert_errno(EBUSY, open(NODE, O_RDWR));
	assert_int_equal(close(copy), 0);
	assert_closed();
}

static void preload_fcntl_dup_is_the_device(void **state)
{
	int fd = open_node();
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);

	assert_true(copy >= 100);
	assert_int_equal(fcntl(copy, F_GETFD), FD_CLOEXEC);
	set_status(copy, 1);
	assert_int_equal(get_status(fd), 1);
	close(fd);
	assert_int_equal(get_status(copy), 1);
	close(copy);
	assert_closed();
}

static void preload_dup2_over_the_device_closes_it(void **state)
{
	int null = open("/dev/null", O_RDWR);
	int fd = open_node();

	assert_int_equal(dup2(null, fd), fd);
	assert_int_equal(get_status(fd), -ENOTTY);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_closed();
	close(fd);
	close(null);
}

static void preload_dup2_of_the_device_is_the_device(void **state)
{
	int null = open("/dev/null", O_RDWR);
	int fd = open_node();

	set_status(fd, 1);
	assert_int_equal(dup2(fd, fd), fd);
	assert_int_equal(get_status(fd), 1);
	assert_int_equal(dup3(fd, null, O_CLOEXEC), null);
	close(fd);
	assert_int_equal(get_status(null), 1);
	assert_errno(EBADF, dup2(1000, null));
	assert_int_equal(get_status(null), 1);
	close(null);
	assert_closed();
}

static void preload_close_range_and_closefrom_close_the_device(void **state)
{
	int high = fcntl(open_node(), F_DUPFD, 500);

	assert_int_equal(close_range(3, 499, CLOSE_RANGE_CLOEXEC), 0);
	assert_int_equal(get_status(high), 0);
	assert_int_equal(close_range(3, 499, 0), 0);
	assert_int_equal(get_status(high), 0);
	assert_errno(EBUSY, open(NODE, O_RDWR));
	assert_int_equal(close_range(500, 500, 0), 0);
	assert_closed();
}

static void *close_in_own_table(void *arg)
{
	*(int *)arg = close_range(3, UINT32_MAX, CLOSE_RANGE_UNSHARE);
	return NULL;
}

/* It closes nothing of the others'. A process of one thread, as a forked child, has no others. */
static void preload_thread_that_takes_a_table_of_its_own_leaves_the_device_to_others(void **state)
{
	int fd = open_node(), rc = -1, status;
	pthread_t thread;
	pid_t pid;

	set_status(fd, 1);
	assert_int_equal(pthread_create(&thread, NULL, close_in_own_table, &rc), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(rc, 0);
	assert_int_equal(get_status(fd), 1);
	pid = fork();
	if (pid == 0) {
		(void)close_in_own_table(&rc);
		_exit(rc == 0 && fcntl(fd, F_GETFD) < 0 && errno == EBADF ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(get_status(fd), 1);
	assert_int_equal(close(fd), 0);
	assert_closed();
}

struct apart {
	int fd, other;
	int status, copied, refused; /* what the thread has found */
};

static void *use_own_table(void *arg)
{
	struct apart *a = arg;

	if (unshare(CLONE_FILES) < 0)
		return arg;
	a->status = get_status(a->fd);
	a->refused = open(NODE, O_RDWR) < 0 ? errno : 0;
	if (close(a->fd) < 0 || dup2(a->other, a->fd) != a->fd)
		return arg;
	a->copied = write(a->fd, "x", 1) == 1 && get_status(a->fd) == -ENOTTY;
	closefrom(3);
	return NULL;
}

/* Its numbers are no longer those of the others, whatever it does with them. */
static void preload_thread_with_a_table_of_its_own_closes_nothing_of_the_others(void **state)
{
	struct apart a = {.fd = open_node(), .other = open("/dev/null", O_RDWR)};
	pthread_t thread;
	void *failed;

	set_status(a.fd, 1);
	assert_int_equal(pthread_create(&thread, NULL, use_own_table, &a), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_int_equal(a.status, 1);
	assert_int_equal(a.refused, EBUSY);
	assert_true(a.copied);
	assert_int_equal(get_status(a.fd), 1);
	close(a.other);
	assert_int_equal(close(a.fd), 0);
	assert_closed();
}

static void preload_fclose_closes_the_device(void **state)
{
	FILE *f = fdopen(open_node(), "r+");

	assert_non_null(f);
	assert_int_equal(get_status(fileno(f)), 0);
	assert_int_equal(fclose(f), 0);
	assert_closed();
}

/* The number is closed behind the library's back and becomes a pipe. */
static void preload_number_reused_by_a_pipe_is_a_pipe(void **state)
{
	int fd = open_node();
	int ends[2];
	char buf[4] = "";

	set_status(fd, 1);
	assert_int_equal(close_behind(fd), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(ends[0], fd);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	assert_int_equal(read(ends[0], buf, 3), 3);
	assert_string_equal(buf, "abc");
	assert_errno(ENOTTY, ioctl(ends[0], VHOST_SET_OWNER));
	close(ends[0]);
	close(ends[1]);
	assert_closed();
}

static void preload_raw_close_frees_the_node(void **state)
{
	int fd = open_node();

	set_status(fd, 1);
	assert_int_equal(close_behind(fd), 0);
	assert_closed();
}

static void preload_closed_descriptor_is_ebadf(void **state)
{
	int fd = open_node();

	close(fd);
	assert_int_equal(get_status(fd), -EBADF);
	assert_errno(EBADF, close(fd));
	assert_errno(EBADF, ioctl(-1, VHOST_SET_OWNER));
	assert_errno(EBADF, close(0x7fffffff));
}

/* [2-2], [2-3] */
static void preload_writev_pieces_are_one_message(void **state)
{
	void *page = shared_page();
	struct vhost_msg_v2 msg = update_message(page);
	struct iovec pieces[3] = {{&msg, 8}, {(char *)&msg + 8, 20}, {(char *)&msg + 28, 44}};
	struct iovec wild[2] = {{&msg, 8}, {(void *)8, 64}};
	volatile int too_few = -1, too_many = IOV_MAX + 1; /* that the compiler need not know */
	int fd = open_node();

	assert_int_equal(ioctl(fd, VHOST_SET_OWNER), 0);
	assert_int_equal(writev(fd, pieces, 3), 72);
	assert_errno(EFAULT, writev(fd, pieces, 3)); /* overlaps now: it was mapped */
	assert_errno(EINVAL, writev(fd, wild, 2));   /* ends behind 8 bytes */
	assert_errno(EINVAL, writev(fd, pieces, 2));
	assert_errno(EINVAL, writev(fd, pieces, too_few));
	assert_errno(EINVAL, pwritev(fd, pieces, too_many, 0));
	assert_int_equal(writev(fd, pieces, 0), 0);
	msg.iotlb.type = VHOST_IOTLB_INVALIDATE;
	assert_int_equal(pwrite(fd, &msg, sizeof(msg), 12345), 72);
	close(fd);
	munmap(page, 4096);
}

static void preload_generic_ioctls_work_as_on_any_file(void **state)
{
	int fd = open_node();
	int on = 1;

	assert_int_equal(ioctl(fd, FIOCLEX), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(ioctl(fd, FIONBIO, &on), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
}

static void preload_many_opens_leak_no_descriptor(void **state)
{
	int first, last;

	assert_closed();
	first = dup(1);
	close(first);
	for (int i = 0; i < 200; i++)
		assert_closed();
	last = dup(1);
	close(last);
	assert_int_equal(first, last);
}

/* A message of the library goes to descriptor 2, whatever that is, and must not come back as a
 * write on the device. */
static void preload_device_in_the_place_of_stderr_takes_no_messages(void **state)
{
	struct vhost_msg_v2 msg = update_message(shared_page());
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	ssize_t refused;
	int fd, error;

	assert_true(saved >= 3);
	close(STDERR_FILENO);
	fd = open(NODE, O_RDWR | O_CLOEXEC);
	(void)alarm(60);
	(void)!ioctl(fd, VHOST_SET_OWNER);
	msg.iotlb.type = 99;
	refused = write(fd, &msg, sizeof(msg));
	error = errno;
	(void)alarm(0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(fd, STDERR_FILENO);
	assert_int_equal(refused, -1);
	assert_int_equal(error, EFAULT);
	assert_closed();
}

#define NR_LOW 160

static int nr_low_numbers(void)
{
	int nr = 0;

	for (int fd = 0; fd < NR_LOW; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

/* A thread of ours may have one for a moment, until it has moved it up. */
static void assert_low_numbers(int wanted)
{
	int nr = nr_low_numbers();

	for (int ms = 0; nr > wanted && ms < 20000; ms++) {
		(void)poll(NULL, 0, 1);
		nr = nr_low_numbers();
	}
	assert_int_equal(nr, wanted);
}

/* Workers, copies of eventfds, the map of the process, management: all lie high. */
static void preload_takes_none_of_the_low_numbers(void **state)
{
	uint64_t features = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2;
	int before = nr_low_numbers(), fd = open_node();
	struct vhost_vring_file file = {.index = 0};
	void *page = shared_page();
	struct vhost_msg_v2 msg = update_message(page);
	int kick = eventfd(0, EFD_CLOEXEC), call = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(ioctl(fd, VHOST_SET_OWNER), 0);
	assert_int_equal(ioctl(fd, VHOST_SET_BACKEND_FEATURES, &features), 0);
	file.fd = kick;
	assert_int_equal(ioctl(fd, VHOST_SET_VRING_KICK, &file), 0);
	file.fd = call;
	assert_int_equal(ioctl(fd, VHOST_SET_VRING_CALL, &file), 0);
	assert_int_equal(ioctl(fd, VHOST_VDPA_SET_CONFIG_CALL, &call), 0);
	assert_int_equal(write(fd, &msg, sizeof(msg)), sizeof(msg));
	assert_low_numbers(before + 3);
	close(fd);
	assert_low_numbers(before + 2);
	close(kick);
	close(call);
	munmap(page, 4096);
}

/* A copy that this process has sent to itself. */
static int copy_by_socket(int fd)
{
	char byte = 0, room[CMSG_SPACE(sizeof(fd))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = room,
			     .msg_controllen = sizeof(room)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int pair[2], copy = -1;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
	assert_int_equal(recvmsg(pair[1], &msg, MSG_CMSG_CLOEXEC), 1);
	cmsg = CMSG_FIRSTHDR(&msg);
	assert_non_null(cmsg);
	memcpy(&copy, CMSG_DATA(cmsg), sizeof(copy));
	close(pair[0]);
	close(pair[1]);
	return copy;
}

static int copy_by_process(int fd)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int copy = self < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, self, fd, 0);

	if (self >= 0)
		close(self);
	return copy;
}

/* The kernel makes the copy, and no wrapper sees it. */
static void preload_copy_that_the_kernel_has_made_is_the_device(void **state)
{
	static int (*const ways[])(int fd) = {copy_by_socket, copy_by_process};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int fd = open_node(), copy = ways[i](fd);
		struct stat st;

		if (copy < 0) /* no such call, or it is forbidden */
			print_message("  way %zu is not there\n", i);
		set_status(fd, 1);
		if (copy >= 0) {
			assert_int_equal(get_status(copy), 1);
			assert_int_equal(fstat(copy, &st), 0);
			assert_true(S_ISCHR(st.st_mode));
			close(fd);
			assert_int_equal(get_status(copy), 1);
			assert_errno(EBUSY, open(NODE, O_RDWR));
		}
		close(copy >= 0 ? copy : fd);
		assert_closed();
	}
}

/* The kernel would wait for some 10 ms in the first open of a client with threads. */
static void preload_table_of_descriptors_is_long_before_there_are_threads(void **state)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	int nr = -1;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		(void)sscanf(line, "FDSize: %d", &nr);
	fclose(f);
	assert_true(nr > 700 || sysconf(_SC_OPEN_MAX) <= 700);
}

/* Whatever threads the library has. */
static void preload_client_of_one_thread_opens_again_with_a_table_of_its_own(void **state)
{
	int fd;

	if (HF_TSAN) /* has a thread of its own in each client */
		skip();
	fd = open_node();
	assert_int_equal(close_range(3, UINT32_MAX, CLOSE_RANGE_UNSHARE), 0);
	assert_int_equal(get_status(fd), -EBADF);
	assert_closed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preload_copy_that_the_kernel_has_made_is_the_device),
		cmocka_unit_test(preload_table_of_descriptors_is_long_before_there_are_threads),
		cmocka_unit_test(preload_takes_none_of_the_low_numbers),
		cmocka_unit_test(preload_dup_keeps_the_session_until_the_last_close),
		cmocka_unit_test(preload_fcntl_dup_is_the_device),
		cmocka_unit_test(preload_dup2_over_the_device_closes_it),
		cmocka_unit_test(preload_dup2_of_the_device_is_the_device),
		cmocka_unit_test(preload_close_range_and_closefrom_close_the_device),
		cmocka_unit_test(
			preload_thread_that_takes_a_table_of_its_own_leaves_the_device_to_others),
		cmocka_unit_test(
			preload_thread_with_a_table_of_its_own_closes_nothing_of_the_others),
		cmocka_unit_test(preload_fclose_closes_the_device),
		cmocka_unit_test(preload_number_reused_by_a_pipe_is_a_pipe),
		cmocka_unit_test(preload_raw_close_frees_the_node),
		cmocka_unit_test(preload_closed_descriptor_is_ebadf),
		cmocka_unit_test(preload_writev_pieces_are_one_message),
		cmocka_unit_test(preload_generic_ioctls_work_as_on_any_file),
		cmocka_unit_test(preload_many_opens_leak_no_descriptor),
		cmocka_unit_test(preload_device_in_the_place_of_stderr_takes_no_messages),
		/* last: the library's threads have another table then */
		cmocka_unit_test(preload_client_of_one_thread_opens_again_with_a_table_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
