// SPDX-License-Identifier: BSD-3-Clause
/*
 * Who tells whom, and when: flags, event index, packed event suppression, both directions. The
 * arithmetic is compared with a walk over the positions in between.
 */
#include "support.h"

#include <string.h>

#define NUM 8u

struct fixture {
	struct world w;
	struct lane l;
};

static void setup(struct fixture *f, struct lane_opts opts)
{
	world_init(&f->w, 1);
	lane_init(&f->l, &f->w, 0, &opts);
}

static void teardown(struct fixture *f)
{
	lane_fini(&f->l);
	world_fini(&f->w);
}

static struct lane_opts opts_of(bool packed, bool event_idx, uint16_t start)
{
	return (struct lane_opts){
		.num = NUM, .packed = packed, .event_idx = event_idx, .start = start};
}

/* virtio 1.2, 2.7.7.2: notify if an index from old to new - 1 is the event. */
static void ring_need_event_any_indices_equals_walk(void **state)
{
	static const uint16_t olds[] = {0, 1, 7, 0x7fff, 0x8000, 0xfff0, 0xfffe, 0xffff};

	for (size_t o = 0; o < ARRAY_LEN(olds); o++) {
		for (uint32_t n = 0; n < 20; n++) {
			for (int d = -25; d < 25; d++) {
				uint16_t old = olds[o], event = (uint16_t)(old + d);
				bool passed = false;

				for (uint32_t i = 0; i < n; i++)
					passed |= (uint16_t)(old + i) == event;
				assert_int_equal(need_event(event, (uint16_t)(old + n), old),
						 passed);
			}
		}
	}
}

static bool packed_walk_passes(uint16_t event, uint16_t pos, bool wrap, uint32_t delta,
			       uint16_t num)
{
	for (uint32_t i = 0; i < delta; i++) {
		if (packed_state(pos, wrap) == event)
			return true;
		packed_advance(&pos, &wrap, 1, num);
	}
	return false;
}

static void ring_packed_need_event_any_positions_equals_walk(void **state)
{
	for (uint16_t num = 1; num <= 7; num++) {
		for (uint32_t p = 0; p < 2u * num; p++) {
			for (uint32_t e = 0; e < 2u * num; e++) {
				uint16_t pos = (uint16_t)(p % num);
				uint16_t event = packed_state((uint16_t)(e % num), e >= num);

				for (uint32_t delta = 0; delta <= num; delta++)
					assert_int_equal(
						packed_need_event(event, pos, p >= num, delta, num),
						packed_walk_passes(event, pos, p >= num, delta,
								   num));
			}
		}
		assert_true(packed_need_event(num, 0, true, 1, num));
		assert_true(packed_need_event(0xffff, 0, true, 1, num));
	}
}

static void ring_packed_retreat_undoes_advance(void **state)
{
	for (uint16_t num = 1; num <= 7; num++) {
		for (uint32_t p = 0; p < 2u * num; p++) {
			for (uint32_t n = 0; n <= num; n++) {
				uint16_t pos = (uint16_t)(p % num);
				bool wrap = p >= num;

				packed_advance(&pos, &wrap, n, num);
				assert_true(pos < num);
				packed_retreat(&pos, &wrap, n, num);
				assert_int_equal(pos, p % num);
				assert_int_equal(wrap, p >= num);
			}
		}
	}
}

/* Serve @n one-buffer chains and publish them together. Return: does the driver want to know? */
static bool serve_batch(struct fixture *f, uint32_t n)
{
	struct ring_chain chain;
	uint32_t len;
	bool wants;

	for (uint32_t i = 0; i < n; i++) {
		struct ring_driver_seg seg = lane_seg(&f->l, 0, 8);

		assert_int_equal(ring_driver_add(f->l.drv, &seg, 1, 0, f, NULL, 0), 0);
	}
	ring_driver_publish(f->l.drv);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(ring_pop(f->l.ring, &chain), 1);
		ring_push(f->l.ring, &chain, 0);
	}
	wants = ring_flush(f->l.ring);
	for (uint32_t i = 0; i < n; i++)
		assert_ptr_equal(ring_driver_get(f->l.drv, &len, NULL), f);
	return wants;
}

static void set_used_event(struct fixture *f, uint16_t event)
{
	struct split_avail *avail = (void *)lane_host(&f->l, LANE_DRIVER);

	le16_store(split_used_event(avail, NUM), event);
}

