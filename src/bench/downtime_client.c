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
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/downtime.h"

#define PAGE            4096u
#define RING_NUM        256u
#define RINGS_AT        (UINT64_C(16) << 20) /* of the guest's rings in guest memory */
#define RINGS_LEN       (UINT64_C(2) << 20)  /* a device */
#define BUFFERS_AT      (UINT64_C(1) << 20)  /* in that */
#define LOW_LEN         (UINT64_C(2) << 30)  /* RAM below 4 GiB */
#define HIGH_AT         (UINT64_C(4) << 30)
#define SHADOW_AT       (UINT64_C(1) << 45)
#define SHADOW_RING_LEN (UINT64_C(16) << 10) /* a queue: driver area, device area 8 KiB up */
#define DEVICE_AREA     (UINT64_C(8) << 10)
#define NR_LOAD         16u
#define FRAME_LEN       (12 + 60)
#define TIMEOUT_NS      INT64_C(5000000000)
#define SPIN_NS         50000
#define SHADOW_ASID     1u

const char *const dt_kind_names[DT_NR_KINDS] = {"old", "persist", "hold", "svq-asid"};
const char *const dt_phase_names[DT_NR_PHASES] = {"suspend", "reset", "unmap",   "map",    "shadow",
						  "setup",   "start", "control", "traffic"};

static int fail(const struct dt_client *c, const char *what, unsigned int device, int err)
{
	fprintf(stderr, "holdfast bench downtime: %s: %s, client %s: %s\n", c->paths[device], what,
		dt_kind_names[c->kind], strerror(-err));
	return err;
}

/* ---- the record ---- */

void dt_record_begin(struct dt_record *rec, unsigned int downtime)
{
	memset(rec->phase_ns, 0, sizeof(rec->phase_ns));
	rec->downtime = downtime;
	rec->mark_ns = clock_now_ns();
}

int64_t dt_record_end(const struct dt_record *rec)
{
	int64_t sum = 0;

	for (int i = 0; i < DT_NR_PHASES; i++)
		sum += rec->phase_ns[i];
	return sum;
}

static void keep_event(struct dt_record *rec, enum dt_phase phase, unsigned int device, int64_t now)
{
	if (rec->nr_events == rec->room) {
		size_t room = rec->room ? 2 * rec->room : 1024;
		struct dt_event *grown = reallocarray(rec->events, room, sizeof(*grown));

		if (!grown)
			return;
		rec->events = grown;
		rec->room = room;
	}
	rec->events[rec->nr_events++] = (struct dt_event){
		.start_ns = rec->mark_ns,
		.len_ns = now - rec->mark_ns,
		.phase = phase,
		.kind = rec->kind,
		.device = device,
		.downtime = rec->downtime,
		.mapped = rec->mapped,
	};
}

void dt_mark(struct dt_record *rec, enum dt_phase phase, unsigned int device)
{
	int64_t now = clock_now_ns();

	rec->phase_ns[phase] += now - rec->mark_ns;
	if (rec->keep && rec->downtime > 0)
		keep_event(rec, phase, device, now);
	rec->mark_ns = now;
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

static int map_guest(struct dt_client *c, struct dt_device *dev)
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

static int unmap_guest(struct dt_client *c, struct dt_device *dev)
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

static bool has_asid(const struct dt_device *dev)
{
	return (dev->backend & CLIENT_BACKEND_DESC_ASID) != 0;
}

static uint32_t shadow_asid(const struct dt_device *dev)
{
	return has_asid(dev) ? SHADOW_ASID : 0;
}

static uint64_t shadow_off(unsigned int queue)
{
	return queue * SHADOW_RING_LEN;
}

/* Command and status of the control queue: a page each behind the rings. */
static uint64_t ctrl_off(const struct dt_device *dev)
{
	return shadow_off(dev->nr_queues);
}

static uint64_t shadow_len(const struct dt_device *dev)
{
	return ctrl_off(dev) + 2 * PAGE;
}

/* One area of shadow memory in or out. @perm: 0 takes it out */
static int shadow_area(const struct dt_device *dev, uint64_t off, uint64_t len, uint8_t perm)
{
	uint32_t asid = shadow_asid(dev);

	return perm ? client_iotlb_map(dev->fd, asid, SHADOW_AT + off, len, dev->shadow + off, perm)
		    : client_iotlb_unmap(dev->fd, asid, SHADOW_AT + off, len);
}

static int shadow_ring(const struct dt_device *dev, unsigned int queue, bool map)
{
	uint64_t off = shadow_off(queue);
	int err = shadow_area(dev, off, DEVICE_AREA, map ? VHOST_ACCESS_RO : 0);

	return err ? err : shadow_area(dev, off + DEVICE_AREA, PAGE, map ? VHOST_ACCESS_RW : 0);
}

/* The control queue's ring and buffers, and with @data those of all queues. */
static int shadow_all(struct dt_device *dev, bool map, bool data)
{
	unsigned int ctrl = dev->nr_queues - 1;
	int err = 0;

	for (unsigned int i = data ? 0 : ctrl; !err && i < dev->nr_queues; i++)
		err = shadow_ring(dev, i, map);
	if (!err)
		err = shadow_area(dev, ctrl_off(dev), PAGE, map ? VHOST_ACCESS_RO : 0);
	if (!err)
		err = shadow_area(dev, ctrl_off(dev) + PAGE, PAGE, map ? VHOST_ACCESS_RW : 0);
	dev->has_shadow = map && !err;
	dev->has_data_shadow = dev->has_shadow && data;
	return err;
}

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
		uint64_t off = shadow_off(queue);

		client_ring_init(ring, queue, RING_NUM, dev->shadow + off, SHADOW_AT + off, 0);
		ring->used = (void *)(dev->shadow + off + DEVICE_AREA);
		memset(ring->used, 0, PAGE);
	} else {
		uint64_t at = RINGS_AT + device * RINGS_LEN + queue * SHADOW_RING_LEN;

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

	if (!has_asid(dev))
		return 0;
	err = client_vring_set(dev->fd, VHOST_VDPA_SET_GROUP_ASID, dev->ctrl_group, SHADOW_ASID);
	if (!err && dev->has_data_shadow)
		err = client_vring_set(dev->fd, VHOST_VDPA_SET_GROUP_ASID, dev->desc_group,
				       SHADOW_ASID);
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
	char *at = dev->shadow + ctrl_off(dev);
	volatile uint8_t *ack = (uint8_t *)at + PAGE;
	struct client_buf bufs[2] = {{SHADOW_AT + ctrl_off(dev), len, false},
				     {SHADOW_AT + ctrl_off(dev) + PAGE, 1, true}};
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
		return fail(c, "features", i, err);
	if (!dev->has_mem)
		err = map_guest(c, dev);
	dt_mark(c->rec, DT_MAP, i);
	if (err)
		return fail(c, "mapping guest memory", i, err);
	err = shadow_all(dev, true, shadow);
	dt_mark(c->rec, DT_SHADOW, i);
	if (err)
		return fail(c, "mapping shadow rings", i, err);
	err = set_up_rings(c, i, shadow);
	dt_mark(c->rec, DT_SETUP, i);
	if (err)
		return fail(c, "ring setup", i, err);
	err = client_set_status(dev->fd, CLIENT_STATUS_RUNNING);
	dt_mark(c->rec, DT_START, i);
	if (err)
		return fail(c, "DRIVER_OK", i, err);
	err = restore_state(c, dev);
	dt_mark(c->rec, DT_CONTROL, i);
	return err ? fail(c, "control queue", i, err) : 0;
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
			return fail(c, "no buffer was used", i, err);
	}
	return err;
}

