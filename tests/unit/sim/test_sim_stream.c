// SPDX-License-Identifier: BSD-3-Clause
/* The stream backend with a real peer on the other end of a Unix socket, also one that misbehaves
 * or dies. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../between.h"
#include "parents/sim/net.h"
#include "socket_support.h"
#include "support.h"

enum { LONG_CHAIN = 2048, PIECE = 8 };

static void make_sized(struct rig *rig, bool listens, uint16_t num)
{
	struct vdpa_dev_config config = rig_config();

	config.given |= VDPA_KEY_BACKEND;
	(void)snprintf(config.backend, sizeof(config.backend), "stream,path=%s%s",
		       socket_address.sun_path, listens ? ",listen" : "");
	config.vq_size = LONG_CHAIN;
	rig_make(rig, &config);
	rig_start(rig, BASE_FEATURES, 2, num);
}

static void make(struct rig *rig, bool listens)
{
	make_sized(rig, listens, 16);
}

static void read_all(int fd, void *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		struct pollfd p = {fd, POLLIN, 0};
		ssize_t n;

		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		n = read(fd, (char *)buf + at, len - at);
		assert_true(n > 0);
		at += (size_t)n;
	}
}

static void write_all(int fd, const void *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, (const char *)buf + at, len - at, MSG_NOSIGNAL);

		assert_true(n > 0);
		at += (size_t)n;
	}
}

static void peer_send(int fd, const uint8_t *payload, uint32_t len)
{
	uint32_t be = htonl(len);

	write_all(fd, &be, 4);
	write_all(fd, payload, len);
}

static void expect_at_peer(int fd, const uint8_t *payload, size_t len)
{
	static uint8_t got[16384];
	uint32_t be;

	read_all(fd, &be, 4);
	assert_int_equal(ntohl(be), len);
	read_all(fd, got, len);
	assert_memory_equal(got, payload, len);
}

/* Both directions once. */
static void exchange(struct rig *rig, int fd, uint32_t seed)
{
	uint8_t frame[HDR + 500], buf[2048];
	uint32_t len;

	frame_make(frame, sizeof(frame), seed);
	rig_send(rig, 1, frame, sizeof(frame));
	expect_at_peer(fd, frame + HDR, sizeof(frame) - HDR);
	rig_add(rig, 0, buf, sizeof(buf), true);
	rig_publish(rig, 0);
	peer_send(fd, frame + HDR, sizeof(frame) - HDR);
	assert_ptr_equal(rig_get(rig, 0, &len), buf);
	assert_int_equal(len, sizeof(frame));
	assert_memory_equal(buf + HDR, frame + HDR, len - HDR);
	assert_int_equal(buf[10], 1);
}

/* Batches by hand: the worker waits for its lock meanwhile. Return: chains that one has used */
static unsigned int batch(struct rig *rig, struct vdpasim_vq *vq, bool *more)
{
	unsigned int n = 0;
	uint32_t len;

	vq->sim->type->batch_begin(vq->sim, vq->sw);
	*more = vq->sim->type->process(vq);
	while (rig_poll(rig, vq->idx, &len)) {
		assert_int_equal(len, 0);
		n++;
	}
	return n;
}

static void stream_receive_buffers_of_no_use_are_bounded_a_batch(void **state)
{
	static uint8_t room[1000][4]; /* none has room for a header */
	struct vdpasim_vq *vq;
	unsigned int nr = 0;
	struct rig rig;
	bool more;

	(void)state;
	make_sized(&rig, true, 1024);
	vq = &vdpasim_of(rig.dev)->vqs[0];
	for (size_t i = 0; i < ARRAY_LEN(room); i++)
		rig_add(&rig, 0, room[i], sizeof(room[i]), true);
	vdpasim_lock(vq->sw);
	rig_publish(&rig, 0);
	simnet_of(vq->sim)->pairs[0].readable = true; /* as if a frame had come */
	while (nr < ARRAY_LEN(room)) {
		unsigned int n = batch(&rig, vq, &more);

		assert_between(n, 1, SIMNET_BATCH);
		nr += n;
		assert_true(more || nr == ARRAY_LEN(room));
	}
	vdpasim_unlock(vq->sw);
	assert_int_equal(rig_counter(&rig, 0, "rx errors"), ARRAY_LEN(room));
	rig_destroy(&rig);
}

