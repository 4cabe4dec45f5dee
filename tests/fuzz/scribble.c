// SPDX-License-Identifier: BSD-3-Clause
/*
 * A guest of which one thread writes the rings and buffers all the time while the device works on
 * them, with its own worker: what the targets ring, ctrl and blk cannot try, because one thread
 * runs each of their inputs. Nothing here is the same twice.
 *
 * The bytes are mostly right, so that chains are walked to their ends and values change between two
 * looks at them. A round lasts some milliseconds: fresh rings, kicks, a reset. What must hold,
 * besides the sanitizers' word: only mapped memory is touched (what lies beside it faults, and ends
 * the process), a reset ends, and with the writer gone the device works.
 *
 *   scribble SECONDS [SEED]
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "device.h"

#define BIT(n)    (1ULL << (n))
#define PAGE      4096u
#define NUM       32u
#define TABLES    (ARENA_DATA + 0x20000u) /* descriptors there, too */
#define NR_TABLE  128u
#define DATA_LEN  0x20000u
#define ROUND_NS  (4 * NS_PER_MS)
#define END_NS    (20 * NS_PER_SEC) /* what takes longer never ends */
#define ALWAYS    (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ACCESS_PLATFORM))
#define INDIRECT  BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_IDX BIT(VIRTIO_RING_F_EVENT_IDX)
#define PACKED    BIT(VIRTIO_F_RING_PACKED)
#define IN_ORDER  BIT(VIRTIO_F_IN_ORDER)
#define WITH_CTRL BIT(VIRTIO_NET_F_CTRL_VQ)

static const struct variant {
	const char *spec;
	uint64_t features;
	unsigned int nr_vqs;
} variants[] = {
	{"mgmtdev vdpasim_net offer all", INDIRECT | WITH_CTRL | BIT(VIRTIO_NET_F_CTRL_RX), 3},
	{"mgmtdev vdpasim_net offer all",
	 INDIRECT | EVENT_IDX | BIT(VIRTIO_NET_F_MRG_RXBUF) | IN_ORDER, 2},
	{"mgmtdev vdpasim_net offer all", INDIRECT | PACKED | WITH_CTRL, 3},
	{"mgmtdev vdpasim_net offer all", INDIRECT | PACKED | EVENT_IDX | IN_ORDER, 2},
	{"mgmtdev vdpasim_net quirks linux-6.12", WITH_CTRL, 3},
	{"mgmtdev vdpasim_blk capacity 128K offer all", INDIRECT, 1},
	{"mgmtdev vdpasim_blk capacity 128K offer all", INDIRECT | PACKED | EVENT_IDX, 1},
	{"mgmtdev vdpasim_blk quirks linux-6.12", 0, 1},
};

static struct fuzz_device *device;
static bool over;              /* atomic */
static bool packed, card;      /* atomic */
static unsigned int nr_queues; /* atomic */
static uint32_t nr_written;    /* descriptors */
static uint32_t state;         /* of the writer's numbers */

/* ---- the writer ---- */

static uint32_t number(void)
{
	state = state * 1664525u + 1013904223u;
	return state >> 8;
}

static uint32_t below(uint32_t n)
{
	return number() % n;
}

static void put16(uint32_t at, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)(fuzz_arena() + at), v, __ATOMIC_RELAXED);
}

static void put32(uint32_t at, uint32_t v)
{
	__atomic_store_n((uint32_t *)(void *)(fuzz_arena() + at), v, __ATOMIC_RELAXED);
}

/* Area @a of queue @q: device.c has each on a page of its own. */
static uint32_t area(unsigned int q, unsigned int a)
{
	return (3 * q + a) * PAGE;
}

static void write_addr(uint32_t at)
{
	uint64_t iova = ARENA_IOVA + ARENA_DATA + below(DATA_LEN);

	if (below(64) == 0)
		iova = ARENA_IOVA + ARENA_LEN - below(PAGE);
	if (below(256) == 0)
		iova = (uint64_t)number() << 40 | number();
	put32(at, (uint32_t)iova);
	put32(at + 4, (uint32_t)(iova >> 32));
}

/* What stands at place @i of a queue's table, if all is well: chains of four, of which a card's
 * receive queue has all for writing, a card's others none, and a disk the last three. */
