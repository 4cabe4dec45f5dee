// SPDX-License-Identifier: BSD-3-Clause
#include "traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client/client.h"

#define HDR_LEN   12
#define FRAME_LEN 1400
#define SLOTS     TRAFFIC_SLOTS
#define NUM_NET   64 /* entries of a queue */
#define NUM_BLK   256
#define QUEUE_LEN 0x4000u /* bytes of a queue's areas */
#define AVAIL     0x1000u
#define USED      0x2000u
#define BUF_LEN   0x1000u
#define DATA_LEN  2048u /* of a request */
#define ETHERTYPE 0x88b5

#define FRESH_PACKED 0x80008000u /* position of a packed ring: 0, both counters 1 */

int64_t traffic_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* ---- rings; all through the feeder's view ---- */

static struct vring_desc *descs(const struct traffic *t, unsigned int q)
{
	return (struct vring_desc *)(void *)(t->alias + q * QUEUE_LEN);
}

static struct vring_avail *avail(const struct traffic *t, unsigned int q)
{
	return (struct vring_avail *)(void *)(t->alias + q * QUEUE_LEN + AVAIL);
}

static struct vring_used *used(const struct traffic *t, unsigned int q)
{
	return (struct vring_used *)(void *)(t->alias + q * QUEUE_LEN + USED);
}

static struct vring_packed_desc *packed(const struct traffic *t, unsigned int q)
{
	return (struct vring_packed_desc *)(void *)(t->alias + q * QUEUE_LEN);
}

static size_t buffer(unsigned int q, unsigned int slot)
{
	return TRAFFIC_DATA + (q * SLOTS + slot) * BUF_LEN;
}

static void put(struct traffic *t, unsigned int q, unsigned int at, size_t off, uint32_t len,
		unsigned int flags)
{
	struct vring_desc *to = traffic_is_packed(t) ? t->chain[q] : descs(t, q);

	to[at] = (struct vring_desc){.addr = TRAFFIC_IOVA + off,
				     .len = len,
				     .flags = (uint16_t)flags,
				     .next = (uint16_t)(at + 1)};
}

static void fill_net(struct traffic *t, unsigned int q, unsigned int slot)
{
	uint8_t *frame = t->alias + buffer(q, slot) + HDR_LEN;

	if (q == 0) {
		put(t, q, slot, buffer(q, slot), BUF_LEN, VRING_DESC_F_WRITE);
		return;
	}
	memset(frame - HDR_LEN, 0, HDR_LEN);
	memset(frame, 0xff, ETH_ALEN);
	memset(frame + ETH_ALEN, 0x52, ETH_ALEN);
	frame[12] = ETHERTYPE >> 8;
	frame[13] = ETHERTYPE & 0xff;
	put(t, q, slot, buffer(q, slot), HDR_LEN + FRAME_LEN, 0);
}

/* Requests read and write by turns. In a packed ring their data are in two pieces: then they fill
 * it, and each lap is the same. */
static void fill_blk(struct traffic *t, unsigned int q, unsigned int slot)
{
	struct virtio_blk_outhdr header = {.type = slot % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
					   .sector = slot * 8};
	unsigned int nr = traffic_is_packed(t) ? 2 : 1, d = slot * (nr + 2);
	size_t at = buffer(q, slot);

	memcpy(t->alias + at, &header, sizeof(header));
	put(t, q, d++, at, sizeof(header), VRING_DESC_F_NEXT);
	for (unsigned int i = 0; i < nr; i++)
		put(t, q, d++, at + 512 + i * DATA_LEN / nr, DATA_LEN / nr,
		    VRING_DESC_F_NEXT | (slot % 2 ? 0 : VRING_DESC_F_WRITE));
	put(t, q, d, at + 3072, 1, VRING_DESC_F_WRITE);
}

static unsigned int num_of(const struct traffic *t)
{
	return t->blk ? NUM_BLK : NUM_NET;
}

static void fill_queue(struct traffic *t, unsigned int q)
{
	memset(t->alias + q * QUEUE_LEN, 0, QUEUE_LEN);
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		t->blk ? fill_blk(t, q, slot) : fill_net(t, q, slot);
	if (traffic_is_packed(t)) {
		traffic_packed_fill(t, q, packed(t, q));
		return;
	}
	for (unsigned int i = 0; i < num_of(t); i++)
		avail(t, q)->ring[i] = (uint16_t)((t->blk ? 3 : 1) * (i % SLOTS));
	t->used[q] = 0;
	__atomic_store_n(&avail(t, q)->idx, SLOTS, __ATOMIC_RELEASE);
}

/* Make available again what was used. The device completes in order: the same chains are next. */
static void feed(struct traffic *t, unsigned int q)
{
	unsigned int n;
	uint16_t now;

	if (traffic_is_packed(t)) {
		n = traffic_packed_feed(t, q, packed(t, q));
	} else {
		now = __atomic_load_n(&used(t, q)->idx, __ATOMIC_ACQUIRE);
		n = (uint16_t)(now - t->used[q]);
		t->used[q] = now;
		__atomic_store_n(&avail(t, q)->idx, (uint16_t)(now + SLOTS), __ATOMIC_RELEASE);
	}
	__atomic_add_fetch(&t->nr_done, n, __ATOMIC_RELAXED);
}