/* Linux, for one, adds no buffers while half of them are there and none has come back. */
static void stream_frame_that_half_a_ring_does_not_hold_is_no_reason_to_wait(void **state)
{
	enum { NUM = 16, LEN = HDR + 500 };
	uint8_t frame[LEN], bufs[NUM / 2][32];
	struct vdpa_dev_config config = rig_config();
	struct rig rig;
	uint32_t len;
	int fd;

	(void)state;
	config.given |= VDPA_KEY_BACKEND;
	(void)snprintf(config.backend, sizeof(config.backend), "stream,path=%s,listen",
		       socket_address.sun_path);
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES | BIT(VIRTIO_NET_F_MRG_RXBUF), 2, NUM);
	for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
		rig_add(&rig, 0, bufs[i], sizeof(bufs[i]), true);
	rig_publish(&rig, 0);
	fd = socket_connect();
	frame_make(frame, LEN, 1);
	peer_send(fd, frame + HDR, LEN - HDR);
	peer_send(fd, frame + HDR, SIMNET_ETH_LEN);
	assert_ptr_equal(rig_get(&rig, 0, &len), bufs[0]);
	assert_int_equal(len, HDR + SIMNET_ETH_LEN);
	assert_int_equal(rig_counter(&rig, 0, "rx errors"), 1);
	assert_null(rig_poll(&rig, 0, &len));
	rig_destroy(&rig);
	close(fd);
}

static void stream_connects_and_carries_both_ways(void **state)
{
	int listen_fd = socket_listen(), fd;
	struct rig rig;

	(void)state;
	make(&rig, false);
	fd = socket_accept(listen_fd);
	for (uint32_t i = 0; i < 50; i++)
		exchange(&rig, fd, i);
	rig_destroy(&rig);
	close(fd);
	close(listen_fd);
}

static void stream_peer_dies_frames_drop_then_reconnects(void **state)
{
	int listen_fd = socket_listen(), fd;
	uint8_t frame[HDR + 60];
	struct rig rig;

	(void)state;
	make(&rig, false);
	fd = socket_accept(listen_fd);
	exchange(&rig, fd, 1);
	close(fd);
	close(listen_fd);
	frame_make(frame, sizeof(frame), 1);
	rig_quiet(&rig);
	for (int i = 0; i < 5; i++)
		rig_send(&rig, 1, frame, sizeof(frame)); /* completes: nothing waits for a peer */
	assert_int_equal(rig_counter(&rig, 1, "tx drops"), 5);
	listen_fd = socket_listen();
	fd = socket_accept(listen_fd); /* the timer tried again */
	rig_quiet(&rig);
	exchange(&rig, fd, 2);
	rig_destroy(&rig);
	close(fd);
	close(listen_fd);
}

static void stream_listens_and_takes_next_peer(void **state)
{
	struct rig rig;
	int fd;

	(void)state;
	make(&rig, true);
	for (uint32_t i = 0; i < 5; i++) {
		fd = socket_connect();
		rig_quiet(&rig);
		exchange(&rig, fd, i);
		close(fd);
		rig_quiet(&rig);
	}
	rig_destroy(&rig);
	assert_int_equal(access(socket_address.sun_path, F_OK), -1);
}

static void stream_second_peer_is_turned_away(void **state)
{
	struct rig rig;
	int fd, second;
	char c;

	(void)state;
	make(&rig, true);
	fd = socket_connect();
	rig_quiet(&rig);
	second = socket_connect();
	assert_true(rig_wait_fd(second, DEADLINE_MS));
	assert_int_equal(read(second, &c, 1), 0);
	exchange(&rig, fd, 1);
	rig_destroy(&rig);
	close(fd);
	close(second);
}

