// SPDX-License-Identifier: BSD-3-Clause
/*
 * Random operations on both sides of a ring, checked against a plain model: a list of chains, each
 * with what the driver wrote and what the device must answer. Buffers lie in an address space that
 * is shuffled in odd-sized pieces, so that most of them straddle entries. HOLDFAST_TEST_SEED
 * repeats a run.
 *
 * What must hold: chains are popped in the order they were published, with the contents written;
 * each comes back once, with the answer and nothing else changed; an interrupt or kick that the
 * other side waits for is asked for; a suppressed one is not; a stop and a start lose and repeat
 * nothing.
 */
#include "support.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS     64u
#define SLOT_LEN  8192u
#define SEGS_MAX  12u
#define SEG_LEN   600u
#define PIECE     701u /* bytes of one entry of the buffers' address space; odd on purpose */
#define NR_PIECES (SLOTS * SLOT_LEN / PIECE)
#define BUF_LEN   (NR_PIECES * PIECE)
#define UNTOUCHED 0xee
#define ROUNDS    6
#define OPS       3000

enum chain_state { FREE, ADDED, PUBLISHED, POPPED, PUSHED, FLUSHED };

struct model_chain {
	enum chain_state state;
	struct ring_driver_seg segs[SEGS_MAX];
	unsigned int nr_out, nr_in;
	uint32_t out_len, in_len;
	uint64_t seed;    /* of the contents; the answer's is ~seed */
	uint32_t written; /* by the device */
	bool fault;       /* one buffer is not mapped */
};

struct fifo {
	uint32_t slot[SLOTS];
	uint32_t head, tail; /* free-running */
};

struct model {
	struct world w;
	struct lane l;
	struct lane_opts opts;
	bool plain; /* most chains are one buffer, and buffers lie as they do in the map: runs */
	uint64_t rnd;
	uint32_t piece_at[NR_PIECES]; /* where the n-th piece of iova lies */
	struct model_chain chains[SLOTS];
	struct fifo added;             /* ADDED */
	struct fifo published;         /* PUBLISHED */
	struct fifo order;             /* in_order: POPPED or PUSHED, by age */
	struct ring_chain held[SLOTS]; /* POPPED, by slot */
	uint32_t popped[SLOTS];        /* slots in POPPED, by age */
	unsigned int nr_popped;
	uint32_t pop_seq[SLOTS]; /* when it was popped */
	uint32_t next_seq;
	uint32_t pushed[SLOTS]; /* slots in PUSHED, by time */
	unsigned int nr_pushed;
	struct fifo flushed; /* FLUSHED, as the driver must see them */
	bool driver_waits;   /* asked for an interrupt, saw nothing */
	bool driver_off;     /* interrupts disabled */
	bool device_waits;   /* asked for a kick, saw nothing */
	bool device_off;     /* kicks disabled */
	bool first_flush;    /* since the start: may be spurious */
	unsigned long nr_done, nr_faults, nr_stops, nr_run;
};

static uint32_t pick(struct model *m, uint32_t n)
{
	return random_below(&m->rnd, n);
}

static void fifo_add(struct fifo *f, uint32_t slot)
{
	f->slot[f->tail++ % SLOTS] = slot;
}

static uint32_t fifo_take(struct fifo *f)
{
	assert_int_not_equal(f->head, f->tail);
	return f->slot[f->head++ % SLOTS];
}

static bool fifo_is_empty(const struct fifo *f)
{
	return f->head == f->tail;
}

/* ---- memory, by the test's own map ---- */

static char *buf_byte(struct model *m, iova_t iova)
{
	uint32_t off = (uint32_t)(iova - lane_iova(&m->l, LANE_BUFFERS));

	return lane_host(&m->l, LANE_BUFFERS + m->piece_at[off / PIECE] * PIECE + off % PIECE);
}

static uint8_t content(uint64_t seed, uint32_t i)
{
	return (uint8_t)((seed >> (i % 8 * 8)) + i / 8 * 3);
}

static void map_buffers(struct model *m)
{
	for (uint32_t i = 0; i < NR_PIECES; i++) {
		iova_t first = lane_iova(&m->l, LANE_BUFFERS + i * PIECE);

		assert_int_equal(iotlb_map(m->w.tlb, first, first + PIECE - 1, m->w.region,
					   m->l.base + LANE_BUFFERS + m->piece_at[i] * PIECE,
					   IOTLB_RW),
				 0);
	}
	iotlb_synchronize(m->w.tlb);
}

