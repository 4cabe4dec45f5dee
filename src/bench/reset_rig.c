// SPDX-License-Identifier: BSD-3-Clause
#include "bench/reset_rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "bench/guest.h"

#define CHUNK           (UINT64_C(1) << 30) /* one IOTLB entry */
#define GUEST_IOVA      (1ULL << 32)
#define RING_IOVA       0x10000ULL
#define RING_NUM        256
#define USED_TIMEOUT_NS 2000000000LL

const char *const reset_client_names[] = {"persist", "remap"};

int reset_fail(const char *what, int err)
{
	fprintf(stderr, "holdfast bench reset: %s: %s\n", what, strerror(-err));
	return err;
}

static int guest_create(struct reset_rig *rig, uint64_t size)
{
	uint64_t file_len = size < CHUNK ? size : CHUNK;
	int fd = memfd_create("guest", MFD_CLOEXEC);
	int err = 0;

	if (fd < 0 || ftruncate(fd, (off_t)file_len) < 0)
		err = -errno;
	if (!err)
		err = bench_guest_map(fd, file_len, size, &rig->guest);
	fd_close(&fd);
	if (err)
		return err;
	rig->mapped = size;
	memset(rig->guest, 0x5a, file_len);
	return 0;
}

static int guest_map_all(struct reset_rig *rig)
{
	int err = client_iotlb_batch(rig->fd, 0, true);

	for (uint64_t off = 0; !err && off < rig->mapped; off += CHUNK) {
		uint64_t len = rig->mapped - off < CHUNK ? rig->mapped - off : CHUNK;

		err = client_iotlb_map(rig->fd, 0, GUEST_IOVA + off, len, rig->guest + off,
				       VHOST_ACCESS_RW);
	}
	if (!err)
		err = client_iotlb_map(rig->fd, 0, RING_IOVA, rig->ring_mem.size,
				       rig->ring_mem.addr, VHOST_ACCESS_RW);
	return err ? err : client_iotlb_batch(rig->fd, 0, false);
}

static int guest_unmap_all(struct reset_rig *rig)
{
	int err = client_iotlb_batch(rig->fd, 0, true);

	for (uint64_t off = 0; !err && off < rig->mapped; off += CHUNK)
		err = client_iotlb_unmap(rig->fd, 0, GUEST_IOVA + off, CHUNK);
	if (!err)
		err = client_iotlb_unmap(rig->fd, 0, RING_IOVA, rig->ring_mem.size);
	return err ? err : client_iotlb_batch(rig->fd, 0, false);
}

static int ring_bring_up(struct reset_rig *rig, unsigned int i)
{
	size_t ring_len = client_ring_size(RING_NUM);
	struct client_ring *ring = &rig->ring[i];
	int kick = ring->kick_fd, call = ring->call_fd;
	int err;

	client_ring_init(ring, i, RING_NUM, (char *)rig->ring_mem.addr + i * ring_len,
			 RING_IOVA + i * ring_len, 0);
	ring->kick_fd = kick;
	ring->call_fd = call;
	err = client_ring_attach(ring, rig->fd);
	return err ? err : client_vring_set(rig->fd, VHOST_VDPA_SET_VRING_ENABLE, i, 1);
}

/* From status 0 to a device that runs: what a VMM does at each start. */
static int device_start(struct reset_rig *rig)
{
	int err = client_set_status(rig->fd, CLIENT_STATUS_DRIVER);

	if (!err)
		err = client_set_u64(rig->fd, VHOST_SET_FEATURES,
				     CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM);
	if (!err)
		err = client_set_status(rig->fd, CLIENT_STATUS_FEATURES);
	for (unsigned int i = 0; !err && i < 2; i++)
		err = ring_bring_up(rig, i);
	return err ? err : client_set_status(rig->fd, CLIENT_STATUS_RUNNING);
}

/* One broadcast frame through the loopback: ends when its transmit buffer is used. */
static int use_one_buffer(struct reset_rig *rig)
{
	struct client_buf rx = {RING_IOVA + rig->buf_off, 2048, true};
	struct client_buf tx = {RING_IOVA + rig->buf_off + 2048, 12 + 60, false};
	int64_t deadline = clock_now_ns() + USED_TIMEOUT_NS;
	int err = client_ring_add(&rig->ring[0], &rx, 1, NULL);

	if (!err)
		err = client_ring_add(&rig->ring[1], &tx, 1, NULL);
	if (!err)
		err = client_ring_kick(&rig->ring[1]);
	while (!err && client_ring_pending(&rig->ring[1]) == 0) {
		if (clock_now_ns() > deadline)
			return -ETIMEDOUT;
	}
	return err;
}

int reset_once(struct reset_rig *rig, enum reset_client kind, int64_t *ns)
{
	int64_t start = clock_now_ns();
	int err = client_set_status(rig->fd, 0);

	if (!err && kind == RESET_REMAP)
		err = guest_unmap_all(rig);
	if (!err && kind == RESET_REMAP)
		err = guest_map_all(rig);
	if (!err)
		err = device_start(rig);
	if (!err)
		err = use_one_buffer(rig);
	*ns = clock_now_ns() - start;
	return err;
}

static int rig_prepare_memory(struct reset_rig *rig)
{
	size_t ring_len = client_ring_size(RING_NUM);
	char *buf;
	int err = client_mem_create(&rig->ring_mem, 2 * ring_len + 4096, CLIENT_MEM_MEMFD);

	if (err)
		return err;
	rig->buf_off = 2 * ring_len;
	buf = (char *)rig->ring_mem.addr + rig->buf_off + 2048 + 12;
	memset(buf, 0xff,
	       12); /* to everybody, so that a loopback without promiscuous mode takes it */
	return 0;
}

void reset_rig_destroy(struct reset_rig *rig)
{
	if (rig->fd >= 0)
		close(rig->fd);
	client_ring_fini(&rig->ring[0]);
	client_ring_fini(&rig->ring[1]);
	client_mem_destroy(&rig->ring_mem);
	if (rig->guest)
		munmap(rig->guest, rig->mapped);
}

int reset_rig_create(struct reset_rig *rig, const char *path, uint64_t mapped,
		     enum reset_client kind)
{
	uint64_t backend = CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH;
	int err;

	*rig = (struct reset_rig){.fd = -1};
	for (unsigned int i = 0; i < 2; i++)
		rig->ring[i].kick_fd = rig->ring[i].call_fd = -1;
	if (kind == RESET_PERSIST)
		backend |= CLIENT_BACKEND_PERSIST;
	rig->fd = client_open(path);
	if (rig->fd < 0)
		return reset_fail(path, rig->fd);
	err = client_ioctl(rig->fd, VHOST_SET_OWNER, NULL);
	if (!err)
		err = client_set_u64(rig->fd, VHOST_SET_BACKEND_FEATURES, backend);
	if (err)
		return reset_fail("backend features", err);
	err = rig_prepare_memory(rig);
	if (!err)
		err = guest_create(rig, mapped);
	if (err)
		return reset_fail("guest memory", err);
	err = guest_map_all(rig);
	if (err)
		return reset_fail("mapping guest memory to the device", err);
	err = device_start(rig);
	if (!err)
		err = use_one_buffer(rig);
	return err ? reset_fail("first start", err) : 0;
}