static void *feeder_main(void *arg)
{
	struct traffic *t = arg;

	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		pthread_mutex_lock(&t->lock);
		for (unsigned int q = 0; q < t->nr_queues; q++) {
			feed(t, q);
			if (!__atomic_load_n(&t->quiet, __ATOMIC_RELAXED))
				eventfd_write(t->kick[q], 1);
		}
		pthread_mutex_unlock(&t->lock);
		sched_yield();
	}
	return NULL;
}

/* ---- the peer ---- */

static int open_tap_peer(const char *name)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_ALL),
				   .sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return fd;
}

static int open_stream_peer(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return fd;
}

/* A frame to everybody; in a stream it stands behind its length. */
static size_t make_frame(uint8_t *buf, bool stream)
{
	size_t at = 0;

	if (stream) {
		memcpy(buf, (uint8_t[]){0, 0, FRAME_LEN >> 8, FRAME_LEN & 0xff}, 4);
		at = 4;
	}
	memset(buf + at, 0xff, ETH_ALEN);
	memset(buf + at + ETH_ALEN, 0x5a, FRAME_LEN - ETH_ALEN);
	buf[at + 12] = ETHERTYPE >> 8;
	buf[at + 13] = ETHERTYPE & 0xff;
	return at + FRAME_LEN;
}

/* Sends while the socket takes it, and drops what it gets. A frame goes out whole or not at all:
 * the rest of one that was cut comes first. */
