// SPDX-License-Identifier: BSD-3-Clause
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../guard_signals.h"
#include "base/clock.h"
#include "base/worker.h"

struct vdpa_dev_config rig_config(void)
{
	struct vdpa_dev_config c = {
		.name = "net0",
		.mgmtdev = "vdpasim_net",
		.max_vqp = 1,
		.mapping = VDPA_MAPPING_SET_MAP,
		.memory = MEMORY_VA,
		.reset_map = true,
		.max_iotlb_entries = 1048576,
		.workers = 1,
		.vq_size = 256,
		.offer = BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER) |
			 BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_F_RING_RESET),
	};
	return c;
}

void rig_expect_refused(const char *backend, uint16_t max_vqp, int err, const char *words)
{
	struct vdpa_dev_config config = rig_config();
	struct memory_space *space;
	struct vdpa_bus *bus;

	config.given |= VDPA_KEY_BACKEND;
	config.max_vqp = max_vqp;
	(void)snprintf(config.backend, sizeof(config.backend), "%s", backend);
	assert_int_equal(memory_space_create_own(&space), 0);
	assert_int_equal(vdpa_bus_create(space, &bus), 0);
	assert_int_equal(simnet_mgmt_dev.dev_add(&simnet_mgmt_dev, bus, &config), err);
	if (!strstr(refuse_reason(), words))
		fail_msg("'%s' lacks '%s'", refuse_reason(), words);
	vdpa_bus_destroy(bus);
	memory_space_put(space);
}

int rig_guard_install(void)
{
	return guard_signals_install();
}

void rig_take_signals(void)
{
	guard_signals_take();
}

