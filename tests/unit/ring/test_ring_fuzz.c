// SPDX-License-Identifier: BSD-3-Clause
/*
 * A hostile driver: bytes of the areas, tables and buffers change at random between the device's
 * calls, biased towards values that nearly make sense. Whatever comes, the device touches mapped
 * bytes only: the holes between what is mapped are poisoned under the address sanitizer, and hold a
 * pattern that must survive elsewhere. HOLDFAST_TEST_SEED repeats a run.
 */
#include "base/clock.h"
#include "support.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define HOLE_POISON(p, len)   __asan_poison_memory_region(p, len)
#define HOLE_UNPOISON(p, len) __asan_unpoison_memory_region(p, len)
#else
#define HOLE_POISON(p, len)   ((void)(p), (void)(len))
#define HOLE_UNPOISON(p, len) ((void)(p), (void)(len))
#endif

#define ROUNDS     10000
#define ROUNDS_MIN 500 /* of fewer, chance may make the shares below anything */
#define OPS        60
#define HELD_MAX   64
#define RUN_MAX_NS (4 * NS_PER_SEC) /* the loop ends early on a slow machine */

/* What is mapped, by offset in the lane; everything else is a hole. */
static const struct {
	uint32_t off, len;
	uint8_t perm;
} windows[] = {
	{LANE_DESC, 0x800, IOTLB_RW},          {LANE_DRIVER, 0x400, IOTLB_R},
	{LANE_DEVICE, 0x400, IOTLB_W},         {LANE_TABLES, 0x1000, IOTLB_R},
	{LANE_BUFFERS, 0x1003, IOTLB_RW},      {LANE_BUFFERS + 0x1003, 0x55, IOTLB_RW},
	{LANE_BUFFERS + 0x2000, 0x7, IOTLB_R}, {LANE_BUFFERS + 0x3001, 0x1000, IOTLB_W},
};

#define HOLE_LEN 4096u /* bytes behind each window that are watched */

struct fuzz {
	struct world w;
	struct lane l;
	uint64_t rnd;
	struct ring_chain held[HELD_MAX];
	unsigned int nr_held;
	unsigned long nr_popped, nr_broken, nr_faults, nr_lost, nr_run;
	volatile unsigned char sink;
};

static uint32_t pick(struct fuzz *f, uint32_t n)
{
	return random_below(&f->rnd, n);
}

static void holes_set(struct fuzz *f, bool watched)
{
	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		uint32_t first = windows[i].off + windows[i].len, len = HOLE_LEN;

		for (size_t k = 0; k < ARRAY_LEN(windows); k++)
			if (windows[k].off >= first && windows[k].off - first < len)
				len = windows[k].off - first;
		if (len == 0)
			continue;
		if (watched) {
			memset(lane_host(&f->l, first), 0xa5, len);
			HOLE_POISON(lane_host(&f->l, first), len);
			continue;
		}
		HOLE_UNPOISON(lane_host(&f->l, first), len);
		for (uint32_t b = 0; b < len; b++)
			assert_int_equal((uint8_t)*lane_host(&f->l, first + b), 0xa5);
	}
}

/* An address that is mapped, or nearly, or not at all. */
static iova_t fuzz_iova(struct fuzz *f)
{
	uint32_t k = pick(f, ARRAY_LEN(windows));
	iova_t first = lane_iova(&f->l, windows[k].off);

	switch (pick(f, 8)) {
	case 0:
		return random_next(&f->rnd);
	case 1:
		return first + windows[k].len - pick(f, 20);
	case 2:
		return UINT64_MAX - pick(f, 64);
	case 3:
		return first - pick(f, 16);
	default:
		return first + pick(f, windows[k].len);
	}
}

static uint32_t fuzz_len(struct fuzz *f)
{
	static const uint32_t odd[] = {0,          1,          15,         16,         32,
				       0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff0, 4096};

	switch (pick(f, 4)) {
	case 0:
		return odd[pick(f, ARRAY_LEN(odd))];
	case 1:
		return 16 * pick(f, 40);
	default:
		return pick(f, 300);
	}
}

