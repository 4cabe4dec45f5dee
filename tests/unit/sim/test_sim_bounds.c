// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a worker does in one go is bounded, whatever a peer or a guest sends: this program stands
 * between the worker and the calls that take from a peer, and counts (ld's --wrap). The peers here
 * never run dry, so a loop without a bound of its own does not end.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../between.h"
#include "base/clock.h"
#include "parents/sim/net.h"
#include "parents/sim/stream.h"
#include "socket_support.h"
#include "support.h"

#define BIG       (64u * 1024 + 256) /* a buffer for each frame */
#define NR_BUFS   200u
#define ON_WIRE   (SIMNET_STREAM_LEN_BYTES + SIMNET_FRAME_MAX)
#define NR_LOOKS  (4 * SIMNET_BATCH) /* while a reset waits: two batches, and some */
#define NR_ENOUGH 20000u             /* then a peer gives up, so that a test ends that fails */

enum peer { QUIET, FRAMES, BYTES };

static enum peer peer; /* atomic, as all here but @spare */
static uint64_t nr_taken, bytes_taken;
static bool callers; /* connect without end */
static uint64_t nr_accepted;
static const struct vdpasim_worker *watched; /* NULL: none */
static uint64_t nr_late; /* looks for a peer while somebody asks for the watched worker's lock */
static int spare[2];

static void set_peer(enum peer now)
{
	__atomic_store_n(&peer, now, __ATOMIC_RELAXED);
}

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static uint64_t counted(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void look_for_peer(void)
{
	const struct vdpasim_worker *sw = __atomic_load_n(&watched, __ATOMIC_ACQUIRE);

	if (sw && vdpasim_is_asked(sw))
		count(&nr_late, 1);
}

/* Frames of the largest kind, one behind the other, to an address that is not the card's. */
static void flood(uint8_t *buf, size_t len, uint64_t at)
{
	static const uint8_t begin[] = {0,
					SIMNET_FRAME_MAX >> 16,
					SIMNET_FRAME_MAX >> 8 & 0xff,
					SIMNET_FRAME_MAX & 0xff,
					0x52,
					0x54,
					0,
					9,
					9,
					9};

	memset(buf, 1, len);
	for (uint64_t i = 0; i < len;) {
		uint64_t in = (at + i) % ON_WIRE;

		if (in < sizeof(begin))
			buf[i++] = begin[in];
		else
			i += ON_WIRE - in;
	}
}

ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	enum peer now = __atomic_load_n(&peer, __ATOMIC_RELAXED);

	if (now == QUIET || counted(&nr_taken) > NR_ENOUGH)
		return __real_recv(fd, buf, len, flags);
	if (now == BYTES) {
		for (int64_t until = clock_now_ns() + 50 * NS_PER_US; clock_now_ns() < until;)
			; /* as a call takes its time */
		len = 1;
	}
	look_for_peer();
	flood(buf, len, counted(&bytes_taken));
	count(&nr_taken, 1);
	count(&bytes_taken, len);
	return (ssize_t)len;
}

int __real_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	if (!__atomic_load_n(&callers, __ATOMIC_RELAXED) || counted(&nr_accepted) > NR_ENOUGH)
		return __real_accept4(fd, addr, len, flags);
	look_for_peer();
	count(&nr_accepted, 1);
	return dup(spare[0]);
}

static struct simnet *net_of(struct rig *rig)
{
	return simnet_of(vdpasim_of(rig->dev));
}

/* A card that listens, with buffers of @len bytes for frames up to @mtu. */
static void make(struct rig *rig, uint16_t mtu, uint8_t *bufs, size_t len)
{
	struct vdpa_dev_config config = rig_config();

	config.given |= VDPA_KEY_BACKEND | VDPA_KEY_MTU | VDPA_KEY_MAC;
	config.mtu = mtu;
	memcpy(config.mac, "\x52\x54\x00\x01\x02\x03", 6);
	(void)snprintf(config.backend, sizeof(config.backend), "stream,path=%s,listen",
		       socket_address.sun_path);
	nr_taken = bytes_taken = nr_accepted = nr_late = 0;
	rig_make(rig, &config);
	rig_start(rig, BASE_FEATURES, 2, 256);
	for (unsigned int i = 0; i < NR_BUFS; i++)
		rig_add(rig, 0, bufs + (size_t)i * len, len, true);
	rig_publish(rig, 0);
}

