// SPDX-License-Identifier: BSD-3-Clause
/*
 * Set-up in any order (D11). All calls by which a client sets a network card up come in random
 * order, with repeats, other values before, enables and disables, suspends, resumes and resets in
 * between; a plain model takes the same calls. Both must refuse the same ones and end with the same
 * rings: running or not, layout, size, addresses, position. Where both queues run, a frame then
 * goes round. The model knows the rules of docs/deviations.md and nothing of the code.
 *
 * HOLDFAST_TEST_SEED repeats a run, HOLDFAST_TEST_ORDERS sets how many orders are tried.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "parents/sim/sim.h"
#include "parents/sim/simnet.h"
#include "ring/driver.h"
#include "ring/engine.h"
#include "vdpa/mgmt.h"
#include "vhost_vdpa/uapi.h"
#include "vhost_vdpa/vhost_vdpa.h"

#define BIT(n)      (1ULL << (n))
#define NR_QUEUES   2 /* under test: receive, transmit */
#define NR_SLOTS    2 /* places for each queue's ring */
#define NUM_MAX     64
#define AREA_LEN    4096UL
#define CALLS_MAX   128
#define FRESH       0x8000u
#define HDR         12
#define FRAME       (HDR + 64)
#define DEADLINE_MS 20000

#define PACKED   BIT(VIRTIO_F_RING_PACKED)
#define ALWAYS   (BIT(VIRTIO_F_ACCESS_PLATFORM) | BIT(VIRTIO_F_VERSION_1))
#define OPTIONAL (PACKED | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_IN_ORDER))

enum op { STATUS, FEATURES, NUM, BASE, ADDR, ENABLE, KICK, CALL, SUSPEND, RESUME };
static const char *const op_names[] = {"STATUS", "FEATURES", "NUM",  "BASE",    "ADDR",
				       "ENABLE", "KICK",     "CALL", "SUSPEND", "RESUME"};

struct call {
	enum op op;
	uint32_t q;
	uint64_t arg;
};

/* ---- the client ---- */

static struct {
	struct memory_space *space;
	struct vdpa_bus *bus;
	struct vdpa_device *dev;
	struct vhost_vdpa *s;
	struct vhost_vdpa_client client;
	char *rings; /* [NR_QUEUES][NR_SLOTS][3] areas */
	uint8_t *frame, *buf;
	int kick[NR_QUEUES], call[NR_QUEUES];
} rig;

static uint64_t rng, seed;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static char *area(uint32_t q, uint64_t slot, unsigned int which)
{
	return rig.rings + ((q * NR_SLOTS + slot) * 3 + which) * AREA_LEN;
}

static int get_fd(const struct vhost_vdpa_client *client, int fd)
{
	(void)client;
	return fd_dup(fd);
}

static int device_ioctl(unsigned int cmd, void *arg)
{
	return vhost_vdpa_ioctl(rig.s, &rig.client, cmd, (uintptr_t)arg);
}

static int device_do(const struct call *c)
{
	struct vhost_vring_state state = {c->q, (uint32_t)c->arg};
	struct vhost_vring_file file = {c->q, c->op == KICK ? rig.kick[c->q] : rig.call[c->q]};
	struct vhost_vring_addr addr = {.index = c->q,
					.desc_user_addr = (uintptr_t)area(c->q, c->arg, 0),
					.avail_user_addr = (uintptr_t)area(c->q, c->arg, 1),
					.used_user_addr = (uintptr_t)area(c->q, c->arg, 2)};
	uint64_t features = c->arg;
	uint8_t status = (uint8_t)c->arg;

	switch (c->op) {
	case STATUS:
		return device_ioctl(VHOST_VDPA_SET_STATUS, &status);
	case FEATURES:
		return device_ioctl(VHOST_SET_FEATURES, &features);
	case NUM:
		return device_ioctl(VHOST_SET_VRING_NUM, &state);
	case BASE:
		return device_ioctl(VHOST_SET_VRING_BASE, &state);
	case ADDR:
		return device_ioctl(VHOST_SET_VRING_ADDR, &addr);
	case ENABLE:
		return device_ioctl(VHOST_VDPA_SET_VRING_ENABLE, &state);
	case KICK:
		return device_ioctl(VHOST_SET_VRING_KICK, &file);
	case CALL:
		return device_ioctl(VHOST_SET_VRING_CALL, &file);
	case SUSPEND:
		return device_ioctl(VHOST_VDPA_SUSPEND, NULL);
	case RESUME:
		return device_ioctl(VHOST_VDPA_RESUME, NULL);
	}
	return -EINVAL;
}

