// SPDX-License-Identifier: BSD-3-Clause
/*
 * Calls that any file takes, on a vhost-vdpa device: the answers of Linux 6.12 with its own
 * simulator, and a comparison with the node at hand. check-kernel runs it on that kernel, the unit
 * tests run it on Holdfast, and docs/file-calls.md has the table. With RAW, each call is made by an
 * instruction of the program's own.
 *
 * Usage: file_calls NODE    one line a difference; exit status 1 if there is one
 *        file_calls --table the table in Markdown
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/vhost.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#ifdef RAW
#include "raw_file_calls.h"
#endif

static const char *node;
static int file;     /* a regular one, with bytes to read */
static int pipes[2]; /* with bytes to read */

static char bytes[64];

static long result(long rc)
{
	return rc == -1 ? -errno : rc;
}

/* The whole device file: what a client may lock by any other. */
static long lock(int fd, int cmd)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, cmd, &all);
}

static long get_lock(int fd)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_GETLK, &all) < 0 ? -1 : all.l_type == F_UNLCK ? 0 : 1;
}

static long ask_epoll(int fd)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	long rc = result(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));

	close(ep);
	errno = rc < 0 ? (int)-rc : 0;
	return rc < 0 ? -1 : rc;
}

static long ask_poll(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static long ask_select(int fd)
{
	struct timeval now = {0, 0};
	fd_set in, out, other;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = other = in;
	return select(fd + 1, &in, &out, &other, &now);
}

static long link_of(int fd)
{
	char path[64], target[128] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof(target) - 1) < 0)
		return -1;
	return strcmp(target, node) == 0;
}

static long open_by_number(int fd, const char *folder, int flags)
{
	char path[64];
	int other;

	snprintf(path, sizeof(path), "%s/%d", folder, fd);
	other = open(path, flags | O_CLOEXEC);
	if (other >= 0)
		close(other);
	return other < 0 ? -1 : 0;
}

static long type_by_number(int fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return stat(path, &st) < 0 ? -1 : S_ISCHR(st.st_mode);
}

static long type_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? -1 : S_ISCHR(st.st_mode) && st.st_size == 0;
}

/* A copy under another number is the device, and so is what is left when the first one is closed.
 */
static long copy_to(int fd, int to)
{
	uint8_t status = 1;
	int copy = dup2(fd, to);

	if (copy != to || ioctl(copy, VHOST_VDPA_GET_STATUS, &status) < 0)
		return -1;
	close(copy);
	return status;
}

static long open_after(int (*shut)(int fd), int fd)
{
	int copy = dup(fd), again;

	if (shut(copy) < 0)
		return -1;
	again = open(node, O_RDWR | O_CLOEXEC);
	if (again >= 0 || errno != EBUSY)
		return 1;
	if (shut(fd) < 0)
		return -1;
	again = open(node, O_RDWR | O_CLOEXEC);
	if (again < 0)
		return -1;
	close(again);
	return 0;
}

static int shut_range(int fd)
{
	return (int)syscall(SYS_close_range, fd, fd, 0);
}

static int shut_by_copy(int fd)
{
	return dup2(file, fd) == fd ? close(fd) : -1;
}

static int shut_raw(int fd)
{
	return (int)syscall(SYS_close, fd);
}

static int shut_stream(int fd)
{
	FILE *stream = fdopen(fd, "r+");

	return stream ? fclose(stream) : -1;
}

static long map(int fd, size_t len, int prot, int flags, off_t off)
{
	return mmap(NULL, len, prot, flags, fd, off) == MAP_FAILED ? -1 : 0;
}

static long vector(int fd, bool out)
{
	struct iovec iov = {bytes, 8};

	return out ? writev(fd, &iov, 1) : readv(fd, &iov, 1);
}

static long pour(int fd)
{
	struct iovec iov = {bytes, 8};

	return vmsplice(fd, &iov, 1, 0);
}

