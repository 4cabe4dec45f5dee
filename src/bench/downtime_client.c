// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client of `holdfast bench downtime`: what QEMU does with vhost-vdpa network devices when it
 * stops and starts them for a migration, call by call.
 *
 * Guest memory lies as in a q35 machine, in six sections and the firmware's ROM, so a map is seven
 * UPDATEs however large the guest is. The guest's own rings lie in guest memory; shadow rings, the
 * control queue and its buffers in memory of the VMM, two UPDATEs a queue: descriptors and
 * available ring for reading, used ring for writing.
 *
 *   kind      acks                  around a reset
 *   old       message v2, batch     unmaps all, maps all
 *   hold      the same              the same calls
 *   persist   and IOTLB_PERSIST     leaves guest memory mapped
 *   svq-asid  and ASID, DESC_ASID   the same, and shadow rings are in an address space of their own
 */
#include "bench/downtime_client.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"

#define RING_NUM   256u
#define RINGS_AT   (UINT64_C(16) << 20) /* of the guest's rings in guest memory */
#define RINGS_LEN  (UINT64_C(2) << 20)  /* a device */
#define BUFFERS_AT (UINT64_C(1) << 20)  /* in that */
#define NR_LOAD    16u
#define FRAME_LEN  (12 + 60)
#define TIMEOUT_NS INT64_C(5000000000)
#define SPIN_NS    50000

/* ---- rings ---- */

static bool is_ctrl(const struct dt_device *dev, unsigned int queue)
{
	return queue == dev->nr_queues - 1;
}

/* Lay an empty ring; what it signals by stays. */
static void ring_lay(struct dt_client *c, unsigned int device, unsigned int queue, bool shadow)
{
	struct dt_device *dev = &c->dev[device];
	struct client_ring *ring = &dev->ring[queue];
	int kick = ring->kick_fd, call = ring->call_fd;

	if (shadow) {
		uint64_t off = dt_shadow_off(queue);

		client_ring_init(ring, queue, RING_NUM, dev->shadow + off, DT_SHADOW_AT + off, 0);
		ring->used = (void *)(dev->shadow + off + DT_DEVICE_AREA);
		memset(ring->used, 0, DT_PAGE);
	} else {
		uint64_t at = RINGS_AT + device * RINGS_LEN + queue * DT_SHADOW_RING_LEN;

		client_ring_init(ring, queue, RING_NUM, c->guest + at, at, 0);
	}
	ring->kick_fd = kick;
	ring->call_fd = call;
}

static int ring_give(const struct dt_device *dev, const struct client_ring *ring)
{
	const uint8_t *used = (const uint8_t *)ring->used;
	const uint8_t *avail = (const uint8_t *)ring->avail;
	struct vhost_vring_addr addr = {
		.index = ring->idx,
		.desc_user_addr = ring->iova,
		.avail_user_addr = ring->iova + (uint64_t)(avail - ring->base),
		.used_user_addr = ring->iova + (uint64_t)(used - ring->base),
	};
	int err = client_vring_set(dev->fd, VHOST_SET_VRING_NUM, ring->idx, ring->num);

	if (!err)
		err = client_vring_set(dev->fd, VHOST_SET_VRING_BASE, ring->idx, 0);
	if (!err)
		err = client_ioctl(dev->fd, VHOST_SET_VRING_ADDR, &addr);
	if (!err)
		err = client_vring_file(dev->fd, VHOST_SET_VRING_KICK, ring->idx, ring->kick_fd);
	if (!err)
		err = client_vring_file(dev->fd, VHOST_SET_VRING_CALL, ring->idx, ring->call_fd);
	return err;
}

/* Spins, as a VMM does on its control queue; on a busy machine the device may have the processor
 * then. */
static int wait_used(const struct client_ring *ring)
{
	int64_t start = clock_now_ns(), now = start;

	while (client_ring_pending(ring) == 0) {
		if (now - start > TIMEOUT_NS)
			return -ETIMEDOUT;
		if (now - start > SPIN_NS)
			(void)sched_yield();
		now = clock_now_ns();
	}
	return 0;
}

/* ---- start ---- */