/* ---- the model ---- */

struct model_setup {
	uint32_t num;
	int slot; /* -1: no addresses since the reset */
	uint64_t features;
};

struct model_queue {
	struct model_setup set, use;
	bool ready, started;
	bool placed; /* @avail and @used hold */
	uint16_t avail, used;
	/* D1 */
	bool ran, base_set, has_saved, saved_packed;
	uint32_t saved; /* as GET_VRING_BASE gives it */
};

static struct model {
	uint8_t status;
	uint64_t features; /* in force; none after a reset */
	/* what positions are read by: the last features set, a reset does not change that */
	bool packed;
	bool suspended;
	struct model_queue q[NR_QUEUES];
} m;

static bool model_runs(void)
{
	return (m.status & VIRTIO_CONFIG_S_DRIVER_OK) && !m.suspended;
}

static void model_position(const struct model_queue *q, bool packed, uint16_t *avail,
			   uint16_t *used)
{
	*avail = q->placed ? q->avail : 0;
	*used = q->placed ? q->used : 0;
	if (packed && (!q->placed || (q->avail == FRESH && q->used == 0)))
		*avail = *used = FRESH;
}

static void model_start(struct model_queue *q)
{
	bool packed = q->use.features & PACKED;
	uint16_t avail, used;

	if (!q->ready || !model_runs() || q->started || q->use.slot < 0)
		return;
	model_position(q, packed, &avail, &used);
	if (packed && ((avail & 0x7fffu) >= q->use.num || (used & 0x7fffu) >= q->use.num)) {
		m.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		return;
	}
	q->started = q->placed = true;
	q->avail = avail;
	q->used = packed ? used : avail;
}

static void model_start_by_client(struct model_queue *q)
{
	if (!q->started) {
		q->use = q->set;
		q->use.features = m.features;
	}
	model_start(q);
}

static void model_stop(struct model_queue *q)
{
	if (q->started)
		q->avail = q->used; /* nothing stays in flight */
	q->started = false;
}

static void model_note_running(void)
{
	for (int i = 0; model_runs() && i < NR_QUEUES; i++) {
		m.q[i].has_saved = false;
		m.q[i].ran |= m.q[i].ready;
	}
}

static uint32_t model_state(const struct model_queue *q)
{
	uint16_t avail = q->avail, used = q->used;

	if (!q->started)
		model_position(q, m.features & PACKED, &avail, &used);
	return avail | (m.packed ? (uint32_t)used << 16 : 0);
}

static void model_reset(void)
{
	for (int i = 0; i < NR_QUEUES; i++) {
		struct model_queue *q = &m.q[i];

		model_stop(q);
		if (q->ran || q->base_set) {
			q->saved = model_state(q);
			q->saved_packed = m.packed;
			q->has_saved = true;
		}
		q->ready = q->placed = q->ran = q->base_set = false;
		q->set = q->use = (struct model_setup){.num = q->set.num, .slot = -1};
	}
	m.status = 0;
	m.features = 0;
	m.suspended = false;
}

static int model_status(uint8_t status)
{
	uint8_t old = m.status;

	if (status == 0) {
		model_reset();
		return 0;
	}
	if (old & ~status)
		return -EINVAL;
	m.status = status;
	for (int i = 0; i < NR_QUEUES; i++) {
		if (!(old & VIRTIO_CONFIG_S_DRIVER_OK))
			model_start_by_client(&m.q[i]);
		else
			model_start(&m.q[i]);
	}
	model_note_running();
	return 0;
}

static int model_base(struct model_queue *q, uint32_t base)
{
	if ((!m.packed && base > UINT16_MAX) || model_runs())
		return -EINVAL;
	q->avail = (uint16_t)base;
	q->used = m.packed ? (uint16_t)(base >> 16) : 0;
	q->placed = q->base_set = true;
	q->has_saved = false;
	return 0;
}

static int model_enable(struct model_queue *q, bool on)
{
	if (!on) {
		q->ready = false;
		model_stop(q);
	} else if (!q->ready) {
		q->ready = true;
		model_start_by_client(q);
	}
	model_note_running();
	return 0;
}