static long extents(int fd)
{
	struct fiemap map = {.fm_length = 4096};

	return ioctl(fd, FS_IOC_FIEMAP, &map);
}

static long number(int fd, unsigned long cmd)
{
	uint64_t value[8] = {0};

	return ioctl(fd, cmd, value);
}

static long file_system(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 ? -1 : (long)fs.f_type;
}

/* X(name, call, flags of the open, answer of Linux 6.12) */
#define CALLS(X)                                                                                   \
	X("`lseek`, SEEK_SET", lseek(fd, 0, SEEK_SET), O_RDWR, -ESPIPE)                            \
	X("`lseek`, SEEK_CUR", lseek(fd, 0, SEEK_CUR), O_RDWR, -ESPIPE)                            \
	X("`lseek`, SEEK_END", lseek(fd, 0, SEEK_END), O_RDWR, -ESPIPE)                            \
	X("`lseek`, SEEK_DATA", lseek(fd, 0, SEEK_DATA), O_RDWR, -ESPIPE)                          \
	X("`fsync`", fsync(fd), O_RDWR, -EINVAL)                                                   \
	X("`fdatasync`", fdatasync(fd), O_RDWR, -EINVAL)                                           \
	X("`syncfs`", syncfs(fd), O_RDWR, 0)                                                       \
	X("`ftruncate`", ftruncate(fd, 0), O_RDWR, -EINVAL)                                        \
	X("`ftruncate`, read-only", ftruncate(fd, 0), O_RDONLY, -EINVAL)                           \
	X("`truncate`", truncate(node, 0), O_RDWR, -EINVAL)                                        \
	X("`fallocate`", fallocate(fd, 0, 0, 4096), O_RDWR, -ENODEV)                               \
	X("`posix_fallocate`", -posix_fallocate(fd, 0, 4096), O_RDWR, -ENODEV)                     \
	X("`posix_fadvise`", -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), O_RDWR, 0)             \
	X("`readahead`", readahead(fd, 0, 4096), O_RDWR, -EINVAL)                                  \
	X("`sync_file_range`", sync_file_range(fd, 0, 4096, 0), O_RDWR, -ESPIPE)                   \
	X("`read`", read(fd, bytes, 8), O_RDWR, -EINVAL)                                           \
	X("`read` of no bytes", read(fd, bytes, 0), O_RDWR, -EINVAL)                               \
	X("`read`, write-only", read(fd, bytes, 8), O_WRONLY, -EBADF)                              \
	X("`pread`", pread(fd, bytes, 8, 0), O_RDWR, -EINVAL)                                      \
	X("`readv`", vector(fd, false), O_RDWR, -EINVAL)                                           \
	X("`write`, read-only", write(fd, bytes, 8), O_RDONLY, -EBADF)                             \
	X("`write` of no bytes", write(fd, bytes, 0), O_RDWR, -EINVAL)                             \
	X("`writev`, read-only", vector(fd, true), O_RDONLY, -EBADF)                               \
	X("`sendfile` to it", sendfile(fd, file, &(off_t){0}, 8), O_RDWR, -EINVAL)                 \
	X("`sendfile` to it, read-only", sendfile(fd, file, &(off_t){0}, 8), O_RDONLY, -EBADF)     \
	X("`sendfile` from it", sendfile(file, fd, NULL, 8), O_RDWR, -EINVAL)                      \
	X("`sendfile` from it, at 0", sendfile(file, fd, &(off_t){0}, 8), O_RDWR, -EINVAL)         \
	X("`sendfile` from it, write-only", sendfile(file, fd, NULL, 8), O_WRONLY, -EBADF)         \
	X("`splice` to it", splice(pipes[0], NULL, fd, NULL, 8, 0), O_RDWR, -EINVAL)               \
	X("`splice` to it, at 0", splice(pipes[0], NULL, fd, &(off64_t){0}, 8, 0), O_RDWR,         \
	  -EINVAL)                                                                                 \
	X("`splice` to it, read-only", splice(pipes[0], NULL, fd, NULL, 8, 0), O_RDONLY, -EBADF)   \
	X("`splice` from it", splice(fd, NULL, pipes[1], NULL, 8, 0), O_RDWR, -EINVAL)             \
	X("`splice` from it, at 0", splice(fd, &(off64_t){0}, pipes[1], NULL, 8, 0), O_RDWR,       \
	  -EINVAL)                                                                                 \
	X("`splice` from it, write-only", splice(fd, NULL, pipes[1], NULL, 8, 0), O_WRONLY,        \
	  -EBADF)                                                                                  \
	X("`splice` of no bytes", splice(fd, NULL, pipes[1], NULL, 0, 0), O_RDWR, 0)               \
	X("`splice`, no pipe", splice(fd, NULL, file, NULL, 8, 0), O_RDWR, -EINVAL)                \
	X("`tee` from it", tee(fd, pipes[1], 8, 0), O_RDWR, -EINVAL)                               \
	X("`tee` to it", tee(pipes[0], fd, 8, 0), O_RDWR, -EINVAL)                                 \
	X("`vmsplice`", pour(fd), O_RDWR, -EBADF)                                                  \
	X("`copy_file_range` to it", copy_file_range(file, NULL, fd, NULL, 8, 0), O_RDWR, -EINVAL) \
	X("`copy_file_range` from it", copy_file_range(fd, NULL, file, NULL, 8, 0), O_RDWR,        \
	  -EINVAL)                                                                                 \
	X("`copy_file_range`, read-only", copy_file_range(file, NULL, fd, NULL, 8, 0), O_RDONLY,   \
	  -EINVAL)                                                                                 \
	X("`flock`", flock(fd, LOCK_EX | LOCK_NB), O_RDWR, 0)                                      \
	X("`fcntl`, F_SETLK of all", lock(fd, F_SETLK), O_RDWR, 0)                                 \
	X("`fcntl`, F_OFD_SETLK of all", lock(fd, F_OFD_SETLK), O_RDWR, 0)                         \
	X("`fcntl`, F_GETLK: is it locked?", get_lock(fd), O_RDWR, 0)                              \
	X("`fcntl`, F_GETSIG", fcntl(fd, F_GETSIG), O_RDWR, 0)                                     \
	X("`fcntl`, F_GETOWN", fcntl(fd, F_GETOWN), O_RDWR, 0)                                     \
	X("`fcntl`, F_SETOWN", fcntl(fd, F_SETOWN, getpid()), O_RDWR, 0)                           \
	X("`fcntl`, F_GET_SEALS", fcntl(fd, F_GET_SEALS), O_RDWR, -EINVAL)                         \
	X("`fcntl`, F_ADD_SEALS", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), O_RDWR, -EINVAL)            \
	X("`fcntl`, F_GETPIPE_SZ", fcntl(fd, F_GETPIPE_SZ), O_RDWR, -EBADF)                        \
	X("`fcntl`, F_GETLEASE", fcntl(fd, F_GETLEASE), O_RDWR, 2)                                 \
	X("`fcntl`, F_SETLEASE", fcntl(fd, F_SETLEASE, F_WRLCK), O_RDWR, -EINVAL)                  \
	X("`fcntl`, F_NOTIFY", fcntl(fd, F_NOTIFY, DN_MODIFY), O_RDWR, -ENOTDIR)                   \
	X("`fcntl`, F_GETFL: access mode", fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR, O_RDWR)         \
	X("`fcntl`, F_SETFL: O_NONBLOCK", fcntl(fd, F_SETFL, O_NONBLOCK), O_RDWR, 0)               \
	X("`fcntl`, F_SETFL: O_DIRECT", fcntl(fd, F_SETFL, O_DIRECT), O_RDWR, -EINVAL)             \
	X("`ioctl`, FIONREAD", number(fd, FIONREAD), O_RDWR, -EPERM)                               \
	X("`ioctl`, FIONBIO", number(fd, FIONBIO), O_RDWR, 0)                                      \
	X("`ioctl`, FIOASYNC", number(fd, FIOASYNC), O_RDWR, 0)                                    \
	X("`ioctl`, FIOQSIZE", number(fd, FIOQSIZE), O_RDWR, -ENOTTY)                              \
	X("`ioctl`, FIGETBSZ", number(fd, FIGETBSZ), O_RDWR, 0)                                    \
	X("`ioctl`, FIBMAP", number(fd, FIBMAP), O_RDWR, -EPERM)                                   \
	X("`ioctl`, FS_IOC_GETFLAGS", number(fd, FS_IOC_GETFLAGS), O_RDWR, -EPERM)                 \
	X("`ioctl`, FS_IOC_FIEMAP", extents(fd), O_RDWR, -EOPNOTSUPP)                              \
	X("`ioctl`, FICLONE", ioctl(fd, FICLONE, file), O_RDWR, -EXDEV)                            \
	X("`isatty`", isatty(fd), O_RDWR, 0)                                                       \
	X("`poll`", ask_poll(fd), O_RDWR, POLLIN | POLLOUT)                                        \
	X("`select`", ask_select(fd), O_RDWR, 2)                                                   \
	X("`epoll_ctl`", ask_epoll(fd), O_RDWR, -EPERM)                                            \
	X("`mmap` at offset 12", map(fd, 4096, PROT_READ, MAP_SHARED, 12), O_RDWR, -EINVAL)        \
	X("`mmap` of no bytes", map(fd, 0, PROT_READ, MAP_SHARED, 0), O_RDWR, -EINVAL)             \
	X("`mmap`, write-only", map(fd, 4096, PROT_READ, MAP_SHARED, 0), O_WRONLY, -EACCES)        \
	X("`mmap`, for writing, read-only", map(fd, 4096, PROT_WRITE, MAP_SHARED, 0), O_RDONLY,    \
	  -EACCES)                                                                                 \
	X("`fchdir`", fchdir(fd), O_RDWR, -ENOTDIR)                                                \
	X("`openat` below it", openat(fd, "x", O_RDONLY), O_RDWR, -ENOTDIR)                        \
	X("`getdents64`", syscall(SYS_getdents64, fd, bytes, sizeof(bytes)), O_RDWR, -ENOTDIR)     \
	X("`listen`", listen(fd, 1), O_RDWR, -ENOTSOCK)                                            \
	X("`fstat`: a character device?", type_of(fd), O_RDWR, 1)                                  \
	X("`fstatfs`: type", file_system(fd), O_RDWR, 0x01021994)                                  \
	X("`stat` of `/proc/self/fd/N`: a character device?", type_by_number(fd), O_RDWR, 1)       \
	X("`readlink` of `/proc/self/fd/N`: the node's path?", link_of(fd), O_RDWR, 1)             \
	X("`open` of the node", open(node, O_RDWR), O_RDWR, -EBUSY)                                \
	X("`open` of `/proc/self/fd/N`", open_by_number(fd, "/proc/self/fd", O_RDWR), O_RDWR,      \
	  -EBUSY)                                                                                  \
	X("`open` of `/proc/thread-self/fd/N`",                                                    \
	  open_by_number(fd, "/proc/thread-self/fd", O_RDONLY), O_RDWR, -EBUSY)                    \
	X("`open` of `/dev/fd/N`", open_by_number(fd, "/dev/fd", O_RDWR), O_RDWR, -EBUSY)          \
	X("`open` of `/proc/self/fd/N`, O_PATH", open_by_number(fd, "/proc/self/fd", O_PATH),      \
	  O_RDWR, 0)                                                                               \
	X("`dup2` to 777: its status", copy_to(fd, 777), O_RDWR, 0)                                \
	X("`open` after `close`", open_after(close, fd), O_RDWR, 0)                                \
	X("`open` after `close_range`", open_after(shut_range, fd), O_RDWR, 0)                     \
	X("`open` after `dup2` of another", open_after(shut_by_copy, fd), O_RDWR, 0)               \
	X("`open` after `fclose`", open_after(shut_stream, fd), O_RDWR, 0)                         \
	X("`open` after `syscall(SYS_close)`", open_after(shut_raw, fd), O_RDWR, 0)                \
	X("`lseek`, O_PATH", lseek(fd, 0, SEEK_SET), O_PATH, -EBADF)                               \
	X("`fsync`, O_PATH", fsync(fd), O_PATH, -EBADF)                                            \
	X("`ioctl`, O_PATH", number(fd, VHOST_VDPA_GET_STATUS), O_PATH, -EBADF)                    \
	X("`fcntl`, F_GETSIG, O_PATH", fcntl(fd, F_GETSIG), O_PATH, -EBADF)                        \
	X("`fstat`, O_PATH: a character device?", type_of(fd), O_PATH, 1)                          \
	X("`open` of the node, with an O_PATH open", open(node, O_RDWR) < 0 ? -1 : 0, O_PATH, 0)