static void stream_bytes_in_dribs_make_whole_frames(void **state)
{
	uint8_t frame[HDR + 100], wire[2 * (4 + 100)], buf[2][2048];
	uint32_t be = htonl(100), len;
	struct rig rig;
	int fd;

	(void)state;
	make(&rig, true);
	fd = socket_connect();
	rig_quiet(&rig);
	frame_make(frame, sizeof(frame), 9);
	for (int i = 0; i < 2; i++) {
		memcpy(wire + i * 104, &be, 4);
		memcpy(wire + i * 104 + 4, frame + HDR, 100);
		rig_add(&rig, 0, buf[i], sizeof(buf[i]), true);
	}
	rig_publish(&rig, 0);
	for (size_t i = 0; i < sizeof(wire); i += 3) {
		write_all(fd, wire + i, sizeof(wire) - i < 3 ? sizeof(wire) - i : 3);
		if (i % 30 == 0)
			rig_quiet(&rig);
	}
	for (int i = 0; i < 2; i++) {
		assert_ptr_equal(rig_get(&rig, 0, &len), buf[i]);
		assert_int_equal(len, sizeof(frame));
		assert_memory_equal(buf[i] + HDR, frame + HDR, 100);
	}
	rig_destroy(&rig);
	close(fd);
}

/* The peer reads nothing until the socket is full: frames wait in the ring, none is lost or
 * torn. */
static void stream_full_socket_blocks_and_loses_nothing(void **state)
{
	enum { NR = 300, LEN = HDR + 9000 };
	uint8_t *frames = malloc((size_t)NR * LEN);
	int sent = 0, done = 0, fd;
	struct rig rig;
	uint32_t len;

	(void)state;
	make(&rig, true);
	fd = socket_connect();
	rig_quiet(&rig);
	for (int i = 0; i < NR; i++)
		frame_make(frames + (size_t)i * LEN, LEN, (uint32_t)i);
	while (sent < NR) {
		rig_add(&rig, 1, frames + (size_t)sent++ * LEN, LEN, false);
		rig_publish(&rig, 1);
		rig_quiet(&rig);
		while (rig_poll(&rig, 1, &len))
			done++;
		if (ring_driver_nr_free(rig.vq[1].drv) == 0)
			break;
	}
	assert_true(sent < NR); /* the socket did fill */
	for (int i = 0; i < sent; i++)
		expect_at_peer(fd, frames + (size_t)i * LEN + HDR, LEN - HDR);
	for (; done < sent; done++)
		assert_non_null(rig_get(&rig, 1, &len));
	assert_int_equal(rig_counter(&rig, 1, "tx packets"), sent);
	assert_int_equal(rig_counter(&rig, 1, "tx drops"), 0);
	rig_destroy(&rig);
	close(fd);
	free(frames);
}

/* The third of four frames is gone: the first two are sent, completed and counted, it and what is
 * behind it is not. */
static void stream_vanished_frame_breaks_the_queue_behind_what_was_sent(void **state)
{
	enum { LEN = HDR + 100, GONE = 2, NR = 4, PAGE = 4096 };
	uint8_t *gone = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint8_t frames[NR][LEN], extra;
	struct rig rig;
	uint32_t len;
	int fd;

	(void)state;
	assert_ptr_not_equal(gone, MAP_FAILED);
	make(&rig, true);
	fd = socket_connect();
	rig_quiet(&rig);
	for (int i = 0; i < NR; i++) {
		frame_make(frames[i], LEN, (uint32_t)i);
		rig_add(&rig, 1, i == GONE ? gone : frames[i], LEN, false);
	}
	rig_vanish(gone, PAGE);
	rig_publish(&rig, 1);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	for (int i = 0; i < GONE; i++) {
		expect_at_peer(fd, frames[i] + HDR, LEN - HDR);
		assert_ptr_equal(rig_get(&rig, 1, &len), frames[i]);
	}
	assert_null(rig_poll(&rig, 1, &len));
	assert_int_equal(recv(fd, &extra, 1, MSG_DONTWAIT), -1);
	assert_int_equal(rig_counter(&rig, 1, "tx packets"), GONE);
	assert_int_equal(rig_counter(&rig, 1, "tx drops"), 0);
	rig_destroy(&rig);
	close(fd);
	munmap(gone, PAGE);
}