static uint16_t fuzz_flags(struct fuzz *f)
{
	static const uint16_t bits[] = {
		0, 0, 0, DESC_F_NEXT, DESC_F_NEXT, DESC_F_WRITE, DESC_F_WRITE, DESC_F_INDIRECT};
	uint16_t flags = bits[pick(f, 8)] | bits[pick(f, 8)];

	if (f->l.config.packed)
		flags |= pick(f, 3) ? DESC_F_AVAIL : DESC_F_USED;
	if (pick(f, 40) == 0)
		flags = (uint16_t)random_next(&f->rnd);
	return flags;
}

static void fuzz_desc(struct fuzz *f, char *table, uint32_t max)
{
	struct split_desc *d = (void *)(table + (size_t)pick(f, max) * DESC_SIZE);
	uint16_t flags = fuzz_flags(f), next = (uint16_t)pick(f, max + 1);

	le64_store(&d->addr, fuzz_iova(f));
	le32_store(&d->len, fuzz_len(f));
	le16_store(&d->flags, f->l.config.packed ? next : flags);
	le16_store(&d->next, f->l.config.packed ? flags : next);
}

static void scribble(struct fuzz *f)
{
	static const uint32_t areas[] = {LANE_DESC, LANE_DRIVER, LANE_DEVICE, LANE_TABLES};
	uint16_t num = f->l.config.num;

	switch (pick(f, 6)) {
	case 0:
		*lane_host(&f->l, areas[pick(f, 4)] + pick(f, 0x400)) = (char)pick(f, 256);
		break;
	case 1:
		fuzz_desc(f, lane_host(&f->l, LANE_TABLES), 64);
		break;
	case 2:
		if (f->l.config.packed)
			break;
		raw_split_avail(&f->l, (uint16_t)pick(f, num),
				(uint16_t)pick(f, num + !pick(f, 9)));
		raw_split_avail_idx(&f->l, (uint16_t)(ring_get_state(f->l.ring).last_avail +
						      pick(f, num + !pick(f, 9))));
		break;
	default:
		fuzz_desc(f, lane_host(&f->l, LANE_DESC), num);
	}
}

static bool is_hole(const struct fuzz *f, const struct ring_chain *chain, const void *piece)
{
	assert_true(piece || (chain->fault && f->l.config.holes));
	return !piece;
}

/* Touch the ends of every piece, as a device that uses the chain would. */
static void touch(struct fuzz *f, const struct ring_chain *chain)
{
	uint64_t out = 0, in = 0;

	for (uint32_t i = 0; i < chain->nr_out; i++) {
		const unsigned char *p = chain->out[i].iov_base;

		assert_true(chain->out[i].iov_len > 0);
		out += chain->out[i].iov_len;
		if (is_hole(f, chain, p))
			continue;
		f->sink = p[0];
		f->sink = p[chain->out[i].iov_len - 1];
	}
	for (uint32_t i = 0; i < chain->nr_in; i++) {
		unsigned char *p = chain->in[i].iov_base;

		assert_true(chain->in[i].iov_len > 0);
		in += chain->in[i].iov_len;
		if (is_hole(f, chain, p))
			continue;
		p[0] = (unsigned char)pick(f, 256);
		p[chain->in[i].iov_len - 1] = (unsigned char)pick(f, 256);
	}
	assert_int_equal(out, chain->out_len);
	assert_int_equal(in, chain->in_len);
	assert_true(!chain->fault || out + in == 0 || f->l.config.holes);
}

static void op_pop(struct fuzz *f)
{
	struct ring_chain *chain = &f->held[f->nr_held];
	int rc;

	if (f->nr_held == HELD_MAX)
		return;
	rc = ring_pop(f->l.ring, chain);
	assert_true(rc == 1 || rc == 0 || rc == -ENOBUFS ||
		    rc == (f->l.config.reader ? -EBADMSG : -EPROTO));
	assert_int_equal(rc == -EPROTO, ring_broken_reason(f->l.ring) != NULL);
	f->nr_lost += rc == -EBADMSG;
	if (rc != 1)
		return;
	touch(f, chain);
	f->nr_popped++;
	f->nr_faults += chain->fault;
	f->nr_held++;
}

