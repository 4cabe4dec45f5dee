// SPDX-License-Identifier: BSD-3-Clause
/*
 * A frame has its number, the run it belongs to, and the time at which it was sent. Each side's
 * buffers are used again and again: transmit buffer i is free when the device has given it back,
 * receive buffer i is posted anew as soon as its frame was read. If no frame comes in
 * LOST_WAITS waits, those under way count as lost. A machine that stands still makes one wait long,
 * and not many: time alone would call frames lost that are about to come.
 */
#include "bench/net_load.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "base/clock.h"

#define BUFFER      2048u
#define TIMEOUT_MS  10000
#define WAIT_MS     250
#define LOST_WAITS  20
#define LOOKS       256u   /* at the rings, between two looks at the clock */
#define FETCH_AHEAD 12u    /* frames: enough to cover the way from the other processor */
#define ETHERTYPE   0x88b5 /* for experiments */

struct frame {
	struct virtio_net_hdr_mrg_rxbuf header;
	uint8_t to[6], from[6];
	uint16_t type;
	uint64_t number;
	int64_t run;  /* when the run began, which names it */
	int64_t sent; /* ns */
} __attribute__((packed));

struct run {
	struct net_load *load;
	int64_t began;
	int64_t looked;          /* when the last wait ended, or a frame came */
	unsigned int nr_waits;   /* that ended without a frame since one came or was given up */
	bool lost_all;           /* those before were given up */
	uint64_t sent, received; /* frames; @received has lost ones, too */
	uint64_t given_up;       /* frames below this number count as lost, or are back */
	unsigned int free_tx[NET_DEPTH_MAX], nr_free;
};

size_t net_load_room(unsigned int depth)
{
	return (size_t)BUFFER * 3 * depth;
}

static struct bench_vq *rx_of(const struct net_load *load)
{
	return &load->target->vqs[2 * load->pair];
}

static struct bench_vq *tx_of(const struct net_load *load)
{
	return &load->target->vqs[2 * load->pair + 1];
}

/* Receive buffers lie behind those to transmit. There are twice as many: what comes while one batch
 * is read has room. */
static int post(struct net_load *load, unsigned int i)
{
	size_t off = load->data_off + (size_t)BUFFER * (load->depth + i);
	struct ring_driver_seg seg = {bench_target_iova(load->target, off), BUFFER};

	return ring_driver_add(rx_of(load)->drv, &seg, 0, 1, bench_target_data(load->target, off),
			       NULL, 0);
}

int net_load_prepare(struct net_load *load)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < 2 * load->depth; i++)
		err = post(load, i);
	ring_driver_cb_disable(rx_of(load)->drv);
	ring_driver_cb_disable(tx_of(load)->drv);
	return err ? err : bench_vq_publish(rx_of(load));
}

static int send_one(struct run *run, int64_t now)
{
	struct net_load *load = run->load;
	unsigned int i = run->free_tx[--run->nr_free];
	size_t off = load->data_off + (size_t)BUFFER * i;
	struct frame *frame = bench_target_data(load->target, off);
	struct ring_driver_seg seg = {bench_target_iova(load->target, off),
				      (uint32_t)sizeof(frame->header) + load->size};

	memset(&frame->header, 0, sizeof(frame->header));
	memcpy(frame->to, load->mac, sizeof(frame->to));
	memcpy(frame->from, (const uint8_t[6]){2, 0, 0, 0, 0, 1}, sizeof(frame->from));
	frame->type = __builtin_bswap16(ETHERTYPE);
	frame->number = run->sent++;
	frame->run = run->began;
	frame->sent = now;
	return ring_driver_add(tx_of(load)->drv, &seg, 1, 0, frame, NULL, 0);
}

/* Take back what was sent, and send as many as may be under way. */
static int transmit(struct run *run)
{
	struct net_load *load = run->load;
	uint64_t before = run->sent;
	int64_t now =
		clock_now_ns(); /* once a burst: reading it takes as long as a quarter of a frame */
	struct frame *frame;
	uint32_t len;
	int err = 0;

	while (!err && (frame = ring_driver_get(tx_of(load)->drv, &len, &err)) != NULL) {
		prefetch_write(frame);
		run->free_tx[run->nr_free++] =
			(unsigned int)(((char *)frame -
					(char *)bench_target_data(load->target, load->data_off)) /
				       BUFFER);
	}
	while (!err && run->nr_free > 0 && run->sent < load->frames &&
	       run->sent - run->received < load->depth)
		err = send_one(run, now);
	if (!err && run->sent != before)
		err = bench_vq_publish(tx_of(load));
	return err;
}