static int model_suspend(bool on)
{
	if (!(m.status & VIRTIO_CONFIG_S_DRIVER_OK))
		return 0;
	m.suspended = on;
	for (int i = 0; i < NR_QUEUES; i++) {
		if (on)
			model_stop(&m.q[i]);
		else
			model_start(&m.q[i]);
	}
	model_note_running();
	return 0;
}

static int model_do(const struct call *c)
{
	struct model_queue *q = &m.q[c->q];

	switch (c->op) {
	case STATUS:
		return model_status((uint8_t)c->arg);
	case FEATURES:
		if (m.status & VIRTIO_CONFIG_S_FEATURES_OK)
			return -EBUSY;
		m.features = c->arg;
		m.packed = c->arg & PACKED;
		return 0;
	case NUM:
		q->set.num = (uint32_t)c->arg;
		if (!q->started)
			q->use.num = q->set.num;
		return 0;
	case BASE:
		return model_base(q, (uint32_t)c->arg);
	case ADDR:
		if (model_runs())
			return -EINVAL;
		q->set.slot = q->use.slot = (int)c->arg;
		return 0;
	case ENABLE:
		return model_enable(q, c->arg);
	case SUSPEND:
	case RESUME:
		return model_suspend(c->op == SUSPEND);
	case KICK:
	case CALL:
		return 0;
	}
	return -EINVAL;
}

static uint32_t model_get_base(const struct model_queue *q)
{
	if (q->has_saved &&
	    (q->saved_packed == m.packed || !(m.status & VIRTIO_CONFIG_S_FEATURES_OK)))
		return q->saved;
	return model_state(q);
}

/* ---- comparing ---- */

static struct call history[CALLS_MAX];
static unsigned int nr_history;

static void differs(const char *what, uint32_t q, uint64_t device, uint64_t model)
{
	for (unsigned int i = 0; i < nr_history; i++)
		print_message("  %s q=%u 0x%llx\n", op_names[history[i].op], history[i].q,
			      (unsigned long long)history[i].arg);
	fail_msg("%s of queue %u: device 0x%llx, model 0x%llx; seed 0x%llx", what, q,
		 (unsigned long long)device, (unsigned long long)model, (unsigned long long)seed);
}

static void expect(const char *what, uint32_t q, uint64_t device, uint64_t model)
{
	if (device != model)
		differs(what, q, device, model);
}

static void run_call(const struct call *c)
{
	int got;

	history[nr_history++] = *c;
	got = device_do(c);
	expect("result", c->q, (uint64_t)got, (uint64_t)model_do(c));
}

static void compare_rings(void)
{
	expect("status", 0, vdpasim_of(rig.dev)->status, m.status);
	for (uint32_t i = 0; i < NR_QUEUES; i++) {
		const struct ring *ring = vdpasim_of(rig.dev)->vqs[i].ring;
		const struct model_queue *q = &m.q[i];
		struct ring_state at = ring_get_state(ring);

		expect("running", i, ring_is_started(ring), q->started);
		if (!q->started)
			continue;
		expect("size", i, ring->num, q->use.num);
		expect("packed", i, ring->packed, (q->use.features & PACKED) != 0);
		expect("event index", i, ring->event_idx,
		       (q->use.features & BIT(VIRTIO_RING_F_EVENT_IDX)) != 0);
		expect("in order", i, ring->in_order,
		       (q->use.features & BIT(VIRTIO_F_IN_ORDER)) != 0);
		expect("descriptors", i, ring->config.desc_addr,
		       (uintptr_t)area(i, (uint64_t)q->use.slot, 0));
		expect("driver area", i, ring->config.driver_addr,
		       (uintptr_t)area(i, (uint64_t)q->use.slot, 1));
		expect("device area", i, ring->config.device_addr,
		       (uintptr_t)area(i, (uint64_t)q->use.slot, 2));
		expect("available position", i, at.last_avail, q->avail);
		expect("used position", i, at.last_used, q->used);
	}
}

/* ---- traffic ---- */

static struct ring_driver *driver_of(uint32_t i)
{
	const struct model_queue *q = &m.q[i];
	struct ring_driver_config config = {
		.num = (uint16_t)q->use.num,
		.packed = q->use.features & PACKED,
		.event_idx = q->use.features & BIT(VIRTIO_RING_F_EVENT_IDX),
		.in_order = q->use.features & BIT(VIRTIO_F_IN_ORDER),
		.desc = area(i, (uint64_t)q->use.slot, 0),
		.driver = area(i, (uint64_t)q->use.slot, 1),
		.device = area(i, (uint64_t)q->use.slot, 2),
		.start_avail = q->avail,
	};
	struct ring_driver *drv;