static void op_run(struct fuzz *f)
{
	bool write = pick(f, 2);
	uint32_t written[RING_RUN_MAX];
	const struct ring_plain *run;
	unsigned int n = ring_pop_run(f->l.ring, RING_RUN_MAX, write, &run);

	if (n == 0) {
		write = !write;
		n = ring_pop_run(f->l.ring, RING_RUN_MAX, write, &run);
	}
	f->nr_run += n;
	assert_true(f->nr_held + n <= f->l.config.num);
	for (unsigned int i = 0; i < n; i++) {
		char *first = run[i].base, *last = first + run[i].len - 1;

		assert_true(run[i].len > 0);
		if (write)
			*first = *last = (char)pick(f, 256);
		f->sink = write ? 0 : (unsigned char)(*first + *last);
		written[i] = pick(f, run[i].len + 1);
	}
	n = pick(f, n + 1);
	ring_push_run(f->l.ring, n, write ? written : NULL);
}

static void op_push(struct fuzz *f)
{
	struct ring_chain *chain;
	unsigned int i;

	if (f->nr_held == 0)
		return;
	i = pick(f, f->nr_held);
	chain = &f->held[i];
	/* nothing is written to a piece that is not mapped */
	ring_push(f->l.ring, chain, chain->fault ? 0 : (uint32_t)(chain->in_len / 2));
	if (f->l.config.reader)
		ring_flush(f->l.ring); /* the rule of ring/strict.h */
	f->held[i] = f->held[--f->nr_held];
}

static void op_restart(struct fuzz *f)
{
	f->nr_broken += ring_broken_reason(f->l.ring) != NULL;
	lane_restart(&f->l, ring_stop(f->l.ring));
	f->nr_held = 0;
}

static void fuzz_op(struct fuzz *f)
{
	switch (pick(f, 18)) {
	case 0:
		ring_flush(f->l.ring);
		break;
	case 1:
		ring_kick_enable(f->l.ring);
		break;
	case 2:
		ring_kick_disable(f->l.ring);
		break;
	case 3:
		if (ring_broken_reason(f->l.ring) || pick(f, 8) == 0)
			op_restart(f);
		break;
	case 4:
	case 5:
		op_push(f);
		break;
	case 16:
	case 17:
		op_pop(f); /* what it looked up a run finds in the cache */
		op_run(f);
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		op_pop(f);
		break;
	default:
		scribble(f);
	}
}

static void fuzz_round(struct fuzz *f)
{
	struct lane_opts opts = {.num = (uint16_t)(1u << pick(f, 7)),
				 .packed = pick(f, 2),
				 .event_idx = pick(f, 2),
				 .in_order = pick(f, 4) == 0,
				 .indirect = pick(f, 4) != 0,
				 .holes = pick(f, 2),
				 .no_dirty = pick(f, 2)};

	opts.strict = !opts.packed && !opts.in_order && pick(f, 2);
	opts.start = opts.packed ? (uint16_t)(pick(f, opts.num) | pick(f, 2) << 15)
				 : (uint16_t)(0 - pick(f, 40));
	lane_init(&f->l, &f->w, 0, &opts);
	f->nr_held = 0;
	holes_set(f, true);
	for (unsigned int i = 0; i < OPS; i++)
		fuzz_op(f);
	holes_set(f, false);
	f->nr_broken += ring_broken_reason(f->l.ring) != NULL;
	lane_fini(&f->l);
}

static void ring_any_call_hostile_memory_stays_inside(void **state)
{
	static struct fuzz f;
	uint64_t seed = random_seed();
	int64_t end = clock_now_ns() + RUN_MAX_NS;
	unsigned int round = 0;

	world_init(&f.w, 1);
	world_unmap(&f.w, 0, LANE_LEN);
	for (size_t i = 0; i < ARRAY_LEN(windows); i++)
		world_map(&f.w, windows[i].off, windows[i].len, windows[i].perm);
	for (; round < ROUNDS_MIN || (round < ROUNDS && clock_now_ns() < end); round++) {
		f.rnd = seed + round;
		fuzz_round(&f);
	}
	fprintf(stderr,
		"%u rounds: %lu chains, %lu with faults, %lu lost, %lu in runs; %lu rings broken\n",
		round, f.nr_popped, f.nr_faults, f.nr_lost, f.nr_run, f.nr_broken);
	/* The noise is of use only if much of it gets through. */
	assert_true(f.nr_popped > round);
	assert_true(f.nr_faults > round / 10);
	assert_true(f.nr_broken > round / 10);
	assert_true(f.nr_lost > round / 10);
	assert_true(f.nr_run > round / 1000);
	world_fini(&f.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_any_call_hostile_memory_stays_inside),
	};

	return cmocka_run_group_tests_name("ring fuzz", tests, NULL, NULL);
}
