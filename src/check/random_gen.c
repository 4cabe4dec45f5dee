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
#include "check/random_noise.h"

#include <string.h>

enum { LEAST = 36, MOST = 80, DROP = 150, NOISE = 9 };

/* A step of a scene: sometimes with something else before it, sometimes not at all. */
static void act(struct random_gen *g, enum random_op op, const uint64_t *arg)
{
	if (random_gen_one_in(g, NOISE))
		random_gen_noise(g);
	if (!random_gen_one_in(g, DROP))
		random_gen_emit(g, op, arg);
}

#define ACT(g, op, ...) act(g, op, (const uint64_t[RANDOM_ARGS]){__VA_ARGS__})

/* ---- mapping ---- */

static uint32_t pages(unsigned first, unsigned nr)
{
	return (uint32_t)((1ULL << nr) - 1) << first;
}

/* Messages of version 1 go to address space 0. */
static void map_window(struct random_gen *g, uint64_t asid, unsigned first, unsigned nr)
{
	uint32_t want = pages(first, nr);

	if (g->mapped[asid % RANDOM_SPACES] & want && !random_gen_one_in(g, 12))
		return;
	ACT(g, OP_UPDATE, random_gen_version(g, asid), asid,
	    random_at(AT_WINDOW, first * CHECK_PAGE), nr * CHECK_PAGE,
	    random_at(AT_SHARED, first * CHECK_PAGE), random_gen_one_in(g, 12) ? 1 : 3);
	if (asid == 0 || g->asid)
		g->mapped[asid % RANDOM_SPACES] |= want;
}

static void unmap_window(struct random_gen *g, uint64_t asid, unsigned first, unsigned nr)
{
	ACT(g, OP_INVALIDATE, random_gen_version(g, asid), asid,
	    random_at(AT_WINDOW, first * CHECK_PAGE), nr * CHECK_PAGE);
	g->mapped[asid % RANDOM_SPACES] &= ~pages(first, nr);
}