static void *peer_main(void *arg)
{
	struct traffic *t = arg;
	uint8_t frame[FRAME_LEN + 8], sink[1 << 16];
	bool stream = false;
	size_t len, at = 0;
	int type;
	socklen_t type_len = sizeof(type);

	if (getsockopt(t->peer_fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0)
		stream = type == SOCK_STREAM;
	len = make_frame(frame, stream);
	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		struct pollfd p = {.fd = t->peer_fd, .events = POLLIN | POLLOUT};
		ssize_t n;

		if (poll(&p, 1, 10) <= 0)
			continue;
		if (p.revents & POLLIN)
			(void)!recv(t->peer_fd, sink, sizeof(sink), MSG_DONTWAIT);
		n = send(t->peer_fd, frame + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			at = (at + (size_t)n) % len;
		else
			sched_yield();
	}
	return NULL;
}

static int start_peer(struct traffic *t, const char *peer)
{
	int err;

	t->peer_fd = strncmp(peer, "tap:", 4) == 0 ? open_tap_peer(peer + 4)
						   : open_stream_peer(strchr(peer, ':') + 1);
	if (t->peer_fd < 0)
		return t->peer_fd;
	err = pthread_create(&t->peer, NULL, peer_main, t);
	t->has_peer = !err;
	return -err;
}

/* ---- the client ---- */

int traffic_map(struct traffic *t, size_t off, size_t len)
{
	return client_iotlb_map(t->fd, 0, TRAFFIC_IOVA + off, len, t->mem + off, VHOST_ACCESS_RW);
}

int traffic_unmap(struct traffic *t, size_t off, size_t len)
{
	return client_iotlb_unmap(t->fd, 0, TRAFFIC_IOVA + off, len);
}

static int make_memory(struct traffic *t)
{
	t->memfd = memfd_create("guest", MFD_CLOEXEC);
	if (t->memfd < 0 || ftruncate(t->memfd, TRAFFIC_LEN) < 0)
		return -errno;
	t->mem = mmap(NULL, TRAFFIC_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, t->memfd, 0);
	t->alias = mmap(NULL, TRAFFIC_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, t->memfd, 0);
	t->log = mmap(NULL, TRAFFIC_LOG_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (t->mem == MAP_FAILED || t->alias == MAP_FAILED || t->log == MAP_FAILED)
		return -ENOMEM;
	for (unsigned int q = 0; q < t->nr_queues; q++)
		fill_queue(t, q);
	return 0;
}

static int open_device(struct traffic *t, const char *path)
{
	uint32_t id = 0;
	int err;

	t->fd = client_open_owned(path, CLIENT_BACKEND_MSG_V2 | CLIENT_BACKEND_BATCH);
	if (t->fd < 0)
		return t->fd;
	err = client_get_u64(t->fd, VHOST_GET_FEATURES, &t->offered);
	if (!err)
		err = client_ioctl(t->fd, VHOST_VDPA_GET_DEVICE_ID, &id);
	t->blk = id == VIRTIO_ID_BLOCK;
	t->nr_queues = t->blk ? 1 : 2;
	return err ? err : t->ring & ~t->offered ? -EOPNOTSUPP : 0;
}

uint64_t traffic_ring(const char *words)
{
	return (strstr(words, "packed") ? 1ULL << VIRTIO_F_RING_PACKED : 0) |
	       (strstr(words, "in_order") ? 1ULL << VIRTIO_F_IN_ORDER : 0);
}

uint64_t traffic_features(const struct traffic *t)
{
	return CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM | t->ring;
}

int traffic_open(struct traffic *t, const char *path, const char *peer, uint64_t ring)
{
	int err;

	*t = (struct traffic){.ring = ring, .fd = -1, .memfd = -1, .config = -1, .peer_fd = -1};
	pthread_mutex_init(&t->lock, NULL);
	err = open_device(t, path);
	if (!err)
		err = make_memory(t);
	for (unsigned int q = 0; q < TRAFFIC_QUEUES; q++) {
		t->kick[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		t->call[q] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
	t->config = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!err)
		err = traffic_map(t, 0, TRAFFIC_DATA);
	if (!err)
		err = traffic_map(t, TRAFFIC_DATA, TRAFFIC_LEN - TRAFFIC_DATA);
	if (!err && peer)
		err = start_peer(t, peer);
	return err ? err : -pthread_create(&t->feeder, NULL, feeder_main, t);
}

static int start_queue(struct traffic *t, unsigned int q, bool log)
{
	uint64_t at = TRAFFIC_IOVA + q * QUEUE_LEN;
	struct vhost_vring_addr addr = {.index = q,
					.flags = log ? 1u << VHOST_VRING_F_LOG : 0,
					.desc_user_addr = at,
					.avail_user_addr = at + AVAIL,
					.used_user_addr = at + USED,
					.log_guest_addr = log ? at + USED : 0};
	int err = client_vring_set(t->fd, VHOST_SET_VRING_NUM, q, num_of(t));

	if (!err)
		err = client_vring_set(t->fd, VHOST_SET_VRING_BASE, q,
				       traffic_is_packed(t) ? FRESH_PACKED : 0);
	if (!err)
		err = client_ioctl(t->fd, VHOST_SET_VRING_ADDR, &addr);
	if (!err)
		err = client_vring_file(t->fd, VHOST_SET_VRING_CALL, q, t->call[q]);
	if (!err)
		err = client_vring_file(t->fd, VHOST_SET_VRING_KICK, q, t->kick[q]);
	return err ? err : client_vring_set(t->fd, VHOST_VDPA_SET_VRING_ENABLE, q, 1);
}

int traffic_start(struct traffic *t, uint64_t features)
{
	uint64_t log = (uintptr_t)t->log;
	bool logged = features & t->offered & TRAFFIC_LOG_ALL;
	int err = client_set_status(t->fd, CLIENT_STATUS_DRIVER);

	features |= traffic_features(t);
	if (!err && logged)
		err = client_ioctl(t->fd, VHOST_SET_LOG_BASE, &log);
	if (!err)
		err = client_set_u64(t->fd, VHOST_SET_FEATURES, features & t->offered);
	if (!err)
		err = client_set_status(t->fd, CLIENT_STATUS_FEATURES);
	if (!err)
		err = client_ioctl(t->fd, VHOST_VDPA_SET_CONFIG_CALL, &t->config);
	pthread_mutex_lock(&t->lock);
	for (unsigned int q = 0; q < t->nr_queues; q++)
		fill_queue(t, q);
	for (unsigned int q = 0; !err && q < t->nr_queues; q++)
		err = start_queue(t, q, logged);
	pthread_mutex_unlock(&t->lock);
	return err ? err : client_set_status(t->fd, CLIENT_STATUS_RUNNING);
}

void traffic_hush(struct traffic *t, bool quiet)
{
	pthread_mutex_lock(&t->lock);
	__atomic_store_n(&t->quiet, quiet, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&t->lock);
}

uint64_t traffic_done(const struct traffic *t)
{
	return __atomic_load_n(&t->nr_done, __ATOMIC_RELAXED);
}

bool traffic_moves(const struct traffic *t)
{
	int64_t until = traffic_now_ns() + TRAFFIC_DEADLINE * 1000000LL;
	uint64_t before = traffic_done(t);

	while (traffic_done(t) == before) {
		if (traffic_now_ns() > until)
			return false;
		sched_yield();
	}
	return true;
}

void traffic_pause(const struct traffic *t, int ms)
{
	struct pollfd p = {.fd = t->config, .events = POLLIN};
	eventfd_t v;

	if (poll(&p, 1, ms) > 0)
		(void)eventfd_read(t->config, &v);
}

void traffic_close(struct traffic *t)
{
	__atomic_store_n(&t->stop, true, __ATOMIC_RELEASE);
	pthread_join(t->feeder, NULL);
	if (t->has_peer)
		pthread_join(t->peer, NULL);
	if (t->fd >= 0)
		close(t->fd);
	if (t->peer_fd >= 0)
		close(t->peer_fd);
	for (unsigned int q = 0; q < TRAFFIC_QUEUES; q++) {
		close(t->kick[q]);
		close(t->call[q]);
	}
	close(t->config);
	munmap(t->mem, TRAFFIC_LEN);
	munmap(t->alias, TRAFFIC_LEN);
	munmap(t->log, TRAFFIC_LOG_LEN);
	close(t->memfd);
}