static void map_all(struct model *m)
{
	for (uint32_t i = 0; i < NR_PIECES; i++)
		m->piece_at[i] = i;
	for (uint32_t i = NR_PIECES; !m->plain && i-- > 1;) {
		uint32_t k = pick(m, i + 1), t = m->piece_at[i];

		m->piece_at[i] = m->piece_at[k];
		m->piece_at[k] = t;
	}
	world_unmap(&m->w, 0, LANE_LEN);
	world_map(&m->w, 0, LANE_BUFFERS, IOTLB_RW);
	if (m->plain)
		world_map(&m->w, LANE_BUFFERS, BUF_LEN, IOTLB_RW);
	else
		map_buffers(m);
}

/* ---- driver ---- */

static void chain_make(struct model *m, uint32_t slot, unsigned int max)
{
	struct model_chain *c = &m->chains[slot];
	uint32_t at = slot * SLOT_LEN, n = 0;
	unsigned int total = 1 + pick(m, max);

	memset(c, 0, sizeof(*c));
	c->nr_out = pick(m, total + 1);
	c->nr_in = total - c->nr_out;
	c->seed = random_next(&m->rnd);
	for (unsigned int i = 0; i < total; i++) {
		uint32_t len = pick(m, 10) ? 1 + pick(m, SEG_LEN) : 0;
		bool out = i < c->nr_out;

		c->segs[i] = lane_seg(&m->l, at, len);
		for (uint32_t b = 0; b < len; b++)
			*buf_byte(m, c->segs[i].iova + b) =
				(char)(out ? content(c->seed, n + b) : UNTOUCHED);
		n += out ? len : 0;
		*(out ? &c->out_len : &c->in_len) += len;
		at += len + pick(m, 50);
	}
	if (pick(m, 30) == 0) {
		c->segs[pick(m, total)] = (struct ring_driver_seg){0x1000, 1 + pick(m, 100)};
		c->fault = true;
	}
}

static void op_add(struct model *m)
{
	unsigned int max = m->opts.num < SEGS_MAX ? m->opts.num : SEGS_MAX;
	bool indirect = m->opts.indirect && pick(m, m->plain ? 20 : 2) == 0;
	uint32_t slot = pick(m, SLOTS);
	struct model_chain *c = &m->chains[slot];
	unsigned int need;
	int rc;

	if (c->state != FREE || slot * SLOT_LEN + SLOT_LEN > BUF_LEN)
		return;
	if (m->plain && !indirect && pick(m, 20))
		max = 1;
	chain_make(m, slot, indirect ? SEGS_MAX : max);
	need = indirect ? 1 : c->nr_out + c->nr_in;
	rc = ring_driver_add(m->l.drv, c->segs, c->nr_out, c->nr_in, c,
			     indirect ? lane_host(&m->l, LANE_TABLES + slot * 512) : NULL,
			     lane_iova(&m->l, LANE_TABLES + slot * 512));
	if (rc == -ENOSPC) {
		assert_true(need > ring_driver_nr_free(m->l.drv));
		return;
	}
	assert_int_equal(rc, 0);
	c->state = ADDED;
	fifo_add(&m->added, slot);
}

static void op_publish(struct model *m)
{
	bool any = !fifo_is_empty(&m->added);
	bool kick = ring_driver_publish(m->l.drv);

	while (!fifo_is_empty(&m->added)) {
		uint32_t slot = fifo_take(&m->added);

		m->chains[slot].state = PUBLISHED;
		fifo_add(&m->published, slot);
	}
	if (!any)
		assert_false(kick);
	if (any && m->device_waits) {
		assert_true(kick);
		m->device_waits = false;
	}
	if (m->device_off)
		assert_false(kick);
}

static void check_buffers(struct model *m, const struct model_chain *c)
{
	uint32_t n = 0, nr_wrong = 0;

	for (unsigned int i = c->nr_out; i < c->nr_out + c->nr_in && !c->fault; i++) {
		for (uint32_t b = 0; b < c->segs[i].len; b++, n++) {
			uint8_t want = n < c->written ? content(~c->seed, n) : UNTOUCHED;

			nr_wrong += (uint8_t)*buf_byte(m, c->segs[i].iova + b) != want;
		}
	}
	assert_int_equal(nr_wrong, 0);
}

static void op_get(struct model *m)
{
	uint32_t len = 0, slot;
	int err;
	struct model_chain *c = ring_driver_get(m->l.drv, &len, &err);

	assert_int_equal(err, 0);
	if (fifo_is_empty(&m->flushed)) {
		assert_null(c);
		return;
	}
	slot = fifo_take(&m->flushed);
	assert_ptr_equal(c, &m->chains[slot]);
	assert_int_equal(c->state, FLUSHED);
	assert_int_equal(len, c->written);
	check_buffers(m, c);
	c->state = FREE;
	m->nr_done++;
}