static uint16_t right_flags(uint32_t i, unsigned int q)
{
	bool write = __atomic_load_n(&card, __ATOMIC_RELAXED) ? q == 0 || (q == 2 && i % 4 == 3)
							      : i % 4 != 0;

	return (uint16_t)((i % 4 != 3 ? VRING_DESC_F_NEXT : 0) | (write ? VRING_DESC_F_WRITE : 0));
}

static void write_desc(uint32_t table, uint32_t i, unsigned int q)
{
	bool is_packed = __atomic_load_n(&packed, __ATOMIC_RELAXED), wrong = below(64) == 0;
	uint32_t at = table + 16 * i, len = i % 4 ? 512 * below(4) : 16 + below(80);
	uint16_t flags = wrong ? (uint16_t)below(8) : right_flags(i, q);
	uint16_t other = (uint16_t)(wrong ? number() : is_packed ? i : i + 1);
	bool indirect = table != TABLES && below(16) == 0;

	if (is_packed && table != TABLES) /* all of one lap, then of the other */
		flags |= (uint16_t)(1u << (++nr_written >> 10 & 1 ? VRING_PACKED_DESC_F_USED
								  : VRING_PACKED_DESC_F_AVAIL));
	if (indirect)
		flags = (uint16_t)((flags & ~3u) | VRING_DESC_F_INDIRECT);
	if (indirect) {
		put32(at, (uint32_t)(ARENA_IOVA + TABLES));
		put32(at + 4, (uint32_t)((ARENA_IOVA + TABLES) >> 32));
		len = 16 * 4 * (1 + below(NR_TABLE / 4));
	} else {
		write_addr(at);
	}
	put32(at + 8, wrong ? number() : i % 4 == 3 ? 1 : len);
	put16(at + (is_packed ? 12 : 14), other);
	put16(at + (is_packed ? 14 : 12), flags);
}

/* Mostly as many chains as there may be. */
static void write_avail(unsigned int q)
{
	uint32_t at = area(q, 1);
	uint16_t used = __atomic_load_n((uint16_t *)(void *)(fuzz_arena() + area(q, 2) + 2),
					__ATOMIC_ACQUIRE);

	if (__atomic_load_n(&packed, __ATOMIC_RELAXED)) {
		put32(at, number()); /* which events are wanted */
		return;
	}
	put16(at + 4 + 2 * below(NUM), (uint16_t)(below(64) ? 4 * below(NUM / 4) : number()));
	if (below(8) == 0)
		put16(at + 4 + 2 * NUM, (uint16_t)number()); /* used_event */
	put16(at + 2, (uint16_t)(below(1024) ? used + NUM : number()));
}

/* What a command or a request begins with. */
static void write_data(void)
{
	static const uint8_t types[] = {VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
					VIRTIO_BLK_T_FLUSH,   VIRTIO_BLK_T_GET_ID,
					VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	uint32_t at = ARENA_DATA + (below(DATA_LEN) & ~15u);

	put32(at, types[below(sizeof(types))]);
	put32(at + 4, number());
	put32(at + 8, below(256));
	put32(at + 12, 0);
}

static void *writer_main(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
		unsigned int q = below(__atomic_load_n(&nr_queues, __ATOMIC_RELAXED));

		switch (below(8)) {
		case 0:
		case 1:
		case 2:
			write_desc(area(q, 0), below(NUM), q);
			break;
		case 3:
		case 4:
			write_desc(TABLES, below(NR_TABLE), q);
			break;
		case 5:
			if (below(256) == 0)
				put32(area(q, 2) + 4 * below(PAGE / 4), number());
			break;
		case 6:
			write_data();
			break;
		default:
			write_avail(q);
		}
		if (below(4096) == 0) /* the device's turn, where processors are few */
			(void)sched_yield();
	}
	return NULL;
}

/* ---- rounds ---- */

static struct {
	unsigned long rounds, broken, used;
} sum;

