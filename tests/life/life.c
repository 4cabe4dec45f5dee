/* SPDX-License-Identifier: BSD-3-Clause */
#include "life.h"

#include <linux/virtio_blk.h>
#include <string.h>
#include <unistd.h>

#define RING_NUM 64u
#define IOVA     0x100000000ULL
#define MORE     0x200000000ULL
#define BUF_LEN  4096u
#define PATIENCE 20000 /* ms without a completion that mean that the device stands still */
#define LOOK_MS  5
#define AGAIN_MS 50 /* without an answer a frame is sent again: nobody was there, perhaps */

/* A bit a page up to the end of what is mapped. */
static uint8_t log_bits[(MORE + 64 * BUF_LEN) / 4096 / 8];

static int try_u64(const struct life *w, unsigned long req, uint64_t value)
{
	return client_set_u64(w->fd, req, value);
}

static int negotiate(struct life *w, uint64_t log)
{
	uint64_t offered = 0, wanted = CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |
				       (w->disk ? 0 : CLIENT_BIT(VIRTIO_NET_F_CTRL_VQ)) | log;
	int err = client_set_status(w->fd, CLIENT_STATUS_DRIVER);

	if (!err)
		err = client_get_u64(w->fd, VHOST_GET_FEATURES, &offered);
	if (!err)
		err = try_u64(w, VHOST_SET_FEATURES, wanted & offered);
	return err ? err : client_set_status(w->fd, CLIENT_STATUS_FEATURES);
}

static int map(struct life *w)
{
	int err = 0;

	for (uint32_t asid = 0; !err && asid < (w->own_as ? 2u : 1u); asid++) {
		err = client_iotlb_batch(w->fd, asid, true);
		if (!err)
			err = client_iotlb_map(w->fd, asid, IOVA, w->mem.size, w->mem.addr,
					       VHOST_ACCESS_RW);
		if (!err)
			err = client_iotlb_batch(w->fd, asid, false);
	}
	return err;
}

/* Fresh rings, or those that are there, where they stand. */
static int attach(struct life *w, bool fresh)
{
	size_t len = client_ring_size(RING_NUM);
	int err = 0;

	for (unsigned int i = 0; !err && i < w->nr_rings; i++) {
		int kick = w->ring[i].kick_fd, call = w->ring[i].call_fd;

		if (fresh)
			client_ring_init(&w->ring[i], i, RING_NUM, (char *)w->mem.addr + i * len,
					 IOVA + i * len, 0);
		w->ring[i].kick_fd = kick;
		w->ring[i].call_fd = call;
		err = client_ring_attach(&w->ring[i], w->fd);
		if (!err)
			err = client_vring_set(w->fd, VHOST_VDPA_SET_VRING_ENABLE, i, 1);
	}
	return err ? err : client_set_status(w->fd, CLIENT_STATUS_RUNNING);
}

int life_start(struct life *w, uint64_t log)
{
	uint64_t bits = (uintptr_t)log_bits, offered = 0;
	int err = client_get_u64(w->fd, VHOST_GET_FEATURES, &offered);

	log &= offered;
	if (!err)
		err = negotiate(w, log);
	if (!err && log)
		err = client_ioctl(w->fd, VHOST_SET_LOG_BASE, &bits);
	return err ? err : attach(w, true);
}

