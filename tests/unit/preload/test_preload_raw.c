// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client whose calls do not go through libc: each is answered as the wrapper answers it.
 *
 * Usage: test_preload_raw PLUGIN WAY	as raw_way.c starts it
 */
#include "client.h"

#include <linux/close_range.h>
#include <dirent.h>
#include <dlfcn.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>

#include "raw_calls.h"

#define NR_UPDATES 20000

static const char *plugin_path, *way;

static bool is_way(const char *name)
{
	return strcmp(way, name) == 0;
}

static int open_owned(void)
{
	uint64_t features = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2;
	int fd = open_node();

	assert_int_equal(raw_ioctl(fd, VHOST_SET_OWNER, NULL), 0);
	assert_int_equal(raw_ioctl(fd, VHOST_SET_BACKEND_FEATURES, &features), 0);
	return fd;
}

static long send_update(int fd, uint64_t iova, void *page, uint8_t type)
{
	struct vhost_msg_v2 msg = update_message(page);

	msg.iotlb.iova = iova;
	msg.iotlb.type = type;
	return raw_write(fd, &msg, sizeof(msg));
}

/* As the first open of a program, which no call of libc's has preceded. */
static int open_raw(void)
{
	return (int)RAW3(SYS_open, NODE, O_RDWR | O_CLOEXEC, 0);
}

/* As daemons do when they start. The library's descriptors lie high: it has no device yet, and
 * what it needs for raw calls stays. */
static void descriptors_that_are_all_closed_leave_raw_calls_alone(void **state)
{
	int fd, last = (int)sysconf(_SC_OPEN_MAX);

	assert_int_equal(close_range(3, UINT32_MAX, 0), 0);
	closefrom(3);
	assert_int_equal(RAW3(SYS_close_range, 3, UINT32_MAX, 0), 0);
	for (fd = 3; fd < last; fd++)
		assert_true(close(fd) < 0 && errno == EBADF);
	fd = open_raw();
	assert_true(fd >= 0);
	assert_int_equal(get_status(fd), 0);
	assert_int_equal(raw_close(fd), 0);
	assert_closed();
}

/* A child that has lost its parent, whose thread answers as long as it lives. */
static void raw_opens_of_a_forked_child_find_its_own_node(void **state)
{
	pid_t pid = fork();
	int fd;

	if (pid == 0) {
		pid = fork();
		if (pid)
			_exit(child_status(pid));
		fd = open_raw();
		_exit(fd < 0                                                      ? 1
		      : raw_ioctl(fd, VHOST_VDPA_GET_STATUS, &(uint8_t){0})       ? 2
		      : open_raw() != -EBUSY                                      ? 3
		      : RAW3(SYS_open, "/dev/null", O_RDWR, 0) < 0                ? 4
		      : RAW3(SYS_open, "/dev/no-such-file", O_RDWR, 0) != -ENOENT ? 5
		      : raw_close(fd)                                             ? 6
										  : 0);
	}
	assert_int_equal(child_status(pid), 0);
}

