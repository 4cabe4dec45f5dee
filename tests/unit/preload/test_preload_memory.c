// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client of two devices with pinned memory. What it has unmapped stays locked, which it sees in
 * VmLck alone: every call on that memory does what it does without us. Both devices together lock
 * and count memory once.
 */
#include "client.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#define PAGE 4096u
#define NR   64u
#define LEN  ((size_t)NR * PAGE)

static int dev[2] = {-1, -1};
static int file;
static char *mem; /* NR pages of @file */

static unsigned long nr_locked(void)
{
	char text[8192], *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	at = strstr(text, "VmLck:");
	assert_non_null(at);
	return strtoul(at + 6, NULL, 10) / 4;
}

static int message(int fd, uint8_t type, uint64_t iova, void *addr, size_t nr_pages)
{
	struct vhost_msg_v2 msg = update_message(addr);

	msg.iotlb.iova = iova;
	msg.iotlb.size = nr_pages * PAGE;
	msg.iotlb.type = type;
	return write(fd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -errno;
}

static void map_to(int fd)
{
	assert_int_equal(message(fd, VHOST_IOTLB_UPDATE, 0, mem, NR), 0);
}

static void unmap_from(int fd)
{
	assert_int_equal(message(fd, VHOST_IOTLB_INVALIDATE, 0, mem, NR), 0);
}

static int open_device(int i)
{
	int fd = open(i ? "/dev/vhost-vdpa-1" : NODE, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, VHOST_SET_OWNER, NULL), 0);
	return fd;
}

static int setup(void **state)
{
	file = memfd_create("client", MFD_CLOEXEC);
	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, (off_t)LEN), 0);
	mem = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	assert_true(mem != MAP_FAILED);
	for (int i = 0; i < 2; i++)
		dev[i] = open_device(i);
	assert_int_equal(nr_locked(), 0);
	return 0;
}

static int teardown(void **state)
{
	close(dev[0]);
	close(dev[1]);
	assert_int_equal(nr_locked(), 0);
	munmap(mem, LEN);
	close(file);
	return 0;
}

static void memory_unmapped_is_held(void **state)
{
	map_to(dev[0]);
	unmap_from(dev[0]);
	assert_int_equal(nr_locked(), NR);
	map_to(dev[0]);
	unmap_from(dev[0]);
	assert_int_equal(nr_locked(), NR);
}