static void set_driver_event(struct fixture *f, uint16_t off_wrap, uint16_t flags)
{
	struct packed_event *event = (void *)lane_host(&f->l, LANE_DRIVER);

	le32_store(&event->word, (uint32_t)flags << 16 | off_wrap);
}

static void ring_flush_split_event_at_corners_notifies(void **state)
{
	static const uint16_t starts[] = {0, 5, 0x7ffe, 0xfffc, 0xfffd, 0xfffe, 0xffff};

	for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
		struct fixture f;
		uint16_t old = starts[s];

		setup(&f, opts_of(false, true, old));
		set_used_event(&f, (uint16_t)(old + 100));
		assert_true(serve_batch(&f, 1)); /* the first after a start always */
		old++;
		for (int d = -2; d <= 4; d++) {
			set_used_event(&f, (uint16_t)(old + d));
			assert_int_equal(serve_batch(&f, 3), d >= 0 && d < 3);
			old = (uint16_t)(old + 3);
		}
		teardown(&f);
	}
}

static void ring_flush_packed_event_at_corners_notifies(void **state)
{
	for (uint32_t start = 0; start < 2 * NUM; start++) {
		struct fixture f;
		uint16_t pos = (uint16_t)(start % NUM);
		bool wrap = start < NUM;

		setup(&f, opts_of(true, true, packed_state(pos, wrap)));
		set_driver_event(&f, packed_state(pos, !wrap), EVENT_F_DESC);
		assert_true(serve_batch(&f, 1)); /* the first after a start always */
		packed_advance(&pos, &wrap, 1, NUM);
		for (uint32_t d = 0; d < 2 * NUM; d++) {
			uint16_t at = pos;
			bool at_wrap = wrap;

			for (uint32_t i = 0; i < d; i++)
				packed_advance(&at, &at_wrap, 1, NUM);
			set_driver_event(&f, packed_state(at, at_wrap), EVENT_F_DESC);
			assert_int_equal(serve_batch(&f, 3), d < 3);
			packed_advance(&pos, &wrap, 3, NUM);
		}
		teardown(&f);
	}
}

static void ring_flush_packed_odd_event_settings_notify(void **state)
{
	struct fixture f;

	setup(&f, opts_of(true, true, 0x8000));
	serve_batch(&f, 1);
	set_driver_event(&f, NUM, EVENT_F_DESC); /* no such slot */
	assert_true(serve_batch(&f, 1));
	set_driver_event(&f, 0, 3); /* reserved */
	assert_true(serve_batch(&f, 1));
	set_driver_event(&f, 0, EVENT_F_ENABLE);
	assert_true(serve_batch(&f, 1));
	set_driver_event(&f, 0, EVENT_F_DISABLE);
	assert_false(serve_batch(&f, 1));
	teardown(&f);
	setup(&f, opts_of(true, false, 0x8000));
	serve_batch(&f, 1);
	set_driver_event(&f, packed_state(6, false), EVENT_F_DESC); /* not negotiated */
	assert_true(serve_batch(&f, 1));
	teardown(&f);
}

static void ring_flush_nothing_pushed_does_not_notify(void **state)
{
	const struct lane_opts *opts = *state;
	struct ring_chain chain;
	struct fixture f;

	setup(&f, *opts);
	assert_false(ring_flush(f.l.ring));
	lane_offer(&f.l, 0, 8);
	assert_int_equal(ring_pop(f.l.ring, &chain), 1);
	assert_false(ring_flush(f.l.ring));
	ring_push(f.l.ring, &chain, 0);
	assert_true(ring_flush(f.l.ring));
	assert_false(ring_flush(f.l.ring));
	teardown(&f);
}

static void ring_flush_driver_disabled_does_not_notify(void **state)
{
	const struct lane_opts *opts = *state;
	struct fixture f;
	uint32_t len;

	setup(&f, *opts);
	serve_batch(&f, 1);
	for (unsigned int i = 0; i < 3 * NUM; i++) {
		ring_driver_cb_disable(f.l.drv);
		assert_false(serve_batch(&f, 1 + i % 3));
		assert_false(ring_driver_cb_enable(f.l.drv));
		assert_true(serve_batch(&f, 1 + i % 3));
	}
	/* Enabling tells of completions that came before. */
	ring_driver_cb_disable(f.l.drv);
	lane_offer(&f.l, 0, 8);
	assert_false(lane_serve(&f.l, 0));
	assert_true(ring_driver_cb_enable(f.l.drv));
	assert_non_null(ring_driver_get(f.l.drv, &len, NULL));
	assert_false(ring_driver_cb_enable(f.l.drv));
	teardown(&f);
}