int dt_client_map(struct dt_client *c)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < c->nr_devices; i++) {
		if (!c->dev[i].has_mem)
			err = map_guest(c, &c->dev[i]);
		if (err)
			return fail(c, "mapping guest memory", i, err);
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

static bool remaps(const struct dt_client *c)
{
	return c->kind == DT_OLD || c->kind == DT_HOLD;
}

static int stop_device(struct dt_client *c, unsigned int i)
{
	struct dt_device *dev = &c->dev[i];
	int err = suspend(dev);

	dt_mark(c->rec, DT_SUSPEND, i);
	if (err)
		return fail(c, "suspend", i, err);
	err = reset(dev);
	dt_mark(c->rec, DT_RESET, i);
	if (err)
		return fail(c, "reset", i, err);
	err = shadow_all(dev, false, dev->has_data_shadow);
	if (!err && remaps(c))
		err = unmap_guest(c, dev);
	dt_mark(c->rec, DT_UNMAP, i);
	return err ? fail(c, "unmapping", i, err) : 0;
}

int dt_client_stop(struct dt_client *c)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < c->nr_devices; i++)
		err = stop_device(c, i);
	return err;
}

/* ---- open and close ---- */

static uint64_t wanted_backend(enum dt_kind kind)
{
	uint64_t bits = CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH;

	if (kind == DT_PERSIST || kind == DT_SVQ_ASID)
		bits |= CLIENT_BACKEND_PERSIST | CLIENT_BACKEND_SUSPEND;
	if (kind == DT_SVQ_ASID)
		bits |= CLIENT_BACKEND_ASID | CLIENT_BACKEND_DESC_ASID;
	return bits;
}

static int choose_features(struct dt_client *c, struct dt_device *dev)
{
	uint64_t offered, backend, wanted = wanted_backend(c->kind);
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

	if (!has_asid(dev))
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

static int open_device(struct dt_client *c, unsigned int i)
{
	struct dt_device *dev = &c->dev[i];
	int err;

	dev->nr_queues = 2 * c->nr_pairs + 1;
	dev->fd = client_open(c->paths[i]);
	if (dev->fd < 0)
		return fail(c, "open", i, dev->fd);
	err = client_ioctl(dev->fd, VHOST_SET_OWNER, NULL);
	if (!err)
		err = make_memory(dev);
	if (err)
		return fail(c, "owner", i, err);
	err = choose_features(c, dev);
	if (!err)
		err = client_set_u64(dev->fd, VHOST_SET_BACKEND_FEATURES, dev->backend);
	if (!err)
		err = ask_groups(dev);
	if (!err)
		err = client_set_status(dev->fd, CLIENT_STATUS_DRIVER);
	if (err)
		return fail(c, "the device lacks what this client needs", i, err);
	err = c->is_late ? 0 : map_guest(c, dev);
	return err ? fail(c, "mapping guest memory", i, err) : 0;
}

int dt_client_open(struct dt_client *c)
{
	int err = 0;

	for (unsigned int i = 0; i < c->nr_devices; i++)
		c->dev[i] = (struct dt_device){.fd = -1};
	for (unsigned int i = 0; !err && i < c->nr_devices; i++)
		err = open_device(c, i);
	return err;
}

void dt_client_close(struct dt_client *c)
{
	for (unsigned int i = 0; i < c->nr_devices; i++) {
		struct dt_device *dev = &c->dev[i];

		if (dev->fd >= 0)
			close(dev->fd);
		for (unsigned int q = 0; dev->ring && q < DT_QUEUES_MAX; q++)
			client_ring_fini(&dev->ring[q]);
		free(dev->ring);
		if (dev->shadow)
			munmap(dev->shadow, shadow_len(dev));
		*dev = (struct dt_device){.fd = -1};
	}
}
