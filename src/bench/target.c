// SPDX-License-Identifier: BSD-3-Clause
#include "bench/target.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"

#define PAGE 4096u

static int fail(const char *who, const char *what, int err)
{
	fprintf(stderr, "%s: %s: %s\n", who, what, strerror(-err));
	return err;
}

static size_t page_up(size_t len)
{
	return (len + PAGE - 1) & ~(size_t)(PAGE - 1);
}

void *bench_target_data(const struct bench_target *t, size_t off)
{
	return (char *)t->mem.addr + t->data_off + off;
}

/* ---- wire of a vhost-vdpa node ---- */

static int vdpa_open(struct bench_target *t, const char *path)
{
	t->fd = client_open_owned(path, CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH);
	return t->fd < 0 ? t->fd : client_set_status(t->fd, CLIENT_STATUS_DRIVER);
}

static int vdpa_get_features(struct bench_target *t, uint64_t *offered)
{
	return client_get_u64(t->fd, VHOST_GET_FEATURES, offered);
}

static int vdpa_set_features(struct bench_target *t)
{
	int err;

	t->features |= CLIENT_FEATURE_ACCESS_PLATFORM;
	err = client_set_u64(t->fd, VHOST_SET_FEATURES, t->features);
	return err ? err : client_set_status(t->fd, CLIENT_STATUS_FEATURES);
}

static int vdpa_map(struct bench_target *t)
{
	int err = client_iotlb_batch(t->fd, 0, true);

	if (!err)
		err = client_iotlb_map(t->fd, 0, BENCH_IOVA, t->mem.size, t->mem.addr,
				       VHOST_ACCESS_RW);
	return err ? err : client_iotlb_batch(t->fd, 0, false);
}

static int vdpa_set_up(struct bench_target *t, const struct bench_vq *vq)
{
	struct vhost_vring_addr addr = bench_vring_addr(vq, BENCH_IOVA);
	int err = client_vring_set(t->fd, VHOST_SET_VRING_NUM, vq->idx, t->num);

	if (!err)
		err = client_vring_set(t->fd, VHOST_SET_VRING_BASE, vq->idx, bench_vring_base(t));
	if (!err)
		err = client_ioctl(t->fd, VHOST_SET_VRING_ADDR, &addr);
	if (!err)
		err = client_vring_file(t->fd, VHOST_SET_VRING_KICK, vq->idx, vq->kick);
	if (!err)
		err = client_vring_file(t->fd, VHOST_SET_VRING_CALL, vq->idx, vq->call);
	return err ? err : client_vring_set(t->fd, VHOST_VDPA_SET_VRING_ENABLE, vq->idx, 1);
}

static int vdpa_start(struct bench_target *t)
{
	return client_set_status(t->fd, CLIENT_STATUS_RUNNING);
}

static int vdpa_get_config(struct bench_target *t, uint32_t off, void *buf, uint32_t len)
{
	return client_get_config(t->fd, off, buf, len);
}

static void vdpa_stop(struct bench_target *t)
{
	(void)client_set_status(t->fd, 0);
}

const struct bench_wire bench_wire_vdpa = {
	.name = "vhost-vdpa",
	.open = vdpa_open,
	.get_features = vdpa_get_features,
	.set_features = vdpa_set_features,
	.map = vdpa_map,
	.set_up = vdpa_set_up,
	.start = vdpa_start,
	.get_config = vdpa_get_config,
	.stop = vdpa_stop,
};

/* ---- rings ---- */

/* Lay the areas of all rings behind one another, each on a page of its own: neither side's writes
 * share a cache line with the other's. */
static void lay_out(struct bench_target *t, bool packed)
{
	size_t off = 0;

	for (unsigned int i = 0; i < t->nr_vqs; i++) {
		for (int area = RING_AREA_DESC; area <= RING_AREA_DEVICE; area++) {
			t->vqs[i].area_off[area] = off;
			off += page_up(ring_driver_area_len((enum ring_area)area, t->num, packed));
		}
	}
	t->data_off = off;
}

