// SPDX-License-Identifier: BSD-3-Clause
#include "guest.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/client.h"

#define HDR_LEN     12
#define FRAME_LEN   60
#define DEADLINE_MS 20000
#define PAGE        4096u
#define RING_PACKED (1ULL << 34)

static int map_all(struct guest *g)
{
	int err = client_iotlb_map(g->fd, 0, IOVA, GUEST_LEN, g->mem, VHOST_ACCESS_RW);

	if (!err)
		err = client_iotlb_map(g->fd, 0, IOVA_RO, GUEST_LEN, g->mem, VHOST_ACCESS_RO);
	if (!err)
		err = client_iotlb_map(g->fd, 0, IOVA_WO, GUEST_LEN, g->mem, VHOST_ACCESS_WO);
	if (!err)
		err = client_iotlb_map(g->fd, 0, IOVA_TWO, PAGE, g->mem + DATA + PAGE,
				       VHOST_ACCESS_RW);
	if (!err)
		err = client_iotlb_map(g->fd, 0, IOVA_TWO + PAGE, PAGE, g->mem + DATA,
				       VHOST_ACCESS_RW);
	return err;
}

static int make_memory(struct guest *g)
{
	int fd = memfd_create("guest", MFD_CLOEXEC), err = 0;

	if (fd < 0 || ftruncate(fd, GUEST_LEN) < 0)
		return -errno;
	g->mem = mmap(NULL, GUEST_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (g->mem == MAP_FAILED) {
		err = -errno;
		g->mem = NULL;
	}
	close(fd);
	return err;
}

int guest_open(struct guest *g, const char *path)
{
	uint32_t id = 0, nr = 0;
	int err;

	*g = (struct guest){.config = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
	for (unsigned int q = 0; q < NQUEUES; q++) {
		g->kick[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		g->call[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
	g->fd = client_open(path);
	if (g->fd < 0)
		return g->fd;
	err = client_ioctl(g->fd, VHOST_SET_OWNER, NULL);
	if (!err)
		err = client_ioctl(g->fd, VHOST_VDPA_GET_DEVICE_ID, &id);
	if (!err)
		err = client_ioctl(g->fd, VHOST_VDPA_GET_VQS_COUNT, &nr);
	if (!err)
		err = client_get_u64(g->fd, VHOST_GET_FEATURES, &g->features);
	if (!err)
		err = client_set_u64(g->fd, VHOST_SET_BACKEND_FEATURES,
				     CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_PERSIST);
	if (!err)
		err = make_memory(g);
	if (!err)
		err = map_all(g);
	g->blk = id == 2;
	g->nr_queues = nr < NQUEUES ? nr : NQUEUES;
	return err ? err : guest_reset(g);
}

void guest_close(struct guest *g)
{
	if (g->fd >= 0)
		close(g->fd);
	if (g->mem)
		munmap(g->mem, GUEST_LEN);
}

int guest_reset(struct guest *g)
{
	static const uint32_t at[] = {AREA_DESC, AREA_DRIVER, AREA_DEVICE};
	int err = client_set_status(g->fd, 0);

	memset(g->mem, 0, GUEST_LEN);
	memset(g->first_held, 0, sizeof(g->first_held));
	(void)guest_wait(g->config, 0);
	for (unsigned int q = 0; q < NQUEUES; q++) {
		(void)guest_wait(g->call[q], 0);
		(void)guest_wait(g->kick[q], 0);
		g->num[q] = NUM;
		for (unsigned int a = 0; a < 3; a++)
			g->area[q][a] = IOVA + q * QUEUE_LEN + at[a];
	}
	return err;
}

static int start_queue(struct guest *g, unsigned int q)
{
	struct vhost_vring_addr addr = {.index = q,
					.desc_user_addr = g->area[q][0],
					.avail_user_addr = g->area[q][1],
					.used_user_addr = g->area[q][2]};
	int err = client_vring_set(g->fd, VHOST_SET_VRING_NUM, q, g->num[q]);

	if (!err)
		err = client_vring_set(g->fd, VHOST_SET_VRING_BASE, q, g->packed ? 0x80008000u : 0);
	if (!err)
		err = client_ioctl(g->fd, VHOST_SET_VRING_ADDR, &addr);
	if (!err)
		err = client_vring_file(g->fd, VHOST_SET_VRING_CALL, q, g->call[q]);
	if (!err)
		err = client_vring_file(g->fd, VHOST_SET_VRING_KICK, q, g->kick[q]);
	return err ? err : client_vring_set(g->fd, VHOST_VDPA_SET_VRING_ENABLE, q, 1);
}

int guest_start(struct guest *g, uint64_t features)
{
	int err;

	features |= CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |
		    (g->packed ? RING_PACKED : 0);
	features &= g->features;
	err = client_set_status(g->fd, CLIENT_STATUS_DRIVER);
	if (!err)
		err = client_set_u64(g->fd, VHOST_SET_FEATURES, features);
	if (!err)
		err = client_set_status(g->fd, CLIENT_STATUS_FEATURES);
	if (!err)
		err = client_ioctl(g->fd, VHOST_VDPA_SET_CONFIG_CALL, &g->config);
	for (unsigned int q = 0; !err && q < g->nr_queues; q++)
		err = start_queue(g, q);
	return err ? err : client_set_status(g->fd, CLIENT_STATUS_RUNNING);
}

int guest_status(const struct guest *g)
{
	return client_get_status(g->fd);
}

void guest_kick(struct guest *g, unsigned int q)
{
	eventfd_write(g->kick[q], 1);
}

bool guest_wait(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	eventfd_t v;

	return poll(&p, 1, ms) > 0 && eventfd_read(fd, &v) == 0;
}

static const char *wait_used(struct guest *g, unsigned int q, uint32_t *len)
{
	while (guest_used(g, q, len) == 0)
		if (!guest_wait(g->call[q], DEADLINE_MS))
			return "a good request is not completed";
	return NULL;
}

static const char *frame_works(struct guest *g)
{
	uint8_t *frame = g->mem + DATA + HDR_LEN;
	const char *wrong;
	uint32_t len = 0;

	memset(frame, 0xff, 6);
	memset(frame + 6, 0x5a, FRAME_LEN - 6);
	guest_desc(g, 0, 0, IOVA + DATA + PAGE, 2048, F_WRITE, 0);
	guest_avail(g, 0, 0, 0);
	guest_publish(g, 0, 1);
	guest_desc(g, 1, 0, IOVA + DATA, HDR_LEN + FRAME_LEN, 0, 0);
	guest_avail(g, 1, 0, 0);
	guest_publish(g, 1, 1);
	wrong = wait_used(g, 0, &len);
	if (wrong)
		return wrong;
	if (len != HDR_LEN + FRAME_LEN)
		return "a good frame comes back with a wrong length";
	return memcmp(g->mem + DATA + PAGE + HDR_LEN, frame, FRAME_LEN) ? "a good frame is changed"
									: NULL;
}

static const char *read_works(struct guest *g)
{
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN, .sector = 1};
	uint8_t *status = g->mem + DATA + PAGE;
	const char *wrong;
	uint32_t len = 0;

	memcpy(g->mem + DATA, &header, sizeof(header));
	*status = 0xee;
	guest_desc(g, 0, 0, IOVA + DATA, sizeof(header), F_NEXT, 1);
	guest_desc(g, 0, 1, IOVA + DATA + 512, 512, F_NEXT | F_WRITE, 2);
	guest_desc(g, 0, 2, IOVA + DATA + PAGE, 1, F_WRITE, 0);
	guest_avail(g, 0, 0, 0);
	guest_publish(g, 0, 1);
	wrong = wait_used(g, 0, &len);
	if (wrong)
		return wrong;
	return len == 513 && *status == VIRTIO_BLK_S_OK ? NULL : "a good read fails";
}

const char *guest_works(struct guest *g)
{
	const char *wrong;

	if (guest_reset(g) || guest_start(g, 0))
		return "the device does not start after a reset";
	wrong = g->blk ? read_works(g) : frame_works(g);
	if (!wrong && guest_status(g) != CLIENT_STATUS_RUNNING)
		wrong = "a good request leaves a wrong status";
	return wrong;
}