int life_begin(struct life *w, const char *node)
{
	size_t len = client_ring_size(RING_NUM);
	uint32_t id = 0, nr_as = 0;
	int err;

	*w = (struct life){.fd = -1, .mem = {.memfd = -1}, .more = {.memfd = -1}};
	for (unsigned int i = 0; i < 3; i++)
		w->ring[i].kick_fd = w->ring[i].call_fd = -1;
	w->fd = client_open(node);
	if (w->fd < 0)
		return w->fd;
	err = client_ioctl(w->fd, VHOST_VDPA_GET_DEVICE_ID, &id);
	w->disk = id == VIRTIO_ID_BLOCK;
	w->nr_rings = w->disk ? 1 : 3;
	w->buf_off = 3 * len;
	if (!err)
		err = client_ioctl(w->fd, VHOST_SET_OWNER, NULL);
	if (!err)
		err = try_u64(w, VHOST_SET_BACKEND_FEATURES,
			      CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH |
				      (w->disk ? 0 : CLIENT_BACKEND_ASID) | CLIENT_BACKEND_SUSPEND |
				      CLIENT_BACKEND_RESUME);
	if (!err)
		err = client_mem_create(&w->mem, w->buf_off + 4 * BUF_LEN, CLIENT_MEM_MEMFD);
	if (!err)
		err = client_mem_create(&w->more, 64 * BUF_LEN, CLIENT_MEM_MEMFD);
	if (!err)
		err = client_ioctl(w->fd, VHOST_VDPA_GET_AS_NUM, &nr_as);
	w->own_as = !w->disk && nr_as > 1;
	if (!err && w->own_as)
		err = client_vring_set(w->fd, VHOST_VDPA_SET_GROUP_ASID, 1, 1);
	return err ? err : map(w);
}

void life_end(struct life *w)
{
	if (w->fd >= 0)
		close(w->fd);
	for (unsigned int i = 0; i < 3; i++)
		client_ring_fini(&w->ring[i]);
	client_mem_destroy(&w->mem);
	client_mem_destroy(&w->more);
}

int life_peer_ms = PATIENCE;

/* Until the ring has a completion. Return: 0; LIFE_TOLD; LIFE_SILENT */
static int completed(struct life *w, struct client_ring *ring, int patience)
{
	for (int waited = 0; waited < patience; waited += LOOK_MS) {
		int err = client_ring_wait(ring, LOOK_MS);

		if (err != -ETIMEDOUT)
			return err ? err : client_ring_pop(ring, NULL, NULL) == 1 ? 0 : -EPROTO;
		if (client_get_status(w->fd) & VIRTIO_CONFIG_S_NEEDS_RESET)
			return LIFE_TOLD;
	}
	return LIFE_SILENT;
}

/* A frame to everybody; type of experiments, so that nobody else answers. */
static int send_frame(struct life *w)
{
	struct client_buf out = {IOVA + w->buf_off, 12 + 60, false};
	char *buf = (char *)w->mem.addr + w->buf_off;
	int err;

	memset(buf, 0, BUF_LEN);
	memset(buf + 12, 0xff, 6);
	buf[12 + 12] = (char)0x88;
	buf[12 + 13] = (char)0xb5;
	err = client_ring_add(&w->ring[CLIENT_NET_TX], &out, 1, NULL);
	if (!err)
		err = client_ring_kick(&w->ring[CLIENT_NET_TX]);
	return err ? err : completed(w, &w->ring[CLIENT_NET_TX], PATIENCE);
}

static int use_card(struct life *w)
{
	struct client_buf in = {IOVA + w->buf_off + BUF_LEN, BUF_LEN, true};
	struct client_ring *rx = &w->ring[CLIENT_NET_RX];
	int err = client_ring_add(rx, &in, 1, NULL);

	if (!err)
		err = client_ring_kick(rx);
	if (!err)
		err = send_frame(w);
	if (err || !w->outside)
		return err ? err : completed(w, rx, PATIENCE);
	err = LIFE_SILENT;
	for (int waited = 0; err == LIFE_SILENT && waited < life_peer_ms; waited += AGAIN_MS) {
		err = completed(w, rx, AGAIN_MS);
		if (err == LIFE_SILENT && send_frame(w))
			return LIFE_SILENT;
	}
	return err;
}

static int use_disk(struct life *w)
{
	uint64_t at = IOVA + w->buf_off;
	struct client_buf request[] = {
		{at, 16, false}, {at + BUF_LEN, 512, true}, {at + 2 * BUF_LEN, 1, true}};
	int err;

	memset((char *)w->mem.addr + w->buf_off, 0, BUF_LEN); /* type 0: read, sector 0 */
	err = client_ring_add(&w->ring[0], request, 3, NULL);
	if (!err)
		err = client_ring_kick(&w->ring[0]);
	return err ? err : completed(w, &w->ring[0], PATIENCE);
}