	assert_int_equal(ring_driver_create(&config, &drv), 0);
	return drv;
}

static void post(struct ring_driver *drv, void *p, uint32_t len, bool in)
{
	struct ring_driver_seg seg = {(uintptr_t)p, len};

	assert_int_equal(ring_driver_add(drv, &seg, in ? 0 : 1, in ? 1 : 0, p, NULL, 0), 0);
	(void)ring_driver_publish(drv);
}

/* The completion on the ring, waited for without a callback: which calls were set is not what is
 * tested. */
static void await(struct ring_driver *drv, const void *p, const char *what)
{
	int64_t end = clock_now_ns() + DEADLINE_MS * NS_PER_MS;
	void *got;
	uint32_t len;
	int err = 0;

	while (!(got = ring_driver_get(drv, &len, &err)) && !err && clock_now_ns() < end)
		(void)sched_yield();
	if (got != p)
		differs(what, 0, (uintptr_t)got, (uintptr_t)p);
}

/* No batch is under way or due, so what is left to the next start is nothing. */
static void NO_TSA await_rest(void)
{
	struct vdpasim *sim = vdpasim_of(rig.dev);
	const struct vdpasim_vq *tx = &sim->vqs[1];
	bool busy;

	do {
		(void)sched_yield();
		mutex_lock(&rig.dev->lock);
		vdpasim_lock(tx->sw);
		busy = tx->pending || tx->suppressed;
		vdpasim_unlock(tx->sw);
		mutex_unlock(&rig.dev->lock);
	} while (busy);
}

/* TSan does not see that a kick through an eventfd comes after what was done to the rings before:
 * the worker's lock says so. */
static void NO_TSA meet_worker(void)
{
	const struct vdpasim_vq *tx = &vdpasim_of(rig.dev)->vqs[1];

	mutex_lock(&rig.dev->lock);
	vdpasim_lock(tx->sw);
	vdpasim_unlock(tx->sw);
	mutex_unlock(&rig.dev->lock);
}

static void send_round(void)
{
	struct ring_driver *rx = driver_of(0), *tx = driver_of(1);
	eventfd_t count;

	meet_worker();
	memset(rig.buf, 0, FRAME);
	post(rx, rig.buf, FRAME, true);
	post(tx, rig.frame, FRAME, false);
	for (int i = 0; i < NR_QUEUES; i++)
		assert_int_equal(eventfd_write(rig.kick[i], 1), 0);
	await(tx, rig.frame, "transmitted frame");
	await(rx, rig.buf, "received frame");
	assert_memory_equal(rig.buf + HDR, rig.frame + HDR, FRAME - HDR);
	await_rest();
	for (int i = 0; i < NR_QUEUES; i++) {
		struct model_queue *q = &m.q[i];
		bool packed = q->use.features & PACKED;

		assert_int_equal(eventfd_read(rig.kick[i], &count),
				 0); /* or the next SET_VRING_KICK is one */
		q->avail++;
		if (packed && (q->avail & 0x7fffu) == q->use.num)
			q->avail = (q->avail & FRESH) ^ FRESH;
		q->used = q->avail;
	}
	ring_driver_destroy(rx);
	ring_driver_destroy(tx);
}

static bool can_send(const struct model_queue *q)
{
	return q->started && q->avail == q->used;
}

/* ---- orders ---- */

static uint32_t some_base(bool packed)
{
	static const uint32_t split_bases[] = {0, 0, 1, 7, 0x8000, 65535};
	uint32_t at = (uint32_t)rnd(8), wrap = rnd(2) ? FRESH : 0;

	if (!packed)
		return split_bases[rnd(6)];
	return rnd(4) ? (at | wrap) | (at | wrap) << 16 : FRESH;
}

static void add(struct call *calls, unsigned int *n, enum op op, uint32_t q, uint64_t arg)
{
	calls[(*n)++] = (struct call){op, q, arg};
}

/* All that a start needs, and, with the ones that change something, @noise calls that nobody
 * needs. */
