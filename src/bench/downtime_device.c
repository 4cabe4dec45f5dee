// SPDX-License-Identifier: BSD-3-Clause
#include "bench/downtime_device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

#define LOW_LEN (UINT64_C(2) << 30) /* RAM below 4 GiB */
#define HIGH_AT (UINT64_C(4) << 30)

int dt_fail(const struct dt_client *c, const char *what, unsigned int device, int err)
{
	fprintf(stderr, "holdfast bench downtime: %s: %s, client %s: %s\n", c->paths[device], what,
		c->kind->name, strerror(-err));
	return err;
}

/* ---- memory ---- */

struct section {
	uint64_t iova, len, off; /* @off in guest memory */
	uint8_t perm;
};

/* Guest memory as the client maps it. Return: how many sections, the ROM not among them */
static unsigned int sections_of(const struct dt_client *c, struct section out[6])
{
	uint64_t low = c->mapped < LOW_LEN ? c->mapped : LOW_LEN;
	unsigned int n = 0;

	out[n++] = (struct section){0, 0xc3000, 0, VHOST_ACCESS_RW};
	out[n++] = (struct section){0xc3000, 0x25000, 0xc3000, VHOST_ACCESS_RO};
	out[n++] = (struct section){0xe8000, 0x8000, 0xe8000, VHOST_ACCESS_RW};
	out[n++] = (struct section){0xf0000, 0x10000, 0xf0000, VHOST_ACCESS_RO};
	out[n++] = (struct section){0x100000, low - 0x100000, 0x100000, VHOST_ACCESS_RW};
	if (c->mapped > low)
		out[n++] = (struct section){HIGH_AT, c->mapped - low, low, VHOST_ACCESS_RW};
	return n;
}

#define ROM_AT  UINT64_C(0xfffc0000)
#define ROM_LEN UINT64_C(0x40000)

int dt_device_map(struct dt_client *c, struct dt_device *dev)
{
	struct section s[6];
	unsigned int n = sections_of(c, s);
	int64_t start = clock_now_ns();
	int err = client_iotlb_batch(dev->fd, 0, true);

	for (unsigned int i = 0; !err && i < n; i++)
		err = client_iotlb_map(dev->fd, 0, s[i].iova, s[i].len, c->guest + s[i].off,
				       s[i].perm);
	if (!err)
		err = client_iotlb_map(dev->fd, 0, ROM_AT, ROM_LEN, c->rom, VHOST_ACCESS_RO);
	if (!err)
		err = client_iotlb_batch(dev->fd, 0, false);
	dev->has_mem = !err;
	c->map_ns += clock_now_ns() - start;
	return err;
}

int dt_device_unmap(struct dt_client *c, struct dt_device *dev)
{
	struct section s[6];
	unsigned int n = sections_of(c, s);
	int err = client_iotlb_batch(dev->fd, 0, true);

	for (unsigned int i = 0; !err && i < n; i++)
		err = client_iotlb_unmap(dev->fd, 0, s[i].iova, s[i].len);
	if (!err)
		err = client_iotlb_unmap(dev->fd, 0, ROM_AT, ROM_LEN);
	dev->has_mem = false;
	return err ? err : client_iotlb_batch(dev->fd, 0, false);
}

/* ---- shadow memory ---- */

static uint32_t shadow_asid(const struct dt_device *dev)
{
	return dt_has_asid(dev) ? DT_SHADOW_ASID : 0;
}

static uint64_t shadow_len(const struct dt_device *dev)
{
	return dt_ctrl_off(dev) + 2 * DT_PAGE;
}

/* One area of shadow memory in or out. @perm: 0 takes it out */
static int shadow_area(const struct dt_device *dev, uint64_t off, uint64_t len, uint8_t perm)
{
	uint32_t asid = shadow_asid(dev);

	return perm ? client_iotlb_map(dev->fd, asid, DT_SHADOW_AT + off, len, dev->shadow + off,
				       perm)
		    : client_iotlb_unmap(dev->fd, asid, DT_SHADOW_AT + off, len);
}

static int shadow_ring(const struct dt_device *dev, unsigned int queue, bool map)
{
	uint64_t off = dt_shadow_off(queue);
	int err = shadow_area(dev, off, DT_DEVICE_AREA, map ? VHOST_ACCESS_RO : 0);

	return err ? err
		   : shadow_area(dev, off + DT_DEVICE_AREA, DT_PAGE, map ? VHOST_ACCESS_RW : 0);
}