static void begin(const struct variant *v)
{
	__atomic_store_n(&packed, (v->features & PACKED) != 0, __ATOMIC_RELAXED);
	__atomic_store_n(&card, v->nr_vqs > 1, __ATOMIC_RELAXED);
	__atomic_store_n(&nr_queues, v->nr_vqs, __ATOMIC_RELAXED);
	device = fuzz_device_begin(v->spec, ALWAYS | v->features, v->nr_vqs, NUM);
	mutex_lock(&device->dev->lock);
	for (uint16_t i = 0; i < v->nr_vqs; i++)
		fuzz_check(device->dev->ops->get_vq_worker(device->dev, i));
	mutex_unlock(&device->dev->lock);
}

static void end(void)
{
	int64_t began = clock_now_ns();

	fuzz_device_end(device);
	fuzz_check(clock_now_ns() - began < END_NS);
}

static void one_round(const struct variant *v)
{
	int64_t until = clock_now_ns() + ROUND_NS;
	const struct vdpasim_vq *vqs;

	begin(v);
	vqs = device->sim->vqs;
	while (clock_now_ns() < until) {
		for (uint16_t i = 0; i < v->nr_vqs; i++)
			device->dev->ops->kick_vq(device->dev, i);
		if (device->dev->ops->get_status(device->dev) & VIRTIO_CONFIG_S_NEEDS_RESET)
			break;
		(void)sched_yield();
	}
	sum.rounds++;
	sum.broken += device->dev->ops->get_status(device->dev) != 0xf;
	for (uint16_t i = 0; i < v->nr_vqs; i++) {
		vdpasim_lock(vqs[i].sw);
		sum.used +=
			vdpasim_vq_state(&vqs[i]).last_avail != (v->features & PACKED ? 0x8000 : 0);
		vdpasim_unlock(vqs[i].sw);
	}
	end();
}

/* Nobody writes any more: a frame is taken, or a sector is read. */
static void works(const struct variant *v)
{
	struct ring_driver_seg segs[] = {{ARENA_IOVA + ARENA_DATA, card ? 12 + 60 : 16},
					 {ARENA_IOVA + ARENA_DATA + PAGE, 512},
					 {ARENA_IOVA + ARENA_DATA + 2 * PAGE, 1}};
	int64_t until = clock_now_ns() + END_NS;
	uint16_t idx = card ? 1 : 0;
	uint32_t len;
	int err = 0;

	begin(v);
	fuzz_check(ring_driver_add(device->drv[idx], segs, 1, card ? 0 : 2, segs, NULL, 0) == 0);
	(void)ring_driver_publish(device->drv[idx]);
	device->dev->ops->kick_vq(device->dev, idx);
	while (!ring_driver_get(device->drv[idx], &len, &err)) {
		fuzz_check(err == 0 && clock_now_ns() < until);
		(void)sched_yield();
	}
	fuzz_check(card || fuzz_arena()[ARENA_DATA + 2 * PAGE] == VIRTIO_BLK_S_OK);
	end();
}

/* What lies on both sides of the arena is nobody's. */
static void fence(uintptr_t at)
{
	void *p = mmap((void *)at, PAGE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	fuzz_check((uintptr_t)p == at);
}

int main(int argc, char **argv)
{
	int64_t ns = argc > 1 ? strtoll(argv[1], NULL, 10) * NS_PER_SEC : NS_PER_SEC;
	pthread_t writer;

	state = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : (uint32_t)clock_now_ns();
	(void)printf("seed %#x\n", state);
	(void)fflush(stdout);
	(void)fuzz_arena();
	fence(ARENA_HOST - PAGE);
	fence(ARENA_HOST + ARENA_LEN);
	for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
		const struct variant *v = &variants[i];
		int64_t until = clock_now_ns() + ns / (int64_t)ARRAY_LEN(variants);

		memset(&sum, 0, sizeof(sum));
		over = false;
		nr_queues = v->nr_vqs;
		fuzz_check(pthread_create(&writer, NULL, writer_main, NULL) == 0);
		while (clock_now_ns() < until || sum.used == 0)
			one_round(v);
		__atomic_store_n(&over, true, __ATOMIC_RELAXED);
		pthread_join(writer, NULL);
		works(v);
		(void)printf("%s, features %#llx: %lu rounds, %lu broken, %lu queues at work\n",
			     v->spec, (unsigned long long)v->features, sum.rounds, sum.broken,
			     sum.used);
	}
	return 0;
}
