// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the test clients of the preload library share. They are programs without any knowledge of
 * Holdfast, run by `holdfast run`; each case leaves all devices closed. Lines numbered in the
 * theory of a source are cited there.
 */
#ifndef TESTS_PRELOAD_CLIENT_H
#define TESTS_PRELOAD_CLIENT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Children are forked while the devices have threads, and make devices of their own; TSan would end
 * them, and would wait a second at the end of each. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0:atexit_sleep_ms=0";
}

#define NODE "/dev/vhost-vdpa-0"

/* The call fails with this errno. */
#define assert_errno(expected, call)                                                               \
	do {                                                                                       \
		errno = 0;                                                                         \
		assert_int_equal((call), -1);                                                      \
		assert_int_equal(errno, (expected));                                               \
	} while (0)

static inline int open_node(void)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static inline void set_status(int fd, uint8_t status)
{
	assert_int_equal(ioctl(fd, VHOST_VDPA_SET_STATUS, &status), 0);
}

/* How many seccomp filters this process has; -1 if the kernel does not say (before 5.9). */
static inline int nr_filters(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	int nr = -1;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		(void)sscanf(line, "Seccomp_filters: %d", &nr);
	fclose(f);
	return nr;
}

/* Return: status byte, or -errno */
static inline int get_status(int fd)
{
	uint8_t status = 0xee;

	return ioctl(fd, VHOST_VDPA_GET_STATUS, &status) < 0 ? -errno : status;
}

/* libc's own close(2), which no wrapper sees. */
static inline int close_behind(int fd)
{
	static int (*fn)(int fd);

	if (!fn)
		*(void **)&fn = dlsym(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), "close");
	return fn(fd);
}

/* Nothing is open any more: the node can be opened, and is as new. */
static inline void assert_closed(void)
{
	int fd = open_node();

	assert_int_equal(get_status(fd), 0);
	assert_int_equal(close(fd), 0);
}

static inline void *shared_page(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(page != MAP_FAILED);
	return page;
}

static inline struct vhost_msg_v2 update_message(void *page)
{
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2};

	msg.iotlb.iova = 0x10000;
	msg.iotlb.size = 4096;
	msg.iotlb.uaddr = (uintptr_t)page;
	msg.iotlb.perm = VHOST_ACCESS_RW;
	msg.iotlb.type = VHOST_IOTLB_UPDATE;
	return msg;
}

/* Status of a child that was told to exit; -1 if it ended otherwise. */
static inline int child_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
