// SPDX-License-Identifier: BSD-3-Clause
/*
 * How long a card looks at an empty transmit ring before it asks for kicks: a batch that was full
 * begins the looks anew, and their number follows how soon frames came after the last ones. Within
 * a batch, the loopback looks for more frames close upon each other, but not without an end.
 */
#include <sched.h>
#include <string.h>

#include "../between.h"
#include "base/clock.h"
#include "parents/sim/net.h"
#include "support.h"

#define LEAST 64
#define MOST  512
#define CLOSE 64 /* looks within a batch */

#define NR_FRAMES 128
#define ROUNDS    8 /* of a batch */

static unsigned int nr_idle; /* times that kicks were asked for */

bool __real_vdpasim_vq_idle(struct vdpasim_vq *vq, int err);
bool __wrap_vdpasim_vq_idle(struct vdpasim_vq *vq, int err);
bool __wrap_vdpasim_vq_idle(struct vdpasim_vq *vq, int err)
{
	if (vq->ring)
		return __real_vdpasim_vq_idle(vq, err);
	assert_int_equal(err, 0);
	nr_idle++;
	return false;
}

static unsigned int nr_peeks, found_at;        /* of a card without a ring */
static bool *asked;                            /* is set at the third look */
static void (*before_peek)(struct ring *ring); /* atomic */
static unsigned int most;                      /* frames of a batch, atomic */

bool __real_ring_peek(struct ring *ring);
bool __wrap_ring_peek(struct ring *ring);
bool __wrap_ring_peek(struct ring *ring)
{
	if (ring) {
		void (*before)(struct ring *) = __atomic_load_n(&before_peek, __ATOMIC_ACQUIRE);

		if (before)
			before(ring);
		return __real_ring_peek(ring);
	}
	nr_peeks++;
	if (asked && nr_peeks == 3)
		*asked = true;
	return nr_peeks == found_at;
}

bool __real_simnet_tx_again(struct simnet_pair *pair, unsigned int n, int err);
bool __wrap_simnet_tx_again(struct simnet_pair *pair, unsigned int n, int err);
bool __wrap_simnet_tx_again(struct simnet_pair *pair, unsigned int n, int err)
{
	if (n > __atomic_load_n(&most, __ATOMIC_RELAXED))
		__atomic_store_n(&most, n, __ATOMIC_RELAXED);
	return __real_simnet_tx_again(pair, n, err);
}

struct card {
	struct vdpasim sim;
	struct vdpasim_vq vq, other;
	struct vdpasim_vq *vqs[2];
	struct vdpasim_worker worker;
	struct simnet net;
	struct simnet_pair pair;
};

static void card_init(struct card *card)
{
	memset(card, 0, sizeof(*card));
	card->vq.sim = card->net.sim = &card->sim;
	card->pair.net = &card->net;
	card->pair.tx = &card->vq;
	card->vqs[0] = &card->vq;
	card->vqs[1] = &card->other;
	card->worker = (struct vdpasim_worker){.sim = &card->sim, .vqs = card->vqs, .nr_vqs = 2};
	card->vq.sw = &card->worker;
	nr_idle = nr_peeks = found_at = 0;
	asked = NULL;
}

/* Return: empty looks until kicks are asked for */
static unsigned int looks(struct card *card)
{
	unsigned int n = 0, before = nr_idle;

	while (simnet_tx_again(&card->pair, 0, 0))
		n++;
	assert_int_equal(nr_idle, before + 1);
	return n;
}

/* Frames come @ns after looking on was in vain. */
static void frames_come(struct card *card, int64_t ns)
{
	if (card->vq.gave_up_at)
		card->vq.gave_up_at = clock_now_ns() - ns;
	assert_true(simnet_tx_again(&card->pair, 1, 0));
}

static void looks_full_batch_begins_them_anew(void **state)
{
	struct card card;

	(void)state;
	card_init(&card);
	assert_true(simnet_tx_again(&card.pair, 1, 0));
	assert_int_equal(looks(&card), LEAST);
	for (int i = 0; i < 3; i++) {
		card.vq.gave_up_at = 0;
		assert_true(simnet_tx_again(&card.pair, SIMNET_BATCH, 1));
		assert_int_equal(looks(&card), LEAST);
	}
}

static void looks_frames_soon_after_make_them_many(void **state)
{
	struct card card;

	(void)state;
	card_init(&card);
	assert_int_equal(looks(&card), LEAST);
	frames_come(&card, -NS_PER_SEC);
	assert_int_equal(looks(&card), MOST);
	assert_int_equal(looks(&card), 0); /* an idle card is not looked at again */
}