static int take(struct run *run, const struct frame *frame, uint32_t len, int64_t now)
{
	struct net_load *load = run->load;

	if (len < sizeof(*frame) || frame->type != __builtin_bswap16(ETHERTYPE) ||
	    frame->run != run->began || frame->number < run->given_up)
		return 0; /* somebody else's, or one that was given up */
	if (len != sizeof(frame->header) + load->size || frame->number >= run->sent)
		return -EPROTO;
	run->received++;
	run->looked = now;
	run->nr_waits = 0;
	run->lost_all = false;
	return bench_samples_add(&load->samples, (double)(now - frame->sent));
}

/* At most a burst, as drivers do: one that takes whatever it finds works in turns with the device,
 * and hardly at the same time. Return: frames taken; -errno */
static int receive(struct run *run)
{
	struct net_load *load = run->load;
	char *first =
		bench_target_data(load->target, load->data_off + (size_t)BUFFER * load->depth);
	struct frame *frame;
	uint32_t len;
	unsigned int n = 0;
	int64_t now = 0;
	int err = 0;

	while (!err && n < load->burst &&
	       (frame = ring_driver_get(rx_of(load)->drv, &len, &err)) != NULL) {
		ring_driver_prefetch(rx_of(load)->drv, FETCH_AHEAD);
		now = n ? now : clock_now_ns();
		err = take(run, frame, len, now);
		if (!err)
			err = post(load, (unsigned int)(((char *)frame - first) / BUFFER));
		n++;
	}
	if (!err && n)
		err = bench_vq_publish(rx_of(load));
	return err ? err : (int)n;
}

/* Nothing came in so many waits: what is under way will not come any more. */
static int give_up(struct run *run)
{
	uint64_t under_way = run->sent - run->received;
	int64_t now = clock_now_ns();

	if (now - run->looked < WAIT_MS * NS_PER_MS)
		return 0;
	run->looked = now;
	if (++run->nr_waits < LOST_WAITS)
		return 0;
	if (run->lost_all || under_way == 0)
		return -ETIMEDOUT;
	run->nr_waits = 0;
	run->lost_all = true;
	run->load->lost += under_way;
	run->received += under_way;
	run->given_up = run->sent;
	return 0;
}

/* Wait for an interrupt. Return: frames taken without one, which should have come with one */
static int wait_for_frame(struct run *run)
{
	int n = bench_vq_wait(rx_of(run->load), WAIT_MS);

	if (n == -ETIMEDOUT)
		n = receive(run);
	if (n > 0)
		run->load->missed++;
	return n;
}

static int turn(struct run *run)
{
	struct net_load *load = run->load;
	int n = 0, err = transmit(run);

	for (unsigned int i = 0; !err && n == 0 && i < (load->poll ? LOOKS : 1); i++)
		n = receive(run);
	if (err || n > 0)
		return err;
	/* With no frame under way only transmit buffers are missing, which come back at once and
	 * without an interrupt. */
	if (n == 0 && !load->poll && run->sent > run->received)
		n = wait_for_frame(run);
	return n == 0 ? give_up(run) : n < 0 ? n : 0;
}

int net_load_run(struct net_load *load)
{
	struct run run = {.load = load};
	int err = bench_samples_reserve(&load->samples, load->frames);
	int64_t now = clock_now_ns();

	run.began = run.looked = now;
	for (unsigned int i = 0; i < load->depth; i++)
		run.free_tx[run.nr_free++] = i;
	while (!err && run.received < load->frames)
		err = turn(&run);
	load->took_ns = clock_now_ns() - now;
	/* The last buffers come back after their frames did. */
	for (int64_t end = clock_now_ns() + TIMEOUT_MS * NS_PER_MS;
	     !err && run.nr_free < load->depth;)
		err = clock_now_ns() < end ? transmit(&run) : -ETIMEDOUT;
	return err;
}
