/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The generator of random programs.
 *
 * Random calls alone do not get far: a device works only after some twenty right ones. So a program
 * is a row of scenes (bring the device up, move frames, a batch, suspend and resume, reset, close
 * and open again, bind the control queue to the other address space), and between their steps stand
 * single calls of any kind. A model of the client's side (what is mapped, set up, open) makes most
 * calls ones that a device accepts; some are wrong on purpose, and now and then a step of a scene
 * is left out.
 *
 * The model only guides: nothing goes wrong when the device thinks otherwise. All choices come from
 * the seed, none from a device.
 */
#include "check/random.h"

#include <string.h>

enum { SPACES = 2, LEAST = 36, MOST = 80, DROP = 150, NOISE = 9 };

#define FEATURES_NET                                                                               \
	(CLIENT_FEATURE_VERSION_1 | CLIENT_FEATURE_ACCESS_PLATFORM |                               \
	 CLIENT_BIT(VIRTIO_NET_F_MAC) | CLIENT_BIT(VIRTIO_NET_F_CTRL_VQ) |                         \
	 CLIENT_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR))

struct gen {
	uint64_t state;
	struct random_program *out;
	bool opened, owned, running, suspended, asid;
	int batch;               /* address space, or -1 */
	uint32_t mapped[SPACES]; /* pages of the window, a bit each */
	uint64_t bound;          /* address space of the control queue */
	uint64_t num[RANDOM_RINGS], start[RANDOM_RINGS], slot[RANDOM_RINGS];
	unsigned posted;
};