static void memory_of_two_devices_counts_once(void **state)
{
	struct rlimit before, limit;
	void *page = shared_page();

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
	limit = (struct rlimit){NR * PAGE, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	map_to(dev[0]);
	map_to(dev[1]);
	assert_int_equal(nr_locked(), NR);
	assert_int_equal(message(dev[1], VHOST_IOTLB_UPDATE, LEN, page, 1), -EFAULT);
	unmap_from(dev[0]);
	assert_int_equal(message(dev[0], VHOST_IOTLB_UPDATE, LEN, mem, NR), 0);
	unmap_from(dev[1]);
	assert_int_equal(message(dev[0], VHOST_IOTLB_INVALIDATE, LEN, NULL, NR), 0);
	assert_int_equal(nr_locked(), NR);
	munmap(page, PAGE);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

/* ---- the client's calls on held memory ---- */

static int do_munmap(void)
{
	return munmap(mem, LEN);
}

static int do_map_over(void)
{
	return mmap(mem, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == mem ? 0
											      : -1;
}

static int do_mremap(void)
{
	char *to = mmap(NULL, LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mremap(mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to ? munmap(to, LEN)
									      : -1;
}

static int do_dontneed(void)
{
	return madvise(mem + PAGE, PAGE, MADV_DONTNEED);
}

static int do_remove(void)
{
	return madvise(mem, LEN, MADV_REMOVE);
}

static int do_cold(void)
{
	return madvise(mem, LEN, MADV_COLD);
}

static int do_punch(void)
{
	return fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)LEN);
}

static int do_truncate(void)
{
	return ftruncate(file, 0) || ftruncate(file, (off_t)LEN);
}

static int do_msync(void)
{
	return msync(mem, LEN, MS_INVALIDATE);
}

static int do_mlock(void)
{
	return mlock(mem, LEN) || nr_locked() != NR || munlock(mem, LEN);
}

static const struct {
	const char *what;
	int (*call)(void);
} calls[] = {
	{"munmap", do_munmap},          {"mmap over it", do_map_over},
	{"mremap", do_mremap},          {"madvise DONTNEED", do_dontneed},
	{"madvise REMOVE", do_remove},  {"madvise COLD", do_cold},
	{"punch a hole", do_punch},     {"truncate", do_truncate},
	{"msync INVALIDATE", do_msync}, {"mlock, munlock", do_mlock},
};

static void memory_held_takes_every_call(void **state)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		print_message("  %s\n", calls[i].what);
		map_to(dev[0]);
		unmap_from(dev[0]);
		assert_int_equal(nr_locked(), NR);
		assert_int_equal(calls[i].call(), 0);
		assert_int_equal(nr_locked(), 0);
		assert_true(mmap(mem, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file,
				 0) == mem);
	}
}

/* The client's locks and a device's are not each other's. */
static void memory_registered_keeps_the_clients_own_lock(void **state)
{
	assert_int_equal(mlock(mem, PAGE), 0); /* before the device */
	map_to(dev[0]);
	assert_int_equal(mlock(mem + 2 * PAGE, PAGE), 0); /* and after it */
	assert_int_equal(nr_locked(), NR);
	unmap_from(dev[0]);
	close(dev[0]);
	assert_int_equal(nr_locked(), 2);
	assert_int_equal(munlock(mem, LEN), 0);
	assert_int_equal(nr_locked(), 0);
	dev[0] = open_device(0);
	map_to(dev[0]);
	assert_int_equal(munlock(mem, LEN), 0);
	assert_int_equal(nr_locked(), NR);
	assert_int_equal(munlockall(), 0);
	assert_int_equal(nr_locked(), NR);
	unmap_from(dev[0]);
}

static bool is_locked(const char *page)
{
	return syscall(SYS_msync, page, PAGE, MS_INVALIDATE) < 0 && errno == EBUSY;
}

/* A call that the kernel refuses has unlocked nothing. */
static void memory_stays_locked_if_munlock_is_refused(void **state)
{
	assert_int_equal(mlock(mem, PAGE), 0);
	map_to(dev[0]);
	assert_errno(EINVAL, munlock(mem, SIZE_MAX - PAGE));
	unmap_from(dev[0]);
	close(dev[0]);
	assert_true(is_locked(mem));
	assert_false(is_locked(mem + PAGE));
	assert_int_equal(munlock(mem, PAGE), 0);
}

static void map_anew(size_t nth, int flags)
{
	char *at = mem + nth * PAGE;

	munmap(at, PAGE);
	assert_true(mmap(at, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags, -1, 0) == at);
}

/* What the client maps anew and locked, where a device has memory registered, is its own. */
static void memory_mapped_anew_and_locked_stays_locked(void **state)
{
	map_anew(0, 0);
	map_anew(1, 0);
	map_anew(2, 0);
	map_to(dev[0]);
	map_anew(0, MAP_LOCKED);
	map_anew(1, 0);
	assert_int_equal(mlockall(MCL_FUTURE), 0);
	map_anew(2, 0);
	unmap_from(dev[0]);
	close(dev[0]);
	assert_true(is_locked(mem));
	assert_false(is_locked(mem + PAGE));
	assert_true(is_locked(mem + 2 * PAGE));
	assert_int_equal(munlockall(), 0);
	dev[0] = open_device(0);
	map_to(dev[0]);
	map_anew(2, 0); /* the future is over */
	unmap_from(dev[0]);
	close(dev[0]);
	assert_false(is_locked(mem + 2 * PAGE));
}

/* ---- a thread that does not come back from such a call ---- */

/* The library asks the kernel by a descriptor that it keeps, and opens it again if need be. */
static void close_kept_map(void)
{
	DIR *dir = opendir("/proc/self/fd");
	char path[300], target[64];
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		len = readlink(path, target, sizeof(target) - 1);
		if (len < 5 || memcmp(target + len - 5, "/maps", 5) != 0)
			continue;
		close_behind(atoi(entry->d_name));
	}
	closedir(dir);
}