static void looks_frames_late_halve_them(void **state)
{
	struct card card;

	(void)state;
	card_init(&card);
	(void)looks(&card);
	frames_come(&card, -NS_PER_SEC);
	for (unsigned int more = MOST - LEAST; more > 0; more /= 2) {
		assert_int_equal(looks(&card), LEAST + more);
		frames_come(&card, NS_PER_SEC);
	}
	assert_int_equal(looks(&card), LEAST);
}

/* The kernel's simulator looks at a ring when it is kicked, at no other time. */
static void looks_strict_none(void **state)
{
	struct card card;

	(void)state;
	card_init(&card);
	card.sim.strict = true;
	assert_true(simnet_tx_again(&card.pair, SIMNET_BATCH, 1));
	assert_int_equal(looks(&card), 0);
}

static void await_finds_what_comes_meanwhile(void **state)
{
	struct card card;

	(void)state;
	for (unsigned int at = 1; at <= CLOSE + 1; at++) {
		card_init(&card);
		found_at = at;
		assert_true(vdpasim_vq_await(&card.vq));
		assert_int_equal(nr_peeks, at);
		assert_int_equal(card.vq.nr_looks, 0);
	}
}

/* What close looks take counts, so a card that looks closely asks for kicks no later. */
static void await_gives_up(void **state)
{
	struct card card;
	unsigned int n = 0;

	(void)state;
	card_init(&card);
	do
		assert_false(vdpasim_vq_await(&card.vq));
	while (n++, simnet_tx_again(&card.pair, 0, 0));
	assert_int_equal(nr_peeks, n * (CLOSE + 1));
	assert_between(n, 2, LEAST / 16);
}

static void await_ends_when_the_lock_is_asked_for(void **state)
{
	struct card card;

	(void)state;
	card_init(&card);
	asked = &card.sim.dev.resetting;
	assert_false(vdpasim_vq_await(&card.vq));
	assert_int_equal(nr_peeks, 3);
}

static void await_looks_once_beside_another_queue(void **state)
{
	struct card card;

	(void)state;
	card_init(&card);
	card.other.pending = true;
	assert_false(vdpasim_vq_await(&card.vq));
	assert_int_equal(nr_peeks, 1);
}

/* ---- a driver that is always in time with its next frame ---- */

static struct rig rig;
static uint8_t frame[HDR + 60], bufs[NR_FRAMES][HDR + 60];
static unsigned int nr_sent;
static int send_err; /* atomic; the worker cannot fail the test */

/* The worker's own: nobody else touches the driver meanwhile. */
static void send_one(struct ring *ring)
{
	struct ring_driver_seg seg = {rig_iova(&rig, frame), sizeof(frame)};

	if (ring != vdpasim_of(rig.dev)->vqs[1].ring || nr_sent == NR_FRAMES)
		return;
	if (ring_driver_add(rig.vq[1].drv, &seg, 1, 0, frame, NULL, 0) != 0)
		__atomic_store_n(&send_err, 1, __ATOMIC_RELAXED);
	(void)ring_driver_publish(rig.vq[1].drv);
	nr_sent++;
}

static void batch_ends_though_frames_come(void **state)
{
	struct vdpa_dev_config config = rig_config();

	(void)state;
	rig_make(&rig, &config);
	rig_start(&rig, BASE_FEATURES, 2, NR_FRAMES);
	for (unsigned int i = 0; i < NR_FRAMES; i++)
		rig_add(&rig, 0, bufs[i], sizeof(bufs[i]), true);
	rig_publish(&rig, 0);
	frame_make(frame, sizeof(frame), 1);
	__atomic_store_n(&most, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&before_peek, send_one, __ATOMIC_RELEASE);
	rig_do(&rig, kick_vq, 1);
	while (rig_counter(&rig, 1, "tx packets") != NR_FRAMES &&
	       !__atomic_load_n(&send_err, __ATOMIC_RELAXED))
		(void)sched_yield();
	rig_quiet(&rig);
	__atomic_store_n(&before_peek, NULL, __ATOMIC_RELEASE);
	assert_int_equal(__atomic_load_n(&send_err, __ATOMIC_RELAXED), 0);
	assert_int_equal(__atomic_load_n(&most, __ATOMIC_RELAXED), ROUNDS);
	rig_destroy(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks_full_batch_begins_them_anew),
		cmocka_unit_test(looks_frames_soon_after_make_them_many),
		cmocka_unit_test(looks_frames_late_halve_them),
		cmocka_unit_test(looks_strict_none),
		cmocka_unit_test(await_finds_what_comes_meanwhile),
		cmocka_unit_test(await_gives_up),
		cmocka_unit_test(await_ends_when_the_lock_is_asked_for),
		cmocka_unit_test(await_looks_once_beside_another_queue),
		cmocka_unit_test(batch_ends_though_frames_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