static void op_interrupts(struct model *m)
{
	m->driver_waits = false;
	m->driver_off = pick(m, 2);
	if (m->driver_off) {
		ring_driver_cb_disable(m->l.drv);
		return;
	}
	assert_int_equal(ring_driver_cb_enable(m->l.drv), !fifo_is_empty(&m->flushed));
	m->driver_waits = fifo_is_empty(&m->flushed);
}

/* ---- device ---- */

static void check_popped(const struct ring_chain *chain, const struct model_chain *c)
{
	uint32_t nr_wrong = 0;
	static uint8_t got[SEGS_MAX * SEG_LEN + 1];

	assert_int_equal(chain->fault, c->fault);
	if (c->fault)
		return;
	assert_int_equal(chain->out_len, c->out_len);
	assert_int_equal(chain->in_len, c->in_len);
	assert_int_equal(ring_chain_read(chain, 0, got, sizeof(got)), c->out_len);
	for (uint32_t i = 0; i < c->out_len; i++)
		nr_wrong += got[i] != content(c->seed, i);
	assert_int_equal(nr_wrong, 0);
}

static void op_pop(struct model *m)
{
	struct ring_chain chain;
	uint32_t slot;
	int rc = ring_pop(m->l.ring, &chain);

	if (fifo_is_empty(&m->published)) {
		assert_int_equal(rc, 0);
		return;
	}
	assert_int_equal(rc, 1);
	slot = fifo_take(&m->published);
	check_popped(&chain, &m->chains[slot]);
	m->chains[slot].state = POPPED;
	m->held[slot] = chain;
	m->pop_seq[slot] = m->next_seq++;
	m->popped[m->nr_popped++] = slot;
	fifo_add(&m->order, slot);
	m->nr_faults += chain.fault;
}

static bool is_plain(const struct model_chain *c, bool write)
{
	return c->nr_out + c->nr_in == 1 && !c->fault && c->segs[0].len > 0 &&
	       (c->nr_in == 1) == write;
}

static void check_run(struct model *m, const struct ring_plain *run, unsigned int n, bool write)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct model_chain *c;

		assert_int_not_equal(m->published.head + i, m->published.tail);
		c = &m->chains[m->published.slot[(m->published.head + i) % SLOTS]];
		assert_true(is_plain(c, write));
		assert_int_equal(run[i].len, c->segs[0].len);
		for (uint32_t b = 0; b < run[i].len; b++)
			assert_ptr_equal(run[i].base + b, buf_byte(m, c->segs[0].iova + b));
	}
}

/* A run may end before any chain, so only what it has is looked at. Some of it is completed. */
static void op_run(struct model *m)
{
	bool write = pick(m, 2);
	unsigned int max = 1 + pick(m, RING_RUN_MAX + 4), nr_push;
	uint32_t written[RING_RUN_MAX];
	const struct ring_plain *run;
	unsigned int n = ring_pop_run(m->l.ring, max, write, &run);

	assert_true(n <= max && n <= RING_RUN_MAX && (n == 0 || m->opts.no_dirty));
	check_run(m, run, n, write);
	nr_push = pick(m, n + 1);
	for (unsigned int i = 0; i < nr_push; i++) {
		uint32_t slot = fifo_take(&m->published);
		struct model_chain *c = &m->chains[slot];

		written[i] = c->written = write ? pick(m, c->in_len + 1) : 0;
		for (uint32_t b = 0; b < c->written; b++)
			run[i].base[b] = (char)content(~c->seed, b);
		for (uint32_t b = 0; b < c->out_len; b++)
			assert_int_equal((uint8_t)run[i].base[b], content(c->seed, b));
		c->state = PUSHED;
		m->next_seq++;
		m->pushed[m->nr_pushed++] = slot;
		fifo_add(&m->order, slot);
	}
	ring_push_run(m->l.ring, nr_push, write ? written : NULL);
	m->nr_run += nr_push;
}

