// SPDX-License-Identifier: BSD-3-Clause
#include "bench/blk_load.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>

#include "base/clock.h"

#define SECTOR      512u
#define TIMEOUT_MS  10000
#define LOOKS       4096u /* at the ring, between two looks at the clock */
#define NOT_WRITTEN 0xffu

/* What is beside the data of one request. On a cache line of its own. */
struct slot {
	struct virtio_blk_outhdr header;
	uint8_t status;
	uint8_t table[BLK_SEGS * 16] __attribute__((aligned(16)));
} __attribute__((aligned(128)));

/* A request in flight. */
struct request {
	int64_t began;
	unsigned int slot;
};

struct run {
	struct blk_load *load;
	struct request requests[BLK_DEPTH_MAX];
	uint64_t made, done, writes, random;
};

static size_t slots_len(unsigned int depth)
{
	return (depth * sizeof(struct slot) + 4095) & ~(size_t)4095;
}

size_t blk_load_room(uint32_t block, unsigned int depth)
{
	return slots_len(depth) + (size_t)depth * ((block + 4095) & ~4095u);
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static size_t slot_off(const struct blk_load *load, unsigned int i)
{
	return load->data_off + i * sizeof(struct slot);
}

static struct slot *slot_at(const struct blk_load *load, unsigned int i)
{
	return bench_target_data(load->target, slot_off(load, i));
}

static uint32_t choose_type(struct run *run)
{
	const struct blk_load *load = run->load;

	if (load->flush && run->writes == load->flush) {
		run->writes = 0;
		return VIRTIO_BLK_T_FLUSH;
	}
	if (next_random(&run->random) % 100 >= load->writes)
		return VIRTIO_BLK_T_IN;
	run->writes++;
	return VIRTIO_BLK_T_OUT;
}

/* Header, data, status; a read's data is written by the device, and a flush has none. */
static int add(struct run *run, unsigned int i)
{
	struct blk_load *load = run->load;
	struct slot *slot = slot_at(load, i);
	uint32_t type = choose_type(run);
	uint64_t block = next_random(&run->random) % load->nr_blocks;
	iova_t at = bench_target_iova(load->target, slot_off(load, i));
	iova_t data = bench_target_iova(load->target,
					load->data_off + slots_len(load->depth) +
						(size_t)i * ((load->block + 4095) & ~4095u));
	struct ring_driver_seg segs[BLK_SEGS] = {{at, sizeof(slot->header)}};
	unsigned int n = 1;

	slot->header = (struct virtio_blk_outhdr){
		.type = htole32(type),
		.sector = htole64(type == VIRTIO_BLK_T_FLUSH ? 0 : block * (load->block / SECTOR)),
	};
	slot->status = NOT_WRITTEN;
	if (type != VIRTIO_BLK_T_FLUSH)
		segs[n++] = (struct ring_driver_seg){data, load->block};
	segs[n++] = (struct ring_driver_seg){at + offsetof(struct slot, status), 1};
	run->requests[i] = (struct request){clock_now_ns(), i};
	run->made++;
	return ring_driver_add(load->vq->drv, segs, type == VIRTIO_BLK_T_OUT ? 2 : 1,
			       type == VIRTIO_BLK_T_IN ? 2 : 1, &run->requests[i],
			       load->indirect ? slot->table : NULL,
			       load->indirect ? at + offsetof(struct slot, table) : 0);
}

/* Take what is completed, and make as many anew. Return: how many; -errno */
static int turn_over(struct run *run)
{
	struct blk_load *load = run->load;
	struct request *req;
	uint32_t len;
	int n = 0, err = 0;

	while (!err && (req = ring_driver_get(load->vq->drv, &len, &err)) != NULL) {
		if (slot_at(load, req->slot)->status != VIRTIO_BLK_S_OK)
			return -EIO;
		err = bench_samples_add(&load->samples, (double)(clock_now_ns() - req->began));
		run->done++;
		n++;
		if (!err && run->made < load->requests)
			err = add(run, req->slot);
	}
	if (!err && n)
		err = bench_vq_publish(load->vq);
	return err ? err : n;
}

/* Until something is completed. */
static int wait(struct run *run)
{
	int64_t deadline = clock_now_ns() + TIMEOUT_MS * NS_PER_MS;
	int n = turn_over(run);

	while (n == 0) {
		if (!run->load->poll)
			n = bench_vq_wait(run->load->vq, TIMEOUT_MS);
		else if (clock_now_ns() > deadline)
			n = -ETIMEDOUT;
		for (unsigned int i = 0; n == 0 && i < LOOKS; i++) {
			n = turn_over(run);
			if (n == 0 && !run->load->poll)
				break;
		}
	}
	return n < 0 ? n : 0;
}

int blk_load_run(struct blk_load *load)
{
	struct run run = {.load = load, .random = load->seed};
	int err = bench_samples_reserve(&load->samples, load->requests);
	int64_t start = clock_now_ns();

	ring_driver_cb_disable(load->vq->drv);
	for (unsigned int i = 0; !err && i < load->depth && run.made < load->requests; i++)
		err = add(&run, i);
	if (!err)
		err = bench_vq_publish(load->vq);
	while (!err && run.done < load->requests)
		err = wait(&run);
	load->took_ns = clock_now_ns() - start;
	return err;
}