/* The buffer of the last frame is gone. @room: whether frames are copied to it or go straight into
 * it. */
static void receive_into_vanished(size_t room)
{
	enum { LEN = HDR + 100, NR = 4, PAGE = 4096 };
	uint8_t *gone = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint8_t bufs[NR - 1][PAGE], frame[LEN];
	struct vdpa_vq_state at;
	struct rig rig;
	uint32_t len;
	int fd;

	assert_ptr_not_equal(gone, MAP_FAILED);
	make(&rig, true);
	fd = socket_connect();
	frame_make(frame, LEN, 1);
	for (int i = 0; i < NR; i++)
		peer_send(fd, frame + HDR, LEN - HDR);
	rig_quiet(&rig);
	for (int i = 0; i < NR; i++)
		rig_add(&rig, 0, i == NR - 1 ? gone : bufs[i], room, true);
	rig_vanish(gone, PAGE);
	rig_publish(&rig, 0);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	rig_quiet(&rig);
	assert_null(rig_poll(&rig, 0, &len));
	assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0);
	assert_int_equal(at.last_avail, 0); /* none is done for whoever goes on there */
	rig.ops->kick_vq(rig.dev, 0);       /* in vain */
	rig_quiet(&rig);
	rig_reset(&rig);
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), NR);
	rig_destroy(&rig);
	close(fd);
	munmap(gone, PAGE);
}

static void stream_frames_that_a_vanished_buffer_takes_along_are_counted(void **state)
{
	(void)state;
	rig_take_signals();
	receive_into_vanished(256);
	receive_into_vanished(2048);
}

/* Nothing is lost of what the driver has seen before its ring breaks. */
static void stream_frames_that_a_broken_ring_has_delivered_are_no_drops(void **state)
{
	struct rig rig;
	int fd;

	(void)state;
	make(&rig, true);
	fd = socket_connect();
	rig_quiet(&rig);
	exchange(&rig, fd, 1);
	((uint16_t *)rig.vq[0].area[1])[1] = 0x7000; /* the index */
	rig.ops->kick_vq(rig.dev, 0);
	peer_send(fd, (const uint8_t *)"a frame of no length to speak of", 32);
	assert_true(rig_wait_fd(rig.config_fd, DEADLINE_MS));
	rig_reset(&rig);
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), 0);
	rig_destroy(&rig);
	close(fd);
}

/* ---- what a peer sent before it went ---- */

enum { NR_LEFT = 3, LEFT_LEN = HDR + 100 };

static void peer_leaves(struct rig *rig, int fd)
{
	uint8_t frame[LEFT_LEN];

	for (uint32_t i = 0; i < NR_LEFT; i++) {
		frame_make(frame, LEFT_LEN, i);
		peer_send(fd, frame + HDR, LEFT_LEN - HDR);
	}
	close(fd);
	rig_quiet(rig);
}

static void expect_left(struct rig *rig)
{
	uint8_t frame[LEFT_LEN], bufs[NR_LEFT][2048];
	uint32_t len;

	for (uint32_t i = 0; i < NR_LEFT; i++)
		rig_add(rig, 0, bufs[i], sizeof(bufs[i]), true);
	rig_publish(rig, 0);
	for (uint32_t i = 0; i < NR_LEFT; i++) {
		assert_ptr_equal(rig_get(rig, 0, &len), bufs[i]);
		frame_make(frame, LEFT_LEN, i);
		assert_int_equal(len, LEFT_LEN);
		assert_memory_equal(bufs[i] + HDR, frame + HDR, LEFT_LEN - HDR);
	}
	assert_int_equal(rig_counter(rig, 0, "rx drops"), 0);
}

