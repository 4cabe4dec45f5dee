// SPDX-License-Identifier: BSD-3-Clause
#include "env.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"

#define PAGES 64

static int get_fd(const struct vhost_vdpa_client *client, int fd)
{
	return fd_dup(fd);
}

static void *map_pages(int flags, int fd)
{
	void *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	assert_true(p != MAP_FAILED);
	memset(p, 0, PAGES * PAGE);
	return p;
}

void env_init(struct env *env, const struct recorder_options *opt)
{
	int fd = memfd_create("client", MFD_CLOEXEC);

	*env = (struct env){.pages = PAGES};
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
	env->shared = map_pages(MAP_SHARED, fd);
	env->private = map_pages(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	close(fd);
	assert_int_equal(memory_space_create_own(&env->space), 0);
	assert_int_equal(vdpa_bus_create(env->space, &env->bus), 0);
	assert_int_equal(vdpa_driver_register(env->bus, &vhost_vdpa_driver), 0);
	env->client = (struct vhost_vdpa_client){.mm_id = 1, .space = env->space, .get_fd = get_fd};
	env->other = (struct vhost_vdpa_client){.mm_id = 2, .space = env->space, .get_fd = get_fd};
	env->rec = recorder_create(env->bus, opt);
}

void env_open(struct env *env, const struct recorder_options *opt)
{
	env_init(env, opt);
	assert_int_equal(vhost_vdpa_open(&env->rec->dev, &env->s), 0);
	assert_int_equal(env_ioctl(env, VHOST_SET_OWNER, NULL), 0);
	recorder_clear(env->rec);
}

void env_fini(struct env *env)
{
	bool freed = false;

	vhost_vdpa_release(env->s);
	assert_int_equal(memory_charged_pages(env->space), 0);
	if (env->rec) {
		env->rec->freed = &freed;
		vdpa_device_unregister(&env->rec->dev);
		assert_true(freed);
	}
	vdpa_bus_destroy(env->bus);
	memory_space_put(env->space);
	munmap(env->shared, PAGES * PAGE);
	munmap(env->private, PAGES * PAGE);
}

int env_ioctl(struct env *env, unsigned int cmd, void *arg)
{
	return vhost_vdpa_ioctl(env->s, &env->client, cmd, (uintptr_t)arg);
}

int env_state(struct env *env, unsigned int cmd, uint32_t index, uint32_t num)
{
	struct vhost_vring_state state = {index, num};

	return env_ioctl(env, cmd, &state);
}

int env_get_state(struct env *env, unsigned int cmd, uint32_t index, uint32_t *num)
{
	struct vhost_vring_state state = {index, 0xdeadbeef};
	int ret = env_ioctl(env, cmd, &state);

	if (!ret) {
		assert_int_equal(state.index, index);
		*num = state.num;
	} else {
		assert_int_equal(state.num, 0xdeadbeef);
	}
	return ret;
}

int env_file(struct env *env, unsigned int cmd, uint32_t index, int fd)
{
	struct vhost_vring_file file = {index, fd};

	return env_ioctl(env, cmd, &file);
}

int env_status(struct env *env, uint8_t status)
{
	return env_ioctl(env, VHOST_VDPA_SET_STATUS, &status);
}

int env_u64(struct env *env, unsigned int cmd, uint64_t value)
{
	return env_ioctl(env, cmd, &value);
}

ssize_t env_msg(struct env *env, uint32_t asid, uint8_t type, uint64_t iova, uint64_t size,
		const void *uaddr, uint8_t perm)
{
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2, .asid = asid};

	msg.iotlb.iova = iova;
	msg.iotlb.size = size;
	msg.iotlb.uaddr = (uintptr_t)uaddr;
	msg.iotlb.perm = perm;
	msg.iotlb.type = type;
	return vhost_vdpa_write(env->s, &env->client, (uintptr_t)&msg, sizeof(msg));
}

ssize_t env_map(struct env *env, uint64_t iova, uint64_t size, const void *uaddr)
{
	return env_msg(env, 0, VHOST_IOTLB_UPDATE, iova, size, uaddr, VHOST_ACCESS_RW);
}

ssize_t env_unmap(struct env *env, uint64_t iova, uint64_t size)
{
	return env_msg(env, 0, VHOST_IOTLB_INVALIDATE, iova, size, NULL, 0);
}

ssize_t env_begin(struct env *env)
{
	return env_msg(env, 0, VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0);
}

ssize_t env_end(struct env *env)
{
	return env_msg(env, 0, VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0);
}

bool fd_wait(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 20000) == 1 && (pfd.revents & POLLIN);
}

uint64_t fd_take(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint64_t n = 0;

	if (poll(&pfd, 1, 0) == 1)
		assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
	return n;
}
