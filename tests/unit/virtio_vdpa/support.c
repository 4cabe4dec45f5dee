// SPDX-License-Identifier: BSD-3-Clause
#include "support.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "parents/mlx5/mlx5.h"
#include "parents/sim/simblk.h"
#include "parents/sim/simnet.h"
#include "vhost_vdpa/uapi.h"

static const struct vdpa_mgmt_dev *const mgmt_devs[] = {&simnet_mgmt_dev, &simblk_mgmt_dev,
							&mlx5_mgmt_dev};

void bench_make(struct bench *b, const char *spec)
{
	const struct vdpa_mgmt_dev *mgmt;
	struct vdpa_dev_config config;
	int ret;

	assert_int_equal(memory_space_create_own(&b->space), 0);
	assert_int_equal(vdpa_bus_create(b->space, &b->bus), 0);
	assert_int_equal(vdpa_driver_register(b->bus, &virtio_vdpa_driver), 0);
	assert_int_equal(vdpa_driver_register(b->bus, &vhost_vdpa_driver), 0);
	ret = vdpa_spec_parse(mgmt_devs, ARRAY_LEN(mgmt_devs), spec, 0, &config, &mgmt);
	if (!ret)
		ret = mgmt->dev_add(mgmt, b->bus, &config);
	if (ret)
		fail_msg("%s: %s", spec, refuse_reason());
	b->dev = vdpa_bus_find(b->bus, config.name);
	assert_non_null(b->dev);
	assert_ptr_equal(b->dev->driver, &virtio_vdpa_driver);
}

void bench_destroy(struct bench *b)
{
	vdpa_device_put(b->dev);
	vdpa_bus_destroy(b->bus);
	memory_space_put(b->space);
}

void bench_move(struct bench *b, const char *driver)
{
	assert_int_equal(vdpa_unbind(b->dev), 0);
	assert_int_equal(vdpa_bind(b->dev, driver), 0);
	assert_string_equal(b->dev->driver->name, driver);
}

static int get_fd(const struct vhost_vdpa_client *client, int fd)
{
	return fd_dup(fd);
}

static void set_status(struct vhost_vdpa *s, const struct vhost_vdpa_client *client, uint8_t status)
{
	assert_int_equal(vhost_vdpa_ioctl(s, client, VHOST_VDPA_SET_STATUS, (uintptr_t)&status), 0);
}

void bench_session(struct bench *b, uint64_t iova, size_t len)
{
	struct vhost_vdpa_client client = {.mm_id = 1, .space = b->space, .get_fd = get_fd};
	struct vhost_msg_v2 msg = {.type = VHOST_IOTLB_MSG_V2};
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM;
	struct vhost_vdpa *s;
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	bench_move(b, "vhost_vdpa");
	assert_int_equal(vhost_vdpa_open(b->dev, &s), 0);
	assert_int_equal(vhost_vdpa_ioctl(s, &client, VHOST_SET_OWNER, 0), 0);
	msg.iotlb.iova = iova;
	msg.iotlb.size = len;
	msg.iotlb.uaddr = (uintptr_t)p;
	msg.iotlb.perm = VHOST_ACCESS_RW;
	msg.iotlb.type = VHOST_IOTLB_UPDATE;
	assert_int_equal(vhost_vdpa_write(s, &client, (uintptr_t)&msg, sizeof(msg)), sizeof(msg));
	set_status(s, &client, 3);
	assert_int_equal(vhost_vdpa_ioctl(s, &client, VHOST_SET_FEATURES, (uintptr_t)&features), 0);
	set_status(s, &client, 0xf);
	vhost_vdpa_release(s);
	assert_int_equal(munmap(p, len), 0);
	bench_move(b, "virtio_vdpa");
}

void bench_fill(uint8_t *p, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}
