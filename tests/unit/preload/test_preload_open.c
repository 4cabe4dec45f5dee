// SPDX-License-Identifier: BSD-3-Clause
/* A node as a client sees it: detection, opening, and what a descriptor does besides ioctl and
 * write. */
#include "client.h"

#include <linux/openat2.h>
#include <sys/epoll.h>
#include <sys/sysmacros.h>

/* Return: major of "vhost-vdpa" among the character devices of @f, 0 if it is not there. */
static unsigned int listed_major(FILE *f)
{
	char line[128], name[64];
	unsigned int major, found = 0;
	bool in_chars = false;

	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, "devices:"))
			in_chars = strncmp(line, "Character", 9) == 0;
		else if (in_chars && sscanf(line, "%u %63s", &major, name) == 2 &&
			 strcmp(name, "vhost-vdpa") == 0)
			found = major;
	}
	return found;
}

static void preload_stat_node_matches_proc_devices(void **state)
{
	FILE *f = fopen("/proc/devices", "re");
	struct stat st, by_fd;
	struct stat64 st64;
	int fd;

	assert_non_null(f);
	assert_int_equal(stat(NODE, &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(minor(st.st_rdev), 0);
	assert_int_equal(major(st.st_rdev), listed_major(f));
	assert_int_not_equal(major(st.st_rdev), 0);
	fclose(f);

	assert_int_equal(stat64(NODE, &st64), 0);
	assert_int_equal(st64.st_rdev, st.st_rdev);
	fd = open_node();
	assert_int_equal(fstat(fd, &by_fd), 0);
	assert_memory_equal(&by_fd, &st, sizeof(st));
	memset(&by_fd, 0, sizeof(by_fd));
	assert_int_equal(fstatat(fd, "", &by_fd, AT_EMPTY_PATH), 0);
	assert_memory_equal(&by_fd, &st, sizeof(st));
	close(fd);
}

static void preload_statx_node_is_character_device(void **state)
{
	struct statx stx;
	struct stat st;

	assert_int_equal(statx(AT_FDCWD, NODE, 0, STATX_BASIC_STATS, &stx), 0);
	assert_int_equal(stat(NODE, &st), 0);
	assert_true(S_ISCHR(stx.stx_mode));
	assert_int_equal(stx.stx_rdev_major, major(st.st_rdev));
	assert_int_equal(stx.stx_ino, st.st_ino);
}

/* The last byte of a page behind which nothing is mapped. */
static char *page_end(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(page != MAP_FAILED);
	assert_int_equal(munmap(page + 4096, 4096), 0);
	return page + 4095;
}

/* The calls without what libc's headers promise about their arguments. */
static int (*volatile call_statx)(int fd, const char *path, int flags, unsigned int mask,
				  struct statx *stx) = statx;
static int (*volatile call_stat)(const char *path, struct stat *st) = stat;
static int (*volatile call_access)(const char *path, int mode) = access;
static int (*volatile call_open)(const char *path, int flags, ...) = open;

/* What a program asks once to learn whether the kernel has statx(2): Rust's standard library
 * does. */
static void preload_statx_of_null_is_efault(void **state)
{
	struct stat *no_room = (struct stat *)8;

	assert_errno(EFAULT, call_statx(0, NULL, 0, STATX_BASIC_STATS | STATX_BTIME, NULL));
	assert_errno(EFAULT, call_stat(NULL, no_room));
	assert_errno(EFAULT, call_access(NULL, R_OK));
	assert_errno(EFAULT, call_open(NULL, O_RDONLY));
	assert_errno(EFAULT, call_statx(AT_FDCWD, NODE, 0, STATX_BASIC_STATS, NULL));
	assert_errno(EFAULT, call_stat(NODE, no_room));
}

static void preload_path_that_runs_into_nothing_is_efault(void **state)
{
	char *end = page_end();
	struct stat st;
	char *path;

	for (size_t len = 1; len <= strlen(NODE); len++) {
		path = end + 1 - len;
		memcpy(path, NODE, len);
		assert_errno(EFAULT, stat(path, &st));
		assert_errno(EFAULT, open(path, O_RDWR));
		assert_errno(EFAULT, access(path, R_OK));
	}
	strcpy(end - strlen(NODE), NODE);
	assert_int_equal(stat(end - strlen(NODE), &st), 0);
	strcpy(end - 1, "/");
	assert_int_equal(stat(end - 1, &st), 0);
	munmap(end - 4095, 4096);
}

/* [1-1] */
static void preload_vectors_are_checked_as_by_the_kernel(void **state)
{
	struct vhost_msg_v2 msg = update_message(NULL);
	struct iovec *volatile nowhere = (struct iovec *)8;
	struct iovec kernels[2] = {{&msg, 8}, {(void *)INTPTR_MIN, 64}};
	struct iovec negative[2] = {{&msg, 72}, {&msg, SIZE_MAX}};
	int fd = open_node();

	assert_errno(EFAULT, writev(fd, nowhere, 1));
	assert_int_equal(writev(fd, nowhere, 0), 0);
	assert_errno(EFAULT, writev(fd, kernels, 2));
	assert_errno(EINVAL, writev(fd, negative, 2));
	assert_errno(EFAULT, pwritev2(fd, nowhere, 1, -1, 0));
	assert_errno(EINVAL, preadv2(fd, nowhere, 1, -1, 0));
	close(fd);
}

static void preload_proc_devices_keeps_the_kernels_lines(void **state)
{
	static char ours[65536], kernels[65536];
	int fd = open("/proc/devices", O_RDONLY);
	ssize_t nr = read(fd, ours, sizeof(ours) - 1);
	FILE *raw;
	char *line;

	assert_true(nr > 0);
	close(fd);
	/* another program reads the kernel's own, without the library */
	raw = popen("LD_PRELOAD= cat /proc/devices", "r");
	assert_non_null(raw);
	assert_true(fread(kernels, 1, sizeof(kernels) - 1, raw) > 0);
	pclose(raw);
	assert_null(strstr(kernels, "vhost-vdpa"));
	for (line = strtok(kernels, "\n"); line; line = strtok(NULL, "\n"))
		assert_non_null(strstr(ours, line));
}

static void preload_missing_node_is_enoent(void **state)
{
	struct stat st;

	assert_errno(ENOENT, stat("/dev/vhost-vdpa-1", &st));
	assert_errno(ENOENT, open("/dev/vhost-vdpa-1", O_RDWR));
	assert_errno(ENOENT, open("/dev/vhost-vdpa-00", O_RDWR));
	assert_errno(ENOENT, open("/dev/vhost-vdpa-", O_RDWR));
	assert_errno(ENOENT, open("/dev/.vhost-vdpa-0", O_RDWR));
	assert_errno(ENOENT, open("/dev/..//vhost-vdpa-0", O_RDWR));
	assert_errno(ENOENT, open("/dev/vhost-vdpa-99999999999999999999", O_RDWR));
}

static void preload_access_reads_and_writes_but_does_not_execute(void **state)
{
	assert_int_equal(access(NODE, F_OK), 0);
	assert_int_equal(access(NODE, R_OK | W_OK), 0);
	assert_int_equal(faccessat(AT_FDCWD, NODE, R_OK, 0), 0);
	assert_errno(EACCES, access(NODE, X_OK));
}

/* [4-1] */
static void preload_open_twice_is_ebusy(void **state)
{
	int fd = open_node();

	assert_errno(EBUSY, open(NODE, O_RDWR));
	assert_errno(EBUSY, openat(AT_FDCWD, NODE, O_RDONLY));
	close(fd);
	assert_closed();
}

static void preload_open_flags_are_honoured(void **state)
{
	int fd = open64(NODE, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	close(fd);
	fd = openat64(AT_FDCWD, NODE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	assert_errno(EEXIST, open(NODE, O_RDWR | O_CREAT | O_EXCL, 0600));
	assert_errno(ENOTDIR, open(NODE, O_RDONLY | O_DIRECTORY));
	assert_closed();
}

/* [1-1] */
/* Older C libraries do not have the call; the library does. */
__attribute__((weak)) int openat2(int dirfd, const char *path, const struct open_how *how,
				  size_t size);

static int by_openat2(int dirfd, const char *path, struct open_how how)
{
	assert_true(openat2 != NULL);
	return openat2(dirfd, path, &how, sizeof(how));
}

static void preload_openat2_opens_a_node_and_keeps_the_kernels_rules(void **state)
{
	const struct open_how how = {.flags = O_RDWR | O_CLOEXEC};
	struct open_how beneath = how, in_root = how, wrong = how;
	int dev = open("/dev", O_RDONLY | O_DIRECTORY);
	int fd;

	fd = by_openat2(AT_FDCWD, NODE, how);
	assert_true(fd >= 0);
	assert_int_equal(get_status(fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_errno(EBUSY, by_openat2(dev, &NODE[5], how));
	close(fd);
	beneath.resolve = RESOLVE_BENEATH;
	fd = by_openat2(dev, &NODE[5], beneath);
	assert_true(fd >= 0);
	assert_int_equal(get_status(fd), 0);
	close(fd);
	assert_errno(EXDEV, by_openat2(dev, NODE, beneath));
	in_root.resolve = RESOLVE_IN_ROOT; /* /dev/dev/vhost-vdpa-0 */
	assert_errno(ENOENT, by_openat2(dev, NODE, in_root));
	wrong.mode = 0600;
	assert_errno(EINVAL, by_openat2(AT_FDCWD, NODE, wrong));
	close(dev);
}

static void preload_read_only_node_takes_ioctls_and_no_writes(void **state)
{
	void *page = shared_page();
	struct vhost_msg_v2 msg = update_message(page);
	int fd = open(NODE, O_RDONLY);

	assert_int_equal(get_status(fd), 0);
	assert_int_equal(ioctl(fd, VHOST_SET_OWNER), 0);
	assert_errno(EBADF, write(fd, &msg, sizeof(msg)));
	close(fd);
	fd = open_node();
	assert_int_equal(ioctl(fd, VHOST_SET_OWNER), 0);
	assert_int_equal(write(fd, &msg, sizeof(msg)), sizeof(msg));
	close(fd);
	munmap(page, 4096);
}

/* What a program calls that is built with _FORTIFY_SOURCE. */
ssize_t __pread_chk(int fd, void *buf, size_t len, off_t off, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t off, size_t room);

/* [1-1] */
static void preload_read_is_einval(void **state)
{
	char buf[8];
	struct iovec iov = {buf, sizeof(buf)};
	int fd = open_node();

	assert_errno(EINVAL, read(fd, buf, sizeof(buf)));
	assert_errno(EINVAL, readv(fd, &iov, 1));
	assert_errno(EINVAL, pread(fd, buf, sizeof(buf), 0));
	assert_errno(EINVAL, __pread_chk(fd, buf, sizeof(buf), 0, sizeof(buf)));
	assert_errno(EINVAL, __pread64_chk(fd, buf, sizeof(buf), 0, sizeof(buf)));
	close(fd);
	fd = open(NODE, O_WRONLY);
	assert_true(fd >= 0);
	assert_errno(EBADF, read(fd, buf, sizeof(buf)));
	close(fd);
}

/* [1-1] */
static void preload_poll_is_always_ready_and_epoll_refused(void **state)
{
	int fd = open_node();
	struct pollfd pfd = {.fd = fd, .events = POLLIN | POLLOUT};
	struct epoll_event event = {.events = EPOLLIN};
	int ep = epoll_create1(EPOLL_CLOEXEC);

	assert_int_equal(poll(&pfd, 1, 0), 1);
	assert_int_equal(pfd.revents, POLLIN | POLLOUT);
	assert_errno(EPERM, epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
	close(ep);
	close(fd);
}

/* [1-41] */
static void preload_mmap_is_refused(void **state)
{
	int fd = open_node();
	void *anon;

	errno = 0;
	assert_true(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(errno, 524);
	assert_true(mmap64(NULL, 4096, PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_true(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(errno, 524); /* a page */
	assert_true(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 512) == MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	anon = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	assert_true(anon != MAP_FAILED);
	munmap(anon, 4096);
	close(fd);
	fd = open(NODE, O_RDONLY);
	assert_true(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(errno, EACCES);
	close(fd);
}

static void preload_success_keeps_errno(void **state)
{
	struct stat st;
	int fd;

	errno = ENOTNAM;
	fd = open(NODE, O_RDWR);
	assert_int_equal(errno, ENOTNAM);
	assert_int_equal(get_status(fd), 0);
	assert_int_equal(errno, ENOTNAM);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(errno, ENOTNAM);
	assert_int_equal(close(fd), 0);
	assert_int_equal(errno, ENOTNAM);
	fclose(fopen("/proc/devices", "r"));
	assert_int_equal(errno, ENOTNAM);
}

/* Raw calls are caught by a filter, and a client that makes none does not pay for one. */
static void preload_client_that_calls_libc_alone_gets_no_filter(void **state)
{
	int before = nr_filters();

	assert_closed();
	assert_int_equal(nr_filters(), before);
}

static void path_may_have_more_slashes_and_dots(void **state)
{
	static const char *const paths[] = {"/dev//vhost-vdpa-0",        "/dev/./vhost-vdpa-0",
					    "/dev/.//././/vhost-vdpa-0", "//dev/vhost-vdpa-0",
					    "/./dev/vhost-vdpa-0",       "/dev/../dev/vhost-vdpa-0",
					    "/proc/../dev/vhost-vdpa-0"};
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int fd = open(paths[i], O_RDWR);

		assert_true(fd >= 0);
		assert_int_equal(stat(paths[i], &st), 0);
		assert_true(S_ISCHR(st.st_mode));
		assert_int_equal(close(fd), 0);
	}
}

/* What openat(2), openat2(2) and the calls that look give for @path from @dirfd on. */
static void assert_leads_to_node(int dirfd, const char *path)
{
	struct open_how how = {.flags = O_RDWR};
	struct stat st;
	char text[8];
	int fd;

	assert_int_equal(fstatat(dirfd, path, &st, 0), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(faccessat(dirfd, path, R_OK | W_OK, 0), 0);
	assert_errno(EINVAL, (int)readlinkat(dirfd, path, text, sizeof(text)));
	fd = openat(dirfd, path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(get_status(fd), 0);
	assert_errno(EBUSY, openat(dirfd, path, O_RDWR));
	assert_int_equal(close(fd), 0);
	fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	if (fd < 0 && errno == ENOSYS)
		return;
	assert_true(fd >= 0);
	assert_int_equal(get_status(fd), 0);
	assert_int_equal(close(fd), 0);
}

static void path_may_lead_to_dev_by_other_names(void **state)
{
	int dev = open("/dev", O_PATH | O_DIRECTORY), root = open("/", O_PATH | O_DIRECTORY);
	int before = open(".", O_PATH | O_DIRECTORY);
	char folder[] = "open.XXXXXX";

	assert_true(dev >= 0 && root >= 0 && before >= 0);
	assert_leads_to_node(dev, "vhost-vdpa-0");
	assert_leads_to_node(dev, "./vhost-vdpa-0");
	assert_leads_to_node(dev, "../dev/vhost-vdpa-0");
	assert_leads_to_node(root, "dev/vhost-vdpa-0");
	assert_leads_to_node(AT_FDCWD, "/dev/../dev/vhost-vdpa-0");
	assert_int_equal(fchdir(dev), 0);
	assert_leads_to_node(AT_FDCWD, "vhost-vdpa-0");
	assert_leads_to_node(AT_FDCWD, ".//vhost-vdpa-0");
	assert_int_equal(fchdir(root), 0);
	assert_leads_to_node(AT_FDCWD, "dev/vhost-vdpa-0");
	assert_errno(ENOENT, open("vhost-vdpa-0", O_RDWR));
	assert_errno(ENOENT, open("./vhost-vdpa-0", O_RDWR));
	assert_errno(ENOENT, open("dev/vhost-vdpa-7", O_RDWR));
	assert_int_equal(fchdir(before), 0);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(fchdir(open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC)), 0);
	assert_int_equal(symlink("/dev", "link"), 0);
	assert_leads_to_node(AT_FDCWD, "link/vhost-vdpa-0");
	assert_int_equal(unlink("link"), 0);
	assert_int_equal(fchdir(before), 0);
	assert_int_equal(rmdir(folder), 0);
	close(dev);
	close(root);
	close(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_may_have_more_slashes_and_dots),
		cmocka_unit_test(path_may_lead_to_dev_by_other_names),
		cmocka_unit_test(preload_missing_node_is_enoent),
		cmocka_unit_test(preload_stat_node_matches_proc_devices),
		cmocka_unit_test(preload_statx_node_is_character_device),
		cmocka_unit_test(preload_statx_of_null_is_efault),
		cmocka_unit_test(preload_path_that_runs_into_nothing_is_efault),
		cmocka_unit_test(preload_vectors_are_checked_as_by_the_kernel),
		cmocka_unit_test(preload_proc_devices_keeps_the_kernels_lines),
		cmocka_unit_test(preload_access_reads_and_writes_but_does_not_execute),
		cmocka_unit_test(preload_open_twice_is_ebusy),
		cmocka_unit_test(preload_open_flags_are_honoured),
		cmocka_unit_test(preload_openat2_opens_a_node_and_keeps_the_kernels_rules),
		cmocka_unit_test(preload_read_only_node_takes_ioctls_and_no_writes),
		cmocka_unit_test(preload_read_is_einval),
		cmocka_unit_test(preload_poll_is_always_ready_and_epoll_refused),
		cmocka_unit_test(preload_mmap_is_refused),
		cmocka_unit_test(preload_success_keeps_errno),
		cmocka_unit_test(preload_client_that_calls_libc_alone_gets_no_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