#define ROW(name, call, flags, expected) {name, flags, expected},

static const struct row {
	const char *name;
	int flags;
	long expected;
} rows[] = {CALLS(ROW)};

#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

#define CASE(name, call, flags, expected)                                                          \
	case __COUNTER__ - FIRST - 1:                                                              \
		return result((long)(call));

enum { FIRST = __COUNTER__ };

static long ask(size_t row, int fd)
{
	switch (row) {
		CALLS(CASE)
	default:
		return 0;
	}
}

static const char *show(long answer, char text[static 32])
{
	if (answer < 0 && strerrorname_np((int)-answer))
		return strerrorname_np((int)-answer);
	snprintf(text, 32, answer > 9999 ? "%#lx" : "%ld", answer);
	return text;
}

static void print_table(void)
{
	char text[32];

	for (size_t i = 0; i < NR_ROWS; i++)
		printf("| %s | %s |\n", rows[i].name, show(rows[i].expected, text));
}

/* A bare machine has no /dev/fd. */
static void prepare(void)
{
	char name[] = "file_calls.XXXXXX";

	if (access("/dev/fd", F_OK) < 0)
		(void)!symlink("/proc/self/fd", "/dev/fd");
	file = mkstemp(name);
	if (file < 0 || unlink(name) < 0 || write(file, bytes, sizeof(bytes)) < 0 ||
	    pipe2(pipes, O_NONBLOCK) < 0 || write(pipes[1], bytes, sizeof(bytes)) < 0) {
		perror("file_calls");
		exit(2);
	}
}

static int try_row(size_t i)
{
	char expected[32], got[32];
	long answer;
	int fd;

	prepare();
	fd = open(node, rows[i].flags | O_CLOEXEC);
	if (fd < 0) {
		perror(node);
		exit(2);
	}
	errno = 0;
	answer = ask(i, fd);
	close(fd);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	if (answer == rows[i].expected)
		return 0;
	printf("%s: %s, on Linux 6.12 %s\n", rows[i].name, show(answer, got),
	       show(rows[i].expected, expected));
	return 1;
}

int main(int argc, char **argv)
{
	int nr_differ = 0;

	if (argc != 2)
		return 2;
	if (strcmp(argv[1], "--table") == 0) {
		print_table();
		return 0;
	}
	node = argv[1];
	for (size_t i = 0; i < NR_ROWS; i++)
		nr_differ += try_row(i);
	printf("%zu calls, %d differ\n", NR_ROWS, nr_differ);
	return nr_differ ? 1 : 0;
}