static unsigned int make_calls(struct call *calls, bool noise)
{
	uint64_t features = ALWAYS | (rnd(2) ? PACKED : 0) |
			    (rnd(2) ? BIT(VIRTIO_RING_F_EVENT_IDX) : 0) |
			    (rnd(2) ? BIT(VIRTIO_F_IN_ORDER) : 0);
	static const uint8_t statuses[] = {0x1, 0x3, 0x8, 0xb, 0xc, 0xf, 0x4};
	bool packed = features & PACKED;
	unsigned int n = 0;

	add(calls, &n, FEATURES, 0, features);
	add(calls, &n, STATUS, 0, 0xf);
	for (uint32_t q = 0; q < NR_QUEUES; q++) {
		add(calls, &n, NUM, q, 8u << rnd(4));
		if (rnd(4))
			add(calls, &n, BASE, q, some_base(packed));
		add(calls, &n, ADDR, q, rnd(NR_SLOTS));
		add(calls, &n, ENABLE, q, 1);
		add(calls, &n, KICK, q, 0);
		add(calls, &n, CALL, q, 0);
	}
	for (unsigned int i = noise ? (unsigned int)rnd(12) : 0; i > 0; i--) {
		uint32_t q = (uint32_t)rnd(NR_QUEUES);
		enum op op = rnd(RESUME + 1);

		switch (op) {
		case STATUS:
			add(calls, &n, op, 0, statuses[rnd(sizeof(statuses))]);
			break;
		case FEATURES:
			add(calls, &n, op, 0, ALWAYS | (rnd(2) ? OPTIONAL : PACKED));
			break;
		case NUM:
			add(calls, &n, op, q, 8u << rnd(4));
			break;
		case BASE:
			add(calls, &n, op, q, some_base(rnd(2)));
			break;
		default:
			add(calls, &n, op, q, rnd(2));
		}
	}
	return n;
}

static void shuffle(struct call *calls, unsigned int n)
{
	for (unsigned int i = n; i > 1; i--) {
		unsigned int j = (unsigned int)rnd(i);
		struct call c = calls[i - 1];

		calls[i - 1] = calls[j];
		calls[j] = c;
	}
}

/* Calls that come in order here and there, as they would of a client that means something. */
static void finish(void)
{
	const struct call ok = {STATUS, 0, 0xf};

	if (rnd(2))
		run_call(&ok);
	for (uint32_t q = 0; q < NR_QUEUES && rnd(2); q++) {
		const struct call off = {ENABLE, q, 0}, on = {ENABLE, q, 1};

		run_call(&off);
		run_call(&on);
	}
}

/* Return: did a frame go round? */
static bool run_order(void)
{
	const struct call reset = {STATUS, 0, 0};
	struct call calls[CALLS_MAX];
	unsigned int n;
	bool sent = false;

	nr_history = 0;
	run_call(&reset);
	for (int part = rnd(4) ? 1 : 2; part > 0; part--) {
		n = make_calls(calls, rnd(2));
		shuffle(calls, n);
		for (unsigned int i = 0; i < n; i++)
			run_call(&calls[i]);
		if (part > 1)
			run_call(&reset);
	}
	finish();
	compare_rings();
	if (can_send(&m.q[0]) && can_send(&m.q[1]) && m.features) {
		send_round();
		compare_rings();
		sent = true;
	}
	for (uint32_t i = 0; i < NR_QUEUES; i++) {
		struct vhost_vring_state state = {i, 0};

		assert_int_equal(device_ioctl(VHOST_GET_VRING_BASE, &state), 0);
		expect("base", i, state.num, model_get_base(&m.q[i]));
	}
	return sent;
}

static void every_order_of_setup_ends_as_the_model_says(void **state)
{
	const char *env = getenv("HOLDFAST_TEST_ORDERS");
	unsigned long orders = env ? strtoul(env, NULL, 0) : 5000, sent = 0;

	(void)state;
	for (unsigned long i = 0; i < orders; i++)
		sent += run_order();
	print_message("%lu orders, a frame went round in %lu; seed 0x%llx\n", orders, sent,
		      (unsigned long long)seed);
	assert_true(sent * 5 > orders); /* enough of them end in a device that works */
}

/* QEMU 11.1 without a control queue, call by call. */
static void enable_before_all_else_runs_with_what_comes_later(void **state)
{
	static const struct call calls[] = {
		{STATUS, 0, 0}, {CALL, 0, 0},          {CALL, 1, 0},   {ENABLE, 0, 1},
		{ENABLE, 1, 1}, {FEATURES, 0, ALWAYS}, {STATUS, 0, 8}, {NUM, 0, 64},
		{BASE, 0, 0},   {ADDR, 0, 1},          {KICK, 0, 0},   {NUM, 1, 64},
		{BASE, 1, 0},   {ADDR, 1, 1},          {KICK, 1, 0},   {STATUS, 0, 0xc},
	};

	(void)state;
	nr_history = 0;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		run_call(&calls[i]);
	compare_rings();
	assert_true(m.q[0].started && m.q[1].started && m.q[1].use.num == 64);
	send_round();
}