void rig_vanish(void *p, size_t len)
{
	assert_ptr_equal(mmap(p, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 p);
}

static void signal_fd(void *arg)
{
	eventfd_write(*(int *)arg, 1);
}

void rig_make(struct rig *rig, const struct vdpa_dev_config *config)
{
	bool blk = strcmp(config->mgmtdev, simblk_mgmt_dev.name) == 0;

	rig_make_of(rig, blk ? &simblk_mgmt_dev : &simnet_mgmt_dev, config);
}

void rig_make_of(struct rig *rig, const struct vdpa_mgmt_dev *mgmt,
		 const struct vdpa_dev_config *config)
{
	int err;

	memset(rig, 0, sizeof(*rig));
	assert_int_equal(memory_space_create_own(&rig->space), 0);
	assert_int_equal(vdpa_bus_create(rig->space, &rig->bus), 0);
	err = mgmt->dev_add(mgmt, rig->bus, config);
	if (err)
		fail_msg("dev_add: %d: %s", err, refuse_reason());
	rig->dev = vdpa_bus_find(rig->bus, config->name);
	assert_non_null(rig->dev);
	rig->ops = rig->dev->ops;
	rig->config_fd = eventfd(0, EFD_NONBLOCK);
	for (int i = 0; i < RIG_VQS; i++)
		rig->vq[i].call_fd = eventfd(0, EFD_NONBLOCK);
}

static void vq_free(struct rig_vq *vq)
{
	ring_driver_destroy(vq->drv);
	if (vq->mem)
		munmap(vq->mem, vq->mem_len);
	vq->drv = NULL;
	vq->mem = NULL;
}

void rig_destroy(struct rig *rig)
{
	vdpa_device_unregister(rig->dev);
	vdpa_device_put(rig->dev);
	vdpa_bus_destroy(rig->bus);
	memory_space_put(rig->space);
	close(rig->config_fd);
	for (int i = 0; i < RIG_VQS; i++) {
		vq_free(&rig->vq[i]);
		close(rig->vq[i].call_fd);
	}
}

void rig_negotiate(struct rig *rig, uint64_t features)
{
	struct vdpa_callback cb = {signal_fd, &rig->config_fd};

	rig_do(rig, set_status, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	assert_int_equal(rig_op(rig, set_driver_features, features), 0);
	rig->features = rig_op(rig, get_driver_features);
	rig_do(rig, set_status,
	       VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	rig_do(rig, set_config_cb, &cb);
}

void rig_vq_new(struct rig *rig, uint16_t idx, uint16_t num)
{
	bool packed = rig->features & BIT(VIRTIO_F_RING_PACKED);
	struct rig_vq *vq = &rig->vq[idx];
	struct ring_driver_config config = {
		.num = num,
		.packed = packed,
		.event_idx = rig->features & BIT(VIRTIO_RING_F_EVENT_IDX),
		.in_order = rig->features & BIT(VIRTIO_F_IN_ORDER),
		.start_avail = packed ? 0x8000 : 0,
	};
	size_t off = 0, at[3];

	vq_free(vq);
	for (int a = 0; a < 3; a++) {
		at[a] = off;
		off += (ring_driver_area_len((enum ring_area)a, num, packed) + 4095) & ~4095ULL;
	}
	vq->mem_len = off;
	vq->num = num;
	vq->mem = mmap(NULL, off, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(vq->mem, MAP_FAILED);
	for (int a = 0; a < 3; a++)
		vq->area[a] = vq->mem + at[a];
	config.desc = vq->area[0];
	config.driver = vq->area[1];
	config.device = vq->area[2];
	assert_int_equal(ring_driver_create(&config, &vq->drv), 0);
}

uint64_t rig_iova(struct rig *rig, const void *p)
{
	return rig->iova_of ? rig->iova_of(rig, p) : (uint64_t)(uintptr_t)p;
}

void rig_map_add(struct rig *rig, struct iotlb *tlb, const void *p, size_t len)
{
	uint64_t at = (uintptr_t)p;

	assert_int_equal(
		iotlb_map(tlb, at, at + len - 1, memory_space_identity(rig->space), at, IOTLB_RW),
		0);
}

struct iotlb *rig_map_of_rings(struct rig *rig)
{
	struct iotlb *tlb;

	assert_int_equal(iotlb_create(64, &tlb), 0);
	for (int i = 0; i < RIG_VQS; i++)
		if (rig->vq[i].mem)
			rig_map_add(rig, tlb, rig->vq[i].mem, rig->vq[i].mem_len);
	return tlb;
}

void rig_vq_setup(struct rig *rig, uint16_t idx)
{
	struct rig_vq *vq = &rig->vq[idx];
	struct vdpa_callback cb = {signal_fd, &vq->call_fd};

	rig_do(rig, set_vq_cb, idx, &cb);
	rig_do(rig, set_vq_num, idx, vq->num);
	assert_int_equal(rig_op(rig, set_vq_address, idx, rig_iova(rig, vq->area[0]),
				rig_iova(rig, vq->area[1]), rig_iova(rig, vq->area[2])),
			 0);
	rig_do(rig, set_vq_ready, idx, true);
	assert_true(rig_op(rig, get_vq_ready, idx));
}

void rig_driver_ok(struct rig *rig)
{
	rig_do(rig, set_status, 0xf);
	assert_int_equal(rig_op(rig, get_status), 0xf);
}

void rig_start(struct rig *rig, uint64_t features, uint16_t nr, uint16_t num)
{
	rig_negotiate(rig, features);
	assert_true((rig->features & features) == features);
	for (uint16_t i = 0; i < nr; i++) {
		rig_vq_new(rig, i, num);
		rig_vq_setup(rig, i);
	}
	rig_driver_ok(rig);
}

void rig_reset(struct rig *rig)
{
	assert_int_equal(rig_op(rig, reset), 0);
	assert_int_equal(rig_op(rig, get_status), 0);
}

void rig_add(struct rig *rig, uint16_t idx, void *p, size_t len, bool in)
{
	struct ring_driver_seg seg = {rig_iova(rig, p), (uint32_t)len};

	assert_int_equal(
		ring_driver_add(rig->vq[idx].drv, &seg, in ? 0 : 1, in ? 1 : 0, p, NULL, 0), 0);
}

void rig_publish(struct rig *rig, uint16_t idx)
{
	if (ring_driver_publish(rig->vq[idx].drv))
		rig->ops->kick_vq(rig->dev, idx);
}

bool rig_wait_fd(int fd, int ms)
{
	struct pollfd p = {fd, POLLIN, 0};
	eventfd_t v;
	bool ready = poll(&p, 1, ms) > 0;

	if (ready)
		(void)!eventfd_read(fd, &v);
	return ready;
}

void rig_wait_count(const unsigned int *counter, unsigned int n)
{
	int64_t until = clock_now_ns() + DEADLINE_MS * NS_PER_MS;

	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < n) {
		assert_true(clock_now_ns() < until);
		(void)sched_yield();
	}
}

void *rig_poll(struct rig *rig, uint16_t idx, uint32_t *len)
{
	int err = 0;
	void *cookie = ring_driver_get(rig->vq[idx].drv, len, &err);

	assert_int_equal(err, 0);
	return cookie;
}

void *rig_get(struct rig *rig, uint16_t idx, uint32_t *len)
{
	struct rig_vq *vq = &rig->vq[idx];

	for (;;) {
		void *cookie = rig_poll(rig, idx, len);

		if (cookie)
			return cookie;
		if (ring_driver_cb_enable(vq->drv))
			continue;
		if (!rig_wait_fd(vq->call_fd, DEADLINE_MS))
			return NULL;
	}
}

/* A worker that was told something runs a poll first and a lock holder waits for it to end: two
 * rounds through a watched fd of our own leave nothing undone. */
static void quiet_ready(void *arg, uint32_t events)
{
	(void)events;
	eventfd_write(*(int *)arg, 1);
}

static void NO_TSA quiet_worker(struct worker *w)
{
	int in = eventfd(0, EFD_NONBLOCK), out = eventfd(0, EFD_NONBLOCK);
	struct worker_fd *wfd;

	assert_int_equal(worker_watch(w, in, 1 /* EPOLLIN */ | 1u << 31, quiet_ready, &out, &wfd),
			 0);
	for (int round = 0; round < 2; round++) {
		eventfd_write(in, 1);
		assert_true(rig_wait_fd(out, DEADLINE_MS));
	}
	worker_lock(w);
	worker_unwatch(w, wfd);
	worker_unlock(w);
	close(in);
	close(out);
}

void rig_quiet(struct rig *rig)
{
	for (uint16_t i = 0; i < rig->dev->nvqs; i += 2)
		quiet_worker(rig_op(rig, get_vq_worker, i));
}

void frame_make(uint8_t *buf, size_t len, uint32_t seed)
{
	static const uint8_t addresses[12] = {0x52, 0x54, 0, 1, 2, 3, 0x52, 0x54, 0, 4, 5, 6};

	memset(buf, 0, HDR);
	for (size_t i = HDR; i < len; i++)
		buf[i] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
	memcpy(buf + HDR, addresses, len - HDR < 12 ? len - HDR : 12);
	if (len >= HDR + 14) {
		buf[HDR + 12] = 0x88; /* an ethertype of nobody, so never a VLAN */
		buf[HDR + 13] = 0xb5;
	}
}

bool rig_goes_round(struct rig *rig, uint8_t *out, uint8_t *in, uint32_t seed)
{
	uint32_t len;

	memset(in, 0, ROUND_ROOM);
	rig_add(rig, 0, in, ROUND_ROOM, true);
	rig_publish(rig, 0);
	frame_make(out, ROUND_LEN, seed);
	rig_add(rig, 1, out, ROUND_LEN, false);
	rig_publish(rig, 1);
	if (rig_get(rig, 1, &len) != out || rig_get(rig, 0, &len) != in)
		return false;
	return len == ROUND_LEN && memcmp(in + HDR, out + HDR, ROUND_LEN - HDR) == 0;
}

void rig_send(struct rig *rig, uint16_t idx, uint8_t *buf, size_t len)
{
	uint32_t n;

	rig_add(rig, idx, buf, len, false);
	rig_publish(rig, idx);
	assert_ptr_equal(rig_get(rig, idx, &n), buf);
	assert_int_equal(n, 0);
}

uint8_t rig_ctrl(struct rig *rig, uint16_t idx, uint8_t class, uint8_t cmd, const void *data,
		 size_t len)
{
	static uint8_t buf[16384];
	struct ring_driver_seg segs[3];
	uint32_t n;

	buf[0] = class;
	buf[1] = cmd;
	if (len)
		memcpy(buf + 2, data, len);
	buf[sizeof(buf) - 1] = 0xff;
	segs[0] = (struct ring_driver_seg){rig_iova(rig, buf), 2};
	segs[1] = (struct ring_driver_seg){rig_iova(rig, buf + 2), (uint32_t)len};
	segs[len ? 2 : 1] = (struct ring_driver_seg){rig_iova(rig, &buf[sizeof(buf) - 1]), 1};
	assert_int_equal(ring_driver_add(rig->vq[idx].drv, segs, len ? 2 : 1, 1, buf, NULL, 0), 0);
	rig_publish(rig, idx);
	assert_ptr_equal(rig_get(rig, idx, &n), buf);
	assert_int_equal(n, 1);
	return buf[sizeof(buf) - 1];
}

uint64_t rig_counter(struct rig *rig, uint16_t idx, const char *name)
{
	struct vdpa_vq_stat c[VDPA_VQ_STATS_MAX];
	int n = rig->ops->get_vendor_vq_stats(rig->dev, idx, c);

	assert_true(n > 0);
	for (int i = 0; i < n; i++)
		if (strcmp(c[i].name, name) == 0)
			return c[i].value;
	fail_msg("no counter '%s'", name);
	return 0;
}
