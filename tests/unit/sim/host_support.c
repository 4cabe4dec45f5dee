// SPDX-License-Identifier: BSD-3-Clause
#include "host_support.h"

#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/uring.h"
#include "blk_support.h"

struct host_file host_file = {.fd = -1};

static int came = -1, gate = -1; /* eventfds: a call waits; it may go on */
static unsigned int nr_to_hold;  /* of the next calls; atomic */
static unsigned int nr_waiting;  /* atomic */

/* ---- the file ---- */

int host_setup(const char *name, const void *content, size_t len)
{
	int fd;

	(void)snprintf(host_file.path, sizeof(host_file.path), "%s", name);
	fd = host_file.fd = mkstemp(host_file.path);
	host_hold(0);
	came = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	gate = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0 || came < 0 || gate < 0)
		return -1;
	if (!content)
		return ftruncate(fd, (off_t)len);
	return write(fd, content, len) != (ssize_t)len || fsync(fd) < 0 ? -1 : 0;
}

int host_teardown(void **state)
{
	(void)state;
	close(host_file.fd);
	close(came);
	close(gate);
	return unlink(host_file.path);
}

struct vdpa_dev_config host_config(void)
{
	struct vdpa_dev_config c = blk_config();

	c.given |= VDPA_KEY_BACKEND;
	(void)snprintf(c.backend, sizeof(c.backend), "file,path=%s", host_file.path);
	return c;
}

void host_file_has(off_t off, const void *bytes, size_t len)
{
	void *got = malloc(len);

	assert_non_null(got);
	assert_int_equal(pread(host_file.fd, got, len, off), len);
	assert_memory_equal(got, bytes, len);
	free(got);
}

const char *host_why_not(bool in_flight)
{
	struct uring *ring;
	struct statfs fs;

	if (statfs(".", &fs) == 0 && (unsigned long)fs.f_type == TMPFS_MAGIC)
		return "the working directory lies in memory, where no request waits";
	if (!in_flight)
		return NULL;
	if (uring_create(8, &ring))
		return "io_uring cannot be had";
	uring_destroy(ring);
	return NULL;
}

/* ---- calls that are held ---- */

/* Is the call that asks one of those to be held? */
static bool take_hold(void)
{
	unsigned int n = __atomic_load_n(&nr_to_hold, __ATOMIC_ACQUIRE);

	while (n > 0 && n != HOST_ALL)
		if (__atomic_compare_exchange_n(&nr_to_hold, &n, n - 1, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return true;
	return n == HOST_ALL;
}

void host_gate(void)
{
	if (!take_hold())
		return;
	__atomic_fetch_add(&nr_waiting, 1, __ATOMIC_RELAXED);
	eventfd_write(came, 1);
	(void)rig_wait_fd(gate, HOST_HOLD_MS);
	__atomic_fetch_sub(&nr_waiting, 1, __ATOMIC_RELAXED);
}

void host_hold(unsigned int nr)
{
	__atomic_store_n(&nr_to_hold, nr, __ATOMIC_RELEASE);
}

void host_wait_held(void)
{
	assert_true(rig_wait_fd(came, DEADLINE_MS));
}

void host_release(void)
{
	assert_true(__atomic_load_n(&nr_waiting, __ATOMIC_RELAXED) > 0);
	eventfd_write(gate, 1);
}

/* ---- a suspend that waits ---- */

struct suspension {
	struct rig *rig;
	int returned; /* eventfd */
	int ret;
};

static void *suspend(void *arg)
{
	struct suspension *s = arg;

	s->ret = rig_op(s->rig, suspend);
	eventfd_write(s->returned, 1);
	return NULL;
}

void host_suspend_waits(struct rig *rig, void (*release)(void))
{
	static struct suspension s; /* a thread that hangs outlives this function */
	pthread_t thread;

	s = (struct suspension){rig, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), -1};
	assert_int_equal(pthread_create(&thread, NULL, suspend, &s), 0);
	assert_false(rig_wait_fd(s.returned, A_WHILE));
	release();
	assert_true(rig_wait_fd(s.returned, DEADLINE_MS));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(s.ret, 0);
	close(s.returned);
}