static int connect_next(struct rig *rig)
{
	int fd = socket_connect();

	rig_quiet(rig);
	return fd;
}

static void stream_frames_of_a_peer_that_left_arrive_behind_a_frame_sent_in_vain(void **state)
{
	uint8_t frame[HDR + 60];
	struct rig rig;

	(void)state;
	make(&rig, true);
	peer_leaves(&rig, connect_next(&rig));
	frame_make(frame, sizeof(frame), 9);
	for (int i = 0; i < 5; i++)
		rig_send(&rig, 1, frame, sizeof(frame));
	assert_int_equal(rig_counter(&rig, 1, "tx drops"), 5);
	expect_left(&rig);
	rig_destroy(&rig);
}

static void stream_frames_of_a_peer_that_left_a_suspended_card_arrive(void **state)
{
	struct vdpa_vq_state at;
	struct rig rig;

	(void)state;
	for (int suspends = 0; suspends < 2; suspends++) {
		make(&rig, true);
		if (suspends)
			assert_int_equal(rig_op(&rig, suspend), 0);
		else
			assert_int_equal(rig_op(&rig, get_vq_state, 0, &at), 0); /* parks */
		peer_leaves(&rig, connect_next(&rig));
		if (suspends)
			assert_int_equal(rig_op(&rig, resume), 0);
		expect_left(&rig);
		rig_destroy(&rig);
	}
}

static void stream_frames_that_the_next_peer_replaces_are_counted(void **state)
{
	struct rig rig;
	int fd;

	(void)state;
	make(&rig, true);
	peer_leaves(&rig, connect_next(&rig));
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), 0);
	fd = connect_next(&rig);
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), NR_LEFT);
	exchange(&rig, fd, 1);
	close(fd);
	rig_destroy(&rig);
}

static void stream_frames_that_nobody_reads_are_counted(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig, true);
	rig_do(&rig, set_vq_ready, 0, false);
	peer_leaves(&rig, connect_next(&rig));
	assert_int_equal(rig_counter(&rig, 0, "rx drops"), NR_LEFT);
	rig_destroy(&rig);
}

static void stream_peer_that_only_sends_is_received(void **state)
{
	uint8_t frame[HDR + 60];
	struct rig rig;
	int fd;

	(void)state;
	make(&rig, true);
	fd = connect_next(&rig);
	assert_int_equal(shutdown(fd, SHUT_RD), 0);
	frame_make(frame, sizeof(frame), 9);
	rig_send(&rig, 1, frame, sizeof(frame));
	assert_int_equal(rig_counter(&rig, 1, "tx drops"), 1);
	peer_leaves(&rig, fd);
	expect_left(&rig);
	rig_destroy(&rig);
}

/* As a card that listens does, one that connects takes the next peer, whether or not the driver has
 * read what the last one has sent. A driver that is there in time gets it. */
static void stream_connects_again_though_nobody_reads(void **state)
{
	(void)state;
	for (int reads = 0; reads < 2; reads++) {
		int listen_fd = socket_listen(), fd;
		struct rig rig;

		make(&rig, false);
		fd = socket_accept(listen_fd);
		rig_quiet(&rig);
		close(listen_fd);
		peer_leaves(&rig, fd);
		if (reads)
			expect_left(&rig);
		listen_fd = socket_listen();
		fd = socket_accept(listen_fd);
		rig_quiet(&rig);
		assert_int_equal(rig_counter(&rig, 0, "rx drops"), reads ? 0 : NR_LEFT);
		exchange(&rig, fd, 1);
		rig_destroy(&rig);
		close(fd);
		close(listen_fd);
	}
}