static int negotiate(struct dt_device *dev)
{
	uint8_t status = CLIENT_STATUS_FEATURES;
	int err = client_set_u64(dev->fd, VHOST_SET_FEATURES, dev->features);

	if (!err)
		err = client_set_status(dev->fd, status);
	if (!err && client_get_status(dev->fd) != status)
		err = -EPROTO;
	return err;
}

static int set_groups(const struct dt_device *dev)
{
	int err;

	if (!dt_has_asid(dev))
		return 0;
	err = client_vring_set(dev->fd, VHOST_VDPA_SET_GROUP_ASID, dev->ctrl_group, DT_SHADOW_ASID);
	if (!err && dev->has_data_shadow)
		err = client_vring_set(dev->fd, VHOST_VDPA_SET_GROUP_ASID, dev->desc_group,
				       DT_SHADOW_ASID);
	return err;
}

static int set_up_rings(struct dt_client *c, unsigned int device, bool shadow)
{
	struct dt_device *dev = &c->dev[device];
	int err = 0;

	for (unsigned int i = 0; !err && i < dev->nr_queues; i++) {
		ring_lay(c, device, i, shadow || is_ctrl(dev, i));
		err = ring_give(dev, &dev->ring[i]);
	}
	for (unsigned int i = 0; !err && i < dev->nr_queues; i++)
		err = client_vring_set(dev->fd, VHOST_VDPA_SET_VRING_ENABLE, i, 1);
	return err ? err : set_groups(dev);
}

/* One command over the control queue. */
static int control(struct dt_device *dev, const void *command, uint32_t len)
{
	struct client_ring *ring = &dev->ring[dev->nr_queues - 1];
	char *at = dev->shadow + dt_ctrl_off(dev);
	volatile uint8_t *ack = (uint8_t *)at + DT_PAGE;
	struct client_buf bufs[2] = {{DT_SHADOW_AT + dt_ctrl_off(dev), len, false},
				     {DT_SHADOW_AT + dt_ctrl_off(dev) + DT_PAGE, 1, true}};
	int err;

	memcpy(at, command, len);
	*ack = 0xff;
	err = client_ring_add(ring, bufs, 2, NULL);
	if (!err)
		err = client_ring_kick(ring);
	if (!err)
		err = wait_used(ring);
	if (!err && client_ring_pop(ring, NULL, NULL) != 1)
		err = -EPROTO;
	return err ? err : *ack == VIRTIO_NET_OK ? 0 : -EIO;
}

/* What the guest had set, once more. */
static int restore_state(struct dt_client *c, struct dt_device *dev)
{
	uint8_t mac[8] = {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, 0x52, 0x54, 0, 0, 0,
			  (uint8_t)c->nr_pairs};
	uint8_t pairs[4] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
			    (uint8_t)c->nr_pairs, 0};
	int err = 0;

	if (dev->features & CLIENT_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR))
		err = control(dev, mac, sizeof(mac));
	if (!err && dev->features & CLIENT_BIT(VIRTIO_NET_F_MQ))
		err = control(dev, pairs, sizeof(pairs));
	return err;
}

static uint64_t buffer_at(unsigned int device, unsigned int queue, unsigned int nth)
{
	return RINGS_AT + device * RINGS_LEN + BUFFERS_AT + (queue * NR_LOAD + nth) * 512;
}

/* Buffers into a queue of one device, and a kick. Frames go to everybody. */
static int load_queue(struct dt_client *c, unsigned int device, unsigned int queue, unsigned int nr)
{
	struct client_ring *ring = &c->dev[device].ring[queue];
	int err = 0;

	for (unsigned int i = 0; !err && i < nr; i++) {
		uint64_t at = buffer_at(device, queue, i);
		bool is_rx = queue % 2 == 0;
		struct client_buf buf = {at, is_rx ? 512 : FRAME_LEN, is_rx};

		if (!is_rx)
			memset(c->guest + at + 12, 0xff, 12);
		err = client_ring_add(ring, &buf, 1, NULL);
	}
	return err ? err : client_ring_kick(ring);
}

static int first_buffer(struct dt_client *c, unsigned int device)
{
	int err = load_queue(c, device, 0, 1);

	if (!err)
		err = load_queue(c, device, 1, 1);
	return err ? err : wait_used(&c->dev[device].ring[1]);
}

