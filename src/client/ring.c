/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver side of a split virtqueue in client memory.
 *
 * The device is not trusted to leave the descriptor table alone: chain order and lengths
 * are kept in private copies, and a used id that names no chain is -EPROTO. Ordering: the
 * available index is stored with release after the entry it covers; the used index is
 * loaded with acquire before the entry is read; a full barrier stands before the kick.
 */
#include "client/client.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static size_t avail_off(uint32_t num)
{
	return num * sizeof(struct vring_desc);
}

static size_t used_off(uint32_t num)
{
	size_t end = avail_off(num) + sizeof(uint16_t) * (3 + num);

	return (end + 63) & ~(size_t)63;
}

size_t client_ring_size(uint32_t num)
{
	size_t end = used_off(num) + sizeof(uint16_t) * 3 + num * sizeof(struct vring_used_elem);

	return (end + 63) & ~(size_t)63;
}

void client_ring_init(struct client_ring *ring, uint32_t idx, uint32_t num, void *base,
		      uint64_t iova, uint16_t start)
{
	memset(base, 0, client_ring_size(num));
	ring->idx = idx;
	ring->num = num;
	ring->iova = iova;
	ring->base = base;
	ring->desc = base;
	ring->avail = (void *)(ring->base + avail_off(num));
	ring->used = (void *)(ring->base + used_off(num));
	ring->avail->idx = htole16(start);
	ring->used->idx = htole16(start);
	ring->avail_idx = start;
	ring->used_idx = start;
	ring->free_head = 0;
	ring->nr_free = (uint16_t)num;
	ring->kick_fd = -1;
	ring->call_fd = -1;
	for (uint32_t i = 0; i < num; i++) {
		ring->next[i] = (uint16_t)(i + 1);
		ring->chain_len[i] = 0;
	}
}

void client_ring_fini(struct client_ring *ring)
{
	if (ring->kick_fd >= 0)
		close(ring->kick_fd);
	if (ring->call_fd >= 0)
		close(ring->call_fd);
	ring->kick_fd = -1;
	ring->call_fd = -1;
}

static int ring_eventfds(struct client_ring *ring)
{
	if (ring->kick_fd < 0)
		ring->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (ring->kick_fd < 0)
		return -errno;
	if (ring->call_fd < 0)
		ring->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return ring->call_fd < 0 ? -errno : 0;
}

static int ring_attach(struct client_ring *ring, int fd, bool with_base)
{
	struct vhost_vring_addr addr = {
		.index = ring->idx,
		.desc_user_addr = ring->iova,
		.avail_user_addr = ring->iova + avail_off(ring->num),
		.used_user_addr = ring->iova + used_off(ring->num),
	};
	int rc = ring_eventfds(ring);

	if (rc == 0)
		rc = client_vring_set(fd, VHOST_SET_VRING_NUM, ring->idx, ring->num);
	if (rc == 0 && with_base)
		rc = client_vring_set(fd, VHOST_SET_VRING_BASE, ring->idx, ring->used_idx);
	if (rc == 0)
		rc = client_ioctl(fd, VHOST_SET_VRING_ADDR, &addr);
	if (rc == 0)
		rc = client_vring_file(fd, VHOST_SET_VRING_KICK, ring->idx, ring->kick_fd);
	if (rc == 0)
		rc = client_vring_file(fd, VHOST_SET_VRING_CALL, ring->idx, ring->call_fd);
	return rc;
}

int client_ring_attach(struct client_ring *ring, int fd)
{
	return ring_attach(ring, fd, true);
}

int client_ring_attach_without_base(struct client_ring *ring, int fd)
{
	return ring_attach(ring, fd, false);
}

int client_ring_add(struct client_ring *ring, const struct client_buf *bufs, unsigned nr,
		    uint16_t *head)
{
	uint16_t first = ring->free_head;
	uint16_t cur = first;

	if (nr == 0)
		return -EINVAL;
	if (nr > ring->nr_free)
		return -ENOSPC;
	for (unsigned i = 0; i < nr; i++) {
		unsigned flags = (bufs[i].device_writes ? VRING_DESC_F_WRITE : 0) |
				 (i + 1 < nr ? VRING_DESC_F_NEXT : 0);

		ring->desc[cur] = (struct vring_desc){
			.addr = htole64(bufs[i].iova),
			.len = htole32(bufs[i].len),
			.flags = htole16((uint16_t)flags),
			.next = htole16(i + 1 < nr ? ring->next[cur] : 0),
		};
		cur = ring->next[cur];
	}
	ring->free_head = cur;
	ring->nr_free = (uint16_t)(ring->nr_free - nr);
	ring->chain_len[first] = (uint16_t)nr;
	ring->avail->ring[ring->avail_idx & (ring->num - 1)] = htole16(first);
	ring->avail_idx++;
	/* release: pairs with the device's acquire of the available index */
	__atomic_store_n(&ring->avail->idx, htole16(ring->avail_idx), __ATOMIC_RELEASE);
	if (head)
		*head = first;
	return 0;
}

int client_ring_kick(struct client_ring *ring)
{
	uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return write(ring->kick_fd, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}

uint16_t client_ring_pending(const struct client_ring *ring)
{
	/* acquire: pairs with the device's release of the used index */
	uint16_t used = le16toh(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE));

	return (uint16_t)(used - ring->used_idx);
}

int client_ring_pop(struct client_ring *ring, uint16_t *head, uint32_t *len)
{
	const struct vring_used_elem *elem;
	uint32_t id;
	uint16_t last;

	if (client_ring_pending(ring) == 0)
		return 0;
	elem = &ring->used->ring[ring->used_idx & (ring->num - 1)];
	id = le32toh(elem->id);
	if (id >= ring->num || ring->chain_len[id] == 0)
		return -EPROTO;
	if (head)
		*head = (uint16_t)id;
	if (len)
		*len = le32toh(elem->len);
	last = (uint16_t)id;
	for (unsigned i = 1; i < ring->chain_len[id]; i++)
		last = ring->next[last];
	ring->next[last] = ring->free_head;
	ring->free_head = (uint16_t)id;
	ring->nr_free = (uint16_t)(ring->nr_free + ring->chain_len[id]);
	ring->chain_len[id] = 0;
	ring->used_idx++;
	return 1;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int client_ring_wait(struct client_ring *ring, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	while (client_ring_pending(ring) == 0) {
		struct pollfd pfd = {.fd = ring->call_fd, .events = POLLIN};
		int64_t left = end - now_ms();
		uint64_t count;
		int n;

		if (left < 0)
			return -ETIMEDOUT;
		n = poll(&pfd, 1, (int)left);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && read(ring->call_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
			return -errno;
	}
	return 0;
}
