/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmap of a doorbell, and the file operations that do not exist.
 */
#include "check/check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ERRNO_NOTSUPP 524 /* the kernel's internal ENOTSUPP, which leaks here */

struct map_case {
	size_t len;
	int prot;
	int flags;
	off_t off;
	int want;
};

static const struct map_case map_cases[] = {
	{CHECK_PAGE, PROT_WRITE, MAP_SHARED, 0, -ERRNO_NOTSUPP},
	{2 * CHECK_PAGE, PROT_WRITE, MAP_SHARED, 0, -EINVAL},
	{CHECK_PAGE, PROT_WRITE, MAP_PRIVATE, 0, -EINVAL},
	{CHECK_PAGE, PROT_READ, MAP_SHARED, 0, -EINVAL},
	{CHECK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0, -EINVAL},
	{1, PROT_WRITE, MAP_SHARED, 0, -ERRNO_NOTSUPP},
	{0, PROT_WRITE, MAP_SHARED, 0, -EINVAL},
	{CHECK_PAGE, PROT_WRITE, MAP_SHARED, 1, -EINVAL},
};

static int map(int fd, const struct map_case *c)
{
	void *p = mmap(NULL, c->len, c->prot, c->flags, fd, c->off);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, c->len);
	return 0;
}

static void map_value(struct check_ctx *t)
{
	const struct map_case *c = &map_cases[t->check->a];

	EXPECT_RC(t, c->want, map(check_open_owned(t), c));
}

static void map_each_ring(struct check_ctx *t)
{
	int fd = check_open_owned(t);

	for (uint32_t i = 0; i < t->dev->nr_vqs; i++) {
		struct map_case c = {CHECK_PAGE, PROT_WRITE, MAP_SHARED, (off_t)(i * CHECK_PAGE),
				     0};

		EXPECT_RC(t, -ERRNO_NOTSUPP, map(fd, &c));
	}
}

static void read_einval(struct check_ctx *t)
{
	int fd = check_open_owned(t);
	uint8_t buf[72];

	EXPECT_RC(t, -EINVAL, read(fd, buf, sizeof(buf)) < 0 ? -errno : 0);
}

static void poll_ready(struct check_ctx *t)
{
	struct pollfd pfd = {.fd = check_open(t), .events = POLLIN | POLLOUT};

	EXPECT_RC(t, 1, poll(&pfd, 1, 0));
	EXPECT_EQ(t, POLLIN | POLLOUT, (uint64_t)pfd.revents);
}

static void read_only_ioctl(struct check_ctx *t)
{
	int fd = open(t->dev->path, O_RDONLY | O_CLOEXEC);

	EXPECT(t, fd >= 0);
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	EXPECT_RC(t, 0, client_set_status(fd, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	EXPECT_RC(t, 0, client_vring_set(fd, VHOST_SET_VRING_NUM, 0, 16));
}

static void read_only_write(struct check_ctx *t)
{
	int fd = open(t->dev->path, O_RDONLY | O_CLOEXEC);
	uint8_t *page = check_pages(t, 1);

	EXPECT(t, fd >= 0);
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	EXPECT_RC(t, -EBADF, check_map(fd, 0, 0x100000, CHECK_PAGE, page));
}

static void write_only_open(struct check_ctx *t)
{
	int fd = open(t->dev->path, O_WRONLY | O_CLOEXEC);
	uint8_t *page = check_pages(t, 1);

	EXPECT(t, fd >= 0);
	EXPECT_RC(t, 0, client_ioctl(fd, VHOST_SET_OWNER, NULL));
	EXPECT_RC(t, 0, check_map(fd, 0, 0x100000, CHECK_PAGE, page));
}

static void char_device(struct check_ctx *t)
{
	struct stat by_path, by_fd;

	EXPECT(t, stat(t->dev->path, &by_path) == 0);
	EXPECT(t, fstat(check_open(t), &by_fd) == 0);
	EXPECT(t, S_ISCHR(by_path.st_mode));
	if (!t->dev->holdfast)
		EXPECT_EQ(t, by_path.st_rdev, by_fd.st_rdev);
}

#define MAP(what_, a_)                                                                             \
	{                                                                                          \
		"ioctl.mmap." what_, "1-41", map_value, 0, 0, a_, 0                                \
	}

static const struct check rows[] = {
	MAP("no_doorbell_524", 0),
	MAP("two_pages_einval", 1),
	MAP("private_einval", 2),
	MAP("readable_einval", 3),
	MAP("readable_writable_einval", 4),
	MAP("one_byte_is_a_page_524", 5),
	MAP("zero_length_einval", 6),
	MAP("unaligned_offset_einval", 7),
	{"ioctl.mmap.each_ring_524", "1-41", map_each_ring, 0, 0, 0, 0},
	{"ioctl.file.is_character_device", "1-1", char_device, 0, 0, 0, 0},
	{"ioctl.file.read_einval", "1-1", read_einval, 0, 0, 0, 0},
	{"ioctl.file.poll_always_ready", "1-1", poll_ready, 0, 0, 0, 0},
	{"ioctl.file.read_only_open_ioctls_ok", "1-1", read_only_ioctl, 0, 0, 0, 0},
	{"ioctl.file.read_only_open_write_ebadf", "1-1", read_only_write, 0, 0, 0, 0},
	{"ioctl.file.write_only_open_ok", "1-1", write_only_open, 0, 0, 0, 0},
};

const struct check_set check_set_mmap = CHECK_SET(rows);