static int start_device(struct dt_client *c, unsigned int i, bool shadow)
{
	struct dt_device *dev = &c->dev[i];
	int err = negotiate(dev);

	dt_mark(c->rec, DT_SETUP, i);
	if (err)
		return dt_fail(c, "features", i, err);
	if (!dev->has_mem)
		err = dt_device_map(c, dev);
	dt_mark(c->rec, DT_MAP, i);
	if (err)
		return dt_fail(c, "mapping guest memory", i, err);
	err = dt_device_shadow(dev, true, shadow, c->kind->batches);
	dt_mark(c->rec, DT_SHADOW, i);
	if (err)
		return dt_fail(c, "mapping shadow rings", i, err);
	err = set_up_rings(c, i, shadow);
	dt_mark(c->rec, DT_SETUP, i);
	if (err)
		return dt_fail(c, "ring setup", i, err);
	err = client_set_status(dev->fd, CLIENT_STATUS_RUNNING);
	dt_mark(c->rec, DT_START, i);
	if (err)
		return dt_fail(c, "DRIVER_OK", i, err);
	err = restore_state(c, dev);
	dt_mark(c->rec, DT_CONTROL, i);
	return err ? dt_fail(c, "control queue", i, err) : 0;
}

int dt_client_start(struct dt_client *c, bool shadow)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < c->nr_devices; i++)
		err = start_device(c, i, shadow);
	for (unsigned int i = 0; !err && i < c->nr_devices; i++) {
		err = first_buffer(c, i);
		dt_mark(c->rec, DT_TRAFFIC, i);
		if (err)
			return dt_fail(c, "no buffer was used", i, err);
	}
	return err;
}

int dt_client_map(struct dt_client *c)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < c->nr_devices; i++) {
		if (!c->dev[i].has_mem)
			err = dt_device_map(c, &c->dev[i]);
		if (err)
			return dt_fail(c, "mapping guest memory", i, err);
	}
	return err;
}

int dt_client_load(struct dt_client *c)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < c->nr_devices; i++)
		for (unsigned int q = 0; !err && q < 2 * c->nr_pairs; q++)
			err = load_queue(c, i, q, NR_LOAD);
	return err;
}

/* ---- stop ---- */

static int suspend(struct dt_device *dev)
{
	uint32_t base;
	int err = 0;

	if (dev->backend & CLIENT_BACKEND_SUSPEND)
		err = client_ioctl(dev->fd, VHOST_VDPA_SUSPEND, NULL);
	for (unsigned int i = 0; !err && i < dev->nr_queues; i++)
		err = client_vring_get(dev->fd, VHOST_GET_VRING_BASE, i, &base);
	return err;
}

static int reset(struct dt_device *dev)
{
	int err = client_set_status(dev->fd, 0);

	if (!err && client_get_status(dev->fd) != 0)
		err = -EPROTO;
	return err ? err : client_set_status(dev->fd, CLIENT_STATUS_DRIVER);
}

static int stop_device(struct dt_client *c, unsigned int i)
{
	struct dt_device *dev = &c->dev[i];
	int err = suspend(dev);

	dt_mark(c->rec, DT_SUSPEND, i);
	if (err)
		return dt_fail(c, "suspend", i, err);
	err = reset(dev);
	dt_mark(c->rec, DT_RESET, i);
	if (err)
		return dt_fail(c, "reset", i, err);
	err = dt_device_shadow(dev, false, dev->has_data_shadow, c->kind->batches);
	if (!err && c->kind->remaps)
		err = dt_device_unmap(c, dev);
	dt_mark(c->rec, DT_UNMAP, i);
	return err ? dt_fail(c, "unmapping", i, err) : 0;
}

int dt_client_stop(struct dt_client *c)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < c->nr_devices; i++)
		err = stop_device(c, i);
	return err;
}

/* ---- open and close ---- */

int dt_client_open(struct dt_client *c)
{
	int err = 0;

	for (unsigned int i = 0; i < c->nr_devices; i++)
		c->dev[i] = (struct dt_device){.fd = -1};
	for (unsigned int i = 0; !err && i < c->nr_devices; i++)
		err = dt_device_open(c, i);
	return err;
}

void dt_client_close(struct dt_client *c)
{
	for (unsigned int i = 0; i < c->nr_devices; i++)
		dt_device_close(&c->dev[i]);
}
