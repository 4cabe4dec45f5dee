// SPDX-License-Identifier: BSD-3-Clause
/*
 * How long a card looks at an empty transmit ring before it asks for kicks: a batch that was full
 * begins the looks anew, and their number follows how soon frames came after the last ones.
 */
#include <string.h>

#include "base/clock.h"
#include "parents/sim/net.h"
#include "support.h"

#define LEAST 64
#define MOST  512

static unsigned int nr_idle; /* times that kicks were asked for */

bool __wrap_vdpasim_vq_idle(struct vdpasim_vq *vq, int err);
bool __wrap_vdpasim_vq_idle(struct vdpasim_vq *vq, int err)
{
	(void)vq;
	assert_int_equal(err, 0);
	nr_idle++;
	return false;
}

struct card {
	struct vdpasim sim;
	struct vdpasim_vq vq;
	struct simnet net;
	struct simnet_pair pair;
};

static void card_init(struct card *card)
{
	memset(card, 0, sizeof(*card));
	card->vq.sim = card->net.sim = &card->sim;
	card->pair.net = &card->net;
	card->pair.tx = &card->vq;
	nr_idle = 0;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks_full_batch_begins_them_anew),
		cmocka_unit_test(looks_frames_soon_after_make_them_many),
		cmocka_unit_test(looks_frames_late_halve_them),
		cmocka_unit_test(looks_strict_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