int life_use(struct life *w)
{
	return w->disk ? use_disk(w) : use_card(w);
}

int life_command(struct life *w)
{
	uint64_t at = IOVA + w->buf_off + 3 * BUF_LEN;
	uint8_t *buf = (uint8_t *)w->mem.addr + w->buf_off + 3 * BUF_LEN;
	struct client_buf bufs[] = {{at, 3, false}, {at + 8, 1, true}};
	int err;

	if (w->disk)
		return 0;
	memcpy(buf, (const uint8_t[]){VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1}, 3);
	buf[8] = 0xee;
	err = client_ring_add(&w->ring[CLIENT_NET_CTRL], bufs, 2, NULL);
	if (!err)
		err = client_ring_kick(&w->ring[CLIENT_NET_CTRL]);
	if (!err)
		err = completed(w, &w->ring[CLIENT_NET_CTRL], PATIENCE);
	return err ? err : buf[8] == 0xee ? -EPROTO : 0;
}

/* Each piece is an entry, and with `memory pinned` a registration. */
int life_map_more(struct life *w)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < 8; i++)
		err = client_iotlb_map(w->fd, 0, MORE + 2ULL * i * BUF_LEN, BUF_LEN,
				       (char *)w->more.addr + 2UL * i * BUF_LEN, VHOST_ACCESS_RW);
	if (!err)
		err = client_iotlb_unmap(w->fd, 0, MORE, 64 * BUF_LEN);
	return err;
}

int life_stop_and_go(struct life *w)
{
	uint32_t base = 0;
	int err = client_ioctl(w->fd, VHOST_VDPA_SUSPEND, NULL);

	for (unsigned int i = 0; !err && i < w->nr_rings; i++)
		err = client_vring_get(w->fd, VHOST_GET_VRING_BASE, i, &base);
	return err ? err : client_ioctl(w->fd, VHOST_VDPA_RESUME, NULL);
}

int life_migrate(struct life *w)
{
	uint32_t base = 0;
	int err = client_ioctl(w->fd, VHOST_VDPA_SUSPEND, NULL);

	for (unsigned int i = 0; !err && i < w->nr_rings; i++) {
		err = client_vring_get(w->fd, VHOST_GET_VRING_BASE, i, &base);
		if (!err && base != w->ring[i].used_idx)
			err = -EPROTO;
	}
	if (!err)
		err = client_set_status(w->fd, 0);
	if (!err)
		err = client_iotlb_unmap(w->fd, 0, IOVA, w->mem.size);
	if (!err && w->own_as)
		err = client_iotlb_unmap(w->fd, 1, IOVA, w->mem.size);
	if (!err)
		err = map(w);
	if (!err)
		err = negotiate(w, 0);
	return err ? err : attach(w, false);
}

/* What the device has written is in the log, or the log is not offered. */
static int find_logged(struct life *w)
{
	uint64_t page = (IOVA + w->buf_off + BUF_LEN) / 4096, offered = 0;
	int err = client_get_u64(w->fd, VHOST_GET_FEATURES, &offered);

	if (err || !(offered & CLIENT_FEATURE_LOG_ALL))
		return err;
	return log_bits[page / 8] >> page % 8 & 1 ? 0 : -EPROTO;
}

int life_live(const char *node, bool outside)
{
	struct life w;
	int err = life_begin(&w, node);

	w.outside = outside;
	if (!err)
		err = life_start(&w, 0);
	if (!err)
		err = life_use(&w);
	if (!err)
		err = life_command(&w);
	if (!err)
		err = life_map_more(&w);
	if (!err)
		err = life_stop_and_go(&w);
	if (!err)
		err = life_use(&w);
	if (!err)
		err = client_set_status(w.fd, 0);
	if (!err)
		err = life_start(&w, CLIENT_FEATURE_LOG_ALL);
	if (!err)
		err = life_use(&w);
	if (!err)
		err = find_logged(&w);
	if (!err)
		err = life_migrate(&w);
	if (!err)
		err = life_use(&w);
	life_end(&w);
	return err;
}