/* The control queue's ring and buffers, and with @data those of all queues. */
int dt_device_shadow(struct dt_device *dev, bool map, bool data, bool batch)
{
	unsigned int ctrl = dev->nr_queues - 1;
	int err = batch ? client_iotlb_batch(dev->fd, shadow_asid(dev), true) : 0;

	for (unsigned int i = data ? 0 : ctrl; !err && i < dev->nr_queues; i++)
		err = shadow_ring(dev, i, map);
	if (!err)
		err = shadow_area(dev, dt_ctrl_off(dev), DT_PAGE, map ? VHOST_ACCESS_RO : 0);
	if (!err)
		err = shadow_area(dev, dt_ctrl_off(dev) + DT_PAGE, DT_PAGE,
				  map ? VHOST_ACCESS_RW : 0);
	if (!err && batch)
		err = client_iotlb_batch(dev->fd, shadow_asid(dev), false);
	dev->has_shadow = map && !err;
	dev->has_data_shadow = dev->has_shadow && data;
	return err;
}

/* ---- open and close ---- */

static int choose_features(struct dt_client *c, struct dt_device *dev)
{
	uint64_t offered, backend;
	uint64_t wanted = CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH | c->kind->acks;
	int err = client_get_u64(dev->fd, VHOST_GET_FEATURES, &offered);

	if (!err)
		err = client_get_u64(dev->fd, VHOST_GET_BACKEND_FEATURES, &backend);
	if (err)
		return err;
	if (wanted & ~(uint64_t)CLIENT_BACKEND_SUSPEND & ~backend)
		return -EOPNOTSUPP; /* SUSPEND is used where it is there */
	dev->backend = wanted & backend;
	dev->features = offered &
			(CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |
			 CLIENT_BIT(VIRTIO_NET_F_CTRL_VQ) | CLIENT_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR));
	if (c->nr_pairs > 1)
		dev->features |= CLIENT_BIT(VIRTIO_NET_F_MQ);
	return dev->features & ~offered ? -EOPNOTSUPP : 0;
}

static int ask_groups(struct dt_device *dev)
{
	int err;

	if (!dt_has_asid(dev))
		return 0;
	err = client_vring_get(dev->fd, VHOST_VDPA_GET_VRING_DESC_GROUP, 0, &dev->desc_group);
	return err ? err
		   : client_vring_get(dev->fd, VHOST_VDPA_GET_VRING_GROUP, dev->nr_queues - 1,
				      &dev->ctrl_group);
}

static int make_memory(struct dt_device *dev)
{
	void *p = mmap(NULL, shadow_len(dev), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	dev->shadow = p;
	dev->ring = calloc(DT_QUEUES_MAX, sizeof(*dev->ring));
	if (!dev->ring)
		return -ENOMEM;
	for (unsigned int i = 0; i < DT_QUEUES_MAX; i++)
		dev->ring[i].kick_fd = dev->ring[i].call_fd = -1;
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		dev->ring[i].kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		dev->ring[i].call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (dev->ring[i].kick_fd < 0 || dev->ring[i].call_fd < 0)
			return -errno;
	}
	return 0;
}

int dt_device_open(struct dt_client *c, unsigned int i)
{
	struct dt_device *dev = &c->dev[i];
	int err;

	dev->nr_queues = 2 * c->nr_pairs + 1;
	dev->fd = client_open(c->paths[i]);
	if (dev->fd < 0)
		return dt_fail(c, "open", i, dev->fd);
	err = client_ioctl(dev->fd, VHOST_SET_OWNER, NULL);
	if (!err)
		err = make_memory(dev);
	if (err)
		return dt_fail(c, "owner", i, err);
	err = choose_features(c, dev);
	if (!err)
		err = client_set_u64(dev->fd, VHOST_SET_BACKEND_FEATURES, dev->backend);
	if (!err)
		err = ask_groups(dev);
	if (!err)
		err = client_set_status(dev->fd, CLIENT_STATUS_DRIVER);
	if (err)
		return dt_fail(c, "the device lacks what this client needs", i, err);
	err = c->is_late ? 0 : dt_device_map(c, dev);
	return err ? dt_fail(c, "mapping guest memory", i, err) : 0;
}

void dt_device_close(struct dt_device *dev)
{
	if (dev->fd >= 0)
		close(dev->fd);
	for (unsigned int q = 0; dev->ring && q < DT_QUEUES_MAX; q++)
		client_ring_fini(&dev->ring[q]);
	free(dev->ring);
	if (dev->shadow)
		munmap(dev->shadow, shadow_len(dev));
	*dev = (struct dt_device){.fd = -1};
}