/* The whole window, in one piece or several. */
static void map_all(struct random_gen *g, uint64_t asid)
{
	unsigned cut;

	switch (random_gen_below(g, 4)) {
	case 0:
		cut = 1 + (unsigned)random_gen_below(g, PAGE_NR - 1);
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

/* ---- scenes ---- */

static void scene_open(struct random_gen *g)
{
	ACT(g, OP_OPEN, 0);
	ACT(g, OP_OWNER, 0);
	g->asid = !random_gen_one_in(g, 4);
	ACT(g, OP_SET_BACKEND,
	    g->asid ? PICK(g, 0x17e, 0x17e, 0x7e, 0xe, 0x10e) : PICK(g, 0x6, 0x106, 0x4));
	g->opened = g->owned = true;
	g->running = g->suspended = false;
	g->batch = -1;
	g->bound = 0;
	memset(g->mapped, 0, sizeof(g->mapped));
}

static void setup_ring(struct random_gen *g, unsigned q)
{
	uint64_t num = PICK(g, 16, 16, 8, 32, 64, 256);
	uint64_t start = random_gen_one_in(g, 4) ? PICK(g, 1, 5, 0x7fff, 0xfffe, 0xffff) : 0;
	uint64_t slot = random_gen_below(g, 2);

	EMIT(g, OP_RING, q, num, start, slot);
	EMIT(g, OP_NUM, q, num);
	/* after a reset the position is 0 already; the driver's index must never be ahead of it by
	 * more than a ring */
	if (start || random_gen_one_in(g, 2))
		EMIT(g, OP_BASE, q, start);
	EMIT(g, OP_ADDR, q, slot, 0, 0, 0);
	ACT(g, OP_FILE, q, FILE_KICK, random_gen_one_in(g, 12) ? FD_HOT : FD_OWN);
	ACT(g, OP_FILE, q, FILE_CALL, FD_OWN);
	ACT(g, OP_ENABLE, q, 1);
	g->num[q] = num;
	g->start[q] = start;
	g->slot[q] = slot;
}

/* From status 0 to DRIVER_OK, with mappings before or after the rings, or none. */
static void scene_start(struct random_gen *g)
{
	unsigned rings = random_gen_one_in(g, 4) ? 2 : 3;
	unsigned when = (unsigned)random_gen_below(g, 5);

	ACT(g, OP_SET_STATUS, 3);
	ACT(g, OP_SET_FEATURES, RANDOM_FEATURES_NET);
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

static void post(struct random_gen *g, unsigned q)
{
	uint64_t kind = random_gen_one_in(g, 5) ? random_gen_below(g, POST_NR) : POST_PLAIN;
	uint64_t len = q == CLIENT_NET_RX ? PICK(g, 511, 511, 256, 40)
					  : PICK(g, 72, 72, 60, 300, 511, 12, 10);

	EMIT(g, OP_POST, q, g->posted++ % RANDOM_BUFS, len,
	     random_gen_one_in(g, 4) ? 1 + random_gen_below(g, 4) : 1, kind);
}

static void scene_traffic(struct random_gen *g)
{
	unsigned nr = 1 + (unsigned)random_gen_below(g, 2);

	for (unsigned i = 0; i < nr; i++) {
		if (!random_gen_one_in(g, 6))
			post(g, CLIENT_NET_RX);
		post(g, CLIENT_NET_TX);
	}
	ACT(g, OP_KICK, random_gen_one_in(g, 8) ? CLIENT_NET_RX : CLIENT_NET_TX);
}

static void scene_command(struct random_gen *g)
{
	post(g, CLIENT_NET_CTRL);
	ACT(g, OP_KICK, CLIENT_NET_CTRL);
}

static void scene_batch(struct random_gen *g)
{
	uint64_t asid = g->asid ? random_gen_below(g, 2) : 0;
	unsigned first = (unsigned)random_gen_below(g, PAGE_NR - 1);

	ACT(g, OP_BEGIN, random_gen_version(g, asid), asid);
	if (random_gen_one_in(g, 2))
		unmap_window(g, asid, 0, PAGE_NR);
	if (random_gen_one_in(g, 3))
		scene_traffic(g);
	if (random_gen_one_in(g, 2))
		map_all(g, asid);
	else
		map_window(g, asid, first, PAGE_NR - first);
	if (random_gen_one_in(g, 3))
		random_gen_update(g);
	if (random_gen_one_in(g, 4))
		scene_traffic(g);
	if (!random_gen_one_in(g, 8))
		ACT(g, OP_END, random_gen_version(g, asid), asid);
	scene_traffic(g);
}

static void scene_suspend(struct random_gen *g)
{
	unsigned q = (unsigned)random_gen_below(g, RANDOM_RINGS);

	ACT(g, OP_SUSPEND, 0);
	if (random_gen_one_in(g, 2))
		scene_traffic(g);
	if (random_gen_one_in(g, 2))
		ACT(g, OP_GET_BASE, q);
	if (random_gen_one_in(g, 4))
		EMIT(g, OP_ADDR, q, g->slot[q], 0, 0, 0);
	if (random_gen_one_in(g, 8))
		EMIT(g, OP_SET_STATUS, 0xf);
	if (!random_gen_one_in(g, 6))
		ACT(g, OP_RESUME, 0);
	scene_traffic(g);
	ACT(g, OP_GET_BASE, q);
}

static void scene_reset(struct random_gen *g)
{
	ACT(g, OP_SET_STATUS, 0);
	g->running = false;
	if (random_gen_one_in(g, 3))
		ACT(g, OP_GET_BASE, random_gen_below(g, RANDOM_RINGS));
	if (random_gen_one_in(g, 4))
		random_gen_update(g);
	scene_start(g);
	scene_traffic(g);
}

static void scene_reopen(struct random_gen *g)
{
	ACT(g, OP_CLOSE, 0);
	scene_open(g);
	scene_start(g);
	scene_traffic(g);
}

static void scene_bind(struct random_gen *g)
{
	uint64_t asid = random_gen_one_in(g, 5) ? 0 : 1;

	if (!g->asid)
		EMIT(g, OP_SET_BACKEND, 0x17e);
	g->asid = true;
	if (!random_gen_one_in(g, 3))
		map_all(g, 1);
	ACT(g, OP_GROUP_ASID, 1, asid);
	g->bound = asid;
	scene_command(g);
}

static void scene_remap(struct random_gen *g)
{
	unsigned page = (unsigned)random_gen_below(g, PAGE_NR),
		 nr = 1 + (unsigned)random_gen_below(g, PAGE_NR - page);

	unmap_window(g, 0, page, nr);
	if (random_gen_one_in(g, 3))
		scene_traffic(g);
	g->mapped[0] = 0; /* whole entries go */
	if (random_gen_one_in(g, 2))
		unmap_window(g, 0, 0, PAGE_NR);
	map_all(g, 0);
	scene_traffic(g);
}

void random_generate(uint64_t seed, struct random_program *program)
{
	static void (*const scenes[])(struct random_gen * g) = {
		scene_traffic,    scene_traffic,    scene_traffic, scene_command, scene_command,
		scene_batch,      scene_batch,      scene_suspend, scene_suspend, scene_reset,
		scene_reset,      scene_reopen,     scene_bind,    scene_bind,    scene_remap,
		random_gen_noise, random_gen_noise,
	};
	struct random_gen g = {
		.state = seed * 0x2545f4914f6cdd1dULL + 1, .out = program, .batch = -1};
	unsigned len = LEAST + (unsigned)random_gen_below(&g, MOST - LEAST);

	program->nr = 0;
	scene_open(&g);
	scene_start(&g);
	while (program->nr < len)
		scenes[random_gen_below(&g, sizeof(scenes) / sizeof(scenes[0]))](&g);
}