struct flood {
	const char *counter; /* where the frames end up */
	uint16_t mtu;
	size_t buf_len;
	bool filtered;
};

static void frames_that_are_dropped_count_to_a_batch(void **state)
{
	static const struct flood floods[] = {
		{"rx errors", 1500, 2048, false},  /* too long, seen behind the buffer */
		{"rx errors", 65535, 2048, false}, /* too long for the buffer, so read elsewhere */
		{"rx drops", 65535, BIG, true},    /* not for this card */
		{"rx drops", 65535, 2048, true},   /* the same, read elsewhere */
		{"rx packets", 65535, BIG, false},
	};
	uint8_t *bufs = calloc(NR_BUFS, BIG);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
		const struct flood *f = &floods[i];
		struct vdpasim_vq *vq;
		struct rig rig;
		uint64_t before;
		int fd;

		make(&rig, f->mtu, bufs, f->buf_len);
		fd = socket_connect();
		rig_quiet(&rig);
		vq = &vdpasim_of(rig.dev)->vqs[0];
		vdpasim_lock(vq->sw);
		mutex_lock(&net_of(&rig)->lock);
		net_of(&rig)->filter.promisc = !f->filtered;
		simnet_filter_changed(net_of(&rig));
		mutex_unlock(&net_of(&rig)->lock);
		vq->sim->type->batch_begin(vq->sim, vq->sw);
		net_of(&rig)->pairs[0].readable = true;
		set_peer(FRAMES);
		for (int n = 0; n < 3; n++) {
			before = bytes_taken;
			assert_true(vq->sim->type->process(vq));
			/* and what the backend has read ahead */
			assert_between(bytes_taken - before, SIMNET_BATCH_LEN / 2,
				       SIMNET_BATCH_LEN + SIMNET_FRAME_MAX + SIMNET_STREAM_RX_LEN);
		}
		vdpasim_unlock(vq->sw);
		set_peer(QUIET);
		assert_true(rig_counter(&rig, 0, f->counter) > 3);
		rig_destroy(&rig);
		close(fd);
	}
	free(bufs);
}

/* A reset while a peer keeps the worker busy, which has looked for it @nr times: what the worker
 * does once the reset has asked for its lock is bounded, however late the reset comes to that. */
static void reset_under(struct rig *rig, const uint64_t *looks, unsigned int nr)
{
	int64_t until = clock_now_ns() + DEADLINE_MS * NS_PER_MS;

	while (counted(looks) < nr) {
		assert_true(clock_now_ns() < until);
		(void)sched_yield();
	}
	__atomic_store_n(&watched, vdpasim_of(rig->dev)->vqs[0].sw, __ATOMIC_RELEASE);
	rig_reset(rig);
	__atomic_store_n(&watched, NULL, __ATOMIC_RELEASE);
	assert_between(counted(&nr_late), 0, NR_LOOKS);
}

static void reset_under_bytes_that_never_end_waits_for_a_batch(void **state)
{
	uint8_t *bufs = calloc(NR_BUFS, BIG);
	struct rig rig;
	int fd;

	(void)state;
	make(&rig, 65535, bufs, BIG);
	fd = socket_connect();
	rig_quiet(&rig);
	set_peer(BYTES);
	assert_int_equal(send(fd, "", 1, MSG_NOSIGNAL), 1); /* an edge */
	reset_under(&rig, &nr_taken, 10);
	set_peer(QUIET);
	rig_destroy(&rig);
	close(fd);
	free(bufs);
}

static void reset_under_peers_that_connect_for_ever_waits_for_a_few(void **state)
{
	uint8_t *bufs = calloc(NR_BUFS, 2048);
	struct rig rig;
	int fd;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, spare), 0);
	make(&rig, 1500, bufs, 2048);
	rig_quiet(&rig);
	__atomic_store_n(&callers, true, __ATOMIC_RELAXED);
	fd = socket_connect();
	reset_under(&rig, &nr_accepted, 100); /* so it goes on after the first few */
	__atomic_store_n(&callers, false, __ATOMIC_RELAXED);
	rig_destroy(&rig);
	close(fd);
	close(spare[0]);
	close(spare[1]);
	free(bufs);
}

/* ---- strict mode ---- */

#define STRICT_NUM 256u