static void stream_absurd_length_cuts_connection(void **state)
{
	uint8_t buf[2048];
	struct rig rig;
	int fd;
	char c;

	(void)state;
	make(&rig, true);
	fd = socket_connect();
	rig_quiet(&rig);
	rig_add(&rig, 0, buf, sizeof(buf), true);
	rig_publish(&rig, 0);
	write_all(fd, "\xff\xff\xff\xff", 4);
	assert_true(rig_wait_fd(fd, DEADLINE_MS));
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	fd = socket_connect();
	rig_quiet(&rig);
	peer_send(fd, (const uint8_t *)"runt", 4); /* skipped and counted */
	peer_send(fd, buf, 0);
	rig_quiet(&rig);
	assert_int_equal(rig_counter(&rig, 0, "rx errors"), 2);
	rig_destroy(&rig);
	close(fd);
}

/* A receive buffer of @nr pieces with gaps between them. */
static void add_pieces(struct rig *rig, uint8_t *mem, uint32_t nr)
{
	static struct ring_driver_seg segs[LONG_CHAIN];

	for (uint32_t i = 0; i < nr; i++)
		segs[i] = (struct ring_driver_seg){rig_iova(rig, mem + 2 * PIECE * i), PIECE};
	assert_int_equal(ring_driver_add(rig->vq[0].drv, segs, 0, nr, mem, NULL, 0), 0);
	rig_publish(rig, 0);
}

static void expect_pieces(const uint8_t *mem, const uint8_t *frame, uint32_t len)
{
	for (uint32_t i = HDR; i < len; i++)
		assert_int_equal(mem[i / PIECE * 2 * PIECE + i % PIECE], frame[i]);
}

/* As many pieces as one read takes: nothing of a read fits behind them, and yet they do. */
static void stream_buffer_of_1024_pieces_is_filled(void **state)
{
	static uint8_t mem[2 * PIECE * LONG_CHAIN];
	uint8_t frame[HDR + 500];
	struct rig rig;
	uint32_t len;
	int fd;

	(void)state;
	make_sized(&rig, true, LONG_CHAIN);
	fd = socket_connect();
	rig_quiet(&rig);
	for (uint32_t nr = 1022; nr <= 1024; nr++) {
		memset(mem, 0, sizeof(mem));
		frame_make(frame, sizeof(frame), nr);
		add_pieces(&rig, mem, nr);
		peer_send(fd, frame + HDR, sizeof(frame) - HDR);
		assert_ptr_equal(rig_get(&rig, 0, &len), mem);
		assert_int_equal(len, sizeof(frame));
		expect_pieces(mem, frame, sizeof(frame));
	}
	exchange(&rig, fd, 1);
	rig_destroy(&rig);
	close(fd);
}

/* One piece more is more than a chain may have: the buffer comes back unused, and the frame takes
 * the next one. */
static void stream_buffer_of_1025_pieces_comes_back_empty(void **state)
{
	static uint8_t mem[2 * PIECE * LONG_CHAIN];
	struct rig rig;
	uint32_t len;
	int fd;

	(void)state;
	make_sized(&rig, true, LONG_CHAIN);
	fd = socket_connect();
	rig_quiet(&rig);
	add_pieces(&rig, mem, 1025);
	peer_send(fd, mem, 60);
	assert_ptr_equal(rig_get(&rig, 0, &len), mem);
	assert_int_equal(len, 0);
	assert_int_equal(rig_counter(&rig, 0, "rx errors"), 1);
	add_pieces(&rig, mem, 100);
	assert_ptr_equal(rig_get(&rig, 0, &len), mem);
	assert_int_equal(len, HDR + 60);
	rig_destroy(&rig);
	close(fd);
}