/* Give back the newest chains, up to the first that was pushed. */
static void op_unpop(struct model *m)
{
	struct ring_chain back[4];
	uint32_t slots[4];
	unsigned int n = 0, max = pick(m, 5);

	while (n < max && m->nr_popped > 0) {
		uint32_t slot = m->popped[m->nr_popped - 1];

		if (m->pop_seq[slot] + 1 != m->next_seq)
			break;
		m->next_seq--;
		m->order.tail--;
		m->nr_popped--;
		slots[n++] = slot;
	}
	for (unsigned int i = 0; i < n; i++) {
		back[n - 1 - i] = m->held[slots[i]];
		m->chains[slots[i]].state = PUBLISHED;
		m->published.slot[--m->published.head % SLOTS] = slots[i];
	}
	ring_unpop(m->l.ring, back, n);
}

/* Push the chain at index @i of the popped ones. */
static void push_one(struct model *m, unsigned int i)
{
	static uint8_t reply[SEGS_MAX * SEG_LEN];
	uint32_t slot = m->popped[i];
	struct model_chain *c = &m->chains[slot];
	struct ring_chain *chain = &m->held[slot];

	c->written = c->fault ? 0 : pick(m, c->in_len + 1);
	for (uint32_t b = 0; b < c->written; b++)
		reply[b] = content(~c->seed, b);
	assert_int_equal(ring_chain_write(chain, 0, reply, c->written), c->written);
	ring_push(m->l.ring, chain, c->written);
	c->state = PUSHED;
	m->pushed[m->nr_pushed++] = slot;
	memmove(&m->popped[i], &m->popped[i + 1], (--m->nr_popped - i) * sizeof(m->popped[0]));
}

static void op_push(struct model *m)
{
	if (m->nr_popped > 0)
		push_one(m, pick(m, m->nr_popped));
}

/* Forget @slot in the order of age, wherever it stands. */
static void order_remove(struct model *m, uint32_t slot)
{
	uint32_t to = m->order.head;

	for (uint32_t i = m->order.head; i != m->order.tail; i++)
		if (m->order.slot[i % SLOTS] != slot)
			m->order.slot[to++ % SLOTS] = m->order.slot[i % SLOTS];
	m->order.tail = to;
}

static void mark_flushed(struct model *m, uint32_t slot)
{
	m->chains[slot].state = FLUSHED;
	fifo_add(&m->flushed, slot);
}

static uint32_t model_flush(struct model *m)
{
	uint32_t n = 0;

	if (m->opts.in_order) {
		while (!fifo_is_empty(&m->order) &&
		       m->chains[m->order.slot[m->order.head % SLOTS]].state == PUSHED) {
			mark_flushed(m, fifo_take(&m->order));
			n++;
		}
		return n;
	}
	for (; n < m->nr_pushed; n++) {
		order_remove(m, m->pushed[n]);
		mark_flushed(m, m->pushed[n]);
	}
	m->nr_pushed = 0;
	return n;
}

static void op_flush(struct model *m)
{
	bool wants = ring_flush(m->l.ring);
	uint32_t n = model_flush(m);

	if (m->opts.in_order)
		m->nr_pushed = 0;
	if (n == 0) {
		assert_false(wants);
		return;
	}
	if (m->driver_waits) {
		assert_true(wants);
		m->driver_waits = false;
	}
	if (m->driver_off && !(m->opts.event_idx && m->first_flush))
		assert_false(wants);
	m->first_flush = false;
}

static void op_kicks(struct model *m)
{
	m->device_waits = false;
	if (pick(m, 2)) {
		m->device_off = true;
		ring_kick_disable(m->l.ring);
		return;
	}
	m->device_off = false;
	assert_int_equal(ring_kick_enable(m->l.ring), !fifo_is_empty(&m->published));
	m->device_waits = fifo_is_empty(&m->published);
}

/* An unmapped area or a remap in between; with everything out of order nothing may be lost. */
static void op_remap(struct model *m)
{
	struct ring_chain chain;

	world_unmap(&m->w, 0, LANE_BUFFERS);
	assert_int_equal(ring_pop(m->l.ring, &chain), -EFAULT);
	assert_false(ring_flush(m->l.ring));
	assert_false(ring_kick_enable(m->l.ring));
	world_map(&m->w, 0, LANE_BUFFERS, IOTLB_RW);
}

/*
 * Stop and start. In order, at any point: what was not published comes again. Else the device first
 * completes what it holds, as a real one has to.
 */