static int create_ring(struct bench_target *t, struct bench_vq *vq)
{
	char *base = t->mem.addr;
	struct ring_driver_config config = {
		.num = t->num,
		.packed = bench_target_has(t, VIRTIO_F_RING_PACKED),
		.event_idx = bench_target_has(t, VIRTIO_RING_F_EVENT_IDX),
		.in_order = bench_target_has(t, VIRTIO_F_IN_ORDER),
		.desc = base + vq->area_off[RING_AREA_DESC],
		.driver = base + vq->area_off[RING_AREA_DRIVER],
		.device = base + vq->area_off[RING_AREA_DEVICE],
	};

	config.start_avail = config.packed ? BENCH_FRESH : 0;
	vq->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vq->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vq->kick < 0 || vq->call < 0)
		return -errno;
	return ring_driver_create(&config, &vq->drv);
}

static int negotiate(struct bench_target *t, const struct bench_target_config *config,
		     const char *who)
{
	uint64_t offered, wanted = config->features | CLIENT_FEATURE_VERSION_1;
	int err = t->wire->get_features(t, &offered);

	if (err)
		return fail(who, "features", err);
	if (wanted & ~offered) {
		fprintf(stderr, "%s: %s does not offer features 0x%llx of those wanted\n", who,
			config->path, (unsigned long long)(wanted & ~offered));
		return -ENOTSUP;
	}
	t->features = wanted;
	err = t->wire->set_features(t);
	return err ? fail(who, "features", err) : 0;
}

static int prepare_memory(struct bench_target *t, const struct bench_target_config *config)
{
	int err;

	lay_out(t, bench_target_has(t, VIRTIO_F_RING_PACKED));
	err = client_mem_create(&t->mem, page_up(t->data_off + config->data_len), CLIENT_MEM_MEMFD);
	return err ? err : t->wire->map(t);
}

int bench_target_open(struct bench_target *t, const struct bench_target_config *config,
		      const char *who)
{
	int err;

	*t = (struct bench_target){.wire = config->user ? &bench_wire_user : &bench_wire_vdpa,
				   .fd = -1,
				   .mem = {.memfd = -1},
				   .nr_vqs = config->nr_vqs,
				   .num = config->num};
	for (unsigned int i = 0; i < BENCH_VQS_MAX; i++)
		t->vqs[i] = (struct bench_vq){.idx = i, .kick = -1, .call = -1};
	err = t->wire->open(t, config->path);
	if (err)
		return fail(who, config->path, err);
	return negotiate(t, config, who);
}

int bench_target_set_up(struct bench_target *t, const struct bench_target_config *config,
			const char *who)
{
	int err = prepare_memory(t, config);

	if (err)
		return fail(who, "memory", err);
	for (unsigned int i = 0; !err && i < t->nr_vqs; i++) {
		err = create_ring(t, &t->vqs[i]);
		if (!err)
			err = t->wire->set_up(t, &t->vqs[i]);
	}
	return err ? fail(who, "rings", err) : 0;
}

int bench_target_start(struct bench_target *t)
{
	return t->wire->start(t);
}

void bench_target_close(struct bench_target *t)
{
	if (t->fd >= 0)
		t->wire->stop(t);
	fd_close(&t->fd);
	for (unsigned int i = 0; i < t->nr_vqs; i++) {
		if (t->vqs[i].drv)
			ring_driver_destroy(t->vqs[i].drv);
		fd_close(&t->vqs[i].kick);
		fd_close(&t->vqs[i].call);
	}
	client_mem_destroy(&t->mem);
}

/* ---- a queue ---- */

int bench_vq_publish(struct bench_vq *vq)
{
	uint64_t one = 1;

	if (!ring_driver_publish(vq->drv))
		return 0;
	return write(vq->kick, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN ? 0 : -errno;
}

int bench_vq_wait(struct bench_vq *vq, int timeout_ms)
{
	struct pollfd pfd = {.fd = vq->call, .events = POLLIN};
	uint64_t count;
	int n = 1;

	if (!ring_driver_cb_enable(vq->drv))
		n = poll(&pfd, 1, timeout_ms);
	if (n > 0 && (pfd.revents & POLLIN) && read(vq->call, &count, sizeof(count)) < 0 &&
	    errno != EAGAIN)
		return -errno;
	ring_driver_cb_disable(vq->drv);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n ? 0 : -ETIMEDOUT;
}