/* Every available entry is a chain of @pieces descriptors, each of @len bytes. */
static void fill_with_chains(struct rig *rig, uint16_t idx, unsigned int pieces, uint32_t len,
			     uint8_t byte)
{
	struct vring_desc *desc = rig->vq[idx].area[0];
	struct vring_avail *avail = rig->vq[idx].area[1];
	static uint8_t bytes[65536];

	memset(bytes, byte, 64);
	for (unsigned int i = 0; i < pieces; i++)
		desc[i] = (struct vring_desc){rig_iova(rig, bytes), len,
					      i + 1 < pieces ? VRING_DESC_F_NEXT : 0,
					      (uint16_t)(i + 1)};
	for (unsigned int i = 0; i < STRICT_NUM; i++)
		avail->ring[i] = 0;
	__atomic_store_n(&avail->idx, (uint16_t)STRICT_NUM, __ATOMIC_RELEASE);
}

static void make_strict(struct rig *rig)
{
	struct vdpa_dev_config config = rig_config();

	config.profile = PROFILE_LINUX_6_12;
	rig_make(rig, &config);
	rig_start(rig, BASE_FEATURES | BIT(VIRTIO_NET_F_CTRL_VQ), 3, STRICT_NUM);
}

/* Batches until the queue has no more. Return: how many. @walked, @bytes: of the longest */
static unsigned int run_strict(struct rig *rig, uint16_t idx, uint32_t *walked, uint64_t *bytes)
{
	struct vdpasim *sim = vdpasim_of(rig->dev);
	struct vdpasim_vq *vq = &sim->vqs[idx];
	const struct simnet_pair *pair = &net_of(rig)->pairs[0];
	unsigned int n = 0;
	bool more = true;

	*walked = 0;
	*bytes = 0;
	for (; more; n++) {
		uint32_t was = 0, now = 0;
		uint64_t len = pair->tx_stats.bytes + pair->rx_stats.bytes;

		for (uint16_t i = 0; i < 3; i++)
			was += ring_walked(sim->vqs[i].ring);
		more = sim->type->process(vq);
		for (uint16_t i = 0; i < 3; i++)
			now += ring_walked(sim->vqs[i].ring);
		len = pair->tx_stats.bytes + pair->rx_stats.bytes - len;
		*walked = now - was > *walked ? now - was : *walked;
		*bytes = len > *bytes ? len : *bytes;
	}
	return n;
}

static void strict_batch_is_bounded_in_pieces_and_bytes(void **state)
{
	static const struct {
		uint16_t idx;
		unsigned int pieces;
		uint32_t len;
		bool delivered;
	} loads[] = {
		{1, STRICT_NUM, 1, false}, /* chains of many pieces, which nobody takes */
		{1, STRICT_NUM, 0, false}, {1, 1, 65536, false},
		{1, STRICT_NUM, 1, true}, /* and the buffers, too */
		{2, STRICT_NUM, 1, false}, {2, 1, 65536, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
		struct vdpasim_worker *sw;
		unsigned int nr;
		uint32_t walked;
		struct rig rig;
		uint64_t bytes;

		make_strict(&rig);
		sw = vdpasim_of(rig.dev)->vqs[0].sw;
		vdpasim_lock(sw);
		/* frames to a group, or to nobody here; no command that there is */
		fill_with_chains(&rig, loads[i].idx, loads[i].pieces, loads[i].len,
				 loads[i].delivered ? 1 : 2);
		if (loads[i].delivered) {
			struct vring_desc *desc = rig.vq[0].area[0];

			fill_with_chains(&rig, 0, STRICT_NUM, loads[i].len, 1);
			for (unsigned int k = 0; k < STRICT_NUM; k++)
				desc[k].flags |= VRING_DESC_F_WRITE;
		}
		nr = run_strict(&rig, loads[i].idx, &walked, &bytes);
		vdpasim_unlock(sw);
		assert_true(nr > 1);
		assert_true(walked > 0 && walked <= RING_WALK_MAX + 2 * STRICT_NUM);
		assert_true(bytes <= SIMNET_BATCH_LEN);
		rig_destroy(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_that_are_dropped_count_to_a_batch),
		cmocka_unit_test(reset_under_bytes_that_never_end_waits_for_a_batch),
		cmocka_unit_test(reset_under_peers_that_connect_for_ever_waits_for_a_few),
		cmocka_unit_test(strict_batch_is_bounded_in_pieces_and_bytes),
	};

	return cmocka_run_group_tests(tests, socket_folder_make, socket_folder_remove);
}