static void op_restart(struct model *m)
{
	struct ring_state at;

	if (!m->opts.in_order) {
		while (m->nr_popped > 0)
			push_one(m, pick(m, m->nr_popped));
		op_flush(m);
	}
	while (!fifo_is_empty(&m->order)) {
		uint32_t slot = m->order.slot[--m->order.tail % SLOTS];

		m->chains[slot].state = PUBLISHED;
		m->published.slot[--m->published.head % SLOTS] = slot;
		/* The answer may have been begun; it is given anew. */
		for (unsigned int i = 0; i < m->chains[slot].nr_in && !m->chains[slot].fault; i++) {
			const struct ring_driver_seg *seg =
				&m->chains[slot].segs[m->chains[slot].nr_out + i];

			for (uint32_t b = 0; b < seg->len; b++)
				*buf_byte(m, seg->iova + b) = (char)UNTOUCHED;
		}
	}
	m->nr_popped = 0;
	m->nr_pushed = 0;
	at = ring_stop(m->l.ring);
	lane_restart(&m->l, at);
	m->first_flush = true;
	m->device_off = false;
	m->device_waits = false;
	m->nr_stops++;
}

static void model_op(struct model *m)
{
	switch (pick(m, 22)) {
	case 0:
		op_unpop(m);
		break;
	case 1:
		op_kicks(m);
		break;
	case 2:
		op_interrupts(m);
		break;
	case 3:
		if (pick(m, 20) == 0)
			op_remap(m);
		break;
	case 4:
		if (pick(m, 10) == 0)
			op_restart(m);
		break;
	case 5:
	case 6:
		op_publish(m);
		break;
	case 7:
	case 8:
		op_flush(m);
		break;
	case 9:
	case 10:
	case 11:
		op_get(m);
		break;
	case 12:
	case 13:
		op_push(m);
		break;
	case 20:
	case 21:
		op_run(m);
		break;
	case 14:
	case 15:
	case 16:
		op_pop(m);
		break;
	default:
		op_add(m);
	}
}

/* Nothing is left behind when both sides finish. */
static void model_drain(struct model *m)
{
	op_publish(m);
	while (!fifo_is_empty(&m->published))
		op_pop(m);
	while (m->nr_popped > 0)
		push_one(m, pick(m, m->nr_popped));
	op_flush(m);
	while (!fifo_is_empty(&m->flushed))
		op_get(m);
	assert_int_equal(ring_driver_nr_free(m->l.drv), m->opts.num);
	for (uint32_t i = 0; i < SLOTS; i++)
		assert_int_equal(m->chains[i].state, FREE);
	assert_null(ring_broken_reason(m->l.ring));
}

static void ring_random_operations_match_the_model(void **state)
{
	static struct model m;
	const struct lane_opts *base = *state;
	uint64_t seed = random_seed();
	unsigned long nr_run = 0;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		memset(&m, 0, sizeof(m));
		m.rnd = seed + round;
		m.opts = *base;
		m.opts.indirect = pick(&m, 2);
		m.opts.no_dirty = round >= 3; /* a run is for rings that are not logged */
		m.plain = round >= 2;
		m.opts.num = (uint16_t)(1u << pick(&m, 7));
		if (m.opts.packed)
			m.opts.num = (uint16_t)(1 + pick(&m, 40));
		m.opts.start = m.opts.packed ? (uint16_t)(pick(&m, m.opts.num) | pick(&m, 2) << 15)
					     : (uint16_t)(0 - pick(&m, 300));
		world_init(&m.w, 1);
		lane_init(&m.l, &m.w, 0, &m.opts);
		m.first_flush = true;
		map_all(&m);
		for (unsigned int i = 0; i < OPS; i++)
			model_op(&m);
		model_drain(&m);
		assert_true(m.nr_done > 20);
		nr_run += m.nr_run;
		lane_fini(&m.l);
		world_fini(&m.w);
	}
	assert_true(nr_run > 0);
}

#define CASE(opts)                                                                                 \
	{                                                                                          \
		"ring_random_operations_match_the_model " #opts,                                   \
			ring_random_operations_match_the_model, NULL, NULL, &(opts)                \
	}

int main(void)
{
	static struct lane_opts split, split_event = {.event_idx = true},
				       split_in_order = {.in_order = true},
				       split_in_order_event = {.in_order = true, .event_idx = true};
	static struct lane_opts packed = {.packed = true},
				packed_event = {.packed = true, .event_idx = true},
				packed_in_order = {.packed = true, .in_order = true},
				packed_in_order_event = {
					.packed = true, .in_order = true, .event_idx = true};
	const struct CMUnitTest tests[] = {
		CASE(split),           CASE(split_event),
		CASE(split_in_order),  CASE(split_in_order_event),
		CASE(packed),          CASE(packed_event),
		CASE(packed_in_order), CASE(packed_in_order_event),
	};

	return cmocka_run_group_tests_name("ring model", tests, NULL, NULL);
}