static void raw_calls_that_name_a_node_find_it(void **state)
{
	struct stat st;
	int fd = open_raw(), dev;

	assert_true(fd >= 0);
	assert_int_equal(get_status(fd), 0);
	assert_int_equal(raw_close(fd), 0);
	dev = (int)RAW3(SYS_open, "/dev", O_PATH | O_DIRECTORY, 0);
	assert_true(dev >= 0);
	fd = (int)RAW3(SYS_openat, dev, "vhost-vdpa-0", O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(RAW3(SYS_openat, dev, "./vhost-vdpa-0", O_RDWR), -EBUSY);
	assert_int_equal(RAW3(SYS_open, "//dev/../dev/vhost-vdpa-0", O_RDWR, 0), -EBUSY);
	assert_int_equal(RAW3(SYS_stat, NODE, &st, 0), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(RAW3(SYS_access, NODE, R_OK | W_OK, 0), 0);
	assert_int_equal(RAW3(SYS_access, "/dev/vhost-vdpa-7", F_OK, 0), -ENOENT);
	assert_int_equal(RAW3(SYS_stat, (void *)8, &st, 0), -EFAULT);
	assert_int_equal(raw_close(fd), 0);
	close(dev);
	assert_closed();
}

static void raw_opens_of_each_kind_find_a_node(void **state)
{
	struct open_how how = {.flags = O_RDWR | O_CLOEXEC};
	const int opened[] = {
		(int)RAW6(SYS_openat2, AT_FDCWD, NODE, &how, sizeof(how), 0, 0),
		(int)RAW3(SYS_creat, NODE, 0600, 0),
	};
	struct statx named, own;

	/* one client at a time */
	assert_true(opened[0] >= 0);
	assert_int_equal(opened[1], -EBUSY);
	assert_int_equal(get_status(opened[0]), 0);
	assert_int_equal(RAW6(SYS_statx, AT_FDCWD, NODE, 0, STATX_BASIC_STATS, &named, 0), 0);
	assert_int_equal(RAW6(SYS_statx, opened[0], "", AT_EMPTY_PATH, STATX_BASIC_STATS, &own, 0),
			 0);
	assert_true(S_ISCHR(named.stx_mode));
	assert_int_equal(named.stx_rdev_minor, own.stx_rdev_minor);
	assert_int_equal(named.stx_rdev_major, own.stx_rdev_major);
	assert_int_equal(raw_close(opened[0]), 0);
	assert_closed();
}

static void raw_calls_of_each_kind_find_a_name(void **state)
{
	char text[4096] = "";
	struct stat st;
	int fd = open_raw();

	assert_int_equal(RAW3(SYS_lstat, NODE, &st, 0), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(RAW3(SYS_faccessat, AT_FDCWD, NODE, R_OK | W_OK), 0);
	assert_int_equal(RAW6(SYS_faccessat2, AT_FDCWD, NODE, R_OK | W_OK, AT_EACCESS, 0, 0), 0);
	assert_int_equal(RAW3(SYS_readlink, NODE, text, sizeof(text)), -EINVAL);
	assert_int_equal(RAW6(SYS_readlinkat, AT_FDCWD, NODE, text, sizeof(text), 0, 0), -EINVAL);
	assert_int_equal(RAW3(SYS_truncate, NODE, 0, 0), -EINVAL);
	assert_int_equal(raw_close(fd), 0);
	fd = (int)RAW3(SYS_openat, AT_FDCWD, "/proc/devices", O_RDONLY);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, " vhost-vdpa\n"));
	close(fd);
	/* for writing it is the kernel's, as its neighbour */
	fd = (int)RAW3(SYS_openat, AT_FDCWD, "/proc/devices", O_WRONLY);
	assert_int_equal(fd >= 0, access("/proc/version", W_OK) == 0);
	close(fd);
}

/* Return: how often a raw listing of /dev has the name; the rest of it is the kernel's */
static int nr_listed(const char *name)
{
	_Alignas(8) char buf[32768];
	int dev = open("/dev", O_RDONLY | O_DIRECTORY), nr = 0;
	long len;

	assert_true(dev >= 0);
	while ((len = RAW3(SYS_getdents64, dev, buf, sizeof(buf))) > 0)
		for (long at = 0; at < len; at += ((struct dirent *)(buf + at))->d_reclen)
			nr += strcmp(((struct dirent *)(buf + at))->d_name, name) == 0;
	assert_int_equal(len, 0);
	close(dev);
	return nr;
}

static void raw_listings_of_dev_have_the_node(void **state)
{
	int dev = open("/dev", O_RDONLY | O_DIRECTORY);

	assert_int_equal(nr_listed("vhost-vdpa-0"), 1);
	assert_int_equal(nr_listed("null"), 1);
	assert_int_equal(RAW3(SYS_getdents64, dev, 8, 32768), -EFAULT);
	close(dev);
}

static void raw_calls_on_a_device_are_answered_as_the_wrappers_do(void **state)
{
	int fd = open_owned();
	void *page = shared_page();
	struct vhost_msg_v2 msg = update_message(page);
	struct iovec iov[2] = {{&msg, 8}, {(char *)&msg + 8, sizeof(msg) - 8}};
	uint64_t features = 0;
	uint8_t status = 1;

	assert_int_equal(raw_ioctl(fd, VHOST_GET_FEATURES, &features), 0);
	assert_true(features >> VIRTIO_F_VERSION_1 & 1);
	assert_int_equal(raw_ioctl(fd, VHOST_VDPA_SET_STATUS, &status), 0);
	assert_int_equal(get_status(fd), 1);
	assert_int_equal(raw_ioctl(fd, VHOST_SET_OWNER, NULL), -EBUSY);
	assert_int_equal(raw_write(fd, &msg, sizeof(msg)), sizeof(msg));
	assert_int_equal(raw_write(fd, &msg, sizeof(msg)), -EFAULT);
	msg.iotlb.type = VHOST_IOTLB_INVALIDATE;
	assert_int_equal(raw_writev(fd, iov, 2), sizeof(msg));
	assert_int_equal(RAW3(SYS_read, fd, &msg, sizeof(msg)), -EINVAL);
	assert_int_equal(raw_ioctl(fd, VHOST_GET_FEATURES, (void *)8), -EFAULT);
	assert_int_equal(raw_ioctl(fd, _IO(0xaf, 0xee), NULL), -EFAULT);
	assert_int_equal(raw_close(fd), 0);
	assert_closed();
	munmap(page, 4096);
}

static void raw_calls_on_other_files_are_the_kernels(void **state)
{
	int other = memfd_create("other", MFD_CLOEXEC);
	char bytes[72] = "";
	struct iovec iov = {bytes, sizeof(bytes)};
	int fd = open_node(), high;

	high = fcntl(other, F_DUPFD_CLOEXEC, fd);
	assert_true(high > fd);
	assert_int_equal(raw_write(other, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(raw_write(high, bytes, 8), 8);
	assert_int_equal(raw_writev(high, &iov, 1), sizeof(bytes));
	assert_int_equal(raw_ioctl(other, VHOST_GET_FEATURES, bytes), -ENOTTY);
	assert_int_equal(raw_ioctl(-1, VHOST_GET_FEATURES, bytes), -EBADF);
	assert_int_equal(raw_write(-1, bytes, sizeof(bytes)), -EBADF);
	assert_int_equal(lseek(other, 0, SEEK_END), 2 * sizeof(bytes) + 8);
	assert_int_equal(raw_close(high), 0);
	assert_errno(EBADF, fcntl(high, F_GETFD));
	close(other);
	close(fd);
}

static void raw_copies_and_closes_are_followed(void **state)
{
	int fd = open_node(), copy = (int)RAW3(SYS_dup, fd, 0, 0), low;

	assert_true(copy > fd);
	low = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(RAW3(SYS_dup2, fd, low, 0), low);
	assert_int_equal(raw_close(fd), 0);
	assert_int_equal(raw_close(copy), 0);
	set_status(low, 1);
	assert_int_equal(raw_ioctl(low, VHOST_VDPA_GET_STATUS, &(uint8_t){0}), 0);
	assert_errno(EBUSY, open(NODE, O_RDWR));
	assert_int_equal(close(low), 0);
	assert_closed();
}

static void *write_to_pipe(void *arg)
{
	char message[64] = "";

	return raw_write(*(int *)arg, message, sizeof(message)) == sizeof(message) ? NULL : arg;
}

static void *ask_status(void *arg)
{
	int fd = __atomic_load_n((int *)arg, __ATOMIC_RELAXED);
	long rc = raw_ioctl(fd, VHOST_VDPA_GET_STATUS, &(uint8_t){0});

	__atomic_store_n((int *)arg, rc == 0 ? -1 : -2, __ATOMIC_RELEASE);
	return NULL;
}

/* Is a call answered, while another thread's waits? */
static bool is_answered(int fd)
{
	static int answer; /* atomic; the descriptor until then */
	pthread_t thread;

	answer = fd;
	assert_int_equal(pthread_create(&thread, NULL, ask_status, &answer), 0);
	for (int ms = 0; ms < 20000 && __atomic_load_n(&answer, __ATOMIC_ACQUIRE) >= 0; ms++)
		(void)poll(NULL, 0, 1);
	return __atomic_load_n(&answer, __ATOMIC_ACQUIRE) == -1;
}

/* A number of the client's choice, which was a device's and is a pipe's now. */
static void raw_write_to_what_was_a_device_holds_up_no_other_call(void **state)
{
	static char bytes[1 << 16];
	int fd = open_node(), ends[2];
	pthread_t thread;
	void *failed;

	assert_int_equal(dup2(fd, 50), 50);
	assert_int_equal(close_behind(50), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	while (write(ends[1], bytes, 4096) > 0)
		;
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	assert_int_equal(RAW3(SYS_dup2, ends[1], 50, 0), 50);
	assert_int_equal(pthread_create(&thread, NULL, write_to_pipe, &(int){50}), 0);
	for (int i = 0; i < 100; i++)
		assert_true(is_answered(fd));
	assert_true(read(ends[0], bytes, sizeof(bytes)) > 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	close(50);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	assert_closed();
}

static void *lock_all(void *arg)
{
	struct flock all = {.l_type = F_WRLCK};

	return RAW3(SYS_fcntl, *(int *)arg, F_SETLKW, &all) == 0 ? NULL : arg;
}

static void raw_lock_that_another_process_has_holds_up_no_other_call(void **state)
{
	int fd = open_node(), ready[2], end[2];
	struct flock some = {.l_type = F_WRLCK, .l_len = 100};
	pthread_t thread;
	void *failed;
	char byte = 0;
	pid_t pid;

	assert_true(pipe(ready) == 0 && pipe(end) == 0);
	pid = fork();
	if (pid == 0) {
		close(end[1]);
		if (fcntl(fd, F_SETLK, &some) < 0 || write(ready[1], &byte, 1) != 1)
			_exit(1);
		_exit(read(end[0], &byte, 1) == 0 ? 0 : 2);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(pthread_create(&thread, NULL, lock_all, &fd), 0);
	for (int i = 0; i < 100; i++)
		assert_true(is_answered(fd));
	close(end[1]);
	assert_int_equal(child_status(pid), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	close(end[0]);
	close(ready[0]);
	close(ready[1]);
	close(fd);
	assert_closed();
}

static void *take_own_table(void *arg)
{
	*(long *)arg = RAW3(SYS_close_range, 3, UINT32_MAX, CLOSE_RANGE_UNSHARE);
	return NULL;
}

/* It is the thread's that calls, not of whoever answers its calls. */
static void raw_table_of_a_thread_of_its_own_is_the_threads(void **state)
{
	int fd = open_node(), copy;
	pthread_t thread;
	long rc = -1;

	assert_int_equal(raw_ioctl(fd, VHOST_VDPA_GET_STATUS, &(uint8_t){0}), 0);
	assert_int_equal(pthread_create(&thread, NULL, take_own_table, &rc), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(rc, 0);
	copy = dup(fd);
	assert_int_equal(raw_ioctl(copy, VHOST_VDPA_GET_STATUS, &(uint8_t){0}), 0);
	assert_int_equal(raw_close(fd), 0);
	assert_int_equal(raw_ioctl(copy, VHOST_VDPA_GET_STATUS, &(uint8_t){0}), 0);
	assert_int_equal(close(copy), 0);
	assert_closed();
}

struct apart {
	int fd, other;
	long rc[4];
};

static void *use_own_table(void *arg)
{
	struct apart *a = arg;

	a->rc[0] = RAW3(SYS_unshare, CLONE_FILES, 0, 0);
	a->rc[1] = raw_close(a->fd);
	a->rc[2] = RAW3(SYS_dup2, a->other, a->fd, 0) - a->fd;
	a->rc[3] = RAW3(SYS_close_range, 3, UINT32_MAX, 0);
	return NULL;
}

/* Where the client's thread itself is trapped, the handler runs with the thread's own numbers, but
 * nobody has seen that it has some. */
static void raw_thread_with_a_table_of_its_own_closes_nothing_of_the_others(void **state)
{
	struct apart a = {.fd = -1};
	pthread_t thread;

	if (!is_way("listener"))
		skip();
	a.fd = open_node();
	a.other = open("/dev/null", O_RDWR);
	set_status(a.fd, 1);
	assert_int_equal(pthread_create(&thread, NULL, use_own_table, &a), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(a.rc[i], 0);
	assert_int_equal(fcntl(a.other, F_GETFD), 0);
	assert_int_equal(get_status(a.fd), 1);
	close(a.other);
	close(a.fd);
	assert_closed();
}

static void raw_calls_of_a_forked_child_are_not_the_owners(void **state)
{
	int fd = open_owned(), other;
	uint8_t status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct vhost_msg_v2 msg = update_message(&status);

		other = memfd_create("other", MFD_CLOEXEC);
		_exit(raw_ioctl(fd, VHOST_VDPA_GET_STATUS, &status) != -EPERM       ? 1
		      : raw_ioctl(fd, VHOST_SET_OWNER, NULL) != -EBUSY              ? 2
		      : raw_write(fd, &msg, sizeof(msg)) != -EFAULT                 ? 3
		      : raw_write(other, &msg, sizeof(msg)) != sizeof(msg)          ? 4
		      : raw_ioctl(other, VHOST_VDPA_GET_STATUS, &status) != -ENOTTY ? 5
		      : RAW3(SYS_lseek, fd, 0, SEEK_SET) != -ESPIPE                 ? 7
		      : RAW3(SYS_read, fd, &status, 1) != -EINVAL                   ? 8
		      : RAW3(SYS_fsync, fd, 0, 0) != -EINVAL                        ? 9
		      : RAW6(SYS_sendfile, other, fd, NULL, 8, 0, 0) != -EINVAL     ? 10
		      : RAW3(SYS_lseek, other, 0, SEEK_SET) != 0                    ? 11
		      : raw_close(fd)                                               ? 6
										    : 0);
	}
	assert_int_equal(child_status(pid), 0);
	assert_int_equal(raw_ioctl(fd, VHOST_VDPA_GET_STATUS, &status), 0);
	close(fd);
	assert_closed();
}

static void *call_from_thread(void *arg)
{
	uint8_t status = 0;
	sigset_t all;

	if (is_way("listener")) { /* SIGSYS cannot be blocked where it is what catches */
		sigfillset(&all);
		RAW3(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL);
	}
	for (int i = 0; i < 1000; i++)
		if (raw_ioctl(*(int *)arg, VHOST_VDPA_GET_STATUS, &status) != 0)
			return arg;
	return NULL;
}

static void raw_calls_of_several_threads_are_answered(void **state)
{
	pthread_t threads[4];
	int fd = open_owned();
	void *result;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_from_thread, &fd), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
	close(fd);
}

static volatile int nr_alarms;

static void count_alarm(int sig)
{
	nr_alarms++;
}

/* An UPDATE that is made twice is refused. */
static void a_raw_call_is_made_once_under_a_storm_of_signals(void **state)
{
	struct sigaction act = {.sa_handler = count_alarm, .sa_flags = SA_RESTART};
	struct itimerval every = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
	int fd = open_owned(), nr_bad = 0;
	void *page = shared_page();

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (int i = 0; i < NR_UPDATES; i++)
		nr_bad += send_update(fd, (uint64_t)(i + 1) << 16, page, VHOST_IOTLB_UPDATE) != 72;
	setitimer(ITIMER_REAL, &never, NULL);
	assert_int_equal(nr_bad, 0);
	assert_true(nr_alarms > 100);
	close(fd);
	munmap(page, 4096);
}

static void code_that_is_loaded_later_is_seen_when_the_device_starts(void **state)
{
	long (*plugin_ioctl)(int fd, unsigned long cmd, void *arg);
	uint8_t status = 0;
	void *plugin;
	int fd;

	fd = open_node();
	plugin = dlopen(plugin_path, RTLD_NOW);
	assert_non_null(plugin);
	*(void **)&plugin_ioctl = dlsym(plugin, "plugin_ioctl");
	set_status(fd, 1);
	assert_int_equal(plugin_ioctl(fd, VHOST_VDPA_GET_STATUS, &status), 0);
	assert_int_equal(status, 1);
	close(fd);
}

static volatile sig_atomic_t seen_sigsys;

static void count_sigsys(int sig)
{
	seen_sigsys++;
}

static void the_clients_own_handler_for_sigsys_stays_its_own(void **state)
{
	struct sigaction act = {.sa_handler = count_sigsys}, old;
	uint8_t status = 0;
	int fd;

	assert_int_equal(sigaction(SIGSYS, &act, NULL), 0);
	fd = open_node();
	assert_int_equal(raw_ioctl(fd, VHOST_VDPA_GET_STATUS, &status), 0);
	assert_int_equal(seen_sigsys, 0);
	raise(SIGSYS);
	assert_int_equal(seen_sigsys, 1);
	assert_int_equal(sigaction(SIGSYS, NULL, &old), 0);
	assert_ptr_equal(old.sa_handler, count_sigsys);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_that_are_all_closed_leave_raw_calls_alone),
		cmocka_unit_test(raw_opens_of_a_forked_child_find_its_own_node),
		cmocka_unit_test(raw_calls_that_name_a_node_find_it),
		cmocka_unit_test(raw_opens_of_each_kind_find_a_node),
		cmocka_unit_test(raw_calls_of_each_kind_find_a_name),
		cmocka_unit_test(raw_listings_of_dev_have_the_node),
		cmocka_unit_test(raw_calls_on_a_device_are_answered_as_the_wrappers_do),
		cmocka_unit_test(raw_calls_on_other_files_are_the_kernels),
		cmocka_unit_test(raw_copies_and_closes_are_followed),
		cmocka_unit_test(raw_write_to_what_was_a_device_holds_up_no_other_call),
		cmocka_unit_test(raw_lock_that_another_process_has_holds_up_no_other_call),
		cmocka_unit_test(raw_table_of_a_thread_of_its_own_is_the_threads),
		cmocka_unit_test(raw_thread_with_a_table_of_its_own_closes_nothing_of_the_others),
		cmocka_unit_test(raw_calls_of_a_forked_child_are_not_the_owners),
		cmocka_unit_test(raw_calls_of_several_threads_are_answered),
		cmocka_unit_test(a_raw_call_is_made_once_under_a_storm_of_signals),
		cmocka_unit_test(code_that_is_loaded_later_is_seen_when_the_device_starts),
		cmocka_unit_test(the_clients_own_handler_for_sigsys_stays_its_own),
	};

	plugin_path = argv[1];
	way = argv[2];
	return cmocka_run_group_tests_name(way, tests, NULL, NULL);
}