static bool has_unmapped;

static void *unmap_cancelled(void *arg)
{
	pthread_cancel(pthread_self());
	(void)munmap(mem, PAGE); /* no cancellation point */
	has_unmapped = true;
	pthread_testcancel();
	return arg;
}

static void memory_calls_are_no_cancellation_points(void **state)
{
	pthread_t thread;

	map_to(dev[0]);
	unmap_from(dev[0]);
	close_kept_map();
	assert_int_equal(pthread_create(&thread, NULL, unmap_cancelled, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)alarm(20); /* for a lock that is left behind */
	assert_true(has_unmapped);
	map_anew(0, 0);
	map_to(dev[1]);
	unmap_from(dev[1]);
	(void)alarm(0);
}

static sigjmp_buf back;

static void on_alarm(int sig)
{
	siglongjmp(back, 1);
}

static void memory_calls_that_a_handler_leaves_leave_no_lock_behind(void **state)
{
	const struct itimerval every = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
	char *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile int nr_jumps = 0;

	assert_true(other != MAP_FAILED);
	map_to(dev[0]);
	unmap_from(dev[0]);
	signal(SIGALRM, on_alarm);
	while (nr_jumps++ < 1000) {
		if (sigsetjmp(back, 1) != 0)
			continue;
		setitimer(ITIMER_REAL, &every, NULL);
		for (;;)
			(void)madvise(other, PAGE, MADV_DONTNEED);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	(void)alarm(20);
	map_to(dev[0]);
	unmap_from(dev[0]);
	(void)alarm(0);
	munmap(other, PAGE);
}

/* Without MREMAP_FIXED the last argument is a wish. */
static void memory_moves_to_where_the_client_wishes(void **state)
{
	char *from = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *room = mmap(NULL, 5 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *wish = room + PAGE;

	assert_true(from != MAP_FAILED && room != MAP_FAILED);
	munmap(wish, PAGE);
	munmap(wish + 2 * PAGE, PAGE); /* the kernel's choice is the higher one */
	assert_true(mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, wish) == wish);
	munmap(from, PAGE);
	munmap(room, 5 * PAGE);
}

/* Without the capability, so that the kernel's own limit counts: held memory is no reason for a
 * refusal. */
static int body_limit(void)
{
	struct rlimit limit = {NR * PAGE, NR * PAGE};
	char *own = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return 1;
	if (geteuid() == 0 && setuid(65534) < 0)
		return 2;
	map_to(dev[0]);
	unmap_from(dev[0]);
	if (nr_locked() != NR)
		return 3;
	errno = 0;
	if (mlock(own, LEN) < 0 || nr_locked() != NR || munlock(own, LEN) < 0)
		return 4;
	if (errno != 0)
		return 6;
	map_to(dev[0]);
	unmap_from(dev[0]);
	errno = 0;
	if (mmap(NULL, LEN, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) ==
	    MAP_FAILED)
		return 5;
	if (errno != 0)
		return 7;
	return 0;
}

/* Last: it gives up what it may do. */
static void memory_held_gives_way_to_the_clients_locks(void **state)
{
	assert_int_equal(body_limit(), 0);
}

static int teardown_limit(void **state)
{
	close(dev[0]);
	close(dev[1]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(memory_unmapped_is_held, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_of_two_devices_counts_once, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_held_takes_every_call, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_registered_keeps_the_clients_own_lock, setup,
						teardown),
		cmocka_unit_test_setup_teardown(memory_stays_locked_if_munlock_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(memory_mapped_anew_and_locked_stays_locked, setup,
						teardown),
		cmocka_unit_test_setup_teardown(memory_moves_to_where_the_client_wishes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(memory_calls_are_no_cancellation_points, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			memory_calls_that_a_handler_leaves_leave_no_lock_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_held_gives_way_to_the_clients_locks, setup,
						teardown_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