/* Firmware that enables two queues and has set up one: the other is inert, whatever kicks it and
 * whatever ran before. */
static void queue_that_is_not_set_up_since_the_reset_is_inert(void **state)
{
	static const struct call calls[] = {
		{STATUS, 0, 0}, {FEATURES, 0, ALWAYS}, {NUM, 0, 16},     {ADDR, 0, 0},
		{NUM, 1, 16},   {ADDR, 1, 0},          {ENABLE, 0, 1},   {ENABLE, 1, 1},
		{KICK, 0, 0},   {KICK, 1, 0},          {STATUS, 0, 0xf},
	};
	static const struct call again[] = {
		{STATUS, 0, 0}, {FEATURES, 0, ALWAYS}, {NUM, 0, 16},     {ADDR, 0, 0},
		{ENABLE, 0, 1}, {ENABLE, 1, 1},        {STATUS, 0, 0xf},
	};

	(void)state;
	nr_history = 0;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		run_call(&calls[i]);
	send_round();
	for (size_t i = 0; i < ARRAY_LEN(again); i++)
		run_call(&again[i]);
	compare_rings();
	assert_false(m.q[1].started);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(eventfd_write(rig.kick[1], 1), 0);
		await_rest();
	}
	compare_rings(); /* the status is still 0xf */
	assert_int_equal(eventfd_read(rig.kick[1], &(eventfd_t){0}), 0);
}

/* ---- life ---- */

static void *pages(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static int open_device(void **state)
{
	struct vdpa_dev_config config = {
		.name = "net0",
		.mgmtdev = "vdpasim_net",
		.max_vqp = 1,
		.mapping = VDPA_MAPPING_SET_MAP,
		.reset_map = true,
		.max_iotlb_entries = 1000,
		.workers = 1,
		.vq_size = NUM_MAX,
		.offer = OPTIONAL,
	};

	(void)state;
	rig.rings = pages((size_t)NR_QUEUES * NR_SLOTS * 3 * AREA_LEN);
	rig.frame = pages(AREA_LEN);
	rig.buf = pages(AREA_LEN);
	memset(rig.frame + HDR, 0xff, 6); /* to everybody */
	for (int i = 0; i < NR_QUEUES; i++) {
		rig.kick[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		rig.call[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		m.q[i].set = m.q[i].use = (struct model_setup){.num = NUM_MAX, .slot = -1};
	}
	assert_int_equal(memory_space_create_own(&rig.space), 0);
	assert_int_equal(vdpa_bus_create(rig.space, &rig.bus), 0);
	assert_int_equal(vdpa_driver_register(rig.bus, &vhost_vdpa_driver), 0);
	assert_int_equal(simnet_mgmt_dev.dev_add(&simnet_mgmt_dev, rig.bus, &config), 0);
	rig.dev = vdpa_bus_find(rig.bus, config.name);
	rig.client = (struct vhost_vdpa_client){.mm_id = 1, .space = rig.space, .get_fd = get_fd};
	assert_int_equal(vhost_vdpa_open(rig.dev, &rig.s), 0);
	assert_int_equal(device_ioctl(VHOST_SET_OWNER, NULL), 0);
	return 0;
}

static int close_device(void **state)
{
	(void)state;
	vhost_vdpa_release(rig.s);
	vdpa_device_unregister(rig.dev);
	vdpa_device_put(rig.dev);
	vdpa_bus_destroy(rig.bus);
	memory_space_put(rig.space);
	return 0;
}

int main(void)
{
	const char *env = getenv("HOLDFAST_TEST_SEED");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enable_before_all_else_runs_with_what_comes_later),
		cmocka_unit_test(queue_that_is_not_set_up_since_the_reset_is_inert),
		cmocka_unit_test(every_order_of_setup_ends_as_the_model_says),
	};

	seed = env ? strtoull(env, NULL, 0) : (uint64_t)clock_now_ns();
	rng = seed | 1;
	return cmocka_run_group_tests(tests, open_device, close_device);
}
