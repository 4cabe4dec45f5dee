/* SPDX-License-Identifier: BSD-3-Clause */
/* Single calls of any kind, as they stand between the steps of a scene; all choices come from the
 * seed. */
#include "check/random_noise.h"

#include <string.h>

/* splitmix64 */
static uint64_t random_gen_draw(struct random_gen *g)
{
	uint64_t z = (g->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint64_t random_gen_below(struct random_gen *g, uint64_t n)
{
	return random_gen_draw(g) % n;
}

bool random_gen_one_in(struct random_gen *g, unsigned n)
{
	return random_gen_below(g, n) == 0;
}

void random_gen_emit(struct random_gen *g, enum random_op op, const uint64_t *arg)
{
	struct random_step *step;

	if (g->out->nr == RANDOM_MAX_STEPS)
		return;
	step = &g->out->step[g->out->nr++];
	step->op = op;
	memcpy(step->arg, arg, sizeof(step->arg));
}

uint64_t random_gen_version(struct random_gen *g, uint64_t asid)
{
	return asid == 0 && random_gen_one_in(g, 6) ? 1 : 2;
}

/* Maps window pages where they belong; what is mapped already is left out by the model. */
static uint64_t some_asid(struct random_gen *g)
{
	return random_gen_one_in(g, 12) ? PICK(g, 2, 7, 0xffffffff)
	       : g->asid                ? random_gen_below(g, 2)
					: 0;
}

static uint64_t some_iova(struct random_gen *g)
{
	uint64_t page = random_gen_below(g, PAGE_NR + 4) * CHECK_PAGE;

	switch (random_gen_below(g, 8)) {
	case 0:
		return random_at(AT_ABS, random_gen_one_in(g, 2) ? 0 : page);
	case 1:
		return random_at(AT_TOP, CHECK_PAGE + (random_gen_one_in(g, 2) ? 0 : page));
	case 2:
		return random_at(AT_WINDOW, page + PICK(g, 1, 0x800, 0xfff));
	default:
		return random_at(AT_WINDOW, page);
	}
}

static uint64_t some_size(struct random_gen *g)
{
	switch (random_gen_below(g, 10)) {
	case 0:
		return PICK(g, 0, 1, 0xfff, 0x1001, UINT64_MAX, 1ULL << 63);
	case 1:
		return PICK(g, 60, 64, 65, 128) * CHECK_PAGE;
	default:
		return (1 + random_gen_below(g, 6)) * CHECK_PAGE;
	}
}

/*
 * Private memory goes page by page: it does not lie in one piece. Nor does an update run
 * into the hole behind a piece at a place that is not the same on every machine.
 */
void random_gen_update(struct random_gen *g)
{
	uint64_t asid = some_asid(g), iova = some_iova(g), size = some_size(g);
	uint64_t uaddr = random_at(AT_SHARED, random_gen_below(g, PAGE_NR) * CHECK_PAGE);
	uint64_t perm = random_gen_one_in(g, 8) ? PICK(g, 0, 1, 2, 0xff) : 3;

	switch (random_gen_below(g, 12)) {
	case 0:
		uaddr = random_at(AT_PRIVATE, random_gen_below(g, PAGE_PRIVATE_NR) * CHECK_PAGE);
		size = CHECK_PAGE;
		iova &= ~(uint64_t)(CHECK_PAGE - 1);
		break;
	case 1:
		uaddr = random_at(AT_READONLY, random_gen_below(g, PAGE_NR) * CHECK_PAGE);
		break;
	case 2:
		uaddr = random_at(AT_HOLE, 0);
		size = size > 1UL << 32 ? CHECK_PAGE : size;
		break;
	case 3:
		uaddr += 0x10;
		break;
	}
	random_gen_emit(g, OP_UPDATE,
			(const uint64_t[RANDOM_ARGS]){random_gen_version(g, asid), asid, iova, size,
						      uaddr, perm});
}

static void some_invalidate(struct random_gen *g)
{
	uint64_t asid = some_asid(g);

	if (random_gen_one_in(g, 8))
		EMIT(g, OP_INVALIDATE, random_gen_version(g, asid), asid, random_at(AT_ABS, 0),
		     UINT64_MAX);
	else
		EMIT(g, OP_INVALIDATE, random_gen_version(g, asid), asid, some_iova(g),
		     some_size(g));
}

/* ---- single calls ---- */

static uint64_t some_queue(struct random_gen *g)
{
	return random_gen_one_in(g, 12) ? PICK(g, 3, 64, 0xffff, 0xffffffff)
					: random_gen_below(g, RANDOM_RINGS);
}

static void noise_get(struct random_gen *g)
{
	switch (random_gen_below(g, 5)) {
	case 0:
		EMIT(g, OP_GET_BASE, some_queue(g));
		break;
	case 1:
		EMIT(g, OP_VRING_GET, some_queue(g), random_gen_below(g, VRING_NR));
		break;
	case 2:
		EMIT(g, OP_GET_CONFIG, PICK(g, 0, 0, 6, 10, 23, 24, 25, 0xffffffff),
		     PICK(g, 24, 6, 1, 14, 0, 25, 2));
		break;
	default:
		EMIT(g, OP_GET, random_gen_below(g, GET_NR));
	}
}

static void noise_device(struct random_gen *g)
{
	static const uint64_t fixed = RANDOM_FEATURES_NET;

	switch (random_gen_below(g, 8)) {
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
		EMIT(g, OP_CONFIG_CALL, random_gen_below(g, FD_NR));
		break;
	case 5:
		EMIT(g, OP_OWNER, 0);
		break;
	case 6:
		EMIT(g, OP_SET_FORK, random_gen_below(g, 3));
		break;
	default:
		EMIT(g, OP_MEM_TABLE, 0);
	}
}

static void noise_ring(struct random_gen *g)
{
	uint64_t q = some_queue(g);

	switch (random_gen_below(g, 8)) {
	case 0:
		EMIT(g, OP_NUM, q, PICK(g, 16, 8, 32, 256, 0, 3, 512, 0x10000));
		break;
	case 1:
		EMIT(g, OP_BASE, q, PICK(g, 0, 0x10000, 0xffffffff));
		break;
	case 2:
		EMIT(g, OP_ADDR, q, random_gen_below(g, 2), PICK(g, 0, 0, 1, 2),
		     PICK(g, 0, 0, 1, 2), PICK(g, 0, 0, 1, 2));
		break;
	case 3:
		EMIT(g, OP_FILE, q, random_gen_below(g, FILE_NR), random_gen_below(g, FD_NR));
		break;
	case 4:
		EMIT(g, OP_BUSYLOOP, q, random_gen_below(g, 100));
		break;
	case 5:
		EMIT(g, OP_GROUP_ASID, PICK(g, 0, 1, 1, 1, 2, 5), PICK(g, 0, 1, 1, 2, 3));
		break;
	case 6:
		if (q < RANDOM_RINGS)
			EMIT(g, OP_FLAGS, q, random_gen_below(g, 2));
		break;
	default:
		EMIT(g, OP_ENABLE, q, !random_gen_one_in(g, 4));
	}
}

static void noise_odd(struct random_gen *g)
{
	switch (random_gen_below(g, 5)) {
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
		EMIT(g, random_gen_one_in(g, 2) ? OP_BEGIN : OP_END, 2, some_asid(g));
		break;
	default:
		EMIT(g,
		     random_gen_one_in(g, 3)   ? OP_OPEN
		     : random_gen_one_in(g, 2) ? OP_SUSPEND
					       : OP_RESUME,
		     0);
	}
}

void random_gen_noise(struct random_gen *g)
{
	switch (random_gen_below(g, 12)) {
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
		random_gen_update(g);
	}
}