/* connect(2) says of a file what it says of a dead socket. */
static void stream_listening_under_the_name_of_a_file_leaves_the_file(void **state)
{
	char spec[sizeof(socket_address.sun_path) + 32];
	int fd = open(socket_address.sun_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	(void)state;
	assert_int_equal(write(fd, "mine", 4), 4);
	(void)snprintf(spec, sizeof(spec), "stream,path=%s,listen", socket_address.sun_path);
	rig_expect_refused(spec, 1, -EEXIST, "exists and is not a socket");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(unlink(socket_address.sun_path), 0);
	close(fd);
}

static void stream_name_that_another_has_taken_over_is_left_at_the_end(void **state)
{
	struct rig rig;
	int fd;

	(void)state;
	make(&rig, true);
	fd = socket_listen();
	rig_destroy(&rig);
	close(socket_connect());
	close(fd);
	assert_int_equal(unlink(socket_address.sun_path), 0);
	make(&rig, true);
	rig_destroy(&rig);
	assert_int_equal(access(socket_address.sun_path, F_OK), -1);
}

static void backend_bad_words_are_refused_in_words(void **state)
{
	(void)state;
	rig_expect_refused("tup", 1, -EINVAL, "'tup' is not known (loopback, tap, stream)");
	rig_expect_refused("loopback,fast", 1, -EINVAL, "'fast'");
	rig_expect_refused("stream", 1, -EINVAL, "path=SOCKET");
	rig_expect_refused("stream,path=", 1, -EINVAL, "1 to 107");
	rig_expect_refused("stream,path=/x,lissen", 1, -EINVAL, "path=/x,lissen");
	rig_expect_refused("stream,path=/nonexistent/x,listen", 1, -ENOENT, "cannot listen");
	rig_expect_refused("stream,path=/tmp/x", 2, -EINVAL, "1 queue pair");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stream_connects_and_carries_both_ways),
		cmocka_unit_test(stream_receive_buffers_of_no_use_are_bounded_a_batch),
		cmocka_unit_test(stream_frame_that_half_a_ring_does_not_hold_is_no_reason_to_wait),
		cmocka_unit_test(stream_peer_dies_frames_drop_then_reconnects),
		cmocka_unit_test(stream_listens_and_takes_next_peer),
		cmocka_unit_test(stream_second_peer_is_turned_away),
		cmocka_unit_test(stream_bytes_in_dribs_make_whole_frames),
		cmocka_unit_test(stream_full_socket_blocks_and_loses_nothing),
		cmocka_unit_test(stream_vanished_frame_breaks_the_queue_behind_what_was_sent),
		cmocka_unit_test(stream_frames_that_a_vanished_buffer_takes_along_are_counted),
		cmocka_unit_test(stream_frames_that_a_broken_ring_has_delivered_are_no_drops),
		cmocka_unit_test(
			stream_frames_of_a_peer_that_left_arrive_behind_a_frame_sent_in_vain),
		cmocka_unit_test(stream_frames_of_a_peer_that_left_a_suspended_card_arrive),
		cmocka_unit_test(stream_frames_that_the_next_peer_replaces_are_counted),
		cmocka_unit_test(stream_frames_that_nobody_reads_are_counted),
		cmocka_unit_test(stream_peer_that_only_sends_is_received),
		cmocka_unit_test(stream_connects_again_though_nobody_reads),
		cmocka_unit_test(stream_absurd_length_cuts_connection),
		cmocka_unit_test(stream_buffer_of_1024_pieces_is_filled),
		cmocka_unit_test(stream_buffer_of_1025_pieces_comes_back_empty),
		cmocka_unit_test(stream_listening_under_the_name_of_a_file_leaves_the_file),
		cmocka_unit_test(stream_name_that_another_has_taken_over_is_left_at_the_end),
		cmocka_unit_test(backend_bad_words_are_refused_in_words),
	};

	if (rig_guard_install())
		return 1;
	return cmocka_run_group_tests(tests, socket_folder_make, socket_folder_remove);
}