/* splitmix64 */
static uint64_t draw(struct gen *g)
{
	uint64_t z = (g->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t below(struct gen *g, uint64_t n)
{
	return draw(g) % n;
}

static bool one_in(struct gen *g, unsigned n)
{
	return below(g, n) == 0;
}

#define PICK(g, ...)                                                                               \
	(((const uint64_t[]){__VA_ARGS__})[below(g, sizeof((const uint64_t[]){__VA_ARGS__}) /      \
							    sizeof(uint64_t))])

#define EMIT(g, op, ...) emit(g, op, (const uint64_t[RANDOM_ARGS]){__VA_ARGS__})

static void emit(struct gen *g, enum random_op op, const uint64_t *arg)
{
	struct random_step *step;

	if (g->out->nr == RANDOM_MAX_STEPS)
		return;
	step = &g->out->step[g->out->nr++];
	step->op = op;
	memcpy(step->arg, arg, sizeof(step->arg));
}

static void noise(struct gen *g);

/* A step of a scene: sometimes with something else before it, sometimes not at all. */
static void act(struct gen *g, enum random_op op, const uint64_t *arg)
{
	if (one_in(g, NOISE))
		noise(g);
	if (!one_in(g, DROP))
		emit(g, op, arg);
}

#define ACT(g, op, ...) act(g, op, (const uint64_t[RANDOM_ARGS]){__VA_ARGS__})

/* ---- mapping ---- */

static uint32_t pages(unsigned first, unsigned nr)
{
	return (uint32_t)((1ULL << nr) - 1) << first;
}

/* Messages of version 1 go to address space 0. */
static uint64_t version(struct gen *g, uint64_t asid)
{
	return asid == 0 && one_in(g, 6) ? 1 : 2;
}

/* Maps window pages where they belong; what is mapped already is left out by the model. */
static void map_window(struct gen *g, uint64_t asid, unsigned first, unsigned nr)
{
	uint32_t want = pages(first, nr);

	if (g->mapped[asid % SPACES] & want && !one_in(g, 12))
		return;
	ACT(g, OP_UPDATE, version(g, asid), asid, random_at(AT_WINDOW, first * CHECK_PAGE),
	    nr * CHECK_PAGE, random_at(AT_SHARED, first * CHECK_PAGE), one_in(g, 12) ? 1 : 3);
	if (asid == 0 || g->asid)
		g->mapped[asid % SPACES] |= want;
}

static void unmap_window(struct gen *g, uint64_t asid, unsigned first, unsigned nr)
{
	ACT(g, OP_INVALIDATE, version(g, asid), asid, random_at(AT_WINDOW, first * CHECK_PAGE),
	    nr * CHECK_PAGE);
	g->mapped[asid % SPACES] &= ~pages(first, nr);
}

/* The whole window, in one piece or several. */
static void map_all(struct gen *g, uint64_t asid)
{
	unsigned cut;

	switch (below(g, 4)) {
	case 0:
		cut = 1 + (unsigned)below(g, PAGE_NR - 1);
		map_window(g, asid, 0, cut);
		map_window(g, asid, cut, PAGE_NR - cut);
		break;
	case 1:
		map_window(g, asid, PAGE_DESC, PAGE_DATA);
		map_window(g, asid, PAGE_DATA, PAGE_NR - PAGE_DATA);
		break;
	default:
		map_window(g, asid, 0, PAGE_NR);
	}
}

static uint64_t some_asid(struct gen *g)
{
	return one_in(g, 12) ? PICK(g, 2, 7, 0xffffffff) : g->asid ? below(g, 2) : 0;
}

static uint64_t some_iova(struct gen *g)
{
	uint64_t page = below(g, PAGE_NR + 4) * CHECK_PAGE;

	switch (below(g, 8)) {
	case 0:
		return random_at(AT_ABS, one_in(g, 2) ? 0 : page);
	case 1:
		return random_at(AT_TOP, CHECK_PAGE + (one_in(g, 2) ? 0 : page));
	case 2:
		return random_at(AT_WINDOW, page + PICK(g, 1, 0x800, 0xfff));
	default:
		return random_at(AT_WINDOW, page);
	}
}

static uint64_t some_size(struct gen *g)
{
	switch (below(g, 10)) {
	case 0:
		return PICK(g, 0, 1, 0xfff, 0x1001, UINT64_MAX, 1ULL << 63);
	case 1:
		return PICK(g, 60, 64, 65, 128) * CHECK_PAGE;
	default:
		return (1 + below(g, 6)) * CHECK_PAGE;
	}
}

/*
 * Private memory goes page by page: it does not lie in one piece. Nor does an update run
 * into the hole behind a piece at a place that is not the same on every machine.
 */
static void some_update(struct gen *g)
{
	uint64_t asid = some_asid(g), iova = some_iova(g), size = some_size(g);
	uint64_t uaddr = random_at(AT_SHARED, below(g, PAGE_NR) * CHECK_PAGE);
	uint64_t perm = one_in(g, 8) ? PICK(g, 0, 1, 2, 0xff) : 3;

	switch (below(g, 12)) {
	case 0:
		uaddr = random_at(AT_PRIVATE, below(g, PAGE_PRIVATE_NR) * CHECK_PAGE);
		size = CHECK_PAGE;
		iova &= ~(uint64_t)(CHECK_PAGE - 1);
		break;
	case 1:
		uaddr = random_at(AT_READONLY, below(g, PAGE_NR) * CHECK_PAGE);
		break;
	case 2:
		uaddr = random_at(AT_HOLE, 0);
		size = size > 1UL << 32 ? CHECK_PAGE : size;
		break;
	case 3:
		uaddr += 0x10;
		break;
	}
	emit(g, OP_UPDATE,
	     (const uint64_t[RANDOM_ARGS]){version(g, asid), asid, iova, size, uaddr, perm});
}

static void some_invalidate(struct gen *g)
{
	uint64_t asid = some_asid(g);

	if (one_in(g, 8))
		EMIT(g, OP_INVALIDATE, version(g, asid), asid, random_at(AT_ABS, 0), UINT64_MAX);
	else
		EMIT(g, OP_INVALIDATE, version(g, asid), asid, some_iova(g), some_size(g));
}

/* ---- single calls ---- */

static uint64_t some_queue(struct gen *g)
{
	return one_in(g, 12) ? PICK(g, 3, 64, 0xffff, 0xffffffff) : below(g, RANDOM_RINGS);
}

static void noise_get(struct gen *g)
{
	switch (below(g, 5)) {
	case 0:
		EMIT(g, OP_GET_BASE, some_queue(g));
		break;
	case 1:
		EMIT(g, OP_VRING_GET, some_queue(g), below(g, VRING_NR));
		break;
	case 2:
		EMIT(g, OP_GET_CONFIG, PICK(g, 0, 0, 6, 10, 23, 24, 25, 0xffffffff),
		     PICK(g, 24, 6, 1, 14, 0, 25, 2));
		break;
	default:
		EMIT(g, OP_GET, below(g, GET_NR));
	}
}

static void noise_device(struct gen *g)
{
	static const uint64_t fixed = FEATURES_NET;

	switch (below(g, 8)) {
	case 0:
		EMIT(g, OP_SET_FEATURES, PICK(g, fixed, 0, fixed | 1, UINT64_MAX));
		break;
	case 1:
		EMIT(g, OP_SET_BACKEND,
		     PICK(g, 0x17e, 0x7e, 0xe, 0x100, 0, 1, 0x80, 0x88, 0x200, 0x6));
		break;
	case 2:
		EMIT(g, OP_SET_STATUS, PICK(g, 1, 3, 0xb, 0xf, 0xf, 0x8b, 0x4f));
		break;
	case 3:
		EMIT(g, OP_SET_CONFIG, PICK(g, 0, 0, 6, 10, 23, 24, 0xffffffff),
		     PICK(g, 6, 6, 2, 1, 24, 0), PICK(g, 2, 0x11, 0xff));
		break;
	case 4:
		EMIT(g, OP_CONFIG_CALL, below(g, FD_NR));
		break;
	case 5:
		EMIT(g, OP_OWNER, 0);
		break;
	case 6:
		EMIT(g, OP_SET_FORK, below(g, 3));
		break;
	default:
		EMIT(g, OP_MEM_TABLE, 0);
	}
}

static void noise_ring(struct gen *g)
{
	uint64_t q = some_queue(g);

	switch (below(g, 8)) {
	case 0:
		EMIT(g, OP_NUM, q, PICK(g, 16, 8, 32, 256, 0, 3, 512, 0x10000));
		break;
	case 1:
		EMIT(g, OP_BASE, q, PICK(g, 0, 0x10000, 0xffffffff));
		break;
	case 2:
		EMIT(g, OP_ADDR, q, below(g, 2), PICK(g, 0, 0, 1, 2), PICK(g, 0, 0, 1, 2),
		     PICK(g, 0, 0, 1, 2));
		break;
	case 3:
		EMIT(g, OP_FILE, q, below(g, FILE_NR), below(g, FD_NR));
		break;
	case 4:
		EMIT(g, OP_BUSYLOOP, q, below(g, 100));
		break;
	case 5:
		EMIT(g, OP_GROUP_ASID, PICK(g, 0, 1, 1, 1, 2, 5), PICK(g, 0, 1, 1, 2, 3));
		break;
	case 6:
		if (q < RANDOM_RINGS)
			EMIT(g, OP_FLAGS, q, below(g, 2));
		break;
	default:
		EMIT(g, OP_ENABLE, q, !one_in(g, 4));
	}
}

static void noise_odd(struct gen *g)
{
	switch (below(g, 5)) {
	case 0:
		EMIT(g, OP_IOCTL, PICK(g, 2, 8, 9, 0x13, 0x14, 0x15, 0x30, 0x86, 0xff),
		     PICK(g, 0, 4, 8, 64), PICK(g, 0, 2, 3, 9));
		break;
	case 1:
		EMIT(g, OP_MESSAGE, PICK(g, 0, 1, 2, 3), PICK(g, 0, 1, 4, 5, 6, 7, 255),
		     PICK(g, 0, 39, 40, 72, 144));
		break;
	case 2:
		EMIT(g, OP_MMAP, PICK(g, 0, 1, 3, 100), PICK(g, CHECK_PAGE, CHECK_PAGE, 8192),
		     PICK(g, 2, 2, 3, 1));
		break;
	case 3:
		EMIT(g, one_in(g, 2) ? OP_BEGIN : OP_END, 2, some_asid(g));
		break;
	default:
		EMIT(g, one_in(g, 3) ? OP_OPEN : one_in(g, 2) ? OP_SUSPEND : OP_RESUME, 0);
	}
}

static void noise(struct gen *g)
{
	switch (below(g, 12)) {
	case 0:
	case 1:
	case 2:
		noise_get(g);
		break;
	case 3:
	case 4:
		noise_device(g);
		break;
	case 5:
	case 6:
		noise_ring(g);
		break;
	case 7:
		noise_odd(g);
		break;
	case 8:
	case 9:
		some_invalidate(g);
		break;
	default:
		some_update(g);
	}
}

/* ---- scenes ---- */

static void scene_open(struct gen *g)
{
	ACT(g, OP_OPEN, 0);
	ACT(g, OP_OWNER, 0);
	g->asid = !one_in(g, 4);
	ACT(g, OP_SET_BACKEND,
	    g->asid ? PICK(g, 0x17e, 0x17e, 0x7e, 0xe, 0x10e) : PICK(g, 0x6, 0x106, 0x4));
	g->opened = g->owned = true;
	g->running = g->suspended = false;
	g->batch = -1;
	g->bound = 0;
	memset(g->mapped, 0, sizeof(g->mapped));
}

static void setup_ring(struct gen *g, unsigned q)
{
	uint64_t num = PICK(g, 16, 16, 8, 32, 64, 256);
	uint64_t start = one_in(g, 4) ? PICK(g, 1, 5, 0x7fff, 0xfffe, 0xffff) : 0;
	uint64_t slot = below(g, 2);

	EMIT(g, OP_RING, q, num, start, slot);
	EMIT(g, OP_NUM, q, num);
	/* after a reset the position is 0 already; the driver's index must never be ahead of it by
	 * more than a ring */
	if (start || one_in(g, 2))
		EMIT(g, OP_BASE, q, start);
	EMIT(g, OP_ADDR, q, slot, 0, 0, 0);
	ACT(g, OP_FILE, q, FILE_KICK, one_in(g, 12) ? FD_HOT : FD_OWN);
	ACT(g, OP_FILE, q, FILE_CALL, FD_OWN);
	ACT(g, OP_ENABLE, q, 1);
	g->num[q] = num;
	g->start[q] = start;
	g->slot[q] = slot;
}

/* From status 0 to DRIVER_OK, with mappings before or after the rings, or none. */
static void scene_start(struct gen *g)
{
	unsigned rings = one_in(g, 4) ? 2 : 3;
	unsigned when = (unsigned)below(g, 5);

	ACT(g, OP_SET_STATUS, 3);
	ACT(g, OP_SET_FEATURES, FEATURES_NET);
	ACT(g, OP_SET_STATUS, 0xb);
	if (when < 2)
		map_all(g, 0);
	for (unsigned q = 0; q < rings; q++)
		setup_ring(g, q);
	if (when == 2 || when == 3)
		map_all(g, 0);
	ACT(g, OP_SET_STATUS, 0xf);
	g->running = true;
	g->suspended = false;
	g->bound = 0;
}

static void post(struct gen *g, unsigned q)
{
	uint64_t kind = one_in(g, 5) ? below(g, POST_NR) : POST_PLAIN;
	uint64_t len = q == CLIENT_NET_RX ? PICK(g, 511, 511, 256, 40)
					  : PICK(g, 72, 72, 60, 300, 511, 12, 10);

	EMIT(g, OP_POST, q, g->posted++ % RANDOM_BUFS, len, one_in(g, 4) ? 1 + below(g, 4) : 1,
	     kind);
}

static void scene_traffic(struct gen *g)
{
	unsigned nr = 1 + (unsigned)below(g, 2);

	for (unsigned i = 0; i < nr; i++) {
		if (!one_in(g, 6))
			post(g, CLIENT_NET_RX);
		post(g, CLIENT_NET_TX);
	}
	ACT(g, OP_KICK, one_in(g, 8) ? CLIENT_NET_RX : CLIENT_NET_TX);
}

static void scene_command(struct gen *g)
{
	post(g, CLIENT_NET_CTRL);
	ACT(g, OP_KICK, CLIENT_NET_CTRL);
}

static void scene_batch(struct gen *g)
{
	uint64_t asid = g->asid ? below(g, 2) : 0;
	unsigned first = (unsigned)below(g, PAGE_NR - 1);

	ACT(g, OP_BEGIN, version(g, asid), asid);
	if (one_in(g, 2))
		unmap_window(g, asid, 0, PAGE_NR);
	if (one_in(g, 3))
		scene_traffic(g);
	if (one_in(g, 2))
		map_all(g, asid);
	else
		map_window(g, asid, first, PAGE_NR - first);
	if (one_in(g, 3))
		some_update(g);
	if (one_in(g, 4))
		scene_traffic(g);
	if (!one_in(g, 8))
		ACT(g, OP_END, version(g, asid), asid);
	scene_traffic(g);
}

static void scene_suspend(struct gen *g)
{
	unsigned q = (unsigned)below(g, RANDOM_RINGS);

	ACT(g, OP_SUSPEND, 0);
	if (one_in(g, 2))
		scene_traffic(g);
	if (one_in(g, 2))
		ACT(g, OP_GET_BASE, q);
	if (one_in(g, 4))
		EMIT(g, OP_ADDR, q, g->slot[q], 0, 0, 0);
	if (one_in(g, 8))
		EMIT(g, OP_SET_STATUS, 0xf);
	if (!one_in(g, 6))
		ACT(g, OP_RESUME, 0);
	scene_traffic(g);
	ACT(g, OP_GET_BASE, q);
}

static void scene_reset(struct gen *g)
{
	ACT(g, OP_SET_STATUS, 0);
	g->running = false;
	if (one_in(g, 3))
		ACT(g, OP_GET_BASE, below(g, RANDOM_RINGS));
	if (one_in(g, 4))
		some_update(g);
	scene_start(g);
	scene_traffic(g);
}

static void scene_reopen(struct gen *g)
{
	ACT(g, OP_CLOSE, 0);
	scene_open(g);
	scene_start(g);
	scene_traffic(g);
}

static void scene_bind(struct gen *g)
{
	uint64_t asid = one_in(g, 5) ? 0 : 1;

	if (!g->asid)
		EMIT(g, OP_SET_BACKEND, 0x17e);
	g->asid = true;
	if (!one_in(g, 3))
		map_all(g, 1);
	ACT(g, OP_GROUP_ASID, 1, asid);
	g->bound = asid;
	scene_command(g);
}

static void scene_remap(struct gen *g)
{
	unsigned page = (unsigned)below(g, PAGE_NR), nr = 1 + (unsigned)below(g, PAGE_NR - page);

	unmap_window(g, 0, page, nr);
	if (one_in(g, 3))
		scene_traffic(g);
	g->mapped[0] = 0; /* whole entries go */
	if (one_in(g, 2))
		unmap_window(g, 0, 0, PAGE_NR);
	map_all(g, 0);
	scene_traffic(g);
}

void random_generate(uint64_t seed, struct random_program *program)
{
	static void (*const scenes[])(struct gen * g) = {
		scene_traffic, scene_traffic, scene_traffic, scene_command, scene_command,
		scene_batch,   scene_batch,   scene_suspend, scene_suspend, scene_reset,
		scene_reset,   scene_reopen,  scene_bind,    scene_bind,    scene_remap,
		noise,         noise,
	};
	struct gen g = {.state = seed * 0x2545f4914f6cdd1dULL + 1, .out = program, .batch = -1};
	unsigned len = LEAST + (unsigned)below(&g, MOST - LEAST);

	program->nr = 0;
	scene_open(&g);
	scene_start(&g);
	while (program->nr < len)
		scenes[below(&g, sizeof(scenes) / sizeof(scenes[0]))](&g);
}