static bool offer_kicks(struct fixture *f)
{
	struct ring_driver_seg seg = lane_seg(&f->l, 0, 8);

	assert_int_equal(ring_driver_add(f->l.drv, &seg, 1, 0, f, NULL, 0), 0);
	return ring_driver_publish(f->l.drv);
}

static void ring_kick_disabled_suppresses_enabled_kicks(void **state)
{
	const struct lane_opts *opts = *state;
	struct fixture f;
	uint32_t len;

	setup(&f, *opts);
	assert_true(ring_kick_is_disabled(f.l.ring));
	for (unsigned int i = 0; i < 3 * NUM; i++) {
		assert_false(ring_kick_enable(f.l.ring));
		assert_false(ring_kick_is_disabled(f.l.ring));
		assert_true(offer_kicks(&f));
		/* R4: what was made available before the enable is reported by it. */
		ring_kick_disable(f.l.ring);
		assert_true(ring_kick_is_disabled(f.l.ring));
		assert_false(offer_kicks(&f));
		assert_true(ring_kick_enable(f.l.ring));
		for (unsigned int k = 0; k < 2; k++) {
			lane_serve(&f.l, 0);
			assert_ptr_equal(ring_driver_get(f.l.drv, &len, NULL), &f);
		}
	}
	teardown(&f);
}

static void ring_kick_event_index_one_kick_an_enable(void **state)
{
	const struct lane_opts *opts = *state;
	struct fixture f;

	setup(&f, *opts);
	assert_false(ring_kick_enable(f.l.ring));
	assert_true(offer_kicks(&f));
	assert_false(offer_kicks(&f));
	assert_false(offer_kicks(&f));
	teardown(&f);
}

static void ring_kick_state_after_restart_is_disabled(void **state)
{
	const struct lane_opts *opts = *state;
	struct fixture f;

	setup(&f, *opts);
	assert_false(ring_kick_enable(f.l.ring));
	ring_kick_disable(f.l.ring);
	lane_restart(&f.l, ring_stop(f.l.ring));
	assert_true(ring_kick_is_disabled(f.l.ring));
	ring_kick_disable(f.l.ring);
	assert_false(ring_kick_enable(f.l.ring));
	assert_true(offer_kicks(&f));
	teardown(&f);
}

#define ALL(test)                                                                                  \
	{#test " split", test, NULL, NULL, &split}, {#test " packed", test, NULL, NULL, &packed},  \
		EVENT(test)
#define EVENT(test)                                                                                \
	{#test " split event", test, NULL, NULL, &split_event},                                    \
	{                                                                                          \
#test " packed event", test, NULL, NULL, &packed_event                             \
	}

int main(void)
{
	static struct lane_opts split = {.num = NUM, .start = 0xfff0};
	static struct lane_opts split_event = {.num = NUM, .event_idx = true, .start = 0xfff0};
	static struct lane_opts packed = {.num = NUM, .packed = true, .start = 0x8003};
	static struct lane_opts packed_event = {
		.num = NUM, .packed = true, .event_idx = true, .start = 0x8003};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_need_event_any_indices_equals_walk),
		cmocka_unit_test(ring_packed_need_event_any_positions_equals_walk),
		cmocka_unit_test(ring_packed_retreat_undoes_advance),
		cmocka_unit_test(ring_flush_split_event_at_corners_notifies),
		cmocka_unit_test(ring_flush_packed_event_at_corners_notifies),
		cmocka_unit_test(ring_flush_packed_odd_event_settings_notify),
		ALL(ring_flush_nothing_pushed_does_not_notify),
		ALL(ring_flush_driver_disabled_does_not_notify),
		ALL(ring_kick_disabled_suppresses_enabled_kicks),
		EVENT(ring_kick_event_index_one_kick_an_enable),
		ALL(ring_kick_state_after_restart_is_disabled),
	};

	return cmocka_run_group_tests_name("ring notify", tests, NULL, NULL);
}
